"""Drawings of the method: activations, correlations, matchings, weights, small networks."""

from collections.abc import Mapping, Sequence

import numpy as np
import seaborn as sns
from matplotlib.figure import Figure

from .page import (
    GROUND,
    MUTED,
    colour,
    figure,
    palette,
)

__all__ = [
    "activation_map",
    "bipartite",
    "correlation_matrices",
    "example_images",
    "groups",
    "matrices",
    "network_diagrams",
    "scatters",
    "weight_images",
]

#: Words on a pale ground of their own, whatever the page's is.
_BLACK = {"color": "black", "ha": "center", "va": "center"}


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
        image = ax.imshow(matrix, vmin=-1, vmax=1, cmap="RdBu_r", interpolation="none")
        ax.set_title(title)
        ax.set_xlabel("neuron")
        ax.set_ylabel("neuron")
    fig.colorbar(image, ax=axes, label="correlation", shrink=0.8)
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
        width=min(7.0, sum(room)),
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
            ax.text(
                j, i, pattern.format(round(v, 9) + 0.0), color="black", ha="center", va="center"
            )
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
                shade = "0.4" if lost else "black"
                ax.text(side, -i, label, ha="center", va="center_baseline", color=shade)
        ax.text(0, 0.62, "a", ha="center", style="italic")
        ax.text(1, 0.62, "b", ha="center", style="italic")
        ax.set_title(title)
        ax.set(xlim=(-0.4, 1.4), ylim=(0.55 - max(sizes), 1.0))
        ax.axis("off")
    return fig


def groups(spec) -> Figure:
    """Draw which axes of which tensors move together: a row a tensor, a column a group.

    A disc writes the group's neurons, a ring reads them, a square is a buffer that moves with
    them; what belongs to one group hangs on one line.

    Parameters
    ----------
    spec : Spec
        As `safecross.trace` returns it. Tensors that no group moves are left out.
    """
    rows = list(spec.shapes)
    used = [
        name for name in rows if any(a.tensor == name for g in spec.groups.values() for a in g.axes)
    ]
    place = {name: -i for i, name in enumerate(used)}
    fig, ax = figure(1, 1, height=0.3 * len(used) + 1.2, width=2.6 + 0.78 * len(spec.groups))
    shade, marks = colour("sc-pwc"), {"out": ("o", True), "in": ("o", False), "both": ("D", True)}
    for x, group in enumerate(spec.groups.values()):
        heights = [place[axis.tensor] for axis in group.axes]
        ax.plot([x, x], [min(heights), max(heights)], color=shade, linewidth=1.5, zorder=1)
        for axis, y in zip(group.axes, heights, strict=True):
            marker, filled = marks.get(axis.role, ("s", True))
            face = shade if filled else GROUND
            ax.scatter(
                x, y, s=60, marker=marker, facecolor=face, edgecolor=shade, linewidth=1.8, zorder=2
            )
    ax.set(xlim=(-0.6, len(spec.groups) - 0.4), ylim=(0.7 - len(used), 0.7))
    ax.set_yticks(list(place.values()), [f"{n} ({_shape(spec.shapes[n])})" for n in used])
    labels = [f"{name}\n({group.size})" for name, group in spec.groups.items()]
    ax.set_xticks(range(len(labels)), labels)
    ax.xaxis.tick_top()
    ax.tick_params(length=0)
    ax.spines[:].set_visible(False)
    return fig


def _shape(shape: tuple[int, ...]) -> str:
    return " × ".join(map(str, shape))


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
        ax.imshow(images[i, j], vmin=-limit, vmax=limit, cmap="RdBu_r", interpolation="none")
        ax.set_xticks([])
        ax.set_yticks([])
        ax.spines[:].set_visible(False)
    for ax, title in zip(axes[0], titles, strict=True):
        ax.set_title(title, fontsize="small")
    for ax, label in zip(axes[:, 0], rows, strict=True):
        ax.set_ylabel(label, rotation=0, ha="right", va="center")
    return fig


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
        ax.imshow(images[i, j], vmin=0, vmax=1, cmap="gray", interpolation="none")
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
            rule(end - 0.5, color=MUTED, linewidth=0.6)
        # A group without members has no place at the axis.
        filled = [(e - n / 2 - 0.5, k) for e, (k, n) in zip(ends, groups.items(), strict=True) if n]
        ticks([place for place, _ in filled], [name for _, name in filled])
    ax.tick_params(length=0)
    ax.set_xlabel("neurons, by the class that excites them most")
    ax.set_ylabel("examples, by class")
    fig.colorbar(image, ax=ax, label="activation / neuron's largest")
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
        ax.scatter(x, y, s=9, alpha=0.5, color=colour("sc-pwc"), linewidth=0, rasterized=True)
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
    shades = palette()
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
                red, blue = shades[3], shades[0]
                ax.plot(*zip(start, end, strict=True), color=red if w > 0 else blue, zorder=1)
                x, y = start + (0.3 if (i + j) % 2 else 0.62) * (end - start)
                box = {"boxstyle": "round,pad=0.1", "facecolor": "white", "edgecolor": "none"}
                ax.text(
                    x,
                    y,
                    f"{w:g}",
                    color="black",
                    ha="center",
                    va="center",
                    fontsize="small",
                    bbox=box,
                )
        for d, column in enumerate(places):
            for i, y in enumerate(column):
                text, number = (f"$x_{i + 1}$", None) if d == 0 else ("$z$", None)
                if d == 1:
                    text, number = labels[i]
                shade = "0.92" if number is None else sns.light_palette(shades[number], 4)[1]
                ax.scatter(d, y, s=900, facecolor=shade, edgecolor="0.3", zorder=2)
                ax.text(d, y, text, zorder=3, **_BLACK)
        ax.set_title(title)
        ax.set(xlim=(-0.3, len(places) - 0.7), ylim=(-max(sizes) / 2, max(sizes) / 2))
        ax.axis("off")
    return fig
