# %% [markdown]
# # Compare every method on the same pairs
#
# <!-- finding methods-answer -->
# **Three things beat SC-PwC, matching by correlation, on both data sets: gradient descent on the loss halfway, which needs labels (Sinkhorn re-basin: 0.0636 on MNIST and 1.682 on CIFAR-10, SC-PwC 0.0686 and 1.760); mixing neurons by CCA (CCA-Merge: 0.0657 and 1.715); and repairing SC-PwC's own child (REPAIR: 0.0677 and 1.675). Without labels no other one-to-one matching beats it on both. Matching by weights is better on MNIST (0.0663) and worse on CIFAR-10 (2.007).**
# <!-- /finding -->
#
# - **You will** see what other ways to align networks there are, and how each does on the same pairs.
# - **You need** the comparison of [chapter 9](09-figure-3.ipynb).
# - **Runtime:** seconds. The published records are read.
#
# This chapter goes beyond [Uriot and Izzo (2020)](https://doi.org/10.1145/3377930.3390197): most of these
# methods are younger. It takes data of your own (`-p datasets own.npz -p n_pairs 5`).

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
n_pairs = 20  # pairs of parents of each data set: the first ones of chapter 9
seed = 0  # of the whole experiment

# %% tags=["hide-input"]
import numpy as np
import pandas as pd
import torch

from safecross import Network, align
from safecross.alignment.registry import METHODS
from safecross.book import plots
from safecross.book.results import say_where, split_names
from safecross.replication.baselines import BASELINES, baselines_config, baselines_family
from safecross.replication.others import REPAIR_ROWS, repair_config, repair_table
from safecross.replication.paper import (
    SIZES,
    cell_config,
    methods_config,
    more_methods_config,
)
from safecross.runs import load_or_run
from safecross.runs.analysis import against_all, exponent, heights, join, quality_and_cost

parts = {
    (name, make.__name__): load_or_run(make(name, n_pairs, seed))
    for name in split_names(datasets)
    for make in (methods_config, more_methods_config)
}
say_where(parts)
records = {
    name: join([part for (of, _), part in parts.items() if of == name])
    for name in split_names(datasets)
}

# %% [markdown]
# ## A method gives a permutation, a selection or a soft map
#
# A method looks at the weights, or at how neurons respond to data. It gives a *permutation*, which keeps
# both parents' functions; a *selection*, which repeats some neurons and drops others; or a *soft map*, which
# mixes neurons by weights. A ReLU of a mixture is not the mixture of the ReLUs, so a soft map changes
# the function of the parent that it moves, however slightly.
#
# Each is called by its name, as in `align(theta_a, theta_b, x, "weight-matching")`. For a layer of $h$ neurons with $m$ incoming and $o$ outgoing weights, on $n$ examples:

# %% tags=["hide-input"]
rows = []
for name, method in METHODS.items():
    kind = "soft map" if method.soft else "permutation" if method.one_to_one else "selection"
    cost = method.cost.replace("^2", "²").replace("^3", "³")
    rows.append((name, kind, method.needs, cost, method.source))
plots.table(
    pd.DataFrame(rows, columns=["method", "gives", "needs", "operations", "source"]),
    "Every method: what it gives, what it looks at, about how many operations it takes for one layer, and "
    "where it comes from. The command safecross methods prints the same.",
    name="methods",
    fold=False,
)

# %% [markdown]
# ## A toy: where two networks agree, the methods do too
#
# Two networks see two inputs and have three neurons each. Those of *a* follow $x_1$, $x_2$ and $x_1 - x_2$; those of *b*
# follow $x_2$, and $x_1$ twice. So two neurons of *a* have a partner, and the third, $x_1 - x_2$, has none. All methods that
# look for partners find the two. They differ in what they do with the rest: a permutation must give the third neuron what is
# left over, a selection may take a neuron twice and leave another out, and a soft map may build it from several.

# %% tags=["hide-input"]
theta_a = Network(
    [torch.tensor([[1.0, 0, 1], [0, 1, -1]]), torch.tensor([[1.0, -1], [-1, 1], [1, -1]])],
    [torch.tensor([0.1, 0.2, 0.0]), torch.zeros(2)],
)
theta_b = Network(
    [
        torch.tensor([[0, 1.2, 0.9], [1, 0.1, 0]]),
        torch.tensor([[-1.0, 1], [0.5, -0.5], [0.5, -0.5]]),
    ],
    [torch.tensor([0.2, 0.0, 0.3]), torch.zeros(2)],
)
x = 2 * torch.rand(400, 2, generator=torch.Generator().manual_seed(0)) - 1


