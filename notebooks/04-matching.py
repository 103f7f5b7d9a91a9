# %% [markdown]
# # Match neurons
#
# **Matching writes down which neuron of one network corresponds to which neuron of the other.
# Algorithm 1 reads it from canonical weights, one pair for each component, and leaves the rest to chance.
# One-to-one matching by correlation chooses all pairs together.**
#
# - **You will** pair the neurons of two networks in every way the package knows, first by hand on
#   networks of three neurons, then by code on a trained pair.
# - **You need** canonical weights from [chapter 2](02-canonical-correlation.ipynb) and the
#   correlation between two layers from [chapter 3](03-pairwise-correlation.ipynb).
# - **Runtime:** seconds with the default parameters. On all of MNIST, training the two parents takes
#   most of it.
#
# This chapter covers Sections 4.1 and 4.2 of
# [Uriot and Izzo (2020)](https://doi.org/10.1145/3377930.3390197): Algorithm 1, and matching by
# pairwise correlation. It takes data of your own, of any kind (`-p dataset own.npz`).

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
seed = 0  # of both parents: each derives its own from it

# %% tags=["hide-input"]
import numpy as np
import pandas as pd
import torch
from IPython.display import Markdown
from scipy.linalg import hadamard

from safecross import (
    OPERATORS,
    Network,
    align_layers,
    cca,
    cca_of_pair,
    complete,
    layer_pairs,
    load_data,
    match_components,
    match_components_by_rank,
    match_greedy,
    match_one_to_one,
    semi_match,
)
from safecross.alignment.spelling import parse_operator
from safecross.book import plots
from safecross.replication.config import Config
from safecross.replication.pairs import train_parents

SVCCA = f"sc-cca:directions={max(width // 2, 1)}"  # the paper's 256 of 512
operators = [SVCCA if name == "sc-cca" else name for name in OPERATORS]
variants = [f"{SVCCA},leftover=correlation", f"{SVCCA},rule=rank"]
config = Config(dataset, (width,), epochs, 1, operators + variants, seed=seed)

# %% [markdown]
# ## Two lists say who belongs to whom
#
# Two networks learn the same task from different starts. Often both find the same feature, but in
# different places: what neuron 7 does here, neuron 301 does there. To **match** neurons is to write
# down who corresponds to whom.
#
# The answer is always a pair of lists, $l_a$ and $l_b$. The neuron in place $i$ of $l_a$ goes with the
# neuron in place $i$ of $l_b$. The paper counts neurons from 1, and so do the tables and figures here.
# The package counts from 0, as Python does.
#
# There are two sources for the lists: the canonical weights (Section 4.1 of the paper), and the
# correlation matrix (Section 4.2).
#
# ## Algorithm 1: a pair from each canonical component
#
# CCA returns pairs of vectors $w_a^k, w_b^k$, one pair for each component $k$, in order of decreasing
# correlation. A large coefficient means that its neuron contributes much to the component. If a neuron
# of *a* and a neuron of *b* both have large coefficients *of the same sign*, they rise and fall
# together within that component. Algorithm 1 makes one pair of neurons from each component. For
# $k = 1, 2, \dots$, with all neurons that are still free, it does the following:
#
# 1. **Look at the lower end.** Take the smallest coefficient of *a* and the smallest of *b*, and
#    the size of their sum, $s^k_-$.
# 2. **Look at the upper end.** Do the same with the two largest coefficients: $s^k_+$.
# 3. **Pair at the stronger end.** If $s^k_+ > s^k_-$, the pair is the two neurons with the
#    largest coefficients; if not, the two with the smallest.
# 4. **Take both neurons out.** They are no longer free.
#
# In symbols, the two ends are (lines 2 and 3 of Algorithm 1; the paper does not number them)
#
# $$
# \begin{aligned}
# s^k_- &= \left| \min w_a^k + \min w_b^k \right|, \\
# s^k_+ &= \left| \max w_a^k + \max w_b^k \right|.
# \end{aligned}
# $$
#
# Why two ends? The sign of canonical weights is arbitrary: $-w_a^k$ and $-w_b^k$ solve the same
# problem. So a strong pair may show up as two very large coefficients or as two very negative ones,
# and the algorithm has to look for both.
#
# ## The toy of Figure 1
#
# The paper's Figure 1 has two networks with one hidden layer of three neurons. Both have learned the
# features A, B and C, in different order. We build such a pair. The inputs are eight examples with six
# entries of ±1, chosen so that no two entries are correlated. The first three entries are the
# features. The other three are noise, which network *b* mixes in: a little into its A, more into its C,
# and most into its B. So the three canonical correlations differ, and this settles the order of the
# components, and with it the order of the pairs.

