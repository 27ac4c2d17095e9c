"""The order proof itself: it lets a set through, and catches a counter and a last writer."""

from collections.abc import Callable, Sequence

import pytest
from sqlalchemy import Column, Connection, Integer, MetaData, String, Table, delete, func, select

from charkh.core.clock import Clock
from charkh.core.events import Draft, Event, stamp_draft
from charkh.ports.folding import add_rows, keep_rows
from charkh.ports.projections import Projection
from charkh.testing.projections import assert_order_free

_metadata = MetaData()
_seen = Table(
    "probe_seen",
    _metadata,
    Column("id", String, primary_key=True),
    Column("value", Integer, nullable=False),
    Column("stamp", String, nullable=False),
)


def add(connection: Connection, events: Sequence[Event]) -> None:
    add_rows(connection, _seen, [{"id": event.id, "value": 1, "stamp": event.stamp} for event in events])


def keep_latest(connection: Connection, events: Sequence[Event]) -> None:
    rows = [{"id": event.subject, "value": event.clock % 1000, "stamp": event.stamp} for event in events]
    keep_rows(connection, _seen, rows, stamp="stamp")


def count(connection: Connection, events: Sequence[Event]) -> None:
    known = connection.execute(select(func.count()).select_from(_seen)).scalar_one()
    add_rows(connection, _seen, [{"id": event.id, "value": known, "stamp": event.stamp} for event in events])


def keep_last_seen(connection: Connection, events: Sequence[Event]) -> None:
    for event in events:
        connection.execute(delete(_seen).where(_seen.c.id == event.subject))
        connection.execute(_seen.insert(), {"id": event.subject, "value": 1, "stamp": event.stamp})


def projection(fold: Callable[[Connection, Sequence[Event]], None]) -> Projection:
    return Projection(name="probe", version=1, tables=_metadata, kinds=None, fold=fold)


def some_payloads(count: int = 9) -> list[bytes]:
    clock = Clock()
    drafts = [Draft(kind="probe.seen/1", subject=f"probe:{number % 3}", body={}) for number in range(count)]
    return [stamp_draft(draft, clock, "ann@laptop").payload for draft in drafts]


def test_a_set_and_a_latest_value_are_free_of_order() -> None:
    assert len(assert_order_free([projection(add)], some_payloads())["probe_seen"]) == 9
    assert len(assert_order_free([projection(keep_latest)], some_payloads())["probe_seen"]) == 3


@pytest.mark.parametrize("fold", [count, keep_last_seen])
def test_a_counter_and_a_last_writer_are_caught(fold: Callable[[Connection, Sequence[Event]], None]) -> None:
    with pytest.raises(AssertionError, match="table probe_seen depends on the order"):
        assert_order_free([projection(fold)], some_payloads())


def test_no_events_prove_nothing() -> None:
    with pytest.raises(AssertionError, match="empty set"):
        assert_order_free([projection(add)], [])
