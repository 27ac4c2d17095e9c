"""`Artifact`: named files that a script gathers and hands to its run."""

from __future__ import annotations

import contextlib
import tempfile
from collections.abc import Generator, Mapping
from pathlib import Path
from typing import IO, Any

from charkh.core.errors import Invalid
from charkh.core.refs import parse_path


class Artifact:
    """Files under a name; `Run.log_artifact` keeps them below that name among the run's artifacts.

    Args:
        name: of the artifact.
        type: such as `model` or `dataset`.
        description: for people.
        metadata: plain values.
    """

    def __init__(
        self,
        name: str,
        type: str,
        description: str | None = None,
        metadata: Mapping[str, Any] | None = None,
        **_more: Any,
    ) -> None:
        self.name = name
        self.type = type
        self.description = description
        self.metadata = dict(metadata or {})
        self.files: dict[str, Path | bytes] = {}

    def add_file(self, local_path: str | Path, name: str | None = None, **_more: Any) -> None:
        """Add a file.

        Raises:
            Invalid: there is none, or its name leads elsewhere.
        """
        path = Path(local_path)
        if not path.is_file():
            raise Invalid(f"there is no file {path}", code="wandb.no_file", hint="Write it before it is added.")
        self.files[parse_path(name or path.name)] = path

    def add_dir(self, local_path: str | Path, name: str | None = None, **_more: Any) -> None:
        """Add every file of a folder."""
        folder = Path(local_path)
        for path in sorted(each for each in folder.rglob("*") if each.is_file()):
            inside = path.relative_to(folder).as_posix()
            self.add_file(path, f"{name}/{inside}" if name else inside)

    def add(self, obj: Any, name: str, **_more: Any) -> None:
        """Add what can be shown, such as a table."""
        shown = obj.shown()
        self.files[parse_path(name)] = shown.payload

    @contextlib.contextmanager
    def new_file(self, name: str, mode: str = "w", encoding: str | None = None) -> Generator[IO[Any]]:
        """A new file, to be written in the block."""
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / "file"
            with path.open(mode, encoding=encoding) as file:
                yield file
            self.files[parse_path(name)] = path.read_bytes()
