"""Every operator of the registry keeps what the package promises of operators."""

import inspect
import json
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from hypothesis import assume, given, settings
from hypothesis import strategies as st

import safecross
from safecross import (
    METHODS,
    OPERATORS,
    LayerPair,
    Matching,
    Network,
    align_layers,
    correlation,
    function_difference,
    get_operator,
    interpolate,
    layer_pairs,
    match_greedy,
    match_one_to_one,
    permute,
    semi_match,
    stack,
)
from safecross.alignment import registry
from safecross.alignment.activations import activations
from safecross.alignment.cca import cca_of_pair
from safecross.alignment.correlation import alignment_memory
from safecross.alignment.operators import (
    BiasSort,
    Naive,
    ScCca,
    ScPwc,
    ScPwcSemi,
    as_method,
    match_layers,
)
from safecross.alignment.registry import NEEDS
from safecross.alignment.spelling import parse_operator, split_after
from safecross.replication.paper import published_configs
from safecross.replication.quirks import ScPwcGreedy, ScPwcSemiB

ROOT = Path(__file__).parents[1]

# Every operator as it is, and the options of those that have some.
VARIANTS = [
    {"directions": 1},
    {"directions": 3, "leftover": "correlation"},
    {"directions": 0.9, "leftover": "correlation"},
    {"ridge": 0.1},
    {"ridge": 0.1, "penalty": "kernel"},
    {"rule": "rank"},
    {"standardise": False},
    {"weights": "deflated"},
]
HARD = [name for name, entry in METHODS.items() if not entry.soft]
QUICK = {"ste": {"passes": 1}, "sinkhorn": {"steps": 5}}
CASES = [(name, QUICK.get(name, {})) for name in HARD] + [
    ("sc-cca", options) for options in VARIANTS
]
each_case = pytest.mark.parametrize(("name", "options"), CASES, ids=str)
each_operator = pytest.mark.parametrize("name", HARD)
# All that should find a planted permutation; with one direction and the rest in the order of the
# indices SC-CCA cannot, weight matching may end in a local optimum, and the others do not try.
LOST = ("naive", "random", "weight-matching", "ste", "sinkhorn")
FINDERS = [case for case in CASES if case[0] not in LOST and case != ("sc-cca", {"directions": 1})]
T = [0.0, 0.25, 0.5, 0.75, 1.0]


def labels(x, theta: Network) -> torch.Tensor:
    return torch.arange(len(x)) % theta.widths[-1]


def align(theta_a, theta_b, x=None, operator="sc-pwc", **options):
    """Return `safecross.align` with labels, which some methods ask for."""
    y = None if x is None else labels(x, theta_a)
    return safecross.align(theta_a, theta_b, x, operator, y=y, **options)


@st.composite
def pairs(draw, most: int = 8, fewest_examples: int = 1):
    """Draw widths (unlike in each layer), two seeds, a type, a number of examples."""
    hidden = draw(st.lists(st.integers(1, most), min_size=1, max_size=3, unique=True))
    assume(max(hidden) >= 3)  # the most directions that a variant asks for
    widths = [draw(st.integers(1, 6)), *hidden, draw(st.integers(1, 4))]
    seeds = draw(st.tuples(st.integers(0, 50), st.integers(51, 99)))
    dtype = draw(st.sampled_from([torch.float32, torch.float64]))
    return widths, seeds, dtype, draw(st.integers(fewest_examples, 60))


@pytest.fixture(scope="session")
def make_pair(make_network, make_examples):
    """Make two networks and examples of what `pairs` draws."""

    def make(drawn):
        widths, seeds, dtype, n = drawn
        theta_a, theta_b = (make_network(widths, seed, dtype) for seed in seeds)
        return theta_a, theta_b, make_examples(n, widths[0], seeds[0], dtype)

    return make


def same(theta: Network, other: Network) -> bool:
    parts = zip(theta.weights + theta.biases, other.weights + other.biases, strict=True)
    return all(torch.equal(a, b) for a, b in parts)


def lists_of(alignment) -> list[list[int]]:
    return [order.tolist() for order in alignment.lists_a + alignment.lists_b]


