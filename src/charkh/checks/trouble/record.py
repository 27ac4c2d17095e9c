"""Record a search for trouble: facts about the table, the findings as a document, and rows that were set aside."""

from collections.abc import Collection, Sequence

import msgspec
import polars as pl

from charkh.checks.record import QUARANTINE
from charkh.checks.searched import MAX_FINDINGS, SEARCHED_KIND, Found, Searched
from charkh.checks.trouble.search import part
from charkh.checks.trouble.trouble import KINDS, Trouble
from charkh.core.events import Draft, Edge
from charkh.core.ids import new_id
from charkh.core.redact import redact
from charkh.datasets.add import add_table
from charkh.datasets.dataset import DatasetVersion
from charkh.ports.store import Store


def record_search(
    store: Store,
    version: DatasetVersion,
    frame: pl.DataFrame,
    troubles: Sequence[Trouble],
    *,
    kinds: Collection[str] = KINDS,
    aside: Collection[str] = (),
    keep_as: str = "",
) -> tuple[Searched, DatasetVersion | None]:
    """Record what was found in a version; what was recorded, and the version of the rows that are left.

    Facts about the dataset version are `trouble.KIND`: how many rows (for columns that tell the target: columns) are in
    that trouble, 0 where it was looked for and not found.

    Args:
        store: where it goes.
        version: that was looked through.
        frame: its table.
        troubles: what was found.
        kinds: what was looked for.
        aside: kinds whose rows become a version of `NAME.quarantine`, with their reasons.
        keep_as: name of a dataset of which the other rows become a version; none by default.
    """
    identifier = new_id()
    subject = f"search:{identifier}"
    chosen = [each for each in troubles if each.finding.kind in aside and len(each.rows)]
    good, bad = part(frame, chosen)
    quarantine = kept = None
    if chosen:
        quarantine = add_table(
            store,
            f"{version.made.name}.{QUARANTINE}",
            bad,
            message=f"set aside from {version.ref} for trouble",
            origins=[("quarantined_from", version.subject), ("found_by", subject)],
        )
    if keep_as:
        kept = add_table(
            store, keep_as, good, message=f"{version.ref} without trouble", origins=[("made_from", version.subject)]
        )
    document = store.vault.put_bytes(msgspec.json.encode([each.finding for each in troubles]), "trouble.json")
    store.vault.flush()
    body = Searched(
        search=identifier,
        about=version.subject,
        rows=frame.height,
        kinds=tuple(kind for kind in KINDS if kind in kinds),
        findings=tuple(_found(each) for each in troubles[:MAX_FINDINGS]),
        document=document,
        quarantine=quarantine.id if quarantine else "",
    )
    store.record(
        Draft(
            kind=SEARCHED_KIND,
            subject=subject,
            body=body,
            edges=(Edge(subject, "searches", version.subject),),
            facts={f"trouble.{kind}": _count(troubles, kind) for kind in body.kinds},
            about=version.subject,
            holds=(document.held,),
        ),
        durable=True,
    )
    return body, kept


def _found(each: Trouble) -> Found:
    finding = each.finding
    return Found(kind=finding.kind, columns=tuple(redact(name) for name in finding.columns), rows=finding.rows)


def _count(troubles: Sequence[Trouble], kind: str) -> int:
    found = [each.finding for each in troubles if each.finding.kind == kind]
    return len(found) if kind == "target_leak" else sum(each.rows for each in found)
