"""CCA against independent implementations, its invariances, its constraints, its edges."""

import math

import numpy as np
import pytest
import torch
from hypothesis import assume, given
from hypothesis import strategies as st
from scipy.linalg import eigh, solve_triangular
from scipy.stats import chi2
from sklearn.cross_decomposition import CCA as SklearnCCA

from safecross import (
    CCA,
    LayerPair,
    bartlett_test,
    cca,
    cca_of_pair,
)
from safecross.alignment.cca import PENALTIES, WEIGHTS, check_cca_options

N = 200


def draw(n: int = N, p: int = 5, q: int = 4, shared: int = 2, seed: int = 0):
    """Draw two views that share some signals, mixed and of unequal scales."""
    rng = np.random.default_rng(seed)
    la, lb = rng.normal(size=(n, p)), rng.normal(size=(n, q))
    signal = rng.normal(size=(n, shared)) * np.linspace(3, 1, shared)
    la[:, :shared] += signal
    lb[:, :shared] += signal
    return la @ rng.normal(size=(p, p)), lb @ rng.normal(size=(q, q)) + 1


@pytest.fixture
def views():
    return draw()


def standardised(layer: np.ndarray) -> np.ndarray:
    return (layer - layer.mean(axis=0)) / layer.std(axis=0, ddof=1)


def cca_by_qr(la: np.ndarray, lb: np.ndarray):
    """Return weights and correlations by QR and SVD (Björck and Golub 1973)."""
    (qa, ra), (qb, rb) = (np.linalg.qr(layer - layer.mean(axis=0)) for layer in (la, lb))
    u, s, vt = np.linalg.svd(qa.T @ qb, full_matrices=False)
    scale = math.sqrt(len(la) - 1)
    return solve_triangular(ra, u) * scale, solve_triangular(rb, vt.T) * scale, s


def principal(view: np.ndarray, k: int) -> np.ndarray:
    """Return the scores of the first k principal directions."""
    return view @ np.linalg.svd(view, full_matrices=False)[2][:k].T


def ridge_by_eigenproblem(xa: np.ndarray, xb: np.ndarray, ridge: float) -> np.ndarray:
    """Return the constrained maxima as eigenvalues of the generalised problem."""
    ca, cb = (x.T @ x / (len(x) - 1) for x in (xa, xb))
    cross = xa.T @ xb / (len(xa) - 1)
    p, q = cross.shape
    left = np.block([[np.zeros((p, p)), cross], [cross.T, np.zeros((q, q))]])
    right = np.block([[ca, np.zeros((p, q))], [np.zeros((q, p)), cb]]) + ridge * np.eye(p + q)
    return eigh(left, right, eigvals_only=True)[::-1][: min(p, q)]


# Against independent implementations


@pytest.mark.parametrize("sizes", [(5, 4), (4, 6), (3, 3), (1, 5), (1, 1)], ids=str)
@pytest.mark.parametrize("seed", range(3))
def test_cca_is_that_of_qr_and_svd(sizes, seed):
    la, lb = draw(p=sizes[0], q=sizes[1], shared=1, seed=seed)
    wa, wb, rho = cca_by_qr(la, lb)
    for standardise, (va, vb) in {
        False: (1, 1),
        True: (la.std(0, ddof=1), lb.std(0, ddof=1)),
    }.items():
        result = cca(la, lb, standardise=standardise)
        np.testing.assert_allclose(result.correlations, rho, atol=1e-10)
        sign = np.sign((result.weights_a.numpy() * wa).sum(axis=0))
        # Weights of standardised columns are those of the columns times their spread.
        scaled_a, scaled_b = (wa.T * va).T * sign, (wb.T * vb).T * sign
        np.testing.assert_allclose(result.weights_a, scaled_a, atol=1e-7)
        np.testing.assert_allclose(result.weights_b, scaled_b, atol=1e-7)
        assert result.ranks == sizes
        assert result.n == N


