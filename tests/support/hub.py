"""A hub on this machine: the few endpoints that pulling and pushing a model use, and the ways in which they fail."""

from __future__ import annotations

import base64
import json
import re
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import unquote, urlsplit

from stages.common.hashing import hash_json

INFO = re.compile(r"/api/models/([^/]+/[^/]+)(?:/revision/([^/]+))?$")
FILE = re.compile(r"/([^/]+/[^/]+)/resolve/([^/]+)/(.+)$")
PREUPLOAD = re.compile(r"/api/models/([^/]+/[^/]+)/preupload/([^/]+)$")
COMMIT = re.compile(r"/api/models/([^/]+/[^/]+)/commit/([^/]+)$")


@dataclass
class Request:
    """What was asked: ``first_byte`` is where a file was to be continued."""

    method: str
    path: str
    first_byte: int
    token: str | None


@dataclass
class FakeHub:
    """``files`` maps repository to path to content. A path in ``cut`` breaks off after so many bytes, and for as long
    as ``down`` is true every request fails; a cut takes the hub down. ``moved`` maps URL paths to others."""

    endpoint: str = ""
    files: dict[str, dict[str, bytes]] = field(default_factory=dict)
    cut: dict[str, int] = field(default_factory=dict)
    moved: dict[str, str] = field(default_factory=dict)
    ignores_ranges: bool = False
    down: bool = False
    needs_token: bool = False
    requests: list[Request] = field(default_factory=list)

    def add(self, repo: str, folder: Path) -> None:
        self.files[repo] = {
            path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()
        }

    def commit_of(self, repo: str) -> str:
        return hash_json({path: content.hex() for path, content in self.files[repo].items()})[:40]

    def fetched(self, path: str) -> list[int]:
        """The first byte of each request for a file."""
        return [r.first_byte for r in self.requests if r.method == "GET" and r.path.endswith(f"/{path}")]


@contextmanager
def run_hub() -> Iterator[FakeHub]:
    hub = FakeHub()
    handler = type("Handler", (_Handler,), {"hub": hub})
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    hub.endpoint = f"http://127.0.0.1:{server.server_port}"
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    try:
        yield hub
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


class _Handler(BaseHTTPRequestHandler):
    hub: FakeHub

    def do_GET(self) -> None:
        path = self._begin()
        if path is None:
            return
        if path in self.hub.moved:
            self._send(302, {"Location": self.hub.moved[path]})
        elif match := INFO.fullmatch(path):
            self._send_info(*match.groups())
        elif match := FILE.fullmatch(path):
            self._send_file(match[1], match[3])
        else:
            self._send(404)

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        path = self._begin()
        if path is None:
            return
        if path == "/api/repos/create":
            wanted = json.loads(body)
            self.hub.files.setdefault(f"{wanted.get('organization') or 'me'}/{wanted['name']}", {})
            self._send_json({"url": f"{self.hub.endpoint}/{wanted.get('organization') or 'me'}/{wanted['name']}"})
        elif path == "/api/validate-yaml":
            self._send_json({"errors": [], "warnings": []})
        elif PREUPLOAD.fullmatch(path):
            files = [
                {"path": f["path"], "uploadMode": "regular", "shouldIgnore": False} for f in json.loads(body)["files"]
            ]
            self._send_json({"files": files})
        elif match := COMMIT.fullmatch(path):
            self._commit(match[1], body)
        else:
            self._send(404)

    def log_message(self, *_arguments: object) -> None:
        pass

    def _begin(self) -> str | None:
        path = unquote(urlsplit(self.path).path)
        asked = re.match(r"bytes=(\d+)-", self.headers.get("Range") or "")
        token = self.headers.get("Authorization")
        self.hub.requests.append(Request(self.command, path, int(asked[1]) if asked else 0, token))
        if self.hub.down:
            self._send(503)
        elif self.hub.needs_token and token is None:
            self._send(401)
        else:
            return path
        return None

    def _send_info(self, repo: str, revision: str | None) -> None:
        if repo not in self.hub.files:
            return self._send(404, {"X-Error-Code": "RepoNotFound"})
        commit = self.hub.commit_of(repo)
        if revision not in {None, "main", commit}:
            return self._send(404, {"X-Error-Code": "RevisionNotFound"})
        siblings = [{"rfilename": path} for path in self.hub.files[repo]]
        return self._send_json({"id": repo, "sha": commit, "siblings": siblings})

    def _send_file(self, repo: str, path: str) -> None:
        content = self.hub.files.get(repo, {}).get(path)
        if content is None:
            return self._send(404, {"X-Error-Code": "EntryNotFound"})
        first = 0 if self.hub.ignores_ranges else self.hub.requests[-1].first_byte
        rest = content[first:]
        self.send_response(206 if first else 200)
        self.send_header("Content-Length", str(len(rest)))
        if first:
            self.send_header("Content-Range", f"bytes {first}-{len(content) - 1}/{len(content)}")
        self.end_headers()
        if path in self.hub.cut:
            rest = rest[: self.hub.cut.pop(path)]
            self.hub.down = self.close_connection = True
        self.wfile.write(rest)
        return None

    def _commit(self, repo: str, body: bytes) -> None:
        for line in body.splitlines():
            entry = json.loads(line)
            if entry["key"] == "file":
                self.hub.files[repo][entry["value"]["path"]] = base64.b64decode(entry["value"]["content"])
        commit = self.hub.commit_of(repo)
        self._send_json({"commitUrl": f"{self.hub.endpoint}/{repo}/commit/{commit}", "commitOid": commit})

    def _send_json(self, content: object) -> None:
        self._send(200, {"Content-Type": "application/json"}, json.dumps(content).encode())

    def _send(self, status: int, headers: dict[str, str] | None = None, body: bytes = b"") -> None:
        self.send_response(status)
        for name, value in {**(headers or {}), "Content-Length": str(len(body))}.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(body)
