"""A genetic algorithm of networks: truncation, an elite of one, crossover of aligned parents."""

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import torch

from .. import checks
from ..networks.network import Network, initialise
from .arms import Arm
from .mating import partners, recombined
from .mutation import mutate, mutate_safely
from .population import check_population, scramble
from .tasks import Task

__all__ = [
    "COLUMNS",
    "Setting",
    "State",
    "advance",
    "begin",
    "champion",
    "draw",
    "effective_rank",
    "joined",
]

#: What is told of each generation.
COLUMNS = ("best", "mean", "founders", "moved", "rank", "steps")


@dataclass(frozen=True)
class Setting:
    """Sizes of a genetic algorithm.

    Attributes
    ----------
    hidden : tuple of int
        Widths of the hidden layers.
    population, parents : int
        Members, and how many of them have children: at least 2, at most all.
    align_n : int
        Inputs, of those that the members met, on which neurons are compared.

    Raises
    ------
    ValueError
        If one leaves its range.
    """

    hidden: tuple[int, ...] = (64, 64)
    population: int = 64
    parents: int = 13
    align_n: int = 128

    def __post_init__(self):
        checks.whole_number("population", self.population, 2)
        checks.whole_number("parents", self.parents, 2, self.population)
        checks.whole_number("align_n", self.align_n, 2)


class State(NamedTuple):
    """Where a run stands: with its seed all that the next generation depends on.

    Attributes
    ----------
    members : Network
        The population that is to be evaluated next; the elite first.
    founders : torch.Tensor of int64, shape (n,)
        The member of the first generation that each descends from; of two parents the first.
    history : torch.Tensor of float64, shape (generations so far, 6)
        A row of `COLUMNS` for each: best and mean fitness; founders among the selected; share of
        neurons that alignment moved; effective rank of the selected members' second layer; steps
        so far.
    """

    members: Network
    founders: torch.Tensor
    history: torch.Tensor


def begin(task: Task, setting: Setting, seed: int) -> State:
    """Return the first state of a run.

    Parameters
    ----------
    task : Task
        What the members do.
    setting : Setting
        Sizes.
    seed : int
        Of the run, >= 0; runs of one seed start from the same members whatever their arm.

    Examples
    --------
    >>> from safecross.evolution.tasks import SwingUp
    >>> begin(SwingUp(), Setting((8,), 4, 2), 0).members
    Network(5-8-1, population (4,))
    """
    seeds = np.random.SeedSequence([seed, 0]).generate_state(setting.population, np.uint32)
    members = initialise([task.n_inputs, *setting.hidden, task.n_outputs], seeds.tolist())
    history = torch.zeros(0, len(COLUMNS), dtype=torch.float64)
    return State(members, torch.arange(setting.population), history)


def advance(task: Task, arm: Arm, setting: Setting, seed: int, state: State) -> State:
    """Return the state one generation later: evaluated, selected, mated and mutated.

    The elite, the best member, goes on as it is. Every other child has two different parents, drawn
    among the selected at random, or one where there is no crossover. A generation's chance depends
    on seed and generation only, so that a run goes on from any state to the same bits.

    Parameters
    ----------
    task, setting, seed
        As for `begin`.
    arm : Arm
        How children are made.
    state : State
        Of the generation before.

    Raises
    ------
    ValueError
        If the state does not fit the setting.

    Examples
    --------
    >>> from safecross.evolution.tasks import SwingUp
    >>> task, setting = SwingUp(2, 20), Setting((8,), 6, 3)
    >>> state = begin(task, setting, 0)
    >>> advance(task, Arm("sc-pwc", "neuron"), setting, 0, state).history.shape
    torch.Size([1, 6])
    """
    n = setting.population
    if check_population("the members", state.members).batch_shape[0] != n:
        raise ValueError(f"expected {n} members; found {state.members!r}")
    rng = _chance(seed, len(state.history) + 1)
    fitness, seen, steps = task(state.members, rng)
    order = fitness.argsort(descending=True, stable=True)
    chosen = _selected(order, state.founders, setting.parents, arm.niche)
    seen = seen[torch.randint(len(seen), (setting.align_n,), generator=rng)]
    first, second = draw(len(chosen), n - 1, rng)
    first, second = chosen[first], chosen[second]
    children, moved = state.members[first], 0.0
    if arm.crosses:
        children, moved = _crossed(state, first, second, seen, arm, rng)
    children = _mutated(children, seen, arm, rng)
    row = (
        float(fitness.max()),
        float(fitness.mean()),
        len(state.founders[chosen].unique()),
        moved,
        effective_rank(state.members[chosen]),
        steps + (float(state.history[-1, -1]) if len(state.history) else 0),
    )
    elite, rest = order[:1], order.new_tensor([*order[:1], *first])
    return State(
        joined(state.members[elite], children),
        state.founders[rest],
        torch.cat([state.history, torch.tensor([row], dtype=torch.float64)]),
    )


