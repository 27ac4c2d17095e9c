"""The end of a process that serves: it comes, whatever in it still computes."""

import logging
import os
import threading

SPARE = 3.0
"""Seconds for what is closed after the grace: logs, files, connections."""
_log = logging.getLogger("charkh")


def end_within(seconds: float) -> None:
    """End this process after so many seconds, where it has not ended by itself; called when it is told to end.

    Python waits for every thread that still computes, so that one model that hangs would keep it for ever.
    """
    timer = threading.Timer(seconds, _end)
    timer.daemon = True
    timer.start()


def _end() -> None:
    _log.error("the process ends although something in it still computes")
    logging.shutdown()
    os._exit(0)
