"""The same weights and the same noise give what diffusers gives, at every step, before any clamping.

All distances are max |ours - theirs| / max |theirs|.
"""

from dataclasses import replace
from importlib.resources import files

import diffusers
import pytest
import torch
from diffusers.pipelines.deepfloyd_if import pipeline_if, pipeline_if_superresolution
from diffusers.schedulers import scheduling_ddpm, scheduling_dpmsolver_multistep

import tiny
from duckrabbit.diffusion.levels import add_noise
from duckrabbit.diffusion.plans import plan_through
from duckrabbit.diffusion.solvers import DDIM, DDPM, DPMSolverPP2M, UniPC, find_solver
from duckrabbit.diffusion.streams import Noise
from duckrabbit.diffusion.trajectory import trajectory
from duckrabbit.guidance.nodes import CFG, Clip, Mean, Prompt, Threshold, Viewed
from duckrabbit.guidance.tree import lower
from duckrabbit.guidance.views.shipped import parse_view
from duckrabbit.models.cascade.scheduler import read_scheduler
from duckrabbit.models.load import load
from duckrabbit.models.model import told
from duckrabbit.networks.batching import batched
from duckrabbit.networks.enlarge import enlarge
from duckrabbit.tasks.job import LowRes
from duckrabbit.tasks.run import walk
from duckrabbit.tasks.tasks import generate

SEEDS = (3, 4)
TOLERANCE = 1e-4
PROMPT = "A painting of an old man "
NOISE = Noise(SEEDS)


def distance(ours, theirs):
    return ((ours - theirs).abs().max() / theirs.abs().max()).item()


def worst(ours, theirs):
    return max(distance(a, b) for a, b in zip(ours, theirs, strict=True))


@pytest.fixture
def fed(monkeypatch):
    """Make diffusers draw these tensors, in this order, and no others."""

    def feed(draws):
        queue = iter(draws)

        def draw(shape, *args, **kwargs):
            noise = next(queue)
            assert tuple(shape) == tuple(noise.shape)
            return noise

        drawers = (pipeline_if, pipeline_if_superresolution, scheduling_ddpm, scheduling_dpmsolver_multistep)
        for module in drawers:
            monkeypatch.setattr(module, "randn_tensor", draw)

    return feed


def limited(guidance, facts):
    limiter = facts.limiter
    if limiter is None:
        return guidance
    if limiter.ratio is None:
        return Clip(guidance, limiter.max_value)
    return Threshold(guidance, limiter.ratio, limiter.max_value)


def guided(model, scale):
    conditional, unconditional = model.condition(PROMPT), model.condition("")
    model.prepare([conditional, unconditional])
    return CFG(Prompt(conditional), Prompt(unconditional), scale)


def our_states(model, stage, times, guidance, low_res=None, level=0):
    facts = model.stages[stage]
    denoise = lower(limited(guidance, facts), model.network(stage, low_res, level))
    like = torch.empty(len(SEEDS), 3, *facts.size)
    plan = plan_through(facts.schedule, times)
    return [s.x for s in trajectory(denoise, NOISE(like, "start", 0), plan, DDPM(facts.variance), NOISE)]


STAGE_1 = {
    "leading": ({}, {"num_inference_steps": 12}),
    "custom times from 990": ({}, {"timesteps": [990, 960, 900, 690, 660, 300, 120, 30, 0]}),
    "trailing": ({"timestep_spacing": "trailing"}, {"timesteps": [899, 799, 499, 299, 99, 0]}),
    "fixed small": ({"variance_type": "fixed_small"}, {"num_inference_steps": 8}),
    "fixed large, clipped": (
        {"variance_type": "fixed_large", "thresholding": False, "clip_sample_range": 1.3},
        {"num_inference_steps": 8},
    ),
    "v, scaled linear, unlimited": (
        {
            "prediction_type": "v_prediction",
            "beta_schedule": "scaled_linear",
            "thresholding": False,
            "clip_sample": False,
        },
        {"num_inference_steps": 8},
    ),
    "sample, linear betas": (
        {"prediction_type": "sample", "beta_schedule": "linear", "beta_start": 0.0002},
        {"num_inference_steps": 8},
    ),
    "v, zero terminal SNR": (
        {"prediction_type": "v_prediction", "beta_schedule": "linear", "rescale_betas_zero_snr": True},
        {"timesteps": [999, 700, 400, 100, 0]},
    ),
}


