"""What a client may do to a connection: keep it, pipeline, dawdle, send garbage, go away. Real sockets, real loop."""

import asyncio
import contextlib
import logging
import re
from collections.abc import Awaitable, Callable, Coroutine, Sequence
from typing import Any

import pytest
import uvloop
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from charkh.endpoints.door import Headers
from charkh.endpoints.http import connection, listen
from charkh.endpoints.http.connection import Asked
from charkh.endpoints.http.listen import Listener
from charkh.endpoints.route import Reply

LIMIT = 200_000
PATIENCE = 0.4


class Echo:
    """Answers with what it was asked; `/quick` at once, everything else after a step of the loop."""

    def __init__(self) -> None:
        self.turns: list[int] = []
        self.held = asyncio.Event()

    def at_once(self, asked: Sequence[Asked], /) -> list[Reply | None]:
        self.turns.append(len(asked))
        if any(each.path == "/poison" for each in asked):
            raise RuntimeError("all of them")
        return [_echoed(each.path, each.body) if each.path == "/quick" else None for each in asked]

    async def respond(
        self, method: str, path: str, host: str, headers: Headers, read: Callable[[int], Awaitable[bytes | None]], /
    ) -> Reply:
        if path in {"/broken", "/poison"}:
            raise RuntimeError("broken")
        if path == "/unread":
            return Reply(401, b"who are you?", (("www-authenticate", "Bearer"),))
        if path == "/held":
            await self.held.wait()
        body = await read(LIMIT)
        if body is None:
            return Reply(413, b"too long")
        if path == "/long":
            return Reply(200, b"x" * 5_000_000)
        return _echoed(f"{method} {path} {host} {headers.get('x-more', '')}", body)


def _echoed(text: str, body: bytes) -> Reply:
    return Reply(200, f"{text}|".encode() + body, (("content-type", "text/plain"),))


