"""The pages of Berkeley's CS180, project 5 (2024, 2025) and 3 (2026): what each asks for, by its number.

Part A of a year is made by requests with its preset; what the preset stands for is in tasks/courses.py. Sources: the
pages hw/proj5/parta and partb of fall 2024, their edition of fall 2025 (part B by flow matching), and
hw/proj3-flow/parta and partb of fall 2026.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, cast

from duckrabbit.gallery.experiments import (
    ANAGRAM,
    ANAGRAMS,
    CFG,
    FORWARD,
    GENERATE,
    HYBRID,
    HYBRIDS,
    INPAINT,
    INPAINTS,
    ONE_STEP,
    STRIDED,
    TARGET,
    Experiment,
)
from duckrabbit.models.cards import DEFAULT, card
from duckrabbit.models.model import Card
from duckrabbit.tasks.courses import COURSES

YEARS = ("cs180-2024", "cs180-2025", "cs180-2026")

_CHAIN = {
    "A 0": "three prompts, each with two numbers of steps or more",
    "A 1.1": "a picture noised to t = 250, 500, 750",
    "A 1.2": "the best Gaussian blur of each",
    "A 1.3": "the estimate in one step",
    "A 1.4": "step by step from start index 10 (t = 690), every fifth state, beside blur and one step",
    "A 1.5": "five samples, without guidance",
    "A 1.6": "five samples with guidance, scale 7",
    "A 1.7": "SDEdit of the test picture and two others, from start indices 1, 3, 5, 7, 10, 20",
    "A 1.7.1": "the same of a picture from the web and two drawn by hand",
    "A 1.7.2": "inpainting, three pictures",
    "A 1.7.3": "SDEdit towards a prompt, three pictures",
    "A 1.8": "visual anagrams",
    "A 1.9": "hybrid images",
}
_FLOW = {
    "A 1.1": "a picture noised to the page's t = .25, .5, .75, with one noise",
    "A 1.2": "the best Gaussian blur of x / t",
    "A 1.3": "the estimate in one step",
    "A 1.4": "the velocity as a picture: predicted and true update, and a map of the error",
    "A 1.5": "Euler's rule from t = .5, 25 updates of .02, every fifth shown, beside blur and one step",
    "A 1.6": "five samples, without guidance",
    "A 2.1": "the same five noises with guidance, w = 7, which is scale 8",
    "A 3.1": "SDEdit from .02, .04, .06, .10, .14, .25, .5: the test picture, two others, one of the web, two drawn",
    "A 3.2": "SDEdit towards a prompt from the same times, three pictures",
    "A 3.3": "two visual anagrams, turned by 180 degrees",
    "A 3.4": "two hybrid images",
}
_MORE = {"A 280A": "two further transforms for anagrams, and a logo"}
_B = {
    "B 1.1": "the U-Net (networks/unet_28.py), D = 128",
    "B 1.2": "digits with noise of sigma 0 to 1",
    "B 1.2.1": "a denoiser: its loss, and what it makes of digits after epochs 1 and 5",
    "B 1.2.2": "the same at levels that it was not trained for",
}
_B_NOISE = {"B 1.2.3": "the same, trained on pure noise"}
_B_CHAIN = {
    "B 2.1": "the time in the U-Net, added",
    "B 2.2": "its training: the loss",
    "B 2.3": "samples after epochs 5 and 20",
    "B 2.4": "the class in the U-Net, and its training: the loss",
    "B 2.5": "four samples of each digit after epochs 5 and 20, scale 5",
}
_B_FLOW = {
    "B 2.1": "the time in the U-Net, multiplied",
    "B 2.2": "its training by flow matching: the loss",
    "B 2.3": "samples after epochs 1, 5, 10",
    "B 2.4": "the class in the U-Net",
    "B 2.5": "its training: the loss",
    "B 2.6": "four samples of each digit after epochs 1, 5, 10, scale 5; the same without a decay of the rate",
}
ASKED: Mapping[str, Mapping[str, str]] = {
    "cs180-2024": {**_CHAIN, **_B, **_B_CHAIN},
    "cs180-2025": {**_CHAIN, **_MORE, **_B, **_B_NOISE, **_B_FLOW},
    "cs180-2026": {**_FLOW, **_MORE, **_B, **_B_NOISE, **_B_FLOW},
}
"""Every deliverable of a year by its number, "A 1.4", and what it asks for."""
CODE = frozenset({"B 1.1", "B 2.1"})
"""What is code and has no figure; 2.4 besides, where the loss has a number of its own."""

VELOCITY = r"$\hat x_1 = x_t + (1-t)\,v_\theta(x_t, t),\qquad v = x_1 - x_0$"
STRAIGHT = r"$x_t = (1-t)\,x_0 + t\,x_1,\qquad x_0\sim\mathcal{N}(0, I)$"
EULER = r"$x_{t+h} = x_t + h\,v_\theta(x_t, t),\qquad h = 0.02$"
GUIDED = r"$v = v_c + w\,(v_c - v_u)$"
OWN, WEB, DRAWN = ("apple.png", "cat.png", "astronaut.png"), "rocket.jpg", ("house.png", "flower.png")


def model_for(preset: str | None) -> str:
    """The model that a year's page is made with: of a flow pixnerd, where it is on this machine, else miniature's."""
    from duckrabbit.models.pixnerd.cached import is_cached

    if preset is None or COURSES[preset].step is None:
        return DEFAULT
    return "pixnerd" if is_cached(card("pixnerd")) else f"{DEFAULT}@flow"


def of_year(preset: str) -> str:
    """The year that a preset is of: "cs180" is the first. Any other comes back as it is."""
    return YEARS[0] if preset == "cs180" else preset


def part_a(preset: str, card: Card) -> list[Experiment]:
    """Part A of a year, for a model; experiments in the order of the page."""
    course = COURSES[preset]
    walked = ("--preset", preset)
    if course.step is None:
        made = [*_chain(card, walked, f"{course.scale:g}"), *_illusions(card, walked, "1.8", "1.9", "flip_vertical")]
    else:
        made = [*_flow(card, walked, f"{course.scale:g}"), *_illusions(card, walked, "3.3", "3.4", "rotate_180")]
    if "A 280A" in ASKED[of_year(preset)]:
        made += _further(card, walked, "flip_vertical" if course.step is None else "rotate_180")
    return made


def _shown(
    numbers: str, slug: str, words: str, text: str, equation: str, arguments: Sequence[str], part: str = "A"
) -> Experiment:
    """An experiment that answers numbers of a part, "1.2, 1.3"."""
    answers = tuple(f"{part} {number}" for number in numbers.split(", "))
    key = f"{answers[0].replace(' ', '-')}-{slug}"
    return Experiment(key, f"{part} {numbers} {words}", text, equation, tuple(arguments), answers=answers)


def _chain(card: Card, walked: Sequence[str], scale: str) -> Iterator[Experiment]:
    test, sampled = _test_picture(card), _generic(card)
    prompts = cast(Sequence[str], card.roles.get("generate", GENERATE))
    yield _shown(
        "0", "steps", "Prompts and steps", "The same seed throughout.", CFG,
        ("generate", *prompts, "--steps", "5,20,100", "--stage", "1"),
    )  # fmt: skip
    text = "Noise is mixed into a picture until nothing of it is left."
    yield _shown("1.1", "forward", "The forward process", text, FORWARD, ("noise", test, "--t", "250,500,750"))
    yield _shown(
        "1.2, 1.3", "one-step", "Blur, and one step",
        "The best blur and the best median (chosen with the original in hand), the network's estimate in one step, and "
        "the walk down the course's levels.",
        ONE_STEP, ("denoise", test, "--t", "250,500,750", *walked),
    )  # fmt: skip
    yield _shown(
        "1.4", "walk", "Iterative denoising",
        "Levels 990, 960, ..., 0 from start index 10 (t = 690); nothing is clipped, and the walk ends at t = 0.",
        STRIDED, ("denoise", test, "--t", "690", *walked),
    )  # fmt: skip
    asked = ("generate", sampled, "--count", "5", "--stage", "1", *walked)
    text = "The network's own estimate, as the page asks for it: pictures of little, without guidance."
    yield _shown("1.5", "samples", "Sampling from noise", text, STRIDED, (*asked, "--guidance-scale", "1"))
    text = f"Below, the same noise with classifier-free guidance at scale {scale}."
    yield _shown("1.6", "guidance", "With guidance", text, CFG, (*asked, "--guidance-scale", f"1,{scale}"))
    yield from _edits(card, walked, "1.7", (test, *_own(card)), FORWARD)
    yield from _edits(card, walked, "1.7.1", (WEB, *DRAWN), FORWARD)
    for part in cast(Sequence[dict[str, str]], card.roles.get("inpaints", INPAINTS)):
        stem, told = _stem(part["picture"]), ("--prompt", part["prompt"]) if part.get("prompt") else ()
        text = "What is grey is made anew; after every move the rest is put back, noised to the level."
        words = ("inpaint", part["picture"], part["mask"], *told, "--count", "3", *walked)
        yield _shown("1.7.2", f"inpaint-{stem}", f"Inpainting: {stem}", text, INPAINT, words)
    yield from _translations(card, walked, "1.7.3")


def _flow(card: Card, walked: Sequence[str], scale: str) -> Iterator[Experiment]:
    test, sampled, times = _test_picture(card), _generic(card), "0.75,0.5,0.25"
    mind = "The page counts t from noise to picture: its t is 1 less ours, which the sheets tell."
    yield _shown(
        "1.1", "forward", "The straight path", f"The same noise at every time. {mind}", STRAIGHT,
        ("noise", test, "--t", times),
    )  # fmt: skip
    yield _shown(
        "1.2, 1.3, 1.4", "velocity", "Blur, one step, and the velocity",
        "The best blur of x / t, the estimate in one step, and Euler's rule. Below, the update that the network asks "
        "for and the true one on one scale, 0 is middle grey, and the root mean square of their distance over RGB.",
        VELOCITY, ("denoise", test, "--t", times, *walked),
    )  # fmt: skip
    yield _shown(
        "1.5", "euler", "Euler's rule", "Half-way from noise, 25 updates of 0.02, every fifth state.", EULER,
        ("denoise", test, "--t", "0.5", *walked),
    )  # fmt: skip
    asked = ("generate", sampled, "--count", "5", "--stage", "1", *walked)
    text = "The conditional velocity alone, 50 updates."
    yield _shown("1.6", "samples", "Sampling from noise", text, EULER, (*asked, "--guidance-scale", "1"))
    text = f"The same five noises without guidance, and with w = 7; our scale is w + 1 = {scale}."
    yield _shown("2.1", "guidance", "With guidance", text, GUIDED, (*asked, "--guidance-scale", f"1,{scale}"))
    yield from _edits(card, walked, "3.1", (test, *_own(card), WEB, *DRAWN), STRAIGHT)
    yield from _translations(card, walked, "3.2")


def _edits(
    card: Card, walked: Sequence[str], number: str, pictures: Sequence[str], equation: str
) -> Iterator[Experiment]:
    told = ("--prompt", generic) if (generic := _photo(card)) else ()
    for picture in pictures:
        text = "The picture is noised to where the walk begins, and brought back; a later start keeps more of it."
        words = ("edit", picture, *told, "--stage", "1", *walked)
        yield _shown(number, f"edit-{_stem(picture)}", f"SDEdit: {_stem(picture)}", text, equation, words)


def _translations(card: Card, walked: Sequence[str], number: str) -> Iterator[Experiment]:
    target = str(card.roles.get("translate_prompt", TARGET))
    for picture in (_test_picture(card), *_own(card)):
        text = f"The same starts, now towards “{target}”."
        words = ("edit", picture, "--prompt", target, "--stage", "1", *walked)
        stem = _stem(picture)
        yield _shown(number, f"towards-{stem}", f"SDEdit towards a prompt: {stem}", text, CFG, words)


def _illusions(card: Card, walked: Sequence[str], anagrams: str, hybrids: str, view: str) -> Iterator[Experiment]:
    """Two of each; anagrams of the year's view first, and in it."""
    text = f"One picture, two readings: as it is, and through {view}."
    for k, pair in enumerate(_pairs(card, view)[:2]):
        words = ("anagram", *pair["prompts"], "--view", view, *_drawn(pair), *walked)
        yield _shown(anagrams, f"anagram-{k + 1}", f"Visual anagrams: {k + 1}", text, ANAGRAM, words)
    text = "Low frequencies of one thing, high ones of another: step back, or squint."
    for k, pair in enumerate(cast(Sequence[Any], card.roles.get("hybrids", HYBRIDS))[:2]):
        words = ("hybrid", "--low", pair["low"], "--high", pair["high"], *_drawn(pair), *walked)
        yield _shown(hybrids, f"hybrid-{k + 1}", f"Hybrid images: {k + 1}", text, HYBRID, words)


