"""Params: typed, immutable, overridable by flags, and searchable."""

import copy
import enum
import pickle
from typing import Any, Literal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from charkh.core.canon import canonical_json
from charkh.core.dimensions import search
from charkh.core.errors import Invalid
from charkh.core.params import Params, from_values, override, space_of, values_of, with_values


class Kind(enum.Enum):
    GBDT = "gbdt"
    DART = "dart"


class Train(Params):
    rate: float = search(0.1, low=1e-3, high=0.3, log=True)
    leaves: int = search(31, low=7, high=127)
    kind: Kind = search(Kind.GBDT, choices=[Kind.GBDT, Kind.DART])


class Flights(Params):
    months: int
    target: str = "late"
    balanced: bool = search(False)
    drop: list[str] = ["year"]  # noqa: RUF012 - each instance has its own
    cap: int | None = None
    loss: Literal["log", "exp"] = "log"
    train: Train = Train()


def test_defaults_and_values() -> None:
    params = Flights(months=3)
    assert params.train.rate == 0.1
    assert Train.rate == 0.1
    assert values_of(params) == {
        "months": 3,
        "target": "late",
        "balanced": False,
        "drop": ["year"],
        "cap": None,
        "loss": "log",
        "train": {"rate": 0.1, "leaves": 31, "kind": "gbdt"},
    }


def test_values_are_converted_only_where_nothing_is_lost() -> None:
    assert isinstance(Train(rate=0).rate, float)
    assert Flights(months=1, train={"leaves": 9}).train == Train(leaves=9)  # type: ignore[arg-type]
    for wrong in ({"rate": "0.1"}, {"leaves": 3.5}, {"leaves": True}, {"rate": float("nan")}, {"kind": "tree"}):
        with pytest.raises(Invalid, match=next(iter(wrong))):
            Train(**wrong)  # type: ignore[arg-type]


def test_params_do_not_change_and_compare_by_value() -> None:
    params = Train(rate=0.2)
    with pytest.raises(AttributeError, match="do not change"):
        params.rate = 0.3  # type: ignore[misc]
    with pytest.raises(AttributeError):
        del params.rate
    assert params == Train(rate=0.2) != Train()
    assert len({params, Train(rate=0.2), Train()}) == 2
    assert copy.deepcopy(params) == pickle.loads(pickle.dumps(params)) == params


def test_errors_name_the_nearest_field() -> None:
    with pytest.raises(Invalid) as wrong:
        Train(rat=0.1)  # type: ignore[call-arg]
    assert "'rate'" in wrong.value.hint
    with pytest.raises(Invalid) as wrong:
        override(Flights(months=1), ["train.lefes=3"])
    assert "'train.leaves'" in wrong.value.hint
    with pytest.raises(Invalid, match="months"):
        Flights()  # type: ignore[call-arg]


@pytest.mark.parametrize(
    ("text", "path", "value"),
    [
        ("train.rate=0.05", "train.rate", 0.05),
        ("train.rate=1e-3", "train.rate", 0.001),
        ("train.kind=dart", "train.kind", Kind.DART),
        ("months=12", "months", 12),
        ("balanced=true", "balanced", True),
        ("balanced=yes", "balanced", True),
        ("balanced=0", "balanced", False),
        ("target=a=b", "target", "a=b"),
        ("target=3", "target", "3"),
        ('drop=["a","b"]', "drop", ["a", "b"]),
        ("cap=7", "cap", 7),
        ("cap=null", "cap", None),
        ("loss=exp", "loss", "exp"),
    ],
)
def test_flags_are_read_by_the_type_of_the_field(text: str, path: str, value: object) -> None:
    params: Any = override(Flights(months=1, cap=3), [text])
    for name in path.split("."):
        params = getattr(params, name)
    assert params == value
    assert type(params) is type(value)


