"""From a drawing to pixels: rasterised four times too large, shrunk, and laid on white.

Shrinking is done with premultiplied colours, each pixel the mean of those it covers: what is
transparent must not darken the edges.
"""

from __future__ import annotations

import hashlib
import io
from dataclasses import dataclass

import numpy as np
from PIL import Image, UnidentifiedImageError

from duckrabbit.errors import UserError

SUPERSAMPLING = 4
SIZES = (32, 512)
"""The smallest and the largest size that is drawn."""
LEAST_COVER, LEAST_OPACITY, PALEST = 0.004, 0.2, 235
"""A drawing that covers less, is nowhere more opaque, or has no value under PALEST shows nothing on white."""
THUMB = 16


@dataclass(frozen=True)
class Rendered:
    """A drawing as a PNG file, the sha256 of its pixels, and a thumb of 16 x 16 x 3 bytes to compare it by."""

    png: bytes
    sha256: str
    thumb: bytes


def margin(size: int) -> int:
    """The white rim: 2 px at 64, and in proportion."""
    return max(1, round(size / 32))


def render(content: str | bytes, size: int) -> Rendered | None:
    """An SVG document, or a picture file, as size x size pixels on white; None if nothing can be seen."""
    pixels = on_white(rasterise(content, size), size)
    if pixels is None:
        return None
    image = Image.fromarray(pixels)
    file = io.BytesIO()
    image.save(file, format="PNG")
    thumb = image.resize((THUMB, THUMB), Image.Resampling.BOX).tobytes()
    return Rendered(file.getvalue(), hashlib.sha256(pixels.tobytes()).hexdigest(), thumb)


def rasterise(content: str | bytes, size: int) -> Image.Image:
    """The drawing without its rim, RGBA: an SVG supersampled, a picture as it is.

    Raises UserError where resvg-py is not installed, and ValueError for what cannot be drawn.
    """
    if isinstance(content, bytes):
        try:
            return _squared(Image.open(io.BytesIO(content)).convert("RGBA"))
        except UnidentifiedImageError as error:
            raise ValueError(str(error)) from None
    try:
        import resvg_py
    except ImportError:
        raise UserError('resvg-py draws the SVGs; install it with `pip install "duckrabbit[drawings]"`.') from None
    side = (size - 2 * margin(size)) * SUPERSAMPLING
    png = resvg_py.svg_to_bytes(svg_string=content, width=side, height=side, dpi=96, skip_system_fonts=True)
    return Image.open(io.BytesIO(png)).convert("RGBA")


def _squared(image: Image.Image) -> Image.Image:
    """The picture in the middle of a transparent square."""
    side = max(image.size)
    square = Image.new("RGBA", (side, side))
    square.paste(image, ((side - image.width) // 2, (side - image.height) // 2))
    return square


def on_white(drawing: Image.Image, size: int) -> np.ndarray | None:
    """A square RGBA drawing as (size, size, 3) uint8 with its rim; None if nothing can be seen.

    With premultiplied colours c and opacity a, both in [0, 1], a pixel over white is c + 1 - a (Porter and Duff,
    "Compositing Digital Images", 1984: over).
    """
    inside = size - 2 * margin(size)
    whole = drawing.width % inside == 0
    channels = np.asarray(drawing, np.float32) / 255
    channels[..., :3] *= channels[..., 3:]
    resampling = Image.Resampling.BOX if whole else Image.Resampling.LANCZOS
    small = np.stack([_shrink(channels[..., i], inside, resampling) for i in range(4)], -1).clip(0, 1)
    opacity = small[..., 3:]
    if opacity.max() < LEAST_OPACITY or opacity.mean() * (inside / size) ** 2 < LEAST_COVER:
        return None
    pixels = np.full((size, size, 3), 255, np.uint8)
    rim = margin(size)
    pixels[rim:-rim, rim:-rim] = ((small[..., :3] + 1 - opacity).clip(0, 1) * 255 + 0.5).astype(np.uint8)
    return None if pixels.min() > PALEST else pixels


def _shrink(channel: np.ndarray, size: int, resampling: Image.Resampling) -> np.ndarray:
    return np.asarray(Image.fromarray(channel).resize((size, size), resampling))
