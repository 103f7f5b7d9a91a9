"""The driver of the book, on small projects laid out like this one."""

import json
import os
import re
import shutil
import sys
from pathlib import Path

import nbformat
import pytest
from nbformat.v4 import new_code_cell, new_notebook

import safecross
from safecross.book import build as book
from safecross.book.build import (
    BookError,
    ChapterError,
    ParameterError,
    Profile,
    build_html,
    check_parameters,
    declared_parameters,
    execute_book,
    execute_chapter,
    list_chapters,
    list_pages,
    load_profile,
    make_book,
    plan_parameters,
)
from safecross.book.pairing import pair_notebooks

ROOT = Path(__file__).parents[1]
DECLARED = {"dataset": "mnist", "epochs": 5, "rate": 1e-3, "resume": True}


def chapter_source(code: str, parameters: str = "seed = 0  # of the parents") -> str:
    return f'# %% [markdown]\n# # Count\n\n# %% tags=["parameters"]\n{parameters}\n\n# %%\n{code}\n'


def make_project(root: Path, chapters: dict[str, str]) -> Path:
    """Lay out a project with this one's settings, one page and the given chapters."""
    (root / "notebooks").mkdir(parents=True)
    (root / "book" / "profiles").mkdir(parents=True)
    (root / "book" / "index.md").write_text("# A small book\n\nFirst page.\n")
    (root / "book" / "profiles" / "quick.yaml").write_text("common: {seed: 1}\n")
    for part in ("_static", "_templates"):
        shutil.copytree(ROOT / "book" / part, root / "book" / part)
    shutil.copy(ROOT / "book" / "references.bib", root / "book")
    for name in ("_config.yml", "CITATION.cff"):
        shutil.copy(ROOT / name, root)
    toc = ["format: jb-book", "root: book/index", "parts:", "- numbered: true", "  chapters:"]
    (root / "_toc.yml").write_text("\n".join(toc + [f"  - file: notebooks/{c}" for c in chapters]))
    for name, source in chapters.items():
        (root / "notebooks" / f"{name}.py").write_text(source)
    pair_notebooks(root / "notebooks")
    return root


def printed(notebook: Path) -> str:
    cells = nbformat.read(notebook, as_version=4).cells
    return "".join(o.text for c in cells for o in c.get("outputs", []) if o.output_type == "stream")


def staged(root: Path, chapter: str) -> Path:
    return root / "_build" / "book" / "notebooks" / f"{chapter}.ipynb"


# parameters


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"epoch": 1}, r"no parameter 'epoch'; did you mean 'epochs'\?.*dataset, epochs, rate"),
        ({"rate": "1e-3"}, r"'rate' expects float, found str '1e-3'"),
        ({"epochs": 5.0}, r"'epochs' expects int, found float 5.0"),
        ({"epochs": True}, r"'epochs' expects int, found bool True"),
        ({"rate": True}, r"'rate' expects float, found bool True"),
        ({"resume": 1}, r"'resume' expects bool, found int 1"),
        ({"dataset": None}, r"'dataset' expects str, found NoneType None"),
    ],
)
def test_unknown_and_wrong_typed_parameters_are_refused(given, message):
    with pytest.raises(ParameterError, match=message):
        check_parameters(given, DECLARED)


def test_an_int_is_a_float_and_comes_out_as_one():
    checked = check_parameters({"rate": 1, "epochs": 2}, DECLARED)
    assert checked == {"rate": 1.0, "epochs": 2}
    assert type(checked["rate"]) is float


@pytest.mark.parametrize(
    "source",
    [
        "seed = int('3')",
        "widths = [512, 512]",
        "a = b = 1",
        "seed: int = 3",
        "import os",
        "x = None",
        "a.b = 1",
    ],
)
def test_a_parameters_cell_holds_bare_literals_only(source):
    cell = new_code_cell(source, metadata={"tags": ["parameters"]})
    with pytest.raises(ParameterError, match="bare"):
        declared_parameters(new_notebook(cells=[cell]))


def test_negative_numbers_and_comments_are_bare_literals():
    cell = new_code_cell("low = -0.25  # of t\nsteps = 31", metadata={"tags": ["parameters"]})
    assert declared_parameters(new_notebook(cells=[cell])) == {"low": -0.25, "steps": 31}


@pytest.mark.parametrize("count", [0, 2])
def test_a_chapter_has_exactly_one_parameters_cell(count):
    cells = [new_code_cell("a = 1", metadata={"tags": ["parameters"]}) for _ in range(count)]
    with pytest.raises(ParameterError, match=f"not {count}"):
        declared_parameters(new_notebook(cells=cells))


