# %% [markdown]
# # Reproduce Figure 3
#
# <!-- finding figure-3-answer -->
# **Matched by correlation (SC-PwC), the average of two MNIST parents is nearly as good as they are: loss 0.069 against 0.067. Matched by canonical correlation (SC-CCA) its loss is 0.200, and not matched at all (naive) 0.233. On CIFAR-10 the child of SC-PwC is right on 37.1% of the images and that of SC-CCA on 23.5%. SC-PwC's is the more accurate one in 199 of 200 pairs; the paper says the opposite.**
# <!-- /finding -->
#
# - **You will** see every operator (each way to align two networks) on every pair, from one parent to the
#   other and beyond.
# - **You need** [chapter 6](06-crossover.ipynb), which does the same for one pair.
# - **Runtime:** seconds. The published records are read; data of your own are trained first.
#
# This chapter covers Section 5.2.2 and Figure 3 of
# [Uriot and Izzo (2020)](https://doi.org/10.1145/3377930.3390197). It takes data of your own, of
# any kind (`-p datasets own.npz`).

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
datasets = "mnist,cifar10"  # names of data sets or .npz files, with commas between
n_pairs = 200  # pairs of parents of each data set, as in the paper
seed = 0  # of the whole experiment
hidden = ""  # hidden widths such as "256,64"; empty: the usual ones of the data set
epochs = 0  # of training; 0: the usual number for the data set
third = "fashion-mnist"  # a data set to which nothing was tuned; empty: none
third_pairs = 20  # pairs of parents of it

# %% tags=["hide-input"]
import pandas as pd

from safecross import OPERATORS, barrier
from safecross.book import plots
from safecross.book.results import (
    load_records,
    measured_and_published,
    roles,
    say_where,
)
from safecross.runs.analysis import (
    compare,
    count_text,
    interval,
    summary,
)

records = load_records(datasets, n_pairs, seed, hidden, epochs)
say_where(records)

# %% [markdown]
# <!-- finding figure-3-curves -->
# ## Between the parents SC-PwC stays flat on MNIST and rises least on CIFAR-10
# <!-- /finding -->
#
# Each operator aligns the two parents of each pair. Then Eq. 3 of chapter 6 slides from one to the other:
# $t = 0$ and $t = 1$ are the parents, $t = 0.5$ is their average, and outside of $[0, 1]$ the line goes on
# beyond them. Alignment and loss both use the validation images, as in the authors' notebook
# ([chapter 12](12-audit.ipynb) measures what other images would change).
#
# The paper's Figure 3 makes three comparisons on each data set: SC-CCA against naive crossover (its panels a
# and b); SC-PwC against SC-CCA (c and d); and, within SC-PwC, one-to-one matching against *semi-matching*,
# where each neuron chooses its partner freely and several may choose the same (e and f).

# %% tags=["hide-input"]
PANELS = {
    "SC-CCA and naive crossover (Figure 3 a, b)": {"naive": "naive", "sc-cca": "SC-CCA"},
    "SC-PwC and SC-CCA (Figure 3 c, d)": {"sc-cca": "SC-CCA", "sc-pwc": "SC-PwC"},
    "one-to-one and semi-matching (Figure 3 e, f)": {
        "sc-pwc": "one-to-one",
        "sc-pwc-semi": "semi, a chooses",
        "sc-pwc-semi-b": "semi, b chooses",
    },
}
used = {
    name: next(op for op in record.config.operators if op.startswith("sc-cca"))
    for name, record in records.items()
}

# %% tags=["hide-input"]
for i, (title, labels) in enumerate(PANELS.items(), start=1):
    for name, record in records.items():
        drawn = {used[name] if op == "sc-cca" else op: label for op, label in labels.items()}
        semi = "semi" in title
        shading = "one standard deviation either side"
        if semi:
            shading = "the middle 80% of the pairs around their median, loss on a logarithmic scale"
        plots.show(
            plots.loss_and_accuracy(record.curves, drawn, robust=semi),
            f"{name}, {title}: {'median' if semi else 'mean'} over {n_pairs} pairs, seed {seed}; "
            f"shading is {shading}.",
            f"Loss and accuracy over t on {name} for " + ", ".join(labels.values()) + ".",
            name=f"curves-{i}-{name}",
        )

