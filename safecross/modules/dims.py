"""An algebra of dimensions: leaves, row-major products and sums, united as a graph demands.

Two dimensions are united when an operation meets them index by index. A permutation of one must
then be the same permutation of the other. What `view` and concatenation do is kept as structure:
a dimension of 6 that is viewed as (2, 3) becomes a product, one that is cut at 4 becomes a sum.
"""

from collections.abc import Iterable, Iterator
from typing import NamedTuple

__all__ = ["Dim", "find", "leaves", "limit", "parts", "places", "product", "split", "take", "touch"]

#: What a group of axes may allow beyond permutations: positive scaling of each neuron, orthogonal
#: maps, any invertible map.
SYMMETRIES = frozenset({"scaling", "orthogonal", "linear"})


class Mismatch(Exception):
    """Two dimensions have no common refinement."""


class Dim:
    """One dimension of a value: a leaf, a row-major product or a sum of parts.

    Attributes
    ----------
    size : int
        Number of indices.
    kind : {"leaf", "product", "sum"}
        What it is as long as `bound` is None.
    parts : tuple of Dim
        Factors of a product, slowest first; parts of a sum, in order.
    bound : Dim or None
        What the dimension turned out to be: another one, or a refinement of itself.
    symmetry : frozenset of str
        Of a leaf: which of `SYMMETRIES` every operation so far allows.
    reason : str or None
        Of a leaf: why it cannot be permuted; None if it can.
    touched : bool
        Of a leaf: whether an operation used it apart from its siblings; see `touch`.
    families : tuple of list of Dim
        Of a leaf: the factors that were split together with it, from the outermost split.
    copies : dict
        Of a leaf: its copies for single indices of a sibling, ``{(sibling, index): leaf}``.
    """

    __slots__ = (
        "bound",
        "copies",
        "families",
        "kind",
        "parts",
        "reason",
        "size",
        "symmetry",
        "touched",
    )

    def __init__(self, size: int, reason: str | None = None, kind="leaf", parts=()):
        self.size, self.kind, self.parts = size, kind, tuple(parts)
        self.bound: Dim | None = None
        self.symmetry, self.reason, self.touched = SYMMETRIES, reason, False
        self.families: tuple[list[Dim], ...] = ()
        self.copies: dict[tuple[Dim, int], Dim] = {}


def find(d: Dim) -> Dim:
    """Return what a dimension stands for now."""
    root = d
    while root.bound is not None:
        root = root.bound
    while d.bound is not None:
        d.bound, d = (root if d.bound is not root else d.bound), d.bound
    return root


def factors(d: Dim) -> list[Dim]:
    """Return the factors of a dimension, slowest first; those of size 1 are left out."""
    d = find(d)
    if d.size == 1:
        return []
    return [f for p in d.parts for f in factors(p)] if d.kind == "product" else [d]


def parts(d: Dim) -> list[Dim]:
    """Return the parts of a dimension in order; itself if it is no sum."""
    d = find(d)
    return [q for p in d.parts for q in parts(p)] if d.kind == "sum" else [d]


def product(dims: Iterable[Dim]) -> Dim:
    """Return the row-major product, as a view makes it."""
    found = [f for d in dims for f in factors(d)]
    size = 1
    for f in found:
        size *= f.size
    return (
        found[0] if len(found) == 1 else Dim(size, kind="product" if found else "leaf", parts=found)
    )


def sum_of(dims: Iterable[Dim]) -> Dim:
    """Return the sum, as concatenation makes it."""
    found = [p for d in dims for p in parts(d) if p.size]
    if len(found) == 1:
        return found[0]
    if all(p.size == 1 for p in found):
        return Dim(len(found), "places of values put side by side")
    return Dim(sum(p.size for p in found), kind="sum" if found else "leaf", parts=found)


def leaves(d: Dim) -> Iterator[Dim]:
    """Yield the leaves of more than one index that a dimension is made of."""
    d = find(d)
    if d.kind == "leaf":
        if d.size > 1:
            yield d
    else:
        for p in d.parts:
            yield from leaves(p)


def pin(d: Dim, reason: str) -> None:
    """Fix every leaf of a dimension; the first reason is kept."""
    for leaf in leaves(d):
        leaf.reason = leaf.reason or reason


def limit(d: Dim, allowed: Iterable[str]) -> None:
    """Take away the symmetries of every leaf that are not in `allowed`."""
    allowed = frozenset(allowed)
    for leaf in leaves(d):
        leaf.symmetry &= allowed


def touch(d: Dim) -> None:
    """Note that an operation used a dimension apart from those it was split with.

    A view as (3, p) alone says that p may be permuted differently for each of the 3, as `select`
    shows them one by one. An operation on p, or on the 3, takes that freedom away.
    """
    found = list(leaves(d))
    for leaf in found:
        siblings = [s for family in leaf.families for member in family for s in leaves(member)]
        if all(s in found for s in siblings):
            continue  # all that it was split with is in this very dimension
        for other in (leaf, *siblings):
            _tie(other)


