"""Several devices: a desk for each, and what is handed in goes to the one that is free first."""

from __future__ import annotations

from collections.abc import Collection, Mapping

from duckrabbit.errors import UserError
from duckrabbit.studio.forms.kinds import Form
from duckrabbit.studio.queue.desk import Desk, Ticket


class Desks:
    """Desks by the names of their devices, used like one. A queue never moves: a ticket stays where it was put."""

    def __init__(self, desks: Mapping[str, Desk]) -> None:
        self._desks = dict(desks)

    def submit(self, form: Form, askers: Collection[str] = ()) -> Ticket:
        """Hand something in where the wait is shortest; of desks that are equal, where its model was last used.

        Raises UserError as `Desk.submit` does.
        """
        every = list(self._desks.values())
        return min(every, key=lambda desk: (*_wait(desk), desk.last_model != form.model)).submit(form, askers)

    def ahead(self, ticket: Ticket) -> tuple[int, float]:
        """How many come before it at its own desk, and about how many seconds that takes."""
        return self._desks[ticket.place].ahead(ticket)

    @property
    def running(self) -> list[Ticket]:
        """What is being worked on, on every device."""
        return [ticket for desk in self._desks.values() for ticket in desk.running]

    @property
    def tickets(self) -> list[Ticket]:
        """All that are remembered, desk by desk."""
        return [ticket for desk in self._desks.values() for ticket in desk.tickets]

    def stop(self, name: str) -> bool:
        """Cancel a ticket, wherever it is. Whether there was something to stop."""
        return any(desk.stop(name) for desk in self._desks.values())

    def abandon(self, asker: str) -> None:
        """Cancel all that `asker` has asked for, at every desk."""
        for desk in self._desks.values():
            desk.abandon(asker)

    def close(self) -> None:
        """Stop all of them at once, then wait for each."""
        for wait in (0.0, 10.0):
            for desk in self._desks.values():
                desk.close(wait)


def devices(chosen: str | None) -> tuple[str | None, ...]:
    """The devices to work on: those that are named, with commas between; else every GPU; else the best there is.

    Raises UserError for one that this machine has not.
    """
    from duckrabbit.models.load import pick_device

    if chosen is not None:
        named = [name.strip() for name in chosen.split(",")]
        if len(set(named)) < len(named):
            raise UserError(f"A device is named twice in '{chosen}'; one desk each is enough.")
        return tuple(pick_device(name) for name in named)
    import torch

    count = torch.cuda.device_count()
    return tuple(f"cuda:{k}" for k in range(count)) if count > 1 else (None,)


def _wait(desk: Desk) -> tuple[int, float]:
    count, seconds = desk.ahead()
    return (0, 0.0) if count == 0 else (1, round(seconds, 1))
