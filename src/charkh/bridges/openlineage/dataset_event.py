"""A dataset version as an OpenLineage dataset event: schema, version, quality, assertions, owner, origin, columns."""

from collections.abc import Sequence

import msgspec

from charkh.bridges.openlineage.columns import column_lineage
from charkh.bridges.openlineage.facets import SCHEMA, Json, facet, own_facet, producer, time_text
from charkh.checks.check import Check
from charkh.checks.document import parse_suite
from charkh.checks.index import Checks
from charkh.checks.suite import rule_columns
from charkh.datasets.dataset import DatasetVersion
from charkh.datasets.profile.histogram import quantiles_of
from charkh.datasets.profile.profile import ColumnProfile, TableProfile
from charkh.lineage.index import EdgesFrom
from charkh.ports.store import Store

EVENT = f"{SCHEMA}/DatasetEvent"
QUANTILES = (0.05, 0.25, 0.5, 0.75, 0.95)


def dataset_event(
    store: Store, version: DatasetVersion, *, namespace: str, profile: TableProfile | None = None
) -> Json:
    """The event of a version.

    Args:
        store: where checks and origins are.
        version: of the dataset.
        namespace: of the store, such as `charkh://ID`.
        profile: what its columns hold, or None where it is not known.
    """
    return {
        "eventTime": time_text(version.created),
        "producer": producer(),
        "schemaURL": EVENT,
        "dataset": dataset(store, version, namespace=namespace, profile=profile),
    }


def dataset(store: Store, version: DatasetVersion, *, namespace: str, profile: TableProfile | None = None) -> Json:
    """The dataset with its facets, as events of datasets, runs and jobs have it; arguments as in `dataset_event`."""
    made = version.made
    facets: Json = {
        "version": _facet("1-0-1", "DatasetVersion", datasetVersion=str(made.number)),
        "dataSource": _facet("1-0-1", "Datasource", name=namespace, uri=namespace),
        "ownership": _facet("1-0-1", "Ownership", owners=[{"name": f"user:{version.author}", "type": "CREATOR"}]),
        "lifecycleStateChange": _facet("1-0-1", "LifecycleStateChange", lifecycleStateChange=_change(version)),
        "dataQualityMetrics": _metrics(version, profile),
        "charkh_origin": _origin(store, version),
    }
    if made.message:
        facets["documentation"] = _facet("1-1-0", "Documentation", description=made.message, contentType="text/plain")
    if made.schema:
        fields = [
            {"name": column.name, "type": column.dtype, "ordinal_position": place}
            for place, column in enumerate(made.schema, 1)
        ]
        facets["schema"] = _facet("1-2-0", "Schema", fields=fields)
    if assertions := _assertions(store, store.queries.ask(Checks(about=version.subject))):
        facets["dataQualityAssertions"] = _facet("1-1-0", "DataQualityAssertions", assertions=assertions)
    if fields := column_lineage(store, version, namespace=namespace):
        facets["columnLineage"] = _facet("1-2-0", "ColumnLineage", fields=fields)
    return {"namespace": namespace, "name": made.name, "facets": facets}


def _facet(number: str, name: str, /, **content: object) -> Json:
    return facet(number, f"{name}DatasetFacet", **content)


def _change(version: DatasetVersion) -> str:
    if not version.made.parent:
        return "CREATE"
    return "ALTER" if version.made.appended else "OVERWRITE"


def _metrics(version: DatasetVersion, profile: TableProfile | None) -> Json:
    made = version.made
    counted: Json = {"fileCount": made.tree.files, "bytes": made.tree.size, "lastUpdated": time_text(version.created)}
    if made.rows is not None:
        counted["rowCount"] = made.rows
    columns = {column.name: _column(column) for column in profile.columns} if profile else {}
    return _facet("1-0-1", "DataQualityMetrics", **counted, columnMetrics=columns)


def _column(column: ColumnProfile) -> Json:
    told: Json = {"nullCount": column.missing, "count": column.known, "distinctCount": column.distinct.count}
    moments = column.moments
    if column.kind in {"integer", "number"} and moments.count:
        told |= {"sum": moments.total, "min": moments.least, "max": moments.greatest}
        values = quantiles_of(column.histogram, list(QUANTILES))
        told["quantiles"] = {str(share): value for share, value in zip(QUANTILES, values, strict=True)}
    return told


def _assertions(store: Store, checks: Sequence[Check]) -> list[Json]:
    """The rules of the newest check of each suite."""
    newest: dict[str, Check] = {}
    for check in checks:
        newest.setdefault(check.ran.name, check)
    found: list[Json] = []
    for check in newest.values():
        text = b"".join(store.vault.read(check.ran.document)).decode()
        columns = {rule.id: rule_columns(rule) for rule in parse_suite(text, check.ran.name).rules}
        for count in check.ran.counts:
            told: Json = {
                "assertion": count.check,
                "success": count.status == "passed",
                "severity": "warn" if count.severity == "warning" else "error",
                "name": f"{check.ran.name}/{count.rule}",
            }
            if count.reason:
                told["description"] = count.reason
            if len(looked := columns.get(count.rule, ())) == 1:
                told["column"] = looked[0]
            found.append(told)
    return found


def _origin(store: Store, version: DatasetVersion) -> Json:
    edges = store.queries.ask(EdgesFrom(subject=version.subject))
    return own_facet(
        "DatasetFacet",
        id=version.subject,
        root=version.made.tree.root,
        parent=f"dataset:{version.made.parent}" if version.made.parent else "",
        sources=list(version.made.sources),
        edges=[{"relation": edge.relation, "target": edge.target} for edge in edges],
    )


def encode(document: Json) -> bytes:
    """The event as JSON, two blanks an indentation."""
    return msgspec.json.format(msgspec.json.encode(document), indent=2) + b"\n"
