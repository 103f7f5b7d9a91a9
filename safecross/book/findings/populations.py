"""What chapter 19 says: when alignment is worth anything in populations."""

import pandas as pd

from ...evolution import findings as rules
from ...runs import Record
from ...runs.analysis import interval
from .published import (
    Published,
    bullets,
    finding,
    must,
)

_MAIN = "MNIST, 4 networks"

_WORDS = {"naive": "not aligned", "sc-pwc": "aligned"}


def _sigmas(found: Published) -> dict[str, float]:
    return rules.tuned(found.load(rules.tuning_config()))


def _averaging(found: Published, name: str = _MAIN) -> Record:
    return found.load(rules.averaging_configs()[name])


def _verdicts(table: pd.DataFrame) -> dict[str, str]:
    return dict(zip(table["first"], table["verdict"], strict=True))


def _evolution(found: Published) -> tuple[Record, pd.DataFrame]:
    record = found.load(rules.evolution_config(_sigmas(found)))
    return record, rules.arm_families(record).set_index(["question", "first"])


def _score(found: Published, arm: str, rate: float = 0.0, related: bool = False) -> float:
    record, _ = _evolution(found)
    word = rules.spelled(arm, _sigmas(found), rate, related)
    return rules.champions(record)[word].mean()


def _verdict(found: Published, question: str, arm: str, rate: float = 0.0, related=False) -> str:
    _, table = _evolution(found)
    return table.loc[(question, rules.spelled(arm, _sigmas(found), rate, related)), "verdict"]


def _merged(found: Published) -> pd.DataFrame:
    return rules.merged(found.load(rules.merging_config(_sigmas(found)))).mean()


def _safe(found: Published, layers: str) -> tuple[list[float], pd.Series]:
    """Return the champions' mean scores, an arm each, and the verdicts by question."""
    sigmas = rules.safe_tuned(found.load(rules.safe_tuning_config(layers)))
    record = found.load(rules.safe_config(layers, sigmas))
    verdicts = rules.safe_family(record).set_index("question")["verdict"]
    return rules.champions(record).mean().tolist(), verdicts


@finding("populations-answer")
def _(found: Published) -> str:
    means = rules.made(_averaging(found)).mean()
    aligned, naive = (f"{m}/arithmetic" for m in ("sc-pwc", "naive"))
    must(
        _verdict(found, "aligned or not, arithmetic, rate 1", aligned, 1.0) == "higher",
        "with all parents scrambled alignment is worth much",
    )
    must(
        _verdict(found, "aligned or not, arithmetic, rate 0", aligned) == "lower",
        "among relatives alignment harms",
    )
    deep = _safe(found, "8 hidden layers")[0]
    return (
        "**Align strangers before you average them; in shallow networks leave relatives alone. The mean of "
        "four networks that were trained "
        f"apart is right on {means['soup']:.0%} of MNIST's test images; if they are aligned first, on "
        f"{means['aligned soup']:.0%}. In a genetic algorithm the selected soon descend from one founder. There, "
        "with parents averaged, alignment lowers the champion's score from "
        f"{_score(found, naive):.2f} to {_score(found, aligned):.2f}. In such networks of two layers it pays "
        "only where the order of neurons has been lost: with every parent scrambled it raises the score "
        f"from {_score(found, naive, 1.0):.2f} to {_score(found, aligned, 1.0):.2f}, still below mutation alone "
        f"({_score(found, 'mutation'):.2f}). In networks of eight layers crossover of whole neurons breaks even "
        f"relatives (from {deep[0]:.2f} without it to {deep[2]:.2f}); there alignment helps ({deep[4]:.2f}).**"
    )


@finding("populations-averaging")
def _(found: Published) -> str:
    record = _averaging(found)
    table, verdicts = rules.made(record), _verdicts(rules.averaging_family(record))
    must(verdicts["never"] == "lower", "never aligning is worse than aligning once")
    must(verdicts["always"] == "no difference", "aligning always is like aligning once")
    must(
        verdicts["aligned soup"] == "lower", "a soup at the end is worse than averaging on the way"
    )
    means = table.mean()
    same = {
        "no difference": "and the test finds no difference to",
        "higher": "above",
        "lower": "below",
    }
    return (
        "## In training, aligning once is enough\n\n"
        f"Aligned before the first averaging only, the networks end at {means['once']:.2%}; aligned "
        f"before each one at {means['always']:.2%}, and the test finds no difference; never aligned at "
        f"{means['never']:.2%}, which is lower. From one initialisation, never aligned, they end at "
        f"{means['same']:.2%}, {same[verdicts['same']]} aligning once. One network trained "
        f"alone has {means['single']:.2%}, the ensemble of four {means['ensemble']:.2%}. If networks "
        f"are trained to the end and averaged only then, their mean has {means['aligned soup']:.1%} if they are "
        f"aligned and {means['soup']:.1%} if not."
    )


