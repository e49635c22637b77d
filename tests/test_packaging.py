"""What is installed is all there is in the package's folder, not its modules alone."""

import tomllib
from pathlib import Path

import duckrabbit

SOURCE = Path(duckrabbit.__file__).parent


def test_every_file_of_the_package_is_installed_with_it():
    project = tomllib.loads((SOURCE.parents[1] / "pyproject.toml").read_text(encoding="utf-8"))
    patterns = project["tool"]["setuptools"]["package-data"]["duckrabbit"]
    taken = {path for pattern in patterns for path in SOURCE.glob(pattern)}
    files = {path for path in SOURCE.rglob("*") if path.is_file() and path.suffix not in (".py", ".pyc")}
    assert {path.relative_to(SOURCE).as_posix() for path in files - taken} == set()
    assert len(files) > 20  # weights, logs, pictures, tables
