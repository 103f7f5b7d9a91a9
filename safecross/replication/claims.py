"""The quantitative and ranking claims of the paper, each quoted, with the rule that judges it."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np
import pandas as pd
from scipy import stats

from ..runs import Record
from ..runs.analysis import (
    Comparison,
    Interval,
    compare,
    interval,
    pair_totals,
    ratio_interval,
    share_interval,
)
from ..runs.analysis import tidy_number as tidy
from .paper import RIDGES, sc_cca

__all__ = ["CLAIMS", "VERDICTS", "Claim", "judge_claims"]

#: What a claim can come out as.
VERDICTS = ("replicates", "does not replicate", "cannot be decided")


@dataclass(frozen=True)
class Claim:
    """A claim of the paper and the rule by which ours is held against it.

    Attributes
    ----------
    number : int
        Its number in the book.
    name : str
        Short and lasting; links to its evidence use it.
    text : str
        The claim in our words.
    place : str
        Where the paper makes it.
    quote : str
        The paper's own words.
    published : str
        The paper's figure or ranking.
    rule : str
        When it counts as replicated.
    chapter : str
        The chapter that shows it.
    role : str
        ``"mnist"`` or ``"cifar10"``.
    table : str
        Which record it needs, ``"main"`` or ``"sweep"``.
    judge : callable of Record
        Returns ours as text, and the verdict.
    """

    number: int
    name: str
    text: str
    place: str
    quote: str
    published: str
    rule: str
    chapter: str
    role: str
    table: str
    judge: Callable[[Record], tuple[str, str]]


#: Columns of the table of `judge_claims`.
COLUMNS = (
    "number", "name", "claim", "place", "quote", "published", "ours", "rule", "verdict", "chapter",
)  # fmt: skip

#: All claims, in the order of the paper.
CLAIMS: list[Claim] = []


def _claim(*about, table="main"):
    def add(judge):
        CLAIMS.append(Claim(len(CLAIMS) + 1, *about, table, judge))
        return judge

    return add


def judge_claims(records: Mapping[tuple[str, str], Record], chapter: str = "") -> pd.DataFrame:
    """Return the table of claims with ours and the verdict.

    Parameters
    ----------
    records : mapping of (role, table) to Record
        Such as ``{("mnist", "main"): record}``; claims without a record are left out.
    chapter : str, optional
        Only the claims of this chapter.

    Returns
    -------
    pandas.DataFrame
        number, name, claim, place, quote, published, ours, rule, verdict, chapter; empty, with
        these columns, if there is no record for any.
    """
    rows = []
    for claim in CLAIMS:
        record = records.get((claim.role, claim.table))
        if record is None or chapter not in ("", claim.chapter):
            continue
        ours, verdict = claim.judge(record)
        rows.append(
            {
                "number": claim.number,
                "name": claim.name,
                "claim": claim.text,
                "place": claim.place,
                "quote": claim.quote,
                "published": claim.published,
                "ours": ours,
                "rule": claim.rule,
                "verdict": verdict,
                "chapter": claim.chapter,
            }
        )
    return pd.DataFrame(rows, columns=COLUMNS)


# Rules ----------------------------------------------------------------------------------------


def _verdict(holds: bool | None) -> str:
    return VERDICTS[2] if holds is None else VERDICTS[0 if holds else 1]


def _near(ours: Interval, published: float, tolerance: float, digits: int = 3):
    holds = ours.contains(published) or abs(ours.value - published) <= tolerance
    return ours.format(digits), _verdict(holds)


def _below(ours: Interval, bound: float, digits: int = 3):
    """Hold if the whole interval is below the bound, fail if it is above."""
    holds = True if ours.high < bound else False if ours.low > bound else None
    return ours.format(digits), _verdict(holds)


def _ranking(found: Comparison):
    text = (
        f"better in {found.wins} of {found.n} pairs (sign test p = {tidy(found.sign_p)}), "
        f"difference of loss {found.difference.format()}"
    )
    return text, _verdict(found.better)


def _wins(record: Record, operator: str, published: int):
    found = compare(record, operator, "naive")
    share = share_interval(found.wins, found.n)
    text = f"{found.wins} of {found.n}, {share.format(3)}"
    both = [[found.wins, found.n - found.wins], [published, 200 - published]]
    if found.n < 50:
        return text, None  # too few pairs to tell such counts apart
    return text, bool(stats.fisher_exact(both).pvalue >= 0.05 / len(RIDGES))


def _every(verdicts: list[bool | None]) -> str:
    return _verdict(None if None in verdicts else all(verdicts))


def _cca(record: Record) -> str:
    return next(op for op in record.config.operators if op.startswith("sc-cca"))


def _parents(record: Record, column: str) -> np.ndarray:
    return record.pairs[[f"{column}_a", f"{column}_b"]].to_numpy().ravel()


def _midpoint(record: Record) -> pd.Series:
    """Return the mean of both parents' losses of each pair."""
    return record.pairs.set_index("pair")[["loss_a", "loss_b"]].mean(axis=1)


