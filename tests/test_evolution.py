"""Populations: one frame for all, children, mutations, and a genetic algorithm that resumes."""

import itertools
import math
import re
from pathlib import Path

import numpy as np
import pytest
import torch
from scipy.integrate import solve_ivp
from scipy.optimize import linear_sum_assignment

from safecross import (
    METHODS,
    Network,
    align,
    initialise,
    interpolate,
    load_data,
    repair,
    stack,
)
from safecross.crossover.repair import preactivation_statistics, renew
from safecross.evolution import tasks
from safecross.evolution.arms import SAFE, Arm, parse_arm
from safecross.evolution.genetic import (
    COLUMNS,
    Setting,
    State,
    advance,
    begin,
    champion,
    draw,
    effective_rank,
)
from safecross.evolution.mating import (
    RECOMBINATIONS,
    mate,
    partners,
    recombined,
)
from safecross.evolution.mutation import mutate, mutate_safely, sensitivity
from safecross.evolution.population import (
    ACTIVATIONS,
    AlignedPopulation,
    Matched,
    align_population,
    check_population,
    greedy_soup,
    hidden_layers,
    matched,
    mean,
    medoid,
    reorder,
    repaired_mean,
    scramble,
)
from safecross.evolution.tasks import (
    Classification,
    Evaluation,
    SwingUp,
    Task,
)

#: Methods that find a planted permutation whatever the order they see.
PERMUTING = [n for n, m in METHODS.items() if m.preserves_function and m.invariant]

WIDTHS = (6, 9, 8, 3)


