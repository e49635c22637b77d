"""The studio on the oracle, served from a thread; and a browser to look at it with."""

import os
import shutil

import httpx
import pytest

from studio_server import start

ARGUMENTS = (
    "--headless --no-sandbox --disable-gpu --disable-quic --no-first-run --disable-background-networking "
    "--disable-component-update --disable-sync"
)
BROWSERS = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")


@pytest.fixture(scope="session")
def studio(tmp_path_factory):
    running = start(tmp_path_factory.mktemp("studio"))
    yield running
    running.end()


@pytest.fixture
def http(studio):
    with httpx.Client(base_url=studio.address, timeout=60) as client:
        yield client


@pytest.fixture(scope="session")
def browser():
    """Headless Chromium, which CONTRIBUTING.md says how to get; REQUIRE_BROWSER=1 makes its absence a failure."""
    path = next(filter(None, map(shutil.which, BROWSERS)), None)
    if path is None:
        missing = "no Chromium is installed (Debian: apt-get install chromium), so the page is not tested in a browser"
        if os.environ.get("REQUIRE_BROWSER") == "1":
            pytest.fail(missing)
        pytest.skip(missing)
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        opened = playwright.chromium.launch(executable_path=path, args=ARGUMENTS.split())
        yield opened
        opened.close()
