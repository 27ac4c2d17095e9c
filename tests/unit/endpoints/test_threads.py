"""Threads for slow models: bounded for each model, and nobody takes the last place from all others."""

import asyncio
import math
import threading

import pytest

from charkh.endpoints.batching import Late
from charkh.endpoints.threads import Threads


class Model:
    """What a model holds of the places."""

    def __init__(self) -> None:
        self.holds = 0

    def left(self) -> None:
        self.holds -= 1


def test_every_model_finds_room_beside_those_that_hang() -> None:
    async def scenario() -> list[int]:
        threads, go = Threads(32), threading.Event()
        models = [Model() for _ in range(4)]
        asked: list[asyncio.Task[bool]] = []
        for each in models:
            while threads.has_room(each.holds):
                each.holds += 1
                asked.append(asyncio.create_task(threads.ask(go.wait, math.inf, each.left)))
                await asyncio.sleep(0)
        holds = [each.holds for each in models]
        assert threads.held == sum(holds)
        go.set()
        await asyncio.gather(*asked)
        assert [each.holds for each in models] == [0, 0, 0, 0]
        assert threads.held == 0
        return holds

    assert asyncio.run(scenario()) == [16, 8, 4, 2]


def test_a_place_is_held_until_the_thread_is_done() -> None:
    async def scenario() -> None:
        threads, go, model = Threads(2), threading.Event(), Model()
        model.holds += 1
        with pytest.raises(Late):
            await threads.ask(go.wait, 0.01, model.left)
        assert (threads.held, model.holds) == (1, 1)
        assert not threads.has_room(model.holds)
        go.set()
        while threads.held:
            await asyncio.sleep(0.001)
        assert model.holds == 0

    asyncio.run(scenario())


def test_what_is_raised_too_late_disturbs_nobody(caplog: pytest.LogCaptureFixture) -> None:
    def fail() -> None:
        go.wait()
        raise ValueError("nobody hears it")

    async def scenario() -> None:
        threads, model = Threads(2), Model()
        with pytest.raises(Late):
            await threads.ask(fail, 0.01, model.left)
        go.set()
        while threads.held:
            await asyncio.sleep(0.001)

    go = threading.Event()
    asyncio.run(scenario(), debug=True)
    assert "nobody hears it" not in caplog.text
