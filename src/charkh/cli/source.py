"""`charkh source`: list, show, fetch and log."""

from typing import TYPE_CHECKING, Annotated, cast

import msgspec
import typer

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
from charkh.cli.titles import title_of, titles_of
from charkh.core.errors import CharkhError, Incomplete, Invalid, NotFound
from charkh.core.redact import redact_value
from charkh.core.source_settings import AnySource, kind_of_source
from charkh.sources.index import Fetches, KnownSources
from charkh.sources.source import Fetch, Known

if TYPE_CHECKING:
    from charkh.workspace.fetching import FetchOutcome

app = typer.Typer(no_args_is_help=True, help="Where data is collected from, and what each fetch brought.")

Name = Annotated[str, typer.Argument(help="Name of the source, as [source.NAME] in charkh.toml.")]


@app.command("list")
def list_sources(json: AsJson = False) -> None:
    """List the sources of the settings, and what each was last fetched for."""
    with open_workspace() as workspace:
        settings = workspace.settings.source
        known = {each.source: each for each in workspace.store.queries.ask(KnownSources())}
    names = sorted({*settings, *known})
    if json:
        write_json(
            [
                {
                    "name": name,
                    "kind": kind_of_source(settings[name]) if name in settings else _kind(known[name]),
                    "configured": name in settings,
                    "every": settings[name].every if name in settings else "",
                    "known": known.get(name),
                }
                for name in names
            ]
        )
        return
    rows: list[list[object]] = []
    for name in names:
        each, seen = settings.get(name), known.get(name)
        latest = seen.latest if seen else None
        rows.append(
            [
                name,
                kind_of_source(each) if each else f"{_kind(seen)} (not in charkh.toml)",
                each.dataset or name if each else latest.made.dataset if latest else "",
                each.used_mode if each else "",
                each.every if each else "",
                seen.fetches if seen else 0,
                shown_time(latest.at if latest else None),
                shown_time(seen.looked if seen else None),
            ]
        )
    columns = ["source", "kind", "dataset", "mode", "every", "fetches", "fetched", "looked"]
    write_table(columns, rows, empty="no sources: write [source.NAME] in charkh.toml")


@app.command()
def show(name: Name, json: AsJson = False) -> None:
    """Show a source: its settings, its last fetch, and where the next one goes on."""
    from charkh.sources.starting import start

    with open_workspace() as workspace:
        settings = workspace.settings.source.get(name)
        known = next((each for each in workspace.store.queries.ask(KnownSources()) if each.source == name), None)
        if settings is None and known is None:
            raise NotFound(
                f"there is no source {name!r}",
                code="source.not_configured",
                hint=f"Write [source.{name}] in charkh.toml; `charkh source list` shows those that there are.",
            )
        dataset = (settings.dataset if settings else "") or (
            known.latest.made.dataset if known and known.latest else name
        )
        begun = start(workspace.store, name, dataset, "replace", full=False)
        made = known.latest.made.version if known and known.latest else ""
        title = title_of(workspace.store, f"dataset:{made}") if made else ""
    said = _said(settings) if settings else {}
    if json:
        state = {
            "items": begun.state.items,
            "cursor": begun.state.cursor,
            "overlap_rows": len(begun.state.seen) // 16,
        }
        write_json({"name": name, "settings": said, "known": known, "state": state})
        return
    write_pairs([("source", name), *((key, _shown_setting(value)) for key, value in said.items())])
    write_line()
    latest = known.latest if known else None
    write_pairs(
        [
            ("fetches", known.fetches if known else 0),
            ("fetched", shown_time(latest.at) if latest else "never"),
            *([("by", latest.actor), ("brought", f"{_brought(latest)} as {title}")] if latest else []),
            ("goes on from", begun.parent.ref if begun.parent and begun.told else "the beginning"),
            *([("cursor", begun.state.cursor)] if begun.state.cursor is not None else []),
        ]
    )
    if begun.state.items:
        write_line()
        write_table(
            ["file", "bytes", "rows", "etag", "from"],
            [
                [item.path, item.size if item.size >= 0 else None, item.rows, item.etag, item.key]
                for item in begun.state.items.values()
            ],
        )


