"""Algorithm 2: permuting keeps the function, and its printed slip does not."""

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from safecross import (
    Alignment,
    Matching,
    Network,
    function_difference,
    permute,
    stack,
)
from safecross.alignment.alignment import mix
from safecross.alignment.maps import Linear, Permutation, Selection


def random_lists(theta: Network, seed: int) -> list[np.ndarray]:
    rng = np.random.default_rng(seed)
    return [rng.permutation(p) for p in theta.widths[1:-1]]


def same(theta: Network, other: Network) -> bool:
    pairs = zip(theta.weights + theta.biases, other.weights + other.biases, strict=True)
    return all(torch.equal(a, b) for a, b in pairs)


WIDTHS = st.lists(st.integers(1, 8), min_size=2, max_size=6)


@given(WIDTHS, st.integers(0, 99), st.sampled_from([torch.float32, torch.float64]))
def test_a_permuted_network_is_the_same_function(make_network, make_examples, widths, seed, dtype):
    theta = make_network(widths, seed, dtype)
    x = make_examples(20, widths[0], seed)
    lists = random_lists(theta, seed)
    permuted = permute(theta, lists)
    assert (permuted.widths, permuted.dtype) == (theta.widths, dtype)
    assert function_difference(theta, permuted, x) < 1e-5
    for d, order in enumerate(lists):  # neuron order[i] comes to place i, and brings its bias
        torch.testing.assert_close(permuted.layers(x)[d], theta.layers(x)[d][:, order])
        assert torch.equal(permuted.biases[d], theta.biases[d][order])
    assert torch.equal(permuted.biases[-1], theta.biases[-1])
    assert same(permute(permuted, [np.argsort(order) for order in lists]), theta)


def test_permuting_by_hand():
    theta = Network(
        [torch.tensor([[1.0, 2.0, 3.0]]), torch.tensor([[1.0, 2.0], [3.0, 4.0], [5.0, 6.0]])],
        [torch.tensor([0.1, 0.2, 0.3]), torch.tensor([0.7, 0.8])],
    )
    permuted = permute(theta, [[2, 0, 1]])
    assert permuted.weights[0].tolist() == [[3.0, 1.0, 2.0]]
    assert permuted.weights[1].tolist() == [[5.0, 6.0], [1.0, 2.0], [3.0, 4.0]]
    assert torch.equal(permuted.biases[0], theta.biases[0][[2, 0, 1]])
    assert torch.equal(permuted.biases[1], theta.biases[1])


def algorithm_2(theta: Network, columns, rows) -> Network:
    """Permute columns and biases by one list of each layer, the next layer's rows by another."""
    weights, biases = list(theta.weights), list(theta.biases)
    for d, (lc, lr) in enumerate(zip(columns, rows, strict=True)):
        weights[d], biases[d] = weights[d][:, lc], biases[d][lc]
        weights[d + 1] = weights[d + 1][lr, :]
    return Network(weights, biases)


@pytest.mark.parametrize("widths", [(4, 6, 3), (4, 6, 5, 3)], ids=str)
def test_line_7_of_algorithm_2_as_printed_changes_the_function(make_network, make_examples, widths):
    """The rows of W_b must follow l_b; the paper prints l_a."""
    theta_b, x = make_network(widths, seed=1), make_examples(50, 4)
    la, lb = random_lists(theta_b, seed=2), random_lists(theta_b, seed=3)
    assert function_difference(theta_b, algorithm_2(theta_b, columns=lb, rows=la), x) > 0.1
    corrected = algorithm_2(theta_b, columns=lb, rows=lb)
    assert function_difference(theta_b, corrected, x) < 1e-5
    assert same(corrected, permute(theta_b, lb))


def test_biases_left_behind_change_the_function(make_network, make_examples):
    theta, x = make_network((4, 6, 3)), make_examples(50, 4)
    permuted = permute(theta, [[5, 4, 3, 2, 1, 0]])
    forgotten = Network(permuted.weights, theta.biases)
    assert function_difference(theta, forgotten, x) > 0.1


def test_a_list_that_repeats_a_neuron_gives_another_function(make_network, make_examples):
    theta, x = make_network((4, 3, 2)), make_examples(50, 4)
    repeated = permute(theta, [[0, 0, 2]])
    assert torch.equal(repeated.weights[0][:, 0], repeated.weights[0][:, 1])
    assert function_difference(theta, repeated, x) > 0.1


def test_a_population_is_reordered_alike(make_network, device):
    members = [make_network((4, 5, 3, 2), seed, device=device) for seed in range(3)]
    lists = random_lists(members[0], seed=1)
    assert same(permute(stack(members), lists), stack([permute(m, lists) for m in members]))


