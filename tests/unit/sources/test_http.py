"""HTTP sources against a real server: what is asked for again, what is resumed, and what is refused."""

import hashlib
import socket
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from tests.web import Web, cut, etag_of, lie, status, web_server

from charkh.core.errors import Corrupt, Denied, Invalid, NotFound, Unavailable
from charkh.core.source_settings import HttpSource
from charkh.sources.collecting import Collected
from charkh.sources.http import HttpCollector
from charkh.sources.http_download import Downloads, Got, Target
from charkh.sources.source import Item, State, by_key
from charkh.sources.staging import Staging

BODY = bytes(range(256)) * 2000


@pytest.fixture
def web() -> Iterator[Web]:
    with web_server() as server:
        yield server


@pytest.fixture
def staging(tmp_path: Path) -> Staging:
    return Staging(tmp_path)


def collect(web: Web, staging: Staging, state: State | None = None, *, dry_run: bool = False, **said: Any) -> Collected:
    settings = HttpSource(url=web.address + said.pop("path_of_url", "/a.csv"), **said)
    collector = HttpCollector(settings, {"TOKEN": "s3cret-value"})
    return collector.collect(state or State(), staging, dry_run=dry_run, progress=None)


def after(found: Collected) -> State:
    return State(items=by_key([*found.kept, *(arrival.item for arrival in found.arrivals)]))


def bytes_of(found: Collected) -> bytes:
    (arrival,) = found.arrivals
    assert arrival.place is not None
    return arrival.place.read_bytes()


def test_an_unchanged_file_is_not_fetched_again(web: Web, staging: Staging) -> None:
    web.files["/a.csv"] = BODY
    first = collect(web, staging)
    assert bytes_of(first) == BODY
    staging.clear()
    second = collect(web, staging, after(first))
    assert (second.arrivals, len(second.kept)) == ((), 1)
    assert web.asked[-1][1]["if-none-match"] == etag_of(BODY)


def test_a_changed_file_comes_again_and_is_called_changed(web: Web, staging: Staging) -> None:
    web.files["/a.csv"] = BODY
    first = collect(web, staging)
    staging.clear()
    web.files["/a.csv"] = BODY + b"more"
    (arrival,) = collect(web, staging, after(first)).arrivals
    assert arrival.changed
    assert arrival.item.size == len(BODY) + 4


def test_an_equal_content_with_another_mark_is_no_change(web: Web, staging: Staging) -> None:
    web.files["/a.csv"] = BODY
    first = after(collect(web, staging))
    staging.clear()
    (item,) = first.items.values()
    known = State(
        items={item.key: Item(key=item.key, path=item.path, etag='"old"', digest=item.digest, size=item.size)}
    )
    second = collect(web, staging, known)
    assert second.arrivals == ()
    assert second.kept[0].etag == etag_of(BODY)


def test_a_download_that_breaks_off_goes_on_where_it_was(web: Web, staging: Staging) -> None:
    web.files["/a.csv"] = BODY
    web.tricks["/a.csv"] = [cut(after=200_000), cut(after=200_000)]
    assert bytes_of(collect(web, staging)) == BODY
    assert [headers.get("range") for _, headers in web.asked] == [None, "bytes=200000-", "bytes=400000-"]


def test_a_later_fetch_goes_on_from_what_an_earlier_one_left(web: Web, staging: Staging) -> None:
    web.files["/a.csv"] = BODY
    web.tricks["/a.csv"] = [cut(after=300_000)]
    with pytest.raises(Unavailable, match="could not be fetched"):
        collect(web, staging, attempts=1)
    assert bytes_of(collect(web, staging)) == BODY
    assert web.asked[-1][1]["range"] == "bytes=300000-"


def test_parts_of_two_contents_never_meet(web: Web, staging: Staging) -> None:
    web.files["/a.csv"] = BODY
    web.tricks["/a.csv"] = [cut(after=300_000)]
    with pytest.raises(Unavailable):
        collect(web, staging, attempts=1)
    web.files["/a.csv"] = BODY[::-1]
    assert bytes_of(collect(web, staging)) == BODY[::-1]


