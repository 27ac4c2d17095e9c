"""Values taken apart and put together again, their digests, and the codecs of leaves."""

import dataclasses
import datetime
import decimal
import enum
import math
import pathlib
import sys
import uuid
from collections.abc import Mapping
from typing import Any, NamedTuple

import msgspec
import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from charkh.core.errors import Corrupt, Invalid
from charkh.core.params import Params
from charkh.datasets.split import Part, Split
from charkh.datasets.table import Table
from charkh.pipelines.cache import Cache
from charkh.pipelines.codecs import BUILT_IN, ArrayCodec, FrameCodec
from charkh.pipelines.digests import Digests, own_copy
from charkh.pipelines.index import PROJECTION
from charkh.pipelines.values import put_together, take_apart
from charkh.testing.stores import memory_store


class Colour(enum.Enum):
    RED = "red"
    BLUE = 2


class Choice(Params):
    rate: float = 0.1
    names: list[str] = []  # noqa: RUF012


class Pair(NamedTuple):
    left: Any
    right: Any = None


@dataclasses.dataclass(frozen=True, slots=True)
class Point:
    x: Any
    y: Any = 0


@dataclasses.dataclass
class Computed:
    """A dataclass whose `__init__` takes something else than its fields."""

    text: str
    size: int = dataclasses.field(init=False)

    def __post_init__(self) -> None:
        self.text = self.text.upper()
        self.size = len(self.text)


class Record(msgspec.Struct, frozen=True):
    value: Any
    tags: tuple[str, ...] = ()


class Foreign:
    """What only its own codec can keep."""

    def __init__(self, text: str) -> None:
        self.text = text
        self.origins = ("dataset:1",)


class ForeignCodec:
    name = "foreign/1"

    def accepts(self, value: object) -> bool:
        return isinstance(value, Foreign)

    def encode(self, value: Foreign) -> Mapping[str, bytes]:
        return {"part/text.txt": value.text.encode(), "empty": b""}

    def decode(self, files: Mapping[str, bytes]) -> Foreign:
        return Foreign(files["part/text.txt"].decode())


@pytest.fixture(autouse=True)
def _loaded(monkeypatch: pytest.MonkeyPatch) -> None:
    """The classes of this file can be found by name, as those of a program can."""
    monkeypatch.setitem(sys.modules, __name__, sys.modules.get(__name__) or _this_module())


def _this_module() -> Any:
    module = type(sys)(__name__)
    module.__dict__.update(globals())
    return module


def new_cache(*codecs: Any) -> Cache:
    return Cache(memory_store(PROJECTION), Digests(codecs), pathlib.Path())


def through(value: Any, *codecs: Any) -> Any:
    """What comes back of a value that was stored, read back in another process."""
    cache = new_cache(*codecs)
    kept = cache.keep(value)
    loaded, digests = cache._load(kept.tree)
    assert digests == kept.digests
    assert digests[0] == Digests(codecs).digest(value)
    assert same(loaded, kept.value)
    return loaded


def same(left: Any, right: Any) -> bool:
    """Equal, of one type, NaN equal to itself."""
    if type(left) is not type(right):
        return False
    if isinstance(left, float):
        return (math.isnan(left) and math.isnan(right)) or (left, math.copysign(1, left)) == (
            right,
            math.copysign(1, right),
        )
    if isinstance(left, pl.DataFrame):
        return left.schema == right.schema and left.equals(right)
    if isinstance(left, pl.Series):
        return left.dtype == right.dtype and left.name == right.name and left.equals(right, null_equal=True)
    if isinstance(left, Table | Split | Part):
        return all(same(getattr(left, each.name), getattr(right, each.name)) for each in dataclasses.fields(left))
    if isinstance(left, Foreign):
        return left.text == right.text
    if isinstance(left, np.ndarray):
        return left.dtype == right.dtype and left.shape == right.shape and left.tobytes() == right.tobytes()
    if isinstance(left, dict):
        return list(left) == list(right) and all(same(left[key], right[key]) for key in left)
    if isinstance(left, list | tuple):
        return len(left) == len(right) and all(map(same, left, right))
    return bool(left == right)


