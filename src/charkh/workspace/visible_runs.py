"""What of runs and projects a caller reaches: a run is where its project is, and a project where its name is."""

import time
from collections.abc import Callable, Iterable, Mapping
from typing import Any

import msgspec

from charkh.core.errors import Bug
from charkh.core.events import Event, body_of
from charkh.ports.projections import Command, Projection, Query
from charkh.runs import evaluation_dataset, project, run, scorer, trace
from charkh.runs.evaluation_dataset import EvaluationDataset, EvaluationDatasets, RecordPlace, RecordsOf
from charkh.runs.held import PROJECTION as HELD
from charkh.runs.held import HeldAmong
from charkh.runs.index import PROJECTION as RUNS
from charkh.runs.index import (
    ChildRuns,
    FindRuns,
    GoalsOf,
    KnownNames,
    RunCounts,
    RunsByIds,
    RunsLike,
    SealedAmong,
    TrashedRuns,
    WerePurged,
)
from charkh.runs.inputs import InputsInProjects, InputsOfRuns, NamedInput, RunsWithInput
from charkh.runs.project import DEFAULT_NAME, DEFAULT_PROJECT, Project
from charkh.runs.project_index import AllProjects, CreateProject, RenameProject
from charkh.runs.run import Run
from charkh.runs.scorer import RegisterScorer, Scorer, ScorersIn
from charkh.runs.trace_index import SpansOf, TracesByIds, TracesIn
from charkh.users.guarded import Sight, out_of_reach

ADMINS = frozenset({run.DELETED_KIND})
"""Facts about runs that only an admin of the project states: bytes are freed for good."""


def project_name_of(sight: Sight, identifier: str) -> str:
    """The name of the project with this id; a project that is not known is called by its id."""
    names = {each.id: each.name for each in sight.ask(AllProjects())}
    wanted = identifier or DEFAULT_PROJECT
    return names.get(wanted, DEFAULT_NAME if wanted == DEFAULT_PROJECT else wanted)


def reaches_run(sight: Sight, identifier: str) -> bool:
    """Whether the request may be about the run with this id."""
    (found,) = sight.ask(RunsByIds(runs=(identifier,), now=time.time())) or (None,)
    return found is not None and sight.reaches("project", project_name_of(sight, found.project))


def shown_runs(sight: Sight, identifiers: Iterable[str]) -> tuple[Run, ...]:
    """Those of these runs that the request may be about."""
    found = sight.ask(RunsByIds(runs=tuple(identifiers), now=time.time()))
    return _shown(sight, found)


def _shown(sight: Sight, found: Iterable[Run]) -> tuple[Run, ...]:
    projects = _projects(sight)
    return tuple(each for each in found if each.project in projects)


def _projects(sight: Sight) -> frozenset[str]:
    """Ids of the projects that the request may be about."""
    known = {each.id: each.name for each in sight.ask(AllProjects())}
    known.setdefault(DEFAULT_PROJECT, DEFAULT_NAME)
    return frozenset(identifier for identifier, name in known.items() if sight.shows("project", name))


def runs_by_ids(sight: Sight, query: RunsByIds) -> tuple[Run, ...]:
    found = sight.ask(query)
    if len(found) == 1:
        return found if sight.reaches("project", project_name_of(sight, found[0].project)) else ()
    return _shown(sight, found)


def runs_like(sight: Sight, query: RunsLike) -> tuple[str, ...]:
    readable = {each.id for each in sight.ask(RunsByIds(runs=sight.ask(query), now=time.time()))}
    return tuple(each for each in sight.ask(query) if each in readable and _is_readable(sight, each))


def _is_readable(sight: Sight, identifier: str) -> bool:
    (found,) = sight.ask(RunsByIds(runs=(identifier,), now=time.time())) or (None,)
    return found is not None and sight.caller.may("reader", "project", project_name_of(sight, found.project))


def find_runs(sight: Sight, query: FindRuns) -> tuple[Run, ...]:
    shown = _projects(sight)
    wanted = shown & set(query.projects) if query.projects else shown
    return sight.ask(msgspec.structs.replace(query, projects=tuple(sorted(wanted)))) if wanted else ()


def child_runs(sight: Sight, query: ChildRuns) -> tuple[str, ...]:
    return tuple(each.id for each in shown_runs(sight, sight.ask(query)))


def all_projects(sight: Sight, query: AllProjects) -> tuple[Project, ...]:
    return tuple(each for each in sight.ask(query) if sight.caller.may("reader", "project", each.name))


