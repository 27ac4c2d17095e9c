"""Where DVC lays objects, in a cache and on a remote alike: `files/md5/ab/cdef…` since 3.0, `ab/cdef…` before."""

from charkh.bridges.dvc.hashes import is_oid
from charkh.core.errors import Invalid

PREFIX = "files/md5/"


def object_key(oid: str, *, legacy: bool = False) -> str:
    """The key of an object below a cache or remote.

    Raises:
        Invalid: it is no MD5.
    """
    if not is_oid(oid):
        raise Invalid(f"{oid[:80]!r} is no MD5 of DVC", code="dvc.bad_oid", hint="Look at the .dvc file or dvc.lock.")
    key = f"{oid[:2]}/{oid[2:]}"
    return key if legacy else PREFIX + key


def parse_object_key(key: str, *, legacy: bool = False) -> str | None:
    """The object that a key means; None for what is none."""
    if not legacy:
        if not key.startswith(PREFIX):
            return None
        key = key.removeprefix(PREFIX)
    first, slash, rest = key.partition("/")
    oid = first + rest
    return oid if slash and len(first) == 2 and is_oid(oid) else None
