"""What a drawing is called: captions that vary from one reading to the next."""

from __future__ import annotations

import torch

from duckrabbit.drawings.drawings import Drawings


def caption(drawings: Drawings, row: int, generator: torch.Generator) -> str:
    """A caption of one drawing, sampled: the words of its style, and its subject or one of its keywords."""
    names = (drawings.subjects[row], *drawings.keywords[row])
    name = names[int(torch.randint(len(names), (), generator=generator))]
    return f"a {drawings.styles[row]} of a {name}"
