"""Technical documentation in the order of Annex IV: filled from the record, completed by people, counted."""

from hypothesis import given
from hypothesis import strategies as st

from charkh.cards.annex import NOTHING, POINTS, covered, outline
from charkh.cards.card import PLACEHOLDER
from charkh.cards.dossier import Dossier, annex_document
from charkh.cards.known import Known, Scores, SliceFacts
from charkh.cards.wording import Wording
from charkh.lineage.trace import Node, Trace

MODEL = "model:01a213f5b3b1717eba63ff8eedc21a8d"
EVALUATION = "evaluation:01a213f5b4247bffb0a65a57beee5887"
TOP = Node(subject=MODEL, title="delay@3")
KNOWN = Known(
    subject=MODEL,
    title="delay@3",
    lines=(("runtime", "sklearn"), ("safety", "listed")),
    trace=Trace(subject=MODEL, toward="origin", nodes=(TOP, Node(subject="dataset:2", depth=1, title="flights@2"))),
    scores=(
        Scores(
            stated_by=Node(subject=EVALUATION, title="evaluation"),
            on=Node(subject="dataset:9", title="flights@9"),
            facts={"auc": 0.7, "auc.low": 0.6, "auc.high": 0.8},
            slices=(SliceFacts(column="origin", value="JFK", facts={"auc": 0.65, "rows": 400}),),
        ),
    ),
    checks=(),
)
DOSSIER = Dossier(
    known=KNOWN,
    wording=Wording(signature=(("input", "hour", "FP64[-1]"),)),
    texts={"intended use": "Plan gates.", "limits and risks": f"{PLACEHOLDER} where it fails."},
    versions=(("delay@3", "2026-11-25", "champion"),),
    changes=(("2026-11-25", "alias champion: delay@3", "ann", "better"),),
)


def test_the_annex_has_its_twenty_three_points() -> None:
    assert [point.number for point in POINTS] == [
        *(f"1({letter})" for letter in "abcdefgh"),
        *(f"2({letter})" for letter in "abcdefgh"),
        *"3456789",
    ]


def test_points_are_told_from_the_record() -> None:
    text = annex_document(DOSSIER)
    assert "# Technical documentation of delay@3" in text
    assert "> Plan gates." in text
    assert "#### On flights@9, 2026-11-25" in text
    assert "| auc | 0.7 | 0.6 to 0.8 |" in text
    assert "| origin | JFK | 400 | 0.65 |" in text
    assert "`charkh card make flights@2` begins one" in text
    assert "alias champion: delay@3" in text
    assert "where it fails" not in text
    told = {cover.number for cover in covered(text) if cover.recorded}
    assert told == {"1(a)", "1(d)", "1(h)", "2(c)", "2(d)", "2(g)", "2(h)", "3", "4", "6"}


def test_it_never_says_that_the_regulation_is_met() -> None:
    text = annex_document(DOSSIER).casefold()
    assert "says neither that the regulation applies" in text
    assert "compliant" not in text
    assert "complies" not in text


def test_what_people_wrote_stays_and_is_counted() -> None:
    first = annex_document(DOSSIER)
    assert "**1 of 23 points have nothing left to write" in first
    oversight = next(line for line in first.splitlines() if "the assessment of it" in line)
    edited = first.replace(oversight, "A dispatcher reads every list.")
    again = annex_document(DOSSIER, edited)
    assert "A dispatcher reads every list." in again
    assert "**2 of 23 points have nothing left to write" in again
    assert annex_document(DOSSIER, again) == again
    assert "| 2(e) | Human oversight that is needed | no | written |" in again


def test_a_point_without_anything_is_open() -> None:
    covers = {cover.number: cover for cover in covered("")}
    assert all(cover.open for cover in covers.values())
    assert covers["6"].state == "nothing recorded yet"


@given(st.text())
def test_any_text_is_taken_and_kept(text: str) -> None:
    document = annex_document(DOSSIER, text)
    assert len(covered(document)) == len(POINTS)
    if text.strip() and "<!--" not in text and not text.startswith("---"):
        assert text.splitlines()[0] in document


def test_an_outline_without_facts_says_so_at_every_point() -> None:
    assert outline({}).count(NOTHING) == len(POINTS)
