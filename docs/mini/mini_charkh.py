"""mini-charkh: the ground of charkh in one file, with the standard library alone.

Read it from top to bottom; it takes a quarter of an hour. It keeps the three ideas and leaves out what
makes them fast, safe against a hostile store, or remote:

    1. The journal is the truth        segments with one writer each; a frame is length, checksum, payload
    2. The catalog is a view           tables folded from the *set* of events; delete it and fold again
    3. Bytes are chunks                cut where the content says so, named by their digest, stored once

Run it: `python docs/mini/mini_charkh.py` makes a store in a temporary folder and shows each idea at work.
The real rooms: core/frames.py and stores/journal_folder.py, stores/catalog.py and datasets/index.py,
assets/, lineage/.
"""

import fcntl
import json
import os
import random
import sqlite3
import struct
import sys
import tempfile
import time
import uuid
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from hashlib import blake2b
from pathlib import Path
from typing import Any

Event = dict[str, Any]

# 1. The journal is the truth

HEADER = struct.Struct("<II")


def frame(payload: bytes) -> bytes:
    """One payload as it lies in a segment: its length, its checksum, itself."""
    return HEADER.pack(len(payload), zlib.crc32(payload)) + payload


def frames(data: bytes) -> Iterator[bytes]:
    """The whole payloads at the start of `data`; a torn tail is simply not yet written."""
    at = 0
    while at + HEADER.size <= len(data):
        length, checksum = HEADER.unpack_from(data, at)
        payload = data[at + HEADER.size : at + HEADER.size + length]
        if len(payload) < length or zlib.crc32(payload) != checksum:
            return
        yield payload
        at += HEADER.size + length


