"""`/api/exchange`: facts and bytes for another charkh, as `charkh sync` asks for them.

What comes in is looked at before it is taken: a pack against the digests in it, facts against what a fact can be.
A client can put packs and leases; it can delete leases alone, because the server collects by itself.
"""

import asyncio
import contextlib
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import msgspec
from litestar import Request, Response, get, post
from litestar.datastructures import State
from litestar.params import FromQuery
from litestar.response import Stream

from charkh.assets.erasures import refuse_erased
from charkh.assets.index import Erasures
from charkh.assets.lease import CLOCK, LEASES
from charkh.assets.pack import check_pack
from charkh.assets.shelf import PACKS, TRASH
from charkh.core.digests import DIGEST_PATTERN
from charkh.core.errors import Corrupt, Denied, Invalid, Locked, Unavailable
from charkh.core.events import decode_event
from charkh.ports.blobs import BlobInfo
from charkh.ports.exchange import Part
from charkh.ports.exchange_frames import decode_parts, encode_parts
from charkh.server.asking import who_asks
from charkh.server.handlers.opened import workspace_of
from charkh.server.policy import Policy
from charkh.workspace.purging import purge
from charkh.workspace.receiving import drop_sealed
from charkh.workspace.remotes import exchange_of

MAX_OBJECT = 256 * 1024 * 1024
MAX_SMALL = 64 * 1024 * 1024
"""Bytes of a lease: 64 digits for each digest that it keeps."""
READABLE = (PACKS, TRASH, LEASES, CLOCK)
TEMPORARY = (LEASES, CLOCK)
POWERS = ("user.", "webhook.")
BYTES = "application/octet-stream"
_AT_ONCE = asyncio.Semaphore(4)
"""Packs are held in memory while they are looked at."""


@get("/api/exchange/list", opt={"policy": Policy.READ}, sync_to_thread=True)
def list_objects(state: State, prefix: FromQuery[str]) -> list[BlobInfo]:
    """The objects whose key begins so."""
    _require(prefix, READABLE, "listed")
    return list(workspace_of(state).blobs.list(prefix))


@get("/api/exchange/has", opt={"policy": Policy.READ}, sync_to_thread=True)
def has_object(state: State, key: FromQuery[str]) -> bool:
    """Whether an object is there."""
    _require(key, READABLE, "read")
    return workspace_of(state).blobs.has(key)


@get("/api/exchange/object", opt={"policy": Policy.READ})
async def get_object(
    state: State, key: FromQuery[str], start: FromQuery[int] = 0, length: FromQuery[int | None] = None
) -> Response[bytes]:
    """The bytes of an object from `start`, which counts from the end when it is negative."""
    _require(key, READABLE, "read")
    if length is not None and length < 0:
        raise Invalid(f"a length of {length}", code="blobs.bad_range", hint="Give a length of 0 or more.")
    content = await asyncio.to_thread(workspace_of(state).blobs.get, key, start, length)
    return Response(content, media_type=BYTES)


@post("/api/exchange/object", opt={"policy": Policy.EXCHANGE}, status_code=200, request_max_body_size=MAX_OBJECT)
async def put_object(request: Request[Any, Any, State], state: State, key: FromQuery[str]) -> int:
    """Take an object; its size."""
    _require(key, (PACKS, *TEMPORARY), "written")
    async with _AT_ONCE:
        content = await request.body()
        await asyncio.to_thread(_put, state, key, content)
    return len(content)


@post("/api/exchange/delete", opt={"policy": Policy.EXCHANGE}, status_code=200, sync_to_thread=True)
def delete_object(state: State, key: FromQuery[str]) -> bool:
    """Let go of a lease."""
    _require(key, TEMPORARY, "deleted")
    workspace_of(state).blobs.delete(key)
    return True


@get("/api/exchange/facts", opt={"policy": Policy.READ}, sync_to_thread=True)
def known_facts(state: State) -> Mapping[str, int]:
    """By segment, how many of its facts are here."""
    return dict(exchange_of(workspace_of(state).journal).known())


@post("/api/exchange/parts", opt={"policy": Policy.EXCHANGE}, status_code=200, request_max_body_size=MAX_SMALL)
async def give_facts(request: Request[Any, Any, State], state: State) -> Stream:
    """The facts that somebody lacks who has the first `body[segment]` of each segment, as frames."""
    try:
        known = msgspec.json.decode(await request.body() or b"{}", type=dict[str, int])
    except msgspec.MsgspecError as error:
        raise Invalid(
            f"the body says no counts by segment: {error}",
            code="exchange.bad_frames",
            hint="Send a JSON object such as {}.",
        ) from error

    def frames() -> Iterator[bytes]:
        yield from encode_parts(exchange_of(workspace_of(state).journal).parts(known))

    return Stream(frames(), media_type=BYTES)


@post("/api/exchange/facts", opt={"policy": Policy.EXCHANGE}, status_code=200, request_max_body_size=MAX_OBJECT)
async def take_facts(request: Request[Any, Any, State], state: State) -> int:
    """Take facts of other stores' segments over; how many were new."""
    async with _AT_ONCE:
        body = await request.body()
        if not body:
            return 0
        return await asyncio.to_thread(_take, state, body)


def _take(state: State, body: bytes) -> int:
    workspace = workspace_of(state)
    before = workspace.store.queries.ask(Erasures())
    try:
        parts = list(decode_parts([body]))
    except (Corrupt, Unavailable) as error:
        # A body that breaks off or is no frame came so from its sender, and the server is well.
        raise Invalid(error.message, code=error.code, hint=error.hint) from error
    _refuse_powers(parts)
    taken = exchange_of(workspace.journal).take(parts)
    after = workspace.store.queries.ask(Erasures()) if taken else before
    if taken:
        drop_sealed(workspace)
    if after != before:
        # A colleague erased something: its bytes leave this machine with the fact that says so, or with the next
        # collection when one is under way.
        with contextlib.suppress(Locked):
            purge(workspace)
    return taken


def _refuse_powers(parts: Sequence[Part]) -> None:
    """Facts that say who may do what, or whom the server tells, come from an admin alone."""
    if who_asks().may_everywhere("admin"):
        return
    for part in parts:
        for payload in part.payloads:
            kind = decode_event(payload).kind
            if kind.startswith(POWERS):
                raise Denied(
                    f"{kind} can be sent by an admin alone",
                    code="exchange.denied",
                    hint="Users and webhooks are made at the server: `charkh user` and `charkh webhook` there.",
                )


def _put(state: State, key: str, content: bytes) -> None:
    if key.startswith(PACKS):
        name = key.removeprefix(PACKS)
        if not DIGEST_PATTERN.fullmatch(name):
            raise Invalid(f"{name[:80]!r} is no name of a pack", code="blobs.bad_key", hint="Send packs by digest.")
        entries = check_pack(content, name)
        erased = workspace_of(state).vault.erased.now()
        for entry in entries if erased else ():
            if entry.digest in erased:
                raise refuse_erased(entry.digest)
    workspace_of(state).blobs.put(key, [content])


def _require(key: str, folders: tuple[str, ...], what: str) -> None:
    if not key.startswith(folders):
        raise Denied(
            f"{key[:80]!r} cannot be {what} over the exchange",
            code="exchange.denied",
            hint="Packs and leases travel here; a server collects and mends its store by itself.",
        )


HANDLERS = (
    list_objects,
    has_object,
    get_object,
    put_object,
    delete_object,
    known_facts,
    give_facts,
    take_facts,
)
