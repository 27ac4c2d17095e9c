"""Prove a lock: every pinned version is known, is what the lock says, and its bytes are where others can have them."""

from collections.abc import Sequence
from typing import Literal

import msgspec

from charkh.assets.reach import reach
from charkh.core.lock import Lock, Pin
from charkh.pipelines.index import StepById
from charkh.workspace.locking import known_version
from charkh.workspace.workspace import Workspace

Problem = Literal["", "unknown", "deleted", "different", "missing"]


class Verified(msgspec.Struct, frozen=True, kw_only=True):
    """A pin and what is wrong with it.

    Attributes:
        pin: as the lock has it.
        problem: `unknown` to this store and the remotes, `deleted`, `different` from what was recorded under its id,
            `missing` its bytes; empty where all is as it should be.
        detail: the problem in words.
    """

    pin: Pin
    problem: Problem
    detail: str = ""


def verify(workspace: Workspace, lock: Lock, remote: str = "") -> tuple[Verified, ...]:
    """Look at every pin.

    Args:
        workspace: whose store is asked.
        lock: what is verified.
        remote: the bytes must be there; without it, here or there where a remote is configured.

    Raises:
        NotFound: there is no such remote.
        Unavailable: it cannot be reached.
    """
    return tuple(_verified(workspace, pin) for pin in lock.pins)


def missing_here(workspace: Workspace, roots: Sequence[str]) -> tuple[str, ...]:
    """The digests at and below these roots that are not in this store; what was erased is not missing."""
    vault = workspace.vault
    found = reach(vault, roots, vault.erased.now())
    return tuple(sorted(digest.hex() for digest in found.missing | found.unknown))


def _verified(workspace: Workspace, pin: Pin) -> Verified:
    known, deleted = _recorded_root(workspace, pin)
    if not known:
        return Verified(pin=pin, problem="unknown", detail="no fact tells of it; whoever pinned it has not pushed it")
    if known != pin.root:
        detail = f"recorded with the files {known[:12]}, pinned with {pin.root[:12]}"
        return Verified(pin=pin, problem="different", detail=detail)
    if deleted:
        return Verified(pin=pin, problem="deleted", detail="its bytes need no longer be kept")
    missing = missing_here(workspace, [pin.root])
    if missing:
        return Verified(pin=pin, problem="missing", detail=f"{len(missing)} parts of it are not in this store")
    return Verified(pin=pin, problem="")


def _recorded_root(workspace: Workspace, pin: Pin) -> tuple[str, bool]:
    """The tree that was recorded under the pin's id, empty where none was; and whether it was deleted."""
    if pin.kind == "step":
        record = workspace.store.queries.ask(StepById(step=pin.id))
        return (record.done.output.root, record.forgotten) if record is not None else ("", False)
    version = known_version(workspace.store, pin)
    return (version.made.tree.root, version.deleted is not None) if version is not None else ("", False)
