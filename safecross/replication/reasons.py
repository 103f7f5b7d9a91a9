"""Ask why: two measurements behind two findings of the book, kept in one small file.

Why does pairing the leftovers by correlation halve the loss of SC-CCA on MNIST? Chosen and left
neurons are paired by either rule, and all four children are measured. Why does a softmax over the
whole matrix turn the ranking around? That loss is taken apart.

``python -m safecross.replication.reasons`` measures both again (it needs MNIST and CIFAR-10 and
a few minutes); ``--check`` measures the first pair of each data set and compares.
"""

import argparse
import math
import sys
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pandas as pd
import torch

from .. import store
from ..alignment.alignment import Alignment
from ..alignment.cca import cca_of_pair
from ..alignment.correlation import LayerPair
from ..alignment.matching import (
    Matching,
    complete,
    match_components,
    match_one_to_one,
)
from ..alignment.operators import align_layers, layer_pairs
from ..alignment.spelling import parse_operator
from ..crossover.curve import interpolate
from ..data import load_data
from ..networks.metrics import cross_entropy
from ..networks.network import Network
from ..runs import committed_folder, machine_name, progress_bar
from .pairs import train_parents
from .paper import main_config, sc_cca

__all__ = [
    "chosen_and_left",
    "load_reasons",
    "main",
    "measure_pair",
    "softmax_parts",
]

#: Pairs of each data set; the first of the published main experiment.
PAIRS = 20

#: How many of a file's digits another run must reproduce.
TOLERANCE = 1e-3


def chosen_and_left(pair: LayerPair, operator: str) -> dict[str, tuple[Matching, float, float]]:
    r"""Return four matchings of one layer: the neurons that components chose, and those they left.

    Parameters
    ----------
    pair : LayerPair
        Activations of both networks.
    operator : str
        A form of ``sc-cca``, such as ``sc-cca:directions=256``.

    Returns
    -------
    dict of str to (Matching, float, float)
        By how the chosen and the left are paired (``"components, index"``,
        ``"components, correlation"``, ``"correlation, index"``, ``"correlation, correlation"``):
        the matching, and the mean correlation of the pairs among the chosen and among the left,
        NaN where there are none. *correlation* pairs the same neurons of a with the same neurons of
        b, but so that their sum of correlations is largest.
    """
    options = parse_operator(operator)[1]
    result = cca_of_pair(pair, **options)
    chosen = match_components(result.weights_a, result.weights_b)
    between = pair.between.numpy()
    again = match_one_to_one(between[np.ix_(chosen.la, chosen.lb)])
    rematched = Matching(chosen.la[again.la], chosen.lb[again.lb])
    found = {}
    for how, first in (("components", chosen), ("correlation", rematched)):
        for rest, rule in (("index", None), ("correlation", between)):
            whole = complete(first, *pair.sizes, rule)
            means = between[whole.la, whole.lb]
            k = len(first.la)
            left = float(means[k:].mean()) if len(means) > k else math.nan
            found[f"{how}, {rest}"] = whole, float(means[:k].mean()), left
    return found


def softmax_parts(logits: torch.Tensor, y: torch.Tensor) -> dict[str, float]:
    r"""Take the cross-entropy of a softmax over the whole matrix apart.

    With :math:`Z_i = \sum_k e^{z_{ik}}` it is, but for clipping,

    .. math:: \underbrace{\frac1n \sum_i (\log Z_i - z_{i y_i})}_\text{usual loss} + \log n
              + \underbrace{\log \frac1n \sum_i Z_i - \frac1n \sum_i \log Z_i}_\text{unevenness}

    Parameters
    ----------
    logits : torch.Tensor, shape (n, classes)
        Outputs of a network.
    y : torch.Tensor of int, shape (n,)
        Labels.

    Returns
    -------
    dict of str to float
        ``usual``, ``log n``, ``unevenness`` (>= 0 by Jensen's inequality), ``matrix`` (the loss
        itself), and ``even scale``: the loss once logits have standard deviation 1.

    Examples
    --------
    >>> logits = torch.tensor([[2.0, 0.0], [0.0, 5.0]])
    >>> parts = softmax_parts(logits, torch.tensor([0, 1]))
    >>> abs(parts["usual"] + parts["log n"] + parts["unevenness"] - parts["matrix"]) < 1e-9
    True
    """
    z = logits.double()
    sums = z.logsumexp(-1)
    n = len(z)
    return {
        "usual": float(cross_entropy(z, y)),
        "log n": math.log(n),
        "unevenness": float(sums.logsumexp(0) - math.log(n) - sums.mean()),
        "matrix": float(cross_entropy(z, y, "matrix")),
        "even scale": float(cross_entropy(z / z.std(), y, "matrix")),
    }


