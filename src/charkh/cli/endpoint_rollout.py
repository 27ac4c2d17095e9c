"""`charkh endpoint rollout`: let a candidate in beside what answers, look how it does, and let it win or go."""

from pathlib import Path
from typing import Annotated

import msgspec
import typer

from charkh.cli.opening import open_workspace
from charkh.cli.output import AsJson, shown_time, write_json, write_line, write_pairs, write_table
from charkh.cli.titles import titles_of
from charkh.core.errors import Invalid
from charkh.core.rollout_settings import WAYS, RolloutSettings
from charkh.endpoints.rollouts.index import CurrentRollout, Rollouts
from charkh.endpoints.rollouts.judge import RolloutVerdict, judge_rollout
from charkh.endpoints.rollouts.move import begin_rollout, end_rollout, move_rollout
from charkh.endpoints.rollouts.rollout import Rollout
from charkh.models.find import find as find_model

app = typer.Typer(no_args_is_help=True, help="Candidates beside what answers: canary, shadow, A/B, bandits.")

CANDIDATE = "candidate"
"""The route of a candidate that nobody gave a name."""

Name = Annotated[str, typer.Argument(help="Name of the endpoint.")]
Reason = Annotated[str, typer.Option(help="Why, in a sentence.")]
Shares = Annotated[list[str], typer.Argument(help="ROUTE=PERCENT, or a percentage for the only candidate.")]


@app.command()
def begin(
    name: Name,
    model: Annotated[list[str], typer.Argument(help="The candidate, such as delay@4; several as ROUTE=MODEL.")],
    way: Annotated[str, typer.Option(help=f"One of: {', '.join(WAYS)}; what charkh.toml says by default.")] = "",
    percent: Annotated[float | None, typer.Option(help="Share of the requests that candidates get together.")] = None,
    reason: Reason = "",
    json: AsJson = False,
) -> None:
    """Let candidates in at an endpoint; `[endpoint.NAME.rollout]` says how it goes on."""
    with open_workspace() as workspace:
        known = workspace.settings.endpoint.get(name)
        settings = _with(known.rollout if known else RolloutSettings(), way, percent)
        candidates = {route: find_model(workspace.store, ref).subject for route, ref in _by_route(model).items()}
        champion = find_model(workspace.store, known.model).subject if known and known.model else ""
        begun = begin_rollout(workspace.store, name, candidates, champion=champion, settings=settings, reason=reason)
    _write(begun, json)


@app.command("list")
def list_rollouts(
    name: Annotated[str, typer.Argument(help="Name of the endpoint; all by default.")] = "", json: AsJson = False
) -> None:
    """List rollouts, newest first."""
    with open_workspace() as workspace:
        found = workspace.store.queries.ask(Rollouts(endpoint=name))
        titles = titles_of(workspace.store, (arm.model for each in found for arm in each.begun.arms))
    if json:
        write_json(found)
        return
    write_table(
        ["endpoint", "way", "candidates", "begun", "by", "outcome", "reason"],
        [
            [
                each.begun.endpoint,
                each.begun.plan.way,
                ", ".join(f"{arm.route} {titles[arm.model]}" for arm in each.begun.arms),
                shown_time(each.at),
                each.actor,
                each.ended.outcome if each.ended else "goes on",
                each.ended.reason if each.ended else each.begun.reason,
            ]
            for each in found
        ],
        empty="no rollouts yet; charkh endpoint rollout begin NAME MODEL begins one",
    )


@app.command()
def show(name: Name, json: AsJson = False) -> None:
    """Show how the routes do, what the sequential test says, and what comes next."""
    with open_workspace() as workspace:
        verdict = judge_rollout(workspace.store, name)
    if json:
        write_json(verdict)
        return
    write_pairs([("endpoint", verdict.endpoint), ("now", verdict.action), ("because", verdict.reason)])
    write_line()
    write_table(
        ["route", "share", "requests", "error ratio", "p99 s", "rewards", "reward", "difference", "said"],
        _rows(verdict),
    )


@app.command()
def move(name: Name, shares: Shares, reason: Reason = "", json: AsJson = False) -> None:
    """Give the candidates other shares of the requests; one that is not named is asked no more."""
    with open_workspace() as workspace:
        going_on = workspace.store.queries.ask(CurrentRollout(endpoint=name))
        routes = [] if going_on is None else [arm.route for arm in going_on.begun.arms]
        shared = _shares(shares, routes[0] if len(routes) == 1 else CANDIDATE)
        moved = move_rollout(workspace.store, name, shared, reason=reason)
    _write(moved, json)


