"""20 clients press the button 5 times each: 100 jobs on the oracle, all answered once, in order, memory flat.

    python benchmarks/studio_load.py

The clients speak Gradio's protocol over HTTP, as pages do, from the server's own process; memory is
that of both, measured after a first storm of 100 and after a second.
"""

from __future__ import annotations

import resource
import sys
import tempfile
import threading
import time
from pathlib import Path

CLIENTS, EACH = 20, 5


def resident() -> float:
    """This process's memory in MB, as it is now."""
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * resource.getpagesize() / 2**20


def main() -> None:
    """Serve, press, count."""
    import uvicorn
    from gradio_client import Client

    from duckrabbit.app.cli import app
    from duckrabbit.app.studio.serve import Studio, Wishes, listen, settings

    with tempfile.TemporaryDirectory() as folder:
        studio = Studio(app, Wishes(Path(folder), "oracle", browser=False))
        listening = listen("127.0.0.1", 0)
        server = uvicorn.Server(settings(studio.app))
        threading.Thread(target=server.run, kwargs={"sockets": [listening]}, daemon=True).start()
        address = f"http://127.0.0.1:{listening.getsockname()[1]}"
        while not server.started:
            time.sleep(0.05)
        clients = [Client(address, verbose=False) for _ in range(CLIENTS)]
        answers: list[dict] = []
        waits: list[float] = []

        def press(client: Client, seeds: range) -> None:
            for seed in seeds:
                began = time.perf_counter()
                made = client.predict(prompt="a red circle", model="oracle", seed=seed, api_name="/generate")
                waits.append(time.perf_counter() - began)
                answers.append(made)

        def storm(first: int) -> float:
            answers.clear()
            waits.clear()
            began = time.perf_counter()
            rounds = [range(first + k * EACH, first + (k + 1) * EACH) for k in range(CLIENTS)]
            threads = [threading.Thread(target=press, args=pair) for pair in zip(clients, rounds, strict=True)]
            for thread in threads:
                thread.start()
            for thread in threads:
                thread.join()
            return time.perf_counter() - began

        storm(10_000)  # threads, connections and imports come once
        before = resident()
        seconds = storm(0)
        after = resident()
        tickets = sorted(studio.desk._known.values(), key=lambda t: t.number)[-CLIENTS * EACH :]
        begun = [t.began for t in tickets]
        studio.close()
        server.should_exit = True
        print(f"{len(answers)} answers to {CLIENTS * EACH} jobs in {seconds:.1f} s")
        once = len({a["item"] for a in answers}) == CLIENTS * EACH
        seeds = sorted(int(a["settings"]["seed"]) for a in answers) == list(range(CLIENTS * EACH))
        print(f"each once: {once and seeds}; in order: {begun == sorted(begun)}")
        waits.sort()
        print(f"wait: median {waits[len(waits) // 2]:.2f} s, longest {waits[-1]:.2f} s")
        print(f"memory: {before:.0f} MB before, {after:.0f} MB after")
        if not (once and seeds and begun == sorted(begun)):
            sys.exit(1)


if __name__ == "__main__":
    main()
