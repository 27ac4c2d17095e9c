"""The noun: what a deployment is and what its events say. Pure data, no I/O."""

import msgspec

from charkh.core.errors import Invalid
from charkh.core.files import FileRef
from charkh.core.redact import redact
from charkh.ports.runtimes import Signature

DEPLOYED_KIND = "endpoint.deployed/1"
STOPPED_KIND = "endpoint.stopped/1"
SEALED_KIND = "endpoint.sealed/1"
EXPIRED_KIND = "endpoint.expired/1"
TRUTH_KIND = "endpoint.truth/1"

SERVES = "serves"
PREPARES_WITH = "prepares_with"
MAX_REASON = 500
MAX_GRAPH = 32_000


class Deployed(msgspec.Struct, frozen=True, kw_only=True):
    """Body of `endpoint.deployed/1`.

    Attributes:
        endpoint: name of the endpoint.
        deployment: id of the deployment, which is the subject's id.
        model: subject of the model version that answers, `model:ID`.
        recipes: subjects of the recipes that prepare requests, `recipe:ID`, in order.
        signature: of the raw request.
        capture: share of the requests that are logged, from 0 to 1.
        replaces: ids of the events that this decision saw and supersedes.
        reason: why, in a sentence, without credentials.
        decided_by: id of the decision of a loop, or empty for a person.
        models: every model of a graph, of which `model` is the first; empty where there is no graph.
        graph: the graph as canonical JSON, or empty.
        rollout: id of the rollout that it is a route of; such a deployment does not replace what answers otherwise.
        route: name of that route, or empty.
        rolls_back: id of the deployment that it takes back, or empty; it answers instead until the settings
            say something else than that one did.
        instead_of: digest of what the settings said where a person deployed something else, or empty; it answers
            instead until they say something else.
    """

    endpoint: str
    deployment: str
    model: str
    recipes: tuple[str, ...] = ()
    signature: Signature
    capture: float = 1.0
    replaces: tuple[str, ...] = ()
    reason: str = ""
    decided_by: str = ""
    models: tuple[str, ...] = ()
    graph: str = ""
    rollout: str = ""
    route: str = ""
    rolls_back: str = ""
    instead_of: str = ""


class Stopped(msgspec.Struct, frozen=True, kw_only=True):
    """Body of `endpoint.stopped/1`: the endpoint answers no more.

    Attributes:
        endpoint: name of the endpoint.
        deployment: id of the deployment that answered until now.
        replaces: ids of the events that this decision saw and supersedes.
        reason: why, in a sentence, without credentials.
    """

    endpoint: str
    deployment: str
    replaces: tuple[str, ...] = ()
    reason: str = ""


class Sealed(msgspec.Struct, frozen=True, kw_only=True):
    """Body of `endpoint.sealed/1`: the records of a closed data segment lie in a Parquet file now.

    Attributes:
        endpoint: name of the endpoint.
        deployment: id of the deployment that answered.
        model: subject of the model version that answered.
        version: of the model, as the answers said it.
        segment: id of the data segment.
        file: the Parquet file; None where the segment held no record.
        records: how many requests.
        rows: how many predictions.
        first: seconds since the epoch of the earliest, 0 where there is none.
        last: of the latest.
    """

    endpoint: str
    deployment: str
    model: str
    version: str
    segment: str
    file: FileRef | None
    records: int
    rows: int
    first: float
    last: float


class Expired(msgspec.Struct, frozen=True, kw_only=True):
    """Body of `endpoint.expired/1`: predictions and truths are older than they are kept, and are gone.

    Attributes:
        endpoint: name of the endpoint.
        before: seconds since the epoch; everything in them is older.
        segments: the sealed segments.
        truths: ids of the files of truths.
        rows: predictions in the segments.
        bytes: of the files.
    """

    endpoint: str
    before: float
    segments: tuple[str, ...]
    truths: tuple[str, ...] = ()
    rows: int = 0
    bytes: int = 0


class TruthTold(msgspec.Struct, frozen=True, kw_only=True):
    """Body of `endpoint.truth/1`: what turned out to be right for predictions of an endpoint.

    Attributes:
        endpoint: name of the endpoint.
        truths: id of the file, which is the subject's id.
        file: Parquet (docs/formats/predictions.md).
        rows: in it.
        first: seconds since the epoch at which the earliest of them was known.
        last: the latest.
    """

    endpoint: str
    truths: str
    file: FileRef
    rows: int
    first: float
    last: float


class Deployment(msgspec.Struct, frozen=True, kw_only=True):
    """A deployment as the catalog answers it.

    Attributes:
        made: what its event says.
        actor: who deployed, `user@host`.
        at: seconds since the epoch.
        stamp: the total order of concurrent deployments.
        current: it answers now: nothing has replaced or stopped it.
    """

    made: Deployed
    actor: str
    at: float
    stamp: str
    current: bool

    @property
    def id(self) -> str:
        return self.made.deployment

    @property
    def subject(self) -> str:
        """`deployment:ID`, as it stands in edges."""
        return f"deployment:{self.made.deployment}"


class EndpointSummary(msgspec.Struct, frozen=True, kw_only=True):
    """An endpoint in a list.

    Attributes:
        name: of the endpoint.
        current: what answers now; None when it is stopped.
        rivals: deployments decided apart from the current one that nobody has settled.
        deployments: how many there have been.
        sealed: predictions that lie in sealed segments.
    """

    name: str
    current: Deployment | None
    rivals: tuple[Deployment, ...]
    deployments: int
    sealed: int


def checked_reason(text: str) -> str:
    """A reason that may stand in an event.

    Raises:
        Invalid: longer than `MAX_REASON`.
    """
    reason = redact(text.strip())
    if len(reason) > MAX_REASON:
        raise Invalid(
            f"the reason has {len(reason)} characters, more than {MAX_REASON}",
            code="endpoint.reason_too_long",
            hint="Say it in a sentence.",
        )
    return reason
