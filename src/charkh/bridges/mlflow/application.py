"""The ASGI application in front of the handlers: finds the route, lets the caller in, reads, answers.

Bare ASGI and no framework: a call that logs one metric costs one lookup, one decoding and one append. Handlers that
only touch memory and the page cache run where the request is read; all others on a small pool of threads.
"""

import asyncio
import contextlib
import functools
import logging
import os
import secrets
import tempfile
from collections.abc import Awaitable, Callable, Iterator, MutableMapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, BinaryIO

from charkh.bridges.mlflow.call import Call, Raw, Route, Streamed
from charkh.bridges.mlflow.envelope import (
    BAD_REQUEST,
    INTERNAL,
    UNAVAILABLE,
    MlflowError,
    decode_body,
    decode_query,
    encode_answer,
    encode_error,
    translated,
)
from charkh.bridges.mlflow.routes import RouteTable
from charkh.bridges.mlflow.service import Service
from charkh.core.errors import CharkhError, Unauthenticated
from charkh.ports.store import Store
from charkh.users.caller import Caller, Role
from charkh.users.gatekeeper import Gatekeeper, not_allowed
from charkh.workspace.acting import store_for
from charkh.workspace.workspace import Workspace

Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Any]]
Send = Callable[[Any], Awaitable[None]]

THREADS = 8
"""Threads that wait for the disk and the catalog; more would only wait for one another."""

PIECE = 1 << 20
"""Bytes of an upload that are written at once."""

_JSON = b"application/json"
_log = logging.getLogger("charkh.server")


class MlflowApplication:
    """MLflow's protocol over a workspace.

    Args:
        workspace: what is served.
        gatekeeper: lets callers in.
    """

    def __init__(self, workspace: Workspace, gatekeeper: Gatekeeper) -> None:
        self.service = Service(workspace)
        self._workspace = workspace
        self._gatekeeper = gatekeeper
        self._table = RouteTable()
        self._pool = ThreadPoolExecutor(THREADS, thread_name_prefix="charkh-mlflow")
        # A journal over a network is waited for on a thread.
        self._local = not workspace.settings.store.journal

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        method, path, root = str(scope["method"]), str(scope["path"]), str(scope.get("root_path") or "").rstrip("/")
        found = self._table.find(method, path.removeprefix(root) if root else path)
        if found is None:
            await _send(send, 404, b"")
            return
        route = found.route
        headers = {name.decode("latin-1").lower(): value.decode("latin-1") for name, value in scope["headers"]}
        try:
            caller = self._admit(route, headers)
            query = decode_query(scope.get("query_string", b""))
        except _Refused as refused:
            await _send(send, refused.error.status, encode_error(refused.error), refused.headers)
            return
        except MlflowError as error:
            await _send(send, error.status, encode_error(error))
            return
        upload: Path | None = None
        try:
            raw = b""
            if route.body == "file":
                upload = await self._to_file(receive, route.limit)
            elif method != "GET":
                raw = await _to_memory(receive, route.limit)
            fields: dict[str, Any] = {}
            if route.body == "json":
                fields = decode_body(raw)
                for name, values in query.items():
                    fields.setdefault(name, values[0] if len(values) == 1 else values)
            call = Call(
                store=self._store_of(caller),
                workspace=self._workspace,
                service=self.service,
                caller=caller,
                permit=functools.partial(_permit, route, caller),
                query=query,
                body=fields,
                path_values=found.values,
                headers=headers,
                raw=raw if route.body == "raw" else b"",
                upload=upload,
                root=root,
            )
            await self._answer(route, call, send)
        except _Left:
            return
        except MlflowError as error:
            await _send(send, error.status, encode_error(error))
        finally:
            if upload is not None:
                with contextlib.suppress(FileNotFoundError):
                    upload.unlink()

    def close(self) -> None:
        """Finish what runs, and seal what can be sealed."""
        self._pool.shutdown()
        self.service.close()

    async def _answer(self, route: Route, call: Call, send: Send) -> None:
        try:
            inline = route.inline if isinstance(route.inline, bool) else route.inline(call)
            if inline and self._local:
                answer = route.handler(call)
            else:
                answer = await asyncio.get_running_loop().run_in_executor(self._pool, route.handler, call)
        except MlflowError as error:
            await _send(send, error.status, encode_error(error))
        except CharkhError as error:
            told = translated(error)
            await _send(send, told.status, encode_error(told))
        except Exception:  # noqa: BLE001 (the edge of the process: the client gets a number that is in the log)
            reference = secrets.token_hex(4)
            _log.exception("error %s in %s %s", reference, route.method, route.path)
            bug = MlflowError(INTERNAL, f"The server could not answer; its log has the reason under {reference}.")
            await _send(send, bug.status, encode_error(bug))
        else:
            await self._send_answer(answer, send)

    async def _send_answer(self, answer: object, send: Send) -> None:
        if isinstance(answer, Raw):
            more = [(name.encode(), value.encode("latin-1")) for name, value in answer.headers]
            await _send(send, answer.status, answer.content, more, answer.kind.encode("latin-1"))
        elif isinstance(answer, Streamed):
            await self._stream(answer, send)
        else:
            await _send(send, 200, encode_answer(answer))

    async def _stream(self, answer: Streamed, send: Send) -> None:
        loop = asyncio.get_running_loop()
        # The first piece before the head: what cannot be read at all is still an error with a status.
        try:
            piece = await loop.run_in_executor(self._pool, _next_piece, answer.pieces)
        except CharkhError as error:
            told = translated(error)
            await _send(send, told.status, encode_error(told))
            return
        headers = [(name.encode(), value.encode("latin-1")) for name, value in answer.headers]
        headers += [
            (b"content-type", answer.kind.encode("latin-1")),
            (b"content-length", str(answer.length).encode()),
            (b"x-content-type-options", b"nosniff"),
        ]
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        while piece is not None:
            await send({"type": "http.response.body", "body": piece, "more_body": True})
            piece = await loop.run_in_executor(self._pool, _next_piece, answer.pieces)
        await send({"type": "http.response.body", "body": b"", "more_body": False})

    def _admit(self, route: Route, headers: dict[str, str]) -> Caller | None:
        if route.role == "open":
            return None
        return self._ask_gatekeeper(route.role, headers)

    def _ask_gatekeeper(self, role: Role, headers: dict[str, str]) -> Caller:
        try:
            return self._gatekeeper.admit(headers.get("authorization", ""), role)
        except CharkhError as error:
            told = translated(error)
            if isinstance(error, Unauthenticated):
                raise _Refused(told, [(b"www-authenticate", b'Bearer realm="charkh"')]) from error
            raise _Refused(told, []) from error

    def _store_of(self, caller: Caller | None) -> Store:
        store = self._workspace.store
        return store if caller is None else store_for(store, caller)

    async def _to_file(self, receive: Receive, limit: int) -> Path:
        """The body in a file of the store's scratch folder; some megabytes of it at most are in memory."""
        loop = asyncio.get_running_loop()
        file, path = await loop.run_in_executor(self._pool, _scratch_file, self._workspace.scratch)
        pieces: list[bytes] = []
        size = held = 0
        more = True
        try:
            while more:
                message = await receive()
                if message["type"] == "http.disconnect":
                    raise _Left
                piece, more = message.get("body", b""), bool(message.get("more_body"))
                pieces.append(piece)
                size, held = size + len(piece), held + len(piece)
                if size > limit:
                    raise MlflowError(BAD_REQUEST, f"The body has more than {limit} bytes.")
                if held >= PIECE or not more:
                    await loop.run_in_executor(self._pool, file.write, b"".join(pieces))
                    pieces, held = [], 0
            await loop.run_in_executor(self._pool, file.close)
        except BaseException as error:
            path.unlink(missing_ok=True)
            with contextlib.suppress(OSError):
                file.close()
            if isinstance(error, OSError):
                raise MlflowError(UNAVAILABLE, f"The upload cannot be written: {error.strerror}") from error
            raise
        return path


