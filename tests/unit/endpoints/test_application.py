"""The inference server without a socket: routes, policy, admission, hot swap and drain, through its ASGI shell."""

import asyncio
import gzip
import threading
import zlib
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any, NamedTuple

import msgspec
import numpy as np
import pytest

from charkh.core.errors import Denied, Invalid, Unavailable
from charkh.endpoints.application import Application
from charkh.endpoints.door import Door, is_loopback
from charkh.endpoints.in_use import WIDTH
from charkh.endpoints.servable import Servable
from charkh.ports.runtimes import Signature, Tensors, TensorSpec

SIGNATURE = Signature(
    inputs=(TensorSpec(name="x", datatype="FP64"),), outputs=(TensorSpec(name="y", datatype="FP64", shape=(-1,)),)
)
BODY = b'{"inputs":[{"name":"x","shape":[1],"datatype":"FP64","data":[2]}]}'
HOST = "127.0.0.1:7462"


class Answer(NamedTuple):
    status: int
    body: Any
    headers: dict[str, str]


def double(inputs: Tensors) -> Tensors:
    return {"y": inputs["x"] * 2}


def model(name: str = "delay", version: str = "1", predict: Callable[[Tensors], Tensors] = double) -> Servable:
    return Servable(name=name, version=version, subject="model:1", signature=SIGNATURE, predict=predict)


def application(*servables: Servable, door: Door | None = None, **more: Any) -> Application:
    return Application(servables or [model()], door or Door("127.0.0.1", open_inference=True), **more)


async def call(
    app: Application, method: str, path: str, body: bytes = b"", chunks: Sequence[bytes] = (), **headers: str
) -> Answer:
    given = {"host": HOST, **{name.replace("_", "-"): value for name, value in headers.items()}}
    parts = list(chunks or [body])
    sent: list[dict[str, Any]] = []

    async def receive() -> dict[str, Any]:
        return {"type": "http.request", "body": parts.pop(0), "more_body": bool(parts)}

    async def send(message: dict[str, Any]) -> None:
        sent.append(message)

    pairs = [(name.encode(), value.encode()) for name, value in given.items()]
    scope = {"type": "http", "method": method, "path": path, "headers": pairs}
    await app(scope, receive, send)
    seen = {name.decode(): value.decode() for name, value in sent[0]["headers"]}
    assert seen["content-type"] == "application/json"
    return Answer(sent[0]["status"], msgspec.json.decode(sent[1]["body"]), seen)


def ask(app: Application, method: str, path: str, body: bytes = b"", **more: Any) -> Answer:
    return asyncio.run(call(app, method, path, body, **more))


def test_the_protocol_says_who_it_is() -> None:
    app = application(model(), model("price/eu", "7"))
    assert ask(app, "GET", "/v2").body["name"] == "charkh"
    assert ask(app, "GET", "/v2/health/live").body == {"live": True}
    assert ask(app, "GET", "/v2/health/ready").body == {"ready": True, "live": True}
    assert ask(app, "GET", "/v2/models").body == {"models": ["delay", "price/eu"]}
    for path in ("/v2/models/price/eu", "/v2/models/price/eu/versions/7"):
        assert ask(app, "GET", path).body == {
            "name": "price/eu",
            "versions": ["7"],
            "platform": "charkh",
            "inputs": [{"name": "x", "datatype": "FP64", "shape": [-1]}],
            "outputs": [{"name": "y", "datatype": "FP64", "shape": [-1]}],
        }
        assert ask(app, "GET", f"{path}/ready").body == {"name": "price/eu", "ready": True}


def test_it_infers_on_every_path() -> None:
    app = application(model(), model(version="2", predict=lambda inputs: {"y": inputs["x"] * 3}))
    assert ask(app, "POST", "/v2/models/delay/infer", BODY).body["outputs"][0]["data"] == [4.0]
    assert ask(app, "POST", "/v2/models/delay/versions/2/infer", BODY).body["outputs"][0]["data"] == [6.0]
    assert ask(app, "POST", "/predict/delay", b'[{"x":1},{"x":2}]').body == {
        "model_name": "delay",
        "model_version": "1",
        "predictions": [{"y": 2.0}, {"y": 4.0}],
    }


