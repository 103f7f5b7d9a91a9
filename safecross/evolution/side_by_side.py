"""Networks that are trained side by side, each in an order of its own, and brought together."""

from collections.abc import Sequence
from typing import Protocol

import numpy as np
import torch
from torch import nn

from ..data import load_data
from ..modules import align, average, evaluate, interpolate, trace
from ..modules.architectures import build
from ..modules.batches import batches
from ..modules.maps import fill
from ..modules.pairs import images
from ..modules.training import epochs_of
from ..networks.metrics import accuracy, cross_entropy
from ..networks.network import Network, initialise
from ..networks.training import Trainer
from .population import align_population, mean, repaired_mean

__all__ = ["Chains", "Modules", "SideBySide"]


class SideBySide(Protocol):
    """What an experiment on averaging asks of networks in training."""

    def epoch(self, number: int) -> None:
        """Train all for one epoch."""

    def accuracy(self) -> float:
        """Return the mean of the members' accuracies on the first test examples."""

    def align(self) -> float:
        """Bring all into the first one's frame; return the share of neurons that moved."""

    def gather(self) -> None:
        """Make all of them their mean, without momentum."""

    def pull(self, share: float) -> None:
        """Move each towards their mean; momentum stays."""

    def of_mean(self) -> tuple[float, float]:
        """Return loss and accuracy of their mean."""

    def made(self) -> dict[str, tuple[float, float]]:
        """Return loss and accuracy of all that is made of networks that were trained apart."""


class Chains:
    """Chains of Linear and ReLU, trained together as one population.

    Parameters
    ----------
    config : AveragingConfig
        Which networks, trained how.
    starts, seeds : sequence of int
        Of the initial weights, and of the minibatches; one for each network.
    """

    #: What `made` holds.
    kinds = ("single", "ensemble", "soup", "aligned soup", "aligned and repaired soup")

    def __init__(self, config, starts: Sequence[int], seeds: Sequence[int]):
        data = load_data(config.dataset)
        x, y = (part[: config.train_n] for part in data.split("train"))
        self._test, self._seen = data.split("validation"), x[: config.align_n]
        self._watched = [part[: config.test_n or None] for part in self._test]
        theta = initialise((x.shape[1], *config.hidden, data.n_classes), list(starts))
        self._trainer = Trainer(theta, x, y, seeds, config.batch_size, config.learning_rate)
        self._n = len(seeds)

    @property
    def _theta(self) -> Network:
        return self._trainer.network

    def epoch(self, number: int) -> None:
        """Train all for one epoch."""
        self._trainer.epoch(number)

    def accuracy(self) -> float:
        """Return the mean of the members' accuracies on the first test examples."""
        x, y = self._watched
        return float(accuracy(self._theta(x), y).mean())

    def align(self) -> float:
        """Bring all into the first one's frame; return the share of neurons that moved."""
        found = align_population(self._theta, self._seen)
        self._trainer.replace(found.population)
        return _moved(found.orders)

    def gather(self) -> None:
        """Make all of them their mean, without momentum."""
        one = mean(self._theta)
        self._trainer.replace(
            Network(
                [w.repeat(self._n, 1, 1) for w in one.weights],
                [b.repeat(self._n, 1) for b in one.biases],
            )
        )

    def pull(self, share: float) -> None:
        """Move each towards their mean; momentum stays."""
        theta, centre = self._theta, mean(self._theta)
        self._trainer.shift(
            Network(
                [
                    torch.lerp(w, m, share)
                    for w, m in zip(theta.weights, centre.weights, strict=True)
                ],
                [torch.lerp(b, m, share) for b, m in zip(theta.biases, centre.biases, strict=True)],
            )
        )

    def of_mean(self) -> tuple[float, float]:
        """Return loss and accuracy of their mean."""
        return self._measured(mean(self._theta))

    @torch.no_grad()
    def made(self) -> dict[str, tuple[float, float]]:
        """Return loss and accuracy of all that is made of networks that were trained apart."""
        theta, (x, y) = self._theta, self._test
        aligned = align_population(theta, self._seen).population
        return {
            "soup": self._measured(mean(theta)),
            "aligned soup": self._measured(mean(aligned)),
            "aligned and repaired soup": self._measured(repaired_mean(aligned, self._seen)),
            "single": np.mean([self._measured(theta[i]) for i in range(self._n)], 0),
            "ensemble": _of_logits(theta(x).softmax(-1).mean(0).log(), y),
        }

    @torch.no_grad()
    def _measured(self, network: Network) -> tuple[float, float]:
        x, y = self._test
        return _of_logits(network(x), y)


