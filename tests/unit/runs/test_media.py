"""What a run shows besides numbers: logged, listed, read while it is written and when it is sealed."""

import io
import json
import logging
import struct
import sys
import wave
import zlib
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from charkh.core.errors import Corrupt, Invalid, NotFound
from charkh.lineage.index import PROJECTION as LINEAGE
from charkh.lineage.index import HeldDigests
from charkh.ports.journal import DataHeader
from charkh.ports.store import Store
from charkh.runs.delete import delete_run
from charkh.runs.held import PROJECTION as HELD
from charkh.runs.held import MediaOf
from charkh.runs.histograms import BINS, encode_histogram
from charkh.runs.index import PROJECTION
from charkh.runs.media import count_media, list_media, one_media, read_media
from charkh.runs.media_log import MAX_ITEM_BYTES, MediaLog
from charkh.runs.pictures import encode_figure, encode_image
from charkh.runs.png import SIGNATURE, encode_png
from charkh.runs.purge import purge_runs
from charkh.runs.seal import seal_ended
from charkh.runs.sealed_media import MediaEntry, encode_media_blob, read_media_index
from charkh.runs.sounds import encode_audio
from charkh.runs.start import start
from charkh.runs.tabulate import MAX_ROWS, encode_table
from charkh.testing.projections import assert_order_free, payloads_of
from charkh.testing.stores import memory_store


@pytest.fixture
def store() -> Store:
    return memory_store(PROJECTION, HELD, LINEAGE)


def test_what_is_logged_is_read_live_and_sealed(store: Store) -> None:
    with start(store) as run:
        run.log_text("samples/first", "one")
        run.log_text("samples/first", "two")
        run.log_text("samples/first", "far", step=40)
        run.log_image("picture", np.zeros((2, 3), np.uint8), step=1)
        live = list_media(store, run.id)
        assert [(each.key, each.step, each.blob) for each in live] == [
            ("picture", 1, None),
            ("samples/first", 0, None),
            ("samples/first", 1, None),
            ("samples/first", 40, None),
        ]
        payloads = [read_media(store, each) for each in live]
    sealed = list_media(store, run.id)
    assert [read_media(store, each) for each in sealed] == payloads
    # What was listed before it was sealed is found where it went.
    assert [read_media(store, each) for each in live] == payloads
    assert all(each.blob is not None for each in sealed)
    assert [(each.key, each.count, each.first_step, each.last_step) for each in count_media(store, run.id)] == [
        ("picture", 1, 1, 1),
        ("samples/first", 3, 0, 40),
    ]
    assert read_media(store, one_media(store, run.id, "samples/first")) == b"far"
    assert read_media(store, one_media(store, run.id, "samples/first", 1)) == b"two"
    with pytest.raises(NotFound, match="nothing under 'other'"):
        one_media(store, run.id, "other")


def test_a_later_attempt_shows_and_the_earlier_is_kept(store: Store) -> None:
    run = start(store)
    for attempt, text in ((1, b"old"), (2, b"new")):
        log = MediaLog(store.journal, run.id, "0")
        log.attempt = attempt
        log.log("key", "text", text, step=3, moment=None, mime="text/plain", details={})
        log.close()
    run.end()
    assert [read_media(store, each) for each in list_media(store, run.id)] == [b"new"]
    assert len(list_media(store, run.id, every_attempt=True)) == 2