@pytest.mark.parametrize(
    ("method", "path", "body", "status", "why"),
    [
        ("GET", "/", b"", 404, "models served: delay"),
        ("POST", "/v2/models/other/infer", BODY, 404, "nothing at"),
        ("POST", "/v2/models/delay/versions/9/infer", BODY, 404, "nothing at"),
        ("GET", "/v2/models/delay/infer", b"", 405, "takes POST, not GET"),
        ("DELETE", "/v2/health/live", b"", 405, "takes GET, not DELETE"),
        ("POST", "/v2/models/delay/infer", b"nonsense", 400, "not JSON"),
        ("POST", "/v2/models/delay/infer", b'{"inputs":[]}', 400, "no inputs"),
        ("POST", "/predict/delay", b"[]", 400, "no rows"),
        ("POST", "/predict/delay", b" " * 2000, 413, "longer than 1000 bytes"),
    ],
)
def test_what_cannot_be_answered_says_why(method: str, path: str, body: bytes, status: int, why: str) -> None:
    answer = ask(application(max_body=1000), method, path, body)
    assert answer.status == status
    assert why in answer.body["error"]


def test_a_body_in_parts_is_counted_as_it_comes() -> None:
    app = application(max_body=len(BODY))
    assert ask(app, "POST", "/v2/models/delay/infer", chunks=[BODY[:9], BODY[9:]]).status == 200
    assert ask(app, "POST", "/v2/models/delay/infer", chunks=[BODY, b" "]).status == 413


def test_a_packed_body_is_unpacked_up_to_the_same_bound() -> None:
    app = application(max_body=1000)
    path = "/v2/models/delay/infer"
    for way, packed in (("gzip", gzip.compress(BODY)), ("deflate", zlib.compress(BODY))):
        assert ask(app, "POST", path, packed, content_encoding=way).body["outputs"][0]["data"] == [4.0]
    assert ask(app, "POST", path, gzip.compress(b" " * 100_000), content_encoding="gzip").status == 413
    assert ask(app, "POST", path, BODY, content_encoding="br").status == 415


def test_binary_tensors_are_read_and_models_are_listed() -> None:
    app = application()
    text = b'{"inputs":[{"name":"x","shape":[1],"datatype":"FP64","parameters":{"binary_data_size":8}}]}'
    body = text + np.array([2.5]).tobytes()
    headers = {"inference_header_content_length": str(len(text))}
    assert ask(app, "POST", "/v2/models/delay/infer", body, **headers).body["outputs"][0]["data"] == [5.0]
    assert ask(app, "POST", "/v2/models/delay/infer", body).status == 400
    listed = [{"name": "delay", "version": "1", "state": "READY", "reason": ""}]
    assert ask(app, "POST", "/v2/repository/index").body == listed


def test_a_token_is_asked_for_everywhere_but_at_the_health_paths() -> None:
    app = application(door=Door("127.0.0.1", token="s3cret"))
    for path in ("/v2/health/live", "/v2/health/ready"):
        assert ask(app, "GET", path).status == 200
    for path in ("/v2", "/v2/models", "/v2/models/delay", "/nothing"):
        refused = ask(app, "GET", path)
        assert refused.status == 401
        assert refused.headers["www-authenticate"] == "Bearer"
        assert ask(app, "GET", path, authorization="Bearer wrong").status == 401
        assert ask(app, "GET", path, authorization="s3cret").status == 401
        assert ask(app, "GET", path, authorization="Bearer s3cret").status in {200, 404}
    assert ask(app, "POST", "/v2/models/delay/infer", BODY).status == 401
    assert ask(app, "POST", "/v2/models/delay/infer", BODY, authorization="Bearer s3cret").status == 200


