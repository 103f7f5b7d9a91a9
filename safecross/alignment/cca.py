"""Canonical correlation analysis: plain, SVCCA, ridge; Bartlett's test (Section 3.2)."""

from dataclasses import dataclass

import numpy as np
import torch
from scipy.linalg import svd
from scipy.stats import chi2

from .. import checks
from .correlation import LayerPair

__all__ = [
    "CCA",
    "PENALTIES",
    "WEIGHTS",
    "BartlettTest",
    "bartlett_test",
    "cca",
    "cca_of_pair",
    "check_cca_options",
]


def _norm(values: torch.Tensor, ridge: float, n: int) -> tuple[torch.Tensor, float]:
    return (values + ridge).rsqrt(), 1.0


#: What the ridge penalises, by name: a function of the variances of a view's principal directions,
#: of the ridge and of the number of examples. It returns a factor for each direction, its variance
#: to the power -1/2 without a ridge, and one for the length of all weights.
PENALTIES = {"norm": _norm}

#: In which space the weights of later components are, by name: a function of the result.
WEIGHTS = {"canonical": lambda result: result}


@dataclass(frozen=True, eq=False)
class CCA:
    """Result of a canonical correlation analysis.

    Attributes
    ----------
    weights_a, weights_b : torch.Tensor, shapes (p, k) and (q, k), float64
        Canonical weights in neuron space, one component a column; rows of dead neurons
        are 0 up to rounding.
        They apply to standardised columns (to centred ones if ``standardise=False``); deflated
        weights to what earlier components leave of them.
    correlations : torch.Tensor, shape (k,), float64
        Canonical correlations, decreasing, in [0, 1]. With a ridge these are the shrunken ones,
        the maxima of the constrained problem.
    ranks : tuple of int
        Numbers of directions kept of each view; k is the smaller of the two.
    n : int
        Number of examples.
    """

    weights_a: torch.Tensor
    weights_b: torch.Tensor
    correlations: torch.Tensor
    ranks: tuple[int, int]
    n: int


def cca(
    la,
    lb,
    *,
    directions=None,
    ridge=0.0,
    penalty="norm",
    weights="canonical",
    tolerance=1e-10,
    standardise=True,
) -> CCA:
    r"""Return canonical weights and correlations of two views of the same examples.

    With the covariances :math:`C_a, C_b, C_{ab}` of the (standardised) views,

    .. math:: (C_a + \lambda I)^{-1/2}\, C_{ab}\, (C_b + \lambda I)^{-1/2} = U S V^\top, \qquad
              w_a = (C_a + \lambda I)^{-1/2} U, \quad w_b = (C_b + \lambda I)^{-1/2} V,

    where the inverse square roots act on the kept principal directions only.

    Parameters
    ----------
    la : array_like, shape (n, p)
        Activations of a layer; float32 or float64.
    lb : array_like, shape (n, q)
        Activations of the other network's layer on the same examples; q may differ from p.
    directions : int or float, optional
        SVCCA. An int keeps that many principal directions of each view, in [1, max(p, q)] (a
        view with fewer keeps all it has); a float in (0, 1) keeps the fewest that explain that
        share of its variance; None keeps all.
    ridge : float
        Penalty lambda >= 0; 0 is CCA.
    penalty : {"norm", "kernel"}
        What the ridge penalises: the norm of the weights, as Section 3.2 says,
        :math:`w^\top C w + \lambda \lVert w \rVert^2 = 1`; or, as kernel CCA does, that of the
        coefficients of :math:`w = X^\top \alpha` for the centred (standardised) view X,
        :math:`\alpha^\top (K^2 + \lambda I)\, \alpha = 1`, where the kernel K is
        :math:`X X^\top` over its largest eigenvalue.
    weights : {"canonical", "deflated"}
        The weights above, or those of an iterative solver in the deflated space: component k's
        without their part in the span of the components before it, of unit norm. With a ridge
        no solver's deflation comes to exactly that.
    tolerance : float
        Directions whose variance is at most this share of the view's largest are dropped:
        collinear and dead neurons have none.
    standardise : bool
        Scale columns to unit variance, as Section 3.2 does; False only centres them, as Raghu
        et al. (2017) do. Without SVCCA or ridge this changes the scale of the weights alone.

    Returns
    -------
    CCA
        Weights, correlations and ranks; no component at all if a view is constant.

    Raises
    ------
    ValueError
        If a view is empty, not real or not finite, the numbers of examples differ, or an option
        leaves its range.

    Notes
    -----
    All computations are in float64. Source: Section 3.2, Eq. 1 and 2 (which prints
    :math:`U^\top S V` for :math:`U S V^\top`), and its constraint for the ridge. SVCCA and ridge
    may be combined: the ridge then acts within the kept directions. Source of the kernel penalty
    and of the deflated weights: the authors' notebook, which takes the one from the defaults of
    the package pyrcca and the other as ``x_weights_`` from scikit-learn's CCA. After k components
    NIPALS has removed their variates :math:`t_j = X w_j` from the columns of X. What is left maps
    :math:`w_1, \dots, w_k` to 0, so the shortest vector that gives :math:`t_{k+1}` is
    :math:`w_{k+1}` less its projection on them: the Q of a QR decomposition of the weights.

    Examples
    --------
    >>> x = torch.tensor([[1.0], [1.0], [3.0], [3.0]])
    >>> cca(x, 3 - 2 * x).correlations
    tensor([1.], dtype=torch.float64)
    """
    return cca_of_pair(
        LayerPair(la, lb),
        directions=directions,
        ridge=ridge,
        penalty=penalty,
        weights=weights,
        tolerance=tolerance,
        standardise=standardise,
    )


