# %% [markdown]
# # Meet the parents
#
# <!-- finding parents-answer -->
# **The parents are as good as the paper's: accuracy 97.9% on MNIST and 43.3% on CIFAR-10, where the paper has about 98% and 40%. But 70% of the neurons in CIFAR-10's first layer are dead: they answer 0 to every image.**
# <!-- /finding -->
#
# - **You will** see how good the networks are that everything else recombines, and how alike.
# - **You need** nothing but an idea of what a trained network is.
# - **Runtime:** seconds. The published records are read; data of your own are trained first.
#
# This chapter covers Section 5.1 of
# [Uriot and Izzo (2020)](https://doi.org/10.1145/3377930.3390197), the experimental settings. It
# takes data of your own, of any kind (`-p datasets own.npz`).

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

# %% tags=["hide-input"]
import pandas as pd

from safecross.book import plots
from safecross.book.results import (
    load_records,
    measured_and_published,
    roles,
    say_where,
)
from safecross.runs.analysis import interval

records = load_records(datasets, n_pairs, seed, hidden, epochs)
say_where(records)

# %% [markdown]
# ## The paper fixes the networks, not how long they train
#
# The paper trains 400 networks on each data set and forms 200 pairs of them. On
# [MNIST](https://doi.org/10.1109/5.726791), handwritten digits, they have one hidden layer of 512
# neurons. On CIFAR-10 ([Krizhevsky, 2009](https://www.cs.toronto.edu/~kriz/learning-features-2009-TR.pdf)),
# small colour photographs, they have three of 100. Hidden neurons are ReLU, weights start from
# $N(0, 1/\sqrt{h})$ with $h$ the number of inputs of the layer, and
# [Adam](https://arxiv.org/abs/1412.6980) trains them.
#
# It does not say for how many epochs, in which batches, or with which learning rate. These matter:
# the longer networks train, the less alike their neurons become. We took batches of 128 and Adam's
# usual rate of 0.001. The number of epochs is the one that brings the parents to what the authors'
# saved outputs show: on CIFAR-10 the better parent of one pair has loss 1.597 and accuracy 0.427, on
# MNIST the ends of their curves lie near loss 0.065 and accuracy 0.98.
# [Chapter 10](10-ranking.ipynb) asks what other choices would have changed.

# %% tags=["hide-input"]
settings = pd.DataFrame(
    [
        {
            "data set": name,
            "network": "-".join(map(str, record.manifest["widths"])),
            "epochs": record.config.epochs,
            "batch": record.config.batch_size,
            "learning rate": record.config.learning_rate,
            "training examples": f"{record.manifest['n_train']:,}",
            "validation examples": f"{record.manifest['n_validation']:,}",
            "networks": 2 * record.config.n_pairs,
        }
        for name, record in records.items()
    ]
)
plots.table(settings, "Settings of the parents, read from the records.", name="settings")

# %% [markdown]
# <!-- finding parents-alike -->
# ## Parents are alike: accuracy varies by 0.1 points on MNIST, 1.1 on CIFAR-10
# <!-- /finding -->
#
# Each pair's networks start from their own seeds and see their own order of examples. Otherwise
# they are trained alike, so they should end up alike. The width of these histograms is the part of
# quality that is luck.
#
# Loss is measured in *nats*: it is the mean of $-\ln p$, with $p$ the probability that the network
# gives to the right answer. Guessing among ten classes has loss $\ln 10 \approx 2.3$.

# %% tags=["hide-input"]
quality = {
    name: pd.concat(
        [
            record.pairs[[f"loss_{side}", f"accuracy_{side}"]].set_axis(
                ["loss", "accuracy"], axis=1
            )
            for side in "ab"
        ]
    )
    for name, record in records.items()
}
networks = " and ".join(f"{len(frame)} networks on {name}" for name, frame in quality.items())
for name, frame in quality.items():
    panels = {f"validation {column}": {name: frame[column]} for column in ("loss", "accuracy")}
    plots.show(
        plots.histograms(panels, ylabel="networks", bins=20),
        f"Validation loss (in nats) and accuracy of {len(frame)} networks on {name}, seed {seed}.",
        f"Two histograms, of the loss and of the accuracy of the networks on {name}.",
        name=f"quality-{name}",
    )

