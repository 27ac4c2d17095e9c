"""What `charkh.toml` says about how every endpoint is served. Pure data, no I/O."""

import msgspec

from charkh.core.errors import Invalid
from charkh.core.quantities import parse_duration, parse_size


class ServingSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """`[serving]`: what holds for all endpoints of one server.

    Attributes:
        grpc_port: TCP port on which `charkh serve` and `charkh up` answer the Open Inference Protocol over gRPC, beside
            REST; 0 for none. It needs `charkh[grpc]`.
        memory: what models may take together, such as `2GB`, counted as twice the size of their files; the one that was
            not asked for longest is let go first, and loaded again when it is asked for. Empty for no bound.
        grace: how long requests that are being answered have to finish when the server is told to end, such as `30s`.
    """

    grpc_port: int = 0
    memory: str = ""
    grace: str = "10s"

    @property
    def memory_bytes(self) -> int:
        """`memory` in bytes; 0 for no bound."""
        return parse_size(self.memory) if self.memory else 0

    @property
    def grace_seconds(self) -> float:
        """`grace` in seconds."""
        return parse_duration(self.grace)


def check_serving(settings: ServingSettings, source: str) -> None:
    """Refuse what the types do not.

    Raises:
        Invalid: the port is none, the memory is no size, or the grace no duration.
    """
    _ = settings.memory_bytes, settings.grace_seconds
    if not 0 <= settings.grpc_port <= 65535:
        raise Invalid(
            f"{source}: [serving] grpc_port is {settings.grpc_port}",
            code="config.invalid",
            hint="It is a port from 1 to 65535, or 0 for no gRPC.",
        )
