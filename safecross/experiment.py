"""From a config to a record: parents, pairs, curves; resumable, parallel, verified (Section 5)."""

import contextlib
import functools
import hashlib
import os
import platform
import resource
import sys
import time
import warnings
from collections.abc import Iterable
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path

import joblib
import numpy as np
import pandas as pd
import torch
from joblib.externals.loky.process_executor import TerminatedWorkerError
from platformdirs import user_cache_path
from tqdm import tqdm

from . import checks, store
from .cca import bartlett_test, cca_of_pair
from .config import Config, network_seed, parse_operator
from .crossover import FirstLayer, crossover_curve
from .data import Dataset, load_data
from .data.catalogue import KNOWN
from .linalg import product_rate
from .matching import match_one_to_one
from .metrics import evaluate
from .network import Network, load_network
from .operators import LayerPair, align_layers, get_operator, layer_pairs
from .training import train

__all__ = [
    "Record",
    "committed_folder",
    "fingerprint",
    "list_records",
    "load_or_run",
    "load_record",
    "merge",
    "progress_bar",
    "publish",
    "record_name",
    "run",
    "runs_folder",
    "train_parent",
    "verify",
]

#: Correlation above which Section 5.2.2 counts a pair of neurons.
THRESHOLD = 0.7

_TABLES = ("curves", "pairs", "statistics", "timings")


# Where things lie -----------------------------------------------------------------------------


def runs_folder() -> Path:
    """Return the folder of unfinished runs, parents and own records.

    It is ``SAFECROSS_RUNS`` if set, else ``runs`` in the user's cache folder of safecross.
    """
    return Path(os.environ.get("SAFECROSS_RUNS") or user_cache_path("safecross") / "runs")


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
    known = KNOWN[dataset].fingerprint if dataset in KNOWN else None
    return known or load_data(dataset).fingerprint


def record_name(config: Config) -> str:
    """Return the name of a config's record: its data set and its hash.

    Raises
    ------
    DataError
        If the data set is needed for its fingerprint and cannot be had.
    """
    return f"{Path(config.dataset).stem}-{config.hash(fingerprint(config.dataset))}"


# One pair -------------------------------------------------------------------------------------


@functools.lru_cache(maxsize=1)
def _training_data(data: Dataset, device: str) -> tuple[torch.Tensor, torch.Tensor]:
    x, y = data.split("train")
    return x.to(device), y.to(device)


def train_parent(config: Config, network: int, device: str = "cpu") -> tuple[Network, float]:
    """Train one of the networks of a config.

    Parameters
    ----------
    config : Config
        The experiment.
    network : int
        Its number, in [0, 2 n_pairs).
    device : str
        Where to train, as PyTorch names it: ``"cpu"``, ``"cuda"``, ``"cuda:1"``.

    Returns
    -------
    theta : Network
        The trained network, on the CPU.
    seconds : float
        Time of training.
    """
    data = _data(config.dataset, config.inputs)
    x, y = _training_data(data, device)
    start = time.perf_counter()
    theta = train(
        x,
        y,
        config.hidden,
        network_seed(config, network),
        epochs=config.epochs,
        batch_size=config.batch_size,
        learning_rate=config.learning_rate,
        n_classes=data.n_classes,
        products=getattr(torch, config.products),
    ).to("cpu")
    return theta, time.perf_counter() - start


def _parent(config: Config, network: int, folder: Path, device: str) -> tuple[Network, float]:
    """Return a parent from its file if that is whole, else train and keep it."""
    mark = config.parents_hash(fingerprint(config.dataset))
    place = mark if device == "cpu" else f"{mark}-{torch.device(device).type}"
    path = folder / "parents" / place / f"network-{network:05d}.safetensors"
    if path.exists():
        try:
            about = store.load_tensors(path)[1]
            if (about["parents"], about["network"]) != (mark, str(network)):
                raise store.DamagedFile(f"{path} is another network")
            return load_network(path), float(about["seconds"])
        except (store.DamagedFile, ValueError, KeyError):
            path.unlink(missing_ok=True)
    theta, seconds = train_parent(config, network, device)
    about = {"seconds": seconds, "parents": mark, "network": network, "device": device}
    theta.save(path, about)
    return theta, seconds


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
    with clock("evaluate parents"):
        parents = [evaluate(theta, x, y) for theta in (theta_a, theta_b)]
    results["parents"] = torch.tensor([[float(v) for v in parent] for parent in parents])
    with clock("activations"):
        pairs = layer_pairs(theta_a, theta_b, batch)
    with clock("correlations"):
        for pair in pairs:
            _ = pair.between  # kept by the pair, and timed here
    if any(parse_operator(op)[0] == "sc-cca" for op in config.operators):
        with clock("covariances and eigenvectors"):
            for pair in pairs:
                pair.bases(True)
    with clock("first layer"):
        first = FirstLayer(theta_a, theta_b, x)
    for i, operator in enumerate(config.operators):
        name, options = parse_operator(operator)
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


