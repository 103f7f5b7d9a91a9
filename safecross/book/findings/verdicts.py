"""What chapters 11 to 14 say: costs, the audit, the claims, scale."""

import re

from ...replication import paper
from ...replication.claims import VERDICTS
from ...replication.costs import load_benchmark, project
from ...runs import Record
from ...runs.analysis import Comparison, compare, ratio_interval
from ..plots import LABELS
from .published import (
    Published,
    bullets,
    finding,
    leftover_of,
    loss_of,
    mean_of,
    must,
    tally,
)

# Chapter 11, costs ------------------------------------------------------------------------------


def _cost(found: Published, name: str) -> str:
    return found.claims.set_index("name").loc[name, "ours"]


@finding("costs-answer")
def _(found: Published) -> str:
    cheap = found.claims["name"].str.fullmatch(r"cost-(pwc|cca)-(mnist|cifar10)")
    must((found.claims.loc[cheap, "verdict"] == VERDICTS[0]).all(), "Aligning is cheap")
    share = {
        (side, name): 100 * float(_cost(found, f"cost-{side}-{name}").split()[0])
        for side in ("pwc", "cca")
        for name in ("mnist", "cifar10")
    }
    times = {
        name: re.search(r"[\d.]+", _cost(found, f"cost-similar-{name}"))[0]
        for name in ("mnist", "cifar10")
    }
    return (
        f"**Aligning is cheap. SC-PwC takes {share['pwc', 'mnist']:.1f}% and SC-CCA "
        f"{share['cca', 'mnist']:.1f}% of the time it takes to train the two parents on MNIST, "
        f"{share['pwc', 'cifar10']:.1f}% and {share['cca', 'cifar10']:.1f}% on CIFAR-10. SC-CCA takes "
        f"{times['mnist']} times as long as SC-PwC on MNIST and {times['cifar10']} times on "
        "CIFAR-10.**"
    )


@finding("costs-training")
def _(found: Published) -> str:
    return "## Training takes " + " and ".join(
        f"{_training_share(found.main(name)):.0%} of a pair's time on {LABELS[name]}"
        for name in ("mnist", "cifar10")
    )


def _training_share(record: Record) -> float:
    seconds = record.timings.pivot(index="pair", columns="step", values="seconds")
    seconds = seconds.drop(columns="product", errors="ignore")
    training = seconds["train a"] + seconds["train b"]
    return ratio_interval(training, seconds.sum(axis=1)).value


@finding("costs-peers")
def _(found: Published) -> str:
    rows = [row for row in load_benchmark()["rows"] if row["group"] == "peers"]
    faster = sum(row["value"] > 1 for row in rows)
    return (
        f"## Against other libraries: faster in {faster} of {len(rows)} comparisons, "
        f"up to {max(row['value'] for row in rows):.0f} times"
    )


@finding("costs-rest")
def _(found: Published) -> str:
    rows = {row["what"]: row["value"] for row in load_benchmark()["rows"]}
    parts = []
    for name in ("mnist", "cifar10"):
        over = rows[f"{name}, five operators"]
        calls = rows[f"{name}, five operators, against the libraries' calls alone"]
        trained, bare = (rows[f"{name}, {way}"] for way in ("alone", "the libraries' calls alone"))
        must(calls < 1.3, "a pair takes less than 1.3 times the libraries' own calls")
        parts.append(
            f"on {LABELS[name]} a pair takes {over:.2f} times its floor, but {calls:.2f} times what the "
            "libraries' own calls take at these sizes, and training reaches "
            f"{trained:.2f} of the machine's limit, the calls alone {bare:.2f}"
        )
    return (
        f"Here {'; '.join(parts)}. So most of what lies above the floor is not ours to save: narrow "
        "products, eigenvectors and passes over memory do not run at the rate of large products."
    )


@finding("costs-short")
def _(found: Published) -> str:
    verdict = found.claims.set_index("name").loc["svcca-cheaper-mnist", "verdict"]
    must(verdict == VERDICTS[0], "the paper's remark on SVCCA holds")
    slow = min(
        (row for row in load_benchmark()["rows"] if row["group"] == "peers"),
        key=lambda row: row["value"],
    )
    return bullets(
        f"On MNIST, SC-CCA {_cost(found, 'cost-similar-mnist').removeprefix('SC-CCA ')}; with 256 "
        f"directions {_cost(found, 'svcca-cheaper-mnist').removeprefix('SVCCA takes ')}, so "
        "the paper's remark on SVCCA holds.",
        "The time to correlate grows with the square of the width, that of eigenvectors with its "
        "cube; neither grows with the epochs of training.",
        f"The least flattering comparison with another library: {slow['what']}, "
        f"{slow['value']:.2f} times as fast.",
    )