def test_cca_is_that_of_scikit_learn(views):
    la, lb = views
    scores = SklearnCCA(n_components=4, max_iter=10_000, tol=1e-14).fit_transform(la, lb)
    theirs = [np.corrcoef(a, b)[0, 1] for a, b in zip(scores[0].T, scores[1].T, strict=True)]
    np.testing.assert_allclose(cca(la, lb).correlations, theirs, atol=1e-6)


@pytest.mark.parametrize("kept", [(3, 3), (2, 2), (5, 4)], ids=str)
@pytest.mark.parametrize("standardise", [True, False])
def test_svcca_is_cca_of_the_principal_directions(views, kept, standardise):
    xa, xb = (standardised(v) if standardise else v - v.mean(axis=0) for v in views)
    expected = cca_by_qr(principal(xa, kept[0]), principal(xb, kept[1]))[2]
    result = cca(*views, directions=max(kept), standardise=standardise)
    assert result.ranks == kept
    np.testing.assert_allclose(result.correlations, expected, atol=1e-10)


@pytest.mark.parametrize("share", [0.3, 0.6, 0.9, 0.99, 0.999999])
def test_a_share_of_variance_keeps_the_fewest_directions_that_reach_it(views, share):
    kept = []
    for view in views:
        spread = np.linalg.svd(standardised(view), compute_uv=False) ** 2
        reached = np.cumsum(spread) / spread.sum() >= share
        kept.append(1 + reached.tolist().index(True))
    assert cca(*views, directions=share).ranks == tuple(kept)


def test_a_share_that_is_reached_exactly_is_enough():
    square = np.array([[1, 1], [1, -1], [-1, 1], [-1, -1.0]])  # two directions of equal variance
    assert cca(square, square, directions=0.5).ranks == (1, 1)
    assert cca(square, square, directions=0.51).ranks == (2, 2)


@pytest.mark.parametrize("ridge", [1e-3, 0.1, 1.0, 30.0])
@pytest.mark.parametrize("directions", [None, 3, 1])
def test_ridge_and_svcca_solve_the_generalised_eigenproblem(views, ridge, directions):
    xa, xb = (principal(standardised(v), directions or v.shape[1]) for v in views)
    result = cca(*views, ridge=ridge, directions=directions)
    expected = ridge_by_eigenproblem(xa, xb, ridge)
    np.testing.assert_allclose(result.correlations, expected, atol=1e-10)


def kernel_ridge_by_eigenproblem(xa: np.ndarray, xb: np.ndarray, ridge: float):
    """Return weights and constrained maxima from the kernels of all examples."""
    ka, kb = (x @ x.T / np.linalg.eigvalsh(x @ x.T)[-1] for x in (xa, xb))
    n, zero = len(ka), np.zeros_like(ka)
    right = np.block([[ka @ ka, zero], [zero, kb @ kb]]) + ridge * np.eye(2 * n)
    values, vectors = eigh(np.block([[zero, ka @ kb], [kb @ ka, zero]]), right)
    k = min(xa.shape[1], xb.shape[1])
    vectors = 2**0.5 * vectors[:, ::-1][:, :k]  # eigh gives each view half of the unit
    return xa.T @ vectors[:n], xb.T @ vectors[n:], values[::-1][:k]


@pytest.mark.parametrize("ridge", [1e-3, 0.1, 1.0])
@pytest.mark.parametrize("directions", [None, 3])
def test_the_kernels_penalty_solves_the_eigenproblem_of_the_kernels(ridge, directions):
    views = draw(60)
    scaled = [standardised(v) for v in views]
    kept = [principal(x, directions or x.shape[1]) for x in scaled]
    *expected, rho = kernel_ridge_by_eigenproblem(*kept, ridge)
    result = cca(*views, ridge=ridge, directions=directions, penalty="kernel")
    np.testing.assert_allclose(result.correlations, rho, atol=1e-8)
    ours = (result.weights_a.numpy(), result.weights_b.numpy())
    # Their variates, which both views may turn round together.
    variates = [scores @ w for scores, w in zip(kept, expected, strict=True)]
    sign = np.sign((variates[0] * (scaled[0] @ ours[0])).sum(axis=0))
    for x, w, theirs in zip(scaled, ours, variates, strict=True):
        np.testing.assert_allclose(x @ w, theirs * sign, atol=1e-7 * abs(theirs).max())
        kernel = x @ x.T / np.linalg.eigvalsh(x @ x.T)[-1]
        if directions is None:
            alpha = np.linalg.pinv(x.T) @ w
            norms = alpha.T @ (kernel @ kernel + ridge * np.eye(len(x))) @ alpha
            np.testing.assert_allclose(norms, np.eye(len(rho)), atol=1e-8)