@finding("populations-averaging-more")
def _(found: Published) -> str:
    lines = []
    for name in rules.averaging_configs():
        if name == _MAIN:
            continue
        record = _averaging(found, name)
        means, verdicts = rules.made(record).mean(), _verdicts(rules.averaging_family(record))
        must(verdicts["always"] == "no difference", f"aligning always is like once: {name}")
        expected = "no difference" if record.config.networks == 2 else "lower"
        must(verdicts["never"] == expected, f"aligning matters from four networks on: {name}")
        must(means["aligned soup"] > means["soup"], f"aligned soups are better: {name}")

        def told(what, means=means, verdicts=verdicts):
            verdict = verdicts.get(what, "no difference")
            return f"{means[what]:.1%}" + f" ({verdict})" * (verdict != "no difference")

        lines.append(
            f"**{name}**: once {told('once')}, always {told('always')}, never {told('never')}, from one "
            f"initialisation {told('same')}; one network alone {told('single')}, the ensemble "
            f"{told('ensemble')}. Trained apart and averaged at the end: aligned {means['aligned soup']:.1%}, "
            f"not aligned {means['soup']:.1%}."
        )
    return (
        "### Elsewhere too aligning once is enough, and with two networks the test finds no need for it\n\n"
        "*Lower* and *higher* are against aligning once, by the rule; where nothing is said the test finds no "
        "difference.\n\n" + bullets(*lines)
    )


@finding("populations-evolution")
def _(found: Published) -> str:
    record, table = _evolution(found)
    generations = record.tables["generations"]
    mutation = rules.spelled("mutation", _sigmas(found))
    founders = generations[generations["arm"] == mutation].groupby("generation")["founders"].mean()
    higher = [
        q for (q, _), row in table.iterrows() if row["verdict"] == "higher" and q.startswith("al")
    ]
    crossover = table.loc["crossover or not"]
    must(not (crossover["verdict"] == "higher").any(), "no crossover beats mutation alone")
    naive = crossover[crossover.index.str.startswith("naive")]
    must((naive["verdict"] == "no difference").all(), "unaligned crossovers are no different")
    lower = [arm.partition(":")[0] for arm in crossover.index[crossover["verdict"] == "lower"]]
    must(lower == ["sc-pwc/neuron", "sc-pwc/arithmetic"], "both aligned crossovers are lower")
    kept = "sc-pwc/neuron"
    must(
        _verdict(found, "relatives left alone", kept, related=True) == "higher",
        "leaving relatives alone undoes the harm",
    )
    conditions = [q.removeprefix("aligned or not, ") for q in higher]
    words = (
        "Alignment raises the score over that of unaligned crossover only where parents are "
        f"scrambled ({'; '.join(conditions)})."
    )
    must(conditions and all(c.endswith(("0.25", "1")) for c in conditions), words)
    return (
        "## In a genetic algorithm of shallow networks alignment helps only if the order of neurons is lost\n\n"
        f"With mutation alone the selected descend from {founders[0]:.0f} founders at the start, from "
        f"{founders[5]:.1f} after 5 generations and from {founders[20]:.1f} after 20. Relatives have "
        "their neurons in one order by descent; matching them by correlation puts many elsewhere. "
        f"Champions of mutation alone score {_score(found, 'mutation'):.3f}. No crossover is higher; "
        "for unaligned ones the test finds no difference, and both aligned ones are lower. Crossing whole neurons over "
        f"scores {_score(found, 'naive/neuron'):.3f} unaligned, {_score(found, kept):.3f} aligned, and "
        f"{_score(found, kept, related=True):.3f} if relatives are left as they are. {words}"
    )


@finding("populations-tasks")
def _(found: Published) -> str:
    return (
        "## On two tasks of a library, aligning relatives gains nothing\n\n"
        "What crossover is worth depends on the task. By the rules, which were fixed before the runs:\n\n"
        + bullets(_pendulum(found), _breakout(found))
    )


