"""Small modules of every kind that `trace` has rules for, each with its groups counted by hand."""

import torch
from torch import nn
from torch.nn import functional as F
from torch.nn.utils.parametrizations import spectral_norm, weight_norm


class Of(nn.Module):
    """A module of named parts and a function of them."""

    def __init__(self, forward, **parts):
        super().__init__()
        self.function = forward
        for name, part in parts.items():
            setattr(self, name, nn.Parameter(part) if isinstance(part, torch.Tensor) else part)

    def forward(self, *inputs):
        return self.function(self, *inputs)


def pooled(x):
    return x.mean((-2, -1))


def grouped_resnet():
    def forward(m, x):
        x = m.norm0(m.stem(x)).relu()
        return m.head(pooled((x + m.norm2(m.back(m.norm1(m.grouped(x)).relu()))).relu()))

    return Of(
        forward,
        stem=nn.Conv2d(3, 8, 3),
        norm0=nn.GroupNorm(2, 8),
        grouped=nn.Conv2d(8, 12, 3, padding=1, groups=2),
        norm1=nn.GroupNorm(2, 12),
        back=nn.Conv2d(12, 8, 1, groups=2),
        norm2=nn.GroupNorm(2, 8),
        head=nn.Linear(8, 3),
    )


def densenet():
    def forward(m, x):
        x = m.conv0(x)
        x = torch.cat([x, m.conv1(x.relu())], 1)
        x = torch.cat([x, m.conv2(x.relu())], 1)
        return m.head(pooled(F.gelu(m.norm(x))))

    return Of(
        forward,
        conv0=nn.Conv2d(3, 4, 3),
        conv1=nn.Conv2d(4, 2, 3, padding=1),
        conv2=nn.Conv2d(6, 3, 3, padding=1),
        norm=nn.BatchNorm2d(9),
        head=nn.Linear(9, 3),
    )


def squeeze_and_excite():
    def forward(m, x):
        x = m.conv(x).relu()
        scale = m.up(m.down(pooled(x)).relu()).sigmoid()
        return m.head(pooled(x * scale[:, :, None, None]))

    return Of(
        forward,
        conv=nn.Conv2d(3, 6, 3),
        down=nn.Linear(6, 2),
        up=nn.Linear(2, 6),
        head=nn.Linear(6, 3),
    )


class GPT(nn.Module):
    """One block, a fused projection, embeddings tied to the output."""

    def __init__(self, width=8, heads=2, vocabulary=11, length=5):
        super().__init__()
        self.heads = heads
        self.tokens = nn.Embedding(vocabulary, width)
        self.positions = nn.Parameter(torch.randn(length, width))
        self.norm1, self.norm2, self.norm3 = (nn.LayerNorm(width) for _ in range(3))
        self.qkv, self.out = nn.Linear(width, 3 * width), nn.Linear(width, width)
        self.up, self.down = nn.Linear(width, 16), nn.Linear(16, width)
        self.head = nn.Linear(width, vocabulary, bias=False)
        self.head.weight = self.tokens.weight

    def forward(self, index):
        x = self.tokens(index) + self.positions
        q, k, v = self.qkv(self.norm1(x)).split(x.shape[-1], -1)
        q, k, v = (part.unflatten(-1, (self.heads, -1)).transpose(1, 2) for part in (q, k, v))
        found = F.scaled_dot_product_attention(q, k, v, is_causal=True)
        x = x + self.out(found.transpose(1, 2).flatten(2))
        x = x + self.down(F.gelu(self.up(self.norm2(x))))
        return self.head(self.norm3(x))