def matrix_of(found) -> np.ndarray:
    """Return which neurons of b, in columns, stand where a's neurons do, in rows."""
    found = getattr(found, "b", found)
    if hasattr(found, "matrix"):
        return found.matrix.numpy().round(1)
    matrix = np.zeros((3, 3))
    matrix[found.la, found.lb] = 1
    return matrix


alike: dict[tuple, list[str]] = {}
for name in METHODS:
    found = align(theta_a, theta_b, x, name, y=theta_a(x).argmax(1)).matchings[0]
    alike.setdefault(tuple(map(tuple, matrix_of(found))), []).append(name)
alike = dict(sorted(alike.items(), key=lambda item: -len(item[1])))
titles = [names[0] if len(names) == 1 else f"{len(names)} methods" for names in alike.values()]
plots.show(
    plots.matrices(
        list(alike),
        titles,
        [["$x_1$", "$x_2$", "$x_1 - x_2$"]] * len(alike),
        [["$x_2$", "$x_1$", "$x_1$"]] * len(alike),
        pattern="{:g}",
    ),
    "What stands in the place of each neuron of a (rows): which neurons of b (columns), and how much of each. "
    + " ".join(
        f"{len(names)} methods find the same: {', '.join(names)}."
        for names in alike.values()
        if len(names) > 1
    ),
    "Matrices of three by three: one that most methods share, and one for each method that finds another.",
    name="methods-toy",
)

# %% [markdown]
# <!-- finding methods-ranking -->
# ## Only methods that see labels or mix neurons beat SC-PwC on both data sets
#
# Of 22 other methods and settings, all without REPAIR, those that beat SC-PwC are 8 on MNIST (13 are worse, 1 where the test finds no difference) and 4 on CIFAR-10 (16 are worse, 2 where the test finds no difference). Three win on both: CCA-Merge, and Sinkhorn re-basin on the loss, at t = 0.5 or at a random t. Seeing labels is not enough: the straight-through estimator, which starts from matching by weights, is the best of all on MNIST (0.0636) and worse than SC-PwC on CIFAR-10 (1.903).
# <!-- /finding -->
#
# Neurons are compared on 10,000 training images; loss and accuracy are measured on the test images. The rule
# was fixed before: a method is better or worse than SC-PwC if Wilcoxon's signed-rank test over the pairs has a p
# below 0.05, after Holm's adjustment for the number of methods. Three choices were not blind: the ridge of
# CCA-Merge, 0.1, was taken after looking at six of these MNIST pairs, and the step sizes of `ste` and `sinkhorn`
# after looking at the first one. On CIFAR-10 nothing was chosen.


# %% tags=["hide-input"]
def short(operator: str) -> str:
    """Leave out how far an iterating method goes; the table has it."""
    for setting in ("steps=60", "learning_rate=0.3", "learning_rate=0.003"):
        operator = operator.replace(f",{setting}", "").replace(f":{setting}", "")
    return operator


panels = {}
for name, record in records.items():
    found = against_all(record, "sc-pwc")
    found = found.iloc[np.argsort([d.value for d in found["difference"]])]
    near = found[[d.value < 0.08 * record.at(0.5)["naive"].mean() for d in found["difference"]]]
    panels[name] = pd.DataFrame(
        [
            (short(r.operator), r.difference.value, r.difference.low, r.difference.high)
            for r in near.itertuples()
        ],
        columns=["label", "value", "low", "high"],
    )
plots.show(
    plots.forest(panels, "loss minus that of SC-PwC (nats)"),
    f"Loss at t = 0.5 minus that of SC-PwC on the same pairs: mean over {n_pairs} pairs, seed {seed}, with 95% "
    "bootstrap intervals; those that are far behind are in the table only. Left of the line is better.",
    "One point with an interval for each method and data set.",
    name="against-sc-pwc",
)

