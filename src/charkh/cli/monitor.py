"""`charkh monitor`: what was collected, and which alerts were raised."""

from typing import TYPE_CHECKING, Annotated

import typer

from charkh.cli.monitor_alerts import acknowledge, alerts, list_silences, silence, unsilence
from charkh.cli.opening import open_workspace
from charkh.cli.output import AsJson, shown_time, write_json, write_line, write_note, write_pairs, write_table
from charkh.core.errors import NotFound
from charkh.monitors.index import MonitorHistory, Monitors

if TYPE_CHECKING:
    from charkh.monitors.collect import Report
    from charkh.monitors.lateness import Lateness

DAYS = 31
"""Days of predictions that are shown; `--json` has all."""

app = typer.Typer(no_args_is_help=True, help="Watches over live data, predictions and late truth.")


@app.command("list")
def list_monitors(
    prefix: Annotated[str, typer.Option(help="Only those whose name begins so.")] = "", json: AsJson = False
) -> None:
    """List monitors with their latest numbers."""
    with open_workspace() as workspace:
        found = workspace.store.queries.ask(Monitors(prefix=prefix))
    if json:
        write_json(found)
        return
    names = ["rows", "psi", "drifted", "coverage", "auc"]
    write_table(
        ["monitor", "for", *names, "collections", "alerts"],
        [
            [
                each.name,
                shown_time(each.latest.made.moment),
                *(each.latest.facts.get(name) for name in names),
                each.collections,
                each.alerts,
            ]
            for each in found
        ],
        empty="no monitor has collected yet",
    )


@app.command()
def collect(name: Annotated[str, typer.Argument(help="Name of the monitor.")], json: AsJson = False) -> None:
    """Collect once: the requests since the last time against the training data, and the truth that is new."""
    # Polars is loaded by the verbs that read tables alone: the others start in half the time.
    from charkh.workspace.watching import watch

    with open_workspace() as workspace:
        report = watch(workspace, name)
        truth = workspace.settings.monitor[name].truth
    if json:
        write_json(report)
        return
    _write_report(report)
    if truth and report.performance is None:
        write_note(f"no truth was joined: {truth!r} says nothing new about earlier predictions yet")


@app.command()
def show(name: Annotated[str, typer.Argument(help="Name of the monitor.")], json: AsJson = False) -> None:
    """Show what a monitor found last, column by column, and its history."""
    # Polars is loaded by the verbs that read tables alone: the others start in half the time.
    from charkh.monitors.collect import read_details

    with open_workspace() as workspace:
        history = workspace.store.queries.ask(MonitorHistory(monitor=name))
        if not history:
            raise NotFound(
                f"monitor {name!r} has not collected",
                code="monitor.not_found",
                hint=f"`charkh monitor collect {name}` does; `charkh monitor list` shows those that have.",
            )
        report = read_details(workspace.store, history[0].made.details)
    if json:
        write_json({"latest": report, "history": history})
        return
    _write_report(report)
    names = ["rows", "psi", "drifted", "coverage", "auc", "auc.low", "auc.high"]
    asked = ("estimated.auc", "estimated.mae", "mmd", "domain.auc")
    names += [fact for fact in asked if any(fact in each.facts for each in history)]
    write_line()
    write_table(
        ["for", *names],
        [[shown_time(each.made.moment), *(each.facts.get(fact) for fact in names)] for each in history],
    )


def _write_report(report: "Report") -> None:
    write_pairs([("monitor", report.monitor), ("for", shown_time(report.moment)), *report.facts.items()])
    write_line()
    write_table(
        ["column", "psi", "by chance", "ks", "missing", "new", "drifted"],
        [
            [each.column, each.psi, each.psi_expected, each.ks, each.missing, each.new, each.reason or "no"]
            for each in report.drift.columns
        ],
    )
    _write_estimates(report)
    _write_together(report)
    for verdict in report.verdicts:
        said = "ALERT" if verdict.met else "unknown" if verdict.condition in report.unknown else "quiet"
        write_line(f"{said:7}  {verdict.condition}: {verdict.reason}")
    if report.performance is not None:
        for what, why in report.performance.refused.items():
            write_line(f"{what}: {why}")
    if report.lateness is not None:
        _write_lateness(report.lateness)


def _write_lateness(late: "Lateness") -> None:
    """How late the truth comes, and the last days of predictions."""
    write_line()
    lags = ", ".join(f"{name} {_shown_span(seconds)}" for name, seconds in late.lags.items())
    write_line(f"truth of {late.matched} of {late.predictions} predictions, {late.failed} requests failed")
    if lags:
        write_line(f"it came after: {lags}")
    shown = late.days[-DAYS:]
    names = list(dict.fromkeys(metric for each in shown for metric in each.metrics))
    write_table(
        ["predicted on", "predictions", "with truth", "complete", *names],
        [
            [
                each.day,
                each.predictions,
                each.matched,
                f"{each.complete:.0%}" + ("" if each.settled else ", more to come"),
                *(each.metrics.get(name) for name in names),
            ]
            for each in shown
        ],
    )


def _shown_span(seconds: float) -> str:
    for length, unit in ((86400.0, "d"), (3600.0, "h"), (60.0, "min")):
        if seconds >= length:
            return f"{seconds / length:.1f} {unit}"
    return f"{seconds:.1f} s" if seconds >= 1.0 else f"{1000 * seconds:.0f} ms"


def _write_estimates(report: "Report") -> None:
    """What is expected of rows without truth, beside what the truth showed where it is known."""
    found = report.estimated
    if found is None:
        return
    if found.refused:
        write_line(f"no estimate: {found.refused}")
        return
    realised = report.performance.metrics if report.performance is not None else {}
    names = [name for name in found.metrics if "." not in name]
    write_line()
    write_table(
        ["without truth", "estimated", "low", "high", "of those known now", "realised", "reference"],
        [
            [
                name,
                *(found.metrics.get(each) for each in (name, f"{name}.low", f"{name}.high")),
                found.matched.get(name),
                realised.get(name),
                found.realised.get(name),
            ]
            for name in names
        ],
    )


def _write_together(report: "Report") -> None:
    found = report.multivariate
    if found is None:
        return
    write_line()
    write_table(
        ["together", "effect", "p", "groups", "drifted"],
        [[test.name, test.effect, test.p, test.groups, "yes" if test.drifted else "no"] for test in found.tests],
        empty="no test of many columns was made",
    )
    for name, why in found.refused.items():
        write_line(f"{name}: {why}")


app.command()(alerts)
app.command("ack")(acknowledge)
app.command()(silence)
app.command()(unsilence)
app.command("silences")(list_silences)
