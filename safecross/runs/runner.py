"""Running experiments: resumed, in parallel, in shards; joining what was run, or finding it."""

import contextlib
import functools
import math
import platform
import time
from collections.abc import Iterable, Iterator, Sequence
from importlib.metadata import version
from pathlib import Path

import joblib
import pandas as pd

from .. import checks, store
from . import engine, machine
from .experiment import Experiment, experiment_of, kind_of_device
from .folder import RunFolder, committed_folder, runs_folder
from .machine import (
    machine_name,
    one_thread,
    process_memory,
    progress_bar,
)
from .record import Record, load_record

__all__ = ["load_or_run", "merge", "run", "tasks"]


def run(
    config,
    *,
    workers: int | None = None,
    folder: Path | None = None,
    shard: tuple[int, int] = (0, 1),
    device: str = "cpu",
    together: int = 1,
    backend: str = "loky",
    scheduler: str | None = None,
) -> Record | None:
    """Compute the record of a config, going on where an interrupted run stopped.

    Parameters
    ----------
    config : Config
        The experiment.
    workers : int, optional
        Processes, each with one thread, never more than there are tasks; by default as many as the
        machine has cores or memory for. The numbers do not depend on it. Not for Dask, whose
        cluster has its own.
    folder : Path, optional
        Where parents and pairs are kept; `runs_folder` by default. All workers must see it.
    shard : tuple of two ints
        ``(i, n)`` computes only the pairs i, i + n, i + 2n, ...; `merge` then joins the shards.
    device : str
        Where the parents are trained, as PyTorch names it; aligning and curves stay on the CPU.
        Another device rounds otherwise, so its numbers agree within `verify`'s tolerance only.
    together : int
        Pairs whose parents are trained as one population, >= 1; more than one is meant for a GPU
        and is slower on a CPU. It rounds otherwise, as another device does.
    backend : {"loky", "dask"}
        joblib's engine: processes of this machine, or a Dask cluster.
    scheduler : str, optional
        Address of the cluster's scheduler, such as ``"tcp://10.0.0.1:8786"``; for Dask only.

    Returns
    -------
    Record or None
        The record, as `merge` returns it; None for a shard.

    Raises
    ------
    DataError
        If the data cannot be had.
    MemoryError
        If the workers need more memory than there is.
    store.StoreError
        If the folder cannot be written; pairs already done are kept.
    OSError
        If the scheduler cannot be reached or has no workers.
    ValueError
        If `shard`, `workers` or `together` leaves its range, there is no such device or backend,
        or the backend and its options do not fit.
    """
    if backend != "dask":  # there only the workers need the device, and check it themselves
        checks.as_device(device)
    checks.whole_number("shard's i", shard[0], 0, checks.whole_number("shard's n", shard[1], 1) - 1)
    checks.whole_number("together", together, 1)
    engine.check(backend, scheduler, workers)
    experiment = experiment_of(experiment_of(config).located())
    start = time.monotonic()
    folder = RunFolder(experiment, folder)
    todo = range(shard[0], experiment.n_units, shard[1])
    missing = folder.missing(todo)
    with (
        engine.unwound_by_sigterm(),
        _swept([folder.record, *experiment.kept(folder.path, device, together)]),
    ):
        if missing:
            n_tasks = math.ceil(len(missing) / together)
            needed = experiment.memory(device, together)
            with engine.start(backend, scheduler, workers, n_tasks, needed) as (parallel, workers):
                # What `list_records` reads.
                config = store.sealed(experiment.config.to_dict())
                store.save_json(folder.record / "config.json", config)
                rate = machine.product_rate()
                results = parallel(tasks(experiment.config, missing, folder.path, device, together))
                peak = _watch(results, workers, experiment, len(missing), len(todo))
            note = {
                "pairs_computed": len(missing),
                "workers": workers,
                "backend": backend,
                "threads_per_worker": 1,
                "device": device,
                "together": together,
                "machine": machine_name(),
                "wall_seconds": round(time.monotonic() - start, 1),
                "peak_memory_bytes": peak,
                "float32_products_per_second": round(rate),
                "finished": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
            }
            folder.note(note, shard)
        return None if shard != (0, 1) else merge(experiment.config, folder=folder.path)


@contextlib.contextmanager
def _swept(places: Sequence[Path]) -> Iterator[None]:
    """Clear away what killed writers left, before and, should workers be killed, at the end."""
    for place in places:
        store.sweep(place)
    try:
        yield
    finally:
        for place in places:
            store.sweep(place)


def _watch(
    results: Iterable[tuple[int, tuple[str, int], int]],
    workers: int,
    experiment: Experiment,
    n: int,
    total: int,
) -> int:
    """Show how far `n` of `total` units are; return the processes' peak memory together."""
    memory = dict([process_memory()])
    bar = progress_bar(desc=experiment.name, unit=experiment.unit, initial=total - n, total=total)
    with bar:
        for units, process, peak in results:
            memory[process] = max(peak, memory.get(process, 0))
            bar.update(units)
    # Workers that were replaced do not count: no more than these were there at once.
    own, others = memory.pop(process_memory()[0]), memory.values()
    return own + sum(sorted(others)[-workers:])