# What holds for every operator


@each_case
@given(drawn=pairs())
def test_each_layer_gets_a_pairing_of_its_size(make_pair, name, options, drawn):
    theta_a, theta_b, x = make_pair(drawn)
    alignment = align(theta_a, theta_b, x, name, **options)
    assert alignment.operator == name
    hidden = theta_a.widths[1:-1]
    for lists in (alignment.lists_a, alignment.lists_b):
        assert [len(order) for order in lists] == list(hidden)
        for order, p in zip(lists, hidden, strict=True):
            assert order.dtype == np.int64
            assert set(order) <= set(range(p))
            if METHODS[name].one_to_one:
                assert sorted(order) == list(range(p))


@each_case
@given(drawn=pairs())
def test_the_ends_are_the_aligned_parents(make_pair, name, options, drawn):
    theta_a, theta_b, x = make_pair(drawn)
    aligned = align(theta_a, theta_b, x, name, **options).apply(theta_a, theta_b)
    for end, theta in enumerate(aligned):
        assert torch.equal(interpolate(*aligned, end)(x), theta(x))
    if METHODS[name].one_to_one:
        assert function_difference(theta_a, aligned[0], x) < 1e-5
        assert function_difference(theta_b, aligned[1], x) < 1e-5


@each_case
@given(drawn=pairs())
def test_aligning_is_deterministic_and_leaves_its_inputs_alone(make_pair, name, options, drawn):
    theta_a, theta_b, x = make_pair(drawn)
    first = align(theta_a, theta_b, x, name, **options)
    fresh_a, fresh_b, fresh_x = make_pair(drawn)
    assert same(theta_a, fresh_a)
    assert same(theta_b, fresh_b)
    assert torch.equal(x, fresh_x)
    assert lists_of(align(theta_a, theta_b, x, name, **options)) == lists_of(first)


@settings(max_examples=8)
@given(drawn=pairs())
def test_operators_may_share_the_statistics_of_a_pair_in_any_order(make_pair, drawn):
    theta_a, theta_b, x = make_pair(drawn)
    shared = layer_pairs(theta_a, theta_b, x)
    for name, options in CASES + CASES[::-1]:
        y = labels(x, theta_a)
        ours = align_layers(theta_a, theta_b, shared, name, x=x, y=y, **options)
        assert lists_of(ours) == lists_of(align(theta_a, theta_b, x, name, **options))


@each_case
def test_dead_and_twin_neurons_are_paired_too(make_network, make_examples, name, options):
    theta_a, theta_b = (make_network((4, 6, 5, 2), seed) for seed in (0, 1))
    weights = [[w.clone() for w in theta.weights] for theta in (theta_a, theta_b)]
    for (first, *_), gone in zip(weights, ([0, 3], [5]), strict=True):
        first[:, gone] = 0
        first[:, 1] = first[:, 2]
    biases = [theta.biases[0].clone() for theta in (theta_a, theta_b)]
    for bias, gone in zip(biases, ([0, 3], [5]), strict=True):
        bias[gone] = -1
        bias[1] = bias[2]
    theta_a, theta_b = (
        Network(w, [b, *theta.biases[1:]])
        for w, b, theta in zip(weights, biases, (theta_a, theta_b), strict=True)
    )
    x = make_examples(50, 4)
    alignment = align(theta_a, theta_b, x, name, **options)
    assert alignment.is_one_to_one or not METHODS[name].one_to_one
    aligned = alignment.apply(theta_a, theta_b)
    if METHODS[name].one_to_one:
        assert function_difference(theta_a, aligned[0], x) < 1e-5
        assert function_difference(theta_b, aligned[1], x) < 1e-5


@each_operator
def test_networks_without_hidden_layers_have_nothing_to_align(make_network, make_examples, name):
    theta = make_network((4, 3))
    assert align(theta, theta, make_examples(5, 4), name).matchings == ()


