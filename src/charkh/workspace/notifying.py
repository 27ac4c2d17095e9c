"""Deliver what happened: new facts of the journal become letters in the outbox, and letters are sent until they arrive.

At least once: the place up to which the journal was read is written together with the letters, and a letter is done
when the receiver took it. Each webhook has threads of its own, so that a slow receiver holds up nobody else.
"""

import contextlib
import functools
import logging
import threading
import time
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import NamedTuple

import msgspec

from charkh.core.clock import COUNTER_BITS
from charkh.core.errors import CharkhError, NotFound
from charkh.core.events import Event, decode_event
from charkh.ports.egress import Call
from charkh.ports.outbox import Attempt, Delivery, Outbox, Parcel
from charkh.webhooks.change import change
from charkh.webhooks.index import WebhookById, Webhooks
from charkh.webhooks.letter import Form, Letter
from charkh.webhooks.schedule import GONE, next_delay, succeeded
from charkh.webhooks.sender import Sender
from charkh.webhooks.webhook import DISABLED, Webhook
from charkh.workspace.told import told
from charkh.workspace.workspace import Workspace

PORTION = 2000
"""Facts that are read, and whose letters are written, in one go."""
LANES = 4
"""Letters of one webhook that are under way at once, each about another subject."""
MOST_AT_ONCE = 64
"""Letters that are taken from the outbox in one go."""
KEEP = 1000
"""Letters of a webhook whose history is kept."""
WAIT_TO_LEAD = 5.0
"""Seconds after which a server looks whether the one that delivered has gone."""
REST = (5.0, 300.0)
"""Seconds that a webhook is left alone when nothing got through: at first, and at most."""

_log = logging.getLogger("charkh.webhooks")


class Outcome(NamedTuple):
    """What one round came to: letters that arrived, that will be tried again, and that were given up."""

    delivered: int
    waiting: int
    dead: int


