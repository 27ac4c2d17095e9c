"""`charkh monitor alerts`, `ack`, `silence`: what was raised, who looks after it, and what nobody is told of."""

import time
from typing import Annotated

import typer

from charkh.cli.opening import open_workspace
from charkh.cli.output import AsJson, shown_time, write_json, write_line, write_table
from charkh.core.quantities import parse_duration
from charkh.monitors.alert_index import Alerts, Firing, Silences
from charkh.monitors.monitor import Alert

Ref = Annotated[str, typer.Argument(help="The alert's id, or how it begins.")]


def alerts(
    name: Annotated[str, typer.Argument(help="Name of the monitor; all without.")] = "",
    firing: Annotated[bool, typer.Option("--firing", help="Only what is not over.")] = False,
    json: AsJson = False,
) -> None:
    """List alerts, the latest first."""
    with open_workspace() as workspace:
        asked = Firing(monitor=name) if firing else Alerts(monitor=name)
        found = workspace.store.queries.ask(asked)
    if json:
        write_json(found)
        return
    write_table(
        ["alert", "for", "monitor", "condition", "reason", "severity", "owner", "runbook", "state"],
        [
            [
                each.made.alert,
                shown_time(each.made.moment),
                each.made.monitor,
                each.made.condition,
                each.made.reason,
                each.made.severity,
                each.made.owner,
                each.made.runbook,
                _state(each),
            ]
            for each in found
        ],
        empty="no alerts",
    )


def acknowledge(
    alert: Ref,
    note: Annotated[str, typer.Option("--note", "-m", help="What you know of it.")] = "",
    json: AsJson = False,
) -> None:
    """Say that you look after an alert; it is not raised again before it is over."""
    from charkh.monitors import attend

    with open_workspace() as workspace:
        found = attend.acknowledge(workspace.store, alert, note=note)
    if json:
        write_json(found)
    else:
        write_line(f"{found.made.monitor}: {found.made.condition} is looked after by {found.acknowledged}")


def silence(
    name: Annotated[str, typer.Argument(help="Name of the monitor.")],
    during: Annotated[str, typer.Option("--for", help="For how long, such as 2h or 7d.")],
    condition: Annotated[str, typer.Option(help="The one condition that is meant; all without.")] = "",
    reason: Annotated[str, typer.Option("--reason", "-m", help="Why.")] = "",
    json: AsJson = False,
) -> None:
    """Let nobody be told of a monitor's alerts for a while; they are recorded, and loops see them."""
    from charkh.monitors import attend

    with open_workspace() as workspace:
        found = attend.silence(
            workspace.store, name, seconds=parse_duration(during), condition=condition, reason=reason
        )
    if json:
        write_json(found)
    else:
        write_line(f"{name} is silent until {shown_time(found.made.until)} (silence {found.made.silence})")


def unsilence(
    silenced: Annotated[str, typer.Argument(metavar="SILENCE", help="The silence's id, or how it begins.")],
    json: AsJson = False,
) -> None:
    """End a silence now."""
    from charkh.monitors import attend

    with open_workspace() as workspace:
        found = attend.unsilence(workspace.store, silenced)
    if json:
        write_json(found)
    else:
        write_line(f"{found.made.monitor} is heard again")


def list_silences(json: AsJson = False) -> None:
    """List the silences that hold."""
    with open_workspace() as workspace:
        found = workspace.store.queries.ask(Silences(moment=time.time()))
    if json:
        write_json(found)
        return
    write_table(
        ["silence", "monitor", "condition", "until", "by", "reason"],
        [
            [
                each.made.silence,
                each.made.monitor,
                each.made.condition or "all",
                shown_time(each.made.until),
                each.actor,
                each.made.reason,
            ]
            for each in found
        ],
        empty="no silence holds",
    )


def _state(alert: Alert) -> str:
    if alert.resolved is not None:
        return f"over since {shown_time(alert.resolved)}"
    looked_after = f"looked after by {alert.acknowledged}" if alert.acknowledged else "fires"
    return f"{looked_after}, silenced" if alert.made.silenced else looked_after
