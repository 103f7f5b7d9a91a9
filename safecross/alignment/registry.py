"""Every method that aligns two networks: a frozen dataclass of its options, registered by name."""

from dataclasses import asdict, dataclass, fields
from types import MappingProxyType
from typing import ClassVar

from .. import checks

__all__ = ["METHODS", "NEEDS", "OPERATORS", "Method", "Operator", "get_operator", "register"]

#: What a method may need besides the networks' architecture; gradients are those of the loss of
#: labelled examples.
NEEDS = ("nothing", "weights", "activations", "labels", "gradients")

_REGISTRY: dict[str, "Operator"] = {}
_OF_PAPER: dict[str, "Operator"] = {}

#: Every method by name, the paper's first, the others in the order of their names; read-only.
METHODS = MappingProxyType(_REGISTRY)

#: Those of the paper and of its authors' notebook, which the book's chapters on them go through;
#: read-only.
OPERATORS = MappingProxyType(_OF_PAPER)


@dataclass(frozen=True)
class Method:
    """What every method is: a frozen dataclass of its options, called with a problem.

    A subclass has a default for each option, checks its options in ``__post_init__`` and returns
    from ``__call__(problem)`` one `Matching`, `Permutation`, `Linear` or `Merge` for each hidden
    layer of the `Problem`.
    """

    operator: ClassVar["Operator"]
    #: Order in which its options are spelled, where it is not that of the fields.
    spelled: ClassVar[tuple[str, ...]] = ()

    def __call__(self, problem) -> list:
        """Return how the neurons of each hidden layer of a problem correspond."""
        raise NotImplementedError(f"{type(self).__name__} has no rule")

    @property
    def name(self) -> str:
        """How users call it."""
        return self.operator.name

    @property
    def needs(self) -> str:
        """What it needs with these options, one of `NEEDS`."""
        return self.operator.needs

    @property
    def options(self) -> dict:
        """Its options with their values."""
        return asdict(self)

    @property
    def spelling(self) -> str:
        """Name and options in one word, those at their defaults left out."""
        values, defaults = self.options, self.operator.options
        given = [
            f"{name}={_spelled(values[name])}"
            for name in self.spelled or values
            if values[name] != defaults[name]
        ]
        return f"{self.name}:{','.join(given)}" if given else self.name


@dataclass(frozen=True)
class Operator:
    """An entry of the registry.

    Attributes
    ----------
    name : str
        How users call it.
    method : type of Method
        The dataclass of its options.
    source : str
        Paper and section.
    needs : str
        One of `NEEDS`.
    cost : str
        Operations for one layer of h neurons on n examples, with m incoming and o outgoing
        weights a neuron, up to a factor.
    one_to_one : bool
        Whether it always returns permutations, so that both parents keep their functions.
    soft : bool
        Whether it mixes neurons by weights, instead of choosing some.
    equal_widths : bool
        Whether it needs hidden layers of equal width; without it the child has those of a.
    invariant : bool
        Whether the child stays the same if the neurons of a parent are permuted first, as long
        as no two choices tie.
    """

    name: str
    method: type[Method]
    source: str
    needs: str
    cost: str
    one_to_one: bool = True
    soft: bool = False
    equal_widths: bool = True
    invariant: bool = True

    @property
    def summary(self) -> str:
        """One line, the first of the docstring."""
        return self.method.__doc__.strip().partition("\n")[0]

    @property
    def options(self) -> dict:
        """Names of the options with their defaults."""
        return {field.name: field.default for field in fields(self.method)}

    @property
    def preserves_function(self) -> bool:
        """Whether the parents, once aligned, are the functions that they were.

        Of networks with ReLU no other maps keep it but permutations (and positive factors):
        weighted sums of neurons do not commute with the ReLU.
        """
        return self.one_to_one and not self.soft

    def __call__(self, **options) -> Method:
        """Return the method with some options set.

        Raises
        ------
        ValueError
            If an option is unknown or leaves its range.
        """
        for option in options:
            self.check_option(option)
        return self.method(**options)

    def check_option(self, option: str) -> None:
        """Raise ValueError unless the method has an option of that name."""
        if option not in self.options:
            raise ValueError(
                checks.unknown(f"option of operator {self.name!r}", option, self.options)
            )


def register(name: str, *, of_paper: bool = False, **about):
    """Return a decorator that enters a `Method` in the registry.

    Parameters
    ----------
    name : str
        How users call it.
    of_paper : bool
        Whether it is of the paper or of its authors' notebook.
    **about
        Fields of `Operator`.

    Raises
    ------
    ValueError
        If the name is taken, or it needs what no problem has.

    Examples
    --------
    >>> class Nothing(Method):
    ...     '''Pair no neurons.'''
    >>> register("naive", source="", needs="nothing", cost="1")(Nothing)
    Traceback (most recent call last):
    ValueError: there is an operator 'naive' already
    """

    def enter(method: type[Method]) -> type[Method]:
        if name in _REGISTRY:
            raise ValueError(f"there is an operator {name!r} already")
        entry = Operator(name, method, **about)
        if entry.needs not in NEEDS:
            raise ValueError(checks.unknown("need", entry.needs, NEEDS))
        method.operator = entry
        for kept in (_REGISTRY, _OF_PAPER) if of_paper else (_REGISTRY,):
            kept[name] = entry
        for known in (*_OF_PAPER, *sorted(_REGISTRY.keys() - _OF_PAPER.keys())):
            _REGISTRY[known] = _REGISTRY.pop(known)  # now the last
        return method

    return enter


def get_operator(name: str) -> Operator:
    """Return the registry's entry of that name.

    Raises
    ------
    ValueError
        If there is none; the message gives the nearest names.

    Examples
    --------
    >>> get_operator("sc-cca").options["leftover"]
    'index'
    """
    if not isinstance(name, str) or name not in METHODS:
        raise ValueError(checks.unknown("operator", name, METHODS))
    return METHODS[name]


def _spelled(value) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)
