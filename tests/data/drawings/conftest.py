import pytest

import tiny_packages
from duckrabbit.data.drawings import sources


@pytest.fixture
def packages(tmp_path, monkeypatch):
    """A folder with tiny archives of six families, which the sources know for the length of a test."""
    folder = tmp_path / "packages"
    known = tiny_packages.write(folder)
    with monkeypatch.context() as patched:
        tiny_packages.use(known, patched.setattr)
        yield folder
    sources.families.cache_clear()
    sources.words.cache_clear()
