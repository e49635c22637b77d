"""Files are written whole, or not at all."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path

from duckrabbit.errors import UserError


class Atomic:
    """A context for writing a file whole: a temporary file beside `path`, renamed when all went well.

    Raises UserError where the folder cannot be made or written, or the disk is full.
    """

    def __init__(self, path: str | Path) -> None:
        self.path = Path(path)
        self.temporary: Path | None = None

    def __enter__(self) -> Path:
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            handle, name = tempfile.mkstemp(dir=self.path.parent, prefix=f".{self.path.name}.")
            os.close(handle)
        except OSError as error:
            raise self._sentence(error) from None
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
                return
            except OSError as failure:
                error = failure
        self.temporary.unlink(missing_ok=True)
        if isinstance(error, OSError):
            raise self._sentence(error) from None

    def _sentence(self, error: OSError) -> UserError:
        return UserError(
            f"{self.path} cannot be written: {error.strerror or error}. Choose another --out, or make room."
        )


def _umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask
