"""What goes out of a workspace: the door to the addresses that may be called, the outbox, and the secrets beside it."""

import functools
import os
from collections.abc import Sequence
from urllib.parse import urlsplit

from charkh.core.errors import Conflict
from charkh.ports.egress import Egress
from charkh.ports.outbox import Outbox
from charkh.stores.egress_http import HttpEgress
from charkh.stores.egress_rules import Allowed
from charkh.stores.egress_schemes import EgressByScheme
from charkh.stores.egress_smtp import SmtpEgress
from charkh.webhooks.secrets import SecretFile
from charkh.webhooks.sender import Sender
from charkh.webhooks.webhook import FORMATS
from charkh.workspace.workspace import Workspace


def egress_of(workspace: Workspace) -> Egress:
    """The one door through which the server calls addresses that somebody named to it."""
    settings = workspace.settings.egress
    allowed = Allowed(hosts=settings.hosts, private=settings.private)
    web, mail = HttpEgress(allowed), SmtpEgress(allowed)
    return EgressByScheme({"https": web, "http": web, "smtps": mail, "smtp": mail})


def egress_to(url: str) -> Egress:
    """A door to the one host that whoever runs a command has named."""
    host = urlsplit(url).hostname or ""
    return HttpEgress(Allowed(private=(host,)))


def outbox_of(workspace: Workspace) -> Outbox:
    """The outbox; close it.

    Raises:
        Conflict: the store is at a server, which has the outbox and the secrets.
    """
    _require_home(workspace)
    # Here, because a script with a store in a folder should not load SQL for nothing.
    from charkh.stores.outbox_sql import folder_outbox, postgres_outbox

    address = workspace.settings.store.journal
    return postgres_outbox(address) if address else folder_outbox(workspace.store_folder)


def home_of(workspace: Workspace) -> str:
    """The id under which a workspace sends: its store's; of a team, the same for all servers of one journal."""
    address = workspace.settings.store.journal
    return _home_of_team(address, workspace.identifier) if address else workspace.identifier


@functools.lru_cache(maxsize=8)
def _home_of_team(address: str, identifier: str) -> str:
    # As above.
    from charkh.stores.outbox_sql import postgres_outbox

    outbox = postgres_outbox(address)
    try:
        return outbox.keep("home", identifier)
    finally:
        outbox.close()


def sender_of(workspace: Workspace, formats: Sequence[str] = FORMATS, *, egress: Egress | None = None) -> Sender:
    """The sending side of a workspace.

    Args:
        workspace: that sends.
        formats: the forms in which a webhook may be written.
        egress: the door, by default that of the settings.

    Raises:
        Conflict: the store is at a server, which has the outbox and the secrets.
    """
    _require_home(workspace)
    return Sender(
        home=home_of(workspace),
        secrets=SecretFile(workspace.store_folder / "webhooks.json"),
        egress=egress or egress_of(workspace),
        formats=formats,
        settings=workspace.settings.webhook,
        environment=os.environ,
    )


def _require_home(workspace: Workspace) -> None:
    if workspace.is_remote:
        raise Conflict(
            "webhooks are sent, and their secrets kept, by the server that has the store",
            code="webhook.at_the_server",
            hint="Run the command there, or ask its API: POST /api/webhooks.",
        )
