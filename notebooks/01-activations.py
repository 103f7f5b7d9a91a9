# %% [markdown]
# # See a neuron as the list of its responses
#
# - **You will** turn the hidden layer of a network into a matrix, look at that matrix on real
#   images, and see why two equal networks can fail to be averaged.
# - **You need** to know what a feed-forward network with ReLU neurons is. Nothing else.
# - **Runtime:** seconds with the default parameters, minutes on all of MNIST. Most of it goes into
#   training one network.
#
# This chapter covers Section 3.1 of {cite:t}`uriot2020safe`, and the competing conventions of its
# introduction.

# %% tags=["parameters"]
dataset = "mnist5k"  # a known data set, or the path of an .npz file
epochs = 20  # passes over the training images
width = 512  # neurons in the hidden layer, as in the paper
seed = 0  # of the network, and of the random order at the end

# %% tags=["hide-input"]
import math

import numpy as np
import pandas as pd
import torch

from safecross import (
    Network,
    activations,
    evaluate,
    function_difference,
    interpolate,
    load_data,
    permute,
    plots,
)
from safecross.config import Config
from safecross.experiment import train_parents

config = Config(dataset, (width,), epochs, n_pairs=1, operators=("naive",), seed=seed)

# %% [markdown]
# ## What is a neuron?
#
# One answer is: its weights. Neuron $j$ of a hidden layer has a column of incoming weights and a
# bias. But weights are hard to compare. The second layer of one network reads the outputs of its
# own first layer, which mean nothing in another network.
#
# The paper follows {cite:t}`li2016convergent` and gives another answer: a neuron is *what it does*.
# Fix a batch of examples $x_1, \dots, x_n$, show each of them to the network, and write down the
# value $g_j(x_i)$ that the neuron puts out. The list of these values stands for the neuron:
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
# (The paper does not number these two; both are in its Section 3.1.) The gain is that lists of
# responses to the *same* examples can be compared, whatever network, layer or width they come from.
# Everything in the next five chapters starts from two such matrices, $L_a$ and $L_b$.
#
# ## By hand: three neurons
#
# Here is a network small enough to compute on paper. It has two inputs, three hidden neurons and
# one output $z$:
#
# $$
# h_1 = \max(0,\; x_1 + x_2), \qquad
# h_2 = \max(0,\; x_1 + x_2 - 1), \qquad
# h_3 = \max(0,\; - x_1 - x_2), \qquad
# z = h_1 - 2 h_2 + h_3 .
# $$
#
# Take the example $x = (1, 1)$. The first neuron gives $1 + 1 = 2$, the second $1 + 1 - 1 = 1$, the
# third $\max(0, -2) = 0$, and the output is $2 - 2 \cdot 1 + 0 = 0$. Now the same by code, for all
# four corners of the unit square. In `Network`, rows of a weight matrix are inputs and columns are
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
# Read the table by columns. Each column *is* a neuron. Two things are worth noticing.
#
# - The output is 0, 1, 1, 0: the network computes the exclusive or of its inputs.
# - The third neuron never responds. On this batch it is **dead**: its column is constant. With an
#   input such as $(-1, 0)$ it would respond, so being dead is a property of a neuron *and a batch*.
#
# ## A trained network
#
# Now a real one: a hidden layer of ReLU neurons, trained to tell digits apart. It is network *a* of
# the pair that the next chapters work with. The batch is the validation set, as in the paper's
# experiments.

# %%
((theta_a, _),) = train_parents(config, [0])
data = load_data(dataset)
x, y = data.split("validation")
[La] = activations(theta_a, x)
loss, accuracy = evaluate(theta_a, x, y)

# %% tags=["hide-input"]
where = f"{data.name}, n = {len(x):,} validation images, seed {seed}"
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
# ### What excites a neuron?
#
# The simplest way to read a column of $L$ is to sort it and look at the images at the top. Call the
# class on which a neuron is most active on average its *favourite*. For each class, here is one of
# the neurons that favour it, the one whose response varies most, with its ten most exciting images.

# %%
classes = range(data.n_classes)
by_class = torch.stack([La[y == c].mean(0) for c in classes])  # (classes, p)
living = La.amax(0) > La.amin(0)
favourite = by_class.argmax(0)
spread = La.std(0)
favoured = favourite[living].unique()[:10]
fans = [int((spread * (favourite == c)).argmax()) for c in favoured]

# %% tags=["hide-input"]
top = La[:, fans].argsort(dim=0, descending=True)[:10].T
of_class = (y[top] == favourite[fans][:, None]).double().mean()
fig = plots.example_images(
    x[top].reshape(*top.shape, *data.image_shape),
    [f"neuron {j + 1}, favourite {favourite[j]}" for j in fans],
)
plots.show(
    fig,
    f"The ten images that excite each of {len(fans)} neurons most, the most exciting on the left. "
    f"{of_class:.0%} of them are of the neuron's favourite class. {where}.",
    f"A grid of {len(fans)} rows of ten images. Most rows show strokes of one kind, often but not "
    "always one class.",
)

