"""Settings for all tests: hypothesis draws the same examples in every run, nothing touches the user's cache."""

import os
import sys
from pathlib import Path

import pytest
from hypothesis import settings

sys.path.insert(0, str(Path(__file__).parent))  # so that tests import tests/tiny.py as `tiny`
os.environ.setdefault("HF_HUB_DISABLE_PROGRESS_BARS", "1")

settings.register_profile("duckrabbit", derandomize=True, deadline=None, max_examples=40, database=None)
settings.load_profile("duckrabbit")


@pytest.fixture(autouse=True)
def _own_cache(tmp_path_factory, monkeypatch):
    """Hashes are remembered for the run of the tests, and not in the user's cache folder."""
    monkeypatch.setenv("DUCKRABBIT_CACHE", str(tmp_path_factory.getbasetemp() / "cache"))


@pytest.fixture(scope="session")
def cascade_folder(tmp_path_factory):
    """A tiny cascade of two stages (16 and 32 px) in the diffusers format; do not change it."""
    import tiny

    return tiny.save_cascade(tmp_path_factory.mktemp("cascade"))
