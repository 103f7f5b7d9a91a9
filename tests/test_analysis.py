"""Intervals and comparisons are those of SciPy, and those one can work out by hand."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats
from statsmodels.stats.multitest import multipletests

from safecross.runs.analysis import (
    Comparison,
    Interval,
    against_all,
    compare,
    count_text,
    exponent,
    heights,
    holm,
    interval,
    join,
    pair_totals,
    prediction,
    quality_and_cost,
    ratio_interval,
    share_interval,
    summary,
    tidy_number,
)


@pytest.fixture(scope="module")
def sample() -> np.ndarray:
    return np.random.default_rng(3).normal(2.0, 0.5, 200)


def test_an_interval_is_the_bootstraps(sample):
    found = interval(sample)
    assert (found.value, found.n) == (pytest.approx(sample.mean()), 200)
    rng = np.random.default_rng(1)
    means = sample[rng.integers(0, 200, (20_000, 200))].mean(axis=1)
    assert found.low == pytest.approx(np.quantile(means, 0.025), abs=0.004)
    assert found.high == pytest.approx(np.quantile(means, 0.975), abs=0.004)
    # A mean of 200 values is nearly normal: the textbook's interval is close.
    low, high = stats.norm.interval(0.95, sample.mean(), stats.sem(sample))
    assert (found.low, found.high) == (pytest.approx(low, abs=0.01), pytest.approx(high, abs=0.01))


def test_an_interval_is_the_same_every_time(sample):
    assert interval(sample) == interval(list(sample))


def test_intervals_of_95_percent_hold_the_truth_that_often():
    rng = np.random.default_rng(0)
    hits = [interval(rng.normal(1.0, 1.0, 60)).contains(1.0) for _ in range(100)]
    assert 88 <= sum(hits) <= 100


@pytest.mark.parametrize("values", [[2.5], [2.5, 2.5, 2.5]])
def test_equal_values_have_an_interval_of_no_width(values):
    assert interval(values) == Interval(2.5, 2.5, 2.5, len(values))


@pytest.mark.parametrize("values", [[], [1.0, np.nan], [np.inf]])
def test_what_has_no_mean_has_no_interval(values):
    with pytest.raises(ValueError, match="expected finite values, at least one; found"):
        interval(values)


@given(st.integers(1, 300).flatmap(lambda n: st.tuples(st.integers(0, n), st.just(n))))
def test_a_share_has_the_exact_interval(drawn):
    count, n = drawn
    found = share_interval(count, n)
    low = stats.beta.ppf(0.025, count, n - count + 1) if count else 0.0
    high = stats.beta.ppf(0.975, count + 1, n - count) if count < n else 1.0
    assert (found.value, found.n) == (count / n, n)
    assert (found.low, found.high) == (pytest.approx(low), pytest.approx(high))


@pytest.mark.parametrize(("count", "n"), [(-1, 5), (6, 5), (0, 0), (1.5, 5)])
def test_counts_out_of_range_are_refused(count, n):
    with pytest.raises(ValueError, match="must be a whole number"):
        share_interval(count, n)


def test_an_interval_is_written_and_asked():
    found = Interval(0.5, 0.25, 0.75, 9)
    assert found.format() == "0.500 [0.250, 0.750]"
    assert [found.contains(x) for x in (0.24, 0.25, 0.75, 0.76)] == [False, True, True, False]


# Two operators


def test_a_comparison_is_that_of_scipy(make_record):
    rng = np.random.default_rng(0)
    naive, aligned = rng.normal(1.0, 0.1, 30), rng.normal(0.9, 0.1, 30)
    found = compare(make_record({"naive": naive, "sc-pwc": aligned}), "sc-pwc", "naive")
    difference = aligned - naive
    wins = int((difference < 0).sum())
    assert (found.wins, found.losses, found.n) == (wins, 30 - wins, 30)
    assert found.sign_p == pytest.approx(stats.binomtest(wins, 30).pvalue)
    assert found.wilcoxon_p == pytest.approx(stats.wilcoxon(aligned, naive).pvalue)
    assert found.difference == interval(difference)
    assert found.effect == pytest.approx(difference.mean() / difference.std(ddof=1))
    assert found.better is (True if found.sign_p < 0.05 else None)


def test_a_comparison_worked_out_by_hand(make_record):
    losses = {"naive": [1.0] * 8, "sc-pwc": [0.5] * 6 + [1.5, 1.0]}
    found = compare(make_record(losses), "sc-pwc", "naive")
    assert (found.wins, found.losses, found.n) == (6, 1, 8)  # and a tie
    assert found.sign_p == pytest.approx(2 * (1 + 7) / 2**7)
    assert found.difference.value == pytest.approx((6 * -0.5 + 0.5) / 8)
    assert found.better is None
    turned = compare(make_record(losses), "naive", "sc-pwc")
    assert (turned.wins, turned.losses) == (1, 6)
    assert turned.effect == pytest.approx(-found.effect)


@pytest.mark.parametrize(("first", "better"), [("sc-pwc", True), ("naive", False)])
def test_the_better_one_is_named_as_such(make_record, first, better):
    record = make_record({"naive": 1.0, "sc-pwc": [0.9] * 10}, accuracy={"sc-pwc": 0.6})
    second = {"naive": "sc-pwc", "sc-pwc": "naive"}[first]
    for column in ("loss", "accuracy"):
        found = compare(record, first, second, column=column)
        assert found.better is better
        assert found.wins == (10 if better else 0)
        assert found.sign_p == pytest.approx(2 / 2**10)


def test_equal_operators_are_not_told_apart(make_record):
    found = compare(make_record({"naive": [1.0, 2.0], "sc-pwc": [1.0, 2.0]}), "sc-pwc", "naive")
    nothing = Interval(0.0, 0.0, 0.0, 2)
    assert found == Comparison(0, 0, 2, 1.0, 1.0, nothing, 0.0, None)


def test_one_pair_or_a_constant_difference_has_no_effect_size(make_record):
    found = compare(make_record({"naive": [1.0], "sc-pwc": [0.5]}), "sc-pwc", "naive")
    assert (found.effect, found.better) == (0.0, None)
    found = compare(make_record({"naive": [1.0, 2.0], "sc-pwc": [0.5, 1.5]}), "sc-pwc", "naive")
    assert (found.effect, found.difference.value) == (0.0, -0.5)


def test_what_a_record_lacks_is_named(make_record):
    record = make_record({"naive": [1.0], "sc-pwc": [0.5]})
    with pytest.raises(ValueError, match="unknown operator of the record 'sc-pw': did you mean"):
        compare(record, "sc-pw", "naive")
    with pytest.raises(ValueError, match="expected t among"):
        compare(record, "sc-pwc", "naive", t=0.25)


# Tables


def test_counts_are_summed_over_layers(small_record):
    name = "row maxima above 0.7"
    rows = small_record.statistics.query("statistic == @name").set_index(["pair", "layer"])["value"]
    for pair in range(4):
        assert pair_totals(small_record, name)[pair] == rows[pair, 1] + rows[pair, 2]
        assert pair_totals(small_record, name, layer=2)[pair] == rows[pair, 2]
    with pytest.raises(ValueError, match="unknown statistic 'row maxima': did you mean"):
        pair_totals(small_record, "row maxima")


def test_the_summary_says_what_the_parts_say(make_record):
    record = make_record({"naive": [1.0, 1.1, 1.3], "sc-pwc": [0.5, 0.7, 0.6]})
    table = summary(record).set_index("operator")
    assert list(table.index) == ["naive", "sc-pwc"]
    assert table.loc["sc-pwc", "loss"] == interval([0.5, 0.7, 0.6]).format()
    assert table.loc["sc-pwc", "wins"] == "3 / 3"
    assert table.loc["sc-pwc", "sign test p"] == "0.25"
    assert table.loc["naive", "wins"] == ""
    assert list(summary(record, operators=["naive"])["operator"]) == ["naive"]


@pytest.mark.parametrize(("value", "text"), [(0.05, "0.05"), (9.9e-4, "1e-03"), (0.5, "0.5")])
def test_small_numbers_are_short(value, text):
    assert tidy_number(value) == text


def test_a_ratio_resamples_its_pairs_whole():
    rng = np.random.default_rng(0)
    v = rng.uniform(1, 2, 300)
    exact = ratio_interval(3 * v, v)
    assert (exact.low, exact.high) == pytest.approx((3, 3))  # a constant ratio has no spread
    found = ratio_interval(v + rng.normal(0, 0.5, 300), v)
    assert found.low < found.value < found.high and found.contains(1.0)
    assert found.n == 300
    with pytest.raises(ValueError, match="as many finite values of each; found 1 and 2"):
        ratio_interval([1.0], [1.0, 2.0])
    with pytest.raises(ValueError, match="finite"):
        ratio_interval([np.nan], [1.0])


def test_a_count_that_could_not_be_taken_is_not_0(make_record):
    record = make_record({"naive": [1.0] * 3}, counts={"some": [1.0, np.nan, 2.0]})
    totals = pair_totals(record, "some")
    assert totals.isna().tolist() == [False, True, False]
    with pytest.raises(ValueError, match=r"hidden layer in \[1, 1\]; found 9"):
        pair_totals(record, "some", layer=9)


def test_the_text_of_a_count_says_where_there_is_none(make_record):
    counts = {"some": [1.0, np.nan, 2.0], "all": [1.0, 4.0, 1.0]}
    record = make_record({"naive": [1.0] * 3}, counts=counts)
    assert count_text(record, "some") == "too few examples"
    assert count_text(record, "all", 1) == interval([1, 4, 1]).format(1)


def test_two_pairs_have_an_effect_size(make_record):
    found = compare(make_record({"naive": [1.0, 2.0], "sc-pwc": [0.5, 1.0]}), "sc-pwc", "naive")
    assert found.effect == pytest.approx(-0.75 / np.std([-0.5, -1.0], ddof=1))


def test_a_difference_of_1_counts_as_any_other(make_record):
    naive, aligned = [2.0, 3.0, 4.0, 5.0, 6.0], [3.0, 2.5, 5.0, 3.0, 3.0]
    found = compare(make_record({"naive": naive, "sc-pwc": aligned}), "sc-pwc", "naive")
    assert found.wilcoxon_p == pytest.approx(stats.wilcoxon(aligned, naive).pvalue)


def test_intervals_are_of_floats():
    assert type(interval([2, 2]).value) in (float, np.float64)
    assert interval([1, 2, 3]) == interval([1.0, 2.0, 3.0])


def test_a_ratios_interval_is_that_of_resampling_by_hand():
    rng = np.random.default_rng(5)
    u, v = rng.normal(3, 1, 20), rng.normal(2, 0.3, 20)
    draws = np.random.default_rng(0).integers(20, size=(9_999, 20))
    ratios = [u[rows].mean() / v[rows].mean() for rows in draws]
    found = ratio_interval(u, v)
    assert found.value == pytest.approx(u.mean() / v.mean())
    assert (found.low, found.high) == pytest.approx(tuple(np.quantile(ratios, [0.025, 0.975])))


def test_a_count_has_two_decimals(make_record):
    record = make_record({"naive": [1.0] * 3}, counts={"all": [1.0, 4.0, 1.0]})
    assert count_text(record, "all") == interval([1, 4, 1]).format(2)


def test_all_operators_are_held_against_one_with_holms_correction(make_record):
    rng = np.random.default_rng(7)
    base = rng.normal(1.0, 0.1, 20)
    others = {"naive": 0.3, "sc-cca": 0.01, "sc-pwc-greedy": -0.2, "bias-sort": 0.0}
    loss = {name: base + shift + rng.normal(0, 0.05, 20) for name, shift in others.items()}
    record = make_record({"sc-pwc": base, **loss})
    found = against_all(record, "sc-pwc").set_index("operator")
    assert list(found.index) == list(others)
    raw = [stats.wilcoxon(loss[name] - base).pvalue for name in others]
    np.testing.assert_allclose(found["p"], multipletests(raw, method="holm")[1])
    assert list(found["verdict"]) == ["worse", "no difference", "better", "no difference"]
    assert found.loc["naive", "wins"] == 0
    assert found.loc["naive", "difference"].value == pytest.approx((loss["naive"] - base).mean())
    with pytest.raises(ValueError, match="unknown operator of the record 'sc-pcw'"):
        against_all(record, "sc-pcw")


def test_joined_records_have_all_operators_and_the_first_ones_numbers(make_record):
    one = make_record(
        {"naive": [0.3, 0.4], "sc-pwc": 0.1}, seconds={"train a": 1, "align naive": 2}
    )
    two = make_record(
        {"sc-pwc": 0.2, "random": [0.5, 0.6]}, seconds={"train a": 3, "align random": 4}
    )
    found = join([one, two])
    assert found.config.operators == ("naive", "sc-pwc", "random")
    assert found.at(0.5).to_dict("list") == {
        "naive": [0.3, 0.4],
        "sc-pwc": [0.1, 0.1],
        "random": [0.5, 0.6],
    }
    seconds = found.timings.groupby("step")["seconds"].agg(["first", "size"])
    assert seconds["first"].to_dict() == {"align naive": 2, "align random": 4, "train a": 1}
    assert (seconds["size"] == 2).all()
    assert len(one.curves) == 12, "what was joined is as it was"


def test_records_of_other_pairs_are_not_joined(make_record):
    one = make_record({"naive": [0.3, 0.4]})
    with pytest.raises(ValueError, match="expected the same parents"):
        join([one, make_record({"sc-pwc": [0.3, 0.4]}, parents=[0.07, 0.08])])
    with pytest.raises(ValueError, match="configs that differ in their operators only"):
        join([one, make_record({"sc-pwc": [0.3, 0.4]}, epochs=6)])
    with pytest.raises(ValueError, match="at least one record; found none"):
        join([])


def test_quality_is_a_share_of_what_is_lost_and_cost_counts_what_is_needed(make_record):
    accuracy = {"naive": 0.5, "weight-matching": 0.7, "sc-pwc": 0.6, "sc-cca": 0.85, "random": 0.4}
    accuracy |= {"sc-pwc+repair": 0.9, "ot:cost=weights": 0.65}
    seconds = {f"align {name}": 1.0 for name in accuracy} | {
        "align naive": 0.5,
        "align random": 0.75,
    }
    seconds |= {"activations": 10.0, "correlations": 20.0, "covariances and eigenvectors": 40.0}
    seconds |= {"curve sc-pwc": 3.0, "curve sc-pwc+repair": 12.0}
    record = make_record(
        {name: [0.1, 0.1] for name in accuracy}, accuracy, parents_accuracy=0.9, seconds=seconds
    )
    found = quality_and_cost(record).set_index("operator")
    expected = {name: (value - 0.5) / 0.4 for name, value in accuracy.items()}
    assert found["share"].to_dict() == pytest.approx(expected)
    assert found["seconds"].to_dict() == pytest.approx(
        {
            "naive": 0.5,
            "weight-matching": 1.0,
            "sc-pwc": 31.0,
            "sc-cca": 71.0,
            "random": 0.75,
            "sc-pwc+repair": 31.0 + 9 / 3,
            "ot:cost=weights": 1.0,  # which looks at no activations, as ot by default does
        }
    )
    assert found.index[found["front"]].tolist() == ["naive", "weight-matching", "sc-pwc+repair"]
    assert (found.loc[["weight-matching", "ot:cost=weights"], "needs"] == "weights").all()


def test_a_prediction_holds_one_more_observation():
    rng = np.random.default_rng(0)
    samples = rng.normal(3.0, 2.0, (4000, 6))
    inside = [prediction(row[:5]).contains(row[5]) for row in samples]
    assert np.mean(inside) == pytest.approx(0.95, abs=0.01)
    mean_only = [interval_of_mean(row[:5], row[5]) for row in samples]
    assert np.mean(mean_only) < 0.75, "the interval of the mean is another, narrower one"
    with pytest.raises(ValueError, match="at least two; found"):
        prediction([1.0])
    with pytest.raises(ValueError, match="expected finite values"):
        prediction([1.0, np.nan])


def interval_of_mean(values, number) -> bool:
    low, high = stats.t.interval(0.95, len(values) - 1, np.mean(values), stats.sem(values))
    return low <= number <= high


def test_an_exponent_is_that_of_the_power_law():
    rng = np.random.default_rng(0)
    sizes = np.repeat([50, 100, 200, 400], 20)
    covered = 0
    for _ in range(400):
        values = 3.0 * sizes**-0.5 * np.exp(rng.normal(0, 0.3, len(sizes)))
        found = exponent(sizes, values)
        covered += found.contains(-0.5)
        assert found.n == 80
    assert covered / 400 == pytest.approx(0.95, abs=0.03)
    slope, _ = np.polyfit(np.log(sizes), np.log(values), 1)
    assert found.value == pytest.approx(slope)
    assert not found.contains(0.0)
    with pytest.raises(ValueError, match="positive sizes and values"):
        exponent([1, 2, 3], [1, -1, 2])
    with pytest.raises(ValueError, match="of two sizes at least; found 3 sizes and 3 values"):
        exponent([2, 2, 2], [1, 2, 3])


def test_a_height_is_a_loss_above_its_own_parents(make_record):
    record = make_record({"naive": [0.3, 0.4], "sc-pwc": 0.1}, parents=[0.1, 0.3])
    found = heights(record)
    np.testing.assert_allclose(found["naive"], [0.2, 0.1])
    np.testing.assert_allclose(found["sc-pwc"], [0.0, -0.2])
    np.testing.assert_allclose(heights(record, 1.0)["naive"], 0.0, atol=1e-12)


def test_no_adjusted_p_is_above_1():
    assert holm([0.9, 0.8]).tolist() == [1, 1]
