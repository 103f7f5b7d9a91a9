"""The paper's ways to align two networks (Section 4), and the calls that all methods share."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from .. import checks
from ..networks.network import Network, check_same_architecture
from .activations import activations
from .alignment import Alignment
from .cca import check_cca_options
from .correlation import LayerPair
from .matching import (
    LEFTOVER,
    Matching,
    complete,
    match_components,
    match_one_to_one,
    semi_match,
)
from .problem import Problem
from .registry import METHODS as METHODS
from .registry import OPERATORS as OPERATORS
from .registry import (
    Method,
    Operator,
    get_operator,
    register,
)

__all__ = [
    "RULES",
    "BiasSort",
    "Naive",
    "Operator",
    "ScCca",
    "ScPwc",
    "ScPwcSemi",
    "align",
    "align_layers",
    "as_method",
    "get_operator",
    "layer_pairs",
    "match_layers",
]


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
    return _layer_pairs(theta_a, theta_b, x)


def _layer_pairs(theta_a: Network, theta_b: Network, x) -> list[LayerPair]:
    views = zip(activations(theta_a, x), activations(theta_b, x), strict=True)
    return [LayerPair(la, lb) for la, lb in views]


def align(
    theta_a: Network,
    theta_b: Network,
    x=None,
    operator: str | Method = "sc-pwc",
    *,
    y=None,
    **options,
) -> Alignment:
    """Return how an operator pairs the neurons of two networks.

    Parameters
    ----------
    theta_a, theta_b : Network
        Parents of one architecture; some methods take hidden layers of other widths.
    x : array_like, shape (n, m)
        The batch of examples on which neurons are compared (Section 3.1). Methods that need
        weights only do without.
    operator : str or Method
        A name in `METHODS`, or one of its dataclasses.
    y : array_like of int, shape (n,), optional
        Labels of the examples; methods that need gradients of the loss ask for them.
    **options
        The operator's options, such as ``directions=256`` of ``sc-cca``.

    Returns
    -------
    Alignment
        One matching, or one soft map, for each hidden layer.

    Raises
    ------
    ValueError
        If the operator or an option is unknown, an option leaves its range, the architectures
        differ, the batch is unusable, or labels are asked for and not given.

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
    method = as_method(operator, **options)
    _check_architectures(theta_a, theta_b, method)
    pairs = None if x is None else _layer_pairs(theta_a, theta_b, x)
    return match_layers(theta_a, theta_b, pairs, method, x=x, y=y)


def align_layers(
    theta_a: Network,
    theta_b: Network,
    pairs: Sequence[LayerPair],
    operator: str | Method,
    *,
    x=None,
    y=None,
    **options,
) -> Alignment:
    """Return `align` from layer pairs at hand, whose statistics several operators share.

    Parameters
    ----------
    theta_a, theta_b : Network
        As for `align`.
    pairs : sequence of LayerPair
        As `layer_pairs` returns them.
    operator, y, **options
        As for `align`.
    x : array_like, shape (n, m), optional
        The examples themselves, for methods that need gradients of the loss.

    Returns
    -------
    Alignment
        One matching, or one soft map, for each hidden layer.

    Raises
    ------
    ValueError
        As `align`.
    """
    method = as_method(operator, **options)
    _check_architectures(theta_a, theta_b, method)
    pairs = checks.as_list("pairs", pairs)
    if len(pairs) != theta_a.depth:
        raise ValueError(
            f"expected {theta_a.depth} layer pairs, one for each hidden layer; found {len(pairs)}"
        )
    return match_layers(theta_a, theta_b, pairs, method, x=x, y=y)


def match_layers(
    theta_a, theta_b, pairs, operator: str | Method, *, spec=None, x=None, y=None, **options
):
    """Return `align_layers` of anything that has widths and biases, such as a module's groups.

    Parameters
    ----------
    theta_a, theta_b : objects with ``widths`` and ``biases``
        As a `Network` has them; neither is checked. Methods that compare weights need ``state``
        too, the tensors by name; those that need gradients ``logits``, a function of such a state
        and of a batch.
    pairs : sequence of LayerPair, or None
        As for `align_layers`.
    operator, **options
        As for `align`.
    spec : Spec, optional
        Groups of the models, in the order of `pairs`.
    x, y : optional
        As for `Problem`.

    Raises
    ------
    ValueError
        If the operator or an option is unknown.
    """
    method = as_method(operator, **options)
    problem = Problem(theta_a, theta_b, pairs, spec, x, y)
    return Alignment(method.name, tuple(method(problem)))


def as_method(operator: str | Method, **options) -> Method:
    """Return the method of a name and options, or the one that is given.

    Parameters
    ----------
    operator : str or Method
        A name in `METHODS`, or a method with its options.
    **options
        Of the name.

    Raises
    ------
    ValueError
        If the name or an option is unknown, an option leaves its range, or a method that has its
        options is given more.

    Examples
    --------
    >>> as_method("sc-cca", directions=8).spelling
    'sc-cca:directions=8'
    """
    if not isinstance(operator, Method):
        return get_operator(operator)(**options)
    if options:
        raise ValueError(f"{operator!r} has its options; found {checks.shown(options)} beside it")
    return operator


