# %% [markdown]
# # Evolve a population of networks
#
# **A whole population is brought into one frame once; after that any two members can be mated or averaged
# without matching them again. Children then mix neurons that do the same work. A genetic algorithm of networks
# takes a few lines, and each generation can be gone on from to the same bits.**
#
# - **You will** undo a planted scrambling of a population, compare ways to recombine two parents, bend the path between
#   them, mutate safely, and evolve controllers that swing up a pole.
# - **You need** crossover of two networks from [chapter 6](06-crossover.ipynb).
# - **Runtime:** half a minute with the default parameters.
#
# The paper leaves genetic algorithms to future work (Section 6 of
# [Uriot and Izzo (2020)](https://doi.org/10.1145/3377930.3390197)). Networks evolve for a data set of your own
# too (`-p task own.npz`).

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
task = "swing-up"  # or a data set's name, or the path of an .npz file
hidden = "32,32"  # widths of the hidden layers
members = 32  # size of the population
generations = 20  # of the genetic algorithm
sigma = 0.1  # size of the mutation
seed = 0  # of everything below

# %% tags=["hide-input"]
import pandas as pd
import torch

from safecross import align, function_difference, interpolate, load_data, stack, train
from safecross.book import plots
from safecross.crossover.bezier import bend, on_bezier
from safecross.evolution.arms import parse_arm
from safecross.evolution.genetic import (
    COLUMNS,
    advance,
    begin,
    champion,
)
from safecross.evolution.mating import RECOMBINATIONS, mate
from safecross.evolution.mutation import mutate, mutate_safely
from safecross.evolution.population import align_population, mean, scramble
from safecross.evolution.runs import SWING_UP, EvolutionConfig, EvolutionRuns
from safecross.networks.metrics import cross_entropy

