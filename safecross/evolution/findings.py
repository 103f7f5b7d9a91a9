"""The questions asked of populations, and the rules that answer them."""

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pandas as pd

from ..replication import paper
from ..runs import Record, load_or_run
from ..runs.analysis import family, interval
from .arms import parse_arm
from .averaging import POLICIES, AveragingConfig
from .merging import MergingConfig, front_area, on_front, parse_way
from .runs import SWING_UP, EvolutionConfig
from .specialists import FOUNDERS, SpecialistsConfig

__all__ = [
    "ARMS",
    "COMPARED",
    "FIRST",
    "MERGED_STATES",
    "MERGED_WIDTHS",
    "RATES",
    "RELATIVES",
    "SAFE_KINDS",
    "SAFE_LAYERS",
    "SAFE_SIGMAS",
    "SCRAMBLED",
    "SHARED",
    "SIGMAS",
    "STRANGERS",
    "TASKS",
    "arm_families",
    "at_equal_steps",
    "averaging_configs",
    "averaging_family",
    "champions",
    "distilling_config",
    "distilling_family",
    "evolution_config",
    "exploration_family",
    "explored",
    "made",
    "merged",
    "merging_config",
    "merging_family",
    "mixed_family",
    "mixed_shares",
    "population_configs",
    "resized_configs",
    "resized_family",
    "restated_configs",
    "restated_family",
    "safe_config",
    "safe_family",
    "safe_tuned",
    "safe_tuning_config",
    "specialists_config",
    "specialists_family",
    "specialists_scores",
    "spelled",
    "task_config",
    "task_scores",
    "task_tuning_config",
    "took_equal_steps",
    "tuned",
    "tuning_config",
    "worth",
]

#: Ways to make children whose step size is tuned, each for itself.
ARMS = ("mutation", "naive/neuron", "sc-pwc/neuron", "naive/arithmetic", "sc-pwc/arithmetic")

#: Step sizes that are tried.
SIGMAS = (0.01, 0.03, 0.1, 0.3)

#: Probabilities that a parent's neurons are put in a random order before it mates.
RATES = (0.0, 0.25, 1.0)

#: Tasks of an ordinary genetic algorithm beside swing-up, in which nothing is scrambled.
TASKS = {"Pendulum": "gymnax:Pendulum-v1", "Breakout": "gymnax:Breakout-MinAtar"}

_TASK_ARMS = (*ARMS[:3], "naive/layer", *ARMS[3:])

_TASK_SIZES = {"Pendulum": {"generations": 80}, "Breakout": {"generations": 50}}

#: Controllers in which safe mutation and safe crossover meet, by the number of hidden layers.
SAFE_LAYERS = {"2 hidden layers": (64, 64), "8 hidden layers": (64,) * 8}

#: The two kinds of mutation there, as an arm spells them: Gaussian, and SM-R of Lehman et al. 2018.
SAFE_KINDS = {"plain": "no", "safe": "rescaling"}

#: Step sizes that are tried for each: of weights, and of outputs.
SAFE_SIGMAS = {"plain": (0.01, 0.03, 0.1, 0.3), "safe": (0.1, 0.3, 1.0, 3.0)}

_SAFE_ARMS = ("mutation", "naive/neuron", "sc-pwc/neuron")

#: What networks become that are trained side by side: compared with aligning once.
COMPARED = ("never", "always", "same", "pull", "single", "ensemble", "soup", "aligned soup")

#: How networks are related: trained or evolved apart;
STRANGERS = "strangers"

#: until they are averaged for the first time;
FIRST = "strangers at first, relatives later"

#: by descent, but their neurons were put in another order;
SCRAMBLED = "relatives in random orders"

#: by descent, their neurons in one order.
RELATIVES = "relatives"

#: Generations that two lineages have in common before they part, by what the book calls them.
SHARED = {"strangers": 0, "parted after 20 generations": 20, "parted after 60 generations": 60}

#: Widths of both hidden layers of champions that are merged.
MERGED_WIDTHS = (16, 64)

