"""The noun: what a model version is, what its events say, and how its numbers are told apart.

Pure data, no I/O; every verb of this room speaks these structs. The facts of a `model.version/1` are the
metrics it was registered with; long text and the input example are bytes in the vault, which can be erased.
"""

import math
from collections.abc import Mapping
from typing import Literal

import msgspec

from charkh.core.errors import Invalid
from charkh.core.events import Fact
from charkh.core.files import FileRef, TreeRef
from charkh.core.redact import redact
from charkh.ports.runtimes import Safety, Signature

VERSION_KIND = "model.version/1"
ALIAS_KIND = "model.alias_moved/1"
DELETED_KIND = "model.deleted/1"

MAX_REASON = 500
MAX_METRICS = 200
CHAMPION = "champion"

VersionStatus = Literal["ready", "elsewhere", "deleted"]


class VersionMade(msgspec.Struct, frozen=True, kw_only=True):
    """Body of `model.version/1`.

    Attributes:
        name: of the model.
        version: id of the version, which is the subject's id.
        number: as decided; the greatest of the name so far plus one.
        content: digest of everything said about the version but its id and number.
        tree: the model's files.
        runtime: name of the runtime that judged them and loads them.
        libraries: versions of the runtime's libraries when it was registered.
        signature: what it takes and gives.
        safety: what loading it could do, as judged when it was registered.
        example: a few input rows, as JSON columns, or None.
        description: what its maker wrote, or None.
        run: id of the run that made it, or empty.
        datasets: ids of the dataset versions that it was trained on.
        model: key of the model, which a rename leaves as it is; empty where the name is the key.
        source: where its files were said to come from, as given; text, never opened.
        logged: id of the logged model that it was registered from, or empty.
        link: address of its run in another tracker, as given; text, never opened.
        created: seconds since the epoch where it was made elsewhere before; 0 for the moment of the event.
    """

    name: str
    version: str
    number: int
    content: str
    tree: TreeRef
    runtime: str
    libraries: dict[str, str]
    signature: Signature
    safety: Safety
    example: FileRef | None = None
    description: FileRef | None = None
    run: str = ""
    datasets: tuple[str, ...] = ()
    model: str = ""
    source: str = ""
    logged: str = ""
    link: str = ""
    created: float = 0.0

    @property
    def key(self) -> str:
        """Of the model."""
        return self.model or self.name

    @property
    def elsewhere(self) -> bool:
        """Whether the store has no bytes of it: it was only said where they lie."""
        return not self.tree.root


class AliasMoved(msgspec.Struct, frozen=True, kw_only=True):
    """Body of `model.alias_moved/1`.

    Attributes:
        name: of the model.
        alias: the word that moved.
        version: id of the version that holds it now; empty when it was removed.
        replaces: ids of the moves that this decision saw and supersedes; several when it ends a conflict.
        reason: why, in a sentence, without credentials.
        decided_by: id of the loop decision or digest of the gate's evidence, or empty for a person.
        rollback: it goes back to an earlier holder.
        override: a gate guards the alias, and a person moved it by hand for the reason that stands here.
        model: key of the model; empty where the name is the key.
    """

    name: str
    alias: str
    version: str
    replaces: tuple[str, ...] = ()
    reason: str = ""
    decided_by: str = ""
    rollback: bool = False
    model: str = ""
    override: bool = False

    @property
    def key(self) -> str:
        """Of the model."""
        return self.model or self.name


class VersionDeleted(msgspec.Struct, frozen=True, kw_only=True):
    """Body of `model.deleted/1`: the version's bytes need no longer be readable on its behalf."""

    name: str
    version: str
    number: int
    reason: str = ""


