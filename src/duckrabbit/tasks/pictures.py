"""Pictures in and out: what a task takes as a tensor, tensors to files, and nothing half-written.

Inside, a picture is a float32 tensor (1, 3, H, W) in [0, 1]; `to_range` takes it to a model's
range. Files and images are read by reading.py.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Union

import numpy as np
import torch
from PIL import Image, PngImagePlugin
from torch import Tensor
from torch.nn.functional import interpolate

from duckrabbit.errors import UserError
from duckrabbit.files import Atomic
from duckrabbit.tasks.arguments import shown
from duckrabbit.tasks.reading import check_size, open_picture, standard
from duckrabbit.values import Size, words_of

Source = Union[str, Path, Image.Image, np.ndarray, Tensor, "Picture"]
"""What a task takes for a picture: a file; a PIL image; an array (H, W), (H, W, 3) or (H, W, 4), of 8
or 16 bits or from 0 to 1; a tensor (1 or B, 1 or 3, H, W) in [0, 1]; or what `read_picture` gave."""
UNNAMED = "The picture"


@dataclass(frozen=True, eq=False)
class Picture:
    """The middle of a picture that was read: a square, or a rectangle of another shape (`shaped`).

    `colours` float32 (1 or B, 3, H, W) in [0, 1], sRGB; `alpha` (1, 1, H, W), 1 where it is opaque,
    or None. `size` is the whole picture's, (width, height); `name` what sentences call it; `whole` what it
    was cut from.
    """

    colours: Tensor
    alpha: Tensor | None
    size: tuple[int, int]
    name: str = UNNAMED
    whole: Tensor | Image.Image | None = field(default=None, repr=False)

    @cached_property
    def pixels(self) -> Tensor:
        """(1 or B, 3, H, W) in [0, 1]: what is transparent lies on white."""
        return self.colours if self.alpha is None else self.colours * self.alpha + (1 - self.alpha)

    @property
    def middle(self) -> Size:
        """(height, width) of what was cut out."""
        return self.colours.shape[-2], self.colours.shape[-1]

    def shaped(self, like: Size) -> Picture:
        """The largest middle of the whole picture that has the proportions of `like`, (height, width)."""
        if self.whole is None or middle_of(self.size, like)[2:] == self.middle[::-1]:
            return self
        return _cut(self.whole, self.name, like)


SQUARE: Size = (1, 1)
"""The proportions of a square."""


def middle_of(size: tuple[int, int], like: Size) -> tuple[int, int, int, int]:
    """(left, top, width, height) of the largest middle of a picture, `size` (width, height), as `like` (height, width).

    At least a pixel of each.
    """
    (width, height), (h, w) = size, like
    wide, high = (max(1, round(height * w / h)), height) if width * h >= height * w else (width, round(width * h / w))
    high = max(1, high)
    return (width - wide) // 2, (height - high) // 2, wide, high


def read_picture(source: Source) -> Picture:
    """The middle square of a picture, upright; `shaped` cuts another rectangle out of it.

    Raises UserError for what is no picture.
    """
    if isinstance(source, Picture):
        return source
    name = UNNAMED
    if isinstance(source, Tensor):
        whole = _of_tensor(source)
    elif isinstance(source, np.ndarray):
        whole = _of_array(source)
    elif isinstance(source, Image.Image):
        check_size(*source.size, name)
        return _cut(standard(source), name)
    elif isinstance(source, str | Path):
        return _cut(open_picture(source), Path(source).name)
    else:
        raise UserError(f"A picture is a file, a PIL image, an array or a tensor, not {shown(source)}.")
    check_size(whole.shape[-1], whole.shape[-2], name)
    return _cut(whole, name)


def as_picture(source: Source) -> Tensor:
    """A picture as float32 (1, 3, S, S) in [0, 1]: the middle square, transparency on white."""
    return read_picture(source).pixels


def notes_on(picture: Picture, size: Size, when: str = "") -> dict[str, str]:
    """What is cut away of a picture, and that it is brought (`when`: "first ") to a model's `size`, in sentences."""
    width, height = picture.size
    _, _, wide, high = middle_of(picture.size, size)
    used, notes = (high, wide), {}
    if (wide, high) != picture.size:
        lost = 100 * (width * height - wide * high) // (width * height)
        share = f"{lost} %" if lost else "less than 1 %"
        whole = f"the middle {words_of(used)} of {width} x {height} pixels is used"
        notes["cut"] = f"{picture.name}: {whole}; {share} is cut away."
    if used != size:
        way = "shrunk" if high * wide > size[0] * size[1] else "enlarged"
        what = f"{words_of(used)} pixels are {when}{way} to the model's {words_of(size)}"
        notes["size"] = f"{picture.name}: {what}."
    return notes


