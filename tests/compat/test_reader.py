"""The documents suffice: a reader that knows nothing but docs/formats says what charkh says."""

import struct
import subprocess
import sys
import tarfile
from collections.abc import Iterator
from pathlib import Path

import msgspec
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.compat import reader
from tests.compat.reader import Store, Wrong

from charkh.assets.erase import erase
from charkh.assets.index import ErasureOf
from charkh.core.events import decode_event
from charkh.core.files import TreeEntry
from charkh.datasets.find import find as find_dataset
from charkh.datasets.index import Datasets, DatasetVersions
from charkh.endpoints.prediction import PredictionId, new_unlogged
from charkh.endpoints.read import predictions
from charkh.models.index import AliasHistory, ModelVersions
from charkh.runs.history import metric_histories, metric_names
from charkh.runs.search import search
from charkh.stores.audit import verify_chain
from charkh.stores.journal_folder import FolderJournal
from charkh.testing.vaults import sample_bytes, sample_table
from charkh.workspace.workspace import Workspace, open_workspace

HERE = Path(__file__).parent
ARCHIVE = HERE / "format-1.tar.gz"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    with tarfile.open(ARCHIVE) as archive:
        archive.extractall(tmp_path, filter="data")
    return tmp_path


@pytest.fixture
def read(folder: Path) -> Store:
    """Everything is read before charkh opens the store, and may change it."""
    store = Store(folder / ".charkh")
    assert store.facts
    assert store.places
    return store


@pytest.fixture
def workspace(read: Store, folder: Path) -> Iterator[Workspace]:
    with open_workspace(folder) as workspace:
        yield workspace


def test_the_reader_knows_nothing_of_charkh() -> None:
    program = "import sys, reader; print(sorted(name for name in sys.modules if name.startswith('charkh')))"
    command = [sys.executable, "-c", program]
    assert subprocess.run(command, cwd=HERE, check=True, capture_output=True, text=True).stdout.strip() == "[]"


def test_store_and_facts(read: Store, workspace: Workspace) -> None:
    assert read.format["store"] == workspace.identifier
    events = {event.id: event for event in map(decode_event, payloads(workspace))}
    assert {fact.event["id"] for fact in read.facts} == events.keys()
    for fact in read.facts:
        event = events[fact.event["id"]]
        assert (fact.kind, fact.stamp) == (event.kind, event.stamp)
        # As bytes, because NaN equals nothing.
        assert msgspec.msgpack.encode(fact.body) == bytes(event.body)
        envelope = {name: getattr(event, name) for name in event.__struct_fields__ if name != "body"}
        assert msgspec.msgpack.decode(msgspec.msgpack.encode(envelope)) == {name: fact.event[name] for name in envelope}


def payloads(workspace: Workspace) -> list[bytes]:
    return [each for batch in workspace.journal.read({}) for each in batch.payloads]


def test_the_chain(read: Store, folder: Path) -> None:
    assert sum(record[4] for record in read.chain) < len(read.facts)
    report = verify_chain(FolderJournal(folder / ".charkh" / "journal", read.format["store"]))
    assert report.sound
    assert (report.segments, report.facts) == (len(read.chain), sum(record[4] for record in read.chain))


def test_datasets(read: Store, workspace: Workspace) -> None:
    store = workspace.store
    versions = [
        version.ref
        for summary in store.queries.ask(Datasets())
        for version in store.queries.ask(DatasetVersions(name=summary.name))
    ]
    found = read.datasets()
    assert found.keys() == set(versions)
    for ref in versions:
        root = find_dataset(store, ref).made.tree.root
        expected = {entry.path: b"".join(store.vault.read(entry.file)) for entry in store.vault.entries(root)}
        assert found[ref] == expected
    assert len(found["wide@1"]) == 403
    assert found["wide@1"]["empty"] == b""
    assert len(found["wide@1"]["zürich.csv"]) > 65_536
    (wide,) = [fact for fact in read.of("dataset.version/1") if fact.body["name"] == "wide"]
    assert [entry.path for entry in read.entries(wide.body["tree"][0]) if entry.executable] == ["run.sh"]
    table = pl.read_parquet(next(iter(found["flights@1"].values())))
    assert table["flight"].to_list() == list(range(20))


def test_what_was_erased(read: Store, workspace: Workspace) -> None:
    assert read.datasets()["notes@1"]["secret.txt"] == b"erased\n"
    (fact,) = read.of("asset.erased/1")
    for digest, replacement in fact.body["replacements"].items():
        known = workspace.store.queries.ask(ErasureOf(digest=digest))
        assert known is not None
        assert (known.replacement, known.reason, known.event) == (replacement, fact.body["reason"], fact.event["id"])
        assert read.chunk(digest) == b"erased\n"