SCALARS = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-(2**70), 2**70),
    st.floats(),
    st.text(),
    st.binary(max_size=20),
    st.datetimes(timezones=st.none() | st.just(datetime.UTC)),
    st.dates(),
    st.times(),
    st.timedeltas(),
    st.decimals(allow_nan=False),
    st.uuids(),
    st.sampled_from(Colour),
    st.builds(Choice, rate=st.floats(0, 1), names=st.lists(st.text(), max_size=2)),
    st.just(pathlib.Path("a/b")),
)
VALUES = st.recursive(
    SCALARS,
    lambda inner: st.one_of(
        st.lists(inner, max_size=3),
        st.lists(inner, max_size=3).map(tuple),
        st.dictionaries(st.text() | st.integers(), inner, max_size=3),
        st.sets(st.integers() | st.text(), max_size=3),
        st.frozensets(st.booleans() | st.floats(allow_nan=False), max_size=3),
        st.builds(Pair, inner, inner),
        st.builds(Point, inner, inner),
        st.builds(Record, inner, st.lists(st.text(), max_size=2).map(tuple)),
    ),
    max_leaves=8,
)
ARRAYS = st.tuples(
    st.sampled_from(["f4", "f8", "i8", "u1", "?", "U3", "M8[s]", "c16"]), st.lists(st.integers(0, 3), max_size=3)
).map(lambda pair: np.zeros(tuple(pair[1]), dtype=pair[0]))


@settings(max_examples=300)
@given(VALUES)
def test_every_value_comes_back(value: Any) -> None:
    assert same(through(value), value)


@given(VALUES, VALUES)
def test_digests_are_equal_exactly_for_equal_values(left: Any, right: Any) -> None:
    digests = Digests()
    assert (digests.digest(left) == digests.digest(right)) == same(left, right)
    assert digests.digest([left]) == Digests().digest([left])


@given(ARRAYS)
def test_arrays_come_back(array: Any) -> None:
    assert same(through([array, array.T])[1], np.asarray(array.T))


@pytest.mark.parametrize(
    "frame",
    [
        pl.DataFrame(),
        pl.DataFrame({"a": pl.Series([], dtype=pl.Int8)}),
        pl.DataFrame({"a": [1, None], "b": ["x", ""], "c": [math.nan, None]}),
        pl.DataFrame({"d": [datetime.date(2013, 1, 1)], "t": [datetime.datetime(2013, 1, 1, tzinfo=datetime.UTC)]}),
        pl.DataFrame(
            {"e": pl.Series(["x", "y"], dtype=pl.Enum(["x", "y"])), "l": [[1], []], "s": [{"a": 1}, {"a": 2}]}
        ),
        pl.DataFrame({"n": [decimal.Decimal("1.5")], "b": [b"\x00"], "u": [[uuid.UUID(int=3).hex]]}),
    ],
    ids=range(6),
)
def test_frames_come_back(frame: pl.DataFrame) -> None:
    assert same(through(frame), frame)
    assert all(same(through(column), column) for column in frame)


def test_how_a_frame_is_cut_in_memory_does_not_show() -> None:
    whole = pl.DataFrame({"a": range(10)})
    pieces = pl.concat([whole[:3], whole[3:]], rechunk=False)
    assert pieces.n_chunks() == 2
    assert Digests().digest(whole) == Digests().digest(pieces)


def test_tables_and_splits_come_back_with_their_origins() -> None:
    frame = pl.DataFrame({"x": [1, 2, 3], "late": [0, 1, 0]})
    part = Part(frame, ("x",), "late")
    split = Split(part, part, "late", "", ("dataset:7",))
    loaded = through({"split": split, "table": Table(frame, ("dataset:8", "recipe:9"))})
    assert loaded["split"].train.X.equals(frame.select("x"))
    assert loaded["split"].origins == ("dataset:7",)
    assert loaded["table"].frame.equals(frame)
    assert take_apart([split, Table(frame, ("dataset:8",))], BUILT_IN).origins == ("dataset:7", "dataset:8")


def test_a_dataclass_comes_back_as_it_was_and_not_as_it_is_made() -> None:
    value = Computed("abc")
    value.text = "as it is"
    loaded = through(value)
    assert (loaded.text, loaded.size) == ("as it is", 3)


def test_scalars_of_numpy_come_back_as_pythons() -> None:
    loaded = through([np.float64(0.5), np.int32(3), np.bool_(True), np.str_("x")])
    assert loaded == [0.5, 3, True, "x"]
    assert [type(item) for item in loaded] == [float, int, bool, str]


def test_foreign_codecs_are_asked_first() -> None:
    loaded = through([Foreign("a"), 1], ForeignCodec())
    assert loaded[0].text == "a"
    apart = take_apart(Foreign("a"), [ForeignCodec()])
    assert apart.form == ["leaf", 0]
    assert apart.origins == ("dataset:1",)
    with_codec = new_cache(ForeignCodec())
    kept = with_codec.keep(Foreign("a"))
    assert kept.tree.files == 3
    without = Cache(with_codec._store, Digests(), pathlib.Path())
    with pytest.raises(Invalid, match="foreign/1"):
        without._load(kept.tree)