def _further(card: Card, walked: Sequence[str], view: str) -> list[Experiment]:
    """Anagrams through two views besides the year's, and a logo, enlarged where there is a second stage."""
    others = [v for v in ("rotate_90", "negate", "rotate_180") if v != view][:2]
    made = []
    for other in others:
        pair = _pairs(card, other)[0]
        words = ("anagram", *pair["prompts"], "--view", other, *_drawn(pair), *walked)
        made.append(_shown("280A", other, f"further transform: {other}", f"Through {other}.", ANAGRAM, words))
    logo = str(card.roles.get("logo", _generic(card)))
    text = "Four to choose from."
    made.append(_shown("280A", "logo", "logo", text, CFG, ("generate", logo, "--count", "4", *walked)))
    return made


def _pairs(card: Card, view: str) -> list[Any]:
    """The card's anagrams, those of a view first."""
    return sorted(cast(Sequence[Any], card.roles.get("anagrams", ANAGRAMS)), key=lambda pair: pair["view"] != view)


def _drawn(pair: Any) -> tuple[str, ...]:
    seed = ("--seed", str(pair["seed"])) if "seed" in pair else ()
    return ("--count", str(pair.get("count", 3)), *seed)


def _test_picture(card: Card) -> str:
    return str(card.roles.get("picture", "face.png"))


def _own(card: Card) -> list[str]:
    return [picture for picture in OWN if picture != _test_picture(card)][:2]


def _photo(card: Card) -> str:
    """The prompt that says nothing of what is seen, "a high quality photo"; "" where a model has none."""
    return str(card.roles.get("generic", card.roles.get("null", "")))


def _generic(card: Card) -> str:
    """What is sampled where the page asks for "a high quality photo"."""
    return _photo(card) or str(cast(Sequence[str], card.roles.get("generate", GENERATE))[0])


def _stem(picture: str) -> str:
    return picture.partition(".")[0]
