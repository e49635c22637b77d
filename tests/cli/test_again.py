"""A second run into one folder: it adds to it, and waits for no other writer."""

import subprocess

import pytest

import duckrabbit as dr
from samples import command, environment, started

QUICK = ("--model", "oracle", "--steps", "3", "--out", "made")


def contents(folder):
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def test_a_second_run_overwrites_nothing(cli, files):
    """And the pictures of the first, whose mask is in a file beside them, can still be made again."""
    first = cli("inpaint", "photo.png", "mask.png", *QUICK, "--count", "2")
    assert first.out.strip() == "made/sheet.png"
    before = contents(files / "made")
    second = cli("inpaint", "mask.png", "mask.png", *QUICK)
    assert second.code == 0, second.err
    assert second.out.strip() == "made/sheet-2.png"
    assert {path.split("/")[1].split("-")[0].split(".")[0] for path in second.written} == {"02", "sheet"}
    after = contents(files / "made")
    assert {name: after[name] for name in before} == before
    for picture in ("01-seed180", "01-seed181", "02-seed180"):
        again = cli("replay", f"made/{picture}.png")
        assert again.out == "the same, to the pixel\n", again.err


def test_films_and_pages_of_a_second_run_are_numbered_too(cli, tmp_path):
    words = ("anagram", "a circle", "a square", *QUICK, "--animate", "gif", "--print", "png")
    first = cli(*words)
    before = contents(tmp_path / "made")
    second = cli(*words)
    assert second.code == 0, second.err
    assert len(second.written) == len(first.written)
    assert {name: contents(tmp_path / "made")[name] for name in before} == before


def test_a_result_saved_twice_is_there_twice(oracle, tmp_path):
    one, two = (dr.run(dr.generate(oracle, prompt, steps=3)) for prompt in ("a circle", "a square"))
    first = one.save(tmp_path)
    before = contents(tmp_path)
    assert [path.split("/")[-1] for path in two.save(tmp_path)] == ["image-2-seed180.png"]
    assert [path.split("/")[-1] for path in two.save(tmp_path)] == ["image-3-seed180.png"]
    assert {name: contents(tmp_path)[name] for name in before} == before
    assert dr.replay(first[0]).same


@pytest.fixture
def writing(tmp_path):
    """A command that goes on writing into the folder `made`."""
    words = ("generate", "a red circle", "--model", "oracle", "--steps", ",".join(["400"] * 90), "--out", "made")
    with started(*words, cwd=tmp_path, until=tmp_path / "made" / "01-seed180.png") as process:
        yield process


def test_a_folder_has_one_writer_at_a_time(writing, cli, tmp_path):
    """What a killed one held is free at once, without anything to be removed."""
    result = cli("generate", "a cross", *QUICK)
    assert result.code == 2
    assert "Another program" in result.err
    assert "made" in result.err
    assert "--out" in result.err
    assert writing.poll() is None
    writing.kill()
    writing.wait()
    made = len(list((tmp_path / "made").glob("*-seed180.png")))
    result = cli("generate", "a cross", *QUICK)
    assert result.code == 0, result.err
    assert len(list((tmp_path / "made").glob("*-seed180.png"))) == made + 1
    assert not list((tmp_path / "made").glob(".*"))


def test_commands_that_begin_at_once_have_folders_of_their_own(tmp_path):
    words = command("generate", "a red circle", "--model", "oracle", "--steps", "2")
    several = [
        subprocess.Popen(words, cwd=tmp_path, env=environment(), stdout=subprocess.PIPE, text=True) for _ in range(3)
    ]
    folders = {process.communicate(timeout=300)[0].strip() for process in several}
    assert folders == {f"out/generate-{k:03d}/sheet.png" for k in (1, 2, 3)}
