"""What is served: a loaded model behind a name, ready to be asked, and the log that remembers its answers."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple

from charkh.endpoints.log import PredictionLog
from charkh.ports.runtimes import Signature, Tensors


def _always() -> bool:
    return True


class Expected(NamedTuple):
    """How many seconds a request of so many bytes is expected to take; a long time where nobody knows."""

    seconds: float = 1.0
    size: float = 1.0


UNKNOWN = Expected()


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Servable:
    """A model that requests can be sent to.

    Threads: `predict` is called from several at once.

    Attributes:
        name: of the endpoint, as it stands in the path.
        version: of the model, as it stands in the path and the answer.
        subject: `model:ID`.
        signature: of the *raw* request; what prepares it is inside `predict`.
        predict: outputs for inputs that fit the signature; raises `Invalid` for rows that the model refuses.
        log: where requests are recorded and what gives predictions their ids; None for neither.
        platform: what `GET /v2/models/NAME` says that it runs on.
        size: bytes of the model's files.
        load_seconds: that it took to load and to answer its example.
        away: why it cannot be asked now, where it cannot; `predict` raises `Unavailable` then.
        is_held: whether it is in memory now, and not let go until it is asked for.
        expected: what its warm-up said of how long it takes.
        waits: its code may wait for something else than the processor, or for ever: the event loop never asks it.
    """

    name: str
    version: str
    subject: str
    signature: Signature
    predict: Callable[[Tensors], Tensors]
    log: PredictionLog | None = None
    platform: str = "charkh"
    size: int = 0
    load_seconds: float = 0.0
    away: str = ""
    is_held: Callable[[], bool] = _always
    expected: Expected = UNKNOWN
    waits: bool = False
