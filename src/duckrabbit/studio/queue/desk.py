"""The desk: one worker for a device, that does what it is given one after the other.

Whoever hands something in gets a ticket, and reads from it how far it is.
"""

from __future__ import annotations

import secrets
import sys
import threading
import time
import traceback
from collections import deque
from collections.abc import Callable, Collection
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Literal

from duckrabbit.errors import UserError, lacks_memory
from duckrabbit.studio.forms.kinds import Form

MOST_WAITING, REMEMBERED = 200, 400
"""More waiting are refused; so many finished tickets are remembered."""
FULL = "The studio has its hands full: {} are waiting. Try again in a minute."
NO_MEMORY = "There is not enough memory for this. Make fewer at once, or choose a smaller model."


class Stopped(Exception):
    """Raised within the work when its ticket was cancelled."""


@dataclass(eq=False)
class Ticket:
    """How far something is. `version` grows with every change; `preview` is a PNG of the latest state.

    `place` names its device, where there are several; `askers`: the names of whoever asked, a session's or a
    call's; `replaced`: they have asked for another.
    """

    form: Form
    guess: float
    number: int
    place: str = ""
    askers: frozenset[str] = frozenset()
    replaced: bool = False
    id: str = field(default_factory=lambda: secrets.token_hex(12))
    state: Literal["waiting", "running", "done", "failed", "stopped"] = "waiting"
    move: int = 0
    moves: int = 0
    preview: bytes | None = None
    sentence: str = ""
    item: str = ""
    began: float = 0.0
    seconds: float = 0.0
    version: int = 0
    stopping: threading.Event = field(default_factory=threading.Event)

    @property
    def finished(self) -> bool:
        """Whether nothing more will happen to it."""
        return self.state in ("done", "failed", "stopped")

    def step(self, preview: bytes | None) -> None:
        """Note a move. Raises Stopped where it was cancelled: the device is free within one step."""
        if self.stopping.is_set():
            raise Stopped
        self.move += 1
        self.preview = preview or self.preview
        self.version += 1


