"""Figures that the reader moves: the published curves, and a crossover that runs in the page.

Each is one piece of HTML that holds all it needs: its data, its program from ``static/`` and a
plain picture, which stays where scripts are off. So it works in the book, opened as a file, and in
Jupyter, and asks nothing of any other host.
"""

import base64
import html
import json
import zlib
from collections.abc import Mapping
from importlib import resources
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
import torch
from IPython.display import HTML, display
from matplotlib.colors import to_hex
from matplotlib.figure import Figure

from ..alignment.alignment import Alignment
from ..crossover.curve import GRID, crossover_curve
from ..networks.metrics import evaluate
from ..networks.network import Network, check_same_architecture
from ..runs import Record
from .plots.page import (
    INK,
    colour,
    figure,
    svg,
)

__all__ = [
    "crossing",
    "crossing_data",
    "explorer",
    "explorer_data",
    "explorer_html",
    "quantise",
    "write_explorer",
]

#: The largest crossing that is put into a page, in bytes.
LIMIT = 600_000

#: The middle share of the pairs that the explorer shades.
_MIDDLE = 0.9

_LEVELS = 2**15 - 1  # of a weight, either side of 0

#: Label and a few words for each operator, by its name before any options.
_WORDS = {
    "naive": ("naive", "as they come"),
    "sc-cca": ("SC-CCA", "by canonical correlation"),
    "sc-pwc": ("SC-PwC", "by pairwise correlation"),
    "sc-pwc-greedy": ("greedy", "best pairs first"),
    "sc-pwc-semi": ("semi, a chooses", "partners may repeat"),
    "sc-pwc-semi-b": ("semi, b chooses", "partners may repeat"),
    "bias-sort": ("bias-sort", "sorted by bias"),
}

_DATASETS = {
    "mnist": "MNIST",
    "mnist5k": "MNIST, 5,000 images",
    "fashion-mnist": "Fashion-MNIST",
    "cifar10": "CIFAR-10",
    "cifar100": "CIFAR-100",
}


def explorer_data(records: Mapping[str, Record]) -> dict:
    r"""Return the curves of some records as the explorer takes them.

    Parameters
    ----------
    records : mapping of str to Record
        By data set; all on one grid of t.

    Returns
    -------
    dict
        ``t``; ``operators`` (name, label, note, colour); ``datasets``, each with its ``curves``:
        for an operator and for loss and accuracy the mean over pairs and the quantiles .05 and .95
        at each t, to five significant digits. About 10 kB a data set as JSON.

    Raises
    ------
    ValueError
        If there is no record, the grids of t differ, or a record has two forms of one operator.
    """
    grids = {record.config.t for record in records.values()}
    if len(grids) != 1:
        raise ValueError(f"expected records on one grid of t; found {len(grids)} grids")
    forms = {name: _forms(record) for name, record in records.items()}
    found = dict.fromkeys(base for of_record in forms.values() for base in of_record)
    names = [*(base for base in _WORDS if base in found), *(b for b in found if b not in _WORDS)]
    return {
        "t": list(grids.pop()),
        "operators": [{"name": base, **_describe(base)} for base in names],
        "datasets": [
            {
                "label": _DATASETS.get(name, name),
                "pairs": record.config.n_pairs,
                "parents": _parents(record),
                "forms": {base: _options(op) for base, op in forms[name].items()},
                "curves": {base: _curves(record, op) for base, op in forms[name].items()},
            }
            for name, record in records.items()
        ],
    }


def explorer_html(records: Mapping[str, Record], name: str = "explorer") -> str:
    """Return the explorer of some records' curves as HTML.

    Parameters
    ----------
    records : mapping of str to Record
        By data set; all on one grid of t.
    name : str
        What links to it say after ``fig-``.

    Raises
    ------
    ValueError
        As `explorer_data`.
    """
    data = explorer_data(records)
    labels = " and ".join(each["label"] for each in data["datasets"])
    caption = (
        "Loss and accuracy of the child between two parents: mean over pairs, shading the middle "
        f"{_MIDDLE:.0%} of the pairs. "
        + " ".join(f"{_DATASETS.get(name, name)}: {_about(r)}." for name, r in records.items())
    )
    alt = f"Loss and accuracy along t on {labels}, a line each for naive, SC-CCA and SC-PwC."
    return _page_part("explorer", name, data, _draw_explorer(data), caption, alt)


