"""The wire format: every message is read back equal, and bytes that are none are refused without harm."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from charkh.bridges.tensorboard.events import Event, Metadata, Value, decode_event, encode_event
from charkh.bridges.tensorboard.hparams import (
    SessionEnd,
    SessionStart,
    decode_plain,
    decode_plugin,
    encode_plain,
    end_value,
    start_value,
)
from charkh.bridges.tensorboard.tensors import (
    Audio,
    Histogram,
    Image,
    Tensor,
    decode_audio,
    decode_histogram,
    decode_image,
    decode_tensor,
    encode_audio,
    encode_histogram,
    encode_image,
    encode_numbers,
    encode_strings,
)
from charkh.bridges.tensorboard.wire import fields, write_bytes, write_integer, write_varint
from charkh.core.errors import Corrupt

TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=30)
SINGLE = st.floats(width=32, allow_nan=False)
METADATA = st.builds(
    Metadata,
    plugin=TEXT,
    content=st.binary(max_size=20),
    display_name=TEXT,
    description=TEXT,
    data_class=st.integers(0, 3),
)
VALUES = st.one_of(
    st.builds(Value, tag=TEXT, simple=SINGLE, metadata=st.none() | METADATA),
    st.builds(Value, tag=TEXT, tensor=st.binary(max_size=50), metadata=st.none() | METADATA),
    st.builds(Value, tag=TEXT, image=st.binary(max_size=50)),
    st.builds(Value, tag=TEXT, histogram=st.binary(max_size=50)),
    st.builds(Value, tag=TEXT, audio=st.binary(max_size=50)),
)
EVENTS = st.builds(
    Event,
    time=st.floats(0, 1e11),
    step=st.integers(-(2**63), 2**63 - 1),
    file_version=TEXT,
    graph=st.none() | st.binary(max_size=20),
    meta_graph=st.none() | st.binary(max_size=20),
    run_metadata=st.none() | st.tuples(TEXT, st.binary(max_size=20)),
    values=st.lists(VALUES, max_size=3).map(tuple),
    session=st.none() | st.integers(0, 3),
)


@given(EVENTS)
def test_an_event_is_read_back_equal(event: Event) -> None:
    assert decode_event(encode_event(event)) == event


@given(st.binary(max_size=300))
def test_garbage_is_refused_or_understood_and_nothing_else(data: bytes) -> None:
    for decode in (decode_event, decode_tensor, decode_histogram, decode_image, decode_audio, decode_plugin):
        try:
            decode(data)
        except Corrupt as error:
            assert error.code == "tensorboard.bad_event"


@given(EVENTS, st.data())
def test_a_flipped_bit_is_refused_or_understood_and_nothing_else(event: Event, data: st.DataObject) -> None:
    encoded = bytearray(encode_event(event))
    place = data.draw(st.integers(0, len(encoded) - 1))
    encoded[place] ^= 1 << data.draw(st.integers(0, 7))
    try:
        assert isinstance(decode_event(bytes(encoded)), Event)
    except Corrupt as error:
        assert error.code == "tensorboard.bad_event"


@given(st.lists(st.integers(0, 2**64 - 1), max_size=5))
def test_numbers_are_read_back(numbers: list[int]) -> None:
    encoded = b"".join(write_integer(7, number) for number in numbers)
    assert [value for _, _, value in fields(encoded)] == numbers


def test_unknown_fields_and_groups_are_passed_over() -> None:
    group = write_varint(20 << 3 | 3) + write_integer(1, 5) + write_bytes(2, b"inside") + write_varint(20 << 3 | 4)
    known = encode_event(Event(time=1.0, step=3))
    assert decode_event(group + known + write_bytes(99, b"later")) == Event(time=1.0, step=3)


@pytest.mark.parametrize("data", [b"\x0b", b"\x0b\x14", b"\x0f", b"\x00", b"\x09\x01", b"\xff" * 11, b"\x0a\x05ab"])
def test_broken_messages_are_refused(data: bytes) -> None:
    with pytest.raises(Corrupt):
        list(fields(data))


@given(
    st.sampled_from(["<f4", "<f8"]),
    st.lists(st.integers(0, 4), max_size=3),
    st.floats(width=32, allow_nan=False),
)
def test_tensors_of_numbers(form: str, shape: list[int], number: float) -> None:
    array = np.full(shape, number, form)
    found = decode_tensor(encode_numbers(array))
    assert isinstance(found, np.ndarray)
    assert found.shape == array.shape
    assert found.tobytes() == array.tobytes()


def test_the_last_listed_element_stands_for_the_rest() -> None:
    shape = write_bytes(2, write_bytes(2, write_integer(1, 4)))
    found = decode_tensor(write_integer(1, 3) + shape + write_integer(7, 8) + write_integer(7, 9))
    assert isinstance(found, np.ndarray)
    assert found.tolist() == [8, 9, 9, 9]


def test_a_tensor_that_promises_too_much_is_refused() -> None:
    shape = write_bytes(2, write_bytes(2, write_integer(1, 1 << 40)))
    with pytest.raises(Corrupt):
        decode_tensor(write_integer(1, 1) + shape + write_integer(5, 0))


@given(st.lists(st.binary(max_size=9), max_size=4))
def test_tensors_of_texts(texts: list[bytes]) -> None:
    assert decode_tensor(encode_strings(tuple(texts), (len(texts),))) == Tensor((len(texts),), tuple(texts))


@given(
    st.builds(
        Histogram,
        least=SINGLE,
        greatest=SINGLE,
        number=SINGLE,
        total=SINGLE,
        squares=SINGLE,
        limits=st.just((1.0, 2.0, math.inf)),
        counts=st.just((3.0, 0.0, 1.5)),
    )
)
def test_histograms_images_and_audio(histogram: Histogram) -> None:
    assert decode_histogram(encode_histogram(histogram)) == histogram
    image = Image(height=2, width=3, channels=4, encoded=b"png")
    assert decode_image(encode_image(image)) == image
    audio = Audio(rate=44100.0, channels=2, frames=7, encoded=b"wav", mime="audio/wav")
    assert decode_audio(encode_audio(audio)) == audio


@given(st.dictionaries(TEXT, st.one_of(st.booleans(), st.floats(allow_nan=False), TEXT, st.none()), max_size=4))
def test_params_of_a_session(params: dict[str, object]) -> None:
    metadata = start_value(SessionStart(params=params, group="g", time=5.0)).metadata
    assert metadata is not None
    assert decode_plugin(metadata.content) == SessionStart(params=params, group="g", time=5.0)
    ended = end_value(SessionEnd(status=1, time=9.0)).metadata
    assert ended is not None
    assert decode_plugin(ended.content) == SessionEnd(status=1, time=9.0)


def test_nested_values_of_others_are_read_and_ours_are_text() -> None:
    listed = write_bytes(6, write_bytes(1, encode_plain(1.5)) + write_bytes(1, encode_plain("a")))
    assert decode_plain(listed) == [1.5, "a"]
    entry = write_bytes(1, "key") + write_bytes(2, encode_plain(True))
    assert decode_plain(write_bytes(5, write_bytes(1, entry))) == {"key": True}
    assert decode_plain(encode_plain([1, 2])) == "[1, 2]"
