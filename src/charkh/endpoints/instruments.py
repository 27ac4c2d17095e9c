"""What an inference server counts for Prometheus: requests, rows, seconds, refusals, and what it holds loaded.

A request costs one call of `Instrument.answered`: its counters are bound before, and a bucket by one bisection.
Labels are the model's and never the caller's: what a client makes up makes no series.
"""

import math
import os
import threading
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

from charkh.core.metrics_settings import LATENCY_BOUNDS
from charkh.ports.meters import Counter, Histogram, Meters

ROWS = (1.0, 2.0, 5.0, 10.0, 20.0, 50.0, 100.0, 200.0, 500.0, 1000.0)

REASONS = ("busy", "draining", "deadline", "loading", "denied", "not_found", "too_large")
"""Why requests are turned away; each is told of from the start, so that its rate has a beginning."""

REQUESTS = "charkh_inference_requests"
DURATION = "charkh_inference_duration_seconds"
COMPUTE = "charkh_inference_compute_seconds"


class Noted(NamedTuple):
    """What a model did for the request that this thread has just worked on.

    Attributes:
        prediction: id of the first row's prediction; empty where there was none.
        rows: that were predicted.
        compute: seconds that the model took.
    """

    prediction: str
    rows: int
    compute: float


class _Notes(threading.local):
    prediction = ""
    rows = 0
    compute = 0.0


_NOTES = _Notes()
NOTHING = Noted("", 0, 0.0)


def note(prediction: str, rows: int, compute: float) -> None:
    """Say what a model did, where it did it; `noted` gives it to whoever counts the answer."""
    _NOTES.prediction, _NOTES.rows, _NOTES.compute = prediction, rows, compute


def noted() -> Noted:
    """What was predicted in this thread since the last call."""
    notes = _NOTES
    if not notes.rows:
        return NOTHING
    found = Noted(notes.prediction, notes.rows, notes.compute)
    notes.prediction, notes.rows, notes.compute = "", 0, 0.0
    return found


class Instrument:
    """What one model version at one endpoint counts; bound when it is loaded.

    Threads: any may call it.

    Args:
        meters: where the counts are.
        model: name of the endpoint.
        version: of the model.
    """

    def __init__(self, meters: Meters, model: str, version: str) -> None:
        self._meters = meters
        self._labels = {"model": model, "version": version}
        self._requests: dict[tuple[int, str, str], Counter] = {}
        self._invalid: dict[str, Counter] = {}
        self._duration: Histogram = meters.histogram(
            DURATION, "Time from a request's last byte to its answer.", self._labels, buckets=LATENCY_BOUNDS
        )
        self._compute: Histogram = meters.histogram(
            COMPUTE, "Time that the model itself took for a request.", self._labels, buckets=LATENCY_BOUNDS
        )
        self._rows = meters.counter("charkh_inference_rows", "Rows that were predicted.", self._labels)
        self._batch = meters.histogram(
            "charkh_batch_rows", "Rows that the model was given in one call.", self._labels, buckets=ROWS
        )
        self._unlogged = meters.counter(
            "charkh_predictions_lost", "Requests that the prediction log could not keep.", self._labels
        )
        self._loaded = meters.gauge(
            "charkh_model_loaded", "1 while the model can be asked.", self._labels, combine="max"
        )
        self._bytes = meters.gauge("charkh_model_size_bytes", "Size of the model's files.", self._labels, combine="max")
        self._load = meters.gauge(
            "charkh_model_load_duration_seconds", "Time that the model took to load.", self._labels, combine="max"
        )
        self._info: tuple[Mapping[str, str], bool] = ({}, False)

    def answered(
        self,
        code: int,
        seconds: float,
        rows: int = 0,
        compute: float = 0.0,
        prediction: str = "",
        trace: str = "",
        route: str = "",
        protocol: str = "rest",
    ) -> None:
        """Count one request that was answered, well or not.

        Args:
            code: HTTP status, or that which the gRPC status stands for.
            seconds: from the request's last byte to its answer.
            rows: that were predicted; 0 where it was refused.
            compute: seconds of them that the model itself took; 0 where it was not asked.
            prediction: id of the first row's prediction, kept as an exemplar.
            trace: id of the trace that the request belongs to, kept as an exemplar.
            route: of a split, or `shadow`.
            protocol: `rest` or `grpc`.
        """
        counter = self._requests.get((code, route, protocol))
        if counter is None:
            counter = self._request(code, route, protocol)
        counter.add()
        self._duration.observe(seconds, prediction, trace)
        if rows:
            self._rows.add(rows)
            self._compute.observe(compute)

    def turned_away(self, code: int, route: str = "", protocol: str = "rest") -> None:
        """Count a request that was answered without asking the model; it says nothing about how long one takes."""
        counter = self._requests.get((code, route, protocol)) or self._request(code, route, protocol)
        counter.add()

    def invalid(self, reason: str) -> None:
        """Count a request that did not fit the signature; `reason` is the code of the error, such as `tensor.shape`."""
        counter = self._invalid.get(reason)
        if counter is None:
            labels = {**self._labels, "reason": reason}
            counter = self._invalid[reason] = self._meters.counter(
                "charkh_input_invalid", "Requests that did not fit the model's signature.", labels
            )
        counter.add()

    def unlogged(self, requests: int) -> None:
        """Count requests that were to be in the prediction log, and are not."""
        self._unlogged.add(requests)

    def batched(self, rows: int) -> None:
        """Count one call of the model that answered several requests together."""
        self._batch.observe(rows)

    def loaded(self, *, size: int = 0, seconds: float = 0.0, info: Mapping[str, str] = {}) -> None:
        """Say that the model can be asked.

        Args:
            size: bytes of its files.
            seconds: that it took to load.
            info: few words about it, such as `framework`, `runtime` and `digest`, as labels of `charkh_model_info`.
        """
        self._loaded.set(1.0)
        self._bytes.set(float(size))
        self._load.set(seconds)
        self._told(info, 1.0)
        self._info = (dict(info), True)

    def unloaded(self) -> None:
        """Say that the model is not held for now, and is loaded again when it is asked for."""
        self._loaded.set(0.0)
        self._bytes.set(0.0)

    def gone(self) -> None:
        """Say that the model is served no more: it is told of no longer, and its counts stay."""
        for gauge in (self._loaded, self._bytes, self._load):
            gauge.set(math.nan)
        if self._info[1]:
            self._told(self._info[0], math.nan)
            self._info = ({}, False)

    def _request(self, code: int, route: str, protocol: str) -> Counter:
        labels = {**self._labels, "route": route, "protocol": protocol, "code": str(code)}
        counter = self._meters.counter(REQUESTS, "Requests that were answered, by status.", labels)
        self._requests[(code, route, protocol)] = counter
        return counter

    def _told(self, info: Mapping[str, str], value: float) -> None:
        labels = {**info, **self._labels}
        self._meters.gauge("charkh_model_info", "What a model that is held is.", labels, combine="max").set(value)


