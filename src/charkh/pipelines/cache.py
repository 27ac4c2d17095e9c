"""The cache: outputs of steps as trees in the vault, found by key, and decoded only where all their bytes are right."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

import msgspec

from charkh.core.canon import Json
from charkh.core.digests import digest_of
from charkh.core.errors import Corrupt, Denied, Invalid, NotFound
from charkh.core.files import FileRef, TreeEntry, TreeRef
from charkh.pipelines.digests import Digests, content_digest
from charkh.pipelines.execution import StepRecord
from charkh.pipelines.index import StepsByKey
from charkh.pipelines.reading import current_digests
from charkh.pipelines.values import put_together
from charkh.ports.store import Store

VALUE = "value.json"


class StoredLeaf(msgspec.Struct, frozen=True, kw_only=True):
    """One leaf of a stored value: its codec, and the digests of its files, which lie in `leaves/NUMBER/NAME`."""

    codec: str
    files: dict[str, str]


class StoredValue(msgspec.Struct, frozen=True, kw_only=True):
    """`value.json`: the form of a value, and its leaves."""

    form: Any
    leaves: tuple[StoredLeaf, ...] = ()


class Kept(NamedTuple):
    """A value that has been stored.

    Attributes:
        tree: where it is stored; not durable before the vault has been flushed.
        value: the value as the cache gives it, so that it is the same whether it was cached or not.
        digests: of the whole and of each leaf, by which a later step's input is recognised.
    """

    tree: TreeRef
    value: Any
    digests: tuple[str, ...]


class Found(NamedTuple):
    """What the cache has for a key.

    Attributes:
        record: the execution whose output it is; None for a miss.
        value: the output.
        digests: as in `Kept`.
        troubles: why outputs with this key could not be used.
    """

    record: StepRecord | None
    value: Any = None
    digests: tuple[str, ...] = ()
    troubles: tuple[str, ...] = ()


class Cache:
    """Looks outputs up and keeps them.

    Args:
        store: where they are.
        digests: with the codecs that encode them.
        folder: the workspace, to which the files that a step read are relative.
    """

    def __init__(self, store: Store, digests: Digests, folder: Path) -> None:
        self._store = store
        self._digests = digests
        self._folder = folder

    def find(self, key: str, fresh: StepRecord | None = None) -> Found:
        """The newest output with this key whose files read are what they were and whose bytes are right.

        Args:
            key: of the call.
            fresh: an execution with this key that is not recorded yet.
        """
        troubles: dict[str, None] = {}
        recorded = self._store.queries.ask(StepsByKey(key=key))
        for record in (fresh, *recorded) if fresh is not None else recorded:
            reads = record.done.reads
            now = current_digests(reads, self._folder)
            changed = [path for path, digest in reads.items() if now[path] != digest]
            if changed:
                troubles |= dict.fromkeys(f"file {path} changed" for path in changed)
                continue
            try:
                value, digests = self._load(record.done.output)
            except (Corrupt, NotFound, Invalid, Denied) as error:
                troubles.setdefault(f"its stored output cannot be used: {error.message}")
                continue
            return Found(record, value, digests)
        return Found(None, troubles=tuple(troubles))

    def keep(self, value: object) -> Kept:
        """Store a value.

        Raises:
            Invalid: there is something in it that cannot be kept.
        """
        apart = self._digests.take_apart(value)
        entries: list[TreeEntry] = []
        stored: list[StoredLeaf] = []
        decoded: list[Any] = []
        for number, leaf in enumerate(apart.leaves):
            files = dict(leaf.codec.encode(leaf.value))
            entries += [TreeEntry(_path(number, name), self._put(data, name)) for name, data in files.items()]
            digests = {name: digest_of(data) for name, data in files.items()}
            stored.append(StoredLeaf(codec=leaf.codec.name, files=digests))
            decoded.append(leaf.codec.decode(files))
            self._digests.remember(decoded[-1], digests)
        document = msgspec.json.encode(StoredValue(form=apart.form, leaves=tuple(stored)))
        entries.append(TreeEntry(VALUE, self._put(document, VALUE)))
        form = msgspec.json.decode(document, type=StoredValue).form
        tree = self._store.vault.put_tree(entries)
        return Kept(tree, put_together(form, decoded), _all_digests(form, stored))

    def _load(self, tree: TreeRef) -> tuple[Any, tuple[str, ...]]:
        files = {entry.path: entry.file for entry in self._store.vault.entries(tree.root)}
        try:
            stored = msgspec.json.decode(self._read(files, VALUE), type=StoredValue)
        except msgspec.MsgspecError as error:
            raise Corrupt(f"{VALUE} of a stored output cannot be read: {error}", code="pipeline.bad_value") from error
        decoded = [self._load_leaf(files, number, leaf) for number, leaf in enumerate(stored.leaves)]
        return put_together(stored.form, decoded), _all_digests(stored.form, stored.leaves)

    def _load_leaf(self, files: Mapping[str, FileRef], number: int, leaf: StoredLeaf) -> Any:
        codec = next((each for each in self._digests.codecs if each.name == leaf.codec), None)
        if codec is None:
            raise Invalid(f"there is no codec {leaf.codec!r} here", code="pipeline.no_codec")
        value = codec.decode({name: self._read(files, _path(number, name)) for name in leaf.files})
        self._digests.remember(value, leaf.files)
        return value

    def _read(self, files: Mapping[str, FileRef], path: str) -> bytes:
        ref = files.get(path)
        if ref is None:
            raise Corrupt(f"{path} of a stored output is missing", code="pipeline.bad_value")
        data = b"".join(self._store.vault.read(ref))
        if digest_of(data) != ref.digest:
            # The vault verifies its chunks; what still differs here has been erased and replaced.
            raise Denied(f"{path} of a stored output was erased", code="pipeline.erased")
        return data

    def _put(self, data: bytes, name: str) -> FileRef:
        return self._store.vault.put_bytes(data, name)


def _path(number: int, name: str) -> str:
    return f"leaves/{number}/{name}"


def _all_digests(form: Json, leaves: "list[StoredLeaf] | tuple[StoredLeaf, ...]") -> tuple[str, ...]:
    pairs = [(leaf.codec, leaf.files) for leaf in leaves]
    whole = content_digest(form, pairs)
    return (whole, *(leaf_digest(name, files) for name, files in pairs))


def leaf_digest(codec: str, files: Mapping[str, str]) -> str:
    """The digest by which a leaf is recognised inside another value."""
    return content_digest(None, [(codec, files)])
