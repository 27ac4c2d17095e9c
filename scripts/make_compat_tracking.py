"""Make the workspace with what tracking added to format 1: tests/compat/format-1-tracking.tar.gz.

    .venv/bin/python scripts/make_compat_tracking.py tests/compat/format-1-tracking.tar.gz

As `make_compat_workspace.py`: run once at a release, never again for a released archive; views are left out. It holds
projects, renamed, deleted and restored runs, media, console lines, users and their tokens, words and stages of
models, and an open segment that another machine writes.
"""

import os
import socket
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import polars as pl
from make_compat_workspace import kinds, pack
from sklearn.linear_model import LogisticRegression

from charkh.models.annotate import describe, tag
from charkh.models.register import register
from charkh.ports.exchange import RECEIVED
from charkh.ports.journal import DataHeader
from charkh.runs.delete import delete_run
from charkh.runs.points import encode_record
from charkh.runs.projects import create_project, delete_project, rename_project, restore_project, tag_project
from charkh.runs.rename import rename_run
from charkh.runs.restore import restore_run
from charkh.runs.start import start
from charkh.stores.journal_folder import FolderJournal
from charkh.users.make import grant, make_user
from charkh.users.token import make_token, revoke_token
from charkh.workspace.sealing import seal_all
from charkh.workspace.workspace import Workspace, open_workspace


def fill(folder: Path) -> None:
    """Everything, in the order in which a person would do it."""
    with open_workspace(folder, create=True) as workspace:
        _runs(workspace)
        _models(workspace)
        _users(workspace)
        seal_all(workspace)
        _received(workspace)


def _runs(workspace: Workspace) -> None:
    store = workspace.store
    project = create_project(store, "flights/delay")
    tag_project(store, project.id, {"team": "air"})
    for name in ("kept", "renamed", "trashed", "restored"):
        run = start(store, name=name, project=project.id, params={"rate": 0.1}, tags={"kind": name})
        for step in range(20):
            run.log({"loss": 1 / (step + 1)}, step=step)
        if name == "kept":
            run.log_text("words", "a line\nand another", step=0)
            run.log_table("table", pl.DataFrame({"origin": ["JFK", "LGA"], "late": [3, 4]}), step=1)
            run.log_histogram("weights", ([1, 2, 3], [0.0, 0.5, 1.0, 1.5]), step=2)
            run.add_artifact("notes/a.txt", b"an artifact")
            run.note("what was tried")
        run.end()
        if name == "renamed":
            rename_run(store, run.id, "of another name")
        if name in {"trashed", "restored"}:
            delete_run(store, run.id, reason="a mistake")
        if name == "restored":
            restore_run(store, run.id)
    other = create_project(store, "spare")
    delete_project(store, other.id)
    restore_project(store, other.id)
    rename_project(store, other.id, "spare parts")


def _models(workspace: Workspace) -> None:
    rows = pl.DataFrame({"hour": [1.0, 2.0, 3.0, 4.0], "wind": [0.0, 1.0, 0.0, 1.0]})
    fitted: Any = LogisticRegression()
    fitted.fit(rows.to_numpy(), [0, 0, 1, 1])
    made = register(workspace.store, "delay", fitted, runtimes=workspace.runtimes, example=rows)
    describe(workspace.store, made.ref, "late or not")
    tag(workspace.store, made.ref, {"owner": "ann"})


def _users(workspace: Workspace) -> None:
    store = workspace.store
    make_user(store, "bob")
    grant(store, "bob", "writer", "project:flights")
    make_token(store, "bob")
    revoke_token(store, make_token(store, "bob").id)


def _received(workspace: Workspace) -> None:
    """A segment that grows on another machine."""
    run = start(workspace.store, name="elsewhere")
    header = DataHeader(segment="0" * 31 + "2", content="points", subject=run.subject, labels={RECEIVED: "f" * 32})
    assert isinstance(workspace.journal, FolderJournal)
    workspace.journal.take_data(header, 0, [encode_record((float(step), step, {"loss": 0.5})) for step in range(5)])
    run.end()


def main(archive: Path) -> None:
    os.environ.update(CHARKH_ACTOR="ann@laptop", LOGNAME="ann")
    socket.gethostname = lambda: "laptop"
    begun = time.monotonic()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        fill(folder)
        pack(folder, archive)
        for kind, count in sorted(kinds(folder).items()):
            sys.stderr.write(f"{count:4} {kind}\n")
    sys.stderr.write(f"{archive}: {archive.stat().st_size} bytes in {time.monotonic() - begun:.1f} s\n")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
