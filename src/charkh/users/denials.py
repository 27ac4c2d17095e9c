"""What was refused, as facts: bounded, however often somebody tries."""

import threading
import time
from collections import OrderedDict
from typing import NamedTuple

from charkh.core.events import Draft
from charkh.core.redact import redact
from charkh.ports.store import Store
from charkh.users.throttle import Now, Throttle
from charkh.users.user import DENIED_KIND, UserDenied

EVERY = 60.0
"""Seconds in which refusals that are alike make one fact."""
MOST_ALIKE = 1000
A_MINUTE = 30
MAX_WHAT = 200
NOBODY = "nobody"


class _Alike(NamedTuple):
    user: str
    what: str
    reason: str
    address: str


class Denials:
    """Records refusals: at once the first of a kind, then their number, once a minute; thirty facts a minute in all.

    Args:
        store: where they are recorded.
        now: a clock that never runs backwards, in seconds.
    """

    def __init__(self, store: Store, now: Now = time.monotonic) -> None:
        self._store = store
        self._now = now
        self._lock = threading.Lock()
        self._bound = Throttle(A_MINUTE / 60.0, A_MINUTE, now)
        self._seen: OrderedDict[_Alike, tuple[float, int]] = OrderedDict()

    def note(self, user: str, what: str, reason: str, address: str = "") -> None:
        """Note one refusal: of whom (an id, or empty), of what, and why (a code)."""
        key = _Alike(user, redact(what)[:MAX_WHAT], reason, address)
        with self._lock:
            now = self._now()
            since, waiting = self._seen.pop(key, (-EVERY, 0))
            due = now - since >= EVERY and not self._bound.take("")
            self._seen[key] = (now, 0) if due else (since, waiting + 1)
            while len(self._seen) > MOST_ALIKE:
                self._seen.popitem(last=False)
        if due:
            self._record(key, waiting + 1)

    def close(self) -> None:
        """Record what was only counted so far."""
        with self._lock:
            counted = [(key, waiting) for key, (_, waiting) in self._seen.items() if waiting]
            self._seen.clear()
        for key, waiting in counted[:A_MINUTE]:
            self._record(key, waiting)

    def _record(self, key: _Alike, times: int) -> None:
        body = UserDenied(user=key.user, what=key.what, reason=key.reason, address=key.address, times=times)
        self._store.record(Draft(kind=DENIED_KIND, subject=f"user:{key.user or NOBODY}", body=body))