def chance(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def same(one: Network, other: Network, **tolerance) -> bool:
    pairs = zip((*one.weights, *one.biases), (*other.weights, *other.biases), strict=True)
    return all(torch.allclose(a, b, **tolerance) for a, b in pairs)


@pytest.fixture
def members(make_network) -> Network:
    return stack([make_network(WIDTHS, seed) for seed in range(5)])


@pytest.fixture
def copies(make_network) -> Network:
    return stack([make_network(WIDTHS, 7)] * 5)


@pytest.fixture
def x(make_examples) -> torch.Tensor:
    return make_examples(300, WIDTHS[0])


# One frame


@pytest.mark.parametrize("method", PERMUTING)
def test_a_planted_permutation_of_every_member_is_undone(copies, x, method):
    mixed = scramble(copies, chance())
    assert not same(mixed, copies)
    found = align_population(mixed, x, reference=2, method=method)
    assert found.reference == 2
    expected = stack([mixed[2]] * 5)
    assert same(found.population, expected)
    assert torch.allclose(found.population(x), mixed(x), atol=1e-5)


@pytest.mark.parametrize("method", [m for m in PERMUTING if m != "bias-sort"])
def test_members_come_into_one_frame_however_they_were_ordered(members, x, method):
    first = members[0]
    mixed = scramble(members, chance(3))
    mixed = stack([first, *(mixed[i] for i in range(1, 5))])
    found = [align_population(theta, x, method=method).population for theta in (members, mixed)]
    assert same(*found)
    assert not same(members, mixed)


def test_the_naive_method_undoes_nothing(copies, x):
    mixed = scramble(copies, chance())
    assert same(align_population(mixed, x, method="naive").population, mixed)


def test_the_fast_path_finds_what_the_registry_finds(members, x):
    others = scramble(members, chance(1))[[1, 2, 3, 4, 0]]
    found = matched(members, others, x)
    assert isinstance(found, Matched) and found.signs is None
    fast = found.orders
    for i in range(5):
        slow = align(members[i], others[i], x, "sc-pwc")
        for d, lists in enumerate(slow.lists_b):
            assert fast[d][i].tolist() == lists[np.argsort(slow.lists_a[d])].tolist()


def test_dead_neurons_stay_where_they_are(members, x):
    weights, biases = list(members.weights), [b.clone() for b in members.biases]
    biases[0][:, 2:5] = -100.0
    dead = Network(weights, biases)
    orders = matched(dead, dead, x).orders
    assert orders[0].tolist() == [list(range(9))] * 5


# Signs, and a frame that all members share


def tanh_outputs(population: Network, x: torch.Tensor) -> torch.Tensor:
    *hidden, last = zip(population.weights, population.biases, strict=True)
    for weight, bias in hidden:
        x = torch.tanh(x @ weight + bias[:, None])
    return x @ last[0] + last[1][:, None]


def planted(population: Network, seed: int = 0) -> tuple[Network, list, list]:
    """Return each member with its neurons in a random order, half of them negated."""
    rng, n = chance(seed), population.batch_shape[0]
    orders = [torch.rand(n, p, generator=rng).argsort(-1) for p in population.widths[1:-1]]
    signs = [1 - 2.0 * (torch.rand(o.shape, generator=rng) < 0.5) for o in orders]
    return reorder(population, orders, signs), orders, signs


def test_negated_neurons_compute_the_same_through_tanh_only(members, x):
    mixed, orders, signs = planted(members)
    assert torch.allclose(tanh_outputs(mixed, x), tanh_outputs(members, x), atol=1e-5)
    assert not torch.allclose(mixed(x), members(x), atol=0.1)
    for i in range(5):  # and neuron by neuron
        j, sign = int(orders[0][i, 4]), signs[0][i, 4]
        assert torch.equal(mixed.weights[0][i, :, 4], sign * members.weights[0][i, :, j])


@pytest.mark.parametrize("reference", [0, 3, "medoid"])
def test_planted_permutations_and_signs_are_undone(copies, x, reference):
    mixed, orders, signs = planted(copies)
    found = align_population(mixed, x, reference=reference, activation="tanh")
    k = found.reference
    assert same(found.population, stack([mixed[k]] * 5))
    for d, (planted_orders, planted_signs) in enumerate(zip(orders, signs, strict=True)):
        back = torch.take_along_dim(planted_orders, found.orders[d], -1)
        assert torch.equal(back, planted_orders[k].expand(5, -1))
        negated = torch.take_along_dim(planted_signs, found.orders[d], -1) * found.signs[d]
        assert torch.equal(negated, planted_signs[k].expand(5, -1))
    as_relu = align_population(mixed, x, reference=k)
    assert as_relu.signs is None and not same(as_relu.population, found.population)


def test_mated_tanh_networks_of_one_function_have_children_of_it(copies, x):
    mixed, _, _ = planted(copies)
    others, _, _ = planted(copies, 1)
    for recombine in ("arithmetic", "neuron"):
        child = mate(mixed, others, x, chance(), recombine=recombine, activation="tanh")
        assert torch.allclose(tanh_outputs(child, x), tanh_outputs(copies, x), atol=1e-4)
        unaware = mate(mixed, others, x, chance(), recombine=recombine)
        assert not torch.allclose(tanh_outputs(unaware, x), tanh_outputs(copies, x), atol=0.1)


def test_related_tanh_networks_keep_order_and_sign(copies, x):
    mixed, _, _ = planted(copies)
    related = torch.tensor([True, False, True, False, False])
    moved, share = partners(copies, mixed, x, related=related, activation="tanh")
    assert same(moved[related], mixed[related])
    assert same(moved[~related], copies[~related])
    away = [(w != v).any(1) for w, v in zip(moved.weights[:-1], mixed.weights[:-1], strict=True)]
    assert share > 0.5 * 3 / 5 and float(away[0][related].sum()) == 0


def test_a_sign_alone_counts_as_moved(copies, x):
    signs = [torch.ones(5, p) for p in WIDTHS[1:-1]]
    signs[0][2, 3] = -1
    orders = [torch.arange(p).repeat(5, 1) for p in WIDTHS[1:-1]]
    negated = reorder(copies, orders, signs)
    others, share = partners(copies, negated, x, activation="tanh")
    assert share == pytest.approx(1 / (5 * 17)) and same(others, copies)


@pytest.mark.parametrize("activation", ACTIVATIONS)
def test_matching_a_population_with_itself_moves_nothing(members, x, activation):
    others, share = partners(members, members, x, activation=activation)
    assert share == 0 and same(others, members)


def test_the_activations_of_tanh_are_those_of_pytorch(members, x):
    model = torch.nn.Sequential(torch.nn.Linear(6, 9), torch.nn.Tanh())
    with torch.no_grad():
        model[0].weight.copy_(members[1].weights[0].T)
        model[0].bias.copy_(members[1].biases[0])
        assert torch.allclose(hidden_layers(members, x, "tanh")[0][1], model(x), atol=1e-6)
    assert torch.equal(hidden_layers(members, x)[1], members.layers(x)[1])


def test_all_members_come_into_one_frame_together(copies, x):
    mixed = scramble(copies, chance())
    found = align_population(mixed, x, reference="cycle-consistent")
    assert found.reference == 0 and same(found.population, stack([mixed[0]] * 5))
    assert same(reorder(mixed, found.orders), found.population)


def test_the_shared_frame_agrees_over_all_pairs_not_with_one_member(members, x):
    def agreement(aligned: AlignedPopulation) -> float:
        total = 0.0
        for layer in aligned.population.layers(x)[:-1]:
            columns = torch.nn.functional.normalize(layer - layer.mean(1, keepdim=True), dim=1)
            total += float((columns.sum(0) ** 2).sum() - (columns**2).sum())
        return total

    together = align_population(members, x, reference="cycle-consistent")
    first = align_population(members, x)
    assert agreement(together) > agreement(first)
    assert torch.allclose(together.population(x), members(x), atol=1e-5)
    for orders in together.orders:
        assert (orders.sort(-1).values == torch.arange(orders.shape[1])).all()


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"activation": "tan"}, "unknown activation 'tan'.*tanh"),
        ({"activation": 3}, "unknown activation 3"),
        ({"activation": "tanh", "method": "weight-matching"}, "by sc-pwc .or naive.; found weight"),
        ({"reference": "cycle-consistent", "method": "naive"}, "relu and naive"),
        ({"reference": "cycle-consistent", "activation": "tanh"}, "found tanh and sc-pwc"),
    ],
)
def test_what_does_not_go_together_is_told(members, x, change, message):
    with pytest.raises(ValueError, match=message):
        align_population(members, x, **change)


def test_signs_that_do_not_fit_are_refused(members):
    orders = [torch.arange(p).repeat(5, 1) for p in WIDTHS[1:-1]]
    signs = [torch.ones(5, p) for p in WIDTHS[1:-1]]
    assert same(reorder(members, orders, signs), members)
    with pytest.raises(ValueError, match="expected signs of shapes"):
        reorder(members, orders, signs[:1])
    signs[1][0, 0] = 0.5
    with pytest.raises(ValueError, match="signs of layer 2 must be 1 or -1; found"):
        reorder(members, orders, signs)


