# %% [markdown]
# # Permute neurons
#
# **A neuron may move to another place in its layer without any change of the function, if its incoming
# weights, its bias and its outgoing weights move with it. So matched neurons of two networks can be brought
# to the same place, and neither network notices.**
#
# - **You will** bring matched neurons to the same place, by hand and in code, and check that the
#   networks still compute the same function.
# - **You need** the two lists of indices from [chapter 4](04-matching.ipynb).
# - **Runtime:** seconds with the default parameters. On all of MNIST, training the two parents takes
#   most of it.
#
# This chapter covers Section 4.3 of
# [Uriot and Izzo (2020)](https://doi.org/10.1145/3377930.3390197), and with it Algorithm 2. It takes data
# of your own (`-p dataset own.npz`): images, or tables of numbers. For tables it leaves out the pictures
# of weights.

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
seed = 0  # of both parents, and of the random lists
n_shown = 100  # neurons drawn, as in the paper's Figure 2
n_images = 6  # matched pairs drawn as images, from each end of the list

# %% tags=["hide-input"]
from math import lgamma, log

import numpy as np
import pandas as pd
import torch
from IPython.display import Markdown

from safecross import (
    OPERATORS,
    Network,
    align_layers,
    evaluate,
    function_difference,
    initialise,
    layer_pairs,
    load_data,
    permute,
)
from safecross.alignment.spelling import parse_operator
from safecross.book import plots
from safecross.replication.config import Config
from safecross.replication.pairs import train_parents

SVCCA = f"sc-cca:directions={max(width // 2, 1)}"  # the paper's 256 of 512
operators = [SVCCA if name == "sc-cca" else name for name in OPERATORS]
config = Config(dataset, (width,), epochs, 1, operators, seed=seed)

# %% [markdown]
# ## Why a permutation changes nothing
#
# Move a hidden neuron to another place in its layer. Take along the weights that lead *into* it, its
# bias, and the weights that lead *out* of it. The next layer then receives exactly the same sum as
# before, with its terms in another order.
#
# In this book the rows of a weight matrix are inputs and its columns outputs, as in the paper. So the
# weights into neuron $j$ of layer $d$ are *column* $j$ of $W^d$, and the weights out of it are *row* $j$
# of $W^{d+1}$. Algorithm 2 moves both. For each hidden layer $d = 1, \dots, D$, and for each of the two
# networks with *its own* list $l^d$, it does the following:
#
# 1. **Order the columns** of $W^d$, and the biases, by $l^d$. (From the second layer on, the rows of
#    this matrix are in a new order already. They stay so.)
# 2. **Order the rows** of $W^{d+1}$ by $l^d$.
#
# In symbols, starting from $\tilde W^1 = W^1$ (lines 3 to 7 of Algorithm 2; the paper does not
# number them),
#
# $$
# \begin{gathered}
# \tilde W^d = \tilde W^d[:, l^d], \qquad \tilde b^d = b^d[l^d], \\
# \tilde W^{d+1} = W^{d+1}[l^d, :].
# \end{gathered}
# $$
#
# The paper counts the biases among the weights. Here they are written out.
#
# ## Three neurons by hand
#
# Take a network with two inputs, three hidden neurons and two outputs, and the list $(2, 1, 3)$,
# counting from 1. Neuron 2 moves to the first place and neuron 1 to the second. This is the list
# $l_b$ of the paper's Figure 1. Before you look at the second row of the figure, move the columns
# and rows in your head.

# %%
inward = torch.tensor([[1.0, 2.0, 3.0], [-1.0, -2.0, 4.0]])
outward = torch.tensor([[5.0, 6.0], [-7.0, 8.0], [9.0, 0.0]])
biases = [torch.tensor([0.0, 1.0, -1.0]), torch.zeros(2)]
theta = Network([inward, outward], biases)
lb = [1, 0, 2]  # (2, 1, 3), counted from 0
permuted = permute(theta, [lb])