def explorer(records: Mapping[str, Record], name: str = "explorer") -> None:
    """Display the explorer of some records' curves.

    Parameters
    ----------
    records : mapping of str to Record
        By data set; all on one grid of t.
    name : str
        What links to it say after ``fig-``.

    Raises
    ------
    ValueError
        As `explorer_data`.
    """
    display(HTML(explorer_html(records, name)))


def write_explorer(
    path: Path, records: Mapping[str, Record], name: str = "explorer-landing"
) -> None:
    """Write the explorer to a file that a page which is not executed includes.

    Parameters
    ----------
    path : Path
        File to write; an existing one is replaced.
    records : mapping of str to Record
        By data set; all on one grid of t.
    name : str
        What links to it say after ``fig-``.

    Raises
    ------
    ValueError
        As `explorer_data`.
    """
    Path(path).write_text(explorer_html(records, name), encoding="utf-8")


def quantise(theta: Network) -> Network:
    r"""Return the network with each weight rounded to one of 65,535 steps, as a page holds it.

    .. math:: \hat w = s\, \mathrm{round}(w / s), \qquad s = \max |w| / 32767

    with one step s for each matrix and each vector of biases.

    Parameters
    ----------
    theta : Network
        One network.

    Returns
    -------
    Network
        In float32.

    Examples
    --------
    >>> theta = Network([torch.tensor([[1.0, 1e-6]])], [torch.zeros(2)])
    >>> quantise(theta).weights
    (tensor([[1., 0.]]),)
    """
    steps = {id(part): _steps(part) for part in (*theta.weights, *theta.biases)}

    def rounded(part):
        whole, scale = steps[id(part)]
        return torch.from_numpy(whole.astype(np.float32) * scale)

    return Network([rounded(w) for w in theta.weights], [rounded(b) for b in theta.biases])


def crossing_data(
    theta_a: Network,
    theta_b: Network,
    alignments: Mapping[str, Alignment],
    x,
    y,
    image_shape: tuple[int, int],
) -> dict:
    """Return two networks, their alignments and test images as the page takes them.

    Parameters
    ----------
    theta_a, theta_b : Network
        Parents of one architecture, with a hidden layer at least.
    alignments : mapping of str to Alignment
        By operator, in the order in which they are offered.
    x : array_like, shape (n, m)
        Test images, whole grey levels divided by 255.
    y : array_like of int, shape (n,)
        Their labels.
    image_shape : tuple of int
        Height and width; their product is m.

    Returns
    -------
    dict
        Ready for JSON. Weights are those of `quantise`, as 16-bit steps; weights and images are
        compressed by zlib and written in base64.

    Raises
    ------
    ValueError
        If the architectures differ, there is no alignment or hidden layer, the images are not grey
        levels of that shape, or the whole exceeds `LIMIT`.
    """
    check_same_architecture(theta_a, theta_b)
    if not alignments or not theta_a.depth:
        raise ValueError(
            "expected an alignment at least, of networks with a hidden layer; found "
            f"{len(alignments)} of {theta_a!r}"
        )
    grey = _grey_levels(x, image_shape)
    parts = [
        [(_steps(w), _steps(b)) for w, b in zip(theta.weights, theta.biases, strict=True)]
        for theta in (theta_a, theta_b)
    ]
    whole = [steps.ravel() for layers in parts for layer in layers for steps, _ in layer]
    data = {
        "t": list(GRID),
        "widths": list(theta_a.widths),
        "scales": [[[float(s) for _, s in layer] for layer in layers] for layers in parts],
        "weights": _pack(np.concatenate(whole).astype("<i2")),
        "alignments": [
            {
                **_describe(name),
                "la": [order.tolist() for order in found.lists_a],
                "lb": [order.tolist() for order in found.lists_b],
            }
            for name, found in alignments.items()
        ],
        "images": _pack(grey),
        "labels": torch.as_tensor(y).tolist(),
        "shape": list(image_shape),
    }
    if (size := len(json.dumps(data))) > LIMIT:
        raise ValueError(
            f"a page may hold {LIMIT // 1000} kB of networks and images; found {size // 1000} kB: "
            "take narrower networks or fewer images"
        )
    return data


