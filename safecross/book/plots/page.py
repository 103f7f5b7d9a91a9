"""Put figures and tables on a page: one style, one way to show, light or dark, wide or narrow."""

import base64
import hashlib
import html
import io
import re
from collections.abc import Mapping

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import seaborn as sns
from IPython.display import HTML, display
from matplotlib.colors import to_hex
from matplotlib.figure import Figure
from matplotlib.transforms import Bbox

__all__ = [
    "GROUND",
    "INK",
    "LABELS",
    "MUTED",
    "colour",
    "figure",
    "palette",
    "show",
    "spelt",
    "svg",
    "table",
]

#: What is drawn in this colour takes the colour of the page's text.
INK = "#012345"

#: Thin lines that do not speak: a grey that is seen on white and on black.
MUTED = "#808080"

#: What is drawn in this colour takes that of the page behind it.
GROUND = "#fedcba"

#: Names of the data sets as prose spells them.
LABELS = {"mnist": "MNIST", "cifar10": "CIFAR-10", "fashion-mnist": "Fashion-MNIST"}

_DATASETS = re.compile(rf"(?<![\w-])(?:{'|'.join(LABELS)})(?![\w-])")

#: Number of each operator in seaborn's palette for the colour-blind.
_NUMBERS = {
    "naive": 7,
    "bias-sort": 5,
    "sc-cca": 1,
    "sc-pwc": 0,
    "sc-pwc-semi": 2,
    "sc-pwc-semi-b": 4,
    "sc-pwc-greedy": 9,
}

_STYLE = {
    "axes.edgecolor": INK,
    "axes.facecolor": "none",
    "axes.labelcolor": INK,
    "axes.spines.right": False,
    "axes.spines.top": False,
    "axes.titlecolor": INK,
    "axes.titlesize": "medium",
    "figure.facecolor": "none",
    "font.size": 12,
    "legend.frameon": False,
    "savefig.facecolor": "none",
    "svg.fonttype": "none",  # text stays text: it can be read, searched and copied
    "svg.hashsalt": "safecross",
    "text.color": INK,
    "xtick.color": INK,
    "ytick.color": INK,
}

#: Width of the book's column in pixels, and the space between panels.
_COLUMN, _GAP = 770, 16

#: To how little of its size a row of panels may shrink for all to stand beside each other.
_LEAST = 0.75

#: To how little a panel may shrink on a narrow page: words of 10 points are 8 pixels high then.
_NARROWEST = 0.601

#: Width of a phone's column in pixels. What scrolls there in any case shrinks no further than this.
_PHONE, _SCROLLED = 358, 0.75

#: Rows from which on a table is folded.
_LONG = 13


def spelt(text: str) -> str:
    """Spell the names of data sets as prose does, for captions, titles and cells.

    Examples
    --------
    >>> spelt("mnist and cifar10, not mnist5k, as in mnist-25a9bf05c6a1")
    'MNIST and CIFAR-10, not mnist5k, as in mnist-25a9bf05c6a1'
    """
    return _DATASETS.sub(lambda found: LABELS[found[0]], text)


def palette(n: int | None = None, start: int = 0) -> list:
    """Return colours that the colour-blind can tell apart, none of them twice.

    Parameters
    ----------
    n : int, optional
        Number of colours; all that there are by default.
    start : int
        How many of the ten to leave out at the beginning.

    Raises
    ------
    ValueError
        If there are not as many.

    Examples
    --------
    >>> len(set(palette(10)))
    10
    """
    colours = sns.color_palette("colorblind")[start:]
    if n is not None and n > len(colours):
        raise ValueError(f"expected at most {len(colours)} colours; found {n}")
    return colours[:n]


def colour(operator: str):
    """Return the colour of an operator in all figures, by its name alone.

    Examples
    --------
    >>> colour("sc-cca:directions=256") == colour("sc-cca") == colour("sc-cca+repair")
    True
    """
    name = operator.partition(":")[0].partition("+")[0]
    return palette()[_NUMBERS.get(name, 6)]


