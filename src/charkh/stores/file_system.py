"""What kind of file system a folder lies on: on one that several machines reach, a lock says nothing of who lives."""

import os
from collections.abc import Iterator
from pathlib import Path

MOUNTS = Path("/proc/self/mountinfo")
SHARED = frozenset(
    {"9p", "afs", "beegfs", "ceph", "cifs", "davfs", "glusterfs", "gpfs", "lustre", "ncpfs", "nfs", "nfs4", "ocfs2"}
    | {"orangefs", "panfs", "pvfs2", "smb3", "smbfs", "wekafs"}
)
"""Types, as the kernel writes them, of file systems that other machines write to."""


def is_shared(folder: Path) -> bool:
    """Whether other machines may write to what lies in a folder: a network's file system, or one in user space.

    Of a folder that is not there yet, the nearest one above it is looked at. Where the system says nothing, it is not.
    """
    kind = file_system_of(folder)
    return kind in SHARED or kind == "fuse" or kind.startswith("fuse.")


def file_system_of(folder: Path) -> str:
    """The type of the file system, such as `ext4` or `nfs4`; empty where the system does not say."""
    while not folder.exists() and folder != folder.parent:
        folder = folder.parent
    place, best, kind = os.path.realpath(folder), "", ""
    for mounted, found in _mounts():
        # A later mount at the same place hides the earlier one.
        if len(mounted) >= len(best) and (place == mounted or place.startswith(mounted.rstrip("/") + "/")):
            best, kind = mounted, found
    return kind


def _mounts() -> Iterator[tuple[str, str]]:
    """Where something is mounted, and its type (proc(5), mountinfo: the fifth field, and the first behind the dash)."""
    try:
        lines = MOUNTS.read_text(errors="surrogateescape").splitlines()
    except OSError:
        return
    for line in lines:
        before, _, behind = line.partition(" - ")
        fields, kinds = before.split(), behind.split()
        if len(fields) > 4 and kinds:
            # The kernel writes blanks, tabs, line ends and backslashes as octal numbers.
            yield fields[4].encode("latin-1", "replace").decode("unicode_escape"), kinds[0]
