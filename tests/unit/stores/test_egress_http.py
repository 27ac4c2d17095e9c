"""The egress door on real sockets: what may be called, what is pinned, and how a call ends."""

import contextlib
import socket
import threading
import time
from collections.abc import Iterator, Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.receivers import Said, receiving

from charkh.core.errors import CharkhError, Denied, Invalid, Unavailable
from charkh.ports.egress import Call
from charkh.stores.egress_http import HttpEgress
from charkh.stores.egress_rules import Allowed

LOCAL = Allowed(private=("127.0.0.1", "localhost", "inner.test"))


def post(url: str, **headers: str) -> Call:
    return Call("POST", url, headers, b"{}")


@contextlib.contextmanager
def listening() -> Iterator[tuple[int, list[int]]]:
    """A port, and one entry for every connection that it saw."""
    seen: list[int] = []
    with socket.create_server(("127.0.0.1", 0)) as server:
        server.settimeout(0.05)
        stop = threading.Event()

        def accept() -> None:
            while not stop.is_set():
                with contextlib.suppress(TimeoutError):
                    server.accept()[0].close()
                    seen.append(1)

        thread = threading.Thread(target=accept)
        thread.start()
        yield server.getsockname()[1], seen
        stop.set()
        thread.join()


def test_a_listed_host_is_called_as_it_is_said() -> None:
    with receiving(lambda _came: Said(202, {"Retry-After": "7"}, b"nobody reads this")) as receiver:
        answer = HttpEgress(LOCAL).call(post(f"{receiver.url}/hook?a=1", **{"X-Own": "yes"}))
        assert (answer.status, answer.retry_after, answer.body) == (202, 7.0, b"")
        (came,) = receiver.came
        assert (came.path, came.body, came.headers["x-own"]) == ("/hook?a=1", b"{}", "yes")
        assert came.headers["host"] == f"127.0.0.1:{receiver.port}"
        read = HttpEgress(LOCAL).call(Call("POST", receiver.url, read=6))
        assert read.body == b"nobody"


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
def test_a_redirection_is_an_answer_and_nobody_goes_there(status: int) -> None:
    with (
        listening() as (port, seen),
        receiving(lambda _came: Said(status, {"Location": f"http://127.0.0.1:{port}/"})) as receiver,
    ):
        assert HttpEgress(LOCAL).call(post(receiver.url)).status == status
        time.sleep(0.1)
        assert seen == []


def test_a_name_is_resolved_once_and_its_address_is_the_one_that_is_called() -> None:
    answers: list[Sequence[str]] = [["127.0.0.1"], ["192.0.2.1"]]
    asked: list[str] = []

    def resolver(host: str, _port: int) -> Sequence[str]:
        asked.append(host)
        return answers[len(asked) - 1]

    with receiving() as receiver:
        egress = HttpEgress(LOCAL, resolver=resolver)
        assert egress.call(post(f"http://inner.test:{receiver.port}/")).status == 204
        assert asked == ["inner.test"]
        assert receiver.came[0].headers["host"] == f"inner.test:{receiver.port}"


@pytest.mark.parametrize(
    "addresses",
    [
        ["127.0.0.1"],
        ["93.184.216.34", "127.0.0.1"],
        ["10.0.0.1"],
        ["172.16.3.4"],
        ["192.168.1.1"],
        ["169.254.169.254"],
        ["100.64.0.1"],
        ["100.100.100.200"],
        ["168.63.129.16"],
        ["0.0.0.0"],
        ["224.0.0.1"],
        ["255.255.255.255"],
        ["::1"],
        ["::"],
        ["fe80::1"],
        ["fd00:ec2::254"],
        ["::ffff:127.0.0.1"],
        ["::ffff:10.0.0.1"],
        ["64:ff9b::7f00:1"],
        ["64:ff9b::a00:1"],
        ["2002:7f00:1::"],
        ["ff02::1"],
        ["not an address"],
    ],
)
def test_a_public_name_that_leads_inside_is_not_called(addresses: Sequence[str]) -> None:
    egress = HttpEgress(Allowed(hosts=("*",)), resolver=lambda _host, _port: addresses)
    with pytest.raises(Denied) as refused:
        egress.call(post("https://rebound.test/"))
    assert refused.value.code == "egress.private_address"
    assert addresses[-1] not in str(refused.value), "what a name resolves to inside is nobody's to learn"


def test_a_name_that_is_bound_anew_between_two_calls_is_judged_each_time() -> None:
    with listening() as (port, seen):
        turns = iter([["192.0.2.1"], ["127.0.0.1"]])
        egress = HttpEgress(Allowed(hosts=("rebound.test",)), resolver=lambda _host, _port: next(turns), seconds=0.2)
        for _ in range(2):
            with pytest.raises(CharkhError):
                egress.call(post(f"https://rebound.test:{port}/"))
        assert seen == []


@pytest.mark.parametrize("address", ["169.254.169.254", "fe80::1", "168.63.129.16", "fd00:ec2::254", "0.0.0.0"])
def test_what_clouds_tell_their_machines_is_never_called(address: str) -> None:
    egress = HttpEgress(Allowed(private=("*",)), resolver=lambda _host, _port: [address])
    with pytest.raises(Denied):
        egress.call(post("https://inner.test/"))


