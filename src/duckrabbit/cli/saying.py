"""What commands say: a user's words are told in it, and none of them can command the terminal."""

from __future__ import annotations

import typer


def say(words: str, err: bool = False) -> None:
    """Print lines, to the error stream if `err`."""
    from duckrabbit.report.lettering import printable

    typer.echo(printable(words), err=err)


def sentence(words: str) -> str:
    """`words` in one line, as they are told."""
    from duckrabbit.report.lettering import printable

    return " ".join(printable(words).splitlines())