def _removed(record: Record, operator: str) -> Interval:
    """Return which share of naive crossover's excess loss at t = 0.5 an operator removes."""
    loss, parents = record.at(0.5), _midpoint(record)
    gain, excess = loss["naive"] - loss[operator], loss["naive"] - parents
    return ratio_interval(gain, excess)


def _best_child_beats_parents(record: Record, operator: str) -> Interval:
    rows = record.curves.query("operator == @operator and t > 0 and t < 1")
    best = rows.groupby("pair")["loss"].min()
    parent = record.pairs.set_index("pair")[["loss_a", "loss_b"]].min(axis=1)
    return share_interval(int((best < parent).sum()), len(best))


# The claims -----------------------------------------------------------------------------------

_RIDGE_RULE = (
    "Fisher's exact test of our count against the published one does not reject, for each penalty "
    "(5% over the three)"
)
_COST_RULE = "below a tenth of the two parents' training time, at our number of epochs"
_SIMILAR_RULE = "neither takes twice as long as the other, with the interval of their ratio"
_RANKING_RULE = "sign test over the pairs, 5%"


@_claim(
    "cca-beats-naive-mnist",
    "Safe crossover (SC-CCA) improves on naive crossover on MNIST.",
    "5.2.2, Fig. 3a", "significantly improves upon naive crossover",
    "better", _RANKING_RULE, "09-figure-3", "mnist",
)  # fmt: skip
def _(record):
    return _ranking(compare(record, _cca(record), "naive"))


@_claim(
    "cca-beats-naive-cifar10",
    "Safe crossover (SC-CCA) improves on naive crossover on CIFAR-10.",
    "5.2.2, Fig. 3b", "significantly improves upon naive crossover",
    "better", _RANKING_RULE, "09-figure-3", "cifar10",
)  # fmt: skip
def _(record):
    return _ranking(compare(record, _cca(record), "naive"))


@_claim(
    "pwc-beats-naive-mnist",
    "Safe crossover (SC-PwC) improves on naive crossover on MNIST.",
    "Abstract", "significantly improves upon naive crossover",
    "better", _RANKING_RULE, "09-figure-3", "mnist",
)  # fmt: skip
def _(record):
    return _ranking(compare(record, "sc-pwc", "naive"))


@_claim(
    "pwc-beats-naive-cifar10",
    "Safe crossover (SC-PwC) improves on naive crossover on CIFAR-10.",
    "Abstract", "significantly improves upon naive crossover",
    "better", _RANKING_RULE, "09-figure-3", "cifar10",
)  # fmt: skip
def _(record):
    return _ranking(compare(record, "sc-pwc", "naive"))


@_claim(
    "cca-gain-marginal-mnist",
    "On MNIST the gain of SC-CCA over naive crossover is marginal.",
    "Fig. 3, caption", "the gains of SC-CCA are marginal",
    "marginal",
    "SC-CCA removes less than half of naive crossover's excess loss at t = 0.5",
    "09-figure-3", "mnist",
)  # fmt: skip
def _(record):
    text, verdict = _below(_removed(record, _cca(record)), 0.5, 2)
    return f"SC-CCA removes {text} of naive crossover's excess loss", verdict


@_claim(
    "pwc-beats-cca-mnist",
    "On MNIST SC-PwC is much better than SC-CCA.",
    "5.2.2, Fig. 3c", "much better than SC-CCA on MNIST",
    "better", _RANKING_RULE, "09-figure-3", "mnist",
)  # fmt: skip
def _(record):
    return _ranking(compare(record, "sc-pwc", _cca(record)))


