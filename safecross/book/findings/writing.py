"""Writing the findings where pages mark their places."""

import argparse
import re
from collections.abc import Sequence
from pathlib import Path

from ...runs import committed_folder
from ..plots import LABELS, main_result
from .published import FINDINGS, PICTURE, Published

__all__ = ["answers", "main", "pages", "write_findings"]

_BLOCK = re.compile(
    r"^(?P<mark>(?P<lead>#? ?)<!-- finding (?P<name>[\w-]+) -->\n).*?(?=^#? ?<!-- /finding -->)",
    re.DOTALL | re.MULTILINE,
)


def pages(root: Path) -> list[Path]:
    """Return the files in which findings may stand."""
    return [root / "README.md", *sorted((root / "book").glob("*.md")), *_sources(root)]


def _sources(root: Path) -> list[Path]:
    return sorted((root / "notebooks").glob("[0-9][0-9]-*.py"))


def write_findings(root: Path, check: bool = False) -> list[str]:
    """Write each finding where a page marks its place, and draw the main result.

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

    Raises
    ------
    ValueError
        If a page names an unknown finding, a finding stands on no page, or the records do not
        support a sentence.
    """
    published, stale, used = Published(), [], set()

    def filled(block: re.Match) -> str:
        name = block["name"]
        if name not in FINDINGS:
            raise ValueError(f"unknown finding {name!r}. Known: {', '.join(FINDINGS)}")
        used.add(name)
        lines = FINDINGS[name](published).strip().splitlines()
        lead = "# " if block["lead"] else ""
        return block["mark"] + "".join(f"{lead}{line}".rstrip() + "\n" for line in lines)

    for path in pages(root):
        text = path.read_text(encoding="utf-8")
        new = _BLOCK.sub(filled, text)
        if new != text:
            stale.append(str(path.relative_to(root)))
            if not check:
                path.write_text(new, encoding="utf-8")
    if unused := [name for name in FINDINGS if name not in used]:
        raise ValueError(f"findings that no page has a place for: {', '.join(unused)}")
    if not check:
        curves = {label: published.main(name).curves for name, label in LABELS.items()}
        figure = main_result(curves)
        figure.savefig(root / PICTURE, dpi=110, facecolor="white")
    return stale


def answers(root: Path) -> dict[str, str]:
    """Return the opening answer of each chapter of results, as its page has it."""
    found = {}
    for path in _sources(root):
        block = re.search(
            r"<!-- finding [\w-]+-answer -->\n(.*?)# <!-- /finding", path.read_text(), re.DOTALL
        )
        if block:
            found[path.stem] = re.sub(r"^# ?|\*\*", "", block[1], flags=re.MULTILINE).strip()
    return found


def main(arguments: Sequence[str] | None = None) -> int:
    """Write the findings (``python -m safecross.book.findings``), check them, or print the answers."""
    parser = argparse.ArgumentParser(
        prog="python -m safecross.book.findings", description=main.__doc__
    )
    parser.add_argument("--check", action="store_true", help="write nothing; fail if one is stale")
    parser.add_argument("--answers", action="store_true", help="print each chapter's answer")
    options = parser.parse_args(arguments)
    root = committed_folder().parents[1]
    stale = write_findings(root, options.check or options.answers)
    for page in stale:
        print(f"{page}: {'differs from the records' if options.check else 'written'}")
    if options.answers:
        for chapter, answer in answers(root).items():
            print(f"{chapter}: {answer}\n")
    return int(bool(stale) and options.check)
