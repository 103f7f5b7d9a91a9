"""Training of a module on images: stochastic gradient descent in one cycle of step sizes."""

from collections.abc import Callable, Iterator

import numpy as np
import torch
from torch import nn

from .. import checks

__all__ = ["OPTIMISERS", "epochs_of", "train"]

#: SGD with Nesterov's momentum, or Adam with decoupled weight decay.
OPTIMISERS = ("sgd", "adamw")


def train(
    model: nn.Module,
    x: torch.Tensor,
    y,
    seed: int,
    *,
    epochs: int,
    batch_size: int = 128,
    learning_rate: float = 0.2,
    weight_decay: float = 5e-4,
    optimiser: str = "sgd",
    products: torch.dtype = torch.float32,
    augment: bool = False,
    after_epoch: Callable[[int], None] | None = None,
) -> nn.Module:
    r"""Train a module on images, and return it in evaluation mode.

    Minimises the mean cross-entropy over shuffled minibatches. The step size rises to
    `learning_rate` over the first three tenths of the steps and falls to nearly 0, while momentum
    (Adam's first beta) falls from .95 to .85 and rises again, along cosines (one cycle, Smith and
    Topin 2019).

    Parameters
    ----------
    model : torch.nn.Module
        Takes images and gives logits; changed in place.
    x : torch.Tensor, shape (n, channels, height, width)
        Training images, float32.
    y : array_like of int, shape (n,)
        Labels.
    seed : int
        Of the minibatches and what `augment` draws, >= 0.
    epochs, batch_size : int
        Passes over the images; images in a minibatch, of which the last, smaller one is left out.
    learning_rate, weight_decay : float
        Largest step size, > 0; strength of the decay, >= 0.
    optimiser : {"sgd", "adamw"}
        SGD with Nesterov's momentum, or AdamW.
    products : torch.dtype
        float32, or bfloat16, in which convolutions and matrix products are then computed.
    augment : bool
        Whether images are shifted by up to 4 pixels in each direction and mirrored at random.
    after_epoch : callable of int, optional
        Called with the number of epochs done.

    Raises
    ------
    ValueError
        If a setting leaves its range or the training's loss is not finite.

    Notes
    -----
    The same seed gives the same bits again on the same machine with the same number of threads.

    Examples
    --------
    >>> x = torch.rand(64, 1, 2, 2, generator=torch.Generator().manual_seed(0))
    >>> y = (x.sum((1, 2, 3)) > 2).long()
    >>> model = nn.Sequential(nn.Flatten(), nn.Linear(4, 2))
    >>> model = train(model, x, y, 0, epochs=60, batch_size=16)
    >>> bool((model(x).argmax(1) == y).float().mean() > 0.9)
    True
    """
    settings = (epochs, batch_size, learning_rate, weight_decay, optimiser, products, augment)
    for done, _ in enumerate(epochs_of(model, x, y, seed, *settings), start=1):
        if after_epoch is not None:
            after_epoch(done)
    return model.eval()


def epochs_of(
    model: nn.Module,
    x: torch.Tensor,
    y,
    seed: int,
    epochs: int,
    batch_size: int = 128,
    learning_rate: float = 0.2,
    weight_decay: float = 5e-4,
    optimiser: str = "sgd",
    products: torch.dtype = torch.float32,
    augment: bool = False,
) -> Iterator[torch.optim.Optimizer]:
    """Train a module as `train` does, and yield after each epoch, so that it may be changed there.

    Parameters
    ----------
    model, x, y, seed, epochs, batch_size, learning_rate, weight_decay, optimiser, products, augment
        As for `train`.

    Yields
    ------
    torch.optim.Optimizer
        With the moments of the steps so far.

    Raises
    ------
    ValueError
        As `train`.

    Examples
    --------
    >>> model, x = nn.Sequential(nn.Flatten(), nn.Linear(4, 2)), torch.rand(8, 1, 2, 2)
    >>> for optimiser in epochs_of(model, x, [0, 1] * 4, 0, epochs=3, batch_size=4):
    ...     optimiser.state.clear()  # each epoch starts without momentum
    """
    _check(x, epochs, batch_size, learning_rate, weight_decay, optimiser, products)
    y = checks.as_labels(y, len(x), None)
    step = _optimiser(model, optimiser, learning_rate, weight_decay)
    per_epoch = len(x) // batch_size
    cycle = torch.optim.lr_scheduler.OneCycleLR(step, learning_rate, max(1, epochs * per_epoch))
    model.to(memory_format=torch.channels_last)
    x = x.contiguous(memory_format=torch.channels_last)
    for epoch in range(epochs):
        model.train()
        state = int(np.random.SeedSequence([seed, epoch]).generate_state(1, np.uint64)[0] >> 1)
        generator = torch.Generator().manual_seed(state)
        order = torch.randperm(len(x), generator=generator)
        for rows in order[: per_epoch * batch_size].split(batch_size):
            images = _augmented(x[rows], generator) if augment else x[rows]
            with torch.autocast("cpu", products, enabled=products is torch.bfloat16):
                logits = model(images)
            loss = nn.functional.cross_entropy(logits.float(), y[rows])
            step.zero_grad()
            loss.backward()
            step.step()
            cycle.step()
        if not torch.isfinite(loss):
            raise ValueError(
                f"the loss became {loss.item()} in epoch {epoch + 1}: use a smaller learning_rate "
                f"than {learning_rate}"
            )
        yield step


def _augmented(images: torch.Tensor, generator: torch.Generator, reach: int = 4) -> torch.Tensor:
    """Return images that are shifted, with zeros at the border, and mirrored."""
    n, _, height, width = images.shape
    padded = nn.functional.pad(images, (reach,) * 4).permute(0, 2, 3, 1)
    top, left = torch.randint(0, 2 * reach + 1, (2, n, 1), generator=generator)
    rows, columns = top + torch.arange(height), left + torch.arange(width)
    mirrored = torch.rand(n, 1, generator=generator) < 0.5
    columns = torch.where(mirrored, columns.flip(1), columns)
    chosen = padded[torch.arange(n)[:, None, None], rows[:, :, None], columns[:, None, :]]
    return chosen.permute(0, 3, 1, 2)


def _optimiser(model, name: str, learning_rate: float, decay: float) -> torch.optim.Optimizer:
    if name == "adamw":
        return torch.optim.AdamW(model.parameters(), learning_rate, weight_decay=decay)
    return torch.optim.SGD(
        model.parameters(), learning_rate, momentum=0.95, nesterov=True, weight_decay=decay
    )


def _check(x, epochs, batch_size, learning_rate, weight_decay, optimiser, products) -> None:
    if not isinstance(x, torch.Tensor) or x.ndim != 4 or not len(x):
        shape = tuple(getattr(x, "shape", ()))
        raise ValueError(
            f"training images must be a tensor (n, channels, height, width); found shape {shape}"
        )
    checks.whole_number("epochs", epochs, 0)
    checks.whole_number("batch_size", batch_size, 1, len(x))
    if not 0 < checks.as_number(learning_rate) < float("inf"):
        raise ValueError(f"learning_rate must be positive and finite; found {learning_rate!r}")
    if not 0 <= checks.as_number(weight_decay) < float("inf"):
        raise ValueError(f"weight_decay must be >= 0 and finite; found {weight_decay!r}")
    if optimiser not in OPTIMISERS:
        raise ValueError(checks.unknown("optimiser", optimiser, OPTIMISERS))
    if products not in (torch.float32, torch.bfloat16):
        raise ValueError(f"products must be torch.float32 or torch.bfloat16; found {products}")
