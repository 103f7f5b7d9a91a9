"""The small architectures of the book's experiments, each built from its name and its options."""

from collections.abc import Callable
from types import MappingProxyType

import torch
from torch import nn

from .. import checks

__all__ = [
    "ARCHITECTURES",
    "build",
    "mlp",
    "parse_architecture",
    "resnet9",
    "resnet20",
    "transformer",
    "vgg7",
]


def vgg7(shape: tuple[int, int, int], n_classes: int, width: int = 16) -> nn.Module:
    """Return six convolutions with batch norm, pooled to half four times, and one linear layer.

    Widths are `width` times 1, 2, 4, 4, 8, 8; each convolution is 3 x 3.

    Parameters
    ----------
    shape : tuple of int
        Channels, height and width of an image.
    n_classes : int
        Outputs.
    width : int
        Channels of the first convolution.

    Notes
    -----
    Source: Simonyan and Zisserman 2015, made small.

    Examples
    --------
    >>> sum(p.numel() for p in vgg7((3, 32, 32), 10).parameters())
    283674
    """
    layers, channels = [], shape[0]
    for i, times in enumerate((1, 2, 4, 4, 8, 8)):
        layers += _convolution(channels, times * width)
        channels = times * width
        if i in (0, 1, 3, 5):
            layers.append(nn.MaxPool2d(2))
    return nn.Sequential(*layers, *_head(channels, n_classes))


def _convolution(channels: int, out: int, stride: int = 1) -> list[nn.Module]:
    convolution = nn.Conv2d(channels, out, 3, stride, padding=1, bias=False)
    return [convolution, nn.BatchNorm2d(out), nn.ReLU()]


def _head(channels: int, n_classes: int) -> list[nn.Module]:
    return [nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(channels, n_classes)]


class _Residual(nn.Module):
    """Two convolutions, added to what they were given (projected where sizes differ)."""

    def __init__(self, channels: int, out: int, stride: int = 1, last: bool = True):
        super().__init__()
        body = [*_convolution(channels, out, stride), *_convolution(out, out)]
        # A basic block is added before its last ReLU; those of a ResNet-9 after it.
        self.body = nn.Sequential(*body) if last else nn.Sequential(*body[:-1])
        self.after = nn.Identity() if last else nn.ReLU()
        alike = channels == out and stride == 1
        projection = [nn.Conv2d(channels, out, 1, stride, bias=False), nn.BatchNorm2d(out)]
        self.skip = nn.Identity() if alike else nn.Sequential(*projection)

    def forward(self, x):
        return self.after(self.skip(x) + self.body(x))


def resnet9(shape: tuple[int, int, int], n_classes: int, width: int = 16) -> nn.Module:
    """Return four convolutions with two residual blocks between them, and one linear layer.

    Parameters
    ----------
    shape, n_classes, width
        As for `vgg7`; widths are `width` times 1, 2, 4, 8.

    Examples
    --------
    >>> resnet9((3, 32, 32), 10)(torch.zeros(2, 3, 32, 32)).shape
    torch.Size([2, 10])
    """
    w = width
    return nn.Sequential(
        *_convolution(shape[0], w),
        *(*_convolution(w, 2 * w), nn.MaxPool2d(2), _Residual(2 * w, 2 * w)),
        *(*_convolution(2 * w, 4 * w), nn.MaxPool2d(2)),
        *(*_convolution(4 * w, 8 * w), nn.MaxPool2d(2), _Residual(8 * w, 8 * w)),
        *_head(8 * w, n_classes),
    )


def resnet20(shape: tuple[int, int, int], n_classes: int, width: int = 16) -> nn.Module:
    """Return the ResNet-20 of He et al. 2016, with projections where widths change.

    Parameters
    ----------
    shape, n_classes, width
        As for `vgg7`; widths are `width` times 1, 2, 4.

    Examples
    --------
    >>> sum(p.numel() for p in resnet20((3, 32, 32), 10).parameters())
    272474
    """
    layers, channels = _convolution(shape[0], width), width
    for i, times in enumerate((1, 2, 4)):
        for j in range(3):
            stride = 2 if i and not j else 1
            layers.append(_Residual(channels, times * width, stride, last=False))
            channels = times * width
    return nn.Sequential(*layers, *_head(channels, n_classes))


def mlp(shape: tuple[int, int, int], n_classes: int, width: int = 256, depth: int = 2) -> nn.Module:
    """Return `depth` hidden layers with layer norm and ReLU, and one linear layer.

    Parameters
    ----------
    shape, n_classes
        As for `vgg7`.
    width : int
        Neurons of each hidden layer.
    depth : int
        Hidden layers.

    Examples
    --------
    >>> mlp((1, 28, 28), 10)(torch.zeros(2, 1, 28, 28)).shape
    torch.Size([2, 10])
    """
    layers, width_in = [nn.Flatten()], shape[0] * shape[1] * shape[2]
    for _ in range(depth):
        layers += [nn.Linear(width_in, width), nn.LayerNorm(width), nn.ReLU()]
        width_in = width
    return nn.Sequential(*layers, nn.Linear(width_in, n_classes))


