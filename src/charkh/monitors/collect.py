"""Collect: compare live rows with the reference and the late truth, record the numbers, raise alerts."""

import math
import time
from collections.abc import Mapping, Sequence

import msgspec
import polars as pl

from charkh.core.errors import Invalid
from charkh.core.events import Draft, Edge, Fact
from charkh.core.files import FileRef
from charkh.core.gates import Condition, Evidence, Verdict, judge, parse_condition
from charkh.core.ids import new_id
from charkh.core.refs import parse_name, parse_subject
from charkh.monitors.alert_index import Firing, Silences
from charkh.monitors.alerting import AlertTerms, Looked, alert_drafts
from charkh.monitors.compare import Table, compare
from charkh.monitors.drift import DriftReport, Thresholds
from charkh.monitors.monitor import COLLECTED_KIND, MAX_FACTS, Collected
from charkh.monitors.performance import Enough, Performance, performance
from charkh.monitors.quality import QualityReport
from charkh.monitors.sketches.table import TableSketch
from charkh.ports.store import Store


class Report(msgspec.Struct, frozen=True, kw_only=True):
    """What a collection found.

    Attributes:
        collection: its id.
        monitor: name of the monitor.
        moment: seconds since the epoch for which it speaks.
        facts: the numbers, as they were published about `monitor:NAME`.
        alerts: the conditions that were met; what goes on firing may have raised nothing anew.
        verdicts: every condition, met or not.
        drift: column by column.
        quality: column by column.
        performance: against the truth; None when there is none yet.
    """

    collection: str
    monitor: str
    moment: float
    facts: dict[str, Fact]
    alerts: tuple[Verdict, ...]
    verdicts: tuple[Verdict, ...]
    drift: DriftReport
    quality: QualityReport
    performance: Performance | None = None


def collect(
    store: Store,
    name: str,
    *,
    reference: Table | TableSketch,
    live: pl.DataFrame,
    endpoint: str = "",
    columns: Sequence[str] | None = None,
    truth: pl.DataFrame | None = None,
    predictions: pl.DataFrame | None = None,
    key: str | Sequence[str] = (),
    target: str = "",
    score: str = "",
    block: str = "",
    segments: Sequence[str] = (),
    predicted_at: str = "",
    known_at: str = "",
    enough: Enough | None = None,
    alerts: Sequence[str] = (),
    terms: Mapping[str, AlertTerms] | None = None,
    thresholds: Thresholds | None = None,
    sources: Sequence[str] = (),
    moment: float | None = None,
) -> Report:
    """Compare, record, and raise an alert for each condition that is met.

    Args:
        store: where the facts go.
        name: of the monitor.
        reference: rows that the model was trained or accepted on, in memory, to be read, or their sketch.
        live: rows that it met; with the score, where truth is given.
        endpoint: name of the endpoint that is watched.
        columns: whose drift and quality are looked at; without, all that both have.
        truth: what happened, as far as it is known; None when nothing is yet.
        predictions: rows whose truth is known by now, where those are others than `live`; they have the score.
        key: column, or columns, by which predictions and truth are joined.
        target: column of the truth that the model predicts.
        score: column of the predictions.
        block: column whose equal values share what made them, such as the day.
        segments: columns by whose values the metrics are also given.
        predicted_at: column with the time of a prediction.
        known_at: column of the truth with the time at which it was known.
        enough: how much truth a number needs.
        alerts: conditions over the facts (`charkh.core.gates`); one over a slice is met when any slice meets it.
        terms: by condition, what is said along with its alert, and how often.
        thresholds: what counts as drift.
        sources: further subjects that were looked at, such as `model:ID` or `dataset:ID`.
        moment: seconds since the epoch for which it speaks; without, now.

    Raises:
        Invalid: a condition cannot be read, or a column is not there.
    """
    conditions = [parse_condition(text) for text in alerts]
    monitor = parse_name(name, "monitor name")
    for source in sources:
        parse_subject(source)
    compared = compare(reference, live, columns=columns, thresholds=thresholds)
    found, state = compared.drift, compared.quality
    scored = None
    if truth is not None:
        if not key or not target or not score:
            raise Invalid(
                "truth needs a key, a target and a score",
                code="monitor.truth",
                hint='Write `truth = "DATASET on KEY"` and `target = "COLUMN"` in [monitor.NAME].',
            )
        scored = performance(
            live if predictions is None else predictions,
            truth,
            key=key,
            target=target,
            score=score,
            block=block,
            segments=segments,
            predicted_at=predicted_at,
            known_at=known_at,
            enough=enough,
        )
    facts = _facts(found, state, scored)
    verdicts = tuple(_judged(condition.text, facts) for condition in conditions)
    report = Report(
        collection=new_id(),
        monitor=monitor,
        moment=time.time() if moment is None else moment,
        facts=facts,
        alerts=tuple(verdict for verdict in verdicts if verdict.met),
        verdicts=verdicts,
        drift=found,
        quality=state,
        performance=scored,
    )
    details = store.vault.put_bytes(msgspec.json.encode(report), "report.json")
    store.vault.flush()
    looked = Looked(
        monitor=monitor,
        collection=report.collection,
        endpoint=endpoint,
        moment=report.moment,
        verdicts=verdicts,
        known=frozenset(each.text for each in conditions if _is_known(each, facts)),
    )
    firing = store.queries.ask(Firing(monitor=monitor))
    silences = store.queries.ask(Silences(monitor=monitor, moment=report.moment))
    raised = alert_drafts(looked, terms or {}, firing, silences)
    store.record(_collected(report, endpoint, details, sources), *raised, durable=bool(raised))
    return report


