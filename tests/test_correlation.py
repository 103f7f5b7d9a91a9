"""Correlation of neurons against NumPy, dead neurons included."""

import sys

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from safecross import (
    LayerPair,
    cca,
    cca_of_pair,
    correlation,
)

# The function of the same name hides the module.
correlation_module = sys.modules["safecross.alignment.correlation"]


def draw(n: int, p: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).normal(size=(n, p))


@given(st.integers(2, 30), st.integers(1, 8), st.integers(1, 8), st.integers(0, 9))
def test_correlations_are_those_of_numpy(n, p, q, seed):
    la, lb = draw(n, p, seed), 3 + 2 * draw(n, q, seed + 10)
    expected = np.corrcoef(la, lb, rowvar=False).reshape(p + q, p + q)
    np.testing.assert_allclose(correlation(la, lb), expected[:p, p:], atol=1e-12)
    np.testing.assert_allclose(correlation(la), expected[:p, :p], atol=1e-12)
    pair = LayerPair(la, lb)
    for ours, theirs in (
        (pair.within_a, expected[:p, :p]),
        (pair.within_b, expected[p:, p:]),
        (pair.between, expected[:p, p:]),
        (pair.scale_a, la.std(axis=0, ddof=1)),
        (pair.scale_b, lb.std(axis=0, ddof=1)),
    ):
        assert ours.dtype == torch.float64
        np.testing.assert_allclose(ours, theirs, atol=1e-12)


def test_correlation_ignores_location_and_scale_and_follows_sign_and_order():
    la, lb = draw(20, 3), draw(20, 4, seed=1)
    between = correlation(la, lb)
    torch.testing.assert_close(correlation(5 * la - 2, lb), between)
    torch.testing.assert_close(correlation(-la, lb), -between)
    torch.testing.assert_close(correlation(lb, la), between.T)
    torch.testing.assert_close(correlation(la[:, [2, 0, 1]], lb), between[[2, 0, 1]])


@pytest.mark.parametrize("constant", [0.0, 0.1, 1e6])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_a_dead_neuron_correlates_with_nothing(constant, dtype):
    la = draw(11, 3).astype(dtype)
    la[:, 1] = constant
    between = correlation(la, la)
    assert torch.equal(between, between.T)
    assert not between[1].any()
    assert between[0, 0] == pytest.approx(1)
    pair = LayerPair(la, la)
    assert pair.scale_a[1] == 0
    assert pair.scale_a[0] > 0


def test_one_example_tells_nothing():
    pair = LayerPair(draw(1, 3), draw(1, 2))
    assert not pair.between.any()
    assert not pair.scale_a.any()


def test_correlations_stay_in_range_and_float32_suffices():
    la = np.repeat(draw(1000, 1), 5, axis=1) * [1, -1, 1e-6, 1e6, 3]
    between = correlation(la.astype(np.float32))
    assert between.abs().max() <= 1
    np.testing.assert_allclose(between, np.sign(np.outer(*[[1, -1, 1, 1, 1]] * 2)), atol=1e-6)


def test_a_large_offset_in_float32_does_no_harm():
    la = draw(500, 4).astype(np.float32) + np.float32(100)
    expected = np.corrcoef(la.astype(np.float64), rowvar=False)
    np.testing.assert_allclose(correlation(torch.tensor(la)), expected, atol=1e-10)


def test_a_stack_of_layers_is_correlated_one_by_one(device):
    la, lb = (torch.tensor(draw(60, 3, s)).view(3, 20, 3).to(device) for s in (0, 1))
    for i, one in enumerate(correlation(la, lb)):
        torch.testing.assert_close(one, correlation(la[i], lb[i]))


#: Powers of ten at which squares of float64 overflow or vanish, or columns nearly do themselves.
EXTREMES = (1e300, 3e307, 1e200, 1e154, 1e-154, 1e-162, 1e-170, 1e-300)


