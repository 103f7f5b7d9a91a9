"""Soft permutations that gradients pass through, rounded in the end (Sinkhorn re-basin)."""

import math
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import torch

from .. import checks
from .frankwolfe import MixedWeights, assigned
from .maps import Permutation
from .problem import Problem
from .registry import Method, register
from .transport import sinkhorn_rounds
from .weights import weights_of

__all__ = ["OBJECTIVES", "SinkhornRebasin", "soft_permutation"]

#: What is lowered: the distance of the weights, or the loss at t = 1/2, or at a random t.
OBJECTIVES = ("weights", "middle", "random")

_SWEEPS = 30  # rounds of a step, which go on where the step before ended
_ERROR = 1e-6  # of the row sums, all together, of a total of 1


@register(
    "sinkhorn",
    source="Sinkhorn re-basin, Peña et al. 2023, Sections 3 and 4",
    needs="weights",
    cost="h^2 (m + o) + h^3 a step; of a loss n h (m + o) a pass more",
)
@dataclass(frozen=True)
class SinkhornRebasin(Method):
    r"""One-to-one matching by gradient descent on soft permutations (Sinkhorn re-basin).

    .. math:: P_d = S(X_d), \qquad
              C_w = \lVert \theta_a - P(\theta_b) \rVert^2 \quad \text{or} \quad
              C_t = \mathcal{L}\big((1 - t)\,\theta_a + t\,P(\theta_b)\big)

    with Sinkhorn's operator S, which makes any matrix doubly stochastic. In the end each matrix
    is rounded to the permutation of the largest sum of its entries.

    Parameters
    ----------
    objective : {"weights", "middle", "random"}
        The distance of the weights; or the loss at t = 1/2, or at a t in [0, 1] that is drawn for
        each step. The losses need labels.
    steps : int
        Of Adam, each on one batch where there is a loss.
    learning_rate : float
        Of the entries of X, > 0. Adam goes as far whatever their unit, so that the weight of the
        entropy, by which the original divides X, is 1.
    batch : int
        Examples of a step.
    seed : int
        Of the examples and of t.

    Notes
    -----
    It starts from the mean of all permutations, so that the order of the neurons does not matter;
    losses are computed in the networks' own type. A soft permutation shrinks weights, so the
    matrix that lowers the distance most need not be rounded to the nearest permutation, even of
    one hidden layer. Batch norms use the batch's statistics. The slope of S is the implicit one
    of its fixed point, as in the original.
    """

    objective: str = "weights"
    steps: int = 100
    learning_rate: float = 0.1
    batch: int = 500
    seed: int = 0

    def __post_init__(self):
        if not isinstance(self.objective, str) or self.objective not in OBJECTIVES:
            raise ValueError(checks.unknown("objective", self.objective, OBJECTIVES))
        checks.whole_number("steps", self.steps, 1)
        checks.whole_number("batch", self.batch, 1)
        checks.whole_number("seed", self.seed, 0)
        if not 0 < checks.as_number(self.learning_rate) < math.inf:
            found = checks.shown(self.learning_rate)
            raise ValueError(f"learning_rate must be positive and finite; found {found}")

    @property
    def needs(self) -> str:
        """What the objective looks at."""
        return "weights" if self.objective == "weights" else "gradients"

    def __call__(self, problem: Problem) -> list[Permutation]:
        """Return the permutation of each hidden layer.

        Raises
        ------
        ValueError
            If the objective needs labels that are missing.
        """
        cost = _Cost(problem, self)
        entries = {
            name: torch.zeros(group.size, group.size, dtype=torch.float64, requires_grad=True)
            for name, group in problem.spec.groups.items()
        }
        if not entries:
            return []
        steps = torch.optim.Adam(entries.values(), self.learning_rate)
        starts = dict.fromkeys(entries)
        for _ in range(self.steps):
            steps.zero_grad()
            with torch.enable_grad():
                soft = {n: _SoftPermutation.apply(x, starts, n) for n, x in entries.items()}
                cost(soft).backward()
            steps.step()
        return [Permutation(assigned(soft_permutation(x.detach()))) for x in entries.values()]


def soft_permutation(entries: torch.Tensor) -> torch.Tensor:
    r"""Return the doubly stochastic matrix of a square one, by Sinkhorn's operator.

    .. math:: S(X)_{ij} = e^{f_i + g_j + X_{ij}}

    with the f and g for which all rows and columns sum to 1. Gradients pass.

    Parameters
    ----------
    entries : torch.Tensor, shape (p, p), float64
        Any finite matrix.

    Returns
    -------
    torch.Tensor, shape (p, p), float64
        Its columns sum to 1, its rows as nearly as some dozen rounds bring them.

    Examples
    --------
    >>> soft_permutation(torch.tensor([[2.0, 0.0], [0.0, 0.0]]).double()).round(decimals=2)
    tensor([[0.7300, 0.2700],
            [0.2700, 0.7300]], dtype=torch.float64)
    """
    return _SoftPermutation.apply(entries, {}, "")


class _SoftPermutation(torch.autograd.Function):
    """Sinkhorn's operator, and its slope at the fixed point instead of through all rounds."""

    @staticmethod
    def forward(ctx, entries, starts: dict, name: str):
        p = len(entries)
        coupling, starts[name], _ = sinkhorn_rounds(entries, _SWEEPS, _ERROR, starts.get(name))
        ctx.save_for_backward(p * coupling)
        return p * coupling

    @staticmethod
    def backward(ctx, slope):
        (soft,) = ctx.saved_tensors
        weighted, p = soft * slope, len(soft)
        rows, columns = weighted.sum(1), weighted.sum(0)
        # Rows and columns keep their sums: f and g, known up to a constant, take up the change.
        # A permutation has no slope; the small number keeps the equations solvable near one.
        equations = torch.eye(p, dtype=soft.dtype) * (1 + 1e-9) + 1 / p - soft.mT @ soft
        g = torch.linalg.solve(equations, columns - soft.mT @ rows)
        f = rows - soft @ g
        return soft * (slope - f[:, None] - g), None, None


class _Cost:
    """What the soft permutations shall lower."""

    def __init__(self, problem: Problem, method: SinkhornRebasin):
        self.problem, self.method = problem, method
        a, b = (weights_of(problem.spec, s) for s in (problem.state_a, problem.state_b))
        self.mixed = MixedWeights(problem.spec, a, b)
        self.rng = np.random.default_rng(method.seed)
        if method.objective != "weights":
            self.n = len(problem.labelled[1])

    def __call__(self, soft: Mapping) -> torch.Tensor:
        moved = {name: self.mixed.moved(name, soft) for name in self.mixed.axes}
        if self.method.objective == "weights":
            return sum(((self.mixed.a[name] - b) ** 2).sum() for name, b in moved.items())
        t = 0.5 if self.method.objective == "middle" else float(self.rng.random())
        at = self.rng.choice(self.n, min(self.n, self.method.batch), replace=False)
        middle = self.problem.between(moved, t)
        return self.problem.loss(middle, torch.as_tensor(at))