@torch.no_grad()
def measure_pair(theta_a: Network, theta_b: Network, x, y, operator: str) -> list[dict]:
    """Return everything that is measured of one pair, one row a child at t = 0.5.

    Parameters
    ----------
    theta_a, theta_b : Network
        Parents.
    x, y : torch.Tensor
        Validation examples, to align on and to measure the loss on.
    operator : str
        The data set's form of ``sc-cca``.

    Returns
    -------
    list of dict
        child, loss, correlation of the chosen and of the left (first hidden layer), and the parts
        of the loss over the whole matrix.
    """
    pairs = layer_pairs(theta_a, theta_b, x)
    layers = [chosen_and_left(pair, operator) for pair in pairs]
    rows = []
    for how in layers[0]:
        alignment = Alignment("sc-cca", tuple(layer[how][0] for layer in layers))
        row = {"child": how, "chosen": layers[0][how][1], "left": layers[0][how][2]}
        rows.append(row | _child(theta_a, theta_b, alignment, x, y))
    for name in ("naive", "sc-pwc"):
        alignment = align_layers(theta_a, theta_b, pairs, name)
        rows.append({"child": name} | _child(theta_a, theta_b, alignment, x, y))
    return rows


def _child(theta_a, theta_b, alignment, x, y) -> dict:
    logits = interpolate(*alignment.apply(theta_a, theta_b), 0.5)(x)
    parts = softmax_parts(logits, y)
    return {"loss": parts["usual"], "spread of logits": float(logits.double().std()), **parts}


def _measure(dataset: str, pairs: Sequence[int]) -> list[dict]:
    config = main_config(dataset)
    x, y = load_data(dataset).split("validation")
    rows = []
    for pair in progress_bar(pairs, desc=f"reasons, {dataset}"):
        (theta_a, _), (theta_b, _) = train_parents(config, (2 * pair, 2 * pair + 1))
        for row in measure_pair(theta_a, theta_b, x, y, sc_cca(dataset)):
            rows.append({"data set": dataset, "pair": pair, **row})
    return rows


def load_reasons() -> pd.DataFrame:
    """Return what this module's command measured: ``book/results/reasons.json``.

    Returns
    -------
    pandas.DataFrame
        data set, pair and the columns of `measure_pair`.

    Raises
    ------
    store.DamagedFile
        If the file is missing or altered.
    """
    return pd.DataFrame(store.load_sealed(_path())["rows"])


def _path() -> Path:
    return committed_folder() / "reasons.json"


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure both again, or compare the first pair (``--check``)."""
    parser = argparse.ArgumentParser(
        prog="python -m safecross.replication.reasons", description=main.__doc__
    )
    parser.add_argument("--check", action="store_true", help="compare one pair of each data set")
    options = parser.parse_args(arguments)
    torch.set_num_threads(1)  # as the published records were made
    rows = [
        row
        for dataset in ("mnist", "cifar10")
        for row in _measure(dataset, range(1 if options.check else PAIRS))
    ]
    if options.check:
        return _compare(pd.DataFrame(rows))
    rows = [{k: _rounded(v) for k, v in row.items()} for row in rows]
    store.save_json(_path(), store.sealed({"rows": rows, "machine": machine_name()}))
    return 0


def _compare(again: pd.DataFrame) -> int:
    kept = load_reasons().query("pair == 0").reset_index(drop=True)
    numbers = again.select_dtypes("number").columns
    apart = (again[numbers] - kept[numbers]).abs().max(axis=None)
    good = bool(apart <= TOLERANCE) and again["child"].equals(kept["child"])
    print(f"reasons: one pair of each data set {'agrees' if good else 'DIFFERS'} ({apart:.1e})")
    return int(not good)


def _rounded(value):
    if not isinstance(value, float):
        return value
    return None if math.isnan(value) else round(value, 6)


if __name__ == "__main__":
    sys.exit(main())
