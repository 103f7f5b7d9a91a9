"""Batches of inputs, from a tensor, a data loader or any iterable."""

from collections.abc import Iterable, Iterator

import torch
from tqdm import tqdm

from .. import checks

__all__ = ["batches"]

_VALUES = 2**22  # of inputs at a time


def batches(x, inputs: int = 1, size: int | None = None, progress: bool = False) -> Iterator[tuple]:
    """Yield the inputs of a model batch by batch.

    Parameters
    ----------
    x : torch.Tensor, tuple of torch.Tensor, or iterable
        All examples in one tensor (in a tuple, one for each input), or batches of them: each a
        tensor, or a list or tuple that starts with the inputs, as data loaders yield them.
    inputs : int
        Number of the model's inputs.
    size : int, optional
        Examples in a batch of a tensor; by default at most 128.
    progress : bool
        Whether a bar shows how many batches are done.

    Yields
    ------
    tuple of torch.Tensor
        One batch of each input.

    Raises
    ------
    ValueError
        If there are no examples, a batch has another shape than the first one, or an entry is not
        finite.
    TypeError
        If `x` is neither tensors nor an iterable of batches.

    Examples
    --------
    >>> [len(b) for (b,) in batches(torch.zeros(5, 2), size=2)]
    [2, 2, 1]
    """
    whole = (x,) if isinstance(x, torch.Tensor) else x
    if isinstance(whole, tuple) and all(isinstance(part, torch.Tensor) for part in whole):
        size = size or _size(whole[0])
        source = zip(*(part.split(size) for part in whole), strict=True)
        total = -(-len(whole[0]) // size)
    elif isinstance(x, Iterable):
        source, total = x, len(x) if hasattr(x, "__len__") else None
    else:
        raise TypeError(
            "expected a tensor, a tuple of them, or an iterable of batches such as a DataLoader; "
            f"found {type(x).__name__}"
        )
    first = None
    for item in tqdm(source, total=total, desc="batches", disable=not progress):
        batch = _checked(item, inputs, first)
        if batch[0].numel():
            first = first or [tuple(part.shape[1:]) for part in batch]
            yield batch
    if first is None:
        raise ValueError("expected at least one example; found none (an empty tensor or loader)")


def _size(x: torch.Tensor) -> int:
    most = max(1, min(128, _VALUES // max(x[:1].numel(), 1)))
    # Batches of one size are read as one graph.
    return next((s for s in range(most, most // 2, -1) if len(x) % s == 0), most)


def _checked(item, inputs: int, first) -> tuple:
    parts = (item,) if isinstance(item, torch.Tensor) else item
    if not isinstance(parts, (tuple, list)) or len(parts) < inputs:
        raise ValueError(
            f"each batch must be a tensor, or a list that starts with {inputs} of them; "
            f"found {type(item).__name__}"
        )
    parts = tuple(parts[:inputs])
    if not all(isinstance(p, torch.Tensor) and p.ndim for p in parts):
        raise ValueError(f"each batch must hold tensors; found {type(parts[0]).__name__}")
    shapes = [tuple(part.shape[1:]) for part in parts]
    if first is not None and shapes != first:
        raise ValueError(f"every batch must hold examples of shape {first}; found {shapes}")
    for part in parts:
        if part.is_floating_point():
            checks.finite("the batch of examples", part)
    return parts
