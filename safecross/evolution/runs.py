"""Experiments on genetic algorithms: arms side by side, run after run, as one record."""

import functools
import hashlib
import itertools
import math
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

import numpy as np
import pandas as pd
import torch

from .. import checks, store
from ..data import load_data
from ..networks.states import network_of, state_of
from ..runs.config import BaseConfig, network_seed
from ..runs.experiment import (
    Difference,
    Experiment,
    Results,
    fingerprint,
    register,
)
from ..runs.folder import RunFolder
from ..runs.record import Record
from .arms import parse_arm
from .batched import GYMNAX, VERSION, environment
from .genetic import (
    COLUMNS,
    Setting,
    State,
    advance,
    begin,
    champion,
)
from .tasks import Classification, SwingUp, Task

__all__ = ["SWING_UP", "EvolutionConfig", "EvolutionRuns", "TaskExperiment"]

#: The task that needs no data, and what names it in hashes: its equations and start.
SWING_UP = "swing-up"

_VERSION = "swing-up: cart 1, pole .1, half .5, force 10, step .04, start .1, track 2.4"


@dataclass(frozen=True)
class EvolutionConfig(BaseConfig):
    """Runs of a genetic algorithm with several ways to make children.

    Parameters
    ----------
    dataset : str
        What is evolved for: ``swing-up``, an environment of gymnax, such as
        ``gymnax:Pendulum-v1``, or the data set that is to be classified, by its name or as the path
        of an ``.npz``.
    arms : tuple of str
        Each as `parse_arm` reads it. Run i of every arm has the same first population, and the
        same episodes in its i-th generation.
    n_runs : int
        Runs of each arm; fewer runs are always the first ones of more.
    generations : int
        Of each run.
    seed : int
        Of the whole experiment, >= 0.
    hidden, population, parents, align_n
        As for `Setting`.
    episodes : int
        Episodes of one evaluation where there are any.
    held_out : int
        Episodes on which the champion is measured at the end; of a data set all its test examples
        are taken.

    Raises
    ------
    ValueError
        If a field leaves its range; the message names the field.

    Examples
    --------
    >>> EvolutionConfig("swing-up", ("mutation", "sc-pwc/neuron"), 1, 2).hidden
    (64, 64)
    """

    kind: ClassVar[str] = "evolution"

    dataset: str
    arms: tuple[str, ...]
    n_runs: int
    generations: int
    seed: int = 0
    hidden: tuple[int, ...] = (64, 64)
    population: int = 64
    parents: int = 13
    align_n: int = 128
    episodes: int = 4
    held_out: int = 32

    def __post_init__(self):
        for name in ("arms", "hidden"):
            self._set(name, tuple(checks.as_list(name, getattr(self, name))))
        self._set("dataset", str(self.dataset))
        self._set("hidden", tuple(checks.whole_number("each width", w, 1) for w in self.hidden))
        lowest = {"n_runs": 1, "generations": 1, "seed": 0, "population": 2, "parents": 2}
        lowest |= {"align_n": 2, "episodes": 1, "held_out": 1}
        for name, low in lowest.items():
            self._set(name, checks.whole_number(name, getattr(self, name), low))
        for arm in self.arms:
            parse_arm(arm)
        if not self.arms or len(set(self.arms)) != len(self.arms):
            raise ValueError(f"arms must name at least one, none twice; found {list(self.arms)}")
        _ = self.setting

    @property
    def setting(self) -> Setting:
        """Sizes of the algorithm."""
        return Setting(self.hidden, self.population, self.parents, self.align_n)

    def run_seed(self, run: int) -> int:
        """Return the seed of one run, whatever its arm."""
        return network_seed(self, run)


class TaskExperiment(Experiment):
    """What experiments share whose networks do a task: with a pole, of gymnax, or a data set's.

    Their configs have `dataset`, `hidden`, `population`, `align_n`, `episodes` and `held_out`.
    """

    def tasks(self) -> tuple[Task, Task]:
        """Return the task of the generations, and that on which champions are measured."""
        if self.without_data:
            make = SwingUp if self.config.dataset == SWING_UP else self._environment
            return make(self.config.episodes), make(self.config.held_out)
        data = load_data(self.config.dataset)
        return Classification(data), Classification(data, None, "validation")

    def _environment(self, episodes: int) -> Task:
        return environment(self.config.dataset, episodes)

    @property
    def without_data(self) -> bool:
        """Whether the task needs no data set."""
        return self.config.dataset == SWING_UP or self.config.dataset.startswith(GYMNAX)

    @functools.cached_property
    def fingerprint(self) -> str:
        """The data's fingerprint; of a task without data a hash of what it is."""
        if self.without_data:
            what = f"{self.config.dataset} of gymnax {VERSION}, 200 steps"
            what = _VERSION if self.config.dataset == SWING_UP else what
            return hashlib.sha256(what.encode()).hexdigest()
        return fingerprint(self.config.dataset)

    def named(self, data_fingerprint: str) -> str:
        """Return the record's name; it is a folder's, which no colon should be in."""
        return super().named(data_fingerprint).replace(":", "-")

    def read_fingerprint(self) -> str:
        """Return the fingerprint, the data read for it where there are any."""
        return self.fingerprint if self.without_data else super().read_fingerprint()

    @property
    def has_data(self) -> bool:
        """Whether its data can be had by name, or it needs none."""
        return self.without_data or super().has_data

    def memory(self, device: str = "cpu", together: int = 1) -> int:
        """Return the bytes that a process needs."""
        config = self.config
        examples = 0
        if self.without_data:
            task, _ = self.tasks()
            n_inputs, n_outputs = task.n_inputs, task.n_outputs
        else:
            n_train, n_test, shape, n_outputs = self.sizes()
            n_inputs = math.prod(shape)
            examples = (n_train + n_test) * n_inputs + config.population * n_test * n_outputs
        widths = [n_inputs, *config.hidden, n_outputs]
        entries = sum(a * b + b for a, b in itertools.pairwise(widths))
        widest = max(widths)
        # Members, children, noise and what alignment holds of activations and correlations.
        held = config.population * (8 * entries + 6 * widest * (config.align_n + widest))
        return 4 * (examples + held) + 2**28


