"""Every method of the registry, also soft ones: what is promised of all, checked by being there."""

import numpy as np
import pytest
import torch

import safecross
from safecross import (
    METHODS,
    Alignment,
    Network,
    activations,
    correlation,
    crossover_curve,
    evaluate,
    interpolate,
    permute,
    trace,
    train,
)
from safecross.alignment.problem import Problem
from safecross.replication.config import Config
from safecross.replication.memory import pair_memory

each = pytest.mark.parametrize("name", METHODS)
SOFT = [name for name, entry in METHODS.items() if entry.soft]
INVARIANT = [name for name, entry in METHODS.items() if entry.invariant]
# Those that find every planted permutation of a trained network, which others find by luck.
FINDERS = [name for name in METHODS if name not in ("naive", "random")]


def align(theta_a, theta_b, x=None, operator="sc-pwc", **options):
    """Return `safecross.align` with labels, which some methods ask for."""
    y = None if x is None else torch.arange(len(x)) % theta_a.widths[-1]  # as those trained on
    return safecross.align(theta_a, theta_b, x, operator, y=y, **options)


@pytest.fixture(scope="module")
def trained():
    """Two networks of two hidden layers, trained on three classes, and the examples."""
    rng = np.random.default_rng(0)
    y = np.arange(600) % 3
    x = (rng.normal(size=(3, 8))[y] + rng.normal(size=(600, 8))).astype("f4")
    parents = [train(x, y, (7, 5), seed, epochs=10, batch_size=16) for seed in (1, 2)]
    for theta in parents:
        for layer in activations(theta, x):
            within = correlation(layer)
            assert torch.linalg.cond(within) < 1e4  # none dead, no two alike
    return (*parents, torch.from_numpy(x), torch.from_numpy(y))


def lists(theta: Network, seed: int) -> list[np.ndarray]:
    rng = np.random.default_rng(seed)
    return [rng.permutation(p) for p in theta.widths[1:-1]]


def child(a, b, x, name, **options) -> Network:
    return interpolate(*align(a, b, x, name, **options).apply(a, b), 0.5)


@each
def test_a_method_says_what_it_is(name):
    entry = METHODS[name]
    assert entry.preserves_function == (entry.one_to_one and not entry.soft)
    assert entry.summary.endswith(".") and "\n" not in entry.summary
    assert entry().spelling == name


@each
def test_aligned_parents_are_the_functions_that_they_were_if_it_says_so(trained, name):
    a, b, x, _ = trained
    alignment = align(a, b, x, name)
    for before, after in zip((a, b), alignment.apply(a, b), strict=True):
        difference = float((before(x) - after(x)).abs().max())
        if METHODS[name].preserves_function:
            assert difference < 1e-5
    assert alignment.is_soft == METHODS[name].soft
    assert alignment.is_one_to_one or not METHODS[name].one_to_one


@pytest.mark.parametrize("name", ["cca-merge", "sc-pwc-semi"])
def test_other_methods_do_change_a_parent(trained, name):
    a, b, x, _ = trained
    moved = align(a, b, x, name).apply(a, b)[1]
    assert not METHODS[name].preserves_function
    assert float((moved(x) - b(x)).abs().max()) > 0.1


@each
def test_the_result_is_the_same_twice(trained, name):
    a, b, x, _ = trained
    first, second = (child(a, b, x, name).weights for _ in range(2))
    assert all(torch.equal(p, q) for p, q in zip(first, second, strict=True))


@pytest.mark.parametrize("side", ["a", "b"])
@pytest.mark.parametrize("name", INVARIANT)
def test_the_child_does_not_depend_on_the_order_of_a_parents_neurons(trained, name, side):
    a, b, x, _ = trained
    other = {"a": a, "b": b}
    other[side] = permute(other[side], lists(a, seed=3))
    ours, theirs = child(a, b, x, name), child(other["a"], other["b"], x, name)
    assert float((ours(x) - theirs(x)).abs().max()) < 1e-5


@pytest.mark.parametrize("name", ["naive", "random", "sc-pwc-greedy"])
def test_others_depend_on_it(trained, name):
    a, b, x, _ = trained
    theirs = [child(a, permute(b, lists(a, seed)), x, name) for seed in range(5)]
    assert any(float((child(a, b, x, name)(x) - other(x)).abs().max()) > 0.01 for other in theirs)


@pytest.mark.parametrize("name", FINDERS)
def test_a_planted_permutation_of_a_trained_network_is_found(trained, name):
    a, _, x, _ = trained
    for seed in (0, 1):
        copy = permute(a, lists(a, seed))
        alignment = align(a, copy, x, name)
        halfway = interpolate(*alignment.apply(a, copy), 0.5)
        torch.testing.assert_close(halfway(x), a(x), atol=1e-4, rtol=0)


