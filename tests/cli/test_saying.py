"""Nothing that is typed commands the terminal: notes, bars, plans and sentences spell it out."""

import io
from pathlib import Path

import pytest
from rich.console import Console

import duckrabbit
from duckrabbit.cli import perform
from duckrabbit.cli.saying import say, sentence
from duckrabbit.report.asked import notes_of

ODD = "a\ncat\x1b[31m\x07\x9b x\r\u202e"
SPELLED = "cat\\x1b[31m\\x07\\x9b x"
RAW = set("\x1b\x07\x9b\r\u202e")


@pytest.mark.parametrize(
    "words",
    [
        ["generate", ODD, "--model", "oracle"],
        ["generate", "a cross", "--model", ODD],
        ["edit", f"{ODD}.png", "--model", "oracle"],
        ["generate", "a cross", "--model", "oracle", "--solver", ODD],
        ["generate", "a cross", "--model", "oracle", "--steps", ODD],
    ],
)
def test_an_error_is_one_line_in_which_they_are_spelled_out(cli, words):
    result = cli(*words)
    assert result.code == 2
    assert SPELLED in result.err
    assert not RAW & set(result.err)
    assert result.err.count("\n") == 1


def test_a_run_and_a_plan_spell_them_out(cli, cascade_folder):
    words = ["generate", ODD, "--model", cascade_folder, "--stage", "1", "--steps", "2"]
    for result in (cli(*words, "--dry-run"), cli(*words)):
        assert result.code == 0, result.err
        assert not RAW & set(result.out + result.err)
    assert cli(*words, "--dry-run").out.startswith(f"a {SPELLED}")


def test_a_bar_has_one_line(monkeypatch):
    wide = Console(file=io.StringIO(), force_terminal=True, width=120, color_system=None)
    monkeypatch.setattr(perform, "console", wide)
    with perform.progress(2) as advance:
        advance(ODD)
    shown = wide.file.getvalue()
    assert SPELLED in shown
    assert not {"\x07", "\x9b", "\x1b[31m"} & {"\x1b[31m" if "\x1b[31m" in shown else "", *shown}


def test_notes_and_lines_are_spelled_out(capsys):
    job = type("Job", (), {"notes": {"prompt 1": f"The prompt '{ODD}' is long."}})()
    assert notes_of([job]) == [f"The prompt 'a {SPELLED} \\u202e' is long."]
    say(ODD)
    assert SPELLED in capsys.readouterr().out
    assert sentence("one\ntwo") == "one two"


def test_every_command_speaks_by_it():
    """So that whatever a later one tells is spelled out too."""
    sources = {path: path.read_text() for path in Path(duckrabbit.__file__).parent.rglob("*.py")}
    assert [path.name for path, source in sources.items() if "typer.echo" in source] == ["saying.py"]
