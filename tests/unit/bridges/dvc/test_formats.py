"""DVC's formats by themselves; `tests/bridges/dvc` asks the real DVC."""

import hashlib

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from charkh.bridges.dvc.config import cache_folder, parse_config, remotes, which_remote
from charkh.bridges.dvc.hashes import (
    BLOCK,
    DirectoryEntry,
    LegacyHasher,
    directory_bytes,
    directory_oid,
    is_text,
    oid_of,
    parse_directory,
)
from charkh.bridges.dvc.layout import object_key, parse_object_key
from charkh.bridges.dvc.pointers import Output, dump_pointer, parse_lock, parse_pointer
from charkh.bridges.dvc.yaml_text import dump_yaml, load_for_update, load_yaml, update
from charkh.core.errors import Corrupt, Invalid, NotFound

OIDS = st.text("0123456789abcdef", min_size=32, max_size=32)
PATHS = st.lists(
    st.text(st.characters(exclude_characters="/\0", exclude_categories=["Cs"]), min_size=1), min_size=1
).map("/".join)
POINTER = """\
# where it came from
outs:
- md5: d41d8cd98f00b204e9800998ecf8427e   # empty
  size: 0
  hash: md5
  path: data.csv
  desc: 'the year 2013'
meta:
  owner: ann
"""


def test_a_folders_list_is_what_dvc_writes() -> None:
    entries = [DirectoryEntry("b/ü.txt", "b" * 32), DirectoryEntry("a", "a" * 32)]
    assert directory_bytes(entries) == (
        b'[{"md5": "' + b"a" * 32 + b'", "relpath": "a"}, {"md5": "' + b"b" * 32 + b'", "relpath": "b/\\u00fc.txt"}]'
    )
    assert directory_oid(entries) == hashlib.md5(directory_bytes(entries)).hexdigest() + ".dir"


@given(st.lists(st.builds(DirectoryEntry, PATHS, OIDS), unique_by=lambda entry: entry.path))
def test_a_folders_list_comes_back(entries: list[DirectoryEntry]) -> None:
    assert list(parse_directory(directory_bytes(entries), "")) == sorted(entries)


@pytest.mark.parametrize(
    "data", [b"", b"{}", b"[1]", b'[{"md5": "x", "relpath": "a"}]', b'[{"relpath": "a"}]', b"\xff"]
)
def test_what_is_no_list_is_told(data: bytes) -> None:
    with pytest.raises(Corrupt, match="cannot be read"):
        parse_directory(data, "a" * 32 + ".dir")


@given(st.binary(max_size=3000), st.lists(st.integers(0, 3000), max_size=5))
def test_the_older_hash_does_not_care_how_it_is_fed(data: bytes, cuts: list[int]) -> None:
    taken, position = LegacyHasher(), 0
    for cut in sorted(cut for cut in cuts if cut <= len(data)):
        taken.update(data[position:cut])
        position = cut
    taken.update(memoryview(data)[position:])
    unix = data.replace(b"\r\n", b"\n") if is_text(data) else data
    assert taken.hexdigest() == hashlib.md5(unix).hexdigest()


def test_the_older_hash_is_blind_to_line_ends_of_text_alone() -> None:
    assert oid_of(b"a\r\nb", legacy=True) == oid_of(b"a\nb")
    assert oid_of(b"a\0\r\nb", legacy=True) == oid_of(b"a\0\r\nb")


def test_a_line_end_across_two_blocks_stays() -> None:
    data = b"x" * (BLOCK - 1) + b"\r\n" + b"y\r\n"
    assert oid_of(data, legacy=True) == oid_of(b"x" * (BLOCK - 1) + b"\r\n" + b"y\n")


@given(OIDS, st.booleans(), st.sampled_from(["", ".dir"]))
def test_a_key_comes_back(oid: str, legacy: bool, ending: str) -> None:
    assert parse_object_key(object_key(oid + ending, legacy=legacy), legacy=legacy) == oid + ending


@pytest.mark.parametrize("key", ["files/md5/ab", "files/md5/abc/" + "d" * 29, "runs/ab/cd", "files/md5/ab/" + "g" * 30])
def test_what_is_no_object_has_no_name(key: str) -> None:
    assert parse_object_key(key) is None


