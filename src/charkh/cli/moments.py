"""Points in time as a person types them: a date, a time, or how long from now."""

import contextlib
import time
from datetime import datetime

from charkh.core.errors import Invalid
from charkh.core.quantities import parse_duration


def moment_of(text: str) -> float:
    """Seconds since the epoch; a time without a zone is the local one, and `30d` is so long from now.

    Raises:
        Invalid: it is neither.
    """
    with contextlib.suppress(ValueError, OverflowError):
        return datetime.fromisoformat(text).astimezone().timestamp()
    try:
        return time.time() + parse_duration(text)
    except Invalid as error:
        raise Invalid(
            f"{text!r} is no time", code="model.bad_time", hint="Write 2026-12-31, 2026-12-31T12:00 or 30d."
        ) from error
