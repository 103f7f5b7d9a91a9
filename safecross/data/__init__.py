"""Data sets as flat float32 pixels in [0, 1] and integer labels (Section 5.1).

Whatever file a data set comes from, it is checked, put in an order that depends on its content
alone, and named by a fingerprint, so that a number measured on it can be checked again elsewhere.
"""

from .arrays import DataError
from .download import import_torchvision
from .load import (
    Dataset,
    check_data,
    check_name,
    list_data,
    load_data,
    prepare_data,
)

__all__ = [
    "DataError",
    "Dataset",
    "check_data",
    "check_name",
    "import_torchvision",
    "list_data",
    "load_data",
    "prepare_data",
]
