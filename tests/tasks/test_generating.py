"""Tasks from noise: on the oracle every result is known beforehand."""

import pytest
import torch
from scipy.ndimage import gaussian_filter

import duckrabbit as dr
from duckrabbit.guidance.nodes import CFG, Clip, Threshold
from duckrabbit.models.oracle import mixtures


def mean(prompt):
    """The middle of the mixture that a prompt names, (3, 32, 32)."""
    return mixtures()[prompt].means[0]


def near(x, expected, most=0.06):
    return (x - expected).abs().mean().item() < most


@pytest.mark.parametrize("solver", ["ddpm-small", "ddpm-large", "ddim", "heun", "dpm++", "sde-dpm++"])
def test_every_solver_draws_the_shape(oracle, solver):
    result = dr.run(dr.generate(oracle, "a red triangle", solver=solver, guidance_scale=1), [1, 2])
    assert result.images.shape == (2, 3, 32, 32)
    assert near(result.images, mean("a red triangle"))
    assert not near(result.images, mean("a blue triangle"))
    assert not near(result.images, mean("a red triangle").flip(-2))


def test_guidance_pushes_away_from_the_negative_prompt(oracle):
    """u + s (c - u) of two Gaussians of one width is one about u + s (c - u): here the picture itself."""
    job = dr.generate(
        oracle, "a red circle", negative_prompt="a red square", guidance_scale=2, solver="ddim", preset="cs180"
    )
    c, u = mean("a red circle"), mean("a red square")
    assert near(dr.run(job, [3]).images, u + 2 * (c - u))
    assert not near(dr.run(job, [3]).images, c)


def test_the_flipped_picture_shows_the_second_prompt(oracle):
    """Two Gaussians of one width through two views meet half way: (mu_1 + V^-1 mu_2) / 2."""
    job = dr.anagram(oracle, {"identity": "a red triangle", "rotate_90": "a blue triangle"}, guidance_scale=1)
    x = dr.run(job, [5]).images[0]
    first, second = mean("a red triangle"), mean("a blue triangle")
    assert near(x, (first + torch.rot90(second, -1, (-2, -1))) / 2)
    turned = torch.rot90(x, 1, (-2, -1))
    shapes = {p: (turned - (mean(p) + torch.rot90(first, 1, (-2, -1))) / 2).abs().mean().item() for p in PROMPTS}
    assert min(shapes, key=shapes.get) == "a blue triangle"


PROMPTS = [f"a {c} {s}" for c in ("red", "green", "blue") for s in ("circle", "square", "triangle", "cross")]


def test_three_views(oracle):
    job = dr.anagram(
        oracle,
        {"identity": "a red triangle", "flip": "a green triangle", "negate": "a blue square"},
        guidance_scale=1,
        preset="cs180",
        solver="ddim",
    )
    expected = (mean("a red triangle") + mean("a green triangle").flip(-2) - mean("a blue square")) / 3
    assert near(dr.run(job, [1]).images, expected)


def test_a_hybrid_has_the_bands_of_its_prompts(oracle):
    """Low band of one, the rest of the other; scipy blurs as the judge (sigma 2 at 64 px is 1 at 32)."""
    job = dr.hybrid(oracle, "a red circle", "a blue cross", guidance_scale=1, preset="cs180", solver="ddim")
    low, high = mean("a red circle"), mean("a blue cross")
    blurred = torch.from_numpy(gaussian_filter((low - high).numpy(), (0, 1, 1), mode="mirror", truncate=8))
    x = dr.run(job, [1, 2]).images
    assert near(x, high + blurred, 0.04)
    assert not near(x, low - blurred, 0.06)


def test_a_hybrid_keeps_the_low_band_of_a_picture(oracle, photo):
    picture = 2 * dr.as_picture(photo) - 1
    result = dr.run(dr.hybrid(oracle, None, "a blue cross", image=photo), [1, 2])

    def far(x):
        """What an eye at a distance sees: the spectrum at one and two waves per picture."""
        spectrum = torch.fft.fft2(x)
        return torch.cat([spectrum[..., :3, :3], spectrum[..., -2:, :3]], dim=-2)

    assert (far(result.images) - far(picture)).abs().max() < 0.05 * far(picture).abs().max()
    plain = dr.run(dr.generate(oracle, "a blue cross"), [1, 2])
    assert (far(plain.images) - far(picture)).abs().max() > 0.3 * far(picture).abs().max()


