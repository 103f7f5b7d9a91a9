"""Charts of results: curves along t, options, comparisons, costs. They compute nothing new."""

from collections.abc import Mapping, Sequence
from textwrap import fill

import numpy as np
import pandas as pd
import seaborn as sns
from matplotlib.colors import LinearSegmentedColormap, LogNorm, Normalize
from matplotlib.figure import Figure
from matplotlib.ticker import LogLocator
from seaborn.utils import relative_luminance

from .page import (
    INK,
    MUTED,
    colour,
    figure,
    palette,
)

__all__ = [
    "bars",
    "fitted_and_new",
    "forest",
    "fronts",
    "growth",
    "heat_table",
    "histograms",
    "lines",
    "loss_and_accuracy",
    "loss_over_option",
    "main_result",
    "pareto",
    "wins",
]

#: Inches of a panel: two stand beside each other on a page of the book.
PANEL = 3.85


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
        For curves that explode at one end: lines are medians, the shading holds the middle 80% of
        the pairs, and losses are on a logarithmic scale.
    """
    labels = labels or {name: name for name in curves["operator"].unique()}
    fig, axes = figure(1, 2, height=3.3, width=2 * PANEL)
    grouped = curves.groupby(["operator", "t"], observed=True)[["loss", "accuracy"]]
    low, middle, high = _spread(grouped, robust)
    for operator, label in labels.items():
        for ax, column in zip(axes, ("loss", "accuracy"), strict=True):
            below, line, above = (part.loc[operator][column] for part in (low, middle, high))
            ax.plot(line.index, line, color=colour(operator), label=label, linewidth=2)
            ax.fill_between(
                line.index, below, above, color=colour(operator), alpha=0.2, linewidth=0
            )
    for ax, title in zip(axes, ("loss (nats)", "accuracy"), strict=True):
        _mark_parents(ax)
        ax.set(xlabel="crossover point t", title=title)
    if robust:
        axes[0].set_yscale("log")
        bottom, top = axes[0].get_ylim()
        subs = (1, 2, 3, 5, 7) if top < 10 * bottom else (1, 2, 5)
        axes[0].yaxis.set_major_locator(LogLocator(subs=subs, numticks=8))
        axes[0].yaxis.set_major_formatter("{x:g}")
        axes[0].minorticks_off()
    fig.legend(*axes[0].get_legend_handles_labels(), loc="outside lower center", ncols=4)
    return fig


def _spread(grouped, robust: bool) -> tuple[pd.DataFrame, pd.DataFrame, pd.DataFrame]:
    """Return the lower end, the middle and the upper end of what is shaded."""
    if robust:
        return grouped.quantile(0.1), grouped.median(), grouped.quantile(0.9)
    mean, deviation = grouped.mean(), grouped.std(ddof=0)
    return mean - deviation, mean, mean + deviation


def _mark_parents(ax) -> None:
    for parent in (0, 1):
        ax.axvline(parent, color=MUTED, alpha=0.5, linewidth=0.8, zorder=0)


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
        Heights of thin lines by name, up to three.
    """
    fig, ax = figure(1, 1, height=3.2, width=5.0)  # so that a phone shows its words large enough
    operators = operators or {}
    others = iter(_other_colours(operators.values()))
    seen: list[str] = []
    for name, (x, y) in curves.items():
        base = operators.get(name, name).partition(":")[0]
        shade = colour(base) if name in operators else next(others)
        style = "--" if name in dashed else ("-", "--", ":", "-.")[seen.count(base) % 4]
        ax.plot(x, y, label=name, color=shade, linestyle=style, linewidth=2)
        seen.append(base)
    _draw_levels(ax, levels or {})
    ax.set_xlabel(xlabel)
    ax.set_ylabel(ylabel)
    fig.legend(loc="outside lower center", ncols=2)
    return fig


def _other_colours(operators) -> list:
    """Return the colours that none of these operators has."""
    taken = [colour(operator) for operator in operators]
    return [INK, *(shade for shade in palette(start=3) + palette(3) if shade not in taken)]


