"""Putting files and trees while the process dies: what was acknowledged after a flush is whole."""

from collections.abc import Callable
from pathlib import Path

from charkh.assets import packing
from charkh.assets.collect import collect
from charkh.assets.vault import PackVault
from charkh.assets.verify import verify
from charkh.core.files import FileRef, TreeEntry
from charkh.stores.blobs_folder import FolderBlobs
from charkh.testing.vaults import content, sample_bytes

Ack = Callable[[str], None]
CONTENTS = [sample_bytes(size, size) for size in (0, 10, 3_000, 150_000)]


def open_vault(folder: Path) -> PackVault:
    return PackVault(FolderBlobs(folder / "packs"), folder / "index.sqlite")


def play_packs(folder: Path, ack: Ack) -> None:
    """Two lives: each puts contents and a tree, flushes, acknowledges the root, and collects what nothing holds."""
    packing.PACK_SIZE = 100_000
    roots: list[str] = []
    for life in range(2):
        vault = open_vault(folder)
        vault.put_bytes(b"forgotten %d" % life)
        vault.flush()
        refs = [vault.put_bytes(data + b"%d" % life, "a.bin") for data in CONTENTS]
        tree = vault.put_tree([TreeEntry(f"{number}", ref) for number, ref in enumerate(refs)])
        vault.flush()
        ack(f"tree {life} {tree.root}")
        roots.append(tree.root)
        collect(vault, roots, dry_run=False, young_seconds=0.0)
        vault.close()


def check_packs(folder: Path, acked: list[str]) -> None:
    roots: dict[int, str] = {int(life): root for _what, life, root in map(str.split, acked)}
    vault = open_vault(folder)
    report = verify(vault, level="everything", roots=roots.values())
    assert report.sound, report.problems
    for life, root in roots.items():
        files: list[FileRef] = [entry.file for entry in vault.entries(root)]
        assert [content(vault, ref) for ref in files] == [data + b"%d" % life for data in CONTENTS]
    # The lock of a collector that died must not stop the others for ever; here its time has not come.
    for info in list(vault.shelf.blobs.list("lock/")):
        vault.shelf.blobs.delete(info.key)
    vault.put_bytes(b"life goes on")
    vault.flush()
    collect(vault, roots.values(), dry_run=False, young_seconds=0.0, grace_seconds=0.0)
    assert verify(vault, level="everything", roots=roots.values()).sound
    vault.close()
