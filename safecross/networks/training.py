"""Training by Adam on cross-entropy (Section 5.1), one network or a whole population at once."""

from collections.abc import Callable, Iterator, Sequence
from itertools import pairwise

import numpy as np
import torch
from torch.optim.adam import adam

from .. import checks
from .linalg import affine, product
from .network import Network, initialise, stack

__all__ = ["PRODUCTS", "Trainer", "descend", "outputs_of", "train", "training_operations"]

#: Types of the matrix products in training.
PRODUCTS = ("float32", "bfloat16")

_where_positive = torch.ops.aten.threshold_backward.default


@torch.no_grad()
def train(
    x,
    y,
    hidden: Sequence[int],
    seed: int | Sequence[int],
    *,
    epochs: int,
    batch_size: int = 128,
    learning_rate: float = 1e-3,
    n_classes: int | None = None,
    products: torch.dtype = torch.float32,
    after_epoch: Callable[[int], None] | None = None,
) -> Network:
    r"""Return a trained network, or a population when `seed` is a list of seeds.

    Minimises the mean cross-entropy :math:`-\log \mathrm{softmax}(z)_y` by Adam
    (:math:`\beta = (.9, .999), \epsilon = 10^{-8}`) over shuffled minibatches.

    Parameters
    ----------
    x : array_like, shape (n, m)
        Training examples, used as float32; a tensor on the device to train on.
    y : array_like of int, shape (n,)
        Labels in [0, n_classes).
    hidden : sequence of int
        Widths of the hidden layers, such as ``(512,)``.
    seed : int or sequence of int
        Each network draws its initial weights from its own seed and its minibatches from another
        stream of the same seed: what it becomes does not depend on its neighbours.
    epochs : int
        Passes over the training examples, >= 0.
    batch_size : int
        Examples in a minibatch, >= 1; the last one of an epoch may be smaller.
    learning_rate : float
        Adam's step size, > 0.
    n_classes : int, optional
        Outputs of the network; without it the labels must be 0, 1, 2, ... with none left out,
        and there is an output for each.
    products : torch.dtype
        Type of the matrix products: float32, or bfloat16, which is faster on processors that
        have it but gives other networks; weights and Adam's state stay float32.
    after_epoch : callable of int, optional
        Called with the number of epochs done, for progress bars.

    Returns
    -------
    Network
        The trained network, with a leading dimension if there were several seeds.

    Raises
    ------
    ValueError
        If the data are empty, not real or not finite, sizes differ, labels leave their range or
        skip a class, or a setting leaves its range.

    Notes
    -----
    The same seed gives the same bits again on the same machine with the same number of threads.
    Source: Section 5.1 (architecture, initialisation, Adam); batch size, step size and epochs are
    not given there. The gradient is written out, since for a chain of ReLU layers it is short and
    spares autograd's bookkeeping; the tests compare it with autograd.

    Examples
    --------
    >>> from safecross import evaluate
    >>> x = torch.rand(200, 2, generator=torch.Generator().manual_seed(0))
    >>> theta = train(x, (x[:, 0] > x[:, 1]).long(), (8,), seed=0, epochs=60, learning_rate=0.01)
    >>> loss, accuracy = evaluate(theta, x, (x[:, 0] > x[:, 1]).long())
    >>> bool(accuracy > 0.9)
    True
    """
    x = checks.as_matrix("training examples", x, torch.float32)
    _check(x, n_classes, epochs, batch_size, learning_rate, products)
    y = checks.as_labels(y, len(x), n_classes)
    if n_classes is None:
        n_classes = int(y.max()) + 1
    seed = checks.as_seeds(seed)
    population = isinstance(seed, list)
    seeds = seed if population else [seed]
    hidden = checks.as_list("hidden", hidden)
    networks = [initialise((x.shape[1], *hidden, n_classes), s) for s in seeds]
    theta = (stack(networks) if population else networks[0]).to(x.device)
    trainer = Trainer(theta, x, y, seeds, batch_size, learning_rate, products)
    for epoch in range(epochs):
        trainer.epoch(epoch)
        if after_epoch is not None:
            after_epoch(epoch + 1)
    return trainer.network