def _tie(leaf: Dim) -> None:
    if leaf.touched:
        return
    leaf.touched = True
    for copy in list(leaf.copies.values()):
        unite(copy, leaf)


def unite(a: Dim, b: Dim) -> None:
    """Make two dimensions one.

    Raises
    ------
    Mismatch
        If they have no common refinement.
    """
    a, b = find(a), find(b)
    if a is b or a.size == b.size == 1:
        return
    if a.size != b.size:
        raise Mismatch(f"{a.size} and {b.size}")
    if a.kind != "leaf" and b.kind == "leaf":
        a, b = b, a
    if a.kind == "leaf":
        _bind(a, b)
    elif a.kind == b.kind == "sum":
        _unite_parts(parts(a), parts(b))
    else:
        _unite_factors(factors(a), factors(b))


def _bind(leaf: Dim, other: Dim) -> None:
    touch(leaf)
    touch(other)
    leaf.bound = other
    limit(other, leaf.symmetry)
    if leaf.reason:
        pin(other, leaf.reason)


def _unite_parts(a: list[Dim], b: list[Dim]) -> None:
    while a and b:
        p, q = find(a.pop(0)), find(b.pop(0))
        if p.kind == "sum" or q.kind == "sum":  # cut in the meantime
            a, b = parts(p) + a, parts(q) + b
            continue
        if p.size > q.size:
            a.insert(0, cut(p, q.size, p.size))
            p = cut(p, 0, q.size)
        elif q.size > p.size:
            b.insert(0, cut(q, p.size, q.size))
            q = cut(q, 0, p.size)
        unite(p, q)


def _unite_factors(a: list[Dim], b: list[Dim]) -> None:
    while a and b:
        # What was refined in the meantime is taken apart again.
        a, b = factors(a[0]) + a[1:], factors(b[0]) + b[1:]
        p, q = a.pop(0), b.pop(0)
        if p.size > q.size:
            p, rest = split(p, q.size)
            a.insert(0, rest)
        elif q.size > p.size:
            q, rest = split(q, p.size)
            b.insert(0, rest)
        unite(p, q)


