"""What a card says of the runs behind a model: params, metrics, code, machine, time, and its seeds. Pure data."""

import msgspec


class MetricLine(msgspec.Struct, frozen=True, kw_only=True):
    """One series that the run logged.

    Attributes:
        name: of the metric, with its context behind `@` where it has one.
        last: the value that shows.
        best: the best value by the goal that the run declared, else empty.
        low: the least value.
        high: the greatest value.
        points: how many were logged.
    """

    name: str
    last: str
    best: str
    low: str
    high: str
    points: int


class SeedLine(msgspec.Struct, frozen=True, kw_only=True):
    """A metric over the runs of the group that differ from this one by their seed alone.

    Attributes:
        metric: its name.
        runs: how many there are.
        mean: their mean.
        deviation: the sample standard deviation.
        interval: the 95 % interval of the mean by Student's t, or empty.
    """

    metric: str
    runs: int
    mean: str
    deviation: str
    interval: str


class Execution(msgspec.Struct, frozen=True, kw_only=True):
    """One run.

    Attributes:
        subject: `run:id`.
        title: its name.
        relation: of the edge that leads to it.
        lines: status, who started it, its group.
        params: by name, as text.
        metrics: every series but those of the machine itself.
        code: version control, commit, branch, uncommitted changes, script.
        software: interpreter, number of packages, and the versions of the libraries that models are made with.
        hardware: platform, processors, memory, accelerators.
        seconds: how long it took; None while it is not over.
        emissions: grams of CO2 equivalent that it logged as `co2_eq_emissions`, or None.
        seeds: its group's runs with the same params but for the seed; none where it is alone.
    """

    subject: str
    title: str
    relation: str
    lines: tuple[tuple[str, str], ...]
    params: tuple[tuple[str, str], ...]
    metrics: tuple[MetricLine, ...]
    code: tuple[tuple[str, str], ...]
    software: tuple[tuple[str, str], ...]
    hardware: tuple[tuple[str, str], ...]
    seconds: float | None = None
    emissions: float | None = None
    seeds: tuple[SeedLine, ...] = ()