def test_the_kernels_penalty_is_another_one_unless_it_is_0(views):
    plain, norm = cca(*views), cca(*views, ridge=0.1)
    kernel = cca(*views, ridge=0.1, penalty="kernel")
    none = cca(*views, penalty="kernel")
    torch.testing.assert_close(none.correlations, plain.correlations)
    units = [torch.nn.functional.normalize(r.weights_a, dim=0) for r in (plain, none, norm, kernel)]
    torch.testing.assert_close(units[0], units[1])
    assert (units[2] - units[3]).abs().max() > 0.01


@pytest.mark.parametrize("sizes", [(5, 4), (3, 6)], ids=str)
def test_deflated_weights_are_those_of_scikit_learns_iterations(sizes):
    views = draw(p=sizes[0], q=sizes[1])
    model = SklearnCCA(n_components=min(sizes), max_iter=10_000, tol=1e-14).fit(*views)
    result, signs = cca(*views, weights="deflated"), []
    for ours, theirs in (
        (result.weights_a.numpy(), model.x_weights_),
        (result.weights_b.numpy(), model.y_weights_),
    ):
        theirs = theirs / np.linalg.norm(theirs, axis=0)
        signs.append((ours * theirs).sum(axis=0))
        np.testing.assert_allclose(abs(signs[-1]), 1, atol=1e-6)
        np.testing.assert_allclose(ours.T @ ours, np.eye(min(sizes)), atol=1e-10)
    np.testing.assert_allclose(signs[0], signs[1], atol=1e-6)  # both views turn round together
    # The first component has nothing before it; the next is another direction than its own.
    plain = torch.nn.functional.normalize(cca(*views).weights_a, dim=0)
    overlap = (plain * result.weights_a).sum(dim=0)
    assert overlap[0] == pytest.approx(1) and (overlap > 0).all()
    assert overlap[1:].min() < 0.99


# Constraints


@pytest.mark.parametrize("directions", [None, 3, 0.9])
@pytest.mark.parametrize("standardise", [True, False])
def test_canonical_variates_satisfy_equation_1(views, directions, standardise):
    result = cca(*views, directions=directions, standardise=standardise)
    xa, xb = (standardised(v) if standardise else v - v.mean(axis=0) for v in views)
    za, zb = xa @ result.weights_a.numpy(), xb @ result.weights_b.numpy()
    one = np.eye(len(result.correlations))
    np.testing.assert_allclose(za.T @ za / (N - 1), one, atol=1e-10)
    np.testing.assert_allclose(zb.T @ zb / (N - 1), one, atol=1e-10)
    np.testing.assert_allclose(za.T @ zb / (N - 1), one * result.correlations.numpy(), atol=1e-10)


@pytest.mark.parametrize("ridge", [0.01, 0.1, 1.0])
def test_the_ridge_constrains_the_weights(views, ridge):
    result = cca(*views, ridge=ridge)
    for view, weights in zip(views, (result.weights_a, result.weights_b), strict=True):
        w, x = weights.numpy(), standardised(view)
        norms = w.T @ (x.T @ x / (N - 1)) @ w + ridge * w.T @ w
        np.testing.assert_allclose(norms, np.eye(4), atol=1e-10)


