"""The four arrays of a data set: read, check, put in content order, fingerprint, write.

Arrays travel as a dictionary with the keys `KEYS`, pixels as stored (uint8 or float32).
"""

import hashlib
import io
import os
import uuid
from pathlib import Path
from typing import NoReturn

import numpy as np

__all__ = [
    "KEYS",
    "DataError",
    "check_arrays",
    "content_order",
    "fingerprint_arrays",
    "order_arrays",
    "read_npz",
    "write_npz",
]

# The keys of an .npz file of one's own, in the order of the fingerprint.
KEYS = ("x_train", "y_train", "x_test", "y_test")

# A label is a row of the output layer: a larger one is an identifier, not a class number.
MAX_LABEL = 65_535

FRESH_COPY = (
    "get a fresh copy, or save it again with "
    "np.savez(path, x_train=..., y_train=..., x_test=..., y_test=...)"
)


class DataError(ValueError):
    """Say that a data set cannot be found or trusted, and what to do about it."""


def refuse(where, expected: str, found: str, remedy: str) -> NoReturn:
    """Raise `DataError` in the one form all messages have."""
    raise DataError(f"{where}: expected {expected}; found {found}. What to do: {remedy}.")


def read_npz(path: Path) -> dict[str, np.ndarray]:
    """Read the four arrays of an `.npz` file, never unpickling anything.

    Raises
    ------
    DataError
        If the file is damaged, lacks a key or holds Python objects.
    """
    # A damaged archive can raise a dozen types (BadZipFile, zlib.error, EOFError, OSError, ...).
    try:
        archive = np.load(path, allow_pickle=False)
    except Exception as error:
        refuse(path, "a NumPy .npz archive", describe(error), FRESH_COPY)
    if not isinstance(archive, np.lib.npyio.NpzFile):
        refuse(path, "a NumPy .npz archive", "a single array", FRESH_COPY)
    with archive:
        missing = [key for key in KEYS if key not in archive.files]
        if missing:
            refuse(path, f"the keys {', '.join(KEYS)}", f"no {', '.join(missing)}", FRESH_COPY)
        arrays = {}
        for key in KEYS:
            try:
                # Read to the end, where zip checks its CRC: `archive[key]` stops after the shape
                # that the header claims, so that an altered header would go unnoticed.
                content = io.BytesIO(archive.zip.read(f"{key}.npy"))
                arrays[key] = np.load(content, allow_pickle=False)
            except Exception as error:
                refuse(path, f"a whole numeric array {key}", describe(error), FRESH_COPY)
    return arrays


def describe(error: Exception) -> str:
    """Return an error as `Type: message` on one line."""
    return f"{type(error).__name__}: {' '.join(str(error).split())}"


def check_arrays(arrays: dict[str, np.ndarray], where) -> dict[str, np.ndarray]:
    """Check the four arrays and return them as uint8 or float32 pixels and int64 labels.

    Parameters
    ----------
    arrays : dict
        `x_train`, `x_test` of shape (n, m), (n, h, w) or (n, h, w, c), integers in 0..255 or
        finite floats; `y_train`, `y_test` of shape (n,), integers from 0.
    where : object
        What the messages name: a path.

    Raises
    ------
    DataError
        With the array, what was expected, what was found and what to do.
    """
    checked = {}
    for split in ("train", "test"):
        x, y = arrays[f"x_{split}"], arrays[f"y_{split}"]
        checked[f"x_{split}"] = check_images(x, f"{where}, x_{split}")
        checked[f"y_{split}"] = check_labels(y, len(x), f"{where}, y_{split}")
    train, test = checked["x_train"], checked["x_test"]
    if train.shape[1:] != test.shape[1:]:
        refuse(
            where,
            "images of one shape in x_train and x_test",
            f"{train.shape[1:]} and {test.shape[1:]}",
            "give both splits the same number of pixels in the same layout",
        )
    if train.dtype != test.dtype:
        refuse(
            where,
            "integer pixels in both splits, or float pixels in both",
            f"{arrays['x_train'].dtype} and {arrays['x_test'].dtype}",
            "save x_train and x_test with one dtype, else they would be scaled differently",
        )
    return checked