@each_operator
def test_networks_on_a_device_are_aligned_as_on_the_cpu(make_network, make_examples, name, device):
    theta = [make_network((4, 6, 5, 2), seed, torch.float64) for seed in (0, 1)]
    x = make_examples(50, 4, dtype=torch.float64)
    moved = [one.to(device) for one in theta]
    alignment = align(*moved, x, name)
    assert lists_of(alignment) == lists_of(align(*theta, x, name))
    assert alignment.apply(*moved)[1].device.type == device


@each_operator
def test_a_summary_and_defaults_are_there(name):
    entry = get_operator(name)
    assert entry.name == name
    assert entry.summary and "\n" not in entry.summary
    assert inspect.Parameter.empty not in entry.options.values()


# A planted permutation


def is_distinct(theta: Network, x: torch.Tensor, full_rank: bool) -> bool:
    """Return whether all neurons are alive and no two alike (or none a mixture of others)."""
    for layer in activations(theta, x):
        within = correlation(layer)
        alike = within.abs() - torch.diag(within.diagonal())
        if not within.diagonal().gt(0.5).all() or alike.max() > 0.999:
            return False
        if full_rank and torch.linalg.cond(within) > 1e4:
            return False
    return True


def planted_copy(theta: Network, seed: int) -> tuple[Network, list[np.ndarray]]:
    rng = np.random.default_rng(seed)
    lists = [rng.permutation(p) for p in theta.widths[1:-1]]
    return permute(theta, lists), lists


def two_are_tied(theta: Network, copy: Network, x, options: dict) -> bool:
    """Return whether Algorithm 1 cannot tell two neurons of a layer of two apart.

    Two standardised neurons have the principal directions (1, 1) and (1, -1), whatever they do.
    Of a network and its copy all correlations are 1, so that these can be the components.
    """
    of_cca = {k: v for k, v in options.items() if k not in ("leftover", "rule")}
    if isinstance(of_cca.get("directions"), int):
        of_cca["directions"] = min(of_cca["directions"], 2)
    for pair in layer_pairs(theta, copy, x):
        if pair.sizes == (2, 2):
            weights = cca_of_pair(pair, **of_cca).weights_a.abs()
            if (weights[0] - weights[1]).abs().min() < 1e-6 * weights.max():
                return True
    return False


@pytest.mark.parametrize(("name", "options"), FINDERS, ids=str)
@given(drawn=pairs(most=6, fewest_examples=60))
def test_a_planted_permutation_is_found_and_every_offspring_is_the_parent(
    make_pair, name, options, drawn
):
    theta, _, x = make_pair(drawn)
    assume(is_distinct(theta, x, full_rank=name == "sc-cca"))
    copy, planted = planted_copy(theta, seed=1)
    assume(name != "sc-cca" or not two_are_tied(theta, copy, x, options))
    alignment = align(theta, copy, x, name, **options)
    for found, order in zip(alignment.matchings, planted, strict=True):
        # Neuron j of the copy is neuron order[j] of the original.
        assert order[found.lb].tolist() == found.la.tolist()
    offspring = interpolate(*alignment.apply(theta, copy), T)
    expected = theta(x).expand(len(T), -1, -1)
    torch.testing.assert_close(offspring(x), expected, atol=1e-4, rtol=0)


@pytest.fixture
def planted(make_network, make_examples):
    """A network of three hidden layers, a permuted copy, and examples."""
    theta = make_network((12, 8, 6, 5, 3), seed=0)
    x = make_examples(300, 12)
    assert is_distinct(theta, x, full_rank=True)
    return theta, planted_copy(theta, seed=1)[0], x


def test_naive_crossover_with_a_permuted_copy_is_another_function(planted):
    theta, copy, x = planted
    halfway = interpolate(*align(theta, copy, x, "naive").apply(theta, copy), 0.5)
    assert function_difference(halfway, theta, x) > 0.5
    assert function_difference(copy, theta, x) < 1e-5  # though the copy is the same


def test_few_directions_leave_neurons_that_only_correlation_pairs_rightly(planted):
    theta, copy, x = planted
    for leftover, works in (("index", False), ("correlation", True)):
        found = align(theta, copy, x, "sc-cca", directions=2, leftover=leftover)
        halfway = interpolate(*found.apply(theta, copy), 0.5)
        assert (function_difference(halfway, theta, x) < 1e-4) is works


