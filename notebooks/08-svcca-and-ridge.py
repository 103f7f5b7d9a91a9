# %% [markdown]
# # Choose directions and ridge
#
# - **You will** see what SC-CCA gains or loses by SVCCA's directions and by a ridge.
# - **You need** [chapter 2](02-canonical-correlation.ipynb) for SVCCA and ridge CCA, and
#   [chapter 4](04-matching.ipynb) for Algorithm 1.
# - **Runtime:** seconds from a record; where there is none, the time to train two networks a pair.
#
# This chapter covers Section 5.2.1 of {cite:t}`uriot2020safe`.

# %% tags=["parameters"]
datasets = "mnist5k"  # names of data sets or .npz files, with commas between
n_pairs = 6  # pairs of parents of each data set; the paper has 200
seed = 0  # of the whole experiment
hidden = ""  # hidden widths such as "256,64"; empty: the usual ones of the data set
epochs = 0  # of training; 0: the usual number for the data set

# %% tags=["hide-input"]
import pandas as pd

from safecross import plots
from safecross.analysis import compare, interval, share_interval, tidy_number
from safecross.config import parse_operator
from safecross.results import load_records, measured_and_published, roles, say_where

records = load_records(datasets, n_pairs, seed, hidden, epochs, kind="sweep")
say_where(records)

# %% [markdown]
# ## The question
#
# CCA on a wide layer finds correlations that are there by chance. The paper tries two cures. SVCCA
# keeps only the k principal directions of each layer. Ridge CCA keeps all of them but charges
# $\lambda$ for large weights. How many directions, how much ridge? The paper's answer: 256
# directions on MNIST, all on CIFAR-10, and any $\lambda$ of .01, .1 and 1.
#
# One thing to watch. Algorithm 1 makes one pair of neurons for each component. With k directions
# there are k components, and the other neurons are paired by the leftover rule: in the order of
# their indices, as in the authors' code, which for independent networks means at random.
# So fewer directions also mean more neurons paired at random.
#
# ## SVCCA: number of directions
#
# For each pair of parents, every operator makes its offspring at $t = 0.5$ on the same validation
# images. We count in how many pairs its loss is below that of naive crossover. The authors'
# notebook keeps such shares for 200 pairs; they stand in the table beside ours.

# %% tags=["hide-input"]
# Shares of 200 pairs kept in cell 52 of the authors' notebook.
NOTEBOOK = {
    "mnist": {2: 0.590, 10: 0.815, 20: 0.815, 30: 0.855, 40: 0.885, 50: 0.920, 100: 0.940,
              256: 0.985, 512: 0.925},
    "cifar10": {2: 0.54, 25: 0.99, 50: 1.0, 75: 1.0, 100: 1.0},
}  # fmt: skip
rows = []
for name, record in records.items():
    loss = record.at(0.5)
    for operator in loss.columns:
        options = parse_operator(operator)[1]
        penalised = options.pop("penalty", "norm")
        views = "standardised" if options.pop("standardise", True) else "centred"
        if list(options) not in (["directions"], ["ridge"]):
            continue
        ((option, value),) = options.items()
        against = compare(record, operator, "naive")
        share = share_interval(against.wins, against.n)
        kept = NOTEBOOK.get(name, {}).get(value) if option == "directions" else None
        mean = interval(loss[operator])
        rows.append(
            {
                "data set": name,
                "option": option,
                "penalised": penalised,
                "views": views,
                "value": value,
                "share": share.value,
                "share, 95% interval": share.format(),
                "notebook": kept,
                "inside": "" if kept is None else "yes" if share.contains(kept) else "no",
                "loss": mean.value,
                "loss, 95% interval": mean.format(),
                "sign test p": tidy_number(against.sign_p),
            }
        )
found = pd.DataFrame(rows)
columns = [
    "data set", "value", "share, 95% interval", "notebook", "inside", "loss, 95% interval",
    "sign test p",
]  # fmt: skip
directions = found.query("option == 'directions' and views == 'standardised'")
plots.table(
    directions[columns].rename(columns={"value": "directions", "inside": "inside ours"}),
    f"SVCCA against naive crossover at t = 0.5: share of {n_pairs} pairs with the lower loss, the "
    f"share that the authors' notebook keeps, whether that is inside our interval, and the mean "
    f"loss; seed {seed}.",
    {"directions": "{:.0f}", "notebook": "{:.3f}"},
)

