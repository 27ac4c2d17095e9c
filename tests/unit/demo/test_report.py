"""The page of the flights year says what the records say, whichever way they fell."""

import itertools
import re
from pathlib import Path
from xml.etree import ElementTree

import msgspec
import pytest

from charkh.core.gates import Verdict
from charkh.demo.__main__ import following
from charkh.demo.asking import quoted
from charkh.demo.chart import auc_chart
from charkh.demo.report import report
from charkh.demo.story import (
    AnswerLine,
    AskedLine,
    BatchLine,
    ColleagueLine,
    DecisionLine,
    MonthLine,
    QuarantineLine,
    Score,
    SeedLine,
    Story,
    VersionLine,
)


def score(auc: float) -> Score:
    return Score(auc=auc, low=auc - 0.03, high=auc + 0.03)


def month(name: str, served: float, frozen: float, unguarded: float) -> MonthLine:
    return MonthLine(
        month=name,
        predicted=1000,
        scored=900,
        models=("delay@1",),
        served=score(served),
        frozen=score(frozen),
        unguarded=score(unguarded),
        unguarded_model="delay@2",
        psi=0.4,
        psi_feature="temp",
    )


def decision(name: str, outcome: str) -> DecisionLine:
    verdict = Verdict(condition="auc > champion @95%", met=outcome == "promoted", reason="auc is 0.7, needs > 0.71")
    return DecisionLine(
        month=name,
        outcome=outcome,
        reason="not met",
        trigger="monitor delay: psi is 0.4",
        candidate="delay@2",
        champion="delay@1",
        looks=1,
        verdicts=(verdict,),
    )


STORY = Story(
    versions=(VersionLine(ref="flights@1", rows=10, size=4_000_000, stored=1_000_000),),
    quarantine=(QuarantineLine(reason="no arrival delay", rows=3),),
    quarantined_of=100,
    months=(month("2013-04", 0.65, 0.65, 0.65), month("2013-05", 0.70, 0.66, 0.62)),
    decisions=(decision("2013-04", "promoted"), decision("2013-05", "refused")),
    first=score(0.7),
    slices=(("origin=EWR", 100, score(0.71)),),
    traced="abc",
    trace="delay@2",
    batches=(BatchLine(batch="flights@2", column="hour", what="mean", before="13", after="9", effect=1.25),),
    colleague=ColleagueLine(facts=40, size=2_000_000, again=0, same_trace=True),
    card="# delay",
    seconds={"training": 1.0},
)


def test_every_version_has_its_params_its_score_and_when_it_served() -> None:
    answer = AnswerLine(
        model="delay@2",
        run="run:01a2",
        params=(("rate", "0.06"), ("leaves", "49")),
        searched=0.7,
        held_out=score(0.71),
        outcome="promoted",
        served="2013-05 to 2013-06",
    )
    never = msgspec.structs.replace(answer, model="delay@3", served="", outcome="refused")
    page = report(msgspec.structs.replace(STORY, answers=(answer, never)))
    assert "<td>delay@2</td><td>rate 0.06, leaves 49</td>" in page
    assert "<td>promoted</td><td>2013-05 to 2013-06</td>" in page
    assert "<td>refused</td><td>never</td>" in page


def test_seeds_are_told_with_their_deviation_and_questions_with_their_answers() -> None:
    assert "Better params" not in report(STORY)
    seeds = SeedLine(of="champion", runs=6, mean=0.65, deviation=0.0012, low=0.648, high=0.652)
    asked = AskedLine(why="Who?", command="charkh model history delay", said="<ann>", answered=False)
    page = report(msgspec.structs.replace(STORY, seeds=(seeds,), seeds_verdict="neither", asked=(asked,)))
    assert "0.6500 \u00b1 0.0012" in page
    assert "<p>neither</p>" in page
    assert "&lt;ann&gt;" in page
    assert "could not be answered here" in page


def test_commands_are_shown_as_one_types_them() -> None:
    assert quoted("project = 'flights/seeds'") == "\"project = 'flights/seeds'\""
    assert quoted("delay@champion") == "delay@champion"
    assert quoted("it's $HOME") == "'it'\"'\"'s $HOME'"


def test_what_to_try_next_names_the_folder(tmp_path: Path) -> None:
    lines = following(tmp_path, "pred-1")
    assert any(line.startswith(f"  charkh -C {tmp_path} up") for line in lines)
    assert f"  charkh -C {tmp_path} trace pred-1" in lines


def test_the_page_stands_alone() -> None:
    page = report(STORY)
    assert re.findall(r"(?:src|href)=", page) == []
    assert "<script" not in page
    assert "http" not in page


@pytest.mark.parametrize(("served", "said"), [(0.70, "gained 0.050"), (0.60, "lost 0.050"), (0.65, "neither gained")])
def test_the_verdict_follows_the_numbers(served: float, said: str) -> None:
    story = msgspec.structs.replace(STORY, months=(month("2013-04", served, 0.65, 0.65),))
    assert said in report(story)


def test_what_a_month_changed_and_what_a_colleague_got_is_told() -> None:
    page = report(STORY)
    assert '<td>flights@2</td><td>hour</td><td>mean</td><td class="number">13</td>' in page
    assert "40 facts and 2.00 MB were taken, a second sync moved nothing" in page
    moved = msgspec.structs.replace(STORY.colleague, again=3, same_trace=False)
    page = report(msgspec.structs.replace(STORY, colleague=moved))
    assert "a second sync moved 3, and the prediction's trace reads otherwise there" in page


def test_hostile_text_is_shown_and_not_run() -> None:
    hostile = "<img src=x onerror=alert(1)>"
    line = msgspec.structs.replace(decision("2013-05", "refused"), reason=hostile, trigger=hostile)
    batch = msgspec.structs.replace(STORY.batches[0], column=hostile)
    story = msgspec.structs.replace(STORY, trace=hostile, card=hostile, decisions=(line,), batches=(batch,))
    page = report(story)
    assert hostile not in page
    assert page.count("&lt;img") == 5


def test_the_chart_is_one_picture_with_a_mark_a_decision() -> None:
    picture = ElementTree.fromstring(auc_chart(STORY.months, STORY.decisions))
    kinds = [str(element.get("class", "")) for element in picture.iter()]
    assert kinds.count("mark promoted") == 1
    assert kinds.count("mark refused") == 1
    assert sum(kind.startswith("line ") for kind in kinds) == 3


def test_labels_of_the_chart_do_not_lie_on_one_another() -> None:
    picture = ElementTree.fromstring(auc_chart((month("2013-04", 0.65, 0.65, 0.65),), ()))
    heights = sorted(float(element.get("y", "0")) for element in picture.iter() if "label" in element.get("class", ""))
    assert all(later - earlier >= 14 for earlier, later in itertools.pairwise(heights))