@pytest.mark.parametrize("name", STAGE_1)
def test_first_stage_is_that_of_diffusers_at_every_step(name, fed):
    config, steps = STAGE_1[name]
    pipe = tiny.first_pipeline(**config)
    pipe.set_progress_bar_config(disable=True)
    like = torch.empty(len(SEEDS), 3, 16, 16)
    fed([NOISE(like, "start", 0), *(NOISE(like, "step", i) for i in range(20))])
    theirs = []
    image = pipe(
        prompt=PROMPT,
        num_images_per_prompt=len(SEEDS),
        guidance_scale=7.0,
        output_type="pt",
        clean_caption=False,
        callback=lambda i, t, x: theirs.append(x.clone()),
        **steps,
    ).images
    times = pipe.scheduler.timesteps.tolist()
    model = load(pipe, device="cpu")
    ours = our_states(model, 0, times, guided(model, 7.0))
    assert len(ours) == len(theirs) == len(times)
    assert worst(ours, theirs) <= TOLERANCE
    assert distance(ours[-1], image) <= TOLERANCE


def test_the_miniature_is_that_of_diffusers(fed):
    """The shipped weights, loaded by both from the folder."""
    folder = files("duckrabbit").joinpath("assets/weights", "miniature")
    pipe = diffusers.IFPipeline.from_pretrained(str(folder), torch_dtype=torch.float32)
    pipe.set_progress_bar_config(disable=True)
    model = load("miniature", device="cpu")
    size = model.stages[0].size
    like = torch.empty(len(SEEDS), 3, *size)
    fed([NOISE(like, "start", 0), *(NOISE(like, "step", i) for i in range(4))])
    theirs = []
    pipe(
        prompt=PROMPT,
        num_images_per_prompt=len(SEEDS),
        num_inference_steps=4,
        guidance_scale=4.0,
        output_type="pt",
        clean_caption=False,
        callback=lambda i, t, x: theirs.append(x.clone()),
    )
    ours = our_states(model, 0, pipe.scheduler.timesteps.tolist(), guided(model, 4.0))
    assert worst(ours, theirs) <= TOLERANCE


@pytest.mark.parametrize("level", [0, 250, 900])
def test_second_stage_is_that_of_diffusers_at_every_step(level, fed):
    first = tiny.first_pipeline()
    pipe = tiny.second_pipeline(first)
    pipe.set_progress_bar_config(disable=True)
    like = torch.empty(len(SEEDS), 3, 32, 32)
    low = torch.tanh(NOISE(torch.empty(len(SEEDS), 3, 16, 16), "picture", 0))
    low_noise = NOISE(like, "low_res", 0)
    fed([NOISE(like, "start", 0), low_noise, *(NOISE(like, "step", i) for i in range(20))])
    theirs = []
    pipe(
        prompt=[PROMPT] * len(SEEDS),
        image=low,
        noise_level=level,
        num_inference_steps=10,
        guidance_scale=4.0,
        output_type="pt",
        clean_caption=False,
        callback=lambda i, t, x: theirs.append(x.clone()),
    )
    model = load(first, stage2=pipe, device="cpu")
    noising = model.stages[1].noising
    noised = add_noise(enlarge(low, 32), noising.level(level), low_noise)
    ours = our_states(model, 1, pipe.scheduler.timesteps.tolist(), guided(model, 4.0), noised, level)
    assert len(ours) == len(theirs)
    assert worst(ours, theirs) <= TOLERANCE


