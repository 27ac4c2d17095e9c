"""A second reader of a store in a folder, written from docs/formats alone.

It imports nothing of charkh: what it reads, anybody can read who has the documents, MessagePack, BLAKE3, zstd and
CRC-32C. It prefers plainness to speed, holds everything in memory, and refuses whatever a document forbids.
Where it and charkh differ, one of them or the document is wrong.
"""

import base64
import json
import struct
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import msgspec
import zstandard
from blake3 import blake3

SEGMENT = b"charkh segment 1\n"
POINTS = b"charkh points 1\n"
NODES = "charkh 2026 tree node 1"
LARGEST_FRAME = 64 * 1024 * 1024
CHUNK, NODE = 1, 2
CRC_POLYNOMIAL = 0x82F63B78


class Wrong(Exception):
    """The bytes are not what the documents say."""


def _crc_table() -> list[int]:
    table: list[int] = []
    for value in range(256):
        for _ in range(8):
            value = (value >> 1) ^ (CRC_POLYNOMIAL if value & 1 else 0)
        table.append(value)
    return table


CRC_TABLE = _crc_table()


def crc32c(data: bytes) -> int:
    """CRC-32C of RFC 3720."""
    crc = 0xFFFFFFFF
    for byte in data:
        crc = (crc >> 8) ^ CRC_TABLE[(crc ^ byte) & 0xFF]
    return crc ^ 0xFFFFFFFF


def need(condition: object, what: str) -> None:
    """A MUST of a document."""
    if not condition:
        raise Wrong(what)


def plain(data: bytes) -> Any:
    """MessagePack without types."""
    return msgspec.msgpack.decode(data)


@dataclass(frozen=True)
class Segment:
    """A segment's header and the payloads behind it."""

    header: Mapping[str, Any]
    payloads: Sequence[bytes]


@dataclass(frozen=True)
class Fact:
    """One event, as it lies and as a map."""

    segment: str
    payload: bytes
    event: Mapping[str, Any]

    @property
    def kind(self) -> str:
        return self.event["kind"]

    @property
    def body(self) -> Mapping[str, Any]:
        return self.event["body"]

    @property
    def stamp(self) -> str:
        return f"{self.event['clock']:016x}{self.event['id']}"


def frames(data: bytes, *, whole: bool) -> Iterator[bytes]:
    """The payloads of a segment. `whole` says that it is sealed, so that nothing may be missing."""
    at = 0
    while at < len(data):
        if len(data) - at < 8:
            need(not whole, "a torn frame in sealed bytes")
            return
        length, crc = struct.unpack_from("<II", data, at)
        if not 1 <= length <= LARGEST_FRAME:
            need(not whole, "a frame of no possible length in sealed bytes")
            return
        payload = data[at + 8 : at + 8 + length]
        if len(payload) < length or crc32c(payload) != crc:
            need(not whole, "a torn or damaged frame in sealed bytes")
            return
        yield payload
        at += 8 + length


def segment(data: bytes, *, whole: bool) -> Segment | None:
    """A segment, or None when not even its header is written."""
    payloads = list(frames(data, whole=whole))
    if not payloads:
        return None
    need(payloads[0].startswith(SEGMENT), "a segment begins with its header")
    need(not any(each.startswith(SEGMENT) for each in payloads[1:]), "one header a segment")
    return Segment(plain(payloads[0][len(SEGMENT) :]), payloads[1:])


EVENT_DEFAULTS: dict[str, Any] = {"key": "", "edges": [], "facts": {}, "about": "", "holds": [], "drops": []}


def event(payload: bytes) -> dict[str, Any]:
    """An event with its defaults (docs/formats/events.md)."""
    found = EVENT_DEFAULTS | plain(payload)
    need(len(bytes.fromhex(found["id"])) == 16, "an id is 32 hex digits")
    noun_what, _, number = found["kind"].partition("/")
    need(noun_what.count(".") == 1 and number.isdigit(), f"{found['kind']} is noun.what/N")
    need(all(len(edge) == 3 for edge in found["edges"]), "an edge is source, relation, target")
    return found


