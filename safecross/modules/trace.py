"""The groups of any PyTorch module, from the graph of its function."""

import inspect
import operator
from collections import Counter, defaultdict
from collections.abc import Iterator
from typing import NamedTuple

import torch
from torch import fx, nn

from .. import checks
from ..networks.network import Network
from ..networks.spec import (
    Axis,
    Fixed,
    Group,
    Spec,
)
from ..networks.states import spec_of_network
from .dims import (
    Dim,
    Mismatch,
    Place,
    leaves,
    pin,
    places,
    touch,
)
from .graph import Graph, read_graph
from .proof import settle
from .rules import (
    RULES,
    Propagation,
    Value,
    elementwise,
)

__all__ = ["tied", "trace"]


def trace(model: nn.Module, example) -> Spec:
    """Return which axes of a model's parameters may be permuted together.

    Every dimension of every tensor in the graph of `torch.export` gets an axis, and each
    operation unites the axes that it meets index by index. Axes of inputs, outputs, space and
    tokens are fixed; so is everything that an operation without a rule touches. Before the spec
    is returned, each group is permuted at random in float64 with all parameters drawn anew;
    a group that changes the function is fixed.

    Parameters
    ----------
    model : torch.nn.Module
        Any module that `torch.export` reads; left as it is.
    example : torch.Tensor or tuple
        One batch of inputs; a tuple if there are several.

    Returns
    -------
    Spec
        Its groups, what fixes the other axes, and the operations that it does not know.

    Raises
    ------
    TypeError
        If `model` is no module or `example` is no tensor.
    ValueError
        If the model does not run on the example, `torch.export` refuses it, or a weight is not
        finite.

    Examples
    --------
    >>> model = nn.Sequential(nn.Linear(4, 3), nn.ReLU(), nn.Linear(3, 2))
    >>> print(trace(model, torch.zeros(2, 4)))
    Sequential: 1 groups that may be permuted, 3 axes move
      0: 3 neurons, scaling maps too
        written by 0.weight[-2], 0.bias[-1]
        read by 2.weight[-1]
    Fixed:
      input: 0.weight[-1]
      output: 2.weight[-2], 2.bias[-1]
    """
    if isinstance(model, Network):
        return spec_of_network(model)
    graph = read_graph(model, example, double=True)
    check_finite(model)
    walk = Walk(graph, tied(model))
    spec = _spec(model, walk, walk.groups())
    return settle(graph, spec, example, walk.run.variances)


def check_finite(model: nn.Module, name: str = "the model") -> None:
    """Raise ValueError if a weight or buffer of a model is not finite.

    Parameters
    ----------
    model : torch.nn.Module
        Any.
    name : str
        How the message calls it.
    """
    for tensor, values in model.state_dict().items():
        # Masks hold minus infinity on purpose; parameters and statistics of norms never do.
        if values.is_floating_point() and ("running_" in tensor or _is_parameter(model, tensor)):
            checks.finite(f"{tensor} of {name}", values)


def _is_parameter(model: nn.Module, tensor: str) -> bool:
    return tensor in dict(model.named_parameters(remove_duplicate=False))


def tied(model: nn.Module) -> dict[str, str]:
    """Return for each name of a tensor the first name that it has."""
    first: dict[int, str] = {}
    named = [
        *model.named_parameters(remove_duplicate=False),
        *model.named_buffers(remove_duplicate=False),
    ]
    return {name: first.setdefault(id(tensor), name) for name, tensor in named}


# What leaves everything as it was, or only looks at structure: it asks nothing of the dimensions.
_STRUCTURE = frozenset(
    "alias clone contiguous detach lift_fresh_copy _to_copy to dropout view reshape _unsafe_view "
    "flatten unflatten squeeze unsqueeze permute movedim t mT transpose swapaxes select slice "
    "narrow unbind split split_with_sizes chunk tensor_split expand cat stack".split()
)


class Found(NamedTuple):
    """A leaf that may be permuted, and where it lies in the parameters.

    Attributes
    ----------
    leaf : Dim
        It.
    axes : list of Axis
        Where it lies.
    """

    leaf: Dim
    axes: list[Axis]


