"""The command that opens the studio."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from duckrabbit.files import only_writer


def register(app: typer.Typer) -> None:
    """Add the command to `app`."""

    @app.command()
    def studio(
        model: Annotated[
            str | None, typer.Option(help="The model to begin with: a name, a folder, or a hub id.")
        ] = None,
        port: Annotated[int | None, typer.Option(help="The port; the first free one from 7860 by default.")] = None,
        no_browser: Annotated[bool, typer.Option("--no-browser", help="Do not open a browser.")] = False,
        host: Annotated[
            str, typer.Option(help="The address to listen on; any but this machine's asks for a password.")
        ] = "127.0.0.1",
        password: Annotated[
            str, typer.Option(envvar="DUCKRABBIT_STUDIO_PASSWORD", help="What visitors have to know.", show_envvar=True)
        ] = "",
        root_path: Annotated[str, typer.Option(help="The path a proxy shows it under, such as /duck.")] = "",
        trusted_proxy: Annotated[
            list[str] | None, typer.Option(help="A proxy's address: what it says of host and scheme is believed.")
        ] = None,
        device: Annotated[str | None, typer.Option(help="cuda, mps or cpu.")] = None,
        dtype: Annotated[str | None, typer.Option(help="float32, bfloat16 or float16.")] = None,
        own: Annotated[
            list[str] | None, typer.Option(help="What is your own, for the menus: FILE.py:NAME; again for more.")
        ] = None,
        out: Annotated[Path, typer.Option(help="The shelf: the folder that keeps what is made.")] = Path("out/studio"),
    ) -> None:
        """Open a page to play on: create, denoise, edit, inpaint, make illusions, keep the good ones.

        **Examples**

            duckrabbit studio
            duckrabbit studio --model oracle --port 8000 --no-browser
            DUCKRABBIT_STUDIO_PASSWORD=... duckrabbit studio --host 0.0.0.0
            duckrabbit studio --root-path /duck --trusted-proxy 127.0.0.1
            duckrabbit studio --own my_view.py:MyView --own my_solver.py:MySolver
        """
        from duckrabbit.studio.server.serve import StudioOptions, serve

        proxies, given = tuple(trusted_proxy or ()), tuple(own or ())
        with only_writer(out, "a shelf has one studio. Use the page that is open, or name another --out"):
            browser = not no_browser
            serve(StudioOptions(out, model, device, dtype, host, port, password, browser, root_path, proxies, given))
