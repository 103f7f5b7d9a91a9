"""What else may be made of two networks, beside a child: the ensemble, training, distillation."""

import time
from dataclasses import dataclass
from itertools import pairwise
from typing import ClassVar

import numpy as np
import pandas as pd
import torch

from .. import checks
from ..alignment.operators import align
from ..crossover.curve import interpolate
from ..crossover.distillation import distil
from ..crossover.repair import ensemble_curve
from ..data import load_data
from ..networks.metrics import accuracy, cross_entropy
from ..networks.network import initialise
from ..networks.training import Trainer
from ..runs import Record
from ..runs.analysis import family
from ..runs.config import BaseConfig, network_seed
from ..runs.experiment import Difference, Experiment, Results, register
from .paper import METHOD_PAIRS, methods_config

__all__ = [
    "BASELINES",
    "Baselines",
    "BaselinesConfig",
    "baselines_config",
    "baselines_family",
]

#: What is made of two parents.
BASELINES = {
    "child": "their mean, aligned by SC-PwC",
    "ensemble": "the mean of their logits",
    "trained longer": "the first parent, trained for as many epochs again",
    "distilled": "a copy of the first parent, trained to give the probabilities of both",
    "distilled child": "the child, trained to give the probabilities of both",
}


@dataclass(frozen=True)
class BaselinesConfig(BaseConfig):
    """Pairs of parents of which a child is made, and what else could be.

    Parameters
    ----------
    dataset, hidden, epochs, n_pairs, seed, batch_size, learning_rate
        As of `safecross.replication.config.Config`: the parents are the same.
    align_n : int
        Training examples on which neurons are compared, the first ones in content order.

    Raises
    ------
    ValueError
        If a field leaves its range; the message names the field.

    Examples
    --------
    >>> BaselinesConfig("mnist5k", (8,), 1, 2).to_dict()["kind"]
    'baselines'
    """

    kind: ClassVar[str] = "baselines"

    dataset: str
    hidden: tuple[int, ...]
    epochs: int
    n_pairs: int
    seed: int = 0
    batch_size: int = 128
    learning_rate: float = 1e-3
    align_n: int = 1000

    def __post_init__(self):
        self._set("dataset", str(self.dataset))
        hidden = checks.as_list("hidden", self.hidden)
        self._set("hidden", tuple(checks.whole_number("each width", w, 1) for w in hidden))
        lowest = {"epochs": 1, "n_pairs": 1, "seed": 0, "batch_size": 2, "align_n": 2}
        for name, low in lowest.items():
            self._set(name, checks.whole_number(name, getattr(self, name), low))
        self._set("learning_rate", checks.number_in("learning_rate", self.learning_rate, 0, 1e3))


