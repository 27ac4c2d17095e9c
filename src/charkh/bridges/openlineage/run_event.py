"""Facts as OpenLineage run events: runs, steps of pipelines, and the versions of datasets and models that they made.

START, RUNNING, COMPLETE, FAIL and ABORT follow the life of a run. A step's execution, which is recorded when it is
over, makes a START and an end. The state is asked when the event is written, and every event has a fact's own time.
"""

from collections.abc import Iterator

from charkh.bridges.openlineage.dataset_event import dataset, dataset_event
from charkh.bridges.openlineage.facets import SCHEMA, Json, facet, own_facet, producer, time_text, uuid_of
from charkh.bridges.openlineage.jobs import (
    error_facet,
    job,
    job_of,
    parent_facet,
    run_facets,
    run_job_facets,
    run_of,
)
from charkh.core.clock import seconds
from charkh.core.events import Event, body_of
from charkh.core.ids import created_at
from charkh.datasets.dataset import VERSION_KIND as DATASET_KIND
from charkh.datasets.dataset import DatasetVersion
from charkh.datasets.dataset import VersionMade as DatasetMade
from charkh.datasets.index import DatasetById
from charkh.lineage.index import EdgesFrom, EdgesTo
from charkh.models.index import ModelById
from charkh.models.model import VERSION_KIND as MODEL_KIND
from charkh.models.model import ModelVersion
from charkh.models.model import VersionMade as ModelMade
from charkh.pipelines.execution import STEP_DONE_KIND, STEP_FAILED_KIND, StepDone, StepFailed
from charkh.ports.store import Store
from charkh.runs.run import ENDED_KIND, PROVENANCE_KIND, STARTED_KIND, Run, RunEnded

EVENT = f"{SCHEMA}/RunEvent"
KINDS = frozenset(
    {STARTED_KIND, PROVENANCE_KIND, ENDED_KIND, STEP_DONE_KIND, STEP_FAILED_KIND, DATASET_KIND, MODEL_KIND}
)
"""The facts that make events."""
_ENDS = {"finished": "COMPLETE", "failed": "FAIL", "killed": "ABORT"}


