"""The outbox, in SQLite and in PostgreSQL: what waits, in which order, and what became of it."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from charkh.ports.outbox import Attempt, Outbox, Parcel
from charkh.stores.outbox_sql import folder_outbox, postgres_outbox


@pytest.fixture(params=["folder", pytest.param("postgres", marks=pytest.mark.needs("postgresql"))])
def outbox(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Outbox]:
    if request.param == "folder":
        made = folder_outbox(tmp_path)
    else:
        made = postgres_outbox(request.getfixturevalue("postgres_url"))
    yield made
    made.close()


def parcel(message: str, subject: str = "run:1", target: str = "a") -> Parcel:
    return Parcel(
        target=target,
        message=message,
        event=message,
        kind="run.ended/1",
        subject=subject,
        content_type="application/json",
        body=message.encode(),
    )


def messages(outbox: Outbox, now: float, target: str = "a", limit: int = 10) -> list[str]:
    return [each.parcel.message for each in outbox.due(target, now, limit)]


def test_parcels_and_the_place_come_together_and_once(outbox: Outbox) -> None:
    assert outbox.place() == {}
    assert outbox.put([parcel("1"), parcel("2", "run:2")], {"s": 7}, now=10.0) == 2
    assert outbox.put([parcel("1"), parcel("1", target="b")], {"s": 9, "t": 1}, now=11.0) == 1
    assert outbox.place() == {"s": 9, "t": 1}
    assert outbox.pending() == {"a": 10.0, "b": 11.0}
    (first, second) = outbox.due("a", 10.0, 10)
    assert (first.parcel, first.state, first.queued, first.attempts, first.last) == (
        parcel("1"),
        "pending",
        10.0,
        0,
        None,
    )
    assert second.number > first.number
    assert messages(outbox, 9.9) == []
    assert messages(outbox, 10.0, limit=1) == ["1"]


def test_one_subject_waits_in_a_row(outbox: Outbox) -> None:
    outbox.put([parcel("1"), parcel("2"), parcel("3", "run:2")], {}, now=0.0)
    assert messages(outbox, 0.0) == ["1", "3"]
    (first, _) = outbox.due("a", 0.0, 10)
    outbox.note(first.number, Attempt(at=1.0, status=500, seconds=0.1), "pending", 60.0)
    assert messages(outbox, 1.0) == ["3"], "the second of a subject waits for the first"
    outbox.note(first.number, Attempt(at=60.0, error="no answer"), "dead", 60.0)
    assert messages(outbox, 60.0) == ["2", "3"]
    (dead,) = outbox.history("a", 10, state="dead")
    assert (dead.attempts, dead.last) == (2, Attempt(at=60.0, error="no answer"))
    assert [each.status for each in outbox.attempts(first.number)] == [500, 0]
    assert outbox.again("a", "", 70.0) == 1
    assert messages(outbox, 70.0) == ["1", "3"]
    assert outbox.history("a", 1)[0].parcel.message == "3"
    assert outbox.again("a", "unknown", 70.0) == 0


def test_what_is_done_is_bounded_and_what_waits_is_not(outbox: Outbox) -> None:
    outbox.put([parcel(str(number), f"run:{number}") for number in range(10)], {}, now=0.0)
    for each in outbox.due("a", 0.0, 8):
        outbox.note(each.number, Attempt(at=0.0, status=204), "delivered", 0.0)
    outbox.trim(3)
    assert [each.parcel.message for each in outbox.history("a", 20)] == ["9", "8", "7", "6", "5"]
    assert messages(outbox, 0.0) == ["8", "9"]
    outbox.drop("a")
    assert outbox.pending() == {}
    assert list(outbox.history("a", 20)) == []


def test_what_is_kept_first_stays(outbox: Outbox) -> None:
    assert outbox.keep("since openlineage", "7") == "7"
    assert outbox.keep("since openlineage", "8") == "7"


def test_one_at_a_time_leads(request: pytest.FixtureRequest, outbox: Outbox, tmp_path: Path) -> None:
    folder = "folder" in request.node.callspec.id
    other = folder_outbox(tmp_path) if folder else postgres_outbox(request.getfixturevalue("postgres_url"))
    with outbox.lead() as first:
        assert first
        with other.lead() as second:
            assert not second
    with other.lead() as later:
        assert later
    other.close()
