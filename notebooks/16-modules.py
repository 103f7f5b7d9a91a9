# %% [markdown]
# # Cross trained convolutional networks over
#
# <!-- finding modules-answer -->
# **Averaged as they are, two convolutional networks for CIFAR-10 are right on 10.5% of the images, which is guessing; aligned by SC-PwC on 54.1%; aligned and with new batch-norm statistics on 79.8% (parents 86.4%; means of 10 pairs). SC-CCA with new statistics has 51.8%. Residual networks, 2 pairs, come from 9.9% to 78.5% in the same way (parents 87.5%). With the 100 classes of CIFAR-100 both steps together bring 1.4% to 44.9%, further from the parents' 60.8%. With layer norms on MNIST SC-PwC is ahead too (naive 88.7%, SC-CCA 91.8%, SC-PwC 98.3%); a small transformer nothing here mends.**
# <!-- /finding -->
#
# - **You will** see the paper's comparison on a convolutional network, a network with layer norms and a small
#   transformer.
# - **You need** groups and new statistics from [chapter 15](15-any-model.ipynb).
# - **Runtime:** seconds. The published records are read.
#
# This chapter covers future work of Section 6 of
# [Uriot and Izzo (2020)](https://doi.org/10.1145/3377930.3390197). It reads records only and takes no data of
# your own; chapter 15 does (`-p dataset own.npz`).

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
t = 0.5  # crossover point of the tables: 0.2, 0.35, 0.5, 0.65 or 0.8

# %% tags=["hide-input"]
import pandas as pd

from safecross.book import plots
from safecross.book.results import say_where
from safecross.modules.config import REESTIMATED
from safecross.modules.findings import MODULES, field_config, lost, orders, shares
from safecross.runs import load_or_run
from safecross.runs.analysis import interval

records = {name: load_or_run(config) for name, config in MODULES.items()}
say_where(records)

# %% [markdown]
# ## The networks
#
# *vgg7* is a convolutional network of the VGG kind: six convolutions with batch norm, 284,000 parameters for ten classes, trained
# on CIFAR-10 or CIFAR-100 for 24 epochs with shifted and mirrored images. *Twice as wide* it has twice the channels in each
# convolution, and 1.13 million parameters. *resnet9* has nine convolutions with batch norm, and
# two blocks whose input is added to their output. *mlp* is a plain network with layer norms and two
# hidden layers of 256 neurons. The *transformer* cuts an MNIST digit into 16 patches and has two blocks of width 32. Neurons
# are compared on 5,000 training images; loss and accuracy are measured on all test images.

# %% tags=["hide-input"]
rows = []
for name, record in records.items():
    parents = record.pairs[["accuracy_a", "accuracy_b"]].mean(axis=1)
    config = record.config
    rows.append(
        (name, config.architecture, config.epochs, config.n_pairs, interval(parents).format())
    )
plots.table(
    pd.DataFrame(rows, columns=["network", "architecture", "epochs", "pairs", "parents' accuracy"]),
    "The parents: mean accuracy on the test images with a 95% bootstrap interval.",
    name="module-parents",
    fold=False,
)

# %% [markdown]
# <!-- finding modules-curves -->
# ## Alignment mends a plain network with layer norms, but not a transformer
#
# Halfway between two networks with layer norms, SC-PwC reaches 98.3% of the test images, the parents 98.6%. Between two transformers it reaches 22.7% and naive crossover 15.5%, the parents 97.7%. Their neurons have few good partners: matched ones correlate, on average, by 0.60 in the stream that all blocks share, and by only 0.08 to 0.31 within attention. There any rotation of a head's numbers keeps the function, so a number of one network need not have a partner in the other.
# <!-- /finding -->

