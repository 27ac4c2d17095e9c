"""Git: commit, branch, remote, and everything that differs from the commit; and a tree of its own at a commit."""

import os
from pathlib import Path

from charkh.core.errors import Conflict, NotFound
from charkh.runs.patch import as_git_patch, patch_of
from charkh.runs.version_control import Answer, CodeState, Revision, ask, inside, must, text_of, unusable, work

_QUIET = ("-c", "core.quotepath=off", "-c", "core.fsmonitor=false", "-c", f"core.hooksPath={os.devnull}")
_EMPTY_TREE = "4b825dc642cb6eb9a060e54bf8d69288fbee4904"
_DIFF = ("--no-color", "--no-ext-diff", "--no-textconv", "--src-prefix=a/", "--dst-prefix=b/")


class Git:
    """The installed `git`; see `charkh.runs.version_control.VersionControl`."""

    name = "git"
    title = "Git"
    marker = ".git"

    def read(self, folder: Path) -> CodeState:
        """Commit, branch and remote are left out where Git refuses the folder, such as for `safe.directory`."""
        top = _git(folder, "rev-parse", "--show-toplevel")
        if top.code != 0:
            return CodeState(system=self.name)
        root = Path(os.fsdecode(top.output).rstrip("\n"))
        commit = text_of(_git(root, "rev-parse", "--verify", "-q", "HEAD"))
        status = _git(root, "status", "--porcelain=v1", "-z", "--untracked-files=all")
        state = CodeState(
            system=self.name,
            commit=commit,
            branch=text_of(_git(root, "symbolic-ref", "--short", "-q", "HEAD")),
            remote=text_of(_git(root, "remote", "get-url", "origin")),
            dirty=bool(status.output) if status.code == 0 else None,
            root=str(root),
            folder=inside(folder, root),
        )
        return _with_differences(state, root, status.output) if state.dirty else state

    def check_out(self, root: Path, revision: Revision, folder: Path) -> None:
        """A repository that borrows the objects of the one at `root`: no ref, hook or worktree of it changes."""
        _require(root, revision)
        objects = text_of(_git(root, "rev-parse", "--path-format=absolute", "--git-path", "objects"))
        form = text_of(_git(root, "rev-parse", "--show-object-format")) or "sha1"
        must(_git(folder, "init", "-q", "--template=", f"--object-format={form}"), "git", folder)
        (folder / ".git" / "objects" / "info").mkdir(parents=True, exist_ok=True)
        (folder / ".git" / "objects" / "info" / "alternates").write_text(f"{objects}\n", encoding="utf-8")
        # Files under git-lfs come from where the other repository has them, too.
        large = ("-c", f"lfs.storage={Path(objects).with_name('lfs')}")
        must(work("git", *_QUIET, *large, "checkout", "-q", "--detach", revision.commit, folder=folder), "git", folder)
        if revision.remote:
            must(_git(folder, "remote", "add", "origin", revision.remote), "git", folder)

    def apply(self, folder: Path, patch: bytes) -> None:
        """Nothing is applied where a part does not fit."""
        answer = work("git", *_QUIET, "apply", "--whitespace=nowarn", "-", folder=folder, data=patch)
        if answer.code is None:
            raise unusable(answer, "git", folder)
        if answer.code != 0:
            raise Conflict(f"the recorded changes do not fit: {answer.errors}", code="replay.patch", hint="")


def _with_differences(state: CodeState, root: Path, status: bytes) -> CodeState:
    changed = _git(root, "diff", *_DIFF, state.commit or _EMPTY_TREE)
    names = [os.fsdecode(entry[3:]) for entry in status.split(b"\0") if entry.startswith(b"?? ")]
    patch = patch_of(root, changed.output if changed.code == 0 else None, names, as_git_patch)
    return CodeState(
        system=state.system,
        commit=state.commit,
        branch=state.branch,
        remote=state.remote,
        dirty=True,
        root=state.root,
        folder=state.folder,
        patch=patch.content,
        patch_cut=patch.cut,
    )


def _require(root: Path, revision: Revision) -> None:
    known = _git(root, "cat-file", "-e", f"{revision.commit}^{{commit}}")
    if known.code is None:
        raise unusable(known, "git", root)
    if known.code != 0:
        raise NotFound(
            f"the repository {root} has no commit {revision.commit}",
            code="replay.commit_missing",
            hint=f"Fetch it{f' from {revision.remote}' if revision.remote else ''}, or name a clone that has it with "
            "--repository.",
            facts={"commit": revision.commit, "remote": revision.remote},
        )


def _git(folder: Path, *arguments: str) -> Answer:
    return ask("git", *_QUIET, *arguments, folder=folder)
