# %% [markdown]
# # Know when to align
#
# <!-- finding populations-answer -->
# **Align strangers before you average them; in shallow networks leave relatives alone. The mean of four networks that were trained apart is right on 24% of MNIST's test images; if they are aligned first, on 90%. In a genetic algorithm the selected soon descend from one founder. There, with parents averaged, alignment lowers the champion's score from 0.64 to 0.58. In such networks of two layers it pays only where the order of neurons has been lost: with every parent scrambled it raises the score from 0.25 to 0.56, still below mutation alone (0.66). In networks of eight layers crossover of whole neurons breaks even relatives (from 0.50 without it to 0.09); there alignment helps (0.38).**
# <!-- /finding -->
#
# - **You will** see what alignment is worth between strangers and between relatives: in averaging, in a genetic
#   algorithm, and between champions of separate lineages.
# - **You need** populations from [chapter 18](18-populations.ipynb).
# - **Runtime:** seconds. The published records are read.
#
# This chapter covers future work of Section 6 of
# [Uriot and Izzo (2020)](https://doi.org/10.1145/3377930.3390197): genetic algorithms and parallel training with
# averaged parameters. It reads records only and takes no data of your own; chapter 18 does (`-p task own.npz`), and
# `safecross run my-config.json` runs these experiments with other settings.

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
t = 0.5  # share of the second parent in the table of merged champions, such as 0.25

# %% tags=["hide-input"]
import pandas as pd

from safecross.book import plots
from safecross.book.results import say_where
from safecross.evolution import findings as rules
from safecross.runs import load_or_run
from safecross.runs.analysis import interval

tuning = load_or_run(rules.tuning_config())
sigmas = rules.tuned(tuning)
evolution = load_or_run(rules.evolution_config(sigmas))
averaging = {name: load_or_run(config) for name, config in rules.averaging_configs().items()}
mergers = {n: load_or_run(config) for n, config in rules.merging_configs(sigmas).items()}
merging = mergers["strangers"]
distilling = load_or_run(rules.distilling_config(sigmas))
specialists = load_or_run(rules.specialists_config())
say_where(
    {
        "genetic algorithms": evolution,
        **averaging,
        **{f"merged champions, {name}": record for name, record in mergers.items()},
        "distilled champions": distilling,
        "specialists": specialists,
    }
)

# %% [markdown]
# ## The map: alignment pays between strangers, and seldom among relatives
#
# Two networks are *strangers* if they were trained or evolved apart. They are *relatives* if they descend from one
# network: then their neurons stand in one order already, unless something has put them into another.
#
# Every comparison in this chapter follows one rule, which was fixed before its record: Wilcoxon's signed-rank test over the runs or
# pairs, its p adjusted by Holm's method for the comparisons made together. Below 0.05 one is *higher* or *lower*; else the
# test finds no difference, which does not mean that there is none: most experiments have 10 to 30 runs.

# %% tags=["hide-input"]
table = rules.worth()
panels = {
    related: frame.rename(columns={"situation": "label"})
    for related, frame in table.groupby("related", sort=False)
}
for related, frame in panels.items():
    plots.show(
        plots.forest({related: frame}, "gain by alignment"),
        f"Alignment among {related}: accuracy or score with SC-PwC minus that without, divided by that of the parents, of "
        "a network trained alone, or of mutation alone. Means over pairs or runs with 95% bootstrap intervals.",
        "; ".join(f"{r.label}: {r.value:+.1%}" for r in frame.itertuples()),
        name=f"worth-{related.partition(' ')[0]}-{'later' if 'later' in related else len(related)}",
    )

# %% [markdown]
# <!-- finding populations-averaging -->
# ## In training, aligning once is enough
#
# Aligned before the first averaging only, the networks end at 94.46%; aligned before each one at 94.44%, and the test finds no difference; never aligned at 93.71%, which is lower. From one initialisation, never aligned, they end at 94.55%, and the test finds no difference to aligning once. One network trained alone has 94.23%, the ensemble of four 94.52%. If networks are trained to the end and averaged only then, their mean has 90.1% if they are aligned and 23.6% if not.
# <!-- /finding -->
#
# Networks are trained side by side on the same images, each in an order of its own. Every five epochs all become
# their mean. *Never* aligned, aligned *once* before the first averaging, or *always*; *same* start: never aligned, but
# from one initialisation; *pull*: each moves 4% of the way to the mean after each epoch (PAPA, Jolicoeur-Martineau et
# al. 2023), and their mean is taken at the end.

