"""The inference server as its routes see it, and what makes them."""

from collections.abc import Callable, Mapping, Sequence
from typing import Protocol

from charkh.endpoints.route import Reply, Route
from charkh.endpoints.servable import Servable
from charkh.endpoints.unloaded import Unloaded
from charkh.endpoints.watch import Watch


class InferenceServer(Protocol):
    """What a route may ask of the server that has it; `charkh.endpoints.application.Application` is one."""

    @property
    def offered(self) -> Sequence[Servable]:
        """Everything that there is to serve, unloaded or not."""
        ...

    @property
    def unloaded(self) -> Unloaded:
        """Names of models that a client has unloaded."""
        ...

    @property
    def looks(self) -> Watch | None:
        """What looks on."""
        ...

    def readiness(self, model: str = "") -> Reply:
        """Whether the server, or one of its models, takes requests."""
        ...

    def reroute(self) -> None:
        """Serve what is offered, but for what was unloaded; for whoever has changed `unloaded`."""
        ...


RouteMaker = Callable[[Sequence[Servable], InferenceServer], Mapping[str, Route]]
"""Gives the paths of one protocol for what is served; of two makers that name one path, the first has it."""
