"""Remove a webhook and what is kept of it."""

from charkh.ports.outbox import Outbox
from charkh.ports.store import Store
from charkh.webhooks.find import find
from charkh.webhooks.index import RemoveWebhook
from charkh.webhooks.sender import Sender
from charkh.webhooks.webhook import Webhook


def remove(store: Store, sender: Sender, outbox: Outbox, ref: str) -> Webhook:
    """Tell nobody at this webhook any more: its secret, history and waiting letters go; it returns what it was.

    Raises:
        NotFound, Conflict: as `find`.
    """
    current = find(store, ref)
    with store.journal.exclusive():
        store.commands.decide(RemoveWebhook(webhook=current.id))
        sender.secrets.remove(current.id)
    outbox.drop(current.id)
    return current