# %% tags=["hide-input"]
for name, record in averaging.items():
    accuracies = rules.made(record)
    found = rules.averaging_family(record).set_index("first")
    rows = [
        (
            what,
            interval(accuracies[what]).format(4),
            found.loc[what, "difference"].format(4) if what in found.index else "",
            f"{found.loc[what, 'p']:.2g}" if what in found.index else "",
            found.loc[what, "verdict"] if what in found.index else "",
        )
        for what in accuracies.mean().sort_values(ascending=False).index
    ]
    plots.table(
        pd.DataFrame(rows, columns=["what", "accuracy", "minus once", "p", "verdict"]),
        f"{name}: accuracy on the test images after {record.config.epochs} epochs on {record.config.train_n:,} training images, "
        f"mean of {record.config.n_runs} runs, seed {record.config.seed}, with 95% bootstrap intervals; p of Wilcoxon's test "
        "against aligning once, adjusted by Holm's method. A soup is the mean of the networks trained apart; the ensemble "
        "averages their outputs.",
        name="averaging-" + name.lower().replace(",", "").replace(" ", "-"),
        fold=name != "MNIST, 4 networks",
    )

# %% tags=["hide-input"]
record = averaging["MNIST, 4 networks"]
epochs = record.tables["epochs"].groupby(["policy", "epoch"])["accuracy"].mean().unstack(0)
plots.show(
    plots.lines(
        {policy: (epochs.index, epochs[policy]) for policy in ("never", "once", "same", "apart")},
        "epoch",
        "accuracy of the members",
    ),
    f"Mean accuracy of the networks after each epoch, before they are averaged; {record.config.n_runs} runs, seed "
    f"{record.config.seed}.",
    "Never aligned falls after the first averaging and stays below the others.",
    name="averaging-epochs",
)

# %% [markdown]
# <!-- finding populations-averaging-more -->
# ### Elsewhere too aligning once is enough, and with two networks the test finds no need for it
#
# *Lower* and *higher* are against aligning once, by the rule; where nothing is said the test finds no difference.
#
# - **MNIST, 2 networks**: once 94.4%, always 94.4%, never 94.2%, from one initialisation 94.5%; one network alone 94.2%, the ensemble 94.4%. Trained apart and averaged at the end: aligned 92.9%, not aligned 58.2%.
# - **MNIST, 8 networks**: once 94.1%, always 94.1%, never 92.7% (lower), from one initialisation 94.3% (higher); one network alone 94.0%, the ensemble 94.4% (higher). Trained apart and averaged at the end: aligned 87.7%, not aligned 14.8%.
# - **MNIST, 4 networks, each epoch**: once 93.9%, always 93.9%, never 93.2% (lower), from one initialisation 94.3% (higher); one network alone 94.0%, the ensemble 94.4% (higher). Trained apart and averaged at the end: aligned 90.4%, not aligned 23.9%.
# - **CIFAR-10, 4 networks**: once 40.1%, always 40.1%, never 38.7% (lower), from one initialisation 40.5%; one network alone 38.6% (lower), the ensemble 41.5% (higher). Trained apart and averaged at the end: aligned 33.1%, not aligned 12.2%.
# - **CIFAR-10, 2 CNNs**: once 61.2%, always 61.1%, never 60.9%, from one initialisation 61.1%; one network alone 60.6%, the ensemble 64.0% (higher). Trained apart and averaged at the end: aligned 49.5%, not aligned 21.3%.
# <!-- /finding -->
#
# Those of two networks on MNIST are as above; the others were trained for 20 epochs on 5,000 images, averaged every five or, where
# it says so, each. *CNNs* are convolutional networks of the kind of [chapter 16](16-modules.ipynb) and half its width, trained for
# 10 epochs and averaged every two; each mean gets new batch-norm statistics.

