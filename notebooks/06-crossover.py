# %% [markdown]
# # Cross two networks over
#
# - **You will** average two trained networks, naively and after alignment, and follow loss and
#   accuracy along the whole line between them.
# - **You need** permuted networks from [chapter 5](05-permuting.ipynb).
# - **Runtime:** seconds with the default parameters. On all of MNIST most of the time goes into
#   training the two parents.
#
# This chapter covers Section 4.4 of {cite:t}`uriot2020safe`, Equations 3 and 4, and looks ahead to
# its Figure 3 with a single pair of networks.

# %% tags=["parameters"]
dataset = "mnist5k"  # a known data set, or the path of an .npz file
epochs = 20  # passes over the training images, for both parents
width = 512  # neurons in the hidden layer, as in the paper
seed = 0  # of both parents: each derives its own from it

# %% tags=["hide-input"]
import tempfile
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from IPython.display import Markdown

from safecross import (
    GRID,
    OPERATORS,
    Network,
    align,
    align_layers,
    crossover_curve,
    evaluate,
    function_difference,
    interpolate,
    layer_pairs,
    load_data,
    load_network,
    plots,
)
from safecross.config import Config, parse_operator
from safecross.crossover import FirstLayer
from safecross.experiment import train_parents

SVCCA = f"sc-cca:directions={max(width // 2, 1)}"  # the paper's 256 of 512
operators = [SVCCA if name == "sc-cca" else name for name in OPERATORS]
config = Config(dataset, (width,), epochs, 1, operators, seed=seed)

# %% [markdown]
# ## A straight line between two networks
#
# Arithmetic crossover takes every weight of one parent and the weight *in the same place* of the
# other, and mixes them. The crossover point $t$ says how. At $t = 0$ the offspring is parent *a*,
# at $t = 1$ parent *b*, and at $t = 0.5$ their average. Outside $[0, 1]$ the line goes on beyond the
# parents; the paper looks a quarter of the way further on either side.
#
# If both parents are aligned first, the crossover is *safe*:
#
# $$
# \tilde\theta_t = (1 - t)\,\tilde\theta_a + t\,\tilde\theta_b, \qquad t \in [-0.25, 1.25].
# \tag{3}
# $$
#
# If they are taken as they come, it is *naive*:
#
# $$
# \theta_t = (1 - t)\,\theta_a + t\,\theta_b, \qquad t \in [-0.25, 1.25].
# \tag{4}
# $$
#
# The formulas are the same. All the difference is in the tildes.
#
# ## Two networks that compute |x|
#
# The smallest example has one input, two hidden neurons and one output. Neuron P answers to
# positive inputs, $\max(0, x)$, neuron N to negative ones, $\max(0, -x)$. Their sum is $|x|$.
# Parent *a* has the order P, N; parent *b* has N, P. They are the same function, in two
# conventions.

# %%
nothing = [torch.zeros(2), torch.zeros(1)]
parent_a = Network([torch.tensor([[1.0, -1.0]]), torch.ones(2, 1)], nothing)
parent_b = Network([torch.tensor([[-1.0, 1.0]]), torch.ones(2, 1)], nothing)

xs = torch.linspace(-2, 2, 41)[:, None]
naive_child = interpolate(parent_a, parent_b, 0.5)
toy_alignment = align(parent_a, parent_b, xs, "sc-pwc")
safe_child = interpolate(*toy_alignment.apply(parent_a, parent_b), 0.5)

# %% tags=["hide-input"]
fig = plots.matrices(
    [theta.weights[0] for theta in (parent_a, parent_b, naive_child, safe_child)],
    ["parent a", "parent b", "naive child", "safe child"],
    rows=[["x"]] * 4,
    columns=[["P", "N"], ["N", "P"], ["?", "?"], ["P", "N"]],
    per_row=4,
)
plots.show(
    fig,
    "Weights into the two hidden neurons of two parents that both compute |x|, and of their "
    "children at t = 0.5. The outgoing weights are 1 in all four.",
    "Four small matrices of one row. Parent a has 1 and -1, parent b has -1 and 1, the naive child "
    "has 0 and 0, the safe child has 1 and -1.",
)

