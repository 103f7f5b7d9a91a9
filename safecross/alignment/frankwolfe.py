"""Matching all layers' weights at once, by Frank-Wolfe steps between soft permutations."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import torch
from scipy.optimize import linear_sum_assignment

from .. import checks
from ..networks.spec import Axis, Spec
from .maps import Linear, Permutation, indices_of
from .problem import Problem
from .registry import Method, register
from .weights import neuron_slices, weights_of

__all__ = ["FrankWolfe", "MixedWeights", "assigned", "frank_wolfe"]

_GAP = 1e-9  # of the largest value that the objective can have


@register(
    "frank-wolfe",
    source="C2M3, Crisostomi et al. 2024, Section 3, for two networks",
    needs="weights",
    cost="h^2 (m + o) + h^3 a step",
)
@dataclass(frozen=True)
class FrankWolfe(Method):
    r"""One-to-one matching of all layers' weights at once (C2M3 for two networks).

    The objective of ``weight-matching`` with doubly stochastic matrices in place of permutations.
    Each step goes towards the permutations that are best to first order, all layers together, as
    far as the objective rises:

    .. math:: P \leftarrow (1 - \alpha) P + \alpha D, \qquad
              D_d = \arg\max_{D} \langle \nabla_{P_d} f, D \rangle

    and in the end each matrix is rounded to the nearest permutation.

    Parameters
    ----------
    steps : int
        Most steps.

    Notes
    -----
    It starts from the mean of all permutations, so that the result does not depend on the order
    of the neurons (the original starts elsewhere). The step's length is exact where a weight has
    at most two axes that move. Buffers are left out. Nothing to be trained, no data.
    """

    steps: int = 200

    def __post_init__(self):
        checks.whole_number("steps", self.steps, 1)

    def __call__(self, problem: Problem) -> list[Permutation]:
        """Return the permutation of each hidden layer."""
        a, b = (weights_of(problem.spec, s) for s in (problem.state_a, problem.state_b))
        matrices, _ = frank_wolfe(problem.spec, a, b, self.steps)
        return [Permutation(assigned(matrices[name])) for name in problem.spec.groups]


def frank_wolfe(
    spec: Spec, state_a: Mapping, state_b: Mapping, steps: int = 200
) -> tuple[dict[str, torch.Tensor], list[float]]:
    """Return a doubly stochastic matrix for each group, and the objective's course.

    Parameters
    ----------
    spec : Spec
        Groups of the models.
    state_a, state_b : mapping of str to torch.Tensor
        Their tensors by name.
    steps : int
        Most steps.

    Returns
    -------
    matrices : dict of str to torch.Tensor, each of shape (p, p)
        Row j holds the shares of b's neurons in place j.
    objective : list of float
        At the start and after each step; it never falls.

    Examples
    --------
    >>> from safecross import initialise, permute
    >>> from safecross.networks.states import spec_of_network, state_of
    >>> theta = initialise([4, 3, 2], seed=0)
    >>> a, b = state_of(theta), state_of(permute(theta, [[2, 0, 1]]))
    >>> frank_wolfe(spec_of_network(theta), a, b)[0]["layer 1"].argmax(1)
    tensor([1, 2, 0])
    """
    at = {
        name: torch.full((group.size,) * 2, 1 / group.size, dtype=torch.float64)
        for name, group in spec.groups.items()
    }
    return climb(MixedWeights(spec, state_a, state_b), at, steps)


def climb(
    search: "MixedWeights", at: dict[str, torch.Tensor], steps: int
) -> tuple[dict[str, torch.Tensor], list[float]]:
    """Return where Frank-Wolfe steps from doubly stochastic matrices end, and their course.

    Parameters
    ----------
    search : MixedWeights
        What shall rise.
    at : dict of str to torch.Tensor, each of shape (..., p, p)
        Where they start.
    steps : int
        Most steps.

    Returns
    -------
    matrices, objective
        As of `frank_wolfe`.
    """
    objective = [search.value(at)]
    shares = np.linspace(0, 1, search.points)
    for _ in range(steps):
        slopes = {name: search.slope(name, at) for name in at}
        best = {name: torch.eye(s.shape[-1]).double()[assigned(s)] for name, s in slopes.items()}
        gap = sum(float((slopes[name] * (best[name] - at[name])).sum()) for name in at)
        if gap <= _GAP * search.most:
            break
        ahead = [search.value(_between(at, best, share)) for share in shares[1:]]
        new = _between(at, best, _length(shares, [objective[-1], *ahead]))
        found = search.value(new)
        if found <= objective[-1]:
            break
        at = new
        objective.append(found)
    return at, objective


class MixedWeights:
    """The weights of b under soft permutations, and how well they agree with those of a.

    Parameters
    ----------
    spec : Spec
        Groups of the models.
    state_a, state_b : mapping of str to torch.Tensor
        Their tensors by name; buffers are left out.
    """

    points = 3  # the objective along a step is a parabola where a weight has two axes that move

    def __init__(self, spec: Spec, state_a: Mapping, state_b: Mapping):
        self.spec = spec
        self.a, self.b = ({n: t.double() for n, t in s.items()} for s in (state_a, state_b))
        self.axes: dict[str, list[tuple[str, Axis]]] = {}
        for name, group in spec.groups.items():
            for axis in group.axes:
                if axis.role != "buffer":
                    self.axes.setdefault(axis.tensor, []).append((name, axis))
        norms = [sum(float((s[n] ** 2).sum()) for n in self.axes) for s in (self.a, self.b)]
        self.most = max(norms[0] * norms[1], np.finfo(float).tiny) ** 0.5

    def value(self, at: Mapping) -> float:
        """Return the sum of products of all weights that move."""
        return sum(float((self.a[name] * self.moved(name, at)).sum()) for name in self.axes)

    def slope(self, group: str, at: Mapping) -> torch.Tensor:
        """Return the derivative with respect to one group's matrix."""
        size = self.spec.groups[group].size
        total = torch.zeros(size, size, dtype=torch.float64)
        for tensor, axes in self.axes.items():
            for axis in (axis for name, axis in axes if name == group):
                b = self.moved(tensor, at, but=axis)
                total += neuron_slices(self.a[tensor], axis, size) @ neuron_slices(b, axis, size).mT
        return total

    def moved(self, tensor: str, at: Mapping, but: Axis | None = None) -> torch.Tensor:
        """Return a tensor of b with the axes of some groups mixed, all but one."""
        values = self.b[tensor]
        for name, axis in self.axes[tensor]:
            if axis is not but and name in at:
                mixed = Linear(at[name], at[name].mT)
                indices = indices_of(axis, mixed.size)
                values = mixed.apply(values.movedim(axis.dim, -1), indices, reads=False)
                values = values.movedim(-1, axis.dim)
        return values


def _between(at: Mapping, best: Mapping, share: float) -> dict[str, torch.Tensor]:
    return {name: torch.lerp(at[name], best[name], share) for name in at}


def _length(shares: np.ndarray, values: list[float]) -> float:
    """Return where in [0, 1] the polynomial through some values is highest, but not at 0."""
    curve = np.polynomial.Polynomial.fit(shares, values, len(shares) - 1, window=[0, 1])
    turns = curve.deriv().roots()
    inside = [float(r.real) for r in turns if abs(r.imag) < 1e-9 and 0 < r.real < 1]
    return max([*inside, 1.0], key=curve)


def assigned(matrix: torch.Tensor) -> torch.Tensor:
    """Return the column of each row in the assignment with the largest sum.

    Parameters
    ----------
    matrix : torch.Tensor, shape (..., p, p)
        What each pair is worth.

    Examples
    --------
    >>> assigned(torch.tensor([[0.9, 0.8], [0.7, 0.1]]))
    tensor([1, 0])
    """
    if matrix.ndim > 2:
        return torch.stack([assigned(one) for one in matrix])
    return torch.as_tensor(linear_sum_assignment(matrix.numpy(), maximize=True)[1])
