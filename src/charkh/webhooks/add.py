"""Make a webhook: its secret is kept first, then the fact is recorded."""

import msgspec

from charkh.core.config import WebhookSettings
from charkh.core.errors import CharkhError
from charkh.ports.store import Store
from charkh.webhooks.find import find
from charkh.webhooks.index import AddWebhook, new_webhook_id
from charkh.webhooks.secrets import Kept, checked_secret
from charkh.webhooks.sender import Sender
from charkh.webhooks.webhook import EMAIL, Terms, Webhook, checked_address, checked_terms, shown_url


def add(store: Store, sender: Sender, terms: Terms, *, secret: str = "") -> Webhook:
    """Let `terms.url` be told of what happens from now on.

    Args:
        store: where it is recorded.
        sender: of this workspace.
        terms: with the whole address; what is a secret in it does not enter the journal.
        secret: that signs; without one, and without `[webhook.NAME] secret_env`, nothing is signed.

    Raises:
        Invalid: the terms or the secret cannot be, or the address is none.
        Denied: the operator has not said that this host may be called.
        Conflict: there is a webhook of this name.
    """
    checked = checked_terms(terms, sender.formats)
    checked_address(terms.url, terms.format)
    sender.egress.check(terms.url)
    if secret and terms.format != EMAIL:  # that of a mail server is a password, and not ours to judge
        checked_secret(secret)
    shown = shown_url(terms.url, terms.format)
    told = sender.settings.get(terms.name, WebhookSettings())
    checked = msgspec.structs.replace(checked, url=shown, signed=bool(secret or told.secret_env))
    identifier = new_webhook_id()
    kept = Kept(secret=secret, url=terms.url if shown != terms.url else "")
    # Under the lock, so that two who keep secrets at once do not lose one.
    with store.journal.exclusive():
        if kept != Kept():
            sender.secrets.put(identifier, kept)
        try:
            command = AddWebhook(webhook=identifier, home=sender.home, since=store.clock.now(), terms=checked)
            store.commands.decide(command)
        except CharkhError:
            sender.secrets.remove(identifier)
            raise
    return find(store, identifier)
