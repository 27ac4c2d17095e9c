"""Rollouts while endpoints are served: candidates are loaded, counted, judged, moved, promoted or taken out again.

Every process that serves does this by itself; what they decide is decided once, by the catalog.
"""

import dataclasses
import logging
import time
from collections.abc import Callable
from typing import NamedTuple

from charkh.core.errors import CharkhError, Denied
from charkh.core.events import Draft
from charkh.core.gates import CHAMPION
from charkh.core.rollout_settings import RolloutSettings
from charkh.endpoints.deploy import deploy
from charkh.endpoints.deployment import Deployment
from charkh.endpoints.find import find as find_deployment
from charkh.endpoints.log import PredictionLog
from charkh.endpoints.offer import Split
from charkh.endpoints.rollouts.index import CurrentRollout, RolloutById
from charkh.endpoints.rollouts.index import Rollouts as AllRollouts
from charkh.endpoints.rollouts.judge import RolloutVerdict, judge_rollout
from charkh.endpoints.rollouts.move import begin_rollout, end_rollout, find_rollout, move_rollout
from charkh.endpoints.rollouts.rollout import COUNTED_KIND, Rollout
from charkh.endpoints.rollouts.split import RolloutSplit
from charkh.endpoints.servable import Servable
from charkh.models.find import find as find_model
from charkh.models.trust import refuse_distrusted
from charkh.workspace.masking import masks_of
from charkh.workspace.promoting import move_by_hand, promote_version
from charkh.workspace.workspace import Workspace

EVERY = 5.0
"""Seconds between two looks at the counts; they are written and judged then. The first ones come sooner."""
FIRST = 1.0
"""Seconds after which a rollout is looked at first; the time to the next look doubles from there on."""
_log = logging.getLogger("charkh")

Load = Callable[[str], Servable]
"""Loads the model of a subject behind the endpoint's recipes, without a log."""


class Routed(NamedTuple):
    """What an endpoint serves now: its servables, the champion first, and what chooses between them."""

    servables: tuple[Servable, ...]
    split: Split | None = None


class _Serving(NamedTuple):
    split: RolloutSplit
    servables: tuple[Servable, ...]
    champion: Servable


