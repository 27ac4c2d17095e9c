"""Nothing that a mask hides reaches the log; what failed does, with its reason."""

from collections.abc import Callable, Iterator
from typing import Any

import msgspec
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from charkh.core.errors import Invalid
from charkh.core.mask_settings import Mask, parse_mask
from charkh.endpoints.log import PredictionLog
from charkh.endpoints.masks import Masks
from charkh.endpoints.read import predictions
from charkh.endpoints.rest import predict
from charkh.endpoints.route import Request, asked_alone
from charkh.endpoints.seal import seal
from charkh.endpoints.servable import Servable
from charkh.ports.journal import Record
from charkh.ports.runtimes import Tensors
from charkh.ports.store import Store

Make = Callable[..., Servable]
KEY = b"k" * 32
ROW = {"x": 1.25, "wind": 3.519, "hour": 1734, "origin": "Marjane Satrapi"}


def payloads(store: Store) -> Iterator[Record]:
    for segment in store.journal.list_data():
        yield from store.journal.read_data(segment.header.segment)


def masked(made: Servable, store: Store, **columns: str) -> Servable:
    assert made.log is not None
    masks = Masks({name: parse_mask(text) for name, text in columns.items()}, KEY)
    log = PredictionLog(
        store.journal, endpoint=made.name, deployment=made.log.deployment, model=made.subject, masks=masks
    )
    return replaced(made, log=log)


def replaced(made: Servable, **changes: Any) -> Servable:
    fields = {name: getattr(made, name) for name in ("name", "version", "subject", "signature", "predict", "log")}
    return Servable(**(fields | changes))


def asked(servable: Servable, row: dict[str, Any]) -> Any:
    answer = asked_alone(servable, predict(servable, Request({}, msgspec.json.encode([row]))))
    assert isinstance(answer, bytes)
    return msgspec.json.decode(answer)["predictions"][0]


def test_masked_values_are_in_no_byte_of_the_log(store: Store, servable: Make) -> None:
    made = masked(servable(), store, origin="hash", wind="truncate:1", hour="truncate:2", x="drop")
    assert asked(made, ROW)["score"] == 1735.25
    written = b"".join(record.payload for record in payloads(store))
    for secret in (b"Marjane", np.float64(3.519).tobytes(), np.int64(1734).tobytes(), np.float64(1.25).tobytes()):
        assert secret not in written
    assert made.log is not None
    made.log.close()
    seal(store)
    row = predictions(store, "delay").row(0, named=True)
    assert "x" not in row
    assert (row["wind"], row["hour"]) == (pytest.approx(3.5), 1700)
    assert row["origin"] == Masks({}, KEY).digest("Marjane Satrapi") != Masks({}, b"other").digest("Marjane Satrapi")


@given(st.integers(-(2**53), 2**53))
def test_a_key_has_one_digest_however_it_was_typed(number: int) -> None:
    masks = Masks({}, KEY)
    assert (
        masks.digest(number) == masks.digest(str(number)) == masks.digest(float(number)) == masks.digest(f"{number}.0")
    )


@given(st.floats(width=32), st.integers(0, 6))
def test_a_number_is_cut_and_stays_a_number(number: float, kept: int) -> None:
    cut = Masks({"a": Mask("truncate", kept)}, b"")({"a": np.array([number], np.float32)})["a"]
    assert cut.dtype == np.float32
    assert np.isnan(number) == np.isnan(cut[0])
    assert np.isnan(number) or np.isfinite(cut[0])


@pytest.mark.parametrize("text", ["", "dropp", "drop:1", "hash:", "truncate", "truncate:-1", "truncate:1000"])
def test_no_other_mask_is_taken(text: str) -> None:
    with pytest.raises(Invalid):
        parse_mask(text)


def test_requests_that_fail_are_logged_with_the_reason_whatever_is_sampled(store: Store, servable: Make) -> None:
    def refuses(_inputs: Tensors) -> Tensors:
        raise Invalid("the wind is too strong", code="model.refused", hint="Wait.")

    made = servable(capture=0.0)
    assert made.log is not None
    with pytest.raises(Invalid) as refused:
        asked(replaced(made, predict=refuses), ROW)
    made.log.failed(refused.value)
    made.log.failed(Invalid("no such input 'y'", code="endpoint.bad_request", hint="Leave it out."), request="r1")
    asked(made, ROW)
    for _ in range(2):
        found = predictions(store, "delay", failed=True).sort("time")
        assert found["error"].to_list() == [
            "model.refused: the wind is too strong",
            "endpoint.bad_request: no such input 'y'",
        ]
        assert found["origin"].to_list() == ["Marjane Satrapi", None]
        assert found["route"].to_list() == ["champion"] * 2
        assert predictions(store, "delay").height == 0
        made.log.close()
        seal(store)


def test_under_masks_only_the_code_of_a_failure_is_kept(store: Store, servable: Make) -> None:
    made = masked(servable(), store, origin="drop")
    assert made.log is not None
    made.log.failed(Invalid("cannot read 'Marjane'", code="endpoint.bad_request", hint="No."))
    made.log.failed(ValueError("Marjane"))
    assert predictions(store, "delay", failed=True)["error"].to_list() == ["endpoint.bad_request", "ValueError"]
