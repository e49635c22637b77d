"""Under which terms, and how archives come: with a client that is not there, fails, or brings something else."""

import os
import stat
from importlib.metadata import distribution
from pathlib import Path

import pytest

import duckrabbit
from duckrabbit.data.drawings.attribution import TERMS
from duckrabbit.data.drawings.packages import open_package
from duckrabbit.data.drawings.sources import PERMISSIVE, choose_families, families, words
from duckrabbit.errors import UserError


def test_only_permissive_families_by_default():
    chosen = choose_families(None)
    assert len(chosen) == 10
    assert {f.licence for f in chosen} <= set(PERMISSIVE) & set(TERMS)
    assert not any("SA" in licence or "GPL" in licence for licence in PERMISSIVE)
    assert [f.family for f in chosen if f.unseen] == ["fxemoji"]
    assert all(p.permissive for p in words().values())


def test_families_by_name():
    assert [f.family for f in choose_families(["twemoji", "noto"])] == ["noto", "twemoji"]
    with pytest.raises(UserError, match="no family of drawings 'notto'"):
        choose_families(["notto"])
    with pytest.raises(UserError, match=r"CC-BY-SA-4.0.*--share-alike"):
        choose_families(["openmoji"])
    assert {f.licence for f in choose_families(None, share_alike=True)} >= {"CC-BY-SA-4.0", "MIT"}


def test_every_archive_is_pinned_by_content():
    for package in (*families().values(), *words().values()):
        assert package.integrity.startswith("sha512-")
        assert len(package.integrity) == 7 + 88
        assert package.archive.endswith(f"{package.version}.tgz")


def test_the_notice_names_whom_the_licences_ask_to_name():
    root = Path(duckrabbit.__file__).parents[2]
    paths = [p for p in (root / "NOTICE",) if p.is_file()]
    text = paths[0].read_text() if paths else distribution("duckrabbit").read_text("licenses/NOTICE")
    for package in (*choose_families(None), *words().values()):
        assert package.title in text
        assert package.author in text
        assert package.url in text


def npm(folder, script):
    folder.mkdir()
    path = folder / "npm"
    path.write_text(f"#!/bin/sh\n{script}\n")
    path.chmod(path.stat().st_mode | stat.S_IEXEC)


@pytest.fixture
def path(monkeypatch, tmp_path):
    monkeypatch.setenv("PATH", f"{tmp_path / 'bin'}{os.pathsep}/usr/bin{os.pathsep}/bin")
    return tmp_path / "bin"


def fetched(tmp_path, name="noto"):
    heard = []
    return open_package(families()[name], tmp_path / "cache", fetch=True, report=heard.append), heard


def test_without_npm_a_sentence_says_what_to_do(monkeypatch, tmp_path):
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(UserError, match=r"npm is not there.*--packages"):
        fetched(tmp_path)


def test_npm_fails(path, tmp_path):
    npm(path, "echo 'npm ERR! code ENOTFOUND' >&2; exit 1")
    with pytest.raises(UserError, match=r"could not fetch @iconify-json/noto@.*ENOTFOUND"):
        fetched(tmp_path)


def test_npm_brings_the_archive_and_runs_nothing(path, packages, tmp_path):
    """The last argument is the folder to write to; what else it was given is kept for us."""
    npm(path, f'echo "$@" > {tmp_path}/asked; for last; do :; done; cp {packages}/*noto-*.tgz "$last"')
    archive, heard = fetched(tmp_path)
    assert "cat" in archive.json("icons.json")["icons"]
    asked = (tmp_path / "asked").read_text().split()
    assert asked[:2] == ["pack", f"@iconify-json/noto@{families()['noto'].version}"]
    assert "--ignore-scripts" in asked
    assert heard == ["Fetching @iconify-json/noto 1.2.9 ..."]
    (path / "npm").unlink()
    again, heard = fetched(tmp_path)
    assert again.json("icons.json") == archive.json("icons.json")
    assert heard == []


def test_npm_brings_something_else(path, packages, tmp_path):
    npm(path, f'for last; do :; done; cp {packages}/*twemoji*.tgz "$last"')
    with pytest.raises(UserError, match="What npm fetched is not the archive"):
        fetched(tmp_path)
    assert not (tmp_path / "cache").exists()
