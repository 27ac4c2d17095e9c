"""Collect: compare live rows with the reference and the late truth, record the numbers, raise alerts."""

import math
import time
from collections.abc import Mapping, Sequence

import msgspec
import polars as pl

from charkh.core.errors import Corrupt, Invalid, NotFound
from charkh.core.events import Draft, Edge, Fact
from charkh.core.files import FileRef
from charkh.core.gates import Condition, Evidence, Verdict, judge, parse_condition
from charkh.core.ids import new_id
from charkh.core.refs import parse_name, parse_subject
from charkh.monitors.alert_index import Firing, Silences
from charkh.monitors.alerting import AlertTerms, Looked, alert_drafts
from charkh.monitors.blocked import by_blocks
from charkh.monitors.compare import Comparison, Table, compare
from charkh.monitors.drift import DriftReport, Thresholds
from charkh.monitors.estimated.estimate import Estimated
from charkh.monitors.index import LatestCollection
from charkh.monitors.lateness import Lateness
from charkh.monitors.monitor import COLLECTED_KIND, MAX_FACTS, Collected
from charkh.monitors.multivariate.judge import Multivariate
from charkh.monitors.odd import OddRows, learned, odd_rows
from charkh.monitors.performance import Enough, Performance, performance
from charkh.monitors.quality import QualityReport
from charkh.monitors.segments import drift_by_segment
from charkh.monitors.sketches.table import Batches, TableSketch, batches_of, decode_sketch, encode_sketch
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
        unknown: those of the conditions whose fact nobody knows; they are not met.
        drift: column by column.
        quality: column by column.
        performance: against the truth; None when there is none yet.
        segments: drift within segments, by `COLUMN=VALUE`.
        odd: live rows that are odder than nearly all of the reference; None where that cannot be said.
        estimated: what is expected of rows without truth; None where that was not asked for.
        multivariate: drift of many columns at once; None where that was not asked for.
        lateness: how late the truth comes, and performance by day of prediction; None where no truth is named.
    """

    collection: str
    monitor: str
    moment: float
    facts: dict[str, Fact]
    alerts: tuple[Verdict, ...]
    verdicts: tuple[Verdict, ...]
    drift: DriftReport
    quality: QualityReport
    unknown: tuple[str, ...] = ()
    performance: Performance | None = None
    segments: dict[str, DriftReport] = {}
    odd: OddRows | None = None
    estimated: Estimated | None = None
    multivariate: Multivariate | None = None
    lateness: Lateness | None = None


def collect(
    store: Store,
    name: str,
    *,
    reference: Table | TableSketch,
    live: pl.DataFrame,
    rows: Batches | None = None,
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
    reference_key: str = "",
    estimated: Estimated | None = None,
    multivariate: Multivariate | None = None,
    lateness: Lateness | None = None,
) -> Report:
    """Compare, record, and raise an alert for each condition that is met.

    Args:
        store: where the facts go.
        name: of the monitor.
        reference: rows that the model was trained or accepted on, in memory, to be read, or their sketch.
        live: rows that it met; with the score, where truth is given.
        rows: the reference's rows, to be read again for blocks and segments where `reference` is their sketch.
        endpoint: name of the endpoint that is watched.
        columns: whose drift and quality are looked at; without, all that both have.
        truth: what happened, as far as it is known; None when nothing is yet.
        predictions: rows whose truth is known by now, where those are others than `live`; they have the score.
        key: column, or columns, by which predictions and truth are joined.
        target: column of the truth that the model predicts.
        score: column of the predictions.
        block: column whose equal values share what made them, such as the day: intervals resample such blocks, and
            where both sides have the column the p-values of drift deal them anew.
        segments: columns by whose values drift and metrics are also given.
        predicted_at: column with the time of a prediction.
        known_at: column of the truth with the time at which it was known.
        enough: how much truth a number needs.
        alerts: conditions over the facts (`charkh.core.gates`); one over a slice is met when any slice meets it.
        terms: by condition, what is said along with its alert, and how often.
        thresholds: what counts as drift.
        sources: further subjects that were looked at, such as `model:ID` or `dataset:ID`.
        moment: seconds since the epoch for which it speaks; without, now.
        reference_key: of what `reference` is a sketch; given, the sketch is kept (`kept_reference`).
        estimated: what is expected of the live rows (`monitors.estimated.estimate`), to be recorded along.
        multivariate: what their columns came to together (`monitors.multivariate.judge`), likewise.
        lateness: of the truth (`monitors.lateness`), likewise.

    Raises:
        Invalid: a condition cannot be read, or a column is not there.
    """
    conditions = [parse_condition(text) for text in alerts]
    monitor = parse_name(name, "monitor name")
    for source in sources:
        parse_subject(source)
    compared = compare(reference, live, columns=columns, thresholds=thresholds)
    state = compared.quality
    if rows is None and not isinstance(reference, TableSketch):
        rows = batches_of(reference)
    found = _by_blocks(compared, rows, live, block, thresholds)
    segmented = {} if rows is None else drift_by_segment(rows, live, segments, columns=columns, thresholds=thresholds)
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
    odd = odd_rows(_learned(compared.reference, rows), live)
    beside = {
        name: value
        for each in (estimated, multivariate, lateness)
        if each is not None
        for name, value in each.facts().items()
    }
    facts = _facts(found, state, scored, segmented, odd, beside)
    verdicts = tuple(_judged(condition.text, facts) for condition in conditions)
    report = Report(
        collection=new_id(),
        monitor=monitor,
        moment=time.time() if moment is None else moment,
        facts=facts,
        alerts=tuple(verdict for verdict in verdicts if verdict.met),
        verdicts=verdicts,
        unknown=tuple(each.text for each in conditions if not _is_known(each, facts)),
        drift=found,
        quality=state,
        performance=scored,
        segments=segmented,
        odd=odd,
        estimated=estimated,
        multivariate=multivariate,
        lateness=lateness,
    )
    details = store.vault.put_bytes(msgspec.json.encode(report), "report.json")
    kept = None
    if reference_key and isinstance(reference, TableSketch):
        kept = store.vault.put_bytes(encode_sketch(reference), "reference.sketch")
    store.vault.flush()
    looked = Looked(
        monitor=monitor,
        collection=report.collection,
        endpoint=endpoint,
        moment=report.moment,
        verdicts=verdicts,
        known=frozenset(each.text for each in conditions) - set(report.unknown),
    )
    firing = store.queries.ask(Firing(monitor=monitor))
    silences = store.queries.ask(Silences(monitor=monitor, moment=report.moment))
    raised = alert_drafts(looked, terms or {}, firing, silences)
    store.record(_collected(report, endpoint, details, sources, kept, reference_key), *raised, durable=bool(raised))
    return report


def kept_reference(store: Store, name: str, reference_key: str) -> TableSketch | None:
    """The sketch that the monitor's last collection kept; None where it is of something else, or gone."""
    last = store.queries.ask(LatestCollection(monitor=name))
    if last is None or last.made.reference is None or last.made.reference_key != reference_key:
        return None
    try:
        return decode_sketch(b"".join(store.vault.read(last.made.reference)))
    except (NotFound, Corrupt):
        # It is made anew from the reference itself.
        return None


