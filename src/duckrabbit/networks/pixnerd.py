"""PixNerd: a transformer over patches, which writes for each patch the weights of a small network of its pixels.

Wang et al. 2025, "PixNerd: Pixel Neural Field Diffusion" (arXiv 2507.23268); the sizes and details that the paper
leaves open are those of the published text-to-image model. A picture is cut into P x P patches. A transformer
(pre-norm blocks with RMSNorm, SwiGLU, rotary positions and adaLN; Peebles and Xie 2023, arXiv 2212.09748) reads
them beside the prompt, and its state s_n of patch n gives the weights of a field, the same for every pixel of it:

    h_0 = W (rgb, cos(f_k x), cos(f_k y)),  h_{l+1} = h_l + silu(norm(h_l) A_l(s_n)) B_l(s_n),  u = W' h,

with the columns of A_l of length 1. A field can be asked for finer or coarser pixels than those it was trained on.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.functional import interpolate, normalize, scaled_dot_product_attention, silu

from duckrabbit.errors import UserError

EPS = 1e-6
_CLOCK, _PERIOD = 256, 10.0
"""Numbers that tell the time, and the longest period among them over 2 pi."""
_THETA, _EXTENT = 10000.0, 16.0
"""The base of all position frequencies; how far a patch reaches in the coordinates of its field."""


@dataclass(frozen=True)
class PixNerdConfig:
    """The sizes of a network; the defaults are those of PixNerd-XXL-P16-T2I (1.2 B parameters).

    size, patch: pixels of a side. width, heads, blocks: of the transformer. text_width, text_tokens,
    text_blocks: the prompt's states, and the blocks that read them alone. field_width, field_layers,
    field_ratio: the hidden width of a field, its layers, and how much wider each is inside.
    waves: the numbers that tell a pixel's place. Raises UserError for sizes that do not fit together.
    """

    size: int = 512
    channels: int = 3
    patch: int = 16
    width: int = 1536
    heads: int = 24
    blocks: int = 16
    text_width: int = 2048
    text_tokens: int = 128
    text_blocks: int = 4
    field_width: int = 64
    field_layers: int = 2
    field_ratio: int = 2
    waves: int = 64

    def __post_init__(self) -> None:
        wrong = [f.name for f in fields(self) if type(v := getattr(self, f.name)) is not int or v < 1]
        if wrong:
            raise UserError(f"The {wrong[0]} of a PixNerd network is a whole number from 1 up.")
        if self.size % self.patch or self.width % (4 * self.heads) or self.waves % 2:
            raise UserError(
                f"A PixNerd network of size {self.size}, patch {self.patch}, width {self.width}, heads {self.heads} "
                f"and waves {self.waves} cannot be: the patch divides the size, 4 x heads the width, 2 the waves."
            )

    @property
    def grid(self) -> int:
        """Patches along a side."""
        return self.size // self.patch

    def to_json(self) -> dict[str, int]:
        """The sizes as plain values."""
        return asdict(self)

    @classmethod
    def from_json(cls, values: Mapping[str, Any]) -> PixNerdConfig:
        """From plain values. Raises UserError for an unknown one."""
        unknown = sorted(set(values) - {f.name for f in fields(cls)})
        if unknown:
            raise UserError(f"A PixNerd network has no {unknown[0]}; it has {', '.join(f.name for f in fields(cls))}.")
        return cls(**values)


def angles(rows: int, columns: int, count: int, extent: float) -> Tensor:
    """Phases (rows x columns, count) of places: f_k x and f_k y by turns, both from 0 to `extent` inclusive.

    f_k = 10000^(-2 k / count), k = 0 ... count / 2 - 1 (Su et al. 2021, arXiv 2104.09864, in two dimensions).
    """
    f = _THETA ** (-torch.arange(count // 2) * (2 / count))
    y, x = torch.meshgrid(torch.linspace(0, extent, rows), torch.linspace(0, extent, columns), indexing="ij")
    return torch.stack([x.reshape(-1, 1) * f, y.reshape(-1, 1) * f], dim=-1).flatten(1)


def rotated(x: Tensor, phases: Tensor) -> Tensor:
    """Vectors (..., N, D), each pair of neighbouring numbers turned by its phase (N, D / 2), in float32 or wider."""
    wide = x.to(torch.promote_types(x.dtype, torch.float32))
    a, b = wide.unflatten(-1, (-1, 2)).unbind(-1)
    cos, sin = phases.cos(), phases.sin()
    return torch.stack([a * cos - b * sin, a * sin + b * cos], dim=-1).flatten(-2).to(x.dtype)


class Clock(nn.Module):
    """What is told of the time, (N, 1, D) for times (N,) in [0, 1], 0 for noise."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.first, self.second = nn.Linear(_CLOCK, width), nn.Linear(width, width)

    def forward(self, time: Tensor) -> Tensor:
        """Cosines and sines of the time at 128 frequencies, from 1 down to about 1 / 10, through an MLP."""
        half = _CLOCK // 2
        f = torch.exp(-math.log(_PERIOD) * torch.arange(half, device=time.device) / half)
        phases = time.float()[:, None] * f
        waves = torch.cat([phases.cos(), phases.sin()], dim=1).to(self.first.weight.dtype)
        told: Tensor = self.second(silu(self.first(waves)))
        return told[:, None]