class Writer:
    """Writes events about one store.

    Args:
        store: where the state is asked.
        namespace: of its jobs and datasets.
    """

    def __init__(self, store: Store, namespace: str) -> None:
        self._store = store
        self._namespace = namespace

    def events(self, fact: Event) -> Iterator[Json]:
        """The events that a fact makes, in order."""
        at = seconds(fact.clock)
        identifier = fact.subject.partition(":")[2]
        if fact.kind in {STARTED_KIND, PROVENANCE_KIND, ENDED_KIND}:
            run = run_of(self._store, identifier, at)
            if run is not None:
                yield self._of_run(fact, run, at)
        elif fact.kind == STEP_DONE_KIND:
            yield from self._of_step(fact, body_of(fact, StepDone), at)
        elif fact.kind == STEP_FAILED_KIND:
            yield from self._of_failure(fact, body_of(fact, StepFailed), at)
        elif fact.kind == DATASET_KIND:
            yield from self._of_dataset(body_of(fact, DatasetMade), at)
        elif fact.kind == MODEL_KIND:
            yield from self._of_model(body_of(fact, ModelMade), at)

    def sample(self, identifier: str) -> Json:
        """An event about nothing, for a test of the receiver."""
        told = job(self._namespace, "charkh.test", "RUN")
        return _event("COMPLETE", created_at(identifier), uuid_of(identifier), {}, told, [], [])

    def _of_run(self, fact: Event, run: Run, at: float) -> Json:
        over = fact.kind == ENDED_KIND
        ended = body_of(fact, RunEnded) if over else None
        word = (
            "START" if fact.kind == STARTED_KIND else "RUNNING" if ended is None else _ENDS.get(ended.status, "ABORT")
        )
        facets = run_facets(self._store, run, namespace=self._namespace, whole=over)
        if ended is not None and ended.error:
            facets["errorMessage"] = error_facet(ended.error)
        told = job(self._namespace, job_of(self._store, run), "RUN", run_job_facets(self._store, run))
        moment = (run.started.began or run.created) if word == "START" else at
        inputs = self._inputs(fact.subject)
        outputs = self._outputs(fact.subject) if over else []
        return _event(word, moment, uuid_of(run.id), facets, told, inputs, outputs)

    def _of_step(self, fact: Event, done: StepDone, at: float) -> Iterator[Json]:
        inputs = self._inputs(fact.subject)
        outputs = self._outputs(fact.subject)
        yield from self._step(
            uuid_of(done.step), done.name, done.pipeline, done.run, (at - done.seconds, at), inputs, outputs
        )

    def _of_failure(self, fact: Event, failed: StepFailed, at: float) -> Iterator[Json]:
        span = (at - failed.seconds, at)
        identifier = uuid_of(fact.id)
        yield from self._step(identifier, failed.name, failed.pipeline, failed.run, span, [], [], failed.error)

    def _step(
        self,
        identifier: str,
        name: str,
        pipeline: str,
        within: str,
        span: tuple[float, float],
        inputs: list[Json],
        outputs: list[Json],
        error: str = "",
    ) -> Iterator[Json]:
        parent = run_of(self._store, within, span[1]) if within else None
        facets: Json = {"charkh_step": own_facet("RunFacet", name=name, seconds=span[1] - span[0])}
        if parent is not None:
            facets["parent"] = parent_facet(self._store, parent, namespace=self._namespace)
        short = name.rpartition(":")[2]
        above = pipeline or (job_of(self._store, parent) if parent is not None else "")
        told = job(self._namespace, f"{above}.{short}" if above else short, "STEP")
        yield _event("START", span[0], identifier, facets, told, inputs, [])
        if error:
            facets = {**facets, "errorMessage": error_facet(error)}
        yield _event("FAIL" if error else "COMPLETE", span[1], identifier, facets, told, inputs, outputs)

    def _of_dataset(self, made: DatasetMade, at: float) -> Iterator[Json]:
        version = self._store.queries.ask(DatasetById(version=made.version))
        if version is None:
            return
        if made.made_by:
            # The run's own end names it as an output; this says what it is as soon as it is there.
            yield dataset_event(self._store, version, namespace=self._namespace)
            return
        inputs = self._inputs(version.subject)
        told = job(self._namespace, f"dataset.{made.name}", "DATASET")
        facets: Json = {"charkh_dataset": own_facet("RunFacet", id=version.subject, sources=list(made.sources))}
        yield _event("START", at, uuid_of(made.version), facets, told, inputs, [])
        yield _event("COMPLETE", at, uuid_of(made.version), facets, told, inputs, [self._output(version)])

    def _of_model(self, made: ModelMade, at: float) -> Iterator[Json]:
        version = self._store.queries.ask(ModelById(version=made.version))
        if version is None:
            return
        facets: Json = {"charkh_model": own_facet("RunFacet", id=version.subject, runtime=made.runtime)}
        parent = run_of(self._store, made.run, at) if made.run else None
        if parent is not None:
            facets["parent"] = parent_facet(self._store, parent, namespace=self._namespace)
        told = job(self._namespace, f"model.{made.name}", "MODEL")
        inputs = self._inputs(version.subject)
        yield _event("START", at, uuid_of(made.version), facets, told, inputs, [])
        yield _event("COMPLETE", at, uuid_of(made.version), facets, told, inputs, [self._model(version)])

    def _inputs(self, subject: str) -> list[Json]:
        """The versions that something was made from, as far as they are data."""
        edges = self._store.queries.ask(EdgesFrom(subject=subject))
        found = self._versions(dict.fromkeys(edge.target for edge in edges))
        listed: list[Json] = []
        for version in found:
            size = _statistics(version)
            statistics = facet("1-0-0", "InputStatisticsInputDatasetFacet", **size)
            listed.append({**self._dataset(version), "inputFacets": {"inputStatistics": statistics}})
        return listed

    def _outputs(self, subject: str) -> list[Json]:
        edges = self._store.queries.ask(EdgesTo(subject=subject))
        sources = dict.fromkeys(edge.source for edge in edges if edge.relation == "produced_by")
        listed = [self._output(version) for version in self._versions(sources)]
        for source in sources:
            noun, _, identifier = source.partition(":")
            model = self._store.queries.ask(ModelById(version=identifier)) if noun == "model" else None
            if model is not None:
                listed.append(self._model(model))
        return listed

    def _versions(self, subjects: dict[str, None]) -> list[DatasetVersion]:
        found = (
            self._store.queries.ask(DatasetById(version=subject.partition(":")[2]))
            for subject in subjects
            if subject.startswith("dataset:")
        )
        return [version for version in found if version is not None]

    def _dataset(self, version: DatasetVersion) -> Json:
        return dataset(self._store, version, namespace=self._namespace)

    def _output(self, version: DatasetVersion) -> Json:
        statistics = facet("1-0-2", "OutputStatisticsOutputDatasetFacet", **_statistics(version))
        return {**self._dataset(version), "outputFacets": {"outputStatistics": statistics}}

    def _model(self, version: ModelVersion) -> Json:
        made = version.made
        facets: Json = {
            "version": facet("1-0-1", "DatasetVersionDatasetFacet", datasetVersion=str(made.number)),
            "ownership": facet(
                "1-0-1", "OwnershipDatasetFacet", owners=[{"name": f"user:{version.actor}", "type": "CREATOR"}]
            ),
            "charkh_model": own_facet(
                "DatasetFacet", id=version.subject, runtime=made.runtime, safety=made.safety.level
            ),
        }
        return {"namespace": self._namespace, "name": f"model/{made.name}", "facets": facets}


def _statistics(version: DatasetVersion) -> Json:
    made = version.made
    told: Json = {"size": made.tree.size, "fileCount": made.tree.files}
    return told if made.rows is None else {**told, "rowCount": made.rows}


def _event(
    word: str, moment: float, run: str, facets: Json, told: Json, inputs: list[Json], outputs: list[Json]
) -> Json:
    return {
        "eventType": word,
        "eventTime": time_text(moment),
        "producer": producer(),
        "schemaURL": EVENT,
        "run": {"runId": run, "facets": facets},
        "job": told,
        "inputs": inputs,
        "outputs": outputs,
    }