def figure(rows: int = 1, columns: int = 1, height: float = 3.6, width: float = 5.6, **options):
    """Return a figure and its axes in the book's style.

    Parameters
    ----------
    rows, columns : int
        Grid of axes.
    height, width : float
        Of the whole figure, in inches.
    **options
        Passed to `matplotlib.pyplot.subplots`.

    Examples
    --------
    >>> fig, axes = figure(1, 2)
    >>> len(axes)
    2
    >>> plt.close(fig)
    """
    plt.rcParams.update(_STYLE)  # legends and ticks are drawn later, hence no context
    return plt.subplots(rows, columns, figsize=(width, height), layout="constrained", **options)


def show(fig: Figure, caption: str, alt: str, name: str = "") -> None:
    """Display a figure with its caption and alternative text, and close it.

    It is drawn as SVG on a transparent ground, in the colour of the page's text. Panels that stand
    in one row are drawn apart, so that a narrow page can put them below each other, and the
    figure's legend becomes text.

    Parameters
    ----------
    fig : matplotlib.figure.Figure
        What was drawn.
    caption : str
        States n, seed and what any shading is; plain text.
    alt : str
        What the figure shows, for those who cannot see it.
    name : str
        What links to it say after ``fig-``; by default made from the caption.
    """
    for ax in fig.axes:
        ax.set_title(spelt(ax.get_title()))
    drawing = svg(fig, name or _short_hash(caption))
    plt.close(fig)
    label = html.escape(spelt(alt), quote=True)
    display(
        HTML(
            f'<figure class="sc-figure" id="fig-{name or _short_hash(caption)}">'
            f'<div class="sc-scroll"><div class="sc-panels" role="img" '
            f'aria-label="{label}">{drawing[0]}</div></div>{drawing[1]}'
            f"<figcaption>{html.escape(spelt(caption))}</figcaption></figure>"
        )
    )


def svg(fig: Figure, key: str) -> tuple[str, str]:
    """Return a figure's panels as SVG and its legend as an HTML list.

    Parameters
    ----------
    fig : matplotlib.figure.Figure
        Its legend, if it has one, is taken off.
    key : str
        Makes the ids inside of the SVG unlike those of other figures of the page.
    """
    legend = "".join(_legend(found) for found in fig.legends)
    for found in list(fig.legends):
        found.remove()
    fig.canvas.draw()  # lays out what is left
    fig.set_layout_engine("none")
    axes = [ax for ax in fig.axes if ax.get_visible()]
    boxes = _panels(fig, axes)
    room = (_COLUMN - _GAP * (len(boxes) - 1)) / (96 * sum(box.width for box in boxes))
    scale = min(1.0, room) if len(boxes) > 1 and room >= _LEAST else 1.0
    parts = []
    for i, box in enumerate(boxes):
        for k, ax in enumerate(axes):
            ax.set_visible(len(boxes) == 1 or i == k)
        parts.append(_draw(fig, f"{key}-{i}", box, scale))
    return "".join(parts), legend


def _panels(fig: Figure, axes: list) -> list[Bbox]:
    """Return the boxes of what to draw, in inches: the whole figure, or each panel of its row.

    Letters of the page may be wider than those the figure was laid out with, hence some room.
    """
    renderer = fig.canvas.get_renderer()
    grids = [ax.get_subplotspec() for ax in axes]
    one_row = all(spec is not None and spec.get_gridspec().nrows == 1 for spec in grids)
    if len(axes) < 2 or not one_row:
        return [fig.get_tightbbox(renderer).padded(0.14, 0.05)]
    boxes = [ax.get_tightbbox(renderer) for ax in axes]
    low, high = min(box.y0 for box in boxes), max(box.y1 for box in boxes)
    tall = [Bbox.from_extents(box.x0 - 14, low - 4, box.x1 + 6, high + 4) for box in boxes]
    return [box.transformed(fig.dpi_scale_trans.inverted()) for box in tall]


