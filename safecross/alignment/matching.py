"""Pairing neurons: Algorithm 1 (Section 4.1) and matching by correlation (Section 4.2)."""

from typing import NamedTuple

import numpy as np
from scipy.optimize import linear_sum_assignment

from .. import checks

__all__ = [
    "LEFTOVER",
    "Matching",
    "as_components",
    "as_correlations",
    "complete",
    "match_components",
    "match_one_to_one",
    "semi_match",
]

#: How neurons that no canonical component chose are paired.
LEFTOVER = ("index", "correlation")


class Matching(NamedTuple):
    """Two lists of neuron indices of equal length: ``la[i]`` of a goes with ``lb[i]`` of b.

    Attributes
    ----------
    la, lb : numpy.ndarray of int64, shape (m,)
        Indices from 0. A one-to-one matching repeats none; a semi-matching may repeat one side's.
    """

    la: np.ndarray
    lb: np.ndarray


def _matching(la, lb) -> Matching:
    return Matching(np.asarray(la, dtype=np.int64), np.asarray(lb, dtype=np.int64))


def match_components(weights_a, weights_b) -> Matching:
    r"""Match one pair of neurons for each canonical component (Algorithm 1).

    For component k, among the neurons that are still free,

    .. math:: s_- = |\min w^k_a + \min w^k_b|, \qquad s_+ = |\max w^k_a + \max w^k_b|,

    and the pair is (argmax, argmax) if :math:`s_+ > s_-`, else (argmin, argmin).

    Parameters
    ----------
    weights_a : array_like, shape (p, k)
        Canonical weights, one component a column, in order of decreasing correlation.
    weights_b : array_like, shape (q, k)
        Of the other network.

    Returns
    -------
    Matching
        min(k, p, q) pairs in the order of the components, no neuron twice.

    Raises
    ------
    ValueError
        If a matrix is empty or not finite, or the numbers of components differ.

    Notes
    -----
    Source: Algorithm 1 and Section 4.1: if a neuron is part of an earlier pair "we look for the
    next highest positive relationship"; taken neurons are masked and the two ends compared again
    among the free ones.

    Examples
    --------
    >>> match_components([[0.9, 0.8], [0.1, -0.3]], [[0.2, 0.1], [0.7, 0.9]])
    Matching(la=array([0, 1]), lb=array([1, 0]))
    """
    wa, wb = as_components(weights_a, weights_b)
    free_a, free_b = np.arange(len(wa)), np.arange(len(wb))
    la, lb = [], []
    for ka, kb in zip(wa.T, wb.T, strict=True):
        if not len(free_a) or not len(free_b):
            break
        a, b = ka[free_a], kb[free_b]
        positive = abs(a.max() + b.max()) > abs(a.min() + b.min())
        i, j = (a.argmax(), b.argmax()) if positive else (a.argmin(), b.argmin())
        la.append(free_a[i])
        lb.append(free_b[j])
        free_a, free_b = np.delete(free_a, i), np.delete(free_b, j)
    return _matching(la, lb)


def complete(matching: Matching, p: int, q: int, correlation=None) -> Matching:
    """Pair the neurons that a one-to-one matching left over, up to min(p, q) pairs.

    Parameters
    ----------
    matching : Matching
        Pairs already made, no neuron twice; or any two lists of equal length.
    p, q : int
        Numbers of neurons of a and b.
    correlation : array_like, shape (p, q), optional
        If given, the rest is matched so that its sum of correlations is largest (the rule
        ``correlation``); else in the order of the indices (the rule ``index``, which the authors'
        notebook follows).

    Returns
    -------
    Matching
        The pairs of `matching` first, then the rest.

    Raises
    ------
    ValueError
        If the lists differ in length, repeat a neuron or leave the range, or `correlation` is not
        of p rows and q columns.

    Examples
    --------
    >>> start = Matching(np.array([1]), np.array([0]))
    >>> complete(start, 3, 3)
    Matching(la=array([1, 0, 2]), lb=array([0, 1, 2]))
    >>> complete(start, 3, 3, [[0, 0.1, 0.9], [0, 0, 0], [0, 0.8, 0.2]])
    Matching(la=array([1, 0, 2]), lb=array([0, 2, 1]))
    """
    p, q = checks.whole_number("p", p, 0), checks.whole_number("q", q, 0)
    la, lb = checks.as_list("matching", matching)
    la, lb = _neurons("a", la, p), _neurons("b", lb, q)
    if len(la) != len(lb):
        raise ValueError(f"expected lists of equal length; found {len(la)} and {len(lb)} neurons")
    free_a = np.setdiff1d(np.arange(p), la)
    free_b = np.setdiff1d(np.arange(q), lb)
    if correlation is not None:
        correlation = as_correlations(correlation)
        if correlation.shape != (p, q):
            raise ValueError(f"correlations must be of shape {(p, q)}; found {correlation.shape}")
        rest = match_one_to_one(correlation[np.ix_(free_a, free_b)])
        free_a, free_b = free_a[rest.la], free_b[rest.lb]
    m = min(len(free_a), len(free_b))
    return _matching(np.append(la, free_a[:m]), np.append(lb, free_b[:m]))


