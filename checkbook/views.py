"""Checks in a browser: each page at two widths, in light and in dark."""

import functools
import http.server
import os
import shutil
import threading
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from playwright.sync_api import Browser, Page, Route, sync_playwright

from checkbook.axe import EXCEPTIONS, MissingToolError, fetch_axe
from checkbook.figures import check_crossing, check_explorer, page_data, read_crossing
from checkbook.files import SITE, Problem, list_pages
from safecross.book.findings import Published
from safecross.book.plots import LABELS

WIDTHS = (1440, 390)
MODES = ("light", "dark")
BROWSERS = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable", "chrome")
MEASURES = Path(__file__).with_name("measure.js")


@dataclass(frozen=True)
class View:
    """A page as it is seen: open in a browser, so wide, in this mode."""

    tab: Page
    name: str
    width: int
    mode: str

    def __str__(self) -> str:
        return f"{self.width} {self.mode}"


# Checks of a view ---------------------------------------------------------------------------------


def overflow(view: View) -> Iterator[str]:
    """Nothing is wider than the page or cut off; what scrolls can be reached and has a name."""
    yield from view.tab.evaluate("checkbook.overflowing()")
    yield from view.tab.evaluate("checkbook.unnamed()")


def contrast(view: View) -> Iterator[str]:
    """Text, captions, formulas and the words in drawings can be read on what lies behind them."""
    yield from view.tab.evaluate("checkbook.faint()")


def touch(view: View) -> Iterator[str]:
    """Use the figures to touch by keyboard and mouse; they show what records and package say."""
    if (view.width, view.mode) != (WIDTHS[0], MODES[0]):
        return
    if view.tab.locator(".sc-explorer").count():
        published = Published()
        tables = {label: published.main(name).curves for name, label in LABELS.items()}
        yield from check_explorer(view.tab, tables)
    if view.tab.locator(".sc-crossing").count():
        yield from check_crossing(view.tab, read_crossing(page_data(view.tab, "crossing")))


def axe(view: View) -> Iterator[str]:
    """axe-core finds nothing, but for what the theme does: see ``EXCEPTIONS``."""
    options = {"resultTypes": ["violations"]}
    if view.mode != MODES[0]:  # only colours differ
        options["runOnly"] = ["color-contrast"]
    found = view.tab.evaluate("options => axe.run(document, options)", options)
    for rule in found["violations"]:
        for node in rule["nodes"]:
            if not any(e.covers(rule["id"], node["html"]) for e in EXCEPTIONS):
                yield f"axe {rule['id']}: {' '.join(node['html'].split())[:120]}"


CHECKS = (overflow, contrast, axe, touch)


# Looking at the pages -----------------------------------------------------------------------------


def find_browser() -> str:
    """Return the path of Chromium or Chrome."""
    found = filter(None, map(shutil.which, BROWSERS))
    if path := next(found, None):
        return path
    raise MissingToolError(
        "no browser: install Chromium or Chrome, for example with `apt-get install chromium`"
    )


class _Quiet(http.server.SimpleHTTPRequestHandler):
    def log_message(self, *_: object) -> None:
        """Say nothing of each request."""


@contextmanager
def serve(site: Path) -> Iterator[str]:
    """Serve a folder on this machine, and give its address."""
    handler = functools.partial(_Quiet, directory=site)
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()


def look(browser: Browser, address: str, name: str) -> Iterator[Problem]:
    """Open one page once, and run every check on each view of it."""
    tab = browser.new_page(viewport={"width": WIDTHS[0], "height": 900}, color_scheme=MODES[0])
    heard: list[str] = []
    _listen(tab, address, heard)
    tab.goto(f"{address}/{name}.html")
    tab.evaluate("() => window.MathJax?.startup?.promise")
    for script in (MEASURES, fetch_axe()):
        tab.add_script_tag(path=script)
    tab.evaluate("checkbook.unfold()")
    for width in WIDTHS:
        for mode in MODES:
            view = View(tab, name, width, mode)
            tab.set_viewport_size({"width": width, "height": 900})
            tab.emulate_media(color_scheme=mode)
            tab.wait_for_function(f"document.documentElement.dataset.theme === '{mode}'")
            tab.wait_for_timeout(200)  # what is watched changes size, and colours fade
            yield from (Problem(name, w, str(view)) for check in CHECKS for w in check(view))
    tab.close()
    yield from (Problem(name, what) for what in dict.fromkeys(heard))


def _listen(tab: Page, address: str, heard: list[str]) -> None:
    """Note errors, and requests that leave the site, which go nowhere."""

    def answer(route: Route) -> None:
        if route.request.url.startswith((f"{address}/", "data:", "blob:")):
            route.continue_()
        else:
            heard.append(f"asks another host: {route.request.url}")
            route.abort()

    tab.route("**/*", answer)
    tab.on("pageerror", lambda error: heard.append(f"error: {error}"))
    tab.on("console", lambda m: heard.append(f"error: {m.text}") if m.type == "error" else None)
    tab.on("response", lambda r: heard.append(f"{r.status}: {r.url}") if r.status >= 400 else None)


def check_views(site: Path = SITE, names: Sequence[str] | None = None) -> list[Problem]:
    """Look at every page, as many at a time as there are cores.

    Parameters
    ----------
    site : Path, optional
        Folder of the built book.
    names : sequence of str, optional
        Pages to look at; all by default.

    Returns
    -------
    list of Problem

    Raises
    ------
    MissingToolError
        If there is no browser.
    """
    path = find_browser()
    fetch_axe()
    names = list_pages(site) if names is None else names
    workers = min(len(names), os.cpu_count() or 1)

    def share(i: int) -> list[Problem]:
        with sync_playwright() as playwright:
            browser = playwright.chromium.launch(executable_path=path)
            return [p for name in names[i::workers] for p in look(browser, address, name)]

    with serve(site) as address, ThreadPoolExecutor(workers) as pool:
        return [problem for found in pool.map(share, range(workers)) for problem in found]
