"""Blobs in a folder of another machine, over SFTP: nothing of charkh has to be installed there.

Keys, host keys and jump hosts are those of OpenSSH: `~/.ssh/config`, `known_hosts` and the agent. An object is
written beside, synced where the server has OpenSSH's `fsync` extension, and linked into place by `hardlink`; on a
server without that extension it is renamed, and of two puts to one key the later wins.
"""

import asyncio
import contextlib
import posixpath
import threading
import weakref
from collections.abc import AsyncIterator, Callable, Coroutine, Iterable, Iterator
from typing import Any, NamedTuple, TypeVar, cast
from urllib.parse import unquote, urlsplit

import asyncssh
from asyncssh.constants import FILEXFER_TYPE_DIRECTORY

from charkh.core.errors import Denied, Invalid, Unavailable
from charkh.core.ids import new_id
from charkh.ports.blobs import BlobInfo
from charkh.stores.blob_keys import no_such_blob, parse_key, parse_prefix

WRITING = ".writing"
ABANDONED_SECONDS = 24 * 3600
ATTEMPTS = 3
BLOCK = 256 * 1024
CONNECT_SECONDS = 30.0

Result = TypeVar("Result")
_LOST = (asyncssh.ConnectionLost, asyncssh.SFTPConnectionLost, asyncssh.SFTPNoConnection)


class SshAddress(NamedTuple):
    """`ssh://user@host:port/folder`, taken apart; `/~/folder` and `//folder` are the home folder and the root.

    Attributes:
        host: name or alias of `~/.ssh/config`.
        port: or None for what the configuration says.
        user: or empty for what the configuration says.
        folder: on the other machine.
    """

    host: str
    port: int | None
    user: str
    folder: str


def parse_ssh_address(address: str) -> SshAddress:
    """The parts of an address.

    Raises:
        Invalid: it names no host or no folder.
    """
    try:
        parts = urlsplit(address)
        port = parts.port
    except ValueError as error:
        raise _bad_address(address) from error
    folder = unquote(parts.path)
    if parts.scheme != "ssh" or not parts.hostname or folder in {"", "/"} or parts.password:
        raise _bad_address(address)
    folder = folder.removeprefix("/~/") if folder.startswith("/~/") else posixpath.normpath(f"/{folder.lstrip('/')}")
    return SshAddress(parts.hostname, port, unquote(parts.username or ""), folder)


class _Line:
    """The connection, and the thread whose event loop it lives on."""

    def __init__(self, address: SshAddress, options: dict[str, Any], writing: str) -> None:
        self._address = address
        self._options = options
        self._writing = writing
        self._loop = asyncio.new_event_loop()
        self._connecting = asyncio.Lock()
        self._connection: asyncssh.SSHClientConnection | None = None
        self._client: asyncssh.SFTPClient | None = None
        self._known_folders: set[str] = set()
        self._thread = threading.Thread(target=self._loop.run_forever, name="charkh-ssh", daemon=True)
        self._thread.start()

    def run(self, work: Callable[[asyncssh.SFTPClient], Coroutine[Any, Any, Result]]) -> Result:
        """What the work gives; it is begun again when the connection is lost."""
        return asyncio.run_coroutine_threadsafe(self._attempt(work), self._loop).result()

    def hang_up(self) -> None:
        """Close the connection and end the thread."""
        asyncio.run_coroutine_threadsafe(self._close(), self._loop).result()
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    async def make_folder(self, client: asyncssh.SFTPClient, folder: str) -> None:
        """Make a folder and those above it, once a connection for each."""
        if folder not in self._known_folders:
            await client.makedirs(folder, exist_ok=True)
            self._known_folders.add(folder)

    async def _attempt(self, work: Callable[[asyncssh.SFTPClient], Coroutine[Any, Any, Result]]) -> Result:
        for number in range(1, ATTEMPTS + 1):
            try:
                return await work(await self._connected())
            except _LOST:
                await self._close()
                if number == ATTEMPTS:
                    raise
                await asyncio.sleep(0.5 * number)
        raise AssertionError("unreachable")

    async def _connected(self) -> asyncssh.SFTPClient:
        async with self._connecting:
            if self._client is None:
                options = dict(self._options)
                if self._address.port is not None:
                    options["port"] = self._address.port
                if self._address.user:
                    options["username"] = self._address.user
                self._connection = await asyncio.wait_for(
                    asyncssh.connect(self._address.host, **options), CONNECT_SECONDS
                )
                self._client = await self._connection.start_sftp_client()
                self._known_folders.clear()
                await self._remove_abandoned(self._client)
            return self._client

    async def _close(self) -> None:
        connection, self._connection, self._client = self._connection, None, None
        if connection is not None:
            connection.abort()
            await connection.wait_closed()

    async def _remove_abandoned(self, client: asyncssh.SFTPClient) -> None:
        """Remove what puts left that were killed long ago, by the other machine's clock."""
        entries = [each async for each in _names(client, self._writing, hidden=True)]
        newest = max((_modified(entry) for _, entry in entries), default=0.0)
        for name, entry in entries:
            if _modified(entry) < newest - ABANDONED_SECONDS:
                with contextlib.suppress(asyncssh.SFTPError):
                    await client.remove(f"{self._writing}/{name}")