def test_only_a_wrong_type_raises(store: Store, caplog: pytest.LogCaptureFixture) -> None:
    run = start(store)
    wrong: list[Any] = [
        lambda: run.log_text("key", 3),  # pyright: ignore[reportArgumentType]
        lambda: run.log_table("key", 3),
        lambda: run.log_table("key", {"a": [1], "b": [1, 2]}),
        lambda: run.log_image("key", object()),
        lambda: run.log_image("key", b"neither"),
        lambda: run.log_image("key", np.zeros((2, 2, 7))),
        lambda: run.log_audio("key", [0.1]),
        lambda: run.log_audio("key", 3, 8000),
        lambda: run.log_histogram("key", ["a"]),
        lambda: run.log_histogram("key", ([1, 2], [0, 1])),
        lambda: run.log_figure("key", 3),
        lambda: run.log_media("key", "film", b""),
        lambda: run.log_media("key", "file", "text"),  # pyright: ignore[reportArgumentType]
        lambda: run.log_media("key", "file", b"", details={"x": object()}),
        lambda: run.log_media("key", "file", b"", details={"x": "y" * 20_000}),
        lambda: run.log_media("", "file", b""),
        lambda: run.log_media("key", "file", b"", step=1 << 63),
    ]
    for place, each in enumerate(wrong):
        try:
            each()
        except Invalid:
            continue
        pytest.fail(f"the {place}th was taken")
    with caplog.at_level(logging.WARNING, "charkh"):
        run.log_image("key", "there/is/no.png")
        run.log_audio("key", Path("neither.wav"))
        run.log_image("key", "no\0file")
        run.log_media("key", "file", bytes(MAX_ITEM_BYTES + 1))
    assert len(caplog.records) == 1
    run.end()
    assert list_media(store, run.id) == ()
    with pytest.raises(Invalid, match="has ended"):
        run.log_text("key", "late")


def test_credentials_are_taken_out(store: Store) -> None:
    secret = "ghp_abcdefghijklmnopqrstuvwxyz0123456789"
    with start(store) as run:
        run.log_text("text", f"token {secret}")
        run.log_table("table", {"cell": [f"key {secret}"], secret: [1]})
    assert all(secret.encode() not in read_media(store, each) for each in list_media(store, run.id))


def test_purging_a_run_lets_go_of_its_media(store: Store) -> None:
    with start(store) as run:
        run.log_text("text", "gone")
    (sealed,) = store.queries.ask(MediaOf(run=run.id))
    assert sealed.blob.held in store.queries.ask(HeldDigests())
    delete_run(store, run.id)
    purge_runs(store)
    assert sealed.blob.held not in store.queries.ask(HeldDigests())


def test_a_segment_of_a_dead_process_is_sealed(store: Store) -> None:
    run = start(store)
    log = MediaLog(store.journal, run.id, "1")
    log.log("key", "text", b"kept", step=None, moment=None, mime="text/plain", details={})
    run.end()
    log.close()
    assert seal_ended(store) == 1
    assert [read_media(store, each) for each in list_media(store, run.id)] == [b"kept"]
    assert seal_ended(store) == 0


def test_folds_do_not_depend_on_order(store: Store) -> None:
    for _ in range(3):
        with start(store) as run:
            run.log_text("text", "one")
            run.listen_to_console()
            sys.stdout.write("line\n")
    assert_order_free([HELD, LINEAGE], payloads_of(store))


items = st.lists(
    st.tuples(
        st.text(min_size=1, max_size=20),
        st.integers(-(1 << 62), 1 << 62),
        st.floats(allow_nan=False),
        st.dictionaries(st.text(max_size=5), st.integers(-100, 100) | st.text(max_size=5), max_size=3),
        st.binary(max_size=200),
    ),
    max_size=12,
)


@given(items)
def test_a_blob_gives_back_what_it_was_made_of(given_items: list[Any]) -> None:
    made = [
        (MediaEntry(key, "file", step, moment, "application/octet-stream", details, place, 0, 0), payload)
        for place, (key, step, moment, details, payload) in enumerate(given_items)
    ]
    blob = encode_media_blob(made)
    placed = read_media_index(lambda start, length: blob[start : start + length])
    assert len(placed.entries) == len(made)
    for entry, (said, payload) in zip(placed.entries, made, strict=True):
        start = placed.begin + entry.offset
        assert blob[start : start + entry.length] == payload
        assert (entry.key, entry.step, entry.time, entry.details) == (said.key, said.step, said.time, said.details)


