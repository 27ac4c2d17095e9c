"""Sealing: whatever is interrupted is finished by the next one, and nothing is said twice or lost."""

from collections.abc import Iterator, Sequence
from typing import Any

import msgspec
import pytest

from charkh.core.errors import Corrupt, NotFound, Unavailable
from charkh.core.events import Draft
from charkh.core.files import FileRef
from charkh.core.ids import new_id
from charkh.lineage.index import PROJECTION as LINEAGE
from charkh.lineage.index import HeldDigests
from charkh.ports.journal import DataHeader
from charkh.ports.store import Store
from charkh.runs import seal as sealing
from charkh.runs.delete import delete_run
from charkh.runs.find import by_id
from charkh.runs.history import metric_history
from charkh.runs.index import PROJECTION, SealedOf
from charkh.runs.points import CONTENT
from charkh.runs.points_log import PointsLog
from charkh.runs.purge import purge_runs
from charkh.runs.run import DELETED_KIND, SEALED_KIND, RunDeleted
from charkh.runs.seal import seal_ended
from charkh.runs.search import search
from charkh.runs.start import ActiveRun, start
from charkh.testing.projections import assert_order_free, payloads_of
from charkh.testing.stores import memory_store

DIED: list[ActiveRun] = []


@pytest.fixture(scope="module", autouse=True)
def nobody_ends_the_dead() -> Iterator[None]:
    """The runs of crashed processes are not ended when this process ends."""
    yield
    for run in DIED:
        run.end()


@pytest.fixture
def store() -> Store:
    return memory_store(PROJECTION, LINEAGE)


def crashed(store: Store, points: int = 3, name: str = "") -> str:
    """A run whose process died: its segment is closed and nothing else was said."""
    run = start(store, name=name)
    for step in range(points):
        run.log({"loss": 1.0 / (step + 1)}, step=step)
    run._points.close()  # pyright: ignore[reportPrivateUsage]
    DIED.append(run)
    return run.id


def test_what_a_dead_process_left_is_sealed_once(store: Store) -> None:
    runs = [crashed(store, points) for points in (3, 5)]
    before = [metric_history(store, run, "loss").points() for run in runs]
    assert seal_ended(store) == 2
    assert store.journal.list_data() == []
    assert seal_ended(store) == 0
    assert [metric_history(store, run, "loss").points() for run in runs] == before
    (sealed,) = store.queries.ask(SealedOf(run=runs[1]))
    assert (sealed.records, sealed.points, sealed.writer) == (5, 5, "0")
    assert sealed.blob.held in store.queries.ask(HeldDigests())


def test_a_live_segment_is_left_alone(store: Store) -> None:
    run = start(store)
    run.log({"loss": 0.5})
    assert seal_ended(store) == 0
    run.end()
    assert store.journal.list_data() == []


def test_an_empty_segment_leaves_no_fact(store: Store) -> None:
    run = crashed(store, 0)
    assert seal_ended(store) == 1
    assert store.journal.list_data() == []
    assert store.queries.ask(SealedOf(run=run)) == ()


@pytest.mark.parametrize("where", ["put", "flush", "record", "drop"])
def test_an_interrupted_seal_is_finished_by_the_next(store: Store, where: str) -> None:
    run = crashed(store)
    expected = metric_history(store, run, "loss").points()
    owners = {"put": (store.vault, "put_bytes"), "flush": (store.vault, "flush")}
    owner, name = owners.get(where, (store.journal, "append" if where == "record" else "drop_data"))

    def refuse(*_arguments: Any, **_named: Any) -> None:
        raise Unavailable("the disk is full", code="journal.unavailable")

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(owner, name, refuse)
        with pytest.raises(Unavailable):
            seal_ended(store)
    assert metric_history(store, run, "loss").points() == expected
    assert by_id(store, run).metrics == {"loss": pytest.approx(1 / 3)}
    assert len(search(store, "metrics.loss < 0.5")) == 1
    assert seal_ended(store) == 1
    assert store.journal.list_data() == []
    assert len(store.queries.ask(SealedOf(run=run))) == 1
    assert metric_history(store, run, "loss").points() == expected


def test_two_sealers_say_the_same(store: Store) -> None:
    run = crashed(store)
    (segment,) = store.journal.list_data()
    drafts = [sealing.sealed_draft(store, segment.header) for _ in range(2)]
    assert drafts[0] == drafts[1]
    store.record(*(draft for draft in drafts if draft is not None))
    assert len(store.queries.ask(SealedOf(run=run))) == 1
    assert len(metric_history(store, run, "loss")) == 3


