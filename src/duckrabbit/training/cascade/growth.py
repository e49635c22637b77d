"""A trained U-Net grown to twice the size: a thin level around it, which begins as an enlargement of its answers.

The grown network is told the times of a chain whose sigma / alpha is twice as large (`diffusion.schedules.shifted`), so
that its picture z, reduced to half, is as noisy as what the old network knows. Nearly it answers at first

    v = D z_hi + C z_lo + A v_old,

z_lo the means of 2 x 2 pixels, z_hi = z - z_lo, v_old the old answer, enlarged. This is (alpha z - x) / sigma for the
picture x that the old network sees, and of its detail what a Wiener filter takes for it; D, C and A go with the time.

A block of convolutions, norms and GELUs passes a signal a unchanged as two channels a and -a of one group: their mean
is 0, so that the norm divides by the root mean square of a and takes nothing away, and GELU(a) - GELU(-a) = a. Root
mean squares are known beforehand, nearly, for the chain preserves variance.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor
from torch.nn.functional import gelu, layer_norm, linear

from duckrabbit.diffusion.schedules import DiscreteSchedule, shifted
from duckrabbit.errors import UserError

SHIFT = 2.0
"""Of the noise of the grown network's chain."""

_POWER, _DETAIL = 0.73, 0.03
"""Mean squares of drawings in [-1, 1], and of z_hi in them; measured."""
_SHOWN, _ANSWER = 0.93, 0.85
"""Root mean squares of what the old network is shown (0.85 at the first times, 1 at the last), and of an answer."""
_SMALL = 1 / 16
"""The factor of what is in the way: a shortcut that cannot be left out. The norm after it takes the factor away."""
_COLOURS, _ANSWERS = 3, 6
_PAIR = 2


def is_grown(old: Mapping[str, Any], new: Mapping[str, Any]) -> bool:
    """Whether the configuration `new` is `old` with a level of the same width around it, at twice the size."""
    inner = list(old.get("block_out_channels", ()))
    return bool(inner) and list(new["block_out_channels"]) == [inner[0], *inner] and _doubled(old, new)


def grow(old: Mapping[str, Tensor], unet: Any, schedule: DiscreteSchedule) -> dict[str, Tensor]:
    """The weights of `unet`, grown from those of the network of half its size; a pure function.

    old: the weights of a UNet2DConditionModel of `networks.unet_if.first_stage`, which predicts v and its variance
    along `schedule`, for pictures in [-1, 1]. unet: one with a thin level more, as wide as the level that was the first
    (`is_grown`); its own weights stay where the thin level has room to learn. Raises UserError where the old weights
    have no place in it, or its first level has not two channels to a group.
    """
    config = unet.config
    if config.block_out_channels[0] != _PAIR * config.norm_num_groups:
        raise UserError(f"A network grows where its first level has {_PAIR * config.norm_num_groups} channels.")
    new = {name: w.detach().clone() for name, w in unet.state_dict().items()}
    for name, w in old.items():
        if (inner := _inner(name)) is None:
            continue
        if inner not in new or new[inner].shape != w.shape:
            raise UserError(f"The network cannot be grown from these weights: {name} has no place in it.")
        new[inner] = w.detach().clone().float()
    ends = {name: w.float() for name, w in old.items() if _inner(name) is None}
    last = len(config.block_out_channels) - 1
    features, gains = _time_features(unet, new, schedule.length), _gains(schedule)
    _enter(new, ends)
    free = _leave_old(new, ends, f"up_blocks.{last - 1}", features, gains)
    _leave(new, f"up_blocks.{last}.resnets.0", free, features, gains["detail"])
    return new


def _doubled(old: Mapping[str, Any], new: Mapping[str, Any]) -> bool:
    return new["sample_size"] == 2 * old["sample_size"]


def _inner(name: str) -> str | None:
    """The name in the grown network of a weight of the old one; None for the ends, which are not taken over."""
    kind, _, rest = name.partition(".")
    if kind in ("conv_in", "conv_out", "conv_norm_out"):
        return None
    level, _, rest = rest.partition(".")
    return f"down_blocks.{int(level) + 1}.{rest}" if kind == "down_blocks" else name


def _enter(new: dict[str, Tensor], ends: Mapping[str, Tensor]) -> None:
    """The thin level's way down: the picture, reduced, goes through the old conv_in."""
    w, block = new["conv_in.weight"], "down_blocks.0.downsamplers.0"
    w.sub_(w.mean((2, 3), keepdim=True)).mul_(_SMALL)  # what else there is sees edges
    new["conv_in.bias"].zero_()
    signals = torch.cat(
        [torch.eye(_COLOURS), torch.ones(1, _COLOURS) / _COLOURS]
    )  # four, so that groups of four are whole
    w[: 2 * len(signals)] = 0
    w[: 2 * len(signals) : 2, :, 1, 1] = _SMALL * signals
    w[1 : 2 * len(signals) : 2, :, 1, 1] = -_SMALL * signals
    _rest(new, block)
    kernel = _SHOWN * ends["conv_in.weight"]
    for k in range(_COLOURS):
        _pass(new, block, k, _one(new, block, 2 * k) - _one(new, block, 2 * k + 1))
        new[f"{block}.conv2.weight"][:, 2 * k] = kernel[:, k]
        new[f"{block}.conv2.weight"][:, 2 * k + 1] = -kernel[:, k]
    new[f"{block}.conv2.bias"].copy_(ends["conv_in.bias"])


