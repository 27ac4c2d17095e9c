"""Files over HTTP: each URL that the settings stand for is asked whether its content is what came last."""

from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from typing import NamedTuple
from urllib.parse import unquote, urlsplit

import httpx
import msgspec

from charkh.core.errors import Corrupt, Invalid
from charkh.core.quantities import parse_duration, parse_size
from charkh.core.redact import redact
from charkh.core.source_settings import HttpSource
from charkh.ports.vault import Progress
from charkh.sources.checksums import verify_checksum
from charkh.sources.collecting import Arrival, Collected, checked_path, refuse_same_path, sort_out
from charkh.sources.http_download import Downloads, Got, Kept, Missing, Target, missing
from charkh.sources.source import Item, State, shown_address
from charkh.sources.staging import Staging
from charkh.sources.templates import expand
from charkh.sources.variables import values_of

AGENT = "charkh (+data collection)"


class _Wanted(NamedTuple):
    target: Target
    path: str


class HttpCollector:
    """One file a URL.

    Args:
        settings: of the source.
        variables: of the environment, for headers and params.
    """

    kind = "http"

    def __init__(self, settings: HttpSource, variables: Mapping[str, str]) -> None:
        self._settings = settings
        self._variables = variables

    @property
    def address(self) -> str:
        """The URL, its names in braces."""
        return shown_address(self._settings.url)

    def collect(self, state: State, staging: Staging, *, dry_run: bool, progress: Progress | None) -> Collected:
        """See `Collector`; a URL whose server says that nothing changed brings no bytes."""
        wanted = self._wanted()
        settings = self._settings
        timeout = httpx.Timeout(parse_duration(settings.timeout))
        headers = {"User-Agent": AGENT, "Accept-Encoding": "identity"}
        workers = min(settings.parallel, len(wanted))
        with (
            httpx.Client(timeout=timeout, headers=headers, follow_redirects=False) as client,
            ThreadPoolExecutor(workers, thread_name_prefix="charkh-http") as pool,
        ):
            downloads = Downloads(client, staging, attempts=settings.attempts)

            def one(each: _Wanted) -> Arrival | Item | Missing:
                known = state.items.get(each.target.key)
                if dry_run:
                    return self._sorted(each, downloads.look(each.target, known), known, staging, dry_run=True)
                return self._sorted(each, downloads.get(each.target, known, progress), known, staging, dry_run=False)

            waiting = [pool.submit(one, each) for each in wanted]
            try:
                answers = [each.result() for each in waiting]
            except BaseException:
                # What is under way ends with its own file; what has not begun is left for the next fetch.
                pool.shutdown(wait=False, cancel_futures=True)
                raise
        absent = [each.target for each, answer in zip(wanted, answers, strict=True) if isinstance(answer, Missing)]
        found = sort_out([answer for answer in answers if not isinstance(answer, Missing)], state)
        if absent and settings.missing == "error":
            first = next(answer for answer in answers if isinstance(answer, Missing))
            raise missing(absent[0], first.status)
        shown = ", ".join(target.key for target in absent[:3]) + (" …" if len(absent) > 3 else "")
        return found._replace(notes=(f"{len(absent)} not there yet: {shown}",) if absent else ())

    def _wanted(self) -> list[_Wanted]:
        settings = self._settings
        headers = values_of(settings.headers, self._variables, "headers")
        params = values_of(settings.params, self._variables, "params")
        limit = parse_size(settings.limit)
        wanted: list[_Wanted] = []
        for url, path in expand(settings.url, settings.values, settings.path):
            key = redact(url)
            target = Target(url, key, headers, params, limit)
            wanted.append(_Wanted(target, checked_path(path or _last_part(url), key)))
        refuse_same_path((each.target.key, each.path) for each in wanted)
        unknown = set(settings.checksums) - {each.path for each in wanted}
        if unknown:
            raise Invalid(
                f"checksums names {sorted(unknown)[0]}, which is no file of the source",
                code="source.checksum_of_nothing",
                hint=f"Its files are: {', '.join(each.path for each in wanted[:5])}.",
            )
        return wanted

    def _sorted(
        self, each: _Wanted, answer: Got | Kept | Missing, known: Item | None, staging: Staging, *, dry_run: bool
    ) -> Arrival | Item | Missing:
        if isinstance(answer, Missing):
            return answer
        if isinstance(answer, Kept):
            if known is None:
                raise Corrupt(f"{each.target.key} is kept and was never known", code="source.bad_state")
            return known
        note = answer.note
        item = Item(
            key=each.target.key,
            path=each.path,
            etag=note.etag,
            modified=note.modified,
            size=note.total,
            digest=note.digest,
        )
        if dry_run:
            return Arrival(item, None, changed=known is not None)
        if each.path in self._settings.checksums:
            try:
                verify_checksum(answer.place, self._settings.checksums[each.path], each.target.key)
            except Corrupt:
                staging.forget(each.target.key)
                raise
        if known is not None and known.digest == note.digest:
            return msgspec.structs.replace(known, etag=note.etag, modified=note.modified)
        return Arrival(item, answer.place, changed=known is not None)


def _last_part(url: str) -> str:
    """What a URL's file is called: the last part of its path."""
    return unquote(urlsplit(url).path).rstrip("/").rpartition("/")[2] or "index"
