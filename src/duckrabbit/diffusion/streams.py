"""Random streams: the noise of a picture depends on its seed and on nothing else.

Every sample has its own generator for every purpose ("start", "step", "up", "known", ...) and
index, seeded by a stable hash. So the noise is the same whatever the batch size, whichever features
are switched on, and wherever a run is taken up again. It is drawn on the CPU in float32, so it is
the same on every device too.
"""

from __future__ import annotations

from dataclasses import dataclass
from hashlib import blake2b

import torch
from torch import Tensor

from duckrabbit.errors import UserError


def stream_seed(seed: int, purpose: str, index: int) -> int:
    """A 63-bit seed from (seed, purpose, index); the same on every machine and Python."""
    digest = blake2b(f"{seed}/{purpose}/{index}".encode(), digest_size=8).digest()
    return int.from_bytes(digest, "big") >> 1


@dataclass(frozen=True)
class Noise:
    """Standard normal noise for a batch of `len(seeds)` pictures; `scope` keeps stages apart."""

    seeds: tuple[int, ...]
    scope: str = ""

    def __call__(self, like: Tensor, purpose: str, i: int = 0) -> Tensor:
        """Noise shaped like `like` (B, ...), on its device, in its dtype; B must be len(seeds)."""
        if len(like) != len(self.seeds):
            raise UserError(f"{len(like)} pictures need as many seeds, not {len(self.seeds)}.")
        name = f"{self.scope}/{purpose}" if self.scope else purpose
        rows = [
            torch.randn(like.shape[1:], generator=_generator(seed, name, i), dtype=torch.float32, device="cpu")
            for seed in self.seeds
        ]
        return torch.stack(rows).to(like)


def _generator(seed: int, purpose: str, index: int) -> torch.Generator:
    return torch.Generator("cpu").manual_seed(stream_seed(seed, purpose, index))
