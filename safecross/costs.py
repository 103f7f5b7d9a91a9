"""What aligning costs: seconds over n, p and k, with fitted exponents (Section 5.2.3)."""

import time
from collections.abc import Callable, Sequence

import numpy as np
import pandas as pd
import torch

from . import checks
from .cca import cca_of_pair
from .correlation import LayerPair
from .matching import match_components, match_one_to_one

__all__ = ["fit_exponents", "measure_costs", "predicted_exponents"]


def measure_costs(
    n_values: Sequence[int],
    p_values: Sequence[int],
    k_values: Sequence[int],
    repeats: int = 3,
    seed: int = 0,
) -> pd.DataFrame:
    """Measure the steps of both methods on random layers, varying one size at a time.

    Parameters
    ----------
    n_values, p_values, k_values : sequence of int
        Examples, neurons and directions; the largest of each is held while the others vary
        (k no larger than p).
    repeats : int
        Measurements of each; the fastest counts, since what disturbs a measurement only adds.
    seed : int
        Of the layers: ReLU of mixed normal features, so that neurons correlate.

    Returns
    -------
    pandas.DataFrame
        step, varied ("n", "p" or "k"), n, p, k, seconds.

    Raises
    ------
    ValueError
        If a list is empty or `repeats` is below 1.

    Examples
    --------
    >>> table = measure_costs([50, 100], [4, 8], [2, 4], repeats=1)
    >>> sorted(table["varied"].unique())
    ['k', 'n', 'p']
    """
    for name, values in (("n_values", n_values), ("p_values", p_values), ("k_values", k_values)):
        if not len(values):
            raise ValueError(f"{name} must hold at least one size; found none")
    checks.whole_number("repeats", repeats, 1)
    n, p, k = max(n_values), max(p_values), min(max(k_values), max(p_values))
    sizes = [("n", size, p, k) for size in n_values]
    sizes += [("p", n, size, min(k, size)) for size in p_values]
    sizes += [("k", n, p, size) for size in k_values if size <= p]
    rows = []
    for varied, *size in sizes:
        best: dict[str, float] = {}
        for repeat in range(repeats):
            for step, seconds in _steps(*size, seed + repeat).items():
                best[step] = min(seconds, best.get(step, np.inf))
        rows += [(step, varied, *size, seconds) for step, seconds in best.items()]
    return pd.DataFrame(rows, columns=["step", "varied", "n", "p", "k", "seconds"])


def _steps(n: int, p: int, k: int, seed: int) -> dict[str, float]:
    generator = torch.Generator().manual_seed(seed)
    shared = torch.randn(n, p, generator=generator)
    la, lb = ((shared @ torch.randn(p, p, generator=generator) / p**0.5).relu() for _ in range(2))
    pair = LayerPair(la, lb)
    seconds, _ = _timed(lambda: pair.between)
    steps = {"correlation matrix": seconds}
    steps["one-to-one matching"], _ = _timed(lambda: match_one_to_one(pair.between))
    steps["covariances and eigenvectors"], _ = _timed(lambda: pair.bases(True))
    steps["canonical weights"], result = _timed(lambda: cca_of_pair(pair, directions=k))
    steps["Algorithm 1"], _ = _timed(lambda: match_components(result.weights_a, result.weights_b))
    return steps


def _timed(work: Callable):
    start = time.perf_counter()
    result = work()
    return time.perf_counter() - start, result


def fit_exponents(costs: pd.DataFrame) -> pd.DataFrame:
    r"""Fit the exponent of each step's time in each size that was varied.

    .. math:: \log s = \alpha + \beta \log v

    by least squares over the measured sizes v.

    Parameters
    ----------
    costs : pandas.DataFrame
        As `measure_costs` returns it.

    Returns
    -------
    pandas.DataFrame
        step, varied, exponent; only sizes with at least two values.

    Examples
    --------
    >>> table = pd.DataFrame({"step": "s", "varied": "n", "n": [1, 2, 4], "p": 1, "k": 1,
    ...                       "seconds": [1.0, 4.0, 16.0]})
    >>> fit_exponents(table)["exponent"].round(6).tolist()
    [2.0]
    """
    rows = []
    for (step, varied), group in costs.groupby(["step", "varied"], sort=False):
        if group[varied].nunique() > 1:
            slope = np.polyfit(np.log(group[varied]), np.log(group["seconds"]), 1)[0]
            rows.append((step, varied, float(slope)))
    return pd.DataFrame(rows, columns=["step", "varied", "exponent"])


def predicted_exponents() -> pd.DataFrame:
    """Return the largest exponents of the operation counts, the paper's and our steps'.

    The paper (Section 5.2.3) gives O(n p^2 + p^3) for correlation with matching,
    O(2 n p^2 + 2 p^3 + 3 n k^2 + k^3) for SVCCA and O(p^2) for Algorithm 1. Working from
    covariances, our canonical weights do not depend on n.

    Returns
    -------
    pandas.DataFrame
        step, varied, paper, ours.
    """
    rows = [
        ("correlation matrix", "n", 1, 1),
        ("correlation matrix", "p", 2, 2),
        ("one-to-one matching", "n", 0, 0),
        ("one-to-one matching", "p", 3, 3),
        ("covariances and eigenvectors", "n", 1, 1),
        ("covariances and eigenvectors", "p", 3, 3),
        ("canonical weights", "n", 1, 0),
        ("canonical weights", "p", 3, 3),
        ("canonical weights", "k", 3, 3),
        ("Algorithm 1", "n", 0, 0),
        ("Algorithm 1", "p", 2, 2),
        ("Algorithm 1", "k", 1, 1),
    ]
    return pd.DataFrame(rows, columns=["step", "varied", "paper", "ours"])
