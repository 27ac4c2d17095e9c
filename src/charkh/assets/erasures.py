"""What must not be read any more: the erased digests and what stands in their place, as this process knows them."""

import threading
import time
from collections.abc import Callable, Mapping

from charkh.core.errors import Denied

FRESH_SECONDS = 1.0


class ErasedDigests:
    """A view of the erasures, asked for again after a second, and at once after `forget`.

    Args:
        ask: gives every erased digest and its replacement, empty for nothing.
    """

    def __init__(self, ask: Callable[[], Mapping[str, str]]) -> None:
        self._ask = ask
        self._known: dict[bytes, bytes] = {}
        self._until = 0.0
        self._lock = threading.RLock()

    def now(self) -> Mapping[bytes, bytes]:
        """By erased digest, the replacement's; empty bytes for nothing."""
        if time.monotonic() >= self._until:
            with self._lock:
                self._known = {bytes.fromhex(old): bytes.fromhex(new) for old, new in self._ask().items()}
                self._until = time.monotonic() + FRESH_SECONDS
        return self._known

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


def refuse_erased(digest: bytes) -> Denied:
    """The error of putting what was erased."""
    return Denied(
        f"the bytes {digest.hex()[:16]} were erased from this store and are refused for ever",
        code="asset.erased",
        hint="Take them out of what you are adding; `charkh log` shows who erased them and why.",
        facts={"digest": digest.hex()},
    )
