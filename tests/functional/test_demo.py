"""The flights year, to the end of May: the real server, the real data, the real loop."""

from pathlib import Path

import pytest
from tests.functional.conftest import Charkh

from charkh.core.errors import Conflict
from charkh.demo.report import report
from charkh.demo.year import lay_out, live_through


def test_two_months_of_the_year(tmp_path: Path) -> None:
    said: list[str] = []
    story = live_through(tmp_path / "demo", said.append, last=5)
    assert [month.month for month in story.months] == ["2013-04", "2013-05"]
    assert [month.predicted for month in story.months] == [28_330, 28_796]
    assert story.months[0].served == story.months[0].frozen
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

    charkh = Charkh(tmp_path / "demo")
    assert {path.name for path in (tmp_path / "demo" / "left").iterdir()} == {
        "annex-iv.html",
        "mlruns",
        "model",
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