def test_both_stages_at_64_x_96_px_are_those_of_diffusers_at_every_step(fed):
    """Against the two pipelines one after the other; our stage II enlarges what theirs has made."""
    first = tiny.first_pipeline()
    second = tiny.second_pipeline(first)
    theirs, common = [], {"output_type": "pt", "clean_caption": False, "callback": lambda i, t, x: theirs.append(x)}
    small, large = (torch.empty(len(SEEDS), 3, 64 * k, 96 * k) for k in (1, 2))
    for pipe, like, steps, scale in ((first, small, 6, 4.0), (second, large, 3, 2.0)):
        pipe.set_progress_bar_config(disable=True)
        noise = Noise(SEEDS, scope="stage1" if pipe is first else "stage2")
        low = [noise(like, "low_res", 0)] if pipe is second else []
        fed([noise(like, "start", 0), *low, *(noise(like, "step", i) for i in range(10))])
        given = {"image": theirs[-1], "noise_level": 250} if low else {"num_images_per_prompt": len(SEEDS)}
        prompts = [PROMPT] * len(SEEDS) if low else PROMPT
        asked = {
            "height": like.shape[-2],
            "width": like.shape[-1],
            "num_inference_steps": steps,
            "guidance_scale": scale,
        }
        pipe(prompts, **asked, **given, **common)
    model = load(first, stage2=second, device="cpu")
    options = {"steps": 6, "steps_stage2": 3, "guidance_scale": 4.0, "guidance_scale_stage2": 2.0, "noise_level": 250}
    job = generate(model, PROMPT, size="96x64", **options)
    one, two = job.stages
    halves = [replace(job, stages=(one,)), replace(job, stages=(replace(two, low_res=LowRes(250, theirs[5])),))]
    ours = [state.x for half in halves for state in walk(half, SEEDS)]
    assert [x.shape for x in ours] == [*[small.shape] * 6, *[large.shape] * 3]
    assert worst(ours, theirs) <= TOLERANCE


def test_an_anagram_turns_the_low_resolution_picture_too(fed):
    """Geng et al. 2024: at stage II a view acts on the noisy and on the low resolution picture alike."""
    first = tiny.first_pipeline()
    pipe = tiny.second_pipeline(first)
    views = [parse_view(name) for name in ("identity", "rotate_90", "negate")]
    conditional, unconditional = first.encode_prompt(PROMPT, device="cpu")
    like = torch.empty(len(SEEDS), 3, 32, 32)
    low, labels = NOISE(like, "low_res", 0).tanh(), torch.full((len(SEEDS),), 100)
    x = NOISE(like, "start", 0)
    fed([NOISE(like, "step", i) for i in range(10)])
    pipe.scheduler.set_timesteps(8)
    theirs = []
    for t in pipe.scheduler.timesteps:
        parts = []
        for view in views:
            seen = torch.cat([view(x), view(low)], dim=1)
            u, c = (
                pipe.unet(seen, t, encoder_hidden_states=e.expand(len(SEEDS), -1, -1), class_labels=labels).sample
                for e in (unconditional, conditional)
            )
            eps = view.inverse(u[:, :3] + 4.0 * (c[:, :3] - u[:, :3]))
            var = c[:, 3:] if view == parse_view("negate") else view.inverse(c[:, 3:])
            parts.append(torch.cat([eps, var], dim=1))
        x = pipe.scheduler.step(sum(parts) / len(parts), t, x).prev_sample
        theirs.append(x)
    model = load(first, stage2=pipe, device="cpu")
    guidance = Mean(tuple(Viewed(view, guided(model, 4.0)) for view in views))
    ours = our_states(model, 1, pipe.scheduler.timesteps.tolist(), guidance, low, 100)
    assert worst(ours, theirs) <= TOLERANCE


def hinged(x):
    """Nine squares of 21 px of 64, each turned a quarter, in alternate senses."""
    seen = x.clone()
    for r in range(0, 63, 21):
        for c in range(0, 63, 21):
            way = -1 if (r + c) // 21 % 2 == 0 else 1
            seen[..., r : r + 21, c : c + 21] = torch.rot90(x[..., r : r + 21, c : c + 21], way, (-2, -1))
    return seen


def hinged_back(x):
    return hinged(hinged(hinged(x)))


def circled(x):
    """Half a turn within 24 px of the middle of 64."""
    line = torch.arange(64) - 31.5
    return torch.where(line[:, None] ** 2 + line[None] ** 2 < 24**2, x.flip(-1, -2), x)


