"""Artifacts in an object store, read with the credentials of this environment."""

from pathlib import Path

import obstore
from obstore.exceptions import BaseError
from obstore.store import from_url

from charkh.bridges.mlflow.exchanged import FoundFile
from charkh.core.errors import Unavailable

_SAME = {"s3a": "s3", "wasb": "az", "wasbs": "az"}


class BucketFiles:
    """The files below an address such as `s3://bucket/1/RUN/artifacts`."""

    local = False

    def __init__(self, location: str) -> None:
        scheme, _, rest = location.partition(":")
        self._location = f"{_SAME.get(scheme.lower(), scheme.lower())}:{rest}"
        try:
            self._store = from_url(self._location)
        except (BaseError, ValueError) as error:
            raise self._refused(error) from error

    def list(self) -> list[FoundFile]:
        """See `charkh.bridges.mlflow.exchanged.Files`."""
        try:
            return [FoundFile(meta["path"], meta["size"]) for batch in obstore.list(self._store) for meta in batch]
        except (BaseError, OSError) as error:
            raise self._refused(error) from error

    def take(self, path: str, scratch: Path) -> Path:
        """The content, in a file of `scratch`."""
        target = scratch / "artifact"
        try:
            with target.open("wb") as file:
                for piece in obstore.get(self._store, path).stream():
                    file.write(piece)
        except (BaseError, OSError) as error:
            raise self._refused(error) from error
        return target

    def _refused(self, error: Exception) -> Unavailable:
        return Unavailable(
            f"{self._location[:200]} cannot be read: {str(error).splitlines()[0][:200]}",
            code="mlflow.bucket_unreadable",
            hint="Set the credentials that its own tools take, such as AWS_ACCESS_KEY_ID and AWS_ENDPOINT_URL.",
        )
