"""Matching neurons by the loss halfway, through the permutation: the straight-through estimator."""

import math
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import torch

from .. import checks
from .maps import Permutation, move_state
from .problem import Problem
from .registry import Method, register
from .weights import match_weights, weights_of

__all__ = ["StraightThrough", "middle_loss"]


@register(
    "ste",
    source="Git Re-Basin, Ainsworth et al. 2023, Algorithm 2",
    needs="gradients",
    cost="n h (m + o) a pass; h^2 (m + o) + h^3 a step",
    invariant=False,
)
@dataclass(frozen=True)
class StraightThrough(Method):
    r"""One-to-one matching that lowers the loss halfway, by a straight-through estimator.

    .. math:: \min_{\tilde\theta}\; \mathcal{L}\Big(\frac{\theta_a + \pi(\theta_b)}2\Big), \qquad
              \pi = \arg\max_\pi \langle \tilde\theta, \pi(\theta_b) \rangle

    Free weights :math:`\tilde\theta` are matched with those of b, as ``weight-matching`` does. A
    permutation has no slope, so the loss's slope with respect to :math:`\pi(\theta_b)` is handed
    to :math:`\tilde\theta` as if both were one, and the next permutation follows from there.

    Parameters
    ----------
    passes : int
        Over the examples.
    batch : int
        Examples of a step.
    learning_rate : float
        Of Adam, > 0; the original writes plain gradient descent.
    seed : int
        Of the order of examples and of layers.

    Notes
    -----
    It starts where the free weights are those of a: that is weight matching. The permutation with
    the lowest loss on all examples is kept, looked at after each pass, so that on these examples
    it is never worse than its start. It needs labels. As weight matching, it may end elsewhere if
    neurons are permuted first.
    """

    passes: int = 5
    batch: int = 500
    learning_rate: float = 1e-3
    seed: int = 0

    def __post_init__(self):
        checks.whole_number("passes", self.passes, 1)
        checks.whole_number("batch", self.batch, 1)
        checks.whole_number("seed", self.seed, 0)
        if not 0 < checks.as_number(self.learning_rate) < math.inf:
            found = checks.shown(self.learning_rate)
            raise ValueError(f"learning_rate must be positive and finite; found {found}")

    def __call__(self, problem: Problem) -> list[Permutation]:
        """Return the permutation of each hidden layer.

        Raises
        ------
        ValueError
            If labels are missing.
        """
        (x, *_), _ = problem.labelled
        if not problem.spec.groups:
            return []
        rng = np.random.default_rng(self.seed)
        free = weights_of(problem.spec, problem.state_a)
        free = {name: weight.clone() for name, weight in free.items()}
        steps = torch.optim.Adam(free.values(), self.learning_rate)
        maps = _projected(problem, free, {}, rng)
        best, least = maps, middle_loss(problem, maps, self.batch)
        for _ in range(self.passes):
            for at in torch.as_tensor(rng.permutation(len(x))).split(self.batch):
                for name, slope in _slopes(problem, maps, at).items():
                    free[name].grad = slope.to(free[name])
                steps.step()
                maps = _projected(problem, free, maps, rng)
            loss = middle_loss(problem, maps, self.batch)
            if loss < least:
                best, least = maps, loss
        return [best[name] for name in problem.spec.groups]


@torch.no_grad()
def middle_loss(problem: Problem, maps: Mapping, size: int = 500) -> float:
    """Return the loss halfway between a and b moved, on all labelled examples.

    Parameters
    ----------
    problem : Problem
        With labels.
    maps : mapping of str to map
        By group.
    size : int
        Examples at a time.

    Examples
    --------
    >>> from safecross import initialise
    >>> theta = initialise([2, 3, 2], 0)
    >>> problem = Problem(theta, theta, x=torch.zeros(4, 2), y=[0, 1, 0, 1])
    >>> round(middle_loss(problem, {}), 4)  # as it is initialised, all logits are 0
    0.6931
    """
    n = len(problem.labelled[1])
    middle = problem.between(move_state(problem.spec, maps, problem.state_b))
    parts = torch.arange(n).split(size)
    return sum(float(problem.loss(middle, at)) * len(at) for at in parts) / n


def _projected(problem: Problem, free: Mapping, maps: Mapping, rng) -> dict[str, Permutation]:
    """Return the maps that bring b near the free weights, found from those so far."""
    b = move_state(problem.spec, maps, weights_of(problem.spec, problem.state_b))
    steps, _ = match_weights(problem.spec, free, b, rng)
    steps = {name: Permutation(step) for name, step in steps.items()}
    return {n: step.after(maps[n]) if n in maps else step for n, step in steps.items()}


def _slopes(problem: Problem, maps: Mapping, at: torch.Tensor) -> dict[str, torch.Tensor]:
    """Return the slopes of the loss halfway with respect to b's weights that were moved."""
    axes = [axis for group in problem.spec.groups.values() for axis in group.axes]
    names = sorted({axis.tensor for axis in axes if axis.role != "buffer"})
    middle = problem.between(move_state(problem.spec, maps, problem.state_b))
    with torch.enable_grad():
        at_middle = [middle[name].requires_grad_() for name in names]
        slopes = torch.autograd.grad(problem.loss(middle, at), at_middle)
    return {name: slope / 2 for name, slope in zip(names, slopes, strict=True)}
