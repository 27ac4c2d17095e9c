"""The verbs of the workspace itself; they stand at the top of the command line."""

import logging
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import typer

from charkh.cli.conformance import conformance
from charkh.cli.fsck import fsck
from charkh.cli.gc import gc
from charkh.cli.mcp import mcp
from charkh.cli.opening import WAIT, be_patient, open_workspace, start_in, starting_folder
from charkh.cli.output import (
    AsJson,
    write_json,
    write_line,
    write_note,
    write_table,
)
from charkh.cli.sql import sql
from charkh.cli.sync import sync
from charkh.core.errors import Conflict, Invalid, Unavailable
from charkh.workspace.settings import FILE, find_workspace

FIRST_SETTINGS = """\
# What may stand here: docs/reference/settings.md. No key is needed to begin.
"""

Host = Annotated[str, typer.Option(help="Address to listen on; what charkh.toml says by default.")]
OpenInference = Annotated[
    bool, typer.Option("--open-inference", help="Endpoints ask for no token; on this machine only.")
]


def install(app: typer.Typer) -> None:
    """Put the verbs on the command line."""
    app.callback()(_choose_workspace)
    for verb in (init, up, serve, doctor, sync, fsck, gc, trace, mcp, sql, conformance):
        app.command(verb.__name__)(verb)


def _say_version(wanted: bool) -> None:
    if wanted:
        # Here, because no other command needs what is installed, and looking takes 14 ms.
        from importlib.metadata import version as installed_version

        write_line(f"charkh {installed_version('charkh')}")
        raise typer.Exit


def _choose_workspace(
    workspace: Annotated[
        Path | None,
        typer.Option(
            "--workspace",
            "-C",
            help="Use the workspace of this folder; other paths stay as they are.",
            file_okay=False,
        ),
    ] = None,
    wait: Annotated[
        float | None,
        typer.Option(help="Seconds to wait for another process that has a lock; 0 for none.", min=0, envvar=WAIT),
    ] = None,
    no_wait: Annotated[bool, typer.Option("--no-wait", help="Wait for no lock: fail and say who has it.")] = False,
    version: Annotated[
        bool, typer.Option("--version", help="Print the version of charkh.", is_eager=True, callback=_say_version)
    ] = False,
) -> None:
    del version
    if workspace is not None:
        start_in(workspace)
    patience = 0.0 if no_wait else wait
    if patience is not None:
        be_patient(patience)


def init(json: AsJson = False) -> None:
    """Make the current folder a workspace.

    It gets a charkh.toml and an empty store.
    """
    folder = starting_folder()
    path = folder / FILE
    if path.exists():
        raise Conflict(
            f"{folder} is a workspace already", code="workspace.exists", hint="`charkh doctor` says how it is."
        )
    path.write_text(FIRST_SETTINGS, encoding="utf-8")
    with open_workspace(create=True) as opened:
        answer = {"workspace": str(opened.folder), "store": opened.identifier}
    if json:
        write_json(answer)
        return
    write_line(f"made a workspace in {answer['workspace']}")
    write_note("next: charkh dataset add NAME FILE…, or charkh.run() in a script")


