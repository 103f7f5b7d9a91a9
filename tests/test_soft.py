"""CCA by assignment and CCA-Merge, against what they are equal to; responses."""

from itertools import permutations

import numpy as np
import pytest
import torch

from safecross import (
    METHODS,
    LayerPair,
    Network,
    activations,
    align,
    align_layers,
    cca_of_pair,
    correlation,
    function_difference,
    layer_pairs,
    match_one_to_one,
    permute,
)
from safecross.alignment.responses import MontanaDavis, Random, response_distances
from safecross.alignment.soft import (
    SIMILARITIES,
    CcaMerge,
    HardCca,
    canonical_similarity,
)


@pytest.fixture
def two(make_network, make_examples):
    """Two networks, examples, and the layer pairs."""
    a, b = (make_network((12, 8, 6, 3), seed) for seed in (0, 1))
    x = make_examples(400, 12)
    return a, b, x, layer_pairs(a, b, x)


# Hard CCA


def test_with_all_directions_hard_cca_is_sc_pwc(two):
    a, b, x, pairs = two
    for pair in pairs:
        found = canonical_similarity(pair, cca_of_pair(pair), "correlation")
        torch.testing.assert_close(found, pair.between, atol=1e-9, rtol=0)
    ours, theirs = align(a, b, x, "hard-cca"), align(a, b, x, "sc-pwc")
    assert all(np.array_equal(*m) for m in zip(ours.lists_b, theirs.lists_b, strict=True))


def test_similarities_are_what_their_equations_say(two):
    la, lb = (activations(theta, two[2])[0].double() for theta in two[:2])
    pair = two[3][0]
    result = cca_of_pair(pair, directions=4)
    za, zb = ((layer - layer.mean(0)) / layer.std(0) for layer in (la, lb))
    u, v = za @ result.weights_a, zb @ result.weights_b
    on_a, on_b = (z.mT @ c / (len(z) - 1) for z, c in ((za, u), (zb, v)))
    # Of uncorrelated variates of variance 1, loadings are correlations.
    torch.testing.assert_close(on_a, correlation(la, u))
    torch.testing.assert_close(canonical_similarity(pair, result, "loadings"), on_a @ on_b.mT)
    # The correlation of both layers, each projected on its own four variates.
    fitted = (u @ on_a.mT).mT @ (v @ on_b.mT) / (len(u) - 1)
    torch.testing.assert_close(canonical_similarity(pair, result, "correlation"), fitted)
    rho = torch.diag(result.correlations)
    found = canonical_similarity(pair, result, "weights")
    torch.testing.assert_close(found, result.weights_a @ rho @ result.weights_b.mT)


@pytest.mark.parametrize("similarity", SIMILARITIES)
def test_the_unit_of_a_neuron_does_not_matter(two, similarity):
    """Without a choice of directions, views that are only centred have the same components."""
    a, b, x, _ = two
    factors = torch.linspace(0.1, 10, 8)
    weights = [b.weights[0] * factors, b.weights[1] / factors[:, None], b.weights[2]]
    scaled = Network(weights, [b.biases[0] * factors, *b.biases[1:]])
    options = {"similarity": similarity}
    ours = align(a, b, x, "hard-cca", **options).lists_b[0]
    for views in (True, False):
        theirs = align(a, scaled, x, "hard-cca", **options, standardise=views).lists_b[0]
        assert ours.tolist() == theirs.tolist()


@pytest.mark.parametrize("similarity", SIMILARITIES)
def test_hard_cca_is_the_best_of_all_permutations(make_network, make_examples, similarity):
    a, b = (make_network((9, 5, 3), seed) for seed in (0, 1))
    x = make_examples(200, 9)
    (pair,) = layer_pairs(a, b, x)
    s = canonical_similarity(pair, cca_of_pair(pair, directions=3), similarity).numpy()
    every = [s[np.arange(5), list(order)].sum() for order in permutations(range(5))]
    (found,) = align(a, b, x, "hard-cca", directions=3, similarity=similarity).matchings
    assert s[found.la, found.lb].sum() == pytest.approx(max(every))


@pytest.mark.parametrize("options", [{"similarity": s} for s in SIMILARITIES])
def test_hard_cca_finds_a_copy(two, options):
    a, _, x, _ = two
    rng = np.random.default_rng(0)
    copy = permute(a, [rng.permutation(p) for p in a.widths[1:-1]])
    moved = align(a, copy, x, "hard-cca", **options).apply(a, copy)[1]
    assert all(torch.equal(p, q) for p, q in zip(moved.weights, a.weights, strict=True))


def test_options_of_hard_cca_matter_and_are_checked(two):
    a, b, x, _ = two
    cases = [{}, {"directions": 2}, {"ridge": 5.0}, {"similarity": "weights"}]
    found = {str(align(a, b, x, HardCca(**o)).lists_b) for o in cases}
    assert len(found) == len(cases)
    with pytest.raises(ValueError, match="unknown similarity 'loading': did you mean 'loadings'"):
        HardCca(similarity="loading")
    with pytest.raises(ValueError, match="ridge must be finite"):
        HardCca(ridge=-1)
    with pytest.raises(ValueError, match=r"directions must be a whole number in \[1, 8\]; found 9"):
        align(a, b, x, "hard-cca", directions=9)


