"""The file system `charkh://flights@3/january.csv` for fsspec, and so for pandas, PyArrow, DuckDB and Polars.

It is read-only: a version never changes. A read fetches the chunks that hold the bytes it asks for. The workspace is
the script's own, or the one that the storage option `workspace` names.
"""

from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any, BinaryIO

try:
    from fsspec.spec import AbstractFileSystem
except ImportError as error:
    from charkh.core.errors import Unavailable

    raise Unavailable(
        "fsspec is not installed", code="extra.missing", hint="Run: pip install 'charkh[arrow]'"
    ) from error

from charkh.core.errors import Denied, Invalid, NotFound
from charkh.core.files import TreeEntry
from charkh.datasets.dataset import DatasetVersion
from charkh.datasets.find import find
from charkh.datasets.index import Datasets, DatasetVersions
from charkh.datasets.open_file import open_file
from charkh.workspace import ambient
from charkh.workspace.workspace import Workspace

Info = dict[str, Any]


class CharkhFileSystem(AbstractFileSystem):  # pyright: ignore[reportUntypedBaseClass]
    """Versions of datasets as folders: `NAME@NUMBER/PATH`; `NAME/PATH` is the newest version.

    Args:
        workspace: a folder; the script's own workspace by default.
    """

    protocol = "charkh"
    root_marker = ""
    # Which version a name means may change while a program runs.
    cachable = False

    def __init__(self, workspace: str | None = None, **options: Any) -> None:
        super().__init__(**options)
        # Asked for now: a thread of a reader's own does not know which workspace the script chose.
        self._workspace: Workspace = ambient.workspace(workspace) if workspace else ambient.existing_workspace()

    def ls(self, path: str, detail: bool = True, **_: Any) -> list[Any]:
        """What a folder has: datasets and their versions at the top, files and folders below a version."""
        where = self._plain(path)
        found = list(self._top()) if not where else self._below(where)
        return found if detail else [each["name"] for each in found]

    def info(self, path: str, **_: Any) -> Info:
        """The size and digest of a file, or that it is a folder."""
        where = self._plain(path)
        if not where:
            return _folder("")
        version, inner = self._version(where)
        if not inner:
            return _folder(where)
        base = where[: len(where) - len(inner)]
        for entry in self._entries(version):
            if entry.path == inner:
                return _file(base, entry)
            if entry.path.startswith(f"{inner}/"):
                return _folder(where)
        raise FileNotFoundError(where)

    def cat_file(self, path: str, start: int | None = None, end: int | None = None, **_: Any) -> bytes:
        """The bytes of a file from `start` to `end`; negative ones count from its end."""
        with self._open(path) as file:
            size = self.info(path)["size"]
            begin = 0 if start is None else start if start >= 0 else max(0, size + start)
            past = size if end is None else end if end >= 0 else size + end
            file.seek(begin)
            return file.read(max(0, past - begin))

    def modified(self, path: str) -> datetime:
        """When the version was made; a file in it never changes."""
        version, _ = self._version(self._plain(path))
        return datetime.fromtimestamp(version.created, UTC)

    def _open(  # pyright: ignore[reportIncompatibleMethodOverride]
        self, path: str, mode: str = "rb", **_: Any
    ) -> BinaryIO:
        if mode != "rb":
            raise Denied(
                f"{path} is of a version, which never changes",
                code="dataset.read_only",
                hint="Write a file of your own and add it: charkh dataset add NAME FILE.",
            )
        where = self._plain(path)
        version, inner = self._version(where)
        entry = next((each for each in self._entries(version) if each.path == inner), None)
        if entry is None:
            raise FileNotFoundError(where)
        return open_file(self._workspace.store.vault, entry.file)

    def _plain(self, path: str) -> str:
        return path.removeprefix("charkh://").strip("/")

    def _version(self, where: str) -> tuple[DatasetVersion, str]:
        """The version that a path begins with, and the path in it."""
        parts = where.split("/")
        # The reference ends with the part that has an @; a name may have slashes.
        places = sorted(range(1, len(parts) + 1), key=lambda place: "@" not in parts[place - 1])
        for place in places:
            try:
                return find(self._workspace.store, "/".join(parts[:place])), "/".join(parts[place:])
            except (NotFound, Invalid):
                continue
        raise FileNotFoundError(f"{where} begins with no dataset's version that there is")

    def _entries(self, version: DatasetVersion) -> Iterator[TreeEntry]:
        return iter(self._workspace.store.vault.entries(version.made.tree.root))

    def _top(self) -> Iterator[Info]:
        queries = self._workspace.store.queries
        for summary in queries.ask(Datasets()):
            for version in queries.ask(DatasetVersions(name=summary.name)):
                yield _folder(version.ref)

    def _below(self, where: str) -> list[Info]:
        version, inner = self._version(where)
        base = where[: len(where) - len(inner)].rstrip("/")
        prefix = f"{inner}/" if inner else ""
        found: dict[str, Info] = {}
        for entry in self._entries(version):
            if entry.path == inner:
                return [_file(f"{base}/", entry)]
            if entry.path.startswith(prefix):
                first, deeper, _ = entry.path[len(prefix) :].partition("/")
                name = f"{base}/{prefix}{first}"
                found.setdefault(name, _folder(name) if deeper else _file(f"{base}/", entry))
        if not found:
            raise FileNotFoundError(where)
        return list(found.values())


def _folder(name: str) -> Info:
    return {"name": name, "size": 0, "type": "directory"}


def _file(base: str, entry: TreeEntry) -> Info:
    return {"name": base + entry.path, "size": entry.file.size, "type": "file", "digest": entry.file.digest}
