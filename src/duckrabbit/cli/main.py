"""The command line. Nothing heavy is imported until a command needs it."""

from __future__ import annotations

import inspect
import io
import signal
import sys
from collections.abc import Callable
from typing import Annotated, Any

import typer

from duckrabbit.cli.commands import catalogue, checking, data, evaluate, replaying, requests, searching, train, viewing
from duckrabbit.cli.saying import say, sentence
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


def _program() -> typer.Typer:
    return typer.Typer(
        help=HELP,
        no_args_is_help=True,
        rich_markup_mode="markdown",
        pretty_exceptions_enable=False,
        add_completion=False,
        context_settings={"help_option_names": ["--help", "-h"]},
    )


app = _program()
for commands in (requests, replaying, gallery, studio, train, evaluate, data, catalogue, viewing, searching, checking):
    commands.register(app)


def _version(wanted: bool) -> None:
    if wanted:
        from importlib.metadata import PackageNotFoundError, version

        try:
            say(f"duckrabbit {version('duckrabbit')}")
        except PackageNotFoundError:
            say("duckrabbit, not installed")
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
        (outline() if sys.argv[1:] in ([], ["--help"], ["-h"]) else app)()
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


def outline() -> typer.Typer:
    """The program's commands by their names and sentences alone: its own help, in three quarters of the time."""
    bare = _program()
    bare.callback()(_root)
    for info in app.registered_commands:
        bare.command(info.name, help=info.help or inspect.getdoc(info.callback))(_named(info.callback))
    for group in app.registered_groups:
        empty = typer.Typer(help=group.typer_instance.info.help if group.typer_instance else None)
        empty.callback()(lambda: None)
        bare.add_typer(empty, name=group.name)
    return bare


def _named(callback: Callable[..., Any] | None) -> Callable[[], None]:
    def nothing() -> None: ...

    nothing.__name__ = callback.__name__ if callback else "nothing"
    return nothing


def _stop(number: int, frame: object) -> None:
    """A request to end, as ctrl-C is one: what is finished is kept."""
    raise KeyboardInterrupt


def _complain(words: str) -> None:
    from rich.console import Console
    from rich.markup import escape

    Console(stderr=True, highlight=False).print(f"[bold red]Error:[/] {escape(sentence(words))}", soft_wrap=True)
    sys.exit(2)


if __name__ == "__main__":
    main()
