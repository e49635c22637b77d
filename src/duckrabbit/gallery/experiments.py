"""The experiments of the gallery, in the order of the course, each as the command that makes it.

The gallery runs the very command lines it prints, so what a page says can be typed. Subjects come
from the roles on the model's card.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, cast

from duckrabbit.models.model import Card


@dataclass(frozen=True)
class Experiment:
    """One figure: where it stands, what it shows, its equation (mathtext) and its command.

    stamp: a hash of what it is made from, for a figure that is not made with the gallery's model. answers: the
    numbers of a year's page that it answers, "A 1.4" (years.py).
    """

    key: str
    section: str
    text: str
    equation: str
    arguments: tuple[str, ...]
    stamp: str = ""
    answers: tuple[str, ...] = ()


FORWARD = r"$x_t = \sqrt{\bar\alpha_t}\,x_0 + \sqrt{1-\bar\alpha_t}\,\epsilon,\qquad \epsilon\sim\mathcal{N}(0, I)$"
ONE_STEP = r"$\hat x_0 = (x_t - \sqrt{1-\bar\alpha_t}\,\epsilon_\theta(x_t, t))\,/\,\sqrt{\bar\alpha_t}$"
STRIDED = (
    r"$x_{t'} = \frac{\sqrt{\bar\alpha_{t'}}\,\beta_t}{1-\bar\alpha_t}\,\hat x_0"
    r" + \frac{\sqrt{\alpha_t}(1-\bar\alpha_{t'})}{1-\bar\alpha_t}\,x_t + v_\sigma$"
)
CFG = r"$\epsilon = \epsilon_u + \gamma\,(\epsilon_c - \epsilon_u)$"
INPAINT = r"$x_t \leftarrow \mathbf{m}\,x_t + (1-\mathbf{m})\,\mathrm{forward}(x_{\mathrm{orig}}, t)$"
ANAGRAM = (
    r"$\epsilon = \frac{1}{n}\sum_i A_i^{-1}\,\epsilon_\theta(A_i x_t, t, p_i),"
    r"\qquad \langle A_i x, A_i y\rangle = \langle x, y\rangle$"
)
HYBRID = (
    r"$\epsilon = f_{\mathrm{low}}(\epsilon_\theta(x_t, t, p_1)) + f_{\mathrm{high}}(\epsilon_\theta(x_t, t, p_2))$"
)
BAND = r"$x_t \leftarrow x_t - F x_t + F\,\mathrm{forward}(x_{\mathrm{orig}}, t)$"
STAGE2 = r"$\epsilon_\theta(x_t, t, \mathrm{noised}(\mathrm{enlarged}(x^{\mathrm{I}})), p)$"
STARTS = "1,3,5,7,10,20"
"""The moves that the start indices are meant for; with many more of them, none of STARTS would keep the picture."""

GENERATE = ("a photo of a cat", "a photo of a house", "a photo of a red apple")
TARGET = "a photo of a rocket"
ANAGRAMS = ({"view": "flip_vertical", "prompts": ["a photo of a cat", "a photo of a house"]},)
HYBRIDS = ({"low": "a photo of a cat", "high": "a photo of a flower"},)
"""What plays a role that the model's card, a folder's for instance, does not give."""


def experiments(card: Card, stages: int) -> list[Experiment]:
    """All experiments for a model with so many stages."""
    made = [*_prompts(card), *_denoising(card), *_sampling(card), *_editing(card), *_illusions(card)]
    if stages > 1:
        made.append(_enlarging(card))
    return made


def part_b() -> list[Experiment]:
    """The experiments of part B that the models of digits and the training runs at hand allow."""
    from duckrabbit.gallery.digits import LOSS, logs, pieces, stamp

    made = [Experiment(p.key, p.section, p.text, p.equation, ("figure", p.key), p.stamp()) for p in pieces()]
    if found := logs():
        text = (
            "Every training step, and the running mean. The goals differ (noise, v, picture): heights do not compare."
        )
        marked = stamp("curves", found.values())
        made.insert(1, Experiment("curves", "B 2.2 Training curves", text, LOSS, ("curves", *found), marked))
    return made


def _prompts(card: Card) -> Iterator[Experiment]:
    prompts = cast(Sequence[str], card.roles.get("generate", GENERATE))
    yield Experiment(
        "steps",
        "0 Prompts and steps",
        "How many steps a picture takes; the same seed throughout.",
        CFG,
        ("generate", *prompts, "--steps", "5,20,100", "--stage", "1", "--count", "3"),
    )


def _denoising(card: Card) -> Iterator[Experiment]:
    picture = _role(card, "picture", "face.png")
    yield Experiment(
        "forward",
        "1.1 The forward process",
        "Noise is mixed into a picture until nothing of it is left.",
        FORWARD,
        ("noise", picture, "--t", "250,500,750"),
    )
    yield Experiment(
        "denoise",
        "1.2 to 1.4 Taking the noise away",
        "The best Gaussian blur and the best median (chosen with the original in hand), the network's one-step "
        "estimate, and the iterative walk down the strided levels. One step is best in mean square error; "
        "iterating trades error for detail.",
        f"{ONE_STEP}\n{STRIDED}",
        ("denoise", picture, "--t", "250,500,750"),
    )
    yield Experiment(
        "denoise-course",
        "1.4 With the course's own numbers",
        "Levels 990, 960, ..., 0 from start index 10 (t = 690); nothing is clipped, and the walk ends at t = 0.",
        STRIDED,
        ("denoise", picture, "--t", "690", "--preset", "cs180"),
    )


def _sampling(card: Card) -> Iterator[Experiment]:
    prompts = cast(Sequence[str], card.roles.get("generate", GENERATE))
    scale = f"{card.guidance_scale:g}"
    yield Experiment(
        "guidance",
        "1.5 and 1.6 Sampling from noise, without and with guidance",
        f"The same noise twice: the network's own estimate, and classifier-free guidance at scale {scale}.",
        CFG,
        ("generate", prompts[0], "--guidance-scale", f"1,{scale}", "--count", "5"),
    )


EDITS = ({"picture": "face.png"}, {"picture": "cat.png"}, {"picture": "house.png"}, {"picture": "flower.png"})
TRANSLATED = ("house.png", "apple.png", "rocket.jpg")
INPAINTS = (
    {"picture": "face.png", "mask": "mask-top.png"},
    {"picture": "house.png", "mask": "mask-top.png"},
    {"picture": "astronaut.png", "mask": "mask-middle.png"},
)


def _editing(card: Card) -> Iterator[Experiment]:
    text = "The picture is noised to the level of move i and brought back; a later start keeps more of it."
    for part in _parts(card, "edits", EDITS):
        yield Experiment(
            f"edit-{_stem(part)}",
            f"1.7 Editing: {_stem(part)}",
            text,
            FORWARD,
            ("edit", part["picture"], "--start", STARTS, "--stage", "1", *_prompt(part)),
        )
    text = "What is grey is made anew; after every move the rest is put back, noised to the level."
    for part in _parts(card, "inpaints", INPAINTS):
        yield Experiment(
            f"inpaint-{_stem(part)}",
            f"1.7.2 Inpainting: {_stem(part)}",
            text,
            INPAINT,
            ("inpaint", part["picture"], part["mask"], *_prompt(part), "--count", "3"),
        )
    last = _parts(card, "inpaints", INPAINTS)[1]
    yield Experiment(
        "repaint",
        "1.7.2 Inpainting: going back up (RePaint)",
        "Every five moves are walked three times, with the way back up between: the new part fits the old one better.",
        INPAINT,
        ("inpaint", last["picture"], last["mask"], *_prompt(last), "--jump", "5", "--resample", "3", "--count", "3"),
    )
    target = _role(card, "translate_prompt", TARGET)
    for picture in TRANSLATED:
        part = {"picture": picture, "prompt": target}
        yield Experiment(
            f"translate-{_stem(part)}",
            f"1.7.3 Text-conditional image to image: {_stem(part)}",
            f"The same start indices, now towards “{target}”.",
            CFG,
            ("edit", picture, "--start", STARTS, "--stage", "1", *_prompt(part)),
        )


def _illusions(card: Card) -> Iterator[Experiment]:
    for k, pair in enumerate(cast(Sequence[Any], card.roles.get("anagrams", ANAGRAMS))):
        view = str(pair["view"])
        yield Experiment(
            f"anagram-{k + 1}",
            f"1.8 Visual anagrams: {view}",
            f"One picture, two readings: as it is, and through {view}.",
            ANAGRAM,
            ("anagram", *pair["prompts"], "--view", view, "--count", str(pair.get("count", 3)), *_seed(pair)),
        )
    for k, pair in enumerate(cast(Sequence[Any], card.roles.get("hybrids", HYBRIDS))):
        yield Experiment(
            f"hybrid-{k + 1}",
            f"1.9 Hybrid images: {k + 1}",
            "Low frequencies of one thing, high ones of another: step back, or squint.",
            HYBRID,
            (
                "hybrid",
                "--low",
                pair["low"],
                "--high",
                pair["high"],
                "--count",
                str(pair.get("count", 3)),
                *_seed(pair),
            ),
        )
    default = {"image": "face.png", "high": _role(card, "translate_prompt", TARGET)}
    own = cast(dict[str, str], card.roles.get("hybrid_picture", default))
    yield Experiment(
        "hybrid-photo",
        "1.9 A hybrid with a picture",
        "The coarsest band is kept from a picture at every level; the prompt has the rest.",
        BAND,
        ("hybrid", "--image", own["image"], "--high", own["high"], "--sigma", "5", "--count", "3"),
    )
    anagrams = cast(Sequence[Any], card.roles.get("anagrams", ANAGRAMS))
    if anagrams:
        first, second = anagrams[0]["prompts"]
        view = str(anagrams[0]["view"])
        yield Experiment(
            "together",
            "Beyond the course: everything composes",
            "An anagram inside an inpainted region, with guidance, in one run of the same loop.",
            f"{ANAGRAM}\n{INPAINT}",
            (
                *("inpaint", "house.png", "mask-middle.png", "--prompt", first, "--prompt", second),
                *("--view", view, "--count", "3"),
            ),
        )


def _enlarging(card: Card) -> Experiment:
    return Experiment(
        "upscale",
        "Stage II",
        "A picture of stage I, enlarged by stage II.",
        STAGE2,
        ("upscale", _role(card, "picture", "face.png")),
    )


def _parts(card: Card, role: str, default: Sequence[dict[str, str]]) -> Sequence[dict[str, str]]:
    return cast(Sequence[dict[str, str]], card.roles.get(role, default))


def _stem(part: dict[str, str]) -> str:
    return part["picture"].partition(".")[0]


def _prompt(part: dict[str, str]) -> tuple[str, ...]:
    return ("--prompt", part["prompt"]) if part.get("prompt") else ()


def _role(card: Card, name: str, default: str) -> str:
    return str(card.roles.get(name, default))


def _seed(pair: Any) -> tuple[str, ...]:
    return ("--seed", str(pair["seed"])) if "seed" in pair else ()
