"""What a patch holds: changed texts, small new texts, and neither credentials nor what is no text."""

import re
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import NamedTuple

from charkh.core.redact import redact

MAX_PATCH_BYTES = 4 * 1024 * 1024
MAX_NEW_FILE_BYTES = 256 * 1024
MAX_NEW_FILES = 500
_SECRET_FILES = (".env", ".pem", ".key", ".p12", ".pfx", ".netrc", ".pgpass", "id_rsa", "id_ed25519", "credentials")

_FILE = re.compile(rb"^(?=diff --git |Index: )", re.M)
"""Where the part of a next file begins; a line of a file's content begins with another sign."""
_BINARY = re.compile(
    rb"^(?:Binary files? .*|GIT binary patch|Cannot display: file marked as a binary type\.)$",
    re.M,
)

Render = Callable[[bytes, bytes], bytes]
"""A path and a content as the part of a patch that makes the file."""


class Patch(NamedTuple):
    """Differences without credentials, and whether there was more than is kept."""

    content: bytes
    cut: bool


def patch_of(root: Path, changed: bytes | None, names: Sequence[str], render: Render) -> Patch:
    """The whole difference of a working tree; files that are no text are left out of it.

    Args:
        root: of the working tree.
        changed: what the system says of the files that it knows; None where it would not.
        names: the files that it does not know, relative to the root.
        render: how the system's own patches make a file.
    """
    parts = _FILE.split(changed or b"")
    texts = [part for part in parts if not _BINARY.search(part)]
    new, cut = _new_files(root, names, render)
    cut = cut or len(texts) < len(parts)
    text = redact((b"".join(texts) + new).decode("utf-8", "surrogateescape"))
    content = text.encode("utf-8", "surrogateescape")
    whole = len(content) <= MAX_PATCH_BYTES and changed is not None
    return Patch(content[:MAX_PATCH_BYTES], cut or not whole)


def as_git_patch(name: bytes, content: bytes) -> bytes:
    """A new file as Git and Mercurial write it."""
    head = b"diff --git a/%s b/%s\nnew file mode 100644\n" % (name, name)
    # A name with a space is ended by a tab, or a reader would end it at the space.
    shown = name + b"\t" if b" " in name else name
    return head + (b"--- /dev/null\n+++ b/%s\n" % shown + added_lines(content) if content else b"")


def added_lines(content: bytes) -> bytes:
    """A hunk that makes a file of this content."""
    lines = content.split(b"\n")
    ends = lines[-1] == b""
    lines = lines[:-1] if ends else lines
    body = b"".join(b"+%s\n" % line for line in lines)
    tail = b"" if ends else b"\\ No newline at end of file\n"
    return b"@@ -0,0 +1,%d @@\n" % len(lines) + body + tail


def _new_files(root: Path, names: Sequence[str], render: Render) -> tuple[bytes, bool]:
    parts: list[bytes] = []
    cut = len(names) > MAX_NEW_FILES
    for name in names[:MAX_NEW_FILES]:
        path = root / name
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
            parts.append(render(name.encode("utf-8", "surrogateescape"), content))
    return b"".join(parts), cut
