"""Many networks at once: their neurons in one frame, and what is made of all of them."""

from collections.abc import Callable
from typing import NamedTuple

import numpy as np
import torch

from .. import checks
from ..alignment.activations import activations
from ..alignment.correlation import correlation
from ..alignment.matching import Matching, match_one_to_one
from ..alignment.operators import align, as_method
from ..alignment.registry import Method
from ..crossover.repair import preactivation_statistics, renew
from ..modules.many import match_cyclic
from ..networks.linalg import affine
from ..networks.network import Network, check_same_architecture, stack

__all__ = [
    "ACTIVATIONS",
    "AlignedPopulation",
    "Matched",
    "align_population",
    "check_population",
    "greedy_soup",
    "hidden_layers",
    "matched",
    "mean",
    "medoid",
    "reorder",
    "repaired_mean",
    "scramble",
]


#: What may stand between the layers of a population that is aligned.
ACTIVATIONS = ("relu", "tanh")

_NUDGE = 1e-9  # to the identity among ties; correlations are never so close by chance


class AlignedPopulation(NamedTuple):
    """A population in one frame.

    Attributes
    ----------
    population : Network
        The members, each the function that it was.
    orders : list of torch.Tensor of int64, each of shape (n, p_d)
        For each hidden layer and member the neuron that came to each place.
    reference : int
        The member whose frame it is.
    signs : list of torch.Tensor, each of shape (n, p_d), or None
        For tanh 1, or -1 for what comes there negated.
    """

    population: Network
    orders: list[torch.Tensor]
    reference: int
    signs: list[torch.Tensor] | None = None


def check_population(name: str, population) -> Network:
    """Return a population as it is, or raise TypeError or ValueError if it is none.

    Parameters
    ----------
    name : str
        What the message calls it.
    population : Network
        With one leading dimension and at least one member.

    Examples
    --------
    >>> from safecross import initialise
    >>> check_population("parents", initialise([2, 3, 1], [0, 1]))
    Network(2-3-1, population (2,))
    """
    if not isinstance(population, Network):
        raise TypeError(
            f"{name} must be a population, a Network with a leading dimension (see "
            f"safecross.stack); found {checks.shown(population)}"
        )
    if len(population.batch_shape) != 1 or not population.batch_shape[0]:
        raise ValueError(
            f"{name} must be a population of at least one network, shape (n,); found {population!r}"
        )
    return population


class Matched(NamedTuple):
    """How networks' neurons must be moved to stand as those of their partners.

    Attributes
    ----------
    orders : list of torch.Tensor of int64, each of shape (n, p_d)
        For each hidden layer and network the neuron that comes to each place.
    signs : list of torch.Tensor, each of shape (n, p_d), or None
        1, or -1 for what comes there negated; None for ReLU, whose neurons have no negative.
    """

    orders: list[torch.Tensor]
    signs: list[torch.Tensor] | None = None


def matched(
    theirs: Network,
    others: Network,
    x,
    method: str | Method = "sc-pwc",
    activation: str = "relu",
) -> Matched:
    r"""Return how each network's neurons must be moved to stand as those of its partner.

    Parameters
    ----------
    theirs, others : Network
        Two populations of n networks of one architecture; the i-th are partners.
    x : array_like, shape (m, inputs)
        Examples on which neurons are compared.
    method : str or Method
        Of the registry; one that returns permutations.
    activation : str
        A name in `ACTIVATIONS`: what stands between the layers. Networks of tanh take the methods
        ``sc-pwc``, on absolute correlations, and ``naive``.

    Raises
    ------
    ValueError
        If the architectures or numbers differ, the examples are unusable, the method repeats or
        mixes neurons or is not for this activation, or the activation is unknown.

    Notes
    -----
    Correlations of all pairs are computed together, which for many small networks is what takes
    the time; the assignments follow one by one. Among ties the identity is preferred. A tanh unit
    is the same function if its incoming and outgoing weights and its bias change sign, as
    :math:`\tanh(-z) = -\tanh z`: it may then be matched with one that correlates negatively.
    Source: Hecht-Nielsen 1990, for the symmetry.

    Examples
    --------
    >>> from safecross import initialise
    >>> theirs = initialise([5, 4, 2], [0, 1])
    >>> matched(theirs, theirs, torch.rand(20, 5)).orders
    [tensor([[0, 1, 2, 3],
            [0, 1, 2, 3]])]
    """
    method = as_method(method)
    _check_activation(activation)
    if not method.operator.preserves_function:
        raise ValueError(
            f"{method.name} repeats or mixes neurons; populations need a method that permutes them"
        )
    theirs, others = (check_population("each side", side) for side in (theirs, others))
    check_same_architecture(theirs, others)
    if theirs.batch_shape != others.batch_shape:
        raise ValueError(f"expected as many partners; found {theirs!r} and {others!r}")
    n = theirs.batch_shape[0]
    if method.name == "naive":
        return Matched([torch.arange(p).repeat(n, 1) for p in theirs.widths[1:-1]])
    if method.name == "sc-pwc":
        layers = (hidden_layers(side, x, activation) for side in (theirs, others))
        between = [correlation(la, lb) for la, lb in zip(*layers, strict=True)]
        if activation == "relu":
            return Matched([_orders(one) for one in between])
        orders = [_orders(one.abs()) for one in between]
        pairs = zip(between, orders, strict=True)
        return Matched(orders, [_signs(one, order) for one, order in pairs])
    if activation != "relu":
        raise ValueError(
            f"networks of {activation} are aligned by sc-pwc (or naive); found {method.name}"
        )
    found = [align(theirs[i], others[i], x, method).matchings for i in range(n)]
    return Matched(
        [torch.stack([_order(one) for one in layer]) for layer in zip(*found, strict=True)]
    )