def test_orders_that_do_not_fit_are_refused(members):
    orders = [torch.arange(9).repeat(5, 1), torch.arange(8).repeat(5, 1)]
    assert same(reorder(members, orders), members)
    with pytest.raises(ValueError, match=r"expected orders of shapes \[\(5, 9\), \(5, 8\)\]"):
        reorder(members, orders[:1])
    with pytest.raises(ValueError, match=r"layer 2 must hold whole numbers in \[0, 8\)"):
        reorder(members, [orders[0], orders[1] + 1])


def test_scrambling_at_a_rate_leaves_some_as_they_are(copies, x):
    assert same(scramble(copies, chance(), 0.0), copies)
    many = stack([copies[0]] * 200)
    mixed = scramble(many, chance(), 0.25)
    kept = (mixed.weights[0] == many.weights[0]).flatten(1).all(1).double().mean()
    assert 0.65 < float(kept) < 0.85
    with pytest.raises(ValueError, match=r"rate must be a number in \[0, 1\]; found 2"):
        scramble(copies, chance(), 2)
    with pytest.raises(ValueError, match="must be a population of at least one network"):
        scramble(copies[0], chance())


def test_the_medoid_is_the_member_that_others_resemble(make_network, x):
    strangers = [make_network(WIDTHS, seed) for seed in (1, 2)]
    twins = scramble(stack([make_network(WIDTHS, 7)] * 3), chance())
    members = stack([strangers[0], twins[0], twins[1], strangers[1], twins[2]])
    assert medoid(members, x) in (1, 2, 4)
    assert align_population(members, x, reference="medoid").reference in (1, 2, 4)
    assert medoid(stack([strangers[0], twins[0], strangers[0]]), x) != 1


@pytest.mark.parametrize("activation", ACTIVATIONS)
def test_the_medoid_is_that_of_all_pairs_written_out(make_network, x, activation):
    found = set()
    for first in range(0, 60, 5):
        members = stack([make_network(WIDTHS, first + i) for i in range(5)])
        total = np.zeros(5)
        for layer in hidden_layers(members, x, activation):
            for i, j in itertools.permutations(range(5), 2):
                p = layer.shape[-1]
                both = torch.cat([layer[i], layer[j]], dim=1).double().numpy()
                with np.errstate(invalid="ignore"):
                    alike = np.nan_to_num(np.corrcoef(both, rowvar=False)[:p, p:])
                alike = abs(alike) if activation == "tanh" else alike
                total[i] += alike[linear_sum_assignment(-alike)].mean()
        assert medoid(members, x, activation) == total.argmax()
        found.add(int(total.argmax()))
    assert len(found) >= 4


@pytest.mark.parametrize("reference", [5, -1, "best", 1.0, True])
def test_no_such_reference(members, x, reference):
    with pytest.raises(ValueError, match=r'reference, unless "medoid" or .*, must be .* \[0, 4\]'):
        align_population(members, x, reference=reference)


@pytest.mark.parametrize("method", ["ot", "cca-merge", "sc-pwc-semi"])
def test_a_population_needs_permutations(members, x, method):
    with pytest.raises(ValueError, match=f"{method} repeats or mixes neurons"):
        align_population(members, x, method=method)


def test_what_comes_back_has_names(members, x):
    found = align_population(members, x)
    assert isinstance(found, AlignedPopulation) and found.reference == 0
    assert same(reorder(members, found.orders), found.population)
    task: Task = SwingUp(1, 5)
    theta = initialise([task.n_inputs, 3, task.n_outputs], [0, 1])
    assert isinstance(task(theta, chance()), Evaluation)
    assert isinstance(begin(task, Setting((3,), 4, 2), 0), State)
    assert {parse_arm(f"mutation:safe={kind}").safe for kind in SAFE} == set(SAFE)


# Means


def test_the_mean_of_aligned_copies_is_their_function(copies, x):
    mixed = scramble(copies, chance())
    aligned = align_population(mixed, x).population
    assert torch.allclose(mean(aligned)(x), copies[0](x), atol=1e-5)
    assert not torch.allclose(mean(mixed)(x), copies[0](x), atol=0.1)


def test_statistics_are_renewed_layer_by_layer(members, x):
    goals = preactivation_statistics(members[1], x)
    found = preactivation_statistics(renew(members[0], goals[:2], x), x)
    for (mean_a, deviation_a), (mean_b, deviation_b) in zip(found[:2], goals[:2], strict=True):
        assert torch.allclose(mean_a, mean_b, atol=1e-4)
        assert torch.allclose(deviation_a, deviation_b, atol=1e-4)
    assert not torch.allclose(found[2][1], goals[2][1], atol=1e-2)
    assert check_population("it", members) is members


def test_the_repaired_mean_of_two_is_their_repaired_child(members, x):
    child = interpolate(members[0], members[1], 0.5)
    expected = repair(child, members[0], members[1], x, 0.5)
    assert same(repaired_mean(members[:2], x), expected, atol=1e-5)
    assert not same(mean(members[:2]), expected, atol=1e-2)


