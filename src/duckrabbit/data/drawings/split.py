"""Which drawings are trained on, which are held out, and which are left out because they are nearly another.

Where a drawing goes depends on its subject and style alone, never on what else is in the set: a set of
256 px is held out where that of 64 px is.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence

import numpy as np

from duckrabbit.data.drawings.drawings import Part
from duckrabbit.data.drawings.icons import Icon

HELD_OUT_SUBJECTS, HELD_OUT_PAIRS = 0.03, 0.05
"""The shares of subjects that are held out whole, and of pairs of a subject and a style."""
NEAR = 3.0
"""Two drawings are nearly the same if the root mean square of the differences of their thumbs is less, of 255."""


def part_of(icon: Icon) -> Part:
    """Where a drawing belongs.

    Common subjects are held out in some styles, but never whole: a model that cannot draw a cat is of little use.
    """
    if icon.family.unseen:
        return "unseen"
    subject = icon.emoji.subject
    if not icon.emoji.common and share(f"subject: {subject}") < HELD_OUT_SUBJECTS:
        return "held-out"
    return "held-out" if share(f"pair: {icon.family.style} of {subject}") < HELD_OUT_PAIRS else "train"


def share(text: str) -> float:
    """A number in [0, 1) that a text always gives: the first eight bytes of its sha256."""
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:8]) / 2**64


def near_duplicates(thumbs: Sequence[bytes], near: float = NEAR) -> list[bool]:
    """For each drawing, whether it is nearly the same as one before it that is kept.

    Candidates are found in floating point, a block at a time, and decided in whole numbers.
    """
    if not thumbs:
        return []
    values = np.frombuffer(b"".join(thumbs), np.uint8).reshape(len(thumbs), -1)
    x = values.astype(np.float32)
    squares = (x**2).sum(1)
    limit = near**2 * x.shape[1]
    dropped = [False] * len(thumbs)
    for start in range(0, len(x), 512):
        stop = min(start + 512, len(x))
        apart = squares[start:stop, None] + squares[None, :stop] - 2 * x[start:stop] @ x[:stop].T
        for i, j in zip(*np.nonzero(apart < limit + 64), strict=True):
            a, b = start + int(i), int(j)
            if b < a and not dropped[b] and not dropped[a]:
                difference = values[a].astype(np.int64) - values[b]
                dropped[a] = bool((difference**2).sum() < limit)
    return dropped
