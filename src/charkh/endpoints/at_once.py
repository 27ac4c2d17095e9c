"""Answer the requests that came in one turn of the event loop: read all of them, ask their model once, write all.

What is done again and again without anything in between stays in the processor's caches, and a model's call costs
mostly the same whether it is asked about one row or about several. Nobody waits for anybody: only those are asked
together that are there.
"""

from collections.abc import Callable, Sequence
from time import perf_counter
from typing import NamedTuple, TypeVar

from charkh.core.errors import CharkhError
from charkh.endpoints.batching import ask_together, kind_of
from charkh.endpoints.compression import WORTH_PACKING
from charkh.endpoints.in_use import InUse
from charkh.endpoints.instruments import noted
from charkh.endpoints.replies import broken, packed_reply, refusal
from charkh.endpoints.route import Asking, Reply, Request, Said, Work
from charkh.ports.runtimes import Tensors, row_count

Told = TypeVar("Told")


class _Begun(NamedTuple):
    """A request that was read, and the rows that its model is to be asked about."""

    number: int
    asking: Asking[bytes | Reply]
    inputs: Tensors
    rows: int


class _Turn:
    """The requests of one model in one turn.

    Args:
        served: the model.
        requests: what asks it, and of what.
    """

    def __init__(self, served: InUse, requests: Sequence[tuple[Work, Request]]) -> None:
        self.replies: list[Reply] = [Reply(500, b"")] * len(requests)
        self._served = served
        self._requests = requests
        self._started = perf_counter()

    def read(self) -> list[_Begun]:
        """Read the requests; those that are refused are answered."""
        begun: list[_Begun] = []
        servable = self._served.servable
        for number, (work, request) in enumerate(self._requests):
            asking = work(servable, request)
            try:
                inputs = next(asking)
            except StopIteration as end:
                self._answered(number, end.value)
            except Exception as error:  # noqa: BLE001 (the edge of the process: the client gets a number in the log)
                self._failed(number, error)
            else:
                begun.append(_Begun(number, asking, inputs, row_count(inputs)))
        return begun

    def ask(self, begun: Sequence[_Begun]) -> None:
        """Ask the model about several requests with one call, or about each where it is not to be had so."""
        if len(begun) > 1:
            rows = [each.rows for each in begun]
            started = perf_counter()
            try:
                shares = ask_together(self._served.servable.predict, [each.inputs for each in begun], rows)
            except Exception:  # noqa: BLE001 (who broke the model is found out below, and the others are answered)
                shares = None
            if shares is not None:
                seconds = perf_counter() - started
                self._served.together.add(sum(rows), seconds)
                if self._served.instrument is not None:
                    self._served.instrument.batched(sum(rows))
                for each, share in zip(begun, shares, strict=True):
                    self._go_on(each.number, each.asking.send, Said(share, seconds))
                return
        for each in begun:
            self._ask_alone(each)

    def _ask_alone(self, begun: _Begun) -> None:
        started = perf_counter()
        try:
            outputs = self._served.servable.predict(begun.inputs)
        except Exception as error:  # noqa: BLE001 (it is raised where the model is asked)
            self._go_on(begun.number, begun.asking.throw, error)
            return
        seconds = perf_counter() - started
        self._served.together.add(begun.rows, seconds)
        self._go_on(begun.number, begun.asking.send, Said(outputs, seconds))

    def _go_on(self, number: int, tell: Callable[[Told], object], told: Told) -> None:
        """Tell a request what came of asking its model; it ends with its answer."""
        try:
            tell(told)
        except StopIteration as end:
            self._answered(number, end.value)
        except Exception as error:  # noqa: BLE001 (the edge of the process: the client gets a number in the log)
            self._failed(number, error)

    def _answered(self, number: int, answer: bytes | Reply) -> None:
        reply = Reply(200, answer) if isinstance(answer, bytes) else answer
        if len(reply.body) >= WORTH_PACKING:
            reply = packed_reply(reply, self._requests[number][1].headers)
        self._count(number, reply)

    def _failed(self, number: int, error: Exception) -> None:
        known = isinstance(error, CharkhError)
        servable = self._served.servable
        reply = refusal(servable, error) if known else broken(servable, error)
        self._count(number, reply)
        if known and reply.status == 400 and self._served.instrument is not None:
            self._served.instrument.invalid(error.code)

    def _count(self, number: int, reply: Reply) -> None:
        self.replies[number] = reply
        if self._served.instrument is not None:
            did, seconds = noted(), perf_counter() - self._started
            protocol = self._requests[number][1].protocol
            self._served.instrument.answered(
                reply.status, seconds, did.rows, did.compute, did.prediction, protocol=protocol
            )

    def learn(self) -> None:
        """Note how long a request of this model takes."""
        size = sum(len(request.body) for _, request in self._requests)
        number = len(self._requests)
        self._served.took((perf_counter() - self._started) / number, size // number)


def answer_at_once(served: InUse, requests: Sequence[tuple[Work, Request]]) -> list[Reply]:
    """Answer the requests of one model; never raises.

    Args:
        served: the model; a quick one.
        requests: what asks it, and of what.
    """
    turn = _Turn(served, requests)
    begun = turn.read()
    while begun:
        batch = _first_batch(served, begun)
        turn.ask(batch)
        begun = begun[len(batch) :]
    turn.learn()
    return turn.replies


def _first_batch(served: InUse, begun: Sequence[_Begun]) -> Sequence[_Begun]:
    """The first of them that are asked together: alike, not too many rows, and more than one only where that pays."""
    first = begun[0]
    if len(begun) == 1 or not served.together.pays(first.rows):
        return begun[:1]
    kind, rows, most = kind_of(first.inputs), first.rows, served.together.most()
    count = 1
    for each in begun[1:]:
        rows += each.rows
        if rows > most or kind_of(each.inputs) != kind:
            break
        count += 1
    return begun[:count]
