"""The engine without its tasks: a guidance tree, lowered to a denoiser, walked by the loop.

    python examples/loop_by_hand.py [--model oracle] [--out loop.gif]

Writes the states of one run as a film. The model is asked twice a step, in one network call.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import torch
from PIL import Image

import duckrabbit as dr


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", default="oracle")
    parser.add_argument("--prompt", default="a red circle")
    parser.add_argument("--out", type=Path, default=Path("loop.gif"))
    args = parser.parse_args()

    model = dr.load(args.model)
    facts = model.stages[0]
    plan = dr.plan_through(facts.schedule, facts.schedule.times(30))
    tree = dr.Clip(dr.CFG(dr.Prompt(args.prompt), dr.Prompt(""), scale=2.0))

    model.prepare([args.prompt, ""])
    denoise = dr.lower(tree, model.network(0))
    noise = dr.Noise(seeds=(180,))
    x = noise(torch.empty(1, facts.channels, *facts.size), "start")

    frames = []
    for state in dr.trajectory(denoise, x, plan, dr.DDPM("small"), noise):
        pixels = ((state.x[0].clamp(-1, 1) + 1) * 127.5).round().to(torch.uint8).permute(1, 2, 0).numpy()
        frames.append(Image.fromarray(pixels).resize((256, 256), Image.Resampling.NEAREST))
        print(f"move {state.i:2d}: t = {state.at.t:5g}, alpha = {state.at.alpha:.3f}, sigma = {state.at.sigma:.3f}")
    frames[0].save(args.out, save_all=True, append_images=frames[1:], duration=80, loop=0)
    print(args.out)


if __name__ == "__main__":
    main()
