"""The commands that make pictures, one for each kind of request."""

from __future__ import annotations

import typer

from duckrabbit.cli.options import Output, request_command
from duckrabbit.tasks.requests import REQUESTS, Request


def register(app: typer.Typer) -> None:
    """Add the commands to `app`."""
    for kind in REQUESTS.values():
        request_command(app, kind, _perform)


def _perform(request: Request, output: Output) -> None:
    from duckrabbit.cli.perform import perform

    perform(request, output)
