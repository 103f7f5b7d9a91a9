"""Downloads through torchvision, which nothing else in the package imports."""

import importlib
import socket
import sys
import tempfile
from pathlib import Path
from types import ModuleType

import numpy as np
import torch
from torch import library

__all__ = ["download_arrays", "import_torchvision"]

# Seconds without a byte before a download is given up; torchvision itself would wait for ever.
TIMEOUT = 30

SCHEMAS = {
    "nms": "(Tensor dets, Tensor scores, float iou_threshold) -> Tensor",
    "qnms": "(Tensor dets, Tensor scores, float iou_threshold) -> Tensor",
}

# A torch Library withdraws its operators when it is collected, so it is kept here.
_libraries: list[library.Library] = []


def import_torchvision() -> ModuleType:
    """Import torchvision, also beside a torch build that its compiled part does not fit.

    The torchvision of PyPI beside a CPU-only torch cannot load its compiled operators, and then
    fails where it registers shapes for them: `operator torchvision::nms does not exist`. The data
    sets are pure Python and need none of them, so the missing operators are declared, without
    any implementation, and the import is tried again.

    Returns
    -------
    module
        `torchvision`.

    Raises
    ------
    ImportError
        If torchvision is not installed.
    RuntimeError
        If its import fails for any other reason.
    """
    try:
        return importlib.import_module("torchvision")
    except RuntimeError as error:
        if "operator torchvision::" not in str(error):
            raise
    # The failed import leaves submodules behind that would hide it from the second one.
    for name in [n for n in sys.modules if n.partition(".")[0] == "torchvision"]:
        del sys.modules[name]
    declare_operators()
    return importlib.import_module("torchvision")


def declare_operators() -> None:
    """Declare the operators of `SCHEMAS` that torch does not have."""
    fragment = library.Library("torchvision", "FRAGMENT")
    _libraries.append(fragment)
    for name, schema in SCHEMAS.items():
        if not hasattr(torch.ops.torchvision, name):
            fragment.define(name + schema)


def download_arrays(torchvision_name: str, folder: Path) -> dict[str, np.ndarray]:
    """Download a data set and return its four arrays, channels last.

    Parameters
    ----------
    torchvision_name : str
        A class of `torchvision.datasets`, such as `CIFAR10`.
    folder : Path
        An existing folder; a temporary one is made in it and removed.

    Returns
    -------
    dict
        uint8 images of shape (n, h, w) or (n, h, w, c) and int64 labels of shape (n,).

    Raises
    ------
    Exception
        Whatever torchvision raises: no network, a wrong checksum, a full disk.
    """
    make = getattr(import_torchvision().datasets, torchvision_name)
    before = socket.getdefaulttimeout()
    socket.setdefaulttimeout(TIMEOUT)
    try:
        # In an empty folder torchvision checks the MD5 of every archive before extracting it, and
        # of every CIFAR batch before unpickling it. Files already extracted it would trust.
        with tempfile.TemporaryDirectory(prefix=".download-", dir=folder) as empty:
            splits = {
                "train": make(empty, train=True, download=True),
                "test": make(empty, train=False),
            }
    finally:
        socket.setdefaulttimeout(before)
    arrays = {}
    for name, split in splits.items():
        arrays[f"x_{name}"] = np.asarray(split.data)
        arrays[f"y_{name}"] = np.asarray(split.targets, dtype=np.int64)
    return arrays
