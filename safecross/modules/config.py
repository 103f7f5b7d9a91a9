"""What an experiment on modules is: a frozen, validated config with a stable hash."""

import math
from dataclasses import dataclass
from typing import ClassVar

from .. import checks
from ..alignment.spelling import parse_operator, split_after
from ..networks.training import PRODUCTS
from ..runs.config import BaseConfig, config_hash
from .architectures import parse_architecture
from .training import OPTIMISERS

__all__ = ["POINTS", "REESTIMATED", "ModuleConfig"]

#: Crossover points of the records: the paper's range, coarser than its 31 points.
POINTS = (-0.25, 0.0, 0.2, 0.35, 0.5, 0.65, 0.8, 1.0, 1.25)

#: What may follow an operator here.
REESTIMATED = "+reestimate"

#: The fields that a parent depends on, beside the data.
_OF_PARENTS = (
    "architecture",
    "epochs",
    "seed",
    "batch_size",
    "learning_rate",
    "weight_decay",
    "optimiser",
    "products",
    "augment",
)


@dataclass(frozen=True)
class ModuleConfig(BaseConfig):
    """One experiment on modules: which parents, which pairs, which operators, measured how.

    Parameters
    ----------
    dataset : str
        A known data set's name, or the path of an ``.npz`` of one's own.
    architecture : str
        As `build` reads it, such as ``vgg7:width=16``.
    epochs : int
        Passes over the training examples.
    n_pairs : int
        Pairs of parents; pair i are the networks 2i and 2i + 1.
    operators : tuple of str
        Each as `parse_operator` reads it, and perhaps ``+reestimate`` after it: then the statistics
        of batch norms are estimated anew in each offspring.
    seed : int
        Of the whole experiment, >= 0; every network's seed derives from it.
    batch_size, learning_rate, weight_decay, optimiser, products, augment
        Of the training.
    t : tuple of float
        Crossover points; 0, 0.5 and 1 must be among them.
    align_n : int
        Training examples that the alignment sees, the first ones in content order.
    estimate_n : int
        Training examples on which batch norms are estimated anew, the first ones too.
    measure_n : int
        Training examples on which the barrier is measured beside the test's, the first ones too.

    Raises
    ------
    ValueError
        If a field leaves its range; the message names the field.

    Examples
    --------
    >>> ModuleConfig("mnist5k", "mlp:width=8", 1, 1, ("naive",)).replace(epochs=2).epochs
    2
    """

    kind: ClassVar[str] = "modules"

    dataset: str
    architecture: str
    epochs: int
    n_pairs: int
    operators: tuple[str, ...]
    seed: int = 0
    batch_size: int = 128
    learning_rate: float = 0.2
    weight_decay: float = 5e-4
    optimiser: str = "sgd"
    products: str = "float32"
    augment: bool = False
    t: tuple[float, ...] = POINTS
    align_n: int = 5000
    estimate_n: int = 2560
    measure_n: int = 5000

    def __post_init__(self):
        for name in ("operators", "t"):
            self._set(name, tuple(checks.as_list(name, getattr(self, name))))
        self._set("dataset", str(self.dataset))
        parse_architecture(self.architecture)
        lowest = {"epochs": 0, "n_pairs": 1, "seed": 0, "batch_size": 1}
        lowest |= {"align_n": 2, "estimate_n": 2, "measure_n": 1}
        for name, low in lowest.items():
            self._set(name, checks.whole_number(name, getattr(self, name), low))
        for name, low in (("learning_rate", math.ulp(0)), ("weight_decay", 0)):
            value = checks.as_number(getattr(self, name))
            if not low <= value < math.inf:
                raise ValueError(f"{name} must be {'positive' if low else '>= 0'}; found {value}")
            self._set(name, value)
        self._set("augment", checks.as_flag("augment", self.augment))
        for name, known in (("optimiser", OPTIMISERS), ("products", PRODUCTS)):
            if getattr(self, name) not in known:
                raise ValueError(checks.unknown(name, getattr(self, name), known))
        self._set("t", tuple(checks.as_number(t) for t in self.t))
        if not {0.0, 0.5, 1.0} <= set(self.t) or len(set(self.t)) != len(self.t):
            raise ValueError(f"t must hold 0, 0.5 and 1, and no point twice; found {self.t}")
        for operator in self.operators:
            base, after = split_after(operator)
            parse_operator(base)
            if after not in ("", "reestimate"):
                raise ValueError(f"modules are not repaired, but reestimated; found {operator!r}")
        if not self.operators or len(set(self.operators)) != len(self.operators):
            raise ValueError(
                f"operators must name at least one, none twice; found {self.operators}"
            )

    def parents_hash(self, fingerprint: str) -> str:
        """Return 12 hexadecimal digits that name the parents of this config."""
        values = {name: getattr(self, name) for name in _OF_PARENTS}
        return config_hash({**values, "kind": self.kind, "dataset": fingerprint})
