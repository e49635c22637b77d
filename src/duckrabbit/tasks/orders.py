"""Orders of cells out of files: what `--view order.npy` and `--view picture.png` name."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from duckrabbit.errors import UserError
from duckrabbit.guidance.views.rearranged import Rearranged
from duckrabbit.tasks.pictures import read_picture
from duckrabbit.values import as_path


def read_order(path: str | Path) -> Rearranged:
    """The order in a file: of a .npy the array itself, of a picture its pixels from dark to bright.

    Of two that are equally bright, the first comes first; a picture is read as all are, upright, on white, in its own
    depth. Raises UserError for what holds none.
    """
    path = as_path("An order", path)
    try:
        return Rearranged(_array(path) if path.suffix.lower() == ".npy" else _by_brightness(path))
    except UserError as error:
        raise UserError(f"{error}" if path.name in f"{error}" else f"{path}: {error}") from None


def _array(path: Path) -> Tensor:
    try:
        cells = np.load(path, allow_pickle=False)
    except (OSError, ValueError, EOFError) as error:
        raise UserError(f"{path} holds no array ({error}); write it with numpy.save.") from None
    if not isinstance(cells, np.ndarray) or cells.dtype.kind not in "iu":
        kind = cells.dtype.name if isinstance(cells, np.ndarray) else "several arrays"
        raise UserError(f"{path} holds {kind}; an order is an array (rows, columns) of whole numbers.")
    return torch.from_numpy(cells.astype(np.int64))


def _by_brightness(path: Path) -> Tensor:
    picture = read_picture(path)
    width, height = picture.size
    grey = picture.shaped((height, width)).pixels[0].mean(0)
    return grey.flatten().argsort(stable=True).view(height, width)
