"""`charkh.lock` of a workspace: read, written, added to, brought up to date, and asked by code what a name means."""

import contextlib
import os
from collections.abc import Generator, Sequence
from contextvars import ContextVar
from pathlib import Path
from typing import NamedTuple

import msgspec

from charkh.core.errors import Invalid, NotFound
from charkh.core.ids import ID_PATTERN, new_id
from charkh.core.lock import Lock, Pin, format_lock, parse_lock
from charkh.core.refs import parse_path, parse_version_ref
from charkh.datasets.dataset import DatasetVersion
from charkh.datasets.index import DatasetById
from charkh.models.index import ModelById
from charkh.models.model import ModelVersion
from charkh.pipelines.index import StepById
from charkh.ports.store import Store
from charkh.workspace.pinning import newest, pins_of
from charkh.workspace.workspace import Workspace

FILE = "charkh.lock"
LOCK_VARIABLE = "CHARKH_LOCK"
"""Names a lock that stands in the place of the workspace's own, such as that of a replay."""


_pinned: ContextVar[Lock | None] = ContextVar("charkh_pinned", default=None)


class Change(NamedTuple):
    """A pin before and after; None where there was none."""

    old: Pin | None
    new: Pin


def read_lock(folder: Path) -> Lock:
    """The lock of the workspace in `folder`; an empty one where there is no file.

    Raises:
        Conflict: a merge left two versions of one name.
        Invalid: it is no lock.
    """
    path = folder / FILE
    return _read(path)


def _read(path: Path) -> Lock:
    try:
        return parse_lock(path.read_text(encoding="utf-8"), str(path))
    except FileNotFoundError:
        return Lock()
    except UnicodeDecodeError as error:
        raise Invalid(f"{path} is no UTF-8", code="lock.invalid", hint="Take it from version control again.") from error


@contextlib.contextmanager
def pinned(lock: Lock) -> Generator[None]:
    """Let names mean, for the code inside the block, what `lock` says, and nothing of what another lock pins."""
    token = _pinned.set(lock)
    try:
        yield
    finally:
        _pinned.reset(token)


def lock_in_force(workspace: Workspace) -> Lock:
    """The lock of `pinned`, or the one that `CHARKH_LOCK` names, or else the workspace's own; errors of `read_lock`."""
    inner = _pinned.get()
    if inner is not None:
        return inner
    chosen = os.environ.get(LOCK_VARIABLE)
    return _read(Path(chosen)) if chosen else read_lock(workspace.folder)


def require_lock(workspace: Workspace) -> Lock:
    """As `lock_in_force`, where a lock that is not there would pass for one that holds.

    Raises:
        NotFound: there is none.
    """
    path = Path(os.environ.get(LOCK_VARIABLE) or workspace.folder / FILE)
    if not path.is_file():
        raise NotFound(
            f"there is no {path}",
            code="lock.not_found",
            hint="Pin something: charkh lock add NAME; or look whether the file is checked in, and where.",
        )
    return lock_in_force(workspace)


def write_lock(folder: Path, lock: Lock) -> None:
    """Write the lock as a whole; nothing is written where it says the same already.

    Raises:
        OSError: the file cannot be written.
    """
    path, text = folder / FILE, format_lock(lock)
    if path.is_file() and path.read_text(encoding="utf-8") == text:
        return
    partial = folder / f".{FILE}-{new_id()}"
    try:
        with partial.open("x", encoding="utf-8", newline="\n") as file:
            file.write(text)
        partial.replace(path)
    finally:
        partial.unlink(missing_ok=True)


def add(workspace: Workspace, refs: Sequence[str], *, path: str = "") -> tuple[Change, ...]:
    """Pin what the references mean, in the place of what was pinned under those names.

    Args:
        workspace: whose lock.
        refs: `flights@3`, `delay@champion`, `dataset:ID`, `model:delay@3`; `run:ID` for everything that a run used;
            `pipeline:NAME` for everything that its newest finished execution used and made.
        path: where a dataset is put by `charkh lock checkout`, relative to the workspace; what is pinned stays where
            it was without it.

    Raises:
        NotFound: a reference means nothing.
        Conflict: it means several; or the lock has a conflict.
        Invalid: a path is given for something else than one dataset.
    """
    where = parse_path(path.rstrip("/")) if path else ""
    lock = read_lock(workspace.folder)
    pins = [pin for ref in refs for pin in pins_of(workspace.store, ref)]
    if where and [pin.kind for pin in pins] != ["dataset"]:
        raise Invalid(
            "a folder is that of one dataset", code="lock.path", hint="Name one dataset: charkh lock add flights --to …"
        )
    return _write(workspace, lock, [_placed(lock, pin, where) for pin in pins])


