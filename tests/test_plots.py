"""Figures draw what they are given, leave it as it was, and come with words."""

import base64
import copy
import html
import inspect
import io
import re

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pytest
from matplotlib.colors import to_hex
from matplotlib.figure import Figure

from safecross import Network
from safecross.alignment.matching import Matching
from safecross.alignment.operators import OPERATORS
from safecross.book import plots
from safecross.book.plots import (
    colour,
    figure,
    loss_and_accuracy,
    show,
    table,
)
from safecross.networks.spec import Axis, Group, Spec

RNG = np.random.default_rng(0)
SPEC = Spec(
    "Sequential",
    {
        "0": Group(
            3,
            (Axis("0.weight", -2, "out"), Axis("1.mean", -1, "buffer"), Axis("2.weight", -1, "in")),
        ),
        "2": Group(4, (Axis("2.weight", -2, "out"), Axis("4.weight", -1, "in"))),
    },
    shapes={
        "0.weight": (3, 2),
        "1.mean": (3,),
        "2.weight": (4, 3),
        "4.weight": (5, 4),
        "4.bias": (5,),
    },
)
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
        "low": [0.4, 0.3, 0.2],
        "high": [0.6, 0.5, 0.4],
    }
)
COSTS = pd.DataFrame(
    [("s", "n", 10, 4, 2, 0.1), ("s", "n", 20, 4, 2, 0.2), ("s", "p", 20, 2, 2, 0.1)],
    columns=["step", "varied", "n", "p", "k", "seconds"],
)

POINTS = pd.DataFrame({"label": ["x", "y"], "value": [0.1, 2], "low": [0.05, 1], "high": [0.2, 3]})

FRONT = pd.DataFrame(
    {
        "cost": [0.1, 1.0, 9.0],
        "quality": [0.2, 0.1, 0.9],
        "kind": ["weights", "nothing", "weights"],
        "front": [True, False, True],
    }
)

CHILDREN = pd.DataFrame(
    {
        "x": [0.3, 0.1, 0.2, 0.1, 0.2],
        "y": [0.2, 0.9, 0.1, 0.8, 0.5],
        "series": ["a", "a", "a", "b", "b"],
        "front": [True, True, False, True, True],
    }
)