@pytest.mark.parametrize(("name", "options"), CASES, ids=str)
def test_another_network_is_not_taken_for_a_copy(planted, make_network, name, options):
    theta, copy, x = planted
    stranger = make_network(theta.widths, seed=77)
    found = align(theta, stranger, x, name, **options)
    aligned = found.apply(theta, stranger)
    assert function_difference(aligned[1], theta, x) > 0.5
    assert function_difference(interpolate(*aligned, 0.5), theta, x) > 0.1
    matched = zip(layer_pairs(theta, stranger, x), found.matchings, strict=True)
    assert all(pair.between[m.la, m.lb].mean() < 0.8 for pair, m in matched)
    ours = zip(layer_pairs(theta, copy, x), align(theta, copy, x, "sc-pwc").matchings, strict=True)
    assert all(pair.between[m.la, m.lb].min() > 1 - 1e-6 for pair, m in ours)


# What each operator is


def test_naive_crossover_is_equation_4(make_network, make_examples):
    theta_a, theta_b = (make_network((4, 6, 5, 2), seed) for seed in (0, 1))
    aligned = align(theta_a, theta_b, make_examples(9, 4), "naive").apply(theta_a, theta_b)
    assert same(interpolate(*aligned, [-0.25, 0.3]), interpolate(theta_a, theta_b, [-0.25, 0.3]))


def test_neurons_are_sorted_by_ascending_bias(make_network, make_examples):
    theta_a, theta_b = (make_network((4, 6, 5, 2), seed) for seed in (0, 1))
    aligned = align(theta_a, theta_b, make_examples(9, 4), "bias-sort").apply(theta_a, theta_b)
    for theta in aligned:
        assert all(bias.diff().gt(0).all() for bias in theta.biases[:-1])


def test_one_to_one_matching_has_the_largest_sum_of_correlations(make_network, make_examples):
    theta_a, theta_b = (make_network((4, 6, 5, 2), seed) for seed in (0, 1))
    pairs = layer_pairs(theta_a, theta_b, make_examples(50, 4))

    def sums(name):
        found = align_layers(theta_a, theta_b, pairs, name).matchings
        matched = zip(pairs, found, strict=True)
        return np.array([float(pair.between[m.la, m.lb].sum()) for pair, m in matched])

    for name, entry in OPERATORS.items():
        if entry.one_to_one:
            assert (sums(name) <= sums("sc-pwc") + 1e-9).all()
    assert (sums("naive") < sums("sc-pwc")).all()
    assert (sums("sc-pwc-semi") > sums("sc-pwc")).all()  # who chooses freely reaches more


def test_each_correlation_operator_follows_its_own_rule(make_network, make_examples):
    theta_a, theta_b = (make_network((4, 6, 5, 2), seed) for seed in (0, 1))
    pairs = layer_pairs(theta_a, theta_b, make_examples(50, 4))
    rules = {
        "sc-pwc": match_one_to_one,
        "sc-pwc-greedy": match_greedy,
        "sc-pwc-semi": lambda c: semi_match(c, "a"),
        "sc-pwc-semi-b": lambda c: semi_match(c, "b"),
    }
    seen = set()
    for name, rule in rules.items():
        found = align_layers(theta_a, theta_b, pairs, name).matchings
        for pair, matching in zip(pairs, found, strict=True):
            assert sorted(zip(*matching, strict=True)) == sorted(
                zip(*rule(pair.between), strict=True)
            )
        seen.add(str([sorted(zip(*m, strict=True)) for m in found]))
    assert len(seen) == len(rules)


