"""Films: frames uint8 (H, W, 3) as GIF or MP4, and the way between a picture and its views."""

from __future__ import annotations

import io
import math
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Literal

import numpy as np
from PIL import Image
from torch import Tensor

from duckrabbit.files import Atomic, write_atomically
from duckrabbit.report.sheet import enlarge

Kind = Literal["mp4", "gif"]
FRAMES, SIDE, RATE, HELD = 24, 256, 20, 14
"""Frames of one way, the least width in pixels, frames a second, and frames held at either end."""


def transition(picture: np.ndarray, way: Callable[[Tensor, float], Tensor], frames: int = FRAMES) -> list[np.ndarray]:
    """The frames of one way: `way(x, u)` of the picture, enlarged, with u slow at both ends."""
    import torch

    from duckrabbit.tasks.pictures import to_pixels

    large = torch.from_numpy(enlarge(picture, SIDE)).permute(2, 0, 1)[None].float() / 127.5 - 1
    eased = [(1 - math.cos(math.pi * k / (frames - 1))) / 2 for k in range(frames)]
    return [to_pixels(way(large, u), (-1.0, 1.0))[0].numpy() for u in eased]


def write_gif(frames: Sequence[np.ndarray], path: Path, durations: Sequence[int]) -> None:
    """An endless GIF, its frames with one palette between them; `durations` of each frame in ms."""
    palette = Image.fromarray(np.concatenate(frames[:: max(1, len(frames) // 4)], axis=1)).quantize(256)
    pictures = [Image.fromarray(f).quantize(palette=palette, dither=Image.Dither.NONE) for f in frames]
    with Atomic(path) as temporary:
        pictures[0].save(
            temporary, format="GIF", save_all=True, append_images=pictures[1:], duration=list(durations), loop=0
        )


def write_mp4(frames: Sequence[np.ndarray], path: Path, rate: int = RATE) -> None:
    """H.264 in MP4, which every browser and telephone plays; sides are made even by a white edge."""
    import av

    buffer = io.BytesIO()
    height, width = (n + n % 2 for n in frames[0].shape[:2])
    with av.open(buffer, "w", format="mp4") as container:
        stream = container.add_stream("libx264", rate=rate, options={"crf": "16", "preset": "veryfast"})
        stream.width, stream.height, stream.pix_fmt = width, height, "yuv420p"
        stream.thread_count = 1
        for frame in frames:
            edge = ((0, height - frame.shape[0]), (0, width - frame.shape[1]), (0, 0))
            even = np.pad(frame, edge, constant_values=255)
            container.mux(stream.encode(av.VideoFrame.from_ndarray(np.ascontiguousarray(even), format="rgb24")))
        container.mux(stream.encode(None))
    write_atomically(path, buffer.getvalue())


def write_transition(frames: Sequence[np.ndarray], path: Path) -> None:
    """There and back, held at both ends; the suffix of `path` says in which format."""
    back = list(reversed(frames))[1:-1]
    if path.suffix == ".gif":
        times = [50] * len(frames) + [50] * len(back)
        times[0], times[len(frames) - 1] = 50 * HELD, 50 * HELD
        write_gif([*frames, *back], path, times)
        return
    write_mp4([*[frames[0]] * HELD, *frames, *[frames[-1]] * HELD, *back], path)
