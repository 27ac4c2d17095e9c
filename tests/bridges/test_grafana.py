"""The dashboards: Grafana's own types hold every field of them, and their links stay."""

import json
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

from charkh.bridges.grafana.dashboards import dashboards
from charkh.bridges.grafana.provisioning import datasources
from charkh.core.metrics_settings import MetricsSettings
from functional.conftest import Charkh
from peers import peer_program

ROUND_TRIP = """
import json, sys
from grafana_foundation_sdk.cog import plugins
from grafana_foundation_sdk.cog.encoder import JSONEncoder
from grafana_foundation_sdk.models.dashboard import Dashboard
plugins.register_default_plugins()
print(JSONEncoder().encode(Dashboard.from_json(json.load(sys.stdin))))
"""


def lost(ours: Any, theirs: Any, path: str = "") -> list[str]:
    """What is in ours and not, or otherwise, in theirs."""
    if isinstance(ours, dict) and isinstance(theirs, dict):
        missing = [f"{path}/{key}" for key in ours if key not in theirs]
        return missing + [
            each for key in ours if key in theirs for each in lost(ours[key], theirs[key], f"{path}/{key}")
        ]
    if isinstance(ours, list) and isinstance(theirs, list) and len(ours) == len(theirs):
        return [each for at, pair in enumerate(zip(ours, theirs, strict=True)) for each in lost(*pair, f"{path}/{at}")]
    return [] if ours == theirs else [path]


@pytest.mark.needs("peer:grafana")
@pytest.mark.parametrize("uid", ["charkh-serving", "charkh-model", "charkh-watching"])
def test_grafanas_own_types_hold_every_field(uid: str) -> None:
    ours = dashboards(MetricsSettings())[uid]
    python = peer_program("grafana", "python")
    result = subprocess.run(
        [python, "-c", ROUND_TRIP], input=json.dumps(ours), capture_output=True, text=True, check=True
    )
    assert lost(ours, json.loads(result.stdout)) == []


def test_links_to_dashboards_and_panels_stay(charkh: Charkh) -> None:
    files = charkh.json("export", "grafana", "-o", "grafana")["files"]
    assert len(files) == 5
    made = {path.stem: json.loads(path.read_text()) for path in (charkh.folder / "grafana" / "dashboards").iterdir()}
    assert {each["uid"] for each in made.values()} == set(made) == {"charkh-serving", "charkh-model", "charkh-watching"}
    for each in made.values():
        assert [panel["id"] for panel in each["panels"]] == list(range(1, len(each["panels"]) + 1))
        places = [(p["gridPos"]["x"], p["gridPos"]["y"]) for p in each["panels"]]
        assert len(set(places)) == len(places)
    provider = yaml.safe_load((charkh.folder / "grafana/provisioning/dashboards/charkh.yaml").read_text())
    assert Path(provider["providers"][0]["options"]["path"]) == charkh.folder / "grafana" / "dashboards"


def test_an_exemplar_links_to_its_prediction_and_trace() -> None:
    made: Any = datasources("http://p:9090", "https://charkh.example/", "tempo")
    first, second = made["datasources"][0]["jsonData"]["exemplarTraceIdDestinations"]
    assert first["url"] == "https://charkh.example/api/trace?what=$${__value.raw}"
    assert second == {"name": "trace_id", "datasourceUid": "tempo"}
