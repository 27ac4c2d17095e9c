"""The files of a model in an S3 bucket, read with the credentials of this environment."""

from collections.abc import Callable, Mapping
from urllib.parse import urlsplit

import obstore
from obstore.exceptions import BaseError
from obstore.store import from_url

from charkh.core.errors import Unavailable


def bucket_files(uri: str, where: str, wanted: Callable[[str], bool], most: int) -> Mapping[str, bytes]:
    """The files below an address such as `s3://models/late`, by their path from there; the one that it names itself.

    Args:
        uri: the address.
        where: it is named, for errors.
        wanted: whether a file of that name is part of the model.
        most: files that are read; one more is read so that the caller sees that there are too many.

    Raises:
        Unavailable: the bucket cannot be read.
    """
    parts = urlsplit(uri)
    prefix = parts.path.strip("/")
    found: dict[str, bytes] = {}
    try:
        store = from_url(f"s3://{parts.netloc}")
        for batch in obstore.list(store, prefix or None):
            for each in batch:
                path = str(each["path"])
                name = path.removeprefix(prefix).lstrip("/") or path.rpartition("/")[2]
                if wanted(name.rpartition("/")[2]) and len(found) <= most:
                    found[name] = bytes(obstore.get(store, path).bytes())
        if not found and prefix:
            # A listing gives what lies below a name, and not what has it.
            found = {prefix.rpartition("/")[2]: bytes(obstore.get(store, prefix).bytes())}
    except FileNotFoundError:
        return {}
    except (BaseError, OSError, ValueError) as error:
        raise Unavailable(
            f"{where}: {uri[:200]} cannot be read: {' '.join(str(error).split())[:300]}",
            code="manifest.bucket_unreadable",
            hint="Set AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY, AWS_REGION, and AWS_ENDPOINT_URL for other servers.",
        ) from error
    return found
