"""20 clients press the button 5 times each: 100 jobs on the oracle, all answered once, in order, memory flat.

    python benchmarks/studio_load.py [--storms 4]

The clients speak Gradio's protocol over HTTP, as pages do; the studio is a process of its own, whose
memory is read after every storm, with the number of objects that Python keeps.
"""

from __future__ import annotations

import argparse
import gc
import multiprocessing
import resource
import sys
import tempfile
import threading
import time
from collections import Counter
from concurrent.futures import CancelledError
from multiprocessing.connection import Connection
from pathlib import Path

CLIENTS, EACH = 20, 5


def serve(folder: str, pipe: Connection) -> None:
    """The studio's process: tells its address, then what it is asked, until it is asked to end."""
    import uvicorn

    from duckrabbit.studio.server.serve import Studio, StudioOptions, listen, uvicorn_config

    studio = Studio(StudioOptions(Path(folder), "oracle", browser=False))
    listening = listen("127.0.0.1", 0)
    server = uvicorn.Server(uvicorn_config(studio.app))
    threading.Thread(target=server.run, kwargs={"sockets": [listening]}, daemon=True).start()
    while not server.started:
        time.sleep(0.05)
    pipe.send(f"http://127.0.0.1:{listening.getsockname()[1]}")
    before: Counter[str] = Counter()
    while pipe.recv() != "end":
        gc.collect()
        pages = int(Path("/proc/self/statm").read_text().split()[1])
        kinds = Counter(type(thing).__name__ for thing in gc.get_objects())
        grown, before = (kinds - before).most_common(6) if before else [], kinds
        begun = [ticket.began for ticket in studio.desk.tickets[-CLIENTS * EACH :]]
        pipe.send((pages * resource.getpagesize() / 2**20, kinds.total(), grown, begun == sorted(begun)))
    studio.close()
    server.should_exit = True


def main() -> None:
    """Press, count, and do it again."""
    from gradio_client import Client

    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--storms", type=int, default=4, help="so many times 100 jobs; the first does not count")
    storms = parser.parse_args().storms
    spawn = multiprocessing.get_context("spawn")
    mine, its = spawn.Pipe()
    good = True
    with tempfile.TemporaryDirectory() as folder:
        process = spawn.Process(target=serve, args=(folder, its))
        process.start()
        address = mine.recv()
        clients = [Client(address, verbose=False) for _ in range(CLIENTS)]
        for number in range(storms):
            seconds, answers, waits, lost = storm(clients, number * CLIENTS * EACH)
            mine.send("tell")
            memory, objects, grown, in_order = mine.recv()
            once = len({a["item"] for a in answers}) == len(answers) == CLIENTS * EACH
            good = good and once and in_order
            waits.sort()
            print(
                f"storm {number + 1}: {len(answers)} answers in {seconds:.1f} s, lost: {lost}, each once: {once}, "
                f"in order: {in_order}; wait: median {waits[len(waits) // 2]:.2f} s, longest {waits[-1]:.2f} s; "
                f"{memory:.0f} MB, {objects} objects; more of: {', '.join(f'{k} {n:+d}' for k, n in grown)}"
            )
        mine.send("end")
        process.join(20)
    sys.exit(0 if good else 1)


def storm(clients: list, first: int) -> tuple[float, list[dict], list[float], list[str]]:
    """100 jobs at once: the seconds it took, the answers, how long each was waited for, and what clients lost."""
    answers: list[dict] = []
    waits: list[float] = []
    lost: list[str] = []

    def press(client: object, seeds: range) -> None:
        for seed in seeds:
            began = time.perf_counter()
            try:
                answers.append(
                    client.predict(prompts=["a red circle"], model="oracle", seed=seed, api_name="/generate")
                )
            except (Exception, CancelledError) as error:
                lost.append(type(error).__name__)
            waits.append(time.perf_counter() - began)

    began = time.perf_counter()
    rounds = [range(first + k * EACH, first + (k + 1) * EACH) for k in range(CLIENTS)]
    threads = [threading.Thread(target=press, args=pair) for pair in zip(clients, rounds, strict=True)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return time.perf_counter() - began, answers, waits, lost


if __name__ == "__main__":
    main()
