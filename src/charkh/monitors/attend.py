"""What people say of alerts: that they look after one, or that for a while nobody is to be told."""

import time

from charkh.core.errors import Invalid, NotFound
from charkh.core.events import Draft
from charkh.core.gates import parse_condition
from charkh.core.ids import new_id
from charkh.core.redact import redact
from charkh.core.refs import parse_name
from charkh.monitors.alert_index import AlertById, Silences
from charkh.monitors.monitor import (
    ACKNOWLEDGED_KIND,
    SILENCED_KIND,
    UNSILENCED_KIND,
    Acknowledged,
    Alert,
    Silence,
    Silenced,
    Unsilenced,
)
from charkh.ports.store import Store

MAX_NOTE = 300


def acknowledge(store: Store, ref: str, *, note: str = "") -> Alert:
    """Say that somebody looks after an alert: its condition raises nothing more before it is over.

    Args:
        store: where it is recorded.
        ref: the alert's id, or how it begins.
        note: what that person says.

    Raises:
        NotFound: there is no such alert, or several begin so.
        Invalid: the note is too long.
    """
    alert = _alert(store, ref)
    body = Acknowledged(
        alert=alert.made.alert, episode=alert.episode, monitor=alert.made.monitor, note=_checked("note", note)
    )
    store.record(Draft(kind=ACKNOWLEDGED_KIND, subject=alert.subject, body=body), durable=True)
    return _alert(store, alert.made.alert)


def silence(store: Store, monitor: str, *, seconds: float, condition: str = "", reason: str = "") -> Silence:
    """Tell nobody of a monitor's alerts for a while; they are recorded all the same, and loops see them.

    Args:
        store: where it is recorded.
        monitor: its name.
        seconds: for how long.
        condition: the one that is meant; all without.
        reason: why.

    Raises:
        Invalid: the condition cannot be read, or the time is none.
    """
    if seconds <= 0:
        raise Invalid(f"a silence of {seconds:g} s is none", code="alert.silence", hint="Say for how long, such as 2h.")
    if condition:
        parse_condition(condition)
    body = Silenced(
        silence=new_id(),
        monitor=parse_name(monitor, "monitor name"),
        condition=condition.strip(),
        until=time.time() + seconds,
        reason=_checked("reason", reason),
    )
    store.record(Draft(kind=SILENCED_KIND, subject=f"silence:{body.silence}", body=body), durable=True)
    return _silence(store, body.silence)


def unsilence(store: Store, ref: str) -> Silence:
    """End a silence now.

    Raises:
        NotFound: none that holds begins so, or several do.
    """
    found = _silence(store, ref)
    body = Unsilenced(silence=found.made.silence, monitor=found.made.monitor)
    store.record(Draft(kind=UNSILENCED_KIND, subject=f"silence:{body.silence}", body=body), durable=True)
    return found


def _alert(store: Store, ref: str) -> Alert:
    found = store.queries.ask(AlertById(alert=ref.removeprefix("alert:")))
    if found is None or not ref:
        raise NotFound(
            f"no alert, or more than one, has an id that begins with {ref!r}",
            code="alert.not_found",
            hint="`charkh monitor alerts --json` shows them.",
        )
    return found


def _silence(store: Store, ref: str) -> Silence:
    known = store.queries.ask(Silences(moment=time.time()))
    found = [each for each in known if ref and each.made.silence.startswith(ref)]
    if len(found) != 1:
        raise NotFound(
            f"no silence, or more than one, has an id that begins with {ref!r}",
            code="alert.no_silence",
            hint="`charkh monitor silences` shows those that hold.",
        )
    return found[0]


def _checked(what: str, text: str) -> str:
    said = redact(text.strip())
    if len(said) > MAX_NOTE:
        raise Invalid(f"the {what} is longer than {MAX_NOTE} characters", code="alert.note", hint="Shorten it.")
    return said
