"""`charkh run group`: the seeds of one configuration as one line, and whether one is better than another."""

from collections.abc import Sequence
from typing import Annotated

import typer

from charkh.cli.opening import open_workspace
from charkh.cli.output import AsJson, write_json, write_line, write_table
from charkh.cli.run_refs import Where, shown_number
from charkh.core.errors import Invalid
from charkh.ports.store import Store
from charkh.runs.groups import Group, Statistic, Verdict, differing, group_runs, judge
from charkh.runs.query import Field
from charkh.runs.query_parser import parse_fields
from charkh.runs.resolve import goal_of


def group(
    text: Where = "",
    metric: Annotated[str, typer.Option("--metric", "-m", help="By commas: auc, max(metrics.auc).")] = "",
    by: Annotated[
        str, typer.Option("--by", help="What a group has in common, by commas: params.model; all params but seeds.")
    ] = "",
    seed: Annotated[
        list[str] | None, typer.Option("--seed", help="A param that is a seed; seed and random_state by default.")
    ] = None,
    goal: Annotated[str, typer.Option("--goal", help="max or min: which way the metric is better.")] = "",
    json: AsJson = False,
) -> None:
    """Group runs: mean, deviation and the 95 % interval of a metric over the runs that differ by their seed alone.

    The best two groups are compared by the runs of one seed.
    """
    if goal not in {"", "max", "min"}:
        raise Invalid(f"the goal is {goal!r}", code="run.bad_goal", hint="Write --goal max or --goal min.")
    measured = parse_fields(metric)
    with open_workspace() as workspace:
        store = workspace.store
        groups = group_runs(
            store, text, metrics=measured, by=parse_fields(by, family="params") if by else (), seeds=seed or ()
        )
        upwards = _upwards(store, measured[0], goal)
    if upwards is False:
        groups = tuple(sorted(groups, key=lambda each: _mean(each, str(measured[0]))))
    verdict = _verdict(groups, str(measured[0]), upwards)
    if json:
        write_json({"groups": groups, "verdict": verdict})
        return
    _write_groups(groups, [str(field) for field in measured])
    if verdict is not None:
        write_line()
        write_line(verdict.words)


def _upwards(store: Store, metric: Field, goal: str) -> bool | None:
    """Whether more of a metric is better; None where nobody said."""
    said = goal or goal_of(store, metric)
    return None if not said else said == "max"


def _verdict(groups: Sequence[Group], metric: str, upwards: bool | None) -> Verdict | None:
    """The best beside the one behind it, where both have runs of the same seeds."""
    if len(groups) < 2 or upwards is None:
        return None
    first, second = groups[0], groups[1]
    if {each.seed for each in first.members} & {each.seed for each in second.members} <= {""}:
        return None
    names = ("the second line", "The first line")
    return judge(second, first, metric, greater_is_better=upwards, names=names)


def _write_groups(groups: Sequence[Group], metrics: Sequence[str]) -> None:
    fields = differing(groups)
    heads = [name for metric in metrics for name in (metric, "± 95 %", "sd", "min", "max")]
    rows: list[list[object]] = []
    for each in groups:
        cells = [cell for metric in metrics for cell in _cells(each.statistic(metric))]
        rows.append([*(each.config.get(name) for name in fields), len(each.members), *cells])
    write_table([*fields, "runs", *heads], rows, empty="no run has this metric")


def _cells(told: Statistic | None) -> list[str]:
    if told is None:
        return [""] * 5
    reach = None if told.high is None else told.high - told.mean
    return [shown_number(each) for each in (told.mean, reach, told.sd, told.least, told.most)]


def _mean(group: Group, metric: str) -> float:
    told = group.statistic(metric)
    return told.mean if told is not None else float("inf")