def _leave_old(
    new: dict[str, Tensor], ends: Mapping[str, Tensor], level: str, features: Tensor, gains: Mapping[str, Tensor]
) -> Tensor:
    """The way up from the old network's last `level`: C z_lo - D z_lo + A v_old at full size, and the variance's v.

    They are added to six channels, which are returned (6,): of the old last features those that count least. These show
    the picture instead, which the skip connection has still.
    """
    norm, out = ends["conv_norm_out.weight"], ends["conv_out.weight"]
    counts = (out.square().sum((0, 2, 3)) * norm.square()).view(-1, _PAIR).sum(1)
    groups = counts.argsort()[:_COLOURS].sort().values
    free = torch.stack([_PAIR * groups, _PAIR * groups + 1], 1).flatten()
    _show_picture(new, ends, level, free)
    block = f"{level}.upsamplers.0"
    _rest(new, block)
    new[f"{block}.norm1.weight"].copy_(norm)[free] = 1
    new[f"{block}.norm1.bias"].copy_(ends["conv_norm_out.bias"])[free] = 0
    kernel = enlarged(out)
    kernel[:, free] = 0
    for k in range(_ANSWERS):
        _pass(new, block, k, kernel[k], ends["conv_out.bias"][k])
        _add(new, block, k, int(free[k]))
    for k in range(_COLOURS):
        picture = _ANSWERS + k
        _pass(new, block, picture, _one(new, block, int(free[2 * k])) - _one(new, block, int(free[2 * k + 1])))
        _add(new, block, picture, int(free[k]))
        _scale(new, block, k, features, gains["answer"])
        _scale(new, block, picture, features, gains["coarse"])
    return free


def _show_picture(new: dict[str, Tensor], ends: Mapping[str, Tensor], level: str, free: Tensor) -> None:
    """The level's last block, small, with the picture that conv_in was shown in the free channels, as three pairs."""
    last = max(int(name.split(".")[3]) for name in new if name.startswith(f"{level}.resnets."))
    block = f"{level}.resnets.{last}"
    for name in ("conv2.weight", "conv2.bias", "conv_shortcut.weight", "conv_shortcut.bias"):
        new[f"{block}.{name}"].mul_(_SMALL)[free] = 0
    middle = torch.linalg.pinv(ends["conv_in.weight"].flatten(1))[
        4::9
    ]  # the colours in the middle of 3 x 3, from conv_in
    both = _SMALL * torch.stack([middle, -middle], 1).flatten(0, 1)
    new[f"{block}.conv_shortcut.weight"][free, -both.shape[1] :, 0, 0] = both
    new[f"{block}.conv_shortcut.bias"][free] = -both @ ends["conv_in.bias"]


def _leave(new: dict[str, Tensor], block: str, free: Tensor, features: Tensor, gain: Tensor) -> None:
    """The thin level's way up: what the free channels hold, and D z beside it."""
    _rest(new, block)
    shortcut, width = new[f"{block}.conv_shortcut.weight"], len(new["conv_in.bias"])
    new[f"{block}.conv_shortcut.bias"][: 2 * _ANSWERS] = 0
    shortcut[: 2 * _ANSWERS] = 0
    new["conv_norm_out.weight"].fill_(1)
    for name in ("conv_norm_out.bias", "conv_out.weight", "conv_out.bias"):
        new[name].zero_()
    for k in range(_ANSWERS):
        shortcut[2 * k, free[k]], shortcut[2 * k + 1, free[k]] = 1, -1
        size = _ANSWER if k < _COLOURS else 1.0
        new["conv_out.weight"][k, 2 * k, 1, 1], new["conv_out.weight"][k, 2 * k + 1, 1, 1] = size, -size
    for k in range(_COLOURS):
        _pass(new, block, k, _one(new, block, width + 2 * k) - _one(new, block, width + 2 * k + 1))
        _scale(new, block, k, features, gain)
        _add(new, block, k, 2 * k)
        _add(new, block, k, 2 * k + 1, -1.0)


def _rest(new: dict[str, Tensor], block: str) -> None:
    """A residual block that adds nothing, and is told no time; its first kernel stays."""
    for norm in ("norm1", "norm2"):
        new[f"{block}.{norm}.weight"].fill_(1)
        new[f"{block}.{norm}.bias"].zero_()
    for name in ("conv2.weight", "conv2.bias", "time_emb_proj.weight", "time_emb_proj.bias"):
        new[f"{block}.{name}"].zero_()