def check_images(x: np.ndarray, where: str) -> np.ndarray:
    """Return images as uint8 (from integers in 0..255) or float32 (from finite floats)."""
    if x.ndim not in (2, 3, 4):
        shapes = "images of shape (n, m), (n, h, w) or (n, h, w, c)"
        refuse(where, shapes, f"shape {x.shape}", "reshape the array")
    if x.size == 0:
        refuse(where, "at least one image of one pixel", f"shape {x.shape}", "fill this split")
    if np.issubdtype(x.dtype, np.integer):
        low, high = int(x.min()), int(x.max())
        if low < 0 or high > 255:
            found = f"{x.dtype} from {low} to {high}"
            refuse(where, "integer pixels in 0..255", found, "scale them to floats in [0, 1]")
        return x.astype(np.uint8, copy=False)
    if not np.issubdtype(x.dtype, np.floating):
        expected = "uint8 pixels, or floats in [0, 1]"
        refuse(where, expected, f"dtype {x.dtype}", "convert the array")
    # The range is looked at after the conversion: a float64 of 1e300 becomes infinite there.
    with np.errstate(over="ignore"):
        x = x.astype(np.float32, copy=False)
    bad = x.size - np.count_nonzero(np.isfinite(x))
    if bad:
        found = f"{bad} values that are NaN or infinite in float32"
        refuse(where, "finite pixels", found, "remove or replace them")
    return x


def check_labels(y: np.ndarray, n: int, where: str) -> np.ndarray:
    """Return the labels of `n` images as int64."""
    if y.ndim != 1:
        refuse(where, "labels of shape (n,)", f"shape {y.shape}", "flatten the array")
    if len(y) != n:
        refuse(where, f"{n} labels, one per image", f"{len(y)}", "pair images and labels again")
    if not np.issubdtype(y.dtype, np.integer):
        remedy = "convert the labels to class numbers 0, 1, 2, ... of dtype int64"
        refuse(where, "integer labels", f"dtype {y.dtype}", remedy)
    low, high = int(y.min()), int(y.max())
    if low < 0 or high > MAX_LABEL:
        expected = f"class numbers in 0..{MAX_LABEL}"
        refuse(where, expected, f"labels from {low} to {high}", "number the classes from 0")
    return y.astype(np.int64, copy=False)


def content_order(x: np.ndarray, y: np.ndarray) -> np.ndarray:
    r"""Return the order of the examples by the digest of their content.

    .. math:: d_i = \mathrm{SHA256}(\text{bytes}(x_i) \, \Vert \, \text{bytes}(y_i))

    A prefix of this order is a sample that looks random yet does not depend on the file's order.

    Parameters
    ----------
    x : ndarray of shape (n, ...)
        Pixels as stored, uint8 or float32.
    y : ndarray of shape (n,)
        Labels, int64.

    Returns
    -------
    ndarray of shape (n,), int64
        Indices that sort the digests.

    Examples
    --------
    >>> x, y = np.arange(6, dtype=np.uint8).reshape(3, 2), np.array([0, 1, 2])
    >>> order, back = content_order(x, y), content_order(x[::-1], y[::-1])
    >>> bool((x[order] == x[::-1][back]).all())
    True
    """
    rows = np.ascontiguousarray(x).reshape(len(x), -1)
    labels = y.astype("<i8").reshape(-1, 1)
    digests = []
    for row, label in zip(rows, labels, strict=True):
        digest = hashlib.sha256(row)
        digest.update(label)
        digests.append(digest.digest())
    return np.array(sorted(range(len(digests)), key=digests.__getitem__), dtype=np.int64)


def order_arrays(arrays: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    """Put each split in content order; `arrays` is emptied, to hold few copies at once."""
    ordered = {}
    for split in ("train", "test"):
        x, y = arrays.pop(f"x_{split}"), arrays.pop(f"y_{split}")
        order = content_order(x, y)
        ordered[f"x_{split}"], ordered[f"y_{split}"] = x[order], y[order]
    return ordered


def fingerprint_arrays(arrays: dict[str, np.ndarray]) -> str:
    """Return the SHA-256 of the keys, shapes, dtypes and bytes of the four ordered arrays."""
    digest = hashlib.sha256()
    for key in KEYS:
        array = np.ascontiguousarray(arrays[key])
        digest.update(f"{key} {array.shape} {array.dtype.str}\n".encode())
        digest.update(array)
    return digest.hexdigest()


def write_npz(path: Path, arrays: dict[str, np.ndarray]) -> None:
    """Write an `.npz` file whole or not at all.

    Not compressed: CIFAR-10 is only a tenth larger so, and it loads several times as fast.

    Raises
    ------
    DataError
        If the folder cannot be made or the file not be written.
    """
    temporary = path.with_name(f".{path.name}.{uuid.uuid4().hex}.part")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with open(temporary, "wb") as file:
            np.savez(file, **arrays)
            file.flush()
            os.fsync(file.fileno())
        os.replace(temporary, path)
    except OSError as error:
        remedy = "free some space, give another folder, or set SAFECROSS_CACHE to one"
        refuse(path, "a folder that can be written", describe(error), remedy)
    finally:
        if os.path.exists(temporary):
            os.unlink(temporary)
