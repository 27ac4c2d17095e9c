"""What of models and datasets a caller reaches: what its grants name; a logged model is where its project is."""

from collections.abc import Callable, Mapping
from typing import Any, cast

import msgspec

from charkh.core.errors import NotFound
from charkh.core.events import Event
from charkh.datasets.index import PROJECTION as DATASETS
from charkh.models.governance_index import PROJECTION as GOVERNANCE
from charkh.models.index import PROJECTION as MODELS
from charkh.models.index import ModelById
from charkh.models.logged import LoggedModel
from charkh.models.logged_index import PROJECTION as LOGGED
from charkh.models.logged_index import LoggedById, LoggedModels
from charkh.ports.projections import Command, Query
from charkh.users.guarded import Sight, out_of_reach
from charkh.users.scopes import Noun
from charkh.workspace.visible_runs import of_shown_runs, project_name_of, reaches_run

Rule = Callable[[Sight, Any], Any]
_NAMES = (("name",), ("made", "name"), ("moved", "name"), ("version", "name"), ("move", "moved", "name"))


def name_in(found: object) -> str | None:
    """What a thing is called, wherever that stands in it; None where it has no name."""
    for path in _NAMES:
        at: Any = found
        for part in path:
            at = getattr(at, part, None)
        if isinstance(at, str):
            return at
    return None


def by_name(noun: Noun) -> Rule:
    """Answer with what the caller's grants match by name; a thing that has no name is left out."""

    def answer(sight: Sight, query: Any) -> Any:
        asked = getattr(query, "name", None) or getattr(getattr(query, "ref", None), "name", None)
        if isinstance(asked, str) and not sight.reaches(noun, asked):
            return _empty(query, sight)
        found: Any = sight.ask(query)
        if isinstance(found, tuple):
            return tuple(each for each in cast("tuple[object, ...]", found) if _shows(sight, noun, each, asked))
        name = name_in(found)
        if found is None or (name is not None and sight.reaches(noun, name)):
            return found
        return _empty(query, sight)

    return answer


def _shows(sight: Sight, noun: Noun, each: object, asked: object) -> bool:
    name = name_in(each)
    return isinstance(asked, str) if name is None else sight.shows(noun, name)


def _empty(query: Any, sight: Sight) -> Any:
    """The answer of the same shape for a thing that is not there."""
    return () if isinstance(sight.ask(query), tuple) else None


def commanded(noun: Noun) -> Callable[[Sight, Any], None]:
    """Refuse a command about a thing whose name the caller's grants do not match."""

    def check(sight: Sight, command: Any) -> None:
        said: list[Any] = [getattr(command, field, None) for field in ("name", "new")]
        names: set[str] = {each for each in said if isinstance(each, str)}
        made = name_in(getattr(command, "made", None))
        subject = getattr(command, "about", None) or getattr(command, "version", None)
        if made is not None:
            names.add(made)
        elif noun == "model" and not names and isinstance(subject, str):
            version: object = sight.ask(ModelById(version=subject.removeprefix("model:")))
            names = {name for name in (name_in(version),) if name is not None}
        if not names:
            raise out_of_reach(f"what {type(command).__name__} decides")
        for name in names:
            sight.require(noun, name)

    return check


def logged_by_id(sight: Sight, query: LoggedById) -> LoggedModel | None:
    found: LoggedModel | None = sight.ask(query)
    reached = found is not None and sight.reaches("project", project_name_of(sight, found.made.project))
    return found if reached else None


def logged_models(sight: Sight, query: LoggedModels) -> tuple[LoggedModel, ...]:
    return tuple(each for each in sight.ask(query) if sight.shows("project", project_name_of(sight, each.made.project)))


def about_logged(sight: Sight, query: Any) -> Any:
    """Answer a question with a field `logged`: of a model that is out of sight there is nothing."""
    found = sight.ask(query)
    return found if logged_by_id(sight, LoggedById(logged=query.logged)) is not None else type(found)()


def may_state_about_model(sight: Sight, event: Event) -> None:
    """Facts that are stated without a decision: of logged models, and by name."""
    body: Any = msgspec.msgpack.decode(event.body)
    if "logged" in body:
        known: LoggedModel | None = sight.ask(LoggedById(logged=str(body["logged"])))
        if known is not None:
            sight.require("project", project_name_of(sight, known.made.project))
        elif "project" in body:
            sight.require("project", project_name_of(sight, str(body["project"])))
        else:
            raise NotFound("there is no such logged model", code="model.not_found")
        if body.get("run") and not reaches_run(sight, str(body["run"])):
            raise NotFound("there is no such run", code="run.not_found")
        return
    if not isinstance(body.get("name"), str):
        raise out_of_reach(f"what {event.kind} states")
    sight.require("model", body["name"])


def may_state_about_dataset(sight: Sight, event: Event) -> None:
    body: Any = msgspec.msgpack.decode(event.body)
    if not isinstance(body.get("name"), str):
        raise out_of_reach(f"what {event.kind} states")
    sight.require("dataset", body["name"])


def _logged_rule(kind: type[Query[Any]]) -> Rule | None:
    if "logged" in kind.__struct_fields__:
        return about_logged
    return of_shown_runs if "runs" in kind.__struct_fields__ else None


ANSWERS: Mapping[type[Query[Any]], Rule] = {
    **dict.fromkeys(MODELS.answers, by_name("model")),
    **dict.fromkeys(GOVERNANCE.answers, by_name("model")),
    **dict.fromkeys(DATASETS.answers, by_name("dataset")),
    **{kind: rule for kind in LOGGED.answers if (rule := _logged_rule(kind)) is not None},
    LoggedById: logged_by_id,
    LoggedModels: logged_models,
}
COMMANDS: Mapping[type[Command], Callable[[Sight, Any], None]] = {
    **dict.fromkeys(MODELS.decisions, commanded("model")),
    **dict.fromkeys(DATASETS.decisions, commanded("dataset")),
}
FACTS: Mapping[str, Callable[[Sight, Event], None]] = {
    "model": may_state_about_model,
    "logged_model": may_state_about_model,
    "dataset": may_state_about_dataset,
}