@pytest.fixture
def two_chapters(tmp_path):
    """Two chapters, of which only the second declares `epochs`; nothing is executed."""
    both = "seed = 0  # s\nepochs = 5  # e"
    return make_project(
        tmp_path, {"01-one": chapter_source("1"), "02-two": chapter_source("1", both)}
    )


def test_the_command_wins_over_the_chapter_and_the_chapter_over_the_common(two_chapters):
    profile = Profile("p", common={"seed": 1, "epochs": 10}, chapters={"02-two": {"epochs": 20}})
    plan = plan_parameters(profile, root=two_chapters)
    assert plan == {"01-one": {"seed": 1}, "02-two": {"seed": 1, "epochs": 20}}
    plan = plan_parameters(profile, parameters={"epochs": 30}, root=two_chapters)
    assert plan == {"01-one": {"seed": 1}, "02-two": {"seed": 1, "epochs": 30}}


def test_chapters_are_chosen_by_name_or_number(two_chapters):
    for name in ("02", "02-two"):
        assert list(plan_parameters(Profile("p"), [name], root=two_chapters)) == ["02-two"]
    with pytest.raises(BookError, match=r"no chapter '03'.*01-one, 02-two"):
        plan_parameters(Profile("p"), ["03"], root=two_chapters)


@pytest.mark.parametrize(
    ("profile", "only", "parameters", "message"),
    [
        (Profile("p", common={"sed": 1}), None, {}, "profile p names no parameter 'sed'"),
        (Profile("p", chapters={"02-tow": {}}), None, {}, "no chapter '02-tow'.*mean '02-two'"),
        (Profile("p", chapters={"01-one": {"epochs": 1}}), None, {}, "01-one has no .*'epochs'"),
        (Profile("p", common={"epochs": "5"}), ["01"], {}, "02-two: .* expects int, found str"),
        (Profile("p"), ["01"], {"epochs": 1}, "the command names no parameter 'epochs'"),
    ],
)
def test_a_plan_with_a_mistake_is_refused(two_chapters, profile, only, parameters, message):
    with pytest.raises(BookError, match=message):
        plan_parameters(profile, only, parameters, two_chapters)


def test_profiles_are_read_and_mistakes_in_them_named(two_chapters):
    folder = two_chapters / "book" / "profiles"
    assert load_profile("quick", two_chapters).common == {"seed": 1}
    (folder / "bare.yaml").write_text("description: The defaults.\n")
    assert load_profile(folder / "bare.yaml").chapters == {}
    with pytest.raises(BookError, match="no profile 'quik'; did you mean 'quick'"):
        load_profile("quik", two_chapters)
    wrong = ("colour: red\n", "common: [seed]\n", "chapters: {01-one: 3}\n", "a: [\n", "", "7\n")
    for text in wrong:
        (folder / "bad.yaml").write_text(text)
        with pytest.raises(BookError, match=r"bad\.yaml"):
            load_profile("bad", two_chapters)


def test_an_edited_profile_says_its_new_checksum(two_chapters):
    path = two_chapters / "book" / "profiles" / "mine.yaml"
    path.write_text("sha256: 0\ncommon: {seed: 3}\n")
    with pytest.raises(
        BookError, match=r"mine\.yaml .* If you edited it, write [0-9a-f]{64}"
    ) as error:
        load_profile("mine", two_chapters)
    path.write_text(f"sha256: {str(error.value).split()[-2]}\n# A remark.\ncommon: {{seed: 3}}\n")
    assert load_profile("mine", two_chapters).common == {"seed": 3}


# execution


def test_a_chapter_runs_at_the_root_with_this_python_wherever_it_is_called_from(
    tmp_path, monkeypatch
):
    # A kernel of the same name that another Python installed must not be taken.
    foreign = tmp_path / "jupyter" / "kernels" / "python3"
    foreign.mkdir(parents=True)
    spec = {"argv": ["/bin/false", "{connection_file}"], "display_name": "F", "language": "python"}
    (foreign / "kernel.json").write_text(json.dumps(spec))
    monkeypatch.setenv("JUPYTER_PATH", str(tmp_path / "jupyter"))
    code = "import os, sys\nprint(sys.executable, os.getcwd(), os.environ['SAFECROSS_PROGRESS'])"
    root = make_project(tmp_path / "project", {"01-where": chapter_source(code)})
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    monkeypatch.chdir(elsewhere)

    path = execute_chapter("01-where", root=root)

    assert path == staged(root, "01-where")
    assert printed(path).split() == [sys.executable, str(root), "0"]
    assert Path.cwd() == elsewhere
    assert list(elsewhere.iterdir()) == []


