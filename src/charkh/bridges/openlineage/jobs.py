"""The job and the facets of an execution: whose it is, from which code, on what it ran, and under which parent."""

from urllib.parse import quote

import msgspec

from charkh.bridges.openlineage.facets import Json, facet, own_facet, producer, time_text, uuid_of
from charkh.core.errors import NotFound
from charkh.core.files import FileRef
from charkh.ports.store import Store
from charkh.runs.index import RunsByIds
from charkh.runs.notes import read_note
from charkh.runs.projects import DEFAULT_PROJECT, find_project
from charkh.runs.run import LargeValue, Run, RunProvenance, json_text
from charkh.webhooks.letter import plain

MAX_SOURCE = 64 * 1024
"""Bytes of a script that an event carries."""
MAX_PARAMS = 200


def run_of(store: Store, identifier: str, now: float) -> Run | None:
    """The run with this id."""
    return next(iter(store.queries.ask(RunsByIds(runs=(identifier,), now=now))), None)


def job_of(store: Store, run: Run) -> str:
    """The job that a run is an execution of: its project, or what it is called; the same from its first fact on."""
    project = run.started.project
    if project and project != DEFAULT_PROJECT:
        try:
            return find_project(store, project).name
        except NotFound:
            return project
    return run.started.group or run.started.name or "run"


def job(namespace: str, name: str, kind: str, facets: Json | None = None) -> Json:
    """A job of charkh's.

    Args:
        namespace: of the workspace.
        name: of the job.
        kind: `RUN`, `STEP`, `DATASET` or `MODEL`.
        facets: more of them.
    """
    kinds = facet("2-0-4", "JobTypeJobFacet", processingType="BATCH", integration="CHARKH", jobType=kind)
    return {"namespace": namespace, "name": name, "facets": {"jobType": kinds, **(facets or {})}}


def run_job_facets(store: Store, run: Run) -> Json:
    """Owner, words and code of a run."""
    owner = {"name": f"user:{run.started.user or run.actor}", "type": "MAINTAINER"}
    facets: Json = {"ownership": facet("1-0-1", "OwnershipJobFacet", owners=[owner])}
    if note := read_note(store, run):
        facets["documentation"] = facet(
            "1-1-0", "DocumentationJobFacet", description=note[:5000], contentType="text/markdown"
        )
    provenance = run.provenance
    if provenance is None:
        return facets
    if located := _location(provenance):
        facets["sourceCodeLocation"] = facet("1-1-0", "SourceCodeLocationJobFacet", **located)
    script = _text(store, provenance.script)
    if script and len(script) <= MAX_SOURCE:
        facets["sourceCode"] = facet("1-0-1", "SourceCodeJobFacet", language="PYTHON", sourceCode=script)
    return facets


def run_facets(store: Store, run: Run, *, namespace: str, whole: bool) -> Json:
    """What is known of an execution.

    Args:
        store: where texts and parents are.
        run: that is executed.
        namespace: of the workspace.
        whole: it is over: params and tags, which come while it runs, are all there.
    """
    facets: Json = {
        "nominalTime": facet("1-0-1", "NominalTimeRunFacet", nominalStartTime=time_text(run.created)),
        "processing_engine": facet(
            "1-1-1", "ProcessingEngineRunFacet", name="charkh", version=producer().rpartition("/")[2]
        ),
        "charkh_run": own_facet("RunFacet", id=run.subject, name=run.name, actor=run.actor),
    }
    if run.started.parent and (parent := run_of(store, run.started.parent, run.created)) is not None:
        facets["parent"] = parent_facet(store, parent, namespace=namespace)
    variables = _variables(store, run.provenance)
    if variables:
        facets["environmentVariables"] = facet("1-0-0", "EnvironmentVariablesRunFacet", environmentVariables=variables)
    if not whole:
        return facets
    if run.params:
        facets["executionParameters"] = facet("1-0-0", "ExecutionParametersRunFacet", parameters=_params(run))
    if run.tags:
        told = [{"key": key, "value": value[:500], "source": "charkh"} for key, value in sorted(run.tags.items())]
        facets["tags"] = facet("1-0-0", "TagsRunFacet", tags=told[:MAX_PARAMS])
    metrics = plain(dict(list(run.metrics.items())[:MAX_PARAMS]))
    facets["charkh_run"] = own_facet("RunFacet", id=run.subject, name=run.name, actor=run.actor, metrics=metrics)
    if run.error:
        facets["errorMessage"] = error_facet(run.error)
    return facets


def parent_facet(store: Store, parent: Run, *, namespace: str) -> Json:
    """The run within which something was executed."""
    return facet(
        "1-2-0",
        "ParentRunFacet",
        run={"runId": uuid_of(parent.id)},
        job={"namespace": namespace, "name": job_of(store, parent)},
    )


def error_facet(error: str) -> Json:
    """Why an execution failed."""
    return facet("1-0-1", "ErrorMessageRunFacet", message=error, programmingLanguage="PYTHON")


def _params(run: Run) -> list[Json]:
    params = sorted(run.params.items())[:MAX_PARAMS]
    return [{"key": name, "name": name, "value": _param(value)} for name, value in params]


def _param(value: object) -> str:
    return f"{value.file.size} bytes of JSON" if isinstance(value, LargeValue) else json_text(value)


def _variables(store: Store, provenance: RunProvenance | None) -> list[Json]:
    """The variables of the allow-list that the run recorded; no others are known here."""
    text = _text(store, provenance.variables) if provenance is not None else ""
    if not text:
        return []
    found = msgspec.json.decode(text, type=dict[str, str])
    return [{"name": name, "value": value} for name, value in sorted(found.items())]


def _location(provenance: RunProvenance) -> Json:
    remote = _web_address(provenance.remote)
    if not remote or not provenance.commit:
        return {}
    folder = provenance.folder.strip("./")
    tree = f"{remote}/tree/{provenance.commit}" if provenance.system == "git" else remote
    located: Json = {
        "type": provenance.system,
        "url": f"{tree}/{quote(folder)}" if folder else tree,
        "repoUrl": provenance.remote,
        "version": provenance.commit,
    }
    return located | {key: value for key, value in (("path", folder), ("branch", provenance.branch)) if value}


def _web_address(remote: str) -> str:
    """Where a person reads a repository: the form of `git@host:path` and of `https://host/path.git` alike."""
    if remote.startswith("git@") and ":" in remote:
        host, _, path = remote.removeprefix("git@").partition(":")
        remote = f"https://{host}/{path}"
    if remote.startswith("ssh://"):
        remote = f"https://{remote.removeprefix('ssh://').rpartition('@')[2]}"
    return remote.removesuffix(".git") if remote.startswith(("http://", "https://", "svn://")) else ""


def _text(store: Store, file: FileRef | None) -> str:
    if file is None:
        return ""
    try:
        return b"".join(store.vault.read(file)).decode("utf-8", "replace")
    except NotFound:  # erased, or not on this machine
        return ""
