"""What is known of unchanged files, what is not trusted, and a cache that may be lost or damaged."""

import os
import sqlite3
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from charkh.core.files import FileRef
from charkh.datasets import cache_database, stat_cache
from charkh.datasets.stat_cache import COARSE, FINE, SECOND, Known, Learnt, StatCache, is_racy
from charkh.datasets.walk import LocalFile, local_files

REF = FileRef("1" * 64, 1)


def local(place: str, **other: int) -> LocalFile:
    """A file of one byte that changed long before it was seen."""
    file = LocalFile(place.rpartition("/")[2], place, 1, 5 * SECOND + 1, False, 6 * SECOND + 1, 7, 20 * SECOND)
    return file._replace(**other)


@pytest.fixture(params=["file", "memory"])
def cache(request: pytest.FixtureRequest, tmp_path: Path) -> StatCache:
    return StatCache(tmp_path / "deep/stat.sqlite" if request.param == "file" else None)


def test_what_did_not_change_is_known(cache: StatCache) -> None:
    files = [local("/d/a"), local("/d/b"), local("/e/a"), local("c")]
    assert cache.look_up(files) == [None] * 4
    cache.learn(
        [Learnt(files[0], REF), Learnt(files[2], FileRef("2" * 64, 1, "3" * 64), b"shape"), Learnt(files[3], REF)]
    )
    assert cache.look_up(files) == [
        Known(REF, b""),
        None,
        Known(FileRef("2" * 64, 1, "3" * 64), b"shape"),
        Known(REF, b""),
    ]
    assert cache.look_up([local(os.path.abspath("c"))]) == [Known(REF, b"")]  # noqa: PTH100


@pytest.mark.parametrize("field", ["size", "changed", "touched", "inode"])
def test_what_changed_is_not_known(cache: StatCache, field: str) -> None:
    file = local("/d/a")
    cache.learn([Learnt(file, REF)])
    assert cache.look_up([file._replace(**{field: getattr(file, field) + 1})]) == [None]
    assert cache.look_up([file._replace(seen=1, executable=True, path="other")]) == [Known(REF, b"")]


def test_a_file_that_grew_while_it_was_read_is_not_remembered(cache: StatCache) -> None:
    file = local("/d/a")
    cache.learn([Learnt(file, FileRef("1" * 64, 2))])
    assert cache.look_up([file]) == [None]


@pytest.mark.parametrize(
    ("changed", "touched", "seen", "racy"),
    [
        (9 * SECOND + 1, 9 * SECOND + 1, 9 * SECOND + 1, True),
        (9 * SECOND + 1, 9 * SECOND + 1, 9 * SECOND + FINE, True),
        (9 * SECOND + 1, 9 * SECOND + 1, 9 * SECOND + 1 + FINE, False),
        # The content changed long ago, says a time that anybody can set; the file was touched just now.
        (1, 9 * SECOND + 1, 9 * SECOND + 2, True),
        # Whole seconds are those of a coarse clock.
        (8 * SECOND, 8 * SECOND, 9 * SECOND, True),
        (8 * SECOND, 8 * SECOND, 8 * SECOND + COARSE, False),
        # A time to come is never older.
        (99 * SECOND, 8 * SECOND, 20 * SECOND, True),
    ],
)
def test_the_racy_rule(cache: StatCache, changed: int, touched: int, seen: int, racy: bool) -> None:
    file = local("/d/a", changed=changed, touched=touched, seen=seen)
    assert is_racy(file) == racy
    cache.learn([Learnt(file, REF)])
    assert (cache.look_up([file]) == [None]) == racy


def test_a_change_within_one_tick_of_the_clock_is_found(cache: StatCache, tmp_path: Path) -> None:
    path = tmp_path / "a"
    path.write_text("x")
    (before,) = local_files([path])
    cache.learn([Learnt(before, REF)])
    path.write_text("y")
    os.utime(path, ns=(before.changed, before.changed))
    (after,) = local_files([path])
    assert (after.size, after.changed) == (before.size, before.changed)
    assert cache.look_up([after]) == [None]