# %% tags=["hide-input"]
references = {
    name: {
        "naive": record.at(0.5)["naive"].mean(),
        "CCA, all directions": record.at(0.5)["sc-cca"].mean(),
        "SC-PwC": record.at(0.5)["sc-pwc"].mean(),
    }
    for name, record in records.items()
}
plots.show(
    plots.loss_over_option(directions, references, "directions kept"),
    f"Mean loss at t = 0.5 over {n_pairs} pairs, seed {seed}, by the number of directions that "
    "SVCCA keeps; bars are 95% bootstrap intervals. Grey lines: other operators.",
    "Loss of the offspring against the number of SVCCA directions, with the levels of naive "
    "crossover, plain CCA and SC-PwC as horizontal lines.",
)

# %% [markdown]
# ## Ridge
#
# The same for ridge CCA on all directions. The paper reports 193 wins of 200 on MNIST and 200 of
# 200 on CIFAR-10 for each of its three penalties. Our layers are standardised to unit variance
# first, as Section 3.2 says, which gives $\lambda$ its scale.
#
# The paper charges for the *norm* of the weights. The package behind the authors' notebook,
# `pyrcca`, does kernel CCA unless told otherwise. With $X$ the standardised layer, it writes the weights
# as a combination of the examples, $w = X^\top \alpha$, and charges for $\alpha$, after dividing the kernel $X X^\top$ by its
# largest eigenvalue. A direction with a share $s$ of the largest variance then counts in full where
# $s^2$ is well above $\lambda$, and for little where it is well below. Both are in the table, for
# standardised layers and for layers that are only centred, where loud neurons weigh more and
# $\lambda$ means something else.

# %% tags=["hide-input"]
ridges = found[found["option"] == "ridge"]
plots.table(
    ridges[
        [
            "data set",
            "penalised",
            "views",
            "value",
            "share, 95% interval",
            "loss, 95% interval",
            "sign test p",
        ]
    ].rename(columns={"value": "ridge"}),
    f"Ridge CCA against naive crossover at t = 0.5: share of {n_pairs} pairs with the lower loss, "
    f"and the mean loss, for a penalty on the norm of the weights and on the kernel's "
    f"coefficients, with standardised and with only centred views; seed {seed}.",
    {"ridge": "{:g}"},
)
plots.show(
    plots.loss_over_option(
        ridges.query("penalised == 'norm' and views == 'standardised'"), references, "ridge penalty"
    ),
    f"Mean loss at t = 0.5 over {n_pairs} pairs, seed {seed}, by the ridge penalty on the norm of "
    "the weights; bars are 95% bootstrap intervals. Grey lines: other operators.",
    "Loss of the offspring against the ridge penalty, with the levels of naive crossover, plain "
    "CCA and SC-PwC as horizontal lines.",
)

# %% [markdown]
# ## Measured and published

# %% tags=["hide-input"]
measured_and_published(roles(sweep=records), "08-svcca-and-ridge")

# %% [markdown]
# ## In short
#
# - Keep enough directions: with few of them most neurons are paired at random.
# - The three penalties span two orders of magnitude; the last table compares what they change with
#   what the number of directions changes, and says whether the paper's "consistent across all three
#   values" describes the penalty of its text or that of the authors' package.
# - Hold both figures against the line of SC-PwC: it says what another way of matching gains
#   on the same parents.
#
# :::{admonition} Exercise 1
# With 2 directions on 512 neurons, how many neurons are paired by CCA, and why can the operator
# still win more often than not against naive crossover?
# :::
# :::{admonition} Answer
# :class: dropdown
# Two of 512. All others are paired by index, which on average is as good as naive. If the two pairs
# that the first components chose are good ones, that is a small gain, and a small gain decides
# close races.
# :::
# :::{admonition} Exercise 2
# The option `leftover=correlation` pairs the leftover neurons by correlation instead. Will few or
# many directions then be better? Predict, then run `safecross run mnist5k --pairs 6 --operators
# naive sc-pwc sc-cca:directions=2,leftover=correlation sc-cca:directions=32,leftover=correlation`.
# :::
# :::{admonition} Answer
# :class: dropdown
# With few directions the optimal matching of correlations does most of the work. So few are better
# wherever SC-PwC is the better guide: each component only takes neurons out of its hands.
# :::
#
# **Next:** [Figure 3 on all pairs](09-figure-3.ipynb)
