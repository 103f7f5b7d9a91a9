"""Costs are measured step by step, and their exponents are found where they are known."""

import itertools

import numpy as np
import pandas as pd
import pytest

from safecross import costs
from safecross.costs import fit_exponents, measure_costs, predicted_exponents

STEPS = {
    "correlation matrix",
    "one-to-one matching",
    "covariances and eigenvectors",
    "canonical weights",
    "Algorithm 1",
}


def table_of(law) -> pd.DataFrame:
    rows = []
    for varied, sizes in {"n": (100, 200, 400), "p": (8, 16, 64), "k": (2, 4, 16)}.items():
        for size in sizes:
            at = {"n": 400, "p": 64, "k": 16} | {varied: size}
            rows.append({"step": "s", "varied": varied, **at, "seconds": law(**at)})
    return pd.DataFrame(rows)


def test_known_exponents_are_recovered():
    found = fit_exponents(table_of(lambda n, p, k: 3e-6 * n * p**2.5 / k**0.5))
    assert dict(zip(found["varied"], found["exponent"], strict=True)) == pytest.approx(
        {"n": 1.0, "p": 2.5, "k": -0.5}
    )


def test_exponents_are_recovered_from_times_with_noise():
    rng = np.random.default_rng(0)
    found = fit_exponents(table_of(lambda n, p, k: n * p**2 * rng.uniform(0.9, 1.1)))
    assert found.set_index("varied")["exponent"].to_dict() == pytest.approx(
        {"n": 1.0, "p": 2.0, "k": 0.0}, abs=0.15
    )


def test_one_size_alone_has_no_exponent():
    table = table_of(lambda n, p, k: n)
    assert set(fit_exponents(table[table["n"] == 400])["varied"]) == {"p", "k"}


def test_every_step_is_measured_at_every_size():
    table = measure_costs([30, 60], [4, 8], [2, 6, 99], repeats=1)
    assert set(table["step"]) == STEPS
    assert (table["seconds"] > 0).all()
    for _, rows in table.groupby("step"):
        found = rows[["varied", "n", "p", "k"]].itertuples(index=False, name=None)
        assert list(found) == [
            ("n", 30, 8, 8),
            ("n", 60, 8, 8),
            ("p", 60, 4, 4),
            ("p", 60, 8, 8),
            ("k", 60, 8, 2),
            ("k", 60, 8, 6),  # and 99 directions of 8 neurons there are not
        ]


def test_the_fastest_of_the_repeats_counts(monkeypatch):
    seconds = itertools.cycle([3.0, 1.0, 2.0])
    monkeypatch.setattr(costs, "_steps", lambda *size: {"s": next(seconds)})
    assert set(measure_costs([30], [4], [2], repeats=3)["seconds"]) == {1.0}


@pytest.mark.parametrize(
    ("sizes", "repeats", "message"),
    [
        (([], [4], [2]), 1, "n_values must hold at least one size"),
        (([9], [], [2]), 1, "p_values must hold at least one size"),
        (([9], [4], []), 1, "k_values must hold at least one size"),
        (([9], [4], [2]), 0, "repeats must be a whole number >= 1; found 0"),
    ],
)
def test_nothing_to_measure_is_refused(sizes, repeats, message):
    with pytest.raises(ValueError, match=message):
        measure_costs(*sizes, repeats=repeats)


def test_a_prediction_stands_beside_every_step():
    table = predicted_exponents()
    assert set(table["step"]) == STEPS
    assert not table.duplicated(["step", "varied"]).any()
    assert set(table["varied"]) == {"n", "p", "k"}
