"""Experiments on populations: run, killed, resumed, verified; and the rules that read them."""

import dataclasses
import json
import os
import random
import re
import signal
import subprocess
import sys
import time

import numpy as np
import pandas as pd
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from safecross import (
    StoreError,
    initialise,
    interpolate,
    repair,
    stack,
    store,
)
from safecross.cli import main
from safecross.evolution import findings
from safecross.evolution.arms import parse_arm
from safecross.evolution.averaging import POLICIES, Averaging, AveragingConfig
from safecross.evolution.genetic import COLUMNS, advance, begin, champion
from safecross.evolution.merging import (
    Merging,
    MergingConfig,
    behaviour_distance,
    front_area,
    on_front,
    parse_way,
)
from safecross.evolution.runs import (
    SWING_UP,
    EvolutionConfig,
    EvolutionRuns,
    TaskExperiment,
)
from safecross.evolution.side_by_side import Chains, Modules, SideBySide
from safecross.evolution.specialists import SpecialistsConfig
from safecross.evolution.tasks import SwingUp
from safecross.modules import average, evaluate
from safecross.runs import (
    config_from_dict,
    experiment_of,
    list_records,
    load_or_run,
    load_record,
    record_name,
    run,
    verify,
)
from safecross.runs.config import BaseConfig, network_seed

ARMS = ("mutation", "naive/neuron:scramble=1", "sc-pwc/arithmetic")

EVOLUTION = EvolutionConfig(
    SWING_UP, ARMS, 3, 4, hidden=(6, 5), population=8, parents=3, align_n=20, episodes=1, held_out=2
)

MERGING = MergingConfig(
    SWING_UP,
    ("naive/arithmetic", "sc-pwc/arithmetic", "sc-pwc/arithmetic+repair", "sc-pwc/neuron"),
    "mutation",
    3,
    3,
    t=(0, 0.5, 1),
    align_n=50,
    hidden=(6, 5),
    population=6,
    parents=3,
    episodes=1,
    held_out=3,
)


@pytest.fixture
def averaging(own_data) -> AveragingConfig:
    return AveragingConfig(str(own_data), (8,), 3, 4, 2, 2, train_n=40, align_n=30)


@pytest.fixture
def averaged_modules(averaging) -> AveragingConfig:
    return averaging.replace(
        hidden=(), architecture="mlp:width=8", learning_rate=0.05, batch_size=8, test_n=20
    )


@pytest.fixture
def specialists(own_data) -> SpecialistsConfig:
    arms = ("naive/niching", "sc-pwc/map-elites", "copies/truncation+training")
    return SpecialistsConfig(
        str(own_data), arms, 2, 3, hidden=(8,), specialists=3, epochs=5, batch_size=8
    )


@pytest.fixture(params=["evolution", "merging", "averaging", "specialists"])
def config(request, averaging, specialists):
    known = (EVOLUTION, MERGING, averaging, specialists)
    return next(one for one in known if one.kind == request.param)


def fixed(record) -> dict[str, pd.DataFrame]:
    """Return the tables that a second run must give again."""
    return {name: table for name, table in record.tables.items() if name != "timings"}


def same_tables(one, other) -> bool:
    one, other = fixed(one), fixed(other)
    return one.keys() == other.keys() and all(one[name].equals(other[name]) for name in one)


def test_an_experiment_runs_shares_its_work_and_verifies(config, runs):
    record = run(config, workers=1)
    assert load_record(record.folder).name == record_name(config) == record.name
    for name, table in record.tables.items():
        assert list(table.columns) == list(experiment_of(config).schema[name])
        assert len(table) == experiment_of(config).rows(name)
    dataset = None if config.dataset == SWING_UP else config.dataset
    table = verify(record, n_pairs=experiment_of(config).n_units, tolerance=1e-6, dataset=dataset)
    assert table["ok"].all()
    assert run(config, workers=2, folder=runs / "other").tables.keys() == record.tables.keys()
    assert same_tables(run(config, workers=2, folder=runs / "other"), record)
    first = next(iter(record.tables))
    column = "best" if first == "generations" else record.tables[first].columns[-2]
    spoiled = {first: record.tables[first].assign(**{column: record.tables[first][column] + 1})}
    if first != "epochs":
        other = dataclasses.replace(record, tables={**record.tables, **spoiled})
        assert not verify(other, n_pairs=1, tolerance=1e-6, dataset=dataset)["ok"].all()


def test_fewer_units_are_the_first_of_more(config, runs):
    count = "n_pairs" if hasattr(config, "n_pairs") else "n_runs"
    whole, part = run(config, workers=1), run(config.replace(**{count: 1}), workers=1)
    for name, table in fixed(part).items():
        unit = table.columns[0]
        assert table.equals(whole.tables[name][whole.tables[name][unit] == 0])


def test_a_config_comes_back_from_its_record(config):
    values = config.to_dict()
    assert values["kind"] == config.kind
    assert config_from_dict(values) == config
    assert config.replace(seed=5).hash() != config.hash()
    with pytest.raises(ValueError, match="unknown field of a config 'sed'"):
        config_from_dict({**values, "sed": 1})