def test_a_greedy_soup_is_never_worse_than_its_best_member(copies, members, x):
    target = copies[0](x)

    def score(network):
        return -float((network(x) - target).square().mean())

    noisy = mutate(copies, 0.1, chance())
    soup, kept = greedy_soup(stack([members[0], *(noisy[i] for i in range(5))]), score)
    best = max(score(noisy[i]) for i in range(5))
    assert score(soup) > best
    assert 0 not in kept and len(kept) > 1
    assert score(noisy[kept[0] - 1]) == best
    assert same(soup, mean(noisy[[i - 1 for i in kept]]), atol=1e-6)


# Children


@pytest.mark.parametrize("how", RECOMBINATIONS)
@pytest.mark.parametrize("method", ["sc-pwc", "hard-cca"])
def test_children_of_one_function_in_two_orders_compute_it(copies, x, how, method):
    mixed = scramble(copies, chance())
    child = mate(copies, mixed, x, chance(1), method=method, recombine=how)
    assert torch.allclose(child(x), copies(x), atol=1e-5)
    torn = mate(copies, mixed, x, chance(1), method="naive", recombine=how)
    assert not torch.allclose(torn(x), copies(x), atol=0.05)


@pytest.mark.parametrize("how", RECOMBINATIONS)
def test_the_ends_are_the_parents(members, how):
    a, b = members, members[[1, 2, 3, 4, 0]]
    assert same(recombined(a, b, how, 0, chance()), a)
    assert same(recombined(a, b, how, 1, chance()), b, atol=1e-6)


def test_each_recombination_takes_what_it_says(members):
    a = members
    b = members[[1, 2, 3, 4, 0]]
    assert same(
        recombined(a, b, "arithmetic", 1.5, chance()),
        Network(
            [-0.5 * p + 1.5 * q for p, q in zip(a.weights, b.weights, strict=True)],
            [-0.5 * p + 1.5 * q for p, q in zip(a.biases, b.biases, strict=True)],
        ),
        atol=1e-6,
    )
    shares = {}
    for how in ("neuron", "subset", "layer"):
        child = recombined(a, b, how, 0.25, chance())
        from_b = [
            (c == q).all(-2) & (d == r)
            for c, q, d, r in zip(child.weights, b.weights, child.biases, b.biases, strict=True)
        ]
        from_a = [
            (c == p).all(-2) & (d == r)
            for c, p, d, r in zip(child.weights, a.weights, child.biases, a.biases, strict=True)
        ]
        assert all((one ^ other).all() for one, other in zip(from_a, from_b, strict=True))
        shares[how] = [one.double().mean(-1) for one in from_b]
    assert [s.tolist() for s in shares["subset"]] == [[2 / 9] * 5, [2 / 8] * 5, [1 / 3] * 5]
    assert all(set(s.tolist()) <= {0.0, 1.0} for s in shares["layer"])
    assert len(set(torch.cat(shares["neuron"]).tolist())) > 3


def test_a_subset_may_be_any_neurons(members):
    a, b = members[:1], members[1:2]
    taken = set()
    for seed in range(40):
        child = recombined(a, b, "subset", 0.25, chance(seed))
        taken |= set((child.biases[0] == b.biases[0])[0].nonzero().flatten().tolist())
    assert taken == set(range(9))


def test_an_arc_keeps_the_length_that_a_line_loses(members):
    a, b = members, members[[1, 2, 3, 4, 0]]
    lengths = [
        [float(w.flatten(1).norm(dim=1).mean()) for w in recombined(a, b, h, 0.5, chance()).weights]
        for h in ("slerp", "arithmetic")
    ]
    ends = [float(w.flatten(1).norm(dim=1).mean()) for w in a.weights]
    assert np.allclose(lengths[0], ends, rtol=0.05)
    assert all(line < 0.85 * end for line, end in zip(lengths[1], ends, strict=True))
    assert same(recombined(a, a, "slerp", 0.3, chance()), a, atol=1e-6)


def test_relatives_are_left_as_they_are(copies, x):
    mixed = scramble(copies, chance())
    related = torch.tensor([True, False, True, False, False])
    others, moved = partners(copies, mixed, x, related=related)
    assert 0 < moved < 1
    for i, leave in enumerate(related.tolist()):
        assert same(others[i], (mixed if leave else copies)[i]) is True
    with pytest.raises(ValueError, match=r"related must hold 5 bools; found torch.bool of shape"):
        partners(copies, mixed, x, related=related[:2])


@pytest.mark.parametrize(
    ("change", "error"),
    [
        ({"parents_a": [1]}, (TypeError, "each side must be a population, a Network")),
        ({"parents_a": initialise(WIDTHS, 0)}, (ValueError, "population of at least one network")),
        ({"parents_b": initialise((6, 4, 3), [0, 1])}, (ValueError, "the same architecture")),
        ({"parents_b": initialise(WIDTHS, [0, 1])}, (ValueError, "expected as many partners")),
        ({"recombine": "neurons"}, (ValueError, "unknown recombination 'neurons'.*'neuron'")),
        ({"recombine": None}, (ValueError, "recombination")),
        ({"t": 1.5}, (ValueError, r"t must be a number in \[0, 1\]; found 1.5")),
        ({"t": math.nan, "recombine": "slerp"}, (ValueError, "t must be a number finite|finite")),
        ({"method": "sc-pcw"}, (ValueError, "unknown operator 'sc-pcw'")),
        ({"x": torch.zeros(4, 7)}, (ValueError, "examples must have 6 columns")),
        ({"rng": 0}, (TypeError, "rng must be a torch.Generator; found 0")),
    ],
)
def test_bad_parents_and_words_are_told(members, x, change, error):
    given = {"parents_a": members, "parents_b": members, "x": x, "rng": chance()} | change
    with pytest.raises(error[0], match=error[1]):
        mate(**given)


