"""Vectors and trees become networks and back; the plug-ins run in tests/plugins."""

import subprocess
import sys
from itertools import pairwise
from types import ModuleType, SimpleNamespace

import numpy as np
import pytest
import torch

from safecross import Network, stack
from safecross.evolution.adapters import (
    cross,
    evosax_algorithm,
    evotorch_crossover,
    pygad_crossover,
    qdax_variation,
)
from safecross.evolution.batched import Gymnax
from safecross.evolution.layouts import Layout, population_of_tree, tree_of_population
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
    for tree in (tree_of(members), tree_of(members)["params"], tree_of(members[0])):
        assert Layout.of_tree(tree) == Layout(WIDTHS, "jax")


def test_a_model_of_pytorch_says_its_layout(members):
    model = members[0].to_torch()
    assert Layout.of_torch(model) == Layout.of_torch(model.state_dict()) == Layout(WIDTHS)
    transposed = {k: v.mT if v.ndim == 2 else v for k, v in model.state_dict().items()}
    with pytest.raises(ValueError, match=r"biases of layer 1 must have shape \(4,\)"):
        Layout.of_torch(transposed)


@pytest.mark.parametrize("whole", [True, False])
def test_a_tree_becomes_networks_and_back(members, whole):
    tree = tree_of(members) if whole else tree_of(members)["params"]
    found = population_of_tree(tree)
    assert torch.equal(Layout(WIDTHS).vectors(found), Layout(WIDTHS).vectors(members))
    back = tree_of_population(found, tree_of(members[0]) if whole else tree)
    assert back.keys() == tree.keys()
    layers, expected = (side["params"] if whole else side for side in (back, tree))
    assert layers.keys() == expected.keys()
    for name, parts in expected.items():
        for kind, values in parts.items():
            assert isinstance(layers[name][kind], np.ndarray)
            assert np.array_equal(layers[name][kind], values)


def dense(*widths, names="Dense_{}"):
    parts = [{"kernel": np.zeros(shape), "bias": np.zeros(shape[1])} for shape in pairwise(widths)]
    return {names.format(d): part for d, part in enumerate(parts)}


def test_the_order_of_layers_is_that_of_their_sorted_names():
    many = [3] * 12
    with pytest.raises(ValueError, match=r"rising numbers.*'Dense_1', 'Dense_10'"):
        Layout.of_tree(dense(*many))
    assert Layout.of_tree(dense(*many, names="Dense_{:02}")) == Layout(tuple(many), "jax")
    first, second, third = dense(3, 3, 3, 3).values()
    with pytest.raises(ValueError, match=r"rising numbers.*'first', 'last', 'middle'"):
        Layout.of_tree({"first": first, "middle": second, "last": third})


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


def run_of_pygad(seed: int = 0) -> SimpleNamespace:
    return SimpleNamespace(numpy_random_generator=np.random.RandomState(seed))


def test_children_of_pygad_have_the_parents_that_its_own_crossover_takes():
    layout, x = Layout((1, 1)), np.ones((3, 1))
    parents = np.array([[1.0, 0.0], [2.0, 0.0], [3.0, 0.0]])
    found = [
        pygad_crossover(layout, x, method="naive", recombine="arithmetic", t=t)(
            parents, (5, 2), run_of_pygad()
        )[:, 0].tolist()
        for t in (0, 1)
    ]
    assert found == [[1, 2, 3, 1, 2], [2, 3, 1, 2, 3]]


def test_the_chance_of_pygad_is_its_runs(members):
    layout = Layout(WIDTHS)
    crossover = pygad_crossover(layout, np.eye(4), method="naive")
    parents = layout.vectors(members).numpy()
    first, second, again = (
        crossover(parents, (6, layout.size), run_of_pygad(seed)) for seed in (0, 1, 0)
    )
    assert np.array_equal(first, again)
    assert not np.array_equal(first, second)
    run = run_of_pygad()
    generations = [crossover(parents, (6, layout.size), run) for _ in range(2)]
    assert not np.array_equal(*generations)


