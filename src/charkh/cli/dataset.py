"""`charkh dataset`: add, list, show, log, diff, checkout and delete."""

import time
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import msgspec
import typer

from charkh.cli.dataset_arguments import Ref
from charkh.cli.dataset_diff import diff
from charkh.cli.dataset_forget import erased_lines, forget
from charkh.cli.dataset_merge import merge
from charkh.cli.dataset_profile import profile
from charkh.cli.dataset_rows import blame, rows, write_batch, write_batches
from charkh.cli.dataset_status import status
from charkh.cli.exact import require_version
from charkh.cli.opening import open_workspace
from charkh.cli.output import (
    AsJson,
    progress,
    shown_count,
    shown_size,
    shown_time,
    write_json,
    write_line,
    write_note,
    write_pairs,
    write_table,
)
from charkh.cli.titles import title_of
from charkh.core.authors import refs_of
from charkh.core.refs import parse_name
from charkh.datasets.checkout import checkout as check_out
from charkh.datasets.dataset import DatasetVersion, Reading
from charkh.datasets.delete import delete as delete_version
from charkh.datasets.find import find
from charkh.datasets.index import Datasets, DatasetVersions
from charkh.lineage.index import EdgesFrom
from charkh.ports.store import Store
from charkh.runs.find import find as find_run
from charkh.workspace.whereabouts import shown_whereabouts

if TYPE_CHECKING:
    import polars as pl

app = typer.Typer(no_args_is_help=True, help="Named, versioned files and tables.")


@app.command()
def add(
    name: Annotated[str, typer.Argument(help="The dataset's name; the number is decided.")],
    paths: Annotated[list[Path], typer.Argument(help="Files, and folders with everything in them.")],
    append: Annotated[bool, typer.Option("--append", help="Keep the newest version's files, too.")] = False,
    message: Annotated[str, typer.Option("--message", "-m", help="What a person should know, in a sentence.")] = "",
    separator: Annotated[str, typer.Option(help="Between the fields of a CSV file.")] = "",
    null: Annotated[list[str] | None, typer.Option(help="A text that means missing; may be repeated.")] = None,
    files: Annotated[
        bool, typer.Option("--files", help="Keep them as plain files, even where they are tables.")
    ] = False,
    source: Annotated[list[str] | None, typer.Option(help="Where they came from; may be repeated.")] = None,
    run: Annotated[str, typer.Option(envvar="CHARKH_RUN_ID", help="The run that made them.")] = "",
    json: AsJson = False,
) -> None:
    """Make a version of files and folders."""
    # Polars is loaded by the verbs that read tables alone: the others start in half the time.
    from charkh.datasets.add import add_files

    began = time.time()
    reading = Reading(separator=separator or ",", nulls=tuple(null or ())) if separator or null else None
    with open_workspace() as workspace, progress(f"adding to {name}", unit="bytes") as advance:
        version = add_files(
            workspace.store,
            name,
            paths,
            append=append,
            message=message,
            reading=reading,
            as_files=files,
            sources=source or (),
            made_by=find_run(workspace.store, run).id if run else "",
            progress=advance,
            stats=workspace.stat_cache,
        )
    if json:
        write_json(version)
        return
    before = "" if version.created >= began else "; it was there already"
    write_line(f"{version.ref}: {_content(version)}{before}")
    columns = version.made.schema
    other = next((mark for mark in (";", "\t", "|") if len(columns) == 1 and mark in columns[0].name), None)
    if other is not None:
        write_note(f"its only column is called {columns[0].name!r}: --separator {other!r} where that parts the fields")


