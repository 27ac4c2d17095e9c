"""`charkh endpoint`: what is deployed where, and what it predicted."""

from collections.abc import Mapping
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import msgspec
import typer

from charkh.cli import endpoint_rollout
from charkh.cli.endpoint_expire import expire
from charkh.cli.endpoint_export import export
from charkh.cli.endpoint_rollback import rollback
from charkh.cli.endpoint_truth import truth
from charkh.cli.groups import WholeSentences
from charkh.cli.opening import open_workspace
from charkh.cli.output import AsJson, shown_time, write_json, write_line, write_pairs, write_table
from charkh.cli.titles import titles_of
from charkh.core.endpoint_settings import EndpointSettings
from charkh.core.errors import Invalid, NotFound
from charkh.core.graph_settings import Graph
from charkh.core.quantities import parse_duration
from charkh.endpoints.deploy import stop as stop_endpoint
from charkh.endpoints.deployment import Deployment
from charkh.endpoints.index import Deployments, Endpoints
from charkh.workspace.workspace import Workspace

if TYPE_CHECKING:
    import polars as pl

app = typer.Typer(no_args_is_help=True, help="Served models and their prediction logs.")

Prefix = Annotated[str, typer.Option(help="Only those whose name begins so.")]
Name = Annotated[str, typer.Argument(help="Name of the endpoint.")]
Reason = Annotated[str, typer.Option(help="Why, in a sentence.")]


@app.command()
def deploy(
    name: Name,
    model: Annotated[str, typer.Argument(help="The model, such as delay@champion; else what charkh.toml says.")] = "",
    recipe: Annotated[
        list[str] | None, typer.Option(help="A recipe that prepares requests; again for the next.")
    ] = None,
    example: Annotated[str, typer.Option(help="A dataset whose rows look like a request.")] = "",
    capture: Annotated[float | None, typer.Option(help="Share of the requests that are logged, 0 to 1.")] = None,
    reason: Reason = "",
    json: AsJson = False,
) -> None:
    """Let a model version answer at an endpoint, also one that was stopped; saying the same again changes nothing.

    Servers that run follow within a second or two. It stays, over restarts too, until charkh.toml or the alias that it
    names says something else than now.
    """
    # Polars and the runtimes are loaded by the verbs that need them: the others start in half the time.
    from charkh.workspace.deploying import deploy_by_hand

    with open_workspace() as workspace:
        settings = _settings(workspace, name, model, recipe or [], example, capture)
        made, version = deploy_by_hand(workspace, name, settings, reason=reason)
    if json:
        write_json(made)
    else:
        write_line(f"{name} answers with {version.ref} (deployment {made.id})")


@app.command("list")
def list_endpoints(prefix: Prefix = "", json: AsJson = False) -> None:
    """List endpoints and what answers there."""
    with open_workspace() as workspace:
        found = workspace.store.queries.ask(Endpoints(prefix=prefix))
        titles = titles_of(workspace.store, (each.current.made.model for each in found if each.current))
    if json:
        write_json(found)
        return
    write_table(
        ["endpoint", "model", "since", "deployments", "sealed predictions"],
        [
            [
                each.name,
                titles[each.current.made.model] if each.current else "stopped",
                shown_time(each.current.at) if each.current else "",
                each.deployments,
                each.sealed,
            ]
            for each in found
        ],
        empty="no endpoints yet; charkh endpoint deploy NAME MODEL makes one",
    )


@app.command()
def show(name: Name, json: AsJson = False) -> None:
    """Show an endpoint: what answers now, and everything that did."""
    with open_workspace() as workspace:
        found = workspace.store.queries.ask(Deployments(endpoint=name))
        used = [subject for each in found for subject in (each.made.model, *each.made.recipes)]
        titles = titles_of(workspace.store, used)
    if not found:
        raise NotFound(
            f"there is no endpoint {name!r}", code="endpoint.not_found", hint="`charkh endpoint list` shows them."
        )
    if json:
        write_json(found)
        return
    current = next((each for each in found if each.current), None)
    write_pairs([("endpoint", name), *_described(current, titles)])
    write_line()
    write_table(
        ["deployment", "model", "route", "at", "by", "reason"],
        [
            [each.id, titles[each.made.model], each.made.route, shown_time(each.at), each.actor, each.made.reason]
            for each in found
        ],
    )


