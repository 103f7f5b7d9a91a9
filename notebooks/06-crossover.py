# %% [markdown]
# # Cross two networks over
#
# **Two trained networks averaged as they stand make a child that is worse than both. If their neurons are
# matched by correlation first, the child can be as good as its parents.**
#
# - **You will** average two trained networks, as they stand and after alignment, follow loss and accuracy
#   along the whole line between them, and run the experiment of the later chapters on a small scale.
# - **You need** permuted networks from [chapter 5](05-permuting.ipynb).
# - **Runtime:** less than a minute with the default parameters. On all of MNIST, training the two parents
#   takes most of it.
#
# This chapter covers Section 4.4 of
# [Uriot and Izzo (2020)](https://doi.org/10.1145/3377930.3390197), Equations 3 and 4, and looks ahead to
# its Figure 3 with a single pair of networks. It takes data of your own, of any kind
# (`-p dataset own.npz`). Only the small experiment at its end always uses the default data.

# %% tags=["remove-cell"]
# On Colab: fetch the book and install the package. Anywhere else this cell does nothing.
import os
import sys

if "google.colab" in sys.modules and not os.path.isdir("/content/safecross"):
    from subprocess import run

    address = "https://github.com/safecross/safecross"
    run(["git", "clone", "--depth=1", address, "/content/safecross"], check=True)
    run([sys.executable, "-m", "pip", "install", "-q", "-e", "/content/safecross"], check=True)
    sys.path.insert(0, "/content/safecross")

# %% tags=["parameters"]
dataset = "mnist5k"  # a known data set, or the path of an .npz file
epochs = 20  # passes over the training examples, for both parents
width = 512  # neurons in the hidden layer, as in the paper
seed = 0  # of both parents: each derives its own from it
small_pairs = 6  # pairs of parents in the small experiment at the end

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
    train,
)
from safecross.alignment.spelling import parse_operator
from safecross.book import plots
from safecross.book.interactive import crossing
from safecross.crossover.curve import FirstLayer
from safecross.replication.config import Config
from safecross.replication.pairs import train_parents
from safecross.replication.paper import main_config
from safecross.runs import load_or_run
from safecross.runs.analysis import summary

SVCCA = f"sc-cca:directions={max(width // 2, 1)}"  # the paper's 256 of 512
operators = [SVCCA if name == "sc-cca" else name for name in OPERATORS]
config = Config(dataset, (width,), epochs, 1, operators, seed=seed)

# %% [markdown]
# ## A straight line between two networks
#
# *Arithmetic crossover* takes every weight of one parent and the weight *in the same place* of the
# other, and mixes them. The crossover point $t$ says how much of each. At $t = 0$ the offspring is
# parent *a*, at $t = 1$ parent *b*, and at $t = 0.5$ it is their average. Outside $[0, 1]$ the line goes
# on beyond the parents; the paper goes a quarter of the way further on either side.
# [Goodfellow et al. (2015)](https://arxiv.org/abs/1412.6544) were the first to look at the loss on such a
# line between two trained networks. They did not align them.
#
# If both parents are aligned first, the crossover is *safe*:
#
# $$
# \tilde\theta_t = (1 - t)\,\tilde\theta_a + t\,\tilde\theta_b.
# \tag{3}
# $$
#
# If they are taken as they stand, it is *naive*:
#
# $$
# \theta_t = (1 - t)\,\theta_a + t\,\theta_b.
# \tag{4}
# $$
#
# The formulas differ only in the tildes, which mark the aligned networks. In the paper $t$ goes from -0.25 to
# 1.25.
#
# ## Two networks that compute |x|
#
# The smallest example has one input, two hidden neurons and one output. Neuron P responds to positive
# inputs, $\max(0, x)$, and neuron N to negative ones, $\max(0, -x)$. Their sum is $|x|$. Parent *a* has
# the order P, N; parent *b* has N, P. They are the same function, in two conventions.

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
# Take the naive average by hand: $1$ and $-1$ make $0$, and $-1$ and $1$ make $0$. Both neurons of the
# child are dead. Two perfect parents have a child that answers 0 to everything. If they are aligned first,
# P is averaged with P and N with N, and nothing is lost.

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
# Now two networks that were trained on the same real data, from different random weights. All operators of
# [chapter 4](04-matching.ipynb) align them, and each alignment gives one curve.

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
where = f"{data.name}, n = {len(x):,} validation examples, seed {seed}"
curves = pd.concat(
    pd.DataFrame({"operator": op, "t": c.t, "loss": c.loss, "accuracy": c.accuracy})
    for op, c in results.items()
)
plots.show(
    plots.loss_and_accuracy(curves),
    f"Loss and accuracy of the offspring along t for one pair of networks, {'-'.join(map(str, theta_a.widths))} ({where}). The "
    "grey vertical lines mark the parents. There is one pair, hence no shading.",
    "Two panels, one line for each operator. Between the parents the naive line rises in the loss "
    "panel and sinks in the accuracy panel; that of one-to-one matching by correlation is flatter.",
)

