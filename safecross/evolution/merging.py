"""Champions of separate lineages merged: what survives, and how new the children are."""

import time
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import pandas as pd
import torch

from .. import checks
from ..crossover.distillation import distil
from ..crossover.repair import repair
from ..networks.network import Network, stack
from ..runs.config import BaseConfig, network_seed
from ..runs.experiment import Difference, Results, register
from ..runs.record import Record
from .arms import parse_arm
from .genetic import (
    Setting,
    State,
    advance,
    begin,
    champion,
)
from .mating import partners, recombined
from .runs import TaskExperiment

__all__ = [
    "POINTS",
    "Merging",
    "MergingConfig",
    "behaviour_distance",
    "front_area",
    "on_front",
    "parse_way",
]

#: Shares of the second parent.
POINTS = (0.0, 0.1, 0.25, 0.4, 0.5, 0.6, 0.75, 0.9, 1.0)

_REPAIRED = "+repair"

_DISTILLED = "distillation"


@dataclass(frozen=True)
class MergingConfig(BaseConfig):
    """Pairs of champions, each of a genetic algorithm of its own, merged in several ways.

    Parameters
    ----------
    dataset : str
        The task, as for `EvolutionConfig`.
    ways : tuple of str
        Each ``method/recombination``, and perhaps ``+repair`` or ``+distillation`` after it; or
        ``distillation``. See `parse_way`.
    arm : str
        How the champions were evolved, as `parse_arm` reads it.
    n_pairs, generations, seed
        Pairs of champions; generations of each run; seed of the whole experiment.
    t : tuple of float
        Shares of the second parent, in [0, 1]; 0, 0.5 and 1 must be among them.
    align_n : int
        Inputs that the champions met, on which neurons are compared and children repaired.
    hidden, population, parents, episodes, held_out
        As for `EvolutionConfig`; children are measured on `held_out` episodes too.
    shared : int
        Generations that both lineages of a pair have in common before they part; 0 for strangers,
        less than `generations`.

    Raises
    ------
    ValueError
        If a field leaves its range; the message names the field.

    Examples
    --------
    >>> MergingConfig("swing-up", ("naive/arithmetic",), "mutation", 1, 2).align_n
    1000
    """

    kind: ClassVar[str] = "merging"
    newer: ClassVar[tuple[str, ...]] = ("shared",)

    dataset: str
    ways: tuple[str, ...]
    arm: str
    n_pairs: int
    generations: int
    seed: int = 0
    t: tuple[float, ...] = POINTS
    align_n: int = 1000
    hidden: tuple[int, ...] = (64, 64)
    population: int = 64
    parents: int = 13
    episodes: int = 4
    held_out: int = 32
    shared: int = 0

    def __post_init__(self):
        for name in ("ways", "hidden", "t"):
            self._set(name, tuple(checks.as_list(name, getattr(self, name))))
        self._set("dataset", str(self.dataset))
        self._set("hidden", tuple(checks.whole_number("each width", w, 1) for w in self.hidden))
        lowest = {"n_pairs": 1, "generations": 1, "seed": 0, "population": 2, "parents": 2}
        lowest |= {"align_n": 2, "episodes": 1, "held_out": 1}
        for name, low in lowest.items():
            self._set(name, checks.whole_number(name, getattr(self, name), low))
        self._set("t", tuple(checks.number_in("t", t, 0, 1) for t in self.t))
        if not {0.0, 0.5, 1.0} <= set(self.t) or len(set(self.t)) != len(self.t):
            raise ValueError(f"t must hold 0, 0.5 and 1, and no point twice; found {self.t}")
        self._set("shared", checks.whole_number("shared", self.shared, 0, self.generations - 1))
        parse_arm(self.arm)
        for way in self.ways:
            parse_way(way)
        if not self.ways or len(set(self.ways)) != len(self.ways):
            raise ValueError(f"ways must name at least one, none twice; found {list(self.ways)}")
        _ = self.setting

    @property
    def setting(self) -> Setting:
        """Sizes of the algorithm."""
        return Setting(self.hidden, self.population, self.parents)


