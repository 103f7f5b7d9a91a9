"""Networks that are trained side by side and averaged, aligned before or not."""

import time
from dataclasses import dataclass
from itertools import pairwise
from typing import ClassVar

import numpy as np
import pandas as pd
import torch

from .. import checks
from ..modules.architectures import parse_architecture
from ..runs.config import BaseConfig
from ..runs.experiment import (
    Difference,
    Experiment,
    Results,
    register,
)
from ..runs.record import Record
from .side_by_side import Chains, Modules, SideBySide

__all__ = ["POLICIES", "Averaging", "AveragingConfig"]

#: What is done every few epochs with networks in training.
POLICIES = {
    "apart": "nothing: the networks are trained each for itself",
    "never": "all become their mean, never aligned",
    "once": "all become their mean, aligned the first time only",
    "always": "all become their mean, aligned every time",
    "same": "all become their mean, never aligned, but they started from one initialisation",
    "pull": "each moves a little towards the mean after each epoch, never aligned (PAPA)",
}


@dataclass(frozen=True)
class AveragingConfig(BaseConfig):
    """Networks trained side by side on the same examples, each in an order of its own.

    Parameters
    ----------
    dataset : str
        A known data set's name, or the path of an ``.npz`` of one's own.
    hidden : tuple of int
        Widths of the hidden layers.
    networks : int
        How many are trained side by side, >= 2.
    epochs, period : int
        Passes over the examples, and how many of them lie between two averagings; the last
        averaging follows the last epoch.
    n_runs : int
        Runs, each of every policy; fewer runs are always the first ones of more.
    policies : tuple of str
        Names in `POLICIES`.
    seed : int
        Of the whole experiment, >= 0.
    train_n : int
        Training examples, the first ones in content order.
    align_n : int
        Training examples on which neurons are compared, the first ones too.
    pull : float
        How far ``pull`` moves each network to the mean after each epoch, in [0, 1].
    batch_size, learning_rate
        Of the training: by Adam, or of modules as `safecross.modules.training.train` does.
    architecture : str
        Of modules, as `safecross.modules.architectures.build` reads it; `hidden` is then empty. By
        default the networks are chains of Linear and ReLU.
    test_n : int
        Test examples on which the members are measured after each epoch, the first ones in content
        order; 0 for all. What is made of them in the end is measured on all.

    Raises
    ------
    ValueError
        If a field leaves its range; the message names the field.

    Examples
    --------
    >>> AveragingConfig("mnist5k", (8,), 2, 4, 2, 1).policies
    ('apart', 'never', 'once', 'always', 'same', 'pull')
    """

    kind: ClassVar[str] = "averaging"
    newer: ClassVar[tuple[str, ...]] = ("architecture", "test_n")

    dataset: str
    hidden: tuple[int, ...]
    networks: int
    epochs: int
    period: int
    n_runs: int
    policies: tuple[str, ...] = tuple(POLICIES)
    seed: int = 0
    train_n: int = 5000
    align_n: int = 1000
    pull: float = 0.04
    batch_size: int = 128
    learning_rate: float = 1e-3
    architecture: str = ""
    test_n: int = 0

    def __post_init__(self):
        for name in ("hidden", "policies"):
            self._set(name, tuple(checks.as_list(name, getattr(self, name))))
        for name in ("dataset", "architecture"):
            self._set(name, str(getattr(self, name)))
        if self.architecture:
            parse_architecture(self.architecture)
        if bool(self.hidden) == bool(self.architecture):
            raise ValueError(
                "expected hidden widths of chains or an architecture of modules, not both; found "
                f"{list(self.hidden)} and {self.architecture!r}"
            )
        self._set("hidden", tuple(checks.whole_number("each width", w, 1) for w in self.hidden))
        lowest = {"networks": 2, "epochs": 1, "period": 1, "n_runs": 1, "seed": 0}
        lowest |= {"train_n": 1, "align_n": 2, "batch_size": 1, "test_n": 0}
        for name, low in lowest.items():
            self._set(name, checks.whole_number(name, getattr(self, name), low))
        if self.epochs % self.period:
            raise ValueError(
                f"epochs must be a multiple of period, so that averaging ends the training; found "
                f"{self.epochs} and {self.period}"
            )
        self._set("pull", checks.number_in("pull", self.pull, 0, 1))
        self._set("learning_rate", checks.number_in("learning_rate", self.learning_rate, 0, 1e3))
        for policy in self.policies:
            if policy not in POLICIES:
                raise ValueError(checks.unknown("policy", policy, POLICIES))
        if not self.policies or len(set(self.policies)) != len(self.policies):
            raise ValueError(f"policies must name at least one, none twice; found {self.policies}")


