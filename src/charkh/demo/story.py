"""What the flights year has to tell, as plain records: the report draws them, the tests check them."""

import msgspec

from charkh.core.gates import Verdict


class Score(msgspec.Struct, frozen=True, kw_only=True):
    """An AUC with its 95 % interval from a bootstrap over days."""

    auc: float
    low: float
    high: float


class VersionLine(msgspec.Struct, frozen=True, kw_only=True):
    """One dataset version: its size, and what it added to the store."""

    ref: str
    rows: int
    size: int
    stored: int


class QuarantineLine(msgspec.Struct, frozen=True, kw_only=True):
    """One reason why rows were set aside, and how many."""

    reason: str
    rows: int


class BatchLine(msgspec.Struct, frozen=True, kw_only=True):
    """What one month changed in the data, against all months before it."""

    batch: str
    column: str
    what: str
    before: str
    after: str
    effect: float


class ColleagueLine(msgspec.Struct, frozen=True, kw_only=True):
    """What a colleague got through the shared folder.

    Attributes:
        facts: that were taken.
        size: bytes of the packs that were taken.
        again: facts and packs that a second sync moved.
        same_trace: the prediction's trace reads there as it does here.
    """

    facts: int
    size: int
    again: int
    same_trace: bool


class AnswerLine(msgspec.Struct, frozen=True, kw_only=True):
    """One version: which params gave which score, and when it served.

    Attributes:
        model: such as `delay@3`.
        run: the run that trained it, `run:id`.
        params: what was chosen.
        searched: AUC on the last fortnight of its training months, by which the search chose.
        held_out: AUC on the month that it had not seen.
        outcome: of the decision about it.
        served: first and last month in which it served, such as `2013-06 to 2013-08`, or empty.
    """

    model: str
    run: str
    params: tuple[tuple[str, str], ...]
    searched: float
    held_out: Score
    outcome: str
    served: str


class SeedLine(msgspec.Struct, frozen=True, kw_only=True):
    """One choice of params over several seeds: the best AUC of each curve, with the 95 % interval of the mean."""

    of: str
    runs: int
    mean: float
    deviation: float
    low: float
    high: float


class AskedLine(msgspec.Struct, frozen=True, kw_only=True):
    """A command, why a user would give it, and the first lines of what it said; `answered` where it succeeded."""

    why: str
    command: str
    said: str
    answered: bool = True


class DecisionLine(msgspec.Struct, frozen=True, kw_only=True):
    """One turn of the loop, as it was written down."""

    month: str
    outcome: str
    reason: str
    trigger: str
    candidate: str = ""
    champion: str = ""
    looks: int = 0
    verdicts: tuple[Verdict, ...] = ()


class MonthLine(msgspec.Struct, frozen=True, kw_only=True):
    """One month of predictions, scored when its truth had arrived.

    Attributes:
        month: such as `2013-04`.
        predicted: flights predicted over HTTP.
        scored: of them, those that have a truth.
        model: the version that served, such as `delay@1`.
        served: its score.
        frozen: what the first champion would have scored.
        unguarded: what the newest candidate would have scored, promoted without a gate.
        unguarded_model: that candidate.
        psi: greatest population stability index of a feature against the training data.
        psi_feature: that feature.
        alerts: what the monitor raised.
    """

    month: str
    predicted: int
    scored: int
    model: str
    served: Score
    frozen: Score
    unguarded: Score
    unguarded_model: str
    psi: float
    psi_feature: str
    alerts: tuple[str, ...] = ()


class Story(msgspec.Struct, frozen=True, kw_only=True):
    """The whole year.

    Attributes:
        versions: of the datasets, in the order of their making.
        quarantine: rows set aside in the newest cleaning, by reason.
        quarantined_of: how many rows that cleaning looked at.
        months: April to December.
        decisions: of the loop, in order; idle turns are not written down.
        first: the first champion's evaluation, held-out March.
        slices: the newest judged candidate's AUC by slice.
        traced: id of the traced prediction.
        trace: its trace, as `charkh trace` prints it.
        batches: the greatest changes that a month brought to the recorded flights.
        colleague: what the shared folder gave to somebody else.
        card: the champion's card, as Markdown.
        answers: of every version, which params gave which score, and when it served.
        seeds: two choices of params over several seeds.
        seeds_verdict: what may be said about their difference.
        asked: what a user asks and takes away when the year is over.
        seconds: how long each part of the demo took.
    """

    versions: tuple[VersionLine, ...]
    quarantine: tuple[QuarantineLine, ...]
    quarantined_of: int
    months: tuple[MonthLine, ...]
    decisions: tuple[DecisionLine, ...]
    first: Score
    slices: tuple[tuple[str, int, Score], ...]
    traced: str
    trace: str
    batches: tuple[BatchLine, ...]
    colleague: ColleagueLine
    card: str
    answers: tuple[AnswerLine, ...] = ()
    seeds: tuple[SeedLine, ...] = ()
    seeds_verdict: str = ""
    asked: tuple[AskedLine, ...] = ()
    seconds: dict[str, float]
