"""Bootstrap samples of what a training is given."""

from typing import Any

import numpy as np
import polars as pl
from hypothesis import given
from hypothesis import strategies as st

from charkh.datasets.split import Part, Split
from charkh.datasets.table import Table
from charkh.workspace.resampling import resample


def frame(rows: int) -> pl.DataFrame:
    return pl.DataFrame({"x": np.arange(rows), "y": np.arange(rows) * 10})


def drawn(**arguments: Any) -> dict[str, Any]:
    found = resample(arguments, np.random.default_rng(1))
    assert found is not None
    return found


@given(st.integers(2, 200), st.integers(0, 1000))
def test_as_many_rows_are_drawn_with_replacement_and_inputs_stay_with_their_targets(rows: int, seed: int) -> None:
    given_ = {"X": frame(rows), "y": frame(rows)["y"], "w": np.arange(rows), "pair": (frame(rows), [np.arange(rows)])}
    found = resample(given_, np.random.default_rng(seed))
    assert found is not None
    assert found["X"].height == rows
    assert set(found["X"]["x"]) <= set(range(rows))
    assert (found["X"]["x"] * 10).equals(found["y"], null_equal=True)
    assert found["w"].tolist() == found["X"]["x"].to_list()
    assert found["pair"][0].equals(found["X"])
    assert found["pair"][1][0].tolist() == found["w"].tolist()
    assert given_["X"].equals(frame(rows))


def test_of_a_split_only_what_is_learned_from_is_drawn() -> None:
    split = Split(Part(frame(50), ("x",), "y"), Part(frame(20), ("x",), "y"), "y", "", ("dataset:ab",))
    found = drawn(data=split)["data"]
    assert len(found.train) == 50
    assert found.train.X["x"].n_unique() < 50
    assert found.test is split.test
    assert found.origins == split.origins


def test_what_has_fewer_rows_is_no_training_data() -> None:
    given_ = {"train": frame(40), "test": frame(39), "weights": np.array([0.1, 0.9]), "rate": 0.1, "names": ["a", "b"]}
    found = drawn(**given_)
    assert not found["train"].equals(given_["train"])
    assert all(found[name] is given_[name] for name in ("test", "weights", "rate"))
    assert found["names"] == ["a", "b"]


def test_a_table_keeps_what_it_was_made_from() -> None:
    found = drawn(data=Table(frame(30), ("dataset:ab",)))["data"]
    assert isinstance(found, Table)
    assert (len(found), found.origins) == (30, ("dataset:ab",))


def test_without_rows_there_is_nothing_to_draw() -> None:
    assert resample({"rate": 0.1, "one": frame(1), "number": np.array(3)}, np.random.default_rng(1)) is None
