"""Bring back what is damaged or missing: from remotes, and from working copies that still hold what they held."""

from collections.abc import Iterable

from blake3 import blake3

from charkh.core.errors import CharkhError
from charkh.workspace.damage import Damage
from charkh.workspace.syncing import fetch
from charkh.workspace.workspace import Workspace


def refetch(workspace: Workspace, missing: Iterable[str]) -> tuple[str, ...]:
    """Bring these chunks and nodes, and what is below them; the digests that nobody has.

    Args:
        workspace: whose store lacks them.
        missing: digests; no pack of the store may have them damaged (`charkh.assets.verify` sets such packs aside).
    """
    left = set(missing)
    if left and workspace.settings.remote:
        left = set(fetch(workspace, left))
    if left:
        _from_working_copies(workspace, left)
        left = {digest for digest in left if not workspace.vault.has(digest)}
    return tuple(sorted(left))


def _from_working_copies(workspace: Workspace, missing: set[str]) -> None:
    """Put files again that a checkout or an addition saw with a content that is not whole."""
    vault = workspace.vault
    wanted = {each.digest for each in Damage(workspace, missing).contents()}
    done: set[str] = set()
    for digest, place in workspace.stat_cache.holding(wanted | missing):
        try:
            if digest not in done and blake3().update_mmap(place).hexdigest() == digest:
                vault.put_file(place)
                done.add(digest)
        except (CharkhError, OSError):
            # It went, cannot be read or changes just now: there may be another copy.
            continue
    vault.flush()
