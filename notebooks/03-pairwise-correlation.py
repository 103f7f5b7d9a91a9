# %% [markdown]
# # Compare neurons one by one
#
# **The correlation of their responses tells how alike two neurons are. Between two networks that were
# trained apart, neurons with the same number have nothing in common. But most neurons of one have a partner
# somewhere in the other.**
#
# - **You will** compute correlations within a layer and between two, find the partner of each neuron,
#   and redraw the paper's Figure 2 on a pair of your own.
# - **You need** the matrices $L_a$ and $L_b$ of [chapter 1](01-activations.ipynb). The last panel of
#   Figure 2 also uses SVCCA from [chapter 2](02-canonical-correlation.ipynb).
# - **Runtime:** seconds with the default parameters, minutes on all of MNIST. Training two networks
#   takes most of it.
#
# This chapter covers Section 3.3 of
# [Uriot and Izzo (2020)](https://doi.org/10.1145/3377930.3390197), its Figure 2, and one of the two
# counts of Section 5.2.2. It takes data of your own (`-p dataset own.npz`): images, or tables of numbers.
# For tables it leaves out the pictures of examples.

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
epochs = 20  # passes over the training examples, for both networks
width = 512  # neurons in the hidden layer, as in the paper
seed = 0  # of both networks, and of the shuffled control
n_shown = 100  # neurons in a panel of Figure 2, and directions of its SVCCA
threshold = 0.7  # correlation from which the paper counts a pair of neurons

# %% tags=["hide-input"]
import numpy as np
import pandas as pd
import torch

from safecross import (
    align,
    correlation,
    layer_pairs,
    load_data,
    match_one_to_one,
    semi_match,
)
from safecross.book import plots
from safecross.replication.config import Config
from safecross.replication.pairs import train_parents

config = Config(dataset, (width,), epochs, n_pairs=1, operators=("naive",), seed=seed)
shown = min(n_shown, width)

# %% [markdown]
# ## Do two neurons rise and fall together?
#
# Chapter 2 compared mixtures. But a crossover exchanges *neurons*, and each neuron goes to one place.
# So the most direct instrument is also the simplest. Take one neuron of *a* and one of *b*, show both
# the same examples, and ask whether they rise and fall together. This is how
# [Li et al. (2016)](https://arxiv.org/abs/1511.07543) looked for neurons that two networks share.
#
# Let the columns $h_a^i$ of $L_a$ be centred: each has its mean subtracted. The **correlation matrix** of
# the layer has an entry for every two of its neurons:
#
# $$
# \hat\Sigma_a^{i,j} = \frac{1}{n-1}\,
#     \frac{(h_a^i)^\top h_a^j}{\sqrt{\widehat{\mathrm{Var}}(h_a^i)\,\widehat{\mathrm{Var}}(h_a^j)}},
# \quad i, j = 1, \dots, p .
# $$
#
# The **cross-correlation matrix** has an entry for each neuron of *a* and each neuron of *b*:
#
# $$
# \hat\Sigma_{a,b}^{i,j} = \frac{1}{n-1}\,
#     \frac{(h_a^i)^\top h_b^j}{\sqrt{\widehat{\mathrm{Var}}(h_a^i)\,\widehat{\mathrm{Var}}(h_b^j)}} .
# $$
#
# (The paper does not number these. It leaves out the factor $1/(n-1)$, which belongs to the sample
# variances $\widehat{\mathrm{Var}}$; without it the entries would not lie between -1 and 1.)
#
# Three properties are worth remembering.
#
# - A correlation does not change if a neuron is shifted or multiplied by a positive number. This suits
#   ReLU neurons, whose scale is arbitrary (chapter 1, exercise 1).
# - The matrix of one layer is symmetric, with ones on the diagonal.
# - The matrix between two layers is *not* symmetric. If neuron 3 of *a* resembles neuron 5 of *b*, this
#   says nothing about neuron 5 of *a* and neuron 3 of *b*.
#
# ## Four examples by hand
#
# Here are two neurons of *a* and three of *b* on four examples. Subtract the means: $h_a^1$ becomes
# $(-1, 0, 1, 0)$ and $h_a^2$ becomes $(0, -1, 0, 1)$. Their product is zero, so they are uncorrelated.
#
# - The first neuron of *b* is $2 h_a^1$. Its correlation with $h_a^1$ is 1.
# - The second is $h_a^1 + h_a^2$. Centred it is $(-1, -1, 1, 1)$, which has length 2. The length of
#   $h_a^1$ is $\sqrt 2$, and the product of the two is 2. So their correlation is $2 / (2 \sqrt 2)$, or
#   $1/\sqrt 2$.
# - The third is dead.

