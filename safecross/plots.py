"""Figures and tables of the book: they draw what they are given and compute nothing."""

import base64
import html
import io
from collections.abc import Mapping, Sequence

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import seaborn as sns
from IPython.display import HTML, display
from matplotlib.figure import Figure

__all__ = [
    "colour",
    "correlation_matrices",
    "figure",
    "loss_and_accuracy",
    "show",
    "table",
]

#: A colour for each operator, readable for the colour-blind (seaborn's "colorblind" palette).
_COLOURS = {
    name: sns.color_palette("colorblind")[i]
    for name, i in {
        "naive": 7,
        "bias-sort": 5,
        "sc-cca": 1,
        "sc-pwc": 0,
        "sc-pwc-semi": 2,
        "sc-pwc-semi-b": 8,
        "sc-pwc-greedy": 9,
    }.items()
}

_STYLE = {
    "axes.spines.right": False,
    "axes.spines.top": False,
    "axes.titlesize": "medium",
    "figure.facecolor": "white",
    "font.size": 11,
    "legend.frameon": False,
}


def colour(operator: str):
    """Return the colour of an operator (by its name before any options) in all figures.

    Examples
    --------
    >>> colour("sc-cca:directions=256") == colour("sc-cca")
    True
    """
    palette = sns.color_palette("colorblind")
    return _COLOURS.get(operator.partition(":")[0], palette[4])


def figure(rows: int = 1, columns: int = 1, height: float = 3.6, width: float = 8.0, **options):
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
    with plt.rc_context(_STYLE):
        return plt.subplots(rows, columns, figsize=(width, height), layout="constrained", **options)


def show(fig: Figure, caption: str, alt: str) -> None:
    """Display a figure with its caption and alternative text, and close it.

    Parameters
    ----------
    fig : matplotlib.figure.Figure
        What was drawn.
    caption : str
        States n, seed and what any shading is; plain text.
    alt : str
        What the figure shows, for those who cannot see it.
    """
    buffer = io.BytesIO()
    fig.savefig(buffer, format="png", dpi=150)
    plt.close(fig)
    data = base64.b64encode(buffer.getvalue()).decode()
    display(
        HTML(
            f'<figure class="sc-figure"><img src="data:image/png;base64,{data}" '
            f'alt="{html.escape(alt, quote=True)}">'
            f"<figcaption>{html.escape(caption)}</figcaption></figure>"
        )
    )


def table(frame: pd.DataFrame, caption: str, formats: Mapping[str, str] | None = None) -> None:
    """Display a table without its index, with a caption, scrolling sideways on narrow screens.

    Parameters
    ----------
    frame : pandas.DataFrame
        Columns in the order to show; strings may hold links as HTML.
    caption : str
        What it shows and where the numbers come from.
    formats : mapping of str to str, optional
        Format strings by column, such as ``{"loss": "{:.3f}"}``.
    """
    frame = frame.copy()
    for column, pattern in (formats or {}).items():
        frame[column] = [
            value if isinstance(value, str) else pattern.format(value) for value in frame[column]
        ]
    body = frame.to_html(index=False, escape=False, border=0, na_rep="-")
    display(
        HTML(
            f'<figure class="sc-table"><figcaption>{html.escape(caption)}</figcaption>'
            f'<div style="overflow-x:auto">{body}</div></figure>'
        )
    )


def correlation_matrices(matrices: Sequence[np.ndarray], titles: Sequence[str]) -> Figure:
    """Draw correlation matrices side by side on one colour scale from -1 to 1 (Figure 2).

    Parameters
    ----------
    matrices : sequence of array_like, each (p, q)
        Correlations.
    titles : sequence of str
        One for each.
    """
    columns = min(len(matrices), 2)
    rows = -(-len(matrices) // columns)
    fig, axes = figure(rows, columns, height=3.7 * rows, width=8.0, squeeze=False)
    for ax in axes.flat[len(matrices) :]:
        ax.set_visible(False)
    for ax, matrix, title in zip(axes.flat, matrices, titles, strict=False):
        image = ax.imshow(matrix, vmin=-1, vmax=1, cmap="RdBu_r", interpolation="nearest")
        ax.set_title(title)
        ax.set_xlabel("neuron")
        ax.set_ylabel("neuron")
    fig.colorbar(image, ax=axes, label="correlation", shrink=0.8)
    return fig


def loss_and_accuracy(curves: pd.DataFrame, labels: Mapping[str, str] | None = None) -> Figure:
    """Draw loss and accuracy along t, one line an operator (the style of Figure 3).

    Parameters
    ----------
    curves : pandas.DataFrame
        operator, t, loss, accuracy; with several pairs the line is their mean and the shading
        one standard deviation either side.
    labels : mapping of str to str, optional
        Operators to draw, in order, and what the legend calls them; all by default.
    """
    labels = labels or {name: name for name in curves["operator"].unique()}
    fig, axes = figure(1, 2, height=3.8, width=9.0)
    grouped = curves.groupby(["operator", "t"], observed=True)[["loss", "accuracy"]]
    mean, deviation = grouped.mean(), grouped.std(ddof=0)
    for operator, label in labels.items():
        for ax, column in zip(axes, ("loss", "accuracy"), strict=True):
            middle, spread = mean.loc[operator][column], deviation.loc[operator][column]
            line = ax.plot(middle.index, middle, color=colour(operator), label=label)[0]
            ax.fill_between(
                middle.index,
                middle - spread,
                middle + spread,
                color=line.get_color(),
                alpha=0.2,
                linewidth=0,
            )
    for ax, title in zip(
        axes, ("Loss (nats)", "Accuracy"), strict=True
    ):
        for parent in (0, 1):
            ax.axvline(parent, color="0.8", linewidth=0.8, zorder=0)
        ax.set_xlabel("crossover point t")
        ax.set_title(title)
    fig.legend(*axes[0].get_legend_handles_labels(), loc="outside lower center", ncols=4)
    return fig