@dataclass(frozen=True)
class Place:
    """Where a record lies."""

    pack: Path
    kind: int
    codec: int
    offset: int
    stored: int
    raw: int


def digest_of(kind: int, data: bytes) -> str:
    """The digest of a chunk or of a node."""
    return (blake3(data, derive_key_context=NODES) if kind == NODE else blake3(data)).hexdigest()


def pack_places(path: Path) -> Iterator[tuple[str, Place]]:
    """The records of a pack, after comparing everything that its name commits to."""
    data = path.read_bytes()
    magic, version, flags, zero = struct.unpack_from("<8sHHI", data)
    need((magic, version, flags, zero) == (b"charkhPK", 1, 0, 0), f"{path.name}: header")
    count, footer_crc, version, end = struct.unpack("<IIH6s", data[-16:])
    need((version, end) == (1, b"charkh"), f"{path.name}: trailer")
    footer = data[len(data) - 16 - 52 * count : -16]
    need(crc32c(footer) == footer_crc, f"{path.name}: checksum of the footer")
    need(blake3(footer).hexdigest() == path.name, f"{path.name}: name")
    at = 16
    for digest, kind, codec, zero, offset, stored, raw, crc in struct.iter_unpack("<32sBBHIIII", footer):
        record = struct.unpack_from("<BBHII32s", data, at)
        need(record == (kind, codec, zero, stored, raw, digest), f"{path.name}: record header at {at}")
        need((zero, offset) == (0, at + 44), f"{path.name}: entry for {at}")
        need(crc == (crc32c(data[offset : offset + stored]) if codec else 0), f"{path.name}: checksum at {at}")
        at = offset + stored
        yield digest.hex(), Place(path, kind, codec, offset, stored, raw)
    need(at == len(data) - 16 - len(footer), f"{path.name}: bytes between the records")


def unpack_record(place: Place) -> bytes:
    """The content of a record."""
    with place.pack.open("rb") as file:
        file.seek(place.offset)
        stored = file.read(place.stored)
    need(place.codec in (0, 1), f"codec {place.codec} is unknown")
    if place.codec == 0:
        return stored
    need(zstandard.frame_content_size(stored) == place.raw, "a zstd frame states its content size")
    return zstandard.ZstdDecompressor().decompress(stored, max_output_size=place.raw)


@dataclass(frozen=True)
class Entry:
    """A file of a tree."""

    path: str
    digest: str
    size: int
    root: str
    executable: bool


