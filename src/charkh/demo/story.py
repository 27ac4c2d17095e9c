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


class CompiledLine(msgspec.Struct, frozen=True, kw_only=True):
    """A version in compiled form, as it was recorded when it was registered.

    Attributes:
        model: such as `delay@3`.
        rows: in which both forms were compared.
        worst: the greatest distance of a number.
        speedup: how many times as fast it answers one row.
        reason: why the original is served instead; empty where the compiled form is.
    """

    model: str
    rows: int
    worst: float
    speedup: float
    reason: str = ""


class TrialLine(msgspec.Struct, frozen=True, kw_only=True):
    """A candidate on live requests.

    Attributes:
        model: such as `delay@3`.
        begun: the month in which it was tried, or empty.
        ways: such as `shadow, canary`.
        champion: requests that the champion answered meanwhile.
        candidate: requests that it was asked, as a shadow too.
        outcome: `promoted`, `rolled_back`, or empty where it goes on.
        reason: why, in a sentence.
    """

    model: str
    begun: str
    ways: str
    champion: int
    candidate: int
    outcome: str
    reason: str


class TestLine(msgspec.Struct, frozen=True, kw_only=True):
    """One test of a certificate of stability: what was measured, and what would have been too much."""

    __test__ = False  # pytest takes it for a class of tests

    test: str
    outcome: str
    measure: str
    value: float | None
    bound: float | None


class LogLine(msgspec.Struct, frozen=True, kw_only=True):
    """What the prediction log came to.

    Attributes:
        masked: by column, what is logged of it.
        shadows: predictions of shadows in it, which nobody was answered with.
        lags: seconds from the scheduled departure to its truth, by `p10`, `p50` and `p90`.
        complete: share of the predictions of settled days whose truth has come.
    """

    masked: dict[str, str]
    shadows: int
    lags: dict[str, float]
    complete: float


class ToldLine(msgspec.Struct, frozen=True, kw_only=True):
    """Who was told of alerts.

    Attributes:
        alerts: that were raised.
        owner: who looks after them.
        runbook: what to do.
        letters: that reached the desk's webhook.
        signed: of them, those whose signature the desk found right.
    """

    alerts: int
    owner: str
    runbook: str
    letters: int
    signed: int


class Expected(msgspec.Struct, frozen=True, kw_only=True):
    """The AUC that was expected before the truth was known, and what the truth then showed of the same answers."""

    auc: float
    low: float
    high: float
    shown: float

    @property
    def held(self) -> bool:
        """Whether the interval held what the truth showed."""
        return self.low <= self.shown <= self.high


class MonthLine(msgspec.Struct, frozen=True, kw_only=True):
    """One month of predictions, scored when its truth had arrived.

    Attributes:
        month: such as `2013-04`.
        predicted: flights predicted over HTTP.
        scored: of them, those that have a truth.
        models: the versions that answered, in the order in which they came, such as `delay@1`.
        served: its score.
        frozen: what the first champion would have scored.
        unguarded: what the newest candidate would have scored, promoted without a gate.
        unguarded_model: that candidate.
        psi: greatest population stability index of a feature against the training data, beyond chance.
        psi_feature: that feature.
        drifted: features that drifted, by thresholds that know how many days there were.
        features: that were looked at.
        expected: AUC that was expected before the truth; None where nothing could be said.
        alerts: what the monitor raised.
    """

    month: str
    predicted: int
    scored: int
    models: tuple[str, ...]
    served: Score
    frozen: Score
    unguarded: Score
    unguarded_model: str
    psi: float
    psi_feature: str
    drifted: int = 0
    features: int = 0
    expected: Expected | None = None
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
        compiled: of every version, its compiled form.
        trials: candidates on live requests.
        certificate: of the champion, test by test.
        log: what the prediction log came to.
        told: who was told of alerts.
        meters: what `/metrics` said at the end of the year.
        conformance: what a client of the Open Inference Protocol found, in a sentence.
        page: the page about the newest promotion, as `charkh loop page` prints it.
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
    compiled: tuple[CompiledLine, ...] = ()
    trials: tuple[TrialLine, ...] = ()
    certificate: tuple[TestLine, ...] = ()
    log: LogLine | None = None
    told: ToldLine | None = None
    meters: tuple[str, ...] = ()
    conformance: str = ""
    page: str = ""
    seconds: dict[str, float]
