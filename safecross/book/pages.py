"""Sphinx extension of the book: maths without a network, quiet folds, search, the edition.

``_config.yml`` names it, and Jupyter Book calls :func:`setup`.
"""

import html
import importlib.util
import os
import re
import shutil
import textwrap
from pathlib import Path

import yaml
from docutils import nodes
from myst_nb.sphinx_ import HideCodeCellNode
from sphinx.application import Sphinx
from sphinx.builders.html import StandaloneHTMLBuilder
from sphinx.config import Config

__all__ = ["NAMES", "BookBuilder", "keep_together", "searchable", "setup"]

#: Names that a line is not to break at their hyphen.
NAMES = re.compile(r"\b(?:SC-CCA|SC-PwC|CCA-Merge|CIFAR-10|Fashion-MNIST)\b")

#: Letters up to which code within a line stays in one piece.
_SHORT_CODE = 24

_MATHJAX = "sphinx-mathjax-offline"  # its name, hyphens and all
# Of its 24 MB, what the book's pages load: the program, its fonts, rarer commands of TeX.
_MATHJAX_FILES = ("tex-chtml.js", "output/chtml/fonts/woff-v2/*", "input/tex/extensions/*")


class BookBuilder(StandaloneHTMLBuilder):
    """Build pages whose search finds what a reader sees."""

    def index_page(self, pagename: str, doctree: nodes.document, title: str) -> None:
        """Index a page without what is folded away or drawn."""
        super().index_page(pagename, searchable(doctree), title)


def searchable(doctree: nodes.document) -> nodes.document:
    """Copy a page without its folded code and the words inside its drawings.

    Parameters
    ----------
    doctree : nodes.document
        The page, as it is written.

    Returns
    -------
    nodes.document
        What the search is to know of it.
    """
    copy = doctree.deepcopy()
    for fold in list(copy.findall(HideCodeCellNode)):
        if _holds_code(fold):
            fold.parent.remove(fold)
    for raw in copy.findall(nodes.raw):
        text = re.sub(r"<svg.*?</svg>", " ", raw.astext(), flags=re.DOTALL)
        raw.children = [nodes.Text(text)]
    return copy


def keep_together(doctree: nodes.document) -> None:
    """Mark the names and the short pieces of code that a line of text does not break.

    Parameters
    ----------
    doctree : nodes.document
        The page, which is changed in place: its words stay the same.
    """
    for code in doctree.findall(nodes.literal):
        if len(code.astext()) <= _SHORT_CODE:
            code["classes"].append("sc-keep")
    verbatim = nodes.literal | nodes.math | nodes.raw | nodes.FixedTextElement
    for text in list(doctree.findall(nodes.Text)):
        found = list(NAMES.finditer(text))
        if not found or isinstance(text.parent, verbatim):
            continue
        parts, end = [], 0
        for name in found:
            parts += [
                nodes.Text(text[end : name.start()]),
                nodes.inline("", name[0], classes=["sc-keep"]),
            ]
            end = name.end()
        text.parent.replace(
            text, [part for part in [*parts, nodes.Text(text[end:])] if part.astext()]
        )


def setup(app: Sphinx) -> dict[str, bool]:
    """Register the extension, as Sphinx asks."""
    app.add_builder(BookBuilder, override=True)
    app.add_node(HideCodeCellNode, override=True, html=(_open_fold, _close_fold))
    app.connect("config-inited", _read_edition)
    app.connect("doctree-resolved", lambda _app, doctree, _page: keep_together(doctree))
    app.connect("html-page-context", _describe, priority=400)  # before the tags of Open Graph
    app.connect("build-finished", _copy_mathjax)
    return {"parallel_read_safe": True, "parallel_write_safe": True}


def _holds_code(fold: HideCodeCellNode) -> bool:
    return fold.children[0].get("nb_element") == "cell_code_source"


def _open_fold(translator, fold: HideCodeCellNode) -> None:
    summary = "Code" if _holds_code(fold) else "Output"
    translator.body.append(f'<details class="sc-fold"><summary>{summary}</summary>\n')


def _close_fold(translator, _fold: HideCodeCellNode) -> None:
    translator.body.append("</details>\n")


def _read_edition(app: Sphinx, config: Config) -> None:
    """Give the templates the version, the commit and how to cite."""
    citation = yaml.safe_load((Path(app.srcdir) / "CITATION.cff").read_text(encoding="utf-8"))
    config.version = config.release = citation["version"]
    commit = os.environ.get("SAFECROSS_COMMIT", "")
    config.html_context |= {"citation": citation, "commit": commit}


def _copy_mathjax(app: Sphinx, exception: Exception | None) -> None:
    if exception is None:
        source = Path(importlib.util.find_spec(_MATHJAX).origin).parent / "static" / "mathjax"
        for file in (file for pattern in _MATHJAX_FILES for file in source.glob(pattern)):
            copy = Path(app.outdir) / "_static" / "mathjax" / file.relative_to(source)
            copy.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(file, copy)


def _describe(
    _app: Sphinx, _page: str, _template: str, context: dict, doctree: nodes.document | None
) -> None:
    """Describe a page to search engines, and to who links to it, by its first paragraph."""
    if doctree is None:
        return
    first = next(iter(doctree.findall(nodes.paragraph)), None)
    if first:
        text = html.escape(textwrap.shorten(first.astext(), 200, placeholder=" …"))
        context["metatags"] += f'<meta name="description" content="{text}" />\n'
        context["meta"] = (context["meta"] or {}) | {"og:description": text}
