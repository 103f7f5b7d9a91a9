"""Frank-Wolfe over all layers: its slope, its course, and where it ends."""

from itertools import permutations

import numpy as np
import pytest
import torch

from safecross import (
    METHODS,
    FrankWolfe,
    align,
    permute,
)
from safecross.alignment.frankwolfe import (
    MixedWeights,
    _length,
    assigned,
    frank_wolfe,
)
from safecross.networks.states import spec_of_network, state_of


def states(*networks):
    return [{n: t.double() for n, t in state_of(theta).items()} for theta in networks]


def agreement(a, b) -> float:
    parts = zip(a.weights + a.biases[:-1], b.weights + b.biases[:-1], strict=True)
    return sum(float((p.double() * q.double()).sum()) for p, q in parts)


@pytest.mark.parametrize("seed", range(5))
def test_of_one_hidden_layer_the_best_of_all_permutations_is_found(make_network, seed):
    a, b = make_network((4, 5, 3), seed), make_network((4, 5, 3), seed + 50)
    every = [agreement(a, permute(b, [order])) for order in permutations(range(5))]
    found = align(a, b, operator="frank-wolfe").apply(a, b)[1]
    assert agreement(a, found) == pytest.approx(max(every), abs=1e-9)


@pytest.mark.parametrize("seed", range(3))
def test_matrices_stay_doubly_stochastic_and_the_objective_never_falls(make_network, seed):
    a, b = make_network((6, 9, 8, 3), seed), make_network((6, 9, 8, 3), seed + 50)
    matrices, objective = frank_wolfe(spec_of_network(a), *states(a, b))
    assert len(objective) > 2 and np.all(np.diff(objective) > 0)
    for matrix in matrices.values():
        assert matrix.min() >= 0
        for axis in (0, 1):
            torch.testing.assert_close(matrix.sum(axis), torch.ones(len(matrix)).double())
    # Rounded, it is about as good, and much better than where neurons were.
    moved = align(a, b, operator="frank-wolfe").apply(a, b)[1]
    assert agreement(a, moved) > agreement(a, b) + 0.5 * (objective[-1] - objective[0])


def test_the_slope_is_the_derivative(make_network):
    a, b = make_network((4, 5, 3, 2), 0), make_network((4, 5, 3, 2), 1)
    search = MixedWeights(spec_of_network(a), *states(a, b))
    rng = torch.Generator().manual_seed(0)
    at = {f"layer {d}": torch.rand(p, p, generator=rng).double() for d, p in ((1, 5), (2, 3))}
    for name in at:
        step = torch.zeros_like(at[name])
        step[1, 2] = 1e-4
        sides = [search.value(at | {name: at[name] + s * step}) for s in (1, -1)]
        assert search.slope(name, at)[1, 2] == pytest.approx((sides[0] - sides[1]) / 2e-4, abs=1e-6)


def test_at_permutations_the_objective_is_that_of_the_networks(make_network):
    a, b = make_network((4, 5, 3, 2), 0), make_network((4, 5, 3, 2), 1)
    orders = [[3, 1, 0, 4, 2], [2, 0, 1]]
    at = {f"layer {d}": torch.eye(len(o)).double()[o] for d, o in enumerate(orders, 1)}
    found = MixedWeights(spec_of_network(a), *states(a, b)).value(at)
    assert found == pytest.approx(agreement(a, permute(b, orders)), abs=1e-5)


def test_it_is_as_good_as_coordinate_descent_on_many_layers(make_network):
    """Of random networks, which have no good match; both are local."""
    gains = []
    for seed in range(6):
        a, b = (make_network((6, 12, 12, 12, 3), s) for s in (seed, seed + 50))
        reached = [
            agreement(a, align(a, b, operator=name).apply(a, b)[1])
            for name in ("frank-wolfe", "weight-matching")
        ]
        gains.append(reached[0] / reached[1])
    assert 0.9 < np.median(gains)


def test_it_does_not_depend_on_the_order_and_its_steps_are_checked():
    assert METHODS["frank-wolfe"].invariant
    with pytest.raises(ValueError, match="steps must be a whole number >= 1; found 0"):
        FrankWolfe(steps=0)


def test_a_stack_of_matrices_is_assigned_one_by_one():
    matrices = torch.rand(3, 4, 4, generator=torch.Generator().manual_seed(0)).double()
    found = assigned(matrices)
    for matrix, order in zip(matrices, found, strict=True):
        sums = [matrix[range(4), p].sum() for p in permutations(range(4))]
        assert matrix[range(4), order].sum() == max(sums)
    assert not torch.equal(found[0], found[1])


@pytest.mark.parametrize("points", [3, 5])
def test_a_step_ends_where_the_polynomial_is_highest(points):
    shares = np.linspace(0, 1, points)
    for curve, expected in (
        (lambda t: t, 1.0),
        (lambda t: t * (1.2 - 2 * t), 0.3),
        (lambda t: t * (4 - t), 1.0),
        (lambda t: t**2 - 0.1 * t, 1.0),  # convex: not the turn, which is lowest
    ):
        assert _length(shares, [curve(t) for t in shares]) == pytest.approx(expected)
