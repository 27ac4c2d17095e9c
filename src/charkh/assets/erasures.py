"""What must not be read any more: the erased digests and what stands in their place, as this process knows them."""

import threading
import time
from collections.abc import Callable, Mapping

from charkh.core.digests import digest_of, parse_digest
from charkh.core.errors import Denied
from charkh.core.files import FileRef, TreeChange, TreeEntry

FRESH_SECONDS = 1.0
NOTHING = FileRef(digest_of(b""), 0)


class ErasedDigests:
    """A view of the erasures, asked for again after a second, and at once after `forget`.

    Args:
        ask: gives every erased digest and its replacement, empty for nothing.
        contents: gives, by digest of an erased content, the content that is shown instead.
    """

    def __init__(
        self,
        ask: Callable[[], Mapping[str, str]],
        contents: Callable[[], Mapping[str, FileRef]] = dict[str, FileRef],
    ) -> None:
        self._ask = ask
        self._ask_contents = contents
        self._known: dict[bytes, bytes] = {}
        self._contents: Mapping[str, FileRef] = {}
        self._until = 0.0
        self._lock = threading.RLock()

    def now(self) -> Mapping[bytes, bytes]:
        """By erased digest, the replacement's; empty bytes for nothing."""
        if time.monotonic() >= self._until:
            with self._lock:
                self._known = {bytes.fromhex(old): bytes.fromhex(new) for old, new in self._ask().items()}
                # Whoever erases a content names its digest too, so most stores are asked once.
                self._contents = self._ask_contents() if self._known else {}
                self._until = time.monotonic() + FRESH_SECONDS
        return self._known

    def current(self, ref: FileRef) -> FileRef:
        """The content that is shown for this one: itself, or what stands in its place; a circle is nothing."""
        met = {ref.digest}
        while (found := self._contents.get(ref.digest)) is not None:
            if found.digest in met:
                return NOTHING
            met.add(found.digest)
            ref = found
        return ref

    def root(self, root: str) -> str:
        """The root of the tree that is shown for this one.

        Raises:
            Invalid: it is no digest.
        """
        digest = bytes.fromhex(parse_digest(root))
        return (replacement(digest, self.now()) or digest).hex()

    def shown_entry(self, entry: TreeEntry) -> TreeEntry:
        """An entry of a tree with the content that is shown for it."""
        file = self.current(entry.file)
        return entry if file is entry.file else TreeEntry(entry.path, file, entry.executable)

    def shown_change(self, change: TreeChange) -> TreeChange | None:
        """A change with the contents that are shown; None where they are equal."""
        old, new = change.old and self.current(change.old), change.new and self.current(change.new)
        if old == new and change.old != change.new:
            return None
        return TreeChange(change.path, old, new)

    def forget(self) -> None:
        """Ask again before the next use."""
        self._until = 0.0

    def forget_threads(self) -> None:
        """In the child of a fork."""
        self._lock = threading.RLock()


def replacement(digest: bytes, erased: Mapping[bytes, bytes]) -> bytes:
    """What stands in the place of `digest` now: itself, another, or empty bytes for nothing.

    Two stores that worked apart may have put each other's erased bytes in place of their own: a circle is nothing.
    """
    if digest not in erased:
        return digest
    met = {digest}
    while digest in erased:
        digest = erased[digest]
        if not digest or digest in met:
            return b""
        met.add(digest)
    return digest


def refuse_erased(digest: bytes, path: str = "") -> Denied:
    """The error of putting what was erased, or of naming a file that is made of it."""
    what = f"{path} has bytes that" if path else f"the bytes {digest.hex()[:16]}"
    return Denied(
        f"{what} were erased from this store and are refused for ever",
        code="asset.erased",
        hint="Take out of it what was erased: the version that has it checks out as it may be kept.",
        facts={"digest": digest.hex()},
    )
