"""The noun: what a turn of a loop is, and what its event says. Pure data, no I/O."""

from typing import Literal

import msgspec

from charkh.core.gates import Verdict

DECIDED_KIND = "loop.decided/1"
SUPERSEDED_KIND = "loop.superseded/1"
CONCLUDED_KIND = "loop.concluded/1"
PAUSED_KIND = "loop.paused/1"
RESUMED_KIND = "loop.resumed/1"
NOTIFIED_KIND = "loop.notified/1"
MAX_REASON = 500

Outcome = Literal["idle", "braked", "failed", "waiting", "trying", "promoted", "refused", "superseded"]
"""`idle`: nothing triggered it. `braked`: something did, a brake held it. `failed`: the retraining raised.
`waiting`: nothing is missing but people's approval. `trying`: the gate was passed, and the candidate is tried at an
endpoint. Both come to `promoted` or `refused` (`Concluded`).
`superseded`: the gate was passed, and somebody had moved the alias meanwhile, whose decision stands."""
OPEN: frozenset[Outcome] = frozenset({"waiting", "trying"})
"""Outcomes that are not the last word."""


class Decided(msgspec.Struct, frozen=True, kw_only=True):
    """Body of `loop.decided/1`.

    Attributes:
        loop: name of the loop; empty for a promotion that a person asked for.
        decision: id of the decision, which is the subject's id.
        outcome: what it came to.
        trigger: subject of what triggered it, such as `alert:…` or `dataset:…`; empty when it was asked for by hand.
        trigger_reason: why that triggered it.
        reason: why, in a sentence.
        moment: seconds since the epoch at which the loop stood, which a replay of the past sets itself.
        model: name of the model.
        candidate: id of the candidate, or empty.
        champion: id of the champion that it was compared with, or empty where there was none.
        judged_on: subject of the dataset version whose known truth decided, or empty.
        looks: how many candidates have been judged on that truth, this one included.
        verdicts: what each condition of the gate came to.
        alias: that the candidate was to hold.
        gate: name of the gate; empty where the loop's settings said it.
        seconds: that the retraining took.
        endpoint: where the candidate is tried, or empty.
    """

    loop: str
    decision: str
    outcome: str
    reason: str
    moment: float
    trigger: str = ""
    trigger_reason: str = ""
    model: str = ""
    candidate: str = ""
    champion: str = ""
    judged_on: str = ""
    looks: int = 0
    verdicts: tuple[Verdict, ...] = ()
    alias: str = "champion"
    gate: str = ""
    seconds: float = 0.0
    endpoint: str = ""


class Superseded(msgspec.Struct, frozen=True, kw_only=True):
    """Body of `loop.superseded/1`: a decision to promote that was not carried out.

    Attributes:
        decision: its id.
        reason: why, in a sentence.
    """

    decision: str
    reason: str


class Concluded(msgspec.Struct, frozen=True, kw_only=True):
    """Body of `loop.concluded/1`: what a decision that was `waiting` or `trying` came to.

    Attributes:
        decision: its id.
        outcome: `trying` after an approval, `promoted` or `refused`.
        reason: why, in a sentence.
        moment: seconds since the epoch at which the loop stood.
        rollouts: ids of the rollouts in which the candidate was tried.
        verdicts: where the gate was asked again, what each condition came to.
    """

    decision: str
    outcome: str
    reason: str
    moment: float
    rollouts: tuple[str, ...] = ()
    verdicts: tuple[Verdict, ...] = ()


class Paused(msgspec.Struct, frozen=True, kw_only=True):
    """Body of `loop.paused/1`: a person stopped a loop; it does nothing at all until somebody resumes it.

    Attributes:
        loop: its name.
        reason: why, without credentials.
        replaces: ids of the events that this one saw.
    """

    loop: str
    reason: str
    replaces: tuple[str, ...] = ()


class Resumed(msgspec.Struct, frozen=True, kw_only=True):
    """Body of `loop.resumed/1`: a person let a loop go on."""

    loop: str
    reason: str = ""
    replaces: tuple[str, ...] = ()


class Notified(msgspec.Struct, frozen=True, kw_only=True):
    """Body of `loop.notified/1`: somebody's alert manager said that an alert fires, or that it is over.

    Attributes:
        notification: id: a digest of the alert and of when it began, so that the same one counts once.
        name: of the alert.
        status: `firing` or `resolved`.
        labels: at most 30 of them, cut short.
        summary: for people, without credentials.
        began: as the sender wrote it.
    """

    notification: str
    name: str
    status: str
    labels: dict[str, str] = {}
    summary: str = ""
    began: str = ""


class Pause(msgspec.Struct, frozen=True, kw_only=True):
    """That a loop is stopped, by whom, since when (seconds since the epoch), and why."""

    loop: str
    actor: str
    at: float
    reason: str


class Notification(msgspec.Struct, frozen=True, kw_only=True):
    """A notification as the catalog answers it."""

    made: Notified
    at: float
    stamp: str

    @property
    def subject(self) -> str:
        """`notification:ID`, as it stands in edges."""
        return f"notification:{self.made.notification}"


class Decision(msgspec.Struct, frozen=True, kw_only=True):
    """A decision as the catalog answers it.

    Attributes:
        decided: what its event says, with what it came to since.
        actor: who let the loop run.
        at: seconds since the epoch when it was written.
        stamp: the total order of concurrent decisions.
        first: what it was when it was written; the same as `decided.outcome` where nothing followed.
        steps: what followed, in order.
    """

    decided: Decided
    actor: str
    at: float
    stamp: str
    first: Outcome | None = None
    steps: tuple[Concluded, ...] = ()

    @property
    def id(self) -> str:
        return self.decided.decision

    @property
    def subject(self) -> str:
        """`loop:id`, as it stands in edges."""
        return f"loop:{self.decided.decision}"


class Trigger(msgspec.Struct, frozen=True, kw_only=True):
    """What set a loop going: a subject (or nothing, by hand) and why."""

    subject: str = ""
    reason: str = "asked for by hand"


class Candidate(msgspec.Struct, frozen=True, kw_only=True):
    """What a retraining brought.

    Attributes:
        model: reference or id of the registered version.
        judged_on: subject of the dataset version that it, and the champion, were evaluated on: the newest
            known truth, unseen by both.
    """

    model: str
    judged_on: str
