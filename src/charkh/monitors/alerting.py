"""From conditions to alerts: what goes on firing is raised once in a while, and ends when it is over. Pure."""

from collections.abc import Mapping, Sequence

import msgspec

from charkh.core.events import Draft, Edge
from charkh.core.gates import Verdict
from charkh.core.ids import new_id
from charkh.monitors.monitor import RAISED_KIND, RESOLVED_KIND, Alert, Raised, Resolved, Silence

MAX_REASON = 500


class AlertTerms(msgspec.Struct, frozen=True, kw_only=True):
    """What is said along with an alert, and how often.

    Attributes:
        severity: such as `warning` or `page`.
        owner: who looks after it.
        runbook: address of what to do.
        cooldown: seconds for which a condition that goes on being met raises nothing more; 0 to raise at each look.
    """

    severity: str = "warning"
    owner: str = ""
    runbook: str = ""
    cooldown: float = 0.0


class Looked(msgspec.Struct, frozen=True, kw_only=True):
    """One look of a monitor at its conditions.

    Attributes:
        monitor: its name.
        collection: id of what it collected.
        endpoint: that was watched, or empty.
        moment: seconds since the epoch for which it speaks.
        verdicts: on every condition.
        known: conditions whose facts are known; of the others it is not said that they are over.
    """

    monitor: str
    collection: str
    endpoint: str
    moment: float
    verdicts: tuple[Verdict, ...]
    known: frozenset[str]


def alert_drafts(
    looked: Looked, terms: Mapping[str, AlertTerms], firing: Sequence[Alert], silences: Sequence[Silence]
) -> list[Draft]:
    """The facts that a look makes.

    Args:
        looked: what was found.
        terms: by condition; where there are none, the defaults.
        firing: alerts of this monitor that are not over, the latest of each condition.
        silences: under which nobody is told; the alert is a fact all the same.
    """
    before = {alert.made.condition: alert for alert in firing}
    drafts: list[Draft] = []
    for verdict in looked.verdicts:
        condition = verdict.condition[:MAX_REASON]
        earlier = before.get(condition)
        if verdict.met:
            said = terms.get(verdict.condition, AlertTerms())
            if earlier is None or _is_due(earlier, said, looked.moment):
                drafts.append(_raised(looked, verdict, said, earlier, silences))
        elif earlier is not None and verdict.condition in looked.known and looked.moment >= earlier.made.moment:
            drafts.append(_resolved(looked, verdict, earlier))
    return drafts


def is_silenced(monitor: str, condition: str, moment: float, silences: Sequence[Silence]) -> bool:
    """Whether one of the silences holds at a moment."""
    return any(
        each.made.monitor == monitor and each.made.condition in ("", condition) and moment < each.made.until
        for each in silences
    )


def _is_due(earlier: Alert, said: AlertTerms, moment: float) -> bool:
    # A look at an earlier time, as replays of the past have it, is held back by nothing later.
    return not earlier.acknowledged and not 0 <= moment - earlier.made.moment < said.cooldown


def _raised(
    looked: Looked, verdict: Verdict, said: AlertTerms, earlier: Alert | None, silences: Sequence[Silence]
) -> Draft:
    identifier = new_id()
    subject = f"alert:{identifier}"
    body = Raised(
        alert=identifier,
        monitor=looked.monitor,
        collection=looked.collection,
        endpoint=looked.endpoint,
        moment=looked.moment,
        condition=verdict.condition[:MAX_REASON],
        reason=verdict.reason[:MAX_REASON],
        severity=said.severity,
        owner=said.owner,
        runbook=said.runbook,
        episode=identifier if earlier is None else earlier.episode,
        silenced=is_silenced(looked.monitor, verdict.condition, looked.moment, silences),
    )
    return Draft(
        kind=RAISED_KIND,
        subject=subject,
        body=body,
        edges=(Edge(subject, "raised_by", f"collection:{looked.collection}"),),
    )


def _resolved(looked: Looked, verdict: Verdict, earlier: Alert) -> Draft:
    subject = f"alert:{earlier.made.alert}"
    body = Resolved(
        alert=earlier.made.alert,
        episode=earlier.episode,
        monitor=looked.monitor,
        collection=looked.collection,
        endpoint=looked.endpoint,
        moment=looked.moment,
        condition=earlier.made.condition,
        reason=verdict.reason[:MAX_REASON],
        severity=earlier.made.severity,
        owner=earlier.made.owner,
        silenced=earlier.made.silenced,
    )
    return Draft(
        kind=RESOLVED_KIND,
        subject=subject,
        body=body,
        edges=(Edge(subject, "resolved_by", f"collection:{looked.collection}"),),
    )
