"""The command `search`: which two things make an illusion."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Annotated

import typer

from duckrabbit.cli.options import with_examples
from duckrabbit.errors import UserError

OUT = Path("out/search")
_PARTS = re.compile(r"(?:(\d+(?:\.\d+)?)h)?(?:(\d+(?:\.\d+)?)m)?(?:(\d+(?:\.\d+)?)s)?")


def register(app: typer.Typer) -> None:
    """Add the commands of this file to `app`."""
    app.command(help=with_examples(search))(search)


def search(
    subjects: Annotated[
        str,
        typer.Option(help="What to search among: `all` that the judge knows, names with commas, or a FILE of lines."),
    ] = "all",
    style: Annotated[str, typer.Option(help="How all of it is drawn, as in `flat emoji`.")] = "flat emoji",
    view: Annotated[str, typer.Option(help="How the second thing is seen; see `duckrabbit views`.")] = "rotate_180",
    budget: Annotated[str, typer.Option(help="How long to search: 90s, 20m, 1h30m.")] = "20m",
    keep: Annotated[int, typer.Option(min=1, max=100, help="How many winners to verify and show.")] = 10,
    fresh: Annotated[int, typer.Option(min=1, max=64, help="Seeds to verify each winner on.")] = 8,
    steps: Annotated[
        int | None, typer.Option(min=1, help="Steps to verify and draw winners with; the model's own by default.")
    ] = None,
    model: Annotated[str, typer.Option(help="A text-to-image model of drawings.")] = "miniature",
    device: Annotated[str | None, typer.Option(help="cuda, mps or cpu; the best there is by default.")] = None,
    dtype: Annotated[str | None, typer.Option(help="float32; bfloat16 is twice as fast on some chips.")] = None,
    judge: Annotated[Path | None, typer.Option(help="Instead of the shipped one: of `duckrabbit train judge`.")] = None,
    seed: Annotated[int, typer.Option(min=0, help="What pairs are proposed by.")] = 0,
    out: Annotated[Path, typer.Option("--out", help="A folder for the page; a search there goes on.")] = OUT,
    quiet: Annotated[bool, typer.Option("--quiet", help="Print nothing but errors.")] = False,
) -> None:
    """Find pairs of things that one picture can show both of: tried cheaply, judged, and verified on fresh seeds.

    Ctrl-C keeps what is known, and the same command goes on. The page out/search/index.html has the winners ranked,
    with intervals, and the command for each.

    **Examples**

        duckrabbit search --view rotate_180 --budget 20m
        duckrabbit search --subjects "duck,rabbit face,fish,rose,owl" --view rotate_90 --budget 3m --keep 3
        duckrabbit search --subjects words.txt --style "glossy emoji" --view flip --out out/flips
    """
    from duckrabbit.cli.search_run import Asked, carry_out
    from duckrabbit.registry import define

    for part in view.split("+"):
        define("view", part.strip())
    where = device, dtype, judge
    carry_out(
        Asked(_words(subjects), style, view, seconds_of(budget), keep, fresh, steps, seed), model, where, out, quiet
    )


def seconds_of(text: str) -> float:
    """A time as people say it, in seconds: "90s", "20m", "1h30m", "45". Raises UserError for none."""
    plain = text.strip().lower()
    parts = _PARTS.fullmatch(plain)
    if plain.replace(".", "", 1).isascii() and plain.replace(".", "", 1).isdigit():
        seconds = float(plain)
    elif plain and parts is not None:
        seconds = sum(float(n) * unit for n, unit in zip(parts.groups(), (3600, 60, 1), strict=True) if n)
    else:
        raise UserError(f"A budget is a time, as in 90s, 20m or 1h30m, not '{text}'.")
    if not 0 < seconds <= 7 * 24 * 3600:
        raise UserError(f"A budget is more than nothing and at most a week, not '{text}'.")
    return seconds


def _words(subjects: str) -> list[str]:
    """The subjects that an option names: a file's lines, or what stands between commas."""
    path = Path(subjects).expanduser()
    if path.suffix and path.is_file():
        try:
            lines = path.read_text(encoding="utf-8").splitlines()
        except (OSError, ValueError) as error:
            raise UserError(f"{path} cannot be read ({error}); give a text file with a subject a line.") from None
        words = [line for line in lines if not line.lstrip().startswith("#")]
    else:
        words = subjects.split(",")
    return [word.strip() for word in words if word.strip()]
