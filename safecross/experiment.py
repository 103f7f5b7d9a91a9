"""From a config to a record: parents, pairs, curves; resumable, parallel, verified (Section 5)."""

import contextlib
import functools
import hashlib
import logging
import math
import os
import platform
import re
import resource
import secrets
import sys
import time
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path

import joblib
import numpy as np
import pandas as pd
import pyarrow.parquet as pq
import torch
from platformdirs import user_cache_path
from tqdm import tqdm

from . import checks, engine, store
from .activations import activations
from .cca import bartlett_test, cca_of_pair
from .config import Config, network_seed, parse_operator
from .correlation import LayerPair
from .crossover import FirstLayer, crossover_curve
from .data import Dataset, load_data
from .data.catalogue import KNOWN
from .linalg import product_rate
from .matching import match_one_to_one
from .memory import pair_memory
from .metrics import accuracy, cross_entropy
from .network import Network, load_network
from .operators import align_layers, get_operator
from .training import train

__all__ = [
    "Record",
    "committed_folder",
    "fingerprint",
    "list_records",
    "load_or_run",
    "load_record",
    "machine_name",
    "merge",
    "peak_memory",
    "progress_bar",
    "publish",
    "record_name",
    "run",
    "runs_folder",
    "tasks",
    "train_parents",
    "verify",
]

#: Correlation above which Section 5.2.2 counts a pair of neurons.
THRESHOLD = 0.7

#: Rows and columns of the float32 matrices whose product is timed beside each pair.
PRODUCT_SIZE = 1024

#: The tables of a record and their columns.
_TABLES = {
    "curves": ("pair", "operator", "t", "loss", "accuracy"),
    "pairs": (
        "pair",
        *(f"{what}_{side}" for what in ("network", "seed", "loss", "accuracy") for side in "ab"),
    ),
    "statistics": ("pair", "layer", "statistic", "value"),
    "timings": ("pair", "step", "seconds"),
}

#: More pairs than anybody will have; what a damaged file says may be anything.
_MANY = 2**53

_log = logging.getLogger(__name__)


# Where things lie -----------------------------------------------------------------------------


def runs_folder() -> Path:
    """Return the folder of unfinished runs, parents and own records.

    It is ``SAFECROSS_RUNS`` if set (``~`` means the home folder), else ``runs`` in the user's cache
    folder of safecross.
    """
    place = os.environ.get("SAFECROSS_RUNS")
    return Path(place).expanduser() if place else user_cache_path("safecross") / "runs"


def committed_folder() -> Path:
    """Return the folder of the published records, ``book/results`` beside the package."""
    return Path(__file__).parents[1] / "book" / "results"


def _data(dataset: str, inputs: str) -> Dataset:
    data = load_data(dataset)  # keeps what it read while the file stays as it is
    return data if inputs == "unit" else _standardised(data)


@functools.lru_cache(maxsize=1)
def _standardised(data: Dataset) -> Dataset:
    mean, deviation = data.x_train.mean(), data.x_train.std()
    return Dataset(
        **{
            **data.__dict__,
            "x_train": (data.x_train - mean) / deviation,
            "x_test": (data.x_test - mean) / deviation,
        }
    )


def fingerprint(dataset: str) -> str:
    """Return a data set's fingerprint, of the known sets without loading them.

    Raises
    ------
    DataError
        If the data set must be loaded for it and cannot be.
    """
    return KNOWN[dataset].fingerprint if dataset in KNOWN else load_data(dataset).fingerprint


def record_name(config: Config) -> str:
    """Return the name of a config's record: its data set and its hash.

    Raises
    ------
    DataError
        If the data set is needed for its fingerprint and cannot be had.
    """
    return _name(config, fingerprint(config.dataset))


def _name(config: Config, data_fingerprint: str) -> str:
    return f"{Path(config.dataset).stem}-{config.hash(data_fingerprint)}"


# One pair -------------------------------------------------------------------------------------


@functools.lru_cache(maxsize=1)
def _training_data(data: Dataset, device: str) -> tuple[torch.Tensor, torch.Tensor]:
    x, y = data.split("train")
    return x.to(device), y.to(device)


def train_parents(
    config: Config, networks: Sequence[int], device: str = "cpu", together: bool = False
) -> list[tuple[Network, float]]:
    """Train some of the networks of a config, each alone or all as one population.

    Parameters
    ----------
    config : Config
        The experiment.
    networks : sequence of int
        Their numbers, in [0, 2 n_pairs).
    device : str
        Where to train, as PyTorch names it: ``"cpu"``, ``"cuda"``, ``"cuda:1"``.
    together : bool
        Whether they are one population; it rounds otherwise than networks alone do.

    Returns
    -------
    list of (Network, float)
        The trained networks in the order of `networks`, on the CPU, each with its seconds of
        training; of a population each has an equal part of the whole time.
    """
    data = _data(config.dataset, config.inputs)
    x, y = _training_data(data, device)
    seeds = [network_seed(config, network) for network in networks]
    found = []
    for seed in [seeds] if together else seeds:
        start = time.perf_counter()
        theta = train(
            x,
            y,
            config.hidden,
            seed,
            epochs=config.epochs,
            batch_size=config.batch_size,
            learning_rate=config.learning_rate,
            n_classes=data.n_classes,
            products=getattr(torch, config.products),
        ).to("cpu")
        alone = [theta[i] for i in range(len(seeds))] if together else [theta]
        seconds = (time.perf_counter() - start) / len(alone)
        found += [(network, seconds) for network in alone]
    return found