@torch.no_grad()
def hidden_layers(population: Network, x, activation: str = "relu") -> list[torch.Tensor]:
    """Return the activations of each hidden layer, shapes (n, m, p_d).

    Parameters
    ----------
    population : Network
        Weights and biases; one network or many.
    x : array_like, shape (m, inputs)
        Examples.
    activation : str
        A name in `ACTIVATIONS`: what stands between the layers.

    Examples
    --------
    >>> from safecross import initialise
    >>> (layer,) = hidden_layers(initialise([2, 3, 1], 0), torch.rand(5, 2) - 0.5, "tanh")
    >>> layer.shape, bool((layer < 0).any())
    (torch.Size([5, 3]), True)
    """
    if _check_activation(activation) == "relu":
        return activations(population, x)
    layer, layers = population.inputs(x), []
    for weight, bias in zip(population.weights[:-1], population.biases[:-1], strict=True):
        layer = affine(layer, weight, bias).tanh()
        layers.append(layer)
    return layers


def _check_activation(activation: str) -> str:
    if not isinstance(activation, str) or activation not in ACTIVATIONS:
        raise ValueError(checks.unknown("activation", activation, ACTIVATIONS))
    return activation


def _orders(alike: torch.Tensor) -> torch.Tensor:
    # Dead neurons correlate with none: without this they would be shuffled.
    nudged = alike + _NUDGE * torch.eye(alike.shape[-1], dtype=alike.dtype)
    return torch.stack([_order(match_one_to_one(one)) for one in nudged])


def _order(matching: Matching) -> torch.Tensor:
    return torch.from_numpy(matching.lb[np.argsort(matching.la)])


def _signs(between: torch.Tensor, order: torch.Tensor) -> torch.Tensor:
    """Return the signs of the correlations of what is matched; 1 where there is none."""
    kept = torch.take_along_dim(between, order.to(between.device)[:, :, None], -1).squeeze(-1)
    return 1 - 2 * (kept < 0).to(between.dtype)


def reorder(population: Network, orders, signs=None) -> Network:
    """Return a population with each member's neurons in an order of its own, perhaps negated.

    Parameters
    ----------
    population : Network
        Of n members.
    orders : sequence of torch.Tensor of int64, each of shape (n, p_d)
        For each hidden layer and member the neuron that comes to each place.
    signs : sequence of torch.Tensor, each of shape (n, p_d), optional
        1, or -1 for what comes there negated: for tanh, not for ReLU.

    Returns
    -------
    Network
        Each member the same function, if its orders are permutations.

    Raises
    ------
    ValueError
        If the orders or signs do not fit.

    Examples
    --------
    >>> from safecross import initialise
    >>> theta = initialise([2, 3, 1], [0, 1])
    >>> there, back = torch.tensor([[2, 0, 1]] * 2), torch.tensor([[1, 2, 0]] * 2)
    >>> torch.equal(reorder(reorder(theta, [there]), [back]).weights[0], theta.weights[0])
    True
    """
    check_population("the population", population)
    orders = _each_layer("orders", orders, population)
    for d, (order, p) in enumerate(zip(orders, population.widths[1:], strict=False), start=1):
        if order.is_floating_point() or not 0 <= int(order.min()) <= int(order.max()) < p:
            raise ValueError(f"orders of layer {d} must hold whole numbers in [0, {p})")
    if signs is not None:
        signs = _each_layer("signs", signs, population)
        for d, sign in enumerate(signs, start=1):
            if not (sign.abs() == 1).all():
                raise ValueError(f"signs of layer {d} must be 1 or -1; found {sign.unique()}")
    weights, biases = list(population.weights), list(population.biases)
    for d, order in enumerate(orders):
        order = order.to(population.device)
        weights[d] = torch.take_along_dim(weights[d], order[:, None, :], -1)
        biases[d] = torch.take_along_dim(biases[d], order, -1)
        weights[d + 1] = torch.take_along_dim(weights[d + 1], order[:, :, None], -2)
        if signs is not None:
            sign = signs[d].to(weights[d])
            weights[d], biases[d] = weights[d] * sign[:, None, :], biases[d] * sign
            weights[d + 1] = weights[d + 1] * sign[:, :, None]
    return Network(weights, biases)


