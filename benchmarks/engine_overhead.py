"""What the engine costs beside the bare network calls, and beside diffusers on the same weights.

    python benchmarks/engine_overhead.py [--model miniature] [--batch 4] [--steps 30] [--rounds 5]

Three ways to make the same pictures with classifier-free guidance are timed in turn, A B C A B C ...,
so that a drift of the machine's speed meets all alike; the median of each and the ratios are printed:

    bare       the U-Net called on the stacked batch, once a step, and nothing else
    engine     duckrabbit.run on the job
    diffusers  IFPipeline on the same folder, with the same steps, embeddings and scale

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
from duckrabbit.diffusion.prediction import Query

PROMPT = "a glossy emoji of a cat face"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--batch", type=int, default=4)
    parser.add_argument("--steps", type=int, default=30)
    parser.add_argument("--rounds", type=int, default=5)
    args = parser.parse_args()
    model = dr.load("miniature", device="cpu", dtype="float32")
    job = dr.generate(model, PROMPT, steps=args.steps, stage=1)
    seeds = list(range(args.batch))
    ways: dict[str, Callable[[], object]] = {
        "bare": bare(model, job, args.batch),
        "engine": lambda: dr.run(job, seeds),
        "diffusers": diffusers_pipeline(model, args.batch, args.steps),
    }
    for way in ways.values():
        way()
    times: dict[str, list[float]] = {name: [] for name in ways}
    for _ in range(args.rounds):
        for name, way in ways.items():
            began = time.perf_counter()
            way()
            times[name].append(time.perf_counter() - began)
    base = times["bare"]
    print(f"batch {args.batch}, {args.steps} steps, guidance, {torch.get_num_threads()} threads, float32")
    for name, spent in times.items():
        ratios = [t / b for t, b in zip(spent, base, strict=True)]
        print(
            f"{name:10s} median {statistics.median(spent):7.3f} s   of bare: median {statistics.median(ratios):.3f}, "
            f"from {min(ratios):.3f} to {max(ratios):.3f}"
        )
    price = dr.cost(dr.hybrid(model, "a flat emoji of a skull", PROMPT, stage=1))[0]
    print(
        f"hybrid with guidance: {price.questions} questions a step, {price.calls} network calls in {price.moves} moves"
    )


@torch.no_grad()
def bare(model: object, job: dr.Job, batch: int) -> Callable[[], object]:
    """The network calls of `job` alone: one call a step on the same stacked batch."""
    stage = job.stages[0]
    model.prepare(["", PROMPT])
    network = model.network(0)
    x = torch.randn(batch, 3, model.stages[0].size, model.stages[0].size)
    queries = [Query(x, PROMPT), Query(x, "")]

    def calls() -> None:
        for move in stage.plan:
            network(queries, move.at)

    return calls


def diffusers_pipeline(model: object, batch: int, steps: int) -> Callable[[], object]:
    """Diffusers' own pipeline on the same folder."""
    from diffusers import IFPipeline

    folder = files("duckrabbit.models").joinpath("weights", "miniature")
    pipe = IFPipeline.from_pretrained(str(folder), torch_dtype=torch.float32)
    pipe.set_progress_bar_config(disable=True)
    prompt, negative = pipe.encode_prompt(PROMPT)
    given = {"prompt_embeds": prompt, "negative_prompt_embeds": negative, "num_images_per_prompt": batch}
    scale = model.card.guidance_scale
    return lambda: pipe(**given, num_inference_steps=steps, guidance_scale=scale, output_type="pt")


if __name__ == "__main__":
    main()