def _parents_folder(config: Config, folder: Path, device: str, together: int) -> Path:
    """Return where parents are kept: apart if they were trained in a way that rounds otherwise."""
    mark = config.parents_hash(fingerprint(config.dataset))
    how = "" if device == "cpu" else f"-{_kind(device)}"
    return folder / "parents" / f"{mark}{how}{'-together' if together > 1 else ''}"


def _load_parent(config: Config, network: int, place: Path) -> tuple[Network, float] | None:
    """Return a parent and its seconds from its file if that is whole and its own, else None."""
    path = place / f"network-{network:05d}.safetensors"
    mark = config.parents_hash(fingerprint(config.dataset))
    try:
        about = store.load_tensors(path)[1]
        if (about["parents"], about["network"]) != (mark, str(network)):
            return None
        return load_network(path), float(about["seconds"])
    except (store.DamagedFile, ValueError, KeyError):
        return None


def _make_parents(
    config: Config, pairs: Sequence[int], folder: Path, device: str, together: int
) -> dict[int, tuple[Network, float]]:
    """Return the parents of some pairs by number, from their files or else trained and kept."""
    place = _parents_folder(config, folder, device, together)
    networks = [2 * pair + side for pair in pairs for side in (0, 1)]
    found = {network: _load_parent(config, network, place) for network in networks}
    missing = [network for network in networks if found[network] is None]
    mark = config.parents_hash(fingerprint(config.dataset))
    # Those that are trained alone are kept one by one.
    for batch in [missing] if together > 1 and missing else [[network] for network in missing]:
        trained = train_parents(config, batch, device, together > 1)
        for network, (theta, seconds) in zip(batch, trained, strict=True):
            about = {"seconds": seconds, "parents": mark, "network": network, "device": device}
            theta.save(place / f"network-{network:05d}.safetensors", about)
            found[network] = theta, seconds
    return found


def _measure(config: Config, theta_a: Network, theta_b: Network) -> dict[str, torch.Tensor]:
    """Return everything the record holds of one pair, as float64 tensors by name."""
    data = _data(config.dataset, config.inputs)
    x, y = data.split("validation")
    batch = data.x_train if config.align_split == "train" else x
    if config.align_split == "held-out":
        cut = config.align_n or len(x) // 2
        batch, x, y = x[:cut], x[cut:], y[cut:]
    if config.align_n is not None:
        if config.align_n > len(batch):
            raise ValueError(f"align_n must be at most {len(batch)}; found {config.align_n}")
        batch = batch[: config.align_n]
    if not len(x):
        raise ValueError("align_n leaves no validation example to measure the loss on")
    if not config.output_bias:
        theta_a, theta_b = _without_output_bias(theta_a), _without_output_bias(theta_b)
    clock = _Clock()
    results = {}
    with clock("first layer"):
        first = FirstLayer(theta_a, theta_b, x)
    with clock("activations"):
        (*layers_a, logits_a), (*layers_b, logits_b) = first.layers()
    with clock("evaluate parents"):
        parents = [
            [float(f(z, y)) for f in (cross_entropy, accuracy)] for z in (logits_a, logits_b)
        ]
    results["parents"] = torch.tensor(parents)
    if batch is not x:
        with clock("activations of the batch"):
            layers_a, layers_b = activations(theta_a, batch), activations(theta_b, batch)
    pairs = [LayerPair(la, lb) for la, lb in zip(layers_a, layers_b, strict=True)]
    with clock("correlations"):
        for pair in pairs:
            _ = pair.between  # kept by the pair, and timed here
    kinds = [parse_operator(operator) for operator in config.operators]
    scales = {options.get("standardise", True) for name, options in kinds if name == "sc-cca"}
    # What both need, the correlations within, counts for the standardised one of the paper.
    for standardise in sorted(scales, reverse=True):
        with clock(f"covariances and eigenvectors{'' if standardise else ', only centred'}"):
            for pair in pairs:
                pair.bases(standardise)
    for i, (operator, (name, options)) in enumerate(zip(config.operators, kinds, strict=True)):
        with clock(f"align {operator}"):
            alignment = align_layers(theta_a, theta_b, pairs, name, **options)
        with clock(f"curve {operator}"):
            curve = crossover_curve(
                theta_a,
                theta_b,
                x,
                y,
                alignment=alignment,
                t=config.t,
                first=first,
                softmax=config.softmax,
            )
        results[f"loss.{i}"] = torch.from_numpy(curve.loss)
        results[f"accuracy.{i}"] = torch.from_numpy(curve.accuracy)
    for d, pair in enumerate(pairs, start=1):
        for name, value in _layer_statistics(config, pair).items():
            results[f"statistic.{d}.{name}"] = torch.tensor(float(value), dtype=torch.float64)
    for step, seconds in clock.seconds.items():
        results[f"seconds.{step}"] = torch.tensor(seconds, dtype=torch.float64)
    return results


