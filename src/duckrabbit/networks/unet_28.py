"""The U-Net of CS180 project 5B, exactly: operations, wiring, conditioning and parameter counts.

    x 1x28x28 -ConvBlock-> a: Dx28x28 ------------------------------------+
    a -DownBlock-> b: Dx14x14 --------------------------+                 |
    b -DownBlock-> c: 2Dx7x7 -------------+             |                 |
    c -Flatten-> 2Dx1x1 -Unflatten-> u: 2Dx7x7   (1)    |                 |
    [c, u] 4Dx7x7 -UpBlock-> p: Dx14x14          (2)    |                 |
    [b, p] 2Dx14x14 -UpBlock-> q: Dx28x28               +                 |
    [a, q] 2Dx28x28 -ConvBlock-> Dx28x28 -Conv2d-> 1x28x28                +

Of colour pictures x and the output have 3 channels, and nothing else changes.
At (1) and (2) the time and the class come in, as vectors of 2D and D channels. Sources: the pages
and figures of CS180 project 5, part B, fall 2024 (noise prediction) and 2025 (flow).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Literal

import torch
from torch import Tensor, nn

from duckrabbit.errors import UserError

Conditioning = Literal["none", "time", "class"]
Edition = Literal["ddpm", "flow"]

SIZE = 28
"""Width and height of the pictures, in pixels."""

NO_CLASS = -1
"""The label of a picture whose class is not given: its one-hot vector is all zeros."""


@dataclass(frozen=True)
class UNetConfig:
    """What is needed to build the network again; the content of its config.json.

    hidden: D, the channels of the first level. conditioning: nothing, the time, or the time and the
    class. edition: how they come in. "ddpm" adds the time to the features (u + t1, p + t2), as the
    page of 2024; "flow" multiplies when there is no class (u t1, p t2), as the later ones. With a
    class both are c1 u + t1 and c2 p + t2. (The page of 2024 prints p + t1, whose shapes clash.)
    channels: of the pictures, 1 grey (the course) or 3 colour.
    """

    hidden: int = 64
    conditioning: Conditioning = "none"
    edition: Edition = "ddpm"
    classes: int = 10
    channels: int = 1

    def __post_init__(self) -> None:
        if not all(isinstance(n, int) and n >= 1 for n in (self.hidden, self.classes)):
            raise UserError("A U-Net needs at least one hidden channel and one class, and whole numbers of both.")
        if self.channels not in (1, 3):
            raise UserError(f"A U-Net is of grey pictures, 1 channel, or of colour, 3; not of {self.channels}.")
        if self.conditioning not in ("none", "time", "class"):
            raise UserError(f"Unknown conditioning '{self.conditioning}'; choose none, time or class.")
        if self.edition not in ("ddpm", "flow"):
            raise UserError(f"Unknown edition '{self.edition}'; choose ddpm or flow.")

    def to_json(self) -> dict[str, object]:
        """The configuration as plain values."""
        return {"architecture": "duckrabbit.unet", **asdict(self)}

    @classmethod
    def from_json(cls, values: Mapping[str, object]) -> UNetConfig:
        """The configuration that `to_json` wrote. Raises UserError where it is of another network."""
        fields = {k: v for k, v in values.items() if k != "architecture"}
        if values.get("architecture") != "duckrabbit.unet" or not set(fields) <= set(cls.__dataclass_fields__):
            raise UserError("This config.json does not describe the U-Net of duckrabbit; check the folder.")
        return cls(**fields)  # type: ignore[arg-type]


def conv(c_in: int, c_out: int) -> nn.Sequential:
    """Conv: 3 x 3, then batch norm and GELU; (N, c_in, H, W) -> (N, c_out, H, W)."""
    return nn.Sequential(nn.Conv2d(c_in, c_out, 3, 1, 1), nn.BatchNorm2d(c_out), nn.GELU())


def down_conv(c_in: int, c_out: int) -> nn.Sequential:
    """DownConv: half the size; (N, c_in, H, W) -> (N, c_out, H / 2, W / 2)."""
    return nn.Sequential(nn.Conv2d(c_in, c_out, 3, 2, 1), nn.BatchNorm2d(c_out), nn.GELU())


def up_conv(c_in: int, c_out: int) -> nn.Sequential:
    """UpConv: twice the size; (N, c_in, H, W) -> (N, c_out, 2 H, 2 W)."""
    return nn.Sequential(nn.ConvTranspose2d(c_in, c_out, 4, 2, 1), nn.BatchNorm2d(c_out), nn.GELU())


def flatten() -> nn.Sequential:
    """Flatten: the mean of the 7 x 7 positions; (N, C, 7, 7) -> (N, C, 1, 1)."""
    return nn.Sequential(nn.AvgPool2d(7), nn.GELU())


def unflatten(channels: int) -> nn.Sequential:
    """Unflatten: (N, C, 1, 1) -> (N, C, 7, 7)."""
    return nn.Sequential(nn.ConvTranspose2d(channels, channels, 7, 7, 0), nn.BatchNorm2d(channels), nn.GELU())


def conv_block(c_in: int, c_out: int) -> nn.Sequential:
    """ConvBlock: two Convs, the size unchanged."""
    return nn.Sequential(conv(c_in, c_out), conv(c_out, c_out))


def down_block(c_in: int, c_out: int) -> nn.Sequential:
    """DownBlock: a DownConv and a ConvBlock, half the size."""
    return nn.Sequential(down_conv(c_in, c_out), conv_block(c_out, c_out))


def up_block(c_in: int, c_out: int) -> nn.Sequential:
    """UpBlock: an UpConv and a ConvBlock, twice the size."""
    return nn.Sequential(up_conv(c_in, c_out), conv_block(c_out, c_out))


def fc_block(f_in: int, f_out: int) -> nn.Sequential:
    """FCBlock: Linear, GELU, Linear; (N, f_in) -> (N, f_out)."""
    return nn.Sequential(nn.Linear(f_in, f_out), nn.GELU(), nn.Linear(f_out, f_out))


class UNet(nn.Module):
    """The network of the module docstring.

    Parameters of grey pictures: 1,975,361 with D = 64 and no conditioning, 1,996,417 with the time, 2,019,201 with
    the time and the class; 7,891,073 with D = 128 and no conditioning.
    """

    def __init__(self, config: UNetConfig) -> None:
        super().__init__()
        self.config = config
        d = config.hidden
        self.enter = conv_block(config.channels, d)
        self.down1 = down_block(d, d)
        self.down2 = down_block(d, 2 * d)
        self.flatten = flatten()
        self.unflatten = unflatten(2 * d)
        self.up1 = up_block(4 * d, d)
        self.up2 = up_block(2 * d, d)
        self.leave = nn.Sequential(conv_block(2 * d, d), nn.Conv2d(d, config.channels, 3, 1, 1))
        if config.conditioning != "none":
            self.time1, self.time2 = fc_block(1, 2 * d), fc_block(1, d)
        if config.conditioning == "class":
            self.class1, self.class2 = fc_block(config.classes, 2 * d), fc_block(config.classes, d)

    def forward(self, x: Tensor, t: Tensor | None = None, labels: Tensor | None = None) -> Tensor:
        """The network's output, shaped like x.

        x (N, C, 28, 28), C = config.channels; t (N,) in [0, 1], the time over its maximum; labels (N,), whole numbers
        with NO_CLASS where the class is not given. Raises UserError where a condition is missing.
        """
        if (t is None) != (self.config.conditioning == "none"):
            raise UserError(f"A U-Net with conditioning '{self.config.conditioning}' was asked with t = {t}.")
        a = self.enter(x)
        b = self.down1(a)
        c = self.down2(b)
        u = self.unflatten(self.flatten(c))
        one_hot = self._one_hot(labels, u)
        u = self._condition(u, t, one_hot, 1)
        p = self._condition(self.up1(torch.cat([c, u], 1)), t, one_hot, 2)
        q = self.up2(torch.cat([b, p], 1))
        return self.leave(torch.cat([a, q], 1))

    def _one_hot(self, labels: Tensor | None, like: Tensor) -> Tensor | None:
        if (labels is None) != (self.config.conditioning != "class"):
            raise UserError(f"A U-Net with conditioning '{self.config.conditioning}' was asked with labels = {labels}.")
        if labels is None:
            return None
        return (labels[:, None] == torch.arange(self.config.classes, device=labels.device)).to(like.dtype)

    def _condition(self, h: Tensor, t: Tensor | None, one_hot: Tensor | None, place: int) -> Tensor:
        """h (N, C, H, W) with the time and the class let in at place 1 or 2."""
        if t is None:
            return h
        shift = getattr(self, f"time{place}")(t[:, None].to(h.dtype))[:, :, None, None]
        if one_hot is not None:
            return getattr(self, f"class{place}")(one_hot)[:, :, None, None] * h + shift
        return h + shift if self.config.edition == "ddpm" else h * shift


def count_parameters(module: nn.Module) -> int:
    """How many numbers training changes."""
    return sum(p.numel() for p in module.parameters() if p.requires_grad)


def build_unet(config: UNetConfig) -> UNet:
    """The network, freshly initialised by PyTorch's rules from the global random state."""
    return UNet(config)