def test_a_member_that_is_not_finite_is_no_network(members):
    weights = [w.clone() for w in members.weights]
    weights[0][2, 0, 0] = math.inf
    with pytest.raises(ValueError, match="finite"):
        Network(weights, members.biases)


# Mutation


def test_gaussian_noise_has_its_size(members):
    other = mutate(stack([members[0]] * 200), 0.1, chance())
    for before, after in zip(members.weights, other.weights, strict=True):
        assert (after - before[0]).std().item() == pytest.approx(0.1, rel=0.05)
    assert same(mutate(members, 0, chance()), members)
    with pytest.raises(ValueError, match="sigma must be a number >= 0 and finite; found -1"):
        mutate(members, -1, chance())
    with pytest.raises(TypeError, match=r"rng must be a torch.Generator"):
        mutate(members, 1, np.random.default_rng())


@pytest.mark.parametrize("kind", ["sum", "abs"])
def test_sensitivity_is_that_of_finite_differences(members, x, kind):
    theta = members[:2].to(dtype=torch.float64)
    inputs, step = x[:20].double(), 1e-6
    found = sensitivity(theta, inputs, kind)
    for place, index in ((0, (1, 2, 3)), (1, (0, 5, 4)), (2, (1, 0, 1)), (4, (1, 6))):
        ends = []
        for sign in (1, -1):
            parts = [p.clone() for p in (*theta.weights, *theta.biases)]
            parts[place][index] += sign * step
            ends.append(Network(parts[:3], parts[3:])(inputs)[index[0]])
        slopes = (ends[0] - ends[1]) / (2 * step)
        expected = (slopes.abs() if kind == "abs" else slopes).mean(0).norm()
        assert float(found[place][index]) == pytest.approx(float(expected), rel=1e-5, abs=1e-8)


def test_safe_noise_is_divided_by_the_sensitivity(members, x):
    child = mutate_safely(members, x, 0.2, chance(4), by="abs", floor=0.05)
    rng = chance(4)
    parts = [(*n.weights, *n.biases) for n in (members, child)]
    noise = [torch.randn(part.shape, generator=rng) for part in parts[0]]
    for before, after, e, s in zip(*parts, noise, sensitivity(members, x, "abs"), strict=True):
        step = 0.2 * e / torch.where(s == 0, 1.0, s.clamp(min=0.05))
        assert torch.allclose(after - before, step, atol=1e-5)


def test_only_absolute_effects_do_not_cancel():
    theta = Network([torch.tensor([[[2.0]]])], [torch.zeros(1, 1)])
    inputs = torch.tensor([[3.0], [-3.0]])
    assert float(sensitivity(theta, inputs)[0]) == 0
    assert float(sensitivity(theta, inputs, "abs")[0]) == 3
    with pytest.raises(ValueError, match="unknown kind of sensitivity 'max'"):
        sensitivity(theta, inputs, "max")


def test_each_member_may_have_examples_of_its_own(members, make_examples):
    own = torch.stack([make_examples(30, WIDTHS[0], seed) for seed in range(5)])
    together = sensitivity(members, own)
    for i in (0, 4):
        alone = sensitivity(members[i : i + 1], own[i])
        assert all(
            torch.allclose(a[0], t[i], atol=1e-6) for a, t in zip(alone, together, strict=True)
        )


def test_a_member_s_sensitivity_does_not_depend_on_its_neighbours(members, x):
    alone = sensitivity(members[2:3], x)
    together = sensitivity(members, x)
    for one, all_ in zip(alone, together, strict=True):
        assert torch.allclose(one[0], all_[2], rtol=1e-4)


def test_rescaled_steps_change_the_outputs_as_much_as_said(members, x):
    other = mutate_safely(members, x, 0.05, chance(), by="rescaling")
    change = (other(x) - members(x)).square().mean((-1, -2)).sqrt()
    assert change.tolist() == pytest.approx([0.05] * 5, rel=1e-3)
    plain = (mutate(members, 0.05, chance())(x) - members(x)).square().mean((-1, -2)).sqrt()
    assert plain.max() / plain.min() > 1.1


def test_members_that_need_steps_of_other_sizes_change_alike(x, make_network):
    theta = make_network((6, 9, 3), 3)
    timid = Network(theta.weights, [b.clone() for b in theta.biases])
    timid.weights[-1].mul_(0.001)  # what moves its first layer hardly shows
    bold = Network([100 * w for w in theta.weights], theta.biases)
    both = stack([timid, bold])
    other = mutate_safely(both, x, 20.0, chance(), by="rescaling")
    change = (other(x) - both(x)).square().mean((-1, -2)).sqrt()
    assert change.tolist() == pytest.approx([20.0, 20.0], rel=1e-3)


