"""Which files a user means, and what is never read."""

import os
from pathlib import Path

import pytest

from charkh.core.errors import Invalid, NotFound
from charkh.datasets.walk import local_files


def fill(folder: Path, *paths: str) -> None:
    for path in paths:
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        (folder / path).write_text(path)


def test_folders_are_taken_with_everything_in_them(tmp_path: Path) -> None:
    fill(tmp_path, "data/a.csv", "data/deep/er/b.csv", "data/.hidden", "data/.git/config", "data/.charkh/x", "c.csv")
    found = local_files([tmp_path / "data", tmp_path / "c.csv"])
    assert [file.path for file in found] == [".hidden", "a.csv", "c.csv", "deep/er/b.csv"]
    assert [file.size for file in found] == [len("data/.hidden"), 10, 5, 18]
    again = local_files([tmp_path / "c.csv", tmp_path / "data"])
    assert [file._replace(seen=0) for file in again] == [file._replace(seen=0) for file in found]


def test_the_current_folder_is_a_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    fill(tmp_path, "a/b.txt")
    monkeypatch.chdir(tmp_path)
    assert [file.path for file in local_files([Path()])] == ["a/b.txt"]


def test_one_file_named_twice_is_one_file(tmp_path: Path) -> None:
    fill(tmp_path, "a.csv")
    assert len(local_files([tmp_path / "a.csv", tmp_path])) == 1


def test_two_files_of_one_path_are_refused(tmp_path: Path) -> None:
    fill(tmp_path, "x/a.csv", "y/a.csv")
    with pytest.raises(Invalid, match=r"would both be a\.csv"):
        local_files([tmp_path / "x", tmp_path / "y/a.csv"])


def test_nothing_is_refused(tmp_path: Path) -> None:
    (tmp_path / "empty/deeper").mkdir(parents=True)
    with pytest.raises(Invalid, match="has no files"):
        local_files([tmp_path / "empty"])
    with pytest.raises(Invalid, match="no files were named"):
        local_files([])
    with pytest.raises(NotFound, match=r"no file or folder .*nowhere"):
        local_files([tmp_path / "nowhere"])


def test_links_are_followed_only_to_files_of_the_same_folder(tmp_path: Path) -> None:
    fill(tmp_path, "data/a.csv", "secret.txt", "data/sub/b.csv")
    (tmp_path / "data/link.csv").symlink_to("a.csv")
    assert [file.path for file in local_files([tmp_path / "data"])] == ["a.csv", "link.csv", "sub/b.csv"]
    for target in ("../secret.txt", str(tmp_path / "secret.txt"), "nothing", "sub", ".", "/etc"):
        bad = tmp_path / "data/bad"
        bad.symlink_to(target)
        with pytest.raises(Invalid, match="is a link to") as refused:
            local_files([tmp_path / "data"])
        assert refused.value.code == "dataset.link"
        bad.unlink()


def test_a_named_link_is_what_the_user_means(tmp_path: Path) -> None:
    fill(tmp_path, "real/a.csv")
    (tmp_path / "link").symlink_to("real")
    (tmp_path / "b.csv").symlink_to("real/a.csv")
    assert [file.path for file in local_files([tmp_path / "link", tmp_path / "b.csv"])] == ["a.csv", "b.csv"]


def test_what_is_no_file_is_refused(tmp_path: Path) -> None:
    fill(tmp_path, "data/a.csv")
    os.mkfifo(tmp_path / "data/pipe")
    with pytest.raises(Invalid, match="neither a file nor a folder"):
        local_files([tmp_path / "data"])


@pytest.mark.parametrize("name", ["a:b", "a\\b", "a\tb", os.fsdecode(b"a\xff")])
def test_a_path_that_cannot_be_kept_is_refused(tmp_path: Path, name: str) -> None:
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / name).write_text("x")
    with pytest.raises(Invalid) as refused:
        local_files([tmp_path / "data"])
    assert refused.value.code == "path.invalid"


def test_paths_in_all_scripts_are_kept(tmp_path: Path) -> None:
    fill(tmp_path, "data/پروازها/دی.csv")
    (tmp_path / "data/run.sh").write_text("#!")
    (tmp_path / "data/run.sh").chmod(0o755)
    found = {file.path: file.executable for file in local_files([tmp_path / "data"])}
    assert found == {"run.sh": True, "پروازها/دی.csv": False}


def test_files_come_in_the_order_of_their_paths(tmp_path: Path) -> None:
    names = ["a/x", "a-b", "a.c", "ab/y", "a/b/c", "a/b-c", "\u00e9/z", "e/\u0301", "zz"]
    fill(tmp_path, *(f"data/{name}" for name in names))
    found = [file.path for file in local_files([tmp_path / "data"])]
    assert found == sorted(names)
    fill(tmp_path, "more/a/y", "more/b")
    both = [file.path for file in local_files([tmp_path / "more", tmp_path / "data", tmp_path / "data/zz"])]
    assert both == sorted([*names, "a/y", "b"])


def test_two_writings_of_one_name_are_refused(tmp_path: Path) -> None:
    fill(tmp_path, "data/cafe\u0301", "other/caf\u00e9")
    assert [file.path for file in local_files([tmp_path / "data"])] == ["caf\u00e9"]
    assert local_files([tmp_path / "data"])[0].disk.read_text()
    (tmp_path / "data/caf\u00e9").write_text("x")
    with pytest.raises(Invalid, match="would both be"):
        local_files([tmp_path / "data"])