@each
def test_the_curve_is_that_of_full_passes(trained, name):
    a, b, x, y = trained
    alignment, t = align(a, b, x, name), [0, 0.3, 0.5, 1]
    curve = crossover_curve(a, b, x, y, alignment=alignment, t=t)
    loss, share = evaluate(interpolate(*alignment.apply(a, b), t), x, y)
    np.testing.assert_allclose(curve.loss, loss, atol=1e-5)
    np.testing.assert_allclose(curve.accuracy, share, atol=1e-6)


@each
def test_no_hidden_layers_leave_nothing_to_do(make_network, make_examples, name):
    theta = make_network((4, 3))
    alignment = align(theta, theta, make_examples(9, 4), name)
    assert alignment.matchings == ()
    assert interpolate(*alignment.apply(theta, theta), 0.5).widths == (4, 3)


@each
def test_dead_neurons_do_no_harm(make_network, make_examples, name):
    parents = []
    for seed, gone in ((0, [0, 3]), (1, [5])):
        theta = make_network((4, 6, 5, 2), seed)
        weight, bias = theta.weights[0].clone(), theta.biases[0].clone()
        weight[:, gone], bias[gone] = 0, -1
        parents.append(Network([weight, *theta.weights[1:]], [bias, *theta.biases[1:]]))
    x = make_examples(200, 4)
    assert torch.isfinite(child(*parents, x, name)(x)).all()


@each
def test_networks_of_unequal_width_are_taken_or_refused(make_network, make_examples, name):
    a, b, x = make_network((4, 5, 6, 2), 0), make_network((4, 7, 3, 2), 1), make_examples(200, 4)
    if METHODS[name].equal_widths:
        with pytest.raises(ValueError, match="same architecture; found 4-5-6-2 and 4-7-3-2"):
            align(a, b, x, name)
    else:
        alignment = align(a, b, x, name)
        assert alignment.apply(a, b)[1].widths == a.widths  # the child has a's
        assert len(crossover_curve(a, b, x, [0, 1] * 100, alignment=alignment).loss) == 31
        with pytest.raises(ValueError, match="same inputs, outputs, depth and device"):
            align(a, make_network((4, 7, 2), 1), x, name)


@pytest.mark.parametrize("name", SOFT)
def test_soft_maps_have_no_lists(trained, name):
    a, b, x, _ = trained
    alignment = align(a, b, x, name)
    with pytest.raises(ValueError, match="a soft map mixes neurons, so it has no lists"):
        _ = alignment.lists_b
    with pytest.raises(ValueError, match="one map for each hidden layer"):
        alignment.apply(b, train(x, trained[3], (6, 5), 0, epochs=1))
    hard = align(a, b, x, "sc-pwc").matchings
    mixed = Alignment("by hand", [hard[0], alignment.matchings[1]]).apply(a, b)[1]
    assert torch.equal(mixed.weights[0], permute(b, align(a, b, x).lists_b).weights[0])
    semi = align(a, b, x, "sc-pwc-semi-b").matchings
    with pytest.raises(ValueError, match="must leave a's neurons as they are"):
        Alignment("by hand", [semi[0], alignment.matchings[1]]).apply(a, b)


@pytest.mark.parametrize("needs", ["nothing", "weights"])
def test_methods_that_do_not_look_at_examples_work_without(trained, needs):
    a, b, x, _ = trained
    names = [name for name, entry in METHODS.items() if entry.needs == needs]
    assert names
    for name in names:
        without, with_x = align(a, b, operator=name), align(a, b, x, name)
        assert all(np.array_equal(*m) for m in zip(without.lists_b, with_x.lists_b, strict=True))
        modules = a.to_torch(), b.to_torch()
        spec = trace(modules[0], x[:2])
        move = safecross.align(modules[1], to=modules[0], spec=spec, operator=name)
        assert list(move.maps) == list(spec.groups)


def test_a_problem_without_examples_says_so(trained):
    a, b, *_ = trained
    problem = Problem(a, b)
    assert problem.widths_a == problem.widths_b == (7, 5)
    assert torch.equal(problem.state_b["biases.1"], b.biases[1])
    with pytest.raises(ValueError, match="compares activations: give examples x"):
        _ = problem.pairs


def test_memory_is_announced_for_every_method_that_does_a_cca():
    def needed(operator):
        config = Config("mnist", (512,), 1, 1, (operator,))
        return pair_memory(config, (784, 512, 10), 60_000, 10_000)

    doing = {name for name, entry in METHODS.items() if "standardise" in entry.options}
    assert doing == {"sc-cca", "hard-cca", "cca-merge"}
    assert {needed(name) for name in doing} == {needed("sc-cca")}
    wide = Config("mnist", (8192,), 1, 1, ("hard-cca",))
    less = wide.replace(operators=("ot",))
    sizes = (784, 8192, 10), 60_000, 10_000
    assert pair_memory(wide, *sizes) > 2 * pair_memory(less, *sizes)
