"""The main findings, written from the published records into the README and the landing page."""

import argparse
import re
import sys
from collections.abc import Sequence
from pathlib import Path

from .analysis import compare, interval, pair_totals
from .claims import VERDICTS, judge_claims
from .experiment import Record, committed_folder, load_or_run
from .paper import COUNT_EPOCHS, cell_config, main_config, sc_cca, sweep_config
from .plots import main_result

__all__ = ["findings_text", "main", "write_findings"]

_PAGES = {"README.md": "book/_static/main-result.png", "book/index.md": "_static/main-result.png"}
_PICTURE = "book/_static/main-result.png"
_BLOCK = re.compile(r"(<!-- findings -->\n).*?(<!-- /findings -->)", re.DOTALL)


def findings_text(
    mnist: Record,
    cifar10: Record,
    sweeps: dict[str, Record],
    counts: Sequence[Record],
    picture: str,
) -> str:
    """Return the findings as Markdown, every number read from the records.

    Parameters
    ----------
    mnist, cifar10 : Record
        The main experiments.
    sweeps : dict of str to Record
        The sweeps of Section 5.2.1 by data set.
    counts : sequence of Record
        MNIST after other lengths of training, for the counts of Section 5.2.2.
    picture : str
        Path of the picture from the page.

    Returns
    -------
    str
        A picture and a list, ending in a newline.
    """
    lines = [
        f"![Loss of the offspring between two parents, on MNIST and on CIFAR-10]({picture})",
        "",
        *(_sentence(name, record) for name, record in (("MNIST", mnist), ("CIFAR-10", cifar10))),
        _ranking(cifar10),
        _counts(counts),
        _tally(mnist, cifar10, sweeps),
        _time(mnist, cifar10),
    ]
    return "\n".join(lines) + "\n"


def _cca(record: Record) -> str:
    return next(op for op in record.config.operators if op.startswith("sc-cca"))


def _sentence(name: str, record: Record) -> str:
    loss, accuracy = record.at(0.5, "loss"), record.at(0.5, "accuracy")
    parents = record.pairs[["loss_a", "loss_b"]].to_numpy().mean()
    share = record.pairs[["accuracy_a", "accuracy_b"]].to_numpy().mean()
    parts = [
        f"{label} {loss[op].mean():.3f} ({accuracy[op].mean():.1%})"
        for op, label in (("naive", "naive"), (_cca(record), "SC-CCA"), ("sc-pwc", "SC-PwC"))
    ]
    safer = all(compare(record, op, "naive").better for op in (_cca(record), "sc-pwc"))
    return (
        f"- **{name}**, {record.config.n_pairs} pairs: parents have loss {parents:.3f} (accuracy "
        f"{share:.1%}); halfway between them, {', '.join(parts)}. Aligning first "
        + ("makes crossover safer, as the paper says." if safer else "does not make it safer here.")
    )


def _ranking(record: Record) -> str:
    found = compare(record, "sc-pwc", _cca(record))
    low = interval(record.at(0.5, "accuracy")["sc-pwc"] - record.at(0.5, "accuracy")[_cca(record)])
    return (
        "- **The paper's ranking on CIFAR-10 does not hold**: one-to-one matching by correlation "
        f"(SC-PwC) beats SC-CCA in {found.wins} of {found.n} pairs, by "
        f"{100 * low.value:.1f} points of accuracy (95% interval {100 * low.low:.1f} to "
        f"{100 * low.high:.1f}). Against semi-matching, which damages a parent: {_semi(record)}."
        if found.better
        else "- The paper's ranking on CIFAR-10 (SC-CCA above SC-PwC) is not contradicted here."
    )


def _semi(record: Record) -> str:
    parts = []
    for form, side in (("sc-pwc-semi", "a"), ("sc-pwc-semi-b", "b")):
        wins = [compare(record, _cca(record), form, column=c).wins for c in ("loss", "accuracy")]
        parts.append(
            f"with neurons of {side} choosing, SC-CCA wins {wins[0]} pairs by loss, {wins[1]} by "
            "accuracy"
        )
    return "; ".join(parts)


