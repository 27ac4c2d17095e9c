"""Panels of a dashboard, in the classic JSON model that every Grafana from 9 on reads; laid out from left to right."""

from collections.abc import Mapping, Sequence
from typing import Literal, NamedTuple

SOURCE: Mapping[str, str] = {"type": "prometheus", "uid": "${datasource}"}
WIDTH = 24
Kind = Literal["timeseries", "stat", "heatmap", "table", "bargauge", "row"]


class Question(NamedTuple):
    """One query of a panel.

    Attributes:
        expression: in PromQL; `$__rate_interval` is Grafana's.
        legend: such as `{{model}}`.
        exemplars: whether the exemplars are asked for, too.
    """

    expression: str
    legend: str = ""
    exemplars: bool = False


class Panel(NamedTuple):
    """One panel.

    Attributes:
        kind: of picture.
        title: a few words.
        questions: what it shows.
        unit: of Grafana, such as `s`, `reqps`, `percentunit`, `bytes`, `short`.
        description: how to read it.
        width: of 24.
        height: in Grafana's units.
        thresholds: value and colour from which it is shown so; the first value is the least.
        most: the axis ends there; None for where the data ends.
    """

    kind: Kind
    title: str
    questions: tuple[Question, ...] = ()
    unit: str = "short"
    description: str = ""
    width: int = 12
    height: int = 8
    thresholds: tuple[tuple[float | None, str], ...] = ((None, "green"),)
    most: float | None = None


def laid_out(panels: Sequence[Panel]) -> list[dict[str, object]]:
    """Panels as JSON with ids from 1 and places from left to right."""
    made: list[dict[str, object]] = []
    x = y = tallest = 0
    for number, panel in enumerate(panels, 1):
        width = WIDTH if panel.kind == "row" else panel.width
        height = 1 if panel.kind == "row" else panel.height
        if x + width > WIDTH:
            x, y, tallest = 0, y + tallest, 0
        made.append(_panel(panel, number, {"h": height, "w": width, "x": x, "y": y}))
        x, tallest = x + width, max(tallest, height)
    return made


def _panel(panel: Panel, number: int, place: Mapping[str, int]) -> dict[str, object]:
    if panel.kind == "row":
        row = {"id": number, "type": "row", "title": panel.title, "gridPos": place}
        return {**row, "collapsed": False, "panels": list[object]()}
    defaults: dict[str, object] = {
        "unit": panel.unit,
        "thresholds": {"mode": "absolute", "steps": [_step(value, colour) for value, colour in panel.thresholds]},
        "custom": dict(_CUSTOM.get(panel.kind, {})),
    }
    if panel.unit == "percentunit" or panel.most is not None:
        defaults["min"] = 0
    if panel.most is not None:
        defaults["max"] = panel.most
    made: dict[str, object] = {
        "id": number,
        "type": panel.kind,
        "title": panel.title,
        "description": panel.description,
        "gridPos": place,
        "datasource": dict(SOURCE),
        "targets": [_target(question, index, panel.kind) for index, question in enumerate(panel.questions)],
        "fieldConfig": {"defaults": defaults, "overrides": list[object]()},
        "options": dict(_OPTIONS[panel.kind]),
    }
    if panel.kind == "table":
        made["transformations"] = [{"id": "labelsToFields", "options": {}}, {"id": "merge", "options": {}}]
    return made


def _step(value: float | None, colour: str) -> dict[str, object]:
    return {"color": colour, "value": value}


def _target(question: Question, index: int, kind: Kind) -> dict[str, object]:
    once = kind in {"stat", "table", "bargauge"}
    return {
        "refId": chr(ord("A") + index),
        "datasource": dict(SOURCE),
        "expr": question.expression,
        "legendFormat": question.legend or "__auto",
        "editorMode": "code",
        "instant": once,
        "range": not once,
        "format": "heatmap" if kind == "heatmap" else "table" if kind == "table" else "time_series",
        "exemplar": question.exemplars,
    }


_CUSTOM: Mapping[str, Mapping[str, object]] = {
    "timeseries": {"drawStyle": "line", "lineWidth": 1, "fillOpacity": 8, "showPoints": "never", "spanNulls": True}
}
_OPTIONS: Mapping[str, Mapping[str, object]] = {
    "timeseries": {
        "legend": {"displayMode": "list", "placement": "bottom", "showLegend": True, "calcs": list[str]()},
        "tooltip": {"mode": "multi", "sort": "desc"},
    },
    "stat": {
        "reduceOptions": {"calcs": ["lastNotNull"], "fields": "", "values": False},
        "graphMode": "area",
        "colorMode": "value",
        "justifyMode": "auto",
        "textMode": "auto",
        "orientation": "auto",
    },
    "bargauge": {
        "reduceOptions": {"calcs": ["lastNotNull"], "fields": "", "values": False},
        "displayMode": "gradient",
        "orientation": "horizontal",
    },
    "heatmap": {
        "calculate": False,
        "cellGap": 1,
        "color": {"mode": "scheme", "scheme": "Spectral", "steps": 64, "exponent": 0.5, "fill": "dark-orange"},
        "yAxis": {"unit": "s"},
        "legend": {"show": True},
        "tooltip": {"show": True, "yHistogram": True},
        "exemplars": {"color": "rgba(255,0,255,0.7)"},
    },
    "table": {"showHeader": True, "cellHeight": "sm"},
}