# Arguments for each function that returns a figure.
DRAWN = {
    "bars": ({"mnist": pd.DataFrame({"a": [1.0, 2.0], "b": [3.0, 4.0]}, ["x", "y"])}, "seconds"),
    "forest": ({"mnist": POINTS, "own": POINTS.iloc[:1]}, "times", 1.0, True),
    "pareto": ({"mnist": FRONT, "own": FRONT.iloc[:2]}, "seconds", "share"),
    "wins": (
        {"by loss": pd.DataFrame({"semi": {"1 epoch": 3, "2 epochs": 0}})},
        4,
        "sc-cca",
        "sc-pwc",
    ),
    "activation_map": (RNG.random((6, 5)), {"0": 4, "1": 2}, {"0": 2, "1": 3, "none": 0}),
    "bipartite": ([Matching(np.array([0, 1]), np.array([1, 1]))], ["semi"], (2, 3)),
    "correlation_matrices": ([RNG.random((3, 3))] * 3, ["a", "b", "c"]),
    "example_images": (RNG.random((2, 3, 4, 4)), ["0", "1"], ["x", "y", "z"]),
    "fitted_and_new": ({"p": {"CCA": ([0.9, 0.5], [0.7, 0.1])}},),
    "fronts": ({"one": CHILDREN, "two": CHILDREN}, "new", "kept", {"a": "naive", "b": "sc-pwc"}),
    "groups": (SPEC,),
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
        if callable(getattr(plots, name))
        and inspect.signature(getattr(plots, name)).return_annotation is Figure
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


def test_the_picture_of_groups_has_a_row_a_tensor_and_a_column_a_group():
    (ax,) = plots.groups(SPEC).axes
    rows = [label.get_text() for label in ax.get_yticklabels()]
    assert rows == ["0.weight (3 × 2)", "1.mean (3)", "2.weight (4 × 3)", "4.weight (5 × 4)"]
    assert [label.get_text() for label in ax.get_xticklabels()] == ["0\n(3)", "2\n(4)"]
    marks = [tuple(c.get_offsets()[0]) for c in ax.collections]
    assert marks == [(0, 0), (0, -1), (0, -2), (1, -2), (1, -3)]
    filled = [to_hex(c.get_facecolor()[0]) != plots.GROUND for c in ax.collections]
    assert filled == [True, True, False, True, False]


def test_a_front_holds_its_height_up_to_each_of_its_points():
    fig = plots.fronts(*DRAWN["fronts"])
    for ax in fig.axes:
        lines = {to_hex(line.get_color()): line.get_xydata().tolist() for line in ax.lines}
        assert lines[to_hex(colour("naive"))] == [[0.1, 0.9], [0.3, 0.2]]
        assert lines[to_hex(colour("sc-pwc"))] == [[0.1, 0.8], [0.2, 0.5]]
        assert {line.get_drawstyle() for line in ax.lines} == {"steps-pre"}
        assert sorted(len(c.get_offsets()) for c in ax.collections) == [2, 3]


def test_levels_are_thin_lines_unlike_the_curves_and_each_other():
    fig = plots.lines({"x": ([1, 5], [2, 3])}, "t", "loss", levels={"high": 9, "low": 1})
    curve, *levels = fig.axes[0].get_lines()
    assert [list(line.get_ydata()) for line in levels] == [[9, 9], [1, 1]]
    assert len({line.get_linestyle() for line in (curve, *levels)}) == 3
    assert {line.get_color() for line in levels} == {plots.MUTED} != {curve.get_color()}


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


def test_an_interval_is_drawn_where_it_is_however_few_pairs_there_are():
    one = SWEEP.assign(low=SWEEP["loss"], high=SWEEP["loss"])  # of a single pair
    for frame in (SWEEP, one):
        ax = plots.loss_over_option(frame, {"mnist": {}, "own": {}}, "directions").axes[0]
        ends = ax.containers[0].lines[2][0].get_segments()
        rows = frame[frame["data set"] == "mnist"]
        np.testing.assert_allclose([e[:, 1] for e in ends], rows[["low", "high"]])


def test_a_robust_shading_stays_above_zero_where_losses_explode():
    exploding = CURVES.assign(loss=np.where(CURVES["pair"] == 0, 1e6, CURVES["loss"]))
    for robust, positive in ((False, False), (True, True)):
        ax = loss_and_accuracy(exploding, {"naive": "naive"}, robust).axes[0]
        low = ax.collections[0].get_paths()[0].vertices[:, 1].min()
        assert bool(low > 0) is positive


def test_labels_of_a_logarithmic_axis_keep_apart():
    frame = SWEEP.iloc[[0] * 4].assign(value=[2, 30, 31, 512])
    ax = plots.loss_over_option(frame, {"mnist": {}}, "directions").axes[0]
    assert [label.get_text() for label in ax.get_xticklabels()] == ["2", "30", "", "512"]


def test_equal_values_have_equal_shades_in_a_heat_table():
    frame = pd.DataFrame({"1": [1.0, 2.0], "2": [2.0, 4.0]}, ["a", "b"])
    mesh = plots.heat_table(frame).axes[0].collections[0]
    shades = mesh.get_cmap()(mesh.norm(mesh.get_array())).reshape(2, 2, 4)
    assert (shades[1, 0] == shades[0, 1]).all()  # 2 and 2
    assert shades[0, 0, :3].sum() < shades[1, 1, :3].sum()  # the best is the darkest


def test_colours_do_not_repeat_within_a_figure():
    names = {f"line {i}": ([0, 1], [i, i]) for i in range(6)} | {"naive": ([0, 1], [9, 9])}
    fig = plots.lines(names, "t", "loss", operators={"naive": "naive"})
    colours = [line.get_color() for line in fig.axes[0].get_lines()]
    assert len(set(colours)) == len(colours)
    with pytest.raises(ValueError, match="expected at most 10 colours; found 11"):
        plots.palette(11)


# What is displayed


@pytest.fixture
def shown(monkeypatch) -> list[str]:
    found = []
    monkeypatch.setattr(plots.page, "display", lambda thing: found.append(thing.data))
    return found


def test_a_figure_is_shown_with_its_words_and_closed(shown):
    fig, ax = figure()
    ax.plot([0, 1])
    caption, alt = "p < 0.05 & n = 3", 'a line from "0" to <1>'
    show(fig, caption, alt, name="line")
    (page,) = shown
    assert not plt.get_fignums()
    assert html.unescape(re.search(r'role="img" aria-label="([^"]*)"', page)[1]) == alt
    assert html.unescape(re.search("<figcaption>(.*)</figcaption>", page)[1]) == caption
    assert page.startswith('<figure class="sc-figure" id="fig-line">')
    assert page.count("<svg") == 1 and "<image" not in page


def test_a_figure_is_drawn_in_the_ink_of_the_page_on_no_ground(shown):
    fig, ax = figure()
    ax.plot([0, 1], color=plots.INK)
    ax.set(xlabel="t", title="loss")
    show(fig, "caption", "alt")
    (page,) = shown
    assert plots.INK not in page and page.count("currentColor") > 5
    assert not re.search(r"fill: *#(fff|000)", page)
    assert ">loss</text>" in page  # words are words, not outlines


def test_the_panels_of_a_row_are_drawn_apart_and_the_legend_is_text(shown):
    show(loss_and_accuracy(CURVES, {"naive": "naive", "sc-pwc": "SC-PwC & more"}), "c", "a")
    (page,) = shown
    panels = re.findall(r"<svg style.*?</svg>", page, flags=re.DOTALL)
    assert len(panels) == 2
    assert [">accuracy</text>" in panel for panel in panels] == [False, True]
    entries = re.findall(r"<li>.*?</svg> (.*?)</li>", page)
    assert entries == ["naive", "SC-PwC &amp; more"]
    assert "legend" not in "".join(panels)


def widths(page: str) -> list[tuple[float, float]]:
    """Return the width and the least width of each panel, in pixels."""
    found = re.findall(r'<svg style="width:([\d.]+)px;min-width:([\d.]+)px"', page)
    return [tuple(map(float, pair)) for pair in found]


def test_a_row_of_panels_that_is_a_little_too_wide_shrinks_and_its_words_stay_legible(shown):
    for n, width in ((1, 6.0), (2, 7.0), (3, 9.5), (4, 16.0)):
        show(figure(1, n, width=width)[0], "c", "a")
    one, two, three, four = map(widths, shown)
    assert [len(row) for row in (one, two, three, four)] == [1, 2, 3, 4]
    for row in (one, two, four):  # which fit, or cannot: these go below each other
        assert all(least == pytest.approx(0.6 * full, abs=1) for full, least in row)
    assert sum(full for full, _ in three) + 2 * 16 == pytest.approx(770, abs=3)
    assert all(0.6 * full < least < full for full, least in three)


def test_a_forest_with_long_labels_is_seen_whole_on_a_phone(shown):
    for label in ("a situation that takes " + "many words of a line or two " * 2, "x" * 60):
        show(plots.forest({"": POINTS.assign(label=label)}, "gain"), "c", "a")
    show(figure(width=6.1)[0], "c", "a")  # a little wider, and it is not
    least = [row[0][1] for row in map(widths, shown)]
    assert max(least[:2]) <= 358 < least[2]


def test_what_scrolls_on_a_phone_in_any_case_keeps_larger_words(shown):
    show(figure(width=8.0)[0], "c", "a")
    (((full, least),),) = map(widths, shown)
    assert least == pytest.approx(0.75 * full, abs=1)
    assert least < 770


def test_data_sets_are_spelt_as_in_prose_and_names_of_records_are_not(shown):
    fig, ax = figure()
    ax.set_title("cifar10")
    assert [plots.spelt(name) for name in plots.LABELS] == list(plots.LABELS.values())
    show(fig, "mnist: 3 pairs, as in mnist-25a9", "on fashion-mnist")
    table(pd.DataFrame({"data set": ["cifar10"], "n": [3]}), "fashion-mnist, not mnist5k")
    picture, rows = shown
    assert "<figcaption>MNIST: 3 pairs, as in mnist-25a9</figcaption>" in picture
    assert ">CIFAR-10</text>" in picture and 'aria-label="on Fashion-MNIST"' in picture
    assert "<figcaption>Fashion-MNIST, not mnist5k</figcaption>" in rows and ">CIFAR-10<" in rows


def test_a_ring_shows_the_ground_of_the_page(shown):
    show(plots.groups(SPEC), "c", "a")
    (page,) = shown
    assert "var(--pst-color-background, #fff)" in page and plots.GROUND not in page


def test_figures_of_a_page_share_no_id(shown):
    for caption in ("one", "two"):
        show(loss_and_accuracy(CURVES), caption, "alt")
    ids = re.findall(r'\bid="([^"]+)"', "".join(shown))
    assert len(ids) == len(set(ids)) > 2
    used = re.findall(r'(?:url\(#|href="#)([^)"]+)', "".join(shown))
    assert used and set(used) <= set(ids)


def test_the_same_figure_gives_the_same_text(shown):
    for _ in range(2):
        show(loss_and_accuracy(CURVES), "caption", "alt")
    assert shown[0] == shown[1]


TABLE = pd.DataFrame(
    {
        "operator": ["naive", '<a href="x">sc-pwc</a>', "bias-sort"],
        "loss": [0.12345, None, "0.1 [0, 1]"],
        "wins": ["3 / 20", "12 / 20", "-"],
        "what": ["a word", "2 words", "x"],
    }
)


def test_a_table_is_shown_with_its_caption_formats_and_heads(shown):
    before = TABLE.copy()
    table(TABLE, "loss < 1 & falling", {"loss": "{:.2f}"}, name="losses")
    (page,) = shown
    assert "<figcaption>loss &lt; 1 &amp; falling</figcaption>" in page
    assert re.findall(r'<th scope="col"[^>]*>(.*?)</th>', page) == list(TABLE)
    heads = re.findall(r'<th scope="row">(.*?)</th>', page)
    assert heads[:2] == list(TABLE["operator"][:2])  # links are kept
    assert heads[2] == '<span class="sc-keep">bias-sort</span>'
    assert re.findall(r'<td class="sc-number">(.*?)</td>', page) == [
        "0.12", "3 / 20", "-", "12 / 20", "0.1 [0, 1]", "-",
    ]  # fmt: skip
    assert re.findall(r"<td>(.*?)</td>", page) == list(TABLE["what"])
    assert 'id="tab-losses"' in page and "<details" not in page
    pd.testing.assert_frame_equal(TABLE, before)


@pytest.mark.parametrize(
    ("words", "pieces"),
    [
        ("better by 0.2 [0.1, 0.3] (p = 2e-31)", ["[0.1, 0.3]", "2e-31"]),
        ("sc-cca:ridge=0.1,penalty=kernel", ["sc-cca:", "ridge=0.1,", "penalty=kernel"]),
        ("components (sc-cca)", ["sc-cca"]),
        ("the one-to-one matching, 3 of 20", []),
        ('<a href="sc-cca.html">sc-cca</a>', []),
    ],
)
def test_what_belongs_together_in_a_cell_is_not_broken(shown, words, pieces):
    table(pd.DataFrame({"a": [1], "what": [words]}), "caption")
    cell = re.search(r"<td(?: class=\"sc-words\")?>(.*?)</td>", shown[0])[1]
    assert re.findall(r'<span class="sc-keep">(.*?)</span>', cell) == pieces
    assert re.sub(r'<span class="sc-keep">|</span>|<wbr>', "", cell) == words


def test_cells_of_words_keep_some_width_and_only_long_heads_wrap(shown):
    words = "a cell with a sentence in it, which says something"
    table(pd.DataFrame({"a": ["b"], "why": [words], "n": [3], "a number with a name": [4]}), "c")
    assert '<td class="sc-words">' in shown[0]
    heads = re.findall(r'<th scope="col" class="([^"]+)">([^<]+)', shown[0])
    assert heads == [("sc-number", "n"), ("sc-number sc-wrap", "a number with a name")]


def test_a_table_can_be_taken_along(shown):
    table(TABLE, "caption", {"loss": "{:.2f}"})
    data = re.search(r'href="data:text/csv;base64,([^"]+)"', shown[0])[1]
    taken = pd.read_csv(io.BytesIO(base64.b64decode(data)), keep_default_na=False)
    assert list(taken) == list(TABLE)
    assert taken["operator"].tolist() == ["naive", "sc-pwc", "bias-sort"]


@pytest.mark.parametrize(("rows", "fold", "folded"), [(3, None, 0), (30, None, 1), (3, True, 1)])
def test_long_tables_are_folded(shown, rows, fold, folded):
    table(pd.DataFrame({"a": range(rows), "b": range(rows)}), "caption", fold=fold)
    assert shown[0].count("<details") == folded
    assert shown[0].count("<tr>") == rows + 1


def test_a_front_has_rings_and_each_kind_has_one_marker():
    fig = plots.pareto({"mnist": FRONT}, "seconds", "share")
    (ax,) = fig.axes
    (legend,) = fig.legends
    assert [text.get_text() for text in legend.get_texts()] == ["weights", "nothing"]
    stair, *kinds, rings = ax.lines
    assert [line.get_xydata().tolist() for line in kinds] == [
        [[0.1, 0.2], [9.0, 0.9]],
        [[1.0, 0.1]],
    ]
    assert rings.get_xydata().tolist() == [[0.1, 0.2], [9.0, 0.9]]
    assert stair.get_xydata().tolist() == [[0.1, 0.2], [9.0, 0.9], [9.0, 0.9]]
