"""The page: tabs, each with its fields on the left and what comes of them on the right."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import gradio as gr

from duckrabbit.app.studio import api, show
from duckrabbit.app.studio.desk import Desk, Ticket
from duckrabbit.app.studio.forms import FORMS, from_address
from duckrabbit.app.studio.shelf import Shelf
from duckrabbit.app.studio.starters import starters
from duckrabbit.app.studio.tabs import HINTS, LAYOUT_OF, TABS, VERBS, Builder, Fields
from duckrabbit.errors import UserError
from duckrabbit.models.model import Card

PULSE = 0.1
"""Seconds between two looks at a ticket."""
SHOWN = 60


@dataclass
class Page:
    """The studio's page over a desk and a shelf; `samples` are names of pictures to begin with."""

    desk: Desk
    shelf: Shelf
    cards: Sequence[Card]
    samples: Sequence[str] = ()
    fields: dict[str, Fields] = field(default_factory=dict)
    places: dict[str, Any] = field(default_factory=dict)

    def build(self) -> gr.Blocks:
        """The page as Gradio blocks."""
        first = starters(self.cards[0], self.samples)
        with gr.Blocks(title="duckrabbit studio", analytics_enabled=False, fill_width=False) as blocks:
            api.register(self.desk, self.shelf)
            with gr.Row(elem_classes=["masthead"]):
                gr.HTML("<h1>duckrabbit <span>studio</span></h1>", elem_classes=["bare"])
                names = [card.name for card in self.cards]
                model = gr.Dropdown(names, value=names[0], label="Model", elem_id="model", min_width=150)
            with gr.Tabs(elem_id="tabs") as tabs:
                for tab, (name, words) in TABS.items():
                    with gr.Tab(name, id=tab) as opened:
                        gr.HTML(f'<p class="lead">{words}</p>', elem_classes=["bare"])
                        self._tab(tab, first, model)
                    shown = next(kind for kind, form in FORMS.items() if form.tab == tab)
                    if tab != "illusions":
                        opened.select(None, self.fields[shown].components, js=self._address(shown))
                with gr.Tab("Shelf", id="shelf") as opened:
                    self._shelf(opened)
            self._opening(blocks, tabs, model)
        return blocks.queue(default_concurrency_limit=None, max_size=1000)

    def _tab(self, tab: str, first: dict[str, Any], model: Any) -> None:
        kinds = [kind for kind, form in FORMS.items() if form.tab == tab]
        if len(kinds) == 1:
            self._pane(kinds[0], first, model)
            return
        with gr.Tabs(elem_id=f"{tab}-kinds", elem_classes=["inner"]) as inner:
            for kind in kinds:
                with gr.Tab(kind.capitalize(), id=kind) as opened:
                    self._pane(kind, first, model)
                opened.select(None, self.fields[kind].components, js=self._address(kind))
        self.places[tab] = inner

    def _pane(self, kind: str, first: dict[str, Any], model: Any) -> None:
        with gr.Row(elem_classes=["pane"]):
            with gr.Column(scale=2, min_width=300, elem_classes=["asked"]):
                build = Builder(first[kind], model)
                LAYOUT_OF[kind](build, self.samples)
                with gr.Row(elem_classes=["act"]):
                    run = gr.Button(VERBS[kind], variant="primary", elem_id=f"{kind}-run")
                    stop = gr.Button("Cancel", elem_id=f"{kind}-stop", interactive=False, min_width=90)
            with gr.Column(scale=3, min_width=300, elem_classes=["shown"]):
                view = gr.HTML(show.EMPTY.format(HINTS[kind]), elem_id=f"{kind}-view", elem_classes=["bare"])
        self.fields[kind] = made = build.done()
        ticket = gr.State("")
        js, hidden = self._address(kind), {"api_visibility": "private", "show_progress": "hidden"}
        for component in made.components:
            component.input(None, made.components, js=js)
        run.click(None, made.components, js=js)
        run.click(self._maker(kind), [*made.components], [view, ticket, run, stop], concurrency_limit=None, **hidden)
        stop.click(self._stop, [ticket], [], **hidden)

    def _stop(self, ticket: str) -> None:
        self.desk.stop(ticket)

    def _maker(self, kind: str) -> Any:
        async def make(*values: Any) -> AsyncIterator[tuple[Any, ...]]:
            idle, busy = gr.update(interactive=True), gr.update(interactive=False)
            try:
                ticket = self.desk.submit(self.fields[kind].form(values))
            except UserError as error:
                yield show.sentence(str(error), failed=True), "", idle, busy
                return
            yield show.progress(ticket, *self.desk.ahead(ticket)), ticket.id, busy, idle
            async for words in self._watch(ticket):
                yield words, gr.skip(), gr.skip(), gr.skip()
            yield self._end(ticket), "", idle, busy

        return make

    async def _watch(self, ticket: Ticket) -> AsyncIterator[str]:
        """What to show of a ticket, whenever that changes, until it is finished."""
        last = ""
        while not ticket.finished:
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

    def _shelf(self, opened: Any) -> None:
        view = gr.HTML(
            elem_id="shelf-view",
            elem_classes=["bare"],
            js_on_load="window.duckrabbit.shelf(element, item => trigger('click', { item }));",
        )
        hidden: dict[str, Any] = {"api_visibility": "private", "show_progress": "hidden"}

        def shown() -> str:
            return show.shelf(self.shelf.items(SHOWN), self.shelf.folder.name)

        def delete(event: gr.EventData) -> str:
            try:
                self.shelf.delete(str(event.item))
            except (UserError, AttributeError):
                gr.Warning("It is not on the shelf any more.")
            return shown()

        opened.select(shown, None, view, **hidden)
        opened.select(None, None, js="() => { window.duckrabbit.address('shelf', [], []); return []; }")
        view.click(delete, None, view, **hidden)
        self.places["shelf"] = view

    def _opening(self, blocks: gr.Blocks, tabs: Any, model: Any) -> None:
        """Fill the page from its address; fit it to a model that is chosen."""
        components = [c for made in self.fields.values() for c in made.components if c is not model]
        inner = self.places["illusions"]
        hidden: dict[str, Any] = {"api_visibility": "private", "show_progress": "hidden"}

        def opening(request: gr.Request) -> list[Any]:
            query = [(str(k), str(v)) for k, v in request.query_params.multi_items()]
            make = dict(query).get("make", "")
            form = from_address(query)
            known = {card.name: card for card in self.cards}
            card = known.get(form.model if form else "", self.cards[0])
            forms = starters(card, self.samples) | ({form.kind: form} if form else {})
            tab = "shelf" if make == "shelf" else form.tab if form else "create"
            shelf = show.shelf(self.shelf.items(SHOWN), self.shelf.folder.name) if tab == "shelf" else gr.skip()
            kind = form.kind if form and form.tab == "illusions" else "anagram"
            return [
                *self._values(forms, model),
                card.name,
                gr.Tabs(selected=tab),
                gr.Tabs(selected=kind),
                shelf,
            ]

        def chosen(name: str, *shown: Any) -> list[Any]:
            return self._refitted(name, components, shown, model)

        filled = blocks.load(opening, None, [*components, model, tabs, inner, self.places["shelf"]], **hidden)
        filled.then(None, None, None, js="() => { document.documentElement.dataset.ready = 'yes'; return []; }")
        model.input(chosen, [model, *components], components, **hidden)

    def _values(self, forms: dict[str, Any], model: Any) -> list[Any]:
        values: list[Any] = []
        for kind, made in self.fields.items():
            pairs = zip(made.components, made.values(forms[kind]), strict=True)
            values += [value for component, value in pairs if component is not model]
        return values

    def _refitted(self, name: str, components: Sequence[Any], shown: Sequence[Any], model: Any) -> list[Any]:
        """A chosen model brings its own steps, scale and words; what people have typed or picked stays."""
        card = next(card for card in self.cards if card.name == name)
        fresh = self._values(starters(card, self.samples), model)
        fitted = ("guidance_scale", "steps")
        names = [n for made in self.fields.values() for n, c in zip(made.names, made.components) if c is not model]
        ours = [set(map(json.dumps, column)) for column in zip(*(self._values(starters(c, self.samples), model) for c in self.cards))]  # fmt: skip  # noqa: E501
        return [
            new if n in fitted or json.dumps(old) in defaults else gr.skip()
            for n, old, new, defaults in zip(names, shown, fresh, ours, strict=True)
        ]

    def _address(self, kind: str) -> str:
        names = json.dumps(self.fields[kind].names)
        return f"(...values) => {{ window.duckrabbit.address('{kind}', {names}, values); return []; }}"