# %% tags=["hide-input"]
for name, record in records.items():
    loss, accuracy = record.at(0.5), record.at(0.5, "accuracy")
    digits = 4 if loss["sc-pwc"].mean() < 0.1 else 3
    rows = [
        (
            "sc-pwc",
            f"{loss['sc-pwc'].mean():.{digits}f}",
            f"{accuracy['sc-pwc'].mean():.3f}",
            "",
            "",
            "",
            "",
        )
    ]
    rows += [
        (
            r.operator,
            f"{loss[r.operator].mean():.{digits}f}",
            f"{accuracy[r.operator].mean():.3f}",
            r.difference.format(digits),
            f"{r.wins} / {r.n}",
            f"{r.p:.2g}",
            r.verdict,
        )
        for r in against_all(record, "sc-pwc").itertuples()
    ]
    columns = ["method", "loss", "accuracy", "minus SC-PwC", "wins", "p", "verdict"]
    parents = record.pairs[["loss_a", "loss_b"]].to_numpy().mean()
    plots.table(
        pd.DataFrame(rows, columns=columns),
        f"{name}: offspring at t = 0.5 over {n_pairs} pairs, seed {seed}; parents' loss {parents:.{digits}f}. Brackets "
        "are 95% bootstrap intervals; wins count pairs with a lower loss than SC-PwC; p of Wilcoxon's test, "
        "adjusted by Holm's method.",
        name=f"methods-{name}",
    )

# %% [markdown]
# <!-- finding methods-why -->
# ## SC-CCA loses because of how it picks neurons, not because of CCA
#
# Three methods start from the same canonical components. Algorithm 1 takes, component by component, the neurons with the largest and the smallest weights. Pairing what it leaves over by correlation is the first change. `hard-cca` goes the whole way: it compares all neurons within the canonical subspace and finds the best one-to-one matching. Step by step the loss at t = 0.5 falls on MNIST from 0.207 to 0.102 and 0.069 (SC-PwC 0.069); on CIFAR-10 from 2.133 to 2.130 and 1.760 (SC-PwC 1.760). So the canonical components hold what is needed; Algorithm 1 makes poor use of them. (On CIFAR-10 this must be so: with all components `hard-cca` compares neurons by their correlations, as SC-PwC does. On MNIST it sees 256 directions.)
# <!-- /finding -->
#
# <!-- finding methods-repair -->
# ## On CIFAR-10 REPAIR lowers every loss but that of CCA-Merge
#
# Averaged neurons that do not quite agree vary less than their parents, so each layer hands a weaker signal to the next. REPAIR gives every neuron a mean and a standard deviation halfway between those of its parents. It brings back 51% of what SC-PwC still loses on CIFAR-10. CCA-Merge gains nothing from it (1.715 to 1.762); on MNIST there is little left to gain (SC-PwC 0.0686 to 0.0677, parents 0.0662).
# <!-- /finding -->
#
# <!-- finding methods-deep -->
# ## Our deep networks align better than those of REPAIR's table
#
# Halfway between two aligned networks without norms: 11 layers of 32, MNIST 77.3% (theirs 58.0%), repaired 88.1% (73.7%), parents 96.8% (96.7%); 11 layers of 128, MNIST 90.6% (theirs 80.8%), repaired 84.7% (95.9%), parents 98.0% (98.8%); 7 layers of 128, MNIST 97.1% (theirs 71.7%), repaired 96.2% (83.0%), parents 98.2% (96.5%). 6 of 11 published numbers agree with ours; of the 6 on aligned children 4 lie below what ours allow, the others within it, which is wide. A known difference is the training: ours is by Adam. REPAIR helps most in 11 layers of 32, MNIST (+10.8 points) and harms most in 11 layers of 128, MNIST (-5.9).
# <!-- /finding -->
#
# The table of Jordan et al. (2023) is for networks without norms, trained for 100 epochs, one pair a row. Here each row has
# five pairs, trained by Adam; neurons are compared on training images. The rule was fixed before: a number *agrees* if one more
# pair of ours would lie there with probability 95%, give or take half a point; *higher* and *lower* are said of theirs.

# %% tags=["hide-input"]
deep = {name: load_or_run(repair_config(name)) for name in REPAIR_ROWS}
say_where(deep)
table = repair_table(deep)
plots.table(
    table.assign(
        expected=[f"{row.low:.1f} to {row.high:.1f}" for row in table.itertuples()],
    )[["network", "what", "theirs", "ours", "expected", "verdict"]],
    "Accuracy on the test images at t = 0.5, in percent: of Jordan et al., the mean of our five pairs, and where one more pair "
    "of ours is expected.",
    formats={"theirs": "{:.1f}", "ours": "{:.1f}"},
    name="repair-table",
    fold=False,
)

