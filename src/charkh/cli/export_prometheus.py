"""`charkh export prometheus`: rules, a configuration that scrapes, and the list of servers."""

import json as json_text
from pathlib import Path
from typing import Annotated

import typer

from charkh.cli.opening import open_workspace, starting_folder
from charkh.cli.output import AsJson, write_json, write_line, write_note
from charkh.workspace.settings import read_settings, require_workspace


def export_prometheus(
    output: Annotated[Path, typer.Option("--output", "-o", help="The folder to write into.")],
    target: Annotated[
        list[str] | None,
        typer.Option(help="A server to scrape, host:port; again for the next. `charkh up` of this workspace without."),
    ] = None,
    token_file: Annotated[
        Path | None,
        typer.Option(help="The file with the token, as Prometheus sees it; that of this workspace by default."),
    ] = None,
    interval: Annotated[str, typer.Option(help="Between two scrapes, such as 15s.")] = "15s",
    secure: Annotated[bool, typer.Option("--secure", help="The servers are asked over HTTPS.")] = False,
    json: AsJson = False,
) -> None:
    """Write what Prometheus needs to scrape charkh and to alert.

    prometheus.yml, rules/charkh.yml and targets/charkh.json; the token is named, never copied. The service level that
    the alerts hold endpoints to stands in [metrics] of charkh.toml.
    """
    # A bridge is imported by the command that crosses it.
    from charkh.bridges.plain_yaml import yaml_text
    from charkh.bridges.prometheus.discovery import targets
    from charkh.bridges.prometheus.rules import rule_groups
    from charkh.bridges.prometheus.scraping import scrape_configuration

    folder = require_workspace(starting_folder().resolve())
    settings = read_settings(folder)
    addresses = target or [f"{settings.server.host}:{settings.server.port}", *settings.metrics.targets]
    token = "" if settings.metrics.open else str(token_file or _own_token())
    written = {
        output / "prometheus.yml": yaml_text(scrape_configuration(token_file=token, interval=interval, secure=secure)),
        output / "rules" / "charkh.yml": yaml_text(rule_groups(settings.metrics)),
        # JSON is YAML, and `file_sd` goes by the ending.
        output / "targets" / "charkh.json": json_text.dumps(targets(addresses, {"workspace": folder.name}), indent=2)
        + "\n",
    }
    for path, text in written.items():
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
    if json:
        write_json({"files": [str(path) for path in written], "targets": addresses})
        return
    for path in written:
        write_line(f"wrote {path}")
    write_note(f"next: prometheus --config.file {output / 'prometheus.yml'} --enable-feature=exemplar-storage")


def _own_token() -> Path:
    """The file of the store's own token; Prometheus refuses a configuration that names a file which is not there."""
    # What opens a store is imported by the command that needs it.
    from charkh.workspace.token import token_of

    with open_workspace() as workspace:
        token_of(workspace.store_folder)
        return workspace.store_folder / "token"