class ModelVersion(msgspec.Struct, frozen=True, kw_only=True):
    """A version as the catalog answers it.

    Attributes:
        made: what its event says, under the name that the model has now.
        metrics: the numbers it was registered with.
        aliases: the aliases that it holds now.
        actor: who registered it, `user@host`.
        created: seconds since the epoch.
        stamp: the total order of concurrent versions.
        deleted: seconds since the epoch when it was deleted, or None.
        tags: by name; those that are too long for a fact are in `long_tags`.
        long_tags: by name, the text in the vault.
        description: what somebody wrote about it last, or None.
        stage: one of MLflow's deprecated stages, or empty; aliases say it better.
        staged: seconds since the epoch when it was last moved to a stage, or 0.
        updated: seconds since the epoch of the last word about it; aliases and tags do not count.
    """

    made: VersionMade
    metrics: dict[str, Fact]
    aliases: tuple[str, ...]
    actor: str
    created: float
    stamp: str
    deleted: float | None = None
    tags: dict[str, str] = {}
    long_tags: dict[str, FileRef] = {}
    description: FileRef | None = None
    stage: str = ""
    staged: float = 0.0
    updated: float = 0.0

    @property
    def id(self) -> str:
        return self.made.version

    @property
    def status(self) -> VersionStatus:
        """`ready`, `elsewhere` where the store has no bytes of it, or `deleted`."""
        if self.deleted is not None:
            return "deleted"
        return "elsewhere" if self.made.elsewhere else "ready"

    @property
    def subject(self) -> str:
        """`model:id`, as it stands in edges."""
        return f"model:{self.made.version}"

    @property
    def ref(self) -> str:
        """`name@number`."""
        return f"{self.made.name}@{self.made.number}"


class AliasMove(msgspec.Struct, frozen=True, kw_only=True):
    """One move of an alias, as the catalog answers it.

    Attributes:
        id: of the event.
        moved: what it says.
        number: of the version that holds it now; 0 when it was removed.
        current: no later decision replaces it.
        actor: who decided.
        at: seconds since the epoch.
        stamp: the total order of concurrent moves.
    """

    id: str
    moved: AliasMoved
    number: int
    current: bool
    actor: str
    at: float
    stamp: str


class AliasHolder(msgspec.Struct, frozen=True, kw_only=True):
    """Who holds an alias.

    Attributes:
        move: the move that shows.
        rivals: moves decided apart from it that nobody has settled; their versions lost only by the clock.
        version: the holder; None when the alias was removed.
    """

    move: AliasMove
    rivals: tuple[AliasMove, ...] = ()
    version: ModelVersion | None = None


class ModelSummary(msgspec.Struct, frozen=True, kw_only=True):
    """A model in a list.

    Attributes:
        name: that it has now.
        keys: what its events call it; several where two stores made it apart.
        versions: how many live versions it has.
        latest: the greatest of them, or None.
        aliases: the aliases it has, with the numbers of their holders.
        tags: by name; those that are too long for a fact are in `long_tags`.
        long_tags: by name, the text in the vault.
        description: what somebody wrote about it last, or None.
        actor: who made it, `user@host`.
        created: seconds since the epoch.
        updated: seconds since the epoch of the last word about it or its versions; aliases and tags do not count.
    """

    name: str
    versions: int
    latest: ModelVersion | None
    aliases: dict[str, int]
    keys: tuple[str, ...] = ()
    tags: dict[str, str] = {}
    long_tags: dict[str, FileRef] = {}
    description: FileRef | None = None
    actor: str = ""
    created: float = 0.0
    updated: float = 0.0


def bounded_reason(text: str) -> str:
    """A reason that may stand in an event.

    Raises:
        Invalid: longer than `MAX_REASON`.
    """
    reason = redact(text.strip())
    if len(reason) > MAX_REASON:
        raise Invalid(
            f"the reason has {len(reason)} characters, more than {MAX_REASON}",
            code="model.reason_too_long",
            hint="Say it in a sentence.",
        )
    return reason


def checked_metrics(metrics: Mapping[str, Fact]) -> dict[str, Fact]:
    """Metrics that may be published as facts.

    Raises:
        Invalid: too many, or one that is no finite number, boolean or short text.
    """
    if len(metrics) > MAX_METRICS:
        raise Invalid(f"{len(metrics)} metrics are more than {MAX_METRICS}", code="model.metrics")
    for name, value in metrics.items():
        if isinstance(value, float) and not math.isfinite(value):
            raise Invalid(
                f"the metric {name!r} is {value}",
                code="model.metrics",
                hint="Leave out metrics that have no value.",
            )
        if not isinstance(value, bool | int | float | str) or (isinstance(value, str) and len(value) > 1000):  # pyright: ignore[reportUnnecessaryIsInstance]
            raise Invalid(f"the metric {name!r} is no number or short text", code="model.metrics")
    return dict(metrics)
