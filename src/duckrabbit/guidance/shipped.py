"""The guidances that come with duckrabbit, by name."""

from __future__ import annotations

from dataclasses import fields
from functools import partial
from typing import Any

from duckrabbit.errors import UserError
from duckrabbit.guidance.nodes import CFG
from duckrabbit.guidance.projected import Projected
from duckrabbit.guidance.rescaled import Rescaled
from duckrabbit.registry import find, numbered, table

GUIDANCES: dict[str, Any] = table("guidance")
GUIDANCES |= {"cfg": CFG, "rescaled": Rescaled, "apg": Projected}
"""The ways to guide, by name; each is called with (conditional, unconditional, scale)."""


def find_guidance(spec: str) -> Any:
    """A guidance by its name, its numbers after a colon: "apg", "apg:eta=0.2,radius=15".

    Raises UserError for a name or a number that there is not.
    """
    name, numbers = numbered(spec, GUIDANCES)
    guide = find("guidance", name)
    if numbers is None:
        return guide
    known = {f.name for f in fields(guide)} - {f.name for f in fields(CFG)} if _is_cfg(guide) else set()
    if not numbers or not known >= set(numbers):
        there = ", ".join(sorted(known)) or "no numbers"
        raise UserError(f"The guidance {name} cannot be set by '{spec.partition(':')[2]}'; it takes {there}.")
    return partial(guide, **numbers)


def takes_interval(guide: Any) -> bool:
    """Whether a guidance can be told the levels to guide at."""
    return _is_cfg(guide.func if isinstance(guide, partial) else guide)


def is_shipped(guide: Any) -> bool:
    """Whether a guidance is one of duckrabbit's own, which all leave alone what is guided nowhere."""
    return (guide.func if isinstance(guide, partial) else guide) in (CFG, Rescaled, Projected)


def _is_cfg(guide: Any) -> bool:
    return isinstance(guide, type) and issubclass(guide, CFG)
