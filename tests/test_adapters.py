"""Vectors and trees become networks and back; the plug-ins run in tests/plugins."""

import subprocess
import sys

import numpy as np
import pytest
import torch

from safecross import stack
from safecross.evolution.adapters import Layout, cross, pygad_crossover
from safecross.evolution.population import scramble

WIDTHS = (4, 6, 5, 2)


@pytest.fixture
def members(make_network):
    return stack([make_network(WIDTHS, seed) for seed in range(3)])


def test_a_vector_is_that_of_pytorch(members):
    layout = Layout(WIDTHS)
    for i, row in enumerate(layout.vectors(members)):
        vector = torch.nn.utils.parameters_to_vector(members[i].to_torch().parameters())
        assert torch.equal(row, vector.detach())


def test_a_vector_is_that_of_a_sorted_tree(members):
    layout, rows = Layout(WIDTHS, "jax"), []
    for i in range(3):
        flat = []
        for weight, bias in zip(members[i].weights, members[i].biases, strict=True):
            flat += [bias.flatten(), weight.flatten()]  # bias before kernel, kernel (in, out)
        rows.append(torch.cat(flat))
    assert torch.equal(layout.vectors(members), torch.stack(rows))


@pytest.mark.parametrize("order", ["torch", "jax"])
def test_a_round_trip_changes_nothing(members, order):
    layout = Layout(WIDTHS, order)
    rows = layout.vectors(members)
    assert rows.shape == (3, layout.size)
    back = layout.population(rows)
    for one, other in zip(
        back.weights + back.biases, members.weights + members.biases, strict=True
    ):
        assert torch.equal(one, other)
    other = Layout(WIDTHS, {"torch": "jax", "jax": "torch"}[order])
    assert not torch.equal(other.population(rows).weights[0], members.weights[0])


def tree_of(members) -> dict:
    layers = zip(members.weights, members.biases, strict=True)
    return {"params": {f"Dense_{i}": {"kernel": w, "bias": b} for i, (w, b) in enumerate(layers)}}


def test_a_tree_says_its_layout(members):
    assert Layout.of_tree(tree_of(members)) == Layout(WIDTHS, "jax")
    assert Layout.of_tree(tree_of(members)["params"]) == Layout(WIDTHS, "jax")


@pytest.mark.parametrize("order", ["torch", "jax"])
@pytest.mark.parametrize("kind", [np.float32, np.float64, torch.float32])
def test_children_of_scrambled_copies_compute_what_they_do(make_network, order, kind):
    theta = stack([make_network(WIDTHS, 1)] * 8)
    mixed = scramble(theta, torch.Generator().manual_seed(0))
    x = torch.randn(100, 4, generator=torch.Generator().manual_seed(0))
    layout = Layout(WIDTHS, order)
    rows = [layout.vectors(side) for side in (theta, mixed)]
    if kind != torch.float32:
        rows = [side.numpy().astype(kind) for side in rows]
    children = cross(layout, *rows, x, 0)
    assert type(children) is type(rows[0]) and children.dtype == rows[0].dtype
    back = layout.population(children).to(torch.float32)
    assert torch.allclose(back(x), theta(x), atol=1e-4)
    torn = layout.population(cross(layout, *rows, x, 0, method="naive")).to(torch.float32)
    assert not torch.allclose(torn(x), theta(x), atol=0.1)


def test_children_of_pygad_have_the_parents_that_its_own_crossover_takes():
    layout, seen = Layout((1, 1)), []

    class Run:
        generations_completed = 3

    crossover = pygad_crossover(
        layout, np.ones((3, 1)), method="naive", recombine="arithmetic", t=0
    )
    parents = np.array([[1.0, 0.0], [2.0, 0.0], [3.0, 0.0]])
    seen = crossover(parents, (5, 2), Run())
    assert seen[:, 0].tolist() == [1, 2, 3, 1, 2]
    second = pygad_crossover(layout, np.ones((3, 1)), method="naive", recombine="arithmetic", t=1)
    assert second(parents, (5, 2), Run())[:, 0].tolist() == [2, 3, 1, 2, 3]


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: Layout((3,)), "widths must name inputs and outputs"),
        (lambda: Layout((3, 0)), "each width must be a whole number >= 1; found 0"),
        (lambda: Layout((3, 2), "numpy"), "unknown order 'numpy'"),
        (lambda: Layout((1,) * 12, "jax"), "Dense_10 before Dense_2"),
        (lambda: Layout((3, 2)).population(np.zeros((4, 9))), r"vectors of 8 entries.*\(4, 9\)"),
        (lambda: Layout((3, 2)).population(np.zeros(8)), r"one a row.*\(8,\)"),
        (lambda: Layout((3, 2)).population(np.full((1, 8), np.nan)), "NaN|finite"),
        (lambda: Layout((3, 2)).vectors(Layout((2, 2)).population(np.zeros((1, 6)))), r"\(3, 2\)"),
        (lambda: Layout.of_tree([1]), "expected a tree of dense layers; found"),
        (lambda: Layout.of_tree({}), "expected a tree of dense layers"),
        (lambda: Layout.of_tree({"a": {"kernel": np.zeros((2, 2))}}), "a kernel and a bias in 'a'"),
        (
            lambda: Layout.of_tree({"a": {"kernel": np.zeros((2, 3)), "bias": np.zeros(2)}}),
            "the kernel of 'a' must be of shape",
        ),
        (
            lambda: Layout.of_tree(
                {
                    "a": {"kernel": np.zeros((2, 3)), "bias": np.zeros(3)},
                    "b": {"kernel": np.zeros((2, 3)), "bias": np.zeros(3)},
                }
            ),
            "follow on the layer before",
        ),
    ],
)
def test_a_layout_that_does_not_fit_is_told(make, message):
    with pytest.raises(ValueError, match=message):
        make()


def test_none_of_the_libraries_is_imported():
    code = (
        "import sys, safecross.evolution.adapters\n"
        "found = {'pygad', 'evotorch', 'qdax', 'evosax', 'jax'} & set(sys.modules)\n"
        "assert not found, found"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
