"""Make what was put durable, and refuse what was erased since: nobody comes to hold bytes that read as nothing.

A writer puts bytes first and names them afterwards. A person can be forgotten in between, with chunks that nothing
held yet; so whoever decides that something holds them says how much was erased when they were looked at, and the
decision refuses where more is erased by then (`refuse_erased_since`).
"""

from collections.abc import Iterable
from itertools import islice

from sqlalchemy import Connection

from charkh.assets.erasures import refuse_erased
from charkh.assets.index import ErasedCount, erased_count
from charkh.core.errors import Conflict
from charkh.core.files import TreeEntry
from charkh.ports.store import Store

ERASED_SINCE = "asset.erased_since"
_AT_ONCE = 1000


def flush(store: Store, files: Iterable[TreeEntry]) -> int:
    """Return when everything put so far is durable.

    Args:
        store: whose vault.
        files: what is to be held from now on and was not before.

    Returns:
        how many digests were erased when the files were looked at, for `refuse_erased_since`.

    Raises:
        Denied: a file is made of bytes that were erased.
        Unavailable, Conflict: as `charkh.ports.vault.Vault.flush`.
    """
    erased = store.queries.ask(ErasedCount())
    store.vault.flush()
    rest = iter(files)
    while erased and (some := list(islice(rest, _AT_ONCE))):
        for entry, whole in zip(some, store.vault.rely_on([entry.file for entry in some]), strict=True):
            if not whole:
                raise refuse_erased(bytes.fromhex(entry.file.digest), entry.path)
    return erased


def refuse_erased_since(connection: Connection, erased: int | None) -> None:
    """Refuse a decision about files that were looked at when so many digests were erased; None for none.

    Raises:
        Conflict: more are erased now.
    """
    if erased is not None and erased_count(connection, ErasedCount()) != erased:
        raise Conflict(
            "bytes were erased from this store meanwhile",
            code=ERASED_SINCE,
            hint="Run it again: it looks whether these are among them.",
        )
