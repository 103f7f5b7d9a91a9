"""Checks of what a caller hands in: one clear line saying what was expected and what was found."""

import operator
from collections.abc import Iterable, Mapping, Set
from difflib import get_close_matches

import numpy as np
import torch

__all__ = [
    "as_array",
    "as_device",
    "as_flag",
    "as_labels",
    "as_list",
    "as_matrix",
    "as_number",
    "as_seeds",
    "as_tensor",
    "finite",
    "shown",
    "unknown",
    "whole_number",
]

_FLOATS = (torch.float16, torch.bfloat16, torch.float32, torch.float64)
_SHORT = (torch.bool, torch.uint8, torch.int8, torch.uint16, torch.int16)  # exact in float32
_LONG = (torch.uint32, torch.int32, torch.uint64, torch.int64)


# Messages -------------------------------------------------------------------------------------


def shown(value: object) -> str:
    """Return how a message shows what was found: its `repr`, on one line and not a long one.

    Examples
    --------
    >>> shown("a" * 100)
    "'aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa..."
    """
    text = " ".join(repr(value).split())
    return text if len(text) <= 80 else f"{text[:77]}..."


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
    return f"unknown {kind} {shown(name)}: {hint}Known: {', '.join(known)}"


# Arrays ---------------------------------------------------------------------------------------


def as_array(name: str, values) -> np.ndarray:
    """Return `values` as a NumPy array of real numbers.

    Parameters
    ----------
    name : str
        How the message calls the values.
    values : array_like
        An array of any layout and byte order, a tensor of any device, a pandas DataFrame or
        Series, or nested lists. What comes back may share memory with it.

    Returns
    -------
    numpy.ndarray
        Of bools, integers or floats.

    Raises
    ------
    ValueError
        If they are no numbers, complex, or masked, or rows differ in length.

    Examples
    --------
    >>> as_array("x", [[1, 2.5]])
    array([[1. , 2.5]])
    """
    if isinstance(values, torch.Tensor):
        tensor = as_tensor(name, values).detach().cpu()
        return (tensor.float() if tensor.dtype == torch.bfloat16 else tensor).numpy()
    rows = values if isinstance(values, list | tuple) else (values,)
    if any(isinstance(row, np.ma.MaskedArray) for row in rows):
        raise ValueError(
            f"{name} must be without a mask, which would be dropped; found a masked array. "
            "Fill or leave out what it hides"
        )
    try:
        array = np.asarray(values)
        if array.dtype == object:  # of columns of several types: numbers find a common one
            array = np.array(array.tolist())
    except (ValueError, TypeError, RuntimeError, OverflowError) as error:
        raise ValueError(
            f"{name} must be an array of real numbers; found {type(values).__name__} that is none "
            f"({' '.join(str(error).split())})"
        ) from None
    if array.dtype.kind not in "biuf":
        found = f"dtype {array.dtype}" if array.ndim else shown(values)
        raise ValueError(f"{name} must be real numbers; found {found}")
    if array.dtype.kind == "f" and array.itemsize > 8:  # PyTorch has no longer floats
        return array.astype(np.float64)
    return array.astype(array.dtype.newbyteorder("="), copy=False)


def as_tensor(name: str, values) -> torch.Tensor:
    """Return `values` as a dense tensor of real numbers.

    Parameters
    ----------
    name : str
        How the message calls the values.
    values : array_like
        As for `as_array`. A tensor is returned as it is; Python's floats get PyTorch's default
        type.

    Raises
    ------
    ValueError
        As `as_array`, or if a tensor is sparse, quantised, of 8-bit floats, or holds no values.

    Examples
    --------
    >>> as_tensor("bias", [0.5, 1])
    tensor([0.5000, 1.0000])
    """
    if not isinstance(values, torch.Tensor):
        tensor = _from_numpy(as_array(name, values))
        plain = isinstance(values, float | list | tuple) and tensor.is_floating_point()
        return tensor.to(torch.get_default_dtype()) if plain else tensor
    known = values.dtype in _FLOATS + _SHORT + _LONG
    if not known or values.layout != torch.strided or values.is_meta:
        raise ValueError(
            f"{name} must be real numbers in a dense tensor, floats of 16 bits or more; found "
            f"{values.dtype}, {values.layout}, on {values.device}"
        )
    return values


