"""The words of OpenLineage 2-0-2 that all its events share: facets with their schemas, times, ids, the producer.

Source: https://openlineage.io/spec. What the specification has no facet for stands in facets named `charkh_…`, as it
asks of facets that are not its own.
"""

import uuid
from datetime import UTC, datetime
from importlib.metadata import version as installed_version

Json = dict[str, object]

SPECIFICATION = "https://openlineage.io/spec"
SCHEMA = f"{SPECIFICATION}/2-0-2/OpenLineage.json#/$defs"
PAGE = "https://pypi.org/project/charkh"


def facet(number: str, name: str, /, **content: object) -> Json:
    """A facet of the specification.

    Args:
        number: version of its schema, such as `1-0-1`.
        name: of its schema, such as `ErrorMessageRunFacet`.
        content: its fields.
    """
    address = f"{SPECIFICATION}/facets/{number}/{name}.json#/$defs/{name}"
    return {"_producer": producer(), "_schemaURL": address, **content}


def own_facet(base: str, /, **content: object) -> Json:
    """A facet of charkh's own; `base` is the kind of facet, such as `RunFacet`."""
    return {"_producer": producer(), "_schemaURL": f"{SCHEMA}/{base}", **content}


def producer() -> str:
    """Who writes the events."""
    return f"{PAGE}/{installed_version('charkh')}"


def time_text(seconds: float) -> str:
    """Seconds since the epoch as OpenLineage writes them."""
    return datetime.fromtimestamp(seconds, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def uuid_of(identifier: str) -> str:
    """An id as the UUID that it is; of an id that is none, one that is always the same."""
    try:
        return str(uuid.UUID(identifier))
    except ValueError:
        return str(uuid.uuid5(uuid.NAMESPACE_URL, f"charkh:{identifier}"))
