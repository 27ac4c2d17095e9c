"""A connection to a charkh server's exchange: its answers as bytes, its refusals as charkh's own errors."""

import time
from collections.abc import Generator, Iterator, Mapping
from contextlib import contextmanager

import httpx
import msgspec

from charkh.core.errors import (
    CharkhError,
    Conflict,
    Corrupt,
    Denied,
    GateRefused,
    Incomplete,
    Invalid,
    Locked,
    NotFound,
    Unavailable,
)
from charkh.stores.http_address import refuse_plain

ATTEMPTS = 4
"""Every request of the exchange may be sent again: what is there already changes nothing."""
TIMEOUT = httpx.Timeout(60.0, connect=10.0)

_CLASSES: dict[int, type[CharkhError]] = {
    400: Invalid,
    401: Denied,
    403: Denied,
    404: NotFound,
    409: Conflict,
    422: GateRefused,
    423: Locked,
    424: Incomplete,
    502: Corrupt,
}


class Refusal(msgspec.Struct, frozen=True):
    """Problem details (RFC 9457) as the server sends them."""

    type: str = ""
    title: str = ""
    detail: str = ""
    facts: dict[str, object] = {}


class HttpConnection:
    """One server and the token that it asks for. Threads may share it.

    Args:
        address: `https://host/prefix`, or `http://` on this machine.
        token: the bearer token, empty for none; never sent to another address, because no redirect is followed.
        client: sends the requests; one of its own by default.

    Raises:
        Denied: the token would go over a network unencrypted.
    """

    def __init__(self, address: str, token: str, client: httpx.Client | None = None) -> None:
        refuse_plain(address)
        self.address = address.rstrip("/")
        self._headers = {"Authorization": f"Bearer {token}"} if token else {}
        self._client = client or httpx.Client(timeout=TIMEOUT, follow_redirects=False)

    def get(self, path: str, query: Mapping[str, str | int] | None = None) -> bytes:
        """The body of an answer."""
        return self._send("GET", path, query, None)

    def post(self, path: str, query: Mapping[str, str | int] | None = None, body: bytes = b"") -> bytes:
        """The body of the answer to some bytes."""
        return self._send("POST", path, query, body)

    @contextmanager
    def stream(self, path: str, body: bytes) -> Generator[Iterator[bytes]]:
        """The body of an answer as it comes; it is not asked for again when it breaks off."""
        try:
            with self._client.stream("POST", self._url(path), headers=self._sent(body), content=body) as answer:
                if answer.status_code >= 300:
                    answer.read()
                    raise self._refused(answer)
                yield answer.iter_bytes()
        except httpx.HTTPError as error:
            raise self._unreachable(error) from error

    def _send(self, method: str, path: str, query: Mapping[str, str | int] | None, body: bytes | None) -> bytes:
        for attempt in range(1, ATTEMPTS + 1):
            try:
                answer = self._client.request(
                    method, self._url(path), params=dict(query or {}), headers=self._sent(body), content=body
                )
            except httpx.HTTPError as error:
                if attempt == ATTEMPTS:
                    raise self._unreachable(error) from error
            else:
                if answer.status_code < 300:
                    return answer.content
                if answer.status_code not in {429, 503, 504} or attempt == ATTEMPTS:
                    raise self._refused(answer)
            time.sleep(0.2 * 2**attempt)
        raise AssertionError("unreachable")

    def _url(self, path: str) -> str:
        return f"{self.address}{path}"

    def _sent(self, body: bytes | None) -> dict[str, str]:
        return self._headers if body is None else {**self._headers, "Content-Type": "application/octet-stream"}

    def _refused(self, answer: httpx.Response) -> CharkhError:
        try:
            told = msgspec.json.decode(answer.content, type=Refusal)
        except msgspec.MsgspecError:
            told = Refusal(title=f"it answers {answer.status_code} {answer.reason_phrase}")
        code = told.type.removeprefix("urn:charkh:") if told.type.startswith("urn:charkh:") else "remote.refused"
        hint = told.detail or "Look whether the address is that of a `charkh up`."
        if answer.status_code == 401:
            hint = "Give the token of that server: token in its [remote.NAME], or CHARKH_TOKEN."
        kind = _CLASSES.get(answer.status_code, Unavailable)
        return kind(f"{self.address}: {told.title}", code=code, hint=hint, facts=told.facts)

    def _unreachable(self, error: httpx.HTTPError) -> Unavailable:
        return Unavailable(
            f"{self.address} does not answer: {str(error) or type(error).__name__}",
            code="remote.unreachable",
            hint="Look whether `charkh up` runs there and the network is up, and run it again: what was done is kept.",
        )
