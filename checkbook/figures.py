"""Use the figures to touch as a reader does, and hold their numbers against records and package."""

import base64
import json
import zlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import pandas as pd
import torch
from playwright.sync_api import Locator, Page

from safecross import (
    Alignment,
    Matching,
    Network,
    crossover_curve,
    evaluate,
    interpolate,
)

TOLERANCE = 1e-3
_WAIT = 10_000  # milliseconds until a figure runs


@dataclass(frozen=True)
class Crossing:
    """What a page's crossing is made of, as the package has it."""

    parents: tuple[Network, Network]
    alignments: dict[str, Alignment]
    x: torch.Tensor
    y: torch.Tensor
    t: list[float]

    def accuracy(self, label: str, t: float) -> float:
        """Return the accuracy of the child on all images."""
        found = self.alignments[label]
        curve = crossover_curve(*self.parents, self.x, self.y, alignment=found, t=t)
        return float(curve.accuracy[0])

    def answers(self, label: str, t: float, x: torch.Tensor) -> list[np.ndarray]:
        """Return what parent a, the child and parent b make of one image, as probabilities."""
        child = interpolate(*self.alignments[label].apply(*self.parents), t)
        networks = (self.parents[0], child, self.parents[1])
        return [theta(x[None])[0].softmax(-1).numpy() for theta in networks]


def read_crossing(data: dict) -> Crossing:
    """Return the networks, alignments and images that a page holds.

    Parameters
    ----------
    data : dict
        The JSON of the page, as `safecross.book.interactive.crossing_data` makes it.
    """
    steps, images = (zlib.decompress(base64.b64decode(data[k])) for k in ("weights", "images"))
    whole = iter(np.frombuffer(steps, "<i2"))

    def take(shape, scale):
        part = np.array([next(whole) for _ in range(np.prod(shape))], np.float32)
        return torch.from_numpy((part * np.float32(scale)).reshape(shape))

    parents = []
    for scales in data["scales"]:
        weights, biases = [], []
        for shape, (w, b) in zip(pairwise(data["widths"]), scales, strict=True):
            weights.append(take(shape, w))
            biases.append(take(shape[1:], b))
        parents.append(Network(weights, biases))
    grey = np.frombuffer(images, np.uint8).reshape(len(data["labels"]), -1)
    return Crossing(
        tuple(parents),
        {each["label"]: _alignment(each) for each in data["alignments"]},
        torch.from_numpy(grey.astype(np.float32) / 255),
        torch.tensor(data["labels"]),
        data["t"],
    )


def check_explorer(page: Page, tables: Mapping[str, pd.DataFrame]) -> Iterator[str]:
    """Use the explorer by keyboard and mouse; yield a line for each number that is wrong.

    Parameters
    ----------
    page : Page
        Open where the explorer is.
    tables : mapping of str to pandas.DataFrame
        For each label of a data set its record's `curves`.
    """
    figure, slider = _open(page, "explorer")
    for label, curves in tables.items():
        figure.get_by_role("radio", name=label, exact=True).check()
        ts = sorted(curves["t"].unique())
        for key, i in (("Home", 0), ("ArrowRight", 1), ("End", -1), ("ArrowLeft", -2)):
            slider.press(key)
            yield from _compare_rows(figure, curves, ts[i], f"{label}, {key}")
        for t in (0.0, 0.5, 1.0):
            _click_chart(figure, ts, t)
            yield from _compare_rows(figure, curves, t, f"{label}, click at {t:g}")
    boxes = figure.get_by_role("checkbox")
    for box in boxes.all():
        before = _count_lines(figure)
        box.click()
        expected = before + (2 if box.is_checked() else -2)  # one of loss, one of accuracy
        if _count_lines(figure) != expected:
            yield f"explorer: a checkbox leaves {_count_lines(figure)} lines of {expected}"
        box.click()


def check_crossing(page: Page, package: Crossing) -> Iterator[str]:
    """Use the crossing by keyboard and mouse; yield a line for each number that is wrong.

    Parameters
    ----------
    page : Page
        Open where the crossing is.
    package : Crossing
        The same networks and images; `read_crossing` reads them from the page.
    """
    figure, slider = _open(page, "crossing")
    pad = figure.locator("canvas.sc-pad")
    for label in package.alignments:
        figure.get_by_role("radio", name=label).first.check()
        for key, i in (("Home", 0), ("ArrowRight", 1), ("End", -1)):
            slider.press(key)
            where = f"crossing, {label}, {key}"
            yield from _compare_answers(figure, package, label, package.t[i], package.x[0], where)
        _click_chart(figure, package.t, 0.5)
        where = f"crossing, {label}, halfway"
        yield from _compare_answers(figure, package, label, 0.5, package.x[0], where)
    pad.press("ArrowRight")
    yield from _compare_answers(figure, package, label, 0.5, package.x[1], "crossing, next digit")
    pad.press("ArrowLeft")
    yield from _compare_answers(figure, package, label, 0.5, package.x[0], "crossing, digit before")
    figure.get_by_role("button", name="Clear").click()
    _draw(page, pad, [(0.3, 0.25), (0.7, 0.25), (0.45, 0.8)])
    seen = _seen(figure)
    if not seen.any():
        yield "crossing: a drawing leaves no trace"
    yield from _compare_answers(figure, package, label, 0.5, seen, "crossing, drawing")
    figure.get_by_role("button", name="Next digit").click()


