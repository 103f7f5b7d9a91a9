"""``make bench``: the package against its peers and against the machine, all measured in one run.

Every figure is a ratio of times taken turn by turn, so that what slows the machine slows both; it
is given as the median of its repeats with the smallest and the largest. Where something is compared
with a peer, the results are asserted equal first. Writes ``book/results/benchmark.json``, which the
book's chapters on costs and scale show.
"""

import argparse
import itertools
import json
import os
import subprocess
import sys
import tempfile
import time
import warnings
from collections.abc import Callable
from importlib.metadata import version
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from distributed import Client, LocalCluster
from sklearn.cross_decomposition import CCA as SklearnCCA
from sklearn.decomposition import PCA
from sklearn.preprocessing import StandardScaler
from statsmodels.multivariate.cancorr import CanCorr
from threadpoolctl import threadpool_limits

from safecross import (
    FirstLayer,
    LayerPair,
    Network,
    align,
    align_layers,
    cca,
    correlation,
    crossover_curve,
    evaluate,
    initialise,
    interpolate,
    layer_pairs,
    load_data,
    trace,
    train,
)
from safecross.alignment.correlation import alignment_memory
from safecross.alignment.operators import OPERATORS
from safecross.alignment.spelling import parse_operator
from safecross.crossover.curve import GRID
from safecross.data.download import import_torchvision
from safecross.networks.linalg import product, product_rate
from safecross.networks.training import training_operations
from safecross.replication.costs import measure_costs
from safecross.replication.paper import MAIN, main_config, sc_cca
from safecross.runs import (
    committed_folder,
    machine_name,
    peak_memory,
    run,
)
from safecross.store import save_json

#: Naive crossover, bias-sort, and the paper's three: Figure 3 and Section 4.2.
FIVE = ("naive", "bias-sort", "sc-cca", "sc-pwc", "sc-pwc-semi")

_rows: list[dict] = []

#: What others' code would not do on this machine: written beside the figures.
_failed: list[str] = []


def report(group: str, what: str, ratios, unit: str, wanted: str = "") -> None:
    """Keep a figure for the table and print it."""
    ratios = np.sort(np.atleast_1d(np.asarray(ratios, float)))
    row = {"group": group, "what": what, "value": np.median(ratios), "low": ratios[0]}
    row |= {"high": ratios[-1], "unit": unit, "wanted": wanted}
    _rows.append({k: float(f"{v:.4g}") if isinstance(v, float) else v for k, v in row.items()})
    aim = f" (wanted: {wanted})" if wanted else ""
    print(f"{group}: {what}: {row['value']:.4g} [{row['low']:.4g}, {row['high']:.4g}] {unit}{aim}")


def timed(work: Callable) -> tuple[float, object]:
    """Return the seconds of a call and what it returned."""
    start = time.perf_counter()
    result = work()
    return time.perf_counter() - start, result