def test_a_server_without_marks_begins_anew(web: Web, staging: Staging) -> None:
    web.files["/a.csv"] = BODY
    web.etags = False
    web.tricks["/a.csv"] = [lie(len(BODY) + 10)]
    with pytest.raises(Unavailable):
        collect(web, staging, attempts=1)
    assert bytes_of(collect(web, staging)) == BODY
    assert "range" not in web.asked[-1][1]


def test_a_part_that_begins_elsewhere_is_not_taken(web: Web, staging: Staging) -> None:
    web.files["/a.csv"] = BODY

    def elsewhere(handler: Any, content: bytes) -> None:
        said = f"bytes 7-{len(content) - 1}/{len(content)}"
        handler.answer(206, content[7:], {"ETag": etag_of(content), "Content-Range": said})

    web.tricks["/a.csv"] = [cut(after=300_000), elsewhere]
    assert bytes_of(collect(web, staging)) == BODY


def test_what_lies_whole_is_asked_about_and_not_fetched_again(web: Web, staging: Staging) -> None:
    web.files["/a.csv"] = BODY
    collect(web, staging)
    assert bytes_of(collect(web, staging)) == BODY
    assert web.asked[-1][1]["if-none-match"] == etag_of(BODY)


def test_what_lies_whole_but_damaged_is_fetched_again(web: Web, staging: Staging) -> None:
    web.files["/a.csv"] = BODY
    (arrival,) = collect(web, staging).arrivals
    assert arrival.place is not None
    arrival.place.write_bytes(BODY[:-1] + b"!")
    assert bytes_of(collect(web, staging)) == BODY


@pytest.mark.parametrize("code", [429, 500, 503])
def test_a_server_that_is_busy_is_asked_again(web: Web, staging: Staging, code: int) -> None:
    web.files["/a.csv"] = BODY
    web.tricks["/a.csv"] = [status(code, Retry_After="0")] * 2
    assert bytes_of(collect(web, staging)) == BODY
    assert web.count("/a.csv") == 3


def test_patience_ends(web: Web, staging: Staging) -> None:
    web.tricks["/a.csv"] = [status(503, Retry_After="0")] * 9
    with pytest.raises(Unavailable, match="503") as raised:
        collect(web, staging, attempts=3)
    assert raised.value.code == "source.http_status"
    assert web.count("/a.csv") == 3


def test_not_modified_without_a_copy_is_an_error(web: Web, staging: Staging) -> None:
    web.tricks["/a.csv"] = [status(304)]
    with pytest.raises(Unavailable) as raised:
        collect(web, staging)
    assert raised.value.code == "source.not_modified"


def test_what_is_missing_is_an_error_or_is_skipped(web: Web, staging: Staging) -> None:
    web.files["/2013-01.csv"] = b"a\n1\n"
    said = {"path_of_url": "/2013-{month:02}.csv", "values": {"month": "1..3"}}
    with pytest.raises(NotFound, match="2013-02"):
        collect(web, staging, **said)
    found = collect(web, staging, missing="skip", **said)
    assert [arrival.item.path for arrival in found.arrivals] == ["2013-01.csv"]
    assert "2 not there yet" in found.notes[0]


def test_a_refusal_names_the_header(web: Web, staging: Staging) -> None:
    web.tricks["/a.csv"] = [status(401)]
    with pytest.raises(Denied, match="401") as raised:
        collect(web, staging)
    assert "headers" in raised.value.hint


def test_a_file_beyond_the_limit_is_not_taken(web: Web, staging: Staging) -> None:
    web.files["/a.csv"] = BODY
    with pytest.raises(Invalid) as raised:
        collect(web, staging, limit="100kB")
    assert raised.value.code == "source.too_large"


def test_a_checksum_is_verified(web: Web, staging: Staging) -> None:
    web.files["/a.csv"] = BODY
    right = f"sha256:{hashlib.sha256(BODY).hexdigest()}"
    assert bytes_of(collect(web, staging, checksums={"a.csv": right})) == BODY
    with pytest.raises(Corrupt) as raised:
        collect(web, staging, checksums={"a.csv": f"sha256:{'0' * 64}"})
    assert raised.value.code == "source.checksum"
    with pytest.raises(Invalid, match=r"b\.csv"):
        collect(web, staging, checksums={"b.csv": right})