#: Numbers of states on which their neurons are compared.
MERGED_STATES = (10, 100, 1000, 10000)

_MERGED = (
    "naive/arithmetic",
    "sc-pwc/arithmetic",
    "sc-pwc/arithmetic+repair",
    "naive/neuron",
    "sc-pwc/neuron",
    "naive/layer",
    "sc-pwc/layer",
    "naive/slerp",
    "sc-pwc/slerp",
)


_DISTILLED = (
    "sc-pwc/arithmetic",
    "distillation",
    "sc-pwc/arithmetic+distillation",
    "naive/arithmetic+distillation",
)


def tuning_config() -> EvolutionConfig:
    """Return the experiment that chooses each arm's step size, on seeds of its own."""
    arms = tuple(f"{arm}:sigma={sigma}" for arm in ARMS for sigma in SIGMAS)
    return EvolutionConfig(SWING_UP, arms, n_runs=5, generations=80, seed=1)


def champions(record: Record) -> pd.DataFrame:
    """Return the champions' scores of an experiment on evolution, a row a run, a column an arm."""
    table = record.tables["champions"].pivot(index="run", columns="arm", values="score")
    return table[list(record.config.arms)]


def tuned(record: Record) -> dict[str, float]:
    """Return the step size of each arm: that with the highest mean score of its champions.

    Parameters
    ----------
    record : Record
        Of `tuning_config` or `task_tuning_config`.
    """
    scores, best = champions(record).mean(), {}
    for word in record.config.arms:
        arm, _, sigma = word.partition(":sigma=")
        if arm not in best or scores[word] > scores[f"{arm}:sigma={best[arm]}"]:
            best[arm] = float(sigma)
    return best


def evolution_config(sigmas: dict[str, float]) -> EvolutionConfig:
    """Return the main experiment: scrambled or not, with the step sizes that `tuned` chose.

    Parameters
    ----------
    sigmas : dict of str to float
        By arm.
    """
    arms = [spelled("mutation", sigmas)]
    for arm in ARMS[1:]:
        arms += [spelled(arm, sigmas, rate) for rate in RATES]
    arms += [spelled(arm, sigmas, related=True) for arm in ARMS if arm.startswith("sc-pwc")]
    return EvolutionConfig(SWING_UP, tuple(arms), n_runs=20, generations=80)


def spelled(arm: str, sigmas: dict[str, float], rate: float = 0.0, related: bool = False) -> str:
    """Return an arm of the main experiment in one word.

    Examples
    --------
    >>> spelled("naive/neuron", {"naive/neuron": 0.03}, 0.25)
    'naive/neuron:sigma=0.03,scramble=0.25'
    """
    word = f"{arm}:sigma={sigmas[arm]}"
    if rate:
        word += f",scramble={rate}"
    return f"{word},related=true" if related else word


def arm_families(record: Record, scores: pd.DataFrame | None = None) -> pd.DataFrame:
    """Return the comparisons of an experiment on genetic algorithms, as one family.

    Aligned with naive crossover, for each recombination and rate of scrambling; each crossover
    without scrambling with mutation alone; and leaving relatives unaligned with aligning all. The
    rule, fixed before there was a record, is that of `safecross.runs.analysis.family`, on the
    champions' scores.

    Parameters
    ----------
    record : Record
        Of `evolution_config` or `task_config`.
    scores : pandas.DataFrame, optional
        Compared instead of the champions' scores: a row a run, a column an arm.

    Returns
    -------
    pandas.DataFrame
        As `family` returns it, with the question in front.
    """
    arms = {arm: parse_arm(arm) for arm in record.config.arms}
    by = {replace(a, sigma=0.0): word for word, a in arms.items()}
    plain = {word: a for word, a in arms.items() if a.crosses and not a.related}
    rows = []
    for word, a in plain.items():
        if a.method != "naive":
            other = by[replace(a, sigma=0.0, method="naive")]
            rows.append((f"aligned or not, {a.recombine}, rate {a.scramble:g}", word, other))
    mutation = next(word for word, a in arms.items() if not a.crosses)
    rows += [("crossover or not", w, mutation) for w, a in plain.items() if not a.scramble]
    for word, a in arms.items():
        if a.related:
            rows.append(("relatives left alone", word, by[replace(a, sigma=0.0, related=False)]))
    scores = champions(record) if scores is None else scores
    found = family(scores, [row[1:] for row in rows])
    return found.assign(question=[row[0] for row in rows])[["question", *found.columns]]


