"""The tabs: what is on the left of each, in the order in which people need it, and its words."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import NamedTuple

import gradio as gr

from duckrabbit.guidance.views.shipped import VIEWS
from duckrabbit.studio.forms.kinds import DIGITS
from duckrabbit.studio.page.fields import NONE, Builder, menu_of


def view_menu() -> list[tuple[str, str]]:
    """The views that change something."""
    return [(shown, name) for shown, name in menu_of("view") if name != "identity"]


def create(build: Builder, samples: Sequence[str]) -> None:
    """A prompt."""
    build.text("prompts", "What is it a picture of?")
    build.sampling()


def denoise(build: Builder, samples: Sequence[str]) -> None:
    """A picture and how noisy it gets."""
    build.picture("image", "The picture", samples)
    build.slider("t", "Noise, t", 1, 990, 1)
    build.text("prompts", "What is it? (may stay empty)")
    build.sampling(guided=False, count=False)


def edit(build: Builder, samples: Sequence[str]) -> None:
    """A picture, and what to make of it."""
    build.picture("image", "The picture", samples)
    build.text("prompts", "As what should it come back? (may stay empty)")
    build.text("strength", "Strengths, from little (0.1) to all (1)")
    build.sampling()


def inpaint(build: Builder, samples: Sequence[str]) -> None:
    """A picture, its mask, and what to put there."""
    build.picture("image", "Paint over what is to be made anew", samples, mask="mask")
    build.check("invert", "The other way round: keep what is painted, make the rest anew")
    build.text("prompts", "What should be there?")
    build.sampling(later=("jump", "resample"))
    with gr.Accordion("RePaint: go back up", open=False), gr.Row(elem_classes=["pair"]):
        build.slider("jump", "Moves back", 1, 20, 1)
        build.slider("resample", "Times", 1, 10, 1)


def anagram(build: Builder, samples: Sequence[str]) -> None:
    """A prompt upright, and one for each further view."""
    prompts, views = ((build.start.get(name) or []) for name in ("prompts", "views"))
    build.text("prompts", "Upright it is", prompts[0] if prompts else "")
    with gr.Row(elem_classes=["pair", "wide"]):
        view = views[0] if views and views[0] in VIEWS else "rotate_180"
        build.add("views", gr.Dropdown(view_menu(), value=view, label="Through the view"))
        build.text("prompts", "it is", prompts[1] if len(prompts) > 1 else "")
    with gr.Accordion("A third view", open=False), gr.Row(elem_classes=["pair", "wide"]):
        build.add("views", gr.Dropdown([(NONE, ""), *view_menu()], value="", label="Through the view"))
        build.text("prompts", "it is", "")
    build.sampling()


def hybrid(build: Builder, samples: Sequence[str]) -> None:
    """What it is from near and from afar."""
    build.text("high", "From near it is")
    build.text("low", "From afar it is")
    with gr.Accordion("From afar, a photograph", open=False):
        build.picture("image", "Instead of the second prompt", samples)
    build.slider("sigma", "Blur that parts near from far", 0.5, 6, 0.25)
    build.sampling(later=("prompts", "family", "keep", "weights"))


def factorized(build: Builder, samples: Sequence[str]) -> None:
    """How the picture is parted, and what each component is, in its order."""
    build.choice("family", "The picture is parted", FAMILIES)
    prompts = [*(build.start.get("prompts") or []), "", "", ""]
    for label, prompt in zip(("At a plain look it is", "At the second look it is", "At the third"), prompts):
        build.text("prompts", label, prompt)
    with gr.Accordion("One component of a photograph", open=False):
        build.picture("image", "Instead of the last prompt, or of the one for what stays", samples)
        build.choice("keep", "What stays of it", [("the last component", ""), *KEPT])
    build.sampling(later=("high", "low", "filter", "sigma"))


def digits(build: Builder, samples: Sequence[str]) -> None:
    """Which digit, and how many."""
    build.choice("prompts", "Which digit?", (("0 to 9", "\n".join(DIGITS)), ("any", ""), *DIGITS))
    build.sampling(words=False)


def one_step(build: Builder, samples: Sequence[str]) -> None:
    """A digit and how noisy it gets."""
    build.picture("image", "Draw a digit", samples)
    build.slider("sigma", "Noise, sigma", 0.05, 2, 0.05)
    build.sampling(guided=False, count=False)


def from_t(build: Builder, samples: Sequence[str]) -> None:
    """A digit, how far it goes towards noise, and how it comes back."""
    build.picture("image", "Draw a digit", samples)
    build.slider("t", "Noise, t", 1, 298, 1)
    with gr.Row(elem_classes=["pair"]):
        build.choice("prompts", "The network is told", (("nothing", ""), *DIGITS))
        build.slider("steps", "Steps", 1, 300, 1)
    build.sampling(guided=False, count=False)


def digit_anagram(build: Builder, samples: Sequence[str]) -> None:
    """Two digits and the view between them."""
    with gr.Row(elem_classes=["pair"]):
        first, second = build.start["prompts"]
        build.choice("prompts", "Upright it is", DIGITS, first)
        build.choice("prompts", "and then", DIGITS, second)
    build.choice("views", "through the view", view_menu())
    build.sampling(words=False)


def curves(build: Builder, samples: Sequence[str]) -> None:
    """Nothing but the model."""


FAMILIES = (
    ("by colour: in colour, in grey", "colour"),
    ("by distance, in three: near, half way, far", "triple"),
    ("by motion: still, shaken", "motion"),
    ("not at all: all prompts at once", "composed"),
)
KEPT = ("high", "medium", "low", "colour", "grey", "rest", "motion")
TABS: dict[str, tuple[str, str]] = {
    "create": ("Create", "A picture from nothing but noise and your words."),
    "denoise": ("Denoise", "A picture is drowned in noise. What can a blur get back, and what a network?"),
    "edit": ("Edit", "A little noise keeps much of a picture, a lot keeps little: from a sketch to something else."),
    "inpaint": ("Inpaint", "What you paint over is made anew; the rest stays, to the pixel."),
    "illusions": ("Illusions", "One picture that is two things: turned, shuffled, or seen from afar."),
    "digits": ("Digits", "Small models that were trained here from scratch, on handwritten digits."),
}
"""Each tab's name and its one sentence."""


