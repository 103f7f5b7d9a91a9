"""Sphinx: number the figures and tables that chapters display, so that links find them.

`safecross.book.plots` displays each as one HTML element with an id and a caption. Here it becomes
a node that Sphinx counts ("Figure 9.2") and that ``[text](#fig-name)`` and ``{numref}`` can point
at.
"""

import html
import re

from docutils import nodes
from sphinx.transforms import SphinxTransform

from .pages import NAMES

__all__ = ["FigureOutput", "NumberOutputs", "TableOutput", "setup"]

_OUTPUT = re.compile(
    r'<figure class="(?P<kind>sc-figure|sc-table)" id="(?P<id>[\w-]+)">(?P<before>.*?)'
    r"<figcaption>(?P<caption>.*?)</figcaption>(?P<after>.*)</figure>",
    re.DOTALL,
)


class FigureOutput(nodes.General, nodes.Element):
    """A figure of a chapter."""


class TableOutput(nodes.General, nodes.Element):
    """A table of a chapter."""


_NODES = {"sc-figure": FigureOutput, "sc-table": TableOutput}


class NumberOutputs(SphinxTransform):
    """Turn what chapters display into nodes that are numbered."""

    default_priority = 200

    def apply(self, **_):
        """Replace each raw output of that form."""
        for raw in list(self.document.findall(nodes.raw)):
            found = _OUTPUT.fullmatch(raw.astext().strip())
            if found is None:
                continue
            node = _NODES[found["kind"]](**found.groupdict())
            node["ids"], node["names"] = [found["id"]], [found["id"]]
            node.source, node.line = raw.source, raw.line
            self.document.note_explicit_target(node)
            raw.replace_self(node)


def visit(self, node):
    """Write the element with its number before the caption."""
    self.body.append(f'<figure class="{node["kind"]}" id="{node["id"]}">{node["before"]}')
    self.body.append("<figcaption>")
    self.add_fignumber(node)
    caption = NAMES.sub(r'<span class="sc-keep">\g<0></span>', node["caption"])
    self.body.append(f"{caption}</figcaption>{node['after']}</figure>")
    raise nodes.SkipNode


def setup(app):
    """Register the nodes as figures and tables."""
    for node, kind in ((FigureOutput, "figure"), (TableOutput, "table")):
        app.add_enumerable_node(
            node, kind, title_getter=lambda n: html.unescape(n["caption"]), html=(visit, None)
        )
    app.add_transform(NumberOutputs)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
