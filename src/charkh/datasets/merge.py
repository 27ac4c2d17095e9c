"""Merge two versions that were made apart from one: by rows and cells where they are tables, else by files."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import polars as pl

from charkh.assets.flush import flush
from charkh.core.authors import distinct_refs
from charkh.core.errors import Conflict, Invalid
from charkh.core.files import TreeEntry
from charkh.core.ids import new_id
from charkh.datasets.dataset import Batch, Column, DatasetVersion, VersionMade, bounded_message, bounded_schema
from charkh.datasets.find import find
from charkh.datasets.index import AddVersion, NewestVersion
from charkh.datasets.merge_ancestor import ancestors, common_ancestor
from charkh.datasets.merge_conflicts import Resolutions, no_conflicts, swap_sides
from charkh.datasets.merge_files import Entries, merge_files
from charkh.datasets.merge_tables import MergedTable, merge_tables
from charkh.datasets.read import Cache, is_whole
from charkh.ports.store import Store

Outcome = Literal["merged", "there already", "conflicts"]


@dataclass(frozen=True, slots=True, eq=False)
class MergeResult:
    """What came of a merge.

    Attributes:
        outcome: `merged` into a new version; `there already`, because one of the two has the other in it; or
            `conflicts`, and nothing was made.
        version: that has both; None with conflicts.
        base: what both were made from; None where one has the other in it.
        key: the columns that told rows apart; empty where rows were counted, or files merged.
        guessed: the key was found in the rows, not named by anybody.
        conflicts: what is not decided, as `merge_conflicts` has it, with `ours_by` and `theirs_by`.
    """

    outcome: Outcome
    version: DatasetVersion | None
    base: DatasetVersion | None
    key: tuple[str, ...]
    guessed: bool
    conflicts: pl.DataFrame


def merge(
    store: Store,
    ours: DatasetVersion,
    theirs: DatasetVersion,
    *,
    base: DatasetVersion | None = None,
    key: Sequence[str] | None = None,
    decided: Resolutions | None = None,
    message: str = "",
    cache: Cache | None = None,
) -> MergeResult:
    """Make a version of what two versions have changed since the one that both were made from.

    Which of the two is ours changes nothing in the result. The rows that either side changed are held in memory.

    Args:
        store: where they lie.
        ours: one version; the result is a version of its dataset.
        theirs: the other.
        base: what both are compared with; their nearest common ancestor by default.
        key: columns that tell the rows of a table apart; looked for by default; none to count equal rows.
        decided: what was decided on conflicts.
        message: what a person should know about the result.
        cache: keeps files on disk.

    Raises:
        Invalid: there is no common ancestor, two rows have one key, or the kinds of the versions differ.
        Conflict: the dataset has a newer version that neither of the two has in it.
        NotFound: the bytes of one are not here.
    """
    said = bounded_message(message)
    known = _ahead(store, ours, theirs)
    if known is not None:
        return MergeResult("there already", known, None, (), False, _signed(no_conflicts(), ours, theirs))
    newest = _newest(store, ours, theirs)
    ancestor = base or common_ancestor(store, ours, theirs)
    # In one order, whoever asks: so the result is the same for both colleagues.
    swapped = theirs.id < ours.id
    first, second = (theirs, ours) if swapped else (ours, theirs)
    choices = decided or Resolutions()
    choices = choices.swapped() if swapped else choices
    sides = (ancestor, first, second)
    trees: tuple[Entries, ...] = tuple(
        {entry.path: entry for entry in store.vault.entries(each.made.tree.root)} for each in sides
    )
    if _are_tables(sides):
        table = merge_tables(store, sides, trees, None if key is None else tuple(key), choices, cache)
        entries, conflicts = table.entries, table.conflicts
    else:
        if key:
            raise Invalid(
                f"{ours.ref} and {theirs.ref} are merged by files, which have no key",
                code="merge.no_table",
                hint="Leave --key out.",
            )
        table = None
        entries, conflicts = merge_files(trees[0], trees[1], trees[2], choices)
    conflicts = _signed(swap_sides(conflicts) if swapped else conflicts, ours, theirs)
    told = (table.key, table.guessed) if table else ((), False)
    if conflicts.height:
        return MergeResult("conflicts", None, ancestor, *told, conflicts)
    text = said or f"merge of {' and '.join(_refs(first, second))}"
    made = _made(store, ours, (first, second), newest, entries, table, bounded_message(text))
    held = {entry.file for tree in trees for entry in tree.values()}
    erased = flush(store, [entry for entry in entries if entry.file not in held])
    origins = tuple(("merged_from", each.subject) for each in (first, second))
    events = store.commands.decide(AddVersion(made=made, origins=origins, erased=erased))
    version = find(store, events[0].subject if events else newest.id)
    return MergeResult("merged", version, ancestor, *told, conflicts)


def _ahead(store: Store, ours: DatasetVersion, theirs: DatasetVersion) -> DatasetVersion | None:
    """The version that has both in it already: one of the two, or the newest; None where nobody merged them."""
    if theirs.id in ancestors(store, ours):
        return ours
    if ours.id in ancestors(store, theirs):
        return theirs
    newest = store.queries.ask(NewestVersion(name=ours.made.name))
    if newest is not None and {ours.id, theirs.id} <= ancestors(store, newest).keys():
        return newest
    return None


def _newest(store: Store, ours: DatasetVersion, theirs: DatasetVersion) -> DatasetVersion:
    newest = store.queries.ask(NewestVersion(name=ours.made.name)) or ours
    if newest.id in ancestors(store, ours) or newest.id in ancestors(store, theirs):
        return newest
    raise Conflict(
        f"{newest.ref} is newer, and neither {ours.ref} nor {theirs.ref} has it in it",
        code="merge.newer",
        hint=f"Merge with it instead: charkh dataset merge {newest.ref}~{newest.author} {theirs.ref}",
    )


def _are_tables(sides: Sequence[DatasetVersion]) -> bool:
    same = all(each.made.kind == "table" and is_whole(each) for each in sides)
    return same and all(each.made.reading == sides[0].made.reading for each in sides)


def _refs(first: DatasetVersion, second: DatasetVersion) -> tuple[str, ...]:
    return distinct_refs([first, second]) if first.ref == second.ref else (first.ref, second.ref)


def _signed(conflicts: pl.DataFrame, ours: DatasetVersion, theirs: DatasetVersion) -> pl.DataFrame:
    """Conflicts with who made each side, and what a person fills in."""
    return conflicts.with_columns(
        pl.lit(ours.actor).alias("ours_by"),
        pl.lit(theirs.actor).alias("theirs_by"),
        pl.lit("").alias("take"),
        pl.lit("").alias("value"),
    )


def _made(
    store: Store,
    ours: DatasetVersion,
    parents: tuple[DatasetVersion, DatasetVersion],
    newest: DatasetVersion,
    entries: Sequence[TreeEntry],
    table: MergedTable | None,
    message: str,
) -> VersionMade:
    before = {entry.path: entry.file.digest for entry in store.vault.entries(newest.made.tree.root)}
    fresh = [entry for entry in entries if before.get(entry.path) != entry.file.digest]
    columns: tuple[Column, ...] = table.columns if table else ()
    return VersionMade(
        name=ours.made.name,
        version="",
        number=0,
        tree=store.vault.put_tree(entries),
        kind="table" if table else "files",
        columns=len(columns),
        schema=bounded_schema(columns),
        rows=table.rows if table else None,
        reading=ours.made.reading,
        message=message,
        parent=newest.id,
        batch=Batch(
            id=new_id(),
            files=len(fresh),
            size=sum(entry.file.size for entry in fresh),
            rows=sum(table.heights.get(entry.path, 0) for entry in fresh) if table else None,
        ),
        merged=tuple(each.id for each in parents),
    )
