"""Record what a check came to: the facts about the table, and the rows that were set aside as a dataset version."""

from collections.abc import Sequence

import msgspec

from charkh.checks.check import MAX_COUNTS, MAX_REASON, RAN_KIND, Check, CheckRan, RuleCount
from charkh.checks.document import format_suite
from charkh.checks.index import CheckById
from charkh.checks.result import CheckResult, Outcome
from charkh.checks.suite import CheckSuite
from charkh.core.errors import Bug
from charkh.core.events import Draft, Edge
from charkh.core.ids import new_id
from charkh.core.redact import redact
from charkh.core.refs import parse_name
from charkh.datasets.add import add_table
from charkh.datasets.dataset import DatasetVersion
from charkh.datasets.find import find as find_dataset
from charkh.ports.store import Store

QUARANTINE = "quarantine"


def record(store: Store, name: str, result: CheckResult, *, about: str = "", made_by: str = "") -> Check:
    """Record a check.

    Rows that were set aside become a version of the dataset `NAME.quarantine`, where NAME is the checked dataset's,
    or the suite's when no dataset is meant.

    Args:
        store: where it goes.
        name: of the suite, as people call it.
        result: of `run`.
        about: subject that was checked, such as `dataset:ID`; the facts are about it.
        made_by: id of the run in which the check ran, or empty.

    Raises:
        Invalid: the name cannot be one.
        NotFound: `about` is a dataset that is not there.
    """
    name = parse_name(name, "check name")
    identifier = new_id()
    subject = f"check:{identifier}"
    quarantine = _set_aside(store, name, result, subject=subject, about=about, made_by=made_by)
    suite = _told(result.suite)
    document = store.vault.put_bytes(format_suite(suite).encode(), "checks.toml")
    store.vault.flush()
    body = CheckRan(
        name=name,
        check=identifier,
        about=about,
        suite=suite.digest,
        document=document,
        rules=len(result.outcomes),
        counts=_counts(result.outcomes),
        rows=result.rows,
        failed_rows=result.bad.height,
        ok=result.ok,
        quarantine=quarantine.id if quarantine else "",
    )
    edges = [Edge(subject, "checks", about)] if about else []
    if made_by:
        edges.append(Edge(subject, "produced_by", f"run:{made_by}"))
    store.record(
        Draft(
            kind=RAN_KIND,
            subject=subject,
            body=body,
            edges=tuple(edges),
            facts=result.facts,
            about=about,
            holds=(document.held,),
        ),
        durable=True,
    )
    check = store.queries.ask(CheckById(check=identifier))
    if check is None:
        raise Bug(f"the check {identifier} that was just recorded cannot be found")
    return check


def _set_aside(
    store: Store, name: str, result: CheckResult, *, subject: str, about: str, made_by: str
) -> DatasetVersion | None:
    if not result.bad.height:
        return None
    checked = find_dataset(store, about) if about.startswith("dataset:") else None
    origins = [("quarantined_from", about)] if about else []
    return add_table(
        store,
        f"{checked.made.name if checked else name}.{QUARANTINE}",
        result.bad,
        message=f"set aside by {name}" + (f" from {checked.ref}" if checked else ""),
        made_by=made_by,
        origins=[*origins, ("checked_by", subject)],
    )


def _told(suite: CheckSuite) -> CheckSuite:
    """The suite without credentials in what is written for people."""
    rules = tuple(msgspec.structs.replace(rule, reason=redact(rule.reason)) for rule in suite.rules)
    return msgspec.structs.replace(suite, description=redact(suite.description), rules=rules)


def _counts(outcomes: Sequence[Outcome]) -> tuple[RuleCount, ...]:
    ordered = sorted(outcomes, key=lambda outcome: outcome.status == "passed")
    return tuple(
        RuleCount(
            rule=redact(outcome.id),
            check=outcome.check,
            severity=outcome.severity,
            status=outcome.status,
            failed=outcome.failed,
            reason=redact(outcome.reason)[:MAX_REASON],
        )
        for outcome in ordered[:MAX_COUNTS]
    )
