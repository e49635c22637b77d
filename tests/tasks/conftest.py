"""A studio on the oracle, which reads pictures as the tasks do."""

from types import SimpleNamespace

import httpx
import pytest

from studio_server import start


@pytest.fixture(scope="session")
def studio(tmp_path_factory):
    """A studio that is served: `http` asks it, `shelf` is where it keeps what it is sent."""
    running = start(tmp_path_factory.mktemp("studio"))
    with httpx.Client(base_url=running.address, timeout=60) as http:
        yield SimpleNamespace(http=http, shelf=running.shelf)
    running.end()
