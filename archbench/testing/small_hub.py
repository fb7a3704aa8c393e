"""A hub of models on this machine: of the Hugging Face Hub's HTTP interface what an upload of small files needs."""

import base64
import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from typing import Any


@dataclass(slots=True)
class SmallHub:
    """What was uploaded to it."""

    address: str = ""
    """For HF_ENDPOINT."""
    files: dict[str, dict[str, bytes]] = field(default_factory=dict)
    """Repository -> path -> content."""
    tokens: set[str] = field(default_factory=set)
    """Those that came with requests."""


@contextmanager
def small_hub() -> Iterator[SmallHub]:
    """A hub that listens on a port of its own until the context ends."""
    hub = SmallHub()

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self) -> None:
            content = self.rfile.read(int(self.headers.get("Content-Length", 0)))
            hub.tokens.add(self.headers.get("Authorization", "").removeprefix("Bearer "))
            self._send(_found(hub, self.path.partition("?")[0], content))

        def do_GET(self) -> None:
            self._send(None)

        def _send(self, answer: dict[str, Any] | None) -> None:
            body = json.dumps(answer or {"error": "not found"}).encode()
            self.send_response(200 if answer is not None else 404)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, format: str, *args: Any) -> None:
            """Says nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    hub.address = f"http://127.0.0.1:{server.server_port}"
    thread = Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield hub
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def _found(hub: SmallHub, path: str, content: bytes) -> dict[str, Any] | None:
    """What is asked of the hub by POST; None where it has no such address."""
    parts = path.strip("/").split("/")
    if parts == ["api", "repos", "create"]:
        asked = json.loads(content)
        name = f"{asked['organization']}/{asked['name']}"
        hub.files.setdefault(name, {})
        return {"url": f"{hub.address}/{name}"}
    if parts == ["api", "validate-yaml"]:  # the head of the model card
        return {"errors": [], "warnings": []}
    if parts[:2] != ["api", "models"] or len(parts) < 5:
        return None
    name, what = "/".join(parts[2:4]), parts[4]
    if what == "preupload":
        files = json.loads(content)["files"]
        return {"files": [{"path": one["path"], "uploadMode": "regular", "shouldIgnore": False} for one in files]}
    if what == "commit":
        for line in map(json.loads, content.splitlines()):
            if line["key"] == "file":
                value = line["value"]
                hub.files[name][value["path"]] = base64.b64decode(value["content"])
        return {"commitOid": "0" * 40, "commitUrl": f"{hub.address}/{name}/commit/{'0' * 40}", "success": True}
    return None
