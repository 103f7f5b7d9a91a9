"""What an experiment is: a frozen, validated config with a stable hash (Section 5)."""

import math
import os
from dataclasses import dataclass

from .. import checks
from ..alignment.spelling import parse_operator, split_after
from ..crossover.curve import GRID
from ..networks.metrics import SOFTMAX
from ..networks.training import PRODUCTS
from ..runs.config import BaseConfig, config_hash

__all__ = ["ALIGN_SPLITS", "INPUTS", "Config"]

#: Where the alignment batch comes from: the validation examples, on which the loss is measured
#: too (the authors' notebook); the training examples; or the first validation examples, the loss
#: being measured on the rest.
ALIGN_SPLITS = ("validation", "train", "held-out")

#: Inputs as pixels in [0, 1], or standardised by the training pixels' mean and deviation.
INPUTS = ("unit", "standardised")

_MOST_PAIRS = 2**31 - 1  # a record numbers them in 32 bits


@dataclass(frozen=True)
class Config(BaseConfig):
    """One experiment: which parents, which pairs, which operators, measured how.

    Parameters
    ----------
    dataset : str
        A known data set's name, or the path of an ``.npz`` of one's own.
    hidden : tuple of int
        Widths of the hidden layers.
    epochs : int
        Passes over the training examples.
    n_pairs : int
        Pairs of parents; pair i are the networks 2i and 2i + 1, so that fewer pairs are always
        the first ones of more, and 2 n_pairs networks are trained, each from its own seed.
    operators : tuple of str
        Each as `parse_operator` reads it, and perhaps ``+repair`` after it: then the offspring are
        repaired on the alignment batch.
    seed : int
        Of the whole experiment, >= 0; every network's seed derives from it.
    batch_size, learning_rate, products
        Of the training.
    inputs : {"unit", "standardised"}
        Pixels in [0, 1], or shifted and scaled to mean 0 and deviation 1 over the training set.
    t : tuple of float
        Crossover points; 0, 0.5 and 1 must be among them.
    align_split : {"validation", "train", "held-out"}
        Where the alignment batch comes from.
    align_n : int, optional
        Its number of examples, the first ones in content order; None takes all (of "held-out",
        half of the validation examples).
    softmax : str
        As for `cross_entropy`.
    output_bias : bool
        False sets the output layer's biases to 0 before crossing over, as the authors' notebook
        leaves them out.

    Raises
    ------
    ValueError
        If a field leaves its range; the message names the field.

    Examples
    --------
    >>> config = Config("mnist5k", (16,), 1, 2, ("naive", "sc-pwc"))
    >>> config.hash() == Config("mnist5k", [16], 1, 2, ["naive", "sc-pwc"]).hash()
    True
    """

    dataset: str
    hidden: tuple[int, ...]
    epochs: int
    n_pairs: int
    operators: tuple[str, ...]
    seed: int = 0
    batch_size: int = 128
    learning_rate: float = 1e-3
    products: str = "float32"
    inputs: str = "unit"
    t: tuple[float, ...] = GRID
    align_split: str = "validation"
    align_n: int | None = None
    softmax: str = "example"
    output_bias: bool = True

    def __post_init__(self):
        for name in ("hidden", "operators", "t"):
            self._set(name, tuple(checks.as_list(name, getattr(self, name))))
        if not isinstance(self.dataset, str | os.PathLike):
            raise ValueError(f"dataset must be a name or a path; found {self.dataset!r}")
        self._set("dataset", str(self.dataset))
        self._set("t", tuple(_number("t", t) for t in self.t))
        self._set("learning_rate", _number("learning_rate", self.learning_rate))
        self._check_numbers()
        self._check_names()

    def _check_numbers(self) -> None:
        # What comes back is an int whatever the type, so that equal configs have one hash.
        widths = (checks.whole_number("each width in hidden", width, 1) for width in self.hidden)
        self._set("hidden", tuple(widths))
        for name, low in (("epochs", 0), ("n_pairs", 1), ("seed", 0), ("batch_size", 1)):
            self._set(name, checks.whole_number(name, getattr(self, name), low))
        if self.n_pairs > _MOST_PAIRS:
            raise ValueError(f"n_pairs must be at most {_MOST_PAIRS}; found {self.n_pairs}")
        if self.align_n is not None:
            self._set("align_n", checks.whole_number("align_n", self.align_n, 2))
        if not 0 < self.learning_rate < math.inf:
            raise ValueError(
                f"learning_rate must be positive and finite; found {self.learning_rate!r}"
            )
        if not all(map(math.isfinite, self.t)) or not {0.0, 0.5, 1.0} <= set(self.t):
            raise ValueError(f"t must be finite and hold 0, 0.5 and 1; found {self.t}")
        if len(set(self.t)) != len(self.t):
            raise ValueError(f"t must hold no point twice; found {self.t}")
        self._set("output_bias", checks.as_flag("output_bias", self.output_bias))

    def _check_names(self) -> None:
        choices = {
            "products": PRODUCTS,
            "inputs": INPUTS,
            "align_split": ALIGN_SPLITS,
            "softmax": SOFTMAX,
        }
        for field, known in choices.items():
            if not isinstance(getattr(self, field), str) or getattr(self, field) not in known:
                raise ValueError(checks.unknown(field, getattr(self, field), known))
        for operator in self.operators:
            base, after = split_after(operator)
            parse_operator(base)
            if after not in ("", "repair"):
                raise ValueError(f"networks have no batch norms; found operator {operator!r}")
        if not self.operators or len(set(self.operators)) != len(self.operators):
            raise ValueError(
                f"operators must name at least one, none twice; found {list(self.operators)}"
            )

    def parents_hash(self, fingerprint: str) -> str:
        """Return 12 hexadecimal digits that name the parents of this config.

        Configs that differ only in operators, grid, alignment or number of pairs share parents.
        """
        names = ("hidden", "epochs", "seed", "batch_size", "learning_rate", "products", "inputs")
        values = self.to_dict()
        return config_hash({**{name: values[name] for name in names}, "dataset": fingerprint})


def _number(name: str, value) -> float:
    try:
        number = float(value) if isinstance(value, str) else checks.as_number(value)  # YAML's 1e-3
    except ValueError:
        number = math.nan
    if math.isnan(number) and not isinstance(value, float):
        raise ValueError(f"{name} must be a number; found {checks.shown(value)}")
    return number