def _neurons(side: str, indices, size: int) -> np.ndarray:
    """Return one side of a one-to-one matching as int64."""
    found = checks.as_array(f"neurons of {side}", indices)
    whole = found.ndim == 1 and (found.dtype.kind in "iu" or not found.size)
    out = whole and np.any((found < 0) | (found >= size))
    if not whole or out or len(np.unique(found)) != len(found):
        raise ValueError(
            f"expected each neuron of {side} at most once and in [0, {size}); "
            f"found {found.tolist()}"
        )
    return found.astype(np.int64)


def match_one_to_one(correlation) -> Matching:
    r"""Match neurons one to one so that the sum of their correlations is largest.

    .. math:: \max_\pi \sum_i \hat\Sigma_{a,b}^{i, \pi(i)}

    Parameters
    ----------
    correlation : array_like, shape (p, q)
        Correlations between the networks.

    Returns
    -------
    Matching
        min(p, q) pairs in the order of a's neurons, no neuron twice.

    Raises
    ------
    ValueError
        If the matrix is not finite.

    Notes
    -----
    Source: Section 4.2, second method; solved by `scipy.optimize.linear_sum_assignment`.

    Examples
    --------
    >>> match_one_to_one([[0.9, 0.8], [0.7, 0.1]])
    Matching(la=array([0, 1]), lb=array([1, 0]))
    """
    return _matching(*linear_sum_assignment(as_correlations(correlation), maximize=True))


def semi_match(correlation, each: str = "a") -> Matching:
    r"""Match every neuron of one network with its most correlated one of the other.

    .. math:: \pi(i) = \arg\max_j \hat\Sigma_{a,b}^{ij}

    Parameters
    ----------
    correlation : array_like, shape (p, q)
        Correlations between the networks.
    each : {"a", "b"}
        Whose neurons choose: each of a in b (the paper), or each of b in a (the authors'
        notebook). The chosen side may lose some neurons and repeat others.

    Returns
    -------
    Matching
        p pairs if ``each="a"``, q pairs if ``each="b"``, in the order of the choosers.

    Raises
    ------
    ValueError
        If the matrix is empty or not finite, or `each` is neither "a" nor "b".

    Notes
    -----
    Source: Section 4.2, first method.

    Examples
    --------
    >>> semi_match([[0.9, 0.8], [0.7, 0.1]])
    Matching(la=array([0, 1]), lb=array([0, 0]))
    """
    c = as_correlations(correlation)
    if 0 in c.shape:
        raise ValueError(f"a semi-matching needs neurons on both sides; found shape {c.shape}")
    if each == "a":
        return _matching(np.arange(c.shape[0]), c.argmax(axis=1))
    if each == "b":
        return _matching(c.argmax(axis=0), np.arange(c.shape[1]))
    raise ValueError(f"each must be 'a' or 'b'; found {each!r}")


def as_correlations(values) -> np.ndarray:
    """Return correlations as a matrix of float64.

    Raises
    ------
    ValueError
        If they are not a finite matrix.

    Examples
    --------
    >>> as_correlations([[1, 0]])
    array([[1., 0.]])
    """
    c = checks.as_array("correlations", values).astype(np.float64, copy=False)
    if c.ndim != 2 or not np.all(np.isfinite(c)):
        raise ValueError(
            "correlations must be a finite matrix of shape (p, q); found shape "
            f"{c.shape} with {int((~np.isfinite(c)).sum())} entries NaN or infinite"
        )
    return c


def as_components(weights_a, weights_b) -> tuple[np.ndarray, np.ndarray]:
    """Return both networks' canonical weights as matrices of float64, one component a column.

    Raises
    ------
    ValueError
        If one is not a finite matrix, or the numbers of components differ.

    Examples
    --------
    >>> as_components([[1], [0]], [[2]])[1]
    array([[2.]])
    """
    wa, wb = (
        checks.as_array(f"canonical weights of {side}", w).astype(np.float64, copy=False)
        for side, w in (("a", weights_a), ("b", weights_b))
    )
    for side, w in (("a", wa), ("b", wb)):
        if w.ndim != 2 or not len(w) or not np.all(np.isfinite(w)):
            raise ValueError(
                f"canonical weights of {side} must be a finite matrix (neurons, components); "
                f"found shape {w.shape}, {int((~np.isfinite(w)).sum())} entries not finite"
            )
    if wa.shape[1] != wb.shape[1]:
        raise ValueError(
            "both networks must have the same number of canonical components; "
            f"found {wa.shape[1]} and {wb.shape[1]}"
        )
    return wa, wb
