"""Crossover of many pairs at once: partners aligned, then recombined in one of several ways."""

from collections.abc import Callable
from types import MappingProxyType

import torch

from .. import checks
from ..alignment.registry import Method
from ..networks.network import Network, check_same_architecture
from .population import check_population, matched, reorder

__all__ = ["RECOMBINATIONS", "mate", "partners", "recombined"]

Recombination = Callable[[Network, Network, float, torch.Generator], Network]


def mate(
    parents_a: Network,
    parents_b: Network,
    x,
    rng: torch.Generator,
    *,
    method: str | Method = "sc-pwc",
    recombine: str = "neuron",
    t: float = 0.5,
    related=None,
    activation: str = "relu",
) -> Network:
    """Return one child of each of n pairs of parents.

    Each b is first moved into the frame of its a, then both are recombined.

    Parameters
    ----------
    parents_a, parents_b : Network
        Two populations of n networks of one architecture; the i-th are partners.
    x : array_like, shape (m, inputs)
        Examples on which neurons are compared; None will do for the method ``naive``.
    rng : torch.Generator
        Source of chance.
    method : str or Method
        Of the registry, one that permutes; ``naive`` leaves the neurons where they are.
    recombine : str
        A name in `RECOMBINATIONS`.
    t : float
        Share of b: in [0, 1], of ``arithmetic`` and ``slerp`` any finite number.
    related : array_like of bool, shape (n,), optional
        Pairs that are left as they are, such as those with a common founder: their neurons stand
        in one order already.
    activation : {"relu", "tanh"}
        What stands between the layers. A tanh unit is matched by absolute correlation, and negated
        where it is negative: method ``sc-pwc``.

    Returns
    -------
    Network
        A population of n children.

    Raises
    ------
    ValueError
        If architectures or numbers differ, the method or recombination is unknown, t leaves its
        range, or a network is not finite.
    TypeError
        If a side is no population or `rng` no generator.

    Examples
    --------
    >>> from safecross import initialise
    >>> a, b = initialise([5, 4, 2], [0, 1]), initialise([5, 4, 2], [2, 3])
    >>> mate(a, b, torch.rand(20, 5), torch.Generator().manual_seed(0))
    Network(5-4-2, population (2,))
    """
    others, _ = partners(parents_a, parents_b, x, method, related, activation)
    return recombined(parents_a, others, recombine, t, rng)


def partners(
    parents_a: Network,
    parents_b: Network,
    x,
    method: str | Method = "sc-pwc",
    related=None,
    activation: str = "relu",
) -> tuple[Network, float]:
    """Return the second parents moved into the frames of the first, and how much that moved.

    Parameters
    ----------
    parents_a, parents_b, x, method, related, activation
        As for `mate`.

    Returns
    -------
    others : Network
        Each the function that it was.
    moved : float
        Share of their hidden neurons that changed place or sign, in [0, 1].

    Examples
    --------
    >>> from safecross import initialise
    >>> theta = initialise([5, 4, 2], [0, 1])
    >>> partners(theta, theta, torch.rand(20, 5))[1]
    0.0
    """
    orders, signs = matched(parents_a, parents_b, x, method, activation)
    if related is not None:
        leave = torch.as_tensor(related)
        if leave.dtype != torch.bool or leave.shape != parents_a.batch_shape:
            raise ValueError(
                f"related must hold {parents_a.batch_shape[0]} bools; found {leave.dtype} of "
                f"shape {tuple(leave.shape)}"
            )
        orders = [torch.where(leave[:, None], torch.arange(o.shape[1]), o) for o in orders]
        if signs is not None:
            signs = [sign.masked_fill(leave[:, None], 1) for sign in signs]
    moved = [order != torch.arange(order.shape[1]) for order in orders]
    if signs is not None:
        moved = [m | (sign.cpu() < 0) for m, sign in zip(moved, signs, strict=True)]
    share = float(torch.cat(moved, -1).double().mean()) if moved else 0.0
    return reorder(parents_b, orders, signs), share