def test_semi_matching_need_not_keep_a_function(make_examples):
    """Each of a's twins picks the same neuron of b, and b's other neuron is lost."""
    theta_b = Network([torch.tensor([[1.0, -1.0]]), torch.eye(2)], [torch.zeros(2)] * 2)
    twins = Network([torch.tensor([[1.0, 2.0]]), torch.eye(2)], [torch.zeros(2)] * 2)
    x = make_examples(50, 1)
    for name, parents, loser in (
        ("sc-pwc-semi", (twins, theta_b), 1),
        ("sc-pwc-semi-b", (theta_b, twins), 0),
    ):
        found = align(*parents, x, name)
        assert not found.is_one_to_one
        assert found.matchings[0][loser].tolist() == [0, 0]
        assert found.matchings[0][1 - loser].tolist() == [0, 1]
        aligned = found.apply(*parents)
        assert function_difference(parents[loser], aligned[loser], x) > 0.5
        assert function_difference(parents[1 - loser], aligned[1 - loser], x) == 0
        assert not OPERATORS[name].one_to_one


def test_the_options_of_sc_cca_reach_the_analysis(make_network, make_examples):
    theta_a, theta_b = (make_network((6, 12, 10, 2), seed) for seed in (0, 1))
    x = make_examples(100, 6)
    found = {str(lists_of(align(theta_a, theta_b, x, "sc-cca", **o))) for o in ({}, *VARIANTS)}
    assert len(found) == 1 + len(VARIANTS)


def test_a_narrow_layer_keeps_all_the_directions_it_has(make_network, make_examples):
    theta_a, theta_b = (make_network((4, 8, 3, 2), seed) for seed in (0, 1))
    x = make_examples(50, 4)
    for directions in (5, np.int64(5)):
        found = align(theta_a, theta_b, x, "sc-cca", directions=directions)
        assert lists_of(found)[1] == lists_of(align(theta_a, theta_b, x, "sc-cca"))[1]


def test_a_new_operator_is_one_function_and_one_entry(monkeypatch, make_network, make_examples):
    monkeypatch.setattr(registry, "_REGISTRY", dict(METHODS))
    monkeypatch.setattr(registry, "METHODS", registry._REGISTRY)

    @registry.register("reverse", source="nowhere", needs="nothing", cost="h")
    @dataclass(frozen=True)
    class Reverse(registry.Method):
        """Put b's neurons in reverse."""

        twice: bool = False

        def __call__(self, problem):
            step = 1 if self.twice else -1
            return [Matching(np.arange(p), np.arange(p)[::step]) for p in problem.widths_a]

    theta, x = make_network((4, 3, 2)), make_examples(5, 4)
    assert "reverse" not in OPERATORS  # which is the paper's
    others = [name for name in METHODS if name not in OPERATORS]
    assert list(METHODS) == [*OPERATORS, *sorted(others)]
    assert list(registry.METHODS) == [*OPERATORS, *sorted([*others, "reverse"])]
    assert parse_operator("reverse:twice=true") == ("reverse", {"twice": True})
    assert Reverse(twice=True).spelling == "reverse:twice=true"
    assert align(theta, theta, operator=Reverse()).lists_b[0].tolist() == [2, 1, 0]
    assert get_operator("reverse").options == {"twice": False}
    assert align(theta, theta, x, "reverse").lists_b[0].tolist() == [2, 1, 0]
    assert align(theta, theta, x, "reverse", twice=True).lists_b[0].tolist() == [0, 1, 2]


def test_the_registries_are_read_only():
    for entries in (OPERATORS, METHODS):
        with pytest.raises(TypeError):
            entries["mine"] = entries["naive"]


def test_a_method_is_registered_once_and_needs_what_there_is():
    for name, needs, message in (
        ("naive", "nothing", "there is an operator 'naive' already"),
        ("new", "luck", "unknown need 'luck'"),
    ):
        with pytest.raises(ValueError, match=message):
            registry.register(name, source="", needs=needs, cost="1")(registry.Method)
    assert "new" not in METHODS
    with pytest.raises(NotImplementedError, match="Method has no rule"):
        registry.Method()(None)


