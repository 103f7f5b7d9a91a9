"""Weight matching: the best permutation of one layer, and never a worse one of many."""

from itertools import permutations

import numpy as np
import pytest
import torch
from scipy.optimize import linear_sum_assignment
from torch import nn

import safecross
from safecross import (
    METHODS,
    Network,
    align,
    permute,
    trace,
)
from safecross.alignment.maps import Permutation, move_state
from safecross.alignment.weights import (
    WeightMatching,
    match_weights,
    neuron_slices,
    weight_similarity,
    weights_of,
)
from safecross.networks.spec import Axis, Group, Spec
from safecross.networks.states import spec_of_network, state_of


def agreement(a: Network, b: Network) -> float:
    """Return the inner product of all parameters but the output's biases, which nothing moves."""
    parts = zip(a.weights + a.biases[:-1], b.weights + b.biases[:-1], strict=True)
    return sum(float((p.double() * q.double()).sum()) for p, q in parts)


@pytest.mark.parametrize("seed", range(5))
def test_of_one_hidden_layer_the_best_of_all_permutations_is_found(make_network, seed):
    a, b = make_network((4, 5, 3), seed), make_network((4, 5, 3), seed + 50)
    every = [agreement(a, permute(b, [order])) for order in permutations(range(5))]
    found = align(a, b, operator="weight-matching").apply(a, b)[1]
    assert agreement(a, found) == pytest.approx(max(every), abs=1e-9)
    assert agreement(a, found) > agreement(a, b)


def objectives(a, b, seed=0):
    state_a, state_b = ({n: t.double() for n, t in state_of(theta).items()} for theta in (a, b))
    rng = np.random.default_rng(seed)
    return match_weights(spec_of_network(a), state_a, state_b, rng)


@pytest.mark.parametrize("seed", range(5))
def test_the_objective_never_falls_and_is_that_of_the_networks(make_network, seed):
    a, b = make_network((6, 9, 8, 7, 3), seed), make_network((6, 9, 8, 7, 3), seed + 50)
    orders, objective = objectives(a, b)
    assert len(objective) > 3
    assert np.all(np.diff(objective) > 0)
    assert objective[0] == pytest.approx(agreement(a, b))
    moved = permute(b, list(orders.values()))
    assert objective[-1] == pytest.approx(agreement(a, moved))
    # No layer alone can be moved to gain more.
    for d, p in enumerate(a.widths[1:-1]):
        for i, j in permutations(range(p), 2):
            lists = [np.arange(q) for q in a.widths[1:-1]]
            lists[d][[i, j]] = lists[d][[j, i]]
            assert agreement(a, permute(moved, lists)) <= objective[-1] + 1e-9


def test_restarts_find_no_worse_and_sometimes_better(make_network):
    gains = []
    for seed in range(6):
        a, b = (make_network((6, 12, 12, 12, 3), s) for s in (seed, seed + 50))
        reached = [
            agreement(a, align(a, b, operator=WeightMatching(restarts=n)).apply(a, b)[1])
            for n in (0, 5)
        ]
        gains.append(reached[1] - reached[0])
    assert min(gains) > -1e-9
    assert max(gains) > 0.1


def test_the_seed_decides_the_order_of_layers(make_network):
    a, b = (make_network((6, 12, 12, 12, 3), seed) for seed in (0, 50))
    found = {
        tuple(map(tuple, align(a, b, operator="weight-matching", seed=seed).lists_b))
        for seed in range(6)
    }
    assert len(found) > 1
    assert not METHODS["weight-matching"].invariant


def test_neurons_that_tie_stay_where_they_are(make_network):
    theta = make_network((4, 6, 3))
    weights, biases = [w.clone() for w in theta.weights], [b.clone() for b in theta.biases]
    dead = [1, 4, 5]
    weights[0][:, dead], weights[1][dead], biases[0][dead] = 0, 0, 0
    partly = Network(weights, biases)
    copy = permute(partly, [[2, 1, 3, 0, 4, 5]])
    order = align(partly, copy, operator="weight-matching").lists_b[0]
    assert order.tolist() == [3, 1, 0, 2, 4, 5]
    nothing = Network([torch.zeros_like(w) for w in weights], [torch.zeros_like(b) for b in biases])
    assert align(theta, nothing, operator="weight-matching").lists_b[0].tolist() == list(range(6))


def test_biases_count(make_network):
    theta = make_network((4, 3, 2))
    bare = [torch.zeros_like(w) for w in theta.weights]
    a = Network(bare, [torch.tensor([1.0, 2.0, 3.0]), torch.zeros(2)])
    b = Network(bare, [torch.tensor([3.0, 1.0, 2.0]), torch.zeros(2)])
    assert align(a, b, operator="weight-matching").lists_b[0].tolist() == [1, 2, 0]


class Norms(nn.Sequential):
    def __init__(self):
        super().__init__(
            nn.Conv2d(3, 8, 3), nn.BatchNorm2d(8), nn.ReLU(), nn.Conv2d(8, 6, 3),
            nn.BatchNorm2d(6), nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(6, 4),
        )  # fmt: skip


