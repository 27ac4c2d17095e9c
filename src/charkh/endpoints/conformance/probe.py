"""A probe of a server: what it is asked, and what must hold of the answer. Data, no I/O.

A probe is for any server that says that it speaks the Open Inference Protocol, so it knows a model only by the
`Subject` that the server's own metadata describe.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple, cast

import msgspec
import numpy.typing as npt

from charkh.ports.runtimes import TensorSpec

JSON = "application/json"


class Ask(msgspec.Struct, frozen=True, kw_only=True):
    """One HTTP request; the path is already quoted."""

    path: str
    method: str = "GET"
    body: bytes = b""
    headers: Mapping[str, str] = {}


class Heard(msgspec.Struct, frozen=True, kw_only=True):
    """One HTTP answer; header names are lower-case."""

    status: int
    headers: Mapping[str, str]
    body: bytes

    def json(self) -> Any:
        """The body as JSON; None where it is none."""
        try:
            return msgspec.json.decode(self.body)
        except (msgspec.DecodeError, UnicodeDecodeError):
            return None

    def object(self) -> dict[str, Any]:
        """The body as a JSON object; empty where it is none."""
        found = self.json()
        return cast(dict[str, Any], found) if isinstance(found, dict) else {}


class Subject(NamedTuple):
    """A model that is asked.

    Attributes:
        name: of the model.
        version: that its metadata name first; empty where they name none.
        inputs: as its metadata, or the request that was given, describe them.
        outputs: as its metadata describe them; empty where they do not.
        tensors: a valid request, flat values with the shape that they are sent in.
        answer: what the server answers to it, as the protocol's JSON; empty where it refuses it.
    """

    name: str
    version: str
    inputs: tuple[TensorSpec, ...]
    outputs: tuple[TensorSpec, ...]
    tensors: Mapping[str, "npt.NDArray[Any]"]
    answer: Mapping[str, Any]


Check = Callable[[Subject, Heard], str]
"""What is wrong with an answer, in a few words; empty when nothing is."""


class Step(NamedTuple):
    """One request of a probe and what must hold of its answer."""

    ask: Ask
    holds: Sequence[Check]


@dataclass(frozen=True, slots=True)
class Probe:
    """One question to a server.

    Attributes:
        name: short and stable, such as `infer.id`.
        says: what must hold, in a sentence.
        steps: the requests in order; None where the model gives no occasion to ask.
        extension: the protocol's extension that it belongs to; empty for the protocol itself.
        control: whether it loads and unloads models, which is done only when asked for.
    """

    name: str
    says: str
    steps: Callable[[Subject], Sequence[Step] | None]
    extension: str = ""
    control: bool = False

    @property
    def group(self) -> str:
        """The first part of its name."""
        return self.name.partition(".")[0]


class Verdict(msgspec.Struct, frozen=True, kw_only=True):
    """What a probe found.

    Attributes:
        probe: its name.
        says: what must hold.
        extension: that it belongs to; empty for the protocol itself.
        model: that was asked; empty for the server itself.
        outcome: `pass`, `fail` or `skip`.
        why: what is wrong, or why it was not asked.
    """

    probe: str
    says: str
    extension: str = ""
    model: str = ""
    outcome: str
    why: str = ""


class Report(msgspec.Struct, frozen=True, kw_only=True):
    """What a server answered to the whole suite.

    Attributes:
        url: of the server.
        server: name and version as it calls itself.
        models: that were asked.
        verdicts: one for each probe and model.
    """

    url: str
    server: str
    models: tuple[str, ...]
    verdicts: tuple[Verdict, ...]

    @property
    def failed(self) -> tuple[Verdict, ...]:
        """The verdicts that are no `pass` and no `skip`."""
        return tuple(each for each in self.verdicts if each.outcome == "fail")

    def count(self, outcome: str) -> int:
        """How many verdicts have an outcome."""
        return sum(each.outcome == outcome for each in self.verdicts)