class Desk:
    """The queue of a device and its worker; `work(ticket)` does it, and says the item it made.

    `models` are those that may be asked for; empty, any. `most` may be waiting. `first` is done
    before anything else, so that the first visitor does not wait for weights. `place` names the device.
    """

    def __init__(
        self,
        work: Callable[[Ticket], str],
        models: Collection[str] = (),
        most: int = MOST_WAITING,
        first: Callable[[], None] | None = None,
        place: str = "",
    ) -> None:
        self._work, self._models, self._most, self._first, self._place = work, models, most, first, place
        self._waiting: deque[Ticket] = deque()
        self._known: dict[str, Ticket] = {}
        self._running: Ticket | None = None
        self._pace: dict[str, float] = {}
        self.last_model = ""
        self._count = 0
        self._closed = False
        self._change = threading.Condition()
        self._thread = threading.Thread(target=self._serve, name="duckrabbit-desk", daemon=True)
        self._thread.start()

    def submit(self, form: Form, askers: Collection[str] = ()) -> Ticket:
        """Hand something in, for whoever is called one of `askers`.

        Raises UserError for what is not allowed, and where too many are waiting.
        """
        form.check()
        if self._models and form.model not in self._models:
            raise UserError(f"The studio has not the model '{form.model}'; it has {', '.join(self._models)}.")
        with self._change:
            if self._closed:
                raise UserError("The studio is closing; start it again with: duckrabbit studio")
            if len(self._waiting) >= self._most:
                raise UserError(FULL.format(len(self._waiting)))
            self._count += 1
            ticket = Ticket(form, self._guess(form), self._count, self._place, frozenset(askers))
            self._waiting.append(ticket)
            self._known[ticket.id] = ticket
            self._forget()
            self._change.notify()
        return ticket

    def ahead(self, ticket: Ticket | None = None) -> tuple[int, float]:
        """How many come before it, or before the next, and about how many seconds that takes."""
        with self._change:
            before = [t for t in self._waiting if ticket is None or t.number < ticket.number]
            seconds = sum(t.guess for t in before)
            if self._running is not None:
                seconds += max(0.0, self._running.guess - (time.monotonic() - self._running.began))
            return len(before) + (self._running is not None), seconds

    @property
    def running(self) -> list[Ticket]:
        """What is being worked on."""
        return [self._running] if self._running else []

    @property
    def tickets(self) -> list[Ticket]:
        """All that are remembered, in the order in which they were handed in."""
        return sorted(self._known.values(), key=lambda ticket: ticket.number)

    def find(self, name: str) -> Ticket | None:
        """The ticket of that id, if it is still known."""
        return self._known.get(name)

    def stop(self, name: str) -> bool:
        """Cancel: what waits is taken out, what runs stops within one step. Whether there was something to stop."""
        with self._change:
            ticket = self._known.get(name)
            if ticket is None or ticket.finished:
                return False
            ticket.stopping.set()
            if ticket in self._waiting:
                self._waiting.remove(ticket)
                _finish(ticket, "stopped", "Cancelled before it began.")
            return True

    def abandon(self, asker: str) -> None:
        """Cancel all that `asker` has asked for: nobody is there any more to see it."""
        with self._change:
            left = [ticket.id for ticket in self._known.values() if asker in ticket.askers]
        for name in left:
            self.stop(name)

    def close(self, wait: float = 10.0) -> None:
        """Take no more, stop what runs, and wait so many seconds for the worker to leave; 0 does not wait."""
        with self._change:
            self._closed = True
            for ticket in [*self._waiting, *([self._running] if self._running else [])]:
                ticket.stopping.set()
            for ticket in self._waiting:
                _finish(ticket, "stopped", "The studio was closed.")
            self._waiting.clear()
            self._change.notify_all()
        if wait:
            self._thread.join(wait)

    def _serve(self) -> None:
        if self._first is not None:
            with suppress(Exception):  # whatever is wrong with the model, the first ticket will tell
                self._first()
        while True:
            with self._change:
                while not self._waiting and not self._closed:
                    self._change.wait()
                if not self._waiting:
                    return
                ticket = self._running = self._waiting.popleft()
                ticket.began, ticket.state = time.monotonic(), "running"
                self.last_model = ticket.form.model
                ticket.version += 1
            try:
                self._do(ticket)
            finally:
                with self._change:
                    self._running = None

    def _do(self, ticket: Ticket) -> None:
        try:
            ticket.item = self._work(ticket)
        except Stopped:
            _finish(ticket, "stopped", f"Cancelled after {ticket.move} of {ticket.moves} moves.")
        except UserError as error:
            _finish(ticket, "failed", str(error))
        except Exception as error:  # whatever it is, the next one runs
            lacking = lacks_memory(error)
            if not lacking:
                traceback.print_exc(file=sys.stderr)
            _finish(ticket, "failed", NO_MEMORY if lacking else f"This went wrong ({type(error).__name__}: {error}).")
        else:
            _finish(ticket, "done", "")
            self._learn(ticket)

    def _guess(self, form: Form) -> float:
        return self._pace.get(_size(form)[0], 0.05) * _size(form)[1]

    def _learn(self, ticket: Ticket) -> None:
        key, size = _size(ticket.form)
        new = ticket.seconds / size
        self._pace[key] = 0.5 * (self._pace.get(key, new) + new)

    def _forget(self) -> None:
        old = [t.id for t in self._known.values() if t.finished]
        for name in old[: max(0, len(old) - REMEMBERED)]:
            del self._known[name]


def _finish(ticket: Ticket, state: Literal["done", "failed", "stopped"], sentence: str) -> None:
    ticket.sentence, ticket.preview = sentence, None
    ticket.seconds = time.monotonic() - ticket.began if ticket.began else 0.0
    ticket.state = state
    ticket.version += 1


def _size(form: Form) -> tuple[str, float]:
    """What is alike in time, and how much of it this is."""
    steps, count = getattr(form.request, "steps", None) or 30, getattr(form.request, "count", 1)
    place = f"{form.kind}/{form.model}/{getattr(form.request, 'size', None) or ''}"
    return place, float((sum(steps) if isinstance(steps, tuple) else steps) * count)
