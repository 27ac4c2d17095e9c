"""Packs under fault: full disks, damaged files, dead writers, many writers; nothing acknowledged is lost."""

import json
import os
import resource
import shutil
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from charkh.assets import packing
from charkh.assets.collect import collect
from charkh.assets.vault import PackVault
from charkh.assets.verify import verify
from charkh.core.errors import Corrupt, NotFound, Unavailable
from charkh.core.files import FileRef, TreeEntry
from charkh.stores.blobs_folder import WRITING, FolderBlobs
from charkh.testing.children import in_child, in_children
from charkh.testing.vaults import content, sample_bytes

WRITERS = 4


def open_vault(folder: Path) -> PackVault:
    return PackVault(FolderBlobs(folder / "packs"), folder / "index.sqlite")


def live_through_a_full_disk(folder: Path, make_room: Callable[[], object]) -> None:
    vault = open_vault(folder)
    kept = vault.put_bytes(sample_bytes(30_000))
    vault.flush()
    with pytest.raises(Unavailable) as raised:
        for seed in range(100):
            vault.put_bytes(sample_bytes(60_000, seed))
            if seed % 30 == 29:
                vault.flush()
    assert raised.value.code in {"blobs.unavailable", "asset.index_unavailable"}
    assert raised.value.hint
    assert content(vault, kept) == sample_bytes(30_000)
    assert list((folder / "packs" / WRITING).iterdir()) == []
    assert verify(open_vault(folder), level="everything", roots=[kept.held]).sound

    make_room()
    vault.flush()
    again = [vault.put_bytes(sample_bytes(60_000, seed)) for seed in range(30)]
    vault.flush()
    vault.close()
    fresh = open_vault(folder)
    assert [content(fresh, ref) for ref in again] == [sample_bytes(60_000, seed) for seed in range(30)]
    assert verify(fresh, level="everything", roots=[ref.held for ref in [kept, *again]]).sound
    fresh.close()


def test_a_file_that_may_not_grow(tmp_path: Path) -> None:
    """`ulimit -f`: what a user's quota looks like to a program."""

    def work() -> None:
        hard = resource.getrlimit(resource.RLIMIT_FSIZE)[1]
        resource.setrlimit(resource.RLIMIT_FSIZE, (500_000, hard))
        live_through_a_full_disk(tmp_path, lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (hard, hard)))

    in_child(work)


def test_a_full_file_system(tmp_path: Path) -> None:
    if os.geteuid() != 0 or not shutil.which("unshare"):
        pytest.skip("a small file system of one's own needs root and unshare")
    script = f"mount -t tmpfs -o size=8m none {tmp_path} && exec {sys.executable} {__file__} {tmp_path}"
    result = subprocess.run(["unshare", "-m", "sh", "-c", script], capture_output=True, text=True)
    if "mount" in result.stderr and "denied" in result.stderr:
        pytest.skip(f"this machine lets nobody mount: {result.stderr.strip()}")
    assert result.returncode == 0, result.stderr
    assert json.loads(result.stdout) == {"lived": True}


@pytest.mark.parametrize("how", ["torn", "empty", "gone", "unreadable name"])
def test_a_torn_pack_costs_what_is_in_it_and_nothing_else(tmp_path: Path, how: str) -> None:
    vault = open_vault(tmp_path)
    refs: list[FileRef] = []
    for seed in range(3):
        refs.append(vault.put_bytes(sample_bytes(5_000, seed)))
        vault.flush()
    place = vault.shelf.index.places(bytes.fromhex(refs[1].digest))[0]
    path = tmp_path / "packs" / "pack" / place.pack
    vault.close()
    if how == "torn":
        os.truncate(path, 3_000)
    elif how == "empty":
        os.truncate(path, 0)
    elif how == "gone":
        path.unlink()
    else:
        path.rename(path.with_name("hello"))

    fresh = open_vault(tmp_path)
    assert [content(fresh, refs[number]) for number in (0, 2)] == [sample_bytes(5_000, 0), sample_bytes(5_000, 2)]
    with pytest.raises((Corrupt, NotFound)) as raised:
        content(fresh, refs[1])
    assert refs[1].digest[:16] in raised.value.message
    held = [ref.held for ref in refs]
    report = verify(fresh, level="everything", roots=held, repair=True)
    assert report.problems[-1].digest == refs[1].digest
    fresh.put_bytes(sample_bytes(5_000, 1))
    fresh.flush()
    assert content(open_vault(tmp_path), refs[1]) == sample_bytes(5_000, 1)
    left = [problem.what for problem in verify(fresh, level="everything", roots=held).problems]
    assert left == (["foreign"] if how == "unreadable name" else [])
    fresh.close()


def test_a_writer_that_dies_leaves_nothing_that_counts(tmp_path: Path) -> None:
    def work() -> None:
        vault = open_vault(tmp_path)
        vault.put_bytes(b"flushed")
        vault.flush()
        vault.put_bytes(b"not flushed")
        (tmp_path / "packs" / WRITING / "half").write_bytes(b"charkhPK")

    in_child(work)
    vault = open_vault(tmp_path)
    assert verify(vault, level="everything").sound
    assert vault.has(PackVault(vault.shelf.blobs).put_bytes(b"flushed").digest)
    ref = vault.put_bytes(b"not flushed")
    vault.flush()
    assert content(vault, ref) == b"not flushed"
    vault.close()


def test_many_processes_put_on_one_store_while_another_collects(tmp_path: Path) -> None:
    def write(number: int) -> Callable[[], None]:
        def work() -> None:
            vault = open_vault(tmp_path / "store")
            for turn in range(12):
                entries = [
                    TreeEntry(f"{part}", vault.put_bytes(b"%d %d" % (part, (turn + number) % 5))) for part in range(40)
                ]
                tree = vault.put_tree([*entries, TreeEntry("own", vault.put_bytes(b"%d %d" % (number, turn)))])
                vault.flush()
                with (tmp_path / f"held-{number}").open("a") as file:
                    file.write(f"{tree.root}\n")
            vault.close()

        return work

    def sweep() -> None:
        vault = open_vault(tmp_path / "store")
        deadline = time.monotonic() + 20
        while len(held()) < WRITERS * 12 and time.monotonic() < deadline:
            collect(vault, held(), dry_run=False, young_seconds=0.0)
        vault.close()

    def held() -> list[str]:
        return [root for path in tmp_path.glob("held-*") for root in path.read_text().splitlines() if len(root) == 64]

    in_children([*(write(number) for number in range(WRITERS)), sweep])
    vault = open_vault(tmp_path / "store")
    assert len(held()) == WRITERS * 12
    for root in held():
        for entry in vault.entries(root):
            assert len(content(vault, entry.file)) == entry.file.size
    assert verify(vault, level="everything", roots=held()).sound
    vault.close()


if __name__ == "__main__":
    packing.PACK_SIZE = 500_000
    packing.DECIDED_AT_ONCE = 100_000
    place = Path(sys.argv[1])
    filler = place / "filler"
    filler.write_bytes(bytes(5 * 1024 * 1024))
    live_through_a_full_disk(place / "store", filler.unlink)
    sys.stdout.write(json.dumps({"lived": True}))
