"""One file over HTTP: conditional, resumed where it broke off, bounded, and never led away from HTTP.

RFC 9110: conditional requests (13), ranges (14). A download is resumed only on a strong validator (If-Range), so
that the parts of two contents never meet in one file.
"""

import contextlib
import random
import time
from collections.abc import Callable, Generator, Mapping
from email.utils import parsedate_to_datetime
from pathlib import Path
from typing import NamedTuple
from urllib.parse import urljoin

import httpx
import msgspec

from charkh.core.errors import CharkhError, Denied, Invalid, NotFound, Unavailable
from charkh.ports.vault import Progress
from charkh.sources.http_redirects import origin, refuse_detour
from charkh.sources.source import Item
from charkh.sources.staging import Note, Staging, digest_of

MAX_REDIRECTS = 10
MAX_WAIT = 60.0
"""Seconds that a server may ask to be left alone (Retry-After) before the next attempt."""
WORTH = 64 * 1024
"""Bytes that an attempt must bring for the count of attempts to begin anew."""
_AGAIN = frozenset({408, 425, 429, 500, 502, 503, 504})
_REDIRECTS = frozenset({301, 302, 303, 307, 308})
_RANGE_WORD = "bytes "


class Target(NamedTuple):
    """What is fetched.

    Attributes:
        url: its address.
        key: the address as it may be shown and kept.
        headers: sent to the address's own host alone.
        params: added to the query of the address.
        limit: the most bytes that are taken.
    """

    url: str
    key: str
    headers: Mapping[str, str]
    params: Mapping[str, str]
    limit: int


class Got(NamedTuple):
    """A content that lies whole in the staging folder."""

    note: Note
    place: Path


class Kept(NamedTuple):
    """The content is what it was."""


class Missing(NamedTuple):
    """The server says that there is no such thing."""

    status: int


class _Again(Exception):
    def __init__(self, error: CharkhError, *, brought: int = 0, wait: float | None = None) -> None:
        super().__init__(error.message)
        self.error = error
        self.brought = brought
        self.wait = wait


class Downloads:
    """Downloads over one pool of connections; threads may share it.

    Args:
        client: of httpx, following no redirects by itself.
        staging: where the bytes go.
        attempts: tries in a row that bring nothing before it fails.
        sleep: waits between two.
    """

    def __init__(
        self, client: httpx.Client, staging: Staging, *, attempts: int, sleep: Callable[[float], None] = time.sleep
    ) -> None:
        self._client = client
        self._staging = staging
        self._attempts = attempts
        self._sleep = sleep

    def get(self, target: Target, known: Item | None, progress: Progress | None = None) -> Got | Kept | Missing:
        """The content of a target, unless it is what `known` says.

        Raises:
            Unavailable: it could not be had whole, after as many attempts as are allowed.
            Denied: the server refuses, or leads elsewhere than charkh follows.
            Invalid: it is larger than the limit.
        """
        return self._trying(lambda: self._once(target, known, progress))

    def look(self, target: Target, known: Item | None) -> Got | Kept | Missing:
        """As `get`, without the content: what the server says about it."""

        def once() -> Got | Kept | Missing:
            with self._asked(target, _conditions(known)) as response:
                return self._told(response, target, asked=known is not None) or Got(_note_of(target, response), Path())

        return self._trying(once)

    def _trying(self, once: Callable[[], Got | Kept | Missing]) -> Got | Kept | Missing:
        failures = 0
        while True:
            try:
                return once()
            except _Again as again:
                failures = 1 if again.brought >= WORTH else failures + 1
                if failures >= self._attempts:
                    raise again.error from again
                # A little chance keeps many clients from coming back at one moment.
                wait = min(0.5 * 2 ** (failures - 1), 30.0) * random.uniform(0.5, 1.0)  # noqa: S311
                self._sleep(wait if again.wait is None else min(again.wait, MAX_WAIT))

    def _once(self, target: Target, known: Item | None, progress: Progress | None) -> Got | Kept | Missing:
        note = self._staged(target)
        place = self._staging.place(target.key)
        have = place.stat().st_size if note is not None else 0
        if note is not None and note.digest:
            headers = _conditions(Item(key="", path="", etag=note.etag, modified=note.modified))
        elif note is not None:
            headers = {"Range": f"bytes={have}-", "If-Range": note.strong}
        else:
            headers = _conditions(known)
        with self._asked(target, headers) as response:
            told = self._told(response, target, asked=bool(headers) and "Range" not in headers)
            if isinstance(told, Kept) and note is not None:
                return Got(note, place)
            if told is not None:
                return told
            begin = have if response.status_code == 206 else 0
            fresh = _note_of(target, response)
            if begin and not _continues(response, note, fresh, begin):
                self._staging.forget(target.key)
                raise _Again(_broken(target, "it sent another part than it was asked for"))
            return self._received(response, target, note if begin and note else fresh, begin, progress)

    def _staged(self, target: Target) -> Note | None:
        """What lies there of the content and can be gone on from; anything else is dropped."""
        note = self._staging.note(target.key)
        if note is None:
            return None
        place = self._staging.place(target.key)
        size = place.stat().st_size
        usable = bool(note.etag or note.modified) if note.digest else bool(note.strong)
        # After a loss of power, a file may be shorter than what was written of it.
        if usable and note.digest:
            usable = size == note.total and digest_of(place) == note.digest
        if not usable or not size or (0 <= note.total < size):
            self._staging.forget(target.key)
            return None
        return note

    def _received(
        self, response: httpx.Response, target: Target, note: Note, begin: int, progress: Progress | None
    ) -> Got:
        place = self._staging.place(target.key)
        if note.total > target.limit:
            raise _too_large(target, note.total)
        encoded = response.headers.get("content-encoding", "identity").lower() not in {"", "identity"}
        size = begin
        try:
            with place.open("r+b" if begin else "wb") as file:
                file.seek(begin)
                file.truncate()
                if not begin:
                    self._staging.write_note(note)
                for data in response.iter_bytes() if encoded else response.iter_raw():
                    size += len(data)
                    if size > target.limit:
                        raise _too_large(target, size)
                    file.write(data)
                    if progress:
                        progress(len(data))
        except httpx.HTTPError as error:
            raise _Again(_broken(target, _said(error)), brought=size - begin) from error
        if not encoded and 0 <= note.total != size:
            raise _Again(_broken(target, f"it ended after {size:,} of {note.total:,} bytes"), brought=size - begin)
        whole = msgspec.structs.replace(note, total=size, digest=digest_of(place))
        self._staging.write_note(whole)
        return Got(whole, place)

    def _told(self, response: httpx.Response, target: Target, *, asked: bool) -> Kept | Missing | None:
        """What a status without a content says; None where the content follows."""
        status = response.status_code
        if status in {200, 206}:
            return None
        if status == 304:
            if asked:
                return Kept()
            raise Unavailable(
                f"{target.key} answered 304 (not modified) to a request that had no copy to compare with",
                code="source.not_modified",
                hint="The server, or a proxy before it, is wrong; try again later or tell its operator.",
            )
        if status in {404, 410}:
            return Missing(status)
        if status in {401, 403, 407}:
            raise Denied(
                f"{target.key} answered {status}: it does not let you read it",
                code="source.denied",
                hint='Look at `headers` in the settings, such as {Authorization = "env:TOKEN"}, and the variable.',
            )
        if status == 416:
            self._staging.forget(target.key)
            raise _Again(_broken(target, "it has no such part"))
        error = Unavailable(
            f"{target.key} answered {status} {response.reason_phrase}".rstrip(),
            code="source.http_status",
            hint="Look at the address in a browser; run the fetch again later.",
            facts={"status": status},
        )
        if status in _AGAIN:
            raise _Again(error, wait=_retry_after(response))
        raise error

    @contextlib.contextmanager
    def _asked(self, target: Target, extra: Mapping[str, str]) -> Generator[httpx.Response]:
        """The answer, after redirects, its body not yet read."""
        url, headers = target.url, {**target.headers, **extra}
        params: Mapping[str, str] | None = target.params or None
        for _ in range(MAX_REDIRECTS):
            try:
                with contextlib.ExitStack() as stack:
                    response = stack.enter_context(self._client.stream("GET", url, headers=headers, params=params))
                    location = response.headers.get("location")
                    if response.status_code not in _REDIRECTS or location is None:
                        yield response
                        return
            except httpx.InvalidURL as error:
                raise Invalid(f"{target.key} is no address: {error}", code="source.url", hint="Mend `url`.") from error
            except httpx.TransportError as error:
                raise _Again(_broken(target, _said(error))) from error
            following = urljoin(url if params is None else str(response.request.url), location)
            refuse_detour(target.key, url, following)
            if origin(following) != origin(url):
                headers = dict(extra)
            url, params = following, None
        raise Unavailable(
            f"{target.key} redirects more than {MAX_REDIRECTS} times", code="source.redirects", hint="Mend `url`."
        )


