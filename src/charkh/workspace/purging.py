"""Take what was ever erased off this machine: out of the packs, out of quarantine, out of the caches."""

import shutil
from typing import NamedTuple

from charkh.assets.lease import medium_now, only_collector
from charkh.assets.transfer import expunge
from charkh.assets.trash import clear_quarantine
from charkh.workspace.workspace import Workspace


class Purged(NamedTuple):
    """How many packs were written anew, and the keys in quarantine of which nobody can say what is in them."""

    packs: int
    unknown: tuple[str, ...]


def purge(workspace: Workspace) -> Purged:
    """Let no erased byte stay; caches are made anew from what is left.

    Raises:
        Locked: a collection is under way; the bytes leave with the next one.
    """
    vault = workspace.vault
    vault.erased.forget()
    erased = vault.erased.now()
    if not erased:
        return Purged(0, ())
    digests = [digest.hex() for digest in erased]
    workspace.file_cache.forget(digests)
    workspace.table_cache.forget(digests)
    shutil.rmtree(workspace.scratch, ignore_errors=True)
    with only_collector(workspace.blobs, medium_now(workspace.blobs)):
        unknown = clear_quarantine(vault, erased)
        return Purged(expunge(vault, erased), tuple(unknown))