def test_the_executed_notebook_shows_its_parameters_and_not_where_it_was_made(tmp_path):
    root = make_project(tmp_path, {"01-one": chapter_source("print('seed', seed)")})
    before = (root / "notebooks" / "01-one.ipynb").read_bytes()
    (path,) = execute_book("quick", root=root)
    assert printed(path) == "seed 1\n"
    assert str(root) not in path.read_text()
    assert "papermill" not in nbformat.read(path, as_version=4).metadata
    assert (root / "notebooks" / "01-one.ipynb").read_bytes() == before


def test_the_parameters_a_chapter_ran_with_stand_where_it_declares_them(tmp_path):
    declared = "name = 'é'  # é\nseed = 0  # of both\nrate = 1e-3  # kept\ndeep = False; low = -1"
    root = make_project(tmp_path, {"01-one": chapter_source("print(name, seed, low)", declared)})
    given = {"name": 'a "b" ü', "seed": 7, "deep": True, "low": -25}
    path = execute_chapter("01-one", given, root)
    notebook = nbformat.read(path, as_version=4)
    assert printed(path) == 'a "b" ü 7 -25\n'
    codes = [cell.source for cell in notebook.cells if cell.cell_type == "code"]
    assert codes[0].splitlines() == [
        'name = "a \\"b\\" \\u00fc"  # é',
        "seed = 7  # of both",
        "rate = 1e-3  # kept",
        "deep = True; low = -25",
    ]
    assert len(codes) == 2  # papermill's own cell of parameters is gone
    assert declared_parameters(notebook) == {"rate": 1e-3} | given


def test_a_notebook_without_given_parameters_stays_as_it_is_written(tmp_path):
    root = make_project(tmp_path, {"01-one": chapter_source("seed", "seed = 0  # 'as' \"is\"")})
    notebook = nbformat.read(execute_chapter("01-one", root=root), as_version=4)
    assert [c.source for c in notebook.cells][1:] == ["seed = 0  # 'as' \"is\"", "seed"]


def test_the_book_stops_at_the_first_failing_chapter(tmp_path):
    failing = "def halve(p):\n    raise ValueError(f'{p} neurons are odd')\n\nhalve(7)"
    chapters = {"01-a": "1", "02-b": failing, "03-c": "1"}
    root = make_project(tmp_path, {name: chapter_source(code) for name, code in chapters.items()})
    for name in ("02-b", "03-c"):
        staged(root, name).parent.mkdir(parents=True, exist_ok=True)
        staged(root, name).write_text("of an earlier run")

    with pytest.raises(ChapterError) as caught:
        execute_book("quick", root=root)

    message = str(caught.value)
    assert caught.value.chapter == "02-b"
    assert message.startswith("chapter 02-b failed: ValueError: 7 neurons are odd")
    assert "halve(7)" in message
    assert len(message.splitlines()) < 10
    assert "\x1b" not in message
    assert staged(root, "01-a").read_text().startswith("{")
    for name in ("02-b", "03-c"):
        assert staged(root, name).read_text() == "of an earlier run"
    assert len(os.listdir(staged(root, "02-b").parent)) == 3  # and nothing half-written


def test_a_kernel_that_dies_is_the_chapters_failure(tmp_path):
    root = make_project(tmp_path, {"01-a": chapter_source("import os\nos._exit(3)")})
    with pytest.raises(ChapterError, match="chapter 01-a failed: DeadKernelError"):
        execute_chapter("01-a", root=root)


def test_an_interrupted_write_leaves_the_earlier_notebook(tmp_path, monkeypatch):
    target = tmp_path / "01-a.ipynb"
    target.write_text("of an earlier run")

    def write_half(notebook, path):
        Path(path).write_text('{"cells": [')
        raise OSError("no space left")

    monkeypatch.setattr(book.nbformat, "write", write_half)
    with pytest.raises(OSError, match="no space"):
        book._write(new_notebook(), target)
    assert target.read_text() == "of an earlier run"
    assert os.listdir(tmp_path) == ["01-a.ipynb"]


def test_a_mistaken_parameter_stops_the_book_before_anything_runs(two_chapters):
    with pytest.raises(ParameterError, match="02-two"):
        execute_book("quick", parameters={"epochs": "1e1"}, root=two_chapters)
    assert not (two_chapters / "_build").exists()


def test_a_notebook_that_differs_from_its_source_is_not_executed(two_chapters):
    (two_chapters / "notebooks" / "02-two.py").write_text(chapter_source("2"))
    with pytest.raises(BookError, match=r"02-two\.ipynb.*make notebooks"):
        execute_book("quick", root=two_chapters)


# pages


