"""What a population is evolved for: a pole to swing up, or images to classify."""

from typing import NamedTuple, Protocol

import torch

from ..data import Dataset
from ..networks.metrics import cross_entropy
from ..networks.network import Network

__all__ = ["Classification", "Evaluation", "SwingUp", "Task"]


class Evaluation(NamedTuple):
    """How good the members of a population are.

    Attributes
    ----------
    fitness : torch.Tensor of float64, shape (n,)
        Larger is better.
    seen : torch.Tensor, shape (m, inputs)
        Inputs that the members met, of all alike many: what neurons are compared on.
    steps : int
        Steps of the environment, or examples, that this took.
    """

    fitness: torch.Tensor
    seen: torch.Tensor
    steps: int


class Task(Protocol):
    """A population's task."""

    n_inputs: int
    n_outputs: int

    def __call__(self, population: Network, rng: torch.Generator) -> Evaluation:
        """Return how good the members are; all meet the same chance."""


class SwingUp:
    r"""A cart with a hanging pole that is to be swung up and held.

    The state is :math:`(x, \dot x, \theta, \dot\theta)` with :math:`\theta = 0` upright; a network
    sees :math:`(x, \dot x, \cos\theta, \sin\theta, \dot\theta)`, its output z pushes the cart with
    :math:`10 \tanh z` newtons. Fitness is the mean over steps and episodes of
    :math:`(1 + \cos\theta)/2`, 0 once :math:`|x| > 2.4` m: it lies in [0, 1].

    Parameters
    ----------
    episodes : int
        Each from its own start: hanging, all four within 0.1 of rest.
    steps : int
        Of 0.04 s each, semi-implicit Euler.

    Notes
    -----
    Source: equations of the cart-pole of Barto, Sutton and Anderson 1983 without friction (cart 1
    kg, pole 0.1 kg and 1 m).

    Examples
    --------
    >>> from safecross import initialise
    >>> task = SwingUp(episodes=2, steps=50)
    >>> found = task(initialise([5, 4, 1], [0, 1]), torch.Generator().manual_seed(0))
    >>> found.fitness.shape, found.seen.shape, found.steps
    (torch.Size([2]), torch.Size([200, 5]), 200)
    """

    n_inputs, n_outputs = 5, 1

    def __init__(self, episodes: int = 4, steps: int = 250):
        self.episodes, self.steps = episodes, steps

    @torch.no_grad()
    def __call__(self, population: Network, rng: torch.Generator) -> Evaluation:
        """Return the mean height of the members' poles; all start alike."""
        n = population.batch_shape[0]
        start = torch.rand(self.episodes, 4, generator=rng) * 0.2 - 0.1
        x, speed, angle, turn = start.repeat(n, 1, 1).unbind(-1)
        angle = angle + torch.pi
        height, inside, seen = torch.zeros_like(x), torch.ones_like(x), []
        for _ in range(self.steps):
            view = torch.stack((x, speed, angle.cos(), angle.sin(), turn), -1)
            seen.append(view)
            force = 10 * _outputs(population, view).squeeze(-1).tanh()
            x, speed, angle, turn = _step(x, speed, angle, turn, force)
            inside = inside * (x.abs() <= _TRACK)
            height += inside * (1 + angle.cos()) / 2
        met = torch.stack(seen, 1).flatten(0, 2)
        total = n * self.episodes * self.steps
        return Evaluation((height / self.steps).double().mean(-1), met, total)


_TRACK, _DT = 2.4, 0.04

_GRAVITY, _POLE, _BOTH, _HALF = 9.8, 0.1, 1.1, 0.5  # m/s^2, kg, kg, m


def _step(x, speed, angle, turn, force):
    sine, cosine = angle.sin(), angle.cos()
    push = (force + _POLE * _HALF * turn * turn * sine) / _BOTH
    inertia = _HALF * (4 / 3 - _POLE * cosine * cosine / _BOTH)
    turning = (_GRAVITY * sine - cosine * push) / inertia
    moving = push - _POLE * _HALF * turning * cosine / _BOTH
    # A wild controller spins the pole; nothing here grows beyond what float32 holds.
    speed = (speed + _DT * moving).clamp(-100, 100)
    turn = (turn + _DT * turning).clamp(-100, 100)
    return x + _DT * speed, speed, angle + _DT * turn, turn


def _outputs(population: Network, x: torch.Tensor) -> torch.Tensor:
    """Return a population's outputs without the checks, which cost more than the products."""
    *hidden, last = zip(population.weights, population.biases, strict=True)
    for weight, bias in hidden:
        x = torch.baddbmm(bias[:, None], x, weight).relu_()
    return torch.baddbmm(last[1][:, None], x, last[0])


class Classification:
    """Images to classify: fitness is minus the cross-entropy on a batch drawn anew each time.

    Parameters
    ----------
    data : Dataset
        Images and labels.
    batch : int, optional
        Examples for one evaluation; None takes all.
    split : {"train", "validation"}
        Where they are drawn from.

    Examples
    --------
    >>> from safecross import initialise, load_data
    >>> task = Classification(load_data("mnist5k"), batch=100)
    >>> theta = initialise([task.n_inputs, 8, task.n_outputs], [0, 1])
    >>> task(theta, torch.Generator().manual_seed(0)).seen.shape
    torch.Size([100, 784])
    """

    def __init__(self, data: Dataset, batch: int | None = 1000, split: str = "train"):
        self._x, self._y = data.split(split)
        self.batch = min(batch or len(self._x), len(self._x))
        self.n_inputs, self.n_outputs = self._x.shape[1], data.n_classes

    @torch.no_grad()
    def __call__(self, population: Network, rng: torch.Generator) -> Evaluation:
        """Return minus the members' losses; all see the same examples."""
        chosen = torch.randperm(len(self._x), generator=rng)[: self.batch]
        x = self._x[chosen]
        loss = cross_entropy(population(x), self._y[chosen])
        return Evaluation(-loss.double(), x, population.batch_shape[0] * self.batch)