# %% [markdown]
# <!-- finding populations-evolution -->
# ## In a genetic algorithm of shallow networks alignment helps only if the order of neurons is lost
#
# With mutation alone the selected descend from 13 founders at the start, from 2.0 after 5 generations and from 1.0 after 20. Relatives have their neurons in one order by descent; matching them by correlation puts many elsewhere. Champions of mutation alone score 0.662. No crossover is higher; for unaligned ones the test finds no difference, and both aligned ones are lower. Crossing whole neurons over scores 0.663 unaligned, 0.570 aligned, and 0.645 if relatives are left as they are. Alignment raises the score over that of unaligned crossover only where parents are scrambled (neuron, rate 1; arithmetic, rate 0.25; arithmetic, rate 1).
# <!-- /finding -->
#
# Controllers of two hidden layers of 64 neurons swing up a pole: 64 members, 13 parents, 80 generations, 20 runs of each
# arm from the same members. The step size of each arm was tuned on other seeds, at a scramble rate of 0. A *scrambled*
# parent has its neurons put into a random order before it mates: the function stays, homology is lost, as in encodings
# that do not keep the order of neurons. The twelve comparisons and their test were fixed before. Two tuned step sizes lie
# at the ends of the four that were tried (the least for aligned neurons, the largest for aligned means).


# %% tags=["hide-input"]
def family_table(record, digits):
    """Return the comparisons of a genetic algorithm's arms, for a page."""
    scores, rows = rules.task_scores(record), []
    for r in rules.arm_families(record, scores).itertuples():
        one = r.first.partition(":")[0]
        words = r.question if "aligned" in r.question else f"{r.question}, {one}"
        rows.append(
            (
                words,
                f"{scores[r.first].mean():.{digits}f}",
                f"{scores[r.second].mean():.{digits}f}",
                r.difference.format(digits),
                f"{r.higher} / {r.n}",
                f"{r.p:.2g}",
                r.verdict,
            )
        )
    columns = ["question", "first", "second", "difference", "higher", "p", "verdict"]
    return pd.DataFrame(rows, columns=columns)


plots.table(
    family_table(evolution, 3),
    f"Scores of the champions on {evolution.config.held_out} episodes that no generation saw, mean of "
    f"{evolution.config.n_runs} runs, seed {evolution.config.seed}; differences with 95% bootstrap intervals; p of "
    "Wilcoxon's test, adjusted by Holm's method.",
    name="evolution-family",
    fold=False,
)

# %% tags=["hide-input"]
best = evolution.tables["generations"].groupby(["arm", "generation"])["best"].mean().unstack(0)
for rate, words in ((0.0, "not scrambled"), (1.0, "all scrambled")):
    curves = {"mutation": best[rules.spelled("mutation", sigmas)]}
    for arm in rules.ARMS[1:]:
        curves[arm.replace("sc-pwc", "aligned")] = best[rules.spelled(arm, sigmas, rate)]
    plots.show(
        plots.lines({n: (c.index, c) for n, c in curves.items()}, "generation", "best score"),
        f"Parents {words}: best score of each generation, mean of {evolution.config.n_runs} runs, seed {evolution.config.seed}.",
        f"Five rising curves, parents {words}.",
        name=f"evolution-{rate:g}",
    )

# %% tags=["hide-input"]
rows, after = [], (0, 5, 20, 79)
generations = evolution.tables["generations"]
for arm in (rules.spelled(a, sigmas) for a in rules.ARMS):
    rows.append(
        (
            arm.partition(":")[0],
            *(
                generations.query("arm == @arm and generation == @g")["founders"].mean()
                for g in after
            ),
            generations.query("arm == @arm and generation == 79")["moved"].mean(),
            generations.query("arm == @arm and generation == 79")["rank"].mean(),
        )
    )
columns = ["arm", *(f"{g}" for g in after), "moved", "rank"]
plots.table(
    pd.DataFrame(rows, columns=columns),
    "Founders of the selected members after so many generations (0 to 79); at the end the share of neurons that alignment "
    f"moves, and the effective rank of the second layer's weights. Means of {evolution.config.n_runs} runs, not scrambled.",
    formats={c: "{:.1f}" for c in columns[1:]} | {"moved": "{:.0%}"},
    name="founders",
)

