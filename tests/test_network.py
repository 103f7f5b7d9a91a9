"""Networks: shapes, forward passes, conversion from and to PyTorch, files."""

import numpy as np
import pytest
import torch
from torch import nn

from safecross import (
    DamagedFile,
    Network,
    check_same_architecture,
    initialise,
    load_network,
    stack,
)
from safecross.store import load_tensors, save_tensors

WIDTHS = [(3, 2), (4, 5, 3), (6, 4, 5, 2), (3, 8, 1, 7, 2)]
each_widths = pytest.mark.parametrize("widths", WIDTHS, ids=str)


def same(theta: Network, other: Network) -> bool:
    pairs = zip(theta.weights + theta.biases, other.weights + other.biases, strict=True)
    return all(a.dtype == b.dtype and torch.equal(a, b) for a, b in pairs)


# What a network is


@each_widths
def test_the_logits_are_those_of_the_formula(make_network, make_examples, widths):
    theta, x = make_network(widths, dtype=torch.float64), make_examples(9, widths[0])
    layer = x.double().numpy()
    for d, (weight, bias) in enumerate(zip(theta.weights, theta.biases, strict=True)):
        layer = layer @ weight.numpy() + bias.numpy()
        if d < theta.depth:
            layer = np.maximum(layer, 0)
        np.testing.assert_allclose(theta.layers(x)[d], layer)
    assert torch.equal(theta(x), theta.layers(x)[-1])


def test_a_network_says_what_it_is(make_network):
    theta = make_network((4, 5, 3))
    assert (theta.widths, theta.depth, theta.n_parameters) == ((4, 5, 3), 1, 4 * 5 + 5 + 5 * 3 + 3)
    assert repr(theta) == "Network(4-5-3)"
    population = stack([theta, theta])
    assert repr(population) == "Network(4-5-3, population (2,))"
    assert population.n_parameters == theta.n_parameters


def test_a_population_computes_what_its_members_do(make_network, make_examples, device):
    members = [make_network((4, 5, 3), seed, device=device) for seed in range(3)]
    population, x = stack(members), make_examples(7, 4)
    for i, theta in enumerate(members):
        torch.testing.assert_close(population(x)[i], theta(x))
        assert same(population[i], theta)
    assert population[:2].batch_shape == (2,)
    with pytest.raises(TypeError, match="only a population can"):
        members[0][0]


def test_a_network_moves_to_another_type_and_the_old_one_stays(make_network, make_examples):
    theta, x = make_network((4, 5, 3)), make_examples(7, 4)
    double = theta.to(torch.float64)
    assert (double.dtype, theta.dtype) == (torch.float64, torch.float32)
    assert double(x).dtype == torch.float64
    torch.testing.assert_close(double(x).float(), theta(x))
    assert same(double.to(torch.float32), theta)


def test_integer_pixels_are_examples_too(make_network):
    theta = make_network((2, 3, 2))
    x = np.array([[0, 1], [2, 3]], dtype=np.uint8)
    assert torch.equal(theta(x), theta(x.astype(np.float32)))


# Initialisation


@pytest.mark.parametrize("d", [0, 1])
def test_initial_weights_are_normal_with_the_papers_spread(d):
    theta = initialise([400, 300, 100], seed=3)
    weights = theta.weights[d] * theta.weights[d].shape[0] ** 0.5
    assert weights.std().item() == pytest.approx(1, abs=0.02)
    assert weights.mean().item() == pytest.approx(0, abs=0.02)
    assert (weights**4).mean().item() == pytest.approx(3, abs=0.15)  # 1.8 if it were uniform
    assert not theta.biases[d].any()


def test_a_seed_decides_the_network():
    assert same(initialise([4, 5, 3], 7), initialise([4, 5, 3], np.int64(7)))
    assert not same(initialise([4, 5, 3], 7), initialise([4, 5, 3], 8))
    assert same(initialise([4, 5, 3], 7, torch.float64), initialise([4, 5, 3], 7).to(torch.float64))


