"""Import a DVC repository: each state of an output in its history becomes a version, its bytes left in DVC's cache.

Importing again adds only what is new. An object that is missing or damaged costs its version and no other.
"""

from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import NamedTuple

from charkh.assets.adopt import take_in
from charkh.bridges.contents import Contents
from charkh.bridges.dvc.hashes import DIRECTORY, oid_of
from charkh.bridges.dvc.history import Commit, changed_files, commits, has_git, states
from charkh.bridges.dvc.output_contents import OutputContents
from charkh.bridges.dvc.repository import (
    DvcRepository,
    Tracked,
    dataset_names,
    files_on_disk,
    open_repository,
    tracked_outputs,
)
from charkh.bridges.histories import HistoryImport, ImportReport, NotImported, State
from charkh.workspace.workspace import Workspace


class Step(NamedTuple):
    """One state of one output: where it is, what is said of it, and since which commit."""

    tracked: Tracked
    commit: Commit | None


def import_repository(
    workspace: Workspace,
    path: Path,
    *,
    revision: str = "HEAD",
    history: bool = True,
    only: Sequence[str] = (),
    prefix: str = "",
    copy: bool = False,
    pull: bool = False,
    remote: str = "",
    as_files: bool = False,
    progress: Callable[[int], None] | None = None,
) -> ImportReport:
    """Make versions of what a DVC repository tracks.

    Args:
        workspace: gets the versions.
        path: of the repository, or inside of it.
        revision: up to which the history counts.
        history: every commit; otherwise the working copy as it is.
        only: outputs, or folders of them, relative to the root.
        prefix: before the names of the datasets.
        copy: take the bytes into packs, also those of earlier imports; otherwise they stay in DVC's cache and are read
            from there.
        pull: get what the cache lacks from the DVC remote, into packs.
        remote: name of that remote; the outputs' own or the default one otherwise.
        as_files: make no tables.
        progress: called with the bytes that were read since the last call.

    Raises:
        NotFound: there is no repository, or no such revision or remote.
        Invalid: its settings cannot be read, or the prefix is no name.
    """
    repository = open_repository(path)
    versioned = history and has_git(repository.root)
    steps, failed = _steps(repository, revision, history=versioned)
    steps = [step for step in steps if _is_wanted(step.tracked.path, only)]
    names = dataset_names({step.tracked.path for step in steps}, prefix)
    contents = Contents(workspace.vault, copy=copy, progress=progress)
    outputs = OutputContents(repository, contents, pull=pull, remote=remote)
    found = [_state(repository, outputs, step, names[step.tracked.path]) for step in steps]
    importer = HistoryImport(workspace.store, as_files=as_files)
    for state in found:
        importer.make(state)
    importer.put_newest_last(found)
    if copy:
        take_in(workspace.vault, repository.cache.folder, importer.contents(found), progress)
    given = [
        (place, name)
        for place, name in sorted(names.items())
        if name != (f"{prefix.strip('/')}/{place}" if prefix else place)
    ]
    return ImportReport(
        repository=str(repository.root),
        versions=tuple(importer.made),
        there=importer.there,
        failed=(*failed, *importer.failed),
        names=tuple(given),
        uncommitted=changed_files(repository.root) if versioned else (),
    )


def oid_label(tracked: Tracked) -> str:
    """What DVC calls an output's content; for a folder whose files stand in the pointer, what they make."""
    output = tracked.output
    if output.oid or not output.files:
        return output.oid
    return oid_of(repr(output.files).encode()) + DIRECTORY


def _state(repository: DvcRepository, outputs: OutputContents, step: Step, name: str) -> State:
    tracked, commit = step
    imported = tracked.output.imported
    return State(
        name=name,
        path=tracked.path,
        label=f"dvc {oid_label(tracked)}",
        commit=commit.id if commit else "",
        message=f"{commit.subject} ({commit.author}, {commit.time[:10]})" if commit else "",
        sources=[f"{repository.root}:{tracked.path}", *([imported] if imported else [])],
        bring=partial(outputs.bring, tracked),
    )


def _steps(repository: DvcRepository, revision: str, *, history: bool) -> tuple[list[Step], list[NotImported]]:
    """The changes of outputs in the order of history."""
    steps: list[Step] = []
    failed: dict[tuple[str, str], NotImported] = {}
    if not history:
        found, unread = tracked_outputs(files_on_disk(repository.root))
        lost = [NotImported(path=path, oid="", commit="", reason=reason) for path, reason in unread]
        return [Step(each, None) for each in found], lost
    last: dict[str, str] = {}
    for state in states(repository.root, commits(repository.root, revision)):
        found, unread = tracked_outputs(state.texts)
        for path, reason in unread:
            text = state.texts[path]
            failed.setdefault((path, text), NotImported(path=path, oid="", commit=state.commit.id, reason=reason))
        for each in found:
            label = oid_label(each)
            if each.path not in state.paths and last.get(each.path) != label:
                last[each.path] = label
                steps.append(Step(each, state.commit))
    return steps, list(failed.values())


def _is_wanted(path: str, only: Sequence[str]) -> bool:
    return not only or any(path == each.rstrip("/") or path.startswith(f"{each.rstrip('/')}/") for each in only)