class Modules:
    """Modules of one architecture, trained in turn, epoch by epoch.

    Every mean has the statistics of its batch norms estimated anew, on the examples that neurons
    are compared on.

    Parameters
    ----------
    config, starts, seeds
        As for `Chains`.
    """

    #: What `made` holds.
    kinds = ("single", "ensemble", "soup", "aligned soup")

    def __init__(self, config, starts: Sequence[int], seeds: Sequence[int]):
        (x, y), self._test = images(config.dataset)
        self._watched = [part[: config.test_n or None] for part in self._test]
        x, y = x[: config.train_n], y[: config.train_n]
        classes = load_data(config.dataset).n_classes
        shape = tuple(x.shape[1:])
        self._seen = x[: config.align_n]
        self._models = [build(config.architecture, shape, classes, start) for start in starts]
        settings = {"batch_size": config.batch_size, "learning_rate": config.learning_rate}
        self._training = [
            epochs_of(model, x, y, seed, config.epochs, **settings)
            for model, seed in zip(self._models, seeds, strict=True)
        ]
        self._spec = trace(self._models[0], self._seen[:2])

    def epoch(self, number: int) -> None:
        """Train all for one epoch."""
        self._optimisers = [next(one) for one in self._training]
        for model in self._models:
            model.eval()

    def accuracy(self) -> float:
        """Return the mean of the members' accuracies on the first test examples."""
        return float(np.mean([evaluate(model, *self._watched)[1] for model in self._models]))

    def align(self) -> float:
        """Bring all into the first one's frame; return the share of neurons that moved."""
        moves = self._moves()
        for model, move in zip(self._models[1:], moves, strict=True):
            fill(model, move(model).state_dict())
        still = [torch.arange(group.size) for group in self._spec.groups.values()]
        orders = [[map_.order for map_ in move.maps.values()] for move in moves]
        layers = zip(still, *orders, strict=True)
        return _moved([torch.stack(layer) for layer in layers])

    def _moves(self) -> list:
        first, *others = self._models
        return [align(model, to=first, x=self._seen, spec=self._spec) for model in others]

    def gather(self) -> None:
        """Make all of them their mean, without momentum."""
        one = average(self._models, self._seen).state_dict()
        for model, optimiser in zip(self._models, self._optimisers, strict=True):
            fill(model, one)
            optimiser.state.clear()

    def pull(self, share: float) -> None:
        """Move each towards their mean; momentum stays."""
        centre = average(self._models)
        for model in self._models:
            fill(model, interpolate(model, centre, share).state_dict())

    def of_mean(self) -> tuple[float, float]:
        """Return loss and accuracy of their mean."""
        return self._measured(average(self._models, self._seen))

    @torch.no_grad()
    def made(self) -> dict[str, tuple[float, float]]:
        """Return loss and accuracy of all that is made of networks that were trained apart."""
        moved = [move(model) for move, model in zip(self._moves(), self._models[1:], strict=True)]
        x, y = self._test
        shares = [
            torch.cat([model(*batch) for batch in batches(x)]).softmax(-1) for model in self._models
        ]
        return {
            "soup": self.of_mean(),
            "aligned soup": self._measured(average([self._models[0], *moved], self._seen)),
            "single": np.mean([self._measured(model) for model in self._models], 0),
            "ensemble": _of_logits(torch.stack(shares).mean(0).log(), y),
        }

    def _measured(self, model: nn.Module) -> tuple[float, float]:
        return evaluate(model, *self._test)


def _moved(orders: Sequence[torch.Tensor]) -> float:
    moved = torch.cat([order != torch.arange(order.shape[1]) for order in orders], -1)
    return float(moved.double().mean())


def _of_logits(logits: torch.Tensor, y) -> tuple[float, float]:
    return float(cross_entropy(logits, y)), float(accuracy(logits, y))