# Neurons of a and of b, layer by layer, as the functions gave them that methods were at first.
AS_BEFORE = {
    "naive": "0123456 01234 / 0123456 01234",
    "bias-sort": "5061243 12043 / 2463015 10243",
    "sc-cca": "2063451 32041 / 5013264 30214",
    "sc-cca:directions=2": "2103456 42013 / 3102456 02134",
    "sc-cca:directions=0.9,leftover=correlation": "2061345 34201 / 5064213 30142",
    "sc-cca:ridge=0.1": "2063451 32014 / 5013264 30124",
    "sc-cca:ridge=0.1,penalty=kernel,standardise=false": "2036415 34201 / 5016324 31204",
    "sc-cca:rule=rank": "2065431 32041 / 5314260 30142",
    "sc-cca:weights=deflated": "2163405 32014 / 5063214 30124",
    "sc-pwc": "0123456 01234 / 0153246 02134",
    "sc-pwc-semi": "0123456 01234 / 0153656 00130",
    "sc-pwc-semi-b": "0022126 42334 / 0123456 01234",
    "sc-pwc-greedy": "0123654 42310 / 0123456 01234",
}


@pytest.mark.parametrize("spelling", AS_BEFORE)
def test_the_papers_methods_give_what_they_gave(make_network, make_examples, spelling):
    theta_a, theta_b = (make_network((6, 7, 5, 3), seed) for seed in (0, 1))
    name, options = parse_operator(spelling)
    found = align(theta_a, theta_b, make_examples(200, 6), name, **options)
    both = (" ".join("".join(map(str, order)) for order in lists)
            for lists in (found.lists_a, found.lists_b))  # fmt: skip
    assert " / ".join(both) == AS_BEFORE[spelling]
    assert as_method(name, **options).spelling == spelling


def test_the_published_spellings_are_the_methods_own():
    for config in published_configs():
        for spelling in config.operators:
            spelling, _ = split_after(spelling)
            name, options = parse_operator(spelling)
            assert as_method(name, **options).spelling == spelling


def test_the_papers_methods_have_a_class_each():
    classes = (Naive, BiasSort, ScCca, ScPwc, ScPwcSemi, ScPwcSemiB, ScPwcGreedy)
    assert {entry.method for entry in OPERATORS.values()} == set(classes)
    for name, entry in METHODS.items():
        method = as_method(name)
        assert (method, method.name, method.spelling) == (entry(), name, name)
        assert method.options == entry.options
        assert entry.needs in NEEDS and entry.source and entry.cost
        assert entry.preserves_function == (entry.one_to_one and not entry.soft)


def test_a_method_with_its_options_takes_the_place_of_a_name(make_network, make_examples):
    theta_a, theta_b = (make_network((4, 6, 5, 2), seed) for seed in (0, 1))
    x = make_examples(50, 4)
    found = align(theta_a, theta_b, x, ScCca(directions=2))
    assert found.operator == "sc-cca"
    assert lists_of(found) == lists_of(align(theta_a, theta_b, x, "sc-cca", directions=2))
    with pytest.raises(ValueError, match=r"ScCca\(directions=2.*has its options; found"):
        align(theta_a, theta_b, x, ScCca(directions=2), directions=3)


def test_only_methods_that_compare_activations_need_examples(make_network):
    theta_a, theta_b = (make_network((4, 6, 5, 2), seed) for seed in (0, 1))
    assert len(align(theta_a, theta_b, operator="bias-sort").matchings) == 2
    with pytest.raises(ValueError, match="this method compares activations: give examples"):
        match_layers(theta_a, theta_b, None, "sc-pwc")


# Bad input


@pytest.mark.parametrize(
    ("name", "options", "message"),
    [
        (
            "sc-pcw",
            {},
            "did you mean 'sc-pwc'.*Known: bias-sort, .*naive",
        ),
        ("", {}, "unknown operator '': Known: bias-sort"),
        (
            "sc-cca",
            {"direction": 2},
            "unknown option .* 'sc-cca' 'direction': did you mean",
        ),
        ("sc-pwc", {"ridge": 0.1}, "unknown option of operator 'sc-pwc' 'ridge'"),
        ("sc-cca", {"directions": 9}, r"directions must be a whole number in \[1, 8\]; found 9"),
        ("sc-cca", {"directions": 0}, "directions must be a whole number >= 1; found 0"),
        ("sc-cca", {"directions": True}, "directions must be a whole number"),
        ("sc-cca", {"directions": "9"}, "directions must be a whole number"),
        ("sc-cca", {"directions": 1.5}, "strictly between 0 and 1; found 1.5"),
        ("sc-cca", {"ridge": -0.1}, "ridge must be finite and >= 0; found -0.1"),
        ("sc-cca", {"penalty": "l2"}, "unknown penalty 'l2'"),
        ("sc-cca", {"weights": "nipals"}, "unknown weights 'nipals'"),
        ("sc-cca", {"rule": "end"}, "unknown rule of Algorithm 1 'end': did you mean 'ends'"),
        ("sc-cca", {"leftover": "indices"}, "unknown leftover rule 'indices'.*'index'"),
    ],
)
def test_unknown_operators_and_options_are_refused(
    make_network, make_examples, name, options, message
):
    theta = make_network((4, 8, 3, 2))
    with pytest.raises(ValueError, match=message):
        align(theta, theta, make_examples(20, 4), name, **options)


