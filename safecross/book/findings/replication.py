"""What chapters 7 to 10 say: parents, sweeps, Figure 3, the ranking."""

import re
from collections.abc import Sequence
from itertools import pairwise

import numpy as np
import pandas as pd

from ...crossover.curve import barrier
from ...replication import paper
from ...runs import Record
from ...runs.analysis import compare, pair_totals
from ..plots import LABELS
from .published import (
    Published,
    accuracy_of,
    bartlett,
    bullets,
    cca_of,
    dead_of,
    finding,
    inside,
    leftover_of,
    loss_of,
    mean_of,
    must,
    parents_of,
)

# Chapter 7, the parents -------------------------------------------------------------------------


@finding("parents-answer")
def _(found: Published) -> str:
    mnist, cifar10 = found.main("mnist"), found.main("cifar10")
    return (
        f"**The parents are as good as the paper's: accuracy {parents_of(mnist, 'accuracy'):.1%} on "
        f"MNIST and {parents_of(cifar10, 'accuracy'):.1%} on CIFAR-10, where the paper has about 98% "
        f"and 40%. But {dead_of(cifar10, 1):.0%} of the neurons in CIFAR-10's first layer are dead: "
        "they answer 0 to every image.**"
    )


@finding("parents-alike")
def _(found: Published) -> str:
    spread = [
        100 * found.main(name).pairs[["accuracy_a", "accuracy_b"]].to_numpy().std()
        for name in ("mnist", "cifar10")
    ]
    return (
        f"## Parents are alike: accuracy varies by {spread[0]:.1f} points on MNIST, "
        f"{spread[1]:.1f} on CIFAR-10"
    )


@finding("parents-dead")
def _(found: Published) -> str:
    mnist, cifar10 = found.main("mnist"), found.main("cifar10")
    return (
        f"## {dead_of(cifar10, 1):.0%} of CIFAR-10's first layer is dead, and {dead_of(mnist, 1):.0%} "
        "of MNIST's"
    )


@finding("parents-short")
def _(found: Published) -> str:
    mnist, cifar10 = found.main("mnist"), found.main("cifar10")
    later = [f"{dead_of(cifar10, layer):.0%}" for layer in (2, 3)]
    return bullets(
        f"Parents of MNIST have loss {parents_of(mnist, 'loss'):.3f} and accuracy "
        f"{parents_of(mnist, 'accuracy'):.1%}, those of CIFAR-10 {parents_of(cifar10, 'loss'):.3f} and "
        f"{parents_of(cifar10, 'accuracy'):.1%}; both are near what is known of the paper's.",
        "Epochs, batches and the learning rate had to be chosen, since the paper does not give "
        "them.",
        f"Of CIFAR-10's hidden neurons {dead_of(cifar10, 1):.0%} are dead in the first layer, "
        f"{later[0]} in the second and {later[1]} in the third; of MNIST's, {dead_of(mnist, 1):.1%}.",
    )


# Chapter 8, directions and ridge ----------------------------------------------------------------


def _swept(found: Published, dataset: str) -> pd.Series:
    """Return the mean losses of all that Section 5.2.1 varies, without the audit's options."""
    loss = found.sweep(dataset).at(0.5).mean()
    plain = re.compile(r"sc-cca(:directions=\d+|:ridge=[\d.]+(,penalty=kernel)?)?")
    return loss[[op for op in loss.index if plain.fullmatch(op)]]


@finding("sweep-answer")
def _(found: Published) -> str:
    best = {name: _swept(found, name) for name in ("mnist", "cifar10")}
    pwc = {name: loss_of(found.sweep(name), "sc-pwc") for name in best}
    must(all(best[name].min() > pwc[name] for name in best), "nothing reaches SC-PwC")
    return (
        "**How many directions CCA keeps and how it is penalised changes little that matters. The "
        f"best of {len(best['mnist'])} forms of SC-CCA has loss {best['mnist'].min():.3f} on MNIST "
        f"and the best of {len(best['cifar10'])} has {best['cifar10'].min():.3f} on CIFAR-10; "
        f"matching by correlation (SC-PwC) has {pwc['mnist']:.3f} and {pwc['cifar10']:.3f} on the "
        "same parents.**"
    )