def _one(new: Mapping[str, Tensor], block: str, channel: int) -> Tensor:
    """The kernel (C, 3, 3) of a block's first convolution that gives back one channel."""
    kernel = torch.zeros_like(new[f"{block}.conv1.weight"][0])
    kernel[channel, 1, 1] = 1
    return kernel


def _pass(new: dict[str, Tensor], block: str, k: int, kernel: Tensor, bias: Tensor | float = 0.0) -> None:
    """Let the k-th pair of channels between a block's two convolutions be a and -a, a = kernel * input + bias."""
    w, b = new[f"{block}.conv1.weight"], new[f"{block}.conv1.bias"]
    w[2 * k], w[2 * k + 1] = kernel, -kernel
    b[2 * k], b[2 * k + 1] = bias, -bias


def _scale(new: dict[str, Tensor], block: str, k: int, features: Tensor, gain: Tensor) -> None:
    """Let the k-th pair be multiplied by gain (T,), nearly, a function of the time."""
    fit = _regression(features, (gain - 1).repeat_interleave(len(features) // len(gain)))
    new[f"{block}.time_emb_proj.weight"][2 * k : 2 * k + 2] = fit[:-1]
    new[f"{block}.time_emb_proj.bias"][2 * k : 2 * k + 2] = fit[-1]


def _add(new: dict[str, Tensor], block: str, k: int, channel: int, factor: float = 1.0) -> None:
    """Let a block add the k-th pair's a to a channel."""
    w = new[f"{block}.conv2.weight"]
    w[channel, 2 * k, 1, 1], w[channel, 2 * k + 1, 1, 1] = factor, -factor


def enlarged(kernel: Tensor) -> Tensor:
    """The kernel (O, C, 3, 3) on a picture of doubled pixels whose answers, reduced by means, are those of `kernel`.

    Along a row (a, b, c) becomes (2 a, b - a - c, 2 c). Of two neighbours that were one pixel the left one sees the
    pixel before and twice its own, the right one twice its own and the pixel after.
    """
    along = torch.tensor([[2.0, 0, 0], [-1, 1, -1], [0, 0, 2]])
    return torch.einsum("ia,jb,ocab->ocij", along, along, kernel)


def _gains(schedule: DiscreteSchedule) -> dict[str, Tensor]:
    """What pairs are multiplied by at every time (T,): the factors of v, and the root mean squares of the signals."""
    abar, wide = (torch.tensor(s.alphas_cumprod, dtype=torch.float64) for s in (schedule, shifted(schedule, SHIFT)))
    alpha, sigma, outer_alpha, outer_sigma = abar.sqrt(), (1 - abar).sqrt(), wide.sqrt(), (1 - wide).sqrt()
    wiener = outer_alpha * _DETAIL / (wide * _DETAIL + 1 - wide)
    detail = (outer_alpha - wiener) / outer_sigma
    coarse = (wide - abar) / (outer_alpha * outer_sigma)
    shown = (abar * _POWER + 1 - abar).sqrt()
    return {
        "answer": sigma / outer_sigma * (0.9 * abar + 0.65 * (1 - abar)).sqrt(),
        "coarse": (coarse - detail) * outer_alpha / alpha * shown,
        "detail": detail * (wide * _POWER + 1 - wide).sqrt(),
    }


def _time_features(unet: Any, new: Mapping[str, Tensor], times: int, texts: int = 4) -> Tensor:
    """What a block's time_emb_proj is shown, at each of T times with `texts` prompts by lot (T texts, E)."""
    from diffusers.models.embeddings import get_timestep_embedding

    config, generator = unet.config, torch.Generator().manual_seed(0)
    waves = get_timestep_embedding(
        torch.arange(times),
        config.block_out_channels[0],
        flip_sin_to_cos=config.flip_sin_to_cos,
        downscale_freq_shift=config.freq_shift,
    )
    one, two = ((new[f"time_embedding.linear_{k}.weight"], new[f"time_embedding.linear_{k}.bias"]) for k in (1, 2))
    embedded = linear(unet.time_embedding.act(linear(waves, *one)), *two)
    said = torch.randn(times, texts, embedded.shape[1], generator=generator)
    said = layer_norm(said, said.shape[-1:], new["add_embedding.norm2.weight"], new["add_embedding.norm2.bias"])
    return gelu((embedded[:, None] + said).flatten(0, 1))


def _regression(features: Tensor, wanted: Tensor, ridge: float = 1e-3) -> Tensor:
    """The weights, and the bias after them, of the linear function of features (N, E) nearest to `wanted` (N,)."""
    x = torch.cat([features, torch.ones(len(features), 1)], 1).double()
    square = x.T @ x / len(x) + ridge * torch.eye(x.shape[1], dtype=torch.float64)
    return torch.linalg.solve(square, x.T @ wanted.double() / len(x)).float()