@app.command()
def stop(name: Name, reason: Reason = "", json: AsJson = False) -> None:
    """Let nothing answer at an endpoint any more; its deployments and predictions stay.

    Servers that run answer 503 within a second or two, and so do those that are started, until it is deployed again.
    """
    with open_workspace() as workspace:
        stop_endpoint(workspace.store, name, reason=reason)
    if json:
        write_json({"endpoint": name, "answers": None})
    else:
        write_line(f"{name} is stopped")


@app.command()
def predictions(
    name: Name,
    since: Annotated[str, typer.Option(help="From then on: 2h, 7d, or 2026-01-31[T12:00].")] = "",
    until: Annotated[str, typer.Option(help="Up to then, in the same form.")] = "",
    failed: Annotated[
        bool, typer.Option("--failed", help="The requests that got no answer instead, and why; they are always logged.")
    ] = False,
    limit: Annotated[int, typer.Option(help="The last so many; 0 for all.", min=0)] = 20,
    output: Annotated[Path | None, typer.Option("--output", "-o", help="Write all to a .parquet or .csv file.")] = None,
    json: AsJson = False,
) -> None:
    """Print logged predictions, or write them to a file."""
    # Polars is loaded by the verbs that read tables alone: the others start in half the time.
    from charkh.endpoints.read import predictions as read_predictions

    if output is not None and output.suffix not in {".parquet", ".csv"}:
        raise Invalid(f"cannot write {output.name}", code="cli.output", hint="End it in .parquet or .csv.")
    with open_workspace() as workspace:
        found = read_predictions(workspace.store, name, since=_moment(since), until=_moment(until), failed=failed)
    if output is not None:
        _write_file(found, output)
        write_line(f"wrote {found.height} predictions to {output}")
        return
    last = found.tail(limit) if limit else found
    if json:
        write_json(last.to_dicts())
    else:
        write_table(last.columns, last.iter_rows(), empty=f"no predictions of {name} yet")


def _settings(
    workspace: Workspace, name: str, model: str, recipes: list[str], example: str, capture: float | None
) -> EndpointSettings:
    known = workspace.settings.endpoint.get(name)
    if known is None and not model:
        raise Invalid(
            f"charkh.toml has no [endpoint.{name}]",
            code="endpoint.not_configured",
            hint=f"Name the model: charkh endpoint deploy {name} MODEL@ALIAS.",
        )
    base = known or EndpointSettings(model=model)
    return msgspec.structs.replace(
        base,
        model=model or base.model,
        graph=Graph() if model else base.graph,
        recipes=tuple(recipes) or base.recipes,
        example=example or base.example,
        capture=base.capture if capture is None else capture,
    )


def _described(current: Deployment | None, titles: Mapping[str, str]) -> list[tuple[str, object]]:
    if current is None:
        return [("answers", "nothing: it is stopped")]
    made = current.made
    inputs = ", ".join(f"{spec.name} {spec.datatype}{'?' * spec.optional}" for spec in made.signature.inputs)
    outputs = ", ".join(f"{spec.name} {spec.datatype}" for spec in made.signature.outputs)
    return [
        ("answers", titles[made.model]),
        *(("prepares with", titles[recipe]) for recipe in made.recipes),
        ("takes", inputs),
        ("gives", outputs),
        ("logs", f"{made.capture:.0%} of the requests"),
    ]


def _moment(text: str) -> float | None:
    """Seconds since the epoch of a date, a date and time, or so long ago."""
    if not text:
        return None
    try:
        return datetime.fromisoformat(text).astimezone().timestamp()
    except ValueError:
        return datetime.now().timestamp() - parse_duration(text)


def _write_file(table: "pl.DataFrame", path: Path) -> None:
    if path.suffix == ".parquet":
        table.write_parquet(path)
        return
    import polars as pl

    nested = [name for name, dtype in table.schema.items() if dtype.is_nested()]
    as_text = [pl.col(name).map_elements(_as_json, return_dtype=pl.String) for name in nested]
    table.with_columns(as_text).write_csv(path)


def _as_json(cell: "pl.Series") -> str:
    return msgspec.json.encode(cell.to_list()).decode()


app.command("export")(export)
app.command("expire")(expire)
app.command("truth")(truth)
app.add_typer(endpoint_rollout.app, name="rollout", cls=WholeSentences)
app.command("feedback")(endpoint_rollout.feedback)
app.command("rollback")(rollback)
