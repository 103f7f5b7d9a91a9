"""The named ways to align two networks, in one registry with one signature (Section 4)."""

import inspect
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from types import MappingProxyType

import numpy as np

from . import checks
from .activations import activations
from .alignment import Alignment
from .cca import cca_of_pair, check_cca_options
from .correlation import LayerPair
from .matching import (
    LEFTOVER,
    Matching,
    complete,
    match_components,
    match_components_by_rank,
    match_greedy,
    match_one_to_one,
    semi_match,
)
from .network import Network, check_same_architecture

__all__ = [
    "OPERATORS",
    "Operator",
    "align",
    "align_layers",
    "get_operator",
    "layer_pairs",
    "match_layers",
]

_REGISTRY: dict[str, "Operator"] = {}

#: All operators by name; read-only.
OPERATORS = MappingProxyType(_REGISTRY)


def _accept(**options) -> None:
    """Find nothing wrong with an operator's options."""


@dataclass(frozen=True)
class Operator:
    """An entry of the registry.

    Attributes
    ----------
    name : str
        How users call it.
    match : callable
        ``match(theta_a, theta_b, pairs, **options)`` returns one `Matching` for each hidden
        layer; `pairs` are the `LayerPair` of the hidden layers.
    summary : str
        One line, with its source in the paper.
    one_to_one : bool
        Whether it always returns permutations, so that both parents keep their functions.
    check : callable
        ``check(**options)`` raises ValueError where a value can be seen to be wrong before there
        are networks.
    """

    name: str
    match: Callable[..., list[Matching]]
    summary: str
    one_to_one: bool = True
    check: Callable[..., None] = _accept

    @property
    def options(self) -> dict:
        """Names of the options with their defaults."""
        parameters = list(inspect.signature(self.match).parameters.values())[3:]
        return {p.name: p.default for p in parameters}


def _operator(name: str, one_to_one: bool = True, check=_accept):
    def register(match):
        _REGISTRY[name] = Operator(name, match, inspect.getdoc(match), one_to_one, check)
        return match

    return register


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
    if not isinstance(name, str) or name not in OPERATORS:
        raise ValueError(checks.unknown("operator", name, OPERATORS))
    return OPERATORS[name]


def layer_pairs(theta_a: Network, theta_b: Network, x) -> list[LayerPair]:
    """Return both networks' activations on the same examples, paired hidden layer by layer.

    Parameters
    ----------
    theta_a, theta_b : Network
        Parents of one architecture.
    x : array_like, shape (n, m)
        The batch to align on.

    Raises
    ------
    ValueError
        If the architectures differ or the batch is empty, not finite or of the wrong width.
    """
    check_same_architecture(theta_a, theta_b)
    views = zip(activations(theta_a, x), activations(theta_b, x), strict=True)
    return [LayerPair(la, lb) for la, lb in views]


def align(theta_a: Network, theta_b: Network, x, operator: str = "sc-pwc", **options) -> Alignment:
    """Return how an operator pairs the neurons of two networks.

    Parameters
    ----------
    theta_a, theta_b : Network
        Parents of one architecture.
    x : array_like, shape (n, m)
        The batch of examples on which neurons are compared (Section 3.1).
    operator : str
        A name in `OPERATORS`.
    **options
        The operator's options, such as ``directions=256`` of ``sc-cca``.

    Returns
    -------
    Alignment
        One matching for each hidden layer.

    Raises
    ------
    ValueError
        If the operator or an option is unknown, an option leaves its range, the architectures
        differ or the batch is unusable.

    Notes
    -----
    Source: Section 4.

    Examples
    --------
    >>> import torch
    >>> from safecross import initialise, permute
    >>> theta, x = initialise([5, 3, 2], seed=0), torch.rand(50, 5)
    >>> align(theta, permute(theta, [[2, 0, 1]]), x).lists_b
    [array([1, 2, 0])]
    """
    get_operator(operator)
    return align_layers(theta_a, theta_b, layer_pairs(theta_a, theta_b, x), operator, **options)


def align_layers(
    theta_a: Network, theta_b: Network, pairs: Sequence[LayerPair], operator: str, **options
) -> Alignment:
    """Return `align` from layer pairs at hand, whose statistics several operators share.

    Parameters
    ----------
    theta_a, theta_b : Network
        Parents of one architecture.
    pairs : sequence of LayerPair
        As `layer_pairs` returns them.
    operator, **options
        As for `align`.

    Returns
    -------
    Alignment
        One matching for each hidden layer.

    Raises
    ------
    ValueError
        As `align`.
    """
    check_same_architecture(theta_a, theta_b)
    pairs = checks.as_list("pairs", pairs)
    if len(pairs) != theta_a.depth:
        raise ValueError(
            f"expected {theta_a.depth} layer pairs, one for each hidden layer; found {len(pairs)}"
        )
    return match_layers(theta_a, theta_b, pairs, operator, **options)