# %% [markdown]
# Begin at the two ends. At $t = 0$ and $t = 1$ every one-to-one operator passes through the parents
# themselves. Two lines do not, because a semi-matching changes one parent
# ([chapter 5](05-permuting.ipynb)): `sc-pwc-semi` the one at $t = 1$, and `sc-pwc-semi-b` the one at
# $t = 0$. The middle shows what the alignment is worth.
#
# One number for a whole curve is its **barrier**: the most by which the loss $\mathcal{L}$ rises above
# the straight line between the losses at its two ends. It is not in the paper, but a common measure of
# what lies between two networks (as in [Entezari et al., 2022](https://arxiv.org/abs/2110.06296)).
#
# $$
# \max_{t \in [0, 1]} \;\mathcal{L}(\theta_t) - (1 - t)\,\mathcal{L}(\theta_0) - t\,\mathcal{L}(\theta_1)
# $$
#
# One end of a semi-matching's curve is worse than the parent, which lifts the straight line and makes the
# barrier look small. So the table has the loss in the middle too.

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
scores = pd.DataFrame(rows)
plots.table(
    scores,
    f"Losses in nats, barrier and accuracy by operator, one pair ({where}). The parents' mean loss "
    f"is {parents_loss:.3f}, their mean accuracy {parents_accuracy:.3f}.",
    {c: "{:.3f}" for c in scores.columns[1:]},
)

# %% [markdown]
# ### Is the child as good as its parents?
#
# Before this chapter was first run, we wrote down two expectations, for networks of the paper's size on
# all of MNIST. After one-to-one matching by correlation, the loss of the child at $t = 0.5$ is at most
# 0.01 above the mean of its parents. The loss of the naive child is at least 0.1 above it. Here is what
# this pair does.

# %% tags=["hide-input"]
loss = scores.set_index("operator")["at 0.5"]
above = {op: loss[op] - parents_loss for op in ("sc-pwc", "naive")}
expected = {
    "sc-pwc": ("at most 0.01", above["sc-pwc"] <= 0.01),
    "naive": ("at least 0.1", above["naive"] >= 0.1),
}
plots.table(
    pd.DataFrame(
        [(op, above[op], text, "yes" if ok else "no") for op, (text, ok) in expected.items()],
        columns=["operator", "above parents", "expected", "holds"],
    ),
    f"Loss of the child at t = 0.5 above the parents' mean, in nats, one pair ({where}, {epochs} "
    "epochs). The expectation is for all of MNIST and 5 epochs.",
    {"above parents": "{:+.3f}"},
)

# %% [markdown]
# ## Cross two networks over yourself
#
# Two smaller networks live in this page, trained on handwritten digits. Draw a digit or take one of
# theirs, move the slider from parent a to parent b, and choose how their neurons are aligned. The
# page computes the child's answers as you go.

# %% tags=["hide-input"]
digits = load_data("mnist5k")
small_a, small_b = (train(digits.x_train, digits.y_train, (64, 32), s, epochs=20) for s in (0, 1))
ways = {op: align(small_a, small_b, digits.x_test, op) for op in ("naive", "sc-cca", "sc-pwc")}
x_few, y_few = digits.x_test[:500], digits.y_test[:500]
about = "They learnt from mnist5k for 20 epochs, from seeds 0 and 1."
crossing(small_a, small_b, ways, x_few, y_few, digits.image_shape, about)

