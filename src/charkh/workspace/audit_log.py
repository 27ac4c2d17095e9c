"""The journal read as the audit log that it is: who did what, when; refusals and sign-ins are facts, too."""

from collections.abc import Iterator

import msgspec

from charkh.core.clock import seconds
from charkh.core.errors import Corrupt
from charkh.core.events import Event, decode_event
from charkh.users.index import Users
from charkh.workspace.workspace import Workspace


class Entry(msgspec.Struct, frozen=True, kw_only=True):
    """One fact, as the audit log shows it.

    Attributes:
        at: seconds since the epoch.
        actor: who recorded it; of a refusal or a sign-in, whose it was.
        kind: of the fact.
        subject: what it is about.
        detail: what a refusal, grant or token says beside that; empty for most.
        id: of the event.
    """

    at: float
    actor: str
    kind: str
    subject: str
    detail: str
    id: str


def read_log(
    workspace: Workspace, *, user: str = "", since: float = 0.0, kind: str = "", limit: int = 100
) -> tuple[Entry, ...]:
    """The newest facts, newest first.

    Args:
        workspace: whose journal.
        user: name of the actor, or of the user that a refusal was about; empty for all.
        since: seconds since the epoch.
        kind: begin of the kind, such as `user.` or `model.alias_moved`; empty for all.
        limit: how many at most.
    """
    names = {each.id: each.name for each in workspace.store.queries.ask(Users())}
    found: list[Entry] = []
    for event in _events(workspace):
        if seconds(event.clock) < since or not event.kind.startswith(kind):
            continue
        entry = _entry(event, names)
        if user and user not in {entry.actor, event.actor}:
            continue
        found.append(entry)
        if len(found) > 2 * limit:
            found = sorted(found, key=_order, reverse=True)[:limit]
    return tuple(sorted(found, key=_order, reverse=True)[:limit])


def _order(entry: Entry) -> tuple[float, str]:
    return (entry.at, entry.id)


def _events(workspace: Workspace) -> Iterator[Event]:
    for batch in workspace.journal.read({}):
        for payload in batch.payloads:
            try:
                yield decode_event(payload)
            except Corrupt:
                # `charkh fsck` and `charkh audit verify` say where it is; the log shows what can be read.
                continue


def _entry(event: Event, names: dict[str, str]) -> Entry:
    actor, detail = event.actor, ""
    if event.kind.startswith("user."):
        body: dict[str, object] = msgspec.msgpack.decode(event.body)
        about = names.get(str(body.get("user", "")), "")
        if event.kind.startswith(("user.denied", "user.signed_in")):
            actor = about or ("nobody" if event.kind.startswith("user.denied") else event.actor)
        shown = ("what", "reason", "role", "scope", "how", "address", "label", "name", "times")
        said = {name: body[name] for name in shown if body.get(name)}
        if about and actor != about:
            said = {"user": about, **said}
        detail = " ".join(f"{name}={value}" for name, value in said.items())
    return Entry(
        at=seconds(event.clock), actor=actor, kind=event.kind, subject=event.subject, detail=detail, id=event.id
    )