def _conditions(known: Item | None) -> dict[str, str]:
    if known is None:
        return {}
    if known.etag:
        return {"If-None-Match": known.etag}
    return {"If-Modified-Since": known.modified} if known.modified else {}


def _strong_mark(headers: httpx.Headers) -> str:
    """What If-Range may say: a strong mark, or a time well before the answer's own (RFC 9110, 8.8.2.2); or nothing."""
    mark, changed = headers.get("etag", ""), headers.get("last-modified", "")
    if mark:
        return "" if mark.startswith("W/") else mark
    try:
        age = parsedate_to_datetime(headers.get("date", "")) - parsedate_to_datetime(changed)
    except (ValueError, TypeError):
        return ""
    return changed if age.total_seconds() >= 1 else ""


def _note_of(target: Target, response: httpx.Response) -> Note:
    headers = response.headers
    total = -1
    if response.status_code == 206:
        size = headers.get("content-range", "").rpartition("/")[2]
        total = int(size) if size.isdecimal() else -1
    elif headers.get("content-encoding", "identity").lower() in {"", "identity"}:
        length = headers.get("content-length", "")
        total = int(length) if length.isdecimal() else -1
    return Note(
        key=target.key,
        etag=headers.get("etag", ""),
        modified=headers.get("last-modified", ""),
        strong=_strong_mark(headers),
        total=total,
    )


def _continues(response: httpx.Response, note: Note | None, fresh: Note, begin: int) -> bool:
    """Whether a part begins where the file ends, and is of the same content."""
    said = response.headers.get("content-range", "")
    if note is None or not said.startswith(f"{_RANGE_WORD}{begin}-"):
        return False
    same_mark = not fresh.etag or fresh.etag == note.etag
    return same_mark and (note.total < 0 or fresh.total < 0 or note.total == fresh.total)


def _retry_after(response: httpx.Response) -> float | None:
    said = response.headers.get("retry-after", "").strip()
    if said.isdecimal():
        return float(said)
    if not said:
        return None
    try:
        return max(0.0, parsedate_to_datetime(said).timestamp() - time.time())
    except ValueError:
        return None


def missing(target: Target, status: int) -> NotFound:
    """The error for a target that is not there."""
    return NotFound(
        f"{target.key} answered {status}: there is no such file",
        code="source.not_there",
        hint='Mend `url`, or say missing = "skip" for files that come later.',
    )


def _too_large(target: Target, size: int) -> Invalid:
    return Invalid(
        f"{target.key} has {size:,} bytes or more, the limit is {target.limit:,}",
        code="source.too_large",
        hint="Raise `limit` in the source's settings if you want it.",
    )


def _broken(target: Target, why: str) -> Unavailable:
    return Unavailable(
        f"{target.key} could not be fetched: {why}",
        code="source.unreachable",
        hint="Look at `url` and the network, and fetch again: what came so far is kept, and goes on from there where "
        "the server can.",
    )


def _said(error: Exception) -> str:
    return str(error).partition("\n")[0][:200] or type(error).__name__
