"""A network that fails: a TCP proxy on loopback that cuts connections, or is not there at all."""

import contextlib
import itertools
import socket
import threading
from collections.abc import Generator

CHUNK = 4096


class Proxy:
    """Passes bytes on to a port, and cuts the connection at every n-th chunk that goes through it.

    Args:
        target: the port behind it.
        cut_every: chunks between two cuts, both directions counted together; 0 for none.
    """

    def __init__(self, target: int, cut_every: int = 0) -> None:
        self.cut_every = cut_every
        self.cuts = 0
        self._target = target
        self._chunks = itertools.count(1)
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port = int(self._listener.getsockname()[1])
        threading.Thread(target=self._accept, daemon=True).start()

    def close(self) -> None:
        self._listener.close()

    def _accept(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                near, _ = self._listener.accept()
                try:
                    far = socket.create_connection(("127.0.0.1", self._target), timeout=30)
                except OSError:
                    near.close()
                    continue
                for source, sink in ((near, far), (far, near)):
                    threading.Thread(target=self._pass_on, args=[source, sink], daemon=True).start()

    def _pass_on(self, source: socket.socket, sink: socket.socket) -> None:
        with contextlib.suppress(OSError):
            while data := source.recv(CHUNK):
                if self.cut_every and next(self._chunks) % self.cut_every == 0:
                    # A part of it gets through: neither side can tell what the other one has.
                    sink.sendall(data[: len(data) // 2])
                    self.cuts += 1
                    break
                sink.sendall(data)
        for each in (source, sink):
            with contextlib.suppress(OSError):
                each.shutdown(socket.SHUT_RDWR)
            each.close()


@contextlib.contextmanager
def proxy_to(port: int, cut_every: int = 0) -> Generator[Proxy]:
    """A proxy for a `with` block."""
    proxy = Proxy(port, cut_every)
    try:
        yield proxy
    finally:
        proxy.close()
