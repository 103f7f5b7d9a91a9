"""The move of a whole model into another's frame, and the proof that its function is kept."""

import copy
from collections.abc import Mapping
from dataclasses import dataclass, field, replace

import torch
from torch import nn
from torch.utils._pytree import tree_leaves

from .. import checks
from ..alignment.maps import Permutation, move_state
from ..networks.network import Network
from ..networks.spec import Spec
from ..networks.states import network_of, state_of
from .graph import arguments

__all__ = [
    "Move",
    "assert_function_preserved",
    "fill",
    "relative_difference",
]


@dataclass(frozen=True, eq=False)
class Move:
    """Moves a model into another's frame: a map for each group of its axes.

    Attributes
    ----------
    spec : Spec
        Of the model.
    maps : dict of str to Permutation, Selection, Scaling or Linear
        By group; groups that are not named stay as they are.
    reference : Move or None
        What the other model must go through as well. Only semi-matchings in which the neurons
        of the moved model choose need it.

    Examples
    --------
    >>> from safecross.modules import trace
    >>> model = nn.Sequential(nn.Linear(2, 3), nn.ReLU(), nn.Linear(3, 1))
    >>> move = Move(trace(model, torch.zeros(2, 2)), {"0": Permutation([2, 0, 1])})
    >>> moved = move(model)
    >>> bool((moved[0].bias == model[0].bias[[2, 0, 1]]).all())
    True
    >>> torch.equal(move.inverse()(moved)[2].weight, model[2].weight)
    True
    """

    spec: Spec
    maps: dict
    reference: "Move | None" = field(default=None, repr=False)

    def __post_init__(self):
        for name, how in self.maps.items():
            if name not in self.spec.groups:
                raise ValueError(checks.unknown("group", name, self.spec.groups))
            if how.size != self.spec.groups[name].size:
                raise ValueError(
                    f"the map of group {name!r} must be of {self.spec.groups[name].size} neurons; "
                    f"found {how.size}"
                )

    def __call__(self, model):
        """Return a moved copy.

        Parameters
        ----------
        model : torch.nn.Module, mapping of str to torch.Tensor, or Network
            A model of the spec's structure, its state dict, or a batch of state dicts (each
            tensor with the same leading dimensions).

        Raises
        ------
        TypeError
            If it is none of these.
        ValueError
            If its tensors are not those of the spec.
        """
        if isinstance(model, nn.Module):
            moved = copy.deepcopy(model)
            return fill(moved, self(model.state_dict()))
        if isinstance(model, Network):
            return network_of(self(state_of(model)))
        if not isinstance(model, Mapping):
            raise TypeError(
                "expected a torch.nn.Module, a state dict or a Network; "
                f"found {type(model).__name__}"
            )
        self.spec.check(model)
        return move_state(self.spec, self.maps, model)

    def __matmul__(self, first: "Move") -> "Move":
        """Return the move that does `first` and then this one."""
        if self.spec.groups != first.spec.groups:
            raise ValueError(
                f"moves of one spec can be composed; found one of {self.spec.model} and one of "
                f"{first.spec.model}, whose groups differ"
            )
        maps = {**first.maps, **self.maps}
        for name in first.maps.keys() & self.maps.keys():
            maps[name] = self.maps[name].after(first.maps[name])
        return replace(self, maps=maps)

    def inverse(self) -> "Move":
        """Return the move back.

        Raises
        ------
        ValueError
            If a map is a selection that loses neurons.
        """
        return replace(self, maps={name: how.inverse() for name, how in self.maps.items()})

    @property
    def keeps_function(self) -> bool:
        """Whether every map is a permutation, so that no model's function changes."""
        return all(isinstance(how, Permutation) for how in self.maps.values()) and (
            self.reference is None or self.reference.keeps_function
        )


@torch.no_grad()
def fill(model: nn.Module, state: Mapping[str, torch.Tensor]) -> nn.Module:
    """Copy the tensors of a state dict into a module of the same structure, and return it."""
    # Some modules refuse to load a dict that lacks the version that state_dict attaches.
    for name, tensor in model.state_dict().items():
        tensor.copy_(state[name])
    return model


def relative_difference(outputs, others) -> float:
    r"""Return the largest relative difference between outputs of two models.

    .. math:: \max_k \frac{\max |y_k - y'_k|}{\max |y_k|}

    Parameters
    ----------
    outputs, others : sequence of torch.Tensor
        Outputs k of each, of equal shapes.

    Returns
    -------
    float
        Infinite if an output of one is not finite.

    Examples
    --------
    >>> relative_difference([torch.tensor([2.0, 4.0])], [torch.tensor([2.0, 3.0])])
    0.25
    """
    worst = 0.0
    for a, b in zip(outputs, others, strict=True):
        if not a.numel():
            continue
        difference = float((a.double() - b.double()).abs().max())
        scale = float(a.double().abs().max())
        relative = difference / scale if scale else float(difference > 0)
        worst = max(worst, relative if relative == relative else float("inf"))
    return worst


def assert_function_preserved(model, moved, images, tolerance: float = 1e-9) -> float:
    """Assert that two models give the same outputs, in float64 and evaluation mode.

    Parameters
    ----------
    model, moved : torch.nn.Module or Network
        A model, and what a move made of it.
    images : torch.Tensor or tuple
        A batch of inputs.
    tolerance : float
        Largest relative difference that passes.

    Returns
    -------
    float
        The largest relative difference; see `relative_difference`.

    Raises
    ------
    AssertionError
        If it exceeds the tolerance.

    Examples
    --------
    >>> model = nn.Linear(2, 2)
    >>> assert_function_preserved(model, copy.deepcopy(model), torch.ones(1, 2))
    0.0
    """
    found = relative_difference(*(_outputs(m, images) for m in (model, moved)))
    if not found <= tolerance:
        raise AssertionError(
            f"expected the same function up to {tolerance:.0e}; outputs differ by {found:.2e} "
            "of their largest value"
        )
    return found


@torch.no_grad()
def _outputs(model, images) -> list[torch.Tensor]:
    inputs = tuple(
        x.double() if isinstance(x, torch.Tensor) and x.is_floating_point() else x
        for x in arguments(images)
    )
    if isinstance(model, Network):
        return [model.to(dtype=torch.float64)(*inputs)]
    found = copy.deepcopy(model).double().eval()(*inputs)
    return [x for x in tree_leaves(found) if isinstance(x, torch.Tensor)]
