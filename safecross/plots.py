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
    "activation_map",
    "bipartite",
    "colour",
    "correlation_matrices",
    "example_images",
    "figure",
    "fitted_and_new",
    "growth",
    "heat_table",
    "histograms",
    "lines",
    "loss_and_accuracy",
    "loss_over_option",
    "main_result",
    "matrices",
    "network_diagrams",
    "scatters",
    "show",
    "table",
    "weight_images",
]

#: A colour for each operator, readable for the colour-blind (seaborn's "colorblind" palette).
_COLOURS = {
    name: sns.color_palette("colorblind")[i % 10]
    for name, i in {
        "naive": 7,
        "bias-sort": 5,
        "sc-cca": 1,
        "sc-pwc": 0,
        "sc-pwc-semi": 2,
        "sc-pwc-semi-b": 4,
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
    return _COLOURS.get(operator.partition(":")[0], palette[6])


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
    plt.rcParams.update(_STYLE)  # legends and ticks are drawn later, hence no context
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
    fig.savefig(buffer, format="png", dpi=130)
    plt.close(fig)
    data = base64.b64encode(buffer.getvalue()).decode()
    display(
        HTML(
            f'<figure class="sc-figure"><img style="width:{82 * fig.get_figwidth():.0f}px" '
            f'src="data:image/png;base64,{data}" '
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
            value if isinstance(value, str) else "-" if pd.isna(value) else pattern.format(value)
            for value in frame[column]
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


def loss_and_accuracy(
    curves: pd.DataFrame, labels: Mapping[str, str] | None = None, robust: bool = False
) -> Figure:
    """Draw loss and accuracy along t, one line an operator (the style of Figure 3).

    Parameters
    ----------
    curves : pandas.DataFrame
        operator, t, loss, accuracy; with several pairs the line is their mean and the shading
        one standard deviation either side.
    labels : mapping of str to str, optional
        Operators to draw, in order, and what the legend calls them; all by default.
    robust : bool
        Draw losses on a logarithmic scale, for curves that explode at one end.
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
    for ax, title in zip(axes, ("Loss (nats)", "Accuracy"), strict=True):
        for parent in (0, 1):
            ax.axvline(parent, color="0.8", linewidth=0.8, zorder=0)
        ax.set_xlabel("crossover point t")
        ax.set_title(title)
    if robust:
        axes[0].set_yscale("log")
    fig.legend(*axes[0].get_legend_handles_labels(), loc="outside lower center", ncols=4)
    return fig


def matrices(
    values: Sequence[np.ndarray],
    titles: Sequence[str],
    rows: Sequence[Sequence[str]] | None = None,
    columns: Sequence[Sequence[str]] | None = None,
    per_row: int = 3,
    pattern: str = "{:g}",
) -> Figure:
    """Draw small matrices with the value written in each cell.

    Parameters
    ----------
    values : sequence of array_like, each (p, q), or (q,) for a single row
        What stands in the cells; one colour scale, symmetric about 0, serves all.
    titles : sequence of str
        One for each matrix.
    rows, columns : sequence of sequences of str, optional
        Labels of the rows and columns of each matrix.
    per_row : int
        Matrices beside each other.
    pattern : str
        Format of a value.
    """
    values = [np.atleast_2d(np.asarray(v, dtype=float)) for v in values]
    deep = [values[i : i + per_row] for i in range(0, len(values), per_row)]
    heights = [max(len(v) for v in line) for line in deep]
    wide = [max(v.shape[1] for v in values[i::per_row]) for i in range(per_row)]
    room = [max(0.62 * w + 0.9, 0.1 * max(map(len, titles)) + 0.5) for w in wide]  # inches
    fig, axes = figure(
        len(deep),
        per_row,
        height=sum(0.64 * h + 0.85 for h in heights),
        width=min(9.0, sum(room)),
        squeeze=False,
        height_ratios=heights,
        width_ratios=wide,
    )
    fig.get_layout_engine().set(h_pad=0.12)
    limit = max(abs(v).max() for v in values) * 1.6  # pale enough to read black text on
    for ax in axes.flat[len(values) :]:
        ax.set_visible(False)
    for k, (ax, value, title) in enumerate(zip(axes.flat, values, titles, strict=False)):
        ax.imshow(value, vmin=-limit, vmax=limit, cmap="RdBu_r")
        for (i, j), v in np.ndenumerate(value):
            ax.text(j, i, pattern.format(round(v, 9) + 0.0), ha="center", va="center")
        ax.set_title(title)
        ax.set_xticks(range(value.shape[1]), columns[k] if columns else [])
        ax.set_yticks(range(len(value)), rows[k] if rows else [])
        ax.tick_params(length=0)
        ax.spines[:].set_visible(False)
    return fig


def bipartite(
    matchings: Sequence,
    titles: Sequence[str],
    sizes: tuple[int, int],
    labels: tuple[Sequence[str], Sequence[str]] | None = None,
) -> Figure:
    """Draw matchings as lines between the neurons of a (left) and of b (right).

    Parameters
    ----------
    matchings : sequence of (la, lb)
        Lists of indices from 0, as in `Matching`; a neuron in no pair is drawn hollow.
    titles : sequence of str
        One for each matching.
    sizes : tuple of int
        Numbers of neurons of a and b.
    labels : tuple of two sequences of str, optional
        What stands in the circles; the neurons' numbers, from 1, by default.
    """
    labels = labels or tuple([str(i + 1) for i in range(size)] for size in sizes)
    fig, axes = figure(
        1,
        len(matchings),
        height=0.62 * max(sizes) + 0.8,
        width=min(9.0, 1.8 * len(matchings) + 0.3),
        squeeze=False,
    )
    blue = colour("sc-pwc")
    for ax, matching, title in zip(axes.flat, matchings, titles, strict=True):
        for i, j in zip(*matching, strict=True):
            ax.plot([0, 1], [-i, -j], color=blue, linewidth=2.5, zorder=1)
        for side, used in enumerate(matching):
            for i, label in enumerate(labels[side]):
                lost = i not in set(map(int, used))
                style = {"facecolor": "white", "edgecolor": "0.6" if lost else blue}
                ax.scatter(side, -i, s=430, linewidth=2, linestyle=":" if lost else "-", **style)
                shade = "0.5" if lost else "black"
                ax.text(side, -i, label, ha="center", va="center_baseline", color=shade)
        ax.text(0, 0.62, "a", ha="center", style="italic")
        ax.text(1, 0.62, "b", ha="center", style="italic")
        ax.set_title(title)
        ax.set(xlim=(-0.4, 1.4), ylim=(0.55 - max(sizes), 1.0))
        ax.axis("off")
    return fig


def weight_images(images: np.ndarray, rows: Sequence[str], titles: Sequence[str]) -> Figure:
    """Draw a grid of weight vectors as images, red above 0 and blue below.

    Parameters
    ----------
    images : array_like, shape (r, c, h, w)
        Weights of neurons; each image has its own scale, symmetric about 0.
    rows : sequence of str
        Labels of the r rows.
    titles : sequence of str
        Titles of the c columns.
    """
    images = np.asarray(images)
    r, c = images.shape[:2]
    fig, axes = figure(r, c, height=1.12 * r + 0.35, width=1.08 * c + 0.9, squeeze=False)
    for (i, j), ax in np.ndenumerate(axes):
        limit = max(abs(images[i, j]).max(), 1e-12)
        ax.imshow(images[i, j], vmin=-limit, vmax=limit, cmap="RdBu_r", interpolation="nearest")
        ax.set_xticks([])
        ax.set_yticks([])
        ax.spines[:].set_visible(False)
    for ax, title in zip(axes[0], titles, strict=True):
        ax.set_title(title, fontsize="small")
    for ax, label in zip(axes[:, 0], rows, strict=True):
        ax.set_ylabel(label, rotation=0, ha="right", va="center")
    return fig


def lines(
    curves: Mapping[str, tuple[Sequence[float], Sequence[float]]],
    xlabel: str,
    ylabel: str,
    operators: Mapping[str, str] | None = None,
    dashed: Sequence[str] = (),
    levels: Mapping[str, float] | None = None,
) -> Figure:
    """Draw named curves in one pair of axes.

    Parameters
    ----------
    curves : mapping of str to (x, y)
        Each with its name in the legend.
    xlabel, ylabel : str
        Of the axes, with units.
    operators : mapping of str to str, optional
        The operator of a curve, for its colour; a second one of that operator is dashed.
    dashed : sequence of str
        Curves to draw dashed, so that one below them stays visible.
    levels : mapping of str to float, optional
        Heights of thin grey lines by name, up to three.
    """
    fig, ax = figure(1, 1, height=3.4 + 0.1 * len(curves), width=8.0)
    operators = operators or {}
    others = sns.color_palette("colorblind")[3:7]
    seen: list[str] = []
    for i, (name, (x, y)) in enumerate(curves.items()):
        base = operators.get(name, name).partition(":")[0]
        shade = colour(base) if name in operators else others[i % len(others)]
        style = "--" if name in dashed else ("-", "--", ":", "-.")[seen.count(base) % 4]
        ax.plot(x, y, label=name, color=shade, linestyle=style, linewidth=2)
        seen.append(base)
    _draw_levels(ax, levels or {})
    ax.set_xlabel(xlabel)
    ax.set_ylabel(ylabel)
    columns = 3 if max(map(len, curves)) < 25 else 2
    fig.legend(loc="outside lower center", ncols=columns, frameon=False)
    return fig


def _draw_levels(ax, levels: Mapping[str, float]) -> None:
    for style, (name, level) in zip(("--", ":", "-."), levels.items(), strict=False):
        ax.axhline(level, linestyle=style, color="0.35", linewidth=1, label=name)


def example_images(
    images: np.ndarray, rows: Sequence[str], titles: Sequence[str] | None = None
) -> Figure:
    """Draw a grid of images of a data set, white on black where they have one channel.

    Parameters
    ----------
    images : array_like, shape (r, c, h, w) or (r, c, h, w, 3)
        Pixels in [0, 1].
    rows : sequence of str
        Labels of the r rows.
    titles : sequence of str, optional
        Titles of the c columns.
    """
    images = np.asarray(images)
    r, c = images.shape[:2]
    size = dict(height=0.78 * r + (0.35 if titles else 0.1), width=min(9.0, 0.74 * c + 1.3))
    fig, axes = figure(r, c, squeeze=False, **size)
    for (i, j), ax in np.ndenumerate(axes):
        ax.imshow(images[i, j], vmin=0, vmax=1, cmap="gray", interpolation="nearest")
        ax.set_xticks([])
        ax.set_yticks([])
    for ax, title in zip(axes[0], titles or [], strict=False):
        ax.set_title(title, fontsize="small")
    for ax, label in zip(axes[:, 0], rows, strict=True):
        ax.set_ylabel(label, rotation=0, ha="right", va="center")
    return fig


def activation_map(
    layer: np.ndarray, row_groups: Mapping[str, int], column_groups: Mapping[str, int]
) -> Figure:
    """Draw a matrix of activations, dark where a neuron responds, with its groups marked.

    Parameters
    ----------
    layer : array_like, shape (n, p)
        Activations in [0, 1], one example a row.
    row_groups, column_groups : mapping of str to int
        Sizes of the consecutive groups of examples and of neurons, by the name at the axis.
    """
    fig, ax = figure(1, 1, height=5.2, width=8.0)
    layer = np.asarray(layer)
    image = ax.imshow(
        layer, aspect="auto", cmap="magma_r", vmin=0, vmax=1, interpolation="antialiased"
    )
    for groups, ticks, rule in (
        (row_groups, ax.set_yticks, ax.axhline),
        (column_groups, ax.set_xticks, ax.axvline),
    ):
        ends = np.cumsum(list(groups.values()))
        for end in ends[:-1]:
            rule(end - 0.5, color="0.4", linewidth=0.6)
        # A group without members has no place at the axis.
        filled = [(e - n / 2 - 0.5, k) for e, (k, n) in zip(ends, groups.items(), strict=True) if n]
        ticks([place for place, _ in filled], [name for _, name in filled])
    ax.tick_params(length=0)
    ax.set_xlabel("neurons, by the class that excites them most")
    ax.set_ylabel("examples, by class")
    fig.colorbar(image, ax=ax, label="activation / neuron's largest")
    return fig


def histograms(
    panels: Mapping[str, Mapping[str, Sequence[float]]],
    ylabel: str = "neurons",
    bins: int | Sequence[float] = 40,
    threshold: float | None = None,
) -> Figure:
    """Draw histograms as outlines, several in one pair of axes where they are to be compared.

    Parameters
    ----------
    panels : mapping of str to mapping of str to values
        For each pair of axes its x label, and in it the named samples.
    ylabel : str
        What is counted.
    bins : int or sequence of float
        Number of bins, or their edges.
    threshold : float, optional
        Where to draw a vertical line.
    """
    fig, axes = figure(1, len(panels), height=3.4, width=8.0, squeeze=False)
    palette = sns.color_palette("colorblind")
    for ax, (xlabel, samples) in zip(axes.flat, panels.items(), strict=True):
        everything = np.concatenate([np.asarray(v) for v in samples.values()])
        edges = np.histogram_bin_edges(everything, bins=bins)
        for shade, (name, values) in zip(palette, samples.items(), strict=False):
            style = {"histtype": "stepfilled", "alpha": 0.25, "color": shade}
            ax.hist(values, bins=edges, linewidth=0, **style)
            ax.hist(values, bins=edges, histtype="step", color=shade, label=name, linewidth=1.6)
        if threshold is not None:
            ax.axvline(threshold, color="0.3", linestyle="--", linewidth=1)
        ax.set_xlabel(xlabel)
        if len(samples) > 1:
            ax.legend(fontsize="small", frameon=False)
    axes[0, 0].set_ylabel(ylabel)
    return fig


def scatters(
    points: Sequence[tuple[Sequence[float], Sequence[float]]],
    titles: Sequence[str],
    xlabels: Sequence[str],
    ylabels: Sequence[str],
) -> Figure:
    """Draw scatter plots side by side.

    Parameters
    ----------
    points : sequence of (x, y)
        One for each pair of axes.
    titles, xlabels, ylabels : sequence of str
        One for each.
    """
    fig, axes = figure(1, len(points), height=3.3, width=3.0 * len(points), squeeze=False)
    for ax, (x, y), title, xlabel, ylabel in zip(
        axes.flat, points, titles, xlabels, ylabels, strict=True
    ):
        ax.scatter(x, y, s=9, alpha=0.5, color=colour("sc-pwc"), linewidth=0)
        ax.set(xlabel=xlabel, ylabel=ylabel, title=title)
    return fig


def network_diagrams(
    networks: Sequence, titles: Sequence[str], hidden: Sequence[Sequence[tuple[str, int]]]
) -> Figure:
    """Draw small networks of one hidden layer, with the weight written on each connection.

    Parameters
    ----------
    networks : sequence of Network
        Connections of weight 0 are left out; red is positive, blue negative.
    titles : sequence of str
        One for each; lines below the first may state what it computes.
    hidden : sequence of sequences of (str, int)
        For each network, what stands in its hidden neurons and the number of their colour.
    """
    palette = sns.color_palette("colorblind")
    sizes = [max(theta.widths) for theta in networks]
    fig, axes = figure(
        1, len(networks), height=0.85 * max(sizes) + 0.9, width=3.0 * len(networks), squeeze=False
    )
    for ax, theta, title, labels in zip(axes.flat, networks, titles, hidden, strict=True):
        places = [np.linspace(w - 1, 0, w) - (w - 1) / 2 for w in theta.widths]
        for d, weight in enumerate(theta.weights):
            for (i, j), w in np.ndenumerate(np.asarray(weight)):
                if w == 0:
                    continue
                start, end = np.array([d, places[d][i]]), np.array([d + 1, places[d + 1][j]])
                red, blue = palette[3], palette[0]
                ax.plot(*zip(start, end, strict=True), color=red if w > 0 else blue, zorder=1)
                x, y = start + (0.3 if (i + j) % 2 else 0.62) * (end - start)
                box = {"boxstyle": "round,pad=0.1", "facecolor": "white", "edgecolor": "none"}
                ax.text(x, y, f"{w:g}", ha="center", va="center", fontsize="small", bbox=box)
        for d, column in enumerate(places):
            for i, y in enumerate(column):
                text, number = (f"$x_{i + 1}$", None) if d == 0 else ("$z$", None)
                if d == 1:
                    text, number = labels[i]
                shade = "0.92" if number is None else sns.light_palette(palette[number], 4)[1]
                ax.scatter(d, y, s=900, facecolor=shade, edgecolor="0.3", zorder=2)
                ax.text(d, y, text, ha="center", va="center", zorder=3)
        ax.set_title(title)
        ax.set(xlim=(-0.3, len(places) - 0.7), ylim=(-max(sizes) / 2, max(sizes) / 2))
        ax.axis("off")
    return fig


def loss_over_option(
    found: pd.DataFrame, references: Mapping[str, Mapping[str, float]], label: str
) -> Figure:
    """Draw the loss against the value of an option, one panel a data set.

    Parameters
    ----------
    found : pandas.DataFrame
        "data set", "value", "loss" and "loss, 95% interval" as ``mean [low, high]``.
    references : mapping of str to mapping of str to float
        For each data set the levels of other operators by name.
    label : str
        Of the horizontal axis.
    """
    names = list(found["data set"].unique())
    fig, axes = figure(1, len(names), height=3.6, width=4.6 * len(names), squeeze=False)
    for ax, name in zip(axes.flat, names, strict=True):
        rows = found[found["data set"] == name]
        ends = rows["loss, 95% interval"].str.extract(r"\[(.*), (.*)\]").astype(float)
        spread = [rows["loss"] - ends[0], ends[1] - rows["loss"]]
        ax.errorbar(rows["value"], rows["loss"], spread, marker="o", color=colour("sc-cca"))
        _draw_levels(ax, references[name])
        ax.set_xscale("log")
        ax.set_xticks(rows["value"], [f"{value:g}" for value in rows["value"]], rotation=60)
        ax.minorticks_off()
        ax.set(xlabel=label, ylabel="loss at t = 0.5 (nats)", title=name)
    fig.legend(*axes.flat[0].get_legend_handles_labels(), loc="outside lower center", ncols=3)
    return fig


def heat_table(values: pd.DataFrame, better_low: bool = True) -> Figure:
    """Draw a table of numbers whose cells are shaded by rank within their column.

    Parameters
    ----------
    values : pandas.DataFrame
        One row an operator, one column a condition.
    better_low : bool
        Whether low numbers are the good (dark) ones.
    """
    rows, columns = values.shape
    fig, ax = figure(height=0.42 * rows + 1.6, width=max(5.0, 0.78 * columns + 2.6))
    ranks = values.rank(ascending=not better_low)
    text = values.map(lambda v: f"{v:.2f}" if abs(v) < 100 else f"{v:.0e}")
    sns.heatmap(
        ranks,
        annot=text,
        fmt="",
        cmap="Blues",
        vmin=-1,
        vmax=1.6 * rows,
        cbar=False,
        linewidths=1,
        annot_kws={"fontsize": 9},
        ax=ax,
    )
    ax.set(xlabel="", ylabel="")
    ax.tick_params(axis="both", length=0, labelsize=9)
    ax.set_xticks(ax.get_xticks(), ax.get_xticklabels(), rotation=40, ha="right")
    return fig


def fitted_and_new(
    panels: Mapping[str, Mapping[str, tuple[Sequence[float], Sequence[float]]]],
) -> Figure:
    """Draw canonical correlations as fitted, as lines, and on new examples, as dots.

    Parameters
    ----------
    panels : mapping of str to mapping of str to (fitted, new)
        For each pair of axes its title, and in it the named kinds of CCA.
    """
    fig, axes = figure(1, len(panels), height=4.2, width=9.0, squeeze=False, sharey=True)
    palette = ("0.15", *sns.color_palette("colorblind")[3:7])  # as in `lines`
    for ax, (title, kinds) in zip(axes.flat, panels.items(), strict=True):
        for shade, (name, (fitted, new)) in zip(palette, kinds.items(), strict=False):
            places = range(1, len(fitted) + 1)
            ax.scatter(places, new, s=5, color=shade, alpha=0.5, linewidth=0)
            ax.plot(places, fitted, color=shade, linewidth=2, label=name)
        ax.axhline(0, color="0.8", linewidth=0.8, zorder=0)
        ax.set(title=title, xlabel="component k")
    axes[0, 0].set_ylabel("correlation")
    legend = axes[0, 0].get_legend_handles_labels()
    fig.legend(*legend, loc="outside lower center", ncols=3, frameon=False)
    return fig


def growth(costs: pd.DataFrame) -> Figure:
    """Draw seconds over each size that was varied, one panel a size, one line a step.

    Parameters
    ----------
    costs : pandas.DataFrame
        step, varied, n, p, k, seconds, as `safecross.costs.measure_costs` returns them.
    """
    sizes = list(costs["varied"].unique())
    fig, axes = figure(1, len(sizes), height=3.9, width=9.5, sharey=True, squeeze=False)
    palette = dict(zip(costs["step"].unique(), sns.color_palette("colorblind"), strict=False))
    for ax, size in zip(axes.flat, sizes, strict=True):
        for step, shade in palette.items():
            rows = costs[(costs["varied"] == size) & (costs["step"] == step)]
            ax.loglog(rows[size], rows["seconds"], marker="o", color=shade, label=step)
        ticks = sorted(costs[costs["varied"] == size][size])
        ax.set_xticks(ticks, [str(tick) for tick in ticks])
        ax.minorticks_off()
        ax.set(xlabel=size)
    axes[0, 0].set_ylabel("seconds")
    fig.legend(*axes[0, 0].get_legend_handles_labels(), loc="outside lower center", ncols=3)
    return fig


def main_result(curves: Mapping[str, pd.DataFrame]) -> Figure:
    """Draw the loss between the parents for the three operators of the paper's title.

    Parameters
    ----------
    curves : mapping of str to pandas.DataFrame
        By data set: operator, t, loss; mean over pairs, shading one standard deviation.
    """
    fig, axes = figure(1, len(curves), height=3.6, width=9.0)
    for ax, (name, frame) in zip(axes, curves.items(), strict=True):
        cca = next(op for op in frame["operator"].unique() if op.startswith("sc-cca"))
        for operator, label in (("naive", "naive"), (cca, "SC-CCA"), ("sc-pwc", "SC-PwC")):
            loss = frame[frame["operator"] == operator].groupby("t")["loss"]
            mean, spread = loss.mean(), loss.std(ddof=0)
            ax.plot(mean.index, mean, color=colour(operator), label=label, linewidth=2)
            ax.fill_between(
                mean.index, mean - spread, mean + spread, color=colour(operator), alpha=0.2, lw=0
            )
        ax.set(title=name, xlabel="crossover point t", ylabel="validation loss (nats)")
    fig.legend(*axes[0].get_legend_handles_labels(), loc="outside lower center", ncols=3)
    return fig