# %% tags=["hide-input"]
before = [f"n{i + 1}" for i in range(3)]
after = [before[i] for i in lb]
both = [(theta, before), (permuted, after)]
fig = plots.matrices(
    [part for net, _ in both for part in (net.weights[0], net.biases[0], net.weights[1])],
    [f"{symbol}, {when}" for when in ("before", "after") for symbol in ("W¹", "b¹", "W²")],
    rows=[part for _, names in both for part in (["in 1", "in 2"], [""], names)],
    columns=[part for _, names in both for part in (names, names, ["out 1", "out 2"])],
)
plots.show(
    fig,
    "The weights of a network with three hidden neurons (n1, n2, n3) before and after Algorithm 2 "
    "with the list (2, 1, 3). Made-up weights; the colour repeats the number.",
    "Two rows of three small matrices. In the second row the first two columns of W1 and of the "
    "biases have changed places, and so have the first two rows of W2.",
)

# %% [markdown]
# The first two columns of $W^1$ have changed places, the first two biases too, and the first two
# *rows* of $W^2$. Nothing else has. Is the function the same? Put many inputs through both networks,
# and look for the largest difference between their outputs:

# %%
grid = torch.linspace(-3, 3, 13)
points = torch.cartesian_prod(grid, grid)
difference = function_difference(theta, permuted, points)

# %% tags=["hide-input"]
Markdown(
    f"The largest difference on {len(points)} inputs is **{difference:g}**. "
    f"(The outputs range from {theta(points).min():g} to {theta(points).max():g}.)"
)

# %% [markdown]
# ## A slip in the paper
#
# Line 7 of Algorithm 2 in the paper orders the rows of $W_b^{d+1}$ by $l_a^d$, the list of the
# *other* network. Taken literally, the neurons of *b* move in one order and their outgoing weights in
# another. Let us do that, with $l_a = (1, 3, 2)$ from the same Figure 1:

# %%
la = [0, 2, 1]  # (1, 3, 2), counted from 0
literal = Network([inward[:, lb], outward[la]], [biases[0][lb], biases[1]])
broken = function_difference(theta, literal, points)

# %% tags=["hide-input"]
Markdown(
    f"The largest difference is now **{broken:g}**: this is another function. "
    f"With *b*'s own list in line 7 it is {difference:g}, as we saw above. So the line needs the list "
    "of *b*, and the package uses it."
)

# %% [markdown]
# ## More than one hidden layer
#
# With several hidden layers, $W^2$ is reordered twice: its rows follow the first hidden layer, its
# columns the second. Each layer has its own list, and it does not matter which layer comes first. Here
# is a network with three hidden layers and random weights. We permute the first layer alone, then the
# first two, then all three. Each time we look at the largest difference of an output.

# %%
rng = np.random.default_rng(seed)
deep = initialise([4, 5, 6, 5, 3], seed=seed)
lists = [rng.permutation(p) for p in deep.widths[1:-1]]
stay = [np.arange(p) for p in deep.widths[1:-1]]
inputs = torch.from_numpy(rng.normal(size=(200, 4)))
stages = [permute(deep, lists[:d] + stay[d:]) for d in range(4)]

# %% tags=["hide-input"]
rows = [
    {
        "hidden layers permuted": d,
        "weights that changed place": sum(
            int((a != b).sum()) for a, b in zip(stage.weights, deep.weights, strict=True)
        ),
        "largest difference": function_difference(deep, stage, inputs),
    }
    for d, stage in enumerate(stages)
]
plots.table(
    pd.DataFrame(rows),
    f"A {'-'.join(map(str, deep.widths))} network with {sum(w.numel() for w in deep.weights)} "
    f"weights, permuted layer by layer (n = {len(inputs)} random inputs, seed {seed}). The "
    "differences are rounding in float32.",
    {"largest difference": "{:.1e}"},
)

# %% [markdown]
# ## How many conventions?
#
# A layer of $p$ neurons can be written down in $p!$ orders. A network with $D$ hidden layers of that
# width has $(p!)^D$ *conventions*: so many ways to write down one and the same function. This is the
# competing conventions problem of the paper's introduction. When two networks are trained apart,
# nothing makes them choose the same convention.

