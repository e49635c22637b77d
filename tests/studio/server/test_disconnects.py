"""Whoever leaves cancels what they asked for, over real HTTP; whoever stays gets it, whoever else leaves."""

import threading
import time

import httpx
import pytest

from duckrabbit.studio.queue.desk import Ticket
from studio_forms import positional


def work(seed, steps=500):
    """Sixteen pictures, which take a while."""
    return positional(seed=seed, steps=steps, count=16)


@pytest.fixture
def held(monkeypatch):
    """Every step waits until it is let go: what runs would run for ever."""
    let_go, step = threading.Event(), Ticket.step

    def slowly(ticket, preview):
        let_go.wait(0.02)
        step(ticket, preview)

    monkeypatch.setattr(Ticket, "step", slowly)
    yield let_go
    let_go.set()


def until(what, seconds=20):
    end = time.monotonic() + seconds
    while not what() and time.monotonic() < end:
        time.sleep(0.02)
    assert what()


def newest(studio, seed):
    """The ticket of that seed, once it is there."""
    until(lambda: any(getattr(ticket.form.request, "seed", None) == seed for ticket in studio.desk.tickets))
    return [ticket for ticket in studio.desk.tickets if getattr(ticket.form.request, "seed", None) == seed][-1]


@pytest.mark.usefixtures("held")
@pytest.mark.parametrize("session", [None, "a-session-of-its-own"])
def test_a_dropped_call_stops_its_job(studio, http, session):
    seed = 7101 + bool(session)
    body = {"data": work(seed)} | ({"session_hash": session} if session else {})
    event = http.post("/gradio_api/call/generate", json=body).json()["event_id"]
    ticket = newest(studio, seed)
    with http.stream("GET", f"/gradio_api/call/generate/{event}"):
        until(lambda: ticket.move > 2)
        assert not ticket.stopping.is_set()
    until(lambda: ticket.state == "stopped")
    assert 0 < ticket.move < 500


@pytest.mark.usefixtures("held")
def test_a_dropped_direct_call_stops_its_job(studio):
    with pytest.raises(httpx.ReadTimeout):
        httpx.post(
            f"{studio.address}/gradio_api/run/generate",
            json={"data": work(7103)},
            timeout=1.5,
        )
    until(lambda: newest(studio, 7103).state == "stopped")


@pytest.mark.usefixtures("held")
def test_what_waits_is_dropped_too_and_others_stay(studio, http):
    stays = http.post("/gradio_api/call/generate", json={"data": work(7104, steps=60)}).json()["event_id"]
    leaves = http.post("/gradio_api/call/generate", json={"data": work(7105)}).json()["event_id"]
    first, second = newest(studio, 7104), newest(studio, 7105)
    with httpx.Client(base_url=studio.address, timeout=60) as other:
        with other.stream("GET", f"/gradio_api/call/generate/{leaves}"):
            until(lambda: first.move > 2)
        until(lambda: second.state == "stopped")
    assert (second.move, first.stopping.is_set()) == (0, False)
    assert "event: complete" in http.get(f"/gradio_api/call/generate/{stays}").text
    assert first.state == "done"


@pytest.mark.usefixtures("held")
def test_a_page_that_is_left_stops_its_job(opened, studio):
    page = opened("/?make=generate&model=oracle&prompt=a+red+circle&steps=500&count=16&seed=7106")
    page.click("#generate-run")
    ticket = newest(studio, 7106)
    until(lambda: ticket.move > 2)
    page.goto("about:blank")
    until(lambda: ticket.state == "stopped")


def test_a_call_that_is_answered_stops_nothing(studio, http):
    """A connection that is closed after the answer's end, and one on which nothing is awaited, cancel nothing."""
    body = {"data": work(7107, steps=2), "session_hash": "two-calls"}
    event = http.post("/gradio_api/call/generate", json=body).json()["event_id"]
    with httpx.Client(base_url=studio.address, timeout=60) as other:
        assert "event: complete" in other.get(f"/gradio_api/call/generate/{event}").text
        other.post("/gradio_api/call/generate", json={**body, "data": work(7108, steps=2)})
    until(lambda: newest(studio, 7108).finished)
    assert (newest(studio, 7107).state, newest(studio, 7108).state) == ("done", "done")
