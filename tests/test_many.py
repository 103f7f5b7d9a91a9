"""Many networks in one frame: planted copies, cycles, the objective, and two as pairs are."""

from itertools import permutations, product

import numpy as np
import pytest
import torch

import safecross
from safecross import (
    Network,
    activations,
    align,
    correlation,
    function_difference,
    permute,
    stack,
    trace,
    train,
)
from safecross.modules.many import (
    _climbed,
    _compared,
    _Mixed,
    match_cyclic,
    match_to_mean,
    merge_many,
    pairwise_similarity,
)
from safecross.networks.states import spec_of_network, state_of

both = pytest.mark.parametrize("method", [merge_many, match_cyclic])
by = pytest.mark.parametrize("examples", [False, True], ids=["weights", "activations"])


@pytest.fixture(scope="module")
def trained():
    """Four networks trained on three classes, and the examples."""
    rng = np.random.default_rng(0)
    y = np.arange(600) % 3
    x = (rng.normal(size=(3, 8))[y] + rng.normal(size=(600, 8))).astype("f4")
    networks = [train(x, y, (9, 7), seed, epochs=10, batch_size=16) for seed in range(4)]
    return networks, torch.from_numpy(x)


def agreement(networks) -> float:
    """Return the sum of products of all parameters that move, over all pairs."""
    flat = [
        torch.cat([p.flatten() for p in (*theta.weights, *theta.biases[:-1])]).double()
        for theta in networks
    ]
    return sum(float(flat[i] @ flat[j]) for j in range(len(flat)) for i in range(j))


@both
@by
def test_planted_permutations_of_copies_are_undone_exactly(trained, method, examples):
    (theta, *_), x = trained
    rng = np.random.default_rng(1)
    planted = [[rng.permutation(p) for p in theta.widths[1:-1]] for _ in range(4)]
    copies = [theta, *(permute(theta, lists) for lists in planted)]
    moves = method(copies, x=x if examples else None)
    for move, lists in zip(moves[1:], planted, strict=True):
        for how, order in zip(move.maps.values(), lists, strict=True):
            assert how.order.tolist() == np.argsort(order).tolist()
    for move, copy in zip(moves, copies, strict=True):
        moved = move(copy)
        assert all(torch.equal(p, q) for p, q in zip(moved.weights, theta.weights, strict=True))
    assert not torch.equal(copies[1].weights[0], theta.weights[0])


@both
@by
def test_functions_are_kept_and_cycles_close(trained, method, examples):
    networks, x = trained
    moves = method(networks, x=x if examples else None)
    assert len(moves) == 4 and all(move.keeps_function for move in moves)
    for move, theta in zip(moves, networks, strict=True):
        assert function_difference(move(theta), theta, x) < 1e-5
    for i, j, k in product(range(4), repeat=3):
        round_trip = (
            (moves[i].inverse() @ moves[j])
            @ (moves[j].inverse() @ moves[k])
            @ (moves[k].inverse() @ moves[i])
        )
        for how in round_trip.maps.values():
            assert how.order.tolist() == list(range(how.size))
    assert all(how.order.tolist() == list(range(how.size)) for how in moves[0].maps.values())
    assert any(how.order.tolist() != list(range(how.size)) for how in moves[1].maps.values())


def test_pairwise_matchings_do_not_close_cycles(trained):
    networks, x = trained
    lists = [align(networks[i], networks[j], x).lists_b[0] for i, j in ((0, 1), (1, 2), (2, 0))]
    assert (lists[2][lists[1]][lists[0]] != np.arange(9)).any()


def course(method, spec, states, **options):
    if method is merge_many:
        return match_to_mean(spec, states, np.random.default_rng(0), **options)[1]
    return _climbed(spec, states, 200, **options)[1]


@both
@by
@pytest.mark.parametrize("n", [2, 3, 4])
def test_the_objective_never_falls_and_starts_and_ends_where_it_should(
    trained, method, examples, n
):
    networks, x = trained
    _, seen, states = _compared(networks[:n], None, x if examples else None)
    objective = course(method, seen, states)
    assert len(objective) > 1 and np.all(np.diff(objective) > 0)
    if not examples and method is merge_many:
        moves = merge_many(networks[:n])
        moved = [move(theta) for move, theta in zip(moves, networks, strict=False)]
        assert objective[0] == pytest.approx(agreement(networks[:n]), rel=1e-5)
        assert objective[-1] == pytest.approx(agreement(moved), rel=1e-5)


@by
def test_the_objective_of_the_activations_is_the_sum_of_correlations(trained, examples):
    networks, x = trained
    _, seen, states = _compared(networks, None, x if examples else None)
    expected = agreement(networks)
    if examples:
        layers = [activations(theta, x) for theta in networks]
        expected = sum(
            float(correlation(layers[i][d], layers[j][d]).trace())
            for d, j in product(range(2), range(4))
            for i in range(j)
        )
    assert pairwise_similarity(seen, states) == pytest.approx(expected, rel=1e-5)


