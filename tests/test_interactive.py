"""The figures to touch hold the very numbers, are small, and stand without scripts."""

import base64
import json
import re
import zlib
from dataclasses import replace
from html.parser import HTMLParser

import numpy as np
import pytest
import torch

from safecross import Network, align, crossover_curve
from safecross.book import interactive, numbering
from safecross.book.interactive import (
    crossing_data,
    explorer_data,
    explorer_html,
    quantise,
)
from safecross.book.plots import colour
from safecross.replication.paper import main_config
from safecross.runs import load_or_run

SHAPE = (6, 5)


@pytest.fixture(scope="module")
def records():
    return {name: load_or_run(main_config(name)) for name in ("mnist", "cifar10")}


@pytest.fixture(scope="module")
def crossed(make_network, make_examples):
    x = make_examples(50, 30).clamp(0, 1).mul(255).round() / 255
    parents = [make_network((30, 7, 5, 4), seed) for seed in (0, 1)]
    alignments = {op: align(*parents, x, op) for op in ("naive", "sc-cca", "sc-pwc-semi")}
    return *parents, alignments, x, parents[0](x).argmax(-1)


@pytest.fixture
def shown(monkeypatch):
    found = []
    monkeypatch.setattr(interactive, "display", lambda thing: found.append(thing.data))
    return found


def unpack(text, dtype):
    return np.frombuffer(zlib.decompress(base64.b64decode(text)), dtype)


def held(page):
    """Return the JSON that a figure's HTML holds."""
    return json.loads(re.search(r'<script type="application/json">(.*?)</script>', page)[1])


# The explorer


def test_the_explorer_has_the_records_curves(records):
    data = explorer_data(records)
    for each, record in zip(data["datasets"], records.values(), strict=True):
        assert each["pairs"] == record.config.n_pairs
        assert len(each["curves"]) == len(record.config.operators)
        for operator in record.config.operators:
            curves = each["curves"][operator.partition(":")[0]]
            for column, (middle, low, high) in curves.items():
                for i, t in enumerate(data["t"]):
                    values = record.at(t, column)[operator]
                    assert middle[i] == pytest.approx(values.mean(), rel=1e-4)
                    assert low[i] == pytest.approx(values.quantile(0.05), rel=1e-4)
                    assert high[i] == pytest.approx(values.quantile(0.95), rel=1e-4)
        parents = record.pairs[["loss_a", "loss_b"]].to_numpy().mean()
        assert each["parents"]["loss"] == pytest.approx(parents, rel=1e-4)


def test_operators_keep_their_colours_and_say_their_options(records):
    data = explorer_data(records)
    for operator in data["operators"]:
        rgb = [int(operator["colour"][k : k + 2], 16) / 255 for k in (1, 3, 5)]
        assert rgb == pytest.approx(colour(operator["name"]), abs=0.003)
    assert [each["forms"]["sc-cca"] for each in data["datasets"]] == ["256 directions", ""]


def test_three_data_sets_stay_below_60_kb(records):
    three = {**records, "fashion-mnist": records["cifar10"]}
    data = explorer_data(three)
    assert [each["label"] for each in data["datasets"]] == ["MNIST", "CIFAR-10", "Fashion-MNIST"]
    assert 10_000 < len(json.dumps(data)) < 60_000


def test_a_record_of_ones_own_is_shown_too(small_record):
    data = explorer_data({"own": small_record})
    assert data["t"] == list(small_record.config.t)
    assert data["datasets"][0]["label"] == "own"
    assert data["datasets"][0]["forms"]["sc-cca"] == "2 directions"


def test_records_that_cannot_share_a_figure_are_refused(records, small_record):
    with pytest.raises(ValueError, match="one grid of t; found 2"):
        explorer_data({**records, "own": small_record})
    with pytest.raises(ValueError, match="one grid of t; found 0"):
        explorer_data({})
    operators = ("sc-cca", "sc-cca:directions=2")
    twice = replace(small_record, config=replace(small_record.config, operators=operators))
    with pytest.raises(ValueError, match="one form of each operator; found sc-cca, sc-cca:dir"):
        explorer_data({"own": twice})


def test_the_explorer_is_displayed_and_written_alike(records, shown, tmp_path):
    interactive.explorer(records)
    interactive.write_explorer(tmp_path / "explorer.html", records)
    written = (tmp_path / "explorer.html").read_text()
    assert shown == [explorer_html(records)]
    # Links to figures are the whole book's: two that are on different pages need two names.
    assert written == explorer_html(records, "explorer-landing") != shown[0]
    assert held(shown[0]) == explorer_data(records)


# The crossing


def test_a_page_holds_the_very_weights_of_quantise(crossed):
    theta_a, theta_b, *_ = crossed
    data = crossing_data(*crossed, SHAPE)
    steps = iter(np.split(unpack(data["weights"], "<i2"), np.cumsum(_sizes(theta_a) * 2)[:-1]))
    for theta, scales in zip((theta_a, theta_b), data["scales"], strict=True):
        rounded = quantise(theta)
        for d, (of_weight, of_bias) in enumerate(scales):
            for part, scale in ((rounded.weights[d], of_weight), (rounded.biases[d], of_bias)):
                found = next(steps).astype(np.float32) * np.float32(scale)
                assert np.array_equal(found, part.numpy().ravel())


def _sizes(theta):
    parts = zip(theta.weights, theta.biases, strict=True)
    return [part.numel() for layer in parts for part in layer]


