"""What looks on while requests are answered: counts, the page of metrics, and traces. Each may be absent."""

import time
from collections.abc import Sequence
from typing import NamedTuple

from charkh.endpoints.door import Headers
from charkh.endpoints.instruments import NOTHING, Instrument, Instruments, Noted
from charkh.endpoints.metrics_page import MetricsPage, Page
from charkh.endpoints.route import REST
from charkh.endpoints.servable import Servable
from charkh.endpoints.tracing import HEADER, Trace, Tracer

LOADING = "endpoint.loading"
"""Code of the refusal while a model is loaded again."""


class Look(NamedTuple):
    """One request that is looked at.

    Attributes:
        instrument: of the model that was asked.
        began: `time.perf_counter()` when its last byte was read.
        trace: that it belongs to, or None.
    """

    instrument: Instrument
    began: float
    trace: Trace | None


class Watch:
    """Looks on.

    Args:
        instruments: what is counted.
        page: what `/metrics` answers.
        tracer: keeps spans; without one nothing is traced.
    """

    def __init__(self, instruments: Instruments, page: MetricsPage, tracer: Tracer | None = None) -> None:
        self.instruments = instruments
        self._page = page
        self._tracer = tracer
        self._inflight = 0

    @property
    def traces(self) -> bool:
        """Whether requests belong to traces."""
        return self._tracer is not None

    def page(self, headers: Headers) -> Page:
        """The page for a scraper; it may wait for a catalog."""
        return self._page.write(headers.get("accept", ""), headers.get("accept-encoding", ""))

    def serves(self, servables: Sequence[Servable]) -> None:
        """Say what is served from now on."""
        self.instruments.keep([(each.name, each.version) for each in servables])
        for each in servables:
            self.instruments.of(each.name, each.version).loaded(
                size=each.size, seconds=each.load_seconds, info={"platform": each.platform}
            )
            if each.log is not None:
                each.log.losses.tell(self.instruments.of(each.name, each.version).unlogged)
        self._held = dict.fromkeys(servables, True)
        self.holds()

    def holds(self) -> None:
        """Say which models are in memory now; called about once a second."""
        for each, held in self._held.items():
            now = each.is_held() and not each.away
            if now == held:
                continue
            self._held[each] = now
            instrument = self.instruments.of(each.name, each.version)
            if now:
                instrument.loaded(size=each.size, seconds=each.load_seconds, info={"platform": each.platform})
            else:
                instrument.unloaded()

    def begin(self, servable: Servable, headers: Headers) -> Look:
        """A request for a model has been read."""
        self._inflight += 1
        self.instruments.inflight.set(self._inflight)
        trace = None if self._tracer is None else self._tracer.begin(headers.get(HEADER, ""))
        return Look(self.instruments.of(servable.name, servable.version), time.perf_counter(), trace)

    def end(
        self,
        look: Look,
        servable: Servable,
        status: int,
        noted: Noted = NOTHING,
        *,
        route: str = "",
        error: str = "",
        protocol: str = REST,
    ) -> None:
        """The request is answered.

        Args:
            look: as `begin` gave it.
            servable: that was asked.
            status: of the answer.
            noted: what the model did.
            route: of a split.
            error: code of why the model was not asked, for a status of 400 or 503.
            protocol: over which it came.
        """
        self._inflight -= 1
        self.instruments.inflight.set(self._inflight)
        trace = "" if look.trace is None else look.trace.trace
        if status in {429, 503, 504}:
            if error == LOADING:
                self.instruments.refused("loading")
            look.instrument.turned_away(status, route, protocol)
        else:
            seconds = time.perf_counter() - look.began
            did = (noted.rows, noted.compute, noted.prediction)
            look.instrument.answered(status, seconds, *did, trace, route, protocol)
        if status == 400 and error:
            look.instrument.invalid(error)
        if look.trace is not None and self._tracer is not None:
            said = {"http.request.method": "POST", "http.response.status_code": status, "charkh.rows": noted.rows}
            said |= {"charkh.model": servable.name, "charkh.version": servable.version, "charkh.route": route}
            said |= {"charkh.prediction_id": noted.prediction}
            attributes = {name: value for name, value in said.items() if value != ""}
            why = f"status {status}" if status >= 500 else ""
            self._tracer.end(
                look.trace, f"infer {servable.name}", attributes=attributes, error=why, compute=noted.compute
            )
