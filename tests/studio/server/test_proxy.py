"""The studio behind a real nginx, set up as the documentation says, and looked at with a real browser."""

import io
import os
import re
import shutil
import socket
import subprocess
import time
from pathlib import Path

import httpx
import pytest
from PIL import Image

from browsing import filled, finished, go
from duckrabbit.errors import UserError
from duckrabbit.studio.server.proxies import front
from studio_forms import positional
from studio_server import start

DOCUMENT = Path(__file__).parents[3] / "docs" / "studio.md"
CONFIG = """
daemon off; master_process off; pid {folder}/nginx.pid; error_log {folder}/error.log;
events {{}}
http {{
    access_log off;
    client_body_temp_path {folder}/body; proxy_temp_path {folder}/proxy;
    fastcgi_temp_path {folder}/f; uwsgi_temp_path {folder}/u; scgi_temp_path {folder}/s;
    server {{ listen 127.0.0.1:{port}; {blocks} }}
}}
"""


@pytest.fixture(scope="module")
def behind(tmp_path_factory):
    """A studio told of /duck and of its proxy; nginx before it, which leaves the path, or (/short/) takes it away."""
    binary = shutil.which("nginx") or shutil.which("nginx", path="/usr/sbin:/usr/local/sbin")
    if binary is None:
        missing = "no nginx is installed (Debian: apt-get install nginx), so the studio is not tested behind a proxy"
        if os.environ.get("REQUIRE_NGINX") == "1":
            pytest.fail(missing)
        pytest.skip(missing)
    folder = tmp_path_factory.mktemp("nginx")
    running = start(folder / "shelf", root_path="/duck", proxies=("127.0.0.1",))
    block = re.search(r"```nginx\n(.*?)```", DOCUMENT.read_text(encoding="utf-8"), re.DOTALL)[1]
    block = block.replace("http://127.0.0.1:7860", running.address)
    taken = block.replace("location /duck/", "location /short/duck/").replace(running.address, running.address + "/")
    bare = f"location /bare/duck/ {{ proxy_pass {running.address}/; }}"
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    (folder / "nginx.conf").write_text(CONFIG.format(folder=folder, port=port, blocks=block + taken + bare))
    process = subprocess.Popen([binary, "-p", str(folder), "-c", str(folder / "nginx.conf")])
    running.front = f"http://127.0.0.1:{port}"
    try:
        for _ in range(200):
            try:
                httpx.get(running.front)
                break
            except httpx.TransportError:
                time.sleep(0.05)
        yield running
    finally:
        process.terminate()
        process.wait(10)
        running.end()


def test_the_page_works_under_its_path(opened, behind, tmp_path):
    """Theme, picture, upload, shelf: all that is asked for lies under /duck/, and all of it is there."""
    asked, missing = [], []
    page = opened("/duck", address=behind.front)
    page.on("request", lambda request: asked.append(request.url))
    page.on("response", lambda response: missing.append(response.url) if response.status >= 400 else None)
    page.goto(behind.front + "/duck/?make=generate&model=oracle&steps=5&prompts=a+red+circle")
    filled(page)
    assert page.evaluate("getComputedStyle(document.querySelector('#generate-run')).backgroundColor") == "rgb(15, 110, 132)"  # fmt: skip  # noqa: E501
    view = finished(page, "generate")
    assert view.locator("img").first.evaluate("e => e.naturalWidth") > 0
    go(page, "Edit")
    Image.new("RGB", (200, 200), "#f2a65a").save(tmp_path / "sand.png")
    page.set_input_files("[data-box=edit-image] input[type=file]", tmp_path / "sand.png")
    page.wait_for_function("document.querySelector('[data-box=edit-image] canvas').width === 200")
    assert finished(page, "edit").locator("figure").count() == 6
    go(page, "Illusions")
    assert finished(page, "anagram").locator(".leaf").count() == 1
    go(page, "Shelf")
    page.locator("#shelf-view li").first.get_by_text("Open in its tab").click()
    page.wait_for_url("**/duck/?make=anagram**")
    filled(page)
    outside = [url for url in asked if not url.startswith((behind.front + "/duck/", "data:", "blob:"))]
    assert (outside, missing) == ([], [])
    assert any("/duck/theme.css" in url for url in asked)


