"""Where servers are, as Prometheus' `file_sd` and `http_sd` take it."""

from collections.abc import Mapping, Sequence

from charkh.core.errors import Invalid


def targets(addresses: Sequence[str], labels: Mapping[str, str]) -> list[dict[str, object]]:
    """One group of all servers.

    Args:
        addresses: `host:port`.
        labels: that every series of theirs gets, such as `workspace`.

    Raises:
        Invalid: an address is none.
    """
    for address in addresses:
        host, colon, port = address.rpartition(":")
        if not colon or not host or not port.isdigit() or "/" in address:
            raise Invalid(
                f"{address!r} is no target",
                code="metrics.target",
                hint="Write host:port, such as models.example.com:7462.",
            )
    return [{"targets": list(addresses), "labels": dict(labels)}]