def _draw(fig: Figure, key: str, box: Bbox, scale: float) -> str:
    buffer = io.StringIO()
    about = {"Date": None, "Creator": None, "Format": None, "Type": None}
    fig.savefig(buffer, format="svg", bbox_inches=box, metadata=about)
    text = buffer.getvalue()
    text = re.sub(r"<metadata>.*?</metadata>", "", text[text.index("<svg") :], flags=re.DOTALL)
    points = float(re.search(r'width="([\d.]+)pt"', text)[1])
    text = re.sub(r' (width|height)="[\d.]+pt"', "", text, count=2)
    pixels = points * 4 / 3
    # On a narrow page it shrinks, but never so far that its words cannot be read: then it scrolls.
    least = _NARROWEST * pixels
    if least > _PHONE:
        least = max(least, min(_SCROLLED * pixels, _COLUMN))
    size = f"width:{scale * pixels:.1f}px;min-width:{least:.1f}px"
    text = text.replace("<svg", f'<svg style="{size}" aria-hidden="true" focusable="false"', 1)
    text = text.replace(INK, "currentColor")
    text = text.replace(GROUND, "var(--pst-color-background, #fff)")
    return _own_ids(text, key).strip()


def _own_ids(text: str, key: str) -> str:
    """Drop the ids that nothing refers to; make the others this figure's own."""
    used = set(re.findall(r'(?:url\(#|href="#)([^)"]+)', text))
    text = re.sub(r' id="([^"]+)"', lambda m: f' id="{key}-{m[1]}"' if m[1] in used else "", text)
    return re.sub(r'(url\(#|href="#)([^)"]+)', rf"\g<1>{key}-\g<2>", text)


def _legend(legend) -> str:
    """Return a legend as a list whose entries are a stroke and its words."""
    entries = []
    for handle, label in zip(legend.legend_handles, legend.get_texts(), strict=True):
        shade = handle.get_color() if hasattr(handle, "get_color") else handle.get_facecolor()
        shade = to_hex(np.atleast_2d(shade)[0] if not isinstance(shade, str) else shade)
        style = getattr(handle, "get_linestyle", lambda: "-")()
        dashes = {"--": "6 4", ":": "2 3", "-.": "7 3 2 3"}.get(style, "none")
        ink = "currentColor" if shade == INK else shade
        entries.append(
            '<li><svg viewBox="0 0 28 8" width="28" height="8" aria-hidden="true" '
            f'focusable="false"><line x1="0" y1="4" x2="28" y2="4" stroke="{ink}" '
            f'stroke-width="3" stroke-dasharray="{dashes}"/></svg> '
            f"{html.escape(label.get_text())}</li>"
        )
    return f'<ul class="sc-legend">{"".join(entries)}</ul>'


def table(
    frame: pd.DataFrame,
    caption: str,
    formats: Mapping[str, str] | None = None,
    name: str = "",
    fold: bool | None = None,
) -> None:
    """Display a table with a caption; the first column heads its rows.

    Columns of numbers are aligned right and never broken. A long table is folded. Every table can
    be taken along as a CSV file.

    Parameters
    ----------
    frame : pandas.DataFrame
        Columns in the order to show; strings may hold HTML.
    caption : str
        What it shows and where the numbers come from.
    formats : mapping of str to str, optional
        Format strings by column, such as ``{"loss": "{:.3f}"}``.
    name : str
        What links to it say after ``tab-``; by default made from the caption.
    fold : bool, optional
        Whether to show only the caption until it is opened; by default, if it has many rows.
    """
    name = name or _short_hash(caption)
    shown = _formatted(frame, formats or {})
    fold = len(shown) >= _LONG if fold is None else fold
    words = html.escape(spelt(caption))
    body = f'<div class="sc-scroll">{_table_html(shown, name)}</div>{_download(shown, name)}'
    if fold:
        body = f"<details><summary>Show the table, {len(shown)} rows</summary>{body}</details>"
    display(
        HTML(
            f'<figure class="sc-table" id="tab-{name}"><figcaption>{words}</figcaption>'
            f"{body}</figure>"
        )
    )