arms = ("mutation", "naive/neuron", "sc-pwc/neuron", "naive/arithmetic", "sc-pwc/arithmetic")
config = EvolutionConfig(
    task,
    tuple(f"{arm}:sigma={sigma}" for arm in arms),
    n_runs=1,
    generations=generations,
    seed=seed,
    hidden=[int(width) for width in hidden.split(",")],
    population=members,
    parents=max(2, members // 5),
)
play, held_out = EvolutionRuns(config).tasks()
rng = torch.Generator().manual_seed(seed)

# %% [markdown]
# ## The task
#
# A pole hangs from a cart and is to be swung up and held, by pushing the cart left and right. A network sees the
# cart's place and speed and the pole's angle and turn; its output pushes. Its *score* is the mean height of the
# pole's tip over the episode: 0 hangs, 1 stands upright all the time. Whatever leaves the track scores nothing
# more. (For a data set the score is minus the loss.)

# %%
start = begin(play, config.setting, config.run_seed(0))
found = play(start.members, rng)
seen = found.seen[torch.randint(len(found.seen), (500,), generator=rng)]

# %% tags=["hide-input"]
scores = found.fitness
plots.show(
    plots.histograms({"": {"members": scores.tolist()}}, "members", bins=15),
    f"Scores of {members} controllers with random weights, seed {seed}.",
    "Most members stand at the worse end.",
    name="random-members",
)

# %% [markdown]
# ## One frame for all
#
# Take one network, copy it, and put each copy's neurons in an order of its own. All compute the same function, and
# no two agree on what neuron 1 is: their mean computes something else. `align_population` brings all of them into
# the frame of one, by how neurons respond to inputs that the members met.

# %%
one = start.members[int(scores.argmax())]
mixed = scramble(stack([one] * members), rng)
aligned = align_population(mixed, seen).population

# %% tags=["hide-input"]
rows = [
    ("scrambled", function_difference(one, mean(mixed), seen)),
    ("aligned", function_difference(one, mean(aligned), seen)),
]
plots.table(
    pd.DataFrame(rows, columns=["mean of copies", "largest change of an output"]),
    f"The mean of {members} copies of one network, against the network; {len(seen)} inputs, seed {seed}.",
    formats={"largest change of an output": "{:.1e}"},
    name="mean-of-copies",
    fold=False,
)

# %% [markdown]
# The cost is one matching for each member, instead of one for each pair of members. Any one-to-one method of the
# registry will do: `align_population(members, x, method="weight-matching")` compares weights alone. With
# `reference="cycle-consistent"` all members are matched with all others together, and none is the measure of the
# rest. A tanh unit and its negative are the same function: `activation="tanh"` matches by the size of the correlation
# and negates what correlates negatively.
#
# ## Five ways to make a child
#
# With both parents in one frame a child may take the weighted mean of all weights (`arithmetic`), whole neurons with
# their incoming weights (`neuron`, each by chance; `subset`, a fixed share of them), whole layers (`layer`), or a
# point on the arc between the parents (`slerp`). Here both parents are the same controller, the second one with its
# neurons scrambled: a child of parents that agree should agree with them.

# %%
others = scramble(stack([one] * members), rng)
children = {
    (method, how): mate(stack([one] * members), others, seen, rng, method=method, recombine=how)
    for how in RECOMBINATIONS
    for method in ("naive", "sc-pwc")
}

# %% tags=["hide-input"]
parent = float(play(stack([one]), torch.Generator().manual_seed(seed)).fitness)
rows = [
    (
        how,
        *(
            float(play(children[m, how], torch.Generator().manual_seed(seed)).fitness.mean())
            for m in ("naive", "sc-pwc")
        ),
    )
    for how in RECOMBINATIONS
]
plots.table(
    pd.DataFrame(rows, columns=["recombination", "naive", "aligned"]),
    f"Mean score of {members} children of a controller and its scrambled copy; the controller itself scores "
    f"{parent:.3f}. Seed {seed}.",
    formats={"naive": "{:.3f}", "aligned": "{:.3f}"},
    name="children",
    fold=False,
)

# %% [markdown]
# ## A path need not be straight
#
# `arithmetic` children lie on the straight line between their parents. A quadratic Bezier curve
#
# $$\phi(t) = (1 - t)^2\, \theta_a + 2 t (1 - t)\, \theta + t^2\, \theta_b$$
#
# has a point $\theta$ in between that can be trained: `bend` lowers the mean loss along the curve (Garipov et al. 2018).
# Here two networks are trained on digits (or on your data set), and both paths are drawn, before and after
# aligning. Bending takes labels and training; aligning takes neither.

# %%
data = load_data("mnist5k" if task == SWING_UP else task)
a, b = (train(data.x_train, data.y_train, (64,), seed + i, epochs=10) for i in (0, 1))
ends = {"naive": (a, b), "aligned": align(a, b, data.x_train, "sc-pwc").apply(a, b)}
bent = {name: bend(*pair, data.x_train, data.y_train, seed=seed) for name, pair in ends.items()}

# %% tags=["hide-input"]
grid = [i / 20 for i in range(21)]
paths = {}
for name, (first, second) in ends.items():
    paths[f"{name}, straight"] = interpolate(first, second, grid)
    paths[f"{name}, bent"] = on_bezier(first, bent[name], second, grid)
losses = {
    name: cross_entropy(path(data.x_test), data.y_test).tolist() for name, path in paths.items()
}
colours = {name: "naive" if name.startswith("naive") else "sc-pwc" for name in paths}
plots.show(
    plots.lines({name: (grid, loss) for name, loss in losses.items()}, "t", "test loss", colours),
    "Loss on the test images along four paths between two networks of 64 hidden neurons; the highest: "
    + "; ".join(f"{name} {max(loss):.3f}" for name, loss in losses.items())
    + f". Seed {seed}.",
    "The straight naive path has the highest hill; the other three stay near the parents.",
    name="bent-paths",
)

# %% [markdown]
# ## Mutation that knows what it does
#
# The same noise hardly changes one network and ruins another. *Safe mutation* (Lehman et al. 2018) divides the noise
# on each weight by its *sensitivity*, how much the outputs $z$ on inputs $x_i$ depend on it,
#
# $$s_w = \sqrt{\sum_k \Bigl(\frac1m \sum_{i=1}^m \frac{\partial z_k(x_i)}{\partial w}\Bigr)^2},$$
#
# or scales a member's whole step until its outputs change by a given amount.

# %%
steps = {
    "Gaussian": mutate(start.members, sigma, rng),
    "by sensitivity": mutate_safely(start.members, seen, sigma, rng),
    "rescaled": mutate_safely(start.members, seen, sigma, rng, by="rescaling"),
}

# %% tags=["hide-input"]
before = start.members(seen)
changes = {
    name: (after(seen) - before).square().mean((-1, -2)).sqrt() for name, after in steps.items()
}
plots.table(
    pd.DataFrame(
        [(n, float(c.min()), float(c.median()), float(c.max())) for n, c in changes.items()],
        columns=["mutation", "least", "median", "most"],
    ),
    f"How much the outputs of {members} members change (root mean square over {len(seen)} inputs), sigma {sigma}, seed {seed}.",
    formats=dict.fromkeys(("least", "median", "most"), "{:.3g}"),
    name="safe-mutation",
    fold=False,
)

# %% [markdown]
# Rescaling keeps its promise by construction. Dividing by the sensitivity holds to first order only: weights on which
# little depends get long steps, and the products of such steps across layers are not small. It needs a smaller sigma.
#
# ## A genetic algorithm in five lines
#
# Each generation is evaluated, the best fifth have children, the best member goes on as it is. `parse_arm` reads how
# children are made: `mutation` alone, or a method and a recombination, such as `sc-pwc/neuron`. All arms start from the
# same members and meet the same episodes.

# %%
states = {}
for arm in config.arms:
    state = start
    for _ in range(config.generations):
        state = advance(play, parse_arm(arm), config.setting, config.run_seed(0), state)
    states[arm] = state

# %% tags=["hide-input"]
names = {
    arm: parse_arm(arm).method + "/" * parse_arm(arm).crosses + parse_arm(arm).recombine
    for arm in config.arms
}
best = {
    names[arm]: (range(config.generations), state.history[:, 0]) for arm, state in states.items()
}
plots.show(
    plots.lines(best, "generation", "best score"),
    f"Best score of each generation, one run of each arm, {members} members, sigma {sigma}, seed {seed}. One run "
    "decides nothing: the next chapter has twenty.",
    "Five curves that rise and cross each other.",
    name="evolution",
)

# %% tags=["hide-input"]
rows = []
for arm, state in states.items():
    last = dict(zip(COLUMNS, state.history[-1].tolist(), strict=True))
    _, score = champion(play, held_out, config.run_seed(0), state)
    rows.append((names[arm], score, int(last["founders"]), last["moved"], last["rank"]))
plots.table(
    pd.DataFrame(rows, columns=["arm", "champion", "founders", "neurons moved", "rank"]),
    "The last generation. Champion: score of the best member on episodes that no generation saw. Founders: first members "
    "from whom the selected descend. Neurons moved: share that alignment put elsewhere. Rank: effective rank of the second "
    "layer's weights.",
    formats={"champion": "{:.3f}", "neurons moved": "{:.0%}", "rank": "{:.1f}"},
    name="last-generation",
    fold=False,
)

# %% [markdown]
# After a few generations all members descend from very few founders. Their neurons stand in one order by descent, and
# there is little left to align; matching them again may even confuse what corresponds. The [next
# chapter](19-when-to-align.ipynb) asks when alignment is worth anything.
#
# ## In short
#
# - `align_population` puts all members in one frame; `mean`, `greedy_soup` and `repaired_mean` make one network of
#   them.
# - `mate` makes a child of each pair: five recombinations, any one-to-one method, and `related` pairs left alone.
# - `bend` trains a curved path between two networks for a low loss; `on_bezier` gives its points.
# - `mutate_safely` makes steps that change the outputs about as much everywhere.
# - `advance` is one generation. Its chance depends on seed and generation only, so a run goes on from any state.
#
# ## Exercises
#
# **1.** Why does `arithmetic` crossover of unrelated members need alignment more than `layer` does?
#
# <details><summary>Answer</summary>
#
# Both put weights next to others that were not trained with them. But the mean of two neurons that do different work
# does neither, everywhere in the network; with whole layers only the borders between layers of different parents are torn.
#
# </details>
#
# **2.** `partners(a, b, x, related=...)` leaves pairs with a common founder as they are. When is that right, and when
# is it wrong?
#
# <details><summary>Answer</summary>
#
# It is right while descendants keep their founder's order: then the identity is the true correspondence, and matching
# noisy correlations can only lose it. It is wrong once something has permuted a lineage, such as an encoding that
# does not keep the order of neurons.
#
# </details>
#
# **Next:** [Know when to align](19-when-to-align.ipynb)
