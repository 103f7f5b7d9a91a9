"""Chapters of results say the same in every build: quick or whole, with data at hand or without."""

import shutil
from pathlib import Path

import nbformat
import pytest
from nbformat.v4 import new_code_cell, new_notebook, new_output

from safecross.book.build import execute_chapter, load_profile, plan_parameters
from safecross.book.chapters import chapter_parameters
from safecross.book.findings import answers

ROOT = Path(__file__).parents[1]
RESULTS = list(answers(ROOT))
PROFILES = [load_profile(path.stem) for path in sorted(ROOT.glob("book/profiles/*.yaml"))]

#: All that may differ between profiles: the sizes of what one chapter times while it is executed...
MEASURED_NOW = {"11-costs": {"n_max", "p_max"}}
#: ... and the outputs of the cells that hold this: the figure and the table of those times.
LIVE = {"11-costs": ["costs = measure_costs(", "exponents = fit_exponents(costs)"]}


@pytest.fixture
def bare(tmp_path, monkeypatch) -> Path:
    """Lay out the chapters without data or a way to them: a missing record is an error."""
    shutil.copytree(ROOT / "notebooks", tmp_path / "notebooks")
    shutil.copy(ROOT / "_toc.yml", tmp_path)
    for variable in ("SAFECROSS_DATA", "SAFECROSS_CACHE", "SAFECROSS_RUNS"):
        monkeypatch.setenv(variable, str(tmp_path / variable.lower()))
    for variable in ("http_proxy", "https_proxy"):
        monkeypatch.setenv(variable, "http://127.0.0.1:9")
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    return tmp_path


def said(cell: nbformat.NotebookNode) -> list[dict]:
    """Return the outputs of a cell: texts, tables and drawings as they lie in the page."""
    return [{k: v for k, v in o.items() if k != "execution_count"} for o in cell.outputs]


def differing(one: nbformat.NotebookNode, other: nbformat.NotebookNode) -> list[str]:
    """Return the sources of the cells that show different things in two executions."""
    assert len(one.cells) == len(other.cells)
    found = []
    for a, b in zip(one.cells, other.cells, strict=True):
        assert a.cell_type == b.cell_type
        assert a.source == b.source or "parameters" in a.metadata.tags
        if a.cell_type == "code" and said(a) != said(b):
            found.append(a.source)
    return found


def execute(chapter: str, values: dict, root: Path) -> nbformat.NotebookNode:
    return nbformat.read(execute_chapter(chapter, values, root), as_version=4)


def assert_only_live_cells_differ(chapter: str, found: list[str]) -> None:
    live = LIVE.get(chapter, [])
    assert len(found) == len(live), found
    assert all(start in source for start, source in zip(live, found, strict=True)), found


@pytest.mark.parametrize("chapter", RESULTS)
@pytest.mark.parametrize("profile", PROFILES, ids=lambda profile: profile.name)
def test_a_profile_gives_a_chapter_of_results_its_own_defaults(profile, chapter):
    declared = chapter_parameters(chapter, ROOT)
    given = plan_parameters(profile)[chapter]
    changed = {name for name, value in given.items() if value != declared[name]}
    assert changed <= MEASURED_NOW.get(chapter, set())


def test_what_is_measured_now_moves_no_other_output_of_its_chapter(bare):
    """Costs at other sizes than either profile's; all else comes from records, and stays."""
    small, large = (
        execute("11-costs", {"n_max": n, "p_max": p, "repeats": 1}, bare)
        for n, p in ((400, 32), (480, 48))
    )
    assert_only_live_cells_differ("11-costs", differing(small, large))


@pytest.mark.profiles
@pytest.mark.parametrize("chapter", RESULTS)
def test_a_chapter_of_results_shows_the_same_under_every_profile(chapter, bare):
    """Every output of every cell, under the parameters that `make book PROFILE=...` gives."""
    first, *others = (execute(chapter, plan_parameters(p)[chapter], bare) for p in PROFILES)
    assert others
    n_outputs = sum(len(c.outputs) for c in first.cells if c.cell_type == "code")
    for other in others:
        found = differing(first, other)
        assert_only_live_cells_differ(chapter, found)
        print(f"{chapter}: {n_outputs} outputs, those of {len(found)} cells differ")


def test_a_number_that_differs_is_seen():
    def page(number):
        output = new_output("display_data", {"text/html": f"<figure>{number}</figure>"})
        cells = [new_code_cell(source, outputs=[output]) for source in ("show(x)", "show(3)")]
        cells[1].outputs = [new_output("display_data", {"text/html": "3"})]
        return new_notebook(cells=cells)

    assert differing(page(1), page(1)) == []
    assert differing(page(1), page(2)) == ["show(x)"]
    with pytest.raises(AssertionError):
        assert_only_live_cells_differ("10-ranking", ["show(x)"])
    with pytest.raises(AssertionError):
        assert_only_live_cells_differ("11-costs", ["show(x)", LIVE["11-costs"][1]])
