"""Files and folders are written whole or not at all, by one writer at a time; what is fetched comes at a pace."""

from __future__ import annotations

import os
import shutil
import tempfile
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from duckrabbit.errors import UserError

UNFINISHED = ".unfinished"
LOCK = ".lock"
"""What a folder holds while somebody writes into it; without meaning once nobody does."""
PATIENCE, SLOWEST = 60.0, 1000.0
"""Of every so many seconds of a download, the least bytes a second; slower, it would hardly ever end."""


class Atomic:
    """A context for writing a file whole: a temporary file beside `path`, renamed when all went well.

    Both the file and its folder are flushed, so that it is there even if the power fails. What a killed
    process leaves is named .NAME.RANDOM.unfinished; `clear_unfinished` takes it away.

    Raises UserError where the folder cannot be made or written, or the disk is full.
    """

    def __init__(self, path: str | Path) -> None:
        self.path = Path(path)
        self.temporary: Path | None = None

    def __enter__(self) -> Path:
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            handle, name = tempfile.mkstemp(dir=self.path.parent, prefix=f".{self.path.name}.", suffix=UNFINISHED)
            os.close(handle)
        except OSError as error:
            raise _unwritable(self.path, error) from None
        self.temporary = Path(name)
        return self.temporary

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: object) -> None:
        assert self.temporary is not None
        if kind is None:
            try:
                os.chmod(self.temporary, 0o666 & ~_umask())
                with self.temporary.open("rb") as file:
                    os.fsync(file.fileno())
                self.temporary.replace(self.path)
                _flush_folder(self.path.parent)
                return
            except OSError as failure:
                error = failure
        self.temporary.unlink(missing_ok=True)
        if isinstance(error, OSError):
            raise _unwritable(self.path, error) from None


def write_atomically(path: Path, content: bytes) -> None:
    """Put `content` at `path`: all of it or nothing, even if the power fails. Raises UserError as Atomic does."""
    with Atomic(path) as temporary:
        temporary.write_bytes(content)


def write_text(path: Path, text: str) -> None:
    """Write a text file as UTF-8, as `write_atomically` does."""
    write_atomically(path, text.encode())


class AtomicFolder:
    """A context for making a folder whole: one beside `path`, renamed when all went well. `path` must not exist.

    What a killed process leaves is named .NAME.RANDOM.unfinished; the next to make the same folder takes it away.

    Raises UserError where it cannot be made, or the disk is full.
    """

    def __init__(self, path: str | Path) -> None:
        self.path = Path(path)
        self.temporary: Path | None = None

    def __enter__(self) -> Path:
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            for left in self.path.parent.glob(f".{self.path.name}.*{UNFINISHED}"):
                shutil.rmtree(left, ignore_errors=True)
            self.temporary = Path(
                tempfile.mkdtemp(dir=self.path.parent, prefix=f".{self.path.name}.", suffix=UNFINISHED)
            )
        except OSError as error:
            raise _unwritable(self.path, error) from None
        return self.temporary

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: object) -> None:
        assert self.temporary is not None
        if kind is None:
            try:
                os.chmod(self.temporary, 0o777 & ~_umask())
                for file in self.temporary.rglob("*"):
                    if file.is_file():
                        with file.open("rb") as written:
                            os.fsync(written.fileno())
                self.temporary.rename(self.path)
                _flush_folder(self.path.parent)
                return
            except OSError as failure:
                error = failure
        shutil.rmtree(self.temporary, ignore_errors=True)
        if isinstance(error, OSError):
            raise _unwritable(self.path, error) from None


@contextmanager
def only_writer(folder: Path, remedy: str, wait: float = 0.0) -> Iterator[None]:
    """A context in which nobody else who asks for this writes into `folder`, which is made if need be.

    The system lets go of the lock when the process ends, even if it is killed. The same thread may come again.

    Raises UserError, with the `remedy`, where another still writes there after `wait` seconds, or where the
    folder cannot be made or written.
    """
    from filelock import FileLock, Timeout

    lock = FileLock(folder.absolute() / LOCK, is_singleton=True)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        lock.acquire(timeout=wait)
    except Timeout:
        raise UserError(f"Another program, or another part of this one, is writing into {folder}; {remedy}.") from None
    except OSError as error:
        raise _unwritable(folder, error) from None
    try:
        yield
    finally:
        if lock.lock_counter == 1:
            with suppress(OSError):  # Windows keeps a file that is open; it does no harm
                Path(lock.lock_file).unlink()
        lock.release()


def unless_too_slow(parts: Iterable[bytes]) -> Iterator[bytes]:
    """The parts of a download, as they come. Raises UserError once they come too slowly for too long.

    Only the time in which a part is waited for counts; that none comes at all is for a time-out to see.
    """
    spent, count, arriving = 0.0, 0, iter(parts)
    while True:
        began = time.monotonic()
        part = next(arriving, None)
        spent, count = spent + time.monotonic() - began, count + len(part or b"")
        if part is None:
            return
        if spent > PATIENCE:
            if count < SLOWEST * spent:
                raise UserError(
                    f"The download goes at {count / spent:.0f} bytes a second and would hardly ever end; "
                    "it is given up. Try another network, or try again later."
                )
            spent, count = 0.0, 0
        yield part


def clear_unfinished(folder: Path) -> None:
    """Remove what killed processes left in `folder`."""
    for path in folder.glob(f".*{UNFINISHED}"):
        path.unlink(missing_ok=True)


def _unwritable(path: Path, error: OSError) -> UserError:
    return UserError(f"{path} cannot be written: {error.strerror or error}. Choose another --out, or make room.")


def _flush_folder(folder: Path) -> None:
    """Make a rename in `folder` last; where a folder cannot be opened (Windows), it is left to the system."""
    if not hasattr(os, "O_DIRECTORY"):
        return
    directory = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(directory)
    finally:
        os.close(directory)


def _umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask
