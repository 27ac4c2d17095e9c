"""Shadows are asked what others were asked, beside the event loop, and nobody waits for what they say."""

import threading
import time
from concurrent.futures import ThreadPoolExecutor

from charkh.endpoints.in_use import WIDTH
from charkh.endpoints.instruments import noted
from charkh.endpoints.offer import Choice, Split
from charkh.endpoints.route import Request, Work, asked_alone

MOST = 64
"""Requests to shadows that wait or run; they are not asked about what is more."""


class Shadows:
    """Asks them; called from the event loop alone."""

    def __init__(self) -> None:
        self._pool = ThreadPoolExecutor(WIDTH, "charkh-shadow")
        self._room = threading.BoundedSemaphore(MOST)

    def ask(self, split: Split, choice: Choice, work: Work, request: Request) -> None:
        """Ask `choice.servable`, unless too many are being asked, and tell the split how that went."""
        if not self._room.acquire(blocking=False):
            return
        try:
            asked = self._pool.submit(_ask, split, choice, work, request)
            asked.add_done_callback(lambda _: self._room.release())
        except RuntimeError:  # the server has ended
            self._room.release()

    def close(self) -> None:
        """Ask none any more; those under way end by themselves."""
        self._pool.shutdown(wait=False, cancel_futures=True)


def _ask(split: Split, choice: Choice, work: Work, request: Request) -> None:
    started = time.perf_counter()
    failed = False
    try:
        asked_alone(choice.servable, work(choice.servable, request))
    except Exception:  # noqa: BLE001 (nobody waits for this answer)
        failed = True
    split.answered(
        choice._replace(route="shadow"), failed=failed, seconds=time.perf_counter() - started, rows=noted().rows
    )
