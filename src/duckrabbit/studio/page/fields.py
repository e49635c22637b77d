"""Fields on the page, and how they fill a form."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, fields
from typing import Any

import gradio as gr

from duckrabbit.diffusion.solvers import SOLVERS
from duckrabbit.studio.forms.drawings import MOST_PICTURES, Form
from duckrabbit.studio.forms.plain import FORMS, from_plain
from duckrabbit.studio.page.pad import pad

NONE = "none"
SOLVER_WORDS = [("the model's own", ""), *((name, name) for name in SOLVERS)]


@dataclass(frozen=True)
class Fields:
    """The fields of a form on the page: each component and the setting it fills.

    A setting of several values has several components, in their order; an empty one counts for none.
    """

    kind: str
    names: tuple[str, ...]
    components: tuple[Any, ...]

    def form(self, values: Sequence[Any]) -> Form:
        """What the page holds, as a form. Raises UserError for values that are none."""
        repeated = {name for name, count in Counter(self.names).items() if count > 1}
        plain: dict[str, Any] = {name: [] for name in repeated}
        for name, value in zip(self.names, values, strict=True):
            if name not in repeated:
                plain[name] = value
            elif value not in ("", None, NONE):
                plain[name].append(value)
        return from_plain(self.kind, plain)

    def values(self, form: Form) -> list[Any]:
        """What each component shows of a form."""
        left: dict[str, list[Any]] = {
            f.name: list(v) for f in fields(form) if isinstance(v := getattr(form, f.name), tuple)
        }
        shown: list[Any] = []
        for name, component in zip(self.names, self.components, strict=True):
            value = getattr(form, name)
            if name in left:
                value = left[name].pop(0) if left[name] else ""
            shown.append(_fitting(component, value))
        return shown


def _fitting(component: Any, value: Any) -> Any:
    """`value` where the component can show it, else its first choice."""
    choices = getattr(component, "choices", None)
    if choices is None and isinstance(component, gr.Slider):
        return min(max(value or 0, component.minimum), component.maximum)
    if choices is None:
        return value
    known = [choice[1] for choice in choices]
    return value if value in known else known[0]


class Builder:
    """Collects the fields of a form while its tab is laid out."""

    def __init__(self, start: Form, model: Any) -> None:
        self.start, self.kind = start, start.kind
        self._fields: list[tuple[str, Any]] = [("model", model)]

    def add(self, name: str, component: Any) -> Any:
        """Note that `component` fills the setting `name`."""
        self._fields.append((name, component))
        return component

    def text(self, name: str, label: str, value: str | None = None, **more: Any) -> Any:
        """A line of text."""
        shown = getattr(self.start, name) if value is None else value
        return self.add(name, gr.Textbox(shown, label=label, max_lines=2, lines=1, **more))

    def slider(self, name: str, label: str, low: float, high: float, step: float, **more: Any) -> Any:
        """A number in a range."""
        value, kind = getattr(self.start, name), f"{self.kind}-{name}"
        return self.add(name, gr.Slider(low, high, value, step=step, label=label, buttons=[], elem_id=kind, **more))

    def check(self, name: str, label: str) -> Any:
        """Yes or no."""
        return self.add(name, gr.Checkbox(getattr(self.start, name), label=label))

    def choice(self, name: str, label: str, choices: Sequence[Any]) -> Any:
        """One of several."""
        return self.add(name, gr.Dropdown(list(choices), value=getattr(self.start, name), label=label))

    def picture(self, name: str, label: str, samples: Sequence[str], mask: str = "") -> None:
        """A picture to upload, paste or draw; with `mask`, to paint the part that is made anew."""
        gr.HTML(
            pad(self.kind, name, label, samples, mask, chalk=FORMS[self.kind].tab == "digits"),
            js_on_load="window.duckrabbit.pad(element)",
            elem_classes=["bare"],
        )
        for setting in filter(None, (name, mask)):
            self._box(setting)

    def _box(self, name: str) -> None:
        box = gr.Textbox(
            getattr(self.start, name), show_label=False, elem_id=f"{self.kind}-{name}", elem_classes=["tucked"]
        )
        box.change(None, [box], js=f"v => {{ window.duckrabbit.show('{self.kind}-{name}', v); return []; }}")
        self.add(name, box)

    def sampling(self, *, guided: bool = True, count: bool = True, words: bool = True) -> None:
        """What all ways to sample share: the two that matter most, and the rest folded away.

        With `words`, there is a prompt to be guided away from.
        """
        if guided:
            with gr.Row(elem_classes=["pair"]):
                self.slider("guidance_scale", "Guidance scale", 1, 15, 0.5)
                self.slider("steps", "Steps", 1, 500, 1)
        with gr.Row(elem_classes=["pair"]):
            self.add("seed", gr.Number(self.start.seed, label="Seed", precision=0, minimum=0))
            if count:
                self.slider("count", "Pictures", 1, MOST_PICTURES, 1)
        if guided:
            with gr.Accordion("More", open=False):
                if words:
                    self.text("negative_prompt", "Away from", placeholder="what it should not be")
                self.add("solver", gr.Dropdown(SOLVER_WORDS, value=self.start.solver, label="Solver"))

    def done(self) -> Fields:
        """The fields, complete."""
        names, components = zip(*self._fields, strict=True)
        return Fields(self.kind, names, components)