def _each_layer(name: str, values, population: Network) -> list[torch.Tensor]:
    found = [torch.as_tensor(one) for one in checks.as_list(name, values)]
    expected = [(population.batch_shape[0], p) for p in population.widths[1:-1]]
    if [tuple(one.shape) for one in found] != expected:
        raise ValueError(
            f"expected {name} of shapes {expected}; found {[tuple(one.shape) for one in found]}"
        )
    return found


def scramble(population: Network, rng: torch.Generator, rate: float = 1.0) -> Network:
    """Return a population in which members have their hidden neurons in random orders.

    Nothing changes but the order: each member stays the function that it was.

    Parameters
    ----------
    population : Network
        Of n members.
    rng : torch.Generator
        Source of the orders.
    rate : float
        Probability that a member is scrambled, in [0, 1].

    Examples
    --------
    >>> from safecross import initialise
    >>> theta, x = initialise([2, 3, 1], [0, 1]), torch.rand(5, 2)
    >>> other = scramble(theta, torch.Generator().manual_seed(0))
    >>> torch.allclose(other(x), theta(x), atol=1e-6)
    True
    """
    check_population("the population", population)
    rate = checks.number_in("rate", rate, 0, 1)
    n = population.batch_shape[0]
    chosen = torch.rand(n, generator=rng) < rate
    orders = []
    for p in population.widths[1:-1]:
        random = torch.rand(n, p, generator=rng).argsort(-1)
        orders.append(torch.where(chosen[:, None], random, torch.arange(p)))
    return reorder(population, orders)


def align_population(
    population: Network,
    x,
    *,
    reference: int | str = 0,
    method: str | Method = "sc-pwc",
    activation: str = "relu",
) -> AlignedPopulation:
    """Return all members of a population in one frame.

    After this any two members can be mated or averaged without matching them again: once for n
    networks, instead of once for each pair.

    Parameters
    ----------
    population : Network
        Of n members, one architecture.
    x : array_like, shape (m, inputs)
        Examples on which neurons are compared.
    reference : int, "medoid" or "cycle-consistent"
        The member whose frame it becomes; ``"medoid"`` takes the one that `medoid` finds;
        ``"cycle-consistent"`` matches all members with all others together, as
        `safecross.match_cyclic` does, in the frame of the first: for ``sc-pwc`` and ReLU.
    method : str or Method
        Of the registry; one that returns permutations.
    activation : str
        A name in `ACTIVATIONS`: what stands between the layers. For tanh, neurons are negated too.

    Raises
    ------
    ValueError
        If there is no such member, the examples are unusable, the method repeats or mixes
        neurons, or what was asked for does not go together.

    Examples
    --------
    >>> from safecross import initialise
    >>> theta, x = initialise([5, 4, 2], [3]), torch.rand(50, 5)
    >>> copies = Network([w.repeat(6, 1, 1) for w in theta.weights],
    ...                  [b.repeat(6, 1) for b in theta.biases])
    >>> mixed = scramble(copies, torch.Generator().manual_seed(0))
    >>> found = align_population(mixed, x)
    >>> torch.equal(found.population.weights[0][4], mixed.weights[0][0])
    True
    """
    check_population("the population", population)
    _check_activation(activation)
    n = population.batch_shape[0]
    if reference == "cycle-consistent":
        if as_method(method).name != "sc-pwc" or activation != "relu":
            raise ValueError(
                "the cycle-consistent frame is for networks of relu and the method sc-pwc; found "
                f"{activation} and {as_method(method).name}"
            )
        orders = _cyclic_orders(population, x)
        return AlignedPopulation(reorder(population, orders), orders, 0)
    if reference == "medoid":
        reference = medoid(population, x, activation)
    named = 'reference, unless "medoid" or "cycle-consistent",'
    reference = checks.whole_number(named, reference, 0, n - 1)
    theirs = _repeated(population[reference], n)
    orders, signs = matched(theirs, population, x, method, activation)
    for order in orders:  # it stays as it is, also where a method sorts both partners
        order[reference] = torch.arange(order.shape[-1])
    return AlignedPopulation(reorder(population, orders, signs), orders, reference, signs)


