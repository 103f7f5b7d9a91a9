# %% [markdown]
# # Align any PyTorch model
#
# **Two trained models of one structure, convolutional or not, are aligned and averaged in five lines. What
# may be permuted together is read off the model's own graph and proven by permuting it. With batch norms,
# alignment is only half of the work: their statistics have to be estimated anew.**
#
# - **You will** see which axes of a network's tensors belong together, plant a permutation and find it, and
#   cross two small convolutional networks over.
# - **You need** crossover of two plain networks from [chapter 6](06-crossover.ipynb).
# - **Runtime:** about a minute with the default parameters.
#
# The paper leaves convolutions to future work (Section 6 of
# [Uriot and Izzo (2020)](https://doi.org/10.1145/3377930.3390197)). This chapter takes images of your own
# (`-p dataset own.npz`); rows of numbers have no place in a convolution.

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
dataset = "mnist5k"  # a known data set of images, or the path of an .npz file
architecture = "vgg7"  # or resnet9, resnet20, mlp, transformer
width = 8  # channels of the first convolution, or neurons of a layer
epochs = 5  # passes over the training images, for both parents
seed = 0  # of both parents: each derives its own from it

# %% tags=["hide-input"]
import pandas as pd
import torch
from IPython.display import Markdown

import safecross
from safecross.book import plots
from safecross.modules import Move, Permutation, reestimate
from safecross.modules.config import ModuleConfig
from safecross.modules.pairs import ModulePairs, images
from safecross.modules.table import load_peers, load_table

config = ModuleConfig(dataset, f"{architecture}:width={width}", epochs, 1, ("naive",), seed=seed)

# %% [markdown]
# ## Two networks to cross over
#
# Six convolutions with batch norm and a linear layer, a small VGG. A *channel* of a convolution plays the
# part of a neuron: it has one filter that writes it, and each filter of the next layer reads it.

# %%
(x, y), (x_test, y_test) = images(dataset)
(model_a, _), (model_b, _) = ModulePairs(config).train([0, 1])

# %% tags=["hide-input"]
found = {
    name: safecross.modules.evaluate(m, x_test, y_test)
    for name, m in zip("ab", (model_a, model_b), strict=True)
}
Markdown(
    " ".join(f"Parent *{n}* is right on {a:.1%} of the test images." for n, (_, a) in found.items())
)

# %% [markdown]
# ## Which axes belong together is read off the graph
#
# A channel cannot be moved in one tensor alone. Its filter, the scale and shift of its batch norm, the
# running mean and variance, and the filters that read it must move with it. `trace` lets PyTorch export the
# model as a graph of operations and follows each axis of each tensor through it. Axes that must move
# together are a *group*. Before it returns it moves every group at random, in double precision, and looks
# whether the outputs stay.

# %%
spec = safecross.trace(model_a, x[:2])

# %% tags=["hide-input"]
plots.show(
    plots.groups(spec),
    f"The groups of {architecture} of width {width}: a row is a tensor with its shape, a column a group with its number of "
    "channels. A disc writes the channels, a ring reads them, a square is a buffer that moves with them.",
    f"{len(spec.groups)} columns; each hangs from the convolution that writes it, over its batch norm, to the "
    "layer that reads it.",
    name="groups",
)

# %% [markdown]
# An operation that it has no rule for *pins* the axes that it touches: they stay where they are, and the
# spec names the operation. It never guesses. `print(spec)` says all of this in words.
#
# <!-- finding torchvision -->
# ## In 78 models of torchvision every free group may be permuted
#
# torchvision has 80 models that classify images. In 78 of them every group was permuted at random, with random weights and statistics, in double precision. The outputs changed by at most 2.7e-15 of their size: that is rounding. Most groups has `densenet201`, 200. An operation without a rule was met in `maxvit_t` only, and what it touches stays where it is. 2 models were not run, for want of memory: `regnet_y_128gf` and `vit_h_14`.
# <!-- /finding -->

# %% tags=["hide-input"]
rows = [
    (m["model"], m["parameters"], m["groups"], m["axes"], ", ".join(m["pinned"]), m["difference"])
    for m in load_table()
    if "error" not in m
]
columns = ["model", "parameters", "groups", "axes", "no rule for", "largest change"]
plots.table(
    pd.DataFrame(rows, columns=columns),
    "Models of torchvision, their weights drawn at random: groups that may be permuted, axes of tensors that move, and "
    "the largest change of the outputs after a random permutation of every group, relative, in double precision. Made "
    "by python -m safecross.modules.",
    formats={"parameters": "{:,}", "largest change": "{:.0e}"},
    name="torchvision",
)

# %% [markdown]
# <!-- finding peers -->
# The same was asked of the packages of others that can be installed by name, on 22 models: `rebasin` is right on 8 (and on 1 more but for running statistics), wrong on 9 and refuses 4; `sinkhorn-rebasin` is right on 5, wrong on 1 and refuses 16. Ours is right on 21, wrong on none, and leaves the LSTM's neurons where they are. *Wrong* means that permuting what the tool says may be permuted changes the outputs.
# <!-- /finding -->

