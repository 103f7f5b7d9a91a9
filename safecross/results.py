"""What the chapters of results share: records by data set, where they come from, their claims."""

from collections.abc import Mapping

import pandas as pd
from IPython.display import Markdown, display

from . import paper
from .claims import judge_claims
from .data.catalogue import KNOWN
from .experiment import Record, load_or_run
from .plots import table

__all__ = ["load_records", "measured_and_published", "roles", "say_where"]

_CONFIGS = {"main": paper.main_config, "sweep": paper.sweep_config}

#: Which data set's claims a data set is held against; the embedded one stands in for MNIST. By
#: fingerprint, since a file of one's own may have any name.
_ROLES = {
    KNOWN[name].fingerprint: role
    for name, role in (("mnist", "mnist"), ("mnist5k", "mnist"), ("cifar10", "cifar10"))
}


def _role(record: Record) -> str | None:
    return _ROLES.get(record.manifest["data_fingerprint"])


def load_records(
    datasets: str, n_pairs: int, seed: int, hidden: str = "", epochs: int = 0, kind: str = "main"
) -> dict[str, Record]:
    """Return the records of some data sets, computing those that are not there.

    Parameters
    ----------
    datasets : str
        Names or ``.npz`` files, with commas between them.
    n_pairs, seed : int
        As in `Config`.
    hidden : str
        Hidden widths such as ``"256,64"``; empty for those of Section 5.1.
    epochs : int
        Of training; 0 for those of the published record.
    kind : {"main", "sweep"}
        Which of `safecross.paper`'s experiments.

    Returns
    -------
    dict of str to Record
        By data set, in the order given.

    Raises
    ------
    ValueError
        If a parameter leaves its range.
    """
    changes = {}
    if hidden:  # papermill reads a single width as a number
        changes["hidden"] = tuple(int(width) for width in str(hidden).split(","))
    if epochs:
        changes["epochs"] = epochs
    configs = [
        _CONFIGS[kind](dataset.strip(), n_pairs, seed, **changes) for dataset in datasets.split(",")
    ]
    return {config.dataset: load_or_run(config) for config in configs}


def say_where(records: Mapping[str, Record], full_pairs: int = 200) -> None:
    """Display where each record comes from, and a note if it is not of the published size.

    Parameters
    ----------
    records : mapping of str to Record
        By what they are called.
    full_pairs : int
        Pairs of the published records.
    """
    lines = [record.describe() for record in records.values()]
    published = {KNOWN["mnist"].fingerprint, KNOWN["cifar10"].fingerprint}
    if any(
        record.config.n_pairs < full_pairs or record.manifest["data_fingerprint"] not in published
        for record in records.values()
    ):
        lines.append(
            "**This is a small run, which shows how the chapter works: its numbers are not the "
            "paper's experiment.** The published book has the full one."
        )
    display(Markdown("\n\n".join(lines)))


def roles(**kinds: Mapping[str, Record]) -> dict[tuple[str, str], Record]:
    """Return records by the role they play in the paper, as `judge_claims` takes them.

    Parameters
    ----------
    **kinds : mapping of str to Record
        ``main=`` and ``sweep=`` records by data set.
    """
    return {
        (_role(record), kind): record
        for kind, records in kinds.items()
        for record in records.values()
        if _role(record)
    }


def measured_and_published(
    records: Mapping[tuple[str, str], Record], chapter: str = ""
) -> pd.DataFrame:
    """Display the claims of a chapter, ours beside the paper's, and return the table.

    Parameters
    ----------
    records : mapping of (role, kind) to Record
        As `roles` returns them.
    chapter : str, optional
        Only the claims of this chapter; all by default.
    """
    claims = judge_claims(records, chapter)
    if claims.empty:
        display(Markdown("None of the paper's claims in this chapter is about these data."))
        return claims
    shown = claims[["number", "claim", "published", "ours", "verdict"]].copy()
    shown["claim"] = [_claim_cell(claim, link=not chapter) for claim in claims.itertuples()]
    shown["verdict"] = [f"<b>{verdict}</b>" for verdict in claims["verdict"]]
    pairs = ", ".join(
        f"{record.config.n_pairs} pairs of {record.config.dataset}, seed {record.config.seed}"
        for (_, kind), record in records.items()
        if kind == "main" or chapter
    )
    small = any(record.config.dataset == "mnist5k" for record in records.values())
    table(
        shown,
        f"Claims of the paper and what we measure ({pairs}); brackets are 95% intervals."
        + (" The embedded data stand in for MNIST here: no verdict on the paper." if small else ""),
    )
    return claims


def _claim_cell(claim, link: bool) -> str:
    place = f"Section {claim.place}" if claim.place[0].isdigit() else claim.place
    about = f"{place}: “{claim.quote}”. Rule: {claim.rule}."
    if link:
        about += f' <a href="{claim.chapter}.html">Chapter {int(claim.chapter[:2])}</a>'
    return f"{claim.claim}<br><small>{about}</small>"
