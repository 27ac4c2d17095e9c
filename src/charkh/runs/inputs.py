"""Data that a run was told to have used, named by whoever logged it: facts, and their part of the catalog.

A dataset version of this store is linked by `ActiveRun.use`; what stands here comes from clients that know their data
by a name, a digest of their own, and a description of where it lies. Where that names a version of this store, the
fact has the edge as well.
"""

from collections.abc import Sequence
from typing import Literal

import msgspec
from sqlalchemy import Column, Connection, LargeBinary, MetaData, String, Table, select

from charkh.core.events import Draft, Edge, Event, body_of
from charkh.core.files import FileRef
from charkh.core.redact import redact
from charkh.ports.folding import keep_rows
from charkh.ports.projections import Projection, Query
from charkh.ports.store import Store
from charkh.runs.query import compare
from charkh.runs.tables import runs

INPUT_KIND = "run.input/1"
MAX_SHORT = 500
"""Characters of a text that stands in the event; longer ones are bytes in the vault."""

IDS_AT_ONCE = 500


class RunInput(msgspec.Struct, frozen=True, kw_only=True):
    """Body of `run.input/1`; of two with one name and digest the earlier stays.

    Attributes:
        run: id of the run.
        name: of the data, as it was logged.
        digest: as whoever logged it computes one.
        source_type: such as `local`, `s3`, `code`.
        source: where it lies, as it was told; the beginning of a long text.
        context: what it was used for, such as `training`.
        tags: short labels, the context apart.
        long_source: the whole of a long `source`.
        schema: columns and types, as it was logged.
        profile: counts and statistics, as they were logged.
    """

    run: str
    name: str
    digest: str
    source_type: str = ""
    source: str = ""
    context: str = ""
    tags: dict[str, str] = {}
    long_source: FileRef | None = None
    schema: FileRef | None = None
    profile: FileRef | None = None


METADATA = MetaData()
inputs = Table(
    "run_input",
    METADATA,
    Column("run", String, primary_key=True),
    Column("name", String, primary_key=True, index=True),
    Column("digest", String, primary_key=True, index=True),
    Column("context", String, index=True),
    Column("body", LargeBinary, nullable=False),
    Column("stamp", String, nullable=False),
)
_decode = msgspec.msgpack.Decoder(RunInput).decode


class InputsOfRuns(Query[dict[str, tuple[RunInput, ...]]], frozen=True, kw_only=True):
    """By run, what it was told to have used, in the order in which it was told."""

    runs: tuple[str, ...]


class RunsWithInput(Query[tuple[str, ...]], frozen=True, kw_only=True):
    """Ids of the runs that have an input whose `name`, `digest` or `context` compares as it should.

    Attributes:
        word: which of the three.
        operator: of `charkh.runs.query.OPERATORS`.
        values: one, or several for `in` and `not in`.
    """

    word: Literal["name", "digest", "context"]
    operator: str
    values: tuple[str, ...]


class InputsInProjects(Query[tuple["NamedInput", ...]], frozen=True, kw_only=True):
    """What the runs of some projects were told to have used, each once; at most `limit`."""

    projects: tuple[str, ...]
    limit: int


class NamedInput(msgspec.Struct, frozen=True, array_like=True):
    """Data that some run of a project used."""

    project: str
    name: str
    digest: str
    context: str


def input_draft(
    store: Store,
    run: str,
    *,
    name: str,
    digest: str,
    source_type: str = "",
    source: str = "",
    context: str = "",
    tags: dict[str, str] | None = None,
    schema: str = "",
    profile: str = "",
    version: str = "",
) -> Draft:
    """A run used data that is called so; long texts are put into the vault.

    Args:
        store: where the bytes go; the caller flushes the vault before it records.
        run: id.
        name, digest, source_type, source, context, tags, schema, profile: as `RunInput` says.
        version: the subject of a dataset version of this store that it is, or empty.

    Raises:
        Unavailable: the vault cannot be written.
    """
    clean = redact(source)
    files = {
        what: store.vault.put_bytes(redact(text).encode(), f"{what}.json")
        for what, text in (
            ("schema", schema),
            ("profile", profile),
            ("source", clean if len(clean) > MAX_SHORT else ""),
        )
        if text
    }
    body = RunInput(
        run=run,
        name=redact(name)[:MAX_SHORT],
        digest=redact(digest)[:MAX_SHORT],
        source_type=redact(source_type)[:MAX_SHORT],
        source=clean[:MAX_SHORT],
        context=redact(context)[:MAX_SHORT],
        tags={key[:MAX_SHORT]: redact(value)[:MAX_SHORT] for key, value in (tags or {}).items()},
        long_source=files.get("source"),
        schema=files.get("schema"),
        profile=files.get("profile"),
    )
    edges = (Edge(f"run:{run}", "used", version),) if version else ()
    held = tuple(sorted({file.held for file in files.values()}))
    return Draft(kind=INPUT_KIND, subject=f"run:{run}", body=body, edges=edges, holds=held)


def inputs_of_runs(connection: Connection, query: InputsOfRuns) -> dict[str, tuple[RunInput, ...]]:
    found: dict[str, list[RunInput]] = {}
    for start in range(0, len(query.runs), IDS_AT_ONCE):
        ids = query.runs[start : start + IDS_AT_ONCE]
        statement = select(inputs.c.body).where(inputs.c.run.in_(ids)).order_by(inputs.c.run, inputs.c.stamp)
        for body in map(_decode, connection.execute(statement).scalars()):
            found.setdefault(body.run, []).append(body)
    return {run: tuple(several) for run, several in found.items()}


def runs_with_input(connection: Connection, query: RunsWithInput) -> tuple[str, ...]:
    column = inputs.c[query.word]
    known = connection.execute(select(column).distinct()).scalars()
    fitting = [value for value in known if compare(value, query.operator, query.values)]
    found: set[str] = set()
    for start in range(0, len(fitting), IDS_AT_ONCE):
        some = fitting[start : start + IDS_AT_ONCE]
        found.update(connection.execute(select(inputs.c.run).where(column.in_(some)).distinct()).scalars())
    return tuple(sorted(found))


def inputs_in_projects(connection: Connection, query: InputsInProjects) -> tuple[NamedInput, ...]:
    columns = (runs.c.project, inputs.c.name, inputs.c.digest, inputs.c.context)
    statement = select(*columns).join(runs, runs.c.id == inputs.c.run).where(runs.c.project.in_(query.projects))
    rows = connection.execute(statement.distinct().order_by(*columns).limit(query.limit))
    return tuple(NamedInput(row.project, row.name, row.digest, row.context) for row in rows)


def fold(connection: Connection, events: Sequence[Event]) -> None:
    """Fold events of this part's kind, whatever their order and grouping."""
    rows = [
        {
            "run": body.run,
            "name": body.name,
            "digest": body.digest,
            "context": body.context,
            "body": bytes(event.body),
            "stamp": event.stamp,
        }
        for event, body in ((event, body_of(event, RunInput)) for event in events)
    ]
    keep_rows(connection, inputs, rows, stamp="stamp", keep="earliest")


PROJECTION = Projection(
    name="run_input",
    version=1,
    tables=METADATA,
    kinds=frozenset({INPUT_KIND}),
    fold=fold,
    answers={InputsOfRuns: inputs_of_runs, RunsWithInput: runs_with_input, InputsInProjects: inputs_in_projects},
)
