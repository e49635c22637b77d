"""Files and folders are written whole or not at all, by one writer at a time; what is fetched comes at a pace."""

from __future__ import annotations

import os
import shutil
import tempfile
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, TypeVar, cast

from duckrabbit.errors import UserError

T = TypeVar("T")

UNFINISHED = ".unfinished"
LOCK = ".lock"
"""What a folder holds, or has beside it, while somebody writes into it; without meaning once nobody does."""
WAIT = "wait until it is done, or name another folder (--out)"
"""What to do where another writes into a folder."""
ATTEMPTS = 10
"""So often a folder is made anew that somebody else takes away before it can be locked."""
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


def try_to_write(folder: Path) -> None:
    """Raises UserError where a folder cannot be made, or nothing be written into it; as Atomic does."""
    write_atomically(folder / ".writable", b"")
    (folder / ".writable").unlink(missing_ok=True)


@contextmanager
def atomic_folder(path: Path) -> Iterator[Path]:
    """A context for making a folder whole: one beside `path`, renamed when all went well.

    What a killed process leaves is named .NAME.RANDOM.unfinished; the next to make the same folder takes it away.

    Raises UserError where `path` exists or another is making it, where it cannot be made, or the disk is full.
    """
    with only_maker(path):
        if path.exists():
            raise UserError(f"There is a {path} already; name a new folder.")
        try:
            for left in path.parent.glob(f".{path.name}.*{UNFINISHED}"):
                shutil.rmtree(left, ignore_errors=True)
            temporary = Path(tempfile.mkdtemp(dir=path.parent, prefix=f".{path.name}.", suffix=UNFINISHED))
        except OSError as error:
            raise _unwritable(path, error) from None
        try:
            yield temporary
            os.chmod(temporary, 0o777 & ~_umask())
            for file in temporary.rglob("*"):
                if file.is_file():
                    with file.open("rb") as written:
                        os.fsync(written.fileno())
            temporary.rename(path)
            _flush_folder(path.parent)
        except OSError as error:
            raise _unwritable(path, error) from None
        finally:
            shutil.rmtree(temporary, ignore_errors=True)


@contextmanager
def only_writer(folder: Path, remedy: str = WAIT, wait: float = 0.0) -> Iterator[None]:
    """A context in which nobody else who asks for this writes into `folder`, which is made if need be.

    Where it was made, and holds nothing in the end, it is taken away again. The system lets go of the lock when the
    process ends, even if it is killed. The same thread may come again.

    Raises UserError, with the `remedy`, where another still writes there after `wait` seconds, or where the
    folder cannot be made or written.
    """
    made = not os.path.exists(folder)
    try:
        with _alone(folder / LOCK, folder, remedy, wait):
            yield
    finally:
        if made:
            with suppress(OSError):
                folder.rmdir()


@contextmanager
def only_maker(path: Path, remedy: str = WAIT, wait: float = 0.0) -> Iterator[None]:
    """As `only_writer`, for a folder that need not be there, and is not made: the lock lies beside it."""
    place = path.absolute()
    with _alone(place.parent / f".{place.name}{LOCK}", path, remedy, wait):
        yield


@contextmanager
def _alone(lock_file: Path, what: Path, remedy: str, wait: float) -> Iterator[None]:
    """Holds the lock on behalf of `what`.

    Whoever holds it, and nobody else, unlinks its file, and before letting go: so the file that is there is always the
    holder's, and who locks one that is no longer there (`st_nlink` 0) tries again. From filelock 3.30 on both hold: it
    looks at that number, and does not unlink the file itself, which by then may be the next one's.
    """
    from filelock import FileLock, Timeout

    lock = FileLock(lock_file.absolute(), is_singleton=True)
    try:
        for left in reversed(range(ATTEMPTS)):
            try:
                lock_file.parent.mkdir(parents=True, exist_ok=True)
                lock.acquire(timeout=wait)
                break
            except (FileNotFoundError, FileExistsError):  # one who wrote nothing took the folder away
                if not left:
                    raise
    except Timeout:
        raise UserError(f"Another program, or another part of this one, is writing into {what}; {remedy}.") from None
    except OSError as error:
        raise _unwritable(what, error) from None
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


def begun_in_time(begin: Callable[[], T], wait: float) -> T:
    """What `begin` returns, which asks for an answer: its head has to be there, whole, PATIENCE and `wait` s later.

    It runs in a thread of its own, since a time-out is for the next bytes alone, and one byte a second is within it.
    Raises UserError where it takes longer; the thread is left, and ends with the program.
    """
    from queue import Empty, SimpleQueue

    ended: SimpleQueue[tuple[Any, BaseException | None]] = SimpleQueue()

    def work() -> None:
        try:
            ended.put((begin(), None))
        except BaseException as error:  # whatever it is, it is raised where it is waited for
            ended.put((None, error))

    threading.Thread(target=work, daemon=True).start()
    try:
        made, error = ended.get(timeout=PATIENCE + wait)
    except Empty:
        raise UserError(
            f"An answer had not begun after {PATIENCE + wait:g} s; it is given up. Try another network, or try again "
            "later."
        ) from None
    if error is not None:
        raise error
    return cast(T, made)


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
