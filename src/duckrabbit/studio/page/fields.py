"""Fields on the page, and how they fill a form."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import MISSING, dataclass
from typing import Any

import gradio as gr

from duckrabbit.registry import known
from duckrabbit.studio.forms.kinds import KINDS, MOST_PICTURES, Form
from duckrabbit.studio.forms.plain import form_of, settings_of
from duckrabbit.studio.page.pad import pad
from duckrabbit.studio.shelf.own import spoken
from duckrabbit.tasks.spelling import Field, word

NONE = "none"
NO_FIELDS = {"negative_prompt", "animate", "print", "judge", "start", "box"}
"""Options that the page asks for in another way, or not at all."""
OF_STAGE_2 = {"stage", "steps_stage2", "guidance_scale_stage2", "noise_level"}


def menu_of(kind: str) -> list[tuple[str, str]]:
    """What is named of a kind, the owner's own too: each as it is shown, and its name."""
    return [(spoken(name), name) for name in known(kind)]


@dataclass(frozen=True)
class Fields:
    """The fields of a form on the page: each component and the setting it fills.

    A setting of several texts may have several components, in their order, and each of them several
    lines; what is empty counts for none.
    """

    kind: str
    names: tuple[str, ...]
    components: tuple[Any, ...]

    def form(self, values: Sequence[Any]) -> Form:
        """What the page holds, as a form. Raises UserError for values that are none."""
        plain: dict[str, Any] = {}
        texts = self._texts()
        for name, value in zip(self.names, values, strict=True):
            if name in texts:
                lines = [line for line in str(value or "").split("\n") if line and value != NONE]
                plain[name] = [*plain.get(name, []), *lines]
            else:
                plain[name] = value
        if not any(plain.get(name) for name in ("negative_prompt", "guidance")) and plain.get("prompts", True) == []:
            plain.pop("guidance_scale", None)  # a slider always says something; nothing is there to be guided to
        return form_of(self.kind, plain)

    def values(self, settings: Mapping[str, Any]) -> list[Any]:
        """What each component shows of such settings."""
        left = {name: list(settings.get(name) or []) for name in self._texts()}
        shown: list[Any] = []
        for k, (name, component) in enumerate(zip(self.names, self.components, strict=True)):
            value = settings.get(name, _default(self.kind, name))
            if name in left:
                last = name not in self.names[k + 1 :]
                value = "\n".join(left[name]) if last else left[name].pop(0) if left[name] else ""
            shown.append(_fitting(component, value))
        return shown

    def _texts(self) -> set[str]:
        return {f.name for f in settings_of(self.kind) if f.one_by_one}


def _default(kind: str, name: str) -> Any:
    default = next(f.default for f in settings_of(kind) if f.name == name)
    return None if default is MISSING else default


def _fitting(component: Any, value: Any) -> Any:
    """`value` where the component can show it, else its first choice."""
    choices = getattr(component, "choices", None)
    if isinstance(component, gr.Slider):
        number = (value[0] if value else 0) if isinstance(value, list | tuple) else value or 0
        return min(max(number, component.minimum), component.maximum)
    if isinstance(value, list | tuple):
        value = word(value)
    if choices is None:
        return "" if value is None and isinstance(component, gr.Textbox) else value
    known = [choice[1] for choice in choices]
    return value if value in known else known[0]


def _component(f: Field) -> Any:
    """A field of the page for any option, by its type; empty where the option is not given."""
    label, unsaid = f.option.label or f.name.replace("_", " ").capitalize(), ("as usual", "")
    if f.kind is bool:
        return gr.Checkbox(label=label)
    if f.option.names and not f.several:
        return gr.Dropdown([unsaid, *menu_of(f.option.names)], label=label)
    if f.choices and not f.several:
        return gr.Dropdown([unsaid if f.default is None else (str(f.default), ""), *f.choices], label=label)
    return gr.Textbox(label=label, placeholder=f.option.help, max_lines=1)