def _layer_statistics(config: Config, pair: LayerPair) -> dict[str, float]:
    """Return the counts of Section 5.2.2 for one pair of hidden layers."""
    between = pair.between.numpy()
    matched = match_one_to_one(between)
    counts = {
        "dead neurons of a": (pair.scale_a == 0).sum(),
        "dead neurons of b": (pair.scale_b == 0).sum(),
        "row maxima above 0.7": (between.max(axis=1) > THRESHOLD).sum(),
        "column maxima above 0.7": (between.max(axis=0) > THRESHOLD).sum(),
        "matched pairs above 0.7": (between[matched.la, matched.lb] > THRESHOLD).sum(),
        "mean correlation of matched pairs": between[matched.la, matched.lb].mean(),
    }
    for operator in config.operators:
        name, options = parse_operator(operator)
        if name != "sc-cca" or options.get("ridge"):
            continue
        options = {k: v for k, v in options.items() if k in ("directions", "standardise")}
        if isinstance(options.get("directions"), int):
            options["directions"] = min(options["directions"], *pair.sizes)
        result = cca_of_pair(pair, **options)
        counts[f"components ({operator})"] = len(result.correlations)
        counts[f"canonical correlations above 0.7 ({operator})"] = (
            result.correlations > THRESHOLD
        ).sum()
        try:
            counts[f"significant by Bartlett ({operator})"] = bartlett_test(result).n_significant
        except ValueError:  # too few examples for the test
            counts[f"significant by Bartlett ({operator})"] = float("nan")
    return counts


def _without_output_bias(theta: Network) -> Network:
    return Network(theta.weights, [*theta.biases[:-1], torch.zeros_like(theta.biases[-1])])


class _Clock:
    """Seconds of named steps."""

    def __init__(self):
        self.seconds: dict[str, float] = {}

    def __call__(self, step: str):
        self._step = step
        return self

    def __enter__(self):
        self._start = time.perf_counter()

    def __exit__(self, *_):
        self.seconds[self._step] = time.perf_counter() - self._start


def _run_pairs(
    config: Config, pairs: Sequence[int], folder: Path, device: str, together: int
) -> tuple[int, tuple[str, int], int]:
    """Make sure that the files of some pairs are there and whole; a task for a worker process.

    Returns the number of pairs, the process and its peak memory in bytes, for the manifest.
    """
    checks.as_device(device)
    todo = [pair for pair in pairs if _load_pair(config, pair, folder) is None]
    with _one_thread():
        parents = _make_parents(config, todo, folder, device, together)
        for pair in todo:
            _run_pair(config, pair, folder, device, *parents[2 * pair], *parents[2 * pair + 1])
    return len(pairs), *_memory()


def _run_pair(
    config: Config,
    pair: int,
    folder: Path,
    device: str,
    theta_a: Network,
    seconds_a: float,
    theta_b: Network,
    seconds_b: float,
) -> None:
    results = _measure(config, theta_a, theta_b)
    # The machine's limit at this moment, beside the training that it is the limit of.
    large = 2 * PRODUCT_SIZE**3 / product_rate(PRODUCT_SIZE, repeats=2)
    for step, seconds in (("train a", seconds_a), ("train b", seconds_b), ("product", large)):
        results[f"seconds.{step}"] = torch.tensor(seconds, dtype=torch.float64)
    data = _data(config.dataset, config.inputs)
    about = {
        "n_train": len(data.x_train),
        "n_validation": len(data.x_test),
        "n_inputs": data.n_inputs,
        "n_classes": data.n_classes,
        "source": _source_hash(),
        "device": _kind(device),
        "machine": machine_name(),
    }
    path = _pair_path(config, pair, folder)
    store.save_tensors(path, results, {"record": record_name(config), "pair": pair, **about})


@contextlib.contextmanager
def _one_thread():
    """Give PyTorch one thread: a core a task, and the same numbers whatever the workers."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(threads)


def _memory() -> tuple[tuple[str, int], int]:
    """Return this process, by its machine and number, and its peak memory in bytes."""
    return (platform.node(), os.getpid()), peak_memory()


def peak_memory() -> int:
    """Return the most memory that this process has had resident, in bytes."""
    try:
        # On Linux `getrusage` also counts the process that started this one.
        status = Path("/proc/self/status").read_text(encoding="ascii")
        return 1024 * int(re.search(r"VmHWM:\s+(\d+) kB", status)[1])
    except OSError:
        # macOS counts in bytes.
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss


def _pair_path(config: Config, pair: int, folder: Path) -> Path:
    return folder / "records" / record_name(config) / "pairs" / f"pair-{pair:05d}.safetensors"


def _load_pair(config: Config, pair: int, folder: Path) -> dict[str, torch.Tensor] | None:
    """Return a pair's results if its file is whole and its own, else None."""
    try:
        tensors, metadata = store.load_tensors(_pair_path(config, pair, folder))
    except store.DamagedFile:
        return None
    expected = {"record": record_name(config), "pair": str(pair)}
    return tensors if {k: metadata.get(k) for k in expected} == expected else None