@both
def test_of_three_small_networks_the_best_of_all_is_nearly_reached(make_network, method):
    shares = []
    for seed in range(4):
        networks = [make_network((4, 4, 3), seed + 50 * i) for i in range(3)]
        orders = list(permutations(range(4)))
        every = [
            agreement([networks[0], permute(networks[1], [p]), permute(networks[2], [q])])
            for p, q in product(orders, repeat=2)
        ]
        moved = [m(theta) for m, theta in zip(method(networks), networks, strict=True)]
        shares.append((agreement(moved) - np.mean(every)) / (max(every) - np.mean(every)))
        assert shares[-1] <= 1 + 1e-6
    assert np.median(shares) > 0.9 and min(shares) > 0.5


def test_the_slopes_are_the_derivatives(make_network):
    networks = [make_network((4, 5, 3, 2), seed) for seed in range(3)]
    search = _Mixed(spec_of_network(networks[0]), [state_of(theta) for theta in networks])
    generator = torch.Generator().manual_seed(0)
    at = {
        f"layer {d}": torch.rand(3, p, p, generator=generator).double() for d, p in ((1, 5), (2, 3))
    }
    for name in at:
        step = torch.zeros_like(at[name])
        step[2, 1, 2] = 1e-4
        sides = [search.value(at | {name: at[name] + s * step}) for s in (1, -1)]
        slope = search.slope(name, at)
        assert slope[2, 1, 2] == pytest.approx((sides[0] - sides[1]) / 2e-4, abs=1e-6)
        assert torch.equal(slope[0], at[name][0])  # of the first, what keeps it where it is


def lists(moves) -> list[list[int]]:
    return [how.order.tolist() for how in moves[1].maps.values()]


def test_two_networks_are_matched_as_a_pair_is(trained):
    (a, b, *_), x = trained
    pair = [order.tolist() for order in align(a, b, operator="frank-wolfe").lists_b]
    assert lists(match_cyclic([a, b])) == pair
    for method in (merge_many, match_cyclic):
        matched = [order.tolist() for order in align(a, b, x).lists_b]
        assert lists(method([a, b], x=x)) == matched
    assert lists(match_cyclic([a, b], x=x)) != pair
    one_layer = [Network(t.weights[:1] + t.weights[1:2], t.biases[:2]) for t in (a, b)]
    reached = [m(t) for m, t in zip(merge_many(one_layer), one_layer, strict=True)]
    alone = align(*one_layer, operator="weight-matching").apply(*one_layer)
    assert agreement(reached) == pytest.approx(agreement(alone), rel=1e-6)


@both
def test_populations_modules_and_state_dicts_are_all_the_same(trained, method):
    networks, x = trained
    expected = [list(map(lambda h: h.order.tolist(), m.maps.values())) for m in method(networks)]
    modules = [theta.to_torch() for theta in networks]
    spec = trace(modules[0], x[:2])
    states = [module.state_dict() for module in modules]
    batch = {name: torch.stack([state[name] for state in states]) for name in states[0]}
    for models, given in ((stack(networks), None), (modules, spec), (states, spec), (batch, spec)):
        found = method(models, given)
        assert [[how.order.tolist() for how in m.maps.values()] for m in found] == expected


@both
def test_one_network_stays_where_it_is(trained, method):
    (theta, *_), _ = trained
    (move,) = method([theta])
    assert torch.equal(move(theta).weights[0], theta.weights[0])


@both
def test_what_cannot_be_matched_is_refused(trained, make_network, method):
    networks, x = trained
    modules = [theta.to_torch() for theta in networks]
    spec = trace(modules[0], x[:2])
    for arguments, message in (
        (([],), "expected at least one model; found none"),
        ((networks[0],), "expected a population or a list of networks; found Network"),
        ((modules,), "models other than Networks need a spec, as trace returns it"),
        ((modules, spec, x), "examples x are for Networks"),
        (([*networks, make_network((8, 9, 6, 3))],), "of model 4 must have shape"),
        (([networks[0], 3],), "expected Networks, modules or state dicts; found 3"),
        ((7,), "models must be a list; found 7"),
    ):
        with pytest.raises(ValueError, match=message):
            method(*arguments)
    with pytest.raises(ValueError, match="must be a whole number >= 1; found 0"):
        method(networks, **{"rounds" if method is merge_many else "steps": 0})


def test_the_mean_of_networks_in_one_frame_is_better_than_that_of_networks_as_they_are(trained):
    networks, x = trained

    def loss(members) -> float:
        weights, biases = (
            [
                torch.stack(layer).mean(0)
                for layer in zip(*(getattr(t, k) for t in members), strict=True)
            ]
            for k in ("weights", "biases")
        )
        return float(safecross.evaluate(Network(weights, biases), x, torch.arange(600) % 3)[0])

    for method in (merge_many, match_cyclic):
        for examples in (None, x):
            moves = method(networks, x=examples)
            moved = [move(theta) for move, theta in zip(moves, networks, strict=True)]
            assert loss(moved) < loss(networks) - 0.1
