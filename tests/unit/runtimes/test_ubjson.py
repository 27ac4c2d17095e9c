"""UBJSON as XGBoost writes it says what its JSON says, and no other bytes are taken for it."""

from typing import Any

import msgspec
import numpy as np
import pytest
import xgboost
from hypothesis import given
from hypothesis import strategies as st

from charkh.core.errors import Invalid
from charkh.runtimes.ubjson import decode

RNG = np.random.default_rng(0)
ROWS = RNG.normal(size=(100, 3))


def booster(objective: str, **more: Any) -> Any:
    labels = RNG.integers(0, 3, 100) if "multi" in objective else (ROWS[:, 0] > 0).astype(int)
    data = xgboost.DMatrix(ROWS, labels, feature_names=["a", "b ü", "c"])
    return xgboost.train({"objective": objective, "nthread": 1, **more}, data, 3)


@pytest.mark.parametrize(
    ("objective", "more"),
    [
        ("binary:logistic", {}),
        ("multi:softprob", {"num_class": 3}),
        ("reg:squarederror", {"booster": "dart"}),
        ("reg:squarederror", {"booster": "gblinear"}),
    ],
)
def test_it_says_what_the_json_says(objective: str, more: dict[str, Any]) -> None:
    trained = booster(objective, **more)
    document = decode(bytes(trained.save_raw("ubj")))
    again: Any = xgboost.Booster()
    again.load_model(bytearray(msgspec.json.encode(document)))
    asked = xgboost.DMatrix(ROWS, feature_names=["a", "b ü", "c"])
    assert np.array_equal(again.predict(asked), trained.predict(asked))


@given(st.binary(max_size=200))
def test_garbage_is_refused(data: bytes) -> None:
    try:
        decode(data)
    except Invalid as error:
        assert error.code == "model.bad_ubjson"


@given(st.integers(0, 3000), st.binary(min_size=1, max_size=8))
def test_a_broken_model_is_refused_or_another_one(place: int, piece: bytes) -> None:
    whole = RAW[:place] + piece + RAW[place + len(piece) :]
    try:
        assert isinstance(decode(whole), dict)
    except Invalid as error:
        assert error.code == "model.bad_ubjson"
    with pytest.raises(Invalid):
        decode(RAW[: place % len(RAW)])


RAW = bytes(booster("binary:logistic").save_raw("ubj"))


@pytest.mark.parametrize(
    "data", [b"[" * 10_000, b"[$d#L\x7f" + b"\xff" * 7, b"[#l\x7f\xff\xff\xff", b"SL" + b"\x7f" * 8, b"Ti"]
)
def test_what_claims_too_much_is_refused(data: bytes) -> None:
    with pytest.raises(Invalid):
        decode(data)
