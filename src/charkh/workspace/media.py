"""Open a medium that is no store of charkh's own, such as another program's remote in a bucket."""

from collections.abc import Mapping

from charkh.ports.blobs import Blobs


def open_bucket(url: str, options: Mapping[str, str] | None = None) -> Blobs:
    """The objects below `s3://bucket/prefix`, `gs://…` or `az://…`.

    Args:
        url: of the bucket and prefix.
        options: of the object store's library, beside what the environment says.

    Raises:
        Invalid: charkh does not speak to that kind of store.
    """
    # Imported here: the object store's library costs 25 ms of start-up.
    from charkh.stores.blobs_object import object_blobs

    return object_blobs(url, options)