class Deliverer:
    """Reads the journal and sends.

    Args:
        workspace: whose facts are told.
        outbox: of the workspace.
        sender: of the workspace.
        forms: by format, how letters are written.
        standing: targets that charkh.toml names, beside the webhooks of the catalog.
    """

    def __init__(
        self,
        workspace: Workspace,
        outbox: Outbox,
        sender: Sender,
        forms: Mapping[str, Form],
        standing: Sequence[Webhook] = (),
    ) -> None:
        self._store = workspace.store
        self._outbox = outbox
        self._sender = sender
        self._forms = forms
        self._standing = tuple(
            msgspec.structs.replace(each, since=int(outbox.keep(f"since {each.id}", str(self._store.clock.now()))))
            for each in standing
        )
        self._rests: dict[str, tuple[int, float]] = {}

    def targets(self) -> Mapping[str, Webhook]:
        """By id, whom this workspace tells."""
        made = self._store.queries.ask(Webhooks(home=self._sender.home))
        return {each.id: each for each in (*made, *self._standing)}

    def read(self) -> int:
        """Turn what is new in the journal into letters; how many."""
        found = 0
        while True:
            events, place = self._portion()
            if not events:
                return found
            # Asked after the facts were read: a webhook that was made before one of them is among the targets.
            targets = [each for each in self.targets().values() if each.active]
            parcels = [parcel for event in events for parcel in self._parcels(event, targets)]
            found += self._outbox.put(parcels, place, now=time.time())

    def send_due(self, webhook: Webhook, *, patient: bool = False) -> Outcome:
        """Send a webhook's letters that are due, until none is.

        Args:
            webhook: to whom.
            patient: stop when a whole batch did not get through, and leave the receiver alone for a while.
        """
        counts = {"delivered": 0, "pending": 0, "dead": 0}
        size = LANES
        with ThreadPoolExecutor(LANES, thread_name_prefix="charkh-webhook") as pool:
            while due := self._outbox.due(webhook.id, time.time(), size):
                states = list(pool.map(functools.partial(self._send, webhook), due))
                for state in states:
                    counts[state] += 1
                # Who takes everything gets more at once; who does not is asked carefully again.
                size = min(2 * size, MOST_AT_ONCE) if set(states) == {"delivered"} else LANES
                if "delivered" in states:
                    self._rests.pop(webhook.id, None)
                elif patient:
                    failures = self._rests.get(webhook.id, (0, 0.0))[0] + 1
                    pause = min(REST[0] * 2 ** (failures - 1), REST[1])
                    self._rests[webhook.id] = (failures, time.time() + pause)
                    break
                if not self._is_wanted(webhook):
                    break
        return Outcome(counts["delivered"], counts["pending"], counts["dead"])

    def rests(self, target: str) -> bool:
        """Whether a receiver that took nothing is left alone just now."""
        return self._rests.get(target, (0, 0.0))[1] > time.time()

    def test(self, webhook: Webhook, event: str = "") -> Attempt:
        """Send a letter about nothing, once; what came of it stands in no history.

        Args:
            webhook: to whom.
            event: the kind that it says it is about; the webhook's first one by default.
        """
        letter = self._forms[webhook.terms.format].sample(webhook, event)
        return self._attempt(webhook, letter.id, letter.content_type, letter.body)[0]

    def _portion(self) -> tuple[list[Event], Mapping[str, int]]:
        events: list[Event] = []
        place = self._outbox.place()
        for batch in self._store.journal.read(place):
            events.extend(decode_event(payload) for payload in batch.payloads)
            place = batch.cursor
            if len(events) >= PORTION:
                break
        return sorted(events, key=lambda event: event.stamp), place

    def _parcels(self, event: Event, targets: Sequence[Webhook]) -> list[Parcel]:
        wanting = [
            (each, form)
            for each in targets
            if event.clock >> COUNTER_BITS >= each.since >> COUNTER_BITS
            if (form := self._forms.get(each.terms.format)) is not None and form.wants(each, event.kind)
        ]
        if not wanting:
            return []
        fact = told(self._store, event)
        if fact.body.get("silenced") is True:
            # Somebody asked beforehand that nobody be told of it.
            return []
        return [_parcel(each, letter) for each, form in wanting for letter in form.letters(each, fact)]

    def _send(self, webhook: Webhook, delivery: Delivery) -> str:
        parcel = delivery.parcel
        attempt, asked = self._attempt(webhook, parcel.message, parcel.content_type, parcel.body)
        if succeeded(attempt.status):
            self._outbox.note(delivery.number, attempt, "delivered", attempt.at)
            return "delivered"
        delay = next_delay(delivery.attempts + 1, asked)
        state = "dead" if delay is None or attempt.status == GONE else "pending"
        self._outbox.note(delivery.number, attempt, state, time.time() + (delay or 0.0))
        why = attempt.error or f"it answered {attempt.status}"
        _log.warning("webhook %s: %s of %s %s: %s", webhook.name, parcel.kind, parcel.subject, state, why)
        if attempt.status == GONE and webhook not in self._standing:
            self._disable(webhook)
        return state

    def _attempt(self, webhook: Webhook, message: str, content_type: str, body: bytes) -> tuple[Attempt, float | None]:
        at = time.time()
        try:
            kept = self._sender.kept(webhook)
            proof = self._forms[webhook.terms.format].headers(kept.secret, message, int(at), body)
            headers = {"Content-Type": content_type, **proof}
            answer = self._sender.egress.call(Call("POST", kept.url, headers, body))
        except CharkhError as error:
            return Attempt(at=at, seconds=time.time() - at, error=error.message[:300]), None
        return Attempt(at=at, status=answer.status, seconds=answer.seconds), answer.retry_after

    def _is_wanted(self, webhook: Webhook) -> bool:
        """Whether it is still there and active; who was removed or disabled meanwhile is sent nothing more."""
        if webhook in self._standing:
            return True
        current = self._store.queries.ask(WebhookById(webhook=webhook.id))
        return current is not None and current.active

    def _disable(self, webhook: Webhook) -> None:
        terms = msgspec.structs.replace(webhook.terms, status=DISABLED)
        # Somebody may have removed it meanwhile.
        with contextlib.suppress(NotFound):
            change(self._store, self._sender, webhook.id, terms, reason=f"it answered {GONE} (gone)")
        _log.warning("webhook %s is disabled: it answered %s (gone)", webhook.name, GONE)


