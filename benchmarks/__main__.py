"""``make bench``: one run, every figure a ratio of times measured in it; JSON, printed too.

Each time is the fastest of its repeats, with the slowest beside it as the spread. Where something
is compared with a peer, the results are asserted equal first.
"""

import argparse
import json
import os
import platform
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from sklearn.cross_decomposition import CCA as SklearnCCA

from safecross import (
    FirstLayer,
    Network,
    align_layers,
    cca_of_pair,
    correlation,
    crossover_curve,
    evaluate,
    interpolate,
    layer_pairs,
    load_data,
    train,
)
from safecross.config import parse_operator
from safecross.crossover import GRID
from safecross.linalg import product_rate
from safecross.paper import MAIN, main_config
from safecross.store import save_json
from safecross.training import training_operations

OUTPUT = Path(__file__).parents[1] / "book" / "results" / "benchmark.json"


def fastest(work: Callable, repeats: int = 3) -> tuple[float, float, object]:
    """Return the fastest and the slowest seconds of some calls, and the last result."""
    seconds = []
    for _ in range(repeats):
        start = time.perf_counter()
        result = work()
        seconds.append(time.perf_counter() - start)
    return min(seconds), max(seconds), result


def limits() -> dict[str, float]:
    """Return rates of large products in operations a second, and of a copy in bytes a second."""
    block = torch.ones(2**26)
    seconds, _, _ = fastest(block.clone, 5)
    return {
        "float32 products": product_rate(2048, torch.float32),
        "float64 products": product_rate(2048, torch.float64),
        "bfloat16 products": product_rate(2048, torch.bfloat16),
        "memory copy": 2 * block.numel() * 4 / seconds,
    }


def training(name: str, examples: int) -> dict[str, float]:
    """Return the share of the float32 limit that training reaches, alone and as a population."""
    data = load_data(name)
    x, y = data.x_train[:examples], data.y_train[:examples]
    hidden = MAIN[name]["hidden"]
    widths = (data.n_inputs, *hidden, data.n_classes)
    operations = training_operations(widths, len(x), 1)
    settings = {"epochs": 1, "n_classes": data.n_classes}
    alone, slow, _ = fastest(lambda: train(x, y, hidden, 0, **settings))
    together, slow_t, _ = fastest(lambda: train(x, y, hidden, range(4), **settings), 2)
    limit = product_rate()
    return {
        f"{name}: training, one network": (operations / alone / limit, operations / slow / limit),
        f"{name}: training, population of 4": (
            4 * operations / together / limit,
            4 * operations / slow_t / limit,
        ),
    }


def parents(name: str) -> tuple[Network, Network, torch.Tensor, torch.Tensor]:
    """Return a pair of parents of the paper's architecture after one epoch, and the test split."""
    data = load_data(name)
    hidden = MAIN[name]["hidden"]
    a, b = (
        train(data.x_train, data.y_train, hidden, seed, epochs=1, n_classes=data.n_classes)
        for seed in (0, 1)
    )
    return a, b, *data.split("test")


def pair(name: str, a: Network, b: Network, x, y) -> dict[str, float]:
    """Return seconds of one pair with every operator, over the floor of its products."""
    operators = main_config(name).operators

    def whole():
        pairs, first = layer_pairs(a, b, x), FirstLayer(a, b, x)
        for operator in operators:
            kind, options = parse_operator(operator)
            alignment = align_layers(a, b, pairs, kind, **options)
            crossover_curve(a, b, x, y, alignment=alignment, first=first)

    seconds, slow, _ = fastest(whole)
    n, deep = len(x), list(zip(a.widths[1:-1], a.widths[2:], strict=True))
    single = 2 * 2 * n * sum(p * q for p, q in zip(a.widths, a.widths[1:], strict=False))
    single += len(operators) * len(GRID) * 2 * n * sum(p * q for p, q in deep)
    double = 3 * 2 * n * sum(p * p for p in a.widths[1:-1])
    # Each t reads both parents' first layer and writes their mixture once.
    moved = len(operators) * len(GRID) * 3 * 4 * n * a.widths[1]
    floor = single / product_rate() + double / product_rate(dtype=torch.float64)
    floor += moved / limits()["memory copy"]
    return {f"{name}: one pair, {len(operators)} operators, over its floor": (
        seconds / floor, slow / floor)}  # fmt: skip


