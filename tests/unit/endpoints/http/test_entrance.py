"""How clients come in: all that are there, whatever else the loop does, and again when there was no room for them."""

import asyncio
import contextlib
import logging
import os
import resource
import socket
from collections.abc import Callable, Coroutine, Generator
from typing import Any

import pytest
import uvloop

from charkh.endpoints.http.entrance import AT_ONCE, PAUSE, Entrance


class Guest(asyncio.Protocol):
    """Says that it is there."""

    def __init__(self, there: list[asyncio.BaseTransport]) -> None:
        self.there = there

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.there.append(transport)


Scenario = Callable[[Entrance, socket.socket, list[asyncio.BaseTransport]], Coroutine[Any, Any, None]]


def with_entrance(scenario: Scenario, *, waiting: int = 0) -> None:
    """Run a scenario where so many clients wait already when the entrance is opened."""

    async def run() -> None:
        there: list[asyncio.BaseTransport] = []
        with contextlib.ExitStack() as stack:
            listening = stack.enter_context(socket.create_server(("127.0.0.1", 0), backlog=200))
            for _ in range(waiting):
                stack.enter_context(socket.create_connection(listening.getsockname()))
            listening.setblocking(False)
            entrance = Entrance(listening, lambda: Guest(there))
            try:
                await asyncio.wait_for(scenario(entrance, listening, there), 30)
            finally:
                if listening.fileno() >= 0:
                    await entrance.close()
                for each in there:
                    each.close()

    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(run())


async def until(condition: Callable[[], bool]) -> None:
    while not condition():
        await asyncio.sleep(0.01)


def test_all_that_wait_come_in_however_long_a_turn_is() -> None:
    async def scenario(entrance: Entrance, listening: socket.socket, there: list[asyncio.BaseTransport]) -> None:
        turns = 0
        while len(there) < 2 * AT_ONCE:
            await asyncio.sleep(0)
            turns += 1
        assert turns < AT_ONCE / 2
        assert all(each.get_extra_info("socket").getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY) for each in there)

    with_entrance(scenario, waiting=2 * AT_ONCE)


@contextlib.contextmanager
def no_descriptor_left() -> Generator[None]:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    probe = os.dup(0)
    os.close(probe)
    resource.setrlimit(resource.RLIMIT_NOFILE, (probe, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


def test_who_finds_no_descriptor_left_comes_in_later(caplog: pytest.LogCaptureFixture) -> None:
    async def scenario(entrance: Entrance, listening: socket.socket, there: list[asyncio.BaseTransport]) -> None:
        clients = [socket.socket() for _ in range(3)]
        with no_descriptor_left():
            for client in clients:
                client.connect(listening.getsockname())
            await until(lambda: bool(caplog.records))
            await asyncio.sleep(3 * PAUSE)
            assert not there
        await until(lambda: len(there) == 3)
        for client in clients:
            client.close()

    with caplog.at_level(logging.ERROR, "charkh"):
        with_entrance(scenario)
    assert [record.getMessage() for record in caplog.records] == [
        "no more clients can be taken in for now: [Errno 24] Too many open files"
    ]


def test_nobody_comes_in_after_the_end() -> None:
    async def scenario(entrance: Entrance, listening: socket.socket, there: list[asyncio.BaseTransport]) -> None:
        address = listening.getsockname()
        await asyncio.sleep(0)
        await entrance.close()
        before = len(there)
        with pytest.raises(ConnectionRefusedError):
            socket.create_connection(address)
        await asyncio.sleep(0.05)
        assert len(there) == before

    with_entrance(scenario, waiting=5)


def test_who_is_gone_before_coming_in_harms_nobody() -> None:
    async def scenario(entrance: Entrance, listening: socket.socket, there: list[asyncio.BaseTransport]) -> None:
        address = listening.getsockname()
        for _ in range(20):
            gone = socket.create_connection(address)
            gone.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
            gone.close()
        with socket.create_connection(address):
            await until(lambda: any(not each.is_closing() for each in there))

    with_entrance(scenario)