def test_a_redirect_is_followed_and_takes_no_header_to_another_host(web: Web, staging: Staging) -> None:
    with web_server() as other:
        other.files["/real.csv"] = BODY
        web.tricks["/a.csv"] = [status(302, Location=f"{other.address}/real.csv")]
        assert bytes_of(collect(web, staging, headers={"Authorization": "env:TOKEN"})) == BODY
        assert web.asked[0][1]["authorization"] == "s3cret-value"
        assert "authorization" not in other.asked[0][1]


@pytest.mark.parametrize("target", ["file:///etc/passwd", "ftp://127.0.0.1/a", "gopher://x/"])
def test_a_redirect_out_of_http_is_refused(web: Web, staging: Staging, target: str) -> None:
    web.tricks["/a.csv"] = [status(302, Location=target)]
    with pytest.raises(Denied) as raised:
        collect(web, staging)
    assert raised.value.code == "source.redirect"


def test_a_redirect_from_a_public_host_into_a_private_network_is_refused(
    staging: Staging, monkeypatch: pytest.MonkeyPatch
) -> None:
    addresses = {"public.example": "93.184.216.34", "inside.example": "169.254.169.254"}

    def resolve(host: str, *_: object, **__: object) -> list[tuple[int, int, int, str, tuple[str, int]]]:
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (addresses[host], 0))]

    monkeypatch.setattr("charkh.sources.http_redirects.socket.getaddrinfo", resolve)

    def answer(request: httpx.Request) -> httpx.Response:
        assert request.url.host == "public.example"
        return httpx.Response(302, headers={"location": "http://inside.example/latest/meta-data"})

    with httpx.Client(transport=httpx.MockTransport(answer)) as client:
        downloads = Downloads(client, staging, attempts=1)
        with pytest.raises(Denied, match="private network"):
            downloads.get(Target("http://public.example/a", "http://public.example/a", {}, {}, 1000), None)


def test_redirects_end(web: Web, staging: Staging) -> None:
    web.tricks["/a.csv"] = [status(302, Location="/a.csv")] * 20
    with pytest.raises(Unavailable) as raised:
        collect(web, staging)
    assert raised.value.code == "source.redirects"


def test_params_come_from_the_environment_and_are_nowhere_kept(web: Web, staging: Staging) -> None:
    web.files["/a.csv"] = BODY
    found = collect(web, staging, params={"api_key": "env:TOKEN"})
    assert web.asked[0][0] == "/a.csv?api_key=s3cret-value"
    assert "s3cret" not in repr(found)
    assert all(b"s3cret" not in path.read_bytes() for path in staging.folder.glob("*.json"))


def test_a_variable_that_is_not_set_is_named(web: Web, staging: Staging) -> None:
    with pytest.raises(NotFound, match="MISSING"):
        collect(web, staging, headers={"X-Token": "env:MISSING"})


def test_a_dry_run_brings_nothing(web: Web, staging: Staging) -> None:
    web.files["/a.csv"] = BODY
    found = collect(web, staging, dry_run=True)
    assert [(arrival.place, arrival.item.size) for arrival in found.arrivals] == [(None, len(BODY))]
    assert list(staging.folder.iterdir()) == []


def test_a_compressed_answer_is_kept_as_what_it_says(web: Web, staging: Staging) -> None:
    import gzip

    def compressed(handler: Any, content: bytes) -> None:
        handler.answer(200, gzip.compress(content), {"Content-Encoding": "gzip", "ETag": etag_of(content)})

    web.files["/a.csv"] = BODY
    web.tricks["/a.csv"] = [compressed]
    assert bytes_of(collect(web, staging)) == BODY


def test_nobody_listening_is_said(staging: Staging) -> None:
    with web_server() as gone:
        pass
    with pytest.raises(Unavailable) as raised:
        collect(gone, staging, attempts=1)
    assert raised.value.code == "source.unreachable"


def test_a_partial_file_is_one_thing_with_its_note(web: Web, staging: Staging) -> None:
    web.files["/a.csv"] = BODY
    with httpx.Client() as client:
        got = Downloads(client, staging, attempts=1).get(Target(f"{web.address}/a.csv", "key", {}, {}, len(BODY)), None)
    assert isinstance(got, Got)
    assert staging.note("key") == got.note
    staging.forget("key")
    assert staging.note("key") is None
