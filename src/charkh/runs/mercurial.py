"""Mercurial: changeset, branch or bookmark, default path, and everything that differs from the changeset."""

import os
from pathlib import Path

from charkh.core.errors import Conflict, NotFound
from charkh.runs.patch import as_git_patch, patch_of
from charkh.runs.version_control import (
    Answer,
    CodeState,
    Revision,
    ask,
    inside,
    is_store,
    must,
    text_of,
    unusable,
    work,
)

_QUIET = ("--noninteractive", "--config", "ui.paginate=no", "--config", "ui.merge=internal:fail")
_NULL = "0" * 40
_ABOUT = "{node}\\n{branch}\\n{activebookmark}\\n"


class Mercurial:
    """The installed `hg`; see `charkh.runs.version_control.VersionControl`."""

    name = "hg"
    title = "Mercurial"
    marker = ".hg"

    def read(self, folder: Path) -> CodeState:
        """Of an uncommitted merge, the commit is the first parent."""
        top = _hg(folder, "root")
        if top.code != 0:
            return CodeState(system=self.name)
        root = Path(os.fsdecode(top.output).rstrip("\n"))
        commit, branch, bookmark, *_ = [*text_of(_hg(root, "log", "-r", "p1()", "-T", _ABOUT)).split("\n"), "", "", ""]
        status = _hg(root, "status", "-0")
        entries = [os.fsdecode(entry) for entry in status.output.split(b"\0") if entry]
        entries = [entry for entry in entries if not is_store(entry[2:])]
        dirty = bool(entries) if status.code == 0 else None
        changed = _hg(root, "diff", "--git") if dirty else None
        names = [entry[2:] for entry in entries if entry.startswith("? ")]
        patch = patch_of(root, changed.output if changed.code == 0 else None, names, as_git_patch) if changed else None
        return CodeState(
            system=self.name,
            commit="" if commit == _NULL else commit,
            branch=bookmark or branch or text_of(_hg(root, "branch")),
            remote=text_of(_hg(root, "paths", "default")),
            dirty=dirty,
            root=str(root),
            folder=inside(folder, root),
            patch=patch.content if patch else b"",
            patch_cut=patch is not None and patch.cut,
        )

    def check_out(self, root: Path, revision: Revision, folder: Path) -> None:
        """A clone of its own; hooks that the repository configures do not run."""
        known = _hg(root, "log", "--hidden", "-r", revision.commit, "-T", "{node}")
        if known.code is None:
            raise unusable(known, "hg", root)
        if known.code != 0:
            raise NotFound(
                f"the repository {root} has no changeset {revision.commit}",
                code="replay.commit_missing",
                hint=f"Pull it{f' from {revision.remote}' if revision.remote else ''}, or name a clone that has it "
                "with --repository.",
                facts={"commit": revision.commit, "remote": revision.remote},
            )
        # A share has the store of the other and a working tree alone, so it reads hidden changesets as well.
        shared = ("--config", "extensions.share=", "share", "-q", "-U", str(root), str(folder))
        must(work("hg", *_QUIET, *shared, folder=root), "hg", folder)
        update = (*_without_hooks(folder), "--hidden", "update", "-q", "-C", "-r", revision.commit)
        must(work("hg", *_QUIET, *update, folder=folder), "hg", folder)

    def apply(self, folder: Path, patch: bytes) -> None:
        answer = work("hg", *_QUIET, "import", "-q", "--no-commit", "-", folder=folder, data=patch)
        if answer.code is None:
            raise unusable(answer, "hg", folder)
        if answer.code != 0:
            raise Conflict(f"the recorded changes do not fit: {answer.errors}", code="replay.patch", hint="")


def _without_hooks(folder: Path) -> list[str]:
    """Options that put every configured hook out of force, whatever it is called."""
    names = [line.partition("=")[0] for line in text_of(_hg(folder, "config", "hooks")).splitlines()]
    return [part for name in names if name.startswith("hooks.") for part in ("--config", f"{name}=")]


def _hg(folder: Path, *arguments: str) -> Answer:
    return ask("hg", *_QUIET, *arguments, folder=folder)
