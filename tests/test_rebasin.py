"""Sinkhorn re-basin: its operator, the operator's slope, what it lowers, and what it rounds to."""

from itertools import permutations

import numpy as np
import pytest
import torch
from torch import nn

import safecross
from safecross import (
    METHODS,
    SinkhornRebasin,
    align,
    evaluate,
    interpolate,
    permute,
)
from safecross.alignment.problem import Problem
from safecross.alignment.rebasin import OBJECTIVES, _Cost, soft_permutation


def unrolled(entries, rounds=3000):
    """Return what Sinkhorn's rounds converge to, gradients passing through each."""
    for _ in range(rounds):
        entries = entries - entries.logsumexp(1, True)
        entries = entries - entries.logsumexp(0, True)
    return entries.exp()


def random(*shape, seed=0):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


@pytest.mark.parametrize("spread", [0.1, 1.0, 3.0])
def test_the_operator_is_doubly_stochastic_and_its_slope_that_through_all_rounds(spread):
    entries, weights = (spread * random(6, 6)).requires_grad_(), random(6, 6, seed=1)
    soft = soft_permutation(entries)
    assert soft.min() > 0
    for axis in (0, 1):
        torch.testing.assert_close(soft.sum(axis), torch.ones(6).double(), atol=1e-4, rtol=0)
    torch.testing.assert_close(soft, unrolled(entries), atol=1e-4, rtol=0)
    ours, theirs = (
        torch.autograd.grad((f(entries) * weights).sum(), entries)[0]
        for f in (soft_permutation, unrolled)
    )
    torch.testing.assert_close(ours, theirs, atol=1e-4, rtol=0)
    # Without the terms of rows and columns it would be another one.
    assert (soft * weights - theirs).abs().max() > 1e-3


def test_near_a_permutation_the_slope_is_finite_and_small():
    entries = (100 * torch.eye(5, dtype=torch.float64)[[2, 0, 1, 4, 3]]).requires_grad_()
    (slope,) = torch.autograd.grad((soft_permutation(entries) * random(5, 5)).sum(), entries)
    assert slope.abs().max() < 1e-6


@pytest.mark.parametrize("seed", range(5))
def test_of_one_hidden_layer_what_is_found_is_near_the_best_of_all(make_network, seed):
    """Soft permutations shrink weights, so that the nearest of all need not be found."""
    a, b = make_network((4, 5, 3), seed), make_network((4, 5, 3), seed + 50)

    def agreement(other):
        parts = zip(a.weights + a.biases, other.weights + other.biases, strict=True)
        return sum(float((p * q).sum()) for p, q in parts)

    every = [agreement(permute(b, [order])) for order in permutations(range(5))]
    found = agreement(align(a, b, operator="sinkhorn").apply(a, b)[1])
    lost = (max(every) - found) / (max(every) - np.mean(every))
    assert -1e-6 < lost < 0.15
    assert found > agreement(b)


@pytest.fixture(scope="module")
def trained():
    """Two networks trained on three classes that overlap, the examples and labels."""
    rng = np.random.default_rng(0)
    y = np.arange(600) % 3
    x = (rng.normal(size=(3, 6))[y] + rng.normal(size=(600, 6))).astype("f4")
    parents = [safecross.train(x, y, (9, 8), seed, epochs=10, batch_size=16) for seed in (1, 2)]
    return (*parents, torch.from_numpy(x), torch.from_numpy(y))


@pytest.mark.parametrize("objective", ["middle", "random"])
def test_losses_are_lowered(trained, objective):
    a, b, x, y = trained

    def loss(**options):
        found = align(a, b, x, "sinkhorn", y=y, objective=objective, **options)
        return float(evaluate(interpolate(*found.apply(a, b), 0.5), x, y)[0])

    naive = float(evaluate(interpolate(a, b, 0.5), x, y)[0])
    assert loss() < naive - 0.02
    assert loss(learning_rate=1e-12, steps=1) > loss()


@pytest.mark.parametrize("objective", OBJECTIVES)
def test_at_a_permutation_the_cost_is_that_of_the_networks(trained, objective):
    a, b, x, y = trained
    method = SinkhornRebasin(objective=objective, batch=600)
    lists = [np.random.default_rng(1).permutation(p) for p in a.widths[1:-1]]
    moved = permute(b, lists)
    soft = {f"layer {d}": torch.eye(len(o)).double()[o] for d, o in enumerate(lists, 1)}
    found = float(_Cost(Problem(a, b, x=x, y=y), method)(soft))
    t = 0.5 if objective == "middle" else np.random.default_rng(0).random()
    expected = float(evaluate(interpolate(a, moved, t), x, y)[0])
    if objective == "weights":
        parts = [*zip(a.weights, moved.weights, strict=True)]
        parts += zip(a.biases[:-1], moved.biases[:-1], strict=True)  # the output's stay
        expected = sum(float((p.double() - q.double()).square().sum()) for p, q in parts)
    assert found == pytest.approx(expected, abs=1e-5)


def test_the_losses_need_labels_and_the_distance_nothing_but_weights(trained):
    a, b, x, _ = trained
    assert METHODS["sinkhorn"].needs == SinkhornRebasin().needs == "weights"
    for objective in ("middle", "random"):
        method = SinkhornRebasin(objective=objective)
        assert method.needs == "gradients"
        with pytest.raises(ValueError, match="labels y are missing: give both"):
            align(a, b, x, method)


def test_modules_are_matched_too_their_buffers_left_out(trained):
    _, _, x, y = trained
    torch.manual_seed(0)
    layers = nn.Linear(6, 8), nn.BatchNorm1d(8), nn.ReLU(), nn.Linear(8, 3)
    model = nn.Sequential(*layers).eval()
    nn.init.normal_(model[1].weight)
    spec = safecross.trace(model, x[:2])
    (name,) = spec.groups
    order = torch.randperm(8)
    planted = safecross.Move(spec, {name: safecross.modules.Permutation(order)})(model)
    planted[1].running_mean.fill_(1e6)
    move = align(planted, to=model, spec=spec, operator="sinkhorn")
    assert move.maps[name].order.tolist() == order.argsort().tolist()
    options = {"objective": "middle", "learning_rate": 1, "y": y}
    other = align(planted, to=model, x=x, spec=spec, operator="sinkhorn", **options)
    assert other.keeps_function
    assert other.maps[name].order.tolist() != list(range(8))


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"objective": "midle"}, "unknown objective 'midle': did you mean 'middle'"),
        ({"objective": 3}, "unknown objective 3"),
        ({"steps": 0}, "steps must be a whole number >= 1; found 0"),
        ({"batch": 0}, "batch must be a whole number >= 1; found 0"),
        ({"seed": -1}, "seed must be a whole number >= 0; found -1"),
        ({"learning_rate": -1}, "learning_rate must be positive and finite; found -1"),
    ],
)
def test_options_are_checked(options, message):
    with pytest.raises(ValueError, match=message):
        SinkhornRebasin(**options)
