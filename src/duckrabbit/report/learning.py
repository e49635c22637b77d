"""What a training run learned: its loss curve from its log, as a figure like any other."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from duckrabbit.errors import UserError
from duckrabbit.folders import kept_runs, runs_folder
from duckrabbit.models.digits.model import folder_name
from duckrabbit.models.load import digits_folder
from duckrabbit.report.figures import Figure
from duckrabbit.report.plots import loss_curve, pixels
from duckrabbit.report.sheet import Cell, Row, Sheet
from duckrabbit.training.run import METRICS, read_metrics


def learning(names: Sequence[str]) -> Figure:
    """The loss curves of models or runs, from their logs, and what each has seen. Raises UserError without a log."""
    logs = {folder_name(Path(name)): read_metrics(_log_folder(name) / METRICS) for name in names}
    for name, log in logs.items():
        if not log:
            raise UserError(f"The log of {name} has no whole step yet; train a little longer.")
    caption = "\n".join(f"{name}: {_summary(log)}" for name, log in logs.items())
    cell = Cell(pixels(loss_curve(logs)), caption, exact=True)
    return Figure(Sheet((Row((cell,)),), "What it learned"))


def _log_folder(name: str) -> Path:
    """The folder with the log of a model's training. Raises UserError where there is none."""
    for folder in (digits_folder(name), Path(name).expanduser(), runs_folder() / name, kept_runs().get(name)):
        if folder is not None and (folder / METRICS).is_file() and (folder / METRICS).stat().st_size:
            return folder
    raise UserError(f"There is no log of a training for '{name}'; name a model of digits, its folder, or a run.")


def _summary(log: Sequence[Mapping[str, Any]]) -> str:
    last = log[-1]
    late = [float(row["loss"]) for row in log[-max(1, len(log) // 50) :]]
    minutes = float(last["seconds"]) / 60
    return (
        f"{last['step']:,} of {last['steps']:,} steps, {last['images']:,} pictures, {minutes:.1f} minutes; "
        f"loss {sum(late) / len(late):.4f}"
    )
