"""Pictures to test with, made by arithmetic, and ways to run the command line."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from contextlib import contextmanager

import numpy as np
from PIL import Image

MAIN = "from duckrabbit.cli.main import main; main()"


def pixels(height, width=None, seed=0):
    """uint8 (H, W, 3): smooth colours with some noise on them, never twice the same row or column."""
    rng = np.random.default_rng(seed)
    width = width or height
    y, x = np.mgrid[0:height, 0:width]
    waves = [127 + 90 * np.sin(0.3 * (c + 1) + x / (2 + c) + y / (5 - c)) for c in range(3)]
    return (np.stack(waves, -1) + rng.integers(-30, 31, (height, width, 3))).clip(0, 255).astype(np.uint8)


def save(path, array, **options):
    Image.fromarray(array).save(path, **options)
    return path


def read(path):
    with Image.open(path) as image:
        return np.asarray(image.convert("RGB"))


def command(*arguments):
    """The command line in a process of its own."""
    return [sys.executable, "-c", MAIN, *map(str, arguments)]


def run(*arguments, cwd, timeout=120, **options):
    return subprocess.run(
        command(*arguments),
        cwd=cwd,
        timeout=timeout,
        capture_output=True,
        text=True,
        check=False,
        env=environment(),
        **options,
    )


@contextmanager
def started(*arguments, cwd, until, seconds=120):
    """The command line in a process of its own, so far that there is a file `until`; killed in the end."""
    with subprocess.Popen(
        command(*arguments), cwd=cwd, env=environment(), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as process:
        end = time.monotonic() + seconds
        try:
            while not until.exists():
                assert process.poll() is None, process.stderr.read()
                assert time.monotonic() < end
                time.sleep(0.01)
            yield process
        finally:
            process.kill()


def environment(**more):
    """This process's, with a source tree that was not installed on the path."""
    import duckrabbit

    source = os.path.dirname(os.path.dirname(os.path.abspath(duckrabbit.__file__)))
    return {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, (source, os.environ.get("PYTHONPATH")))), **more}
