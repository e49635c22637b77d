"""CIFAR-10 and SVHN from their files, brought to the 28 x 28 pixels of the course's network.

The network takes the mean of 7 x 7 positions, a quarter of 28. So pictures of 32 are shrunk, not cropped: in SVHN the
box around a digit was scaled to the 32 rows, and a crop would cut off its top and its foot.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import torch
from torch import Tensor

from duckrabbit.data.colour.cifar import CIFAR_10
from duckrabbit.data.colour.source import SIDE, Part, Source
from duckrabbit.data.colour.svhn import SVHN
from duckrabbit.data.mnist.read import Pictures, Split
from duckrabbit.errors import UserError

SOURCES: Mapping[str, Source] = {source.name: source for source in (SVHN, CIFAR_10)}
SMALL = 28
"""Width and height of the pictures that a network sees, in pixels."""
VALIDATION = 10_000
"""The last 10,000 training pictures validate."""
_AT_ONCE = 4096


def load(name: str, split: Split, folder: Path) -> Pictures:
    """A split of "svhn" or "cifar-10" from its files in `folder`: images (N, 3, 28, 28), in the original order.

    Raises UserError for a set not fetched yet, or a damaged file.
    """
    source = SOURCES[name]
    part: Part = "test" if split == "test" else "train"
    contents = [_read(folder / file, name) for file in source.files[part]]
    images, labels = source.arrays(part, contents)
    ends = {"train": slice(None, -VALIDATION), "validation": slice(-VALIDATION, None)}
    rows = ends.get(split, slice(None))
    return Pictures(shrink(torch.from_numpy(images[rows].copy())), torch.from_numpy(labels[rows]))


def shrink(images: Tensor) -> Tensor:
    """Pictures (N, 3, 32, 32) uint8 as (N, 3, 28, 28): each pixel the mean of the area that it covers, rounded.

    Along an axis a pixel covers 8 / 7 of one, so the weights are whole sevenths: the sums of a picture, at most
    255 * 64, are exact in float32, and the same on every machine.
    """
    fine = torch.eye(SIDE).repeat_interleave(7, 0)  # (224, 32): seven for each pixel, in groups of eight
    weights = fine.view(SMALL, 8, SIDE).sum(1)
    parts = [(weights @ part.float() @ weights.T + 32).div_(64).floor_().byte() for part in images.split(_AT_ONCE)]
    return torch.cat(parts) if parts else images.new_empty(0, 3, SMALL, SMALL)


def _read(path: Path, name: str) -> bytes:
    try:
        return path.read_bytes()
    except OSError:
        raise UserError(f"{path} is not there; run `duckrabbit data fetch {name}` first.") from None
