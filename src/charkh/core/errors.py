"""The one error tree of charkh; a class says what the caller can do about it.

    CharkhError
    ├── Invalid        (ValueError)       the input is wrong: mend it and call again
    ├── NotFound       (LookupError)      nothing has that name or id
    ├── Conflict                          it is taken, or two colleagues decided differently
    ├── Locked         (TimeoutError)     another process holds the lock
    ├── Denied         (PermissionError)  policy or erasure forbids it
    │   └── Unauthenticated               nobody knows who asks: show a token that is known here
    ├── Corrupt                           stored bytes are not what their digest says
    ├── Unavailable    (OSError)          a medium, server or extra cannot be used now
    │   └── Throttled                     too much was asked in too short a time: wait and ask again
    ├── GateRefused                       a gate looked and said no
    ├── Incomplete                        some items of a bulk verb failed; the rest is done
    └── Bug            (RuntimeError)     charkh itself is wrong: please report it

Exit codes and HTTP statuses are chosen at the edges (`cli/exit_codes.py`, `server/problems.py`).
"""

from collections.abc import Mapping
from typing import ClassVar


class CharkhError(Exception):
    """Something charkh could not do.

    Args:
        message: what happened, and to what.
        code: a stable dotted code such as `dataset.not_found`; defaults to the class's own.
        hint: what to do next, one sentence.
        facts: machine-readable details.
    """

    default_code: ClassVar[str] = "error"

    def __init__(
        self,
        message: str,
        *,
        code: str = "",
        hint: str = "",
        facts: Mapping[str, object] | None = None,
    ) -> None:
        super().__init__(message)
        self.message = message
        self.code = code or self.default_code
        self.hint = hint
        self.facts = dict(facts or {})

    def __str__(self) -> str:
        return f"{self.message}\n  hint: {self.hint}" if self.hint else self.message


class Invalid(CharkhError, ValueError):
    default_code = "invalid"


class NotFound(CharkhError, LookupError):
    default_code = "not_found"


class Conflict(CharkhError):
    default_code = "conflict"


class Locked(CharkhError, TimeoutError):
    default_code = "locked"


class Denied(CharkhError, PermissionError):
    default_code = "denied"


class Unauthenticated(Denied):
    default_code = "unauthenticated"


class Corrupt(CharkhError):
    default_code = "corrupt"


class Unavailable(CharkhError, OSError):
    default_code = "unavailable"


class Throttled(Unavailable):
    default_code = "throttled"


class GateRefused(CharkhError):
    default_code = "gate.refused"


class Incomplete(CharkhError):
    default_code = "incomplete"


class Bug(CharkhError, RuntimeError):
    default_code = "bug"


def error_classes() -> tuple[type[CharkhError], ...]:
    """Every class of the tree, root first; the edge tables are tested against it."""
    return (
        CharkhError,
        Invalid,
        NotFound,
        Conflict,
        Locked,
        Denied,
        Unauthenticated,
        Corrupt,
        Unavailable,
        Throttled,
        GateRefused,
        Incomplete,
        Bug,
    )
