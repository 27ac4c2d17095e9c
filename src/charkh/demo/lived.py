"""What is noted while the year is lived through, for the story that is told of it."""

import contextlib
import time
from collections.abc import Generator
from dataclasses import dataclass, field

from charkh.demo.story import VersionLine
from charkh.monitors.collect import Report


@dataclass(slots=True)
class Lived:
    """Notes along the way.

    Attributes:
        last: month of the year that was lived through last.
        versions: that fetching made, in order.
        tried_in: by model version, the month in which it was tried first.
        reports: of the monitor, by month.
        meters: what `/metrics` said at the end, in lines.
        secret: that alerts are signed with.
        seconds: that each part took.
    """

    last: int
    versions: list[VersionLine] = field(default_factory=list[VersionLine])
    tried_in: dict[str, str] = field(default_factory=dict[str, str])
    reports: dict[int, Report] = field(default_factory=dict[int, Report])
    meters: tuple[str, ...] = ()
    secret: str = ""
    seconds: dict[str, float] = field(default_factory=dict[str, float])

    @contextlib.contextmanager
    def timed(self, part: str) -> Generator[None]:
        """Add what the block takes to the seconds of a part."""
        begin = time.perf_counter()
        try:
            yield
        finally:
            self.seconds[part] = self.seconds.get(part, 0.0) + time.perf_counter() - begin
