"""Selections among members that solve examples, and specialists mated under them."""

import numpy as np
import pandas as pd
import pytest
import torch

from safecross import initialise, interpolate, load_data
from safecross.evolution import findings
from safecross.evolution.genetic import draw, joined
from safecross.evolution.niches import SELECTIONS, elites, niching, shared_fitness, truncation
from safecross.evolution.specialists import (
    FOUNDERS,
    Specialists,
    SpecialistsConfig,
    parse_selection,
)


@pytest.fixture
def solved() -> torch.Tensor:
    return torch.rand(12, 40, generator=torch.Generator().manual_seed(0)) < 0.4


HALF = torch.arange(40) >= 20


# Selections


def test_each_example_is_shared_among_those_that_solve_it(solved):
    expected = [
        sum(1 / int(solved[:, j].sum()) for j in range(40) if solved[i, j]) / 40 for i in range(12)
    ]
    assert shared_fitness(solved).tolist() == pytest.approx(expected)
    assert float(shared_fitness(solved).sum()) == pytest.approx(float(solved.any(0).float().mean()))
    assert shared_fitness(torch.zeros(2, 3, dtype=torch.bool)).tolist() == [0, 0]


def test_truncation_keeps_the_most_accurate(solved):
    kept = truncation(solved, HALF, 5)
    counts = solved.sum(1)
    rest = [i for i in range(12) if i not in kept]
    assert len(kept) == 5 and counts[kept].min() >= counts[rest].max()
    assert (counts[kept].diff() <= 0).all()


def _solvers(*counts: int) -> torch.Tensor:
    """Return members of whom each solves so many examples that no other solves."""
    starts = np.cumsum([0, *counts])
    rows = torch.zeros(len(counts), int(starts[-1]), dtype=torch.bool)
    for i, count in enumerate(counts):
        rows[i, starts[i] : starts[i] + count] = True
    return rows


def test_niching_keeps_the_specialist_that_truncation_drops():
    members = _solvers(6, 4)[[0, 0, 0, 1]]
    half = torch.arange(10) >= 5
    assert niching(members, half, 2).tolist() == [0, 3]
    assert truncation(members, half, 2).tolist() == [0, 1]


def test_niching_computes_fitness_again_after_each_removal():
    # Two copies share 6 examples: at first they are worst, and once one is gone the other is best.
    members = _solvers(6, 4, 5)[[0, 0, 1, 2]]
    at_once = shared_fitness(members).argsort(descending=True)[:2]
    assert sorted(at_once.tolist()) == [2, 3]
    assert niching(members, torch.arange(15) >= 5, 2).tolist() == [0, 3]


def test_elites_are_the_best_of_their_cells(solved):
    kept = elites(solved, HALF, 9)
    shares = [(solved[:, ~HALF].float().mean(1), solved[:, HALF].float().mean(1))]
    cells = [tuple(min(2, int(3 * float(s[i]))) for s in shares[0]) for i in range(12)]
    assert len(kept) == len(set(cells)) == len({cells[i] for i in kept})
    for i in kept.tolist():
        assert all(solved[i].sum() >= solved[j].sum() for j in range(12) if cells[j] == cells[i])


@pytest.mark.parametrize("name", SELECTIONS)
@pytest.mark.parametrize(
    ("members", "n", "message"),
    [
        (torch.ones(2, 4), 1, "solved must be a matrix of bools"),
        (torch.ones(4, dtype=torch.bool), 1, r"solved must be a matrix .* found torch.bool of"),
        (torch.ones(0, 4, dtype=torch.bool), 1, "not empty"),
        (torch.ones(2, 4, dtype=torch.bool), 0, "n must be a whole number >= 1; found 0"),
    ],
)
def test_bad_members_are_told(name, members, n, message):
    with pytest.raises(ValueError, match=message):
        SELECTIONS[name](members, torch.tensor([True, True, False, False]), n)


