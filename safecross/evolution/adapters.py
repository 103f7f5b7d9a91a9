"""Aligned crossover inside other libraries: flat vectors or trees become networks, and back.

PyGAD, EvoTorch, QDax and evosax are imported only by the function that is named after them.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import torch

from .. import checks
from ..network import Network
from .mating import mate

__all__ = [
    "Layout",
    "cross",
    "evosax_algorithm",
    "evotorch_crossover",
    "pygad_crossover",
    "qdax_variation",
]


@dataclass(frozen=True)
class Layout:
    """Where a network's weights and biases lie in a flat vector.

    Attributes
    ----------
    widths : tuple of int
        Inputs, hidden widths, outputs.
    order : {"torch", "jax"}
        Each layer in turn: ``"torch"``, weight of shape (out, in) and then bias, as
        `torch.nn.utils.parameters_to_vector` has it and PyGAD's and EvoTorch's tools; ``"jax"``,
        bias and then kernel of shape (in, out), as ``ravel_pytree`` of Flax's dense layers, whose
        keys it sorts.

    Raises
    ------
    ValueError
        If a width or the order is none of these, or there are so many layers that sorting their
        names is not their order.

    Examples
    --------
    >>> layout = Layout((2, 3, 1), "torch")
    >>> layout.size
    13
    >>> layout.population(torch.arange(13.0)[None]).weights[0][0]
    tensor([[0., 2., 4.],
            [1., 3., 5.]])
    """

    widths: tuple[int, ...]
    order: str = "torch"

    def __post_init__(self):
        widths = tuple(checks.whole_number("each width", w, 1) for w in self.widths)
        if len(widths) < 2:
            raise ValueError(f"widths must name inputs and outputs at least; found {widths}")
        if self.order not in ("torch", "jax"):
            raise ValueError(checks.unknown("order", self.order, ("torch", "jax")))
        if self.order == "jax" and len(widths) > 11:
            raise ValueError(
                f"with {len(widths) - 1} layers the tree's sorted names, Dense_10 before Dense_2, "
                "are not the order of the layers; name them so that they are"
            )
        object.__setattr__(self, "widths", widths)

    @property
    def size(self) -> int:
        """Number of entries of a vector."""
        return sum(a * b + b for a, b in pairwise(self.widths))

    @classmethod
    def of_tree(cls, tree: Mapping) -> "Layout":
        """Return the layout of a tree of Flax's dense layers, one network's or a batch's.

        Parameters
        ----------
        tree : mapping
            Of ``Dense_0``, ``Dense_1``, ..., each with a ``kernel`` (..., in, out) and a ``bias``
            (..., out); perhaps under ``params``.

        Raises
        ------
        ValueError
            If it is no such tree.

        Examples
        --------
        >>> layer = {"kernel": np.zeros((4, 2)), "bias": np.zeros(2)}
        >>> Layout.of_tree({"params": {"Dense_0": layer}}).widths
        (4, 2)
        """
        layers = tree.get("params", tree) if isinstance(tree, Mapping) else None
        if not layers or not isinstance(layers, Mapping):
            raise ValueError(f"expected a tree of dense layers; found {checks.shown(tree)}")
        widths: list[int] = []
        for name in sorted(layers):
            parts = layers[name]
            if not isinstance(parts, Mapping) or set(parts) != {"kernel", "bias"}:
                raise ValueError(f"expected a kernel and a bias in {name!r}; found {sorted(parts)}")
            rows, columns = parts["kernel"].shape[-2:]
            if parts["bias"].shape[-1] != columns or (widths and widths[-1] != rows):
                raise ValueError(
                    f"the kernel of {name!r} must be of shape (inputs, outputs) and follow on the "
                    f"layer before; found {tuple(parts['kernel'].shape)} after {widths}"
                )
            widths += [columns] if widths else [rows, columns]
        return cls(tuple(widths), "jax")

    def population(self, vectors) -> Network:
        """Return the networks of some vectors.

        Parameters
        ----------
        vectors : array_like, shape (n, size)
            One a row.

        Raises
        ------
        ValueError
            If the rows have another length or are not finite.
        """
        vectors = torch.as_tensor(np.array(vectors) if not torch.is_tensor(vectors) else vectors)
        if vectors.ndim != 2 or vectors.shape[1] != self.size:
            raise ValueError(
                f"expected vectors of {self.size} entries, one a row, for networks of widths "
                f"{self.widths}; found shape {tuple(vectors.shape)}"
            )
        if not vectors.is_floating_point():
            vectors = vectors.to(torch.float32)
        weights, biases, start = [], [], 0
        for a, b in pairwise(self.widths):
            parts = (a * b, b) if self.order == "torch" else (b, a * b)
            first, second = vectors[:, start : start + sum(parts)].split(parts, dim=1)
            weight, bias = (first, second) if self.order == "torch" else (second, first)
            shape = (-1, b, a) if self.order == "torch" else (-1, a, b)
            weight = weight.reshape(shape)
            weights.append(weight.mT if self.order == "torch" else weight)
            biases.append(bias)
            start += sum(parts)
        return Network(weights, biases)

    def vectors(self, population: Network) -> torch.Tensor:
        """Return the vectors of some networks, one a row; `population` takes them back.

        Examples
        --------
        >>> layout = Layout((2, 3, 1), "jax")
        >>> rows = torch.arange(26.0).view(2, 13)
        >>> torch.equal(layout.vectors(layout.population(rows)), rows)
        True
        """
        if population.widths != self.widths:
            raise ValueError(f"expected networks of widths {self.widths}; found {population!r}")
        rows = []
        for weight, bias in zip(population.weights, population.biases, strict=True):
            flat = (weight.mT if self.order == "torch" else weight).reshape(len(weight), -1)
            rows += [flat, bias] if self.order == "torch" else [bias, flat]
        return torch.cat(rows, 1)


def cross(layout: Layout, rows_a, rows_b, x, seed: int, **options):
    """Return children of parents that are rows of two matrices, as rows of the same kind.

    Parameters
    ----------
    layout : Layout
        Of the rows.
    rows_a, rows_b : array_like, shape (n, size)
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


