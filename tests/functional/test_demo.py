"""The flights year, to the end of June: the real server, the real data, the real loop."""

from pathlib import Path

import pytest
from tests.functional.conftest import Charkh

from charkh.core.errors import Conflict
from charkh.demo.laying import lay_out
from charkh.demo.report import report
from charkh.demo.year import live_through


@pytest.mark.first
def test_three_months_of_the_year(tmp_path: Path) -> None:
    said: list[str] = []
    story = live_through(tmp_path / "demo", said.append, last=6)
    assert [month.month for month in story.months] == ["2013-04", "2013-05", "2013-06"]
    assert [month.predicted for month in story.months] == [28_330, 28_796, 28_243]
    # The same version, but its compiled form answered, and the original says what the first model would have scored.
    assert story.months[0].served.auc == pytest.approx(story.months[0].frozen.auc, abs=1e-6)
    assert all(0.55 < month.served.low < month.served.auc < month.served.high < 0.85 for month in story.months)
    first, second, *_ = story.decisions
    assert (first.month, first.outcome, first.candidate) == ("2013-03", "promoted", "delay@1")
    assert (second.month, second.outcome) == ("2013-04", "braked")
    assert "champion" in second.reason
    (set_aside, *_) = story.quarantine
    assert set_aside.reason == "no arrival delay: cancelled or diverted"
    assert "flights-2013-01.csv: rows 1 to 27,004" in story.trace
    assert "commit" in story.trace
    appended = next(line for line in story.versions if line.ref == "flights@2")
    assert appended.stored < appended.size / 5
    assert story.colleague.facts > 50
    assert story.colleague.size > 1_000_000
    assert story.colleague.again == 0
    assert story.colleague.same_trace
    assert {line.batch for line in story.batches} <= {f"flights@{number}" for number in range(1, 10)}
    assert "<svg" in report(story)

    first_answer = story.answers[0]
    assert (first_answer.model, first_answer.outcome) == ("delay@1", "promoted")
    assert first_answer.served.startswith("2013-04")
    assert dict(first_answer.params).keys() == {"rate", "leaves"}
    assert first_answer.held_out == story.first
    assert {(line.of, line.runs) for line in story.seeds} == {("first guess", 6), ("champion", 6)}
    assert all(0.55 < line.low < line.mean < line.high < 0.85 for line in story.seeds)
    assert "seeds" in story.seeds_verdict
    assert [line.command for line in story.asked if not line.answered] == []
    assert "leaves=" in story.asked[0].said
    assert "was signed with the key" in "".join(line.said for line in story.asked)

    # What passed the gate was tried on live requests before it answered all of them; what cannot answer was not.
    tried, leaking = story.trials
    assert (tried.model, tried.begun, tried.ways) == ("delay@2", "2013-06", "shadow, canary")
    assert (tried.champion, tried.candidate, tried.outcome) == (27, 27, "promoted")
    assert (leaking.ways, leaking.candidate, leaking.outcome) == ("shadow", 0, "rolled_back")
    assert "dep_delay" in leaking.reason
    assert [month.models for month in story.months] == [("delay@1",), ("delay@1",), ("delay@1", "delay@2")]
    assert "# Loop delay: promoted" in story.page
    assert "Tried at delay: canary" in story.page
    assert [(line.model, line.reason) for line in story.compiled] == [(line.model, "") for line in story.answers]
    assert all(line.worst < 1e-5 < line.rows for line in story.compiled)
    assert [line.outcome for line in story.certificate] == ["passed"] * 6
    assert all(
        "stability.ok" in {each.condition for each in line.verdicts} for line in story.decisions if line.candidate
    )

    # What was said before the truth came stands beside what it showed; who looks after alerts was told of each.
    for month in story.months:
        assert month.expected is not None
        assert 0.5 < month.expected.auc < 0.9
        assert 0.5 < month.expected.shown < 0.9
    assert story.months[0].expected is not None
    assert round(story.months[0].expected.shown, 9) == round(story.months[0].served.auc, 9)
    assert story.log is not None
    assert story.log.masked == {"sched_arr_time": "drop"}
    assert 3_000 < story.log.shadows < 5_000
    assert 30 < story.log.lags["p50"] / 86_400 < 60
    assert 0.9 < story.log.complete < 1
    assert story.told is not None
    assert story.told.alerts == sum(len(month.alerts) for month in story.months) == story.told.letters
    assert story.told.signed == story.told.letters > 2
    assert (story.told.owner, story.told.runbook) == ("flights desk", "runbooks/delay.md")
    assert "charkh_inference_rows_total 85,369 (rows predicted)" in story.meters
    assert " 0 fail" in story.conformance

    charkh = Charkh(tmp_path / "demo")
    answered = charkh.json("endpoint", "predictions", "delay", "--limit", "5")
    assert all("dest" in each and "sched_arr_time" not in each for each in answered)
    assert {path.name for path in (tmp_path / "demo" / "left").iterdir()} == {
        "annex-iv.html",
        "decision.html",
        "mlruns",
        "model",
        "request.json",
        "tensorboard",
    }
    (best,) = charkh.json("run", "search", "project = 'flights/seeds'", "--order", "max(metrics.auc) desc", "-n", "1")
    assert "rounds" in charkh("run", "console", best["started"]["run"])
    assert charkh.json("audit", "verify")["problems"] == []
    assert {each["name"] for each in charkh.json("model", "list")} == {"delay"}


def test_a_folder_with_other_things_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "thesis.txt").write_text("years of work")
    with pytest.raises(Conflict, match="not the demo's"):
        lay_out(tmp_path)
    assert (tmp_path / "thesis.txt").read_text() == "years of work"
