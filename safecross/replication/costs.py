"""What it costs: steps over n, p and k (Section 5.2.3), training, and experiments on paper."""

import pickle
import time
from collections.abc import Callable, Sequence
from itertools import pairwise

import numpy as np
import pandas as pd
import torch
from safetensors.torch import save

from .. import checks, store
from ..alignment.cca import cca_of_pair
from ..alignment.correlation import LayerPair
from ..alignment.matching import match_components, match_one_to_one
from ..networks.training import training_operations
from ..runs import (
    PRODUCT_SIZE,
    Record,
    committed_folder,
    tasks,
)

__all__ = [
    "bfloat16_effect",
    "fit_exponents",
    "load_benchmark",
    "measure_costs",
    "predicted_exponents",
    "project",
    "training_share",
]


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
        (k no larger than p). One with a single value is only held.
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
    # A size that is given one value is held, not varied.
    counts = pd.Series([varied for varied, *_ in sizes]).value_counts()
    sizes = [size for size in sizes if counts[size[0]] > 1] or sizes
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


def load_benchmark() -> dict:
    """Return what ``make bench`` measured: ``book/results/benchmark.json``.

    Returns
    -------
    dict
        Lists of rows by kind: ``rows`` (ratios with their spread), ``costs`` (seconds over
        sizes), ``pairs``, ``wide``, ``workers``, ``bfloat16``; and ``machine``, ``packages``,
        ``finished``, ``wall_seconds``.

    Raises
    ------
    store.DamagedFile
        If the file is missing or is not JSON.

    Examples
    --------
    >>> [row["workers"] for row in load_benchmark()["workers"]]
    [1, 2, 4]
    """
    return store.load_json(committed_folder() / "benchmark.json")


def bfloat16_effect() -> list[str]:
    """Return what bfloat16 products did to parents and offspring in the benchmark, one line each.

    Raises
    ------
    store.DamagedFile
        As `load_benchmark`.

    Examples
    --------
    >>> len(bfloat16_effect())
    2
    """
    rows = pd.DataFrame(load_benchmark()["bfloat16"])
    lines = []
    for name, table in rows.groupby("dataset", sort=False):
        losses = table.set_index("what")[["loss_float32", "loss_bfloat16"]]
        parts = [
            f"{what} {losses.loc[row, 'loss_float32']:.4f} with float32, "
            f"{losses.loc[row, 'loss_bfloat16']:.4f} with bfloat16 products"
            for row, what in (("parents", "parents' loss"), ("sc-pwc", "halfway by sc-pwc"))
        ]
        lines.append(f"on {name}, {table['pairs'].iloc[0]} pairs: {'; '.join(parts)}")
    return lines


def training_share(record: Record) -> pd.Series:
    r"""Return the share of the machine's float32 limit that training reached, pair by pair.

    .. math:: \frac{o_a + o_b}{s_a + s_b} \Big/ \frac{2 m^3}{s}

    with o the operations of `training_operations`, :math:`s_a, s_b` the seconds of training the
    parents, and s those of a product of two m by m matrices on the same thread after the pair.

    Parameters
    ----------
    record : Record
        Whose timings hold that product, as those made since it is measured do.

    Returns
    -------
    pandas.Series
        Shares by pair.

    Raises
    ------
    ValueError
        If the timings lack the product.
    """
    seconds = record.timings.pivot(index="pair", columns="step", values="seconds")
    if "product" not in seconds:
        raise ValueError(f"record {record.name} has no seconds of a large product")
    operations = 2 * training_operations(
        record.manifest["widths"], record.manifest["n_train"], record.config.epochs
    )
    rate = 2 * PRODUCT_SIZE**3 / seconds["product"]
    return operations / (seconds["train a"] + seconds["train b"]) / rate


def project(record: Record, n_pairs: int) -> dict[str, float]:
    """Return what an experiment like a record's would cost with another number of pairs.

    Parameters
    ----------
    record : Record
        Its median seconds a pair, its networks' sizes and its tables are the unit.
    n_pairs : int
        Pairs wanted, >= 1.

    Returns
    -------
    dict of str to float
        ``core_hours``; bytes of ``parents``, ``pair_files`` and ``tables``; and bytes of the
        ``messages`` that carry tasks and replies.

    Raises
    ------
    ValueError
        If `n_pairs` leaves its range.
    """
    checks.whole_number("n_pairs", n_pairs, 1)
    seconds = record.timings.groupby("pair")["seconds"].sum().median()
    widths = record.manifest["widths"]
    parameters = sum(p * q + q for p, q in pairwise(widths))
    tables = sum(path.stat().st_size for path in record.folder.glob("*.parquet"))
    task = next(iter(tasks(record.config, [record.config.n_pairs - 1], record.folder)))
    reply = (1, ("name-of-a-machine", 10**6), 10**10)
    return {
        "core_hours": n_pairs * seconds / 3600,
        "parents": n_pairs * 2 * 4 * parameters,
        "pair_files": n_pairs * _pair_bytes(record),
        "tables": n_pairs * tables / record.config.n_pairs,
        "messages": n_pairs * (len(pickle.dumps(task)) + len(pickle.dumps(reply))),
    }


def _pair_bytes(record: Record) -> int:
    """Return the size of a pair's file."""
    points, one = len(record.config.t), torch.zeros((), dtype=torch.float64)
    tensors = {"parents": torch.zeros(2, 2)}
    for i in range(len(record.config.operators)):
        tensors |= {
            f"{n}.{i}": torch.zeros(points, dtype=torch.float64) for n in ("loss", "accuracy")
        }
    for row in record.statistics.query("pair == 0").itertuples():
        tensors[f"statistic.{row.layer}.{row.statistic}"] = one.clone()
    for row in record.timings.query("pair == 0").itertuples():
        tensors[f"seconds.{row.step}"] = one.clone()
    return len(save(tensors))