@given(st.binary(max_size=100))
def test_garbage_is_no_blob(garbage: bytes) -> None:
    for blob in (garbage, b"charkh media 1\n" + garbage):
        with pytest.raises(Corrupt):
            read_media_index(lambda start, length, blob=blob: blob[start : start + length])


def pixels_of(data: bytes) -> np.ndarray[Any, Any]:
    """A small reader of the PNGs that are written here: 8 bits, filter Sub."""
    assert data.startswith(SIGNATURE)
    place, body, header = len(SIGNATURE), b"", b""
    while place < len(data):
        (length,) = struct.unpack_from(">I", data, place)
        kind, content = data[place + 4 : place + 8], data[place + 8 : place + 8 + length]
        assert struct.unpack_from(">I", data, place + 8 + length)[0] == zlib.crc32(kind + content)
        header, body = (content if kind == b"IHDR" else header), body + (content if kind == b"IDAT" else b"")
        place += 12 + length
    width, height, depth, colour = struct.unpack_from(">IIBB", header)
    channels = {0: 1, 4: 2, 2: 3, 6: 4}[colour]
    assert depth == 8
    rows = np.frombuffer(zlib.decompress(body), np.uint8).reshape(height, 1 + width * channels)
    assert (rows[:, 0] == 1).all()
    return np.cumsum(rows[:, 1:].reshape(height, width, channels), axis=1, dtype=np.uint8)


@given(st.integers(1, 9), st.integers(1, 9), st.integers(1, 4), st.binary(min_size=324, max_size=324))
def test_pictures_keep_their_pixels(height: int, width: int, channels: int, noise: bytes) -> None:
    array = np.frombuffer(noise, np.uint8)[: height * width * channels].reshape(height, width, channels)
    picture = encode_png(array)
    assert (picture.width, picture.height, picture.channels) == (width, height, channels)
    assert (pixels_of(picture.data) == array).all()


def test_arrays_of_every_kind_become_pictures() -> None:
    floats = encode_png(np.array([[0.0, 0.5, 1.0, 2.0, -1.0, np.nan, np.inf]]))
    assert pixels_of(floats.data)[0, :, 0].tolist() == [0, 128, 255, 255, 0, 0, 255]
    assert pixels_of(encode_png(np.array([[True, False]])).data)[0, :, 0].tolist() == [255, 0]
    assert pixels_of(encode_png(np.array([[300, -5, 7]])).data)[0, :, 0].tolist() == [255, 0, 7]
    assert encode_png(np.zeros((3, 10, 20)))[1:] == (20, 10, 3)


def test_a_picture_is_read_by_others() -> None:
    image = pytest.importorskip("PIL.Image")
    array = np.arange(60, dtype=np.uint8).reshape(4, 5, 3)
    assert (np.asarray(image.open(io.BytesIO(encode_png(array).data))) == array).all()
    drawn = image.fromarray(array)
    assert (np.asarray(image.open(io.BytesIO(encode_image(drawn).payload))) == array).all()


def test_figures_of_matplotlib() -> None:
    matplotlib = pytest.importorskip("matplotlib.figure")
    figure = matplotlib.Figure(figsize=(1, 1), dpi=50)
    axes = figure.subplots()
    for value in (figure, axes):
        found = encode_figure(value)
        assert found.payload.startswith(SIGNATURE)
        assert found.details == {"width": 50, "height": 50}


def test_bytes_are_kept_as_they_came(tmp_path: Path) -> None:
    png = encode_png(np.zeros((1, 2))).data
    path = tmp_path / "one.png"
    path.write_bytes(png)
    for given_image in (png, bytearray(png), path, str(path)):
        assert encode_image(given_image) == (png, "image/png", {"width": 2, "height": 1})
    assert encode_image(b"\xff\xd8\xff\xe0rest").mime == "image/jpeg"
    assert encode_image(b"RIFF\0\0\0\0WEBPrest").mime == "image/webp"