# %% tags=["hide-input"]
summary = pd.DataFrame(
    [
        {
            "data set": name,
            "measure": column,
            "mean, 95% interval": interval(frame[column]).format(4),
            "standard deviation": f"{frame[column].std():.4f}",
            "lowest": f"{frame[column].min():.4f}",
            "highest": f"{frame[column].max():.4f}",
        }
        for name, frame in quality.items()
        for column in ("loss", "accuracy")
    ]
)
plots.table(summary, f"The parents in figures: {networks}, seed {seed}.", name="parents")

# %% [markdown]
# <!-- finding parents-dead -->
# ## 70% of CIFAR-10's first layer is dead, and 1% of MNIST's
# <!-- /finding -->
#
# A neuron that gives 0 for every validation image is *dead*. It carries nothing, correlates with
# nothing, and no method can say where it belongs. Pixels in $[0, 1]$ are never negative. So a neuron
# whose incoming weights happen to sum far below zero never fires on any image, and as long as it
# does not fire it learns nothing. The brighter the images are on average, compared with how much
# they differ, the more likely that is. The paper does not mention dead neurons.

# %% tags=["hide-input"]
rows = []
for name, record in records.items():
    for layer, width in enumerate(record.config.hidden, start=1):
        dead = record.statistics.query(
            "layer == @layer and statistic in ('dead neurons of a', 'dead neurons of b')"
        )["value"]
        rows.append(
            {
                "data set": name,
                "hidden layer": layer,
                "neurons": width,
                "dead": dead.mean() / width,
                "dead neurons, mean and 95% interval": interval(dead).format(1),
            }
        )
counted = pd.DataFrame(rows)
panels = {
    name: pd.DataFrame({"dead": 100 * rows["dead"], "alive": 100 - 100 * rows["dead"]}).set_axis(
        [f"layer {layer}" for layer in rows["hidden layer"]]
    )
    for name, rows in counted.groupby("data set", sort=False)
}
plots.show(
    plots.bars(panels, "% of a layer's neurons"),
    f"Share of dead neurons in each hidden layer, mean over {networks}, seed {seed}.",
    "Stacked bars of dead and living neurons for each hidden layer. On CIFAR-10 most of the first "
    "layer is dead.",
    name="dead-neurons",
)
plots.table(
    counted,
    f"Dead neurons of each hidden layer: {networks}, seed {seed}.",
    {"dead": "{:.1%}"},
    name="dead",
)

# %% [markdown]
# ## Measured and published

# %% tags=["hide-input"]
measured_and_published(roles(main=records), "07-parents")

# %% [markdown]
# ## In short
#
# <!-- finding parents-short -->
# - Parents of MNIST have loss 0.067 and accuracy 97.9%, those of CIFAR-10 1.587 and 43.3%; both are near what is known of the paper's.
# - Epochs, batches and the learning rate had to be chosen, since the paper does not give them.
# - Of CIFAR-10's hidden neurons 70% are dead in the first layer, 8% in the second and 9% in the third; of MNIST's, 0.9%.
# <!-- /finding -->
#
# ## Exercises
#
# **1.** Why does a histogram of accuracy on 10,000 images have a smallest possible step, and which?
#
# <details><summary>Answer</summary>
#
# Each image counts 1/10,000, so accuracies are multiples of 0.0001. With 1,000 validation images the
# step is 0.001, and neighbouring networks often tie.
#
# </details>
#
# **2.** Run this chapter with `-p datasets mnist5k -p n_pairs 6 -p epochs 1`, then with
# `-p epochs 20`. Which of the two measures moves more, and what do the dead neurons do?
#
# <details><summary>Answer</summary>
#
# In proportion the loss moves more, since it also counts how sure the network is. A neuron of the
# first layer that is dead at the start stays so: where it never fires it learns nothing.
#
# </details>
#
# **Next:** [Choose directions and ridge](08-svcca-and-ridge.ipynb)
