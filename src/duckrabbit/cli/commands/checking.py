"""The command `check`: the laws of guidance/laws.py on views, filters and models, one's own included."""

from __future__ import annotations

from typing import Annotated

import typer

from duckrabbit.cli.options import with_examples
from duckrabbit.cli.saying import say


def register(app: typer.Typer) -> None:
    """Add the commands of this file to `app`."""
    app.command(help=with_examples(check))(check)


def check(
    view: Annotated[
        list[str] | None,
        typer.Option("--view", help="A view: its name, my_package.module:MyView, or my_view.py:MyView."),
    ] = None,
    model: Annotated[
        str | None, typer.Option(help="A model to check, with the views if there are some; a name, folder or hub id.")
    ] = None,
    prompt: Annotated[
        list[str] | None, typer.Option("--prompt", help="Prompts to ask the model about; from its card by default.")
    ] = None,
    device: Annotated[str | None, typer.Option(help="cuda, mps or cpu; the best there is by default.")] = None,
    dtype: Annotated[str | None, typer.Option(help="float32, bfloat16 or float16; what suits the device.")] = None,
) -> None:
    """Check the laws that views, filters and models have to keep; exit code 1 where one is broken.

    Without options: every view and filter that is shipped, and the default model.

    **Examples**

        duckrabbit check
        duckrabbit check --view my_view.py:MyView
        duckrabbit check --model deepfloyd-m --view rotate_90
    """
    from rich.console import Console
    from rich.table import Table

    from duckrabbit.guidance.views.shipped import VIEWS, parse_view
    from duckrabbit.models.cards import DEFAULT
    from duckrabbit.models.load import load
    from duckrabbit.registry import define
    from duckrabbit.tasks.checks import SIZE, check_combinations, check_filters, check_model, check_view

    every = not view and model is None
    for spec in view or ():
        for part in spec.split("+"):
            define("view", part.strip())
    views = {spec: parse_view(spec, SIZE) for spec in (view or (VIEWS if every else ()))}
    rows = [row for name, found in views.items() for row in check_view(name, found)]
    if every:
        rows += check_filters() + check_combinations()
    if model is not None or every:
        loaded = load(model or DEFAULT, device=device, dtype=dtype)
        rows += check_model(loaded, [] if every else list(views.values()), prompt or [])
    table = Table(box=None, pad_edge=False, header_style="bold")
    for heading in ("of", "law", "deviation", "tolerance", "holds"):
        table.add_column(
            heading, overflow="fold", justify="right" if "ation" in heading or "ance" in heading else "left"
        )
    for row in rows:
        table.add_row(
            row.subject, row.law, f"{row.deviation:.1e}", f"{row.tolerance:.1e}", "yes" if row.holds else "NO"
        )
    Console(highlight=False).print(table)
    broken = [row for row in rows if not row.holds]
    for row in broken:
        say(f"broken: {row.law} of {row.subject}{': ' + row.note if row.note else ''}")
    if broken:
        raise typer.Exit(1)
    say(f"all {len(rows)} laws hold")
