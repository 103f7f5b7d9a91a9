"""Optimal transport: the couplings of POT, exact maps between unequal widths, what goes wrong."""

from itertools import permutations

import numpy as np
import pytest
import torch

from safecross import (
    LayerPair,
    Network,
    OptimalTransport,
    activations,
    align,
    function_difference,
    layer_pairs,
    permute,
    trace,
)
from safecross.alignment.maps import Linear
from safecross.alignment.responses import response_distances
from safecross.alignment.transport import (
    COSTS,
    DIVISIONS,
    exact_transport,
    sinkhorn,
    sinkhorn_rounds,
    transport_map,
)


def uniform(p: int, q: int) -> tuple[np.ndarray, np.ndarray]:
    return np.full(p, 1 / p), np.full(q, 1 / q)


@pytest.mark.parametrize("shape", [(5, 5), (4, 7), (7, 4), (1, 3), (12, 30)])
def test_couplings_are_those_of_pot(shape):
    ot = pytest.importorskip("ot")
    cost = np.random.default_rng(sum(shape)).random(shape)
    ours, theirs = exact_transport(cost), ot.emd(*uniform(*shape), cost)
    assert (ours * cost).sum() == pytest.approx((theirs * cost).sum(), abs=1e-9)
    np.testing.assert_allclose(ours, theirs, atol=1e-9)  # random costs have one best coupling
    for reg in (0.05, 0.5):
        theirs = ot.sinkhorn(*uniform(*shape), cost, reg, method="sinkhorn_log", stopThr=1e-12)
        np.testing.assert_allclose(sinkhorn(cost, reg, tolerance=1e-11), theirs, atol=1e-9)


@pytest.mark.parametrize("seed", range(4))
def test_exact_transport_of_five_neurons_is_the_best_of_all_permutations(seed):
    cost = np.random.default_rng(seed).random((5, 5))
    every = [cost[np.arange(5), list(order)].sum() / 5 for order in permutations(range(5))]
    assert (exact_transport(cost) * cost).sum() == pytest.approx(min(every))


@pytest.mark.parametrize("shape", [(5, 5), (4, 7), (7, 4)])
def test_marginals_are_uniform_and_little_entropy_comes_close_to_exact(shape):
    cost = np.random.default_rng(0).random(shape)
    exact = exact_transport(cost)
    softer = []
    for reg in (0.5, 0.1, 0.02):
        coupling = sinkhorn(cost, reg, sweeps=20_000)
        softer.append((coupling * cost).sum())
        for found in (coupling, exact):
            assert found.min() >= 0
            for axis, marginal in enumerate(reversed(uniform(*shape))):
                np.testing.assert_allclose(found.sum(axis), marginal, atol=1e-6)
    assert softer == sorted(softer, reverse=True)
    assert -1e-6 < softer[-1] - (exact * cost).sum() < 0.02


def test_costs_of_any_scale_are_in_range():
    cost = np.random.default_rng(0).random((6, 6))
    np.testing.assert_allclose(sinkhorn(1e6 * cost, 1e5), sinkhorn(cost, 0.1), atol=1e-9)
    assert np.isfinite(sinkhorn(cost + 1e4, 0.1)).all()


# Networks


def doubled(theta: Network, seed: int = 0) -> Network:
    """Return the same function with each hidden neuron twice, in random order."""
    weights, biases = [w.clone() for w in theta.weights], [b.clone() for b in theta.biases]
    rng = np.random.default_rng(seed)
    for d, p in enumerate(theta.widths[1:-1]):
        order = rng.permutation(np.tile(np.arange(p), 2))
        weights[d], biases[d] = weights[d][:, order], biases[d][order]
        weights[d + 1] = weights[d + 1][order] / 2
    return Network(weights, biases)


@pytest.mark.parametrize("cost", COSTS)
def test_a_parent_of_twice_the_width_becomes_the_same_network(make_network, make_examples, cost):
    theta, x = make_network((6, 7, 5, 3)), make_examples(300, 6)
    wide = doubled(theta)
    assert function_difference(theta, wide, x) < 1e-5
    options = {"operator": "ot", "cost": cost}
    exact = align(theta, wide, x, **options).apply(theta, wide)[1]
    assert function_difference(theta, exact, x) < 1e-5
    for ours, theirs in zip(exact.weights, theta.weights, strict=True):
        torch.testing.assert_close(ours, theirs, atol=1e-5, rtol=0)
    # The original divides both sides by the target's marginal: what reads is halved.
    original = align(theta, wide, x, **options, division="target").apply(theta, wide)[1]
    assert function_difference(theta, original, x) > 0.5
    torch.testing.assert_close(2 * original.weights[2], theta.weights[2], atol=1e-5, rtol=0)


def test_of_equal_widths_both_divisions_are_one(make_network, make_examples):
    a, b, x = make_network((6, 7, 3), 0), make_network((6, 7, 3), 1), make_examples(300, 6)
    moved = [align(a, b, x, "ot", division=how, reg=0.1).apply(a, b)[1] for how in DIVISIONS]
    assert torch.equal(moved[0].weights[1], moved[1].weights[1])