def test_sensitivity_is_of_a_population(x, make_network):
    with pytest.raises(ValueError, match="must be a population of at least one network"):
        sensitivity(make_network((6, 9, 3), 3), x)


def test_sensitive_weights_move_less(x, make_network):
    theta = stack([make_network((6, 9, 8, 8, 8, 3), 3)] * 300)
    found = sensitivity(theta[:1], x)
    moved = [
        (after - before).std(0)
        for before, after in zip(
            (*theta.weights, *theta.biases),
            (lambda o: (*o.weights, *o.biases))(mutate_safely(theta, x, 0.1, chance(), floor=0.05)),
            strict=True,
        )
    ]
    s, m = (torch.cat([part.flatten() for part in parts]) for parts in (found, moved))
    expected = torch.where(s == 0, 1, s.clamp(min=0.05))
    assert (s > 0.5).any() and ((s > 0) & (s < 0.05)).any()
    assert torch.allclose(m * expected, torch.full_like(m, 0.1), rtol=0.35)
    assert (m * expected).mean().item() == pytest.approx(0.1, rel=0.02)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"by": "gradients"}, "unknown kind of safe mutation 'gradients'"),
        ({"floor": 0}, "floor must be above 0"),
        ({"floor": "low"}, "floor must be a number >= 0 and finite; found 'low'"),
        ({"sigma": math.inf}, "sigma must be a number >= 0 and finite; found inf"),
    ],
)
def test_bad_mutations_are_told(members, x, change, message):
    with pytest.raises(ValueError, match=message):
        mutate_safely(members, x, **({"sigma": 0.1, "rng": chance()} | change))


# Tasks


def test_the_pole_moves_as_its_equations_say():
    def motion(_, state):
        # Lagrange's equations of a cart and a uniform rod, solved for the accelerations.
        _, speed, angle, turn = state
        mass = np.array([[1.1, 0.05 * np.cos(angle)], [0.05 * np.cos(angle), 0.1 * 0.5**2 * 4 / 3]])
        force = [2.0 + 0.05 * turn**2 * np.sin(angle), 0.05 * 9.8 * np.sin(angle)]
        return [speed, *(np.linalg.solve(mass, force)[:1]), turn, np.linalg.solve(mass, force)[1]]

    start = [0.1, -0.2, 2.5, 0.7]
    exact = solve_ivp(motion, (0, 0.4), start, rtol=1e-9, atol=1e-9).y[:, -1]
    previous = tasks._DT
    try:
        tasks._DT = 0.0004
        state = [torch.tensor(v, dtype=torch.float64) for v in start]
        for _ in range(1000):
            state = tasks._step(*state, torch.tensor(2.0, dtype=torch.float64))
    finally:
        tasks._DT = previous
    assert [float(v) for v in state] == pytest.approx(exact.tolist(), abs=2e-3)


def test_all_members_meet_the_same_starts_and_their_own_path():
    task = SwingUp(episodes=3, steps=40)
    theta = initialise([5, 8, 1], [0, 1])
    twice = stack([theta[0], theta[1], theta[0]])
    found = task(twice, chance())
    assert found.fitness[0] == found.fitness[2] != found.fitness[1]
    assert found.steps == 3 * 3 * 40
    seen = found.seen.view(3, 40, 3, 5)
    assert torch.equal(seen[0, 0], seen[1, 0]) and not torch.equal(seen[0, -1], seen[1, -1])
    assert torch.allclose(seen[..., 2] ** 2 + seen[..., 3] ** 2, torch.ones(3, 40, 3), atol=1e-5)
    alone = task(theta[:1], chance()).fitness
    assert alone[0] == pytest.approx(float(found.fitness[0]), abs=1e-6)
    assert not torch.equal(task(twice, chance(1)).fitness, found.fitness)


def test_a_cart_that_leaves_the_track_earns_nothing_more():
    # A pole that is upright all the time: the first unit pushes, the bias decides where to.
    still = Network([torch.zeros(1, 5, 1)], [torch.zeros(1, 1)])
    away = Network([torch.zeros(1, 5, 1)], [torch.full((1, 1), 9.0)])
    task = SwingUp(episodes=2, steps=200)
    assert 0 <= float(task(still, chance()).fitness) < 0.05
    seen = task(away, chance()).seen.view(1, 200, 2, 5)
    assert float(seen[..., 0].max()) > 2.4
    outside = (seen[0, ..., 0].abs() > 2.4).double()
    heights = (1 + seen[0, ..., 2].double()) / 2
    expected = (heights[1:] * (1 - outside[1:])).sum(0) / 200
    assert float(task(away, chance()).fitness) == pytest.approx(float(expected.mean()), abs=0.01)


def test_classification_is_scored_by_the_loss():
    data = load_data("mnist5k")
    theta = initialise([784, 8, 10], [0, 1])
    whole = Classification(data, None, "validation")
    x, y = data.split("validation")
    expected = torch.nn.functional.cross_entropy(theta[1](x), y)
    assert float(whole(theta, chance()).fitness[1]) == pytest.approx(-float(expected), rel=1e-5)
    part = Classification(data, 100)(theta, chance())
    assert part.seen.shape == (100, 784) and part.steps == 200


# The algorithm

TASK, SETTING = SwingUp(2, 30), Setting((8, 8), 10, 4, 20)


