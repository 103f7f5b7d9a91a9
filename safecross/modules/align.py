"""Aligning two modules by how their neurons respond to the same inputs."""

import copy
from collections.abc import Mapping
from functools import cached_property

import numpy as np
import torch
from torch import nn
from torch.func import functional_call
from torch.nn.modules.batchnorm import _BatchNorm

from ..alignment.correlation import LayerPair
from ..alignment.maps import (
    Linear,
    Merge,
    Permutation,
    Selection,
    indices_of,
)
from ..alignment.matching import Matching
from ..alignment.operators import as_method, match_layers
from ..alignment.registry import Method
from ..networks.spec import Axis, Spec
from .batches import batches
from .graph import Graph, read_graph, run_graph
from .maps import Move
from .moments import Moments, StreamedPair
from .trace import Walk, check_finite, tied

__all__ = ["align", "align_groups", "group_pairs"]


def align(
    model_b: nn.Module,
    to: nn.Module,
    x,
    spec: Spec,
    operator: str | Method = "sc-pwc",
    *,
    y=None,
    progress: bool = False,
    **options,
) -> Move:
    """Return the move of one model into another's frame.

    Parameters
    ----------
    model_b : torch.nn.Module
        The model that will be moved; left as it is.
    to : torch.nn.Module
        The model whose order of neurons is wanted.
    x : torch.Tensor, tuple of torch.Tensor or iterable
        Examples, as for `batches`: neurons are compared by how they respond to them. Channels are
        neurons, positions are examples. None where the method needs weights only.
    spec : Spec
        As `trace` returns it of either model.
    operator : str or Method
        A name in `safecross.METHODS`, or one of its dataclasses.
    y : array_like of int, shape (n,), optional
        Labels of the examples, which are then tensors: methods that need gradients of the loss
        ask for them. Batch norms then use the statistics of the batch.
    progress : bool
        Whether a bar shows how many batches are done.
    **options
        The operator's options.

    Returns
    -------
    Move
        A permutation for each group; a selection from a semi-matching, a linear map from a soft
        method.

    Raises
    ------
    TypeError
        If a model is no module, or `x` no examples.
    ValueError
        If the operator or an option is unknown, the models are of different structure, the spec
        is of another model, a weight is not finite, the examples are unusable, or labels are
        asked for and not given.

    Notes
    -----
    Source: Section 4; convolutions are its future work.

    Examples
    --------
    >>> from safecross.modules import trace
    >>> model = nn.Sequential(nn.Linear(2, 3), nn.ReLU(), nn.Linear(3, 1))
    >>> _ = model[0].weight.data.copy_(torch.tensor([[1.0, 0.0], [0.0, 1.0], [1.0, -1.0]]))
    >>> _ = model[0].bias.data.fill_(0.0)
    >>> x = torch.tensor([[0.1, 0.9], [0.8, 0.2], [0.5, 0.7], [0.9, 0.1], [0.3, 0.3]])
    >>> spec = trace(model, x)
    >>> align(Move(spec, {"0": Permutation([2, 0, 1])})(model), to=model, x=x, spec=spec).maps["0"]
    Permutation([1, 2, 0])
    """
    method = as_method(operator, **options)
    if x is None:
        _check_models(to, model_b, spec)
        return align_groups(model_b, to, None, spec, method)
    pairs = group_pairs(to, model_b, x, spec, progress=progress)
    return align_groups(model_b, to, pairs, spec, method, x=x, y=y)


def align_groups(
    model_b: nn.Module,
    to: nn.Module,
    pairs: Mapping[str, LayerPair] | None,
    spec: Spec,
    operator: str | Method = "sc-pwc",
    *,
    x=None,
    y=None,
    **options,
) -> Move:
    """Return `align` from statistics at hand, which several operators share.

    Parameters
    ----------
    model_b, to, spec, operator, x, y, **options
        As for `align`; examples themselves are for methods that need gradients of the loss only.
    pairs : mapping of str to LayerPair, or None
        As `group_pairs` returns them of `to` and `model_b`; methods that need weights only do
        without.

    Raises
    ------
    ValueError
        If the operator or an option is unknown.
    """
    layers = (_Layers(model, spec) for model in (to, model_b))
    seen = None if pairs is None else list(pairs.values())
    found = match_layers(*layers, seen, operator, spec=spec, x=x, y=y, **options)
    moves = [_maps(m) for m in found.matchings]
    maps = {name: b for name, (_, b) in zip(spec.groups, moves, strict=True)}
    changed = {name: a for name, (a, _) in zip(spec.groups, moves, strict=True) if a is not None}
    return Move(spec, maps, Move(spec, changed) if changed else None)


def _maps(matching: Matching | Linear | Merge) -> tuple:
    """Return the map of a (None if it stays as it is) and of b."""
    if isinstance(matching, Merge):
        return matching.a, matching.b
    if isinstance(matching, Linear):
        return None, matching
    la, lb = (np.asarray(side) for side in matching)
    if len(np.unique(la)) < len(la):  # each of b chose: a is changed, in the order of b
        return Selection(torch.as_tensor(la[np.argsort(lb)])), Permutation(torch.arange(len(lb)))
    order = torch.as_tensor(lb[np.argsort(la)])
    return None, (Permutation if len(np.unique(lb)) == len(lb) else Selection)(order)