# %% [markdown]
# Semi-matching damages a parent. Where every neuron of *a* picks its partner, some neurons of *b* are repeated
# and others are lost, so the curve does not end in *b* at $t = 1$. Where *b* picks, it does not start in *a*.
# In a network with several hidden layers the damage multiplies.
#
# <!-- finding figure-3-middle -->
# ## Halfway, SC-PwC leads on every data set
# <!-- /finding -->
#
# At $t = 0.5$ every operator faces the same parents, so the fair comparison is pair by pair. *Wins*
# counts the pairs in which the offspring's loss is below that of naive crossover. *Effect*, the effect size, is
# the mean difference of loss divided by its standard deviation over the pairs; below 0 is better than
# naive. [Chapter 6](06-crossover.ipynb) explains the tests. `bias-sort` sorts neurons by their biases;
# `sc-pwc-greedy`, the matching of the authors' notebook, pairs the most correlated neurons first.

# %% tags=["hide-input"]
for name, record in records.items():
    plots.table(
        summary(record),
        f"{name}: offspring at t = 0.5 over {n_pairs} pairs, seed {seed}. Brackets are 95% bootstrap "
        "intervals; sign test exact and two-sided, Wilcoxon signed-rank two-sided.",
        name=f"middle-{name}",
    )

# %% [markdown]
# <!-- finding figure-3-bias -->
# ## Sorting neurons by their bias does about as well as SC-CCA on CIFAR-10
#
# The simplest order looks at no example at all: sort each layer's neurons by their biases. On CIFAR-10 it has a lower loss than SC-CCA in 129 of 200 pairs (mean 2.096 against 2.117), and a higher accuracy in 75. On MNIST it has a lower loss in 19.
# <!-- /finding -->

# %% tags=["hide-input"]
panels = {}
for name, record in records.items():
    rows = []
    for operator in ("bias-sort", "sc-pwc-greedy", "sc-pwc-semi", "sc-pwc-semi-b", "sc-pwc"):
        found = compare(record, operator, used[name]).difference
        rows.append((operator, found.value, found.low, found.high))
    panels[name] = pd.DataFrame(rows, columns=["label", "value", "low", "high"])
plots.show(
    plots.forest(panels, "loss minus that of SC-CCA (nats)"),
    f"Loss at t = 0.5 of each operator minus that of SC-CCA on the same pairs: mean over {n_pairs} "
    f"pairs, seed {seed}, with 95% bootstrap intervals. Left of the line is better than SC-CCA.",
    "One point with an interval for each operator and data set. SC-PwC and its greedy form lie far to "
    "the left; bias-sort is close to the line on CIFAR-10.",
    name="against-sc-cca",
)

# %% [markdown]
# <!-- finding figure-3-fashion -->
# ## Fashion-MNIST, to which nothing was tuned, repeats the ranking
#
# [Fashion-MNIST](https://arxiv.org/abs/1708.07747) has small pictures of clothes in place of digits. Network, epochs and directions are those of MNIST. The parents of 20 pairs have loss 0.348. Halfway between them the losses are: naive 0.645, SC-CCA 0.540, SC-PwC 0.353. SC-PwC is below SC-CCA in 20 of 20 pairs, and SC-CCA below naive in 20.
# <!-- /finding -->

# %% tags=["hide-input"]
if third:
    (extra,) = load_records(third, third_pairs, seed).values()
    cca = next(op for op in extra.config.operators if op.startswith("sc-cca"))
    drawn = {"naive": "naive", cca: "SC-CCA", "sc-pwc": "SC-PwC"}
    plots.show(
        plots.loss_and_accuracy(extra.curves, drawn),
        f"{third}: mean over {third_pairs} pairs, seed {seed}; shading is one standard deviation "
        "either side.",
        f"Loss and accuracy over t on {third}. SC-PwC is nearly flat, SC-CCA and naive rise.",
        name="curves-third",
    )
    plots.table(
        summary(extra),
        f"{third}: offspring at t = 0.5 over {third_pairs} pairs, seed {seed}. Brackets are 95% "
        "bootstrap intervals; sign test exact and two-sided, Wilcoxon signed-rank two-sided.",
        name="middle-third",
    )

# %% [markdown]
# <!-- finding figure-3-barriers -->
# ## SC-PwC has the lowest barrier on both data sets
#
# The *barrier* is how far the loss rises, at most, above the straight line between the curve's two ends: on MNIST it is 0.002 nats for SC-PwC, 0.133 for SC-CCA and 0.166 for naive crossover; on CIFAR-10 it is 0.169 nats for SC-PwC, 0.531 for SC-CCA and 0.698 for naive crossover. It is meant for curves that run from parent to parent, so semi-matching is left out.
# <!-- /finding -->

