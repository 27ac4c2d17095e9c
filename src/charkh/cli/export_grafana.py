"""`charkh export grafana`: dashboards, and the files that provision them."""

import json as json_text
from pathlib import Path
from typing import Annotated

import typer

from charkh.cli.opening import starting_folder
from charkh.cli.output import AsJson, write_json, write_line, write_note
from charkh.workspace.settings import read_settings, require_workspace


def export_grafana(
    output: Annotated[Path, typer.Option("--output", "-o", help="The folder to write into.")],
    prometheus: Annotated[str, typer.Option(help="Prometheus, as Grafana sees it.")] = "http://127.0.0.1:9090",
    charkh: Annotated[str, typer.Option(help="`charkh up`, as a browser sees it: exemplars link to it.")] = "",
    traces: Annotated[str, typer.Option(help="The uid of a data source of traces: exemplars link to it.")] = "",
    mounted: Annotated[
        str, typer.Option(help="Where Grafana sees the dashboards; where they are written by default.")
    ] = "",
    json: AsJson = False,
) -> None:
    """Write dashboards for Grafana, with the files that provision them.

    The uids stay from one export to the next, so links to a dashboard do, too.
    """
    # A bridge is imported by the command that crosses it.
    from charkh.bridges.grafana.dashboards import dashboards
    from charkh.bridges.grafana.provisioning import datasources, providers
    from charkh.bridges.plain_yaml import yaml_text

    settings = read_settings(require_workspace(starting_folder().resolve())).metrics
    place = output / "dashboards"
    provisioning = output / "provisioning"
    written = {
        **{place / f"{uid}.json": json_text.dumps(each, indent=2) + "\n" for uid, each in dashboards(settings).items()},
        provisioning / "datasources" / "charkh.yaml": yaml_text(datasources(prometheus, charkh, traces)),
        provisioning / "dashboards" / "charkh.yaml": yaml_text(providers(mounted or str(place.absolute()))),
    }
    for path, text in written.items():
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
    if json:
        write_json({"files": [str(path) for path in written]})
        return
    for path in written:
        write_line(f"wrote {path}")
    write_note(
        f"next: GF_PATHS_PROVISIONING={provisioning.absolute()} grafana server, or import the JSON files by hand"
    )
