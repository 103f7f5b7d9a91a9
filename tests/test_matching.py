"""Matchings against hand-made cases, brute force and plain-Python readings of the sources."""

from itertools import permutations

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from safecross import (
    Matching,
    complete,
    match_components,
    match_components_by_rank,
    match_greedy,
    match_one_to_one,
    semi_match,
)
from safecross.alignment.matching import as_components, as_correlations

# Eighths: ties are common, and sums are exact.
EIGHTHS = st.integers(-8, 8).map(lambda i: i / 8)


def matrices(p, q):
    return arrays(float, (p, q), elements=EIGHTHS)


@st.composite
def correlations(draw, most: int = 5):
    return draw(matrices(draw(st.integers(1, most)), draw(st.integers(1, most))))


@st.composite
def components(draw, same_width: bool = False):
    p, q = draw(st.integers(1, 6)), draw(st.integers(1, 6))
    q = p if same_width else q
    k = draw(st.integers(0, min(p, q)))
    return draw(matrices(p, k)), draw(matrices(q, k))


def pairs_of(matching: Matching) -> list[tuple[int, int]]:
    assert matching.la.dtype == matching.lb.dtype == np.int64
    return list(zip(matching.la.tolist(), matching.lb.tolist(), strict=True))


def columns(*vectors):
    return np.array(vectors).T


# Algorithm 1


def algorithm_1(wa, wb) -> list[tuple[int, int]]:
    """Read Algorithm 1 line by line, looking at the neurons that are still free."""
    pairs = []
    for k in range(wa.shape[1]):
        free_a = [i for i in range(len(wa)) if i not in [a for a, _ in pairs]]
        free_b = [j for j in range(len(wb)) if j not in [b for _, b in pairs]]
        if not free_a or not free_b:
            break
        low_a, low_b = (min(f, key=lambda i: w[i, k]) for f, w in ((free_a, wa), (free_b, wb)))
        top_a, top_b = (max(f, key=lambda i: w[i, k]) for f, w in ((free_a, wa), (free_b, wb)))
        s_minus = abs(wa[low_a, k] + wb[low_b, k])
        s_plus = abs(wa[top_a, k] + wb[top_b, k])
        pairs.append((top_a, top_b) if s_plus > s_minus else (low_a, low_b))
    return pairs


@given(components())
def test_algorithm_1_is_what_the_paper_says(views):
    assert pairs_of(match_components(*views)) == algorithm_1(*views)


def test_the_toy_of_figure_1():
    """Features A, B, C are neurons 1, 2, 3 of a and 2, 3, 1 of b; B is seen with a minus sign."""
    wa = columns([0.9, 0.1, -0.2], [-0.1, 0.1, 0.8], [0.1, -0.7, 0.2])
    wb = columns([0.1, 0.8, 0.0], [0.9, 0.2, -0.1], [0.2, 0.1, -0.9])
    pairs = pairs_of(match_components(wa, wb))
    assert [(i + 1, j + 1) for i, j in pairs] == [(1, 2), (3, 1), (2, 3)]


@pytest.mark.parametrize(
    ("wa", "wb", "expected"),
    [
        ([0.9, 0.1, -0.3], [0.2, 0.8, -0.4], (0, 1)),  # 1.7 against 0.7
        ([0.3, 0.1, -0.9], [0.2, 0.1, -0.4], (2, 2)),  # 0.5 against 1.3
        ([0.9, 0.1, -0.3], [-0.8, -0.1, -0.4], (2, 0)),  # |0.9 - 0.1| against |-0.3 - 0.8|
        ([0.5, -0.5], [-0.5, 0.5], (1, 0)),  # a tie is not ">": the minima
    ],
)
def test_the_end_with_the_larger_sum_gives_the_pair(wa, wb, expected):
    assert pairs_of(match_components(columns(wa), columns(wb))) == [expected]


def test_ends_are_compared_again_once_neurons_are_taken():
    """Component 2 is positive with all neurons (1.8 > 0.9), negative without the taken one."""
    wa = columns([0.9, 0.0, 0.1, 0.0], [0.9, 0.1, 0.0, -0.5])
    wb = columns([0.9, 0.0, 0.1, 0.0], [0.9, 0.2, -0.4, 0.0])
    assert pairs_of(match_components(wa, wb)) == [(0, 0), (3, 2)]
    assert pairs_of(match_components(wa[:, 1:], wb[:, 1:])) == [(0, 0)]