def test_the_ridge_shrinks_the_correlations_and_none_is_cca(views):
    ridges = [0.0, 1e-12, 0.01, 0.1, 1.0, 10.0]
    rhos = torch.stack([cca(*views, ridge=ridge).correlations for ridge in ridges])
    torch.testing.assert_close(rhos[0], cca(*views).correlations, atol=0, rtol=0)
    torch.testing.assert_close(rhos[1], rhos[0])
    assert (rhos[1:].diff(dim=0) < 0).all()


def test_all_directions_are_cca(views):
    expected = cca(*views)
    for directions in (5, None):
        result = cca(*views, directions=directions)
        assert torch.equal(result.correlations, expected.correlations)
        assert torch.equal(result.weights_a, expected.weights_a)


# Invariance


@given(st.integers(1, 5), st.integers(1, 5), st.integers(0, 50), st.sampled_from("ab"))
def test_affine_maps_of_a_view_change_no_correlation(p, q, seed, side):
    la, lb = draw(60, p, q, shared=1, seed=seed)
    rng = np.random.default_rng(seed + 1)
    before = cca(la, lb).correlations
    size = p if side == "a" else q
    matrix = rng.normal(size=(size, size))
    assume(np.linalg.cond(matrix) < 100)
    if side == "a":
        la = la @ matrix + rng.normal(size=size)
    else:
        lb = lb @ matrix + rng.normal(size=size)
    torch.testing.assert_close(cca(la, lb).correlations, before, atol=1e-6, rtol=0)


def test_another_view_is_not_the_same_up_to_an_affine_map(views):
    assert cca(*views).correlations[-1] < 0.5
    torch.testing.assert_close(
        cca(views[0], views[0] @ np.diag([1, 2, -3, 4, 5.0])).correlations,
        torch.ones(5, dtype=torch.float64),
    )


def test_the_views_change_places(views):
    there, back = cca(*views), cca(*views[::-1])
    torch.testing.assert_close(there.correlations, back.correlations)
    torch.testing.assert_close(there.weights_a.abs(), back.weights_b.abs())


def test_type_and_layout_do_not_matter(views, device):
    single = [view.astype(np.float32) for view in views]
    expected = cca(*(view.astype(np.float64) for view in single))
    shapes = [
        single,
        [np.asfortranarray(view) for view in single],
        [np.repeat(view, 2, axis=1)[:, ::2] for view in single],
        [torch.tensor(view.T, device=device).T for view in single],
        [view.tolist() for view in single],
    ]
    for la, lb in shapes:
        result = cca(la, lb)
        assert result.weights_a.dtype == torch.float64
        torch.testing.assert_close(result.correlations.cpu(), expected.correlations)
        torch.testing.assert_close(result.weights_a.abs().cpu(), expected.weights_a.abs())


def test_standardising_decides_which_directions_are_principal():
    rng = np.random.default_rng(0)
    loud = 100 * rng.normal(size=(N, 1))  # one neuron, of a large scale
    quiet = rng.normal(size=(N, 1)) + 0.1 * rng.normal(size=(N, 3))  # three that go together
    layer = np.hstack([loud, quiet])
    for standardise, expected in ((False, loud), (True, quiet[:, :1])):
        found = cca(layer, expected, directions=1, standardise=standardise)
        assert found.correlations[0] > 0.95


# Edges

OPTIONS = [
    {},
    {"ridge": 0.1},
    {"ridge": 0.1, "penalty": "kernel"},
    {"directions": 2},
    {"directions": 2, "penalty": "kernel"},
    {"directions": 0.9},
    {"standardise": False},
    {"weights": "deflated"},
    {"ridge": 0.1, "penalty": "kernel", "weights": "deflated"},
]
each_options = pytest.mark.parametrize("options", OPTIONS, ids=str)


