"""Arithmetic crossover of two networks (Section 4.4) and its curves of loss and accuracy."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch

from .. import checks
from ..alignment.alignment import Alignment
from ..networks.linalg import product
from ..networks.metrics import accuracy, cross_entropy
from ..networks.network import Network, check_same_architecture

__all__ = ["GRID", "Curve", "FirstLayer", "barrier", "crossover_curve", "interpolate"]

#: The paper's range of t, [-0.25, 1.25], at 31 points; 0, 0.5 and 1 are among them.
GRID = tuple(round(-0.25 + 0.05 * i, 2) for i in range(31))

_CELLS = 2**20  # activations at a time: they stay in the processor's cache


def interpolate(theta_a: Network, theta_b: Network, t) -> Network:
    r"""Return the offspring of an arithmetic crossover.

    .. math:: \theta_t = (1 - t)\, \theta_a + t\, \theta_b

    Parameters
    ----------
    theta_a, theta_b : Network
        Parents of one architecture: as they are (Eq. 4, naive), or aligned (Eq. 3, safe). Either
        may be a population; members of two are mated in order.
    t : float or sequence of float
        One crossover point, or a grid; the paper uses [-0.25, 1.25].

    Returns
    -------
    Network
        One network; for a grid a population with one network for each t. At t = 0 and t = 1
        exactly the parents.

    Raises
    ------
    ValueError
        If the architectures differ, populations are of several sizes, or a t is not finite.

    Notes
    -----
    Source: Eq. 3 and Eq. 4, Section 4.4.

    Examples
    --------
    >>> a = Network([torch.zeros(1, 1)], [torch.zeros(1)])
    >>> b = Network([torch.ones(1, 1)], [torch.ones(1)])
    >>> interpolate(a, b, 0.25).weights
    (tensor([[0.2500]]),)
    """
    check_same_architecture(theta_a, theta_b)
    sizes = {theta.batch_shape for theta in (theta_a, theta_b) if theta.batch_shape}
    if len(sizes) > 1:
        raise ValueError(
            f"populations must be of one size to be mated; found {theta_a!r} and {theta_b!r}"
        )
    ts = torch.as_tensor(_checked_t(t), dtype=theta_a.dtype, device=theta_a.device)

    def mix(a: torch.Tensor, b: torch.Tensor) -> torch.Tensor:
        s = ts.view(ts.shape + (1,) * max(a.ndim, b.ndim))
        return (1 - s) * a + s * b

    return Network(
        [mix(a, b) for a, b in zip(theta_a.weights, theta_b.weights, strict=True)],
        [mix(a, b) for a, b in zip(theta_a.biases, theta_b.biases, strict=True)],
    )


@dataclass(frozen=True, eq=False)
class Curve:
    """Loss and accuracy of the offspring along t.

    Attributes
    ----------
    t : numpy.ndarray, shape (T,)
        Crossover points.
    loss : numpy.ndarray, shape (T,)
        Mean cross-entropy in nats.
    accuracy : numpy.ndarray, shape (T,)
        Share of examples classified rightly, in [0, 1].
    """

    t: np.ndarray
    loss: np.ndarray
    accuracy: np.ndarray

    @property
    def barrier(self) -> float:
        """Height of the loss above the straight line between the parents; see `barrier`."""
        return barrier(self.t, self.loss)


def barrier(t, loss) -> float:
    r"""Return the largest height of a loss curve above the line between the parents.

    .. math:: \max_{t \in [0, 1]}\; \mathcal{L}(\theta_t)
              - (1 - t)\,\mathcal{L}(\theta_0) - t\,\mathcal{L}(\theta_1)

    Parameters
    ----------
    t : array_like, shape (T,)
        Crossover points, 0 and 1 among them.
    loss : array_like, shape (T,)
        Loss at each.

    Returns
    -------
    float
        In the loss's unit, >= 0.

    Raises
    ------
    ValueError
        If 0 or 1 is missing from `t`, the lengths differ, or a loss in between is not finite.

    Examples
    --------
    >>> barrier([0.0, 0.5, 1.0], [1.0, 4.0, 2.0])
    2.5
    """
    t, loss = (
        np.atleast_1d(checks.as_array(name, values)).astype(float)
        for name, values in (("t", t), ("loss", loss))
    )
    if t.shape != loss.shape or not {0.0, 1.0} <= set(t.tolist()):
        raise ValueError(
            "a barrier needs one loss for each t, and t = 0 and t = 1 among them; "
            f"found {loss.size} losses and t = {t.tolist()}"
        )
    between = (t >= 0) & (t <= 1)
    checks.finite("losses between the parents", torch.from_numpy(loss[between]))
    line = (1 - t) * loss[t == 0][0] + t * loss[t == 1][0]
    return float((loss - line)[between].max())


class FirstLayer:
    r"""The first layer's products of both parents, computed once for all operators and t.

    The first layer before its ReLU is linear in t, and a permutation reorders its columns only:

    .. math:: x \tilde W^1_t + \tilde b^1_t = (1 - t)\,(x W^1_a + b^1_a)[:, l_a]
              + t\,(x W^1_b + b^1_b)[:, l_b]

    Parameters
    ----------
    theta_a, theta_b : Network
        Parents of one architecture.
    x : array_like, shape (n, m)
        Examples.

    Attributes
    ----------
    parents, x
        As given.
    za, zb : torch.Tensor, shape (n, p)
        The first layer of each parent before its ReLU; transposed views of tensors that hold a
        neuron a row.

    Raises
    ------
    ValueError
        If the parents are no two single networks of one architecture and dtype, or the examples
        do not fit.

    Examples
    --------
    >>> a = Network([torch.ones(1, 1)], [torch.zeros(1)])
    >>> FirstLayer(a, a, [[2.0]]).za
    tensor([[2.]])
    """

    @torch.no_grad()
    def __init__(self, theta_a: Network, theta_b: Network, x):
        check_same_architecture(theta_a, theta_b)
        self.parents, self.x = (theta_a, theta_b), x
        if theta_a.batch_shape or theta_b.batch_shape:
            raise ValueError(
                "expected two single networks, such as the members of populations at one index; "
                f"found {theta_a!r} and {theta_b!r}"
            )
        if theta_a.dtype != theta_b.dtype:
            raise ValueError(
                f"both parents must have one dtype; found {theta_a.dtype} and {theta_b.dtype}. "
                "Convert one of them with .to(...)"
            )
        x = theta_a.inputs(x)
        if x.ndim != 2:
            raise ValueError(f"examples must be one batch (n, m); found shape {tuple(x.shape)}")
        # A neuron is a row in memory, so that a permutation copies whole rows.
        self.za, self.zb = (
            product(theta.weights[0].mT, x.mT).add_(theta.biases[0].unsqueeze(-1)).mT
            for theta in self.parents
        )

    def layers(self) -> tuple[list[torch.Tensor], list[torch.Tensor]]:
        """Return both parents' hidden activations and, last, their logits, as `Network.layers`."""
        return tuple(
            theta.layers_above(z.contiguous())
            for theta, z in zip(self.parents, (self.za, self.zb), strict=True)
        )


