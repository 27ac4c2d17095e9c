"""Several models in bounded memory: who was not asked for longest is let go, and loaded again when it is asked for.

A prediction never waits for a load: until the model is back, its clients are told to come again.
"""

import logging
import threading
import time
import weakref
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

from charkh.core.errors import CharkhError, Unavailable
from charkh.ports.runtimes import Tensors

AGAIN_SECONDS = 10.0
"""How long a model that could not be loaded is not tried again."""
TURN_SECONDS = 1.0
"""A model that was loaded again stays so long at least: two that are asked by turns would else both answer nobody."""
GROWTH = 2
"""A model in memory is taken to be so many times as large as its files."""
_log = logging.getLogger("charkh")

Predict = Callable[[Tensors], Tensors]


class Resident:
    """A model that is in memory, or let go. Threads: `predict` is called from several at once.

    Args:
        memory: that it shares with others.
        name: of it, for the log.
        load: loads it; may raise CharkhError.
        size: bytes of its files.
        pinned: it is never let go.

    Attributes:
        standby: nobody asks it for now, so it goes first.
        asked: when it was asked last, by the monotonic clock.
        since: when it was loaded last.
    """

    def __init__(
        self, memory: "Memory", name: str, load: Callable[[], Predict], *, size: int = 0, pinned: bool = False
    ) -> None:
        self.name = name
        self.size = size * GROWTH
        self.pinned = pinned
        self.standby = False
        self.asked = time.monotonic()
        self.since = self.asked
        self._memory = memory
        self._load = load
        self._lock = threading.Lock()
        self._predict: Predict | None = None
        self._failure = ""
        self._failed = 0.0

    def is_held(self) -> bool:
        """Whether it is in memory."""
        return self._predict is not None

    def predict(self, inputs: Tensors) -> Tensors:
        """Ask it.

        Raises:
            Unavailable: it is being loaded, or could not be.
        """
        self.asked = time.monotonic()
        predict = self._predict
        if predict is None:
            raise self._being_loaded()
        return predict(inputs)

    def hold(self) -> Predict:
        """Load it where it was let go, and let others go for it; what answers.

        Raises:
            CharkhError: it cannot be loaded.
        """
        with self._lock:
            predict = self._predict
            if predict is None:
                predict = self._predict = self._load()
                self.asked = self.since = time.monotonic()
        self._memory.make_room(self)
        return predict

    def let_go(self) -> None:
        """Out of memory; requests under way finish."""
        self._predict = None

    def try_again(self) -> None:
        """Load it, or remember why not."""
        try:
            self.hold()
            self._failure = ""
        except CharkhError as error:
            if self._failure != error.message:
                _log.warning("%s cannot be loaded again: %s", self.name, error.message)
            self._failure, self._failed = error.message, time.monotonic()

    def _being_loaded(self) -> Unavailable:
        if self._failure and time.monotonic() - self._failed < AGAIN_SECONDS:
            return Unavailable(
                f"{self.name} cannot be loaded: {self._failure}",
                code="endpoint.cannot_load",
                hint="The server tries again by itself; its log says more.",
            )
        self._memory.load_soon(self)
        return Unavailable(
            f"{self.name} is being loaded",
            code="endpoint.loading",
            hint="Ask again in a second. Pin the endpoint, or give [serving] more memory, where this is too often.",
        )


class Memory:
    """What several models may take together.

    Args:
        budget: bytes; 0 for as much as they need, and then nothing is let go.
    """

    def __init__(self, budget: int = 0) -> None:
        self.budget = budget
        self._lock = threading.Lock()
        self._residents: weakref.WeakSet[Resident] = weakref.WeakSet()
        self._loading: set[int] = set()
        self._pool = ThreadPoolExecutor(1, "charkh-load")

    def add(self, resident: Resident) -> None:
        """Count it for as long as anybody has it."""
        with self._lock:
            self._residents.add(resident)

    def make_room(self, wanted: Resident) -> None:
        """Let go of others until what is held fits; a model that alone is too large is held all the same."""
        if not self.budget:
            return
        with self._lock:
            held = [each for each in self._residents if each.is_held()]
            total = sum(each.size for each in held)
            idle = [each for each in held if each is not wanted and not each.pinned]
            for each in sorted(idle, key=lambda each: (not each.standby, each.asked)):
                if total <= self.budget:
                    return
                each.let_go()
                total -= each.size
                _log.info("%s was let go: %d bytes of models are allowed", each.name, self.budget)
        if total > self.budget:
            _log.warning("models take about %d bytes, more than the %d that are allowed", total, self.budget)

    def load_soon(self, resident: Resident) -> None:
        """Load it in the background, unless it is being loaded already; never waits, never raises."""
        with self._lock:
            if id(resident) in self._loading:
                return
            self._loading.add(id(resident))
        try:
            self._pool.submit(self._load, resident)
        except RuntimeError:  # the server is ending
            self._loading.discard(id(resident))

    def close(self) -> None:
        """Load nothing more."""
        self._pool.shutdown(wait=False, cancel_futures=True)

    def _patience(self, wanted: Resident) -> float:
        """Seconds until somebody who was loaded lately may be let go, where there is no room otherwise."""
        with self._lock:
            idle = [each for each in self._residents if each.is_held() and not each.pinned and each is not wanted]
            total = wanted.size + sum(each.size for each in self._residents if each.is_held())
        if total <= self.budget or not idle:
            return 0.0
        return max(0.0, min(each.since for each in idle) + TURN_SECONDS - time.monotonic())

    def _load(self, resident: Resident) -> None:
        try:
            time.sleep(self._patience(resident))
            resident.try_again()
        finally:
            with self._lock:
                self._loading.discard(id(resident))
