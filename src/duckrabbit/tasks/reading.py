"""The one reader of pictures: files and images, decoded defensively, upright, in sRGB.

The header is looked at before anything is decoded. What comes out is a Pillow image of the mode RGB,
RGBA where it is transparent, or F with greys in [0, 1] where it had more than 8 bits.
"""

from __future__ import annotations

import io
import threading
import warnings
from pathlib import Path
from typing import IO

import numpy as np
from PIL import Image, ImageFile, UnidentifiedImageError

from duckrabbit.errors import UserError
from duckrabbit.tasks.colours import in_srgb

MAX_PIXELS = 64_000_000
MIN_SIDE = 8
FORMATS = ("PNG", "JPEG", "WEBP", "GIF", "BMP", "TIFF", "PPM", "AVIF", "JPEG2000", "ICO")
"""What is tried; other decoders of Pillow run programs (EPS) or are rarely met."""
WORK = "PNG, JPEG and WebP work."
HEIC = frozenset((b"heic", b"heix", b"heim", b"heis", b"hevc", b"hevx", b"hevm", b"hevs", b"mif1", b"msf1"))
"""The brands of files with HEVC pictures in them, if AVIF is not among them."""
_SIGNATURES = {
    b"\xff\x0a": "JPEG XL",
    b"\0\0\0\x0cJXL ": "JPEG XL",
    b"8BPS": "Photoshop",
    b"%PDF": "PDF",
    b"%!PS": "PostScript",
    b"<svg": "SVG",
    b"<?xml": "XML",
    b"\0\0\1\0": "ICO",
}
"""How files begin that need a word of their own: all but the last are not read."""
_UPRIGHT = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}
"""What turns a picture upright, by its EXIF orientation."""
_ORIENTATION, _BITS = 0x0112, 0x0102
_USED_UP = ("icc_profile", "exif", "transparency", "Raw profile type exif", "XML:com.adobe.xmp", "xmp")
"""What a picture's `info` says that no longer holds once it is standard."""


def open_picture(path: str | Path, name: str | None = None, most: int = MAX_PIXELS) -> Image.Image:
    """The decoded picture in `path`, as `standard` makes it. Raises UserError for what cannot be read.

    `name` is what sentences call it, its path by default; pictures of more than `most` pixels are
    refused by their header, before anything is decoded.

    An animation is refused, since it does not say which of its frames is meant. HEIC is told by its
    content, and read where pillow-heif is installed.
    """
    path = Path(path)
    name = name or str(path)
    if not path.is_file():
        raise UserError(f"{path} is a folder, not a picture." if path.is_dir() else f"There is no picture {path}.")
    try:
        with path.open("rb") as file:
            return decode_picture(file, name, most)
    except PermissionError:
        raise UserError(f"{name} cannot be read: permission denied.") from None


def decode_picture(content: bytes | IO[bytes], name: str, most: int = MAX_PIXELS) -> Image.Image:
    """The picture whose file is `content`, as `open_picture` reads one. Raises UserError for what cannot be read."""
    file = io.BytesIO(content) if isinstance(content, bytes) else content
    with _pillow, warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of small damages, which are read over
        return _guarded(file, name, most)


def standard(image: Image.Image) -> Image.Image:
    """A Pillow image upright by its EXIF orientation, in sRGB by its profile: of the mode RGB, RGBA or F.

    16 bits are kept where Pillow keeps them. Raises UserError for numbers that are not a picture's.
    """
    try:
        image.load()
        turn = _UPRIGHT.get(_orientation(image))
    except (OSError, ValueError, SyntaxError) as error:
        raise UserError(f"The picture cannot be read ({error}).") from None
    deep = _grey(image) if image.mode.startswith(("I", "F")) else image
    made = in_srgb(deep if turn is None else deep.transpose(turn))
    made.info = {k: v for k, v in image.info.items() if k not in _USED_UP}
    return made


def check_size(width: int, height: int, what: str, most: int = MAX_PIXELS) -> None:
    """Raises UserError for a picture too large to read, or too small to be one."""
    if width * height > most:
        raise UserError(f"{what} has {width} x {height} pixels; at most {most // 10**6} million are read. Shrink it.")
    if min(width, height) < MIN_SIDE:
        raise UserError(f"{what} has {width} x {height} pixels; a picture needs at least {MIN_SIDE} a side.")


_pillow = threading.Lock()
"""Pillow's limits are the process's; a studio decodes in several threads."""