def curve(name: str, a: Network, b: Network, x, y) -> dict[str, float]:
    """Return how much faster the curve is than full forward passes, results equal."""
    ours, slow, found = fastest(lambda: crossover_curve(a, b, x, y))

    def full():
        return [float(evaluate(interpolate(a, b, t), x, y)[0]) for t in GRID]

    theirs, _, expected = fastest(full, 2)
    np.testing.assert_allclose(found.loss, expected, rtol=1e-5)
    return {f"{name}: curve of 31 points, times faster than full forward passes": (
        theirs / ours, theirs / slow)}  # fmt: skip


def peers(a: Network, b: Network, x) -> dict[str, float]:
    """Return how much faster correlations and CCA are than what a user would else take."""
    layers = layer_pairs(a, b, x)[0]
    la, lb = layers.la.double().numpy(), layers.lb.double().numpy()
    alive = np.flatnonzero((la.std(0) > 0) & (lb.std(0) > 0))[:60]
    loop_a, loop_b = la[:, alive], lb[:, alive]
    ours, slow, found = fastest(lambda: correlation(loop_a, loop_b))
    loop, _, expected = fastest(
        lambda: [[np.corrcoef(u, v)[0, 1] for v in loop_b.T] for u in loop_a.T], 1
    )
    np.testing.assert_allclose(found.numpy(), expected, atol=1e-10)
    whole, slow_w, every = fastest(lambda: correlation(layers.la, layers.lb))
    with np.errstate(invalid="ignore", divide="ignore"):
        once, _, numpys = fastest(lambda: np.corrcoef(la, lb, rowvar=False))
    block = numpys[: la.shape[1], la.shape[1] :]
    np.testing.assert_allclose(every.numpy(), np.nan_to_num(block), atol=1e-10)
    return {
        "correlations, times faster than numpy.corrcoef in a double loop": (
            loop / ours,
            loop / slow,
        ),
        "correlations, times faster than numpy.corrcoef once": (once / whole, once / slow_w),
    } | cca_peer(a, b, x)


def cca_peer(a: Network, b: Network, x, components: int = 8) -> dict[str, float]:
    """Return how much faster all of SVCCA-256 is than some components of scikit-learn's CCA."""

    def whole():
        layers = layer_pairs(a, b, x)[0]
        return layers, cca_of_pair(layers, directions=256)

    ours, slow, (layers, result) = fastest(whole)
    scores = []
    for layer, within in ((layers.la, layers.within_a), (layers.lb, layers.within_b)):
        z = np.nan_to_num((layer.double() - layer.double().mean(0)) / layer.double().std(0))
        scores.append(z @ np.linalg.eigh(within.numpy())[1][:, -256:])
    model = SklearnCCA(n_components=components, max_iter=5000, tol=1e-9)
    theirs, _, fitted = fastest(lambda: model.fit(*scores), 1)
    pairs = (
        zip(fitted.x_scores_.T, fitted.y_scores_.T, strict=True)
        if hasattr(fitted, "x_scores_")
        else zip(*(s.T for s in fitted.transform(*scores)), strict=True)
    )
    found = sorted((np.corrcoef(u, v)[0, 1] for u, v in pairs), reverse=True)
    np.testing.assert_allclose(found, result.correlations[:components], atol=1e-4)
    label = f"all of SVCCA-256, times faster than {components} components of scikit-learn's CCA"
    return {label: (theirs / ours, theirs / slow)}


def main() -> None:
    """Run all benchmarks on one thread a core, print the table and write it as JSON."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--output", type=Path, default=OUTPUT)
    options = parser.parse_args()
    start = time.time()
    machine = limits()
    ratios: dict[str, tuple[float, float]] = {}
    for name in ("mnist", "cifar10"):
        ratios |= training(name, 20_000)
        a, b, x, y = parents(name)
        ratios |= pair(name, a, b, x, y) | curve(name, a, b, x, y)
        if name == "mnist":
            ratios |= peers(a, b, x)
    report = {
        "machine": f"{platform.system()} {platform.machine()}, {os.cpu_count()} cores",
        "threads": torch.get_num_threads(),
        "torch": torch.__version__,
        "finished": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
        "wall_seconds": round(time.time() - start, 1),
        "limits": {name: float(f"{value:.4g}") for name, value in machine.items()},
        "ratios": {k: [float(f"{v:.4g}") for v in pair] for k, pair in ratios.items()},
    }
    save_json(options.output, report)
    print(json.dumps(report, indent=2))


if __name__ == "__main__":
    main()
