"""Ask a slow model a few times at once, and what waits meanwhile together, where that is measured to pay.

No timer holds a request back: it is asked at once where the model is free. Whoever comes while it is busy waits, and
the first of those that wait then asks for all of them, as far as they fit together. How long `n` rows take is fitted as
`each * n + base` from what was measured; where `base` is small, waiting requests are asked one after another.
"""

import contextlib
import math
import threading
from collections import deque
from collections.abc import Callable, Generator, Sequence
from time import monotonic, perf_counter
from typing import Any

from charkh.core.errors import CharkhError
from charkh.ports.runtimes import Tensors, row_count

Predict = Callable[[Tensors], Tensors]
MAX_ROWS = 4096
LONGEST = 0.05
"""Seconds that a batch may be expected to take: what waits behind it waits as long."""
KNOWN_AFTER = 8
"""Calls after which the fit is believed; before, what waits is asked together, to learn."""
PAYS = 0.25
"""Share of a single request's time that must be `base` for batches to pay."""
_FORGETS = 0.98
"""How much of the past a new measurement leaves."""


class Late(Exception):
    """Whoever asked waits no more."""

    def __init__(self) -> None:
        super().__init__("the deadline passed before the model answered")


class _Deadline(threading.local):
    at = math.inf


_DEADLINE = _Deadline()


@contextlib.contextmanager
def patience(until: float) -> Generator[None]:
    """What this thread asks meanwhile waits until then by `time.monotonic()`; what has not begun raises `Late`."""
    _DEADLINE.at = until
    try:
        yield
    finally:
        _DEADLINE.at = math.inf


class Fit:
    """How long a call takes by its rows: weighted least squares, the past forgotten slowly."""

    def __init__(self) -> None:
        self._weight = self._rows = self._squares = self._seconds = self._products = 0.0
        self.calls = 0

    def add(self, rows: int, seconds: float) -> None:
        """One call was measured."""
        self.calls += 1
        self._weight = _FORGETS * self._weight + 1.0
        self._rows = _FORGETS * self._rows + rows
        self._squares = _FORGETS * self._squares + rows * rows
        self._seconds = _FORGETS * self._seconds + seconds
        self._products = _FORGETS * self._products + rows * seconds

    def line(self) -> tuple[float, float]:
        """Seconds of each row, and of a call; all of it is the call's where every call had the same rows."""
        if not self._weight:
            return 0.0, 0.0
        mean_rows, mean = self._rows / self._weight, self._seconds / self._weight
        spread = self._squares / self._weight - mean_rows * mean_rows
        if spread <= 1e-9 * max(1.0, mean_rows * mean_rows):
            return 0.0, mean
        each = max(0.0, (self._products / self._weight - mean_rows * mean) / spread)
        return each, max(0.0, mean - each * mean_rows)

    def pays(self, rows: int) -> bool:
        """Whether a request of so many rows is better asked together with others."""
        if self.calls < KNOWN_AFTER:
            return True
        each, base = self.line()
        return base > PAYS * (base + each * rows)

    def most(self) -> int:
        """Rows of the largest batch that is expected to keep to its time."""
        each, base = self.line()
        if each <= 0.0:
            return MAX_ROWS
        return max(1, min(MAX_ROWS, int((LONGEST - base) / each)))


def ask_together(predict: Predict, asked: Sequence[Tensors], rows: Sequence[int]) -> list[Tensors] | None:
    """The answer to each request's rows, from one call; None where the model refuses somebody's, or mixes them up.

    Args:
        predict: of the model.
        asked: the inputs of each request; of the same names, element types and shapes of a row.
        rows: of each request.
    """
    # Here, because a server without endpoints needs no NumPy.
    import numpy as np

    tensors = {name: np.concatenate([each[name] for each in asked]) for name in asked[0]}
    try:
        outputs = {name: np.asarray(tensor) for name, tensor in predict(tensors).items()}
    except CharkhError:
        return None
    total = sum(rows)
    if any(tensor.ndim == 0 or len(tensor) != total for tensor in outputs.values()):
        return None
    shares: list[Tensors] = []
    end = 0
    for number in rows:
        begin, end = end, end + number
        # A copy: an answer must not keep the whole batch in memory.
        shares.append({name: tensor[begin:end].copy() for name, tensor in outputs.items()})
    return shares


def kind_of(inputs: Tensors) -> tuple[tuple[str, Any, tuple[int, ...]], ...]:
    """What the inputs of two requests have in common that can be asked together."""
    return tuple((name, tensor.dtype, tensor.shape[1:]) for name, tensor in inputs.items())


