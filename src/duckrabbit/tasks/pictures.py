"""Pictures in and out: files to tensors, tensors to files, and nothing half-written.

Inside, a picture is a float32 tensor (1, 3, H, W) in [0, 1]; `to_range` takes it to a model's
range. Files are read defensively: the header is looked at before anything is decoded.
"""

from __future__ import annotations

import math
import threading
from pathlib import Path

import numpy as np
import torch
from PIL import Image, ImageFile, ImageOps, PngImagePlugin, UnidentifiedImageError
from torch import Tensor
from torch.nn.functional import interpolate

from duckrabbit.errors import UserError
from duckrabbit.files import Atomic

MAX_PIXELS = 64_000_000
MIN_SIDE = 8
FORMATS = ("PNG", "JPEG", "WEBP", "GIF", "BMP", "TIFF", "PPM")
"""What is tried; other decoders of Pillow run programs (EPS) or are rarely met."""
Source = str | Path | Image.Image | Tensor
"""What a task takes for a picture: a file, a PIL image, or a tensor (1 or B, 3, H, W) in [0, 1]."""


def open_picture(path: str | Path, name: str | None = None, most: int = MAX_PIXELS) -> Image.Image:
    """The decoded picture in `path`, turned upright. Raises UserError for what cannot be read.

    `name` is what sentences call it, its path by default; pictures of more than `most` pixels are
    refused by their header, before anything is decoded.

    16-bit, palette, CMYK, grey and transparent pictures are read; an animation is refused, since it
    does not say which of its frames is meant.
    """
    path = Path(path)
    name = name or str(path)
    if not path.is_file():
        raise UserError(f"{path} is a folder, not a picture." if path.is_dir() else f"There is no picture {path}.")
    with _pillow:
        return _decoded(path, name, most)


_pillow = threading.Lock()
"""Pillow's limits are the process's; a studio decodes in several threads."""


def _decoded(path: Path, name: str, most: int) -> Image.Image:
    limit, Image.MAX_IMAGE_PIXELS = Image.MAX_IMAGE_PIXELS, None
    truncated, ImageFile.LOAD_TRUNCATED_IMAGES = ImageFile.LOAD_TRUNCATED_IMAGES, False
    try:
        with Image.open(path, formats=FORMATS) as image:
            _check_size(*image.size, name, most)
            frames = getattr(image, "n_frames", 1)
            if frames > 1 and image.format != "MPO":  # a phone's JPEG with a preview or depth map behind it
                raise UserError(f"{name} is an animation of {frames} frames; save the frame you mean as a PNG.")
            image.load()
            return ImageOps.exif_transpose(image)
    except UserError:
        raise
    except UnidentifiedImageError:
        raise UserError(f"{name} is not a picture that can be read. PNG, JPEG and WebP work.") from None
    except PermissionError:
        raise UserError(f"{name} cannot be read: permission denied.") from None
    except Exception as error:  # Pillow's decoders raise whatever their format makes them
        raise UserError(f"{name} is not a picture that can be read ({error}). PNG, JPEG and WebP work.") from None
    finally:
        Image.MAX_IMAGE_PIXELS = limit
        ImageFile.LOAD_TRUNCATED_IMAGES = truncated


def _check_size(width: int, height: int, what: str, most: int = MAX_PIXELS) -> None:
    """Raises UserError for a picture too large to read, or too small to be one."""
    if width * height > most:
        raise UserError(f"{what} has {width} x {height} pixels; at most {most // 10**6} million are read. Shrink it.")
    if min(width, height) < MIN_SIDE:
        raise UserError(f"{what} has {width} x {height} pixels; a picture needs at least {MIN_SIDE} a side.")