@pytest.mark.parametrize("seeds", [[5, 7], range(5, 8, 2), np.array([5, 7]), torch.tensor([5, 7])])
def test_several_seeds_give_a_population(seeds):
    population = initialise([4, 5, 3], seeds)
    assert population.batch_shape == (2,)
    assert same(population[1], initialise([4, 5, 3], 7))


# PyTorch


@each_widths
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_conversion_to_torch_and_back(make_network, make_examples, widths, dtype):
    theta = make_network(widths, dtype=dtype)
    x = make_examples(9, widths[0], dtype=dtype)
    model = theta.to_torch()
    torch.testing.assert_close(model(x).detach(), theta(x))
    assert same(Network.from_torch(model), theta)
    assert same(Network.from_torch(model.state_dict()), theta)


def test_a_converted_network_shares_no_memory(make_network):
    theta = make_network((4, 5, 3))
    model = theta.to_torch()
    back = Network.from_torch(model)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.zero_()
    assert same(back, theta)
    assert same(make_network((4, 5, 3)), theta)


def test_a_state_dict_of_any_module_names_will_do(make_network):
    theta = make_network((4, 5, 3))
    old = theta.to_torch().state_dict()
    new = {f"module.fc{key[0]}.{key.split('.')[1]}": value for key, value in old.items()}
    assert same(Network.from_torch(new), theta)


@pytest.mark.parametrize(
    ("source", "message"),
    [
        (nn.Sequential(nn.Linear(2, 2), nn.Tanh(), nn.Linear(2, 2)), "Linear, Tanh, Linear"),
        (nn.Sequential(nn.Linear(2, 2), nn.Linear(2, 2)), "Linear, Linear"),
        (nn.Sequential(nn.ReLU(), nn.Linear(2, 2)), "ReLU, Linear"),
        (nn.Sequential(nn.Linear(2, 2), nn.ReLU()), "Linear, ReLU"),  # its logits are not linear
        (nn.Sequential(), "expected a state_dict of Linear layers"),
        (nn.Sequential(nn.Linear(2, 2, bias=False)), "a '.weight' and a '.bias'"),
        ({}, "a '.weight' and a '.bias'; found the keys"),
        ({"a.weight": torch.eye(2), "b.bias": torch.ones(2)}, "found the keys"),
        ({"c.weight": torch.ones(2, 2, 3), "c.bias": torch.ones(2)}, "biases of layer 1 must"),
    ],
)
def test_models_of_another_kind_are_refused(source, message):
    with pytest.raises(ValueError, match=message):
        Network.from_torch(source)


def test_a_population_does_not_convert(make_network):
    with pytest.raises(ValueError, match="only a single network converts"):
        stack([make_network((2, 2))]).to_torch()


# Files


@each_widths
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_saving_and_loading(make_network, widths, dtype, tmp_path):
    theta = make_network(widths, dtype=dtype)
    path = tmp_path / "parents" / "theta.safetensors"
    theta.save(path, {"seconds": "1.5"})
    assert same(load_network(path), theta)
    assert load_tensors(path)[1]["seconds"] == "1.5"


def test_more_than_nine_layers_come_back_in_order(make_network, tmp_path):
    theta = make_network([2] * 13)
    theta.save(tmp_path / "deep.safetensors")
    assert same(load_network(tmp_path / "deep.safetensors"), theta)


def test_a_population_is_saved_whole(make_network, tmp_path):
    population = stack([make_network((4, 5, 3), seed) for seed in range(3)])
    population.save(tmp_path / "p.safetensors")
    assert same(load_network(tmp_path / "p.safetensors"), population)


def test_metadata_cannot_hide_that_a_file_is_a_network(make_network, tmp_path):
    theta = make_network((4, 3))
    theta.save(tmp_path / "a.safetensors", {"kind": "parent", "sha256": "0"})
    assert same(load_network(tmp_path / "a.safetensors"), theta)