@finding("sweep-directions")
def _(found: Published) -> str:
    loss = found.sweep("mnist").at(0.5).mean()
    kept = [op for op in loss.index if re.fullmatch(r"sc-cca:directions=\d+", op)]
    best = min(kept, key=lambda op: loss[op])
    all_of = max(kept, key=lambda op: int(op.partition("=")[2]))
    return (
        f"## {best.partition('=')[2]} directions are best on MNIST, but gain only "
        f"{loss[all_of] - loss[best]:.3f} nats over all {all_of.partition('=')[2]}"
    )


@finding("sweep-ridge")
def _(found: Published) -> str:
    record = found.sweep("mnist")
    wins = {
        penalty: [
            compare(record, f"sc-cca:ridge={ridge}{penalty}", "naive").wins
            for ridge in paper.RIDGES
        ]
        for penalty in ("", ",penalty=kernel")
    }
    must(193 not in wins[""] + wins[",penalty=kernel"], "193 came out for no penalty")
    norm, kernel = (", ".join(map(str, counts)) for counts in wins.values())
    return (
        f"## A ridge beats naive crossover in {norm} of 200 MNIST pairs; the paper says 193 for all "
        f"three\n\nFor the penalty of the authors' own package the counts are {kernel}."
    )


@finding("sweep-leftover")
def _(found: Published) -> str:
    record, (base, better) = found.sweep("mnist"), leftover_of("mnist")
    result = compare(record, better, base)
    must(result.better, "pairing the leftovers by correlation halves the loss")
    return (
        "## Pairing the leftovers by correlation halves SC-CCA's loss on MNIST\n\n"
        f"With 256 directions Algorithm 1 pairs 256 of 512 neurons; the other 256 are left. Paired "
        f"by index, as in the authors' code, the child has loss {loss_of(record, base):.3f}; with the "
        f"same leftovers paired by correlation it has {loss_of(record, better):.3f}, lower in "
        f"{result.wins} of {result.n} pairs."
    )


@finding("sweep-why")
def _(found: Published) -> str:
    table = found.reasons

    def chosen(name, how):
        return mean_of(table, name, f"{how}, index", "chosen")

    def loss(name, child):
        return mean_of(table, name, child, "loss")

    for name in ("mnist", "cifar10"):
        must(
            loss(name, "correlation, index") < loss(name, "components, index"),
            "re-pairing the chosen neurons helps",
        )
    return (
        "### Why: chosen neurons have good partners, and are given others\n\n"
        "To find out, we kept the neurons that the components chose, and paired the same neurons anew "
        "so that their correlations sum to the most.\n\n"
        + bullets(
            "On MNIST the pairs of Algorithm 1 correlate by "
            f"{chosen('mnist', 'components'):.2f} on average. The same neurons can be paired so that "
            f"they correlate by {chosen('mnist', 'correlation'):.2f}. With nothing else changed the "
            f"loss falls from {loss('mnist', 'components, index'):.3f} to "
            f"{loss('mnist', 'correlation, index'):.3f}.",
            "Pairing only the leftovers anew brings it to "
            f"{loss('mnist', 'components, correlation'):.3f}, and both together to "
            f"{loss('mnist', 'correlation, correlation'):.3f}. SC-PwC has {loss('mnist', 'sc-pwc'):.3f}.",
            "In the first layer of CIFAR-10 hardly a living neuron is left over. There the correlations "
            f"are {chosen('cifar10', 'components'):.2f} and {chosen('cifar10', 'correlation'):.2f}, and "
            f"the loss falls from {loss('cifar10', 'components, index'):.3f} to "
            f"{loss('cifar10', 'correlation, index'):.3f}. SC-PwC has {loss('cifar10', 'sc-pwc'):.3f}.",
        )
        + "\n\nA canonical component is a mixture of many neurons. The neuron with the largest weight in "
        "a's mixture and the one with the largest weight in b's both belong to it, but need not do the "
        "same work."
    )