@register
class EvolutionRuns(TaskExperiment):
    """Runs of genetic algorithms; a unit is one run of every arm."""

    kind: ClassVar[str] = "evolution"
    config_type: ClassVar[type] = EvolutionConfig
    unit: ClassVar[str] = "run"
    schema: ClassVar = {
        "generations": ("run", "arm", "generation", *COLUMNS),
        "champions": ("run", "arm", "seed", "score"),
        "timings": ("run", "step", "seconds"),
    }

    @property
    def n_units(self) -> int:
        """How many runs there are of each arm."""
        return self.config.n_runs

    def compute(
        self, units: Sequence[int], folder: RunFolder, device: str = "cpu", together: int = 1
    ) -> Iterator[tuple[int, Results, dict]]:
        """Yield some runs; the state of each is kept after every generation."""
        for run in units:
            places = [self._place(folder, run, arm) for arm in range(len(self.config.arms))]
            yield run, self._run(run, places), {}
            for place in places:
                place.unlink(missing_ok=True)

    def compute_again(self, unit: int) -> Results:
        """Return a run's results from nothing."""
        return self._run(unit, [None] * len(self.config.arms))

    def _place(self, folder: RunFolder, run: int, arm: int) -> Path:
        return folder.record / "states" / f"run-{run:05d}-arm-{arm:02d}.safetensors"

    def kept(self, folder: Path, device: str = "cpu", together: int = 1) -> list[Path]:
        """Return the folder of the states."""
        return [RunFolder(self, folder).record / "states"]

    def _run(self, run: int, places: Sequence[Path | None]) -> Results:
        config, results = self.config, {}
        task, held_out = self.tasks()
        seed = config.run_seed(run)
        for i, (arm, place) in enumerate(zip(config.arms, places, strict=True)):
            start = time.perf_counter()
            state = _kept(place, self.name) or begin(task, config.setting, seed)
            for _ in range(len(state.history), config.generations):
                state = advance(task, parse_arm(arm), config.setting, seed, state)
                if place:
                    _keep(state, place, self.name)
            best, score = champion(task, held_out, seed, state)
            results[f"history.{i}"] = state.history
            results[f"score.{i}"] = torch.tensor(score, dtype=torch.float64)
            results[f"seconds.{i}"] = torch.tensor(time.perf_counter() - start, dtype=torch.float64)
            results |= {f"champion.{i}.{name}": t for name, t in state_of(best).items()}
        return results

    def tables(self, results) -> dict[str, pd.DataFrame]:
        """Return the record's tables of the runs' results."""
        config = self.config
        generations, champions, timings = [], [], []
        for run, result in results:
            for i, arm in enumerate(config.arms):
                rows = enumerate(result[f"history.{i}"].tolist())
                generations += [(run, arm, generation, *row) for generation, row in rows]
                champions.append((run, arm, config.run_seed(run), float(result[f"score.{i}"])))
                timings.append((run, arm, float(result[f"seconds.{i}"])))
        tables = self.frames(generations, champions, timings)
        smaller = dict.fromkeys(COLUMNS[:5], "float32") | {"run": "int32", "generation": "int32"}
        tables["generations"] = tables["generations"].astype(smaller)
        return tables

    def rows(self, table: str) -> int | None:
        """Return how many rows a table has."""
        once = self.n_units * len(self.config.arms)
        return once * (self.config.generations if table == "generations" else 1)

    def differences(self, record: Record, unit: int, again: Results) -> list[Difference]:
        """Return by how much a run's bests and champions differ, computed again."""
        found = []
        for i, arm in enumerate(self.config.arms):
            rows = record.tables["generations"].query("run == @unit and arm == @arm")
            best = rows["best"].to_numpy(float)
            # Relative to the size of the returns, which tables hold to single precision.
            apart = np.abs(best - again[f"history.{i}"][:, 0].numpy()) / np.maximum(1, abs(best))
            kept = record.tables["champions"].query("run == @unit and arm == @arm")
            score = float(kept["score"].iloc[0])
            score = abs(score - float(again[f"score.{i}"])) / max(1, abs(score))
            # Selection amplifies rounding: on another machine only the first generation is near.
            found.append((arm, "best of the first generation", float(apart[0]), False))
            found.append((arm, "best of all generations", float(apart.max()), True))
            found.append((arm, "champion", score, True))
        return found


def _keep(state: State, place: Path, name: str) -> None:
    tensors = state_of(state.members)
    tensors |= {"founders": state.founders, "history": state.history}
    # One a generation: waiting for the disk would take longer than the generation, and a state that
    # a failing machine spoils is only computed again.
    store.save_tensors(place, tensors, {"record": name}, flush=False)


def _kept(place: Path | None, name: str) -> State | None:
    """Return the state that a file holds if it is whole and of this record, else None."""
    if place is None:
        return None
    try:
        tensors, about = store.load_tensors(place)
        if about.get("record") != name:
            return None
        founders, history = tensors.pop("founders"), tensors.pop("history")
        return State(network_of(tensors), founders, history)
    except (store.DamagedFile, ValueError, KeyError):
        return None