def _task(found: Published, task: str) -> tuple[Record, dict[str, float], list[str]]:
    """Return a task's record, its step sizes, and the arms whose step is the least or the largest."""
    sigmas = rules.tuned(found.load(rules.task_tuning_config(task)))
    ends = [arm for arm, sigma in sigmas.items() if sigma in (rules.SIGMAS[0], rules.SIGMAS[-1])]
    return found.load(rules.task_config(task, sigmas)), sigmas, ends


def _by_question(table: pd.DataFrame) -> dict[str, dict[str, str]]:
    """Return the verdict on each arm, by the first word of the question."""
    rows = zip(table["question"], table["first"], table["verdict"], strict=True)
    verdicts: dict[str, dict[str, str]] = {}
    for question, word, verdict in rows:
        verdicts.setdefault(question.split()[0], {})[_plainly(word).partition(",")[0]] = verdict
    return verdicts


def _pendulum(found: Published) -> str:
    record, _, ends = _task(found, "Pendulum")
    must(rules.took_equal_steps(record), "every arm of every run took as many steps")
    scores = rules.champions(record).mean().rename(_plainly)
    verdicts = _by_question(rules.arm_families(record))
    must(set(verdicts["aligned"].values()) == {"lower"}, "alignment lowers the returns")
    must(set(verdicts["relatives"].values()) == {"higher"}, "leaving relatives alone raises them")
    better = [arm for arm, verdict in verdicts["crossover"].items() if verdict == "higher"]
    must(better == ["naive/neuron"], "unaligned neurons gain by crossover, only they")
    must(verdicts["crossover"]["sc-pwc/neuron"] == "lower", "aligned ones are below mutation too")
    must(ends == ["sc-pwc/arithmetic"], "one step size is at the end of what was tried")
    return (
        f"**Pendulum**, where 0 is the most there is: champions of mutation alone return {scores['mutation']:.0f}. "
        f"Crossing whole neurons over returns {scores['naive/neuron']:.0f} unaligned, which is higher; "
        f"{scores['sc-pwc/neuron']:.0f} aligned, which is lower than both; and "
        f"{scores['sc-pwc/neuron, relatives left alone']:.0f} if relatives are left as they are, which is higher than that. "
        "All arms took the same number of steps."
    )


def _breakout(found: Published) -> str:
    record, sigmas, ends = _task(found, "Breakout")
    must(not rules.took_equal_steps(record), "arms took more steps or fewer")
    scores = rules.task_scores(record)
    verdicts = _by_question(rules.arm_families(record, scores))
    means = scores.mean().rename(_plainly)
    for question in ("aligned", "relatives"):
        must(set(verdicts[question].values()) == {"no difference"}, "alignment makes no difference")
    same = [arm for arm, verdict in verdicts["crossover"].items() if verdict != "lower"]
    must(same == ["naive/layer"], "all crossover but of layers is below mutation alone")
    must(verdicts["crossover"]["naive/layer"] == "no difference", "that of layers is not above it")
    must(
        verdicts == _by_question(rules.arm_families(record)),
        "the champions on new episodes give the same answers",
    )
    least = [arm for arm in ends if sigmas[arm] == rules.SIGMAS[0]]
    must(least == ends and "mutation" in least, "the steps at an end are the least")
    taken = (
        record.tables["generations"].groupby(["run", "arm"])["steps"].max().groupby("arm").mean()
    )
    return (
        f"**MinAtar's Breakout**, where a brick is worth 1: mutation alone returns {means['mutation']:.1f}. Crossing whole "
        f"neurons over returns less, {means['naive/neuron']:.1f} unaligned and {means['sc-pwc/neuron']:.1f} aligned; for whole "
        "layers the test finds no difference to mutation alone. The test finds no difference between aligned and "
        f"unaligned, nor one by leaving relatives as they are ({means['sc-pwc/neuron, relatives left alone']:.1f}). Episodes "
        f"end early there, and arms took {taken.min() / 1e3:.0f} to {taken.max() / 1e3:.0f} thousand steps on average. So we compare "
        "the best members when all arms of a run had taken the same number of steps; the champions on new episodes give "
        f"the same answers. For {len(least)} of {len(sigmas)} arms, mutation alone among them, the least step size that was tried "
        "was the best."
    )


def _plainly(word: str) -> str:
    """Return an arm in words, without its step size."""
    name, _, options = word.partition(":")
    return name + ", relatives left alone" * ("related=true" in options)


