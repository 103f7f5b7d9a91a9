"""Training against autograd and a plain PyTorch loop; seeds, populations, learning."""

import math

import numpy as np
import pytest
import torch
from torch.nn import functional

from safecross import (
    Network,
    evaluate,
    initialise,
    load_data,
    stack,
    train,
)
from safecross.networks.training import (
    Trainer,
    _adam,
    _gradient,
    _minibatches,
    descend,
    training_operations,
)


@pytest.fixture
def data(make_examples):
    x = make_examples(70, 5)
    return x, (x[:, 0] > 0).long() + (x[:, 1] > 0).long()


def same(theta: Network, other: Network) -> bool:
    pairs = zip(theta.weights + theta.biases, other.weights + other.biases, strict=True)
    return all(torch.equal(a, b) for a, b in pairs)


def assert_close(theta: Network, other: Network, **tolerances) -> None:
    assert theta.widths == other.widths
    torch.testing.assert_close(theta.weights, other.weights, **tolerances)
    torch.testing.assert_close(theta.biases, other.biases, **tolerances)


# Gradient and updates


@pytest.mark.parametrize("widths", [(5, 3), (5, 7, 3), (5, 7, 4, 6, 3)], ids=str)
@pytest.mark.parametrize("population", [False, True])
def test_the_gradient_is_autograds(make_network, make_examples, widths, population, device):
    members = [make_network(widths, seed, device=device) for seed in range(2)]
    x = torch.stack([make_examples(11, 5, seed) for seed in range(2)]).to(device)
    y = torch.randint(3, (2, 11), generator=torch.Generator().manual_seed(0)).to(device)
    if not population:
        members, x, y = members[:1], x[:1], y[:1]
    theta = stack(members) if population else members[0]
    parameters = [w.mT.contiguous() for w in theta.weights] + list(theta.biases)
    batch = (x, functional.one_hot(y, 3).to(x.dtype))
    with torch.no_grad():
        gradient = _gradient(parameters, *(batch if population else (b[0] for b in batch)),
                             torch.float32)  # fmt: skip
    for i, member in enumerate(members):
        model = member.to_torch()
        functional.cross_entropy(model(x[i]), y[i]).backward()
        linear = list(model)[::2]
        expected = [m.weight.grad for m in linear] + [m.bias.grad for m in linear]
        assert all(g.is_contiguous() for g in gradient)
        found = [g[i] if population else g for g in gradient]
        torch.testing.assert_close(found, expected)


def test_adams_step_is_pytorchs_to_the_bit():
    generator = torch.Generator().manual_seed(0)
    shapes = [(7, 5), (2, 3, 4), (9,)]
    ours = [torch.randn(shape, generator=generator) for shape in shapes]
    theirs = [torch.nn.Parameter(p.clone()) for p in ours]
    update, adam = _adam(ours, 0.01), torch.optim.Adam(theirs, lr=0.01, fused=True)
    with torch.no_grad():
        for _ in range(5):
            gradient = [torch.randn(shape, generator=generator) for shape in shapes]
            for parameter, part in zip(theirs, gradient, strict=True):
                parameter.grad = part.clone()
            update(gradient)
            adam.step()
    assert all(torch.equal(a, b) for a, b in zip(ours, theirs, strict=True))


@pytest.mark.parametrize("hidden", [(), (8,), (8, 6, 7)], ids=str)
def test_training_is_that_of_a_plain_pytorch_loop(data, hidden):
    x, y = data
    settings = {"epochs": 4, "batch_size": 16, "learning_rate": 0.01}
    model = initialise((5, *hidden, 3), seed=3).to_torch()
    adam = torch.optim.Adam(model.parameters(), lr=0.01)
    for epoch in range(4):
        for rows in _minibatches(70, 16, [3], epoch, False, "cpu"):
            adam.zero_grad()
            functional.cross_entropy(model(x[rows]), y[rows]).backward()
            adam.step()
    theta = train(x, y, hidden, 3, **settings)
    assert_close(theta, Network.from_torch(model), atol=1e-4, rtol=0)
    moved = (theta.weights[0] - initialise((5, *hidden, 3), seed=3).weights[0]).abs().max()
    assert moved > 0.05  # far beyond the tolerance above