class RolloutOf:
    """The rollout of one endpoint in one process that serves it.

    Args:
        workspace: whose endpoint it is.
        name: of the endpoint.
        model: reference of the model that answers there, such as `delay@champion`; empty for a graph.
        settings: what `charkh.toml` says.
        every: seconds between two looks.
    """

    def __init__(
        self, workspace: Workspace, name: str, model: str, settings: RolloutSettings, *, every: float = EVERY
    ) -> None:
        self._workspace = workspace
        self._name = name
        self._model = model
        self._settings = settings
        self._every = every
        self._looked = 0.0
        self._pause = 0.0
        self._serving: _Serving | None = None
        self._told = ""

    def __call__(self, champion: Servable, load: Load) -> Routed:
        """What the endpoint serves beside its champion now; the same objects where nothing changed.

        A candidate that cannot be served is taken out, and the champion goes on.
        """
        found = self._current(champion)
        if found is None:
            self.close()
            return Routed((champion,))
        distrusted = self._distrusted(found)
        if distrusted:
            self.close()
            self._over(found, distrusted)
            return Routed((champion,))
        serving = self._serving
        if serving is None or serving.split.rollout != found.id or serving.champion is not champion:
            self.close()
            try:
                serving = self._serving = self._begin(found, champion, load)
            except CharkhError as error:
                self._over(found, f"a candidate cannot be served: {error.message}")
                return Routed((champion,))
            self._looked, self._pause = time.monotonic(), min(FIRST, self._every)
        elif time.monotonic() - self._looked >= self._pause:
            self._looked, self._pause = time.monotonic(), min(2 * self._pause, self._every)
            self._write()
            found = self._carry_out(found)
        serving.split.follow(found)
        return Routed(serving.servables, serving.split)

    def close(self) -> None:
        """Write what was counted; nothing is split any more."""
        self._write()
        self._serving = None

    def _distrusted(self, found: Rollout) -> str:
        """Why a candidate may be asked no more; empty where all may."""
        store = self._workspace.store
        try:
            for arm in found.begun.arms:
                refuse_distrusted(store, find_model(store, arm.model))
        except CharkhError as error:
            return error.message
        return ""

    def _over(self, found: Rollout, why: str) -> None:
        end_rollout(self._workspace.store, found.id, "rolled_back", reason=why[:400])
        _log.warning("the rollout at %s is over: %s", self._name, why)

    def _current(self, champion: Servable) -> Rollout | None:
        """The rollout that goes on; one whose champion is not the champion any more is over."""
        store = self._workspace.store
        found = store.queries.ask(CurrentRollout(endpoint=self._name)) or self._begun(champion)
        if found is None or found.begun.champion == champion.subject:
            return found
        promoted = next((arm.route for arm in found.begun.arms if arm.model == champion.subject), "")
        outcome = "promoted" if promoted else "stopped"
        end_rollout(store, found.id, outcome, route=promoted, reason="another version answers now")
        return None

    def _begun(self, champion: Servable) -> Rollout | None:
        """The rollout that the settings ask for, where it has not been tried against this champion yet."""
        wanted = self._settings.candidates
        if not wanted:
            return None
        store = self._workspace.store
        models = {route: find_model(store, ref).subject for route, ref in wanted.items()}
        models = {route: model for route, model in models.items() if model != champion.subject}
        tried = store.queries.ask(AllRollouts(endpoint=self._name))
        if not models or any(
            each.begun.champion == champion.subject and {arm.route: arm.model for arm in each.begun.arms} == models
            for each in tried
        ):
            return None
        return begin_rollout(
            store, self._name, models, champion=champion.subject, settings=self._settings, reason="charkh.toml says so"
        )

    def _begin(self, found: Rollout, champion: Servable, load: Load) -> _Serving:
        # The champion has a deployment of its own here, so that each of its answers says which route it was.
        bare = {route: champion if route == CHAMPION else load(found.model(route)) for route in found.routes}
        routes = {route: self._routed(servable, champion, found, route) for route, servable in bare.items()}
        return _Serving(RolloutSplit(found, routes), tuple(routes.values()), champion)

    def _routed(self, servable: Servable, champion: Servable, found: Rollout, route: str) -> Servable:
        """The servable with a deployment and a log of its route."""
        if champion.log is None:
            return servable
        store = self._workspace.store
        made = find_deployment(store, champion.log.deployment).made
        is_champion = route == CHAMPION
        deployment = deploy(
            store,
            self._name,
            servable.subject,
            signature=servable.signature,
            recipe_subjects=made.recipes,
            capture=made.capture,
            models=made.models if is_champion else (),
            graph=made.graph if is_champion else "",
            rollout=found.id,
            route=route,
        )
        return dataclasses.replace(servable, log=log_of(self._workspace, deployment, servable.version))

    def _write(self) -> None:
        counted = None if self._serving is None else self._serving.split.counted()
        if counted is None:
            return
        try:
            self._workspace.store.record(Draft(kind=COUNTED_KIND, subject=f"rollout:{counted.rollout}", body=counted))
        except CharkhError as error:
            _log.warning("the counts of the rollout at %s were not written: %s", self._name, error.message)

    def _carry_out(self, found: Rollout) -> Rollout:
        """Do what the verdict asks for; what the policy refuses is said once, and the rollout goes on.

        The candidate of a loop is promoted by the loop, whose decision names the evidence.
        """
        store = self._workspace.store
        verdict = judge_rollout(store, found.id)
        if verdict.action == "promote" and found.begun.decided_by:
            return found
        try:
            carry_out(self._workspace, verdict, model=self._model)
        except CharkhError as error:
            if self._told != error.message:
                _log.warning("the rollout at %s: %s was refused: %s", self._name, verdict.action, error.message)
            self._told = error.message
        return store.queries.ask(RolloutById(rollout=found.id)) or found