@finding("populations-safe")
def _(found: Published) -> str:
    names = list(rules.SAFE_LAYERS)
    (flat_scores, flat), (deep_scores, deep) = (_safe(found, layers) for layers in names)
    mutation = flat[flat.index.str.startswith("safe mutation")]
    must((mutation == "no difference").all(), "safe mutation makes no difference in two layers")
    for kind in ("plain", "safe"):
        must(flat[f"aligned crossover, with {kind} mutation"] == "lower", "alignment harms there")
    must(deep["unaligned crossover, with plain mutation"] == "lower", "depth breaks crossover")
    must(deep["aligned crossover, with plain mutation"] == "higher", "alignment mends some of it")
    must(deep["safe mutation, with unaligned crossover"] == "higher", "safe mutation mends more")
    must(deep["aligned crossover, with safe mutation"] == "lower", "with both, alignment harms")
    alone, _, naive, _, aligned, _ = flat_scores
    deep_alone, deep_safe, deep_naive, naive_safe, deep_aligned, aligned_safe = deep_scores
    return (
        "## In deep controllers crossover breaks what it crosses, and alignment or safe mutation mends a part\n\n"
        f"With {names[0]} and plain mutation champions score {alone:.3f} without crossover, {naive:.3f} with "
        f"unaligned neurons crossed over and {aligned:.3f} with aligned ones; for safe mutation the test "
        f"finds no difference in any of them. With {names[1]} mutation alone scores {deep_alone:.3f}, and unaligned crossover "
        f"falls to {deep_naive:.3f}. Alignment lifts it to {deep_aligned:.3f}, safe mutation to "
        f"{naive_safe:.3f} (these two were not tested against each other; safe mutation without crossover has "
        f"{deep_safe:.3f}). The two do not add up: with both it is {aligned_safe:.3f}, lower than with safe "
        "mutation alone."
    )


@finding("populations-merging")
def _(found: Published) -> str:
    record = found.load(rules.merging_config(_sigmas(found)))
    means, table = _merged(found), rules.merging_family(record)
    verdicts = {(r.first, r.second): r.verdict for r in table.itertuples()}
    aligned, naive = "sc-pwc/arithmetic", "naive/arithmetic"
    must(verdicts[aligned, "parents"] == "lower", "merged champions stay below their parents")
    must(verdicts[aligned, naive] == "higher", "aligned children keep more than naive ones")
    repaired = verdicts[f"{aligned}+repair", aligned]
    repair = {
        "no difference": "where the test finds no difference",
        "higher": "which is more",
        "lower": "which is less",
    }[repaired]
    others = [
        f"{way.partition('/')[2]} {means[way.replace('sc-pwc', 'naive')]:.3f} and {means[way]:.3f}"
        for way in record.config.ways
        if way.startswith("sc-pwc") and not way.startswith(aligned)
    ]
    return (
        "## Champions of separate lineages hardly survive a merger, aligned or not\n\n"
        f"Two champions score {means['parents']:.3f}. Halfway between them children score "
        f"{means[naive]:.3f} naive and {means[aligned]:.3f} aligned, {means[aligned] / means['parents']:.0%} "
        f"of their parents; repaired {means[aligned + '+repair']:.3f}, {repair}. "
        f"Other recombinations, naive and aligned: {'; '.join(others)}. (With three layers, a quarter "
        "of the layer children are copies of one parent.)"
    )


@finding("populations-merging-sizes")
def _(found: Published) -> str:
    naive, aligned, repaired = rules.merging_config(_sigmas(found)).ways[:3]
    widths, states = (
        {name: found.load(config) for name, config in make(_sigmas(found)).items()}
        for make in (rules.resized_configs, rules.restated_configs)
    )
    by_width = rules.resized_family(widths).set_index(["first", "second"])["verdict"]
    by_state = rules.restated_family(states).set_index("first")["verdict"]
    must(set(by_state) == {"no difference"}, "neither more nor fewer states change the children")
    words = {
        "no difference": "the test finds no difference",
        "higher": "which is more",
        "lower": "which is less",
    }
    lines = []
    for name, record in widths.items():
        must(by_width[f"{name}: {repaired}", f"{name}: parents"] == "lower", "below the parents")
        scores = rules.merged(record).mean()
        shares = scores / scores["parents"]
        verdict = words[by_width[f"{name}: {aligned}", f"{name}: {naive}"]]
        lines.append(
            f"with hidden layers {name}, children keep {shares[aligned]:.0%} of their parents' score if aligned, "
            f"{shares[naive]:.0%} if not ({verdict}), and {shares[repaired]:.0%} if repaired too"
        )
    n = min(record.config.n_pairs for record in widths.values())
    scores = {name: rules.merged(record).mean()[aligned] for name, record in states.items()}
    told = [f"{value:.3f} with {name}" for name, value in scores.items()]
    return (
        "### Narrow champions hardly survive either, and the test finds no gain from more states\n\n"
        f"{'; '.join(lines).capitalize()}. The test has the {n} pairs that both widths have, too few to "
        "confirm what all pairs of the table above show. Aligned children score "
        f"{', '.join(told)} on which neurons are compared; the test finds no difference."
    )


