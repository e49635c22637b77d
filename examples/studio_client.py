"""Make an anagram in a studio that is open: python examples/studio_client.py http://127.0.0.1:7860

Needs gradio_client, which comes with duckrabbit[studio]. What it makes is written to this folder.
"""

import argparse
from pathlib import Path

import httpx
from gradio_client import Client

SUBJECTS = {
    "miniature": ("a glossy emoji of a penguin", "a glossy emoji of a rocket"),
    "oracle": ("a blue triangle", "a blue square"),
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("studio", nargs="?", default="http://127.0.0.1:7860")
    parser.add_argument("--model", default="miniature", choices=SUBJECTS)
    chosen = parser.parse_args()

    client = Client(chosen.studio, verbose=False)
    made = client.predict(
        prompts=list(SUBJECTS[chosen.model]),
        views=["rotate_180"],
        model=chosen.model,
        seed=180,
        api_name="/anagram",
    )
    print(made["command"])
    print(f"{made['seconds']} s, {made['network_calls']} network calls; {chosen.studio}/{made['address']}")
    for file in made["files"]:
        path = Path(Path(file).name)
        path.write_bytes(httpx.get(chosen.studio.rstrip("/") + file).raise_for_status().content)
        print(path)


if __name__ == "__main__":
    main()