def edge_cases() -> dict:
    la, lb = draw()
    dead, twins = la.copy(), la.copy()
    dead[:, 1] = 3
    twins[:, 1] = twins[:, 0]
    return {
        "dead": (dead, lb),
        "twins": (twins, lb),
        "twins in both": (twins, twins[:, ::-1]),
        "n < p": (la[:3], lb[:3]),
        "n = 2": (la[:2], lb[:2]),
        "n = 1": (la[:1], lb[:1]),
        "width 1": (la[:, :1], lb),
        "one constant": (np.ones_like(la), lb),
        "both constant": (np.ones_like(la), np.zeros_like(lb)),
    }


@each_options
@pytest.mark.parametrize("case", edge_cases())
def test_no_layer_breaks_it(case, options):
    la, lb = edge_cases()[case]
    result = cca(la, lb, **options)
    rho, k = result.correlations, min(result.ranks)
    assert result.weights_a.shape == (la.shape[1], k)
    assert result.weights_b.shape == (lb.shape[1], k)
    assert rho.shape == (k,)
    assert ((rho >= 0) & (rho <= 1)).all()
    assert (rho.diff() <= 0).all()
    assert torch.isfinite(result.weights_a).all()
    assert torch.isfinite(result.weights_b).all()


@pytest.mark.parametrize(
    ("case", "ranks"),
    [
        ("dead", (4, 4)),
        ("twins", (4, 4)),
        ("n < p", (2, 2)),
        ("n = 2", (1, 1)),
        ("n = 1", (0, 0)),
        ("width 1", (1, 4)),
        ("one constant", (0, 4)),
        ("both constant", (0, 0)),
    ],
)
def test_directions_without_variance_are_dropped(case, ranks):
    assert cca(*edge_cases()[case]).ranks == ranks


def test_a_dead_neuron_has_no_weight_and_changes_nothing():
    la, lb = draw()
    dead = np.insert(la, 2, 7.0, axis=1)
    with_it, without = cca(dead, lb), cca(la, lb)
    torch.testing.assert_close(with_it.correlations, without.correlations)
    assert with_it.weights_a[2].abs().max() < 1e-12
    assert with_it.weights_a[[0, 1, 3, 4, 5]].abs().min() > 1e-3


def test_twins_share_their_weight_and_change_nothing():
    la, lb = draw()
    twins = np.hstack([la, la[:, :1]])
    result = cca(twins, lb)
    torch.testing.assert_close(result.correlations, cca(la, lb).correlations)
    torch.testing.assert_close(result.weights_a[0], result.weights_a[5])


def test_fewer_examples_than_neurons_correlate_perfectly():
    rng = np.random.default_rng(0)
    rho = cca(rng.normal(size=(4, 9)), rng.normal(size=(4, 7))).correlations
    torch.testing.assert_close(rho, torch.ones(3, dtype=torch.float64))


def test_the_tolerance_decides_what_has_no_variance(views):
    la = np.hstack([views[0], views[0][:, :1] + 1e-4 * views[1][:, :1]])
    assert cca(la, views[1]).ranks[0] == 6
    assert cca(la, views[1], tolerance=1e-6).ranks[0] == 5


def test_one_pair_serves_all_options(views):
    pair = LayerPair(*views)
    for options in OPTIONS + OPTIONS[::-1]:
        ours, theirs = cca_of_pair(pair, **options), cca(*views, **options)
        assert torch.equal(ours.weights_a, theirs.weights_a)
        assert torch.equal(ours.weights_b, theirs.weights_b)