def test_a_name_that_climbs_is_refused() -> None:
    with pytest.raises(Invalid, match="no MD5"):
        object_key("../../../../etc/passwd")


def test_a_pointer_is_read() -> None:
    (output,) = parse_pointer(POINTER, "data.csv.dvc")
    assert output == Output(path="data.csv", oid="d41d8cd98f00b204e9800998ecf8427e", size=0, desc="the year 2013")
    (old,) = parse_pointer("outs:\n- md5: d41d8cd98f00b204e9800998ecf8427e\n  path: a\n", "a.dvc")
    assert old.legacy


def test_a_new_pointer_keeps_comments_and_annotations() -> None:
    text = dump_pointer(Output(path="data.csv", oid="a" * 32, size=7), POINTER, "data.csv.dvc")
    assert "# where it came from" in text
    assert "desc: 'the year 2013'" in text
    assert "owner: ann" in text
    (output,) = parse_pointer(text, "data.csv.dvc")
    assert (output.oid, output.size) == ("a" * 32, 7)


def test_a_folder_becomes_a_file_without_what_was_said_of_it() -> None:
    before = "outs:\n- md5: " + "a" * 32 + ".dir\n  size: 9\n  nfiles: 3\n  hash: md5\n  path: d\n  remote: r\n"
    text = dump_pointer(Output(path="d", oid="b" * 32, size=1), before)
    assert load_yaml(text, "") == {"outs": [{"md5": "b" * 32, "size": 1, "hash": "md5", "path": "d", "remote": "r"}]}


def test_a_lock_is_read() -> None:
    text = (
        "schema: '2.0'\nstages:\n  train@1:\n    cmd: x\n    outs:\n    - path: m\n      hash: md5\n      md5: "
        + "c" * 32
        + "\n      size: 3\n      isexec: true\n"
    )
    assert parse_lock(text, "dvc.lock") == (Output(path="m", oid="c" * 32, size=3, executable=True, stage="train@1"),)


@pytest.mark.parametrize(
    "text", ["outs: 3", "- a", "outs:\n- md5: nothex\n  path: a", "outs:\n- size: 1", "a: [", "a: 1\na: 2\nouts: []"]
)
def test_what_is_no_pointer_is_told(text: str) -> None:
    with pytest.raises(Invalid):
        parse_pointer(text, "x.dvc")


PLAIN = st.recursive(
    st.none() | st.booleans() | st.integers(-9, 9) | st.text("abc", max_size=3),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.text("xyz", min_size=1, max_size=2), inner, max_size=3)
    ),
    max_leaves=8,
)


@given(st.dictionaries(st.text("xyz", max_size=2), PLAIN), st.dictionaries(st.text("xyz", max_size=2), PLAIN))
@settings(max_examples=40)
def test_an_update_says_what_is_new(old: dict[str, object], new: dict[str, object]) -> None:
    document = load_for_update(dump_yaml(old), "") or {}
    update(document, new)
    assert load_yaml(dump_yaml(document), "") == new


CONFIG = """\
[core]
    remote = store   # the usual one
    analytics = false
[cache]
    dir = ../shared
['remote "bucket"']
    url = s3://data/dvc
    endpointurl = http://127.0.0.1:9000
['remote "store"']
    url = "remote://bucket/team"
[remote "disk"]
    url = /mnt/dvc
"""


def test_settings_are_read() -> None:
    sections = parse_config(CONFIG, "config")
    assert sections["core"] == {"remote": "store", "analytics": "false"}
    assert which_remote(sections).url == "s3://data/dvc/team"
    assert which_remote(sections).options["endpointurl"] == "http://127.0.0.1:9000"
    assert remotes(sections)["disk"].url == "/mnt/dvc"
    assert str(cache_folder(sections, None)) == "../shared"  # type: ignore[arg-type]


def test_a_remote_that_is_not_there_or_leads_to_itself_is_told() -> None:
    with pytest.raises(NotFound, match="no default remote"):
        which_remote({})
    with pytest.raises(NotFound, match="no remote 'x'"):
        which_remote({}, "x")
    with pytest.raises(Invalid, match="itself"):
        remotes({'remote "a"': {"url": "remote://b/x"}, 'remote "b"': {"url": "remote://a/y"}})
    with pytest.raises(Invalid, match="line 1"):
        parse_config("url = 3", "config")
