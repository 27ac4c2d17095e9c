"""The noun: what a monitor collected and which alerts it raised. Pure data, no I/O."""

import msgspec

from charkh.core.events import Fact
from charkh.core.files import FileRef

COLLECTED_KIND = "monitor.collected/1"
RAISED_KIND = "alert.raised/1"

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
    """

    monitor: str
    collection: str
    endpoint: str
    moment: float
    rows: int
    reference_rows: int
    details: FileRef


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
    """

    alert: str
    monitor: str
    collection: str
    endpoint: str
    moment: float
    condition: str
    reason: str


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
    """An alert as the catalog answers it: what its event says, and when it was recorded."""

    made: Raised
    actor: str
    at: float
    stamp: str

    @property
    def subject(self) -> str:
        """`alert:ID`, as it stands in edges."""
        return f"alert:{self.made.alert}"


class MonitorSummary(msgspec.Struct, frozen=True, kw_only=True):
    """A monitor in a list: how often it collected, the last time, and how many alerts it has raised."""

    name: str
    collections: int
    latest: Collection
    alerts: int
