"""Find the webhook that a name or id means."""

from charkh.core.errors import Conflict, NotFound
from charkh.ports.store import Store
from charkh.webhooks.index import Webhooks
from charkh.webhooks.webhook import Webhook


def find(store: Store, ref: str) -> Webhook:
    """The webhook of this name, id, or `webhook:ID`.

    Raises:
        NotFound: there is none.
        Conflict: two that were made apart have this name.
    """
    known = store.queries.ask(Webhooks())
    identifier = ref.removeprefix("webhook:")
    found = [each for each in known if each.id == identifier] or [each for each in known if each.name == ref]
    if len(found) == 1:
        return found[0]
    if found:
        raise Conflict(
            f"{len(found)} webhooks are called {ref}",
            code="webhook.ambiguous",
            hint=f"Name one by its id: {', '.join(each.id for each in found)}.",
        )
    names = ", ".join(each.name for each in known[:10]) or "none yet"
    raise NotFound(
        f"there is no webhook {ref[:80]}",
        code="webhook.not_found",
        hint=f"`charkh webhook list` shows them; known: {names}.",
    )