# %% [markdown]
# ## A shortcut
#
# A curve needs one pass through the network for each $t$, and in these networks nearly all of the work is
# in the first layer. But the first layer, before its ReLU, is *linear* in the weights, and the weights are
# linear in $t$. So
#
# $$
# \begin{aligned}
# x \tilde W^1_t + \tilde b^1_t
#   &= (1 - t)\,\big(x W^1_a + b^1_a\big)[:, l_a] \\
#   &\quad {} + t\,\big(x W^1_b + b^1_b\big)[:, l_b].
# \end{aligned}
# $$
#
# The two products in parentheses do not depend on $t$. Nor do they depend on the operator: a permutation
# only reorders their columns. `FirstLayer` computes them once, and all curves above share them. Is the
# result the same as that of full passes?

# %%
alignment = alignments["sc-pwc"]
offspring = interpolate(*alignment.apply(theta_a, theta_b), GRID)
full = [evaluate(offspring[i], x, y) for i in range(len(GRID))]
short = crossover_curve(theta_a, theta_b, x, y, alignment=alignment, first=first)

# %% tags=["hide-input"]
gap = max(abs(short.loss[i] - float(loss)) for i, (loss, _) in enumerate(full))
same = sum(short.accuracy[i] == float(accuracy) for i, (_, accuracy) in enumerate(full))
Markdown(
    f"At the {len(GRID)} points t the two losses differ by **{gap:.1e}** at most, and the accuracies "
    f"are equal at {same} of them. One pair of products served all {len(GRID)} points of all "
    f"{len(operators)} operators."
)

# %% [markdown]
# ## Keep a child
#
# A child is a network like any other. It can be saved, with a checksum and with notes, and loaded again.
# The file has the safetensors format, which can be read without running any code from it.

# %%
child = interpolate(*alignments["sc-pwc"].apply(theta_a, theta_b), 0.5)
with tempfile.TemporaryDirectory() as folder:
    path = Path(folder) / "child.safetensors"
    child.save(path, {"operator": "sc-pwc", "t": "0.5", "seed": str(seed)})
    again, size = load_network(path), path.stat().st_size

# %% tags=["hide-input"]
Markdown(
    f"`{again!r}` with {again.n_parameters:,} weights and biases came back from a file of "
    f"{size / 1e6:.2f} MB. Its outputs differ from the child's by "
    f"**{function_difference(child, again, x):g}** at most. To go on with it in PyTorch, "
    "`child.to_torch()` gives a `torch.nn.Sequential`."
)

# %% [markdown]
# ## Measured and published
#
# The paper shows loss and accuracy along $t$ in its Figure 3, as curves without numbers. The MNIST values
# below were read by eye off the picture saved in the authors' notebook, so they are good to one or two
# units of the last digit. They are means over many pairs, and ours are of *one* pair.
# [Chapter 9](09-figure-3.ipynb) has 200 pairs and intervals. Until then "holds" is a first look, and means:
# within 0.03 nats in loss, or 0.01 in accuracy.

# %% tags=["hide-input"]
acc = scores.set_index("operator")["accuracy at 0.5"]
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
            else (what, theirs, ours, "not compared")
            for what, theirs, ours, tolerance in published
        ],
        columns=["MNIST, Figure 3", "published", "ours", "holds"],
    ),
    f"Figure 3 of the paper (read by eye off the saved picture) and our single pair ({where}, "
    f"{epochs} epochs; SC-CCA is {SVCCA})."
    + ("" if comparable else " The paper has all of MNIST, so nothing is held against it here."),
    {"published": "{:g}", "ours": "{:.3f}"},
)

# %% [markdown]
# Some claims do not depend on how large the loss is:

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
# ## Run the whole experiment, small
#
# One pair shows how crossover works, but not how well. The chapters that follow measure many pairs, and
# read their numbers from records that come with this book. The same machinery can run here, on a small
# scale. `main_config` describes the experiment of [chapter 9](09-figure-3.ipynb). `load_or_run` looks for
# its record and computes it if there is none: it trains the parents, aligns each pair by every operator,
# and follows the offspring along $t$. The data are always the 5,000 images of MNIST
# that the default parameters use.

