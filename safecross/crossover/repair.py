"""After interpolation: the offspring's statistics renewed, and the ensemble it is measured by."""

from collections.abc import Iterator

import numpy as np
import torch

from .. import checks
from ..alignment.correlation import standardised
from ..networks.linalg import affine
from ..networks.metrics import accuracy, cross_entropy
from ..networks.network import Network, check_same_architecture, stack
from .curve import GRID, Curve, interpolate

__all__ = ["ensemble_curve", "preactivation_statistics", "renew", "repair", "repaired_curve"]


@torch.no_grad()
def repair(
    child: Network, theta_a: Network, theta_b: Network, x, t, *, output=False, closed_form=False
) -> Network:
    r"""Return the offspring with the spread of its neurons renewed (REPAIR).

    Neurons that do not agree vary less once they are averaged. Each hidden neuron's values before
    the ReLU are shifted and scaled so that on a batch

    .. math:: \mu_t = (1 - t)\,\mu_a + t\,\mu_b, \qquad
              \sigma_t = (1 - t)\,\sigma_a + t\,\sigma_b

    layer by layer, each seeing inputs that are repaired already; weights and biases take it up.
    In closed form the child is not looked at. With the correlation c of both parents' neuron its
    deviation is taken to be that of the mixed values,

    .. math:: \sqrt{(1 - t)^2 \sigma_a^2 + t^2 \sigma_b^2
              + 2 t (1 - t)\, c\, \sigma_a \sigma_b}

    Parameters
    ----------
    child : Network
        As `interpolate` returns it: one network, or a population with one for each t.
    theta_a, theta_b : Network
        The parents that it was made of, aligned.
    x : array_like, shape (n, m)
        Examples, such as those aligned on; labels are not needed.
    t : float or sequence of float
        Crossover point of the child, or one for each of the population.
    output : bool
        Whether the logits' statistics are renewed too.
    closed_form : bool
        Whether the child's statistics are derived from the parents', and not measured.

    Returns
    -------
    Network
        A new one of the same architecture, the same number of networks.

    Raises
    ------
    ValueError
        If architectures or the number of t do not fit, or the examples are unusable.

    Notes
    -----
    Source: REPAIR, Jordan et al. 2023, Section 4 (it interpolates standard deviations, not
    variances); the closed form, Section 3. That is exact for the first layer; later ones see
    activations that are no mixture of the parents'. A neuron of the child that is constant on the
    batch is only shifted. Outside of [0, 1] a deviation that the line makes negative is 0. Cost:
    n m h a layer for each parent, and for the child where it is measured.

    Examples
    --------
    >>> a = Network([torch.tensor([[1.0]]), torch.ones(1, 1)], [torch.zeros(1)] * 2)
    >>> b = Network([torch.tensor([[-1.0]]), torch.ones(1, 1)], [torch.zeros(1)] * 2)
    >>> child = Network([torch.tensor([[0.1]]), torch.ones(1, 1)], [torch.zeros(1)] * 2)
    >>> repair(child, a, b, [[-1.0], [1.0]], 0.5).weights[0]
    tensor([[1.]])
    """
    for theta in (theta_a, theta_b):
        check_same_architecture(child, theta)
    output = checks.as_flag("output", output)
    closed_form = checks.as_flag("closed_form", closed_form)
    ts = np.atleast_1d(checks.as_array("t", t)).astype(float)
    children = [child[i] for i in range(child.batch_shape[0])] if child.batch_shape else [child]
    if ts.shape != (len(children),) or not np.all(np.isfinite(ts)):
        raise ValueError(
            f"expected one finite t for each of {len(children)} networks; found {checks.shown(t)}"
        )
    goals = [preactivation_statistics(theta, x) for theta in (theta_a, theta_b)]
    seen = _correlations(theta_a, theta_b, x) if closed_form else x
    renewed = _repaired_closed if closed_form else _repaired
    found = [
        renewed(one, *goals, seen, float(s), output) for one, s in zip(children, ts, strict=True)
    ]
    return stack(found) if child.batch_shape else found[0]


@torch.no_grad()
def preactivation_statistics(network: Network, x) -> list[tuple[torch.Tensor, torch.Tensor]]:
    """Return means and standard deviations of each layer before its ReLU, the logits last.

    Parameters
    ----------
    network : Network
        One network.
    x : array_like, shape (n, m)
        Examples.

    Returns
    -------
    list of (torch.Tensor, torch.Tensor), each of shape (p_d,), float64

    Examples
    --------
    >>> theta = Network([torch.tensor([[2.0]])], [torch.ones(1)])
    >>> preactivation_statistics(theta, [[-1.0], [1.0]])
    [(tensor([1.], dtype=torch.float64), tensor([2.], dtype=torch.float64))]
    """
    return [_moments(z) for z in _preactivations(network, x)]


def _preactivations(network: Network, x) -> Iterator[torch.Tensor]:
    h = network.inputs(x)
    for weight, bias in zip(network.weights, network.biases, strict=True):
        z = affine(h, weight, bias)
        h = z.relu()
        yield z


def _correlations(theta_a: Network, theta_b: Network, x) -> list[torch.Tensor]:
    """Return the correlation of each neuron of a, before its ReLU, with the same one of b."""
    layers = zip(_preactivations(theta_a, x), _preactivations(theta_b, x), strict=True)
    return [(standardised(za)[0] * standardised(zb)[0]).sum(0) for za, zb in layers]


def _between(goals_a, goals_b, t: float) -> list[tuple[torch.Tensor, torch.Tensor]]:
    """Return means and deviations between those of the parents."""
    return [
        ((1 - t) * mean_a + t * mean_b, ((1 - t) * deviation_a + t * deviation_b).clamp(min=0))
        for (mean_a, deviation_a), (mean_b, deviation_b) in zip(goals_a, goals_b, strict=True)
    ]