class Builder:
    """Collects the fields of a form while its tab is laid out."""

    def __init__(self, kind: str, start: Mapping[str, Any], model: Any) -> None:
        self.kind, self._known = kind, {f.name: f for f in settings_of(kind)}
        self.start = {name: _default(kind, name) for name in self._known} | dict(start)
        self._fields: list[tuple[str, Any]] = [("model" if "model" in self._known else "models", model)]

    def add(self, name: str, component: Any) -> Any:
        """Note that `component` fills the setting `name`."""
        self._fields.append((name, component))
        return component

    def _first(self, name: str, component: Any) -> Any:
        """The component, showing what the form begins with."""
        component.value = Fields(self.kind, (name,), (component,)).values(self.start)[0]
        return self.add(name, component)

    def text(self, name: str, label: str, value: str | None = None, **more: Any) -> Any:
        """A line of text."""
        box = gr.Textbox(value, label=label, max_lines=2, lines=1, **more)
        return self._first(name, box) if value is None else self.add(name, box)

    def slider(self, name: str, label: str, low: float, high: float, step: float, **more: Any) -> Any:
        """A number in a range."""
        kind = f"{self.kind}-{name}"
        return self._first(name, gr.Slider(low, high, low, step=step, label=label, buttons=[], elem_id=kind, **more))

    def check(self, name: str, label: str) -> Any:
        """Yes or no."""
        return self._first(name, gr.Checkbox(label=label))

    def choice(self, name: str, label: str, choices: Sequence[Any], value: str | None = None) -> Any:
        """One of several."""
        menu = gr.Dropdown(list(choices), value=value, label=label)
        return self._first(name, menu) if value is None else self.add(name, menu)

    def picture(self, name: str, label: str, samples: Sequence[str], mask: str = "") -> None:
        """A picture to upload, paste or draw; with `mask`, to paint the part that is made anew."""
        gr.HTML(
            pad(self.kind, name, label, samples, mask, chalk=KINDS[self.kind].of_digits),
            js_on_load="window.duckrabbit.pad(element)",
            elem_classes=["bare"],
        )
        for setting in filter(None, (name, mask)):
            self._box(setting)

    def _box(self, name: str) -> None:
        box = gr.Textbox(
            self.start.get(name) or "", show_label=False, elem_id=f"{self.kind}-{name}", elem_classes=["tucked"]
        )
        box.change(None, [box], js=f"v => {{ window.duckrabbit.show('{self.kind}-{name}', v); return []; }}")
        self.add(name, box)

    def sampling(
        self, *, guided: bool = True, count: bool = True, words: bool = True, later: Collection[str] = ()
    ) -> None:
        """What all ways to sample share: what matters most, and every other option of the request folded away.

        With `words`, there is a prompt to be guided away from; what comes `later` on the page is left out here.
        """
        if guided:
            with gr.Row(elem_classes=["pair"]):
                self.slider("guidance_scale", "Guidance scale", 1, 15, 0.5)
                self.slider("steps", "Steps", 1, 500, 1)
        with gr.Row(elem_classes=["pair"]):
            self.add("seed", gr.Number(self.start["seed"], label="Seed", precision=0, minimum=0))
            if count:
                self.slider("count", "Pictures", 1, MOST_PICTURES, 1)
        if guided:
            with gr.Accordion("More", open=False):
                if words:
                    self.text("negative_prompt", "Away from", placeholder="what it should not be")
                self.choice("solver", "Solver", [("the model's own", ""), *menu_of("solver")])
                self._rest(later)

    def _rest(self, later: Collection[str]) -> None:
        """A field for every option of the request that has none yet, so that a new one is here at once.

        Where nothing is there that it could name, it is left out.
        """
        idle = {*OF_STAGE_2, "size"} if KINDS[self.kind].of_digits else set()
        placed = {name for name, _ in self._fields} | NO_FIELDS | idle | {*later}
        named = {f.name for f in self._known.values() if not f.option.names or known(f.option.names)}
        left = [f for f in self._known.values() if f.name in named - placed]
        for k in range(0, len(left), 2):
            with gr.Row(elem_classes=["pair"]):
                for f in left[k : k + 2]:
                    self._first(f.name, _component(f))

    def done(self) -> Fields:
        """The fields, complete."""
        names, components = zip(*self._fields, strict=True)
        return Fields(self.kind, names, components)