def test_what_needs_no_data_asks_for_none(runs, monkeypatch):
    monkeypatch.setenv("SAFECROSS_DATA", str(runs / "nowhere"))
    record = run(EVOLUTION.replace(n_runs=1), workers=1)
    assert record.name.startswith("swing-up-")
    assert verify(record, n_pairs=1)["ok"].all()
    assert "1 runs on swing-up, computed" in record.describe()
    (row,) = list_records().itertuples()
    assert (row.pairs_done, row.pairs, row.problem) == (1, 1, "")


def test_networks_evolve_for_a_data_set_too(own_data, runs):
    config = EVOLUTION.replace(dataset=str(own_data), n_runs=1)
    record = run(config, workers=1)
    assert record.name.startswith("own-")
    assert record.tables["generations"]["best"].max() < 0  # minus a loss
    assert verify(record, n_pairs=1, dataset=str(own_data))["ok"].all()
    assert experiment_of(config).memory() > experiment_of(EVOLUTION).memory() - 2**20


# The command line


def write_config(path, values) -> str:
    path.write_text(json.dumps(values))
    return str(path)


def test_the_command_runs_the_config_of_a_file(runs, tmp_path, capsys):
    config = EVOLUTION.replace(n_runs=2)
    path = write_config(tmp_path / "mine.json", config.to_dict())
    assert main(["run", path, "--workers", "1", "--shard", "0/2"]) == 0
    assert main(["merge", path]) == 1
    assert "1 of 2 runs are missing or damaged" in capsys.readouterr().err
    assert main(["run", path, "--workers", "1"]) == 0
    out = capsys.readouterr().out
    assert f"Record {record_name(config)}: 2 runs on swing-up" in out
    assert main(["verify", record_name(config), "--pairs", "2", "--tolerance", "1e-6"]) == 0


@pytest.mark.parametrize(
    ("values", "more", "message"),
    [
        ([1], [], "must hold a config; found"),
        ({"kind": "evolution"}, [], "is no config: .* missing"),
        ({"kind": "evolutions"}, [], "expected a kind among .*pairs.*; found 'evolutions'"),
        ({**EVOLUTION.to_dict(), "arms": ["mutate"]}, [], "unknown operator 'mutate'"),
        (EVOLUTION.to_dict(), ["--epochs", "3"], "--epochs belongs into"),
    ],
)
def test_a_file_that_holds_no_config_is_told(runs, tmp_path, capsys, values, more, message):
    assert main(["run", write_config(tmp_path / "mine.json", values), *more]) in (1, 2)
    error = capsys.readouterr().err
    assert re.search(message, error) and error.count("\n") == 1
    assert not runs.exists()


# Killed


def generations_done(folder) -> int:
    return sum(1 for _ in folder.rglob("states/*.safetensors"))


@pytest.mark.parametrize("workers", [1, 2])
def test_a_run_that_is_killed_at_any_generation_ends_with_the_same_record(runs, workers):
    config = EVOLUTION.replace(generations=12, n_runs=2)
    expected = run(config, workers=1)
    code = (
        "from safecross.runs import config_from_dict, machine, run\n"
        "machine.product_rate = lambda *_, **__: 1e9\n"
        f"run(config_from_dict({config.to_dict()!r}), workers={workers})\n"
    )
    place = runs.parent / "killed"
    environment = {**os.environ, "SAFECROSS_RUNS": str(place)}
    moments, killed = random.Random(workers), 0
    for _ in range(3):
        process = subprocess.Popen(
            [sys.executable, "-c", code], env=environment, start_new_session=True
        )
        deadline = time.monotonic() + 60
        while process.poll() is None and not generations_done(place):
            assert time.monotonic() < deadline
            time.sleep(0.01)
        time.sleep(moments.uniform(0, 0.2))
        if process.poll() is None:
            killed += 1
        os.killpg(process.pid, signal.SIGKILL) if process.poll() is None else None
        process.wait()
    assert killed
    record = run(config, workers=workers, folder=place)
    assert same_tables(record, expected)
    assert not list(record.folder.rglob("states/*.safetensors"))


def test_a_damaged_or_strange_state_is_not_gone_on_from(runs):
    config = EVOLUTION.replace(n_runs=1)
    expected = run(config, workers=1)
    experiment = EvolutionRuns(config)
    from safecross.runs import RunFolder

    folder = RunFolder(experiment, runs / "other")
    places = [experiment._place(folder, 0, arm) for arm in range(len(ARMS))]
    store.save_tensors(places[0], {"a": torch.zeros(2)}, {"record": experiment.name})
    store.save_tensors(places[1], {"a": torch.zeros(2)}, {"record": "another"})
    places[2].write_bytes(b"no tensors")
    record = run(config, workers=1, folder=runs / "other")
    assert same_tables(record, expected)


def test_a_state_is_gone_on_from(runs, monkeypatch):
    config = EVOLUTION.replace(n_runs=1)
    done = []

    def counted(*given):
        done.append(len(given[-1].history))
        if len(done) == 6:
            raise StoreError("enough")
        return advance(*given)

    monkeypatch.setattr("safecross.evolution.runs.advance", counted)
    with pytest.raises(StoreError, match="enough"):
        list(EvolutionRuns(config).compute([0], _folder(config)))
    list(EvolutionRuns(config).compute([0], _folder(config)))
    assert done == [0, 1, 2, 3, 0, 1, 1, 2, 3, 0, 1, 2, 3]