# %% tags=["hide-input"]
rows = []
for name, record in records.items():
    for operator in record.config.operators:
        if not OPERATORS[operator.partition(":")[0]].one_to_one:
            continue
        one = record.curves[record.curves["operator"] == operator]
        heights = [barrier(c["t"], c["loss"]) for _, c in one.groupby("pair")]
        best = one[(one["t"] > 0) & (one["t"] < 1)].groupby("pair")["loss"].min()
        rows.append((operator, name, interval(heights).format(), interval(best).format()))
    better = interval(record.pairs[["loss_a", "loss_b"]].min(axis=1)).format()
    rows.append(("the better parent", name, "", better))
plots.table(
    pd.DataFrame(rows, columns=["operator", "data set", "barrier (nats)", "lowest loss between"]),
    f"Height of the barrier, and the lowest loss for t strictly between 0 and 1, mean over {n_pairs} "
    f"pairs with 95% bootstrap intervals, seed {seed}.",
    name="barriers",
    fold=False,
)

# %% [markdown]
# <!-- finding figure-3-counts -->
# ## After 5 epochs we count 329 correlated neurons where the paper has 203, and 246 significant components where it has 125
# <!-- /finding -->
#
# The paper explains the ranking on MNIST by these counts. There is more than one way to count:
#
# - *Row maxima* are neurons of *a* whose best partner in *b* correlates by 0.7 or more. Several may have
#   the same partner. *Column maxima* are the same with *a* and *b* exchanged.
# - *Matched pairs* are the pairs of the one-to-one matching that correlate by 0.7 or more.
# - *Components* are the canonical components of a pair. Bartlett's test counts those whose correlation
#   chance does not explain ([chapter 2](02-canonical-correlation.ipynb)), however small it is.
#
# [Chapter 10](10-ranking.ipynb) follows the counts over the length of training.

# %% tags=["hide-input"]
rows = []
for name, record in records.items():
    for statistic in sorted(record.statistics["statistic"].unique()):
        if not statistic.startswith(("dead", "mean")):
            rows.append((statistic, name, count_text(record, statistic, 1)))
plots.table(
    pd.DataFrame(rows, columns=["count", "data set", "mean, 95% interval"]),
    f"Counts of a pair, in all hidden layers: mean over {n_pairs} pairs, seed {seed}.",
    name="counts",
)

# %% [markdown]
# ## Measured and published

# %% tags=["hide-input"]
measured_and_published(roles(main=records), "09-figure-3")

# %% [markdown]
# ## In short
#
# <!-- finding figure-3-short -->
# - MNIST, loss at t = 0.5: parents 0.067, SC-PwC 0.069, SC-CCA 0.200, naive 0.233.
# - CIFAR-10, loss at t = 0.5: parents 1.587, SC-PwC 1.754, SC-CCA 2.117, naive 2.284.
# - SC-CCA beats naive crossover in 178 of 200 pairs on MNIST and in 200 on CIFAR-10. SC-PwC beats SC-CCA in 200 pairs on MNIST and in 200 on CIFAR-10. (A lower loss wins.)
# - Semi-matching, where several neurons may choose the same partner, changes a parent: on CIFAR-10 its child has loss 2.37, naive crossover's 2.28.
# <!-- /finding -->
#
# ## Exercises
#
# **1.** Why can the accuracy at $t = 0.5$ fall to that of guessing while both parents are good?
#
# <details><summary>Answer</summary>
#
# The average of two unrelated neurons is neither of them: its weights are shorter and its response
# is that of no feature. In a deep network each layer receives such averages from the one below.
#
# </details>
#
# **2.** Run this chapter on your own data:
#
# ```bash
# safecross run own.npz --widths 256,64 --epochs 5 --pairs 6
# papermill notebooks/09-figure-3.ipynb out.ipynb -p datasets own.npz \
#   -p hidden 256,64 -p epochs 5 -p n_pairs 6
# ```
#
# <details><summary>Answer</summary>
#
# The second command finds the record of the first by its settings and draws it without training
# anything. Give the full path of the file if you start papermill elsewhere.
#
# </details>
#
# **Next:** [Ask which operator wins, and when](10-ranking.ipynb)
