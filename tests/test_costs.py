"""Costs are measured step by step, and their exponents are found where they are known."""

import itertools
import pickle

import numpy as np
import pandas as pd
import pytest

from safecross import DamagedFile
from safecross.networks.training import training_operations
from safecross.replication import costs
from safecross.replication.costs import (
    bfloat16_effect,
    fit_exponents,
    load_benchmark,
    measure_costs,
    predicted_exponents,
    project,
    training_share,
)
from safecross.runs import PRODUCT_SIZE, tasks

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


def test_a_size_of_one_value_is_held():
    table = measure_costs([30, 60], [4], [2], repeats=1)
    assert set(table["varied"]) == {"n"}
    assert set(table["n"]) == {30, 60}


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


# Benchmark, training, and experiments on paper


def test_the_published_benchmark_has_what_the_chapters_show():
    found = load_benchmark()
    groups = {"calls", "limit", "modules", "pair", "peers", "training"}
    assert groups == {row["group"] for row in found["rows"]}
    for row in found["rows"]:
        assert 0 < row["low"] <= row["value"] <= row["high"], row
    assert [row["pairs"] for row in found["pairs"]] == [1, 10, 100]
    assert max(row["p"] for row in found["wide"]) == 4096
    assert {row["dataset"] for row in found["bfloat16"]} == {"mnist", "cifar10"}
    assert found["finished"] and found["machine"]


def test_the_effect_of_bfloat16_is_that_of_the_benchmark():
    (row,) = (r for r in load_benchmark()["bfloat16"]
              if (r["dataset"], r["what"]) == ("mnist", "parents"))  # fmt: skip
    first = bfloat16_effect()[0]
    assert first.startswith(f"on mnist, {row['pairs']} pairs")
    assert f"{row['loss_float32']:.4f} with float32, {row['loss_bfloat16']:.4f} with" in first


def test_a_missing_benchmark_is_named(tmp_path, monkeypatch):
    monkeypatch.setattr(costs, "committed_folder", lambda: tmp_path)
    with pytest.raises(DamagedFile, match=r"benchmark\.json"):
        load_benchmark()


def test_the_share_of_the_limit_is_that_of_known_times(make_record):
    seconds = {"train a": 3.0, "train b": 5.0, "product": 0.01}
    record = make_record({"naive": [1.0, 2.0]}, seconds=seconds)
    record.manifest.update(widths=[784, 512, 10], n_train=60_000)
    operations = 2 * training_operations([784, 512, 10], 60_000, 5)
    limit = 2 * PRODUCT_SIZE**3 / 0.01
    assert training_share(record).tolist() == pytest.approx([operations / 8 / limit] * 2)


def test_a_record_without_the_limit_has_no_share(make_record):
    record = make_record({"naive": [1.0, 2.0]}, seconds={"train a": 1.0, "train b": 1.0})
    with pytest.raises(ValueError, match=r"record mnist-\w+ has no seconds of a large product"):
        training_share(record)


def test_costs_on_paper_are_those_of_the_run(small_record, small_run):
    found = project(small_record, 4)
    seconds = small_record.timings.groupby("pair")["seconds"].sum()
    assert found["core_hours"] == pytest.approx(4 * seconds.median() / 3600)
    on_disk = {
        what: sum(path.stat().st_size for path in small_run.rglob(pattern))
        for what, pattern in (("parents", "network-*"), ("pair_files", "pair-*"))
    }
    # Files of networks this small are mostly headers, those of pairs hold metadata too.
    assert found["parents"] < on_disk["parents"]
    assert found["parents"] == 8 * 4 * (9 * 5 + 5 + 5 * 4 + 4 + 4 * 3 + 3)
    assert found["pair_files"] == pytest.approx(on_disk["pair_files"], rel=0.2)
    ten_times = project(small_record, 40)
    assert all(ten_times[what] == pytest.approx(10 * found[what]) for what in found)
    with pytest.raises(ValueError, match="n_pairs must be a whole number >= 1; found 0"):
        project(small_record, 0)


def test_a_task_is_a_config_and_numbers(small_config, tmp_path):
    (first, second) = tasks(small_config, [0, 3], tmp_path)
    assert first[1][:2] == (small_config, [0])
    assert second[1][:2] == (small_config, [3])
    assert not any(hasattr(argument, "numpy") for argument in first[1])
    assert len(pickle.dumps(first)) < 2000
