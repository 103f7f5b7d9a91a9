"""Bent paths between two networks, and the descent that trains them."""

import numpy as np
import pytest
import torch

from safecross import Network, align, initialise, interpolate, stack, train
from safecross.crossover.bezier import bend, on_bezier
from safecross.networks.metrics import cross_entropy
from safecross.networks.training import descend, outputs_of

GRID = [i / 10 for i in range(11)]


@pytest.fixture(scope="module")
def task():
    """Draw points of three classes that overlap: a problem with a barrier between its solutions."""
    rng = torch.Generator().manual_seed(0)
    centres = torch.randn(12, 4, generator=rng)
    kinds = torch.randint(12, (600,), generator=rng)
    x = centres[kinds] + 0.3 * torch.randn(600, 4, generator=rng)
    return x, kinds % 3


@pytest.fixture(scope="module")
def parents(task):
    return [train(*task, (16,), seed, epochs=30, learning_rate=0.01) for seed in (0, 1)]


def highest(population: Network, x, y) -> float:
    return float(cross_entropy(population(x), y).max())


def test_the_curve_ends_at_its_ends_and_is_that_of_bernstein(make_network):
    a, middle, b = (make_network((3, 4, 2), seed) for seed in range(3))
    curve = on_bezier(a, middle, b, [0, 0.3, 1])
    assert torch.equal(curve.weights[0][0], a.weights[0])
    assert torch.equal(curve.biases[1][2], b.biases[1])
    one = on_bezier(a, middle, b, 0.3)
    assert not one.batch_shape and torch.equal(one.weights[1], curve.weights[1][1])
    # De Casteljau: a line between points of two lines.
    steps = interpolate(a, middle, 0.3), interpolate(middle, b, 0.3)
    assert torch.allclose(one.weights[1], interpolate(*steps, 0.3).weights[1], atol=1e-6)


def test_a_middle_halfway_gives_the_straight_line(make_network):
    a, b = make_network((3, 4, 2), 0), make_network((3, 4, 2), 1)
    curve, line = on_bezier(a, interpolate(a, b, 0.5), b, GRID), interpolate(a, b, GRID)
    assert torch.allclose(curve.weights[0], line.weights[0], atol=1e-6)
    assert torch.equal(bend(a, b, torch.rand(5, 3), [0] * 5, steps=0).biases[0],
                       interpolate(a, b, 0.5).biases[0])  # fmt: skip


def test_bending_lowers_the_loss_along_the_path(parents, task):
    (x, y), (a, b) = task, parents
    middle = bend(a, b, x, y, steps=400, learning_rate=0.01)
    line = highest(interpolate(a, b, GRID), x, y)
    curve = highest(on_bezier(a, middle, b, GRID), x, y)
    assert curve < 0.7 * line
    ends = highest(stack([a, b]), x, y)
    assert line > 2 * ends, "else there is nothing to go around"


def test_a_path_between_aligned_networks_is_low_with_less_training(parents, task):
    (x, y), (a, b) = task, parents
    aligned = align(a, b, x, "sc-pwc").apply(a, b)
    found = [
        highest(on_bezier(p, bend(p, q, x, y, steps=60, learning_rate=0.01), q, GRID), x, y)
        for p, q in ((a, b), aligned)
    ]
    assert found[1] < found[0]


def test_the_same_seed_bends_the_same_way(parents, task):
    one, again, other = (bend(*parents, *task, steps=3, seed=s) for s in (4, 4, 5))
    assert torch.equal(one.weights[0], again.weights[0])
    assert not torch.equal(one.weights[0], other.weights[0])
    before = [w.clone() for w in parents[0].weights]
    assert all(torch.equal(w, v) for w, v in zip(parents[0].weights, before, strict=True))
    assert not one.weights[0].requires_grad


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"steps": -1}, "steps must be a whole number >= 0; found -1"),
        ({"batch_size": 0}, "batch_size must be a whole number >= 1; found 0"),
        ({"learning_rate": 0}, "learning_rate must be positive and finite; found 0"),
        ({"seed": -1}, "seed must be a whole number >= 0"),
        ({"y": [3] * 600}, r"labels must|label"),
        ({"x": torch.ones(600, 5)}, "examples must have 4 columns"),
    ],
)
def test_what_cannot_be_bent_is_told(parents, task, change, message):
    given = {"x": task[0], "y": task[1], **change}
    with pytest.raises(ValueError, match=message):
        bend(*parents, **given)


def test_curves_of_other_networks_are_told(parents):
    a, b = parents
    with pytest.raises(ValueError, match="architecture"):
        on_bezier(a, initialise([4, 5, 3], 0), b, 0.5)
    with pytest.raises(ValueError, match="expected single networks; found"):
        on_bezier(a, stack([a, b]), b, 0.5)
    with pytest.raises(ValueError, match=r"t must be a number in \[0, 1\]; found 1.5"):
        on_bezier(a, a, b, [0.5, 1.5])
    with pytest.raises(ValueError, match="t must hold at least one point"):
        on_bezier(a, a, b, [])
    assert on_bezier(a, a, b, np.array([0.5])).batch_shape == (1,)


def test_descent_is_adam(make_network):
    theta, x = make_network((3, 4, 2)), torch.rand(6, 3, generator=torch.Generator().manual_seed(1))
    model = theta.to_torch()
    adam = torch.optim.Adam(model.parameters(), 0.01)
    for _ in range(5):
        adam.zero_grad()
        model(x).square().mean().backward()
        adam.step()
    start = [*theta.weights, *theta.biases]
    found = descend(start, lambda parts: outputs_of(parts, x).square().mean(), 5, 0.01)
    assert torch.allclose(found[0], model[0].weight.T, atol=1e-6)
    assert torch.allclose(found[3], model[2].bias, atol=1e-6)
    assert torch.equal(start[0], make_network((3, 4, 2)).weights[0])
