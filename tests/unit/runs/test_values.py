"""Params and tags as they may stand in a fact."""

import math
from collections import OrderedDict
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from types import MappingProxyType
from typing import Any

import msgspec
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from charkh.core.errors import Invalid
from charkh.runs.run import from_json_text, json_text
from charkh.runs.values import plain_params, plain_tags

NAMES = st.text("abcdefgh_", min_size=1, max_size=8)
LEAVES = st.none() | st.booleans() | st.integers() | st.floats() | st.text("abc \ud800é", max_size=20)
PARAMS = st.dictionaries(NAMES, st.recursive(LEAVES, lambda inner: st.lists(inner, max_size=3), max_leaves=6))


@given(PARAMS)
def test_every_json_value_can_stand_in_a_fact(params: dict[str, Any]) -> None:
    plain = plain_params(params)
    assert plain.values.keys() | plain.large.keys() == params.keys()
    again = msgspec.msgpack.decode(msgspec.msgpack.encode(plain.values))
    for name, value in params.items():
        sound = json_text(value).encode("utf-8", "replace").decode()
        kept = plain.large[name].decode() if name in plain.large else json_text(again[name])
        assert kept == sound


def test_nested_params_are_named_by_dots() -> None:
    plain = plain_params({"opt": {"name": "adam", "decay": {"rate": 0.1}}, "empty": {}, "seeds": [1, 2]})
    assert plain.values == {"opt.name": "adam", "opt.decay.rate": 0.1, "empty": {}, "seeds": [1, 2]}


@dataclass
class Schedule:
    warm: int
    rate: float


def test_what_programs_hold_is_taken() -> None:
    plain = plain_params(
        {
            "schedule": Schedule(3, 0.5),
            "array": np.array([1.0, math.nan]),
            "scalar": np.float32(0.5),
            "path": Path("/data"),
            "range": range(3),
            "set": {7},
            "time": datetime(2026, 1, 31, tzinfo=UTC),
            "view": MappingProxyType({"a": 1}),
            "ordered": OrderedDict(b=2),
        }
    )
    assert json_text(plain.values["array"]) == "[1.0,NaN]"
    del plain.values["array"]
    assert plain.values == {
        "schedule.warm": 3,
        "schedule.rate": 0.5,
        "scalar": 0.5,
        "path": "/data",
        "range": [0, 1, 2],
        "set": [7],
        "time": "2026-01-31T00:00:00Z",
        "view.a": 1,
        "ordered.b": 2,
    }


def test_long_and_giant_values_are_bytes() -> None:
    plain = plain_params({"text": "a" * 2000, "giant": 10**50, "short": 1})
    assert plain.values == {"short": 1}
    assert from_json_text(plain.large["text"].decode()) == "a" * 2000
    assert from_json_text(plain.large["giant"].decode()) == 10**50


@pytest.mark.parametrize("value", [object(), len, 1j])
def test_what_has_no_json_form_is_refused(value: Any) -> None:
    with pytest.raises(Invalid, match="'x'"):
        plain_params({"x": value})


def test_endless_nesting_is_refused() -> None:
    endless: dict[str, Any] = {}
    endless["a"] = endless
    with pytest.raises(Invalid):
        plain_params({"x": endless})
    deep: Any = 1
    for _ in range(60):
        deep = {"a": deep}
    with pytest.raises(Invalid, match="nested more than"):
        plain_params({"x": deep})


def test_tags_are_texts() -> None:
    assert plain_tags({"stage": "draft", "gone": None, "seed": 3}) == {"stage": "draft", "gone": None, "seed": "3"}  # pyright: ignore[reportArgumentType]
    with pytest.raises(Invalid, match="more than"):
        plain_tags({"note": "x" * 1001})
    with pytest.raises(Invalid, match="name of a tag"):
        plain_tags({"": "x"})


def test_credentials_stay_out() -> None:
    secret = "hunter2hunter2"
    params = {"db": {"password": secret, "url": f"postgresql://ann:{secret}@host/db"}, "api_key": [secret]}
    assert secret not in json_text(plain_params(params).values)
    assert secret not in json_text(plain_tags({"token": secret, "how": f"--password {secret}"}))
    assert plain_params({"max_tokens": 512, "tokenizer": "bpe"}).values == {"max_tokens": 512, "tokenizer": "bpe"}
