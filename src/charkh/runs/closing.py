"""What the end of a run does with its segments: those that nobody writes any more are sealed."""

import logging
from collections.abc import Sequence

from charkh.core.errors import NotFound
from charkh.core.events import Draft
from charkh.ports.exchange import is_received
from charkh.ports.journal import DataHeader
from charkh.ports.store import Store
from charkh.runs.deferred import TROUBLES
from charkh.runs.seal import sealed_draft

_log = logging.getLogger("charkh")


def seal_closed(store: Store, subject: str, own: Sequence[str], *, others: bool) -> tuple[list[str], list[Draft]]:
    """Segments that may go once the facts are recorded; where that fails, whoever seals next has them still.

    Args:
        store: where they are.
        subject: whose they are, `run:id`.
        own: the segments that this process wrote.
        others: those that dead processes left of the same run too.
    """
    sealed: list[str] = []
    drafts: list[Draft] = []
    try:
        if own or others:
            # What could not be written before is tried again: until then the vault takes nothing more.
            store.vault.flush()
        for header in _closed(store, subject, own, others=others):
            try:
                draft = sealed_draft(store, header)
            except NotFound:
                # Another process has sealed it meanwhile.
                continue
            sealed.append(header.segment)
            drafts += [draft] if draft is not None else []
        if drafts:
            store.vault.flush()
    except TROUBLES as error:
        _log.warning("segments of run %s wait to be sealed: %s", subject.partition(":")[2], error)
        return [], []
    return sealed, drafts


def _closed(store: Store, subject: str, own: Sequence[str], *, others: bool) -> list[DataHeader]:
    return [
        each.header
        for each in store.journal.list_data()
        if each.header.subject == subject
        and not each.live
        and (others or each.header.segment in own)
        and not is_received(each.header)
    ]
