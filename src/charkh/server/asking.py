"""Who asks, for as long as one request is answered: set where the caller is admitted, read where a store is opened."""

from contextvars import ContextVar

from charkh.core.errors import Bug
from charkh.users.caller import Caller

_caller: ContextVar[Caller | None] = ContextVar("charkh_caller", default=None)


def asked_by(caller: Caller) -> None:
    """From here on, this request is answered for `caller`; threads that it starts know it, too."""
    _caller.set(caller)


def who_asks() -> Caller:
    """The caller of this request.

    Raises:
        Bug: nobody was admitted: a route without a caller must not open a store.
    """
    caller = _caller.get()
    if caller is None:
        raise Bug("a store was opened for a request that nobody was admitted for")
    return caller
