"""Figures draw what they are given, leave it as it was, and come with words."""

import copy
import html
import inspect
import re

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pytest
from matplotlib.figure import Figure

from safecross import Network, plots
from safecross.matching import Matching
from safecross.operators import OPERATORS
from safecross.plots import (
    colour,
    figure,
    loss_and_accuracy,
    show,
    table,
)

RNG = np.random.default_rng(0)
CURVES = pd.DataFrame(
    [
        (pair, operator, t, 1 + pair + t, 0.5)
        for pair in range(3)
        for operator in ("naive", "sc-cca:directions=4", "sc-pwc")
        for t in (0.0, 0.5, 1.0)
    ],
    columns=["pair", "operator", "t", "loss", "accuracy"],
)
SWEEP = pd.DataFrame(
    {
        "data set": ["mnist", "mnist", "own"],
        "value": [2, 8, 2],
        "loss": [0.5, 0.4, 0.3],
        "loss, 95% interval": ["0.50 [0.40, 0.60]", "0.40 [0.30, 0.50]", "0.30 [0.20, 0.40]"],
    }
)
COSTS = pd.DataFrame(
    [("s", "n", 10, 4, 2, 0.1), ("s", "n", 20, 4, 2, 0.2), ("s", "p", 20, 2, 2, 0.1)],
    columns=["step", "varied", "n", "p", "k", "seconds"],
)

# Arguments for each function that returns a figure.
DRAWN = {
    "activation_map": (RNG.random((6, 5)), {"0": 4, "1": 2}, {"0": 2, "1": 3, "none": 0}),
    "bipartite": ([Matching(np.array([0, 1]), np.array([1, 1]))], ["semi"], (2, 3)),
    "correlation_matrices": ([RNG.random((3, 3))] * 3, ["a", "b", "c"]),
    "example_images": (RNG.random((2, 3, 4, 4)), ["0", "1"], ["x", "y", "z"]),
    "fitted_and_new": ({"p": {"CCA": ([0.9, 0.5], [0.7, 0.1])}},),
    "growth": (COSTS,),
    "heat_table": (pd.DataFrame({"1 epoch": [1.0, 250.0], "3 epochs": [2.0, 0.5]}, ["a", "b"]),),
    "histograms": ({"r": {"a": RNG.random(9), "b": RNG.random(5)}}, "neurons", 4, 0.7),
    "lines": ({"naive": ([0, 1], [1, 2]), "x": ([0, 1], [2, 1])}, "t", "loss", {"naive": "naive"}),
    "loss_and_accuracy": (CURVES, {"naive": "naive", "sc-pwc": "SC-PwC"}, True),
    "loss_over_option": (SWEEP, {"mnist": {"naive": 0.9}, "own": {"naive": 0.8}}, "directions"),
    "main_result": ({"MNIST": CURVES, "CIFAR-10": CURVES},),
    "matrices": ([np.eye(2), np.array([0.5, -1])], ["I", "v"], None, None, 2, "{:.1f}"),
    "network_diagrams": (
        [Network([np.array([[1.0, 0.0]]), np.eye(2)[:, :1]], [np.zeros(2), np.zeros(1)])],
        ["z"],
        [[("$h_1$", 0), ("$h_2$", 1)]],
    ),
    "scatters": ([(RNG.random(4), RNG.random(4))], ["p"], ["x"], ["y"]),
    "weight_images": (RNG.normal(size=(2, 3, 4, 4)), ["a", "b"], ["1", "2", "3"]),
}


@pytest.fixture(autouse=True)
def _none_left_open():
    plt.close("all")
    yield
    plt.close("all")


def frozen(value):
    """Return a value's content in a form that can be compared."""
    if isinstance(value, pd.DataFrame):
        return value.to_json(orient="split")
    if isinstance(value, np.ndarray):
        return value.dtype.str, value.shape, value.tobytes()
    if isinstance(value, Network):
        return [frozen(part.numpy()) for part in value.weights + value.biases]
    if isinstance(value, dict):
        return [(key, frozen(part)) for key, part in value.items()]
    return [frozen(part) for part in value] if isinstance(value, list | tuple) else value