class _Layers:
    """What operators ask of the networks themselves: widths, biases, tensors and logits."""

    def __init__(self, model: nn.Module, spec: Spec):
        self.state, self.spec, self.model = model.state_dict(), spec, model
        # Inputs and outputs are no groups; their widths are asked for by nobody.
        self.widths = (1, *(group.size for group in spec.groups.values()), 1)

    @property
    def biases(self) -> list[torch.Tensor]:
        return [self._bias(name) for name in self.spec.groups] + [torch.zeros(1)]

    def logits(self, state: Mapping[str, torch.Tensor], *x) -> torch.Tensor:
        """Return the model's outputs with other tensors; batch norms see this batch only."""
        # Norms in training change their buffers in place: those of a copy, not of the state.
        weights = {name: state[name] for name, _ in self._copy.named_parameters()}
        return functional_call(self._copy, weights, x)

    @cached_property
    def _copy(self) -> nn.Module:
        model = copy.deepcopy(self.model).eval()
        for norm in (m for m in model.modules() if isinstance(m, _BatchNorm)):
            norm.train()
        return model

    def _bias(self, name: str) -> torch.Tensor:
        group = self.spec.groups[name]
        for axis in group.axes:
            whole = self.spec.shapes[axis.tensor] == (group.size,)
            if whole and axis.role == "out" and axis.tensor.endswith("bias"):
                return self.state[axis.tensor]
        raise ValueError(f"bias-sort needs a bias in each group; found none in {name!r}")


def group_pairs(
    model_a: nn.Module, model_b: nn.Module, x, spec: Spec, *, progress: bool = False
) -> dict[str, LayerPair]:
    """Return the statistics of both models' neurons on the same examples, group by group.

    A group is seen where its last reader reads it: after nonlinearity and norm.

    Parameters
    ----------
    model_a, model_b : torch.nn.Module
        Of one structure.
    x, spec, progress
        As for `align`.

    Returns
    -------
    dict of str to LayerPair
        By group; activations of one batch at a time are held, statistics in float64.

    Raises
    ------
    ValueError
        As `align`.
    """
    _check_models(model_a, model_b, spec)
    readers: dict[tuple, _Reader] = {}
    moments = {name: Moments() for name in spec.groups}
    inputs = spec.inputs
    for batch in batches(x, inputs, progress=progress):
        shapes = tuple(tuple(part.shape) for part in batch)
        if shapes not in readers:
            readers[shapes] = _Reader(model_a, model_b, batch, spec)
        readers[shapes].add(batch, moments)
    return {name: StreamedPair(m) for name, m in moments.items()}


def _check_models(model_a: nn.Module, model_b: nn.Module, spec: Spec) -> None:
    for name, model in (("model a", model_a), ("model b", model_b)):
        if not isinstance(model, nn.Module):
            raise TypeError(f"{name} must be a torch.nn.Module; found {type(model).__name__}")
        spec.check(model.state_dict(), name)
        check_finite(model, name)


class _Reader:
    """Reads the activations of both models, for batches of one shape."""

    def __init__(self, model_a: nn.Module, model_b: nn.Module, batch: tuple, spec: Spec):
        self.graphs = [read_graph(model, batch) for model in (model_a, model_b)]
        _check_same_graph(*self.graphs)
        self.states = [graph.state() for graph in self.graphs]
        walk = Walk(self.graphs[0], tied(model_a))
        seen = walk.probes()
        leaves = {frozenset(map(_place, axes)): leaf for leaf, axes in walk.groups()}
        self.wanted: dict[str, list] = {}
        for name, group in spec.groups.items():
            leaf = leaves.get(frozenset(map(_place, group.axes)))
            if leaf is None:
                raise ValueError(
                    f"the spec of {spec.model} is of another model than "
                    f"{type(model_a).__name__}: the axes of its group {name!r} do not move "
                    "together here; trace this model"
                )
            node, position, place = seen[leaf]
            indices = indices_of(Axis("", position, "out", *place[1:]), group.size)
            self.wanted.setdefault(node, []).append((name, position, indices))

    def add(self, batch: tuple, moments: Mapping[str, Moments]) -> None:
        """Add what a batch shows to the moments of each group."""
        held: dict[str, torch.Tensor] = {}

        def keep(node: str, result) -> None:
            for name, position, indices in self.wanted.get(node, ()):
                held[name] = _neurons(result, position, indices)

        def compare(node: str, result) -> None:
            for name, position, indices in self.wanted.get(node, ()):
                moments[name].add(held.pop(name), _neurons(result, position, indices))

        for graph, state, watch in zip(self.graphs, self.states, (keep, compare), strict=True):
            run_graph(graph, state, batch, watch)


def _place(axis: Axis) -> tuple:
    return axis.tensor, axis.dim, axis.start, axis.step, axis.repeats


def _neurons(result, position: int, indices: torch.Tensor) -> torch.Tensor:
    """Return the activations of a group, shape (examples, neurons)."""
    values = result[0] if isinstance(result, (tuple, list)) else result
    values = values.movedim(position, -1)[..., indices.to(values.device)]
    return values.reshape(-1, indices.shape[1])


def _check_same_graph(a: Graph, b: Graph) -> None:
    steps = [[(str(n.target), str(n.args), str(n.kwargs)) for n in g.nodes] for g in (a, b)]
    if len(steps[0]) != len(steps[1]):
        raise ValueError(
            "both models must be of one structure; found "
            f"{len(steps[0])} and {len(steps[1])} operations"
        )
    for left, right in zip(*steps, strict=True):
        if left != right:
            raise ValueError(
                "both models must be of one structure; found "
                f"{left[0]}{left[1]} in one and {right[0]}{right[1]} in the other"
            )