def _scratch_file(folder: Path) -> tuple[BinaryIO, Path]:
    try:
        folder.mkdir(parents=True, exist_ok=True)
        number, name = tempfile.mkstemp(prefix="upload-", dir=folder)
    except OSError as error:
        raise MlflowError(UNAVAILABLE, f"The upload cannot be written: {error.strerror}") from error
    return os.fdopen(number, "wb"), Path(name)


class _Refused(Exception):
    def __init__(self, error: MlflowError, headers: list[tuple[bytes, bytes]]) -> None:
        super().__init__(error.message)
        self.error = error
        self.headers = headers


class _Left(Exception):
    """The client has gone away before its body was whole."""


def _permit(route: Route, caller: Caller | None, project: str, absent: MlflowError | None = None) -> None:
    if caller is None or route.role == "open" or caller.may(route.role, "project", project):
        return
    if absent is not None and not caller.may("reader", "project", project):
        raise absent
    raise not_allowed(route.role)


async def _to_memory(receive: Receive, limit: int) -> bytes:
    pieces: list[bytes] = []
    size = 0
    while True:
        message = await receive()
        if message["type"] == "http.disconnect":
            raise _Left
        piece = message.get("body", b"")
        size += len(piece)
        if size > limit:
            raise MlflowError(BAD_REQUEST, f"The body has more than {limit} bytes.")
        pieces.append(piece)
        if not message.get("more_body"):
            return pieces[0] if len(pieces) == 1 else b"".join(pieces)


def _next_piece(pieces: Iterator[bytes]) -> bytes | None:
    return next(pieces, None)


async def _send(
    send: Send, status: int, body: bytes, headers: list[tuple[bytes, bytes]] | None = None, kind: bytes = _JSON
) -> None:
    """Head and body in one write: the server waits for the body before it sends the head."""
    said = [(b"content-type", kind), (b"content-length", str(len(body)).encode()), *(headers or ())]
    await send({"type": "http.response.start", "status": status, "headers": said})
    await send({"type": "http.response.body", "body": body})
