"""Endpoints' part of the catalog: deployments, and what answers now."""

from collections.abc import Sequence
from typing import Any

import msgspec
from sqlalchemy import Column, Connection, Float, LargeBinary, MetaData, String, Table, select

from charkh.core.clock import seconds
from charkh.core.errors import Denied, NotFound
from charkh.core.events import Draft, Edge, Event, body_of
from charkh.core.ids import new_id
from charkh.endpoints.deployment import (
    DEPLOYED_KIND,
    PREPARES_WITH,
    SERVES,
    STOPPED_KIND,
    Deployed,
    Deployment,
    EndpointSummary,
    Stopped,
)
from charkh.endpoints.log_index import sealed_rows
from charkh.ports.folding import add_rows
from charkh.ports.projections import Command, Description, Projection, Query

_metadata = MetaData()
_moves = Table(
    "endpoint_move",
    _metadata,
    Column("id", String, primary_key=True),
    Column("endpoint", String, nullable=False, index=True),
    Column("deployment", String, nullable=False, index=True),
    Column("kind", String, nullable=False),
    Column("body", LargeBinary, nullable=False),
    Column("actor", String, nullable=False),
    Column("at", Float, nullable=False),
    Column("stamp", String, nullable=False),
)
_decode_deployed = msgspec.msgpack.Decoder(Deployed).decode
_decode_stopped = msgspec.msgpack.Decoder(Stopped).decode


class Deploy(Command, frozen=True, kw_only=True):
    """Let a model answer at an endpoint; the id of the deployment is decided here.

    Attributes:
        made: what is deployed.
        begins: an endpoint that was stopped answers again.
    """

    made: Deployed
    begins: bool = True


class StopEndpoint(Command, frozen=True, kw_only=True):
    """Let nothing answer at an endpoint any more."""

    endpoint: str
    reason: str = ""


class Endpoints(Query[tuple[EndpointSummary, ...]], frozen=True, kw_only=True):
    """Endpoints whose name begins with `prefix`, by name."""

    prefix: str = ""


class CurrentDeployment(Query[Deployment | None], frozen=True, kw_only=True):
    """What answers at an endpoint now, or on a route of a rollout; None when it is stopped or unknown."""

    endpoint: str
    rollout: str = ""
    route: str = ""


class StoppedEndpoint(Query[Stopped | None], frozen=True, kw_only=True):
    """What stopped an endpoint; None where something answers, or nothing ever did."""

    endpoint: str


class DeploymentById(Query[Deployment | None], frozen=True, kw_only=True):
    """The deployment with this id."""

    deployment: str


class Deployments(Query[tuple[Deployment, ...]], frozen=True, kw_only=True):
    """Every deployment of an endpoint, newest first."""

    endpoint: str


def fold(connection: Connection, events: Sequence[Event]) -> None:
    """Add deployments and stops; nothing is computed from them here."""
    moves = [event for event in events if event.kind in (DEPLOYED_KIND, STOPPED_KIND)]
    add_rows(connection, _moves, [_move_row(event) for event in moves])


def _move_row(event: Event) -> dict[str, object]:
    body = body_of(event, Deployed if event.kind == DEPLOYED_KIND else Stopped)
    return {
        "id": event.id,
        "endpoint": body.endpoint,
        "deployment": body.deployment,
        "kind": event.kind,
        "body": bytes(event.body),
        "actor": event.actor,
        "at": seconds(event.clock),
        "stamp": event.stamp,
    }


def decide_deploy(connection: Connection, command: Deploy) -> Sequence[Draft]:
    heads = _heads(_moves_of(connection, command.made.endpoint, (command.made.rollout, command.made.route)))
    if len(heads) == 1 and heads[0].kind == DEPLOYED_KIND and _says_the_same(_decode_deployed(heads[0].body), command):
        return ()
    if heads and heads[0].kind == STOPPED_KIND and not command.begins:
        raise Denied(
            f"the endpoint {command.made.endpoint!r} was stopped",
            code="endpoint.stopped",
            hint=f"`charkh endpoint deploy {command.made.endpoint}` lets it answer again.",
        )
    made = msgspec.structs.replace(command.made, deployment=new_id(), replaces=tuple(sorted(head.id for head in heads)))
    subject = f"deployment:{made.deployment}"
    served = dict.fromkeys((made.model, *made.models))
    edges = [Edge(subject, SERVES, model) for model in served]
    edges += [Edge(subject, PREPARES_WITH, recipe) for recipe in made.recipes]
    edges.append(Edge(f"endpoint:{made.endpoint}", "answered_by", subject))
    return [Draft(kind=DEPLOYED_KIND, subject=subject, body=made, edges=tuple(edges))]


def _says_the_same(made: Deployed, command: Deploy) -> bool:
    wanted = command.made
    return (made.model, made.models, made.graph, made.recipes, made.signature, made.capture, made.instead_of) == (
        wanted.model,
        wanted.models,
        wanted.graph,
        wanted.recipes,
        wanted.signature,
        wanted.capture,
        wanted.instead_of,
    )


def decide_stop(connection: Connection, command: StopEndpoint) -> Sequence[Draft]:
    heads = _heads(_moves_of(connection, command.endpoint))
    if not heads:
        raise NotFound(
            f"there is no endpoint {command.endpoint!r}",
            code="endpoint.not_found",
            hint="`charkh endpoint list` shows them.",
        )
    if all(head.kind == STOPPED_KIND for head in heads):
        return ()
    deployment = heads[0].deployment
    body = Stopped(
        endpoint=command.endpoint,
        deployment=deployment,
        replaces=tuple(sorted(head.id for head in heads)),
        reason=command.reason,
    )
    return [Draft(kind=STOPPED_KIND, subject=f"deployment:{deployment}", body=body)]


