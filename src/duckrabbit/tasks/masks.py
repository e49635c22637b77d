"""Masks: 1 where a picture is made anew. What is no mask is refused, and not guessed at."""

from __future__ import annotations

import math
from dataclasses import replace

import torch
from torch import Tensor
from torch.nn.functional import adaptive_avg_pool2d, adaptive_max_pool2d, max_pool2d

from duckrabbit.errors import UserError
from duckrabbit.tasks.pictures import Picture, Source, read_picture
from duckrabbit.values import Size, words_of

DARK, LIGHT = 0.25, 0.75
"""What is darker is black, what is lighter white; between them lie the greys of soft edges."""
COLOURED = 0.15
"""Channels so far apart are a colour, and more than JPEG does to a grey."""
STRAY = 0.002
"""The share of pixels that may be out of place: what compression and scaling do."""
MOST_GREY = 0.25
"""A mask with more greys than this is a picture."""
PICTURE = 0.1
"""Of a mask with a hole, so much colour or grey is a picture's."""
FLAT = 0.1
"""Paint is of one colour where no channel is further from its median."""
BLOCKS = 256
"""Soft edges are looked for in so many blocks of the longer side, at most; they reach over a 32nd of the mask."""
MEANING = "White is where the picture is made anew, black is kept"


def as_mask(source: Source, like: Source | None = None, invert: bool = False) -> Tensor:
    """A mask as float32 (1, 1, H, W): 1 (white) where the picture is to be made anew; `invert`: where it is black.

    As much of it is used as is seen of `like`.
    Greys are cut at the half where they are the soft edge between black and white. Of a mask with
    transparency the clear part is black if all else is white or of one other colour but black, as on a
    painted layer; and white if all else is a picture with a hole in it.

    Raises UserError for what has colours or a third level, where it is not clear what is meant, where
    it is all of one value, and where its whole size, upright, is not that of `like`; a tensor may also
    be of its middle alone.
    """
    read = read_picture(source)
    if like is not None:
        picture = read_picture(like)
        cut_before = isinstance(source, Tensor) and read.size == picture.middle[::-1]  # as this function gives it
        if not cut_before:
            check_alike(read.size, picture.size)
        read = read.shaped(picture.middle)
    white = _white(_stretched(read))
    if white.min() == white.max():
        where = "The mask is" if read.size == read.middle[::-1] else f"The mask's middle {words_of(read.middle)} is"
        new = bool(white.min()) != invert
        what = "nothing would be kept" if new else "nothing would be painted"
        raise UserError(f"{where} all {'white' if white.min() else 'black'}: {what}. {MEANING}.")
    return 1 - white if invert else white


def check_alike(mask: tuple[int, int], picture: tuple[int, int]) -> None:
    """Raises UserError where the whole sizes (width, height) of a mask and its picture, upright, are not the same."""
    if mask != picture:
        size, want = (f"{w} x {h}" for w, h in (mask, picture))
        way = "turn one of them" if mask == picture[::-1] else "make them alike"
        raise UserError(f"The mask has {size} pixels and the picture {want}; {way}.")


def box_mask(box: tuple[float, float, float, float], size: Size) -> Tensor:
    """A mask (1, 1, *size) that is 1 inside x0, y0, x1, y1, in pixels of what is seen of the picture."""
    if not all(math.isfinite(v) for v in box):
        raise UserError("The corners of a box are numbers of pixels: x0,y0,x1,y1.")
    x0, y0, x1, y1 = (round(v) for v in box)
    height, width = size
    if not (0 <= x0 < x1 <= width and 0 <= y0 < y1 <= height) or (x1 - x0) * (y1 - y0) == width * height:
        raise UserError(
            f"The box {x0},{y0},{x1},{y1} does not lie within the picture's middle {words_of(size)} pixels; "
            "give x0,y0,x1,y1 with x0 < x1 and y0 < y1, and leave something to keep."
        )
    mask = torch.zeros((1, 1, *size), dtype=torch.float32)
    mask[..., y0:y1, x0:x1] = 1
    return mask