# %% tags=["hide-input"]
sizes = {"this chapter's toy": (3, 1), "the paper on MNIST": (512, 1), "on CIFAR-10": (100, 3)}
digits = {name: d * lgamma(p + 1) / log(10) for name, (p, d) in sizes.items()}
plots.table(
    pd.DataFrame(
        [
            (
                name,
                *sizes[name],
                f"{10**e:.0f}" if e < 6 else f"{10 ** (e % 1):.1f} × 10<sup>{e // 1:.0f}</sup>",
            )
            for name, e in digits.items()
        ],
        columns=["network", "p", "D", "conventions"],
    ),
    "Ways to write down one and the same network with D hidden layers of p neurons.",
)

# %% [markdown]
# ## When the function is not kept
#
# All this holds for lists that are *permutations*: every neuron occurs once. A semi-matching may repeat
# some neurons and leave out others. Algorithm 2 still returns a network then, but one that computes
# something else. Here is the toy, with neuron 2 in both the first and the second place:

# %%
semi = function_difference(theta, permute(theta, [[1, 1, 2]]), points)

# %% tags=["hide-input"]
Markdown(f"The largest difference is **{semi:g}**. Neuron 1 is gone, and neuron 2 counts twice.")

# %% [markdown]
# ## A trained pair
#
# Now two trained networks. Each operator of the registry matches their neurons, and Algorithm 2
# permutes both networks. The table shows what becomes of the two functions: the largest difference of
# any output on the validation set, and the accuracies afterwards.

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

# %% tags=["hide-input"]
rows = []
for operator, alignment in alignments.items():
    row = {"operator": operator, "1 : 1": "yes" if alignment.is_one_to_one else "no"}
    for side, parent, moved in zip(
        "ab", (theta_a, theta_b), alignment.apply(theta_a, theta_b), strict=True
    ):
        row[f"diff. {side}"] = function_difference(parent, moved, x)
        row[f"acc. {side}"] = float(evaluate(moved, x, y)[1])
    rows.append(row)
accuracies = [float(evaluate(theta, x, y)[1]) for theta in (theta_a, theta_b)]
where = f"{data.name}, n = {len(x):,} validation examples, seed {seed}"
effects = pd.DataFrame(rows)
plots.table(
    effects,
    f"Both parents after Algorithm 2, by operator ({where}; {width} hidden neurons). Before it, "
    f"their accuracies are {accuracies[0]:.3f} and {accuracies[1]:.3f}. "
    "Diff.: largest difference of an output before the softmax; acc.: accuracy afterwards.",
    {c: "{:.1e}" if "diff" in c else "{:.3f}" for c in effects.columns[2:]},
)

# %% [markdown]
# Every operator that is one to one keeps both functions, up to rounding. The semi-matchings keep the
# function of the network that picks, and change that of the network that is picked from. Section 4.2 of
# the paper says so too; here is how large the change is.
#
# ### The diagonal lights up
#
# What has the permutation gained? Look at the correlations between the neurons of the two networks,
# before and after the alignment by `sc-pwc`. Network *a* stays as it is. The neurons of *b* move, and
# with them the columns of the matrix.

# %%
aligned_a, aligned_b = alignments["sc-pwc"].apply(theta_a, theta_b)
[pair_before], [pair_after] = pairs, layer_pairs(aligned_a, aligned_b, x)
matrices = [p.between.numpy() for p in (pair_before, pair_after)]
diagonals = [matrix.diagonal().mean() for matrix in matrices]

# %% tags=["hide-input"]
first = min(n_shown, width)
fig = plots.correlation_matrices(
    [matrix[:first, :first] for matrix in matrices], ["before", "after alignment"]
)
plots.show(
    fig,
    f"Correlations between the first {first} neurons of a (rows) and of b (columns), before and "
    f"after alignment by sc-pwc, on one trained pair ({where}). The mean on the whole diagonal of "
    f"{width} is {diagonals[0]:.3f} before and {diagonals[1]:.3f} after.",
    "Two square matrices in red and blue. The left one has no visible structure. The right one has "
    "a dark red diagonal from the upper left to the lower right corner.",
)

# %% [markdown]
# ### What matched neurons look like
#
# The weights into a neuron of the first layer are an image, with one weight for each pixel. If two
# matched neurons do the same, their images should look alike, although the networks were trained apart.

