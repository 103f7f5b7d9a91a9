"""From records to statements: intervals, paired comparisons, verdicts (Section 5)."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import pandas as pd
from scipy import stats

from .. import checks
from ..alignment.registry import get_operator
from ..alignment.spelling import parse_operator, split_after
from .record import Record

__all__ = [
    "Comparison",
    "Interval",
    "against_all",
    "compare",
    "count_text",
    "exponent",
    "family",
    "heights",
    "holm",
    "interval",
    "join",
    "pair_totals",
    "prediction",
    "quality_and_cost",
    "ratio_interval",
    "share_interval",
    "summary",
    "tidy_number",
]

_RESAMPLES = 9_999


@dataclass(frozen=True)
class Interval:
    """A mean or a share with its 95% interval.

    Attributes
    ----------
    value, low, high : float
        Estimate and the interval's ends.
    n : int
        Number of observations.
    """

    value: float
    low: float
    high: float
    n: int

    def format(self, digits: int = 3) -> str:
        """Return ``value [low, high]`` with that many decimals.

        Examples
        --------
        >>> Interval(0.5, 0.25, 0.75, 9).format(2)
        '0.50 [0.25, 0.75]'
        """
        return f"{self.value:.{digits}f} [{self.low:.{digits}f}, {self.high:.{digits}f}]"

    def contains(self, number: float) -> bool:
        """Return whether a number lies in the interval."""
        return self.low <= number <= self.high


def interval(values) -> Interval:
    r"""Return the mean of a sample with its 95% bootstrap interval.

    .. math:: \bar v = \frac1n \sum_i v_i

    Percentiles 2.5 and 97.5 of the means of 9,999 resamples drawn with a fixed seed.

    Parameters
    ----------
    values : array_like, shape (n,)
        One value a pair; NaN is refused.

    Raises
    ------
    ValueError
        If there is no value or one is not finite.

    Examples
    --------
    >>> interval([1.0, 1.0]).format(1)
    '1.0 [1.0, 1.0]'
    """
    values = np.asarray(values, dtype=float).ravel()
    if not len(values) or not np.all(np.isfinite(values)):
        raise ValueError(f"expected finite values, at least one; found {values}")
    if np.ptp(values) == 0:
        return Interval(values[0], values[0], values[0], len(values))
    found = stats.bootstrap(
        (values,),
        np.mean,
        n_resamples=_RESAMPLES,
        method="percentile",
        rng=np.random.default_rng(0),
        batch=1000,
    ).confidence_interval
    return Interval(values.mean(), found.low, found.high, len(values))


def ratio_interval(numerator, denominator) -> Interval:
    r"""Return the ratio of two means over the same pairs with its 95% bootstrap interval.

    .. math:: \bar u / \bar v

    Pairs are resampled whole, as in `interval`.

    Parameters
    ----------
    numerator, denominator : array_like, shape (n,)
        One value each a pair.

    Raises
    ------
    ValueError
        If there is no value, one is not finite, or the lengths differ.

    Examples
    --------
    >>> ratio_interval([1.0, 2.0], [2.0, 4.0]).format(1)
    '0.5 [0.5, 0.5]'
    """
    u, v = np.asarray(numerator, float).ravel(), np.asarray(denominator, float).ravel()
    if len(u) != len(v) or not len(u) or not np.all(np.isfinite([u, v])):
        raise ValueError(f"expected as many finite values of each; found {len(u)} and {len(v)}")
    ratio = u.mean() / v.mean()
    rows = np.random.default_rng(0).integers(len(u), size=(_RESAMPLES, len(u)))
    low, high = np.percentile(u[rows].mean(1) / v[rows].mean(1), [2.5, 97.5])
    return Interval(float(ratio), float(low), float(high), len(u))


def share_interval(count: int, n: int) -> Interval:
    """Return a share with its exact 95% (Clopper-Pearson) interval.

    Parameters
    ----------
    count, n : int
        Successes, in [0, n], and trials, >= 1.

    Raises
    ------
    ValueError
        If the counts leave their range.

    Examples
    --------
    >>> share_interval(193, 200).format(3)
    '0.965 [0.929, 0.986]'
    """
    checks.whole_number("count", count, 0, checks.whole_number("n", n, 1))
    found = stats.binomtest(int(count), int(n)).proportion_ci(0.95, method="exact")
    return Interval(count / n, found.low, found.high, n)


@dataclass(frozen=True)
class Comparison:
    """How one operator fares against another on the same pairs.

    Attributes
    ----------
    wins, losses, n : int
        Pairs in which the first is better, in which it is worse, and all pairs.
    sign_p : float
        p-value of the exact two-sided sign test, ties left out.
    wilcoxon_p : float
        p-value of the two-sided Wilcoxon signed-rank test.
    difference : Interval
        Mean of first minus second.
    effect : float
        Mean difference over the standard deviation of the differences (Cohen's d for pairs).
    better : bool or None
        Whether the first is better (True) or worse (False) by the sign test at 5%, else None.
    """

    wins: int
    losses: int
    n: int
    sign_p: float
    wilcoxon_p: float
    difference: Interval
    effect: float
    better: bool | None


def compare(
    record: Record, first: str, second: str, *, t: float = 0.5, column: str = "loss"
) -> Comparison:
    """Compare two operators of a record at one t, pair by pair.

    Parameters
    ----------
    record : Record
        With both operators.
    first, second : str
        Operators as the config names them; `first` wins where its loss is lower (or its accuracy
        higher).
    t : float
        A crossover point of the record.
    column : {"loss", "accuracy"}
        What is compared.

    Raises
    ------
    ValueError
        If the record lacks an operator, the t or the column.
    """
    table = record.at(t, column)
    for operator in (first, second):
        if operator not in table:
            raise ValueError(checks.unknown("operator of the record", operator, table.columns))
    difference = (table[first] - table[second]).to_numpy()
    return _compared(difference, -difference if column == "loss" else difference)


def _compared(difference: np.ndarray, gain: np.ndarray) -> Comparison:
    wins, losses = int((gain > 0).sum()), int((gain < 0).sum())
    sign_p = stats.binomtest(wins, wins + losses).pvalue if wins + losses else 1.0
    moved = difference[difference != 0]
    deviation = difference.std(ddof=1) if len(difference) > 1 else 0.0
    return Comparison(
        wins=wins,
        losses=losses,
        n=len(difference),
        sign_p=float(sign_p),
        wilcoxon_p=float(stats.wilcoxon(moved).pvalue) if len(moved) else 1.0,
        difference=interval(difference),
        effect=float(difference.mean() / deviation) if deviation else 0.0,
        better=None if sign_p >= 0.05 else wins > losses,
    )


def against_all(record: Record, reference: str, t: float = 0.5) -> pd.DataFrame:
    r"""Return how every other operator of a record compares with one of them, pair by pair.

    The rule for a verdict, fixed before there was a record: Wilcoxon's signed-rank test on the
    losses of the pairs, its p adjusted by Holm's method for the number of operators m,

    .. math:: \tilde p_{(i)} = \max_{j \le i} \min\{1, (m - j + 1)\, p_{(j)}\}

    is below .05: *better* or *worse* by the sign of the mean difference, else *no difference*.

    Parameters
    ----------
    record : Record
        Of pairs.
    reference : str
        One of its operators.
    t : float
        Crossover point.

    Returns
    -------
    pandas.DataFrame
        operator, difference (`Interval` of its loss minus the reference's), wins, n, p (adjusted)
        and verdict.

    Raises
    ------
    ValueError
        If the record lacks the reference.
    """
    others = [name for name in record.config.operators if name != reference]
    found = [compare(record, name, reference, t=t) for name in others]
    rows = []
    for name, one, p in zip(others, found, holm([f.wilcoxon_p for f in found]), strict=True):
        verdict = "no difference"
        if p < 0.05:
            verdict = "better" if one.difference.value < 0 else "worse"
        rows.append((name, one.difference, one.wins, one.n, float(p), verdict))
    return pd.DataFrame(rows, columns=["operator", "difference", "wins", "n", "p", "verdict"])


def join(records: Sequence[Record]) -> Record:
    """Return one record of several that had other operators on the same pairs.

    Parameters
    ----------
    records : sequence of Record
        Of configs that differ in their operators only. What an earlier one has is taken from it.

    Returns
    -------
    Record
        With the operators of all, and the first one's manifest and folder. There is no such record
        on disk: it is to compare, not to publish.

    Raises
    ------
    ValueError
        If there is none, the configs differ in more than operators, or the pairs have other
        parents.

    Examples
    --------
    >>> from safecross.runs import committed_folder, load_record
    >>> record = load_record(committed_folder() / "fashion-mnist-3ee6dfacba03")
    >>> join([record, record]).config == record.config
    True
    """
    if not records:
        raise ValueError("expected at least one record; found none")
    first, operators = records[0], list(records[0].config.operators)
    tables = {name: [table] for name, table in first.tables.items()}
    parents = first.pairs.set_index("pair")
    for record in records[1:]:
        if record.config.replace(operators=first.config.operators) != first.config:
            raise ValueError(
                "expected configs that differ in their operators only; found "
                f"{first.config} and {record.config}"
            )
        if not np.allclose(record.pairs.set_index("pair"), parents, rtol=1e-6, atol=0):
            raise ValueError(f"expected the same parents in {first.name} and {record.name}")
        new = [name for name in record.config.operators if name not in operators]
        operators += new
        for name, table in record.tables.items():
            if "operator" in table:
                tables[name].append(table[table["operator"].isin(new)])
            elif "step" in table:
                seen = pd.concat(tables[name])["step"].unique()
                tables[name].append(table[~table["step"].isin(seen)])
    joined = {name: pd.concat(parts, ignore_index=True) for name, parts in tables.items()}
    return replace(first, config=first.config.replace(operators=tuple(operators)), tables=joined)


def quality_and_cost(record: Record, t: float = 0.5) -> pd.DataFrame:
    r"""Return what each operator brings back, and what it takes.

    The quality is the share of the accuracy lost by naive crossover that comes back,

    .. math:: \frac{A_{\text{operator}} - A_{\text{naive}}}{A_{\text{parents}} - A_{\text{naive}}}

    for the accuracies A, means over the pairs.

    Parameters
    ----------
    record : Record
        Of pairs of networks, with ``naive`` among its operators.
    t : float
        Crossover point.

    Returns
    -------
    pandas.DataFrame
        operator; share; seconds of one core for one child, the median over the pairs: what the
        operator takes alone, the activations, correlations and eigenvectors that it needs, and its
        repair; needs, as the registry has it; and front, whether no cheaper operator brings back as
        much.

    Examples
    --------
    >>> from safecross.runs import committed_folder, load_record
    >>> record = load_record(committed_folder() / "fashion-mnist-3ee6dfacba03")
    >>> float(quality_and_cost(record).set_index("operator").loc["naive", "share"])
    0.0
    """
    accuracy = record.at(t, "accuracy").mean()
    parents = record.pairs[["accuracy_a", "accuracy_b"]].to_numpy().mean()
    seconds = record.timings.groupby("step", observed=True)["seconds"].median()
    batch = "activations of the batch"  # which a record has that aligns on other examples
    activations = seconds[batch if batch in seconds else "activations"] + seconds["correlations"]
    rows = []
    for operator in record.config.operators:
        plain, after = split_after(operator)
        name, options = parse_operator(plain)
        method = get_operator(name)(**options)
        taken = seconds[f"align {operator}"]
        if method.needs == "activations":
            taken += activations
        if "ridge" in method.options:
            taken += seconds["covariances and eigenvectors"]
        if after:
            curves = seconds[f"curve {operator}"] - seconds[f"curve {plain}"]
            taken += curves / len(record.config.t)
        share = (accuracy[operator] - accuracy["naive"]) / (parents - accuracy["naive"])
        rows.append((operator, float(share), float(taken), method.needs))
    table = pd.DataFrame(rows, columns=["operator", "share", "seconds", "needs"])
    ordered = table.sort_values("seconds", kind="stable")
    cheaper = ordered["share"].cummax().shift(fill_value=-np.inf)
    return table.assign(front=ordered["share"] > cheaper)


def prediction(values) -> Interval:
    r"""Return the interval in which one more observation lies with probability 95%.

    .. math:: \bar v \pm t_{.975,\,n-1}\; s\, \sqrt{1 + 1/n}

    for a sample of mean :math:`\bar v` and deviation s, of a normal distribution. Another's single
    run is judged by it: *agrees* if it lies inside.

    Parameters
    ----------
    values : array_like, shape (n,)
        At least two.

    Raises
    ------
    ValueError
        If there are fewer than two values or one is not finite.

    Examples
    --------
    >>> prediction([1.0, 2.0, 3.0]).format(2)
    '2.00 [-2.97, 6.97]'
    """
    values = np.asarray(values, dtype=float).ravel()
    if len(values) < 2 or not np.all(np.isfinite(values)):
        raise ValueError(f"expected finite values, at least two; found {values}")
    n, mean = len(values), values.mean()
    reach = stats.t.ppf(0.975, n - 1) * values.std(ddof=1) * (1 + 1 / n) ** 0.5
    return Interval(mean, mean - reach, mean + reach, n)


def heights(record: Record, t: float = 0.5) -> pd.DataFrame:
    r"""Return how far each operator's loss at t lies above the mean of its parents'.

    .. math:: \mathcal{L}(\theta_t) - \tfrac12 (\mathcal{L}_a + \mathcal{L}_b)

    Parameters
    ----------
    record : Record
        Of pairs.
    t : float
        Crossover point.

    Returns
    -------
    pandas.DataFrame
        A row a pair, a column an operator, in nats.
    """
    parents = record.pairs.set_index("pair")[["loss_a", "loss_b"]].mean(axis=1)
    return record.at(t).sub(parents, axis=0)


def exponent(sizes, values) -> Interval:
    r"""Return the exponent of a power law, with its 95% interval.

    .. math:: \log v_i = a + b \log s_i + \varepsilon_i

    b by least squares, and Student's interval of it.

    Parameters
    ----------
    sizes, values : array_like, shape (n,)
        All positive; at least three, of two sizes or more.

    Raises
    ------
    ValueError
        If they are not.

    Examples
    --------
    >>> exponent([1, 2, 4, 8], [3, 12, 48, 192]).format(1)
    '2.0 [2.0, 2.0]'
    """
    sizes, values = (np.asarray(part, dtype=float).ravel() for part in (sizes, values))
    if len(sizes) != len(values) or len(sizes) < 3 or np.ptp(sizes) == 0:
        raise ValueError(
            "expected a value for each size, three or more, of two sizes at least; found "
            f"{len(sizes)} sizes and {len(values)} values"
        )
    if not (np.all(sizes > 0) and np.all(values > 0)):
        raise ValueError("expected positive sizes and values; a power law has no others")
    found = stats.linregress(np.log(sizes), np.log(values))
    reach = stats.t.ppf(0.975, len(sizes) - 2) * found.stderr
    return Interval(found.slope, found.slope - reach, found.slope + reach, len(sizes))


def holm(p: Sequence[float]) -> np.ndarray:
    r"""Return p-values of a family of tests, adjusted by Holm's method.

    .. math:: \tilde p_{(i)} = \max_{j \le i} \min\{1, (m - j + 1)\, p_{(j)}\}

    Parameters
    ----------
    p : sequence of float, shape (m,)
        In any order.

    Notes
    -----
    Source: Holm 1979.

    Examples
    --------
    >>> holm([0.01, 0.04, 0.03]).tolist()
    [0.03, 0.06, 0.06]
    """
    raw = np.asarray(p, dtype=float)
    order = np.argsort(raw, kind="stable")
    adjusted = np.empty_like(raw)
    factors = np.arange(len(raw), 0, -1)
    adjusted[order] = np.minimum(1, np.maximum.accumulate(factors * raw[order]))
    return adjusted


def family(table: pd.DataFrame, comparisons: Sequence[tuple[str, str]]) -> pd.DataFrame:
    """Return how some columns compare with others, row by row, as one family of tests.

    The rule for a verdict: Wilcoxon's signed-rank test on the differences, its p adjusted by
    `holm` over all comparisons, below .05: *higher* or *lower* by the sign of the mean difference,
    else *no difference*.

    Parameters
    ----------
    table : pandas.DataFrame
        A row for each unit, such as a run, and a column for each thing that is measured of it.
    comparisons : sequence of (str, str)
        First and second column.

    Returns
    -------
    pandas.DataFrame
        first, second, difference (`Interval` of first minus second), higher (in how many rows the
        first is), n, p (adjusted) and verdict.

    Raises
    ------
    ValueError
        If there is no such column.

    Examples
    --------
    >>> table = pd.DataFrame({"a": [1.0] * 8, "b": np.arange(2, 10) / 1.0})
    >>> family(table, [("a", "b")])[["higher", "n", "verdict"]].values.tolist()
    [[0, 8, 'lower']]
    """
    for name in {name for pair in comparisons for name in pair}:
        if name not in table:
            raise ValueError(checks.unknown("column", name, list(table.columns)))
    differences = [(table[a] - table[b]).to_numpy() for a, b in comparisons]
    found = [_compared(difference, difference) for difference in differences]
    rows = []
    adjusted = holm([one.wilcoxon_p for one in found])
    for (first, second), one, p in zip(comparisons, found, adjusted, strict=True):
        verdict = "no difference"
        if p < 0.05:
            verdict = "higher" if one.difference.value > 0 else "lower"
        rows.append((first, second, one.difference, one.wins, one.n, float(p), verdict))
    columns = ["first", "second", "difference", "higher", "n", "p", "verdict"]
    return pd.DataFrame(rows, columns=columns)


def pair_totals(record: Record, statistic: str, layer: int | None = None) -> pd.Series:
    """Return a count of each pair, summed over hidden layers or of one layer.

    Where a count could not be taken (Bartlett's test on too few examples) it is NaN.

    Parameters
    ----------
    record : Record
        With that statistic.
    statistic : str
        Such as ``"row maxima above 0.7"``.
    layer : int, optional
        Hidden layer from 1; all by default.

    Raises
    ------
    ValueError
        If the record has no such statistic; the message gives the nearest names.
    """
    rows = record.statistics[record.statistics["statistic"] == statistic]
    if rows.empty:
        known = record.statistics["statistic"].unique()
        raise ValueError(checks.unknown("statistic", statistic, known))
    if layer is not None:
        rows = rows[rows["layer"] == layer]
        if rows.empty:
            depth = len(record.config.hidden)
            raise ValueError(f"layer must be a hidden layer in [1, {depth}]; found {layer!r}")
    return rows.groupby("pair")["value"].agg(lambda values: values.sum(skipna=False))


def count_text(record: Record, statistic: str, digits: int = 2) -> str:
    """Return the mean of a count over the pairs with its interval, or why there is none.

    Parameters
    ----------
    record, statistic
        As for `pair_totals`.
    digits : int
        Decimals.
    """
    totals = pair_totals(record, statistic)
    return "too few examples" if totals.isna().any() else interval(totals).format(digits)


def tidy_number(value: float) -> str:
    """Return a p-value or another small positive number as a reader takes it in.

    Examples
    --------
    >>> tidy_number(0.0312), tidy_number(3e-20), tidy_number(1.0)
    ('0.031', '3e-20', '1')
    """
    return f"{value:.2g}" if value >= 1e-3 else f"{value:.0e}"


def summary(record: Record, t: float = 0.5, operators: Sequence[str] | None = None) -> pd.DataFrame:
    """Return loss, accuracy and comparison with naive crossover of each operator at one t.

    Parameters
    ----------
    record : Record
        With the operator ``naive``.
    t : float
        A crossover point of the record.
    operators : sequence of str, optional
        Which; all by default.

    Returns
    -------
    pandas.DataFrame
        operator, loss, accuracy (each with its 95% interval), wins (pairs in which its loss is
        below that of naive), the sign test's and Wilcoxon's p, and the effect size.
    """
    loss, accuracy = record.at(t, "loss"), record.at(t, "accuracy")
    rows = []
    for operator in operators or record.config.operators:
        row = {
            "operator": operator,
            "loss": interval(loss[operator]).format(),
            "accuracy": interval(accuracy[operator]).format(),
        }
        if operator != "naive":
            against = compare(record, operator, "naive", t=t)
            row |= {
                "wins": f"{against.wins} / {against.n}",
                "sign test p": tidy_number(against.sign_p),
                "Wilcoxon p": tidy_number(against.wilcoxon_p),
                "effect": f"{against.effect:.2f}",
            }
        rows.append(row)
    return pd.DataFrame(rows).fillna("")