def _folder(config):
    from safecross.runs import RunFolder

    return RunFolder(EvolutionRuns(config))


# What is measured


def test_the_history_is_that_of_the_algorithm(runs):
    record = run(EVOLUTION, workers=1)
    experiment = EvolutionRuns(EVOLUTION)
    task, _ = experiment.tasks()
    seed = EVOLUTION.run_seed(1)
    state = begin(task, EVOLUTION.setting, seed)
    for _ in range(4):
        state = advance(task, parse_arm(ARMS[2]), EVOLUTION.setting, seed, state)
    rows = record.tables["generations"].query("run == 1 and arm == @ARMS[2]")
    assert np.allclose(rows[list(COLUMNS)].to_numpy(), state.history.numpy(), rtol=1e-6)
    first = record.tables["generations"].query("generation == 0").groupby("run")["best"]
    assert (first.nunique() == 1).all()  # the same members in all arms


@pytest.mark.parametrize("networks", ["averaging", "averaged_modules"])
def test_averaging_does_what_its_policies_say(networks, request):
    config = request.getfixturevalue(networks)
    found = Averaging(config).compute_again(0)
    moved = {p: found[f"epochs.{p}"][:, 1].tolist() for p in POLICIES}
    assert [bool(m) for m in moved["once"]] == [False, True, False, False]
    assert moved["always"][1] > 0
    assert not any(any(moved[p]) for p in ("apart", "never", "same", "pull"))
    # Until the first averaging it makes no difference what will be done then.
    for policy in ("never", "once", "always"):
        start = found[f"epochs.{policy}"][:2, 0]
        assert torch.equal(start, found["epochs.apart"][:2, 0])
    assert found["result.never"].tolist() != found["result.once"].tolist()
    again = Averaging(config.replace(networks=2)).compute_again(0)
    assert again["result.single"].tolist() != found["result.single"].tolist()


@pytest.mark.parametrize("kind", [Chains, Modules])
def test_networks_side_by_side_become_their_mean(kind, averaging, averaged_modules):
    config = averaging if kind is Chains else averaged_modules

    def begun(pulled=None) -> SideBySide:
        networks = kind(config, [1, 2, 3], [4, 5, 6])
        networks.epoch(0)
        if pulled is not None:
            networks.pull(pulled)
        return networks

    apart = begun()
    alone, together = apart.accuracy(), apart.of_mean()
    apart.gather()
    assert apart.accuracy() == pytest.approx(_on_first(apart, config)) != alone
    assert apart.of_mean() == pytest.approx(together, rel=1e-5)
    # Pulled by 0 nothing changes; pulled all the way each is the mean.
    assert begun(0.0).accuracy() == alone
    assert begun(1.0).of_mean() == pytest.approx(together, rel=1e-4)
    aligned = begun()
    before = aligned.accuracy()
    assert aligned.align() > 0
    assert aligned.accuracy() == before  # each stays the function that it was
    assert aligned.of_mean()[0] != pytest.approx(together[0], rel=1e-3)
    assert aligned.align() == 0  # all are in the first one's frame


def test_means_of_modules_have_the_statistics_of_their_own_batch_norms(pictures):
    config = AveragingConfig(
        pictures, (), 2, 2, 2, 1, align_n=60, batch_size=20, architecture="vgg7:width=2",
        learning_rate=0.1,
    )  # fmt: skip
    networks = Modules(config, [1, 2], [3, 4])
    networks.epoch(0)
    anew, as_they_are = average(networks._models, networks._seen), average(networks._models)
    assert networks.of_mean() == evaluate(anew, *networks._test)
    assert networks.of_mean() != evaluate(as_they_are, *networks._test)
    networks.gather()
    for model in networks._models:
        assert all(torch.equal(v, model.state_dict()[k]) for k, v in anew.state_dict().items())
    assert len(networks._seen) == 60


def _on_first(networks, config) -> float:
    """Return the mean's accuracy on the examples that members are watched on."""
    x, y = (part[: config.test_n or None] for part in networks._test)
    one = networks._theta[0] if isinstance(networks, Chains) else networks._models[0]
    with torch.no_grad():
        return float((one(x).argmax(-1) == y).double().mean())


@pytest.mark.parametrize("networks", ["averaging", "averaged_modules"])
def test_an_ensemble_and_soups_are_made_of_the_networks_trained_apart(
    networks, request, monkeypatch
):
    config, kept = request.getfixturevalue(networks), {}
    kind = Chains if networks == "averaging" else Modules
    original = kind.made

    def keep(self):
        kept["self"] = self
        return original(self)

    monkeypatch.setattr(kind, "made", keep)
    found = Averaging(config).compute_again(1)
    self = kept["self"]
    x, y = self._test
    members = [self._theta[i] for i in range(3)] if kind is Chains else self._models
    with torch.no_grad():
        logits = torch.stack([member(x) for member in members])
    loss = -logits.softmax(-1).mean(0)[torch.arange(len(y)), y].log().mean()
    assert float(found["result.ensemble"][0]) == pytest.approx(float(loss), rel=1e-5)
    single = float((logits.argmax(-1) == y).float().mean())
    assert float(found["result.single"][1]) == pytest.approx(single, abs=1e-6)
    self.align()
    assert found["result.aligned soup"].tolist() == pytest.approx(self.of_mean(), rel=1e-5)
    assert found["result.aligned soup"].tolist() != found["result.soup"].tolist()
    assert ("result.aligned and repaired soup" in found) == (kind is Chains)


def test_merged_children_start_and_end_as_their_parents():
    found = Merging(MERGING).compute_again(0)
    for i in range(len(MERGING.ways)):
        ends = found[f"score.{i}"][[0, 2]]
        assert torch.allclose(ends, found["parents"], atol=1e-5)
        assert torch.allclose(found[f"distance.{i}"][[0, 2]], torch.zeros(2).double(), atol=1e-5)
    assert float(found["distance.0"][1]) > 0
    assert found["score.1"].tolist() != found["score.2"].tolist()


def test_relatives_part_after_the_generations_that_they_share(monkeypatch):
    histories = []

    def watched(task, held_out, seed, state):
        histories.append(state.history)
        return champion(task, held_out, seed, state)

    monkeypatch.setattr("safecross.evolution.merging.champion", watched)
    Merging(MERGING).compute_again(1)
    Merging(MERGING.replace(shared=2)).compute_again(1)
    a, b, c, d = histories
    assert a.shape == b.shape == c.shape == d.shape
    assert torch.equal(a, c), "the first lineage is that of strangers"
    assert torch.equal(c[:2], d[:2]) and not torch.equal(c[2:, :2], d[2:, :2])
    assert not torch.equal(a[:2], b[:2])


def test_a_newer_field_leaves_the_names_of_older_records():
    assert "shared" not in MERGING.to_dict()
    related = MERGING.replace(shared=1)
    assert related.to_dict() == {**MERGING.to_dict(), "shared": 1}
    assert related.hash() != MERGING.hash()
    assert config_from_dict(related.to_dict()) == related
    assert config_from_dict(MERGING.to_dict()) == MERGING


@given(
    st.lists(st.tuples(st.floats(0, 1), st.floats(0, 2)), min_size=1, max_size=8),
)
def test_the_area_under_a_front_is_what_is_kept_at_each_distance(points):
    distance, score = np.array(points).T
    # The integrand is constant between two distances: its value at the middle is its mean.
    ends = np.unique([0.0, *distance])
    middles = (ends[1:] + ends[:-1]) / 2
    kept = [score[distance >= middle].max() for middle in middles]
    assert front_area(distance, score) == pytest.approx((np.diff(ends) * kept).sum(), abs=1e-12)
    front = on_front(distance, score)
    assert front.any() and front_area(distance[front], score[front]) == pytest.approx(
        front_area(distance, score), abs=1e-12
    )
    for i in np.flatnonzero(~front):
        others = (distance >= distance[i]) & (score >= score[i])
        assert (others & ((distance > distance[i]) | (score > score[i]))).any()
    for i in np.flatnonzero(front):
        assert not ((distance > distance[i]) & (score >= score[i])).any()


def test_copies_explore_nothing():
    assert front_area([0.0, 0.0], [1.0, 0.9]) == 0
    assert on_front([0.1, 0.1], [0.5, 0.5]).all()


@pytest.mark.parametrize("given_", [([], []), ([0.1], [1.0, 2.0]), ([0.1], [float("nan")])])
def test_points_that_are_none_are_told(given_):
    for measure in (front_area, on_front):
        with pytest.raises(ValueError, match="expected as many finite distances as scores, at"):
            measure(*given_)


def test_exploration_is_compared_pair_by_pair(runs):
    records = {
        name: run(MERGING.replace(shared=shared, n_pairs=3), workers=1)
        for name, shared in (("strangers", 0), ("relatives", 2))
    }
    table = findings.explored(records["strangers"])
    assert list(table) == [
        "naive", "sc-pwc", "naive/arithmetic", "sc-pwc/arithmetic", "sc-pwc/neuron",
    ]  # fmt: skip
    children = records["strangers"].tables["children"]
    assert "sc-pwc/arithmetic+repair" in set(children["way"])
    rows = children[(children["pair"] == 1) & (children["way"] == "sc-pwc/neuron")]
    pair = records["strangers"].tables["pairs"].loc[1]
    kept = rows["score"] / ((pair["score_a"] + pair["score_b"]) / 2)
    assert table.loc[1, "sc-pwc/neuron"] == pytest.approx(front_area(rows["distance"], kept))
    assert (table["sc-pwc"] >= table[["sc-pwc/arithmetic", "sc-pwc/neuron"]].max(axis=1)).all()
    points = findings.children_on_fronts(records["strangers"])
    assert len(points) == 9 and set(points["method"]) == {"naive", "sc-pwc"}
    for _, rows in points.groupby("method"):
        assert rows["front"].tolist() == on_front(rows["distance"], rows["kept"]).tolist()
    one = points[(points["way"] == "sc-pwc/neuron") & (points["t"] == 0.5)]
    rows = children[(children["way"] == "sc-pwc/neuron") & (children["t"] == 0.5)]
    assert float(one["distance"].iloc[0]) == pytest.approx(rows["distance"].mean())


def test_the_exploration_family_has_each_recombination_and_all(monkeypatch):
    def explored(shift):
        table = pd.DataFrame(index=range(10))
        for name in ("naive", "sc-pwc", "naive/neuron", "sc-pwc/neuron"):
            aligned = name.startswith("sc-pwc") * shift
            table[name] = aligned + 0.01 * np.random.default_rng(len(name)).normal(size=10)
        return table

    monkeypatch.setattr(findings, "explored", explored)
    found = findings.exploration_family({"strangers": 0.5, "relatives": 0.0})
    assert found["recombination"].tolist() == ["all", "neuron"] * 2
    assert found["verdict"].tolist() == ["higher"] * 2 + ["no difference"] * 2
    assert found["related"].tolist() == ["strangers"] * 2 + ["relatives"] * 2


def test_behaviour_is_compared_with_the_nearer_parent(make_examples):
    parents, x = initialise([5, 6, 1], [0, 1]), make_examples(50, 5)
    child = interpolate(parents[0], parents[1], [0.1, 0.5])
    found = behaviour_distance(child, parents, x)
    z = [theta(x).double().tanh() for theta in (child[0], parents[0], parents[1])]
    expected = min(float((z[0] - z[1]).abs().mean()), float((z[0] - z[2]).abs().mean())) / 2
    assert float(found[0]) == pytest.approx(expected, rel=1e-5)
    assert found[0] < found[1]


def test_the_repaired_way_is_repair(monkeypatch):
    calls = []

    def counted(*given):
        calls.append(given[-1])
        return repair(*given)

    monkeypatch.setattr("safecross.evolution.merging.repair", counted)
    Merging(MERGING).compute_again(0)
    assert calls == [0, 0.5, 1]


def test_distilled_children_learn_from_what_each_parent_met(monkeypatch):
    calls = []

    def watched(*given, **options):
        calls.append((given, options))
        return given[0]

    monkeypatch.setattr("safecross.evolution.merging.distil", watched)
    ways = ("naive/arithmetic", "distillation", "naive/arithmetic+distillation")
    found = Merging(MERGING.replace(ways=ways)).compute_again(0)
    assert [options["t"] for _, options in calls] == [0, 0.5, 1] * 2
    (start, a, b, seen_a, seen_b, _), options = calls[1]
    assert options["targets"] == "actions"
    assert torch.equal(start.weights[0], a.weights[0])
    assert found["score.1"].tolist() == [float(found["parents"][0])] * 3
    assert torch.equal(found["score.2"], found["score.0"])
    # Each parent's inputs are those that it meets when it is alone.
    task = SwingUp(MERGING.held_out)
    for parent, seen in ((a, seen_a), (b, seen_b)):
        rng = torch.Generator().manual_seed(network_seed(MERGING, 0))
        assert torch.allclose(task(stack([parent]), rng).seen, seen, atol=1e-4)


# Bad input


@pytest.mark.parametrize(
    ("config", "change", "message"),
    [
        (EVOLUTION, {"arms": ()}, "arms must name at least one"),
        (EVOLUTION, {"arms": ("mutation", "mutation")}, "none twice"),
        (EVOLUTION, {"arms": ("mutatio",)}, "unknown operator 'mutatio'"),
        (EVOLUTION, {"n_runs": 0}, "n_runs must be a whole number >= 1; found 0"),
        (EVOLUTION, {"parents": 9}, r"parents must be a whole number in \[2, 8\]; found 9"),
        (EVOLUTION, {"hidden": (0,)}, "each width must be"),
        (MERGING, {"t": (0, 1)}, "t must hold 0, 0.5 and 1"),
        (MERGING, {"t": (0, 0.5, 1, 2)}, r"t must be a number in \[0, 1\]; found 2"),
        (MERGING, {"ways": ("mutation",)}, "a way to merge must cross over"),
        (MERGING, {"ways": ("naive/neuron+repair",)}, "only arithmetic children are repaired"),
        (MERGING, {"ways": ()}, "ways must name at least one"),
        (MERGING, {"ways": ("distilation",)}, "unknown operator 'distilation'"),
        (MERGING, {"ways": ("mutation+distillation",)}, "a way to merge must cross over"),
        (MERGING, {"arm": "naive"}, "recombination"),
        (MERGING, {"shared": 3}, r"shared must be a whole number in \[0, 2\]; found 3"),
        (MERGING, {"shared": -1}, r"shared must be a whole number in \[0, 2\]; found -1"),
    ],
)
def test_bad_configs_are_told(config, change, message):
    with pytest.raises(ValueError, match=message):
        config.replace(**change)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"networks": 1}, "networks must be a whole number >= 2; found 1"),
        ({"epochs": 5}, "epochs must be a multiple of period"),
        ({"policies": ("nevr",)}, "unknown policy 'nevr'"),
        ({"policies": ()}, "policies must name at least one"),
        ({"pull": 2}, r"pull must be a number in \[0, 1\]"),
        ({"learning_rate": "fast"}, "learning_rate must be a number"),
        ({"test_n": -1}, "test_n must be a whole number >= 0; found -1"),
        ({"architecture": "mlp"}, r"hidden widths .* or an architecture .* \[8\] and 'mlp'"),
        ({"hidden": ()}, r"hidden widths .* or an architecture .*; found \[\] and ''"),
        ({"hidden": (), "architecture": "mpl"}, "unknown architecture 'mpl'"),
    ],
)
def test_bad_averaging_is_told(averaging, change, message):
    with pytest.raises(ValueError, match=message):
        averaging.replace(**change)


