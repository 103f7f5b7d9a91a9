"""What the README and the landing page say."""

from ...replication import paper
from ...runs import Record
from ...runs.analysis import compare
from ..plots import LABELS
from .published import (
    PICTURE,
    Published,
    accuracy_of,
    ahead_by,
    bartlett,
    bullets,
    cca_of,
    finding,
    in_points,
    inside,
    loss_of,
    must,
    parents_of,
    tally,
)


@finding("landing")
def _(found: Published) -> str:
    mnist, cifar10 = found.main("mnist"), found.main("cifar10")
    better = compare(cifar10, "sc-pwc", cca_of(cifar10))
    must(better.better, "plain correlation is better")
    same = abs(parents_of(mnist, "accuracy") - accuracy_of(mnist, "sc-pwc")) < 0.001
    must(same, "on MNIST the average is like its parents")
    return (
        "Train two networks alike and average their weights, and you get a much worse network: on "
        f"CIFAR-10 (small photographs) the two are right on {parents_of(cifar10, 'accuracy'):.0%} of the "
        f"images and their average on {accuracy_of(cifar10, 'naive'):.0%}, because neurons in the same "
        "place do different work. Line up the neurons that respond alike before you average, and it is "
        f"right on {accuracy_of(cifar10, 'sc-pwc'):.0%}; on MNIST (handwritten digits) on "
        f"{accuracy_of(mnist, 'sc-pwc'):.1%}, like the two it comes from. The paper that proposed this, "
        "by Uriot and Izzo, finds that on CIFAR-10 canonical correlation analysis lines neurons up better "
        "than plain correlation; we repeated it at full size and find plain correlation better, in "
        f"{better.wins} of {better.n} pairs of networks."
    )


@finding("landing-verdicts")
def _(found: Published) -> str:
    cells = "".join(
        f'<li><a class="sc-{claim.verdict.split()[0]}" '
        f'href="../notebooks/{claim.chapter}.html#claim-{claim.name}" '
        f'title="{claim.claim} {claim.verdict.capitalize()}.">'
        f'<span class="visually-hidden">Claim </span>{claim.number}<span class="visually-hidden">: {claim.claim} '
        f"{claim.verdict.capitalize()}.</span></a></li>"
        for claim in found.claims.itertuples()
    )
    return (
        f"**{tally(found)}** Each cell is a claim and leads to its evidence; "
        "[chapter 13](../notebooks/13-claims) has them in one table.\n\n"
        f'<ol class="sc-verdicts">{cells}</ol>\n\n'
        '<p class="sc-key"><span class="sc-replicates">&nbsp;</span> replicates '
        '<span class="sc-does">&nbsp;</span> does not replicate</p>'
    )


@finding("findings")
def _(found: Published) -> str:
    mnist, cifar10 = found.main("mnist"), found.main("cifar10")
    fashion = found.main("fashion-mnist")
    return (
        f"![Loss of the offspring between two parents on three data sets]({PICTURE.as_posix()})\n\n"
    ) + bullets(
        *(_summary(name, found.main(name)) for name in LABELS),
        _ranking(cifar10),
        _counts(found),
        f"{tally(found)}",
        f"Training {2 * (mnist.config.n_pairs + cifar10.config.n_pairs)} networks and crossing "
        f"over {mnist.config.n_pairs + cifar10.config.n_pairs} pairs by "
        f"{len(mnist.config.operators)} operators at {len(mnist.config.t)} points took "
        f"{mnist.wall_seconds / 60:.0f} minutes on MNIST and {cifar10.wall_seconds / 60:.0f} "
        f"minutes on CIFAR-10 ({mnist.manifest['machine']}); Fashion-MNIST, "
        f"{fashion.config.n_pairs} pairs, was added later.",
    )


def _summary(name: str, record: Record) -> str:
    parts = [
        f"{label} {loss_of(record, op):.3f} ({accuracy_of(record, op):.1%})"
        for op, label in (("naive", "naive"), (cca_of(record), "SC-CCA"), ("sc-pwc", "SC-PwC"))
    ]
    safer = all(compare(record, op, "naive").better for op in (cca_of(record), "sc-pwc"))
    must(safer, "Aligning first makes crossover safer")
    return (
        f"**{LABELS[name]}**, {record.config.n_pairs} pairs: parents have loss "
        f"{parents_of(record, 'loss'):.3f} (accuracy {parents_of(record, 'accuracy'):.1%}); halfway "
        f"between them, {', '.join(parts)}. Aligning first makes crossover safer"
        + (", as the paper says." if name != "fashion-mnist" else ", here too.")
    )


def _ranking(record: Record) -> str:
    found = compare(record, "sc-pwc", cca_of(record))
    must(found.better, "The paper's ranking on CIFAR-10 does not hold")
    return (
        "**The paper's ranking on CIFAR-10 does not hold**: one-to-one matching by correlation "
        f"(SC-PwC) has a lower loss than SC-CCA in {found.wins} of {found.n} pairs, and is ahead by "
        f"{in_points(ahead_by(record, 'sc-pwc', cca_of(record)))}."
    )


def _counts(found: Published) -> str:
    parts = []
    for published, statistic, label in (
        (203, "row maxima above 0.7", "neurons whose best partner correlates above 0.7"),
        (
            125,
            f"canonical correlations above 0.7 ({paper.sc_cca('mnist')})",
            "canonical correlations above 0.7",
        ),
    ):
        near = inside(found, published, statistic)
        where = " and ".join(f"{n} epochs ({c.format(1)})" for n, c in near.items())
        parts.append(
            f"{published} {label} "
            + (f"fit networks trained for {where}" if near else "fit no length of training")
        )
    tests = bartlett(found)
    return (
        f"**The paper's two counts on MNIST**, at lengths of training of "
        f"{', '.join(map(str, found.counts))} epochs: {'; '.join(parts)}. But after 30 epochs the "
        "curves are not the paper's, and Bartlett's test, which the paper names, counts "
        f"{min(tests):.0f} to {max(tests):.0f} components at every length."
    )