def crossing(
    theta_a: Network,
    theta_b: Network,
    alignments: Mapping[str, Alignment],
    x,
    y,
    image_shape: tuple[int, int],
    about: str = "",
    name: str = "crossing",
) -> None:
    """Display two networks that the reader crosses over: draw a digit, slide, choose an alignment.

    Parameters
    ----------
    theta_a, theta_b, alignments, x, y, image_shape
        As for `crossing_data`.
    about : str
        Where networks and images come from, for the caption.
    name : str
        What links to it say after ``fig-``.

    Raises
    ------
    ValueError
        As `crossing_data`.
    """
    data = crossing_data(theta_a, theta_b, alignments, x, y, image_shape)
    parents = [quantise(theta) for theta in (theta_a, theta_b)]
    shares = [float(evaluate(theta, x, y)[1]) for theta in parents]
    curves = {op: crossover_curve(*parents, x, y, alignment=al) for op, al in alignments.items()}
    caption = (
        f"Two trained networks ({'-'.join(map(str, theta_a.widths))}) and their child. On "
        f"n = {len(data['labels'])} test images parent a is right on {shares[0]:.1%}, parent b on "
        f"{shares[1]:.1%}. The dashed line is their mean. {about}".strip()
    )
    middle = GRID.index(0.5)
    found = "; ".join(f"{op} {curve.accuracy[middle]:.1%}" for op, curve in curves.items())
    alt = f"Accuracy of the child along t, a line for each operator. Halfway: {found}."
    fig = _draw_crossing(curves, np.mean(shares))
    display(HTML(_page_part("crossing", name, data, fig, caption, alt)))


def _forms(record: Record) -> dict[str, str]:
    """Return the record's operators by their names before any options."""
    forms = {op.partition(":")[0]: op for op in record.config.operators}
    if len(forms) < len(record.config.operators):
        raise ValueError(
            "the explorer shows one form of each operator; found "
            f"{', '.join(record.config.operators)}"
        )
    return forms


def _options(operator: str) -> str:
    """Return ``"256 directions"`` for ``"sc-cca:directions=256"``."""
    options = (option.partition("=") for option in operator.partition(":")[2].split(",") if option)
    return ", ".join(f"{value} {name}" for name, _, value in options)


def _describe(operator: str) -> dict[str, str]:
    base = operator.partition(":")[0]
    label, note = _WORDS.get(base, (base, ""))
    return {"label": label, "note": note, "colour": to_hex(colour(operator))}


def _about(record: Record) -> str:
    config = record.config
    layers = "hidden layer" if len(config.hidden) == 1 else "hidden layers"
    widths = ", ".join(map(str, config.hidden))
    return f"{config.n_pairs} pairs of networks ({layers} of {widths} neurons, seed {config.seed})"


def _parents(record: Record) -> dict[str, float]:
    sides = {c: record.pairs[[f"{c}_a", f"{c}_b"]].to_numpy() for c in ("loss", "accuracy")}
    return {column: _short(values.mean()) for column, values in sides.items()}


def _curves(record: Record, operator: str) -> dict[str, list[list[float]]]:
    """Return mean, low and high along t, of loss and of accuracy."""
    rows = record.curves[record.curves["operator"] == operator]
    ends = ((1 - _MIDDLE) / 2, (1 + _MIDDLE) / 2)
    found = {}
    for column in ("loss", "accuracy"):
        values = rows.pivot(index="pair", columns="t", values=column).astype(float)
        values = values[list(record.config.t)]
        lines = [values.mean(), *(values.quantile(end) for end in ends)]
        found[column] = [[_short(value) for value in line] for line in lines]
    return found


