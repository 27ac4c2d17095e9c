"""What the report says of serving and watching is what the records say, and no more."""

import msgspec

from charkh.demo.page import table
from charkh.demo.story import Expected, LogLine, MonthLine, Score, TestLine, ToldLine, TrialLine
from charkh.demo.watched import before_and_after, certificate, told, trials

HOSTILE = "<img src=x onerror=alert(1)>"
SCORE = Score(auc=0.7, low=0.65, high=0.75)
MONTH = MonthLine(
    month="2013-05",
    predicted=1000,
    scored=900,
    models=("delay@1", "delay@2"),
    served=SCORE,
    frozen=SCORE,
    unguarded=SCORE,
    unguarded_model="delay@2",
    psi=0.41,
    psi_feature="temp",
    drifted=3,
    features=18,
    expected=Expected(auc=0.68, low=0.66, high=0.7, shown=0.69),
    alerts=("psi is 0.41, beyond 0.2",),
)
TRIAL = TrialLine(
    model="delay@2",
    begun="2013-06",
    ways="shadow, canary",
    champion=36,
    candidate=24,
    outcome="promoted",
    reason="candidate is no worse",
)


def test_an_estimate_is_told_beside_what_came_true_whichever_way_it_fell() -> None:
    assert '0.680 [0.660, 0.700]</td><td class="number">0.690</td><td>yes</td>' in before_and_after([MONTH], None)
    missed = msgspec.structs.replace(MONTH, expected=Expected(auc=0.68, low=0.66, high=0.7, shown=0.62))
    assert '<td class="number">0.620</td><td>no</td>' in before_and_after([missed], None)
    unknown = before_and_after([msgspec.structs.replace(MONTH, expected=None)], None)
    assert "not estimated" in unknown
    assert "<td>yes</td>" not in unknown


def test_drift_and_alerts_of_a_month_are_told() -> None:
    page = before_and_after([MONTH, msgspec.structs.replace(MONTH, alerts=())], None)
    assert '0.41 (temp)</td><td class="number">3 of 18</td>' in page
    assert "<td>psi is 0.41, beyond 0.2</td>" in page
    assert "<td>none</td>" in page


def test_how_late_the_truth_came_is_told_in_days() -> None:
    line = LogLine(masked={"dest": "drop"}, shadows=1200, lags={"p50": 4e6, "p90": 5e6}, complete=0.972)
    page = before_and_after([MONTH], line)
    assert "without <code>dest</code> (drop); 1,200 of its rows" in page
    assert "within 46 days of the departure, nine tenths within 58 days" in page
    assert "97.2% of the answers" in page


def test_a_trial_is_told_with_its_reason_and_its_page() -> None:
    back = msgspec.structs.replace(TRIAL, outcome="rolled_back", reason="error_ratio is 1")
    page = trials([TRIAL, back], "# Loop delay: promoted")
    assert '<td class="number">36</td><td class="number">24</td><td>promoted</td>' in page
    assert "<td>rolled_back</td><td>error_ratio is 1</td>" in page
    assert "<pre># Loop delay: promoted</pre>" in page


def test_a_certificate_says_what_was_measured_and_what_would_have_been_too_much() -> None:
    assert certificate([]) == ""
    line = TestLine(test="noise", outcome="failed", measure="share of labels", value=0.12, bound=0.05)
    skipped = TestLine(test="unseen", outcome="skipped", measure="", value=None, bound=None)
    page = certificate([line, skipped])
    assert '<td>failed</td><td>share of labels</td><td class="number">0.12</td><td class="number">0.05</td>' in page
    assert '<td>skipped</td><td></td><td class="number"></td><td class="number"></td>' in page


def test_letters_with_a_wrong_signature_are_not_counted_as_right() -> None:
    line = ToldLine(alerts=4, owner="flights desk", runbook="runbooks/delay.md", letters=4, signed=3)
    assert "4 letters came, and the signature of 3 was right" in told(line)
    assert told(msgspec.structs.replace(line, alerts=0)) == ""
    assert told(None) == ""


def test_hostile_text_is_shown_and_not_run() -> None:
    trial = msgspec.structs.replace(TRIAL, reason=HOSTILE)
    month = msgspec.structs.replace(MONTH, alerts=(HOSTILE,))
    log = LogLine(masked={HOSTILE: HOSTILE}, shadows=0, lags={"p50": 1.0, "p90": 1.0}, complete=1.0)
    line = ToldLine(alerts=1, owner=HOSTILE, runbook=HOSTILE, letters=1, signed=1)
    pages = (trials([trial], HOSTILE), before_and_after([month], log), told(line), table((HOSTILE,), [(HOSTILE,)]))
    assert [page.count(HOSTILE) for page in pages] == [0, 0, 0, 0]
    assert [page.count("&lt;img") for page in pages] == [2, 3, 2, 2]
