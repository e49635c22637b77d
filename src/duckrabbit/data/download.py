"""One file from an address: at a pace, within a size, and whole or not at all."""

from __future__ import annotations

from functools import partial
from pathlib import Path

from duckrabbit.errors import UserError
from duckrabbit.files import begun_in_time, unless_too_slow

WAIT = 20.0
"""Seconds that a server may take to answer, or to send the next bytes."""


def download(url: str, folder: Path, largest: int, progress: bool = False) -> bytes:
    """The content of the file at `url`, through pooch into `folder`, a temporary one; of `largest` bytes at most.

    `progress` draws a bar. No hash is checked here. Raises UserError where nothing comes, where it ends early or would
    never end, and where it is longer.
    """
    from http.client import HTTPException

    import pooch

    pooch.get_logger().setLevel("WARNING")
    try:
        name = url.rpartition("/")[2]
        return Path(pooch.retrieve(url, None, name, folder, downloader=partial(_write, largest, progress))).read_bytes()
    except UserError:
        raise
    except (HTTPException, OSError, ValueError) as error:
        reason = str(getattr(error, "reason", "")) or str(error)
        raise UserError(f"{type(error).__name__}: {reason}") from None


def too_large(name: str, largest: int) -> UserError:
    """That a file, or what is packed in it, is longer than `largest` bytes."""
    return UserError(f"{name} holds more than {largest >> 20} MiB, and is none of the set's files; try another source.")


def _write(largest: int, progress: bool, url: str, output: str, _: object) -> None:
    """Fetch `url` into the file `output`; a bar is drawn for `progress`. Raises UserError where it would never end."""
    from http.client import IncompleteRead
    from urllib.request import urlopen

    from tqdm import tqdm

    with begun_in_time(lambda: urlopen(url, timeout=WAIT), WAIT) as answer, Path(output).open("wb") as file:
        length = int(answer.headers.get("Content-Length") or 0)
        with tqdm(total=length or None, unit="B", unit_scale=True, disable=not progress) as bar:
            for part in unless_too_slow(iter(partial(answer.read1, 1 << 16), b"")):
                if file.write(part) and file.tell() > largest:
                    raise too_large(url, largest)
                bar.update(len(part))
        if length and file.tell() < length:
            raise IncompleteRead(b"", length - file.tell())