def test_a_way_is_read():
    assert parse_way("weight-matching/layer") == ("weight-matching", "layer", "")
    assert parse_way("naive/layer+distillation") == ("naive", "layer", "distillation")
    with pytest.raises(ValueError, match="an arm must be a word"):
        parse_way(3)


# Rules


@pytest.fixture
def sigmas() -> dict[str, float]:
    return dict(zip(findings.ARMS, (0.1, 0.03, 0.1, 0.3, 0.01), strict=True))


def _scores(config, score) -> pd.DataFrame:
    rows = [(r, arm, 0, score(r, arm)) for r in range(config.n_runs) for arm in config.arms]
    return pd.DataFrame(rows, columns=("run", "arm", "seed", "score"))


class _Record:
    def __init__(self, config, **tables):
        self.config, self.tables = config, tables


def test_each_arm_gets_the_step_that_its_champions_like_best():
    config = findings.tuning_config()
    best = dict(zip(findings.ARMS, (*findings.SIGMAS, 0.03), strict=True))

    def score(r, arm):
        name, _, sigma = arm.partition(":sigma=")
        return (best[name] == float(sigma)) + 0.1 * r

    record = _Record(config, champions=_scores(config, score))
    assert findings.tuned(record) == best


def test_the_family_has_twelve_comparisons(sigmas):
    config = findings.evolution_config(sigmas)
    assert len(config.arms) == 15 and config.n_runs == 20
    assert findings.spelled("mutation", sigmas) == config.arms[0] == "mutation:sigma=0.1"

    def score(r, arm):
        a = parse_arm(arm)
        noise = np.random.default_rng([r, len(arm)]).normal() * 0.01
        return noise + (a.method == "sc-pwc") * a.scramble - 0.5 * (a.recombine == "arithmetic")

    assert [parse_arm(a).scramble for a in config.arms[1:4]] == list(findings.RATES)
    found = findings.arm_families(_Record(config, champions=_scores(config, score)))
    assert len(found) == 12
    by = found.set_index(["question", "first"])["verdict"].to_dict()
    assert (
        by[("aligned or not, neuron, rate 1", "sc-pwc/neuron:sigma=0.1,scramble=1.0")] == "higher"
    )
    crossover = found[found["question"] == "crossover or not"]
    assert crossover["second"].eq("mutation:sigma=0.1").all() and len(crossover) == 4
    assert (crossover[crossover["first"].str.contains("arith")]["verdict"] == "lower").all()
    relatives = found[found["question"] == "relatives left alone"]
    assert len(relatives) == 2
    aligned = found[found["question"].str.startswith("aligned")]
    for row in aligned.itertuples():
        one, other = parse_arm(row.first), parse_arm(row.second)
        assert (one.method, other.method) == ("sc-pwc", "naive")
        assert (one.recombine, one.scramble) == (other.recombine, other.scramble)


def test_tasks_of_a_library_are_known_without_it(monkeypatch):
    breakout = "gymnax:Breakout-MinAtar"
    assert findings.TASKS == {"Pendulum": "gymnax:Pendulum-v1", "Breakout": breakout}
    config = findings.task_tuning_config("Pendulum")
    assert record_name(config) == "gymnax-Pendulum-v1-a26f1e2b1ac4"
    found = findings.tuned(load_or_run(config))  # published: gymnax is not asked for
    tried = {parse_arm(arm).sigma for arm in config.arms}
    assert set(found.values()) <= tried == set(findings.SIGMAS)
    main = findings.task_config("Pendulum", found)
    assert main.n_runs == 30 and main.seed != config.seed
    assert sum(parse_arm(arm).related for arm in main.arms) == 2
    assert {arm.partition(":")[0] for arm in main.arms} == set(found)
    kinds = findings.arm_families(_Record(main, champions=_scores(main, lambda r, arm: r)))
    assert kinds["question"].str.partition(",")[0].value_counts().to_dict() == {
        "aligned or not": 2,
        "crossover or not": 5,
        "relatives left alone": 2,
    }
    # Another environment is another task, and has another record.
    other = config.replace(dataset="gymnax:Acrobot-v1")
    assert record_name(other).startswith("gymnax-Acrobot-v1-")
    assert experiment_of(other).fingerprint != experiment_of(config).fingerprint
    monkeypatch.setitem(sys.modules, "gymnax", None)
    with pytest.raises(ImportError, match=r"safecross\[evolution\]"):
        experiment_of(other).tasks()


def _breakout():
    names = {arm.partition(":")[0] for arm in findings.task_tuning_config("Breakout").arms}
    return findings.task_config("Breakout", dict.fromkeys(names, 0.1))


