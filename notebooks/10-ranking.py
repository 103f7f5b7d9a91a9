# %% [markdown]
# # Ask which operator wins, and when
#
# - **You will** look for the conditions under which SC-CCA beats SC-PwC on CIFAR-10, as the paper
#   says it does.
# - **You need** [chapter 9](09-figure-3.ipynb), which puts that claim to the test.
# - **Runtime:** seconds from records; where there are none, the time to train two networks a pair
#   and condition.
#
# This chapter covers a claim of Section 5.2.2 of {cite:t}`uriot2020safe`: "while SC-PwC is much better
# than SC-CCA on MNIST, it produces worse offspring on CIFAR-10".

# %% tags=["parameters"]
dataset = "mnist5k"  # on which the conditions are compared
conditions = "1 epoch,10 epochs,learning rate 3e-3"  # names of conditions with commas, or "all"
count_dataset = "mnist5k"  # on which neurons are counted over the length of training
count_epochs = "1,5,20"  # lengths of training for the counts, with commas
n_pairs = 4  # pairs of parents of each condition
count_pairs = 3  # pairs of parents at each length of training
seed = 1  # of the parents; the published chapters before this use another

# %% tags=["hide-input"]
import pandas as pd
from IPython.display import Markdown, display

from safecross import plots
from safecross.analysis import compare, count_text, interval, pair_totals
from safecross.experiment import load_or_run
from safecross.paper import RANKING_CELLS, cell_config
from safecross.results import say_where

names = list(RANKING_CELLS) if conditions == "all" else conditions.split(",")
cells = {
    name: load_or_run(cell_config(dataset, n_pairs, seed, **RANKING_CELLS[name])) for name in names
}
counts = {
    int(n): load_or_run(cell_config(count_dataset, count_pairs, seed, epochs=int(n)))
    for n in str(count_epochs).split(",")
}
say_where({f"{dataset}, {names[0]}": cells[names[0]]}, full_pairs=20)

# %% [markdown]
# ## What could make the difference
#
# The paper's sentence depends on choices it does not report. We vary them one at a time: how long
# the parents train, how wide and deep they are, the learning rate, and whether the pixels are
# standardised (pixels of both signs leave few neurons dead from the start). Wherever nothing else
# is said, the parents are trained as in [chapter 7](07-parents.ipynb), those of CIFAR-10 for 3
# epochs. Their seed differs from that of chapter 9, so all networks here are other ones.
#
# Within each condition both methods come in several forms (the notebook's deflated weights and kernel
# ridge are in [chapter 12](12-audit.ipynb)). SC-CCA: Algorithm 1 with leftover neurons in the order of their indices, the authors' rank-by-rank
# rule, leftovers by correlation, a ridge. SC-PwC: one-to-one optimal, the authors' greedy order,
# semi-matching in both directions.
#
# ## Loss and accuracy at the middle

# %% tags=["hide-input"]
rows = []
for name, record in cells.items():
    loss, accuracy = record.at(0.5, "loss"), record.at(0.5, "accuracy")
    parents = record.pairs[["loss_a", "loss_b"]].mean(axis=1)
    for operator in loss.columns:
        rows.append(
            {
                "condition": name,
                "operator": operator,
                "loss": loss[operator].mean(),
                "accuracy": accuracy[operator].mean(),
            }
        )
    rows.append(
        {
            "condition": name,
            "operator": "parents",
            "loss": parents.mean(),
            "accuracy": record.pairs[["accuracy_a", "accuracy_b"]].to_numpy().mean(),
        }
    )
found = pd.DataFrame(rows)
base = next(op for op in cells[names[0]].config.operators if op.startswith("sc-cca"))
for measure in ("loss", "accuracy"):
    wide = found.pivot(index="condition", columns="operator", values=measure).loc[names]
    order = ["parents", *cells[names[0]].config.operators]
    plots.show(
        plots.heat_table(wide[order].T, better_low=measure == "loss"),
        f"Mean {measure} of the offspring at t = 0.5 on {dataset}: {n_pairs} pairs a condition, seed "
        f"{seed}. Within a condition, darker is better.",
        f"A table of shaded cells with the mean {measure} of every operator under every condition.",
    )

# %% [markdown]
# ## Who wins
#
# Now pair by pair. For each form of SC-PwC, the table counts the pairs in which plain SC-CCA has the
# lower loss and the higher accuracy at $t = 0.5$.

# %% tags=["hide-input"]
forms = ["sc-pwc", "sc-pwc-greedy", "sc-pwc-semi", "sc-pwc-semi-b"]
rows = []
for name, record in cells.items():
    row = {"condition": name}
    for form in forms:
        by_loss = compare(record, base, form)
        by_accuracy = compare(record, base, form, column="accuracy")
        row[form] = f"{by_loss.wins} / {by_accuracy.wins}"
    rows.append(row)
plots.table(
    pd.DataFrame(rows),
    f"Pairs of {n_pairs} in which {base} beats each form of SC-PwC: by loss / by accuracy "
    f"({dataset}, t = 0.5, seed {seed}).",
)

# %% [markdown]
# And the conclusion, drawn by the sign test at 5% over the pairs of each condition. With fewer than
# six pairs this test can never decide, and *none* says nothing.

