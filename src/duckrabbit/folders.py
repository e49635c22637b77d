"""Where data sets and runs are kept: outside the checkout, and where the user says."""

from __future__ import annotations

import os
from importlib.resources import files
from pathlib import Path

ASSETS = Path(str(files("duckrabbit").joinpath("assets")))
"""What the package brings along beside its code: weights, judges, kept figures."""
KEPT = ASSETS / "kept"
"""Figures and logs of long runs, which the package brings along."""


def data_folder(name: str) -> Path:
    """Where a data set is kept: $DUCKRABBIT_DATA/NAME, or in the cache folder."""
    chosen = os.environ.get("DUCKRABBIT_DATA")
    return (Path(chosen) if chosen else cache_folder() / "data") / name


def runs_folder() -> Path:
    """Where training runs are kept, a folder each: $DUCKRABBIT_RUNS, or in the cache folder."""
    chosen = os.environ.get("DUCKRABBIT_RUNS")
    return Path(chosen) if chosen else cache_folder() / "runs"


def kept_runs() -> dict[str, Path]:
    """The runs of which the package keeps figures and a log, by name: their folders."""
    return {folder.name: folder for folder in sorted(KEPT.iterdir())}


def cache_folder() -> Path:
    """Where duckrabbit keeps what it can compute again: $DUCKRABBIT_CACHE, or the user's cache folder."""
    if chosen := os.environ.get("DUCKRABBIT_CACHE"):
        return Path(chosen)
    import platformdirs

    return Path(platformdirs.user_cache_dir("duckrabbit"))
