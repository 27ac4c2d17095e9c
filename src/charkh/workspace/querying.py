"""Read-only SQL over everything that is recorded: DuckDB over tables made for the one question, and nothing else.

The engine may open no file, no address and no extension once the tables stand, and its settings are locked: what a
question can reach is what the tables say.
"""

import re
import tempfile
import threading
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from charkh.core.errors import Invalid, Unavailable
from charkh.datasets.index import Datasets, DatasetVersions
from charkh.models.index import AliasesOf, Models, ModelVersions
from charkh.ports.store import Store
from charkh.runs.frames import history_frame, table_frame
from charkh.runs.search import search

if TYPE_CHECKING:
    import polars as pl

SECONDS = 300.0
"""How long a question may take."""

MOST_RUNS = 100_000
TABLES = ("runs", "params", "metrics", "points", "tags", "artifacts", "used", "datasets", "models", "aliases")
SAFE = {
    "autoinstall_known_extensions": "false",
    "autoload_known_extensions": "false",
    "allow_community_extensions": "false",
    "python_enable_replacements": "false",
    "temp_directory": "",
    "memory_limit": "4GB",
}
_CALL = re.compile(r"\bpoints\s*\(\s*'((?:[^']|'')*)'\s*(?:,\s*'((?:[^']|'')*)'\s*)?\)", re.IGNORECASE)
_QUOTED = re.compile(r"'(?:[^']|'')*'|--[^\n]*|/\*.*?\*/", re.DOTALL)
_ODD = ("INTERVAL", "UUID", "BIT", "TIME WITH", "MAP", "UNION", "VARIANT", "GEOMETRY")


def sql(store: Store, text: str, *, seconds: float = SECONDS) -> "pl.DataFrame":
    """The answer to one SELECT, in DuckDB's SQL.

    Tables: `runs`, `params` (number, text, value), `metrics` (last, min, max), `tags`, `artifacts`, `used` (what runs
    used), `datasets`, `models`, `aliases`; `points`, every point of every run, and `points('search', 'key,key')`, those
    of the runs that meet a search.

    Args:
        store: what is asked.
        text: the question.
        seconds: how long it may take.

    Raises:
        Invalid: it is no single SELECT, or cannot be answered; the message is the engine's.
        Unavailable: DuckDB is not installed, or the time was not enough.
    """
    duckdb = _duckdb()
    question, frames = _tables(store, text)
    connection = duckdb.connect(":memory:", config=SAFE)
    timer = threading.Timer(seconds, connection.interrupt)
    try:
        with tempfile.TemporaryDirectory() as folder:
            for name, make in frames:
                path = Path(folder) / f"{name}.parquet"
                make().write_parquet(path, compression="uncompressed")
                create = f'create table "{name}" as select * from read_parquet(?)'  # noqa: S608 - a name of our own
                connection.execute(create, [str(path)])
        connection.execute("set enable_external_access = false; set lock_configuration = true")
        timer.start()
        statements = connection.extract_statements(question)
        if len(statements) != 1 or statements[0].type != duckdb.StatementType.SELECT:
            raise Invalid("only one SELECT can be asked", code="sql.not_a_select", hint="Write: select … from runs …")
        return _answer(connection, question.strip().rstrip(";"))
    except duckdb.InterruptException as error:
        raise Unavailable(
            f"the answer took longer than {seconds:g} s", code="sql.too_slow", hint="Ask for less, or of fewer runs."
        ) from error
    except duckdb.Error as error:
        raise Invalid(
            f"the question cannot be answered: {error}",
            code="sql.invalid",
            hint=f"There are {', '.join(TABLES)}, and points('search', 'key'); `describe runs` shows columns.",
        ) from error
    finally:
        timer.cancel()
        connection.close()


Making = tuple[str, Callable[[], "pl.DataFrame"]]


def _tables(store: Store, text: str) -> tuple[str, list[Making]]:
    """The question with calls of `points` in the place of their tables' names, and the tables that it is about."""
    frames: list[Making] = []

    def named(call: re.Match[str]) -> str:
        where, keys = ((part or "").replace("''", "'") for part in call.groups())
        name = f"points {len(frames) + 1}"
        frames.append((name, lambda: _points(store, where, keys)))
        return f'"{name}"'

    question = _CALL.sub(named, text)
    words = set(re.findall(r"\w+", _QUOTED.sub(" ", question).lower()))
    frames += [(name, make) for name, make in _makers(store) if name in words]
    return question, frames