@app.command("list")
def list_datasets(
    prefix: Annotated[str, typer.Argument(help="Only names that begin so.")] = "", json: AsJson = False
) -> None:
    """List the datasets with their newest version."""
    with open_workspace() as workspace:
        found = workspace.store.queries.ask(Datasets(prefix=prefix))
    if json:
        write_json(found)
        return
    write_table(
        ["dataset", "newest", "versions", "kind", "rows", "files", "size", "added"],
        [
            [
                each.name,
                ref.removeprefix(f"{each.name}@"),
                each.versions,
                newest.made.kind,
                newest.made.rows,
                newest.made.tree.files,
                shown_size(newest.made.tree.size),
                shown_time(newest.created),
            ]
            for each in found
            for newest, ref in zip(each.latest, refs_of(each.latest).values(), strict=True)
        ],
        empty="nothing was added yet: charkh dataset add NAME FILE…",
    )


@app.command()
def show(
    dataset: Ref,
    files: Annotated[bool, typer.Option("--files", help="List its files.")] = False,
    head: Annotated[int, typer.Option("--head", min=0, help="Show so many first rows.")] = 0,
    batch: Annotated[
        str, typer.Option("--batch", help="What this addition brought to it: a version's number, or a batch's id.")
    ] = "",
    json: AsJson = False,
) -> None:
    """Show a version: content, columns, origin; its files, first rows or one of its batches on request."""
    if batch:
        write_batch(dataset, batch, head, json=json)
        return
    with open_workspace() as workspace:
        store = workspace.store
        version = find(store, dataset)
        entries = list(store.vault.entries(version.made.tree.root)) if files else []
        title, origins = title_of(store, version.subject), _origins(store, version)
        rows = _first_rows(store, version, head) if head else []
    if json:
        write_json({"version": version, "files": entries if files else None, "rows": rows if head else None})
        return
    _write_version(version, title, origins)
    if version.made.schema and not (files or head):
        write_line()
        write_table(["column", "type"], [[column.name, column.dtype] for column in version.made.schema])
    if files:
        write_line()
        write_table(
            ["file", "size", "digest"],
            [[entry.path, shown_size(entry.file.size), entry.file.digest] for entry in entries],
        )
    if rows:
        write_line()
        write_table(list(rows[0]), [list(row.values()) for row in rows])


@app.command()
def log(
    name: Annotated[str, typer.Argument(help="The dataset's name; with --batches, a version.")],
    batches: Annotated[bool, typer.Option("--batches", help="The additions that its rows came with.")] = False,
    deleted: Annotated[bool, typer.Option("--deleted", help="Deleted versions, too.")] = False,
    json: AsJson = False,
) -> None:
    """List the versions of a dataset, newest first, and what each brought."""
    if batches:
        write_batches(name, json=json)
        return
    with open_workspace() as workspace:
        store = workspace.store
        every = store.queries.ask(DatasetVersions(name=parse_name(name, "dataset name"), deleted=True))
        refs = refs_of(every)
        found = every if deleted else tuple(each for each in every if each.deleted is None)
        if not found:
            find(store, name)
        kept = None if json else shown_whereabouts(workspace, [each.made.tree.root for each in found])
    if json:
        write_json(found)
        return
    where = [] if kept is None else ["kept at"]
    write_table(
        ["version", "way", "files", "rows", "new files", "new rows", "added by", "added", *where, "message"],
        [
            [
                f"{refs[each.id]}{' (deleted)' if each.deleted is not None else ''}",
                "append" if each.made.appended else "replace" if each.made.parent else "first",
                each.made.tree.files,
                each.made.rows,
                each.made.batch.files,
                each.made.batch.rows,
                each.actor,
                shown_time(each.created),
                *([] if kept is None else [kept[each.made.tree.root]]),
                each.made.message,
            ]
            for each in found
        ],
    )


