"""`GET /metrics`: what all workers counted, and what is found out only now, in the format that the scraper prefers."""

import gzip
import logging
from collections.abc import Iterable, Sequence
from typing import NamedTuple

from charkh.core.errors import CharkhError
from charkh.endpoints.exposition import exposition, media_type
from charkh.ports.meters import Collector, Family, Meters, Sample

PATH = "/metrics"
LEAST = 1024
"""Bytes below which packing does not pay."""
_log = logging.getLogger("charkh")


class Page(NamedTuple):
    """A page as it goes out."""

    body: bytes
    headers: tuple[tuple[str, str], ...]


class MetricsPage:
    """Writes the page.

    Threads: several may ask at once.

    Args:
        meters: what was counted.
        collectors: what is found out when somebody asks; one that fails is left out, said once, and counted.
    """

    def __init__(self, meters: Meters, collectors: Sequence[Collector] = ()) -> None:
        self._meters = meters
        self._collectors = tuple(collectors)
        self._failure = ""

    def write(self, accept: str = "", encoding: str = "") -> Page:
        """The page; it may wait for a catalog, so it belongs in a thread.

        Args:
            accept: the header of that name; OpenMetrics has exemplars.
            encoding: the header `Accept-Encoding`.
        """
        media = media_type(accept)
        body = exposition((*self._meters.read(), *self._collected()), media).encode()
        headers = [("content-type", media), ("vary", "accept, accept-encoding")]
        if len(body) >= LEAST and "gzip" in encoding.lower():
            body = gzip.compress(body, compresslevel=1, mtime=0)
            headers.append(("content-encoding", "gzip"))
        return Page(body, tuple(headers))

    def _collected(self) -> Iterable[Family]:
        found: list[Family] = []
        failed = 0
        for collector in self._collectors:
            try:
                found += collector()
            except CharkhError as error:
                failed += 1
                if error.message != self._failure:
                    _log.warning("some metrics cannot be read: %s", error)
                self._failure = error.message
        told = Sample("", {}, float(failed))
        return (*found, Family("charkh_collectors_failed", "gauge", "Sources of metrics that failed.", [told]))
