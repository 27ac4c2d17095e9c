"""Scorers, as MLflow's clients register them: serialized texts in numbered versions; nothing of them is run here."""

from typing import Any

from charkh.bridges.mlflow.call import Call, Route
from charkh.bridges.mlflow.envelope import MISSING, MlflowError, invalid
from charkh.bridges.mlflow.experiments import active_experiment, experiment_of
from charkh.bridges.mlflow.run_shape import milliseconds
from charkh.core.errors import NotFound
from charkh.runs.scorer import MAX_NAME, Scorer, ScorersIn, find_scorer, register_scorer, remove_scorer

MAX_SERIALIZED = 1_000_000


def register(call: Call) -> dict[str, Any]:
    """Keep a scorer as the next version of its name."""
    project, name, text = active_experiment(call), call.text("name"), call.text("serialized_scorer")
    if len(name) > MAX_NAME or not name.isprintable():
        raise invalid(f"A scorer's name has 1 to {MAX_NAME} printable characters.")
    if len(text) > MAX_SERIALIZED:
        raise invalid(f"A serialized scorer has at most {MAX_SERIALIZED} characters.")
    made = register_scorer(call.store, project.id, name, text)
    return {
        "version": made.number,
        "scorer_id": made.id,
        "experiment_id": project.id,
        "name": made.name,
        "serialized_scorer": text,
        "creation_time": milliseconds(made.created),
    }


def list_newest(call: Call) -> dict[str, Any]:
    """The newest version of each scorer of an experiment."""
    found = call.store.queries.ask(ScorersIn(project=experiment_of(call).id))
    return {"scorers": [_shape(call, each) for each in {each.name: each for each in found}.values()]}


def list_versions(call: Call) -> dict[str, Any]:
    """Every version of a scorer."""
    project, name = experiment_of(call), call.text("name")
    found = call.store.queries.ask(ScorersIn(project=project.id, name=name))
    if not found:
        raise _no_scorer(project.id, name)
    return {"scorers": [_shape(call, each) for each in found]}


def get(call: Call) -> dict[str, Any]:
    """A version of a scorer, the newest where none is named."""
    project, name = experiment_of(call).id, call.text("name")
    number = call.whole("version") if call.has("version") else None
    try:
        return {"scorer": _shape(call, find_scorer(call.store, project, name, number))}
    except NotFound as error:
        raise _no_scorer(project, name, number) from error


def delete(call: Call) -> None:
    """Remove a version of a scorer, or all of them."""
    project, name = experiment_of(call).id, call.text("name")
    number = call.whole("version") if call.has("version") else None
    try:
        remove_scorer(call.store, project, name, number)
    except NotFound as error:
        raise _no_scorer(project, name, number) from error


def _shape(call: Call, scorer: Scorer) -> dict[str, Any]:
    project = int(scorer.project)
    return {
        # The protocol has 32 bits for it here, and clients refuse an answer with a number that does not fit.
        **({"experiment_id": project} if project < 1 << 31 else {}),
        "scorer_name": scorer.name,
        "scorer_version": scorer.number,
        "serialized_scorer": b"".join(call.store.vault.read(scorer.content)).decode("utf-8", "replace"),
        "creation_time": milliseconds(scorer.created),
        "scorer_id": scorer.id,
    }


def _no_scorer(project: str, name: str, number: int | None = None) -> MlflowError:
    which = "" if number is None else f" and version {number}"
    return MlflowError(MISSING, f"Scorer with name '{name}'{which} not found for experiment {project}.")


ROUTES = (
    Route("POST", "/mlflow/scorers/register", register, "writer", ("3.0",)),
    Route("GET", "/mlflow/scorers/list", list_newest, "reader", ("3.0",)),
    Route("GET", "/mlflow/scorers/versions", list_versions, "reader", ("3.0",)),
    Route("GET", "/mlflow/scorers/get", get, "reader", ("3.0",)),
    Route("DELETE", "/mlflow/scorers/delete", delete, "writer", ("3.0",)),
)
