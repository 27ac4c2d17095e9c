"""A real receiver of webhooks on loopback: it keeps what came and answers as the test says."""

import contextlib
import threading
from collections.abc import Callable, Iterator, Mapping
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import NamedTuple


class Came(NamedTuple):
    """One request; the names of its headers are lower-case."""

    path: str
    headers: Mapping[str, str]
    body: bytes


class Said(NamedTuple):
    """One answer."""

    status: int = 204
    headers: Mapping[str, str] = {}
    body: bytes = b""


Answer = Callable[[Came], Said]


class Receiver:
    """What came, in order.

    Attributes:
        url: of the receiver.
        came: requests so far.
    """

    def __init__(self, port: int) -> None:
        self.port = port
        self.url = f"http://127.0.0.1:{port}"
        self.came: list[Came] = []


@contextlib.contextmanager
def receiving(answer: Answer = lambda _came: Said(), port: int = 0) -> Iterator[Receiver]:
    """A receiver that is up during the block."""

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers.get("content-length", "0")))
            if str(len(body)) != self.headers.get("content-length"):
                return  # its sender died on the way: half a letter has not come
            came = Came(self.path, {name.lower(): value for name, value in self.headers.items()}, body)
            receiver.came.append(came)
            said = answer(came)
            with contextlib.suppress(OSError):
                self.send_response(said.status)
                for name, value in said.headers.items():
                    self.send_header(name, value)
                self.send_header("Content-Length", str(len(said.body)))
                self.end_headers()
                self.wfile.write(said.body)

        def log_message(self, *_arguments: object) -> None: ...

    with ThreadingHTTPServer(("127.0.0.1", port), Handler) as server:
        server.daemon_threads = True
        receiver = Receiver(server.server_address[1])
        thread = threading.Thread(target=server.serve_forever, args=(0.02,))
        thread.start()
        try:
            yield receiver
        finally:
            server.shutdown()
            thread.join()
