"""The path of everything that is logged besides numbers: check, one encoding, one append.

Only what is of a wrong type raises. What is too large, or what a disk does not take, is reported once, counted, and
the run shows as incomplete: a training loop goes on.
"""

import time
from collections.abc import Mapping
from typing import Any, cast

import msgspec

from charkh.core.errors import Invalid
from charkh.ports.journal import Journal
from charkh.runs.media import CONTENT, checked_kind
from charkh.runs.points_log import checked_moment, checked_step
from charkh.runs.segment_log import SegmentLog
from charkh.runs.values import checked_key

ROTATE_BYTES = 32 * 1024 * 1024
MAX_ITEM_BYTES = 32 * 1024 * 1024
MAX_DETAILS_BYTES = 16 * 1024
MAX_MIME = 100
_encode = msgspec.msgpack.Encoder().encode


class MediaLog(SegmentLog):
    """The media of one process in one run.

    Threads: may be shared; two threads that log one key without a step may share a step.
    Fork: the child goes on in a segment and under a writer's name of its own.
    """

    what = "media"

    def __init__(self, journal: Journal, run: str, writer: str, rotate_bytes: int = ROTATE_BYTES) -> None:
        super().__init__(journal, CONTENT, run, writer, rotate_bytes)
        self._next: dict[str, int] = {}

    def continue_from(self, steps: Mapping[str, int]) -> None:
        """Let items without a step go on: by key, the step that the next one has."""
        self._next.update(steps)

    def log(
        self,
        key: str,
        kind: str,
        payload: bytes,
        *,
        step: int | None,
        moment: float | None,
        mime: str,
        details: Mapping[str, Any],
    ) -> None:
        """Append one item; see `charkh.runs.show.Shows.log_media`."""
        name, what = checked_key(key, "media key"), checked_kind(kind)
        if not isinstance(payload, bytes | bytearray | memoryview):  # pyright: ignore[reportUnnecessaryIsInstance]
            raise Invalid(
                f"the item {name!r} is {type(cast(object, payload)).__name__}, not bytes",
                code="run.bad_media",
                hint="Encode it, or use log_text, log_table, log_image, log_audio or log_histogram.",
            )
        data, said, moment = bytes(payload), _details(name, details), checked_moment(moment or time.time())
        at = self._next.get(name, 0) if step is None else checked_step(step)
        if step is None:
            self._next[name] = at + 1
        if len(data) > MAX_ITEM_BYTES:
            self.drop(
                f"{name!r} has {len(data)} bytes, more than {MAX_ITEM_BYTES}: make it smaller, or add it as an artifact"
            )
            return
        self.append(_encode((moment, at, name, what, str(mime)[:MAX_MIME], said, data)))


def _details(key: str, details: Mapping[str, Any]) -> dict[str, Any]:
    try:
        plain: dict[str, Any] = msgspec.to_builtins(dict(details), str_keys=True)
        size = len(_encode(plain))
    except (TypeError, ValueError, OverflowError, RecursionError, msgspec.MsgspecError) as error:
        raise Invalid(
            f"the details of {key!r} have no JSON form: {error}",
            code="run.bad_media",
            hint="Use numbers, text, booleans, None, lists and dictionaries.",
        ) from error
    if size > MAX_DETAILS_BYTES:
        raise Invalid(
            f"the details of {key!r} take {size} bytes, more than {MAX_DETAILS_BYTES}",
            code="run.bad_media",
            hint="Put what is long into the payload.",
        )
    return plain