def test_a_small_book_is_built_with_links_to_the_files_it_was_made_from(tmp_path):
    root = make_project(tmp_path, {"01-one": chapter_source("print('seed', seed)")})

    index = make_book("quick", progress=False, root=root)

    assert index == root / "_build" / "book" / "_build" / "html" / "index.html"
    for page in ["index", *list_pages(root)]:
        assert (index.parent / f"{page}.html").is_file()
    html = (index.parent / "notebooks" / "01-one.html").read_text()
    assert "seed 1" in html
    repository = "safecross/safecross"
    binder = re.findall(
        rf'"https://mybinder.org/v2/gh/{repository}/main\?urlpath=lab/tree/(.*?)"', html
    )
    colab = re.findall(
        rf'"https://colab.research.google.com/github/{repository}/blob/main/(.*?)"', html
    )
    assert binder == colab == ["notebooks/01-one.ipynb"]
    assert (root / binder[0]).is_file()
    assert f"https://github.com/{repository}/issues/new" in html
    assert "safecross.css" in html


@pytest.fixture(scope="module")
def dressed(tmp_path_factory) -> Path:
    """Build a book with a formula, folded code, a drawing and a page beside the chapters."""
    root = tmp_path_factory.mktemp("dressed")
    chapter = (
        "# %% [markdown]\n# # Count\n#\n# First **words** & $x$.\n\n"
        '# %% tags=["parameters"]\nseed = 0  # s\n\n# %%\nvisibleword = 1\n\n'
        '# %% tags=["hide-input"]\nfrom IPython.display import HTML, display\n\nhiddenword = 1\n'
        "display(HTML('<figure><svg><text>drawn' + 'word</text></svg>said' + 'word</figure>'))\n"
    )
    make_project(root, {"01-one": chapter})
    (root / "CHANGELOG.md").write_text("# Changelog\n")
    with (root / "_toc.yml").open("a") as toc:
        toc.write("\n  - file: CHANGELOG\n")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("SOURCE_DATE_EPOCH", "1577880000")
        return make_book("quick", progress=False, root=root).parent


def test_the_search_knows_what_is_shown_and_not_what_is_folded_or_drawn(dressed):
    index = (dressed / "searchindex.js").read_text()
    page = (dressed / "notebooks" / "01-one.html").read_text()
    for word in ("visibleword", "saidword"):
        assert word in index
    for word in ("hiddenword", "drawnword"):
        assert word in page and word not in index


def test_a_page_says_what_it_is_when_it_was_built_and_how_to_cite_it(dressed):
    page = (dressed / "notebooks" / "01-one.html").read_text()
    assert '<meta name="description" content="First words &amp; x." />' in page
    assert '<meta property="og:description" content="First words &amp; x." />' in page
    address = "https://safecross.github.io/safecross/notebooks/01-one.html"
    assert f'<meta property="og:url" content="{address}" />' in page
    assert f"Version {safecross.__version__}, built 1 January 2020." in " ".join(page.split())
    assert "title  = {safecross: 1. Count}" in page
    assert f"url    = {{{address}}}" in page
    assert (dressed / "CHANGELOG.html").is_file()


def test_formulas_are_set_by_the_site_itself(dressed):
    page = (dressed / "notebooks" / "01-one.html").read_text()
    scripts = re.findall(r'<script[^>]* src="(.*?)"', page)
    (mathjax,) = [src for src in scripts if "mathjax" in src]
    assert (dressed / "notebooks" / mathjax).is_file()
    assert list(dressed.glob("_static/mathjax/output/chtml/fonts/woff-v2/*.woff"))
    assert not [src for src in scripts if src.startswith(("http", "//"))]


@pytest.mark.parametrize(
    ("code", "prose", "complaint"),
    [
        ("1", "See {ref}`a-place-that-is-not-there`.", "undefined label"),
        ("import sys\nprint('careful', file=sys.stderr)", "", "stderr was found"),
    ],
)
def test_a_warning_makes_the_build_fail(tmp_path, code, prose, complaint):
    root = make_project(tmp_path, {"01-one": chapter_source(code)})
    (root / "book" / "index.md").write_text(f"# A small book\n\n{prose}\n")
    with pytest.raises(BookError, match=complaint):
        make_book("quick", root=root)


def test_pages_are_not_built_of_chapters_that_were_not_executed(two_chapters):
    with pytest.raises(BookError, match="not executed yet: notebooks/01-one, notebooks/02-two"):
        build_html(two_chapters)


def test_a_folder_without_a_book_is_named(tmp_path):
    with pytest.raises(BookError, match=re.escape(str(tmp_path))):
        list_chapters(tmp_path)
