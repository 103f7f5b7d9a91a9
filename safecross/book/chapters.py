"""Know the chapters of the book, the parameters they declare, and the profiles that set them.

Everything is checked here before a chapter starts: papermill itself only warns of a parameter that
the chapter does not have, and lets any type pass.
"""

import ast
import difflib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import nbformat
import yaml
from sphinx_external_toc.parsing import MalformedError, parse_toc_yaml

from ..store import sealed

Value = str | int | float | bool

CHAPTERS = "[0-9][0-9]-*.ipynb"


class BookError(Exception):
    """The book cannot be made; the message says why and what to do."""


class ParameterError(BookError, ValueError):
    """A parameter has a name or a type that no chapter declares."""


@dataclass(frozen=True)
class Profile:
    """Parameters to make the book with, as in ``book/profiles/NAME.yaml``.

    Parameters
    ----------
    name : str
        Name of the profile.
    description : str
        One sentence.
    common : mapping of str to value
        Given to every chapter that declares a parameter of that name.
    chapters : mapping of str to mapping
        For a chapter, its own parameters; they win over the common ones.
    """

    name: str
    description: str = ""
    common: Mapping[str, Value] = field(default_factory=dict)
    chapters: Mapping[str, Mapping[str, Value]] = field(default_factory=dict)


def project_root(root: Path | None = None) -> Path:
    """Return the root of the project.

    Parameters
    ----------
    root : Path, optional
        Root of another project that is laid out alike; by default, of the one this file is in.

    Returns
    -------
    Path
        Absolute path of the folder that holds ``_toc.yml``, ``book/`` and ``notebooks/``.

    Raises
    ------
    BookError
        If the sources of the book are not there.
    """
    root = Path(root or Path(__file__).parents[2]).resolve()
    if not (root / "_toc.yml").is_file():
        raise BookError(
            f"no book at {root}: its sources come with a clone of the repository, "
            "installed with `pip install -e .`"
        )
    return root


def load_profile(name: str | Path, root: Path | None = None) -> Profile:
    """Read a profile.

    Parameters
    ----------
    name : str or Path
        Name of a file in ``book/profiles/`` without its ending, or the path of a ``.yaml`` file.
    root : Path, optional
        Root of the project.

    Returns
    -------
    Profile

    Raises
    ------
    BookError
        If there is no such profile, it is not laid out as a profile, or its content is not what
        the key ``sha256`` in it says; a profile of one's own needs no such key.
    """
    folder = project_root(root) / "book" / "profiles"
    path = Path(name) if str(name).endswith(".yaml") else folder / f"{name}.yaml"
    if not path.is_file():
        known = [p.stem for p in folder.glob("*.yaml")]
        raise BookError(_unknown("profile", str(name), known, "There are"))
    try:
        content = yaml.safe_load(path.read_text(encoding="utf-8"))
        if not isinstance(content, dict):
            raise ValueError(f"expected `description`, `common`, `chapters`; found {content!r:.60}")
        if "sha256" in content and (found := sealed(content)["sha256"]) != content.pop("sha256"):
            raise ValueError(
                f"its content is not what its SHA-256 says. If you edited it, write {found} there"
            )
        profile = Profile(name=path.stem, **content)
    except (OSError, ValueError, TypeError, RecursionError, yaml.YAMLError) as error:
        raise BookError(f"profile {path.name} cannot be read: {error}") from error
    maps = [profile.common, profile.chapters]
    if all(isinstance(m, dict) for m in maps):
        maps += profile.chapters.values()
    if not all(isinstance(m, dict) for m in maps):
        raise BookError(f"profile {path.name}: `common` and every chapter must map names to values")
    return profile


def list_chapters(root: Path | None = None) -> list[str]:
    """List the chapters in the order they are executed.

    Parameters
    ----------
    root : Path, optional
        Root of the project.

    Returns
    -------
    list of str
        Names such as ``"01-activations"``, sorted by number.
    """
    return sorted(path.stem for path in (project_root(root) / "notebooks").glob(CHAPTERS))


def list_pages(root: Path | None = None) -> list[str]:
    """List the pages of the table of contents.

    Parameters
    ----------
    root : Path, optional
        Root of the project.

    Returns
    -------
    list of str
        Paths relative to the root, without their ending, the book's first page first.
    """
    try:
        return list(parse_toc_yaml(project_root(root) / "_toc.yml"))
    except MalformedError as error:
        raise BookError(f"_toc.yml cannot be read: {error}") from error


def declared_parameters(notebook: nbformat.NotebookNode | Path) -> dict[str, Value]:
    """Read the parameters that a chapter declares, with their defaults.

    Parameters
    ----------
    notebook : NotebookNode or Path
        The chapter, or the path of its ``.ipynb``.

    Returns
    -------
    dict of str to value
        Name and default, in the order of the cell.

    Raises
    ------
    ParameterError
        If not exactly one cell is tagged ``parameters``, or it holds anything but assignments of
        bare ``str``, ``int``, ``float`` or ``bool`` literals.

    Examples
    --------
    >>> from nbformat.v4 import new_code_cell, new_notebook
    >>> cell = new_code_cell("seed = 0  # of the parents", metadata={"tags": ["parameters"]})
    >>> declared_parameters(new_notebook(cells=[cell]))
    {'seed': 0}
    """
    if isinstance(notebook, Path):
        notebook = nbformat.read(notebook, as_version=4)
    cells = [c for c in notebook.cells if "parameters" in c.metadata.get("tags", [])]
    if len(cells) != 1:
        raise ParameterError(
            f"a chapter has exactly one cell tagged `parameters`, not {len(cells)}"
        )
    return dict(_literal(statement) for statement in ast.parse(cells[0].source).body)


