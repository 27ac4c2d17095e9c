"""Where the bytes of a version are kept beside this machine, from memory: no remote is asked."""

from collections.abc import Iterable, Mapping

from charkh.workspace.remote_record import FILE as RECORD_FILE
from charkh.workspace.remote_record import RemoteRecord
from charkh.workspace.remotes import REMOTES, UNNAMED, named_remotes
from charkh.workspace.workspace import Workspace

ONLY_HERE = "only here"
NOT_HERE = "not here"


def kept_at(workspace: Workspace, digests: Iterable[str]) -> Mapping[str, tuple[str, ...]]:
    """By held digest, the remotes that were known to have it, and everything below it, at the last sync."""
    wanted = sorted({bytes.fromhex(digest) for digest in digests})
    found: dict[str, tuple[str, ...]] = {digest.hex(): () for digest in wanted}
    for path in sorted((workspace.store_folder / REMOTES).glob(f"*/{RECORD_FILE}")):
        with RemoteRecord(path) as record:
            for digest in record.among(wanted):
                found[digest.hex()] += (_name(path.parent.name, record),)
    return found


def shown_whereabouts(workspace: Workspace, digests: Iterable[str]) -> Mapping[str, str] | None:
    """As a person reads it: names of remotes, else `only here`, or `not here`; None where no remote is configured."""
    if not named_remotes(workspace):
        return None
    has = workspace.vault.has
    return {
        digest: ", ".join(names) or (ONLY_HERE if has(digest) else NOT_HERE)
        for digest, names in kept_at(workspace, digests).items()
    }


def _name(name: str, record: RemoteRecord) -> str:
    """What a person calls a remote: one that was given by its address has no other name."""
    return (record.address or name) if name.startswith(UNNAMED) else name