@pytest.mark.parametrize("scale", EXTREMES)
def test_correlations_of_very_large_and_very_small_columns_are_right(scale):
    la, lb = draw(50, 3), draw(50, 3) + draw(50, 3, seed=1)
    some = np.array([1, scale, 1])  # beside columns that are neither
    for factor in (scale, some):
        torch.testing.assert_close(correlation(la * factor, lb), correlation(la, lb))
        torch.testing.assert_close(correlation(lb, la * factor), correlation(lb, la))
        torch.testing.assert_close(correlation((la * factor).tolist()), correlation(la))
        pair, usual = LayerPair(la * factor, lb), LayerPair(la, lb)
        np.testing.assert_allclose(pair.scale_a.numpy() / factor, usual.scale_a)
        found, expected = cca_of_pair(pair), cca_of_pair(usual)
        torch.testing.assert_close(found.correlations, expected.correlations)


def test_a_very_large_offset_is_taken_off_before_it_is_squared():
    la = 1e300 * (1 + 1e-3 * draw(50, 3))
    expected = np.corrcoef(la / 1e300, rowvar=False)
    np.testing.assert_allclose(correlation(la), expected, atol=1e-9)


@pytest.mark.parametrize("scale", EXTREMES)
def test_a_dead_column_is_dead_at_any_scale(scale):
    la = draw(11, 3) * scale
    la[:, 1] = scale
    between = correlation(la, la)
    assert not between[1].any()
    assert between[0, 0] == pytest.approx(1)


def test_columns_of_usual_scale_keep_their_bits():
    """Scaling by a power of two is exact, but the published bits come from no scaling at all."""
    la = draw(50, 3) * [1e-100, 1, 1e100]
    columns = torch.tensor(la)
    columns = columns - columns.mean(0)
    norms = torch.linalg.vector_norm(columns, dim=0)
    columns /= norms
    assert torch.equal(correlation(la), (columns.T @ columns).clamp(-1, 1))
    assert torch.equal(LayerPair(la, la).scale_a, norms / 7)


@pytest.mark.parametrize("scale", EXTREMES)
def test_variances_that_float64_does_not_hold_are_refused_where_they_are_needed(scale):
    pair = LayerPair(draw(50, 3), draw(50, 3, seed=1) * scale)
    message = "centred columns of b have deviations .* scale the columns, or standardise them"
    with pytest.raises(ValueError, match=message):
        cca_of_pair(pair, standardise=False)


@pytest.mark.parametrize("value", ["no", "false", 0, 1, None])
def test_standardise_is_true_or_false(value):
    pair = LayerPair(draw(20, 3), draw(20, 3, seed=1))
    for call in (
        lambda: pair.bases(value),
        lambda: cca_of_pair(pair, standardise=value),
        lambda: cca(pair.la, pair.lb, standardise=value),
    ):
        with pytest.raises(ValueError, match="standardise must be true or false; found"):
            call()
    assert cca_of_pair(pair, standardise=np.False_) is cca_of_pair(pair, standardise=False)


@pytest.mark.parametrize("standardise", [True, False])
def test_the_bases_are_the_principal_directions(standardise):
    la, lb = draw(50, 4) * [1, 2, 3, 4], draw(50, 3, seed=1)
    views = [layer - layer.mean(axis=0) for layer in (la, lb)]
    if standardise:
        views = [view / view.std(axis=0, ddof=1) for view in views]
    values_a, vectors_a, values_b, vectors_b, cross = LayerPair(la, lb).bases(standardise)
    for view, values, vectors in (
        (views[0], values_a, vectors_a),
        (views[1], values_b, vectors_b),
    ):
        spread = np.linalg.svd(view, compute_uv=False) ** 2 / 49
        np.testing.assert_allclose(values, spread)  # in decreasing order, as NumPy's are
        np.testing.assert_allclose(
            np.cov(view @ vectors.numpy(), rowvar=False), np.diag(values), atol=1e-12
        )
    expected = (views[0] @ vectors_a.numpy()).T @ (views[1] @ vectors_b.numpy()) / 49
    np.testing.assert_allclose(cross, expected, atol=1e-12)


