"""The figures to touch, used in a real browser: keyboard, mouse, touch, light and dark."""

import copy

import pytest

from safecross import align
from safecross.book import interactive
from safecross.replication.paper import main_config
from safecross.runs import load_or_run

pytestmark = pytest.mark.browser
api = pytest.importorskip("playwright.sync_api", reason="needs `pip install safecross[check]`")

from checkbook.axe import MissingToolError  # noqa: E402 - below needs Playwright
from checkbook.figures import (  # noqa: E402
    Crossing,
    check_crossing,
    check_explorer,
    page_data,
    read_crossing,
)
from checkbook.views import find_browser  # noqa: E402

OPTIONS = ("--no-sandbox", "--disable-gpu", "--no-first-run", "--disable-background-networking")
MODES = {"light": ("white", "#222832"), "dark": ("#121212", "#ced6dd")}
SIDE = 12  # pixels of a test image
PAGE = """<!doctype html><html lang="en" data-theme="{mode}"><meta charset="utf-8">
<meta name="viewport" content="width=device-width"><title>figure</title>
<body style="background: {ground}; color: {ink}; color-scheme: {mode}; font-family: sans-serif">
{content}"""
# Contrast of each word with the body behind it, drawn on a canvas: colours may be mixed.
FAINT = """() => {
  const context = document.createElement("canvas").getContext("2d", { willReadFrequently: true });
  const light = (...colours) => {
    for (const colour of colours) {
      context.fillStyle = colour;
      context.fillRect(0, 0, 1, 1);
    }
    const parts = [...context.getImageData(0, 0, 1, 1).data].slice(0, 3).map((v) => v / 255);
    const [r, g, b] = parts.map((v) => (v <= 0.03928 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4));
    return 0.2126 * r + 0.7152 * g + 0.0722 * b;
  };
  const ground = getComputedStyle(document.body).backgroundColor;
  const figure = document.querySelector(".sc-touch");
  const walker = document.createTreeWalker(figure, NodeFilter.SHOW_TEXT);
  const faint = [];
  while (walker.nextNode()) {
    const parent = walker.currentNode.parentElement;
    if (!walker.currentNode.data.trim() || parent.closest("style, script")) continue;
    const style = getComputedStyle(parent);
    const ink = parent.closest("svg") ? style.fill : style.color;
    const [a, b] = [light(ground), light(ground, ink)];
    const ratio = (Math.max(a, b) + 0.05) / (Math.min(a, b) + 0.05);
    if (ratio < 4.5) faint.push(`${walker.currentNode.data.trim()}: ${ratio.toFixed(2)}`);
  }
  return faint;
}"""


@pytest.fixture(scope="module")
def browser():
    try:
        path = find_browser()
    except MissingToolError as error:
        pytest.skip(str(error))
    with api.sync_playwright() as playwright:
        opened = playwright.chromium.launch(executable_path=path, args=OPTIONS)
        yield opened
        opened.close()


@pytest.fixture(scope="module")
def records():
    return {name: load_or_run(main_config(name)) for name in ("mnist", "cifar10")}


@pytest.fixture(scope="module")
def crossed(make_network, make_examples):
    """Two networks, their alignments and 40 images of random grey levels in 10 classes."""
    x = make_examples(40, SIDE * SIDE).clamp(0, 1).mul(255).round() / 255
    parents = [make_network((SIDE * SIDE, 11, 7, 10), seed) for seed in (0, 1)]
    alignments = {op: align(*parents, x, op) for op in ("naive", "sc-cca", "sc-pwc")}
    return *parents, alignments, x, parents[0](x).argmax(-1)


@pytest.fixture(scope="module")
def pages(records, crossed, tmp_path_factory):
    """Write each figure into a page of its own, in both modes."""
    folder, shown = tmp_path_factory.mktemp("pages"), []
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(interactive, "display", lambda thing: shown.append(thing.data))
        interactive.explorer(records)
        interactive.crossing(*crossed, (SIDE, SIDE))
    for kind, content in zip(("explorer", "crossing"), shown, strict=True):
        for mode, (ground, ink) in MODES.items():
            text = PAGE.format(mode=mode, ground=ground, ink=ink, content=content)
            (folder / f"{kind}-{mode}.html").write_text(text, encoding="utf-8")
    return folder


@pytest.fixture
def visit(browser, pages):
    """Open a page offline; no request, no word on the console, no error is right."""
    contexts, wrong = [], []

    def open_page(kind, mode="light", width=900, **options):
        size = {"width": width, "height": 900}
        context = browser.new_context(viewport=size, offline=True, **options)
        contexts.append(context)
        page = context.new_page()
        page.on("pageerror", lambda error: wrong.append(str(error)))
        page.on("console", lambda message: wrong.append(message.text))
        page.on("request", lambda r: r.url.startswith("file:") or wrong.append(r.url))
        page.goto((pages / f"{kind}-{mode}.html").as_uri())
        if options.get("java_script_enabled", True):
            page.locator(".sc-touch[data-ready]").wait_for()
        return page

    yield open_page
    for context in contexts:
        context.close()
    assert not wrong