def read_details(store: Store, details: FileRef) -> Report:
    """The whole report of a collection.

    Raises:
        NotFound: its bytes are not here.
    """
    return msgspec.json.decode(b"".join(store.vault.read(details)), type=Report)


def _facts(found: DriftReport, state: QualityReport, scored: Performance | None) -> dict[str, Fact]:
    facts: dict[str, Fact] = {
        "rows": found.rows,
        "reference_rows": found.reference_rows,
        "psi": found.psi,
        "ks": found.ks,
        "drifted": found.drifted,
        "drifted_columns": sum(column.drifted for column in found.columns),
        "nulls": state.nulls,
        "out_of_range": state.out_of_range,
        "unseen": state.unseen,
        "missing_columns": len(state.missing),
    }
    if scored is None:
        return facts
    facts |= {"predictions": scored.predictions, "matched": scored.matched, "coverage": scored.coverage}
    if scored.lag is not None:
        facts["lag"] = scored.lag
    facts |= scored.metrics
    for segment, metrics in scored.segments.items():
        facts |= {f"slice({segment}).{metric}": value for metric, value in metrics.items()}
    return {name: value for name, value in list(facts.items())[:MAX_FACTS] if _is_finite(value)}


def _is_finite(value: Fact) -> bool:
    return not isinstance(value, float) or math.isfinite(value)


def _is_known(condition: Condition, facts: Mapping[str, Fact]) -> bool:
    if not condition.slice_by:
        return condition.fact in facts
    begins, ends = f"slice({condition.slice_by}=", f").{condition.fact}"
    return any(name.startswith(begins) and name.endswith(ends) for name in facts)


def _judged(text: str, facts: Mapping[str, Fact]) -> Verdict:
    """What an alert condition comes to; over slices it is met when any one meets it, unlike at a gate."""
    condition = parse_condition(text)
    if not condition.slice_by:
        return judge([condition], Evidence(candidate=facts))[0]
    begins, ends = f"slice({condition.slice_by}=", f").{condition.fact}"
    names = [name for name in facts if name.startswith(begins) and name.endswith(ends)]
    each = [judge([condition], Evidence(candidate={name: facts[name]}))[0] for name in sorted(names)]
    for name, verdict in zip(sorted(names), each, strict=True):
        if verdict.met:
            plain = msgspec.structs.replace(condition, slice_by="", fact=name)
            return msgspec.structs.replace(judge([plain], Evidence(candidate=facts))[0], condition=condition.text)
    return each[0] if each else judge([condition], Evidence(candidate=facts))[0]


def _collected(report: Report, endpoint: str, details: FileRef, sources: Sequence[str]) -> Draft:
    subject, monitor = f"collection:{report.collection}", f"monitor:{report.monitor}"
    watched = [f"endpoint:{parse_name(endpoint, 'endpoint name')}"] if endpoint else []
    return Draft(
        kind=COLLECTED_KIND,
        subject=subject,
        body=Collected(
            monitor=report.monitor,
            collection=report.collection,
            endpoint=endpoint,
            moment=report.moment,
            rows=report.drift.rows,
            reference_rows=report.drift.reference_rows,
            details=details,
        ),
        edges=(
            Edge(subject, "collected_by", monitor),
            *(Edge(subject, "watches", watch) for watch in watched),
            *(Edge(subject, "looked_at", source) for source in sources),
        ),
        facts=report.facts,
        about=monitor,
        holds=(details.held,),
    )
