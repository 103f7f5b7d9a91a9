"""Hidden layers as matrices, one neuron a column."""

import numpy as np
import pytest
import torch
from torch import nn

from safecross import activations, stack


@pytest.mark.parametrize("widths", [(4, 5, 3), (6, 4, 1, 5, 2)], ids=str)
def test_activations_are_what_pytorchs_relus_give(make_network, make_examples, widths):
    theta, x = make_network(widths), make_examples(20, widths[0])
    seen, model = [], theta.to_torch()
    for module in model:
        if isinstance(module, nn.ReLU):
            module.register_forward_hook(lambda module, given, output: seen.append(output))
    model(x)
    layers = activations(theta, x)
    assert [layer.shape for layer in layers] == [(20, p) for p in widths[1:-1]]
    for ours, theirs in zip(layers, seen, strict=True):
        torch.testing.assert_close(ours, theirs.detach())
        assert ours.min() >= 0


def test_no_hidden_layer_gives_no_matrix(make_network, make_examples):
    assert activations(make_network((4, 3)), make_examples(5, 4)) == []


def test_a_population_gives_stacked_matrices(make_network, make_examples, device):
    members = [make_network((4, 5, 3), seed, device=device) for seed in range(3)]
    x = make_examples(20, 4)
    (layers,) = activations(stack(members), x)
    assert layers.shape == (3, 20, 5)
    torch.testing.assert_close(layers[2], activations(members[2], x)[0])


def test_activations_carry_no_gradient(make_network, make_examples):
    theta = make_network((4, 5, 3))
    theta.weights[0].requires_grad_()
    assert not activations(theta, make_examples(5, 4))[0].requires_grad


@pytest.mark.parametrize(
    ("x", "message"),
    [
        (np.zeros((0, 4)), "the batch of examples must be a matrix"),
        (np.zeros((5, 3)), "examples must have 4 columns"),
        (np.full((5, 4), np.inf), "the batch of examples must be finite"),
    ],
)
def test_batches_that_do_not_fit_are_refused(make_network, x, message):
    with pytest.raises(ValueError, match=message):
        activations(make_network((4, 5, 3)), x)


def test_what_is_no_network_has_no_activations(make_examples):
    with pytest.raises(TypeError, match="expected a Network; found 3"):
        activations(3, make_examples(2, 2))
