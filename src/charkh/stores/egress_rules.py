"""Which addresses may be called: the operator's hosts, by a name that says plainly whom it means, at judged addresses.

RFC 6890 says which addresses are nobody's public ones.
"""

import ipaddress
import re
import socket
from collections.abc import Callable, Mapping, Sequence
from fnmatch import fnmatchcase
from typing import NamedTuple
from urllib.parse import SplitResult, urlsplit

from charkh.core.errors import Denied, Invalid, Unavailable

MAX_URL = 2000

Address = ipaddress.IPv4Address | ipaddress.IPv6Address
Resolver = Callable[[str, int], Sequence[str]]
"""The addresses of a host; raises `OSError` when it has none."""


class Scheme(NamedTuple):
    """How a scheme is spoken: whether it is encrypted from the first byte, and its port."""

    secure: bool
    port: int


HTTP: Mapping[str, Scheme] = {"https": Scheme(True, 443), "http": Scheme(False, 80)}

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


class Target(NamedTuple):
    """An address, taken apart.

    Attributes:
        secure: whether it is encrypted from the first byte.
        host: that is called.
        port: of the host.
        path: with the query.
        private: whether the operator lists it among the own hosts.
        plain_port: the port that goes without saying.
    """

    secure: bool
    host: str
    port: int
    path: str
    private: bool = False
    plain_port: int = 0

    @property
    def authority(self) -> str:
        host = f"[{self.host}]" if ":" in self.host else self.host
        return host if self.port == self.plain_port else f"{host}:{self.port}"


def judged(url: str, allowed: Allowed, schemes: Mapping[str, Scheme] = HTTP) -> Target:
    """An address that may be called, by what it says.

    Raises:
        Invalid: it is no address of one of the schemes.
        Denied: the operator has not said that this host may be called, or not unencrypted.
    """
    target = _parsed(url, schemes)
    if _listed(target, allowed.private):
        return target._replace(private=True)
    if not _listed(target, allowed.hosts):
        raise Denied(
            f"{target.host} may not be called",
            code="egress.host_not_listed",
            hint=f'The operator lets it be called with [egress] hosts = ["{target.host}"] in charkh.toml.',
            facts={"host": target.host},
        )
    return target


def pinned(target: Target, resolver: Resolver) -> str:
    """One address of the host, after all of them have been judged: one that may not be called condemns the name.

    Raises:
        Denied: one may not be called.
        Unavailable: it has none.
    """
    try:
        addresses = resolver(target.host, target.port)
    except (OSError, UnicodeError) as error:
        raise unreachable(target.host, f"there is no such host ({said(error)})") from error
    for address in addresses:
        if not _may_be_called(address, private=target.private):
            raise Denied(
                f"{target.host} resolves to an address that may not be called",
                code="egress.private_address",
                hint="A host of the operator's own network stands in [egress] private of charkh.toml.",
                facts={"host": target.host},
            )
    if not addresses:
        raise unreachable(target.host, "it has no address")
    return addresses[0]


def _parsed(url: str, schemes: Mapping[str, Scheme]) -> Target:
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
        raise _not_an_address(said(error)) from error
    scheme = schemes.get(parts.scheme)
    if scheme is None:
        raise _not_an_address(f"it does not begin with {next(iter(schemes))}://")
    if "@" in parts.netloc or parts.fragment:
        raise _not_an_address("it carries a user, a password or a fragment")
    host = (parts.hostname or "").rstrip(".")
    if not _is_host(host):
        raise _not_an_address("it names no host")
    return Target(scheme.secure, host, port or scheme.port, _path(parts), plain_port=scheme.port)


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


def _listed(target: Target, patterns: Sequence[str]) -> bool:
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


def _not_an_address(why: str) -> Invalid:
    # The address itself is not repeated: it may carry a secret.
    return Invalid(f"that is no address to call: {why}", code="egress.url", hint="Write https://host/path.")


def unreachable(host: str, why: str) -> Unavailable:
    """There is no answer from a host."""
    return Unavailable(
        f"{host} cannot be reached: {why}", code="egress.unreachable", hint="Look at the address and the network."
    )


def said(error: Exception) -> str:
    """What an error says, in a line."""
    return (str(error).partition("\n")[0] or type(error).__name__)[:200]
