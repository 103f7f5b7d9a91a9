"""What an experiment is: units that are measured alone, and tables made of what they give."""

import abc
import functools
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar

import pandas as pd
import torch

from ..data import load_data
from ..data.catalogue import KNOWN

if TYPE_CHECKING:
    from .folder import RunFolder
    from .record import Record

__all__ = [
    "Difference",
    "Experiment",
    "config_from_dict",
    "experiment_of",
    "fingerprint",
    "kind_of_device",
    "record_name",
    "register",
]

#: What `Experiment.differences` tells of a unit: what, which value of it, by how much, and whether
#: that value explodes, so that another machine need not come near it.
Difference = tuple[str, str, float, bool]

#: What a unit gives: tensors by name; and what it says of itself, in words and numbers.
Results = dict[str, torch.Tensor]


class Experiment(abc.ABC):
    """A config, and how its units are computed, put into tables and compared.

    Running, resuming, sharding, merging and verifying (`run`, `merge`, `verify`) know only this. A
    unit is what is computed, kept and verified as a whole, such as a pair of parents.

    Parameters
    ----------
    config : frozen dataclass
        With `dataset`, `seed`, ``to_dict()``, ``replace()`` and ``hash(fingerprint)``.

    Attributes
    ----------
    kind : str
        Its name in the registry; what a config of this kind says under ``kind``.
    config_type : type
        Of its configs, with a ``from_dict``.
    unit : str
        What a unit is called.
    schema : mapping of str to tuple of str
        The tables of a record and their columns.
    """

    kind: ClassVar[str]
    config_type: ClassVar[type]
    unit: ClassVar[str] = "pair"
    schema: ClassVar[Mapping[str, tuple[str, ...]]]

    def __init__(self, config):
        self.config = config

    @functools.cached_property
    def fingerprint(self) -> str:
        """The data set's fingerprint; known data are not read."""
        return fingerprint(self.config.dataset)

    def read_fingerprint(self) -> str:
        """Return the data set's fingerprint, the data read for it."""
        return load_data(self.config.dataset).fingerprint

    @property
    def has_data(self) -> bool:
        """Whether its data can be had by name, or it needs none."""
        return self.config.dataset in KNOWN

    def located(self):
        """Return the config with its data's full path: workers may start in another folder."""
        if self.has_data:
            return self.config
        return self.config.replace(dataset=str(Path(self.config.dataset).resolve()))

    @property
    def name(self) -> str:
        """The record's name: its data set and its config's hash."""
        return self.named(self.fingerprint)

    def named(self, data_fingerprint: str) -> str:
        """Return the record's name where the data have this fingerprint."""
        return f"{Path(self.config.dataset).stem}-{self.config.hash(data_fingerprint)}"

    @property
    @abc.abstractmethod
    def n_units(self) -> int:
        """How many units there are; they are numbered from 0."""

    def compute(
        self, units: Sequence[int], folder: "RunFolder", device: str = "cpu", together: int = 1
    ) -> Iterator[tuple[int, Results, dict]]:
        """Yield some units, one after the other: number, results, and what else is to be known.

        Each is computed from nothing; where that takes long, what is on the way may be kept in
        ``folder.path``.
        """
        for unit in units:
            yield unit, self.compute_again(unit), {}

    @abc.abstractmethod
    def compute_again(self, unit: int) -> Results:
        """Return a unit's results from nothing, whatever is kept anywhere."""

    @abc.abstractmethod
    def tables(self, results: Iterable[tuple[int, Results]]) -> dict[str, pd.DataFrame]:
        """Return the record's tables of the units' results, in the order of the units."""

    def frames(self, *rows: list[tuple]) -> dict[str, pd.DataFrame]:
        """Return the rows of each table, in the order of the schema, as tables."""
        found = zip(self.schema, rows, strict=True)
        return {name: pd.DataFrame(part, columns=self.schema[name]) for name, part in found}

    @abc.abstractmethod
    def rows(self, table: str) -> int | None:
        """Return how many rows a table has; None where it depends on what was measured."""

    @abc.abstractmethod
    def differences(self, record: "Record", unit: int, again: Results) -> list[Difference]:
        """Return by how much a record and a unit's results, computed again, differ."""

    @abc.abstractmethod
    def memory(self, device: str = "cpu", together: int = 1) -> int:
        """Return the bytes that a process needs that computes units; known data are not read."""

    def about(self, units: Sequence[dict]) -> dict:
        """Return what the manifest says of the data and sizes, from what the units say."""
        return {}

    def kept(self, folder: Path, device: str = "cpu", together: int = 1) -> list[Path]:
        """Return folders, beside the record's, in which `compute` keeps files."""
        return []

    def sizes(self) -> tuple[int, int, tuple[int, ...], int]:
        """Return examples of both splits, an image's shape and classes; known data are not read."""
        if self.config.dataset in KNOWN:
            known = KNOWN[self.config.dataset]
            return known.n_train, known.n_test, known.image_shape, known.n_classes
        data = load_data(self.config.dataset)
        return len(data.x_train), len(data.x_test), data.image_shape, data.n_classes


_KINDS: dict[str, type[Experiment]] = {}


def register(experiment: type[Experiment]) -> type[Experiment]:
    """Add a kind of experiment, as a decorator of its class."""
    _KINDS[experiment.kind] = experiment
    return experiment


def experiment_of(config) -> Experiment:
    """Return the experiment of a config.

    Raises
    ------
    TypeError
        If it is no config of a registered kind.
    """
    for experiment in _KINDS.values():
        if isinstance(config, experiment.config_type):
            return experiment(config)
    known = ", ".join(experiment.config_type.__name__ for experiment in _KINDS.values())
    raise TypeError(f"expected a config ({known}); found {type(config).__name__}")


def config_from_dict(values: Mapping):
    """Return the config that a record's manifest holds.

    Raises
    ------
    ValueError
        If its kind or a field is unknown, or a field leaves its range.
    """
    # The first records say nothing of their kind.
    kind = values.get("kind", "pairs")
    if not isinstance(kind, str) or kind not in _KINDS:
        raise ValueError(f"expected a kind among {', '.join(_KINDS)}; found {kind!r}")
    fields = {name: value for name, value in values.items() if name != "kind"}
    return _KINDS[kind].config_type.from_dict(fields)


def fingerprint(dataset: str) -> str:
    """Return a data set's fingerprint, of the known sets without loading them.

    Raises
    ------
    DataError
        If the data set must be loaded for it and cannot be.
    """
    return KNOWN[dataset].fingerprint if dataset in KNOWN else load_data(dataset).fingerprint


def record_name(config) -> str:
    """Return the name of a config's record: its data set and its hash.

    Raises
    ------
    DataError
        If the data set is needed for its fingerprint and cannot be had.
    """
    return experiment_of(config).name


def kind_of_device(device: str) -> str:
    """Return a device without its number; PyTorch would ask for one that this machine knows.

    Examples
    --------
    >>> kind_of_device("cuda:1")
    'cuda'
    """
    return device.partition(":")[0]
