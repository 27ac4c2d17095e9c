"""`charkh loop`: what the loops decided and why, and turning one by hand."""

from collections.abc import Mapping
from typing import Annotated

import typer

from charkh.cli.loop_page import page
from charkh.cli.loop_pause import pause, resume
from charkh.cli.opening import open_workspace
from charkh.cli.output import AsJson, shown_time, write_json, write_line, write_pairs, write_table
from charkh.cli.titles import titles_of
from charkh.core.errors import NotFound
from charkh.loops.index import Decisions, Loops
from charkh.loops.loop import Decision
from charkh.workspace.workspace import Workspace

app = typer.Typer(no_args_is_help=True, help="Watch, retrain, judge, promote: with brakes.")

Name = Annotated[str, typer.Argument(help="Name of the loop.")]


@app.command("list")
def list_loops(json: AsJson = False) -> None:
    """List the loops of charkh.toml and what each decided last."""
    with open_workspace() as workspace:
        configured = workspace.settings.loop
        newest = {each.decided.loop: each for each in workspace.store.queries.ask(Loops())}
    names = sorted({*configured, *newest})
    if json:
        write_json([{"name": name, "settings": configured.get(name), "newest": newest.get(name)} for name in names])
        return
    write_table(
        ["loop", "on", "runs", "gate", "decided last", "outcome"],
        [
            [
                name,
                ", ".join(configured[name].triggers) if name in configured else "not in charkh.toml",
                configured[name].run if name in configured else "",
                configured[name].gate if name in configured else "",
                shown_time(newest[name].decided.moment) if name in newest else "",
                newest[name].decided.outcome if name in newest else "",
            ]
            for name in names
        ],
        empty="no loops yet; write [loop.NAME] into charkh.toml",
    )


@app.command()
def show(
    name: Name,
    limit: Annotated[int, typer.Option(help="The newest so many decisions.", min=1)] = 20,
    json: AsJson = False,
) -> None:
    """Show a loop's decisions, newest first, with the verdict on each condition of the gate."""
    with open_workspace() as workspace:
        found = workspace.store.queries.ask(Decisions(loop=name, limit=limit))
        if not found:
            raise _nothing_decided(workspace, name)
        titles = titles_of(workspace.store, (subject for each in found for subject in _subjects(each)))
    if json:
        write_json(found)
        return
    for number, each in enumerate(found):
        if number:
            write_line()
        _write_decision(each, titles)


@app.command()
def turn(name: Name, json: AsJson = False) -> None:
    """Turn a loop once by hand, whatever has happened; its brakes and its gate hold all the same."""
    # What a loop runs needs Polars and more: the verbs that only look start in half the time.
    from charkh.workspace.turning import turn_loop

    with open_workspace() as workspace:
        decision = turn_loop(workspace, name, by_hand=True)
        titles = titles_of(workspace.store, _subjects(decision))
    if json:
        write_json(decision)
    else:
        _write_decision(decision, titles)


def _subjects(decision: Decision) -> tuple[str, str, str]:
    """The candidate, the champion and the data it was judged on; empty where there is none."""
    decided = decision.decided
    candidate, champion = (f"model:{each}" if each else "" for each in (decided.candidate, decided.champion))
    return candidate, champion, decided.judged_on


def _write_decision(decision: Decision, titles: Mapping[str, str]) -> None:
    decided = decision.decided
    candidate, champion, judged_on = (titles[subject] for subject in _subjects(decision))
    write_pairs(
        (label, value)
        for label, value in [
            ("loop", decided.loop),
            ("for", shown_time(decided.moment)),
            ("outcome", decided.outcome),
            ("reason", decided.reason),
            ("trigger", decided.trigger_reason),
            ("candidate", candidate),
            ("against", champion),
            ("judged on", judged_on),
            ("looks at it", decided.looks or ""),
            ("tried at", decided.endpoint),
        ]
        if value
    )
    for verdict in decided.verdicts:
        write_line(f"  {'met' if verdict.met else 'NOT met'}  {verdict.condition}: {verdict.reason}")


def _nothing_decided(workspace: Workspace, name: str) -> NotFound:
    known = ", ".join(sorted(workspace.settings.loop)) or "none"
    if name in workspace.settings.loop:
        return NotFound(
            f"loop {name!r} has decided nothing yet",
            code="loop.not_turned",
            hint=f"`charkh loop turn {name}` turns it, and so does `charkh up`.",
        )
    return NotFound(f"there is no loop {name!r}", code="loop.not_found", hint=f"charkh.toml has: {known}.")


app.command()(pause)
app.command()(resume)
app.command()(page)