def test_rounding_moves_a_weight_by_half_a_step_and_no_answer(crossed):
    theta, _, _, x, _ = crossed
    rounded = quantise(theta)
    pairs = zip(rounded.weights + rounded.biases, theta.weights + theta.biases, strict=True)
    for part, exact in pairs:
        assert float((part - exact).abs().max()) <= 0.51 * float(exact.abs().max()) / 32767
        assert not torch.equal(part, exact)
    assert float((rounded(x).softmax(-1) - theta(x).softmax(-1)).abs().max()) < 1e-3
    assert torch.equal(quantise(rounded)(x), rounded(x))


def test_a_network_of_zeros_is_kept():
    theta = Network([torch.zeros(2, 2)], [torch.zeros(2)])
    assert torch.equal(quantise(theta).weights[0], torch.zeros(2, 2))


def test_a_page_holds_images_labels_and_alignments(crossed):
    _, _, alignments, x, y = crossed
    data = crossing_data(*crossed, SHAPE)
    grey = unpack(data["images"], np.uint8).reshape(x.shape)
    assert np.allclose(grey / 255, x, atol=1e-6)
    assert data["labels"] == y.tolist() and data["shape"] == list(SHAPE)
    for each, found in zip(data["alignments"], alignments.values(), strict=True):
        assert each["la"] == [order.tolist() for order in found.lists_a]
        assert each["lb"] == [order.tolist() for order in found.lists_b]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"x": lambda x: x - 0.5}, "grey levels of 255 from 0 to 1; found shape .* -0.5 to"),
        ({"x": lambda x: x * 0.999}, "grey levels of 255"),
        ({"image_shape": lambda _: (6, 6)}, r"found shape \(50, 30\) with images of \(6, 6\)"),
        ({"image_shape": lambda _: (2, 5, 3)}, "one channel"),
        ({"alignments": lambda _: {}}, "found 0 of Network"),
    ],
)
def test_what_a_page_cannot_show_is_refused(crossed, change, message):
    names = ("theta_a", "theta_b", "alignments", "x", "y", "image_shape")
    given = dict(zip(names, (*crossed, SHAPE), strict=True))
    for name, how in change.items():
        given[name] = how(given[name])
    with pytest.raises(ValueError, match=message):
        crossing_data(**given)


def test_networks_without_a_hidden_layer_are_refused(crossed, make_network):
    parents = [make_network((30, 4), seed) for seed in (0, 1)]
    with pytest.raises(ValueError, match="with a hidden layer"):
        crossing_data(*parents, *crossed[2:], SHAPE)


def test_a_page_holds_at_most_600_kb(crossed, make_network, make_examples):
    _, _, _, x, y = crossed
    wide = [make_network((30, 2500, 60, 4), seed) for seed in (0, 1)]
    naive = {"naive": align(*wide, x, "naive")}
    with pytest.raises(ValueError, match=r"may hold 600 kB .*; found \d+ kB: take narrower"):
        crossing_data(*wide, naive, x, y, SHAPE)


def test_the_plain_figure_of_a_crossing_tells_the_packages_numbers(crossed, shown):
    theta_a, theta_b, alignments, x, y = crossed
    interactive.crossing(*crossed, SHAPE, "Drawn at random.")
    (page,) = shown
    parents = quantise(theta_a), quantise(theta_b)
    curve = crossover_curve(*parents, x, y, alignment=alignments["sc-cca"], t=0.5)
    assert f"sc-cca {curve.accuracy[0]:.1%}" in page
    assert "n = 50 test images" in page and "Drawn at random." in page
    assert held(page) == crossing_data(*crossed, SHAPE)


# What both share


class _Tags(HTMLParser):
    def __init__(self, page):
        super().__init__()
        self.found = []
        self.feed(page)

    def handle_starttag(self, tag, attributes):
        self.found.append((tag, dict(attributes)))


@pytest.fixture
def pages(records, crossed, shown):
    interactive.explorer(records)
    interactive.crossing(*crossed, SHAPE)
    return shown


def test_each_stands_alone_with_a_plain_figure_inside(pages):
    for page in pages:
        tags = _Tags(page).found
        (alt,) = (a["aria-label"] for _, a in tags if a.get("role") == "img")
        assert len(alt) > 40
        assert page.index("<svg") < page.index("<script") < page.index("<figcaption>")
        assert not [a for _, a in tags if "src" in a or ("href" in a and a["href"][0] != "#")]
        assert "url(http" not in page and "@import" not in page and "fetch(" not in page
        assert len(page) < 150_000  # beside what the crossing's own networks weigh


def test_the_plain_figure_takes_the_colour_of_the_page(pages):
    for page in pages:
        svg = page[page.index("<svg") : page.index("</svg>")]
        assert "currentColor" in svg and "#000000" not in svg and "#ffffff" not in svg


def test_the_book_numbers_each(pages):
    for page, name in zip(pages, ("fig-explorer", "fig-crossing"), strict=True):
        found = numbering._OUTPUT.fullmatch(page.strip())
        assert found["id"] == name and "child" in found["caption"]
        assert "<script" in found["before"] and not found["after"]


def test_the_same_records_give_the_same_page(records):
    assert explorer_html(records) == explorer_html(records)


def test_text_cannot_end_the_script(records):
    page = explorer_html({"</script><b>": records["mnist"]})
    assert "</script><b>" not in page
    assert held(page)["datasets"][0]["label"] == "</script><b>"