@each_operator
def test_networks_and_batches_that_do_not_fit_are_refused(make_network, make_examples, name):
    theta, x = make_network((4, 5, 3)), make_examples(20, 4)
    for other, batch, message in (
        (make_network((4, 6, 3)), x, "same architecture; found 4-5-3 and 4-6-3"),
        (theta, x[:0], "the batch of examples must be a matrix"),
        (theta, x[:, :3], "examples must have 4 columns"),
        (theta, x / 0, "the batch of examples must be finite"),
    ):
        with pytest.raises(ValueError, match=message):
            align(theta, other, batch, name)
    population = stack([theta, theta])
    with pytest.raises(ValueError, match="a layer pair holds one pair"):
        align(population, population, x, name)


def test_layers_of_unequal_width_are_paired_as_far_as_they_go(make_examples):
    """Networks are of one architecture, but the matching rules are not bound to that."""
    pair = LayerPair(make_examples(50, 4), make_examples(50, 6, seed=1))
    for name in ("sc-cca", "sc-pwc", "sc-pwc-greedy"):
        theta = Network([torch.zeros(4, 4), torch.zeros(4, 2)], [torch.zeros(4), torch.zeros(2)])
        (found,) = align_layers(theta, theta, [pair], name).matchings
        assert len(found.la) == len(found.lb) == 4


# Memory


def test_layers_that_do_not_fit_in_memory_say_so_before_they_start(make_network, monkeypatch):
    a, b = (make_network((4, 64, 32, 3), seed) for seed in (0, 1))
    x = torch.rand(50, 4)
    needed = alignment_memory(50, 64) - 8 * 50 * 64
    free = SimpleNamespace(available=needed)
    module = sys.modules["safecross.alignment.correlation"]
    monkeypatch.setattr(module.psutil, "virtual_memory", lambda: free)
    assert align(a, b, x, "sc-cca").is_one_to_one
    free.available = needed - 1
    with pytest.raises(
        MemoryError, match=r"layers of 64 neurons on 50 examples need about 0\.0 GiB"
    ):
        align(a, b, x, "sc-cca")
    assert align(a, b, x, "sc-pwc").is_one_to_one  # which takes less, and is not refused


def test_the_memory_announced_is_enough_and_not_far_more():
    words = [sys.executable, "-m", "benchmarks", "--wide", "1024", "4000"]
    lines = subprocess.run(words, check=True, capture_output=True, text=True, cwd=ROOT).stdout
    found = json.loads(lines.splitlines()[-1])
    assert found["announced_bytes"] / 2 < found["taken_bytes"] < found["announced_bytes"]


def test_layers_of_anything_with_widths_and_biases_can_be_matched(make_network, make_examples):
    a, b = (make_network((4, 5, 3), seed) for seed in (0, 1))
    pairs = layer_pairs(a, b, make_examples(40, 4))
    shape = SimpleNamespace(widths=a.widths, biases=a.biases)
    found = match_layers(shape, shape, pairs, "sc-pwc").matchings
    np.testing.assert_array_equal(found, align_layers(a, b, pairs, "sc-pwc").matchings)
    with pytest.raises(ValueError, match="unknown option"):
        match_layers(shape, shape, pairs, "sc-pwc", ridge=1)
