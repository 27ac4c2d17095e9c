"""Egress over HTTP: the operator's hosts alone, a judged and pinned address, no redirection, bounded in time and bytes.

RFC 9110 and 9112 through the standard library's client; RFC 6890 says which addresses are nobody's public ones.
"""

import contextlib
import http.client
import ipaddress
import re
import socket
import ssl
import threading
import time
from collections.abc import Callable, Sequence
from email.utils import parsedate_to_datetime
from fnmatch import fnmatchcase
from typing import NamedTuple
from urllib.parse import SplitResult, urlsplit

from charkh.core.errors import Denied, Invalid, Unavailable
from charkh.ports.egress import Answer, Call

SECONDS = 15.0
"""For one call, from its begin to the end of the answer."""
MAX_URL = 2000

Address = ipaddress.IPv4Address | ipaddress.IPv6Address
Resolver = Callable[[str, int], Sequence[str]]
"""The addresses of a host; raises `OSError` when it has none."""

_LABEL = r"[A-Za-z0-9_](?:[A-Za-z0-9_-]{0,61}[A-Za-z0-9_])?"
_HOST = re.compile(rf"{_LABEL}(?:\.{_LABEL})*")
_LAST_LETTERS = re.compile(r"(?i).*[a-z][^.]*")
_HEXADECIMAL = re.compile(r"(?i)0x[0-9a-f]*")
_UNSAFE = re.compile(r"[\x00-\x20\x7f\\]")

METADATA = frozenset(map(ipaddress.ip_address, ("100.100.100.200", "168.63.129.16", "192.0.0.192", "fd00:ec2::254")))
"""What clouds tell their machines, beside the link-local addresses: never called, whoever lists them."""
_NAT64 = (ipaddress.ip_network("64:ff9b::/96"), ipaddress.ip_network("64:ff9b:1::/48"))


class Allowed(NamedTuple):
    """What the operator lets the server call; patterns are `host` or `host:port`, `*.example.com`, or `*`.

    Attributes:
        hosts: may be called over HTTPS, where they resolve to public addresses.
        private: may be called whatever they resolve to, and over plain HTTP, too.
    """

    hosts: Sequence[str] = ()
    private: Sequence[str] = ()


def resolve(host: str, port: int) -> Sequence[str]:
    """The addresses of a host as the system knows them."""
    found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    return tuple(dict.fromkeys(str(each[4][0]) for each in found))


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
        try:
            addresses = self._resolver(target.host, target.port)
        except (OSError, UnicodeError) as error:
            raise _unreachable(target.host, f"there is no such host ({_said(error)})") from error
        pinned = self._pinned(target, addresses)
        connection = _Pinned(target, pinned, self._seconds, self._tls() if target.secure else None)
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
            told = f"no answer within {self._seconds:g} s" if connection.given_up else _said(error)
            raise _unreachable(target.host, told) from error
        finally:
            watchdog.cancel()
            connection.close()

    def _judged(self, url: str) -> "_Target":
        target = _parsed(url)
        if _listed(target, self._allowed.private):
            return target._replace(private=True)
        if not _listed(target, self._allowed.hosts):
            raise Denied(
                f"{target.host} may not be called",
                code="egress.host_not_listed",
                hint=f'The operator lets it be called with [egress] hosts = ["{target.host}"] in charkh.toml.',
                facts={"host": target.host},
            )
        if not target.secure:
            raise Denied(
                f"http://{target.host} is not encrypted",
                code="egress.not_https",
                hint="Use https://; a host of the operator's own network stands in [egress] private.",
                facts={"host": target.host},
            )
        return target

    def _pinned(self, target: "_Target", addresses: Sequence[str]) -> str:
        """One address, after all of them have been judged: one that may not be called condemns the name."""
        for address in addresses:
            if not _may_be_called(address, private=target.private):
                raise Denied(
                    f"{target.host} resolves to an address that may not be called",
                    code="egress.private_address",
                    hint="A host of the operator's own network stands in [egress] private of charkh.toml.",
                    facts={"host": target.host},
                )
        if not addresses:
            raise _unreachable(target.host, "it has no address")
        return addresses[0]

    def _tls(self) -> ssl.SSLContext:
        if self._context is None:
            self._context = ssl.create_default_context()
        return self._context


