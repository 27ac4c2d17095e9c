"""The audit trail of a workspace's journal."""

from charkh.core.errors import Invalid
from charkh.stores.audit import AuditReport, verify_chain
from charkh.stores.journal_folder import FolderJournal
from charkh.workspace.workspace import Workspace


def verify_audit(workspace: Workspace, *, head: str = "") -> AuditReport:
    """Verify every sealed fact; see `charkh.stores.audit.verify_chain`.

    Raises:
        Invalid: the journal is in a database, which keeps no chain, or `head` is no digest.
        Unavailable: the files cannot be read.
    """
    if not isinstance(workspace.journal, FolderJournal):
        raise Invalid(
            "a journal in PostgreSQL keeps no chain of its own",
            code="audit.no_chain",
            hint="Let the database's own means (roles, replicas, backups) guard its rows.",
        )
    return verify_chain(workspace.journal, head=head)
