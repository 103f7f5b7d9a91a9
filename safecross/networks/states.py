"""A network as named tensors, and its groups of axes: what it shares with any other model."""

from collections.abc import Mapping

import torch

from .network import Network
from .spec import Axis, Group, Spec

__all__ = ["network_of", "spec_of_network", "state_of"]


def state_of(network: Network) -> dict[str, torch.Tensor]:
    """Return a network's tensors by name: ``weights.0``, ``biases.0``, ``weights.1``, ..."""
    return {
        f"{kind}.{d}": tensor
        for kind in ("weights", "biases")
        for d, tensor in enumerate(getattr(network, kind))
    }


def network_of(state: Mapping[str, torch.Tensor]) -> Network:
    """Return the network of such tensors."""
    depth = len(state) // 2
    return Network(
        *([state[f"{kind}.{d}"] for d in range(depth)] for kind in ("weights", "biases"))
    )


def spec_of_network(network: Network) -> Spec:
    """Return the groups of a `Network`: its hidden layers, whose structure is known.

    Parameters
    ----------
    network : Network
        One network, or a population.

    Examples
    --------
    >>> print(spec_of_network(Network([torch.eye(3)] * 2, [torch.zeros(3)] * 2)))
    Network: 1 groups that may be permuted, 3 axes move
      layer 1: 3 neurons, scaling maps too
        written by weights.0[-1], biases.0[-1]
        read by weights.1[-2]
    """
    groups = {
        f"layer {d}": Group(
            width,
            (
                Axis(f"weights.{d - 1}", -1, "out"),
                Axis(f"biases.{d - 1}", -1, "out"),
                Axis(f"weights.{d}", -2, "in"),
            ),
            "scaling",
        )
        for d, width in enumerate(network.widths[1:-1], start=1)
    }
    leading = len(network.batch_shape)
    shapes = {name: tuple(t.shape[leading:]) for name, t in state_of(network).items()}
    return Spec("Network", groups, shapes=shapes)
