"""Egress: the one door through which a server calls addresses that somebody named to it.

What the server may call is the operator's to say (`[egress]` of charkh.toml); who names an address is not trusted.
"""

from collections.abc import Mapping
from typing import NamedTuple, Protocol


class Call(NamedTuple):
    """One request.

    Attributes:
        method: such as `POST`.
        url: `https://host/path`.
        headers: sent as they are.
        body: sent as it is.
        read: the most bytes of the answer's body that are taken; 0 to take none.
    """

    method: str
    url: str
    headers: Mapping[str, str] = {}
    body: bytes = b""
    read: int = 0


class Answer(NamedTuple):
    """What came back.

    Attributes:
        status: of the answer; a redirection is an answer like any other.
        seconds: from the begin of the call to the answer's head.
        retry_after: seconds that the receiver asks for, or None.
        body: at most as many bytes as were asked for.
    """

    status: int
    seconds: float
    retry_after: float | None = None
    body: bytes = b""


class Egress(Protocol):
    """Calls addresses that may be called.

    Resolution: a name is resolved once for a call, all its addresses are judged, and one of them is called.
    Redirections: never followed. Proxies of the environment: never used.
    Time: a call ends within a bound, however slowly the receiver answers.
    """

    def check(self, url: str) -> None:
        """Judge an address by what it says, without resolving anything.

        Raises:
            Invalid: it is no address that could be called.
            Denied: the operator has not said that this host may be called.
        """
        ...

    def call(self, call: Call) -> Answer:
        """The answer, whatever its status.

        Raises:
            Invalid, Denied: as `check`, or the name resolves to an address that may not be called.
            Unavailable: there is no answer: no such name, no connection, no time left, or no HTTP.
        """
        ...