@pytest.mark.parametrize("half", [torch.ones(4) > 0, torch.ones(4) < 0, HALF, torch.ones(4)])
def test_cells_need_two_halves(half):
    with pytest.raises(ValueError, match="half must hold 4 bools, of either kind; found"):
        elites(torch.ones(2, 4, dtype=torch.bool), half, 4)


def test_both_parents_are_drawn_evenly_and_differ():
    first, second = draw(3, 3000, torch.Generator().manual_seed(0))
    assert (first != second).all()
    pairs = torch.stack([first, second], 1).unique(dim=0, return_counts=True)[1]
    assert len(pairs) == 6 and (pairs > 400).all()
    with pytest.raises(ValueError, match="parents must be a whole number >= 2; found 1"):
        draw(1, 3, torch.Generator())


# The experiment


@pytest.fixture
def config(own_data) -> SpecialistsConfig:
    arms = (
        "naive/truncation",
        "sc-pwc/niching",
        "copies/map-elites",
        "copies/truncation",
        "copies/truncation+training",
    )
    return SpecialistsConfig(
        str(own_data), arms, 2, 3, hidden=(8,), specialists=3, epochs=30, batch_size=8,
        learning_rate=0.01,
    )  # fmt: skip


def test_founders_know_their_half_only(config):
    data = load_data(config.dataset)
    experiment = Specialists(config)
    x, y = data.split("train")
    boundary = data.n_classes // 2
    found = experiment._founders(0, x, y, boundary, data.n_classes)
    assert found.ancestors.tolist() == [[True, False]] * 3 + [[False, True]] * 3
    right = found.members(x).argmax(-1) == y
    for members, known in ((right[:3], y < boundary), (right[3:], y >= boundary)):
        assert members[:, known].float().mean() > 0.5
        assert not members[:, ~known].any()


def test_a_child_is_the_mean_of_its_parents_and_descends_from_both(config):
    config = config.replace(least_t=0.5)
    data = load_data(config.dataset)
    experiment = Specialists(config)
    x, y = data.split("train")
    state = experiment._founders(0, x, y, data.n_classes // 2, data.n_classes)
    seeds = torch.Generator().manual_seed(5), torch.Generator().manual_seed(5)
    children, ancestors = experiment._children("naive", state, 6, x, seeds[0])
    first, second = draw(6, 6, seeds[1])
    for i in range(6):
        child = interpolate(state.members[int(first[i])], state.members[int(second[i])], 0.5)
        assert torch.allclose(children.weights[0][i], child.weights[0], atol=1e-6)
        mixed = (first[i] < 3) != (second[i] < 3)
        assert bool(ancestors[i].all()) == bool(mixed)
    assert ancestors.all(1).any() and not ancestors.all()
    copies, theirs = experiment._children("copies", state, 6, x, torch.Generator().manual_seed(5))
    assert torch.equal(copies.weights[0], state.members.weights[0][first])
    assert not theirs.all(1).any()


def test_what_lives_is_counted(config):
    result = Specialists(config).compute_again(0)
    naive = result["history.0"]
    assert (naive[:, 0].diff() >= 0).all()  # the best parent is never lost
    assert (naive[:, 3] <= naive[:, 2]).all() and naive[:, 2].sum() > 0
    assert (naive[0, 1] * 6).round() == naive[0, 3]
    copies = result["history.3"]
    assert (copies[:, 1:] == 0).all() and copies[0, 0] == copies[-1, 0]
    assert result["champion.4"][0] > result[f"champion.{FOUNDERS}"][0]


def test_the_parts_make_the_whole(config):
    result = Specialists(config).compute_again(1)
    data = load_data(config.dataset)
    known = (data.split("validation")[1] < data.n_classes // 2).double().mean()
    for name in ("champion.0", f"champion.{FOUNDERS}"):
        whole, first, second = result[name]
        assert whole == pytest.approx(float(known * first + (1 - known) * second))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"arms": ()}, "arms must name at least one"),
        ({"arms": ("naive/truncation",) * 2}, "none twice"),
        ({"arms": ("naive/nichin",)}, "unknown selection 'nichin'.*niching"),
        ({"arms": ("naiv/niching",)}, "unknown operator 'naiv'"),
        ({"arms": ("sc-cca-soft/niching",)}, "operator 'sc-cca-soft'|repeats or mixes"),
        ({"arms": (3,)}, "an arm must be a word; found 3"),
        ({"specialists": 0}, "specialists must be a whole number >= 1; found 0"),
        ({"least_t": 0.6}, r"least_t must be a number in \[0, 0.5\]; found 0.6"),
        ({"extra_n": 0}, "extra_n must be a whole number >= 1"),
        ({"hidden": (0,)}, "each width must be"),
    ],
)
def test_bad_configs_are_told(config, change, message):
    with pytest.raises(ValueError, match=message):
        config.replace(**change)


