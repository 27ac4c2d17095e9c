"""Each kind of trouble in tables where it was put, and in tables where it was not."""

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from charkh.checks.result import REASONS, ROW
from charkh.checks.trouble.duplicates import duplicates, leaked_rows
from charkh.checks.trouble.near_duplicates import near_duplicates, text_columns
from charkh.checks.trouble.outliers import outliers
from charkh.checks.trouble.personal import mask, personal
from charkh.checks.trouble.search import SUGGESTED, Judged, Wanted, part, search
from charkh.checks.trouble.shares import shares
from charkh.core.errors import Invalid

TEXT = "the flight from Newark to Boston was delayed by an hour because of snow"


def test_repeated_rows_are_all_but_the_first() -> None:
    frame = pl.DataFrame({"a": [1, 2, 1, None, None, 1], "b": ["x", "y", "x", "z", "z", "other"]})
    (found,) = duplicates(frame)
    assert found.rows.tolist() == [2, 4]
    assert list(duplicates(frame.unique())) == []


def test_rows_that_contradict_each_other() -> None:
    frame = pl.DataFrame({"a": [1, 1, 2, 3, 3], "late": [True, False, True, True, True]})
    found = {each.finding.kind: each.rows.tolist() for each in duplicates(frame, target="late")}
    assert found == {"duplicate": [4], "contradiction": [0, 1]}


def test_rows_of_the_training_data_are_found_in_the_test_data() -> None:
    train = pl.DataFrame({"id": [1, 2, 3], "a": [10, 20, None], "late": [0, 1, 0]})
    test = pl.DataFrame({"id": [7, 8, 9], "a": [20, 21, None], "late": [0, 0, 0]})
    (found,) = leaked_rows(train, test, leave_out=["id", "late"])
    assert found.rows.tolist() == [0, 2]
    assert list(leaked_rows(train, test, leave_out=["late"])) == []


@settings(max_examples=15)
@given(st.integers(0, len(TEXT) - 1), st.sampled_from("abcxyz "), st.integers(3, 12))
def test_a_text_with_one_letter_changed_is_nearly_the_same(place: int, letter: str, others: int) -> None:
    changed = TEXT[:place] + letter + TEXT[place + 1 :]
    # Of one letter each, so that no two share a shingle: they are unlike one another too.
    unlike = [chr(ord("f") + number) * 20 for number in range(others)]
    frame = pl.DataFrame({"note": [TEXT, *unlike, changed, None]})
    found = list(near_duplicates(frame, ["note"], similar=0.5))
    if " ".join(changed.split()) == TEXT:
        return
    assert [each.rows.tolist() for each in found] == [[others + 1]]


def test_equal_texts_and_names_are_no_near_duplicates() -> None:
    frame = pl.DataFrame(
        {"note": [TEXT, TEXT, "something else that is long enough to be a text"], "code": ["a", "b", "c"]}
    )
    assert list(near_duplicates(frame, ["note"])) == []
    assert text_columns(frame) == ["note"]


def test_a_number_far_out_is_an_outlier_and_heavy_tails_are_none() -> None:
    source = np.random.default_rng(3)
    values = source.normal(10, 2, 5000)
    values[17] = 500.0
    values[99] = float("inf")
    frame = pl.DataFrame({"a": values, "heavy": source.standard_cauchy(5000), "constant": np.ones(5000)})
    (found,) = outliers(frame)
    assert found.finding.columns == ("a",)
    assert found.rows.tolist() == [17, 99]
    assert found.scores[0] > 6


@settings(max_examples=10)
@given(st.integers(0, 1000))
def test_normal_numbers_have_no_outliers(seed: int) -> None:
    assert list(outliers(pl.DataFrame({"a": np.random.default_rng(seed).normal(size=2000)}))) == []


def test_personal_data_is_found_by_pattern_and_check_digit_and_only_shown_masked() -> None:
    frame = pl.DataFrame(
        {
            "mail": ["write to ann@example.org", "no", None, "bob.b@mail.example.com"],
            "card": ["4111 1111 1111 1111", "4111 1111 1111 1112", "", "5500-0000-0000-0004"],
            "iban": ["GB82 WEST 1234 5698 7654 32", "GB83 WEST 1234 5698 7654 32", None, None],
            "melli": ["۰۰۱۳۵۴۲۴۱۹", "0013542419", "0084575948", "0013542419"],
            "flight": ["1234567890", "UA 1545", "2021-03-04", "12:30"],
            "number": [4111111111111111, 5500000000000004, 1, 2],
        }
    )
    found = {each.finding.columns[0]: each for each in personal(frame)}
    assert {name: each.rows.tolist() for name, each in found.items()} == {
        "mail": [0, 3],
        "card": [0, 3],
        "iban": [0],
        "melli": [0, 1, 2, 3],
        "number": [0, 1],
    }
    shown = str([each.finding for each in found.values()])
    assert "example.org" not in shown
    assert "4111" not in shown
    assert "aaaaa aa aaa@aaaaaaa.aaa" in shown


@given(st.text(max_size=60))
def test_a_mask_shows_no_letter_and_no_digit(text: str) -> None:
    shown = mask(text)
    assert len(shown) <= 40
    assert {character for character in shown if character.isascii() and character.isalnum()} <= {"a", "A", "9"}


@given(st.lists(st.sampled_from(["ann", "bob", None]), max_size=60), st.integers(1, 10))
def test_no_source_has_more_rows_than_it_may(sources: list[str | None], most: int) -> None:
    frame = pl.DataFrame({"source": pl.Series(sources, dtype=pl.String)})
    beyond = [place for each in shares(frame, "source", most=most) for place in each.rows.tolist()]
    left = [source for place, source in enumerate(sources) if place not in beyond]
    for source in set(sources):
        assert left.count(source) == min(most, sources.count(source))


def test_rows_in_trouble_are_parted_from_the_rest_with_their_reasons() -> None:
    source = np.random.default_rng(0)
    truth = np.array(["early", "late"] * 100)
    labels = truth.copy()
    labels[10] = "late"
    frame = pl.DataFrame(
        {"a": source.normal(size=200), "label": labels, "user": ["bot"] * 50 + [f"u{n}" for n in range(150)]}
    )
    probabilities = np.where(truth[:, None] == np.array(["early", "late"])[None, :], 0.9, 0.1)
    probabilities[10] = [0.97, 0.03]
    wanted = Wanted(target="label", judged=Judged(("early", "late"), probabilities), source="user", most=40)
    found = search(frame, wanted)
    assert [each.finding.kind for each in found] == ["label", "share"]
    good, bad = part(frame, found)
    assert good.height + bad.height == 200
    assert bad.height in {10, 11}
    row = bad.filter(pl.col(ROW) == 10)
    assert "label:label" in row[REASONS].to_list()[0]
    assert row[SUGGESTED].to_list() == ["early"]
    assert good.columns == frame.columns


def test_a_column_that_tells_the_target_is_told_without_rows() -> None:
    frame = pl.DataFrame({"a": list(range(64)), "copy": [0, 1] * 32, "late": [0, 1] * 32})
    found = search(frame, Wanted(kinds=("target_leak",), target="late"))
    assert [(each.finding.columns, each.finding.rows) for each in found] == [(("copy",), 0)]


@pytest.mark.parametrize(
    "wanted", [Wanted(kinds=("nonsense",)), Wanted(target="nowhere"), Wanted(source="nowhere", most=1)]
)
def test_what_cannot_be_looked_for_is_named(wanted: Wanted) -> None:
    with pytest.raises(Invalid) as raised:
        search(pl.DataFrame({"a": [1]}), wanted)
    assert raised.value.hint
