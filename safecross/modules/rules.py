"""What each operation says about the dimensions of its inputs and outputs.

A rule takes the `Propagation` and the operation's arguments, values in place of tensors, and
returns the dimensions of the result, or None if it does not know this use of the operation. Sizes
of the result are in ``run.shapes``.
"""

from collections.abc import Callable, Hashable, Sequence
from dataclasses import dataclass, field, replace
from typing import NamedTuple

from .dims import (
    SYMMETRIES,
    Dim,
    cut,
    limit,
    pin,
    product,
    regroup,
    split,
    sum_of,
    take,
    touch,
    unite,
)

__all__ = ["RULES", "rule"]

#: Rules by the name of an operation, ``aten.`` left out.
RULES: dict[str, Callable] = {}


@dataclass(frozen=True, eq=False)
class Value:
    """A tensor of the graph.

    Attributes
    ----------
    dims : list of Dim
        Its dimensions.
    kind : {"data", "weight", "constant"}
        Whether it depends on the inputs, on parameters alone, or on neither.
    sources : frozenset of str
        The parameters that it depends on, if it is a weight.
    name : str
        Of the graph's node.
    """

    dims: list[Dim]
    kind: str = "data"
    sources: frozenset[str] = frozenset()
    name: str = ""


class Read(NamedTuple):
    """A dimension of a value that a layer reads."""

    value: Value
    position: int


@dataclass
class Propagation:
    """What is learnt while the rules walk over a graph.

    Attributes
    ----------
    shapes : list of tuple of int
        Of the results of the operation at hand.
    roles : list of (Value, Dim, str)
        Weights whose dimension writes ("out") or reads ("in") neurons.
    reads : list of Read
        Dimensions of data that layers read, in the order of the graph.
    variances : set of str
        Names of tensors that must stay positive.
    """

    shapes: list[tuple[int, ...]] = field(default_factory=list)
    roles: list[tuple[Value, Dim, str]] = field(default_factory=list)
    reads: list[Read] = field(default_factory=list)
    variances: set[str] = field(default_factory=set)

    @property
    def shape(self) -> tuple[int, ...]:
        """Shape of the operation's first result."""
        return self.shapes[0]

    def note(self, value: Value, position: int, role: str) -> None:
        """Note that an operation reads data, or what a weight does to its dimension.

        Parameters
        ----------
        value : Value
            Data or weight.
        position : int
            Which of its dimensions.
        role : {"out", "in"}
            What it does.
        """
        if value.kind == "weight":
            self.roles.append((value, value.dims[position], role))
        elif role == "in":
            self.reads.append(Read(value, position % len(value.dims) - len(value.dims)))


def rule(*names: str) -> Callable:
    """Register a rule for operations of these names.

    Examples
    --------
    >>> "linear" in RULES
    True
    """

    def register(function):
        RULES.update(dict.fromkeys(names, function))
        return function

    return register


# Nothing but structure


@rule(
    *("alias", "clone", "contiguous", "detach", "lift_fresh_copy", "_to_copy", "to", "dropout"),
    *("type_as", "feature_dropout", "alpha_dropout", "lift", "lift_fresh", "positive"),
)
def _same(run, x, *_, **__):
    return x.dims


@rule(
    *("view", "reshape", "_unsafe_view", "flatten", "unflatten", "squeeze", "unsqueeze"),
    *("view_as", "reshape_as"),
)
def _view(run, x, *_, **__):
    return regroup(x.dims, run.shape)


@rule("permute", "movedim", "moveaxis", "t", "numpy_T", "mT", "transpose", "swapaxes", "adjoint")
def _permute(run, x, *orders, operation, **_):
    n = len(x.dims)
    order = list(range(n))
    if operation == "permute":
        order = [i % n for i in orders[0]]
    elif operation in ("movedim", "moveaxis"):
        if isinstance(orders[0], int):
            orders = [[o] for o in orders]
        source, target = ([i % n for i in o] for o in orders)
        order = [i for i in order if i not in source]
        for t, s in sorted(zip(target, source, strict=True)):
            order.insert(t, s)
    elif operation in ("t", "numpy_T"):
        order.reverse()
    else:
        i, j = (o % n for o in (orders or (-2, -1)))
        order[i], order[j] = order[j], order[i]
    return [x.dims[i] for i in order]