def about_a_run(sight: Sight, query: Any) -> Any:
    """Answer a question with a field `run`: of a run that is out of sight there is nothing."""
    found = sight.ask(query)
    return found if reaches_run(sight, query.run) else type(found)()


def about_runs(sight: Sight, query: Any) -> Any:
    """Answer a question with a field `runs`, about those that the request may be about."""
    return sight.ask(msgspec.structs.replace(query, runs=tuple(each.id for each in shown_runs(sight, query.runs))))


def run_counts(sight: Sight, query: RunCounts) -> dict[str, int]:
    shown = _projects(sight)
    return {project: count for project, count in sight.ask(query).items() if project in shown}


def of_shown_runs(sight: Sight, query: Any) -> Any:
    """Answer a question with a field `runs`, about those that the caller reaches."""
    return sight.ask(msgspec.structs.replace(query, runs=tuple(each.id for each in shown_runs(sight, query.runs))))


def runs_with_input(sight: Sight, query: RunsWithInput) -> tuple[str, ...]:
    return tuple(each.id for each in shown_runs(sight, sight.ask(query)))


def inputs_in_projects(sight: Sight, query: InputsInProjects) -> tuple[NamedInput, ...]:
    wanted = _projects(sight) & set(query.projects)
    return sight.ask(msgspec.structs.replace(query, projects=tuple(sorted(wanted)))) if wanted else ()


def traces_by_ids(sight: Sight, query: TracesByIds) -> tuple[trace.Trace, ...]:
    projects = _projects(sight)
    return tuple(each for each in sight.ask(query) if (each.logged.project or DEFAULT_PROJECT) in projects)


def traces_in(sight: Sight, query: TracesIn) -> tuple[trace.Trace, ...]:
    wanted = _projects(sight) & set(query.projects)
    return sight.ask(msgspec.structs.replace(query, projects=tuple(sorted(wanted)))) if wanted else ()


def spans_of(sight: Sight, query: SpansOf) -> dict[str, tuple[trace.SpansLogged, ...]]:
    shown = traces_by_ids(sight, TracesByIds(traces=query.traces))
    return sight.ask(SpansOf(traces=tuple(each.id for each in shown)))


def evaluation_datasets(sight: Sight, query: EvaluationDatasets) -> tuple[EvaluationDataset, ...]:
    # One that belongs to no project is about the workspace as a whole.
    shown = _projects(sight)
    return tuple(each for each in sight.ask(query) if each.projects and shown.issuperset(each.projects))


def records_of(sight: Sight, query: RecordsOf) -> tuple[RecordPlace, ...]:
    shown = evaluation_datasets(sight, EvaluationDatasets(dataset=query.dataset))
    return sight.ask(query) if query.dataset and shown else ()


def scorers_in(sight: Sight, query: ScorersIn) -> tuple[Scorer, ...]:
    return sight.ask(query) if sight.reaches("project", project_name_of(sight, query.project)) else ()


def freely(sight: Sight, query: Any) -> Any:
    """Answer as the store does: what was asked with says as much as the answer."""
    return sight.ask(query)


def nothing(_sight: Sight, _query: Any) -> tuple[str, ...]:
    """There is nothing for somebody who does not reach everywhere."""
    return ()


def _of(projection: Projection) -> Mapping[type[Query[Any]], Callable[[Sight, Any], Any]]:
    return {kind: about_a_run for kind in projection.answers if "run" in kind.__struct_fields__}


ANSWERS: Mapping[type[Query[Any]], Callable[[Sight, Any], Any]] = {
    **_of(RUNS),
    **_of(HELD),
    **{kind: about_runs for kind in RUNS.answers if "runs" in kind.__struct_fields__},
    RunsByIds: runs_by_ids,
    RunsLike: runs_like,
    FindRuns: find_runs,
    ChildRuns: child_runs,
    AllProjects: all_projects,
    InputsOfRuns: of_shown_runs,
    RunsWithInput: runs_with_input,
    InputsInProjects: inputs_in_projects,
    TracesByIds: traces_by_ids,
    TracesIn: traces_in,
    SpansOf: spans_of,
    EvaluationDatasets: evaluation_datasets,
    RecordsOf: records_of,
    ScorersIn: scorers_in,
    SealedAmong: freely,
    HeldAmong: freely,
    WerePurged: freely,
    TrashedRuns: nothing,
    KnownNames: nothing,
    GoalsOf: freely,
    RunCounts: run_counts,
}