# %% [markdown]
# <!-- finding populations-tasks -->
# ## On two tasks of a library, aligning relatives gains nothing
#
# What crossover is worth depends on the task. By the rules, which were fixed before the runs:
#
# - **Pendulum**, where 0 is the most there is: champions of mutation alone return -335. Crossing whole neurons over returns -225 unaligned, which is higher; -585 aligned, which is lower than both; and -395 if relatives are left as they are, which is higher than that. All arms took the same number of steps.
# - **MinAtar's Breakout**, where a brick is worth 1: mutation alone returns 3.9. Crossing whole neurons over returns less, 3.0 unaligned and 2.8 aligned; for whole layers the test finds no difference to mutation alone. The test finds no difference between aligned and unaligned, nor one by leaving relatives as they are (2.8). Episodes end early there, and arms took 134 to 251 thousand steps on average. So we compare the best members when all arms of a run had taken the same number of steps; the champions on new episodes give the same answers. For 4 of 6 arms, mutation alone among them, the least step size that was tried was the best.
# <!-- /finding -->
#
# The genetic algorithm is the one above, in environments of gymnax: 64 members with two hidden layers of 64 neurons, 80
# generations (50 on MinAtar's Breakout), 30 runs of each arm, nothing scrambled. Each arm's step size was chosen on three other
# seeds out of the same four. An arm is named by its method and what it crosses over: `naive/layer` takes whole layers, unaligned. Pendulum's returns lie below 0 and have no size that a gain could be a share of, so the map leaves them out.

# %% tags=["hide-input"]
tasks = {
    task: load_or_run(
        rules.task_config(task, rules.tuned(load_or_run(rules.task_tuning_config(task))))
    )
    for task in rules.TASKS
}
say_where(tasks)
for task, record in tasks.items():
    what = f"the champions over {record.config.held_out} episodes that no generation saw"
    if not rules.took_equal_steps(record):
        what = "the best members in their own generation, when all arms of a run had taken equally many steps"
    plots.table(
        family_table(record, {"Pendulum": 0, "Breakout": 1}[task]),
        f"{task}: returns of {what}, mean of {record.config.n_runs} runs, seed {record.config.seed}; differences with "
        "95% bootstrap intervals; p of Wilcoxon's test, adjusted by Holm's method.",
        name=f"evolution-{task.lower()}",
    )

# %% [markdown]
# <!-- finding populations-safe -->
# ## In deep controllers crossover breaks what it crosses, and alignment or safe mutation mends a part
#
# With 2 hidden layers and plain mutation champions score 0.634 without crossover, 0.637 with unaligned neurons crossed over and 0.547 with aligned ones; for safe mutation the test finds no difference in any of them. With 8 hidden layers mutation alone scores 0.504, and unaligned crossover falls to 0.093. Alignment lifts it to 0.377, safe mutation to 0.543 (these two were not tested against each other; safe mutation without crossover has 0.601). The two do not add up: with both it is 0.335, lower than with safe mutation alone.
# <!-- /finding -->
#
# *Safe* mutation (SM-R, Lehman et al. 2018) scales a step until the outputs change by a set amount. Ten runs of each arm, 50
# generations, whole neurons crossed over. The step sizes of both kinds were tuned on other seeds, with mutation alone. The
# seven comparisons for each depth, and their test, were fixed before. In deep controllers the largest safe step that was tried
# was the best.

# %% tags=["hide-input"]
safe = {
    layers: load_or_run(
        rules.safe_config(layers, rules.safe_tuned(load_or_run(rules.safe_tuning_config(layers))))
    )
    for layers in rules.SAFE_LAYERS
}
say_where(safe)
rows = []
for layers, record in safe.items():
    scores = rules.champions(record)
    rows += [
        (
            layers,
            r.question,
            f"{scores[r.first].mean():.3f}",
            f"{scores[r.second].mean():.3f}",
            r.difference.format(3),
            f"{r.higher} / {r.n}",
            f"{r.p:.2g}",
            r.verdict,
        )
        for r in rules.safe_family(record).itertuples()
    ]
plots.table(
    pd.DataFrame(
        rows,
        columns=["controller", "what", "with", "without", "difference", "higher", "p", "verdict"],
    ),
    "What safe mutation and safe crossover are worth, each with and without the other: scores of the champions, differences "
    "with 95% bootstrap intervals; p of Wilcoxon's test, adjusted by Holm's method over the seven of each depth. Seed "
    f"{record.config.seed}.",
    name="safe-family",
    fold=False,
)

# %% [markdown]
# <!-- finding populations-merging -->
# ## Champions of separate lineages hardly survive a merger, aligned or not
#
# Two champions score 0.677. Halfway between them children score 0.063 naive and 0.178 aligned, 26% of their parents; repaired 0.193, where the test finds no difference. Other recombinations, naive and aligned: neuron 0.035 and 0.077; layer 0.191 and 0.104; slerp 0.080 and 0.194. (With three layers, a quarter of the layer children are copies of one parent.)
# <!-- /finding -->
#
# Two champions of separate runs, 20 pairs. A child's *distance* is how far its pushes are from those of the parent that
# is nearer, 0 for a copy: how new it is. Its score says what it kept.