def test_a_planted_permutation_of_a_module_is_found_and_buffers_do_not_count():
    torch.manual_seed(0)
    model, x = Norms().eval(), torch.rand(2, 3, 12, 12)
    for part in model.modules():
        if isinstance(part, nn.BatchNorm2d):
            nn.init.uniform_(part.weight, 0.5, 1.5)
            nn.init.normal_(part.bias)
    spec = trace(model, x)
    maps = {n: Permutation(torch.randperm(g.size)) for n, g in spec.groups.items()}
    planted = safecross.Move(spec, maps)(model)
    for part in planted.modules():
        if isinstance(part, nn.BatchNorm2d):
            part.running_mean.fill_(1e6)  # would outweigh everything
    move = align(planted, to=model, spec=spec, operator="weight-matching", restarts=5)
    assert move.keeps_function
    for name, how in move.maps.items():
        assert how.order.tolist() == maps[name].inverse().order.tolist()


def test_a_group_on_both_sides_of_one_weight_is_solved_without_losing(make_examples):
    group = Group(6, (Axis("w", -1, "out"), Axis("w", -2, "in"), Axis("b", -1, "out")))
    spec = Spec("Recurrent", {"cell": group}, shapes={"w": (6, 6), "b": (6,)})
    for seed in range(10):
        a, b = ({"w": make_examples(6, 6, s).double(), "b": make_examples(1, 6, s)[0].double()}
                for s in (seed, seed + 50))  # fmt: skip
        orders, objective = match_weights(spec, a, b, np.random.default_rng(0))
        moved = move_state(spec, {"cell": Permutation(orders["cell"])}, b)
        assert np.all(np.diff(objective) > 0)
        assert objective[-1] == pytest.approx(sum(float((a[n] * moved[n]).sum()) for n in a))


def test_similarity_is_of_incoming_outgoing_weights_and_biases(make_network):
    a, b = (make_network((4, 5, 3), seed) for seed in (0, 1))
    (group,) = spec_of_network(a).groups.values()
    states = [{n: t.double() for n, t in state_of(theta).items()} for theta in (a, b)]
    found = weight_similarity(group, *states)
    expected = (
        a.weights[0].mT @ b.weights[0] + a.weights[1] @ b.weights[1].mT
        + torch.outer(a.biases[0], b.biases[0])
    )  # fmt: skip
    torch.testing.assert_close(found, expected.double(), atol=1e-5, rtol=0)


@pytest.mark.parametrize("options", [{"restarts": -1}, {"restarts": 0.5}, {"seed": "x"}])
def test_options_are_checked(options):
    with pytest.raises(ValueError, match=f"{next(iter(options))} must be a whole number >= 0"):
        WeightMatching(**options)


def test_buffers_are_no_weights_and_repeats_belong_to_their_neuron():
    axes = (Axis("w", -1, "in", step=2, repeats=((2, 1),)), Axis("mean", -1, "buffer"))
    spec = Spec("", {"g": Group(3, axes)}, shapes={"w": (1, 6), "mean": (3,)})
    state = {"w": torch.arange(6.0)[None], "mean": torch.ones(3), "other": torch.ones(1)}
    found = weights_of(spec, state)
    assert found["mean"].tolist() == [0, 0, 0]
    assert set(found) == {"w", "mean"} and found["w"].dtype == torch.float64
    assert neuron_slices(state["w"], axes[0], 3).tolist() == [[0, 1], [2, 3], [4, 5]]


def by_hand(a: Network, b: Network, orders_of_layers) -> float:
    """Return what another implementation, for MLPs alone, reaches from the identity."""
    perms = [np.arange(p) for p in a.widths[1:-1]]
    wa, wb = ([w.double().numpy() for w in theta.weights] for theta in (a, b))
    ba, bb = ([v.double().numpy() for v in theta.biases] for theta in (a, b))
    for layers in orders_of_layers:
        moved = False
        for d in layers:
            into = wb[d] if d == 0 else wb[d][perms[d - 1]]
            out = wb[d + 1] if d + 1 == len(perms) else wb[d + 1][:, perms[d + 1]]
            gains = wa[d].T @ into + wa[d + 1] @ out.T + np.outer(ba[d], bb[d])
            found = linear_sum_assignment(-gains)[1]
            here = np.arange(len(found))
            if gains[here, found].sum() > gains[here, perms[d]].sum() + 1e-9:
                perms[d], moved = found, True
        if not moved:
            break
    return agreement(a, permute(b, perms))


def test_the_objective_is_as_high_as_another_implementations(make_network):
    ratios = []
    for seed in range(20):
        a, b = (make_network((6, 12, 10, 8, 3), s) for s in (seed, seed + 50))
        rng = np.random.default_rng(0)  # as `WeightMatching` draws the orders
        theirs = by_hand(a, b, [rng.permutation(3) for _ in range(100)])
        ours = agreement(a, align(a, b, operator="weight-matching").apply(a, b)[1])
        ratios.append(ours / theirs)
    np.testing.assert_allclose(ratios, 1, atol=1e-6)
