"""Colours as sRGB: a picture's ICC profile followed, where it has one that can be followed."""

from __future__ import annotations

import io
from functools import cache

import numpy as np
from PIL import Image, ImageCms

from duckrabbit.errors import UserError

_INK = {"RGB": "RGB", "GRAY": "L", "CMYK": "CMYK"}
"""The mode in which a profile of each colour space takes its pixels."""
_GREY = ("1", "L", "LA", "La")


def in_srgb(image: Image.Image) -> Image.Image:
    """`image` in sRGB, of the mode RGB, RGBA where it is transparent, or F with greys in [0, 1].

    A profile that is broken, or not for pictures of this kind, is ignored; one that changes no colour by
    more than 1 of 255 leaves them to the bit. Raises UserError for colours that cannot be converted.
    """
    transform = _transform(image)
    try:
        if image.mode == "F":
            return image if transform is None else transform.apply(_ink(image, transform))
        if transform is None:
            return image.convert("RGBA" if image.has_transparency_data else "RGB")
        if not image.has_transparency_data:
            return transform.apply(image.convert(transform.input_mode))
        rgba = image.convert("RGBA")
        opaque = rgba.convert("RGB").convert(transform.input_mode)
        made = transform.apply(opaque)
        made.putalpha(rgba.getchannel("A"))
    except (ValueError, OSError, ImageCms.PyCMSError) as error:
        raise UserError(f"The picture's colours cannot be read ({error}); save it as RGB.") from None
    return made


def _transform(image: Image.Image) -> ImageCms.ImageCmsTransform | None:
    """From the picture's profile to sRGB; None where there is nothing to do."""
    content = image.info.get("icc_profile")
    if not content:
        return None
    try:
        profile = ImageCms.ImageCmsProfile(io.BytesIO(content))
        mode = _INK[profile.profile.xcolor_space.strip()]
        grey = image.mode in _GREY or image.mode == "F"
        if (mode == "CMYK") != (image.mode == "CMYK") or (mode == "L" and not grey):
            return None
        mode = "I;16" if mode == "L" and image.mode == "F" else mode
        exact = ImageCms.Flags.NONE if mode in ("RGB", "CMYK") else ImageCms.Flags.NOOPTIMIZE  # else 10 of 255 off
        made = ImageCms.buildTransform(profile, _srgb(), mode, "RGB", ImageCms.Intent.PERCEPTUAL, exact)
        return None if mode != "CMYK" and _changes_nothing(made, mode) else made
    except (ImageCms.PyCMSError, KeyError, ValueError, OSError, TypeError):
        return None


def _changes_nothing(transform: ImageCms.ImageCmsTransform, mode: str) -> bool:
    """Whether no colour of a lattice moves by more than 1 of 255."""
    steps = np.arange(0, 256, 15, dtype=np.uint8)
    colours = np.stack(np.meshgrid(steps, steps, steps), -1).reshape(-1, len(steps), 3)
    if mode == "RGB":
        lattice = Image.fromarray(colours)
    else:
        colours = np.arange(256, dtype=np.uint8)[None, :, None].repeat(3, -1)
        ramp = colours[..., 0]
        lattice = Image.fromarray(ramp if mode == "L" else ramp.astype(np.uint16) * 257)
    made = np.asarray(transform.apply(lattice))
    return bool(np.abs(made.astype(int) - colours).max() <= 1)


def in_8_bits(image: Image.Image) -> Image.Image:
    """A picture of the mode F, with greys in [0, 1], as RGB; any other as it is."""
    if image.mode != "F":
        return image
    return Image.fromarray((np.asarray(image) * 255).round().astype(np.uint8)).convert("RGB")


def _ink(image: Image.Image, transform: ImageCms.ImageCmsTransform) -> Image.Image:
    """Greys in [0, 1] as the transform takes them."""
    if transform.input_mode == "RGB":
        return in_8_bits(image)
    return Image.fromarray((np.asarray(image) * 65535).round().astype(np.uint16))


@cache
def _srgb() -> ImageCms.ImageCmsProfile:
    return ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB"))
