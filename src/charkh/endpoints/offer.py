"""What a server offers now: its models, and how requests are split between several of one name. No I/O."""

from collections.abc import Mapping
from typing import NamedTuple, Protocol

from charkh.endpoints.door import Headers
from charkh.endpoints.servable import Servable

ROUTE_HEADER = "x-charkh-route"
"""Tells a client which route answered; a client that sends it back stays there."""


class Choice(NamedTuple):
    """Which model answers one request.

    Attributes:
        servable: the model.
        route: its name in the split, told to the client.
        shadows: models that are asked too, after the answer went out.
    """

    servable: Servable
    route: str
    shadows: tuple[Servable, ...] = ()


class Split(Protocol):
    """How the requests to one endpoint are split. Threads: `choose` on the loop, `answered` anywhere."""

    @property
    def headers(self) -> tuple[str, ...]:
        """Lower-case names of the headers that it reads."""
        ...

    def choose(self, headers: Headers) -> Choice:
        """The model for one request, in microseconds; never raises."""
        ...

    def answered(self, choice: Choice, *, failed: bool, seconds: float, rows: int) -> None:
        """Told once for each request that was answered."""
        ...


class Offer(NamedTuple):
    """Everything that is served.

    Attributes:
        servables: the models; of several with one name, the first answers without a version.
        splits: by the endpoint's name.
    """

    servables: tuple[Servable, ...] = ()
    splits: Mapping[str, Split] = {}