@rule("expand", "expand_as", "broadcast_to")
def _expand(run, x, *_, **__):
    n = len(run.shape) - len(x.dims)
    old = [Dim(1)] * n + x.dims
    # The values are equal along a dimension that was 1: any permutation of it changes nothing.
    return [d if d.size == size else Dim(size) for d, size in zip(old, run.shape, strict=True)]


@rule("cat", "concat", "concatenate")
def _cat(run, tensors, dim=0):
    tensors = [x for x in tensors if x.dims and all(d.size for d in x.dims)]
    first = tensors[0]
    dim %= len(first.dims)
    for other in tensors[1:]:
        for i, (a, b) in enumerate(zip(first.dims, other.dims, strict=True)):
            if i != dim:
                unite(a, b)
    return [
        sum_of(x.dims[dim] for x in tensors) if i == dim else d for i, d in enumerate(first.dims)
    ]


@rule("stack")
def _stack(run, tensors, dim=0):
    for other in tensors[1:]:
        for a, b in zip(tensors[0].dims, other.dims, strict=True):
            unite(a, b)
    dims = list(tensors[0].dims)
    dims.insert(dim % (len(dims) + 1), sum_of(Dim(1) for _ in tensors))
    return dims


@rule("split", "split_with_sizes", "chunk", "tensor_split")
def _split(run, x, sections=None, dim=0, **_):
    dim %= len(x.dims)
    pieces, at = [], 0
    for shape in run.shapes:
        pieces.append(_sliced(x.dims, dim, at, at + shape[dim]))
        at += shape[dim]
    return pieces


def _sliced(dims: list[Dim], dim: int, start: int, stop: int) -> list[Dim]:
    if stop - start == 1 and dims[dim].size > 1:
        rest = take(dims, dim, start)
        return [*rest[:dim], Dim(1), *rest[dim:]]
    return [cut(d, start, stop) if i == dim else d for i, d in enumerate(dims)]


@rule("unbind")
def _unbind(run, x, dim=0):
    dim %= len(x.dims)
    return [take(x.dims, dim, i) for i in range(x.dims[dim].size)]


@rule("select")
def _select(run, x, dim, index):
    dim %= len(x.dims)
    return take(x.dims, dim, index % x.dims[dim].size)