# %% tags=["hide-input"]
LABELS = {"naive": "naive", "sc-cca": "SC-CCA", "sc-pwc": "SC-PwC"}
for name, record in records.items():
    norms = any(operator.endswith(REESTIMATED) for operator in record.config.operators)
    for after, how in (("", ""), (REESTIMATED, ", new statistics"))[: 1 + norms]:
        labels = {f"{op}{after}": f"{label}{how}" for op, label in LABELS.items()}
        plots.show(
            plots.loss_and_accuracy(record.curves, labels, robust=True),
            f"{name}{how}: median over {record.config.n_pairs} pairs, seed {record.config.seed}; shading is the "
            "middle 80% of the pairs, loss on a logarithmic scale.",
            f"Loss and accuracy over t of {name}{how}, for naive crossover, SC-CCA and SC-PwC.",
            name=f"modules-{name.replace(' on ', '-').lower()}{'-new' * bool(after)}",
        )

# %% [markdown]
# <!-- finding modules-statistics -->
# ## Together, alignment and new statistics bring back more than the sum of each alone
#
# The shares are of the accuracy that naive crossover loses. With vgg7 on CIFAR-10 alignment alone brings back 58%, new statistics alone 17%, and both together 91%. With vgg7 twice as wide on CIFAR-10 alignment alone brings back 61%, new statistics alone 23%, and both together 95%. With vgg7 on CIFAR-100 alignment alone brings back 23%, new statistics alone 4%, and both together 73%. With resnet9 on CIFAR-10 alignment alone brings back 23%, new statistics alone 28%, and both together 88%.
# <!-- /finding -->

# %% tags=["hide-input"]
with_norms = {
    name: record
    for name, record in records.items()
    if f"sc-pwc{REESTIMATED}" in record.config.operators
}
plots.show(
    plots.forest(
        {
            name: pd.DataFrame(
                [(what, s.value, s.low, s.high) for what, s in shares(record, t=t).items()],
                columns=["label", "value", "low", "high"],
            )
            for name, record in with_norms.items()
        },
        "share of the lost accuracy that comes back",
    ),
    f"Share of the accuracy that naive crossover loses at t = {t:g} and that alignment by SC-PwC, new "
    "batch-norm statistics, or both bring back: mean over the pairs with 95% bootstrap intervals. 0 is naive "
    "crossover, 1 the parents.",
    "Three points with intervals for each network; both together come closest to 1.",
    name="which-half",
)

# %% [markdown]
# <!-- finding modules-layers -->
# ## SC-PwC harms each layer least
#
# Cross one layer over alone, and leave all others as they are in *a*: the loss says how much the two networks disagree there. Without new statistics, naive crossover does worst in layer 4: loss 2.14, where SC-CCA has 1.56 and SC-PwC 0.67. In every layer SC-PwC has the lowest of the three, with new statistics and without.
# <!-- /finding -->

# %% tags=["hide-input"]
vgg = records["vgg7 on CIFAR-10"]
layers = vgg.tables["layers"]
table = layers.groupby(["layer", "operator"], observed=True)["loss"].mean().unstack()
order_of_layers = list(dict.fromkeys(layers["layer"]))
chosen = {
    f"{operator}{after}": f"{label}{how}"
    for operator, label in LABELS.items()
    for after, how in (("", ""), (REESTIMATED, ", new statistics"))
}
table = table.loc[order_of_layers, list(chosen)].rename(columns=chosen)
table = table.reset_index().rename_axis(columns=None)
plots.table(
    table,
    f"vgg7 on CIFAR-10: loss on {vgg.config.measure_n:,} training images with one layer alone crossed over at "
    f"t = 0.5, mean over {vgg.config.n_pairs} pairs. Layers have the number of their weight in the model.",
    formats=dict.fromkeys(chosen.values(), "{:.2f}"),
    name="by-layer",
    fold=False,
)

# %% [markdown]
# <!-- finding modules-barriers -->
# ## The loss rises between the parents, whatever aligns them
#
# The *barrier* is how far the loss at t = 0.5 lies above the mean of the two ends. On test images that of SC-PwC is 0.010 nats for mlp on MNIST and 0.189 for vgg7 on CIFAR-10 with new statistics. Between transformers no barrier is below 2.4.
# <!-- /finding -->

