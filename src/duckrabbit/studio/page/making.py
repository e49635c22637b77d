"""What happens when a button is pressed, or a slider let go: a ticket is drawn and watched."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from typing import Any

import gradio as gr

from duckrabbit.errors import UserError
from duckrabbit.studio.page import show
from duckrabbit.studio.page.fields import Fields
from duckrabbit.studio.queue.desk import Ticket
from duckrabbit.studio.queue.desks import Desks
from duckrabbit.studio.shelf.shelf import Shelf

PULSE = 0.1
"""Seconds between two looks at a ticket."""


@dataclass
class Making:
    """The making of a kind of form. A page has one thing of it in the making: to ask again cancels what it had."""

    desk: Desks
    shelf: Shelf
    fields: Fields
    _at_work: dict[str, Ticket] = field(default_factory=dict)

    async def make(self, request: gr.Request, *values: Any) -> AsyncIterator[tuple[Any, ...]]:
        """What the page shows meanwhile: the view, the button that runs, the button that cancels."""
        page, idle, busy = str(request.session_hash), gr.update(interactive=True), gr.update(interactive=False)
        self._drop(page)
        try:
            ticket = self._at_work[page] = self.desk.submit(self.fields.form(values), (page,))
        except UserError as error:
            yield show.sentence(str(error), failed=True), idle, busy
            return
        try:
            yield show.progress(ticket, *self.desk.ahead(ticket)), busy, idle
            async for words in self._watch(ticket):
                yield words, gr.skip(), gr.skip()
            if not ticket.replaced:
                yield self._end(ticket), idle, busy
        finally:
            self.desk.stop(ticket.id)  # where nobody looks any more
            if self._at_work.get(page) is ticket:
                del self._at_work[page]

    def stop(self, request: gr.Request) -> None:
        """Cancel what the page has in the making; it says so itself."""
        ticket = self._at_work.get(str(request.session_hash))
        if ticket is not None:
            self.desk.stop(ticket.id)

    def _drop(self, page: str) -> None:
        """Cancel what is stale, without a word."""
        stale = self._at_work.pop(page, None)
        if stale is not None:
            stale.replaced = True
            self.desk.stop(stale.id)

    async def _watch(self, ticket: Ticket) -> AsyncIterator[str]:
        """What to show of a ticket, whenever that changes, until it is finished or replaced."""
        last = ""
        while not ticket.finished and not ticket.replaced:
            words = show.progress(ticket, *self.desk.ahead(ticket))
            if words != last:
                last = words
                yield words
            await asyncio.sleep(PULSE)

    def _end(self, ticket: Ticket) -> str:
        if ticket.state != "done":
            return show.sentence(ticket.sentence, failed=ticket.state == "failed")
        item = self.shelf.get(ticket.item)
        return show.result(item) if item else show.sentence("It has been deleted from the shelf.", failed=False)