def _short(value: float) -> float:
    return float(f"{value:.5g}")


def _steps(part: torch.Tensor) -> tuple[np.ndarray, np.float32]:
    """Return a tensor as whole steps and the size of a step."""
    values = part.detach().cpu().numpy().astype(np.float32)
    scale = np.float32(np.abs(values).max() / _LEVELS) or np.float32(1)
    return np.rint(values / scale), scale


def _pack(values: np.ndarray) -> str:
    return base64.b64encode(zlib.compress(values.tobytes(), 9)).decode()


def _grey_levels(x, image_shape: tuple[int, int]) -> np.ndarray:
    x = torch.as_tensor(x).cpu().numpy().astype(np.float64)
    levels = np.rint(255 * x)
    fits = len(image_shape) == 2 and x.ndim == 2 and x.shape[1] == np.prod(image_shape)
    if not fits or np.abs(255 * x - levels).max() > 1e-3 or not 0 <= levels.min() <= 255:
        raise ValueError(
            "expected images of one channel, a row each, in grey levels of 255 from 0 to 1; found "
            f"shape {x.shape} with images of {tuple(image_shape)}, from {x.min():g} to {x.max():g}"
        )
    return levels.astype(np.uint8)


def _draw_explorer(data: dict) -> Figure:
    sets = data["datasets"]
    fig, axes = figure(len(sets), 2, height=2.7 * len(sets) + 0.4, width=9.0, squeeze=False)
    chosen = [op for op in data["operators"] if op["name"] in ("naive", "sc-cca", "sc-pwc")]
    for line, each in zip(axes, sets, strict=True):
        for ax, column in zip(line, ("loss", "accuracy"), strict=True):
            for operator in (op for op in chosen if op["name"] in each["curves"]):
                middle, low, high = each["curves"][operator["name"]][column]
                shade = operator["colour"]
                ax.plot(data["t"], middle, color=shade, linewidth=2, label=operator["label"])
                ax.fill_between(data["t"], low, high, color=shade, alpha=0.2, linewidth=0)
            ax.set(title=f"{each['label']}: {column}", xlabel="crossover point t")
    fig.legend(*axes[0, 0].get_legend_handles_labels(), loc="outside lower center", ncols=3)
    return fig


def _draw_crossing(curves: Mapping, parents: float) -> Figure:
    fig, ax = figure(height=3.4, width=8.0)
    for operator, curve in curves.items():
        label = _describe(operator)["label"]
        ax.plot(curve.t, curve.accuracy, color=colour(operator), linewidth=2, label=label)
    ax.axhline(parents, color=INK, linestyle="--", linewidth=1)
    ax.set(xlabel="crossover point t", ylabel="accuracy of the child")
    fig.legend(loc="outside lower center", ncols=4)
    return fig


def _page_part(kind: str, name: str, data: dict, fig: Figure, caption: str, alt: str) -> str:
    """Return a figure of the form that the book numbers: see `safecross.book.numbering`."""
    static = resources.files("safecross.book") / "static"
    style, shared, program = (
        (static / name).read_text(encoding="utf-8")
        for name in ("touch.css", "touch.js", f"{kind}.js")
    )
    content = json.dumps(data, separators=(",", ":")).replace("<", "\\u003c")
    drawing, legend = svg(fig, name)
    plt.close(fig)
    words = html.escape(alt, quote=True)
    return (
        f'<figure class="sc-figure" id="fig-{name}"><div class="sc-touch sc-{kind}">\n'
        f'<style>\n{style}</style>\n<div class="sc-plain"><div class="sc-panels" role="img" '
        f'tabindex="0" aria-label="{words}">{drawing}</div>{legend}</div>\n'
        f'<script type="application/json">{content}</script>\n'
        f"<script>\n(() => {{\n{shared}{program}}})();\n</script>\n</div>\n"
        f"<figcaption>{html.escape(caption)}</figcaption></figure>\n"
    )
