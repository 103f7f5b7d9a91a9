"""Aligned crossover inside other libraries: PyGAD, EvoTorch, QDax and evosax.

Each is imported only by the function that is named after it. All go through `cross`, which turns
parents into networks by their `Layout`, mates them, and turns the children back.
"""

from importlib import import_module

import numpy as np
import torch

from .. import checks
from ..networks.network import initialise
from .layouts import Layout
from .mating import mate

__all__ = [
    "cross",
    "evosax_algorithm",
    "evotorch_crossover",
    "library",
    "pygad_crossover",
    "qdax_variation",
]


def cross(layout: Layout, rows_a, rows_b, x, seed: int, **options):
    """Return children of parents that are rows of two matrices, as rows of the same kind.

    Parameters
    ----------
    layout : Layout
        Of the rows.
    rows_a, rows_b : numpy.ndarray or torch.Tensor, shape (n, size)
        The i-th rows are partners.
    x : array_like, shape (m, inputs)
        Examples on which neurons are compared.
    seed : int
        Of the recombination.
    **options
        Of `mate`: method, recombine, t, related.

    Returns
    -------
    numpy.ndarray or torch.Tensor, shape (n, size)
        As `rows_a` is.

    Examples
    --------
    >>> layout = Layout((2, 3, 1))
    >>> rows = np.random.default_rng(0).normal(size=(4, 13))
    >>> np.allclose(cross(layout, rows, rows, np.eye(2), 0), rows)
    True
    """
    parents = [layout.population(rows) for rows in (rows_a, rows_b)]
    rng = torch.Generator().manual_seed(int(seed))
    children = layout.vectors(mate(*parents, x, rng, **options))
    return children if torch.is_tensor(rows_a) else children.numpy().astype(rows_a.dtype)


def library(name: str):
    """Return a module of another library, or say how to get it.

    Parameters
    ----------
    name : str
        Of the module.

    Raises
    ------
    ImportError
        If it cannot be imported.

    Examples
    --------
    >>> library("no.such")
    Traceback (most recent call last):
    ImportError: cannot import no.such (No module named 'no'): pip install 'safecross[evolution]'
    """
    try:
        return import_module(name)
    except ImportError as error:
        raise ImportError(
            f"cannot import {name} ({error}): pip install 'safecross[evolution]'"
        ) from None


def pygad_crossover(layout: Layout, x, **options):
    """Return a function for PyGAD's ``crossover_type``.

    Parameters
    ----------
    layout : Layout
        Of the solutions.
    x : array_like, shape (m, inputs)
        Examples on which neurons are compared.
    **options
        Of `mate`: method, recombine, t. Child k has the parents k and k + 1, as PyGAD's own
        crossovers pair them; its ``crossover_probability`` is not read.

    Raises
    ------
    ValueError
        If the examples or an option are unusable.

    Examples
    --------
    >>> from types import SimpleNamespace
    >>> crossover = pygad_crossover(Layout((2, 3, 1)), np.eye(2))
    >>> run = SimpleNamespace(numpy_random_generator=np.random.RandomState(0))
    >>> crossover(np.ones((3, 13)), (5, 13), run).shape
    (5, 13)
    """
    _tried(layout, x, options)

    def crossover(parents, offspring_size, ga_instance):
        first = np.arange(offspring_size[0]) % len(parents)
        second = (first + 1) % len(parents)
        rows = np.asarray(parents, dtype=float)
        seed = ga_instance.numpy_random_generator.randint(_SEEDS)
        return cross(layout, rows[first], rows[second], x, seed, **options)

    return crossover


def evotorch_crossover(
    problem,
    layout: Layout,
    x,
    *,
    tournament_size: int = 4,
    obj_index: int | None = None,
    num_children: int | None = None,
    cross_over_rate: float | None = None,
    **options,
):
    """Return an operator for EvoTorch, a subclass of its ``CrossOver``.

    Of two parents there are two children, with their parts exchanged. Chance is the problem's.

    Parameters
    ----------
    problem : evotorch.Problem
        Whose solutions are vectors of this layout.
    layout, x, **options
        As for `pygad_crossover`.
    tournament_size, obj_index, num_children, cross_over_rate
        Of EvoTorch's ``CrossOver``.

    Raises
    ------
    ValueError
        If the solutions have another length, or the examples or an option are unusable.
    """
    operators = library("evotorch.operators")
    _tried(layout, x, options)
    if problem.solution_length != layout.size:
        raise ValueError(
            f"expected solutions of {layout.size} entries, for networks of widths "
            f"{layout.widths}; found {problem.solution_length}"
        )

    class Aligned(operators.CrossOver):
        def _do_cross_over(self, parents1, parents2):
            seed = int(self.problem.make_randint((), n=_SEEDS))
            pairs = ((parents1, parents2), (parents2, parents1))
            children = [cross(layout, a, b, x, seed, **options) for a, b in pairs]
            return self._make_children_batch(torch.cat(children))

    return Aligned(
        problem,
        tournament_size=tournament_size,
        obj_index=obj_index,
        num_children=num_children,
        cross_over_rate=cross_over_rate,
    )


