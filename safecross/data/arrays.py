"""The four arrays of a data set: read, check, put in content order, fingerprint, write.

Arrays travel as a dictionary with the keys `KEYS`, pixels as stored (uint8 or float32).
"""

import hashlib
import io
import math
import os
import uuid
import zipfile
from pathlib import Path
from typing import NamedTuple, NoReturn

import numpy as np
import psutil
from numpy.lib import format as npy

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

# Bytes of a header; np.save writes 128 of them, and few more for long shapes.
MAX_HEADER = 16_384

# Bytes beyond an array that are still read, to see whether the file is whole by its checksum.
SLACK = 2**20

FRESH_COPY = (
    "get a fresh copy, or save it again with "
    "np.savez(path, x_train=..., y_train=..., x_test=..., y_test=...)"
)


NUMBER_CLASSES = (
    "number the classes of both splits from 0: classes = np.unique(np.append(y_train, y_test)), "
    "then np.searchsorted(classes, y_train) and np.searchsorted(classes, y_test)"
)


class DataError(ValueError):
    """Say that a data set cannot be found or trusted, and what to do about it."""


def refuse(where, expected: str, found: str, remedy: str) -> NoReturn:
    """Raise `DataError` in the one form all messages have."""
    raise DataError(f"{where}: expected {expected}; found {found}. What to do: {remedy}.")


class Header(NamedTuple):
    """What the file of one array says of it: bytes before it, shape, order, and dtype."""

    start: int
    shape: tuple[int, ...]
    fortran: bool
    dtype: np.dtype

    @property
    def size(self) -> int:
        """Bytes of the array."""
        return math.prod(self.shape) * self.dtype.itemsize


def read_npz(path: Path) -> dict[str, np.ndarray]:
    """Read the four arrays of an `.npz` file, never unpickling anything.

    What the headers say is looked at before anything is expanded.

    Raises
    ------
    DataError
        If the file is damaged, lacks a key, holds Python objects, expands to more than its headers
        say, or does not fit in the free memory.
    """
    # A damaged archive can raise a dozen types (BadZipFile, zlib.error, EOFError, OSError, ...).
    try:
        with path.open("rb") as file:
            single = file.read(len(npy.MAGIC_PREFIX)) == npy.MAGIC_PREFIX
        archive = None if single else zipfile.ZipFile(path)
    except Exception as error:
        refuse(path, "a NumPy .npz archive", describe(error), FRESH_COPY)
    if archive is None:
        refuse(path, "a NumPy .npz archive", "a single array", FRESH_COPY)
    with archive:
        names = archive.namelist()
        missing = [key for key in KEYS if f"{key}.npy" not in names]
        if missing:
            refuse(path, f"the keys {', '.join(KEYS)}", f"no {', '.join(missing)}", FRESH_COPY)
        headers = {key: _each(path, key, _read_header, archive) for key in KEYS}
        needed = sum(header.size for header in headers.values())
        free = psutil.virtual_memory().available
        if needed > free:
            found = f"{needed / 2**30:.1f} GiB of them, and {free / 2**30:.1f} GiB free"
            refuse(path, "arrays that fit in the free memory", found, "save fewer examples")
        return {key: _each(path, key, _read_array, archive, headers[key]) for key in KEYS}


def _each(path: Path, key: str, read, archive: zipfile.ZipFile, *header):
    """Return what `read` finds of one array, or raise `DataError` whatever it raises."""
    try:
        return read(archive, archive.getinfo(f"{key}.npy"), *header)
    except Exception as error:
        refuse(path, f"a whole numeric array {key}", describe(error), FRESH_COPY)


def _read_header(archive: zipfile.ZipFile, info: zipfile.ZipInfo) -> Header:
    """Return the header of one array; at most `MAX_HEADER` bytes of it are expanded."""
    if info.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):  # as NumPy writes
        raise ValueError("a compression other than that of np.savez_compressed")
    with archive.open(info) as stream:
        start = io.BytesIO(stream.read(MAX_HEADER))
    version = npy.read_magic(start)
    if version not in ((1, 0), (2, 0)):
        raise ValueError(f"version {version} of the format, which numeric arrays do not need")
    read = npy.read_array_header_1_0 if version == (1, 0) else npy.read_array_header_2_0
    shape, fortran, dtype = read(start)
    header = Header(start.tell(), shape, fortran, dtype)
    if dtype.hasobject:
        raise ValueError("object arrays, which are not read since they can run code")
    if not 0 <= info.file_size - header.start - header.size <= SLACK:
        raise ValueError(
            f"{info.file_size} bytes for {dtype} of shape {shape}, which takes {header.size}"
        )
    return header


def _read_array(archive: zipfile.ZipFile, info: zipfile.ZipInfo, header: Header) -> np.ndarray:
    with archive.open(info) as stream:
        stream.read(header.start)
        # To the end, where zip checks its CRC: else an altered header would go unnoticed. A size
        # is given, without which zip expands a chunk of the file whole, however large it becomes.
        content = stream.read(info.file_size - header.start)
    if len(content) != header.size:
        raise ValueError(
            f"{len(content)} bytes for {header.dtype} of shape {header.shape}, "
            f"which takes {header.size}"
        )
    order = "F" if header.fortran else "C"
    return np.frombuffer(content, header.dtype).reshape(header.shape, order=order)


def describe(error: Exception) -> str:
    """Return an error as `Type: message` on one line."""
    return f"{type(error).__name__}: {' '.join(str(error).split())}"


def check_arrays(arrays: dict[str, np.ndarray], where) -> dict[str, np.ndarray]:
    """Check the four arrays and return them as uint8 or float32 pixels and int64 labels.

    Parameters
    ----------
    arrays : dict
        `x_train`, `x_test` of shape (n, m), (n, h, w) or (n, h, w, c), integers in 0..255 or
        finite floats; `y_train`, `y_test` of shape (n,), integers that are 0, 1, 2, ... with none
        left out of both together.
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
    check_classes(checked["y_train"], checked["y_test"], where)
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
        remedy = "flatten the array"
        if y.ndim == 2 and y.shape[1] > 1:
            remedy = "if its rows are one-hot, save y.argmax(axis=1)"
        refuse(where, "labels of shape (n,)", f"shape {y.shape}", remedy)
    if len(y) != n:
        refuse(where, f"{n} labels, one per image", f"{len(y)}", "pair images and labels again")
    if not np.issubdtype(y.dtype, np.integer):
        refuse(where, "integer labels", f"dtype {y.dtype}", NUMBER_CLASSES)
    low, high = int(y.min()), int(y.max())
    if low < 0 or high > MAX_LABEL:
        expected = f"class numbers in 0..{MAX_LABEL}"
        refuse(where, expected, f"labels from {low} to {high}", NUMBER_CLASSES)
    return y.astype(np.int64, copy=False)


def check_classes(y_train: np.ndarray, y_test: np.ndarray, where) -> None:
    """Refuse labels that leave out a class: the network would have an output that none trains."""
    classes = np.union1d(y_train, y_test)
    if classes[-1] != len(classes) - 1:
        found = f"{len(classes)} classes from {classes[0]} to {classes[-1]} in y_train and y_test"
        refuse(where, "classes 0, 1, 2, ... with none left out", found, NUMBER_CLASSES)


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
