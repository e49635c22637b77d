"""The command line in this process, in a folder of its own."""

import hashlib
import shutil
import struct
import sys
import zlib
from types import SimpleNamespace

import numpy as np
import pytest
import typer
from PIL import Image
from typer.testing import CliRunner

from duckrabbit.cli.commands import data, evaluate, requests, train
from duckrabbit.data.mnist import read as sets
from duckrabbit.data.mnist.read import FILES, write_idx
from duckrabbit.gallery import command as gallery
from duckrabbit.training.digits import recipe
from samples import pixels, save


@pytest.fixture
def cli(tmp_path, monkeypatch, capsys):
    """cli("generate", "a cat", ...) -> exit code, stdout, stderr and the files that were written."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "200")

    def call(*arguments):
        from duckrabbit.cli.main import main

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


@pytest.fixture
def files(samples_folder, tmp_path):
    """Good and bad files in the folder that the command line runs in."""
    shutil.copytree(samples_folder, tmp_path, dirs_exist_ok=True)
    return tmp_path


@pytest.fixture
def refused(cli):
    """refused("generate", ...) -> the sentence; asserts that it is one, and that nothing was written."""

    def call(*words):
        result = cli(*words)
        assert result.code == 2, (result.code, result.out, result.err)
        assert result.out == ""
        assert result.err.startswith("Error: ")
        assert result.err.count("\n") == 1
        assert result.err.rstrip().endswith(".")
        assert "Traceback" not in result.err
        assert result.written == []
        return result.err

    return call


@pytest.fixture(scope="session")
def samples_folder(tmp_path_factory):
    """Good and bad files, made once."""
    folder = tmp_path_factory.mktemp("samples")
    save(folder / "photo.png", pixels(32))
    save(folder / "mask.png", (pixels(32)[..., 0] > 127).astype(np.uint8) * 255)
    save(folder / "mask16.png", (pixels(16)[..., 0] > 127).astype(np.uint8) * 255)
    save(folder / "white.png", np.full((32, 32), 255, np.uint8))
    save(folder / "black.png", np.zeros((32, 32), np.uint8))
    save(folder / "one.png", pixels(1))
    save(folder / "line.png", pixels(2000, 1))
    whole = (folder / "photo.png").read_bytes()
    (folder / "cut.png").write_bytes(whole[: len(whole) // 2])
    save(folder / "photo.jpg", pixels(64))
    whole = (folder / "photo.jpg").read_bytes()
    (folder / "cut.jpg").write_bytes(whole[: len(whole) // 2])
    (folder / "text.png").write_text("this is no picture")
    (folder / "empty.png").write_bytes(b"")
    (folder / "vector.svg").write_text("<svg xmlns='http://www.w3.org/2000/svg'/>")
    frames = [Image.fromarray(pixels(32, seed=k)) for k in range(3)]
    for name in ("film.gif", "film.webp", "film.png"):
        frames[0].save(folder / name, save_all=True, append_images=frames[1:])
    (folder / "huge.png").write_bytes(header(20_000, 20_000))
    Image.new("1", (20_000, 20_000)).save(folder / "zeros.png")
    (folder / "folder.png").mkdir()
    (folder / "no-model").mkdir()
    (folder / "file").write_text("")
    return folder


def header(width, height):
    """A PNG of 60 bytes that claims to be so large."""

    def chunk(name, data):
        return struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))

    return (
        b"\x89PNG\r\n\x1a\n"
        + chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0))
        + chunk(b"IEND", b"")
    )


@pytest.fixture
def training(monkeypatch, tmp_path):
    """The commands with 40 + 30 noise pictures for MNIST and networks of 2 channels, in folders of their own."""
    rng = np.random.default_rng(0)
    arrays = [
        rng.integers(0, 256, (40, 28, 28)),
        np.arange(40) % 10,
        rng.integers(0, 256, (30, 28, 28)),
        np.arange(30) % 10,
    ]
    files = dict(zip(FILES, (write_idx(a) for a in arrays), strict=True))
    monkeypatch.setitem(sets.HASHES, "mnist", {k: hashlib.sha256(v).hexdigest() for k, v in files.items()})
    monkeypatch.setattr(sets, "TRAIN", 30)
    for folder in ("given", "data/mnist"):
        (tmp_path / folder).mkdir(parents=True)
    for name, content in files.items():
        (tmp_path / "given" / name).write_bytes(content)
    monkeypatch.setenv("DUCKRABBIT_DATA", str(tmp_path / "data"))
    monkeypatch.setenv("DUCKRABBIT_RUNS", str(tmp_path / "runs"))
    from dataclasses import replace

    small = {k: replace(r, hidden=2, batch=16, epochs=2, snapshots=(1, 2)) for k, r in recipe.RECIPES.items()}
    monkeypatch.setattr(recipe, "RECIPES", small)
    app = typer.Typer(pretty_exceptions_enable=False)
    for commands in (data, train, evaluate, requests, gallery):
        commands.register(app)

    def invoke(*words):
        result = CliRunner().invoke(app, [str(w) for w in words], catch_exceptions=False)
        assert result.exit_code == 0, result.output
        return result.output

    assert "given" in invoke("data", "fetch", "mnist", "--data-dir", tmp_path / "given")
    return invoke