class Journal:
    """A folder of segments. Each process appends to its own, so nobody waits for anybody."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        folder.mkdir(parents=True, exist_ok=True)
        self.segment = os.open(folder / f"{uuid.uuid4().hex}.facts", os.O_WRONLY | os.O_CREAT | os.O_APPEND)

    def append(self, events: list[Event], durable: bool = False) -> None:
        """One write for all of them: a reader sees all or, for a moment, none."""
        os.write(self.segment, b"".join(frame(json.dumps(event).encode()) for event in events))
        if durable:
            os.fsync(self.segment)

    def read(self) -> Iterator[Event]:
        """Every fact of every segment. Segments have no order between them, and need none."""
        for path in self.folder.glob("*.facts"):
            for payload in frames(path.read_bytes()):
                yield json.loads(payload)

    @contextmanager
    def exclusive(self) -> Iterator[None]:
        """The one lock: held while something is decided that must be unique, never while logging."""
        with (self.folder / "lock").open("w") as file:
            fcntl.flock(file, fcntl.LOCK_EX)
            yield


_last = 0


def stamped(kind: str, subject: str, body: dict[str, Any], edges: list[list[str]] | None = None) -> Event:
    """A fact: immutable, with an id, a time that never runs backwards, and edges to what it came from."""
    global _last
    _last = max(_last + 1, time.time_ns())
    return {
        "id": uuid.uuid4().hex,
        "clock": _last,
        "kind": kind,
        "subject": subject,
        "body": body,
        "edges": edges or [],
    }


# 2. The catalog is a view

TABLES = """
create table if not exists seen(id text primary key);
create table if not exists dataset(id text primary key, name text, number int, root text);
create table if not exists run(id text primary key, name text);
create table if not exists metric(run text, key text, step int, value real, primary key(run, key, step));
create table if not exists alias(name text primary key, target text, clock int, id text);
create table if not exists edge(source text, relation text, target text, primary key(source, relation, target));
"""


def fold(database: sqlite3.Connection, event: Event) -> None:
    """Put one event into the tables.

    It never refuses and never counts. Every line is one of two shapes that no order, batching or repetition
    changes: "add to a set" and "keep the one with the greatest stamp".
    """
    body, subject = event["body"], event["subject"]
    if event["kind"] == "dataset.version/1":
        row = (subject, body["name"], body["number"], body["root"])
        database.execute("insert or ignore into dataset values (?,?,?,?)", row)
    elif event["kind"] == "run.started/1":
        database.execute("insert or ignore into run values (?,?)", (subject, body["name"]))
    elif event["kind"] == "run.logged/1":
        row = (subject, body["key"], body["step"], body["value"])
        database.execute("insert or ignore into metric values (?,?,?,?)", row)
    elif event["kind"] == "alias.moved/1":
        database.execute(
            "insert into alias values (?,?,?,?) on conflict(name) do update set target=excluded.target,"
            " clock=excluded.clock, id=excluded.id where (excluded.clock, excluded.id) > (alias.clock, alias.id)",
            (body["alias"], body["target"], event["clock"], event["id"]),
        )
    for edge in event["edges"]:
        database.execute("insert or ignore into edge values (?,?,?)", edge)
    database.execute("insert or ignore into seen values (?)", (event["id"],))


class Catalog:
    """SQL over what the journal says. Delete the file: the next question folds it anew."""

    def __init__(self, path: Path | str, journal: Journal) -> None:
        self.journal = journal
        self.database = sqlite3.connect(path)
        self.database.executescript(TABLES)

    def ask(self, sql: str, *values: object) -> list[Any]:
        """An answer that includes everything recorded so far: a reader catches up first."""
        seen = {row[0] for row in self.database.execute("select id from seen")}
        with self.database:
            for event in self.journal.read():
                if event["id"] not in seen:
                    fold(self.database, event)
        return self.database.execute(sql, values).fetchall()

    def decide(self, decision: Callable[["Catalog"], list[Event]]) -> list[Event]:
        """Take a decision where the lock is: look, decide, append durably.

        What was decided, such as a version's number, is written in the event and never computed again.
        """
        with self.journal.exclusive():
            events = decision(self)
            self.journal.append(events, durable=True)
        return events


def tables(database: sqlite3.Connection) -> dict[str, list[Any]]:
    """Everything the catalog knows, for comparing two of them."""
    names = ("dataset", "run", "metric", "alias", "edge")
    return {name: sorted(database.execute(f"select * from {name}").fetchall()) for name in names}


# 3. Bytes are chunks

GEAR = [int.from_bytes(blake2b(bytes([byte]), digest_size=8).digest(), "big") for byte in range(256)]
MASK = (1 << 12) - 1 << 52


def cut(data: bytes) -> Iterator[bytes]:
    """Chunks of about 4 KiB whose borders depend on the bytes around them alone.

    So a row that is inserted in front moves every byte and no border: the chunks behind it are found again.
    (A gear hash, as in FastCDC; a border is where its upper bits are zero.)
    """
    start, rolling = 0, 0
    for at, byte in enumerate(data):
        rolling = (rolling << 1) + GEAR[byte] & (1 << 64) - 1
        if at - start >= 1024 and (not rolling & MASK or at - start >= 65536):
            yield data[start : at + 1]
            start, rolling = at + 1, 0
    if start < len(data):
        yield data[start:]


class Vault:
    """Chunks by digest. The real one lays them in packs; here each is a file."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        folder.mkdir(parents=True, exist_ok=True)

    def put_chunk(self, data: bytes) -> str:
        digest = blake2b(data, digest_size=32).hexdigest()
        path = self.folder / digest
        if not path.exists():
            waiting = path.with_suffix(".tmp")
            with waiting.open("wb") as file:
                file.write(zlib.compress(data))
                os.fsync(file.fileno())
            waiting.rename(path)
        return digest

    def get_chunk(self, digest: str) -> bytes:
        data = zlib.decompress((self.folder / digest).read_bytes())
        if blake2b(data, digest_size=32).hexdigest() != digest:
            raise ValueError(f"chunk {digest[:12]} is not what its digest says")
        return data

    def put(self, data: bytes) -> str:
        """Store content; the digest of its list of chunks names it."""
        return self.put_chunk(json.dumps([self.put_chunk(chunk) for chunk in cut(data)]).encode())

    def get(self, root: str) -> bytes:
        return b"".join(self.get_chunk(digest) for digest in json.loads(self.get_chunk(root)))

    def size(self) -> int:
        return sum(path.stat().st_size for path in self.folder.iterdir())


