"""Change a webhook's terms, its address or its secret."""

import msgspec

from charkh.ports.store import Store
from charkh.webhooks.find import find
from charkh.webhooks.index import ChangeWebhook
from charkh.webhooks.secrets import checked_secret
from charkh.webhooks.sender import Sender
from charkh.webhooks.webhook import EMAIL, Terms, Webhook, checked_address, checked_terms, shown_url


def change(
    store: Store,
    sender: Sender,
    ref: str,
    terms: Terms | None = None,
    *,
    url: str = "",
    secret: str = "",
    reason: str = "",
) -> Webhook:
    """Let a webhook have other terms; what is not said stays.

    Args:
        store: where it is recorded.
        sender: of this workspace.
        ref: name or id.
        terms: as they are to be; their own address counts for nothing, `url` says it.
        url: the whole address, where it changes.
        secret: the one that signs from now on.
        reason: why, where the server changes it by itself.

    Raises:
        NotFound, Conflict, Invalid, Denied: as `find` and `add`.
    """
    current = find(store, ref)
    wanted = checked_terms(terms or current.terms, sender.formats)
    shown = current.terms.url
    if url:
        checked_address(url, wanted.format)
        sender.egress.check(url)
        shown = shown_url(url, wanted.format)
    if secret and wanted.format != EMAIL:
        checked_secret(secret)
    wanted = msgspec.structs.replace(wanted, url=shown, signed=bool(secret) or current.terms.signed)
    with store.journal.exclusive():
        before = sender.secrets.get(current.id)
        kept = msgspec.structs.replace(before, secret=secret or before.secret)
        if url:
            kept = msgspec.structs.replace(kept, url=url if shown != url else "")
        if kept != before:
            sender.secrets.put(current.id, kept)
        command = ChangeWebhook(webhook=current.id, since=store.clock.now(), terms=wanted, reason=reason)
        store.commands.decide(command)
    return find(store, current.id)