def recombined(
    parents_a: Network, parents_b: Network, how: str, t: float, rng: torch.Generator
) -> Network:
    """Return one child of each of n pairs of parents whose neurons stand in one order.

    Parameters
    ----------
    parents_a, parents_b, t, rng
        As for `mate`.
    how : str
        A name in `RECOMBINATIONS`.

    Raises
    ------
    ValueError, TypeError
        As `mate`.

    Examples
    --------
    >>> from safecross import initialise
    >>> a, b = initialise([2, 1], [0]), initialise([2, 1], [1])
    >>> child = recombined(a, b, "arithmetic", 0.25, torch.Generator())
    >>> torch.allclose(child.weights[0], 0.75 * a.weights[0] + 0.25 * b.weights[0])
    True
    """
    theirs, others = (check_population("each side of parents", p) for p in (parents_a, parents_b))
    check_same_architecture(theirs, others)
    if theirs.batch_shape != others.batch_shape:
        raise ValueError(f"expected as many partners; found {theirs!r} and {others!r}")
    if not isinstance(how, str) or how not in RECOMBINATIONS:
        raise ValueError(checks.unknown("recombination", how, RECOMBINATIONS))
    if not isinstance(rng, torch.Generator):
        raise TypeError(f"rng must be a torch.Generator; found {checks.shown(rng)}")
    span = (-float("inf"), float("inf")) if how in _LINES else (0, 1)
    return RECOMBINATIONS[how](theirs, others, checks.number_in("t", t, *span), rng)


def arithmetic(theirs: Network, others: Network, t: float, rng: torch.Generator) -> Network:
    r"""Return :math:`(1 - t)\theta_a + t\theta_b` (Eq. 3 of Uriot and Izzo 2020)."""
    return _each(lambda a, b: (1 - t) * a + t * b, theirs, others)


def neuron(theirs: Network, others: Network, t: float, rng: torch.Generator) -> Network:
    """Return children that take each neuron, its incoming weights and bias, from b by chance t."""
    n = theirs.batch_shape[0]
    chosen = [torch.rand(n, p, generator=rng) < t for p in theirs.widths[1:]]
    return _by_neuron(theirs, others, chosen)


def subset(theirs: Network, others: Network, t: float, rng: torch.Generator) -> Network:
    """Return children that take round(t p) neurons of each layer of p from b, chosen by chance."""
    n = theirs.batch_shape[0]
    ranks = [torch.rand(n, p, generator=rng).argsort(-1).argsort(-1) for p in theirs.widths[1:]]
    return _by_neuron(theirs, others, [rank < round(t * rank.shape[1]) for rank in ranks])


def layer(theirs: Network, others: Network, t: float, rng: torch.Generator) -> Network:
    """Return children that take each whole layer from b by chance t."""
    n = theirs.batch_shape[0]
    chosen = [(torch.rand(n, 1, generator=rng) < t).expand(n, p) for p in theirs.widths[1:]]
    return _by_neuron(theirs, others, chosen)


def slerp(theirs: Network, others: Network, t: float, rng: torch.Generator) -> Network:
    r"""Return points of the arc between the parents, each layer's weights and biases apart.

    .. math:: \frac{\sin((1 - t)\omega)}{\sin\omega}\, a + \frac{\sin(t\omega)}{\sin\omega}\, b,
              \qquad \cos\omega = \frac{a^\top b}{\lVert a\rVert \lVert b\rVert}

    Where the two are parallel or opposite the straight line stands for the arc. Source: Shoemake
    1985.
    """
    return _each(lambda a, b: _arc(a, b, t), theirs, others)


def _arc(a: torch.Tensor, b: torch.Tensor, t: float) -> torch.Tensor:
    flat_a, flat_b = a.flatten(1).double(), b.flatten(1).double()
    norms = (flat_a.norm(dim=1) * flat_b.norm(dim=1)).clamp(min=1e-300)
    angle = ((flat_a * flat_b).sum(1) / norms).clamp(-1, 1).acos()
    sine = angle.sin()
    straight = sine < 1e-4
    sine = torch.where(straight, 1.0, sine)
    share_a = torch.where(straight, 1 - t, ((1 - t) * angle).sin() / sine)
    share_b = torch.where(straight, t, (t * angle).sin() / sine)
    return (share_a[:, None] * flat_a + share_b[:, None] * flat_b).to(a.dtype).view_as(a)


def _each(mix, theirs: Network, others: Network) -> Network:
    return Network(
        [mix(a, b) for a, b in zip(theirs.weights, others.weights, strict=True)],
        [mix(a, b) for a, b in zip(theirs.biases, others.biases, strict=True)],
    )


def _by_neuron(theirs: Network, others: Network, from_b: list[torch.Tensor]) -> Network:
    weights = zip(from_b, theirs.weights, others.weights, strict=True)
    biases = zip(from_b, theirs.biases, others.biases, strict=True)
    return Network(
        [torch.where(m[:, None, :].to(a.device), b, a) for m, a, b in weights],
        [torch.where(m.to(a.device), b, a) for m, a, b in biases],
    )


_LINES = ("arithmetic", "slerp")

#: How a child is made of two aligned parents, by name; read-only.
RECOMBINATIONS = MappingProxyType(
    {one.__name__: one for one in (arithmetic, neuron, subset, layer, slerp)}
)
