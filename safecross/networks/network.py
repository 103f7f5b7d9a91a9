"""Feed-forward networks as weight matrices and biases (Sections 4 and 5.1 of the paper)."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

import torch
from torch import nn

from .. import checks, store
from .linalg import affine

__all__ = ["Network", "check_same_architecture", "initialise", "load_network", "stack"]


@dataclass(frozen=True, eq=False)
class Network:
    r"""A feed-forward network with D ReLU hidden layers and a linear output (logits).

    .. math:: L^d = \max(0, L^{d-1} W^d + b^d), \quad d = 1, \dots, D, \qquad
              z = L^D W^{D+1} + b^{D+1}

    Parameters
    ----------
    weights : sequence of torch.Tensor, each of shape (..., p_in, p_out)
        D + 1 weight matrices; rows are inputs and columns outputs. A leading dimension, equal in
        all of them, makes the object a population of networks of one architecture.
    biases : sequence of torch.Tensor, each of shape (..., p_out)
        D + 1 bias vectors.

    Raises
    ------
    ValueError
        If the shapes do not chain, dtypes or devices differ, or an entry is NaN or infinite.

    Notes
    -----
    Source: Section 4 ("rows correspond to the incoming layer, columns to the outgoing layer").
    The softmax of Section 5.1 belongs to the loss and is not applied here.

    Examples
    --------
    >>> theta = initialise([4, 3, 2], seed=0)
    >>> theta
    Network(4-3-2)
    >>> theta(torch.zeros(5, 4)).shape
    torch.Size([5, 2])
    """

    weights: tuple[torch.Tensor, ...]
    biases: tuple[torch.Tensor, ...]

    def __post_init__(self):
        for name in ("weights", "biases"):
            layers = enumerate(checks.as_list(name, getattr(self, name)), start=1)
            tensors = tuple(checks.as_tensor(f"{name} of layer {d}", part) for d, part in layers)
            object.__setattr__(self, name, tensors)
        _check_shapes(self.weights, self.biases)
        for d, (weight, bias) in enumerate(zip(self.weights, self.biases, strict=True), start=1):
            checks.finite(f"weights of layer {d}", weight)
            checks.finite(f"biases of layer {d}", bias)

    def __repr__(self) -> str:
        count = "" if not self.batch_shape else f", population {tuple(self.batch_shape)}"
        return f"Network({'-'.join(map(str, self.widths))}{count})"

    @property
    def widths(self) -> tuple[int, ...]:
        """Number of inputs, of neurons in each hidden layer, and of outputs."""
        return (self.weights[0].shape[-2], *(w.shape[-1] for w in self.weights))

    @property
    def depth(self) -> int:
        """Number D of hidden layers."""
        return len(self.weights) - 1

    @property
    def batch_shape(self) -> torch.Size:
        """Leading shape: empty for one network, (P,) for a population of P."""
        return self.weights[0].shape[:-2]

    @property
    def n_parameters(self) -> int:
        """Number of weights and biases of one network."""
        return sum(a * b + b for a, b in pairwise(self.widths))

    @property
    def dtype(self) -> torch.dtype:
        """Floating-point type of all weights and biases."""
        return self.weights[0].dtype

    @property
    def device(self) -> torch.device:
        """Device of all weights and biases."""
        return self.weights[0].device

    def __getitem__(self, index) -> "Network":
        """Return the network (or smaller population) at `index` of a population."""
        if not self.batch_shape:
            raise TypeError("a single network cannot be indexed; only a population can")
        return Network([w[index] for w in self.weights], [b[index] for b in self.biases])

    def to(self, *args, **kwargs) -> "Network":
        """Return a copy on another device or of another dtype (arguments as `Tensor.to`)."""
        return Network(
            [w.to(*args, **kwargs) for w in self.weights],
            [b.to(*args, **kwargs) for b in self.biases],
        )

    def inputs(self, x) -> torch.Tensor:
        """Return a batch of examples as this network takes it: checked, its dtype and device.

        Parameters
        ----------
        x : array_like, shape (..., n, m)
            Examples, one a row; m must be the network's number of inputs.

        Raises
        ------
        ValueError
            If the batch is empty, has another number of columns, or an entry that is not a real
            number or not finite in the network's dtype.
        """
        x = checks.as_matrix("the batch of examples", x, self.dtype)
        if x.shape[-1] != self.widths[0]:
            raise ValueError(
                f"examples must have {self.widths[0]} columns, the inputs of {self!r}; "
                f"found {x.shape[-1]}"
            )
        return x.to(self.device)

    def layers(self, x) -> list[torch.Tensor]:
        """Return the D hidden layers' activations and, last, the logits.

        Parameters
        ----------
        x : array_like, shape (..., n, m)
            Examples, one a row.

        Returns
        -------
        list of torch.Tensor, shapes (..., n, p_d)
            D matrices of non-negative activations and one of logits.
        """
        x = self.inputs(x)
        return self.layers_above(affine(x, self.weights[0], self.biases[0]))

    def layers_above(self, z: torch.Tensor) -> list[torch.Tensor]:
        """Return `layers` from the first layer's pre-activations, where those are at hand.

        Parameters
        ----------
        z : torch.Tensor, shape (..., n, p_1)
            The first layer before its ReLU.

        Returns
        -------
        list of torch.Tensor, shapes (..., n, p_d)
            As `layers` returns; `z` itself if there is no hidden layer.
        """
        outputs = [z]
        for weight, bias in zip(self.weights[1:], self.biases[1:], strict=True):
            outputs[-1] = outputs[-1].relu()
            outputs.append(affine(outputs[-1], weight, bias))
        return outputs

    def __call__(self, x) -> torch.Tensor:
        """Return the logits, shape (..., n, classes), of a batch of examples."""
        return self.layers(x)[-1]

    def to_torch(self) -> nn.Sequential:
        """Return an equal `torch.nn.Sequential` of Linear and ReLU modules.

        PyTorch stores a Linear's weight transposed, (p_out, p_in); the copies share no memory.

        Examples
        --------
        >>> initialise([4, 3, 2], seed=0).to_torch()
        Sequential(
          (0): Linear(in_features=4, out_features=3, bias=True)
          (1): ReLU()
          (2): Linear(in_features=3, out_features=2, bias=True)
        )
        """
        if self.batch_shape:
            raise ValueError("only a single network converts to torch; index the population first")
        modules: list[nn.Module] = []
        for weight, bias in zip(self.weights, self.biases, strict=True):
            linear = nn.Linear(*weight.shape, device=self.device, dtype=self.dtype)
            with torch.no_grad():
                linear.weight.copy_(weight.T)
                linear.bias.copy_(bias)
            modules += [linear, nn.ReLU()]
        return nn.Sequential(*modules[:-1])

    @classmethod
    def from_torch(cls, source: nn.Sequential | Mapping[str, torch.Tensor]) -> "Network":
        """Return the network of a `torch.nn.Sequential` or of such a module's `state_dict`.

        Parameters
        ----------
        source : torch.nn.Sequential or mapping of str to torch.Tensor
            Linear layers with ReLU between them, in order; of a `state_dict`, the entries
            ``<name>.weight`` and ``<name>.bias`` in order (what lies between is taken as ReLU).

        Raises
        ------
        ValueError
            If a module is neither Linear nor ReLU, or a Linear has no bias.
        TypeError
            If `source` is neither a Sequential nor a mapping.
        """
        if isinstance(source, nn.Sequential):
            _check_modules(source)
            source = source.state_dict()
        if not isinstance(source, Mapping):
            raise TypeError(
                f"expected a torch.nn.Sequential or a state_dict; found {type(source).__name__}"
            )
        source = {str(key): checks.as_tensor(str(key), part) for key, part in source.items()}
        names = [key.removesuffix(".weight") for key in source if key.endswith(".weight")]
        expected = [f"{name}.{part}" for name in names for part in ("weight", "bias")]
        if not names or sorted(expected) != sorted(source):
            raise ValueError(
                "expected a state_dict of Linear layers, each with a '.weight' and a '.bias'; "
                f"found the keys {sorted(source)}"
            )
        return cls(
            [_matrix(f"{name}.weight", source).detach().mT.clone() for name in names],
            [source[f"{name}.bias"].detach().clone() for name in names],
        )

    def save(self, path: str | Path, metadata: Mapping[str, str] | None = None) -> None:
        """Write the network as safetensors, atomically and with a checksum.

        Parameters
        ----------
        path : str or Path
            File to write; an existing one is replaced.
        metadata : mapping of str to str, optional
            Kept beside the weights and returned by `store.load_tensors`.
        """
        tensors = {}
        for d, (weight, bias) in enumerate(zip(self.weights, self.biases, strict=True), start=1):
            tensors |= {f"layers.{d}.weight": weight, f"layers.{d}.bias": bias}
        store.save_tensors(path, tensors, {**(metadata or {}), "kind": "safecross.Network"})


def load_network(path: str | Path) -> Network:
    """Return the network that `Network.save` wrote.

    Parameters
    ----------
    path : str or Path
        A safetensors file.

    Raises
    ------
    store.DamagedFile
        If the file is missing, is not safetensors, or differs from its checksum.
    ValueError
        If it is safetensors, but not of a network.
    """
    tensors, metadata = store.load_tensors(path)
    if metadata.get("kind") != "safecross.Network":
        raise ValueError(
            f"{path} is not a network: expected tensors 'layers.1.weight', 'layers.1.bias', ... "
            f"written by Network.save; found {sorted(tensors)[:6]}. "
            "A PyTorch model converts with Network.from_torch(model).save(path)."
        )
    depth = len(tensors) // 2
    expected = {f"layers.{d}.{p}" for d in range(1, depth + 1) for p in ("weight", "bias")}
    if not depth or set(tensors) != expected:
        raise ValueError(
            f"{path} is not a network: expected tensors layers.1.weight, layers.1.bias, "
            f"layers.2.weight, ...; found {sorted(tensors)[:6]}"
        )
    return Network(
        [tensors[f"layers.{d}.weight"] for d in range(1, depth + 1)],
        [tensors[f"layers.{d}.bias"] for d in range(1, depth + 1)],
    )


def initialise(
    widths: Sequence[int],
    seed: int | Iterable[int],
    dtype: torch.dtype = torch.float32,
    device: str | torch.device = "cpu",
) -> Network:
    r"""Draw a network's weights from :math:`N(0, 1/\sqrt{h})`, h the layer's number of inputs.

    Parameters
    ----------
    widths : sequence of int
        Inputs, hidden widths, outputs; at least two entries.
    seed : int or iterable of int
        One seed for one network, in [0, 2^64); several for a population, each network with its own.
    dtype, device
        Of the weights. The numbers are drawn on the CPU in float32, whatever the device.

    Returns
    -------
    Network
        With standard deviation :math:`h^{-1/2}` in each layer and biases 0 (the paper does not
        say how biases start).

    Raises
    ------
    ValueError
        If a width or a seed is not a whole number in its range.

    Notes
    -----
    Source: Section 5.1, which writes :math:`N(0, \sqrt{h_i}^{-1})`.

    Examples
    --------
    >>> initialise([400, 30, 10], seed=1).weights[0].std().item() * 20  # doctest: +ELLIPSIS
    1.0...
    """
    widths = [checks.whole_number("each width", w, 1) for w in checks.as_list("widths", widths)]
    if len(widths) < 2:
        raise ValueError(f"widths must name inputs and outputs at least; found {widths}")
    seed = checks.as_seeds(seed)
    if isinstance(seed, list):
        return stack([initialise(widths, s, dtype, device) for s in seed])
    generator = torch.Generator().manual_seed(seed)
    weights = [torch.randn(a, b, generator=generator) / a**0.5 for a, b in pairwise(widths)]
    return Network(weights, [torch.zeros(b) for b in widths[1:]]).to(device, dtype)


def stack(networks: Sequence[Network]) -> Network:
    """Return a population made of networks of one architecture.

    Raises
    ------
    ValueError
        If there is none, or architectures, devices or numbers of networks differ.
    TypeError
        If one is no `Network`.
    """
    networks = checks.as_list("networks", networks)
    if not networks:
        raise ValueError("a population needs at least one network")
    for other in networks:
        check_same_architecture(networks[0], other)
        if other.batch_shape != networks[0].batch_shape:
            raise ValueError(
                "expected single networks, or populations of one size; found "
                f"{networks[0]!r} and {other!r}"
            )
    return Network(
        [torch.stack(layer) for layer in zip(*(n.weights for n in networks), strict=True)],
        [torch.stack(layer) for layer in zip(*(n.biases for n in networks), strict=True)],
    )


def check_same_architecture(theta_a: Network, theta_b: Network) -> None:
    """Raise ValueError unless both networks have the same widths throughout and one device."""
    for theta in (theta_a, theta_b):
        if not isinstance(theta, Network):
            raise TypeError(f"expected a Network; found {checks.shown(theta)}")
    if theta_a.widths != theta_b.widths:
        raise ValueError(
            "both parents must have the same architecture; found "
            f"{'-'.join(map(str, theta_a.widths))} and {'-'.join(map(str, theta_b.widths))}"
        )
    if theta_a.device != theta_b.device:
        raise ValueError(
            f"both parents must be on one device; found {theta_a.device} and {theta_b.device}. "
            "Move one of them with .to(...)"
        )


def _check_shapes(weights: Sequence[torch.Tensor], biases: Sequence[torch.Tensor]) -> None:
    if not weights or len(weights) != len(biases):
        raise ValueError(
            f"expected as many bias vectors as weight matrices, at least one of each; "
            f"found {len(weights)} and {len(biases)}"
        )
    like = weights[0]
    previous = None
    for d, (weight, bias) in enumerate(zip(weights, biases, strict=True), start=1):
        if not weight.is_floating_point() or weight.ndim < 2 or 0 in weight.shape[-2:]:
            raise ValueError(
                f"weights of layer {d} must be a floating-point matrix (inputs, outputs); "
                f"found {weight.dtype} of shape {tuple(weight.shape)}"
            )
        if previous is not None and weight.shape[-2] != previous:
            raise ValueError(
                f"weights of layer {d} must have {previous} rows, the outputs of layer {d - 1}; "
                f"found shape {tuple(weight.shape)}"
            )
        expected = (*like.shape[:-2], weight.shape[-1])
        if bias.shape != expected or weight.shape[:-2] != like.shape[:-2]:
            raise ValueError(
                f"biases of layer {d} must have shape {tuple(expected)}; "
                f"found {tuple(bias.shape)} beside weights {tuple(weight.shape)}"
            )
        for part in (weight, bias):
            if part.dtype != like.dtype or part.device != like.device:
                raise ValueError(
                    f"all layers must share one dtype and device ({like.dtype}, {like.device}); "
                    f"found {part.dtype}, {part.device} in layer {d}"
                )
        previous = weight.shape[-1]


def _matrix(name: str, source: Mapping[str, torch.Tensor]) -> torch.Tensor:
    if source[name].ndim < 2:
        raise ValueError(f"{name} must be a matrix; found shape {tuple(source[name].shape)}")
    return source[name]


def _check_modules(model: nn.Sequential) -> None:
    kinds = [type(module) for module in model]
    # One more Linear than ReLU: a ReLU at the end would be part of the function, and be lost.
    if kinds != ([nn.Linear, nn.ReLU] * len(kinds))[: len(kinds) | 1]:
        found = ", ".join(kind.__name__ for kind in kinds)
        raise ValueError(f"expected Linear layers with ReLU between them; found {found}")
