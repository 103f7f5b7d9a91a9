"""The chapters run on small data of one's own, and display nothing but what is meant."""

import shutil
from pathlib import Path

import nbformat
import numpy as np
import pytest

from safecross.book.build import chapter_parameters, execute_chapter, list_chapters

ROOT = Path(__file__).parents[1]
CHAPTERS = [chapter for chapter in list_chapters() if chapter < "07"]
#: Chapters that are no results of pairs of networks, or take no data.
OTHERS = ("15-any-model", "16-modules", "18-populations", "19-when-to-align")

RESULTS = [chapter for chapter in list_chapters() if chapter >= "07" and chapter not in OTHERS]

#: The shape of one example and the number of classes of each kind of data.
KINDS = {"table": ((12,), 3), "colours-last": ((5, 6, 3), 2), "colours-first": ((3, 5, 6), 2)}

#: Chapters that draw examples or weights as images: what the layout of an image matters to.
DRAWING = ["01-activations", "03-pairwise-correlation", "05-permuting"]

#: What makes a chapter fast; given to each one that declares it.
SMALL = {
    "epochs": 2,
    "width": 16,
    "directions": 8,
    "n_shown": 8,
    "n_images": 2,
    "small_pairs": 1,
    "n_pairs": 1,
    "n_variant_pairs": 1,
    "hidden": "6,5",
    "third": "",
    "conditions": "1 epoch",
    "count_epochs": "1",
    "count_pairs": 1,
    "n_max": 400,
    "p_max": 32,
    "repeats": 1,
    "architecture": "mlp",
}


def write_data(path: Path, shape: tuple[int, ...], n_classes: int) -> Path:
    """Write 300 + 120 floats of any size around one centre a class."""
    rng = np.random.default_rng(0)
    centres = rng.normal(10, 5, size=(n_classes, *shape))
    arrays = {}
    for split, n in (("train", 300), ("test", 120)):
        y = np.arange(n) % n_classes
        arrays[f"x_{split}"] = (centres[y] + rng.normal(size=(n, *shape))).astype("f4")
        arrays[f"y_{split}"] = y
    np.savez(path, **arrays)
    return path


@pytest.fixture(scope="module")
def own_files(tmp_path_factory) -> dict[str, Path]:
    """Write one file of each kind."""
    folder = tmp_path_factory.mktemp("own-data")
    return {
        kind: write_data(folder / f"my-{kind}.npz", shape, n_classes)
        for kind, (shape, n_classes) in KINDS.items()
    }


@pytest.fixture(scope="module")
def project(tmp_path_factory):
    """Lay out the chapters apart, so that no executed page of the book is overwritten."""
    root = tmp_path_factory.mktemp("project")
    shutil.copytree(ROOT / "notebooks", root / "notebooks")
    shutil.copy(ROOT / "_toc.yml", root)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("SAFECROSS_RUNS", str(root / "runs"))
        patch.setenv("OMP_NUM_THREADS", "1")
        yield root


def execute(chapter: str, data: Path, root: Path) -> nbformat.NotebookNode:
    declared = chapter_parameters(chapter, root)
    own = dict.fromkeys(("dataset", "datasets", "count_dataset"), str(data))
    given = {k: v for k, v in (own | SMALL).items() if k in declared}
    return nbformat.read(execute_chapter(chapter, given, root), as_version=4)


def outputs(notebook: nbformat.NotebookNode) -> list[nbformat.NotebookNode]:
    return [o for cell in notebook.cells if cell.cell_type == "code" for o in cell.outputs]


def is_meant(output: nbformat.NotebookNode) -> bool:
    """Return whether an output is a figure, a table with a caption, or text of the chapter."""
    data = output.get("data", {})
    return "text/markdown" in data or "<figure" in data.get("text/html", "")


@pytest.mark.parametrize(
    ("chapter", "kind"),
    [(chapter, "table") for chapter in CHAPTERS]
    + [
        (chapter, kind)
        for chapter in (*DRAWING, "15-any-model")
        for kind in ("colours-last", "colours-first")
    ],
)
def test_a_chapter_runs_on_data_of_ones_own(chapter, kind, own_files, project):
    shown = outputs(execute(chapter, own_files[kind], project))
    assert [o for o in shown if not is_meant(o)] == []
    captions = " ".join(o.data["text/html"] for o in shown if "text/html" in o.data)
    assert f"my-{kind}" in captions  # and nothing else was measured in its place


@pytest.mark.parametrize("chapter", RESULTS)
def test_a_chapter_of_results_runs_on_one_pair_of_a_file_with_a_comma(
    chapter, own_files, project, tmp_path
):
    data = shutil.copy(own_files["table"], tmp_path / "a, b.npz")
    shown = outputs(execute(chapter, Path(data), project))
    assert [o for o in shown if not is_meant(o)] == []
    said = " ".join(str(o.data) for o in shown)
    assert "records of your own" in said or "None of the paper's claims" in said


@pytest.mark.parametrize(
    "code", ["import pandas\npandas.DataFrame({'a': [1]})", "3", "print(1)", "[1, 2]"]
)
def test_a_raw_table_or_value_is_seen_not_to_be_meant(code, tmp_path):
    (tmp_path / "notebooks").mkdir()
    (tmp_path / "_toc.yml").write_text("format: jb-book\nroot: index\n")
    cells = [
        nbformat.v4.new_code_cell("dataset = ''  # any", metadata={"tags": ["parameters"]}),
        nbformat.v4.new_code_cell(code),
    ]
    notebook = nbformat.v4.new_notebook(cells=cells)
    nbformat.write(notebook, tmp_path / "notebooks" / "01-raw.ipynb")
    assert not any(map(is_meant, outputs(execute("01-raw", tmp_path / "my.npz", tmp_path))))