@_claim(
    "pwc-low-error-path-mnist",
    "On MNIST SC-PwC finds a very low-error path between the parents.",
    "5.2.2, Fig. 3c", "a very low-error path",
    "very low, flat",
    "excess loss at t = 0.5 is below a tenth of naive crossover's",
    "09-figure-3", "mnist",
)  # fmt: skip
def _(record):
    removed = _removed(record, "sc-pwc")
    left = Interval(1 - removed.value, 1 - removed.high, 1 - removed.low, removed.n)
    text, verdict = _below(left, 0.1)
    return f"{text} of naive crossover's excess loss", verdict


@_claim(
    "cca-beats-pwc-cifar10",
    "On CIFAR-10 SC-CCA produces better offspring than SC-PwC.",
    "5.2.2, Fig. 3d", "it produces worse offspring on CIFAR-10",
    "better", _RANKING_RULE, "09-figure-3", "cifar10",
)  # fmt: skip
def _(record):
    return _ranking(compare(record, _cca(record), "sc-pwc"))


@_claim(
    "pwc-loss-goes-up-cifar10",
    "On CIFAR-10 the loss goes up in between the parents (SC-PwC).",
    "5.2.2, Fig. 3d", "the loss goes up in-between local minima",
    "goes up",
    "the interval of the excess loss at t = 0.5 lies above 0", "09-figure-3", "cifar10",
)  # fmt: skip
def _(record):
    excess = interval(record.at(0.5)["sc-pwc"] - _midpoint(record))
    text = f"excess loss {excess.format()}"
    return text, _verdict(True if excess.low > 0 else False if excess.high < 0 else None)


@_claim(
    "parents-40-cifar10",
    "The parents on CIFAR-10 reach about 40% accuracy.",
    "5.2.2", "≈ 40% accuracy",
    "about 0.40", "within 0.05 of ours, or in its 95% interval", "07-parents", "cifar10",
)  # fmt: skip
def _(record):
    return _near(interval(_parents(record, "accuracy")), 0.40, 0.05)


@_claim(
    "naive-10-cifar10",
    "Naive crossover on CIFAR-10 drops to 10% accuracy at t = 0.5.",
    "5.2.2, Fig. 3b", "drops to 10% accuracy",
    "0.10", "within 0.025 of ours, or in its 95% interval",
    "09-figure-3", "cifar10",
)  # fmt: skip
def _(record):
    return _near(interval(record.at(0.5, "accuracy")["naive"]), 0.10, 0.025)


@_claim(
    "cca-25-cifar10",
    "SC-CCA on CIFAR-10 drops to 25% accuracy at t = 0.5.",
    "Fig. 3, caption", "drop to 25%",
    "0.25", "within 0.025 of ours, or in its 95% interval",
    "09-figure-3", "cifar10",
)  # fmt: skip
def _(record):
    return _near(interval(record.at(0.5, "accuracy")[_cca(record)]), 0.25, 0.025)


@_claim(
    "child-beats-parents-mnist",
    "Offspring of safe crossover reach a better validation loss than both parents (MNIST, SC-PwC).",
    "1, contributions", "outperform the parents by achieving a better validation loss",
    "better", "in more than half of the pairs, at the best t in (0, 1)",
    "09-figure-3", "mnist",
)  # fmt: skip
def _(record):
    share = _best_child_beats_parents(record, "sc-pwc")
    worse = Interval(1 - share.value, 1 - share.high, 1 - share.low, share.n)
    return f"share of pairs {share.format(2)}", _below(worse, 0.5)[1]


@_claim(
    "bartlett-125-mnist",
    "CCA extracts 125 statistically significant relationships per pair on MNIST (Bartlett's test).",
    "5.2.2", "125 statistically significant relationships per network pair",
    "125", "within 10 of ours, or in its 95% interval", "09-figure-3", "mnist",
)  # fmt: skip
def _(record):
    found = pair_totals(record, f"significant by Bartlett ({_cca(record)})")
    large = pair_totals(record, f"canonical correlations above 0.7 ({_cca(record)})")
    text, verdict = _near(interval(found), 125, 10, 1)
    return f"{text}; canonical correlations above 0.7: {interval(large).format(1)}", verdict


