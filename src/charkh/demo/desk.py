"""The flights desk: a receiver of webhooks as somebody else would write one, which checks each signature."""

import base64
import contextlib
import hashlib
import hmac
import json
import threading
from collections.abc import Generator, Mapping
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import NamedTuple


class Letter(NamedTuple):
    """One request; the names of its headers are lower-case."""

    headers: Mapping[str, str]
    body: bytes

    @property
    def kind(self) -> str:
        """What it is about, such as `alert.raised`."""
        return str(json.loads(self.body)["type"]).removeprefix("io.charkh.").rpartition(".")[0]

    def is_signed_with(self, secret: str) -> bool:
        """Whether it was signed with the secret, as Standard Webhooks says: id, time and body."""
        key = base64.b64decode(secret.removeprefix("whsec_"))
        named = f"{self.headers.get('webhook-id')}.{self.headers.get('webhook-timestamp')}."
        mark = base64.b64encode(hmac.digest(key, named.encode() + self.body, hashlib.sha256)).decode()
        given = self.headers.get("webhook-signature", "").split()
        return any(hmac.compare_digest(each, f"v1,{mark}") for each in given)


class Desk:
    """Keeps what came, in order.

    Attributes:
        address: of the receiver.
        letters: that came so far.
    """

    def __init__(self, port: int) -> None:
        self.address = f"http://127.0.0.1:{port}/alerts"
        self.letters: list[Letter] = []


@contextlib.contextmanager
def open_desk() -> Generator[Desk]:
    """A desk that listens on loopback during the block."""

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers.get("content-length", "0")))
            desk.letters.append(Letter({name.lower(): value for name, value in self.headers.items()}, body))
            self.send_response(204)
            self.end_headers()

        def log_message(self, format: str, *args: object) -> None: ...

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        server.daemon_threads = True
        desk = Desk(server.server_address[1])
        thread = threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True)
        thread.start()
        try:
            yield desk
        finally:
            server.shutdown()
            thread.join()
