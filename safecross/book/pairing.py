"""Make the notebook of each chapter, ``NN-name.ipynb``, from its source, ``NN-name.py``.

The source always wins and the result depends on nothing else: no outputs, no versions, and cell
ids that follow from the text of the cells. Run as ``python -m safecross.book.pairing [--check]``.
"""

import argparse
import hashlib
import sys
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

import jupytext
import nbformat
from nbformat import NotebookNode

NOTEBOOKS = Path(__file__).resolve().parents[2] / "notebooks"
METADATA = {
    "kernelspec": {"display_name": "Python 3", "language": "python", "name": "python3"},
    "language_info": {"name": "python"},
}


def to_notebook(source: str) -> NotebookNode:
    r"""Turn the percent-format text of a chapter into a notebook without outputs.

    Parameters
    ----------
    source : str
        Text of ``notebooks/NN-name.py``.

    Returns
    -------
    NotebookNode
        Valid notebook, nbformat 4.5; equal sources give equal notebooks, cell ids included.

    Examples
    --------
    >>> notebook = to_notebook("# %% [markdown]\n# # Title\n\n# %%\n1 + 1\n")
    >>> [cell.cell_type for cell in notebook.cells]
    ['markdown', 'code']
    >>> notebook == to_notebook("# %% [markdown]\n# # Title\n\n# %%\n1 + 1\n")
    True
    """
    notebook = jupytext.reads(source, fmt="py:percent")
    notebook.metadata = nbformat.from_dict(METADATA)
    notebook.nbformat, notebook.nbformat_minor = 4, 5
    seen: Counter[str] = Counter()
    for cell in notebook.cells:
        # jupytext notes blank lines here, which are of no use in a notebook.
        cell.metadata.pop("lines_to_next_cell", None)
        # From the text, not the position: a new cell leaves the ids of the others as they were.
        text = f"{cell.cell_type}\n{cell.source}"
        seen[text] += 1
        cell.id = hashlib.sha256(f"{text}\n{seen[text]}".encode()).hexdigest()[:12]
    nbformat.validate(notebook)
    return notebook


def notebook_text(source: Path) -> str:
    """Return the text that belongs in the ``.ipynb`` next to a source.

    Parameters
    ----------
    source : Path
        ``notebooks/NN-name.py``.

    Returns
    -------
    str
        JSON text, ending in a newline.
    """
    return nbformat.writes(to_notebook(source.read_text(encoding="utf-8"))).rstrip("\n") + "\n"


def stale_notebooks(folder: Path = NOTEBOOKS) -> list[Path]:
    """List the notebooks that do not match their sources.

    Parameters
    ----------
    folder : Path, optional
        Folder of the chapters.

    Returns
    -------
    list of Path
        Each ``.ipynb`` that is missing, differs from what its ``.py`` gives, or has no ``.py``.
    """
    sources = sorted(folder.glob("*.py"))
    wrong = [path.with_suffix(".ipynb") for path in sources if not _is_paired(path)]
    return wrong + [
        path for path in sorted(folder.glob("*.ipynb")) if path.with_suffix(".py") not in sources
    ]


def pair_notebooks(folder: Path = NOTEBOOKS) -> list[Path]:
    """Write the notebooks that do not match their sources.

    Parameters
    ----------
    folder : Path, optional
        Folder of the chapters.

    Returns
    -------
    list of Path
        The ``.ipynb`` files written; those that matched are left untouched.
    """
    changed = [path for path in sorted(folder.glob("*.py")) if not _is_paired(path)]
    for path in changed:
        path.with_suffix(".ipynb").write_text(notebook_text(path), encoding="utf-8")
    return [path.with_suffix(".ipynb") for path in changed]


def main(arguments: Sequence[str] | None = None) -> int:
    """Pair the notebooks of the project, or check that they are paired.

    Parameters
    ----------
    arguments : sequence of str, optional
        Command line; the program's own by default.

    Returns
    -------
    int
        Exit status: 1 if ``--check`` found a notebook that does not match its source.
    """
    parser = argparse.ArgumentParser(prog="python -m safecross.book.pairing", description=__doc__)
    parser.add_argument("--check", action="store_true", help="write nothing; fail on a difference")
    if parser.parse_args(arguments).check:
        wrong = stale_notebooks()
        for path in wrong:
            print(f"{path.name} does not match its .py: run `make notebooks`", file=sys.stderr)
        return int(bool(wrong))
    for path in pair_notebooks():
        print(f"wrote notebooks/{path.name}")
    return 0


def _is_paired(source: Path) -> bool:
    notebook = source.with_suffix(".ipynb")
    return notebook.exists() and notebook.read_text(encoding="utf-8") == notebook_text(source)


if __name__ == "__main__":
    sys.exit(main())
