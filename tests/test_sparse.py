"""Sparse regression of neurons: against scikit-learn, and what becomes of the map."""

import numpy as np
import pytest
import torch
from sklearn import linear_model

from safecross import (
    Lasso,
    LayerPair,
    align,
    interpolate,
    permute,
)
from safecross.alignment.sparse import _least_squares, lasso


@pytest.fixture
def pair(make_examples):
    """A layer pair of 9 and 12 neurons that depend on five causes, one of them dead."""
    causes = make_examples(300, 5)
    la, lb = (
        causes @ make_examples(5, width, seed) + 0.3 * make_examples(300, width, seed)
        for seed, width in ((1, 9), (2, 12))
    )
    lb[:, 4] = 7.0
    return LayerPair(la, 3 * lb)


def standardised(layer: torch.Tensor) -> np.ndarray:
    z = (layer - layer.mean(0)).double().numpy()
    return z / np.where(z.std(0) > 1e-6, z.std(0), 1)


@pytest.mark.parametrize("penalty", [0.02, 0.1, 0.4])
def test_the_weights_are_those_of_scikit_learn(pair, penalty):
    ours = lasso(pair.within_b, pair.between.mT, penalty, tolerance=1e-7).numpy()
    model = linear_model.Lasso(alpha=penalty, fit_intercept=False, tol=1e-10, max_iter=100_000)
    za, zb = standardised(pair.la), standardised(pair.lb)
    zb[:, 4] = 0
    theirs = model.fit(zb, za).coef_.T
    np.testing.assert_allclose(ours, theirs, atol=1e-4)
    assert np.array_equal(ours != 0, theirs != 0)
    assert 0 < (ours != 0).mean() < 0.8


def test_the_default_tolerance_is_close_and_a_larger_penalty_sparser(pair):
    exact = lasso(pair.within_b, pair.between.mT, 0.1, tolerance=1e-7)
    found = lasso(pair.within_b, pair.between.mT, 0.1)
    torch.testing.assert_close(found, exact, atol=0.05, rtol=0)
    counts = [int((lasso(pair.within_b, pair.between.mT, p) != 0).sum()) for p in (0.02, 0.1, 0.4)]
    assert counts[0] > counts[1] > counts[2] > 0
    assert not lasso(pair.within_b, pair.between.mT, 1.01).any()


def test_chosen_neurons_are_refitted_by_least_squares(pair):
    shrunk = lasso(pair.within_b, pair.between.mT, 0.1)
    refitted = _least_squares(pair.within_b, pair.between.mT, shrunk != 0)
    za, zb = standardised(pair.la), standardised(pair.lb)
    for j in range(9):
        rows = np.flatnonzero(shrunk[:, j])
        expected = np.linalg.lstsq(zb[:, rows], za[:, j], rcond=None)[0]
        np.testing.assert_allclose(refitted[rows, j], expected, atol=1e-6)
    assert torch.equal(refitted != 0, shrunk != 0)
    assert (refitted - shrunk).abs().max() > 0.01


def test_the_map_predicts_each_network_from_the_other(pair):
    how = Lasso()._map(pair)
    assert how.matrix.shape == (9, 12) and how.back.shape == (12, 9)
    la, lb = ((layer - layer.mean(0)).double() for layer in (pair.la, pair.lb))
    for found, goal in ((lb @ how.matrix.mT, la), (la @ how.back.mT, lb)):
        assert (found - goal).square().sum() < 0.3 * goal.square().sum()
    assert not how.matrix[:, 4].any() and not how.back[4].any()  # the dead one


def test_a_permuted_copy_is_found_exactly_unless_weights_stay_shrunken(make_network, make_examples):
    theta, x = make_network((8, 6, 5, 3)), make_examples(300, 8)
    copy = permute(theta, [[3, 1, 0, 5, 2, 4], [4, 2, 0, 1, 3]])
    for refit, exact in ((True, True), (False, False)):
        moved = align(theta, copy, x, "lasso", refit=refit).apply(theta, copy)[1]
        assert ((moved(x) - theta(x)).abs().max() < 1e-4) == exact
    child = interpolate(theta, align(theta, copy, x, "lasso").apply(theta, copy)[1], 0.5)
    torch.testing.assert_close(child(x), theta(x), atol=1e-4, rtol=0)


def test_a_neuron_that_is_split_in_two_is_put_together(make_examples):
    """What no one-to-one matching can do: one neuron is the sum of two of the other network."""
    parts = make_examples(200, 3).abs()
    pair = LayerPair(torch.stack([parts[:, 0] + parts[:, 1], parts[:, 2]], 1), parts)
    how = Lasso(penalty=0.01)._map(pair)
    expected = torch.tensor([[1.0, 1.0, 0.0], [0.0, 0.0, 1.0]]).double()
    torch.testing.assert_close(how.matrix, expected, atol=1e-6, rtol=0)


def test_it_says_if_it_does_not_converge(make_network, make_examples):
    a, b, x = make_network((8, 6, 3), 0), make_network((8, 6, 3), 1), make_examples(300, 8)
    message = "did not converge in 2 steps; give a larger penalty, or more steps"
    with pytest.raises(ValueError, match=message):
        align(a, b, x, "lasso", steps=2)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"penalty": 0}, r"penalty must lie in \(0, 1\); found 0"),
        ({"penalty": 1}, r"penalty must lie in \(0, 1\); found 1"),
        ({"penalty": "x"}, r"penalty must lie in \(0, 1\); found 'x'"),
        ({"refit": 2}, "refit must be true or false; found 2"),
        ({"steps": 0}, "steps must be a whole number >= 1; found 0"),
    ],
)
def test_options_are_checked(options, message):
    with pytest.raises(ValueError, match=message):
        Lasso(**options)
