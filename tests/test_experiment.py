"""A record is what its config says, however often the run was cut off, cut up or damaged."""

import errno
import itertools
import multiprocessing
import os
import random
import re
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
import torch

from safecross import (
    DamagedFile,
    DataError,
    StoreError,
    align,
    cross_entropy,
    interpolate,
    load_data,
    load_network,
    store,
    train,
)
from safecross.alignment.spelling import parse_operator
from safecross.replication import pairs
from safecross.replication.config import Config
from safecross.replication.pairs import train_parents
from safecross.runs import (
    committed_folder,
    fingerprint,
    list_records,
    load_or_run,
    load_record,
    machine,
    machine_name,
    merge,
    progress_bar,
    publish,
    record_name,
    run,
    runner,
    runs_folder,
    verify,
)
from safecross.runs.config import network_seed

# What must not differ by a byte; only the seconds in timings.parquet may.
TABLES = ("curves", "pairs", "statistics")


@pytest.fixture
def copied(small_run, runs) -> Path:
    """Copy the small run to where the test may spoil it."""
    shutil.copytree(small_run, runs)
    return runs


def record_folder(folder: Path) -> Path:
    (found,) = (folder / "records").iterdir()
    return found


def tables(folder: Path) -> dict[str, bytes]:
    return {name: (record_folder(folder) / f"{name}.parquet").read_bytes() for name in TABLES}


def pair_files(folder: Path) -> list[Path]:
    return sorted(folder.glob("records/*/pairs/pair-*.safetensors"))


def parent_files(folder: Path) -> list[Path]:
    return sorted(folder.glob("parents/*/network-*.safetensors"))


def truncate(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-7])


def flip_a_bit(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[-9] ^= 4
    path.write_bytes(content)


damages = pytest.mark.parametrize("damage", [truncate, flip_a_bit, Path.unlink])


# What a record holds


def test_a_record_has_a_row_for_all_that_was_measured(small_record, small_config):
    config = small_config
    record = small_record
    assert record.config == config.replace(dataset="own")
    rows = record.curves[["pair", "operator", "t"]].itertuples(index=False, name=None)
    assert list(rows) == list(itertools.product(range(4), config.operators, config.t))
    assert record.pairs["network_a"].tolist() == [0, 2, 4, 6]
    assert record.pairs["seed_b"].tolist() == [network_seed(config, i) for i in (1, 3, 5, 7)]
    assert "1 worker," in record.describe()
    assert set(record.statistics["layer"]) == {1, 2}
    assert record.manifest["machine"] == machine_name()
    assert record.curves["accuracy"].between(0, 1).all()
    assert record.curves.notna().all(axis=None)
    steps = set(record.timings["step"])
    assert {"train a", "train b", *(f"align {op}" for op in config.operators)} <= steps
    assert record.manifest["widths"] == [9, 5, 4, 3]
    assert (record.manifest["n_train"], record.manifest["n_validation"]) == (60, 40)
    assert record.wall_seconds >= 0
    assert re.search(r"own-\w{12}: 4 pairs on own, computed 20\d\d-", record.describe())


def test_at_gives_a_table_of_pairs_and_operators(small_record):
    table = small_record.at(0.25, "accuracy")
    assert list(table.columns) == list(small_record.config.operators)
    rows = small_record.curves.query("pair == 2 and operator == 'sc-pwc' and t == 0.25")
    assert table.loc[2, "sc-pwc"] == pytest.approx(rows["accuracy"].item())
    for t, column in ((0.3, "loss"), (0.5, "t")):
        with pytest.raises(ValueError, match=r"expected t among .* and column loss"):
            small_record.at(t, column)


VARIANTS = [
    {},
    {"inputs": "standardised"},
    {"align_split": "train"},
    {"align_split": "train", "align_n": 7},
    {"align_n": 11},
    {"align_split": "held-out"},
    {"align_split": "held-out", "align_n": 13},
    {"softmax": "matrix"},
    {"softmax": "matrix-renormalised"},
    {"output_bias": False},
]


def measure_directly(config: Config) -> dict[str, np.ndarray]:
    """Do what the config says for the first pair, in the plainest way."""
    data = load_data(config.dataset)
    x_train, x, y = data.x_train, data.x_test, data.y_test
    if config.inputs == "standardised":
        mean, deviation = x_train.mean(), x_train.std()
        x_train, x = (x_train - mean) / deviation, (x - mean) / deviation
    settings = {"epochs": config.epochs, "batch_size": config.batch_size}
    a, b = (
        train(x_train, data.y_train, config.hidden, network_seed(config, i), **settings)
        for i in (0, 1)
    )
    batch = {"train": x_train, "validation": x, "held-out": x[: config.align_n or 20]}
    batch = batch[config.align_split][: config.align_n]
    if config.align_split == "held-out":
        x, y = x[len(batch) :], y[len(batch) :]
    if not config.output_bias:
        a.biases[-1].zero_()
        b.biases[-1].zero_()
    losses = {}
    for operator in config.operators:
        name, options = parse_operator(operator)
        aligned = align(a, b, batch, name, **options).apply(a, b)
        children = [interpolate(*aligned, t)(x) for t in config.t]
        losses[operator] = np.array([float(cross_entropy(z, y, config.softmax)) for z in children])
    return losses


@pytest.mark.parametrize("changes", VARIANTS, ids=str)
def test_each_variant_is_measured_as_it_says(small_config, runs, changes):
    config = small_config.replace(n_pairs=1, **changes)
    record = run(config, workers=1)
    for operator, losses in measure_directly(config).items():
        ours = record.curves[record.curves["operator"] == operator]["loss"]
        np.testing.assert_allclose(ours, losses, rtol=1e-5, atol=1e-6)


def test_the_variants_differ_from_one_another(small_config, runs):
    found = [measure_directly(small_config.replace(**changes)) for changes in VARIANTS]
    assert len({np.stack([*losses.values()]).round(9).tobytes() for losses in found}) == len(found)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"align_n": 41}, "align_n must be at most 40; found 41"),
        ({"align_n": 61, "align_split": "train"}, "align_n must be at most 60; found 61"),
        ({"align_n": 40, "align_split": "held-out"}, "align_n leaves no validation example"),
    ],
)
def test_a_batch_larger_than_the_data_is_refused(small_config, runs, changes, message):
    with pytest.raises(ValueError, match=message):
        run(small_config.replace(**changes), workers=1)


