"""The studio on the oracle, in a thread of the tests; and the command that opens it, in a process of its own."""

import subprocess
import threading
import time
from contextlib import contextmanager
from types import SimpleNamespace

from samples import command, environment


def start(folder, **options):
    """A studio that answers: its address, its desk and shelf, and how to end it."""
    import uvicorn

    from duckrabbit.studio.server.serve import Studio, StudioOptions, listen, uvicorn_config

    made = Studio(StudioOptions(folder, options.pop("model", "oracle"), browser=False, **options))
    listening = listen("127.0.0.1", 0)
    server = uvicorn.Server(uvicorn_config(made.app))
    thread = threading.Thread(target=server.run, kwargs={"sockets": [listening]}, daemon=True)
    thread.start()
    address = f"http://127.0.0.1:{listening.getsockname()[1]}"
    while not server.started:
        time.sleep(0.05)

    def end():
        server.should_exit = True
        made.close()
        thread.join(10)
        listening.close()

    return SimpleNamespace(address=address, desk=made.desk, shelf=made.shelf, end=end, app=made.app)


@contextmanager
def opened(folder, *arguments):
    """The process of `duckrabbit studio` and its address, once it is open; killed in the end."""
    with subprocess.Popen(
        command("studio", "--no-browser", *arguments),
        cwd=folder, env=environment(), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    ) as process:  # fmt: skip
        try:
            line = process.stdout.readline()
            assert "open at" in line, process.stderr.read()
            yield process, line.split()[5]
        finally:
            process.kill()
