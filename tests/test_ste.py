"""The straight-through estimator: no worse than its start, labels asked for, slopes checked."""

from itertools import permutations

import numpy as np
import pytest
import torch
from torch import nn

import safecross
from safecross import (
    METHODS,
    StraightThrough,
    align,
    align_layers,
    evaluate,
    interpolate,
    load_data,
    load_network,
    permute,
)
from safecross.alignment.operators import layer_pairs
from safecross.alignment.problem import Problem
from safecross.alignment.ste import _slopes, middle_loss
from safecross.cli import main
from safecross.modules.align import align_groups, group_pairs
from safecross.replication.pairs import train_parents
from safecross.runs import run


@pytest.fixture(scope="module")
def trained():
    """Two networks trained on three classes that overlap, the examples and labels."""
    rng = np.random.default_rng(0)
    y = np.arange(600) % 3
    x = (rng.normal(size=(3, 6))[y] + rng.normal(size=(600, 6))).astype("f4")
    parents = [safecross.train(x, y, (5, 5), seed, epochs=10, batch_size=16) for seed in (1, 2)]
    return (*parents, torch.from_numpy(x), torch.from_numpy(y))


def halfway(a, b, x, y, name, **options) -> float:
    child = interpolate(*align(a, b, x, name, y=y, **options).apply(a, b), 0.5)
    return float(evaluate(child, x, y)[0])


def test_the_loss_halfway_is_never_higher_than_weight_matchings_and_here_lower(trained):
    a, b, x, y = trained
    start = halfway(a, b, x, y, "weight-matching")
    found = halfway(a, b, x, y, "ste", learning_rate=0.02)
    assert found < start - 1e-3
    assert halfway(a, b, x, y, "ste", learning_rate=10.0) <= start + 1e-6
    # Without steps that move anything it is weight matching.
    still = align(a, b, x, "ste", y=y, learning_rate=1e-9)
    matched = align(a, b, x, "weight-matching")
    assert all(np.array_equal(*lists) for lists in zip(still.lists_b, matched.lists_b, strict=True))


def test_it_is_among_the_best_tenth_of_all_permutations():
    """Of one hidden layer of five neurons all permutations can be tried."""
    rng = np.random.default_rng(1)
    y = np.arange(300) % 3
    x = (rng.normal(size=(3, 6))[y] + rng.normal(size=(300, 6))).astype("f4")
    a, b = (safecross.train(x, y, (5,), seed, epochs=10, batch_size=16) for seed in (1, 2))
    losses = [
        float(evaluate(interpolate(a, permute(b, [order]), 0.5), x, y)[0])
        for order in permutations(range(5))
    ]
    found = halfway(a, b, x, y, "ste", learning_rate=0.02, batch=50)
    assert min(losses) - 1e-6 <= found <= np.quantile(losses, 0.1)


def test_the_loss_halfway_is_that_of_the_offspring(trained):
    a, b, x, y = trained
    child = interpolate(a, b, 0.5)
    expected = float(evaluate(child, x, y)[0])
    assert middle_loss(Problem(a, b, x=x, y=y), {}, 7) == pytest.approx(expected, abs=1e-6)


def test_the_slopes_are_those_of_the_loss_halfway_with_respect_to_b(trained):
    a, b, x, y = (part.to(dtype=torch.float64) for part in trained)
    problem = Problem(a, b, x=x, y=y.long())
    slopes = _slopes(problem, {}, torch.arange(len(x)))
    assert "biases.2" not in slopes  # which no permutation moves
    for name in ("weights.1", "biases.0"):
        sides = []
        for step in (1e-4, -1e-4):
            problem.state_b = {n: t.clone() for n, t in Problem(a, b).state_b.items()}
            problem.state_b[name].view(-1)[3] += step
            sides.append(middle_loss(problem, {}))
        assert slopes[name].view(-1)[3] == pytest.approx((sides[0] - sides[1]) / 2e-4, abs=1e-6)


def test_labels_are_asked_for_and_have_to_fit(trained):
    a, b, x, y = trained
    assert METHODS["ste"].needs == "gradients"
    with pytest.raises(ValueError, match="labels y are missing: give both, as in align"):
        align(a, b, x, "ste")
    with pytest.raises(ValueError, match="examples x and labels y are missing"):
        align(a, b, operator="ste")
    for wrong, message in ((y[:9], "label for each of the 600"), (y + 1, r"must lie in \[0, 3\)")):
        with pytest.raises(ValueError, match=message):
            align(a, b, x, "ste", y=wrong)
    pairs = layer_pairs(a, b, x)
    with pytest.raises(ValueError, match="examples x and labels y are missing"):
        align_layers(a, b, pairs, "ste")
    shared = align_layers(a, b, pairs, "ste", x=x, y=y, passes=1)
    alone = align(a, b, x, "ste", y=y, passes=1)
    assert all(np.array_equal(*lists) for lists in zip(shared.lists_b, alone.lists_b, strict=True))


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"passes": 0}, "passes must be a whole number >= 1; found 0"),
        ({"batch": 0}, "batch must be a whole number >= 1; found 0"),
        ({"seed": -1}, "seed must be a whole number >= 0; found -1"),
        ({"learning_rate": 0}, "learning_rate must be positive and finite; found 0"),
    ],
)
def test_options_are_checked(options, message):
    with pytest.raises(ValueError, match=message):
        StraightThrough(**options)


