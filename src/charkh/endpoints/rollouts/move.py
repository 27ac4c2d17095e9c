"""Begin, move and end rollouts: each is a fact, which every process that serves follows within a second."""

import math
from collections.abc import Mapping

from charkh.core.errors import Bug, Invalid, NotFound
from charkh.core.gates import CHAMPION
from charkh.core.quantities import parse_duration
from charkh.core.refs import parse_name, parse_subject
from charkh.core.rollout_settings import MAX_CANDIDATES, RolloutSettings, check_rollout
from charkh.endpoints.deployment import checked_reason
from charkh.endpoints.index import CurrentDeployment
from charkh.endpoints.rollouts.index import BeginRollout, CurrentRollout, EndRollout, MoveRollout, RolloutById
from charkh.endpoints.rollouts.rollout import Arm, Begun, Ended, Outcome, Plan, Rollout
from charkh.ports.store import Store

CANDIDATE = "candidate"
BANDITS = frozenset({"epsilon_greedy", "thompson"})


def begin_rollout(
    store: Store,
    endpoint: str,
    candidate: str | Mapping[str, str],
    *,
    champion: str = "",
    settings: RolloutSettings = RolloutSettings(),  # noqa: B008 (frozen)
    reason: str = "",
    decided_by: str = "",
) -> Rollout:
    """Let a candidate in at an endpoint; the rollout that goes on there where it says the same.

    Args:
        store: where the fact goes.
        endpoint: its name.
        candidate: subject of the model, `model:ID`; or several by route.
        champion: subject of the model that answers now; what is deployed there by default.
        settings: how it goes on; its `candidates` are not looked at.
        reason: why, in a sentence.
        decided_by: id of the decision of a loop, or empty for a person.

    Raises:
        Invalid: a subject is no model, a route has no name, or a share is none.
        NotFound: nothing is deployed there.
        Conflict: another rollout goes on there.
    """
    name = parse_name(endpoint, "endpoint name")
    check_rollout(settings, f"the rollout at {name!r}:")
    arms = {CANDIDATE: candidate} if isinstance(candidate, str) else dict(candidate)
    if not arms or len(arms) > MAX_CANDIDATES or CHAMPION in arms:
        raise Invalid(
            f"a rollout has from 1 to {MAX_CANDIDATES} candidates, and none is called {CHAMPION}",
            code="rollout.invalid",
            hint="Give a model, or models by route.",
        )
    against = champion or _deployed(store, name)
    for subject in (against, *arms.values()):
        if parse_subject(subject).noun != "model":
            raise Invalid(f"{subject!r} is no model", code="rollout.invalid", hint="Give model:ID.")
    made = Begun(
        endpoint=name,
        rollout="",
        champion=against,
        arms=tuple(Arm(route=parse_name(route, "route"), model=model) for route, model in arms.items()),
        shares=first_shares(settings, tuple(arms)),
        plan=plan_of(settings),
        reason=checked_reason(reason),
        decided_by=decided_by,
    )
    store.commands.decide(BeginRollout(made=made))
    begun = store.queries.ask(CurrentRollout(endpoint=name))
    if begun is None:
        raise Bug(f"the rollout at {name!r} that was just begun cannot be found")
    return begun


def move_rollout(
    store: Store,
    endpoint: str,
    shares: Mapping[str, float],
    *,
    after: int | None = None,
    reason: str = "",
    decided_by: str = "",
) -> Rollout:
    """Give the candidates of an endpoint other shares of its requests.

    Args:
        store: where the fact goes.
        endpoint: its name.
        shares: by route of a candidate, from 0 to 1; a route that is left out is asked no more.
        after: how many moves the caller believes there have been; where there were others, nothing happens.
        reason: why, in a sentence.
        decided_by: id of the decision of a loop, or empty for a person.

    Raises:
        NotFound: no rollout goes on there, or it has no such route.
        Invalid: a share is none, or they are more than the whole.
    """
    found = find_rollout(store, endpoint)
    known = [arm.route for arm in found.begun.arms]
    for route, share in shares.items():
        if route not in known:
            raise NotFound(
                f"the rollout at {endpoint!r} has no route {route!r}",
                code="rollout.no_route",
                hint=f"Its routes: {', '.join(known)}.",
            )
        if not 0.0 <= share <= 1.0:
            raise _no_share(f"the share of {route!r} is {share}")
    if not shares or math.fsum(shares.values()) > 1.0 + 1e-9:
        raise _no_share(f"the shares of {', '.join(shares) or 'no route'} are no part of the whole")
    store.commands.decide(
        MoveRollout(
            rollout=found.id,
            shares=dict(shares),
            after=after,
            reason=checked_reason(reason),
            decided_by=decided_by,
        )
    )
    return _again(store, found.id)