def tasks(
    config, units: Sequence[int], folder: Path, device: str = "cpu", together: int = 1
) -> Iterator[tuple]:
    """Yield the tasks that compute some units: config, numbers and where to, never a tensor.

    Parameters
    ----------
    config, folder, device, together
        As for `run`.
    units : sequence of int
        Units to compute, of pairs their numbers.

    Yields
    ------
    tuple
        As `joblib.delayed` makes them: function, arguments, keyword arguments.

    Examples
    --------
    >>> from safecross.replication.config import Config
    >>> config = Config("mnist", (4,), 1, 5, ("naive",))
    >>> [arguments[1] for _, arguments, _ in tasks(config, [0, 2, 3], Path("runs"), together=2)]
    [[0, 2], [3]]
    """
    for i in range(0, len(units), together):
        yield joblib.delayed(_run_units)(config, units[i : i + together], folder, device, together)


def _run_units(
    config, units: Sequence[int], folder: Path, device: str, together: int
) -> tuple[int, tuple[str, int], int]:
    """Make sure that the files of some units are there and whole; a task for a worker process.

    Returns the number of units, the process and its peak memory in bytes, for the manifest.
    """
    checks.as_device(device)
    experiment = experiment_of(config)
    folder = RunFolder(experiment, folder)
    about = {
        "source": machine.source_hash(),
        "device": kind_of_device(device),
        "machine": machine_name(),
    }
    with one_thread():
        for unit, results, more in experiment.compute(
            folder.missing(units), folder, device, together
        ):
            folder.save(unit, results, {**more, **about})
    return len(units), *process_memory()


def load_or_run(config, *, workers: int | None = None) -> Record:
    """Return the record of a config: published, from the local run folder, or computed now.

    Parameters
    ----------
    config : Config
        The experiment.
    workers : int, optional
        As for `run`.

    Returns
    -------
    Record
        With that config's hash. A damaged local record is put together again from its pairs, and
        damaged pairs are computed again.

    Raises
    ------
    store.DamagedFile
        If a published record is damaged.
    DataError, store.StoreError
        As `run`.
    """
    name = experiment_of(config).name
    published = committed_folder() / name
    if (published / "manifest.json").is_file():  # written last, when all else is there
        return load_record(published)
    try:
        return load_record(runs_folder() / "records" / name)
    except store.DamagedFile:
        return run(config, workers=workers)


def merge(config, *, sources: Sequence[str | Path] = (), folder: Path | None = None) -> Record:
    """Join the pairs of a config, from one run or from shards, into its record.

    Parameters
    ----------
    config : Config
        The experiment.
    sources : sequence of str or Path
        Run folders of other machines, whose pairs are copied into `folder` first.
    folder : Path, optional
        `runs_folder` by default.

    Returns
    -------
    Record
        As a single run would have made it, but for the seconds. One that is there already, whole
        and of these very sessions, is returned as it is, and nothing is written.

    Raises
    ------
    ValueError
        If a source holds no pair of this config, two folders hold the same pair, or a pair is
        missing or damaged; the message lists them.
    store.StoreError
        If the folder cannot be written.
    """
    experiment = experiment_of(config)
    folder = RunFolder(experiment, folder)
    folder.gather(sources)
    missing = []
    tables = experiment.tables(folder.whole(missing))
    if missing:
        raise ValueError(
            f"{experiment.name} is not complete: {len(missing)} of {experiment.n_units} "
            f"{experiment.unit}s are missing or damaged, the first {missing[:10]}, in "
            f"{folder.path}. Run the same config (or its missing shards) again: what is there is "
            "kept."
        )
    target = folder.record
    sessions = list(folder.sessions().values())
    with contextlib.suppress(store.DamagedFile):
        record = load_record(target)
        if record.manifest["sessions"] == sessions:  # as a disk may be that is only read
            return record
    for name, table in tables.items():
        store.write_atomically(target / f"{name}.parquet", functools.partial(_parquet, table))
    about = [folder.about(unit) for unit in range(experiment.n_units)]
    manifest = _manifest(experiment, about, sessions)
    manifest["files"] = {f"{n}.parquet": store.file_hash(target / f"{n}.parquet") for n in tables}
    store.save_json(target / "manifest.json", store.sealed(manifest))
    return load_record(target)


def _parquet(table: pd.DataFrame, path: Path) -> None:
    table.to_parquet(path, index=False, compression="zstd")


def _manifest(experiment: Experiment, units: list[dict], sessions: list[dict]) -> dict:
    packages = ("numpy", "scipy", "torch", "pandas", "pyarrow", "safetensors", "joblib")
    config = experiment.config
    return {
        "name": experiment.name,
        "config": {**config.to_dict(), "dataset": Path(config.dataset).stem},
        "data_fingerprint": experiment.fingerprint,
        **experiment.about(units),
        "sessions": sessions,
        "source_sha256": sorted({about["source"] for about in units}),
        "devices": sorted({about["device"] for about in units}),
        "packages": {name: version(name) for name in packages},
        "python": platform.python_version(),
        "machine": " and ".join(sorted({about["machine"] for about in units})),
    }