def slanted(x, factor=1.5):
    """Column i rolled by int(factor (i - 32))."""
    return torch.stack([x[..., i].roll(int(factor * (i - 32)), -1) for i in range(64)], dim=-1)


def shuffled(x, back=False):
    """8 x 8 tiles of 8 px, in the order that seed 0 draws."""
    order = torch.randperm(64, generator=torch.Generator().manual_seed(0))
    order = order.argsort() if back else order
    tiles = [x[..., 8 * (k // 8) : 8 * (k // 8) + 8, 8 * (k % 8) : 8 * (k % 8) + 8] for k in order.tolist()]
    return torch.cat([torch.cat(tiles[k : k + 8], dim=-1) for k in range(0, 64, 8)], dim=-2)


PUBLISHED = {
    "inner_circle": (circled, circled),
    "square_hinge": (hinged, hinged_back),
    "skew": (slanted, lambda x: slanted(x, -1.5)),
    "patch_permutation": (shuffled, lambda x: shuffled(x, back=True)),
}


@pytest.mark.parametrize("name", PUBLISHED)
def test_views_at_64_px_are_the_published_ones_at_every_step(name, fed):
    """The mean of the picture's and of the view's estimate, guided, through diffusers' network and scheduler."""
    look, back = PUBLISHED[name]
    pipe = tiny.first_pipeline()
    conditional, unconditional = pipe.encode_prompt(PROMPT, device="cpu")
    like = torch.empty(len(SEEDS), 3, 64, 64)
    fed([NOISE(like, "step", i) for i in range(10)])
    pipe.scheduler.set_timesteps(4)
    x, theirs = NOISE(like, "start", 0), []
    for t in pipe.scheduler.timesteps:
        parts = []
        for see, unsee in ((lambda x: x, lambda x: x), (look, back)):
            u, c = (
                pipe.unet(see(x), t, encoder_hidden_states=e.expand(len(SEEDS), -1, -1)).sample
                for e in (unconditional, conditional)
            )
            parts.append(torch.cat([unsee(u[:, :3] + 4.0 * (c[:, :3] - u[:, :3])), unsee(c[:, 3:])], dim=1))
        x = pipe.scheduler.step((parts[0] + parts[1]) / 2, t, x).prev_sample
        theirs.append(x)
    model = load(pipe, device="cpu")
    guidance = Mean(tuple(Viewed(parse_view(v, 64), guided(model, 4.0)) for v in ("identity", name)))
    denoise = lower(limited(guidance, model.stages[0]), model.network(0))
    plan = plan_through(model.stages[0].schedule, pipe.scheduler.timesteps.tolist())
    ours = [s.x for s in trajectory(denoise, NOISE(like, "start", 0), plan, DDPM("learned"), NOISE)]
    assert worst(ours, theirs) <= TOLERANCE


SCHEDULERS = {
    "ddpm": ("DDPMScheduler", {}, DDPM("small")),
    "ddpm, sigmoid": ("DDPMScheduler", {"beta_schedule": "sigmoid", "variance_type": "fixed_large"}, DDPM("large")),
    "ddpm, trained betas": (
        "DDPMScheduler",
        {"trained_betas": [0.001 + 0.0003 * (i % 70) for i in range(1000)], "clip_sample": False},
        DDPM("small"),
    ),
    "ddim": ("DDIMScheduler", {}, DDIM()),
    "ddim, eta 1": ("DDIMScheduler", {}, DDIM(1.0)),
    "ddim, clipped": ("DDIMScheduler", {"clip_sample": True, "clip_sample_range": 1.2}, DDIM()),
    "dpm++": ("DPMSolverMultistepScheduler", {}, DPMSolverPP2M()),
    "sde-dpm++": ("DPMSolverMultistepScheduler", {"algorithm_type": "sde-dpmsolver++"}, DPMSolverPP2M(1.0)),
    "unipc": ("UniPCMultistepScheduler", {}, UniPC()),
    "unipc of order 1": ("UniPCMultistepScheduler", {"solver_order": 1}, UniPC(1)),
    "dpm++, thresholded": (
        "DPMSolverMultistepScheduler",
        {"thresholding": True, "sample_max_value": 1.5, "dynamic_thresholding_ratio": 0.95},
        DPMSolverPP2M(),
    ),
}


@pytest.mark.parametrize("name", SCHEDULERS)
def test_solvers_walk_as_the_schedulers_of_diffusers(name, fed):
    kind, config, solver = SCHEDULERS[name]
    scheduler = getattr(diffusers, kind)(**{"beta_schedule": "squaredcos_cap_v2", **config})
    facts = read_scheduler({**scheduler.config, "_class_name": kind})
    if kind in ("DDIMScheduler", "UniPCMultistepScheduler"):
        scheduler.set_timesteps(20)
    else:
        scheduler.set_timesteps(timesteps=[990, 940, 860, 700, 520, 400, 310, 200, 120, 60, 20, 0])
    unet = tiny.unet(16, out_channels=3)
    embedding = torch.randn(1, 77, tiny.WIDTH, generator=torch.Generator().manual_seed(1)).expand(len(SEEDS), -1, -1)
    x = start = NOISE(torch.empty(len(SEEDS), 3, 16, 16), "start", 0)
    fed([NOISE(start, "step", i) for i in range(30)])
    theirs = []
    for i, t in enumerate(scheduler.timesteps):
        eps = unet(x, t, encoder_hidden_states=embedding).sample
        extra = {}
        if isinstance(solver, DDIM):  # eps is derived anew from a clipped x0 here; there only when asked
            extra = {"eta": solver.eta, "use_clipped_model_output": True, "variance_noise": NOISE(start, "step", i)}
        x = scheduler.step(eps, t, x, **extra).prev_sample
        theirs.append(x)
    network = batched(lambda x, at, *_: unet(x, torch.tensor(at.t), encoder_hidden_states=embedding).sample)
    denoise = lower(limited(Prompt(""), facts), network)
    plan = plan_through(facts.schedule, scheduler.timesteps.tolist())
    ours = [s.x for s in trajectory(denoise, start, plan, solver, NOISE)]
    assert worst(ours, theirs) <= TOLERANCE


FLOWS = {
    "euler": ("FlowMatchEulerDiscreteScheduler", {"shift": 3.0}),
    "dpm++": ("DPMSolverMultistepScheduler", {"use_flow_sigmas": True, "flow_shift": 3.0}),
    "unipc": ("UniPCMultistepScheduler", {"use_flow_sigmas": True, "flow_shift": 6.0}),
}


@pytest.mark.parametrize("name", FLOWS)
def test_flows_walk_as_the_schedulers_of_diffusers(name):
    """From the configuration to the last picture: schedule, spacing, solver, what the network says and is told."""
    kind, config = FLOWS[name]
    multistep = {} if name == "euler" else {"prediction_type": "flow_prediction"}
    scheduler = getattr(diffusers, kind)(**config, **multistep)
    facts = read_scheduler({**scheduler.config, "_class_name": kind})
    scheduler.set_timesteps(12)
    unet = tiny.unet(16, out_channels=3)
    embedding = torch.randn(1, 77, tiny.WIDTH, generator=torch.Generator().manual_seed(1)).expand(len(SEEDS), -1, -1)
    x = start = NOISE(torch.empty(len(SEEDS), 3, 16, 16), "start", 0)
    theirs = []
    for t in scheduler.timesteps:
        x = scheduler.step(unet(x, t.float(), encoder_hidden_states=embedding).sample, t, x).prev_sample
        theirs.append(x)

    def forward(x, at, *_):
        time = told(facts.told, at.t)
        if name != "euler":  # the multistep schedulers cut it off, and UniPC begins a millionth lower; we do not
            time = int(min(time + 1e-3, 999.999))
        return unet(x, torch.tensor(float(time)), encoder_hidden_states=embedding).sample

    denoise = lower(limited(Prompt(""), facts), batched(forward, facts.prediction_type))
    plan = plan_through(facts.schedule, facts.schedule.times(12, facts.spacing, facts.offset))
    ours = [s.x for s in trajectory(denoise, start, plan, find_solver(facts.solver), NOISE)]
    assert worst(ours, theirs) <= TOLERANCE