def test_a_parent_is_trained_as_the_config_says(small_config, small_run):
    ((theta, seconds),) = train_parents(small_config, [3])
    assert seconds > 0
    kept = load_network(parent_files(small_run)[3])
    for ours, theirs in zip(theta.weights + theta.biases, kept.weights + kept.biases, strict=True):
        assert torch.equal(ours, theirs)


def test_each_network_of_a_population_takes_an_equal_part_of_the_time(small_config, monkeypatch):
    readings = iter([100.0, 112.0, 112.0, 113.0, 115.0, 118.0])
    monkeypatch.setattr(pairs, "time", SimpleNamespace(perf_counter=lambda: next(readings)))
    together = train_parents(small_config, range(6), together=True)
    assert [seconds for _, seconds in together] == [2.0] * 6
    assert [seconds for _, seconds in train_parents(small_config, [0, 1])] == [1.0, 3.0]


def test_a_worker_computes_on_one_thread(small_config, runs, monkeypatch, own_data):
    seen = []

    def watch(function):
        def watched(*arguments, **options):
            seen.append(torch.get_num_threads())
            return function(*arguments, **options)

        return watched

    for name in ("train", "crossover_curve", "align_layers"):
        monkeypatch.setattr(pairs, name, watch(getattr(pairs, name)))
    torch.set_num_threads(2)
    try:
        record = run(small_config.replace(n_pairs=1), workers=1)
        verify(record, n_pairs=1, dataset=str(own_data))
        assert torch.get_num_threads() == 2  # as the caller had it
    finally:
        torch.set_num_threads(1)
    assert seen == [1] * 2 * (2 + 2 * len(small_config.operators))


# Workers, shards, more pairs


def test_two_workers_give_the_same_bytes_as_one(small_config, small_run, runs):
    record = run(small_config, workers=2)
    assert tables(runs) == tables(small_run)
    assert record.manifest["sessions"][0]["workers"] == 2


def test_shards_merge_into_the_same_bytes(small_config, small_run, runs):
    assert run(small_config, workers=1, shard=(2, 3)) is None
    assert run(small_config, workers=1, shard=(0, 3)) is None
    assert [path.stem for path in pair_files(runs)] == ["pair-00000", "pair-00002", "pair-00003"]
    with pytest.raises(ValueError, match=r"1 of 4 pairs are missing or damaged, the first \[1\]"):
        merge(small_config)
    run(small_config, workers=1, shard=(1, 3))
    record = merge(small_config)
    assert tables(runs) == tables(small_run)
    assert len(record.manifest["sessions"]) == 3
    assert "3 sessions, in all" in record.describe()


