"""What lies beside packs and journal: caches, whose damaged copies go, and sealed predictions."""

from collections.abc import Iterator

from polars.exceptions import PolarsError

from charkh.core.errors import CharkhError
from charkh.endpoints.index import Endpoints
from charkh.endpoints.log_index import SealedSegments
from charkh.endpoints.table import from_parquet
from charkh.workspace.workspace import Workspace


def check_caches(workspace: Workspace) -> int:
    """Delete copies in caches that are not what they were; how many there were. They are made anew when needed."""
    return len(workspace.file_cache.verify()) + len(workspace.table_cache.verify())


def unreadable_predictions(workspace: Workspace) -> Iterator[str]:
    """The sealed segments whose predictions nobody can read any more, and why."""
    store = workspace.store
    for endpoint in store.queries.ask(Endpoints()):
        for sealed in store.queries.ask(SealedSegments(endpoint=endpoint.name)):
            if sealed.file is None:
                continue
            try:
                from_parquet(b"".join(store.vault.read(sealed.file)))
            except (CharkhError, PolarsError) as error:
                reason = error.message if isinstance(error, CharkhError) else "it is no Parquet file"
                yield f"segment {sealed.segment} of {endpoint.name} with {sealed.rows} rows: {reason}"
