"""Certify: try a model version and write down what came out, and until when that counts."""

import time

from charkh.core.canon import canonical_json
from charkh.core.digests import digest_of
from charkh.core.errors import Bug, Invalid
from charkh.core.events import Draft, Edge
from charkh.core.ids import new_id
from charkh.core.quantities import parse_duration
from charkh.core.refs import parse_name, parse_subject
from charkh.core.stability_settings import StabilitySettings
from charkh.evaluations.stability.certificate import (
    CERTIFIED_KIND,
    MAX_RESULTS,
    Certificate,
    Certified,
    Found,
    StabilityDetails,
)
from charkh.evaluations.stability.index import CertificateById
from charkh.evaluations.stability.subject import Tried
from charkh.evaluations.stability.trying import tests_of, try_model
from charkh.ports.store import Store


def certify(
    store: Store,
    suite: str,
    settings: StabilitySettings,
    tried: Tried,
    *,
    about: str,
    model: str,
    on: str = "",
    seen: bool = False,
    moment: float | None = None,
) -> Certificate:
    """Make every test of a suite and record the certificate, whatever it says.

    Args:
        store: where it goes.
        suite: name of the suite.
        settings: its tests.
        tried: the model and the rows drawn for it.
        about: what is tried, `model:id`.
        model: its name.
        on: the dataset version that the rows are from, `dataset:id`; empty for the version's own example.
        seen: the model was trained on them.
        moment: seconds since the epoch at which it is issued, for a replay of the past; now by default.

    Raises:
        Invalid: there are no rows, too many tests, or one names a column that is not there.
        Unavailable: a test needs an extra that is not installed.
    """
    for subject in (about, *((on,) if on else ())):
        parse_subject(subject)
    if tried.rows.is_empty():
        raise Invalid(
            f"the suite {suite!r} has no row to ask with", code="stability.no_rows", hint="Name a dataset with rows."
        )
    if len(tests_of(settings)) > MAX_RESULTS:
        raise Invalid(
            f"the suite {suite!r} has more than {MAX_RESULTS} tests",
            code="stability.too_many",
            hint="Make several suites of them.",
        )
    found = try_model(tried, settings)
    details = store.vault.put_bytes(canonical_json(StabilityDetails(tests=found)), "stability.json")
    store.vault.flush()
    issued = time.time() if moment is None else moment
    made = Certified(
        certificate=new_id(),
        suite=parse_name(suite, "suite name"),
        about=about,
        model=parse_name(model, "model name"),
        on=on,
        digest=suite_digest(settings),
        ok=is_ok(found),
        issued=issued,
        expires=issued + parse_duration(settings.expires),
        rows=tried.rows.height,
        seen=seen,
        seed=settings.seed,
        results=tuple(each.result for each in found),
        details=details,
    )
    return _record(store, made)


def suite_digest(settings: StabilitySettings) -> str:
    """Digest of what is tried and how; when it is done, and for how long it counts, do not matter."""
    return digest_of(
        canonical_json(
            {
                "on": settings.on,
                "recipes": settings.recipes,
                "target": settings.target,
                "size": settings.size,
                "seed": settings.seed,
                "test": tests_of(settings),
            }
        )
    )


def is_ok(found: tuple[Found, ...]) -> bool:
    """No test failed or broke, and one at least was made."""
    outcomes = [each.result.outcome for each in found]
    return "passed" in outcomes and not {"failed", "broken"} & set(outcomes)


def _record(store: Store, made: Certified) -> Certificate:
    subject = f"stability:{made.certificate}"
    edges = [Edge(subject, "certifies", made.about)]
    if made.on:
        edges.append(Edge(subject, "on", made.on))
    store.record(
        Draft(
            kind=CERTIFIED_KIND,
            subject=subject,
            body=made,
            edges=tuple(edges),
            facts=made.facts,
            about=made.about,
            holds=(made.details.held,),
        )
    )
    certificate = store.queries.ask(CertificateById(certificate=made.certificate))
    if certificate is None:
        raise Bug(f"the certificate {made.certificate} that was just made cannot be found")
    return certificate
