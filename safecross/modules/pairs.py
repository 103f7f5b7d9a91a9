"""The paper's experiment on modules: pairs of trained convolutional networks and others."""

import functools
import time
from pathlib import Path
from typing import ClassVar

import pandas as pd
import torch
from torch import nn

from .. import store
from ..alignment.correlation import LayerPair
from ..alignment.matching import match_one_to_one
from ..alignment.operators import get_operator
from ..alignment.spelling import parse_operator, split_after
from ..crossover.curve import Curve
from ..data import Dataset, load_data
from ..networks.spec import Spec
from ..runs.config import network_seed
from ..runs.experiment import Results, kind_of_device, register
from ..runs.pairs import Clock, PairExperiment
from .align import align_groups, group_pairs
from .architectures import build
from .config import REESTIMATED, ModuleConfig
from .interpolate import crossover_curve, evaluate, load_state
from .maps import Move, fill
from .trace import trace
from .training import train

__all__ = ["ModulePairs", "images", "layers"]

#: Correlation above which Section 5.2.2 counts a pair of neurons.
THRESHOLD = 0.7

#: Where the barrier on training examples, and that of single layers, is measured.
ENDS = (0.0, 0.5, 1.0)


@register
class ModulePairs(PairExperiment):
    """Pairs of modules of one config.

    Its tables are those of other pairs, and two more: ``train``, the curve at 0, .5 and 1 on the
    first training examples; ``layers``, the loss of network a with one layer alone crossed over at
    t = .5.
    """

    kind = "modules"
    config_type = ModuleConfig
    separator = "|"
    layer_type = str
    schema: ClassVar = {
        **PairExperiment.schema,
        "train": ("pair", "operator", "t", "loss", "accuracy"),
        "layers": ("pair", "operator", "layer", "loss", "accuracy"),
    }

    def train(self, networks, device="cpu", together=False):
        """Return some of the parents, each with its seconds of training."""
        config = self.config
        (x, y), _ = images(config.dataset)
        found = []
        for seed in (network_seed(config, network) for network in networks):
            start = time.perf_counter()
            model = train(
                self._new(seed),
                x,
                y,
                seed,
                epochs=config.epochs,
                batch_size=config.batch_size,
                learning_rate=config.learning_rate,
                weight_decay=config.weight_decay,
                optimiser=config.optimiser,
                products=getattr(torch, config.products),
                augment=config.augment,
            )
            found.append((model, time.perf_counter() - start))
        return found

    def _new(self, seed: int = 0) -> nn.Module:
        _, _, shape, n_classes = self.sizes()
        return build(self.config.architecture, _channels_first(shape), n_classes, seed)

    def save_parent(self, parent: nn.Module, path: Path, about: dict) -> None:
        """Write a parent's state."""
        state = {name: value.contiguous() for name, value in parent.state_dict().items()}
        store.save_tensors(path, state, about)

    def load_parent(self, path: Path) -> nn.Module:
        """Return a parent."""
        return load_state(self._new(), path).eval()

    def memory(self, device: str = "cpu", together: int = 1) -> int:
        """Return about how many bytes a process needs: data, batches and statistics."""
        n_train, n_test, shape, _ = self.sizes()
        pixels = (n_train + n_test) * shape[0] * shape[1] * (shape[2:] or (1,))[0]
        training = 2**30 if kind_of_device(device) == "cpu" else 2**28
        return 2**30 + 3 * 4 * pixels + training

    def explodes(self, operator: str) -> bool:
        """Return whether an operator repeats neurons."""
        return not get_operator(parse_operator(split_after(operator)[0])[0]).one_to_one

    def measure(self, parent_a: nn.Module, parent_b: nn.Module) -> Results:
        """Return everything that the record holds of a pair."""
        config = self.config
        (x, y), test = images(config.dataset)
        data = (x[: config.measure_n], y[: config.measure_n]), test, x[: config.estimate_n]
        models = [m.to(memory_format=torch.channels_last) for m in (parent_a, parent_b)]
        clock = Clock()
        with clock("trace"):
            spec = trace(parent_a, x[:2])
        with clock("activations and correlations"):
            pairs = group_pairs(*models, x[: config.align_n], spec)
        results = {}
        for i, operator in enumerate(config.operators):
            with clock(f"align {operator}"):
                seen = x[: config.align_n], y[: config.align_n]
                move = self._move(models, pairs, spec, operator, *seen)
            with clock(f"curve {operator}"):
                curves = self._curves(models, move, operator, data)
            for name, curve in curves.items():
                results[f"{name}loss.{i}"] = torch.from_numpy(curve.loss)
                results[f"{name}accuracy.{i}"] = torch.from_numpy(curve.accuracy)
        results["parents"] = torch.tensor([evaluate(model, *test) for model in models])
        for group, pair in pairs.items():
            for name, value in _statistics(pair).items():
                results[f"statistic.{group}|{name}"] = torch.tensor(value, dtype=torch.float64)
        for step, seconds in clock.seconds.items():
            results[f"seconds.{step}"] = torch.tensor(seconds, dtype=torch.float64)
        return results

    def _move(
        self, models, pairs: dict[str, LayerPair], spec: Spec, operator: str, x, y
    ) -> Move | None:
        name, options = parse_operator(split_after(operator)[0])
        model_a, model_b = models
        return align_groups(model_b, model_a, pairs, spec, name, x=x, y=y, **options)

    def _curves(self, models, move: Move, operator: str, data) -> dict[str, Curve]:
        """Return the curve on the test examples, that on the training ones, and each layer's."""
        model_a, model_b = models
        seen, test, estimate = data
        anew = {"data": estimate} if operator.endswith(REESTIMATED) else {}
        options = {"alignment": move, **anew}
        found = {
            "": crossover_curve(model_a, model_b, *test, t=self.config.t, **options),
            "train.": crossover_curve(model_a, model_b, *seen, t=ENDS, **options),
        }
        moved = move(model_b)
        start = move.reference(model_a) if move.reference else model_a
        for layer, names in layers(model_a).items():
            state = start.state_dict()
            state |= {name: moved.state_dict()[name] for name in names}
            other = fill(self._new().to(memory_format=torch.channels_last), state)
            found[f"layer.{layer}|"] = crossover_curve(start, other, *seen, t=[0.5], **anew)
        return found

    def scale(self, layer: str, statistic: str) -> float:
        """Return 1: statistics of modules are shares."""
        return 1.0

    def rows(self, table: str) -> int | None:
        """Return how many rows a table has; None where it depends on what was measured."""
        if table == "train":
            return self.n_units * len(self.config.operators) * len(ENDS)
        return super().rows(table)

    def tables(self, results) -> dict[str, pd.DataFrame]:
        """Return the record's tables."""
        train, single = [], []
        every = list(layers(self._new()))

        def watched():
            for pair, result in results:
                for i, operator in enumerate(self.config.operators):
                    kept = (result[f"train.{what}.{i}"] for what in ("loss", "accuracy"))
                    train.extend((pair, operator, *row) for row in zip(ENDS, *kept, strict=True))
                    for layer in every:
                        kept = (result[f"layer.{layer}|{w}.{i}"] for w in ("loss", "accuracy"))
                        single.append((pair, operator, layer, *map(float, kept)))
                yield pair, result

        found = super().tables(watched())
        for name, rows in (("train", train), ("layers", single)):
            table = pd.DataFrame(rows, columns=self.schema[name])
            found[name] = table.astype({"loss": "float32", "accuracy": "float32"})
        return found

    def differences(self, record, unit, again):
        """Return what differs between a pair of a record and its results computed again."""
        found = super().differences(record, unit, again)
        for i, operator in enumerate(self.config.operators):
            rows = record.tables["train"].query("pair == @unit and operator == @operator")
            kept = rows["accuracy"].to_numpy(float)
            apart = abs(kept - again[f"train.accuracy.{i}"].numpy()).max()
            found.append((operator, "accuracy on training examples", apart, False))
        return found


