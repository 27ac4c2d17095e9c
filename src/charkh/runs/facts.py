"""The facts that a run in progress states, as drafts; the bytes they hold are put, and flushed by the caller."""

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

from charkh.core.errors import Invalid, NotFound
from charkh.core.events import Draft, Edge
from charkh.core.files import FileRef
from charkh.core.ids import parse_id
from charkh.core.redact import redact
from charkh.core.refs import parse_path
from charkh.ports.store import Store
from charkh.runs.run import (
    ARTIFACT_KIND,
    ARTIFACT_REMOVED_KIND,
    ENDED_KIND,
    LINKED_KIND,
    MAX_TEXT,
    PARAMS_KIND,
    STARTED_KIND,
    TAGGED_KIND,
    EndStatus,
    RunArtifact,
    RunArtifactRemoved,
    RunEnded,
    RunLinked,
    RunParams,
    RunStarted,
    RunTagged,
    bounded_text,
)
from charkh.runs.values import PlainParams, checked_key, long_tags, plain_params


def started_draft(
    run: str,
    name: str,
    group: str,
    parent: str,
    host: str,
    pid: int,
    *,
    project: str = "",
    user: str = "",
    began: float = 0.0,
    goals: Mapping[str, str] | None = None,
) -> Draft:
    """A run begins; a part of another one points to it. The last four are as `RunStarted` says.

    Raises:
        Invalid: a text is too long, or `parent` is no id.
    """
    around = parse_id(parent.removeprefix("run:")) if parent else ""
    body = RunStarted(
        run=run,
        name=bounded_text(name, "run's name"),
        group=bounded_text(group, "run's group"),
        parent=around,
        host=host,
        pid=pid,
        project=project,
        user=bounded_text(user, "user's name"),
        began=began,
        goals={checked_key(name, "metric"): _goal(name, goal) for name, goal in (goals or {}).items()},
    )
    edges = (Edge(f"run:{run}", "part_of", f"run:{around}"),) if around else ()
    return Draft(kind=STARTED_KIND, subject=f"run:{run}", body=body, edges=edges)


def params_draft(store: Store, run: str, params: Mapping[str, Any]) -> Draft:
    """Params were chosen; those too long for a fact are put into the vault.

    Raises:
        Invalid: a name cannot be kept, or a value has no JSON form.
        Unavailable: the vault cannot be written.
    """
    return plain_params_draft(store, run, plain_params(params))


def plain_params_draft(store: Store, run: str, plain: PlainParams) -> Draft:
    """The same of params that have been made plain already.

    Raises:
        Unavailable: the vault cannot be written.
    """
    large = {name: store.vault.put_bytes(text, "param.json") for name, text in plain.large.items()}
    body = RunParams(run=run, values=plain.values, large=large)
    held = tuple(sorted({file.held for file in large.values()}))
    return Draft(kind=PARAMS_KIND, subject=f"run:{run}", body=body, holds=held)


def tagged_draft(
    store: Store, run: str, tags: Mapping[str, str | None], replaces: Mapping[str, tuple[str, ...]]
) -> Draft:
    """Tags were set, of any length; long ones are put into the vault. `replaces` is as `RunTagged` says.

    Raises:
        Invalid: a name cannot be kept.
        Unavailable: the vault cannot be written.
    """
    plain = long_tags(tags)
    large = {name: store.vault.put_bytes(text, "tag.txt") for name, text in plain.large.items()}
    body = RunTagged(run=run, tags=plain.values, replaces=dict(replaces), large=large)
    held = tuple(sorted({file.held for file in large.values()}))
    return Draft(kind=TAGGED_KIND, subject=f"run:{run}", body=body, holds=held)


def artifact_drafts(store: Store, run: str, path: str, data: bytes | Path) -> list[Draft]:
    """A file, or every file of a folder, was left under `path`; the content is put into the vault.

    Raises:
        Invalid: a path cannot be kept.
        NotFound: there is no such file or folder.
        Unavailable: the vault cannot be written.
    """
    return parts_drafts(store, run, artifact_parts(path, data))


def parts_drafts(store: Store, run: str, parts: Sequence[tuple[str, bytes | Path]]) -> list[Draft]:
    """The same of parts that `artifact_parts` has found.

    Raises:
        Unavailable: the vault cannot be written.
    """
    return [_artifact_draft(run, where, _put(store, where, part)) for where, part in parts]


def artifact_parts(path: str, data: bytes | Path) -> list[tuple[str, bytes | Path]]:
    """What is left under `path`: one file, or every file of a folder.

    Raises:
        Invalid: a path cannot be kept.
        NotFound: there is no such file or folder.
    """
    return list(_parts(path, data))


def removed_draft(run: str, path: str) -> Draft:
    """No file stands under `path` any more."""
    body = RunArtifactRemoved(run=run, path=path)
    return Draft(kind=ARTIFACT_REMOVED_KIND, subject=f"run:{run}", body=body)


def link_draft(run: str, edge: Edge) -> Draft:
    """The run is linked to something."""
    return Draft(kind=LINKED_KIND, subject=f"run:{run}", body=RunLinked(run=run), edges=(edge,))


def _goal(name: str, goal: str) -> str:
    if goal not in {"max", "min"}:
        raise Invalid(
            f"the goal of the metric {name!r} is {goal!r}, and not 'max' or 'min'",
            code="run.bad_goal",
            hint=f"Write charkh.run(goals={{{name!r}: 'max'}}) where more of it is better, 'min' where less is.",
        )
    return goal


def ended_draft(
    run: str, status: EndStatus | Literal["scheduled"], error: str, lost: int, *, moment: float = 0.0
) -> Draft:
    """The run has ended; or it waits for its turn, and is not over. `moment` is as `RunEnded` says."""
    body = RunEnded(run=run, status=status, error=redact(error)[:MAX_TEXT], lost=lost, moment=moment)
    return Draft(kind=ENDED_KIND, subject=f"run:{run}", body=body, facts={"run.status": status})


def _artifact_draft(run: str, path: str, file: FileRef) -> Draft:
    body = RunArtifact(run=run, path=path, file=file)
    return Draft(kind=ARTIFACT_KIND, subject=f"run:{run}", body=body, holds=(file.held,))


def _parts(path: str, data: bytes | Path) -> Iterator[tuple[str, bytes | Path]]:
    where = parse_path(redact(path))
    if isinstance(data, bytes | bytearray | memoryview):  # pyright: ignore[reportUnnecessaryIsInstance]
        yield where, bytes(data)
        return
    source = Path(data)
    if source.is_dir():
        for each in sorted(source.rglob("*")):
            if each.is_file():
                yield parse_path(redact(f"{where}/{each.relative_to(source).as_posix()}")), each
    elif source.is_file():
        yield where, source
    else:
        raise NotFound(f"there is no file {source}", code="asset.not_found", hint="Write it before it is added.")


def _put(store: Store, path: str, part: bytes | Path) -> FileRef:
    return store.vault.put_file(part) if isinstance(part, Path) else store.vault.put_bytes(part, path)