def pygad_crossover(layout: Layout, x, **options):
    """Return a function for PyGAD's ``crossover_type``.

    Parameters
    ----------
    layout, x, **options
        As for `cross`. Child k has the parents k and k + 1, as PyGAD's own crossovers pair them.

    Examples
    --------
    >>> from types import SimpleNamespace
    >>> crossover = pygad_crossover(Layout((2, 3, 1)), np.eye(2))
    >>> crossover(np.ones((3, 13)), (5, 13), SimpleNamespace(generations_completed=0)).shape
    (5, 13)
    """

    def crossover(parents, offspring_size, ga_instance):
        first = np.arange(offspring_size[0]) % len(parents)
        second = (first + 1) % len(parents)
        rows = np.asarray(parents, dtype=float)
        seed = ga_instance.generations_completed
        return cross(layout, rows[first], rows[second], x, seed, **options)

    return crossover


def evotorch_crossover(problem, layout: Layout, x, *, tournament_size: int = 4, **options):
    """Return an operator for EvoTorch, a subclass of its ``CrossOver``.

    Parameters
    ----------
    problem : evotorch.Problem
        Whose solutions are vectors of this layout.
    layout, x, **options
        As for `cross`. Of two parents there are two children, with their parts exchanged.
    tournament_size : int
        Of the selection of parents.

    Notes
    -----
    Chance comes from PyTorch's global generator, as EvoTorch's own does.
    """
    from evotorch.operators import CrossOver

    class Aligned(CrossOver):
        def _do_cross_over(self, parents1, parents2):
            seed = int(torch.randint(2**31, ()))
            pairs = ((parents1, parents2), (parents2, parents1))
            children = [cross(layout, a, b, x, seed, **options) for a, b in pairs]
            return self._make_children_batch(torch.cat(children))

    return Aligned(problem, tournament_size=tournament_size)


def qdax_variation(layout: Layout, x, **options):
    """Return a ``variation_fn`` for QDax's ``MixingEmitter``; it may be traced by ``jax.jit``.

    Parameters
    ----------
    layout : Layout
        Of the genotypes, as `Layout.of_tree` reads it.
    x, **options
        As for `cross`.
    """
    import jax
    from jax.flatten_util import ravel_pytree

    crossed = _traced(layout, x, options)

    def variation(genotypes_1, genotypes_2, key):
        single = jax.tree.map(lambda part: part[0], genotypes_1)
        unravel = ravel_pytree(single)[1]
        rows = [jax.vmap(lambda g: ravel_pytree(g)[0])(g) for g in (genotypes_1, genotypes_2)]
        return jax.vmap(unravel)(crossed(*rows, key))

    return variation


def evosax_algorithm(layout: Layout, x, **options):
    """Return a subclass of evosax's ``SimpleGA`` whose parents are aligned and crossed over.

    Parameters
    ----------
    layout : Layout
        Of the solutions.
    x, **options
        As for `cross`.
    """
    import jax
    import jax.numpy as jnp
    from evosax.algorithms import SimpleGA

    crossed = _traced(layout, x, options)

    class AlignedGA(SimpleGA):
        def _ask(self, key, state, params):
            elite = state.population[jnp.argsort(state.fitness)[: self.num_elites]]
            keys = jax.random.split(key, 4)
            first, second = (jax.random.choice(k, elite, (self.population_size,)) for k in keys[:2])
            children = crossed(first, second, keys[2])
            noise = jax.random.normal(keys[3], children.shape)
            return children + state.std * noise, state

    return AlignedGA


def _traced(layout: Layout, x, options: Mapping):
    """Return `cross` as a function of JAX's arrays and a key; it leaves the graph for the host."""
    import jax

    x = np.asarray(x)

    def on_host(rows_a, rows_b, seed):
        return cross(layout, np.asarray(rows_a), np.asarray(rows_b), x, int(seed), **options)

    def crossed(rows_a, rows_b, key):
        seed = jax.random.randint(key, (), 0, 2**31 - 1)
        shape = jax.ShapeDtypeStruct(rows_a.shape, rows_a.dtype)
        return jax.pure_callback(on_host, shape, rows_a, rows_b, seed)

    return crossed