def test_permuting_leaves_the_network_alone(make_network):
    theta = make_network((4, 5, 3))
    permuted = permute(theta, [[4, 3, 2, 1, 0]])
    permuted.weights[0].zero_()
    permuted.weights[1].zero_()
    assert same(theta, make_network((4, 5, 3)))


def test_a_network_without_hidden_layers_has_nothing_to_permute(make_network):
    assert same(permute(make_network((4, 3)), []), make_network((4, 3)))


@pytest.mark.parametrize(
    ("lists", "message"),
    [
        ([], "expected 2 lists, one for each hidden layer; found 0"),
        ([[0, 1, 2]], "expected 2 lists, one for each hidden layer; found 1"),
        ([[0, 1, 2], [0, 1], [0]], "expected 2 lists, one for each hidden layer; found 3"),
        ([[0, 1], [0, 1]], r"hidden layer 1 must hold 3 indices in \[0, 3\); .* shape \(2,\)"),
        ([[0, 1, 2], []], r"hidden layer 2 must hold 2 indices in \[0, 2\); .* shape \(0,\)"),
        ([[0, 1, 3], [0, 1]], "hidden layer 1 must hold 3 indices .* from 0 to 3"),
        ([[0, 1, 2], [0, -1]], "hidden layer 2 must hold 2 indices .* from -1 to 0"),
        ([[0.0, 1.0, 2.0], [0, 1]], "hidden layer 1 must hold 3 indices .* float64"),
        ([[True, False, True], [0, 1]], "hidden layer 1 must hold 3 indices .* bool"),
        ([[[0, 1, 2]], [0, 1]], r"hidden layer 1 must hold 3 indices .* shape \(1, 3\)"),
    ],
)
def test_lists_that_do_not_fit_are_refused(make_network, lists, message):
    with pytest.raises(ValueError, match=message):
        permute(make_network((4, 3, 2, 2)), lists)


def test_the_difference_is_the_largest_in_size():
    theta = Network([torch.eye(2)], [torch.zeros(2)])
    other = Network([torch.eye(2)], [torch.tensor([0.5, -2.0])])
    x = torch.zeros(3, 2)
    assert function_difference(theta, other, x) == function_difference(other, theta, x) == 2
    assert function_difference(theta, theta, x) == 0


# Alignments


def matching(la, lb) -> Matching:
    return Matching(np.array(la), np.array(lb))


@pytest.mark.parametrize(
    ("matchings", "expected"),
    [
        ([matching([0, 1], [1, 0])], True),
        ([matching([0, 1], [1, 1])], False),
        ([matching([0, 0], [1, 0])], False),
        ([matching([0, 1], [1, 0]), matching([0, 1], [0, 0])], False),
        ([], True),
    ],
)
def test_one_to_one_means_that_no_neuron_is_repeated(matchings, expected):
    assert Alignment("by hand", matchings).is_one_to_one is expected


def test_an_alignment_permutes_each_network_by_its_own_lists(make_network):
    theta_a, theta_b = make_network((4, 2, 3, 2)), make_network((4, 2, 3, 2), seed=1)
    alignment = Alignment("by hand", [matching([1, 0], [0, 1]), matching([2, 0, 1], [1, 2, 0])])
    assert [order.tolist() for order in alignment.lists_a] == [[1, 0], [2, 0, 1]]
    assert [order.tolist() for order in alignment.lists_b] == [[0, 1], [1, 2, 0]]
    aligned_a, aligned_b = alignment.apply(theta_a, theta_b)
    assert same(aligned_a, permute(theta_a, [[1, 0], [2, 0, 1]]))
    assert same(aligned_b, permute(theta_b, [[0, 1], [1, 2, 0]]))


def test_an_alignment_refuses_networks_that_do_not_fit(make_network):
    alignment = Alignment("by hand", [matching([1, 0], [0, 1])])
    with pytest.raises(ValueError, match="same architecture; found 4-2-2 and 4-3-2"):
        alignment.apply(make_network((4, 2, 2)), make_network((4, 3, 2)))
    with pytest.raises(ValueError, match="hidden layer 1 must hold 3 indices"):
        alignment.apply(make_network((4, 3, 2)), make_network((4, 3, 2)))


def test_an_alignment_keeps_its_own_matchings():
    matchings = [Matching(np.array([0]), np.array([0]))]
    alignment = Alignment("by hand", matchings)
    matchings.clear()
    assert len(alignment.matchings) == 1


# Maps in the place of lists