def test_minibatches_shuffle_all_rows_anew_each_epoch():
    seen = []
    for epoch in range(3):
        batches = list(_minibatches(70, 16, [3, 4], epoch, True, "cpu"))
        assert [b.shape for b in batches] == [(2, 16)] * 4 + [(2, 6)]
        order = torch.cat(batches, dim=-1)
        assert torch.equal(order.sort(-1).values, torch.arange(70).expand(2, 70))
        seen += [tuple(row.tolist()) for row in order]
        (alone,) = _minibatches(70, 70, [4], epoch, False, "cpu")
        assert torch.equal(alone, order[1])
    assert len({*seen, tuple(range(70))}) == 7


# Seeds and populations


def test_the_same_seed_gives_the_same_bits_and_another_seed_another_network(data):
    nets = [train(*data, (8,), seed, epochs=3, batch_size=16) for seed in (1, 1, 2)]
    assert same(nets[0], nets[1])
    assert not torch.allclose(nets[0].weights[0], nets[2].weights[0], atol=0.05)


@pytest.mark.parametrize("seeds", [[1, 5, 2], np.array([1, 5, 2])], ids=["list", "numpy"])
def test_the_members_of_a_population_are_what_they_would_be_alone(data, seeds):
    settings = {"epochs": 4, "batch_size": 16, "learning_rate": 0.01}
    population = train(*data, (8, 6), seeds, **settings)
    assert population.batch_shape == (3,)
    for i, seed in enumerate(seeds):
        assert_close(population[i], train(*data, (8, 6), seed, **settings), atol=1e-5, rtol=0)
    lone = train(*data, (8, 6), seeds[1:2], **settings)
    assert lone.batch_shape == (1,)
    assert_close(lone[0], population[1], atol=1e-5, rtol=0)


def test_no_epoch_gives_the_initial_network(data):
    assert same(train(*data, (8,), 3, epochs=0), initialise((5, 8, 3), 3))


def test_each_epoch_is_reported_and_the_data_are_left_alone(data):
    kept, done = [part.clone() for part in data], []
    train(*data, (8,), 0, epochs=3, after_epoch=done.append)
    assert done == [1, 2, 3]
    assert all(torch.equal(a, b) for a, b in zip(data, kept, strict=True))


def test_the_number_of_outputs(data):
    assert train(*data, (8,), 0, epochs=1).widths == (5, 8, 3)
    assert train(*data, (8,), 0, epochs=1, n_classes=6).widths == (5, 8, 6)


# Products, devices, learning


def test_bfloat16_products_give_other_float32_weights_near_by(data):
    exact = train(*data, (8,), [0, 1], epochs=3, batch_size=16)
    rough = train(*data, (8,), [0, 1], epochs=3, batch_size=16, products=torch.bfloat16)
    assert rough.dtype == torch.float32
    assert not torch.allclose(rough.weights[0], exact.weights[0], atol=1e-6)
    assert_close(rough, exact, atol=0.05, rtol=0)


def test_training_on_a_device(data, device):
    theta = train(*(part.to(device) for part in data), (8,), 0, epochs=3, batch_size=16)
    assert theta.device.type == device
    assert_close(theta.to("cpu"), train(*data, (8,), 0, epochs=3, batch_size=16), atol=1e-4, rtol=0)


@pytest.mark.parametrize("products", [torch.float32, torch.bfloat16])
def test_training_learns_digits(products):
    data = load_data("mnist5k")
    theta = train(
        data.x_train, data.y_train, (32,), [0, 1], epochs=6, batch_size=64, products=products
    )
    losses, shares = evaluate(theta, data.x_test, data.y_test)
    assert (shares > 0.85).all()
    assert (losses < 0.5).all()


def test_labels_may_be_of_any_integer_type_and_place(data, device):
    x, y = data
    expected = train(x.to(device), y.to(device), (8,), 0, epochs=2)
    for kind in (torch.int32, torch.uint8):
        assert same(train(x.to(device), y.to(kind), (8,), 0, epochs=2), expected)


def test_operations_by_hand():
    """20 examples seen in all; a product of (n, a) and (a, b) takes 2nab operations."""
    forward = 2 * 20 * (3 * 4 + 4 * 2)
    of_weights = 2 * 20 * (3 * 4 + 4 * 2)
    of_inputs = 2 * 20 * (4 * 2)  # none for the first layer
    assert training_operations([3, 4, 2], 10, 2) == forward + of_weights + of_inputs


# Bad input


