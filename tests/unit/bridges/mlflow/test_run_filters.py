"""MLflow's filters of runs as conditions: what they mean, and that nothing but its own error comes of any text."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from charkh.bridges.mlflow.envelope import MlflowError
from charkh.bridges.mlflow.run_filters import run_condition, run_order
from charkh.core.clock import Clock
from charkh.ports.projections import Query
from charkh.ports.store import Store
from charkh.runs.inputs import RunsWithInput
from charkh.runs.query import All, Any_, Comparison, Field, Not, Order
from charkh.stores.journal_memory import MemoryJournal


class Inputs:
    """Answers which runs have an input."""

    stale = False

    def ask(self, query: Query[object]) -> object:
        assert isinstance(query, RunsWithInput)
        return ("1f3a",) if query.values == ("tiny",) else ()


STORE = Store(
    journal=MemoryJournal(),
    vault=None,  # type: ignore[arg-type]
    commands=None,  # type: ignore[arg-type]
    queries=Inputs(),  # type: ignore[arg-type]
    clock=Clock(),
    actor="me",
)


def compared(family: str, name: str, operator: str, *values: object) -> Comparison:
    return Comparison(Field(family, name), operator, values)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("text", "meant"),
    [
        ("", None),
        ("metrics.auc > 0.7", compared("metrics", "auc", ">", 0.7)),
        ("metric.`a b` <= -1e3", compared("metrics", "a b", "<=", -1000.0)),
        ("params.rate = '0.1'", compared("told", "rate", "==", "0.1")),
        ('parameters."x/y" ILIKE "%A_"', compared("told", "x/y", "ilike", "%A_")),
        ("tags.stage != 'draft'", compared("tags", "stage", "!=", "draft")),
        ("tags.mlflow.runName = 'one'", compared("run", "name", "==", "one")),
        ("params.a IS NOT NULL", compared("told", "a", "is not null")),
        ("tag.a is null", compared("tags", "a", "is null")),
        ("run_id IN ('a', 'b')", compared("run", "id", "in", "a", "b")),
        ("attributes.run_id NOT IN ('a')", compared("run", "id", "not in", "a")),
        ("`run name` LIKE 'o%'", compared("run", "name", "like", "o%")),
        ("start_time >= 1500", compared("run", "created", ">=", 1.5)),
        ("attr.status = 'FAILED'", compared("run", "status", "in", "failed", "lost")),
        ("status != 'FAILED'", compared("run", "status", "in", "running", "scheduled", "finished", "killed")),
        ("status LIKE 'F%'", compared("run", "status", "in", "finished", "failed", "lost")),
        ("dataset.name = 'tiny'", compared("run", "id", "in", "1f3a")),
        ("datasets.digest IN ('x')", compared("run", "id", "in")),
        (
            f"artifact_uri != 'mlflow-artifacts:/0/{'a' * 32}/artifacts'",
            Not(compared("run", "id", "in", "a" * 32)),
        ),
    ],
)
def test_a_filter_means(text: str, meant: object) -> None:
    assert run_condition(STORE, text) == meant


def test_clauses_hold_together_and_a_parent_is_looked_for_where_it_is_kept() -> None:
    found = run_condition(STORE, "metrics.a = 1 and params.b != 'x' AND tags.mlflow.parentRunId = 'p'")
    parent = Any_((compared("run", "parent", "==", "p"), compared("tags", "mlflow.parentRunId", "==", "p")))
    assert found == All((compared("metrics", "a", "==", 1.0), compared("told", "b", "!=", "x"), parent))


@pytest.mark.parametrize(
    "text",
    [
        "metrics.a = '1'",
        "metrics.a LIKE 'x'",
        "metrics.a IS NULL",
        "params.a = 1",
        "params.a > '1'",
        "tags.a IN ('x')",
        "status = RUNNING",
        "status IN ('RUNNING')",
        "attributes.nothing = 'x'",
        "dataset.size = 'x'",
        "models.name = 'x'",
        "start_time = 'now'",
        "artifact_uri LIKE '%x'",
        "metrics.a = 1 OR metrics.b = 2",
        "(metrics.a = 1)",
        "NOT metrics.a = 1",
        "metrics.a",
        "metrics.a =",
        "= 1",
        "'a' = 'b'",
        "metrics.a = 1 metrics.b = 2",
        "run_id IN ()",
        "a" * 70_000,
        " AND ".join(["a.b = 1"] * 300),
    ],
)
def test_what_is_not_of_the_grammar_is_said_so(text: str) -> None:
    with pytest.raises(MlflowError) as raised:
        run_condition(STORE, text)
    assert raised.value.code == "INVALID_PARAMETER_VALUE"


PIECES = """metrics.a params.`b_c` tags.x status run_id dataset.name = != LIKE IN IS NOT NULL AND OR ( ) , 'x' "y"
1 -2.5e3 ` ' " . é % _"""
WORDS = st.sampled_from([*PIECES.split(), "params.`b c`", "\0", " "])


@given(st.text(max_size=60) | st.lists(WORDS, max_size=12).map(" ".join) | st.lists(WORDS, max_size=12).map("".join))
def test_any_text_is_a_filter_or_refused(text: str) -> None:
    for read in (lambda: run_condition(STORE, text), lambda: run_order([text])):
        try:
            read()
        except MlflowError as error:
            assert error.status == 400


def test_an_order_ends_with_what_tells_all_runs_apart() -> None:
    created, identifier = Order(Field("run", "created"), descending=True), Order(Field("run", "id"))
    assert run_order([]) == (created, identifier)
    assert run_order(["metrics.`a b` DESC", "params.x", "tags.mlflow.runName asc"]) == (
        Order(Field("metrics", "a b"), descending=True),
        Order(Field("told", "x")),
        Order(Field("run", "name")),
        created,
        identifier,
    )
    assert run_order(["attributes.start_time ASC"]) == (Order(Field("run", "created")), identifier)
    for wrong in (["metrics.a", "metric.a DESC"], ["nothing"], ["metrics.a UP"], ["models.a"]):
        with pytest.raises(MlflowError):
            run_order(wrong)
