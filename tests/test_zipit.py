"""ZipIt: what is merged, within which budget, and that the offspring is the merged network."""

import numpy as np
import pytest
import torch
from torch import nn

import safecross
from safecross import (
    METHODS,
    Alignment,
    LayerPair,
    Network,
    ZipIt,
    align,
    correlation,
    evaluate,
    interpolate,
    layer_pairs,
)
from safecross.alignment.responses import _closest_first
from safecross.alignment.zipit import merge_neurons


def joint(pair: LayerPair) -> np.ndarray:
    return correlation(torch.cat([pair.la, pair.lb], 1)).numpy()


def within(groups: np.ndarray, p: int) -> tuple[int, int]:
    """Return how many merges brought neurons of one network together, for each of the two."""
    return tuple(
        int(np.maximum(side.sum(1) - 1, 0).sum()) for side in (groups[:, :p], groups[:, p:])
    )


@pytest.fixture
def pair(make_examples):
    """A layer pair of 8 and 8 neurons that correlate, also within each."""
    shared = make_examples(200, 5)
    layers = [shared @ make_examples(5, 8, seed) + make_examples(200, 8, seed) for seed in (1, 2)]
    return LayerPair(*layers)


def by_hand(correlation, p, q, budget, alpha):
    """Return the groups of another implementation, which keeps sets and looks at all pairs."""
    groups = [{i} for i in range(p + q)]
    value = {(i, j): correlation[i, j] for i in range(p + q) for j in range(p + q)}
    left = [int(budget * q / 2), max(int(budget * q / 2), q - p)]
    sides = set(range(p)), set(range(p, p + q))
    while len(groups) > p:
        best = None
        for i in range(len(groups)):
            for j in range(i):
                both = [bool(groups[i] & s) and bool(groups[j] & s) for s in sides]
                if not any(b and n <= 0 for b, n in zip(both, left, strict=True)):
                    v = value[min(groups[i]), min(groups[j])]
                    best = max(best or (-np.inf,), (v, i, j, both), key=lambda one: one[0])
        _, i, j, both = best
        left = [n - b for b, n in zip(both, left, strict=True)]
        new, (x, y) = groups[i] | groups[j], (min(groups[i]), min(groups[j]))
        for other in groups:
            z = min(other)
            least = min(value[x, z], value[y, z])
            value[min(new), z] = value[z, min(new)] = alpha * least if least > 0 else least
        groups = [g for k, g in enumerate(groups) if k not in (i, j)] + [new]
    return sorted(map(sorted, groups))


@pytest.mark.parametrize("budget", [0, 0.3, 0.6, 1])
@pytest.mark.parametrize("alpha", [0.1, 0.3, 1])
def test_the_groups_are_those_of_another_implementation(pair, budget, alpha):
    groups = merge_neurons(joint(pair), 8, budget, alpha)
    ours = sorted(np.flatnonzero(row).tolist() for row in groups)
    assert ours == by_hand(joint(pair), 8, 8, budget, alpha)
    assert groups.sum(0).tolist() == [1] * 16  # each neuron is in one group


def test_the_budget_bounds_the_merges_within_a_network(pair):
    used = [within(merge_neurons(joint(pair), 8, budget, 1), 8) for budget in (0, 0.3, 0.6, 1)]
    assert used[0] == (0, 0)
    assert all(max(of) <= most for of, most in zip(used, (0, 1, 2, 4), strict=True))
    assert sum(used[-1]) > 2  # and a large one is used


def test_without_a_budget_it_pairs_the_closest_first(pair):
    groups = merge_neurons(joint(pair), 8, 0, 0.3)
    found = _closest_first(-pair.between.numpy())
    for i, j in zip(found.la, found.lb, strict=True):
        assert groups[i].sum() == 2 and groups[i, i] == groups[i, 8 + j] == 1


def test_alpha_keeps_groups_small(pair):
    largest = [merge_neurons(joint(pair), 8, 1, alpha).sum(1).max() for alpha in (0.01, 1)]
    assert largest[0] < largest[1]


@pytest.mark.parametrize(("p", "q"), [(4, 9), (9, 4), (3, 6), (1, 5)])
@pytest.mark.parametrize("budget", [0, 0.5, 1])
def test_layers_of_unequal_width_become_as_wide_as_a(make_examples, p, q, budget):
    la, lb = make_examples(100, p), make_examples(100, q, seed=1)
    groups = merge_neurons(joint(LayerPair(la, lb)), p, budget, 0.3)
    assert groups.shape == (p, p + q) and groups.sum(0).tolist() == [1] * (p + q)
    assert groups.sum(1).min() > 0
    # Without a budget only what has to be merged within b is.
    assert budget or within(groups, p) == (0, max(0, q - p))