class Instruments:
    """What an inference server counts, and the instruments of what it serves.

    Args:
        meters: where the counts are; shared by all workers of a server.

    Attributes:
        inflight: gauge of the requests that are being answered.
        queued: gauge of the rows that wait.
    """

    def __init__(self, meters: Meters) -> None:
        self.meters = meters
        self.inflight = meters.gauge("charkh_inflight_requests", "Requests that are being answered.")
        self.queued = meters.gauge("charkh_queue_rows", "Rows that wait for their model.")
        self._ready = meters.gauge("charkh_workers_ready", "Workers that take requests.")
        self._refused: dict[str, Counter] = {reason: self._refusals(reason) for reason in REASONS}
        self._cpu = meters.counter("charkh_process_cpu_seconds", "Processor time of all workers.")
        self._memory = meters.gauge("charkh_process_resident_memory_bytes", "Memory of all workers.")
        self._started = meters.gauge(
            "charkh_worker_start_time_seconds", "When the youngest worker began, since the epoch.", combine="max"
        )
        self._started.set(time.time())
        self._spent = 0.0
        self._known: dict[tuple[str, str], Instrument] = {}
        self.tick(ready=False)

    def of(self, model: str, version: str) -> Instrument:
        """The instrument of a model version; the same one each time."""
        found = self._known.get((model, version))
        if found is None:
            found = self._known[(model, version)] = Instrument(self.meters, model, version)
        return found

    def refused(self, reason: str) -> None:
        """Count a request that was turned away before a model was asked.

        Args:
            reason: one of a few words, such as those of `REASONS`; nothing that a client could make up.
        """
        counter = self._refused.get(reason)
        if counter is None:
            counter = self._refused[reason] = self._refusals(reason)
        counter.add()

    def _refusals(self, reason: str) -> Counter:
        return self.meters.counter(
            "charkh_requests_refused", "Requests turned away before a model was asked.", {"reason": reason}
        )

    def tick(self, *, ready: bool = True) -> None:
        """Note what this process uses; called about once a second, from one thread."""
        times = os.times()
        spent = times.user + times.system
        self._cpu.add(max(0.0, spent - self._spent))
        self._spent = spent
        self._memory.set(float(_resident()))
        self._ready.set(1.0 if ready else 0.0)

    def keep(self, served: Sequence[tuple[str, str]]) -> None:
        """Say which (model, version) are served now: the others are gone."""
        for key in set(self._known) - set(served):
            self._known.pop(key).gone()


def _resident() -> int:
    """Bytes of memory that this process holds; NaN would hide it, so 0 where the system does not say."""
    try:
        pages = int(Path("/proc/self/statm").read_text("ascii").split()[1])
    except (OSError, ValueError, IndexError):
        return 0
    return pages * os.sysconf("SC_PAGESIZE")