class Sub(dict[str, int]):
    pass


def circle() -> list[Any]:
    value: list[Any] = []
    value.append(value)
    return value


@pytest.mark.parametrize(
    "value",
    [
        object(),
        Sub(a=1),
        lambda: 1,
        circle(),
        np.array([object()]),
        np.ma.masked_array([1]),
        pl.LazyFrame({"a": [1]}),
        pl.DataFrame({"o": pl.Series([object()], dtype=pl.Object)}),
        "\ud800",
        (number for number in range(3)),
        Foreign("a"),
        dataclasses.make_dataclass("Local", ["x"], namespace={"__qualname__": "f.<locals>.Local"})(1),
    ],
    ids=lambda value: type(value).__name__,
)
def test_what_cannot_be_kept_says_what_to_do(value: Any) -> None:
    with pytest.raises(Invalid) as refused:
        new_cache().keep([value])
    assert refused.value.code == "pipeline.not_kept"
    assert refused.value.hint


@pytest.mark.parametrize(
    "form",
    [
        ["object", "os:DirEntry", []],
        ["object", "no_such_module:Thing", []],
        ["object", "subprocess:Popen", [["args", ["json", ["true"]]]]],
        ["enum", "http:HTTPStatus", "OK"],
        ["object", "charkh.core.params:no_such", []],
    ],
)
def test_a_stored_value_cannot_name_any_class(form: Any) -> None:
    with pytest.raises(Invalid, match="not loaded"):
        put_together(form, [])


@pytest.mark.parametrize(
    "form",
    [["leaf", 3], ["what", 1], [], 3, ["list", 3], ["date", "x"], ["object", "charkh.core.errors:Invalid", []]],
    ids=str,
)
def test_a_form_that_is_none_is_corrupt(form: Any) -> None:
    with pytest.raises(Corrupt):
        put_together(form, [])


@given(st.binary(max_size=60))
def test_bytes_that_are_no_value_are_corrupt(data: bytes) -> None:
    for codec in (ArrayCodec(), FrameCodec()):
        for garbage in (data, codec.encode(_sample(codec))["value"][: len(data)] + data):
            with pytest.raises(Corrupt):
                codec.decode({"value": garbage})


def _sample(codec: Any) -> Any:
    return np.arange(3) if isinstance(codec, ArrayCodec) else pl.DataFrame({"a": [1]})


def test_a_copy_is_the_receivers_own() -> None:
    frame, array, items = pl.DataFrame({"a": [1]}), np.zeros(2), [1, {"a": [2]}]
    value = {"frame": frame, "array": array, "items": items, "foreign": Foreign("x")}
    copied = own_copy(Digests([ForeignCodec()]).take_apart(value))
    copied["frame"].insert_column(0, pl.Series("b", [1]))
    copied["array"][0] = 9
    copied["items"][1]["a"].append(3)
    assert (frame.columns, array[0], items) == (["a"], 0, [1, {"a": [2]}])


def test_a_frame_changed_in_place_has_another_digest() -> None:
    digests = Digests()
    frame, series = pl.DataFrame({"a": [1, 2]}), pl.Series("s", [1, 2])
    before = digests.digest(frame), digests.digest(series)
    assert (digests.digest(frame), digests.digest(series)) == before
    frame[0, "a"] = 5
    series[0] = 5
    assert digests.digest(frame) != before[0]
    assert digests.digest(series) != before[1]
    series[0] = 1
    assert digests.digest(series) == before[1]
    frame[0, "a"] = 1
    frame.insert_column(1, pl.Series("b", [1, 1]))
    assert digests.digest(frame) != before[0]
    renamed = pl.DataFrame({"a": [1, 2]})
    assert digests.digest(renamed) == before[0]
    renamed.columns = ["z"]
    assert digests.digest(renamed) != before[0]


def test_a_frame_is_encoded_once(monkeypatch: pytest.MonkeyPatch) -> None:
    encoded: list[Any] = []
    plain = FrameCodec.encode

    def encode(self: Any, value: Any) -> Any:
        encoded.append(value)
        return plain(self, value)

    monkeypatch.setattr(FrameCodec, "encode", encode)
    digests, frame = Digests(), pl.DataFrame({"a": [1.0, math.nan, None]})
    for _ in range(3):
        digests.digest({"x": frame})
    assert len(encoded) == 1
    for number in range(100):
        digests.digest(pl.DataFrame({"a": [number]}))
    assert len(digests._frames) == 64
