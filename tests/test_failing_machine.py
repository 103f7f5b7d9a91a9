"""A machine may fail: processes die, disks fill up and rot, memory and clocks are not as wished."""

import contextlib
import errno
import os
import random
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from itertools import count
from pathlib import Path
from types import SimpleNamespace

import joblib
import numpy as np
import pandas as pd
import psutil
import pytest
import torch

from safecross import (
    DataError,
    StoreError,
    load_data,
    load_network,
    store,
)
from safecross.book.chapters import (
    BookError,
    load_profile,
    plan_parameters,
)
from safecross.cli import main
from safecross.replication.config import Config
from safecross.replication.memory import pair_memory
from safecross.runs import (
    Record,
    committed_folder,
    engine,
    experiment_of,
    list_records,
    load_or_run,
    load_record,
    machine,
    merge,
    record_name,
    run,
    runs_folder,
    verify,
)
from safecross.runs.folder import session_notes

TABLES = ("curves", "pairs", "statistics")

#: Kills for each signal; `make test` has time for two, SAFECROSS_KILLS=10 shows more.
KILLS = int(os.environ.get("SAFECROSS_KILLS", 2))


@pytest.fixture
def copied(small_run, runs) -> Path:
    """Copy the small run to where the test may spoil it; return its record's folder."""
    shutil.copytree(small_run, runs)
    (folder,) = (runs / "records").iterdir()
    return folder


def one_line(capsys) -> str:
    err = capsys.readouterr().err
    assert err.count("\n") == 1 and err.startswith("safecross: error: ")
    return err


def tables(record: Record) -> dict[str, bytes]:
    return {name: (record.folder / f"{name}.parquet").read_bytes() for name in TABLES}


# Processes: no more than there is work for


def test_there_are_no_more_workers_than_tasks(small_config, runs):
    record = run(small_config.replace(n_pairs=2), workers=3)
    assert record.manifest["sessions"][0]["workers"] == 2
    assert len(psutil.Process().children(recursive=True)) < 6  # two, and their two trackers


def test_pairs_that_are_trained_together_are_one_task(small_config, runs):
    record = run(small_config.replace(n_pairs=3), workers=3, together=3)
    assert record.manifest["sessions"][0]["workers"] == 1


def test_far_more_workers_than_cores_are_refused(small_config, runs, capsys):
    most = engine.PER_CORE * joblib.cpu_count()
    engine.check("loky", workers=most)
    words = ["run", small_config.dataset, "--pairs", "2", "--workers", str(most + 1)]
    assert main(words) == 1
    assert f"workers must be at most {most}, 4 for each of the" in one_line(capsys)
    assert not runs.exists()


# Processes: none stays behind


