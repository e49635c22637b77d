"""The commands that make pictures, one for each kind of request."""

from __future__ import annotations

import json
from contextlib import nullcontext
from pathlib import Path
from typing import Annotated

import typer

from duckrabbit.cli.options import Output, request_command, with_examples
from duckrabbit.cli.saying import say
from duckrabbit.tasks.requests import REQUESTS, Request

BATCH = Path("out/batch")


def register(app: typer.Typer) -> None:
    """Add the commands to `app`."""
    for kind in REQUESTS.values():
        request_command(app, kind, _perform)
    app.command(help=with_examples(batch))(batch)


def _print_schema(wanted: bool) -> None:
    if wanted:
        from duckrabbit.tasks.spelling import row_schema

        say(json.dumps(row_schema(), indent=2))
        raise typer.Exit


def batch(
    file: Annotated[Path, typer.Argument(help="JSON lines: a request each, as records keep them.")],
    out: Annotated[Path, typer.Option("--out", help="The folder; row 7 is written to its folder 0007.")] = BATCH,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only tell what would run.")] = False,
    quiet: Annotated[bool, typer.Option("--quiet", help="Print nothing but errors.")] = False,
    schema: Annotated[
        bool,
        typer.Option("--schema", callback=_print_schema, is_eager=True, help="Print the JSON schema of a row instead."),
    ] = False,
) -> None:
    """Carry out every request of a file, one after the other. What is wrong in any row is said before anything runs.

    A row names its command and the options, spelled as in Python:
    {"verb": "generate", "prompts": ["a cat"], "count": 4}.

    **Examples**

        duckrabbit batch requests.jsonl --out out/many
        duckrabbit batch requests.jsonl --dry-run
        duckrabbit batch --schema > row.schema.json
    """
    from duckrabbit.files import only_writer
    from duckrabbit.tasks.spelling import read_requests

    rows = read_requests(file)
    with nullcontext() if dry_run else only_writer(out):
        for number, request in enumerate(rows, 1):
            _perform(request, Output(out / f"{number:04d}", dry_run, quiet))


def _perform(request: Request, output: Output) -> None:
    from duckrabbit.cli.perform import perform

    perform(request, output)