def _check_architectures(theta_a: Network, theta_b: Network, method: Method) -> None:
    """Raise ValueError unless the method can align networks of these architectures."""
    networks = all(isinstance(theta, Network) for theta in (theta_a, theta_b))
    if not networks or method.operator.equal_widths or theta_a.widths == theta_b.widths:
        check_same_architecture(theta_a, theta_b)
        return
    ends = [(theta.widths[0], theta.widths[-1], theta.depth) for theta in (theta_a, theta_b)]
    if ends[0] != ends[1] or theta_a.device != theta_b.device:
        raise ValueError(
            f"{method.name} aligns hidden layers of any widths, but the networks must have the "
            f"same inputs, outputs, depth and device; found {theta_a!r} and {theta_b!r}"
        )


_PAPER = "Uriot and Izzo 2020"


@register(
    "naive", of_paper=True, source=f"{_PAPER}, Eq. 4", needs="nothing", cost="1", invariant=False
)
@dataclass(frozen=True)
class Naive(Method):
    """Neurons stay where they are (Eq. 4)."""

    def __call__(self, problem: Problem) -> list[Matching]:
        """Return each layer's neurons in their order."""
        return [Matching(np.arange(p), np.arange(p)) for p in problem.widths_a]


@register(
    "bias-sort",
    of_paper=True,
    source="Thierens 1996; Uriot and Izzo 2020, Section 1",
    needs="weights",
    cost="h log h",
)
@dataclass(frozen=True)
class BiasSort(Method):
    """Neurons sorted by their bias in ascending order (Thierens 1996, Section 1)."""

    def __call__(self, problem: Problem) -> list[Matching]:
        """Return each layer's neurons in the order of their biases."""
        return [
            Matching(*(layer.cpu().double().argsort(stable=True).numpy() for layer in (a, b)))
            for a, b in zip(problem.theta_a.biases[:-1], problem.theta_b.biases[:-1], strict=True)
        ]


#: Ways to read pairs of neurons off the canonical weights, by name; `sc-cca` has them as ``rule``.
RULES = {"ends": match_components}


@register(
    "sc-cca",
    of_paper=True,
    source=f"{_PAPER}, Section 4.1, Algorithm 1",
    needs="activations",
    cost="n h^2 + h^3",
)
@dataclass(frozen=True)
class ScCca(Method):
    """Algorithm 1 on the canonical weights of CCA, SVCCA or ridge CCA (Section 4.1).

    Parameters
    ----------
    directions, ridge, standardise, penalty, weights
        As for `safecross.cca`.
    leftover : {"index", "correlation"}
        How neurons that no component chose are paired; see `complete`.
    rule : {"ends", "rank"}
        `match_components` of the paper, or `match_components_by_rank` of the authors' notebook.
    """

    directions: int | float | None = None
    ridge: float = 0.0
    leftover: str = "index"
    rule: str = "ends"
    standardise: bool = True
    penalty: str = "norm"
    weights: str = "canonical"
    # As published records spell them.
    spelled: ClassVar[tuple[str, ...]] = (
        "directions",
        "ridge",
        "penalty",
        "standardise",
        "weights",
        "rule",
        "leftover",
    )

    def __post_init__(self):
        self._check(self.directions)

    def _check(self, directions) -> None:
        if not isinstance(self.rule, str) or self.rule not in RULES:
            raise ValueError(checks.unknown("rule of Algorithm 1", self.rule, RULES))
        if not isinstance(self.leftover, str) or self.leftover not in LEFTOVER:
            raise ValueError(checks.unknown("leftover rule", self.leftover, LEFTOVER))
        check_cca_options(directions=directions, **self._of_cca)

    @property
    def _of_cca(self) -> dict:
        names = ("ridge", "standardise", "penalty", "weights")
        return {name: getattr(self, name) for name in names}

    def __call__(self, problem: Problem) -> list[Matching]:
        """Return the pairs of Algorithm 1, then the leftover ones.

        Raises
        ------
        ValueError
            If there are more directions than neurons in the widest layer.
        """
        matchings = []
        for pair, result in problem.ccas(self.directions, **self._of_cca):
            found = RULES[self.rule](result.weights_a, result.weights_b)
            rest = pair.between if self.leftover == "correlation" else None
            matchings.append(complete(found, *pair.sizes, rest))
        return matchings


@register(
    "sc-pwc",
    of_paper=True,
    source=f"{_PAPER}, Section 4.2",
    needs="activations",
    cost="n h^2 + h^3",
)
@dataclass(frozen=True)
class ScPwc(Method):
    """One-to-one matching with the largest sum of correlations (Section 4.2)."""

    def __call__(self, problem: Problem) -> list[Matching]:
        """Return each layer's `match_one_to_one`."""
        return [match_one_to_one(pair.between) for pair in problem.pairs]


@register(
    "sc-pwc-semi",
    of_paper=True,
    source=f"{_PAPER}, Section 4.2; Li et al. 2016, Section 3.1",
    needs="activations",
    cost="n h^2",
    one_to_one=False,
)
@dataclass(frozen=True)
class ScPwcSemi(Method):
    """Semi-matching: each neuron of a picks its most correlated one of b (Section 4.2)."""

    def __call__(self, problem: Problem) -> list[Matching]:
        """Return each layer's `semi_match`."""
        return [semi_match(pair.between, each="a") for pair in problem.pairs]
