"""The proof that a spec is right: its groups are mapped at random and the function compared."""

import math
from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace

import torch

from ..alignment.maps import (
    Linear,
    Permutation,
    Scaling,
    move_state,
)
from ..networks.spec import Fixed, Group, Spec
from .graph import Graph, run_graph
from .maps import relative_difference

__all__ = ["TOLERANCE", "random_maps"]

#: Largest relative difference in float64 that counts as the same function.
TOLERANCE = 1e-10

#: Draws of parameters and permutations for a model of at most `SMALL` entries: the few neurons of
#: a small one may all be dead in one draw, and a wrong permutation of dead neurons does not show.
DRAWS, SMALL = 5, 1_000_000


def redrawn(graph: Graph, variances: Iterable[str], seed: int = 0) -> dict[str, torch.Tensor]:
    """Draw all parameters and statistics of batch norms of a graph anew, and return its state.

    Some parameters start at 0, and a wrong permutation of what is multiplied by 0 would not show.

    Parameters
    ----------
    graph : Graph
        Names and shapes.
    variances : iterable of str
        Tensors that are variances of batch norms.
    seed : int
        Of the draw.

    Returns
    -------
    dict of str to torch.Tensor
        Other buffers and constants as they are.
    """
    generator = torch.Generator().manual_seed(seed)
    signature = graph.program.graph_signature
    parameters, variances = set(signature.parameters), set(variances)
    state = graph.state()
    for name, old in state.items():
        statistic = name in variances or name.endswith(("running_mean", "running_var"))
        if not old.is_floating_point() or not (name in parameters or statistic):
            continue
        if old.ndim < 2:
            new = 0.5 + torch.rand(old.shape, generator=generator, dtype=torch.float64)
        else:
            fan_in = old[0].numel()
            new = torch.randn(old.shape, generator=generator, dtype=torch.float64)
            # With a larger spread a deep gated network is chaotic: rounding alone grows to 1e-7.
            new *= (1 / fan_in) ** 0.5
        # In place: a second copy of a large model might not fit.
        old.copy_(new)
    return state


def random_maps(spec: Spec, seed: int = 0, symmetric: bool = False) -> dict:
    """Return a random permutation for each group, or a map of the largest class that it allows.

    Parameters
    ----------
    spec : Spec
        Its groups.
    seed : int
        Of the draw.
    symmetric : bool
        Whether maps of each group's `symmetry` are drawn in place of permutations.
    """
    generator = torch.Generator().manual_seed(seed)
    draw = _draw if symmetric else _permutation
    return {name: draw(group, generator) for name, group in spec.groups.items()}


def _permutation(group: Group, generator) -> Permutation:
    order = torch.randperm(group.size, generator=generator)
    # The identity would prove nothing.
    if torch.equal(order, torch.arange(group.size)):
        order = order.roll(1)
    return Permutation(order)


def _draw(group: Group, generator):
    if group.symmetry == "permutation":
        return _permutation(group, generator)
    scales = 0.5 + torch.rand(group.size, generator=generator, dtype=torch.float64)
    if group.symmetry == "scaling":
        return Scaling(scales)
    noise = torch.randn(group.size, group.size, generator=generator, dtype=torch.float64)
    rotation = torch.linalg.qr(noise).Q
    if group.symmetry == "orthogonal":
        return Linear(rotation, rotation.mT)
    return Linear(scales[:, None] * rotation, rotation.mT / scales)


def settle(graph: Graph, spec: Spec, example, variances: Iterable[str]) -> Spec:
    """Return the spec with every group fixed whose permutation changes the function.

    Parameters
    ----------
    graph : Graph
        Read in float64.
    spec : Spec
        What the rules found.
    example : torch.Tensor or tuple
        Inputs.
    variances : iterable of str
        As for `redrawn`.

    Returns
    -------
    Spec
        The same one if all is well. A symmetry that does not hold is cut to permutations.

    Raises
    ------
    ValueError
        If the outputs are not finite with random parameters, so that nothing can be proven.
    """
    few = sum(math.prod(shape) for shape in spec.shapes.values()) <= SMALL
    for seed in reversed(range(DRAWS if few else 1)):
        wrong = _check(graph, spec, example, redrawn(graph, variances, seed))
        maps = random_maps(spec, seed)
        if maps and wrong(maps):
            bad = [name for name, how in maps.items() if wrong({name: how})] or list(maps)
            return settle(graph, _fixed(spec, bad), example, variances)
    return _symmetries(spec, wrong)


def _check(graph: Graph, spec: Spec, example, state) -> Callable[[Mapping], bool]:
    """Return a function that says whether moving a state's groups changes what it computes."""
    outputs = run_graph(graph, state, example, double=True)
    if not all(bool(torch.isfinite(x).all()) for x in outputs if x.is_floating_point()):
        raise ValueError(
            f"{spec.model} gives outputs that are not finite with random parameters, so that no "
            "permutation can be checked"
        )

    def wrong(maps: Mapping) -> bool:
        moved = run_graph(graph, move_state(spec, maps, state), example, double=True)
        return relative_difference(outputs, moved) > TOLERANCE

    return wrong


def _symmetries(spec: Spec, wrong) -> Spec:
    free = {n: g for n, g in spec.groups.items() if g.symmetry != "permutation"}
    maps = random_maps(replace(spec, groups=free), symmetric=True)
    if not maps or not wrong(maps):
        return spec
    weak = {
        n: replace(free[n], symmetry="permutation") for n, how in maps.items() if wrong({n: how})
    }
    weak = weak or {n: replace(g, symmetry="permutation") for n, g in free.items()}
    return _symmetries(replace(spec, groups={**spec.groups, **weak}), wrong)


def _fixed(spec: Spec, names: list[str]) -> Spec:
    groups = {n: g for n, g in spec.groups.items() if n not in names}
    fixed = [
        Fixed(a.tensor, a.dim, spec.groups[n].size, "the check by random permutations failed")
        for n in names
        for a in spec.groups[n].axes
    ]
    return replace(spec, groups=groups, fixed=(*spec.fixed, *dict.fromkeys(fixed)))
