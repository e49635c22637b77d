"""Which parts of a cascade are in memory.

A cascade's text encoder can be ten times its U-Net. So parts are loaded when they are used, and
what is not in use makes room: the peak is the largest part, not the sum.
"""

from __future__ import annotations

import gc
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from duckrabbit.errors import UserError

Policy = Literal["auto", "resident", "parked", "strict"]
"""resident: parts stay on the device; parked: a U-Net not in use waits in main memory; strict: one
part is in memory at a time; auto: resident below SMALL bytes in all, else strict."""

SMALL = 1 << 30


@dataclass(frozen=True, eq=False)
class Part:
    """Something that can be loaded by itself, with `.to(device)`.

    `load()` gives it, on the CPU, in the dtype it computes in; `size()` its bytes there; `hashes()` the
    sha256 of its files by path. `can_park`: whether it is worth keeping in main memory. `is_held`:
    somebody else holds it, so room is made by moving it away, not by letting go of it.
    """

    name: str
    load: Callable[[], Any]
    size: Callable[[], int]
    hashes: Callable[[], Mapping[str, str]]
    can_park: bool = True
    is_held: bool = False


@dataclass(eq=False)
class Memory:
    """The parts that are loaded. `peak` is the most that were in memory at once, parked ones included."""

    policy: Policy
    device: str
    peak: int = 0
    _here: dict[str, Any] = field(default_factory=dict)
    _parked: dict[str, Any] = field(default_factory=dict)

    @property
    def loaded(self) -> tuple[str, ...]:
        """The names of the parts on the device."""
        return tuple(self._here)

    def use(self, part: Part) -> Any:
        """The part, on the device; the others have made room. Raises UserError where it does not fit."""
        if part.name not in self._here:
            if self.policy != "resident":
                self._make_room()
            self._here[part.name] = self._bring(part)
            self.peak = max(self.peak, len(self._here) + len(self._parked))
        return self._here[part.name][1]

    def clear(self) -> None:
        """Free everything."""
        self._here.clear()
        self._parked.clear()
        _collect(self.device)

    def _bring(self, part: Part) -> tuple[Part, Any]:
        from torch import OutOfMemoryError

        try:
            thing = self._parked.pop(part.name)[1] if part.name in self._parked else part.load()
            return part, thing.to(self.device)
        except (OutOfMemoryError, MemoryError):
            _collect(self.device)
            raise UserError(
                f"The {part.name} ({part.size() / 2**30:.1f} GiB) does not fit in the memory of {self.device}; "
                "close what else runs there, or choose a smaller model, dtype='bfloat16', or device='cpu'."
            ) from None

    def _make_room(self) -> None:
        for name, (part, thing) in self._here.items():
            if part.is_held or (self.policy == "parked" and part.can_park):
                self._parked[name] = (part, thing.to("cpu"))
        if self._here:
            self._here.clear()
            _collect(self.device)


def settle(policy: Policy, parts: list[Part]) -> Policy:
    """`auto` decided by the size of all parts together."""
    if policy not in ("auto", "resident", "parked", "strict"):
        raise UserError(f"There is no memory policy '{policy}'; choose auto, resident, parked or strict.")
    if policy != "auto":
        return policy
    return "resident" if sum(part.size() for part in parts) < SMALL else "strict"


def _collect(device: str) -> None:
    import torch

    gc.collect()
    if device.startswith("cuda"):
        torch.cuda.empty_cache()
    elif device == "mps":
        torch.mps.empty_cache()