# Many pairs -----------------------------------------------------------------------------------


def progress_bar(items: Iterable | None = None, **options) -> tqdm:
    """Return a progress bar: in terminals and live notebooks, silent in CI and in the book.

    ``SAFECROSS_PROGRESS=0`` silences it anywhere.
    """
    if os.environ.get("SAFECROSS_PROGRESS") == "0" or "CI" in os.environ:
        return tqdm(items, disable=True, **options)
    # None shows it in terminals only; a notebook's output is none, but somebody is watching.
    return tqdm(items, disable=False if "ipykernel" in sys.modules else None, **options)


def run(
    config: Config,
    *,
    workers: int | None = None,
    folder: Path | None = None,
    shard: tuple[int, int] = (0, 1),
    device: str = "cpu",
    together: int = 1,
    backend: str = "loky",
    scheduler: str | None = None,
) -> "Record | None":
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
    folder = Path(folder or runs_folder()).resolve()
    if backend != "dask":  # there only the workers need the device, and check it themselves
        checks.as_device(device)
    checks.whole_number("shard's i", shard[0], 0, checks.whole_number("shard's n", shard[1], 1) - 1)
    checks.whole_number("together", together, 1)
    engine.check(backend, scheduler, workers)
    config = config.replace(dataset=_absolute(config.dataset))
    start = time.monotonic()
    place = folder / "records" / record_name(config)
    todo = range(shard[0], config.n_pairs, shard[1])
    missing = [pair for pair in todo if _load_pair(config, pair, folder) is None]
    places = (place, _parents_folder(config, folder, device, together))
    with engine.unwound_by_sigterm(), _swept(places):
        if missing:
            n_tasks = math.ceil(len(missing) / together)
            needed = _memory_needed(config, device, together)
            with engine.start(backend, scheduler, workers, n_tasks, needed) as (parallel, workers):
                # What `list_records` reads.
                store.save_json(place / "config.json", store.sealed(config.to_dict()))
                rate = product_rate()
                results = parallel(tasks(config, missing, folder, device, together))
                peak = _watch(results, workers, record_name(config), len(missing), len(todo))
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
            # Sessions may begin in one second, on several machines too.
            name = f"session-{shard[0]}-of-{shard[1]}-{int(time.time())}-{secrets.token_hex(4)}"
            store.save_json(place / f"{name}.json", store.sealed(note))
        return None if shard != (0, 1) else merge(config, folder=folder)


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
    results: Iterable[tuple[int, tuple[str, int], int]], workers: int, name: str, n: int, total: int
) -> int:
    """Show how far `n` of `total` pairs are; return the processes' peak memory together."""
    memory = dict([_memory()])
    with progress_bar(desc=name, unit="pair", initial=total - n, total=total) as bar:
        for pairs, process, peak in results:
            memory[process] = max(peak, memory.get(process, 0))
            bar.update(pairs)
    # Workers that were replaced do not count: no more than these were there at once.
    own, others = memory.pop(_memory()[0]), memory.values()
    return own + sum(sorted(others)[-workers:])


def _memory_needed(config: Config, device: str = "cpu", together: int = 1) -> int:
    """Return the bytes that a process needs for a config's pairs; known data are not read."""
    if config.dataset in KNOWN:
        known = KNOWN[config.dataset]
        n_train, n_test, n_inputs = known.n_train, known.n_test, math.prod(known.image_shape)
        n_classes = known.n_classes
    else:
        data = load_data(config.dataset)
        n_train, n_test, n_inputs = len(data.x_train), len(data.x_test), data.n_inputs
        n_classes = data.n_classes
    trained = together if _kind(device) == "cpu" else 0
    widths = (n_inputs, *config.hidden, n_classes)
    return pair_memory(config, widths, n_train, n_test, trained)


def tasks(
    config: Config, pairs: Sequence[int], folder: Path, device: str = "cpu", together: int = 1
) -> Iterator[tuple]:
    """Yield the tasks that compute some pairs: config, numbers and where to, never a tensor.

    Parameters
    ----------
    config, folder, device, together
        As for `run`.
    pairs : sequence of int
        Pairs to compute.

    Yields
    ------
    tuple
        As `joblib.delayed` makes them: function, arguments, keyword arguments.

    Examples
    --------
    >>> config = Config("mnist", (4,), 1, 5, ("naive",))
    >>> [arguments[1] for _, arguments, _ in tasks(config, [0, 2, 3], Path("runs"), together=2)]
    [[0, 2], [3]]
    """
    for i in range(0, len(pairs), together):
        yield joblib.delayed(_run_pairs)(config, pairs[i : i + together], folder, device, together)


def _absolute(dataset: str) -> str:
    """Return a data set's name, or its file's full path: workers may start in another folder."""
    return dataset if dataset in KNOWN else str(Path(dataset).resolve())


def _kind(device: str) -> str:
    """Return a device without its number; PyTorch would ask for one that this machine knows."""
    return device.partition(":")[0]