def up(
    host: Host = "",
    port: Annotated[
        int, typer.Option(help="TCP port; what charkh.toml says by default.", min=0, max=65535, show_default=False)
    ] = 0,
    open_inference: OpenInference = False,
    every: Annotated[str, typer.Option(help="How often the loops turn, such as 5m; 0s for never.")] = "60s",
    workers: Annotated[int, typer.Option(help="Server processes on the one port.", min=1, max=256)] = 1,
    hosts: Annotated[
        list[str] | None, typer.Option(help="Further names under which clients may call; several times for several.")
    ] = None,
    certificate: Annotated[Path | None, typer.Option(help="File of the TLS certificate chain, PEM.")] = None,
    key: Annotated[Path | None, typer.Option(help="File of its private key, PEM.")] = None,
    tensorboard: Annotated[
        list[Path] | None, typer.Option(help="A folder of event files to follow; several times for several.")
    ] = None,
    json: AsJson = False,
) -> None:
    """Serve the overview, the API and the endpoints.

    The loops turn beside them, until it is interrupted.
    """
    # The server is imported by the command that needs it: every other one starts without Litestar.
    from charkh.core.quantities import parse_duration
    from charkh.server.up import Ready
    from charkh.server.up import up as serve_all

    seconds = parse_duration(every)
    _log_to_stderr()

    def ready(told: Ready) -> None:
        link = f"{told.address}/?token={told.token}"
        variables = {
            "CHARKH_URL": told.address,
            "CHARKH_TOKEN": told.token,
            "MLFLOW_TRACKING_URI": told.address,
            "MLFLOW_TRACKING_TOKEN": told.token,
        }
        if json:
            write_json({"address": told.address, "link": link, "environment": variables, "endpoints": told.endpoints})
            return
        write_line(f"charkh is up: {link}")
        write_note("  open that link once, and the browser keeps a cookie; programs send the token:")
        for name, value in variables.items():
            write_note(f"  export {name}={value}")
        write_note('  curl -H "Authorization: Bearer $CHARKH_TOKEN" $CHARKH_URL/api/models')
        for name in told.endpoints:
            write_note(f"  {_call('$CHARKH_URL', name, open_inference=open_inference)}")
        write_note("  Ctrl-C ends it; requests under way are answered first")

    with open_workspace() as workspace:
        if workspace.is_remote:
            raise Invalid(
                "this workspace has its store at a server, and cannot be one",
                code="server.no_store",
                hint="Run `charkh up` where the store is.",
            )
        if workers > 1 and tensorboard:
            raise Invalid(
                "several server processes follow what the settings name",
                code="server.follows_by_settings",
                hint='Write it into charkh.toml: [tensorboard] follow = ["runs"].',
            )
        if workers > 1:
            # As above: watching several servers is one more thing that no other command needs.
            from charkh.server.workers import up_together

            up_together(
                workspace,
                workers,
                host=host,
                port=port,
                every=seconds,
                open_inference=open_inference,
                ready=ready,
                hosts=hosts or (),
                certificate=certificate,
                key=key,
            )
            return
        serve_all(
            workspace,
            host=host,
            port=port,
            every=seconds,
            open_inference=open_inference,
            ready=ready,
            hosts=hosts or (),
            certificate=certificate,
            key=key,
            tensorboard=[each.resolve() for each in tensorboard or ()],
        )


