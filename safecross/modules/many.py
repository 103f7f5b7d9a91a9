"""Matching many networks at once: each gets a permutation into one frame that they share."""

from collections.abc import Mapping

import numpy as np
import torch
from torch import nn

from .. import checks
from ..alignment.activations import activations
from ..alignment.correlation import standardised
from ..alignment.frankwolfe import MixedWeights, assigned, climb
from ..alignment.maps import Permutation, move_state
from ..alignment.weights import match_weights, neuron_slices, weights_of
from ..networks.network import Network
from ..networks.spec import Axis, Group, Spec
from ..networks.states import spec_of_network, state_of
from .maps import Move

__all__ = ["match_cyclic", "match_to_mean", "merge_many", "pairwise_similarity"]


def merge_many(
    models, spec: Spec | None = None, x=None, *, seed: int = 0, rounds: int = 100
) -> list[Move]:
    r"""Return a permutation of each network into one frame, by matching to the mean (MergeMany).

    .. math:: \max_{\pi_1, \dots, \pi_n} \sum_{i < j}
              \langle \pi_i(\theta_i), \pi_j(\theta_j) \rangle

    One network at a time, in random order, is matched with the mean of the others as they lie,
    until none gains.

    Parameters
    ----------
    models : Network, sequence or mapping of str to torch.Tensor
        A population; or Networks, modules or state dicts of one structure; or a state dict whose
        tensors have a leading dimension for the models.
    spec : Spec, optional
        Groups of the models; Networks bring their own.
    x : array_like, shape (n, m), optional
        Examples: neurons are then compared by the correlation of their activations, and not by
        their weights. For Networks only.
    seed : int
        Of the orders of networks and of layers.
    rounds : int
        Most rounds through all networks.

    Returns
    -------
    list of Move
        One for each network. The common frame is the order of the first network's neurons, so
        that the first move leaves everything where it is. ``moves[i].inverse() @ moves[j]`` brings
        j into i's frame, and going round any cycle ends where it began.

    Raises
    ------
    ValueError
        If there are no models, or they are not of one structure.

    Notes
    -----
    Source: Git Re-Basin, Ainsworth et al. 2023, Algorithm 3, Appendix A.10 (MergeMany). With
    weights, and with more than two networks, it ends in a local optimum.

    Examples
    --------
    >>> from safecross import initialise, permute
    >>> theta = initialise([4, 3, 2], seed=0)
    >>> moves = merge_many([theta, permute(theta, [[2, 0, 1]]), permute(theta, [[1, 0, 2]])])
    >>> [move.maps["layer 1"] for move in moves]
    [Permutation([0, 1, 2]), Permutation([1, 2, 0]), Permutation([1, 0, 2])]
    """
    checks.whole_number("rounds", rounds, 1)
    rng = np.random.default_rng(checks.whole_number("seed", seed, 0))
    spec, seen, states = _compared(models, spec, x)
    orders, _ = match_to_mean(seen, states, rng, rounds)
    return _moves(spec, orders)


def match_cyclic(models, spec: Spec | None = None, x=None, *, steps: int = 200) -> list[Move]:
    r"""Return a permutation of each network into one frame, all found together (C2M3).

    The objective of `merge_many`, with doubly stochastic matrices in place of permutations. Each
    step goes towards the permutations that are best to first order, those of all layers of all
    networks together, as far as the objective rises; in the end each matrix is rounded.

    Parameters
    ----------
    models, spec, x
        As for `merge_many`.
    steps : int
        Most steps.

    Returns
    -------
    list of Move
        As of `merge_many`; that they are consistent along cycles needs no further condition.

    Raises
    ------
    ValueError
        As `merge_many`.

    Notes
    -----
    Source: C2M3, Crisostomi et al. 2024, Section 3. The first network's matrices stay the
    identity, else nothing would tell the places of the common frame apart; the others start from
    the mean of all permutations. With two networks it is ``frank-wolfe``, or by activations
    ``sc-pwc``.

    Examples
    --------
    >>> from safecross import initialise, permute
    >>> theta = initialise([4, 3, 2], seed=0)
    >>> moves = match_cyclic([theta, permute(theta, [[2, 0, 1]]), permute(theta, [[1, 0, 2]])])
    >>> [move.maps["layer 1"] for move in moves]
    [Permutation([0, 1, 2]), Permutation([1, 2, 0]), Permutation([1, 0, 2])]
    """
    checks.whole_number("steps", steps, 1)
    spec, seen, states = _compared(models, spec, x)
    matrices, _ = _climbed(seen, states, steps)
    found = {name: assigned(matrix) for name, matrix in matrices.items()}
    return _moves(spec, [{n: o[i] for n, o in found.items()} for i in range(len(states))])


def pairwise_similarity(spec: Spec, states: list[Mapping]) -> float:
    r"""Return how well networks agree in all pairs.

    .. math:: \sum_{i < j} \langle \theta_i, \theta_j \rangle

    Parameters
    ----------
    spec : Spec
        Groups of the models; what no group moves does not count.
    states : list of mapping of str to torch.Tensor
        Their tensors, as `weights_of` returns them.

    Examples
    --------
    >>> spec = Spec("", {"g": Group(1, (Axis("w", -1, "out"),))}, shapes={"w": (1,)})
    >>> pairwise_similarity(spec, [{"w": torch.tensor([w])} for w in (1.0, 2.0, 4.0)])
    14.0
    """
    return _Mixed(spec, states).value({})


