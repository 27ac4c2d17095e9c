"""What looks on while a server answers: its counts, `/metrics`, and the spans that go to a collector."""

import contextlib
from collections.abc import Generator

from charkh.endpoints.metrics_page import PATH
from charkh.endpoints.tracing import Tracer
from charkh.endpoints.watch import Watch
from charkh.workspace.metering import watch_of
from charkh.workspace.workspace import Workspace

GRACE = 3.0
"""Seconds that the last spans have to go out."""


@contextlib.contextmanager
def looking(workspace: Workspace, *, table: int | None = None, instance: str = "") -> Generator[Watch]:
    """Look on until the server ends; then send the spans that still wait.

    Args:
        workspace: that is served.
        table: of meters, that other workers of the same server share.
        instance: `host:port`, as `service.instance.id` of the spans.

    Raises:
        Invalid, Denied: `[tracing]` names a collector that may not be called, or headers that are not there.
    """
    settings = workspace.settings.tracing
    if not settings.url:
        yield watch_of(workspace, table=table)
        return
    # What sends is imported where something is sent.
    from charkh.bridges.otlp import Sending
    from charkh.workspace.outgoing import egress_of

    tracer = Tracer(settings.sample)
    sending = Sending(tracer, settings, egress_of(workspace), instance=instance)
    sending.start()
    try:
        yield watch_of(workspace, table=table, tracer=tracer)
    finally:
        sending.stop(GRACE)


def open_paths(workspace: Workspace) -> tuple[str, ...]:
    """Paths that ask for no token, as the settings say."""
    return (PATH,) if workspace.settings.metrics.open else ()