def _alignment(data: dict) -> Alignment:
    pairs = zip(data["la"], data["lb"], strict=True)
    return Alignment(data["label"], tuple(Matching(*map(np.asarray, pair)) for pair in pairs))


def _open(page: Page, kind: str) -> tuple[Locator, Locator]:
    figure = page.locator(f".sc-{kind}[data-ready]")
    figure.wait_for(timeout=_WAIT)
    return figure, figure.get_by_role("slider")


def page_data(page: Page, kind: str) -> dict:
    """Return the JSON that a figure of the page holds."""
    script = page.locator(f".sc-{kind} script[type='application/json']")
    return json.loads(script.text_content())


def _click_chart(figure: Locator, ts, t: float) -> None:
    """Press the pointer on the first chart, where t lies."""
    chart = figure.locator(".sc-chart svg").first
    chart.scroll_into_view_if_needed()
    ends = [chart.locator("text", has_text=f"parent {side}").bounding_box() for side in "ab"]
    at_0, at_1 = (box["x"] + box["width"] / 2 for box in ends)
    box = chart.bounding_box()
    chart.click(position={"x": at_0 + t * (at_1 - at_0) - box["x"], "y": box["height"] / 2})


def _number(text: str) -> float:
    return float(text.strip().rstrip("%")) / (100 if "%" in text else 1)


def _close(shown: float, true: float) -> bool:
    return abs(shown - true) <= TOLERANCE * max(1, abs(true))


def _compare_rows(figure: Locator, curves: pd.DataFrame, t: float, where: str) -> Iterator[str]:
    at = curves[np.isclose(curves["t"], t)]
    for operator, rows in at.groupby("operator", observed=True):
        row = figure.locator(f"tr[data-operator='{operator.partition(':')[0]}']")
        for cell, column in zip(row.locator("td").all(), ("loss", "accuracy"), strict=True):
            values = rows[column].astype(float)
            true = [float(v) for v in (values.mean(), *values.quantile([0.05, 0.95]))]
            shown = [cell.locator("b").text_content()]
            shown += cell.locator("small").text_content().split("–")
            if not all(_close(_number(s), v) for s, v in zip(shown, true, strict=True)):
                yield f"explorer, {where}: {operator} has {column} {true}; the page says {shown}"


def _compare_answers(
    figure: Locator, package: Crossing, label: str, t: float, x: torch.Tensor, where: str
) -> Iterator[str]:
    shares = [float(evaluate(theta, package.x, package.y)[1]) for theta in package.parents]
    shares.insert(1, package.accuracy(label, t))
    answers = package.answers(label, t, x)
    columns = figure.locator(".sc-answer").all()
    for name, column, share, answer in zip(
        ("parent a", "child", "parent b"), columns, shares, answers, strict=True
    ):
        shown = column.locator("p b").text_content()
        if not _close(_number(shown), share):
            yield f"{where}: {name} is right on {share:.4f}; the page says {shown}"
        bars = [bar.get_attribute("title") for bar in column.locator(".sc-bars > div").all()]
        found = [_number(bar.partition(":")[2]) for bar in bars]
        if not all(map(_close, found, answer)):
            yield f"{where}: {name} answers {answer.round(4)}; the page says {found}"


def _draw(page: Page, pad: Locator, points) -> None:
    pad.scroll_into_view_if_needed()
    box = pad.bounding_box()
    places = [(box["x"] + u * box["width"], box["y"] + v * box["height"]) for u, v in points]
    page.mouse.move(*places[0])
    page.mouse.down()
    for place in places[1:]:
        page.mouse.move(*place, steps=8)
    page.mouse.up()


def _seen(figure: Locator) -> torch.Tensor:
    """Return the grey levels that the networks see, from the small picture."""
    levels = figure.locator("canvas.sc-seen").evaluate(
        "c => [...c.getContext('2d').getImageData(0, 0, c.width, c.height).data]"
        ".filter((_, i) => i % 4 === 0)"
    )
    return torch.tensor(levels, dtype=torch.float32) / 255


def _count_lines(figure: Locator) -> int:
    return figure.locator(".sc-line").count()