class Pane(NamedTuple):
    """What is on the left of a kind of form, the words of its button, and what is told before anything is made.

    `inner`: its name among the tabs within a tab.
    """

    layout: Callable[[Builder, Sequence[str]], None]
    verb: str
    hint: str
    inner: str = ""


PANES = {
    "generate": Pane(create, "Create", "The picture will form here, step by step."),
    "denoise": Pane(
        denoise,
        "Denoise",
        "Choose a picture and press Denoise: noisy, blurred, in one step and step by step, side by side.",
    ),
    "edit": Pane(edit, "Edit", "Choose or draw a picture and press Edit: a filmstrip from little change to much."),
    "inpaint": Pane(inpaint, "Inpaint", "Choose a picture, paint over a part of it, and press Inpaint."),
    "anagram": Pane(anagram, "Make the anagram", "The picture will form here; click it to turn it.", "Anagram"),
    "hybrid": Pane(
        hybrid, "Make the hybrid", "The picture will form here; move the slider to walk away from it.", "Hybrid"
    ),
    "factorized": Pane(
        factorized, "Make it", "The picture will form here; move the slider to look at it in the other way.", "Families"
    ),
    "digits": Pane(digits, "Sample", "Digits will form here, out of noise.", "Sample"),
    "one_step": Pane(
        one_step,
        "Denoise",
        "Draw a digit and let go of the slider: noisy, blurred, and in one step of a network.",
        "One step",
    ),
    "from_t": Pane(
        from_t,
        "Denoise",
        "Draw a digit and let go of the slider: noisy, in one step, and step by step.",
        "Step by step",
    ),
    "digit_anagram": Pane(digit_anagram, "Make the anagram", "A digit will form here; click it to turn it.", "Turned"),
    "curves": Pane(curves, "Draw the curves", "How the loss fell, step by step.", "Training"),
}
"""What is there for each kind of form."""
TRAIN = {"none": "duckrabbit train denoiser", "time": "duckrabbit train time", "class": "duckrabbit train class"}
"""How a model of digits is made that is told so much."""
