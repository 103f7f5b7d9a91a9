"""The records that findings are written from, and what all findings use."""

from collections.abc import Callable
from functools import cached_property
from pathlib import Path

import pandas as pd

from ...replication import paper
from ...replication.claims import VERDICTS, judge_claims
from ...replication.reasons import load_reasons
from ...runs import Record, load_or_run
from ...runs.analysis import Interval, interval, pair_totals

__all__ = [
    "FINDINGS",
    "PICTURE",
    "Published",
    "accuracy_of",
    "ahead_by",
    "bartlett",
    "bullets",
    "cca_of",
    "dead_of",
    "finding",
    "in_points",
    "inside",
    "leftover_of",
    "loss_of",
    "mean_of",
    "must",
    "parents_of",
    "tally",
]

#: The main result as a picture, for README, below the project's root.
PICTURE = Path("book", "_static", "main-result.png")

#: Every finding by name: a function of the published records that returns Markdown.
FINDINGS: dict[str, Callable[["Published"], str]] = {}


class Published:
    """The published records, each read when a finding asks for it."""

    def main(self, dataset: str) -> Record:
        """Return the main experiment of a data set."""
        n_pairs = paper.FASHION_PAIRS if dataset == "fashion-mnist" else 200
        return self.load(paper.main_config(dataset, n_pairs))

    def sweep(self, dataset: str) -> Record:
        """Return the sweep over directions and ridges of a data set."""
        return self.load(paper.sweep_config(dataset))

    def variants(self, dataset: str) -> dict[str, Record]:
        """Return the audit's variants of a data set by what differs."""
        return {
            label: self.load(paper.variant_config(dataset, **fields))
            for label, fields in paper.variants(dataset).items()
        }

    @cached_property
    def cells(self) -> dict[str, Record]:
        """Records of the ranking's conditions by name."""
        return {
            name: self.load(paper.cell_config(**changes))
            for name, changes in paper.RANKING_CELLS.items()
        }

    @cached_property
    def counts(self) -> dict[int, Record]:
        """Records of MNIST by their number of epochs."""
        return {n: self.load(paper.cell_config("mnist", epochs=n)) for n in paper.COUNT_EPOCHS}

    @cached_property
    def claims(self) -> pd.DataFrame:
        """The table of all claims."""
        names = ("mnist", "cifar10")
        records = {(name, "main"): self.main(name) for name in names}
        return judge_claims(records | {(name, "sweep"): self.sweep(name) for name in names})

    @cached_property
    def reasons(self) -> pd.DataFrame:
        """What was measured to ask why."""
        return load_reasons()

    def load(self, config) -> Record:
        """Return the record of a config, read once."""
        kept = self.__dict__.setdefault("records", {})
        if config not in kept:
            kept[config] = load_or_run(config)
        return kept[config]


def finding(name: str):
    """Return a decorator that enters a function of the records as a finding."""

    def register(write):
        FINDINGS[name] = write
        return write

    return register


def must(holds: bool | None, sentence: str) -> None:
    """Raise if the records do not support a sentence that is about to be written."""
    if not holds:
        raise ValueError(f"the records do not support the sentence {sentence!r}: rewrite it")


def cca_of(record: Record) -> str:
    """Return the record's first form of SC-CCA."""
    return next(op for op in record.config.operators if op.startswith("sc-cca"))


def loss_of(record: Record, operator: str) -> float:
    """Return the mean loss of an operator's offspring at t = 0.5."""
    return record.at(0.5)[operator].mean()


def accuracy_of(record: Record, operator: str) -> float:
    """Return the mean accuracy of an operator's offspring at t = 0.5."""
    return record.at(0.5, "accuracy")[operator].mean()


def parents_of(record: Record, column: str) -> float:
    """Return the parents' mean loss or accuracy."""
    return record.pairs[[f"{column}_a", f"{column}_b"]].to_numpy().mean()


def dead_of(record: Record, layer: int) -> float:
    """Return the share of dead neurons of a hidden layer."""
    rows = record.statistics.query(
        "layer == @layer and statistic in ('dead neurons of a', 'dead neurons of b')"
    )
    return rows["value"].mean() / record.config.hidden[layer - 1]


def leftover_of(dataset: str) -> tuple[str, str]:
    """Return SC-CCA's form of a data set, and that which pairs leftovers by correlation."""
    base = paper.sc_cca(dataset)
    return base, f"{base}{',' if ':' in base else ':'}leftover=correlation"


def in_points(found: Interval) -> str:
    """Return a difference of accuracies in points, with its interval."""
    return (
        f"{100 * found.value:.1f} points of accuracy (95% interval {100 * found.low:.1f} to "
        f"{100 * found.high:.1f})"
    )


def ahead_by(record: Record, first: str, second: str) -> Interval:
    """Return by how much an operator's offspring are more accurate than another's.

    Parameters
    ----------
    record : Record
        Of pairs.
    first, second : str
        Operators.
    """
    accuracy = record.at(0.5, "accuracy")
    return interval(accuracy[first] - accuracy[second])


def bullets(*items: str) -> str:
    """Return items as a Markdown list."""
    return "\n".join(f"- {item}" for item in items)


def mean_of(table: pd.DataFrame, dataset: str, child: str, column: str) -> float:
    """Return the mean of a column of the measured reasons.

    Parameters
    ----------
    table : pandas.DataFrame
        As `load_reasons` returns it.
    dataset, child, column : str
        Which rows, and what of them.
    """
    return table.loc[(table["data set"] == dataset) & (table["child"] == child), column].mean()


def tally(found: Published) -> str:
    """Return how many claims replicate, in a sentence."""
    verdicts = found.claims["verdict"]
    yes, no, open_ = (int((verdicts == verdict).sum()) for verdict in VERDICTS)
    text = f"Of {len(verdicts)} claims of the paper, {yes} replicate and {no} do not."
    return text if not open_ else f"{text[:-1]}; {open_} cannot be decided."


def inside(found: Published, published: int, statistic: str) -> dict[int, Interval]:
    """Return the intervals of a count that hold the published one, by epochs.

    Parameters
    ----------
    found : Published
        The records.
    published : int
        The paper's count.
    statistic : str
        Of the records.
    """
    counts = {n: interval(pair_totals(r, statistic)) for n, r in found.counts.items()}
    return {n: count for n, count in counts.items() if count.contains(published)}


def bartlett(found: Published) -> list[float]:
    """Return Bartlett's count on MNIST for each length of training."""
    statistic = f"significant by Bartlett ({paper.sc_cca('mnist')})"
    return [pair_totals(record, statistic).mean() for record in found.counts.values()]