def _makers(store: Store) -> Iterator[Making]:
    yield "runs", lambda: table_frame(store, "runs")
    yield "params", lambda: table_frame(store, "params")
    yield "metrics", lambda: table_frame(store, "metrics")
    yield "tags", lambda: table_frame(store, "tags")
    yield "artifacts", lambda: table_frame(store, "artifacts")
    yield "used", lambda: table_frame(store, "used")
    yield "points", lambda: _points(store, "", "")
    yield "datasets", lambda: _datasets(store)
    yield "models", lambda: _models(store)
    yield "aliases", lambda: _aliases(store)


def _points(store: Store, where: str, keys: str) -> "pl.DataFrame":
    runs = [run.id for run in search(store, where, limit=MOST_RUNS)]
    return history_frame(store, runs, [key.strip() for key in keys.split(",") if key.strip()])


def _datasets(store: Store) -> "pl.DataFrame":
    rows = [
        (
            each.subject,
            each.made.name,
            each.made.number,
            each.made.kind,
            each.made.rows,
            each.created,
            each.made.made_by,
        )
        for summary in store.queries.ask(Datasets())
        for each in store.queries.ask(DatasetVersions(name=summary.name))
    ]
    return _frame(
        {"dataset": str, "name": str, "number": int, "kind": str, "rows": int, "created": float, "run": str}, rows
    )


def _models(store: Store) -> "pl.DataFrame":
    rows = [
        (each.subject, each.made.name, each.made.number, each.made.run, each.created)
        for summary in store.queries.ask(Models())
        for each in store.queries.ask(ModelVersions(name=summary.name))
    ]
    return _frame({"model": str, "name": str, "number": int, "run": str, "created": float}, rows)


def _aliases(store: Store) -> "pl.DataFrame":
    rows = [
        (summary.name, each.move.moved.alias, each.version.made.number if each.version else None, each.move.at)
        for summary in store.queries.ask(Models())
        for each in store.queries.ask(AliasesOf(name=summary.name))
    ]
    return _frame({"name": str, "alias": str, "number": int, "since": float}, rows)


def _frame(columns: Mapping[str, type], rows: list[tuple[Any, ...]]) -> "pl.DataFrame":
    # Polars loads here: whoever imports this module to ask nothing should not wait for it.
    import polars as pl

    types = {str: pl.String, int: pl.Int64, float: pl.Float64}
    frame = pl.DataFrame(rows, schema={name: types[kind] for name, kind in columns.items()}, orient="row")
    moments = [name for name in ("created", "since") if name in columns]
    return frame.with_columns(
        (pl.col(name) * 1e6).round().cast(pl.Int64).cast(pl.Datetime("us", "UTC")) for name in moments
    )


def _answer(connection: Any, question: str) -> "pl.DataFrame":
    """The answer as a frame: types that Polars lacks are told as text, and names that come twice are numbered."""
    import polars as pl  # see `_frame`

    found = connection.sql(question)
    taken: dict[str, int] = {}
    columns: list[str] = []
    for place, (name, kind) in enumerate(zip(found.columns, found.types, strict=True)):
        taken[name] = taken.get(name, 0) + 1
        shown = name if taken[name] == 1 else f"{name}_{taken[name]}"
        columns.append(f"{_told(f'c{place}', str(kind))} as {_quoted(shown)}")
    places = ", ".join(f"c{place}" for place in range(len(columns)))
    told = f"select {', '.join(columns)} from ({question}\n) as answer({places})"  # noqa: S608 - it is what was asked
    return pl.DataFrame(connection.sql(told))


def _told(column: str, kind: str) -> str:
    if "HUGEINT" in kind:
        return f"cast({column} as {kind.replace('UHUGEINT', 'BIGINT').replace('HUGEINT', 'BIGINT')})"
    return f"cast({column} as varchar)" if any(odd in kind for odd in _ODD) else column


def _quoted(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'


def _duckdb() -> Any:
    try:
        import duckdb
    except ImportError as error:
        raise Unavailable(
            "questions in SQL need DuckDB", code="extra.missing", hint="Install it: pip install 'charkh[sql]'"
        ) from error
    return duckdb