def share_anew(mask: Tensor) -> str:
    """How much of a picture is made anew, in a sentence."""
    percent = 100 * mask.float().mean().item()
    share = "less than 1 %" if percent < 1 else "more than 99 %" if percent > 99 else f"{percent:.0f} %"
    return f"{share} of the picture is made anew{'; to keep that part instead, invert the mask' * (percent > 50)}."


def _white(read: Picture) -> Tensor:
    """(B, 1, H, W), 1 where the mask is white, by its colours or by its transparency."""
    if read.alpha is None or read.alpha.min() == read.alpha.max() > 0:
        return _levels(read.colours)
    if read.alpha.max() == 0:
        raise UserError(f"The mask is clear all over. {MEANING}.")
    opaque = _halved(read.alpha, "transparency")
    painted = read.colours[:, :, opaque[0, 0] > 0]
    grey = painted.mean(1)
    coloured = (painted.amax(1) - painted.amin(1) > COLOURED).float().mean()
    if (coloured <= STRAY and (grey < LIGHT).float().mean() <= STRAY) or _is_paint(painted):
        return opaque
    dark = (painted.amax(1) < DARK).float().mean() >= 1 - STRAY
    if not dark and max(coloured, ((grey >= DARK) & (grey <= LIGHT)).float().mean()) > PICTURE:
        return 1 - opaque
    what = "black" if dark or (grey < DARK).float().mean() >= 1 - STRAY else "black and white"
    raise UserError(
        f"The mask is {what} on a clear layer, which does not say whether the clear part is made anew. {MEANING}: "
        "fill the clear part with one of the two."
    )


def _stretched(read: Picture) -> Picture:
    """A mask of 0 and 1 in bytes, as programs write them, with 255 for its 1; any other as it is."""
    ones = read.alpha is None and abs(255 * read.colours.max().item() - 1) < 1e-3
    return replace(read, colours=read.colours * 255) if ones else read


def _is_paint(painted: Tensor) -> bool:
    """Whether pixels (B, 3, N) have one colour, and that is not black."""
    paint = painted.median(2, keepdim=True).values
    stray = ((painted - paint).abs().amax(1) > FLAT).float().mean()
    return bool(stray <= STRAY and paint.max() >= DARK)


def _levels(colours: Tensor) -> Tensor:
    """(B, 1, H, W), 1 where `colours` (B, 3, H, W) are white. Raises UserError where they are not black and white."""
    coloured = (colours.amax(1) - colours.amin(1) > COLOURED).float().mean()
    if coloured > STRAY:
        raise UserError(
            f"The mask has colours ({_percent(coloured)} of it), as a picture has. {MEANING}; other colours have no "
            "meaning."
        )
    return _halved(colours.mean(1, keepdim=True), "brightness")


def _halved(values: Tensor, what: str) -> Tensor:
    """`values` (B, 1, H, W) cut at the half, if all greys are soft edges. Raises UserError for a third level."""
    white, (height, width) = (values > 0.5).float(), values.shape[-2:]
    share = min(1.0, BLOCKS / max(height, width))
    blocks = max(1, round(share * height)), max(1, round(share * width))
    grey = adaptive_avg_pool2d(((values >= DARK) & (values <= LIGHT)).float(), blocks)
    reach = max(2, max(blocks) // 32)
    some_white, some_black = (
        max_pool2d(adaptive_max_pool2d(level, blocks), 2 * reach + 1, 1, reach) for level in (white, 1 - white)
    )
    if (grey * (1 - some_white * some_black)).mean() > STRAY or grey.mean() > MOST_GREY:
        levels = "neither black nor white" if what == "brightness" else "neither clear nor opaque"
        raise UserError(
            f"{_percent(grey.mean())} of the mask is {levels}, and no soft edge between the two. {MEANING}; "
            "make it of these two alone."
        )
    return white


def _percent(share: Tensor) -> str:
    return f"{max(1, round(100 * share.item()))} %"