def merge(
    config: Config, *, sources: Sequence[str | Path] = (), folder: Path | None = None
) -> "Record":
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
    folder = Path(folder or runs_folder()).resolve()
    _gather(config, [Path(source).resolve() for source in sources], folder)
    missing = []
    tables = _tables(config, _whole_pairs(config, folder, missing))
    if missing:
        raise ValueError(
            f"{record_name(config)} is not complete: {len(missing)} of {config.n_pairs} pairs are "
            f"missing or damaged, the first {missing[:10]}, in {folder}. Run the same config (or "
            "its missing shards) again: what is there is kept."
        )
    target = folder / "records" / record_name(config)
    sessions = list(_session_notes(target).values())
    with contextlib.suppress(store.DamagedFile):
        record = load_record(target)
        if record.manifest["sessions"] == sessions:  # as a disk may be that is only read
            return record
    for name, table in tables.items():
        store.write_atomically(target / f"{name}.parquet", functools.partial(_parquet, table))
    about = [store.load_tensors(_pair_path(config, p, folder))[1] for p in range(config.n_pairs)]
    manifest = _manifest(config, about, sessions)
    manifest["files"] = {f"{n}.parquet": store.file_hash(target / f"{n}.parquet") for n in tables}
    store.save_json(target / "manifest.json", store.sealed(manifest))
    return load_record(target)


def _session_notes(record_folder: Path) -> dict[Path, dict]:
    """Return the whole notes of a record's sessions by file; damaged ones are named and skipped."""
    notes = {}
    for path in sorted(record_folder.glob("session-*.json")):
        try:
            notes[path] = _session(_load_checked(path), path)
        except store.DamagedFile as error:
            _log.warning("a session's note is left out: %s", error)
    return notes


def _load_checked(path: Path):
    """Return a JSON file's content without its checksum, which older files do not have."""
    content = store.load_json(path)
    if isinstance(content, dict) and "sha256" in content:
        content = store.load_sealed(path)
        del content["sha256"]
    return content


#: What every session's note holds; those written since tell more.
_SESSION = {
    "pairs_computed": int,
    "workers": int,
    "wall_seconds": (int, float),
    "peak_memory_bytes": int,
    "finished": str,
}


def _session(note, path: Path) -> dict:
    """Return a session's note as it is, or raise DamagedFile if something is missing in it."""
    for key, kind in _SESSION.items():
        value = note.get(key) if isinstance(note, dict) else None
        if not isinstance(value, kind) or isinstance(value, bool):
            raise store.DamagedFile(f"{path}: no note of a session ({key!r} is {value!r})")
    return note


def _gather(config: Config, sources: Sequence[Path], folder: Path) -> None:
    """Copy the pairs and the sessions' notes of other run folders; all or none of the pairs."""
    name = record_name(config)
    here = (p for p in range(config.n_pairs) if _load_pair(config, p, folder) is not None)
    holder = dict.fromkeys(here, folder)
    for source in dict.fromkeys(sources):
        if not (source / "records" / name / "pairs").is_dir():
            others = sorted(path.name for path in source.glob("records/*/"))
            raise ValueError(
                f"expected pairs of {name} in {source}; found records {others}. Shards are joined "
                "of one config: give the options that they were run with"
            )
        if source == folder:
            continue
        found = [p for p in range(config.n_pairs) if _load_pair(config, p, source) is not None]
        twice = [p for p in found if p in holder and not _same(config, p, holder[p], source)]
        if twice:
            raise ValueError(
                f"pairs {twice[:10]} are both in {holder[twice[0]]} and in {source}: shards must "
                "not overlap, such as 0/3, 1/3 and 2/3; remove one of the copies"
            )
        holder |= dict.fromkeys(found, source)
    for pair, source in holder.items():
        if source != folder:
            _copy(_pair_path(config, pair, source), _pair_path(config, pair, folder))
    for source in set(holder.values()) - {folder}:
        for note in _session_notes(source / "records" / name):
            _copy(note, folder / "records" / name / note.name)


def _same(config: Config, pair: int, one: Path, other: Path) -> bool:
    """Return whether two folders hold copies of one file; seconds tell apart what ran twice."""
    one, other = (store.file_hash(_pair_path(config, pair, folder)) for folder in (one, other))
    return one == other


def _copy(source: Path, target: Path) -> None:
    content = source.read_bytes()
    store.write_atomically(target, lambda path: path.write_bytes(content))


def _parquet(table: pd.DataFrame, path: Path) -> None:
    table.to_parquet(path, index=False, compression="zstd")


def _whole_pairs(
    config: Config, folder: Path, missing: list[int]
) -> Iterator[tuple[int, dict[str, torch.Tensor]]]:
    """Yield the results of one pair after the other; note those that are not to be had."""
    for pair in range(config.n_pairs):
        result = _load_pair(config, pair, folder)
        if result is None:
            missing.append(pair)
        else:
            yield pair, result


