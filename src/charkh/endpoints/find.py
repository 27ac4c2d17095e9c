"""Find the deployment that a reference means."""

from charkh.core.errors import NotFound
from charkh.core.ids import ID_PATTERN
from charkh.core.refs import parse_name
from charkh.endpoints.deployment import Deployment
from charkh.endpoints.index import CurrentDeployment, DeploymentById, Endpoints
from charkh.ports.store import Store


def find(store: Store, ref: str) -> Deployment:
    """The deployment that `ref` means: `deployment:ID`, an id, or an endpoint's name for what answers there now.

    Raises:
        NotFound: there is none, or the endpoint is stopped.
    """
    identifier = ref.removeprefix("deployment:")
    if ID_PATTERN.fullmatch(identifier):
        found = store.queries.ask(DeploymentById(deployment=identifier))
    else:
        found = store.queries.ask(CurrentDeployment(endpoint=parse_name(ref.removeprefix("endpoint:"))))
    if found is None:
        names = ", ".join(each.name for each in store.queries.ask(Endpoints())[:10]) or "none yet"
        raise NotFound(
            f"nothing is deployed at {ref}",
            code="endpoint.not_found",
            hint=f"`charkh endpoint list` shows endpoints; known: {names}.",
        )
    return found
