"""Facts as objects on a medium: the suite over media, overlapping pushes, garbage, damage and merging."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from charkh.core.errors import Corrupt, Denied, Invalid, NotFound
from charkh.core.ids import new_id
from charkh.ports.blobs import BlobInfo, Blobs
from charkh.ports.exchange import Exchange, Part, pull
from charkh.ports.journal import Batch, Cursor, DataHeader, DataSegment, DataWriter, Journal, Record
from charkh.stores import exchange_blobs
from charkh.stores.blobs_folder import FolderBlobs
from charkh.stores.blobs_memory import MemoryBlobs
from charkh.stores.blobs_object import object_blobs
from charkh.stores.exchange_blobs import FACTS, IDENTITY, MANY, QUARANTINE, BlobsExchange, identify
from charkh.testing.exchanges import ExchangeSuite


class JournalOnRemote:
    """A journal that writes a segment of its own straight into an exchange, so that the suite can play on a medium."""

    def __init__(self, exchange: BlobsExchange) -> None:
        self._exchange = exchange
        self._segment, self._count = new_id(), 0

    def append(self, payloads: Sequence[bytes], *, durable: bool = False) -> None:
        del durable
        self._exchange.take([Part(self._segment, self._count, payloads)])
        self._count += len(payloads)

    def read(self, cursor: Cursor) -> Iterator[Batch]:
        position = dict(cursor)
        for part in self._exchange.parts(position):
            position[part.segment] = part.seq + len(part.payloads)
            yield Batch(part.segment, part.payloads, dict(position))

    def exclusive(self, timeout: float = 30.0) -> AbstractContextManager[None]:
        del timeout
        return nullcontext()

    def open_data(self, header: DataHeader) -> DataWriter:
        raise NotImplementedError

    def list_data(self) -> Sequence[DataSegment]:
        return ()

    def read_data(self, segment: str, start: int = 0) -> Iterator[Record]:
        raise NotImplementedError

    def drop_data(self, segment: str) -> None:
        raise NotImplementedError

    def close(self) -> None:
        self._segment, self._count = new_id(), 0


class TestOnMemory(ExchangeSuite):
    def make(self) -> tuple[Journal, Exchange]:
        exchange = BlobsExchange(MemoryBlobs())
        return JournalOnRemote(exchange), exchange

    def leave(self, journal: Journal) -> None:
        journal.close()


class TestOnAFolder(TestOnMemory):
    examples = 5

    @pytest.fixture(autouse=True)
    def medium(self, tmp_path: Path) -> None:
        self.folder = tmp_path

    def make(self) -> tuple[Journal, Exchange]:
        exchange = BlobsExchange(FolderBlobs(self.folder / new_id()), self.folder / new_id())
        return JournalOnRemote(exchange), exchange


@pytest.mark.needs("moto")
class TestOnABucket(TestOnMemory):
    examples = 1

    @pytest.fixture(autouse=True)
    def medium(self, s3_url: str) -> None:
        self.url = s3_url

    def make(self) -> tuple[Journal, Exchange]:
        exchange = BlobsExchange(object_blobs(f"{self.url}/{new_id()}"))
        return JournalOnRemote(exchange), exchange


def facts(exchange: BlobsExchange, known: Mapping[str, int] | None = None) -> dict[str, list[bytes]]:
    """By segment, every fact that is given."""
    found: dict[str, list[bytes]] = {}
    for part in exchange.parts(known or {}):
        have = found.setdefault(part.segment, [])
        assert part.seq == len(have) + (known or {}).get(part.segment, 0)
        have.extend(part.payloads)
    return found


def objects(blobs: Blobs) -> list[str]:
    return sorted(info.key for info in blobs.list(FACTS))


def test_many_segments_go_into_one_object() -> None:
    blobs = MemoryBlobs()
    parts = [Part(new_id(), 0, [b"%d" % number]) for number in range(500)]
    assert BlobsExchange(blobs).take(parts) == 500
    assert len(objects(blobs)) == 1
    assert facts(BlobsExchange(blobs)) == {part.segment: list(part.payloads) for part in parts}


def test_two_who_push_at_once_leave_the_facts_once() -> None:
    blobs = MemoryBlobs()
    segment = new_id()
    one, other = BlobsExchange(blobs), BlobsExchange(blobs)
    payloads = [b"%d" % number for number in range(9)]
    with ThreadPoolExecutor(2) as pool:
        for each in (one, other):
            pool.submit(each.take, [Part(segment, 0, payloads)])
    assert BlobsExchange(blobs).known() == {segment: 9}
    assert facts(BlobsExchange(blobs)) == {segment: payloads}


def test_a_long_stretch_is_cut_into_objects(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(exchange_blobs, "OBJECT_BYTES", 100)
    blobs = MemoryBlobs()
    segment, other = new_id(), new_id()
    payloads = [bytes([number]) * 30 for number in range(20)]
    BlobsExchange(blobs).take([Part(segment, 0, payloads), Part(other, 0, payloads)])
    assert len(objects(blobs)) > 5
    assert facts(BlobsExchange(blobs)) == {segment: payloads, other: payloads}
    assert facts(BlobsExchange(blobs), {segment: 7, other: 20}) == {segment: payloads[7:]}


def test_garbage_is_named_and_hides_nothing_else() -> None:
    blobs = MemoryBlobs()
    segment = new_id()
    BlobsExchange(blobs).take([Part(segment, 0, [b"fact"])])
    torn = FACTS + new_id()
    for key in (f"{FACTS}readme", f"{FACTS}{new_id()}", f"{FACTS}deep/{new_id()}"):
        blobs.put(key, [b"\x00" * 40])
    blobs.put(torn, [blobs.get(objects(blobs)[0])[:-3]])
    exchange = BlobsExchange(blobs)
    assert facts(exchange) == {segment: [b"fact"]}
    assert len(exchange.problems) >= 3


@settings(max_examples=150)
@given(place=st.integers(0, 10_000), bit=st.integers(0, 7))
def test_a_flipped_bit_is_never_a_fact(place: int, bit: int) -> None:
    blobs = MemoryBlobs()
    segment = new_id()
    BlobsExchange(blobs).take([Part(segment, 0, [b"some fact", b"another fact" * 9])])
    (key,) = objects(blobs)
    data = bytearray(blobs.get(key))
    data[place % len(data)] ^= 1 << bit
    blobs.delete(key)
    blobs.put(key, [bytes(data)])
    exchange = BlobsExchange(blobs)
    assert facts(exchange) == {}
    assert list(exchange.problems) == [key]
    assert exchange.known() == {}
    # Whoever has them gives them once more.
    assert exchange.take([Part(segment, 0, [b"some fact"])]) == 1
    assert facts(BlobsExchange(blobs)) == {segment: [b"some fact"]}


def test_a_repair_sets_damage_aside() -> None:
    blobs = MemoryBlobs()
    segment = new_id()
    BlobsExchange(blobs).take([Part(segment, 0, [b"fact"])])
    (key,) = objects(blobs)
    data = blobs.get(key)
    blobs.delete(key)
    blobs.put(key, [data[:-1] + b"!"])
    exchange = BlobsExchange(blobs)
    assert exchange.known() == {segment: 1}
    assert exchange.verify(repair=True) == 1
    assert exchange.known() == {}
    assert objects(blobs) == []
    assert [info.key for info in blobs.list(QUARANTINE)] == [QUARANTINE + key.removeprefix(FACTS)]


def test_small_objects_are_merged_and_readers_follow() -> None:
    blobs = MemoryBlobs()
    writer, reader = BlobsExchange(blobs), BlobsExchange(blobs)
    segments = [new_id() for _ in range(5)]
    for number in range(MANY * 2):
        writer.take([Part(segments[number % 5], number // 5, [b"%d" % number])])
        if number == MANY - 5:
            assert len(reader.known()) == 5
    assert len(objects(blobs)) < MANY
    expected = {
        each: [b"%d" % number for number in range(MANY * 2) if segments[number % 5] == each] for each in segments
    }
    assert facts(reader) == expected
    assert facts(BlobsExchange(blobs)) == expected


class Vanishing(MemoryBlobs):
    """A medium on which, once, an object is merged away between a look and a read."""

    merging: BlobsExchange | None = None

    def get(self, key: str, start: int = 0, length: int | None = None) -> bytes:
        if key.startswith(FACTS) and length is None and self.merging is not None:
            self.merging = None
            whole = super().get(key)
            self.put(FACTS + new_id(), [whole])
            self.delete(key)
        return super().get(key, start, length)


def test_what_is_merged_under_a_reader_is_read_once() -> None:
    blobs = Vanishing()
    exchange = BlobsExchange(blobs)
    segment = new_id()
    exchange.take([Part(segment, 0, [b"0"])])
    exchange.take([Part(segment, 1, [b"1"])])
    blobs.merging = exchange
    assert facts(BlobsExchange(blobs)) == {segment: [b"0", b"1"]}


class Counting(MemoryBlobs):
    gets = 0

    def get(self, key: str, start: int = 0, length: int | None = None) -> bytes:
        self.gets += 1
        return super().get(key, start, length)


def test_the_cache_saves_looking_into_what_was_seen(tmp_path: Path) -> None:
    blobs = Counting()
    writer = BlobsExchange(blobs)
    for number in range(10):
        writer.take([Part(new_id(), 0, [b"%d" % number])])
    known = BlobsExchange(blobs, tmp_path / "made" / "facts").known()
    before = blobs.gets
    again = BlobsExchange(blobs, tmp_path / "made" / "facts")
    assert again.known() == known
    assert list(again.parts(known)) == []
    assert blobs.gets == before
    (tmp_path / "made" / "facts").write_bytes(b"rubbish")
    assert BlobsExchange(blobs, tmp_path / "made" / "facts").known() == known


def test_a_remote_has_an_identity() -> None:
    blobs = MemoryBlobs()
    assert identify(blobs, create=False) == ""
    made = identify(blobs, create=True)
    assert identify(blobs, create=True) == identify(blobs, create=False) == made
    newer: Any = {"format": 99, "remote": made}
    for content, error in ((msgspec.json.encode(newer), Invalid), (b"{", Corrupt)):
        blobs.delete(IDENTITY)
        blobs.put(IDENTITY, [content])
        with pytest.raises(error):
            identify(blobs, create=True)


class ReadOnly(MemoryBlobs):
    """A medium that somebody may read and not write."""

    locked = False

    def put(self, key: str, parts: Iterable[bytes | memoryview]) -> None:
        if self.locked:
            raise Denied("read only", code="blobs.denied")
        super().put(key, parts)


def test_whoever_only_reads_a_remote_writes_nothing_to_it() -> None:
    blobs = ReadOnly()
    made = identify(blobs, create=True)
    BlobsExchange(blobs).take([Part("a" * 32, 0, [b"fact"])])
    blobs.locked = True
    assert identify(blobs, create=True) == made
    assert facts(BlobsExchange(blobs)) == {"a" * 32: [b"fact"]}


def test_pull_from_a_remote_into_another() -> None:
    one, other = BlobsExchange(MemoryBlobs()), BlobsExchange(MemoryBlobs())
    segment = new_id()
    one.take([Part(segment, 0, [b"a", b"b"])])
    assert pull(one, other) == 2
    assert pull(one, other) == 0
    assert facts(other) == {segment: [b"a", b"b"]}


def test_listing_that_names_what_is_gone() -> None:
    class Ghosts(MemoryBlobs):
        def list(self, prefix: str = "") -> Iterator[BlobInfo]:
            yield from super().list(prefix)
            yield BlobInfo(FACTS + "0" * 32, 10, 0.0)

    exchange = BlobsExchange(Ghosts())
    segment = new_id()
    exchange.take([Part(segment, 0, [b"a"])])
    assert facts(exchange) == {segment: [b"a"]}
    with pytest.raises(NotFound):
        Ghosts().get(FACTS + "0" * 32)