# %% [markdown]
# <!-- finding methods-cost -->
# ## For networks of these sizes no method takes more than 7 seconds
#
# From two networks to their child, on one core: on MNIST 18 of 23 in less than 2.5 seconds, the slowest, `ste`, in 6.8 (training a pair takes 22); on CIFAR-10 22 of 23 in less than 2.5 seconds, the slowest, `ste`, in 3.2 (training a pair takes 15). Those that go down a loss, or fit by many small steps, take longest.
# <!-- /finding -->
#
# Seconds are those of one core from two networks to their child: what the method takes alone, and the
# activations, correlations and eigenvectors that it needs. With REPAIR its seconds come on top.

# %% tags=["hide-input"]
found = {name: quality_and_cost(record) for name, record in records.items()}
fronts = {
    name: ", ".join(map(short, table[table["front"]].sort_values("seconds")["operator"]))
    for name, table in found.items()
}
plots.show(
    plots.pareto(
        {
            name: table.rename(columns={"share": "quality", "seconds": "cost", "needs": "kind"})
            for name, table in found.items()
        },
        "seconds for one child",
        "share of the lost accuracy that comes back",
    ),
    f"Quality over cost at t = 0.5, over {n_pairs} pairs, seed {seed}. 0 is naive crossover, 1 the parents. Colour and "
    "marker say what a method needs. Those with a ring are the Pareto front: no cheaper method brings back as much. From left to right: "
    + "; ".join(f"{name}: {front}" for name, front in fronts.items())
    + ".",
    "One point for each method and data set, and a stair through the best ones.",
    name="methods-front",
)

# %% tags=["hide-input"]
plots.table(
    pd.concat(
        table.assign(dataset=name, loss=table["operator"].map(records[name].at(0.5).mean()))
        for name, table in found.items()
    )[["operator", "dataset", "needs", "seconds", "share", "loss"]].rename(
        columns={
            "operator": "method",
            "dataset": "data set",
            "share": "share brought back",
        }
    ),
    f"Median seconds of one core for one child over {n_pairs} pairs, the share of the lost accuracy that comes "
    "back, and the loss at t = 0.5. The machine that made the record did other work beside it: take seconds as "
    "upper bounds.",
    formats={"seconds": "{:.3f}", "share brought back": "{:.3f}", "loss": "{:.3f}"},
    name="methods-cost",
)

# %% [markdown]
# <!-- finding methods-baselines -->
# ## On CIFAR-10 training one parent on, or distilling both, beats any child
#
# SC-PwC's child has loss 1.760, its parents 1.592. The first parent, trained for as many epochs again, reaches 1.502: better than the ensemble of both parents (1.549). One network distilled from both has 1.573; if it starts from the child and not from a parent, 1.575, and the test finds no difference. So a child is what two networks that are there already give in 0.3 seconds, without training; to train a second parent for it is not the best use of time.
# <!-- /finding -->
#
# *Trained longer* is the first parent with as many epochs again: what one network gains from the computing time that the second
# parent took. *Distilled*: a copy of the first parent, or the child of SC-PwC, learns to give the probabilities of both parents
# on the training images, without labels, in as many steps as a parent was trained. The *ensemble* averages the parents' logits; it
# is two networks, and the honest ceiling. The rule was fixed before.

# %% tags=["hide-input"]
name = list(records)[-1]  # on one data set, the last
record = load_or_run(baselines_config(name, n_pairs, seed))
say_where({f"{name}, beside a child": record})
made = record.tables["results"].groupby("what")[["loss", "accuracy"]].mean()
seconds = record.tables["timings"].groupby("step")["seconds"].median()
against = baselines_family(record).query("second == 'child'").set_index("first")
rows = []
for what, words in BASELINES.items():
    compared = ("", "", "")
    if what in against.index:
        r = against.loc[what]
        compared = (r["difference"].format(3), f"{r['p']:.2g}", r["verdict"])
    took = f"{seconds[what]:.1f}" if what in seconds else ""
    loss, share = made.loc[what]
    rows.append((f"{what}: {words}", f"{loss:.3f}", f"{share:.3f}", *compared, took))