def chapter_parameters(chapter: str, root: Path | None = None) -> dict[str, Value]:
    """Read the parameters that a chapter of the project declares.

    Parameters
    ----------
    chapter : str
        Name of the chapter, such as ``"04-matching"``.
    root : Path, optional
        Root of the project.

    Returns
    -------
    dict of str to value
        Name and default, in the order of the cell.

    Raises
    ------
    BookError
        If there is no such chapter.
    ParameterError
        If its `parameters` cell is not as it must be.
    """
    path = project_root(root) / "notebooks" / f"{chapter}.ipynb"
    if not path.is_file():
        raise BookError(_unknown("chapter", chapter, list_chapters(root), "There are"))
    try:
        return declared_parameters(path)
    except ParameterError as error:
        raise ParameterError(f"{chapter}: {error}") from error


def check_parameters(
    given: Mapping[str, Any], declared: Mapping[str, Value], where: str = "the chapter"
) -> dict[str, Value]:
    """Check parameters against those that a chapter declares.

    Parameters
    ----------
    given : mapping of str to value
        Values to execute the chapter with.
    declared : mapping of str to value
        The chapter's own parameters with their defaults; the default's type is the type.
    where : str, optional
        Name of the chapter, for the message.

    Returns
    -------
    dict of str to value
        The given values; an ``int`` given for a ``float`` becomes one.

    Raises
    ------
    ParameterError
        If a name is not declared or a value has another type. A ``bool`` is no ``int``, and text
        such as ``"1e-3"`` is no ``float``.

    Examples
    --------
    >>> check_parameters({"rate": 1}, {"rate": 0.5, "seed": 0})
    {'rate': 1.0}
    >>> check_parameters({"sed": 1}, {"rate": 0.5, "seed": 0}, "01-activations")
    Traceback (most recent call last):
    safecross.book.chapters.ParameterError: 01-activations has no parameter 'sed'; did you mean \
'seed'? It declares: rate, seed
    """
    checked = {}
    for name, value in given.items():
        if name not in declared:
            message = _unknown("parameter", name, list(declared), "It declares")
            raise ParameterError(f"{where} has {message}")
        expected = type(declared[name])
        if type(value) is int and expected is float:
            value = float(value)
        if type(value) is not expected:
            raise ParameterError(
                f"{where}: parameter {name!r} expects {expected.__name__}, "
                f"found {type(value).__name__} {value!r}"
            )
        checked[name] = value
    return checked


def plan_parameters(
    profile: Profile,
    only: Sequence[str] | None = None,
    parameters: Mapping[str, Any] | None = None,
    root: Path | None = None,
) -> dict[str, dict[str, Value]]:
    """Decide, before anything runs, which chapter is executed with which parameters.

    Parameters
    ----------
    profile : Profile
        Parameters of the whole book.
    only : sequence of str, optional
        Chapters to execute, by name or number (``"04-matching"`` or ``"04"``); all by default.
    parameters : mapping of str to value, optional
        Win over the profile's, in each of these chapters that declares them.
    root : Path, optional
        Root of the project.

    Returns
    -------
    dict of str to dict
        For each chapter, in order of execution, the parameters to inject.

    Raises
    ------
    BookError
        If a chapter does not exist.
    ParameterError
        If no chapter declares a parameter, or it has another type than given.
    """
    root = project_root(root)
    declared = {c: chapter_parameters(c, root) for c in list_chapters(root)}
    for chapter in profile.chapters:
        if chapter not in declared:
            message = _unknown("chapter", chapter, list(declared), "There are")
            raise BookError(f"profile {profile.name} names {message}")
    chosen = _select(list(declared), only)
    _refuse_undeclared(profile.common, declared.values(), f"profile {profile.name}")
    _refuse_undeclared(parameters or {}, [declared[c] for c in chosen], "the command")

    plan = {}
    for chapter, names in declared.items():  # all of them: a wrong profile is wrong for each user
        given = {k: v for k, v in profile.common.items() if k in names}
        given |= profile.chapters.get(chapter, {})
        given |= {k: v for k, v in (parameters or {}).items() if k in names and chapter in chosen}
        plan[chapter] = check_parameters(given, names, chapter)
    return {chapter: plan[chapter] for chapter in chosen}


def _unknown(kind: str, name: str, known: Sequence[str], lead: str) -> str:
    near = difflib.get_close_matches(name, known, n=1)
    hint = f"; did you mean {near[0]!r}?" if near else "."
    return f"no {kind} {name!r}{hint} {lead}: {', '.join(known) or 'none'}"


def _literal(statement: ast.stmt) -> tuple[str, Value]:
    if isinstance(statement, ast.Assign) and isinstance(statement.targets[0], ast.Name):
        try:
            value = ast.literal_eval(statement.value)
        except ValueError:
            value = None
        if len(statement.targets) == 1 and type(value) in (str, int, float, bool):
            return statement.targets[0].id, value
    raise ParameterError(
        "a `parameters` cell holds only `name = value` with a bare str, int, float or bool, "
        f"not `{ast.unparse(statement)}`"
    )


def _select(chapters: Sequence[str], only: Sequence[str] | None) -> list[str]:
    if only is None:
        return list(chapters)
    for name in only:
        if name not in chapters and not any(c.startswith(f"{name}-") for c in chapters):
            raise BookError(_unknown("chapter", name, chapters, "There are"))
    return [c for c in chapters if any(c == name or c.startswith(f"{name}-") for name in only)]


def _refuse_undeclared(
    given: Iterable[str], declared: Iterable[Mapping[str, Value]], who: str
) -> None:
    names = sorted({name for mapping in declared for name in mapping})
    for name in given:
        if name not in names:
            message = _unknown("parameter", name, names, "The chapters declare")
            raise ParameterError(f"{who} names {message}")