@_claim(
    "correlated-203-mnist",
    "203 pairs of neurons have a correlation of 0.7 or higher on MNIST.",
    "5.2.2", "an average of 203 pair of neurons with a correlation of 0.7 or higher",
    "203",
    "the count of row maxima, as in the notebook, is within 10 of it or its interval holds it",
    "09-figure-3", "mnist",
)  # fmt: skip
def _(record):
    text, verdict = _near(interval(pair_totals(record, "row maxima above 0.7")), 203, 10, 1)
    matched = interval(pair_totals(record, "matched pairs above 0.7"))
    return f"{text} neurons with such a partner; one-to-one pairs: {matched.format(1)}", verdict


@_claim(
    "ridge-193-mnist",
    "Ridge CCA beats naive crossover in 193 of 200 trials on MNIST, for each penalty.",
    "5.2.1", "193 times on MNIST",
    "193 of 200", _RIDGE_RULE, "08-svcca-and-ridge", "mnist", table="sweep",
)  # fmt: skip
def _(record):
    return _ridges(record, 193)


@_claim(
    "ridge-200-cifar10",
    "Ridge CCA beats naive crossover in 200 of 200 trials on CIFAR-10, for each penalty.",
    "5.2.1", "200 times on CIFAR-10",
    "200 of 200", _RIDGE_RULE, "08-svcca-and-ridge", "cifar10", table="sweep",
)  # fmt: skip
def _(record):
    return _ridges(record, 200)


def _ridges(record: Record, published: int):
    found = [_wins(record, f"sc-cca:ridge={ridge}", published) for ridge in RIDGES]
    kernel = [compare(record, f"sc-cca:ridge={r},penalty=kernel", "naive").wins for r in RIDGES]
    text = "; ".join(text for text, _ in found)
    text += f" (penalty of the authors' package: {', '.join(map(str, kernel))})"
    return text, _every([holds for _, holds in found])


@_claim(
    "svcca-beats-cca-mnist",
    "On MNIST SVCCA with 256 directions gives a lower loss than CCA on the layers themselves.",
    "5.2.1", "256 of the variance directions lead to better results",
    "better", _RANKING_RULE, "08-svcca-and-ridge", "mnist", table="sweep",
)  # fmt: skip
def _(record):
    return _ranking(compare(record, sc_cca(record.config.dataset, record.config.hidden), "sc-cca"))


@_claim(
    "cca-beats-svcca-cifar10",
    "On CIFAR-10 CCA on the layers themselves is better than SVCCA.",
    "5.2.1", "directly performing CCA on the hidden layer was better",
    "better",
    "against the number of directions below the width that is best on these pairs; "
    + _RANKING_RULE,
    "08-svcca-and-ridge", "cifar10", table="sweep",
)  # fmt: skip
def _(record):
    loss = record.at(0.5).mean()
    fewer = [op for op in loss.index if op.startswith("sc-cca:directions=")]
    fewer = [op for op in fewer if int(op.split("=")[1]) < max(record.config.hidden)]
    return _ranking(compare(record, "sc-cca", min(fewer, key=lambda op: loss[op])))


@_claim(
    "directions-not-ridge-mnist",
    "Results are sensitive to the number of directions and not to the ridge penalty (MNIST).",
    "3.2, 5.2.1", "sensitive to the number of kept variance directions but not to the value of λ",
    "directions matter, penalty does not",
    "the range of mean losses over directions is more than three times that over penalties",
    "08-svcca-and-ridge", "mnist", table="sweep",
)  # fmt: skip
def _(record):
    return _sensitivity(record)


@_claim(
    "directions-not-ridge-cifar10",
    "Results are sensitive to the number of directions and not to the ridge penalty (CIFAR-10).",
    "3.2, 5.2.1", "sensitive to the number of kept variance directions but not to the value of λ",
    "directions matter, penalty does not",
    "the range of mean losses over directions is more than three times that over penalties",
    "08-svcca-and-ridge", "cifar10", table="sweep",
)  # fmt: skip
def _(record):
    return _sensitivity(record)


