"""Pictures in and out: what a task takes as a tensor, tensors to files, and nothing half-written.

Inside, a picture is a float32 tensor (1, 3, H, W) in [0, 1]; `to_range` takes it to a model's
range. Files and images are read by reading.py.
"""

from __future__ import annotations

from dataclasses import dataclass
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

Source = Union[str, Path, Image.Image, np.ndarray, Tensor, "Picture"]
"""What a task takes for a picture: a file; a PIL image; an array (H, W), (H, W, 3) or (H, W, 4), of 8
or 16 bits or from 0 to 1; a tensor (1 or B, 1 or 3, H, W) in [0, 1]; or what `read_picture` gave."""
UNNAMED = "The picture"


@dataclass(frozen=True, eq=False)
class Picture:
    """The middle square of a picture that was read.

    `colours` float32 (1 or B, 3, S, S) in [0, 1], sRGB; `alpha` (1, 1, S, S), 1 where it is opaque,
    or None. `size` is the whole picture's, (width, height); `name` what sentences call it.
    """

    colours: Tensor
    alpha: Tensor | None
    size: tuple[int, int]
    name: str = UNNAMED

    @cached_property
    def pixels(self) -> Tensor:
        """(1 or B, 3, S, S) in [0, 1]: what is transparent lies on white."""
        return self.colours if self.alpha is None else self.colours * self.alpha + (1 - self.alpha)


def read_picture(source: Source) -> Picture:
    """The middle square of a picture, upright. Raises UserError for what is none."""
    if isinstance(source, Picture):
        return source
    name = UNNAMED
    if isinstance(source, Tensor):
        whole = _of_tensor(source)
    elif isinstance(source, np.ndarray):
        whole = _of_array(source)
    elif isinstance(source, Image.Image):
        check_size(*source.size, name)
        return _of_image(standard(source), name)
    elif isinstance(source, str | Path):
        return _of_image(open_picture(source), Path(source).name)
    else:
        raise UserError(f"A picture is a file, a PIL image, an array or a tensor, not {shown(source)}.")
    size = whole.shape[-1], whole.shape[-2]
    check_size(*size, name)
    middle = _middle(whole)
    return Picture(middle[:, :3].expand(-1, 3, -1, -1), middle[:, 3:] if middle.shape[1] == 4 else None, size)


def as_picture(source: Source) -> Tensor:
    """A picture as float32 (1, 3, S, S) in [0, 1]: the middle square, transparency on white."""
    return read_picture(source).pixels


def notes_on(picture: Picture, size: int, when: str = "") -> dict[str, str]:
    """What is cut away of a picture, and that it is brought (`when`: "first ") to a model's `size`, in sentences."""
    width, height = picture.size
    side, notes = min(width, height), {}
    if width != height:
        lost = 100 * (max(width, height) - side) // max(width, height)
        share = f"{lost} %" if lost else "less than 1 %"
        used = f"the middle {side} x {side} of {width} x {height} pixels is used"
        notes["cut"] = f"{picture.name}: {used}; {share} is cut away."
    if side != size:
        way = "shrunk" if side > size else "enlarged"
        notes["size"] = f"{picture.name}: {side} x {side} pixels are {when}{way} to the model's {size} x {size}."
    return notes


def _middle(whole: Tensor) -> Tensor:
    """(..., S, S) of (..., H, W)."""
    side = min(whole.shape[-2:])
    top, left = ((n - side) // 2 for n in whole.shape[-2:])
    return whole[..., top : top + side, left : left + side].contiguous()


def _of_image(image: Image.Image, name: str) -> Picture:
    """A standard picture, cut before it becomes numbers of 32 bits."""
    side, (width, height) = min(image.size), image.size
    left, top = (width - side) // 2, (height - side) // 2
    array = np.asarray(image.crop((left, top, left + side, top + side)))
    unit = array / np.float32(255) if array.dtype == np.uint8 else array
    channels = torch.from_numpy(np.atleast_3d(unit).copy()).permute(2, 0, 1)[None]
    alpha = channels[:, 3:].contiguous() if channels.shape[1] == 4 else None
    return Picture(channels[:, :3].expand(-1, 3, -1, -1).contiguous(), alpha, image.size, name)


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


def resize(picture: Tensor, size: int) -> Tensor:
    """`picture` (B, C, H, W) at size x size, antialiased; unchanged where it has that size."""
    if picture.shape[-2:] == (size, size):
        return picture
    return interpolate(picture, (size, size), mode="bicubic", antialias=True).clamp(0, 1)


def to_model_size(picture: Tensor, size: int, channels: int = 3) -> Tensor:
    """`picture` (B, 3, H, W) as a model of so many pixels and channels sees it: (B, channels, size, size)."""
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
