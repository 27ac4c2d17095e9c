"""`/api/datasets`: what the datasets are, and their versions."""

from litestar import get
from litestar.datastructures import State
from litestar.params import FromQuery

from charkh.datasets.dataset import DatasetSummary, DatasetVersion
from charkh.datasets.find import find
from charkh.datasets.index import Datasets, DatasetVersions
from charkh.server.handlers.opened import workspace_of
from charkh.server.policy import Policy


@get("/api/datasets", opt={"policy": Policy.READ, "scoped": True}, sync_to_thread=True)
def list_datasets(state: State, prefix: FromQuery[str] = "") -> tuple[DatasetSummary, ...]:
    """Datasets by name."""
    return workspace_of(state).store.queries.ask(Datasets(prefix=prefix))


@get("/api/datasets/versions", opt={"policy": Policy.READ, "scoped": True}, sync_to_thread=True)
def list_versions(state: State, name: FromQuery[str]) -> tuple[DatasetVersion, ...]:
    """Versions of one dataset, newest first."""
    return workspace_of(state).store.queries.ask(DatasetVersions(name=name))


@get("/api/datasets/version", opt={"policy": Policy.READ, "scoped": True}, sync_to_thread=True)
def show_version(state: State, ref: FromQuery[str]) -> DatasetVersion:
    """The version that a reference means."""
    return find(workspace_of(state).store, ref)


HANDLERS = (list_datasets, list_versions, show_version)