@pytest.mark.parametrize(
    ("x", "options", "message"),
    [
        (np.eye(3), {}, "examples must have 4 columns.*found 3"),
        (np.full((5, 4), np.nan), {}, "must be finite"),
        (np.eye(4), {"method": "sc-pcw"}, "did you mean 'sc-pwc'"),
        (np.eye(4), {"method": "ot"}, "ot repeats or mixes neurons"),
        (np.eye(4), {"recombine": "neurn"}, "did you mean 'neuron'"),
        (np.eye(4), {"t": 2}, r"t must be a number in \[0, 1\]; found 2"),
    ],
)
def test_what_is_unusable_is_told_before_a_run(x, options, message):
    with pytest.raises(ValueError, match=message):
        pygad_crossover(Layout(WIDTHS), x, **options)


def test_a_crossover_needs_a_layout():
    with pytest.raises(TypeError, match=r"expected a Layout; found \(4, 6, 5, 2\)"):
        pygad_crossover(WIDTHS, np.eye(4))


def population_of_one() -> Network:
    return Layout((2, 3)).population(np.zeros((1, 9)))


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: Layout((3,)), "widths must name inputs and outputs"),
        (lambda: Layout((3, 0)), "each width must be a whole number >= 1; found 0"),
        (lambda: Layout((3, 2), "numpy"), "unknown order 'numpy'"),
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
            lambda: Layout.of_tree({"a_0": dense(2, 3)["Dense_0"], "a_1": dense(2, 3)["Dense_0"]}),
            r"'a_1' must be of shape \(..., 3, outputs\).*found \(2, 3\)",
        ),
        (
            lambda: Layout.of_tree({"a": {"kernel": np.zeros(2), "bias": np.zeros(2)}}),
            r"the kernel of 'a' must be \(..., inputs, outputs\); found \(2,\)",
        ),
        (lambda: Layout.of_tree({"a": 1}), "a kernel and a bias in 'a'; found 1"),
        (lambda: population_of_tree(dense(2, 3)), "the tree must be a population"),
        (
            lambda: tree_of_population(population_of_one(), dense(2, 4)),
            r"expected networks of widths \(2, 4\); found Network\(2-3",
        ),
    ],
)
def test_a_layout_that_does_not_fit_is_told(make, message):
    with pytest.raises(ValueError, match=message):
        make()


@pytest.mark.parametrize(
    ("name", "make"),
    [
        ("evotorch.operators", lambda layout: evotorch_crossover(None, layout, np.eye(4))),
        ("jax", lambda layout: qdax_variation(layout, np.eye(4))),
        ("evosax.algorithms", lambda layout: evosax_algorithm(layout, np.eye(4))),
        ("gymnax", lambda layout: Gymnax("Pendulum-v1")),
    ],
)
def test_a_library_that_is_not_there_is_told(monkeypatch, name, make):
    monkeypatch.setitem(sys.modules, "jax", ModuleType("jax"))
    monkeypatch.setitem(sys.modules, name, None)
    with pytest.raises(ImportError, match=rf"cannot import {name} \(.*safecross\[evolution\]"):
        make(Layout(WIDTHS))


def test_none_of_the_libraries_is_imported():
    # Even where they are not installed it is seen that somebody asks for them.
    code = """
import sys

class Asked:
    names = set()
    def find_spec(self, name, path=None, target=None):
        self.names.add(name)

sys.meta_path.insert(0, Asked())
import safecross.evolution.adapters, safecross.evolution.batched
found = {"pygad", "evotorch", "qdax", "evosax", "gymnax", "jax"} & Asked.names
assert "safecross.evolution.adapters" in Asked.names and not found, found
"""
    subprocess.run([sys.executable, "-c", code], check=True)