# %%
examples = torch.tensor(hadamard(8)[:, 1:7], dtype=torch.float32)
eye = torch.eye(6)
A, B, C = eye[:, 0], eye[:, 1], eye[:, 2]
like_A, like_C, like_B = A + 0.1 * eye[:, 3], C + 0.3 * eye[:, 4], B + 0.5 * eye[:, 5]

bias, outward = [torch.full((3,), 1.5), torch.zeros(1)], torch.ones(3, 1)
toy_a = Network([torch.stack([A, B, C], 1), outward], bias)
toy_b = Network([torch.stack([like_C, like_A, like_B], 1), outward], bias)
[toy] = layer_pairs(toy_a, toy_b, examples)

# %% [markdown]
# Here are the activations. Each row is an example and each column a neuron. Compare columns by eye:
# which column of *b* follows the first column of *a*?

# %% tags=["hide-input"]
fig = plots.matrices(
    [toy.la, toy.lb],
    ["network a", "network b"],
    rows=[[f"example {i + 1}" for i in range(8)]] * 2,
    columns=[["1", "2", "3"]] * 2,
    per_row=2,
)
plots.show(
    fig,
    f"Activations of the two toy networks on n = {toy.n} examples. No randomness; the colour repeats "
    "the number in the cell.",
    "Two tables of eight rows and three columns. Column 1 of a is high and low on the same examples "
    "as column 2 of b, column 2 of a as column 3 of b, and column 3 of a as column 1 of b.",
)

# %% [markdown]
# Now CCA on these six columns, and its canonical weights:

# %%
result = cca(toy.la, toy.lb)

# %% tags=["hide-input"]
fig = plots.matrices(
    [result.weights_a, result.weights_b],
    ["weights of a", "weights of b"],
    rows=[["neuron 1", "neuron 2", "neuron 3"]] * 2,
    columns=[["k = 1", "k = 2", "k = 3"]] * 2,
    per_row=2,
    pattern="{:.2f}",
)
plots.show(
    fig,
    f"Canonical weights of the toy pair (n = {toy.n}); each column is a component. The canonical "
    f"correlations are {', '.join(f'{rho:.3f}' for rho in result.correlations)}. The colour repeats "
    "the number.",
    "Two matrices of three rows and three columns. Each column has a single entry that is not zero: "
    "for the first component neuron 1 of a and neuron 2 of b, for the second neuron 3 of a and "
    "neuron 1 of b, for the third neuron 2 of a and neuron 3 of b.",
)

# %% [markdown]
# Every component has found exactly one neuron of each network. Go through the columns, write the pairs
# down, and compare with what the package returns.

# %%
found = match_components(result.weights_a, result.weights_b)

# %% tags=["hide-input"]
steps = pd.DataFrame({"k": [1, 2, 3], "correlation": result.correlations})
ends = {"s₋": torch.amin, "s₊": torch.amax}
for name, end in ends.items():
    steps[name] = (end(result.weights_a, 0) + end(result.weights_b, 0)).abs()
steps["stronger end"] = np.where(steps["s₊"] > steps["s₋"], "upper", "lower")
steps["pair (a, b)"] = [f"({i + 1}, {j + 1})" for i, j in zip(*found, strict=True)]
plots.table(
    steps,
    f"Algorithm 1 on the toy pair (n = {toy.n}), component by component. The weights are nearly all "
    "zero, so no neuron is wanted twice.",
    {"correlation": "{:.3f}", "s₋": "{:.2f}", "s₊": "{:.2f}"},
)

# %% tags=["hide-input"]
features_a, features_b = ["A", "B", "C"], ["C", "A", "B"]
fig = plots.bipartite([found], ["Algorithm 1"], toy.sizes, (features_a, features_b))
plots.show(
    fig,
    f"The pairs that Algorithm 1 finds on the toy (n = {toy.n}). Neurons are numbered from the top; "
    "the letter is the feature that each has learned.",
    "Two columns of three circles. Lines join A with A, B with B and C with C across the columns.",
)

# %% [markdown]
# ## A neuron that is already taken
#
# With real weights, the same neuron often has the largest coefficient in several components. The
# pseudocode leaves this case out. The text of the paper says that one then looks for "the next highest
# positive relationship". We read it as follows: set aside the neurons that are taken, and compare the
# two ends *again* among the free ones. Here is a case with two components. The second would choose the
# same two neurons as the first.