# The nouns, each a few lines over the ground


class Store:
    """Journal, catalog and vault together."""

    def __init__(self, folder: Path) -> None:
        self.journal = Journal(folder / "journal")
        self.catalog = Catalog(folder / "catalog.sqlite", self.journal)
        self.vault = Vault(folder / "chunks")

    def add(self, name: str, data: bytes, made_from: list[str] | None = None) -> str:
        """A new version of a dataset. The order is always: bytes durable, then the event that names them."""
        root = self.vault.put(data)

        def decision(catalog: Catalog) -> list[Event]:
            [[highest]] = catalog.ask("select coalesce(max(number), 0) from dataset where name = ?", name)
            subject = f"dataset:{uuid.uuid4().hex[:8]}"
            body = {"name": name, "number": highest + 1, "root": root}
            edges = [[subject, "made_from", origin] for origin in made_from or []]
            return [stamped("dataset.version/1", subject, body, edges)]

        return self.catalog.decide(decision)[0]["subject"]

    def start(self, name: str, uses: list[str]) -> str:
        """A run. Nothing to decide, so no lock: one append."""
        subject = f"run:{uuid.uuid4().hex[:8]}"
        edges = [[subject, "used", used] for used in uses]
        self.journal.append([stamped("run.started/1", subject, {"name": name}, edges)])
        return subject

    def log(self, run: str, key: str, value: float, step: int) -> None:
        """One write, and back to the training loop. (The real one writes points to a data segment instead.)"""
        self.journal.append([stamped("run.logged/1", run, {"key": key, "value": value, "step": step})])

    def point(self, alias: str, target: str) -> None:
        """Move an alias; of two moves the later stamp shows, on every machine."""
        self.journal.append([stamped("alias.moved/1", target, {"alias": alias, "target": target})], durable=True)

    def trace(self, subject: str, depth: int = 0) -> Iterator[str]:
        """From what was made to what it was made from."""
        yield "  " * depth + subject
        for relation, target in self.catalog.ask("select relation, target from edge where source = ?", subject):
            yield "  " * depth + f"└ {relation}"
            yield from self.trace(target, depth + 1)


def main() -> None:
    """Each idea at work."""
    say = sys.stdout.write
    with tempfile.TemporaryDirectory() as name:
        store = Store(Path(name))
        rows = [f"{number},{number * 7 % 1000},flight\n".encode() for number in range(20_000)]

        first = store.add("flights", b"".join(rows))
        before = store.vault.size()
        rows.insert(10_000, b"late,one,row\n")
        second = store.add("flights", b"".join(rows))
        say(f"bytes are chunks: v1 took {before:,} bytes, one inserted row took {store.vault.size() - before:,} more\n")
        [[root]] = store.catalog.ask("select root from dataset where id = ?", second)
        assert store.vault.get(root) == b"".join(rows)

        run = store.start("train", uses=[second])
        for step in range(100):
            store.log(run, "loss", 1 / (step + 1), step)
        model = store.add("delay", b"weights", made_from=[run])
        store.point("champion", model)
        [[target]] = store.catalog.ask("select target from alias where name = 'champion'")
        say("trace of the champion:\n" + "".join(f"  {line}\n" for line in store.trace(target)))

        events = list(store.journal.read())
        catalogs = []
        for seed in range(5):
            other = sqlite3.connect(":memory:")
            other.executescript(TABLES)
            shuffled = events * 2
            random.Random(seed).shuffle(shuffled)
            for event in shuffled:
                fold(other, event)
            catalogs.append(tables(other))
        assert all(each == tables(store.catalog.database) for each in catalogs)
        say(f"the catalog is a view: {len(events)} events, folded twice in five random orders, give equal tables\n")

        segment = next(Path(name, "journal").glob("*.facts"))
        os.truncate(segment, segment.stat().st_size - 3)
        say(f"the journal is the truth: after a torn write {len(list(store.journal.read()))} whole events are read\n")
        assert first != second


if __name__ == "__main__":
    main()
