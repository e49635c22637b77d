"""What the tabs hold when the page is opened: the roles on the model's card."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, cast

from duckrabbit.models.model import Card
from duckrabbit.studio.forms.digits import ALL, ANY, Curves, DigitAnagram, Digits, FromT, OneStep
from duckrabbit.studio.forms.drawings import Anagram, Create, Denoise, Edit, Form, Hybrid, Inpaint
from duckrabbit.studio.page.models import DigitChoice

ASKED: dict[str, tuple[str, ...]] = {
    "digits": ("class", "time"),
    "one_step": ("none",),
    "from_t": ("class", "time"),
    "digit_anagram": ("class",),
    "curves": ("class", "time", "none"),
}
"""What a model of digits has to be told for each kind of form, the best first."""


def starters(card: Card, samples: Sequence[str] = ()) -> dict[str, Form]:
    """A form for each kind of a text-to-image model, ready to be run; `samples` are pictures to begin with."""
    picture = samples[0] if samples else ""
    shared: dict[str, Any] = {
        "model": card.name,
        "guidance_scale": card.guidance_scale,
        "steps": card.steps[0] if card.steps else 30,
    }
    prompts = _many(card, "generate", ("a photo of a duck",))
    target = str(card.roles.get("translate_prompt", prompts[0]))
    pair = cast("Mapping[str, Any]", _many(card, "anagrams", ({"view": "rotate_180", "prompts": ["", ""]},))[-1])
    two = cast("Mapping[str, Any]", _many(card, "hybrids", ({"low": "", "high": ""},))[0])
    there = cast("Mapping[str, Any]", _many(card, "inpaints", ({"prompt": target},))[0])
    forms: tuple[Form, ...] = (
        Create(prompt=str(prompts[0]), **shared),
        Denoise(image=picture, model=card.name),
        Edit(image=samples[1] if len(samples) > 1 else picture, prompt=target, **shared),
        Inpaint(image=picture, prompt=str(there.get("prompt", "")), **shared),
        Anagram(prompts=tuple(pair["prompts"]), views=(str(pair["view"]),), **shared, **_seed(pair)),
        Hybrid(near=str(two["high"]), far=str(two["low"]), **shared, **_seed(two)),
    )
    return {form.kind: form for form in forms}


def choices_for(kind: str, choices: Sequence[DigitChoice]) -> list[DigitChoice]:
    """The models of digits that can fill a kind of form, the best first."""
    return [c for told in ASKED[kind] for c in choices if c.told == told and (c.last or kind != "from_t")]


def digit_starter(kind: str, choice: DigitChoice, samples: Sequence[str]) -> Form:
    """The form of a kind of the Digits tab, ready to be run with a model."""
    picture = samples[0] if samples else ""
    shared: dict[str, Any] = {"model": choice.model, "guidance_scale": choice.guidance_scale, "steps": choice.steps}
    known = choice.told == "class"
    forms: dict[str, Form] = {
        "digits": Digits(digit=ALL if known else ANY, count=2 if known else 12, **shared),
        "one_step": OneStep(image=picture, sigma=choice.sigma, model=choice.model),
        "from_t": FromT(image=picture, t=choice.last // 2 or 1, steps=choice.steps, model=choice.model),
        "digit_anagram": DigitAnagram(**{**shared, "guidance_scale": max(4.0, choice.guidance_scale)}),
        "curves": Curves(model=choice.model),
    }
    return forms[kind]


def _many(card: Card, role: str, default: Sequence[Any]) -> Sequence[Any]:
    return cast("Sequence[Any]", card.roles.get(role) or default)


def _seed(pair: Mapping[str, Any]) -> dict[str, Any]:
    return {"seed": int(pair["seed"])} if "seed" in pair else {}
