"""Group runs by what was chosen, so that the seeds of one configuration are one line; and ask whether one is better."""

import math
from collections.abc import Mapping, Sequence
from typing import Any, cast

import msgspec

from charkh.core.errors import Invalid
from charkh.core.student import Paired, paired, spread
from charkh.ports.store import Store
from charkh.runs.live import Known
from charkh.runs.query import Field
from charkh.runs.resolve import resolve_field
from charkh.runs.run import LargeValue, json_text
from charkh.runs.search import search, with_fields

SEEDS = ("seed", "random_state", "random_seed")
"""Params that are a seed where nobody says otherwise, alone or behind a dot: `model.seed`."""

MOST_RUNS = 100_000


class Member(msgspec.Struct, frozen=True, kw_only=True):
    """A run of a group: its seed as text, and its value of each metric that it has."""

    run: str
    seed: str
    values: dict[str, float]


class Statistic(msgspec.Struct, frozen=True, kw_only=True):
    """A metric over a group; `low` and `high` are the 95 % interval of the mean by Student's t, None of one run."""

    metric: str
    n: int
    mean: float
    sd: float | None
    low: float | None
    high: float | None
    least: float
    most: float


class Group(msgspec.Struct, frozen=True, kw_only=True):
    """Runs that are alike.

    Attributes:
        config: by field, what they have in common, as text; None where they lack it.
        members: the runs.
        statistics: of each metric that one of them has.
    """

    config: dict[str, str | None]
    members: tuple[Member, ...]
    statistics: tuple[Statistic, ...]

    def statistic(self, metric: str) -> Statistic | None:
        """Of one metric."""
        return next((each for each in self.statistics if each.metric == metric), None)


class Verdict(msgspec.Struct, frozen=True, kw_only=True):
    """Whether the second of two groups is better than the first, by runs of one seed.

    Attributes:
        metric: which.
        greater_is_better: which way is better.
        pairs: seeds that both have.
        mean: mean of second minus first.
        low: lower end of its 95 % interval, None of one pair.
        high: upper end.
        wins: seeds by which the second is better.
        p: two-sided, as `charkh.core.student.paired` says.
        better: `second`, `first`, or empty where the seeds do not show it.
        words: what may be said, in a sentence or two.
    """

    metric: str
    greater_is_better: bool
    pairs: int
    mean: float
    low: float | None
    high: float | None
    wins: int
    p: float
    better: str
    words: str


def group_runs(
    store: Store,
    text: str = "",
    *,
    metrics: Sequence[Field],
    by: Sequence[Field] = (),
    seeds: Sequence[str] = (),
    limit: int = MOST_RUNS,
) -> tuple[Group, ...]:
    """The runs that meet `text` in groups, the largest mean of the first metric first.

    Args:
        store: where to look.
        text: a search.
        metrics: what is averaged, such as `metrics.auc` or `max(metrics.auc)`.
        by: what the runs of a group have in common; by default every param that is no seed.
        seeds: names of the params that are seeds; `SEEDS` by default.
        limit: how many runs are looked at at most.

    Raises:
        Invalid: the search is not of the grammar, or no metric is named.
    """
    if not metrics:
        raise Invalid("no metric is named", code="run.no_metric_named", hint="Write --metric auc.")
    measured = {str(each): resolve_field(store, each) for each in metrics}
    known = with_fields(store, search(store, text, limit=limit), [*measured.values(), *by])
    found: dict[str, tuple[dict[str, str | None], list[Member]]] = {}
    for each in known:
        config = {str(field): _told(each.lookup(field)) for field in by} if by else _chosen(each, seeds)
        _, members = found.setdefault(json_text(config), (config, []))
        values = {name: each.lookup(field) for name, field in measured.items()}
        numbers = {name: float(value) for name, value in values.items() if isinstance(value, int | float)}
        members.append(Member(run=each.run.id, seed=_seed_of(each, seeds), values=numbers))
    groups = [
        Group(config=config, members=tuple(members), statistics=_statistics(measured, members))
        for config, members in found.values()
    ]
    first = next(iter(measured))
    return tuple(sorted(groups, key=lambda group: -_mean(group, first)))


def differing(groups: Sequence[Group]) -> tuple[str, ...]:
    """The fields in which groups differ: what a table has to show."""
    names = dict.fromkeys(name for group in groups for name in group.config)
    return tuple(each for each in names if len({group.config.get(each) for group in groups}) > 1)