def _draw_levels(ax, levels: Mapping[str, float]) -> None:
    for style, (name, level) in zip(("--", ":", "-."), levels.items(), strict=False):
        ax.axhline(level, linestyle=style, color=MUTED, linewidth=1.5, label=name)


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
    fig, axes = figure(1, len(panels), height=3.1, width=PANEL * len(panels), squeeze=False)
    for ax, (xlabel, samples) in zip(axes.flat, panels.items(), strict=True):
        everything = np.concatenate([np.asarray(v) for v in samples.values()])
        edges = np.histogram_bin_edges(everything, bins=bins)
        for shade, (name, values) in zip(palette(len(samples)), samples.items(), strict=True):
            style = {"histtype": "stepfilled", "alpha": 0.25, "color": shade}
            ax.hist(values, bins=edges, linewidth=0, label=name, **style)
            ax.hist(values, bins=edges, histtype="step", color=shade, linewidth=1.6)
        if threshold is not None:
            ax.axvline(threshold, color=MUTED, linestyle="--", linewidth=1.5)
        ax.set_xlabel(xlabel)
    axes[0, 0].set_ylabel(ylabel)
    names = max(panels.values(), key=len)
    if len(names) > 1:
        several = axes.flat[list(panels.values()).index(names)]
        fig.legend(*several.get_legend_handles_labels(), loc="outside lower center", ncols=2)
    return fig


def loss_over_option(
    found: pd.DataFrame, references: Mapping[str, Mapping[str, float]], label: str
) -> Figure:
    """Draw the loss against the value of an option, one panel a data set.

    Parameters
    ----------
    found : pandas.DataFrame
        "data set", "value", "loss", and the ends of its interval, "low" and "high"; a column
        "kind", if there is one, makes a line of each kind.
    references : mapping of str to mapping of str to float
        For each data set the levels of other operators by name.
    label : str
        Of the horizontal axis.
    """
    names = list(found["data set"].unique())
    fig, axes = figure(1, len(names), height=3.6, width=PANEL * len(names), squeeze=False)
    kinds = found["kind"] if "kind" in found else pd.Series("SC-CCA", found.index)
    shades = dict(zip(kinds.unique(), [colour("sc-cca"), *palette(start=3)], strict=False))
    for ax, name in zip(axes.flat, names, strict=True):
        for kind, rows in found[found["data set"] == name].groupby(kinds, sort=False):
            spread = [rows["loss"] - rows["low"], rows["high"] - rows["loss"]]
            ax.errorbar(
                rows["value"], rows["loss"], spread, marker="o", color=shades[kind], label=kind
            )
        _draw_levels(ax, references[name])
        values = sorted(found.loc[found["data set"] == name, "value"].unique())
        ax.set_xscale("log")
        ax.set_xticks(values, _spaced(values), rotation=60)
        ax.minorticks_off()
        ax.set(xlabel=label, ylabel="loss at t = 0.5 (nats)", title=name)
    handles, words = axes.flat[0].get_legend_handles_labels()
    handles = [handle[0] if isinstance(handle, tuple) else handle for handle in handles]
    fig.legend(handles, words, loc="outside lower center", ncols=3)
    return fig


def _spaced(values: Sequence[float]) -> list[str]:
    """Return labels of a logarithmic axis, empty where they would run into the one before."""
    labels, last = [], None
    room = np.log(max(values) / min(values)) / 16
    for value in values:
        free = last is None or np.log(value / last) > room
        labels.append(f"{value:g}" if free else "")
        last = value if free else last
    return labels


def heat_table(values: pd.DataFrame, better_low: bool = True) -> Figure:
    """Draw a table of numbers whose cells are shaded by their value, good ones dark.

    Parameters
    ----------
    values : pandas.DataFrame
        One row an operator, one column a condition.
    better_low : bool
        Whether low numbers are the good ones; they are losses then, shaded on a logarithmic scale
        that ends at ten times the best.
    """
    rows, columns = values.shape
    fig, ax = figure(height=0.42 * rows + 1.7, width=max(5.0, 0.62 * columns + 2.4))
    best, worst = values.min(axis=None), values.max(axis=None)
    norm = LogNorm(best, min(worst, 10 * best)) if better_low else Normalize(best, worst)
    sns.heatmap(
        values,
        annot=values.map(lambda v: f"{v:.2f}" if abs(v) < 100 else f"{v:.0e}"),
        fmt="",
        cmap="Blues_r" if better_low else "Blues",
        norm=norm,
        cbar=False,
        linewidths=1,
        annot_kws={"fontsize": 10},
        ax=ax,
    )
    _plain_axes(ax)
    return fig


