"""What the registry knows of a model version, as the wording of its card, and as what its technical file is made of."""

from collections.abc import Iterator
from datetime import UTC, datetime

import msgspec

from charkh.cards.dossier import Dossier
from charkh.cards.index import CardOf
from charkh.cards.known import known_about
from charkh.cards.lint import sections_of
from charkh.cards.record import ERASED, read_markdown
from charkh.cards.regions import parse_document
from charkh.cards.wording import Wording, signature_lines
from charkh.core.errors import Invalid, NotFound
from charkh.core.refs import parse_subject
from charkh.models.governance_index import ApprovalsOf, SignaturesOf, TrustDecisions
from charkh.models.index import ModelById, ModelVersions
from charkh.models.model import ModelVersion
from charkh.models.registered import HistoryEntry
from charkh.models.served import history_of
from charkh.ports.store import Store

MAX_HISTORY = 50


def wording_of(store: Store, subject: str, said: Wording) -> Wording:
    """What was said, with what the registry knows of `subject`; of anything but a model, what was said."""
    noun, identifier = parse_subject(subject)
    version = store.queries.ask(ModelById(version=identifier)) if noun == "model" else None
    return said if version is None else model_wording(store, version, said)


def model_wording(store: Store, version: ModelVersion, said: Wording) -> Wording:
    """The same of a version that is at hand. The history is that of this version and of the model's own words."""
    made = version.made
    history = [each for each in history_of(store, made.name) if each.version in {made.number, 0}]
    return msgspec.structs.replace(
        said,
        library=made.runtime,
        signature=signature_lines(made.signature),
        history=tuple(_line(each) for each in history[:MAX_HISTORY]),
        guards=tuple(_guards(store, version))[:MAX_HISTORY],
    )


def _guards(store: Store, version: ModelVersion) -> Iterator[tuple[str, str, str, str]]:
    """Who signed the files of a version, let their code run or forbade it, and what people said to its gates."""
    for signature in store.queries.ask(SignaturesOf(version=version.id)):
        signed = signature.signed
        by = f"the key {signed.key[:16]}" if signed.key else signed.identity
        yield _moment(signature.at), f"signed with {by}", signature.actor, ""
    for decision in store.queries.ask(TrustDecisions(digest=version.made.tree.root)):
        what = "code trusted" if decision.trusted else "distrusted"
        until = f" until {_moment(decision.expires)}" if decision.expires is not None else ""
        yield _moment(decision.at), f"{what}{until}", decision.actor, decision.reason
    for approval in store.queries.ask(ApprovalsOf(version=version.id)):
        said = approval.approved
        yield _moment(approval.at), f"{said.answer} at the gate {said.gate}", approval.actor, said.reason


def dossier_of(store: Store, subject: str) -> Dossier:
    """What the technical documentation of a model version is filled from.

    Raises:
        Invalid: `subject` is no model version.
        NotFound: nobody knows it.
    """
    noun, identifier = parse_subject(subject)
    version = store.queries.ask(ModelById(version=identifier)) if noun == "model" else None
    if version is None:
        raise Invalid(
            f"{subject} is no registered model version",
            code="card.no_model",
            hint="Name one, such as delay@3: `charkh model list` shows them.",
        )
    versions = store.queries.ask(ModelVersions(name=version.made.name))
    return Dossier(
        known=known_about(store, subject),
        wording=model_wording(store, version, Wording()),
        texts=_card_texts(store, subject),
        versions=tuple(
            (each.ref, _moment(each.created), ", ".join(each.aliases))
            for each in versions
            if each.made.number <= version.made.number
        )[:MAX_HISTORY],
        changes=tuple(_line(each) for each in history_of(store, version.made.name)[:MAX_HISTORY]),
    )


def _card_texts(store: Store, subject: str) -> dict[str, str]:
    """What people wrote in the version's card; nothing where there is none, or its text was erased."""
    card = store.queries.ask(CardOf(about=subject))
    if card is None:
        return {}
    try:
        document = parse_document(read_markdown(store, card))
    except NotFound as error:
        if error.code != ERASED:
            raise
        return {}
    return sections_of("".join(part.text for part in document.body if not part.name))


def _moment(at: float) -> str:
    return f"{datetime.fromtimestamp(at, UTC):%Y-%m-%d %H:%M} UTC"


def _line(entry: HistoryEntry) -> tuple[str, str, str, str]:
    what = f"{entry.what} {entry.field}".strip()
    value = "" if entry.what == "described" else f": {entry.value}" if entry.value else ""
    why = entry.reason + (f" ({entry.decided_by})" if entry.decided_by else "")
    return _moment(entry.at), f"{what}{value}", entry.actor, why.strip()
