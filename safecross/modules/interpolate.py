"""Crossover of two modules: interpolation of everything that they hold, and its curve."""

import copy
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import torch
from torch import nn
from torch.nn.modules.batchnorm import _BatchNorm

from .. import checks, store
from ..crossover.curve import GRID, Curve
from ..networks.metrics import accuracy, cross_entropy
from .batches import batches
from .maps import Move, fill

__all__ = [
    "average",
    "crossover_curve",
    "evaluate",
    "interpolate",
    "load_state",
    "reestimate",
    "save_state",
]


@torch.no_grad()
def interpolate(model_a: nn.Module, model_b: nn.Module, t: float, data=None) -> nn.Module:
    r"""Return the offspring of two modules.

    .. math:: \theta_t = (1 - t)\, \theta_a + t\, \theta_b

    for parameters and floating-point buffers; whole numbers, such as counts of batches, are taken
    from the nearer parent.

    Parameters
    ----------
    model_a, model_b : torch.nn.Module
        Of one structure: as they are, or b moved into a's frame.
    t : float
        Crossover point; at 0 and 1 exactly the parents.
    data : torch.Tensor, tuple or iterable, optional
        Examples on which the statistics of batch norms are estimated anew; see `reestimate`.

    Returns
    -------
    torch.nn.Module
        A new one.

    Raises
    ------
    ValueError
        If the tensors of the models differ in name or shape, or t is not finite.

    Notes
    -----
    Source: Eq. 3 and Eq. 4, Section 4.4. A running variance that t outside [0, 1] would make
    negative is 0.

    Examples
    --------
    >>> a, b = nn.Linear(1, 1, bias=False), nn.Linear(1, 1, bias=False)
    >>> _ = a.weight.data.fill_(0.0), b.weight.data.fill_(1.0)
    >>> interpolate(a, b, 0.25).weight.item()
    0.25
    """
    if not np.ndim(t) == 0 or not np.isfinite(t):
        raise ValueError(f"t must be one finite number; found {t!r}")
    state_a, state_b = _states([model_a, model_b])
    mixed = {name: _mixed(v, state_b[name], t) for name, v in state_a.items()}
    child = fill(copy.deepcopy(model_a), mixed)
    for module in child.modules():
        if isinstance(module, _BatchNorm) and module.running_var is not None:
            module.running_var.clamp_(min=0)
    return child if data is None else reestimate(child, data)


def _mixed(a: torch.Tensor, b: torch.Tensor, t: float) -> torch.Tensor:
    if t in (0, 1) or not a.is_floating_point():
        return (a if t <= 0.5 else b).clone()
    # Where both are alike there is nothing to mix, not even masks of minus infinity.
    return torch.where(a == b, a, (1 - t) * a + t * b)


def _states(models: Sequence[nn.Module]) -> list[dict[str, torch.Tensor]]:
    for model in models:
        if not isinstance(model, nn.Module):
            raise TypeError(f"expected a torch.nn.Module; found {type(model).__name__}")
    states = [model.state_dict() for model in models]
    first, *others = [{name: tuple(v.shape) for name, v in state.items()} for state in states]
    for other in others:
        if other != first:
            different = sorted({name for name, _ in first.items() ^ other.items()})
            raise ValueError(
                "all models must be of one structure; their tensors differ in name or shape: "
                f"{', '.join(different[:6])}"
            )
    return states


@torch.no_grad()
def average(models: Sequence[nn.Module], data=None) -> nn.Module:
    r"""Return the mean of modules.

    .. math:: \bar\theta = \frac1n \sum_{i=1}^n \theta_i

    for parameters and floating-point buffers; whole numbers, such as counts of batches, are those
    of the first.

    Parameters
    ----------
    models : sequence of torch.nn.Module
        At least one, of one structure and in one frame.
    data : torch.Tensor, tuple or iterable, optional
        Examples on which the statistics of batch norms are estimated anew; see `reestimate`.

    Returns
    -------
    torch.nn.Module
        A new one.

    Raises
    ------
    ValueError
        If there are no models, or their tensors differ in name or shape.

    Examples
    --------
    >>> models = [nn.Linear(1, 1, bias=False) for _ in range(3)]
    >>> for i, model in enumerate(models):
    ...     _ = model.weight.data.fill_(float(i))
    >>> average(models).weight.item()
    1.0
    """
    models = checks.as_list("models", models)
    if not models:
        raise ValueError("expected at least one model; found none")
    states = _states(models)
    mixed = {
        name: torch.stack([state[name] for state in states]).mean(0) if v.is_floating_point() else v
        for name, v in states[0].items()
    }
    child = fill(copy.deepcopy(models[0]), mixed)
    return child if data is None else reestimate(child, data)


