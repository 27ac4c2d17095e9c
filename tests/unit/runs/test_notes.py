"""A run has one note, whoever writes it: a tag, so that it is found, edited and shown to MLflow's clients."""

import pytest

from charkh.core.errors import Invalid
from charkh.lineage.index import PROJECTION as LINEAGE
from charkh.ports.store import Store
from charkh.runs.find import find
from charkh.runs.held import PROJECTION as HELD
from charkh.runs.index import PROJECTION
from charkh.runs.notes import NOTE_TAG, read_note
from charkh.runs.resume import resumed
from charkh.runs.search import search
from charkh.runs.start import start
from charkh.runs.tag import tag
from charkh.testing.stores import memory_store


@pytest.fixture
def store() -> Store:
    return memory_store(PROJECTION, HELD, LINEAGE)


def test_remarks_are_paragraphs_of_one_note(store: Store) -> None:
    with start(store, name="noted") as run:
        run.note("looks **good**")
        run.note("and went on")
        with pytest.raises(Invalid, match="not text"):
            run.note(3)  # pyright: ignore[reportArgumentType]
    assert find(store, "noted").tags == {NOTE_TAG: "looks **good**\n\nand went on"}
    with start(store, resumed=resumed(store, "noted")) as again:
        again.note("a second attempt")
    assert read_note(store, find(store, "noted")) == "looks **good**\n\nand went on\n\na second attempt"
    assert [each.name for each in search(store, "text ~ 'second attempt'")] == ["noted"]


def test_who_writes_the_tag_writes_the_note(store: Store) -> None:
    with start(store, name="tagged", tags={NOTE_TAG: "from the start"}) as run:
        run.note("more")
    assert read_note(store, find(store, "tagged")) == "from the start\n\nmore"
    tag(store, "tagged", {NOTE_TAG: "anew"})
    assert read_note(store, find(store, "tagged")) == "anew"
    tag(store, "tagged", {NOTE_TAG: None})
    assert read_note(store, find(store, "tagged")) == ""


def test_a_long_note_is_read_whole(store: Store) -> None:
    with start(store, name="long") as run:
        run.note("first")
        run.note("x" * 50_000)
    assert read_note(store, find(store, "long")) == "first\n\n" + "x" * 50_000
