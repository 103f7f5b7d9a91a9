"""What several test files share: settings of hypothesis, networks with biases, devices."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from hypothesis import HealthCheck, settings

from safecross import Network, initialise
from safecross.replication.config import Config
from safecross.runs import (
    Record,
    load_record,
    machine,
    run,
)

settings.register_profile(
    "safecross",
    deadline=None,
    derandomize=True,
    max_examples=25,
    suppress_health_check=[HealthCheck.too_slow],
)
settings.load_profile("safecross")

# One thread a test worker: two that share a core wait for each other at every product.
torch.set_num_threads(1)


def _network(widths: Sequence[int], seed: int = 0, dtype=torch.float32, device="cpu") -> Network:
    theta = initialise(widths, seed)
    generator = torch.Generator().manual_seed(seed + 1000)
    biases = [0.5 * torch.randn(b.shape, generator=generator) for b in theta.biases]
    return Network(theta.weights, biases).to(device, dtype)


def _examples(n: int, m: int, seed: int = 0, dtype=torch.float32) -> torch.Tensor:
    return torch.randn(n, m, generator=torch.Generator().manual_seed(seed), dtype=dtype)


@pytest.fixture(scope="session")
def make_network():
    """Draw a network whose biases are not 0, as those of a trained one."""
    return _network


@pytest.fixture(scope="session")
def make_examples():
    """Draw examples from a standard normal distribution."""
    return _examples


@pytest.fixture(
    params=[
        "cpu",
        pytest.param(
            "cuda", marks=pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")
        ),
    ]
)
def device(request) -> str:
    """Name each kind of device that there is."""
    return request.param


# Experiments: a data set that takes milliseconds, and one record of it for all to read


def _write_data(path: Path, seed: int = 0) -> Path:
    rng = np.random.default_rng(seed)
    centres = rng.random((3, 3, 3))
    arrays = {}
    for split, n in (("train", 60), ("test", 40)):
        y = np.arange(n) % 3
        noise = rng.random((n, 3, 3))
        arrays |= {f"x_{split}": (0.7 * centres[y] + 0.3 * noise).astype("f4"), f"y_{split}": y}
    np.savez(path, **arrays)
    return path


@pytest.fixture(scope="session")
def own_data(tmp_path_factory) -> Path:
    """Write a data set of 60 + 40 examples of 3 x 3 pixels in 3 classes."""
    return _write_data(tmp_path_factory.mktemp("data") / "own.npz")


@pytest.fixture(scope="session")
def other_data(tmp_path_factory) -> Path:
    """Write another one of the same shape and name."""
    return _write_data(tmp_path_factory.mktemp("data") / "own.npz", seed=1)


@pytest.fixture(scope="session")
def pictures(tmp_path_factory):
    """Write a data set of small images in two classes that a network can tell apart."""
    rng = np.random.default_rng(0)
    arrays = {}
    for split, n in (("train", 120), ("test", 60)):
        y = np.arange(n) % 2
        x = rng.integers(0, 60, (n, 16, 16, 3))
        x[y == 1, 4:12, 4:12] += 150
        arrays |= {f"x_{split}": x.astype(np.uint8), f"y_{split}": y}
    path = tmp_path_factory.mktemp("pictures") / "pictures.npz"
    np.savez(path, **arrays)
    return str(path)


@pytest.fixture(scope="session")
def small_config(own_data) -> Config:
    """Describe an experiment that takes a second."""
    operators = ("naive", "sc-cca:directions=2", "sc-pwc", "sc-pwc-semi")
    return Config(own_data, (5, 4), 2, 4, operators, t=(-0.25, 0, 0.25, 0.5, 1), batch_size=16)


@pytest.fixture(scope="session")
def small_run(small_config, tmp_path_factory) -> Path:
    """Run it once, in a folder that no test may change."""
    folder = tmp_path_factory.mktemp("small-run")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(machine, "product_rate", lambda *_, **__: 1e9)
        run(small_config, workers=1, folder=folder)
    return folder


@pytest.fixture(scope="session")
def small_record(small_run) -> Record:
    """Return its record."""
    (folder,) = (small_run / "records").iterdir()
    return load_record(folder)


@pytest.fixture
def runs(tmp_path, monkeypatch) -> Path:
    """Lead a test's runs to a folder of its own, beside one of published records."""
    monkeypatch.setenv("SAFECROSS_RUNS", str(tmp_path / "runs"))
    monkeypatch.setenv("SAFECROSS_PROGRESS", "0")
    monkeypatch.setattr("safecross.runs.folder.PUBLISHED", tmp_path / "published")
    # The machine's rate, for the manifest, takes seconds to measure.
    monkeypatch.setattr(machine, "product_rate", lambda *_, **__: 1e9)
    return tmp_path / "runs"


def _make_record(
    loss: dict,
    accuracy=None,
    parents=0.07,
    parents_accuracy=0.98,
    counts=None,
    seconds=None,
    **fields,
) -> Record:
    """Make a record of known numbers: at t = 0.5 what is given, at t = 0 and 1 the parents'.

    Numbers hold for each pair, lists go pair by pair.
    """
    n = max(np.size(values) for values in [*loss.values(), parents])
    at_half = {name: np.broadcast_to(values, n) for name, values in loss.items()}
    accuracy = {name: np.broadcast_to((accuracy or {}).get(name, 0.5), n) for name in loss}
    parents, shares = (np.broadcast_to(v, n).astype(float) for v in (parents, parents_accuracy))
    curves = [
        (pair, name, t, *values)
        for pair in range(n)
        for name in loss
        for t, values in (
            (0.0, (parents[pair], shares[pair])),
            (0.5, (at_half[name][pair], accuracy[name][pair])),
            (1.0, (parents[pair], shares[pair])),
        )
    ]
    pairs = {"pair": range(n), "loss_a": parents, "loss_b": parents}
    pairs |= {"accuracy_a": shares, "accuracy_b": shares}
    statistics = [
        (pair, 1, name, np.broadcast_to(values, n)[pair])
        for pair in range(n)
        for name, values in (counts or {}).items()
    ]
    timings = [
        (pair, name, np.broadcast_to(values, n)[pair])
        for pair in range(n)
        for name, values in (seconds or {}).items()
    ]
    fields = {"dataset": "mnist", "hidden": (512,), "epochs": 5, **fields}
    return Record(
        config=Config(n_pairs=n, operators=tuple(loss), t=(0, 0.5, 1), **fields),
        tables={
            "curves": pd.DataFrame(curves, columns=["pair", "operator", "t", "loss", "accuracy"]),
            "pairs": pd.DataFrame(pairs),
            "statistics": pd.DataFrame(statistics, columns=["pair", "layer", "statistic", "value"]),
            "timings": pd.DataFrame(timings, columns=["pair", "step", "seconds"]),
        },
        manifest={"machine": "none", "sessions": [], "data_fingerprint": "by hand"},
        folder=Path("by hand"),
    )


@pytest.fixture(scope="session")
def make_record():
    """Make a record by hand."""
    return _make_record