# %% tags=["hide-input"]
rows = []
for name, record in records.items():
    for operator in record.config.operators:
        heights = []
        for curves in (record.curves, record.tables["train"]):
            one = curves[curves["operator"] == operator].pivot(
                index="pair", columns="t", values="loss"
            )
            heights.append(interval(one[0.5] - (one[0.0] + one[1.0]) / 2).format())
        rows.append((operator, name, *heights))
plots.table(
    pd.DataFrame(
        rows, columns=["operator", "network", "barrier on test images", "on training images"]
    ),
    f"Barrier in nats, mean over the pairs with 95% bootstrap intervals; {REESTIMATED} is with new "
    "batch-norm statistics.",
    name="module-barriers",
)

# %% [markdown]
# <!-- finding modules-ranking -->
# ## On average SC-CCA is nowhere more accurate than SC-PwC, however deep the network
#
# The paper finds SC-CCA better on its deeper network, for CIFAR-10, and SC-PwC on the shallow one. Here, at t = 0.5 and with new statistics where there are batch norms, SC-PwC's child is the more accurate one in 10 of 10 pairs of vgg7 on CIFAR-10, in 2 of 2 pairs of vgg7 twice as wide on CIFAR-10, in 3 of 3 pairs of vgg7 on CIFAR-100, in 2 of 2 pairs of resnet9 on CIFAR-10, in 5 of 5 pairs of mlp on MNIST and in 3 of 5 pairs of transformer on MNIST. Between transformers the losses say otherwise: SC-CCA 2.48, naive 2.58, SC-PwC 3.58. All of these children are far from their parents.
# <!-- /finding -->
#
# The rule was fixed before there was a record: *yes* if the first is more accurate in every pair, *no* if in
# none (and never equal), *undecided* otherwise. Few pairs decide little: two agree by chance in 1 of 2
# cases, three in 1 of 4, five in 1 of 16, ten in 1 of 512.

# %% tags=["hide-input"]
QUESTIONS = [
    ("sc-pwc", "naive"),
    ("sc-cca", "naive"),
    ("sc-pwc", "sc-cca"),
    ("sc-pwc", "sc-pwc-greedy"),
]
QUESTIONS += [(f"{a}{REESTIMATED}", f"{b}{REESTIMATED}") for a, b in QUESTIONS]
plots.table(
    orders(records, QUESTIONS, t),
    f"Which operator's offspring are more accurate at t = {t:g}: mean difference of accuracy with a 95% "
    f"bootstrap interval, and the answer by the rule; {REESTIMATED} is with new batch-norm statistics.",
    name="module-orders",
    fold=False,
)

# %% [markdown]
# <!-- finding modules-width -->
# ## Twice as wide, aligned networks lose less by crossover
#
# With SC-PwC and new statistics the child of two networks of twice the width is 3.8 to 4.1 points less accurate than its parents (2 pairs), that of two narrower ones 5.5 to 8.1 points (10 pairs). So each of the wider pairs loses less than every narrower one. Naive crossover shows no such gain: 57.7 to 65.0 points, and 56.2 to 70.1.
# <!-- /finding -->
#
# The rule was fixed before there was a record of the wider network: it loses less if each of its pairs lacks fewer points than
# every pair of the narrower one.

# %% tags=["hide-input"]
wide = {name: records[name] for name in ("vgg7 on CIFAR-10", "vgg7 twice as wide on CIFAR-10")}
rows = []
for operator in [f"{name}{REESTIMATED}" for name in ("naive", "sc-cca", "sc-pwc-greedy", "sc-pwc")]:
    values = [100 * lost(record, operator, t) for record in wide.values()]
    rows.append((operator.removesuffix(REESTIMATED), *(interval(v).format(1) for v in values)))