def endpoints(connection: Connection, query: Endpoints) -> tuple[EndpointSummary, ...]:
    begins = _moves.c.endpoint.startswith(query.prefix, autoescape=True)
    names = connection.execute(select(_moves.c.endpoint).where(begins).distinct().order_by(_moves.c.endpoint)).scalars()
    sealed = sealed_rows(connection)
    return tuple(_summary(connection, name, sealed.get(name, 0)) for name in list(names))


def _summary(connection: Connection, name: str, sealed: int) -> EndpointSummary:
    rows = _moves_of(connection, name)
    current, *rivals = [_deployment(row, current=True) for row in _heads(rows) if row.kind == DEPLOYED_KIND] or [None]
    return EndpointSummary(
        name=name,
        current=current,
        rivals=tuple(rival for rival in rivals if rival is not None),
        deployments=sum(row.kind == DEPLOYED_KIND for row in rows),
        sealed=sealed,
    )


def current_deployment(connection: Connection, query: CurrentDeployment) -> Deployment | None:
    head = next(iter(_heads(_moves_of(connection, query.endpoint, (query.rollout, query.route)))), None)
    return _deployment(head, current=True) if head is not None and head.kind == DEPLOYED_KIND else None


def stopped_endpoint(connection: Connection, query: StoppedEndpoint) -> Stopped | None:
    head = next(iter(_heads(_moves_of(connection, query.endpoint))), None)
    return _decode_stopped(head.body) if head is not None and head.kind == STOPPED_KIND else None


def deployment_by_id(connection: Connection, query: DeploymentById) -> Deployment | None:
    statement = select(_moves).where(_moves.c.deployment == query.deployment, _moves.c.kind == DEPLOYED_KIND)
    row = connection.execute(statement).first()
    if row is None:
        return None
    return next(
        each for each in deployments(connection, Deployments(endpoint=row.endpoint)) if each.id == row.deployment
    )


def deployments(connection: Connection, query: Deployments) -> tuple[Deployment, ...]:
    rows = _moves_of(connection, query.endpoint, None)
    now = {row.id for row in _heads([row for row in rows if _line(row) == ("", "")])[:1]}
    return tuple(_deployment(row, current=row.id in now) for row in rows if row.kind == DEPLOYED_KIND)


def portray_deployment(connection: Connection, identifier: str) -> Description | None:
    found = deployment_by_id(connection, DeploymentById(deployment=identifier))
    if found is None:
        return None
    made = found.made
    lines = [
        ("endpoint", made.endpoint),
        ("serves", made.model),
        *(("prepares with", recipe) for recipe in made.recipes),
        ("logs", f"{made.capture:.0%} of the requests"),
        ("deployed by", found.actor),
        (
            ("answers", f"as {made.route} of rollout:{made.rollout}")
            if made.rollout
            else ("answers now", "yes" if found.current else "no")
        ),
        *((("reason", made.reason),) if made.reason else ()),
    ]
    return Description(title=f"deployment of {made.endpoint}", lines=tuple(lines))


def portray_endpoint(connection: Connection, name: str) -> Description | None:
    found = next((each for each in endpoints(connection, Endpoints(prefix=name)) if each.name == name), None)
    if found is None:
        return None
    lines = [
        ("serves", found.current.made.model if found.current else "nothing: it is stopped"),
        ("deployments", str(found.deployments)),
        ("sealed predictions", str(found.sealed)),
        *(("decided apart", rival.subject) for rival in found.rivals),
    ]
    return Description(title=name, lines=tuple(lines))


def _moves_of(connection: Connection, endpoint: str, line: tuple[str, str] | None = ("", "")) -> list[Any]:
    """Deployments and stops of an endpoint, the latest stamp first; of one line (`_line`), or of all for None."""
    statement = select(_moves).where(_moves.c.endpoint == endpoint).order_by(_moves.c.stamp.desc())
    return [row for row in connection.execute(statement) if line is None or _line(row) == line]


def _line(row: Any) -> tuple[str, str]:
    """The rollout and route that a move is about; deployments of one line replace each other."""
    if row.kind == STOPPED_KIND:
        return ("", "")
    made = _decode_deployed(row.body)
    return (made.rollout, made.route)


def _heads(rows: Sequence[Any]) -> list[Any]:
    """The moves that no other replaces; the first shows, and several were decided apart."""
    replaced = {
        identifier
        for row in rows
        for identifier in (
            _decode_deployed(row.body).replaces if row.kind == DEPLOYED_KIND else _decode_stopped(row.body).replaces
        )
    }
    return [row for row in rows if row.id not in replaced]


def _deployment(row: Any, *, current: bool) -> Deployment:
    return Deployment(made=_decode_deployed(row.body), actor=row.actor, at=row.at, stamp=row.stamp, current=current)


PROJECTION = Projection(
    name="endpoint",
    version=3,
    tables=_metadata,
    kinds=frozenset({DEPLOYED_KIND, STOPPED_KIND}),
    fold=fold,
    answers={
        Endpoints: endpoints,
        CurrentDeployment: current_deployment,
        StoppedEndpoint: stopped_endpoint,
        DeploymentById: deployment_by_id,
        Deployments: deployments,
    },
    portraits={"deployment": portray_deployment, "endpoint": portray_endpoint},
    decisions={Deploy: decide_deploy, StopEndpoint: decide_stop},
)