def _from_numpy(array: np.ndarray) -> torch.Tensor:
    # PyTorch takes neither reversed nor read-only arrays.
    return torch.from_numpy(np.require(array, requirements="CW"))


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


def as_matrix(name: str, values, dtype: torch.dtype | None = None) -> torch.Tensor:
    """Return `values` as a finite floating-point tensor of shape (..., n, p) with n, p >= 1.

    Parameters
    ----------
    name : str
        How the message calls the values.
    values : array_like
        As for `as_array`; layout does not matter, and a tensor keeps its gradient. Integers
        become floats that hold them: float32 up to 16 bits, else float64.
    dtype : torch.dtype, optional
        What they are converted to; they must be finite there too.

    Raises
    ------
    ValueError
        If they are no real numbers, there are fewer than two dimensions, none along n or p, or an
        entry is not finite.

    Examples
    --------
    >>> as_matrix("x", np.ones((1, 2), np.uint8))
    tensor([[1., 1.]])
    """
    if not isinstance(values, torch.Tensor):
        values = _from_numpy(as_array(name, values))
    tensor = as_tensor(name, values)
    if not tensor.is_floating_point():
        tensor = tensor.to(torch.float64 if tensor.dtype in _LONG else torch.float32)
    if tensor.ndim < 2 or 0 in tensor.shape:
        raise ValueError(
            f"{name} must be a matrix of shape (n, p) with n >= 1 and p >= 1; "
            f"found shape {tuple(tensor.shape)}"
        )
    finite(name, tensor)
    if dtype in (None, tensor.dtype):
        return tensor
    return finite(f"{name} as {dtype}", tensor.to(dtype))


def as_labels(y, n: int, n_classes: int | None = None) -> torch.Tensor:
    """Return the labels of `n` examples as a tensor of int64.

    Parameters
    ----------
    y : array_like of int, shape (n,)
        Integers of any width, bools, or a pandas Series of them.
    n : int
        Number of examples.
    n_classes : int, optional
        Labels lie in [0, n_classes). Without it they must be 0, 1, 2, ... with none left out.

    Returns
    -------
    torch.Tensor, shape (n,), int64
        On the device of `y`, or on the CPU.

    Raises
    ------
    ValueError
        If they are not that; the message says how to make them so.

    Examples
    --------
    >>> as_labels(np.array([0, 2, 1], np.uint8), 3)
    tensor([0, 2, 1])
    """
    y = as_tensor("labels", y)
    if y.shape != (n,) or y.is_floating_point():
        raise ValueError(
            f"expected one integer label for each of the {n} examples; "
            f"found {y.dtype} of shape {tuple(y.shape)}{_remedy(y, n)}"
        )
    low, high = (int(f(as_array("labels", y))) for f in (np.min, np.max))
    bound = high + 1 if n_classes is None else n_classes
    if low < 0 or high >= bound:
        raise ValueError(f"labels must lie in [0, {bound}); found {low} to {high}")
    labels = y.to(torch.int64)
    if n_classes is None and (found := len(labels.unique())) != high + 1:
        raise ValueError(
            f"labels must be 0, 1, 2, ... with none left out; found {found} classes from {low} to "
            f"{high}. Number them with np.unique(y, return_inverse=True)[1], or give n_classes"
        )
    return labels


def _remedy(y: torch.Tensor, n: int) -> str:
    if y.shape == (n,):
        return ". Whole numbers become labels by np.asarray(y).astype(int)"
    if y.shape == (n, 1):
        return ". A column becomes labels by np.asarray(y).ravel()"
    return ". One-hot rows become labels by np.asarray(y).argmax(1)" if y.shape[:-1] == (n,) else ""


# Numbers, flags, lists ------------------------------------------------------------------------


