"""`charkh serve`: the endpoints alone, in this process or in several that share the port."""

import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import NamedTuple

import msgspec

from charkh.core.endpoint_settings import EndpointSettings
from charkh.core.errors import CharkhError, Invalid
from charkh.endpoints.ending import SPARE, end_within
from charkh.endpoints.offer import Offer
from charkh.endpoints.serve import numeric_address, refuse_a_taken_port
from charkh.endpoints.serve import serve as serve_models
from charkh.server.looking import looking, open_paths
from charkh.server.makers import makers_of
from charkh.server.team import Told, enter_team, run_team, say_listening
from charkh.workspace.metering import meter_table
from charkh.workspace.serving import Serving
from charkh.workspace.token import token_of
from charkh.workspace.unloading import names_table, unloaded_of
from charkh.workspace.workspace import Workspace, open_workspace


class Answering(NamedTuple):
    """An endpoint that answers."""

    name: str
    version: str
    model: str


class Work(Told, frozen=True, kw_only=True):
    """What is served, and where; what a worker is told.

    Attributes:
        folder: of the workspace.
        host: address to listen on.
        port: TCP port.
        grpc_port: TCP port for gRPC; 0 for none.
        names: endpoints; all by default.
        open_inference: ask for no token.
        endpoints: that are served instead of those of the settings; none for those.
        grace: seconds that requests under way have to finish.
    """

    folder: str
    host: str
    port: int
    grpc_port: int = 0
    names: tuple[str, ...] = ()
    open_inference: bool = False
    endpoints: dict[str, EndpointSettings] = msgspec.field(default_factory=dict[str, EndpointSettings])
    grace: float


def serve_endpoints(workspace: Workspace, work: Work, ready: Callable[[Sequence[Answering]], None]) -> None:
    """Serve in this process until SIGTERM or SIGINT, and end it then, whatever a model does.

    Args:
        workspace: whose endpoints they are.
        work: what is served, and where.
        ready: called when this process listens.

    Raises:
        NotFound: there is no such endpoint, or its model is not there.
        Invalid: the settings have no endpoint.
        Denied: it would let anyone in, or a model may not be loaded.
        Unavailable: the address cannot be listened on.
    """
    if work.endpoints:
        workspace.settings = msgspec.structs.replace(workspace.settings, endpoint=work.endpoints)
    serving = Serving(workspace, work.names, resumes=work.resumes)
    offer = serving.offer()
    if not offer.servables:
        raise Invalid(
            "charkh.toml has no endpoint",
            code="endpoint.none_configured",
            hint='Write [endpoint.NAME] with model = "NAME@champion".',
        )
    answering = [Answering(each.name, each.version, each.subject) for each in offer.servables]
    shared = work.meters >= 0
    try:
        with looking(workspace, table=work.meters if shared else None, instance=f"{work.host}:{work.port}") as watch:

            def again() -> Offer:
                watch.holds()
                return serving.offer()

            serve_models(
                offer,
                work.host,
                work.port,
                token=token_of(workspace.store_folder),
                open_inference=work.open_inference,
                reload=again,
                grace=work.grace,
                grpc_port=work.grpc_port,
                shared=shared,
                without_token=open_paths(workspace),
                watch=watch,
                makers=makers_of(workspace),
                unloaded=unloaded_of(work.unloads),
                ready=lambda: ready(answering),
                ending=lambda: end_within(work.grace + SPARE),
            )
    finally:
        serving.close()


def serve_together(work: Work, workers: int, ready: Callable[[Sequence[Answering]], None]) -> None:
    """Serve with several processes until SIGTERM or SIGINT.

    Args:
        work: what is served, and where; each process opens the workspace for itself.
        workers: how many.
        ready: called when all of them listen.

    Raises:
        Unavailable: the address cannot be listened on, or a process ends before it listens.
    """
    for port in (work.port, work.grpc_port):
        if port:
            refuse_a_taken_port(numeric_address(work.host, port), port)
    work = msgspec.structs.replace(work, meters=meter_table(), unloads=names_table())
    run_team(
        "charkh.server.serving",
        work,
        workers,
        ready=lambda line: ready(msgspec.json.decode(line, type=list[Answering])),
        grace=work.grace + 2 * SPARE,
    )


def main(work: Work) -> None:
    """One of several processes."""
    enter_team()
    try:
        with open_workspace(Path(work.folder)) as workspace:
            serve_endpoints(workspace, work, say_listening)
    except CharkhError as error:
        sys.exit(f"error: {error.message}\n  hint: {error.hint}")


if __name__ == "__main__":
    main(msgspec.json.decode(sys.argv[1], type=Work))
