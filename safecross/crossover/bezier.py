"""A bent path between two networks: a quadratic Bezier curve, trained for a low loss."""

import torch
from torch.nn.functional import cross_entropy

from .. import checks
from ..networks.network import Network, check_same_architecture, stack
from ..networks.training import descend, outputs_of

__all__ = ["bend", "on_bezier"]


def on_bezier(theta_a: Network, middle: Network, theta_b: Network, t) -> Network:
    r"""Return points of a quadratic Bezier curve between two networks.

    .. math:: \phi(t) = (1 - t)^2\, \theta_a + 2 t (1 - t)\, \theta + t^2\, \theta_b

    Parameters
    ----------
    theta_a, theta_b : Network
        Ends of the curve, as they are or aligned.
    middle : Network
        The control point :math:`\theta`, as `bend` returns it. Halfway between the ends it gives
        the straight line.
    t : float or sequence of float
        One point, or a grid, in [0, 1].

    Returns
    -------
    Network
        One network; for a grid a population with one network for each t.

    Raises
    ------
    ValueError
        If the architectures differ, one is a population, or a t leaves its range.

    Notes
    -----
    Source: Garipov et al. 2018, Section 3.2.

    Examples
    --------
    >>> a, b = (Network([torch.full((1, 1), w)], [torch.zeros(1)]) for w in (0.0, 2.0))
    >>> middle = Network([torch.full((1, 1), 5.0)], [torch.zeros(1)])
    >>> on_bezier(a, middle, b, [0.0, 0.5, 1.0]).weights[0].flatten().tolist()
    [0.0, 3.0, 2.0]
    """
    _check_three(theta_a, middle, theta_b)
    one = getattr(t, "ndim", 0 if isinstance(t, int | float) else 1) == 0
    values = [t] if one else checks.as_list("t", t)
    grid = [checks.number_in("t", value, 0, 1) for value in values]
    if not grid:
        raise ValueError("t must hold at least one point; found none")
    three = [_parts(theta) for theta in (theta_a, middle, theta_b)]
    points = [_network(_mixed(*three, value)) for value in grid]
    return points[0] if one else stack(points)


def bend(
    theta_a: Network,
    theta_b: Network,
    x,
    y,
    *,
    steps: int = 300,
    batch_size: int = 128,
    learning_rate: float = 1e-3,
    seed: int = 0,
) -> Network:
    r"""Return the control point of a quadratic Bezier curve along which the loss is low.

    .. math:: \min_\theta\; \mathbb{E}_{t \sim U(0, 1)}\, \mathcal{L}(\phi(t))

    by Adam, with one t and one minibatch a step, from the point halfway between the ends.

    Parameters
    ----------
    theta_a, theta_b : Network
        Ends of the curve, which stay as they are.
    x : array_like, shape (n, m)
        Training examples.
    y : array_like of int, shape (n,)
        Labels.
    steps, batch_size : int
        Steps of Adam, and examples in each.
    learning_rate : float
        Of Adam, > 0.
    seed : int
        Of the points and minibatches.

    Raises
    ------
    ValueError
        If the architectures differ, one is a population, the examples or labels are unusable, or
        a number leaves its range.

    Notes
    -----
    Source: Garipov et al. 2018, Section 3.1 and 3.2, Eq. 2: t is drawn uniformly and not by the
    curve's length, as they do.

    Examples
    --------
    >>> from safecross import initialise
    >>> a, b = (initialise([2, 8, 2], seed) for seed in (0, 1))
    >>> bend(a, b, torch.rand(20, 2), [0, 1] * 10, steps=5)
    Network(2-8-2)
    """
    _check_three(theta_a, theta_b)
    checks.whole_number("batch_size", batch_size, 1)
    x = theta_a.inputs(x)
    y = checks.as_labels(y, len(x), theta_a.widths[-1])
    rng = torch.Generator().manual_seed(checks.whole_number("seed", seed, 0))
    ends = _parts(theta_a), _parts(theta_b)

    def loss(middle: list[torch.Tensor]) -> torch.Tensor:
        t = float(torch.rand((), generator=rng))
        rows = torch.randint(len(x), (batch_size,), generator=rng)
        return cross_entropy(outputs_of(_mixed(ends[0], middle, ends[1], t), x[rows]), y[rows])

    halfway = [(a + b) / 2 for a, b in zip(*ends, strict=True)]
    return _network(descend(halfway, loss, steps, learning_rate))


def _parts(theta: Network) -> list[torch.Tensor]:
    return [*theta.weights, *theta.biases]


def _mixed(a, middle, b, t: float) -> list[torch.Tensor]:
    shares = (1 - t) ** 2, 2 * t * (1 - t), t**2
    three = zip(a, middle, b, strict=True)
    return [sum(s * part for s, part in zip(shares, parts, strict=True)) for parts in three]


def _network(parts: list[torch.Tensor]) -> Network:
    layers = len(parts) // 2
    return Network(parts[:layers], parts[layers:])


def _check_three(first: Network, *others: Network) -> None:
    for other in others:
        check_same_architecture(first, other)
    if any(one.batch_shape for one in (first, *others)):
        raise ValueError(f"expected single networks; found {[first, *others]}")