# %% tags=["hide-input"]
score, distance = rules.merged(merging, t), rules.merged(merging, t, "distance")
rows = [
    (
        way,
        interval(score[way]).format(3),
        score[way].mean() / score["parents"].mean(),
        distance[way].mean(),
    )
    for way in [*merging.config.ways, "parents"]
]
plots.table(
    pd.DataFrame(rows, columns=["way", "score", "of the parents'", "distance"]),
    f"Children of champions of two lineages, share {t:g} of the second; {merging.config.n_pairs} pairs, seed "
    f"{merging.config.seed}, {merging.config.held_out} episodes; scores with 95% bootstrap intervals.",
    formats={"of the parents'": "{:.0%}", "distance": "{:.3f}"},
    name="merged",
    fold=False,
)

# %% tags=["hide-input"]
children = merging.tables["children"].groupby(["way", "t"])["score"].mean().unstack(0)
shown = {
    "naive": "naive/arithmetic",
    "SC-PwC": "sc-pwc/arithmetic",
    "SC-PwC, repaired": "sc-pwc/arithmetic+repair",
    "SC-PwC, neurons": "sc-pwc/neuron",
}
plots.show(
    plots.lines(
        {name: (children.index, children[way]) for name, way in shown.items()},
        "share t of the second parent",
        "score",
        {"naive": "naive", "SC-PwC": "sc-pwc", "SC-PwC, repaired": "sc-pwc"},
    ),
    f"Score of the children between two champions, mean of {merging.config.n_pairs} pairs, seed {merging.config.seed}.",
    "All curves fall between the parents; aligned ones fall later.",
    name="merged-curves",
)

# %% [markdown]
# <!-- finding populations-merging-sizes -->
# ### Narrow champions hardly survive either, and the test finds no gain from more states
#
# With hidden layers 16-16, children keep 27% of their parents' score if aligned, 6% if not (the test finds no difference), and 29% if repaired too; with hidden layers 64-64, children keep 26% of their parents' score if aligned, 9% if not (the test finds no difference), and 29% if repaired too. The test has the 10 pairs that both widths have, too few to confirm what all pairs of the table above show. Aligned children score 0.162 with 10 states, 0.134 with 100 states, 0.178 with 1,000 states, 0.174 with 10,000 states on which neurons are compared; the test finds no difference.
# <!-- /finding -->
#
# The narrow champions evolved with the step size that was tuned for 64 neurons.

# %% tags=["hide-input"]
resized = {n: load_or_run(config) for n, config in rules.resized_configs(sigmas).items()}
restated = {n: load_or_run(config) for n, config in rules.restated_configs(sigmas).items()}
for tested, words, name in (
    (rules.resized_family(resized), "Widths of both hidden layers", "merged-widths"),
    (
        rules.restated_family(restated),
        "Numbers of states that neurons are compared on",
        "merged-states",
    ),
):
    plots.table(
        pd.DataFrame(
            [
                (
                    r.first,
                    r.second.partition(": ")[2] if name == "merged-widths" else "1,000 states",
                    r.difference.format(3),
                    f"{r.higher} / {r.n}",
                    f"{r.p:.2g}",
                    r.verdict,
                )
                for r in tested.itertuples()
            ],
            columns=["first", "second", "difference", "higher", "p", "verdict"],
        ),
        f"{words}: scores of children at t = 0.5, the first minus the second, with 95% bootstrap intervals; p of Wilcoxon's "
        "test, adjusted by Holm's method.",
        name=name,
    )

# %% [markdown]
# <!-- finding populations-distillation -->
# ### Distilled children keep most of it
#
# Trained to do as each champion does where that champion has been, children score 0.591, 87% of their parents; aligned means of the same pairs 0.201. They are about as new: their behaviour lies 0.19 from the nearer parent's, that of aligned means 0.20. Started from the aligned mean, and not from a copy of the first parent, they score 0.590, and the test finds no difference; from the naive mean 0.553. So most of both behaviours fits into one network of the same size; averaging weights is what loses it.
# <!-- /finding -->
#
# *Distillation* (after Gangwani and Peng 2018): a child is trained by 500 steps of Adam on the parents' pushes, each
# parent's on the states that this parent met. It takes no labels and no new episodes, but half a second of training, and it
# is the baseline that a crossover of weights has to meet.

