"""What is only on this machine: versions, models and runs whose bytes no remote is known to have whole."""

import msgspec

from charkh.lineage.index import Holds
from charkh.ports.projections import Describe
from charkh.workspace.remotes import named_remotes
from charkh.workspace.syncing import only_here
from charkh.workspace.workspace import Workspace


class OnlyHere(msgspec.Struct, frozen=True, kw_only=True):
    """Something whose bytes would be lost with this machine.

    Attributes:
        subject: `noun:id`.
        noun: what it is.
        title: as a person calls it.
    """

    subject: str
    noun: str
    title: str


class SyncStatus(msgspec.Struct, frozen=True, kw_only=True):
    """What was exchanged, from memory.

    Attributes:
        remotes: names of the remotes in the settings.
        only_here: newest last.
    """

    remotes: tuple[str, ...]
    only_here: tuple[OnlyHere, ...]


def sync_status(workspace: Workspace) -> SyncStatus:
    """What no remote is known to have; no remote is asked."""
    queries = workspace.store.queries
    found: list[OnlyHere] = []
    for subject in subjects_only_here(workspace):
        described = queries.ask(Describe(subject=subject))
        noun = subject.partition(":")[0]
        found.append(OnlyHere(subject=subject, noun=noun, title=described.title if described else subject))
    return SyncStatus(remotes=tuple(sorted(named_remotes(workspace))), only_here=tuple(found))


def subjects_only_here(workspace: Workspace) -> tuple[str, ...]:
    """The subjects that hold something that no remote is known to have, oldest first."""
    alone = only_here(workspace)
    subjects = {subject for subject, digest in workspace.store.queries.ask(Holds()) if digest in alone}
    return tuple(sorted(subjects, key=lambda subject: subject.partition(":")[2]))