def _statistics(pair: LayerPair) -> dict[str, float]:
    """Return shares of a group's neurons, as Section 5.2.2 counts them."""
    between = pair.between.numpy()
    matched = match_one_to_one(between)
    best = between[matched.la, matched.lb]
    return {
        "dead neurons of a": float((pair.scale_a == 0).double().mean()),
        "dead neurons of b": float((pair.scale_b == 0).double().mean()),
        "matched pairs above 0.7": float((best > THRESHOLD).mean()),
        "mean correlation of matched pairs": float(best.mean()),
    }


def layers(model: nn.Module) -> dict[str, list[str]]:
    """Return the tensors of each layer: a weight of two dimensions or more, and what follows it.

    Parameters
    ----------
    model : torch.nn.Module
        Its state is read in its own order, so that a norm belongs to the layer before it.

    Returns
    -------
    dict of str to list of str
        Names of tensors by the name of the layer's weight.

    Examples
    --------
    >>> layers(nn.Sequential(nn.Linear(2, 3), nn.LayerNorm(3), nn.Linear(3, 1)))
    {'0': ['0.weight', '0.bias', '1.weight', '1.bias'], '2': ['2.weight', '2.bias']}
    """
    found: dict[str, list[str]] = {}
    before: list[str] = []
    for name, tensor in model.state_dict().items():
        if tensor.ndim >= 2:
            found[name.removesuffix(".weight")] = before = [*before] if not found else []
        before.append(name)
    return found


def images(dataset: str) -> tuple[tuple, tuple]:
    """Return both splits of a data set as images for modules.

    Parameters
    ----------
    dataset : str
        A known data set's name, or the path of an ``.npz`` of one's own.

    Returns
    -------
    train, test : tuple of (x, y)
        x of shape (n, channels, height, width), shifted and scaled by the mean and the deviation
        of all training pixels; y the labels.

    Raises
    ------
    ValueError
        If the examples are no images.
    """
    return _images(load_data(dataset))


@functools.lru_cache(maxsize=1)
def _images(data: Dataset) -> tuple[tuple, tuple]:
    shape = _channels_first(data.image_shape)
    mean, deviation = data.x_train.mean(), data.x_train.std()
    found = []
    for x, y in (data.split("train"), data.split("validation")):
        pixels = ((x - mean) / deviation).view(len(x), *shape[1:], shape[0]).permute(0, 3, 1, 2)
        found.append((pixels.contiguous(memory_format=torch.channels_last), y))
    return tuple(found)


def _channels_first(shape: tuple[int, ...]) -> tuple[int, int, int]:
    if len(shape) not in (2, 3):
        raise ValueError(f"expected images, height x width (x channels); found shape {shape}")
    return (shape[2] if len(shape) == 3 else 1, *shape[:2])