def split(d: Dim, outer: int) -> tuple[Dim, Dim]:
    """Refine a dimension into a product of `outer` and the rest.

    A sum whose parts do not divide is fixed: of a dimension that does not move, every view holds.

    Raises
    ------
    Mismatch
        If its size does not divide.
    """
    d = find(d)
    if outer == d.size:
        return d, Dim(1)
    if d.size % outer:
        raise Mismatch(f"{d.size} is no multiple of {outer}")
    if outer == 1:
        return Dim(1), d
    if d.kind == "leaf":
        return _refine(d, "product", (outer, d.size // outer))
    if d.kind == "product":
        a, b = regroup([d], (outer, d.size // outer))
        return a, b
    return _split_sum(d, d.size // outer)


def _split_sum(d: Dim, inner: int) -> tuple[Dim, Dim]:
    if any(p.size % inner for p in parts(d)):
        reason = "a view or cut that its structure does not follow"
        _fix(d, reason)
        return Dim(d.size // inner, reason), Dim(inner, reason)
    pairs = [split(p, p.size // inner) for p in parts(d)]
    rest = pairs[0][1]
    for _, other in pairs[1:]:
        unite(rest, other)
    outer = sum_of(o for o, _ in pairs)
    d.bound = product([outer, rest])
    return outer, rest


def _fix(d: Dim, reason: str) -> None:
    pin(d, reason)
    touch(d)


def _refine(leaf: Dim, kind: str, sizes: tuple[int, ...]) -> tuple[Dim, ...]:
    new = tuple(Dim(size, leaf.reason) for size in sizes)
    family = list(new)
    siblings = [s for other in leaf.families for member in other for s in leaves(member)]
    if kind == "sum" or any(head is leaf for s in siblings for head, _ in s.copies):
        touch(leaf)
    for child in new:
        child.symmetry = leaf.symmetry
        child.families = () if kind == "sum" else (*leaf.families, family)
        child.touched = leaf.touched and bool(leaf.families)
    copies, leaf.copies = leaf.copies, {}
    leaf.bound = Dim(leaf.size, kind=kind, parts=new)
    for (head, index), copy in copies.items():
        unite(copy, _copy(leaf.bound, head, index))
    return new


def cut(d: Dim, start: int, stop: int) -> Dim:
    """Return the indices from `start` to `stop` of a dimension, which becomes a sum.

    A product that is not cut along its slowest factor is fixed.

    Raises
    ------
    Mismatch
        If there are no such indices.
    """
    d = find(d)
    if (start, stop) == (0, d.size):
        return d
    if not 0 <= start < stop <= d.size:
        raise Mismatch(f"{d.size} indices are cut from {start} to {stop}")
    if d.kind == "leaf":
        sizes = (start, stop - start, d.size - stop)
        index = int(start > 0)
        return _refine(d, "sum", tuple(s for s in sizes if s))[index]
    if d.kind == "product":
        first, *rest = factors(d)
        inner = d.size // first.size
        if start % inner or stop % inner:
            reason = "a view or cut that its structure does not follow"
            _fix(d, reason)
            return Dim(stop - start, reason)
        if stop - start == inner:
            return product(take([first, *rest], 0, start // inner))
        return product([cut(first, start // inner, stop // inner), *rest])
    chosen, at = [], 0
    for part in parts(d):
        low, high = max(start - at, 0), min(stop - at, part.size)
        if low < high:
            chosen.append(cut(part, low, high))
        at += part.size
    return sum_of(chosen)


def take(dims: list[Dim], position: int, index: int) -> list[Dim]:
    """Return the other dimensions of a value at one index of one of its dimensions.

    Parameters
    ----------
    dims : list of Dim
        All dimensions of the value.
    position, index : int
        Which dimension, and which of its indices.
    """
    head = find(dims[position])
    others = [d for i, d in enumerate(dims) if i != position]
    if head.kind != "leaf" or head.size == 1:
        pin(head, "single indices of it are taken")
        return others
    head.reason = head.reason or "single indices of it are taken"
    return [_copy(d, head, index) for d in others]


def _copy(d: Dim, head: Dim, index: int) -> Dim:
    d = find(d)
    if d.kind != "leaf":
        make = product if d.kind == "product" else sum_of
        return make([_copy(p, head, index) for p in d.parts])
    related = any(find(s) is head for family in d.families for s in family)
    if any(other is not head for other, _ in d.copies):
        _tie(d)
    if not related or d is head or d.touched or head.touched:
        return d
    if (head, index) not in d.copies:
        d.copies[head, index] = Dim(d.size, d.reason)
        d.copies[head, index].symmetry = d.symmetry
    return d.copies[head, index]


def regroup(dims: Iterable[Dim], sizes: Iterable[int]) -> list[Dim]:
    """Return the dimensions of a row-major view to other sizes.

    Raises
    ------
    Mismatch
        If a factor does not divide as the sizes ask.
    """
    waiting = [f for d in dims for f in factors(d)]
    result = []
    for size in sizes:
        chosen, have = [], 1
        while have < size:
            waiting = factors(waiting[0]) + waiting[1:]
            f = waiting.pop(0)
            if size % (have * f.size):
                f, rest = split(f, size // have)
                waiting.insert(0, rest)
            chosen.append(f)
            have *= f.size
        result.append(product(chosen) if size != 1 else Dim(1))
    return result


class Place(NamedTuple):
    """Where a leaf lies in a dimension: at ``start + step * j`` plus multiples of the repeats.

    Attributes
    ----------
    leaf : Dim
        Whose index is j.
    start, step : int
        Offset of its first index and distance of two.
    repeats : tuple of (int, int)
        Sizes and steps of the factors beside it.
    """

    leaf: Dim
    start: int
    step: int
    repeats: tuple[tuple[int, int], ...]


def places(d: Dim) -> Iterator[Place]:
    """Yield where each leaf of a dimension lies; parts of size 1 are left out."""
    yield from _places(d, 0, 1, ())


def _places(d: Dim, start: int, step: int, beside: tuple) -> Iterator[Place]:
    d = find(d)
    if d.kind == "sum":
        for p in parts(d):
            yield from _places(p, start, step, beside)
            start += p.size * step
    elif d.kind == "product":
        found, steps = factors(d), []
        for f in reversed(found):
            steps.insert(0, step)
            step *= f.size
        all_beside = tuple(zip(found, steps, strict=True))
        for f, s in all_beside:
            rest = tuple((g, t) for g, t in all_beside if t != s)
            yield from _places(f, start, s, beside + rest)
    elif d.size > 1:
        yield from _leaf_places(d, start, step, beside)


def _leaf_places(leaf: Dim, start: int, step: int, beside: tuple) -> Iterator[Place]:
    heads = {head for head, _ in leaf.copies} if not leaf.touched else set()
    for n, (head, head_step) in enumerate(beside):
        if find(head) in heads:
            rest = beside[:n] + beside[n + 1 :]
            for i in range(head.size):
                copy = _copy(leaf, find(head), i)
                limit(copy, leaf.symmetry)
                if leaf.reason:
                    pin(copy, leaf.reason)
                yield from _places(copy, start + i * head_step, step, rest)
            return
    yield Place(leaf, start, step, tuple((f.size, s) for f, s in beside))
