"""Commands about models and laws."""

from __future__ import annotations

import typer


def register(app: typer.Typer) -> None:
    """Add the commands of this file to `app`."""