def parse_way(text: str) -> tuple[str, str, str]:
    """Return method and recombination of a way to merge, and what is done to its children.

    Parameters
    ----------
    text : str
        ``method/recombination``, then perhaps ``+repair`` or ``+distillation``: children are then
        trained as `distil` does. ``distillation`` alone starts from a copy of the first parent.

    Raises
    ------
    ValueError
        If a name is unknown, or what is repaired is no average.

    Examples
    --------
    >>> parse_way("sc-pwc/arithmetic+repair")
    ('sc-pwc', 'arithmetic', 'repair')
    >>> parse_way("distillation")
    ('', '', 'distillation')
    """
    if text == _DISTILLED:
        return "", "", _DISTILLED
    after = next((a for a in (_REPAIRED, f"+{_DISTILLED}") if str(text).endswith(a)), "")
    arm = parse_arm(text.removesuffix(after) if after else text)
    if not arm.crosses:
        raise ValueError(f"a way to merge must cross over; found {text!r}")
    if after == _REPAIRED and arm.recombine != "arithmetic":
        raise ValueError(f"only arithmetic children are repaired; found {text!r}")
    return arm.method, arm.recombine, after[1:]


def behaviour_distance(children: Network, parents: Network, x) -> torch.Tensor:
    r"""Return how far each child's outputs are from those of the parent that is nearer.

    .. math:: d = \min_p \frac{1}{2m} \sum_{i=1}^{m}
              \overline{\lvert\tanh z(x_i) - \tanh z_p(x_i)\rvert}

    Parameters
    ----------
    children, parents : Network
        Populations with the same inputs and outputs.
    x : torch.Tensor, shape (m, inputs)
        Inputs that the parents met.

    Returns
    -------
    torch.Tensor of float64, shape (n,)
        In [0, 1]; 0 for a parent's copy.

    Examples
    --------
    >>> from safecross import initialise
    >>> parents = initialise([2, 3, 1], [0, 1])
    >>> behaviour_distance(parents, parents, torch.rand(9, 2))
    tensor([0., 0.], dtype=torch.float64)
    """
    ours, theirs = children(x).double().tanh(), parents(x).double().tanh()
    return (ours[:, None] - theirs).abs().mean((-1, -2)).min(1).values / 2


def on_front(distance, score) -> np.ndarray:
    """Return which points are on the Pareto front: none is as good in both and better in one.

    Parameters
    ----------
    distance, score : array_like, shape (n,)
        How new each child is, and what it kept; larger is better.

    Examples
    --------
    >>> on_front([0.0, 0.2, 0.1], [1.0, 0.5, 0.4]).tolist()
    [True, True, False]
    """
    distance, score = _points(distance, score)
    as_good = (distance >= distance[:, None]) & (score >= score[:, None])
    better = (distance > distance[:, None]) | (score > score[:, None])
    return ~(as_good & better).any(1)


def front_area(distance, score) -> float:
    r"""Return the area under a Pareto front of exploration and information kept.

    .. math:: \int_0^1 \max_{i:\, d_i \ge u} s_i \; du

    what is kept at each distance that is reached; 0 where none is.

    Parameters
    ----------
    distance : array_like, shape (n,)
        How new each child is (`behaviour_distance`), in [0, 1].
    score : array_like, shape (n,)
        What it kept, at least 0.

    Raises
    ------
    ValueError
        If there is no point, the numbers differ, or one is not finite.

    Examples
    --------
    >>> round(front_area([0.2, 0.4, 0.3], [1.0, 0.5, 0.4]), 6)
    0.3
    """
    distance, score = _points(distance, score)
    order = distance.argsort(kind="stable")
    reached = np.maximum.accumulate(score[order][::-1])[::-1]
    return float((np.diff(distance[order], prepend=0.0) * reached).sum())


def _points(distance, score) -> tuple[np.ndarray, np.ndarray]:
    found = [np.asarray(values, dtype=float).ravel() for values in (distance, score)]
    if not len(found[0]) or len(found[0]) != len(found[1]) or not np.isfinite(found).all():
        raise ValueError(
            "expected as many finite distances as scores, at least one; found "
            f"{len(found[0])} and {len(found[1])}"
        )
    return found[0], found[1]