def match_layers(theta_a, theta_b, pairs: Sequence[LayerPair], operator: str, **options):
    """Return `align_layers` of anything that has widths and biases, such as a module's groups.

    Parameters
    ----------
    theta_a, theta_b : objects with ``widths`` and ``biases``
        As a `Network` has them; neither is checked.
    pairs, operator, **options
        As for `align_layers`.

    Raises
    ------
    ValueError
        If the operator or an option is unknown.
    """
    entry = get_operator(operator)
    for option in options:
        if option not in entry.options:
            raise ValueError(
                checks.unknown(f"option of operator {operator!r}", option, entry.options)
            )
    return Alignment(operator, tuple(entry.match(theta_a, theta_b, pairs, **options)))


@_operator("naive")
def _naive(theta_a, theta_b, pairs):
    """Neurons stay where they are (Eq. 4)."""
    return [Matching(np.arange(p), np.arange(p)) for p in theta_a.widths[1:-1]]


@_operator("bias-sort")
def _bias_sort(theta_a, theta_b, pairs):
    """Neurons sorted by their bias in ascending order (Thierens 1996, Section 1)."""
    return [
        Matching(*(layer.cpu().double().argsort(stable=True).numpy() for layer in (a, b)))
        for a, b in zip(theta_a.biases[:-1], theta_b.biases[:-1], strict=True)
    ]


_RULES = {"ends": match_components, "rank": match_components_by_rank}


def _check_sc_cca(leftover="index", rule="ends", standardise=True, **of_cca):
    if not isinstance(rule, str) or rule not in _RULES:
        raise ValueError(checks.unknown("rule of Algorithm 1", rule, _RULES))
    if not isinstance(leftover, str) or leftover not in LEFTOVER:
        raise ValueError(checks.unknown("leftover rule", leftover, LEFTOVER))
    check_cca_options(standardise=standardise, **of_cca)


@_operator("sc-cca", check=_check_sc_cca)
def _sc_cca(
    theta_a,
    theta_b,
    pairs,
    directions=None,
    ridge=0.0,
    leftover="index",
    rule="ends",
    standardise=True,
    penalty="norm",
    weights="canonical",
):
    """Algorithm 1 on the canonical weights of CCA, SVCCA or ridge CCA (Section 4.1)."""
    counted = directions is not None and not isinstance(directions, float)
    if counted:
        checks.whole_number("directions", directions, 1, max(theta_a.widths[1:-1], default=1))
    of_cca = {"ridge": ridge, "penalty": penalty, "weights": weights}
    _check_sc_cca(leftover, rule, standardise, directions=directions, **of_cca)
    matchings = []
    for pair in pairs:
        # Hidden layers may differ in width: a narrow one keeps all the directions that it has.
        kept = min(directions, *pair.sizes) if counted else directions
        result = cca_of_pair(pair, directions=kept, standardise=standardise, **of_cca)
        found = _RULES[rule](result.weights_a, result.weights_b)
        rest = pair.between if leftover == "correlation" else None
        matchings.append(complete(found, *pair.sizes, rest))
    return matchings


@_operator("sc-pwc")
def _sc_pwc(theta_a, theta_b, pairs):
    """One-to-one matching with the largest sum of correlations (Section 4.2)."""
    return [match_one_to_one(pair.between) for pair in pairs]


@_operator("sc-pwc-semi", one_to_one=False)
def _sc_pwc_semi(theta_a, theta_b, pairs):
    """Semi-matching: each neuron of a picks its most correlated one of b (Section 4.2)."""
    return [semi_match(pair.between, each="a") for pair in pairs]


@_operator("sc-pwc-semi-b", one_to_one=False)
def _sc_pwc_semi_b(theta_a, theta_b, pairs):
    """Semi-matching in the other direction: each neuron of b picks in a (authors' notebook)."""
    return [semi_match(pair.between, each="b") for pair in pairs]


@_operator("sc-pwc-greedy")
def _sc_pwc_greedy(theta_a, theta_b, pairs):
    """One-to-one in the greedy order of the authors' notebook, in place of the optimal one."""
    return [match_greedy(pair.between) for pair in pairs]