def read_details(store: Store, details: FileRef) -> Report:
    """The whole report of a collection.

    Raises:
        NotFound: its bytes are not here.
    """
    return msgspec.json.decode(b"".join(store.vault.read(details)), type=Report)


def _by_blocks(
    compared: Comparison, rows: Batches | None, live: pl.DataFrame, block: str, thresholds: Thresholds | None
) -> DriftReport:
    if rows is None or not block or block not in live.columns:
        return compared.drift
    if block not in next(iter(rows()), pl.DataFrame()).columns:
        return compared.drift
    return by_blocks(compared.drift, compared.reference, rows, batches_of(live), block, thresholds)


def _learned(reference: TableSketch, rows: Batches | None) -> TableSketch:
    return reference if rows is None or reference.odd is not None else learned(reference, rows)


def _facts(
    found: DriftReport,
    state: QualityReport,
    scored: Performance | None,
    segmented: Mapping[str, DriftReport],
    odd: OddRows | None,
    beside: Mapping[str, Fact],
) -> dict[str, Fact]:
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
        "stuck": sum(column.stuck for column in state.columns),
    }
    if odd is not None:
        facts["odd"] = odd.share
    if scored is not None:
        facts |= _scores(scored)
    facts |= beside
    for segment, report in segmented.items():
        facts |= {f"slice({segment}).psi": report.psi, f"slice({segment}).drifted": report.drifted}
    # Last, and the largest first: of a wide table those are kept that have something to say.
    largest = sorted(found.columns, key=lambda column: (-column.effect("psi"), column.column))
    facts |= {f"psi.{column.column}": column.effect("psi") for column in largest}
    return {name: value for name, value in list(facts.items())[:MAX_FACTS] if _is_finite(value)}


def _scores(scored: Performance) -> dict[str, Fact]:
    facts: dict[str, Fact] = {
        "predictions": scored.predictions,
        "matched": scored.matched,
        "coverage": scored.coverage,
    }
    if scored.lag is not None:
        facts["lag"] = scored.lag
    facts |= scored.metrics
    for segment, metrics in scored.segments.items():
        facts |= {f"slice({segment}).{metric}": value for metric, value in metrics.items()}
    return facts


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


def _collected(
    report: Report, endpoint: str, details: FileRef, sources: Sequence[str], kept: FileRef | None, reference_key: str
) -> Draft:
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
            reference=kept,
            reference_key=reference_key if kept is not None else "",
        ),
        edges=(
            Edge(subject, "collected_by", monitor),
            *(Edge(subject, "watches", watch) for watch in watched),
            *(Edge(subject, "looked_at", source) for source in sources),
        ),
        facts=report.facts,
        about=monitor,
        holds=(details.held,) if kept is None else (details.held, kept.held),
    )