plots.table(
    pd.DataFrame(rows, columns=["operator", *wide]),
    f"Points of accuracy that the child at t = {t:g} lacks to the mean of its parents, with new statistics: mean over the pairs "
    f"({' and '.join(str(record.config.n_pairs) for record in wide.values())}) with 95% bootstrap intervals.",
    name="module-width",
)

# %% [markdown]
# <!-- finding modules-methods -->
# ## No method of the field is ahead of SC-PwC in every pair of convolutional networks
#
# All renew the batch norms' statistics. Halfway, over 3 of the pairs, they reach 79.4% (cca-merge), 79.2% (sc-pwc), 79.2% (hard-cca), 79.2% (ot), 78.2% (zipit), 77.6% (weight-matching), 76.6% (montana-davis); the parents 86.5%. The question to each was fixed before: is sc-pwc's child more accurate? It is more accurate in every pair than that of montana-davis and zipit and weight-matching. Its accuracies are exactly those of hard-cca. The pairs disagree, or tie, on ot and cca-merge. Where two methods are alike, 3 pairs all agree by chance in 1 of 4 cases.
# <!-- /finding -->
#
# [Chapter 17](17-methods.ipynb) explains the methods and compares all of them on networks without norms.

# %% tags=["hide-input"]
field = load_or_run(field_config())
accuracies = field.at(0.5, "accuracy")
rows = [
    (
        operator.removesuffix(REESTIMATED),
        interval(accuracies[operator]).format(),
        *(f"{value:.1%}" for value in accuracies[operator]),
    )
    for operator in accuracies.mean().sort_values(ascending=False).index
]
plots.table(
    pd.DataFrame(rows, columns=["method", "accuracy", *(f"pair {i}" for i in accuracies.index)]),
    f"vgg7 on CIFAR-10, new batch-norm statistics: accuracy on the test images at t = 0.5, mean of "
    f"{field.config.n_pairs} pairs with a 95% bootstrap interval, and that of each pair.",
    name="module-methods",
)

# %% [markdown]
# ## In short
#
# <!-- finding modules-short -->
# - vgg7 on CIFAR-10, new statistics, accuracy at t = 0.5 over 10 pairs: naive 23.4%; SC-CCA 51.8%; SC-PwC 79.8%; parents 86.4%.
# - vgg7 twice as wide on CIFAR-10, new statistics, accuracy at t = 0.5 over 2 pairs: naive 28.3%; SC-CCA 56.9%; SC-PwC 85.7%; parents 89.6%.
# - vgg7 on CIFAR-100, new statistics, accuracy at t = 0.5 over 3 pairs: naive 3.7%; SC-CCA 13.7%; SC-PwC 44.9%; parents 60.8%.
# - resnet9 on CIFAR-10, new statistics, accuracy at t = 0.5 over 2 pairs: naive 31.4%; SC-CCA 51.0%; SC-PwC 78.5%; parents 87.5%.
# - mlp on MNIST, accuracy at t = 0.5 over 5 pairs: naive 88.7%; SC-CCA 91.8%; SC-PwC 98.3%; parents 98.6%.
# - transformer on MNIST, accuracy at t = 0.5 over 5 pairs: naive 15.5%; SC-CCA 19.7%; SC-PwC 22.7%; parents 97.7%.
# <!-- /finding -->
#
# ## Exercises
#
# **1.** Why do a network's layer norms not need new statistics?
#
# <details><summary>Answer</summary>
#
# A layer norm takes mean and deviation from the example at hand, over its neurons. It keeps nothing from
# training that could be wrong for the child.
#
# </details>
#
# **2.** The residual stream of a transformer is one group that every block writes and reads. What does that
# mean for its alignment?
#
# <details><summary>Answer</summary>
#
# One permutation must serve all blocks. It is read at one place only, the last; neurons that play another
# part in an early block are not seen there.
#
# </details>
#
# **Next:** [Compare every method on the same pairs](17-methods.ipynb)
