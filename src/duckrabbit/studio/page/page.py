"""The page: tabs, each with its fields on the left and what comes of them on the right."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from html import escape
from typing import Any

import gradio as gr

from duckrabbit.errors import UserError
from duckrabbit.models.model import Card
from duckrabbit.studio.forms.kinds import KINDS
from duckrabbit.studio.forms.plain import from_address
from duckrabbit.studio.page import api, show
from duckrabbit.studio.page.fields import Builder, Fields, menu_of
from duckrabbit.studio.page.making import Making
from duckrabbit.studio.page.models import DigitChoice
from duckrabbit.studio.page.starters import ASKED, StartValues, choices_for, digit_starter, starters
from duckrabbit.studio.page.tabs import PANES, TABS, TRAIN
from duckrabbit.studio.queue.desks import Desks
from duckrabbit.studio.shelf.shelf import Shelf

SHOWN = 60
HIDDEN: dict[str, Any] = {"api_visibility": "private", "show_progress": "hidden"}


@dataclass
class Page:
    """The studio's page over its desks and its shelf.

    `samples` are names of pictures to begin with, `chalk` those of digits; `begin` is the first tab.
    """

    desk: Desks
    shelf: Shelf
    cards: Sequence[Card]
    digits: Sequence[DigitChoice] = ()
    samples: Sequence[str] = ()
    chalk: Sequence[str] = ()
    begin: str = "create"
    fields: dict[str, Fields] = field(default_factory=dict)
    places: dict[str, Any] = field(default_factory=dict)

    def build(self) -> gr.Blocks:
        """The page as Gradio blocks."""
        with gr.Blocks(title="duckrabbit studio", analytics_enabled=False, fill_width=False) as blocks:
            api.register(self.desk, self.shelf)
            with gr.Row(elem_classes=["masthead"]):
                gr.HTML("<h1>duckrabbit <span>studio</span></h1>", elem_classes=["bare"])
                own = {name: shown for shown, name in menu_of("model")}
                names = [(own.get(card.name, card.name), card.name) for card in self.cards]
                model = gr.Dropdown(names, value=names[0][1], label="Model", elem_id="model", min_width=150)
            with gr.Tabs(elem_id="tabs") as tabs:
                for tab, (name, words) in TABS.items():
                    with gr.Tab(name, id=tab) as opened:
                        gr.HTML(f'<p class="lead">{words}</p>', elem_classes=["bare"])
                        self._tab(tab, opened, model)
                    opened.select(None, None, js=f"() => {{ window.duckrabbit.tab('{tab}'); return []; }}")
                with gr.Tab("Shelf", id="shelf") as opened:
                    self._shelf(opened)
            self._opening(blocks, tabs, model)
        return blocks.queue(default_concurrency_limit=None, max_size=1000)

    def _tab(self, tab: str, opened: Any, model: Any) -> None:
        kinds = [kind.name for kind in KINDS.values() if kind.tab == tab]
        if tab == "digits" and not self.digits:
            gr.HTML(show.lacking(list(TRAIN.values())), elem_classes=["bare"])
        elif len(kinds) == 1:
            self._pane(kinds[0], opened, model)
        else:
            with gr.Tabs(elem_id=f"{tab}-kinds", elem_classes=["inner"]) as self.places[tab]:
                for kind in kinds:
                    with gr.Tab(PANES[kind].inner, id=kind) as inner:
                        self._pane(kind, inner, model)
            within = [self.fields[kind] for kind in kinds if kind in self.fields]
            groups = json.dumps([(made.kind, PANES[made.kind].inner, made.names) for made in within])
            js = f"(...values) => {{ window.duckrabbit.within('{tab}', {groups}, values); return []; }}"
            opened.select(None, [c for made in within for c in made.components], js=js)

    def _pane(self, kind: str, opened: Any, model: Any) -> None:
        chosen = choices_for(kind, self.digits) if kind in ASKED else []
        if kind in ASKED and not chosen:
            gr.HTML(show.lacking([TRAIN[needed] for needed in ASKED[kind]]), elem_classes=["bare"])
            return
        start = digit_starter(kind, chosen[0], self.chalk) if chosen else starters(self.cards[0], self.samples)[kind]
        with gr.Row(elem_classes=["pane"]):
            with gr.Column(scale=2, min_width=300, elem_classes=["asked"]):
                if chosen:
                    model = gr.Dropdown([(c.label, c.model) for c in chosen], value=chosen[0].model, label="Model")
                build = Builder(kind, start, model)
                PANES[kind].layout(build, self.chalk if chosen else self.samples)
                with gr.Row(elem_classes=["act"]):
                    run = gr.Button(PANES[kind].verb, variant="primary", elem_id=f"{kind}-run")
                    stop = gr.Button("Cancel", elem_id=f"{kind}-stop", interactive=False, min_width=90)
                    if KINDS[kind].live:
                        live = gr.Button("Live", elem_id=f"live-{kind}-{KINDS[kind].live}", elem_classes=["tucked"])
            with gr.Column(scale=3, min_width=300, elem_classes=["shown"]):
                view = gr.HTML(show.EMPTY.format(PANES[kind].hint), elem_id=f"{kind}-view", elem_classes=["bare"])
        self.fields[kind] = made = build.done()
        js = self._address(kind)
        opened.select(None, made.components, js=js)
        for component in made.components:
            component.input(None, made.components, js=js)
        run.click(None, made.components, js=js)
        making = Making(self.desk, self.shelf, made)
        run.click(making.make, [*made.components], [view, run, stop], concurrency_limit=None, **HIDDEN)
        stop.click(making.stop, None, None, **HIDDEN)
        if KINDS[kind].live:
            live.click(
                making.make, [*made.components], [view, run, stop],
                concurrency_limit=None, trigger_mode="multiple", **HIDDEN,
            )  # fmt: skip
        if chosen:
            self._fit_digits(kind, model, made, chosen)

    def _fit_digits(self, kind: str, model: Any, made: Fields, chosen: Sequence[DigitChoice]) -> None:
        """A chosen model of digits brings its own steps and scale, and the digits that it knows."""
        names = ("guidance_scale", "steps", "prompts") if kind != "digit_anagram" else ("guidance_scale", "steps")
        fitted = [k for k, name in enumerate(made.names) if name in names]

        def fit(name: str) -> Any:
            start = digit_starter(kind, next(c for c in chosen if c.model == name), self.chalk)
            values = [made.values(start)[k] for k in fitted]
            return values[0] if len(values) == 1 else values

        if fitted:
            model.input(fit, [model], [made.components[k] for k in fitted], **HIDDEN)

    def _shelf(self, opened: Any) -> None:
        view = gr.HTML(
            elem_id="shelf-view",
            elem_classes=["bare"],
            js_on_load="window.duckrabbit.shelf(element, item => trigger('click', { item }));",
        )

        def shown() -> str:
            return show.shelf(self.shelf.items(SHOWN), self.shelf.folder.name)

        def delete(event: gr.EventData) -> str:
            try:
                self.shelf.delete(str(getattr(event, "item", "")))
            except UserError as error:
                gr.Warning(escape(str(error)))
            return shown()

        opened.select(shown, None, view, **HIDDEN)
        opened.select(
            None,
            None,
            js="() => { window.duckrabbit.tab('shelf'); window.duckrabbit.address('shelf', [], []); return []; }",
        )
        view.click(delete, None, view, **HIDDEN)
        self.places["shelf"] = view

    def _opening(self, blocks: gr.Blocks, tabs: Any, model: Any) -> None:
        """Fill the page from its address; fit it to a model that is chosen."""
        components = [c for made in self.fields.values() for c in made.components if c is not model]
        inner = {tab: place for tab, place in self.places.items() if tab != "shelf"}
        known = {card.name: card for card in self.cards}

        def opening(request: gr.Request) -> list[Any]:
            query = [(str(k), str(v)) for k, v in request.query_params.multi_items()]
            make = dict(query).get("make", "")
            card = known.get(dict(query).get("model", ""), self.cards[0])
            begins, asked = self._begins(card), from_address(query)
            kind = asked[0] if asked else ""
            if asked and kind in begins:
                begins[kind] |= asked[1]
            tab = "shelf" if make == "shelf" else KINDS[kind].tab if kind else self.begin
            shelf = show.shelf(self.shelf.items(SHOWN), self.shelf.folder.name) if tab == "shelf" else gr.skip()
            return [
                *self._values(begins, model),
                card.name,
                gr.Tabs(selected=tab),
                *(gr.Tabs(selected=kind) if kind and KINDS[kind].tab == each else gr.skip() for each in inner),
                shelf,
            ]

        def chosen(name: str, *shown: Any) -> list[Any]:
            return self._refitted(known[name], shown, model)

        outputs = [*components, model, tabs, *inner.values(), self.places["shelf"]]
        places = json.dumps({"": self.begin, "shelf": "shelf"} | {kind.name: kind.tab for kind in KINDS.values()})
        filled = blocks.load(opening, None, outputs, **HIDDEN)
        filled.then(None, None, None, js=f"() => {{ window.duckrabbit.ready({places}); return []; }}")
        model.input(chosen, [model, *components], components, **HIDDEN)

    def _begins(self, card: Card) -> dict[str, StartValues]:
        """What every kind begins with."""
        kinds = [kind for kind in self.fields if kind in ASKED]
        digits = {kind: digit_starter(kind, choices_for(kind, self.digits)[0], self.chalk) for kind in kinds}
        return starters(card, self.samples) | digits

    def _values(self, begins: dict[str, StartValues], model: Any) -> list[Any]:
        values: list[Any] = []
        for kind, made in self.fields.items():
            pairs = zip(made.components, made.values(begins[kind]), strict=True)
            values += [value for component, value in pairs if component is not model]
        return values

    def _refitted(self, card: Card, shown: Sequence[Any], model: Any) -> list[Any]:
        """A chosen model brings its own steps, scale and words; what people have typed or picked stays."""
        fresh = self._values(self._begins(card), model)
        every = [self._values(self._begins(each), model) for each in self.cards]
        ours = [set(map(json.dumps, column)) for column in zip(*every, strict=True)]
        names = [
            (kind, name)
            for kind, made in self.fields.items()
            for name, component in zip(made.names, made.components, strict=True)
            if component is not model
        ]
        return [
            gr.skip()
            if kind in ASKED or not (name in ("guidance_scale", "steps") or json.dumps(old) in defaults)
            else new
            for (kind, name), old, new, defaults in zip(names, shown, fresh, ours, strict=True)
        ]

    def _address(self, kind: str) -> str:
        names = json.dumps(self.fields[kind].names)
        return f"(...values) => {{ window.duckrabbit.address('{kind}', {names}, values); return []; }}"
