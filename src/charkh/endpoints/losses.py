"""What a prediction log could not keep: counted for whoever watches, and said when it begins and when it is over."""

import logging
import threading
from collections.abc import Callable

_log = logging.getLogger("charkh")


class Losses:
    """Requests that were answered and are in no log. Threads: any may call it.

    Args:
        name: of what is logged, such as `endpoint:delay`.

    Attributes:
        count: of all requests.
        going_on: they are being lost now.
    """

    def __init__(self, name: str) -> None:
        self.count = 0
        self.going_on = False
        self._name = name
        self._tell: Callable[[int], None] | None = None
        self._since = 0
        self._lock = threading.Lock()

    def tell(self, to: Callable[[int], None]) -> None:
        """Have `to` told of what was lost so far and of what will be; the first that asks for it is."""
        with self._lock:
            if self._tell is None:
                self._tell = to
                if self.count:
                    to(self.count)

    def add(self, number: int = 1) -> None:
        """So many more are lost."""
        with self._lock:
            self.count += number
            if self._tell is not None:
                self._tell(number)

    def begin(self, why: str) -> None:
        """Others will be lost from now on; said once until it is `over`."""
        with self._lock:
            if self.going_on:
                return
            self.going_on, self._since = True, self.count
        _log.warning("predictions of %s are not logged: %s", self._name, why)

    def over(self) -> None:
        """What comes now is kept."""
        with self._lock:
            if not self.going_on:
                return
            self.going_on, number = False, self.count - self._since
        _log.warning("predictions of %s are logged again; %d requests were not", self._name, number)
