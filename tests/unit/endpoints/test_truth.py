"""Truths are checked whole, kept durably, and found again."""

import asyncio
from collections.abc import Callable
from typing import Any

import msgspec
import polars as pl
import pytest

from charkh.core.errors import Invalid, NotFound
from charkh.core.ids import new_id
from charkh.endpoints.application import Application
from charkh.endpoints.door import Door
from charkh.endpoints.masks import canonical
from charkh.endpoints.prediction import new_unlogged
from charkh.endpoints.route import Reply, Request
from charkh.endpoints.servable import Servable
from charkh.endpoints.truth import Keys, TruthTaker, read_truths, scan_truths, truth_routes
from charkh.lineage.index import HeldDigests
from charkh.ports.store import Store

Make = Callable[..., Servable]


def as_text(value: object) -> str | None:
    said = canonical(value)
    return None if said is None else said.decode()


def told(taker: TruthTaker, *items: dict[str, Any]) -> int:
    return taker.take("delay", read_truths(msgspec.json.encode(items)))


def test_truths_by_id_and_by_key_are_kept(store: Store, servable: Make) -> None:
    made = servable()
    assert made.log is not None
    identifier = str(new_unlogged(made.log.deployment))
    taker = TruthTaker(store, lambda _: Keys("flight", as_text))
    assert told(taker, {"prediction_id": f"{identifier}.0", "truth": True, "known_at": "1970-01-02"}) == 1
    assert told(taker, {"key": 5.0, "truth": 1.5, "known_at": 7}, {"key": "5", "truth": "late"}) == 2
    found = pl.concat(scan_truths(store, "delay"))
    assert found["prediction_id"].to_list() == [identifier, None, None]
    assert found["key"].to_list() == [None, "5", "5"]
    assert found["number"].to_list() == [1.0, 1.5, None]
    assert found["text"].to_list() == [None, None, "late"]
    assert found["known_at"].to_list()[:2] == [86400.0, 7.0]
    assert len(store.queries.ask(HeldDigests())) == 2
    assert sum(each.height for each in scan_truths(store, "delay", since=1e6)) == 1


@pytest.mark.parametrize(
    "item",
    [
        {"truth": 1},
        {"prediction_id": "x", "truth": 1},
        {"key": 1, "prediction_id": "x", "truth": 1},
        {"key": 1, "truth": 1, "known_at": "soon"},
        {"key": 1, "truth": 1, "known_at": -5},
        {"key": 1, "truth": None},
        {"key": 1},
        {"key": 1, "truth": 1, "more": 2},
    ],
)
def test_what_cannot_be_meant_is_refused_and_nothing_is_kept(store: Store, item: dict[str, Any]) -> None:
    taker = TruthTaker(store, lambda _: Keys("flight", as_text))
    with pytest.raises(Invalid):
        told(taker, {"key": 1, "truth": 1}, item)
    assert list(scan_truths(store, "delay")) == []


def test_truth_is_taken_over_http(store: Store, servable: Make) -> None:
    made = servable()
    application = Application([made], Door("127.0.0.1", token="t"))
    (route,) = truth_routes(TruthTaker(store, lambda _: Keys("flight", as_text)))([made], application).values()
    assert route.act is not None

    async def said(body: bytes) -> bytes:
        assert route.act is not None
        reply = route.act(Request({}, body))
        return (reply if isinstance(reply, Reply) else await reply).body

    assert asyncio.run(said(b'{"key": 5, "truth": 1}')) == b'{"taken":1}'
    with pytest.raises(Invalid, match="no truth"):
        asyncio.run(said(b"[{]"))
    assert sum(each.height for each in scan_truths(store, "delay")) == 1
    application.close()


def test_truths_go_to_the_endpoint_that_they_are_about(store: Store, servable: Make) -> None:
    made = servable("price")
    assert made.log is not None
    taker = TruthTaker(store, lambda _: Keys("", as_text))
    with pytest.raises(Invalid, match="another endpoint"):
        told(taker, {"prediction_id": str(new_unlogged(made.log.deployment)), "truth": 1})
    with pytest.raises(NotFound):
        told(taker, {"prediction_id": str(new_unlogged(new_id())), "truth": 1})
    with pytest.raises(Invalid, match="has a key"):
        told(taker, {"key": 1, "truth": 1})