def task_tuning_config(task: str) -> EvolutionConfig:
    """Return the experiment that chooses each arm's step size on a task, on seeds of its own.

    Parameters
    ----------
    task : str
        A name in `TASKS`.
    """
    arms = tuple(f"{arm}:sigma={sigma}" for arm in _TASK_ARMS for sigma in SIGMAS)
    return EvolutionConfig(TASKS[task], arms, n_runs=3, seed=5, **_TASK_SIZES[task])


def task_config(task: str, sigmas: dict[str, float]) -> EvolutionConfig:
    """Return the experiment that asks whether alignment helps a genetic algorithm on a task.

    Parameters
    ----------
    task : str
        A name in `TASKS`.
    sigmas : dict of str to float
        By arm, as `tuned` chose them.
    """
    arms = [spelled(arm, sigmas) for arm in _TASK_ARMS]
    arms += [spelled(a, sigmas, related=True) for a in _TASK_ARMS if a.startswith("sc-pwc")]
    return EvolutionConfig(TASKS[task], tuple(arms), n_runs=30, seed=6, **_TASK_SIZES[task])


def took_equal_steps(record: Record) -> bool:
    """Return whether every arm of every run took the same number of steps of the environment."""
    taken = record.tables["generations"].groupby(["run", "arm"])["steps"].max()
    return taken.nunique() == 1


def at_equal_steps(record: Record) -> pd.DataFrame:
    """Return the best score of each arm when each run's arms had taken equally many steps.

    Episodes that end early cost fewer steps, so that after as many generations arms may have taken
    more steps or fewer. Alignment takes none of its own: neurons are compared on states that the
    members met when they were evaluated.

    Parameters
    ----------
    record : Record
        Of `task_config`.

    Returns
    -------
    pandas.DataFrame
        A row a run, a column an arm: the best fitness of its last generation that ended within the
        steps of the arm that took fewest.
    """
    rows = record.tables["generations"]
    taken = rows.groupby(["run", "arm"])["steps"].transform("max")
    fewest = taken.groupby(rows["run"]).transform("min")
    within = rows[rows["steps"] <= fewest].sort_values("generation")
    table = within.groupby(["run", "arm"])["best"].last().unstack()
    return table[list(record.config.arms)]


def task_scores(record: Record) -> pd.DataFrame:
    """Return the scores that a genetic algorithm's arms are compared by.

    Those of the champions if all arms took equally many steps, else those of `at_equal_steps`.

    Parameters
    ----------
    record : Record
        Of `evolution_config` or `task_config`.

    Returns
    -------
    pandas.DataFrame
        A row a run, a column an arm.
    """
    return champions(record) if took_equal_steps(record) else at_equal_steps(record)


def safe_tuning_config(layers: str) -> EvolutionConfig:
    """Return the experiment that chooses the step size of each kind of mutation, on its own seeds.

    Parameters
    ----------
    layers : str
        A name in `SAFE_LAYERS`.
    """
    arms = tuple(
        f"mutation:sigma={sigma},safe={kind}"
        for name, kind in SAFE_KINDS.items()
        for sigma in SAFE_SIGMAS[name]
    )
    hidden = SAFE_LAYERS[layers]
    return EvolutionConfig(SWING_UP, arms, n_runs=3, generations=50, seed=4, hidden=hidden)


def safe_tuned(record: Record) -> dict[str, float]:
    """Return the step size of each kind of mutation: that with the best champions on average.

    Parameters
    ----------
    record : Record
        Of `safe_tuning_config`.
    """
    scores = champions(record).mean()
    return {
        name: max(
            SAFE_SIGMAS[name], key=lambda sigma, k=kind: scores[f"mutation:sigma={sigma},safe={k}"]
        )
        for name, kind in SAFE_KINDS.items()
    }