@pytest.mark.parametrize("penalty", PENALTIES)
@pytest.mark.parametrize("weights", WEIGHTS)
def test_each_penalty_goes_with_each_kind_of_weights(views, penalty, weights):
    result = cca(*views, ridge=0.1, penalty=penalty, weights=weights)
    lengths = torch.linalg.vector_norm(result.weights_a, dim=0)
    assert torch.allclose(lengths, torch.ones_like(lengths)) is (weights == "deflated")


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"directions": 0}, r"directions must be a whole number in \[1, 5\]; found 0"),
        ({"directions": 6}, r"directions must be a whole number in \[1, 5\]; found 6"),
        ({"directions": True}, "directions must be a whole number"),
        ({"directions": "all"}, "directions must be a whole number"),
        ({"directions": 1.0}, "strictly between 0 and 1; found 1.0"),
        ({"directions": 0.0}, "strictly between 0 and 1; found 0.0"),
        ({"directions": math.nan}, "strictly between 0 and 1; found nan"),
        ({"ridge": -0.1}, "ridge must be finite and >= 0; found -0.1"),
        ({"ridge": math.nan}, "ridge must be finite"),
        ({"ridge": math.inf}, "ridge must be finite"),
        ({"penalty": "l2"}, "unknown penalty 'l2'"),
        ({"weights": None}, "unknown weights None"),
        ({"tolerance": -1e-9}, r"tolerance must lie in \[0, 1\)"),
        ({"tolerance": 1.0}, r"tolerance must lie in \[0, 1\)"),
        ({"tolerance": "0.1"}, r"tolerance must lie in \[0, 1\); found '0.1'"),
        ({"ridge": []}, r"ridge must be finite and >= 0; found \[\]"),
        ({"ridge": "1"}, "ridge must be finite and >= 0; found '1'"),
        ({"ridge": 1j}, "ridge must be finite and >= 0; found 1j"),
        ({"ridge": 10**400}, "ridge must be finite and >= 0; found 1000"),
        ({"directions": np.array(2.5)}, r"directions must be a whole number .*found array\(2.5\)"),
        ({"directions": torch.tensor(2.5)}, "directions must be a whole number .*found tensor"),
        ({"standardise": "no"}, "standardise must be true or false; found 'no'"),
    ],
)
def test_options_out_of_range_are_refused(views, options, message):
    with pytest.raises(ValueError, match=message):
        cca(*views, **options)


def test_views_that_cannot_be_compared_are_refused(views):
    la, lb = views
    with pytest.raises(ValueError, match="same examples; found 200 and 199"):
        cca(la, lb[1:])
    with pytest.raises(ValueError, match="activations of a must be finite"):
        cca(la * np.nan, lb)


# Bartlett's test


def result_of(rho, p: int, q: int, n: int) -> CCA:
    k = len(rho)
    rho = torch.tensor(rho, dtype=torch.float64)
    return CCA(torch.zeros(p, k), torch.zeros(q, k), rho, (p, q), n)


def lawley(rho: list[float], p: int, q: int, n: int) -> list[tuple[float, int, float]]:
    """Return statistic, degrees of freedom and p-value of each hypothesis, by loops."""
    rows = []
    for k in range(len(rho)):
        factor = n - 1 - k - (p + q + 1) / 2
        for i in range(k):
            factor += 1 / rho[i] ** 2
        chi = 0.0
        for i in range(k, len(rho)):
            chi -= factor * math.log(1 - rho[i] ** 2)
        rows.append((chi, (p - k) * (q - k), chi2.sf(chi, (p - k) * (q - k))))
    return rows


@given(
    st.lists(st.floats(0.01, 0.99), min_size=1, max_size=6),
    st.integers(0, 3),
    st.booleans(),
    st.integers(20, 500),
)
def test_bartlett_is_lawleys_formula(rho, extra, wider_a, n):
    rho = sorted(rho, reverse=True)
    p, q = (len(rho) + extra, len(rho)) if wider_a else (len(rho), len(rho) + extra)
    expected = lawley(rho, p, q, n)
    found = bartlett_test(result_of(rho, p, q, n))
    np.testing.assert_allclose(found.statistics, [row[0] for row in expected], rtol=1e-9)
    assert found.degrees.tolist() == [row[1] for row in expected]
    np.testing.assert_allclose(found.p_values, [row[2] for row in expected], rtol=1e-6)
    significant = [row[2] < 0.05 for row in expected]
    assert found.n_significant == [*significant, False].index(False)


