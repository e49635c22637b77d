"""Beginning a run, or going on with it: what it computes in here, and a folder to itself."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from pathlib import Path
from typing import cast

import torch
from accelerate import Accelerator, PartialState
from accelerate.utils import broadcast_object_list
from torch import nn

from duckrabbit.errors import UserError
from duckrabbit.files import only_writer
from duckrabbit.training.protocols import AnyRecipe, Data
from duckrabbit.training.run import read_identity
from duckrabbit.training.speed import Precision, Speed, fastest, keep_memory
from duckrabbit.training.trainer import BUSY, Trainer


@contextmanager
def running(
    recipe: AnyRecipe,
    data: Data,
    folder: Path,
    precision: str = "auto",
    checkpoint_seconds: float = 120.0,
    start: Callable[[nn.Module], None] = lambda module: None,
    report: Callable[[str], None] = lambda line: None,
) -> Iterator[Trainer]:
    """The trainer of a run in `folder`, new or where it was, while no other run writes there.

    precision: "no" (float32), "bf16", or "auto": that of the run that is there, else the fastest here. `report`
    is told what is to be known of a run that goes on. Raises UserError for another, and where another process
    trains in the folder.
    """
    if precision not in ("auto", "no", "bf16"):
        raise UserError(f"There is no precision '{precision}'; choose auto, no or bf16.")
    keep_memory()
    torch.backends.cudnn.benchmark = True  # on a GPU: convolutions are timed, and the fastest kernel taken
    with alone_in(folder):
        speed = choose_speed(precision, folder, processes().device.type)
        accelerator = Accelerator(cpu=processes().device.type == "cpu", mixed_precision=speed.precision)
        yield Trainer(recipe, data, folder, accelerator, speed, checkpoint_seconds, start, report)


def processes() -> PartialState:
    """The processes that train together, one or several. Unless told that they are on CPUs, such find no other."""
    return PartialState(cpu=not (torch.cuda.is_available() or torch.backends.mps.is_available()))


def choose_speed(precision: str, folder: Path, device: str) -> Speed:
    """The precision asked for; for "auto" that of the run in `folder`, or else the fastest here.

    Of several processes the first one chooses.
    """
    if precision != "auto":
        return Speed(cast("Precision", precision))
    try:
        speed = Speed(read_identity(folder)["precision"])
    except KeyError:
        speed = fastest(device)
    return cast("Speed", broadcast_object_list([speed])[0])


def alone_in(folder: Path) -> AbstractContextManager[None]:
    """A context in which no other run writes into the folder of a run; its first process holds it for all of them."""
    return only_writer(folder, BUSY) if processes().is_main_process else nullcontext()
