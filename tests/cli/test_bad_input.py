"""Bad input: exit code 2, one sentence, no traceback, no file."""

import pytest

pytestmark = pytest.mark.usefixtures("files")


PICTURES = {
    "text.png": "not a picture",
    "empty.png": "not a picture",
    "vector.svg": "not a picture",
    "cut.png": "not a picture",
    "cut.jpg": "not a picture",
    "film.gif": "animation of 3 frames",
    "film.webp": "animation of 3 frames",
    "film.png": "animation of 3 frames",
    "one.png": "1 x 1 pixels",
    "line.png": "1 x 2000 pixels",
    "huge.png": "20000 x 20000 pixels",
    "zeros.png": "20000 x 20000 pixels",
    "folder.png": "is a folder",
    "gone.png": "There is no picture",
    "x" * 300 + ".png": "",
    "photo.png/below": "There is no picture",
}
TAKING = [
    ["edit"],
    ["inpaint", "--box", "4,4,20,20"],
    ["noise"],
    ["denoise"],
    ["hybrid", "--high", "a cross", "--image"],
]


@pytest.mark.parametrize("picture", PICTURES)
def test_pictures(refused, picture):
    for command in TAKING:
        assert PICTURES[picture] in refused(*command, picture, "--model", "oracle", "--out", "made")
    assert PICTURES[picture] in refused("inpaint", "photo.png", picture, "--model", "oracle", "--out", "made")


