"""Two networks to align, and what methods ask of them, computed when it is first asked for."""

from collections.abc import Sequence
from functools import cached_property

import torch

from . import checks
from .cca import CCA, cca_of_pair
from .correlation import LayerPair
from .spec import Spec
from .states import spec_of_network, state_of

__all__ = ["Problem"]


class Problem:
    """Two models whose neurons are to be paired, layer by layer.

    Parameters
    ----------
    theta_a, theta_b : Network, or objects with ``widths``, ``biases`` and ``state``
        The models.
    pairs : sequence of LayerPair, optional
        Statistics of the hidden layers; methods that compare activations need them.
    spec : Spec, optional
        Groups of the models, in the order of the pairs; by default a network's hidden layers.

    Examples
    --------
    >>> from safecross import initialise
    >>> problem = Problem(initialise([4, 3, 2], 0), initialise([4, 5, 2], 1))
    >>> problem.widths_a, problem.widths_b
    ((3,), (5,))
    """

    def __init__(self, theta_a, theta_b, pairs: Sequence[LayerPair] | None = None, spec=None):
        self.theta_a, self.theta_b, self._pairs, self._spec = theta_a, theta_b, pairs, spec

    @property
    def widths_a(self) -> tuple[int, ...]:
        """Widths of a's hidden layers."""
        return tuple(self.theta_a.widths[1:-1])

    @property
    def widths_b(self) -> tuple[int, ...]:
        """Widths of b's hidden layers."""
        return tuple(self.theta_b.widths[1:-1])

    @property
    def pairs(self) -> Sequence[LayerPair]:
        """Statistics of each hidden layer of both.

        Raises
        ------
        ValueError
            If there are none.
        """
        if self._pairs is None:
            raise ValueError("this method compares activations: give examples x to align on")
        return self._pairs

    def ccas(self, directions=None, **options) -> list[tuple[LayerPair, CCA]]:
        """Return each hidden layer's pair with its `cca_of_pair`.

        Parameters
        ----------
        directions : int or float, optional
            As for `cca`, but layers may differ in width: a narrow one keeps all that it has.
        **options
            Of `cca`.

        Raises
        ------
        ValueError
            If there are more directions than neurons in the widest hidden layer.
        """
        counted = directions is not None and not isinstance(directions, float)
        if counted:
            widest = max(self.widths_a + self.widths_b, default=1)
            checks.whole_number("directions", directions, 1, widest)
        return [
            (pair, cca_of_pair(pair, directions=kept, **options))
            for pair in self.pairs
            for kept in [min(directions, *pair.sizes) if counted else directions]
        ]

    @cached_property
    def spec(self) -> Spec:
        """Groups of the models, one for each hidden layer."""
        return self._spec or spec_of_network(self.theta_a)

    @cached_property
    def state_a(self) -> dict[str, torch.Tensor]:
        """Tensors of a by name."""
        return _state(self.theta_a)

    @cached_property
    def state_b(self) -> dict[str, torch.Tensor]:
        """Tensors of b by name."""
        return _state(self.theta_b)


def _state(theta) -> dict[str, torch.Tensor]:
    return theta.state if hasattr(theta, "state") else state_of(theta)
