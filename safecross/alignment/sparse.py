"""Predicting each neuron from few of the other network's: sparse linear maps, many to one."""

from dataclasses import dataclass

import torch
from torch.nn import functional as F

from .. import checks
from .correlation import LayerPair
from .maps import Linear
from .problem import Problem
from .registry import Method, register

__all__ = ["Lasso", "lasso"]


@register(
    "lasso",
    source="Li et al. 2016, Section 3.2 (sparse mapping layers)",
    needs="activations",
    cost="n h^2 + h^3 a step",
    one_to_one=False,
    soft=True,
    equal_widths=False,
)
@dataclass(frozen=True)
class Lasso(Method):
    r"""Soft map that predicts each neuron from few of the other network's (L1 regression).

    For standardised columns :math:`H_a, H_b` on n examples,

    .. math:: \min_V \tfrac1{2n} \lVert H_a - H_b V \rVert_F^2 + \lambda \lVert V \rVert_1

    What writes the neurons takes :math:`V^\top`, what reads them the same regression of b's
    neurons on a's: no inverse is taken. Both are brought back to the scale of the neurons.

    Parameters
    ----------
    penalty : float
        Lambda, in (0, 1): a correlation below it is never enough to be chosen.
    refit : bool
        Whether the neurons that are chosen get the weights of least squares instead, which the
        penalty does not shrink; the original keeps the shrunken ones.
    steps : int
        Most steps of the solver, see `lasso`.

    Notes
    -----
    The paper's semi-matching, in which each neuron takes its most correlated partner, is
    ``sc-pwc-semi``; its one-to-one matching is ``sc-pwc``. A neuron that nothing predicts
    becomes 0.
    """

    penalty: float = 0.1
    refit: bool = True
    steps: int = 5000

    def __post_init__(self):
        if not 0 < checks.as_number(self.penalty) < 1:
            raise ValueError(f"penalty must lie in (0, 1); found {checks.shown(self.penalty)}")
        checks.as_flag("refit", self.refit)
        checks.whole_number("steps", self.steps, 1)

    def __call__(self, problem: Problem) -> list[Linear]:
        """Return the map of each hidden layer.

        Raises
        ------
        ValueError
            If the solver does not converge.
        """
        return [self._map(pair) for pair in problem.pairs]

    def _map(self, pair: LayerPair) -> Linear:
        a, b = pair.scale_a, pair.scale_b
        to_a = self._weights(pair.within_b, pair.between.mT)
        to_b = self._weights(pair.within_a, pair.between)
        return Linear(_rescaled(to_a.mT, a, b), _rescaled(to_b.mT, b, a))

    def _weights(self, within: torch.Tensor, between: torch.Tensor) -> torch.Tensor:
        weights = lasso(within, between, self.penalty, self.steps)
        return _least_squares(within, between, weights != 0) if self.refit else weights


def lasso(
    within: torch.Tensor,
    between: torch.Tensor,
    penalty: float,
    steps: int = 5000,
    tolerance: float = 1e-3,
) -> torch.Tensor:
    r"""Return the weights of L1-regularised regressions from correlations.

    .. math:: \min_V \tfrac12 \mathrm{tr}(V^\top \Sigma V) - \mathrm{tr}(V^\top C)
              + \lambda \lVert V \rVert_1

    by accelerated proximal gradient steps (FISTA), started anew where they overshoot.

    Parameters
    ----------
    within : torch.Tensor, shape (q, q), float64
        Correlations of the predictors.
    between : torch.Tensor, shape (q, p), float64
        Of the predictors with the p neurons that are predicted.
    penalty : float
        Lambda > 0.
    steps : int
        Most steps.
    tolerance : float
        By how much a slope may miss what the optimum asks of it: minus lambda times the weight's
        sign, and at 0 no more than lambda.

    Returns
    -------
    torch.Tensor, shape (q, p), float64
        A column for each neuron that is predicted, most of it exactly 0.

    Raises
    ------
    ValueError
        If it has not converged after all steps.

    Notes
    -----
    Source: Beck and Teboulle 2009; restarts of O'Donoghue and Candès 2015. Cost: q^2 p a step.

    Examples
    --------
    >>> lasso(torch.eye(2).double(), torch.tensor([[0.9], [0.05]]).double(), 0.1)
    tensor([[0.8000],
            [0.0000]], dtype=torch.float64)
    """
    largest = float(torch.linalg.matrix_norm(within, 2)) or 1.0
    weights = ahead = torch.zeros_like(between)
    momentum = 1.0
    for step in range(steps):
        slope = within @ ahead - between
        new = F.softshrink(ahead - slope / largest, penalty / largest)
        if ((ahead - new) * (new - weights)).sum() > 0:
            momentum = 1.0
        after = (1 + (1 + 4 * momentum**2) ** 0.5) / 2
        ahead = new + (momentum - 1) / after * (new - weights)
        weights, momentum = new, after
        # Looked at now and then, since it takes as long as a step.
        if step % 10 == 0 and _missed(within, between, weights, penalty) <= tolerance:
            return weights
    raise ValueError(
        f"the sparse regression did not converge in {steps} steps; give a larger penalty, or more "
        "steps"
    )


def _missed(within, between, weights: torch.Tensor, penalty: float) -> float:
    """Return by how much the slopes miss what an optimum asks of them."""
    slope = within @ weights - between
    inside = (slope.abs() - penalty).clamp(min=0)
    missed = torch.where(weights != 0, (slope + penalty * weights.sign()).abs(), inside)
    return float(missed.max())


def _least_squares(within, between, chosen: torch.Tensor) -> torch.Tensor:
    """Return the weights of least squares of each column on the rows that it chose."""
    weights = torch.zeros_like(between)
    for j, rows in enumerate(chosen.mT):
        which = rows.nonzero().squeeze(1)
        if len(which):
            own = within[which][:, which]
            weights[which, j] = torch.linalg.pinv(own, hermitian=True) @ between[which, j]
    return weights


def _rescaled(matrix: torch.Tensor, to: torch.Tensor, of: torch.Tensor) -> torch.Tensor:
    # A dead neuron has deviation 0 and is chosen by nobody.
    return to[:, None] * matrix / torch.where(of > 0, of, 1.0)