def evolved(arm: Arm, generations: int, seed: int = 0, state=None):
    state = state or begin(TASK, SETTING, seed)
    for _ in range(generations):
        state = advance(TASK, arm, SETTING, seed, state)
    return state


@pytest.mark.parametrize(
    "word",
    [
        "mutation",
        "mutation:safe=abs,sigma=0.02",
        "mutation:safe=rescaling,sigma=0.02",
        "naive/neuron",
        "sc-pwc/arithmetic:scramble=0.5",
        "sc-pwc/layer:related=true",
        "weight-matching/slerp:niche=1",
    ],
)
def test_a_run_goes_on_from_any_generation_to_the_same_bits(word):
    arm = parse_arm(word)
    whole = evolved(arm, 5)
    part = evolved(arm, 2)
    assert part.history.shape == (2, len(COLUMNS))
    again = evolved(arm, 3, state=part)
    assert torch.equal(again.history, whole.history)
    assert same(again.members, whole.members, rtol=0, atol=0)
    assert torch.equal(again.founders, whole.founders)
    assert not same(evolved(arm, 5, seed=1).members, whole.members)


def drawn_from(seed: int, generation: int) -> torch.Generator:
    """The chance of a generation, as published records have it."""
    word = np.random.SeedSequence([seed, 1, generation]).generate_state(1, np.uint64)[0]
    return chance(int(word) // 2)


class Known:
    """A task of known fitness, which tells with what chance it was asked."""

    n_inputs, n_outputs = 5, 1

    def __init__(self, fitness: list[float]):
        self.fitness, self.seeds = torch.tensor(fitness, dtype=torch.float64), []
        self.seen = torch.randn(40, 5, generator=chance(8))

    def __call__(self, population: Network, rng: torch.Generator) -> Evaluation:
        self.seeds.append(rng.initial_seed())
        return Evaluation(self.fitness[: population.batch_shape[0]], self.seen, 7)


def test_two_generations_are_those_written_out_step_by_step():
    task, setting, seed = Known([0.1, 0.9, 0.3, 0.7, 0.2, 0.5]), Setting((8, 7), 6, 3, 16), 3
    arm = parse_arm("sc-pwc/neuron:sigma=0.1,scramble=0.5")
    state = begin(task, setting, seed)
    seeds = np.random.SeedSequence([3, 0]).generate_state(6, np.uint32).tolist()
    members, founders = initialise([5, 8, 7, 1], seeds), torch.arange(6)
    assert same(state.members, members, rtol=0, atol=0) and state.history.shape == (0, 6)
    for generation in (1, 2):
        state = advance(task, arm, setting, seed, state)
        rng = drawn_from(seed, generation)
        assert task.seeds[-1] == rng.initial_seed()
        best = torch.tensor([1, 3, 5])
        met = task.seen[torch.randint(40, (16,), generator=rng)]
        first, second = draw(3, 5, rng)
        sides = [scramble(members[best[i]], rng, 0.5) for i in (first, second)]
        others, moved = partners(*sides, met)
        children = mutate(recombined(sides[0], others, "neuron", arm.t, rng), 0.1, rng)
        row = [0.9, 0.45, len(set(founders[best].tolist())), moved]
        row += [effective_rank(members[best]), 7.0 * generation]
        assert state.history[-1].tolist() == pytest.approx(row) and 0 < moved < 1
        founders = torch.cat([founders[best[:1]], founders[best[first]]])
        assert torch.equal(state.founders, founders)
        assert same(state.members[:1], members[best[:1]], rtol=0, atol=0)
        assert same(state.members[1:], children, rtol=0, atol=0)
        members = state.members


def test_of_equally_good_members_the_first_are_taken():
    task, setting = Known([0.5] * 60 + [0.6] * 2), Setting((4,), 62, 5)
    state = advance(task, parse_arm("mutation"), setting, 0, begin(task, setting, 0))
    assert state.founders[0] == 60 and set(state.founders.tolist()) == {60, 61, 0, 1, 2}


def test_no_crossover_moves_no_neuron():
    assert evolved(parse_arm("mutation"), 1).history[0, 3] == 0
    assert partners(initialise([5, 2], [0, 1]), initialise([5, 2], [2, 3]), None, "naive")[1] == 0


def test_a_champion_is_chosen_and_measured_with_chance_of_their_own():
    task, held_out = Known([0.1, 0.9, 0.3, 0.7]), Known([0.25])
    state = begin(task, Setting((8,), 4, 2), 5)
    network, score = champion(task, held_out, 5, state)
    assert score == 0.25 and same(network, state.members[1], rtol=0, atol=0)
    assert task.seeds == [drawn_from(5, 1).initial_seed()]
    assert held_out.seeds == [drawn_from(5, 2**32 - 1).initial_seed()]
    champion(task, held_out, 5, advance(task, parse_arm("mutation"), Setting((8,), 4, 2), 5, state))
    assert task.seeds[-1] == drawn_from(5, 2).initial_seed()


def test_parents_are_two_and_all_pairs_come_up():
    first, second = draw(4, 2000, chance())
    count = torch.bincount(4 * first + second, minlength=16).view(4, 4)
    assert (count.diagonal() == 0).all() and (count + 200 * torch.eye(4) > 120).all()
    # The second is as many places after the first as was drawn.
    rng = chance()
    again = torch.randint(4, (2000,), generator=rng)
    assert torch.equal(second, (again + 1 + torch.randint(3, (2000,), generator=rng)) % 4)
    with pytest.raises(ValueError, match="parents must be a whole number >= 2; found 1"):
        draw(1, 5, chance())


def test_arms_start_from_the_same_members_and_episodes():
    one, other = evolved(parse_arm("mutation"), 1), evolved(parse_arm("naive/neuron"), 1)
    assert torch.equal(one.history[0, :3], other.history[0, :3])


def test_the_elite_goes_on_as_it_is_and_the_best_have_children():
    state = begin(TASK, SETTING, 0)
    after = advance(TASK, parse_arm("mutation:sigma=0"), SETTING, 0, state)
    fitness = TASK(state.members, torch.Generator().manual_seed(0)).fitness
    assert after.founders[0] in fitness.argsort(descending=True)[:5]
    best = after.founders.unique()
    assert len(best) <= SETTING.parents
    for i, founder in enumerate(after.founders.tolist()):  # without mutation, copies
        assert same(after.members[i], state.members[founder])


def test_lineages_die_out_and_a_niche_keeps_them():
    arms = [parse_arm(f"mutation:sigma=0.01,niche={niche}") for niche in (0, 1)]
    founders = [evolved(arm, 8).history[-1, 2] for arm in arms]
    assert founders[0] <= 2 < founders[1]


def test_steps_are_counted():
    history = evolved(parse_arm("sc-pwc/neuron"), 3).history
    assert history[:, 5].tolist() == [600, 1200, 1800]


def test_alignment_moves_scrambled_parents_back():
    word = "sigma=0,scramble=1"
    moved = evolved(parse_arm(f"sc-pwc/neuron:{word}"), 1).history[0, 3]
    assert moved > 0.5
    assert evolved(parse_arm(f"naive/neuron:{word}"), 1).history[0, 3] == 0


def test_selection_finds_better_controllers():
    scores = []
    for state in (begin(TASK, SETTING, 3), evolved(parse_arm("mutation"), 15, seed=3)):
        scores.append(champion(TASK, SwingUp(16, 30), 3, state)[1])
    assert scores[1] > scores[0]


def test_effective_rank_counts_directions():
    assert effective_rank(Network([torch.eye(6)[None]], [torch.zeros(1, 6)])) == pytest.approx(6)
    one = torch.ones(1, 6, 6)
    assert effective_rank(Network([one], [torch.zeros(1, 6)])) == pytest.approx(1, abs=1e-4)


@pytest.mark.parametrize(
    ("word", "message"),
    [
        ("mutations", "unknown operator 'mutations'"),
        ("sc-pwc", "recombination ''"),
        ("sc-pwc/neurons", "unknown recombination 'neurons'"),
        ("ot/neuron", "ot repeats or mixes neurons; expected one that permutes"),
        ("mutation/neuron", "mutation crosses nothing over"),
        ("mutation:scramble=1", "mutation crosses nothing over"),
        ("naive/neuron:sigma=-1", "sigma must be a number >= 0"),
        ("naive/neuron:scramble=2", r"scramble must be a number in \[0, 1\]"),
        ("naive/neuron:t=2", r"t must be a number in \[0, 1\]"),
        ("naive/neuron:sigm=1", "unknown option of arm .* 'sigm'"),
        ("naive/neuron:sigma", "each option once, with a value"),
        ("naive/neuron:t=0,t=1", "each option once"),
        ("naive/neuron:related=2", "related must be true or false"),
        ("mutation:safe=yes", "unknown kind of safe mutation"),
        ("mutation:niche=-1", "niche must be a whole number"),
        (3, "an arm must be a word; found 3"),
    ],
)
def test_bad_arms_are_told(word, message):
    with pytest.raises(ValueError, match=message):
        parse_arm(word)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"population": 1}, "population must be a whole number >= 2"),
        ({"parents": 11}, r"parents must be a whole number in \[2, 10\]; found 11"),
        ({"parents": 1}, "parents must be"),
        ({"align_n": 1}, "align_n must be"),
    ],
)
def test_bad_settings_are_told(change, message):
    with pytest.raises(ValueError, match=message):
        Setting(**({"hidden": (8,), "population": 10, "parents": 4, "align_n": 20} | change))


def test_settings_are_those_of_the_book():
    assert Setting() == Setting((64, 64), 64, 13, 128)
    assert Setting((8,), 2, 2, 2).align_n == 2


def test_a_state_of_another_size_is_told():
    state = begin(TASK, SETTING, 0)
    with pytest.raises(ValueError, match=r"expected 10 members; found Network"):
        advance(TASK, parse_arm("mutation"), SETTING, 0, state._replace(members=state.members[:3]))


def test_the_lines_of_the_readme_run():
    readme = (Path(__file__).parents[1] / "README.md").read_text(encoding="utf-8")
    lines = re.search(r"## Populations.*?```python\n(.*?)```", readme, re.S)[1]
    names: dict = {}
    exec(lines, names)
    assert names["children"].batch_shape == (10,)
    assert names["centre"].widths == (8, 64, 64, 4)
    x = names["x"]
    assert torch.allclose(names["aligned"](x), names["members"](x), atol=1e-4)
