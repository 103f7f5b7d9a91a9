"""Results of others than Uriot and Izzo, measured again: REPAIR of networks without norms."""

from collections.abc import Mapping

import pandas as pd

from ..runs import Record
from ..runs.analysis import prediction
from .config import Config

__all__ = ["REPAIR_OPERATORS", "REPAIR_ROWS", "repair_config", "repair_table"]

#: Rows of REPAIR's table for networks without norms (Jordan et al. 2023): data set, hidden layers,
#: and the accuracies in percent of the parents and, at t = 0.5, of the naive, the aligned and the
#: repaired child. They have one pair a row, and no naive child in the last.
REPAIR_ROWS = {
    "11 layers of 32, MNIST": ("mnist", (32,) * 11, (96.7, 9.7, 58.0, 73.7)),
    "11 layers of 128, MNIST": ("mnist", (128,) * 11, (98.8, 9.7, 80.8, 95.9)),
    "7 layers of 128, MNIST": ("mnist", (128,) * 7, (96.5, None, 71.7, 83.0)),
}

#: Operators of that table, in its order; both `naive` alone and what aligns by correlation.
REPAIR_OPERATORS = ("naive", "sc-pwc", "sc-pwc+repair", "weight-matching", "weight-matching+repair")


def repair_config(row: str, n_pairs: int = 5, seed: int = 0, epochs: int = 100) -> Config:
    """Return the config of a row of `REPAIR_ROWS`.

    Training is the book's, Adam on minibatches of 128; the epochs are those of the table. Neurons
    are compared on training examples, and test examples measure the loss.

    Examples
    --------
    >>> repair_config("7 layers of 128, MNIST").hidden
    (128, 128, 128, 128, 128, 128, 128)
    """
    dataset, hidden, _ = REPAIR_ROWS[row]
    return Config(
        dataset, hidden, epochs, n_pairs, REPAIR_OPERATORS, seed, t=(0, 0.5, 1),
        align_split="train", align_n=10_000,
    )  # fmt: skip


def repair_table(records: Mapping[str, Record]) -> pd.DataFrame:
    """Return each number of REPAIR's table beside ours, and whether they agree.

    The rule, fixed before there was a record: a published accuracy is one pair's, so it *agrees*
    if it lies in the interval in which one more pair of ours would lie with probability 95%
    (`safecross.runs.analysis.prediction`); else it is *higher* or *lower* than ours. A child's
    accuracy is compared with a margin of half a point at each end, since the table is rounded and
    chance alone moves a test accuracy by that much.

    Parameters
    ----------
    records : mapping of str to Record
        By their names in `REPAIR_ROWS`.

    Returns
    -------
    pandas.DataFrame
        network, what, theirs and ours in percent, low, high and verdict; no row where they give no
        number.
    """
    rows = []
    for name, record in records.items():
        table = 100 * record.at(0.5, "accuracy")
        parents = 100 * record.pairs[["accuracy_a", "accuracy_b"]].mean(axis=1)
        ours = {
            "parents": parents,
            "naive": table["naive"],
            "aligned": table["sc-pwc"],
            "aligned + REPAIR": table["sc-pwc+repair"],
        }
        for (what, values), theirs in zip(ours.items(), REPAIR_ROWS[name][2], strict=True):
            if theirs is None:
                continue
            found = prediction(values)
            low, high = found.low - _MARGIN, found.high + _MARGIN
            verdict = "agrees" if low <= theirs <= high else "lower" if theirs < low else "higher"
            rows.append((name, what, theirs, found.value, low, high, verdict))
    columns = ["network", "what", "theirs", "ours", "low", "high", "verdict"]
    return pd.DataFrame(rows, columns=columns)


_MARGIN = 0.5  # points