def cca_of_pair(
    pair: LayerPair,
    *,
    directions=None,
    ridge=0.0,
    penalty="norm",
    weights="canonical",
    tolerance=1e-10,
    standardise=True,
) -> CCA:
    """Return `cca` of a `LayerPair`, whose decompositions serve all directions and ridges.

    The result is kept with the pair: asked for again, as for a count of its correlations, it is
    the same object.

    Parameters
    ----------
    pair : LayerPair
        Both layers' activations.
    directions, ridge, penalty, weights, tolerance, standardise
        As for `cca`.

    Returns
    -------
    CCA
        As `cca` returns.

    Raises
    ------
    ValueError
        If an option leaves its range.

    Examples
    --------
    >>> pair = LayerPair([[1.0], [2.0], [4.0]], [[1.0], [2.0], [4.0]])
    >>> cca_of_pair(pair, ridge=1.0).correlations
    tensor([0.5000], dtype=torch.float64)
    """
    check_cca_options(
        directions=directions,
        ridge=ridge,
        penalty=penalty,
        weights=weights,
        tolerance=tolerance,
        standardise=standardise,
        widest=max(pair.sizes),
    )
    ridge, standardise = float(ridge), bool(standardise)
    values_a, _, values_b, _, _ = pair.bases(standardise)
    ka = _rank(values_a, directions, tolerance)
    kb = _rank(values_b, directions, tolerance)
    key = ("cca", standardise, ka, kb, ridge, penalty)
    result = pair.keep(key, lambda: _solve(pair, standardise, ka, kb, ridge, penalty))
    return pair.keep((*key, weights), lambda: WEIGHTS[weights](result))


def _solve(pair: LayerPair, standardise: bool, ka: int, kb: int, ridge: float, penalty: str) -> CCA:
    values_a, vectors_a, values_b, vectors_b, cross = pair.bases(standardise)
    values_a, values_b, cross = values_a[:ka], values_b[:kb], cross[:ka, :kb]
    (shrink_a, length_a), (shrink_b, length_b) = (
        PENALTIES[penalty](values, ridge, pair.n) for values in (values_a, values_b)
    )
    u, s, vt = _svd(shrink_a[:, None] * cross * shrink_b)
    # Weights in the coordinates of the eigenvectors.
    ga, gb = length_a * (shrink_a[:, None] * u), length_b * (shrink_b[:, None] * vt.mT)
    return CCA(
        weights_a=vectors_a[:, :ka] @ ga,
        weights_b=vectors_b[:, :kb] @ gb,
        correlations=s.clamp(0, 1),
        ranks=(ka, kb),
        n=pair.n,
    )