# %%
toy_a = torch.tensor([[0.0, 1.0], [1.0, 0.0], [2.0, 1.0], [1.0, 2.0]])
toy_b = torch.stack([2 * toy_a[:, 0], toy_a.sum(1), torch.full((4,), 3.0)], dim=1)
toy_between = correlation(toy_a, toy_b)

# %% tags=["hide-input"]
examples = [f"example {i + 1}" for i in range(len(toy_a))]
names_a, names_b = ["$h_a^1$", "$h_a^2$"], ["$h_b^1$", "$h_b^2$", "$h_b^3$"]
fig = plots.matrices(
    [toy_a, toy_b, toy_between],
    ["network a", "network b", "correlations between"],
    rows=[examples, [""] * len(toy_b), names_a],
    columns=[names_a, names_b, names_b],
    pattern="{:.3g}",
)
plots.show(
    fig,
    f"Two toy layers on n = {len(toy_a)} examples, and their cross-correlations. No randomness; the "
    "colour repeats the number in the cell.",
    "Three small matrices. The correlations of the first neuron of a with those of b are 1, 0.707 and "
    "0; those of the second are 0, 0.707 and 0.",
)

# %% [markdown]
# Note the dead neuron. Its variance is zero, and the formula would divide zero by zero. The paper does not
# say what to do. In the package a dead neuron has correlation 0 with every neuron, itself included. (The
# authors' notebook puts -1 in place of the undefined value. That makes a dead neuron the worst partner of
# all, not an indifferent one.)
#
# ## Figure 2 on a trained pair
#
# The pair is that of chapter 2: two networks of one architecture, trained on the same examples from
# different random weights. We look at them on the validation set.

# %%
(theta_a, _), (theta_b, _) = train_parents(config, (0, 1))
data = load_data(dataset)
x, _ = data.split("validation")
[pair] = layer_pairs(theta_a, theta_b, x)
aligned = align(theta_a, theta_b, x, "sc-cca", directions=shown).matchings[0]
between = pair.between.numpy()

# %% [markdown]
# Panels (a) and (b) compare the first neurons of each network with themselves, panel (c) those of one
# network with those of the other. For panel (d) the neurons are put in the order that Algorithm 1 finds
# ([chapter 4](04-matching.ipynb) explains how). It gets as many SVCCA directions as there are neurons in
# the panel. The diagonal of (d) holds the correlations of its pairs, with the pair of the first canonical
# component at the top left.