@finding("sweep-short")
def _(found: Published) -> str:
    record, (base, better) = found.sweep("mnist"), leftover_of("mnist")
    table = found.reasons
    return bullets(
        f"On MNIST the loss halfway ranges over {_range(found, 'mnist', 'directions')} nats from 2 "
        f"to 512 directions and over {_range(found, 'mnist', 'ridge')} over the three penalties; on "
        f"CIFAR-10 over {_range(found, 'cifar10', 'directions')} and "
        f"{_range(found, 'cifar10', 'ridge')}.",
        f"Pairing MNIST's leftovers by correlation takes SC-CCA from {loss_of(record, base):.3f} to "
        f"{loss_of(record, better):.3f}.",
        "The neurons that Algorithm 1 chooses have good partners "
        f"(correlation {mean_of(table, 'mnist', 'correlation, index', 'chosen'):.2f} on MNIST) and are "
        f"given others ({mean_of(table, 'mnist', 'components, index', 'chosen'):.2f}). Paired anew, they "
        "bring the loss on CIFAR-10 from "
        f"{mean_of(table, 'cifar10', 'components, index', 'loss'):.3f} to "
        f"{mean_of(table, 'cifar10', 'correlation, index', 'loss'):.3f}; SC-PwC has "
        f"{mean_of(table, 'cifar10', 'sc-pwc', 'loss'):.3f}.",
    )


def _range(found: Published, dataset: str, option: str) -> str:
    loss = found.sweep(dataset).at(0.5).mean()
    of = loss[[op for op in loss.index if re.fullmatch(rf"sc-cca:{option}=[\d.]+", op)]]
    return f"{of.max() - of.min():.3f}"


# Chapter 9, Figure 3 ----------------------------------------------------------------------------


@finding("figure-3-answer")
def _(found: Published) -> str:
    mnist, cifar10 = found.main("mnist"), found.main("cifar10")
    by_accuracy = compare(cifar10, "sc-pwc", cca_of(cifar10), column="accuracy")
    must(by_accuracy.better, "SC-PwC wins on CIFAR-10 by accuracy")
    return (
        f"**Matched by correlation (SC-PwC), the average of two MNIST parents is nearly as good as "
        f"they are: loss {loss_of(mnist, 'sc-pwc'):.3f} against {parents_of(mnist, 'loss'):.3f}. Matched by "
        f"canonical correlation (SC-CCA) its loss is {loss_of(mnist, cca_of(mnist)):.3f}, and not matched at "
        f"all (naive) {loss_of(mnist, 'naive'):.3f}. On CIFAR-10 the child of SC-PwC is right on "
        f"{accuracy_of(cifar10, 'sc-pwc'):.1%} of the images and that of SC-CCA on "
        f"{accuracy_of(cifar10, cca_of(cifar10)):.1%}. SC-PwC's is the more accurate one in "
        f"{by_accuracy.wins} of {by_accuracy.n} pairs; the paper says the opposite.**"
    )


@finding("figure-3-curves")
def _(found: Published) -> str:
    mnist, cifar10 = found.main("mnist"), found.main("cifar10")
    must(_rise(mnist, "sc-pwc") < 0.05 * _rise(mnist, "naive"), "SC-PwC is flat on MNIST")
    must(
        _rise(cifar10, "sc-pwc") < 0.5 * _rise(cifar10, cca_of(cifar10)),
        "it rises least on CIFAR-10",
    )
    return "## Between the parents SC-PwC stays flat on MNIST and rises least on CIFAR-10"


@finding("figure-3-barriers")
def _(found: Published) -> str:
    parts = []
    for name in ("mnist", "cifar10"):
        record = found.main(name)
        rise = {op: _rise(record, op) for op in record.config.operators if "semi" not in op}
        must(min(rise, key=rise.get) == "sc-pwc", "SC-PwC has the lowest barrier")
        parts.append(
            f"on {LABELS[name]} it is {rise['sc-pwc']:.3f} nats for SC-PwC, {rise[cca_of(record)]:.3f} "
            f"for SC-CCA and {rise['naive']:.3f} for naive crossover"
        )
    return (
        "## SC-PwC has the lowest barrier on both data sets\n\n"
        "The *barrier* is how far the loss rises, at most, above the straight line between the curve's two "
        f"ends: {'; '.join(parts)}. It is meant for curves that run from parent to parent, so "
        "semi-matching is left out."
    )


def _rise(record: Record, operator: str) -> float:
    """Return the mean barrier of an operator's curves."""
    one = record.curves[record.curves["operator"] == operator]
    return float(np.mean([barrier(c["t"], c["loss"]) for _, c in one.groupby("pair")]))


