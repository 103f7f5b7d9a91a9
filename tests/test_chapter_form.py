"""The form that chapters share: answer first, folded answers, Markdown that any viewer shows."""

import re
from pathlib import Path

import pytest

from safecross.book.chapters import list_pages
from safecross.book.findings import answers
from safecross.book.pairing import to_notebook

ROOT = Path(__file__).parents[1]
NOTEBOOKS = ROOT / "notebooks"
SOURCES = sorted(NOTEBOOKS.glob("*.py"))

RESULTS = answers(ROOT)

each_chapter = pytest.mark.parametrize("source", SOURCES, ids=lambda path: path.stem)

ON_COLAB = """\
# On Colab: fetch the book and install the package. Anywhere else this cell does nothing.
import os
import sys

if "google.colab" in sys.modules and not os.path.isdir("/content/safecross"):
    from subprocess import run

    address = "https://github.com/safecross/safecross"
    run(["git", "clone", "--depth=1", address, "/content/safecross"], check=True)
    run([sys.executable, "-m", "pip", "install", "-q", "-e", "/content/safecross"], check=True)
    sys.path.insert(0, "/content/safecross")"""

#: What is written from the records: every chapter of results opens and ends with it.
MARKS = re.compile(r"<!-- finding [\w-]+ -->\n|\n<!-- /finding -->")

EXERCISE = re.compile(
    r"\*\*\d\.\*\* .+?\n\n<details><summary>Answer</summary>\n\n.+?\n\n</details>\n\n", re.DOTALL
)


def cells(source: Path):
    return to_notebook(source.read_text(encoding="utf-8")).cells


def prose(source: Path) -> str:
    return "\n\n".join(cell.source for cell in cells(source) if cell.cell_type == "markdown")


def is_written(part: str) -> bool:
    """Return whether a part of a page is one finding, whole."""
    start, *between, end = MARKS.findall(part) or ["", ""]
    return bool(start and end and not between) and part.startswith(start) and part.endswith(end)


@each_chapter
def test_the_title_is_followed_by_the_answer_and_three_lines(source):
    title, answer, lines, *rest = cells(source)[0].source.split("\n\n")
    assert re.fullmatch(r"# .+", title)
    assert re.fullmatch(r"\*\*[^*]+\*\*", MARKS.sub("", answer))
    assert is_written(answer) == (source.stem in RESULTS)
    assert re.findall(r"^- \*\*(.+?)\*\*", lines, re.MULTILINE) == [
        "You will",
        "You need",
        "Runtime:",
    ]
    assert "https://doi.org/10.1145/3377930.3390197" in rest[0]
    assert "own.npz" in rest[0]  # whether it takes data of one's own


@each_chapter
def test_the_first_code_cell_installs_on_colab_alone(source):
    first = cells(source)[1]
    assert first.source == ON_COLAB
    assert first.metadata.tags == ["remove-cell"]


@each_chapter
def test_the_prose_has_no_directive_that_other_viewers_show_raw(source):
    assert re.findall(r":::|^```\{|\{[a-z]+(?::[a-z]+)?\}`", prose(source), re.MULTILINE) == []


@each_chapter
def test_no_equation_of_several_lines_has_a_tag(source):
    # Sphinx puts it into a `split`, in which MathJax refuses a tag.
    equations = re.findall(r"\$\$(.+?)\$\$", prose(source), re.DOTALL)
    assert [e for e in equations if r"\tag" in e and r"\\" in e] == []


@each_chapter
def test_it_ends_with_a_summary_exercises_and_the_next_page(source):
    end = prose(source).partition("\n## In short\n\n")[2]
    summary, _, exercises = end.partition("\n\n## Exercises\n\n")
    lines = MARKS.sub("", summary).splitlines()
    assert lines and all(line.startswith(("- ", "  ")) for line in lines)
    assert EXERCISE.match(exercises)
    next_line = EXERCISE.sub("", exercises)
    title, file = re.fullmatch(r"\*\*Next:\*\* \[(.+)\]\((.+)\.(?:ipynb|md)\)", next_line).groups()
    pages = list_pages(ROOT)
    page = pages[pages.index(f"notebooks/{source.stem}") + 1]
    assert (NOTEBOOKS / file).resolve() == ROOT / page
    path = next(p for ending in ("py", "md") if (p := ROOT / f"{page}.{ending}").is_file())
    assert path.read_text().removeprefix("# %% [markdown]\n# ").startswith(f"# {title}\n")


@each_chapter
def test_a_summary_of_results_has_numbers_that_come_from_the_records(source):
    summary = prose(source).partition("\n## In short\n\n")[2].partition("\n\n## ")[0]
    assert is_written(summary) == (source.stem in RESULTS)
    if source.stem in RESULTS:
        assert sum(bool(re.search(r"\d", line)) for line in summary.splitlines()) >= 2


@pytest.mark.parametrize("exposed", ["**1.** Why?\n\nBecause.\n\n", "**1.** Why?\n\n"])
def test_an_exercise_without_a_folded_answer_is_seen(exposed):
    assert EXERCISE.sub("", exposed)


@pytest.mark.parametrize(
    "part",
    [
        "**By hand: 3.**",
        "<!-- finding a -->\n**3.**\n<!-- /finding -->\n\n**And by hand: 4.**",
        "**By hand: 4.**\n<!-- finding a -->\n**3.**\n<!-- /finding -->",
        "<!-- finding a -->\n3\n<!-- /finding -->\nThen\n<!-- finding b -->\n4\n<!-- /finding -->",
    ],
)
def test_what_was_typed_by_hand_is_seen_not_to_be_written(part):
    assert not is_written(part)
    assert is_written("<!-- finding a -->\n**3.**\n<!-- /finding -->")
