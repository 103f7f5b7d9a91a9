"""Matching neurons by their weights alone: coordinate descent over layers (Git Re-Basin)."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import torch
from scipy.optimize import linear_sum_assignment

from .. import checks
from ..networks.spec import Axis, Group, Spec
from .maps import Permutation, indices_of, move_state
from .problem import Problem
from .registry import Method, register

__all__ = [
    "WeightMatching",
    "match_weights",
    "neuron_slices",
    "weight_similarity",
    "weights_of",
]

_SWEEPS = 100
_GAIN = 1e-12  # of the largest value that the objective can have


@register(
    "weight-matching",
    source="Git Re-Basin, Ainsworth et al. 2023, Algorithm 1",
    needs="weights",
    cost="h^2 (m + o) + h^3 a sweep",
    invariant=False,
)
@dataclass(frozen=True)
class WeightMatching(Method):
    r"""One-to-one matching of incoming and outgoing weights and biases (Git Re-Basin, Alg. 1).

    .. math:: \max_\pi \sum_d \langle W_a^d, P_{d-1}^\top W_b^d P_d \rangle
              + \langle b_a^d, P_d^\top b_b^d \rangle

    One layer at a time, in random order, gets the best permutation given the others, from the
    identity on, until none gains. With one hidden layer that is the best of all; with more it is
    a local optimum, which depends on the order of b's neurons: hence a planted permutation is not
    always found, and the child of permuted parents may be another.

    Parameters
    ----------
    restarts : int
        Further descents in other orders of the layers; the best one is kept.
    seed : int
        Of the orders.

    Notes
    -----
    It works on the groups of any module; buffers, such as running means, are no weights and left
    out. A group that both writes and reads one weight is a quadratic problem: it is linearised
    at the permutation so far, and a step that does not gain is not taken.
    """

    restarts: int = 0
    seed: int = 0

    def __post_init__(self):
        checks.whole_number("restarts", self.restarts, 0)
        checks.whole_number("seed", self.seed, 0)

    def __call__(self, problem: Problem) -> list[Permutation]:
        """Return the permutation of each hidden layer."""
        a, b = weights_of(problem.spec, problem.state_a), weights_of(problem.spec, problem.state_b)
        rng = np.random.default_rng(self.seed)
        found = [match_weights(problem.spec, a, b, rng) for _ in range(self.restarts + 1)]
        orders, _ = max(found, key=lambda one: one[1][-1])
        return [Permutation(orders[name]) for name in problem.spec.groups]


def match_weights(
    spec: Spec, state_a: Mapping, state_b: Mapping, rng: np.random.Generator
) -> tuple[dict[str, torch.Tensor], list[float]]:
    """Return a permutation for each group by coordinate descent, and the objective's course.

    Parameters
    ----------
    spec : Spec
        Groups of the models.
    state_a, state_b : mapping of str to torch.Tensor
        Their tensors by name.
    rng : numpy.random.Generator
        Draws the order of the groups in each sweep.

    Returns
    -------
    orders : dict of str to torch.Tensor of int64
        For each group the neuron of b that comes to each place.
    objective : list of float
        At the identity, and after each step that was taken; it never falls.

    Examples
    --------
    >>> from safecross import initialise, permute
    >>> from safecross.networks.states import spec_of_network, state_of
    >>> theta = initialise([4, 3, 2], seed=0)
    >>> a, b = state_of(theta), state_of(permute(theta, [[2, 0, 1]]))
    >>> match_weights(spec_of_network(theta), a, b, np.random.default_rng(0))[0]
    {'layer 1': tensor([1, 2, 0])}
    """
    moved = dict(state_b)
    orders = {name: torch.arange(group.size) for name, group in spec.groups.items()}
    tensors = {axis.tensor for group in spec.groups.values() for axis in group.axes}
    objective = [_inner(state_a, moved, tensors)]
    most = _norm(state_a, tensors) * _norm(state_b, tensors)
    for _ in range(_SWEEPS):
        before = objective[-1]
        for i in rng.permutation(len(orders)):
            name = list(orders)[i]
            group = spec.groups[name]
            step = _best_step(group, state_a, moved)
            tried = move_state(spec, {name: Permutation(step)}, moved)
            touched = {axis.tensor for axis in group.axes}
            gain = _inner(state_a, tried, touched) - _inner(state_a, moved, touched)
            if gain > _GAIN * most:
                moved, orders[name] = tried, orders[name][step]
                objective.append(objective[-1] + gain)
        if objective[-1] == before:
            break
    return orders, objective


def weight_similarity(group: Group, state_a: Mapping, state_b: Mapping) -> torch.Tensor:
    r"""Return how similar the weights of each neuron of a are to those of each neuron of b.

    .. math:: S_{ij} = \sum_{\text{axes}} \langle a_i, b_j \rangle

    Parameters
    ----------
    group : Group
        The neurons, and the axes of weights that belong to them.
    state_a, state_b : mapping of str to torch.Tensor
        Tensors of both models, all other groups of b in a's order.

    Returns
    -------
    torch.Tensor, shape (p, p), float64

    Examples
    --------
    >>> state = {"bias": torch.tensor([1.0, 2.0])}
    >>> weight_similarity(Group(2, (Axis("bias", -1, "out"),)), state, state)
    tensor([[1., 2.],
            [2., 4.]], dtype=torch.float64)
    """
    total = torch.zeros(group.size, group.size, dtype=torch.float64)
    for axis in group.axes:
        if axis.role != "buffer":
            a, b = (
                neuron_slices(state[axis.tensor], axis, group.size) for state in (state_a, state_b)
            )
            total += a @ b.mT
    return total


def _best_step(group: Group, state_a: Mapping, moved: Mapping) -> torch.Tensor:
    similarity = weight_similarity(group, state_a, moved).numpy()
    # Neurons that tie, such as dead ones, stay where they are.
    similarity[np.diag_indices_from(similarity)] += 1e-13 * np.abs(similarity).max(initial=0.0)
    return torch.as_tensor(linear_sum_assignment(similarity, maximize=True)[1])


def neuron_slices(tensor: torch.Tensor, axis: Axis, size: int) -> torch.Tensor:
    """Return what belongs to each neuron along an axis, one neuron a row.

    Parameters
    ----------
    tensor : torch.Tensor
        That the axis names.
    axis : Axis
        Of a group.
    size : int
        Neurons of the group.

    Examples
    --------
    >>> neuron_slices(torch.tensor([[1, 2], [3, 4], [5, 6]]), Axis("weight", -1, "in"), 2)
    tensor([[1, 3, 5],
            [2, 4, 6]])
    """
    values = tensor.movedim(axis.dim, 0)[indices_of(axis, size)]
    return values.movedim(1, 0).reshape(size, -1)


def weights_of(spec: Spec, state: Mapping) -> dict[str, torch.Tensor]:
    """Return the tensors that the groups move, float64 on the CPU; buffers, no weights, are 0.

    Parameters
    ----------
    spec : Spec
        Groups of the model.
    state : mapping of str to torch.Tensor
        Its tensors by name.
    """
    axes = [axis for group in spec.groups.values() for axis in group.axes]
    buffers = {axis.tensor for axis in axes if axis.role == "buffer"}
    names = {axis.tensor for axis in axes}
    found = {name: state[name].detach().to("cpu", torch.float64) for name in names}
    return found | {name: torch.zeros_like(found[name]) for name in buffers}


def _inner(a: Mapping, b: Mapping, names) -> float:
    return sum(float((a[name] * b[name]).sum()) for name in sorted(names))


def _norm(state: Mapping, names) -> float:
    return max(_inner(state, state, names), np.finfo(float).tiny) ** 0.5
