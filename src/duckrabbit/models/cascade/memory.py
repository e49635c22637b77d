"""Which parts of a cascade are in memory.

A cascade's text encoder can be ten times its U-Net. So parts are loaded when they are used, and
what is not in use makes room: the peak is the largest part, not the sum.
"""

from __future__ import annotations

import gc
import threading
from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, Literal, Protocol, get_args

from duckrabbit.errors import UserError, lacks_memory

Policy = Literal["auto", "resident", "parked", "strict"]
"""resident: parts stay on the device; parked: a U-Net not in use waits in main memory; strict: one
part is in memory at a time; auto: resident below SMALL bytes in all, else strict."""

SMALL = 1 << 30
UNKNOWN_SIZE = 1 << 40
"""The numbers of a part of which it cannot be known now how many they are."""
READING = 1 << 29
"""Bytes of weights that a disk gives in a second; a guess."""


class Part(Protocol):
    """Something that can be loaded by itself, with `.to(device)`."""

    @property
    def name(self) -> str:
        """What to call it in a message; no other part of the model has this name."""

    @property
    def can_park(self) -> bool:
        """Whether it is worth keeping in main memory."""

    @property
    def is_held(self) -> bool:
        """Whether somebody else holds it, so that room is made by moving it away, not by letting go of it."""

    @property
    def remedy(self) -> str:
        """What else can be done where it does not fit, as the end of a sentence; may be empty."""

    def load(self) -> Any:
        """The thing itself, on the CPU, in the dtype it computes in."""

    def size(self) -> int:
        """Its bytes in memory."""

    def hashes(self) -> Mapping[str, str]:
        """The sha256 of its files, by path."""


@dataclass(frozen=True)
class Need:
    """What the weights of a model take: bytes in memory by part, and of those that are there at once, at most.

    `seconds` is about how long they take to be read from disk, all of them once.
    """

    parts: Mapping[str, int]
    peak: int
    dtype: str

    @property
    def seconds(self) -> float:
        """At READING bytes a second."""
        return sum(self.parts.values()) / READING

    def __str__(self) -> str:
        parts = ", ".join(f"{name} {size / 2**30:.1f} GiB" for name, size in self.parts.items())
        return (
            f"The weights take {self.peak / 2**30:.1f} GiB of memory at once, at most ({parts}; {self.dtype}), and "
            f"about {self.seconds:.0f} s to read."
        )


@dataclass(eq=False)
class Residency:
    """Which of the `parts` are loaded. `peak` is the most that were in memory at once, parked ones included.

    Several threads may use one: `lock` is held while parts come and go. A copy, and what comes out of a
    pickle, has nothing loaded. Raises UserError for a policy that does not exist.
    """

    asked: Policy
    device: str
    parts: Sequence[Part] = ()
    peak: int = field(default=0, init=False)
    lock: AbstractContextManager[Any] = field(default_factory=threading.RLock, init=False, repr=False)
    _here: dict[str, Any] = field(default_factory=dict, init=False)
    _parked: dict[str, Any] = field(default_factory=dict, init=False)

    def __post_init__(self) -> None:
        if self.asked not in get_args(Policy):
            raise UserError(f"There is no memory policy '{self.asked}'; choose {', '.join(get_args(Policy))}.")

    def __reduce__(self) -> tuple[Any, ...]:
        return Residency, (self.asked, self.device, self.parts)

    @cached_property
    def policy(self) -> Policy:
        """What was asked for, `auto` decided by the size of all parts together."""
        if self.asked != "auto":
            return self.asked
        return "resident" if sum(part.size() for part in self.parts) < SMALL else "strict"

    @property
    def loaded(self) -> tuple[str, ...]:
        """The names of the parts on the device."""
        return tuple(self._here)

    def turn(self) -> AbstractContextManager[Any]:
        """A context in which no other thread makes a part give way; where all of them stay, it waits for nobody."""
        return nullcontext() if self.policy == "resident" else self.lock

    def use(self, part: Part) -> Any:
        """The part, on the device; the others have made room. It stays there for as long as the `turn` lasts.

        Raises UserError where it does not fit.
        """
        with self.lock:
            if part.name not in self._here:
                if self.policy != "resident":
                    self._make_room()
                self._here[part.name] = self._bring(part)
                self.peak = max(self.peak, len(self._here) + len(self._parked))
            return self._here[part.name][1]

    def need(self, dtype: str) -> Need | None:
        """What the parts take, in `dtype`; None where the size of one is not known now, or its files are not there."""
        try:
            sizes = {part.name: part.size() for part in self.parts}
        except UserError:
            return None
        if not sizes or max(sizes.values()) >= UNKNOWN_SIZE:
            return None
        return Need(sizes, sum(sizes.values()) if self.policy == "resident" else max(sizes.values()), dtype)

    def check(self, part: Part) -> None:
        """Look for a part's room before it is loaded, and before anything is fetched.

        Raises UserError where the memory that would be free for it, with the others gone, does not suffice.
        """
        with self.lock:
            if part.name in self._here or part.name in self._parked or part.is_held:
                return
            room, size = _room(self.device), part.size()
            leaving = sum(p.size() for p, _ in self._here.values() if not self._stays(p))
            if room is not None and room + leaving < size < UNKNOWN_SIZE:
                raise UserError(self._too_large(part))

    def _stays(self, part: Part) -> bool:
        """Whether a part is still in the device's memory when it has made room."""
        parked = part.is_held or (self.policy == "parked" and part.can_park)
        return self.policy == "resident" or (self.device == "cpu" and parked)

    def clear(self) -> None:
        """Free everything; what another thread is using goes when it is done."""
        with self.lock:
            self._here.clear()
            self._parked.clear()
            _collect(self.device)

    def _bring(self, part: Part) -> tuple[Part, Any]:
        try:
            thing = self._parked.pop(part.name)[1] if part.name in self._parked else part.load()
            return part, thing.to(self.device)
        except (MemoryError, RuntimeError, OSError) as error:
            if not lacks_memory(error):
                raise
        _collect(self.device)
        raise UserError(self._too_large(part))

    def _too_large(self, part: Part) -> str:
        free = f", of which {free_memory() / 2**30:.1f} GiB are free" if self.device == "cpu" else ""
        elsewhere = "" if self.device == "cpu" else ", or device='cpu'"
        return (
            f"The {part.name} ({part.size() / 2**30:.1f} GiB) does not fit in the memory of {self.device}{free}; "
            f"close what else runs there, or choose a smaller model, dtype='bfloat16'{elsewhere}{part.remedy}."
        )

    def _make_room(self) -> None:
        for name, (part, thing) in self._here.items():
            if part.is_held or (self.policy == "parked" and part.can_park):
                self._parked[name] = (part, thing.to("cpu"))
        if self._here:
            self._here.clear()
            _collect(self.device)


def free_memory() -> int:
    """The bytes of main memory, swap included, that programs can have now."""
    import psutil

    return int(psutil.virtual_memory().available + psutil.swap_memory().free)


def _room(device: str) -> int | None:
    """The bytes that a device has for parts, what is loaded there not counted; None where that is not known."""
    import torch

    if device.startswith("cuda"):
        kept = torch.cuda.memory_reserved(device) - torch.cuda.memory_allocated(device)  # by torch, for whoever asks
        return int(torch.cuda.mem_get_info(device)[0]) + kept
    return free_memory() if device == "cpu" else None


def _collect(device: str) -> None:
    import torch

    gc.collect()
    if device.startswith("cuda"):
        torch.cuda.empty_cache()
    elif device == "mps":
        torch.mps.empty_cache()
