"""Execute the chapters with a profile's parameters and build the book from them.

``make_book`` does all of it: it executes ``notebooks/NN-name.ipynb`` through papermill into
``_build/book/notebooks/``, lays the book's pages and settings beside them, and builds the pages
with Jupyter Book, where any warning is a failure. Every path in the staging folder is that of the
repository, so the launch buttons of a page point at the file it was made from.
"""

import ast
import importlib
import json
import logging
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import nbformat
import papermill
from ipykernel.kernelspec import RESOURCES, get_kernel_dict
from jupyter_client import AsyncKernelManager
from jupyter_client.kernelspec import KernelSpec, KernelSpecManager
from nbclient.exceptions import CellTimeoutError, DeadKernelError
from papermill.exceptions import PapermillExecutionError
from tqdm import tqdm
from traitlets import default

from safecross.book.chapters import (
    BookError,
    ParameterError,
    Profile,
    chapter_parameters,
    check_parameters,
    declared_parameters,
    list_chapters,
    list_pages,
    load_profile,
    plan_parameters,
    project_root,
)
from safecross.book.findings import Published
from safecross.book.interactive import write_explorer
from safecross.book.pairing import stale_notebooks
from safecross.book.plots import LABELS

__all__ = [
    "BookError",
    "ChapterError",
    "ParameterError",
    "Profile",
    "build_html",
    "check_parameters",
    "declared_parameters",
    "execute_book",
    "execute_chapter",
    "list_chapters",
    "list_pages",
    "load_profile",
    "make_book",
    "plan_parameters",
]

STAGE = Path("_build", "book")
_ANSI = re.compile(r"\x1b\[[0-9;]*m")
_log = logging.getLogger(__name__)


class ChapterError(BookError):
    """A chapter failed while it was executed.

    Parameters
    ----------
    chapter : str
        Name of the chapter, such as ``"04-matching"``.
    reason : str
        The error of its cell, in a few lines.
    """

    def __init__(self, chapter: str, reason: str) -> None:
        super().__init__(f"chapter {chapter} failed: {reason}")
        self.chapter = chapter


def execute_chapter(
    chapter: str, parameters: Mapping[str, Any] | None = None, root: Path | None = None
) -> Path:
    """Execute one chapter from the root of the project, with the Python that runs this.

    Parameters
    ----------
    chapter : str
        Name of the chapter, such as ``"04-matching"``.
    parameters : mapping of str to value, optional
        Values that replace its defaults.
    root : Path, optional
        Root of the project.

    Returns
    -------
    Path
        The executed notebook. It appears there only once it is complete: after a failure, the one
        of an earlier run is still as it was.

    Raises
    ------
    ParameterError
        If the chapter does not declare a parameter, or with another type.
    ChapterError
        If one of its cells fails.
    """
    root = project_root(root)
    checked = check_parameters(parameters or {}, chapter_parameters(chapter, root), chapter)
    try:
        notebook = papermill.execute_notebook(
            root / "notebooks" / f"{chapter}.ipynb",
            None,
            parameters=checked,
            kernel_name="python3",
            language="python",
            kernel_manager_class=_ThisPython,
            progress_bar=False,
            cwd=root,
        )
    except PapermillExecutionError as error:
        raise ChapterError(chapter, _cell_error(error)) from error
    except (DeadKernelError, CellTimeoutError) as error:
        raise ChapterError(chapter, f"{type(error).__name__}: {error}") from error
    _show_once(notebook, checked)
    # When and where it ran is of no interest to a reader, and would differ from build to build.
    for part in (notebook, *notebook.cells):
        part.metadata.pop("papermill", None)
    return _write(notebook, root / STAGE / "notebooks" / f"{chapter}.ipynb")


