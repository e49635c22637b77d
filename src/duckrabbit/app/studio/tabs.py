"""The tabs' fields: what is on the left of each tab, in the order in which people need it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, fields
from html import escape
from typing import Any

import gradio as gr

from duckrabbit.app.studio.forms import FORMS, MOST_PICTURES, Form, from_plain
from duckrabbit.diffusion.solvers import SOLVERS
from duckrabbit.guidance.views import VIEWS

NONE = "none"
SOLVER_WORDS = [("the model's own", ""), *((name, name) for name in SOLVERS)]
VIEW_WORDS = [(name.replace("_", " "), name) for name in VIEWS if name != "identity"]


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
        value = getattr(self.start, name)
        return self.add(name, gr.Slider(low, high, value, step=step, label=label, buttons=[], **more))

    def picture(self, name: str, label: str, samples: Sequence[str], mask: str = "") -> None:
        """A picture to upload, paste or draw; with `mask`, to paint the part that is made anew."""
        gr.HTML(
            _pad(self.kind, name, label, samples, mask),
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

    def sampling(self, *, guided: bool = True, count: bool = True) -> None:
        """What all ways to sample share: the two that matter most, and the rest folded away."""
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
                self.text("negative_prompt", "Away from", placeholder="what it should not be")
                self.add("solver", gr.Dropdown(SOLVER_WORDS, value=self.start.solver, label="Solver"))

    def done(self) -> Fields:
        """The fields, complete."""
        names, components = zip(*self._fields, strict=True)
        return Fields(self.kind, names, components)


def create(build: Builder, samples: Sequence[str]) -> None:
    """A prompt."""
    build.text("prompt", "What is it a picture of?")
    build.sampling()


def denoise(build: Builder, samples: Sequence[str]) -> None:
    """A picture and how noisy it gets."""
    build.picture("image", "The picture", samples)
    build.slider("t", "Noise, t", 1, 990, 1)
    build.text("prompt", "What is it? (may stay empty)")
    build.sampling(guided=False, count=False)


def edit(build: Builder, samples: Sequence[str]) -> None:
    """A picture, and what to make of it."""
    build.picture("image", "The picture", samples)
    build.text("prompt", "As what should it come back? (may stay empty)")
    build.text("strength", "Strengths, from little (0.1) to all (1)")
    build.sampling()


def inpaint(build: Builder, samples: Sequence[str]) -> None:
    """A picture, its mask, and what to put there."""
    build.picture("image", "Paint over what is to be made anew", samples, mask="mask")
    build.text("prompt", "What should be there?")
    build.sampling()
    with gr.Accordion("RePaint: go back up", open=False), gr.Row(elem_classes=["pair"]):
        build.slider("jump", "Moves back", 1, 20, 1)
        build.slider("resample", "Times", 1, 10, 1)


def anagram(build: Builder, samples: Sequence[str]) -> None:
    """A prompt upright, and one for each further view."""
    prompts, views = (getattr(build.start, name) for name in ("prompts", "views"))
    build.text("prompts", "Upright it is", prompts[0] if prompts else "")
    with gr.Row(elem_classes=["pair", "wide"]):
        view = views[0] if views and views[0] in VIEWS else "rotate_180"
        build.add("views", gr.Dropdown(VIEW_WORDS, value=view, label="Through the view"))
        build.text("prompts", "it is", prompts[1] if len(prompts) > 1 else "")
    with gr.Accordion("A third view", open=False), gr.Row(elem_classes=["pair", "wide"]):
        build.add("views", gr.Dropdown([(NONE, ""), *VIEW_WORDS], value="", label="Through the view"))
        build.text("prompts", "it is", "")
    build.sampling()


def hybrid(build: Builder, samples: Sequence[str]) -> None:
    """What it is from near and from afar."""
    build.text("near", "From near it is")
    build.text("far", "From afar it is")
    with gr.Accordion("From afar, a photograph", open=False):
        build.picture("image", "Instead of the second prompt", samples)
    build.slider("sigma", "Blur that parts near from far", 0.5, 6, 0.25)
    build.sampling()


TABS: dict[str, tuple[str, str]] = {
    "create": ("Create", "A picture from nothing but noise and your words."),
    "denoise": ("Denoise", "A picture is drowned in noise. What can a blur get back, and what a network?"),
    "edit": ("Edit", "A little noise keeps much of a picture, a lot keeps little: from a sketch to something else."),
    "inpaint": ("Inpaint", "What you paint over is made anew; the rest stays, to the pixel."),
    "illusions": ("Illusions", "One picture that is two things: turned, shuffled, or seen from afar."),
}
"""Each tab's name and its one sentence."""
LAYOUTS = {f.__name__: f for f in (create, denoise, edit, inpaint, anagram, hybrid)}
VERBS = {
    "generate": "Create",
    "denoise": "Denoise",
    "edit": "Edit",
    "inpaint": "Inpaint",
    "anagram": "Make the anagram",
    "hybrid": "Make the hybrid",
}
HINTS = {
    "generate": "The picture will form here, step by step.",
    "denoise": "Choose a picture and press Denoise: noisy, blurred, in one step and step by step, side by side.",
    "edit": "Choose or draw a picture and press Edit: a filmstrip from little change to much.",
    "inpaint": "Choose a picture, paint over a part of it, and press Inpaint.",
    "anagram": "The picture will form here; click it to turn it.",
    "hybrid": "The picture will form here; move the slider to walk away from it.",
}
LAYOUT_OF = {kind: LAYOUTS["create" if kind == "generate" else kind] for kind in FORMS}


def _pad(kind: str, name: str, label: str, samples: Sequence[str], mask: str) -> str:
    """The markup of a picture field; page.js makes it work."""
    thumbs = "".join(
        f'<button type="button" class="sample" data-name="{s}" aria-label="Example picture {k + 1}">'
        f'<img src="/shelf/inputs/{s}" alt=""></button>'
        for k, s in enumerate(samples)
    )
    draw = "" if mask else '<button type="button" data-do="draw" aria-pressed="false">Draw</button>'
    colour = "" if mask else '<input type="color" value="#1d2125" aria-label="Colour" class="colour pen">'
    blank = f'width="512" height="512" role="img" aria-label="{escape(label)}: none yet"'
    over = '<canvas class="mask" width="512" height="512"></canvas>' if mask else ""
    return f"""<div class="pad" data-box="{kind}-{name}" data-mask="{f"{kind}-{mask}" if mask else ""}">
<div class="name">{escape(label)}</div>
<div class="surface"><canvas class="picture" tabindex="0" {blank}></canvas>{over}
<p class="hint">Drop, paste or upload a picture</p></div>
<div class="aside"><div class="tools">
<label class="tool">Upload<input type="file" accept="image/*" aria-label="Upload a picture"></label>
<button type="button" data-do="paste">Paste</button>{draw}
<button type="button" data-do="clear">Clear</button>
<input type="range" class="size pen" min="2" max="30" value="10" aria-label="Width of the brush">{colour}</div>
<div class="samples">{thumbs}</div></div><p class="complaint" role="alert"></p></div>"""
