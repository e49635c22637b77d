"""The commands that make the gallery, and a figure of its part B."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from duckrabbit.cli.options import with_examples
from duckrabbit.cli.saying import say
from duckrabbit.errors import UserError
from duckrabbit.models.cards import DEFAULT


def register(app: typer.Typer) -> None:
    """Add the commands to `app`; the gallery runs its other commands."""
    app.command(help=with_examples(figure))(figure)

    @app.command()
    def gallery(
        model: Annotated[
            str | None, typer.Option(help=f"A name, a folder, or a hub id; {DEFAULT}, or what suits the preset.")
        ] = None,
        device: Annotated[str | None, typer.Option(help="cuda, mps or cpu.")] = None,
        dtype: Annotated[str | None, typer.Option(help="float32, bfloat16 or float16.")] = None,
        prompts: Annotated[Path | None, typer.Option(help="Encoded prompts.")] = None,
        part: Annotated[
            str, typer.Option(help="a (the pretrained model), b (digits, trained from scratch) or ab.")
        ] = "ab",
        preset: Annotated[
            str | None, typer.Option(help="The page of a course: cs180-2024 (or cs180), cs180-2025 or cs180-2026.")
        ] = None,
        only: Annotated[str | None, typer.Option(help="Only the experiments whose name starts so.")] = None,
        out: Annotated[Path, typer.Option(help="The folder to write to.")] = Path("out/gallery"),
    ) -> None:
        """Run every experiment of the course and write them on one page, index.html.

        A second run makes anew only what has changed; ctrl-C keeps what is finished.

        **Examples**

            duckrabbit gallery
            duckrabbit gallery --model deepfloyd-xl --out out/xl
            duckrabbit gallery --only anagram
            duckrabbit gallery --part b
            duckrabbit gallery --preset cs180-2026 --out out/2026
        """
        from duckrabbit.gallery.build import build
        from duckrabbit.gallery.years import model_for
        from duckrabbit.models.cards import cards
        from duckrabbit.tasks.courses import COURSES

        if part not in ("a", "b", "ab"):
            raise UserError(f"There is no part '{part}'; choose a, b or ab.")
        if preset is not None and preset not in COURSES:
            raise UserError(f"There is no course '{preset}'; choose {', '.join(COURSES)}.")
        model = model or model_for(preset)
        folder = Path(model).expanduser()
        where = str(folder.resolve()) if folder.is_dir() and model not in cards() else model
        given = {"model": where, "device": device, "dtype": dtype, "prompts": prompts and str(prompts.resolve())}
        page, failed = build(app, out, {k: v for k, v in given.items() if v}, only, part, preset)
        say(str(page))
        if failed:
            say(f"Not made: {', '.join(failed)}; the page says why.", err=True)
            raise typer.Exit(1)


def figure(
    name: Annotated[str | None, typer.Argument(metavar="[NAME]", help="Which; without one they are listed.")] = None,
    out: Annotated[Path, typer.Option(help="The folder to write sheet.png to.")] = Path("out/figure"),
    quiet: Annotated[bool, typer.Option("--quiet", help="Say nothing.")] = False,
) -> None:
    """Draw a figure of Part B, from the models of digits that come with duckrabbit and your own runs.

    **Examples**

        duckrabbit figure
        duckrabbit figure mnist-class-guidance
    """
    from duckrabbit.gallery.digits import find, pieces
    from duckrabbit.report.plots import write

    if name is None:
        for piece in pieces():
            say(f"{piece.key:28} {piece.section}")
        return
    path = write(find(name).draw(), out / "sheet.png")
    if not quiet:
        say(str(path))
