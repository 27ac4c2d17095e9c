"""`charkh export dvc`: what it writes is clean to the real DVC, in the cache and on the remote."""

import shutil
from pathlib import Path

import pytest
from tests.bridges.dvc.repository import Repository
from tests.functional.conftest import Charkh

pytestmark = pytest.mark.needs("peer:dvc")


def content(folder: Path) -> dict[str, bytes]:
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def clone(dvc: Repository, folder: Path) -> Repository:
    """A colleague's copy: the code and the remote, an empty cache."""
    other = Repository(folder)
    folder.mkdir()
    dvc.git("clone", "-q", str(dvc.root), str(other.root))
    other.configure(str(dvc.remote))
    return other


@pytest.fixture
def images(charkh: Charkh) -> Path:
    charkh.write("images/a b.bin", b"\0" * 100_000)
    charkh.write("images/ü/1.txt", "one\r\n")
    charkh.write("images/ü/2.txt", "")
    charkh("dataset", "add", "images", "images")
    return charkh.folder / "images"


def test_dvc_takes_what_was_exported_and_pushed(dvc: Repository, charkh: Charkh, images: Path, tmp_path: Path) -> None:
    charkh.write("flights.csv", "a,b\n1,2\n")
    charkh("dataset", "add", "flights", "flights.csv")
    (dvc.root / "data").mkdir()
    said = charkh.json("export", "dvc", "images@1", dvc.root / "data/images", "--push")
    # Two files are not empty, and the empty one is an object like any other.
    assert (said["files"], said["cached"], said["sent"], said["repaired"]) == (3, 4, 4, 0)
    charkh("export", "dvc", "flights", dvc.root / "flights.csv", "--remote", "store")
    dvc("checkout", "-q")
    assert content(dvc.root / "data/images") == content(images)
    assert "up to date" in dvc("status")
    assert "in sync" in dvc("status", "-c")
    assert (dvc.root / "data/.gitignore").read_text() == "/images\n"
    modes = {path.stat().st_mode & 0o777 for path in (dvc.root / ".dvc/cache/files").rglob("*") if path.is_file()}
    assert modes == {0o444}
    dvc.commit("Take what charkh has")
    other = clone(dvc, tmp_path / "colleague")
    other("pull", "-q")
    assert content(other.root / "data/images") == content(images)
    assert (other.root / "flights.csv").read_text() == "a,b\n1,2\n"


def test_a_new_version_replaces_the_old_and_keeps_what_a_person_wrote(
    dvc: Repository, charkh: Charkh, images: Path
) -> None:
    charkh("export", "dvc", "images", dvc.root / "images")
    pointer = dvc.root / "images.dvc"
    pointer.write_text("# taken by hand\n" + pointer.read_text() + "  desc: from the field\n")
    (images / "new.txt").write_text("new")
    charkh("dataset", "add", "images", "images")
    assert charkh.json("export", "dvc", "images@2", dvc.root / "images")["cached"] == 2
    text = pointer.read_text()
    assert text.startswith("# taken by hand\n")
    assert "desc: from the field" in text
    dvc("checkout", "-q")
    assert content(dvc.root / "images") == content(images)
    assert "up to date" in dvc("status")


def test_a_lost_object_is_found_and_sent_again(dvc: Repository, charkh: Charkh, images: Path, tmp_path: Path) -> None:
    charkh("export", "dvc", "images", dvc.root / "images", "--push")
    dvc.commit("Take it")
    lost, short = [path for path in dvc.remote.rglob("*") if path.is_file() and not path.name.endswith(".dir")][:2]
    lost.unlink()
    short.chmod(0o644)
    short.write_bytes(b"cut")
    # The list of the folder is there, so the real DVC takes everything for sent.
    assert "up to date" in dvc("push").replace("Everything is u", "u")
    said = charkh.json("export", "dvc", "images", dvc.root / "images", "--verify")
    assert (said["sent"], said["repaired"]) == (2, 2)
    other = clone(dvc, tmp_path / "colleague")
    other("pull", "-q")
    assert content(other.root / "images") == content(images)


def test_another_output_is_left_alone(dvc: Repository, charkh: Charkh, images: Path) -> None:
    dvc.write("dvc.yaml", "stages:\n  make:\n    cmd: echo 1 > made\n    outs: [made]\n")
    dvc.write(
        "dvc.lock",
        "schema: '2.0'\nstages:\n  make:\n    cmd: x\n    outs:\n    - path: made\n      hash: md5\n"
        "      md5: b026324c6904b2a9cb4b88d6d61c81d1\n      size: 2\n",
    )
    assert "the stage 'make'" in charkh.fails(14, "export", "dvc", "images", dvc.root / "made")
    assert "the stage 'make'" in charkh.fails(14, "export", "dvc", "images", dvc.root / "made/below")
    assert "no remote 'other'" in charkh.fails(13, "export", "dvc", "images", dvc.root / "x", "--remote", "other")
    assert "no DVC repository" in charkh.fails(13, "export", "dvc", "images", charkh.folder / "x")


def test_what_was_a_file_stays_one_under_its_name(dvc: Repository, charkh: Charkh) -> None:
    dvc.write("flights.csv", "a,b\n1,2\n")
    dvc("add", "-q", "flights.csv")
    charkh.write("june.csv", "a,b\n1,2\n3,4\n")
    charkh("dataset", "add", "flights", "june.csv")
    charkh("export", "dvc", "flights", dvc.root / "flights.csv")
    dvc("checkout", "-q")
    assert (dvc.root / "flights.csv").read_text() == "a,b\n1,2\n3,4\n"
    assert "a folder of 1 file" in charkh("export", "dvc", "flights", dvc.root / "other.csv")


@pytest.mark.needs("moto")
def test_a_bucket_is_shared_with_dvc(
    dvc: Repository, charkh: Charkh, images: Path, s3_config: dict[str, str], tmp_path: Path
) -> None:
    url = f"s3://{s3_config['bucket']}/dvc"
    dvc.configure(url, f"endpointurl = {s3_config['AWS_ENDPOINT_URL']}", f"region = {s3_config['AWS_REGION']}")
    charkh("export", "dvc", "images", dvc.root / "images", "--push")
    shutil.rmtree(dvc.root / ".dvc/cache")
    dvc("pull", "-q")
    assert content(dvc.root / "images") == content(images)
    dvc.write("more.csv", "a\n1\n2\n")
    dvc("add", "-q", "more.csv")
    dvc("push", "-q")
    dvc.commit("Add more")
    shutil.rmtree(dvc.root / ".dvc/cache")
    report = charkh.json("import", "dvc", dvc.root, "--pull", "--prefix", "theirs")
    assert [each["ref"] for each in report["versions"]] == ["theirs/images@1", "theirs/more.csv@1"]
    charkh("dataset", "checkout", "theirs/images", "back")
    assert content(charkh.folder / "back") == content(images)
