"""What the configs of all kinds of experiments share: a dictionary, a hash, seeds."""

import hashlib
import json
from dataclasses import asdict, fields, replace
from typing import ClassVar

import numpy as np

from .. import checks

__all__ = ["BaseConfig", "config_hash", "network_seed"]

_FORMAT = 1  # of the records; part of the hash


class BaseConfig:
    """What the configs of all kinds of experiments share; each is a frozen dataclass.

    Attributes
    ----------
    kind : str
        Of its experiment, as the registry names it; records of the first kind do not say it.
    newer : tuple of str
        Fields that came after the first published records: they are left out at their default, so
        that those records keep their names.
    """

    kind: ClassVar[str] = "pairs"
    newer: ClassVar[tuple[str, ...]] = ()

    def _set(self, name: str, value) -> None:
        object.__setattr__(self, name, value)

    def to_dict(self) -> dict:
        """Return the fields as JSON-able values, and the kind."""
        plain = {field.name: field.default for field in fields(self) if field.name in self.newer}
        known = {n: v for n, v in asdict(self).items() if n not in plain or v != plain[n]}
        values = json.loads(json.dumps(known))
        return values if self.kind == BaseConfig.kind else {"kind": self.kind, **values}

    @classmethod
    def from_dict(cls, values: dict):
        """Return the config of `to_dict`'s values, the kind left out.

        Raises
        ------
        ValueError
            If a field is unknown or leaves its range.
        """
        known = [field.name for field in fields(cls)]
        for name in values:
            if name not in known:
                raise ValueError(checks.unknown("field of a config", name, known))
        return cls(**values)

    def replace(self, **changes):
        """Return a copy with some fields changed."""
        return replace(self, **changes)

    def hash(self, fingerprint: str | None = None) -> str:
        """Return 12 hexadecimal digits that name this config.

        Parameters
        ----------
        fingerprint : str, optional
            Of the data set, which then stands for its name or path, so that a file may be moved
            but not changed.
        """
        return config_hash({**self.to_dict(), "dataset": fingerprint or self.dataset})


def config_hash(content: dict) -> str:
    """Return 12 hexadecimal digits that name what a config's fields say.

    Examples
    --------
    >>> config_hash({"epochs": 1, "seed": 0}) == config_hash({"seed": 0, "epochs": 1})
    True
    """
    text = json.dumps({**content, "format": _FORMAT}, sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()[:12]


def network_seed(config, network: int) -> int:
    """Return the seed of one network, in [0, 2^63), independent of the number of networks.

    `config` is anything that has a `seed`, such as a `Config`.

    Examples
    --------
    >>> from safecross.replication.config import Config
    >>> config = Config("mnist5k", (16,), 1, 2, ("naive",))
    >>> network_seed(config, 0) == network_seed(config.replace(n_pairs=9), 0)
    True
    """
    state = np.random.SeedSequence([config.seed, network]).generate_state(1, np.uint64)
    return int(state[0] >> np.uint64(1))
