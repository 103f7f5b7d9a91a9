"""The check of the built book finds what is wrong: small sites, each with one mistake."""

import shutil
import tarfile
from pathlib import Path

import pytest

from checkbook import axe
from checkbook.files import File, check_files, list_pages

HEAD = (
    '<link rel="icon" href="icon.svg"><link rel="canonical" href="https://book/page.html">'
    '<meta name="viewport" content="width=device-width, initial-scale=1">'
    '<meta name="description" content="d">'
    '<meta property="og:title" content="t"><meta property="og:description" content="d">'
    '<meta property="og:image" content="https://book/icon.svg">'
    '<meta property="og:image:alt" content="a">'
)
# The theme's part: it follows the mode that the browser asks for.
MODE = """<script>
const dark = matchMedia("(prefers-color-scheme: dark)");
const set = () => (document.documentElement.dataset.theme = dark.matches ? "dark" : "light");
dark.addEventListener("change", set);
set();
</script>
<style>
:root { background: white; color: black; }
[data-theme=dark] { background: #111; color: #eee; }
</style>"""


def make_site(folder: Path, body: str, head: str = HEAD, page: str = "page") -> Path:
    html = (
        f'<!DOCTYPE html><html lang="en"><head><title>t</title>{head}{MODE}</head><body><main>'
        f'<article class="bd-article"><h1 id="top">Count</h1>{body}</article></main></body></html>'
    )
    (folder / f"{page}.html").write_text(html)
    (folder / "icon.svg").write_text('<svg xmlns="http://www.w3.org/2000/svg"/>')
    return folder


@pytest.mark.parametrize(
    ("body", "complaint"),
    [
        ("<a href='gone.html'>x</a>", "broken link to gone.html"),
        ("<a href='page.html#gone'>x</a>", "broken link to page.html#gone: there is no such"),
        ("<a href='#gone'>x</a>", "broken link to #gone"),
        ("<img alt='' src='gone.png'>", "broken link to gone.png"),
        ("<script src='https://elsewhere.org/a.js'></script>", "script asks another host"),
        ("<img alt='' src='//elsewhere.org/a.png'>", "img asks another host"),
        (
            "<a href='https://code.org/a/b/blob/main/notebooks/gone.ipynb'>x</a>",
            "no notebooks/gone.ipynb in the repository",
        ),
        (
            "<a href='https://hub.org/v2/x?urlpath=lab/tree/notebooks%2Fgone.ipynb'>x</a>",
            "no notebooks/gone.ipynb in the repository",
        ),
        ("x" * 1_600_000, "weighs 1.6 MB"),
        ("<p>At the points of $t$ it is so</p>", "a formula as it was typed: At the points of $t$"),
    ],
)
def test_a_mistake_in_a_file_is_found(tmp_path, body, complaint):
    (problem,) = check_files(make_site(tmp_path, body))
    assert complaint in str(problem) and str(problem).startswith("page: ")


def test_a_page_without_mistakes_passes(tmp_path):
    body = "<a href='page.html#top'>x</a> <a href='https://elsewhere.org'>y</a>"
    body += "<code>$t$</code> for $5<!-- $t$ -->"
    assert list(check_files(make_site(tmp_path, body))) == []


def test_a_head_that_lacks_something_is_found(tmp_path):
    site = make_site(tmp_path, "", HEAD.replace("og:image:alt", "x").replace("book/icon", "book/i"))
    assert [p.what for p in check_files(site)] == [
        "no og:image:alt in its head",
        "its picture is not in the book: https://book/i.svg",
    ]


@pytest.mark.parametrize(
    ("title", "complaint"),
    [
        ("", "no title"),
        ("book — Book", "its title says a thing twice: book — Book"),
        ("other — book", "its og:title is not in its title 'other — book': t"),
    ],
)
def test_a_title_that_says_nothing_new_is_found(tmp_path, title, complaint):
    site = make_site(tmp_path, "")
    page = site / "page.html"
    head = HEAD.replace('property="og:title" content="t"', 'property="og:title" content="Book"')
    html = page.read_text().replace("<title>t</title>", f"<title>{title}</title>")
    page.write_text(html if "other" in title else html.replace(HEAD, head))
    assert complaint in [p.what for p in check_files(site)]


def test_pages_of_one_title_are_found(tmp_path):
    for page in ("one", "two"):
        site = make_site(tmp_path, "", HEAD.replace("book/page", f"book/{page}"), page)
    assert [str(p) for p in check_files(site)] == [
        "one: has the title of two: t",
        "two: has the title of one: t",
    ]


