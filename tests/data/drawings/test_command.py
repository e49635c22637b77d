"""The command, as it is typed."""

import pytest
import typer
from PIL import Image
from typer.testing import CliRunner

from duckrabbit.cli.commands import data
from duckrabbit.data.drawings.drawings import load_drawings
from duckrabbit.errors import UserError


@pytest.fixture
def run(packages, monkeypatch, tmp_path):
    monkeypatch.setenv("DUCKRABBIT_DATA", str(tmp_path / "data"))
    app = typer.Typer(pretty_exceptions_enable=False)
    data.register(app)

    def invoke(*words):
        result = CliRunner().invoke(
            app, ["data", "build", "drawings", *map(str, words)], catch_exceptions=False, color=False
        )
        assert result.exit_code == 0, result.output
        return result.output

    return invoke


def test_build_and_what_it_tells(run, packages, tmp_path):
    output = run("--packages", packages, "--size", 32, "--subjects", "common", "--families", "noto, twemoji,fxemoji")
    folder = tmp_path / "data" / "drawings-32"
    parts = {part: load_drawings(folder, part) for part in ("train", "held-out", "unseen")}
    assert f"train {len(parts['train'])}, held-out {len(parts['held-out'])}, unseen {len(parts['unseen'])}" in output
    assert "Apache-2.0" in output
    assert str(folder) in output
    assert "data hash " in output
    assert not {s for d in parts.values() for s in d.subjects} & {"abacus", "lotion bottle"}
    with Image.open(folder / "contact-sheet.png") as sheet:
        assert sheet.height > 3 * 32
        assert sheet.width > 6 * 32
        row = sheet.crop((230, 34, sheet.width, 34 + 32)).convert("L").getextrema()
    assert row[0] < 128, "the first row shows drawings"
    assert "is whole" in run("--packages", packages, "--size", 32, "--subjects", "common", "--families",
                             "noto,twemoji,fxemoji")  # fmt: skip


def test_families_are_listed_with_their_terms(run):
    lines = run("--families", "list").splitlines()
    assert any("openmoji" in line and "CC-BY-SA-4.0" in line and "only if named" in line for line in lines)
    assert any("fxemoji" in line and "kept for judging" in line for line in lines)


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (["--families", "notto"], "no family"),
        (["--families", "openmoji"], "--share-alike"),
        (["--size", "4"], "from 32 to 512"),
        (["--subjects", "missing.txt"], "missing.txt"),
        (["--packages", "nowhere"], "npm pack"),
    ],
)
def test_what_cannot_be_done_is_said_in_a_sentence(run, words, sentence, tmp_path):
    with pytest.raises(UserError, match=sentence):
        run(*words)
    assert not list((tmp_path / "data").glob("*"))