def test_erased_content_is_forgotten(cache: StatCache) -> None:
    files = [local(f"/d/{name}") for name in "abc"]
    cache.learn([Learnt(file, FileRef(name * 64, 1)) for file, name in zip(files, "123", strict=True)])
    cache.forget(["1" * 64, "3" * 64])
    assert [known and known.file.digest[0] for known in cache.look_up(files)] == [None, "2", None]


def test_files_and_folders_that_are_gone_are_forgotten(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    cache = StatCache(tmp_path / "stat.sqlite")
    folder = tmp_path / "data"
    folder.mkdir()
    for name in "abc":
        (folder / name).write_text("x")
    monkeypatch.setattr(stat_cache, "FINE", -SECOND)
    cache.learn(Learnt(file, REF) for file in local_files([folder]))
    (folder / "b").unlink()
    cache.look_up(local_files([folder]))
    cache.learn([Learnt(local("/other/a"), REF)])
    with sqlite3.connect(tmp_path / "stat.sqlite") as database:
        assert [name for (name,) in database.execute("SELECT name FROM file ORDER BY name")] == ["a", "a", "c"]
    today = time.time
    monkeypatch.setattr(time, "time", lambda: today() + 86400 * 200)
    cache.learn([Learnt(local("/other/z"), REF)])
    with sqlite3.connect(tmp_path / "stat.sqlite") as database:
        assert [name for (name,) in database.execute("SELECT name FROM file ORDER BY name")] == ["a", "z"]


def _garbage(path: Path) -> None:
    path.write_bytes(b"garbage" * 1000)


def _cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:5000])


def _other_tables(path: Path) -> None:
    with sqlite3.connect(path) as database:
        database.execute("DROP TABLE file")


def _bad_rows(path: Path) -> None:
    with sqlite3.connect(path) as database:
        database.execute("UPDATE file SET digest = 'text'")


@pytest.mark.parametrize("damage", [_garbage, _cut, _other_tables, _bad_rows, Path.unlink])
def test_a_damaged_cache_is_made_anew(tmp_path: Path, damage: Callable[[Path], None]) -> None:
    path = tmp_path / "stat.sqlite"
    cache = StatCache(path)
    file = local("/d/a")
    cache.learn([Learnt(file, REF)])
    cache.close()
    damage(path)
    assert cache.look_up([file]) == [None]
    cache.learn([Learnt(file, REF)])
    assert StatCache(path).look_up([file]) == [Known(REF, b"")]


def test_a_cache_that_cannot_be_used_is_done_without(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "file").write_text("x")
    cache = StatCache(tmp_path / "file/stat.sqlite")
    cache.learn([Learnt(local("/d/a"), REF)])
    assert cache.look_up([local("/d/a")]) == [None]
    monkeypatch.setattr(cache_database, "WAIT_SECONDS", 0)
    path = tmp_path / "stat.sqlite"
    StatCache(path).learn([Learnt(local("/d/a"), REF)])
    with sqlite3.connect(path, isolation_level=None) as other:
        other.execute("BEGIN EXCLUSIVE")
        blocked = StatCache(path)
        assert blocked.look_up([local("/d/a")]) == [None]
        blocked.learn([Learnt(local("/d/b"), REF)])
        other.execute("ROLLBACK")
    assert StatCache(path).look_up([local("/d/a"), local("/d/b")]) == [Known(REF, b""), None]


def test_numbers_that_a_database_cannot_hold(cache: StatCache) -> None:
    file = local("/d/a", inode=2**64 - 1)
    cache.learn([Learnt(file, REF)])
    assert cache.look_up([file]) == [Known(REF, b"")]
    beyond = local("/d/b", changed=-(2**63) - 1)
    cache.learn([Learnt(beyond, REF)])
    assert cache.look_up([beyond]) == [None]
