"""`charkh conformance`: what a server answers to the public suite of the Open Inference Protocol."""

import os
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from charkh.cli.output import AsJson, write_json, write_line, write_table
from charkh.core.errors import GateRefused, Invalid

if TYPE_CHECKING:
    from charkh.endpoints.conformance.probe import Report


def conformance(
    url: Annotated[str, typer.Argument(help="The server, such as http://127.0.0.1:7462 or grpc://127.0.0.1:8001.")],
    model: Annotated[list[str] | None, typer.Option(help="A model to ask; again for the next; all by default.")] = None,
    group: Annotated[
        list[str] | None, typer.Option(help="Only these probes, such as binary; again for the next.")
    ] = None,
    request: Annotated[
        Path | None, typer.Option(help="A file with a valid request, where the metadata describe no inputs.")
    ] = None,
    header: Annotated[
        list[str] | None,
        typer.Option(help="A header of every request, such as 'x-charkh-route: champion'; again for the next."),
    ] = None,
    control: Annotated[bool, typer.Option("--control", help="Also unload and load each model.")] = False,
    failed: Annotated[bool, typer.Option("--failed", help="Show only what failed.")] = False,
    timeout: Annotated[float, typer.Option(help="Seconds that an answer may take.", min=0.1)] = 30.0,
    json: AsJson = False,
) -> None:
    """Ask any server whether it keeps to the Open Inference Protocol.

    It asks for health, metadata, inference, refusals, binary tensors, compression, repository and statistics, with
    requests made from what the server says of its models. A bearer token is read from CHARKH_TOKEN.
    """
    # The suite needs NumPy and an HTTP client, which no other command should wait for.
    from charkh.endpoints.conformance.examine import examine

    report = examine(
        url,
        models=model or (),
        groups=group or (),
        request=request,
        token=os.environ.get("CHARKH_TOKEN", ""),
        headers=dict(map(_header, header or ())),
        control=control,
        timeout=timeout,
    )
    if json:
        write_json(report)
    else:
        _write(report, failed=failed)
    if report.failed:
        raise GateRefused(
            f"{report.server} fails {len(report.failed)} of {len(report.verdicts)} probes",
            code="conformance.failed",
            hint="Each line above says what was expected.",
        )


def _header(text: str) -> tuple[str, str]:
    name, colon, value = text.partition(":")
    if not colon or not name.strip():
        raise Invalid(
            f"{text!r} is no header", code="conformance.bad_header", hint="Write: --header 'x-charkh-route: champion'"
        )
    return name.strip(), value.strip()


def _write(report: "Report", *, failed: bool) -> None:
    shown = report.failed if failed else report.verdicts
    write_table(
        ["probe", "model", "", "what must hold", "why"],
        [[each.probe, each.model, each.outcome, each.says, each.why] for each in shown],
        empty="no probe failed",
    )
    counts = ", ".join(f"{report.count(outcome)} {outcome}" for outcome in ("pass", "fail", "skip"))
    write_line(f"{report.server} at {report.url}: {counts}")
