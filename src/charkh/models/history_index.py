"""Everything that was decided about a model, in one list: who, when, why."""

from sqlalchemy import Connection, select

from charkh.models.lookups import keys_of, moves_of, names_of
from charkh.models.model import AliasMove
from charkh.models.registered import HistoryEntry, name_subject
from charkh.models.tables import DESCRIPTION, NAME, STAGE, TAG, deleted, known, removed, said, versions
from charkh.ports.projections import Query

_WHAT = {DESCRIPTION: "described", NAME: "renamed", STAGE: "stage"}
AT_ONCE = 400


class ModelHistory(Query[tuple[HistoryEntry, ...]], frozen=True, kw_only=True):
    """All that was decided about the model that is called `name`, or was when it was removed; the newest first."""

    name: str


def model_history(connection: Connection, query: ModelHistory) -> tuple[HistoryEntry, ...]:
    keys = keys_of(connection, query.name, gone=True)
    name = names_of(connection, keys)
    rows = connection.execute(
        select(versions, deleted.c.at, deleted.c.stamp.label("gone"), deleted.c.reason, deleted.c.actor.label("by"))
        .join(deleted, versions.c.id == deleted.c.id, isouter=True)
        .where(versions.c.model.in_(keys))
    ).all()
    subjects = {f"model:{row.id}": row.number for row in rows} | {name_subject(key): 0 for key in keys}
    entries = [
        HistoryEntry(
            at=row.created,
            actor=row.actor,
            what="version",
            value=f"{name.get(row.model, row.name)}@{row.number}",
            version=row.number,
            stamp=row.stamp,
        )
        for row in rows
    ]
    entries += [
        HistoryEntry(at=row.at, actor=row.by, what="deleted", version=row.number, reason=row.reason, stamp=row.gone)
        for row in rows
        if row.gone is not None
    ]
    entries += [_move_entry(move) for move in moves_of(connection, keys)]
    for table, what in ((known, "registered"), (removed, "removed")):
        for row in connection.execute(select(table).where(table.c.model.in_(keys))):
            reason = row.reason if table is removed else ""
            value = row.name if table is known else ""
            entries.append(
                HistoryEntry(at=row.at, actor=row.actor, what=what, value=value, reason=reason, stamp=row.stamp)
            )
    # One fact may say several things, such as the removal of all versions at once.
    everything = [*entries, *_said(connection, subjects)]
    everything.sort(key=lambda entry: (entry.stamp, entry.what, entry.version, entry.field), reverse=True)
    return tuple(everything)


def _said(connection: Connection, subjects: dict[str, int]) -> list[HistoryEntry]:
    found: list[HistoryEntry] = []
    ordered = sorted(subjects)
    for start in range(0, len(ordered), AT_ONCE):
        those = select(said).where(said.c.about.in_(ordered[start : start + AT_ONCE]))
        found += [
            HistoryEntry(
                at=row.at,
                actor=row.actor,
                what="tag" if row.field.startswith(TAG) else _WHAT[row.field],
                field=row.field.removeprefix(TAG) if row.field.startswith(TAG) else "",
                value=row.value or ("" if row.file is None else "text"),
                version=subjects[row.about],
                reason=row.reason,
                stamp=row.stamp,
            )
            for row in connection.execute(those)
        ]
    return found


def _move_entry(move: AliasMove) -> HistoryEntry:
    moved = move.moved
    return HistoryEntry(
        at=move.at,
        actor=move.actor,
        what="rollback" if moved.rollback else "override" if moved.override else "alias",
        field=moved.alias,
        value=f"{moved.name}@{move.number}" if moved.version else "",
        version=move.number,
        reason=moved.reason,
        decided_by=moved.decided_by,
        stamp=move.stamp,
    )