def judge(
    first: Group,
    second: Group,
    metric: str,
    *,
    greater_is_better: bool,
    names: tuple[str, str] = ("the first", "the second"),
) -> Verdict:
    """Whether `second` is better than `first`, by the runs of one seed; of several of one seed, their mean.

    Args:
        first: what it is compared with.
        second: what may be better.
        metric: by which.
        greater_is_better: which way.
        names: how the words call the two.

    Raises:
        Invalid: no seed has a run of both.
    """
    left, right = _by_seed(first, metric), _by_seed(second, metric)
    seeds = [seed for seed in left if seed in right]
    if not seeds:
        raise Invalid(
            f"no seed has a run of both with the metric {metric!r}",
            code="run.no_pairs",
            hint="Run both with the same seeds, and record them as a param: --seed NAME says how it is called.",
        )
    told = paired([(left[seed], right[seed]) for seed in seeds])
    wins = told.wins if greater_is_better else sum(right[seed] < left[seed] for seed in seeds)
    shown = told.p < 0.05 and told.mean != 0
    better = ("second" if (told.mean > 0) == greater_is_better else "first") if shown else ""
    return Verdict(
        metric=metric,
        greater_is_better=greater_is_better,
        pairs=told.n,
        mean=told.mean,
        low=_none(told.low),
        high=_none(told.high),
        wins=wins,
        p=told.p,
        better=better,
        words=_words(told, wins, better, names),
    )


def _words(told: Paired, wins: int, better: str, names: tuple[str, str]) -> str:
    seeds = f"{told.n} seed" if told.n == 1 else f"{told.n} seeds"
    begin = f"{names[1]} is better than {names[0]} with {wins} of {seeds}, and differs by {told.mean:+.4g} in the mean"
    interval = "" if math.isnan(told.low) else f" (95 % interval {told.low:+.4g} to {told.high:+.4g})"
    if better:
        winner = names[1] if better == "second" else names[0]
        shown = f"so large a difference comes by chance in {told.p:.2g} of such comparisons: {winner} is better"
        return f"{begin}{interval}; {shown}, as far as seeds go. Another split of the data may say otherwise."
    if told.least_p >= 0.05:
        return f"{begin}{interval}. {seeds.capitalize()} can show nothing, however they fall: run at least 6."
    return f"{begin}{interval}; p = {told.p:.2g}: seeds alone do as much, which shows no difference."


def _by_seed(group: Group, metric: str) -> dict[str, float]:
    found: dict[str, list[float]] = {}
    for each in group.members:
        value = each.values.get(metric)
        if each.seed and value is not None and math.isfinite(value):
            found.setdefault(each.seed, []).append(value)
    return {seed: math.fsum(values) / len(values) for seed, values in found.items()}


def _chosen(known: Known, seeds: Sequence[str]) -> dict[str, str | None]:
    params = known.run.params
    return {f"params.{name}": _told(value) for name, value in params.items() if not is_seed(name, seeds)}


def is_seed(name: str, seeds: Sequence[str] = ()) -> bool:
    """Whether a param is a seed: one of those named, or of `SEEDS` by its last part."""
    return name in seeds if seeds else name.rpartition(".")[2] in SEEDS


def _seed_of(known: Known, seeds: Sequence[str]) -> str:
    said = [f"{name}={_told(value)}" for name, value in sorted(known.run.params.items()) if is_seed(name, seeds)]
    return " ".join(said)


def _statistics(measured: Mapping[str, Field], members: Sequence[Member]) -> tuple[Statistic, ...]:
    found: list[Statistic] = []
    for name in measured:
        values = [each.values[name] for each in members if math.isfinite(each.values.get(name, math.nan))]
        if values:
            told = spread(values)
            found.append(
                Statistic(
                    metric=name,
                    n=told.n,
                    mean=told.mean,
                    sd=_none(told.sd),
                    low=_none(told.low),
                    high=_none(told.high),
                    least=told.least,
                    most=told.most,
                )
            )
    return tuple(found)


def _mean(group: Group, metric: str) -> float:
    found = group.statistic(metric)
    return found.mean if found is not None else -math.inf


def _none(value: float) -> float | None:
    return None if math.isnan(value) else value


def _told(value: Any) -> str | None:
    if isinstance(value, LargeValue):
        return f"{value.file.size} bytes {value.file.digest[:12]}"
    if isinstance(value, tuple):
        return ", ".join(map(str, cast(tuple[object, ...], value)))
    return value if value is None or isinstance(value, str) else json_text(value)
