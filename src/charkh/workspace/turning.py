"""Turn a loop of the settings: its pipeline makes the candidate, its gate decides."""

from charkh.core.config import GateSettings
from charkh.core.errors import Invalid, NotFound
from charkh.core.loop_settings import LoopSettings
from charkh.core.rollout_settings import RolloutSettings
from charkh.loops.loop import Candidate, Decision, Trigger
from charkh.loops.turn import turn
from charkh.models.model import CHAMPION
from charkh.workspace.certifying import asks_for_certificate, certify_candidate
from charkh.workspace.governing import governed
from charkh.workspace.pipelines import run_named
from charkh.workspace.placing import endpoint_of
from charkh.workspace.training import Registered
from charkh.workspace.workspace import Workspace


def turn_loop(workspace: Workspace, name: str, *, moment: float | None = None, by_hand: bool = False) -> Decision:
    """Turn a loop once; see `charkh.loops.turn.turn`.

    Args:
        workspace: whose loop it is.
        name: of the loop in the settings.
        moment: seconds since the epoch at which it stands; now by default.
        by_hand: it is triggered whatever has happened.

    Raises:
        NotFound: the settings have no such loop, or it names a gate that they do not have.
    """
    settings, gate = _settings(workspace, name)

    def retrain(_trigger: Trigger) -> Candidate:
        value = run_named(workspace, settings.run).value
        if not isinstance(value, Registered) or not value.judged_on:
            raise Invalid(
                f"the pipeline {settings.run!r} did not return a registered and evaluated model",
                code="loop.no_candidate",
                hint="End it with: return charkh.register(NAME, model, report).",
            )
        if asks_for_certificate(gate):
            certify_candidate(workspace, value.version, moment=moment)
        return Candidate(model=value.version.id, judged_on=value.judged_on)

    return turn(
        workspace.store,
        name,
        settings,
        gate,
        retrain,
        moment=moment,
        by_hand=by_hand,
        governed=lambda candidate: governed(workspace, candidate, settings.gate, gate, CHAMPION),
        rollout=_rollout(workspace, settings),
    )


def _rollout(workspace: Workspace, settings: LoopSettings) -> RolloutSettings:
    """How candidates are let in at the loop's endpoint."""
    if not settings.endpoint:
        return RolloutSettings()
    return endpoint_of(workspace.settings, settings.endpoint).rollout


def _settings(workspace: Workspace, name: str) -> tuple[LoopSettings, GateSettings]:
    known = workspace.settings
    settings = known.loop.get(name)
    if settings is None:
        raise NotFound(
            f"charkh.toml has no loop {name!r}",
            code="loop.not_configured",
            hint=f"Write [loop.{name}]; known: {', '.join(sorted(known.loop)) or 'none'}.",
        )
    gate = known.gate.get(settings.gate)
    if gate is None:
        raise NotFound(
            f"loop {name!r} names the gate {settings.gate!r}, which charkh.toml does not have",
            code="loop.no_gate",
            hint=f"Write [gate.{settings.gate}] with a list require; known: {', '.join(sorted(known.gate)) or 'none'}.",
        )
    return settings, gate
