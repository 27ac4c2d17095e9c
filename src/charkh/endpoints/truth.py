"""Take the truth about predictions, which comes late: by their ids or by a key; durable before it is acknowledged.

It lies in Parquet files in the vault, one a group of requests: what comes while one is written goes into the next.
"""

import asyncio
import io
import math
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import msgspec

from charkh.core.errors import CharkhError, Invalid
from charkh.core.events import Draft, Edge
from charkh.core.ids import new_id
from charkh.endpoints.deployment import TRUTH_KIND, TruthTold
from charkh.endpoints.find import find
from charkh.endpoints.inference_server import InferenceServer, RouteMaker
from charkh.endpoints.log_index import Truths
from charkh.endpoints.prediction import parse_prediction_id
from charkh.endpoints.route import Act, Reply, Route
from charkh.endpoints.servable import Servable
from charkh.ports.store import Store

if TYPE_CHECKING:
    import polars as pl

MAX_ITEMS = 100_000
_KNOWN = 10_000
_HINT = (
    'Send {"prediction_id": "…", "truth": 1}, or a list of such; "key" instead of the id where [endpoint] key is set.'
)


class Truth(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What turned out to be right for one prediction.

    Attributes:
        prediction_id: that the answer carried.
        key: instead of it, the value of the request's column that `[endpoint.NAME] key` names.
        truth: the label or number; true and false are 1 and 0.
        known_at: when it was known: seconds since the epoch, or ISO 8601, UTC where it says no zone; now by default.
    """

    prediction_id: str = ""
    key: str | int | float | None = None
    truth: float | int | bool | str
    known_at: float | str | None = None


class Keys(msgspec.Struct, frozen=True):
    """How an endpoint's truth is joined by key.

    Attributes:
        column: of the requests; empty where it is joined by prediction id alone.
        digest: what the log holds of a value (`charkh.endpoints.masks`).
    """

    column: str
    digest: Callable[[object], str | None]


class TruthRow(msgspec.Struct, frozen=True, array_like=True):
    """A checked truth: the id or the key, the number or the text, and when it was known and received."""

    prediction_id: str | None
    key: str | None
    number: float | None
    text: str | None
    known_at: float
    received: float


_decode: Callable[[bytes], Truth | list[Truth]] = msgspec.json.Decoder(Truth | list[Truth]).decode


def read_truths(body: bytes) -> list[Truth]:
    """What a request says: one object, or a list of them.

    Raises:
        Invalid: it is something else, or too many.
    """
    try:
        said = _decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise Invalid(f"this is no truth: {error}", code="truth.invalid", hint=_HINT) from error
    items = said if isinstance(said, list) else [said]
    if not 0 < len(items) <= MAX_ITEMS:
        raise Invalid(f"{len(items)} items at once", code="truth.invalid", hint=f"Send from 1 to {MAX_ITEMS}.")
    return items


class TruthTaker:
    """Records truths of one store. Threads: any.

    Args:
        store: where they go.
        keys_of: how an endpoint's truth is joined by key.
    """

    def __init__(self, store: Store, keys_of: Callable[[str], Keys]) -> None:
        self._store = store
        self._keys_of = keys_of
        self._endpoints: dict[str, str] = {}
        self._waiting: list[_Waiting] = []
        self._lock = threading.Lock()
        self._writing = threading.Lock()

    def take(self, endpoint: str, said: Sequence[Truth]) -> int:
        """Record truths about predictions of an endpoint; how many there were.

        A truth whose prediction is not in the log is recorded all the same: the log of another machine may have it.
        Of several about one prediction, the one that was known last counts.

        Raises:
            Invalid: an item cannot be meant. Then none was recorded.
            NotFound: a deployment is not known here.
            Unavailable: the store cannot be written.
        """
        now, keys = time.time(), self._keys_of(endpoint)
        mine = _Waiting(endpoint, [self._row(endpoint, each, keys, now, number) for number, each in enumerate(said)])
        with self._lock:
            self._waiting.append(mine)
        with self._writing:
            with self._lock:
                taken, self._waiting = self._waiting, []
            if taken:
                self._record(taken)
        if mine.failure is not None:
            raise mine.failure
        return len(said)

    def _record(self, taken: "list[_Waiting]") -> None:
        together: dict[str, list[TruthRow]] = {}
        for each in taken:
            together.setdefault(each.endpoint, []).extend(each.rows)
        try:
            drafts = [self._draft(endpoint, rows) for endpoint, rows in together.items()]
            self._store.vault.flush()
            self._store.record(*drafts, durable=True)
        except CharkhError as error:
            for each in taken:
                each.failure = error

    def _draft(self, endpoint: str, rows: Sequence[TruthRow]) -> Draft:
        identifier = new_id()
        body = TruthTold(
            endpoint=endpoint,
            truths=identifier,
            file=self._store.vault.put_bytes(_parquet(rows), f"{identifier}.parquet"),
            rows=len(rows),
            first=min(row.known_at for row in rows),
            last=max(row.known_at for row in rows),
        )
        subject = f"truths:{identifier}"
        edges = (Edge(subject, "tells_of", f"endpoint:{endpoint}"),)
        return Draft(kind=TRUTH_KIND, subject=subject, body=body, edges=edges, holds=(body.file.held,))

    def _row(self, endpoint: str, said: Truth, keys: Keys, now: float, number: int) -> TruthRow:
        if bool(said.prediction_id) == (said.key is not None):
            raise _wrong(number, "names no prediction", "Give prediction_id, or the key.")
        key = None
        if said.key is not None:
            if not keys.column:
                raise _wrong(number, "has a key", f'Write key = "COLUMN" in [endpoint.{endpoint}].')
            key = keys.digest(said.key)
            if key is None:
                raise _wrong(number, "has a key that is no number", "Leave it out.")
        elif self._endpoint_of(said.prediction_id) != endpoint:
            raise _wrong(number, "is about an answer of another endpoint", "Send it there.")
        text = said.truth if isinstance(said.truth, str) else None
        value = None if isinstance(said.truth, str) else float(said.truth)
        if value is not None and not math.isfinite(value):
            raise _wrong(number, f"has the truth {value}", "Leave it out while nobody knows.")
        name = str(parse_prediction_id(said.prediction_id)) if said.prediction_id else None
        return TruthRow(name, key, value, text, _moment(said.known_at, now, number), now)

    def _endpoint_of(self, prediction: str) -> str:
        identifier = parse_prediction_id(prediction).deployment
        found = self._endpoints.get(identifier)
        if found is None:
            found = find(self._store, identifier).made.endpoint
            if len(self._endpoints) > _KNOWN:
                self._endpoints.clear()
            self._endpoints[identifier] = found
        return found


class _Waiting:
    """Truths that wait to be written."""

    __slots__ = ("endpoint", "failure", "rows")

    def __init__(self, endpoint: str, rows: list[TruthRow]) -> None:
        self.endpoint, self.rows = endpoint, rows
        self.failure: CharkhError | None = None


def scan_truths(store: Store, endpoint: str, *, since: float = 0.0) -> "Iterator[pl.DataFrame]":
    """The truths about an endpoint's predictions that were known at `since` or later, a file at a time.

    Columns: `prediction_id` or `key`, `number` or `text`, `known_at` and `received` in seconds since the epoch.
    """
    import polars as pl

    for told in store.queries.ask(Truths(endpoint=endpoint)):
        if told.last >= since:
            table = pl.read_parquet(io.BytesIO(b"".join(store.vault.read(told.file))))
            yield table.filter(pl.col("known_at") >= since)


def _parquet(rows: Sequence[TruthRow]) -> bytes:
    import polars as pl

    table = pl.DataFrame(
        {name: [getattr(row, name) for row in rows] for name in TruthRow.__struct_fields__},
        schema={
            "prediction_id": pl.String,
            "key": pl.String,
            "number": pl.Float64,
            "text": pl.String,
            "known_at": pl.Float64,
            "received": pl.Float64,
        },
    )
    buffer = io.BytesIO()
    table.write_parquet(buffer, compression="zstd")
    return buffer.getvalue()


def _moment(said: float | str | None, now: float, number: int) -> float:
    if said is None:
        return now
    try:
        found = datetime.fromisoformat(said) if isinstance(said, str) else said
    except ValueError as error:
        raise _wrong(number, f"has known_at {said!r}", "Write seconds since the epoch, or ISO 8601.") from error
    if isinstance(found, datetime):
        found = (found if found.tzinfo else found.replace(tzinfo=UTC)).timestamp()
    if not 0.0 <= found < 1e11:
        raise _wrong(number, f"has known_at {said!r}", "Write seconds since the epoch, or ISO 8601.")
    return float(found)


def _wrong(number: int, what: str, hint: str) -> Invalid:
    return Invalid(f"item {number} {what}", code="truth.invalid", hint=hint)


def truth_routes(taker: TruthTaker) -> RouteMaker:
    """`POST /truth/NAME` for everything that is served (see `read_truths`); it answers how many were taken."""

    def acting(name: str) -> Act:
        def take(body: bytes) -> Reply:
            return Reply(200, msgspec.json.encode({"taken": taker.take(name, read_truths(body))}))

        return lambda request: asyncio.to_thread(take, request.body)

    def routes(servables: Sequence[Servable], _application: InferenceServer) -> dict[str, Route]:
        names = {servable.name for servable in servables}
        return {f"/truth/{name}": Route(("POST",), act=acting(name)) for name in names}

    return routes