@contextlib.contextmanager
def command(*words: str) -> Iterator[subprocess.Popen]:
    """Run the command line in a session of its own, of which nothing is left afterwards."""
    process = subprocess.Popen(
        [sys.executable, "-m", "safecross", *map(str, words)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
    )
    try:
        yield process
    finally:
        for other in [process, *of_session(process.pid)]:
            other.kill()
        process.communicate()


def of_session(leader: int) -> list[psutil.Process]:
    """Return the living processes of a session, whoever their parents are by now."""
    found = []
    for process in psutil.process_iter():
        with contextlib.suppress(psutil.NoSuchProcess, ProcessLookupError):
            if os.getsid(process.pid) == leader and process.status() != psutil.STATUS_ZOMBIE:
                found.append(process)
    return found


def wait_until(condition: Callable, process: subprocess.Popen | None = None, seconds=300) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert process is None or process.poll() is None, process.communicate()
        assert time.monotonic() < deadline, "it did not happen in time"
        time.sleep(0.005)


def words_of(config: Config, *more: str) -> list[str]:
    words = ["run", config.dataset, "--pairs", str(config.n_pairs), "--operators"]
    words += [*config.operators, "--widths", ",".join(map(str, config.hidden))]
    return [*words, "--epochs", str(config.epochs), "--batch-size", "16", *more]


@pytest.fixture(scope="module")
def long_config(small_config) -> Config:
    """Describe one whose pairs outlast the moments at which it is killed."""
    t = Config("mnist5k", (1,), 1, 1, ("naive",)).t
    return small_config.replace(n_pairs=60, operators=("naive", "sc-pwc"), t=t)


@pytest.fixture(scope="module")
def uninterrupted(long_config, tmp_path_factory) -> dict[str, bytes]:
    return tables(run(long_config, workers=1, folder=tmp_path_factory.mktemp("whole")))


@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGTERM, signal.SIGINT])
def test_whatever_ends_a_run_nothing_stays_behind_and_it_goes_on(
    long_config, uninterrupted, runs, how
):
    draw = random.Random(int(how))
    pairs = runs / "records" / record_name(long_config) / "pairs"
    words = words_of(long_config, "--workers", "2")
    for moment in range(KILLS):
        with command(*words) as process:
            if moment % 3 == 2:  # while Python, the run and the workers start
                time.sleep(draw.uniform(0, 4))
            else:
                more = len(list(pairs.glob("pair-*"))) + draw.randint(1, 2)
                wait_until(lambda n=more: len(list(pairs.glob("pair-*"))) >= n, process)
                time.sleep(draw.uniform(0, 0.2))
            assert process.poll() is None
            # A terminal sends Ctrl-C to all; the others are meant for the one that was started.
            (os.killpg if how == signal.SIGINT else os.kill)(process.pid, how)
            process.communicate(timeout=10)  # the workers do not hold its pipes
            wait_until(lambda leader=process.pid: not of_session(leader), seconds=10)
            assert not list(runs.rglob(".*.tmp"))
            assert not list(Path(tempfile.gettempdir()).glob(f"joblib_*_{process.pid}_*"))
            if moment % 3 != 2:
                expected = {signal.SIGKILL: -9, signal.SIGTERM: 143, signal.SIGINT: 130}
                assert process.returncode == expected[how]
    assert len(list(pairs.glob("pair-*"))) < 60
    record = run(long_config, workers=2)
    assert tables(record) == uninterrupted
    assert not list(runs.rglob(".*.tmp"))


@pytest.mark.parametrize("moment", range(3))
def test_ctrl_c_while_workers_start_prints_one_line(long_config, runs, moment):
    def workers() -> list[psutil.Process]:
        return [p for p in of_session(process.pid) if "popen_loky_posix" in " ".join(p.cmdline())]

    with command(*words_of(long_config, "--workers", "2")) as process:
        wait_until(workers, process)
        time.sleep(random.Random(moment).uniform(0, 0.8))
        os.killpg(process.pid, signal.SIGINT)
        out, err = process.communicate(timeout=10)
        assert (out, err) == ("", "safecross: interrupted; what was finished is kept\n")
        assert process.returncode == 130


def test_an_interruption_in_the_middle_of_a_start_comes_after_it(monkeypatch):
    """Half a start cannot be undone; the workers are stopped when all of them are there."""
    from joblib.externals.loky import get_reusable_executor
    from joblib.externals.loky.backend.popen_loky_posix import Popen

    get_reusable_executor().shutdown()  # whose workers may be there already
    launch, started = Popen._launch, []

    def interrupted(self, process):
        started.append(self)
        signal.raise_signal(signal.SIGINT)
        launch(self, process)

    monkeypatch.setattr(Popen, "_launch", interrupted)
    with engine.start(workers=2) as (parallel, _), pytest.raises(KeyboardInterrupt):
        parallel(joblib.delayed(abs)(i) for i in range(9))
    assert len(started) == 2
    wait_until(lambda: all(p.poll() is not None for p in started), seconds=10)


