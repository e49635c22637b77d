"""How a low resolution picture is shown to a second stage: the same in training and in sampling."""

from __future__ import annotations

from torch import Tensor
from torch.nn.functional import interpolate

from duckrabbit.values import Size


def enlarge(low_res: Tensor, size: int | Size) -> Tensor:
    """A picture (B, C, h, w) enlarged to `size`, as a second stage was trained to see it.

    `size`: (height, width), or the side of a square. Bilinear, with the corner pixels' centres on the corners
    (align_corners=True): DeepFloyd IF.
    """
    return interpolate(low_res, size, mode="bilinear", align_corners=True)
