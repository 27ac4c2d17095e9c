"""Rows of a query against a database: all of them, or by a cursor those that came later; streamed in bounded parts."""

import contextlib
from collections.abc import Generator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import msgspec
import polars as pl
from sqlalchemy import Connection, CursorResult, Engine, create_engine, text
from sqlalchemy.engine import URL, make_url
from sqlalchemy.exc import ArgumentError, DataError, DBAPIError, NoSuchModuleError, ProgrammingError, SQLAlchemyError
from sqlalchemy.pool import NullPool
from sqlalchemy.util import immutabledict

from charkh.core.errors import Invalid, NotFound, Unavailable
from charkh.core.redact import redact
from charkh.core.source_settings import SqlSource
from charkh.ports.vault import Progress
from charkh.sources.collecting import Arrival, Collected
from charkh.sources.source import Item, State, cursor_of, rows_seen, shown_address
from charkh.sources.sql_cursor import CursorWindow, reduced
from charkh.sources.sql_rows import common_types, declared_types, frame_of, types_as_text
from charkh.sources.staging import Staging, digest_of
from charkh.sources.variables import value_of

PART = "part.parquet"
_DRIVERS = {"postgresql": "postgresql+psycopg", "postgres": "postgresql+psycopg"}


class _Part(NamedTuple):
    place: Path
    types: dict[str, pl.DataType]
    rows: int


class SqlCollector:
    """The result of a query.

    Args:
        settings: of the source.
        variables: of the environment, for the address and the password.
        folder: what the path of an SQLite file is relative to.
    """

    kind = "sql"

    def __init__(self, settings: SqlSource, variables: Mapping[str, str], folder: Path) -> None:
        self._settings = settings
        self._url = _url(settings, variables, folder)

    @property
    def address(self) -> str:
        """The database, without user's secrets."""
        return shown_address(self._url._replace(password=None, query=immutabledict()).render_as_string())

    def collect(self, state: State, staging: Staging, *, dry_run: bool, progress: Progress | None) -> Collected:
        """See `Collector`; an interrupted query is asked anew, since nothing says that it would answer the same."""
        with self._connected() as connection:
            if dry_run:
                return self._counted(connection, state)
            result = self._asked(connection, state)
            return self._received(result, connection.dialect.name, state, staging, progress)

    def _received(
        self, result: CursorResult[Any], dialect: str, state: State, staging: Staging, progress: Progress | None
    ) -> Collected:
        settings = self._settings
        names = _names(result)
        window = CursorWindow(settings.cursor, names, settings.key, settings.lag, state) if settings.cursor else None
        declared = declared_types(dialect, result.cursor.description if result.cursor else ())
        parts: list[_Part] = []
        waiting: list[Sequence[Any]] = []
        for rows in result.partitions():
            waiting += rows if window is None else window.fresh(rows)
            if len(waiting) >= settings.batch_rows:
                parts.append(_write(staging, len(parts), frame_of(names, waiting, declared), progress))
                waiting = []
        if waiting or (not parts and window is None):
            parts.append(_write(staging, len(parts), frame_of(names, waiting, declared), progress))
        types = common_types((part.types for part in parts), state.columns)
        items = [_item(number, _cast(part, types), part.rows) for number, part in enumerate(parts)]
        told = msgspec.structs.replace(State(extra=state.extra), columns={**state.columns, **types_as_text(types)})
        if window is None:
            return self._snapshot(items, parts, state, told)
        told = msgspec.structs.replace(told, cursor=state.cursor, cursor_type=state.cursor_type, seen=state.seen)
        return Collected(arrivals=tuple(_numbered(items, parts)), state=window.state(told))

    def _snapshot(self, items: Sequence[Item], parts: Sequence[_Part], state: State, told: State) -> Collected:
        """The whole result: parts that are as they were last time are not taken again."""
        same = {item.key: item.digest for item in items} == {key: item.digest for key, item in state.items.items()}
        if self._settings.used_mode == "append":
            arrivals = (
                []
                if same
                else [Arrival(item, part.place, numbered=True) for item, part in zip(items, parts, strict=True)]
            )
            return Collected(arrivals=tuple(arrivals), kept=tuple(state.items.values()) if same else (), state=told)
        kept, arrivals = list[Item](), list[Arrival]()
        for item, part in zip(items, parts, strict=True):
            known = state.items.get(item.key)
            if known is not None and known.digest == item.digest:
                kept.append(known)
            else:
                arrivals.append(Arrival(item, part.place, changed=known is not None))
        there = {item.key for item in items}
        gone = tuple(item for key, item in state.items.items() if key not in there)
        return Collected(tuple(arrivals), tuple(kept), gone, told, whole=True)

    def _counted(self, connection: Connection, state: State) -> Collected:
        query, values = self._query(connection, state)
        counted = connection.execute(text(f"SELECT COUNT(*) FROM ({query}\n) charkh_count"), values)  # noqa: S608 - as below
        rows = int(counted.scalar_one()) - len(rows_seen(state))
        arrivals = (Arrival(Item(key="rows", path=PART, rows=rows), None),) if rows > 0 else ()
        return Collected(arrivals=arrivals, state=state, notes=(f"about {max(0, rows):,} rows",))

    def _query(self, connection: Connection, state: State) -> tuple[str, dict[str, Any]]:
        """The user's query from the cursor on, in no order, and the values of its parameters."""
        settings = self._settings
        # A colon of the query's own, as in a time or a cast, names no parameter.
        query = settings.query.strip().rstrip(";").replace(":", "\\:")
        last = cursor_of(state) if settings.cursor else None
        if last is None:
            return query, {}
        column = connection.dialect.identifier_preparer.quote(settings.cursor)
        after = reduced(last, settings.lag, settings.cursor)
        return f"SELECT * FROM ({query}\n) charkh_source WHERE {column} >= :charkh_after", {"charkh_after": after}  # noqa: S608 - the query is the user's own

    def _asked(self, connection: Connection, state: State) -> CursorResult[Any]:
        query, values = self._query(connection, state)
        settings = self._settings
        if settings.cursor:
            column = connection.dialect.identifier_preparer.quote(settings.cursor)
            query = f"SELECT * FROM ({query}\n) charkh_rows ORDER BY {column}"  # noqa: S608 - as above
        streaming = connection.execution_options(
            stream_results=True, yield_per=settings.batch_rows, max_row_buffer=settings.batch_rows
        )
        return streaming.execute(text(query), values)

    @contextlib.contextmanager
    def _connected(self) -> Generator[Connection]:
        """A connection that can only read, where the database has such a thing."""
        engine = _engine(self._url)
        try:
            with engine.connect() as connection:
                if engine.dialect.name == "sqlite":
                    connection.exec_driver_sql("PRAGMA query_only = ON")
                elif engine.dialect.name == "postgresql":
                    connection = connection.execution_options(postgresql_readonly=True)
                yield connection
        except (ProgrammingError, DataError) as error:
            raise Invalid(
                f"the database does not understand the query: {_said(error)}",
                code="source.query",
                hint="Try the query in the database's own client.",
            ) from error
        except DBAPIError as error:
            raise Unavailable(
                f"{self.address} cannot be read: {_said(error)}",
                code="source.database",
                hint="Look at the query, the address and the password's variable, and fetch again: nothing is lost.",
            ) from error
        except SQLAlchemyError as error:
            raise Invalid(
                f"{self.address} cannot be asked: {_said(error)}", code="source.query", hint="Mend the query."
            ) from error
        finally:
            engine.dispose()