def test_a_taken_neuron_is_passed_over_on_its_own_side_only():
    """Neuron 0 of a is taken; neuron 1 of b is free and is still chosen."""
    wa = columns([0.9, 0.2, 0.1], [0.8, 0.3, 0.1])
    wb = columns([0.9, 0.2, 0.1], [0.1, 0.7, 0.2])
    assert pairs_of(match_components(wa, wb)) == [(0, 0), (1, 1)]


@pytest.mark.parametrize(("p", "q"), [(2, 4), (4, 2), (1, 3)])
def test_layers_of_unequal_width_are_matched_until_one_is_used_up(p, q):
    rng = np.random.default_rng(0)
    matching = match_components(rng.normal(size=(p, 4)), rng.normal(size=(q, 4)))
    assert len(matching.la) == min(p, q)
    assert len(set(matching.la)) == len(set(matching.lb)) == min(p, q)


# The rank-by-rank rule of the authors' notebook


def rank_rule(wa, wb) -> list[tuple[int, int]]:
    """Offer the r-th smallest of a with the r-th smallest of b, largest sums first."""
    pairs = []
    for k in range(wa.shape[1]):
        order_a, order_b = (sorted(range(len(w)), key=lambda i: w[i, k]) for w in (wa, wb))
        offers = list(zip(order_a, order_b, strict=True))
        for i, j in sorted(offers, key=lambda o: -(abs(wa[o[0], k]) + abs(wb[o[1], k]))):
            if i not in [a for a, _ in pairs] and j not in [b for _, b in pairs]:
                pairs.append((i, j))
                break
    return pairs


@given(components(same_width=True))
def test_the_rank_rule_is_that_of_the_notebook(views):
    assert pairs_of(match_components_by_rank(*views)) == rank_rule(*views)


def test_the_rank_rule_differs_from_algorithm_1():
    """Ends: |0.9 - 0.1| > |0.5 - 0.6|, the maxima. Ranks: 0.9 + 0.1 < 0.5 + 0.6, the minima."""
    wa, wb = columns([0.9, 0.5]), columns([-0.6, -0.1])
    assert pairs_of(match_components(wa, wb)) == [(0, 1)]
    assert pairs_of(match_components_by_rank(wa, wb)) == [(1, 0)]


def test_a_component_without_a_free_rank_gives_no_pair():
    """After (0, 0) each rank of component 2 holds a taken neuron; component 3 goes on."""
    wa = columns([0.9, 0.1], [0.8, 0.1], [0.1, 0.8])
    wb = columns([0.9, 0.1], [0.1, 0.8], [0.1, 0.8])
    assert pairs_of(match_components_by_rank(wa, wb)) == [(0, 0), (1, 1)]
    assert pairs_of(match_components_by_rank(wa[:, :2], wb[:, :2])) == [(0, 0)]


# Leftovers


def best_sum(c: np.ndarray) -> float:
    """Return the largest sum of a one-to-one matching by trying all."""
    c = c if c.shape[0] <= c.shape[1] else c.T
    choices = permutations(range(c.shape[1]), c.shape[0])
    return max(sum(c[i, j] for i, j in enumerate(js)) for js in choices)


def start(*pairs) -> Matching:
    la, lb = zip(*pairs, strict=True) if pairs else ((), ())
    return Matching(np.array(la, dtype=int), np.array(lb, dtype=int))


def test_what_is_left_over_is_paired_in_the_order_of_the_indices():
    assert pairs_of(complete(start((2, 0)), 4, 4)) == [(2, 0), (0, 1), (1, 2), (3, 3)]
    assert pairs_of(complete(start((2, 0)), 4, 2)) == [(2, 0), (0, 1)]
    assert pairs_of(complete(start((0, 2)), 2, 4)) == [(0, 2), (1, 0)]
    assert pairs_of(complete(start(), 2, 2)) == [(0, 0), (1, 1)]
    assert pairs_of(complete(start((1, 1), (0, 0)), 2, 2)) == [(1, 1), (0, 0)]


@given(correlations(), st.integers(0, 3), st.randoms(use_true_random=False))
def test_what_is_left_over_is_matched_so_that_its_correlation_is_largest(c, made, random):
    p, q = c.shape
    made = min(made, p, q)
    first = start(*zip(random.sample(range(p), made), random.sample(range(q), made), strict=True))
    matching = complete(first, p, q, c)
    assert len(set(matching.la)) == len(set(matching.lb)) == len(matching.la) == min(p, q)
    assert pairs_of(matching)[:made] == pairs_of(first)
    rest = np.delete(np.delete(c, first.la, axis=0), first.lb, axis=1)
    assert c[matching.la[made:], matching.lb[made:]].sum() == best_sum(rest)


