"""Names and short pieces of code that a line of the book does not break."""

from docutils import nodes
from docutils.utils import new_document

from safecross.book.pages import keep_together


def kept(*parts) -> list[str]:
    document = new_document("a page")
    document += nodes.paragraph("", "", *parts)
    before = document.astext()
    keep_together(document)
    assert document.astext() == before
    return [
        node.astext()
        for node in document.findall(nodes.Element)
        if "sc-keep" in node.get("classes", [])
    ]


def test_names_stay_in_one_piece_within_their_sentence():
    words = nodes.Text("SC-CCA and SC-PwC, on CIFAR-10 (not AC-10).")
    assert kept(words) == ["SC-CCA", "SC-PwC", "CIFAR-10"]
    assert kept(nodes.emphasis("", "SC-PwC"), nodes.Text(" leads")) == ["SC-PwC"]


def test_formulas_code_and_html_are_left_alone():
    parts = (nodes.math("", "CIFAR-10"), nodes.raw("", "<b>SC-PwC</b>", format="html"))
    assert kept(*parts, nodes.literal_block("", "CIFAR-10")) == []


def test_short_code_does_not_break_and_a_long_command_does():
    assert kept(nodes.literal("", "sc-pwc-greedy")) == ["sc-pwc-greedy"]
    assert kept(nodes.literal("", "safecross run own.npz --widths 256,64")) == []
