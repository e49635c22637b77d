"""What the engine costs beside the bare network calls, and beside diffusers on the same weights.

    python benchmarks/engine_overhead.py [--batch 4] [--steps 30] [--rounds 7]

Three ways to make the same pictures with classifier-free guidance are timed in turn, A B C A B C ...,
so that a drift of the machine's speed meets all alike; the median of each and the ratios are printed:

    bare       the U-Net module called on a ready batch, once a step, and nothing else
    engine     duckrabbit.run on the job, prompts encoded
    diffusers  IFPipeline on the same weights, steps, embeddings and scale

Then the questions a step that a hybrid with guidance asks. Run it on an idle machine.
"""

from __future__ import annotations

import argparse
import statistics
import time
from collections.abc import Callable
from importlib.resources import files

import torch

import duckrabbit as dr
from duckrabbit.models.cascade.model import Cascade

PROMPT = "a glossy emoji of a cat face"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--batch", type=int, default=4)
    parser.add_argument("--steps", type=int, default=30)
    parser.add_argument("--rounds", type=int, default=7)
    args = parser.parse_args()
    model = dr.load("miniature", device="cpu", dtype="float32")
    assert isinstance(model, Cascade)
    job = dr.generate(model, PROMPT, steps=args.steps, stage=1)
    seeds = list(range(args.batch))
    ways: dict[str, Callable[[], object]] = {
        "bare": bare(model, job, args.batch),
        "engine": lambda: dr.run(job, seeds),
        "diffusers": diffusers_pipeline(model, args.batch, args.steps),
    }
    times: dict[str, list[float]] = {name: [] for name in ways}
    for round_ in range(args.rounds + 1):
        for name, way in ways.items():
            began = time.perf_counter()
            way()
            if round_:  # the first warms up
                times[name].append(time.perf_counter() - began)
    print(f"batch {args.batch}, {args.steps} steps, guidance, {torch.get_num_threads()} threads, float32")
    for name, spent in times.items():
        ratios = [t / b for t, b in zip(spent, times["bare"], strict=True)]
        print(
            f"{name:10s} median {statistics.median(spent):7.3f} s   over bare: median {statistics.median(ratios):.3f}, "
            f"from {min(ratios):.3f} to {max(ratios):.3f}"
        )
    price = dr.cost(dr.hybrid(model, "a flat emoji of a skull", PROMPT, stage=1))[0]
    print(f"a hybrid with guidance: {price.questions} questions a step, {price.calls} calls in {price.moves} moves")


def bare(model: Cascade, job: dr.Job, batch: int) -> Callable[[], object]:
    """The calls of `job`'s network alone: the module on the stacked batch, once a step."""
    model.prepare(["", PROMPT])
    unet = model.memory.use(model.unets[0])
    table = model.encode(["", PROMPT]).embeddings
    embeddings = torch.cat([table[p].expand(batch, -1, -1) for p in (PROMPT, "")])
    facts = model.stages[0]
    x = torch.randn(2 * batch, facts.channels, *facts.size)

    @torch.no_grad()
    def calls() -> None:
        for move in job.stages[0].plan:
            unet(x, torch.tensor(move.at.t), encoder_hidden_states=embeddings, return_dict=False)

    return calls


def diffusers_pipeline(model: Cascade, batch: int, steps: int) -> Callable[[], object]:
    """Diffusers' own pipeline on the same folder."""
    from diffusers import IFPipeline

    folder = files("duckrabbit").joinpath("assets/weights", "miniature")
    pipe = IFPipeline.from_pretrained(str(folder), dtype=torch.float32)
    pipe.set_progress_bar_config(disable=True)
    prompt, negative = pipe.encode_prompt(PROMPT)
    given = {"prompt_embeds": prompt, "negative_prompt_embeds": negative, "num_images_per_prompt": batch}
    scale = model.card.guidance_scale
    return lambda: pipe(**given, num_inference_steps=steps, guidance_scale=scale, output_type="pt")


if __name__ == "__main__":
    main()
