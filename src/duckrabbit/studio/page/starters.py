"""What the tabs hold when the page is opened: the roles on the model's card."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, cast

from duckrabbit.models.model import Card
from duckrabbit.studio.forms.kinds import DIGITS
from duckrabbit.studio.page.models import DigitChoice

ASKED: dict[str, tuple[str, ...]] = {
    "digits": ("class", "time"),
    "one_step": ("none",),
    "from_t": ("class", "time"),
    "digit_anagram": ("class",),
    "curves": ("class", "time", "none"),
}
"""What a model of digits has to be told for each kind of form, the best first."""


StartValues = dict[str, Any]
"""What the fields of a form are filled with, by their names; not always enough to run it."""


def starters(card: Card, samples: Sequence[str] = ()) -> dict[str, StartValues]:
    """What each kind of form begins with for a text-to-image model; `samples` are pictures to begin with."""
    picture = samples[0] if samples else None
    shared: StartValues = {
        "model": card.name,
        "guidance_scale": card.guidance_scale,
        "steps": card.steps[0] if card.steps else 30,
    }
    prompts = _many(card, "generate", ("a photo of a duck",))
    target = str(card.roles.get("translate_prompt", prompts[0]))
    pair = cast("Mapping[str, Any]", _many(card, "anagrams", ({"view": "rotate_180", "prompts": ["", ""]},))[-1])
    two = cast("Mapping[str, Any]", _many(card, "hybrids", ({"low": "", "high": ""},))[0])
    there = cast("Mapping[str, Any]", _many(card, "inpaints", ({"prompt": target},))[0])
    return {
        "generate": {"prompts": [str(prompts[0])], **shared},
        "denoise": {"image": picture, "model": card.name, "t": 500},
        "edit": {
            "image": samples[1] if len(samples) > 1 else picture, "prompts": [target],
            "strength": [0.3, 0.45, 0.6, 0.75, 0.9], **shared,
        },
        "inpaint": {"image": picture, "prompts": [str(there.get("prompt", ""))], **shared},
        "anagram": {"prompts": [*pair["prompts"]], "views": [str(pair["view"])], **shared, **_seed(pair)},
        "hybrid": {"high": str(two["high"]), "low": str(two["low"]), **shared, **_seed(two)},
        "factorized": {"family": "colour", "prompts": [str(two["high"]), str(two["low"])], **shared, **_seed(two)},
    }  # fmt: skip


def choices_for(kind: str, choices: Sequence[DigitChoice]) -> list[DigitChoice]:
    """The models of digits that can fill a kind of form, the best first."""
    return [c for needed in ASKED[kind] for c in choices if c.conditioning == needed and (c.last or kind != "from_t")]


def digit_starter(kind: str, choice: DigitChoice, samples: Sequence[str]) -> StartValues:
    """What a kind of form of the Digits tab begins with for a model."""
    picture = samples[0] if samples else None
    shared: StartValues = {"model": choice.model, "guidance_scale": choice.guidance_scale, "steps": choice.steps}
    known = choice.conditioning == "class"
    begins: dict[str, StartValues] = {
        "digits": {"prompts": [*DIGITS] if known else [], "count": 2 if known else 12, **shared},
        "one_step": {"image": picture, "sigma": choice.sigma, "model": choice.model},
        "from_t": {"image": picture, "t": choice.last // 2 or 1, "steps": choice.steps, "model": choice.model},
        "digit_anagram": {
            "prompts": ["6", "9"], "views": ["rotate_180"], "count": 4,
            **shared, "guidance_scale": max(4.0, choice.guidance_scale),
        },
        "curves": {"models": [choice.model]},
    }  # fmt: skip
    return begins[kind]


def _many(card: Card, role: str, default: Sequence[Any]) -> Sequence[Any]:
    return cast("Sequence[Any]", card.roles.get(role) or default)


def _seed(pair: Mapping[str, Any]) -> dict[str, Any]:
    return {"seed": int(pair["seed"])} if "seed" in pair else {}
