"""The families of hybrids by the names of their components; their filters are in families.py."""

from __future__ import annotations

from typing import Literal, NamedTuple

Family = Literal["low-high", "triple", "colour", "motion", "composed"]


class Component(NamedTuple):
    """A part of a picture by its name, and how one looks at the picture to see it."""

    name: str
    seen: str


COMPONENTS: dict[str, tuple[Component, ...]] = {
    "low-high": (Component("high", "near"), Component("low", "far")),
    "triple": (Component("high", "near"), Component("medium", "half way"), Component("low", "far")),
    "colour": (Component("colour", "in colour"), Component("grey", "in grey")),
    "motion": (Component("rest", "still"), Component("motion", "shaken")),
}
"""The components of each family that parts pictures, in the order of their prompts.

The first is what the others leave, and is seen by a plain look; the last is what a photograph gives unless it is
told otherwise. The family "composed" parts nothing: all prompts count everywhere, by their weights.
"""