def test_exact_transport_is_a_permutation_and_entropy_makes_it_soft(make_network, make_examples):
    a, b, x = make_network((6, 7, 3), 0), make_network((6, 7, 3), 1), make_examples(300, 6)
    (hard,) = align(a, b, x, "ot").matchings
    assert isinstance(hard, Linear)
    order = hard.matrix.argmax(1)
    moved = align(a, b, x, "ot").apply(a, b)[1]
    assert function_difference(moved, permute(b, [order]), x) == 0
    cost = response_distances(layer_pairs(a, b, x)[0]).sqrt().numpy()
    np.testing.assert_allclose(7 * exact_transport(cost), hard.matrix)
    (soft,) = align(a, b, x, "ot", reg=0.2).matchings
    np.testing.assert_allclose(7 * sinkhorn(cost, 0.2 * cost.max()), soft.matrix)
    assert (soft.matrix > 0.05).sum() > 7


def test_distances_are_those_of_responses(make_network, make_examples):
    a, b, x = make_network((6, 7, 3), 0), make_network((6, 5, 3), 1), make_examples(300, 6)
    la, lb = activations(a, x)[0].double(), activations(b, x)[0].double()
    found = response_distances(LayerPair(la, lb))
    torch.testing.assert_close(found, torch.cdist(la.mT, lb.mT) ** 2)


def test_weights_are_compared_with_the_layers_before_transported(make_network):
    theta = make_network((6, 8, 7, 5, 3))
    rng = np.random.default_rng(0)
    copy = permute(theta, [rng.permutation(p) for p in theta.widths[1:-1]])
    alignment = align(theta, copy, operator="ot", cost="weights")
    for ours, theirs in zip(alignment.apply(theta, copy)[1].weights, theta.weights, strict=True):
        torch.testing.assert_close(ours, theirs, atol=1e-6, rtol=0)
    # Biases count: they are all that tells these neurons apart.
    bare = [torch.zeros_like(w) for w in make_network((2, 3, 2)).weights]
    a, b = (Network(bare, [torch.tensor(v), torch.zeros(2)])
            for v in ([1.0, 2.0, 3.0], [3.0, 1.0, 2.0]))  # fmt: skip
    (found,) = align(a, b, operator="ot", cost="weights").matchings
    assert found.matrix.argmax(1).tolist() == [1, 2, 0]


# Bad input


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"cost": "weight"}, "unknown cost 'weight': did you mean 'weights'"),
        ({"division": 1}, "unknown division 1: Known: source, target"),
        ({"reg": -1}, "reg must be finite and >= 0; found -1"),
        ({"reg": float("nan")}, "reg must be finite and >= 0; found nan"),
        ({"sweeps": 0}, "sweeps must be a whole number >= 1; found 0"),
    ],
)
def test_options_are_checked(options, message):
    with pytest.raises(ValueError, match=message):
        OptimalTransport(**options)


def test_a_transport_that_does_not_converge_says_what_to_change(make_network, make_examples):
    a, b, x = make_network((6, 7, 3), 0), make_network((6, 7, 3), 1), make_examples(300, 6)
    message = r"did not converge in 2 sweeps: its marginals are off by .*larger reg, or more sweeps"
    with pytest.raises(ValueError, match=message):
        align(a, b, x, "ot", reg=1e-3, sweeps=2)


@pytest.mark.parametrize("solve", [exact_transport, lambda cost: sinkhorn(cost, 0.1)])
@pytest.mark.parametrize("cost", [[[np.nan]], [1.0], np.zeros((0, 2))], ids=str)
def test_costs_must_be_a_finite_matrix(solve, cost):
    with pytest.raises(ValueError, match="costs must be a finite matrix"):
        solve(cost)


def test_weights_of_modules_are_not_compared(make_network):
    a, b = (make_network((6, 7, 3), seed).to_torch() for seed in (0, 1))
    spec = trace(a, torch.zeros(2, 6))
    with pytest.raises(ValueError, match="compares the weights of Networks only"):
        align(b, to=a, spec=spec, operator="ot", cost="weights")


def test_a_map_takes_means_and_hands_out_sums():
    how = transport_map([[0.25, 0.25, 0.0, 0.0], [0.0, 0.0, 0.25, 0.25]])
    assert how.matrix.sum(1).tolist() == [1, 1]  # a mean of b's
    assert how.back.sum(1).tolist() == [1, 1, 1, 1]  # each of b's is handed out whole


def test_rounds_go_on_where_earlier_ones_ended():
    scaled = 5 * torch.randn(6, 6, generator=torch.Generator().manual_seed(0)).double()
    _, g, few = sinkhorn_rounds(scaled, 5, 0)
    _, _, more = sinkhorn_rounds(scaled, 5, 0, g)
    _, _, together = sinkhorn_rounds(scaled, 10, 0)
    assert few > more == together > 0
    coupling, _, error = sinkhorn_rounds(scaled, 5000, 1e-9, g)
    assert error <= 1e-9
    np.testing.assert_allclose(coupling.numpy(), sinkhorn(-scaled, 1.0, 5000, 1e-9), atol=1e-9)
