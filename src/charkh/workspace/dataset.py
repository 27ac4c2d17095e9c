"""A version of a dataset as a script reads it: lazily, with Polars, PyArrow, DuckDB or file by file; no checkout."""

import importlib
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO, ClassVar

import polars as pl

from charkh.core.errors import NotFound, Unavailable
from charkh.core.files import TreeEntry
from charkh.datasets.batches import scan_batches
from charkh.datasets.dataset import DatasetVersion
from charkh.datasets.open_file import open_file
from charkh.datasets.read import chosen_entries, collect_table, columns_on_disk, require_table, scan_table
from charkh.datasets.table import Table

if TYPE_CHECKING:
    from charkh.workspace.workspace import Workspace


class Dataset(Table):
    """A version of a dataset; its rows are read when they are asked for, and `frame` once.

    It is a table like any other: recipes, checks and splits take it, and a step gets it as a plain `charkh.Table`.

    Attributes:
        version: what the catalog knows about it.
    """

    __slots__ = ("_read", "_workspace", "version")
    kept_as: ClassVar[type[Table]] = Table
    """What a step gets and a cache keeps instead."""

    version: DatasetVersion
    _workspace: "Workspace"
    _read: list[pl.DataFrame]

    def __init__(self, workspace: "Workspace", version: DatasetVersion) -> None:
        for name, value in (
            ("origins", (version.subject,)),
            ("version", version),
            ("_workspace", workspace),
            ("_read", list[pl.DataFrame]()),
        ):
            object.__setattr__(self, name, value)

    def __repr__(self) -> str:
        made = self.version.made
        return f"<charkh.dataset {self.version.ref}: {made.tree.files} files, {made.rows} rows>"

    def __reduce__(self) -> tuple[type[Table], tuple[pl.DataFrame, tuple[str, ...]]]:
        """Another process gets the rows: it may have no workspace."""
        return Table, (self.frame, self.origins)

    def __len__(self) -> int:
        rows = self.version.made.rows
        return self.frame.height if rows is None else rows

    @property
    def ref(self) -> str:
        """`name@number`."""
        return self.version.ref

    @property
    def columns(self) -> list[str]:
        """The names of the columns."""
        return self.scan().collect_schema().names()

    @property
    def frame(self) -> pl.DataFrame:  # pyright: ignore[reportIncompatibleVariableOverride]
        """The rows, in memory.

        Raises:
            Invalid: it is no table.
            NotFound: its bytes are not here.
            Corrupt: they are not what their digest says.
        """
        if not self._read:
            self._read.append(collect_table(self.version, self.scan()))
        return self._read[0]

    def scan(self, *, batch: bool = False) -> pl.LazyFrame:
        """The rows, read when they are collected, and of Parquet files and larger texts only what is asked for.

        Args:
            batch: with the column `_batch`: the reference of the version that brought each row.

        Raises:
            Invalid: it is no table.
        """
        workspace = self._workspace
        read: Callable[..., pl.LazyFrame] = scan_batches if batch else scan_table
        return read(workspace.store, self.version, cache=workspace.table_cache)

    def to_arrow(self) -> Any:
        """The rows as a `pyarrow.Table`.

        Raises:
            Unavailable: PyArrow is not installed.
        """
        _require("pyarrow", "arrow")
        frame: Any = self.frame
        return frame.to_arrow()

    def arrow_dataset(self) -> Any:
        """The rows as a `pyarrow.dataset.Dataset`, which reads only the columns and row groups that are asked for.

        Raises:
            Unavailable: PyArrow is not installed.
            Invalid: it is no table.
        """
        arrow = _require("pyarrow.dataset", "arrow")
        empty: Any = pl.DataFrame(schema=self.scan().collect_schema())
        paths = [str(path) for path in self._columns()]
        return arrow.dataset(paths, schema=empty.to_arrow().schema, format="parquet")

    def duckdb(self, sql: str = "") -> Any:
        """The rows as a DuckDB relation, read by DuckDB itself, or what a query of them gives.

        Args:
            sql: a query in which the table is called `data`; all of it by default.

        Raises:
            Unavailable: DuckDB is not installed.
            Invalid: it is no table.
        """
        duckdb = _require("duckdb", "sql")
        connection = duckdb.connect()
        # By the version's own order of columns: a file may have another.
        names = ", ".join(_quoted(name) for name in self.columns)
        paths = [str(path) for path in self._columns()]
        connection.read_parquet(paths, union_by_name=True, hive_partitioning=False).create_view("data_files")
        connection.execute(f"CREATE VIEW data AS SELECT {names} FROM data_files")  # noqa: S608 - quoted names
        return connection.sql(sql or "SELECT * FROM data")

    def files(self) -> tuple[TreeEntry, ...]:
        """The files with their paths, sizes and digests, in path order."""
        return tuple(chosen_entries(self._workspace.store, self.version, None))

    def open(self, path: str) -> BinaryIO:
        """A file, to be read from any place; only the chunks that are needed are read.

        Raises:
            NotFound: there is no such file.
        """
        return open_file(self._workspace.store.vault, self._entry(path).file)

    def path(self, path: str) -> Path:
        """A file on local disk, in the bounded cache: for programs that want a path. It is not to be written to.

        Raises:
            NotFound: there is no such file, or its bytes are not here.
            Unavailable: the cache cannot be written.
        """
        return self._workspace.file_cache.path_of(self._workspace.store.vault, self._entry(path))

    def _entry(self, path: str) -> TreeEntry:
        found = next((entry for entry in self.files() if entry.path == path), None)
        if found is None:
            raise NotFound(
                f"{self.ref} has no file {path}",
                code="dataset.no_such_file",
                hint=f"`charkh dataset show {self.ref} --files` lists them.",
            )
        return found

    def _columns(self) -> list[Path]:
        require_table(self.version)
        store, cache = self._workspace.store, self._workspace.table_cache
        return [columns_on_disk(store, self.version, entry, cache) for entry in self.files()]


def _require(module: str, extra: str) -> Any:
    """A library of an extra.

    Raises:
        Unavailable: it is not installed.
    """
    try:
        return importlib.import_module(module)
    except ImportError as error:
        raise Unavailable(
            f"{module.partition('.')[0]} is not installed",
            code="extra.missing",
            hint=f"Run: pip install 'charkh[{extra}]'",
        ) from error


def _quoted(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'