def whole_number(name: str, value, low: int, high: int | None = None) -> int:
    """Return `value` as an int if it is a whole number in [`low`, `high`].

    Parameters
    ----------
    name : str
        How the message calls the value.
    value : int
        The value, of Python, NumPy or PyTorch; bools and floats are refused.
    low, high : int
        Inclusive bounds; `high` None means unbounded.

    Raises
    ------
    ValueError
        If `value` is not an integer or lies outside the bounds.
    """
    span = f"in [{low}, {high}]" if high is not None else f">= {low}"
    try:
        # Arrays and tensors all have __index__: it must be tried.
        number = None if _is_bool(value) else operator.index(value)
    except (TypeError, ValueError, RuntimeError):
        number = None
    if number is None or number < low or (high is not None and number > high):
        raise ValueError(f"{name} must be a whole number {span}; found {shown(value)}")
    return number


def as_number(value) -> float:
    """Return `value` as a float, or NaN, which no range holds, if it is not one real number.

    Examples
    --------
    >>> as_number(np.float32(0.5)), as_number("0.5"), as_number(True), as_number(10**400)
    (0.5, nan, nan, nan)
    """
    if isinstance(value, str | bytes) or _is_bool(value) or getattr(value, "ndim", 0):
        return float("nan")
    try:
        return float(value)
    except (TypeError, ValueError, OverflowError, RuntimeError):
        return float("nan")


def number_in(name: str, value, low: float, high: float) -> float:
    """Return `value` as a float if it is a number in [`low`, `high`].

    Raises
    ------
    ValueError
        If it is none, not finite, or lies outside.

    Examples
    --------
    >>> number_in("t", 1, 0, 1)
    1.0
    """
    number = as_number(value)
    if not low <= number <= high or number in (float("inf"), -float("inf")):
        span = f"in [{low:g}, {high:g}]" if high < float("inf") else f">= {low:g} and finite"
        span = "finite" if low == -float("inf") else span
        raise ValueError(f"{name} must be a number {span}; found {shown(value)}")
    return number


def as_flag(name: str, value) -> bool:
    """Return `value` as a bool if it is one, of Python or NumPy.

    Raises
    ------
    ValueError
        If it is anything else, such as the text ``"no"``, which Python takes as true.
    """
    if not isinstance(value, bool | np.bool_):
        raise ValueError(f"{name} must be true or false; found {shown(value)}")
    return bool(value)


def as_list(name: str, values) -> list:
    """Return `values` as a list: of what has an order, and is not text.

    Raises
    ------
    ValueError
        If it is a text, a mapping, a set, an array of other than one dimension, or no collection.

    Examples
    --------
    >>> as_list("hidden", (256, 64))
    [256, 64]
    """
    other = isinstance(values, str | bytes | Mapping | Set) or not isinstance(values, Iterable)
    if other or getattr(values, "ndim", 1) != 1:
        raise ValueError(f"{name} must be a list; found {shown(values)}")
    return list(values)


def as_seeds(seed) -> int | list[int]:
    """Return one seed as an int, or those of a population as a list.

    Parameters
    ----------
    seed : int or iterable of int
        Each in [0, 2^64); a text, which could be taken for a population of digits, is refused.

    Raises
    ------
    ValueError
        If it is neither a whole number nor a list of them, or one leaves its range.

    Examples
    --------
    >>> as_seeds(np.int64(3)), as_seeds(range(2))
    (3, [0, 1])
    """
    if isinstance(seed, str | bytes):
        raise ValueError(f"seed must be a whole number or a list of them; found {shown(seed)}")
    if not isinstance(seed, Iterable) or getattr(seed, "ndim", 1) == 0:
        return whole_number("seed", seed, 0, 2**64 - 1)
    return [whole_number("each seed", s, 0, 2**64 - 1) for s in as_list("seed", seed)]


def as_device(device) -> torch.device:
    """Return a device that holds values here.

    Raises
    ------
    ValueError
        If PyTorch has no such device here, or it holds no values, as ``"meta"``.

    Examples
    --------
    >>> as_device("cpu")
    device(type='cpu')
    """
    try:
        torch.zeros(1, device=device).item()
        return torch.device(device)
    except Exception as error:  # each kind of device that is not there raises another type
        reason = str(error).splitlines()[0]
        raise ValueError(
            f"expected a device that PyTorch has here, such as cpu or cuda; found {device!r} "
            f"({reason})"
        ) from None


def _is_bool(value) -> bool:
    return isinstance(value, bool) or getattr(value, "dtype", None) in (torch.bool, np.bool_)
