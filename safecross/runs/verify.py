"""Units of a record computed again from nothing, and compared."""

import numpy as np
import pandas as pd

from .. import checks
from . import engine
from .experiment import experiment_of
from .machine import one_thread
from .record import Record

__all__ = ["verify"]


def verify(
    record: Record,
    *,
    n_pairs: int = 3,
    seed: int = 0,
    tolerance: float = 0.1,
    dataset: str | None = None,
) -> pd.DataFrame:
    """Retrain the parents of random pairs, measure them again and compare with a record.

    Parameters
    ----------
    record : Record
        Published or local.
    n_pairs : int
        How many of its pairs, in [1, pairs of the record].
    seed : int
        Chooses the pairs.
    tolerance : float
        Largest accepted difference of losses, relative to max(1, loss); of accuracies; and of
        the counts of neurons and components, relative to the layer's width. On the machine and
        with the versions that made the record 1e-6 will do; another machine rounds otherwise,
        and training amplifies rounding: the default only tells that the experiment is the same,
        not that the pair is. Losses at t outside of [0, 1], and those of operators that repeat
        neurons, explode: they are held to a tolerance up to 1e-3 only.
    dataset : str, optional
        Where the record's data are, if they are a file of one's own.

    Returns
    -------
    pandas.DataFrame
        pair; what (an operator, ``"parents"`` or ``"statistics"``); value (loss, accuracy, loss
        outside [0, 1], share of the width); difference, the largest of them; held, whether it is
        held to the tolerance; and ok.

    Raises
    ------
    MemoryError
        If the parents need more memory than there is.
    ValueError
        If the data's fingerprint is not the record's, or `n_pairs` leaves its range.
    """
    if dataset is None and not experiment_of(record.config).has_data:
        raise ValueError(f"record {record.name} is of data of your own: name their .npz file")
    config = record.config.replace(dataset=dataset or record.config.dataset)
    experiment = experiment_of(config)
    found = experiment.read_fingerprint()
    if found != record.manifest["data_fingerprint"]:
        raise ValueError(
            f"expected data with fingerprint {record.manifest['data_fingerprint']}; found {found}"
        )
    checks.whole_number("n_pairs", n_pairs, 1, experiment.n_units)
    engine.check_memory(experiment.memory())
    chosen = np.random.default_rng(seed).choice(experiment.n_units, n_pairs, replace=False)
    rows = []
    for unit in sorted(int(u) for u in chosen):
        with one_thread():
            again = experiment.compute_again(unit)
        rows += [(unit, *row) for row in experiment.differences(record, unit, again)]
    columns = ["pair", "what", "value", "difference", "explodes"]
    table = pd.DataFrame(rows, columns=columns)
    # Comparisons with NaN are false: a loss that is missing is never ok.
    held = ~table.pop("explodes").astype(bool) | (tolerance <= 1e-3)
    within = (table["difference"] <= tolerance) | (~held & table["difference"].notna())
    return table.assign(held=held, ok=within)