def test_a_programs_own_handling_of_sigterm_is_left_to_it():
    seen = []
    before = signal.signal(signal.SIGTERM, lambda *_: seen.append("mine"))
    try:
        with engine.unwound_by_sigterm():
            signal.raise_signal(signal.SIGTERM)
        assert seen == ["mine"]
        signal.signal(signal.SIGTERM, signal.SIG_DFL)
        with pytest.raises(SystemExit) as caught, engine.unwound_by_sigterm():
            signal.raise_signal(signal.SIGTERM)
        assert caught.value.code == 143
        assert signal.getsignal(signal.SIGTERM) is signal.SIG_DFL
    finally:
        signal.signal(signal.SIGTERM, before)


# Temporary files


WRITERS = {
    "json": lambda path: store.save_json(path, {}),
    "tensors": lambda path: store.save_tensors(path, {"a": torch.zeros(3)}, {}),
    "table": lambda path: store.write_atomically(path, pd.DataFrame({"a": [1]}).to_parquet),
}


@pytest.mark.parametrize("write", WRITERS.values(), ids=WRITERS.keys())
def test_only_files_of_dead_writers_are_swept(tmp_path, monkeypatch, write):
    dead = tmp_path / "a" / ".b.txt.xyz.tmp"
    dead.parent.mkdir()
    dead.write_bytes(b"half of it")
    final = os.replace

    def sweep_before(temporary, path) -> None:
        store.sweep(tmp_path)
        final(temporary, path)  # it is there

    monkeypatch.setattr(os, "replace", sweep_before)
    write(tmp_path / "b")
    assert {path.name for path in tmp_path.rglob("*")} == {"a", "b"}


def test_a_writer_whose_file_was_swept_before_its_lock_takes_another(tmp_path, monkeypatch):
    make = tempfile.mkstemp
    made = []

    def make_and_lose(**options):
        made.append(make(**options))
        if len(made) == 1:
            store.sweep(tmp_path)
        return made[-1]

    monkeypatch.setattr(store.tempfile, "mkstemp", make_and_lose)
    store.write_atomically(tmp_path / "b.txt", lambda path: path.write_text("whole"))
    assert (tmp_path / "b.txt").read_text() == "whole"
    assert len(made) == 2


def test_a_process_that_is_about_to_end_finishes_its_file_and_begins_none(tmp_path):
    code = f"""
import os, threading, time
from pathlib import Path
from safecross import store
def slowly(path):
    writing.set()
    time.sleep(.3)
    path.write_text("whole")
def write():
    for name in "ab":
        store.write_atomically(Path({str(tmp_path)!r}) / name, slowly)
writing = threading.Event()
threading.Thread(target=write).start()
writing.wait()
store.finish_writing(5)
os._exit(0)
"""
    subprocess.run([sys.executable, "-c", code], check=True)
    names = {path.name for path in tmp_path.iterdir()}
    assert "a" in names and not [name for name in names if name.endswith(".tmp")]


# Memory


@pytest.mark.parametrize("widths", ["60000", "10000000000", "9" * 200, "5,60000,4"])
def test_want_of_memory_is_one_line_before_anything_large_is_made(own_data, runs, capsys, widths):
    words = ["run", str(own_data), "--widths", widths, "--operators", "sc-cca", "--pairs", "1"]
    before = machine.peak_memory()
    assert main([*words, "--workers", "1"]) == 1
    line = one_line(capsys)
    assert re.search(r"expected about [\d,.]+ GiB of memory.*; found [\d,.]+ GiB free", line)
    assert machine.peak_memory() - before < 2**27
    assert not runs.exists()


