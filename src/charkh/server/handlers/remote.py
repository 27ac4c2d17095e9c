"""`/api/queries` and `/api/commands`: what the SDK and the command line of another machine ask and decide.

By name of their type, from the list of what the projections answer and decide. What concerns users, their tokens and
webhooks has routes of its own and is not among them.
"""

import asyncio
from collections.abc import Mapping
from typing import Any, TypeVar

import msgspec
from litestar import Request, Response, post
from litestar.datastructures import State

from charkh.core.errors import Invalid
from charkh.models.decisions import MoveAlias
from charkh.ports.remote_calls import COMMANDS, QUERIES, Answered, Asked, Decided, Ordered
from charkh.ports.store import Store
from charkh.server.asking import who_asks
from charkh.server.handlers.opened import workspace_of
from charkh.server.policy import Policy
from charkh.users.gatekeeper import not_allowed
from charkh.workspace.promoting import refuse_forged
from charkh.workspace.wire_names import command_types, query_types
from charkh.workspace.workspace import Workspace

MSGPACK = "application/msgpack"
MAX_BODY = 64 * 1024 * 1024
Shape = TypeVar("Shape")
_encoder = msgspec.msgpack.Encoder(enc_hook=str)


@post(QUERIES, opt={"policy": Policy.EXCHANGE, "role": "reader"}, status_code=200, request_max_body_size=MAX_BODY)
async def ask(request: Request[Any, Any, State], state: State) -> Response[bytes]:
    """Answer one query."""
    body = await request.body()
    return Response(await asyncio.to_thread(_ask, workspace_of(state).store, body), media_type=MSGPACK)


@post(COMMANDS, opt={"policy": Policy.EXCHANGE, "role": "writer"}, status_code=200, request_max_body_size=MAX_BODY)
async def decide(request: Request[Any, Any, State], state: State) -> Response[bytes]:
    """Decide one command; what it came to, and the same again for the same key."""
    body = await request.body()
    return Response(await asyncio.to_thread(_decide, workspace_of(state), body), media_type=MSGPACK)


def _ask(store: Store, body: bytes) -> bytes:
    asked = _read(body, Asked)
    query = _read(asked.query, _known(asked.type, query_types(), "query"))
    answer = store.queries.ask(query)
    return _encoder.encode(Answered(answer=msgspec.Raw(_encoder.encode(answer)), stale=store.queries.stale))


def _decide(workspace: Workspace, body: bytes) -> bytes:
    ordered = _read(body, Ordered)
    command = _read(ordered.command, _known(ordered.type, command_types(), "command"))
    if isinstance(command, MoveAlias):
        refuse_forged(workspace, command)
        if command.override and not who_asks().may_everywhere("admin"):
            raise not_allowed("admin", everywhere=True)
    return _encoder.encode(Decided(events=workspace.store.commands.decide(command, key=ordered.key)))


def _known(name: str, known: Mapping[str, type[Shape]], what: str) -> type[Shape]:
    if name in known:
        return known[name]
    raise Invalid(
        f"there is no {what} {name[:80]!r} here",
        code="remote.unknown_type",
        hint="Let both sides be of about the same age: pip install --upgrade charkh.",
    )


def _read(body: bytes | msgspec.Raw, shape: type[Shape]) -> Shape:
    try:
        return msgspec.msgpack.decode(body, type=shape)
    except (msgspec.MsgspecError, RecursionError) as error:
        raise Invalid(
            f"the body is no {shape.__name__}: {error}",
            code="remote.bad_body",
            hint="Let both sides be of about the same age: pip install --upgrade charkh.",
        ) from error


HANDLERS = (ask, decide)
