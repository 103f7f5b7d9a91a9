"""Networks that know half of the classes each are mated: which selection lets children live."""

import time
from dataclasses import dataclass
from itertools import pairwise
from typing import ClassVar, NamedTuple

import numpy as np
import pandas as pd
import torch

from .. import checks
from ..alignment.registry import get_operator
from ..data import load_data
from ..networks.network import Network, initialise, stack
from ..networks.training import Trainer
from ..runs.config import BaseConfig, network_seed
from ..runs.experiment import Difference, Experiment, Results, register
from ..runs.record import Record
from .genetic import draw, joined
from .mating import partners, recombined
from .niches import SELECTIONS

__all__ = ["FOUNDERS", "Specialists", "SpecialistsConfig", "parse_selection"]

_TRAINED = "+training"

_COPIES = "copies"

#: What the table of champions calls the networks that all started from: their means.
FOUNDERS = "founders"


@dataclass(frozen=True)
class SpecialistsConfig(BaseConfig):
    """Specialists for either half of the classes, mated under several selections.

    Parameters
    ----------
    dataset : str
        A known data set's name, or the path of an ``.npz`` of one's own.
    arms : tuple of str
        Each ``method/selection``, and perhaps ``+training`` after it, see
        `parse_selection`.
    n_runs, generations, seed
        Runs, each of every arm from the same founders; generations; seed of the whole experiment.
    hidden : tuple of int
        Widths of the hidden layers.
    specialists : int
        Founders for each half; the population has twice as many members, and has as many children.
    epochs : int
        For which founders are trained, on the examples of their half.
    train_n, score_n, align_n : int
        Training examples, the first ones in content order: on which founders are trained; on which
        members are selected; on which neurons are compared.
    extra_n : int
        Examples, drawn anew each generation, on which children of a ``+training`` arm are trained
        for one epoch before they are selected.
    least_t : float
        Children are straight means whose share of the second parent is drawn from
        [least_t, 1 - least_t]; in [0, 0.5].
    batch_size, learning_rate
        Of all training.

    Raises
    ------
    ValueError
        If a field leaves its range; the message names the field.

    Examples
    --------
    >>> SpecialistsConfig("mnist5k", ("naive/truncation",), 1, 2).specialists
    10
    """

    kind: ClassVar[str] = "specialists"

    dataset: str
    arms: tuple[str, ...]
    n_runs: int
    generations: int
    seed: int = 0
    hidden: tuple[int, ...] = (64,)
    specialists: int = 10
    epochs: int = 10
    train_n: int = 5000
    score_n: int = 2000
    align_n: int = 500
    extra_n: int = 1000
    least_t: float = 0.25
    batch_size: int = 64
    learning_rate: float = 1e-3

    def __post_init__(self):
        for name in ("hidden", "arms"):
            self._set(name, tuple(checks.as_list(name, getattr(self, name))))
        self._set("dataset", str(self.dataset))
        self._set("hidden", tuple(checks.whole_number("each width", w, 1) for w in self.hidden))
        lowest = {"n_runs": 1, "generations": 1, "seed": 0, "specialists": 1, "epochs": 1}
        lowest |= {"train_n": 2, "score_n": 2, "align_n": 2, "extra_n": 1, "batch_size": 1}
        for name, low in lowest.items():
            self._set(name, checks.whole_number(name, getattr(self, name), low))
        self._set("least_t", checks.number_in("least_t", self.least_t, 0, 0.5))
        self._set("learning_rate", checks.number_in("learning_rate", self.learning_rate, 0, 1e3))
        for arm in self.arms:
            parse_selection(arm)
        if not self.arms or len(set(self.arms)) != len(self.arms):
            raise ValueError(f"arms must name at least one, none twice; found {list(self.arms)}")


def parse_selection(text: str) -> tuple[str, str, bool]:
    """Return method and selection of an arm, and whether its children are trained.

    The method ``copies`` crosses nothing over: each child is a copy of its first parent.

    Raises
    ------
    ValueError
        If a name is unknown, or the method does not permute.

    Examples
    --------
    >>> parse_selection("sc-pwc/truncation+training")
    ('sc-pwc', 'truncation', True)
    """
    if not isinstance(text, str):
        raise ValueError(f"an arm must be a word; found {checks.shown(text)}")
    method, _, selection = text.removesuffix(_TRAINED).partition("/")
    if method != _COPIES and not get_operator(method).preserves_function:
        raise ValueError(f"{method} repeats or mixes neurons; expected one that permutes")
    if selection not in SELECTIONS:
        raise ValueError(checks.unknown("selection", selection, SELECTIONS))
    return method, selection, text.endswith(_TRAINED)