def wins(panels: Mapping[str, pd.DataFrame], n: int, first: str, second: str) -> Figure:
    """Draw how many pairs one operator wins against another, in the colour of the winner.

    Parameters
    ----------
    panels : mapping of str to pandas.DataFrame
        By title: counts in [0, n], one row a condition, one column a form of the second operator.
    n : int
        Pairs of each cell.
    first, second : str
        Operators, for the colours: all pairs won by `first`, or none.
    """
    scale = LinearSegmentedColormap.from_list("wins", [colour(second), "white", colour(first)])
    rows = max(len(frame) for frame in panels.values())
    fig, axes = figure(
        1, len(panels), height=0.34 * rows + 1.9, width=PANEL * len(panels), squeeze=False
    )
    for ax, (title, frame) in zip(axes.flat, panels.items(), strict=True):
        sns.heatmap(
            frame, annot=True, fmt="d", cmap=scale, vmin=0, vmax=n, cbar=False, linewidths=1, ax=ax
        )
        _plain_axes(ax)
        ax.set_title(title)
    return fig


def _plain_axes(ax) -> None:
    """Take what is not needed off a table's axes, and write its numbers so that they are read."""
    mesh = ax.collections[0]
    grounds = mesh.get_cmap()(mesh.norm(mesh.get_array().ravel()))
    for text, ground in zip(ax.texts, grounds, strict=True):
        text.set_color("black" if relative_luminance(ground) > 0.18 else "white")
    ax.set(xlabel="", ylabel="")
    ax.tick_params(axis="both", length=0, labelsize=11)
    ax.set_xticks(ax.get_xticks(), ax.get_xticklabels(), rotation=40, ha="right")
    ax.tick_params(axis="y", labelrotation=0)


def forest(
    panels: Mapping[str, pd.DataFrame],
    xlabel: str,
    reference: float | None = 0.0,
    log: bool = False,
) -> Figure:
    """Draw values with their intervals, one a row, against a reference (a forest plot).

    Parameters
    ----------
    panels : mapping of str to pandas.DataFrame
        By title: "label", "value", "low", "high", from top to bottom.
    xlabel : str
        Of the horizontal axis, with its unit.
    reference : float or None
        Where a vertical line stands, if anywhere.
    log : bool
        Whether the axis is logarithmic, as for ratios.
    """
    # With lines of 33 characters a phone shows a panel whole.
    words = {title: [fill(label, 33) for label in panels[title]["label"]] for title in panels}
    lines = max(sum(1 + label.count("\n") for label in labels) for labels in words.values())
    longest = max(len(line) for labels in words.values() for w in labels for line in w.split("\n"))
    fig, axes = figure(
        1,
        len(panels),
        height=0.32 * lines + 1.3,
        width=(2.5 + 0.105 * longest) * len(panels),
        squeeze=False,
    )
    for ax, (title, frame) in zip(axes.flat, panels.items(), strict=True):
        places = -np.arange(len(frame))
        ends = [frame["value"] - frame["low"], frame["high"] - frame["value"]]
        style = {"fmt": "o", "color": colour("sc-pwc"), "capsize": 3, "markersize": 5}
        ax.errorbar(frame["value"], places, xerr=ends, **style)
        if reference is not None:
            ax.axvline(reference, color=MUTED, linestyle="--", linewidth=1.2, zorder=0)
        ax.set_yticks(places, words[title])
        ax.set(xlabel=xlabel, title=title, ylim=(0.6 - len(frame), 0.6))
        if log:
            ax.set_xscale("log")
            ax.xaxis.set_major_formatter("{x:g}")
        else:
            ax.locator_params(axis="x", nbins=5)
            ax.xaxis.set_major_formatter(lambda x, _: f"{x:g}".replace("-", "−"))
    return fig