@finding("figure-3-middle")
def _(found: Published) -> str:
    records = [found.main(name) for name in LABELS]
    leads = (
        compare(record, "sc-pwc", operator).better
        for record in records
        for operator in record.config.operators
        if operator != "sc-pwc"
    )
    must(all(leads), "SC-PwC leads on every data set")
    return "## Halfway, SC-PwC leads on every data set"


@finding("figure-3-bias")
def _(found: Published) -> str:
    record = found.main("cifar10")
    loss = compare(record, "bias-sort", cca_of(record))
    accuracy = compare(record, "bias-sort", cca_of(record), column="accuracy")
    mnist = found.main("mnist")
    other = compare(mnist, "bias-sort", cca_of(mnist))
    must(loss.wins > loss.n / 2 > accuracy.wins, "bias-sort is ahead by loss, not by accuracy")
    return (
        "## Sorting neurons by their bias does about as well as SC-CCA on CIFAR-10\n\n"
        "The simplest order looks at no example at all: sort each layer's neurons by their biases. "
        f"On CIFAR-10 it has a lower loss than SC-CCA in {loss.wins} of {loss.n} pairs (mean "
        f"{loss_of(record, 'bias-sort'):.3f} against {loss_of(record, cca_of(record)):.3f}), and a higher "
        f"accuracy in {accuracy.wins}. On MNIST it has a lower loss in {other.wins}."
    )


@finding("figure-3-fashion")
def _(found: Published) -> str:
    record = found.main("fashion-mnist")
    order = ["sc-pwc", cca_of(record), "naive"]
    must(
        all(compare(record, *two).better for two in pairwise(order)),
        "Fashion-MNIST repeats MNIST's ranking",
    )
    values = ", ".join(
        f"{label} {loss_of(record, op):.3f}"
        for label, op in (("naive", "naive"), ("SC-CCA", cca_of(record)), ("SC-PwC", "sc-pwc"))
    )
    return (
        "## Fashion-MNIST, to which nothing was tuned, repeats the ranking\n\n"
        "[Fashion-MNIST](https://arxiv.org/abs/1708.07747) has small pictures of clothes in place of "
        "digits. Network, epochs and directions are those of MNIST. The parents of "
        f"{record.config.n_pairs} pairs have loss {parents_of(record, 'loss'):.3f}. Halfway between them "
        f"the losses are: {values}. SC-PwC is below SC-CCA in "
        f"{compare(record, 'sc-pwc', cca_of(record)).wins} of {record.config.n_pairs} pairs, and SC-CCA "
        f"below naive in {compare(record, cca_of(record), 'naive').wins}."
    )


@finding("figure-3-counts")
def _(found: Published) -> str:
    record = found.main("mnist")
    maxima = pair_totals(record, "row maxima above 0.7").mean()
    tests = pair_totals(record, f"significant by Bartlett ({cca_of(record)})").mean()
    return (
        f"## After 5 epochs we count {maxima:.0f} correlated neurons where the paper has 203, and "
        f"{tests:.0f} significant components where it has 125"
    )


@finding("figure-3-short")
def _(found: Published) -> str:
    mnist, cifar10 = found.main("mnist"), found.main("cifar10")
    return bullets(
        *(
            f"{LABELS[name]}, loss at t = 0.5: parents {parents_of(record, 'loss'):.3f}, SC-PwC "
            f"{loss_of(record, 'sc-pwc'):.3f}, SC-CCA {loss_of(record, cca_of(record)):.3f}, naive "
            f"{loss_of(record, 'naive'):.3f}."
            for name, record in (("mnist", mnist), ("cifar10", cifar10))
        ),
        "SC-CCA beats naive crossover in "
        f"{compare(mnist, cca_of(mnist), 'naive').wins} of 200 pairs on MNIST and in "
        f"{compare(cifar10, cca_of(cifar10), 'naive').wins} on CIFAR-10. SC-PwC beats SC-CCA in "
        f"{compare(mnist, 'sc-pwc', cca_of(mnist)).wins} pairs on MNIST and in "
        f"{compare(cifar10, 'sc-pwc', cca_of(cifar10)).wins} on CIFAR-10. (A lower loss wins.)",
        "Semi-matching, where several neurons may choose the same partner, changes a parent: on "
        f"CIFAR-10 its child has loss {loss_of(cifar10, 'sc-pwc-semi'):.2f}, "
        f"naive crossover's {loss_of(cifar10, 'naive'):.2f}.",
    )


