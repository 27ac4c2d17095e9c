"""A file that begins with a content that is here: it is stored as ever, without cutting its beginning again."""

from pathlib import Path
from random import Random

import pytest

from charkh.assets import vault as module
from charkh.assets.pack import NODE, Record
from charkh.assets.vault import PackVault
from charkh.core.files import FileRef
from charkh.stores.blobs_memory import MemoryBlobs

SIZE = 300_000


def rows(seed: int, size: int) -> bytes:
    return Random(seed).randbytes(size)


def put(vault: PackVault, path: Path, content: bytes, like: FileRef | None = None) -> FileRef:
    path.write_bytes(content)
    return vault.put_file(path, None, like)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "table.csv"


@pytest.mark.parametrize("flushed", [True, False])
@pytest.mark.parametrize("block", [1 << 16, 1 << 23])
@pytest.mark.parametrize("more", [0, 1, 100, 70_000, 500_000])
def test_what_has_grown_is_stored_as_ever(
    path: Path, more: int, block: int, flushed: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "BLOCK", block)
    vault, old = PackVault(MemoryBlobs()), rows(1, SIZE)
    like = put(vault, path, old)
    if flushed:
        vault.flush()
    new, seen = old + rows(2, more), list[int]()
    path.write_bytes(new)
    ref = vault.put_file(path, seen.append, like)
    vault.flush()
    assert ref == put(PackVault(MemoryBlobs()), path, new)
    assert b"".join(vault.read(ref)) == new
    assert sum(seen) == len(new)


def test_its_beginning_is_not_cut_again(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    vault, old, cut = PackVault(MemoryBlobs()), rows(1, SIZE), list[int]()
    like = put(vault, path, old)
    real = module.cut_blocks

    def counted(*arguments: object) -> object:
        for block in real(*arguments):  # pyright: ignore[reportArgumentType]
            cut.append(len(block.content))
            yield block

    monkeypatch.setattr(module, "cut_blocks", counted)
    put(vault, path, old + b"more", like)
    assert sum(cut) < SIZE / 2


@pytest.mark.parametrize(
    "change",
    [
        lambda old: b"x" + old[1:] + b"more",
        lambda old: b"more" + old,
        lambda old: old[: SIZE // 2] + b"more" + old[SIZE // 2 :],
        lambda old: old[:-1],
        lambda old: old[:-1] + b"x" + b"more",
    ],
)
def test_what_has_changed_is_stored_as_ever(path: Path, change: object) -> None:
    vault, old = PackVault(MemoryBlobs()), rows(1, SIZE)
    like = put(vault, path, old)
    new = change(old)  # type: ignore[operator]
    ref = put(vault, path, new, like)
    vault.flush()
    assert ref == put(PackVault(MemoryBlobs()), path, new)
    assert b"".join(vault.read(ref)) == new


def test_what_is_not_here_is_stored(path: Path) -> None:
    elsewhere, vault, old = PackVault(MemoryBlobs()), PackVault(MemoryBlobs()), rows(1, SIZE)
    like = put(elsewhere, path, old)
    ref = put(vault, path, old + b"more", like)
    vault.flush()
    assert b"".join(vault.read(ref)) == old + b"more"


def test_a_list_whose_chunks_are_gone_is_not_relied_on(path: Path) -> None:
    vault, old = PackVault(MemoryBlobs()), rows(1, SIZE)
    like = put(vault, path, old)
    vault.flush()
    root = bytes.fromhex(like.root)
    kept = PackVault(MemoryBlobs())
    (node,) = vault.shelf.read_run([(root, vault.shelf.locate([root])[root])])
    kept.shelf.write([Record(root, NODE, node, False)])
    ref = put(kept, path, old + b"more", like)
    kept.flush()
    assert b"".join(kept.read(ref)) == old + b"more"


def test_what_was_erased_is_refused_as_ever(path: Path) -> None:
    erased: dict[str, str] = {}
    vault, old = PackVault(MemoryBlobs(), erasures=lambda: erased), rows(1, SIZE)
    like = put(vault, path, old)
    vault.flush()
    erased[next(iter(vault.chunks(like)))[0]] = ""
    vault.erased.forget()
    with pytest.raises(module.CharkhError, match="erased"):
        put(vault, path, old + b"more", like)
