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
from ..networks.network import Network, check_same_architecture, stack

__all__ = [
    "AlignedPopulation",
    "align_population",
    "check_population",
    "greedy_soup",
    "matched_orders",
    "mean",
    "medoid",
    "reorder",
    "repaired_mean",
    "scramble",
]


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
    """

    population: Network
    orders: list[torch.Tensor]
    reference: int


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


def matched_orders(
    theirs: Network, others: Network, x, method: str | Method = "sc-pwc"
) -> list[torch.Tensor]:
    """Return how each network's neurons must be reordered to stand as those of its partner.

    Parameters
    ----------
    theirs, others : Network
        Two populations of n networks of one architecture; the i-th are partners.
    x : array_like, shape (m, inputs)
        Examples on which neurons are compared.
    method : str or Method
        Of the registry; one that returns permutations.

    Returns
    -------
    list of torch.Tensor of int64, each of shape (n, p_d)
        For each hidden layer and pair the neuron of `others` that goes to each place.

    Raises
    ------
    ValueError
        If the architectures or numbers differ, the examples are unusable, or the method repeats or
        mixes neurons.

    Notes
    -----
    Correlations of all pairs are computed together, which for many small networks is what takes
    the time; the assignments follow one by one. Among ties the identity is preferred.

    Examples
    --------
    >>> from safecross import initialise
    >>> theirs = initialise([5, 4, 2], [0, 1])
    >>> matched_orders(theirs, theirs, torch.rand(20, 5))
    [tensor([[0, 1, 2, 3],
            [0, 1, 2, 3]])]
    """
    method = as_method(method)
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
        return [torch.arange(p).repeat(n, 1) for p in theirs.widths[1:-1]]
    if method.name == "sc-pwc":
        layers = zip(activations(theirs, x), activations(others, x), strict=True)
        return [_matched(correlation(la, lb)) for la, lb in layers]
    found = [align(theirs[i], others[i], x, method).matchings for i in range(n)]
    return [torch.stack([_order(one) for one in layer]) for layer in zip(*found, strict=True)]


def _matched(between: torch.Tensor) -> torch.Tensor:
    # Dead neurons correlate with none: without this they would be shuffled.
    nudged = between + _NUDGE * torch.eye(between.shape[-1], dtype=between.dtype)
    return torch.stack([_order(match_one_to_one(one)) for one in nudged])


def _order(matching: Matching) -> torch.Tensor:
    return torch.from_numpy(matching.lb[np.argsort(matching.la)])


def reorder(population: Network, orders) -> Network:
    """Return a population with each member's neurons in an order of its own.

    Parameters
    ----------
    population : Network
        Of n members.
    orders : sequence of torch.Tensor of int64, each of shape (n, p_d)
        For each hidden layer and member the neuron that comes to each place.

    Returns
    -------
    Network
        Each member the same function, if its orders are permutations.

    Raises
    ------
    ValueError
        If the orders do not fit.

    Examples
    --------
    >>> from safecross import initialise
    >>> theta = initialise([2, 3, 1], [0, 1])
    >>> there, back = torch.tensor([[2, 0, 1]] * 2), torch.tensor([[1, 2, 0]] * 2)
    >>> torch.equal(reorder(reorder(theta, [there]), [back]).weights[0], theta.weights[0])
    True
    """
    check_population("the population", population)
    orders = [torch.as_tensor(order) for order in checks.as_list("orders", orders)]
    n, widths = population.batch_shape[0], population.widths[1:-1]
    if [tuple(order.shape) for order in orders] != [(n, p) for p in widths]:
        raise ValueError(
            f"expected orders of shapes {[(n, p) for p in widths]}; found "
            f"{[tuple(order.shape) for order in orders]}"
        )
    for d, (order, p) in enumerate(zip(orders, widths, strict=True), start=1):
        if order.is_floating_point() or not 0 <= int(order.min()) <= int(order.max()) < p:
            raise ValueError(f"orders of layer {d} must hold whole numbers in [0, {p})")
    weights, biases = list(population.weights), list(population.biases)
    for d, order in enumerate(orders):
        order = order.to(population.device)
        weights[d] = torch.take_along_dim(weights[d], order[:, None, :], -1)
        biases[d] = torch.take_along_dim(biases[d], order, -1)
        weights[d + 1] = torch.take_along_dim(weights[d + 1], order[:, :, None], -2)
    return Network(weights, biases)


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
    population: Network, x, *, reference: int | str = 0, method: str | Method = "sc-pwc"
) -> AlignedPopulation:
    """Return all members of a population in the frame of one of them.

    After this any two members can be mated or averaged without matching them again: once for n
    networks, instead of once for each pair.

    Parameters
    ----------
    population : Network
        Of n members, one architecture.
    x : array_like, shape (m, inputs)
        Examples on which neurons are compared.
    reference : int or "medoid"
        The member whose frame it becomes; ``"medoid"`` takes the one that `medoid` finds.
    method : str or Method
        Of the registry; one that returns permutations.

    Raises
    ------
    ValueError
        If there is no such member, the examples are unusable, or the method repeats or mixes
        neurons.

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
    n = population.batch_shape[0]
    if reference == "medoid":
        reference = medoid(population, x)
    reference = checks.whole_number('reference, unless "medoid",', reference, 0, n - 1)
    theirs = _repeated(population[reference], n)
    orders = matched_orders(theirs, population, x, method)
    for order in orders:  # it stays as it is, also where a method sorts both partners
        order[reference] = torch.arange(order.shape[-1])
    return AlignedPopulation(reorder(population, orders), orders, reference)


def medoid(population: Network, x) -> int:
    r"""Return the member that all others resemble most.

    .. math:: \arg\max_i \sum_j \sum_d \overline{\max_\pi \mathrm{corr}}(L^d_i, \pi L^d_j)

    the correlation of matched neurons, averaged over each layer.

    Parameters
    ----------
    population : Network
        Of n members; n (n - 1) / 2 pairs are matched.
    x : array_like, shape (m, inputs)
        Examples on which neurons are compared.

    Examples
    --------
    >>> from safecross import initialise
    >>> medoid(initialise([5, 4, 2], [0, 1, 0]), torch.rand(50, 5)) in (0, 2)
    True
    """
    layers = activations(check_population("the population", population), x)
    n = population.batch_shape[0]
    alike = np.zeros((n, n))
    for layer in layers:
        for i in range(n - 1):
            between = correlation(layer[i].expand_as(layer[i + 1 :]), layer[i + 1 :])
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