# %%
wa = np.array([[0.9, 0.8], [0.1, -0.6], [0.2, 0.3]])
wb = np.array([[0.2, -0.7], [0.8, 0.9], [0.1, 0.2]])
taken = match_components(wa, wb)

# %% tags=["hide-input"]
fig = plots.matrices(
    [wa, wb],
    ["weights of a", "weights of b"],
    rows=[["neuron 1", "neuron 2", "neuron 3"]] * 2,
    columns=[["k = 1", "k = 2"]] * 2,
    per_row=2,
)
plots.show(
    fig,
    "Canonical weights made up for this example: three neurons, two components. The colour repeats "
    "the number.",
    "Two matrices of three rows and two columns. In both components the largest entry of a is "
    "neuron 1 and that of b is neuron 2.",
)

# %% [markdown]
# - **Component 1.** The upper end is stronger, and it pairs neuron 1 of *a* with neuron 2 of *b*.
# - **Component 2.** Its two largest coefficients belong to the same two neurons. Without these, neurons
#   2 and 3 of *a* and neurons 1 and 3 of *b* are left. The upper end is now $0.3 + 0.2$, and the lower
#   one $-0.6 - 0.7$. Before, the upper end was the stronger one. Now the *lower* one is, and the pair is
#   neuron 2 of *a* with neuron 1 of *b*.

# %% tags=["hide-input"]
Markdown(
    "The package returns "
    + ", then ".join(f"({i + 1}, {j + 1})" for i, j in zip(*taken, strict=True))
    + "."
)

# %% [markdown]
# ### The authors' rule
#
# The notebook that the authors published follows another rule. It sorts the coefficients of *a* and
# those of *b*, and considers only pairs *of the same rank*: the smallest with the smallest, the second
# smallest with the second smallest, and so on. It tries the pair first whose two coefficients are
# largest, by the sum of their absolute values. It skips a pair if *one* of its two neurons is taken.
#
# The package has this rule as a variant, `match_components_by_rank`, or the option `rule=rank` of
# `sc-cca`. The two rules differ when one of the two neurons with the largest coefficients is taken and
# the other is free. Under Algorithm 1 the free one gets another partner. Under the rank rule it loses
# its turn.

# %%
wa[:, 1], wb[:, 1] = [0.8, -0.1, 0.7], [0.9, -0.6, 0.2]
rules = [match_components(wa, wb), match_components_by_rank(wa, wb)]

# %% tags=["hide-input"]
fig = plots.bipartite(rules, ["Algorithm 1", "rank by rank"], (3, 3))
plots.show(
    fig,
    "The two rules on made-up weights whose second component has the coefficients "
    f"{', '.join(f'{w:g}' for w in wa[:, 1])} in a and "
    f"{', '.join(f'{w:g}' for w in wb[:, 1])} in b. Dotted circles are neurons without a partner.",
    "Two small graphs. Under both rules neuron 1 of a goes with neuron 2 of b. Under Algorithm 1 "
    "neuron 3 of a goes with neuron 1 of b, under the rank rule with neuron 3 of b.",
)

# %% [markdown]
# In the second component neuron 1 of *b* has the largest coefficient of all, and it is free.
# Algorithm 1 pairs it with the free neuron of *a* that has the largest coefficient. The rank rule
# considers only neuron 1 of *a* for it, finds that one taken, and moves on.
#
# ## Neurons left over
#
# Algorithm 1 makes one pair for each component. If there are fewer components than neurons, some
# neurons are left over. This is no rare case: on MNIST the paper keeps 256 directions of 512 neurons, so
# *half* of all neurons have no component that could choose them. The paper does not say what becomes of
# them. The authors' notebook pairs them in the order of their indices. The package has two rules:
#
# - `leftover=index`, the default, does as the authors' notebook;
# - `leftover=correlation` pairs them so that the sum of their correlations is as large as possible.

# %%
start = match_components([[0.9], [0.1], [0.2]], [[0.2], [0.1], [0.8]])
correlations = np.array([[0.1, 0.2, 0.9], [0.1, 0.8, 0.0], [0.7, 0.3, 0.1]])
rest = [start, complete(start, 3, 3), complete(start, 3, 3, correlations)]