class Walk:
    """A walk over a graph that applies the rules.

    Parameters
    ----------
    graph : Graph
        As read.
    tied_names : dict of str to str
        For each tensor's name the first of its names.

    Attributes
    ----------
    run : Propagation
        What the rules noted.
    weights : dict of str to Value
        Parameters and floating-point buffers.
    values : dict of str to Value
        Results of operations by the names of their nodes.
    unknown : Counter
        Operations without a rule.
    """

    def __init__(self, graph: Graph, tied_names: dict[str, str] | None = None):
        self.graph, self.tied = graph, tied_names or {}
        self.run = Propagation()
        self.weights: dict[str, Value] = {}
        self.values: dict[str, Value] = {}
        self.unknown: Counter[str] = Counter()
        env: dict[fx.Node, object] = {}
        for node in graph.nodes:
            env[node] = self._step(node, env)

    def _step(self, node: fx.Node, env: dict):
        if node.op == "placeholder":
            return self._placeholder(node)
        args = fx.node.map_arg(node.args, env.get)
        kwargs = fx.node.map_arg(node.kwargs, env.get)
        if node.op == "output":
            for value in _values((args, kwargs)):
                _pin_all(value, "output")
            return None
        if node.op != "call_function":
            return None
        if node.target is operator.getitem:
            return args[0][args[1]] if args[0] is not None else None
        return self._operation(node, args, kwargs)

    def _placeholder(self, node: fx.Node):
        held = node.meta.get("val")
        if not isinstance(held, torch.Tensor):
            return None
        tensor = self.graph.tensors.get(node.name)
        if tensor is None or tensor in self.graph.fixed or not held.is_floating_point():
            kind, reason = ("data", "input") if tensor is None else ("constant", "constant")
            return Value([Dim(s, reason) for s in held.shape], kind, name=node.name)
        name = self.tied.get(tensor, tensor)
        if name not in self.weights:
            dims = [Dim(s) for s in held.shape]
            self.weights[name] = Value(dims, "weight", frozenset({name}), node.name)
        return self.weights[name]

    def _operation(self, node: fx.Node, args, kwargs):
        values = list(_values((args, kwargs)))
        shapes = _shapes(node.meta.get("val"))
        if shapes is None:  # no tensor: an assertion, or a number
            return None
        kind, sources = "constant", frozenset().union(*(v.sources for v in values))
        if values:
            kinds = {v.kind for v in values}
            kind = "data" if "data" in kinds else "weight" if "weight" in kinds else "constant"
        sources = sources if kind == "weight" else frozenset()
        self.run.shapes = shapes
        dims = self._dims(node, args, kwargs, values, shapes)
        several = isinstance(node.meta["val"], (tuple, list))
        found = [Value(d, kind, sources, node.name) for d in dims]
        self.values[node.name] = found[0]
        return found if several else found[0]

    def _dims(self, node, args, kwargs, values, shapes) -> list[list[Dim]]:
        name = _name(node)
        rule = _rule(node, name)
        if rule is not None:
            if name not in _STRUCTURE and rule is not elementwise:
                for value in values:
                    for d in value.dims:
                        touch(d)
            try:
                found = _apply(rule, self.run, name, args, kwargs)
            except Mismatch:
                found = None
            if found is not None:
                found = found if found and isinstance(found[0], list) else [found]
                if [tuple(d.size for d in dims) for dims in found] == shapes:
                    return found
        reason = f"operation {name}" if values else "constant"
        if values:
            self.unknown[name] += 1
        for value in values:
            _pin_all(value, reason)
        return [[Dim(s, reason) for s in shape] for shape in shapes]

    def groups(self) -> list[Found]:
        """Return the leaves of all parameters that may be permuted, in the order of the graph."""
        buffers = set(self.graph.program.graph_signature.buffers)
        roles = self._roles()
        found: dict[Dim, Found] = {}
        for tensor, value in self.weights.items():
            for k, d in enumerate(value.dims):
                for place in places(d):
                    role = "buffer" if tensor in buffers else roles(tensor, d, place.leaf)
                    axis = Axis(tensor, k - len(value.dims), role, *place[1:])
                    found.setdefault(place.leaf, Found(place.leaf, [])).axes.append(axis)
        return list(found.values())

    def _roles(self):
        exact, loose = defaultdict(set), defaultdict(set)
        for value, d, role in self.run.roles:
            for source in value.sources:
                exact[source, d].add(role)
                for leaf in leaves(d):
                    loose[source, leaf].add(role)

        def of(tensor: str, d: Dim, leaf: Dim) -> str:
            roles = exact[tensor, d] or loose[tensor, leaf] or {"out"}
            return "both" if len(roles) > 1 else next(iter(roles))

        return of

    def probes(self) -> dict[Dim, tuple[str, int, Place]]:
        """Return for each leaf the value that its last reader reads, and where it lies in it."""
        found: dict[Dim, tuple[str, int, Place]] = {}
        reads = [(r.value, r.position) for r in reversed(self.run.reads) if r.value.name]
        # What no layer reads, such as positions of a mask, is seen where it was last computed.
        others = [
            (value, i - len(value.dims))
            for value in reversed(self.values.values())
            for i in range(len(value.dims))
            if value.kind == "data"
        ]
        for value, position in (*reads, *others):
            for place in places(value.dims[position]):
                found.setdefault(place.leaf, (value.name, position, place))
        return found


