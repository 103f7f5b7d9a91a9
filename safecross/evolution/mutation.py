"""Mutation of many networks: Gaussian, and safe by what it does to the outputs."""

from collections.abc import Sequence

import torch

from .. import checks
from ..networks.network import Network
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


@torch.no_grad()
def sensitivity(population: Network, x, kind: str = "sum") -> list[torch.Tensor]:
    r"""Return how much a member's outputs depend on each of its weights and biases.

    .. math:: s_w = \sqrt{\sum_k \Bigl(\frac1m \sum_i
              \frac{\partial z_k(x_i)}{\partial w}\Bigr)^2}
              \qquad \text{or} \qquad
              s_w = \sqrt{\sum_k \Bigl(\frac1m \sum_i
              \Bigl\lvert\frac{\partial z_k(x_i)}{\partial w}\Bigr\rvert\Bigr)^2}

    Parameters
    ----------
    population : Network
        Of n members.
    x : array_like, shape (m, inputs) or (n, m, inputs)
        Examples, such as states that were visited; all members' or each member's own.
    kind : {"sum", "abs"}
        The first (SM-G-SUM) or the second (SM-G-ABS), in which effects on different examples do not
        cancel.

    Returns
    -------
    list of torch.Tensor
        Of the shapes of weights and biases, all weights first.

    Raises
    ------
    ValueError
        If the examples are unusable or the kind is unknown.

    Notes
    -----
    Source: Lehman et al. 2018, Section 3, with the mean over examples in place of their sum, so
    that sizes do not depend on their number. A weight's gradient on one example is the product of
    what it reads and what it is answerable for, so both kinds take one backward pass an output.

    Examples
    --------
    >>> theta = Network([torch.tensor([[[2.0]]])], [torch.zeros(1, 1)])
    >>> sensitivity(theta, [[3.0], [-4.0]]), sensitivity(theta, [[3.0], [-4.0]], "abs")
    ([tensor([[[0.5000]]]), tensor([[1.]])], [tensor([[[3.5000]]]), tensor([[1.]])])
    """
    check_population("the population", population)
    if kind not in ("sum", "abs"):
        raise ValueError(checks.unknown("kind of sensitivity", kind, ("sum", "abs")))
    inputs = population.inputs(x)
    hidden = population.layers(inputs)[:-1]
    read = [inputs.expand(len(population.weights[0]), *inputs.shape[-2:]), *hidden]
    squares = [torch.zeros_like(p) for p in (*population.weights, *population.biases)]
    for k in range(population.widths[-1]):
        for square, found in zip(squares, _mean_gradient(population, read, k, kind), strict=True):
            square += found**2
    return [square.sqrt() for square in squares]


def _mean_gradient(population: Network, read, k: int, kind: str) -> list[torch.Tensor]:
    """Return the mean over examples of the gradient of output k, or of its absolute values."""
    size = torch.abs if kind == "abs" else torch.clone
    n, m = read[0].shape[:2]
    answers = torch.zeros(
        n, m, population.widths[-1], dtype=population.dtype, device=read[0].device
    )
    answers[..., k] = 1
    weights, biases = [], []
    for d in reversed(range(len(read))):
        weights.insert(0, size(read[d]).mT @ size(answers) / m)
        biases.insert(0, size(answers).mean(-2))
        if d:
            answers = (answers @ population.weights[d].mT) * (read[d] > 0)
    return [*weights, *biases]


def mutate_safely(
    population: Network,
    x,
    sigma: float,
    rng: torch.Generator,
    *,
    by: str = "sum",
    floor: float = 0.01,
) -> Network:
    r"""Return a population mutated so that outputs change about as much everywhere.

    By ``sum`` or ``abs`` (SM-G-SUM, SM-G-ABS) each weight's noise is divided by its `sensitivity` s
    of that kind,

    .. math:: \theta' = \theta + \frac{\sigma \varepsilon}{\max(s, f)}

    with a floor f; where s is 0, as behind a dead neuron, the noise stays as it is. By
    ``rescaling`` (SM-R) the whole step of a member is scaled, by bisection, until its outputs on
    the examples change by sigma in root mean square.

    Parameters
    ----------
    population, x
        As for `sensitivity`.
    sigma : float
        >= 0: the change of the outputs, of each weight's own share to first order, or of all
        together (rescaling).
    rng : torch.Generator
        Source of chance.
    by : {"sum", "abs", "rescaling"}
        Which of the three.
    floor : float
        Least sensitivity that is divided by, > 0.

    Raises
    ------
    ValueError
        If a number leaves its range or `by` is unknown.

    Notes
    -----
    Source: Lehman et al. 2018, Section 3.

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
    if checks.number_in("floor", floor, 0, float("inf")) == 0:
        raise ValueError("floor must be above 0; found 0")
    noise = _noise(population, rng)
    if by in ("sum", "abs"):
        raw = sensitivity(population, x, by)
        found = [torch.where(s == 0, 1.0, s.clamp(min=floor)) for s in raw]
        return _moved(population, [sigma * e / s for e, s in zip(noise, found, strict=True)])
    if by == "rescaling":
        return _rescaled(population, noise, x, sigma)
    raise ValueError(checks.unknown("kind of safe mutation", by, ("sum", "abs", "rescaling")))


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