@dataclass
class Store:
    """A store in a folder: `.charkh/`."""

    folder: Path
    format: Mapping[str, Any] = field(init=False)

    def __post_init__(self) -> None:
        self.format = json.loads((self.folder / "format.json").read_bytes())
        need(self.format["format"] == 1 and not self.format.get("needs"), "this reader knows format 1 and no more")

    # facts

    @cached_property
    def chain(self) -> list[tuple[str, int, int, int, int, bytes]]:
        """Segment, archive, offset, length, facts and digest of each sealed part, in the order of sealing."""
        chain = self.folder / "journal/sealed/chain"
        data = chain.read_bytes() if chain.exists() else b""
        records: list[tuple[str, int, int, int, int, bytes]] = []
        before = bytes(32)
        for at in range(0, len(data) - len(data) % 108, 108):
            record = data[at : at + 108]
            if record == bytes(108):
                break
            identifier, archive, offset, length, facts, digest, link, crc = struct.unpack("<16sIQQI32s32sI", record)
            need(crc == crc32c(record[:104]), f"checksum of the chain at {at}")
            need(link == before, f"link of the chain at {at}")
            before = blake3(record).digest()
            records.append((identifier.hex(), archive, offset, length, facts, digest))
        return records

    @cached_property
    def facts(self) -> list[Fact]:
        """Every fact, sealed ones first; an id that was met before is left out."""
        found: list[Fact] = []
        for name, archive, offset, length, facts, digest in self.chain:
            with (self.folder / f"journal/sealed/{archive:08d}.facts").open("rb") as file:
                file.seek(offset)
                data = file.read(length)
            need(len(data) == length and blake3(data).digest() == digest, f"digest of segment {name}")
            sealed = segment(data, whole=True)
            need(sealed and sealed.header["segment"] == name, f"header of segment {name}")
            need(sealed and len(sealed.payloads) == facts, f"number of facts in {name}")
            found += [Fact(name, each, event(each)) for each in (sealed.payloads if sealed else ())]
        named = {record[0] for record in self.chain}
        for path in sorted((self.folder / "journal/open").glob("[!.]*.facts")):
            opened = segment(path.read_bytes(), whole=False) if path.stem not in named else None
            found += [Fact(path.stem, each, event(each)) for each in (opened.payloads if opened else ())]
        unique = {fact.event["id"]: fact for fact in found}
        need(all(unique[fact.event["id"]].payload == fact.payload for fact in found), "one id, one event")
        return list(unique.values())

    def of(self, kind: str) -> list[Fact]:
        """The facts of a kind by their stamps."""
        return sorted((fact for fact in self.facts if fact.kind == kind), key=lambda fact: fact.stamp)

    @cached_property
    def dropped(self) -> set[str]:
        """Subjects that were deleted."""
        return {subject for fact in self.facts for subject in fact.event["drops"]}

    @cached_property
    def data_segments(self) -> list[Segment]:
        """Open data segments."""
        paths = sorted((self.folder / "journal/open").glob("[!.]*.data"))
        return [found for path in paths if (found := segment(path.read_bytes(), whole=False))]

    # bytes

    @cached_property
    def places(self) -> dict[str, Place]:
        """Where each digest lies; what is in the trash counts as there."""
        paths = [*self.folder.glob("packs/trash/*"), *self.folder.glob("packs/pack/*")]
        return {digest: place for path in paths for digest, place in pack_places(path)}

    @cached_property
    def erased(self) -> dict[str, str]:
        """Which digest stands in whose place; of two the earlier event counts."""
        replacements: dict[str, str] = {}
        for fact in reversed(self.of("asset.erased/1")):
            replacements |= fact.body["replacements"]
        # There is nothing to erase in the empty content.
        replacements.pop(digest_of(CHUNK, b""), None)
        return replacements

    @cached_property
    def contents(self) -> dict[str, Sequence[Any]]:
        """Which file is shown instead of a whole content; of two the earlier event counts."""
        contents: dict[str, Sequence[Any]] = {}
        for fact in reversed(self.of("asset.erased/1")):
            contents |= fact.body.get("contents", {})
        contents.pop(digest_of(CHUNK, b""), None)
        return contents

    def current(self, file: Sequence[Any]) -> Sequence[Any]:
        """The file that is shown for this one."""
        met: set[str] = set()
        while file[0] in self.contents:
            met.add(file[0])
            file = self.contents[file[0]]
            if file[0] in met:
                return (digest_of(CHUNK, b""), 0, "")
        return file

    def get(self, digest: str, kind: int) -> bytes:
        """A chunk or a node, verified."""
        place = self.places.get(digest)
        need(place is not None and place.kind == kind, f"{digest} is not there")
        assert place is not None
        data = unpack_record(place)
        need(len(data) == place.raw and digest_of(kind, data) == digest, f"{digest} is damaged")
        return data

    def chunk(self, digest: str) -> bytes:
        """A chunk, or what stands in its place."""
        met: set[str] = set()
        while digest in self.erased:
            met.add(digest)
            digest = self.erased[digest]
            if not digest or digest in met:
                return b""
        return self.get(digest, CHUNK)

    def entries(self, root: str) -> list[Entry]:
        """The files of a tree."""
        found = list(self._entries(root))
        paths = [entry.path for entry in found]
        need(paths == sorted(set(paths)), "paths are in order, each once")
        for path in paths:
            parts = path.split("/")
            need(not any(part in ("", ".", "..") for part in parts), f"{path!r} is no path")
            need(not any(each in "\\:\x7f" or ord(each) < 32 for each in path), f"{path!r} is no path")
            need(len(path.encode()) <= 1024 and len(parts) <= 32, f"{path!r} is too long")
        return found

    def _entries(self, root: str, above: int | None = None) -> Iterator[Entry]:
        tag, *items = plain(self.get(root, NODE))
        level = 0 if tag == 1 else items[0]
        need(tag in (1, 2), f"tag {tag} in a tree")
        need(above is None or level == above - 1, "levels go down by one")
        if tag == 1:
            yield from (Entry(path, file[0], file[1], file[2], executable) for path, file, executable in items[0])
            return
        for digest, first, files, size in items[1]:
            below = list(self._entries(digest, level))
            said = (below[0].path, len(below), sum(entry.size for entry in below))
            need(said == (first, files, size), f"what branch {root} says of {digest}")
            yield from below

    def content(self, file: Sequence[Any]) -> bytes:
        """The content of a file reference `[digest, size, root]`, with what was erased replaced."""
        digest, size, root = self.current(file)
        chunks = list(self._chunks(root)) if root else []
        erased = any(chunk in self.erased for chunk, _ in chunks)
        if not root or (digest in self.erased and not erased):
            data = self.chunk(digest)
            need(digest in self.erased or len(data) == size, f"size of {digest}")
            return data
        need(sum(length for _, length in chunks) == size, f"size of {digest}")
        data = b"".join(self.chunk(chunk) for chunk, _ in chunks)
        need(erased or blake3(data).hexdigest() == digest, f"{digest} is damaged")
        return data

    def _chunks(self, root: str, above: int | None = None) -> Iterator[tuple[str, int]]:
        tag, *items = plain(self.get(root, NODE))
        level = 0 if tag == 3 else items[0]
        need(tag in (3, 4), f"tag {tag} in a chunk list")
        need(above is None or level == above - 1, "levels go down by one")
        if tag == 3:
            yield from ((digest.hex(), length) for digest, length in struct.iter_unpack("<32sI", items[0]))
            return
        for digest, length in struct.iter_unpack("<32sQ", items[1]):
            below = list(self._chunks(digest.hex(), level))
            need(sum(each for _, each in below) == length, f"what branch {root} says of {digest.hex()}")
            yield from below

    # nouns

    def datasets(self) -> dict[str, dict[str, bytes]]:
        """The files of every live version of a dataset, by `name@number`."""
        return {
            f"{fact.body['name']}@{fact.body['number']}": {
                entry.path: self.content((entry.digest, entry.size, entry.root))
                for entry in self.entries(fact.body["tree"][0])
            }
            for fact in self.of("dataset.version/1")
            if fact.event["subject"] not in self.dropped
        }

    def aliases(self) -> dict[str, str]:
        """The version (`name@number`) that holds each alias (`name@alias`); none where it was taken away."""
        numbers = {each.body["version"]: each.body["number"] for each in self.of("model.version/1")}
        moves = self.of("model.alias_moved/1")
        replaced = {identifier for move in moves for identifier in move.body["replaces"]}
        # By their stamps, so that the last of several shows.
        held = {
            f"{move.body['name']}@{move.body['alias']}": (move.body["name"], move.body["version"])
            for move in moves
            if move.event["id"] not in replaced
        }
        return {alias: f"{name}@{numbers[version]}" for alias, (name, version) in held.items() if version}

    def points(self, run: str) -> list["Point"]:
        """Every point of a run, sealed or open."""
        found: list[Point] = []
        sealed: set[str] = set()
        for fact in self.of("run.sealed/1"):
            if fact.body["run"] == run:
                sealed.add(fact.body["segment"])
                blob = self.content(fact.body["blob"])
                found += sealed_points(blob, fact.body["writer"], fact.body["attempt"])
        for opened in self.data_segments:
            data = opened.header["data"]
            if data["subject"] == f"run:{run}" and data["content"] == "points" and data["segment"] not in sealed:
                found += logged_points(opened.payloads, data["writer"], data["attempt"])
        return found


