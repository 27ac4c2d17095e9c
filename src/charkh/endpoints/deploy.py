"""Deploy a model at an endpoint, and stop it. What is deployed is a fact; what listens is `serve`."""

from collections.abc import Sequence

from charkh.core.errors import Bug, Invalid
from charkh.core.refs import parse_name, parse_subject
from charkh.endpoints.deployment import MAX_GRAPH, Deployed, Deployment, checked_reason
from charkh.endpoints.index import CurrentDeployment, Deploy, StopEndpoint
from charkh.ports.runtimes import Signature
from charkh.ports.store import Store


def deploy(
    store: Store,
    name: str,
    model_subject: str,
    *,
    signature: Signature,
    recipe_subjects: Sequence[str] = (),
    capture: float = 1.0,
    reason: str = "",
    decided_by: str = "",
    models: Sequence[str] = (),
    graph: str = "",
    rollout: str = "",
    route: str = "",
    rolls_back: str = "",
    instead_of: str = "",
    begins: bool = True,
) -> Deployment:
    """Let a model version answer at the endpoint `name`; the deployment that is there where it says the same.

    Args:
        store: where the fact goes.
        name: of the endpoint.
        model_subject: `model:ID`.
        signature: of the raw request.
        recipe_subjects: `recipe:ID` of each recipe that prepares requests, in order.
        capture: share of the requests that are logged, from 0 to 1.
        reason: why, in a sentence.
        decided_by: id of the decision of a loop, or empty for a person.
        models: `model:ID` of every model of a graph.
        graph: the graph as canonical JSON.
        rollout: id of the rollout that this is a route of; what answers otherwise stays.
        route: name of that route.
        rolls_back: id of the deployment that it takes back.
        instead_of: digest of what the settings say, where this is something else.
        begins: an endpoint that was stopped answers again.

    Raises:
        Denied: the endpoint was stopped, and this is not to begin it.
        Invalid: a name, a subject or the share is none, or the graph is longer than `MAX_GRAPH`.
    """
    for subject in (model_subject, *models):
        if parse_subject(subject).noun != "model":
            raise Invalid(f"{subject!r} is no model", code="endpoint.invalid", hint="Give model:ID.")
    if len(graph) > MAX_GRAPH:
        raise Invalid(
            f"the graph at {name!r} has {len(graph)} characters, more than {MAX_GRAPH}",
            code="endpoint.graph_too_long",
            hint="Serve it as several endpoints.",
        )
    for subject in recipe_subjects:
        if parse_subject(subject).noun != "recipe":
            raise Invalid(f"{subject!r} is no recipe", code="endpoint.invalid", hint="Give recipe:ID.")
    if not 0.0 <= capture <= 1.0:
        raise Invalid(f"capture is {capture}", code="endpoint.invalid", hint="It is a share from 0 to 1.")
    made = Deployed(
        endpoint=parse_name(name, "endpoint name"),
        deployment="",
        model=model_subject,
        recipes=tuple(recipe_subjects),
        signature=signature,
        capture=capture,
        reason=checked_reason(reason),
        decided_by=decided_by,
        models=tuple(models),
        graph=graph,
        rollout=rollout,
        route=route,
        rolls_back=rolls_back,
        instead_of=instead_of,
    )
    store.commands.decide(Deploy(made=made, begins=begins))
    deployment = store.queries.ask(CurrentDeployment(endpoint=made.endpoint, rollout=rollout, route=route))
    if deployment is None:
        raise Bug(f"the deployment of {name!r} that was just made cannot be found")
    return deployment


def stop(store: Store, name: str, *, reason: str = "") -> None:
    """Let nothing answer at the endpoint any more; its deployments and predictions stay.

    Raises:
        NotFound: there never was such an endpoint.
    """
    store.commands.decide(StopEndpoint(endpoint=parse_name(name, "endpoint name"), reason=checked_reason(reason)))
