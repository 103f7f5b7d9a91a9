"""Hidden layers as matrices of activations (Section 3.1)."""

import torch

from .. import checks
from ..networks.network import Network

__all__ = ["activations"]


@torch.no_grad()
def activations(network: Network, x) -> list[torch.Tensor]:
    r"""Return the matrix L of every hidden layer for a batch of examples.

    .. math:: L^d_{ij} = g_j(x_i), \qquad L^d \in \mathbb{R}^{n \times p_d}

    where :math:`g_j` is the response of neuron j: a neuron *is* its column, the vector of its
    activation values on the batch.

    Parameters
    ----------
    network : Network
        One network, or a population.
    x : array_like, shape (n, m)
        The fixed batch of n examples.

    Returns
    -------
    list of torch.Tensor, each of shape (..., n, p_d)
        One matrix for each of the D hidden layers, after the ReLU, hence non-negative.

    Raises
    ------
    ValueError
        If the batch is empty, not finite, or has the wrong number of columns.
    TypeError
        If `network` is no `Network`.

    Notes
    -----
    Source: Section 3.1.

    Examples
    --------
    >>> from safecross import Network
    >>> theta = Network([torch.tensor([[1.0, -1.0]]), torch.eye(2)], [torch.zeros(2)] * 2)
    >>> activations(theta, [[2.0], [-3.0]])
    [tensor([[2., 0.],
            [0., 3.]])]
    """
    if not isinstance(network, Network):
        raise TypeError(f"expected a Network; found {checks.shown(network)}")
    return network.layers(x)[:-1]