# %% [markdown]
# A row tends to look alike, and it does not always hold one class only. What the images share may
# be a stroke in a certain place rather than a meaning.
#
# ### The whole matrix at a glance
#
# Sort the rows of $L$ by class, and the columns by the neuron's favourite. Divide each column by its
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
# The staircase is there, and so is a great deal of ground. To put a number on it, we say that a
# neuron *responds to* a class if its mean activation there is at least half of what it is on the
# neuron's favourite class. The threshold is ours; exercise 2 varies it.

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
# us that some never respond at all. How many there are depends on the batch: on more images, or on
# others, some wake up.

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
batches = {
    "the first 100 validation images": x[:100],
    "all validation images": x,
    "all training images": x_train,
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
# Dead neurons matter for what follows. A column without variance has no correlation with anything,
# and a formula that divides by its standard deviation would divide by zero. The paper does not
# mention them. The package gives them correlation 0 and canonical weight 0, up to rounding.
#
# ## Competing conventions
#
# Nothing in the definition of $L$ fixes the *order* of the columns. Renumber the neurons of a hidden
# layer, that is, reorder the columns of the incoming weights, the biases and the *rows* of the
# outgoing weights alike. The columns of $L$ change places, and the output stays what it was, since
# the sum over neurons does not care about their order.
#
# Here this is for the toy network. On the left it is as above. In the middle the first two neurons
# have changed places. On the right is the average of the two, weight by weight. The averaged neurons
# compute $\max(0, x_1 + x_2 - \tfrac12)$, which neither parent computes anywhere.

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
# This is the **competing conventions problem**: one function, many ways to write it down, and the
# average of two of them is not a third. A hidden layer of $p$ neurons has $p!$ conventions. Two
# networks that were trained apart have no reason to agree on one.
#
# The trained network shows the same. We renumber its neurons at random, and then average the network
# with its own renumbered copy. Both parents are *the same function*, so that any loss of the
# offspring comes from the order alone.

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
print(f"columns of L merely reordered: {bool(torch.allclose(L_copy, La[:, order], atol=1e-5))}")
print(
    f"largest difference of the logits of a and its copy: {function_difference(theta_a, copy, x):.1e}"
)
print(
    f"orders of {width} neurons: a number of {int(math.lgamma(width + 1) / math.log(10)) + 1:,} digits"
)

# %% [markdown]
# The difference of the logits is rounding: the same numbers are summed in another order.
#
# The rest of this part looks for the way back. Given $L_a$ and $L_b$ of two networks, which column
# of one belongs to which column of the other? The next two chapters build the two instruments that
# the paper uses to ask, canonical correlation and pairwise correlation.
#
# ## Measured and published
#
# Section 3.1 is a definition and prints no number. But Section 5.2.2 rests an explanation on what
# single neurons do. It supposes that on a data set as simple as MNIST each of them comes to recognise
# one digit only, which would make one-to-one matching ideal. That can be looked at here.

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
# ## Summary
#
# - A neuron is the list of its responses to a fixed batch; a layer is the matrix $L$ of these lists.
# - Some columns of $L$ may be constant. Dead neurons belong to a network and a batch.
# - Reordering columns is reordering neurons. The function stays, but averages of weights do not.
#
# ## Exercises
#
# **1.** The output layer of the toy network reads $z = h_1 - 2 h_2 + h_3$. Multiply the incoming
# weights and the bias of neuron 2 by 4. What must you do to the outgoing weight to keep the function?
# Is this one more family of conventions, and does it change which neurons are *correlated*?
#
# :::{admonition} Answer
# :class: dropdown
#
# Divide the outgoing weight by 4. Since $\max(0, 4u) = 4 \max(0, u)$ for a ReLU, the function stays.
# So yes: every positive scaling of a ReLU neuron is a convention too. The column of $L$ is multiplied
# by 4, and correlations do not see a positive factor. The instruments of the next two chapters are
# therefore blind to scale. They find who belongs to whom, not how loud each one is.
# :::
#
# **2.** Change the threshold of one half in `responds` to 0.2 and to 0.8 and run the cells again.
# Which conclusions about "a single digit" survive?
#
# :::{admonition} Answer
# :class: dropdown
#
# A lower threshold can only add classes to a neuron, a higher one can only remove some. So the share
# of neurons with a single class grows with the threshold, and a statement about it means something
# only together with the threshold. What survives is what the picture of the whole matrix shows:
# preference for a class is a matter of degree.
# :::
#
# **Next:** [chapter 2](02-canonical-correlation.ipynb) asks what two layers have in common when no
# neuron needs to have a partner.
