"""What a version control system says about code: one shape for Git, Mercurial and Subversion.

The installed program is asked, with fixed output and bounded time; nothing that a repository configures runs. Where
there is no program, or it refuses, that is said as "unknown" and never as "clean".
"""

import os
import subprocess
from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple, Protocol

import msgspec

from charkh.core.errors import Unavailable
from charkh.core.redact import redact
from charkh.runs.run import MAX_TEXT

TIMEOUT_SECONDS = 10.0
CHECKOUT_SECONDS = 600.0

_FORGOTTEN = ("GIT_DIR", "GIT_WORK_TREE", "GIT_INDEX_FILE", "GIT_PREFIX", "GIT_OBJECT_DIRECTORY", "GIT_NAMESPACE")
"""What a hook is told about its own repository, and would mislead whoever asks about another."""
_QUIET = {
    "LC_ALL": "C",
    "GIT_OPTIONAL_LOCKS": "0",
    "GIT_TERMINAL_PROMPT": "0",
    "GIT_ASKPASS": "true",
    "SSH_ASKPASS": "true",
    "GIT_SSH_COMMAND": "ssh -o BatchMode=yes",
    "GIT_PAGER": "cat",
    "PAGER": "cat",
    "HGPLAIN": "1",
    "HGENCODING": "utf-8",
    "SVN_SSH": "ssh -o BatchMode=yes",
}


class CodeState(msgspec.Struct, frozen=True, kw_only=True):
    """The state of a working tree.

    Attributes:
        system: `git`, `hg` or `svn`; empty where there is none.
        commit: what the system calls the revision; empty where there is none yet.
        branch: its name; empty when detached.
        remote: where it was cloned or checked out from, without credentials.
        dirty: it differs from the commit; None where the system would not say.
        root: the root of the working tree.
        folder: the folder asked about, relative to the root.
        patch: the differences, new text files included, without credentials.
        patch_cut: there was more than is kept: too much of it, or changed files that are no text.
    """

    system: str = ""
    commit: str = ""
    branch: str = ""
    remote: str = ""
    dirty: bool | None = None
    root: str = ""
    folder: str = ""
    patch: bytes = b""
    patch_cut: bool = False


class Revision(NamedTuple):
    """What is checked out: a commit, and the branch and address that its working tree had."""

    commit: str
    branch: str = ""
    remote: str = ""


class VersionControl(Protocol):
    """One version control system.

    Attributes:
        name: `git`, `hg` or `svn`, as events say it.
        title: as people say it.
        marker: the entry that makes a folder the root of a working tree.
    """

    @property
    def name(self) -> str: ...

    @property
    def title(self) -> str: ...

    @property
    def marker(self) -> str: ...

    def read(self, folder: Path) -> CodeState:
        """The state of the working tree that `folder` lies in; what the system does not say is left out."""
        ...

    def check_out(self, root: Path, revision: Revision, folder: Path) -> None:
        """Make `folder` a working tree of its own at a revision; the one at `root` stays as it is.

        Raises:
            NotFound: the repository has no such revision (any more).
            Unavailable: the program is missing, or fails.
        """
        ...

    def apply(self, folder: Path, patch: bytes) -> None:
        """Apply a patch that `read` gave to a clean working tree of its revision.

        Raises:
            Conflict: it does not fit.
            Unavailable: the program is missing, or fails.
        """
        ...


_MORE = {
    "git": "`git status` there may say more.",
    "hg": "`hg verify` there may say more.",
    "svn": "`svn cleanup` and `svn upgrade` there may help.",
}


class Answer(NamedTuple):
    """What a program said; `code` is None where it is missing or took too long."""

    code: int | None
    output: bytes
    errors: str


def ask(*command: str, folder: Path, more: Mapping[str, str] | None = None, data: bytes = b"") -> Answer:
    """Run a program to its end: no pager, no prompt, no input but `data`; it may take `TIMEOUT_SECONDS`."""
    return _run(command, folder, more or {}, data, TIMEOUT_SECONDS)


def work(*command: str, folder: Path, more: Mapping[str, str] | None = None, data: bytes = b"") -> Answer:
    """As `ask`, for what writes a working tree and may take longer."""
    return _run(command, folder, more or {}, data, CHECKOUT_SECONDS)


def _run(command: tuple[str, ...], folder: Path, more: Mapping[str, str], data: bytes, seconds: float) -> Answer:
    environment = {name: value for name, value in os.environ.items() if name not in _FORGOTTEN} | _QUIET | dict(more)
    try:
        result = subprocess.run(
            command, cwd=folder, input=data, capture_output=True, timeout=seconds, env=environment, check=False
        )
    except FileNotFoundError as error:
        return Answer(None, b"", f"{error.filename} is not there")
    except (OSError, subprocess.SubprocessError) as error:
        return Answer(None, b"", str(error))
    return Answer(result.returncode, result.stdout, redact(result.stderr.decode("utf-8", "replace")).strip())


def must(answer: Answer, program: str, folder: Path) -> None:
    """Raise `Unavailable` where a program of version control failed."""
    if answer.code != 0:
        raise unusable(answer, program, folder)


def unusable(answer: Answer, program: str, folder: Path) -> Unavailable:
    """The error of a program of version control that is missing or cannot do its work."""
    return Unavailable(
        f"{program} cannot be used in {folder}: {answer.errors or 'it failed'}",
        code="replay.version_control",
        hint=f"Look at what it says; {_MORE[program]}",
    )


def text_of(answer: Answer) -> str:
    """What a program printed, bounded and without credentials; empty where it failed."""
    return redact(answer.output.decode("utf-8", "replace")).strip()[:MAX_TEXT] if answer.code == 0 else ""


def inside(folder: Path, root: Path) -> str:
    """`folder` relative to `root`."""
    return os.path.relpath(folder.resolve(), root.resolve())[:MAX_TEXT]


def is_store(name: str) -> bool:
    """Whether a path lies in a store of charkh, which ignores itself under Git alone."""
    return ".charkh" in name.split("/")