@pytest.mark.parametrize(
    ("pairs", "message"),
    [
        ([(0, 0), (0, 1)], r"each neuron of a at most once and in \[0, 3\); found \[0, 0\]"),
        ([(0, 1), (1, 1)], r"each neuron of b at most once and in \[0, 2\); found \[1, 1\]"),
        ([(3, 0)], r"neuron of a .* found \[3\]"),
        ([(0, -1)], r"neuron of b .* found \[-1\]"),
    ],
)
def test_pairs_that_are_no_matching_are_refused(pairs, message):
    with pytest.raises(ValueError, match=message):
        complete(start(*pairs), 3, 2)


@pytest.mark.parametrize(
    "make", [list, tuple, np.array, torch.tensor], ids=["list", "tuple", "array", "tensor"]
)
def test_pairs_may_come_in_any_form(make):
    expected = [(2, 0), (0, 1), (1, 2)]
    assert pairs_of(complete(Matching(make([2]), make([0])), 3, 3)) == expected
    assert pairs_of(complete((make([2]), make([0])), 3, 3)) == expected


@pytest.mark.parametrize(
    ("la", "lb", "message"),
    [
        ([0, 1], [0], "lists of equal length; found 2 and 1 neurons"),
        ([], [0], "lists of equal length; found 0 and 1 neurons"),
        ([0, 0], [0, 1], r"each neuron of a at most once .* found \[0, 0\]"),
        ([0, 1], [1, 1], r"each neuron of b at most once .* found \[1, 1\]"),
        ([0.5], [0], r"each neuron of a at most once .* found \[0.5\]"),  # not neuron 0
        ([0.5, 0.6], [0, 1], r"each neuron of a .* found \[0.5, 0.6\]"),
        ([True], [0], r"each neuron of a .* found \[True\]"),
        ([[0]], [[0]], r"each neuron of a .* found \[\[0\]\]"),
        (np.ma.masked_equal([0, 1], 1), [0, 1], "neurons of a must be without a mask"),
        (["0"], [0], "neurons of a must be real numbers"),
    ],
)
def test_lists_that_pair_no_neurons_are_refused(la, lb, message):
    with pytest.raises(ValueError, match=message):
        complete(Matching(la, lb), 3, 3)


@pytest.mark.parametrize("shape", [(4, 4), (2, 3), (3, 2)])
def test_correlations_are_of_all_neurons_of_both_networks(shape):
    with pytest.raises(ValueError, match=r"correlations must be of shape \(3, 3\); found"):
        complete(Matching([0], [0]), 3, 3, np.ones(shape))


def test_numbers_of_neurons_are_whole():
    for p in (3.0, -1, "3", None):
        with pytest.raises(ValueError, match="p must be a whole number >= 0; found"):
            complete(Matching([], []), p, 3)


# Matching by correlation


@given(correlations())
def test_one_to_one_matching_is_the_best_of_all(c):
    matching = match_one_to_one(c)
    assert len(set(matching.la)) == len(set(matching.lb)) == min(c.shape)
    assert matching.la.tolist() == sorted(matching.la)
    assert c[matching.la, matching.lb].sum() == best_sum(c)


@given(correlations(), st.sampled_from("ab"))
def test_each_neuron_picks_its_best_partner(c, each):
    matching = semi_match(c, each)
    choosers, chosen = (matching.la, matching.lb) if each == "a" else (matching.lb, matching.la)
    table = c if each == "a" else c.T
    assert choosers.tolist() == list(range(len(table)))
    assert chosen.tolist() == [row.tolist().index(max(row)) for row in table]


def greedy(c: np.ndarray) -> list[tuple[int, int]]:
    """Let each living neuron of b take the best free neuron of a, a's dead ones last."""
    p, q = c.shape
    pairs, waiting = [], []
    for j in range(q):
        free = [i for i in range(p) if i not in [a for a, _ in pairs]]
        if not any(c[i, j] != 0 for i in range(p)):
            waiting.append(j)
        elif free:
            worth = {i: c[i, j] if any(c[i] != 0) else -1 for i in free}
            pairs.append((max(free, key=worth.get), j))
    free = [i for i in range(p) if i not in [a for a, _ in pairs]]
    return pairs + list(zip(free, waiting, strict=False))


