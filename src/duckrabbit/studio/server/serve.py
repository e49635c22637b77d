"""Serving the studio: the page, its guard, and a clean end."""

from __future__ import annotations

import os
import socket
import sys
import tempfile
import threading
import time
import webbrowser
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from importlib.resources import files
from pathlib import Path
from typing import TYPE_CHECKING, Any

from duckrabbit.errors import UserError
from duckrabbit.studio.server.proxies import front

if TYPE_CHECKING:
    from duckrabbit.studio.forms.kinds import Form
    from duckrabbit.studio.queue.desk import Desk
    from duckrabbit.studio.queue.desks import Desks
    from duckrabbit.studio.shelf.shelf import Shelf

FIRST_PORT, PORTS = 7860, 40
SAMPLES = ("face.png", "house.png", "flower.png", "apple.png", "cat.png", "astronaut.png")


@dataclass(frozen=True)
class StudioOptions:
    """How the studio is to be served; see the command `duckrabbit studio`."""

    folder: Path = Path("out/studio")
    model: str | None = None
    device: str | None = None
    dtype: str | None = None
    host: str = "127.0.0.1"
    port: int | None = None
    password: str = ""
    browser: bool = True
    root_path: str = ""
    proxies: tuple[str, ...] = ()
    own: tuple[str, ...] = ()


def check(options: StudioOptions) -> None:
    """Raises UserError for another address without a password, and where Gradio is not installed.

    So does what stands before the studio, if it is none that can be.
    """
    front(options.root_path, options.proxies)
    if options.host not in ("127.0.0.1", "localhost", "::1") and not options.password:
        raise UserError(
            f"On {options.host} others could use the studio: give it a password with --password, "
            "or the environment variable DUCKRABBIT_STUDIO_PASSWORD."
        )
    if options.password and len(options.password) < 8:
        raise UserError("The password is too short; choose one of 8 characters or more.")
    try:
        import gradio  # noqa: F401
    except ImportError:
        raise UserError("The studio needs Gradio; install it with: pip install 'duckrabbit[studio]'") from None


class Studio:
    """The studio as an ASGI application, `app`, with its desk and its shelf. Close it when done."""

    def __init__(self, options: StudioOptions) -> None:
        _configure_gradio(options.folder)
        from duckrabbit.studio.forms.plain import form_of
        from duckrabbit.studio.page.models import digit_menu, menu
        from duckrabbit.studio.page.page import Page
        from duckrabbit.studio.page.starters import starters
        from duckrabbit.studio.queue.desks import Desks
        from duckrabbit.studio.server.guard import LOCAL, Guard
        from duckrabbit.studio.shelf.own import introduce_all
        from duckrabbit.studio.shelf.shelf import Shelf

        self.shelf = Shelf(options.folder)
        own = introduce_all(self.shelf, options.own)
        model = own.get(options.model or "", options.model)
        models, digits = menu(model), digit_menu(model)
        samples, chalk = _samples(self.shelf)
        first = form_of("generate", starters(models[0], samples)["generate"])
        names = [*(card.name for card in models), *(choice.model for choice in digits)]
        self.desk = Desks(_desks(self.shelf, options, names, first))
        begin = "digits" if model in [choice.model for choice in digits] else "create"
        self.shelf.needed = lambda: (*samples, *chalk, *_awaited(self.desk))
        page = Page(self.desk, self.shelf, models, digits, samples, chalk, begin)
        before, local = front(options.root_path, options.proxies), options.host in LOCAL
        self.app = Guard(_mounted(page.build()), self.shelf, options.password, local, self.desk.abandon, before)

    def close(self) -> None:
        """Stop what runs; nothing half-made stays on the shelf."""
        self.desk.close()


def serve(options: StudioOptions) -> None:
    """Serve until ctrl-C."""
    import uvicorn

    check(options)
    listening = listen(options.host, options.port)
    studio = Studio(options)
    port = listening.getsockname()[1]
    address = f"http://{'127.0.0.1' if options.host in ('127.0.0.1', 'localhost') else options.host}:{port}"
    address += options.root_path.rstrip("/")
    server = uvicorn.Server(uvicorn_config(studio.app))
    try:
        sys.stdout.write(f"The studio is open at {address} (ctrl-C closes it).\nIts shelf: {studio.shelf.folder}\n")
        sys.stdout.flush()
        if options.browser:
            threading.Thread(target=_show, args=(address,), daemon=True).start()
        server.run(sockets=[listening])
    except KeyboardInterrupt:
        pass
    finally:
        studio.close()
        listening.close()
    sys.stdout.write("The studio is closed; what was made is on its shelf.\n")