def test_points(read: Store, workspace: Workspace) -> None:
    store = workspace.store
    seen = 0
    for run in search(store, limit=1000):
        points = read.points(run.id)
        names = {(summary.key, summary.context) for summary in metric_names(store, run.id)}
        assert {(point.key, point.context) for point in points} == names
        for key, context in names:
            curves = metric_histories(store, run.id, key, context=context)
            said = {
                (curve.writer, point.attempt, point.step, round(point.time * 1e6), struct.pack("<d", point.value))
                for curve in curves
                for point in curve.points()
            }
            mine = [point for point in points if (point.key, point.context) == (key, context)]
            assert said == {
                (each.writer, each.attempt, each.step, round(each.time * 1e6), struct.pack("<d", each.value))
                for each in mine
            }
            seen += len(mine)
    assert seen == 2 * 12 + 1


def test_aliases(read: Store, workspace: Workspace) -> None:
    queries = workspace.store.queries
    holders = {
        f"delay@{alias}": version.ref
        for version in queries.ask(ModelVersions(name="delay"))
        for alias in version.aliases
    }
    assert read.aliases() == holders == {"delay@champion": "delay@1", "delay@challenger": "delay@2"}
    assert len(queries.ask(AliasHistory(name="delay", alias="champion"))) == 3


def test_predictions(read: Store, workspace: Workspace) -> None:
    table = predictions(workspace.store, "delay")
    (sealed,) = read.of("endpoint.sealed/1")
    file = pl.read_parquet(read.content(sealed.body["file"]))
    for identifier, ordinal, row in zip(table["prediction_id"], file["@ordinal"], file["@row"], strict=True):
        assert reader.prediction(identifier) == {
            "deployment": sealed.body["deployment"],
            "segment": sealed.body["segment"],
            "ordinal": ordinal,
            "row": row,
        }
    assert file[">predict"].to_list() == table["predict"].to_list() == [0, 1]


@given(st.integers(0, 2**63 - 1), st.integers(0, 2**63 - 1))
def test_ids_of_predictions(ordinal: int, row: int) -> None:
    logged = PredictionId(deployment="1" * 32, segment="2" * 32, ordinal=ordinal, row=row)
    assert reader.prediction(str(logged)) == {
        "deployment": "1" * 32,
        "segment": "2" * 32,
        "ordinal": ordinal,
        "row": row,
    }
    unlogged = msgspec.structs.replace(new_unlogged("3" * 32), row=row)
    assert reader.prediction(str(unlogged)) == {"deployment": "3" * 32, "row": row}


def test_every_held_byte_is_reached(read: Store) -> None:
    for fact in read.facts:
        if fact.event["subject"] in read.dropped:
            continue
        for held in fact.event["holds"]:
            assert held in read.places or held in read.erased


def test_a_flipped_bit_is_refused(read: Store, folder: Path) -> None:
    archive = folder / ".charkh" / "journal" / "sealed" / "00000001.facts"
    data = bytearray(archive.read_bytes())
    data[len(data) // 2] ^= 1
    archive.write_bytes(data)
    with pytest.raises(Wrong, match="digest of segment"):
        assert Store(folder / ".charkh").facts


CONTENTS = st.one_of(
    st.binary(max_size=50),
    st.integers(1, 4000).map(sample_table),
    st.sampled_from([65_536, 65_537, 300_000, 8 * 1024 * 1024, 8 * 1024 * 1024 + 1]).map(sample_bytes),
    st.just(bytes(3_000_000)),
)
PATHS = st.sampled_from(["a.csv", "b/c.bin", "b/é.zip", "d", "z z/~.parquet"])


@settings(max_examples=8, deadline=None)
@given(files=st.dictionaries(PATHS, CONTENTS, max_size=4), extra=st.integers(0, 700), data=st.data())
def test_any_tree_is_read_from_the_documents(
    tmp_path_factory: pytest.TempPathFactory, files: dict[str, bytes], extra: int, data: st.DataObject
) -> None:
    folder = tmp_path_factory.mktemp("store")
    with open_workspace(folder, create=True) as workspace:
        vault = workspace.store.vault
        many = {f"many/{number}.txt": b"%d" % (number % 3) for number in range(extra)}
        entries = [TreeEntry(path, vault.put_bytes(content, path)) for path, content in {**many, **files}.items()]
        tree = vault.put_tree(entries)
        vault.flush()
        if erasable := [entry for entry in entries if entry.file.size]:
            chosen = data.draw(st.sampled_from(erasable))
            first = data.draw(st.integers(0, chosen.file.size - 1))
            last = data.draw(st.integers(first + 1, chosen.file.size))
            erase(workspace.store, chosen.file, reason="A test.", ranges=[(first, last)], instead=b"[gone]")
        expected = {entry.path: b"".join(vault.read(entry.file)) for entry in vault.entries(tree.root)}
    store = Store(folder / ".charkh")
    found = store.entries(tree.root)
    assert (len(found), sum(entry.size for entry in found)) == (tree.files, tree.size)
    assert {entry.path: store.content((entry.digest, entry.size, entry.root)) for entry in found} == expected