def may_create(sight: Sight, command: CreateProject) -> None:
    sight.require("project", command.name)


def may_rename(sight: Sight, command: RenameProject) -> None:
    sight.require("project", project_name_of(sight, command.project))
    sight.require("project", command.name)


def may_register(sight: Sight, command: RegisterScorer) -> None:
    sight.require("project", project_name_of(sight, command.project))


COMMANDS: Mapping[type[Command], Callable[[Sight, Any], None]] = {
    CreateProject: may_create,
    RenameProject: may_rename,
    RegisterScorer: may_register,
}


def may_state_about_run(sight: Sight, event: Event) -> None:
    identifier = event.subject.partition(":")[2]
    if event.kind in ADMINS:
        raise out_of_reach(f"what {event.kind} states")
    if event.kind == run.STARTED_KIND:
        started = body_of(event, run.RunStarted)
        # Said again, it must not carry a run of another project away.
        (known,) = sight.ask(RunsByIds(runs=(identifier,), now=time.time())) or (None,)
        if known is not None:
            sight.require("project", project_name_of(sight, known.project))
        sight.require("project", project_name_of(sight, started.project))
        return
    (found,) = sight.ask(RunsByIds(runs=(identifier,), now=time.time())) or (None,)
    if found is None:
        raise out_of_reach(f"what {event.kind} states of a run that is not known here")
    sight.require("project", project_name_of(sight, found.project))


def may_state_about_project(sight: Sight, event: Event) -> None:
    identifier = event.subject.partition(":")[2]
    if event.kind == project.MADE_KIND:
        sight.require("project", body_of(event, project.ProjectMade).name)
        if identifier not in {each.id for each in sight.ask(AllProjects())}:
            return
    if event.kind == project.RENAMED_KIND:
        raise Bug("a project is renamed by a command")
    sight.require("project", project_name_of(sight, identifier))


def may_state_about_trace(sight: Sight, event: Event) -> None:
    identifier = event.subject.partition(":")[2]
    if msgspec.msgpack.decode(event.body).get("trace") != identifier:
        raise out_of_reach(f"what {event.kind} states of another trace than its subject")
    _drops_itself(event)
    found = sight.ask(TracesByIds(traces=(identifier,)))
    if found:
        # Said again, it must not carry a trace of another project away.
        sight.require("project", project_name_of(sight, found[0].logged.project))
    if event.kind == trace.TRACE_KIND:
        sight.require("project", project_name_of(sight, body_of(event, trace.TraceLogged).project))
    elif not found:
        raise out_of_reach(f"what {event.kind} states of a trace that is not known here")


def _drops_itself(event: Event) -> None:
    if set(event.drops) - {event.subject}:
        raise out_of_reach(f"what {event.kind} drops besides its subject")


def may_state_about_evaluation_dataset(sight: Sight, event: Event) -> None:
    identifier = event.subject.partition(":")[2]
    if msgspec.msgpack.decode(event.body).get("dataset") != identifier:
        raise out_of_reach(f"what {event.kind} states of another evaluation dataset than its subject")
    _drops_itself(event)
    found = sight.ask(EvaluationDatasets(dataset=identifier))
    if event.kind == evaluation_dataset.MADE_KIND and not found:
        return
    concerned = {each for one in found for each in one.projects}
    if event.kind == evaluation_dataset.CHANGED_KIND:
        concerned |= body_of(event, evaluation_dataset.EvaluationDatasetChanged).projects.keys()
    if not concerned:
        raise out_of_reach(f"what {event.kind} states of an evaluation dataset without a project")
    for each in sorted(concerned):
        sight.require("project", project_name_of(sight, each))


def may_state_about_scorer(sight: Sight, event: Event) -> None:
    if event.kind != scorer.REMOVED_KIND:
        raise Bug("a scorer is registered by a command")
    body = body_of(event, scorer.ScorerRemoved)
    if event.drops and not all(each.startswith(f"scorer:{body.project}/") for each in event.drops):
        raise out_of_reach(f"what {event.kind} drops in another project")
    sight.require("project", project_name_of(sight, body.project))


FACTS: Mapping[str, Callable[[Sight, Event], None]] = {
    "run": may_state_about_run,
    "project": may_state_about_project,
    "trace": may_state_about_trace,
    "scorer": may_state_about_scorer,
    "evaluation_dataset": may_state_about_evaluation_dataset,
}
