"""REPAIR reaches its goal, and the offspring without it do not; the ensemble of the parents."""

import numpy as np
import pytest
import torch

from safecross import (
    Network,
    align,
    ensemble_curve,
    evaluate,
    function_difference,
    interpolate,
    load_data,
    repair,
)
from safecross.crossover.repair import preactivation_statistics, repaired_curve
from safecross.replication.pairs import train_parents
from safecross.runs import run

T = (0.0, 0.25, 0.5, 1.0)


@pytest.fixture
def parents(make_network, make_examples):
    """Two aligned parents and examples."""
    a, b = (make_network((10, 9, 8, 7, 3), seed) for seed in (0, 1))
    x = make_examples(400, 10)
    return (*align(a, b, x).apply(a, b), x)


def errors(theta, a, b, x, t) -> list[tuple[float, float]]:
    """Return how far each layer's means and deviations are from their goals."""
    of = [preactivation_statistics(one, x) for one in (theta, a, b)]
    return [
        tuple(
            float((mine - (1 - t) * of_a - t * of_b).abs().max())
            for mine, of_a, of_b in zip(*layer, strict=True)
        )
        for layer in zip(*of, strict=True)
    ]


@pytest.mark.parametrize("output", [False, True])
@pytest.mark.parametrize("t", T)
def test_means_and_deviations_of_each_layer_are_the_interpolated_ones(parents, t, output):
    a, b, x = parents
    child = interpolate(a, b, t)
    found = errors(repair(child, a, b, x, t, output=output), a, b, x, t)
    assert all(max(layer) < 1e-4 for layer in found[: 3 + output])
    if t not in (0, 1):
        # Not without it, and the logits are left alone unless asked for.
        assert all(max(layer) > 0.01 for layer in errors(child, a, b, x, t)[1:])
        assert (max(found[3]) < 1e-4) is output
        assert errors(child, a, b, x, t)[0][0] < 1e-5  # of the first layer, means are linear


def test_statistics_are_taken_before_the_relu(parents):
    a, _, x = parents
    z = x.double() @ a.weights[0].double() + a.biases[0]
    mean, deviation = preactivation_statistics(a, x)[0]
    torch.testing.assert_close(mean, z.mean(0), atol=1e-5, rtol=0)
    torch.testing.assert_close(deviation, z.std(0, correction=0), atol=1e-5, rtol=0)


def test_deviations_are_interpolated_and_not_variances():
    def wide(s):
        return Network([torch.tensor([[s]]), torch.ones(1, 1)], [torch.zeros(1)] * 2)

    child = repair(wide(0.5), wide(1.0), wide(3.0), [[-1.0], [1.0]], 0.5)
    assert child.weights[0].item() == pytest.approx(2)  # not the root of 5


@pytest.mark.parametrize("t", [0.0, 0.25, 0.5, 1.0, 1.25])
def test_in_closed_form_the_first_layer_is_the_measured_one(parents, t):
    """Before its ReLU it is linear in the parents; the layers above are not."""
    a, b, x = parents
    child = interpolate(a, b, t)
    ours, measured = (repair(child, a, b, x, t, closed_form=c) for c in (True, False))
    torch.testing.assert_close(ours.weights[0], measured.weights[0], atol=1e-4, rtol=1e-4)
    torch.testing.assert_close(ours.biases[0], measured.biases[0], atol=1e-4, rtol=1e-4)
    assert torch.equal(ours.weights[-1], child.weights[-1])
    if t in (0, 1):
        assert function_difference(ours, child, x) < 1e-4
    else:
        assert (ours.weights[0] - child.weights[0]).abs().max() > 0.01
        assert (ours.weights[1] - measured.weights[1]).abs().max() > 0.01
        # Above it comes nearer to the goal than nothing does.
        found, before = (errors(theta, a, b, x, t)[1] for theta in (ours, child))
        assert found[1] < before[1]


def test_in_closed_form_the_output_is_renewed_if_asked_for(parents):
    a, b, x = parents
    child = interpolate(a, b, 0.5)
    found = repair(child, a, b, x, 0.5, closed_form=True, output=True)
    assert not torch.equal(found.weights[-1], child.weights[-1])
    many = repair(interpolate(a, b, T), a, b, x, T, closed_form=True)
    assert function_difference(many[2], repair(child, a, b, x, 0.5, closed_form=True), x) < 1e-6


def test_the_ends_stay_the_parents(parents):
    a, b, x = parents
    for t, theta in ((0, a), (1, b)):
        assert function_difference(repair(theta, a, b, x, t, output=True), theta, x) < 1e-5


def test_a_population_is_repaired_each_at_its_own_t(parents):
    a, b, x = parents
    found = repair(interpolate(a, b, T), a, b, x, T)
    for i, t in enumerate(T):
        one = repair(interpolate(a, b, t), a, b, x, t)
        assert function_difference(found[i], one, x) < 1e-6


