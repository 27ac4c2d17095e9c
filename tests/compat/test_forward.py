"""What a later charkh writes in this format, and what a broken or hostile one does, harms nothing here.

The events are those of `format-1.tar.gz`, so every kind takes part.
"""

import copy
import tarfile
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any, cast

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.compat.reader import Store

from charkh.core.clock import Clock
from charkh.core.events import decode_event
from charkh.core.ids import new_id
from charkh.datasets.dataset import VersionMade
from charkh.evaluations.evaluation import EvaluationMade
from charkh.lineage.index import HeldDigests
from charkh.loops.loop import Decided
from charkh.pipelines.execution import PipelineEnded
from charkh.ports.exchange import pull
from charkh.ports.projections import Projection
from charkh.ports.runtimes import Safety
from charkh.runs.run import RunEnded
from charkh.stores.audit import verify_chain
from charkh.stores.catalog import Catalog
from charkh.stores.exchange_folder import FolderExchange
from charkh.stores.journal_folder import FolderJournal
from charkh.stores.journal_memory import MemoryJournal
from charkh.stores.sql_engine import sqlite_engine
from charkh.studies.study import StudyEnded, TrialDone
from charkh.testing.journals import read_all
from charkh.testing.projections import Tables, assert_order_free, dump_tables
from charkh.workspace.projections import PROJECTIONS

ARCHIVE = Path(__file__).parent / "format-1.tar.gz"
FUTURE_KEYS = st.sampled_from(["signature", "zone", "é", "0"])
VALUES = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**63), 2**64 - 1)
    | st.floats()
    | st.text(max_size=5)
    | st.binary(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=3),
    max_leaves=5,
)
MORE = st.dictionaries(FUTURE_KEYS, VALUES, max_size=3)
HOSTILE: list[Any] = [2**64 - 1, 2**63, -(2**63), float("nan"), float("inf"), "", "x\0y", None, True, [], {}, b"x"]


@cache
def originals() -> tuple[bytes, ...]:
    """The payloads of the archive."""
    with tempfile.TemporaryDirectory() as name, tarfile.open(ARCHIVE) as archive:
        archive.extractall(name, filter="data")
        return tuple(fact.payload for fact in Store(Path(name) / ".charkh").facts)


@cache
def one_of_each() -> dict[str, dict[str, Any]]:
    """By kind, one event as a map."""
    return {event["kind"]: event for event in map(msgspec.msgpack.decode, originals())}


def unknown(kind: str, more: dict[str, Any]) -> bytes:
    """An event of a kind that nobody knows."""
    fields = {"id": new_id(), "kind": kind, "actor": "zoe@later", "clock": 1 << 56, "subject": "planet:1", "body": more}
    return msgspec.msgpack.encode({**fields, "holds": ["1" * 64], "more": more})


def later(payload: bytes, more: dict[str, Any]) -> bytes:
    """The event as a later charkh would write it: with keys that nobody knows, in the envelope and in the body."""
    event = msgspec.msgpack.decode(payload)
    return msgspec.msgpack.encode({**more, **event, "body": {**more, **event["body"]}})


def catalog_of(payloads: Sequence[bytes], projections: Sequence[Projection] = PROJECTIONS) -> Catalog:
    journal = MemoryJournal()
    journal.append(payloads)
    return Catalog(sqlite_engine(None), journal, projections, Clock(), "ann@laptop")


def tables_of(payloads: Sequence[bytes]) -> Tables:
    """What the catalog holds, bodies left out, which are kept as they were written."""
    catalog = catalog_of(payloads)
    catalog.ask(HeldDigests())
    assert catalog.set_aside() == []
    return {
        name: sorted((tuple(None if isinstance(cell, bytes) else cell for cell in row) for row in rows), key=repr)
        for name, rows in dump_tables(catalog, PROJECTIONS).items()
    }


@settings(max_examples=10)
@given(more=MORE, chance=st.randoms())
def test_keys_from_the_future_change_no_answer(more: dict[str, Any], chance: Any) -> None:
    events = [later(payload, more) for payload in originals()]
    chance.shuffle(events)
    assert tables_of(events) == tables_of(originals())


@settings(max_examples=10)
@given(more=st.lists(MORE, min_size=1, max_size=5), chance=st.randoms())
def test_kinds_from_the_future_change_no_answer_but_lineage(more: list[dict[str, Any]], chance: Any) -> None:
    known, strange = tables_of(originals()), [unknown("planet.moved/3", each) for each in more]
    events = [*originals(), *strange]
    chance.shuffle(events)
    for name, rows in tables_of(events).items():
        if name.startswith("lineage_"):
            assert set(rows) >= set(known[name])
        else:
            assert rows == known[name]
    assert "1" * 64 in catalog_of(events).ask(HeldDigests())