def test_templates_and_the_redirect_are_no_pages(tmp_path):
    make_site(tmp_path, "")
    (tmp_path / "_static").mkdir()
    for name in ("index.html", "_static/part.html"):
        shutil.copy(tmp_path / "page.html", tmp_path / name)
    assert list_pages(tmp_path) == ["page"]
    assert File(tmp_path, "page").path.is_file()


def test_a_package_that_is_not_the_published_one_is_refused(tmp_path):
    script = tmp_path / "axe.min.js"
    script.write_text("not axe")
    with tarfile.open(tmp_path / "axe.tgz", "w:gz") as archive:
        archive.add(script, "package/axe.min.js")
    with pytest.raises(ValueError, match=r"has the sum .*, not the published"):
        axe.unpack_axe(tmp_path / "axe.tgz", tmp_path / "out" / "axe.min.js")
    assert not (tmp_path / "out").exists()


def test_without_npm_or_a_browser_it_says_what_to_install(tmp_path, monkeypatch):
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setattr(axe, "AXE", tmp_path / "axe.min.js")
    with pytest.raises(axe.MissingToolError, match=r"no npm .*: install Node\.js"):
        axe.fetch_axe()
    views = pytest.importorskip("checkbook.views", exc_type=ImportError)
    with pytest.raises(axe.MissingToolError, match="no browser: install Chromium"):
        views.find_browser()


# In a browser

WIDE = "<div style='width:600px; height:20px'>wide</div>"


# What a page holds, the views that show the mistake, what is said of it.
MISTAKES = [
    (f"<p>a</p>{WIDE}", "390", "the page is"),
    (f"<p>a</p>{WIDE}", "390", "sticks out of the page by"),
    (f"<div style='overflow:hidden'>{WIDE}</div>", "390", "px on its right"),
    (
        "<div style='overflow:auto; display:flex; justify-content:center'>"
        "<div style='flex:none; width:600px'>wide</div></div>",
        "390",
        "px on its left",
    ),
    ("<div style='overflow:hidden; height:1em'><p>a</p><p>b</p></div>", "", "px at its end"),
    (f"<div style='overflow:auto'>{WIDE}</div>", "390", "scrolls, without a tab stop"),
    ("<figcaption style='color:#fff'>a</figcaption>", "light", "has a contrast of 1.0"),
    ("<p style='color:#111; background:none'>a</p>", "dark", "has a contrast of 1.0"),
    ("<p style='opacity:.1'>a</p>", "", "has a contrast of"),
    (
        "<svg role='img' aria-label='a' width='99' height='99'><rect width='99' height='99' "
        "fill='#777'/><text x='9' y='50' fill='#888'>a</text></svg>",
        "",
        "has a contrast of",
    ),
    (
        "<svg role='img' aria-label='a' viewBox='0 0 900 90' style='width:100%'>"
        "<text x='9' y='50' fill='currentColor' font-size='14'>a</text></svg>",
        "390",
        "px high",
    ),
    ("<img src='icon.svg'>", "1440 light", "axe image-alt"),
    ("<script>fetch('https://elsewhere.org/x').catch(() => 0)</script>", "", "another host"),
    ("<script>nothing.at.all</script>", "", "error: nothing is not defined"),
    ("<script>console.error('careful')</script>", "", "error: careful"),
    ("<script>fetch('gone.json')</script>", "", "404: "),
]
RIGHT = (
    "<figure><svg role='img' aria-label='a' width='99' height='99'><text x='9' y='50' "
    "fill='currentColor'>a</text></svg><figcaption>a</figcaption></figure>"
    "<p>a</p><div style='overflow:auto' tabindex='0' role='region' aria-label='b'>"
    f"{WIDE}</div>"
)


@pytest.fixture(scope="module")
def seen(tmp_path_factory) -> list:
    """Look once at a site with a page for each mistake, or skip where nothing can."""
    views = pytest.importorskip("checkbook.views", exc_type=ImportError)
    site = tmp_path_factory.mktemp("site")
    for i, (body, _, _) in enumerate(MISTAKES):
        make_site(site, body, page=f"mistake-{i}")
    make_site(site, RIGHT, page="right")
    try:
        return views.check_views(site)
    except axe.MissingToolError as error:
        pytest.skip(str(error))


@pytest.mark.browser
@pytest.mark.parametrize("i", range(len(MISTAKES)), ids=[complaint for *_, complaint in MISTAKES])
def test_a_mistake_that_is_seen_is_found(seen, i):
    _, view, complaint = MISTAKES[i]
    found = [p for p in seen if p.page == f"mistake-{i}"]
    assert [p for p in found if view in p.view and complaint in p.what], list(map(str, found))


@pytest.mark.browser
def test_a_page_without_mistakes_is_passed_over(seen):
    assert [str(p) for p in seen if p.page == "right"] == []