def _repaired(child: Network, goals_a, goals_b, x, t: float, output: bool) -> Network:
    goals = _between(goals_a, goals_b, t)
    return renew(child, goals if output else goals[:-1], x)


@torch.no_grad()
def renew(child: Network, goals, x) -> Network:
    """Return a network whose first layers have given statistics before the ReLU.

    Parameters
    ----------
    child : Network
        One network.
    goals : sequence of (torch.Tensor, torch.Tensor), each of shape (p_d,)
        Means and standard deviations, layer by layer from the first, as
        `preactivation_statistics` returns them; layers beyond the last goal stay.
    x : array_like, shape (n, m)
        Examples.

    Notes
    -----
    A neuron that is constant on the batch is only shifted.

    Examples
    --------
    >>> theta = Network([torch.tensor([[0.1]]), torch.ones(1, 1)], [torch.zeros(1)] * 2)
    >>> renew(theta, [(torch.zeros(1), torch.ones(1))], [[-1.0], [1.0]]).weights[0]
    tensor([[1.]])
    """
    weights, biases = list(child.weights), list(child.biases)
    h = child.inputs(x)
    for d, goal in enumerate(goals):
        z = affine(h, weights[d], biases[d])
        scale, shift = _rescaling(*_moments(z), *goal)
        weights[d] = (weights[d] * scale).to(child.dtype)
        biases[d] = (biases[d] * scale + shift).to(child.dtype)
        h = (z * scale + shift).to(child.dtype).relu_()
    return Network(weights, biases)


def _repaired_closed(
    child: Network, goals_a, goals_b, correlations, t: float, output: bool
) -> Network:
    weights, biases = list(child.weights), list(child.biases)
    for d, goal in enumerate(_between(goals_a, goals_b, t)[: child.depth + output]):
        (mean_a, deviation_a), (mean_b, deviation_b) = goals_a[d], goals_b[d]
        one, other = (1 - t) * deviation_a, t * deviation_b
        variance = one**2 + other**2 + 2 * correlations[d] * one * other
        mean, deviation = (1 - t) * mean_a + t * mean_b, variance.clamp(min=0).sqrt()
        scale, shift = _rescaling(mean, deviation, *goal)
        weights[d] = (weights[d] * scale).to(child.dtype)
        biases[d] = (biases[d] * scale + shift).to(child.dtype)
    return Network(weights, biases)


def _rescaling(mean, deviation, goal_mean, goal) -> tuple[torch.Tensor, torch.Tensor]:
    """Return what brings values of such a mean and deviation to another mean and deviation."""
    alive = deviation > 1e-6 * (mean.abs() + deviation)  # else rounding is all that varies
    scale = torch.where(alive, goal / deviation, 1.0)
    return scale, goal_mean - scale * mean


def _moments(z: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    z = z.double()
    return z.mean(0), z.std(0, correction=0)


@torch.no_grad()
def repaired_curve(
    theta_a: Network, theta_b: Network, batch, x, y, t=GRID, softmax: str = "example"
) -> Curve:
    """Return loss and accuracy of the repaired offspring of two aligned networks.

    Parameters
    ----------
    theta_a, theta_b : Network
        Aligned parents.
    batch : array_like, shape (n, m)
        Examples on which the offspring are repaired.
    x, y
        Examples and labels to measure on.
    t : float or sequence of float
        Crossover points.
    softmax : str
        As for `cross_entropy`.

    Raises
    ------
    ValueError
        If the data are unusable or a t is not finite.

    Examples
    --------
    >>> a = Network([torch.eye(2)] * 2, [torch.zeros(2)] * 2)
    >>> repaired_curve(a, a, torch.eye(2), torch.eye(2), [0, 1], t=[0, 0.5]).accuracy
    array([1., 1.])
    """
    ts = np.atleast_1d(checks.as_array("t", t)).astype(float)
    children = repair(interpolate(theta_a, theta_b, ts), theta_a, theta_b, batch, ts)
    found = []
    for i in range(len(ts)):
        logits = children[i](x)
        found.append((float(cross_entropy(logits, y, softmax)), float(accuracy(logits, y))))
    loss, share = np.array(found).T
    return Curve(ts, loss, share)


@torch.no_grad()
def ensemble_curve(
    theta_a: Network, theta_b: Network, x, y, *, t=GRID, softmax: str = "example"
) -> Curve:
    r"""Return loss and accuracy of the parents' mixed outputs: what one offspring may hope for.

    .. math:: z_t(x) = (1 - t)\, z_a(x) + t\, z_b(x)

    Parameters
    ----------
    theta_a, theta_b : Network
        With the same numbers of inputs and outputs.
    x, y
        Examples and labels.
    t : float or sequence of float
        Weights of b's logits.
    softmax : str
        As for `cross_entropy`.

    Returns
    -------
    Curve
        It takes two networks' work for each example; no alignment changes it.

    Raises
    ------
    ValueError
        If the outputs differ in number, or the data are unusable.

    Examples
    --------
    >>> a = Network([torch.eye(2)], [torch.zeros(2)])
    >>> ensemble_curve(a, a, torch.eye(2), [0, 1], t=[0, 1]).accuracy
    array([1., 1.])
    """
    za, zb = theta_a(x), theta_b(x)
    if za.shape != zb.shape:
        raise ValueError(
            f"expected networks with the same outputs; found {theta_a!r} and {theta_b!r}"
        )
    ts = np.atleast_1d(checks.as_array("t", t)).astype(float)
    logits = torch.stack([torch.lerp(za, zb, float(s)) for s in ts])
    return Curve(
        ts, cross_entropy(logits, y, softmax).cpu().numpy(), accuracy(logits, y).cpu().numpy()
    )
