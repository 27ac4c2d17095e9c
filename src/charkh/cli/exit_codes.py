"""Which exit code an error gives: one table, by what the caller can do about it (docs/reference/errors.md)."""

from charkh.core.errors import (
    Bug,
    CharkhError,
    Conflict,
    Corrupt,
    Denied,
    GateRefused,
    Incomplete,
    Invalid,
    Locked,
    NotFound,
    Throttled,
    Unauthenticated,
    Unavailable,
)

DONE = 0
USAGE = 2
NO_WORKSPACE = 10
INTERRUPTED = 130
BROKEN_PIPE = 141

EXIT_CODES: dict[type[CharkhError], int] = {
    CharkhError: 1,
    Bug: 1,
    Invalid: USAGE,
    Incomplete: 3,
    GateRefused: 4,
    Locked: 11,
    Denied: 12,
    Unauthenticated: 12,
    NotFound: 13,
    Conflict: 14,
    Corrupt: 15,
    Unavailable: 16,
    Throttled: 16,
}

WORKSPACE_MISSING = "workspace.not_found"


def exit_code(error: CharkhError) -> int:
    """The exit code of an error: its class's, or 10 where there is no workspace at all."""
    if error.code == WORKSPACE_MISSING:
        return NO_WORKSPACE
    return next(EXIT_CODES[kind] for kind in type(error).__mro__ if kind in EXIT_CODES)