def update(workspace: Workspace, names: Sequence[str] = ()) -> tuple[Change, ...]:
    """Pin the newest versions of what is pinned: of these names, or of all; an alias is followed where one was pinned.

    Raises:
        NotFound: a name is not pinned, or has no version any more.
        Conflict: colleagues made the newest version apart; or the lock has a conflict.
    """
    lock = read_lock(workspace.folder)
    unknown = [name for name in names if name not in {pin.name for pin in lock.pins}]
    if unknown:
        raise NotFound(
            f"{FILE} pins no {unknown[0]}", code="lock.not_pinned", hint=f"Pin it: charkh lock add {unknown[0]}"
        )
    chosen = [pin for pin in lock.pins if not names or pin.name in names]
    versions = [newest(workspace.store, pin) for pin in chosen if pin.kind != "step"]
    pipelines = sorted({pin.name.partition("/")[0] for pin in chosen if pin.kind == "step"})
    steps = [pin for name in pipelines for pin in pins_of(workspace.store, f"pipeline:{name}") if pin.kind == "step"]
    kept = {pin.key for pin in chosen}
    return _write(workspace, lock, [_placed(lock, pin, "") for pin in (*versions, *steps) if pin.key in kept])


def remove(workspace: Workspace, names: Sequence[str]) -> tuple[Pin, ...]:
    """Take these names out of the lock; what they pinned stays in the store.

    Raises:
        NotFound: a name is not pinned.
    """
    lock = read_lock(workspace.folder)
    gone = tuple(pin for pin in lock.pins if pin.name in names or pin.ref in names)
    for name in names:
        if name not in {part for pin in gone for part in (pin.name, pin.ref)}:
            raise NotFound(f"{FILE} pins no {name}", code="lock.not_pinned", hint="`charkh lock show` lists the pins.")
    write_lock(workspace.folder, lock.without([pin.key for pin in gone]))
    return gone


def locked_ref(workspace: Workspace, kind: str, ref: str) -> str:
    """What a reference in code means: a name alone is the version that the lock pins, where it pins one.

    A number, an alias and `@latest` mean what they say.

    Raises:
        NotFound: the pinned version is not known here.
        Conflict: the lock has a conflict.
    """
    if "@" in ref or ":" in ref or ID_PATTERN.fullmatch(ref):
        return ref
    pin = lock_in_force(workspace).pin_of(kind, parse_version_ref(ref).name)
    if pin is None:
        return ref
    if known_version(workspace.store, pin) is None:
        raise unknown(pin)
    return pin.subject


def known_version(store: Store, pin: Pin) -> DatasetVersion | ModelVersion | None:
    """The version of a dataset's or model's pin, deleted ones included; None where nobody has told of it here."""
    if pin.kind == "model":
        return store.queries.ask(ModelById(version=pin.id))
    return store.queries.ask(DatasetById(version=pin.id))


def recorded_root(store: Store, pin: Pin) -> tuple[str, bool]:
    """The tree that was recorded under the pin's id, empty where none was; and whether it was deleted or forgotten."""
    if pin.kind == "step":
        record = store.queries.ask(StepById(step=pin.id))
        return (record.done.output.root, record.forgotten) if record is not None else ("", False)
    version = known_version(store, pin)
    return (version.made.tree.root, version.deleted is not None) if version is not None else ("", False)


def unknown(pin: Pin) -> NotFound:
    """The error of a pin that nobody has told of here."""
    return NotFound(
        f"{FILE} pins {pin.kind} {pin.ref} ({pin.id}), which this store knows nothing of",
        code="lock.unknown",
        hint="`charkh lock checkout` brings it from the remote; if nobody has pushed it, ask who changed the lock.",
        facts={"pin": pin.subject},
    )


def _write(workspace: Workspace, lock: Lock, pins: Sequence[Pin]) -> tuple[Change, ...]:
    before = {pin.key: pin for pin in lock.pins}
    write_lock(workspace.folder, lock.having(pins))
    unique = {pin.key: pin for pin in pins}
    return tuple(Change(before.get(key), pin) for key, pin in sorted(unique.items()))


def _placed(lock: Lock, pin: Pin, path: str) -> Pin:
    old = next((each for each in lock.pins if each.key == pin.key), None)
    return msgspec.structs.replace(pin, path=path or (old.path if old else ""))