# CCA-Merge


@pytest.mark.parametrize("ridge", [0.0, 0.1])
@pytest.mark.parametrize("standardise", [True, False])
def test_the_map_is_that_of_an_independent_implementation(two, ridge, standardise):
    a, b, x, _ = two
    maps = align(a, b, x, CcaMerge(ridge=ridge, standardise=standardise)).matchings
    for how, la, lb in zip(maps, activations(a, x), activations(b, x), strict=True):
        la, lb = (layer.double().numpy() for layer in (la, lb))
        scales = [layer.std(0, ddof=1) if standardise else np.ones(layer.shape[1])
                  for layer in (la, lb)]  # fmt: skip
        za, zb = ((h - h.mean(0)) / s for h, s in zip((la, lb), scales, strict=True))
        roots = []
        for z in (za, zb):
            values, vectors = np.linalg.eigh(z.T @ z / (len(z) - 1) + ridge * np.eye(z.shape[1]))
            roots.append(vectors @ np.diag(values**0.5) @ vectors.T)
        within = np.linalg.inv(roots[0]) @ za.T @ zb / (len(za) - 1) @ np.linalg.inv(roots[1])
        u, _, vt = np.linalg.svd(within)
        merge = np.linalg.inv(roots[1]) @ vt.T @ u.T @ roots[0]  # w_b w_a^-1
        expected = np.diag(1 / scales[1]) @ merge @ np.diag(scales[0])
        np.testing.assert_allclose(how.matrix.mT, expected, atol=1e-9)
        np.testing.assert_allclose(how.back.mT, np.linalg.inv(expected), atol=1e-9)


def test_activations_of_b_become_those_of_a_as_far_as_they_correlate(two):
    a, b, x, pairs = two
    how = align(a, b, x, "cca-merge", ridge=0.0).matchings[0]
    la, lb = (activations(theta, x)[0].double() for theta in (a, b))
    mapped = lb @ how.matrix.mT
    before, after = (correlation(la, layer).diagonal().mean() for layer in (lb, mapped))
    best = pairs[0].between[tuple(match_one_to_one(pairs[0].between))].mean()
    assert after > best > before
    torch.testing.assert_close(mapped.T.cov(), la.T.cov())  # CCA keeps all of a's covariances


def test_an_ill_conditioned_map_says_so(make_network, make_examples):
    theta, z = make_network((4, 2, 3)), make_examples(300, 2).double()
    pair = LayerPair(z * torch.tensor([1.0, 1e-4]), z * torch.tensor([1e-4, 1.0]))
    message = r"hidden layer 1 is ill-conditioned \(condition number 1\.\de\+08, .*a larger ridge"
    with pytest.raises(ValueError, match=message):
        align_layers(theta, theta, [pair], "cca-merge", ridge=0.0)
    (found,) = align_layers(theta, theta, [pair], "cca-merge", ridge=0.1).matchings
    assert torch.linalg.cond(found.matrix) < 1e6


def test_a_soft_map_is_another_function(two):
    a, b, x, _ = two
    entry = METHODS["cca-merge"]
    assert entry.soft and not entry.preserves_function
    assert function_difference(align(a, b, x, "cca-merge").apply(a, b)[1], b, x) > 0.1


# Responses


def test_montana_davis_takes_the_closest_first():
    la = torch.tensor([[0.0, 1.0, 5.0], [0.0, 1.0, 9.0]])
    lb = torch.tensor([[1.2, 0.9, 5.0], [1.2, 0.9, 8.0]])
    theta = Network([torch.zeros(2, 3), torch.zeros(3, 2)], [torch.zeros(3), torch.zeros(2)])
    (found,) = align_layers(theta, theta, [LayerPair(la, lb)], MontanaDavis()).matchings
    # .1 between 1 and 1 comes first; then 1 between 2 and 2; 0 is left, with what is left.
    assert (found.la.tolist(), found.lb.tolist()) == ([1, 2, 0], [1, 2, 0])
    assert response_distances(LayerPair(la, lb))[0, 0] == pytest.approx(2 * 1.2**2)


def test_responses_are_compared_as_they_are(two):
    """Neither scaled nor centred: with each neuron of b at another scale, pairs are others."""
    a, b, x, _ = two
    factors = torch.linspace(0.1, 10, 8)
    weights = [b.weights[0] * factors, b.weights[1] / factors[:, None], b.weights[2]]
    scaled = Network(weights, [b.biases[0] * factors, *b.biases[1:]])
    assert function_difference(b, scaled, x) < 1e-4
    for name, same in (("sc-pwc", True), ("montana-davis", False)):
        lists = [sorted(zip(*align(a, c, x, name).matchings[0], strict=True)) for c in (b, scaled)]
        assert (lists[0] == lists[1]) is same


def test_random_permutations_are_drawn_from_the_seed(two):
    a, b, *_ = two
    found = {str(align(a, b, operator=Random(seed=s)).lists_b) for s in (0, 0, 1, 2)}
    assert len(found) == 3
    assert all(align(a, b, operator=Random(seed=s)).is_one_to_one for s in range(3))
    with pytest.raises(ValueError, match="seed must be a whole number"):
        Random(seed=-1)