# %% tags=["hide-input"]
rows = []
for operator in [op for op in cells[names[0]].config.operators if op.startswith("sc-cca")]:
    for form in forms:
        row = {"form of SC-CCA": operator, "form of SC-PwC": form}
        for measure in ("loss", "accuracy"):
            results = {n: compare(r, operator, form, column=measure) for n, r in cells.items()}
            wins = [n for n, result in results.items() if result.better]
            losses = sum(result.better is False for result in results.values())
            row[f"conditions where SC-CCA wins by {measure}"] = "; ".join(wins) or "none"
            row[f"loses by {measure}"] = f"{losses} of {len(cells)}"
        rows.append(row)
verdicts = pd.DataFrame(rows)
plots.table(
    verdicts,
    f"Where the published ranking appears: significant wins of SC-CCA (sign test, 5%) on {dataset}, "
    f"{n_pairs} pairs a condition, seed {seed}.",
)

# %% tags=["hide-input"]
lines = []
for title, group in (
    ("One-to-one matching", ["sc-pwc", "sc-pwc-greedy"]),
    ("Semi-matching", ["sc-pwc-semi", "sc-pwc-semi-b"]),
):
    rows = verdicts[verdicts["form of SC-PwC"].isin(group)]
    for measure in ("loss", "accuracy"):
        won = rows[f"conditions where SC-CCA wins by {measure}"]
        named = {name for cell in won if cell != "none" for name in cell.split("; ")}
        listed = "; ".join(name for name in cells if name in named)
        lines.append(
            f"- **{title}, by {measure}:** some form of SC-CCA beats some form of it under "
            + (f"these conditions: {listed}." if listed else "none of the conditions.")
        )
display(Markdown("\n".join(lines)))

# %% [markdown]
# One-to-one matching (`sc-pwc` and `sc-pwc-greedy`) is what the paper calls bipartite matching.
# That its Figure 3 c and d show this one, the paper does not say in so many words; e and f show
# both. Semi-matching changes one of the parents, so a comparison with it is one with something
# else.
#
# ## The counts 203 and 125
#
# The paper's explanation rests on two counts on MNIST: 203 pairs of neurons with a correlation of .7
# or more, and 125 significant canonical relationships. Both change with the length of training, and
# with the rule of counting.

# %% tags=["hide-input"]
labels = {
    "row maxima above 0.7": "row maxima above .7",
    "matched pairs above 0.7": "one-to-one matched pairs above .7",
}
first = next(iter(counts.values()))
svcca = next(op for op in first.config.operators if op.startswith("sc-cca"))
labels |= {
    f"significant by Bartlett ({svcca})": "significant by Bartlett's test",
    f"canonical correlations above 0.7 ({svcca})": "canonical correlations above .7",
}
lengths = list(counts)
curves = {
    label: (lengths, [pair_totals(record, name).mean() for record in counts.values()])
    for name, label in labels.items()
}
plots.show(
    plots.lines(
        curves, "epochs", "count a pair", levels={f"published: {n}": n for n in (203, 125)}
    ),
    f"Counts of a pair on {count_dataset} against the length of training, means over {count_pairs} pairs, "
    f"seed {seed}, {svcca}. The published 203 and 125 are thin grey lines.",
    "Four counts as lines over the number of epochs, with two level lines at 203 and 125.",
)

# %% tags=["hide-input"]
rows = [
    {"epochs": n}
    | {label: count_text(record, name, 1) for name, label in labels.items()}
    | {
        "parents' loss": f"{record.pairs[['loss_a', 'loss_b']].to_numpy().mean():.3f}",
        "naive loss at t = 0.5": f"{record.at(0.5)['naive'].mean():.3f}",
    }
    for n, record in counts.items()
]
plots.table(
    pd.DataFrame(rows),
    f"The same in figures, with 95% bootstrap intervals over {count_pairs} pairs of {count_dataset}.",
)

# %% tags=["hide-input"]
lines = []
for published, rules in ((203, list(labels)[:2]), (125, list(labels)[2:])):
    for name in rules:
        totals = {n: pair_totals(record, name) for n, record in counts.items()}
        inside = [
            n for n, t in totals.items() if t.notna().all() and interval(t).contains(published)
        ]
        after = f"after {', '.join(map(str, inside))} epochs" if inside else "at no length tried"
        lines.append(f"- **{published}**, {labels[name]}: inside the 95% interval {after}.")
display(Markdown("\n".join(lines)))

# %% [markdown]
# A length that gives the paper's counts should give its curves too. Read by eye off the picture that
# the authors' notebook keeps, naive crossover on MNIST has a loss near .22 at $t = 0.5$, SVCCA near .18
# and the parents .065: hold the last two columns of the table against these.
#
# ## In short
#
# - The table of verdicts says for every form of both methods where the published ranking appears.
# - A one-to-one matching by correlation and a semi-matching are very different operators in a deep
#   network; which of them a comparison uses can decide its outcome.
# - The counts of Section 5.2.2 depend on the length of training and on the rule.
#
# :::{admonition} Exercise 1
# In a deep network, why can semi-matching do badly by loss and still fairly well by accuracy?
# :::
# :::{admonition} Answer
# :class: dropdown
# A neuron that is repeated many times is added many times in the next layer, so logits grow large.
# Accuracy only asks which logit is largest; the loss punishes every confident mistake.
# :::
# :::{admonition} Exercise 2
# Run this chapter again with `-p seed 2`. Does any verdict move?
# :::
# :::{admonition} Answer
# :class: dropdown
# It trains new parents, for the counts too. Compare the columns of both runs: is the difference
# between seeds smaller than that between operators? A verdict may move where it is not.
# :::
#
# **Next:** [what does aligning cost?](11-costs.ipynb)