@rule("slice", "narrow")
def _slice(run, x, dim=0, start=None, end=None, step=1, operation="slice"):
    dim %= len(x.dims)
    size = x.dims[dim].size
    if operation == "narrow":
        end = start + end
    start, stop, _ = slice(start, end).indices(size)
    if step == 1:
        return _sliced(x.dims, dim, start, stop)
    if size % step or start >= step or run.shape[dim] != size // step:
        return None
    outer, inner = split(x.dims[dim], size // step)
    return take([*x.dims[:dim], outer, inner, *x.dims[dim + 1 :]], dim + 1, start)


@rule("slice_scatter")
def _slice_scatter(run, x, source, dim=0, start=None, end=None, step=1):
    dim %= len(x.dims)
    if step != 1:
        return None
    whole = x.dims[dim]
    start, stop, _ = slice(start, end).indices(whole.size)
    for i, (a, b) in enumerate(zip(x.dims, source.dims, strict=True)):
        if i != dim:
            unite(a, b)
    touch(whole)
    before, after = ((0, start), (stop, whole.size))
    kept = [[cut(whole, *span)] if span[0] < span[1] else [] for span in (before, after)]
    dims = list(x.dims)
    # What is written over is lost: it asks nothing of what is written.
    dims[dim] = sum_of([*kept[0], source.dims[dim], *kept[1]])
    return dims


@rule("copy")
def _copy(run, x, source, *_):
    return _expand(run, source)


@rule("select_scatter")
def _select_scatter(run, x, source, dim, index):
    dim %= len(x.dims)
    pin(x.dims[dim], "single indices of it are written")
    touch(x.dims[dim])
    for a, b in zip((d for i, d in enumerate(x.dims) if i != dim), source.dims, strict=True):
        unite(a, b)
    return x.dims


@rule("repeat", "tile")
def _repeat(run, x, repeats):
    old = [Dim(1)] * (len(run.shape) - len(x.dims)) + x.dims
    sizes = [size // max(d.size, 1) for d, size in zip(old, run.shape, strict=True)]
    return [product([Dim(n), d]) for n, d in zip(sizes, old, strict=True)]


@rule("repeat_interleave")
def _repeat_interleave(run, x, repeats=None, dim=None, **_):
    if not isinstance(repeats, int) or dim is None:
        return None
    dim %= len(x.dims)
    return [product([d, Dim(repeats)]) if i == dim else d for i, d in enumerate(x.dims)]


@rule("roll", "flip")
def _moved_along(run, x, *arguments, operation):
    dims = arguments[-1] if operation == "flip" or len(arguments) > 1 else range(len(x.dims))
    return _fixed_at(x, [dims] if isinstance(dims, int) else dims, f"{operation} moves along it")


def _fixed_at(x: Value, positions: Sequence[int], reason: str) -> list[Dim]:
    for i in positions:
        pin(x.dims[i], reason)
    return x.dims


@rule("tril", "triu")
def _triangle(run, x, *_):
    return _fixed_at(x, (-2, -1), "the triangle of a mask")


@rule("cumsum", "cumprod", "logcumsumexp")
def _cumulated(run, x, dim, **_):
    limit_all(x, ())
    return _fixed_at(x, [dim], "it is cumulated along")


@rule("constant_pad_nd", "pad")
def _pad(run, x, amounts, mode="constant", value=None, **_):
    if not isinstance(mode, str):
        mode, value = "constant", mode
    dims = list(x.dims)
    for k in range(len(amounts) // 2):
        i, (low, high) = len(dims) - 1 - k, amounts[2 * k : 2 * k + 2]
        if mode != "constant" and (low or high):
            pin(dims[i], "padded by its own values")
            dims[i] = Dim(run.shape[i], "padded by its own values")
            continue
        size = dims[i].size
        if low < 0 or high < 0:
            dims = _sliced(dims, i, max(0, -low), size - max(0, -high))
        # Padding is constant: any permutation within it changes nothing.
        dims[i] = sum_of([Dim(max(low, 0)), dims[i], Dim(max(high, 0))])
        if value:
            limit(dims[i], ())
    return dims


@rule("index")
def _index(run, x, indices):
    given = [i for i, index in enumerate(indices) if index is not None]
    _fixed_at(x, given, "an index picks from it")
    for i in given:
        touch(x.dims[i])
    new = [Dim(1)] * max(len(indices[i].dims) for i in given)
    for i in given:
        new = _broadcast(run, new, indices[i].dims)
    at = given[0] if given == list(range(given[0], given[-1] + 1)) else 0
    rest = [d for i, d in enumerate(x.dims) if i not in given]
    return rest[:at] + new + rest[at:]


@rule("index_select")
def _index_select(run, x, dim, index):
    _fixed_at(x, [dim], "an index picks from it")
    touch(x.dims[dim])
    dims = list(x.dims)
    dims[dim] = index.dims[0] if index.dims else Dim(1)
    return dims


@rule("embedding")
def _embedding(run, table, index, *_, **__):
    pin(table.dims[0], "rows of an embedding are picked by the input")
    touch(table.dims[0])
    run.note(table, 1, "out")
    return [*index.dims, table.dims[1]]


@rule(
    *("full", "zeros", "ones", "empty", "scalar_tensor", "new_zeros", "new_ones", "new_full"),
    *("zeros_like", "ones_like", "full_like", "empty_like", "new_empty", "zero", "fill"),
)
def _constant(run, *_, **__):
    # One value throughout, whatever the order.
    return [Dim(size) for size in run.shape]


# Elementwise


def limit_all(x: Value, allowed) -> None:
    """Limit the symmetries of every dimension of a value.

    Parameters
    ----------
    x : Value
        What an operation acts on.
    allowed : iterable of str
        Symmetries that the operation leaves.
    """
    for d in x.dims:
        limit(d, allowed)


def _broadcast(run, a: list[Dim], b: list[Dim]) -> list[Dim]:
    n = max(len(a), len(b))
    a, b = [Dim(1)] * (n - len(a)) + a, [Dim(1)] * (n - len(b)) + b
    for p, q in zip(a, b, strict=True):
        if p.size > 1 and q.size > 1:
            unite(p, q)
    return [q if p.size == 1 else p for p, q in zip(a, b, strict=True)]


_POSITIVE = frozenset({"relu", "leaky_relu", "abs"})


def elementwise(run, *arguments, operation, **options):
    """Unite the dimensions of all tensors as they broadcast.

    Parameters
    ----------
    run : Propagation
        What is learnt.
    *arguments
        Tensors and numbers.
    operation : str
        Its name decides which symmetries pass.
    **options
        Further arguments.
    """
    values = [v for v in (*arguments, *options.values()) if isinstance(v, Value)]
    values += [v for a in arguments if isinstance(a, (list, tuple)) for v in a]
    dims: list[Dim] = []
    for value in values:
        dims = _broadcast(run, dims, value.dims)
    for value in values:
        for i, d in enumerate(value.dims):
            if d.size > 1:
                run.note(value, i, "out")
    for i in range(1, len(dims) + 1):
        holders = [v for v in values if len(v.dims) >= i and v.dims[-i].size > 1]
        limit(dims[-i], _passing(operation, arguments, holders))
    return dims


def _passing(operation: str, arguments, holders: list[Value]) -> frozenset[str]:
    """Return the symmetries of a dimension of these holders that an operation lets pass."""
    n = sum(isinstance(a, Value) for a in arguments)
    if operation in _POSITIVE and n == 1:
        return frozenset({"scaling"})
    passes = (
        operation == "neg"
        or (operation in ("add", "sub") and n > 1 and len(holders) == n)
        or (operation == "mul" and len(holders) == 1)
        or (operation == "div" and len(holders) == 1 and arguments[0] is holders[0])
    )
    return SYMMETRIES if passes else frozenset()


# These are elementwise as well, but PyTorch does not tag them so.
RULES.update(dict.fromkeys(("hardswish", "hardsigmoid", "hardtanh"), elementwise))


@rule("_prelu_kernel", "prelu")
def _prelu(run, x, weight, operation):
    if operation == "prelu":
        if weight.dims[0].size > 1:
            unite(x.dims[1], weight.dims[0])
        run.note(weight, 0, "out")
        limit_all(x, ())
        return x.dims
    return elementwise(run, x, weight, operation=operation)


@rule("glu")
def _glu(run, x, dim=-1):
    dim %= len(x.dims)
    half = x.dims[dim].size // 2
    limit_all(x, ())
    a, b = (_sliced(x.dims, dim, start, start + half) for start in (0, half))
    for p, q in zip(a, b, strict=True):
        unite(p, q)
    return a


@rule("softmax", "_softmax", "log_softmax", "_log_softmax", "_safe_softmax")
def _softmax(run, x, *_, **__):
    limit_all(x, ())
    return x.dims


# Reductions


@rule(
    *("sum", "mean", "amax", "amin", "prod", "var", "std", "var_mean", "std_mean", "logsumexp"),
    *("linalg_vector_norm", "norm", "any", "all", "nansum"),
)
def _reduce(run, x, *arguments, operation, **options):
    n = len(x.dims)
    gone = _reduced(n, operation, arguments, options)
    keep = len(run.shape) == n
    for i, d in enumerate(x.dims):
        if i in gone or operation not in ("sum", "mean"):
            limit(d, ())
    if keep:
        dims = [Dim(1) if i in gone else d for i, d in enumerate(x.dims)]
    else:
        dims = [d for i, d in enumerate(x.dims) if i not in gone]
    return [dims] * len(run.shapes) if len(run.shapes) > 1 else dims


def _reduced(n: int, operation: str, arguments, options) -> set[int]:
    position = 1 if operation in ("linalg_vector_norm", "norm") else 0
    dim = options.get("dim", arguments[position] if len(arguments) > position else None)
    if dim is None or dim == [] or isinstance(dim, bool):
        return set(range(n))
    return {i % n for i in ([dim] if isinstance(dim, int) else dim)} if n else set()


# Layers


def contract(run, equation: Sequence[tuple[Value, Sequence[Hashable]]], out: Sequence[Hashable]):
    """Return the dimensions of a sum of products, as `einsum` writes it.

    Parameters
    ----------
    run : Propagation
        What is learnt.
    equation : sequence of (Value, labels)
        Tensors, each with a label for each dimension.
    out : sequence
        Labels of the result; the others are summed over.
    """
    held: dict[Hashable, Dim] = {}
    holders: dict[Hashable, list[tuple[Value, int]]] = {}
    for value, labels in equation:
        for i, (d, label) in enumerate(zip(value.dims, labels, strict=True)):
            if d.size > 1:
                if label in held:
                    unite(held[label], d)
                held.setdefault(label, d)
                holders.setdefault(label, []).append((value, i))
    for label, found in holders.items():
        _contract_label(run, held[label], found, label in out)
    return [held.get(label, Dim(1)) for label in out]


def _contract_label(run, d: Dim, found: list[tuple[Value, int]], kept: bool) -> None:
    if kept:
        if len(found) > 1:
            limit(d, ())
        for value, i in found:
            run.note(value, i, "out")
        return
    kinds = sorted(value.kind for value, _ in found)
    for n, (value, i) in enumerate(found):
        # Of two weights the first reads what the second writes, as in the product B A.
        run.note(value, i, "out" if kinds == ["weight", "weight"] and n else "in")
    if kinds == ["data", "data"]:
        limit(d, ("orthogonal",))
    elif kinds not in (["data", "weight"], ["weight", "weight"]):
        limit(d, ())


@rule("linear")
def _linear(run, x, weight, bias=None):
    batch = list(range(len(x.dims) - 1))
    dims = contract(run, [(x, [*batch, "in"]), (weight, ["out", "in"])], [*batch, "out"])
    return _add_bias(run, dims, -1, bias)


def _add_bias(run, dims, position, bias):
    if bias is not None:
        unite(dims[position], bias.dims[0])
        run.note(bias, 0, "out")
    return dims


@rule("matmul", "mm", "bmm", "mv", "dot", "vdot", "linalg_vecdot")
def _matmul(run, a, b, **_):
    left, right = len(a.dims), len(b.dims)
    rows = [("row",)] if left > 1 else []
    columns = [("column",)] if right > 1 else []
    # Broadcast dimensions before the last two are counted from the right.
    la = [*range(left - 2, 0, -1), *rows, "inner"]
    lb = [*range(right - 2, 0, -1), "inner", *columns]
    out = [*range(max(left, right) - 2, 0, -1), *rows, *columns]
    return contract(run, [(a, la), (b, lb)], out)


@rule("addmm", "baddbmm", "addmv")
def _addmm(run, bias, a, b, **_):
    product_ = Value(_matmul(run, a, b))
    return elementwise(run, bias, product_, operation="add")


@rule("einsum")
def _einsum(run, equation, operands, **_):
    equation = equation.replace(" ", "")
    if "..." in equation or "->" not in equation:
        return None
    left, _, out = equation.partition("->")
    terms = left.split(",")
    if any(len(set(term)) < len(term) for term in terms):
        return None
    return contract(run, list(zip(operands, terms, strict=True)), out)


@rule("bilinear")
def _bilinear(run, a, b, weight, bias=None):
    batch = list(range(len(a.dims) - 1))
    terms = [(a, [*batch, "a"]), (b, [*batch, "b"]), (weight, ["out", "a", "b"])]
    dims = contract(run, terms, [*batch, "out"])
    limit_all(weight, ())
    return _add_bias(run, dims, -1, bias)


@rule("conv1d", "conv2d", "conv3d", "convolution")
def _conv(run, x, weight, bias=None, *rest, operation, **options):
    if operation == "convolution":
        groups = rest[5]
        if rest[3]:  # transposed
            return _conv_transposed(run, x, weight, bias, groups=groups)
    else:
        groups = rest[3] if len(rest) > 3 else options.get("groups", 1)
    channel = x.dims[_channel(x, weight)]
    if groups == 1:
        unite(channel, weight.dims[1])
    else:
        _unite_groups(channel, weight, groups)
    run.note(x, _channel(x, weight), "in")
    run.note(weight, 1, "in")
    run.note(weight, 0, "out")
    return _convolved(run, x, weight, bias, weight.dims[0])


def _channel(x: Value, weight: Value) -> int:
    return len(x.dims) - len(weight.dims) + 1


def _unite_groups(channel: Dim, weight: Value, groups: int) -> None:
    """Unite the groups of a convolution, and what is read within each."""
    outer, inner = split(channel, groups)
    writing, _ = split(weight.dims[0], groups)
    unite(writing, outer)
    unite(inner, weight.dims[1])
    # The groups are written and read by one and the same dimension of the weight.
    limit(outer, ())


def _convolved(run, x, weight, bias, channels: Dim) -> list[Dim]:
    """Return the dimensions of a convolution's output; space is fixed."""
    at = _channel(x, weight)
    for d in (*x.dims[at + 1 :], *weight.dims[2:]):
        pin(d, "space of a convolution")
        touch(d)
    dims = [*x.dims[:at], channels]
    dims += [Dim(size, "space of a convolution") for size in run.shape[at + 1 :]]
    return _add_bias(run, dims, at, bias)


@rule("conv_transpose1d", "conv_transpose2d", "conv_transpose3d")
def _conv_transposed(run, x, weight, bias=None, *rest, operation="", groups=None, **_):
    # Arguments: stride, padding, output_padding, groups, dilation.
    groups = groups or (rest[3] if len(rest) > 3 else 1)
    at = _channel(x, weight)
    unite(x.dims[at], weight.dims[0])
    outputs = weight.dims[1]
    if groups > 1:
        outer, inner = split(x.dims[at], groups)
        limit(outer, ())
        limit(inner, ())
        outputs = product([outer, outputs])
    run.note(x, at, "in")
    run.note(weight, 0, "in")
    run.note(weight, 1, "out")
    return _convolved(run, x, weight, bias, outputs)


def _affine(run, d: Dim, *weights) -> None:
    """Unite a dimension with the elementwise weights of a norm."""
    for weight in weights:
        if weight is not None:
            unite(d, weight.dims[0])
            run.note(weight, 0, "out")


@rule(
    *("batch_norm", "native_batch_norm", "_native_batch_norm_legit_no_training"),
    *("_native_batch_norm_legit", "cudnn_batch_norm", "instance_norm"),
)
def _batch_norm(run, x, weight=None, bias=None, mean=None, variance=None, *_, **__):
    statistics = [s if isinstance(s, Value) else None for s in (mean, variance)]
    if statistics[1] is not None:
        run.variances |= statistics[1].sources
    _affine(run, x.dims[1], weight, bias, *statistics)
    limit_all(x, ())
    channel = x.dims[1]
    return x.dims if len(run.shapes) == 1 else _several(run, x.dims, channel)


def _several(run, dims: list[Dim], channel: Dim) -> list[list[Dim]]:
    """Return the dimensions of a norm's result and of its saved statistics."""
    others = [
        [channel] if shape == (channel.size,) else [Dim(s, "saved statistics") for s in shape]
        for shape in run.shapes[1:]
    ]
    return [dims, *others]


@rule("layer_norm", "native_layer_norm", "rms_norm", "_fused_rms_norm")
def _layer_norm(run, x, shape, weight=None, bias=None, *_, operation, **__):
    n = len(shape)
    for d in x.dims[-n:]:
        limit(d, () if "layer" in operation or weight is not None else ("orthogonal",))
    for d in x.dims[:-n]:
        limit(d, ())
    for given in (weight, bias):
        if isinstance(given, Value):
            for i, d in enumerate(given.dims):
                unite(x.dims[i - n], d)
                run.note(given, i, "out")
    if len(run.shapes) == 1:
        return x.dims
    kept = x.dims[:-n]
    return [x.dims] + [[*kept, *(Dim(1) for _ in range(n))][: len(s)] for s in run.shapes[1:]]


@rule("group_norm", "native_group_norm")
def _group_norm(run, x, *arguments, operation, **_):
    if operation == "group_norm":
        groups, weight, bias = (*arguments, None, None)[:3]
    else:
        weight, bias, groups = *arguments[:2], arguments[5]
    split(x.dims[1], groups)
    _affine(run, x.dims[1], weight, bias)
    limit_all(x, ())
    return x.dims if len(run.shapes) == 1 else _several(run, x.dims, x.dims[1])


@rule("_weight_norm_interface", "_weight_norm")
def _weight_norm(run, v, g, dim=0):
    unite(v.dims[dim], g.dims[dim])
    run.note(v, dim, "out")
    run.note(g, dim, "out")
    limit_all(v, ())
    return v.dims if len(run.shapes) == 1 else [v.dims, g.dims]


@rule("scaled_dot_product_attention")
def _attention(run, q, k, v, mask=None, dropout=0.0, causal=False, *, enable_gqa=False, **_):
    batch = list(range(len(q.dims) - 2, 0, -1))
    if enable_gqa:
        heads, shared = split(q.dims[-3], k.dims[-3].size)
        unite(heads, k.dims[-3])
        q = replace(q, dims=[*q.dims[:-3], heads, shared, *q.dims[-2:]])
        batch = [*batch[:-1], "heads", "shared"]
    held = [b for b in batch if b != "shared"]
    scores = contract(
        run,
        [(q, [*batch, "query", "width"]), (k, [*held, "key", "width"])],
        [*batch, "query", "key"],
    )
    if causal:
        for d in scores[-2:]:
            pin(d, "the order of tokens")
    if mask is not None:
        if enable_gqa and len(mask.dims) > 2 and mask.dims[-3].size > 1:
            return None
        folded = [*scores[:-4], product(scores[-4:-2]), *scores[-2:]] if enable_gqa else scores
        elementwise(run, Value(folded), mask, operation="mask")
    weights = Value(scores, q.kind)
    for d in scores:
        limit(d, ())
    dims = contract(
        run,
        [(weights, [*batch, "query", "key"]), (v, [*held, "key", "value"])],
        [*batch, "query", "value"],
    )
    return [*dims[:-4], product(dims[-4:-2]), *dims[-2:]] if enable_gqa else dims


# Space


@rule(
    *("adaptive_avg_pool1d", "adaptive_avg_pool2d", "adaptive_avg_pool3d", "avg_pool1d"),
    *("_adaptive_avg_pool2d", "_adaptive_avg_pool3d", "avg_pool2d", "avg_pool3d", "max_pool1d"),
    *("max_pool2d", "max_pool3d", "max_pool2d_with_indices", "max_pool3d_with_indices"),
    *("adaptive_max_pool1d", "adaptive_max_pool2d", "adaptive_max_pool3d"),
    *("upsample_nearest1d", "upsample_nearest2d", "upsample_nearest3d", "upsample_bilinear2d"),
    *("upsample_bicubic2d", "upsample_linear1d", "upsample_trilinear3d", "lp_pool2d"),
    *("_upsample_nearest_exact2d", "_upsample_bilinear2d_aa", "_upsample_bicubic2d_aa"),
)
def _space(run, x, *_, operation, **__):
    count = (
        int(next(c for c in operation if c in "123")) if any(c in "123" for c in operation) else 2
    )
    allowed = ("scaling",) if "max" in operation else SYMMETRIES
    channels = x.dims[:-count]
    for d in x.dims[-count:]:
        pin(d, "space of a pooling")
        touch(d)
    for d in channels:
        limit(d, allowed)
    dims = [*channels, *(Dim(s, "space of a pooling") for s in run.shape[-count:])]
    return dims if len(run.shapes) == 1 else [list(dims) for _ in run.shapes]


@rule("pixel_shuffle")
def _pixel_shuffle(run, x, factor):
    *batch, channels, height, width = x.dims
    outer, up, across = regroup([channels], (channels.size // factor**2, factor, factor))
    for d in (up, across, height, width):
        pin(d, "space of a pixel shuffle")
    return [*batch, outer, product([height, up]), product([width, across])]


@rule("pixel_unshuffle")
def _pixel_unshuffle(run, x, factor):
    *batch, channels, height, width = x.dims
    (h, up), (w, across) = (split(d, d.size // factor) for d in (height, width))
    for d in (h, up, w, across):
        pin(d, "space of a pixel shuffle")
    return [*batch, product([channels, up, across]), h, w]


@rule("channel_shuffle", "native_channel_shuffle")
def _channel_shuffle(run, x, groups):
    outer, inner = split(x.dims[1], groups)
    return [x.dims[0], product([inner, outer]), *x.dims[2:]]


@rule("im2col")
def _im2col(run, x, kernel, *_):
    channels = x.dims[-3]
    window = [Dim(k, "space of a window") for k in kernel]
    for d in x.dims[-2:]:
        pin(d, "space of a window")
    return [*x.dims[:-3], product([channels, *window]), Dim(run.shape[-1], "space of a window")]


@rule("unfold")
def _unfold(run, x, dim, size, step):
    dim %= len(x.dims)
    pin(x.dims[dim], "windows are cut from it")
    dims = list(x.dims)
    dims[dim] = Dim(run.shape[dim], "windows are cut from it")
    return [*dims, Dim(size, "windows are cut from it")]
