"""Events: bytes that stay readable, envelopes that tolerate the future, kinds that carry versions."""

from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from charkh.core.clock import Clock
from charkh.core.errors import Bug, CharkhError, Corrupt
from charkh.core.events import (
    KIND_PATTERN,
    MAX_FACT_TEXT,
    Draft,
    Edge,
    Event,
    body_of,
    decode_event,
    encode_event,
    stamp_draft,
)


class Note(msgspec.Struct, frozen=True):
    text: str
    tags: tuple[str, ...] = ()


class LaterNote(msgspec.Struct, frozen=True):
    text: str
    tags: tuple[str, ...] = ()
    color: str = "none"


GOLDEN = bytes.fromhex(
    "8ca26964d9203031393264613266303030303730303038303030303030303030303030303031a46b696e64ae6e6f74652e77"
    "72697474656e2f31a56163746f72a8616e6e40686f7374a5636c6f636bcf0192da2f00000000a77375626a656374a66e6f74"
    "653a31a4626f647982a474657874a568656c6c6fa47461677392a161a162a36b6579a46f6e6365a565646765739193a66e6f"
    "74653a31a7666f6c6c6f7773a66e6f74653a30a5666163747384a26f6bc3a3617563cb3fe8000000000000a4726f777303a3"
    "776879a474657874a561626f7574a76d6f64656c3a6da5686f6c647391d94061626162616261626162616261626162616261"
    "626162616261626162616261626162616261626162616261626162616261626162616261626162616261626162a564726f70"
    "7391a66e6f74653a30"
)
"""`GOLDEN_EVENT` as the first released format wrote it: these bytes never change."""

GOLDEN_EVENT = Event(
    id="0192da2f000070008000000000000001",
    kind="note.written/1",
    actor="ann@host",
    clock=0x0192DA2F00000000,
    subject="note:1",
    body=msgspec.Raw(msgspec.msgpack.encode(Note(text="hello", tags=("a", "b")))),
    key="once",
    edges=(Edge("note:1", "follows", "note:0"),),
    facts={"ok": True, "auc": 0.75, "rows": 3, "why": "text"},
    about="model:m",
    holds=("ab" * 32,),
    drops=("note:0",),
)
JSON_FACTS = st.booleans() | st.integers(-(2**63), 2**63 - 1) | st.floats(allow_nan=False) | st.text(max_size=50)
DRAFTS = st.builds(
    Draft,
    kind=st.from_regex(KIND_PATTERN, fullmatch=True).map(lambda kind: kind[:80] if len(kind) < 80 else "a.b/1"),
    subject=st.text(max_size=20),
    body=st.builds(Note, text=st.text(max_size=50), tags=st.lists(st.text(max_size=5), max_size=3).map(tuple)),
    edges=st.lists(st.builds(Edge, st.text(max_size=9), st.text(max_size=9), st.text(max_size=9)), max_size=3).map(
        tuple
    ),
    facts=st.dictionaries(st.text(max_size=10), JSON_FACTS, max_size=4),
    about=st.text(max_size=10),
    holds=st.lists(st.text(max_size=10), max_size=3).map(tuple),
    drops=st.lists(st.text(max_size=10), max_size=3).map(tuple),
)


@given(DRAFTS)
def test_what_was_recorded_is_read(draft: Draft) -> None:
    recorded = stamp_draft(draft, Clock(), "ann@host", "key")
    event = decode_event(recorded.payload)
    assert event == recorded.event
    assert body_of(event, Note) == draft.body
    assert (event.kind, event.subject, event.actor, event.key) == (draft.kind, draft.subject, "ann@host", "key")
    assert (event.edges, event.facts, event.about) == (draft.edges, dict(draft.facts), draft.about)
    assert (event.holds, event.drops) == (draft.holds, draft.drops)
    assert encode_event(event) == recorded.payload


@pytest.mark.parametrize("kind", ["note", "note.written", "note.written/", "Note/1", "/1", "note/x", "note/1 ", ""])
def test_a_kind_carries_a_version(kind: str) -> None:
    with pytest.raises(Bug, match="version"):
        stamp_draft(Draft(kind=kind, subject="note:1", body=None), Clock(), "ann")


def test_a_fact_holds_bounded_text() -> None:
    facts = {"why": "x" * (MAX_FACT_TEXT + 1)}
    with pytest.raises(Bug, match="longer"):
        stamp_draft(Draft(kind="note.written/1", subject="note:1", body=None, facts=facts), Clock(), "ann")


def _with(**more: Any) -> bytes:
    fields = msgspec.msgpack.decode(encode_event(GOLDEN_EVENT))
    return msgspec.msgpack.encode({**fields, **more})


def test_an_envelope_key_from_the_future_is_passed_over() -> None:
    event = decode_event(_with(signature={"by": "ann", "bytes": [1, 2, 3]}))
    assert event == GOLDEN_EVENT


def test_an_unknown_kind_is_read_as_any_other() -> None:
    event = decode_event(_with(kind="planet.discovered/7", body={"name": "x", "moons": [1, None]}))
    assert event.kind == "planet.discovered/7"
    assert decode_event(encode_event(event)) == event
    assert msgspec.msgpack.decode(event.body) == {"name": "x", "moons": [1, None]}


def test_a_body_tolerates_fields_it_does_not_know_and_fills_those_it_lacks() -> None:
    later = decode_event(_with(body={"text": "hi", "tags": [], "color": "red"}))
    assert body_of(later, Note) == Note(text="hi")
    assert body_of(GOLDEN_EVENT, LaterNote) == LaterNote(text="hello", tags=("a", "b"), color="none")


def test_a_body_that_does_not_fit_is_corrupt() -> None:
    with pytest.raises(Corrupt, match=GOLDEN_EVENT.id):
        body_of(decode_event(_with(body={"text": 5})), Note)


def test_what_is_nested_without_end_is_corrupt() -> None:
    deep = b"\x91" * 100_000 + b"\xc0"
    payload = encode_event(msgspec.structs.replace(GOLDEN_EVENT, body=msgspec.Raw(deep)))
    with pytest.raises(Corrupt):
        decode_event(payload)
    with pytest.raises(Corrupt):
        body_of(msgspec.structs.replace(GOLDEN_EVENT, body=msgspec.Raw(b"\x81\xa4text" + deep)), Note)


@given(st.binary(max_size=200))
def test_noise_is_corrupt_and_nothing_else(noise: bytes) -> None:
    try:
        decode_event(noise)
    except CharkhError as error:
        assert isinstance(error, Corrupt)


def test_stamps_order_by_clock_and_then_by_id() -> None:
    def stamp(clock: int, identifier: str) -> str:
        return msgspec.structs.replace(GOLDEN_EVENT, clock=clock, id=identifier).stamp

    a, b = "0" * 31 + "a", "0" * 31 + "b"
    assert stamp(9, b) < stamp(10, a) < stamp(10, b) < stamp(1 << 62, a)


def test_the_bytes_of_the_first_format_are_read_for_ever() -> None:
    event = decode_event(GOLDEN)
    assert event == GOLDEN_EVENT
    assert body_of(event, Note) == Note(text="hello", tags=("a", "b"))


def test_the_bytes_of_the_first_format_are_written_still() -> None:
    assert encode_event(GOLDEN_EVENT) == GOLDEN


def test_an_empty_field_takes_no_bytes() -> None:
    recorded = stamp_draft(Draft(kind="note.written/1", subject="note:1", body=None), Clock(), "ann")
    assert set(msgspec.msgpack.decode(recorded.payload)) == {"id", "kind", "actor", "clock", "subject", "body"}