@pytest.fixture
def shards(small_config, tmp_path, runs) -> list[Path]:
    """Run three shards in folders of their own, as on machines without a common disk."""
    folders = [tmp_path / f"machine-{i}" for i in range(3)]
    for i, folder in enumerate(folders):
        assert run(small_config, workers=1, shard=(i, 3), folder=folder) is None
    return folders


def test_shards_of_several_machines_merge_into_the_same_bytes(
    small_config, small_run, runs, shards
):
    record = merge(small_config, sources=shards)
    assert tables(runs) == tables(small_run)
    assert len(record.manifest["sessions"]) == 3
    merge(small_config, sources=[*shards, runs])  # once more does no harm
    assert tables(runs) == tables(small_run)


def test_a_gap_between_shards_is_refused_and_filled_later(small_config, small_run, runs, shards):
    with pytest.raises(ValueError, match=r"missing or damaged, the first \[2\]"):
        merge(small_config, sources=shards[:2])
    damage = pair_files(shards[2])[0]
    truncate(damage)
    with pytest.raises(ValueError, match=r"missing or damaged, the first \[2\]"):
        merge(small_config, sources=shards)
    run(small_config, workers=1, shard=(2, 3), folder=shards[2])
    merge(small_config, sources=shards)
    assert tables(runs) == tables(small_run)


def test_shards_that_overlap_are_refused(small_config, runs, shards, tmp_path):
    run(small_config, workers=1, shard=(1, 2), folder=tmp_path / "odd")  # pairs 1 and 3
    with pytest.raises(ValueError, match=r"pairs \[1, 3\] are both in .*machine-\d and in .*odd"):
        merge(small_config, sources=[*shards, tmp_path / "odd"])
    assert not runs.exists()


def test_shards_of_another_config_are_refused(small_config, runs, shards, tmp_path):
    other = small_config.replace(epochs=3)
    run(other, workers=1, shard=(2, 3), folder=tmp_path / "other")
    message = rf"expected pairs of {record_name(small_config)} in .*other; found records \['own-"
    with pytest.raises(ValueError, match=message):
        merge(small_config, sources=[*shards[:2], tmp_path / "other"])
    assert not runs.exists()


def test_parents_trained_together_are_kept_apart_and_agree(small_config, small_record, runs):
    record = run(small_config, workers=1, folder=runs / "together", together=3)
    assert len(list((runs / "together").glob("parents/*-together/network-*"))) == 8
    assert not list((runs / "together").glob("parents/*[!r]/network-*"))
    assert record.manifest["sessions"][0]["together"] == 3
    np.testing.assert_allclose(
        record.pairs[["loss_a", "loss_b"]], small_record.pairs[["loss_a", "loss_b"]], rtol=1e-4
    )
    assert record.pairs["loss_a"].nunique() == 4


@pytest.mark.parametrize("shard", [(3, 3), (-1, 3), (0, 0), (0.5, 2)])
def test_a_shard_out_of_range_is_refused(small_config, runs, shard):
    with pytest.raises(ValueError, match=r"shard's [in] must be a whole number"):
        run(small_config, shard=shard)


@pytest.mark.parametrize("workers", [0, -1, 1.5])
def test_workers_out_of_range_are_refused(small_config, runs, workers):
    with pytest.raises(ValueError, match=r"workers must be a whole number >= 1; found"):
        run(small_config, workers=workers)


def test_fewer_pairs_are_the_first_ones_and_share_their_parents(small_config, small_record, copied):
    before = {path: path.stat().st_mtime_ns for path in parent_files(copied)}
    record = run(small_config.replace(n_pairs=2), workers=1)
    assert {path: path.stat().st_mtime_ns for path in parent_files(copied)} == before
    first = small_record.curves.query("pair < 2")
    assert record.curves.drop(columns="operator").equals(first.drop(columns="operator"))


def test_a_pair_of_another_config_is_not_taken_for_ones_own(small_config, small_run, copied):
    other = small_config.replace(operators=("naive", "sc-cca", "sc-pwc", "sc-pwc-semi"), n_pairs=1)
    run(other, workers=1)
    name = record_folder(small_run).name
    mine = copied / "records" / name / "pairs"
    (theirs,) = [path for path in (copied / "records").iterdir() if path.name != name]
    shutil.copy(theirs / "pairs" / "pair-00000.safetensors", mine)
    with pytest.raises(ValueError, match=r"missing or damaged, the first \[0\]"):
        merge(small_config)
    # Nor is one pair taken for another, nor one parent.
    shutil.copy(mine / "pair-00001.safetensors", mine / "pair-00000.safetensors")
    shutil.copy(parent_files(copied)[2], parent_files(copied)[0])
    record = run(small_config, workers=1)
    for name in TABLES:
        path = record_folder(small_run) / f"{name}.parquet"
        assert (record.folder / path.name).read_bytes() == path.read_bytes()