def end_rollout(
    store: Store, endpoint: str, outcome: Outcome, *, route: str = "", reason: str = "", decided_by: str = ""
) -> Rollout:
    """End the rollout at an endpoint, so that the champion alone answers; it moves no alias.

    Args:
        store: where the fact goes.
        endpoint: its name, or the id of a rollout.
        outcome: `promoted`, `rolled_back` or `stopped`.
        route: of the candidate that it is about; the only one by default where it was promoted or rolled back.
        reason: why, in a sentence.
        decided_by: id of the decision of a loop, or empty for a person.

    Raises:
        NotFound: no rollout goes on there, or it has no such route.
        Invalid: one of several candidates was promoted, and nobody says which.
    """
    found = find_rollout(store, endpoint)
    if not route and outcome != "stopped" and len(found.begun.arms) == 1:
        route = found.begun.arms[0].route
    if outcome == "promoted" and not route:
        raise Invalid(
            f"the rollout at {endpoint!r} has several candidates",
            code="rollout.which",
            hint=f"Say which: {', '.join(arm.route for arm in found.begun.arms)}.",
        )
    if route and not found.model(route):
        raise NotFound(
            f"the rollout at {endpoint!r} has no route {route!r}",
            code="rollout.no_route",
            hint=f"Its routes: {', '.join(arm.route for arm in found.begun.arms)}.",
        )
    ended = Ended(
        endpoint=found.begun.endpoint,
        rollout=found.id,
        outcome=outcome,
        route=route,
        model=found.model(route) if route else "",
        reason=checked_reason(reason),
        decided_by=decided_by,
    )
    store.commands.decide(EndRollout(ended=ended))
    return _again(store, found.id)


def find_rollout(store: Store, ref: str) -> Rollout:
    """The rollout that goes on at an endpoint, or the one with this id (`rollout:ID` too).

    Raises:
        NotFound: there is none.
    """
    found = store.queries.ask(RolloutById(rollout=ref.removeprefix("rollout:")))
    found = found or store.queries.ask(CurrentRollout(endpoint=ref))
    if found is None:
        raise NotFound(
            f"no rollout goes on at {ref!r}",
            code="rollout.not_found",
            hint=f"Begin one: charkh endpoint rollout begin {ref} MODEL.",
        )
    return found


def plan_of(settings: RolloutSettings) -> Plan:
    """The settings as they stand in an event."""
    return Plan(
        way=settings.way,
        steps=settings.steps,
        every=parse_duration(settings.every) if settings.every else 0.0,
        least=settings.least,
        sticky=settings.sticky.lower(),
        epsilon=settings.epsilon,
        floor=settings.floor,
        measure=settings.measure,
        confidence=settings.confidence,
        margin=settings.margin,
        rollback=settings.rollback,
        promote=settings.promote,
        within=parse_duration(settings.within) if settings.within else 0.0,
    )


def first_shares(settings: RolloutSettings, routes: tuple[str, ...]) -> dict[str, float]:
    """The shares that candidates begin with: a canary's first step, equal ones for bandits."""
    if settings.way in BANDITS:
        return dict.fromkeys(routes, 1.0 / (len(routes) + 1))
    if settings.way == "shadow":
        return dict.fromkeys(routes, settings.percent / 100)
    percent = settings.steps[0] if settings.way == "canary" and settings.steps else settings.percent
    return dict.fromkeys(routes, percent / 100 / len(routes))


def _deployed(store: Store, endpoint: str) -> str:
    found = store.queries.ask(CurrentDeployment(endpoint=endpoint))
    if found is None:
        raise NotFound(
            f"nothing is deployed at {endpoint!r} that a candidate could be tried against",
            code="endpoint.not_found",
            hint=f"Deploy the champion first: charkh endpoint deploy {endpoint} MODEL.",
        )
    return found.made.model


def _again(store: Store, rollout: str) -> Rollout:
    found = store.queries.ask(RolloutById(rollout=rollout))
    if found is None:
        raise Bug(f"the rollout {rollout} that was just changed cannot be found")
    return found


def _no_share(message: str) -> Invalid:
    return Invalid(message, code="rollout.share", hint="Shares are from 0 to 1, and together at most 1.")