# %%
small = main_config("mnist5k", small_pairs, seed)
record = load_or_run(small)

# %% tags=["hide-input"]
plots.table(
    summary(record),
    f"The offspring at t = 0.5 in the small experiment: mnist5k, {small.hidden[0]} hidden neurons, "
    f"{small.epochs} epochs, {small.n_pairs} pairs, seed {seed}. Loss in nats; brackets are 95% bootstrap "
    "intervals of the mean.",
)
plots.show(
    plots.loss_and_accuracy(record.curves),
    f"Loss and accuracy along t in the small experiment: mean of {small.n_pairs} pairs of networks with "
    f"{small.hidden[0]} hidden neurons, mnist5k, seed {seed}. The shading is one standard deviation on "
    "either side.",
    "Two panels, one line for each operator. At t = 0.5 the naive line is the worst, and those "
    "of one-to-one matching by correlation are the best.",
)

# %% tags=["hide-input"]
Markdown(
    f"This shows how the machinery works. Its numbers are those of networks of {small.hidden[0]} neurons, "
    "trained on a small sample of MNIST: they are not the paper's experiment, and say nothing for or "
    "against the paper. That is what the records of the next chapters are for."
)

# %% [markdown]
# How to read the table:
#
# - **wins** counts the pairs in which the loss is lower than that of naive crossover.
# - **sign test p** and **Wilcoxon p** say how often chance alone would give a difference as clear as this
#   one. The sign test asks only which of two losses is lower, pair by pair. Wilcoxon's test also weighs
#   by how much.
# - **effect** is the effect size: the mean difference of the two losses, divided by its standard
#   deviation over the pairs. Below 0 means better than naive. Beyond -1 the difference is larger than its
#   spread.
# - A **bootstrap interval** is made by drawing as many pairs again from the measured ones, many times, and
#   taking the middle 95% of the means.
#
# The same on data of your own, an `.npz` file with `x_train`, `y_train`, `x_test` and `y_test`:
#
# ```bash
# safecross data check own.npz
# safecross run own.npz --widths 256,64 --epochs 5 --pairs 6
# papermill notebooks/09-figure-3.ipynb out.ipynb -p datasets own.npz \
#   -p hidden 256,64 -p epochs 5 -p n_pairs 6
# ```
#
# The first command says whether the file is understood, the second computes a record, and the third draws
# it as chapter 9 does.
#
# ## In short
#
# - Naive crossover mixes weights that happen to have the same place. Safe crossover mixes neurons that
#   do the same thing.
# - The alignments differ most at $t = 0.5$. The barrier measures a whole curve, but makes semi-matchings
#   look better than they are, since they have damaged one end of it.
# - The first layer is linear in $t$. Its products are computed once and serve all points of all curves,
#   and the numbers are those of full passes.
# - `main_config` and `load_or_run` do for many pairs what this chapter does for one.
#
# ## Exercises
#
# **1.** In the example of $|x|$, what does the naive child compute at $t = 0.25$?
#
# <details><summary>Answer</summary>
#
# Its incoming weights are $0.75 \cdot 1 + 0.25 \cdot (-1) = 0.5$ and $-0.5$, and its outgoing weights are 1.
# So it computes $0.5\,|x|$: the right shape, at half the size. At $t = 0.75$ it does the same with P and N
# exchanged. In between, at $t = 0.5$, nothing is left.
#
# </details>
#
# **2.** The neurons were compared on the same validation examples on which the loss is measured. Is this
# cheating? How would you find out?
#
# <details><summary>Answer</summary>
#
# The matching sees inputs but no labels, so it cannot fit the answers. It might still fit these particular
# inputs. To find out, align on training examples and measure on validation examples:
#
# ```python
# other = align(theta_a, theta_b, data.x_train[: len(x)], "sc-pwc")
# crossover_curve(theta_a, theta_b, x, y, alignment=other, t=[0, 0.5, 1]).loss
# ```
#
# and compare with the loss of `sc-pwc` in the table above. [Chapter 12](12-audit.ipynb) does this over
# many pairs.
#
# </details>
#
# **Next:** [Meet the parents](07-parents.ipynb)
