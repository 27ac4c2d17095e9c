"""How much comes in at the door, and what is turned away there: rates, guesses of tokens, sizes; and its record."""

import hashlib
import logging
from collections import OrderedDict
from collections.abc import Sequence

from charkh.core.errors import CharkhError, Unauthenticated
from charkh.ports.store import Store
from charkh.users.denials import Denials
from charkh.users.gatekeeper import Gatekeeper
from charkh.users.throttle import Guesses, Throttle

MAX_HEADERS = 100
MAX_HEADER_BYTES = 32 * 1024
MAX_PATH = 4096
MAX_QUERY = 32 * 1024
BURST = 5.0
"""Seconds of the rate that may come at once."""
REMEMBERED = 10_000

Headers = Sequence[tuple[bytes, bytes]]
_log = logging.getLogger("charkh.server")


class Traffic:
    """Counts what comes in.

    Args:
        gatekeeper: says whether there are users, and who somebody is.
        store: where refusals are recorded.
        rate: requests a second that one token, or one address without one, may send for long; 0 for no bound. It counts
            from the first user on: a store without users has one client.
    """

    def __init__(self, gatekeeper: Gatekeeper, store: Store, rate: float) -> None:
        self._gatekeeper = gatekeeper
        self._throttle = Throttle(rate, rate * BURST)
        self._guesses = Guesses()
        self._denials = Denials(store)
        self._good: OrderedDict[bytes, None] = OrderedDict()

    def wait(self, address: str, authorization: bytes) -> float:
        """Seconds that this client has to wait; 0 where it may come in."""
        shown = hashlib.sha256(authorization).digest() if authorization else b""
        # Who has shown a token that is good is not made to wait for a neighbour's guesses.
        pause = 0.0 if shown in self._good else self._guesses.pause(address)
        if pause or not self._gatekeeper.has_users:
            return pause
        return self._throttle.take(shown.hex() or address)

    def answered(self, address: str, authorization: bytes, status: int, *, guessed: bool) -> None:
        """Note how a request was answered; `guessed` where it showed something that could be a token."""
        if status == 401:
            if guessed:
                self._guesses.wrong(address)
        elif authorization:
            shown = hashlib.sha256(authorization).digest()
            if shown not in self._good:
                self._good[shown] = None
                while len(self._good) > REMEMBERED:
                    self._good.popitem(last=False)

    def refused(self, address: str, authorization: str, what: str, status: int) -> None:
        """Record a refusal; may wait for the disk."""
        try:
            user = self._gatekeeper.identify(authorization).user
        except Unauthenticated:
            user = ""
        try:
            self._denials.note(user, what, "unauthenticated" if status == 401 else "denied", address)
        except CharkhError as error:
            _log.warning("a refusal cannot be recorded: %s", error)

    def close(self) -> None:
        """Record what was only counted so far."""
        try:
            self._denials.close()
        except CharkhError as error:
            _log.warning("refusals cannot be recorded: %s", error)


def oversized(path: str, query: bytes, headers: Headers) -> int:
    """The status for a request whose head is too large; 0 for one that is not."""
    if len(path) > MAX_PATH or len(query) > MAX_QUERY:
        return 414
    many = len(headers) > MAX_HEADERS or sum(len(name) + len(value) for name, value in headers) > MAX_HEADER_BYTES
    return 431 if many else 0
