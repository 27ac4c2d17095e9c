"""The prediction id: short, URL safe, and never mistaken for another."""

import string

import pytest
from hypothesis import given
from hypothesis import strategies as st

from charkh.core.errors import Invalid
from charkh.core.ids import new_id
from charkh.endpoints.prediction import PredictionId, new_unlogged, parse_prediction_id, row_ids

IDS = st.binary(min_size=16, max_size=16).map(bytes.hex)
LOGGED = st.builds(
    PredictionId,
    deployment=IDS,
    segment=IDS,
    ordinal=st.integers(0, 2**40),
    row=st.integers(0, 2**24),
)
UNLOGGED = st.builds(
    PredictionId, deployment=IDS, row=st.integers(0, 2**24), nonce=st.binary(min_size=8, max_size=8).map(bytes.hex)
)
URL_SAFE = set(string.ascii_letters + string.digits + "-_")


@given(LOGGED | UNLOGGED)
def test_an_id_says_the_same_after_the_round_trip(where: PredictionId) -> None:
    text = str(where)
    assert parse_prediction_id(text) == where
    assert set(text) <= URL_SAFE
    assert text[0].isalpha()


@given(LOGGED | UNLOGGED, st.data())
def test_one_wrong_letter_is_noticed(where: PredictionId, data: st.DataObject) -> None:
    text = str(where)
    position = data.draw(st.integers(0, len(text) - 1))
    letter = data.draw(st.sampled_from(sorted(URL_SAFE - {text[position]})))
    with pytest.raises(Invalid, match="prediction id"):
        parse_prediction_id(text[:position] + letter + text[position + 1 :])


@given(st.text(max_size=80))
def test_other_text_is_no_id(text: str) -> None:
    with pytest.raises(Invalid):
        parse_prediction_id(text)


def test_it_is_short() -> None:
    where = PredictionId(deployment=new_id(), segment=new_id(), ordinal=100_000, row=3)
    assert len(str(where)) <= 56


def test_rows_of_one_request_differ_only_in_the_row() -> None:
    first = PredictionId(deployment=new_id(), segment=new_id(), ordinal=5)
    parsed = [parse_prediction_id(text) for text in row_ids(first, 300)]
    assert [each.row for each in parsed] == list(range(300))
    assert {(each.deployment, each.segment, each.ordinal) for each in parsed} == {(first.deployment, first.segment, 5)}


def test_a_request_that_was_not_logged_still_traces_to_its_deployment() -> None:
    deployment = new_id()
    ids = {str(new_unlogged(deployment)) for _ in range(50)}
    assert len(ids) == 50
    for text in ids:
        where = parse_prediction_id(text)
        assert where.deployment == deployment
        assert not where.logged