def qdax_variation(layout: Layout, x, **options):
    """Return a ``variation_fn`` for QDax's ``MixingEmitter``; it may be traced by ``jax.jit``.

    Parameters
    ----------
    layout : Layout
        Of the genotypes, as `Layout.of_tree` reads it.
    x, **options
        As for `pygad_crossover`.

    Raises
    ------
    ValueError
        If the examples or an option are unusable, or in a run the genotypes have another layout.
    """
    jax = library("jax")
    ravel_pytree = library("jax.flatten_util").ravel_pytree
    crossed = _traced(layout, x, options)

    def variation(genotypes_1, genotypes_2, key):
        _same(layout, genotypes_1)
        single = jax.tree.map(lambda part: part[0], genotypes_1)
        unravel = ravel_pytree(single)[1]
        rows = [jax.vmap(lambda g: ravel_pytree(g)[0])(g) for g in (genotypes_1, genotypes_2)]
        return jax.vmap(unravel)(crossed(*rows, key))

    return variation


def evosax_algorithm(layout: Layout, x, **options):
    """Return a subclass of evosax's ``SimpleGA`` whose parents are aligned and crossed over.

    It is used as ``SimpleGA`` is. Of its parameters ``crossover_rate`` is not read: t is the share
    of the second parent.

    Parameters
    ----------
    layout : Layout
        Of the solutions, as `Layout.of_tree` reads it.
    x, **options
        As for `pygad_crossover`.

    Raises
    ------
    ValueError
        If the examples or an option are unusable, or solutions have another layout.
    """
    jax, algorithms = library("jax"), library("evosax.algorithms")
    crossed = _traced(layout, x, options)

    class AlignedGA(algorithms.SimpleGA):
        def _init(self, key, params):
            _same(layout, self.solution)
            return super()._init(key, params)

        def _ask(self, key, state, params):
            elite = state.population[jax.numpy.argsort(state.fitness)[: self.num_elites]]
            keys = jax.random.split(key, 4)
            first, second = (jax.random.choice(k, elite, (self.population_size,)) for k in keys[:2])
            children = crossed(first, second, keys[2])
            noise = jax.random.normal(keys[3], children.shape)
            return children + state.std * noise, state

    return AlignedGA


_SEEDS = 2**31 - 1  # how many there are: what fits every library's integers


def _tried(layout: Layout, x, options) -> None:
    """Mate a network with itself, so that what is unusable is told here and not within a run."""
    if not isinstance(layout, Layout):
        raise TypeError(f"expected a Layout; found {checks.shown(layout)}")
    rows = layout.vectors(initialise(layout.widths, [0]))
    cross(layout, rows, rows, x, 0, **options)


def _same(layout: Layout, tree) -> None:
    """Raise unless a tree's vectors lie as the layout says."""
    if Layout.of_tree(tree) != layout:
        raise ValueError(f"expected networks of {layout}; found a tree of {Layout.of_tree(tree)}")


def _traced(layout: Layout, x, options):
    """Return `cross` as a function of JAX's arrays and a key; it leaves the graph for the host."""
    jax = library("jax")
    _tried(layout, x, options)
    x = np.asarray(x)

    def on_host(rows_a, rows_b, seed):
        return cross(layout, np.asarray(rows_a), np.asarray(rows_b), x, int(seed), **options)

    def crossed(rows_a, rows_b, key):
        seed = jax.random.randint(key, (), 0, _SEEDS)
        shape = jax.ShapeDtypeStruct(rows_a.shape, rows_a.dtype)
        return jax.pure_callback(on_host, shape, rows_a, rows_b, seed)

    return crossed