def test_a_parent_of_another_config_is_not_taken_for_ones_own(small_config, small_run, copied):
    other = run(small_config.replace(epochs=3, n_pairs=1), workers=1, folder=copied / "other")
    assert not np.isclose(
        other.pairs["loss_a"][0], load_record(record_folder(small_run)).pairs["loss_a"][0]
    )
    shutil.copy(parent_files(copied / "other")[0], parent_files(copied)[0])
    pair_files(copied)[0].unlink()
    run(small_config, workers=1)
    assert tables(copied) == tables(small_run)


# Interrupted


@pytest.fixture(scope="module")
def long_config(small_config) -> Config:
    return small_config.replace(n_pairs=60, operators=("naive", "sc-pwc"))


@pytest.fixture(scope="module")
def long_run(long_config, tmp_path_factory) -> Path:
    """Run it without interruption."""
    folder = tmp_path_factory.mktemp("long-run")
    child = start(long_config, folder)
    child.join()
    assert child.exitcode == 0
    return folder


def run_in_child(config: Config, folder: Path, die_at: int = 0) -> None:
    """Run alone in a process group; optionally die by SIGKILL just before a write is final."""
    os.setsid()
    machine.product_rate = lambda *_, **__: 1e9
    writes = itertools.count(1)
    replace = os.replace

    def replace_or_die(source, target):
        if next(writes) == die_at:
            os.kill(os.getpid(), signal.SIGKILL)
        replace(source, target)

    os.replace = replace_or_die
    run(config, workers=1, folder=folder)


def start(*arguments) -> multiprocessing.Process:
    # A server that has the package imported starts a process in no time.
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["safecross.runs", "torch._dynamo", "pytest"])
    child = context.Process(target=run_in_child, args=arguments)
    child.start()
    return child


def wait_until(condition, alive) -> None:
    while alive() and not condition():
        time.sleep(0.001)


