"""The noun: what a turn of a loop is, and what its event says. Pure data, no I/O."""

from typing import Literal

import msgspec

from charkh.core.gates import Verdict

DECIDED_KIND = "loop.decided/1"
SUPERSEDED_KIND = "loop.superseded/1"
MAX_REASON = 500

Outcome = Literal["idle", "braked", "failed", "promoted", "refused", "superseded"]
"""`idle`: nothing triggered it. `braked`: something did, a brake held it. `failed`: the retraining raised.
`superseded`: the gate was passed, and somebody had moved the alias meanwhile, whose decision stands."""


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


class Superseded(msgspec.Struct, frozen=True, kw_only=True):
    """Body of `loop.superseded/1`: a decision to promote that was not carried out.

    Attributes:
        decision: its id.
        reason: why, in a sentence.
    """

    decision: str
    reason: str


class Decision(msgspec.Struct, frozen=True, kw_only=True):
    """A decision as the catalog answers it: what its event says, who let it run, and when it was written."""

    decided: Decided
    actor: str
    at: float
    stamp: str

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
