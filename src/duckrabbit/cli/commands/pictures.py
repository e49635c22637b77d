"""Commands that make pictures: generate, edit, inpaint, upscale."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from duckrabbit.cli.options import Common, command, find_model, numbers, refuse_empty
from duckrabbit.errors import UserError

if TYPE_CHECKING:
    from duckrabbit.tasks.tasks import Subject

Views = Annotated[
    list[str] | None,
    typer.Option("--view", help="How a further prompt is seen: flip, rotate_90, negate, my_view.py:MyView, ..."),
]
SubjectPrompt = Annotated[
    list[str] | None, typer.Option("--prompt", help="What to make; again with --view for an anagram.")
]


def register(app: typer.Typer) -> None:
    """Add the commands of this file to `app`."""
    for function in (generate, edit, inpaint, upscale):
        command(app)(function)


def generate(
    prompts_: Annotated[
        list[str] | None,
        typer.Argument(metavar="[PROMPT]...", help="What to make; each is a row. A model of digits needs none."),
    ] = None,
    *,
    common: Common,
) -> None:
    """Make pictures from pure noise.

    **Examples**

        duckrabbit generate "a glossy emoji of a cat face" --count 4
        duckrabbit generate "a 3d render of a robot" --steps 5,20,100
        duckrabbit generate "a flat emoji of an owl" --guidance-scale 1,4 --solver dpm++
        duckrabbit generate 0 1 2 3 --model mnist-class --count 8
    """
    from duckrabbit.cli.perform import perform
    from duckrabbit.models.load import digits_folder
    from duckrabbit.report.figures import comparison
    from duckrabbit.tasks.tasks import generate as task

    if not prompts_ and digits_folder(find_model(common.model)) is None:
        raise typer.BadParameter("say what the picture is to be; only models of digits need not be told.")
    model = common.load()
    for prompt in prompts_ or ():
        refuse_empty(prompt)
    jobs = []
    for prompt in prompts_ or [model.card.null_prompt]:
        for words, options in common.variants():
            job = task(model, prompt, **options)
            jobs.append(replace(job, title=f"{job.title}, {words}" if words else job.title))
    perform(common, jobs, lambda run: comparison(run, jobs, common.seeds, "From pure noise"))


def edit(
    image: Annotated[Path, typer.Argument(help="A photo, a web picture, a drawing; its middle square is used.")],
    start: Annotated[
        str | None,
        typer.Option(help="Indices of the first move: 0 begins from pure noise and keeps nothing, more keep more."),
    ] = None,
    strength: Annotated[
        str | None, typer.Option(help="Instead of --start: parts of the plan to run, in (0, 1]; 1 keeps nothing.")
    ] = None,
    prompt: SubjectPrompt = None,
    view: Views = None,
    *,
    common: Common,
) -> None:
    """Noise a picture and bring it back (SDEdit); with --prompt, as something else.

    **Examples**

        duckrabbit edit photo.jpg --start 1,3,5,7,10,20
        duckrabbit edit drawing.png --strength 0.6 --prompt "a glossy emoji of a rocket" --count 4
    """
    from duckrabbit.cli.perform import perform
    from duckrabbit.report.figures import edits
    from duckrabbit.tasks.pictures import read_picture
    from duckrabbit.tasks.tasks import edit as task

    if start is not None and strength is not None:
        raise UserError("Give either --start or --strength, not both.")
    model, subject, picture = common.load(), subject_of(prompt, view), read_picture(image)
    if strength is not None:
        values = numbers(strength, "--strength", float)
        jobs = [task(model, picture, subject, strength=s, **common.options()) for s in values]
    else:
        indices = numbers(start or "1,3,5,7,10,20", "--start", int)
        jobs = [task(model, picture, subject, start=i, **common.options()) for i in indices]
    title = f"SDEdit: {subject}" if isinstance(subject, str) else "SDEdit"
    perform(common, jobs, lambda run: edits(run, picture, jobs, common.seeds, title))


def inpaint(
    image: Annotated[Path, typer.Argument(help="The picture; its middle square is used.")],
    mask: Annotated[
        Path | None, typer.Argument(help="A mask of the same size: white is made anew, black is kept.")
    ] = None,
    box: Annotated[
        str | None, typer.Option(help="Instead of a mask: x0,y0,x1,y1 in pixels of the middle square, made anew.")
    ] = None,
    invert: Annotated[
        bool, typer.Option("--invert", help="The other way round: black, or what is outside the box, is made anew.")
    ] = False,
    prompt: SubjectPrompt = None,
    view: Views = None,
    jump: Annotated[int, typer.Option(help="RePaint: go back so many moves ...")] = 1,
    resample: Annotated[int, typer.Option(help="... and walk them so many times; 1 does not go back.")] = 1,
    clean_known: Annotated[
        bool, typer.Option("--clean-known", help="Keep the known pixels without noise, for comparison.")
    ] = False,
    *,
    common: Common,
) -> None:
    """Make a part of a picture anew, and keep the rest to the pixel.

    **Examples**

        duckrabbit inpaint photo.jpg mask.png --prompt "a 3d render of a rocket"
        duckrabbit inpaint photo.jpg --box 40,0,120,80 --jump 5 --resample 3 --count 4
        duckrabbit inpaint photo.jpg keep.png --invert --prompt "a 3d render of a rocket"
    """
    from duckrabbit.cli.perform import perform
    from duckrabbit.report.figures import before_and_after
    from duckrabbit.tasks.masks import as_mask, box_mask
    from duckrabbit.tasks.pictures import read_picture
    from duckrabbit.tasks.tasks import inpaint as task

    if (mask is None) == (box is None):
        raise UserError("Say what to make anew: either a MASK (white is new) or --box x0,y0,x1,y1.")
    picture = read_picture(image)
    if mask is not None:
        white = as_mask(mask, picture, invert)
    else:
        corners = numbers(box or "", "--box", float)
        if len(corners) != 4:
            raise UserError(f"--box takes four numbers, x0,y0,x1,y1, not '{box}'.")
        inside = box_mask((corners[0], corners[1], corners[2], corners[3]), min(picture.size))
        white = 1 - inside if invert else inside
    job = task(
        common.load(), picture, white, subject_of(prompt, view),
        jump=jump, resample=resample, how="clean" if clean_known else "renoised", **common.options(),
    )  # fmt: skip
    hole = picture.pixels * (1 - white) + white * 0.5
    given = [(picture.pixels, "the picture"), (hole, "grey is made anew")]
    title = f"Inpainting: {job.title}"
    perform(common, [job], lambda run: before_and_after(run, given, job, common.seeds, title, view or ()))


def upscale(
    image: Annotated[Path, typer.Argument(help="The picture to enlarge.")],
    prompt: SubjectPrompt = None,
    view: Views = None,
    *,
    common: Common,
) -> None:
    """Send a picture through the second stage of a cascade; it is first brought to the size of the first.

    **Examples**

        duckrabbit upscale out/generate-001/01-seed180.png --model deepfloyd-m --prompt "a cat"
    """
    from duckrabbit.cli.perform import perform
    from duckrabbit.report.figures import before_and_after
    from duckrabbit.tasks.pictures import read_picture, resize
    from duckrabbit.tasks.tasks import upscale as task

    common.refuse("upscale", "stage", "steps", "guidance_scale", "preset")
    model, picture = common.load(), read_picture(image)
    job = task(model, picture, subject_of(prompt, view), **common.options())
    given = [(resize(picture.pixels, model.stages[0].size), "the picture")]
    perform(common, [job], lambda run: before_and_after(run, given, job, common.seeds, "Enlarged", view or ()))


def subject_of(prompts: list[str] | None, views: list[str] | None) -> Subject | None:
    """One prompt as it is, several as an anagram, none as None. Raises UserError."""
    if not prompts:
        if views:
            raise UserError("--view shows a further prompt; give two prompts or more with it.")
        return None
    if len(prompts) == 1 and not views:
        refuse_empty(prompts[0])
        return prompts[0]
    return views_of(prompts, views or [])


def views_of(prompts: list[str], views: list[str]) -> dict[str, str]:
    """The first prompt upright, each further one in its view. Raises UserError where they do not fit."""
    from duckrabbit.guidance.views.own import define

    for prompt in prompts:
        refuse_empty(prompt)
    define(views)
    if len(prompts) != len(views) + 1:
        raise UserError(
            f"{len(prompts)} prompts need {len(prompts) - 1} --view, one for each prompt after the first; "
            f"there {'is' if len(views) == 1 else 'are'} {len(views)}."
        )
    paired = dict(zip(["identity", *views], prompts, strict=True))
    if len(paired) < len(prompts):
        raise UserError("Each view of an anagram shows one prompt; name no view twice.")
    return paired