def test_what_is_given_is_left_as_it_was(trained):
    a, b, x, y = (part.to(dtype=torch.float64) for part in trained)
    before = [w.clone() for w in a.weights + b.weights]
    align(a, b, x, "ste", y=y.long(), passes=1)
    assert all(torch.equal(p, q) for p, q in zip(before, a.weights + b.weights, strict=True))


@pytest.mark.parametrize("split", ["train", "validation", "held-out"])
def test_a_record_aligns_with_the_labels_of_the_same_examples(small_config, runs, own_data, split):
    changes = {"operators": ("ste:learning_rate=0.1",), "n_pairs": 1, "align_split": split}
    # Held out is half of the 40 examples, unless it is said how many.
    config = small_config.replace(**changes, align_n=None if split == "held-out" else 20)
    record = run(config, workers=1)
    (a, _), (b, _) = train_parents(config, [0, 1])
    data = load_data(own_data)
    seen, labels = data.split("train" if split == "train" else "test")
    x, y = data.split("test")
    x, y = (x[20:], y[20:]) if split == "held-out" else (x, y)
    child = align(a, b, seen[:20], "ste", y=labels[:20], learning_rate=0.1).apply(a, b)
    expected = float(evaluate(interpolate(*child, 0.5), x, y)[0])
    assert record.at(0.5)["ste:learning_rate=0.1"].item() == pytest.approx(expected, rel=1e-5)


def test_the_command_line_never_matches_by_labels_of_the_test_split(own_data, tmp_path):
    data = load_data(own_data)
    a, b = (safecross.train(data.x_train, data.y_train, (5, 4), seed, epochs=4) for seed in (1, 2))
    words = ["crossover"]
    for name, theta in (("a", a), ("b", b)):
        theta.save(tmp_path / f"{name}.safetensors")
        words.append(str(tmp_path / f"{name}.safetensors"))
    child = tmp_path / "child.safetensors"
    operator = "ste:learning_rate=0.1"
    words += ["--data", str(own_data), "--operator", operator, "-o", str(child)]
    assert main(words) == 0
    found = load_network(child)
    for split, same in (("train", True), ("test", False)):
        x, y = data.split(split)
        expected = interpolate(*align(a, b, x, "ste", y=y, learning_rate=0.1).apply(a, b), 0.5)
        assert torch.equal(found.weights[0], expected.weights[0]) is same


# Modules


class Norms(nn.Sequential):
    def __init__(self):
        super().__init__(nn.Linear(6, 8), nn.BatchNorm1d(8), nn.ReLU(), nn.Linear(8, 3))


def test_modules_with_norms_are_matched_on_the_batchs_statistics(trained):
    _, _, x, y = trained
    torch.manual_seed(0)
    models = Norms().eval(), Norms().eval()
    for model in models:
        model[1].running_mean.fill_(1e6)  # nothing would be left of the signal
    spec = safecross.trace(models[0], x[:2])
    kept = [{n: t.clone() for n, t in model.state_dict().items()} for model in models]
    move = align(models[1], to=models[0], x=x, spec=spec, operator="ste", y=y, learning_rate=0.02)
    matched = align(models[1], to=models[0], spec=spec, operator="weight-matching")

    def loss(b) -> float:
        child = safecross.interpolate(models[0], b, 0.5, x).train()
        return float(nn.functional.cross_entropy(child(x), y).detach())

    assert move.keeps_function
    assert loss(move(models[1])) < loss(matched(models[1]))
    for model, state in zip(models, kept, strict=True):
        assert all(torch.equal(t, state[n]) for n, t in model.state_dict().items())


def test_modules_ask_for_labels_and_whole_tensors(trained):
    a, b, x, y = trained
    models = a.to_torch(), b.to_torch()
    spec = safecross.trace(models[0], x[:2])
    batches = [x[:300], x[300:]]
    with pytest.raises(ValueError, match="give x as a tensor, or a tuple with one for each input"):
        align(models[1], to=models[0], x=batches, spec=spec, operator="ste", y=y)
    pairs = group_pairs(*models, x, spec)
    with pytest.raises(ValueError, match="labels y are missing"):
        align_groups(models[1], models[0], pairs, spec, "ste", x=x)
