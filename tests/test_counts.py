"""The counts of Section 5.2.2 are those of NumPy and statsmodels, and no others."""

import itertools
from functools import partial

import numpy as np
import pytest
from scipy.stats import chi2
from statsmodels.multivariate.cancorr import CanCorr

from safecross import LayerPair, load_data, load_network
from safecross.replication import pairs
from safecross.replication.config import Config

#: Operators with the views that CCA sees: how many principal directions, standardised or not.
VIEWS = {
    "sc-cca": (None, True),
    "sc-cca:directions=3": (3, True),
    "sc-cca:directions=3,standardise=false": (3, False),
    "sc-cca:directions=9,rule=rank": (9, True),  # more than there are neurons
}
OPERATORS = ("naive", "sc-pwc", "sc-cca:ridge=0.1", *VIEWS)


def draw_layers(n: int, p: int, q: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Draw layers whose correlations have all sizes and both signs; some neurons are dead."""
    rng = np.random.default_rng(seed)
    shared = rng.normal(size=(n, 3))
    la, lb = (
        shared[:, rng.integers(3, size=width)] * rng.choice([-1, 1, 1], width)
        + rng.normal(size=(n, width)) * rng.choice([0.2, 0.7, 1, 2], width)
        for width in (p, q)
    )
    la[:, :2], lb[:, -1] = 1.0, 0.0
    return la, lb


def correlations(la: np.ndarray, lb: np.ndarray) -> np.ndarray:
    with np.errstate(invalid="ignore", divide="ignore"):
        return np.nan_to_num(np.corrcoef(la, lb, rowvar=False)[: la.shape[1], la.shape[1] :])


def best_sum(c: np.ndarray) -> np.ndarray:
    """Return the correlations of the one-to-one matching with the largest sum; try them all."""
    c = c if c.shape[0] <= c.shape[1] else c.T
    rows = range(c.shape[0])
    orders = itertools.permutations(range(c.shape[1]), c.shape[0])
    return max((c[rows, list(order)] for order in orders), key=np.sum)


def canonical(
    la: np.ndarray, lb: np.ndarray, directions: int | None, standardise: bool
) -> tuple[np.ndarray, int, int]:
    """Return statsmodels' canonical correlations of the views, and the views' directions."""
    views = []
    for layer in (la, lb):
        z = layer[:, layer.std(axis=0) > 0]
        z = (z - z.mean(axis=0)) / (z.std(axis=0) if standardise else 1)
        u, s, _ = np.linalg.svd(z, full_matrices=False)
        views.append((u * s)[:, :directions])
    smaller, larger = sorted(views, key=lambda view: view.shape[1])
    return CanCorr(larger, smaller).cancorr, views[0].shape[1], views[1].shape[1]


def bartlett(rho: np.ndarray, p: int, q: int, n: int, level: float) -> int:
    """Count by Lawley's formula, hypothesis by hypothesis."""
    for k in range(len(rho)):
        factor = n - 1 - k - (p + q + 1) / 2 + sum(1 / r**2 for r in rho[:k])
        statistic = -factor * sum(np.log(1 - r**2) for r in rho[k:])
        if chi2.sf(statistic, (p - k) * (q - k)) >= level:
            return k
    return len(rho)


def count_directly(
    la: np.ndarray, lb: np.ndarray, views: dict = VIEWS, threshold=0.7, level=0.05, absolute=False
) -> dict[str, float]:
    c = abs(correlations(la, lb)) if absolute else correlations(la, lb)
    counts = {
        "dead neurons of a": (la.std(axis=0) == 0).sum(),
        "dead neurons of b": (lb.std(axis=0) == 0).sum(),
        "row maxima above 0.7": sum(max(row) > threshold for row in c),
        "column maxima above 0.7": sum(max(column) > threshold for column in c.T),
        "matched pairs above 0.7": (best_sum(c) > threshold).sum(),
        "mean correlation of matched pairs": best_sum(c).mean(),
    }
    for operator, view in views.items():
        rho, p, q = canonical(la, lb, *view)
        counts[f"components ({operator})"] = len(rho)
        counts[f"canonical correlations above 0.7 ({operator})"] = (rho > threshold).sum()
        counts[f"significant by Bartlett ({operator})"] = bartlett(rho, p, q, len(la), level)
    return counts


def measured(la: np.ndarray, lb: np.ndarray) -> dict[str, float]:
    config = Config("mnist", (9,), 1, 1, OPERATORS)
    return pairs._layer_statistics(config, LayerPair(la, lb))


LAYERS = [(60, 6, 5, 1), (60, 5, 6, 2), (40, 6, 6, 3), (300, 7, 4, 4), (60, 5, 7, 5), (60, 6, 5, 6)]


@pytest.fixture(params=LAYERS, ids=str)
def layers(request) -> tuple[np.ndarray, np.ndarray]:
    return draw_layers(*request.param)


def test_the_counts_are_those_of_numpy_and_statsmodels(layers):
    expected = count_directly(*layers)
    found = measured(*layers)
    assert found.keys() == expected.keys()  # none of an operator with a ridge
    for name, value in expected.items():
        assert float(found[name]) == pytest.approx(value, abs=1e-10), name


def exchanged(la: np.ndarray, lb: np.ndarray) -> dict[str, float]:
    return count_directly(lb, la)


WRONG = [
    (partial(count_directly, threshold=0.5), ("row", "column", "matched", "canonical")),
    (partial(count_directly, threshold=0.3), ("row", "column", "matched", "canonical")),
    (partial(count_directly, threshold=0.1), ("row", "column", "matched", "canonical")),
    (partial(count_directly, absolute=True), ("row", "column", "matched", "mean")),
    (partial(count_directly, level=0.5), ("significant",)),
    (exchanged, ("row", "column", "dead neurons of a", "dead neurons of b")),
]


@pytest.mark.parametrize(("wrong", "names"), WRONG)
def test_these_layers_tell_right_from_wrong(wrong, names):
    for name in names:
        assert any(
            value != wrong(*drawn)[key]
            for drawn in itertools.starmap(draw_layers, LAYERS)
            for key, value in count_directly(*drawn).items()
            if key.startswith(name)
        ), name


def test_a_record_counts_for_each_pair_and_layer(small_config, small_run, small_record):
    x = load_data(small_config.dataset).x_test.numpy()
    parents = sorted(small_run.glob("parents/*/network-*"))
    for pair in range(small_config.n_pairs):
        thetas = [load_network(parents[2 * pair + side]) for side in (0, 1)]
        layers = [x, x]
        for d in (0, 1):
            layers = [
                np.maximum(layer @ theta.weights[d].numpy() + theta.biases[d].numpy(), 0)
                for layer, theta in zip(layers, thetas, strict=True)
            ]
            rows = small_record.statistics.query("pair == @pair and layer == @d + 1")
            found = dict(zip(rows["statistic"], rows["value"], strict=True))
            assert len(found) == len(rows)
            expected = count_directly(*layers, {"sc-cca:directions=2": (2, True)})
            assert found == pytest.approx(expected, abs=1e-5)


def test_what_too_few_examples_do_not_test_is_not_counted():
    found = measured(*draw_layers(5, 6, 5, 0))
    untested = {name for name, value in found.items() if np.isnan(float(value))}
    whole = ("sc-cca", "sc-cca:directions=9,rule=rank")
    assert untested == {f"significant by Bartlett ({operator})" for operator in whole}
