"""Commands that show how it works: noise, denoise, replay."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from duckrabbit.cli.options import Common, command, find_model, numbers, refuse_empty, with_examples
from duckrabbit.errors import UserError

if TYPE_CHECKING:
    from duckrabbit.models.model import Model

Times = Annotated[
    str | None, typer.Option("--t", help="Times of the model's schedule; its quarters by default, as in 250,500,750.")
]
Sigmas = Annotated[
    str | None, typer.Option("--sigma", help="Instead of --t: the noise on a picture from 0 to 1, as in 0.2,0.5.")
]


def register(app: typer.Typer) -> None:
    """Add the commands of this file to `app`."""
    command(app)(noise)
    command(app)(denoise)
    app.command(help=with_examples(replay))(replay)


def noise(
    image: Annotated[Path, typer.Argument(help="A picture; its middle square is used.")],
    t: Times = None,
    sigma: Sigmas = None,
    *,
    common: Common,
) -> None:
    """Show the forward process: a picture with ever more noise.

    **Examples**

        duckrabbit noise photo.jpg --t 250,500,750
        duckrabbit noise photo.jpg --sigma 0.2,0.5,1
    """
    from duckrabbit.cli.perform import perform
    from duckrabbit.report.figures import forward_process
    from duckrabbit.tasks.pictures import read_picture
    from duckrabbit.tasks.tasks import noise as task

    common.refuse("noise", "steps", "steps_stage2", "guidance_scale", "negative_prompt", "solver", "stage", "preset")
    common.refuse("noise", "count", "micro_batch", "prompts", "dtype")
    model, picture = common.load(), read_picture(image)
    jobs = [task(model, picture, at) for at in times_of(model, t, sigma)]
    perform(common, jobs, lambda run: forward_process(run, picture, jobs, common.seeds[0]))


def denoise(
    image: Annotated[Path, typer.Argument(help="A picture; its middle square is used.")],
    t: Times = None,
    sigma: Sigmas = None,
    prompt: Annotated[str | None, typer.Option(help="What the network is told; its null prompt by default.")] = None,
    *,
    common: Common,
) -> None:
    """Noise a picture, and take the noise away: by blur, by median, in one step, step by step.

    **Examples**

        duckrabbit denoise photo.jpg --t 250,500,750
        duckrabbit denoise photo.jpg --t 690 --preset cs180
        duckrabbit denoise digit.png --model mnist-denoiser --sigma 0.5
    """
    from duckrabbit.cli.perform import perform
    from duckrabbit.report.figures import denoising, methods_of
    from duckrabbit.tasks.pictures import read_picture
    from duckrabbit.tasks.tasks import denoise as task
    from duckrabbit.tasks.tasks import options_for

    common.refuse("denoise", "count", "stage", "steps_stage2")
    if prompt is not None:
        refuse_empty(prompt)
    model, options, picture = common.load(), common.options(), read_picture(image)
    times, methods = times_of(model, t, sigma), methods_of(model.stages[0])
    if "iterative" not in methods:
        common.refuse("denoise with a model of one step", "steps", "solver")
    jobs = [task(model, picture, at, prompt, method=m, **options_for(m, options)) for at in times for m in methods]
    given = {"subject": prompt, **options}
    perform(common, jobs, lambda run: denoising(run, model, picture, times, common.seeds[0], **given))


def times_of(model: Model, t: str | None, sigma: str | None) -> list[float]:
    """The times that --t names or --sigma means; by default a quarter, a half and three quarters of the way.

    A picture from 0 to 1 with noise of `sigma` has, in the model's range, sigma times its width.
    """
    from duckrabbit.diffusion.levels import quarters, time_at

    if t is not None and sigma is not None:
        raise UserError("Give either --t or --sigma, not both.")
    facts = model.stages[0]
    if sigma is not None:
        width = facts.value_range[1] - facts.value_range[0]
        return [time_at(facts.schedule, width * s) for s in numbers(sigma, "--sigma", float)]
    return list(quarters(facts.schedule)) if t is None else numbers(t, "--t", float)


def replay(
    record: Annotated[Path, typer.Argument(help="A .json record, or a picture that carries one.")],
    model: Annotated[str | None, typer.Option(help="Where the model is now, if it lay in a folder.")] = None,
    prompts: Annotated[Path | None, typer.Option(help="Encoded prompts, if the run used a file of them.")] = None,
    device: Annotated[str | None, typer.Option(help="Another device than the record's.")] = None,
    dtype: Annotated[str | None, typer.Option(help="Another dtype than the record's.")] = None,
    view: Annotated[list[str] | None, typer.Option(help="A view of your own that the run used: FILE.py:NAME.")] = None,
) -> None:
    """Run a record again and compare the pictures to the pixel.

    **Examples**

        duckrabbit replay out/anagram-001/01.json
        duckrabbit replay out/anagram-001/01-seed180.png
    """
    from duckrabbit.cli.perform import progress
    from duckrabbit.guidance.views.own import define
    from duckrabbit.records.read import read_record
    from duckrabbit.records.replay import replay

    define(view or ())
    costs = read_record(record)["cost"]
    with progress(sum(c.get("moves", 0) for c in costs if isinstance(c, dict))) as advance:
        again = replay(
            record,
            model=model and find_model(model),
            prompts=prompts,
            device=device,
            dtype=dtype,
            on_state=lambda *_: advance("again"),
        )
    if again.changed:
        typer.echo(f"changed since then: {', '.join(again.changed)}")
    if again.same:
        typer.echo("the same, to the pixel")
        return
    seen = (
        "the old pictures are not beside the record"
        if again.difference is None
        else f"by up to {again.difference} of 255"
    )
    typer.echo(f"not the same: {seen}")
    raise typer.Exit(1)