@pytest.mark.parametrize("path", ["/duck", "/short/duck"])
def test_programs_work_under_its_path(behind, path, tmp_path):
    """Whether the proxy leaves the path or takes it away, the studio knows where it is seen."""
    address = behind.front + path
    picture = io.BytesIO()
    Image.new("RGB", (64, 64), "#cc3333").save(picture, format="PNG")
    origin = {"origin": behind.front}
    name = httpx.post(f"{address}/pictures", content=picture.getvalue(), headers=origin).json()["name"]
    assert httpx.get(f"{address}/shelf/inputs/{name}").status_code == 200
    data = {"data": positional(steps=2, seed=1)}
    event = httpx.post(f"{address}/gradio_api/call/generate", json=data, headers=origin).json()["event_id"]
    stream = httpx.get(f"{address}/gradio_api/call/generate/{event}", timeout=60).text
    assert "event: complete" in stream
    (first, *_) = re.findall(r"/shelf/[\w-]+/sheet\.png", stream)
    assert httpx.get(address + first).status_code == 200
    assert httpx.get(f"{address}/config").json()["root"] == behind.front + "/duck"


def test_the_client_works_under_its_path(behind):
    from gradio_client import Client

    client = Client(behind.front + "/duck/", verbose=False)
    assert client.predict(prompts=["a red circle"], model="oracle", steps=2, api_name="/generate")["network_calls"] == 2


def test_a_proxy_that_does_not_tell_its_host_is_told_how(behind):
    answer = httpx.post(f"{behind.front}/bare/duck/pictures", content=b"x", headers={"origin": behind.front})
    assert answer.status_code == 403
    assert "X-Forwarded-Host" in answer.json()["error"]


FORGED = {"x-forwarded-host": "evil.example", "x-forwarded-proto": "https", "forwarded": "host=evil.example"}


def test_only_named_proxies_are_believed(http, studio):
    """From anybody else the headers are as if they were not there: for the guard, and for Gradio behind it."""
    origin = {"origin": "https://evil.example"}
    assert http.post("/pictures", content=b"x", headers=FORGED | origin).status_code == 403
    assert http.get("/", headers=FORGED | {"host": "evil.example"}).status_code == 403
    forged = {**FORGED, "x-gradio-server": "http://evil.example", "x-forwarded-for": "9.9.9.9", "X-Forwarded-Port": "1"}
    for path in ("/", "/config"):
        assert "evil.example" not in http.get(path, headers=forged).text
    assert http.get("/config", headers=forged).json()["root"] == studio.address


def test_a_named_proxy_is_believed_by_its_last_word(behind):
    """What a visitor put before it is not what the proxy says."""
    headers = {"x-forwarded-host": "evil.example, good.example:8443", "x-forwarded-proto": "http, https"}
    direct = behind.address + "/duck"
    assert httpx.get(f"{direct}/config", headers=headers).json()["root"] == "https://good.example:8443/duck"
    for origin, status in (("https://good.example:8443", 400), ("https://evil.example", 403)):
        answer = httpx.post(f"{direct}/pictures", content=b"x", headers={**headers, "origin": origin})
        assert answer.status_code == status
    for odd in ("a b", "x/../y", "<b>", "h:port", "\xff"):
        named = {"x-forwarded-host": odd.encode("latin-1"), "host": "evil.example"}
        assert httpx.get(f"{direct}/config", headers=named).status_code == 403


def test_the_guard_stands_under_the_path_too(behind):
    direct = behind.address + "/duck"
    file = {"data": [{"path": "/dev/zero", "meta": {"_type": "gradio.FileData"}}]}
    for path in ("/gradio_api/queue/join", "/gradio_api/call/generate"):
        assert httpx.post(direct + path, json=file, timeout=5).status_code == 400
        assert httpx.post(behind.front + "/duck" + path, json=file, timeout=5).status_code == 400
    for path in ("/gradio_api/file=/etc/passwd", "/gradio_api/upload", "/shelf/../../etc/passwd", "/duck/config", "x"):
        assert httpx.get(direct + path).status_code == 404
    answer = httpx.get(f"{direct}?make=edit")
    assert (answer.status_code, answer.headers["location"]) == (308, "/duck/?make=edit")


@pytest.mark.parametrize("root", ["duck", "/a/../b", "/a b", "//x", "/?x", "http://x/y", "/ü"])
def test_what_is_no_path_is_told(cli, root):
    done = cli("studio", "--root-path", root, "--no-browser")
    assert (done.code, "--root-path" in done.err) == (2, True)


def test_what_is_no_address_is_told(cli):
    done = cli("studio", "--trusted-proxy", "127.0.0.1", "--trusted-proxy", "example.org", "--no-browser")
    assert (done.code, "example.org" in done.err, "--trusted-proxy" in done.err) == (2, True, True)
    assert front("/duck/", ("10.0.0.0/8", "::1")).root == "/duck"
    with pytest.raises(UserError):
        front("", ("*",))
