"""Experiments whose units are pairs of parents: trained once, kept, and measured two by two."""

import abc
import contextlib
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import ClassVar

import numpy as np
import pandas as pd
import torch

from .. import store
from ..runs.config import network_seed
from . import machine
from .experiment import (
    Difference,
    Experiment,
    Results,
    kind_of_device,
)
from .folder import RunFolder
from .record import Record

__all__ = ["PRODUCT_SIZE", "Clock", "PairExperiment"]

#: Rows and columns of the float32 matrices whose product is timed beside each pair.
PRODUCT_SIZE = 1024


class PairExperiment(Experiment):
    """An experiment on pairs of parents: pair i are the networks 2i and 2i + 1.

    Its config has `n_pairs`, `operators`, `t` and ``parents_hash(fingerprint)`` as well.
    """

    #: What stands between layer and name in the results' names, and what a layer is named by.
    separator: ClassVar[str] = "."
    layer_type: ClassVar[type] = int

    schema: ClassVar = {
        "curves": ("pair", "operator", "t", "loss", "accuracy"),
        "pairs": (
            "pair",
            *(f"{w}_{side}" for w in ("network", "seed", "loss", "accuracy") for side in "ab"),
        ),
        "statistics": ("pair", "layer", "statistic", "value"),
        "timings": ("pair", "step", "seconds"),
    }

    @abc.abstractmethod
    def train(
        self, networks: Sequence[int], device: str = "cpu", together: bool = False
    ) -> list[tuple[object, float]]:
        """Return some of the parents, on the CPU, each with its seconds of training."""

    @abc.abstractmethod
    def save_parent(self, parent, path: Path, about: dict) -> None:
        """Write a parent as safetensors, with what else is to be known of it."""

    @abc.abstractmethod
    def load_parent(self, path: Path):
        """Return the parent that a file holds; raise ValueError if it holds none."""

    @abc.abstractmethod
    def measure(self, parent_a, parent_b) -> Results:
        """Return everything that the record holds of a pair, as float64 tensors by name.

        ``parents`` is 2 x 2: loss and accuracy of each; ``loss.i`` and ``accuracy.i`` are the
        curve of operator i; then ``statistic.<layer><separator><name>`` and ``seconds.<step>``.
        """

    @property
    def n_units(self) -> int:
        """How many pairs there are."""
        return self.config.n_pairs

    @property
    def _parents_mark(self) -> str:
        return self.config.parents_hash(self.fingerprint)

    def parents_folder(self, folder: Path, device: str = "cpu", together: int = 1) -> Path:
        """Return where parents are kept: apart if trained in a way that rounds otherwise."""
        how = "" if device == "cpu" else f"-{kind_of_device(device)}"
        return folder / "parents" / f"{self._parents_mark}{how}{'-together' * (together > 1)}"

    def kept(self, folder: Path, device: str = "cpu", together: int = 1) -> list[Path]:
        """Return the folder of the parents."""
        return [self.parents_folder(folder, device, together)]

    def compute(
        self, units: Sequence[int], folder: RunFolder, device: str = "cpu", together: int = 1
    ) -> Iterator[tuple[int, Results, dict]]:
        """Yield some pairs, their parents read from their files or else trained and kept."""
        parents = self._parents(units, folder.path, device, together)
        for pair in units:
            (a, seconds_a), (b, seconds_b) = parents[2 * pair], parents[2 * pair + 1]
            results = self.measure(a, b)
            # The machine's limit at this moment, beside the training that it is the limit of.
            large = 2 * PRODUCT_SIZE**3 / machine.product_rate(PRODUCT_SIZE, repeats=2)
            for step, seconds in (("train a", seconds_a), ("train b", seconds_b)):
                results[f"seconds.{step}"] = torch.tensor(seconds, dtype=torch.float64)
            results["seconds.product"] = torch.tensor(large, dtype=torch.float64)
            yield pair, results, self._sizes()

    def compute_again(self, unit: int) -> Results:
        """Return a pair's results, its parents trained again."""
        parents = self.train((2 * unit, 2 * unit + 1))
        return self.measure(*(parent for parent, _ in parents))

    def _parents(
        self, pairs: Sequence[int], folder: Path, device: str, together: int
    ) -> dict[int, tuple[object, float]]:
        place = self.parents_folder(folder, device, together)
        networks = [2 * pair + side for pair in pairs for side in (0, 1)]
        found = {network: self._kept_parent(network, place) for network in networks}
        missing = [network for network in networks if found[network] is None]
        # Those that are trained alone are kept one by one.
        for batch in [missing] if together > 1 and missing else [[n] for n in missing]:
            trained = self.train(batch, device, together > 1)
            for network, (parent, seconds) in zip(batch, trained, strict=True):
                about = {"seconds": seconds, "parents": self._parents_mark}
                about |= {"network": network, "device": device}
                self.save_parent(parent, place / f"network-{network:05d}.safetensors", about)
                found[network] = parent, seconds
        return found

    def _kept_parent(self, network: int, place: Path) -> tuple[object, float] | None:
        """Return a parent and its seconds from its file if that is whole and its own, else None."""
        path = place / f"network-{network:05d}.safetensors"
        try:
            about = store.load_tensors(path)[1]
            if (about["parents"], about["network"]) != (self._parents_mark, str(network)):
                return None
            return self.load_parent(path), float(about["seconds"])
        except (store.DamagedFile, ValueError, KeyError):
            return None

    def _sizes(self) -> dict[str, int]:
        n_train, n_validation, shape, n_classes = self.sizes()
        return {
            "n_train": n_train,
            "n_validation": n_validation,
            "n_inputs": int(np.prod(shape)),
            "n_classes": n_classes,
        }

    def about(self, units: Sequence[dict]) -> dict:
        """Return the numbers of examples."""
        return {name: int(units[0][name]) for name in ("n_train", "n_validation")}

    def rows(self, table: str) -> int | None:
        """Return how many rows a table has; None where it depends on what was measured."""
        points = len(self.config.operators) * len(self.config.t)
        return {"pairs": self.n_units, "curves": self.n_units * points}.get(table)

    def tables(self, results) -> dict[str, pd.DataFrame]:
        """Return the record's tables; one pair's tensors are held at a time."""
        config = self.config
        numbers, pairs, statistics, timings = [], [], [], []
        points = {"loss": [], "accuracy": []}
        for pair, result in results:
            numbers.append(pair)
            for column, values in points.items():
                curves = [result[f"{column}.{i}"] for i in range(len(config.operators))]
                values.append(torch.cat(curves).numpy().astype(np.float32))
            networks = (2 * pair, 2 * pair + 1)
            seeds = [network_seed(config, network) for network in networks]
            pairs.append((pair, *networks, *seeds, *result["parents"].T.flatten().tolist()))
            for key, value in result.items():
                kind, _, rest = key.partition(".")
                if kind == "statistic":
                    layer, _, name = rest.partition(self.separator)
                    statistics.append((pair, self.layer_type(layer), name, float(value)))
                elif kind == "seconds":
                    timings.append((pair, rest, float(value)))
        per_pair = len(config.operators) * len(config.t)
        curves = pd.DataFrame(
            {
                "pair": np.repeat(np.asarray(numbers, np.int32), per_pair),
                "operator": np.tile(np.repeat(config.operators, len(config.t)), len(numbers)),
                "t": np.tile(np.float64(config.t), len(numbers) * len(config.operators)),
                **{column: np.concatenate(values or [[]]) for column, values in points.items()},
            }
        )
        return {
            "curves": curves.astype({"operator": "category"}),
            "pairs": pd.DataFrame(pairs, columns=self.schema["pairs"]),
            "statistics": pd.DataFrame(statistics, columns=self.schema["statistics"]).sort_values(
                ["pair", "layer", "statistic"], ignore_index=True
            ),
            "timings": pd.DataFrame(timings, columns=self.schema["timings"]),
        }

    def differences(self, record: Record, unit: int, again: Results) -> list[Difference]:
        """Return what differs between a pair of a record and its results computed again."""
        found = []
        for i, operator in enumerate(self.config.operators):
            rows = record.curves.query("pair == @unit and operator == @operator")
            inside = rows["t"].between(0, 1).to_numpy()
            loss = rows["loss"].to_numpy(float)
            relative = abs(loss - again[f"loss.{i}"].numpy()) / np.maximum(1, loss)
            share = abs(rows["accuracy"].to_numpy(float) - again[f"accuracy.{i}"].numpy())
            found.append((operator, "loss", relative[inside].max(), self.explodes(operator)))
            found.append((operator, "accuracy", share.max(), False))
            if not inside.all():
                found.append((operator, "loss outside [0, 1]", relative[~inside].max(), True))
        (row,) = record.pairs.query("pair == @unit").itertuples()
        kept = np.array([[row.loss_a, row.accuracy_a], [row.loss_b, row.accuracy_b]])
        apart = abs(kept - again["parents"].numpy()).max(axis=0)
        found += [("parents", "loss", apart[0], False), ("parents", "accuracy", apart[1], False)]
        shares = [0.0]
        for row in record.statistics.query("pair == @unit").itertuples():
            new = float(again[f"statistic.{row.layer}{self.separator}{row.statistic}"])
            if not (np.isnan(new) and np.isnan(row.value)):  # not to be had, then as now
                shares.append(abs(new - row.value) / self.scale(row.layer, row.statistic))
        worst = max(shares, key=lambda share: np.inf if np.isnan(share) else share)
        return [*found, ("statistics", "share of the width", worst, False)]

    def explodes(self, operator: str) -> bool:
        """Return whether an operator's losses may be far apart on two machines."""
        return False

    def scale(self, layer, statistic: str) -> float:
        """Return what a difference of a statistic is divided by."""
        return 1.0


class Clock:
    """Seconds of named steps.

    Examples
    --------
    >>> clock = Clock()
    >>> with clock("nothing"):
    ...     pass
    >>> list(clock.seconds)
    ['nothing']
    """

    def __init__(self):
        self.seconds: dict[str, float] = {}

    @contextlib.contextmanager
    def __call__(self, step: str) -> Iterator[None]:
        """Measure one step."""
        start = time.perf_counter()
        yield
        self.seconds[step] = time.perf_counter() - start