def test_neurons_that_are_constant_are_shifted_only(parents):
    a, b, x = parents
    dead = [Network([w.clone() for w in theta.weights], theta.biases) for theta in (a, b)]
    for theta in dead:
        theta.weights[0][:, 2] = 0
    child = interpolate(*dead, 0.5)
    found = repair(child, *dead, x, 0.5)
    assert torch.equal(found.weights[0][:, 2], torch.zeros(10))
    assert found.biases[0][2] == pytest.approx(float((a.biases[0] + b.biases[0])[2] / 2), abs=1e-6)
    child = interpolate(a, b, 0.5)
    child.weights[0][:, 2] = 0
    assert torch.isfinite(repair(child, a, b, x, 0.5)(x)).all()


def test_what_is_given_is_left_as_it_was(parents):
    a, b, x = parents
    child = interpolate(a, b, 0.5)
    before = [w.clone() for w in child.weights]
    repair(child, a, b, x, 0.5)
    assert all(torch.equal(p, q) for p, q in zip(child.weights, before, strict=True))


@pytest.mark.parametrize("t", [[0.5, 0.5], float("nan"), []])
def test_each_network_has_one_t(parents, t):
    a, b, x = parents
    with pytest.raises(ValueError, match="expected one finite t for each of 1 networks"):
        repair(interpolate(a, b, 0.5), a, b, x, t)


def test_parents_of_another_architecture_are_refused(parents, make_network):
    a, b, x = parents
    with pytest.raises(ValueError, match="same architecture"):
        repair(make_network((10, 4, 3)), a, b, x, 0.5)
    for option in ("output", "closed_form"):
        with pytest.raises(ValueError, match=f"{option} must be true or false"):
            repair(a, a, b, x, 0.5, **{option: "no"})


# The ensemble


def test_the_ensemble_mixes_logits(parents):
    a, b, x = parents
    y = torch.arange(400) % 3
    curve = ensemble_curve(a, b, x, y, t=(0, 0.3, 1))
    for i, theta in ((0, a), (2, b)):
        loss, share = evaluate(theta, x, y)
        assert (curve.loss[i], curve.accuracy[i]) == pytest.approx((float(loss), float(share)))
    mixed = (0.7 * a(x) + 0.3 * b(x)).double()
    expected = torch.nn.functional.cross_entropy(mixed, y)
    assert curve.loss[1] == pytest.approx(float(expected), abs=1e-6)
    line = np.interp(0.3, [0, 1], curve.loss[[0, 2]])
    assert curve.loss[1] <= line  # the loss is convex in the logits


def test_the_ensemble_does_not_depend_on_an_alignment(make_network, make_examples):
    a, b = make_network((10, 9, 3), 0), make_network((10, 4, 5, 3), 1)
    x = make_examples(40, 10)
    assert len(ensemble_curve(a, b, x, [0, 1] * 20).loss) == 31
    with pytest.raises(ValueError, match="expected networks with the same outputs"):
        ensemble_curve(a, make_network((10, 9, 2)), x, [0, 1] * 20)


def test_the_repaired_curve_is_that_of_each_repaired_offspring(parents):
    a, b, x = parents
    y = torch.arange(len(x)) % 3
    curve = repaired_curve(a, b, x[:200], x, y, T)
    for t, loss, share in zip(T, curve.loss, curve.accuracy, strict=True):
        child = repair(interpolate(a, b, t), a, b, x[:200], t)
        expected = evaluate(child, x, y)
        assert (loss, share) == (
            pytest.approx(float(expected[0])),
            pytest.approx(float(expected[1])),
        )
    assert abs(curve.loss[2] - float(evaluate(interpolate(a, b, 0.5), x, y)[0])) > 1e-5


def test_a_record_holds_the_repaired_offspring(small_config, runs, own_data):
    operators = ("naive", "naive+repair", "sc-pwc", "sc-pwc+repair")
    config = small_config.replace(operators=operators, n_pairs=1)
    record = run(config, workers=1)
    (a, _), (b, _) = train_parents(config, [0, 1])
    data = load_data(own_data)
    aligned = align(a, b, data.x_test).apply(a, b)
    for name, pair in (("naive", (a, b)), ("sc-pwc", aligned)):
        plain = record.at(0.5)[name].item()
        child = interpolate(*pair, 0.5)
        assert plain == pytest.approx(float(evaluate(child, data.x_test, data.y_test)[0]), rel=1e-5)
        child = repair(child, *pair, data.x_test, 0.5)
        expected = float(evaluate(child, data.x_test, data.y_test)[0])
        assert record.at(0.5)[f"{name}+repair"].item() == pytest.approx(expected, rel=1e-5)
        assert expected != pytest.approx(plain, rel=1e-3)