@pytest.mark.parametrize(
    "host", ["evil.test", "evil.test:7462", "127.0.0.1.evil.test", "localhost.", "0.0.0.0", "[::]", "", "a:b:c"]
)
def test_a_name_that_is_not_ours_is_refused_on_every_path(host: str) -> None:
    app = application()
    for path in ("/v2", "/v2/health/live", "/nothing"):
        assert ask(app, "GET", path, host=host).status == 403
    for ours in ("127.0.0.1", "localhost:7462", "LOCALHOST", "[::1]:7462", "[::1]"):
        assert ask(app, "GET", "/v2", host=ours).status == 200


def test_a_page_of_another_origin_is_refused() -> None:
    app = application()
    path = "/v2/models/delay/infer"
    assert ask(app, "POST", path, BODY, origin="http://evil.test").status == 403
    assert ask(app, "POST", path, BODY, origin="null").status == 403
    assert ask(app, "POST", path, BODY, sec_fetch_site="cross-site").status == 403
    assert ask(app, "POST", path, BODY, origin=f"http://{HOST}").status == 200


def test_nobody_is_let_in_by_accident() -> None:
    with pytest.raises(Denied, match="token"):
        Door("127.0.0.1")
    with pytest.raises(Denied, match="anyone"):
        Door("0.0.0.0", open_inference=True)
    with pytest.raises(Denied, match="token"):
        Door("0.0.0.0", token="")
    wide = application(door=Door("0.0.0.0", token="t"))
    assert ask(wide, "GET", "/v2", host="models.example.org", authorization="Bearer t").status == 200
    named = application(door=Door("0.0.0.0", token="t", hosts=["models.example.org"]))
    assert ask(named, "GET", "/v2", host="models.example.org:80", authorization="Bearer t").status == 200
    assert ask(named, "GET", "/v2", host="other.example.org", authorization="Bearer t").status == 403
    assert [is_loopback(host) for host in ("127.0.0.2", "::1", "localhost", "10.0.0.1", "::")] == [
        True,
        True,
        True,
        False,
        False,
    ]


@pytest.mark.parametrize(
    ("error", "status", "why"),
    [
        (Invalid("no such airport", hint="Send one."), 400, "no such airport"),
        (Unavailable("the library is missing"), 503, "missing"),
        (ZeroDivisionError("secret detail"), 500, "the model failed"),
    ],
)
def test_a_model_that_fails_fails_one_request(
    error: Exception, status: int, why: str, caplog: pytest.LogCaptureFixture
) -> None:
    def fail(inputs: Tensors) -> Tensors:
        raise error

    answer = ask(application(model(predict=fail)), "POST", "/v2/models/delay/infer", BODY)
    assert answer.status == status
    assert why in answer.body["error"]
    if status == 500:
        assert "secret" not in answer.body["error"]
        short = answer.body["error"].partition("[")[2].rstrip("]")
        assert any(short in record.getMessage() for record in caplog.records)


def test_outputs_that_fit_no_row_are_the_models_fault(caplog: pytest.LogCaptureFixture) -> None:
    wrong = model(predict=lambda inputs: {"y": np.zeros(3)})
    assert ask(application(wrong), "POST", "/v2/models/delay/infer", BODY).status == 500
    assert "shape" in caplog.text


class Slow:
    """A model that answers when it is told to."""

    def __init__(self) -> None:
        self.asked = threading.Semaphore(0)
        self.go = threading.Event()

    def __call__(self, inputs: Tensors) -> Tensors:
        self.asked.release()
        assert self.go.wait(10)
        return double(inputs)


async def until_asked(slow: Slow) -> None:
    assert await asyncio.to_thread(slow.asked.acquire, True, 10)


def test_one_request_too_many_is_sent_away_and_health_answers_meanwhile() -> None:
    async def scenario() -> None:
        slow = Slow()
        app = application(model(predict=slow), model("fast"), concurrency=2)
        waiting = [asyncio.create_task(call(app, "POST", "/v2/models/delay/infer", BODY)) for _ in range(2)]
        await until_asked(slow)
        await until_asked(slow)
        refused = await call(app, "POST", "/v2/models/delay/infer", BODY)
        assert (refused.status, refused.headers["retry-after"]) == (503, "1")
        assert (await call(app, "GET", "/v2/health/ready")).status == 200
        slow.go.set()
        assert [answer.status for answer in await asyncio.gather(*waiting)] == [200, 200]
        assert (await call(app, "POST", "/v2/models/fast/infer", BODY)).status == 200

    asyncio.run(scenario())