def serve(
    names: Annotated[list[str] | None, typer.Argument(help="Endpoints of charkh.toml; all by default.")] = None,
    host: Annotated[str, typer.Option(help="Address to listen on.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(help="TCP port.", min=1, max=65535)] = 7462,
    grpc_port: Annotated[
        int | None, typer.Option(help="TCP port for gRPC; what charkh.toml says by default.", min=0, max=65535)
    ] = None,
    workers: Annotated[int, typer.Option(help="Server processes on the one port.", min=1, max=64)] = 1,
    file: Annotated[
        list[Path] | None,
        typer.Option("--file", "-f", help="A manifest of Seldon or KServe, or a folder of MLServer; repeatable."),
    ] = None,
    claim: Annotated[
        list[str] | None,
        typer.Option(
            "--map", help="CLAIM=FOLDER that stands for pvc://CLAIM, or ADDRESS=FOLDER for what lies there; repeatable."
        ),
    ] = None,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Print what the files come to; register and serve nothing.")
    ] = False,
    open_inference: OpenInference = False,
    json: AsJson = False,
) -> None:
    """Serve the endpoints alone.

    They speak the Open Inference Protocol over REST, and over gRPC with a port for it, until it is interrupted.
    """
    # What loads models is imported by the command that needs it.
    from charkh.cli.serve_manifests import endpoints_of, write_endpoints
    from charkh.endpoints.connections import authority
    from charkh.server.serving import Answering, Work, serve_endpoints, serve_together
    from charkh.workspace.token import token_of

    _log_to_stderr()
    with open_workspace() as workspace:
        endpoints = dict(endpoints_of(workspace, file, claim or [], dry_run=dry_run)) if file else {}
        if dry_run:
            write_endpoints(endpoints or workspace.settings.endpoint)
            return
        grpc = workspace.settings.serving.grpc_port if grpc_port is None else grpc_port
        token = token_of(workspace.store_folder)
        address = f"http://{authority(host, port)}"

        def ready(served: Sequence[Answering]) -> None:
            if json:
                write_json(
                    {
                        "address": address,
                        "grpc": authority(host, grpc) if grpc else "",
                        "endpoints": [each._asdict() for each in served],
                    }
                )
                return
            # Each route of a rollout answers, under the name of its endpoint.
            names_served = dict.fromkeys(each.name for each in served)
            write_line(f"serving {', '.join(names_served)} on {address}")
            if grpc:
                write_line(f"and over gRPC on {host}:{grpc}")
            if not open_inference:
                write_note(f"  export CHARKH_TOKEN={token}")
            for name in names_served:
                write_note(f"  {name}: {_call(address, name, open_inference=open_inference)}")

        work = Work(
            folder=str(workspace.folder),
            host=host,
            port=port,
            grpc_port=grpc,
            names=tuple(names or ()),
            open_inference=open_inference,
            endpoints=endpoints,
            grace=workspace.settings.serving.grace_seconds,
        )
        if workers > 1:
            serve_together(work, workers, ready)
        else:
            serve_endpoints(workspace, work, ready)


def doctor(json: AsJson = False) -> None:
    """Look whether all is as it should be.

    Programs, store, catalog, clocks, disk; with what to do where something is not.
    """
    # What the doctor looks at is imported by the doctor alone.
    from charkh.workspace.doctor import examine

    if find_workspace(starting_folder().resolve()) is None:
        found = examine(None)
    else:
        with open_workspace() as workspace:
            found = examine(workspace)
    if json:
        write_json(found)
    else:
        write_table(["", "what", "how it is"], [[each.state, each.what, each.detail] for each in found])
        for each in found:
            if each.advice and each.state != "ok":
                write_line(f"{each.what}: {each.advice}")
    failed = [each.what for each in found if each.state == "fail"]
    if failed:
        raise Unavailable(
            f"not as it should be: {', '.join(failed)}",
            code="doctor.failed",
            hint="Do what is said above, then look again.",
        )


def trace(
    what: Annotated[
        str, typer.Argument(help="A prediction's id, a subject such as run:1f3a, or a reference such as delay@3.")
    ],
    brief: Annotated[bool, typer.Option("--brief", help="Names and ids alone, without descriptions.")] = False,
    json: AsJson = False,
) -> None:
    """Walk back from anything to its origins.

    To the exact model, run, code, data and rows that a prediction, model or dataset came from.
    """
    # Every noun is behind a trace; it is imported when one is asked for.
    from charkh.workspace.tracing import render, trace_in

    with open_workspace() as workspace:
        origins = trace_in(workspace.store, what)
    if json:
        write_json(origins)
        return
    for line in render(origins, details=not brief):
        write_line(line)


def _call(address: str, name: str, *, open_inference: bool) -> str:
    bearer = "" if open_inference else ' -H "Authorization: Bearer $CHARKH_TOKEN"'
    return f"curl{bearer} -d @rows.json {address}/predict/{name}"


def _log_to_stderr() -> None:
    """A server says what happens: its log goes to stderr, one line an entry."""
    logging.basicConfig(level=logging.INFO, stream=sys.stderr, format="%(asctime)s %(levelname)s %(name)s: %(message)s")