@dataclass(frozen=True)
class Point:
    """One value of one metric."""

    key: str
    context: str
    writer: str
    attempt: int
    step: int
    time: float
    value: float


def logged_points(records: Sequence[bytes], writer: str, attempt: int) -> list[Point]:
    """The points of an open segment."""
    found: list[Point] = []
    for record in records:
        time, step, values, *rest = plain(record)
        context = rest[0] if rest else ""
        found += [Point(key, context, writer, attempt, step, time, float(value)) for key, value in values.items()]
    return found


def column(data: bytes, count: int) -> list[int]:
    """The signed 64-bit words of a column."""
    need(zstandard.frame_content_size(data) == 8 * count, "a column has `count` words")
    raw = zstandard.ZstdDecompressor().decompress(data, max_output_size=8 * count)
    ordered = bytes(raw[byte * count + word] for word in range(count) for byte in range(8))
    return [word for (word,) in struct.iter_unpack("<q", ordered)]


def summed(differences: list[int]) -> list[int]:
    """Differences of 64 bits, wrapping around, added up."""
    total, found = 0, list[int]()
    for each in differences:
        total = (total + each + 2**63) % 2**64 - 2**63
        found.append(total)
    return found


def sealed_points(blob: bytes, writer: str, attempt: int) -> list[Point]:
    """The points of a sealed segment."""
    need(blob.startswith(POINTS), "sealed points begin with their name and version")
    (length,) = struct.unpack_from("<I", blob, 16)
    index = plain(zstandard.ZstdDecompressor().decompress(blob[20 : 20 + length]))
    columns = blob[20 + length :]
    found: list[Point] = []
    for summary, *places in index[0]:
        key, context, count, *_ = summary
        steps, times, values = (column(columns[at : at + size], count) for at, size in places)
        floats = struct.unpack(f"<{count}d", struct.pack(f"<{count}q", *values))
        found += [
            Point(key, context, writer, attempt, step, time / 1e6, value)
            for step, time, value in zip(summed(steps), summed(times), floats, strict=True)
        ]
    return found


def prediction(text: str) -> dict[str, Any]:
    """What an id of a prediction says."""
    data = base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))
    need(base64.urlsafe_b64encode(data).rstrip(b"=").decode() == text, "one form of base64")
    need(data[-3:] == struct.pack(">I", crc32c(data[:-3]))[:3], "checksum of a prediction's id")
    need(data[0] in (0x11, 0x12), f"first byte {data[0]:#x}")
    logged = data[0] == 0x11
    end = 33 if logged else 25
    numbers = _varints(data[end:-3])
    need(len(numbers) == (2 if logged else 1), "numbers of a prediction's id")
    found: dict[str, Any] = {"deployment": data[1:17].hex(), "row": numbers[-1]}
    return found | ({"segment": data[17:33].hex(), "ordinal": numbers[0]} if logged else {})


def _varints(data: bytes) -> list[int]:
    numbers: list[int] = []
    value = shift = 0
    for byte in data:
        value |= (byte & 0x7F) << shift
        shift += 7
        if byte < 0x80:
            need(byte or shift == 7, "the shortest form of a number")
            need(value < 2**63, "a number below 2^63")
            numbers.append(value)
            value = shift = 0
    need(shift == 0, "a number that does not end")
    return numbers