class Trainer:
    """Networks in training, epoch by epoch, so that something may be done with them in between.

    Parameters
    ----------
    theta : Network
        Where training starts: one network, or a population.
    x : torch.Tensor of float32, shape (n, m)
        Training examples.
    y : torch.Tensor of int64, shape (n,)
        Labels.
    seeds : sequence of int
        Of the minibatches, one for each network.
    batch_size, learning_rate, products
        As for `train`.

    Examples
    --------
    >>> x, y = torch.rand(20, 2), torch.zeros(20, dtype=torch.int64)
    >>> trainer = Trainer(initialise([2, 3, 2], [0, 1]), x, y, [0, 1])
    >>> trainer.epoch(0)
    >>> trainer.network
    Network(2-3-2, population (2,))
    """

    def __init__(
        self, theta: Network, x, y, seeds, batch_size=128, learning_rate=1e-3, products=None
    ):
        self._x, self._seeds, self._batch_size = x, list(seeds), batch_size
        self._learning_rate, self._products = learning_rate, products or torch.float32
        labels = y.to(x.device).unsqueeze(-1)
        self._targets = x.new_zeros(len(y), theta.widths[-1]).scatter_(-1, labels, 1.0)
        self.replace(theta)

    def replace(self, theta: Network) -> None:
        """Go on from other networks, as many as before, Adam's moments at 0."""
        # Weights are held transposed here, as PyTorch does: every product then runs over rows.
        self._parameters = [w.mT.contiguous() for w in theta.weights]
        self._parameters += [b.clone() for b in theta.biases]
        self._population = bool(theta.batch_shape)
        self._update = _adam(self._parameters, float(self._learning_rate))

    def shift(self, theta: Network) -> None:
        """Go on from other weights, near to those at hand: Adam's moments stay."""
        found = [w.mT for w in theta.weights] + list(theta.biases)
        for parameter, values in zip(self._parameters, found, strict=True):
            parameter.copy_(values)

    @property
    def network(self) -> Network:
        """The networks as they are now."""
        depth = len(self._parameters) // 2
        weights = [w.mT.contiguous() for w in self._parameters[:depth]]
        return Network(weights, [b.clone() for b in self._parameters[depth:]])

    @torch.no_grad()
    def epoch(self, number: int) -> None:
        """Train for one epoch, whose minibatches depend on seeds and number only."""
        for rows in _minibatches(
            len(self._x), self._batch_size, self._seeds, number, self._population, self._x.device
        ):
            chosen = rows.flatten()
            batch, target = (
                part.index_select(0, chosen).view(*rows.shape, -1)
                for part in (self._x, self._targets)
            )
            self._update(_gradient(self._parameters, batch, target, self._products))


def descend(
    start: Sequence[torch.Tensor],
    loss: Callable[[list[torch.Tensor]], torch.Tensor],
    steps: int,
    learning_rate: float,
) -> list[torch.Tensor]:
    """Return tensors at which a loss is lower: so many steps of Adam, by autograd.

    Parameters
    ----------
    start : sequence of torch.Tensor
        Where it starts; they stay as they are.
    loss : callable
        Of the tensors; called once a step, so that each may draw a minibatch of its own.
    steps : int
        At least 0.
    learning_rate : float
        Adam's step size, > 0.

    Raises
    ------
    ValueError
        If a number leaves its range.

    Examples
    --------
    >>> (found,) = descend([torch.tensor(3.0)], lambda parts: (parts[0] - 1) ** 2, 200, 0.1)
    >>> round(float(found), 2)
    1.0
    """
    checks.whole_number("steps", steps, 0)
    if not 0 < checks.as_number(learning_rate) < float("inf"):
        raise ValueError(f"learning_rate must be positive and finite; found {learning_rate!r}")
    free = [part.clone() for part in start]
    adam = torch.optim.Adam(free, learning_rate)
    for _ in range(steps):
        with torch.enable_grad():
            parts = [part.requires_grad_() for part in free]
            slopes = torch.autograd.grad(loss(parts), parts)
        for part, slope in zip(free, slopes, strict=True):
            part.grad = slope
        adam.step()
    return [part.detach() for part in free]


def outputs_of(parts: Sequence[torch.Tensor], x: torch.Tensor) -> torch.Tensor:
    """Return the outputs of one network's weights and then biases, without checks, with gradients.

    Examples
    --------
    >>> theta, x = initialise([2, 3, 1], 0), torch.ones(4, 2)
    >>> torch.equal(outputs_of([*theta.weights, *theta.biases], x), theta(x))
    True
    """
    layers = len(parts) // 2
    for d in range(layers):
        x = torch.addmm(parts[layers + d], x.relu() if d else x, parts[d])
    return x


