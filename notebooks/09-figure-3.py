# %% [markdown]
# # Reproduce Figure 3
#
# - **You will** see every operator on every pair, over the whole range of t, with what the paper
#   says about it.
# - **You need** [chapter 6](06-crossover.ipynb), which does the same for one pair.
# - **Runtime:** seconds from a record; where there is none, the time to train two networks a pair.
#
# This chapter covers Section 5.2.2 and Figure 3 of {cite:t}`uriot2020safe`.

# %% tags=["parameters"]
datasets = "mnist5k"  # names of data sets or .npz files, with commas between
n_pairs = 6  # pairs of parents of each data set; the paper has 200
seed = 0  # of the whole experiment
hidden = ""  # hidden widths such as "256,64"; empty: the usual ones of the data set
epochs = 0  # of training; 0: the usual number for the data set

# %% tags=["hide-input"]
import pandas as pd
from IPython.display import Markdown, display

from safecross import plots
from safecross.analysis import compare, count_text, interval, summary
from safecross.results import load_records, measured_and_published, roles, say_where

records = load_records(datasets, n_pairs, seed, hidden, epochs)
say_where(records)

# %% [markdown]
# ## From one parent to the other
#
# For each pair, each operator aligns the two parents; Eq. 3 then slides from one to the other. At
# $t = 0$ and $t = 1$ stand the parents, at $t = 0.5$ their average, and outside of $[0, 1]$ the line
# goes on beyond them. Alignment and loss both use the validation images, as in the authors'
# notebook ([chapter 12](12-audit.ipynb) measures what other images would change).
#
# The paper's Figure 3 has three comparisons on each data set. First: SC-CCA against naive crossover
# (its panels a and b). Then SC-PwC, one-to-one (c and d). Last, one-to-one against semi-matching (e
# and f).

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


def panel(record, labels):
    """Return the labels with the SC-CCA operator that this record really has."""
    used = next(op for op in record.config.operators if op.startswith("sc-cca"))
    return {used if op == "sc-cca" else op: label for op, label in labels.items()}


# %%
for title, labels in PANELS.items():
    for name, record in records.items():
        semi = "semi" in title
        plots.show(
            plots.loss_and_accuracy(record.curves, panel(record, labels), robust=semi),
            f"{name}, {title}: mean over {n_pairs} pairs, seed {seed}; shading is one standard "
            "deviation either side" + (", loss on a logarithmic scale." if semi else "."),
            f"Loss and accuracy over t on {name} for " + ", ".join(labels.values()) + ".",
        )

# %% [markdown]
# Semi-matching does not keep the parents' functions: where every neuron of *a* picks its partner,
# the *b* side repeats some neurons and loses others, so the curve does not end in a parent at
# $t = 1$. With the roles exchanged it does not start in one. In a network with several hidden
# layers the damage can multiply, which is why those panels have a logarithmic scale.
#
# ## At the middle
#
# At $t = 0.5$ every operator faces the same parents, so the fair comparison is pair by pair. *Wins*
# counts the pairs in which the offspring's loss is below that of naive crossover. The effect is the
# mean difference of loss over its standard deviation; below 0 is better than naive. `bias-sort`,
# which only sorts neurons by their biases, and `sc-pwc-greedy`, the matching of the authors'
# notebook, stand for comparison.

# %% tags=["hide-input"]
for name, record in records.items():
    plots.table(
        summary(record),
        f"{name}: offspring at t = 0.5 over {n_pairs} pairs, seed {seed}. Brackets are 95% bootstrap "
        "intervals; sign test exact and two-sided, Wilcoxon signed-rank two-sided.",
    )

# %% tags=["hide-input"]
lines = []
for name, record in records.items():
    cca = next(op for op in record.config.operators if op.startswith("sc-cca"))
    for first, second in (("bias-sort", cca), (cca, "sc-pwc-semi"), (cca, "sc-pwc")):
        found = compare(record, first, second)
        share = compare(record, first, second, column="accuracy")
        lines.append(
            f"- {name}: `{first}` has a lower loss than `{second}` in {found.wins} of {found.n} "
            f"pairs, and a higher accuracy in {share.wins}."
        )
