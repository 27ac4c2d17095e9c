"""What a lock needs from elsewhere: facts that tell of its pins, and their bytes."""

from collections.abc import Sequence

from charkh.assets.reach import reach
from charkh.core.lock import Pin
from charkh.workspace.locking import recorded_root
from charkh.workspace.remotes import named_remotes
from charkh.workspace.syncing import fetch, missing_at, sync
from charkh.workspace.workspace import Workspace


def learn(workspace: Workspace, pins: Sequence[Pin], remote: str = "") -> None:
    """Take the facts of a remote where some pin is not known here; nothing where there is no remote to ask.

    Raises:
        NotFound: there is no such remote.
        Unavailable: it cannot be reached.
    """
    unknown = any(not recorded_root(workspace.store, pin)[0] for pin in pins)
    if unknown and (remote or named_remotes(workspace)):
        sync(workspace, remote, push=False, facts_only=True)


def bring(workspace: Workspace, pins: Sequence[Pin], remote: str = "") -> tuple[Pin, ...]:
    """Fetch the bytes of pins that are not here whole; the pins whose bytes nobody has.

    Raises:
        NotFound: there is no such remote.
        Unavailable: it cannot be reached.
    """
    absent = [pin for pin in pins if missing_here(workspace, [pin.root])]
    if absent and (remote or named_remotes(workspace)):
        fetch(workspace, [pin.root for pin in absent], remote)
        absent = [pin for pin in absent if missing_here(workspace, [pin.root])]
    return tuple(absent)


def not_to_be_had(workspace: Workspace, pins: Sequence[Pin], remote: str = "") -> frozenset[str]:
    """Ids of the pins whose bytes are not at the remote; without one, neither here nor at the default remote.

    Raises:
        NotFound: there is no such remote.
        Unavailable: it cannot be reached.
    """
    if not remote:
        pins = [pin for pin in pins if missing_here(workspace, [pin.root])]
    if pins and (remote or named_remotes(workspace)):
        absent = missing_at(workspace, remote, [pin.root for pin in pins])
        pins = [pin for pin in pins if pin.root in absent]
    return frozenset(pin.id for pin in pins)


def missing_here(workspace: Workspace, roots: Sequence[str]) -> tuple[str, ...]:
    """The digests at and below these roots that are not in this store; what was erased is not missing."""
    vault = workspace.vault
    found = reach(vault, roots, vault.erased.now())
    return tuple(sorted(digest.hex() for digest in found.missing | found.unknown))