def test_a_run_killed_at_random_moments_ends_with_the_same_bytes(long_config, long_run, tmp_path):
    moments = random.Random(0)
    folder = tmp_path / "runs"
    progress = []
    for target in sorted(moments.sample(range(long_config.n_pairs // 3), 10)):
        before = set(folder.rglob("*"))
        child = start(long_config, folder)
        # What a killed run half wrote is swept away: there may be fewer old files beside the new.
        wait_until(lambda seen=before: set(folder.rglob("*")) - seen, child.is_alive)
        wait_until(lambda least=target: len(pair_files(folder)) >= least, child.is_alive)
        time.sleep(moments.uniform(0, 0.03))
        assert child.is_alive()
        os.killpg(child.pid, signal.SIGKILL)
        child.join()
        assert child.exitcode == -signal.SIGKILL
        progress.append(len(pair_files(folder)))
        assert progress[-1] < long_config.n_pairs
        assert not list(folder.glob("records/*/manifest.json"))
    assert progress == sorted(progress)
    kept = {path: path.stat().st_mtime_ns for path in pair_files(folder)}

    child = start(long_config, folder)
    child.join()

    assert child.exitcode == 0
    assert tables(folder) == tables(long_run)
    assert {path: path.stat().st_mtime_ns for path in kept} == kept


def test_a_run_killed_at_each_of_its_writes_ends_with_the_same_bytes(small_config, tmp_path):
    config = small_config.replace(n_pairs=1)
    run_whole = start(config, tmp_path / "whole")
    run_whole.join()
    folder = tmp_path / "killed"
    for write in itertools.count(1):
        shutil.rmtree(folder, ignore_errors=True)
        child = start(config, folder, write)
        child.join()
        if child.exitcode == 0:
            break
        assert child.exitcode == -signal.SIGKILL
        assert list(folder.rglob(".*.tmp"))  # half-written, and not taken for anything
        again = start(config, folder)
        again.join()
        assert again.exitcode == 0
        assert not list(folder.rglob(".*.tmp"))
        assert tables(folder) == tables(tmp_path / "whole")
        assert load_record(record_folder(folder)).describe()
    # Two parents, a pair, the session's note, four tables, the manifest, and what else there is.
    assert write > 9


def command(*words: str) -> subprocess.Popen:
    """Start the command line in a process group of its own that Ctrl-C can reach."""
    return subprocess.Popen(
        [sys.executable, "-m", "safecross", *map(str, words)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
    )


@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGINT])
def test_the_command_line_with_two_workers_is_cut_off(small_config, long_run, runs, how):
    words = ["run", small_config.dataset, "--pairs", "300", "--widths", "5,4", "--workers", "2"]
    process = command(*words, "--epochs", "2", "--operators", "naive", "sc-pwc")
    wait_until(lambda: len(pair_files(runs)) > 1, lambda: process.poll() is None)
    assert process.poll() is None
    os.killpg(process.pid, how)
    out, err = process.communicate(timeout=60)
    assert out == ""
    assert len(pair_files(runs)) < 300
    for path in pair_files(runs):
        store.load_tensors(path)
    if how == signal.SIGKILL:
        assert process.returncode == -signal.SIGKILL
    else:
        assert process.returncode == 130
        assert err == "safecross: interrupted; what was finished is kept\n"
    found = list_records().set_index("place").loc["local"]
    assert found["pairs_done"] == len(pair_files(runs))
    assert found["pairs"] == 300


#: Makes every worker but the first take its time to start; Python reads it before all else.
LATE_WORKERS = """
import os, sys, time
if any("popen_loky" in word for word in sys.orig_argv):
    try:
        os.mkdir(os.environ["FIRST_WORKER"])
    except FileExistsError:
        time.sleep(60)
"""


def test_ctrl_c_while_a_worker_starts_prints_one_line(small_config, runs, tmp_path, monkeypatch):
    (tmp_path / "late").mkdir()
    (tmp_path / "late" / "sitecustomize.py").write_text(LATE_WORKERS)
    monkeypatch.setenv("FIRST_WORKER", str(tmp_path / "first"))
    monkeypatch.setenv("PYTHONPATH", f"{tmp_path / 'late'}:{os.environ.get('PYTHONPATH', '')}")
    words = ["run", small_config.dataset, "--pairs", "300", "--widths", "5,4", "--workers", "2"]
    process = command(*words, "--epochs", "2", "--operators", "naive", "sc-pwc")
    wait_until(lambda: len(pair_files(runs)) > 1, lambda: process.poll() is None)
    os.killpg(process.pid, signal.SIGINT)
    out, err = process.communicate(timeout=60)
    assert (out, err) == ("", "safecross: interrupted; what was finished is kept\n")
    assert process.returncode == 130
    assert 1 < len(pair_files(runs)) < 300


def test_the_peak_of_memory_is_this_process_own():
    code = "from safecross.runs import peak_memory; print(peak_memory())"
    block = np.ones(10**8)  # what the parent holds is not the child's
    found = int(subprocess.run([sys.executable, "-c", code], capture_output=True).stdout)
    assert 5e7 < found < block.nbytes < machine.peak_memory()


# Damaged, full, not to be written


@damages
def test_a_damaged_pair_is_computed_again(small_config, small_run, copied, damage):
    damage(pair_files(copied)[1])
    kept = {path: path.stat().st_mtime_ns for path in pair_files(copied) if path.stem[-1] != "1"}
    with pytest.raises(ValueError, match=r"1 of 4 pairs are missing or damaged, the first \[1\]"):
        merge(small_config)
    run(small_config, workers=1)
    assert tables(copied) == tables(small_run)
    assert {path: path.stat().st_mtime_ns for path in kept} == kept


@damages
def test_a_damaged_parent_is_trained_again(small_config, small_run, copied, damage):
    pair_files(copied)[1].unlink()
    damage(parent_files(copied)[3])
    run(small_config, workers=1)
    assert tables(copied) == tables(small_run)
    assert load_network(parent_files(copied)[3]).widths == (9, 5, 4, 3)


@damages
@pytest.mark.parametrize("name", [*(f"{name}.parquet" for name in TABLES), "manifest.json"])
def test_a_damaged_local_record_is_put_together_again(
    small_config, small_run, copied, damage, name
):
    damage(record_folder(copied) / name)
    with pytest.raises(DamagedFile, match=re.escape(name)):
        load_record(record_folder(copied))
    load_or_run(small_config, workers=1)
    assert tables(copied) == tables(small_run)
    load_record(record_folder(copied))


@damages
def test_a_damaged_published_record_is_refused(small_config, small_run, runs, damage):
    published = committed_folder() / record_folder(small_run).name
    shutil.copytree(record_folder(small_run), published)
    damage(published / "curves.parquet")
    with pytest.raises(DamagedFile, match=r"curves\.parquet: expected SHA-256 .*; found"):
        load_or_run(small_config, workers=1)
    assert not runs.exists()


@pytest.mark.parametrize(
    "change",
    [
        lambda manifest: manifest.pop("files"),
        lambda manifest: manifest.pop("sessions"),
        lambda manifest: manifest["config"].update(epochs=3),
        lambda manifest: manifest["config"].update(epoch=3),
        lambda manifest: manifest["files"].pop("pairs.parquet"),
    ],
)
def test_an_altered_manifest_is_noticed(copied, change):
    path = record_folder(copied) / "manifest.json"
    manifest = store.load_json(path)
    change(manifest)
    store.save_json(path, store.sealed(manifest))
    with pytest.raises(DamagedFile, match=r"manifest\.json|pairs\.parquet"):
        load_record(path.parent)


def test_half_written_files_are_ignored(small_config, small_run, runs):
    folder = runs / "records" / record_folder(small_run).name / "pairs"
    folder.mkdir(parents=True)
    (folder / ".pair-00000.safetensors.abc.tmp").write_bytes(b"half of it")
    assert list_records()["pairs_done"].tolist() == [0]
    run(small_config, workers=1)
    assert tables(runs) == tables(small_run)


def test_a_full_disk_keeps_the_pairs_done_before(small_config, small_run, runs, monkeypatch):
    write = Path.write_bytes
    writes = itertools.count(1)

    def fill_up(path, content):
        if next(writes) > 7:  # two pairs and the parents of the next one; it takes the next
            write(path, b"half of it")
            raise OSError(errno.ENOSPC, "No space left on device")
        write(path, content)

    monkeypatch.setattr(Path, "write_bytes", fill_up)
    with pytest.raises(StoreError, match=r"cannot write .*: .*No space left.*Free some") as caught:
        run(small_config, workers=1)
    assert len(str(caught.value).splitlines()) == 1
    assert [path.stem for path in pair_files(runs)] == ["pair-00000", "pair-00001"]
    assert len(parent_files(runs)) == 5
    assert not list(runs.rglob(".*.tmp"))
    kept = {p: p.stat().st_mtime_ns for p in pair_files(runs) + parent_files(runs)}
    monkeypatch.undo()

    run(small_config, workers=1, folder=runs)

    assert tables(runs) == tables(small_run)
    assert {path: path.stat().st_mtime_ns for path in kept} == kept


def test_a_folder_that_cannot_be_made_is_named(small_config, runs):
    runs.write_text("a file is in the way")
    with pytest.raises(StoreError, match=re.escape(f"cannot write {runs}")):
        run(small_config, workers=2)


def test_an_error_in_a_worker_is_the_callers(small_config, runs):
    with pytest.raises(ValueError, match=r"^align_n must be at most 40; found 41$"):
        run(small_config.replace(align_n=41), workers=2)


def test_data_that_only_a_worker_reads_are_its_error_too(runs, tmp_path, monkeypatch):
    (tmp_path / "mnist.npz").write_bytes(b"not an archive")
    monkeypatch.setenv("SAFECROSS_DATA", str(tmp_path))
    config = Config("mnist", (4,), 1, 1, ("naive",))
    with pytest.raises(DataError, match=r"mnist\.npz: expected a NumPy \.npz archive; found"):
        run(config, workers=1)


def test_data_that_change_on_disk_are_read_anew(small_config, own_data, other_data, runs, tmp_path):
    mine = tmp_path / "own.npz"
    config = small_config.replace(dataset=mine, n_pairs=1)
    found = []
    for source in (own_data, other_data):
        shutil.copy(source, mine)
        os.utime(mine, ns=(len(found), len(found)))
        moved = config.replace(dataset=source)
        found.append(run(config, workers=1))
        assert found[-1].folder.name.endswith(moved.hash(fingerprint(str(source))))
        np.testing.assert_allclose(
            found[-1].curves.query("operator == 'sc-pwc'")["loss"],
            measure_directly(moved)["sc-pwc"],
            rtol=1e-5,
        )
    assert not found[0].curves.equals(found[1].curves)


# Which record is taken


def test_the_published_record_is_taken_before_the_local_one(
    small_config, small_run, copied, monkeypatch
):
    def refuse(*arguments, **options):
        raise AssertionError("computed what is there")

    monkeypatch.setattr(runner, "run", refuse)
    name = record_folder(small_run).name
    assert load_or_run(small_config).folder == copied / "records" / name
    shutil.copytree(record_folder(small_run), committed_folder() / name)
    assert load_or_run(small_config).folder == committed_folder() / name
    with pytest.raises(AssertionError, match="computed what is there"):
        load_or_run(small_config.replace(seed=1))


def test_a_published_record_is_a_whole_copy(small_config, small_run, copied):
    record = load_record(record_folder(copied))
    target = publish(record)
    assert target == committed_folder() / record_folder(small_run).name
    assert {path.name for path in target.iterdir()} == {*record.manifest["files"], "manifest.json"}
    published = load_or_run(small_config)
    assert published.folder == target
    assert published.curves.equals(record.curves)
    assert publish(published) == target
    assert load_record(target).manifest == record.manifest


def test_a_record_is_not_published_where_nothing_can_be_written(small_record, tmp_path):
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(StoreError, match="cannot write"):
        publish(small_record, tmp_path / "file")


def test_a_record_that_is_nowhere_is_computed(small_config, runs):
    record = load_or_run(small_config.replace(n_pairs=1), workers=1)
    assert record.folder.parent == runs / "records" == runs_folder() / "records"
    assert record.config.n_pairs == 1


def test_a_run_with_nothing_left_to_do_computes_nothing(small_config, small_run, copied):
    before = store.load_json(record_folder(copied) / "manifest.json")
    files = {path: path.stat().st_mtime_ns for path in pair_files(copied) + parent_files(copied)}
    record = run(small_config)
    assert record.manifest["sessions"] == before["sessions"]
    assert {path: path.stat().st_mtime_ns for path in files} == files
    assert tables(copied) == tables(small_run)
    assert run(small_config, shard=(1, 2)) is None


def test_records_are_listed_with_how_far_they_are(small_config, small_run, copied):
    name = record_folder(small_run).name
    shutil.copytree(record_folder(small_run), committed_folder() / name)
    run(small_config.replace(seed=1), workers=1, shard=(0, 2))
    table = list_records()
    assert not table["problem"].any()
    rows = table[["place", "pairs_done", "pairs"]].itertuples(index=False, name=None)
    assert sorted(rows) == [("local", 2, 4), ("local", 4, 4), ("published", 4, 4)]


def test_no_records_make_an_empty_list(runs):
    assert list_records().empty


def test_the_runs_lie_where_the_environment_says(monkeypatch, tmp_path):
    monkeypatch.setenv("SAFECROSS_RUNS", str(tmp_path))
    assert runs_folder() == tmp_path
    monkeypatch.delenv("SAFECROSS_RUNS")
    assert runs_folder().parts[-2:] == ("safecross", "runs")


def test_the_committed_folder_lies_in_the_book():
    root = Path(pairs.__file__).parents[2]
    assert committed_folder() == root / "book" / "results"


def test_a_records_name_is_its_data_sets_and_its_configs(small_config, small_run, own_data):
    name = record_name(small_config)
    assert name == f"own-{small_config.hash(load_data(own_data).fingerprint)}"
    assert record_folder(small_run).name == name


@pytest.mark.parametrize(("variable", "value"), [("SAFECROSS_PROGRESS", "0"), ("CI", "true")])
def test_progress_is_silent_where_nobody_looks(monkeypatch, variable, value, capfd):
    monkeypatch.setenv(variable, value)
    assert list(progress_bar(range(3), desc="pairs")) == [0, 1, 2]
    assert capfd.readouterr() == ("", "")


# Verified


def test_an_honest_record_is_verified(small_record, own_data):
    table = verify(small_record, n_pairs=4, tolerance=1e-5, dataset=str(own_data))
    assert len(table) == 4 * (4 * 3 + 2 + 1)  # of four pairs: operators, parents, statistics
    assert table["ok"].all()
    assert table["difference"].max() < 1e-5


def test_verification_draws_its_pairs_by_the_seed(small_record, own_data):
    drawn = [
        verify(small_record, n_pairs=1, seed=seed, dataset=str(own_data))["pair"].unique().item()
        for seed in range(6)
    ]
    assert len(set(drawn)) > 1


def forge(folder: Path, name: str, change) -> None:
    """Alter a table and make the checksums fit."""
    path = folder / f"{name}.parquet"
    table = pd.read_parquet(path)
    change(table)
    table.to_parquet(path, index=False)
    manifest = store.load_json(folder / "manifest.json")
    manifest["files"][path.name] = store.file_hash(path)
    store.save_json(folder / "manifest.json", store.sealed(manifest))


def at(operator: str, t: float, column: str, change):
    def alter(curves: pd.DataFrame) -> None:
        rows = (curves["operator"] == operator) & (curves["t"] == t)
        assert rows.any()
        curves.loc[rows, column] = change(curves.loc[rows, column])

    return alter


def scaled(column: str, factor: float):
    def alter(frame: pd.DataFrame) -> None:
        frame[column] *= factor

    return alter


@pytest.mark.parametrize(
    ("name", "change", "what", "value", "tolerance"),
    [
        ("curves", at("sc-pwc", 0.5, "loss", lambda x: 0.8 * x), "sc-pwc", "loss", 0.1),
        ("curves", at("sc-pwc", 0.5, "loss", lambda x: np.nan * x), "sc-pwc", "loss", 0.1),
        ("curves", at("sc-pwc", 0.5, "accuracy", lambda x: x + 0.2), "sc-pwc", "accuracy", 0.1),
        ("curves", at("naive", -0.25, "accuracy", lambda x: x + 0.2), "naive", "accuracy", 0.1),
        ("curves", at("naive", -0.25, "loss", lambda x: x + 3e-3), "naive", None, 1e-4),
        ("curves", at("naive", -0.25, "loss", lambda x: np.nan * x), "naive", None, 0.1),
        ("curves", at("sc-pwc-semi", 0, "loss", lambda x: x + 3e-3), "sc-pwc-semi", "loss", 1e-4),
        ("pairs", scaled("loss_b", 1.3), "parents", "loss", 0.1),
        ("pairs", scaled("accuracy_a", 0.5), "parents", "accuracy", 0.1),
        ("statistics", scaled("value", 1.5), "statistics", "share of the width", 0.1),
        ("statistics", scaled("value", np.nan), "statistics", "share of the width", 0.1),
    ],
)
def test_an_altered_record_is_found_out(copied, own_data, name, change, what, value, tolerance):
    forge(record_folder(copied), name, change)
    record = load_record(record_folder(copied))
    table = verify(record, n_pairs=2, tolerance=tolerance, dataset=str(own_data))
    forged = (table["what"] == what) & (table["value"] == (value or "loss outside [0, 1]"))
    assert forged.sum() == 2
    assert (table["ok"] == ~forged).all()


def test_a_loose_tolerance_leaves_out_the_losses_that_explode(copied, own_data):
    forge(record_folder(copied), "curves", at("naive", -0.25, "loss", lambda x: 9 * x))
    forge(record_folder(copied), "curves", at("sc-pwc-semi", 0.5, "loss", lambda x: 9 * x))
    record = load_record(record_folder(copied))
    assert verify(record, n_pairs=2, dataset=str(own_data))["ok"].all()


@pytest.mark.parametrize(("forged", "unit"), [(0.25, 1), (8.0, 8)])
def test_losses_are_compared_relative_to_the_larger_of_1_and_the_loss(
    copied, own_data, forged, unit
):
    honest = load_record(record_folder(copied)).at(0.5)["sc-pwc"]
    forge(record_folder(copied), "curves", at("sc-pwc", 0.5, "loss", lambda x: 0 * x + forged))
    table = verify(load_record(record_folder(copied)), n_pairs=4, dataset=str(own_data))
    rows = table[(table["what"] == "sc-pwc") & (table["value"] == "loss")].set_index("pair")
    expected = abs(forged - honest) / unit
    np.testing.assert_allclose(rows["difference"], expected, atol=1e-6)


def test_other_data_than_the_records_are_refused(small_record, other_data):
    with pytest.raises(ValueError, match=r"expected data with fingerprint \w+; found \w+"):
        verify(small_record, n_pairs=1, dataset=str(other_data))


@pytest.mark.parametrize("n_pairs", [0, 5])
def test_pairs_out_of_range_are_not_verified(small_record, own_data, n_pairs):
    with pytest.raises(ValueError, match=r"n_pairs must be a whole number in \[1, 4\]"):
        verify(small_record, n_pairs=n_pairs, dataset=str(own_data))


def test_the_fingerprint_of_a_known_data_set_needs_no_file(own_data, monkeypatch):
    assert fingerprint(str(own_data)) == load_data(own_data).fingerprint
    monkeypatch.setattr("safecross.runs.experiment.load_data", None)
    assert len(fingerprint("cifar10")) == 64


def test_both_kinds_of_views_are_timed_apart(small_config, runs):
    operators = ("naive", "sc-cca", "sc-cca:standardise=false")
    record = run(small_config.replace(operators=operators, n_pairs=1), workers=1)
    found = set(record.timings["step"])
    assert {f"covariances and eigenvectors{what}" for what in ("", ", only centred")} <= found