def test_memory_is_that_of_all_workers_together(small_config, runs, monkeypatch):
    needed = experiment_of(small_config).memory()
    free = SimpleNamespace(available=2 * needed)
    monkeypatch.setattr(engine.psutil, "virtual_memory", lambda: free)
    assert run(small_config, workers=2).manifest["sessions"][0]["workers"] == 2
    free.available -= 1
    with pytest.raises(MemoryError, match=r"for each of 2 worker\(s\); found \d+\.\d GiB free"):
        run(small_config.replace(seed=1), workers=2)
    # Who asks for none gets as many as there is memory for.
    monkeypatch.setattr(joblib, "cpu_count", lambda *_, **__: 2)
    record = run(small_config.replace(seed=1))
    assert record.manifest["sessions"][0]["workers"] == 1
    free.available = needed - 1
    with pytest.raises(MemoryError, match=r"for each of 1 worker\(s\)"):
        run(small_config.replace(seed=2))


def test_a_strangers_record_of_enormous_networks_is_not_verified(small_record, own_data):
    record = replace(small_record, config=small_record.config.replace(hidden=(10**10,)))
    with pytest.raises(MemoryError, match="expected about"):
        verify(record, n_pairs=1, dataset=str(own_data))


SHAPES = {
    "many examples": (dict(hidden=(64,), operators=("naive",)), 40_000, 2_000, 600),
    "a wide layer": (dict(hidden=(1500,), operators=("sc-cca",)), 500, 2_000, 20),
    "wide layers": (dict(hidden=(900, 900), operators=("naive", "sc-pwc")), 500, 4_000, 20),
    "several kinds": (
        dict(
            hidden=(800, 700),
            operators=("sc-cca", "sc-cca:standardise=false", "sc-cca:ridge=0.1", "sc-pwc-greedy"),
        ),
        500,
        3_000,
        20,
    ),
    "the whole matrix": (dict(hidden=(16,), softmax="matrix"), 500, 60_000, 10),
    "together": (dict(hidden=(1000, 1000), operators=("naive",), t=(0, 0.5, 1)), 500, 500, 100),
}


@pytest.mark.parametrize("name", SHAPES)
def test_the_memory_announced_is_enough_and_not_far_more(small_config, tmp_path, name):
    changes, n_train, n_test, pixels = SHAPES[name]
    rng = np.random.default_rng(0)
    arrays = {}
    for split, n in (("train", n_train), ("test", n_test)):
        arrays |= {f"x_{split}": rng.random((n, pixels), "f4"), f"y_{split}": np.arange(n) % 10}
    np.savez(tmp_path / "own.npz", **arrays)
    t = Config("mnist5k", (1,), 1, 1, ("naive",)).t
    fields = {"dataset": "own.npz", "n_pairs": 2, "epochs": 1, "t": t, **changes}
    config = small_config.replace(**fields)
    together = 2 if name == "together" else 1
    code = f"""
from safecross.runs import machine, run
from safecross.replication.config import Config
machine.product_rate = lambda *_, **__: 1e9
config = Config.from_dict({config.to_dict()})
run(config, workers=1, folder="runs", together={together})
print(machine.peak_memory())
"""
    taken = int(subprocess.check_output([sys.executable, "-c", code], cwd=tmp_path))
    widths = (pixels, *config.hidden, 10)
    announced = pair_memory(config, widths, n_train, n_test, together)
    assert announced / 2 < taken < announced


# Sessions, clocks and disks that are only read


def test_two_sessions_of_one_second_both_keep_their_notes(small_config, runs, monkeypatch):
    monkeypatch.setattr(time, "time", lambda: 1.7e9)
    record = run(small_config, workers=1)
    (record.folder / "pairs" / "pair-00001.safetensors").unlink()
    record = run(small_config, workers=1)
    assert sorted(s["pairs_computed"] for s in record.manifest["sessions"]) == [1, 4]


def test_a_clock_that_is_set_back_gives_no_negative_minutes(small_config, runs, monkeypatch):
    clock = count(1.7e9, -3600)
    monkeypatch.setattr(time, "time", lambda: next(clock))
    record = run(small_config, workers=1)
    assert 0 <= record.wall_seconds < 600
    assert re.search(r"1 worker, \d+\.\d minutes", record.describe())


