"""Maps of neurons, and the move of a whole model that they make."""

import copy
from collections.abc import Mapping
from dataclasses import dataclass, field, replace

import torch
from torch import nn
from torch.utils._pytree import tree_leaves

from .. import checks
from ..network import Network
from .graph import arguments
from .spec import Axis, Spec

__all__ = [
    "Linear",
    "Move",
    "Permutation",
    "Scaling",
    "Selection",
    "assert_function_preserved",
    "fill",
    "indices_of",
    "move_axis",
    "move_state",
    "network_of",
    "relative_difference",
    "state_of",
]


@dataclass(frozen=True, eq=False)
class Selection:
    """Each place takes the neuron ``order[j]``; one may come twice and another be lost.

    Attributes
    ----------
    order : torch.Tensor of int64, shape (..., p)
        Indices from 0; leading dimensions hold one order for each model of a batch.
    """

    order: torch.Tensor

    def __post_init__(self):
        order = torch.as_tensor(self.order).cpu()
        if order.is_floating_point() or order.ndim < 1:
            raise ValueError(f"an order must hold whole numbers; found {order.dtype}")
        p = order.shape[-1]
        if order.numel() and not 0 <= int(order.min()) <= int(order.max()) < p:
            raise ValueError(
                f"an order of {p} neurons must hold indices in [0, {p}); "
                f"found {int(order.min())} to {int(order.max())}"
            )
        object.__setattr__(self, "order", order.long())

    @property
    def size(self) -> int:
        """Number of neurons."""
        return self.order.shape[-1]

    def inverse(self) -> "Selection":
        """Raise ValueError: what a selection lost does not come back."""
        raise ValueError("a selection repeats neurons and loses others, so it has no inverse")

    def after(self, first):
        """Return the map that does `first` and then this one."""
        if isinstance(first, Selection):
            both = isinstance(self, Permutation) and isinstance(first, Permutation)
            order = torch.take_along_dim(*torch.broadcast_tensors(first.order, self.order), -1)
            return (Permutation if both else Selection)(order)
        return self.linear().after(first)

    def linear(self, dtype=torch.float64) -> "Linear":
        """Return the same map as matrices."""
        matrix = torch.eye(self.size, dtype=dtype)[self.order]
        # An axis that reads takes the columns of the chosen neurons, as the paper's Algorithm 2.
        return Linear(matrix, matrix.mT)

    def apply(self, values: torch.Tensor, indices: torch.Tensor, reads: bool) -> torch.Tensor:
        """Return a tensor with its last dimension reordered.

        Parameters
        ----------
        values : torch.Tensor, shape (..., D)
            A tensor; for an order with leading dimensions it starts with the same.
        indices : torch.Tensor of int64, shape (r, p)
            Where the neurons lie in the last dimension, r times.
        reads : bool
            Whether the axis reads the neurons; a selection does the same there.
        """
        batch = self.order.shape[:-1]
        whole = torch.arange(values.shape[-1]).repeat(*batch, 1)
        whole[..., indices.flatten()] = indices[:, self.order].movedim(0, -2).flatten(-2)
        whole = whole.to(values.device)
        if not batch:
            return values.index_select(-1, whole)
        between = (1,) * (values.ndim - whole.ndim)
        return torch.take_along_dim(values, whole.view(*batch, *between, -1), -1)


@dataclass(frozen=True, eq=False)
class Permutation(Selection):
    """Each place takes the neuron ``order[j]``, each neuron once.

    Examples
    --------
    >>> Permutation(torch.tensor([2, 0, 1])).inverse().order
    tensor([1, 2, 0])
    """

    def __post_init__(self):
        super().__post_init__()
        if not torch.equal(
            self.order.sort(-1).values, torch.arange(self.size).expand_as(self.order)
        ):
            raise ValueError("a permutation must hold each neuron once; use a Selection")

    def __repr__(self) -> str:
        return f"Permutation({self.order.tolist()})"

    def inverse(self) -> "Permutation":
        """Return the permutation that undoes this one."""
        return Permutation(self.order.argsort(-1))


@dataclass(frozen=True, eq=False)
class Scaling:
    """Each neuron multiplied by a positive factor.

    Attributes
    ----------
    factors : torch.Tensor, shape (..., p)
        What writes is multiplied by them, what reads is divided.
    """

    factors: torch.Tensor

    @property
    def size(self) -> int:
        """Number of neurons."""
        return self.factors.shape[-1]

    def inverse(self) -> "Scaling":
        """Return the scaling that undoes this one."""
        return Scaling(1 / self.factors)

    def linear(self, dtype=torch.float64) -> "Linear":
        """Return the same map as matrices."""
        factors = self.factors.to(dtype)
        return Linear(factors.diag_embed(), (1 / factors).diag_embed())

    def after(self, first):
        """Return the map that does `first` and then this one."""
        if isinstance(first, Scaling):
            return Scaling(self.factors * first.factors)
        return self.linear().after(first)

    def apply(self, values: torch.Tensor, indices: torch.Tensor, reads: bool) -> torch.Tensor:
        """Return a tensor with the neurons of its last dimension scaled; see `Selection.apply`."""
        factors = (1 / self.factors if reads else self.factors).to(values)
        between = (1,) * (values.ndim - factors.ndim + 1)
        factors = factors.view(*factors.shape[:-1], *between, -1)
        indices = indices.to(values.device)
        result = values.clone()
        result[..., indices.flatten()] = (values[..., indices] * factors).flatten(-2)
        return result