class _Target(NamedTuple):
    secure: bool
    host: str
    port: int
    path: str
    private: bool = False

    @property
    def authority(self) -> str:
        host = f"[{self.host}]" if ":" in self.host else self.host
        return host if self.port == (443 if self.secure else 80) else f"{host}:{self.port}"


class _Pinned(http.client.HTTPConnection):
    """A connection to one address under the name of a host; nothing is resolved again."""

    def __init__(self, target: _Target, address: str, seconds: float, tls: ssl.SSLContext | None) -> None:
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


def _parsed(url: str) -> _Target:
    """The parts of an address that says plainly whom it means.

    Names are written as DNS has them and numbers as RFC 4291 and dotted quads do: what only some parsers take for an
    address (`0x7f.1`, `2130706433`, `127.1`) is none.
    """
    if len(url) > MAX_URL or _UNSAFE.search(url) or not url.isascii():
        raise _not_an_address("it is too long, or has blanks or letters that an address has not")
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError as error:
        raise _not_an_address(_said(error)) from error
    if parts.scheme not in {"https", "http"}:
        raise _not_an_address("it does not begin with https://")
    if "@" in parts.netloc or parts.fragment:
        raise _not_an_address("it carries a user, a password or a fragment")
    host = (parts.hostname or "").rstrip(".")
    if not _is_host(host):
        raise _not_an_address("it names no host")
    secure = parts.scheme == "https"
    return _Target(secure, host, port or (443 if secure else 80), _path(parts))


def _path(parts: SplitResult) -> str:
    path = parts.path or "/"
    return f"{path}?{parts.query}" if parts.query else path


def _is_host(host: str) -> bool:
    if ":" in host:
        return _address(host) is not None and "%" not in host
    if not _HOST.fullmatch(host) or len(host) > 253:
        return False
    last = host.rpartition(".")[2]
    if _LAST_LETTERS.fullmatch(last) and not _HEXADECIMAL.fullmatch(last):
        return True
    return _address(host) is not None


def _address(text: str) -> Address | None:
    try:
        return ipaddress.ip_address(text)
    except ValueError:
        return None


def _listed(target: _Target, patterns: Sequence[str]) -> bool:
    names = (target.host.lower(), f"{target.host.lower()}:{target.port}", target.authority.lower())
    return any(fnmatchcase(name, pattern.lower()) for pattern in patterns for name in names)


def _may_be_called(text: str, *, private: bool) -> bool:
    address = _address(text)
    if address is None:
        return False
    inner = _inside(address)
    if inner is not None and not _may_be_called(str(inner), private=private):
        return False
    if address in METADATA or address.is_link_local or address.is_multicast or address.is_unspecified:
        return False
    if private:
        return True
    return address.is_global or inner is not None


def _inside(address: Address) -> ipaddress.IPv4Address | None:
    """The IPv4 address that an IPv6 one leads to."""
    if isinstance(address, ipaddress.IPv4Address):
        return None
    if any(address in network for network in _NAT64):
        return ipaddress.IPv4Address(int(address) & 0xFFFFFFFF)
    return address.ipv4_mapped or address.sixtofour or (address.teredo[1] if address.teredo else None)


def _headers(call: Call, target: _Target) -> dict[str, str]:
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


def _not_an_address(why: str) -> Invalid:
    # The address itself is not repeated: it may carry a secret.
    return Invalid(f"that is no address to call: {why}", code="egress.url", hint="Write https://host/path.")


def _unreachable(host: str, why: str) -> Unavailable:
    return Unavailable(
        f"{host} cannot be reached: {why}", code="egress.unreachable", hint="Look at the address and the network."
    )


def _said(error: Exception) -> str:
    return (str(error).partition("\n")[0] or type(error).__name__)[:200]