def safe_config(layers: str, sigmas: dict[str, float]) -> EvolutionConfig:
    """Return the experiment of safe mutation by safe crossover, two by two, and mutation alone.

    Parameters
    ----------
    layers : str
        A name in `SAFE_LAYERS`.
    sigmas : dict of str to float
        By the kinds of `SAFE_KINDS`, as `safe_tuned` chose them.
    """
    arms = tuple(
        f"{arm}:sigma={sigmas[name]},safe={kind}"
        for arm in _SAFE_ARMS
        for name, kind in SAFE_KINDS.items()
    )
    hidden = SAFE_LAYERS[layers]
    return EvolutionConfig(SWING_UP, arms, n_runs=10, generations=50, seed=3, hidden=hidden)


def safe_family(record: Record) -> pd.DataFrame:
    """Return what safe mutation and safe crossover are worth, each with and without the other.

    The rule, fixed before there was a record, is that of `safecross.runs.analysis.family`, on the
    champions' scores: safe with plain mutation, for each way to cross over; aligned with unaligned
    crossover, for each kind of mutation; and each crossover with mutation alone.

    Parameters
    ----------
    record : Record
        Of `safe_config`.

    Returns
    -------
    pandas.DataFrame
        As `family` returns it, with the question in front.
    """
    (alone, alone_safe), (naive, naive_safe), (aligned, aligned_safe) = np.reshape(
        record.config.arms, (3, 2)
    ).tolist()
    asked = {
        "safe mutation, without crossover": (alone_safe, alone),
        "safe mutation, with unaligned crossover": (naive_safe, naive),
        "safe mutation, with aligned crossover": (aligned_safe, aligned),
        "aligned crossover, with plain mutation": (aligned, naive),
        "aligned crossover, with safe mutation": (aligned_safe, naive_safe),
        "unaligned crossover, with plain mutation": (naive, alone),
        "unaligned crossover, with safe mutation": (naive_safe, alone_safe),
    }
    found = family(champions(record), list(asked.values()))
    return found.assign(question=list(asked))[["question", *found.columns]]


def averaging_configs() -> dict[str, AveragingConfig]:
    """Return the experiments on averaging, by what the book calls them."""
    main = AveragingConfig("mnist", (128, 128), 4, epochs=40, period=5, n_runs=10)
    short = main.replace(epochs=20, test_n=1000)
    without_pull = tuple(policy for policy in POLICIES if policy != "pull")
    return {
        "MNIST, 4 networks": main,
        "MNIST, 2 networks": main.replace(networks=2),
        "MNIST, 8 networks": short.replace(networks=8),
        "MNIST, 4 networks, each epoch": short.replace(period=1, policies=without_pull),
        "CIFAR-10, 4 networks": short.replace(dataset="cifar10"),
        "CIFAR-10, 2 CNNs": short.replace(
            dataset="cifar10",
            hidden=(),
            networks=2,
            epochs=10,
            period=2,
            policies=without_pull,
            architecture="vgg7:width=8",
            learning_rate=0.2,
        ),
    }


def made(record: Record, column: str = "accuracy") -> pd.DataFrame:
    """Return what the networks of an experiment on averaging became: a row a run."""
    return record.tables["results"].pivot(index="run", columns="what", values=column)


def averaging_family(record: Record) -> pd.DataFrame:
    """Return how everything compares with aligning once, by accuracy, as one family.

    The rule, fixed before there was a record, is that of `safecross.runs.analysis.family`.

    Parameters
    ----------
    record : Record
        Of one of `averaging_configs`.
    """
    table = made(record)
    return family(table, [(what, "once") for what in COMPARED if what in table])


def merging_config(sigmas: dict[str, float], shared: int = 0) -> MergingConfig:
    """Return the experiment that merges champions of lineages evolved by mutation alone.

    Parameters
    ----------
    sigmas : dict of str to float
        By arm.
    shared : int
        Generations, of 80, that the lineages of a pair have in common; see `SHARED`.
    """
    arm = spelled("mutation", sigmas)
    return MergingConfig(SWING_UP, _MERGED, arm, 20, 80, seed=2, shared=shared)


