"""Files are written whole, or not at all."""

import errno
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch

import duckrabbit as dr
from duckrabbit.files import Atomic
from duckrabbit.tasks.pictures import write_png
from samples import environment, pixels, read, save


class StopError(Exception):
    pass


@pytest.mark.parametrize("error", [StopError(), KeyboardInterrupt(), MemoryError()])
def test_what_was_there_stays_when_the_writing_stops(tmp_path, error):
    file = tmp_path / "a.txt"
    file.write_text("before")

    def fail():
        with Atomic(file) as temporary:
            temporary.write_text("half of what was")
            raise error

    with pytest.raises(type(error)):
        fail()
    assert file.read_text() == "before"
    assert os.listdir(tmp_path) == ["a.txt"]


def test_a_new_file_has_the_usual_permissions(tmp_path):
    old = os.umask(0o027)
    try:
        with Atomic(tmp_path / "a") as temporary:
            temporary.write_text("x")
    finally:
        os.umask(old)
    assert (tmp_path / "a").stat().st_mode & 0o777 == 0o640


def test_readers_see_the_old_or_the_new(tmp_path):
    file = tmp_path / "a.txt"
    file.write_text("before")
    with Atomic(file) as temporary:
        temporary.write_text("after")
        assert file.read_text() == "before"
    assert file.read_text() == "after"


@pytest.mark.parametrize("code", [errno.ENOSPC, errno.EDQUOT, errno.EIO, errno.EROFS])
def test_a_full_disk_is_told_and_leaves_nothing(tmp_path, code, monkeypatch):
    def full(*arguments, **options):
        raise OSError(code, os.strerror(code))

    monkeypatch.setattr("PIL.Image.Image.save", full)
    with pytest.raises(dr.UserError, match=os.strerror(code)):
        write_png(torch.zeros(8, 8, 3, dtype=torch.uint8), tmp_path / "a.png")
    assert os.listdir(tmp_path) == []


def test_a_full_disk_while_the_tensors_are_written(oracle, photo, half, tmp_path, monkeypatch):
    result = dr.run(dr.inpaint(oracle, photo, half, steps=2), [1])

    def full(self, data):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(Path, "write_bytes", full)
    with pytest.raises(dr.UserError, match="make room"):
        result.save(str(tmp_path / "out"))
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("where", ["file/out", "/proc/nothing", "/dev/null/out"])
def test_folders_that_cannot_be(oracle, tmp_path, where):
    """A path below a file stops everybody, root included."""
    (tmp_path / "file").write_text("")
    folder = where if where.startswith("/") else str(tmp_path / where)
    with pytest.raises(dr.UserError, match="cannot be written"):
        dr.run(dr.generate(oracle, "a cross", steps=1), [1]).save(folder)


LIMITED = """
import resource, sys
import duckrabbit as dr
job = dr.inpaint(dr.load("oracle", device="cpu"), sys.argv[1], dr.as_mask(sys.argv[2]), steps=1)
result = dr.run(job, [1])
resource.setrlimit(resource.RLIMIT_FSIZE, (int(sys.argv[4]), resource.RLIM_INFINITY))
try:
    result.save(sys.argv[3])
except dr.UserError as error:
    sys.exit(f"SENTENCE {error}")
"""


@pytest.mark.parametrize("limit", [2000, 40_000])
def test_a_process_that_may_not_write_much(tmp_path, limit):
    """The kernel itself refuses: first at the tensors, then at the record or a picture."""
    save(tmp_path / "a.png", pixels(32))
    save(tmp_path / "m.png", np.uint8(pixels(32)[..., 0] > 127) * 255)
    ran = subprocess.run(
        [sys.executable, "-c", LIMITED, "a.png", "m.png", "out", str(limit)],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
        env=environment(),
    )
    left = sorted(p.name for p in tmp_path.glob("out/*"))
    assert not any(name.startswith(".") for name in left)
    assert "Traceback" not in ran.stderr
    if limit == 2000:
        assert ran.stderr.startswith("SENTENCE")
        assert left == []
    else:
        assert (ran.returncode == 0) == ("image-seed1.png" in left)
    for name in left:
        if name.endswith(".png"):
            read(tmp_path / "out" / name)


def test_a_disk_that_is_full(oracle, tmp_path):
    """A file system of 24 KiB, where one may be mounted."""
    disk = tmp_path / "disk"
    disk.mkdir()
    if subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=24k", "none", disk], capture_output=True, check=False
    ).returncode:
        pytest.skip("no file system may be mounted here")
    try:
        result = dr.run(dr.generate(oracle, "a red circle", steps=3), range(12))
        with pytest.raises(dr.UserError, match="No space left"):
            result.save(str(disk / "out"))
        left = [path.name for path in (disk / "out").iterdir()]
        assert not any(name.startswith(".") for name in left)
        for name in left:
            if name.endswith(".png"):
                read(disk / "out" / name)
    finally:
        subprocess.run(["umount", disk], check=True)