class Client:
    """Raw bytes to and from a server."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader = reader
        self.writer = writer

    async def answer(self, *, body: bool = True) -> tuple[int, str, bytes]:
        """Status, head and body of the next answer."""
        head = (await asyncio.wait_for(self.reader.readuntil(b"\r\n\r\n"), 10)).decode()
        length = int(re.findall(r"content-length: (\d+)", head)[0]) if "content-length" in head else 0
        return int(head.split()[1]), head, await self.reader.readexactly(length) if body else b""

    async def ask(self, sent: bytes) -> tuple[int, str, bytes]:
        self.writer.write(sent)
        return await self.answer()

    async def closed(self) -> bytes:
        """What still comes until the server closes."""
        with contextlib.suppress(ConnectionError):
            return await asyncio.wait_for(self.reader.read(), 10)
        return b""


Connect = Callable[[], Awaitable[Client]]


def with_server(scenario: Callable[[Echo, Connect], Coroutine[Any, Any, None]], *, room: int = 100) -> None:
    """Run a scenario against a listener on a free port."""

    async def run() -> None:
        echo = Echo()
        listener = Listener(echo, patience=PATIENCE, room=room)
        server = await asyncio.get_running_loop().create_server(listener.connect, "127.0.0.1", 0)
        port = server.sockets[0].getsockname()[1]
        listener.look()
        clients: list[Client] = []

        async def connect() -> Client:
            clients.append(Client(*await asyncio.open_connection("127.0.0.1", port)))
            return clients[-1]

        try:
            await asyncio.wait_for(scenario(echo, connect), 30)
        finally:
            server.close()
            await listener.close()
            for client in clients:
                client.writer.close()
                with contextlib.suppress(ConnectionError):
                    await client.writer.wait_closed()

    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(run())


def post(path: str = "/quick", body: bytes = b"rows", *headers: str, version: str = "1.1") -> bytes:
    lines = [f"POST {path} HTTP/{version}", "Host: here:1", f"Content-Length: {len(body)}", *headers]
    return "\r\n".join([*lines, "", ""]).encode() + body


def test_requests_of_one_connection_are_answered_in_their_order() -> None:
    async def scenario(echo: Echo, connect: Connect) -> None:
        client = await connect()
        paths = ["/quick", "/slow?a=1", "/quick", "/a%2Fb%20%D9%86", "http://elsewhere/x"]
        client.writer.write(b"".join(post(path, str(number).encode()) for number, path in enumerate(paths)))
        answers = [await client.answer() for _ in paths]
        assert [body.decode() for _, _, body in answers] == [
            "/quick|0",
            "POST /slow here:1 |1",
            "/quick|2",
            "POST /a/b ن here:1 |3",
            "POST /x here:1 |4",
        ]
        assert all("connection:" not in head for _, head, _ in answers)
        status, head, _ = await client.ask(post())
        assert status == 200
        assert re.search(r"date: \w{3}, \d\d \w{3} \d{4} \d\d:\d\d:\d\d GMT\r\n", head)
        assert head.count("content-type") == 1

    with_server(scenario)


def test_what_comes_in_one_turn_is_answered_in_one_turn() -> None:
    async def scenario(echo: Echo, connect: Connect) -> None:
        clients = [await connect() for _ in range(20)]
        for number, client in enumerate(clients):
            client.writer.write(post(body=str(number).encode()))
        answers = [await client.answer() for client in clients]
        assert [body for _, _, body in answers] == [f"/quick|{number}".encode() for number in range(20)]
        assert sum(echo.turns) == 20
        assert max(echo.turns) > 1

    with_server(scenario)


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(cuts=st.lists(st.integers(1, 400), max_size=6), chunked=st.booleans())
def test_a_request_may_come_in_any_pieces(cuts: list[int], chunked: bool) -> None:
    body = bytes(range(256))
    if chunked:
        head = b"POST /slow HTTP/1.1\r\nHost: h\r\nX-More: a\r\nx-more: b\r\nTransfer-Encoding: chunked\r\n\r\n"
        sent = head + b"a\r\n" + body[:10] + b"\r\nf6;x=y\r\n" + body[10:] + b"\r\n0\r\nx-more: trailer\r\n\r\n"
    else:
        sent = post("/slow", body, "X-More: a", "x-more: b").replace(b"here:1", b"h")

    async def scenario(echo: Echo, connect: Connect) -> None:
        client = await connect()
        ends = [*sorted(cuts), len(sent)]
        for begin, end in zip([0, *ends], ends, strict=False):
            client.writer.write(sent[begin:end])
            await asyncio.sleep(0.001)
        expected = b"POST /slow h a, b|" + body
        assert (await client.answer())[2] == expected
        assert (await client.ask(sent))[2] == expected

    with_server(scenario)


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.binary(min_size=1, max_size=300))
@example(b"GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n")
@example(b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n")
@example(b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\nContent-Length: 4\r\n\r\nabcd")
@example(b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: -1\r\n\r\n")
@example(b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 99999999999999999999\r\n\r\n")
@example(b"POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\nHost: a\r\n\r\nzz\r\n")
@example(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n")
@example(b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03")
@example(b"GET /\x00 HTTP/1.1\r\n\r\n")
def test_garbage_is_refused_and_harms_nobody(garbage: bytes) -> None:
    async def scenario(echo: Echo, connect: Connect) -> None:
        bad, good = await connect(), await connect()
        bad.writer.write(garbage)
        assert (await good.ask(post()))[2] == b"/quick|rows"
        bad.writer.write_eof()
        said = await bad.closed()
        assert not said or said.startswith((b"HTTP/1.1 400 ", b"HTTP/1.1 200 "))
        assert (await good.ask(post("/slow")))[0] == 200

    with_server(scenario)


@pytest.mark.parametrize(
    ("sent", "status"),
    [
        (b"GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n", 400),
        (b"hello\r\n\r\n", 400),
        (b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n", 400),
        (b"GET / HTTP/1.1\r\nX-Long: " + b"x" * 200_000, 431),
        (b"GET /" + b"x" * 200_000, 431),
    ],
)
def test_what_is_no_request_is_told_why(sent: bytes, status: int) -> None:
    async def scenario(echo: Echo, connect: Connect) -> None:
        client = await connect()
        client.writer.write(sent[:100_000])
        await asyncio.sleep(0.05)
        client.writer.write(sent[100_000:])
        seen, head, body = await client.answer()
        assert (seen, "connection: close" in head, body.startswith(b'{"error":')) == (status, True, True)
        assert await client.closed() == b""

    with_server(scenario)


def test_how_long_a_connection_lasts() -> None:
    async def scenario(echo: Echo, connect: Connect) -> None:
        for sent, said in (
            (post(version="1.0"), "close"),
            (post("/quick", b"", "Connection: close"), "close"),
            (post("/quick", b"", "Connection: Upgrade, HTTP2-Settings", "Upgrade: h2c"), "close"),
        ):
            client = await connect()
            status, head, _ = await client.ask(sent + post())
            assert (status, f"connection: {said}\r\n" in head) == (200, True)
            assert await client.closed() == b"", "what follows is not answered"
        client = await connect()
        for _ in range(2):
            _, head, _ = await client.ask(post("/quick", b"", "Connection: keep-alive", version="1.0"))
            assert "connection: keep-alive\r\n" in head
        client.writer.write(post("/slow"))
        client.writer.write_eof()
        assert (await client.answer())[0] == 200, "who sends no more still listens"
        assert await client.closed() == b""

    with_server(scenario)


def test_a_head_alone_gets_no_body() -> None:
    async def scenario(echo: Echo, connect: Connect) -> None:
        client = await connect()
        client.writer.write(b"HEAD /x HTTP/1.1\r\nHost: a\r\n\r\n")
        status, head, _ = await client.answer(body=False)
        assert (status, "content-length: 11" in head) == (200, True)
        assert (await client.ask(post()))[2] == b"/quick|rows"

    with_server(scenario)


@pytest.mark.parametrize("size", [10, 100_000])
def test_a_client_that_waits_for_leave_to_send_gets_it(size: int) -> None:
    async def scenario(echo: Echo, connect: Connect) -> None:
        client = await connect()
        head, _, body = post("/slow", b"x" * size, "Expect: 100-continue").partition(b"\r\n\r\n")
        client.writer.write(head + b"\r\n\r\n")
        assert (await client.answer())[0] == 100
        status, _, said = await client.ask(body)
        assert (status, len(said)) == (200, len("POST /slow here:1 |") + size)
        refused, _, _ = await client.ask(post("/unread", b"x" * 100_000, "Expect: 100-continue")[:-100_000])
        assert refused == 401

    with_server(scenario)


def test_a_body_that_nobody_wants_is_not_kept_and_its_sender_hears_why() -> None:
    async def scenario(echo: Echo, connect: Connect) -> None:
        for path, status in (("/unread", 401), ("/slow", 413)):
            client = await connect()
            client.writer.write(post(path, b"x" * 3_000_000))
            seen, head, _ = await client.answer()
            assert (seen, "connection: close" in head) == (status, True)
        client = await connect()
        client.writer.write(b"POST /slow HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n")
        with contextlib.suppress(ConnectionError):
            for _ in range(40):
                client.writer.write(b"2710\r\n" + b"x" * 10_000 + b"\r\n")
                await asyncio.sleep(0)
        assert (await client.answer())[0] == 413

    with_server(scenario)


@pytest.mark.parametrize(
    ("sent", "drip", "status"),
    [
        (b"", b"", 0),
        (b"POST /quick HTTP/1.1\r\nHost: a\r\n", b"x-more: yes\r\n", 0),
        (post("/quick", b"x" * 1000)[:-500], b"x", 408),
        (post("/slow", b"x" * 100_000)[:-50_000], b"x", 408),
        (b"POST /slow HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n", b"1\r\nx\r\n", 408),
        (post("/long") * 3, b"", 200),
    ],
)
def test_who_dawdles_is_sent_away(sent: bytes, drip: bytes, status: int) -> None:
    async def scenario(echo: Echo, connect: Connect) -> None:
        client, other = await connect(), await connect()
        client.writer.write(sent)
        began = asyncio.get_running_loop().time()
        with contextlib.suppress(ConnectionError):
            while asyncio.get_running_loop().time() - began < 3 * PATIENCE:
                await asyncio.sleep(PATIENCE / 10)
                if drip and not client.writer.is_closing():
                    client.writer.write(drip)
                assert (await other.ask(post("/slow")))[0] == 200, "who goes on asking stays"
        said = await client.closed()
        assert said.startswith(f"HTTP/1.1 {status} ".encode()) if status else said == b""
        assert len(said) < 3 * 5_000_000, "who does not read gets no more"

    with_server(scenario)


def test_who_goes_away_breaks_nothing(caplog: pytest.LogCaptureFixture) -> None:
    async def scenario(echo: Echo, connect: Connect) -> None:
        for sent in (post("/held"), post("/slow", b"x" * 100_000)[:-10], post("/quick")[:-1], post("/held") * 3):
            client = await connect()
            client.writer.write(sent)
            await asyncio.sleep(0.02)
            client.writer.transport.abort()
        await asyncio.sleep(0.02)
        echo.held.set()
        assert (await (await connect()).ask(post("/held")))[0] == 200

    with caplog.at_level(logging.INFO):
        with_server(scenario)
    assert not caplog.records


def test_a_server_that_fails_says_so_and_goes_on(caplog: pytest.LogCaptureFixture) -> None:
    async def scenario(echo: Echo, connect: Connect) -> None:
        client = await connect()
        status, _, body = await client.ask(post("/broken"))
        assert (status, b"its log says why" in body) == (500, True)
        assert (await client.ask(post()))[0] == 200

    with_server(scenario)
    assert "RuntimeError: broken" in caplog.text


def test_a_request_that_breaks_a_turn_harms_no_other(caplog: pytest.LogCaptureFixture) -> None:
    async def scenario(echo: Echo, connect: Connect) -> None:
        clients = [await connect() for _ in range(8)]
        for number, client in enumerate(clients):
            client.writer.write(post("/poison" if number == 3 else "/quick", str(number).encode()))
        statuses = [(await client.answer())[0] for client in clients]
        assert statuses == [200, 200, 200, 500, 200, 200, 200, 200]
        assert (await clients[3].ask(post()))[0] == 200

    with caplog.at_level(logging.ERROR, "charkh"):
        with_server(scenario)
    assert [record.getMessage() for record in caplog.records] == [
        "requests that came together could not be answered together",
        "a request could not be answered",
    ]


def test_too_many_are_told_to_come_again() -> None:
    async def scenario(echo: Echo, connect: Connect) -> None:
        first = [await connect() for _ in range(3)]
        for client in first:
            assert (await client.ask(post()))[0] == 200
        status, head, _ = await (await connect()).answer()
        assert (status, "retry-after: 1" in head) == (503, True)
        first[0].writer.close()
        await asyncio.sleep(listen.CLOSING / 2)
        assert (await (await connect()).ask(post()))[0] == 200

    with_server(scenario, room=3)


def test_at_the_end_what_was_asked_is_answered() -> None:
    answered: list[int] = []
    asking: list[asyncio.Task[tuple[int, str, bytes]]] = []

    async def scenario(echo: Echo, connect: Connect) -> None:
        idle, client = await connect(), await connect()
        assert (await idle.ask(post()))[0] == 200
        asking.append(asyncio.create_task(client.ask(post("/held") + post("/slow"))))
        await asyncio.sleep(0.05)
        asyncio.get_running_loop().call_later(0.2, echo.held.set)
        asking.append(asyncio.create_task(_last(client, asking[0], answered)))

    async def _last(client: Client, first: Awaitable[Any], statuses: list[int]) -> tuple[int, str, bytes]:
        statuses.append((await first)[0])
        status, head, _ = second = await client.answer()
        statuses.append(status)
        assert "connection: close" in head
        return second

    with_server(scenario)
    assert answered == [200, 200]


def test_a_path_is_decoded_and_a_name_is_kept_once() -> None:
    assert connection._path(b"/v2/models/price%2Feu%20west/infer?x=1") == "/v2/models/price/eu west/infer"
    assert connection._path(b"http://here:80/v2") == "/v2"
    assert connection._name(b"X-Some-Name") == "x-some-name"