def _guarded(file: IO[bytes], name: str, most: int) -> Image.Image:
    """The picture, with every failure as a sentence, and Pillow's own limits as they were."""
    limit, truncated = Image.MAX_IMAGE_PIXELS, ImageFile.LOAD_TRUNCATED_IMAGES
    kind = None
    try:
        kind = _kind(file)
        ImageFile.LOAD_TRUNCATED_IMAGES = False
        return _heic(file, name, most) if kind == "HEIC" else _decoded(file, name, most, kind == "ICO")
    except UserError:
        raise
    except UnidentifiedImageError:
        what = f": it is of the kind {kind}" if kind else ""
        raise UserError(f"{name} is not a picture that can be read{what}. {WORK}") from None
    except Exception as error:  # decoders raise whatever their format makes them
        why = f"{kind}: {error}" if kind else str(error)
        raise UserError(f"{name} is not a picture that can be read ({why}). {WORK}") from None
    finally:
        Image.MAX_IMAGE_PIXELS = limit
        ImageFile.LOAD_TRUNCATED_IMAGES = truncated


def _decoded(file: IO[bytes], name: str, most: int, icon: bool) -> Image.Image:
    """What Pillow makes of the file. Its own limit holds for an icon, which is decoded as soon as it is opened."""
    Image.init()
    Image.MAX_IMAGE_PIXELS = most // 2 if icon else None  # Pillow refuses twice its limit
    with Image.open(file, formats=[known for known in FORMATS if known in Image.OPEN]) as image:
        check_size(*image.size, name, most)
        frames = getattr(image, "n_frames", 1)
        if frames > 1 and image.format != "MPO":  # a phone's JPEG with a preview or depth map behind it
            raise UserError(f"{name} is an animation of {frames} frames; save the frame you mean as a PNG.")
        image.load()  # what is cut short says so here
        return standard(image)


def _heic(file: IO[bytes], name: str, most: int) -> Image.Image:
    """A phone's HEIC, which Pillow does not read by itself."""
    try:
        import pillow_heif
    except ImportError:
        raise UserError(
            f"{name} is a HEIC picture, as phones take them. To read it: pip install 'duckrabbit[heic]'. "
            "Or save it as JPEG."
        ) from None
    found = pillow_heif.open_heif(file, convert_hdr_to_8bit=True)
    width, height = found.size
    check_size(width, height, name, most)
    return standard(found.to_pillow())


def _kind(file: IO[bytes]) -> str | None:
    """What a file is by its first bytes, of the kinds that need a word of their own; else None."""
    head = file.read(256)
    file.seek(0)
    if head[4:8] == b"ftyp":
        ftyp = head[8 : max(12, int.from_bytes(head[:4], "big"))]
        brands = {ftyp[k : k + 4] for k in range(0, len(ftyp), 4)}
        return "AVIF" if brands & {b"avif", b"avis"} else "HEIC" if brands & HEIC else "video"
    return next((kind for start, kind in _SIGNATURES.items() if head.lstrip().startswith(start)), None)


def _orientation(image: Image.Image) -> int:
    """The EXIF orientation, 1 where there is none or it cannot be read."""
    try:
        return int(image.getexif().get(_ORIENTATION, 1))
    except Exception:  # EXIF is whatever a camera wrote
        return 1


def _grey(image: Image.Image) -> Image.Image:
    """A picture of the modes I;16, I and F as greys in [0, 1], of the mode F. Raises UserError where they are none.

    White is 65535 in 16 bits, 1 in floating point, and what the file says of its bits. Whole numbers
    of 32 bits do not say it: up to 255 they may be of 8 bits or nearly black, and are refused.
    """
    numbers = np.asarray(image).astype(np.float32)
    low, high = numbers.min(), numbers.max()
    if image.mode == "I" and low >= 0 and high <= 255 and image.format not in ("PPM", "PNG"):
        raise UserError(
            "The picture's numbers are whole, of 32 bits, and at most 255, which does not say what is white; "
            "save it with 8 or 16 bits a channel."
        )
    bits = getattr(image, "tag_v2", {}).get(_BITS, (16,))[0]
    white = 1 if image.mode == "F" else 2.0**bits - 1 if 8 < bits < 16 else 65535
    if not (low >= 0 and high <= white):
        raise UserError("The picture's numbers are not those of a picture; save it with 8 or 16 bits a channel.")
    made = Image.fromarray(numbers / np.float32(white))
    made.info = dict(image.info)
    return made