def _formatted(frame: pd.DataFrame, formats: Mapping[str, str]) -> pd.DataFrame:
    frame = frame.copy()
    for column in frame:
        pattern = formats.get(column, "{}")
        frame[column] = [
            spelt(value)
            if isinstance(value, str)
            else "-"
            if pd.isna(value)
            else pattern.format(value)
            for value in frame[column]
        ]
    return frame


#: Numbers, intervals, shares, counts such as 3 / 20, p-values: what is aligned right.
_NUMBER = re.compile(r"[-+\d.,eE%/\[\]; ]+(?:[kMGT]?B)?|-|")

#: Letters from which on a cell of words keeps some width.
_WORDY = 24

#: Letters up to which the head of a column of numbers stays in one line.
_HEAD = 14


def _table_html(frame: pd.DataFrame, name: str) -> str:
    first, *others = frame.columns
    numeric = [c for c in others if all(_NUMBER.fullmatch(_words(v)) for v in frame[c])]
    frame = frame.assign(**{c: frame[c].map(_kept) for c in frame if c not in numeric})
    rows = frame.set_index(first)
    rows.index.name = None
    # Rows with the same head, as in long tables, are told apart by their place.
    rows = rows.set_axis(pd.RangeIndex(len(rows)))
    classes = pd.DataFrame("", rows.index, rows.columns)
    classes[numeric] = "sc-number"
    for column in rows.columns.difference(numeric):
        if any(len(_words(value)) >= _WORDY for value in frame[column]):
            classes[column] = "sc-words"
    style = rows.style.set_td_classes(classes).format_index(lambda i: frame[first].iloc[i])
    wordy = any(len(_words(head)) >= _WORDY for head in frame[first])
    style = style.set_table_attributes(f'class="sc-rows{" sc-long" * wordy}"').set_uuid(name)
    text = style.to_html(cell_ids=False)
    text = re.sub(r"<style.*?</style>", "", text, flags=re.DOTALL)
    text = re.sub(r' id="T_[^"]*"', "", text)
    text = re.sub(r'<th class="blank level0" >.*?</th>', f'<th scope="col">{first}</th>', text)
    for i, column in enumerate(others):
        kind = ' class="sc-number"' if column in numeric else ""
        if kind and len(column) > _HEAD:
            kind = ' class="sc-number sc-wrap"'
        text = re.sub(rf'<th class="col_heading level0 col{i}" >', f'<th scope="col"{kind}>', text)
    text = re.sub(r'<th class="row_heading[^"]*" >', '<th scope="row">', text)
    return re.sub(r'<td class="data row\d+ col\d+ ?([\w-]*)" >', _cell, text).strip()


def _cell(found: re.Match) -> str:
    return f'<td class="{found[1]}">' if found[1] else "<td>"


#: What is not to be broken in a line of words: an interval, a small number, an operator's name.
_WHOLE = re.compile(
    r"\[[-+\d.]+, [-+\d.]+\]|\b\d+e-\d+|\b(?:sc|bias)-[\w-]+(?:[:,][\w=.-]+)*|"
    r"\b(?:SC-CCA|SC-PwC|CIFAR-10|Fashion-MNIST)\b"
)


def _kept(text: str) -> str:
    """Keep in one piece what a line must not break, in words that are not HTML."""
    if "<" in text:
        return text
    return _WHOLE.sub(lambda m: _pieces(m[0]), text)


def _pieces(text: str) -> str:
    """Let an operator's name break before an option, and nowhere else."""
    parts = [text] if text.startswith("[") else re.split(r"(?<=[:,])", text)
    return "<wbr>".join(f'<span class="sc-keep">{part}</span>' for part in parts)


def _words(value: str) -> str:
    """Return a cell's text without its HTML."""
    return html.unescape(re.sub(r"<[^>]+>", " ", value)).strip()


def _download(frame: pd.DataFrame, name: str) -> str:
    text = frame.map(_words).to_csv(index=False)
    data = base64.b64encode(text.encode()).decode()
    return (
        f'<a class="sc-download" download="{name}.csv" href="data:text/csv;base64,{data}">'
        "Download as CSV</a>"
    )


def _short_hash(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()[:8]