def execute_book(
    profile: Profile | str,
    only: Sequence[str] | None = None,
    parameters: Mapping[str, Any] | None = None,
    progress: bool = True,
    root: Path | None = None,
) -> list[Path]:
    """Execute the chapters in order; stop at the first that fails.

    Every chapter is executed anew. All parameters are checked before the first one starts.

    Parameters
    ----------
    profile : Profile or str
        Parameters of the whole book, or the name of a profile.
    only : sequence of str, optional
        Chapters to execute, by name or number; all by default.
    parameters : mapping of str to value, optional
        Win over the profile's, in each of these chapters that declares them.
    progress : bool, optional
        Whether to show a bar over the chapters, if the output is a terminal.
    root : Path, optional
        Root of the project.

    Returns
    -------
    list of Path
        The executed notebooks.

    Raises
    ------
    BookError
        If a chapter or profile does not exist, or a chapter does not match its source.
    ParameterError
        If no chapter declares a parameter, or it has another type than given.
    ChapterError
        If a cell of a chapter fails.
    """
    root = project_root(root)
    if stale := stale_notebooks(root / "notebooks"):
        names = ", ".join(path.name for path in stale)
        raise BookError(f"not as their .py sources have them: {names}; run `make notebooks`")
    profile = profile if isinstance(profile, Profile) else load_profile(profile, root)
    plan = plan_parameters(profile, only, parameters, root)
    # The first use on a machine lists its fonts and says so: not on a page of the book.
    importlib.import_module("matplotlib.font_manager")
    executed = []
    # tqdm: None shows the bar in a terminal only.
    with tqdm(plan.items(), unit="chapter", disable=None if progress else True) as bar:
        for chapter, values in bar:
            bar.set_description(chapter)
            _log.info("executing %s with %s", chapter, values)
            executed.append(execute_chapter(chapter, values, root))
    return executed


def build_html(root: Path | None = None) -> Path:
    """Build the pages from the executed chapters; any warning is a failure.

    Parameters
    ----------
    root : Path, optional
        Root of the project.

    Returns
    -------
    Path
        First page of the book, ``_build/book/_build/html/index.html``.

    Raises
    ------
    BookError
        If a chapter has not been executed yet, or Jupyter Book fails: with what it said.
    """
    root = project_root(root)
    stage = _stage(root)
    # From nothing, every time: an incremental build repeats no warning of an unchanged page.
    shutil.rmtree(stage / "_build", ignore_errors=True)
    program = "from jupyter_book.cli.main import main; main()"
    options = ["build", str(stage), "--warningiserror", "--nitpick", "--keep-going"]
    run = subprocess.run(
        [sys.executable, "-P", "-c", program, *options],
        cwd=root,
        env=os.environ | _edition(root),
        text=True,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        check=False,
    )
    html = stage / "_build" / "html"
    missing = [p for p in ["index", *list_pages(root)] if not (html / f"{p}.html").is_file()]
    if run.returncode:
        said = _excerpt(run.stdout, stage)
        raise BookError(f"jupyter-book ended with status {run.returncode}:\n{said}")
    if missing:
        raise BookError(f"jupyter-book left out pages of _toc.yml: {', '.join(missing)}")
    return html / "index.html"


def make_book(
    profile: Profile | str = "quick",
    only: Sequence[str] | None = None,
    parameters: Mapping[str, Any] | None = None,
    build: bool = True,
    progress: bool = True,
    root: Path | None = None,
) -> Path:
    """Execute the chapters and build the book.

    Parameters
    ----------
    profile : Profile or str, optional
        Parameters of the whole book, or the name of a profile.
    only : sequence of str, optional
        Chapters to execute; the others are taken as an earlier run left them.
    parameters : mapping of str to value, optional
        Win over the profile's, in each executed chapter that declares them.
    build : bool, optional
        Whether to build the pages too.
    progress : bool, optional
        Whether to show a bar over the chapters, if the output is a terminal.
    root : Path, optional
        Root of the project.

    Returns
    -------
    Path
        First page of the book; if it was not built, the folder of the executed chapters.

    Raises
    ------
    BookError
        If anything is wrong with the profile, a parameter, a chapter or a page.
    """
    root = project_root(root)
    execute_book(profile, only, parameters, progress, root)
    return build_html(root) if build else root / STAGE / "notebooks"