# %% tags=["hide-input"]
fig = plots.bipartite(rest, ["one component", "leftover=index", "leftover=correlation"], (3, 3))
plots.show(
    fig,
    "A single component pairs two neurons. The others follow in the order of their indices, or by "
    "correlation. Made-up weights and correlations; dotted circles are without a partner.",
    "Three small graphs. Left: neuron 1 of a with neuron 3 of b, the others alone. Middle: in "
    "addition 2 with 1 and 3 with 2. Right: in addition 2 with 2 and 3 with 1.",
)

# %% [markdown]
# ## From the correlation matrix
#
# The second source of lists needs no CCA. It is the matrix $\hat\Sigma_{a,b}$ of
# [chapter 3](03-pairwise-correlation.ipynb), which holds the correlation of each neuron $i$ of *a* with
# each neuron $j$ of *b*. The paper has two ways to use it.
#
# **Semi-matching.** Every neuron of *a* picks the neuron of *b* that it correlates with most:
#
# $$
# \pi(i) = \arg\max_j \hat\Sigma_{a,b}^{i,\,j}.
# $$
#
# Every neuron of *a* gets the partner it wants, but not every neuron of *b* gets one. A popular neuron
# is picked several times, an unpopular one never. So the network that is *picked from* loses neurons.
# The paper lets *a* pick (`sc-pwc-semi`), the authors' notebook lets *b* pick (`sc-pwc-semi-b`), and
# the results differ.
#
# **One-to-one matching.** No neuron may be used twice, and the sum of all correlations shall be as large
# as possible over all permutations $\pi$:
#
# $$
# \max_\pi \sum_i \hat\Sigma_{a,b}^{i,\,\pi(i)}.
# $$
#
# This is the *assignment problem* ([Kuhn, 1955](https://doi.org/10.1002/nav.3800020109)).
# `scipy.optimize.linear_sum_assignment`
# ([Crouse, 2016](https://doi.org/10.1109/TAES.2016.140952)) solves it exactly, in a fraction of a second
# for 512 neurons. Crossover with this matching is called `sc-pwc`: safe crossover by pairwise
# correlation. Git Re-Basin ([Ainsworth et al., 2023](https://arxiv.org/abs/2209.04836)) solves the same
# problem to merge networks.
#
# The authors' notebook does something simpler, a *greedy* matching (`sc-pwc-greedy`). The neurons of *b*
# come in index order, and each takes the best neuron of *a* that is still free. A neuron that comes late
# finds the best ones gone.
#
# Three neurons are enough to make all four answers different. Try to find the best one-to-one matching
# by hand before you look at the second figure.

# %%
correlations = np.array([[0.9, 0.8, 0.1], [0.7, 0.1, 0.0], [0.2, 0.6, 0.3]])
neurons = ["1", "2", "3"]

# %% tags=["hide-input"]
fig = plots.matrices([correlations], ["correlation"], [neurons], [neurons], per_row=1)
plots.show(
    fig,
    "Made-up correlations of three neurons of a (rows) with three of b (columns).",
    "A matrix with rows 0.9, 0.8, 0.1; 0.7, 0.1, 0; and 0.2, 0.6, 0.3.",
)

# %%
answers = {
    "each of a picks": semi_match(correlations, each="a"),
    "each of b picks": semi_match(correlations, each="b"),
    "greedy": match_greedy(correlations),
    "one-to-one": match_one_to_one(correlations),
}

# %% tags=["hide-input"]
titles = [f"{name}\nsum {correlations[m].sum():.1f}" for name, m in answers.items()]
fig = plots.bipartite(list(answers.values()), titles, (3, 3))
plots.show(
    fig,
    "Four matchings of the same matrix with their sums of correlations. Dotted circles are neurons "
    "that no pair uses. Only the last two are one to one.",
    "Four small graphs. When a picks, neuron 3 of b is not used; when b picks, neuron 2 of a is not "
    "used. Greedy and one-to-one use all neurons and the one-to-one sum is larger.",
)

# %% [markdown]
# The semi-matchings have the largest sums, since a neuron may be picked any number of times. They pay
# with neurons that are lost. Of the other two, the greedy one takes the pair of correlation 0.9 at once
# and must end with a pair of correlation 0. The best one-to-one matching does without the 0.9.
#
# ## A trained pair
#
# Now the real case: two networks with one hidden layer, trained on the same examples from different
# random weights. Their neurons are compared on the validation set, as in the paper.

