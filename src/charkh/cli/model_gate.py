"""`charkh model approve`, `reject`, `withdraw`, `promote` and `decisions`: what people say, and what gates decide."""

from collections.abc import Callable
from typing import Annotated

import typer

from charkh.cli.exit_codes import EXIT_CODES
from charkh.cli.opening import open_workspace
from charkh.cli.output import AsJson, shown_time, write_json, write_line, write_table
from charkh.core.errors import GateRefused
from charkh.loops.index import Decisions
from charkh.models.approve import approvals
from charkh.models.approve import approve as say_yes
from charkh.models.approve import reject as say_no
from charkh.models.approve import withdraw as take_back
from charkh.models.find import find
from charkh.models.governance import ModelApproved
from charkh.models.index import ModelById
from charkh.models.model import CHAMPION
from charkh.ports.store import Store
from charkh.workspace.promoting import find_gate, promote_version

MOST = 10_000
Say = Callable[[Store, str, str, str], ModelApproved]

Ref = Annotated[str, typer.Argument(help="A version: delay@3, delay@latest or model:ID.")]
Gate = Annotated[str, typer.Option("--gate", help="Name of the [gate.NAME] that it is to pass.")]
Reason = Annotated[str, typer.Option("--reason", help="What was looked at, in a sentence.")]


def approve(model: Ref, gate: Gate, reason: Reason, json: AsJson = False) -> None:
    """Approve a version at a gate; whoever registered it cannot."""
    _say(say_yes, model, gate, reason, json=json)


def reject(model: Ref, gate: Gate, reason: Reason, json: AsJson = False) -> None:
    """Reject a version at a gate, which closes it until you withdraw or approve."""
    _say(say_no, model, gate, reason, json=json)


def withdraw(model: Ref, gate: Gate, reason: Reason, json: AsJson = False) -> None:
    """Take back what you said about a version at a gate."""
    _say(take_back, model, gate, reason, json=json)


def promote(
    model: Ref,
    to: Annotated[str, typer.Option("--to", help="The alias that it is to hold.")] = CHAMPION,
    gate: Annotated[str, typer.Option("--gate", help="Name of the gate; the alias's own by default.")] = "",
    on: Annotated[str, typer.Option("--on", help="The dataset version that decides: dataset:ID.")] = "",
    reason: Annotated[str, typer.Option("--reason", help="Why, in a sentence; it is kept in the history.")] = "",
    dry: Annotated[bool, typer.Option("--dry-run", help="Only say what would be decided.")] = False,
    json: AsJson = False,
) -> None:
    """Let a version hold an alias where its gate lets it through; exit code 4 where it does not."""
    with open_workspace() as workspace:
        decision = promote_version(workspace, model, alias=to, gate=gate, judged_on=on, reason=reason, dry=dry)
        version = find(workspace.store, decision.decided.candidate)
    decided = decision.decided
    if json:
        write_json(decision)
    else:
        write_table(
            ["condition", "met", "why"],
            [[verdict.condition, "yes" if verdict.met else "no", verdict.reason] for verdict in decided.verdicts],
            empty="the gate asks for nothing",
        )
        said = {"promoted": f"{version.made.name}@{to} is {version.ref}", "refused": f"{version.ref} was refused"}
        outcome = said.get(decided.outcome, f"{decided.outcome}: {decided.reason}")
        write_line(f"would be {decided.outcome}" if dry else outcome)
    if decided.outcome != "promoted":
        raise typer.Exit(EXIT_CODES[GateRefused])


def decisions(
    name: Annotated[str, typer.Argument(help="The model's name.")],
    limit: Annotated[int, typer.Option("--limit", help="How many at most.")] = 20,
    json: AsJson = False,
) -> None:
    """List what gates decided about a model, newest first: who asked, on what evidence, with what outcome."""
    with open_workspace() as workspace:
        made = workspace.store.queries.ask(Decisions(limit=MOST))
        found = [each for each in made if each.decided.model == name and each.decided.candidate][:limit]
        refs = [find_any(workspace.store, each.decided.candidate) for each in found]
    if json:
        write_json(found)
        return
    write_table(
        ["when", "version", "to", "outcome", "by", "reason"],
        [
            [
                shown_time(each.at),
                ref,
                each.decided.alias,
                each.decided.outcome,
                f"loop {each.decided.loop}" if each.decided.loop else each.actor,
                each.decided.reason,
            ]
            for each, ref in zip(found, refs, strict=True)
        ],
        empty=f"no gate has decided about {name} yet",
    )


def find_any(store: Store, version: str) -> str:
    """`name@number` of a version, deleted ones included."""
    found = store.queries.ask(ModelById(version=version))
    return version if found is None else found.ref


def _say(say: Say, model: str, gate: str, reason: str, *, json: bool) -> None:
    with open_workspace() as workspace:
        find_gate(workspace, gate)
        version = find(workspace.store, model)
        said = say(workspace.store, version.id, gate, reason)
        everybody = approvals(workspace.store, version, gate)
    if json:
        write_json({"said": said, "approvals": everybody})
        return
    write_table(
        ["gate", "who", "said", "reason"],
        [[each.approved.gate, each.actor, each.approved.answer, each.approved.reason] for each in everybody],
    )