def resized_configs(sigmas: dict[str, float]) -> dict[str, MergingConfig]:
    """Return the experiments that merge champions of several widths, by their hidden layers.

    The one of 64 neurons is `merging_config`; the other has ten pairs.
    """
    main = merging_config(sigmas)
    other = main.replace(ways=_MERGED[:3], n_pairs=10, t=(0, 0.5, 1))
    own = main.hidden[0]
    return {f"{w}-{w}": main if w == own else other.replace(hidden=(w, w)) for w in MERGED_WIDTHS}


def restated_configs(sigmas: dict[str, float]) -> dict[str, MergingConfig]:
    """Return the experiments that compare neurons on more or fewer states, by how many.

    The one of 1,000 states is `merging_config`; the champions are the same in all.
    """
    main = merging_config(sigmas)
    other = main.replace(ways=_MERGED[:3], t=(0, 0.5, 1))
    return {
        f"{n:,} states": main if n == main.align_n else other.replace(align_n=n)
        for n in MERGED_STATES
    }


def resized_family(records: dict[str, Record]) -> pd.DataFrame:
    """Return what alignment and repair are worth at each width, by score, as one family.

    Of the pairs that all widths have: aligned with naive children, repaired with not repaired
    ones, and repaired ones with their parents. The rule, fixed before there was a record, is that
    of `safecross.runs.analysis.family`.

    Parameters
    ----------
    records : dict of str to Record
        Of `resized_configs`, by its names.
    """
    naive, aligned, repaired = _MERGED[:3]
    rows = [(aligned, naive), (repaired, aligned), (repaired, "parents")]
    names = [[f"{name}: {way}" for way in row] for name in records for row in rows]
    return family(_joined(records), [tuple(row) for row in names])


def restated_family(records: dict[str, Record]) -> pd.DataFrame:
    """Return whether more or fewer states change aligned children, by score, as one family.

    Each number of states with 1,000, aligned and repaired. The champions are the same. The rule,
    fixed before there was a record, is that of `safecross.runs.analysis.family`.

    Parameters
    ----------
    records : dict of str to Record
        Of `restated_configs`, by its names, 1,000 states among them.
    """
    others = [name for name in records if name != "1,000 states"]
    rows = [(f"{o}: {way}", f"1,000 states: {way}") for way in _MERGED[1:3] for o in others]
    return family(_joined(records), rows)


def _joined(records: dict[str, Record]) -> pd.DataFrame:
    tables = [merged(record).add_prefix(f"{name}: ") for name, record in records.items()]
    return pd.concat(tables, axis=1, join="inner")


def distilling_config(sigmas: dict[str, float]) -> MergingConfig:
    """Return the experiment with distilled children, of the first pairs of `merging_config`."""
    return merging_config(sigmas).replace(ways=_DISTILLED, n_pairs=10, t=(0, 0.5, 1))


def distilling_family(record: Record) -> pd.DataFrame:
    """Return what distillation is worth at t = 0.5, and what its start is, by score.

    The rule, fixed before there was a record, is that of `safecross.runs.analysis.family`.

    Parameters
    ----------
    record : Record
        Of `distilling_config`.
    """
    aligned, plain, after_aligned, after_naive = _DISTILLED
    rows = [(plain, aligned), (after_aligned, aligned), (after_aligned, plain)]
    rows += [(after_aligned, after_naive), (plain, "parents"), (after_aligned, "parents")]
    return family(merged(record), rows)


def merged(record: Record, t: float = 0.5, column: str = "score") -> pd.DataFrame:
    """Return the children of an experiment on merging at one t: a row a pair, a column a way.

    The column ``parents`` is the mean of both parents' scores, 0 of their distances.

    Parameters
    ----------
    record : Record
        Of `merging_config`.
    t : float
        Share of the second parent.
    column : {"score", "distance"}
        What is returned.
    """
    rows = record.tables["children"]
    table = rows[rows["t"] == t].pivot(index="pair", columns="way", values=column)
    pairs = record.tables["pairs"]
    parents = pairs[["score_a", "score_b"]].mean(axis=1) if column == "score" else 0.0
    return table[list(record.config.ways)].assign(parents=parents)


