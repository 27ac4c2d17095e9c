"""A version's profile is found again, made of what is new alone, and made anew after an erasure."""

from pathlib import Path
from typing import Any

import polars as pl
import pytest

from charkh.core.errors import Invalid
from charkh.core.events import Draft
from charkh.datasets.add import add_files, add_table
from charkh.datasets.dataset import DatasetVersion
from charkh.datasets.delete import delete
from charkh.datasets.forgotten import ROWS_ERASED_KIND, RowsErased
from charkh.datasets.forgotten_index import PROJECTION as FORGETTING
from charkh.datasets.index import PROJECTION as DATASETS
from charkh.datasets.profile import keep
from charkh.datasets.profile.index import PROJECTION, ProfilesOf, ProfilesOfName
from charkh.datasets.profile.keep import history_of, kept_profile, metrics_before, profile_of
from charkh.datasets.profile.measure import profile_frame
from charkh.datasets.profile.page import profile_page
from charkh.datasets.profile.profile import TableProfile
from charkh.datasets.profile.summary import summaries_of
from charkh.datasets.read import read_table
from charkh.lineage.index import PROJECTION as LINEAGE
from charkh.lineage.index import HeldDigests
from charkh.ports.store import Store
from charkh.testing.projections import assert_order_free, payloads_of
from charkh.testing.stores import memory_store


@pytest.fixture
def store() -> Store:
    return memory_store(PROJECTION, LINEAGE, DATASETS, FORGETTING)


def add(store: Store, folder: Path, number: int, *, append: bool = True) -> DatasetVersion:
    path = folder / f"m{number}.csv"
    lines = "".join(f"{number * 100 + place},{'ab'[place % 2]}{place}\n" for place in range(20))
    path.write_text(f"n,s\n{lines}")
    return add_files(store, "t", [path], append=append)


def whole(store: Store, version: DatasetVersion) -> list[tuple[Any, ...]]:
    return told(profile_frame(read_table(store, version)))


def told(profile: TableProfile) -> list[tuple[Any, ...]]:
    return [(column.name, column.rows, column.histogram, column.distinct, column.texts) for column in profile.columns]


def test_only_the_new_file_of_a_version_is_read(store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    first = add(store, tmp_path, 1)
    profile_of(store, first)
    second = add(store, tmp_path, 2)
    read: list[object] = []
    scan = keep.scan_table

    def counted(*arguments: Any, files: Any = None, **more: Any) -> pl.LazyFrame:
        read.append(files)
        return scan(*arguments, files=files, **more)

    monkeypatch.setattr(keep, "scan_table", counted)
    assert told(profile_of(store, second)) == whole(store, second)
    assert [files for files in read if files] == [["m2.csv"]]
    monkeypatch.setattr(keep, "MAX_PARTS", 1)
    third = add(store, tmp_path, 3)
    read.clear()
    assert told(profile_of(store, third)) == whole(store, third)
    assert read == [["m3.csv"]]
    read.clear()
    assert told(profile_of(store, third)) == whole(store, third)
    assert read == []


def test_a_file_whose_type_changed_is_read_again(store: Store, tmp_path: Path) -> None:
    profile_of(store, add(store, tmp_path, 1))
    path = tmp_path / "x.csv"
    path.write_text("n,s\n1.5,z\n")
    version = add_files(store, "t", [path], append=True)
    profile = profile_of(store, version)
    assert told(profile) == whole(store, version)
    assert profile.columns[0].kind == "number"


def test_profiles_are_held_by_their_version_and_go_with_it(store: Store, tmp_path: Path) -> None:
    version = add(store, tmp_path, 1)
    profile_of(store, version)
    made = store.queries.ask(ProfilesOf(version=version.id))[0].made
    digests = {made.profile.held, made.metrics.held}
    assert made.parts is not None
    assert digests | {made.parts.held} <= set(store.queries.ask(HeldDigests()))
    for payload in payloads_of(store):
        assert b"a18" not in payload
    delete(store, version.ref)
    assert not digests & set(store.queries.ask(HeldDigests()))


def test_after_an_erasure_a_profile_is_made_anew(store: Store, tmp_path: Path) -> None:
    version = add(store, tmp_path, 1)
    profile_of(store, version)
    assert kept_profile(store, version) is not None
    body = RowsErased(forgetting="f", version=version.id, rows=1, files=1)
    store.record(Draft(kind=ROWS_ERASED_KIND, subject=version.subject, body=body))
    assert kept_profile(store, version) is None
    profile_of(store, version)
    assert kept_profile(store, version) is not None


def test_the_history_is_that_of_the_versions_before(store: Store, tmp_path: Path) -> None:
    versions = [add(store, tmp_path, number) for number in (1, 2, 3)]
    for version in (versions[0], versions[2]):
        profile_of(store, version)
    assert [metrics["rows"] for metrics in history_of(store, versions[2], 9)] == [20]
    profile_of(store, versions[1])
    found = metrics_before(store, versions[2], 9)
    assert [(version.id, metrics["rows"]) for version, metrics in found] == [(versions[0].id, 20), (versions[1].id, 40)]
    assert len(history_of(store, versions[2], 1)) == 1
    assert history_of(store, versions[0], 9) == []


def test_what_is_no_table_and_what_is_not_kept(store: Store, tmp_path: Path) -> None:
    path = tmp_path / "a.bin"
    path.write_bytes(b"\0")
    with pytest.raises(Invalid):
        profile_of(store, add_files(store, "files", [path]))
    version = add_table(store, "kept", pl.DataFrame({"a": [1]}))
    profile_of(store, version, keep=False)
    assert kept_profile(store, version) is None


def test_the_catalog_is_a_function_of_the_set_of_events(store: Store, tmp_path: Path) -> None:
    versions = [add(store, tmp_path, number) for number in (1, 2)]
    for version in versions:
        profile_of(store, version)
    queries = [ProfilesOf(version=versions[0].id), ProfilesOfName(name="t")]
    assert_order_free([PROJECTION], payloads_of(store), queries)


def test_a_page_escapes_what_it_shows() -> None:
    frame = pl.DataFrame({"<b>": ["<script>alert(1)</script>"] * 3, "n": [1, 2, 300], "d": [None, None, None]})
    page = profile_page("t & u", 3, summaries_of(profile_frame(frame)))
    assert "<script" not in page
    assert "t &amp; u" in page
    assert page.count("<svg") == 1
