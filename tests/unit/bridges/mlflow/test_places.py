"""Which folders of this machine an address in somebody's store may mean."""

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from charkh.bridges.mlflow.exporting.names import fits, named_metrics
from charkh.bridges.mlflow.importing.places import FolderFiles, Places, is_foreign, owned_tail
from charkh.runs.points import SeriesName

RUN = "0" * 32


@pytest.mark.parametrize(
    ("location", "tail"),
    [
        (f"file:///data/mlruns/1/{RUN}/artifacts", f"1/{RUN}/artifacts"),
        (f"/data/mlruns/1/{RUN}/artifacts/model", f"1/{RUN}/artifacts/model"),
        (f"mlflow-artifacts:/1/{RUN}/artifacts", f"1/{RUN}/artifacts"),
        (f"s3://bucket/deep/1/{RUN}/artifacts", f"1/{RUN}/artifacts"),
        (f"file:///etc/{RUN}x/artifacts", ""),
        (f"file:///a/{RUN}/artifacts/../../../etc", ""),
        (f"file:///a/{RUN}/artifacts/%2e%2e/x", ""),
        ("file:///etc", ""),
        ("", ""),
    ],
)
def test_only_folders_that_mlflow_makes_for_it(location: str, tail: str) -> None:
    assert owned_tail(location, RUN) == tail
    assert isinstance(Places().files(location, RUN), str) == (
        not tail or "://bucket" in location or "mlflow-" in location
    )


def test_a_moved_store_is_found_below_its_root(tmp_path: Path) -> None:
    folder = tmp_path / "1" / RUN / "artifacts"
    folder.mkdir(parents=True)
    (folder / "a.txt").write_text("a")
    files = Places([tmp_path]).files(f"file:///gone/1/{RUN}/artifacts", RUN)
    assert isinstance(files, FolderFiles)
    assert [each.path for each in files.list()] == ["a.txt"]


def test_foreign_addresses() -> None:
    assert is_foreign("s3://bucket/1")
    assert not is_foreign("mlflow-artifacts:/1")
    assert not is_foreign("/data/1")


@given(st.sets(st.tuples(st.text(max_size=8), st.text(max_size=8)), max_size=6))
def test_metrics_get_keys_that_mlflow_takes_and_tells_apart(names: set[tuple[str, str]]) -> None:
    named = named_metrics({SeriesName(*name) for name in names})
    assert len(set(named.values())) == len(named)
    assert all(fits(key) and not key.startswith("/") and ".." not in key.split("/") for key in named.values())