def merging_family(record: Record) -> pd.DataFrame:
    """Return how the ways to merge compare at t = 0.5, by score, as one family.

    Aligned with naive merging for each recombination; repaired with not repaired; and the best
    that alignment does with the parents. The rule is that of `safecross.runs.analysis.family`.
    """
    ways = record.config.ways
    rows = [(w, w.replace("sc-pwc", "naive")) for w in ways if w.startswith("sc-pwc")]
    rows = [(first, second) for first, second in rows if second in ways]
    rows += [(way, way.removesuffix("+repair")) for way in ways if way.endswith("+repair")]
    rows.append(("sc-pwc/arithmetic", "parents"))
    return family(merged(record), rows)


def explored(record: Record) -> pd.DataFrame:
    r"""Return what each way to recombine is worth as exploration, for each pair.

    For each child of a way the distance of its behaviour from the nearer parent, and its score as
    a share of the parents' mean; then `front_area` over all t of the way, and over all ways of a
    method.

    Parameters
    ----------
    record : Record
        Of `merging_config`.

    Returns
    -------
    pandas.DataFrame
        A row a pair; a column ``method`` or ``method/recombination``. Repaired ways are left out:
        unaligned children are not repaired.
    """
    children = _kept(record)
    columns = {}
    for by in ("method", "way"):
        for name, rows in children.groupby(by, sort=False):
            columns[name] = {
                pair: front_area(one["distance"], one["kept"]) for pair, one in rows.groupby("pair")
            }
    return pd.DataFrame(columns)


def _kept(record: Record) -> pd.DataFrame:
    """Return the children that are not repaired, with their method and the share that they kept."""
    pairs = record.tables["pairs"][["pair", "score_a", "score_b"]]
    children = record.tables["children"].merge(pairs)
    kept = children["score"] / children[["score_a", "score_b"]].mean(axis=1)
    read = children["way"].map({way: parse_way(way) for way in record.config.ways})
    return children.assign(kept=kept, method=read.str[0])[read.str[2] == ""]


def children_on_fronts(record: Record) -> pd.DataFrame:
    """Return how new the children of each way and t are and what they keep, means over the pairs.

    Parameters
    ----------
    record : Record
        Of `merging_config`.

    Returns
    -------
    pandas.DataFrame
        way, t, method, distance, kept, and front: whether it is on its method's Pareto front.
    """
    children = _kept(record).groupby(["method", "way", "t"], sort=False)
    means = children[["distance", "kept"]].mean().reset_index()
    front = means.groupby("method", sort=False, group_keys=False)[["distance", "kept"]].apply(
        lambda rows: pd.Series(on_front(rows["distance"], rows["kept"]), rows.index)
    )
    return means.assign(front=front)


def merging_configs(sigmas: dict[str, float]) -> dict[str, MergingConfig]:
    """Return the experiments that merge champions, by how their lineages are related (`SHARED`)."""
    return {name: merging_config(sigmas, shared) for name, shared in SHARED.items()}


def exploration_family(records: dict[str, Record]) -> pd.DataFrame:
    """Return where aligned children explore more at the same score, as one family.

    Aligned with unaligned, by `explored`: over all recombinations, and for each of them. The rule,
    fixed before there was a record of relatives and before this was computed of strangers, is that
    of `safecross.runs.analysis.family`.

    Parameters
    ----------
    records : dict of str to Record
        By the names in `SHARED`.

    Returns
    -------
    pandas.DataFrame
        As `family` returns it, with who the parents are and the recombination in front.
    """
    tables, rows, about = [], [], []
    for related, record in records.items():
        table = explored(record)
        for name in (name for name in table if name.startswith("sc-pwc")):
            pair = tuple(f"{related}: {one}" for one in (name, name.replace("sc-pwc", "naive")))
            rows.append(pair)
            about.append((related, name.partition("/")[2] or "all"))
        tables.append(table.add_prefix(f"{related}: "))
    found = family(pd.concat(tables, axis=1), rows)
    who, how = zip(*about, strict=True)
    return found.assign(related=who, recombination=how)[
        ["related", "recombination", *found.columns]
    ]