@torch.no_grad()
def crossover_curve(
    theta_a: Network,
    theta_b: Network,
    x,
    y,
    *,
    alignment: Alignment | None = None,
    t: Sequence[float] = GRID,
    first: FirstLayer | None = None,
    softmax: str = "example",
) -> Curve:
    """Return loss and accuracy of the offspring on a grid of t.

    Parameters
    ----------
    theta_a, theta_b : Network
        Parents as they were trained, of one architecture.
    x : array_like, shape (n, m)
        Examples to measure on.
    y : array_like of int, shape (n,)
        Their labels.
    alignment : Alignment, optional
        From an operator (Eq. 3); without it the crossover is naive (Eq. 4). With soft maps the
        curve ends, at t = 1, in b as they make it.
    t : float or sequence of float
        Crossover points, finite.
    first : FirstLayer, optional
        Products of these very parents and examples, if they are at hand from another operator.
    softmax : str
        As for `cross_entropy`.

    Returns
    -------
    Curve
        One loss and one accuracy for each t; equal to full forward passes of `interpolate` up to
        rounding (1e-6, tested), without their cost.

    Raises
    ------
    ValueError
        If the parents are no two single networks of one architecture and dtype, `first` is of
        others, `t` is empty or not finite, or the data are unusable.
    TypeError
        If a parent is no `Network`, or the alignment no `Alignment`.

    Notes
    -----
    Source: Section 4.4, Eq. 3 and Eq. 4.

    Examples
    --------
    >>> a = Network([torch.eye(2)], [torch.zeros(2)])
    >>> b = Network([-torch.eye(2)], [torch.zeros(2)])
    >>> crossover_curve(a, b, torch.eye(2), [0, 1], t=[0, 1]).accuracy
    array([1., 0.])
    """
    ts = np.atleast_1d(_checked_t(t))
    if not isinstance(alignment, Alignment | None):
        raise TypeError(f"expected an Alignment; found {checks.shown(alignment)}")
    if not isinstance(first, FirstLayer | None):
        raise TypeError(f"expected a FirstLayer; found {checks.shown(first)}")
    if alignment is not None and alignment.is_soft:
        # Mixed neurons are no columns of the products at hand: the first layer is computed anew.
        (theta_a, theta_b), alignment, first = alignment.apply(theta_a, theta_b), None, None
    first = first or FirstLayer(theta_a, theta_b, x)
    made_of = zip((*first.parents, first.x), (theta_a, theta_b, x), strict=True)
    if any(given is not asked for given, asked in made_of):
        raise ValueError(
            "first must be made of the very networks and examples of the curve; found others"
        )
    lists = None
    if alignment is not None:
        theta_a, theta_b = alignment.apply(theta_a, theta_b)
        if theta_a.depth:
            lists = [
                torch.as_tensor(of_side[0], device=first.za.device)
                for of_side in (alignment.lists_a, alignment.lists_b)
            ]
    n = len(first.za)
    logits = first.za.new_empty(len(ts), n, theta_a.widths[-1])
    # The first layer is mixed by its products below; only the layers above it as weights.
    upper = interpolate(_above(theta_a), _above(theta_b), ts) if theta_a.depth else None
    layers = list(zip(upper.weights, upper.biases, strict=True)) if upper else []
    size = max(1, _CELLS // max(theta_a.widths[1:])) if first.za.is_cpu else n
    for start in range(0, n, size):
        span = slice(start, start + size)
        a, b = first.za.mT[:, span], first.zb.mT[:, span]
        if lists:
            a, b = a.index_select(0, lists[0]), b.index_select(0, lists[1])
        for i, s in enumerate(ts):
            z = torch.lerp(a, b, float(s))
            for weight, bias in layers:
                z = product(weight[i].mT, z.relu_()).add_(bias[i].unsqueeze(-1))
            logits[i, span] = z.mT
    return Curve(
        ts,
        cross_entropy(logits, y, softmax).cpu().numpy(),
        accuracy(logits, y).cpu().numpy(),
    )


def _above(theta: Network) -> Network:
    return Network(theta.weights[1:], theta.biases[1:])


def _checked_t(t) -> np.ndarray:
    ts = checks.as_array("t, one finite number or a non-empty list of them,", t)
    if ts.ndim > 1 or ts.size == 0 or ts.dtype == bool or not np.all(np.isfinite(ts)):
        raise ValueError(
            f"t must be one finite number or a non-empty list of them; found {checks.shown(t)}"
        )
    return ts.astype(np.float64)