@app.command()
def fetch(
    names: Annotated[list[str] | None, typer.Argument(help="Names of sources.")] = None,
    every: Annotated[bool, typer.Option("--all", help="Fetch every source of charkh.toml.")] = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Say what would come; bring and record nothing.")] = False,
    full: Annotated[
        bool, typer.Option("--full", help="Take everything anew: the version then holds what the source has now alone.")
    ] = False,
    json: AsJson = False,
) -> None:
    """Fetch what is new: a version of the dataset, or nothing. Exit code 3 when some of several sources failed."""
    # Polars is loaded by the verbs that read tables alone: the others start in half the time.
    from charkh.bridges.dlt.collector import dlt_collector
    from charkh.workspace.fetching import fetch as fetch_source

    done: list[FetchOutcome] = []
    failed: list[tuple[str, CharkhError]] = []
    with open_workspace() as workspace:
        wanted = _wanted(names or [], sorted(workspace.settings.source), every=every)
        for name in wanted:
            try:
                with progress(f"fetching {name}", unit="bytes") as advance:
                    outcome = fetch_source(
                        workspace,
                        name,
                        full=full,
                        dry_run=dry_run,
                        progress=advance,
                        bridges={"dlt": dlt_collector},
                    )
            except CharkhError as error:
                if len(wanted) == 1:
                    raise
                failed.append((name, error))
                if not json:
                    write_note(f"{name}: {error.message}" + (f"\n  hint: {error.hint}" if error.hint else ""))
            else:
                done.append(outcome)
                if not json:
                    _write_outcome(outcome)
    if json:
        told = [{"source": name, "code": error.code, "message": error.message} for name, error in failed]
        write_json({"done": done, "failed": told})
    if failed:
        raise Incomplete(
            f"of {shown_count(len(failed) + len(done), 'source')}, {len(failed)} could not be fetched: "
            + ", ".join(name for name, _ in failed),
            code="source.some_failed",
            hint="Those that were fetched are recorded; run it again for the others.",
        )


@app.command()
def log(
    name: Annotated[str, typer.Argument(help="Only fetches of this source.")] = "",
    limit: Annotated[int, typer.Option(help="How many; 0 for all.")] = 20,
    json: AsJson = False,
) -> None:
    """List the fetches that brought something, the latest first."""
    with open_workspace() as workspace:
        found = workspace.store.queries.ask(Fetches(source=name, limit=limit))
        titles = titles_of(workspace.store, (f"dataset:{each.made.version}" for each in found))
    if json:
        write_json(found)
        return
    write_table(
        ["when", "source", "version", "new", "changed", "gone", "size", "by"],
        [
            [
                shown_time(each.at),
                each.made.source,
                titles[f"dataset:{each.made.version}"],
                each.made.new,
                each.made.changed,
                each.made.gone,
                shown_size(each.made.size),
                each.actor,
            ]
            for each in found
        ],
        empty="nothing was fetched yet",
    )


def _wanted(names: list[str], configured: list[str], *, every: bool) -> list[str]:
    if bool(names) == every:
        raise Invalid(
            "name the sources to fetch, or say --all" if not names else "names and --all exclude each other",
            code="source.which",
            hint=f"Known: {', '.join(configured) or 'none; write [source.NAME] in charkh.toml'}.",
        )
    return configured if every else list(dict.fromkeys(names))


def _write_outcome(outcome: "FetchOutcome") -> None:
    for note in outcome.notes:
        write_note(f"{outcome.source}: {note}")
    counts = f"{outcome.new} new, {outcome.changed} changed, {outcome.gone} gone"
    if outcome.version is not None:
        rows = outcome.version.made.batch.rows
        came = f"{shown_count(rows, 'row')}, " if rows is not None else ""
        write_line(f"{outcome.source}: {outcome.version.ref} ({counts}; {came}{shown_size(outcome.size)})")
    elif outcome.status == "would fetch":
        write_line(f"{outcome.source}: would fetch {counts} into {outcome.dataset}")
    else:
        write_line(f"{outcome.source}: nothing new")
    if outcome.check is not None and outcome.check.ran.failed_rows:
        ran = outcome.check.ran
        write_line(f"{outcome.source}: {ran.failed_rows:,} of {ran.rows:,} rows are in quarantine by {ran.name}")


def _said(settings: AnySource) -> dict[str, object]:
    """What the settings say, as it may be shown; what they leave to the default is left out."""
    written = cast(dict[str, object], msgspec.to_builtins(settings))
    own = {each.encode_name for each in msgspec.structs.fields(settings) if each.required}
    defaults = {each.encode_name: each.default for each in msgspec.structs.fields(settings)}
    said = {
        key: value
        for key, value in written.items()
        if key in {"kind", *own} or (value != defaults[key] and value not in ([], {}, ()))
    }
    return cast(dict[str, object], redact_value(said))


def _brought(fetch: Fetch) -> str:
    made = fetch.made
    return f"{made.new} new, {made.changed} changed, {made.gone} gone, {shown_size(made.size)}"


def _shown_setting(value: object) -> object:
    if isinstance(value, dict):
        return ", ".join(f"{key} = {each}" for key, each in cast(dict[str, object], value).items())
    return value


def _kind(known: Known | None) -> str:
    return known.latest.made.kind if known and known.latest else ""