def test_notes_of_older_sessions_are_read(small_config, copied):
    (note,) = copied.glob("session-*.json")
    content = store.load_json(note)
    del content["sha256"]
    note.unlink()
    store.save_json(copied / "session-0-of-1-1700000000.json", content)
    (copied / "manifest.json").unlink()
    assert merge(small_config).manifest["sessions"] == [content]


@pytest.fixture
def only_read(copied, monkeypatch, tmp_path) -> Path:
    """Let nothing be written among the runs; return the record's folder."""
    make, runs = tempfile.mkstemp, copied.parents[1]

    def refuse(*arguments, dir=None, **options):
        if runs in [Path(dir), *Path(dir).parents]:
            raise OSError(errno.EROFS, "Read-only file system")
        return make(*arguments, dir=dir, **options)

    monkeypatch.setattr(store.tempfile, "mkstemp", refuse)
    with pytest.raises(StoreError, match="Read-only"):
        store.save_json(copied / "new.json", {})
    places = [runs, *(path for path in runs.rglob("*"))]
    for place in places:  # for all but root
        place.chmod(place.stat().st_mode & ~0o222)
    yield copied
    for place in places:
        place.chmod(place.stat().st_mode | 0o200)


def test_a_complete_record_on_a_disk_that_is_only_read_can_be_read(
    small_config, only_read, own_data, capsys
):
    before = {path: path.stat().st_mtime_ns for path in only_read.parents[1].rglob("*")}
    whole = load_record(only_read)
    for record in (run(small_config), merge(small_config), load_or_run(small_config)):
        assert record.manifest == whole.manifest
    assert merge(small_config, sources=[only_read.parents[1]]).manifest == whole.manifest
    assert run(small_config, shard=(1, 2)) is None
    data = ["--data", str(own_data)]
    assert main(["runs"]) == 0
    assert main(["verify", str(only_read), "--pairs", "1", *data]) == 0
    assert main(["publish", str(only_read)]) == 0
    assert load_record(committed_folder() / only_read.name).manifest == whole.manifest
    assert {path: path.stat().st_mtime_ns for path in only_read.parents[1].rglob("*")} == before
    with pytest.raises(StoreError, match="cannot write"):
        run(small_config.replace(seed=9), workers=1)


def test_a_record_without_the_note_of_a_later_session_is_made_anew(small_config, copied):
    (note,) = copied.glob("session-*.json")
    shutil.copy(note, copied / "session-0-of-1-1800000000-0123abcd.json")
    assert len(load_record(copied).manifest["sessions"]) == 1
    assert len(merge(small_config).manifest["sessions"]) == 2


def test_the_runs_may_lie_in_the_home_folder(monkeypatch, tmp_path):
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("SAFECROSS_RUNS", "~/x")
    assert runs_folder() == tmp_path / "x"


# Bits that flip, and ends that are cut off


def curves_of(folder: Path) -> list:
    record = load_record(folder)
    frames = (record.curves, record.pairs, record.statistics, record.timings)
    return [record.config, record.manifest, *(frame.to_csv() for frame in frames)]


def network_of(path: Path) -> list:
    theta = load_network(path)
    return [theta.widths, *(p.tolist() for p in theta.weights + theta.biases)]


def pair_of(path: Path) -> list:
    tensors, metadata = store.load_tensors(path)
    known = ("record", "pair", "source", "device", "machine", "n_train", "n_inputs", "n_classes")
    named = [(name, t.dtype, t.shape, t.numpy().tobytes()) for name, t in sorted(tensors.items())]
    return [named, *(metadata.get(key) for key in known)]


def note_of(path: Path) -> dict:
    notes = session_notes(path.parent)
    if path not in notes:
        raise store.DamagedFile("left out")
    known = store.load_json(path.with_name("original"))
    return {key: notes[path].get(key) for key in known if key != "sha256"}


