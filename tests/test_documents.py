"""What the README lists is there, and all of it: the commands, and the options of those that sample."""

import re
from pathlib import Path

import typer

from duckrabbit.cli.main import app

README = (Path(__file__).parents[1] / "README.md").read_text(encoding="utf-8")
COMMANDS = typer.main.get_command(app).commands


def test_the_readme_has_a_row_for_every_command_or_its_group():
    table = README.split("## What it does")[1].split("\n\n")[1]
    cells = [row.split("|")[1] for row in table.splitlines()[2:]]
    named = [words.split() for cell in cells for words in re.findall(r"`([a-z][^`]+)`", cell)]
    assert {first for first, *_ in named} == set(COMMANDS)
    for first, *rest in named:
        inner = getattr(COMMANDS[first], "commands", None)
        assert inner is None or not rest or rest[0] in inner, (first, rest)


def test_the_readme_lists_the_options_of_sampling():
    words = re.search(r"Those that sample take `([^`]+)`", README)[1].split()
    listed = [word for word in words if word.startswith("--")]
    known = [name for option in COMMANDS["generate"].params if not option.hidden for name in option.opts]
    assert sorted(listed) == sorted(name for name in known if name.startswith("--"))