@pytest.mark.parametrize(
    ("y", "message"),
    [
        (torch.zeros(69).long(), r"one integer label for each of the 70 examples; .*\(69,\)"),
        (torch.zeros(0).long(), r"one integer label for each of the 70 examples; .*\(0,\)"),
        (torch.zeros(70), "one integer label for each of the 70 examples; found torch.float32"),
        (torch.arange(70) % 4 - 1, r"labels must lie in \[0, 3\); found -1 to 2"),
    ],
)
def test_labels_that_do_not_fit_are_refused(data, y, message):
    with pytest.raises(ValueError, match=message):
        train(data[0], y, (8,), 0, epochs=1)


@pytest.mark.parametrize(
    ("x", "message"),
    [
        (torch.zeros(0, 5), "training examples must be a matrix"),
        (torch.full((70, 5), float("inf")), "training examples must be finite"),
        (torch.zeros(70, 5, 5), r"training examples must be .* found shape \(70, 5, 5\)"),
    ],
)
def test_examples_that_do_not_fit_are_refused(data, x, message):
    with pytest.raises(ValueError, match=message):
        train(x, data[1], (8,), 0, epochs=1)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"epochs": -1}, "epochs must be a whole number >= 0; found -1"),
        ({"epochs": 1.5}, "epochs must be a whole number >= 0; found 1.5"),
        ({"batch_size": 0}, "batch_size must be a whole number >= 1; found 0"),
        ({"learning_rate": 0}, "learning_rate must be positive and finite; found 0"),
        ({"learning_rate": math.nan}, "learning_rate must be positive and finite; found nan"),
        ({"learning_rate": math.inf}, "learning_rate must be positive and finite; found inf"),
        ({"products": torch.float16}, "products must be torch.float32 or torch.bfloat16"),
        ({"n_classes": 2}, r"labels must lie in \[0, 2\); found 0 to 2"),
        ({"n_classes": -1}, "n_classes must be a whole number >= 0; found -1"),
        ({"n_classes": 0}, r"labels must lie in \[0, 0\); found 0 to 2"),
        ({"hidden": (8, 0)}, "each width must be a whole number >= 1; found 0"),
        ({"seed": []}, "a population needs at least one network"),
    ],
)
def test_settings_out_of_range_are_refused(data, settings, message):
    with pytest.raises(ValueError, match=message):
        train(*data, **({"hidden": (8,), "seed": 0, "epochs": 1} | settings))


def test_the_defaults_are_those_of_the_documentation(make_examples):
    x = make_examples(300, 4)
    y = (x[:, 0] > 0).long()
    explicit = train(x, y, (3,), 0, epochs=1, batch_size=128, learning_rate=1e-3)
    assert same(train(x, y, (3,), 0, epochs=1), explicit)


def test_the_published_networks_saw_these_minibatches():
    stream = int(np.random.SeedSequence([7, 2]).generate_state(1, np.uint64)[0])
    order = torch.randperm(50, generator=torch.Generator().manual_seed(stream // 2))
    assert torch.equal(torch.cat(list(_minibatches(50, 16, [7], 2, False, "cpu"))), order)


def test_a_trainer_goes_on_from_other_networks(make_examples):
    x, y = make_examples(60, 4), torch.arange(60) % 3
    start = initialise([4, 5, 3], [0, 1])
    trainer = Trainer(start, x, y, [0, 1], batch_size=10)
    trainer.epoch(0)
    trained = trainer.network
    expected = train(x, y, (5,), [0, 1], epochs=1, batch_size=10)
    assert all(torch.equal(a, b) for a, b in zip(trained.weights, expected.weights, strict=True))
    # Adam's moments stay after a shift, and are 0 after a replacement: another step follows.
    ends = []
    for move in (trainer.shift, trainer.replace):
        move(start)
        assert torch.equal(trainer.network.weights[0], start.weights[0])
        trainer.epoch(0)
        ends.append(trainer.network.weights[0])
    assert torch.equal(ends[1], trained.weights[0]) and not torch.equal(ends[0], ends[1])


@pytest.mark.parametrize("rate", [0, -1.0, math.inf, math.nan])
def test_descent_needs_a_finite_step(rate):
    with pytest.raises(ValueError, match="learning_rate must be positive and finite; found"):
        descend([torch.tensor(3.0)], lambda parts: parts[0] ** 2, 1, rate)
