"""Files that Grafana reads when it starts: the data source, and where the dashboards are."""

SOURCE = "charkh-prometheus"
"""The uid of the data source."""


def datasources(prometheus: str, charkh: str = "", traces: str = "") -> dict[str, object]:
    """`provisioning/datasources/charkh.yaml`.

    Args:
        prometheus: its address, as Grafana sees it.
        charkh: address of `charkh up`; an exemplar's prediction then links to what it came from.
        traces: uid of a data source of traces; an exemplar's trace then links to it.
    """
    destinations: list[dict[str, object]] = []
    if charkh:
        # Two dollars: Grafana puts variables of the environment into these files.
        url = f"{charkh.rstrip('/')}/api/trace?what=$${{__value.raw}}"
        destinations.append({"name": "prediction_id", "url": url, "urlDisplayLabel": "Where it came from"})
    if traces:
        destinations.append({"name": "trace_id", "datasourceUid": traces})
    settings: dict[str, object] = {"httpMethod": "POST", "timeInterval": "15s"}
    if destinations:
        settings["exemplarTraceIdDestinations"] = destinations
    return {
        "apiVersion": 1,
        "datasources": [
            {
                "name": "charkh",
                "type": "prometheus",
                "uid": SOURCE,
                "access": "proxy",
                "url": prometheus,
                "isDefault": False,
                "editable": False,
                "jsonData": settings,
            }
        ],
    }


def providers(folder: str) -> dict[str, object]:
    """`provisioning/dashboards/charkh.yaml`.

    Args:
        folder: where the dashboards lie, as Grafana sees it.
    """
    return {
        "apiVersion": 1,
        "providers": [
            {
                "name": "charkh",
                "orgId": 1,
                "folder": "charkh",
                "type": "file",
                "disableDeletion": False,
                "updateIntervalSeconds": 30,
                "allowUiUpdates": False,
                "options": {"path": folder, "foldersFromFilesStructure": False},
            }
        ],
    }