class _Waiting:
    """A request that waits for its answer, or to ask for others."""

    __slots__ = ("error", "inputs", "key", "leads", "outputs", "ready", "rows")

    def __init__(self, inputs: Tensors, rows: int) -> None:
        self.inputs = inputs
        self.rows = rows
        self.key = kind_of(inputs)
        self.ready = threading.Event()
        self.leads: list[_Waiting] | None = None
        self.outputs: Tensors | None = None
        self.error: BaseException | None = None


class Batched:
    """A model's `predict`, asked at most `width` times at once.

    Threads: called from many; each returns with the answer to its own rows.

    Args:
        predict: of the model.
        width: calls at once, such as the processors that there are.
        counted: told the rows of each call that answered several requests.
    """

    def __init__(self, predict: Predict, width: int = 1, counted: Callable[[int], None] | None = None) -> None:
        self.fit = Fit()
        self._predict = predict
        self._free = max(1, width)
        self._counted = counted
        self._lock = threading.Lock()
        self._queue: deque[_Waiting] = deque()

    def __call__(self, inputs: Tensors) -> Tensors:
        """The answer to these rows; raises what the model raises for them.

        Raises:
            Late: they had not been asked when the thread's patience ended.
        """
        rows = row_count(inputs)
        with self._lock:
            waits = None
            if self._free:
                self._free -= 1
            else:
                waits = _Waiting(inputs, rows)
                self._queue.append(waits)
        if waits is None:
            try:
                return self._measured(inputs, rows)
            finally:
                self._hand_on()
        self._wait(waits)
        if waits.leads is not None:
            try:
                self._lead(waits.leads)
            finally:
                self._hand_on()
        if waits.error is not None:
            raise waits.error
        assert waits.outputs is not None
        return waits.outputs

    def _wait(self, waits: "_Waiting") -> None:
        until = _DEADLINE.at
        if not waits.ready.wait(None if until == math.inf else max(0.0, until - monotonic())):
            with self._lock:
                if waits in self._queue:
                    self._queue.remove(waits)
                    raise Late
            # It is being asked, or is to ask for others.
            waits.ready.wait()

    @property
    def waiting(self) -> int:
        """Rows that wait."""
        return sum(each.rows for each in tuple(self._queue))

    def _hand_on(self) -> None:
        """Let the first that waits ask, for others as well where that pays; or nobody waits."""
        with self._lock:
            if not self._queue:
                self._free += 1
                return
            first = self._queue.popleft()
            batch = [first]
            if self._queue and self.fit.pays(first.rows):
                self._gather(batch)
        first.leads = batch
        first.ready.set()

    def _gather(self, batch: "list[_Waiting]") -> None:
        """Take from the queue, in order, what fits to the first: same tensors, not too many rows."""
        first = batch[0]
        rows, most = first.rows, self.fit.most()
        kept: list[_Waiting] = []
        for each in self._queue:
            if each.key == first.key and rows + each.rows <= most:
                batch.append(each)
                rows += each.rows
            else:
                kept.append(each)
        self._queue = deque(kept)

    def _lead(self, batch: "Sequence[_Waiting]") -> None:
        try:
            if len(batch) == 1 or not self._together(batch):
                for each in batch:
                    _answer(each, self._measured)
        finally:
            for each in batch[1:]:
                each.ready.set()

    def _together(self, batch: "Sequence[_Waiting]") -> bool:
        """Ask once for all; False where somebody's rows are refused, so that each is asked alone."""
        rows = [each.rows for each in batch]
        total = sum(rows)
        try:
            shares = ask_together(lambda inputs: self._measured(inputs, total), [each.inputs for each in batch], rows)
        except BaseException as error:  # noqa: BLE001 (it is raised where each request waits)
            for each in batch:
                each.error = error
            return True
        if shares is None:
            return False
        for each, share in zip(batch, shares, strict=True):
            each.outputs = share
        if self._counted is not None:
            self._counted(total)
        return True

    def _measured(self, inputs: Tensors, rows: int) -> Tensors:
        started = perf_counter()
        outputs = self._predict(inputs)
        seconds = perf_counter() - started
        with self._lock:
            self.fit.add(rows, seconds)
        return outputs


def _answer(waits: _Waiting, measured: Callable[[Tensors, int], Tensors]) -> None:
    try:
        waits.outputs = measured(waits.inputs, waits.rows)
    except BaseException as error:  # noqa: BLE001 (it is raised where its request waits)
        waits.error = error
