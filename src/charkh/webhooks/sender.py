"""What a verb of this room needs beside the store: who sends, what may be called, and where secrets are kept."""

from collections.abc import Mapping, Sequence
from typing import NamedTuple

from charkh.core.config import WebhookSettings
from charkh.core.errors import Invalid
from charkh.ports.egress import Egress
from charkh.webhooks.secrets import Kept, SecretFile
from charkh.webhooks.webhook import HIDDEN, Webhook


class Sender(NamedTuple):
    """The sending side of a workspace.

    Attributes:
        home: id of its store.
        secrets: the file that is beside it.
        egress: what may be called.
        formats: the forms in which a webhook may be written.
        settings: `[webhook.NAME]` of charkh.toml.
        environment: variables.
    """

    home: str
    secrets: SecretFile
    egress: Egress
    formats: Sequence[str]
    settings: Mapping[str, WebhookSettings]
    environment: Mapping[str, str]

    def kept(self, webhook: Webhook) -> Kept:
        """The secret and the whole address of a webhook, from its variables where charkh.toml names some.

        Raises:
            Invalid: it is signed, or its address is hidden, and what is needed is not on this machine.
        """
        kept, told = self.secrets.get(webhook.id), self.settings.get(webhook.name, WebhookSettings())
        secret = self._variable(told.secret_env) or kept.secret
        url = self._variable(told.url_env) or kept.url or webhook.terms.url
        if webhook.terms.signed and not secret:
            raise _missing(webhook, "secret", "secret_env")
        if url.endswith(f"/{HIDDEN}"):
            raise _missing(webhook, "address", "url_env")
        return Kept(secret=secret, url=url)

    def _variable(self, name: str) -> str:
        value = self.environment.get(name, "") if name else ""
        if name and not value:
            raise Invalid(
                f"the variable {name} is not set", code="webhook.variable", hint="Set it where the server is started."
            )
        return value


def _missing(webhook: Webhook, what: str, key: str) -> Invalid:
    return Invalid(
        f"the {what} of webhook {webhook.name} is not on this machine",
        code="webhook.secret_missing",
        hint=f"Give it again with charkh webhook change, or name a variable: [webhook.{webhook.name}] {key}.",
    )