def _tables(
    config: Config, results: Iterable[tuple[int, dict[str, torch.Tensor]]]
) -> dict[str, pd.DataFrame]:
    """Return a record's tables; one pair's tensors are held at a time."""
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
                layer, _, name = rest.partition(".")
                statistics.append((pair, int(layer), name, float(value)))
            elif kind == "seconds":
                timings.append((pair, rest, float(value)))
    curves = pd.DataFrame(
        {
            "pair": np.repeat(np.asarray(numbers, np.int32), len(config.operators) * len(config.t)),
            "operator": np.tile(np.repeat(config.operators, len(config.t)), len(numbers)),
            "t": np.tile(np.float64(config.t), len(numbers) * len(config.operators)),
            **{column: np.concatenate(values or [[]]) for column, values in points.items()},
        }
    )
    return {
        "curves": curves.astype({"operator": "category"}),
        "pairs": pd.DataFrame(pairs, columns=_TABLES["pairs"]),
        "statistics": pd.DataFrame(statistics, columns=_TABLES["statistics"]).sort_values(
            ["pair", "layer", "statistic"], ignore_index=True
        ),
        "timings": pd.DataFrame(timings, columns=_TABLES["timings"]),
    }


def _manifest(config: Config, pairs: list[dict], sessions: list[dict]) -> dict:
    packages = ("numpy", "scipy", "torch", "pandas", "pyarrow", "safetensors", "joblib")
    sizes = {name: int(value) for name, value in pairs[0].items() if name.startswith("n_")}
    return {
        "name": record_name(config),
        "config": {**config.to_dict(), "dataset": Path(config.dataset).stem},
        "data_fingerprint": fingerprint(config.dataset),
        "n_train": sizes["n_train"],
        "n_validation": sizes["n_validation"],
        "widths": [sizes["n_inputs"], *config.hidden, sizes["n_classes"]],
        "sessions": sessions,
        "source_sha256": sorted({about["source"] for about in pairs}),
        "devices": sorted({about["device"] for about in pairs}),
        "packages": {name: version(name) for name in packages},
        "python": platform.python_version(),
        "machine": " and ".join(sorted({about["machine"] for about in pairs})),
    }


@functools.cache
def machine_name() -> str:
    """Return the operating system, the number of cores and the processor of this machine."""
    system = f"{platform.system()} {platform.machine()}"
    return f"{system}, {os.cpu_count()} cores, {_processor()}"


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
        return next(line.split(":")[1].strip() for line in lines if line.startswith("model name"))
    except (OSError, StopIteration):
        return platform.processor() or "unknown processor"


def _source_hash() -> str:
    digest = hashlib.sha256()
    for path in sorted(Path(__file__).parent.rglob("*.py")):
        digest.update(path.read_bytes())
    return digest.hexdigest()


# Records --------------------------------------------------------------------------------------


@dataclass(frozen=True, eq=False)
class Record:
    """The result of an experiment.

    Attributes
    ----------
    config : Config
        What was run.
    curves : pandas.DataFrame
        pair, operator, t, loss, accuracy; one row for each point of each curve.
    pairs : pandas.DataFrame
        pair, network_a, network_b, their seeds, and the parents' losses and accuracies.
    statistics : pandas.DataFrame
        pair, layer, statistic, value: the counts of Section 5.2.2.
    timings : pandas.DataFrame
        pair, step, seconds; the only table that differs from run to run.
    manifest : dict
        Config, data fingerprint, versions, machine, wall time, checksums of the tables.
    folder : Path
        Where it was read from.
    """

    config: Config
    curves: pd.DataFrame
    pairs: pd.DataFrame
    statistics: pd.DataFrame
    timings: pd.DataFrame
    manifest: dict
    folder: Path

    @property
    def name(self) -> str:
        """Its data set and its hash, as `record_name` gives them; never read from a file."""
        return _name(self.config, self.manifest["data_fingerprint"])

    @property
    def wall_seconds(self) -> float:
        """Time of all sessions that computed pairs, in seconds; killed ones leave no note."""
        return sum(s["wall_seconds"] for s in self._sessions)

    @property
    def _sessions(self) -> list[dict]:
        sessions = [s for s in self.manifest["sessions"] if s["pairs_computed"]]
        return sorted(sessions, key=lambda session: session["finished"])

    def at(self, t: float = 0.5, column: str = "loss") -> pd.DataFrame:
        """Return a table of one value of each pair (row) and operator (column) at one t.

        Raises
        ------
        ValueError
            If the record has no such t or column.
        """
        rows = self.curves[np.isclose(self.curves["t"], t)]
        if rows.empty or column not in ("loss", "accuracy"):
            raise ValueError(
                f"expected t among {list(self.config.t)} and column loss or accuracy; "
                f"found t = {t!r}, column {column!r}"
            )
        table = rows.pivot(index="pair", columns="operator", values=column)
        return table[list(self.config.operators)].astype(float)

    def describe(self) -> str:
        """Return one line that says when, where and how it was computed."""
        what = f"Record {self.name}: {self.config.n_pairs} pairs on "
        what += f"{self.config.dataset}, computed"
        if not self._sessions:  # killed after the last pair, before its note
            return f"{what} on {self.manifest['machine']}."
        last = self._sessions[-1]
        how = f"{last['workers']} worker{'s' if last['workers'] > 1 else ''}"
        if len(self._sessions) > 1:
            how = f"{len(self._sessions)} sessions, in all"
        return (
            f"{what} {last['finished'][:10]} on {self.manifest['machine']}, {how}, "
            f"{self.wall_seconds / 60:.1f} minutes."
        )


