"""Prove a lock: every pinned version is known, is what the lock says, and its bytes are where others can have them."""

from typing import Literal

import msgspec

from charkh.core.lock import Lock, Pin
from charkh.workspace.lock_bytes import learn, not_to_be_had
from charkh.workspace.locking import recorded_root
from charkh.workspace.workspace import Workspace

Problem = Literal["", "unknown", "deleted", "different", "missing"]


class Verified(msgspec.Struct, frozen=True, kw_only=True):
    """A pin and what is wrong with it.

    Attributes:
        pin: as the lock has it.
        problem: `unknown` to this store and the remote, `deleted`, `different` from what was recorded under its id,
            `missing` its bytes; empty where all is as it should be.
        detail: the problem in words.
    """

    pin: Pin
    problem: Problem = ""
    detail: str = ""


def verify(workspace: Workspace, lock: Lock, remote: str = "") -> tuple[Verified, ...]:
    """Look at every pin; facts that are lacking here are taken from the remote first.

    Args:
        workspace: whose store is asked.
        lock: what is verified.
        remote: name or address: the bytes must be there. Without it they must be here, or at the default remote.

    Raises:
        NotFound: there is no such remote.
        Unavailable: it cannot be reached.
    """
    learn(workspace, lock.pins, remote)
    facts = {pin.id: _fact_problem(workspace, pin) for pin in lock.pins}
    sound = [pin for pin in lock.pins if not facts[pin.id].problem]
    absent = not_to_be_had(workspace, sound, remote)
    where = f"at {remote}" if remote else "in this store, nor at a remote"
    lost = f"its bytes are not {where}: nobody has pushed them"
    return tuple(
        Verified(pin=pin, problem="missing", detail=lost) if pin.id in absent else facts[pin.id] for pin in lock.pins
    )


def _fact_problem(workspace: Workspace, pin: Pin) -> Verified:
    known, deleted = recorded_root(workspace.store, pin)
    if not known:
        return Verified(pin=pin, problem="unknown", detail="no fact tells of it: whoever pinned it has not pushed it")
    if known != pin.root:
        detail = f"recorded with the files {known[:12]}, pinned with {pin.root[:12]}"
        return Verified(pin=pin, problem="different", detail=detail)
    if deleted:
        return Verified(pin=pin, problem="deleted", detail="its bytes need no longer be kept")
    return Verified(pin=pin)