@torch.no_grad()
def reestimate(model: nn.Module, data) -> nn.Module:
    """Estimate the statistics of all batch norms anew, and return the model.

    The average of two models' running variances is not the variance of their offspring: averaged
    channels that do not agree vary less, so that each norm after them scales wrongly.

    Parameters
    ----------
    model : torch.nn.Module
        Changed in place; its mode stays.
    data : torch.Tensor, tuple of torch.Tensor or iterable
        Examples, as for `batches`; the statistics are the mean over batches.

    Returns
    -------
    torch.nn.Module
        `model`.

    Raises
    ------
    ValueError
        If the data are unusable.

    Examples
    --------
    >>> model = reestimate(nn.BatchNorm1d(1), torch.tensor([[1.0], [3.0]]))
    >>> model.running_mean
    tensor([2.])
    """
    norms = [m for m in model.modules() if isinstance(m, _BatchNorm) and m.track_running_stats]
    modes = {module: module.training for module in model.modules()}
    momenta = [norm.momentum for norm in norms]
    model.eval()
    for norm in norms:
        norm.reset_running_stats()
        norm.momentum = None  # the plain mean
        norm.train()
    try:
        for batch in batches(data):
            model(*batch)
    finally:
        for module, mode in modes.items():
            module.training = mode
        for norm, momentum in zip(norms, momenta, strict=True):
            norm.momentum = momentum
    return model


@torch.no_grad()
def evaluate(model: nn.Module, x, y) -> tuple[float, float]:
    """Return the mean cross-entropy in nats and the accuracy in [0, 1] of a module.

    Parameters
    ----------
    model : torch.nn.Module
        Gives logits; measured in evaluation mode, which it is left in.
    x : torch.Tensor or tuple of torch.Tensor
        Examples.
    y : array_like of int, shape (n,)
        Their labels.

    Raises
    ------
    ValueError
        If the examples or labels are unusable.

    Examples
    --------
    >>> evaluate(nn.Identity(), torch.tensor([[0.0, 0.0], [0.0, 9.0]]), [0, 1])[1]
    1.0
    """
    model.eval()
    logits = torch.cat([model(*batch) for batch in batches(x)])
    return float(cross_entropy(logits, y)), float(accuracy(logits, y))


@torch.no_grad()
def crossover_curve(
    model_a: nn.Module,
    model_b: nn.Module,
    x,
    y,
    *,
    alignment: Move | None = None,
    t: Sequence[float] = GRID,
    data=None,
) -> Curve:
    """Return loss and accuracy of the offspring of two modules on a grid of t.

    Parameters
    ----------
    model_a, model_b : torch.nn.Module
        Parents of one structure, that give logits.
    x : torch.Tensor or tuple of torch.Tensor
        Examples to measure on.
    y : array_like of int, shape (n,)
        Their labels.
    alignment : Move, optional
        From `align`; without it the crossover is naive.
    t : float or sequence of float
        Crossover points.
    data : torch.Tensor, tuple or iterable, optional
        Examples on which each offspring's batch norms are estimated anew, the parents' at t = 0
        and 1 as well.

    Returns
    -------
    Curve
        One loss and one accuracy for each t; its `barrier` where 0 and 1 are among them.

    Raises
    ------
    ValueError
        If the models differ in structure, a t is not finite or the data are unusable.

    Examples
    --------
    >>> a, b = nn.Linear(2, 2, bias=False), nn.Linear(2, 2, bias=False)
    >>> _ = a.weight.data.copy_(torch.eye(2)), b.weight.data.copy_(-torch.eye(2))
    >>> crossover_curve(a, b, torch.eye(2), [0, 1], t=[0, 1]).accuracy
    array([1., 0.])
    """
    ts = np.atleast_1d(np.asarray(t, dtype=float))
    if alignment is not None:
        model_b = alignment(model_b)
        model_a = alignment.reference(model_a) if alignment.reference else model_a
    losses, shares = [], []
    for s in ts:
        loss, share = evaluate(interpolate(model_a, model_b, float(s), data), x, y)
        losses.append(loss)
        shares.append(share)
    return Curve(ts, np.array(losses), np.array(shares))


def save_state(model: nn.Module, path: str | Path, about: Mapping | None = None) -> None:
    """Write a module's state as safetensors, atomically and with a checksum.

    Parameters
    ----------
    model : torch.nn.Module
        Any.
    path : str or Path
        File to write; an existing one is replaced.
    about : mapping, optional
        What else is to be known of it, kept as text.
    """
    metadata = {"kind": "safecross.modules", "model": type(model).__name__, **(about or {})}
    store.save_tensors(path, model.state_dict(), metadata)


def load_state(model: nn.Module, path: str | Path) -> nn.Module:
    """Load the state that `save_state` wrote, or any safetensors file, into a module.

    Parameters
    ----------
    model : torch.nn.Module
        Of the same structure; changed in place and returned.
    path : str or Path
        A safetensors file.

    Raises
    ------
    DamagedFile
        If the file is missing, is not safetensors, or differs from its checksum.
    ValueError
        If its tensors are not those of the model.
    """
    tensors, _ = store.load_tensors(path)
    own = {name: tuple(v.shape) for name, v in model.state_dict().items()}
    found = {name: tuple(v.shape) for name, v in tensors.items()}
    if own != found:
        different = sorted({name for name, _ in own.items() ^ found.items()})
        raise ValueError(
            f"{path} does not hold a {type(model).__name__}: its tensors differ in name or "
            f"shape: {', '.join(different[:6])}"
        )
    return fill(model, tensors)