# %% tags=["hide-input"]
plots.table(
    load_peers().reset_index(),
    "Random permutations, or one sweep of the tool's own matching, of all that each tool says may be permuted: right if no "
    "output changes by more than 1e-5. Small models are those of the package's tests. Made by python -m benchmarks.peers.",
    name="peers",
)

# %% [markdown]
# ## A planted permutation is found again
#
# Shuffle the channels of *a* in every group. The function stays, the tensors do not. Aligning by correlation
# brings every living channel back; channels that never respond are alike, and may change places.

# %%
generator = torch.Generator().manual_seed(seed)
shuffle = {
    name: Permutation(torch.randperm(group.size, generator=generator))
    for name, group in spec.groups.items()
}
shuffled = Move(spec, shuffle)(model_a)
safecross.assert_function_preserved(model_a, shuffled, x[:50])
back = safecross.align(shuffled, to=model_a, x=x[:500], spec=spec)

# %% tags=["hide-input"]
pairs = safecross.modules.group_pairs(model_a, model_a, x[:500], spec)
rows = []
for name, group in spec.groups.items():
    alive = pairs[name].scale_a > 0
    right = shuffle[name].order[back.maps[name].order] == torch.arange(group.size)
    rows.append((name, group.size, int(alive.sum()), int((right & alive).sum())))
plots.table(
    pd.DataFrame(rows, columns=["group", "channels", "living", "living, back in place"]),
    f"A planted permutation of {architecture} of width {width}, undone by correlation on 500 training images, seed {seed}.",
    name="planted",
    fold=False,
)

# %% [markdown]
# ## Five lines from two models to their child
#
# This is all that two models of your own need. `x` may be a tensor, a `DataLoader` or any iterable of
# batches; statistics are summed up batch by batch.

# %%
spec = safecross.trace(model_a, x[:2])
move = safecross.align(model_b, to=model_a, x=x[:1000], spec=spec)
safecross.assert_function_preserved(model_b, move(model_b), x_test[:100])
child = safecross.interpolate(model_a, move(model_b), 0.5)
child = reestimate(child, x[:1000])

# %% [markdown]
# ## Alignment and new statistics need each other
#
# A batch norm divides a channel by the deviation that it had in training. The average of two channels that
# do not agree varies less than either: the running variances of the parents, averaged or not, are too large
# for it, and the signal shrinks from layer to layer. Estimating them anew on a few training images costs one
# pass and changes no weight.

# %% tags=["hide-input"]
curves = {}
for label, alignment in (("naive", None), ("SC-PwC", move)):
    for more, data in (("", None), (", new statistics", x[:1000])):
        curves[label + more] = safecross.crossover_curve(
            model_a,
            model_b,
            x_test,
            y_test,
            alignment=alignment,
            t=torch.linspace(0, 1, 9),
            data=data,
        )
operators = {name: "sc-pwc" if "PwC" in name else "naive" for name in curves}
plots.show(
    plots.lines(
        {n: (c.t, c.accuracy) for n, c in curves.items()},
        "crossover point t",
        "accuracy",
        operators,
    ),
    f"Accuracy between the two parents, one pair, seed {seed}, {len(x_test):,} test images of {dataset}; "
    "statistics estimated on 1,000 training images. Dashed: the same with new statistics.",
    "Four curves that start and end at the parents. Naive crossover falls to guessing; with alignment and "
    "new statistics the curve stays highest.",
    name="module-curves",
)

# %% tags=["hide-input"]
middle = {name: curve.accuracy[4] for name, curve in curves.items()}
Markdown("Halfway, at t = 0.5: " + "; ".join(f"{n} {a:.1%}" for n, a in middle.items()) + ".")

# %% [markdown]
# [Chapter 16](16-modules.ipynb) asks the same of more pairs and of other architectures, with networks that
# were trained to the end.
#
# ## In short
#
# - A group is a set of axes that must move together; `trace` reads the groups off the model's graph and
#   proves them by moving each.
# - Channels are neurons and positions are examples: all that the earlier chapters say of alignment holds.
# - A child with batch norms needs their statistics estimated anew (`reestimate`, or `data=` of
#   `interpolate`).
# - On the command line: `safecross crossover A.safetensors B.safetensors --model my_package.my_net:build
#   --data own.npz --reestimate -o CHILD.safetensors`.
#
# ## Exercises
#
# **1.** Run this chapter with `-p architecture resnet9`. Why are there fewer groups than
# convolutions?
#
# <details><summary>Answer</summary>
#
# A residual sum adds channel 1 to channel 1, channel 2 to channel 2. Both sides of the sum must be
# permuted alike, so the convolutions that write them share a group.
#
# </details>
#
# **2.** Why does a linear layer after `Flatten` move blocks of its columns?
#
# <details><summary>Answer</summary>
#
# Each channel becomes as many columns as it has positions, one after the other. Where the channel goes,
# all of its columns go; `trace` keeps the stride and the number of repeats of each axis.
#
# </details>
#
# **Next:** [Cross trained convolutional networks over](16-modules.ipynb)
