"""Two networks to align, and what methods ask of them, computed when it is first asked for."""

from collections.abc import Mapping, Sequence
from functools import cached_property

import torch
from torch.nn import functional as F

from .. import checks
from ..networks.spec import Spec
from ..networks.states import network_of, spec_of_network, state_of
from .cca import CCA, cca_of_pair
from .correlation import LayerPair

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
    x : array_like or tuple of torch.Tensor, optional
        Examples, one for each input of the models; methods that follow gradients need them.
    y : array_like of int, shape (n,), optional
        Their labels.

    Examples
    --------
    >>> from safecross import initialise
    >>> problem = Problem(initialise([4, 3, 2], 0), initialise([4, 5, 2], 1))
    >>> problem.widths_a, problem.widths_b
    ((3,), (5,))
    """

    def __init__(
        self, theta_a, theta_b, pairs: Sequence[LayerPair] | None = None, spec=None, x=None, y=None
    ):
        self.theta_a, self.theta_b, self._pairs, self._spec = theta_a, theta_b, pairs, spec
        self._x, self._y = x, y

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
            raise ValueError(
                "this method compares activations: give examples x to align on; found None"
            )
        return self._pairs

    @cached_property
    def labelled(self) -> tuple[tuple[torch.Tensor, ...], torch.Tensor]:
        """The examples, one tensor for each input, and their labels.

        Raises
        ------
        ValueError
            If there are no examples or no labels, or they do not fit one another.
        """
        if self._x is None or self._y is None:
            missing = "examples x and labels y" if self._x is None else "labels y"
            raise ValueError(
                f"this method lowers the loss of labelled examples; {missing} are missing: give "
                "both, as in align(theta_a, theta_b, x, operator, y=labels)"
            )
        x = self._x if isinstance(self._x, tuple) else (self._x,)
        if hasattr(self.theta_a, "inputs"):
            x = tuple(self.theta_a.inputs(part) for part in x)
        if not all(isinstance(part, torch.Tensor) for part in x):
            raise ValueError(
                "this method draws examples by their labels: give x as a tensor, or a tuple with "
                f"one for each input; found {checks.shown(self._x)}"
            )
        n_classes = self._logits(self.state_a, *(part[:2] for part in x)).shape[-1]
        return x, checks.as_labels(self._y, len(x[0]), n_classes).to(x[0].device)

    def between(self, moved: Mapping[str, torch.Tensor], t: float = 0.5) -> dict[str, torch.Tensor]:
        """Return the tensors of the offspring of a and b, some of b's moved.

        Parameters
        ----------
        moved : mapping of str to torch.Tensor
            What takes the place of b's own tensors.
        t : float
            Crossover point; whole numbers stay a's.
        """
        b = {**self.state_b, **moved}
        return {
            name: torch.lerp(a, b[name].to(a), t) if a.is_floating_point() else a
            for name, a in self.state_a.items()
        }

    def loss(self, state: Mapping[str, torch.Tensor], at=slice(None)) -> torch.Tensor:
        """Return the mean cross-entropy of a model with such tensors, through which gradients pass.

        Parameters
        ----------
        state : mapping of str to torch.Tensor
            All tensors of the model by name.
        at : slice or torch.Tensor of int64
            Which of the labelled examples.
        """
        x, y = self.labelled
        return F.cross_entropy(self._logits(state, *(part[at] for part in x)), y[at])

    def _logits(self, state: Mapping[str, torch.Tensor], *x) -> torch.Tensor:
        if hasattr(self.theta_a, "logits"):
            return self.theta_a.logits(state, *x)
        return network_of(state)(*x)

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
