"""Scalars read at once are those that the general parser reads one by one, whatever stands between them."""

import math
from collections import defaultdict

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from charkh.bridges.tensorboard.events import Event, Metadata, Value, decode_event, encode_event
from charkh.bridges.tensorboard.records import encode_record, walk
from charkh.bridges.tensorboard.scalar_columns import ScalarReader, scalar_of
from charkh.bridges.tensorboard.tensors import encode_numbers
from charkh.bridges.tensorboard.wire import write_bytes, write_float, write_integer, write_varint

SCALARS = Metadata(plugin="scalars", data_class=1)
Point = tuple[int, int, float, float]


def one_by_one(events: list[bytes], known: dict[str, Metadata]) -> dict[str, list[Point]]:
    """What the general parser says."""
    metadata, found = dict(known), defaultdict[str, list[Point]](list)
    for place, data in enumerate(events):
        event = decode_event(data)
        for value in event.values:
            mine = value.metadata or metadata.get(value.tag)
            if value.metadata is not None:
                metadata.setdefault(value.tag, value.metadata)
            number = scalar_of(value, mine.plugin if mine is not None else "")
            if number is not None:
                found[value.tag].append((place, event.step, event.time, number))
    return found


def at_once(events: list[bytes], known: dict[str, Metadata]) -> tuple[dict[str, list[Point]], int]:
    """What is read in columns, and the rest one by one; how many records were read in columns."""
    buffer = b"".join(map(encode_record, events))
    taken = ScalarReader().take(buffer, walk(buffer).offsets, known)
    found = defaultdict[str, list[Point]](list)
    for tag, parts in taken.columns.items():
        for part in parts:
            found[tag] += zip(*(column.tolist() for column in part), strict=True)
    rest = set(taken.rest)
    # What is left is read in order, with all the metadata that its own records say.
    by_hand = one_by_one(events, known)
    for tag, points in by_hand.items():
        found[tag] += [point for point in points if point[0] in rest]
    assert {tag for tag, points in found.items() if points} <= set(by_hand)
    return {tag: sorted(points) for tag, points in found.items() if points}, len(events) - len(rest)


def exact(points: dict[str, list[Point]]) -> dict[str, list[tuple[int, int, str, str]]]:
    return {
        tag: [(place, step, repr(time), repr(value)) for place, step, time, value in sorted(each)]
        for tag, each in points.items()
    }


def as_tensor(value: float, *, packed: bool) -> bytes:
    if packed:
        return encode_numbers(np.float32(value).reshape(()))
    return write_integer(1, 1) + write_bytes(2, b"") + write_float(5, value)


@st.composite
def scalar_events(draw: st.DrawFn) -> list[bytes]:
    tags = draw(st.lists(st.sampled_from(["loss", "acc", "train/loss", "x" * 40, ""]), min_size=1, max_size=3))
    shape = draw(st.sampled_from(["simple", "tensor", "bare tensor", "listed tensor", "mixed"]))
    steps = draw(st.sampled_from([range(60), range(100, 160), range(2**31, 2**31 + 30), [0] * 40, range(-20, 20)]))
    found: list[bytes] = []
    for place, step in enumerate(steps):
        for tag in tags:
            value = draw(st.floats(width=32)) if place < 3 else float(np.float32(math.sin(place)))
            kind = shape if shape != "mixed" else draw(st.sampled_from(["simple", "tensor", "other", "two"]))
            if kind == "simple":
                values = (Value(tag=tag, simple=value),)
            elif kind == "other":
                values = (Value(tag=tag, histogram=b""),)
            elif kind == "two":
                values = (Value(tag=tag, simple=value), Value(tag="second", simple=value))
            else:
                tensor = as_tensor(value, packed=kind != "listed tensor")
                values = (Value(tag=tag, tensor=tensor, metadata=None if kind == "bare tensor" and place else SCALARS),)
            found.append(encode_event(Event(time=1.7e9 + place / 7, step=step, values=values)))
    return found


@settings(max_examples=60)
@given(scalar_events(), st.booleans())
def test_both_ways_give_the_same_points(events: list[bytes], known: bool) -> None:
    before = {"loss": SCALARS, "acc": SCALARS} if known else {}
    found, _ = at_once(events, before)
    assert exact(found) == exact(one_by_one(events, before))


def test_a_long_training_is_read_in_columns() -> None:
    events = [
        encode_event(Event(time=1.7e9 + step, step=step, values=(Value(tag=tag, simple=step / 3),)))
        for step in range(300)
        for tag in ("loss", "accuracy")
    ]
    found, fast = at_once(events, {})
    assert exact(found) == exact(one_by_one(events, {}))
    assert fast == 598, "the two at step 0 say no step, and are too few"


def test_an_event_with_more_fields_is_no_layout() -> None:
    plain = Event(time=1.0, step=5, values=(Value(tag="loss", simple=2.0),))
    with_graph = [encode_event(plain) + write_bytes(4, b"graph") for _ in range(20)]
    assert at_once(with_graph, {}) == ({"loss": [(place, 5, 1.0, 2.0) for place in range(20)]}, 0)
    # A later field of the same number is the one that counts: the value is not where it seems to be.
    twice = [encode_event(plain) + write_varint(2 << 3) + write_varint(9) for _ in range(20)]
    assert exact(at_once(twice, {})[0]) == exact(one_by_one(twice, {}))


def test_a_damaged_record_is_left_to_whoever_says_so() -> None:
    events = [encode_event(Event(time=1.0, step=n, values=(Value(tag="a", simple=1.0),))) for n in range(1, 40)]
    buffer = bytearray(b"".join(map(encode_record, events)))
    framed = walk(bytes(buffer))
    buffer[framed.offsets[7] + 20] ^= 1
    taken = ScalarReader().take(bytes(buffer), framed.offsets, {})
    assert taken.rest == [7]
    assert [part.steps.size for part in taken.columns["a"]] == [38]
