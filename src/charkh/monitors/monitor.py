"""The noun: what a monitor collected and which alerts it raised. Pure data, no I/O."""

import msgspec

from charkh.core.events import Fact
from charkh.core.files import FileRef

COLLECTED_KIND = "monitor.collected/1"
RAISED_KIND = "alert.raised/1"
RESOLVED_KIND = "alert.resolved/1"
ACKNOWLEDGED_KIND = "alert.acknowledged/1"
SILENCED_KIND = "alert.silenced/1"
UNSILENCED_KIND = "alert.unsilenced/1"

MAX_FACTS = 200


class Collected(msgspec.Struct, frozen=True, kw_only=True):
    """Body of `monitor.collected/1`; the numbers are the event's facts, about `monitor:NAME`.

    Attributes:
        monitor: name of the monitor.
        collection: id, which is the subject's id.
        endpoint: name of the endpoint that was watched, or empty.
        moment: seconds since the epoch for which it speaks.
        rows: live rows.
        reference_rows: rows that they were compared with.
        details: everything that was found, as JSON in the vault.
        reference: sketch of the reference (MessagePack in the vault), so that it is not read again; None of few rows.
        reference_key: digest of what the sketch is of: the model, what prepares its rows, the columns.
    """

    monitor: str
    collection: str
    endpoint: str
    moment: float
    rows: int
    reference_rows: int
    details: FileRef
    reference: FileRef | None = None
    reference_key: str = ""


class Raised(msgspec.Struct, frozen=True, kw_only=True):
    """Body of `alert.raised/1`: a condition was met.

    Attributes:
        alert: id, which is the subject's id.
        monitor: name of the monitor.
        collection: id of the collection that met it.
        endpoint: name of the endpoint that was watched, or empty.
        moment: seconds since the epoch for which it speaks.
        condition: as it stands in `charkh.toml`.
        reason: the numbers that met it.
        severity: such as `warning` or `page`; empty in what was raised before there were any.
        owner: who looks after it.
        runbook: address of what to do.
        episode: id of the first alert since the condition was last not met; empty where that was not kept yet.
        silenced: nobody is told, because somebody said so beforehand.
    """

    alert: str
    monitor: str
    collection: str
    endpoint: str
    moment: float
    condition: str
    reason: str
    severity: str = ""
    owner: str = ""
    runbook: str = ""
    episode: str = ""
    silenced: bool = False


class Resolved(msgspec.Struct, frozen=True, kw_only=True):
    """Body of `alert.resolved/1`: a condition that was met is not any more.

    Attributes:
        alert: id of the last alert of the episode, which is the subject's id.
        episode: id of its first.
        monitor, collection, endpoint, moment, condition, severity, owner: as of `Raised`.
        reason: the numbers that do not meet it.
        silenced: nobody was told of the alert, so nobody is told of its end.
    """

    alert: str
    episode: str
    monitor: str
    collection: str
    endpoint: str
    moment: float
    condition: str
    reason: str
    severity: str = ""
    owner: str = ""
    silenced: bool = False


class Acknowledged(msgspec.Struct, frozen=True, kw_only=True):
    """Body of `alert.acknowledged/1`: somebody looks after it; it is not raised again before it is over.

    Attributes:
        alert: id of the alert, which is the subject's id.
        episode: that it belongs to.
        monitor: that raised it.
        note: what that person says, without credentials.
    """

    alert: str
    episode: str
    monitor: str
    note: str = ""


class Silenced(msgspec.Struct, frozen=True, kw_only=True):
    """Body of `alert.silenced/1`: for a while nobody is told of the alerts of a monitor; they are facts all the same.

    Attributes:
        silence: id, which is the subject's id.
        monitor: whose alerts.
        condition: the one condition that is meant; empty for all.
        until: seconds since the epoch at which it ends.
        reason: why, without credentials.
    """

    silence: str
    monitor: str
    condition: str
    until: float
    reason: str = ""


class Unsilenced(msgspec.Struct, frozen=True, kw_only=True):
    """Body of `alert.unsilenced/1`: a silence ends now."""

    silence: str
    monitor: str


class Collection(msgspec.Struct, frozen=True, kw_only=True):
    """A collection as the catalog answers it.

    Attributes:
        made: what its event says.
        facts: the numbers by name.
        actor: who collected, `user@host`.
        at: seconds since the epoch when it was recorded.
        stamp: the total order of concurrent collections.
    """

    made: Collected
    facts: dict[str, Fact]
    actor: str
    at: float
    stamp: str

    @property
    def id(self) -> str:
        return self.made.collection

    @property
    def subject(self) -> str:
        """`collection:ID`, as it stands in edges."""
        return f"collection:{self.made.collection}"


class Alert(msgspec.Struct, frozen=True, kw_only=True):
    """An alert as the catalog answers it.

    Attributes:
        made: what its event says.
        actor: who collected, `user@host`.
        at: seconds since the epoch when it was recorded.
        stamp: the total order of concurrent alerts.
        resolved: the moment from which on its condition was not met any more; None while it fires.
        acknowledged: who looks after it, or empty.
        note: what that person said.
    """

    made: Raised
    actor: str
    at: float
    stamp: str
    resolved: float | None = None
    acknowledged: str = ""
    note: str = ""

    @property
    def episode(self) -> str:
        """Id of the first alert since the condition was last not met."""
        return self.made.episode or self.made.alert

    @property
    def subject(self) -> str:
        """`alert:ID`, as it stands in edges."""
        return f"alert:{self.made.alert}"


class Silence(msgspec.Struct, frozen=True, kw_only=True):
    """A silence as the catalog answers it: what its event says, who asked for it, and whether somebody ended it."""

    made: Silenced
    actor: str
    at: float
    stamp: str
    ended: bool = False


class MonitorSummary(msgspec.Struct, frozen=True, kw_only=True):
    """A monitor in a list: how often it collected, the last time, and how many alerts it has raised."""

    name: str
    collections: int
    latest: Collection
    alerts: int
