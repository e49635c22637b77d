"""One writer a folder: what real processes that come at once can and cannot do."""

import subprocess
import sys

import pytest

from duckrabbit.errors import UserError
from duckrabbit.files import atomic_folder, only_maker, only_writer
from samples import environment

CROWD = """
import os, sys, time
from pathlib import Path
from duckrabbit.errors import UserError
from duckrabbit.files import only_writer

folder, inside, end, times = Path(sys.argv[1]), Path(sys.argv[2]), time.monotonic() + 4, 0
while time.monotonic() < end:
    try:
        with only_writer(folder):
            os.close(os.open(inside, os.O_CREAT | os.O_EXCL))  # fails where another is inside
            time.sleep(0.0002)
            inside.unlink()
            times += 1
    except UserError as error:
        assert "Another program" in str(error), error
print(times)
"""

MAKER = """
import sys, time
from pathlib import Path
from duckrabbit.files import atomic_folder

with atomic_folder(Path(sys.argv[1])) as folder:
    (folder / "half").write_text("made")
    print("begun", flush=True)
    time.sleep(600)
"""


def started(program, *words):
    words = [sys.executable, "-c", program, *map(str, words)]
    return subprocess.Popen(words, env=environment(), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def test_of_three_that_come_again_and_again_one_is_inside(tmp_path):
    """The folder is taken away and made anew all the while, and with it the file that is locked."""
    crowd = [started(CROWD, tmp_path / "made", tmp_path / "inside") for _ in range(3)]
    outputs = [process.communicate(timeout=120) for process in crowd]
    assert [err for _, err in outputs] == [""] * 3
    assert sum(int(out) for out, _ in outputs) > 100


def test_who_waits_is_next(tmp_path):
    with subprocess.Popen(
        [
            sys.executable,
            "-c",
            "import sys, time; from pathlib import Path; from duckrabbit.files import only_writer\n"
            "with only_writer(Path(sys.argv[1])): print('in', flush=True); time.sleep(1)",
            str(tmp_path / "made"),
        ],
        env=environment(),
        stdout=subprocess.PIPE,
        text=True,
    ) as first:
        assert first.stdout.readline() == "in\n"
        with (
            pytest.raises(UserError, match=r"writing into .*made; come later\."),
            only_writer(tmp_path / "made", "come later"),
        ):
            pass
        with only_writer(tmp_path / "made", wait=60):
            first.wait(timeout=60)


def test_a_folder_with_nothing_in_it_is_taken_away_if_it_was_made_for_this(tmp_path):
    (tmp_path / "mine").mkdir()
    for name in ("mine", "new", "used"):
        with only_writer(tmp_path / name), only_writer(tmp_path / name):
            assert (tmp_path / name).is_dir()
            if name == "used":
                (tmp_path / name / "written").touch()
    with pytest.raises(ZeroDivisionError), only_writer(tmp_path / "new"):
        raise ZeroDivisionError
    assert sorted(str(p.relative_to(tmp_path)) for p in tmp_path.rglob("*")) == ["mine", "used", "used/written"]


def test_a_folder_that_is_made_whole_has_one_maker_at_a_time(tmp_path):
    """A second one leaves the unfinished folder of the first alone; what a killed one left goes."""
    with started(MAKER, tmp_path / "made") as first:
        try:
            assert first.stdout.readline() == "begun\n"
            with pytest.raises(UserError, match=r"Another program.*made"), atomic_folder(tmp_path / "made"):
                pass
            assert [p.read_text() for p in tmp_path.glob(".made.*.unfinished/half")] == ["made"]
            assert first.poll() is None
        finally:
            first.kill()
    with atomic_folder(tmp_path / "made") as folder:
        (folder / "whole").touch()
    assert [str(p.relative_to(tmp_path)) for p in tmp_path.rglob("*")] == ["made", "made/whole"]
    with (
        pytest.raises(UserError, match=r"There is a .*made already; name a new folder\."),
        atomic_folder(tmp_path / "made"),
    ):
        pass


def test_a_maker_makes_no_folder_and_leaves_nothing_beside_it(tmp_path):
    with only_maker(tmp_path / "made"):
        assert not (tmp_path / "made").exists()
        with only_maker(tmp_path / "other"), only_writer(tmp_path / "made"):
            pass
    assert list(tmp_path.iterdir()) == []