def _sensitivity(record: Record):
    loss = record.at(0.5).mean()
    kept = [op for op in loss.index if op.startswith("sc-cca:directions=") and "," not in op]
    ridges = [f"sc-cca:ridge={ridge}" for ridge in RIDGES]
    directions, norm, kernel = (
        float(np.ptp(loss[operators]))
        for operators in (kept, ridges, [f"{op},penalty=kernel" for op in ridges])
    )
    text = (
        f"range {directions:.3f} over directions, {norm:.3f} over penalties "
        f"({kernel:.3f} over those of the authors' package)"
    )
    return text, _verdict(directions > 3 * norm)


@_claim(
    "cost-pwc-mnist",
    "Aligning is negligible beside training (SC-PwC, MNIST).",
    "5.2.3", "negligible when compared to the computational cost required to train",
    "negligible", _COST_RULE, "11-costs", "mnist",
)  # fmt: skip
def _(record):
    return _cost(record, "sc-pwc")


@_claim(
    "cost-cca-mnist",
    "Aligning is negligible beside training (SC-CCA, MNIST).",
    "5.2.3", "negligible when compared to the computational cost required to train",
    "negligible", _COST_RULE, "11-costs", "mnist",
)  # fmt: skip
def _(record):
    return _cost(record, _cca(record))


@_claim(
    "cost-pwc-cifar10",
    "Aligning is negligible beside training (SC-PwC, CIFAR-10).",
    "5.2.3", "negligible when compared to the computational cost required to train",
    "negligible", _COST_RULE, "11-costs", "cifar10",
)  # fmt: skip
def _(record):
    return _cost(record, "sc-pwc")


@_claim(
    "cost-cca-cifar10",
    "Aligning is negligible beside training (SC-CCA, CIFAR-10).",
    "5.2.3", "negligible when compared to the computational cost required to train",
    "negligible", _COST_RULE, "11-costs", "cifar10",
)  # fmt: skip
def _(record):
    return _cost(record, _cca(record))


@_claim(
    "cost-similar-mnist",
    "Aligning by SC-CCA and by SC-PwC costs about the same (MNIST).",
    "5.2.3", "The computational cost of these two methods is thus similar",
    "similar", _SIMILAR_RULE, "11-costs", "mnist",
)  # fmt: skip
def _(record):
    return _similar(record)


@_claim(
    "cost-similar-cifar10",
    "Aligning by SC-CCA and by SC-PwC costs about the same (CIFAR-10).",
    "5.2.3", "The computational cost of these two methods is thus similar",
    "similar", _SIMILAR_RULE, "11-costs", "cifar10",
)  # fmt: skip
def _(record):
    return _similar(record)


def _cost(record: Record, operator: str):
    text, verdict = _below(_alignment_share(record, operator), 0.1)
    return f"{text} of the time to train both parents", verdict


def _similar(record: Record):
    ratio = ratio_interval(_aligning(record, _cca(record)), _aligning(record, "sc-pwc"))
    holds = None if ratio.contains(2) or ratio.contains(0.5) else 0.5 < ratio.value < 2
    return f"SC-CCA takes {ratio.format(2)} times as long as SC-PwC", _verdict(holds)


@_claim(
    "svcca-cheaper-mnist",
    "SVCCA, with the directions of Section 5.2.1, is less expensive than CCA (MNIST).",
    "5.2.3", "generally less computationally expensive in practice",
    "less expensive",
    "the ratio of their seconds is below 1 with its interval",
    "11-costs", "mnist", table="sweep",
)  # fmt: skip
def _(record):
    svcca = sc_cca(record.config.dataset, record.config.hidden)
    ratio = ratio_interval(_aligning(record, svcca), _aligning(record, "sc-cca"))
    holds = None if ratio.contains(1) else ratio.high < 1
    return f"SVCCA takes {ratio.format(2)} times as long as CCA", _verdict(holds)


def _aligning(record: Record, operator: str) -> pd.Series:
    """Return an operator's seconds to align, pair by pair, from the networks on."""
    seconds = record.timings.pivot(index="pair", columns="step", values="seconds")
    steps = ["first layer", "activations", "correlations", f"align {operator}"]
    if operator.startswith("sc-cca"):
        steps.append("covariances and eigenvectors")
    return seconds[steps].sum(axis=1)


def _alignment_share(record: Record, operator: str) -> Interval:
    """Return an operator's time to align over the parents' training time, pair by pair."""
    seconds = record.timings.pivot(index="pair", columns="step", values="seconds")
    return interval(_aligning(record, operator) / (seconds["train a"] + seconds["train b"]))