# %% tags=["hide-input"]
score, distance = rules.merged(distilling), rules.merged(distilling, column="distance")
rows = [
    (
        way.replace("sc-pwc/arithmetic", "aligned mean")
        .replace("naive/arithmetic", "naive mean")
        .replace("+distillation", ", distilled"),
        interval(score[way]).format(3),
        score[way].mean() / score["parents"].mean(),
        distance[way].mean(),
    )
    for way in [*distilling.config.ways, "parents"]
]
plots.table(
    pd.DataFrame(rows, columns=["way", "score", "of the parents'", "distance"]),
    f"Children at t = 0.5 of the first {distilling.config.n_pairs} pairs of the table above, distilled from different "
    f"starts; seed {distilling.config.seed}, scores with 95% bootstrap intervals.",
    formats={"of the parents'": "{:.0%}", "distance": "{:.3f}"},
    name="distilled",
    fold=False,
)

# %% [markdown]
# <!-- finding populations-exploration -->
# ## Alignment helps strangers and hurts close relatives, and its children are less new
#
# Halfway along the straight line alignment changes the score, as a share of the parents', by +17% (95% interval +8% to +26%) for strangers; -10% (95% interval -27% to +6%) for lineages that parted after 20 generations; -42% (95% interval -57% to -26%) for lineages that parted after 60 generations. But its children are less new: between strangers they keep, not aligned 9% of their parents' score at a distance of 0.26 and aligned 26% of their parents' score at a distance of 0.21. Over all recombinations and t the area under the Pareto front is 0.189 not aligned and 0.190 aligned for strangers (p = 1); 0.231 not aligned and 0.186 aligned for lineages that parted after 20 generations (p = 0.069); 0.199 not aligned and 0.176 aligned for lineages that parted after 60 generations (p = 1). None of the 15 tests of areas finds a difference; among relatives most aligned areas are smaller, but no test confirms it. So aligned children keep more and differ less, and we found no gain over both together.
# <!-- /finding -->
#
# A child that repeats a parent keeps everything and explores nothing; one that does something else may keep nothing.
# Each point is one recombination at one t: how far its children behave from the nearer parent, and which share of their
# parents' score they keep. The line holds the best that is kept at each distance. Lineages that *parted* share their
# first 20 or 60 of 80 generations.

# %% tags=["hide-input"]
series = {"not aligned": "naive", "aligned": "sc-pwc"}
words = {method: name for name, method in series.items()}
points = {
    name: rules.children_on_fronts(record)
    .assign(series=lambda table: table["method"].map(words))
    .rename(columns={"distance": "x", "kept": "y"})
    for name, record in mergers.items()
}
plots.show(
    plots.fronts(points, "distance of behaviour", "share of the parents' score", series),
    f"Exploration against information kept: means over {merging.config.n_pairs} pairs, seed {merging.config.seed}, for "
    "four recombinations and nine t. The test of the fronts is made pair by pair.",
    "Scattered points fall from the upper left to the lower right; the two fronts of each panel run close together.",
    name="exploration",
)

# %% tags=["hide-input"]
found = rules.exploration_family(mergers)
rows = [
    (
        r.related,
        r.recombination,
        r.difference.format(3),
        f"{r.higher} / {r.n}",
        f"{r.p:.2g}",
        r.verdict,
    )
    for r in found.itertuples()
]
plots.table(
    pd.DataFrame(
        rows, columns=["parents", "recombination", "difference", "higher", "p", "verdict"]
    ),
    "Area under the front, aligned minus not aligned, pair by pair, with 95% bootstrap intervals; p of Wilcoxon's test, "
    "adjusted by Holm's method.",
    name="exploration-family",
)

