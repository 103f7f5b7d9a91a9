"""A child that learns from both parents what each would do where it has been."""

import torch
from torch.nn.functional import kl_div, log_softmax, mse_loss

from .. import checks
from ..networks.network import Network, check_same_architecture
from ..networks.training import descend, outputs_of

__all__ = ["TARGETS", "distil"]

#: What a child learns of its parents, by name: their pushes, or their classes' probabilities.
TARGETS = ("actions", "classes")


def distil(
    start: Network,
    parent_a: Network,
    parent_b: Network,
    seen_a,
    seen_b,
    rng: torch.Generator,
    *,
    t: float = 0.5,
    targets: str = "actions",
    steps: int = 500,
    batch_size: int = 256,
    learning_rate: float = 1e-3,
) -> Network:
    r"""Return a network that was trained to do as each parent does, on what that parent met.

    .. math:: \min_\theta\; (1 - t)\, \mathbb{E}_{x \sim a}\, \ell(z_\theta(x), z_a(x))
              + t\, \mathbb{E}_{x \sim b}\, \ell(z_\theta(x), z_b(x))

    where :math:`\ell` is the mean squared difference of :math:`\tanh z` for ``actions``, and the
    divergence of the teacher's softmax from the child's for ``classes``.

    Parameters
    ----------
    start : Network
        What the child's training starts from: a parent, or a child of another crossover.
    parent_a, parent_b : Network
        The teachers; all three of one architecture, none a population.
    seen_a, seen_b : array_like, shapes (m, inputs) and (k, inputs)
        Inputs that each parent met.
    rng : torch.Generator
        Draws the minibatches.
    t : float
        Share of b, in [0, 1].
    targets : str
        A name in `TARGETS`.
    steps, batch_size : int
        Steps of Adam, and inputs of each parent in one step.
    learning_rate : float
        Of Adam, > 0.

    Raises
    ------
    ValueError
        If the architectures differ, one is a population, the inputs are unusable, the target is
        unknown, or a number leaves its range.

    Notes
    -----
    Source: Gangwani and Peng 2018, Section 3.1 (state-space crossover). There a critic says which
    parent is to be followed in a state; here each is followed in the states that it met itself.

    Examples
    --------
    >>> from safecross import initialise
    >>> a, b = (initialise([2, 8, 1], seed) for seed in (0, 1))
    >>> rng, x = torch.Generator().manual_seed(0), torch.rand(50, 2)
    >>> child = distil(a, a, b, x, x, rng, t=1.0, steps=1000, learning_rate=0.01)
    >>> bool((child(x).tanh() - b(x).tanh()).abs().max() < 0.1)
    True
    """
    for network in (parent_a, parent_b):
        check_same_architecture(start, network)
    if start.batch_shape or parent_a.batch_shape or parent_b.batch_shape:
        raise ValueError(f"expected single networks; found {start!r}, {parent_a!r}, {parent_b!r}")
    if targets not in TARGETS:
        raise ValueError(checks.unknown("target", targets, TARGETS))
    if not isinstance(rng, torch.Generator):
        raise TypeError(f"rng must be a torch.Generator; found {checks.shown(rng)}")
    t = checks.number_in("t", t, 0, 1)
    checks.whole_number("batch_size", batch_size, 1)
    taught = []
    for share, teacher, seen in ((1 - t, parent_a, seen_a), (t, parent_b, seen_b)):
        x = teacher.inputs(seen)
        taught.append((share, x, _as_taught(teacher(x), targets)))

    def loss(parts: list[torch.Tensor]) -> torch.Tensor:
        terms = []
        for share, x, goal in taught:
            rows = torch.randint(len(x), (batch_size,), generator=rng)
            terms.append(share * _loss(outputs_of(parts, x[rows]), goal[rows], targets))
        return sum(terms)

    learnt = descend((*start.weights, *start.biases), loss, steps, learning_rate)
    return Network(learnt[: start.depth + 1], learnt[start.depth + 1 :])


def _as_taught(z: torch.Tensor, targets: str) -> torch.Tensor:
    return z.tanh() if targets == "actions" else z.softmax(-1)


def _loss(z: torch.Tensor, goal: torch.Tensor, targets: str) -> torch.Tensor:
    if targets == "actions":
        return mse_loss(z.tanh(), goal)
    return kl_div(log_softmax(z, -1), goal, reduction="batchmean")