def test_arms_that_took_unequal_steps_are_compared_when_they_had_taken_as_many():
    config = _breakout()
    fast, slow, *others = config.arms
    # Steps a generation by run: in run 0 the second arm's third generation ends with the first
    # one's first, in run 1 it is the other way round, but for one step.
    steps = {(0, fast): 30, (0, slow): 10, (1, fast): 10, (1, slow): 15}
    rows = [
        (run, arm, g, steps.get((run, arm), 10) * (g + 1), 10.0 * g + (arm == slow))
        for run in (0, 1)
        for arm in config.arms
        for g in range(3)
    ]
    table = pd.DataFrame(rows, columns=["run", "arm", "generation", "steps", "best"])
    mixed = table.sample(frac=1, random_state=0)
    found = findings.at_equal_steps(_Record(config, generations=mixed))
    assert list(found) == list(config.arms)
    assert found[[fast, slow]].to_numpy().tolist() == [[0.0, 21.0], [20.0, 11.0]]
    assert (found[others] == 20.0).all(axis=None)
    # Champions are compared if there is nothing to make equal.
    tables = {"champions": _scores(config, lambda r, arm: r), "generations": mixed}
    unequal = _Record(config, **tables)
    assert not findings.took_equal_steps(unequal)
    assert findings.task_scores(unequal).equals(found)
    equal = _Record(
        config, **tables | {"generations": mixed.assign(steps=10 * mixed["generation"])}
    )
    assert findings.took_equal_steps(equal)
    assert findings.task_scores(equal).equals(findings.champions(equal))


def test_families_may_be_of_other_scores():
    config = _breakout()
    flat = _Record(config, champions=_scores(config, lambda r, arm: r))
    assert (findings.arm_families(flat)["verdict"] == "no difference").all()
    other = pd.DataFrame({arm: np.arange(30.0) + ("sc-pwc" in arm) for arm in config.arms})
    found = findings.arm_families(flat, other)
    assert (found[found["question"].str.startswith("aligned")]["verdict"] == "higher").all()


def test_families_of_the_other_experiments(runs, averaging):
    record = run(averaging.replace(n_runs=2), workers=1)
    found = findings.averaging_family(record)
    assert list(found["first"]) == list(findings.COMPARED)
    assert (found["second"] == "once").all() and (found["verdict"] == "no difference").all()
    config = findings.merging_config({"mutation": 0.1})
    assert config.arm == "mutation:sigma=0.1"
    record = run(MERGING, workers=1)
    table = findings.merged(record)
    assert list(table) == [*MERGING.ways, "parents"]
    pairs = record.tables["pairs"]
    assert table["parents"][1] == pytest.approx(pairs.loc[1, ["score_a", "score_b"]].mean())
    assert (findings.merged(record, 0.5, "distance")["parents"] == 0).all()
    found = findings.merging_family(record)
    assert found[["first", "second"]].values.tolist() == [
        ["sc-pwc/arithmetic", "naive/arithmetic"],
        ["sc-pwc/arithmetic+repair", "sc-pwc/arithmetic"],
        ["sc-pwc/arithmetic", "parents"],
    ]


def test_the_family_of_distillation(sigmas):
    config = findings.distilling_config(sigmas)
    assert config.replace(ways=("naive/layer",), t=findings.merging_config(sigmas).t) == (
        findings.merging_config(sigmas).replace(ways=("naive/layer",), n_pairs=10)
    )
    worth = dict(zip(config.ways, (0.2, 0.5, 0.5, 0.4), strict=True))
    rng = np.random.default_rng(0)
    rows = [
        (pair, way, t, worth[way] + 0.01 * rng.normal(), 0.1)
        for pair in range(10)
        for way in config.ways
        for t in config.t
    ]
    tables = {
        "children": pd.DataFrame(rows, columns=Merging.schema["children"]),
        "pairs": pd.DataFrame(
            [(i, 0, 0, 0.7, 0.7, 0.3) for i in range(10)], columns=Merging.schema["pairs"]
        ),
    }
    found = findings.distilling_family(_Record(config, **tables))
    assert found["verdict"].tolist() == [
        "higher", "higher", "no difference", "higher", "lower", "lower",
    ]  # fmt: skip
    assert found["second"].tolist()[-1] == "parents"


def _merged_record(config, worth, noise=0.01):
    """Make a record of merged champions whose ways are worth so much, in all pairs alike."""
    rng = np.random.default_rng(0)
    rows = [
        (pair, way, 0.5, worth[way] + noise * rng.normal(), 0.1)
        for pair in range(config.n_pairs)
        for way in config.ways
    ]
    pairs = [(i, 0, 0, 0.7, 0.7, 0.3) for i in range(config.n_pairs)]
    tables = {"children": rows, "pairs": pairs}
    return _Record(
        config, **{n: pd.DataFrame(r, columns=Merging.schema[n]) for n, r in tables.items()}
    )


