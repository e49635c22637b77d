"""Commands about models and prompts: models list / show / fetch, prompts encode / show / convert."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from duckrabbit.cli.options import with_examples
from duckrabbit.cli.saying import say
from duckrabbit.errors import UserError
from duckrabbit.models.cards import DEFAULT
from duckrabbit.tasks.arguments import refuse_empty
from duckrabbit.values import words_of

if TYPE_CHECKING:
    from duckrabbit.models.model import Card, StageFacts

Output = Annotated[Path, typer.Option("--output", "-o", help="The file to write, FILE.safetensors.")]
ModelName = Annotated[str, typer.Argument(metavar="NAME", help="A name, a folder, or a hub id.")]


def register(app: typer.Typer) -> None:
    """Add the commands of this file to `app`."""
    models = typer.Typer(no_args_is_help=True, help="List, show and fetch models.", rich_markup_mode="markdown")
    _add(models, {"list": list_models, "show": show_model, "fetch": fetch_model})
    prompts = typer.Typer(
        no_args_is_help=True, help="Encode prompts, to be used without a text encoder.", rich_markup_mode="markdown"
    )
    _add(prompts, {"encode": encode_prompts, "show": show_prompts, "convert": convert_prompts})
    app.add_typer(models, name="models")
    app.add_typer(prompts, name="prompts")


def _add(group: typer.Typer, commands: dict[str, Callable[..., None]]) -> None:
    for name, function in commands.items():
        group.command(name, help=with_examples(function))(function)


def list_models() -> None:
    """List the models that are known by name.

    **Examples**

        duckrabbit models list
    """
    from rich.console import Console
    from rich.table import Table

    from duckrabbit.models.cards import DEFAULT, cards

    table = Table(box=None, pad_edge=False, header_style="bold")
    table.add_column("name", no_wrap=True)
    for heading in ("what it is", "stages", "licence", "here"):
        table.add_column(heading, overflow="fold")
    for card in cards().values():
        name = f"{card.name} *" if card.name == DEFAULT else card.name
        table.add_row(name, card.title, str(_stage_count(card)), card.licence, "yes" if is_here(card) else "no")
    console = Console(highlight=False)
    console.print(table)
    console.print("* is taken where no --model is given. Get one with: duckrabbit models fetch NAME")


def show_model(name: ModelName) -> None:
    """Show what is known of a model: its licence, and, if it is here, its stages.

    **Examples**

        duckrabbit models show miniature
        duckrabbit models show path/to/a/folder
    """
    from duckrabbit.models.cards import cards

    known = cards().get(name)
    if known is not None and not is_here(known):
        _tell_card(known)
        say(f"not on this machine; get it with: duckrabbit models fetch {name}")
        return
    from duckrabbit.models.load import load
    from duckrabbit.tasks.timing import need_of

    model = load(name)
    _tell_card(model.card)
    for k, facts in enumerate(model.stages):
        _tell_stage(k, facts)
    if (need := need_of(model)) is not None:
        say(str(need))
    for path, digest in model.weight_hash().items():
        say(f"sha256 {digest[:16]}...  {path}")


def fetch_model(
    name: ModelName,
    yes: Annotated[bool, typer.Option("--yes", help="Accept the licence and the size without being asked.")] = False,
) -> None:
    """Get a model from its hub, once; its licence and size are shown first.

    **Examples**

        duckrabbit models fetch deepfloyd-m
        duckrabbit models fetch deepfloyd-xl --yes
    """
    from duckrabbit.models.cards import cards
    from duckrabbit.models.cascade.fetch import fetch, missing_parts

    known = cards().get(name)
    if known is not None:  # before the hub is asked, which may want the licence accepted on its page
        _tell_card(known)
    card, parts = missing_parts(name)
    if not parts:
        say(f"{card.name} is on this machine already; there is nothing to fetch.")
        return
    if known is None:
        _tell_card(card)
    for item in parts:
        say(f"{item.size / 2**30:8.2f} GiB  {item.repository.name} {item.part}")
    say(f"{sum(item.size for item in parts) / 2**30:8.2f} GiB  in all")
    if not yes and not _agreed("Fetch it under this licence?"):
        say("Nothing was fetched.")
        raise typer.Exit(1)
    fetch(parts)
    say(f"{card.name} is ready: duckrabbit generate PROMPT --model {name}")


def encode_prompts(
    prompts_: Annotated[list[str], typer.Argument(metavar="PROMPT...", help="What to encode.")],
    output: Output = Path("prompts.safetensors"),
    model: Annotated[str, typer.Option(help="The model whose text encoder to use.")] = DEFAULT,
    device: Annotated[str | None, typer.Option(help="cuda, mps or cpu; the best there is by default.")] = None,
    dtype: Annotated[str | None, typer.Option(help="float32, bfloat16 or float16; what suits the device.")] = None,
) -> None:
    """Encode prompts into a file, with the model's null prompt; then no text encoder is needed.

    **Examples**

        duckrabbit prompts encode "a man wearing a hat" "a rocket ship" --model deepfloyd-xl -o prompts.safetensors
        duckrabbit generate "a rocket ship" --model deepfloyd-xl --prompts prompts.safetensors
    """
    from duckrabbit.models.load import load

    for prompt in prompts_:
        refuse_empty(prompt)
    _check_output(output)
    loaded = load(model, device=device, dtype=dtype)
    encode = getattr(loaded, "encode", None)
    if encode is None:
        raise UserError(f"{loaded.card.name} has no text encoder, so its prompts need no file.")
    null = loaded.card.null_prompt
    table = encode(dict.fromkeys([*prompts_, null, str(loaded.card.roles.get("null", null))]))
    table.save(output)
    for note in table.notes.values():
        say(note, err=True)
    say(f"{len(table.embeddings)} prompts in {output}")


def show_prompts(
    file: Annotated[Path, typer.Argument(help="A prompt file, or the course's .pth of embeddings.")],
) -> None:
    """Show which prompts a file holds.

    **Examples**

        duckrabbit prompts show prompts.safetensors
    """
    from duckrabbit.models.cascade.text_encoder import read_prompts

    table = read_prompts(file, rules=None)
    for prompt, embedding in sorted(table.embeddings.items()):
        seen = f", {int(table.masks[prompt].sum())} not padding" if prompt in table.masks else ""
        say(f"{embedding.shape[0]} x {embedding.shape[1]}{seen}  {prompt or '(the empty prompt)'}")
    for note in table.notes.values():
        say(note)
    if table.rules is not None:
        say(f"read by: {table.rules}")
    say(f"text encoder: {table.encoder[:16] + '...' if table.encoder else 'not told'}")


def convert_prompts(
    file: Annotated[Path, typer.Argument(help="The course's .pth: a dictionary of prompts and embeddings.")],
    output: Output = Path("prompts.safetensors"),
) -> None:
    """Convert a .pth of embeddings; it is read as plain tensors, so that it cannot run code.

    **Examples**

        duckrabbit prompts convert prompt_embeds_dict.pth -o prompts.safetensors
    """
    from duckrabbit.models.cascade.text_encoder import read_prompts

    _check_output(output)
    table = read_prompts(file, rules=None)
    table.save(output)
    say(f"{len(table.embeddings)} prompts in {output}")


def is_here(card: Card) -> bool:
    """Whether a model can be used without a network; looks at files only."""
    from duckrabbit.models.cards import is_packaged

    if card.source == "builtin" or is_packaged(card):
        return True
    if card.text_encoder:
        from duckrabbit.models.pixnerd.cached import is_cached

        return is_cached(card)
    stages = [(card.source, ("text_encoder", card.network)), *([(card.stage2, ("unet",))] if card.stage2 else [])]
    return all(_is_cached(repository, part, card.variant) for repository, parts in stages for part in parts)


def _is_cached(repository: str, part: str, variant: str) -> bool:
    from huggingface_hub import try_to_load_from_cache

    from duckrabbit.models.weights import is_complete

    config = try_to_load_from_cache(repository, f"{part}/config.json")
    return isinstance(config, str) and is_complete(Path(config).parent, part, variant)


def _stage_count(card: Card) -> int:
    return max(len(card.steps), 2 if card.stage2 else 1)


def _tell_card(card: Card) -> None:
    say(f"{card.name}: {card.title}")
    say(f"licence: {card.licence} {card.licence_url}".rstrip())
    if card.attribution:
        say(card.attribution)
    if card.gated:
        say("access: its authors ask you to accept the licence on their page first, logged in.")
    say(f"from: {' and '.join(filter(None, (card.source, card.stage2)))}")


def _tell_stage(k: int, facts: StageFacts) -> None:
    limit = "not limited"
    if facts.limiter is not None:
        most, ratio = facts.limiter.max_value, facts.limiter.ratio
        limit = f"within {most:g}" if ratio is None else f"within its quantile {ratio:g}, from 1 to {most:g}"
    given = f", from a picture noised to {facts.noise_level}" if facts.noising else ""
    habits = f"{facts.steps} steps, {facts.spacing}, variance {facts.variance}, x0 {limit}"
    say(f"stage {k + 1}: {words_of(facts.size)} px, predicts {facts.prediction_type}{given}; {habits}")


def _agreed(question: str) -> bool:
    try:
        return typer.confirm(question)
    except typer.Abort:  # nobody is there to answer
        return False


def _check_output(path: Path) -> None:
    if path.suffix != ".safetensors":
        raise UserError(f"Prompts are written to a .safetensors file, not to {path}; change -o.")
