"""`charkh up --workers N`: several server processes on one port (`charkh.server.team`).

Each is a whole `charkh up` with the port shared between them (SO_REUSEPORT); which of them turns the loops is decided
by the store (`charkh.workspace.leading`).
"""

import sys
from collections.abc import Callable, Collection
from pathlib import Path

import msgspec

from charkh.core.errors import CharkhError
from charkh.endpoints.ending import SPARE
from charkh.endpoints.serve import numeric_address, refuse_a_taken_port
from charkh.server.team import Told, enter_team, run_team, say_listening
from charkh.server.up import GRACE, Ready, up
from charkh.workspace.metering import meter_table
from charkh.workspace.unloading import names_table
from charkh.workspace.workspace import Workspace, open_workspace


class Work(Told, frozen=True, kw_only=True):
    """What a worker is told."""

    folder: str
    host: str
    port: int
    every: float
    open_inference: bool
    hosts: tuple[str, ...] = ()
    certificate: str = ""
    key: str = ""


def up_together(
    workspace: Workspace,
    workers: int,
    *,
    host: str = "",
    port: int = 0,
    every: float = 60.0,
    open_inference: bool = False,
    ready: Callable[[Ready], None] | None = None,
    hosts: Collection[str] = (),
    certificate: Path | None = None,
    key: Path | None = None,
) -> None:
    """Serve with several processes until SIGTERM or SIGINT.

    Args:
        workspace: what is served; each worker opens it for itself.
        workers: how many.
        host, port, every, open_inference, ready, hosts, certificate, key: as of `charkh.server.up.up`.

    Raises:
        Denied: it would listen beyond this machine without users.
        Unavailable: the address cannot be listened on, or no worker gets to listen.
    """
    settings = workspace.settings.server
    address, number = (host or settings.host).strip("[]"), port or settings.port
    refuse_a_taken_port(numeric_address(address, number), number)
    work = Work(
        folder=str(workspace.folder),
        host=address,
        port=number,
        every=every,
        open_inference=open_inference,
        hosts=tuple(hosts),
        certificate="" if certificate is None else str(certificate.absolute()),
        key="" if key is None else str(key.absolute()),
        meters=meter_table(),
        unloads=names_table(),
    )

    def told(line: bytes) -> None:
        if ready is not None:
            ready(msgspec.json.decode(line, type=Ready))

    grace = workspace.settings.serving.grace_seconds
    run_team("charkh.server.workers", work, workers, ready=told, grace=grace + GRACE + 2 * SPARE)


def main(work: Work) -> None:
    """One worker."""
    enter_team()
    try:
        with open_workspace(Path(work.folder)) as workspace:
            up(
                workspace,
                host=work.host,
                port=work.port,
                every=work.every,
                open_inference=work.open_inference,
                ready=say_listening,
                shared=True,
                hosts=work.hosts,
                certificate=Path(work.certificate) if work.certificate else None,
                key=Path(work.key) if work.key else None,
                meters=work.meters,
                unloads=work.unloads,
                resumes=work.resumes,
            )
    except CharkhError as error:
        sys.exit(f"error: {error.message}\n  hint: {error.hint}")


if __name__ == "__main__":
    main(msgspec.json.decode(sys.argv[1], type=Work))
