"""The compiled form of a version: what its event says, and how the newest one is found."""

from collections.abc import Sequence

import msgspec
from sqlalchemy import Column, Connection, LargeBinary, MetaData, String, Table, select

from charkh.core.errors import Invalid
from charkh.core.events import Event, Fact, body_of
from charkh.core.files import FileRef
from charkh.models.model import ModelVersion
from charkh.ports.folding import Row, keep_rows
from charkh.ports.projections import Projection, Query

COMPILED_KIND = "model.compiled/1"


class ModelCompiled(msgspec.Struct, frozen=True, kw_only=True):
    """Body of `model.compiled/1`: an attempt to convert a version to ONNX, and how its answers compare.

    Attributes:
        name: of the model.
        version: id of the version.
        number: of that version.
        digest: root of the tree of its files, which were converted.
        parity: labels were equal and numbers within the tolerance in every row that was asked.
        report: a `ParityReport` as JSON.
        file: the graph; None where the model could not be converted.
        reason: why it is not served, in a sentence; empty where it is.
        worst: the greatest distance of a number, within 0 and 1e308.
        speedup: how many times faster it answers one row; 0 where it was not measured.
        rows: that were asked.
        libraries: versions of what converted and ran it.
    """

    name: str
    version: str
    number: int
    digest: str
    parity: bool
    report: FileRef
    file: FileRef | None = None
    reason: str = ""
    worst: float = 0.0
    speedup: float = 0.0
    rows: int = 0
    libraries: dict[str, str] = {}

    @property
    def facts(self) -> dict[str, Fact]:
        """What it publishes about the version."""
        facts: dict[str, Fact] = {"compiled.parity": self.parity}
        if self.rows:
            facts |= {"compiled.worst": self.worst, "compiled.speedup": self.speedup}
        return facts


class CompiledOf(Query[ModelCompiled | None], frozen=True, kw_only=True):
    """The newest attempt to compile a version (its id), or None."""

    version: str


def usable(version: ModelVersion, compiled: ModelCompiled | None) -> bool:
    """Whether the form is of these files and answers as they do."""
    return (
        compiled is not None
        and compiled.parity
        and compiled.file is not None
        and compiled.digest == version.made.tree.root
    )


def refuse_unusable(version: ModelVersion, compiled: ModelCompiled | None) -> Invalid:
    """Why a version has no compiled form that may be served."""
    why = "nobody compiled it" if compiled is None else compiled.reason or "it is of other files"
    return Invalid(
        f"{version.ref} has no compiled form that may be served: {why}",
        code="model.not_compiled",
        hint=f'`charkh model compile {version.ref}` tries it; or write compiled = "auto".',
    )


_metadata = MetaData()
_compiled = Table(
    "compiled_form",
    _metadata,
    Column("version", String, primary_key=True),
    Column("body", LargeBinary, nullable=False),
    Column("stamp", String, nullable=False),
)
_decode = msgspec.msgpack.Decoder(ModelCompiled).decode


def fold(connection: Connection, events: Sequence[Event]) -> None:
    """Keep the newest attempt for each version."""
    rows: list[Row] = [
        {"version": body_of(event, ModelCompiled).version, "body": bytes(event.body), "stamp": event.stamp}
        for event in events
    ]
    keep_rows(connection, _compiled, rows, stamp="stamp")


def compiled_of(connection: Connection, query: CompiledOf) -> ModelCompiled | None:
    row = connection.execute(select(_compiled.c.body).where(_compiled.c.version == query.version)).first()
    return None if row is None else _decode(row.body)


PROJECTION = Projection(
    name="compiled",
    version=1,
    tables=_metadata,
    kinds=frozenset({COMPILED_KIND}),
    fold=fold,
    answers={CompiledOf: compiled_of},
)
