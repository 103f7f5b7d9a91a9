"""Permuting networks by lists of neuron indices: Algorithm 2 (Section 4.3)."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch

from . import checks
from .matching import Matching
from .network import Network, check_same_architecture

__all__ = ["Alignment", "function_difference", "permute"]


def permute(network: Network, lists: Sequence) -> Network:
    r"""Return the network with the neurons of each hidden layer reordered (Algorithm 2).

    .. math:: \tilde W^d = \tilde W^d[:, l^d], \quad \tilde b^d = b^d[l^d], \quad
              \tilde W^{d+1} = W^{d+1}[l^d, :], \qquad d = 1, \dots, D

    Parameters
    ----------
    network : Network
        One network, or a population of which each is reordered alike.
    lists : sequence of array_like of int, each of shape (p_d,)
        For each hidden layer the neuron that comes to each place, from 0. If each list is a
        permutation, the result is the same function; a list that repeats a neuron (as a
        semi-matching's may) gives another.

    Returns
    -------
    Network
        A new network of the same widths.

    Raises
    ------
    ValueError
        If there is not one list for each hidden layer, or one has the wrong length or an index
        out of range.

    Notes
    -----
    Source: Algorithm 2, Section 4.3. Its line 7 reorders the rows of :math:`W_b` by
    :math:`l_a`; that must be :math:`l_b`, or the network would become another function (tested).

    Examples
    --------
    >>> theta = Network([torch.tensor([[1.0, 2.0]]), torch.eye(2)], [torch.zeros(2)] * 2)
    >>> permute(theta, [[1, 0]]).weights
    (tensor([[2., 1.]]), tensor([[0., 1.],
            [1., 0.]]))
    """
    lists = _checked_lists(network, lists)
    weights, biases = list(network.weights), list(network.biases)
    for d, order in enumerate(lists):
        weights[d] = weights[d][..., :, order]
        biases[d] = biases[d][..., order]
        weights[d + 1] = weights[d + 1][..., order, :]
    return Network(weights, biases)


@torch.no_grad()
def function_difference(network: Network, other: Network, x) -> float:
    r"""Return the largest difference between the logits of two networks on a batch.

    .. math:: \max_{ij} |z_{ij} - z'_{ij}|

    Parameters
    ----------
    network, other : Network
        With the same numbers of inputs and outputs.
    x : array_like, shape (n, m)
        Examples.

    Returns
    -------
    float
        0 up to rounding if `other` is `network` permuted.

    Raises
    ------
    ValueError
        If the examples do not fit the networks, or their numbers of outputs or of networks differ.

    Examples
    --------
    >>> theta = Network([torch.tensor([[1.0, 2.0]]), torch.eye(2)], [torch.zeros(2)] * 2)
    >>> function_difference(theta, permute(theta, [[1, 0]]), [[3.0]])
    0.0
    >>> function_difference(theta, permute(theta, [[1, 1]]), [[3.0]])
    6.0
    """
    for theta in (network, other):
        if not isinstance(theta, Network):
            raise TypeError(f"expected a Network; found {checks.shown(theta)}")
    z, z_other = network(x), other(x)
    if z.shape != z_other.shape:  # which would be broadcast
        raise ValueError(
            "expected networks with the same outputs, or populations of one size; found "
            f"{network!r} and {other!r}"
        )
    return float((z - z_other.to(z.device)).abs().max())


@dataclass(frozen=True, eq=False)
class Alignment:
    """How the neurons of two networks are paired, layer by layer.

    Parameters
    ----------
    operator : str
        Name of the operator that found it.
    matchings : sequence of Matching
        One for each hidden layer.

    Raises
    ------
    ValueError, TypeError
        If they are no list of pairs of lists.

    Examples
    --------
    >>> Alignment("by hand", [Matching(np.array([0, 1]), np.array([1, 0]))]).is_one_to_one
    True
    """

    operator: str
    matchings: tuple[Matching, ...]

    def __post_init__(self):
        matchings = checks.as_list("matchings", self.matchings)
        object.__setattr__(self, "matchings", tuple(Matching(*pairs) for pairs in matchings))

    @property
    def lists_a(self) -> list[np.ndarray]:
        """Index lists of network a, one for each hidden layer."""
        return [m.la for m in self.matchings]

    @property
    def lists_b(self) -> list[np.ndarray]:
        """Index lists of network b, one for each hidden layer."""
        return [m.lb for m in self.matchings]

    @property
    def is_one_to_one(self) -> bool:
        """Whether no neuron is repeated, so that both permuted networks keep their functions."""
        lists = [*self.lists_a, *self.lists_b]
        return all(len(np.unique(order)) == len(order) for order in lists)

    def apply(self, theta_a: Network, theta_b: Network) -> tuple[Network, Network]:
        """Return both networks permuted by Algorithm 2.

        Parameters
        ----------
        theta_a, theta_b : Network
            The parents, of one architecture.

        Raises
        ------
        ValueError
            If the architectures differ or do not fit the lists.
        """
        check_same_architecture(theta_a, theta_b)
        return permute(theta_a, self.lists_a), permute(theta_b, self.lists_b)


def _checked_lists(network: Network, lists: Sequence) -> list[torch.Tensor]:
    if not isinstance(network, Network):
        raise TypeError(f"expected a Network; found {checks.shown(network)}")
    lists = checks.as_list("lists", lists)
    if len(lists) != network.depth:
        raise ValueError(
            f"expected {network.depth} lists, one for each hidden layer; found {len(lists)}"
        )
    checked = []
    for d, (order, p) in enumerate(zip(lists, network.widths[1:-1], strict=True), start=1):
        order = checks.as_array(f"the list of hidden layer {d}", order)
        whole = order.shape == (p,) and order.dtype.kind in "iu"
        if not whole or order.min() < 0 or order.max() >= p:
            span = f" from {order.min()} to {order.max()}" if order.size else ""
            raise ValueError(
                f"the list of hidden layer {d} must hold {p} indices in [0, {p}); found "
                f"{order.dtype} of shape {order.shape}{span}"
            )
        checked.append(torch.as_tensor(order.astype(np.int64), device=network.device))
    return checked
