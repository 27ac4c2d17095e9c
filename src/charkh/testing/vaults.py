# ruff: noqa: S311 - tests need bytes that repeat, not secrets
"""A vault in memory for tests of the floors above assets, and the suite that every vault passes."""

import random
import threading
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path

import msgspec
import pytest

from charkh.core.digests import digest_of, node_digest_of, parse_digest
from charkh.core.errors import Conflict, Denied, Invalid, NotFound
from charkh.core.files import FileRef, TreeChange, TreeEntry, TreeRef
from charkh.core.refs import parse_path
from charkh.ports.vault import Progress, Vault


def _nothing_erased() -> Mapping[str, str]:
    return {}


class MemoryVault:
    """The vault port over two dictionaries: files whole, trees as sorted tuples."""

    def __init__(self, erasures: Callable[[], Mapping[str, str]] = _nothing_erased) -> None:
        self._chunks: dict[str, bytes] = {}
        self._trees: dict[str, tuple[TreeEntry, ...]] = {}
        self._erasures = erasures

    def put_bytes(self, data: bytes, hint: str = "") -> FileRef:
        del hint
        digest = digest_of(data)
        if digest in self._erasures():
            raise Denied(f"the bytes {digest[:16]} were erased", code="asset.erased")
        self._chunks[digest] = bytes(data)
        return FileRef(digest, len(data))

    def put_file(self, path: Path | str, progress: Progress | None = None, like: FileRef | None = None) -> FileRef:
        del like
        path = Path(path)
        if path.is_dir():
            raise Invalid(f"{path} is no ordinary file", code="asset.not_a_file")
        if not path.exists():
            raise NotFound(f"there is no file {path}", code="asset.no_such_file")
        data = path.read_bytes()
        if progress:
            progress(len(data))
        if path.stat().st_size != len(data):
            raise Conflict(f"{path} changed while it was read", code="asset.changed")
        return self.put_bytes(data)

    def put_tree(self, entries: Iterable[TreeEntry], *, ordered: bool = False, like: str = "") -> TreeRef:
        del like
        given = list(entries)
        found = tuple(sorted(given, key=lambda entry: entry.path))
        if ordered and list(found) != given:
            raise Invalid("entries are out of order", code="tree.unordered")
        for entry in found:
            parse_path(entry.path)
        if len({entry.path for entry in found}) != len(found):
            raise Invalid("a path stands twice in the tree", code="tree.duplicate_path")
        root = node_digest_of(msgspec.msgpack.encode(found))
        self._trees[root] = found
        return TreeRef(root, len(found), sum(entry.file.size for entry in found))

    def rely_on(self, refs: Sequence[FileRef]) -> list[bool]:
        erased = self._erasures()
        return [ref.digest in self._chunks and ref.digest not in erased for ref in refs]

    def read_many(self, refs: Sequence[FileRef]) -> Iterator[tuple[int, bytes]]:
        for position, ref in enumerate(refs):
            yield position, b"".join(self.read(ref))

    def read(self, ref: FileRef, start: int = 0, length: int | None = None) -> Iterator[bytes]:
        data = self._content(ref.digest)
        data = data[start:] if length is None else data[start : start + length]
        if data:
            yield data

    def chunks(self, ref: FileRef) -> Iterator[tuple[str, int]]:
        digest = self._current(ref.digest)
        if digest:
            yield digest, len(self._content(digest))

    def entries(self, root: str) -> Iterator[TreeEntry]:
        if root not in self._trees:
            raise NotFound(f"the tree {root[:12]} is not here", code="asset.not_found")
        yield from self._trees[root]

    def compare(self, old: str, new: str) -> Iterator[TreeChange]:
        before = {entry.path: entry for entry in self.entries(old)}
        after = {entry.path: entry for entry in self.entries(new)}
        for path in sorted(before.keys() | after.keys()):
            left, right = before.get(path), after.get(path)
            if left != right:
                yield TreeChange(path, left.file if left else None, right.file if right else None)

    def has(self, digest: str) -> bool:
        return parse_digest(digest) in self._chunks or digest in self._trees

    def flush(self) -> None:
        """Nothing to do: memory has no disk behind it."""

    def _content(self, digest: str) -> bytes:
        digest = self._current(digest)
        if not digest:
            return b""
        if digest not in self._chunks:
            raise NotFound(f"the bytes {digest[:12]} are not here", code="asset.not_found")
        return self._chunks[digest]

    def _current(self, digest: str) -> str:
        erased = self._erasures()
        while digest in erased:
            digest = erased[digest]
        return digest


