"""Permuting networks by lists of neuron indices: Algorithm 2 (Section 4.3)."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch

from .. import checks
from ..networks.network import Network, check_same_architecture
from .maps import Linear, Merge, Selection
from .matching import Matching

__all__ = ["Alignment", "function_difference", "mix", "permute"]


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
    """How the neurons of two networks correspond, layer by layer.

    Parameters
    ----------
    operator : str
        Name of the operator that found it.
    matchings : sequence of Matching, Permutation, Selection, Linear or Merge
        One for each hidden layer: a pair of lists, or the map that moves b into a's frame, or
        those that move both. A permutation or selection is kept as lists; a `Linear` mixes
        neurons and has none.

    Raises
    ------
    ValueError, TypeError
        If they are neither maps nor pairs of lists.

    Examples
    --------
    >>> Alignment("by hand", [Matching(np.array([0, 1]), np.array([1, 0]))]).is_one_to_one
    True
    """

    operator: str
    matchings: tuple[Matching | Linear | Merge, ...]

    def __post_init__(self):
        matchings = checks.as_list("matchings", self.matchings)
        object.__setattr__(self, "matchings", tuple(_matching(one) for one in matchings))

    @property
    def lists_a(self) -> list[np.ndarray]:
        """Index lists of network a, one for each hidden layer."""
        return [_lists(m).la for m in self.matchings]

    @property
    def lists_b(self) -> list[np.ndarray]:
        """Index lists of network b, one for each hidden layer."""
        return [_lists(m).lb for m in self.matchings]

    @property
    def is_soft(self) -> bool:
        """Whether a layer's neurons are mixed by weights, so that there are no lists of them."""
        return any(isinstance(m, Linear | Merge) for m in self.matchings)

    @property
    def is_one_to_one(self) -> bool:
        """Whether no neuron is repeated or mixed: both permuted networks keep their functions."""
        if self.is_soft:
            return False
        lists = [*self.lists_a, *self.lists_b]
        return all(len(np.unique(order)) == len(order) for order in lists)

    def apply(self, theta_a: Network, theta_b: Network) -> tuple[Network, Network]:
        """Return both networks permuted by Algorithm 2, or as soft maps move b or both.

        Parameters
        ----------
        theta_a, theta_b : Network
            The parents, of one architecture; where maps are soft, hidden layers of b may have
            other widths.

        Raises
        ------
        ValueError
            If the architectures differ or do not fit the lists or maps.
        """
        if self.is_soft:
            maps = [_maps(matching) for matching in self.matchings]
            moved = mix(theta_b, [b for _, b in maps])
            if any(a for a, _ in maps):
                theta_a = mix(theta_a, [a or Linear.of(torch.eye(len(b.matrix))) for a, b in maps])
            check_same_architecture(theta_a, moved)
            return theta_a, moved
        check_same_architecture(theta_a, theta_b)
        return permute(theta_a, self.lists_a), permute(theta_b, self.lists_b)


def mix(network: Network, maps: Sequence[Linear]) -> Network:
    r"""Return the network with each hidden layer's neurons mixed by a linear map.

    .. math:: \tilde W^d = \tilde W^d M_d^\top, \quad \tilde b^d = M_d b^d, \quad
              \tilde W^{d+1} = B_d^\top W^{d+1}, \qquad d = 1, \dots, D

    with the maps' matrices :math:`M_d` and what goes back, :math:`B_d`.

    Parameters
    ----------
    network : Network
        One network, or a population of which each is mixed alike.
    maps : sequence of Linear
        One for each hidden layer; it may change the layer's width. Unless a map is a permutation
        (or scales neurons by positive factors), the result is another function: sums of neurons
        do not commute with the ReLU.

    Returns
    -------
    Network
        A new network.

    Raises
    ------
    ValueError
        If there is not one map for each hidden layer, or one is of another width.

    Examples
    --------
    >>> theta = Network([torch.tensor([[1.0, 2.0]]), torch.eye(2)], [torch.zeros(2)] * 2)
    >>> mix(theta, [Linear.of(torch.tensor([[0.0, 1.0], [1.0, 0.0]]))]).weights[0]
    tensor([[2., 1.]])
    """
    sizes = [how.size for how in checks.as_list("maps", maps)]
    if sizes != list(network.widths[1:-1]):
        raise ValueError(
            f"expected one map for each hidden layer of {network!r}; found maps of {sizes} neurons"
        )
    weights, biases = list(network.weights), list(network.biases)
    for d, how in enumerate(maps):
        # In float64: an inverse map takes apart what the map mixed.
        forward, back = (m.to(network.device, torch.float64).mT for m in (how.matrix, how.back))
        weights[d] = weights[d].double() @ forward
        biases[d] = biases[d].double() @ forward
        weights[d + 1] = back @ weights[d + 1].double()
    return Network([w.to(network.dtype) for w in weights], [b.to(network.dtype) for b in biases])


def _matching(found) -> Matching | Linear | Merge:
    if isinstance(found, Linear | Merge):
        return found
    if isinstance(found, Selection):
        return Matching(np.arange(found.size), found.order.numpy())
    return Matching(*found)


def _lists(found: Matching | Linear | Merge) -> Matching:
    if isinstance(found, Linear | Merge):
        raise ValueError("a soft map mixes neurons, so it has no lists of them; use apply")
    return found


def _maps(matching: Matching | Linear | Merge) -> tuple[Linear | None, Linear]:
    """Return the soft maps of a, None if it stays as it is, and of b."""
    if isinstance(matching, Merge):
        return matching.a, matching.b
    if isinstance(matching, Linear):
        return None, matching
    if len(np.unique(matching.la)) < len(matching.la):
        raise ValueError("an alignment with soft maps must leave a's neurons as they are")
    return None, Selection(torch.as_tensor(matching.lb[np.argsort(matching.la)])).linear()


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
