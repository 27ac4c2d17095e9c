"""A web server of the standard library for tests of what fetches: etags, ranges, and every way of failing.

with web_server() as web:
    web.files["/a.csv"] = b"a\\n1\\n"
    web.tricks["/a.csv"] = [cut(after=3)]      # one for each request, then it behaves
"""

import contextlib
import hashlib
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

Trick = Callable[["Handler", bytes], None]
"""Answers a request in a way of its own; it is given the file's content."""


@dataclass
class Web:
    """What the server serves, and what it was asked.

    Attributes:
        address: `http://127.0.0.1:PORT`.
        files: content by path.
        tricks: by path, how the next requests are answered, one each.
        asked: (path, headers) of each request, in order.
        etags: whether files have etags.
        ranges: whether parts are given.
    """

    address: str
    files: dict[str, bytes] = field(default_factory=dict[str, bytes])
    tricks: dict[str, list[Trick]] = field(default_factory=dict[str, list[Trick]])
    asked: list[tuple[str, dict[str, str]]] = field(default_factory=list[tuple[str, dict[str, str]]])
    etags: bool = True
    ranges: bool = True

    def count(self, path: str) -> int:
        """How often a path was asked for."""
        return sum(each == path for each, _ in self.asked)


class Handler(BaseHTTPRequestHandler):
    """Serves what `Web` says."""

    protocol_version = "HTTP/1.1"
    web: Web

    def do_GET(self) -> None:
        path = self.path.partition("?")[0]
        self.web.asked.append((self.path, {key.lower(): value for key, value in self.headers.items()}))
        content = self.web.files.get(path)
        tricks = self.web.tricks.get(path)
        if tricks:
            tricks.pop(0)(self, content or b"")
        elif content is None:
            self.answer(404, b"no such file")
        else:
            self.serve(content)

    def serve(self, content: bytes) -> None:
        """As a good server does."""
        mark = etag_of(content)
        if self.web.etags and self.headers.get("If-None-Match") == mark:
            self.answer(304, b"", {"ETag": mark})
            return
        headers = {"ETag": mark, "Accept-Ranges": "bytes"} if self.web.etags else {}
        wanted = self.headers.get("Range", "")
        if wanted.startswith("bytes=") and self.web.ranges and self.headers.get("If-Range") == mark:
            begin = int(wanted.removeprefix("bytes=").partition("-")[0])
            if begin >= len(content):
                self.answer(416, b"", {"Content-Range": f"bytes */{len(content)}"})
                return
            said = f"bytes {begin}-{len(content) - 1}/{len(content)}"
            self.answer(206, content[begin:], {**headers, "Content-Range": said})
            return
        self.answer(200, content, headers)

    def answer(
        self, status: int, body: bytes, headers: dict[str, str] | None = None, length: int | None = None
    ) -> None:
        """An answer; `length` is what Content-Length says, the truth by default."""
        self.send_response(status)
        for name, value in (headers or {}).items():
            self.send_header(name, value)
        if status != 304:
            self.send_header("Content-Length", str(len(body) if length is None else length))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: Any) -> None:
        """Nothing: the tests say what they need."""


def etag_of(content: bytes) -> str:
    """The mark that the server gives a content."""
    return f'"{hashlib.sha256(content).hexdigest()[:16]}"'


def cut(after: int) -> Trick:
    """Send so many bytes of the whole, then hang up."""

    def trick(handler: Handler, content: bytes) -> None:
        headers = {"ETag": etag_of(content), "Accept-Ranges": "bytes"}
        begin = 0
        if handler.headers.get("Range") and handler.headers.get("If-Range") == headers["ETag"]:
            begin = int(handler.headers["Range"].removeprefix("bytes=").partition("-")[0])
            headers["Content-Range"] = f"bytes {begin}-{len(content) - 1}/{len(content)}"
        rest = content[begin:]
        handler.answer(206 if begin else 200, rest[:after], headers, length=len(rest))
        handler.close_connection = True

    return trick


def status(code: int, **headers: str) -> Trick:
    """Answer with a status; `_` in names of headers is `-`."""
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return lambda handler, _content: handler.answer(code, b"", named)


def lie(length: int) -> Trick:
    """Say another length than is sent, and hang up."""

    def trick(handler: Handler, content: bytes) -> None:
        handler.answer(200, content, {"ETag": etag_of(content)}, length=length)
        handler.close_connection = True

    return trick


@contextlib.contextmanager
def web_server() -> Iterator[Web]:
    """A server on loopback, stopped when the block ends."""
    handler = type("Served", (Handler,), {})
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    server.daemon_threads = True
    web = Web(f"http://127.0.0.1:{server.server_address[1]}")
    handler.web = web  # pyright: ignore[reportAttributeAccessIssue]
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
    thread.start()
    try:
        yield web
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