def sample_bytes(size: int, seed: int = 0) -> bytes:
    """Bytes that no compressor makes smaller, equal for an equal seed."""
    return random.Random(seed).randbytes(size)


def sample_table(rows: int, seed: int = 0) -> bytes:
    """A CSV file of about 40 bytes a row."""
    source = random.Random(seed)
    lines = [
        f"{row},{source.random():.9f},{source.choice(('EWR', 'JFK', 'LGA'))},2013-{row % 12 + 1:02}-01"
        for row in range(rows)
    ]
    return "\n".join(["id,delay,origin,day", *lines, ""]).encode()


def content(vault: Vault, ref: FileRef, start: int = 0, length: int | None = None) -> bytes:
    """What a vault reads, in one piece."""
    return b"".join(vault.read(ref, start, length))


CONTENTS = {
    "empty.bin": b"",
    "one.bin": b"x",
    "small.csv": b"a,b\n1,2\n",
    "threshold.bin": sample_bytes(64 * 1024),
    "above.bin": sample_bytes(64 * 1024 + 1),
    "zeros.bin": bytes(3_000_000),
    "table.csv": sample_table(60_000),
    "random.bin": sample_bytes(9_500_000, 1),
    "film.mp4": sample_bytes(9_000_000, 2),
}


class VaultSuite(ABC):
    """What `charkh.ports.vault.Vault` promises.

    `make` may be called several times in a test, and gives vaults over one medium.
    """

    @abstractmethod
    def make(self, erasures: Callable[[], Mapping[str, str]], folder: Path) -> Vault:
        """A vault over the test's medium; `folder` is empty at the beginning of a test."""

    @pytest.fixture
    def erased(self) -> dict[str, str]:
        """What is erased: a test adds to it, then flushes the vault."""
        return {}

    @pytest.fixture
    def vault(self, erased: dict[str, str], tmp_path: Path) -> Vault:
        return self.make(lambda: dict(erased), tmp_path / "vault")

    @pytest.mark.parametrize("name", CONTENTS)
    def test_what_was_put_is_read(self, vault: Vault, name: str) -> None:
        data = CONTENTS[name]
        ref = vault.put_bytes(data, name)
        assert (ref.digest, ref.size) == (digest_of(data), len(data))
        assert content(vault, ref) == data
        vault.flush()
        assert content(vault, ref) == data
        assert vault.has(ref.held)

    @pytest.mark.parametrize("name", CONTENTS)
    def test_a_file_is_stored_as_its_bytes_are(self, vault: Vault, name: str, tmp_path: Path) -> None:
        path = tmp_path / name
        path.write_bytes(CONTENTS[name])
        seen: list[int] = []
        ref = vault.put_file(path, seen.append)
        assert sum(seen) == len(CONTENTS[name])
        assert ref == vault.put_bytes(CONTENTS[name], name)
        assert ref == vault.put_file(path)

    @pytest.mark.parametrize("name", ["small.csv", "table.csv", "random.bin", "film.mp4"])
    def test_ranges(self, vault: Vault, name: str) -> None:
        data = CONTENTS[name]
        ref = vault.put_bytes(data, name)
        vault.flush()
        source = random.Random(name)
        for _ in range(20):
            start, length = source.randrange(len(data)), source.randrange(len(data))
            assert content(vault, ref, start, length) == data[start : start + length]
        assert content(vault, ref, len(data)) == b""
        assert content(vault, ref, len(data) + 5, 5) == b""
        assert content(vault, ref, 0, 0) == b""
        assert content(vault, ref, len(data) - 1) == data[-1:]

    @pytest.mark.parametrize("name", CONTENTS)
    def test_chunks_add_up_to_the_content(self, vault: Vault, name: str) -> None:
        data = CONTENTS[name]
        position = 0
        for digest, length in vault.chunks(vault.put_bytes(data, name)):
            assert digest == digest_of(data[position : position + length])
            position += length
        assert position == len(data)

    def test_equal_bytes_have_equal_digests_however_they_are_cut(self, vault: Vault) -> None:
        data = CONTENTS["table.csv"]
        assert {vault.put_bytes(data, hint).digest for hint in ("", "a.csv", "a.bin", "a.zip")} == {digest_of(data)}

    def test_there_is_no_such_file(self, vault: Vault, tmp_path: Path) -> None:
        with pytest.raises(NotFound):
            vault.put_file(tmp_path / "none")
        with pytest.raises(Invalid):
            vault.put_file(tmp_path)

    @pytest.mark.parametrize("size", [10, 20_000_000])
    def test_a_file_that_changes_while_it_is_read_is_refused(self, vault: Vault, tmp_path: Path, size: int) -> None:
        path = tmp_path / "log.csv"
        path.write_bytes(bytes(size))

        def grow(_bytes: int) -> None:
            with path.open("ab") as file:
                file.write(b"more")

        with pytest.raises(Conflict) as raised:
            vault.put_file(path, grow)
        assert raised.value.code == "asset.changed"

    def test_what_is_not_here_is_not_found(self, vault: Vault) -> None:
        absent = digest_of(b"never put")
        assert not vault.has(absent)
        with pytest.raises(NotFound):
            content(vault, FileRef(absent, 9))
        with pytest.raises(NotFound):
            list(vault.entries(absent))
        with pytest.raises(Invalid):
            vault.has("not a digest")

    def test_another_vault_on_the_medium_sees_what_was_flushed(
        self, vault: Vault, erased: dict[str, str], tmp_path: Path
    ) -> None:
        other = self.make(lambda: dict(erased), tmp_path / "vault")
        refs = {name: vault.put_bytes(data, name) for name, data in CONTENTS.items()}
        tree = vault.put_tree(TreeEntry(name, ref) for name, ref in refs.items())
        vault.flush()
        assert other.has(tree.root)
        assert [entry.path for entry in other.entries(tree.root)] == sorted(CONTENTS)
        for name, ref in refs.items():
            assert content(other, ref) == CONTENTS[name]

    def test_threads_share_a_vault(self, vault: Vault) -> None:
        failures: list[BaseException] = []

        def work(number: int) -> None:
            try:
                for turn in range(20):
                    data = sample_bytes(5_000 * turn, number % 3)
                    ref = vault.put_bytes(data, "a.bin")
                    if turn % 7 == number:
                        vault.flush()
                    assert content(vault, ref) == data
            except BaseException as error:  # noqa: BLE001 - whatever it is, the test shows it
                failures.append(error)

        threads = [threading.Thread(target=work, args=(number,)) for number in range(6)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        vault.flush()
        assert failures == []

    def test_a_tree_is_a_set_of_files(self, vault: Vault) -> None:
        entries = some_entries(vault, 1000)
        tree = vault.put_tree(entries)
        assert (tree.files, tree.size) == (1000, sum(entry.file.size for entry in entries))
        shuffled = random.Random(3).sample(entries, len(entries))
        assert vault.put_tree(shuffled) == tree
        assert list(vault.entries(tree.root)) == sorted(entries, key=lambda entry: entry.path)
        assert vault.put_tree(entries[1:]).root != tree.root

    def test_a_tree_given_in_order_or_like_another_is_the_same_tree(self, vault: Vault) -> None:
        entries = sorted(some_entries(vault, 1000), key=lambda entry: entry.path)
        tree = vault.put_tree(entries)
        changed = [*entries[:400], *entries[410:], TreeEntry("zz", vault.put_bytes(b"new"))]
        plain = vault.put_tree(changed)
        assert vault.put_tree(iter(changed), ordered=True, like=tree.root) == plain
        assert vault.put_tree(reversed(changed), like=tree.root) == plain
        assert vault.put_tree(iter(changed), ordered=True, like="0" * 64) == plain
        with pytest.raises(Invalid) as raised:
            vault.put_tree(reversed(entries), ordered=True)
        assert raised.value.code == "tree.unordered"

    def test_what_is_here_can_be_relied_on(self, vault: Vault, erased: dict[str, str]) -> None:
        refs = [vault.put_bytes(data, name) for name, data in CONTENTS.items()]
        absent = FileRef(digest_of(b"never put"), 9)
        assert vault.rely_on([]) == []
        assert vault.rely_on([*refs, absent, absent]) == [True] * len(refs) + [False, False]
        vault.flush()
        assert vault.rely_on([absent, *refs, refs[0]]) == [False] + [True] * (len(refs) + 1)
        erased[refs[1].digest] = ""
        vault.flush()
        assert vault.rely_on(refs) == [ref != refs[1] for ref in refs]

    def test_many_are_read_in_any_order(self, vault: Vault, erased: dict[str, str]) -> None:
        data = [*CONTENTS.values(), *(b"%d" % number for number in range(300)), b"x"]
        refs = [vault.put_bytes(each) for each in data]
        vault.flush()
        found = dict(vault.read_many(refs))
        assert [found[place] for place in range(len(refs))] == data
        erased[refs[-1].digest] = refs[-2].digest
        vault.flush()
        assert dict(vault.read_many(refs))[len(refs) - 1] == b"299"
        with pytest.raises(NotFound):
            list(vault.read_many([*refs, FileRef(digest_of(b"never put"), 9)]))

    def test_an_empty_tree(self, vault: Vault) -> None:
        tree = vault.put_tree([])
        assert (tree.files, tree.size) == (0, 0)
        assert list(vault.entries(tree.root)) == []
        full = vault.put_tree(some_entries(vault, 3))
        assert [change.old for change in vault.compare(tree.root, full.root)] == [None] * 3
        assert [change.new for change in vault.compare(full.root, tree.root)] == [None] * 3

    @pytest.mark.parametrize("path", ["", "/a", "../a", "a/../b", "a//b", "a/", "a\0", "a\\b", "."])
    def test_a_path_that_climbs_is_refused(self, vault: Vault, path: str) -> None:
        with pytest.raises(Invalid):
            vault.put_tree([TreeEntry(path, vault.put_bytes(b"x"))])

    def test_a_path_stands_once(self, vault: Vault) -> None:
        with pytest.raises(Invalid) as raised:
            vault.put_tree([TreeEntry("a", vault.put_bytes(b"x")), TreeEntry("a", vault.put_bytes(b"y"))])
        assert raised.value.code == "tree.duplicate_path"

    @pytest.mark.parametrize("seed", range(4))
    def test_compare_finds_what_differs(self, vault: Vault, seed: int) -> None:
        source = random.Random(seed)
        before = {entry.path: entry for entry in some_entries(vault, 700)}
        after = dict(before)
        for path in source.sample(sorted(before), 20):
            del after[path]
        for path in source.sample(sorted(after), 20):
            after[path] = TreeEntry(path, vault.put_bytes(path.encode() * 2))
        for number in range(20):
            path = f"{source.choice(('a', 'dir03/zz', 'zzz'))}{number}"
            after[path] = TreeEntry(path, vault.put_bytes(b"new"))
        flipped = source.choice(sorted(before.keys() & after.keys()))
        after[flipped] = TreeEntry(flipped, after[flipped].file, not after[flipped].executable)
        old, new = vault.put_tree(before.values()), vault.put_tree(after.values())
        expected = [
            TreeChange(path, before[path].file if path in before else None, after[path].file if path in after else None)
            for path in sorted(before.keys() | after.keys())
            if before.get(path) != after.get(path)
        ]
        assert list(vault.compare(old.root, new.root)) == expected
        assert list(vault.compare(new.root, new.root)) == []

    def test_an_erased_file_shows_its_replacement(self, vault: Vault, erased: dict[str, str]) -> None:
        secret, instead = vault.put_bytes(b"ann@example.org"), vault.put_bytes(b"[erased]")
        gone = vault.put_bytes(b"bob@example.org")
        tree = vault.put_tree([TreeEntry("mail", secret), TreeEntry("other", gone)])
        vault.flush()
        erased.update({secret.digest: instead.digest, gone.digest: ""})
        vault.flush()
        assert [content(vault, entry.file) for entry in vault.entries(tree.root)] == [b"[erased]", b""]

    def test_erased_bytes_are_refused(self, vault: Vault, erased: dict[str, str], tmp_path: Path) -> None:
        refs = [vault.put_bytes(data) for data in (b"secret", CONTENTS["table.csv"])]
        vault.flush()
        erased.update({ref.digest: "" for ref in refs})
        vault.flush()
        (tmp_path / "again.csv").write_bytes(CONTENTS["table.csv"])
        for put in (lambda: vault.put_bytes(b"secret"), lambda: vault.put_file(tmp_path / "again.csv")):
            with pytest.raises(Denied) as raised:
                put()
            assert raised.value.code == "asset.erased"


def some_entries(vault: Vault, count: int) -> list[TreeEntry]:
    """Entries in a few folders, with contents of their own; some are executable."""
    return [
        TreeEntry(f"dir{number % 7:02}/part {number:05}.csv", vault.put_bytes(b"%d" % (number % 50)), number % 9 == 0)
        for number in range(count)
    ]
