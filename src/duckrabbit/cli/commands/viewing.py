"""The command `views`: every way to look at a picture, told and shown."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

import typer

from duckrabbit.cli.options import with_examples
from duckrabbit.cli.saying import say

OUT = Path("out/views")


def register(app: typer.Typer) -> None:
    """Add the commands of this file to `app`."""
    app.command(help=with_examples(views))(views)


def views(
    image: Annotated[Path | None, typer.Argument(help="A picture to show them on; without one they are told.")] = None,
    view: Annotated[
        list[str] | None, typer.Option("--view", help="Only this view, or this one of your own; again for more.")
    ] = None,
    animate: Annotated[
        Literal["gif", "mp4"] | None, typer.Option(help="Write the way to each view too, as gif or mp4.")
    ] = None,
    out: Annotated[Path, typer.Option("--out", help="The folder to write to.")] = OUT,
) -> None:
    """Tell every view that an anagram can have, or show each on a picture of yours.

    **Examples**

        duckrabbit views
        duckrabbit views photo.jpg --animate gif
        duckrabbit views photo.jpg --view jigsaw:seed=3 --view my_view.py:MyView
    """
    from duckrabbit.files import only_writer
    from duckrabbit.registry import define
    from duckrabbit.report.view_sheet import told, view_figure
    from duckrabbit.report.write import write_figure
    from duckrabbit.tasks.arguments import refuse_idle
    from duckrabbit.tasks.pictures import as_picture

    for spec in view or ():
        for part in spec.split("+"):
            define("view", part.strip())
    if image is None:
        given = {"animate": animate, "out": None if out == OUT else out}
        refuse_idle({k: v for k, v in given.items() if v}, tuple(given), "without a picture nothing is written")
        for name, words in told(view or ()):
            say(f"{name:18}  {words}")
        return
    figure = view_figure(as_picture(image), view or (), animate)
    with only_writer(out):
        say(str(write_figure(figure, out)))
