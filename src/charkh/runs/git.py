"""What git knows of a folder: commit, branch, remote, and everything that differs from the commit.

The installed `git` is asked, with fixed output and bounded time; where there is none, or it refuses, that is
said as "unknown" and never as "clean".
"""

import os
import subprocess
from pathlib import Path

import msgspec

from charkh.core.redact import redact
from charkh.runs.run import MAX_TEXT

TIMEOUT_SECONDS = 10.0
MAX_PATCH_BYTES = 4 * 1024 * 1024
MAX_NEW_FILE_BYTES = 256 * 1024
MAX_NEW_FILES = 500
_SECRET_FILES = (".env", ".pem", ".key", ".p12", ".pfx", ".netrc", ".pgpass", "id_rsa", "id_ed25519", "credentials")


class GitState(msgspec.Struct, frozen=True, kw_only=True):
    """The state of a working tree.

    Attributes:
        commit: id, or empty where there is none yet.
        branch: its name; empty when detached.
        remote: address of `origin`, without credentials.
        dirty: it differs from the commit; None where git would not say.
        folder: the folder asked about, relative to the root.
        patch: the differences, new text files included, without credentials.
        patch_cut: there was more than is kept.
    """

    commit: str = ""
    branch: str = ""
    remote: str = ""
    dirty: bool | None = None
    folder: str = ""
    patch: bytes = b""
    patch_cut: bool = False


def read_git(folder: Path) -> GitState | None:
    """The state of the working tree that `folder` lies in; None when it lies in none, or git is not installed."""
    root = _git(folder, "rev-parse", "--show-toplevel")
    if root is None:
        return GitState() if _looks_like_git(folder) else None
    top = Path(os.fsdecode(root).rstrip("\n"))
    commit = _text(_git(top, "rev-parse", "--verify", "-q", "HEAD"))
    patch, cut, dirty = _differences(top, commit)
    return GitState(
        commit=commit,
        branch=_text(_git(top, "symbolic-ref", "--short", "-q", "HEAD")),
        remote=redact(_text(_git(top, "remote", "get-url", "origin"))),
        dirty=dirty,
        folder=os.path.relpath(folder.resolve(), top.resolve())[:MAX_TEXT],
        patch=patch,
        patch_cut=cut,
    )


def _differences(top: Path, commit: str) -> tuple[bytes, bool, bool | None]:
    status = _git(top, "status", "--porcelain=v1", "-z", "--untracked-files=all")
    if status is None:
        return b"", False, None
    if not status:
        return b"", False, False
    against = commit or "4b825dc642cb6eb9a060e54bf8d69288fbee4904"  # the empty tree
    changed = _git(top, "diff", "--no-color", "--no-ext-diff", "--no-textconv", against)
    new, cut = _new_files(top, status)
    text = redact(((changed or b"") + new).decode("utf-8", "replace"))
    patch = text.encode()
    whole = len(patch) <= MAX_PATCH_BYTES and changed is not None
    return patch[:MAX_PATCH_BYTES], cut or not whole, True


def _new_files(top: Path, status: bytes) -> tuple[bytes, bool]:
    """Untracked text files as a patch that makes them, and whether some were left out for their number or size."""
    names = [os.fsdecode(entry[3:]) for entry in status.split(b"\0") if entry.startswith(b"?? ")]
    parts: list[bytes] = []
    cut = len(names) > MAX_NEW_FILES
    for name in names[:MAX_NEW_FILES]:
        path = top / name
        if path.name.lower().endswith(_SECRET_FILES) or path.is_symlink() or not path.is_file():
            continue
        try:
            if path.stat().st_size > MAX_NEW_FILE_BYTES:
                cut = True
                continue
            content = path.read_bytes()
        except OSError:
            cut = True
            continue
        if b"\0" not in content:
            parts.append(_as_patch(name, content))
    return b"".join(parts), cut


def _as_patch(name: str, content: bytes) -> bytes:
    quoted = os.fsencode(name)
    lines = content.split(b"\n")
    ends = lines[-1] == b""
    lines = lines[:-1] if ends else lines
    head = b"diff --git a/%s b/%s\nnew file mode 100644\n" % (quoted, quoted)
    if not lines:
        return head
    body = b"".join(b"+%s\n" % line for line in lines)
    tail = b"" if ends else b"\\ No newline at end of file\n"
    return head + b"--- /dev/null\n+++ b/%s\n@@ -0,0 +1,%d @@\n" % (quoted, len(lines)) + body + tail


def _git(folder: Path, *arguments: str) -> bytes | None:
    environment = {**os.environ, "LC_ALL": "C", "GIT_OPTIONAL_LOCKS": "0", "GIT_TERMINAL_PROMPT": "0"}
    try:
        result = subprocess.run(
            ["git", "-C", str(folder), "-c", "core.quotepath=off", *arguments],
            capture_output=True,
            timeout=TIMEOUT_SECONDS,
            env=environment,
            check=False,
        )
    except (OSError, subprocess.SubprocessError):
        return None
    return result.stdout if result.returncode == 0 else None


def _text(output: bytes | None) -> str:
    return (output or b"").decode("utf-8", "replace").strip()[:MAX_TEXT]


def _looks_like_git(folder: Path) -> bool:
    """Whether git refuses a folder that is its own, such as for `safe.directory`."""
    here = folder.resolve()
    return any((each / ".git").exists() for each in (here, *here.parents))
