"""Seal closed prediction segments: their records become a Parquet file in the vault, then the segment goes.

Every step can be cut off and done again: the file is durable before the fact that names it, the fact before the
segment is dropped, and a segment that is still there although it is sealed is only dropped.
"""

from charkh.core.events import Draft, Edge
from charkh.core.refs import parse_subject
from charkh.endpoints.deployment import SEALED_KIND, Sealed
from charkh.endpoints.log import CONTENT
from charkh.endpoints.log_index import SealedSegment
from charkh.endpoints.table import source_of, table_of, to_parquet
from charkh.ports.journal import DataHeader
from charkh.ports.store import Store


def seal(store: Store, endpoint: str = "") -> int:
    """Seal the closed prediction segments of an endpoint, or of all; how many were sealed.

    Raises:
        Corrupt: a record is no logged request; the segments before it are sealed.
        Locked: another process holds the journal for too long.
    """
    done = 0
    for segment in store.journal.list_data():
        header = segment.header
        wanted = not endpoint or header.subject == f"endpoint:{endpoint}"
        if header.content == CONTENT and wanted and not segment.live:
            done += _seal_one(store, header)
    return done


def _seal_one(store: Store, header: DataHeader) -> bool:
    if store.queries.ask(SealedSegment(segment=header.segment)) is not None:
        store.journal.drop_data(header.segment)
        return False
    body = _written(store, header)
    with store.journal.exclusive():
        fresh = store.queries.ask(SealedSegment(segment=header.segment)) is None
        if fresh:
            store.record(_draft(body), durable=True)
        store.journal.drop_data(header.segment)
    return fresh


def _written(store: Store, header: DataHeader) -> Sealed:
    source = source_of(header)
    table = table_of(store.journal.read_data(header.segment))
    file = None
    if table.height:
        file = store.vault.put_bytes(to_parquet(table), f"{header.segment}.parquet")
        store.vault.flush()
    times = table["@time"] if table.height else None
    return Sealed(
        endpoint=parse_subject(header.subject).id,
        deployment=source.deployment,
        model=source.model,
        version=source.version,
        segment=header.segment,
        file=file,
        records=table["@ordinal"].n_unique() if table.height else 0,
        rows=table.height,
        first=0.0 if times is None else float(times.min()),  # pyright: ignore[reportArgumentType]
        last=0.0 if times is None else float(times.max()),  # pyright: ignore[reportArgumentType]
    )


def _draft(body: Sealed) -> Draft:
    subject = f"predictions:{body.segment}"
    return Draft(
        kind=SEALED_KIND,
        subject=subject,
        body=body,
        edges=(Edge(subject, "answered_by", f"deployment:{body.deployment}"),),
        holds=(body.file.held,) if body.file else (),
    )