def test_champions_of_other_widths_and_on_other_states(sigmas):
    main = findings.merging_config(sigmas)
    resized, restated = findings.resized_configs(sigmas), findings.restated_configs(sigmas)
    assert [c.hidden[0] for c in resized.values()] == list(findings.MERGED_WIDTHS)
    assert [c.align_n for c in restated.values()] == list(findings.MERGED_STATES)
    assert resized["64-64"] == restated["1,000 states"] == main
    for config in restated.values():  # the same champions
        assert config.replace(ways=main.ways, t=main.t, align_n=main.align_n) == main
    naive, aligned, repaired = main.ways[:3]
    other = main.replace(n_pairs=10, hidden=(16, 16))
    good = dict.fromkeys(main.ways, 0.1) | {aligned: 0.3, repaired: 0.3}
    flat = dict.fromkeys(main.ways, 0.1)
    records = {"64-64": _merged_record(main, good), "16-16": _merged_record(other, flat)}
    found = {(r.first, r.second): r for r in findings.resized_family(records).itertuples()}
    assert len(found) == 6 and {r.n for r in found.values()} == {10}  # pairs that both have
    assert found[f"64-64: {aligned}", f"64-64: {naive}"].verdict == "higher"
    assert found[f"16-16: {aligned}", f"16-16: {naive}"].verdict == "no difference"
    assert found[f"16-16: {repaired}", "16-16: parents"].verdict == "lower"
    records = {"10 states": _merged_record(main, flat), "1,000 states": _merged_record(main, good)}
    found = findings.restated_family(records)
    assert found["first"].tolist() == [f"10 states: {way}" for way in (aligned, repaired)]
    assert set(found["verdict"]) == {"lower"}


def test_the_map_goes_from_strangers_to_relatives():
    table = findings.worth()
    order = [findings.STRANGERS, findings.FIRST, findings.SCRAMBLED, findings.RELATIVES]
    assert list(table["related"].unique()) == order
    assert (table["low"] <= table["value"]).all() and (table["value"] <= table["high"]).all()
    means = table.groupby("related")["value"].mean()
    assert means[findings.STRANGERS] > means[findings.SCRAMBLED] > means[findings.RELATIVES]
    config = findings.averaging_configs()["MNIST, 4 networks"]
    made = findings.made(load_or_run(config))
    gain = (made["once"] - made["never"]).mean() / made["single"].mean()
    row = table[table["situation"] == "averaging in training, MNIST, 4 networks"]
    assert float(row["value"].iloc[0]) == pytest.approx(gain)


def test_configs_and_experiments_share_what_they_do(averaging):
    for config in (EVOLUTION, MERGING, averaging):
        assert isinstance(config, BaseConfig)
    for config in (EVOLUTION, MERGING):
        assert isinstance(experiment_of(config), TaskExperiment)
        assert experiment_of(config).has_data and experiment_of(config).without_data
    assert not isinstance(experiment_of(averaging), TaskExperiment)


def test_safe_mutation_and_safe_crossover_meet_two_by_two():
    assert {int(name.split()[0]): len(h) for name, h in findings.SAFE_LAYERS.items()} == {
        2: 2,
        8: 8,
    }
    layers = "8 hidden layers"
    config = findings.safe_tuning_config(layers)
    assert len(config.hidden) == 8
    assert len(set(config.arms)) == sum(map(len, findings.SAFE_SIGMAS.values())) == 8
    best = {"plain": 0.1, "safe": 3.0}
    liked = {f"mutation:sigma={best[n]},safe={k}" for n, k in findings.SAFE_KINDS.items()}
    record = _Record(config, champions=_scores(config, lambda r, arm: (arm in liked) + 0.1 * r))
    assert findings.safe_tuned(record) == best
    config = findings.safe_config(layers, best)
    assert config.seed != findings.safe_tuning_config(layers).seed

    def score(r, arm):
        a = parse_arm(arm)
        noise = np.random.default_rng([r, len(arm)]).normal() * 0.01
        return noise + (a.safe != "no") * (a.method == "sc-pwc") - 0.5 * (a.method == "naive")

    found = findings.safe_family(_Record(config, champions=_scores(config, score)))
    assert found.set_index("question")["verdict"].to_dict() == {
        "safe mutation, without crossover": "no difference",
        "safe mutation, with unaligned crossover": "no difference",
        "safe mutation, with aligned crossover": "higher",
        "aligned crossover, with plain mutation": "higher",
        "aligned crossover, with safe mutation": "higher",
        "unaligned crossover, with plain mutation": "lower",
        "unaligned crossover, with safe mutation": "lower",
    }


def test_the_configs_of_the_book():
    configs = findings.population_configs()
    assert len({c.hash() for c in configs}) == len(configs) == 25
    assert configs[0] == findings.tuning_config()
    assert set(findings.tuned(load_or_run(configs[0])).values()) <= set(findings.SIGMAS)
    merging = findings.merging_configs(findings.tuned(load_or_run(configs[0])))
    assert {name: config.shared for name, config in merging.items()} == findings.SHARED
    assert set(merging.values()) <= set(configs)
    for name, config in findings.averaging_configs().items():
        kind = "CNNs" if config.architecture else "networks"
        assert name.startswith("MNIST" if config.dataset == "mnist" else "CIFAR-10")
        assert f"{config.networks} {kind}" in name