def test_sounds_are_wav() -> None:
    for samples, channels in (
        ([0.0, 0.5, -0.5, 2.0], 1),
        (np.array([0.0, 0.5, -0.5, 2.0], np.float32), 1),
        (np.array([[0.0, 0.5, -0.5, 2.0] * 5] * 2).T, 2),
        (np.array([[0.0, 0.5, -0.5, 2.0] * 5] * 2), 2),
    ):
        found = encode_audio(samples, 8000)
        with wave.open(io.BytesIO(found.payload)) as file:
            assert (file.getframerate(), file.getnchannels(), file.getsampwidth()) == (8000, channels, 2)
            words = np.frombuffer(file.readframes(4), "<i2").reshape(-1, channels)
        assert words[:, 0].tolist() == [0, 16384, -16384, 32767]
        again = encode_audio(found.payload, 0)
        assert again.payload == found.payload
        assert again.details["rate"] == 8000
    assert encode_audio([1, 70_000], 1).payload[-4:] == struct.pack("<hh", 1, 32767)


@given(st.lists(st.floats(-1e6, 1e6) | st.sampled_from([float("nan"), float("inf")]), max_size=60))
def test_histograms_count_everything_once(values: list[float]) -> None:
    for found in (encode_histogram(values), encode_histogram(np.array(values, np.float64))):
        said = json.loads(found.payload)
        finite = [each for each in values if np.isfinite(each)]
        assert sum(said["counts"]) == len(finite)
        assert len(said["edges"]) == len(said["counts"]) + 1
        assert found.details.get("not_finite", 0) == len(values) - len(finite)
        if finite:
            assert len(said["counts"]) == BINS
            assert said["edges"][0] <= min(finite)
            assert max(finite) <= said["edges"][-1]


def test_given_histograms_stay_as_they_are() -> None:
    found = encode_histogram(([1, 0, 2], np.array([0.0, 1.0, 1.5, 9.0])))
    assert json.loads(found.payload) == {"counts": [1, 0, 2], "edges": [0.0, 1.0, 1.5, 9.0]}


def test_tables_of_every_library_are_alike() -> None:
    columns = {"n": [1, 2], "x": [0.5, None], "t": ["a", "b"]}
    frames: list[Any] = [columns, pl.DataFrame(columns), pl.LazyFrame(columns)]
    frames.append([{"n": 1, "x": 0.5, "t": "a"}, {"n": 2, "t": "b"}])
    frames.append({name: np.array(values, object) for name, values in columns.items()})
    pandas = pytest.importorskip("pandas")
    frames.append(pandas.DataFrame(columns))
    for frame in frames:
        found = encode_table(frame)
        assert json.loads(found.payload) == {"columns": ["n", "x", "t"], "data": [[1, 0.5, "a"], [2, None, "b"]]}
        assert found.details == {"rows": 2, "columns": 3}


def test_long_tables_are_cut_and_say_so() -> None:
    for frame in ({"n": list(range(MAX_ROWS + 5))}, pl.DataFrame({"n": list(range(MAX_ROWS + 5))})):
        found = encode_table(frame)
        assert len(json.loads(found.payload)["data"]) == MAX_ROWS
        assert found.details == {"rows": MAX_ROWS + 5, "columns": 1}


def test_every_kind_is_kept_under_its_header(store: Store) -> None:
    with start(store) as run:
        for kind in ("pr_curve", "embedding", "graph", "mesh", "file"):
            run.log_media(kind, kind, kind.encode(), step=7, time=12.5, mime="x/y", details={"of": [1, None]})
        headers: list[DataHeader] = [each.header for each in store.journal.list_data()]
        assert {each.content for each in headers} == {"points", "media"}
    for item in list_media(store, run.id):
        assert (item.kind, item.step, item.time, item.mime) == (item.key, 7, 12.5, "x/y")
        assert item.details == {"of": [1, None]}
