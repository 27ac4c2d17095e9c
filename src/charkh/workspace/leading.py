"""Which of the processes of a store does what only one of them should, such as turning the loops."""

from charkh.ports.leadership import Leadership
from charkh.stores.journal_folder import FolderJournal
from charkh.stores.leadership_folder import FolderLeadership
from charkh.workspace.workspace import Workspace


def leadership_of(workspace: Workspace, work: str) -> Leadership:
    """The leadership of a piece of work among all processes that have this store open.

    Args:
        workspace: one of them.
        work: such as `loops`: what is led under one name is led by one process.
    """
    if isinstance(workspace.journal, FolderJournal):
        return FolderLeadership(workspace.store_folder / f"leader-{work}.lock")
    # Here, because a store in a folder should not wait for PostgreSQL's dialect to load.
    from charkh.stores.journal_postgres import PostgresJournal
    from charkh.stores.leadership_postgres import PostgresLeadership

    journal = workspace.journal
    if isinstance(journal, PostgresJournal):
        return PostgresLeadership(journal.engine, journal.schema, work)
    return FolderLeadership(workspace.store_folder / f"leader-{work}.lock")
