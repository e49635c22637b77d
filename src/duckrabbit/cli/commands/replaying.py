"""The command that runs a record again."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from duckrabbit.cli.options import with_examples
from duckrabbit.cli.saying import say
from duckrabbit.models.cards import split_recast


def register(app: typer.Typer) -> None:
    """Add the command to `app`."""
    app.command(help=with_examples(replay))(replay)


def replay(
    record: Annotated[Path, typer.Argument(help="A .json record, or a picture that carries one.")],
    model: Annotated[str | None, typer.Option(help="Where the model is now, if it lay in a folder.")] = None,
    prompts: Annotated[Path | None, typer.Option(help="Encoded prompts, if the run used a file of them.")] = None,
    device: Annotated[str | None, typer.Option(help="Another device than the record's.")] = None,
    dtype: Annotated[str | None, typer.Option(help="Another dtype than the record's.")] = None,
    own: Annotated[
        list[str] | None, typer.Option("--own", "--view", help="What is your own that the run used: FILE.py:NAME.")
    ] = None,
) -> None:
    """Run a record again and compare the pictures to the pixel.

    **Examples**

        duckrabbit replay out/anagram-001/01.json
        duckrabbit replay out/anagram-001/01-seed180.png
    """
    from duckrabbit.cli.perform import progress
    from duckrabbit.records.read import read_record
    from duckrabbit.records.replay import replay
    from duckrabbit.registry import acquaint, define

    for spec in own or ():
        acquaint(spec)
    if model is not None:
        define("model", split_recast(model)[0])
    costs = read_record(record)["cost"]
    with progress(sum(c.get("moves", 0) for c in costs if isinstance(c, dict))) as advance:
        again = replay(
            record,
            model=model,
            prompts=prompts,
            device=device,
            dtype=dtype,
            on_state=lambda *_: advance("again"),
        )
    if again.changed:
        say(f"changed since then: {', '.join(again.changed)}")
    if again.same:
        say("the same, to the pixel")
        return
    difference = (
        "the old pictures are not beside the record"
        if again.difference is None
        else f"by up to {again.difference} of 255"
    )
    say(f"not the same: {difference}")
    raise typer.Exit(1)