def test_a_transposed_network_is_saved_as_it_is(make_network, tmp_path):
    theta = make_network((4, 5, 3))
    views = Network([w.mT.contiguous().mT for w in theta.weights], theta.biases)
    views.save(tmp_path / "v.safetensors")
    assert same(load_network(tmp_path / "v.safetensors"), theta)


def test_files_that_are_no_network_are_refused(make_network, tmp_path):
    path = tmp_path / "a.safetensors"
    with pytest.raises(DamagedFile, match="there is no such file"):
        load_network(path)
    save_tensors(path, {"fc.weight": torch.eye(2)}, {})
    with pytest.raises(ValueError, match=r"is not a network.*found \['fc.weight'\].*from_torch"):
        load_network(path)
    path.write_bytes(b"PK not safetensors at all")
    with pytest.raises(DamagedFile, match="expected a safetensors file; found one that cannot"):
        load_network(path)


# Bad input

EYE, ZERO = torch.eye(2), torch.zeros(2)


@pytest.mark.parametrize(
    ("weights", "biases", "message"),
    [
        ([], [], "at least one of each; found 0 and 0"),
        ([EYE, EYE], [ZERO], "found 2 and 1"),
        ([EYE.long()], [ZERO], "layer 1 must be a floating-point matrix .* found torch.int64"),
        ([ZERO], [ZERO], r"layer 1 must be a floating-point matrix .* shape \(2,\)"),
        ([torch.zeros(2, 0)], [torch.zeros(0)], r"layer 1 must be .* shape \(2, 0\)"),
        ([EYE, torch.zeros(3, 2)], [ZERO] * 2, "layer 2 must have 2 rows, the outputs of layer 1"),
        ([EYE], [torch.zeros(3)], r"biases of layer 1 must have shape \(2,\); found \(3,\)"),
        ([EYE, EYE.expand(3, 2, 2)], [ZERO, ZERO.expand(3, 2)], "biases of layer 2 must have"),
        ([EYE, EYE.double()], [ZERO, ZERO.double()], "share one dtype and device .*float64"),
        ([EYE], [ZERO.double()], "share one dtype and device .*float64.* in layer 1"),
        ([EYE, EYE * np.nan], [ZERO] * 2, "weights of layer 2 must be finite; found 4"),
        ([EYE], [ZERO + np.inf], "biases of layer 1 must be finite; found 2"),
    ],
)
def test_weights_that_make_no_network_are_refused(weights, biases, message):
    with pytest.raises(ValueError, match=message):
        Network(weights, biases)


@pytest.mark.parametrize(
    ("x", "message"),
    [
        (torch.zeros(5, 3), r"must have 4 columns, the inputs of Network\(4-5-3\); found 3"),
        (torch.zeros(0, 4), "the batch of examples must be a matrix .* n >= 1"),
        (torch.zeros(4), "the batch of examples must be a matrix"),
        (torch.full((5, 4), float("nan")), "the batch of examples must be finite; found 20"),
    ],
)
def test_examples_that_do_not_fit_are_refused(make_network, x, message):
    with pytest.raises(ValueError, match=message):
        make_network((4, 5, 3))(x)


@pytest.mark.parametrize(
    ("widths", "message"),
    [
        ([4], r"inputs and outputs at least; found \[4\]"),
        ([4, 0, 2], "each width must be a whole number >= 1; found 0"),
        ([4, 2.5], "each width must be a whole number >= 1; found 2.5"),
    ],
)
def test_widths_that_make_no_network_are_refused(widths, message):
    with pytest.raises(ValueError, match=message):
        initialise(widths, 0)


def test_architectures_must_agree(make_network):
    theta = [make_network(widths) for widths in ((4, 5, 3), (4, 6, 3))]
    check_same_architecture(theta[0], make_network((4, 5, 3), seed=9))
    for check in (lambda: check_same_architecture(*theta), lambda: stack(theta)):
        with pytest.raises(ValueError, match="same architecture; found 4-5-3 and 4-6-3"):
            check()
    for empty in (lambda: stack([]), lambda: initialise([2, 2], [])):
        with pytest.raises(ValueError, match="at least one network"):
            empty()