# %% [markdown]
# Do the naive average by hand: $1$ and $-1$ make $0$, and $-1$ and $1$ make $0$. Both neurons of the
# child are dead. Two perfect parents have a child that answers 0 to everything. Aligned first, P is
# averaged with P and N with N, and nothing is lost.

# %% tags=["hide-input"]
names = {"both parents": parent_a, "naive child": naive_child, "safe child": safe_child}
curves = {name: (xs[:, 0], theta(xs)[:, 0] + 0.0) for name, theta in names.items()}
fig = plots.lines(
    curves,
    "input x",
    "output",
    operators={"naive child": "naive", "safe child": "sc-pwc"},
    dashed=("safe child",),
)
plots.show(
    fig,
    f"What the four networks compute on n = {len(xs)} inputs. The line of the safe child lies on "
    "that of the parents.",
    "The parents and the safe child draw the letter V of the absolute value. The naive child is a "
    "flat line at zero.",
)

# %% [markdown]
# ## A trained pair
#
# Now two networks that were trained on real images, from different random weights. All operators
# of the registry align them, and each alignment gives one curve.

# %%
(theta_a, _), (theta_b, _) = train_parents(config, (0, 1))
data = load_data(dataset)
x, y = data.split("validation")
pairs = layer_pairs(theta_a, theta_b, x)
alignments = {
    operator: align_layers(theta_a, theta_b, pairs, name, **options)
    for operator in operators
    for name, options in [parse_operator(operator)]
}

# %%
first = FirstLayer(theta_a, theta_b, x)
results = {
    operator: crossover_curve(theta_a, theta_b, x, y, alignment=found, first=first)
    for operator, found in alignments.items()
}

# %% tags=["hide-input"]
where = f"{data.name}, n = {len(x):,} validation images, seed {seed}"
curves = pd.concat(
    pd.DataFrame({"operator": op, "t": c.t, "loss": c.loss, "accuracy": c.accuracy})
    for op, c in results.items()
)
plots.show(
    plots.loss_and_accuracy(curves),
    f"Loss and accuracy of the offspring along t for one pair of {theta_a!r} parents ({where}). The "
    "grey vertical lines mark the parents. There is one pair, hence no shading.",
    "Two panels, one line for each operator. Between the parents the naive line rises in the loss "
    "panel and sinks in the accuracy panel; that of one-to-one matching by correlation is flatter.",
)

# %% [markdown]
# Read the figure from its two ends. At $t = 0$ and $t = 1$ every one-to-one operator passes through
# the parents themselves. Two lines do not: the semi-matchings change one parent
# ([chapter 5](05-permuting.ipynb)), `sc-pwc-semi` the one at $t = 1$ and `sc-pwc-semi-b` the one at
# $t = 0$. In the middle the offspring shows what the alignment is worth.
#
# One number for a whole curve is its *barrier*: how far the loss rises, at most, above the straight
# line between its two ends. It is a common measure in work on the loss landscape, not in the paper.
#
# $$
# \max_{t \in [0, 1]} \;\mathcal{L}(\theta_t) - (1 - t)\,\mathcal{L}(\theta_0) - t\,\mathcal{L}(\theta_1)
# $$
#
# A semi-matching's ends are worse than the parents, so its barrier flatters it. The table therefore
# has the loss in the middle too.