@pytest.mark.parametrize("planted", [0, 1, 3, 4])
def test_bartlett_finds_the_planted_number_of_correlations(planted):
    la, lb = draw(1000, 6, 4, shared=planted, seed=2)
    assert bartlett_test(cca(la, lb)).n_significant == planted


def test_bartlett_tests_at_its_level():
    rng = np.random.default_rng(0)
    trials, level = 500, 0.1
    found = 0
    for _ in range(trials):
        noise = rng.normal(size=(60, 7))
        found += bartlett_test(cca(noise[:, :3], noise[:, 3:]), level).n_significant > 0
    spread = math.sqrt(level * (1 - level) / trials)
    assert abs(found / trials - level) < 3 * spread


def test_bartlett_of_svcca_counts_the_kept_directions(views):
    found = bartlett_test(cca(*views, directions=3))
    assert found.degrees.tolist() == [9, 4, 1]


def test_bartlett_of_perfect_and_of_no_correlation():
    assert bartlett_test(result_of([1.0, 0.0], 2, 2, 100)).n_significant == 1
    assert bartlett_test(result_of([0.0, 0.0], 2, 2, 100)).n_significant == 0
    assert bartlett_test(result_of([], 0, 3, 100)).n_significant == 0


@pytest.mark.parametrize(("p", "q"), [(5, 1), (5, 2), (40, 30)])
def test_bartlett_needs_enough_examples(p, q):
    enough = (p + q + 3) // 2 + 1
    bartlett_test(result_of([0.5] * min(p, q), p, q, enough))
    with pytest.raises(
        ValueError, match=f"needs more than {enough - 1} examples; found {enough - 1}"
    ):
        bartlett_test(result_of([0.5] * min(p, q), p, q, enough - 1))


@pytest.mark.parametrize("level", [0, 1, -0.1, math.nan])
def test_the_level_is_a_probability(views, level):
    with pytest.raises(ValueError, match="level must lie strictly between 0 and 1"):
        bartlett_test(cca(*views), level)


def test_options_are_checked_without_data():
    check_cca_options(directions=0.9, ridge=0.0, widest=4, tolerance=0)
    with pytest.raises(ValueError, match=r"in \[1, 4\]; found 5"):
        check_cca_options(directions=5, widest=4)
    with pytest.raises(ValueError, match="ridge must be finite and >= 0; found True"):
        check_cca_options(ridge=True)


@pytest.mark.parametrize(("p_value", "expected"), [(0.03, 1), (0.07, 0)])
def test_bartlett_tests_at_5_percent_unless_told_otherwise(p_value, expected):
    rho = math.sqrt(1 - math.exp(-chi2.isf(p_value, 1) / (50 - 1 - 1.5)))
    found = bartlett_test(result_of([rho], 1, 1, 50))
    assert found.p_values[0] == pytest.approx(p_value)
    assert found.n_significant == expected


def test_where_the_fast_decomposition_does_not_converge_the_slow_one_gives_the_same(monkeypatch):
    x = torch.randn(40, 12, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    la, lb = x[:, :6] + 0.3 * x[:, 6:], x[:, 6:]
    fast = cca(la, lb)

    def give_up(*_, **__):
        raise torch.linalg.LinAlgError("linalg.svd: The algorithm failed to converge")

    monkeypatch.setattr(torch.linalg, "svd", give_up)
    slow = cca(la, lb)
    torch.testing.assert_close(slow.correlations, fast.correlations)
    for name in ("weights_a", "weights_b"):
        torch.testing.assert_close(getattr(slow, name).abs(), getattr(fast, name).abs())


@pytest.mark.parametrize("seed", range(3))
def test_layers_wider_than_the_batch_have_correlations_of_one(seed):
    generator = torch.Generator().manual_seed(seed)
    shared = torch.randn(150, 160, generator=generator)
    la, lb = ((shared @ torch.randn(160, 160, generator=generator)).relu() for _ in range(2))
    rho = cca(la, lb).correlations
    assert len(rho) == 149
    assert rho.min() > 1 - 1e-9