@register
class Merging(TaskExperiment):
    """Champions of separate runs, merged two by two; a unit is a pair."""

    kind: ClassVar[str] = "merging"
    config_type: ClassVar[type] = MergingConfig
    unit: ClassVar[str] = "pair"
    schema: ClassVar = {
        "children": ("pair", "way", "t", "score", "distance"),
        "pairs": ("pair", "seed_a", "seed_b", "score_a", "score_b", "distance"),
        "timings": ("pair", "step", "seconds"),
    }

    @property
    def n_units(self) -> int:
        """How many pairs there are."""
        return self.config.n_pairs

    def compute_again(self, unit: int) -> Results:
        """Return a pair's results from nothing."""
        config, start = self.config, time.perf_counter()
        task, held_out = self.tasks()
        parents = stack(self._champions(task, held_out, unit))
        rng = torch.Generator().manual_seed(network_seed(config, 2 * unit))
        state = rng.get_state()
        score, seen, _ = held_out(parents, rng)
        met = seen.chunk(2)  # the first parent's inputs stand before those of the second
        seen = seen[torch.randint(len(seen), (config.align_n,), generator=rng)]
        apart = behaviour_distance(parents[:1], parents[1:], seen)
        results = {"parents": score, "distance": apart, "seconds.evolve": _since(start)}
        for i, way in enumerate(config.ways):
            start = time.perf_counter()
            children = self._children(parents, seen, met, way, rng)
            # All children and both parents meet the same episodes.
            episodes = torch.Generator()
            episodes.set_state(state)
            results[f"score.{i}"] = held_out(children, episodes).fitness
            results[f"distance.{i}"] = behaviour_distance(children, parents, seen)
            results[f"seconds.{way}"] = _since(start)
        return results

    def _champions(self, task, held_out, pair: int) -> list[Network]:
        config, arm = self.config, parse_arm(self.config.arm)
        seeds = [network_seed(config, 2 * pair + side) for side in (0, 1)]

        def evolved(state: State, seed: int, generations: int) -> State:
            for _ in range(generations):
                state = advance(task, arm, config.setting, seed, state)
            return state

        begun = [begin(task, config.setting, seed) for seed in seeds]
        if config.shared:
            begun = [evolved(begun[0], seeds[0], config.shared)] * 2
        ended = [
            evolved(state, seed, config.generations - config.shared)
            for state, seed in zip(begun, seeds, strict=True)
        ]
        return [
            champion(task, held_out, seed, state)[0]
            for state, seed in zip(ended, seeds, strict=True)
        ]

    def _children(self, parents: Network, seen, met, way: str, rng: torch.Generator) -> Network:
        method, recombine, after = parse_way(way)
        ours = others = parents[:1]
        if method:
            others, _ = partners(ours, parents[1:], seen, method)
        children = []
        for t in self.config.t:
            child = recombined(ours, others, recombine, t, rng)[0] if method else ours[0]
            if after == "repair":
                child = repair(child, ours[0], others[0], seen, t)
            if after == _DISTILLED:
                targets = "actions" if self.without_data else "classes"
                child = distil(child, parents[0], parents[1], *met, rng, t=t, targets=targets)
            children.append(child)
        return stack(children)

    def tables(self, results) -> dict[str, pd.DataFrame]:
        """Return the record's tables of the pairs' results."""
        config = self.config
        children, pairs, timings = [], [], []
        for pair, result in results:
            seeds = [network_seed(config, 2 * pair + side) for side in (0, 1)]
            pairs.append((pair, *seeds, *result["parents"].tolist(), float(result["distance"])))
            for i, way in enumerate(config.ways):
                rows = zip(config.t, result[f"score.{i}"], result[f"distance.{i}"], strict=True)
                children += [(pair, way, t, float(s), float(d)) for t, s, d in rows]
            for step in ("evolve", *config.ways):
                timings.append((pair, step, float(result[f"seconds.{step}"])))
        return self.frames(children, pairs, timings)

    def rows(self, table: str) -> int | None:
        """Return how many rows a table has."""
        each = {"children": len(self.config.ways) * len(self.config.t), "pairs": 1}
        return self.n_units * each.get(table, 1 + len(self.config.ways))

    def differences(self, record: Record, unit: int, again: Results) -> list[Difference]:
        """Return by how much a pair's scores differ, computed again."""
        parents = record.tables["pairs"].query("pair == @unit")[["score_a", "score_b"]]
        apart = np.abs(parents.to_numpy()[0] - again["parents"].numpy()).max()
        # Selection amplifies rounding: another machine's champions are others.
        found = [("parents", "score", float(apart), True)]
        for i, way in enumerate(self.config.ways):
            kept = record.tables["children"].query("pair == @unit and way == @way")["score"]
            apart = np.abs(kept.to_numpy() - again[f"score.{i}"].numpy()).max()
            found.append((way, "score", float(apart), True))
        return found


def _since(start: float) -> torch.Tensor:
    return torch.tensor(time.perf_counter() - start, dtype=torch.float64)