def load_record(folder: str | Path) -> Record:
    """Return the record in a folder, checked: it may come from a stranger.

    The folder's name, the manifest's name and the hash of its config agree, the manifest is as its
    checksum says, and the tables are as the manifest says and have the rows of the config.

    Raises
    ------
    store.DamagedFile
        If a file is missing, altered, unreadable or not of this record.
    """
    folder = Path(folder)
    config, manifest = _load_manifest(folder)
    tables = {}
    for name, schema in _TABLES.items():
        path = folder / f"{name}.parquet"
        expected = manifest["files"][path.name]
        found = store.file_hash(path) if path.is_file() else "no file"
        if found != expected:
            raise store.DamagedFile(f"{path}: expected SHA-256 {expected}; found {found}")
        tables[name] = _load_table(path, schema, _rows(config, name))
    return Record(config, **tables, manifest=manifest, folder=folder)


def _load_manifest(folder: Path) -> tuple[Config, dict]:
    """Return a record's config and manifest, or raise DamagedFile."""
    path = folder / "manifest.json"
    manifest = store.load_sealed(path)
    try:
        config = Config.from_dict(manifest["config"])
        name, files = _name(config, str(manifest["data_fingerprint"])), manifest["files"]
        if Path(config.dataset).name != config.dataset:
            raise ValueError(f"its data set is a path, {config.dataset!r}")
        if not name == manifest["name"] == folder.resolve().name:
            raise ValueError(
                f"its config is that of {name}, its name {manifest['name']}, its folder's "
                f"{folder.resolve().name}"
            )
        if files.keys() != {f"{table}.parquet" for table in _TABLES}:
            raise ValueError(f"its tables are {list(files)}")
        for session in manifest["sessions"]:
            _session(session, path)
    except (KeyError, TypeError, ValueError, AttributeError, OverflowError) as error:
        raise store.DamagedFile(f"{path}: not of a record ({error})") from error
    return config, manifest


def _rows(config: Config, table: str) -> int | None:
    """Return how many rows a table of a config has; None where it depends on what was measured."""
    points = len(config.operators) * len(config.t)
    return {"pairs": config.n_pairs, "curves": config.n_pairs * points}.get(table)


def _load_table(path: Path, schema: Sequence[str], rows: int | None) -> pd.DataFrame:
    """Return a table if it has these columns and, where it is known, this number of rows."""
    try:
        found = pq.read_schema(path).names, pq.read_metadata(path).num_rows
        # Looked at before it is read: a few bytes can say that they are millions of rows.
        if found[0] != list(schema) or found[1] != (found[1] if rows is None else rows):
            raise ValueError(f"{found[1]} rows of {', '.join(found[0])}")
        return pd.read_parquet(path)
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise store.DamagedFile(
            f"{path}: expected {'' if rows is None else f'{rows} '}rows of {', '.join(schema)}; "
            f"found {error}"
        ) from error


def load_or_run(config: Config, *, workers: int | None = None) -> Record:
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
    name = record_name(config)
    published = committed_folder() / name
    if (published / "manifest.json").is_file():  # written last, when all else is there
        return load_record(published)
    try:
        return load_record(runs_folder() / "records" / name)
    except store.DamagedFile:
        return run(config, workers=workers)


def publish(record: Record, folder: Path | None = None) -> Path:
    """Copy a record's tables and manifest into the folder of published records.

    Parameters
    ----------
    record : Record
        Complete; a published one is left as it is.
    folder : Path, optional
        `committed_folder` by default.

    Returns
    -------
    Path
        The record's folder there.

    Raises
    ------
    store.StoreError
        If the folder cannot be written.
    """
    target = Path(folder or committed_folder()) / record.name
    if target.resolve() != record.folder.resolve():
        for name in (*(f"{table}.parquet" for table in _TABLES), "manifest.json"):
            _copy(record.folder / name, target / name)
    return target


def list_records() -> pd.DataFrame:
    """Return what records exist and how far each is.

    Returns
    -------
    pandas.DataFrame
        record, place (published or local), pairs_done, pairs in all (missing if unknown), and
        problem: what is wrong with the record's own files, or nothing.
    """
    rows = []
    for place, folder in (("published", committed_folder()), ("local", runs_folder() / "records")):
        for path in sorted(folder.glob("*/")):
            done = len(list(path.glob("pairs/pair-*.safetensors")))
            total, problem = None, ""
            try:
                total = _pairs_in_all(path)
                done = total if place == "published" else done
            except store.DamagedFile as error:
                problem = str(error)
            rows.append((path.name, place, done, total, problem))
    table = pd.DataFrame(rows, columns=["record", "place", "pairs_done", "pairs", "problem"])
    return table.astype({"pairs_done": "Int64", "pairs": "Int64"})


