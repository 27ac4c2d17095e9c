"""Meters: what a process counts while it works, cheap enough for a hot path, and read over all processes at once.

Names follow Prometheus: base units, `_total` for what only grows, no names of people as labels.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Literal, NamedTuple, Protocol

Kind = Literal["counter", "gauge", "histogram"]
Combine = Literal["sum", "max"]
"""How one gauge of several processes is read as one number."""


class Counter(Protocol):
    """A number that only grows."""

    def add(self, n: float = 1.0, /) -> None:
        """Count `n` more, which is not negative."""
        ...


class Gauge(Protocol):
    """A number that rises and falls."""

    def set(self, value: float, /) -> None:
        """What it is now; NaN takes it out of what is read."""
        ...


class Histogram(Protocol):
    """How often a number fell below each of some bounds, and the sum of all of them."""

    def observe(self, value: float, prediction: str = "", trace: str = "", /) -> None:
        """Count one observation.

        Args:
            value: in the base unit of the histogram.
            prediction: id of a prediction that it belongs to, as the bucket's exemplar.
            trace: id of a trace that it belongs to, 32 hex digits, as the bucket's exemplar.
        """
        ...


class Exemplar(NamedTuple):
    """One observation of a bucket that can be looked at.

    Attributes:
        labels: such as `prediction_id`; at most 128 characters in all (OpenMetrics 1.0).
        value: that was observed.
        time: seconds since the epoch.
    """

    labels: Mapping[str, str]
    value: float
    time: float


class Sample(NamedTuple):
    """One line of what is read.

    Attributes:
        suffix: behind the family's name: empty, `_total`, `_bucket`, `_sum` or `_count`.
        labels: with `le` for a bucket.
        value: over all processes.
        exemplar: of a bucket, or None.
    """

    suffix: str
    labels: Mapping[str, str]
    value: float
    exemplar: Exemplar | None = None


class Family(NamedTuple):
    """Every series of one name.

    Attributes:
        name: without the suffix of its samples; a counter's is without `_total`.
        kind: of meter.
        help: what it counts, and its unit.
        samples: series after series; the buckets of a histogram in rising order, then `_sum` and `_count`.
    """

    name: str
    kind: Kind
    help: str
    samples: Sequence[Sample]


Collector = Callable[[], Iterable[Family]]
"""Gives families that are found out only when somebody reads, such as what a catalog says."""


class Meters(Protocol):
    """Where meters are made and read.

    Identity: the same name and labels mean the same series, in every process that shares the place.
    Threads: a meter may be moved by several threads at once; no count is lost between them.
    Death: what a process that was killed had counted is still read; its gauges are not.
    Cost: a meter is bound once and then moved without a look-up, a lock or a call of the system.
    """

    def counter(self, name: str, help: str, labels: Mapping[str, str] = {}, /) -> Counter:
        """The counter of that name (without `_total`) and these labels.

        Raises:
            Invalid: a name or label is none, or the name is another kind of meter.
        """
        ...

    def gauge(self, name: str, help: str, labels: Mapping[str, str] = {}, /, *, combine: Combine = "sum") -> Gauge:
        """The gauge of that name and these labels.

        Raises:
            Invalid: as `counter`.
        """
        ...

    def histogram(
        self, name: str, help: str, labels: Mapping[str, str] = {}, /, *, buckets: Sequence[float]
    ) -> Histogram:
        """The histogram of that name and these labels.

        Args:
            buckets: upper bounds in rising order, without infinity; the same for every series of a name.

        Raises:
            Invalid: as `counter`, or the bounds do not rise.
        """
        ...

    def read(self) -> Iterable[Family]:
        """Everything that was counted, over all processes that share the place, by name."""
        ...
