"""What the authors' notebook does and their paper does not say.

Each variant registers itself here, under the name that records know it by: two ways to match by
correlation, a rule of Algorithm 1, a penalty and a kind of weights of CCA, and two softmaxes over
a whole batch. The audit of the notebook is a chapter of the book.
"""

from dataclasses import dataclass, replace

import numpy as np
import torch

from ..alignment.cca import CCA, PENALTIES, WEIGHTS
from ..alignment.matching import Matching, as_components, as_correlations, complete, semi_match
from ..alignment.operators import RULES
from ..alignment.problem import Problem
from ..alignment.registry import Method, register
from ..networks.metrics import SOFTMAX

__all__ = ["ScPwcGreedy", "ScPwcSemiB", "match_components_by_rank", "match_greedy"]

_NOTEBOOK = "Uriot and Izzo 2020, their notebook"


@register(
    "sc-pwc-semi-b",
    of_paper=True,
    source=_NOTEBOOK,
    needs="activations",
    cost="n h^2",
    one_to_one=False,
)
@dataclass(frozen=True)
class ScPwcSemiB(Method):
    """Semi-matching in the other direction: each neuron of b picks in a (authors' notebook)."""

    def __call__(self, problem: Problem) -> list[Matching]:
        """Return each layer's `semi_match`."""
        return [semi_match(pair.between, each="b") for pair in problem.pairs]


@register(
    "sc-pwc-greedy",
    of_paper=True,
    source=_NOTEBOOK,
    needs="activations",
    cost="n h^2",
    invariant=False,
)
@dataclass(frozen=True)
class ScPwcGreedy(Method):
    """One-to-one in the greedy order of the authors' notebook, in place of the optimal one."""

    def __call__(self, problem: Problem) -> list[Matching]:
        """Return each layer's `match_greedy`."""
        return [match_greedy(pair.between) for pair in problem.pairs]


def match_greedy(correlation) -> Matching:
    """Match neurons one to one in the greedy order of the authors' notebook.

    Each neuron of b in turn takes the most correlated neuron of a that is still free. A dead
    neuron of b (a column of zeros) waits, and what is left is paired in the order of the indices;
    a dead neuron of a (a row of zeros) counts as correlation -1.

    Parameters
    ----------
    correlation : array_like, shape (p, q)
        Correlations between the networks, as `safecross.correlation` returns them.

    Returns
    -------
    Matching
        min(p, q) pairs, those of living neurons of b first, no neuron twice.

    Raises
    ------
    ValueError
        If the matrix is not finite.

    Notes
    -----
    Source: the authors' notebook; the paper describes `match_one_to_one`.

    Examples
    --------
    >>> match_greedy([[0.9, 0.8], [0.7, 0.1]])
    Matching(la=array([0, 1]), lb=array([0, 1]))
    """
    c = as_correlations(correlation).copy()
    living_b = np.flatnonzero(np.any(c != 0, axis=0))
    c[~np.any(c != 0, axis=1)] = -1
    la = []
    for j in living_b[: c.shape[0]]:
        la.append(int(c[:, j].argmax()))
        c[la[-1]] = -np.inf
    return complete(Matching(np.array(la, np.int64), living_b[: len(la)]), *c.shape)


def match_components_by_rank(weights_a, weights_b) -> Matching:
    """Match neurons for each component by the rank-by-rank rule of the authors' notebook.

    Both coefficient vectors are sorted; the r-th smallest of a is offered with the r-th smallest
    of b, ranks in decreasing order of the sum of absolute values; the first rank of which both
    neurons are free gives the pair.

    Parameters
    ----------
    weights_a, weights_b : array_like, shapes (p, k) and (p, k)
        Canonical weights, one component a column; the widths must be equal.

    Returns
    -------
    Matching
        At most k pairs, in the order of the components; a component without a free rank gives
        none.

    Raises
    ------
    ValueError
        If the widths or the numbers of components differ, or an entry is not finite.

    Notes
    -----
    Source: the authors' notebook, not the paper, whose Algorithm 1 offers the two ends only.

    Examples
    --------
    >>> match_components_by_rank([[0.9, 0.8], [0.1, -0.3]], [[0.2, 0.1], [0.7, 0.9]])
    Matching(la=array([0, 1]), lb=array([1, 0]))
    """
    wa, wb = as_components(weights_a, weights_b)
    if len(wa) != len(wb):
        raise ValueError(
            f"the rank-by-rank rule needs layers of equal width; found {len(wa)} and {len(wb)}"
        )
    free_a, free_b = np.ones(len(wa), bool), np.ones(len(wb), bool)
    la, lb = [], []
    for ka, kb in zip(wa.T, wb.T, strict=True):
        ia, ib = np.argsort(ka, kind="stable"), np.argsort(kb, kind="stable")
        ranks = np.argsort(-(abs(ka[ia]) + abs(kb[ib])), kind="stable")
        open_ranks = ranks[free_a[ia[ranks]] & free_b[ib[ranks]]]
        if len(open_ranks):
            la.append(ia[open_ranks[0]])
            lb.append(ib[open_ranks[0]])
            free_a[la[-1]] = free_b[lb[-1]] = False
    return Matching(np.array(la, np.int64), np.array(lb, np.int64))


RULES["rank"] = match_components_by_rank


def _kernel(values: torch.Tensor, ridge: float, n: int) -> tuple[torch.Tensor, torch.Tensor]:
    """Penalise the coefficients of w = X' alpha, as kernel CCA does: their length differs too."""
    shares = values / values[:1]
    return shares / (values * (shares**2 + ridge)).sqrt(), values[:1] * (n - 1) ** 0.5


PENALTIES["kernel"] = _kernel


def _deflated(result: CCA) -> CCA:
    """Take from each component's weights their part in the span of those before it."""

    def deflate(weights: torch.Tensor) -> torch.Tensor:
        q, r = torch.linalg.qr(weights)
        return torch.where(r.diagonal() < 0, -q, q)

    return replace(result, weights_a=deflate(result.weights_a), weights_b=deflate(result.weights_b))


WEIGHTS["deflated"] = _deflated


def _shares(logits: torch.Tensor) -> torch.Tensor:
    """Return the softmax over all examples and classes, clipped to [1e-15, 1 - 1e-15]."""
    return logits.double().flatten(-2).softmax(-1).view(logits.shape).clamp(1e-15, 1 - 1e-15)


def _loss(shares: torch.Tensor, true: torch.Tensor) -> torch.Tensor:
    return -shares.gather(-1, true).squeeze(-1).log().mean(-1)


# With the scikit-learn of the notebook's time, whose log_loss renormalised each example.
SOFTMAX["matrix-renormalised"] = lambda logits, true: _loss(
    (shares := _shares(logits)) / shares.sum(-1, keepdim=True), true
)
# With a current one.
SOFTMAX["matrix"] = lambda logits, true: _loss(_shares(logits), true)