@finding("populations-distillation")
def _(found: Published) -> str:
    record = found.load(rules.distilling_config(_sigmas(found)))
    means, apart = rules.merged(record).mean(), rules.merged(record, column="distance").mean()
    table = rules.distilling_family(record)
    verdicts = {(r.first, r.second): r.verdict for r in table.itertuples()}
    aligned, plain = "sc-pwc/arithmetic", "distillation"
    start, naive = f"{aligned}+{plain}", f"naive/arithmetic+{plain}"
    must(verdicts[plain, aligned] == "higher", "distilled children keep more than aligned ones")
    must(verdicts[plain, "parents"] == "lower", "distilled children stay below their parents")
    must(abs(apart[plain] - apart[aligned]) < 0.02, "they are about as new")
    must(verdicts[start, plain] == "no difference", "the start does not matter")
    return (
        "### Distilled children keep most of it\n\n"
        "Trained to do as each champion does where that champion has been, children score "
        f"{means[plain]:.3f}, {means[plain] / means['parents']:.0%} of their parents; aligned means "
        f"of the same pairs {means[aligned]:.3f}. They are about as new: their behaviour lies {apart[plain]:.2f} "
        f"from the nearer parent's, that of aligned means {apart[aligned]:.2f}. Started from the aligned mean, and not from a copy "
        f"of the first parent, they score {means[start]:.3f}, and the test finds no "
        f"difference; from the naive mean {means[naive]:.3f}. So most of both behaviours fits into one network "
        "of the same size; averaging weights is what loses it."
    )


@finding("populations-exploration")
def _(found: Published) -> str:
    configs = rules.merging_configs(_sigmas(found))
    records = {name: found.load(config) for name, config in configs.items()}
    table = rules.exploration_family(records)
    must(set(table["verdict"]) == {"no difference"}, "no comparison of the fronts differs")
    areas = {name: rules.explored(record).mean() for name, record in records.items()}
    every = table[table["recombination"] == "all"].set_index("related")
    halfway = {name: rules.merged(record) for name, record in records.items()}
    gains = {
        name: interval((t["sc-pwc/arithmetic"] - t["naive/arithmetic"]) / t["parents"].mean())
        for name, t in halfway.items()
    }
    strangers, *_, closest = records
    must(gains[strangers].low > 0 > gains[closest].high, "strangers gain and relatives lose")
    values = [gain.value for gain in gains.values()]
    must(values == sorted(values, reverse=True), "the closer the parents, the more it takes")
    related = [r.difference.value < 0 for r in table.itertuples() if r.related != strangers]
    must(2 * sum(related) > len(related), "among relatives most aligned areas are smaller")
    who = {name: name if name == strangers else f"lineages that {name}" for name in records}
    apart = rules.merged(records[strangers], 0.5, "distance").mean()
    told = [
        f"{words} {halfway[strangers][way].mean() / halfway[strangers]['parents'].mean():.0%} of "
        f"their parents' score at a distance of {apart[way]:.2f}"
        for words, way in ((w, f"{m}/arithmetic") for m, w in _WORDS.items())
    ]
    worth = [
        f"{gain.value:+.0%} (95% interval {gain.low:+.0%} to {gain.high:+.0%}) for {who[name]}"
        for name, gain in gains.items()
    ]
    fronts = [
        f"{areas[name]['naive']:.3f} not aligned and {areas[name]['sc-pwc']:.3f} aligned for {who[name]} "
        f"(p = {every.loc[name, 'p']:.2g})"
        for name in records
    ]
    return (
        "## Alignment helps strangers and hurts close relatives, and its children are less new\n\n"
        "Halfway along the straight line alignment changes the score, as a share of the parents', by "
        f"{'; '.join(worth)}. But its children are less new: between strangers they keep, "
        f"{' and '.join(told)}. Over all recombinations and t the area under the Pareto front is "
        f"{'; '.join(fronts)}. None of the {len(table)} tests of areas finds a difference; "
        "among relatives most aligned areas are smaller, but no test confirms it. So aligned children keep more and "
        "differ less, and we found no gain over both together."
    )


