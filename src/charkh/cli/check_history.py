"""`charkh check history`: what a dataset's numbers were in its versions, and where they strayed."""

from typing import Annotated

import msgspec
import typer

from charkh.cli.opening import open_workspace
from charkh.cli.output import AsJson, shown_count, write_json, write_line, write_table
from charkh.datasets.dataset import DatasetVersion
from charkh.datasets.find import find as find_dataset
from charkh.datasets.index import DatasetById
from charkh.ports.store import Store


class MetricHistory(msgspec.Struct, frozen=True, kw_only=True):
    """A metric over versions: its values, None where it was not, and by version why it strayed there."""

    metric: str
    values: tuple[float | None, ...]
    strayed: dict[str, str]


def history(
    dataset: Annotated[str, typer.Argument(help="A version of a table; it and those before it are looked at.")],
    metric: Annotated[
        list[str] | None, typer.Option("--metric", "-m", help="Such as rows or null_share(tailnum); all by default.")
    ] = None,
    last: Annotated[int, typer.Option("--last", min=1, help="Look at so many versions.")] = 20,
    deviations: Annotated[float, typer.Option(help="How many robust deviations are too many.")] = 4.0,
    season: Annotated[int, typer.Option(min=0, help="Length of a season in versions, such as 7; 0 for none.")] = 0,
    json: AsJson = False,
) -> None:
    """Show how numbers of a table went over its versions, those that strayed first; what was not profiled yet, is."""
    # Polars and NumPy are loaded by the verbs that read tables alone.
    from charkh.checks.history import strays
    from charkh.checks.table_rules import History
    from charkh.datasets.profile.keep import profile_of
    from charkh.datasets.profile.metrics import metrics_of

    with open_workspace() as workspace:
        store, cache = workspace.store, workspace.table_cache
        versions = _lineage(store, find_dataset(store, dataset), last)
        found = [metrics_of(profile_of(store, version, cache=cache)) for version in versions]
    names = [name for name in found[-1] if not metric or name in metric]
    lines: list[MetricHistory] = []
    for name in names:
        values = [metrics.get(name) for metrics in found]
        before: list[float] = []
        strayed: dict[str, str] = {}
        for version, value in zip(versions, values, strict=True):
            if value is None:
                continue
            finding = strays(before, value, History(metric=name, last=last, deviations=deviations, season=season))
            if finding:
                strayed[version.ref] = finding
            before.append(value)
        lines.append(MetricHistory(metric=name, values=tuple(values), strayed=strayed))
    lines.sort(key=lambda line: not line.strayed)
    if json:
        write_json({"versions": [version.ref for version in versions], "metrics": lines})
        return
    shown = lines if metric else [line for line in lines if line.strayed or line.metric == "rows"]
    write_table(
        ["metric", *(f"@{version.made.number}" for version in versions)],
        [[line.metric, *(_marked(line, place, versions) for place in range(len(versions)))] for line in shown],
        empty="there is no such metric",
    )
    strayed_lines = [f"{ref}: {text}" for line in lines for ref, text in line.strayed.items()]
    for text in strayed_lines:
        write_line(text)
    if not strayed_lines:
        told = shown_count(len(versions), "version")
        write_line(f"none of {len(names)} metrics strayed in {told}; five are needed to judge a sixth")


def _lineage(store: Store, version: DatasetVersion, last: int) -> list[DatasetVersion]:
    """The version and those before it, the oldest first."""
    found = [version]
    while len(found) < last and found[-1].made.parent:
        parent = store.queries.ask(DatasetById(version=found[-1].made.parent))
        if parent is None or parent.deleted is not None or parent.made.kind != "table":
            break
        found.append(parent)
    return found[::-1]


def _marked(line: MetricHistory, place: int, versions: list[DatasetVersion]) -> str:
    value = line.values[place]
    return "" if value is None else f"{value:.6g}{'!' if versions[place].ref in line.strayed else ''}"
