"""The chapters as files: paired, parametrised, in the table of contents; `make book` runs them."""

from pathlib import Path

import nbformat
import pytest

from safecross.book.build import (
    declared_parameters,
    list_chapters,
    list_pages,
    load_profile,
    plan_parameters,
)
from safecross.book.pairing import (
    main,
    notebook_text,
    pair_notebooks,
    stale_notebooks,
    to_notebook,
)

ROOT = Path(__file__).parents[1]
SOURCES = sorted((ROOT / "notebooks").glob("*.py"))
PROFILES = sorted(path.stem for path in (ROOT / "book" / "profiles").glob("*.yaml"))

each_chapter = pytest.mark.parametrize("source", SOURCES, ids=lambda path: path.stem)

SOURCE = """\
# %% [markdown]
# # Title

# %% tags=["parameters"]
seed = 0  # of the parents

# %% mystnb={"figure": {"caption": "A line."}}
print(seed)

# %%
print(seed)
"""


def test_there_are_chapters_and_profiles():
    assert SOURCES
    assert {"quick", "paper"} <= set(PROFILES)


@each_chapter
def test_the_notebook_is_what_its_source_gives(source):
    assert source.with_suffix(".ipynb").read_text(encoding="utf-8") == notebook_text(source)


@each_chapter
def test_the_notebook_holds_no_outputs(source):
    cells = nbformat.read(source.with_suffix(".ipynb"), as_version=4).cells
    code = [cell for cell in cells if cell.cell_type == "code"]
    assert code
    assert all(cell.outputs == [] and cell.execution_count is None for cell in code)


@each_chapter
def test_the_chapter_declares_its_parameters_and_comments_on_each(source):
    notebook = to_notebook(source.read_text(encoding="utf-8"))
    assert declared_parameters(notebook)
    (cell,) = [c for c in notebook.cells if "parameters" in c.metadata.get("tags", [])]
    bare = [line for line in cell.source.splitlines() if "=" in line and "#" not in line]
    assert not bare


@each_chapter
def test_the_source_does_not_name_the_version_that_saved_it(source):
    assert "jupytext_version" not in source.read_text(encoding="utf-8")


@each_chapter
def test_the_chapter_begins_with_a_title(source):
    first = to_notebook(source.read_text(encoding="utf-8")).cells[0]
    assert first.cell_type == "markdown"
    assert first.source.startswith("# ")


def test_no_notebook_is_without_a_source():
    assert stale_notebooks(ROOT / "notebooks") == []


def test_the_pages_of_the_table_of_contents_exist():
    files = [ROOT / f"{p}{'.ipynb' if p.startswith('notebooks/') else '.md'}" for p in list_pages()]
    assert [str(f) for f in files if not f.is_file()] == []


def test_the_chapters_are_in_the_table_of_contents_in_order():
    named = [page.removeprefix("notebooks/") for page in list_pages() if "notebooks/" in page]
    assert named == list_chapters()


@pytest.mark.parametrize("name", PROFILES)
def test_a_profile_names_only_chapters_and_parameters_that_exist(name):
    assert list(plan_parameters(load_profile(name))) == list_chapters()
    assert load_profile(name).description


def test_pairing_depends_on_the_source_alone(tmp_path):
    source = tmp_path / "01-a.py"
    source.write_text(SOURCE)
    assert pair_notebooks(tmp_path) == [tmp_path / "01-a.ipynb"]
    first = (tmp_path / "01-a.ipynb").read_bytes()
    assert pair_notebooks(tmp_path) == []  # nothing to do
    (tmp_path / "01-a.ipynb").write_text("edited by hand")
    assert stale_notebooks(tmp_path) == [tmp_path / "01-a.ipynb"]
    pair_notebooks(tmp_path)
    assert (tmp_path / "01-a.ipynb").read_bytes() == first
    (tmp_path / "02-alone.ipynb").write_text("{}")
    assert stale_notebooks(tmp_path) == [tmp_path / "02-alone.ipynb"]


def test_pairing_keeps_tags_and_captions_and_makes_ids_that_last():
    cells = to_notebook(SOURCE).cells
    assert cells[1].metadata == {"tags": ["parameters"]}
    assert cells[2].metadata == {"mystnb": {"figure": {"caption": "A line."}}}
    ids = [cell.id for cell in cells]
    assert len(set(ids)) == len(ids)  # though two cells have the same text
    longer = to_notebook(SOURCE.replace("# %% tags", "# %%\n1 + 1\n\n# %% tags"))
    assert [cell.id for cell in longer.cells if cell.source != "1 + 1"] == ids


def test_the_pairing_check_fails_on_a_difference_and_writes_nothing(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr("safecross.book.pairing.stale_notebooks", lambda: [tmp_path / "01-a.ipynb"])
    assert main(["--check"]) == 1
    assert "01-a.ipynb" in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == []
    monkeypatch.setattr("safecross.book.pairing.stale_notebooks", list)
    assert main(["--check"]) == 0
