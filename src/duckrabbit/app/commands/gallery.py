"""The command that makes the gallery."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer


def register(app: typer.Typer) -> None:
    """Add the command to `app`, whose other commands it runs."""

    @app.command()
    def gallery(
        model: Annotated[str, typer.Option(help="A name, a folder, or a hub id.")] = "miniature",
        device: Annotated[str | None, typer.Option(help="cuda, mps or cpu.")] = None,
        dtype: Annotated[str | None, typer.Option(help="float32, bfloat16 or float16.")] = None,
        prompts: Annotated[Path | None, typer.Option(help="Encoded prompts.")] = None,
        only: Annotated[str | None, typer.Option(help="Only the experiments whose name starts so.")] = None,
        out: Annotated[Path, typer.Option(help="The folder to write to.")] = Path("out/gallery"),
    ) -> None:
        """Run every experiment of Part A and write them on one page, index.html.

        A second run makes anew only what has changed; ctrl-C keeps what is finished.

        **Examples**

            duckrabbit gallery
            duckrabbit gallery --model deepfloyd-xl --out out/xl
            duckrabbit gallery --only anagram
        """
        from duckrabbit.app.gallery.build import build
        from duckrabbit.models.cards import cards

        folder = Path(model).expanduser()
        where = str(folder.resolve()) if folder.is_dir() and model not in cards() else model
        given = {"model": where, "device": device, "dtype": dtype, "prompts": prompts and str(prompts.resolve())}
        page, failed = build(app, out, {k: v for k, v in given.items() if v}, only)
        typer.echo(str(page))
        if failed:
            typer.echo(f"Not made: {', '.join(failed)}; the page says why.", err=True)
            raise typer.Exit(1)
