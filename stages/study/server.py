"""Serve the page of a study on this machine, and keep the answers that come back, one file a participant."""

from __future__ import annotations

import sys
import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from stages.common.errors import BadInputError, ConfigError
from stages.common.manifest import Artifact, find_problems, write_atomically
from stages.study.answers import MAX_BYTES, parse_answers
from stages.study.key import Key, load_key
from stages.study.run import PAGE

HOST = "127.0.0.1"
_POLL_S = 0.2
_PATIENCE_S = 10
_TYPES = {
    ".html": "text/html; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".css": "text/css; charset=utf-8",
    ".png": "image/png",
}


@dataclass(slots=True)
class Desk:
    """Hands out forms, those with the fewest participants first, and takes in answers."""

    key: Key
    folder: Path
    _handed_out: list[int] = field(default_factory=list)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def __post_init__(self) -> None:
        """Forms that were answered before count as handed out. Raises ``BadInputError`` for other files there."""
        self.folder.mkdir(parents=True, exist_ok=True)
        self._handed_out = [0] * len(self.key.forms)
        for path in sorted(self.folder.glob("*.json")):
            self._handed_out[parse_answers(path.read_bytes(), self.key, path).form] += 1

    def next_form(self) -> int:
        with self._lock:
            form = self._handed_out.index(min(self._handed_out))
            self._handed_out[form] += 1
            return form

    def take_in(self, content: bytes) -> bool:
        """Keep valid answers; False: this participant's other answers are kept already. Raises ``BadInputError``."""
        answers = parse_answers(content, self.key, "the request")
        path = self.folder / f"{answers.participant}.json"
        with self._lock:
            if path.exists():
                return path.read_bytes() == content
            write_atomically(path, content)
        return True

    def count(self) -> int:
        return len(list(self.folder.glob("*.json")))


class StudyServer(ThreadingHTTPServer):
    """Serves what ``study make`` wrote for participants, and nothing else, to this machine only."""

    daemon_threads = True

    def __init__(self, study: Artifact, folder: Path, port: int) -> None:
        """Raises ``ConfigError`` when the port is taken, ``BadInputError`` for a damaged study."""
        problems = find_problems(study)
        if problems:
            raise BadInputError(f"{study.root} is damaged: {problems[0]}", "Make the study again")
        files = [o.path for o in study.manifest.outputs if o.path.startswith(f"{PAGE}/")]
        self.files = {path.removeprefix(PAGE): study.path(path) for path in files}
        self.desk = Desk(load_key(study.root), folder)
        try:
            super().__init__((HOST, port), _Handler)
        except OSError as error:
            raise ConfigError(f"port {port} cannot be used: {error.strerror}", "Choose another --port") from error

    @property
    def url(self) -> str:
        return f"http://{HOST}:{self.server_port}/"

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A browser that goes away in the middle of a reply is nothing to report."""
        if not isinstance(sys.exception(), ConnectionError):
            super().handle_error(request, client_address)

    def serve_until(self, should_stop: Callable[[], bool]) -> None:
        """Answer requests until ``should_stop``, which is asked several times a second."""
        self.timeout = _POLL_S
        while not should_stop():
            self.handle_request()


class _Handler(BaseHTTPRequestHandler):
    server: StudyServer
    timeout = _PATIENCE_S

    def do_GET(self) -> None:
        if not self._is_for_us():
            return
        path = urlsplit(self.path).path
        if path == "/":
            self._reply(HTTPStatus.FOUND, {"Location": f"/index.html?form={self.server.desk.next_form()}"})
        elif path in self.server.files:
            file = self.server.files[path]
            self._reply(HTTPStatus.OK, {"Content-Type": _TYPES[file.suffix]}, file.read_bytes())
        else:
            self._reply(HTTPStatus.NOT_FOUND)

    def do_POST(self) -> None:
        if not self._is_for_us():
            return
        length = self.headers.get("Content-Length", "")
        if self.path != "/answers":
            self._reply(HTTPStatus.NOT_FOUND)
        elif self.headers.get_content_type() != "application/json":
            # Other sites' pages may send forms and plain text here unasked, but not this type.
            self._reply(HTTPStatus.UNSUPPORTED_MEDIA_TYPE)
        elif not length.isascii() or not length.isdigit():
            self._reply(HTTPStatus.LENGTH_REQUIRED)
        elif int(length) > MAX_BYTES:
            self._reply(HTTPStatus.REQUEST_ENTITY_TOO_LARGE)
        else:
            self._take_in(self.rfile.read(int(length)))

    def _take_in(self, content: bytes) -> None:
        try:
            taken = self.server.desk.take_in(content)
        except BadInputError as error:
            self._reply(HTTPStatus.BAD_REQUEST, {"Content-Type": "text/plain; charset=utf-8"}, str(error).encode())
        else:
            self._reply(HTTPStatus.CREATED if taken else HTTPStatus.CONFLICT)

    def _is_for_us(self) -> bool:
        """Whether the request names this machine: a foreign name that resolves to it would let its site read along."""
        ours = {f"{name}:{self.server.server_port}" for name in (HOST, "localhost")}
        if self.headers.get("Host") in ours:
            return True
        self._reply(HTTPStatus.MISDIRECTED_REQUEST)
        return False

    def _reply(self, status: HTTPStatus, headers: dict[str, str] | None = None, body: bytes = b"") -> None:
        self.send_response(status)
        kept = {"X-Content-Type-Options": "nosniff", "Referrer-Policy": "no-referrer", "Cache-Control": "no-store"}
        for name, value in {**kept, **(headers or {}), "Content-Length": str(len(body))}.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(body)

    def version_string(self) -> str:
        return "facediff"

    def log_message(self, *_arguments: object) -> None:
        """Participants' requests are nobody's business."""
