"""A small HTTP server that answers like the hub: what huggingface_hub asks of it, and no more."""

from __future__ import annotations

import json
import threading
from contextlib import contextmanager
from dataclasses import dataclass, field
from hashlib import sha256
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import urlsplit

COMMIT = "0123456789abcdef0123456789abcdef01234567"
TOKEN = "hf_test"


@dataclass
class FakeHub:
    """Repositories by name, each a folder; those in `gated` want the token; `paths` is what was asked."""

    repositories: dict[str, Path]
    gated: set[str] = field(default_factory=set)
    paths: list[str] = field(default_factory=list)
    damaged: set[str] = field(default_factory=set)
    mood: str = ""
    """A status, or "portal", "cut", "silent", "trickle", "drip": how everything under `sour` is answered."""
    sour: str = "/"
    over: threading.Event = field(default_factory=threading.Event)
    endpoint: str = ""

    def files(self) -> list[str]:
        """The files that were downloaded, without the repository's name and commit."""
        return [p.split(COMMIT + "/", 1)[1] for p in self.paths if p.startswith("GET") and COMMIT + "/" in p]


@contextmanager
def serve(repositories, **options):
    hub = FakeHub(repositories, **options)
    server = ThreadingHTTPServer(("127.0.0.1", 0), _handler(hub))
    hub.endpoint = f"http://127.0.0.1:{server.server_port}"
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield hub
    finally:
        hub.over.set()
        server.shutdown()
        server.server_close()
        thread.join()


def drip(file, over):
    """The head of an answer, a byte at a time, that never ends."""
    file.write(b"HTTP/1.1 200 OK\r\nX: ")
    while not over.wait(0.05):
        try:
            file.write(b"x")
        except OSError:
            return


def _handler(hub: FakeHub):
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def log_message(self, *args):
            pass

        def do_HEAD(self):
            self.answer(body=False)

        def do_GET(self):
            self.answer(body=True)

        def answer(self, body):
            path = urlsplit(self.path).path
            hub.paths.append(f"{self.command} {path}")
            if hub.mood and path.startswith(hub.sour):
                return self.answer_in_a_mood()
            parts = path.strip("/").split("/")
            if parts[:2] == ["api", "models"]:
                return self.api("/".join(parts[2:4]), parts[4:])
            return self.resolve("/".join(parts[:2]), parts[3], "/".join(parts[4:]), body)

        def answer_in_a_mood(self):
            """As hubs in trouble, proxies and portals do."""
            self.close_connection = True
            if hub.mood.isdecimal():
                message = "Invalid credentials in Authorization header" if hub.mood == "401" else "no"
                headers = {"X-Error-Message": message, "Retry-After": "77"}
                return self.send({"error": message}, headers, status=int(hub.mood))
            if hub.mood == "portal":
                return self.send(b"<html><body>Welcome! Please log in.</body></html>")
            if hub.mood == "silent":
                return hub.over.wait(30)
            if hub.mood == "drip":
                return drip(self.wfile, hub.over)
            self.send_response(200)
            for key, value in {"X-Repo-Commit": COMMIT, "ETag": '"a"', "Content-Length": "1000000"}.items():
                self.send_header(key, value)
            self.end_headers()
            if self.command == "HEAD":
                return None
            self.wfile.write(b'{"id": ')
            while hub.mood == "trickle" and not hub.over.wait(0.05):
                try:
                    self.wfile.write(b" ")
                except OSError:
                    return None
            return None

        def api(self, repo, rest):
            if repo not in hub.repositories:
                return self.refuse(404, "RepoNotFound")
            if len(rest) > 1 and rest[1] not in (COMMIT, "main"):
                return self.refuse(404, "RevisionNotFound")
            folder = hub.repositories[repo]
            entries = [self.entry(folder, p) for p in sorted(folder.rglob("*")) if p.is_file()]
            if rest and rest[0] == "tree":
                return self.send(entries)
            siblings = [
                {
                    "rfilename": e["path"],
                    "size": e["size"],
                    "blobId": e["oid"],
                    **({"lfs": {**e["lfs"], "sha256": e["lfs"]["oid"]}} if "lfs" in e else {}),
                }
                for e in entries
            ]
            return self.send({"id": repo, "modelId": repo, "sha": COMMIT, "siblings": siblings, "private": False})

        def entry(self, folder, path):
            data = path.read_bytes()
            digest = sha256(data).hexdigest()
            row = {
                "type": "file",
                "path": path.relative_to(folder).as_posix(),
                "size": len(data),
                "oid": digest[:40],
            }
            if path.suffix in (".safetensors", ".bin", ".ckpt"):
                row["lfs"] = {"oid": digest, "size": len(data), "pointerSize": 130}
            return row

        def resolve(self, repo, revision, name, body):
            if repo in hub.gated and self.headers.get("Authorization") != f"Bearer {TOKEN}":
                return self.refuse(403 if self.headers.get("Authorization") else 401, "GatedRepo")
            path = hub.repositories[repo] / name
            if not path.is_file():
                return self.refuse(404, "EntryNotFound")
            data = path.read_bytes()
            entry = self.entry(hub.repositories[repo], path)
            if name in hub.damaged:
                data = data[:-4] + b"\0\1\2\3"
            etag = entry["lfs"]["oid"] if "lfs" in entry else entry["oid"]
            headers = {"X-Repo-Commit": COMMIT, "ETag": f'"{etag}"', "X-Linked-Size": str(len(data))}
            return self.send(data if body else None, headers, length=len(data))

        def refuse(self, status, code):
            self.send({"error": code}, {"X-Error-Code": code, "X-Error-Message": code}, status=status)

        def send(self, content, headers=None, status=200, length=None):
            data = content if isinstance(content, bytes) else b"" if content is None else json.dumps(content).encode()
            self.send_response(status)
            for key, value in (headers or {}).items():
                self.send_header(key, value)
            self.send_header("Content-Type", "application/octet-stream" if length else "application/json")
            self.send_header("Content-Length", str(len(data) if length is None else length))
            self.end_headers()
            if self.command == "GET":
                self.wfile.write(data)

    return Handler