@register
class Baselines(Experiment):
    """A child beside what else is made of its parents; a unit is a pair."""

    kind: ClassVar[str] = "baselines"
    config_type: ClassVar[type] = BaselinesConfig
    unit: ClassVar[str] = "pair"
    schema: ClassVar = {
        "results": ("pair", "what", "loss", "accuracy"),
        "pairs": ("pair", "seed_a", "seed_b", "loss_a", "loss_b", "accuracy_a", "accuracy_b"),
        "timings": ("pair", "step", "seconds"),
    }

    @property
    def n_units(self) -> int:
        """How many pairs there are."""
        return self.config.n_pairs

    def compute_again(self, unit: int) -> Results:
        """Return a pair's results from nothing."""
        config, data = self.config, load_data(self.config.dataset)
        (x, y), test = data.split("train"), data.split("validation")
        seen = x[: config.align_n]
        rng = torch.Generator().manual_seed(network_seed(config, 2 * unit))
        seconds, networks = {}, {}

        def timed(step, make):
            start = time.perf_counter()
            networks[step] = make()
            seconds[step] = time.perf_counter() - start
            return networks[step]

        trainers = [self._trainer(x, y, 2 * unit + side) for side in (0, 1)]
        a, b = (
            timed(f"train {side}", lambda trainer=trainer: self._trained(trainer, 0))
            for side, trainer in zip("ab", trainers, strict=True)
        )
        child = timed("child", lambda: self._child(a, b, seen))
        timed("trained longer", lambda: self._trained(trainers[0], config.epochs))
        for name, start in (("distilled", a), ("distilled child", child)):
            timed(name, lambda start=start: self._distilled(start, a, b, x, rng))
        ensemble = ensemble_curve(a, b, *test, t=0.5)
        found = {"ensemble": (float(ensemble.loss[0]), float(ensemble.accuracy[0]))}
        for name, network in networks.items():
            logits = network(test[0])
            scores = cross_entropy(logits, test[1]), accuracy(logits, test[1])
            found[name] = tuple(map(float, scores))
        parents = [found.pop(f"train {side}") for side in "ab"]
        values = {"parents": parents, **{f"result.{name}": found[name] for name in BASELINES}}
        values |= {f"seconds.{step}": value for step, value in seconds.items()}
        return {name: torch.tensor(v, dtype=torch.float64) for name, v in values.items()}

    def _trainer(self, x, y, network: int) -> Trainer:
        config, seed = self.config, network_seed(self.config, network)
        classes = load_data(config.dataset).n_classes
        theta = initialise((x.shape[1], *config.hidden, classes), seed)
        return Trainer(theta, x, y, [seed], config.batch_size, config.learning_rate)

    def _trained(self, trainer: Trainer, first: int):
        for epoch in range(first, first + self.config.epochs):
            trainer.epoch(epoch)
        return trainer.network

    def _child(self, a, b, seen):
        return interpolate(*align(a, b, seen, "sc-pwc").apply(a, b), 0.5)

    def _distilled(self, start, a, b, x, rng):
        """Train as long as a parent: the same number of steps and of examples in each."""
        config = self.config
        return distil(
            start, a, b, x, x, rng,
            targets="classes",
            steps=config.epochs * -(-len(x) // config.batch_size),
            batch_size=config.batch_size // 2,
            learning_rate=config.learning_rate,
        )  # fmt: skip

    def tables(self, results) -> dict[str, pd.DataFrame]:
        """Return the record's tables of the pairs' results."""
        made, pairs, timings = [], [], []
        for pair, result in results:
            made += [(pair, what, *result[f"result.{what}"].tolist()) for what in BASELINES]
            seeds = [network_seed(self.config, 2 * pair + side) for side in (0, 1)]
            pairs.append((pair, *seeds, *result["parents"].T.flatten().tolist()))
            timings += [(pair, step, float(result[f"seconds.{step}"])) for step in self._steps]
        return self.frames(made, pairs, timings)

    @property
    def _steps(self) -> list[str]:
        return ["train a", "train b", *(what for what in BASELINES if what != "ensemble")]

    def rows(self, table: str) -> int | None:
        """Return how many rows a table has."""
        each = {"results": len(BASELINES), "pairs": 1, "timings": len(self._steps)}
        return self.n_units * each[table]

    def differences(self, record: Record, unit: int, again: Results) -> list[Difference]:
        """Return by how much losses and accuracies of a pair differ, computed again."""
        found = []
        rows = record.tables["results"].query("pair == @unit").set_index("what")
        for what in BASELINES:
            loss, share = again[f"result.{what}"].tolist()
            kept = rows.loc[what]
            found.append((what, "loss", abs(kept["loss"] - loss) / max(1, kept["loss"]), False))
            found.append((what, "accuracy", abs(kept["accuracy"] - share), False))
        columns = list(self.schema["pairs"][3:])
        kept = record.tables["pairs"].query("pair == @unit")[columns].to_numpy()[0]
        apart = np.abs(kept - again["parents"].T.flatten().numpy())
        found.append(("parents", "loss", float(apart[:2].max()), False))
        return [*found, ("parents", "accuracy", float(apart[2:].max()), False)]

    def memory(self, device: str = "cpu", together: int = 1) -> int:
        """Return the bytes that a process needs."""
        n_train, n_test, shape, n_classes = self.sizes()
        widths = [int(np.prod(shape)), *self.config.hidden, n_classes]
        entries = sum(p * q + q for p, q in pairwise(widths))
        # Data; outputs of both splits; two parents in training, their children and moments.
        outputs = 3 * n_train * n_classes + 2 * n_test * sum(widths[1:])
        return 4 * ((n_train + n_test) * widths[0] + outputs + 20 * entries) + 2**28


def baselines_config(dataset: str, n_pairs: int = METHOD_PAIRS, seed: int = 0) -> BaselinesConfig:
    """Return the experiment on the pairs of `methods_config`.

    Examples
    --------
    >>> baselines_config("cifar10").hidden
    (100, 100, 100)
    """
    other = methods_config(dataset, n_pairs, seed)
    names = ("hidden", "epochs", "batch_size", "learning_rate", "align_n")
    fields = {name: getattr(other, name) for name in names if getattr(other, name) is not None}
    return BaselinesConfig(dataset, n_pairs=n_pairs, seed=seed, **fields)


def baselines_family(record: Record, column: str = "loss") -> pd.DataFrame:
    """Return how everything that is made of two parents compares, as one family.

    All others with the child, and each trained network with the first parent and with the
    ensemble. The rule, fixed before there was a record, is that of
    `safecross.runs.analysis.family`.

    Parameters
    ----------
    record : Record
        Of `baselines_config`.
    column : {"loss", "accuracy"}
        What is compared.
    """
    table = record.tables["results"].pivot(index="pair", columns="what", values=column)
    parent = record.tables["pairs"].set_index("pair")[f"{column}_a"]
    table = table.assign(**{"first parent": parent})
    trained = ("trained longer", "distilled", "distilled child")
    rows = [(what, "child") for what in BASELINES if what != "child"]
    rows += [(what, other) for what in trained for other in ("first parent", "ensemble")]
    return family(table, [*rows, ("distilled child", "distilled")])