#: Selections under which specialists are mated, and how an arm spells them.
_SELECTIONS = ("truncation", "niching", "map-elites", "truncation+training")


def specialists_config() -> SpecialistsConfig:
    """Return the experiment that mates specialists for digits 0 to 4 with those for 5 to 9."""
    arms = [f"{method}/{one}" for one in _SELECTIONS for method in ("naive", "sc-pwc")]
    arms.append("copies/truncation+training")
    return SpecialistsConfig("mnist", tuple(arms), n_runs=10, generations=20)


def specialists_scores(record: Record) -> pd.DataFrame:
    """Return the champions' test accuracies: a row a run, a column an arm, and the founders."""
    table = record.tables["champions"].pivot(index="run", columns="arm", values="accuracy")
    return table[[*record.config.arms, FOUNDERS]]


def mixed_shares(record: Record) -> pd.DataFrame:
    """Return the share of members with ancestors of both halves at the end: a row a run."""
    rows = record.tables["generations"]
    rows = rows[rows["generation"] == record.config.generations - 1]
    return rows.pivot(index="run", columns="arm", values="mixed")[list(record.config.arms)]


def specialists_family(record: Record) -> pd.DataFrame:
    """Return how selections, crossovers and the founders compare, by test accuracy, as one family.

    Each selection with truncation, for either crossover; aligned with unaligned, for each
    selection; crossover with copies where children are trained; and truncation with the founders.
    The rule, fixed before there was a record, is that of `safecross.runs.analysis.family`.

    Parameters
    ----------
    record : Record
        Of `specialists_config`.
    """
    rows = _selections_compared()
    trained = _SELECTIONS[-1]
    rows += [(f"{method}/{trained}", f"copies/{trained}") for method in ("naive", "sc-pwc")]
    rows += [(f"{method}/truncation", FOUNDERS) for method in ("naive", "sc-pwc")]
    return family(specialists_scores(record), rows)


def mixed_family(record: Record) -> pd.DataFrame:
    """Return under which selection mixed children live, by their share at the end, as one family.

    A selection lets them live if their share is higher than under truncation. The rule, fixed
    before there was a record, is that of `safecross.runs.analysis.family`.

    Parameters
    ----------
    record : Record
        Of `specialists_config`.
    """
    return family(mixed_shares(record), _selections_compared())


def _selections_compared() -> list[tuple[str, str]]:
    plain, *others = _SELECTIONS
    rows = [(f"{m}/{one}", f"{m}/{plain}") for one in others for m in ("naive", "sc-pwc")]
    return rows + [(f"sc-pwc/{one}", f"naive/{one}") for one in _SELECTIONS]


