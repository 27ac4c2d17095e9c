"""One page about one decision of a loop: what set it going, what was judged, how it was tried, what it came to."""

from collections.abc import Iterable, Sequence
from datetime import UTC, datetime

from charkh.core.errors import NotFound
from charkh.endpoints.rollouts.index import RolloutById, Rollouts
from charkh.endpoints.rollouts.judge import route_facts
from charkh.endpoints.rollouts.rollout import Rollout
from charkh.loops.index import DecisionById, Decisions
from charkh.loops.loop import Decision
from charkh.ports.projections import Describe
from charkh.ports.store import Store

SHOWN = ("requests", "error_ratio", "seconds_p50", "seconds_p99", "rewards", "reward")


def find_decision(store: Store, ref: str) -> Decision:
    """The decision whose id begins with `ref` (`loop:ID` too), or the newest of the loop of that name.

    Raises:
        NotFound: there is none, or several begin so.
    """
    text = ref.removeprefix("loop:")
    found = store.queries.ask(DecisionById(decision=text))
    if found is not None:
        return found
    newest = store.queries.ask(Decisions(loop=text, limit=1)) if text else ()
    begins = [each for each in store.queries.ask(Decisions()) if text and each.id.startswith(text)]
    if newest or len(begins) == 1:
        return (*newest, *begins)[0]
    raise NotFound(
        f"no decision, or more than one, has an id that begins with {text!r}",
        code="loop.no_decision",
        hint="`charkh loop show NAME --json` shows them.",
    )


def decision_page(store: Store, ref: str) -> str:
    """The page, as Markdown.

    Raises:
        NotFound: as `find_decision`.
    """
    decision = find_decision(store, ref)
    decided = decision.decided
    who = f"Loop {decided.loop}" if decided.loop else "A promotion that somebody asked for"
    parts = [
        f"# {who}: {decided.outcome}",
        f"{_escaped(decided.reason)}.",
        _table(("", ""), _summary(store, decision)),
        *_about(store, "What set it going", decided.trigger, decided.trigger_reason),
        *_about(store, "The candidate", f"model:{decided.candidate}" if decided.candidate else ""),
        *_about(store, "The champion", f"model:{decided.champion}" if decided.champion else ""),
        *_about(store, "What they were judged on", decided.judged_on, _looks(decided.looks)),
    ]
    if decided.verdicts:
        rows = [("yes" if each.met else "**no**", each.condition, each.reason) for each in decided.verdicts]
        parts += ["## The gate", _table(("met", "condition", "why"), rows)]
    for rollout in _rollouts(store, decision):
        parts += _trial(rollout)
    parts += ["## What happened, in order", _table(("when", "what", "why"), _steps(store, decision))]
    return "\n\n".join(parts) + "\n"


def _summary(store: Store, decision: Decision) -> list[tuple[str, str]]:
    decided = decision.decided
    rows = [("decision", f"`{decision.id}`"), ("for", _time(decided.moment)), ("let run by", decision.actor)]
    if decided.seconds:
        rows.append(("the retraining took", f"{decided.seconds:.1f} s"))
    if decided.candidate:
        rows.append((f"candidate for {decided.model}@{decided.alias}", _title(store, f"model:{decided.candidate}")))
    return rows


def _about(store: Store, heading: str, subject: str, more: str = "") -> list[str]:
    if not subject and not more:
        return []
    found = store.queries.ask(Describe(subject=subject)) if subject else None
    parts = [f"## {heading}", *([f"{_escaped(more)}."] if more else [])]
    if subject:
        parts.append(f"{_escaped(found.title) if found is not None else ''} (`{subject}`)".strip())
    if found is not None and found.lines:
        parts.append(_table(("", ""), found.lines))
    return parts


def _trial(rollout: Rollout) -> list[str]:
    begun, ended = rollout.begun, rollout.ended
    said = f"{ended.outcome}: {_escaped(ended.reason)}" if ended is not None else "it goes on"
    share = ", ".join(f"{route} {part:.0%}" for route, part in rollout.shares.items())
    facts = {route: route_facts(rollout, route) for route in ("champion", *(arm.route for arm in begun.arms))}
    rows = [(route, *(_number(known.get(name)) for name in SHOWN)) for route, known in facts.items()]
    return [
        f"## Tried at {begun.endpoint}: {begun.plan.way}",
        f"From {_time(rollout.at)}{f' to {_time(rollout.ended_at)}' if rollout.ended_at else ''}, moved "
        f"{rollout.moves} times{f', shares now: {share}' if share else ''}. {said}.",
        _table(("route", *SHOWN), rows),
    ]


def _rollouts(store: Store, decision: Decision) -> list[Rollout]:
    ids = dict.fromkeys(identifier for step in decision.steps for identifier in step.rollouts)
    found = [store.queries.ask(RolloutById(rollout=each)) for each in ids]
    if not found and decision.decided.endpoint:
        # Still under way: the rollouts say whose they are.
        going = store.queries.ask(Rollouts(endpoint=decision.decided.endpoint))
        found = [each for each in reversed(going) if each.begun.decided_by == decision.id]
    return [each for each in found if each is not None]


def _steps(store: Store, decision: Decision) -> list[tuple[str, str, str]]:
    decided = decision.decided
    rows = [(decided.moment, decision.first or decided.outcome, "" if decision.steps else decided.reason)]
    for rollout in _rollouts(store, decision):
        rows.append((rollout.at, f"{rollout.begun.plan.way} begun", ""))
        if rollout.ended is not None and rollout.ended_at is not None:
            rows.append((rollout.ended_at, f"{rollout.begun.plan.way} {rollout.ended.outcome}", rollout.ended.reason))
    rows += [(step.moment, step.outcome, step.reason) for step in decision.steps]
    return [(_time(moment), what, why) for moment, what, why in rows]


def _title(store: Store, subject: str) -> str:
    found = store.queries.ask(Describe(subject=subject))
    return found.title if found is not None else subject


def _looks(count: int) -> str:
    return f"{count} {'candidate has' if count == 1 else 'candidates have'} been judged on it" if count else ""


def _table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    lines = [" | ".join(head), " | ".join("---" for _ in head)]
    lines += [" | ".join(_escaped(str(cell)) for cell in row) for row in rows]
    return "\n".join(f"| {line} |" for line in lines)


def _escaped(text: str) -> str:
    return " ".join(text.replace("|", "\\|").replace("<", "&lt;").split())


def _number(value: object) -> str:
    return f"{value:.4g}" if isinstance(value, float) else "" if value is None else str(value)


def _time(moment: float) -> str:
    return f"{datetime.fromtimestamp(moment, UTC):%Y-%m-%d %H:%M:%S} UTC"
