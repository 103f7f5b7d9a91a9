"""Who lives on: the most accurate, who solves what few others do, or the best of each cell."""

from collections.abc import Callable
from types import MappingProxyType

import torch

from .. import checks

__all__ = ["SELECTIONS", "elites", "niching", "shared_fitness", "truncation"]

Selection = Callable[[torch.Tensor, torch.Tensor, int], torch.Tensor]


def shared_fitness(solved: torch.Tensor) -> torch.Tensor:
    r"""Return the fitness of members who share each example among those that solve it.

    .. math:: f_i = \frac1m \sum_j \frac{s_{ij}}{\sum_k s_{kj}}

    where :math:`s_{ij}` is 1 if member i solves example j, and 0 / 0 is 0.

    Parameters
    ----------
    solved : torch.Tensor of bool, shape (n, m)
        Which member solves which example.

    Returns
    -------
    torch.Tensor of float64, shape (n,)
        Their sum is the share of the examples that anyone solves.

    Raises
    ------
    ValueError
        If it is no matrix of bools with at least one row and one column.

    Notes
    -----
    Source: Smith, Forrest and Perelson 1993 (implicit fitness sharing); M2N2, Abrantes et al. 2025,
    merges networks under the same competition.

    Examples
    --------
    >>> shared_fitness(torch.tensor([[True, True], [True, False]])).tolist()
    [0.75, 0.25]
    """
    solved = _checked(solved).double()
    return (solved / solved.sum(0).clamp(min=1)).mean(1)


def truncation(solved: torch.Tensor, half: torch.Tensor, n: int) -> torch.Tensor:
    """Return the n members that solve most examples, the best first; ties keep their order.

    Parameters
    ----------
    solved : torch.Tensor of bool, shape (members, m)
        Which member solves which example.
    half : torch.Tensor of bool, shape (m,)
        Which examples are of the second half of the classes; what `elites` looks at.
    n : int
        Members that live on, >= 1.

    Examples
    --------
    >>> solved = torch.tensor([[True, False], [True, True]])
    >>> truncation(solved, torch.tensor([False, True]), 1)
    tensor([1])
    """
    solved = _checked(solved)
    return solved.sum(1).argsort(descending=True, stable=True)[: checks.whole_number("n", n, 1)]


def niching(solved: torch.Tensor, half: torch.Tensor, n: int) -> torch.Tensor:
    """Return n members, the others removed one by one: each time the least by `shared_fitness`.

    It is computed again after each removal, so that of two copies one remains.

    Parameters
    ----------
    solved, half, n
        As for `truncation`.

    Examples
    --------
    >>> solved = torch.tensor([[True, True, False], [True, True, False], [False, True, True]])
    >>> niching(solved, torch.tensor([False, False, True]), 2)
    tensor([0, 2])
    """
    kept = torch.arange(len(_checked(solved)))
    while len(kept) > checks.whole_number("n", n, 1):
        fitness = shared_fitness(solved[kept])
        # Of equals the last goes: parents stand before children.
        worst = len(kept) - 1 - int(fitness.flip(0).argmin())
        kept = torch.cat([kept[:worst], kept[worst + 1 :]])
    return kept


def elites(solved: torch.Tensor, half: torch.Tensor, n: int) -> torch.Tensor:
    """Return the best member of each cell (MAP-Elites), at most n cells.

    A cell is made of the shares of both halves of the examples that a member solves, each cut into
    floor(sqrt(n)) equal parts; the best of a cell solves most of all.

    Parameters
    ----------
    solved, half, n
        As for `truncation`.

    Notes
    -----
    Source: Mouret and Clune 2015.

    Examples
    --------
    >>> solved = torch.tensor([[True, False], [True, False], [False, True]])
    >>> elites(solved, torch.tensor([False, True]), 4)
    tensor([0, 2])
    """
    solved = _checked(solved)
    if half.dtype != torch.bool or half.shape != solved.shape[1:] or half.all() or not half.any():
        raise ValueError(
            f"half must hold {solved.shape[1]} bools, of either kind; found {half.dtype} of shape "
            f"{tuple(half.shape)}, {int(half.sum())} of them true"
        )
    parts = int(checks.whole_number("n", n, 1) ** 0.5)
    shares = torch.stack([solved[:, side].double().mean(1) for side in (~half, half)])
    places = (shares * parts).long().clamp(max=parts - 1)
    best: dict[tuple[int, int], int] = {}
    for member in truncation(solved, half, len(solved)).tolist():
        best.setdefault(tuple(places[:, member].tolist()), member)
    return torch.tensor(sorted(best.values()))


def _checked(solved: torch.Tensor) -> torch.Tensor:
    if solved.dtype != torch.bool or solved.ndim != 2 or not solved.numel():
        raise ValueError(
            "solved must be a matrix of bools, (members, examples), not empty; found "
            f"{solved.dtype} of shape {tuple(solved.shape)}"
        )
    return solved


#: How those are chosen that live on, by name; read-only.
SELECTIONS: MappingProxyType[str, Selection] = MappingProxyType(
    {"truncation": truncation, "niching": niching, "map-elites": elites}
)
