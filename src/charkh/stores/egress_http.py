"""Egress over HTTP: the operator's hosts alone, a judged and pinned address, no redirection, bounded in time and bytes.

RFC 9110 and 9112 through the standard library's client; whom it may call is `charkh.stores.egress_rules`.
"""

import contextlib
import http.client
import socket
import ssl
import threading
import time
from email.utils import parsedate_to_datetime

from charkh.core.errors import Denied
from charkh.ports.egress import Answer, Call
from charkh.stores.egress_rules import Allowed, Resolver, Target, judged, pinned, resolve, said, unreachable

SECONDS = 15.0
"""For one call, from its begin to the end of the answer."""


class HttpEgress:
    """See `charkh.ports.egress.Egress`. Threads may share it.

    Args:
        allowed: by the operator.
        seconds: for one call.
        resolver: of names.
        context: what a certificate has to satisfy; the system's authorities by default.
    """

    def __init__(
        self,
        allowed: Allowed,
        *,
        seconds: float = SECONDS,
        resolver: Resolver = resolve,
        context: ssl.SSLContext | None = None,
    ) -> None:
        self._allowed = allowed
        self._seconds = seconds
        self._resolver = resolver
        self._context = context

    def check(self, url: str) -> None:
        """See `charkh.ports.egress.Egress`."""
        self._judged(url)

    def call(self, call: Call) -> Answer:
        """See `charkh.ports.egress.Egress`."""
        target = self._judged(call.url)
        began = time.monotonic()
        connection = _Pinned(
            target, pinned(target, self._resolver), self._seconds, self._tls() if target.secure else None
        )
        # A receiver that sends a byte now and then never lets a socket's own timeout pass.
        watchdog = threading.Timer(self._seconds, connection.give_up)
        watchdog.daemon = True
        watchdog.start()
        try:
            # Headers are ASCII by construction; what a caller made of them is refused by the library, too.
            connection.request(call.method, target.path, body=call.body, headers=_headers(call, target))
            response = connection.getresponse()
            seconds = time.monotonic() - began
            body = response.read(call.read) if call.read else b""
            if connection.given_up:
                # An answer that was cut off here reads like one that ended.
                raise TimeoutError
            return Answer(response.status, seconds, _retry_after(response.headers.get("retry-after", "")), body)
        except (OSError, http.client.HTTPException, ValueError) as error:
            told = f"no answer within {self._seconds:g} s" if connection.given_up else said(error)
            raise unreachable(target.host, told) from error
        finally:
            watchdog.cancel()
            connection.close()

    def _judged(self, url: str) -> Target:
        target = judged(url, self._allowed)
        if not target.secure and not target.private:
            raise Denied(
                f"http://{target.host} is not encrypted",
                code="egress.not_https",
                hint="Use https://; a host of the operator's own network stands in [egress] private.",
                facts={"host": target.host},
            )
        return target

    def _tls(self) -> ssl.SSLContext:
        if self._context is None:
            self._context = ssl.create_default_context()
        return self._context


class _Pinned(http.client.HTTPConnection):
    """A connection to one address under the name of a host; nothing is resolved again."""

    def __init__(self, target: Target, address: str, seconds: float, tls: ssl.SSLContext | None) -> None:
        super().__init__(target.host, target.port, timeout=seconds)
        self._target = target
        self._address = address
        self._tls = tls
        self.given_up = False

    def connect(self) -> None:
        """Connect to the pinned address; the certificate has to be that of the host."""
        raw = socket.create_connection((self._address, self._target.port), self.timeout)
        self.sock = raw
        if self._tls is not None:
            self.sock = self._tls.wrap_socket(raw, server_hostname=self._target.host)

    def give_up(self) -> None:
        """End the call from another thread."""
        self.given_up = True
        with contextlib.suppress(OSError, AttributeError):
            self.sock.shutdown(socket.SHUT_RDWR)


def _headers(call: Call, target: Target) -> dict[str, str]:
    return {
        "Host": target.authority,
        "User-Agent": "charkh",
        "Accept": "*/*",
        "Accept-Encoding": "identity",
        "Connection": "close",
        **call.headers,
    }


def _retry_after(said: str) -> float | None:
    text = said.strip()
    if text.isdecimal():
        return float(text[:9])
    try:
        return max(0.0, parsedate_to_datetime(text).timestamp() - time.time())
    except (ValueError, TypeError, OverflowError):
        return None