class _Block(nn.Module):
    """Attention and a two-layer MLP, each added to what it was given after a layer norm."""

    def __init__(self, width: int, heads: int):
        super().__init__()
        self.heads = heads
        self.norm1, self.norm2 = nn.LayerNorm(width), nn.LayerNorm(width)
        self.qkv, self.out = nn.Linear(width, 3 * width), nn.Linear(width, width)
        self.up, self.down = nn.Linear(width, 4 * width), nn.Linear(4 * width, width)

    def forward(self, x):
        n, tokens, width = x.shape
        parts = self.qkv(self.norm1(x)).view(n, tokens, 3, self.heads, width // self.heads)
        query, key, value = parts.permute(2, 0, 3, 1, 4).unbind(0)
        seen = nn.functional.scaled_dot_product_attention(query, key, value)
        x = x + self.out(seen.transpose(1, 2).reshape(n, tokens, width))
        return x + self.down(nn.functional.gelu(self.up(self.norm2(x))))


class _Transformer(nn.Module):
    def __init__(self, shape, n_classes: int, width: int, depth: int, heads: int, patch: int):
        super().__init__()
        tokens = (shape[1] // patch) * (shape[2] // patch)
        self.patches = nn.Conv2d(shape[0], width, patch, patch)
        self.position = nn.Parameter(0.02 * torch.randn(1, tokens, width))
        self.blocks = nn.Sequential(*(_Block(width, heads) for _ in range(depth)))
        self.norm, self.head = nn.LayerNorm(width), nn.Linear(width, n_classes)

    def forward(self, x):
        x = self.patches(x).flatten(2).transpose(1, 2) + self.position
        return self.head(self.norm(self.blocks(x)).mean(1))


def transformer(
    shape: tuple[int, int, int],
    n_classes: int,
    width: int = 64,
    depth: int = 2,
    heads: int = 4,
    patch: int = 7,
) -> nn.Module:
    """Return a small vision transformer (Dosovitskiy et al. 2021) that averages its tokens.

    Parameters
    ----------
    shape, n_classes
        As for `vgg7`; the sides of an image are multiples of `patch`.
    width, depth, heads, patch : int
        Of the residual stream, in blocks, in a block, and pixels of a patch's side.

    Examples
    --------
    >>> transformer((1, 28, 28), 10)(torch.zeros(2, 1, 28, 28)).shape
    torch.Size([2, 10])
    """
    return _Transformer(shape, n_classes, width, depth, heads, patch)


#: All architectures by name; read-only.
ARCHITECTURES: MappingProxyType[str, Callable[..., nn.Module]] = MappingProxyType(
    {f.__name__: f for f in (vgg7, resnet9, resnet20, mlp, transformer)}
)


def build(text: str, shape: tuple[int, int, int], n_classes: int, seed: int) -> nn.Module:
    """Return a new module of an architecture written in one word.

    Parameters
    ----------
    text : str
        ``name`` or ``name:option=whole number,...``, such as ``vgg7:width=32``.
    shape, n_classes
        As for `vgg7`.
    seed : int
        Of the initial weights, in [0, 2^63); the state of PyTorch's generator is left as it was.

    Raises
    ------
    ValueError
        If the architecture or an option is unknown, or an option is no whole number >= 1.

    Examples
    --------
    >>> build("mlp:width=32,depth=3", (1, 8, 8), 10, seed=0)[1]
    Linear(in_features=64, out_features=32, bias=True)
    """
    make, options = parse_architecture(text)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return make(shape, n_classes, **options)


def parse_architecture(text: str) -> tuple[Callable[..., nn.Module], dict[str, int]]:
    """Return the builder and the options of an architecture written in one word, as for `build`."""
    name, _, rest = text.partition(":")
    if name not in ARCHITECTURES:
        raise ValueError(checks.unknown("architecture", name, ARCHITECTURES))
    make = ARCHITECTURES[name]
    known = make.__code__.co_varnames[2 : make.__code__.co_argcount]
    options = {}
    for item in filter(None, rest.split(",")):
        option, _, value = item.partition("=")
        if option not in known:
            raise ValueError(checks.unknown(f"option of architecture {name!r}", option, known))
        if not value.isdecimal() or not int(value):
            raise ValueError(f"{option} of {text!r} must be a whole number >= 1; found {value!r}")
        options[option] = int(value)
    return make, options