display(Markdown("Three races deserve a look:\n\n" + "\n".join(lines)))

# %% [markdown]
# ## Barriers
#
# The barrier is the height of the loss above the straight line between the curve's two ends. It is
# meant for curves that run from parent to parent, so semi-matching is left out.

# %% tags=["hide-input"]
from safecross import OPERATORS, barrier

rows = []
for name, record in records.items():
    for operator in record.config.operators:
        if not OPERATORS[operator.partition(":")[0]].one_to_one:
            continue
        one = record.curves[record.curves["operator"] == operator]
        heights = [barrier(c["t"], c["loss"]) for _, c in one.groupby("pair")]
        best = one[(one["t"] > 0) & (one["t"] < 1)].groupby("pair")["loss"].min()
        rows.append(
            {
                "data set": name,
                "operator": operator,
                "barrier (nats)": interval(heights).format(),
                "best loss strictly between": interval(best).format(),
            }
        )
better = {
    name: interval(record.pairs[["loss_a", "loss_b"]].min(axis=1)).format()
    for name, record in records.items()
}
for name, value in better.items():
    rows.append(
        {"data set": name, "operator": "the better parent", "best loss strictly between": value}
    )
plots.table(
    pd.DataFrame(rows).fillna(""),
    f"Height of the barrier, and the lowest loss for t strictly between 0 and 1, mean over {n_pairs} "
    f"pairs with 95% bootstrap intervals, seed {seed}.",
)

# %% [markdown]
# ## How many neurons have a partner
#
# The paper explains the ranking on MNIST by counts: 203 pairs of neurons with a correlation of .7 or
# more, and 125 significant relationships by Bartlett's test. There is more than one way to count.
# *Row maxima*: neurons of *a* whose best partner reaches .7; partners may repeat. *Matched*: pairs of
# the one-to-one matching that do. Bartlett's test counts canonical correlations that are not
# explained by chance, which is not the same as large ones; the table has both. *Column maxima* are the
# row maxima of *b*, and *components* the canonical components of a pair.

# %% tags=["hide-input"]
rows = []
for name, record in records.items():
    for statistic in sorted(record.statistics["statistic"].unique()):
        if statistic.startswith(("dead", "mean")):
            continue
        rows.append(
            {
                "data set": name,
                "count, all hidden layers": statistic,
                "mean, 95% interval": count_text(record, statistic),
            }
        )
plots.table(pd.DataFrame(rows), f"Counts of a pair, mean over {n_pairs} pairs, seed {seed}.")

# %% [markdown]
# ## Measured and published

# %% tags=["hide-input"]
measured_and_published(roles(main=records), "09-figure-3")

# %% [markdown]
# ## In short
#
# - The tables say for each data set which operators beat naive crossover, and how surely.
# - The paper's order of SC-CCA and SC-PwC is a claim for each data set; their rows above judge it.
# - Semi-matching may fit better neuron by neuron and still break the network.
#
# :::{admonition} Exercise 1
# Why can the accuracy at $t = 0.5$ fall to that of guessing while both parents are good?
# :::
# :::{admonition} Answer
# :class: dropdown
# The average of two unrelated neurons is neither of them: its weights are shorter and its response
# is that of no feature. In a deep network each layer receives such averages from the one below.
# :::
# :::{admonition} Exercise 2
# Run this chapter on your own data: `safecross run own.npz --widths 256,64 --epochs 5 --pairs 6`, then
# `papermill notebooks/09-figure-3.ipynb out.ipynb -p datasets own.npz -p hidden 256,64 -p epochs 5
# -p n_pairs 6`.
# :::
# :::{admonition} Answer
# :class: dropdown
# The second command finds the record of the first by its config and draws it without training
# anything. Give the full path of the file if you start papermill elsewhere.
# :::
#
# **Next:** [does SC-CCA ever beat SC-PwC?](10-ranking.ipynb)