def champion(task: Task, held_out: Task, seed: int, state: State) -> tuple[Network, float]:
    """Return the best member of the last generation, and its fitness where nobody selected.

    Parameters
    ----------
    task : Task
        On which the best is chosen, as in a generation.
    held_out : Task
        On which it is measured, with chance that no generation saw.
    seed : int
        Of the run.
    state : State
        Its last one.

    Examples
    --------
    >>> from safecross.evolution.tasks import SwingUp
    >>> task = SwingUp(2, 20)
    >>> network, score = champion(task, SwingUp(8, 20), 0, begin(task, Setting((8,), 4, 2), 0))
    >>> network, 0 <= score <= 1
    (Network(5-8-1), True)
    """
    fitness = task(state.members, _chance(seed, len(state.history) + 1)).fitness
    best = state.members[fitness.argmax().view(1)]
    return best[0], float(held_out(best, _chance(seed, 2**32 - 1)).fitness)


def effective_rank(population: Network) -> float:
    r"""Return the effective rank of the members' second weight matrix, their mean.

    .. math:: \exp\Bigl(-\sum_i p_i \log p_i\Bigr), \qquad p_i = \sigma_i / \sum_j \sigma_j

    for its singular values; of networks with one layer that of the first. Low rank tells that
    averaging has made neurons alike.

    Notes
    -----
    Source: Roy and Vetterli 2007.

    Examples
    --------
    >>> round(effective_rank(Network([torch.eye(3)[None]], [torch.zeros(1, 3)])), 6)
    3.0
    """
    weight = population.weights[min(1, population.depth)]
    values = torch.linalg.svdvals(weight.double())
    shares = values / values.sum(-1, keepdim=True).clamp(min=1e-300)
    return float(torch.special.entr(shares).sum(-1).exp().mean())


def draw(parents: int, n: int, rng: torch.Generator) -> tuple[torch.Tensor, torch.Tensor]:
    """Return two different parents for each of n children, by number.

    Parameters
    ----------
    parents : int
        How many there are, at least 2.
    n : int
        Children.
    rng : torch.Generator
        Source of chance.

    Examples
    --------
    >>> first, second = draw(2, 5, torch.Generator().manual_seed(0))
    >>> (first + second).tolist()
    [1, 1, 1, 1, 1]
    """
    checks.whole_number("parents", parents, 2)
    first = torch.randint(parents, (n,), generator=rng)
    return first, (first + 1 + torch.randint(parents - 1, (n,), generator=rng)) % parents


def joined(*populations: Network) -> Network:
    """Return the members of several populations as one.

    Examples
    --------
    >>> joined(initialise([2, 3, 1], [0]), initialise([2, 3, 1], [1, 2]))
    Network(2-3-1, population (3,))
    """
    return Network(
        [torch.cat(layer) for layer in zip(*(p.weights for p in populations), strict=True)],
        [torch.cat(layer) for layer in zip(*(p.biases for p in populations), strict=True)],
    )


def _chance(seed: int, generation: int) -> torch.Generator:
    drawn = np.random.SeedSequence([seed, 1, generation]).generate_state(1, np.uint64)[0]
    return torch.Generator().manual_seed(int(drawn >> np.uint64(1)))


def _selected(order: torch.Tensor, founders: torch.Tensor, parents: int, niche: int):
    """Return the best members, at most `niche` of one founder while there are others."""
    if not niche:
        return order[:parents]
    count: dict[int, int] = {}
    kept, rest = [], []
    for member in order.tolist():
        founder = int(founders[member])
        count[founder] = count.get(founder, 0) + 1
        (kept if count[founder] <= niche else rest).append(member)
    return order.new_tensor((kept + rest)[:parents])


def _crossed(state: State, first, second, seen, arm: Arm, rng) -> tuple[Network, float]:
    theirs, others = state.members[first], state.members[second]
    if arm.scramble:
        theirs, others = (scramble(side, rng, arm.scramble) for side in (theirs, others))
    same = state.founders[first] == state.founders[second]
    related = same if arm.related else None
    others, moved = partners(theirs, others, seen, arm.method, related)
    return recombined(theirs, others, arm.recombine, arm.t, rng), moved


def _mutated(children: Network, seen, arm: Arm, rng: torch.Generator) -> Network:
    if arm.safe == "no":
        return mutate(children, arm.sigma, rng)
    return mutate_safely(children, seen, arm.sigma, rng, by=arm.safe)