# %%
diagonal = matrices[1].diagonal()
ranking = diagonal.argsort()[::-1].copy()
ends = {"most": ranking[:n_images], "least": ranking[-n_images:]}
incoming = torch.stack([aligned_a.weights[0], aligned_b.weights[0]]).mT
images = incoming.view(2, width, *data.image_shape)

# %% tags=["hide-input"]
if images.ndim == 5:  # the mean over colours, the shortest side
    images = images.mean(int(np.argmin(data.image_shape)) - 3)
for kind, chosen in ends.items() if images.ndim == 4 else []:  # images, not rows of a table
    plots.show(
        plots.weight_images(images[:, chosen], ["a", "b"], [f"{r:.2f}" for r in diagonal[chosen]]),
        f"First-layer weights of the {len(chosen)} {kind} correlated of {width} matched pairs of "
        f"neurons, a above b, each pair with its correlation ({where}). Red is above 0, blue below; "
        "each image has its own scale.",
        f"Two rows of small images of weights, network a above network b, for the {len(chosen)} "
        f"{kind} correlated pairs, whose correlations stand above them.",
    )

# %% [markdown]
# The grain in these pictures is what is left of the random start. It is strongest at the border: on MNIST
# the pixels there are black in nearly all images, so hardly anything ever changes their weights. The grain
# differs between the two networks and does no harm, since those pixels carry no signal. This is one
# reason to compare activations, and not weights.

# %% tags=["hide-input"]
dead = [int((scale == 0).sum()) for scale in (pair_before.scale_a, pair_before.scale_b)]
Markdown(
    "A correlation of exactly 0, at the end of the list, is that of a *dead* neuron, which gives the same "
    f"value on every example. Network *a* has {dead[0]} of them and *b* has {dead[1]}, out of {width} "
    "each. They find no real partner, and need none."
)

# %% [markdown]
# ## Measured and published
#
# Section 4.3 prints no numbers. But the paper makes three claims about permuting that can be checked.

# %% tags=["hide-input"]
is_kept = effects[effects["1 : 1"] == "yes"][["diff. a", "diff. b"]].max().max()
by_operator = effects.set_index("operator")
lost = by_operator.loc["sc-pwc-semi", "diff. b"]
claims = {
    "4.2: one to one keeps both": (f"differ by at most {is_kept:.1e}", is_kept < 1e-3),
    "4.2: semi-matching may change b": (f"b differs by {lost:.2g}", lost > 1e-3),
    "4.3: line 7, rows of b by list of a": (f"toy differs by {broken:g}", broken == 0),
}
plots.table(
    pd.DataFrame(
        [(claim, ours, "yes" if holds else "no") for claim, (ours, holds) in claims.items()],
        columns=["published", "ours", "holds"],
    ),
    f"Claims of the paper on permuting, checked on one pair ({where}) and on the toy. A difference "
    "below 0.001 counts as rounding.",
)

# %% [markdown]
# ## In short
#
# - To permute a neuron is to move a column of weights, a bias, and a row of the next weights together.
#   The function stays the same if every neuron is used exactly once.
# - Line 7 of the paper's Algorithm 2 has the wrong list. With the right one, functions are kept up to
#   rounding. A semi-matching does not keep the function of the network that is picked from.
# - After the permutation, neurons in the same place do similar things, and can be averaged.
#
# ## Exercises
#
# **1.** A network was permuted by a list `l`. Which list brings it back?
#
# <details><summary>Answer</summary>
#
# The inverse permutation, `np.argsort(l)`: at place `l[i]` it has `i`. Check it with
#
# ```python
# permute(permute(theta, [l]), [np.argsort(l)])
# ```
#
# whose weights equal those of `theta` exactly.
#
# </details>
#
# **2.** Suppose that two neurons of a layer have the same incoming weights, the same bias and the
# same outgoing weights. In how many different ways can the weights of this layer of $p$ neurons
# then be written down?
#
# <details><summary>Answer</summary>
#
# In $p!/2$ ways. Swapping the two equal neurons gives the same weights again, so the $p!$ orders come in
# twos. Equal neurons make conventions fewer. They do not make the matching harder: either of the two is
# as good a partner as the other.
#
# </details>
#
# **Next:** [Cross two networks over](06-crossover.ipynb)