def _cyclic_orders(population: Network, x) -> list[torch.Tensor]:
    maps = [list(move.maps.values()) for move in match_cyclic(population, x=x)]
    return [torch.stack([one.order for one in layer]) for layer in zip(*maps, strict=True)]


def medoid(population: Network, x, activation: str = "relu") -> int:
    r"""Return the member that all others resemble most.

    .. math:: \arg\max_i \sum_j \sum_d \overline{\max_\pi \mathrm{corr}}(L^d_i, \pi L^d_j)

    the correlation of matched neurons, of tanh its absolute value, averaged over each layer.

    Parameters
    ----------
    population : Network
        Of n members; n (n - 1) / 2 pairs are matched.
    x : array_like, shape (m, inputs)
        Examples on which neurons are compared.
    activation : str
        A name in `ACTIVATIONS`.

    Examples
    --------
    >>> from safecross import initialise
    >>> medoid(initialise([5, 4, 2], [0, 1, 0]), torch.rand(50, 5)) in (0, 2)
    True
    """
    layers = hidden_layers(check_population("the population", population), x, activation)
    n = population.batch_shape[0]
    alike = np.zeros((n, n))
    for layer in layers:
        for i in range(n - 1):
            between = correlation(layer[i].expand_as(layer[i + 1 :]), layer[i + 1 :])
            between = between if activation == "relu" else between.abs()
            for j, one in enumerate(between, start=i + 1):
                pairs = match_one_to_one(one)
                alike[i, j] += float(one[pairs.la, pairs.lb].mean())
    return int((alike + alike.T).sum(1).argmax())


def mean(population: Network) -> Network:
    """Return the network whose weights and biases are the means of the members'.

    Examples
    --------
    >>> from safecross import initialise
    >>> mean(initialise([2, 3, 1], [0, 1]))
    Network(2-3-1)
    """
    check_population("the population", population)
    return Network([w.mean(0) for w in population.weights], [b.mean(0) for b in population.biases])


def repaired_mean(population: Network, x) -> Network:
    r"""Return the mean of a population, its neurons' statistics renewed (REPAIR).

    .. math:: \mu = \frac1n \sum_i \mu_i, \qquad \sigma = \frac1n \sum_i \sigma_i

    Parameters
    ----------
    population : Network
        Of n aligned members.
    x : array_like, shape (m, inputs)
        Examples for the statistics.

    Notes
    -----
    For two members it is `safecross.repair` at t = 0.5. Source: REPAIR, Jordan et al. 2023,
    Section 4, for any number of networks.

    Examples
    --------
    >>> from safecross import initialise
    >>> repaired_mean(initialise([2, 3, 1], [0, 1]), torch.rand(9, 2))
    Network(2-3-1)
    """
    members = [population[i] for i in range(len(check_population("it", population).weights[0]))]
    found = [preactivation_statistics(member, x) for member in members]
    goals = [
        tuple(torch.stack(part).mean(0) for part in zip(*layer, strict=True))
        for layer in zip(*found, strict=True)
    ]
    return renew(mean(population), goals[:-1], x)


def greedy_soup(
    population: Network, score: Callable[[Network], float]
) -> tuple[Network, list[int]]:
    """Return the mean of those members that, added one by one from the best, do no harm.

    Parameters
    ----------
    population : Network
        Of n members in one frame.
    score : callable
        Of a network, larger is better, on examples that were held out.

    Returns
    -------
    soup : Network
        Never worse, by `score`, than the best member.
    members : list of int
        Those that were kept, the best first.

    Notes
    -----
    Source: Wortsman et al. 2022, Recipe 1.

    Examples
    --------
    >>> from safecross import initialise
    >>> theta = initialise([2, 3, 1], [0, 1, 2])
    >>> greedy_soup(theta, lambda network: -float(network.weights[0].norm()))[1]
    [1, 2]
    """
    check_population("the population", population)
    scores = [float(score(population[i])) for i in range(population.batch_shape[0])]
    kept: list[int] = []
    best, soup = -float("inf"), None
    for member in sorted(range(len(scores)), key=lambda i: -scores[i]):
        candidate = mean(population[[*kept, member]])
        found = float(score(candidate))
        if soup is None or found >= best:
            kept.append(member)
            best, soup = found, candidate
    return soup, kept


def _repeated(network: Network, n: int) -> Network:
    return (
        stack([network])
        if n == 1
        else Network(
            [w.expand(n, *w.shape) for w in network.weights],
            [b.expand(n, *b.shape) for b in network.biases],
        )
    )
