"""Baselines: pairing neurons by their responses as they are, and at random."""

from dataclasses import dataclass

import numpy as np
import torch

from .. import checks
from .correlation import LayerPair
from .matching import Matching
from .problem import Problem
from .registry import Method, register

__all__ = ["MontanaDavis", "Random", "response_distances"]


@register(
    "random",
    source="baseline",
    needs="nothing",
    cost="h",
    invariant=False,
)
@dataclass(frozen=True)
class Random(Method):
    """Neurons of b in random order.

    Parameters
    ----------
    seed : int
        Of the permutations.
    """

    seed: int = 0

    def __post_init__(self):
        checks.whole_number("seed", self.seed, 0)

    def __call__(self, problem: Problem) -> list[Matching]:
        """Return a random permutation of each hidden layer."""
        rng = np.random.default_rng(self.seed)
        return [Matching(np.arange(p), rng.permutation(p)) for p in problem.widths_a]


@register(
    "montana-davis",
    source="Montana and Davis 1989, crossover-features",
    needs="activations",
    cost="n h^2 + h^2 log h",
)
@dataclass(frozen=True)
class MontanaDavis(Method):
    r"""Neurons whose responses to the same inputs are closest (Montana and Davis 1989).

    .. math:: D_{ij} = \lVert h_a^i - h_b^j \rVert^2

    The closest two are paired, then the closest two of the rest, and so on. The paper does not
    say in which order neurons choose; in this one the result does not depend on their order.
    Responses are compared as they are, neither centred nor scaled.
    """

    def __call__(self, problem: Problem) -> list[Matching]:
        """Return the pairs of each hidden layer."""
        return [_closest_first(response_distances(pair).cpu().numpy()) for pair in problem.pairs]


def response_distances(pair: LayerPair) -> torch.Tensor:
    r"""Return the squared distances of responses, :math:`\lVert h_a^i - h_b^j \rVert^2`.

    Parameters
    ----------
    pair : LayerPair
        Both layers; their means, deviations and correlations are enough.

    Returns
    -------
    torch.Tensor, shape (p, q), float64

    Examples
    --------
    >>> response_distances(LayerPair([[1.0], [3.0]], [[1.0, 0.0], [2.0, 3.0]])).round(decimals=9)
    tensor([[1., 1.]], dtype=torch.float64)
    """
    a, b = pair.scale_a[:, None], pair.scale_b
    spread = (pair.n - 1) * (a**2 + b**2 - 2 * a * b * pair.between)
    apart = pair.n * (pair.mean_a[:, None] - pair.mean_b) ** 2
    return (spread + apart).clamp(min=0)


def _closest_first(distances: np.ndarray) -> Matching:
    la, lb = [], []
    free_a, free_b = np.ones(len(distances), bool), np.ones(distances.shape[1], bool)
    for place in np.argsort(distances, axis=None, kind="stable"):
        i, j = divmod(int(place), distances.shape[1])
        if free_a[i] and free_b[j]:
            free_a[i] = free_b[j] = False
            la.append(i)
            lb.append(j)
            if len(la) == min(distances.shape):
                break
    return Matching(np.array(la, dtype=np.int64), np.array(lb, dtype=np.int64))