def test_every_function_that_draws_is_drawn_here():
    drawing = {
        name
        for name in plots.__all__
        if inspect.signature(getattr(plots, name)).return_annotation is Figure
    }
    assert drawing == set(DRAWN)


@pytest.mark.parametrize("name", DRAWN)
def test_a_drawing_is_a_figure_and_leaves_what_it_draws_alone(name):
    arguments = DRAWN[name]
    before = frozen(copy.deepcopy(arguments))
    fig = getattr(plots, name)(*arguments)
    assert isinstance(fig, Figure)
    fig.canvas.draw()
    assert any(ax.has_data() for ax in fig.axes)
    assert frozen(arguments) == before


def test_levels_are_thin_lines_unlike_the_curves_and_each_other():
    fig = plots.lines({"x": ([1, 5], [2, 3])}, "t", "loss", levels={"high": 9, "low": 1})
    curve, *levels = fig.axes[0].get_lines()
    assert [list(line.get_ydata()) for line in levels] == [[9, 9], [1, 1]]
    assert len({line.get_linestyle() for line in (curve, *levels)}) == 3
    assert {line.get_color() for line in levels} == {"0.35"} != {curve.get_color()}


def test_the_lines_are_the_means_over_pairs_and_the_shading_their_deviation():
    fig = loss_and_accuracy(CURVES)
    for line in fig.axes[0].get_lines()[:3]:
        np.testing.assert_allclose(line.get_xydata(), [[0, 2], [0.5, 2.5], [1, 3]])
    spread = np.std([1, 2, 3])
    shade = fig.axes[0].collections[0].get_paths()[0].vertices[:, 1]
    assert (shade.min(), shade.max()) == (pytest.approx(2 - spread), pytest.approx(3 + spread))
    labels = [text.get_text() for text in fig.legends[0].get_texts()]
    assert labels == ["naive", "sc-cca:directions=4", "sc-pwc"]


def test_operators_have_colours_of_their_own():
    assert len({colour(name) for name in OPERATORS}) == len(OPERATORS)
    assert colour("sc-cca:ridge=0.1") == colour("sc-cca")
    assert colour("not an operator") not in {colour(name) for name in OPERATORS}


def test_a_figure_has_the_size_asked_for():
    fig, axes = figure(2, 3, height=5, width=7)
    assert axes.shape == (2, 3)
    assert fig.get_size_inches().tolist() == [7, 5]


# What is displayed


@pytest.fixture
def shown(monkeypatch) -> list[str]:
    found = []
    monkeypatch.setattr(plots, "display", lambda thing: found.append(thing.data))
    return found


def test_a_figure_is_shown_with_its_words_and_closed(shown):
    fig, ax = figure()
    ax.plot([0, 1])
    caption, alt = "p < 0.05 & n = 3", 'a line from "0" to <1>'
    show(fig, caption, alt)
    (page,) = shown
    assert not plt.get_fignums()
    assert html.unescape(re.search(r'alt="([^"]*)"', page)[1]) == alt
    assert html.unescape(re.search("<figcaption>(.*)</figcaption>", page)[1]) == caption
    assert re.search(r'src="data:image/png;base64,iVBORw0KGgo', page)
    assert not re.search(r"<(?!/?(figure|img|figcaption)\b)", page)


def test_a_table_is_shown_with_its_caption_and_formats(shown):
    frame = pd.DataFrame({"loss": [0.12345, None, "0.1 [0, 1]"], "page": ['<a href="x">x</a>'] * 3})
    before = frame.copy()
    table(frame, "loss < 1 & falling", {"loss": "{:.2f}"})
    (page,) = shown
    assert "<figcaption>loss &lt; 1 &amp; falling</figcaption>" in page
    cells = re.findall("<td>(.*?)</td>", page)
    assert cells[::2] == ["0.12", "-", "0.1 [0, 1]"]
    assert cells[1] == '<a href="x">x</a>'  # links are kept
    assert "overflow-x:auto" in page
    pd.testing.assert_frame_equal(frame, before)
