"""Maps of neurons: what happens to the axes that write them, and to those that read them."""

from collections.abc import Mapping
from dataclasses import dataclass

import torch

from ..networks.spec import Axis, Spec

__all__ = [
    "Linear",
    "Merge",
    "Permutation",
    "Scaling",
    "Selection",
    "indices_of",
    "move_axis",
    "move_state",
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
    matrix : torch.Tensor, shape (..., p, q)
        Row j holds the weights of the new neuron j.
    back : torch.Tensor, shape (..., q, p)
        What the axes that read are multiplied by: the inverse, or a pseudo-inverse.
    """

    matrix: torch.Tensor
    back: torch.Tensor

    @classmethod
    def of(cls, matrix) -> "Linear":
        """Return the map of a matrix, its pseudo-inverse for what reads."""
        matrix = torch.as_tensor(matrix)
        return cls(matrix, torch.linalg.pinv(matrix))

    @property
    def size(self) -> int:
        """Number of neurons q that it takes."""
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
        indices = indices.to(values.device)
        parts = values[..., indices]
        # All that one model has becomes the rows of one product, which is much the fastest.
        rows = parts.reshape(*factor.shape[:-2], -1, parts.shape[-1])
        result = values.clone()
        result[..., indices.flatten()] = (rows @ factor).reshape(parts.shape).flatten(-2)
        return result


@dataclass(frozen=True)
class Merge:
    """Maps of both networks into a frame that is neither's.

    Attributes
    ----------
    a, b : Linear
        The map of each; they make equal numbers of neurons.
    """

    a: Linear
    b: Linear


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
        If a map other than a permutation or selection meets an axis that cannot follow it, such
        as a buffer that is no running statistic of a batch norm.
    """
    if not isinstance(how, Selection):
        how = _linear_of(axis, how)
    values = tensor.movedim(axis.dim, -1)
    moved = how.apply(values, indices_of(axis, how.size), reads=axis.role == "in")
    # Strides are kept: a graph may view what a convolution makes of them.
    return torch.empty_like(tensor).copy_(moved.movedim(-1, axis.dim))


def _linear_of(axis: Axis, how: "Linear | Scaling") -> "Linear | Scaling":
    """Return the map as it acts on an axis, or raise ValueError if the axis cannot follow it.

    The running mean of mixed neurons is the mixture of their means. Their variance is that of the
    mixture only if they are uncorrelated: estimate it anew before the model is used.
    """
    name = axis.tensor.rpartition(".")[2]
    if axis.role == "buffer" and name not in ("running_mean", "running_var"):
        raise ValueError(
            f"{axis} is a buffer that no linear map applies to; align with a method that permutes, "
            "such as sc-pwc"
        )
    linear = how.linear() if isinstance(how, Scaling) else how
    if axis.role == "both" and not torch.allclose(linear.matrix.mT, linear.back, atol=1e-6):
        raise ValueError(f"{axis} writes and reads the neurons: only an orthogonal map keeps both")
    return Linear(linear.matrix**2, linear.back) if name == "running_var" else how


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
