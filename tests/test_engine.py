"""Where tasks run changes nothing: processes, a Dask cluster, one whose worker is killed."""

import os
import signal
import subprocess
import sys
import threading
import time

import joblib
import pytest
from distributed import LocalCluster

from safecross import StoreError
from safecross.cli import main
from safecross.replication.config import Config
from safecross.runs import engine, machine, record_name, run
from safecross.runs.engine import BACKENDS

TABLES = ("curves", "pairs", "statistics")


def tables(folder) -> dict[str, bytes]:
    return {name: (folder / f"{name}.parquet").read_bytes() for name in TABLES}


@pytest.fixture(scope="module")
def config(small_config) -> Config:
    return small_config.replace(n_pairs=24, operators=("naive", "sc-pwc"))


@pytest.fixture(scope="module")
def alone(config, tmp_path_factory) -> dict[str, bytes]:
    """Run on one process."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(machine, "product_rate", lambda *_, **__: 1e9)
        return tables(run(config, workers=1, folder=tmp_path_factory.mktemp("alone")).folder)


@pytest.fixture(scope="module")
def cluster():
    """Start a scheduler and two worker processes of one thread."""
    with LocalCluster(
        n_workers=2, threads_per_worker=1, processes=True, dashboard_address=":0"
    ) as started:
        yield started


def test_a_dask_cluster_gives_the_same_bytes(config, alone, cluster, runs):
    record = run(config, backend="dask", scheduler=cluster.scheduler_address)
    assert tables(record.folder) == alone
    (session,) = record.manifest["sessions"]
    assert (session["backend"], session["workers"]) == ("dask", 2)
    assert session["pairs_computed"] == 24


def test_a_killed_worker_does_not_change_a_byte(config, alone, cluster, runs):
    pairs = runs / "records" / record_name(config) / "pairs"
    killed = []

    def kill() -> None:
        while len(list(pairs.glob("pair-*"))) < 4:
            time.sleep(0.001)
        victim = next(iter(cluster.workers.values())).process.pid
        os.kill(victim, signal.SIGKILL)
        killed.append((victim, len(list(pairs.glob("pair-*")))))

    killer = threading.Thread(target=kill)
    killer.start()
    record = run(config, backend="dask", scheduler=cluster.scheduler_address)
    killer.join()
    assert 4 <= killed[0][1] < 24  # in the middle
    with pytest.raises(ProcessLookupError):
        os.kill(killed[0][0], 0)
    assert tables(record.folder) == alone


def test_the_command_line_runs_on_a_cluster(config, alone, cluster, runs, capsys):
    words = ["--pairs", "24", "--widths", "5,4", "--epochs", "2", "--batch-size", "16"]
    words += ["--operators", "naive", "sc-pwc"]
    address = ["--backend", "dask", "--scheduler", cluster.scheduler_address]
    assert main(["run", config.dataset, *words, *address]) == 0
    assert "24 pairs" in capsys.readouterr().out


def test_a_device_that_the_workers_lack_is_one_clear_error(config, cluster, runs):
    with pytest.raises(ValueError, match=r"expected a device that PyTorch has here.*'nonsense'"):
        run(config, backend="dask", scheduler=cluster.scheduler_address, device="nonsense")


def test_a_cluster_without_the_memory_is_one_clear_error(config, cluster, runs):
    with pytest.raises(MemoryError, match=r"expected about .* for each of 1 worker\(s\); found"):
        run(config.replace(hidden=(10**7,)), backend="dask", scheduler=cluster.scheduler_address)
    assert not runs.exists()


def test_a_scheduler_without_workers_is_an_error(config, runs, monkeypatch):
    monkeypatch.setattr(engine, "WAIT", 0.2)
    with (
        LocalCluster(n_workers=0, processes=True, dashboard_address=":0") as empty,
        pytest.raises(OSError, match=r"has had no workers for 0\.2 seconds: start some with 'dask"),
    ):
        run(config, backend="dask", scheduler=empty.scheduler_address)


def die(number: int) -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def test_a_task_that_kills_every_worker_is_an_error(cluster):
    with (
        pytest.raises(StoreError, match=r"workers were killed again and again"),
        engine.start("dask", cluster.scheduler_address) as (parallel, _),
    ):
        list(parallel(joblib.delayed(die)(i) for i in range(1)))


def test_a_killed_process_is_an_error():
    with (
        pytest.raises(StoreError, match=r"a worker process was killed, perhaps for want of memory"),
        engine.start("loky", workers=2) as (parallel, workers),
    ):
        assert workers == 2
        list(parallel(joblib.delayed(die)(i) for i in range(2)))


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"backend": "dsak"}, rf"unknown backend 'dsak': .* Known: {', '.join(sorted(BACKENDS))}"),
        ({"backend": "dask"}, "needs the address of a scheduler, such as tcp://"),
        ({"scheduler": "tcp://a:1"}, "a scheduler is for the backend dask; found 'tcp://a:1'"),
        (
            {"backend": "dask", "scheduler": "tcp://a:1", "workers": 2},
            "a Dask cluster has its own workers; found workers = 2",
        ),
        ({"workers": 0}, "workers must be a whole number >= 1; found 0"),
        ({"together": 0}, "together must be a whole number >= 1; found 0"),
    ],
)
def test_options_that_do_not_fit_are_refused_before_anything_is_done(
    config, runs, options, message
):
    with pytest.raises(ValueError, match=message):
        run(config, **options)
    assert not runs.exists()


def test_without_dask_it_says_what_to_install(tmp_path):
    code = (
        "import sys; sys.modules['distributed'] = None\n"
        "from safecross.runs import engine\n"
        "with engine.start('dask', 'tcp://127.0.0.1:1'): pass"
    )
    found = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=False
    )
    assert "ValueError: the backend dask needs the package distributed" in found.stderr


def test_workers_together_need_no_more_than_there_is():
    engine.check_memory(100, 2, available=200)
    with pytest.raises(MemoryError):
        engine.check_memory(100, 2, available=199)
    with pytest.raises(MemoryError):
        engine.check_memory(2**60)  # of this machine