class Llama(nn.Module):
    """Grouped-query attention, RMS norm, gated units."""

    def __init__(self, width=8, heads=4, shared=2, head=3):
        super().__init__()
        self.norm1, self.norm2 = nn.RMSNorm(width), nn.RMSNorm(width)
        self.embed = nn.Linear(5, width)
        self.q = nn.Linear(width, heads * head, bias=False)
        self.k, self.v = (nn.Linear(width, shared * head, bias=False) for _ in range(2))
        self.o = nn.Linear(heads * head, width, bias=False)
        self.gate, self.up = (nn.Linear(width, 10, bias=False) for _ in range(2))
        self.down = nn.Linear(10, width, bias=False)
        self.final = nn.Linear(width, 3)
        self.sizes = (heads, shared, head)

    def forward(self, x):
        heads, shared, head = self.sizes
        x = self.embed(x)
        h = self.norm1(x)
        q = self.q(h).unflatten(-1, (heads, head)).transpose(1, 2)
        k, v = (m(h).unflatten(-1, (shared, head)).transpose(1, 2) for m in (self.k, self.v))
        k, v = (part.repeat_interleave(heads // shared, 1) for part in (k, v))
        scores = (q @ k.transpose(-1, -2) / head**0.5).softmax(-1)
        x = x + self.o((scores @ v).transpose(1, 2).flatten(2))
        h = self.norm2(x)
        return self.final(x + self.down(F.silu(self.gate(h)) * self.up(h)))


def vit():
    def forward(m, x):
        x = m.patches(x).flatten(2).transpose(1, 2)
        x = torch.cat([m.token.expand(len(x), -1, -1), x], 1)
        return m.head(m.layer(x)[:, 0])

    return Of(
        forward,
        patches=nn.Conv2d(3, 8, 4, 4),
        token=torch.randn(1, 1, 8),
        layer=nn.TransformerEncoderLayer(8, 2, 12, dropout=0.0, batch_first=True),
        head=nn.Linear(8, 3),
    )


def fused_by_select():
    """Attention whose projection is viewed as (3, heads, width) and taken apart by index."""

    def forward(m, x):
        x = m.embed(x)
        q, k, v = m.qkv(x).unflatten(-1, (3, 2, 4)).permute(2, 0, 3, 1, 4).unbind(0)
        found = (q @ k.mT).softmax(-1) @ v
        return m.head(x + m.out(found.transpose(1, 2).flatten(2)))

    return Of(
        forward,
        embed=nn.Linear(5, 6),
        qkv=nn.Linear(6, 24),
        out=nn.Linear(8, 6),
        head=nn.Linear(6, 3),
    )


def lstm():
    return Of(
        lambda m, x: m.head(m.lstm(m.embed(x))[0]),
        embed=nn.Linear(5, 6),
        lstm=nn.LSTM(6, 7, batch_first=True),
        head=nn.Linear(7, 2),
    )


def recurrent():
    """One group on both axes of a weight."""

    def forward(m, x):
        h = m.embed(x)
        for _ in range(2):
            h = m.again(h).tanh()
        return m.head(h)

    return Of(forward, embed=nn.Linear(4, 5), again=nn.Linear(5, 5), head=nn.Linear(5, 2))


def image(side=8):
    return torch.randn(2, 3, side, side)


def between(middle, channels=8, out=8, kernel=1):
    """A convolution to `channels`, what is tested, and a convolution from `out` channels."""
    return nn.Sequential(nn.Conv2d(3, channels, 1), middle, nn.Conv2d(out, 2, kernel))


def function(f):
    return Of(lambda m, x: f(x))


#: Name: how the module is made, an example, sizes of its groups by hand.
ZOO = {
    "mlp": (
        lambda: nn.Sequential(
            nn.Linear(6, 8), nn.LayerNorm(8), nn.GELU(), nn.Linear(8, 5), nn.ReLU(), nn.Linear(5, 3)
        ),
        lambda: torch.randn(2, 6),
        [8, 5],
    ),
    "flatten": (
        lambda: nn.Sequential(
            *(nn.Conv2d(3, 4, 3), nn.ReLU(), nn.MaxPool2d(2), nn.Conv2d(4, 5, 2), nn.ReLU()),
            *(nn.Flatten(), nn.Linear(20, 6), nn.ReLU(), nn.Linear(6, 3)),
        ),
        image,
        [4, 5, 6],
    ),
    "grouped resnet": (grouped_resnet, image, [2, 4, 6]),
    "densenet": (densenet, image, [4, 2, 3]),
    "squeeze and excite": (squeeze_and_excite, image, [6, 2]),
    "depthwise": (
        lambda: nn.Sequential(
            *(nn.Conv2d(3, 4, 1), nn.Conv2d(4, 4, 3, groups=4), nn.BatchNorm2d(4), nn.ReLU6()),
            nn.Conv2d(4, 2, 1),
        ),
        image,
        [4],
    ),
    # Width, heads, queries and keys, values, the hidden layer.
    "gpt": (GPT, lambda: torch.randint(0, 11, (2, 5)), [8, 2, 4, 4, 16]),
    # Width, heads of keys, queries of each, width of queries and keys, of values, gated units.
    "llama": (Llama, lambda: torch.randn(2, 4, 5), [8, 2, 2, 3, 3, 10]),
    "vit": (vit, image, [8, 2, 4, 4, 12]),
    "fused by select": (fused_by_select, lambda: torch.randn(2, 3, 5), [6, 2, 4, 4]),
    "lstm": (lstm, lambda: torch.randn(2, 3, 5), []),
    "recurrent": (recurrent, lambda: torch.randn(2, 4), [5]),
}

#: The same for single operations.
RULE_MODELS = {
    "glu": (lambda: between(nn.GLU(1), 8, 4), image, [4]),
    "prelu": (lambda: between(nn.PReLU(8)), image, [8]),
    "conv_transpose2d": (lambda: between(nn.ConvTranspose2d(8, 5, 3), 8, 5), image, [8, 5]),
    "conv_transpose2d grouped": (
        lambda: between(nn.ConvTranspose2d(8, 6, 3, groups=2), 8, 6),
        image,
        [2, 4, 3],
    ),
    "instance_norm": (lambda: between(nn.InstanceNorm2d(8, affine=True)), image, [8]),
    "batch_norm": (lambda: between(nn.BatchNorm2d(8)), image, [8]),
    "group_norm": (lambda: between(nn.GroupNorm(4, 8)), image, [4, 2]),
    "layer_norm": (
        lambda: nn.Sequential(nn.Linear(3, 5), nn.LayerNorm(5), nn.Linear(5, 2)),
        lambda: torch.randn(2, 3),
        [5],
    ),
    "rms_norm": (
        lambda: nn.Sequential(nn.Linear(3, 5), nn.RMSNorm(5), nn.Linear(5, 2)),
        lambda: torch.randn(2, 3),
        [5],
    ),
    "einsum": (
        lambda: Of(
            lambda m, x: torch.einsum("nc,dc->nd", m.first(x), m.weight).relu() @ m.last,
            first=nn.Linear(3, 5),
            weight=torch.randn(4, 5),
            last=torch.randn(4, 2),
        ),
        lambda: torch.randn(2, 3),
        [5, 4],
    ),
    "pixel_shuffle": (lambda: between(nn.PixelShuffle(2), 12, 3), image, [3]),
    "pixel_unshuffle": (lambda: between(nn.PixelUnshuffle(2), 3, 12), image, [3]),
    "channel_shuffle": (lambda: between(nn.ChannelShuffle(2)), image, [2, 4]),
    "_weight_norm": (
        lambda: between(weight_norm(nn.Conv2d(8, 5, 3)), 8, 5),
        image,
        [8, 5],
    ),
    "mv": (
        lambda: nn.Sequential(nn.Linear(3, 5), spectral_norm(nn.Linear(5, 4)), nn.Linear(4, 2)),
        lambda: torch.randn(2, 3),
        [5, 4],
    ),
    "bilinear": (
        lambda: Of(
            lambda m, x: m.last(m.pair(m.a(x), m.b(x))),
            a=nn.Linear(3, 4),
            b=nn.Linear(3, 5),
            pair=nn.Bilinear(4, 5, 6),
            last=nn.Linear(6, 2),
        ),
        lambda: torch.randn(2, 3),
        [4, 5, 6],
    ),
    "im2col": (
        lambda: Of(
            lambda m, x: m.last(F.unfold(m.first(x), 3).mT),
            first=nn.Conv2d(3, 4, 1),
            last=nn.Linear(36, 2),
        ),
        image,
        [4],
    ),
    "pad": (
        lambda: between(function(lambda x: F.pad(x, (0, 0, 0, 0, 1, 3)).relu()), 4, 8),
        image,
        # The padding reads nothing, and its places may be permuted as well.
        [4, 3],
    ),
    "embedding": (
        lambda: nn.Sequential(nn.Embedding(7, 5), nn.Linear(5, 2)),
        lambda: torch.randint(0, 7, (2, 3)),
        [5],
    ),
    "chunk": (
        lambda: between(function(lambda x: x.chunk(2, 1)[0] * 2 - x.chunk(2, 1)[1]), 8, 4),
        image,
        [4],
    ),
    "cat": (lambda: between(function(lambda x: torch.cat([x, x.relu()], 1)), 4, 8), image, [4]),
    "slice": (lambda: between(function(lambda x: x[:, 2:7]), 8, 5), image, [2, 5]),
    "slice by step": (lambda: between(function(lambda x: x[:, ::2]), 8, 4), image, [4, 4]),
    "slice_scatter": (
        lambda: between(function(lambda x: x.slice_scatter(x[:, :3].tanh(), 1, 0, 3))),
        image,
        [3, 5],
    ),
    "repeat": (lambda: between(function(lambda x: x.repeat(1, 2, 1, 1)), 4, 8), image, [4, 2]),
    "expand": (
        lambda: between(function(lambda x: x.mean(1, True).expand(-1, 8, -1, -1))),
        image,
        [8, 8],
    ),
    "hardswish": (lambda: between(nn.Hardswish()), image, [8]),
    "softmax": (lambda: between(nn.Softmax(1)), image, [8]),
    "addmm": (
        lambda: Of(
            lambda m, x: torch.addmm(m.bias, m.first(x), m.weight) @ m.last,
            first=nn.Linear(3, 5),
            bias=torch.randn(4),
            weight=torch.randn(5, 4),
            last=torch.randn(4, 2),
        ),
        lambda: torch.randn(2, 3),
        [5, 4],
    ),
    "scaled_dot_product_attention": (
        lambda: Of(
            lambda m, x: m.out(
                F.scaled_dot_product_attention(
                    m.q(x).unflatten(-1, (4, 3)).transpose(1, 2),
                    m.k(x).unflatten(-1, (2, 3)).transpose(1, 2),
                    m.v(x).unflatten(-1, (2, 3)).transpose(1, 2),
                    enable_gqa=True,
                )
                .transpose(1, 2)
                .flatten(2)
            ),
            q=nn.Linear(5, 12),
            k=nn.Linear(5, 6),
            v=nn.Linear(5, 6),
            out=nn.Linear(12, 2),
        ),
        lambda: torch.randn(2, 4, 5),
        [2, 2, 3, 3],
    ),
}