# %% [markdown]
# <!-- finding populations-specialists -->
# ## Mixed children survive plain truncation too, and a little training helps more than mating
#
# Networks that know the digits 0 to 4 are mated with networks that know 5 to 9. After 20 generations of plain truncation 82% of the members descend from both kinds; with alignment 55%; under niching 90% and 68%. The test finds no selection that keeps more of them than truncation. The best member is right on 64.1% of the test images, with alignment on 59.5%; a founder on 47.8%. Niching reaches 69.1% and 67.4%, MAP-Elites 66.0% and 60.0%; higher than truncation by the rule: niching, aligned. The test finds no champion that alignment makes better. If each child is trained for one short epoch, the best member reaches 90.5% (aligned 90.6%), but copies that are trained and never mated reach 91.2%, which is higher. (With 10 runs and 14 comparisons a difference counts only if it shows in nearly every run.)
# <!-- /finding -->
#
# Ten networks of 64 hidden neurons are trained on either half of the digits, of 5,000 images in all. In each generation
# 20 pairs are drawn, each has one child, a mean with a share of 25% to 75% of the second parent, and of parents and
# children some live on. *Truncation* keeps the 20 that are right most often. *Niching* divides each image among those that
# are right on it, and lets the least go, one by one: the competition of M2N2 (Abrantes et al. 2025). *MAP-Elites* keeps
# the best of each of 16 cells, by accuracy on either half. *Training*: truncation, but each child is first trained for
# one epoch on 1,000 images.

# %% tags=["hide-input"]
scores, mixed = rules.specialists_scores(specialists), rules.mixed_shares(specialists)
halves = specialists.tables["champions"].groupby("arm")[["first_half", "second_half"]].mean()
rows = [
    (
        arm.replace("sc-pwc", "aligned").replace("truncation+", "").replace("/", ", "),
        interval(scores[arm]).format(3),
        f"{halves.loc[arm, 'first_half']:.2f}, {halves.loc[arm, 'second_half']:.2f}",
        f"{mixed[arm].mean():.0%}" if arm in mixed else "",
    )
    for arm in scores
]
plots.table(
    pd.DataFrame(rows, columns=["arm", "accuracy", "on 0-4, 5-9", "mixed"]),
    f"Accuracy on the test images of the member that is best on the training images, after "
    f"{specialists.config.generations} generations, mean of {specialists.config.n_runs} runs, seed "
    f"{specialists.config.seed}, with 95% bootstrap intervals; its accuracy on either half; and the share of members with "
    "ancestors of both halves. Founders: their mean.",
    name="specialists",
    fold=False,
)

# %% tags=["hide-input"]
living = specialists.tables["generations"].groupby(["arm", "generation"])["mixed"].mean().unstack(0)
plots.show(
    plots.lines(
        {
            name: (living.index + 1, living[f"naive/{arm}"])
            for name, arm in {
                "truncation": "truncation",
                "niching": "niching",
                "MAP-Elites": "map-elites",
                "training": "truncation+training",
            }.items()
        },
        "generation",
        "share of mixed members",
    ),
    f"Members with ancestors of both halves, not aligned; mean of {specialists.config.n_runs} runs, seed "
    f"{specialists.config.seed}.",
    "All four curves rise; training and MAP-Elites at once, niching and truncation over ten generations.",
    name="specialists-mixed",
)

# %% [markdown]
# ## In short
#
# <!-- finding populations-short -->
# - What alignment adds, as a share of what there was: strangers +2% to +78%; strangers at first, relatives later -13% to +4%; relatives in random orders -1% to +46%; relatives -42% to +56%.
# - Averaging in training, MNIST, 4 networks: never aligned 93.71%, once 94.46%, always 94.44%; alone 94.23%.
# - Genetic algorithm, champions: mutation 0.662; whole neurons 0.663 unaligned and 0.570 aligned; all parents scrambled 0.522 and 0.583.
# - With `related=` of `mate`, relatives are left as they are; `align_population` brings strangers into one frame once.
# <!-- /finding -->
#
# ## Exercises
#
# **1.** Why does aligning once do as well as aligning every time, when networks are averaged in training?
#
# <details><summary>Answer</summary>
#
# After the first averaging all networks are copies of their mean: relatives, with their neurons in one order. Until the
# next averaging each changes a little, and the neuron that corresponds to neuron 7 is still neuron 7.
#
# </details>
#
# **2.** In a genetic algorithm all members descend from one founder after a few generations. What would have to be
# different for alignment to help?
#
# <details><summary>Answer</summary>
#
# Members would have to stay unrelated, or lose their order: immigrants, niches that keep several founders, or an encoding in
# which the order of neurons means nothing. Even then a child must be worth keeping: children of merged champions hardly are here.
#
# </details>
#
# **Next:** [How to run and rerun](../book/running.md)
