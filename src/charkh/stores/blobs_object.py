"""Blobs in an object store: S3, and whatever else speaks its protocol, through obstore."""

import contextlib
from collections.abc import Generator, Iterable, Iterator, Mapping
from typing import Any, cast

import obstore
from obstore.exceptions import (
    AlreadyExistsError,
    BaseError,
    PermissionDeniedError,
    UnauthenticatedError,
)
from obstore.store import ObjectStore, S3Store, from_url

from charkh.core.errors import Denied, Invalid, NotFound, Unavailable
from charkh.ports.blobs import BlobInfo
from charkh.stores.blob_keys import no_such_blob, parse_key, parse_prefix

SCHEMES = ("s3://", "gs://", "az://")
_LISTED = 1000


class ObjectBlobs:
    """The blobs port over a bucket and prefix.

    A put is one conditional request (create, never overwrite), so an object is immutable and of two
    concurrent puts one wins. The store decides when an object is durable: before it answers.
    """

    def __init__(self, store: ObjectStore, where: str = "the object store") -> None:
        self._store = store
        self._where = where

    def has(self, key: str) -> bool:
        try:
            with self._translated("read", parse_key(key)):
                obstore.head(self._store, key)
        except NotFound:
            return False
        return True

    def get(self, key: str, start: int = 0, length: int | None = None) -> bytes:
        with self._translated("read", parse_key(key)):
            if start == 0 and length is None:
                return bytes(obstore.get(self._store, key).bytes())
            if start < 0:
                begin = max(0, obstore.head(self._store, key)["size"] + start)
                return self._range(key, begin, length)
            return self._range(key, start, length)

    def put(self, key: str, parts: Iterable[bytes | memoryview]) -> None:
        data = b"".join(parts)
        with self._translated("write", parse_key(key)), contextlib.suppress(AlreadyExistsError):
            obstore.put(self._store, key, data, mode="create", use_multipart=False)

    def list(self, prefix: str = "") -> Iterator[BlobInfo]:
        # The library matches whole parts of a key only; the rest of the prefix is matched here.
        folder = parse_prefix(prefix).rpartition("/")[0]
        with self._translated("list", prefix or "/"):
            for batch in obstore.list(self._store, prefix=folder or None, chunk_size=_LISTED):
                for found in batch:
                    if found["path"].startswith(prefix):
                        yield BlobInfo(found["path"], found["size"], found["last_modified"].timestamp())

    def delete(self, key: str) -> None:
        with contextlib.suppress(NotFound), self._translated("delete", parse_key(key)):
            obstore.delete(self._store, key)

    def _range(self, key: str, start: int, length: int | None) -> bytes:
        """A range as the port defines it: what reaches past the end is left out, where the protocol refuses it."""
        if length is None or length <= 0:
            size = obstore.head(self._store, key)["size"]
            length = size - start if length is None else 0
            if length <= 0:
                return b""
        try:
            return bytes(obstore.get_range(self._store, key, start=start, length=length))
        except FileNotFoundError:
            raise
        except BaseError:
            if start >= obstore.head(self._store, key)["size"]:
                return b""
            raise

    @contextlib.contextmanager
    def _translated(self, verb: str, key: str) -> Generator[None]:
        try:
            yield
        except FileNotFoundError as error:
            if verb in {"read", "delete"}:
                raise no_such_blob(key, self._where) from error
            raise self._unavailable(verb, key, error) from error
        except (PermissionDeniedError, UnauthenticatedError) as error:
            raise Denied(
                f"{self._where} does not let you {verb} {key}",
                code="blobs.denied",
                hint=f"Look at {_variables(self._where, 'AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY')} "
                "and what the bucket's policy allows.",
            ) from error
        except BaseError as error:
            raise self._unavailable(verb, key, error) from error

    def _unavailable(self, verb: str, key: str, error: Exception) -> Unavailable:
        return Unavailable(
            f"cannot {verb} {key} in {self._where}: {_first_line(error)}",
            code="blobs.unavailable",
            hint="Look at the bucket's name, the network and "
            f"{_variables(self._where, 'AWS_REGION, AWS_ENDPOINT_URL')}, then try again.",
            facts={"key": key},
        )


def object_blobs(url: str, options: Mapping[str, str] | None = None) -> ObjectBlobs:
    """Blobs at `s3://bucket/prefix`, `gs://bucket/prefix` or `az://container/prefix`.

    Endpoint, region and keys come from the environment: `AWS_*`, `GOOGLE_*` or `AZURE_*`.

    Args:
        url: of the bucket and prefix.
        options: of the object store's library for S3, such as `aws_endpoint`; they win over the variables. An endpoint
            without TLS is taken where one is written down.

    Raises:
        Invalid: the URL names no bucket, or a store that charkh does not speak.
    """
    if not url.startswith(SCHEMES):
        raise Invalid(
            f"{url.partition('://')[0]!r} is no object store that charkh knows",
            code="config.invalid",
            hint="Write s3://bucket/prefix, gs://bucket/prefix or az://container/prefix.",
        )
    try:
        store = _bucket(url, options) if url.startswith("s3://") else from_url(url)
    except (BaseError, ValueError) as error:
        raise Invalid(
            f"cannot open {url}: {_first_line(error)}",
            code="config.invalid",
            hint="Write s3://bucket/prefix and set AWS_REGION, AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY.",
        ) from error
    return ObjectBlobs(store, url)


def _bucket(url: str, options: Mapping[str, str] | None) -> ObjectStore:
    config = dict(options or {})
    if config.get("aws_endpoint", "").startswith("http://"):
        return S3Store.from_url(url, config=cast(Any, config), client_options={"allow_http": True})
    return S3Store.from_url(url, config=cast(Any, config))


def _variables(where: str, of_s3: str) -> str:
    """The variables that say who asks and where, by the store's kind."""
    if where.startswith("gs://"):
        return "GOOGLE_APPLICATION_CREDENTIALS"
    if where.startswith("az://"):
        return "AZURE_STORAGE_ACCOUNT_NAME, AZURE_STORAGE_ACCOUNT_KEY"
    return of_s3


def _first_line(error: Exception) -> str:
    return str(error).partition("\n")[0][:300]
