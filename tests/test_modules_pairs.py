"""The experiment on modules: architectures, their training, and pairs of them."""

import copy
from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import nn

from safecross import (
    align,
    crossover_curve,
    load_data,
    trace,
)
from safecross.modules import (
    align_groups,
    assert_function_preserved,
    group_pairs,
    pairs,
)
from safecross.modules.architectures import (
    ARCHITECTURES,
    build,
    mlp,
    parse_architecture,
    resnet9,
    resnet20,
    transformer,
    vgg7,
)
from safecross.modules.config import POINTS, REESTIMATED, ModuleConfig
from safecross.modules.maps import Move, Permutation
from safecross.modules.pairs import ModulePairs, images, layers
from safecross.modules.training import OPTIMISERS, _augmented, epochs_of, train
from safecross.runs import load_record, run, verify
from safecross.runs.config import config_hash

SIZES = {
    # Channels of each convolution, or widths, counted by hand.
    "vgg7:width=2": [2, 4, 8, 8, 16, 16],
    "resnet9:width=2": [2, 4, 4, 8, 16, 16],
    "mlp:width=6,depth=2": [6, 6],
}


@pytest.fixture
def config(pictures):
    operators = ("naive", "sc-pwc", f"sc-pwc{REESTIMATED}", "sc-pwc-semi")
    sizes = {"align_n": 50, "estimate_n": 50, "measure_n": 40}
    return ModuleConfig(pictures, "vgg7:width=2", 2, 2, operators, batch_size=20, **sizes)


# Architectures


@pytest.mark.parametrize("text", SIZES)
def test_the_groups_of_an_architecture_are_those_counted_by_hand(text):
    model = build(text, (3, 16, 16), 2, seed=0).eval()
    spec = trace(model, torch.randn(2, 3, 16, 16))
    found = sorted(group.size for group in spec.groups.values())
    # A residual sum ties the layers that write into it: each sum is one group.
    assert found == sorted(SIZES[text])


@pytest.mark.parametrize("name", ARCHITECTURES)
def test_every_architecture_can_be_permuted(name):
    shape = (1, 14, 14) if name == "transformer" else (3, 16, 16)
    model = build(f"{name}:width=8", shape, 5, seed=1).eval()
    x = torch.randn(6, *shape)
    spec = trace(model, x[:2])
    rng = torch.Generator().manual_seed(0)
    maps = {n: Permutation(torch.randperm(g.size, generator=rng)) for n, g in spec.groups.items()}
    moved = Move(spec, maps)(model)
    assert_function_preserved(model, moved, x)
    assert any(
        not torch.equal(value, moved.state_dict()[key]) for key, value in model.state_dict().items()
    )


def test_architectures_have_the_sizes_of_their_sources():
    count = {
        f.__name__: sum(p.numel() for p in f((3, 32, 32), 10).parameters())
        for f in (vgg7, resnet9, resnet20, mlp)
    }
    assert count["vgg7"] == 283_674  # 284,000 by hand
    # He et al. 2016 print .27 million; projections in place of their padding add 2,752.
    assert count["resnet20"] == 269_722 + 2_752
    assert count["mlp"] == 3072 * 256 + 256 + 256 * 256 + 256 + 4 * 256 + 2570
    assert transformer((1, 28, 28), 10, patch=7).position.shape == (1, 16, 64)


def test_a_seed_makes_the_same_module_and_leaves_the_generator_alone():
    before = torch.random.get_rng_state()
    one, two, other = (build("vgg7:width=2", (1, 16, 16), 3, seed) for seed in (1, 1, 2))
    assert torch.equal(torch.random.get_rng_state(), before)
    assert torch.equal(one[0].weight, two[0].weight)
    assert not torch.equal(one[0].weight, other[0].weight)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("vgg8", "unknown architecture 'vgg8'.*vgg7"),
        ("vgg7:wdith=3", "unknown option of architecture 'vgg7' 'wdith'.*width"),
        ("vgg7:width=0", "width of 'vgg7:width=0' must be a whole number >= 1; found '0'"),
        ("vgg7:width", "must be a whole number >= 1; found ''"),
    ],
)
def test_an_unknown_architecture_is_refused(text, message):
    with pytest.raises(ValueError, match=message):
        parse_architecture(text)