@pytest.fixture(scope="module")
def package(crossed):
    *parents, alignments, x, y = crossed
    labels = {"naive": "naive", "sc-cca": "SC-CCA", "sc-pwc": "SC-PwC"}
    named = {labels[op]: found for op, found in alignments.items()}
    rounded = tuple(map(interactive.quantise, parents))
    return Crossing(rounded, named, x, y, list(interactive.GRID))


def test_the_explorer_shows_the_records_numbers(visit, records):
    labels = {"mnist": "MNIST", "cifar10": "CIFAR-10"}
    tables = {labels[name]: record.curves for name, record in records.items()}
    assert list(check_explorer(visit("explorer"), tables)) == []


def test_other_records_would_be_noticed(visit, records):
    changed = records["mnist"].curves.assign(loss=lambda frame: frame["loss"] + 0.003)
    found = list(check_explorer(visit("explorer"), {"MNIST": changed}))
    assert found and all("loss" in line for line in found)


def test_the_crossing_shows_the_packages_numbers(visit, package):
    assert list(check_crossing(visit("crossing"), package)) == []


def test_other_networks_would_be_noticed(visit, package):
    other = copy.deepcopy(package)
    other.parents[1].weights[-1][:, 0] += 0.1
    assert any("parent b answers" in line for line in check_crossing(visit("crossing"), other))


def test_what_the_page_holds_is_enough_to_check_it(visit):
    page = visit("crossing")
    assert list(check_crossing(page, read_crossing(page_data(page, "crossing")))) == []


@pytest.mark.parametrize("kind", ["explorer", "crossing"])
def test_a_slider_is_dragged(visit, kind):
    page = visit(kind)
    slider = page.get_by_role("slider")
    box = slider.bounding_box()
    page.mouse.move(box["x"] + box["width"] / 2, box["y"] + box["height"] / 2)
    page.mouse.down()
    page.mouse.move(box["x"] + box["width"] - 2, box["y"] + box["height"] / 2, steps=5)
    page.mouse.up()
    assert slider.get_attribute("aria-valuetext") == "t = 1.25, beyond parent b"
    assert "t = 1.25, beyond parent b" in page.locator(".sc-slider").inner_text()


@pytest.mark.parametrize("kind", ["explorer", "crossing"])
def test_what_changed_is_said_once_and_in_words(visit, kind):
    page = visit(kind)
    heard = page.locator("[aria-live=polite]")
    page.get_by_role("slider").press("End")
    assert "1.25" not in heard.text_content()  # not while the reader is still moving it
    page.wait_for_function("document.querySelector('[aria-live]').textContent.includes('1.25')")
    assert "naive" in heard.text_content() and heard.count() == 1


def test_a_finger_draws_and_does_not_scroll_the_page(visit):
    page = visit("crossing", width=390, has_touch=True, is_mobile=True)
    page.get_by_role("button", name="Clear").tap()
    assert page.locator(".sc-top b").all_inner_texts() == ["–"] * 3
    page.locator("canvas.sc-pad").tap()
    assert page.locator(".sc-top b").all_inner_texts() != ["–"] * 3
    action = "c => getComputedStyle(c).touchAction"
    assert page.locator("canvas.sc-pad").evaluate(action) == "none"
    assert page.locator(".sc-chart svg").evaluate(action) == "pan-y"


def test_every_control_is_reached_by_tab_and_has_a_name(visit):
    for kind, least in (("explorer", 9), ("crossing", 6)):
        page = visit(kind)
        names = []
        for _ in range(30):
            page.keyboard.press("Tab")
            names.append(page.evaluate("document.activeElement.tagName"))
        controls = page.locator("input:not([type=radio]), input:checked, button, canvas[tabindex]")
        assert len([n for n in names if n in ("INPUT", "BUTTON", "CANVAS")]) >= least
        for control in controls.all():
            assert control.evaluate(
                "e => e.getAttribute('aria-label') || e.labels?.[0]?.textContent || e.textContent"
            )


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("width", [900, 390])
@pytest.mark.parametrize("kind", ["explorer", "crossing"])
def test_it_fits_and_its_words_can_be_read(visit, kind, width, mode):
    page = visit(kind, mode, width)
    page.locator("input[type=checkbox]").evaluate_all("boxes => boxes.forEach((b) => b.click())")
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    assert page.evaluate(FAINT) == []


def test_faint_words_would_be_noticed(visit):
    page = visit("explorer", "dark")
    page.add_style_tag(content=".sc-touch .sc-about { color: #333 }")
    assert page.evaluate(FAINT)


@pytest.mark.parametrize("kind", ["explorer", "crossing"])
def test_without_scripts_the_plain_figure_stays(visit, kind):
    page = visit(kind, java_script_enabled=False)
    assert page.locator(".sc-plain [role=img]").bounding_box()["width"] > 300
    assert page.locator("input").count() == 0
    assert visit(kind).locator(".sc-plain").count() == 0