@pytest.mark.parametrize(
    "url",
    [
        "",
        "example.com",
        "//example.com/",
        "ftp://example.com/",
        "file:///etc/passwd",
        "https://",
        "https:///path",
        "https://user@example.com/",
        "https://user:word@example.com/",
        "https://example.com/#part",
        "https://example.com/a b",
        "https://example.com\\@127.0.0.1/",
        "https://example.com/\r\nHost: evil",
        "https://0x7f1/",
        "https://0x7f.1/",
        "https://127.1/",
        "https://2130706433/",
        "https://017700000001/",
        "https://127.0.0.1.:1:2/",
        "https://[::1%25lo]/",
        "https://[fe80::1%lo]/",
        "https://example..com/",
        "https://-example.com/",
        "https://exämple.com/",
        "https://①②⑦.⓪.⓪.①/",
        "https://example.com:99999/",
        "https://example.com:port/",
        "https://" + "x" * 2000,
    ],
)
def test_what_only_some_take_for_an_address_is_none(url: str) -> None:
    with pytest.raises(Invalid) as refused:
        HttpEgress(Allowed(hosts=("*",), private=("*",))).check(url)
    assert refused.value.code == "egress.url"


def test_nothing_may_be_called_that_nobody_listed() -> None:
    with pytest.raises(Denied, match="may not be called"):
        HttpEgress(Allowed()).check("https://example.com/")
    egress = HttpEgress(Allowed(hosts=("example.com", "*.example.org", "port.test:8443")))
    for url in (
        "https://example.com/",
        "https://EXAMPLE.com:444/",
        "https://a.example.org/",
        "https://port.test:8443/",
    ):
        egress.check(url)
    for url in (
        "https://example.com.evil.test/",
        "https://example.org/",
        "https://evilexample.com/",
        "https://port.test/",
    ):
        with pytest.raises(Denied):
            egress.check(url)
    with pytest.raises(Denied, match="not encrypted"):
        egress.check("http://example.com/")


def test_variables_for_proxies_count_for_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    with listening() as (port, seen), receiving() as receiver:
        for name in ("http_proxy", "HTTP_PROXY", "https_proxy", "ALL_PROXY"):
            monkeypatch.setenv(name, f"http://127.0.0.1:{port}")
        monkeypatch.delenv("no_proxy", raising=False)
        assert HttpEgress(LOCAL).call(post(receiver.url)).status == 204
        assert seen == []


LINES = 60
"""Of a twentieth of a second each."""


def test_a_receiver_that_dribbles_is_given_up() -> None:
    sent: list[int] = []

    def dribble(server: socket.socket) -> None:
        connection, _ = server.accept()
        with connection, contextlib.suppress(OSError):
            connection.recv(1000)
            connection.sendall(b"HTTP/1.1 200 OK\r\n")
            for number in range(LINES):
                connection.sendall(b"X-%d: y\r\n" % number)
                sent.append(number)
                time.sleep(0.05)

    with socket.create_server(("127.0.0.1", 0)) as server:
        thread = threading.Thread(target=dribble, args=(server,))
        thread.start()
        with pytest.raises(Unavailable, match="no answer within"):
            HttpEgress(LOCAL, seconds=0.3).call(post(f"http://127.0.0.1:{server.getsockname()[1]}/"))
        thread.join()
    assert len(sent) < LINES


@pytest.mark.parametrize("said", [b"", b"SSH-2.0-OpenSSH_9.6\r\n", b"\x00" * 64, b"HTTP/1.1 999999 x\r\n\r\n"])
def test_what_is_no_http_is_no_answer(said: bytes) -> None:
    def answer(server: socket.socket) -> None:
        connection, _ = server.accept()
        with connection:
            connection.recv(1000)
            connection.sendall(said)

    with socket.create_server(("127.0.0.1", 0)) as server:
        thread = threading.Thread(target=answer, args=(server,))
        thread.start()
        with pytest.raises(Unavailable, match="cannot be reached"):
            HttpEgress(LOCAL, seconds=2).call(post(f"http://127.0.0.1:{server.getsockname()[1]}/"))
        thread.join()


def test_a_name_that_is_none_and_a_port_that_nobody_has() -> None:
    def nobody(_host: str, _port: int) -> Sequence[str]:
        raise socket.gaierror(-2, "Name or service not known")

    with pytest.raises(Unavailable, match="no such host"):
        HttpEgress(LOCAL, resolver=nobody).call(post("http://inner.test/"))
    with pytest.raises(Unavailable, match="no address"):
        HttpEgress(LOCAL, resolver=lambda _host, _port: []).call(post("http://inner.test/"))
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
    with pytest.raises(Unavailable, match="cannot be reached"):
        HttpEgress(LOCAL).call(post(f"http://127.0.0.1:{port}/"))


def test_headers_cannot_be_smuggled() -> None:
    with receiving() as receiver:
        with pytest.raises(Unavailable):
            HttpEgress(LOCAL).call(post(receiver.url, **{"X-Own": "a\r\nX-Evil: b"}))
        assert receiver.came == []


@given(st.text(max_size=60))
def test_any_text_is_refused_or_names_a_host_that_is_listed(text: str) -> None:
    egress = HttpEgress(Allowed(hosts=("example.com",)))
    with contextlib.suppress(Invalid, Denied):
        egress.check(f"https://{text}")
        assert text.lower().partition("/")[0].partition("?")[0].partition(":")[0].rstrip(".") == "example.com"