def test_a_model_that_hangs_leaves_room_for_the_others() -> None:
    async def scenario() -> None:
        hangs, slow = Slow(), Slow()
        slow.go.set()
        app = application(model(predict=hangs), model("slow", predict=slow), concurrency=4)
        waiting = [asyncio.create_task(call(app, "POST", "/v2/models/delay/infer", BODY)) for _ in range(4)]
        for _ in range(min(4, WIDTH)):
            await until_asked(hangs)
        refused = await call(app, "POST", "/v2/models/delay/infer", BODY)
        assert (refused.status, refused.headers["retry-after"]) == (503, "1")
        for _ in range(3):
            assert (await call(app, "POST", "/v2/models/slow/infer", BODY)).status == 200
        hangs.go.set()
        assert [answer.status for answer in await asyncio.gather(*waiting)] == [200] * 4

    asyncio.run(scenario())


def test_a_client_waits_as_long_as_it_says_and_what_has_not_begun_is_not_begun() -> None:
    async def scenario() -> None:
        hangs = Slow()
        app = application(replace(model(predict=hangs), platform="sklearn"))
        waiting = asyncio.create_task(call(app, "POST", "/v2/models/delay/infer", BODY))
        await until_asked(hangs)
        for _ in range(3):
            late = await call(app, "POST", "/v2/models/delay/infer", BODY, x_request_timeout="0.01")
            assert (late.status, late.body) == (504, {"error": "the deadline passed before the model answered"})
        hangs.go.set()
        assert (await waiting).status == 200
        assert not hangs.asked.acquire(blocking=False), "the late ones were never asked about"

    asyncio.run(scenario())


def test_a_model_whose_own_deadline_passed_has_failed(caplog: pytest.LogCaptureFixture) -> None:
    def predict(_: Tensors) -> Tensors:
        raise TimeoutError("the database did not answer")

    app = application(model(predict=predict))
    assert ask(app, "POST", "/v2/models/delay/infer", BODY).status == 500
    assert "the database did not answer" in caplog.text


def test_code_that_may_wait_is_never_asked_on_the_loop() -> None:
    asked: set[str] = set()

    def predict(inputs: Tensors) -> Tensors:
        asked.add(threading.current_thread().name.split("_")[0])
        return double(inputs)

    async def scenario(app: Application) -> None:
        for _ in range(30):
            assert (await call(app, "POST", "/v2/models/delay/infer", BODY)).status == 200

    asyncio.run(scenario(application(replace(model(predict=predict), waits=True))))
    assert asked == {"charkh-infer"}
    asyncio.run(scenario(application(model(predict=predict))))
    assert asked == {"charkh-infer", "MainThread"}


def test_draining_finishes_what_is_under_way_and_takes_nothing_new() -> None:
    async def scenario() -> None:
        slow = Slow()
        app = application(model(predict=slow))
        waiting = asyncio.create_task(call(app, "POST", "/v2/models/delay/infer", BODY))
        await until_asked(slow)
        assert not await app.drain(grace=0.02)
        draining = asyncio.create_task(app.drain(grace=10))
        await asyncio.sleep(0)
        ready = await call(app, "GET", "/v2/health/ready")
        assert (ready.status, ready.body) == (503, {"ready": False, "live": True})
        assert (await call(app, "GET", "/v2/health/live")).status == 200
        assert (await call(app, "GET", "/v2/models/delay/ready")).status == 503
        assert (await call(app, "POST", "/v2/models/delay/infer", BODY)).status == 503
        slow.go.set()
        assert (await waiting).status == 200
        assert await draining
        app.close()

    asyncio.run(scenario())


