"""Many to one, across networks and within each: the merge of ZipIt."""

from dataclasses import dataclass

import numpy as np
import torch

from .. import checks
from .correlation import LayerPair
from .maps import Linear, Merge
from .problem import Problem
from .registry import Method, register

__all__ = ["ZipIt", "merge_neurons"]


@register(
    "zipit",
    source="ZipIt!, Stoica et al. 2024, Section 4",
    needs="activations",
    cost="n h^2 + h^3",
    one_to_one=False,
    soft=True,
    equal_widths=False,
)
@dataclass(frozen=True)
class ZipIt(Method):
    r"""Merging the neurons of both networks that correlate most, also two of one network (ZipIt).

    The two closest of all p + q neurons become one, and so on until p are left. With the matrix
    U that says which neurons are in which group, and M that takes the mean of each group,

    .. math:: W^d = M_d \begin{pmatrix} W_a^d & \\ & W_b^d \end{pmatrix} U_{d-1}^\top

    Parameters
    ----------
    budget : float
        Share in [0, 1] of half of the merges that may bring together neurons of one network, for
        each of the two; at 0 there are none.
    alpha : float
        In (0, 1]; a group's positive correlations are multiplied by it, so that single neurons
        come before groups.

    Notes
    -----
    Both networks are moved, and only the offspring at t = 1/2 is that of ZipIt: the ends are no
    parents, and means over them, such as REPAIR's goals, are none of networks. The child has the
    widths of a. If b is wider, as many of its neurons are merged
    within as there are more of them, whatever the budget. The correlation of a group is the least
    of its neurons'. In the original a budget of 0 still merges one pair in each network, a group
    of both counts as one network's, and its negative correlations shrink too. The defaults are
    those of its code.
    """

    budget: float = 0.125
    alpha: float = 0.3

    def __post_init__(self):
        if not 0 <= checks.as_number(self.budget) <= 1:
            raise ValueError(f"budget must lie in [0, 1]; found {checks.shown(self.budget)}")
        if not 0 < checks.as_number(self.alpha) <= 1:
            raise ValueError(f"alpha must lie in (0, 1]; found {checks.shown(self.alpha)}")

    def __call__(self, problem: Problem) -> list[Merge]:
        """Return the maps of both networks for each hidden layer."""
        return [self._merge(pair) for pair in problem.pairs]

    def _merge(self, pair: LayerPair) -> Merge:
        between = pair.between.cpu()
        rows = (
            torch.cat([pair.within_a.cpu(), between], 1),
            torch.cat([between.mT, pair.within_b.cpu()], 1),
        )
        groups = merge_neurons(torch.cat(rows).numpy(), pair.sizes[0], self.budget, self.alpha)
        groups = torch.from_numpy(groups)
        # Halfway between both networks stands half of their sum, so each is taken twice.
        means = 2 * groups / groups.sum(1, keepdim=True)
        p = pair.sizes[0]
        return Merge(Linear(means[:, :p], groups[:, :p].mT), Linear(means[:, p:], groups[:, p:].mT))


def merge_neurons(correlation, p: int, budget: float, alpha: float) -> np.ndarray:
    """Return which neurons of two networks are merged, greedily by correlation.

    Parameters
    ----------
    correlation : array_like, shape (p + q, p + q)
        Within and between the networks, a's neurons first.
    p : int
        Neurons of a, and groups that are left.
    budget, alpha : float
        As for `ZipIt`.

    Returns
    -------
    numpy.ndarray, shape (p, p + q)
        1 where a neuron (a column) is in a group (a row), else 0; groups in the order of their
        first neurons.

    Examples
    --------
    >>> correlation = np.eye(4)
    >>> correlation[[0, 3], [3, 0]], correlation[[1, 2], [2, 1]] = 0.9, 0.8
    >>> merge_neurons(correlation, 2, budget=0, alpha=0.3)
    array([[1., 0., 0., 1.],
           [0., 1., 1., 0.]])
    """
    similarity = checks.as_array("correlations", correlation).astype(np.float64)
    size = len(similarity)
    q = size - p
    groups, alive = np.eye(size), np.ones(size, bool)
    sides = np.repeat(np.eye(2, dtype=bool), (p, q), axis=0)  # of which network a group has some
    left = np.array([int(budget * q / 2)] * 2)
    left[1] = max(left[1], q - p)
    np.fill_diagonal(similarity, -np.inf)
    _forbid(similarity, sides, left)
    for _ in range(q):
        i, j = np.unravel_index(similarity.argmax(), similarity.shape)  # i < j
        left -= sides[i] & sides[j]
        groups[i] += groups[j]
        sides[i] |= sides[j]
        alive[j] = False
        merged = np.minimum(similarity[i], similarity[j])
        similarity[i] = similarity[:, i] = merged * np.where(merged > 0, alpha, 1.0)
        similarity[j] = similarity[:, j] = -np.inf
        _forbid(similarity, sides, left)
    return groups[alive]


def _forbid(similarity: np.ndarray, sides: np.ndarray, left: np.ndarray) -> None:
    """Let no two groups meet that both have neurons of a network whose budget is spent."""
    for side in np.flatnonzero(left <= 0):
        similarity[np.ix_(sides[:, side], sides[:, side])] = -np.inf
