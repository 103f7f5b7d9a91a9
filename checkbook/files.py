"""Checks that need no browser: links and anchors, other hosts, weight, the head of a page."""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from urllib.parse import unquote, urlsplit

from bs4 import BeautifulSoup, Comment

ROOT = Path(__file__).parents[1]
SITE = ROOT / "_build" / "book" / "_build" / "html"
HEAVIEST = 1_500_000  # bytes of a page, without what all pages share


@dataclass(frozen=True)
class Problem:
    """One thing that is wrong, and where; ``view`` is a width and a mode."""

    page: str
    what: str
    view: str = ""

    def __str__(self) -> str:
        return f"{' '.join(filter(None, (self.page, self.view)))}: {self.what}"


@dataclass(frozen=True)
class File:
    """A page on the disk: its site, and its path in it without the ending."""

    site: Path
    name: str

    @property
    def path(self) -> Path:
        """Give the path of the page."""
        return self.site / f"{self.name}.html"

    @property
    def tree(self) -> BeautifulSoup:
        """Parse the page."""
        return _parse(self.path)


@cache
def _parse(path: Path) -> BeautifulSoup:
    return BeautifulSoup(path.read_text(encoding="utf-8"), "html.parser")


@cache
def _anchors(path: Path) -> frozenset[str]:
    return frozenset(tag["id"] for tag in _parse(path).find_all(id=True))


def list_pages(site: Path) -> list[str]:
    """List the pages of a site, without the theme's templates and the redirect to the first."""
    names = (path.relative_to(site).with_suffix("").as_posix() for path in site.rglob("*.html"))
    return sorted(n for n in names if not n.startswith("_") and n != "index")


def links(file: File) -> Iterator[str]:
    """Follow each link within the site to its file and its anchor."""
    for tag in file.tree.find_all(["a", "img", "link", "script", "source"]):
        link = tag.get("href") or tag.get("src") or ""
        url = urlsplit(link)
        if url.scheme or url.netloc or link in ("", "#"):
            continue
        path = (file.path.parent / unquote(url.path)).resolve() if url.path else file.path
        path = path / "index.html" if path.is_dir() else path
        if not path.is_file():
            yield f"broken link to {link}"
        elif url.fragment and path.suffix == ".html":
            if unquote(url.fragment) not in _anchors(path):
                yield f"broken link to {link}: there is no such anchor"


def sources(file: File) -> Iterator[str]:
    """See that what a reader opens on the code host, Binder or Colab is in the repository."""
    for tag in file.tree.find_all("a", href=re.compile(r"^https?://")):
        found = re.search(
            r"(?:/(?:blob|tree|edit|raw)/main/|urlpath=lab/tree/)([^?#]+)", unquote(tag["href"])
        )
        if found and not (ROOT / found[1]).exists():
            yield f"no {found[1]} in the repository, which {tag['href']} opens"


def other_hosts(file: File) -> Iterator[str]:
    """Find what a page would load from elsewhere."""
    loading = {"icon", "preload", "stylesheet", "modulepreload", "preconnect", "dns-prefetch"}
    for tag in file.tree.find_all(src=True) + file.tree.find_all("link", href=True):
        link = tag.get("src") or tag["href"]
        if urlsplit(link).netloc and (tag.name != "link" or loading & set(tag["rel"])):
            yield f"{tag.name} asks another host: {link}"


def weight(file: File) -> Iterator[str]:
    """Weigh the page with the pictures of its own."""
    own = {tag["src"] for tag in file.tree.find_all(["img", "source"], src=True)}
    paths = [(file.path.parent / src).resolve() for src in own if not urlsplit(src).scheme]
    paths = [p for p in paths if p.is_file() and file.site / "_static" not in p.parents]
    total = sum(path.stat().st_size for path in [file.path, *paths])
    if total > HEAVIEST:
        yield f"weighs {total / 1e6:.1f} MB, more than {HEAVIEST / 1e6:.1f}"


def head(file: File) -> Iterator[str]:
    """See that search engines and links elsewhere have something to show."""
    if file.name == "search":
        return
    tree = file.tree
    if not tree.find("link", rel="icon"):
        yield "no icon"
    for name in ("description", "og:title", "og:description", "og:image", "og:image:alt"):
        if not tree.find("meta", attrs={"property" if ":" in name else "name": name}, content=True):
            yield f"no {name} in its head"
    # The address of a picture is that of the published book: the built one has the same file.
    base = tree.find("link", rel="canonical")["href"].removesuffix(f"{file.name}.html")
    for picture in tree.find_all("meta", property="og:image"):
        if not (file.site / picture["content"].removeprefix(base)).is_file():
            yield f"its picture is not in the book: {picture['content']}"


def titles(file: File) -> Iterator[str]:
    """See that a tab and a link elsewhere say which page it is, once."""
    title = _title(file)
    parts = re.split(r"\s+[—–|-]\s+", title)
    if not title:
        yield "no title"
    elif len({part.lower() for part in parts}) < len(parts):
        yield f"its title says a thing twice: {title}"
    for other in list_pages(file.site):
        if other != file.name and title and _title(File(file.site, other)) == title:
            yield f"has the title of {other}: {title}"
    for tag in file.tree.find_all("meta", property="og:title", content=True):
        if tag["content"].strip() not in parts:
            yield f"its og:title is not in its title {title!r}: {tag['content']}"


def _title(file: File) -> str:
    tag = file.tree.find("title")
    return " ".join(tag.text.split()) if tag else ""


def raw_formulas(file: File) -> Iterator[str]:
    """Find formulas that are shown as they were typed, as in the output of a cell."""
    for text in file.tree.find_all(string=re.compile(r"\$[^$\s](?:[^$\n]*[^$\s])?\$")):
        hidden = isinstance(text, Comment)
        if not hidden and not text.find_parent(["pre", "code", "script", "style", "head"]):
            yield f"a formula as it was typed: {' '.join(text.split())[:60]}"


CHECKS = (links, sources, other_hosts, weight, head, titles, raw_formulas)


def check_files(site: Path = SITE) -> Iterator[Problem]:
    """Run every check on every page.

    Parameters
    ----------
    site : Path, optional
        Folder of the built book.

    Yields
    ------
    Problem
    """
    for name in list_pages(site):
        for check in CHECKS:
            for what in check(File(site, name)):
                yield Problem(name, what)
