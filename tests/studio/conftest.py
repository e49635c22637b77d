"""The studio on the oracle, served from a thread; and a browser to look at it with."""

import os
import shutil

import httpx
import pytest

from browsing import NARROW, WIDE, filled, outside
from duckrabbit.models.cards import cards
from studio_server import start
from tiny_digits import train_all

ARGUMENTS = (
    "--headless --no-sandbox --disable-gpu --disable-quic --no-first-run --disable-background-networking "
    "--disable-component-update --disable-sync"
)
BROWSERS = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")


@pytest.fixture(scope="session")
def studio(tmp_path_factory):
    """A studio on the oracle, with tiny models of digits, which are asked for by the names of their runs.

    For the documentation's pictures the models that come with the package are there, too, and come first.
    """
    runs = tmp_path_factory.mktemp("runs")
    train_all(runs)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("DUCKRABBIT_RUNS", str(runs))
        if "DUCKRABBIT_SCREENSHOTS" not in os.environ:
            tiny = {name: card for name, card in cards().items() if not name.startswith("mnist-")}
            patch.setattr("duckrabbit.studio.page.models.cards", lambda: tiny)
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


@pytest.fixture
def opened(browser, studio):
    """opened(path, size) -> a page that has been filled from its address; every complaint of it is collected."""
    contexts = []

    def open_page(path="/", size=WIDE, address=studio.address, **more):
        context = browser.new_context(viewport={"width": size[0], "height": size[1]}, accept_downloads=True, **more)
        context.set_default_timeout(60_000 if "DUCKRABBIT_SCREENSHOTS" in os.environ else 15_000)
        contexts.append(context)
        page = context.new_page()
        page.complaints = []
        page.on("pageerror", lambda error: page.complaints.append(str(error)))
        page.on("request", lambda request: outside(page, address, request.url))
        page.goto(address + path)
        filled(page)
        return page

    yield open_page
    for context in contexts:
        complaints = [c for page in context.pages for c in getattr(page, "complaints", [])]
        context.close()
        assert complaints == []


@pytest.fixture(params=[WIDE, NARROW], ids=["1280", "390"])
def size(request):
    return request.param