# Chapter 12, the audit --------------------------------------------------------------------------


def _matrix(found: Published, dataset: str) -> tuple[Comparison, Comparison]:
    """Return SC-PwC against SC-CCA under the usual softmax and under that of the whole matrix."""
    records = found.variants(dataset)
    kinds = ("as in the main experiment", "softmax over the whole matrix")
    return tuple(compare(records[kind], "sc-pwc", paper.sc_cca(dataset)) for kind in kinds)


@finding("audit-answer")
def _(found: Published) -> str:
    usual, matrix = _matrix(found, "mnist")
    must(usual.better and matrix.better is False, "the whole-matrix softmax turns the ranking")
    return (
        "**Most differences between the paper and its code change a number and leave the ranking "
        "alone. One does not: with the notebook's softmax over the whole matrix, SC-PwC beats SC-CCA "
        f"on MNIST in {matrix.wins} of {matrix.n} pairs instead of {usual.wins}.**"
    )


@finding("audit-softmax")
def _(found: Published) -> str:
    usual, matrix = _matrix(found, "mnist")
    table = found.reasons

    def part(child, column):
        return mean_of(table, "mnist", child, column)

    cca, pwc = "components, index", "sc-pwc"
    must(part(pwc, "even scale") < part(cca, "even scale"), "the ranking returns at one scale")
    pairs = table.query("`data set` == 'mnist'").pivot(
        index="pair", columns="child", values="even scale"
    )
    back = int((pairs[pwc] < pairs[cca]).sum())
    return (
        f"## One softmax turns {usual.wins} of {usual.n} into {matrix.wins} of {matrix.n}\n\n"
        "The notebook divides every exponential by the sum over *all* images and classes. The loss "
        "then has two parts besides the usual one. The first is the logarithm of the number of images. "
        "The second says how unevenly sure the network is: "
        r"$\log \frac1n \sum_i Z_i - \frac1n \sum_i \log Z_i$, with $Z_i$ the sum of exponentials of "
        "image $i$. It has nothing to do with right or wrong answers, and grows with the size of the "
        "logits.\n\n"
        f"Measured on MNIST, this part is {part(pwc, 'unevenness'):.2f} for children of SC-PwC, "
        f"{part(cca, 'unevenness'):.2f} for those of SC-CCA and {part('naive', 'unevenness'):.2f} for "
        "naive ones. The usual loss of the first two differs by only "
        f"{part(cca, 'usual') - part(pwc, 'usual'):.2f}. Badly matched neurons cancel when they are "
        "averaged, which makes logits small. Their standard deviation is "
        f"{part('naive', 'spread of logits'):.1f} for naive children, "
        f"{part(cca, 'spread of logits'):.1f} for SC-CCA and {part(pwc, 'spread of logits'):.1f} for "
        "SC-PwC. So this loss rewards damage.\n\n"
        "The test: give all logits standard deviation 1, which changes no answer. Then SC-PwC has the "
        f"lower whole-matrix loss again, in {back} of {len(pairs)} pairs "
        f"({part(pwc, 'even scale'):.2f} against {part(cca, 'even scale'):.2f})."
    )


def _audit(found: Published, dataset: str) -> dict[str, float]:
    """Return by how much each choice within SC-CCA that the audit varies moves its loss."""
    record, (base, _) = found.sweep(dataset), leftover_of(dataset)
    join = "," if ":" in base else ":"
    options = ("leftover=correlation", "rule=rank", "standardise=false", "weights=deflated")
    return {
        option: loss_of(record, f"{base}{join}{option}") - loss_of(record, base)
        for option in options
    }


@finding("audit-operators")
def _(found: Published) -> str:
    mnist, cifar10 = (_audit(found, name) for name in ("mnist", "cifar10"))
    left = "leftover=correlation"
    must(max(mnist, key=lambda o: abs(mnist[o])) == left, "leftovers matter most on MNIST")
    must(max(cifar10, key=cifar10.get) == "standardise=false", "views matter most on CIFAR-10")
    return (
        f"## Within SC-CCA the leftovers matter on MNIST ({mnist[left]:+.3f} nats), the scale of "
        f"the layers on CIFAR-10 ({cifar10['standardise=false']:+.3f})"
    )