def test_every_order_of_a_mixed_set_folds_alike() -> None:
    more = {"signature": [1, {"by": "zoe"}]}
    mixed = [later(payload, more) if number % 2 else payload for number, payload in enumerate(originals())]
    assert_order_free(PROJECTIONS, [*mixed, unknown("planet.moved/3", more)], rounds=2)


@settings(max_examples=10)
@given(more=MORE)
def test_what_is_not_understood_is_passed_on_byte_for_byte(more: dict[str, Any]) -> None:
    events = [*(later(payload, more) for payload in originals()[:20]), unknown("planet.moved/3", more)]
    with tempfile.TemporaryDirectory() as name:
        folders = [Path(name) / each for each in ("ann", "bob", "cleo")]
        ann, bob, cleo = (FolderJournal(folder, new_id()) for folder in folders)
        ann.append(events)
        ann.close()
        assert pull(FolderExchange(ann), FolderExchange(bob)) == len(events)
        assert pull(FolderExchange(bob), FolderExchange(cleo)) == len(events)
        assert read_all(cleo)[0] == events
        assert verify_chain(cleo).sound


def test_a_kind_that_was_unknown_is_folded_once_it_is_known() -> None:
    """A colleague's newer charkh said it first; this one is upgraded later."""
    kind = "run.tagged/1"
    (runs,) = [each for each in PROJECTIONS if each.kinds and kind in each.kinds]
    others = [each for each in PROJECTIONS if each is not runs]
    assert runs.kinds is not None
    before = replace(runs, kinds=runs.kinds - {kind})
    journal, engine = MemoryJournal(), sqlite_engine(None)
    journal.append(originals())
    old = Catalog(engine, journal, [before, *others], Clock(), "ann@laptop")
    old.ask(HeldDigests())
    assert dump_tables(old, [runs])["run_tag"] == []
    new = Catalog(engine, journal, PROJECTIONS, Clock(), "ann@laptop")
    new.ask(HeldDigests())
    assert dump_tables(new, [runs]) == dump_tables(_folded(originals()), [runs])


def _folded(payloads: Sequence[bytes]) -> Catalog:
    catalog = catalog_of(payloads)
    catalog.ask(HeldDigests())
    return catalog


def leaves(value: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    if not isinstance(value, dict | list):
        yield path
        return
    items = cast("dict[str, Any]", value).items() if isinstance(value, dict) else enumerate(cast("list[Any]", value))
    for key, inner in items:
        yield from leaves(inner, (*path, key))


def put(value: Any, path: tuple[Any, ...], new: Any) -> Any:
    changed = copy.deepcopy(value)
    place = changed
    for part in path[:-1]:
        place = place[part]
    place[path[-1]] = new
    return changed


@pytest.mark.parametrize("kind", sorted(one_of_each()))
def test_an_event_that_says_nonsense_hides_no_other(kind: str) -> None:
    """Every value of an event is replaced by what no table, no clock and no index expects."""
    event = one_of_each()[kind]
    hostile = [
        msgspec.msgpack.encode(
            {**put(event, path, value), "id": new_id()} if path != ("id",) else put(event, path, value)
        )
        for path in leaves(event)
        for value in HOSTILE
    ]
    alone, after = unknown("planet.moved/3", {}), originals()
    catalog = catalog_of([*hostile, alone, *after])
    assert "1" * 64 in catalog.ask(HeldDigests())
    known = {decode_event(payload).id for payload in (*after, alone)}
    assert not known & {event_id for event_id, _projection, _reason in catalog.set_aside()}
    assert catalog.set_aside()


@pytest.mark.parametrize(
    ("body", "field"),
    [
        (RunEnded, "status"),
        (Decided, "outcome"),
        (EvaluationMade, "task"),
        (VersionMade, "kind"),
        (PipelineEnded, "status"),
        (StudyEnded, "status"),
        (TrialDone, "state"),
        (Safety, "level"),
    ],
)
def test_a_case_that_a_later_version_adds_is_read_as_it_stands(body: type[msgspec.Struct], field: str) -> None:
    (found,) = (each for each in msgspec.structs.fields(body) if each.name == field)
    assert msgspec.convert("paused", found.type) == "paused"


def test_a_safety_level_that_is_not_known_counts_as_code() -> None:
    assert Safety(level="sandboxed").runs_code
    assert not Safety(level="listed").runs_code