class SshBlobs:
    """The blobs port over a folder behind SSH; one connection, made at the first use and again when it is lost.

    Args:
        address: where the folder is.
        options: further keyword arguments of `asyncssh.connect`, such as `known_hosts`.
    """

    def __init__(self, address: SshAddress, **options: Any) -> None:
        self._address = address
        self._where = f"ssh://{address.host}/{address.folder.lstrip('/')}"
        self._line = _Line(address, options, self._folder(WRITING))
        weakref.finalize(self, self._line.hang_up)

    def has(self, key: str) -> bool:
        path = self._path(key)

        async def look(client: asyncssh.SFTPClient) -> bool:
            return await client.isfile(path)

        return self._run("read", key, look)

    def get(self, key: str, start: int = 0, length: int | None = None) -> bytes:
        path = self._path(key)

        async def read(client: asyncssh.SFTPClient) -> bytes:
            # Some servers open a folder for reading.
            if not await client.isfile(path):
                raise asyncssh.SFTPNoSuchFile(path)
            file = await client.open(path, "rb")
            try:
                size = (await file.stat()).size or 0
                begin = max(0, size + start) if start < 0 else min(start, size)
                end = size if length is None else min(size, begin + max(0, length))
                if end <= begin:
                    return b""
                data = cast(bytes, await file.read(end - begin, begin))
            finally:
                await file.close()
            if len(data) != end - begin:
                raise asyncssh.SFTPConnectionLost("the file ends before its size")
            return data

        return self._run("read", key, read)

    def put(self, key: str, parts: Iterable[bytes | memoryview]) -> None:
        path = self._path(key)
        content = b"".join(parts)

        async def write(client: asyncssh.SFTPClient) -> None:
            if await client.exists(path):
                return
            await self._line.make_folder(client, self._folder(WRITING))
            await self._line.make_folder(client, posixpath.dirname(path))
            waiting = f"{self._folder(WRITING)}/{new_id()}"
            try:
                async with await client.open(waiting, "xb") as file:
                    for begin in range(0, len(content), BLOCK):
                        await file.write(content[begin : begin + BLOCK], begin)
                    with contextlib.suppress(asyncssh.SFTPOpUnsupported):
                        await file.fsync()
                await _place(client, waiting, path)
            finally:
                with contextlib.suppress(asyncssh.SFTPNoSuchFile):
                    await client.remove(waiting)

        self._run("write", key, write)

    def list(self, prefix: str = "") -> Iterator[BlobInfo]:
        folder = parse_prefix(prefix).rpartition("/")[0]

        async def walk(client: asyncssh.SFTPClient) -> list[BlobInfo]:
            found: list[BlobInfo] = []
            waiting = [folder]
            while waiting:
                inside = waiting.pop()
                async for name, entry in _names(client, self._folder(inside)):
                    key = f"{inside}/{name}" if inside else name
                    if entry.type == FILEXFER_TYPE_DIRECTORY:
                        waiting.append(key)
                    elif key.startswith(prefix):
                        found.append(BlobInfo(key, entry.size or 0, _modified(entry)))
            return found

        yield from self._run("list", prefix or ".", walk)

    def delete(self, key: str) -> None:
        path = self._path(key)

        async def remove(client: asyncssh.SFTPClient) -> None:
            with contextlib.suppress(asyncssh.SFTPNoSuchFile, asyncssh.SFTPNoSuchPath):
                await client.remove(path)

        self._run("delete", key, remove)

    def _path(self, key: str) -> str:
        return self._folder(parse_key(key))

    def _folder(self, inside: str) -> str:
        return f"{self._address.folder}/{inside}" if inside else self._address.folder

    def _run(self, verb: str, key: str, work: Callable[[asyncssh.SFTPClient], Coroutine[Any, Any, Result]]) -> Result:
        try:
            return self._line.run(work)
        except (asyncssh.SFTPNoSuchFile, asyncssh.SFTPNoSuchPath) as error:
            if verb == "read":
                raise no_such_blob(key, self._where) from error
            raise self._unavailable(verb, key, error) from error
        except (asyncssh.HostKeyNotVerifiable, asyncssh.PermissionDenied, asyncssh.SFTPPermissionDenied) as error:
            raise Denied(
                f"{self._where} does not let you {verb} {key}: {error.reason}",
                code="blobs.denied",
                hint=f"Try `ssh {self._address.host}` by hand: it asks about the host's key and says what it needs.",
            ) from error
        except (asyncssh.Error, OSError) as error:
            raise self._unavailable(verb, key, error) from error

    def _unavailable(self, verb: str, key: str, error: Exception) -> Unavailable:
        return Unavailable(
            f"cannot {verb} {key} in {self._where}: {str(error) or type(error).__name__}",
            code="blobs.unavailable",
            hint=f"Try `ssh {self._address.host}`, look at the space there, and run it again.",
            facts={"key": key},
        )


async def _place(client: asyncssh.SFTPClient, waiting: str, path: str) -> None:
    """Give the written file its name, unless the name is taken: then the object is there already."""
    try:
        await client.link(waiting, path)
    except asyncssh.SFTPOpUnsupported:
        await client.posix_rename(waiting, path)
    except asyncssh.SFTPError:
        # The oldest version of the protocol has one word for every failure.
        if not await client.exists(path):
            await client.posix_rename(waiting, path)


async def _names(
    client: asyncssh.SFTPClient, folder: str, *, hidden: bool = False
) -> AsyncIterator[tuple[str, asyncssh.SFTPAttrs]]:
    try:
        async for entry in client.scandir(folder):
            name = entry.filename.decode() if isinstance(entry.filename, bytes) else entry.filename
            if name not in {".", ".."} and (hidden or not name.startswith(".")):
                yield name, entry.attrs
    except (asyncssh.SFTPNoSuchFile, asyncssh.SFTPNoSuchPath):
        return


def _modified(entry: asyncssh.SFTPAttrs) -> float:
    return (entry.mtime or 0) + (entry.mtime_ns or 0) / 1e9


def _bad_address(address: str) -> Invalid:
    return Invalid(
        f"{address!r} names no folder behind SSH",
        code="remote.bad_address",
        hint="Write ssh://user@host/path/to/folder, or ssh://host/~/folder below the home folder; keys come from SSH.",
    )