def test_permutations_and_selections_are_kept_as_lists(make_network):
    theta = make_network((4, 3, 3, 2))
    maps = [Permutation(torch.tensor([2, 0, 1])), Selection(torch.tensor([1, 1, 0]))]
    alignment = Alignment("by hand", maps)
    assert [order.tolist() for order in alignment.lists_b] == [[2, 0, 1], [1, 1, 0]]
    assert [order.tolist() for order in alignment.lists_a] == [[0, 1, 2]] * 2
    assert not alignment.is_soft and not alignment.is_one_to_one
    moved = alignment.apply(theta, theta)[1]
    assert torch.equal(moved.weights[0], theta.weights[0][:, [2, 0, 1]])


def test_linear_maps_of_permutations_are_permutations(make_network, make_examples):
    theta, orders = make_network((4, 3, 5, 2)), [[2, 0, 1], [4, 2, 0, 1, 3]]
    maps = [Permutation(torch.tensor(order)).linear() for order in orders]
    mixed, permuted = mix(theta, maps), permute(theta, orders)
    for ours, theirs in zip(
        mixed.weights + mixed.biases, permuted.weights + permuted.biases, strict=True
    ):
        assert torch.equal(ours, theirs)
    assert Alignment("by hand", maps).is_soft


def test_what_reads_takes_the_inverse(make_network, make_examples):
    theta, matrix = make_network((4, 3, 2)), make_examples(3, 3).double()
    mixed = mix(theta, [Linear.of(matrix)])
    h = make_examples(7, 3, seed=1).double()
    ours = (h @ matrix.mT) @ mixed.weights[1].double()
    torch.testing.assert_close(ours, h @ theta.weights[1].double(), atol=1e-4, rtol=1e-4)
    torch.testing.assert_close(mixed.biases[0].double(), matrix @ theta.biases[0].double())


def test_mixing_and_mixing_back_gives_the_network_again(make_network, make_examples):
    theta = make_network((4, 3, 5, 2))
    maps = [Linear.of(make_examples(p, p).double()) for p in (3, 5)]
    again = mix(mix(theta, maps), [how.inverse() for how in maps])
    for ours, theirs in zip(again.weights, theta.weights, strict=True):
        torch.testing.assert_close(ours, theirs, atol=1e-4, rtol=1e-4)


def test_maps_of_another_width_are_refused(make_network):
    for maps in ([], [Linear.of(torch.eye(2))]):
        with pytest.raises(ValueError, match=r"one map for each hidden layer of Network\(4-3-2\)"):
            mix(make_network((4, 3, 2)), maps)


def test_what_is_no_network_or_has_other_outputs_is_told(make_network, make_examples):
    theta, x = make_network((4, 5, 3), 0), make_examples(6, 4)
    one = make_network((4, 5, 1), 1)
    for given_ in ((theta, 3), (3, theta)):
        with pytest.raises(TypeError, match="expected a Network; found 3"):
            function_difference(*given_, x)
    with pytest.raises(ValueError, match="expected networks with the same outputs"):
        function_difference(theta, one, x)  # else one column would stand for three
    with pytest.raises(TypeError, match="expected a Network; found 3"):
        permute(3, [[0]])


def test_soft_and_hard_layers_may_stand_in_one_alignment(make_network, make_examples):
    a, b = make_network((4, 5, 6, 3), 0), make_network((4, 5, 6, 3), 1)
    turn = Linear.of(torch.linalg.qr(torch.randn(6, 6, generator=torch.Generator()))[0])
    order = np.array([3, 1, 4, 0, 2])
    # Neuron la[i] of a is the partner of lb[i] of b, in whatever order they are listed.
    pairs = Matching(order[[2, 0, 1, 4, 3]], order)
    for alignment in (Alignment("made", (pairs, turn)), Alignment("made", (turn,))):
        with pytest.raises(ValueError, match=r"a soft map mixes neurons, .*; use apply"):
            _ = alignment.lists_b
    still, moved = Alignment("made", (pairs, turn)).apply(a, b)
    partner = pairs.lb[np.argsort(pairs.la)]
    expected = mix(b, [Selection(torch.as_tensor(partner)).linear(), turn])
    assert same(still, a) and same(moved, expected) and not same(moved, b)
    twice = Matching(np.array([0, 0, 1, 2, 3]), order)
    with pytest.raises(ValueError, match="soft maps must leave a's neurons as they are"):
        Alignment("made", (twice, turn)).apply(a, b)
    wider = make_network((4, 5, 6, 2), 1)
    with pytest.raises(ValueError, match="architecture"):
        Alignment("made", (pairs, turn)).apply(a, wider)
