"""Differences of tables that are cut into parts: what the whole tables say, and nothing left on disk."""

import gc
import os
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from hypothesis import given, settings
from tests.unit.datasets.test_row_diff import ROWS, counted, frame

from charkh.core.errors import Invalid
from charkh.datasets.external_diff import diff_scans, memory_limit
from charkh.datasets.row_diff import diff_rows
from charkh.datasets.schema_diff import RenamedColumn


@settings(max_examples=30)
@given(ROWS, ROWS)
def test_keyless_is_that_of_the_whole(
    tmp_path_factory: pytest.TempPathFactory, old: list[dict[str, Any]], new: list[dict[str, Any]]
) -> None:
    before, after = frame(old), frame(new)
    parted = diff_scans(before.lazy(), after.lazy(), scratch=tmp_path_factory.mktemp("x"), parts=4)
    whole = diff_rows(before, after)
    assert counted(parted.added.collect()) == counted(whole.added)
    assert counted(parted.removed.collect()) == counted(whole.removed)
    assert (parted.unchanged, parted.same) == (whole.unchanged, whole.same)


@settings(max_examples=30)
@given(ROWS, ROWS)
def test_keyed_is_that_of_the_whole(
    tmp_path_factory: pytest.TempPathFactory, old: list[dict[str, Any]], new: list[dict[str, Any]]
) -> None:
    before, after = (frame(rows).unique(["f", "s"], maintain_order=True) for rows in (old, new))
    parted = diff_scans(before.lazy(), after.lazy(), key=["f", "s"], scratch=tmp_path_factory.mktemp("x"), parts=3)
    whole = diff_rows(before, after, key=["f", "s"])
    assert counted(parted.added.collect()) == counted(whole.added)
    assert parted.added.collect().equals(whole.added), "in the order of the table"
    assert parted.removed.collect().equals(whole.removed)
    assert counted(parted.changed_cells().collect()) == counted(whole.changed_cells())
    said = parted.summary()
    assert (said.changed, said.cells, said.unchanged) == (whole.old.height, whole.cells, whole.unchanged)


def test_nothing_is_left_on_disk(tmp_path: Path) -> None:
    old = tmp_path / "diff-left"
    old.mkdir()
    os.utime(old, (0, 0))
    table = pl.LazyFrame({"a": [1, 2, 3]})
    found = diff_scans(table, table.head(2), key=["a"], scratch=tmp_path, parts=2)
    assert len(list(tmp_path.iterdir())) == 1
    assert found.removed.collect()["a"].to_list() == [3]
    del found
    gc.collect()
    assert not list(tmp_path.iterdir())
    with pytest.raises(Invalid, match="share their key"):
        diff_scans(pl.concat([table, table]), table, key=["a"], scratch=tmp_path, parts=2)
    gc.collect()
    assert not list(tmp_path.iterdir())


def test_columns_and_names_that_differ(tmp_path: Path) -> None:
    old = pl.LazyFrame({"a": [1, 2], "b": ["x", "y"]})
    new = pl.LazyFrame({"a": [1.0, 2.0, 3.0], "c": ["x", "y", "z"]})
    found = diff_scans(old, new, key=["a"], scratch=tmp_path, parts=2)
    assert found.schema.renamed == (RenamedColumn(old="b", new="c"),)
    assert found.added.collect().rows() == [(3.0, "z")]
    apart = diff_scans(old.select("a"), new.select("c"), scratch=tmp_path, parts=2)
    assert (apart.counts["added"], apart.counts["removed"], apart.unchanged) == (3, 2, 0)
    empty = diff_scans(old, old.limit(0), scratch=tmp_path, parts=2)
    assert (empty.counts["removed"], empty.same) == (2, False)
    with pytest.raises(Invalid, match="no column 'q'"):
        diff_scans(old, new, key=["q"], scratch=tmp_path, parts=2)


def test_the_limit_is_a_part_of_the_memory() -> None:
    assert 0 < memory_limit() <= os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") // 8
