"""Merge two sets of files that were made from one: path by path, a content whole or not at all; pure."""

from collections.abc import Mapping
from typing import NamedTuple

import polars as pl

from charkh.core.files import FileRef, TreeEntry
from charkh.datasets.merge_conflicts import ABSENT, Resolutions, conflict_frame, no_conflicts

Entries = Mapping[str, TreeEntry]


class MergedFiles(NamedTuple):
    """Files after the merge, and the paths that nobody has decided on."""

    entries: list[TreeEntry]
    conflicts: pl.DataFrame


class Touched(NamedTuple):
    """Paths by who changed them since the base, additions and removals included."""

    by_ours: frozenset[str]
    by_theirs: frozenset[str]


def touched(base: Entries, ours: Entries, theirs: Entries) -> Touched:
    """The paths whose content differs from the base's."""

    def changed(side: Entries) -> frozenset[str]:
        return frozenset(path for path in {*base, *side} if _said(base.get(path)) != _said(side.get(path)))

    return Touched(changed(ours), changed(theirs))


def merge_files(base: Entries, ours: Entries, theirs: Entries, decided: Resolutions) -> MergedFiles:
    """What one side changed is taken; a path that both changed otherwise is a conflict."""
    who = touched(base, ours, theirs)
    merged: dict[str, TreeEntry | None] = {**base}
    merged |= {path: ours.get(path) for path in who.by_ours} | {path: theirs.get(path) for path in who.by_theirs}
    apart = sorted(p for p in who.by_ours & who.by_theirs if _said(ours.get(p)) != _said(theirs.get(p)))
    conflicts = no_conflicts()
    if apart:
        cells = [pl.Series([_text(side.get(path)) for path in apart]) for side in (base, ours, theirs)]
        conflicts = conflict_frame(len(apart), kind="file", column=pl.Series(apart), cells=cells)
        takes, _ = decided.of(conflicts)
        sides = {"base": base, "ours": ours, "theirs": theirs}
        for path, take in zip(apart, takes, strict=True):
            if take in sides:
                merged[path] = sides[take].get(path)
        conflicts = conflicts.filter(~takes.is_in(list(sides)).fill_null(False))
    return MergedFiles([entry for entry in merged.values() if entry is not None], conflicts)


def _said(entry: TreeEntry | None) -> tuple[str, bool] | None:
    return None if entry is None else (entry.file.digest, entry.executable)


def _text(entry: TreeEntry | None) -> str:
    return ABSENT if entry is None else _shown(entry.file)


def _shown(file: FileRef) -> str:
    return f"{file.size} bytes, {file.digest[:12]}"