def test_a_half_without_examples_is_told(config):
    data = load_data(config.dataset)
    x, y = data.split("train")
    first = int((y >= data.n_classes // 2).long().argmax())
    if first < 2:
        first = 2
        x, y = x[y < data.n_classes // 2], y[y < data.n_classes // 2]
    few = Specialists(config.replace(train_n=first))
    with pytest.raises(ValueError, match=r"none of the first \d+ examples is of half 1"):
        few._founders(0, x, y, data.n_classes // 2, data.n_classes)


def test_an_arm_is_read():
    assert parse_selection("copies/truncation+training") == ("copies", "truncation", True)
    assert parse_selection("sc-pwc/niching") == ("sc-pwc", "niching", False)


# Rules


class _Record:
    def __init__(self, config, **tables):
        self.config, self.tables = config, tables


def test_the_families_say_which_selection_lets_children_live():
    config = findings.specialists_config()
    assert len(config.arms) == 9 and config.n_runs == 10
    rng = np.random.default_rng(0)
    champions = [
        (r, arm, ("niching" in arm) - 0.1 * (arm == FOUNDERS) + 0.01 * rng.normal(), 0, 0)
        for r in range(10)
        for arm in (*config.arms, FOUNDERS)
    ]
    generations = [
        (r, arm, g, 0, ("training" in arm) * (g == 19) + 0.01 * rng.normal(), 0, 0)
        for r in range(10)
        for arm in config.arms
        for g in range(20)
    ]
    tables = {
        name: pd.DataFrame(rows, columns=Specialists.schema[name])
        for name, rows in (("champions", champions), ("generations", generations))
    }
    record = _Record(config, **tables)
    found = findings.specialists_family(record)
    assert len(found) == 14
    verdicts = {(r.first, r.second): r.verdict for r in found.itertuples()}
    for method in ("naive", "sc-pwc"):
        assert verdicts[f"{method}/niching", f"{method}/truncation"] == "higher"
        assert verdicts[f"{method}/map-elites", f"{method}/truncation"] == "no difference"
        assert verdicts[f"{method}/truncation", FOUNDERS] == "higher"
    found = findings.mixed_family(record)
    assert len(found) == 10
    higher = found[found["verdict"] == "higher"]["first"].tolist()
    assert higher == ["naive/truncation+training", "sc-pwc/truncation+training"]
    assert findings.mixed_shares(record).shape == (10, 9)
    scores = findings.specialists_scores(record)
    assert list(scores) == [*config.arms, FOUNDERS]
    assert scores.loc[3, FOUNDERS] == next(row[2] for row in champions if row[:2] == (3, FOUNDERS))


def test_populations_are_joined_in_order():
    one, two = (initialise([3, 4, 2], seeds) for seeds in ([0, 1], [2]))
    assert torch.equal(joined(one, two).weights[1], torch.cat([one.weights[1], two.weights[1]]))
