"""Command lines read as the program reads them, and not carried out."""

import shlex

import typer

from duckrabbit.cli.main import app
from duckrabbit.tasks.requests import REQUESTS
from duckrabbit.tasks.spelling import request_of


def options_typed(line):
    """The words of a line that name its command, and what was typed by parameter. Fails as the program would."""
    program, *words = shlex.split(line)
    assert program == "duckrabbit"
    command, names = typer.main.get_command(app), []
    while hasattr(command, "commands"):
        names.append(words[0])
        command, words = command.commands[words[0]], words[1:]
    return names, command.make_context(names[-1], words).params


def parsed(line):
    """The request that a line asks for; the options of typed training commands for any other."""
    names, typed = options_typed(line)
    if names[0] not in REQUESTS:
        return typed
    own = {k: v for k, v in typed.items() if v is not None and k not in ("out", "dry_run", "quiet")}
    return request_of(names[0], own, typed=True)
