"""What all tests share: the same examples in every run, and no touch on the user's cache."""

import os

import pytest
from hypothesis import settings

pytest_plugins = ["command_line", "on_oracle"]
settings.register_profile("duckrabbit", derandomize=True, deadline=None, max_examples=40, database=None)
settings.load_profile("duckrabbit")
os.environ.setdefault("HF_HUB_DISABLE_PROGRESS_BARS", "1")


@pytest.fixture(autouse=True)
def _own_cache(tmp_path_factory, monkeypatch):
    """Tests never touch the user's cache."""
    monkeypatch.setenv("DUCKRABBIT_CACHE", str(tmp_path_factory.getbasetemp() / "cache"))


@pytest.fixture(autouse=True)
def _own_names():
    """What a test registers is gone after it."""
    from duckrabbit.registry import mark

    forget = mark()
    yield
    forget()


@pytest.fixture(scope="session")
def cascade_folder(tmp_path_factory):
    """A tiny cascade of two stages (16 and 32 px) in the diffusers format; do not change it."""
    import tiny

    return tiny.save_cascade(tmp_path_factory.mktemp("cascade"))