# %% tags=["hide-input"]
parents = [tuple(map(float, evaluate(theta, x, y))) for theta in (theta_a, theta_b)]
parents_loss, parents_accuracy = np.mean(parents, axis=0)
middle = {op: int(np.flatnonzero(c.t == 0.5)[0]) for op, c in results.items()}
rows = [
    {
        "operator": op,
        "loss at 0": c.loss[c.t == 0][0],
        "at 0.5": c.loss[middle[op]],
        "at 1": c.loss[c.t == 1][0],
        "barrier": c.barrier,
        "accuracy at 0.5": c.accuracy[middle[op]],
    }
    for op, c in results.items()
]
summary = pd.DataFrame(rows)
plots.table(
    summary,
    f"Losses in nats, barrier and accuracy by operator, one pair ({where}). The parents' mean loss "
    f"is {parents_loss:.3f}, their mean accuracy {parents_accuracy:.3f}.",
    {c: "{:.3f}" for c in summary.columns[1:]},
)

# %% [markdown]
# ### Is the child as good as its parents?
#
# Two expectations were fixed before this chapter was run, for networks of the paper's size on all of
# MNIST: after one-to-one matching by correlation, the loss of the child at $t = 0.5$ is at most 0.01
# above its parents' mean; that of the naive child is at least 0.1 above. Here is what this pair does.

# %% tags=["hide-input"]
loss = summary.set_index("operator")["at 0.5"]
above = {op: loss[op] - parents_loss for op in ("sc-pwc", "naive")}
expected = {
    "sc-pwc": ("at most 0.01", above["sc-pwc"] <= 0.01),
    "naive": ("at least 0.1", above["naive"] >= 0.1),
}
plots.table(
    pd.DataFrame(
        [(op, above[op], text, "yes" if ok else "no") for op, (text, ok) in expected.items()],
        columns=["operator", "above the parents", "expected", "holds"],
    ),
    f"Loss of the child at t = 0.5 above the parents' mean, in nats, one pair ({where}, {epochs} "
    "epochs). The expectation is for all of MNIST and 5 epochs.",
    {"above the parents": "{:+.4f}"},
)

# %% [markdown]
# ## A shortcut
#
# A curve needs one forward pass for each $t$, and in these networks nearly all of the work is in the
# first layer. But the first layer, before its ReLU, is *linear* in the weights, and the weights are
# linear in $t$. So
#
# $$
# x \tilde W^1_t + \tilde b^1_t
#   = (1 - t)\,\big(x W^1_a + b^1_a\big)[:, l_a] + t\,\big(x W^1_b + b^1_b\big)[:, l_b].
# $$
#
# The two products in parentheses do not depend on $t$, and not on the operator either: a permutation
# only reorders their columns. `FirstLayer` computes them once, and all curves above share them. Is
# the result the same as that of full forward passes?

# %%
alignment = alignments["sc-pwc"]
offspring = interpolate(*alignment.apply(theta_a, theta_b), GRID)
full = [evaluate(offspring[i], x, y) for i in range(len(GRID))]
short = crossover_curve(theta_a, theta_b, x, y, alignment=alignment, first=first)

# %% tags=["hide-input"]
gap = max(abs(short.loss[i] - float(loss)) for i, (loss, _) in enumerate(full))
same = sum(short.accuracy[i] == float(accuracy) for i, (_, accuracy) in enumerate(full))
Markdown(
    f"On {len(GRID)} points of t the two losses differ by **{gap:.1e}** at most, and the accuracies "
    f"are equal at {same} of them. One pair of products did the work of {len(GRID)}, for each of "
    f"{len(operators)} operators."
)

# %% [markdown]
# ## Keep a child
#
# A child is a network like any other. It can be saved, in the safetensors format and with a
# checksum, and loaded again; notes may go with it.

# %%
child = interpolate(*alignments["sc-pwc"].apply(theta_a, theta_b), 0.5)
with tempfile.TemporaryDirectory() as folder:
    path = Path(folder) / "child.safetensors"
    child.save(path, {"operator": "sc-pwc", "t": "0.5", "seed": str(seed)})
    again, size = load_network(path), path.stat().st_size

# %% tags=["hide-input"]
Markdown(
    f"`{again!r}` with {again.n_parameters:,} weights and biases came back from a file of "
    f"{size / 1e6:.2f} MB. The largest difference of any output from the child's is "
    f"**{function_difference(child, again, x):g}**."
)

