"""Objects below a prefix of an object store: new and changed ones by their etag."""

import contextlib
from collections.abc import Generator, Mapping
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import msgspec
import obstore
from obstore.exceptions import BaseError, PermissionDeniedError, PreconditionError, UnauthenticatedError
from obstore.store import AzureStore, GCSStore, ObjectStore, S3Store

from charkh.core.errors import Denied, Invalid, NotFound, Unavailable
from charkh.core.quantities import parse_size
from charkh.core.redact import redact
from charkh.core.source_settings import ObjectsSource
from charkh.ports.vault import Progress
from charkh.sources.collecting import Arrival, Collected, checked_path, refuse_same_path, sort_out
from charkh.sources.globs import key_pattern
from charkh.sources.source import Item, State, shown_address
from charkh.sources.staging import Note, Staging, digest_of
from charkh.sources.variables import values_of

LISTED = 1000
PART = 8 * 1024 * 1024
"""Bytes that are asked for at once."""


class ObjectsCollector:
    """Objects of S3, Google Cloud Storage or Azure.

    Args:
        settings: of the source.
        variables: of the environment, for the options.
    """

    kind = "objects"

    def __init__(self, settings: ObjectsSource, variables: Mapping[str, str]) -> None:
        self._settings = settings
        self._variables = variables

    @property
    def address(self) -> str:
        """The prefix and the pattern."""
        return shown_address(f"{self._settings.url.rstrip('/')}/{self._settings.pattern}")

    def collect(self, state: State, staging: Staging, *, dry_run: bool, progress: Progress | None) -> Collected:
        """See `Collector`; an object whose etag is what it was is not read."""
        store = self._opened()
        listed = self._listed(store)
        limit = parse_size(self._settings.limit)

        def one(item: Item) -> Arrival | Item:
            known = state.items.get(item.key)
            if known is not None and _same(known, item):
                return known
            if item.size > limit:
                raise Invalid(
                    f"{item.key} has {item.size:,} bytes, the limit is {limit:,}",
                    code="source.too_large",
                    hint="Raise `limit` in the source's settings if you want it.",
                )
            if dry_run:
                return Arrival(item, None, changed=known is not None)
            note = self._fetched(store, item, staging, progress)
            if known is not None and known.digest == note.digest:
                return msgspec.structs.replace(known, etag=item.etag, modified=item.modified)
            came = msgspec.structs.replace(item, digest=note.digest)
            return Arrival(came, staging.place(item.key), changed=known is not None)

        with ThreadPoolExecutor(max(1, self._settings.parallel), thread_name_prefix="charkh-objects") as pool:
            waiting = [pool.submit(one, item) for item in listed]
            try:
                found = [each.result() for each in waiting]
            except BaseException:
                # What is under way ends with its own object; what has not begun is left for the next fetch.
                pool.shutdown(wait=False, cancel_futures=True)
                raise
        return sort_out(found, state)

    def _opened(self) -> ObjectStore:
        url = self._settings.url
        options: Any = values_of(self._settings.options, self._variables, "options")
        kinds: Mapping[str, Any] = {"s3": S3Store, "gs": GCSStore, "az": AzureStore}
        try:
            return kinds[url.partition("://")[0]].from_url(url, config=options or None)
        except (BaseError, ValueError, TypeError) as error:
            raise Invalid(
                f"cannot open {redact(url)}: {_said(error)}",
                code="source.url",
                hint='Look at `url` and `options`, such as {region = "eu-central-1"}.',
            ) from error

    def _listed(self, store: ObjectStore) -> list[Item]:
        wanted = key_pattern(self._settings.pattern)
        items: list[Item] = []
        with self._translated("the objects"):
            for batch in obstore.list(store, chunk_size=LISTED):
                for each in batch:
                    key = each["path"]
                    if wanted.fullmatch(key) and not key.endswith("/"):
                        items.append(
                            Item(
                                key=key,
                                path=checked_path(key, key),
                                etag=each["e_tag"] or "",
                                modified=each["last_modified"].isoformat(),
                                size=each["size"],
                            )
                        )
        refuse_same_path((item.key, item.path) for item in items)
        return sorted(items, key=lambda item: item.key)

    def _fetched(self, store: ObjectStore, item: Item, staging: Staging, progress: Progress | None) -> Note:
        """The object, whole in the staging folder; what lies there of the same etag is gone on from."""
        place = staging.place(item.key)
        note = staging.note(item.key)
        if note is None or not item.etag or note.etag != item.etag or place.stat().st_size > item.size:
            staging.forget(item.key)
            note = Note(key=item.key, etag=item.etag, modified=item.modified, total=item.size)
            place.touch()
            staging.write_note(note)
        elif note.digest and place.stat().st_size == item.size and digest_of(place) == note.digest:
            return note
        begin = place.stat().st_size
        with self._translated(item.key), place.open("r+b") as file:
            file.seek(begin)
            while begin < item.size:
                options: Any = {"range": (begin, min(item.size, begin + PART))}
                if item.etag:
                    options["if_match"] = item.etag
                data = obstore.get(store, item.key, options=options).bytes()
                file.write(data)
                begin += len(data)
                if progress:
                    progress(len(data))
                if not len(data):
                    raise Unavailable(f"{item.key} ended after {begin:,} bytes", code="source.unreachable")
        whole = msgspec.structs.replace(note, digest=digest_of(place))
        staging.write_note(whole)
        return whole

    @contextlib.contextmanager
    def _translated(self, what: str) -> Generator[None]:
        try:
            yield
        except PreconditionError as error:
            raise Unavailable(
                f"{what} changed while it was fetched",
                code="source.changed_meanwhile",
                hint="Fetch again when whoever writes it is done.",
            ) from error
        except FileNotFoundError as error:
            raise NotFound(
                f"{what}: there is no such bucket or object at {self.address}",
                code="source.not_there",
                hint="Look at `url`; an object may have gone while it was fetched.",
            ) from error
        except (PermissionDeniedError, UnauthenticatedError) as error:
            raise Denied(
                f"{self.address} does not let you read {what}",
                code="source.denied",
                hint="Look at the provider's variables (AWS_ACCESS_KEY_ID, …) and what the bucket's policy allows.",
            ) from error
        except BaseError as error:
            raise Unavailable(
                f"{what} cannot be read at {self.address}: {_said(error)}",
                code="source.unreachable",
                hint="Look at the bucket's name, the region and the network, and fetch again: what came is kept.",
            ) from error


def _same(known: Item, item: Item) -> bool:
    if known.etag and item.etag:
        return known.etag == item.etag and known.size == item.size
    return (known.modified, known.size) == (item.modified, item.size)


def _said(error: Exception) -> str:
    return redact(str(error).partition("\n")[0])[:300]