def _cut(whole: Tensor | Image.Image, name: str, like: Size = SQUARE) -> Picture:
    """The middle of a tensor (B, C, H, W) or of a standard picture, which is cut before it is numbers of 32 bits."""
    size = whole.size if isinstance(whole, Image.Image) else (whole.shape[-1], whole.shape[-2])
    left, top, wide, high = middle_of(size, like)
    if isinstance(whole, Tensor):
        channels = whole[..., top : top + high, left : left + wide]
    else:
        array = np.asarray(whole.crop((left, top, left + wide, top + high)))
        unit = array / np.float32(255) if array.dtype == np.uint8 else array
        channels = torch.from_numpy(np.atleast_3d(unit).copy()).permute(2, 0, 1)[None]
    alpha = channels[:, 3:].contiguous() if channels.shape[1] == 4 else None
    return Picture(channels[:, :3].expand(-1, 3, -1, -1).contiguous(), alpha, size, name, whole)


def _of_tensor(source: Tensor) -> Tensor:
    """A tensor in [0, 1] as float32 (B, 1 or 3, H, W)."""
    shaped = source.ndim == 4 and source.shape[1] in (1, 3) and source.numel() > 0
    if not shaped or not (source.min() >= 0 and source.max() <= 1):
        raise UserError(
            "A picture given as a tensor has the shape (1, 3, H, W), or (1, 1, H, W) where it is grey, and values "
            "from 0 to 1."
        )
    return source.float()


def _of_array(source: np.ndarray) -> Tensor:
    """An array as float32 (1, 1, 3 or 4, H, W) in [0, 1]."""
    array = source[..., None] if source.ndim == 2 else source
    most = {"uint8": 255, "uint16": 65535, "bool": 1}.get(array.dtype.name, 1 if array.dtype.kind == "f" else 0)
    shaped = array.ndim == 3 and array.shape[-1] in (1, 3, 4) and array.size > 0 and most
    if not shaped or not (array.min() >= 0 and array.max() <= most):
        raise UserError(
            "A picture given as an array has the shape (H, W), (H, W, 3) or (H, W, 4), and numbers of the type uint8, "
            f"or from 0 to 1 in floating point; this one is {array.dtype.name} of the shape {source.shape}."
        )
    return torch.from_numpy(array.astype(np.float32) / np.float32(most)).permute(2, 0, 1)[None]


def resize(picture: Tensor, size: int | Size) -> Tensor:
    """`picture` (B, C, H, W) at `size`, (height, width) or a square's side, antialiased; unchanged where it has it."""
    height, width = (size, size) if isinstance(size, int) else size
    if picture.shape[-2:] == (height, width):
        return picture
    return interpolate(picture, (height, width), mode="bicubic", antialias=True).clamp(0, 1)


def to_model_size(picture: Tensor, size: Size, channels: int = 3) -> Tensor:
    """`picture` (B, 3, H, W) as a model of such a size, and so many channels, sees it: (B, channels, *size)."""
    small = resize(picture, size)
    return small.mean(1, keepdim=True) if channels == 1 else small


def to_range(picture: Tensor, value_range: tuple[float, float]) -> Tensor:
    """[0, 1] to a model's range."""
    low, high = value_range
    return low + (high - low) * picture


def to_pixels(x: Tensor, value_range: tuple[float, float]) -> Tensor:
    """A model's output (B, C, H, W) as uint8 (B, H, W, 3), clamped; one channel becomes grey."""
    low, high = value_range
    unit = ((x.float() - low) / (high - low)).clamp(0, 1)
    return (unit * 255).round().to(torch.uint8).expand(-1, 3, -1, -1).permute(0, 2, 3, 1).contiguous().cpu()


def write_png(pixels: Tensor | Image.Image, path: Path, text: dict[str, str] | None = None) -> None:
    """Write uint8 (H, W, 3) or a PIL image as a PNG with text chunks; whole, or not at all."""
    image = pixels if isinstance(pixels, Image.Image) else Image.fromarray(pixels.numpy())
    info = PngImagePlugin.PngInfo()
    for key, value in (text or {}).items():
        info.add_itxt(key, value, zip=True)
    with Atomic(path) as temporary:
        image.save(temporary, format="PNG", pnginfo=info)
