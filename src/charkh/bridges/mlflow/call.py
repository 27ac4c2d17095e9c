"""What a handler is given, what it may answer, and the row of the route table that leads to it.

A handler is a synchronous function: it reads its `Call`, asks or records through the verbs of the rooms, and returns
a dictionary or struct (JSON), or one of the answers below. It raises `MlflowError`, or a `CharkhError`, which is
translated (`charkh.bridges.mlflow.envelope.translated`).
"""

from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, NamedTuple, Protocol, cast

from charkh.bridges.mlflow.envelope import MlflowError, invalid
from charkh.ports.store import Store
from charkh.users.caller import Caller, Role
from charkh.workspace.workspace import Workspace

if TYPE_CHECKING:
    from charkh.bridges.mlflow.service import Service

BodyKind = Literal["json", "raw", "file"]

MAX_BODY = 32 * 1024 * 1024
"""Bytes of a body that is held in memory: a dataset's profile may have 16 MiB."""


class Permit(Protocol):
    """Raises where the caller may not do this in a project; see `Call.permit`."""

    def __call__(self, project: str, absent: MlflowError | None = None, /) -> None: ...


class Call(NamedTuple):
    """One request, authenticated and taken apart.

    Attributes:
        store: records under the caller's name.
        workspace: what is served.
        service: what this server keeps in memory for its clients: open segments, states of runs.
        caller: who calls; None where the route asks for nobody.
        permit: raises where the caller may not do this in the project with this name; where it may not even see it,
            and is told what is said of something that is not there, that.
        query: the query string; a repeated key has several values.
        body: the fields of a JSON body, of a GET those of the query; empty for other kinds of body.
        path_values: by name, what stood in the path's places.
        headers: by lower-case name.
        raw: the bytes of a `raw` body.
        upload: the file that a `file` body was written to; the handler may move it away.
        root: what stood before the route in the path, without the last slash.
    """

    store: Store
    workspace: Workspace
    service: "Service"
    caller: Caller | None
    permit: "Permit"
    query: Mapping[str, list[str]]
    body: Mapping[str, Any]
    path_values: Mapping[str, str]
    headers: Mapping[str, str]
    raw: bytes = b""
    upload: Path | None = None
    root: str = ""

    def may_see(self, project: str) -> bool:
        """Whether the caller may read the project with this name."""
        return self.caller is None or self.caller.may("reader", "project", project)

    def text(self, name: str, default: str | None = None) -> str:
        """A text among the fields; required where there is no default, and then not empty.

        Raises:
            MlflowError: it is missing, or no text.
        """
        value = self.body.get(name)
        if value is None or (value == "" and default is None):
            if default is None:
                raise missing(name)
            return default
        value = _only(value)
        if not isinstance(value, str):
            raise bad(name, value)
        return value

    def whole(self, name: str, default: int | None = None) -> int:
        """A 64-bit integer among the fields; clients send it as a number or as text.

        Raises:
            MlflowError: it is missing and has no default, or is none.
        """
        value = self.body.get(name)
        if value is None:
            if default is None:
                raise missing(name)
            return default
        return whole(name, value)

    def truth(self, name: str, *, default: bool = False) -> bool:
        """A boolean among the fields; of a GET it is `true` or `false`.

        Raises:
            MlflowError: it is none.
        """
        value = self.body.get(name, default)
        if isinstance(value, str) and value.lower() in {"true", "false"}:
            return value.lower() == "true"
        if not isinstance(value, bool):
            raise invalid(f"Invalid boolean value: {value}, must be 'true' or 'false'.")
        return value

    def texts(self, name: str) -> tuple[str, ...]:
        """A list of texts among the fields; empty where it is missing.

        Raises:
            MlflowError: it is none.
        """
        value = self.body.get(name)
        if value is None:
            return ()
        if isinstance(value, str):
            return (value,)
        listed = _listed(name, value)
        if not all(isinstance(each, str) for each in listed):
            raise bad(name, listed)
        return tuple(cast(list[str], listed))

    def items(self, name: str) -> tuple[dict[str, Any], ...]:
        """A list of objects among the fields; empty where it is missing.

        Raises:
            MlflowError: it is none.
        """
        value = self.body.get(name)
        if value is None:
            return ()
        listed = _listed(name, value)
        if not all(isinstance(each, dict) for each in listed):
            raise bad(name, listed)
        return tuple(cast(list[dict[str, Any]], listed))

    def has(self, name: str) -> bool:
        """Whether a field was sent."""
        return self.body.get(name) is not None


