"""How a genetic algorithm makes children: one word that says method, recombination and options."""

from dataclasses import dataclass, fields

from .. import checks
from ..alignment.registry import get_operator
from ..alignment.spelling import literal
from .mating import RECOMBINATIONS

__all__ = ["SAFE", "Arm", "parse_arm"]

#: Kinds of mutation: Gaussian, or the three of `mutate_safely`.
SAFE = ("no", "sum", "abs", "rescaling")


@dataclass(frozen=True)
class Arm:
    """How children are made.

    Attributes
    ----------
    method : str
        Of the registry, one that permutes; ``mutation`` if there is no crossover.
    recombine : str
        A name in `RECOMBINATIONS`; nothing for ``mutation``.
    sigma : float
        Size of the mutation, >= 0.
    scramble : float
        Probability that a parent's neurons are put in a random order before it mates, in [0, 1].
    related : bool
        Whether parents of one founder are left unaligned.
    safe : str
        One of `SAFE`.
    t : float
        Share of the second parent, in [0, 1].
    niche : int
        Most parents of one founder; 0 for no limit.

    Raises
    ------
    ValueError
        If one leaves its range.
    """

    method: str
    recombine: str = ""
    sigma: float = 0.1
    scramble: float = 0.0
    related: bool = False
    safe: str = "no"
    t: float = 0.5
    niche: int = 0

    def __post_init__(self):
        if self.crosses:
            if not get_operator(self.method).preserves_function:
                raise ValueError(
                    f"{self.method} repeats or mixes neurons; expected one that permutes"
                )
            if self.recombine not in RECOMBINATIONS:
                raise ValueError(checks.unknown("recombination", self.recombine, RECOMBINATIONS))
        elif self.recombine or self.related or self.scramble:
            raise ValueError(f"mutation crosses nothing over; found {self}")
        for name, high in (("sigma", float("inf")), ("scramble", 1), ("t", 1)):
            object.__setattr__(self, name, checks.number_in(name, getattr(self, name), 0, high))
        checks.as_flag("related", self.related)
        checks.whole_number("niche", self.niche, 0)
        if self.safe not in SAFE:
            raise ValueError(checks.unknown("kind of safe mutation", self.safe, SAFE))

    @property
    def crosses(self) -> bool:
        """Whether there is crossover."""
        return self.method != "mutation"


def parse_arm(text: str) -> Arm:
    """Return the arm of a word.

    Parameters
    ----------
    text : str
        ``mutation`` or ``method/recombination``, then perhaps ``:option=value,option=value``.

    Raises
    ------
    ValueError
        If a name is unknown, or an option unknown, given twice or out of its range.

    Examples
    --------
    >>> parse_arm("sc-pwc/neuron:scramble=0.25").scramble
    0.25
    >>> parse_arm("mutation:sigma=0.2,safe=sum").safe
    'sum'
    """
    if not isinstance(text, str):
        raise ValueError(f"an arm must be a word; found {checks.shown(text)}")
    how, _, rest = text.partition(":")
    method, _, recombine = how.partition("/")
    known = [field.name for field in fields(Arm)][2:]
    options = {}
    for item in filter(None, rest.split(",")):
        option, _, value = item.partition("=")
        if option not in known:
            raise ValueError(checks.unknown(f"option of arm {text!r}", option, known))
        if option in options or not value:
            raise ValueError(f"expected each option once, with a value, in arm {text!r}")
        options[option] = literal(value)
    return Arm(method, recombine, **options)