@app.command()
def checkout(
    dataset: Ref,
    folder: Annotated[Path, typer.Argument(help="Where the files go; other files there stay.", file_okay=False)],
    paths: Annotated[list[str] | None, typer.Argument(help="Only these files or folders of the dataset.")] = None,
    force: Annotated[bool, typer.Option("--force", help="Replace files that were changed, too.")] = False,
    cache: Annotated[
        bool, typer.Option("--cache", help="Keep whole files beside the store, so that the next checkout copies them.")
    ] = False,
    link: Annotated[
        bool, typer.Option("--link", help="Give the cache's files a second name; they are read-only. Implies --cache.")
    ] = False,
    json: AsJson = False,
) -> None:
    """Put a version's files into a folder."""
    with open_workspace() as workspace:
        version = find(workspace.store, dataset)
        with progress(f"{version.ref} to {folder}", version.made.tree.size, "bytes") as advance:
            done = check_out(
                workspace.store,
                version,
                folder,
                paths=paths or (),
                force=force,
                progress=advance,
                cache=workspace.file_cache,
                fill=cache or link,
                link=link,
                stats=workspace.stat_cache,
            )
    if json:
        write_json({"version": version.ref, "folder": str(folder), **msgspec.structs.asdict(done)})
        return
    how = "linked" if done.linked else "cloned" if done.cloned else "written"
    written = f"{shown_count(done.written, 'file')} ({shown_size(done.size)}) {how} to {folder}"
    there = f", {done.unchanged} there already" if done.unchanged else ""
    write_line(f"{version.ref}: {written}{there}")


@app.command()
def delete(
    dataset: Annotated[str, typer.Argument(help="The version: flights@3, flights@latest or dataset:ID.")],
    json: AsJson = False,
) -> None:
    """Delete a version: its number stays taken, and the next collection frees what only it held."""
    with open_workspace() as workspace:
        require_version(dataset, find(workspace.store, dataset).ref, "dataset")
        version = delete_version(workspace.store, dataset)
        title = title_of(workspace.store, version.subject)
    if json:
        write_json({"deleted": version.ref, "id": version.id})
        return
    write_line(f"deleted {title}; `charkh gc` frees its bytes")


def _content(version: DatasetVersion) -> str:
    made = version.made
    rows, columns = made.rows, shown_count(made.columns or 0, "column")
    table = f"{shown_count(rows, 'row')} of {columns} in " if rows is not None else ""
    batch = f"; {made.batch.files} new" if made.parent else ""
    return f"{table}{shown_count(made.tree.files, 'file')}, {shown_size(made.tree.size)}{batch}"


def _origins(store: Store, version: DatasetVersion) -> list[tuple[str, str]]:
    """What the version was made from, and the version before it, as a person calls them."""
    links = store.queries.ask(EdgesFrom(subject=version.subject))
    made = version.made
    found = [
        (edge.relation.replace("_", " "), edge.target)
        for edge in links
        if edge.relation not in {"produced_by", "erased_by"}
    ]
    before = [("appended to" if made.appended else "after", f"dataset:{made.parent}")] if made.parent else []
    origins = [(relation, title_of(store, subject)) for relation, subject in [*found, *before]]
    return list(dict.fromkeys([*origins, *erased_lines(store, version)]))


def _write_version(version: DatasetVersion, title: str, origins: Sequence[tuple[str, str]]) -> None:
    made = version.made
    write_pairs(
        [
            ("dataset", title),
            ("id", version.id),
            ("content", _content(version)),
            ("added", f"{shown_time(version.created)} by {version.actor}"),
            *((("message", made.message),) if made.message else ()),
            *((("sources", made.sources),) if made.sources else ()),
            *((("made by", f"run:{made.made_by}"),) if made.made_by else ()),
            *origins,
            ("tree", made.tree.root),
        ]
    )


def _first_rows(store: Store, version: DatasetVersion, count: int) -> list[dict[str, str | None]]:
    # Polars is loaded where rows are shown alone: the rest is shown in half the time.
    from charkh.datasets.read import scan_table

    return _text_rows(scan_table(store, version).head(count).collect())


def _text_rows(frame: "pl.DataFrame") -> list[dict[str, str | None]]:
    rows: Sequence[dict[str, object]] = frame.rows(named=True)
    return [{name: None if cell is None else str(cell) for name, cell in row.items()} for row in rows]


app.command("diff")(diff)
app.command("status")(status)
app.command("rows")(rows)
app.command("blame")(blame)
app.command("merge")(merge)
app.command("forget")(forget)
app.command("profile")(profile)