class _ThisPythonSpecs(KernelSpecManager):
    """Know one kernel: the Python that runs the driver, whatever else the user has installed."""

    def get_kernel_spec(self, kernel_name: str) -> KernelSpec:
        # No progress bars on the pages; no remarks of the kernel on itself in the terminal.
        spec = get_kernel_dict(extra_arguments=["--log-level=50"])
        return KernelSpec(resource_dir=RESOURCES, env={"SAFECROSS_PROGRESS": "0"}, **spec)


class _ThisPython(AsyncKernelManager):
    """Start that kernel."""

    @default("kernel_spec_manager")
    def _own_specs(self) -> KernelSpecManager:
        return _ThisPythonSpecs(parent=self)


def _show_once(notebook: nbformat.NotebookNode, values: Mapping[str, Any]) -> None:
    """Put the values that papermill injected into the cell that declares them."""
    tags = [cell.metadata.get("tags", []) for cell in notebook.cells]
    (declared,) = (c for c, t in zip(notebook.cells, tags, strict=True) if "parameters" in t)
    lines = declared.source.encode().split(b"\n")
    for statement in reversed(ast.parse(declared.source).body):
        name, old = statement.targets[0].id, statement.value
        if name in values and values[name] != ast.literal_eval(old):
            new = json.dumps(values[name]) if isinstance(values[name], str) else repr(values[name])
            line = lines[old.lineno - 1]  # ast counts bytes
            changed = line[: old.col_offset] + new.encode() + line[old.end_col_offset :]
            lines[old.lineno - 1] = changed
    declared.source = b"\n".join(lines).decode()
    notebook.cells = [
        c for c, t in zip(notebook.cells, tags, strict=True) if "injected-parameters" not in t
    ]


def _cell_error(error: PapermillExecutionError) -> str:
    """Give a cell's error, then the lines that led to it, innermost last."""
    trace = _ANSI.sub("", "\n".join(error.traceback)).splitlines()
    arrows = [line.strip() for line in trace if re.match(r"-+> ?\d+", line)]
    lines = arrows or error.source.splitlines()[:5]
    place = [f"in cell [{error.exec_count}]:", *(f"    {line}" for line in lines[-5:])]
    return "\n".join([f"{error.ename}: {error.evalue}", *place])


def _write(notebook: nbformat.NotebookNode, path: Path) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        nbformat.write(notebook, temporary)
        os.replace(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)
    return path


def _stage(root: Path) -> Path:
    """Lay the pages and settings beside the executed chapters."""
    stage = root / STAGE
    absent = [
        page
        for page in list_pages(root)
        if page.startswith("notebooks/") and not (stage / f"{page}.ipynb").is_file()
    ]
    if absent:
        raise BookError(f"not executed yet: {', '.join(absent)}; run `make book`")
    stage.mkdir(parents=True, exist_ok=True)
    shutil.rmtree(stage / "book", ignore_errors=True)
    shutil.copytree(root / "book", stage / "book")
    own = [f"{page}.md" for page in list_pages(root) if "/" not in page]
    for name in ("_config.yml", "_toc.yml", "CITATION.cff", *own):
        shutil.copy2(root / name, stage / name)
    if "explorer.html" in (stage / "book" / "index.md").read_text(encoding="utf-8"):
        published = Published()
        write_explorer(
            stage / "book" / "explorer.html", {name: published.main(name) for name in LABELS}
        )
    return stage


def _edition(root: Path) -> dict[str, str]:
    """Name the commit and its time for the footer, unless the environment does."""
    if not (root / ".git").exists() or not shutil.which("git"):
        return {}

    def git(*command: str) -> str:
        return subprocess.check_output(["git", "-C", str(root), *command], text=True).strip()

    built = os.environ.get("SOURCE_DATE_EPOCH") or git("log", "-1", "--format=%ct")
    return {"SAFECROSS_COMMIT": git("describe", "--always", "--dirty"), "SOURCE_DATE_EPOCH": built}


def _excerpt(output: str, stage: Path) -> str:
    """Return the warnings and errors of a build, or its last lines if it names none."""
    lines = _ANSI.sub("", output).replace(f"{stage}{os.sep}", "").splitlines()
    telling = [line for line in lines if re.search(r"\b(WARNING|ERROR)\b", line)]
    return "\n".join(telling[:20] or lines[-25:])