def log_of(workspace: Workspace, deployment: Deployment, version: str) -> PredictionLog:
    """The log of a deployment, under the masks of its endpoint; `version` is the model's, as its answers say it.

    Raises:
        Unavailable: the key of the masks cannot be made or read.
    """
    made = deployment.made
    return PredictionLog(
        workspace.store.journal,
        endpoint=made.endpoint,
        deployment=deployment.id,
        model=made.model,
        version=version,
        capture=made.capture,
        masks=masks_of(workspace, made.endpoint),
        apart=True,
    )


def carry_out(
    workspace: Workspace, verdict: RolloutVerdict, *, model: str = "", decided_by: str = ""
) -> RolloutVerdict:
    """Do what a verdict asks for: move the shares, take a candidate out, promote it, or end the rollout.

    Args:
        workspace: whose rollout it is.
        verdict: of `judge_rollout`.
        model: reference of the model that answers, such as `delay@champion`; what the settings say by default.
        decided_by: id of the decision of a loop, or empty.

    Raises:
        Denied: a gate guards the alias and refuses the candidate; then the rollout goes on.
    """
    store, endpoint = workspace.store, verdict.rollout
    match verdict.action:
        case "move" | "drop":
            shares, after = verdict.shares, verdict.after
            move_rollout(store, endpoint, shares, after=after, reason=verdict.reason[:400], decided_by=decided_by)
        case "roll_back":
            end_rollout(
                store, endpoint, "rolled_back", route=verdict.route, reason=verdict.reason[:400], decided_by=decided_by
            )
        case "promote":
            promote_route(workspace, verdict.endpoint, verdict.route, reason=verdict.reason[:400], model=model)
        case "wait" | "ended":
            pass
    return verdict


def promote_route(
    workspace: Workspace, endpoint: str, route: str = "", *, reason: str = "", model: str = "", override: str = ""
) -> Rollout:
    """Let the candidate on a route answer for good: the alias that the endpoint serves moves to it.

    Args:
        workspace: whose endpoint it is.
        endpoint: its name.
        route: of the candidate; the only one by default.
        reason: why, in a sentence.
        model: reference of the model that answers; what `[endpoint.NAME] model` says by default.
        override: why the gate that guards the alias is passed by.

    Raises:
        NotFound: no rollout goes on there.
        Denied: the endpoint serves a fixed version or a graph, or a gate refuses the candidate.
    """
    store = workspace.store
    found = find_rollout(store, endpoint)
    route = route or (found.begun.arms[0].route if len(found.begun.arms) == 1 else "")
    known = workspace.settings.endpoint.get(endpoint)
    name, _, alias = (model or (known.model if known else "")).partition("@")
    if not alias or alias.isdigit():
        raise Denied(
            f"endpoint {endpoint!r} serves {name or 'a graph'}{'@' if alias else ''}{alias}, which is no alias to move",
            code="rollout.no_alias",
            hint=f'Write model = "{name or "NAME"}@champion" into [endpoint.{endpoint}].',
        )
    if found.model(route):
        _move_alias(workspace, found.model(route), alias, reason or "its rollout was won", override)
    return end_rollout(store, found.id, "promoted", route=route, reason=reason)


def _move_alias(workspace: Workspace, subject: str, alias: str, reason: str, override: str) -> None:
    guarded = workspace.settings.registry.alias.get(alias)
    if guarded is None or override:
        move_by_hand(workspace, subject, alias, reason=reason, override=override)
        return
    decision = promote_version(workspace, subject, alias=alias, reason=reason)
    if decision.decided.outcome != "promoted":
        raise Denied(
            f"the gate {guarded.gate!r} refused {subject}: {decision.decided.reason}",
            code="rollout.gate_refused",
            hint="`charkh model decisions` shows what it asks for.",
        )