class _State(NamedTuple):
    """Members, and of which halves each has ancestors: bool, shape (n, 2)."""

    members: Network
    ancestors: torch.Tensor


@register
class Specialists(Experiment):
    """Specialists mated under several selections; a unit is one run of every arm."""

    kind: ClassVar[str] = "specialists"
    config_type: ClassVar[type] = SpecialistsConfig
    unit: ClassVar[str] = "run"
    schema: ClassVar = {
        "generations": ("run", "arm", "generation", "best", "mixed", "born", "lived"),
        "champions": ("run", "arm", "accuracy", "first_half", "second_half"),
        "timings": ("run", "step", "seconds"),
    }

    @property
    def n_units(self) -> int:
        """How many runs there are of each arm."""
        return self.config.n_runs

    def compute_again(self, unit: int) -> Results:
        """Return a run's results from nothing."""
        config, start = self.config, time.perf_counter()
        data = load_data(config.dataset)
        train, test = data.split("train"), data.split("validation")
        boundary = data.n_classes // 2
        if not boundary:
            raise ValueError(f"expected at least two classes in {config.dataset}; found one")
        founders = self._founders(unit, *train, boundary, data.n_classes)
        results = {f"champion.{FOUNDERS}": _halves(founders.members, *test, boundary).mean(1)}
        results[f"seconds.{FOUNDERS}"] = _since(start)
        for i, arm in enumerate(config.arms):
            start, state, rows = time.perf_counter(), founders, []
            rng = torch.Generator().manual_seed(network_seed(config, 2 * unit + 1))
            for _ in range(config.generations):
                state, row = self._next(arm, state, *train, boundary, rng)
                rows.append(row)
            solved = _solved(state.members, *(part[: config.score_n] for part in train))
            best = state.members[[int(solved.sum(1).argmax())]]
            results[f"history.{i}"] = torch.tensor(rows, dtype=torch.float64)
            results[f"champion.{i}"] = _halves(best, *test, boundary)[:, 0]
            results[f"seconds.{i}"] = _since(start)
        return results

    def _founders(self, run: int, x, y, boundary: int, n_classes: int) -> _State:
        config = self.config
        drawn = np.random.SeedSequence(network_seed(config, 2 * run))
        seeds = (drawn.generate_state(2 * config.specialists, np.uint64) >> np.uint64(1)).tolist()
        x, y = x[: config.train_n], y[: config.train_n]
        widths, parts = (x.shape[1], *config.hidden, n_classes), []
        for side, known in enumerate((y < boundary, y >= boundary)):
            if not known.any():
                raise ValueError(f"none of the first {config.train_n} examples is of half {side}")
            ours = seeds[side * config.specialists : (side + 1) * config.specialists]
            trainer = Trainer(
                initialise(widths, ours), x[known], y[known], ours,
                config.batch_size, config.learning_rate,
            )  # fmt: skip
            for epoch in range(config.epochs):
                trainer.epoch(epoch)
            parts.append(trainer.network)
        return _State(joined(*parts), torch.eye(2).bool().repeat_interleave(config.specialists, 0))

    def _next(self, arm: str, state: _State, x, y, boundary: int, rng):
        config, (method, selection, trained) = self.config, parse_selection(arm)
        n = 2 * config.specialists
        alive = len(state.ancestors)
        children, ancestors = self._children(method, state, n, x[: config.align_n], rng)
        if trained:
            chosen = torch.randperm(min(config.train_n, len(x)), generator=rng)[: config.extra_n]
            seeds = torch.randint(2**62, (n,), generator=rng).tolist()
            trainer = Trainer(
                children, x[chosen], y[chosen], seeds, config.batch_size, config.learning_rate
            )
            trainer.epoch(0)
            children = trainer.network
        everyone = _State(joined(state.members, children), torch.cat([state.ancestors, ancestors]))
        x, y = x[: config.score_n], y[: config.score_n]
        solved = _solved(everyone.members, x, y)
        kept = SELECTIONS[selection](solved, y >= boundary, n)
        mixed = everyone.ancestors.all(1)
        born = mixed & (torch.arange(len(mixed)) >= alive)
        row = (
            float(solved[kept].double().mean(1).max()),
            float(mixed[kept].double().mean()),
            float(born.sum()),
            float(born[kept].sum()),
        )
        return _State(everyone.members[kept], everyone.ancestors[kept]), row

    def _children(self, method: str, state: _State, n: int, x, rng) -> tuple[Network, torch.Tensor]:
        alive = len(state.ancestors)
        first, second = draw(alive, n, rng) if alive > 1 else (torch.zeros(n, dtype=int),) * 2
        shares = self.config.least_t + (1 - 2 * self.config.least_t) * torch.rand(n, generator=rng)
        if method == _COPIES:
            return state.members[first], state.ancestors[first]
        ours = state.members[first]
        others, _ = partners(ours, state.members[second], x, method)
        children = [
            recombined(ours[[i]], others[[i]], "arithmetic", t, rng)[0]
            for i, t in enumerate(shares.tolist())
        ]
        return stack(children), state.ancestors[first] | state.ancestors[second]

    def tables(self, results) -> dict[str, pd.DataFrame]:
        """Return the record's tables of the runs' results."""
        generations, champions, timings = [], [], []
        for run, result in results:
            named = {FOUNDERS: FOUNDERS} | {arm: i for i, arm in enumerate(self.config.arms)}
            for arm, i in named.items():
                champions.append((run, arm, *result[f"champion.{i}"].tolist()))
                timings.append((run, arm, float(result[f"seconds.{i}"])))
                if arm != FOUNDERS:
                    rows = enumerate(result[f"history.{i}"].tolist())
                    generations += [(run, arm, generation, *row) for generation, row in rows]
        return self.frames(generations, champions, timings)

    def rows(self, table: str) -> int | None:
        """Return how many rows a table has."""
        arms = len(self.config.arms)
        each = arms * self.config.generations if table == "generations" else arms + 1
        return self.n_units * each

    def differences(self, record: Record, unit: int, again: Results) -> list[Difference]:
        """Return by how much a run's accuracies differ, computed again."""
        champions = record.tables["champions"].query("run == @unit").set_index("arm")["accuracy"]
        founders = abs(champions[FOUNDERS] - float(again[f"champion.{FOUNDERS}"][0]))
        found = [(FOUNDERS, "accuracy", founders, False)]
        for i, arm in enumerate(self.config.arms):
            rows = record.tables["generations"].query("run == @unit and arm == @arm")
            apart = np.abs(rows["best"].to_numpy(float) - again[f"history.{i}"][:, 0].numpy())
            champion = abs(champions[arm] - float(again[f"champion.{i}"][0]))
            # Selection amplifies rounding: on another machine only the first generation is near.
            found.append((arm, "best of the first generation", float(apart[0]), False))
            found.append((arm, "best of all generations", float(apart.max()), True))
            found.append((arm, "champion", champion, True))
        return found

    def memory(self, device: str = "cpu", together: int = 1) -> int:
        """Return the bytes that a process needs."""
        config = self.config
        n_train, n_test, shape, n_classes = self.sizes()
        widths = [int(np.prod(shape)), *config.hidden, n_classes]
        entries = sum(a * b + b for a, b in pairwise(widths))
        examples = max(config.score_n, config.align_n, config.batch_size)
        held = 4 * config.specialists * (8 * entries + 4 * examples * sum(widths[1:]))
        founders = 2 * config.specialists * n_test * sum(widths[1:])
        return 4 * (2 * (n_train + n_test) * widths[0] + held + founders) + 2**28


@torch.no_grad()
def _solved(members: Network, x, y) -> torch.Tensor:
    """Return which member has which label right, shape (n, m)."""
    return members(x).argmax(-1) == y


def _halves(members: Network, x, y, boundary: int) -> torch.Tensor:
    """Return each member's accuracy on all examples and on either half, shape (3, n)."""
    solved = torch.stack([_solved(members[[i]], x, y)[0] for i in range(members.batch_shape[0])])
    solved = solved.double()
    sides = (solved, solved[:, y < boundary], solved[:, y >= boundary])
    return torch.stack([side.mean(1) for side in sides])


def _since(start: float) -> torch.Tensor:
    return torch.tensor(time.perf_counter() - start, dtype=torch.float64)