@given(correlations())
def test_the_greedy_order_is_that_of_the_notebook(c):
    assert pairs_of(match_greedy(c)) == greedy(c)


def test_greedy_by_hand_with_dead_neurons():
    c = np.array(
        [
            [0.0, 0.9, 0.8, 0.1],
            [0.0, 0.0, 0.0, 0.0],  # dead in a: worse than -0.3
            [0.0, 0.7, 0.9, -0.9],
            [0.0, 0.2, 0.3, -0.3],
        ]
    )  # neuron 0 of b is dead and waits
    assert pairs_of(match_greedy(c)) == [(0, 1), (2, 2), (3, 3), (1, 0)]


def test_greedy_is_not_optimal():
    c = [[0.9, 0.8], [0.7, 0.1]]
    assert pairs_of(match_greedy(c)) == [(0, 0), (1, 1)]
    assert pairs_of(match_one_to_one(c)) == [(0, 1), (1, 0)]


def test_dead_layers_are_matched_in_order():
    for match in (match_greedy, match_one_to_one):
        assert pairs_of(match(np.zeros((3, 3)))) == [(0, 0), (1, 1), (2, 2)]


@pytest.mark.parametrize("match", [match_greedy, match_one_to_one, semi_match])
def test_correlations_come_from_any_device_and_are_not_modified(match, device):
    c = torch.tensor([[0.9, 0.8, 0.0], [0.0, 0.0, 0.0], [0.7, 0.1, 0.0]], device=device)
    kept = c.clone()
    expected = pairs_of(match(c.cpu().numpy()))
    assert pairs_of(match(c)) == pairs_of(match(c.tolist())) == expected
    assert torch.equal(c, kept)


# Bad input


@pytest.mark.parametrize("match", [match_greedy, match_one_to_one, semi_match])
@pytest.mark.parametrize("bad", [[[0.1, np.nan]], [[np.inf, 0.0]], [0.1, 0.2]])
def test_correlations_must_be_a_finite_matrix(match, bad):
    with pytest.raises(ValueError, match="correlations must be a finite matrix"):
        match(bad)


def test_semi_matching_says_what_it_needs():
    with pytest.raises(ValueError, match="each must be 'a' or 'b'; found 'c'"):
        semi_match([[1.0]], "c")
    with pytest.raises(ValueError, match=r"needs neurons on both sides; found shape \(0, 2\)"):
        semi_match(np.zeros((0, 2)))


@pytest.mark.parametrize("match", [match_components, match_components_by_rank])
@pytest.mark.parametrize(
    ("wa", "wb", "message"),
    [
        (np.zeros((2, 1)), np.zeros((2, 2)), "same number of canonical components; found 1 and 2"),
        (np.full((2, 1), np.nan), np.zeros((2, 1)), "weights of a must be .* 2 entries not finite"),
        (np.zeros((2, 1)), np.full((2, 1), np.inf), "weights of b must be a finite matrix"),
        (np.zeros((0, 1)), np.zeros((2, 1)), r"weights of a must be .* found shape \(0, 1\)"),
        (np.zeros(2), np.zeros(2), r"weights of a must be .* found shape \(2,\)"),
    ],
)
def test_weights_that_are_no_components_are_refused(match, wa, wb, message):
    with pytest.raises(ValueError, match=message):
        match(wa, wb)


def test_the_rank_rule_needs_equal_widths():
    with pytest.raises(ValueError, match="layers of equal width; found 2 and 3"):
        match_components_by_rank(np.zeros((2, 1)), np.zeros((3, 1)))


def test_greedy_counts_a_dead_neuron_of_a_as_opposite():
    """It ties with a living one of correlation -1, and the first of them is taken."""
    found = match_greedy([[0.0, 0.0], [-1.0, 0.5]])
    assert (found.la.tolist(), found.lb.tolist()) == ([0, 1], [0, 1])


def test_matrices_are_taken_as_float64_or_refused():
    assert as_correlations([[1, 0]]).dtype == np.float64
    assert [w.dtype for w in as_components([[1], [0]], [[2]])] == [np.float64, np.float64]
    with pytest.raises(ValueError, match=r"must be a finite matrix of shape \(p, q\); found"):
        as_correlations([1.0])
    with pytest.raises(ValueError, match="found 1 and 2"):
        as_components([[1.0]], [[1.0, 2.0]])