def worth(load: Callable = load_or_run) -> pd.DataFrame:
    r"""Return what alignment is worth in every situation of the book, the least related first.

    .. math:: \frac{A_{\text{aligned}} - A_{\text{not aligned}}}{\bar A_{\text{reference}}}

    of accuracies or scores, for each pair or run; the reference is what there was before: the
    parents, a network trained alone, or the champions of mutation alone.

    Parameters
    ----------
    load : callable
        Returns the record of a config.

    Returns
    -------
    pandas.DataFrame
        related (how the networks are, in words), situation, value, low and high (95% interval).
    """
    rows = []

    def add(related: str, situation: str, gain, reference) -> None:
        found = interval(gain / np.mean(reference))
        rows.append((related, situation, found.value, found.low, found.high))

    for name, label in (("mnist", "MNIST"), ("cifar10", "CIFAR-10")):
        record = load(paper.main_config(name))
        table = record.at(0.5, "accuracy")
        parents = record.pairs[["accuracy_a", "accuracy_b"]]
        gain = table["sc-pwc"] - table["naive"]
        add(STRANGERS, f"two networks trained apart, {label}", gain, parents)
    for name, config in averaging_configs().items():
        table = made(load(config))
        gain = table["aligned soup"] - table["soup"]
        add(STRANGERS, f"the mean of networks trained apart, {name}", gain, table["single"])
    sigmas = tuned(load(tuning_config()))
    for name, config in merging_configs(sigmas).items():
        table = merged(load(config))
        gain = table["sc-pwc/arithmetic"] - table["naive/arithmetic"]
        related, words = (RELATIVES, f", {name}") if config.shared else (STRANGERS, "")
        add(related, f"champions of two lineages{words}, swing-up", gain, table["parents"])
    for name, config in averaging_configs().items():
        table = made(load(config))
        first = table["once"] - table["never"]
        add(FIRST, f"averaging in training, {name}", first, table["single"])
        again = table["always"] - table["once"]
        add(RELATIVES, f"aligning again at each averaging, {name}", again, table["single"])
    record = load(specialists_config())
    table = specialists_scores(record)
    for one in _SELECTIONS:
        gain = table[f"sc-pwc/{one}"] - table[f"naive/{one}"]
        add(FIRST, f"specialists mated, {one}, MNIST", gain, table[FOUNDERS])
    scores = champions(load(evolution_config(sigmas)))
    for rate in RATES:
        for how in ("neuron", "arithmetic"):
            ours, others = (spelled(f"{m}/{how}", sigmas, rate) for m in ("sc-pwc", "naive"))
            related = SCRAMBLED if rate else RELATIVES
            words = f"genetic algorithm, {how}" + f", {rate:.0%} scrambled" * bool(rate)
            add(related, words, scores[ours] - scores[others], scores[spelled("mutation", sigmas)])
    for task in TASKS:
        chosen = tuned(load(task_tuning_config(task)))
        scores = task_scores(load(task_config(task, chosen)))
        if scores.to_numpy().min() < 0:  # no size that a gain could be a share of
            continue
        for how in ("neuron", "arithmetic"):
            ours, others = (spelled(f"{m}/{how}", chosen) for m in ("sc-pwc", "naive"))
            words = f"genetic algorithm, {how}, {task}"
            add(
                RELATIVES, words, scores[ours] - scores[others], scores[spelled("mutation", chosen)]
            )
    for layers in SAFE_LAYERS:
        scores = champions(load(safe_config(layers, safe_tuned(load(safe_tuning_config(layers))))))
        alone, alone_safe, naive, naive_safe, aligned, aligned_safe = scores.to_numpy().T
        for gain, reference, kind in (
            (aligned - naive, alone, "plain"),
            (aligned_safe - naive_safe, alone_safe, "safe"),
        ):
            words = f"genetic algorithm, neuron, {layers}, {kind} mutation"
            add(RELATIVES, words, gain, reference)
    table = pd.DataFrame(rows, columns=["related", "situation", "value", "low", "high"])
    order = [STRANGERS, FIRST, SCRAMBLED, RELATIVES]
    return table.sort_values("related", key=lambda r: r.map(order.index), kind="stable")


def population_configs() -> list:
    """Return the configs of all published records on populations."""
    sigmas = tuned(load_or_run(tuning_config()))
    return [
        tuning_config(),
        evolution_config(sigmas),
        *(task_tuning_config(task) for task in TASKS),
        *(task_config(task, tuned(load_or_run(task_tuning_config(task)))) for task in TASKS),
        *averaging_configs().values(),
        *(safe_tuning_config(layers) for layers in SAFE_LAYERS),
        *(
            safe_config(layers, safe_tuned(load_or_run(safe_tuning_config(layers))))
            for layers in SAFE_LAYERS
        ),
        *merging_configs(sigmas).values(),
        *(c for c in resized_configs(sigmas).values() if c != merging_config(sigmas)),
        *(c for c in restated_configs(sigmas).values() if c != merging_config(sigmas)),
        distilling_config(sigmas),
        specialists_config(),
    ]