class Raw(NamedTuple):
    """An answer that is no JSON object."""

    content: bytes
    kind: str = "text/plain; charset=utf-8"
    status: int = 200
    headers: tuple[tuple[str, str], ...] = ()


class Streamed(NamedTuple):
    """An answer that is sent piece by piece; what cannot be read after it began ends the connection."""

    pieces: Iterator[bytes]
    length: int
    kind: str = "application/octet-stream"
    headers: tuple[tuple[str, str], ...] = ()


Handler = Callable[[Call], object]


class Route(NamedTuple):
    """One row of the table.

    Attributes:
        method: `GET`, `POST`, `PATCH`, `PUT` or `DELETE`.
        path: behind `/api/VERSION`, such as `/mlflow/runs/create`; `{name}` stands for one part, `{name...}` for the
            rest of the path.
        handler: answers.
        role: what the caller must be at least; `open` asks for nothing.
        versions: of the API, `2.0` or `3.0`; none for a path that stands at the root of the server.
        body: what the handler reads: fields, bytes, or a file of any size.
        inline: whether a call is answered without waiting for anything but the page cache, so that no thread is worth
            its while; or what says so of one.
        limit: bytes that the body may have.
    """

    method: str
    path: str
    handler: Handler
    role: Role | Literal["open"]
    versions: tuple[str, ...] = ("2.0",)
    body: BodyKind = "json"
    inline: bool | Callable[[Call], bool] = False
    limit: int = MAX_BODY


_SEE = " See the API docs for more information about request parameters."


def missing(name: str) -> Exception:
    """What MLflow's server says when a field is not there."""
    return invalid(f"Missing value for required parameter '{name}'.{_SEE}")


def bad(name: str, value: object) -> Exception:
    """What MLflow's server says when a field is of another type."""
    hint = f"Hint: Value was of type '{type(value).__name__}'."
    return invalid(f"Invalid value {shown_value(value)} for parameter '{name}' supplied:  {hint}{_SEE}")


def as_fields(value: object) -> dict[str, Any] | None:
    """A JSON object as it was decoded; None where the value is something else."""
    return cast(dict[str, Any], value) if isinstance(value, dict) else None


def as_items(value: object) -> list[Any]:
    """A JSON list as it was decoded; empty where the value is something else."""
    return cast(list[Any], value) if isinstance(value, list) else []


def shown_value(value: object) -> str:
    """A value inside of a message: compact JSON, cut where it is long."""
    import json  # msgspec sorts no keys of a nested object

    text = json.dumps(value, sort_keys=True, separators=(",", ":"), default=str)
    return text if len(text) <= 2000 else f"{text[:2000]}…"


def whole(name: str, value: object) -> int:
    """A 64-bit integer.

    Raises:
        MlflowError: it is none.
    """
    value = _only(value)
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    if isinstance(value, str) and len(value) <= 20 and value.removeprefix("-").isdecimal():
        value = int(value)
    if isinstance(value, bool) or not isinstance(value, int) or not -(1 << 63) <= value < 1 << 63:
        raise bad(name, value)
    return value


def _listed(name: str, value: object) -> list[object]:
    if not isinstance(value, list):
        raise bad(name, value)
    return cast(list[object], value)


def _only(value: object) -> object:
    """The value of a query's key that stood once and was read as a list."""
    if not isinstance(value, list):
        return value
    listed = cast(list[object], value)
    return listed[0] if len(listed) == 1 else listed