@app.command()
def promote(
    name: Name,
    route: Annotated[str, typer.Option(help="Of the candidate; the only one by default.")] = "",
    override: Annotated[str, typer.Option("--override", help="Why the gate that guards the alias is passed by.")] = "",
    reason: Reason = "",
    json: AsJson = False,
) -> None:
    """Let a candidate answer for good: the alias that the endpoint serves moves to it, where its gate lets it."""
    from charkh.workspace.rollouts import promote_route

    with open_workspace() as workspace:
        ended = promote_route(workspace, name, route, reason=reason, override=override)
    _write(ended, json)


@app.command()
def end(
    name: Name,
    roll_back: Annotated[bool, typer.Option("--roll-back", help="The candidate was the reason.")] = False,
    reason: Reason = "",
    json: AsJson = False,
) -> None:
    """Let the champion alone answer again."""
    with open_workspace() as workspace:
        ended = end_rollout(workspace.store, name, "rolled_back" if roll_back else "stopped", reason=reason)
    _write(ended, json)


def feedback(
    name: Name,
    file: Annotated[Path, typer.Argument(help='Lines such as {"prediction_id": "…", "reward": 1}.')],
    json: AsJson = False,
) -> None:
    """Say what came of answers: a reward, or the truth, for each prediction."""
    from charkh.endpoints.feedback import Feedbacks, read_feedback

    try:
        lines = [line for line in file.read_bytes().splitlines() if line.strip()]
    except OSError as error:
        raise Invalid(f"{file} cannot be read: {error.strerror}", code="feedback.file") from error
    said = [item for line in lines for item in read_feedback(line)]
    with open_workspace() as workspace:
        taken = Feedbacks(workspace.store).take(name, said)
    if json:
        write_json({"endpoint": name, "taken": taken})
    else:
        write_line(f"{taken} answers of {name} have feedback")


def _with(settings: RolloutSettings, way: str, percent: float | None) -> RolloutSettings:
    found = next((known for known in WAYS if known == way), None)
    if way and found is None:
        raise Invalid(f"{way!r} is no way of a rollout", code="rollout.way", hint=f"One of: {', '.join(WAYS)}.")
    changed = settings if found is None else msgspec.structs.replace(settings, way=found)
    return changed if percent is None else msgspec.structs.replace(changed, percent=percent, steps=())


def _by_route(models: list[str]) -> dict[str, str]:
    if len(models) == 1 and "=" not in models[0]:
        return {CANDIDATE: models[0]}
    pairs = [text.partition("=") for text in models]
    if any(not sign for _, sign, _ in pairs):
        raise Invalid("several candidates need routes", code="rollout.invalid", hint="Write ROUTE=MODEL for each.")
    return {route: model for route, _, model in pairs}


def _shares(texts: list[str], only: str) -> dict[str, float]:
    try:
        pairs = [text.rpartition("=") for text in texts]
        return {route or only: float(percent.rstrip("%")) / 100 for route, _, percent in pairs}
    except ValueError as error:
        raise Invalid(
            f"{' '.join(texts)!r} says no shares", code="rollout.share", hint="Write candidate=25, or 25."
        ) from error


def _rows(verdict: RolloutVerdict) -> list[list[object]]:
    champion = ["champion", *_facts(verdict.champion), "", ""]
    routes = [
        [each.route, *_facts(each.facts), _difference(each.comparison.difference), each.said] for each in verdict.routes
    ]
    return [champion, *routes]


def _facts(facts: dict[str, float | int | bool | str]) -> list[object]:
    share = facts.get("share", 0.0)
    numbers = [facts.get(name, "") for name in ("error_ratio", "seconds_p99", "rewards", "reward")]
    shown = [f"{number:.4g}" if isinstance(number, float) else number for number in numbers]
    return [f"{float(share):.0%}", facts.get("requests", 0), *shown]


def _difference(number: float) -> str:
    return "" if number != number else f"{number:+.4g}"


def _write(found: Rollout, json: bool) -> None:
    if json:
        write_json(found)
        return
    if found.ended is not None:
        write_line(f"the rollout at {found.begun.endpoint} is over: {found.ended.outcome.replace('_', ' ')}")
        return
    shares = ", ".join(f"{route} {share:.0%}" for route, share in found.shares.items())
    write_line(f"{found.begun.endpoint}: {found.begun.plan.way} of {shares} (rollout {found.id})")
