"""A fact as the writer of a letter is told it: its body as plain values, its subject's title, and what filters ask."""

import functools
import time
from collections.abc import Mapping
from typing import Any, cast

import msgspec

from charkh.core.events import Event, body_of
from charkh.ports.projections import Describe
from charkh.ports.store import Store
from charkh.runs.index import RunsByIds
from charkh.runs.run import Run
from charkh.webhooks.letter import Told, plain
from charkh.webhooks.match import names_of, passes
from charkh.webhooks.webhook import Webhook
from charkh.workspace.bodies import BODIES


def told(store: Store, event: Event) -> Told:
    """The fact; what is only asked by some is looked up when they ask."""
    shape = BODIES.get(event.kind)
    raw = msgspec.msgpack.decode(event.body) if shape is None else body_of(event, shape)
    shown = plain(raw)
    body = cast(Mapping[str, Any], shown if isinstance(shown, dict) else {})

    @functools.cache
    def run() -> Run | None:
        noun, _, identifier = event.subject.partition(":")
        return (
            next(iter(store.queries.ask(RunsByIds(runs=(identifier,), now=time.time()))), None)
            if noun == "run"
            else None
        )

    @functools.cache
    def title() -> str:
        described = store.queries.ask(Describe(subject=event.subject))
        return described.title if described is not None else event.subject

    def names() -> set[str]:
        known = run()
        return names_of(body) | ({known.name} if known is not None else {title()})

    def tags() -> Mapping[str, str]:
        known = run()
        said = body.get("tags")
        own: Mapping[str, object] = cast(Mapping[str, object], said) if isinstance(said, dict) else {}
        return {**(known.tags if known is not None else {}), **{key: str(value) for key, value in own.items()}}

    def let_through(webhook: Webhook) -> bool:
        return passes(webhook.terms.filter, event, names, tags)

    return Told(event=event, body=body, title=title, passes=let_through)