def as_picture(source: Source) -> Tensor:
    """A picture as float32 (1, 3, S, S) in [0, 1]: the middle square, transparency on white."""
    if isinstance(source, Tensor):
        if source.ndim != 4 or source.shape[1] != 3 or not (source.min() >= 0 and source.max() <= 1):
            raise UserError("A picture given as a tensor has the shape (1, 3, H, W) and values from 0 to 1.")
        _check_size(source.shape[-1], source.shape[-2], "The picture")
        picture = source.float()
    else:
        image = source if isinstance(source, Image.Image) else open_picture(source)
        _check_size(*image.size, "The picture")
        picture = torch.from_numpy(_rgb(image)).permute(2, 0, 1)[None]
    side = min(picture.shape[-2:])
    top, left = ((n - side) // 2 for n in picture.shape[-2:])
    return picture[..., top : top + side, left : left + side].contiguous()


def as_mask(source: Source, like: Tensor | None = None) -> Tensor:
    """A mask as float32 (1, 1, S, S): 1 (white) where the picture is to be made anew.

    Raises UserError where it is all of one value, or not of the size of `like`.
    """
    if isinstance(source, Tensor) and source.ndim == 4 and source.shape[1] == 1:
        source = source.expand(-1, 3, -1, -1)
    mask = as_picture(source).mean(1, keepdim=True)
    if like is not None and mask.shape[-2:] != like.shape[-2:]:
        size, want = (f"{t.shape[-1]} x {t.shape[-2]}" for t in (mask, like))
        raise UserError(f"The mask's middle square has {size} pixels and the picture's {want}; make them alike.")
    mask = (mask > 0.5).float()
    if mask.min() == mask.max():
        what = "white: nothing would be kept" if mask.min() else "black: nothing would be painted"
        raise UserError(f"The mask is all {what}. White is where the picture is made anew, black is kept.")
    return mask


def box_mask(box: tuple[float, float, float, float], size: int) -> Tensor:
    """A mask (1, 1, size, size) that is 1 inside x0, y0, x1, y1, in pixels of the picture's square."""
    if not all(math.isfinite(v) for v in box):
        raise UserError("The corners of a box are numbers of pixels: x0,y0,x1,y1.")
    x0, y0, x1, y1 = (round(v) for v in box)
    if not (0 <= x0 < x1 <= size and 0 <= y0 < y1 <= size) or (x1 - x0) * (y1 - y0) == size * size:
        raise UserError(
            f"The box {x0},{y0},{x1},{y1} does not lie within the picture's middle square of {size} x {size} pixels; "
            "give x0,y0,x1,y1 with x0 < x1 and y0 < y1, and leave something to keep."
        )
    mask = torch.zeros(1, 1, size, size)
    mask[..., y0:y1, x0:x1] = 1
    return mask


def resize(picture: Tensor, size: int) -> Tensor:
    """`picture` (B, C, H, W) at size x size, antialiased; unchanged where it has that size."""
    if picture.shape[-2:] == (size, size):
        return picture
    return interpolate(picture, (size, size), mode="bicubic", antialias=True).clamp(0, 1)


def seen(picture: Tensor, size: int, channels: int = 3) -> Tensor:
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
        image.save(temporary, format="PNG", pnginfo=info, optimize=False)


def _rgb(image: Image.Image) -> np.ndarray:
    """float32 (H, W, 3) in [0, 1]; transparency on white, 16 bits kept, CMYK and palettes turned to RGB.

    Raises UserError for pixels that have no such meaning.
    """
    if image.mode.startswith(("I", "F")):  # Pillow keeps 16 bits in I;16 and I
        grey = np.asarray(image).astype(np.float32) / (1.0 if image.mode == "F" else 65535.0)
        if not (grey.min() >= 0 and grey.max() <= 1):
            raise UserError("The picture's numbers are not those of a picture; save it with 8 or 16 bits a channel.")
        return np.repeat(grey[..., None], 3, axis=2)
    try:
        rgba = np.asarray(image.convert("RGBA")).astype(np.float32) / 255
    except (ValueError, OSError) as error:
        raise UserError(f"The picture's colours cannot be read ({error}); save it as RGB.") from None
    alpha = rgba[..., 3:]
    return rgba[..., :3] * alpha + (1 - alpha)