def uvicorn_config(app: Any) -> Any:
    """How uvicorn serves: quietly, not waiting for pages that listen, and believing no proxy, which the guard does."""
    import uvicorn

    return uvicorn.Config(
        app, log_level="error", access_log=False, timeout_graceful_shutdown=1, lifespan="on",
        proxy_headers=False,
    )  # fmt: skip


def listen(host: str, port: int | None) -> socket.socket:
    """A socket on `port`, or on the first free one from 7860. Raises UserError where it is taken."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    for number in [port] if port is not None else range(FIRST_PORT, FIRST_PORT + PORTS):
        candidate = socket.socket(family, socket.SOCK_STREAM)
        candidate.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            candidate.bind((host, number))
            candidate.listen(128)
            return candidate
        except (OSError, OverflowError):
            candidate.close()
    where = f"the port {port}" if port is not None else f"a port from {FIRST_PORT}"
    raise UserError(
        f"The studio cannot listen on {host} at {where}: it is taken or not allowed. Choose another --port."
    )


def _desks(shelf: Shelf, options: StudioOptions, models: Sequence[str], first: Form) -> dict[str, Desk]:
    """A desk for each device; where there is one only, it needs no name."""
    from duckrabbit.studio.queue.desk import Desk
    from duckrabbit.studio.queue.desks import devices
    from duckrabbit.studio.queue.work import Worker

    places = devices(options.device)
    made = {}
    for place in places:
        worker = Worker(shelf, place, options.dtype)
        name = str(place) if len(places) > 1 else ""
        made[name] = Desk(worker, models, first=partial(worker.warm, first), place=name)
    return made


def _configure_gradio(folder: Path) -> None:
    """Gradio asks nobody outside, and keeps its own files with the studio's, before it is imported."""
    os.environ["GRADIO_ANALYTICS_ENABLED"] = "False"
    os.environ["GRADIO_RUN_HISTORY"] = "False"
    os.environ.setdefault("GRADIO_TEMP_DIR", str(Path(tempfile.gettempdir()) / f"duckrabbit-studio-{os.getpid()}"))


def _samples(shelf: Shelf) -> tuple[list[str], list[str]]:
    """The names of pictures to begin with, and of digits."""
    from duckrabbit.studio.shelf.chalk import chalk_digits
    from duckrabbit.studio.shelf.uploads import take
    from duckrabbit.tasks.pictures import write_png
    from duckrabbit.tasks.samples import write_pictures

    def kept(path: Path) -> str:
        return take(shelf, path.read_bytes()).name

    with tempfile.TemporaryDirectory() as folder:
        write_pictures(Path(folder))
        for k, digit in enumerate(chalk_digits()):
            write_png(digit, Path(folder) / f"chalk-{k}.png")
        chalk = sorted(Path(folder).glob("chalk-*.png"))
        return [kept(Path(folder) / name) for name in SAMPLES], [kept(path) for path in chalk]


def _awaited(desk: Desks) -> Iterator[str]:
    """The names of the pictures that jobs need which are not yet done."""
    for ticket in desk.tickets:
        if not ticket.finished:
            yield from ticket.form.pictures().values()


def _mounted(blocks: Any) -> Any:
    import fastapi
    import gradio as gr

    here = files("duckrabbit.studio.page")
    script = "".join(here.joinpath(name).read_text(encoding="utf-8") for name in ("pad.js", "page.js"))
    accent = gr.themes.Color(*_ACCENT, name="accent")
    theme = gr.themes.Base(
        primary_hue=accent,
        neutral_hue=gr.themes.colors.gray,
        font=["system-ui", "sans-serif"],
        font_mono=["ui-monospace", "monospace"],
        radius_size=gr.themes.sizes.radius_md,
    )
    return gr.mount_gradio_app(
        fastapi.FastAPI(openapi_url=None),
        blocks,
        path="/",
        footer_links=["api", "settings"],
        run_history=False,
        ssr_mode=False,
        mcp_server=False,
        enable_monitoring=False,
        theme=theme,
        css=here.joinpath("look.css").read_text(encoding="utf-8"),
        head=f"<style>{_FOOT}</style><script>{script}</script>",
    )


_FOOT = "@media (max-width: 640px) { footer .divider { display: none !important; } }"
"""The footer is not within what Gradio applies our look to."""
_ACCENT = ("#eef7f9", "#d5ebf0", "#abd7e0", "#7dc0ce", "#459fb2", "#0f6e84", "#0d6176", "#0b5163", "#094250", "#07343f",
           "#052329")  # fmt: skip


def _show(address: str) -> None:
    time.sleep(1.0)
    webbrowser.open(address)