# Training


def test_training_is_that_of_a_plain_loop(pictures):
    (x, y), _ = images(pictures)
    start = build("mlp:width=4", (3, 16, 16), 2, seed=0)
    ours = train(copy.deepcopy(start), x, y, 5, epochs=2, batch_size=50, learning_rate=0.1)
    by_epoch = copy.deepcopy(start)
    for _ in epochs_of(by_epoch, x, y, 5, epochs=2, batch_size=50, learning_rate=0.1):
        by_epoch.eval()  # whatever is done in between, the next epoch is one of training
    assert all(
        torch.equal(p, q) for p, q in zip(ours.parameters(), by_epoch.parameters(), strict=True)
    )
    theirs = copy.deepcopy(start).train()
    velocity = [torch.zeros_like(p) for p in theirs.parameters()]
    steps = 4  # two epochs of two whole minibatches
    rises = 0.3 * steps - 1
    for step in range(steps):
        if step % 2 == 0:
            state = np.random.SeedSequence([5, step // 2]).generate_state(1, np.uint64)[0]
            order = torch.randperm(120, generator=torch.Generator().manual_seed(int(state) >> 1))
        rows = order[50 * (step % 2) :][:50]
        loss = nn.functional.cross_entropy(theirs(x[rows]), y[rows])
        gradient = torch.autograd.grad(loss, list(theirs.parameters()))
        # One cycle: up from 1/25 of the step size along a cosine, then down to 1/250,000 of it.
        low, high, share = 0.1 / 25, 0.1, step / rises
        if step > rises:
            low, high = 0.1, 0.1 / 25 / 1e4
            share = (step - rises) / (steps - 1 - rises)
        rate = high + (low - high) / 2 * (1 + np.cos(np.pi * share))
        slow, fast = (0.95, 0.85) if step <= rises else (0.85, 0.95)
        momentum = fast + (slow - fast) / 2 * (1 + np.cos(np.pi * share))
        with torch.no_grad():
            for p, v, g in zip(theirs.parameters(), velocity, gradient, strict=True):
                g = g + 5e-4 * p
                v.mul_(momentum).add_(g)
                p -= rate * (g + momentum * v)
    for a, b in zip(ours.parameters(), theirs.parameters(), strict=True):
        torch.testing.assert_close(a, b, rtol=1e-4, atol=1e-6)


def test_shifted_images_are_windows_of_the_padded_ones():
    images = torch.arange(1.0, 1 + 2 * 3 * 6 * 6).view(2, 3, 6, 6)
    found = _augmented(images, torch.Generator().manual_seed(1), reach=2)
    padded = nn.functional.pad(images, (2, 2, 2, 2))
    for one, whole in zip(found, padded, strict=True):
        windows = [whole[:, i : i + 6, j : j + 6] for i in range(5) for j in range(5)]
        assert sum(torch.equal(one, w) or torch.equal(one, w.flip(2)) for w in windows) == 1
    assert not torch.equal(found, images)


@pytest.mark.parametrize("optimiser", OPTIMISERS)
def test_training_learns_and_repeats(pictures, optimiser):
    (x, y), (x_test, y_test) = images(pictures)
    rate = {"sgd": 0.05, "adamw": 0.003}[optimiser]
    found = []
    for _ in range(2):
        model = build("mlp:width=8", (3, 16, 16), 2, seed=0)
        options = {"learning_rate": rate, "optimiser": optimiser, "augment": True}
        found.append(train(model, x, y, 0, epochs=6, batch_size=20, **options))
    one, two = found
    assert all(torch.equal(a, b) for a, b in zip(one.parameters(), two.parameters(), strict=True))
    assert not one.training
    assert (one(x_test).argmax(1) == y_test).float().mean() > 0.9


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"x": torch.zeros(4, 3)}, r"must be a tensor \(n, channels, height, width\)"),
        ({"batch_size": 99}, r"batch_size must be a whole number in \[1, 4\]; found 99"),
        ({"learning_rate": 0.0}, "learning_rate must be positive and finite"),
        ({"weight_decay": -1}, "weight_decay must be >= 0"),
        ({"optimiser": "sdg"}, "unknown optimiser 'sdg'"),
        ({"products": torch.float16}, "products must be torch.float32 or torch.bfloat16"),
        ({"learning_rate": 1e30, "epochs": 9}, "the loss became .* use a smaller learning_rate"),
    ],
)
def test_bad_settings_are_refused(changes, message):
    x = torch.rand(4, 1, 4, 4, generator=torch.Generator().manual_seed(0))
    options = {"x": x, "y": [0, 1, 0, 1], "epochs": 1, "batch_size": 2, **changes}
    model = nn.Sequential(nn.Flatten(), nn.Linear(16, 3), nn.ReLU(), nn.Linear(3, 2))
    with pytest.raises(ValueError, match=message):
        train(model, options.pop("x"), options.pop("y"), 0, **options)


