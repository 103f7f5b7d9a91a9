"""How a network lies in the vectors and trees of other libraries: turned into one, and back."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from itertools import pairwise

import torch

from .. import checks
from ..networks.network import Network
from .population import check_population

__all__ = ["Layout", "population_of_tree", "tree_of_population"]


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
        If a width or the order is none of these.

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
        object.__setattr__(self, "widths", widths)

    @property
    def size(self) -> int:
        """Number of entries of a vector."""
        return sum(a * b + b for a, b in pairwise(self.widths))

    @classmethod
    def of_torch(cls, source) -> "Layout":
        """Return the layout of the vectors of a PyTorch model.

        Parameters
        ----------
        source : torch.nn.Sequential or mapping of str to torch.Tensor
            Linear layers with ReLU between them, or the `state_dict` of such: weights (out, in).

        Raises
        ------
        ValueError, TypeError
            If it is none, or its weights are stored as (in, out).

        Examples
        --------
        >>> from torch import nn
        >>> Layout.of_torch(nn.Sequential(nn.Linear(4, 3), nn.ReLU(), nn.Linear(3, 2)))
        Layout(widths=(4, 3, 2), order='torch')
        """
        return cls(Network.from_torch(source).widths, "torch")

    @classmethod
    def of_tree(cls, tree: Mapping) -> "Layout":
        """Return the layout of the vectors that ``ravel_pytree`` makes of a tree of dense layers.

        Parameters
        ----------
        tree : mapping
            One network's, or a batch's with a leading dimension: of ``Dense_0``, ``Dense_1``, ...,
            each with a ``kernel`` (..., in, out) and a ``bias`` (..., out); perhaps under
            ``params``. Only shapes are read.

        Raises
        ------
        ValueError
            If it is no such tree, or the sorted names are not the order of the layers.

        Examples
        --------
        >>> import numpy as np
        >>> layer = {"kernel": np.zeros((4, 2)), "bias": np.zeros(2)}
        >>> Layout.of_tree({"params": {"Dense_0": layer}})
        Layout(widths=(4, 2), order='jax')
        """
        layers = _layers(tree)
        widths = [layers[0][1].shape[-2]]
        for name, kernel, bias in layers:
            shapes = tuple(kernel.shape), tuple(bias.shape)
            if shapes[0][-2] != widths[-1] or shapes[1] != (*shapes[0][:-2], shapes[0][-1]):
                raise ValueError(
                    f"the kernel of {name!r} must be of shape (..., {widths[-1]}, outputs), what "
                    f"the layer before puts out, and its bias (..., outputs); found {shapes[0]} "
                    f"and {shapes[1]}"
                )
            widths.append(shapes[0][-1])
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
        vectors = checks.as_tensor("the vectors", vectors)
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


def population_of_tree(tree: Mapping) -> Network:
    """Return the networks of a tree of dense layers, such as the genotypes of a repertoire.

    Parameters
    ----------
    tree : mapping
        As for `Layout.of_tree`, with kernels (n, in, out) and biases (n, out).

    Raises
    ------
    ValueError
        If it is no such tree, or not finite.

    Examples
    --------
    >>> import numpy as np
    >>> population_of_tree({"Dense_0": {"kernel": np.ones((5, 4, 2)), "bias": np.zeros((5, 2))}})
    Network(4-2, population (5,))
    """
    Layout.of_tree(tree)
    _, kernels, biases = zip(*_layers(tree), strict=True)
    read = [[checks.as_tensor("the tree", part) for part in side] for side in (kernels, biases)]
    return check_population("the tree", Network(*read))


def tree_of_population(population: Network, like: Mapping) -> dict:
    """Return some networks as a tree of NumPy arrays; `population_of_tree` takes them back.

    Parameters
    ----------
    population : Network
        Of n members.
    like : mapping
        A tree of this architecture, one network's or a batch's: its names are taken.

    Raises
    ------
    ValueError
        If the architectures differ.

    Examples
    --------
    >>> import numpy as np
    >>> from safecross import initialise
    >>> like = {"params": {"Dense_0": {"kernel": np.ones((4, 2)), "bias": np.zeros(2)}}}
    >>> tree = tree_of_population(initialise([4, 2], [0, 1, 2]), like)
    >>> tree["params"]["Dense_0"]["kernel"].shape
    (3, 4, 2)
    """
    widths = Layout.of_tree(like).widths
    if check_population("the population", population).widths != widths:
        raise ValueError(f"expected networks of widths {widths}; found {population!r}")
    parts = zip(_layers(like), population.weights, population.biases, strict=True)
    layers = {
        name: {"kernel": checks.as_array(name, weight), "bias": checks.as_array(name, bias)}
        for (name, *_), weight, bias in parts
    }
    return {"params": layers} if "params" in like else layers


def _layers(tree: Mapping) -> list[tuple]:
    """Return name, kernel and bias of each layer, in order."""
    layers = tree.get("params", tree) if isinstance(tree, Mapping) else None
    if not layers or not isinstance(layers, Mapping):
        raise ValueError(f"expected a tree of dense layers; found {checks.shown(tree)}")
    names = sorted(layers)
    # Widths cannot tell the order of layers that are equally wide.
    numbers = [re.search(r"\d+$", str(name)) for name in names]
    if len(names) > 1 and not _rising([match and int(match[0]) for match in numbers]):
        raise ValueError(
            "the sorted names of the layers must end in rising numbers, as Dense_0, Dense_1 (and "
            f"Dense_00 if there are more than ten): that is their order; found {names}"
        )
    return [(name, *_dense(name, layers[name])) for name in names]


def _dense(name: str, parts) -> tuple:
    if not isinstance(parts, Mapping) or set(parts) != {"kernel", "bias"}:
        found = sorted(parts) if isinstance(parts, Mapping) else checks.shown(parts)
        raise ValueError(f"expected a kernel and a bias in {name!r}; found {found}")
    if len(parts["kernel"].shape) < 2:
        shape = tuple(parts["kernel"].shape)
        raise ValueError(f"the kernel of {name!r} must be (..., inputs, outputs); found {shape}")
    return parts["kernel"], parts["bias"]


def _rising(numbers: list[int | None]) -> bool:
    return None not in numbers and all(a < b for a, b in pairwise(numbers))