# %%
(theta_a, _), (theta_b, _) = train_parents(config, (0, 1))
data = load_data(dataset)
x, y = data.split("validation")
[pair] = layer_pairs(theta_a, theta_b, x)
between = pair.between.numpy()
where = f"{data.name}, n = {len(x):,} validation examples, seed {seed}"

# %% [markdown]
# First Algorithm 1 alone. Here are the first pairs that it makes. Each has two numbers: the correlation
# of the canonical component that chose it, and the correlation of the two neurons themselves.

# %%
svcca = cca_of_pair(pair, **parse_operator(SVCCA)[1])
found = match_components(svcca.weights_a, svcca.weights_b)

# %% tags=["hide-input"]
first = pd.DataFrame({"neuron of a": found.la + 1, "neuron of b": found.lb + 1})
first.insert(0, "component", first.index + 1)
first["of the component"] = svcca.correlations[: len(first)]
first["of the two neurons"] = between[found]
plots.table(
    first.head(6),
    f"The first pairs of Algorithm 1 on one trained pair of networks, and two correlations: "
    f"of the component and of its two neurons ({where}; SVCCA with "
    f"{svcca.ranks[0]} of {width} directions).",
    {"of the component": "{:.3f}", "of the two neurons": "{:.3f}"},
)

# %% [markdown]
# Compare the last two columns. A component correlates a weighted sum of *many* neurons of *a* with one
# of *b*. Two such sums can agree closely although no neuron of one network agrees that well with any
# neuron of the other. Algorithm 1 keeps one term of each sum, and what the other terms contributed is
# lost. And a canonical correlation near 1 proves little: with few examples for each direction, some of it
# is chance ([chapter 2](02-canonical-correlation.ipynb)).
#
# And the neurons left over? Here are the pairs that a component chose, beside the pairs that either rule
# makes of the rest.

# %%
made = len(found.la)
by_index = complete(found, *pair.sizes)
by_correlation = complete(found, *pair.sizes, between)

# %% tags=["hide-input"]
groups = {
    "chosen by a component": between[found],
    "left over, leftover=index": between[by_index][made:],
    "left over, leftover=correlation": between[by_correlation][made:],
    "every neuron with every other": between.ravel(),
}
plots.table(
    pd.DataFrame(
        [(name, len(c), c.mean()) for name, c in groups.items()],
        columns=["pairs", "how many", "mean correlation"],
    ),
    f"Pairs that Algorithm 1 chose, and what became of the others ({where}).",
    {"mean correlation": "{:.3f}", "how many": "{:,}"},
)

# %% [markdown]
# The last row is the yardstick: random pairs would have this mean. Index order is a random pairing, since
# nothing links equal places in two networks trained apart. Keep this in mind when later chapters compare
# SC-CCA and SC-PwC. Their difference is only in part that of CCA and correlation. The other part is that
# SC-CCA leaves half of the neurons to chance.
#
# Now compare the first row with the last. On few examples (the default data set has 1,000 for
# validation) the many directions of the CCA fit chance, and the pairs that they choose may be hardly
# better than random ones. All of MNIST has ten times as many examples: run the chapter on it and compare.
#
# ## All operators
#
# An **operator** takes two networks and a batch, and returns an *alignment*: a matching for each hidden
# layer. The package keeps all operators in one list, its registry, and the following cell uses them all.
# Two of them need no batch. `naive` leaves each neuron where it is. `bias-sort` sorts the neurons of
# each network by their biases, the rule of
# [Thierens (1996)](https://doi.org/10.1109/ICEC.1996.542662).

# %%
matchings = {}
for operator in operators + variants:
    name, options = parse_operator(operator)
    alignment = align_layers(theta_a, theta_b, [pair], name, **options)
    matchings[operator] = alignment.matchings[0]

# %% tags=["hide-input"]
best = match_one_to_one(between)
rows = [
    {
        "operator": operator,
        "mean correlation": between[m].mean(),
        "used of a": len(np.unique(m.la)),
        "used of b": len(np.unique(m.lb)),
        "shared": np.mean(best.lb[m.la] == m.lb),
    }
    for operator, m in matchings.items()
]
shown = pd.DataFrame(rows).rename(columns={"mean correlation": "mean corr."})
shown["operator"] = shown["operator"].str.replace(f"{SVCCA},", "sc-cca:…,")
plots.table(
    shown,
    f"All operators on one trained pair with {width} hidden neurons each ({where}). Columns: mean "
    "correlation of the matched pairs; how many different neurons of a and of b are used; and the share "
    "of pairs that the best one-to-one matching (sc-pwc) has too. The last two rows are variants of "
    f"{SVCCA}.",
    {"mean corr.": "{:.3f}", "shared": "{:.1%}"},
)