# The experiment


def test_a_pair_is_measured_as_the_functions_for_users_do(config, runs):
    record = run(config, workers=1)
    assert verify(record, n_pairs=2, tolerance=1e-6, dataset=config.dataset)["ok"].all()
    experiment = ModulePairs(config)
    (a, _), (b, _) = experiment.train([0, 1])
    (x, _), (x_test, y_test) = images(config.dataset)
    spec = trace(a, x[:2])
    move = align(b, to=a, x=x[:50], spec=spec)
    assert_function_preserved(b, move(b), x[:20])
    for chosen, options in (
        ("naive", {}),
        ("sc-pwc", {"alignment": move}),
        (f"sc-pwc{REESTIMATED}", {"alignment": move, "data": x[:50]}),
    ):
        curve = crossover_curve(a, b, x_test, y_test, t=POINTS, **options)
        kept = record.curves.query(f"pair == 0 and operator == {chosen!r}")
        np.testing.assert_allclose(kept["loss"], curve.loss, rtol=1e-4)
        np.testing.assert_allclose(kept["accuracy"], curve.accuracy, atol=1e-6)
    assert record.at(0.5).shape == (2, 4)
    layer = record.tables["layers"].query("pair == 0 and operator == 'naive'")
    assert list(layer["layer"]) == list(layers(a))
    assert load_record(record.folder).tables["train"].shape == (2 * 4 * 3, 5)


def test_crossing_one_layer_alone_leaves_the_others_alone(config, runs):
    record = run(config.replace(operators=("naive",), n_pairs=1), workers=1)
    experiment = ModulePairs(config)
    (a, _), (b, _) = experiment.train([0, 1])
    (x, y), _ = images(config.dataset)
    name, tensors = list(layers(a).items())[2]
    child = copy.deepcopy(a)
    state = a.state_dict()
    for tensor in tensors:
        if state[tensor].is_floating_point():
            child.state_dict()[tensor].copy_((state[tensor] + b.state_dict()[tensor]) / 2)
    with torch.no_grad():
        loss = float(nn.functional.cross_entropy(child(x[:40]), y[:40]))
    kept = record.tables["layers"].set_index("layer").loc[name, "loss"]
    assert kept == pytest.approx(loss, rel=1e-4)


def test_layers_hold_every_tensor_once():
    for name in ("vgg7:width=2", "resnet9:width=2", "transformer:width=8"):
        model = build(name, (1, 14, 14), 3, seed=0)
        found = [tensor for tensors in layers(model).values() for tensor in tensors]
        assert sorted(found) == sorted(model.state_dict())