def _run_pair(config: Config, pair: int, folder: Path, device: str = "cpu") -> tuple[int, int]:
    """Make sure that the file of one pair is there and whole; a task for a worker process.

    Returns the process and its peak memory in bytes, for the manifest.
    """
    path = _pair_path(config, pair, folder)
    if _load_pair(config, pair, folder) is not None:
        return _memory()
    with _one_thread():
        (theta_a, s_a), (theta_b, s_b) = (
            _parent(config, 2 * pair + side, folder, device) for side in (0, 1)
        )
        results = _measure(config, theta_a, theta_b)
    results["seconds.train a"] = torch.tensor(s_a, dtype=torch.float64)
    results["seconds.train b"] = torch.tensor(s_b, dtype=torch.float64)
    data = _data(config.dataset, config.inputs)
    about = {
        "n_train": len(data.x_train),
        "n_validation": len(data.x_test),
        "n_inputs": data.n_inputs,
        "n_classes": data.n_classes,
        "source": _source_hash(),
        "device": torch.device(device).type,
    }
    store.save_tensors(path, results, {"record": record_name(config), "pair": pair, **about})
    return _memory()


@contextlib.contextmanager
def _one_thread():
    """Give PyTorch one thread: a core a task, and the same numbers whatever the workers."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(threads)


def _memory() -> tuple[int, int]:
    # Linux counts in KiB, macOS in bytes.
    unit = 1 if platform.system() == "Darwin" else 1024
    return os.getpid(), resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit


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


def progress_bar(items: Iterable, **options) -> tqdm:
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
) -> "Record | None":
    """Compute the record of a config, going on where an interrupted run stopped.

    Parameters
    ----------
    config : Config
        The experiment.
    workers : int, optional
        Processes, each with one thread; as many as the machine has cores by default. The numbers
        do not depend on it.
    folder : Path, optional
        Where parents and pairs are kept; `runs_folder` by default.
    shard : tuple of two ints
        ``(i, n)`` computes only the pairs i, i + n, i + 2n, ...; `merge` then joins the shards.
    device : str
        Where the parents are trained, as PyTorch names it; aligning and curves stay on the CPU.
        Another device rounds otherwise, so its numbers agree within `verify`'s tolerance only.

    Returns
    -------
    Record or None
        The record; None for a shard.

    Raises
    ------
    DataError
        If the data cannot be had.
    store.StoreError
        If the folder cannot be written; pairs already done are kept.
    ValueError
        If `shard` or `workers` leaves its range, or there is no such device.
    """
    folder = Path(folder or runs_folder())
    _check_device(device)
    checks.whole_number("shard's i", shard[0], 0, checks.whole_number("shard's n", shard[1], 1) - 1)
    workers = checks.whole_number("workers", joblib.cpu_count() if workers is None else workers, 1)
    start = time.time()
    record_folder = folder / "records" / record_name(config)
    todo = range(shard[0], config.n_pairs, shard[1])
    done = {pair for pair in todo if _load_pair(config, pair, folder) is not None}
    if len(done) == len(todo):
        return None if shard != (0, 1) else merge(config, folder=folder)
    store.save_json(record_folder / "config.json", config.to_dict())  # what `list_records` reads
    rate = product_rate()
    tasks = (joblib.delayed(_run_pair)(config, p, folder, device) for p in todo if p not in done)
    finished = joblib.Parallel(n_jobs=workers, return_as="generator_unordered")(tasks)
    bar = progress_bar(
        finished, desc=record_name(config), unit="pair", initial=len(done), total=len(todo)
    )
    memory = dict([_memory()])
    with warnings.catch_warnings():
        # Loky replaces a worker that has grown, as one does that has loaded a second data set.
        warnings.filterwarnings("ignore", "A worker stopped while some jobs were given")
        try:
            for process, peak in bar:
                memory[process] = max(peak, memory.get(process, 0))
        except TerminatedWorkerError as error:
            raise store.StoreError(
                "a worker process was killed, perhaps for want of memory: run the same command "
                "again, with fewer workers; what was finished is kept"
            ) from error
    # Workers that were replaced do not count: no more than these were there at once.
    own, others = memory.pop(os.getpid()), memory.values()
    note = {
        "pairs_computed": len(todo) - len(done),
        "workers": workers,
        "threads_per_worker": 1,
        "device": device,
        "machine": _machine(),
        "wall_seconds": round(time.time() - start, 1),
        "peak_memory_bytes": own + sum(sorted(others)[-workers:]),
        "float32_products_per_second": round(rate),
        "finished": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
    }
    store.save_json(record_folder / f"session-{shard[0]}-of-{shard[1]}-{int(start)}.json", note)
    return None if shard != (0, 1) else merge(config, folder=folder)


def _check_device(device: str) -> None:
    try:
        torch.zeros(1, device=device)
    except (RuntimeError, AssertionError) as error:
        reason = str(error).splitlines()[0]
        raise ValueError(
            f"expected a device that PyTorch has here, such as cpu or cuda; found {device!r} "
            f"({reason})"
        ) from None


def merge(config: Config, *, folder: Path | None = None) -> "Record":
    """Join the pairs of a config, from one run or from shards, into its record.

    Raises
    ------
    ValueError
        If a pair is missing or damaged; the message lists them.
    """
    folder = Path(folder or runs_folder())
    results = [_load_pair(config, pair, folder) for pair in range(config.n_pairs)]
    missing = [pair for pair, result in enumerate(results) if result is None]
    if missing:
        raise ValueError(
            f"{record_name(config)} is not complete: {len(missing)} of {config.n_pairs} pairs are "
            f"missing or damaged, the first {missing[:10]}. Run the same config (or its missing "
            "shards) again: what is there is kept."
        )
    tables = _tables(config, results)
    target = folder / "records" / record_name(config)
    for name, table in tables.items():
        store.write_atomically(target / f"{name}.parquet", functools.partial(_parquet, table))
    sessions = [store.load_json(path) for path in sorted(target.glob("session-*.json"))]
    about = [store.load_tensors(_pair_path(config, p, folder))[1] for p in range(config.n_pairs)]
    manifest = _manifest(config, about, sessions)
    manifest["files"] = {f"{n}.parquet": store.file_hash(target / f"{n}.parquet") for n in tables}
    store.save_json(target / "manifest.json", manifest)
    return load_record(target)


def _parquet(table: pd.DataFrame, path: Path) -> None:
    table.to_parquet(path, index=False, compression="zstd")


def _tables(config: Config, results: list[dict[str, torch.Tensor]]) -> dict[str, pd.DataFrame]:
    curves, pairs, statistics, timings = [], [], [], []
    for pair, result in enumerate(results):
        for i, operator in enumerate(config.operators):
            curves.append(
                pd.DataFrame(
                    {
                        "pair": np.int32(pair),
                        "operator": operator,
                        "t": np.float64(config.t),
                        "loss": result[f"loss.{i}"].numpy().astype(np.float32),
                        "accuracy": result[f"accuracy.{i}"].numpy().astype(np.float32),
                    }
                )
            )
        (loss_a, accuracy_a), (loss_b, accuracy_b) = result["parents"].tolist()
        pairs.append(
            (
                pair,
                2 * pair,
                2 * pair + 1,
                network_seed(config, 2 * pair),
                network_seed(config, 2 * pair + 1),
                loss_a,
                loss_b,
                accuracy_a,
                accuracy_b,
            )
        )
        for key, value in result.items():
            kind, _, rest = key.partition(".")
            if kind == "statistic":
                layer, _, name = rest.partition(".")
                statistics.append((pair, int(layer), name, float(value)))
            elif kind == "seconds":
                timings.append((pair, rest, float(value)))
    columns = [
        "pair",
        "network_a",
        "network_b",
        "seed_a",
        "seed_b",
        "loss_a",
        "loss_b",
        "accuracy_a",
        "accuracy_b",
    ]
    return {
        "curves": pd.concat(curves, ignore_index=True).astype({"operator": "category"}),
        "pairs": pd.DataFrame(pairs, columns=columns),
        "statistics": pd.DataFrame(
            statistics, columns=["pair", "layer", "statistic", "value"]
        ).sort_values(["pair", "layer", "statistic"], ignore_index=True),
        "timings": pd.DataFrame(timings, columns=["pair", "step", "seconds"]),
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
        "machine": _machine(),
    }


def _machine() -> str:
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
        what = f"Record {self.manifest['name']}: {self.config.n_pairs} pairs on "
        what += f"{self.config.dataset}, computed"
        if not self._sessions:  # killed after the last pair, before its note
            return f"{what} on {self.manifest['machine']}."
        last = self._sessions[-1]
        return (
            f"{what} {last['finished'][:10]} on {self.manifest['machine']}, "
            f"{last['workers']} worker(s), {self.wall_seconds / 60:.1f} minutes."
        )


def load_record(folder: str | Path) -> Record:
    """Return the record in a folder, its tables checked against the manifest.

    Raises
    ------
    store.DamagedFile
        If a file is missing, altered or unreadable.
    """
    folder = Path(folder)
    manifest = store.load_json(folder / "manifest.json")
    try:
        config, files = Config.from_dict(manifest["config"]), manifest["files"]
        mark, sessions = config.hash(manifest["data_fingerprint"]), manifest["sessions"]
        whole = manifest["name"].endswith(f"-{mark}") and isinstance(sessions, list)
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise store.DamagedFile(f"{folder / 'manifest.json'}: not of a record ({error})") from error
    if not whole:
        raise store.DamagedFile(f"{folder / 'manifest.json'}: its config is not that of its name")
    tables = {}
    for name in _TABLES:
        path = folder / f"{name}.parquet"
        expected = files.get(path.name)
        found = store.file_hash(path) if path.is_file() else "no file"
        if found != expected:
            raise store.DamagedFile(f"{path}: expected SHA-256 {expected}; found {found}")
        tables[name] = pd.read_parquet(path)
    return Record(config, **tables, manifest=manifest, folder=folder)


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
    published = committed_folder() / record_name(config)
    if (published / "manifest.json").is_file():  # written last, when all else is there
        return load_record(published)
    try:
        return load_record(runs_folder() / "records" / record_name(config))
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
    target = Path(folder or committed_folder()) / record.manifest["name"]
    if target.resolve() != record.folder.resolve():
        for name in (*record.manifest["files"], "manifest.json"):
            content = (record.folder / name).read_bytes()
            store.write_atomically(target / name, lambda path, b=content: path.write_bytes(b))
    return target


def list_records() -> pd.DataFrame:
    """Return what records exist and how far each is: name, place, pairs done, pairs in all."""
    rows = []
    for place, folder in (("published", committed_folder()), ("local", runs_folder() / "records")):
        for path in sorted(folder.glob("*/")):
            done = len(list(path.glob("pairs/pair-*.safetensors")))
            total = None
            with contextlib.suppress(store.DamagedFile, KeyError, TypeError):  # total unknown
                if (path / "manifest.json").exists():
                    total = store.load_json(path / "manifest.json")["config"]["n_pairs"]
                    done = total if place == "published" else done
                elif (path / "config.json").exists():
                    total = store.load_json(path / "config.json")["n_pairs"]
            rows.append((path.name, place, done, total))
    table = pd.DataFrame(rows, columns=["record", "place", "pairs_done", "pairs"])
    return table.astype({"pairs": "Int64"})


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
        Largest accepted difference of loss, relative to max(1, loss), and of accuracy, at t in
        [0, 1]. On the machine and with the versions that made the record 1e-6 will do; another
        machine rounds otherwise, and training amplifies rounding: the default only tells that
        the experiment is the same, not that the pair is. The loss of operators that
        repeat neurons explodes, and is not held to it, only their accuracy.
    dataset : str, optional
        Where the record's data are, if they are a file of one's own.

    Returns
    -------
    pandas.DataFrame
        pair, operator, loss and accuracy differences (largest over t in [0, 1]), and `ok`.

    Raises
    ------
    ValueError
        If the data's fingerprint is not the record's, or `n_pairs` leaves its range.
    """
    if dataset is None and record.config.dataset not in KNOWN:
        raise ValueError(
            f"record {record.manifest['name']} is of data of your own: name their .npz file"
        )
    config = record.config.replace(dataset=dataset or record.config.dataset)
    data = _data(config.dataset, config.inputs)
    if data.fingerprint != record.manifest["data_fingerprint"]:
        raise ValueError(
            f"expected data with fingerprint {record.manifest['data_fingerprint']}; "
            f"found {data.fingerprint}"
        )
    checks.whole_number("n_pairs", n_pairs, 1, config.n_pairs)
    chosen = np.random.default_rng(seed).choice(config.n_pairs, n_pairs, replace=False)
    rows = []
    for pair in sorted(int(p) for p in chosen):
        with _one_thread():
            theta_a, theta_b = (train_parent(config, 2 * pair + side)[0] for side in (0, 1))
            again = _measure(config, theta_a, theta_b)
        for i, operator in enumerate(config.operators):
            rows.append((pair, operator, *_differences(record, pair, operator, again, i)))
    table = pd.DataFrame(rows, columns=["pair", "operator", "loss", "accuracy"])
    steady = table["operator"].map(lambda op: get_operator(parse_operator(op)[0]).one_to_one)
    bounded = (table["loss"] <= tolerance) | (~steady & table["loss"].notna())
    return table.assign(ok=bounded & (table["accuracy"] <= tolerance))


def _differences(record: Record, pair: int, operator: str, again: dict, i: int):
    rows = record.curves.query("pair == @pair and operator == @operator")
    inside = ((rows["t"] >= 0) & (rows["t"] <= 1)).to_numpy()
    loss = rows["loss"].to_numpy(float)
    difference = abs(loss - again[f"loss.{i}"].numpy()) / np.maximum(1, loss)
    other = abs(rows["accuracy"].to_numpy(float) - again[f"accuracy.{i}"].numpy())
    return difference[inside].max(), other[inside].max()