def test_halfway_is_the_network_of_the_papers_equation(make_network, make_examples):
    a, b = (make_network((4, 6, 5, 3), seed) for seed in (0, 1))
    x = make_examples(100, 4)
    child = interpolate(*align(a, b, x, "zipit", budget=1).apply(a, b), 0.5)
    groups = [
        torch.from_numpy(merge_neurons(joint(pair), pair.sizes[0], 1, 0.3))
        for pair in layer_pairs(a, b, x)
    ]
    means = [g / g.sum(1, keepdim=True) for g in groups]
    assert any(within(g.numpy(), len(g)) != (0, 0) for g in groups)
    # The first layer reads the same inputs; the last ones' outputs are averaged.
    first = torch.cat([a.weights[0], b.weights[0]], 1).double() @ means[0].mT
    blocks = torch.block_diag(a.weights[1], b.weights[1]).double()
    last = groups[1] @ torch.cat([a.weights[2], b.weights[2]]).double() / 2
    expected = first, groups[0] @ blocks @ means[1].mT, last
    for found, weight in zip(child.weights, expected, strict=True):
        torch.testing.assert_close(found.double(), weight, atol=1e-5, rtol=0)
    bias = torch.cat([a.biases[0], b.biases[0]]).double() @ means[0].mT
    torch.testing.assert_close(child.biases[0].double(), bias, atol=1e-5, rtol=0)


def test_twins_are_merged_without_any_loss(make_network, make_examples):
    """A network with a neuron twice, each with half of the outgoing weights, and its copy."""
    theta, x = make_network((4, 5, 3)), make_examples(100, 4)
    (first, last), (bias, out) = theta.weights, theta.biases
    half = torch.cat([last[:1] / 2, last[1:], last[:1] / 2])
    wide = Network([torch.cat([first, first[:, :1]], 1), half], [torch.cat([bias, bias[:1]]), out])
    torch.testing.assert_close(wide(x), theta(x))
    for budget, same in ((1, True), (0, False)):
        aligned = align(theta, wide, x, "zipit", budget=budget).apply(theta, wide)
        assert aligned[1].widths == theta.widths
        difference = (interpolate(*aligned, 0.5)(x) - theta(x)).abs().max()
        assert difference < 1e-5 or not same


def test_the_ends_are_no_parents_and_the_method_says_so(make_network, make_examples):
    a, b = (make_network((4, 6, 3), seed) for seed in (0, 1))
    x = make_examples(100, 4)
    found = align(a, b, x, "zipit", budget=1)
    assert not METHODS["zipit"].preserves_function and found.is_soft
    assert all(
        (p(x) - q(x)).abs().max() > 0.01 for p, q in zip(found.apply(a, b), (a, b), strict=True)
    )
    with pytest.raises(ValueError, match="a soft map mixes neurons, so it has no lists"):
        _ = found.lists_a


def test_a_hard_layer_may_stand_beside_a_merged_one(make_network, make_examples):
    a, b = (make_network((4, 6, 5, 3), seed) for seed in (0, 1))
    x = make_examples(100, 4)
    merged, hard = align(a, b, x, "zipit", budget=1).matchings, align(a, b, x).matchings
    moved = Alignment("by hand", [hard[0], merged[1]]).apply(a, b)
    assert torch.equal(moved[0].weights[0], a.weights[0])
    assert not torch.equal(moved[0].weights[1], a.weights[1])


def test_modules_are_merged_as_networks_are(make_network, make_examples):
    a, b = (make_network((4, 6, 5, 3), seed) for seed in (0, 1))
    x = make_examples(100, 4)
    models = a.to_torch(), b.to_torch()
    spec = safecross.trace(models[0], x[:2])
    move = align(models[1], to=models[0], x=x, spec=spec, operator="zipit")
    assert not move.keeps_function and move.reference is not None
    child = interpolate(move.reference(models[0]), move(models[1]), 0.5)
    expected = interpolate(*align(a, b, x, "zipit").apply(a, b), 0.5)
    assert isinstance(child, nn.Sequential)
    torch.testing.assert_close(child(x), expected(x), atol=1e-5, rtol=0)
    assert evaluate(expected, x, torch.arange(100) % 3)[0].isfinite()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"budget": -0.1}, r"budget must lie in \[0, 1\]; found -0.1"),
        ({"budget": 1.1}, r"budget must lie in \[0, 1\]; found 1.1"),
        ({"budget": float("nan")}, r"budget must lie in \[0, 1\]; found nan"),
        ({"alpha": 0}, r"alpha must lie in \(0, 1\]; found 0"),
        ({"alpha": "x"}, r"alpha must lie in \(0, 1\]; found 'x'"),
    ],
)
def test_options_are_checked(options, message):
    with pytest.raises(ValueError, match=message):
        ZipIt(**options)