UNGUIDED, UNGUIDED_TWICE = ["--guidance-scale", "1"], ["--guidance-scale", "1,1"]
WORDS = {
    "mask of another size": ["inpaint", "photo.png", "mask16.png"],
    "white mask": ["inpaint", "photo.png", "white.png"],
    "black mask": ["inpaint", "photo.png", "black.png"],
    "mask and box": ["inpaint", "photo.png", "mask.png", "--box", "1,1,3,3"],
    "neither mask nor box": ["inpaint", "photo.png"],
    "half a box": ["inpaint", "photo.png", "--box", "1,2,3"],
    "a box of words": ["inpaint", "photo.png", "--box", "a,b,c,d"],
    "a box of nan": ["inpaint", "photo.png", "--box", "nan,1,4,4"],
    "an infinite box": ["inpaint", "photo.png", "--box", "0,0,inf,4"],
    "an empty box": ["inpaint", "photo.png", "--box", "4,4,4,8"],
    "a box outside": ["inpaint", "photo.png", "--box", "20,20,50,50"],
    "a box around everything": ["inpaint", "photo.png", "--box", "0,0,32,32"],
    "zero jump": ["inpaint", "photo.png", "mask.png", "--jump", "0"],
    "negative resample": ["inpaint", "photo.png", "mask.png", "--resample", "-2"],
    "unknown view": ["anagram", "a cross", "a circle", "--view", "upside"],
    "unknown option of a view": ["anagram", "a cross", "a circle", "--view", "flip:seed=1"],
    "a view that does not fit": ["anagram", "a cross", "a circle", "--view", "patch_permutation:grid=5"],
    "one prompt": ["anagram", "a cross"],
    "more prompts than views": ["anagram", "a cross", "a circle", "a square", "--view", "flip"],
    "more views than prompts": ["anagram", "a cross", "a circle", "--view", "flip", "--view", "negate"],
    "the same view twice": ["anagram", "a cross", "a circle", "a square", "--view", "flip", "--view", "flip"],
    "the same view by two names": [
        "anagram",
        "a cross",
        "a circle",
        "a square",
        *("--view", "flip", "--view", "flip_vertical"),
    ],
    "a view of nothing": ["edit", "photo.png", "--view", "flip"],
    "t too large": ["noise", "photo.png", "--t", "1000"],
    "t below zero": ["noise", "photo.png", "--t", "-1"],
    "t of nothing": ["noise", "photo.png", "--t", ""],
    "nan t": ["denoise", "photo.png", "--t", "nan"],
    "infinite t": ["noise", "photo.png", "--t", "inf"],
    "negative t": ["denoise", "photo.png", "--t", "-30"],
    "empty prompt": ["generate", ""],
    "prompt of spaces": ["generate", "a cross", "   "],
    "empty prompt of an edit": ["edit", "photo.png", "--prompt", ""],
    "empty prompt of an anagram": ["anagram", "a cross", ""],
    "empty low prompt": ["hybrid", "--low", "", "--high", "a cross"],
    "empty high prompt": ["hybrid", "--low", "a cross", "--high", " "],
    "empty prompt of a denoising": ["denoise", "photo.png", "--prompt", ""],
    "both low bands": ["hybrid", "--low", "a cross", "--image", "photo.png", "--high", "a cross"],
    "no low band": ["hybrid", "--high", "a cross"],
    "an even kernel": ["hybrid", "--low", "a circle", "--high", "a cross", "--kernel", "32"],
    "a kernel beyond the picture": ["hybrid", "--low", "a circle", "--high", "a cross", "--kernel", "1001"],
    "a width of nan": ["hybrid", "--low", "a circle", "--high", "a cross", "--sigma", "nan"],
    "no width": ["hybrid", "--low", "a circle", "--high", "a cross", "--sigma", "0"],
    "a prompt the model has not": ["generate", "a horse"],
    "zero steps": ["generate", "a cross", "--steps", "0"],
    "negative steps": ["generate", "a cross", "--steps", "-5"],
    "half a step": ["generate", "a cross", "--steps", "2.5"],
    "steps of words": ["generate", "a cross", "--steps", "many"],
    "a list with a hole": ["generate", "a cross", "--steps", "5,,20"],
    "a list where one is wanted": ["edit", "photo.png", "--steps", "5,20"],
    "more steps than levels": ["generate", "a cross", "--steps", "1001"],
    "zero steps of stage 2": ["generate", "a cross", "--steps-stage2", "0"],
    "no pictures": ["generate", "a cross", "--count", "0"],
    "negative count": ["generate", "a cross", "--count", "-1"],
    "a slip in the count": ["generate", "a cross", "--count", "1000000000"],
    "negative seed": ["generate", "a cross", "--seed", "-1"],
    "no micro-batch": ["generate", "a cross", "--micro-batch", "0"],
    "nan guidance": ["generate", "a cross", "--guidance-scale", "nan"],
    "infinite guidance": ["generate", "a cross", "--guidance-scale", "1,inf"],
    "nan strength": ["edit", "photo.png", "--strength", "nan"],
    "no strength": ["edit", "photo.png", "--strength", "0"],
    "too much strength": ["edit", "photo.png", "--strength", "1.5"],
    "start and strength": ["edit", "photo.png", "--strength", "0.5", "--start", "3"],
    "start beyond the plan": ["edit", "photo.png", "--start", "30"],
    "start before it": ["edit", "photo.png", "--start", "-1"],
    "unknown solver": ["generate", "a cross", "--solver", "euler"],
    "a solver for another model": ["generate", "a cross", "--solver", "ddpm-learned"],
    "unknown preset": ["generate", "a cross", "--preset", "cs231"],
    "away from something without guidance": ["generate", "a cross", "--negative-prompt", "a circle", *UNGUIDED],
    "the same of all that are compared": ["generate", "a cross", "--negative-prompt", "a circle", *UNGUIDED_TWICE],
    "an edit away from something without guidance": ["edit", "photo.png", "--negative-prompt", "a cross", *UNGUIDED],
    "an edit guided without a prompt": ["edit", "photo.png", "--guidance-scale", "7"],
    "an inpainting guided without a prompt": ["inpaint", "photo.png", "mask.png", "--interval", "0,1"],
    "a denoising away from something": ["denoise", "photo.png", "--negative-prompt", "a cross"],
    "steps of a stage that is not there": ["generate", "a cross", "--steps-stage2", "5"],
    "going back no times": ["inpaint", "photo.png", "mask.png", "--jump", "5"],
    "noise in parts": ["noise", "photo.png", "--micro-batch", "1"],
    "prompts for noise": ["noise", "photo.png", "--prompts", "file"],
    "noise in a dtype": ["noise", "photo.png", "--dtype", "float32"],
    "an upscale guided as stage 1": ["upscale", "photo.png", "--guidance-scale", "3"],
    "an upscale with a preset": ["upscale", "photo.png", "--preset", "cs180"],
    "a prompt of bytes": ["generate", "a cross \udcff"],
    "a seed beyond all": ["generate", "a cross", "--seed", str(2**64)],
    "stage 0": ["generate", "a cross", "--stage", "0"],
    "stage 2": ["generate", "a cross", "--stage", "2"],
    "upscaling without stage 2": ["upscale", "photo.png"],
    "unknown device": ["generate", "a cross", "--device", "tpu"],
    "unknown dtype": ["generate", "a cross", "--dtype", "float8"],
    "dtype the oracle has not": ["generate", "a cross", "--dtype", "bfloat16"],
    "prompt file for the oracle": ["generate", "a cross", "--prompts", "photo.png"],
    "out is a file": ["generate", "a cross", "--out", "file"],
    "out is below a file": ["generate", "a cross", "--out", "file/below"],
    "out cannot be": ["generate", "a cross", "--out", "/proc/nothing"],
    "out has a very long name": ["generate", "a cross", "--out", "x" * 300],
}


@pytest.mark.parametrize("what", WORDS)
def test_options(refused, what):
    words = WORDS[what]
    refused(*words, "--model", "oracle", *([] if "--out" in words else ["--out", "made"]))


@pytest.mark.parametrize("what", ["nan guidance", "no pictures", "no micro-batch", "stage 2", "unknown view"])
def test_a_dry_run_refuses_the_same(refused, what):
    refused(*WORDS[what], "--model", "oracle", "--dry-run")


@pytest.mark.parametrize("model", ["nothing", "no-model", "photo.png", "", "a/b/c"])
def test_models_that_are_none(refused, model):
    refused("generate", "a cat", "--model", model, "--out", "made")


def test_replay_of_what_is_no_record(refused):
    for what in ("gone.json", "photo.png", "text.png", "huge.png", "file", "no-model"):
        refused("replay", what)


def test_one_of_a_comparison_may_be_unguided(cli, files):
    """There the negative prompt is for the other; `1,4` shows what guidance does."""
    words = [
        "generate",
        "a cross",
        "--negative-prompt",
        "a circle",
        "--model",
        "oracle",
        "--steps",
        "2",
        "--out",
        "made",
    ]
    result = cli(*words, "--guidance-scale", "1,4")
    assert result.code == 0, result.err
    assert len([name for name in result.written if name.endswith(".json")]) == 2