def _svd(matrix: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Return the singular value decomposition, also where the fast way to it does not converge.

    That happens now and then with fewer examples than neurons: all correlations are 1 then, and
    LAPACK's divide and conquer may give up on values that are all the same. Its QR iteration is
    several times slower, and converges.
    """
    try:
        return torch.linalg.svd(matrix, full_matrices=False)
    except torch.linalg.LinAlgError:
        found = svd(matrix.cpu().numpy(), full_matrices=False, lapack_driver="gesvd")
        return tuple(torch.from_numpy(part).to(matrix) for part in found)


def _rank(values: torch.Tensor, directions, tolerance: float) -> int:
    """Return how many of the decreasing variances `values` are kept."""
    rank = int((values > tolerance * values[0]).sum())
    if isinstance(directions, float):
        shares = values[:rank].cumsum(0) / values[:rank].sum()
        # The last share is 1 up to rounding, hence the bound.
        return min(rank, int((shares < directions).sum()) + 1)
    return rank if directions is None else min(rank, int(directions))


def check_cca_options(
    *,
    directions=None,
    ridge=0.0,
    penalty="norm",
    weights="canonical",
    tolerance=1e-10,
    standardise=True,
    widest=None,
) -> None:
    """Raise ValueError if an option of `cca` is not what it can be.

    Parameters
    ----------
    directions, ridge, penalty, weights, tolerance, standardise
        As for `cca`.
    widest : int, optional
        Largest number of directions, where it is known.

    Raises
    ------
    ValueError
        The message names the option, what was expected and what was found.
    """
    if isinstance(directions, float):
        if not 0 < directions < 1:
            raise ValueError(
                "directions must be a whole number of directions or a share of variance "
                f"strictly between 0 and 1; found {directions!r}"
            )
    elif directions is not None:
        checks.whole_number("directions", directions, 1, widest)
    if not 0 <= checks.as_number(ridge) < float("inf"):
        raise ValueError(f"ridge must be finite and >= 0; found {checks.shown(ridge)}")
    for name, value, known in (("penalty", penalty, PENALTIES), ("weights", weights, WEIGHTS)):
        if not isinstance(value, str) or value not in known:
            raise ValueError(checks.unknown(name, value, known))
    if not 0 <= checks.as_number(tolerance) < 1:
        raise ValueError(f"tolerance must lie in [0, 1); found {checks.shown(tolerance)}")
    checks.as_flag("standardise", standardise)


@dataclass(frozen=True, eq=False)
class BartlettTest:
    """Result of Bartlett's sequential test.

    Attributes
    ----------
    n_significant : int
        Number of canonical correlations before the first test that does not reject.
    statistics, p_values : numpy.ndarray, shape (k,)
        Statistic and p-value of each hypothesis "all correlations from this one on are 0".
    degrees : numpy.ndarray of int, shape (k,)
        Degrees of freedom of each.
    """

    n_significant: int
    statistics: np.ndarray
    p_values: np.ndarray
    degrees: np.ndarray


def bartlett_test(result: CCA, level: float = 0.05) -> BartlettTest:
    r"""Return how many canonical correlations are significant, by Bartlett's sequential test.

    In Lawley's form, for :math:`k = 0, 1, \dots` and the hypothesis that all correlations after
    the first k are 0,

    .. math:: \chi^2_k = -\Big[n - 1 - k - \tfrac12 (p + q + 1) + \sum_{i \le k} \rho_i^{-2}\Big]
              \sum_{i > k} \ln(1 - \rho_i^2), \qquad (p - k)(q - k) \text{ degrees of freedom}

    Parameters
    ----------
    result : CCA
        Without ridge, whose shrunken correlations do not follow the test's distribution; p and q
        are its kept ranks.
    level : float
        Significance level of each single test, in (0, 1).

    Returns
    -------
    BartlettTest
        The count, and statistics, degrees of freedom and p-values of all hypotheses.

    Raises
    ------
    ValueError
        If there are too few examples for the number of directions, or `level` leaves its range.
    TypeError
        If `result` is no `CCA`.

    Notes
    -----
    Source: Section 5.2.2 ("statistically significant relationships ... using Bartlett's test").
    A correlation of exactly 1 makes its logarithm infinite and is taken as 1 - 1e-16.

    Examples
    --------
    >>> rng = np.random.default_rng(0)
    >>> shared, noise = rng.normal(size=(500, 1)), rng.normal(size=(500, 4))
    >>> a = np.hstack([shared, noise[:, :2]])
    >>> b = np.hstack([shared + 0.1 * noise[:, 2:3], noise[:, 3:]])
    >>> bartlett_test(cca(a, b)).n_significant
    1
    """
    if not isinstance(result, CCA):
        raise TypeError(f"expected a CCA; found {checks.shown(result)}")
    if not 0 < checks.as_number(level) < 1:
        raise ValueError(f"level must lie strictly between 0 and 1; found {checks.shown(level)}")
    p, q = result.ranks
    rho2 = np.clip(result.correlations.cpu().numpy() ** 2, 0, 1 - 1e-16)
    k = np.arange(len(rho2))
    before = np.concatenate([[0.0], np.cumsum(1 / np.maximum(rho2[:-1], 1e-300))])[: len(k)]
    factor = result.n - 1 - k - (p + q + 1) / 2 + before
    if len(k) and factor[0] <= 0:
        raise ValueError(
            f"Bartlett's test of {p} and {q} directions needs more than {(p + q + 3) // 2} "
            f"examples; found {result.n}"
        )
    statistics = -factor * np.cumsum(np.log1p(-rho2)[::-1])[::-1]
    degrees = (p - k) * (q - k)
    p_values = chi2.sf(statistics, degrees)
    kept = np.flatnonzero(p_values >= level)
    return BartlettTest(int(kept[0]) if len(kept) else len(k), statistics, p_values, degrees)
