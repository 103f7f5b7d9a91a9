"""Checks of what a caller hands in: one clear line saying what was expected and what was found."""

from difflib import get_close_matches

import numpy as np
import torch

__all__ = ["as_matrix", "finite", "unknown", "whole_number"]


def unknown(kind: str, name: object, known) -> str:
    """Return the message for an unknown name, with the nearest known names.

    Parameters
    ----------
    kind : str
        What the name stands for, such as ``"operator"``.
    name : object
        What was asked for.
    known : iterable of str
        All names that would have been accepted.

    Returns
    -------
    str
        A message that quotes `name`, the nearest names if any are near, and all known ones.

    Examples
    --------
    >>> unknown("operator", "sc-pcw", ["naive", "sc-pwc"])
    "unknown operator 'sc-pcw': did you mean 'sc-pwc'? Known: naive, sc-pwc"
    """
    known = sorted(known)
    near = get_close_matches(str(name), known, n=3, cutoff=0.5)
    hint = f"did you mean {' or '.join(map(repr, near))}? " if near else ""
    return f"unknown {kind} {name!r}: {hint}Known: {', '.join(known)}"


def finite(name: str, values: torch.Tensor) -> torch.Tensor:
    """Return `values` unchanged, or raise if any entry is NaN or infinite.

    Parameters
    ----------
    name : str
        How the message calls the values.
    values : torch.Tensor
        A floating-point tensor of any shape.

    Raises
    ------
    ValueError
        If an entry is not finite; the message counts them and gives the first one's index.
    """
    # A sum shows a NaN or an infinity in one pass without a copy; it can overflow, hence the rest.
    if values.numel() and not bool(torch.isfinite(values.sum())):
        bad = torch.nonzero(~torch.isfinite(values))
        if not len(bad):
            return values
        where = tuple(bad[0].tolist())
        raise ValueError(
            f"{name} must be finite; found {len(bad)} NaN or infinite entries of "
            f"{values.numel()}, the first at index {where}"
        )
    return values


def as_matrix(name: str, values) -> torch.Tensor:
    """Return `values` as a finite floating-point tensor of shape (..., n, p) with n, p >= 1.

    Parameters
    ----------
    name : str
        How the message calls the values.
    values : array_like
        A NumPy array, a tensor or nested lists; integers become float32, and layout does not
        matter.

    Raises
    ------
    ValueError
        If there are fewer than two dimensions, none along n or p, or a non-finite entry.
    """
    if isinstance(values, np.ndarray):
        # PyTorch takes neither reversed nor read-only arrays.
        values = np.require(values, requirements="CW")
    tensor = torch.as_tensor(values)
    if not tensor.is_floating_point():
        tensor = tensor.to(torch.get_default_dtype())
    if tensor.ndim < 2 or 0 in tensor.shape:
        raise ValueError(
            f"{name} must be a matrix of shape (n, p) with n >= 1 and p >= 1; "
            f"found shape {tuple(tensor.shape)}"
        )
    return finite(name, tensor)


def whole_number(name: str, value, low: int, high: int | None = None) -> int:
    """Return `value` as an int if it is a whole number in [`low`, `high`].

    Parameters
    ----------
    name : str
        How the message calls the value.
    value : int
        The value; bools and floats are refused.
    low, high : int
        Inclusive bounds; `high` None means unbounded.

    Raises
    ------
    ValueError
        If `value` is not an integer or lies outside the bounds.
    """
    span = f"in [{low}, {high}]" if high is not None else f">= {low}"
    integral = hasattr(value, "__index__") and not isinstance(value, bool)
    if not integral or value < low or (high is not None and value > high):
        raise ValueError(f"{name} must be a whole number {span}; found {value!r}")
    return int(value)