def test_both_stages_run_and_the_first_alone(tiny):
    job = dr.generate(tiny, "a cat", steps=4, steps_stage2=3)
    result = dr.run(job, [1, 2])
    assert [tuple(x.shape[1:]) for x in result.stage_images] == [(3, 16, 16), (3, 32, 32)]
    assert result.images.abs().max() <= 1.0 + 1e-5
    alone = dr.run(dr.generate(tiny, "a cat", steps=4, stage=1), [1, 2])
    assert alone.images.shape[-1] == 16
    assert torch.equal(alone.images, result.stage_images[0])
    assert len(result.stage_seconds) == 2


def test_an_anagram_on_both_stages(tiny):
    views = {"identity": "a cat", "rotate_90": "a house"}
    result = dr.run(dr.anagram(tiny, views, steps=3, steps_stage2=2), [1])
    other = dr.run(dr.anagram(tiny, {**views, "rotate_90": "an old man"}, steps=3, steps_stage2=2), [1])
    assert result.images.shape == (1, 3, 32, 32)
    assert not torch.allclose(result.images, other.images, atol=1e-3)


@pytest.mark.parametrize("name", ["oracle", "tiny"])
def test_the_course_preset(name, request):
    """CS180 5A: levels 990, 960, ..., 0; 33 moves; no move to clean, no clipping, scale 7."""
    model = request.getfixturevalue(name)
    prompt = "a red circle" if name == "oracle" else "a cat"
    stage = dr.generate(model, prompt, preset="cs180", stage=1).stages[0]
    assert [m.at.t for m in stage.plan] + [stage.plan[-1].to.t] == list(range(990, -1, -30))
    assert len(stage.plan) == 33
    assert stage.plan[-1].to.sigma > 0
    assert isinstance(stage.guidance, CFG)
    assert stage.guidance.scale == 7
    assert type(stage.solver).__name__ == "DDPM"
    without = dr.generate(model, prompt, stage=1).stages[0]
    assert isinstance(without.guidance, (Clip, Threshold))
    assert without.plan[-1].to == dr.CLEAN


def test_the_second_stage_keeps_its_threshold_under_the_preset(tiny):
    first, second = dr.generate(tiny, "a cat", preset="cs180").stages
    assert isinstance(first.guidance, CFG)
    assert isinstance(second.guidance, Threshold)
    assert second.guidance.child.scale == tiny.card.guidance_scale_stage2


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"steps": 0}, "steps"),
        ({"steps_stage2": -1}, "steps_stage2"),
        ({"steps": 2000}, "2000 steps"),
        ({"stage": 0}, "stage"),
        ({"stage": 3}, "stage"),
        ({"solver": "euler"}, "ddim"),
        ({"solver": ""}, "ddim"),
        ({"preset": "cs182"}, "cs180"),
        ({"guidance_scale": float("nan")}, "finite"),
        ({"guidance_scale_stage2": float("inf")}, "finite"),
        ({"interval": (3.0, 1.0)}, "interval"),
        ({"noise_level": 1000}, "noise level"),
        ({"noise_level": -1}, "noise level"),
    ],
)
def test_options_that_make_no_sense(tiny, options, words):
    with pytest.raises(dr.UserError, match=words):
        dr.generate(tiny, "a cat", **options)


@pytest.mark.parametrize(
    "prompts",
    [
        {"identity": "a red circle"},
        {"flip": "a red circle", "flip_vertical": "a red cross"},
        {"identity": "a red circle", "upside_down": "a red cross"},
        {"identity": "a red circle", "patch_permutation:grid=1": "a red cross"},
    ],
)
def test_anagrams_that_make_no_sense(oracle, prompts):
    with pytest.raises(dr.UserError):
        dr.anagram(oracle, prompts)


@pytest.mark.parametrize("both", [(None, None), ("a red circle", "photo")])
def test_a_hybrid_needs_one_low_band(oracle, photo, both):
    low, image = both
    with pytest.raises(dr.UserError, match="either a prompt or a picture"):
        dr.hybrid(oracle, low, "a blue cross", image=image and photo)


def test_a_low_pass_wider_than_the_picture_is_refused(oracle):
    with pytest.raises(dr.UserError, match="127"):
        dr.hybrid(oracle, "a red circle", "a blue cross", kernel=401)
    dr.run(dr.hybrid(oracle, "a red circle", "a blue cross", kernel=127, steps=2), [1])
