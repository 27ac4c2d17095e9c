"""What serving and watching recorded by themselves: compiled forms, trials, certificates, the log, alerts, meters."""

from collections.abc import Mapping, Sequence

from charkh.core.endpoint_settings import EndpointSettings
from charkh.demo.desk import Desk
from charkh.demo.story import CompiledLine, LogLine, TestLine, ToldLine, TrialLine
from charkh.demo.telling import Candidate
from charkh.demo.trying import routes_of
from charkh.endpoints.read import predictions
from charkh.endpoints.rollouts.index import Rollouts
from charkh.endpoints.rollouts.rollout import Rollout
from charkh.evaluations.stability.index import CertificatesOf
from charkh.models.compiled import CompiledOf
from charkh.models.index import ModelById
from charkh.models.model import ModelVersion
from charkh.monitors.alert_index import Alerts
from charkh.monitors.lateness import Lateness
from charkh.ports.store import Store

METERS = (
    ("charkh_inference_requests_total", "requests answered"),
    ("charkh_inference_rows_total", "rows predicted"),
    ("charkh_input_invalid_total", "requests that did not fit"),
    ("charkh_drifted_columns", "columns that drifted, at the monitor's last look"),
    ("charkh_label_coverage_ratio", "share of the predictions whose truth has come"),
)
"""What is told of `/metrics`; values of several labels are added up."""


def compiled_lines(store: Store, made: Sequence[Candidate]) -> tuple[CompiledLine, ...]:
    """What compiling each candidate came to."""
    found = ((each.ref, store.queries.ask(CompiledOf(version=each.version))) for each in made)
    return tuple(
        CompiledLine(model=ref, rows=form.rows, worst=form.worst, speedup=form.speedup, reason=form.reason)
        for ref, form in found
        if form is not None
    )


def trial_lines(store: Store, endpoint: str, tried_in: Mapping[str, str]) -> tuple[TrialLine, ...]:
    """Every candidate that was tried on live requests, oldest first.

    Args:
        store: where the rollouts are.
        endpoint: where they were tried.
        tried_in: by subject of a model, the month in which it was tried.
    """
    by_model: dict[str, list[Rollout]] = {}
    for each in reversed(store.queries.ask(Rollouts(endpoint=endpoint))):
        by_model.setdefault(each.begun.arms[0].model, []).append(each)
    return tuple(_trial_line(store, model, tried, tried_in) for model, tried in by_model.items())


def _trial_line(store: Store, model: str, tried: Sequence[Rollout], tried_in: Mapping[str, str]) -> TrialLine:
    version = store.queries.ask(ModelById(version=model.removeprefix("model:")))
    champion, candidate = routes_of(tried)
    ended = tried[-1].ended
    return TrialLine(
        model=version.ref if version is not None else model,
        begun=tried_in.get(model, ""),
        ways=", ".join(each.begun.plan.way for each in tried),
        champion=champion,
        candidate=candidate,
        outcome=ended.outcome if ended is not None else "",
        reason=ended.reason if ended is not None else "it goes on",
    )


def certificate_lines(store: Store, champion: ModelVersion) -> tuple[TestLine, ...]:
    """The tests of the champion's certificates."""
    return tuple(
        TestLine(test=each.test, outcome=each.outcome, measure=each.measure, value=each.value, bound=each.bound)
        for certificate in store.queries.ask(CertificatesOf(subject=champion.subject))
        for each in certificate.made.results
    )


def log_line(store: Store, endpoint: str, settings: EndpointSettings, late: Lateness | None) -> LogLine | None:
    """What is in the prediction log, and how late the truth came; None where none came."""
    if late is None or not late.lags:
        return None
    every, answered = (predictions(store, endpoint, shadows=shadows).height for shadows in (True, False))
    complete = late.facts().get("truth.complete", 0.0)
    return LogLine(
        masked=dict(settings.mask),
        shadows=every - answered,
        lags={name: late.lags[name] for name in ("p10", "p50", "p90")},
        complete=complete if isinstance(complete, float) else 0.0,
    )


def told_line(store: Store, monitor: str, desk: Desk, secret: str) -> ToldLine:
    """The alerts of a monitor, and what of them reached the desk."""
    raised = store.queries.ask(Alerts(monitor=monitor))
    letters = [each for each in desk.letters if each.kind == "alert.raised"]
    return ToldLine(
        alerts=len(raised),
        owner=raised[0].made.owner if raised else "",
        runbook=raised[0].made.runbook if raised else "",
        letters=len(letters),
        signed=sum(each.is_signed_with(secret) for each in letters),
    )


def meter_lines(page: str) -> tuple[str, ...]:
    """A few lines of what `/metrics` says, in words."""
    totals: dict[str, float] = {}
    for line in page.splitlines():
        if not line.startswith("#") and " " in line:
            sample, _, value = line.rpartition(" ")
            name = sample.partition("{")[0]
            totals[name] = totals.get(name, 0.0) + float(value)
    return tuple(f"{name} {totals.get(name, 0.0):,.6g} ({says})" for name, says in METERS)
