"""What the registry knows of a model version, as the wording of its card: library, signature, and what was decided."""

from datetime import UTC, datetime

import msgspec

from charkh.cards.wording import Wording, signature_lines
from charkh.core.refs import parse_subject
from charkh.models.index import ModelById
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
    )


def _line(entry: HistoryEntry) -> tuple[str, str, str, str]:
    moment = f"{datetime.fromtimestamp(entry.at, UTC):%Y-%m-%d %H:%M} UTC"
    what = f"{entry.what} {entry.field}".strip()
    value = "" if entry.what == "described" else f": {entry.value}" if entry.value else ""
    why = entry.reason + (f" ({entry.decided_by})" if entry.decided_by else "")
    return moment, f"{what}{value}", entry.actor, why.strip()
