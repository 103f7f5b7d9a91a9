# %% [markdown]
# # Count the cost
#
# <!-- finding costs-answer -->
# **Aligning is cheap. SC-PwC takes 4.0% and SC-CCA 6.6% of the time it takes to train the two parents on MNIST, 2.9% and 3.7% on CIFAR-10. SC-CCA takes 1.65 times as long as SC-PwC on MNIST and 1.25 times on CIFAR-10.**
# <!-- /finding -->
#
# - **You will** see what aligning costs, step by step, how it grows, and how far that is from what the
#   machine can do.
# - **You need** [chapter 2](02-canonical-correlation.ipynb) and [chapter 4](04-matching.ipynb).
# - **Runtime:** the growth curves are measured now, on the machine that executes this page; seconds
#   to a few minutes, depending on the sizes asked for.
#
# This chapter covers Section 5.2.3 of
# [Uriot and Izzo (2020)](https://doi.org/10.1145/3377930.3390197). It takes data of your own, of
# any kind (`-p datasets own.npz`).

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
datasets = "mnist,cifar10"  # records whose times are set against training
n_pairs = 200  # pairs of those records
seed = 0  # of those records, and of the random layers
n_max = 2000  # examples of the random layers
p_max = 256  # their neurons
repeats = 2  # measurements of each step; the fastest counts

# %% tags=["hide-input"]
import pandas as pd
import torch

from safecross.book import plots
from safecross.book.results import (
    load_records,
    measured_and_published,
    roles,
    say_where,
)
from safecross.replication.costs import (
    fit_exponents,
    load_benchmark,
    measure_costs,
    predicted_exponents,
    training_share,
)
from safecross.runs.analysis import interval

records = load_records(datasets, n_pairs, seed)
say_where(records)

# %% [markdown]
# ## What has to be done
#
# Both methods first let the networks answer the batch of n examples. SC-PwC then needs one
# correlation matrix, $O(np^2)$, and a matching, $O(p^3)$. SC-CCA needs the covariances of both layers
# too, their eigenvectors, the singular vectors of one k by k matrix, and one pass over the canonical
# weights for Algorithm 1.
#
# The paper counts $O(2np^2 + 2p^3 + 3nk^2 + k^3)$ for SVCCA. We work from covariances, so the term
# with $nk^2$ is gone: once the three matrices are there, neither the number of examples nor the
# examples themselves are needed again. The matrices and their eigenvectors are shared by every number
# of directions and every ridge.
#
# ## How it grows

