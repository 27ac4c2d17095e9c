"""Data segments that other machines write: who takes their records, and when they go."""

from collections.abc import Sequence

from charkh.core.errors import Invalid
from charkh.ports.exchange import DataExchange, is_received
from charkh.ports.journal import Journal
from charkh.runs.held import HeldAmong
from charkh.runs.index import SealedAmong
from charkh.stores.journal_folder import FolderJournal
from charkh.workspace.workspace import Workspace


def receiver_of(journal: Journal) -> DataExchange:
    """What takes records into a workspace's own journal."""
    if isinstance(journal, FolderJournal):
        return journal
    # Here, because a store in a folder should not wait for PostgreSQL's dialect to load.
    from charkh.stores.journal_postgres import PostgresJournal

    if isinstance(journal, PostgresJournal):
        return journal
    raise Invalid(
        f"a {type(journal).__name__} takes no records", code="remote.no_exchange", hint="Use a store in a folder."
    )


def sealed_among(workspace: Workspace, segments: Sequence[str]) -> frozenset[str]:
    """Those of these data segments whose facts are here: points, media or console lines."""
    if not segments:
        return frozenset()
    ask = workspace.store.queries.ask
    return frozenset(ask(SealedAmong(segments=tuple(segments)))) | frozenset(ask(HeldAmong(segments=tuple(segments))))


def drop_sealed(workspace: Workspace) -> int:
    """Let go of received segments whose facts have come; how many there were."""
    received = [each.header.segment for each in workspace.journal.list_data() if is_received(each.header)]
    sealed = sealed_among(workspace, received)
    for segment in sealed:
        workspace.journal.drop_data(segment)
    return len(sealed)
