"""What answers where: deployments, stops, and two people who decided apart."""

from collections.abc import Sequence
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from charkh.core.errors import Invalid, NotFound
from charkh.core.events import decode_event
from charkh.endpoints.deploy import deploy, stop
from charkh.endpoints.deployment import Deployment, EndpointSummary
from charkh.endpoints.find import find
from charkh.endpoints.index import PROJECTION as ENDPOINTS
from charkh.endpoints.index import CurrentDeployment, DeploymentById, Deployments, Endpoints
from charkh.endpoints.log import PredictionLog
from charkh.endpoints.log_index import PROJECTION as PREDICTIONS
from charkh.endpoints.log_index import SealedSegments
from charkh.endpoints.seal import seal
from charkh.lineage.index import EdgesFrom
from charkh.ports.projections import Describe
from charkh.ports.runtimes import Signature, TensorSpec
from charkh.ports.store import Store
from charkh.testing.stores import memory_store

PROJECTIONS = (ENDPOINTS, PREDICTIONS)
SIGNATURE = Signature(inputs=(TensorSpec(name="x", datatype="FP64"),), outputs=())


def model(number: int) -> str:
    return f"model:{number:032x}"


def sync(*stores: Store) -> None:
    """Every store gets the facts that another has and it lacks."""
    known = [
        {decode_event(payload).id: payload for batch in store.journal.read({}) for payload in batch.payloads}
        for store in stores
    ]
    for store, mine in zip(stores, known, strict=True):
        foreign = {identifier: payload for other in known for identifier, payload in other.items()}
        store.journal.append([payload for identifier, payload in sorted(foreign.items()) if identifier not in mine])


def test_a_deployment_names_what_it_serves(store: Store) -> None:
    recipe = f"recipe:{7:032x}"
    made = deploy(store, "delay", model(1), signature=SIGNATURE, recipe_subjects=[recipe], capture=0.5, reason="first")
    assert made.current
    assert made.made.signature == SIGNATURE
    edges = store.queries.ask(EdgesFrom(subject=made.subject))
    assert {(edge.relation, edge.target) for edge in edges} == {("serves", model(1)), ("prepares_with", recipe)}
    assert find(store, "delay") == find(store, made.id) == find(store, made.subject) == made
    for subject in (made.subject, "endpoint:delay"):
        shown = store.queries.ask(Describe(subject=subject))
        assert shown is not None
        assert ("serves", model(1)) in shown.lines
    assert store.queries.ask(Describe(subject="endpoint:other")) is None
    assert store.queries.ask(Describe(subject=f"deployment:{0:032x}")) is None
    assert msgspec.json.decode(msgspec.json.encode(made), type=Deployment) == made


def test_saying_the_same_again_is_the_same_deployment(store: Store) -> None:
    first = deploy(store, "delay", model(1), signature=SIGNATURE)
    assert deploy(store, "delay", model(1), signature=SIGNATURE, reason="again") == first
    assert deploy(store, "delay", model(1), signature=SIGNATURE, capture=0.5).id != first.id
    second = deploy(store, "delay", model(2), signature=SIGNATURE)
    assert [(each.made.model, each.current) for each in store.queries.ask(Deployments(endpoint="delay"))] == [
        (model(2), True),
        (model(1), False),
        (model(1), False),
    ]
    back = deploy(store, "delay", model(1), signature=SIGNATURE)
    assert back.id not in {first.id, second.id}, "going back is a deployment of its own"


def test_a_stopped_endpoint_answers_no_more_and_keeps_its_history(store: Store) -> None:
    made = deploy(store, "delay", model(1), signature=SIGNATURE)
    stop(store, "delay", reason="drift")
    stop(store, "delay")
    assert store.queries.ask(CurrentDeployment(endpoint="delay")) is None
    (summary,) = store.queries.ask(Endpoints())
    assert (summary.name, summary.current, summary.deployments) == ("delay", None, 1)
    with pytest.raises(NotFound, match="nothing is deployed"):
        find(store, "delay")
    assert not find(store, made.id).current
    again = deploy(store, "delay", model(1), signature=SIGNATURE)
    assert again.current
    assert again.id != made.id
    with pytest.raises(NotFound, match="no endpoint"):
        stop(store, "other")


