"""The dashboards: all endpoints of a job, one model, and what monitors found. Their uids never change."""

from collections.abc import Sequence

from charkh.bridges.grafana.panels import Panel, laid_out
from charkh.bridges.grafana.serving import REQUESTS, model, serving
from charkh.bridges.grafana.watching import watching
from charkh.core.metrics_settings import MetricsSettings

SERVING, MODEL, WATCHING = "charkh-serving", "charkh-model", "charkh-watching"
SCHEMA = 39
"""Version of Grafana's dashboard model; later ones read it and bring it up to date by themselves."""


def dashboards(settings: MetricsSettings) -> dict[str, dict[str, object]]:
    """Every dashboard by its uid."""
    return {
        SERVING: _dashboard(SERVING, "charkh: serving", "All endpoints.", serving(settings), ("job",)),
        MODEL: _dashboard(MODEL, "charkh: one model", "An endpoint in depth.", model(settings), ("job", "model")),
        WATCHING: _dashboard(
            WATCHING, "charkh: watching", "Drift, late truth and alerts.", watching(), ("monitor",), since="now-7d"
        ),
    }


def _dashboard(
    uid: str, title: str, description: str, panels: Sequence[Panel], variables: Sequence[str], *, since: str = "now-1h"
) -> dict[str, object]:
    links = [other for other in (SERVING, MODEL, WATCHING) if other != uid]
    return {
        "uid": uid,
        "title": title,
        "description": description,
        "tags": ["charkh"],
        "schemaVersion": SCHEMA,
        "version": 1,
        "editable": True,
        "graphTooltip": 1,
        "timezone": "browser",
        "refresh": "30s",
        "time": {"from": since, "to": "now"},
        "templating": {"list": [_SOURCES, *(_variable(name) for name in variables)]},
        "annotations": {"list": list[object]()},
        "links": [_link(other) for other in links],
        "panels": laid_out(panels),
    }


_SOURCES: dict[str, object] = {
    "name": "datasource",
    "label": "Data source",
    "type": "datasource",
    "query": "prometheus",
    "hide": 0,
    "refresh": 1,
    "multi": False,
    "includeAll": False,
    "regex": "",
    "skipUrlSync": False,
}
_KNOWN_BY = {"job": "charkh_workers_ready", "model": REQUESTS, "monitor": "charkh_monitor_rows"}


def _variable(name: str) -> dict[str, object]:
    query = f"label_values({_KNOWN_BY[name]}, {name})"
    return {
        "name": name,
        "label": name,
        "type": "query",
        "datasource": {"type": "prometheus", "uid": "${datasource}"},
        "query": {"query": query, "refId": name},
        "refresh": 2,
        "sort": 1,
        "multi": True,
        "includeAll": True,
        "allValue": ".*",
        "current": {"selected": True, "text": ["All"], "value": ["$__all"]},
        "hide": 0,
        "regex": "",
        "skipUrlSync": False,
    }


def _link(uid: str) -> dict[str, object]:
    return {
        "title": uid.removeprefix("charkh-"),
        "type": "link",
        "url": f"/d/{uid}",
        "icon": "dashboard",
        "tooltip": "",
        "tags": list[str](),
        "asDropdown": False,
        "targetBlank": False,
        "includeVars": True,
        "keepTime": True,
    }