@dataclass(frozen=True, eq=False)
class Linear:
    """New neurons that are weighted sums of the old ones.

    Attributes
    ----------
    matrix : torch.Tensor, shape (..., p, p)
        Row j holds the weights of the new neuron j.
    back : torch.Tensor, shape (..., p, p)
        What the axes that read are multiplied by: the inverse, or a pseudo-inverse.
    """

    matrix: torch.Tensor
    back: torch.Tensor

    @classmethod
    def of(cls, matrix) -> "Linear":
        """Return the map of a square matrix, its pseudo-inverse for what reads."""
        matrix = torch.as_tensor(matrix)
        return cls(matrix, torch.linalg.pinv(matrix))

    @property
    def size(self) -> int:
        """Number of neurons."""
        return self.matrix.shape[-1]

    def inverse(self) -> "Linear":
        """Return the map that undoes this one, as far as it can be undone."""
        return Linear(self.back, self.matrix)

    def after(self, first) -> "Linear":
        """Return the map that does `first` and then this one."""
        first = first if isinstance(first, Linear) else first.linear(self.matrix.dtype)
        return Linear(self.matrix @ first.matrix, first.back @ self.back)

    def apply(self, values: torch.Tensor, indices: torch.Tensor, reads: bool) -> torch.Tensor:
        """Return a tensor with the neurons of its last dimension mapped; see `Selection.apply`."""
        factor = (self.back if reads else self.matrix.mT).to(values)
        between = (1,) * (values.ndim - factor.ndim + 1)
        factor = factor.view(*factor.shape[:-2], *between, *factor.shape[-2:])
        indices = indices.to(values.device)
        result = values.clone()
        result[..., indices.flatten()] = (values[..., indices] @ factor).flatten(-2)
        return result


def indices_of(axis: Axis, size: int) -> torch.Tensor:
    """Return where an axis's neurons lie.

    Parameters
    ----------
    axis : Axis
        Of a group.
    size : int
        Number of the group's neurons p.

    Returns
    -------
    torch.Tensor of int64, shape (r, p)
        One row for each combination of the repeats.

    Examples
    --------
    >>> indices_of(Axis("weight", -1, "in", step=2, repeats=((2, 1),)), 3)
    tensor([[0, 2, 4],
            [1, 3, 5]])
    """
    offsets = torch.zeros(1, dtype=torch.int64)
    for count, step in axis.repeats:
        offsets = (offsets[:, None] + step * torch.arange(count)).flatten()
    return axis.start + offsets[:, None] + axis.step * torch.arange(size)


def move_axis(tensor: torch.Tensor, axis: Axis, how) -> torch.Tensor:
    """Return a tensor with the neurons of one of its axes mapped.

    Parameters
    ----------
    tensor : torch.Tensor
        That the axis names.
    axis : Axis
        Which dimension, and where its neurons lie.
    how : Permutation, Selection, Scaling or Linear
        The map.

    Raises
    ------
    ValueError
        If a map other than a permutation or selection meets an axis that cannot follow it.
    """
    if not isinstance(how, Selection):
        _check_linear(axis, how)
    values = tensor.movedim(axis.dim, -1)
    moved = how.apply(values, indices_of(axis, how.size), reads=axis.role == "in")
    # Strides are kept: a graph may view what a convolution makes of them.
    return torch.empty_like(tensor).copy_(moved.movedim(-1, axis.dim))


def _check_linear(axis: Axis, how: Linear) -> None:
    if axis.role == "buffer":
        raise ValueError(f"{axis} is a buffer; it can be permuted, but no linear map applies to it")
    how = how.linear() if isinstance(how, Scaling) else how
    if axis.role == "both" and not torch.allclose(how.matrix.mT, how.back, atol=1e-6):
        raise ValueError(f"{axis} writes and reads the neurons: only an orthogonal map keeps both")


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


def move_state(spec: Spec, maps: Mapping, state: Mapping) -> dict[str, torch.Tensor]:
    """Return the tensors of a state dict with the groups' axes mapped.

    Parameters
    ----------
    spec : Spec
        Its groups.
    maps : mapping of str to map
        By group.
    state : mapping of str to torch.Tensor
        At least the tensors that the mapped groups name.
    """
    moved = dict(state)
    for name, how in maps.items():
        for axis in spec.groups[name].axes:
            moved[axis.tensor] = move_axis(moved[axis.tensor], axis, how)
    return moved | {alias: moved[name] for alias, name in spec.aliases.items() if alias in moved}


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