GOOD = np.zeros((4, 2))


@pytest.mark.parametrize(
    ("la", "lb", "message"),
    [
        (GOOD, np.zeros((5, 2)), "same examples; found 4 and 5 rows"),
        (np.zeros((0, 2)), np.zeros((0, 2)), "activations of a must be a matrix"),
        (GOOD, np.zeros((4, 0)), "activations of b must be a matrix"),
        (GOOD * np.nan, GOOD, "activations of a must be finite; found 8"),
        (GOOD, GOOD + np.inf, "activations of b must be finite; found 8"),
    ],
)
@pytest.mark.parametrize("function", [correlation, LayerPair])
def test_layers_that_cannot_be_compared_are_refused(function, la, lb, message):
    with pytest.raises(ValueError, match=message):
        function(la, lb)


def test_a_layer_pair_is_one_pair():
    with pytest.raises(ValueError, match=r"holds one pair; found shape \(3, 4, 2\)"):
        LayerPair(np.zeros((3, 4, 2)), np.zeros((3, 4, 2)))
    with pytest.raises(ValueError, match=r"holds one pair; found shape \(3, 4, 2\)"):
        LayerPair(np.zeros((4, 2)), np.zeros((3, 4, 2)))


def test_what_is_kept_is_computed_once_and_equals_what_is_not(monkeypatch):
    rng = np.random.default_rng(0)
    la, lb = rng.normal(size=(30, 4)), rng.normal(size=(30, 5))
    calls = []
    standardised = correlation_module.standardised
    monkeypatch.setattr(
        correlation_module, "standardised", lambda x: calls.append(x) or standardised(x)
    )
    pair = LayerPair(la, lb)
    for _ in range(2):
        pair.bases(True)
        pair.bases(False)
        found = pair.between, pair.within_a, pair.within_b
    assert len(calls) == 2
    assert torch.equal(found[0], correlation(la, lb))
    assert torch.equal(found[1], correlation(la))
    assert torch.equal(found[2], correlation(lb))
    first = cca_of_pair(pair, directions=2)
    assert cca_of_pair(pair, directions=2) is first
    assert cca_of_pair(pair, directions=2, ridge=0.5) is not first
    assert cca_of_pair(pair, directions=2, standardise=False) is not first
    assert cca_of_pair(pair, directions=3) is not first
    assert pair.keep("mine", lambda: 1) == pair.keep("mine", lambda: 2) == 1


def test_the_layers_are_left_as_they_are():
    la, lb = (torch.from_numpy(draw(9, 3, seed)) for seed in (0, 1))
    before = la.clone(), lb.clone()
    correlation(la, lb)
    LayerPair(la, lb).bases(True)
    assert torch.equal(la, before[0]) and torch.equal(lb, before[1])


def test_a_dead_neuron_of_one_layer_of_a_stack_is_dead_in_that_one_only():
    stack = torch.from_numpy(np.stack([draw(9, 3, 0), draw(9, 3, 1), draw(9, 3, 2)]))
    stack[1, :, 0] = 0.1
    for found, layer in zip(correlation(stack), stack, strict=True):
        torch.testing.assert_close(found, correlation(layer))


def test_a_layer_pair_lets_go_of_its_standardised_columns():
    pair = LayerPair(draw(9, 3, 0), draw(9, 4, 1))
    pair.bases(True)
    assert not {"_view_a", "_view_b"} & set(vars(pair))
    with pytest.raises(TypeError):
        LayerPair(draw(9, 3, 0), draw(9, 4, 1), {})


def test_the_memory_of_an_alignment_by_hand():
    # Four matrices of activations in units of 8 bytes, and fourteen of the width's square.
    assert correlation_module.alignment_memory(100, 7) == 8 * (4 * 100 * 7 + 14 * 7 * 7)
