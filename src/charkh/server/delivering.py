"""Who is told what happens, and how: the forms of this room and of the bridges, put together for a workspace."""

from collections.abc import Mapping, Sequence

from charkh.bridges.alertmanager import FORMAT as ALERTMANAGER
from charkh.bridges.alertmanager import AlertmanagerForm
from charkh.bridges.mlflow.webhook_letters import FORMAT as MLFLOW
from charkh.bridges.mlflow.webhook_letters import MlflowForm
from charkh.bridges.openlineage.sending import FORMAT as OPENLINEAGE
from charkh.bridges.openlineage.sending import OpenLineageForm, target
from charkh.core.config import WebhookSettings
from charkh.ports.outbox import Outbox
from charkh.webhooks.email_form import Email
from charkh.webhooks.letter import CloudEvents, Form, Slack
from charkh.webhooks.webhook import CLOUDEVENTS, EMAIL, SLACK, Webhook
from charkh.workspace.notifying import Deliverer, DeliveryThread
from charkh.workspace.outgoing import home_of, outbox_of, sender_of
from charkh.workspace.workspace import Workspace


def forms_of(workspace: Workspace) -> Mapping[str, Form]:
    """By format, how letters are written."""
    return {
        CLOUDEVENTS: CloudEvents(f"charkh://{home_of(workspace)}"),
        SLACK: Slack(),
        EMAIL: Email(f"charkh://{home_of(workspace)}"),
        ALERTMANAGER: AlertmanagerForm(f"charkh://{home_of(workspace)}"),
        MLFLOW: MlflowForm(workspace.store),
        OPENLINEAGE: OpenLineageForm(workspace.store, namespace_of(workspace)),
    }


def standing_targets(workspace: Workspace) -> Sequence[Webhook]:
    """The targets that charkh.toml names by itself."""
    settings = workspace.settings.openlineage
    if not settings.url:
        return ()
    return (target(settings.url, home=home_of(workspace), signed=bool(settings.api_key_env)),)


def namespace_of(workspace: Workspace) -> str:
    """The namespace of this workspace's jobs and datasets in lineage events."""
    return workspace.settings.openlineage.namespace or f"charkh://{home_of(workspace)}"


def deliverer_of(workspace: Workspace, outbox: Outbox) -> Deliverer:
    """The deliverer of a workspace."""
    forms = forms_of(workspace)
    sender = sender_of(workspace, tuple(forms))
    key = WebhookSettings(secret_env=workspace.settings.openlineage.api_key_env)
    sender = sender._replace(settings={**sender.settings, OPENLINEAGE: key})
    return Deliverer(workspace, outbox, sender, forms, standing_targets(workspace))


class Delivery:
    """Delivers beside the server, from `start` to `stop`; of several servers of one store, one at a time.

    Args:
        workspace: whose facts are told.
    """

    def __init__(self, workspace: Workspace) -> None:
        self._workspace = workspace
        self._outbox: Outbox | None = None
        self._thread: DeliveryThread | None = None

    def start(self) -> None:
        """Begin."""
        self._outbox = outbox_of(self._workspace)
        self._thread = DeliveryThread(deliverer_of(self._workspace, self._outbox), self._outbox)
        self._thread.start()

    def stop(self, grace: float) -> bool:
        """Begin nothing more; whether what was under way ended within `grace` seconds. What did not is sent again."""
        if self._thread is None or self._outbox is None:
            return True
        ended = self._thread.stop(grace)
        if ended:
            self._outbox.close()
        return ended