def match_to_mean(
    spec: Spec, states: list[Mapping], rng: np.random.Generator, rounds: int = 100
) -> tuple[list[dict[str, torch.Tensor]], list[float]]:
    """Return an order of each group of each network, and the objective's course.

    Parameters
    ----------
    spec : Spec
        Groups of the models.
    states : list of mapping of str to torch.Tensor
        Their tensors, as `weights_of` returns them.
    rng : numpy.random.Generator
        Draws the order of the networks in each round, and of the groups.
    rounds : int
        Most rounds.

    Returns
    -------
    orders : list of dict of str to torch.Tensor of int64
        For each network, the neuron that comes to each place of each group.
    objective : list of float
        At the start and after each network that moved; it never falls.
    """
    moved = [dict(state) for state in states]
    total = {name: sum(state[name] for state in states) for name in states[0]}
    orders = [{n: torch.arange(g.size) for n, g in spec.groups.items()} for _ in states]
    objective = [pairwise_similarity(spec, states)]
    for _ in range(rounds if len(states) > 1 else 0):
        before = objective[-1]
        for i in rng.permutation(len(states)):
            # The mean of the others up to a factor, which changes no assignment.
            others = {name: total[name] - moved[i][name] for name in total}
            steps, course = match_weights(spec, others, moved[i], rng)
            if course[-1] > course[0]:
                maps = {name: Permutation(step) for name, step in steps.items()}
                moved[i] = move_state(spec, maps, moved[i])
                orders[i] = {name: order[steps[name]] for name, order in orders[i].items()}
                total = {name: others[name] + moved[i][name] for name in total}
                objective.append(objective[-1] + course[-1] - course[0])
        if objective[-1] == before:
            break
    return orders, objective


class _Mixed(MixedWeights):
    """The weights of all networks under soft permutations, and how well they agree in pairs."""

    points = 5  # the objective along a step is of degree 4 where a weight has two axes that move

    def __init__(self, spec: Spec, states: list[Mapping]):
        stacked = {name: torch.stack([s[name] for s in states]).double() for name in states[0]}
        super().__init__(spec, stacked, stacked)

    def value(self, at: Mapping) -> float:
        """Return the sum of products over all pairs of networks."""
        every = [self.moved(name, at) for name in self.axes]
        return sum(float((m.sum(0) ** 2).sum() - (m**2).sum()) / 2 for m in every)

    def slope(self, group: str, at: Mapping) -> torch.Tensor:
        """Return the derivative with respect to one group's matrices, shape (n, p, p)."""
        size = self.spec.groups[group].size
        slices = torch.vmap(lambda values: neuron_slices(values, axis, size))
        total = torch.zeros_like(at[group])
        for tensor, axes in self.axes.items():
            for axis in (axis for name, axis in axes if name == group):
                moved = self.moved(tensor, at)
                others = moved.sum(0) - moved
                total += slices(others) @ slices(self.moved(tensor, at, but=axis)).mT
        total[0] = at[group][0]  # the first network stays where it is
        return total


def _climbed(spec: Spec, states: list[Mapping], steps: int):
    start = {}
    for name, group in spec.groups.items():
        start[name] = torch.full((len(states), group.size, group.size), 1 / group.size).double()
        start[name][0] = torch.eye(group.size)
    return climb(_Mixed(spec, states), start, steps)


def _compared(models, spec: Spec | None, x) -> tuple[Spec, Spec, list[dict]]:
    """Return the models' spec, and a spec with tensors by which they are compared."""
    members = _members(models)
    if spec is None:
        if not isinstance(members[0], Network):
            raise ValueError("models other than Networks need a spec, as trace returns it")
        spec = spec_of_network(members[0])
    states = [_state(member) for member in members]
    for i, state in enumerate(states):
        spec.check(state, f"model {i}")
    if x is None:
        return spec, spec, [weights_of(spec, state) for state in states]
    if not all(isinstance(member, Network) for member in members):
        raise ValueError("examples x are for Networks; other models are matched by their weights")
    layers = [zip(spec.groups, activations(member, x), strict=True) for member in members]
    columns = [{name: standardised(layer)[0] for name, layer in one} for one in layers]
    # A layer's activations are a tensor whose columns are moved, and nothing else.
    groups = {n: Group(g.size, (Axis(n, -1, "out"),)) for n, g in spec.groups.items()}
    return spec, Spec("activations", groups), columns


def _members(models) -> list:
    if isinstance(models, Network):
        if len(models.batch_shape) != 1:
            raise ValueError(f"expected a population or a list of networks; found {models!r}")
        return [models[i] for i in range(models.batch_shape[0])]
    if isinstance(models, Mapping):
        n = min((len(tensor) for tensor in models.values()), default=0)
        return [{name: tensor[i] for name, tensor in models.items()} for i in range(n)]
    members = checks.as_list("models", models)
    if not members:
        raise ValueError("expected at least one model; found none")
    return members


def _state(model) -> Mapping:
    if isinstance(model, Network):
        return state_of(model)
    if isinstance(model, nn.Module):
        return model.state_dict()
    if isinstance(model, Mapping):
        return model
    raise ValueError(f"expected Networks, modules or state dicts; found {checks.shown(model)}")


def _moves(spec: Spec, orders: list[dict]) -> list[Move]:
    """Return the moves with the first network's order as the common frame."""
    moves = [Move(spec, {n: Permutation(o) for n, o in one.items()}) for one in orders]
    return [moves[0].inverse() @ move for move in moves]