def total_of(folder: Path) -> int:
    (row,) = [row for row in list_records().itertuples() if row.record == folder.name]
    if row.problem:
        raise store.DamagedFile(row.problem)
    return row.pairs


def plan_of(path: Path) -> dict:
    return plan_parameters(load_profile(path))


@pytest.fixture
def damageable(small_run, own_data, runs) -> dict[str, tuple[Path, Callable, tuple]]:
    """Name a file of each kind that is read, what it means, and how it is refused."""
    shutil.copytree(small_run, runs)
    (folder,) = (runs / "records").iterdir()
    (note,) = folder.glob("session-*.json")
    shutil.copy(note, note.with_name("original"))
    unfinished = runs / "records" / "own-unfinished"
    unfinished.mkdir()
    shutil.copy(folder / "config.json", unfinished)
    data = shutil.copy(own_data, runs / "own.npz")
    damaged, book = (store.DamagedFile, ValueError), Path(__file__).parents[1] / "book"
    profile = Path(shutil.copy(book / "profiles" / "paper.yaml", runs))
    parent = next(iter(sorted(runs.glob("parents/*/network-*"))))
    return {
        "data": (Path(data), lambda path: load_data(path).fingerprint, DataError),
        "network": (parent, network_of, damaged),
        "pair": (folder / "pairs" / "pair-00002.safetensors", pair_of, store.DamagedFile),
        "table": (folder / "curves.parquet", lambda p: curves_of(p.parent), store.DamagedFile),
        "manifest": (folder / "manifest.json", lambda p: curves_of(p.parent), store.DamagedFile),
        "note": (note, note_of, store.DamagedFile),
        "config": (unfinished / "config.json", lambda p: total_of(p.parent), store.DamagedFile),
        "profile": (profile, plan_of, BookError),
    }


def damages(content: bytes, seed: int, n: int) -> Iterator[bytes]:
    draw = random.Random(seed)
    for i in range(n):
        damaged = bytearray(content)
        if i % 5:
            damaged[draw.randrange(len(damaged))] ^= 1 << draw.randrange(8)
        else:
            del damaged[draw.randrange(len(damaged)) :]
        yield bytes(damaged)


KINDS = ("data", "network", "pair", "table", "manifest", "note", "config", "profile")


@pytest.mark.parametrize("kind", KINDS)
def test_no_damage_of_a_file_is_accepted_with_a_changed_meaning(damageable, kind):
    path, read, refusals = damageable[kind]
    whole, content = read(path), path.read_bytes()
    refused = 0
    for i, damaged in enumerate(damages(content, KINDS.index(kind), 250)):
        path.write_bytes(damaged)
        os.utime(path, ns=(i, i))  # what is kept of files in memory goes by their time
        try:
            found = read(path)
        except refusals:
            refused += 1
            continue
        assert found == whole, damaged
    print(f"{kind}: {refused} of 250 were refused")
    assert refused > 150


class Fits:
    """A checksum that is equal to any other."""

    def __eq__(self, other):
        return True

    def __ne__(self, other):
        return False


@pytest.mark.parametrize("kind", ["network", "pair", "manifest", "profile"])
def test_it_is_the_checksum_that_refuses_most_damages(damageable, kind, monkeypatch):
    path, read, refusals = damageable[kind]
    whole, content, wrong = read(path), path.read_bytes(), 0
    monkeypatch.setattr(store, "sealed", lambda content: {**content, "sha256": Fits()})
    monkeypatch.setattr("safecross.book.chapters.sealed", store.sealed)
    monkeypatch.setattr(store, "_digest", lambda *_: Fits())
    for i, damaged in enumerate(damages(content, KINDS.index(kind), 250)):
        path.write_bytes(damaged)
        os.utime(path, ns=(i, i))
        with contextlib.suppress(*(refusals if isinstance(refusals, tuple) else (refusals,))):
            wrong += read(path) != whole
    assert wrong > 15
