"""The command: what it refuses, how it opens, and that ctrl-C ends it cleanly."""

import signal
import time

from samples import run
from studio_forms import positional
from studio_server import opened


def test_ctrl_c_closes_it_cleanly_while_it_works(tmp_path):
    import httpx

    with opened(tmp_path, "--model", "oracle", "--out", "kept") as (process, address):
        until = time.monotonic() + 60
        while time.monotonic() < until:
            try:
                if httpx.get(address, timeout=5).status_code == 200:
                    break
            except httpx.TransportError:
                time.sleep(0.1)
        data = {"data": positional(steps=900, seed=1, count=16)}
        assert httpx.post(f"{address}/gradio_api/call/generate", json=data).status_code == 200
        time.sleep(0.5)
        process.send_signal(signal.SIGINT)
        out, err = process.communicate(timeout=20)
    assert process.returncode == 0
    assert "The studio is closed" in out
    assert "Traceback" not in err
    assert not list((tmp_path / "kept").glob(".making-*"))


def test_a_shelf_has_one_studio_at_a_time(tmp_path):
    """Until it is gone, even by a kill."""
    words = ("--model", "oracle", "--out", "kept")
    with opened(tmp_path, *words) as (first, _):
        second = run("studio", "--no-browser", *words, cwd=tmp_path)
        assert second.returncode == 2, second.stderr
        assert "a shelf has one studio" in second.stderr
        assert "Traceback" not in second.stderr
        assert first.poll() is None
    with opened(tmp_path, *words) as (third, _):
        third.send_signal(signal.SIGINT)
        third.communicate(timeout=60)


def test_another_address_needs_a_password(cli):
    done = cli("studio", "--host", "0.0.0.0", "--no-browser")
    assert (done.code, "--password" in done.err) == (2, True)
    done = cli("studio", "--host", "0.0.0.0", "--password", "short", "--no-browser")
    assert (done.code, "8 characters" in done.err) == (2, True)
    assert not done.written


def test_a_taken_port_is_told(cli):
    import socket

    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        done = cli("studio", "--port", str(taken.getsockname()[1]), "--no-browser")
    assert done.code == 2
    assert "Choose another --port" in done.err


def test_an_unknown_model_is_told(cli):
    done = cli("studio", "--model", "gpt", "--no-browser", "--port", "0")
    assert done.code == 2
    assert "gpt" in done.err