# %% tags=["hide-input"]
rank = np.arange(1, width + 1) / width
curves = {name: (rank, np.sort(between[m])[::-1]) for name, m in matchings.items()}
fig = plots.lines(
    curves,
    "share of the pairs, best first",
    "correlation of the pair",
    operators={name: name for name in curves},
)
plots.show(
    fig,
    f"Correlations of the matched pairs, sorted, for each operator on one trained pair ({where}; "
    f"{width} pairs a line). One pair of networks; there is no shading. Lines of one colour are "
    "variants of one operator.",
    "Lines that fall from left to right. Those of the correlation-based operators lie highest and "
    "close together, those of the canonical operators fall towards the line of the naive operator, "
    "which runs through zero about the middle.",
)

# %% tags=["hide-input"]
table = pd.DataFrame(rows).set_index("operator")
unused_b = width - table.loc["sc-pwc-semi", "used of b"]
unused_a = width - table.loc["sc-pwc-semi-b", "used of a"]
greedy, optimal = (between[matchings[f"sc-pwc{s}"]].sum() for s in ("-greedy", ""))
Markdown(
    f"The table says: when the neurons of *a* pick, **{unused_b} of {width}** neurons of *b* are in no "
    f"pair, and the offspring will lack them. When *b* picks, *a* loses **{unused_a}**. The one-to-one "
    f"operators lose none. The greedy matching reaches **{greedy / optimal:.1%}** of the largest possible "
    f"sum of correlations, and shares **{table.loc['sc-pwc-greedy', 'shared']:.0%}** of its pairs with "
    "the best matching."
)

# %% [markdown]
# ## Measured and published
#
# Sections 4.1 and 4.2 give one result that can be checked: the pairs of the toy in Figure 1. What the
# matchings are worth shows when networks are crossed over, from [chapter 6](06-crossover.ipynb) on.

# %% tags=["hide-input"]
published = [(1, 2), (3, 1), (2, 3)]
ours = list(zip(*(match_components(result.weights_a, result.weights_b)), strict=True))
ours = [(int(i) + 1, int(j) + 1) for i, j in ours]
plots.table(
    pd.DataFrame(
        {
            "published": [str(p) for p in published],
            "ours": [str(p) for p in ours],
            "holds": ["yes" if p == o else "no" for p, o in zip(published, ours, strict=True)],
        }
    ),
    f"Pairs of neurons in Figure 1, counted from 1, and those of Algorithm 1 on our toy with the "
    f"same features (n = {toy.n} examples, no randomness).",
)

# %% [markdown]
# ## In short
#
# - Algorithm 1 makes one pair of neurons from each canonical component, at the stronger of its two ends,
#   among the neurons that are still free. If there are fewer components than neurons, the rest is left
#   over.
# - Semi-matching gives every neuron of one network its favourite and loses some neurons of the other.
#   One-to-one matching loses none and is solved exactly. The greedy matching has a somewhat smaller sum.
# - Every matching is two lists of indices, whatever it was made from. The next chapters need only these.
#
# ## Exercises
#
# **1.** In the last 3 × 3 matrix above, the correlation of neuron 2 of *a* with neuron 3 of *b* is 0.
# Raise it. From which value on is the greedy matching as good as the best one-to-one matching?
#
# <details><summary>Answer</summary>
#
# Greedy pairs (1, 1), (3, 2) and (2, 3). Its sum is $0.9 + 0.6 + c$, with $c$ the correlation in
# question. The best matching so far does not use that entry; its sum is $0.8 + 0.7 + 0.3$. The two are
# equal at $c = 0.3$. To check, set `correlations[1, 2] = 0.31` and call `match_one_to_one`.
#
# </details>
#
# **2.** What does Algorithm 1 return if the signs of both canonical weight vectors of a component are
# flipped? And if only that of *a* is flipped?
#
# <details><summary>Answer</summary>
#
# With both flipped, the two ends change places: $s_-$ becomes $s_+$ and $s_+$ becomes $s_-$. The same two
# neurons are paired (unless both ends are exactly equal). So it should be, since the sign is arbitrary.
# With only one flipped, the correlation of the component becomes negative. The algorithm then pairs
# neurons that move in *opposite* directions. CCA never returns such vectors: its correlations are
# positive.
#
# </details>
#
# **Next:** [Permute neurons](05-permuting.ipynb)