class DeliveryThread:
    """Delivers beside a server; of several servers of one store, one at a time.

    Args:
        deliverer: that reads and sends.
        outbox: of the same workspace.
        every: seconds between two looks at the journal.
    """

    def __init__(self, deliverer: Deliverer, outbox: Outbox, every: float = 1.0) -> None:
        self._deliverer = deliverer
        self._outbox = outbox
        self._every = every
        self._stop = threading.Event()
        self._sending: dict[str, threading.Thread] = {}
        self._thread = threading.Thread(target=self._run, name="charkh-webhooks", daemon=True)

    def start(self) -> None:
        """Begin."""
        self._thread.start()

    def stop(self, grace: float) -> bool:
        """Begin nothing more; whether what was under way ended within `grace` seconds. What did not is sent again."""
        self._stop.set()
        deadline = time.monotonic() + grace
        for thread in (self._thread, *self._sending.values()):
            if thread.ident is not None:
                thread.join(max(0.0, deadline - time.monotonic()))
        return not any(thread.is_alive() for thread in (self._thread, *self._sending.values()))

    def _run(self) -> None:
        while not self._stop.is_set():
            try:
                with self._outbox.lead() as leads:
                    while leads and not self._stop.is_set():
                        self._round()
                        self._stop.wait(self._every)
            except Exception:  # noqa: BLE001 - the edge of the thread: a failing disk or database may come back
                _log.exception("webhooks are not delivered for the moment")
            self._stop.wait(max(self._every, WAIT_TO_LEAD))

    def _round(self) -> None:
        self._deliverer.read()
        self._sending = {target: thread for target, thread in self._sending.items() if thread.is_alive()}
        pending = self._outbox.pending()
        if not pending:
            return
        targets, now = self._deliverer.targets(), time.time()
        for target, due in pending.items():
            webhook = targets.get(target)
            if webhook is None:
                self._outbox.drop(target)
            elif due <= now and webhook.active and target not in self._sending and not self._deliverer.rests(target):
                self._begin(webhook)
        self._outbox.trim(KEEP)

    def _begin(self, webhook: Webhook) -> None:
        def run() -> None:
            try:
                self._deliverer.send_due(webhook, patient=True)
            except Exception:  # noqa: BLE001 - the edge of the thread; the letters stay in the outbox
                _log.exception("webhook %s: sending broke off", webhook.name)

        thread = threading.Thread(target=run, name=f"charkh-webhook-{webhook.name}", daemon=True)
        self._sending[webhook.id] = thread
        thread.start()


def deliver_once(deliverer: Deliverer, outbox: Outbox) -> Mapping[str, Outcome]:
    """Read what is new, send what is due, and return; by name of the webhook, what came of it."""
    deliverer.read()
    targets = deliverer.targets()
    pending = outbox.pending()
    for target in pending.keys() - targets.keys():
        outbox.drop(target)
    active = [targets[target] for target in pending if target in targets and targets[target].active]
    with ThreadPoolExecutor(max(1, len(active))) as pool:
        outcomes = dict(zip((each.name for each in active), pool.map(deliverer.send_due, active), strict=True))
    outbox.trim(KEEP)
    return outcomes


def _parcel(webhook: Webhook, letter: Letter) -> Parcel:
    return Parcel(
        target=webhook.id,
        message=letter.id,
        event=letter.event,
        kind=letter.kind,
        subject=letter.subject,
        content_type=letter.content_type,
        body=letter.body,
    )