@pytest.mark.parametrize(
    ("name", "subject", "more"),
    [
        ("../x", model(1), {}),
        ("delay", "run:1", {}),
        ("delay", "model", {}),
        ("delay", model(1), {"recipe_subjects": ["model:1"]}),
        ("delay", model(1), {"capture": 1.5}),
        ("delay", model(1), {"reason": "x" * 501}),
    ],
)
def test_what_makes_no_sense_is_refused(store: Store, name: str, subject: str, more: dict[str, Any]) -> None:
    with pytest.raises(Invalid):
        deploy(store, name, subject, signature=SIGNATURE, **more)
    assert store.queries.ask(Endpoints()) == ()


def test_secrets_in_a_reason_do_not_enter(store: Store) -> None:
    made = deploy(store, "delay", model(1), signature=SIGNATURE, reason="password=hunter2hunter2")
    assert "hunter2" not in made.made.reason


def test_deployments_decided_apart_show_the_later_and_say_so() -> None:
    ann, bob = memory_store(*PROJECTIONS, actor="ann@laptop"), memory_store(*PROJECTIONS, actor="bob@desk")
    deploy(ann, "delay", model(1), signature=SIGNATURE)
    sync(ann, bob)
    deploy(ann, "delay", model(2), signature=SIGNATURE)
    deploy(bob, "delay", model(3), signature=SIGNATURE)
    sync(ann, bob)
    (summary,) = ann.queries.ask(Endpoints())
    assert bob.queries.ask(Endpoints()) == (summary,)
    assert summary.current is not None
    assert len(summary.rivals) == 1
    assert summary.current.stamp > summary.rivals[0].stamp
    deploy(ann, "delay", summary.current.made.model, signature=SIGNATURE)
    (settled,) = ann.queries.ask(Endpoints())
    assert settled.rivals == ()
    assert msgspec.json.decode(msgspec.json.encode(settled), type=EndpointSummary) == settled


STEPS = st.lists(
    st.tuples(st.sampled_from(["deploy", "deploy", "stop", "log", "sync"]), st.integers(0, 1), st.integers(0, 3)),
    max_size=15,
)


def play(steps: Sequence[tuple[str, int, int]]) -> tuple[Store, Store]:
    """Two people at work, apart and together."""
    stores = memory_store(*PROJECTIONS, actor="ann@laptop"), memory_store(*PROJECTIONS, actor="bob@desk")
    for verb, who, choice in steps:
        store = stores[who]
        if verb == "deploy":
            deploy(store, "delay", model(choice), signature=SIGNATURE)
        elif verb == "stop" and store.queries.ask(Endpoints()):
            stop(store, "delay")
        elif verb == "log":
            log = PredictionLog(store.journal, endpoint="delay", deployment="0" * 32, model=model(choice))
            log.record({}, {}, 0)
            log.close()
            seal(store)
        elif verb == "sync":
            sync(*stores)
    sync(*stores)
    return stores


@settings(max_examples=30)
@given(STEPS, st.randoms(use_true_random=False))
def test_the_catalog_is_a_function_of_the_set_of_events(steps: list[tuple[str, int, int]], random: Any) -> None:
    ann, bob = play(steps)
    payloads = [payload for batch in ann.journal.read({}) for payload in batch.payloads]
    other = memory_store(*PROJECTIONS)
    random.shuffle(payloads)
    while payloads:
        size = random.randint(1, len(payloads))
        other.journal.append([*payloads[:size], payloads[0]])
        payloads = payloads[size:]
        other.queries.ask(Endpoints())
    deployments = ann.queries.ask(Deployments(endpoint="delay"))
    questions: list[Any] = [
        Endpoints(),
        CurrentDeployment(endpoint="delay"),
        Deployments(endpoint="delay"),
        SealedSegments(endpoint="delay"),
        *(DeploymentById(deployment=each.id) for each in deployments),
    ]
    for query in questions:
        assert ann.queries.ask(query) == bob.queries.ask(query) == other.queries.ask(query)
