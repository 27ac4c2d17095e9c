"""One door for every scheme: whoever speaks it is asked."""

from collections.abc import Mapping

from charkh.core.errors import Invalid
from charkh.ports.egress import Answer, Call, Egress


class EgressByScheme:
    """See `charkh.ports.egress.Egress`.

    Args:
        doors: by scheme, such as `https`.
    """

    def __init__(self, doors: Mapping[str, Egress]) -> None:
        self._doors = doors

    def check(self, url: str) -> None:
        """See `charkh.ports.egress.Egress`."""
        self._door(url).check(url)

    def call(self, call: Call) -> Answer:
        """See `charkh.ports.egress.Egress`."""
        return self._door(call.url).call(call)

    def _door(self, url: str) -> Egress:
        scheme = url.partition(":")[0].lower()
        door = self._doors.get(scheme)
        if door is None:
            raise Invalid(
                f"that is no address to call: it does not begin with {', '.join(f'{each}://' for each in self._doors)}",
                code="egress.url",
                hint="Write https://host/path.",
            )
        return door
