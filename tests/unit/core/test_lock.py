"""The text of a lock: written and read alike, merged line by line, and refused where a merge left two answers."""

import itertools
import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from charkh.core.errors import Conflict, Invalid
from charkh.core.lock import KINDS, Lock, Pin, format_lock, parse_lock

HEX = "0123456789abcdef"
NAMES = st.text(st.characters(exclude_categories=("Cs",)), min_size=1, max_size=30)
PATHS = st.lists(st.from_regex(r"[a-zآ-ی][a-zآ-ی %=\-]{0,8}", fullmatch=True), min_size=0, max_size=3).map(
    lambda parts: unicodedata.normalize("NFC", "/".join(parts))
)
PINS = st.builds(
    Pin,
    kind=st.sampled_from(KINDS),
    name=NAMES,
    number=st.integers(1, 10**18 - 1),
    id=st.text(HEX, min_size=32, max_size=32),
    root=st.text(HEX, min_size=64, max_size=64),
    size=st.integers(0, 10**18 - 1),
    path=PATHS,
    follows=st.sampled_from(["", "champion", "a b"]),
)


def pin(name: str, number: int = 1, digit: str = "a") -> Pin:
    return Pin(kind="dataset", name=name, number=number, id=digit * 32, root=digit * 64, size=8)


@given(st.lists(PINS, max_size=6))
def test_what_is_written_is_read(pins: list[Pin]) -> None:
    lock = Lock().having(pins)
    text = format_lock(lock)
    assert parse_lock(text) == lock
    assert format_lock(parse_lock(text)) == text
    assert parse_lock(text.replace("\n", "\r\n")) == lock, "a Windows checkout reads alike"
    assert len([line for line in text.split("\n") if line and not line.startswith("#")]) == 1 + len(lock.pins)


@given(st.lists(PINS, max_size=6))
def test_the_order_of_adding_does_not_show(pins: list[Pin]) -> None:
    unique = list({each.key: each for each in pins}.values())
    assert format_lock(Lock().having(unique)) == format_lock(Lock().having(unique[::-1]))


@given(st.text(max_size=200))
def test_any_other_text_is_refused_in_words(text: str) -> None:
    for each in (text, f"charkh.lock 1\n{text}"):
        try:
            assert isinstance(parse_lock(each), Lock)
        except (Conflict, Invalid) as error:
            assert error.hint


def test_two_pins_are_never_neighbouring_lines() -> None:
    lines = format_lock(Lock().having([pin("a"), pin("b"), pin("c")])).split("\n")
    pinned = [place for place, line in enumerate(lines) if line.startswith("dataset ")]
    assert all(later - earlier > 1 for earlier, later in itertools.pairwise(pinned))


@pytest.mark.parametrize(
    ("opening", "base", "closing"),
    [
        ("<<<<<<< HEAD", "", ">>>>>>> bob"),
        ("<<<<<<< .mine", "||||||| .r1", ">>>>>>> .r2"),
        ("<<<<<<< working copy: 1f3a - ann: mine", "", ">>>>>>> merge rev:    2b4c - bob: his"),
    ],
)
def test_the_marks_of_a_merge_are_refused_with_both_pins(opening: str, base: str, closing: str) -> None:
    ours, theirs = (format_lock(Lock((each,))).split("\n")[-2] for each in (pin("flights", 2), pin("flights", 3, "b")))
    middle = f"{base}\n{format_lock(Lock((pin('flights'),)))}" if base else ""
    text = f"charkh.lock 1\n\n{opening}\n{ours}\n{middle}\n=======\n{theirs}\n{closing}\n"
    with pytest.raises(Conflict) as caught:
        parse_lock(text, "charkh.lock")
    assert caught.value.code == "lock.conflict"
    assert "dataset flights@2 aaaaaaaa" in caught.value.message
    assert "dataset flights@3 bbbbbbbb" in caught.value.message
    assert opening[8:] in caught.value.message


def test_marks_that_were_half_removed_are_refused_with_what_is_left() -> None:
    line = format_lock(Lock((pin("flights", 2),))).split("\n")[-2]
    with pytest.raises(Conflict, match="flights@2 aaaaaaaa"):
        parse_lock(f"charkh.lock 1\n<<<<<<< HEAD\n{line}\n")


def test_two_lines_for_one_name_are_refused_with_both() -> None:
    text = format_lock(Lock((pin("flights", 2),))) + format_lock(Lock((pin("flights", 3, "b"),))).split("\n")[-2]
    with pytest.raises(Conflict, match=r"flights@2 \(aaaaaaaa\) in line 5, flights@3 \(bbbbbbbb\) in line 6"):
        parse_lock(text)
    twice = format_lock(Lock((pin("flights"),)))
    assert parse_lock(twice + twice.split("\n")[-2]) == Lock((pin("flights"),)), "a union of equal lines is no conflict"


@pytest.mark.parametrize("path", ["/etc", "../up", "a/../b", "C:/x"])
def test_a_path_never_leaves_the_workspace(path: str) -> None:
    text = format_lock(Lock((pin("flights"),))).rstrip("\n") + f" path={path}\n"
    with pytest.raises(Invalid):
        parse_lock(text)


def test_a_later_format_says_so() -> None:
    with pytest.raises(Invalid) as caught:
        parse_lock("charkh.lock 2\nwhatever\n")
    assert caught.value.code == "lock.too_new"
