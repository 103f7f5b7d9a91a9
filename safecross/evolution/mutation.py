"""Mutation of many networks: Gaussian, and safe by what it does to the outputs."""

from collections.abc import Sequence

import torch

from .. import checks
from ..network import Network
from .population import check_population

__all__ = ["mutate", "mutate_safely", "sensitivity"]


def mutate(population: Network, sigma: float, rng: torch.Generator) -> Network:
    r"""Return a population with Gaussian noise on all weights and biases.

    .. math:: \theta' = \theta + \sigma \varepsilon, \qquad \varepsilon \sim N(0, 1)

    Parameters
    ----------
    population : Network
        Of n members.
    sigma : float
        Standard deviation of the noise, >= 0.
    rng : torch.Generator
        Source of chance.

    Examples
    --------
    >>> from safecross import initialise
    >>> mutate(initialise([2, 3, 1], [0, 1]), 0.1, torch.Generator().manual_seed(0))
    Network(2-3-1, population (2,))
    """
    check_population("the population", population)
    sigma = checks.number_in("sigma", sigma, 0, float("inf"))
    return _moved(population, [sigma * e for e in _noise(population, rng)])


def sensitivity(population: Network, x) -> list[torch.Tensor]:
    r"""Return how much a member's outputs depend on each of its weights and biases (SM-G-SUM).

    .. math:: s_w = \sqrt{\sum_k \Bigl(\sum_i \frac{\partial z_k(x_i)}{\partial w}\Bigr)^2}

    Parameters
    ----------
    population : Network
        Of n members.
    x : array_like, shape (m, inputs) or (n, m, inputs)
        Examples, such as states that were visited; all members' or each member's own.

    Returns
    -------
    list of torch.Tensor
        Of the shapes of weights and biases, all weights first.

    Notes
    -----
    Source: Lehman et al. 2018, Eq. 3. One backward pass for each output: members do not depend on
    each other, so the gradient of their sum is each member's own.

    Examples
    --------
    >>> theta = Network([torch.tensor([[[2.0]]])], [torch.zeros(1, 1)])
    >>> sensitivity(theta, [[3.0], [4.0]])
    [tensor([[[7.]]]), tensor([[2.]])]
    """
    check_population("the population", population)
    parts = [p.detach().requires_grad_() for p in (*population.weights, *population.biases)]
    with torch.enable_grad():
        outputs = Network(parts[: len(parts) // 2], parts[len(parts) // 2 :])(x).sum(-2)
        squares = [torch.zeros_like(part) for part in parts]
        for k in range(outputs.shape[-1]):
            found = torch.autograd.grad(outputs[:, k].sum(), parts, retain_graph=True)
            for square, gradient in zip(squares, found, strict=True):
                square += gradient**2
    return [square.sqrt() for square in squares]


def mutate_safely(
    population: Network,
    x,
    sigma: float,
    rng: torch.Generator,
    *,
    by: str = "gradient",
    floor: float = 0.01,
) -> Network:
    r"""Return a population mutated so that outputs change about as much everywhere.

    By ``gradient`` (SM-G-SUM) each weight's noise is divided by its `sensitivity`,

    .. math:: \theta' = \theta + \sigma \frac{\varepsilon}{\max(s / \bar s, f)}

    where :math:`\bar s` is the member's root mean square of s and f the floor, so that sigma keeps
    the size that it has in `mutate`. By ``rescaling`` (SM-R) the whole step of a member is scaled,
    by bisection, until its outputs on the examples change by sigma in root mean square.

    Parameters
    ----------
    population, x
        As for `sensitivity`.
    sigma : float
        >= 0: the noise's deviation, or the change of the outputs.
    rng : torch.Generator
        Source of chance.
    by : {"gradient", "rescaling"}
        Which of the two.
    floor : float
        Least relative sensitivity, in (0, 1]: a weight on which nothing depends would move without
        bound.

    Raises
    ------
    ValueError
        If a number leaves its range or `by` is unknown.

    Notes
    -----
    Source: Lehman et al. 2018, Sections 3.1 and 3.2. The paper divides by s itself; the relative
    form differs by a factor for each member and lets one sigma serve both kinds of mutation.

    Examples
    --------
    >>> from safecross import initialise
    >>> theta, x = initialise([2, 3, 1], [0, 1]), torch.rand(9, 2)
    >>> other = mutate_safely(theta, x, 0.1, torch.Generator().manual_seed(0), by="rescaling")
    >>> [round(float((other[i](x) - theta[i](x)).square().mean().sqrt()), 3) for i in (0, 1)]
    [0.1, 0.1]
    """
    check_population("the population", population)
    sigma = checks.number_in("sigma", sigma, 0, float("inf"))
    if checks.number_in("floor", floor, 0, 1) == 0:
        raise ValueError("floor must be above 0")
    noise = _noise(population, rng)
    if by == "gradient":
        found = sensitivity(population, x)
        count = sum(part[0].numel() for part in found)
        total = sum(part.flatten(1).double().square().sum(1) for part in found)
        typical = (total / count).sqrt().clamp(min=1e-30).to(population.dtype)
        relative = [part / _as(typical, part) for part in found]
        steps = [sigma * e / r.clamp(min=floor) for e, r in zip(noise, relative, strict=True)]
        return _moved(population, steps)
    if by == "rescaling":
        return _rescaled(population, noise, x, sigma)
    raise ValueError(checks.unknown("kind of safe mutation", by, ("gradient", "rescaling")))


@torch.no_grad()
def _rescaled(population: Network, noise, x, sigma: float) -> Network:
    """Return the population moved along the noise as far as its outputs change by sigma."""
    before = population(x)
    low, high = torch.zeros(len(before)), torch.ones(len(before))

    def change(scale: torch.Tensor) -> torch.Tensor:
        other = _moved(population, [_as(scale.to(e), e) * e for e in noise])
        return (other(x) - before).double().square().mean((-1, -2)).sqrt().cpu()

    for _ in range(_DOUBLINGS):  # members whose outputs hardly change need a longer step
        short = change(high) < sigma
        if not short.any():
            break
        low, high = torch.where(short, high, low), torch.where(short, 2 * high, high)
    for _ in range(_BISECTIONS):
        middle = (low + high) / 2
        short = change(middle) < sigma
        low, high = torch.where(short, middle, low), torch.where(short, high, middle)
    return _moved(population, [_as(low.to(e), e) * e for e in noise])


def _noise(population: Network, rng: torch.Generator) -> list[torch.Tensor]:
    if not isinstance(rng, torch.Generator):
        raise TypeError(f"rng must be a torch.Generator; found {checks.shown(rng)}")
    parts = (*population.weights, *population.biases)
    return [torch.randn(part.shape, generator=rng).to(part) for part in parts]


def _moved(population: Network, steps: Sequence[torch.Tensor]) -> Network:
    half = len(steps) // 2
    return Network(
        [w + e for w, e in zip(population.weights, steps[:half], strict=True)],
        [b + e for b, e in zip(population.biases, steps[half:], strict=True)],
    )


def _as(values: torch.Tensor, part: torch.Tensor) -> torch.Tensor:
    """Return one value for each member in a shape that multiplies its tensors."""
    return values.view(-1, *(1,) * (part.ndim - 1))


_DOUBLINGS = 12  # steps of at most 4096 standard deviations

_BISECTIONS = 24
