"""Scorers: judges of answers, kept as their clients serialize them, in numbered versions of a name in a project.

Nothing in a scorer is ever run or loaded here.
"""

from collections.abc import Sequence

import msgspec
from sqlalchemy import Column, Connection, Integer, LargeBinary, MetaData, String, Table, func, select

from charkh.core.clock import seconds
from charkh.core.errors import NotFound
from charkh.core.events import Draft, Event, body_of
from charkh.core.files import FileRef
from charkh.core.redact import redact
from charkh.ports.folding import add_rows
from charkh.ports.projections import Command, Projection, Query
from charkh.ports.store import Store

REGISTERED_KIND = "run.scorer/1"
REMOVED_KIND = "run.scorer_removed/1"
MAX_NAME = 256


class ScorerRegistered(msgspec.Struct, frozen=True, kw_only=True):
    """Body of `run.scorer/1`: `project` is an id, `content` the scorer as its client serialized it."""

    project: str
    name: str
    number: int
    content: FileRef


class ScorerRemoved(msgspec.Struct, frozen=True, kw_only=True):
    """Body of `run.scorer_removed/1`: these versions are gone; their numbers are never given again."""

    project: str
    name: str
    numbers: tuple[int, ...]


class Scorer(msgspec.Struct, frozen=True, kw_only=True):
    """A version of a scorer as the catalog answers it; `created` is seconds since the epoch."""

    project: str
    name: str
    number: int
    content: FileRef
    id: str
    created: float


class RegisterScorer(Command, frozen=True, kw_only=True):
    """Give a scorer the next number of its name; its bytes are in the vault."""

    project: str
    name: str
    content: FileRef


class ScorersIn(Query[tuple[Scorer, ...]], frozen=True, kw_only=True):
    """The versions of the scorers of a project by name and number; of one name, where it is given."""

    project: str
    name: str = ""


METADATA = MetaData()
scorers = Table(
    "run_scorer",
    METADATA,
    Column("event", String, primary_key=True),
    Column("project", String, nullable=False, index=True),
    Column("name", String, nullable=False),
    Column("number", Integer, nullable=False),
    Column("body", LargeBinary, nullable=False),
    Column("stamp", String, nullable=False),
)
gone = Table(
    "run_scorer_gone",
    METADATA,
    Column("project", String, primary_key=True),
    Column("name", String, primary_key=True),
    Column("number", Integer, primary_key=True),
)
_registered = msgspec.msgpack.Decoder(ScorerRegistered).decode


def register_scorer(store: Store, project: str, name: str, serialized: str) -> Scorer:
    """Keep a scorer as the next version of its name.

    Raises:
        Unavailable: the store cannot be written.
    """
    file = store.vault.put_bytes(serialized.encode(), "scorer.json")
    store.vault.flush()
    (event,) = store.commands.decide(RegisterScorer(project=project, name=redact(name)[:MAX_NAME], content=file))
    return _scorer(event.id, event.stamp, body_of(event, ScorerRegistered))


def find_scorer(store: Store, project: str, name: str, number: int | None = None) -> Scorer:
    """A version of a scorer, the newest where no number is given.

    Raises:
        NotFound: there is none.
    """
    found = [each for each in store.queries.ask(ScorersIn(project=project, name=name)) if number in {None, each.number}]
    if not found:
        raise NotFound(
            f"there is no scorer {redact(name)[:80]!r} in the project {project}",
            code="scorer.not_found",
            hint="Ask for the list of them.",
        )
    return found[-1]


def remove_scorer(store: Store, project: str, name: str, number: int | None = None) -> None:
    """Remove a version of a scorer, or all of them.

    Raises:
        NotFound: there is none.
        Unavailable: the store cannot be written.
    """
    find_scorer(store, project, name, number)
    found = store.queries.ask(ScorersIn(project=project, name=name))
    numbers = tuple(each.number for each in found if number in {None, each.number})
    body = ScorerRemoved(project=project, name=name, numbers=numbers)
    subjects = tuple(f"scorer:{project}/{name}/{each}" for each in numbers)
    store.record(Draft(kind=REMOVED_KIND, subject=subjects[0], body=body, drops=subjects), durable=True)


def decide_register(connection: Connection, command: RegisterScorer) -> Sequence[Draft]:
    same = (scorers.c.project == command.project, scorers.c.name == command.name)
    last = connection.execute(select(func.max(scorers.c.number)).where(*same)).scalar() or 0
    body = ScorerRegistered(project=command.project, name=command.name, number=last + 1, content=command.content)
    subject = f"scorer:{command.project}/{command.name}/{body.number}"
    return (Draft(kind=REGISTERED_KIND, subject=subject, body=body, holds=(command.content.held,)),)


def scorers_in(connection: Connection, query: ScorersIn) -> tuple[Scorer, ...]:
    conditions = [scorers.c.project == query.project]
    conditions += [scorers.c.name == query.name] if query.name else []
    statement = select(scorers).where(*conditions).order_by(scorers.c.name, scorers.c.number, scorers.c.stamp)
    dropped = connection.execute(select(gone.c.name, gone.c.number).where(gone.c.project == query.project))
    dead = {(row.name, row.number) for row in dropped}
    found = [_scorer(row.event, row.stamp, _registered(row.body)) for row in connection.execute(statement)]
    return tuple(each for each in found if (each.name, each.number) not in dead)


def fold(connection: Connection, events: Sequence[Event]) -> None:
    """Fold events of this part's kinds, whatever their order and grouping."""
    made = [(event, body_of(event, ScorerRegistered)) for event in events if event.kind == REGISTERED_KIND]
    add_rows(
        connection,
        scorers,
        [
            {
                "event": event.id,
                "project": body.project,
                "name": body.name,
                "number": body.number,
                "body": bytes(event.body),
                "stamp": event.stamp,
            }
            for event, body in made
        ],
    )
    dead = [body_of(event, ScorerRemoved) for event in events if event.kind == REMOVED_KIND]
    add_rows(
        connection,
        gone,
        [{"project": body.project, "name": body.name, "number": number} for body in dead for number in body.numbers],
    )


def _scorer(event: str, stamp: str, body: ScorerRegistered) -> Scorer:
    return Scorer(
        project=body.project,
        name=body.name,
        number=body.number,
        content=body.content,
        id=event,
        created=seconds(int(stamp[:16], 16)),
    )


PROJECTION = Projection(
    name="run_scorer",
    version=1,
    tables=METADATA,
    kinds=frozenset({REGISTERED_KIND, REMOVED_KIND}),
    fold=fold,
    answers={ScorersIn: scorers_in},
    decisions={RegisterScorer: decide_register},
)
