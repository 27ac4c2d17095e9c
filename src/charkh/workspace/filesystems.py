"""On which kind of file system a path lies, as far as the system tells."""

from pathlib import Path

MOUNTS = Path("/proc/self/mountinfo")

REMOTE = frozenset(
    {"nfs", "nfs4", "cifs", "smb3", "smbfs", "lustre", "gpfs", "ceph", "glusterfs", "9p", "afs", "beegfs"}
    | {"davfs", "ncpfs", "ocfs2", "orangefs", "panfs", "pvfs2", "wekafs"}
)
"""Kinds on which locks or renames are another machine's promise."""


def filesystem_of(path: Path, mounts: Path = MOUNTS) -> str:
    """Such as `ext4` or `nfs4`; empty where the system does not tell.

    Args:
        path: of a file or folder.
        mounts: the kernel's table of mounts, as Linux writes it.
    """
    try:
        lines = mounts.read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        return ""
    where = path.resolve()
    best, kind = -1, ""
    for line in lines:
        fields, _, rest = line.partition(" - ")
        words = fields.split()
        if len(words) < 5 or not rest:
            continue
        point = Path(_unescaped(words[4]))
        # A later mount at the same point hides the earlier one.
        if where.is_relative_to(point) and len(point.parts) >= best:
            best, kind = len(point.parts), rest.split()[0]
    return kind


def is_shared(path: Path, mounts: Path = MOUNTS) -> bool:
    """Whether other machines may write to what lies there; where the system does not tell, they do not."""
    kind = filesystem_of(path, mounts)
    return kind in REMOTE or kind.partition(".")[0] == "fuse"


def _unescaped(text: str) -> str:
    """The kernel writes blanks and backslashes in octal."""
    for code, character in (("\\040", " "), ("\\011", "\t"), ("\\012", "\n"), ("\\134", "\\")):
        text = text.replace(code, character)
    return text