# %% tags=["hide-input"]
first = slice(0, shown)
la, lb = aligned.la[first], aligned.lb[first]
where = f"{data.name}, n = {pair.n:,} validation examples, seed {seed}"
panels = [
    pair.within_a[first, first],
    pair.within_b[first, first],
    between[first, first],
    between[np.ix_(la, lb)],
]
titles = ["(a) within a", "(b) within b", "(c) between a and b", "(d) between, aligned"]
diagonal = between[la, lb]
plots.show(
    plots.correlation_matrices(panels, titles),
    f"Correlation matrices, after the paper's Figure 2. (a) to (c): the first {shown} neurons. (d): the "
    f"{shown} pairs of Algorithm 1 on SVCCA with {shown} directions. {where}. One pair.",
    "Four square matrices of red and blue. The first two have a red diagonal, the third none. In the "
    "fourth a diagonal begins at the top left and fades towards the bottom right.",
)
ideal = np.sort(between[match_one_to_one(between)])[::-1][:shown]
tenth = max(shown // 10, 1)
parts = {
    f"the first {tenth} of (d)": diagonal[:tenth],
    f"all {shown} of (d)": diagonal,
    f"the diagonal of (c): {shown} pairs by index": between.diagonal()[:shown],
    f"compare: best {shown} one to one": ideal,
}
plots.table(
    pd.DataFrame(
        {
            "pairs": parts.keys(),
            "mean": [f"{d.mean():.2f}" for d in parts.values()],
            f"{threshold:g} or more": [int((d >= threshold).sum()) for d in parts.values()],
        }
    ),
    f"Correlations on the diagonals of panels (c) and (d) ({where}).",
)

# %% [markdown]
# Panels (a) and (b) show that the neurons of one network are not independent of each other. Some respond
# together, and some exclude each other. A white line is a neuron that is dead, or nearly so. Panel (c)
# has the same texture but no diagonal: the first neuron of *a* has nothing to do with the first of *b*,
# as chapter 1 led us to expect. In panel (d) a diagonal appears at the top left, where the canonical
# correlations are high. The table says how far it reaches. Its last row is the one-to-one matching of the
# next section, for comparison.
#
# The gap between (d) and that last row is a first warning. A canonical weight says how much a neuron
# *adds* to a mixture in which all the others already take part. A neuron with a large weight need not
# resemble the mixture. Still less need it resemble any single neuron of the other network.
#
# ## Most neurons have a partner
#
# For each neuron of *a*, take its best partner in *b*: the largest entry of its row. Several neurons may
# have the same partner. Or insist that partners are distinct, and choose them so that the sum of all
# correlations is as large as possible: this is the **one-to-one matching** of the next chapter. As a
# control, shuffle the examples of *b*, so that there is nothing left to find.

# %%
best = between.max(axis=1)
one_to_one = match_one_to_one(between)  # distinct partners, the largest sum
matched = between[one_to_one.la, one_to_one.lb]
shuffled = torch.from_numpy(np.random.default_rng(seed).permutation(pair.n))
control = correlation(pair.la, pair.lb[shuffled]).numpy().max(axis=1)

# %% tags=["hide-input"]
fig = plots.histograms(
    {
        "correlation with the partner": {
            "best partner": best,
            "one-to-one partner": matched,
            "best partner, examples shuffled": control,
        }
    },
    ylabel="neurons of a",
    threshold=threshold,
)
plots.show(
    fig,
    f"Correlation of each of the {width} neurons of a with its partner in b. Dashed: {threshold:g}. "
    f"{where}; all neurons of one pair are counted.",
    "Three histograms. The control is a narrow peak near 0. Best partners form a broad hump towards "
    "1; one-to-one partners are the same with a tail towards lower values.",
)

# %% [markdown]
# The control shows how well the best of many candidates does by chance alone. The real partners do far
# better. This is no accident: the two networks have learned much the same neurons.
#
# What does a correlation look like? Here are three pairs of the one-to-one matching: the best, the middle
# one, and the one a tenth from the end. For both neurons of each we show the images that excite it most.

# %% tags=["hide-input"]
ranked = matched.argsort()[::-1]
pairs = ranked[[0, len(ranked) // 2, int(0.9 * len(ranked))]]
columns = [layer[:, j] for i in pairs for layer, j in
           ((pair.la, one_to_one.la[i]), (pair.lb, one_to_one.lb[i]))]  # fmt: skip
top = torch.stack([column.argsort(descending=True)[:10] for column in columns])
labels = [f"{net} {j + 1}  (r = {matched[i]:.2f})" for i in pairs for net, j in
          (("a", one_to_one.la[i]), ("b", one_to_one.lb[i]))]  # fmt: skip
shape = data.image_shape
if len(shape) > 1:  # images, not rows of a table
    pictures = ((x[top] - x.min()) / (x.max() - x.min())).reshape(*top.shape, *shape)
    if len(shape) == 3:  # colours last, wherever the file has them
        pictures = pictures.movedim(int(np.argmin(shape)) - 3, -1)
        pictures = pictures if pictures.shape[-1] in (1, 3) else pictures.mean(-1)
    plots.show(
        plots.example_images(pictures, labels),
        f"The {top.shape[1]} images that excite each neuron most, for three pairs of the one-to-one "
        "matching; r is the correlation of the pair, and rows 1 and 2, 3 and 4, 5 and 6 belong together. "
        f"{where}.",
        f"Six rows of {top.shape[1]} images, two for each pair. The two rows of the best pair show the "
        "same shape; the lower the correlation, the less the two rows of a pair share.",
    )

# %% [markdown]
# ## Two ways to count partners
#
# Section 5.2.2 counts pairs of neurons with a correlation of 0.7 or higher. There are two ways to count,
# and they answer different questions. *How many neurons of a have a twin in b?* For this, count the rows
# whose largest entry is high enough. *How many pairs are there?* For this, count the entries of the
# one-to-one matching. The second count is never larger than the first. Several neurons of *a* may have
# chosen the same partner, and then all but one of them must settle for less.

# %%
chosen = semi_match(between).lb  # each neuron of a picks its best in b
distinct = len(np.unique(chosen[best >= threshold]))
dead_a, dead_b = (int((scale == 0).sum()) for scale in (pair.scale_a, pair.scale_b))

# %% tags=["hide-input"]
counts = {
    f"neurons of a whose best partner has {threshold:g} or more": int((best >= threshold).sum()),
    "distinct partners that these have": distinct,
    f"pairs of the one-to-one matching with {threshold:g} or more": int(
        (matched >= threshold).sum()
    ),
    "dead neurons of a, which have no partner": dead_a,
    "dead neurons of b": dead_b,
    f"examples shuffled: neurons of a with {threshold:g} or more": int(
        (control >= threshold).sum()
    ),
}
plots.table(
    pd.DataFrame({"count": counts.keys(), "of this pair": counts.values()}),
    f"Out of {width} neurons in each network ({where}).",
)

# %% [markdown]
# ## Measured and published
#
# The paper reports 203 pairs of neurons on MNIST, as an average over 200 network pairs.

# %% tags=["hide-input"]
published = 203  # Section 5.2.2
ours = {
    "row maxima": int((best >= threshold).sum()),
    "one-to-one": int((matched >= threshold).sum()),
}
plots.table(
    pd.DataFrame(
        {
            "way to count": ours.keys(),
            "paper": published,
            "this pair": ours.values(),
            "ratio": [f"{c / published:.2f}" for c in ours.values()],
            "within a tenth": [
                "yes" if abs(c / published - 1) <= 0.1 else "no" for c in ours.values()
            ],
        }
    ),
    f"Neurons with a correlation of {threshold:g} or higher ({where}, {epochs} epochs). Paper: MNIST, "
    "mean of 200 pairs. One pair has no interval, and only with dataset = 'mnist' is it the paper's "
    "data.",
)

# %% [markdown]
# One pair cannot decide, and the default data set is a small sample. Two things move this count. One is
# the way of counting; the authors' notebook counts the first way, by *row maxima*. The other is the length of training, which
# the paper does not give (exercise 2). [Chapter 9](09-figure-3.ipynb) repeats the count over 200 pairs,
# with an interval.
#
# ## In short
#
# - The cross-correlation matrix compares every neuron of one network with every neuron of the other. It
#   does not see scale and shift. A dead neuron has correlation 0.
# - Neurons at the same index of two networks have nothing to do with each other. But most neurons have a
#   partner somewhere, far better than chance.
# - Several neurons may have the same best partner. So a count of row maxima is not a count of pairs.
#
# ## Exercises
#
# **1.** The correlation of two neurons is high and positive. Is it then safe to exchange them?
#
# <details><summary>Answer</summary>
#
# Not by itself. Correlation ignores scale, so one of them may be ten times as loud as the other. And the
# next layers may give them opposite weights. For an exchange, two neurons must agree in what comes in
# *and* in what the network does with it. The crossover of [chapter 6](06-crossover.ipynb) shows how often
# the second comes with the first.
#
# </details>
#
# **2.** Run this chapter with `epochs = 0`, `1` and `60`. If you have a few minutes, do the same on all
# of MNIST, with `0`, `1` and `8`. What happens to the counts?
#
# <details><summary>Answer</summary>
#
# Without training hardly any neuron has a partner: what the networks share, they have learned. Most of it
# comes with the first epoch. After that the two data sets part ways. With seed 0 we saw the counts rise
# slowly on the small sample and fall on all of MNIST, where eight epochs are many more steps of Adam. One
# explanation is that neurons first learn the few strong features that every network finds, and later
# specialise in ways that their partners do not follow. In any case a count at a threshold belongs to a
# length of training. A count that is published without it can be met only by chance.
#
# </details>
#
# **Next:** [Match neurons](04-matching.ipynb)