def test_images_are_those_of_the_data_set(pictures):
    (x, y), (x_test, _) = images(pictures)
    data = load_data(pictures)
    assert x.shape == (120, 3, 16, 16)
    assert float(x.mean()) == pytest.approx(0, abs=1e-5)
    assert float(x.std()) == pytest.approx(1, abs=1e-5)
    row, column, channel = 3, 7, 2
    flat = data.x_test.view(60, 16, 16, 3)[5, row, column, channel]
    expected = (flat - data.x_train.mean()) / data.x_train.std()
    assert torch.equal(x_test[5, channel, row, column], expected)
    assert torch.equal(y, data.y_train)
    assert not torch.equal(x_test[5, 0, row, column], expected)


def test_rows_of_numbers_are_no_images(tmp_path):
    x, y = np.ones((4, 3), np.float32), np.arange(4) % 2
    own_data = tmp_path / "rows.npz"
    np.savez(own_data, x_train=x, y_train=y, x_test=x, y_test=y)
    with pytest.raises(ValueError, match="expected images, height x width"):
        images(str(own_data))


def test_a_config_of_modules_has_its_own_hash(config):
    assert config.hash("x") == config_hash({**config.to_dict(), "dataset": "x"})
    assert config.hash("x") != config.replace(seed=1).hash("x")
    more = config.replace(n_pairs=9, operators=("naive",), t=(0, 0.5, 1), align_n=7)
    assert more.parents_hash("x") == config.parents_hash("x")
    assert config.replace(augment=True).parents_hash("x") != config.parents_hash("x")
    assert ModuleConfig.from_dict({k: v for k, v in config.to_dict().items() if k != "kind"}) == (
        config
    )


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"architecture": "vgg8"}, "unknown architecture"),
        ({"operators": ("naive+restimate",)}, "unknown operator"),
        ({"operators": ()}, "operators must name at least one"),
        ({"t": (0, 1)}, "t must hold 0, 0.5 and 1"),
        ({"align_n": 1}, "align_n must be a whole number >= 2"),
        ({"learning_rate": 0}, "learning_rate must be positive"),
        ({"weight_decay": -0.1}, "weight_decay must be >= 0"),
        ({"products": "float16"}, "unknown products"),
        ({"optimiser": "sgb"}, "unknown optimiser"),
        ({"augment": "no"}, "augment"),
    ],
)
def test_a_bad_config_is_refused(config, changes, message):
    with pytest.raises(ValueError, match=message):
        config.replace(**changes)
    with pytest.raises(ValueError, match="unknown field of a config 'wdith'"):
        ModuleConfig.from_dict({"wdith": 1})


def test_a_changed_barrier_on_training_examples_is_seen(config, runs):
    record = run(config.replace(n_pairs=1, operators=("naive",)), workers=1)
    train_table = record.tables["train"]
    changed = train_table.assign(accuracy=train_table["accuracy"] + 0.2)
    other = replace(record, tables={**record.tables, "train": changed})
    table = verify(other, n_pairs=1, dataset=config.dataset)
    assert list(table[~table["ok"]]["value"]) == ["accuracy on training examples"]


def test_memory_is_announced(config):
    assert 2**30 < pairs.ModulePairs(config).memory() < 2**33
    assert not pairs.ModulePairs(config).explodes(f"sc-pwc{REESTIMATED}")
    assert pairs.ModulePairs(config).explodes("sc-pwc-semi")


def test_aligning_from_statistics_at_hand_is_aligning(config):
    experiment = ModulePairs(config)
    (a, _), (b, _) = experiment.train([0, 1])
    (x, _), _ = images(config.dataset)
    spec = trace(a, x[:2])
    statistics = group_pairs(a, b, x[:50], spec)
    for operator in ("naive", "sc-pwc", "sc-cca"):
        whole = align(b, to=a, x=x[:50], spec=spec, operator=operator)
        shared = align_groups(b, a, statistics, spec, operator)
        for name in spec.groups:
            assert torch.equal(whole.maps[name].order, shared.maps[name].order)
    with pytest.raises(ValueError, match="unknown operator 'sc-pwd'"):
        align_groups(b, a, statistics, spec, "sc-pwd")