class Attention(nn.Module):
    """Attention of states (N, L, D) to themselves, and to a text's states (N, T, D) if they are given.

    Queries and keys are normalised by head; `phases` (L, D / heads / 2) turns those of the states, not the text's.
    """

    def __init__(self, width: int, heads: int, *, text: bool) -> None:
        super().__init__()
        self.heads = heads
        self.qkv = nn.Linear(width, 3 * width, bias=False)
        self.text_kv = nn.Linear(width, 2 * width, bias=False) if text else None
        self.q_norm, self.k_norm = (nn.RMSNorm(width // heads, eps=EPS) for _ in range(2))
        self.out = nn.Linear(width, width)

    def forward(self, x: Tensor, text: Tensor | None = None, phases: Tensor | None = None) -> Tensor:
        """softmax(q k^T / sqrt(D / heads)) v over both, (N, L, D)."""
        q, k, v = self._by_head(self.qkv(x), 3)
        q, k = self.q_norm(q), self.k_norm(k)
        if phases is not None:
            q, k = rotated(q, phases), rotated(k, phases)
        if self.text_kv is not None and text is not None:
            text_k, text_v = self._by_head(self.text_kv(text), 2)
            k, v = torch.cat([k, self.k_norm(text_k)], dim=2), torch.cat([v, text_v], dim=2)
        seen = scaled_dot_product_attention(q, k, v)
        return self.out(seen.transpose(1, 2).flatten(2))

    def _by_head(self, x: Tensor, parts: int) -> tuple[Tensor, ...]:
        """(N, L, parts x D) as so many of (N, heads, L, D / heads)."""
        return x.unflatten(-1, (parts, self.heads, -1)).permute(2, 0, 3, 1, 4).unbind(0)


class GatedMLP(nn.Module):
    """W_3 (silu(W_1 x) * W_2 x), four times as wide inside (Shazeer 2020, arXiv 2002.05202)."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.up, self.down = nn.Linear(width, 8 * width, bias=False), nn.Linear(4 * width, width, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        """Of states (N, L, D), the same shape."""
        gate, value = self.up(x).chunk(2, dim=-1)
        return self.down(silu(gate) * value)


class Block(nn.Module):
    """Attention and MLP, each shifted, scaled and gated by what is told of the time (N, 1, D)."""

    def __init__(self, width: int, heads: int, *, text: bool) -> None:
        super().__init__()
        self.attention_norm, self.mlp_norm = (nn.RMSNorm(width, eps=EPS) for _ in range(2))
        self.attention, self.mlp = Attention(width, heads, text=text), GatedMLP(width)
        self.modulation = nn.Linear(width, 6 * width)

    def forward(self, x: Tensor, told: Tensor, text: Tensor | None = None, phases: Tensor | None = None) -> Tensor:
        """x (N, L, D) after both, the same shape; `text` and `phases` as in Attention."""
        shift, scale, gate, mlp_shift, mlp_scale, mlp_gate = self.modulation(told).chunk(6, dim=-1)
        x = x + gate * self.attention(self.attention_norm(x) * (1 + scale) + shift, text, phases)
        return x + mlp_gate * self.mlp(self.mlp_norm(x) * (1 + mlp_scale) + mlp_shift)


class FieldLayer(nn.Module):
    """One layer of the fields: pixels (M, p, F) of M patches, the weights made from their states (M, D)."""

    def __init__(self, width: int, field_width: int, ratio: int) -> None:
        super().__init__()
        self.shape = (2, field_width * ratio * field_width)
        self.norm = nn.RMSNorm(field_width, eps=EPS)
        self.weights = nn.Linear(width, 2 * ratio * field_width**2)

    def forward(self, x: Tensor, states: Tensor) -> Tensor:
        """h + silu(norm(h) A) B, the columns of A of length 1; the same shape."""
        m, _, width = x.shape
        first, second = self.weights(states).unflatten(-1, self.shape).unbind(1)
        inner = silu(self.norm(x) @ normalize(first.view(m, width, -1), dim=1))
        return x + inner @ second.view(m, -1, width)


class PixNerd(nn.Module):
    """The velocity towards the picture, of pictures on the straight path from noise."""

    def __init__(self, config: PixNerdConfig) -> None:
        super().__init__()
        self.config, width = config, config.width
        self.patches = nn.Linear(config.channels * config.patch**2, width)
        self.words, self.words_norm = nn.Linear(config.text_width, width), nn.RMSNorm(width, eps=EPS)
        self.places = nn.Parameter(torch.randn(1, config.text_tokens, width))
        self.clock = Clock(width)
        self.readers = nn.ModuleList(Block(width, config.heads, text=False) for _ in range(config.text_blocks))
        self.blocks = nn.ModuleList(Block(width, config.heads, text=True) for _ in range(config.blocks))
        self.points = nn.Linear(config.channels + config.waves, config.field_width)
        self.fields = nn.ModuleList(
            FieldLayer(width, config.field_width, config.field_ratio) for _ in range(config.field_layers)
        )
        self.answer = nn.Linear(config.field_width, config.channels)

    def forward(self, x: Tensor, time: Tensor, text: Tensor) -> Tensor:
        """u = x_1 - noise (N, C, H, W) for x = time x_1 + (1 - time) noise, of value range [-1, 1].

        time (N,), 1 for the picture; text (N, text_tokens, text_width), the padding not hidden. H and W are
        multiples of `grid`; the transformer sees them enlarged or reduced to `size`, the fields as they are.
        Raises UserError for other shapes.
        """
        grid = self.config.grid
        self._check(x, text)
        told = self.clock(time)
        states = self._states(x, told, text).flatten(0, 1)
        pixels = _cut(x, grid)
        n, _, channels, rows, columns = pixels.shape
        phases = angles(rows, columns, self.config.waves, _EXTENT).cos().to(x)
        colours = pixels.flatten(3).transpose(2, 3).flatten(0, 1)
        h = self.points(torch.cat([colours, phases.expand(len(colours), -1, -1)], dim=-1))
        for layer in self.fields:
            h = layer(h, states)
        u = self.answer(h).transpose(1, 2).reshape(n, grid, grid, channels, rows, columns)
        return u.permute(0, 3, 1, 4, 2, 5).reshape(x.shape)

    def _states(self, x: Tensor, told: Tensor, text: Tensor) -> Tensor:
        """What the transformer makes of each patch, (N, grid^2, width)."""
        config, grid = self.config, self.config.grid
        condition = silu(told)
        words = self.words_norm(self.words(text)) + self.places
        for reader in self.readers:
            words = reader(words, condition)
        seen = x if x.shape[-2:] == (config.size, config.size) else interpolate(x, (config.size, config.size))
        phases = angles(grid, grid, config.width // config.heads // 2, float(grid)).to(x.device)
        states = self.patches(_cut(seen, grid).flatten(2))
        for block in self.blocks:
            states = block(states, condition, words, phases)
        return silu(told + states)

    def _check(self, x: Tensor, text: Tensor) -> None:
        config = self.config
        if x.shape[1] != config.channels or x.shape[2] % config.grid or x.shape[3] % config.grid:
            raise UserError(
                f"A picture of {tuple(x.shape[1:])} does not fit this PixNerd network: it has {config.channels} "
                f"channels, and sides that {config.grid} divides."
            )
        if text.shape[1:] != (config.text_tokens, config.text_width):
            raise UserError(
                f"A prompt's states are {(config.text_tokens, config.text_width)}, not {tuple(text.shape[1:])}: "
                "they were encoded for another model."
            )


def _cut(x: Tensor, grid: int) -> Tensor:
    """Pictures (N, C, H, W) as (N, grid^2, C, H / grid, W / grid), row by row."""
    n, c, h, w = x.shape
    return x.view(n, c, grid, h // grid, grid, w // grid).permute(0, 2, 4, 1, 3, 5).flatten(1, 2)
