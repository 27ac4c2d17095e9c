"""The history of a DVC repository in Git: every commit that touched a `.dvc` file, `dvc.yaml` or `dvc.lock`."""

import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from charkh.bridges.dvc.repository import is_dvc_file, is_read
from charkh.core.errors import NotFound, Unavailable

_PATHS = (":(top,glob)**/*.dvc", ":(top,glob)**/dvc.yaml", ":(top,glob)**/dvc.lock")
_FIELDS = "%H%x1f%an%x1f%aI%x1f%s%x1e"


class Commit(NamedTuple):
    """One commit: its id, who wrote it, when (ISO 8601), and the first line of its message."""

    id: str
    author: str
    time: str
    subject: str


class State(NamedTuple):
    """What a commit holds below the repository's root.

    Attributes:
        commit: it.
        texts: the files that name outputs, and params, by path.
        paths: every path that Git itself keeps.
    """

    commit: Commit
    texts: dict[str, str]
    paths: frozenset[str]


def has_git(root: Path) -> bool:
    """Whether the folder is in a Git repository with a commit."""
    try:
        done = subprocess.run(
            ["git", "-C", str(root), "rev-parse", "--verify", "-q", "HEAD"], capture_output=True, check=False
        )
    except FileNotFoundError:
        return False
    return done.returncode == 0


def commits(root: Path, revision: str = "HEAD") -> tuple[Commit, ...]:
    """The commits up to `revision` that touched such a file below `root`, the oldest first.

    Raises:
        NotFound: there is no such revision.
    """
    listed = _git(root, "log", "--topo-order", "--reverse", f"--format={_FIELDS}", revision, "--", *_paths(root))
    return tuple(Commit(*record.strip("\n").split("\x1f", 3)) for record in listed.split("\x1e") if record.strip())


def states(root: Path, found: tuple[Commit, ...]) -> Iterator[State]:
    """What the commits hold, in their order; each version of a file is read once."""
    known: dict[str, str] = {}
    prefix = _git(root, "rev-parse", "--show-prefix").strip("\n")
    for commit in found:
        listed = _git(root, "ls-tree", "-r", "-z", "--full-tree", commit.id, "--", prefix or ".").split("\0")
        blobs: dict[str, str] = {}
        paths: set[str] = set()
        for line in filter(None, listed):
            about, _, path = line.partition("\t")
            mode, kind, blob = about.split()
            inside = path.removeprefix(prefix)
            paths.add(inside)
            if kind == "blob" and mode != "120000" and is_read(inside):
                blobs[inside] = blob
        for blob in set(blobs.values()) - known.keys():
            known[blob] = _git(root, "cat-file", "blob", blob)
        yield State(commit, {path: known[blob] for path, blob in blobs.items()}, frozenset(paths))


def changed_files(root: Path) -> tuple[str, ...]:
    """The files that name outputs and differ from the last commit, or are in none."""
    told = _git(root, "status", "--porcelain", "-z", "--untracked-files=all", "--", *_paths(root))
    return tuple(sorted(line[3:] for line in told.split("\0") if len(line) > 3 and is_dvc_file(line[3:])))


def _paths(root: Path) -> tuple[str, ...]:
    prefix = _git(root, "rev-parse", "--show-prefix").strip("\n")
    return tuple(each.replace("glob)", f"glob){prefix}") for each in _PATHS)


def _git(root: Path, *arguments: str) -> str:
    try:
        done = subprocess.run(
            ["git", "-C", str(root), "-c", "core.quotePath=false", *arguments], capture_output=True, check=False
        )
    except FileNotFoundError as error:
        raise Unavailable(
            "git is not installed, and the history of a DVC repository is Git's",
            code="git.missing",
            hint="Install git, or import the working copy alone with --no-history.",
        ) from error
    if done.returncode:
        said = done.stderr.decode(errors="replace").strip().partition("\n")[0]
        raise NotFound(f"git in {root}: {said}", code="git.failed", hint="Look at the revision and the repository.")
    return done.stdout.decode(errors="surrogateescape")
