"""The profile of a version: found again where it was made before, else made of what is new alone, and kept."""

from collections.abc import Mapping
from functools import reduce

import msgspec

from charkh.assets.cutting import BLOCK, ONE_CHUNK
from charkh.core.errors import NotFound
from charkh.core.events import Draft
from charkh.core.files import FileRef, TreeEntry
from charkh.datasets.dataset import DatasetVersion
from charkh.datasets.forgotten_index import ErasedFrom
from charkh.datasets.index import DatasetById
from charkh.datasets.profile.index import ProfilesOf, ProfilesOfName
from charkh.datasets.profile.measure import profile_lazily
from charkh.datasets.profile.merge import can_merge, merge_profiles
from charkh.datasets.profile.metrics import metrics_of
from charkh.datasets.profile.profile import TableProfile, decode_profile, encode_profile
from charkh.datasets.profile.profiled import PROFILED_KIND, DatasetProfiled, Profiled
from charkh.datasets.read import Cache, require_table, scan_table
from charkh.ports.store import Store

MAX_PARTS = 100
"""Files whose profiles are kept one by one; of more, only the whole."""
_ANCESTORS = 10
"""Versions before that are asked for profiles of files that are still there."""


def profile_of(store: Store, version: DatasetVersion, *, cache: Cache | None = None, keep: bool = True) -> TableProfile:
    """The profile of a table's version.

    What versions before have profiled is not read again: an appended batch is profiled alone, and merged.

    Args:
        store: where it lies.
        version: of the dataset.
        cache: keeps files on disk while they are read.
        keep: record it, so that it is found again.

    Raises:
        Invalid: the dataset is no table.
        NotFound: its bytes are not here.
    """
    require_table(version)
    kept = kept_profile(store, version)
    if kept is not None:
        return kept
    entries = list(store.vault.entries(version.made.tree.root))
    parts = _parts(store, version, entries, cache)
    profile = _appended(store, version, cache) if parts is None else _merged(parts, entries)
    if profile is None:
        profile = profile_lazily(scan_table(store, version, cache=cache))
    if keep:
        _record(store, version, profile, parts or {})
    return profile


def kept_profile(store: Store, version: DatasetVersion) -> TableProfile | None:
    """The profile that was made of the version; None where there is none, or rows were erased since."""
    found = _current(store, version)
    return None if found is None else _read(store, found.made.profile)


def history_of(store: Store, version: DatasetVersion, last: int) -> list[dict[str, float]]:
    """The metrics of the versions before one, the oldest first; those that were not profiled are left out."""
    return [metrics for _, metrics in metrics_before(store, version, last)]


def metrics_before(store: Store, version: DatasetVersion, last: int) -> list[tuple[DatasetVersion, dict[str, float]]]:
    """The versions before one that were profiled, with their metrics, the oldest first; at most `last`."""
    known = {each.made.version: each for each in reversed(store.queries.ask(ProfilesOfName(name=version.made.name)))}
    found: list[tuple[DatasetVersion, dict[str, float]]] = []
    at = _parent(store, version)
    while at is not None and len(found) < last:
        profiled = known.get(at.id)
        if profiled is not None and at.deleted is None:
            try:
                data = b"".join(store.vault.read(profiled.made.metrics))
                found.append((at, msgspec.json.decode(data, type=dict[str, float])))
            except (NotFound, msgspec.MsgspecError):
                # The bytes were never brought here, or erased: the history goes on without them.
                pass
        at = _parent(store, at)
    return found[::-1]


def _current(store: Store, version: DatasetVersion) -> Profiled | None:
    erased = max((each.at for each in store.queries.ask(ErasedFrom(version=version.id))), default=0.0)
    made = store.queries.ask(ProfilesOf(version=version.id))
    return next((each for each in made if each.at > erased and store.vault.has(each.made.profile.held)), None)


def _parent(store: Store, version: DatasetVersion) -> DatasetVersion | None:
    parent = version.made.parent
    return store.queries.ask(DatasetById(version=parent)) if parent else None


def _parts(
    store: Store, version: DatasetVersion, entries: list[TreeEntry], cache: Cache | None
) -> dict[str, TableProfile] | None:
    """Profiles of the single files by digest, those of versions before taken over; None for too many files."""
    if len(entries) > MAX_PARTS:
        return None
    known = _known_parts(store, version)
    parts: dict[str, TableProfile] = {}
    empty: TableProfile | None = None
    for entry in entries:
        found = known.get(entry.file.digest)
        if found is not None and empty is None:
            empty = profile_lazily(scan_table(store, version, files=()))
        if found is None or empty is None or not can_merge(found, empty):
            found = profile_lazily(scan_table(store, version, files=[entry.path], cache=cache))
        parts[entry.file.digest] = found
    return parts


def _known_parts(store: Store, version: DatasetVersion) -> Mapping[str, TableProfile]:
    at = _parent(store, version)
    for _ in range(_ANCESTORS):
        if at is None:
            break
        found = _current(store, at)
        if found is not None and found.made.parts is not None and store.vault.has(found.made.parts.held):
            data = b"".join(store.vault.read(found.made.parts))
            return {
                digest: decode_profile(part)
                for digest, part in msgspec.msgpack.decode(data, type=dict[str, bytes]).items()
            }
        at = _parent(store, at)
    return {}


def _merged(parts: Mapping[str, TableProfile], entries: list[TreeEntry]) -> TableProfile | None:
    """The whole; None where files of a very wide table say other types each."""
    profiles = [parts[entry.file.digest] for entry in entries]
    if not profiles or not all(can_merge(profiles[0], each) for each in profiles):
        return None
    return reduce(merge_profiles, profiles)


def _appended(store: Store, version: DatasetVersion, cache: Cache | None) -> TableProfile | None:
    """The parent's profile and that of the new files; None where the version is more than that."""
    parent = _parent(store, version)
    before = kept_profile(store, parent) if parent is not None and version.made.appended else None
    if parent is None or before is None:
        return None
    changes = store.vault.compare(parent.made.tree.root, version.made.tree.root)
    added = [change.path for change in changes if change.new is not None]
    new = profile_lazily(scan_table(store, version, files=added, cache=cache))
    return merge_profiles(before, new) if can_merge(before, new) else None


def _read(store: Store, ref: FileRef) -> TableProfile:
    return decode_profile(b"".join(store.vault.read(ref)))


def _record(store: Store, version: DatasetVersion, profile: TableProfile, parts: Mapping[str, TableProfile]) -> None:
    vault = store.vault
    # One chunk each: a chunk that was erased with an earlier profile may not come back, and a whole one does not.
    whole = vault.put_bytes(encode_profile(profile), ONE_CHUNK)
    metrics = vault.put_bytes(msgspec.json.encode(metrics_of(profile)), ONE_CHUNK)
    kept = msgspec.msgpack.encode({digest: encode_profile(part) for digest, part in parts.items()}) if parts else b""
    single = vault.put_bytes(kept, ONE_CHUNK) if 0 < len(kept) <= BLOCK else None
    vault.flush()
    body = DatasetProfiled(
        name=version.made.name,
        version=version.id,
        rows=profile.rows,
        columns=len(profile.columns),
        profile=whole,
        metrics=metrics,
        parts=single,
    )
    greatest = max((column.missing_share for column in profile.columns), default=0.0)
    store.record(
        Draft(
            kind=PROFILED_KIND,
            subject=version.subject,
            body=body,
            facts={"profile.null_share": greatest},
            holds=tuple(dict.fromkeys(file.held for file in body.files)),
        )
    )
