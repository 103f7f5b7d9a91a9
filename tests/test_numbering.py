"""What chapters display becomes nodes that Sphinx numbers and links find."""

import io

import pytest
from sphinx.application import Sphinx
from sphinx.util.docutils import docutils_namespace

FIGURE = (
    '<figure class="sc-figure" id="fig-line"><svg></svg><figcaption>A &lt; B</figcaption></figure>'
)
TABLE = (
    '<figure class="sc-table" id="tab-x"><figcaption>Losses</figcaption><table></table></figure>'
)
OTHER = '<figure class="other" id="fig-no"><figcaption>no</figcaption></figure>'


@pytest.fixture
def build(tmp_path):
    """Build a page of raw HTML, the second of a numbered book; return its HTML and warnings."""

    def make(*outputs: str, after: str = "") -> tuple[str, str]:
        (tmp_path / "conf.py").write_text(
            "extensions = ['safecross.book.numbering']\nnumfig = True\n"
            "numfig_format = {'figure': 'Figure %s', 'table': 'Table %s'}\n"
        )
        (tmp_path / "index.rst").write_text(
            "Book\n====\n\n.. toctree::\n   :numbered:\n\n   one\n   two\n"
        )
        (tmp_path / "one.rst").write_text("One\n===\n")
        raw = "".join(f".. raw:: html\n\n   {text}\n\n" for text in outputs)
        (tmp_path / "two.rst").write_text(f"Two\n===\n\n{raw}\n{after}\n")
        warnings = io.StringIO()
        with docutils_namespace():
            out = tmp_path / "out"
            app = Sphinx(
                tmp_path, tmp_path, out, out / "trees", "html", status=None, warning=warnings
            )
            app.build()
        return (tmp_path / "out" / "two.html").read_text(), warnings.getvalue()

    return make


def test_figures_and_tables_are_numbered_apart_by_chapter(build):
    page, warnings = build(FIGURE, TABLE, FIGURE.replace("fig-line", "fig-two"), OTHER)
    assert not warnings
    assert '<span class="caption-number">Figure 2.1 </span>A &lt; B</figcaption>' in page
    assert '<span class="caption-number">Table 2.1 </span>Losses</figcaption><table>' in page
    assert '<span class="caption-number">Figure 2.2 </span>' in page
    assert OTHER in page  # is no output of ours and stays as it was


def test_links_find_them_by_number(build):
    page, warnings = build(FIGURE, after="See :numref:`fig-line`.")
    assert not warnings
    assert 'href="#fig-line"' in page and ">Figure 2.1</span>" in page


def test_a_link_to_none_is_a_warning(build):
    _, warnings = build(FIGURE, after="See :numref:`fig-none`.")
    assert "fig-none" in warnings


def test_a_name_that_is_there_twice_is_a_warning(build):
    _, warnings = build(FIGURE, FIGURE)
    assert "fig-line" in warnings