@pytest.mark.parametrize(
    "text", ["months=three", "train=3", "months", "=3", "loss=hinge", "months.x=3", "train.rate=inf"]
)
def test_flags_that_cannot_be_read(text: str) -> None:
    with pytest.raises(Invalid):
        override(Flights, ["months=1", text])


def test_flags_give_what_has_no_default() -> None:
    params = override(Flights, ["months=2", "train.rate=0.2", "train.leaves=9"])
    assert params == Flights(months=2, train=Train(rate=0.2, leaves=9))


def test_a_space_has_what_may_be_searched() -> None:
    space = space_of(Flights(months=1, train=Train(leaves=64)))
    assert sorted(space) == ["balanced", "train.kind", "train.leaves", "train.rate"]
    assert space["balanced"].choices == (False, True)
    assert space["train.kind"].choices == ("gbdt", "dart")
    assert space["train.leaves"].integral
    assert space["train.leaves"].default == 64
    assert not space["train.rate"].integral
    assert space["train.rate"].log
    assert with_values(Flights(months=1), {"train.kind": "dart"}).train.kind is Kind.DART


def test_the_bounds_of_a_float_are_floats() -> None:
    class Share(Params):
        share: float = search(0.5, low=0, high=1)

    assert not space_of(Share)["share"].integral
    with pytest.raises(Invalid, match="outside"):
        space_of(Share(share=2.0))


def test_a_subclass_may_replace_a_search_by_a_value() -> None:
    class Fixed(Train):
        rate: float = 0.2

    class Moved(Train):
        rate = 0.2

    assert "rate" not in space_of(Fixed)
    assert space_of(Moved)["rate"].default == 0.2
    assert Fixed().leaves == 31


@pytest.mark.parametrize(
    "arguments",
    [
        {},
        {"low": 1, "high": 0},
        {"low": 0.2, "high": 1},
        {"low": 0, "high": 1, "log": True},
        {"low": 0, "high": 1, "step": -1},
        {"low": 0.01, "high": 1, "step": 0.1, "log": True},
        {"choices": [1, 2]},
        {"choices": [0.1], "low": 0, "high": 1},
        {"low": 0, "high": float("inf")},
    ],
)
def test_a_search_that_makes_no_sense_is_refused(arguments: dict[str, Any]) -> None:
    with pytest.raises(Invalid):
        search(0.1, **arguments)


def test_bounds_that_the_type_cannot_take_are_refused() -> None:
    class Wrong(Params):
        leaves: int = search(3, low=0.5, high=7)

    with pytest.raises(Invalid, match="low"):
        Wrong()


FLIGHTS = st.builds(
    Flights,
    months=st.integers(-(2**60), 2**60),
    target=st.text(),
    balanced=st.booleans(),
    drop=st.lists(st.text(), max_size=3),
    cap=st.none() | st.integers(-5, 5),
    loss=st.sampled_from(["log", "exp"]),
    train=st.builds(Train, rate=st.floats(allow_nan=False, allow_infinity=False), kind=st.sampled_from(Kind)),
)


@given(FLIGHTS)
def test_values_give_the_params_back(params: Flights) -> None:
    values = values_of(params)
    assert from_values(Flights, values) == params
    assert canonical_json(values_of(from_values(Flights, values))) == canonical_json(values)


@given(FLIGHTS)
def test_flags_say_every_number_and_text(params: Flights) -> None:
    texts = [
        f"months={params.months}",
        f"train.rate={params.train.rate!r}",
        f"train.kind={params.train.kind.value}",
        f"balanced={str(params.balanced).lower()}",
        f"cap={'null' if params.cap is None else params.cap}",
    ]
    seen = override(Flights, texts)
    assert (seen.months, seen.balanced, seen.cap) == (params.months, params.balanced, params.cap)
    assert (seen.train.rate, seen.train.kind) == (params.train.rate, params.train.kind)


def test_a_default_list_is_each_instances_own() -> None:
    first = Flights(months=1)
    first.drop.append("month")
    assert Flights(months=1).drop == ["year"]