@register
class Averaging(Experiment):
    """Averaging of networks in training; a unit is one run of every policy."""

    kind: ClassVar[str] = "averaging"
    config_type: ClassVar[type] = AveragingConfig
    unit: ClassVar[str] = "run"
    schema: ClassVar = {
        "epochs": ("run", "policy", "epoch", "accuracy", "moved"),
        "results": ("run", "what", "loss", "accuracy"),
        "timings": ("run", "step", "seconds"),
    }

    @property
    def n_units(self) -> int:
        """How many runs there are of each policy."""
        return self.config.n_runs

    def compute_again(self, unit: int) -> Results:
        """Return a run's results from nothing."""
        results = {}
        for policy in self.config.policies:
            start = time.perf_counter()
            for name, values in self._policy(unit, policy).items():
                results[name] = torch.as_tensor(values, dtype=torch.float64)
            seconds = time.perf_counter() - start
            results[f"seconds.{policy}"] = torch.tensor(seconds, dtype=torch.float64)
        return results

    def _seeds(self, run: int) -> list[int]:
        sequence = np.random.SeedSequence([self.config.seed, run])
        drawn = sequence.generate_state(self.config.networks, np.uint64)
        return [int(number >> np.uint64(1)) for number in drawn]

    def _policy(self, run: int, policy: str) -> Results:
        config, seeds = self.config, self._seeds(run)
        starts = [seeds[0]] * len(seeds) if policy == "same" else seeds
        networks = self._networks(config, starts, seeds)
        rows = []
        for epoch in range(config.epochs):
            networks.epoch(epoch)
            found, moved = networks.accuracy(), 0.0
            if policy == "pull":
                networks.pull(config.pull)
            elif policy != "apart" and (epoch + 1) % config.period == 0:
                if policy == "always" or (policy == "once" and epoch + 1 == config.period):
                    moved = networks.align()
                networks.gather()
            rows.append((found, moved))
        made = networks.made() if policy == "apart" else {policy: networks.of_mean()}
        results = {f"result.{name}": value for name, value in made.items()}
        return {f"epochs.{policy}": rows, **results}

    @property
    def _networks(self) -> type[SideBySide]:
        return Modules if self.config.architecture else Chains

    @property
    def _made(self) -> list[str]:
        rest = [policy for policy in self.config.policies if policy != "apart"]
        return [*(self._networks.kinds if "apart" in self.config.policies else ()), *rest]

    def tables(self, results) -> dict[str, pd.DataFrame]:
        """Return the record's tables of the runs' results."""
        epochs, made, timings = [], [], []
        for run, result in results:
            for policy in self.config.policies:
                rows = enumerate(result[f"epochs.{policy}"].tolist(), start=1)
                epochs += [(run, policy, epoch, *row) for epoch, row in rows]
                timings.append((run, policy, float(result[f"seconds.{policy}"])))
            made += [(run, what, *result[f"result.{what}"].tolist()) for what in self._made]
        return self.frames(epochs, made, timings)

    def rows(self, table: str) -> int | None:
        """Return how many rows a table has."""
        policies = len(self.config.policies)
        each = {"epochs": policies * self.config.epochs, "results": len(self._made)}
        return self.n_units * each.get(table, policies)

    def differences(self, record: Record, unit: int, again: Results) -> list[Difference]:
        """Return by how much losses and accuracies of a run differ, computed again."""
        found = []
        for row in record.tables["results"].query("run == @unit").itertuples():
            loss, share = again[f"result.{row.what}"].tolist()
            found.append((row.what, "loss", abs(row.loss - loss) / max(1, loss), False))
            found.append((row.what, "accuracy", abs(row.accuracy - share), False))
        return found

    def memory(self, device: str = "cpu", together: int = 1) -> int:
        """Return the bytes that a process needs."""
        config = self.config
        n_train, n_test, shape, n_classes = self.sizes()
        if config.architecture:  # modules: images twice, and what a batch of the test needs
            return 2**30 + 3 * 4 * (n_train + n_test) * int(np.prod(shape))
        widths = [int(np.prod(shape)), *config.hidden, n_classes]
        entries = sum(a * b + b for a, b in pairwise(widths))
        held = config.networks * (8 * entries + 4 * n_test * sum(widths[1:]))
        return 4 * ((n_train + n_test) * widths[0] + held) + 2**28
