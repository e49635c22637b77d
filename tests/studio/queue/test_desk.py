"""The desk: in order, one at a time, cancelled within a step; what fails stops nothing."""

import threading
import time

import pytest

from duckrabbit.errors import UserError
from duckrabbit.studio.queue.desk import Desk, Stopped
from studio_forms import create


def wait(ticket, seconds=10):
    until = time.monotonic() + seconds
    while not ticket.finished and time.monotonic() < until:
        time.sleep(0.005)
    return ticket


@pytest.fixture
def desk():
    """A desk whose work is told by the prompt; `desk.done` is what it has finished, `desk.gate` holds it up."""
    gate, done, running = threading.Event(), [], []
    gate.set()

    def work(ticket):
        gate.wait(10)
        running.append(1)
        assert len(running) == 1
        try:
            ticket.moves = 50
            if ticket.form.request.prompts[0] == "bad":
                raise UserError("It is bad; be good.")
            if ticket.form.request.prompts[0] == "broken":
                raise ZeroDivisionError("by nothing")
            if ticket.form.request.prompts[0] == "huge":
                raise RuntimeError("CUDA out of memory")
            if ticket.form.request.prompts[0] == "odd":
                raise RuntimeError("unsupported memory format option Preserve")
            if ticket.form.request.prompts[0] == "gone":
                raise OSError(28, "No space left on the memory card")
            for _ in range(50 if ticket.form.request.prompts[0] == "long" else 2):
                time.sleep(0.02 if ticket.form.request.prompts[0] == "long" else 0)
                ticket.step(None)
            done.append(ticket.form.request.seed)
            return "item"
        finally:
            running.pop()

    made = Desk(work, most=120)
    made.gate, made.done = gate, done
    yield made
    gate.set()
    made.close()


def test_all_are_done_once_and_in_order(desk):
    tickets = []
    lock = threading.Lock()

    def client(k):
        for _ in range(5):
            with lock:
                tickets.append(desk.submit(create("x", seed=len(tickets))))

    threads = [threading.Thread(target=client, args=(k,)) for k in range(20)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert [wait(t).state for t in tickets] == ["done"] * 100
    assert desk.done == list(range(100))


def test_its_place_is_told(desk):
    desk.gate.clear()
    tickets = [desk.submit(create("x", seed=k)) for k in range(3)]
    time.sleep(0.1)
    assert [desk.ahead(t)[0] for t in tickets[1:]] == [1, 2]
    assert desk.ahead(tickets[2])[1] > 0
    desk.gate.set()
    assert wait(tickets[2]).state == "done"


def test_a_cancel_is_obeyed_within_one_step(desk):
    ticket, after = desk.submit(create("long")), desk.submit(create("x", seed=7))
    while ticket.move < 3:
        time.sleep(0.001)
    at = ticket.move
    assert desk.stop(ticket.id)
    wait(ticket)
    assert ticket.state == "stopped"
    assert ticket.move <= at + 1
    assert wait(after).state == "done"
    assert not desk.stop(ticket.id)


def test_what_waits_is_cancelled_at_once(desk):
    desk.gate.clear()
    first, second = desk.submit(create("x")), desk.submit(create("x", seed=9))
    time.sleep(0.05)
    assert desk.stop(second.id)
    assert second.state == "stopped"
    desk.gate.set()
    wait(first)
    assert desk.done == [180]


WRONG = [
    ("bad", "be good"), ("broken", "by nothing"), ("huge", "enough memory"), ("odd", "memory format"),
    ("gone", "No space left"),
]  # fmt: skip


@pytest.mark.parametrize(("prompt", "word"), WRONG)
def test_what_fails_says_why_and_the_next_one_runs(desk, prompt, word, capsys):
    failed, after = desk.submit(create(prompt)), desk.submit(create("x"))
    assert wait(after).state == "done"
    assert failed.state == "failed"
    assert word in failed.sentence
    assert ("Traceback" in capsys.readouterr().err) == (prompt in ("broken", "odd", "gone"))


def test_a_full_desk_refuses(desk):
    desk.gate.clear()
    for k in range(121):
        desk.submit(create("x", seed=k))
        time.sleep(0.05 * (k == 0))  # the first is being worked on
    with pytest.raises(UserError, match="hands full"):
        desk.submit(create("x"))


def test_what_is_not_allowed_is_never_queued(desk):
    with pytest.raises(UserError):
        desk.submit(create(" "))


def test_closing_stops_what_runs_and_refuses_more(desk):
    ticket, waiting = desk.submit(create("long")), desk.submit(create("x"))
    while ticket.move < 1:
        time.sleep(0.001)
    began = time.monotonic()
    desk.close()
    assert time.monotonic() - began < 0.5
    assert (ticket.state, waiting.state) == ("stopped", "stopped")
    with pytest.raises(UserError, match="closing"):
        desk.submit(create("x"))


def test_what_goes_wrong_while_warming_up_stops_nothing():
    done = []

    def warm():
        done.append("warm")
        raise OSError("no weights")

    desk = Desk(lambda ticket: "item", first=warm)
    assert wait(desk.submit(create("x"))).state == "done"
    assert done == ["warm"]
    desk.close()


def test_a_model_that_is_not_on_the_menu_is_refused():
    desk = Desk(lambda ticket: "item", ["oracle"])
    with pytest.raises(UserError, match="it has oracle"):
        desk.submit(create("x", model="/etc"))
    desk.close()


def test_stopped_is_no_mistake():
    assert not issubclass(Stopped, UserError)