def _url(settings: SqlSource, variables: Mapping[str, str], folder: Path) -> URL:
    written = value_of(settings.url, variables, "url")
    try:
        url = make_url(written)
    except ArgumentError as error:
        raise Invalid(
            "url is no address of a database", code="source.url", hint="Write postgresql://user@host/database."
        ) from error
    if settings.password:
        url = url.set(password=value_of(settings.password, variables, "password"))
    url = url.set(drivername=_DRIVERS.get(url.drivername, url.drivername))
    if url.get_backend_name() == "sqlite":
        place = folder / (url.database or "")
        if not place.is_file():
            raise NotFound(
                f"there is no database {place}", code="source.no_database", hint="Paths are relative to the workspace."
            )
        url = url.set(database=str(place))
    return url


def _engine(url: URL) -> Engine:
    try:
        return create_engine(url, poolclass=NullPool)
    except (NoSuchModuleError, ModuleNotFoundError) as error:
        extra = (
            "it with: pip install 'charkh[postgres]'"
            if url.get_backend_name() == "postgresql"
            else "the database's own driver for SQLAlchemy"
        )
        raise Unavailable(
            f"{url.drivername} cannot be spoken: {error}",
            code="source.no_driver",
            hint=f"Install {extra}.",
        ) from error


def _names(result: CursorResult[Any]) -> list[str]:
    if not result.returns_rows:
        raise Invalid("the query gives no rows", code="source.query", hint="Write a SELECT statement.")
    names = list(result.keys())
    twice = next((name for name in names if names.count(name) > 1), None)
    if twice is not None:
        raise Invalid(
            f"the query gives two columns {twice!r}", code="source.same_column", hint="Name one otherwise: … AS other."
        )
    return names


def _write(staging: Staging, number: int, frame: pl.DataFrame, progress: Progress | None) -> _Part:
    place = staging.new_file(f"rows-{number:05}.parquet")
    frame.write_parquet(place)
    if progress:
        progress(place.stat().st_size)
    return _Part(place, dict(frame.schema), frame.height)


def _cast(part: _Part, types: Mapping[str, pl.DataType]) -> Path:
    """The part in the types that all parts have; rewritten where it has others."""
    if any(types[name] != dtype for name, dtype in part.types.items()):
        pl.read_parquet(part.place, glob=False).cast(pl.Schema(types)).write_parquet(part.place)
    return part.place


def _item(number: int, place: Path, rows: int) -> Item:
    path = f"part-{number + 1:05}.parquet"
    return Item(key=f"rows-{number:05}", path=path, size=place.stat().st_size, digest=digest_of(place), rows=rows)


def _numbered(items: Sequence[Item], parts: Sequence[_Part]) -> list[Arrival]:
    return [
        Arrival(msgspec.structs.replace(item, path=PART), part.place, numbered=True)
        for item, part in zip(items, parts, strict=True)
    ]


def _said(error: Exception) -> str:
    told = str(getattr(error, "orig", None) or error).strip().partition("\n")[0]
    return redact(told)[:300]