# %%
torch.set_num_threads(1)
costs = measure_costs(
    [n_max // 8, n_max // 4, n_max // 2, n_max],
    [p_max // 8, p_max // 4, p_max // 2, p_max],
    [p_max // 8, p_max // 4, p_max // 2, p_max],
    repeats=repeats,
    seed=seed,
)
plots.show(
    plots.growth(costs),
    f"Seconds of each step on one thread, random layers, over the examples n, the neurons p and the "
    f"directions k, with the other two at n = {n_max}, p = {p_max}, k = {p_max}; fastest of {repeats}. "
    "Both axes are logarithmic.",
    "Three panels of rising lines: seconds of five steps over n, p and k on logarithmic axes.",
)

# %% [markdown]
# A line's slope is the exponent. On logarithmic axes a step that grows like $p^3$ has slope 3, once p is
# large enough for that term to lead. At small sizes calls and memory take the time, and the
# slope is lower: that is why many of the fitted exponents lie below the predicted ones.

# %% tags=["hide-input"]
exponents = fit_exponents(costs).merge(predicted_exponents(), on=["step", "varied"])
plots.table(
    exponents.rename(
        columns={
            "varied": "size",
            "exponent": "fitted",
            "paper": "paper's O(.)",
            "ours": "our count",
        }
    ),
    f"Exponents fitted over four sizes each (n up to {n_max}, p and k up to {p_max}) beside the largest "
    "one in the paper's count and in ours.",
    {"fitted": "{:.2f}", "paper's O(.)": "{:.0f}", "our count": "{:.0f}"},
)

# %% [markdown]
# <!-- finding costs-training -->
# ## Training takes 88% of a pair's time on MNIST and 80% of a pair's time on CIFAR-10
# <!-- /finding -->
#
# The parents have to be trained first. Every pair of the record notes the seconds of each of its
# steps on one thread; the figure sets them against the training of its two parents.

# %% tags=["hide-input"]
GROUPS = {
    "training both parents": ("train a", "train b"),
    "responses": ("first layer", "activations", "evaluate parents"),
    "correlations": ("correlations", "covariances and eigenvectors"),
    "aligning": ("align ",),
    "curves": ("curve ",),
}
columns, parts = {}, {}
for name, record in records.items():
    seconds = record.timings.pivot(index="pair", columns="step", values="seconds")
    seconds = seconds.drop(columns="product", errors="ignore")
    parts[name] = pd.DataFrame(
        {
            label: [100 * part.sum(axis=1).mean() / seconds.sum(axis=1).mean()]
            for label, steps in GROUPS.items()
            for part in [seconds[[c for c in seconds if c.startswith(steps)]]]
        },
        index=["one pair"],
    )
    seconds["training both parents"] = seconds.pop("train a") + seconds.pop("train b")
    shares = seconds.div(seconds["training both parents"], axis=0)
    # The operators' options differ between data sets; their names do not.
    short = pd.Index([step.partition(":")[0] for step in seconds])
    short = short if short.is_unique else seconds.columns
    columns[f"{name}, seconds"] = seconds.median().map("{:.4f}".format).set_axis(short)
    columns[f"{name}, share"] = shares.mean().map("{:.2%}".format).set_axis(short)
plots.show(
    plots.bars(parts, "% of a pair's time"),
    f"Where the time of a pair goes, all operators and all points of their curves included: mean over "
    f"{n_pairs} pairs, seed {seed}, one thread.",
    "One stacked bar a data set. Training the parents takes most of it.",
    name="where-time-goes",
)
plots.table(
    pd.DataFrame(columns).rename_axis("step").reset_index(),
    f"Median seconds of each step of a pair, one thread, and mean share of training both parents; "
    f"{n_pairs} pairs, seed {seed}. A curve is evaluated at all t of its record.",
    name="steps",
)

# %% [markdown]
# The products of training are the work that nothing can spare. How fast are they done? Records also
# hold the time of one large float32 product, taken beside each pair on the same thread.

# %% tags=["hide-input"]
rows = []
for name, record in records.items():
    if "product" in set(record.timings["step"]):
        share = training_share(record)
        rows.append(
            {
                "data set": name,
                "share of the float32 limit, mean and 95% interval": interval(share).format(2),
                "lowest": f"{share.min():.2f}",
                "highest": f"{share.max():.2f}",
            }
        )
if rows:
    plots.table(
        pd.DataFrame(rows),
        f"Training's rate over that of a large float32 product on the same thread, {n_pairs} pairs "
        "of each data set; all other operations of training count as time lost.",
    )

# %% [markdown]
# <!-- finding costs-peers -->
# ## Against other libraries: faster in 5 of 5 comparisons, up to 331 times
# <!-- /finding -->
#
# `make bench` measures the package where it was made, in one run: the machine's own limits, how near
# the work comes to them, and what one would otherwise take for it. Ratios are of times taken turn by
# turn. Where another library computes the same, both results were first checked to be equal. A pair's
# *floor* is the time of the operations and bytes that it cannot avoid, at the machine's limits.
#
# <!-- finding costs-rest -->
# Here on MNIST a pair takes 2.92 times its floor, but 1.20 times what the libraries' own calls take at these sizes, and training reaches 0.48 of the machine's limit, the calls alone 0.57; on CIFAR-10 a pair takes 2.32 times its floor, but 1.21 times what the libraries' own calls take at these sizes, and training reaches 0.36 of the machine's limit, the calls alone 0.49. So most of what lies above the floor is not ours to save: narrow products, eigenvectors and passes over memory do not run at the rate of large products.
# <!-- /finding -->

# %% tags=["hide-input"]
benchmark = load_benchmark()
measured = pd.DataFrame(benchmark["rows"])
where = f"{benchmark['machine']}, {benchmark['finished'][:10]}"
peers = measured[measured["group"] == "peers"].rename(columns={"what": "label"})
plots.show(
    plots.forest({"": peers}, "times as fast", 1.0, log=True),
    f"How many times as fast the package is as what one would otherwise take, one thread: median of "
    f"several turns with lowest and highest; {where}. Right of the line is faster."
    + "".join(f" Left out: {reason}." for reason in benchmark["failed"]),
    "Points on a logarithmic axis, one for each comparison; most lie right of 1.",
    name="peers",
)
measured["median [lowest, highest]"] = [
    f"{row.value:.3g} [{row.low:.3g}, {row.high:.3g}]" for row in measured.itertuples()
]
for group, caption in (
    ("peers", "Against what one would otherwise take, one thread"),
    ("limit", "The machine's own limits"),
    ("training", "Training of the paper's networks, one thread"),
    (
        "pair",
        "One pair with naive crossover, bias-sort and the paper's three operators, one thread, and its steps",
    ),
    ("calls", "What the libraries' own calls of such a pair take, with nothing around them"),
    ("modules", "Modules of torchvision, all threads"),
):
    plots.table(
        measured.loc[measured["group"] == group, ["what", "median [lowest, highest]", "unit"]],
        f"{caption}; {where}.",
        name=f"bench-{group}",
        fold=True,
    )

# %% [markdown]
# Wide layers are where the cubes show. The fitted exponents below come from the same benchmark.

# %% tags=["hide-input"]
grown = pd.DataFrame(benchmark["costs"]).query("varied != 'pairs'")  # those are in chapter 14
exponent = fit_exponents(grown)
ranges = grown.groupby(["step", "varied"], sort=False)
exponent["sizes"] = [
    ", ".join(f"{size:,.0f}" for size in sorted(ranges.get_group(key)[key[1]]))
    for key in zip(exponent["step"], exponent["varied"], strict=True)
]
exponent["seconds at the largest"] = [
    ranges.get_group(key).sort_values(key[1])["seconds"].iloc[-1]
    for key in zip(exponent["step"], exponent["varied"], strict=True)
]
plots.table(
    exponent.rename(columns={"varied": "size", "exponent": "fitted exponent"}),
    f"Growth of each step over examples (n, of layers of 512 neurons), neurons (p, on 4,096 examples with "
    f"256 directions unless it says otherwise) and hidden layers (depth); {where}.",
    {"fitted exponent": "{:.2f}", "seconds at the largest": "{:.3f}"},
)
wide = pd.DataFrame(benchmark["wide"])
plots.table(
    pd.DataFrame(
        {
            "neurons": wide["p"],
            "examples": wide["n"],
            "seconds, all operators": [sum(row.values()) for row in wide["seconds"]],
            "memory of the process, GiB": wide["process_bytes"] / 2**30,
            "of it for aligning, GiB": wide["taken_bytes"] / 2**30,
            "announced, GiB": wide["announced_bytes"] / 2**30,
        }
    ),
    f"Aligning one wide layer by every operator. Where less memory is free than SC-CCA will need, it says "
    f"so instead of starting; {where}.",
    {
        "seconds, all operators": "{:.1f}",
        "memory of the process, GiB": "{:.2f}",
        "of it for aligning, GiB": "{:.2f}",
        "announced, GiB": "{:.2f}",
    },
)

# %% [markdown]
# ## Half the bits
#
# Some processors multiply bfloat16 faster than float32. `safecross run mnist --products bfloat16`
# trains with such products; weights and Adam's state stay float32, aligning and curves too. It is off unless
# asked for, since it gives other parents. Faster products are not yet faster training: weights are
# converted at every step. The table of training has two measurements of it, one network alone on one
# thread, and whole runs of a few pairs with a worker on each core, and they need not agree. This table
# says what it does to the parents.

# %% tags=["hide-input"]
half = pd.DataFrame(benchmark["bfloat16"])
plots.table(
    half.rename(
        columns={
            column: column.replace("_", ", ") for column in half if column.startswith(("l", "a"))
        }
    ),
    f"Mean loss and accuracy of the parents and halfway between them, trained with float32 and with "
    f"bfloat16 products from the same seeds; {where}.",
    {
        f"{value}, {products}": "{:.4f}"
        for value in ("loss", "accuracy")
        for products in ("float32", "bfloat16")
    },
)

# %% [markdown]
# ## Measured and published

# %% tags=["hide-input"]
sweeps = load_records(datasets, n_pairs, seed, kind="sweep")
measured_and_published(roles(main=records, sweep=sweeps), "11-costs")

# %% [markdown]
# ## In short
#
# <!-- finding costs-short -->
# - On MNIST, SC-CCA takes 1.65 [1.63, 1.66] times as long as SC-PwC; with 256 directions 0.93 [0.93, 0.93] times as long as CCA, so the paper's remark on SVCCA holds.
# - The time to correlate grows with the square of the width, that of eigenvectors with its cube; neither grows with the epochs of training.
# - The least flattering comparison with another library: 512 x 512 correlations against numpy.corrcoef once, 1.83 times as fast.
# <!-- /finding -->
#
# ## Exercises
#
# **1.** The matching is $O(p^3)$ at worst. Why can it be far below, on real correlations?
#
# <details><summary>Answer</summary>
#
# The algorithm looks for augmenting paths. Where each neuron has one clearly best partner, most paths
# are one edge long.
#
# </details>
#
# **2.** From which number of epochs on does SC-CCA on your data cost less than a hundredth of training?
#
# <details><summary>Answer</summary>
#
# Training grows linearly with epochs, aligning not at all. Add the shares of the first layer, the
# activations, the correlations, the covariances and `align sc-cca`, divide by .01 and multiply by the
# epochs of the record.
#
# </details>
#
# **Next:** [Audit the paper against its code](12-audit.ipynb)
