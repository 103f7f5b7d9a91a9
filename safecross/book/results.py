"""What the chapters of results share: records by data set, where they come from, their claims."""

import html
from collections.abc import Mapping
from pathlib import Path

from IPython.display import Markdown, display

from ..data.catalogue import KNOWN
from ..replication import paper
from ..replication.claims import judge_claims
from ..runs import Record, committed_folder, load_or_run
from .plots import spelt, table

__all__ = ["load_records", "measured_and_published", "roles", "say_where", "split_names"]

_CONFIGS = {"main": paper.main_config, "sweep": paper.sweep_config}

#: Which data set's claims a data set is held against. By fingerprint, since a file of one's own may
#: have any name.
_ROLES = {KNOWN[name].fingerprint: name for name in ("mnist", "cifar10")}


def _role(record: Record) -> str | None:
    return _ROLES.get(record.manifest["data_fingerprint"])


def split_names(datasets: str) -> list[str]:
    """Return the data sets of a list with commas, in which a file's name may hold commas too.

    Examples
    --------
    >>> split_names("mnist, own.npz"), split_names("a,b.npz,mnist")
    (['mnist', 'own.npz'], ['a,b.npz', 'mnist'])
    """
    names, begun = [], ""
    for part in str(datasets).split(","):
        begun += part
        if begun.strip() in KNOWN or begun.endswith(".npz"):
            names.append(begun.strip())
            begun = ""
        else:
            begun += ","
    return names + [name.strip() for name in begun.rstrip(",").split(",") if name.strip()]


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
        Which of `safecross.replication.paper`'s experiments.

    Returns
    -------
    dict of str to Record
        By data set, in the order given; a file goes by its name without folder and ending.

    Raises
    ------
    ValueError
        If a parameter leaves its range, or there is no data set.
    """
    changes = {}
    if hidden:  # papermill reads a single width as a number
        changes["hidden"] = tuple(int(width) for width in str(hidden).split(","))
    if epochs:
        changes["epochs"] = epochs
    names = split_names(datasets)
    if not names:
        raise ValueError(f"expected the names of data sets, such as mnist; found {datasets!r}")
    configs = [_CONFIGS[kind](name, n_pairs, seed, **changes) for name in names]
    return {Path(config.dataset).stem: load_or_run(config) for config in configs}


def say_where(records: Mapping[str, Record]) -> None:
    """Display where each record comes from, and a note if one is not published.

    More than three records are folded.

    Parameters
    ----------
    records : mapping of str to Record
        By what they are called.
    """
    lines = [
        f'<span class="sc-origin">{html.escape(spelt(record.describe()))}</span>'
        for record in records.values()
    ]
    if len(lines) > 3:
        each = "".join(f"<p>{line}</p>" for line in lines)
        summary = f"<summary>Where the {len(lines)} records come from</summary>"
        lines = [f'<details class="sc-fold">{summary}{each}</details>']
    published = committed_folder().resolve()
    if any(published not in record.folder.resolve().parents for record in records.values()):
        lines.append(
            "**These are records of your own.** The figures and tables below show them; the "
            "sentences of this page are about the published ones."
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
    records: Mapping[tuple[str, str], Record], chapter: str = "", name: str = ""
) -> None:
    """Display the claims of a chapter, ours beside the paper's.

    Parameters
    ----------
    records : mapping of (role, kind) to Record
        As `roles` returns them.
    chapter : str, optional
        Only the claims of this chapter, each with a place that links find; all by default, each
        with a link to that place.
    name : str, optional
        Of the table.
    """
    claims = judge_claims(records, chapter)
    if claims.empty:
        display(Markdown("None of the paper's claims in this chapter is about these data."))
        return
    shown = claims[["number", "claim", "published", "ours", "verdict"]].copy()
    shown["number"] = [
        f'<span id="claim-{claim.name}">{claim.number}</span>' if chapter else str(claim.number)
        for claim in claims.itertuples()
    ]
    shown["claim"] = [_claim_cell(claim, link=not chapter) for claim in claims.itertuples()]
    shown["verdict"] = [
        f'<b class="sc-{verdict.split()[0]}">{verdict}</b>' for verdict in claims["verdict"]
    ]
    # In a narrow window the columns on the right are out of sight: what matters comes first.
    shown = shown.rename(columns={"number": "no."})
    shown = shown[["no.", "verdict", "claim", "published", "ours"]]
    pairs = ", ".join(
        dict.fromkeys(
            f"{record.config.n_pairs} pairs of {record.config.dataset}, seed {record.config.seed}"
            for (_, kind), record in records.items()
            if kind == "main" or chapter
        )
    )
    caption = f"Claims of the paper and what we measure ({pairs}); brackets are 95% intervals."
    table(shown, caption, name=name or f"claims-{chapter or 'all'}", fold=False)


def _claim_cell(claim, link: bool) -> str:
    place = f"Section {claim.place}" if claim.place[0].isdigit() else claim.place
    about = f"{place}: “{claim.quote}”.<br>Rule: {claim.rule}."
    if link:
        about += (
            f' <a href="{claim.chapter}.html#claim-{claim.name}">'
            f"Evidence in chapter {int(claim.chapter[:2])}</a>"
        )
    return f"{claim.claim}<br><small>{about}</small>"
