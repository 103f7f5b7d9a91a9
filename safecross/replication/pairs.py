"""The paper's experiment: pairs of ReLU networks, aligned and crossed over (Section 5)."""

import functools
import math
import time
from collections.abc import Sequence
from pathlib import Path

import torch

from ..alignment.activations import activations
from ..alignment.cca import bartlett_test, cca_of_pair
from ..alignment.correlation import LayerPair
from ..alignment.matching import match_one_to_one
from ..alignment.operators import align_layers, get_operator
from ..alignment.spelling import parse_operator, split_after
from ..crossover.curve import FirstLayer, crossover_curve
from ..crossover.repair import repaired_curve
from ..data import Dataset, load_data
from ..networks.metrics import accuracy, cross_entropy
from ..networks.network import Network, load_network
from ..networks.training import train
from ..runs.config import network_seed
from ..runs.experiment import Results, kind_of_device, register
from ..runs.pairs import Clock, PairExperiment
from .config import Config
from .memory import pair_memory

__all__ = ["Pairs", "train_parents"]

#: Correlation above which Section 5.2.2 counts a pair of neurons.
THRESHOLD = 0.7


@register
class Pairs(PairExperiment):
    """Pairs of ReLU networks of one config."""

    kind = "pairs"
    config_type = Config

    def train(self, networks, device="cpu", together=False):
        """Return some of the parents, as `train_parents` does."""
        return train_parents(self.config, networks, device, together)

    def save_parent(self, parent: Network, path: Path, about: dict) -> None:
        """Write a parent."""
        parent.save(path, about)

    def load_parent(self, path: Path) -> Network:
        """Return a parent."""
        return load_network(path)

    def measure(self, parent_a: Network, parent_b: Network) -> Results:
        """Return everything that the record holds of a pair."""
        return _measure(self.config, parent_a, parent_b)

    def about(self, units: Sequence[dict]) -> dict:
        """Return the numbers of examples and the widths of the networks."""
        ends = (int(units[0][name]) for name in ("n_inputs", "n_classes"))
        inputs, classes = ends
        return {**super().about(units), "widths": [inputs, *self.config.hidden, classes]}

    def memory(self, device: str = "cpu", together: int = 1) -> int:
        """Return the bytes that a process needs; known data are not read."""
        n_train, n_test, shape, n_classes = self.sizes()
        trained = together if kind_of_device(device) == "cpu" else 0
        widths = (math.prod(shape), *self.config.hidden, n_classes)
        return pair_memory(self.config, widths, n_train, n_test, trained)

    def explodes(self, operator: str) -> bool:
        """Return whether an operator repeats neurons, so that offspring are far from parents."""
        return not get_operator(parse_operator(split_after(operator)[0])[0]).preserves_function

    def scale(self, layer: int, statistic: str) -> float:
        """Return the layer's width, since statistics count neurons; 1 for a mean correlation."""
        return 1 if statistic.startswith("mean ") else self.config.hidden[layer - 1]


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


def _measure(config: Config, theta_a: Network, theta_b: Network) -> Results:
    """Return everything the record holds of one pair, as float64 tensors by name."""
    data = _data(config.dataset, config.inputs)
    x, y = data.split("validation")
    batch, labels = data.split("train") if config.align_split == "train" else (x, y)
    if config.align_split == "held-out":
        cut = config.align_n or len(x) // 2
        batch, labels, x, y = x[:cut], y[:cut], x[cut:], y[cut:]
    if config.align_n is not None:
        if config.align_n > len(batch):
            raise ValueError(f"align_n must be at most {len(batch)}; found {config.align_n}")
        batch, labels = batch[: config.align_n], labels[: config.align_n]
    if not len(x):
        raise ValueError("align_n leaves no validation example to measure the loss on")
    if not config.output_bias:
        theta_a, theta_b = _without_output_bias(theta_a), _without_output_bias(theta_b)
    clock = Clock()
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
    kinds = [parse_operator(split_after(operator)[0]) for operator in config.operators]
    scales = {options.get("standardise", True) for name, options in kinds if name == "sc-cca"}
    # What both need, the correlations within, counts for the standardised one of the paper.
    for standardise in sorted(scales, reverse=True):
        with clock(f"covariances and eigenvectors{'' if standardise else ', only centred'}"):
            for pair in pairs:
                pair.bases(standardise)
    for i, (operator, (name, options)) in enumerate(zip(config.operators, kinds, strict=True)):
        with clock(f"align {operator}"):
            alignment = align_layers(theta_a, theta_b, pairs, name, x=batch, y=labels, **options)
        with clock(f"curve {operator}"):
            if split_after(operator)[1]:
                parents = alignment.apply(theta_a, theta_b)
                curve = repaired_curve(*parents, batch, x, y, config.t, config.softmax)
            else:
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


@functools.lru_cache(maxsize=1)
def _training_data(data: Dataset, device: str) -> tuple[torch.Tensor, torch.Tensor]:
    x, y = data.split("train")
    return x.to(device), y.to(device)


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
        name, options = parse_operator(split_after(operator)[0])
        if name != "sc-cca" or options.get("ridge") or split_after(operator)[1]:
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
