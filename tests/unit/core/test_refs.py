"""Names are keys and paths never climb, whatever they are spelt in."""

import unicodedata

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from charkh.core.errors import CharkhError, Invalid
from charkh.core.refs import (
    MAX_NAME,
    Subject,
    VersionRef,
    parse_alias,
    parse_name,
    parse_path,
    parse_subject,
    parse_version_ref,
)

HOSTILE_PARTS = ["", ".", "..", "a\\b", "..\\x", "C:", "x::$DATA", "a\0b", "a\nb", "a\x7fb", "\udcff", "\x1b[31m"]
HOSTILE_PATHS = [
    "/etc/passwd",
    "//host/share",
    "../x",
    "a/../b",
    "a/..",
    "a//b",
    "a/",
    "./a",
    "C:/x",
    "file:///etc/passwd",
    "\\\\host\\share",
    "a/" * 32 + "b",
    "x" * 1025,
    "é" * 513,
]
NAMES = ["flights", "a", "flights/2013", "two words", "v1.2-rc_3", "پرواز", "हिन्दी", "สวัสดี", "Ünïcode", "2013"]
NOT_NAMES = [
    *["", " ", " a", "a ", "/a", "a/", "a//b", ".", "..", ".hidden", "a/..", "a/.b", "-a", "a/-b", "a@b", "a:b", "a~b"],
    *["a\\b", "%2e%2e", "a%2fb", "a\0", "a\n", "a\tb", "a?b", "a#b", "a;b", "a|b", "a*b", "a<b>", "\u200b", "a\u200bb"],
    *["a\u202eb", "\udcff", "x" * 251, "$(x)", "`x`", "a'b", 'a"b'],
]
ANY_TEXT = st.text(alphabet=st.characters(), max_size=60) | st.text(alphabet="a./\\:%2e~@ \0é\u0301", max_size=20)


@pytest.mark.parametrize("name", NAMES)
def test_a_name_is_kept(name: str) -> None:
    assert parse_name(name) == unicodedata.normalize("NFC", name)


@pytest.mark.parametrize("text", NOT_NAMES)
def test_what_could_be_a_path_or_a_trick_is_no_name(text: str) -> None:
    with pytest.raises(Invalid) as caught:
        parse_name(text, "dataset name")
    assert caught.value.code == "name.invalid"
    assert caught.value.hint
    assert "dataset name" in caught.value.message


@pytest.mark.parametrize("text", ["flights@0", "flights@-1", "flights@007"])
def test_a_wrong_number_is_said_to_be_one(text: str) -> None:
    with pytest.raises(Invalid, match="no version's number") as caught:
        parse_version_ref(text)
    assert "flights@1" in caught.value.hint


@given(ANY_TEXT)
def test_a_name_once_accepted_is_canonical_and_harmless(text: str) -> None:
    try:
        name = parse_name(text)
    except Invalid:
        return
    assert parse_name(name) == name == unicodedata.normalize("NFC", name)
    assert parse_name(unicodedata.normalize("NFD", text)) == name
    assert len(name) <= MAX_NAME
    assert not set(name) & set("\\:%@~;#?\0\n\"'`$|<>*")
    assert not any(part in {"", ".", ".."} for part in name.split("/"))
    assert parse_path(name) == name


@pytest.mark.parametrize(
    "path", ["a", "a/b.csv", "data/2013 01/x.parquet", "%2e%2e/x", "a~b", "-rf", "..a", "a..", "...", "é"]
)
def test_a_path_is_kept_and_never_decoded(path: str) -> None:
    assert parse_path(path) == unicodedata.normalize("NFC", path)


@pytest.mark.parametrize("part", HOSTILE_PARTS)
@pytest.mark.parametrize("shape", ["{}", "a/{}", "{}/a", "a/{}/b"])
def test_a_path_with_such_a_part_is_refused(part: str, shape: str) -> None:
    with pytest.raises(Invalid) as caught:
        parse_path(shape.format(part))
    assert caught.value.code == "path.invalid"
    assert str(caught.value).isprintable() or "\n" in str(caught.value)


@pytest.mark.parametrize("path", HOSTILE_PATHS)
def test_a_path_that_climbs_or_does_not_fit_is_refused(path: str) -> None:
    with pytest.raises(Invalid):
        parse_path(path)


@given(ANY_TEXT)
def test_a_path_once_accepted_is_canonical_and_stays_inside(text: str) -> None:
    try:
        path = parse_path(text)
    except Invalid:
        return
    assert parse_path(path) == path
    assert not path.startswith("/")
    assert ".." not in path.split("/")
    assert msgspec.msgpack.decode(msgspec.msgpack.encode(path)) == path


@pytest.mark.parametrize(
    ("text", "name", "selector", "author", "number"),
    [
        ("flights", "flights", "latest", "", None),
        ("flights@latest", "flights", "latest", "", None),
        ("flights@3", "flights", "3", "", 3),
        ("flights@3~ann", "flights", "3", "ann", 3),
        ("flights@3~ann@host", "flights", "3", "ann@host", 3),
        ("team/delay@champion", "team/delay", "champion", "", None),
    ],
)
def test_references(text: str, name: str, selector: str, author: str, number: int | None) -> None:
    ref = parse_version_ref(text)
    assert ref == VersionRef(name, selector, author)
    assert ref.number == number
    assert parse_version_ref(str(ref)) == ref


@pytest.mark.parametrize(
    "text",
    [
        *["", "@", "@3", "flights@", "flights@0", "flights@03", "flights@-1", "flights@1.5", "flights@v3", "../x@3"],
        *["flights@3~", "flights@~ann", "flights@3~../x", "flights@3~a b", "flights@3 ", "flights@" + "9" * 5000],
    ],
)
def test_what_is_no_reference(text: str) -> None:
    with pytest.raises(Invalid):
        parse_version_ref(text)


@given(ANY_TEXT)
def test_a_reference_raises_nothing_but_invalid_and_round_trips(text: str) -> None:
    try:
        ref = parse_version_ref(text)
    except CharkhError as error:
        assert isinstance(error, Invalid)
        return
    assert parse_version_ref(str(ref)) == ref
    assert ref.number is None or 0 < ref.number < 2**63


@pytest.mark.parametrize("text", ["champion", "prod-eu", "_x", "Champion2"])
def test_aliases(text: str) -> None:
    assert parse_alias(text) == text


@pytest.mark.parametrize("text", ["", "latest", "v1", "v12", "3", "a b", "a.b", "a/b", "-a", "a@b", "x" * 251, "a\n"])
def test_what_is_no_alias(text: str) -> None:
    with pytest.raises(Invalid):
        parse_alias(text)


def test_subjects() -> None:
    assert parse_subject("run:1f3a") == Subject("run", "1f3a")
    assert parse_subject("prediction:a:b") == Subject("prediction", "a:b")
    assert str(Subject("run", "1f3a")) == "run:1f3a"
    for text in ("", "run", "run:", ":1f3a"):
        with pytest.raises(Invalid):
            parse_subject(text)