# Chapter 10, the ranking ------------------------------------------------------------------------


ONE_TO_ONE = ("sc-pwc", "sc-pwc-greedy")
SEMI = ("sc-pwc-semi", "sc-pwc-semi-b")


def _conditions(found: Published, forms: Sequence[str], column: str) -> list[str]:
    """Return the conditions under which some form of SC-CCA beats one of these forms of SC-PwC."""
    return [
        name
        for name, record in found.cells.items()
        if any(
            compare(record, operator, form, column=column).better
            for operator in record.config.operators
            if operator.startswith("sc-cca")
            for form in forms
        )
    ]


@finding("ranking-answer")
def _(found: Published) -> str:
    one, semi = (
        [_conditions(found, forms, column) for column in ("loss", "accuracy")]
        for forms in (ONE_TO_ONE, SEMI)
    )
    must(not one[0] and not one[1], "SC-CCA never beats one-to-one SC-PwC")
    n = len(found.cells)
    return (
        f"**Under none of {n} conditions on CIFAR-10 does any form of SC-CCA beat one-to-one SC-PwC, "
        "by loss or by accuracy. It beats only semi-matching, a form of SC-PwC that damages a parent: "
        f"by loss under {len(semi[0])} of the {n} conditions, by accuracy under "
        f"{len(semi[1]) or 'none'}.**"
    )


@finding("ranking-means")
def _(found: Published) -> str:
    for record in found.cells.values():
        rest = [op for op in record.config.operators if op != "sc-pwc"]
        lowest = all(loss_of(record, "sc-pwc") < loss_of(record, op) for op in rest)
        highest = all(accuracy_of(record, "sc-pwc") > accuracy_of(record, op) for op in rest)
        must(lowest and highest, "one-to-one SC-PwC leads under every condition")
    return f"## One-to-one SC-PwC leads under all {len(found.cells)} conditions, by loss and by accuracy"


@finding("ranking-wins")
def _(found: Published) -> str:
    n = len(_conditions(found, SEMI, "loss"))
    return (
        f"## SC-CCA beats only semi-matching, and only by loss: under {n} of {len(found.cells)} "
        "conditions"
    )


@finding("ranking-counts")
def _(found: Published) -> str:
    both = [
        set(inside(found, 203, "row maxima above 0.7")),
        set(inside(found, 125, f"canonical correlations above 0.7 ({paper.sc_cca('mnist')})")),
    ]
    lengths = sorted(both[0] & both[1])
    must(bool(lengths), "both counts appear at one length of training")
    record = found.counts[lengths[0]]
    maxima = [pair_totals(r, "row maxima above 0.7").mean() for r in found.counts.values()]
    must(maxima == sorted(maxima, reverse=True), "the first count falls as training goes on")
    return (
        f"## Both published counts appear after {' and '.join(map(str, lengths))} epochs\n\n"
        "The paper explains its ranking on MNIST by two counts: 203 pairs of neurons with a "
        "correlation of 0.7 or more, and 125 significant canonical relationships. The first falls "
        f"as training goes on, from {maxima[0]:.0f} after 1 epoch to {maxima[-1]:.0f} after "
        f"{max(found.counts)}. "
        f"After {lengths[0]} epochs both are inside our intervals, if *significant* "
        "means a canonical correlation above 0.7 and not Bartlett's test. But then naive crossover "
        f"has loss {loss_of(record, 'naive'):.3f}, while the picture in the authors' notebook shows "
        "0.22: no single length of training gives us both the paper's counts and its curves."
    )


@finding("ranking-short")
def _(found: Published) -> str:
    tests = bartlett(found)
    lengths = ", ".join(map(str, found.counts))
    names = "; ".join(_conditions(found, SEMI, "loss"))
    return bullets(
        f"SC-CCA beats one-to-one SC-PwC under none of {len(found.cells)} conditions, and "
        f"semi-matching by loss under these: {names}.",
        "So a comparison with semi-matching, read by its loss, is the only way we found to the "
        "paper's ranking.",
        f"After {lengths} epochs Bartlett's test counts {min(tests):.0f} to {max(tests):.0f} "
        "components on MNIST, never 125.",
    )
