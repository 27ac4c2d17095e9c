"""Blobs and facts of a charkh server: the suites against a real one, and what it refuses."""

from collections.abc import Iterable, Iterator
from pathlib import Path

import httpx
import pytest
from blake3 import blake3

from charkh.assets.pack import CHUNK, Record, build_pack
from charkh.core.errors import Corrupt, Denied, Invalid, NotFound, Unavailable
from charkh.core.ids import new_id
from charkh.ports.blobs import BlobInfo, Blobs
from charkh.ports.exchange import pull
from charkh.stores.blobs_http import HttpBlobs
from charkh.stores.exchange_folder import FolderExchange
from charkh.stores.exchange_http import HttpExchange
from charkh.stores.http_connection import HttpConnection
from charkh.stores.journal_folder import FolderJournal
from charkh.testing.blobs import BlobsSuite
from functional.test_server import Server
from workspaces import make_workspace


class Below:
    """The blobs below a folder of others: a server lets a client write and delete freely in one folder alone."""

    def __init__(self, blobs: Blobs, folder: str) -> None:
        self._blobs, self._folder = blobs, folder

    def has(self, key: str) -> bool:
        return self._blobs.has(self._folder + _checked(key))

    def get(self, key: str, start: int = 0, length: int | None = None) -> bytes:
        return self._blobs.get(self._folder + _checked(key), start, length)

    def put(self, key: str, parts: Iterable[bytes | memoryview]) -> None:
        self._blobs.put(self._folder + _checked(key), parts)

    def list(self, prefix: str = "") -> Iterator[BlobInfo]:
        for info in self._blobs.list(self._folder + prefix):
            yield BlobInfo(info.key.removeprefix(self._folder), info.size, info.modified)

    def delete(self, key: str) -> None:
        self._blobs.delete(self._folder + _checked(key))


def _checked(key: str) -> str:
    return key if key and not key.startswith("/") else "//"


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    folder = tmp_path_factory.mktemp("served")
    make_workspace(folder).close()
    started = Server(folder, "up", "--every", "0s")
    yield started
    started.stop()


@pytest.fixture
def connection(server: Server) -> Iterator[HttpConnection]:
    with httpx.Client(timeout=30, trust_env=False) as client:
        yield HttpConnection(f"http://127.0.0.1:{server.port}", server.token, client)


class TestHttpBlobs(BlobsSuite):
    @pytest.fixture
    def blobs(self, connection: HttpConnection) -> Blobs:
        return Below(HttpBlobs(connection), f"clock/{new_id()}/")


def test_a_pack_is_taken_when_it_is_whole(connection: HttpConnection) -> None:
    blobs = HttpBlobs(connection)
    content = new_id().encode()
    pack = build_pack([Record(blake3(content).digest(), CHUNK, content, False)])
    whole = b"".join(bytes(part) for part in pack.parts)
    with pytest.raises(Corrupt):
        blobs.put(f"pack/{pack.name}", [whole[:20] + bytes([whole[20] ^ 1]) + whole[21:]])
    with pytest.raises(Corrupt):
        blobs.put(f"pack/{pack.name}", [whole[:-3]])
    assert not blobs.has(f"pack/{pack.name}")
    blobs.put(f"pack/{pack.name}", [whole])
    assert blobs.get(f"pack/{pack.name}") == whole
    with pytest.raises(Denied):
        blobs.delete(f"pack/{pack.name}")
    assert blobs.has(f"pack/{pack.name}")


@pytest.mark.parametrize("key", ["facts/x", "remote.json", "quarantine/x", "x", "lock/collect/1"])
def test_nothing_but_packs_and_leases_is_taken(connection: HttpConnection, key: str) -> None:
    with pytest.raises(Denied) as raised:
        HttpBlobs(connection).put(key, [b"x"])
    assert raised.value.code == "exchange.denied"


def test_a_pack_whose_name_is_no_digest_is_refused(connection: HttpConnection) -> None:
    with pytest.raises(Invalid):
        HttpBlobs(connection).put("pack/../../etc/passwd", [b"x"])
    with pytest.raises(Invalid):
        HttpBlobs(connection).put("pack/name", [b"x"])


def test_facts_go_both_ways_once(connection: HttpConnection, tmp_path: Path) -> None:
    journal = FolderJournal(tmp_path / "journal", new_id())
    here, there = FolderExchange(journal), HttpExchange(connection)
    fetched = pull(there, here)
    assert fetched > 10
    assert pull(there, here) == 0
    journal.append([b"\x80", b"\x80"], durable=True)
    assert pull(here, there) == 2
    assert pull(here, there) == 0
    assert dict(there.known()) == dict(here.known())
    journal.close()


def test_a_wrong_token_is_told(server: Server) -> None:
    with httpx.Client(trust_env=False) as client, pytest.raises(Denied) as raised:
        HttpExchange(HttpConnection(f"http://127.0.0.1:{server.port}", "wrong", client)).known()
    assert "CHARKH_TOKEN" in raised.value.hint


def test_a_server_that_is_not_there(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("charkh.stores.http_connection.time.sleep", lambda _seconds: None)
    with httpx.Client(trust_env=False) as client, pytest.raises(Unavailable) as raised:
        HttpBlobs(HttpConnection("http://127.0.0.1:9", "x", client)).has("pack/x")
    assert raised.value.code == "remote.unreachable"


def test_an_address_that_is_no_exchange(server: Server) -> None:
    with httpx.Client(trust_env=False) as client, pytest.raises(NotFound) as raised:
        HttpExchange(HttpConnection(f"http://127.0.0.1:{server.port}/elsewhere", server.token, client)).known()
    assert "charkh up" in raised.value.hint


def test_a_token_goes_over_no_open_network() -> None:
    with pytest.raises(Denied) as raised:
        HttpConnection("http://example.org", "secret")
    assert raised.value.code == "remote.not_https"