def training_operations(widths: Sequence[int], n: int, epochs: int) -> int:
    r"""Return the floating-point operations of the matrix products that training cannot avoid.

    .. math:: 2 n e \Big(3 \sum_d h_{d-1} h_d - h_0 h_1\Big)

    forward, gradient of the weights, and gradient of the inputs except the first layer's.

    Parameters
    ----------
    widths : sequence of int
        Inputs, hidden widths, outputs.
    n, epochs : int
        Training examples and passes over them.

    Examples
    --------
    >>> training_operations([784, 512, 10], 60_000, 5)
    490905600000
    """
    layers = [a * b for a, b in pairwise(widths)]
    return 2 * n * epochs * (3 * sum(layers) - layers[0])


def _gradient(
    parameters: list[torch.Tensor], x: torch.Tensor, target: torch.Tensor, products: torch.dtype
) -> list[torch.Tensor]:
    """Return the gradient of the mean cross-entropy of each network, in the parameters' layout.

    These are all weights, (..., outputs, inputs), and then all biases; `target` is 1 at each
    example's label, (..., batch, classes). Adam's step takes the gradients to be contiguous.
    """
    depth = len(parameters) // 2
    used = [p.to(products) for p in parameters]
    weights, biases = used[:depth], used[depth:]
    layers = [x.to(products)]
    for weight, bias in zip(weights[:-1], biases[:-1], strict=True):
        layers.append(affine(layers[-1], weight.mT, bias).relu_())
    delta = affine(layers[-1], weights[-1].mT, biases[-1]).to(torch.float32).softmax(-1)
    delta = delta.sub_(target).div_(target.shape[-2]).to(products)
    gradient = [delta] * len(parameters)
    for d in reversed(range(depth)):
        gradient[d] = product(delta.mT, layers[d]).to(torch.float32)
        gradient[depth + d] = delta.sum(-2).to(torch.float32)
        if d:
            # A ReLU's derivative is 0 where its output is.
            delta = _where_positive(product(delta, weights[d]), layers[d], 0)
    return gradient


def _adam(parameters: list[torch.Tensor], learning_rate: float) -> Callable:
    """Return Adam's step as a function of the gradient.

    The same as `torch.optim.Adam`, which takes a second to import a compiler that it does not use.
    """
    means, squares = ([torch.zeros_like(p) for p in parameters] for _ in range(2))
    steps = [torch.zeros((), dtype=torch.float32, device=p.device) for p in parameters]

    def update(gradient: list[torch.Tensor]) -> None:
        adam(
            parameters,
            gradient,
            means,
            squares,
            [],
            steps,
            fused=True,
            amsgrad=False,
            beta1=0.9,
            beta2=0.999,
            lr=learning_rate,
            weight_decay=0.0,
            eps=1e-8,
            maximize=False,
        )

    return update


def _minibatches(n, size, seeds, epoch, population, device) -> Iterator[torch.Tensor]:
    """Yield the rows of each minibatch, (batch,) or (P, batch): a fresh shuffle each epoch."""
    orders = []
    for seed in seeds:
        stream = np.random.SeedSequence([seed, epoch]).generate_state(1, np.uint64)[0]
        generator = torch.Generator().manual_seed(int(stream) >> 1)
        orders.append(torch.randperm(n, generator=generator))
    order = (torch.stack(orders) if population else orders[0]).to(device)
    yield from order.split(min(size, n), dim=-1)


def _check(x, n_classes, epochs, batch_size, learning_rate, products) -> None:
    if x.ndim != 2:
        raise ValueError(
            f"training examples must be a matrix of shape (n, m); found shape {tuple(x.shape)}"
        )
    if n_classes is not None:
        checks.whole_number("n_classes", n_classes, 0)
    checks.whole_number("epochs", epochs, 0)
    checks.whole_number("batch_size", batch_size, 1)
    if not 0 < checks.as_number(learning_rate) < float("inf"):
        raise ValueError(f"learning_rate must be positive and finite; found {learning_rate!r}")
    if products not in (torch.float32, torch.bfloat16):
        raise ValueError(f"products must be torch.float32 or torch.bfloat16; found {products}")
