"""Two more uses of CCA: assignment in the canonical subspace, and the soft map of CCA-Merge."""

from dataclasses import dataclass, replace

import torch

from .. import checks
from .cca import CCA, check_cca_options
from .correlation import LayerPair
from .maps import Linear
from .matching import Matching, match_one_to_one
from .problem import Problem
from .registry import Method, register

__all__ = ["SIMILARITIES", "CcaMerge", "HardCca", "canonical_similarity"]

#: What hard CCA compares neurons by.
SIMILARITIES = ("correlation", "loadings", "weights")

_WORST = 1e6  # condition of a map: float32 weights keep 7 digits


@dataclass(frozen=True)
class _OnCca(Method):
    directions: int | float | None = None
    ridge: float = 0.0
    standardise: bool = True

    def __post_init__(self):
        check_cca_options(**self._of_cca)

    @property
    def _of_cca(self) -> dict:
        names = ("directions", "ridge", "standardise")
        return {name: getattr(self, name) for name in names}


@register(
    "hard-cca",
    source="this package; CCA as in Uriot and Izzo 2020, Section 3.2",
    needs="activations",
    cost="n h^2 + h^3",
)
@dataclass(frozen=True)
class HardCca(_OnCca):
    r"""One-to-one matching with the largest sum of similarities in the canonical subspace.

    Parameters
    ----------
    directions, ridge, standardise
        As for `safecross.cca`.
    similarity : {"correlation", "loadings", "weights"}
        See `canonical_similarity`.

    Notes
    -----
    Algorithm 1 of the paper sees two neurons of each component, its ends; here all neurons are
    compared by all components, and the assignment is the best one. The default asks what a
    permutation is for: neurons that lie on one another differ least in mean square if the sum of
    their correlations is largest, so it counts the part of the correlation that the components
    carry. With all directions and no ridge that is the whole correlation, and the method is
    SC-PwC: of CCA only the choice of directions is left. Loadings count each component alike,
    however weak its correlation; weights are what Algorithm 1 compares, and grow where a
    direction has little variance.
    """

    similarity: str = "correlation"

    def __post_init__(self):
        super().__post_init__()
        if not isinstance(self.similarity, str) or self.similarity not in SIMILARITIES:
            raise ValueError(checks.unknown("similarity", self.similarity, SIMILARITIES))

    def __call__(self, problem: Problem) -> list[Matching]:
        """Return the best assignment of each hidden layer."""
        matchings = []
        for pair, result in problem.ccas(**self._of_cca):
            if not self.standardise:  # weights of centred columns, in another unit each
                wa = pair.scale_a[:, None] * result.weights_a
                wb = pair.scale_b[:, None] * result.weights_b
                result = replace(result, weights_a=wa, weights_b=wb)
            matchings.append(match_one_to_one(canonical_similarity(pair, result, self.similarity)))
        return matchings


def canonical_similarity(pair: LayerPair, result: CCA, similarity: str) -> torch.Tensor:
    r"""Return how similar the neurons of two layers are in the space of canonical components.

    With the loadings :math:`A = C_a w_a` and :math:`B = C_b w_b`, the covariances of neurons with
    canonical variates,

    .. math:: S = A\, \mathrm{diag}(\rho)\, B^\top \quad (\text{correlation}), \qquad
              S = A B^\top \quad (\text{loadings}), \qquad
              S = w_a\, \mathrm{diag}(\rho)\, w_b^\top \quad (\text{weights})

    Parameters
    ----------
    pair : LayerPair
        Both layers.
    result : CCA
        Of the pair, of standardised columns.
    similarity : {"correlation", "loadings", "weights"}
        Which of the three. With all components and no ridge the first is the correlation
        :math:`\hat\Sigma_{a,b}` itself.

    Returns
    -------
    torch.Tensor, shape (p, q), float64

    Examples
    --------
    >>> from safecross import cca_of_pair
    >>> pair = LayerPair([[1.0], [2.0], [4.0]], [[1.0], [2.0], [4.0]])
    >>> canonical_similarity(pair, cca_of_pair(pair), "correlation")
    tensor([[1.]], dtype=torch.float64)
    """
    wa, wb = result.weights_a, result.weights_b
    if similarity != "weights":
        wa, wb = pair.within_a @ wa, pair.within_b @ wb
    if similarity != "loadings":
        wa = wa * result.correlations
    return wa @ wb.mT


@register(
    "cca-merge",
    source="CCA-Merge, Horoi et al. 2024, Section 4",
    needs="activations",
    cost="n h^2 + h^3",
    one_to_one=False,
    soft=True,
    equal_widths=False,
)
@dataclass(frozen=True)
class CcaMerge(_OnCca):
    r"""Soft map that takes b's canonical variates for a's (CCA-Merge).

    For neurons as columns, the activations of b become those of a as far as they correlate:

    .. math:: h_b \mapsto h_b\, T, \qquad T = w_b\, w_a^{-1}, \qquad
              W_b^{d+1} \mapsto T^{-1} W_b^{d+1}

    Parameters
    ----------
    directions, ridge, standardise
        As for `safecross.cca`, but columns are only centred by default, as in the original:
        standardised, a neuron that hardly fires counts as much as the others, and what it is
        mixed of is then magnified by its outgoing weights. Without a ridge the map is that of
        noise where a layer has directions of hardly any variance.

    Notes
    -----
    Weights of standardised columns are brought back to the scale of the neurons; without a ridge
    they give the same map. Dead neurons
    have no part in any component and become 0; with fewer components than neurons, or layers of
    unequal width, inverses are pseudo-inverses.
    """

    ridge: float = 0.1
    standardise: bool = False

    def __call__(self, problem: Problem) -> list[Linear]:
        """Return the map of each hidden layer.

        Raises
        ------
        ValueError
            If a map is so ill-conditioned that float32 weights do not keep it.
        """
        return [
            _merge_map(d, pair, result, self.standardise)
            for d, (pair, result) in enumerate(problem.ccas(**self._of_cca), start=1)
        ]


def _merge_map(layer: int, pair: LayerPair, result: CCA, standardise: bool) -> Linear:
    wa, wb = result.weights_a, result.weights_b
    if standardise:
        wa, wb = (
            torch.where(scale[:, None] > 0, w / scale[:, None], 0.0)
            for w, scale in ((wa, pair.scale_a), (wb, pair.scale_b))
        )
    matrix = (wb @ torch.linalg.pinv(wa)).mT
    singular = torch.linalg.svdvals(matrix)[: wa.shape[1]]
    condition = float(singular[0] / singular[-1]) if len(singular) else 1.0
    if not condition < _WORST:
        raise ValueError(
            f"the map of hidden layer {layer} is ill-conditioned (condition number "
            f"{condition:.1e}, at most {_WORST:.0e}): give a larger ridge, fewer directions or "
            "more examples"
        )
    return Linear(matrix, (wa @ torch.linalg.pinv(wb)).mT)