def _values(tree) -> Iterator[Value]:
    if isinstance(tree, Value):
        yield tree
    elif isinstance(tree, dict):
        yield from _values(list(tree.values()))
    elif isinstance(tree, (tuple, list)):
        for branch in tree:
            yield from _values(branch)


def _pin_all(value: Value, reason: str) -> None:
    for d in value.dims:
        pin(d, reason)
        touch(d)


def _shapes(held) -> list[tuple] | None:
    tensors = held if isinstance(held, (tuple, list)) else [held]
    if not tensors or not all(isinstance(t, torch.Tensor) for t in tensors):
        return None
    return [tuple(t.shape) for t in tensors]


def _name(node: fx.Node) -> str:
    schema = getattr(node.target, "_schema", None)
    if schema is None:
        return str(node.target)
    space, _, name = schema.name.partition("::")
    return name if space == "aten" else f"{space}.{name}"


def _rule(node: fx.Node, name: str):
    if getattr(node.target, "_overloadname", "") == "dtype" and name == "view":
        return None  # the same memory read as another type
    if name in RULES:
        return RULES[name]
    return elementwise if torch.Tag.pointwise in getattr(node.target, "tags", ()) else None


def _apply(rule, run, name: str, args, kwargs):
    if "operation" in inspect.signature(rule).parameters:
        return rule(run, *args, operation=name, **kwargs)
    return rule(run, *args, **kwargs)


def _spec(model: nn.Module, walk: Walk, found: list[Found]) -> Spec:
    groups: dict[str, Group] = {}
    fixed: list[Fixed] = []
    for leaf, axes in found:
        if leaf.reason:
            fixed += [Fixed(a.tensor, a.dim, leaf.size, leaf.reason) for a in axes]
        else:
            groups[_group_name(axes, groups)] = Group(leaf.size, tuple(axes), _symmetry(leaf, axes))
    state = model.state_dict()
    aliases = {n: first for n, first in tied(model).items() if n != first and n in state}
    return Spec(
        type(model).__name__,
        groups,
        tuple(dict.fromkeys(fixed)),
        dict(walk.unknown),
        {name: tuple(tensor.shape) for name, tensor in state.items()},
        aliases,
        len(walk.graph.inputs),
    )


def _group_name(axes: list[Axis], taken) -> str:
    """Return the name of the module that writes a group, with a number if it writes several."""
    writers = [a for a in axes if a.role in ("out", "both")] or axes
    tensor = writers[0].tensor
    module = tensor.rpartition(".")[0] or tensor
    names = [module, *(f"{module}#{i}" for i in range(2, len(taken) + 2))]
    return next(name for name in names if name not in taken)


def _symmetry(leaf: Dim, axes: list[Axis]) -> str:
    roles = {axis.role for axis in axes}
    # What writes and reads takes a map and its inverse at once: they must be transposes.
    possible = ("orthogonal",) if "both" in roles else ("linear", "orthogonal", "scaling")
    allowed = leaf.symmetry if "buffer" not in roles else frozenset()
    return next((s for s in possible if s in allowed), "permutation")