def test_a_segment_that_goes_meanwhile_is_passed_over(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    crashed(store)
    crashed(store)
    original = sealing.sealed_draft
    seen: list[DataHeader] = []

    def vanish(store: Store, header: DataHeader) -> Draft | None:
        seen.append(header)
        if len(seen) == 1:
            raise NotFound("gone", code="journal.no_segment")
        return original(store, header)

    monkeypatch.setattr(sealing, "sealed_draft", vanish)
    assert seal_ended(store) == 2
    assert store.journal.list_data() == []


def test_points_of_a_deleted_run_are_dropped(store: Store) -> None:
    run = crashed(store)
    body = RunDeleted(run=run)
    store.record(Draft(kind=DELETED_KIND, subject=f"run:{run}", body=body, drops=(f"run:{run}",)))
    assert seal_ended(store) == 1
    assert store.journal.list_data() == []
    assert store.queries.ask(SealedOf(run=run)) == ()


def test_purging_takes_what_is_not_sealed_too(store: Store) -> None:
    run = crashed(store, name="dead")
    delete_run(store, "dead")
    assert len(store.journal.list_data()) == 1
    purge_runs(store)
    assert store.journal.list_data() == []
    assert by_id(store, run).deleted is not None


def test_the_starter_seals_what_dead_children_left(store: Store) -> None:
    run = start(store)
    run.log({"loss": 0.1}, step=0)
    child = PointsLog(store.journal, run.id, "0.77")
    child.log({"child": 5.0}, 0, "", None)
    child.close()
    other = PointsLog(store.journal, new_id(), "0")
    other.log({"loss": 5.0}, 0, "", None)
    other.close()
    run.end()
    assert {each.writer for each in store.queries.ask(SealedOf(run=run.id))} == {"0", "0.77"}
    assert by_id(store, run.id).metrics == {"child": 5.0, "loss": 0.1}
    assert [each.header.subject for each in store.journal.list_data()] != [run.subject]


def test_only_as_many_summaries_stand_in_the_fact_as_may(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sealing, "MAX_SERIES", 3)
    monkeypatch.setattr("charkh.runs.history.MAX_SERIES", 3)
    with start(store) as run:
        run.log({f"m{number}": float(number) for number in range(6)}, step=0)
    (sealed,) = store.queries.ask(SealedOf(run=run.id))
    assert len(sealed.series) == 3
    assert sealed.points == 6
    assert metric_history(store, run.id, "m5").values.tolist() == [5.0]
    with pytest.raises(NotFound, match="has no metric"):
        metric_history(store, run.id, "m9")


def test_segments_are_sealed_in_portions(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sealing, "TOGETHER", 2)
    recorded: list[int] = []
    append = store.journal.append

    def counting(payloads: Sequence[bytes], *, durable: bool = False) -> None:
        recorded.append(len(payloads))
        append(payloads, durable=durable)

    for _ in range(5):
        crashed(store)
    monkeypatch.setattr(store.journal, "append", counting)
    assert seal_ended(store) == 5
    assert recorded == [2, 2, 1]


def test_a_record_that_is_none_keeps_no_other_run_from_being_sealed(store: Store) -> None:
    sound = crashed(store)
    broken = [(1e9, 2**63, {"loss": 1.0}), (float("nan"), 0, {"loss": 1.0}), (1e9, "first", {"loss": 1.0}), (1e9, 0)]
    for number, record in enumerate(broken):
        header = DataHeader(segment=f"{number:032x}", content=CONTENT, subject=f"run:{crashed(store)}")
        writer = store.journal.open_data(header)
        writer.append(msgspec.msgpack.encode(record))
        writer.close()
    with pytest.raises(Corrupt) as caught:
        seal_ended(store)
    assert caught.value.code == "run.bad_record"
    assert [each.header.segment for each in store.journal.list_data()] == [
        f"{number:032x}" for number in range(len(broken))
    ]
    assert len(store.queries.ask(SealedOf(run=sound))) == 1


def test_of_two_blobs_of_one_segment_the_earlier_shows_in_any_order(store: Store) -> None:
    """Two copies of a store seal the same segment, with libraries that compress differently."""
    run = crashed(store)
    seal_ended(store)
    (sealed,) = store.queries.ask(SealedOf(run=run))
    other = msgspec.structs.replace(sealed, blob=FileRef("1" * 64, 5))
    store.record(Draft(kind=SEALED_KIND, subject=f"run:{run}", body=other))
    assert_order_free([PROJECTION, LINEAGE], payloads_of(store), [SealedOf(run=run)])
    assert store.queries.ask(SealedOf(run=run)) == (sealed,)