def _pairs_in_all(record_folder: Path) -> int | None:
    """Return the number of pairs that a record has or shall have; None if nothing says so."""
    if (record_folder / "manifest.json").exists():
        return _load_manifest(record_folder)[0].n_pairs
    path = record_folder / "config.json"
    if not path.exists():
        return None
    try:
        return checks.whole_number("n_pairs", _load_checked(path)["n_pairs"], 1, _MANY)
    except (ValueError, KeyError, TypeError) as error:
        raise store.DamagedFile(f"{path}: not of a run ({error})") from error


def verify(
    record: Record,
    *,
    n_pairs: int = 3,
    seed: int = 0,
    tolerance: float = 0.1,
    dataset: str | None = None,
) -> pd.DataFrame:
    """Retrain the parents of random pairs, measure them again and compare with a record.

    Parameters
    ----------
    record : Record
        Published or local.
    n_pairs : int
        How many of its pairs, in [1, pairs of the record].
    seed : int
        Chooses the pairs.
    tolerance : float
        Largest accepted difference of losses, relative to max(1, loss); of accuracies; and of
        the counts of neurons and components, relative to the layer's width. On the machine and
        with the versions that made the record 1e-6 will do; another machine rounds otherwise,
        and training amplifies rounding: the default only tells that the experiment is the same,
        not that the pair is. Losses at t outside of [0, 1], and those of operators that repeat
        neurons, explode: they are held to a tolerance up to 1e-3 only.
    dataset : str, optional
        Where the record's data are, if they are a file of one's own.

    Returns
    -------
    pandas.DataFrame
        pair; what (an operator, ``"parents"`` or ``"statistics"``); value (loss, accuracy, loss
        outside [0, 1], share of the width); difference, the largest of them; held, whether it is
        held to the tolerance; and ok.

    Raises
    ------
    MemoryError
        If the parents need more memory than there is.
    ValueError
        If the data's fingerprint is not the record's, or `n_pairs` leaves its range.
    """
    if dataset is None and record.config.dataset not in KNOWN:
        raise ValueError(f"record {record.name} is of data of your own: name their .npz file")
    config = record.config.replace(dataset=dataset or record.config.dataset)
    data = _data(config.dataset, config.inputs)
    if data.fingerprint != record.manifest["data_fingerprint"]:
        raise ValueError(
            f"expected data with fingerprint {record.manifest['data_fingerprint']}; "
            f"found {data.fingerprint}"
        )
    checks.whole_number("n_pairs", n_pairs, 1, config.n_pairs)
    engine.check_memory(_memory_needed(config))
    chosen = np.random.default_rng(seed).choice(config.n_pairs, n_pairs, replace=False)
    rows = []
    for pair in sorted(int(p) for p in chosen):
        with _one_thread():
            parents = train_parents(config, (2 * pair, 2 * pair + 1))
            again = _measure(config, *(theta for theta, _ in parents))
        rows += [(pair, *row) for row in _differences(record, pair, again)]
    table = pd.DataFrame(rows, columns=["pair", "what", "value", "difference"])
    explodes = (table["value"] == "loss outside [0, 1]") | (
        (table["value"] == "loss") & ~table["what"].map(_keeps_parents)
    )
    # Comparisons with NaN are false: a loss that is missing is never ok.
    held = ~explodes | (tolerance <= 1e-3)
    within = (table["difference"] <= tolerance) | (~held & table["difference"].notna())
    return table.assign(held=held, ok=within)


def _keeps_parents(what: str) -> bool:
    return what in ("parents", "statistics") or get_operator(parse_operator(what)[0]).one_to_one


def _differences(record: Record, pair: int, again: dict) -> list[tuple[str, str, float]]:
    """Return what differs between a pair of a record and its results computed again."""
    found = []
    for i, operator in enumerate(record.config.operators):
        rows = record.curves.query("pair == @pair and operator == @operator")
        inside = rows["t"].between(0, 1).to_numpy()
        loss = rows["loss"].to_numpy(float)
        relative = abs(loss - again[f"loss.{i}"].numpy()) / np.maximum(1, loss)
        share = abs(rows["accuracy"].to_numpy(float) - again[f"accuracy.{i}"].numpy())
        found += [(operator, "loss", relative[inside].max()), (operator, "accuracy", share.max())]
        if not inside.all():
            found.append((operator, "loss outside [0, 1]", relative[~inside].max()))
    (row,) = record.pairs.query("pair == @pair").itertuples()
    kept = np.array([[row.loss_a, row.accuracy_a], [row.loss_b, row.accuracy_b]])
    apart = abs(kept - again["parents"].numpy()).max(axis=0)
    found += [("parents", "loss", apart[0]), ("parents", "accuracy", apart[1])]
    shares = [0.0]
    for row in record.statistics.query("pair == @pair").itertuples():
        new = float(again[f"statistic.{row.layer}.{row.statistic}"])
        unit = 1 if row.statistic.startswith("mean ") else record.config.hidden[row.layer - 1]
        if not (np.isnan(new) and np.isnan(row.value)):  # not to be had, then as now
            shares.append(abs(new - row.value) / unit)
    return [*found, ("statistics", "share of the width", max(shares, key=_nan_first))]


def _nan_first(value: float) -> float:
    return np.inf if np.isnan(value) else value
