"""The command line. Nothing heavy is imported until a command needs it."""

from __future__ import annotations

import io
import signal
import sys
from typing import Annotated

import typer

from duckrabbit.cli.commands import catalogue, checking, data, evaluate, replaying, requests, train
from duckrabbit.errors import UserError, lacks_memory
from duckrabbit.gallery import command as gallery
from duckrabbit.studio import command as studio

HELP = """Diffusion, taken apart: sample, edit and inpaint with text-to-image cascades, make optical illusions,
and train small diffusion models from scratch. The model `miniature` comes with the package, so
everything runs at once, without a login or a download.

Two prompts in, a picture that turns, out:

    duckrabbit anagram "a glossy emoji of a fish" "a glossy emoji of a rose" --view rotate_90

Every experiment of a diffusion course, on one page:

    duckrabbit gallery
"""

app = typer.Typer(
    help=HELP,
    no_args_is_help=True,
    rich_markup_mode="markdown",
    pretty_exceptions_enable=False,
    add_completion=False,
    context_settings={"help_option_names": ["--help", "-h"]},
)
for commands in (requests, replaying, gallery, studio, train, evaluate, data, catalogue, checking):
    commands.register(app)


def _version(wanted: bool) -> None:
    if wanted:
        from importlib.metadata import PackageNotFoundError, version

        try:
            typer.echo(f"duckrabbit {version('duckrabbit')}")
        except PackageNotFoundError:
            typer.echo("duckrabbit, not installed")
        raise typer.Exit


@app.callback()
def _root(
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Tell the version.")
    ] = False,
) -> None: ...


def main() -> None:
    """Run a command. What the user can mend is told in a sentence, with exit code 2."""
    signal.signal(signal.SIGTERM, _stop)
    for stream in (sys.stdout, sys.stderr):  # what a code page lacks is told by its number, and stops nothing
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")
    try:
        app()
    except UserError as error:
        _complain(str(error))
    except KeyboardInterrupt:
        sys.exit(130)
    except OSError as error:
        _complain(f"{error.filename or 'A file'} cannot be used: {error.strerror or error}.")
    except (MemoryError, RuntimeError) as error:
        if not lacks_memory(error):
            raise
        _complain(
            "There is not enough memory for this. Make fewer at once (--count, --micro-batch 1), or a smaller model."
        )


def _stop(number: int, frame: object) -> None:
    """A request to end, as ctrl-C is one: what is finished is kept."""
    raise KeyboardInterrupt


def _complain(sentence: str) -> None:
    from rich.console import Console
    from rich.markup import escape

    Console(stderr=True, highlight=False).print(f"[bold red]Error:[/] {escape(sentence)}", soft_wrap=True)
    sys.exit(2)


if __name__ == "__main__":
    main()
