"""The questions asked of pairs of modules, and the rules that answer them."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import pandas as pd

from ..runs import Record
from ..runs.analysis import Interval, interval
from .config import REESTIMATED, ModuleConfig

__all__ = [
    "ANSWERS",
    "MODULES",
    "Order",
    "field_config",
    "loses_less",
    "lost",
    "module_configs",
    "order",
    "orders",
    "shares",
]

_OPERATORS = ("naive", "sc-pwc-greedy", "sc-cca", "sc-pwc")

_WITH_NORMS = tuple(f"{name}{after}" for name in _OPERATORS for after in ("", REESTIMATED))

_ADAM = {"optimiser": "adamw", "learning_rate": 3e-3, "weight_decay": 1e-2}

#: The published experiments on modules.
MODULES: dict[str, ModuleConfig] = {
    "vgg7 on CIFAR-10": ModuleConfig(
        "cifar10", "vgg7", 24, 10, _WITH_NORMS, products="bfloat16", augment=True
    ),
    "vgg7 twice as wide on CIFAR-10": ModuleConfig(
        "cifar10", "vgg7:width=32", 24, 2, _WITH_NORMS, products="bfloat16", augment=True
    ),
    "vgg7 on CIFAR-100": ModuleConfig(
        "cifar100", "vgg7", 24, 3, _WITH_NORMS, products="bfloat16", augment=True
    ),
    "resnet9 on CIFAR-10": ModuleConfig(
        "cifar10", "resnet9", 10, 2, _WITH_NORMS, products="bfloat16", augment=True
    ),
    "mlp on MNIST": ModuleConfig("mnist", "mlp", 10, 5, _OPERATORS, **_ADAM),
    "transformer on MNIST": ModuleConfig(
        "mnist", "transformer:width=32", 6, 5, _OPERATORS, **_ADAM
    ),
}

#: What the comparison of two operators can come out as.
ANSWERS = ("yes", "no", "undecided")


#: Methods of the field that are tried on the first three pairs of the convolutional network.
_OF_THE_FIELD = (
    "sc-pwc",
    "hard-cca",
    "montana-davis",
    "ot",
    "cca-merge",
    "zipit",
    "weight-matching",
)


def field_config() -> ModuleConfig:
    """Return the experiment with methods of the field on convolutional networks.

    Each renews the statistics of the batch norms. The question to each is that of `order`: is
    SC-PwC's child more accurate?
    """
    operators = tuple(f"{name}{REESTIMATED}" for name in _OF_THE_FIELD)
    first = MODULES["vgg7 on CIFAR-10"].replace(n_pairs=3)
    return first.replace(operators=operators, t=(0.0, 0.5, 1.0))


def module_configs() -> list[ModuleConfig]:
    """Return the configs of the published records of modules.

    Besides `MODULES` and `field_config` there is the first one on CIFAR-10, of three pairs.
    """
    return [
        *MODULES.values(),
        field_config(),
        MODULES["vgg7 on CIFAR-10"].replace(n_pairs=3),
    ]


@dataclass(frozen=True)
class Order:
    """Whether one operator beats another.

    Attributes
    ----------
    first, second : str
        Operators.
    difference : Interval
        Accuracy of the first minus that of the second at t, mean over pairs.
    wins, pairs : int
        Pairs in which the first has the higher accuracy, of how many.
    answer : str
        One of `ANSWERS`.
    """

    first: str
    second: str
    difference: Interval
    wins: int
    pairs: int
    answer: str


def order(record: Record, first: str, second: str, t: float = 0.5) -> Order:
    """Return whether an operator's offspring have a higher accuracy than another's.

    The rule, fixed before there was a record: *yes* if it is higher in every pair, *no* if it is
    lower in every pair, *undecided* otherwise. Few pairs decide little: where both are alike, n
    pairs all agree by chance with probability :math:`2^{1 - n}`, 1 in 4 for three pairs.

    Parameters
    ----------
    record : Record
        Of pairs.
    first, second : str
        Operators of the record.
    t : float
        One of its crossover points.

    Examples
    --------
    >>> from safecross.runs import committed_folder, load_record
    >>> record = load_record(committed_folder() / "fashion-mnist-3ee6dfacba03")
    >>> order(record, "sc-pwc", "naive").answer
    'yes'
    """
    table = record.at(t, "accuracy")
    difference = table[first] - table[second]
    found = interval(difference)
    wins, losses, pairs = (difference > 0).sum(), (difference < 0).sum(), len(difference)
    answer = "undecided"
    if wins == pairs:
        answer = "yes"
    elif losses == pairs:
        answer = "no"
    return Order(first, second, found, int(wins), pairs, answer)


def lost(record: Record, operator: str, t: float = 0.5) -> pd.Series:
    """Return the accuracy that each pair's offspring lacks to the mean of its parents.

    Parameters
    ----------
    record : Record
        Of pairs.
    operator : str
        One of its operators.
    t : float
        One of its crossover points.

    Returns
    -------
    pandas.Series
        By pair.
    """
    parents = record.pairs.set_index("pair")[["accuracy_a", "accuracy_b"]].mean(axis=1)
    return parents - record.at(t, "accuracy")[operator]


def loses_less(record: Record, than: Record, operator: str) -> str:
    """Return whether one network's offspring lose less accuracy at t = 0.5 than another's.

    The rule, fixed before there was a record of the wider network: *yes* if each pair of the first
    loses less than every pair of the second, *no* if each loses more than every one, *undecided*
    otherwise.

    Parameters
    ----------
    record, than : Record
        Of pairs of one network, and of another.
    operator : str
        One that both have.
    """
    ours, theirs = lost(record, operator), lost(than, operator)
    if ours.max() < theirs.min():
        return "yes"
    return "no" if ours.min() > theirs.max() else "undecided"


def shares(record: Record, operator: str = "sc-pwc", t: float = 0.5) -> dict[str, Interval]:
    r"""Return which share of what naive crossover loses comes back, by what.

    .. math:: \frac{A_{\text{what}} - A_{\text{naive}}}{A_{\text{parents}} - A_{\text{naive}}}

    for the accuracies A of each pair, their mean and interval.

    Parameters
    ----------
    record : Record
        Of pairs of modules with batch norms.
    operator : str
        What aligns.
    t : float
        Crossover point.

    Returns
    -------
    dict of str to Interval
        By what is done: alignment, new statistics, both.
    """
    table = record.at(t, "accuracy")
    parents = record.pairs.set_index("pair")[["accuracy_a", "accuracy_b"]].mean(axis=1)
    lost = parents - table["naive"]
    done = {
        "alignment alone": operator,
        "new statistics alone": f"naive{REESTIMATED}",
        "both": f"{operator}{REESTIMATED}",
    }
    return {what: interval((table[name] - table["naive"]) / lost) for what, name in done.items()}


def orders(
    records: Mapping[str, Record], pairs: Sequence[tuple[str, str]], t: float = 0.5
) -> pd.DataFrame:
    """Return the table of `order` for several records and pairs of operators.

    Parameters
    ----------
    records : mapping of str to Record
        By name; a pair of operators that a record lacks is left out.
    pairs : sequence of (str, str)
        First and second operator.
    t : float
        Crossover point.

    Returns
    -------
    pandas.DataFrame
        network, question, difference, wins, pairs, answer.
    """
    rows = []
    for name, record in records.items():
        for first, second in pairs:
            if {first, second} <= set(record.config.operators):
                found = order(record, first, second, t)
                question = f"{first} above {second}"
                about = (found.difference.format(), found.wins, found.pairs, found.answer)
                rows.append((name, question, *about))
    columns = ["network", "question", "difference", "wins", "pairs", "answer"]
    return pd.DataFrame(rows, columns=columns)