# %% [markdown]
# To go on with it in PyTorch, `child.to_torch()` gives a `torch.nn.Sequential`.
#
# ## Measured and published
#
# The paper shows loss and accuracy along $t$ in its Figure 3, as curves without numbers. The MNIST
# values below were read by eye off the picture saved in the authors' notebook, so they are good to
# one or two units of the last digit. They are means over many pairs; ours are *one* pair.
# [Chapter 9](09-figure-3.ipynb) has 200 pairs and confidence intervals; until then, take "holds" as
# a first look. Here it means: within 0.03 nats in loss, or 0.01 in accuracy.

# %% tags=["hide-input"]
acc = summary.set_index("operator")["accuracy at 0.5"]
published = [
    ("loss of the parents", 0.065, parents_loss, 0.03),
    ("loss at 0.5, naive", 0.22, loss["naive"], 0.03),
    ("loss at 0.5, SC-CCA", 0.18, loss[SVCCA], 0.03),
    ("accuracy of the parents", 0.98, parents_accuracy, 0.01),
    ("accuracy at 0.5, naive", 0.96, acc["naive"], 0.01),
]
comparable = data.name == "mnist"
plots.table(
    pd.DataFrame(
        [
            (what, theirs, ours, "yes" if abs(ours - theirs) <= tolerance else "no")
            if comparable
            else (what, theirs, ours, "other data")
            for what, theirs, ours, tolerance in published
        ],
        columns=["MNIST, Figure 3", "published", "ours", "holds"],
    ),
    f"Figure 3 of the paper (read by eye off the saved picture) and our single pair ({where}, "
    f"{epochs} epochs; SC-CCA is {SVCCA}).",
    {"published": "{:g}", "ours": "{:.3f}"},
)

# %% [markdown]
# Some claims do not depend on the scale of the loss:

# %% tags=["hide-input"]
claims = {
    "naive crossover is worse than both parents": loss["naive"] > max(p for p, _ in parents),
    "SC-CCA beats naive crossover": loss[SVCCA] < loss["naive"],
    "SC-PwC beats naive crossover": loss["sc-pwc"] < loss["naive"],
}
plots.table(
    pd.DataFrame(
        [(claim, "yes" if holds else "no") for claim, holds in claims.items()],
        columns=["claim, by the loss at t = 0.5", "holds on this pair"],
    ),
    f"Claims of the paper checked on one pair ({where}).",
)

# %% [markdown]
# ## Summary
#
# - Naive crossover mixes weights that happen to have the same address. Safe crossover mixes neurons
#   that do the same thing.
# - At $t = 0.5$ the alignments differ most. The barrier measures a whole curve, but is flattering to
#   semi-matchings, whose ends are damaged already.
# - The first layer's products are linear in $t$: computed once, they serve all points of all curves,
#   and the numbers are those of full forward passes.
#
# ### Exercises
#
# **1.** In the example of $|x|$, what does the naive child compute at $t = 0.25$?
#
# :::{admonition} Answer
# :class: dropdown
#
# Its incoming weights are $0.75 \cdot 1 + 0.25 \cdot (-1) = 0.5$ and $-0.5$, and its outgoing
# weights 1. It computes $0.5\,|x|$: the right shape, half the size. At $t = 0.75$ it does the same
# with P and N exchanged, and in between, at $t = 0.5$, nothing is left.
# :::
#
# **2.** The neurons were compared on the same validation images on which the loss is measured. Is
# this cheating? How would you find out?
#
# :::{admonition} Answer
# :class: dropdown
#
# The matching sees images but no labels, so it cannot fit the answers. It might still fit these
# particular images. To find out, align on training images and measure on validation images:
#
# ```python
# other = align(theta_a, theta_b, data.x_train[: len(x)], "sc-pwc")
# crossover_curve(theta_a, theta_b, x, y, alignment=other, t=0.5).loss
# ```
#
# and compare with the loss of `sc-pwc` in the table above.
# :::