def fronts(
    panels: Mapping[str, pd.DataFrame], xlabel: str, ylabel: str, operators: Mapping[str, str]
) -> Figure:
    """Draw points of which more is better in both directions, and each series' Pareto front.

    Parameters
    ----------
    panels : mapping of str to pandas.DataFrame
        By title: "x", "y", "series" and "front" (whether a point is on its series' front).
    xlabel, ylabel : str
        Of the axes, with units.
    operators : mapping of str to str
        The operator of each series, for its colour; up to three series.
    """
    fig, axes = figure(
        1,
        len(panels),
        height=3.4,
        width=PANEL * len(panels),
        squeeze=False,
        sharex=True,
        sharey=True,
    )
    for ax, (title, frame) in zip(axes.flat, panels.items(), strict=True):
        for (name, operator), marker in zip(operators.items(), "os^", strict=False):
            rows = frame[frame["series"] == name]
            front = rows[rows["front"]].sort_values("x")
            style = {"color": colour(operator)}
            ax.scatter(rows["x"], rows["y"], s=22, marker=marker, alpha=0.7, **style)
            ax.step(front["x"], front["y"], where="pre", linewidth=1.8, label=name, **style)
        ax.set(xlabel=xlabel, ylabel=ylabel, title=title)
        ax.tick_params(labelleft=True)
    fig.legend(*axes.flat[0].get_legend_handles_labels(), loc="outside lower center", ncols=3)
    return fig


def pareto(panels: Mapping[str, pd.DataFrame], xlabel: str, ylabel: str) -> Figure:
    """Draw quality over cost; a line joins what no cheaper one equals (the Pareto front).

    Parameters
    ----------
    panels : mapping of str to pandas.DataFrame
        By title: "cost", "quality", "kind", "front"; the front's points have a ring, and each kind
        has a marker.
    xlabel, ylabel : str
        Of the axes, with their units; the horizontal one is logarithmic.
    """
    kinds = list(dict.fromkeys(kind for frame in panels.values() for kind in frame["kind"]))
    fig, axes = figure(1, len(panels), height=4.6, width=PANEL * len(panels), squeeze=False)
    for ax, (title, frame) in zip(axes.flat, panels.items(), strict=True):
        front = frame[frame["front"]].sort_values("cost")
        ends = [*front["cost"], frame["cost"].max()]
        heights = [*front["quality"], front["quality"].iloc[-1]]
        ax.step(ends, heights, where="post", color=MUTED, linewidth=1.2, zorder=0)
        for kind, marker, shade in zip(kinds, "osD^v", palette(start=0), strict=False):
            rows = frame[frame["kind"] == kind]
            style = {"marker": marker, "color": shade, "markersize": 6, "linestyle": ""}
            ax.plot(rows["cost"], rows["quality"], label=kind, **style)
        ring = {"marker": "o", "markersize": 12, "markerfacecolor": "none", "linestyle": ""}
        ax.plot(front["cost"], front["quality"], color=INK, **ring)
        ax.set(xlabel=xlabel, ylabel=ylabel, title=title, xscale="log")
        ax.xaxis.set_major_formatter("{x:g}")
    handles = {}
    for ax in axes.flat:
        handles |= dict(zip(*reversed(ax.get_legend_handles_labels()), strict=True))
    fig.legend(handles.values(), handles.keys(), loc="outside lower center", ncols=4)
    return fig


