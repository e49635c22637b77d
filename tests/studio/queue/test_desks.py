"""Several devices: one queue for each, the free one first, and no waiting for a stranger."""

import threading
import time

import numpy as np
import pytest

from duckrabbit.errors import UserError
from duckrabbit.studio.queue.desk import Desk
from duckrabbit.studio.queue.desks import Desks, devices
from samples import read
from studio_forms import create


@pytest.fixture
def two():
    """Desks on two devices that are not there. `two.gates` hold each up; `two.done`: (device, seed), as done."""
    gates, done = {name: threading.Event() for name in ("cuda:0", "cuda:1")}, []

    def worker(name):
        def work(ticket):
            ticket.moves = 3
            for _ in range(3):
                gates[name].wait(10)
                ticket.step(None)
            done.append((name, ticket.form.request.seed))
            return "item"

        return work

    made = Desks({name: Desk(worker(name), place=name) for name in gates})
    made.gates, made.done = gates, done
    yield made
    for gate in gates.values():
        gate.set()
    made.close()


def form(seed, model="miniature"):
    return create("x", seed=seed, model=model)


def until(what, seconds=10):
    end = time.monotonic() + seconds
    while not what() and time.monotonic() < end:
        time.sleep(0.005)
    assert what()


def test_each_device_has_a_queue_of_its_own(two):
    tickets = [two.submit(form(k)) for k in range(6)]
    until(lambda: len(two.running) == 2)
    assert sorted(t.place for t in tickets) == ["cuda:0"] * 3 + ["cuda:1"] * 3
    by_place = {place: [t for t in tickets if t.place == place] for place in two.gates}
    for queue in by_place.values():
        assert [two.ahead(t)[0] for t in queue[1:]] == [1, 2]
        assert two.ahead(queue[2])[1] > two.ahead(queue[1])[1] > 0
    two.gates["cuda:1"].set()
    until(lambda: all(t.finished for t in by_place["cuda:1"]))
    assert not any(t.finished for t in by_place["cuda:0"])
    two.gates["cuda:0"].set()
    until(lambda: all(t.finished for t in tickets))
    for place, queue in by_place.items():
        assert [seed for where, seed in two.done if where == place] == [t.form.request.seed for t in queue]


def test_the_free_one_is_taken(two):
    two.submit(form(0))
    until(lambda: len(two.running) == 1)
    (busy,) = [t.place for t in two.running]
    two.gates[{"cuda:0": "cuda:1", "cuda:1": "cuda:0"}[busy]].set()
    for seed in range(1, 4):
        quick = two.submit(form(seed))
        assert quick.place != busy
        until(lambda ticket=quick: ticket.finished)
    assert two.ahead(two.submit(form(9)))[0] == 0


def test_where_its_model_is_it_goes_if_nobody_waits(two):
    for gate in two.gates.values():
        gate.set()
    places = {}
    for seed, model in enumerate(["a", "b"] * 3):
        if model == "b" and model not in places:  # the other desk is busy once, so that each has had a model
            two.gates[places["a"]].clear()
            two.submit(form(90, "a"))
            until(lambda: len(two.running) == 1)
        ticket = two.submit(form(seed, model))
        places.setdefault(model, ticket.place)
        two.gates[places["a"]].set()
        until(lambda ticket=ticket: ticket.finished and not two.running)
        assert ticket.place == places[model]
    assert len(set(places.values())) == 2


def test_a_cancel_finds_its_desk_and_closing_stops_all(two):
    tickets = [two.submit(form(k)) for k in range(4)]
    until(lambda: len(two.running) == 2)
    assert two.stop(tickets[3].id)
    assert tickets[3].state == "stopped"
    assert not two.stop("nobody")
    closing = threading.Thread(target=two.close)
    closing.start()
    for gate in two.gates.values():
        gate.set()
    closing.join(10)
    assert [t.state for t in tickets] == ["stopped"] * 4
    with pytest.raises(UserError, match="closing"):
        two.submit(form(9))


def test_devices_are_named_or_found(monkeypatch):
    import torch

    assert devices("cpu") == ("cpu",)
    with pytest.raises(UserError, match="twice"):
        devices("cpu,cpu")
    with pytest.raises(UserError, match="no device"):
        devices("cpu,tpu")
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 3)
    assert devices(None) == ("cuda:0", "cuda:1", "cuda:2")
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 1)
    assert devices(None) == (None,)


def test_two_desks_make_real_pictures_at_the_same_time(tmp_path, monkeypatch):
    """Two workers in one process, on the oracle: what they make is what one makes."""
    from duckrabbit.studio.queue.work import Worker
    from duckrabbit.studio.shelf.shelf import Shelf

    shelf = Shelf(tmp_path)
    wanted = Desks({"": Desk(Worker(shelf, "cpu"))})
    both = Desks({name: Desk(Worker(shelf, "cpu"), place=name) for name in ("a", "b")})
    jobs = [create("a red circle", model="oracle", steps=9, seed=k) for k in range(6)]
    tickets = [[desks.submit(job) for job in jobs] for desks in (wanted, both)]
    until(lambda: all(t.finished for some in tickets for t in some), 60)
    assert {t.place for t in tickets[1]} == {"a", "b"}
    for one, two in zip(*tickets, strict=True):
        assert (one.state, two.state) == ("done", "done"), (one.sentence, two.sentence)
        name = f"01-seed{one.form.request.seed}.png"
        assert np.array_equal(read(shelf.file(one.item, name)), read(shelf.file(two.item, name)))
    for desks in (wanted, both):
        desks.close()


def test_the_size_that_was_asked_for_is_made_and_a_much_larger_one_refused(tmp_path):
    from duckrabbit.studio.queue.work import Worker
    from duckrabbit.studio.shelf.shelf import Shelf

    shelf = Shelf(tmp_path)
    desks = Desks({"": Desk(Worker(shelf, "cpu"))})
    common = {"model": "miniature", "steps": 1, "stage": 1}
    tickets = [desks.submit(create("a rose", size=size, **common)) for size in ("24x16", "64x64", "64x72", "wide")]
    until(lambda: all(t.finished for t in tickets), 90)
    desks.close()
    assert [t.state for t in tickets] == ["done", "done", "failed", "failed"]
    assert read(shelf.file(tickets[0].item, "01-seed180.png")).shape == (16, 24, 3)
    assert "at most 4 times the 32 x 32 pixels" in tickets[2].sentence
    assert "WIDTHxHEIGHT" in tickets[3].sentence