@finding("audit-short")
def _(found: Published) -> str:
    held = {
        name: sum(
            bool(compare(record, "sc-pwc", paper.sc_cca(name)).better)
            for record in found.variants(name).values()
        )
        for name in ("mnist", "cifar10")
    }
    n = len(found.variants("mnist"))
    usual, matrix = _matrix(found, "mnist")
    record, (base, better) = found.sweep("mnist"), leftover_of("mnist")
    return bullets(
        f"SC-PwC beats SC-CCA under {held['mnist']} of {n} variants of the experiment on MNIST and "
        f"under {held['cifar10']} of {n} on CIFAR-10.",
        f"The exception is the softmax over the whole matrix: {matrix.wins} of {matrix.n} pairs "
        f"instead of {usual.wins}. It rewards children with small logits, which badly matched "
        "neurons have.",
        f"How leftover neurons are paired moves SC-CCA on MNIST from {loss_of(record, base):.3f} to "
        f"{loss_of(record, better):.3f}; the authors' greedy matching raises SC-PwC on CIFAR-10 from "
        f"{loss_of(found.main('cifar10'), 'sc-pwc'):.3f} to "
        f"{loss_of(found.main('cifar10'), 'sc-pwc-greedy'):.3f}.",
    )


# Chapter 13, the claims -------------------------------------------------------------------------


@finding("claims-answer")
def _(found: Published) -> str:
    claims = found.claims.set_index("name")["verdict"]
    safe = claims[claims.index.str.fullmatch(r"(cca|pwc)-beats-naive-(mnist|cifar10)")]
    must((safe == VERDICTS[0]).all(), "safe crossover beats naive crossover everywhere")
    must(claims["cca-beats-pwc-cifar10"] == VERDICTS[1], "SC-CCA does not lead on CIFAR-10")
    return (
        f"**{tally(found)} Safe crossover beats naive crossover in all {len(safe)} comparisons, as "
        "the paper says. Its ranking of the two methods on CIFAR-10 is one of those that fail.**"
    )


@finding("claims-not")
def _(found: Published) -> str:
    failed = found.claims[found.claims["verdict"] == VERDICTS[1]]
    lines = [
        f"Claim {claim.number}: {claim.claim} We find: {_unbroken(claim.ours)}. "
        f"[Evidence]({claim.chapter}.ipynb)"
        for claim in failed.itertuples()
    ]
    return f"## The {len(failed)} that do not replicate\n\n{bullets(*lines)}"


def _unbroken(text: str) -> str:
    """Keep an interval and its value in one line."""
    return re.sub(
        r" ?\[([-\d.]+), ([-\d.]+)\]", "\N{NO-BREAK SPACE}[\\1,\N{NO-BREAK SPACE}\\2]", text
    )


@finding("claims-short")
def _(found: Published) -> str:
    claims = found.claims
    about = claims["claim"].str.contains("improves on naive")
    holds = int((claims.loc[about, "verdict"] == VERDICTS[0]).sum())
    failed = claims[claims["verdict"] == VERDICTS[1]]
    must(len(failed) == 6, "one ranking and five figures or counts fail")
    return bullets(
        f"What the paper is named for holds: {holds} of {int(about.sum())} claims that safe "
        "crossover improves on naive crossover replicate.",
        f"What does not: claims {', '.join(map(str, failed['number']))}, the ranking of the two "
        "methods on CIFAR-10 and five figures or counts.",
        "One seed made these parents; [chapter 10](10-ranking.ipynb) has others, and `-p seed 7` "
        "makes yours.",
    )


# Chapter 14, scale ------------------------------------------------------------------------------


@finding("scale-answer")
def _(found: Published) -> str:
    hours = {name: project(found.main(name), 10**6)["core_hours"] for name in ("mnist", "cifar10")}
    return (
        "**Pairs have nothing to do with each other, so an experiment of any size can be cut into "
        f"tasks. A million pairs of MNIST networks would take {hours['mnist'] / 1000:.0f} hours of "
        f"1,000 cores, of CIFAR-10 networks {hours['cifar10'] / 1000:.0f}.**"
    )


@finding("scale-short")
def _(found: Published) -> str:
    cost = project(found.main("mnist"), 10**6)
    overhead = load_benchmark()["scheduler"]["seconds_a_task"]
    return bullets(
        "A task is a config and a number; where it runs does not change what it finds. A scheduler "
        f"spends {1000 * overhead:.2f} ms on each.",
        f"A million pairs of MNIST: {cost['core_hours']:,.0f} core-hours, "
        f"{cost['parents'] / 1e12:.1f} TB of parents if they are kept, "
        f"{cost['tables'] / 1e9:.0f} GB of tables.",
        "One command serves cores, a Dask cluster and job arrays; what was finished survives any "
        "of them.",
    )