def bars(panels: Mapping[str, pd.DataFrame], xlabel: str) -> Figure:
    """Draw parts of a whole as stacked horizontal bars, one panel a data set.

    Parameters
    ----------
    panels : mapping of str to pandas.DataFrame
        By title: one row a bar, one column a part, in the same order everywhere.
    xlabel : str
        Of the horizontal axis, with its unit.
    """
    rows = max(len(frame) for frame in panels.values())
    fig, axes = figure(
        1, len(panels), height=0.5 * rows + 1.2, width=PANEL * len(panels), squeeze=False
    )
    for ax, (title, frame) in zip(axes.flat, panels.items(), strict=True):
        places = -np.arange(len(frame))
        left = np.zeros(len(frame))
        for shade, part in zip(palette(len(frame.columns)), frame.columns, strict=True):
            ax.barh(places, frame[part], left=left, color=shade, label=part)
            left += frame[part].to_numpy()
        ax.set_yticks(places, frame.index)
        ax.set(xlabel=xlabel, title=title)
    fig.legend(*axes.flat[0].get_legend_handles_labels(), loc="outside lower center", ncols=3)
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
    fig, axes = figure(1, len(panels), height=3.6, width=PANEL * len(panels), squeeze=False)
    for ax, (title, kinds) in zip(axes.flat, panels.items(), strict=True):
        shades = [INK, *palette(start=3)]
        for shade, (name, (fitted, new)) in zip(shades, kinds.items(), strict=False):
            places = range(1, len(fitted) + 1)
            ax.scatter(places, new, s=6, color=shade, alpha=0.5, linewidth=0)
            ax.plot(places, fitted, color=shade, linewidth=2, label=name)
        ax.axhline(0, color=MUTED, alpha=0.5, linewidth=0.8, zorder=0)
        ax.set(title=title, xlabel="component k", ylabel="correlation", ylim=(-0.25, 1.05))
    legend = axes[0, 0].get_legend_handles_labels()
    fig.legend(*legend, loc="outside lower center", ncols=3)
    return fig


def growth(costs: pd.DataFrame) -> Figure:
    """Draw seconds over each size that was varied, one panel a size, one line a step.

    Parameters
    ----------
    costs : pandas.DataFrame
        step, varied, n, p, k, seconds, as `safecross.replication.costs.measure_costs` returns them.
    """
    sizes = list(costs["varied"].unique())
    width = min(PANEL * len(sizes), 8.6)
    fig, axes = figure(1, len(sizes), height=3.4, width=width, squeeze=False)
    steps = list(costs["step"].unique())
    shades = dict(zip(steps, palette(len(steps)), strict=True))
    low, high = costs["seconds"].min() / 1.5, 1.5 * costs["seconds"].max()
    for ax, size in zip(axes.flat, sizes, strict=True):
        for step, shade in shades.items():
            rows = costs[(costs["varied"] == size) & (costs["step"] == step)]
            ax.loglog(rows[size], rows["seconds"], marker="o", color=shade, label=step)
        ticks = sorted(costs[costs["varied"] == size][size].unique())
        ax.set_xticks(ticks, [str(tick) for tick in ticks], rotation=40)
        ax.minorticks_off()
        ax.yaxis.set_major_formatter("{x:g}")
        ax.set(xlabel=size, ylabel="seconds", ylim=(low, high))
    fig.legend(*axes[0, 0].get_legend_handles_labels(), loc="outside lower center", ncols=3)
    return fig


def main_result(curves: Mapping[str, pd.DataFrame]) -> Figure:
    """Draw the loss between the parents for the three operators of the paper's title.

    Parameters
    ----------
    curves : mapping of str to pandas.DataFrame
        By data set: operator, t, loss; mean over pairs, shading one standard deviation.
    """
    fig, axes = figure(1, len(curves), height=3.6, width=PANEL * len(curves), squeeze=False)
    for ax, (name, frame) in zip(axes.flat, curves.items(), strict=True):
        cca = next(op for op in frame["operator"].unique() if op.startswith("sc-cca"))
        for operator, label in (("naive", "naive"), (cca, "SC-CCA"), ("sc-pwc", "SC-PwC")):
            loss = frame[frame["operator"] == operator].groupby("t")["loss"]
            mean, spread = loss.mean(), loss.std(ddof=0)
            ax.plot(mean.index, mean, color=colour(operator), label=label, linewidth=2)
            ax.fill_between(
                mean.index, mean - spread, mean + spread, color=colour(operator), alpha=0.2, lw=0
            )
        _mark_parents(ax)
        ax.set(title=name, xlabel="crossover point t", ylabel="validation loss (nats)")
    fig.legend(*axes.flat[0].get_legend_handles_labels(), loc="outside lower center", ncols=3)
    return fig
