"""The command line in this process, in a folder of its own."""

import sys
from types import SimpleNamespace

import pytest


@pytest.fixture
def cli(tmp_path, monkeypatch, capsys):
    """cli("generate", "a cat", ...) -> exit code, stdout, stderr and the files that were written."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "200")

    def call(*arguments):
        from duckrabbit.app.cli import main

        before = {p for p in tmp_path.rglob("*") if p.is_file()}
        monkeypatch.setattr(sys, "argv", ["duckrabbit", *map(str, arguments)])
        capsys.readouterr()
        try:
            main()
            code = 0
        except SystemExit as stop:
            code = stop.code or 0
        out, err = capsys.readouterr()
        written = sorted(p.relative_to(tmp_path) for p in tmp_path.rglob("*") if p.is_file() and p not in before)
        return SimpleNamespace(code=code, out=out, err=err, written=[str(p) for p in written])

    return call