parents = record.tables["pairs"]
loss, share = (parents[[f"{c}_a", f"{c}_b"]].to_numpy().mean() for c in ("loss", "accuracy"))
plots.table(
    pd.DataFrame(
        rows, columns=["what", "loss", "accuracy", "minus the child's", "p", "verdict", "seconds"]
    ),
    f"{name}: what two trained networks can be made into, mean over {n_pairs} pairs, seed {seed}, on the test images "
    f"(parents: loss {loss:.3f}, accuracy {share:.3f}). Differences of losses with 95% bootstrap intervals; p of Wilcoxon's test, "
    "adjusted by Holm's method. Seconds come on top of the parents' training, on one core that did other work beside it.",
    name="baselines",
    fold=False,
)

# %% [markdown]
# <!-- finding methods-width -->
# ## Of six methods only matching by correlation gains by width, and depth harms all six
#
# Aligned by SC-PwC, what crossover costs falls as a power of the width, with exponent -0.48 [-0.54, -0.42]: twice the width leaves 72% of it. For naive crossover and SC-CCA it does not fall at all (0.10 [0.08, 0.12] and 0.05 [0.03, 0.07]). With depth it grows for all: 0.09 [0.07, 0.12] naive, 0.54 [0.46, 0.62] SC-CCA, 0.64 [0.54, 0.75] SC-PwC.
# <!-- /finding -->
#
# The networks are those of [chapter 10](10-ranking.ipynb), on CIFAR-10, 20 pairs of each size. A *height* is the loss at
# t = 0.5 above the mean of the parents'. If heights follow a power of the width, the exponent says how: −1 halves them when the
# width doubles, 0 leaves them.

# %% tags=["hide-input"]
shown = ("naive", "bias-sort", "sc-cca", "sc-pwc-semi", "sc-pwc-greedy", "sc-pwc")
for what, cells in SIZES.items():
    found = {
        size: heights(load_or_run(cell_config(hidden=hidden))) for size, hidden in cells.items()
    }
    rows = []
    for operator in shown:
        values = np.concatenate([table[operator] for table in found.values()])
        sizes = np.repeat(list(found), [len(table) for table in found.values()])
        means = [f"{table[operator].mean():.3f}" for table in found.values()]
        rows.append((operator, *means, exponent(sizes, values).format(2)))
    plots.table(
        pd.DataFrame(rows, columns=["method", *(f"{what} {size}" for size in found), "exponent"]),
        f"Height at t = 0.5 over the {what}, in nats, mean over 20 pairs, seed 1; the exponent of a power law fitted to all pairs, "
        f"with its 95% interval. {'Three hidden layers' if what == 'width' else 'Width 100'}, three epochs.",
        name=f"methods-{what}",
        fold=False,
    )

# %% [markdown]
# ## In short
#
# <!-- finding methods-short -->
# - Which one should I use? With examples, `sc-pwc`: it keeps both parents' functions. Then try `repair` on the child and measure, for it may harm (above), and `cca-merge`, which mixes neurons. With labels too, and some seconds, `sinkhorn:objective=middle`. Without examples, `sinkhorn` on the weights alone: 0.0661 on MNIST, the best other 0.0663 and 1.823 on CIFAR-10, the best other 1.877.
# - MNIST, loss at t = 0.5 over 20 pairs: SC-PwC 0.0686; Sinkhorn on the loss 0.0636; weight matching 0.0663; optimal transport 0.0701; CCA-Merge 0.0657; SC-PwC with REPAIR 0.0677; parents 0.0662.
# - CIFAR-10, loss at t = 0.5 over 20 pairs: SC-PwC 1.760; Sinkhorn on the loss 1.682; weight matching 2.007; optimal transport 1.789; CCA-Merge 1.715; SC-PwC with REPAIR 1.675; parents 1.592.
# <!-- /finding -->
#
# ## Exercises
#
# **1.** Weight matching looks at no data. Why can it do as well as a method that does?
#
# <details><summary>Answer</summary>
#
# Two neurons that respond alike were driven there by alike weights, at least in the first layer, where both
# networks see the same pixels. In later layers the order of the layer below has to be found with it, which
# is why it goes back and forth between the layers.
#
# </details>
#
# **2.** Why is the loss of a soft map not that of a parent at $t = 1$?
#
# <details><summary>Answer</summary>
#
# There the child is *b* with its neurons mixed. A sum of two ReLUs is not the ReLU of the sum, so mixing and
# mixing back does not give *b* again.
#
# </details>
#
# **Next:** [Evolve a population of networks](18-populations.ipynb)