@finding("populations-specialists")
def _(found: Published) -> str:
    record = found.load(rules.specialists_config())
    scores, mixed = rules.specialists_scores(record).mean(), rules.mixed_shares(record).mean()
    by_score, by_share = (
        {(r.first, r.second): r.verdict for r in table.itertuples()}
        for table in (rules.specialists_family(record), rules.mixed_family(record))
    )
    methods, trained = ("naive", "sc-pwc"), "truncation+training"
    against = [v for (_, second), v in by_share.items() if second.endswith("/truncation")]
    must(against and "higher" not in against, "no selection keeps more than truncation")
    aligned = [
        verdict
        for (first, second), verdict in by_score.items()
        if first.partition("/")[::2] == ("sc-pwc", second.removeprefix("naive/"))
    ]
    must(len(aligned) == 4 and "higher" not in aligned, "alignment raises no champion")
    for method in methods:
        must(by_score[f"{method}/truncation", "founders"] == "higher", "mating beats the founders")
        must(by_score[f"{method}/{trained}", f"{method}/truncation"] == "higher", "training helps")
        must(by_score[f"{method}/{trained}", f"copies/{trained}"] == "lower", "mating harms it")
    higher = [
        f"{first.partition('/')[2]}, {_WORDS[first.partition('/')[0]]}"
        for (first, second), verdict in by_score.items()
        if verdict == "higher" and second.endswith("/truncation") and "training" not in first
    ]
    return (
        "## Mixed children survive plain truncation too, and a little training helps more than mating\n\n"
        "Networks that know the digits 0 to 4 are mated with networks that know 5 to 9. After "
        f"{record.config.generations} generations of plain truncation {mixed['naive/truncation']:.0%} "
        f"of the members descend from both kinds; with alignment {mixed['sc-pwc/truncation']:.0%}; under "
        f"niching {mixed['naive/niching']:.0%} and {mixed['sc-pwc/niching']:.0%}. The test finds no "
        "selection that keeps more of them than truncation. The best member is right on "
        f"{scores['naive/truncation']:.1%} of the test images, with alignment on "
        f"{scores['sc-pwc/truncation']:.1%}; a founder on {scores['founders']:.1%}. Niching reaches "
        f"{scores['naive/niching']:.1%} and {scores['sc-pwc/niching']:.1%}, MAP-Elites "
        f"{scores['naive/map-elites']:.1%} and {scores['sc-pwc/map-elites']:.1%}; higher than "
        f"truncation by the rule: {'; '.join(higher) or 'none'}. The test finds no champion that alignment makes better. "
        f"If each child is trained for one short epoch, the best member reaches {scores[f'naive/{trained}']:.1%} "
        f"(aligned {scores[f'sc-pwc/{trained}']:.1%}), but copies that are trained and never mated reach "
        f"{scores[f'copies/{trained}']:.1%}, which is higher. (With {record.config.n_runs} runs and "
        f"{len(by_score)} comparisons a difference counts only if it shows in nearly every run.)"
    )


@finding("populations-short")
def _(found: Published) -> str:
    worth = rules.worth(found.load)
    shares = {
        related: f"{frame['value'].min():+.0%} to {frame['value'].max():+.0%}"
        for related, frame in worth.groupby("related", sort=False)
    }
    record = _averaging(found)
    means = rules.made(record).mean()
    return bullets(
        "What alignment adds, as a share of what there was: "
        + "; ".join(f"{related} {span}" for related, span in shares.items())
        + ".",
        f"Averaging in training, {_MAIN}: never aligned {means['never']:.2%}, once "
        f"{means['once']:.2%}, always {means['always']:.2%}; alone {means['single']:.2%}.",
        f"Genetic algorithm, champions: mutation {_score(found, 'mutation'):.3f}; whole neurons "
        f"{_score(found, 'naive/neuron'):.3f} unaligned and {_score(found, 'sc-pwc/neuron'):.3f} "
        f"aligned; all parents scrambled {_score(found, 'naive/neuron', 1.0):.3f} and "
        f"{_score(found, 'sc-pwc/neuron', 1.0):.3f}.",
        "With `related=` of `mate`, relatives are left as they are; `align_population` brings "
        "strangers into one frame once.",
    )