def _counts(records: Sequence[Record]) -> str:
    parts = []
    for published, name, label in (
        (203, "row maxima above 0.7", "neurons whose best partner correlates above .7"),
        (
            125,
            f"canonical correlations above 0.7 ({sc_cca('mnist')})",
            "canonical correlations above .7",
        ),
    ):
        found = {r.config.epochs: interval(pair_totals(r, name)) for r in records}
        inside = {n: count for n, count in found.items() if count.contains(published)}
        where = " and ".join(f"{n} epochs ({c.format(1)})" for n, c in inside.items())
        after = f"after {where}" if inside else "at no length"
        parts.append(f"{published} lies in the 95% interval of {label} {after}")
    tests = [pair_totals(r, f"significant by Bartlett ({sc_cca('mnist')})").mean() for r in records]
    lengths = ", ".join(str(record.config.epochs) for record in records)
    return (
        f"- **The paper's two counts on MNIST**, at lengths of training of {lengths} epochs: "
        f"{'; '.join(parts)}. Bartlett's test, which the paper names, counts {min(tests):.0f} to "
        f"{max(tests):.0f}."
    )


def _tally(mnist: Record, cifar10: Record, sweeps: dict[str, Record]) -> str:
    records = {("mnist", "main"): mnist, ("cifar10", "main"): cifar10}
    records |= {(name, "sweep"): record for name, record in sweeps.items()}
    verdicts = judge_claims(records)["verdict"]
    yes, no, open_ = (int((verdicts == verdict).sum()) for verdict in VERDICTS)
    return (
        f"- Of {len(verdicts)} claims of the paper that can be held against a measurement, {yes} "
        f"replicate, {no} do not, {open_} cannot be decided."
    )


def _time(mnist: Record, cifar10: Record) -> str:
    minutes = [f"{record.wall_seconds / 60:.0f} minutes" for record in (mnist, cifar10)]
    config = mnist.config
    return (
        f"- Training {2 * (config.n_pairs + cifar10.config.n_pairs)} networks and crossing over "
        f"{config.n_pairs + cifar10.config.n_pairs} pairs by {len(config.operators)} operators at "
        f"{len(config.t)} points took {minutes[0]} on MNIST and {minutes[1]} on CIFAR-10 "
        f"({mnist.manifest['machine']})."
    )


def write_findings(root: Path, check: bool = False) -> list[str]:
    """Write the findings into the README and the landing page, and draw their picture.

    Parameters
    ----------
    root : Path
        Root of the project.
    check : bool
        Write nothing; only say what would change.

    Returns
    -------
    list of str
        The pages whose text differs from the records.
    """
    mnist, cifar10 = (load_or_run(main_config(name)) for name in ("mnist", "cifar10"))
    sweeps = {name: load_or_run(sweep_config(name)) for name in ("mnist", "cifar10")}
    counts = [load_or_run(cell_config("mnist", epochs=epochs)) for epochs in COUNT_EPOCHS]
    stale = []
    for page, picture in _PAGES.items():
        path = root / page
        text = path.read_text(encoding="utf-8")
        if not _BLOCK.search(text):
            raise ValueError(f"{path} lacks the markers <!-- findings --> and <!-- /findings -->")
        block = findings_text(mnist, cifar10, sweeps, counts, picture)
        new = _BLOCK.sub(lambda found, b=block: found[1] + b + found[2], text)
        if new != text:
            stale.append(page)
            if not check:
                path.write_text(new, encoding="utf-8")
    if not check:
        figure = main_result({"MNIST": mnist.curves, "CIFAR-10": cifar10.curves})
        figure.savefig(root / _PICTURE, dpi=130)
    return stale


def main(arguments: Sequence[str] | None = None) -> int:
    """Write the findings (``python -m safecross.findings``), or only check them (``--check``)."""
    parser = argparse.ArgumentParser(prog="python -m safecross.findings", description=main.__doc__)
    parser.add_argument("--check", action="store_true", help="write nothing; fail if it is stale")
    options = parser.parse_args(arguments)
    stale = write_findings(committed_folder().parents[1], options.check)
    for page in stale:
        print(f"{page}: {'differs from the records' if options.check else 'written'}")
    return int(bool(stale) and options.check)


if __name__ == "__main__":
    sys.exit(main())