def copy_rate(floats: int = 2**26) -> float:
    """Return the rate of a copy, in bytes read and written a second; 2**26 floats fit no cache."""
    source = torch.ones(floats)
    target = torch.empty_like(source)
    repeats = max(1, 2**24 // floats)

    def copy() -> None:
        for _ in range(repeats):
            target.copy_(source)

    copy()
    return 2 * 4 * floats * repeats / min(timed(copy)[0] for _ in range(5))


# 1. The machine's own limits


def limits() -> None:
    """Measure large products and a copy."""
    for threads in sorted({1, torch.get_num_threads()}):
        with threads_at(threads):
            for kind in ("float32", "float64", "bfloat16"):
                rates = [product_rate(2048, getattr(torch, kind), repeats=2) for _ in range(3)]
                report(
                    "limit",
                    f"{kind} products, {threads} thread(s)",
                    np.array(rates) / 1e9,
                    "GFLOP/s",
                )
            report("limit", f"copy in memory, {threads} thread(s)", copy_rate() / 1e9, "GB/s")
            if threads == 1:
                report("limit", "copy in cache, 1 thread(s)", copy_rate(2**15) / 1e9, "GB/s")


class threads_at:
    """PyTorch's threads for a while."""

    def __init__(self, threads: int):
        self.threads, self.before = threads, torch.get_num_threads()

    def __enter__(self):
        torch.set_num_threads(self.threads)

    def __exit__(self, *_):
        torch.set_num_threads(self.before)


# 2. Training


def training(name: str, examples: int = 25_600, repeats: int = 5) -> None:
    """Measure the share of the float32 limit that training reaches, on one thread."""
    data = load_data(name)
    x, y = data.x_train[:examples], data.y_train[:examples]
    hidden = MAIN[name]["hidden"]
    operations = training_operations((data.n_inputs, *hidden, data.n_classes), len(x), 1)
    ways = {
        "alone": (0, torch.float32),
        "in a population of 4": (range(4), torch.float32),
        "alone, bfloat16 products": (0, torch.bfloat16),
    }
    wanted = {"alone": {"mnist": ">= 0.60", "cifar10": ">= 0.45"}[name]}
    with threads_at(1):
        train(x[:1000], y[:1000], hidden, 0, epochs=1, n_classes=data.n_classes)
        for way, (seeds, products) in ways.items():
            count = 1 if seeds == 0 else len(seeds)
            shares = []
            for _ in range(repeats if count == 1 else 2):
                before = product_rate(1024, repeats=5)
                seconds, _ = timed(
                    lambda s=seeds, p=products: train(
                        x, y, hidden, s, epochs=1, n_classes=data.n_classes, products=p
                    )
                )
                rate = (before + product_rate(1024, repeats=5)) / 2
                shares.append(count * operations / seconds / rate)
            report(
                "training", f"{name}, {way}", shares, "of the float32 limit", wanted.get(way, "")
            )
        shares = []
        for _ in range(repeats):
            rate = product_rate(1024, repeats=5)
            seconds, _ = timed(
                lambda: training_calls((data.n_inputs, *hidden, data.n_classes), 200)
            )
            done = training_operations((data.n_inputs, *hidden, data.n_classes), 200 * 128, 1)
            shares.append(done / seconds / rate)
        report("training", f"{name}, the libraries' calls alone", shares, "of the float32 limit")


def training_calls(widths: tuple[int, ...], steps: int, batch: int = 128) -> None:
    """Do what the libraries do in training, with nothing around it: products and Adam's step.

    The products are those of `training_operations`, on one batch that stays where it is.
    """
    shapes = list(itertools.pairwise(widths))
    inputs = [torch.rand(batch, p) for p in widths]
    weights = [torch.rand(q, p, requires_grad=True) for p, q in shapes]
    adam = torch.optim.Adam(weights, fused=True)
    with torch.no_grad():
        for _ in range(steps):
            for d, weight in enumerate(weights):
                product(inputs[d], weight.mT)
                weight.grad = product(inputs[d + 1].mT, inputs[d])
                if d:
                    product(inputs[d + 1], weight)
            adam.step()


# 3. One pair, and its floor


def parents(name: str) -> tuple[Network, Network, torch.Tensor, torch.Tensor]:
    """Return parents of Section 5.1 after one epoch, and the validation examples."""
    data = load_data(name)
    hidden = MAIN[name]["hidden"]
    a, b = (
        train(data.x_train, data.y_train, hidden, seed, epochs=1, n_classes=data.n_classes)
        for seed in (0, 1)
    )
    return a, b, *data.split("validation")


def pair(name: str, a: Network, b: Network, x, y, repeats: int = 5) -> None:
    """Measure one pair with five operators, on one thread, over its floor."""
    operators = [sc_cca(name) if op == "sc-cca" else op for op in FIVE]

    def whole() -> dict[str, float]:
        seconds = {}
        seconds["first layer"], first = timed(lambda: FirstLayer(a, b, x))
        seconds["activations"], layers = timed(first.layers)
        pairs = [LayerPair(la, lb) for la, lb in zip(*layers, strict=True)][:-1]
        seconds["correlations"], _ = timed(lambda: [p.between for p in pairs])
        seconds["covariances and eigenvectors"], _ = timed(lambda: [p.bases(True) for p in pairs])
        for operator in operators:
            kind, options = parse_operator(operator)
            seconds[f"align {operator}"], alignment = timed(
                lambda k=kind, o=options: align_layers(a, b, pairs, k, **o)
            )
            seconds[f"curve {operator}"], _ = timed(
                lambda al=alignment: crossover_curve(a, b, x, y, alignment=al, first=first)
            )
        return seconds

    with threads_at(1):
        whole()
        calls = library_calls(a, b, x, y, len(operators))
        over, above_calls, steps, alone = [], [], [], []
        for _ in range(repeats):
            floor = pair_floor(a, len(x), len(operators))
            alone.append({step: timed(work)[0] for step, work in calls.items()})
            steps.append(whole())
            over.append(sum(steps[-1].values()) / floor)
            above_calls.append(sum(steps[-1].values()) / sum(alone[-1].values()))
    report("pair", f"{name}, five operators", over, "times its floor", "<= 2")
    report(
        "pair", f"{name}, five operators, against the libraries' calls alone", above_calls, "times"
    )
    for step in steps[0]:
        report("pair", f"{name}, {step}", [s[step] for s in steps], "s")
    for step in calls:
        report("calls", f"{name}, {step}", [s[step] for s in alone], "s")


def library_calls(a: Network, b: Network, x, y, operators: int) -> dict[str, Callable]:
    """Return what the libraries compute for a pair, with nothing around it: what takes the rest.

    The floor counts operations and bytes at the machine's best rate. These are the same
    operations as the libraries do them at the sizes at hand: products of narrow layers, LAPACK's
    eigenvectors, one pass over memory for each elementwise function.
    """
    hidden, (n, _) = a.widths[1:-1], x.shape
    views = [[la.double() for la in theta.layers(x)[:-1]] for theta in (a, b)]
    square = [torch.mm(la.mT, la) for la in views[0]]
    weights, n_points = a.weights[1:], operators * len(GRID)
    size = max(1, 2**20 // max(hidden))
    first = [product(theta.weights[0].mT, x.mT) for theta in (a, b)]
    true = y.unsqueeze(-1)

    def curves() -> None:
        logits = x.new_empty(n_points, n, a.widths[-1])
        for start in range(0, n, size):
            za, zb = (z[:, start : start + size] for z in first)
            for i in range(n_points):
                z = torch.lerp(za, zb, 0.5)
                for weight in weights:
                    z = product(weight.mT, z.relu_())
                logits[i, start : start + size] = z.mT
        for chunk in logits.split(len(GRID)):
            chunk.logsumexp(-1).sub_(chunk.gather(-1, true.expand(len(chunk), -1, 1)).squeeze(-1))
            chunk.argmax(-1)

    return {
        "float32 products of both parents": lambda: [theta.layers(x) for theta in (a, b)],
        "float64 products of all pairs of neurons": lambda: [
            torch.mm(u.mT, v)
            for la, lb in zip(*views, strict=True)
            for u, v in ((la, la), (la, lb), (lb, lb))
        ],
        "eigenvectors and singular vectors": lambda: [
            call(m) for m in square for call in (torch.linalg.eigh, torch.linalg.eigh, _svd)
        ],
        "curves": curves,
    }


def _svd(matrix: torch.Tensor):
    return torch.linalg.svd(matrix, full_matrices=False)


def pair_floor(a: Network, n: int, operators: int) -> float:
    """Return the seconds of the operations and bytes that a pair cannot avoid, at today's limits.

    float32 products: both parents forward, and at each t of each operator the layers above the
    first. float64: the three correlation matrices (the symmetric ones by half), the eigenvectors
    of two (14/3 p^3 each for reduction, divide and conquer, back-transformation) and one product
    of singular vectors and weights. Bytes: each operator reads both first layers from memory once;
    at each t, in cache, a mixture of both is made and written, cut off at 0, and read again.
    """
    hidden = a.widths[1:-1]
    layers = list(itertools.pairwise(a.widths))
    points = operators * len(GRID)
    single = (
        2 * n * (2 * sum(p * q for p, q in layers) + points * sum(p * q for p, q in layers[1:]))
    )
    double = sum(4 * n * p * p + (2 * 14 / 3 + 6) * p**3 for p in hidden)
    seconds = single / product_rate(1024, repeats=5)
    seconds += double / product_rate(1024, torch.float64, repeats=5)
    seconds += operators * 2 * n * hidden[0] * 4 / copy_rate()
    return seconds + points * n * hidden[0] * 4 * 6 / copy_rate(2**15)


def curve(name: str, a: Network, b: Network, x, y, repeats: int = 3) -> None:
    """Measure the curve against full forward passes."""
    ratios = []
    with threads_at(1):
        crossover_curve(a, b, x, y)
        for _ in range(repeats):
            ours, found = timed(lambda: crossover_curve(a, b, x, y))
            theirs, expected = timed(
                lambda: [float(evaluate(interpolate(a, b, t), x, y)[0]) for t in GRID]
            )
            np.testing.assert_allclose(found.loss, expected, rtol=1e-5)
            ratios.append(theirs / ours)
    what = f"{name}, curve of {len(GRID)} points against full forward passes"
    report("peers", what, ratios, "times as fast", ">= 6")


# 4. Peers


def peers(a: Network, b: Network, x) -> None:
    """Measure correlations and CCA of a layer's activations against what one would else take."""
    layers = layer_pairs(a, b, x)[0]
    la, lb = layers.la.double().numpy(), layers.lb.double().numpy()
    with threads_at(1), threadpool_limits(1), np.errstate(invalid="ignore", divide="ignore"):
        loop, expected = timed(
            lambda: np.array([[np.corrcoef(u, v)[0, 1] for v in lb.T] for u in la.T])
        )
        loops, once = [], []
        for _ in range(5):
            ours, found = timed(lambda: correlation(layers.la, layers.lb))
            loops.append(loop / ours)
            theirs, whole = timed(lambda: np.corrcoef(la, lb, rowvar=False))
            once.append(theirs / ours)
    np.testing.assert_allclose(found.numpy(), np.nan_to_num(expected), atol=1e-10)
    block = whole[: la.shape[1], la.shape[1] :]
    np.testing.assert_allclose(found.numpy(), np.nan_to_num(block), atol=1e-10)
    p = la.shape[1]
    report("peers", f"{p} x {p} correlations against numpy.corrcoef in a double loop", loops,
           "times as fast", ">= 100")  # fmt: skip
    report("peers", f"{p} x {p} correlations against numpy.corrcoef once", once, "times as fast")


def cca_peers(a: Network, b: Network, x, directions: int = 256, components: int = 4) -> None:
    """Measure SVCCA, from the activations on, against scikit-learn's PCA and libraries' CCA."""
    la, lb = (layer.double().numpy() for layer in (layer_pairs(a, b, x)[0].la,
                                                   layer_pairs(a, b, x)[0].lb))  # fmt: skip

    def principal_directions() -> list[np.ndarray]:
        scaled = (StandardScaler().fit_transform(layer) for layer in (la, lb))
        return [PCA(directions).fit_transform(layer) for layer in scaled]

    with threads_at(1), threadpool_limits(1), warnings.catch_warnings():
        warnings.simplefilter("ignore")  # scikit-learn says where it has not converged
        ours, result = zip(*(timed(lambda: cca(la, lb, directions=directions)) for _ in range(5)),
                           strict=True)  # fmt: skip
        before, scores = timed(principal_directions)
        by_svd, fitted = timed(lambda: CanCorr(*scores))
        np.testing.assert_allclose(fitted.cancorr, result[0].correlations, atol=1e-4)
        what = f"SVCCA-{directions} against scikit-learn's PCA and statsmodels' CCA by SVD"
        report("peers", what,
               [(before + by_svd) / s for s in ours], "times as fast")  # fmt: skip
        # At its default tolerance of 1e-6 its correlations are off by 5e-4.
        model = SklearnCCA(n_components=components, max_iter=5000, tol=1e-9)
        try:
            by_power, fitted = timed(lambda: model.fit(*scores))
        except np.linalg.LinAlgError as error:  # seen on one kind of processor, not on another
            _failed.append(f"scikit-learn's CCA gave up: {error}")
            print(f"peers: {_failed[-1]}")
            return
        pairs = zip(*(s.T for s in fitted.transform(*scores)), strict=True)
        found = sorted((np.corrcoef(u, v)[0, 1] for u, v in pairs), reverse=True)
    np.testing.assert_allclose(found, result[0].correlations[:components], atol=1e-4)
    what = f"SVCCA-{directions} against scikit-learn's PCA and the first {components} of its CCA"
    report("peers", what, [(before + by_power) / s for s in ours], "times as fast", ">= 100")


# 5. Growth


def growth() -> list[dict]:
    """Measure the steps over examples, neurons and directions, and aligning over the depth."""
    with threads_at(1):
        costs = measure_costs([1250, 2500, 5000, 10_000], [512], [512], repeats=2)
        wide = measure_costs([4096], [512, 1024, 2048], [256], repeats=1)
        costs = pd.concat([costs, wide]).to_dict("records")
        for depth in (1, 2, 5, 10):
            a, b = (initialise((100, *(100,) * depth, 10), seed) for seed in (0, 1))
            x = torch.rand(5000, 100, generator=torch.Generator().manual_seed(0))
            y = torch.arange(5000) % 10

            def whole(a=a, b=b, x=x, y=y):
                pairs, first = layer_pairs(a, b, x), FirstLayer(a, b, x)
                for operator in FIVE:
                    alignment = align_layers(a, b, pairs, operator)
                    crossover_curve(a, b, x, y, alignment=alignment, first=first)

            seconds = min(timed(whole)[0] for _ in range(3))
            costs.append({"step": "one pair, width 100", "varied": "depth", "depth": depth,
                          "seconds": seconds})  # fmt: skip
    return costs


def run_alone(dataset: str, pairs: int, workers: int, *words: str) -> dict:
    """Run the command line in processes of its own; return what its manifest says of it."""
    with tempfile.TemporaryDirectory() as folder:
        command = [sys.executable, "-m", "safecross", "run", dataset, "--pairs", str(pairs)]
        command += ["--workers", str(workers), *words]
        subprocess.run(command, check=True, capture_output=True, text=True,
                       env=os.environ | {"SAFECROSS_RUNS": folder})  # fmt: skip
        files = {path: path.stat().st_size for path in Path(folder).rglob("*") if path.is_file()}
        (path,) = Path(folder).glob("records/*/manifest.json")
        manifest = json.loads(path.read_text())
    (session,) = manifest["sessions"]
    return {
        "pairs": pairs,
        "workers": workers,
        "seconds": session["wall_seconds"],
        "peak_memory_bytes": session["peak_memory_bytes"],
        "bytes_on_disk": sum(files.values()),
        "curves_sha256": manifest["files"]["curves.parquet"],
    }


def pairs_growth(counts=(1, 10, 100)) -> list[dict]:
    """Measure runs of the embedded data over the number of pairs: time, memory and files."""
    found = [run_alone("mnist5k", count, 2, "--epochs", "5") for count in counts]
    print(f"pairs: {found}")
    return found


def wide(p: int, n: int) -> None:
    """Align two layers of p neurons on n examples by every operator; print what it took."""
    generator = torch.Generator().manual_seed(0)
    # A layer of its own on top of shared features, so that neurons correlate.
    x = torch.randn(n, 64, generator=generator)
    a, b = (initialise((64, p, 10), seed) for seed in (0, 1))
    before = peak_memory()
    pairs = layer_pairs(a, b, x)
    seconds = {}
    for operator in OPERATORS:
        seconds[operator], _ = timed(lambda o=operator: align_layers(a, b, pairs, o))
    peak = peak_memory()
    print(json.dumps({"p": p, "n": n, "seconds": seconds, "process_bytes": peak,
                      "taken_bytes": peak - before,
                      "announced_bytes": alignment_memory(n, p)}))  # fmt: skip


def wide_layers(sizes=(1024, 2048, 4096), n: int = 10_000) -> list[dict]:
    """Measure `wide` in processes of their own."""
    found = []
    for p in sizes:
        words = [sys.executable, "-m", "benchmarks", "--wide", str(p), str(n)]
        lines = subprocess.run(words, check=True, capture_output=True, text=True).stdout
        found.append(json.loads(lines.splitlines()[-1]))
        print(f"wide layers: {found[-1]}")
    return found


def modules(examples: int = 5_000) -> None:
    """Trace ResNet-50 and align two ResNet-18 on images of 32 x 32; print what it took."""
    models_of = import_torchvision().models
    build = {name: getattr(models_of, name) for name in ("resnet50", "resnet18")}
    seconds = {}
    large = build["resnet50"](weights=None).eval()
    seconds["trace of resnet50"], spec = timed(lambda: trace(large, torch.rand(2, 3, 224, 224)))
    models = []
    for seed in (0, 1):
        torch.manual_seed(seed)
        models.append(build["resnet18"](weights=None, num_classes=10).eval())
    images = torch.rand(examples, 3, 32, 32)
    seconds["trace and alignment of two resnet18"], _ = timed(
        lambda: align(models[1], to=models[0], x=images, spec=trace(models[0], images[:2]))
    )
    print(json.dumps({"seconds": seconds, "groups of resnet50": len(spec.groups),
                      "examples": examples, "process_bytes": peak_memory()}))  # fmt: skip


def modules_alone(repeats: int = 3) -> dict:
    """Measure `modules` in processes of its own, with all threads."""
    words = [sys.executable, "-m", "benchmarks", "--modules"]
    found = []
    for _ in range(repeats):
        lines = subprocess.run(words, check=True, capture_output=True, text=True).stdout
        found.append(json.loads(lines.splitlines()[-1]))
    wanted = {"trace of resnet50": "<= 5", "trace and alignment of two resnet18": "<= 60"}
    for what in wanted:
        report("modules", what, [row["seconds"][what] for row in found], "s", wanted[what])
    taken = [row["process_bytes"] / 2**30 for row in found]
    report("modules", "memory of that process at its peak", taken, "GiB", "<= 2")
    return found[-1]


# 6. Workers, and bfloat16


def workers(counts=(1, 2, 4), pairs: int = 8) -> list[dict]:
    """Measure a run of MNIST after one epoch with several numbers of workers."""
    found = [run_alone("mnist", pairs, count, "--epochs", "1") for count in counts]
    assert len({row["curves_sha256"] for row in found}) == 1, "workers change the numbers"
    print(f"workers: {found}")
    return found


def scheduler(tasks: int = 1000) -> dict:
    """Measure what an empty task costs a Dask scheduler with two worker processes."""
    with LocalCluster(n_workers=2, threads_per_worker=1, dashboard_address=":0") as cluster:
        with Client(cluster) as client:
            client.gather(client.map(abs, range(100), pure=False))
            seconds, _ = timed(lambda: client.gather(client.map(abs, range(tasks), pure=False)))
    return {"tasks": tasks, "seconds_a_task": seconds / tasks}


def bfloat16(pairs: int = 2) -> list[dict]:
    """Measure what bfloat16 products do to the parents and to the curves."""
    found = []
    for name in ("mnist", "cifar10"):
        records = {}
        for products in ("float32", "bfloat16"):
            with tempfile.TemporaryDirectory() as folder:
                config = main_config(name, pairs, products=products)
                records[products] = run(config, folder=Path(folder))
        for what in ("parents", *records["float32"].config.operators):
            row = {"dataset": name, "what": what, "pairs": pairs}
            for products, record in records.items():
                for column in ("loss", "accuracy"):
                    values = (
                        record.pairs[[f"{column}_a", f"{column}_b"]].to_numpy()
                        if what == "parents"
                        else record.at(0.5, column)[what].to_numpy()
                    )
                    row[f"{column}_{products}"] = float(values.mean())
            found.append(row)
        seconds = [
            r.timings.query("step in ('train a', 'train b')")["seconds"].sum()
            for r in records.values()
        ]
        report("training", f"{name}, bfloat16 against float32 products", seconds[0] / seconds[1],
               "times as fast")  # fmt: skip
    return found


def main() -> None:
    """Run all benchmarks, print them and write the JSON."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("--output", type=Path, default=committed_folder() / "benchmark.json")
    parser.add_argument("--wide", nargs=2, type=int, metavar=("P", "N"), help="only this, alone")
    parser.add_argument("--modules", action="store_true", help="only modules, alone")
    options = parser.parse_args()
    if options.wide:
        wide(*options.wide)
        return
    if options.modules:
        modules()
        return
    os.environ.setdefault("SAFECROSS_PROGRESS", "0")
    start = time.time()
    limits()
    for name in ("mnist", "cifar10"):
        training(name)
        a, b, x, y = parents(name)
        pair(name, a, b, x, y)
        curve(name, a, b, x, y)
        if name == "mnist":
            peers(a, b, x)
            cca_peers(a, b, x)
    costs, pairs_, wide_ = growth(), pairs_growth(), wide_layers()
    costs += [{"step": "a run of the embedded data", "varied": "pairs"} | row for row in pairs_]
    costs += [
        {"step": "every operator on one layer, 10,000 examples", "varied": "p", "p": row["p"],
         "seconds": sum(row["seconds"].values())}
        for row in wide_
    ]  # fmt: skip
    content = {
        "rows": _rows,
        "failed": _failed,
        "costs": costs,
        "pairs": pairs_,
        "wide": wide_,
        "modules": modules_alone(),
        "workers": workers(),
        "scheduler": scheduler(),
        "bfloat16": bfloat16(),
        "machine": machine_name(),
        "packages": {
            n: version(n)
            for n in ("torch", "numpy", "scipy", "scikit-learn", "statsmodels", "distributed")
        },
        "finished": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
    }
    content["wall_seconds"] = round(time.time() - start, 1)
    save_json(options.output, content)
    print(f"{content['wall_seconds']} s; wrote {options.output}")


if __name__ == "__main__":
    main()
