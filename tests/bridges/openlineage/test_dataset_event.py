"""OpenLineage: its own client takes every facet that is exported."""

import json
import subprocess
from pathlib import Path

import pytest
from tests.functional.conftest import Charkh

from peers import peer_program

TAKE = """
import inspect, json, sys
import attr
from openlineage.client import event_v2, facet_v2

MODULES = {
    "version": ("dataset_version_dataset", "DatasetVersionDatasetFacet"),
    "dataSource": ("datasource_dataset", "DatasourceDatasetFacet"),
    "ownership": ("ownership_dataset", "OwnershipDatasetFacet"),
    "lifecycleStateChange": ("lifecycle_state_change_dataset", "LifecycleStateChangeDatasetFacet"),
    "dataQualityMetrics": ("data_quality_metrics_dataset", "DataQualityMetricsDatasetFacet"),
    "documentation": ("documentation_dataset", "DocumentationDatasetFacet"),
    "schema": ("schema_dataset", "SchemaDatasetFacet"),
    "dataQualityAssertions": ("data_quality_assertions_dataset", "DataQualityAssertionsDatasetFacet"),
}
event = json.load(open(sys.argv[1]))
facets = {}
for name, content in event["dataset"]["facets"].items():
    if name.startswith("charkh_"):
        continue
    module, kind = MODULES[name]
    kind = getattr(getattr(facet_v2, module), kind)
    content = {key: value for key, value in content.items() if not key.startswith("_")}
    facets[name] = kind(**content)
dataset = event_v2.StaticDataset(namespace=event["dataset"]["namespace"], name=event["dataset"]["name"], facets=facets)
taken = event_v2.DatasetEvent(eventTime=event["eventTime"], producer=event["producer"], dataset=dataset)
print(json.dumps({"facets": sorted(facets), "schemas": {
    name: [facet._get_schema().rpartition("/")[2], event["dataset"]["facets"][name]["_schemaURL"].rpartition("/")[2]]
    for name, facet in facets.items()}}))
"""


@pytest.mark.needs("peer:openlineage")
def test_the_client_takes_every_facet(charkh: Charkh, tmp_path: Path) -> None:
    charkh("dataset", "add", "flights", charkh.write("jan.csv", "carrier,late\nUA,12\nAA,3\n"), "-m", "January.")
    suite = charkh.write("flights.toml", charkh("check", "infer", "flights"))
    charkh.run("check", "run", suite, "flights")
    charkh("export", "openlineage", "flights", "-o", tmp_path / "event.json")
    done = subprocess.run(
        [peer_program("openlineage", "python"), "-c", TAKE, tmp_path / "event.json"],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    taken = json.loads(done.stdout)
    assert taken["facets"] == [
        "dataQualityAssertions",
        "dataQualityMetrics",
        "dataSource",
        "documentation",
        "lifecycleStateChange",
        "ownership",
        "schema",
        "version",
    ]
    for theirs, ours in taken["schemas"].values():
        assert theirs == ours
    event = json.loads((tmp_path / "event.json").read_text())
    facets = event["dataset"]["facets"]
    assert facets["schema"]["fields"][1] == {"name": "late", "type": "Int64", "ordinal_position": 2}
    assert facets["dataQualityMetrics"]["rowCount"] == 2
    assert facets["dataQualityMetrics"]["columnMetrics"]["late"]["max"] == 12
    assert all(each["success"] for each in facets["dataQualityAssertions"]["assertions"])


def test_what_is_appended_and_replaced_is_told(charkh: Charkh) -> None:
    file = charkh.write("jan.csv", "carrier,late\nUA,12\n")
    charkh("dataset", "add", "flights", file)
    charkh("dataset", "add", "flights", charkh.write("feb.csv", "carrier,late\nAA,1\n"), "--append")
    charkh("dataset", "add", "flights", charkh.write("jan.csv", "carrier,late\nUA,13\n"))
    changes = []
    for number in (1, 2, 3):
        event = json.loads(charkh("export", "openlineage", f"flights@{number}", "--no-profile"))
        changes.append(event["dataset"]["facets"]["lifecycleStateChange"]["lifecycleStateChange"])
        assert event["dataset"]["facets"]["version"]["datasetVersion"] == str(number)
    assert changes == ["CREATE", "ALTER", "OVERWRITE"]