def test_who_still_waits_after_the_grace_is_told_to_come_again() -> None:
    async def scenario() -> None:
        hangs = Slow()
        app = application(model(predict=hangs))
        asked = [
            asyncio.create_task(call(app, "POST", "/v2/models/delay/infer", BODY, **more))
            for more in ({}, {"x_request_timeout": "60"})
        ]
        await until_asked(hangs)
        assert not await app.drain(grace=0.01)
        app.give_up()
        for answer in await asyncio.gather(*asked):
            assert (answer.status, answer.headers["retry-after"]) == (503, "1")
        hangs.go.set()
        app.close()

    asyncio.run(scenario())


class Log:
    """A prediction log that only knows whether it was closed."""

    def __init__(self) -> None:
        self.closed = threading.Event()

    def record(self, *arguments: Any, **named: Any) -> Any:
        raise AssertionError("never asked")

    def close(self) -> None:
        self.closed.set()


def test_what_is_served_is_swapped_and_requests_under_way_finish_with_the_old_model() -> None:
    async def scenario() -> None:
        slow, log = Slow(), Log()
        kept = model("kept")
        old = model(predict=slow)
        now: list[Servable] = [old, kept]
        app = application(*now, reload=lambda: list(now))
        waiting = asyncio.create_task(call(app, "POST", "/v2/models/delay/infer", BODY))
        await until_asked(slow)
        before = app._routes["/predict/kept"]
        await app.refresh()
        assert app._routes["/predict/kept"] is before
        unlogged: Any = log
        now[:] = [model(version="2", predict=lambda inputs: {"y": inputs["x"] * 5}), kept]
        spare = replace(kept, name="spare", log=unlogged)
        now.append(spare)
        await app.refresh()
        assert (await call(app, "POST", "/v2/models/delay/infer", BODY)).body["outputs"][0]["data"] == [10.0]
        now.remove(spare)
        await app.refresh()
        assert await asyncio.to_thread(log.closed.wait, 10)
        slow.go.set()
        assert (await waiting).body["outputs"][0]["data"] == [4.0]
        assert (await call(app, "GET", "/v2/models/spare")).status == 404

    asyncio.run(scenario())


def test_what_is_swapped_out_after_the_end_closes_its_log_all_the_same() -> None:
    async def scenario() -> None:
        log = Log()
        unlogged: Any = log
        old = replace(model(), log=unlogged)
        now: list[Servable] = [old]
        app = application(*now, reload=lambda: list(now))
        app.close()
        assert log.closed.is_set()
        log.closed.clear()
        now[:] = [model(version="2")]
        await app.refresh()
        assert log.closed.is_set()

    asyncio.run(scenario())


def test_a_log_is_closed_whatever_the_models_do() -> None:
    async def scenario() -> None:
        slow, log = Slow(), Log()
        unlogged: Any = log
        now: list[Servable] = [model(predict=slow), replace(model("spare"), log=unlogged)]
        app = application(*now, reload=lambda: list(now), concurrency=1)
        waiting = asyncio.create_task(call(app, "POST", "/v2/models/delay/infer", BODY))
        await until_asked(slow)
        now.pop()
        await app.refresh()
        assert await asyncio.to_thread(log.closed.wait, 10)
        slow.go.set()
        assert (await waiting).status == 200

    asyncio.run(scenario())


def test_a_reload_that_fails_changes_nothing_and_is_told_once(caplog: pytest.LogCaptureFixture) -> None:
    async def scenario() -> None:
        asked = threading.Semaphore(0)

        def reload() -> list[Servable]:
            asked.release()
            raise Unavailable("the store is away")

        app = application(reload=reload)
        watching = asyncio.create_task(app.watch(0.001))
        for _ in range(3):
            assert await asyncio.to_thread(asked.acquire, True, 10)
        assert (await call(app, "POST", "/v2/models/delay/infer", BODY)).status == 200
        app.draining = True
        await watching

    asyncio.run(scenario())
    assert [record.getMessage() for record in caplog.records] == [
        "what is served cannot be refreshed: the store is away"
    ]


def test_other_scopes_are_not_for_it() -> None:
    async def scenario() -> None:
        with pytest.raises(ValueError, match="http"):
            await application()({"type": "websocket"}, None, None)  # type: ignore[arg-type]

    asyncio.run(scenario())
