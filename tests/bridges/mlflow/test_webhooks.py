"""MLflow's webhooks: its own client makes them, and what they send passes its own code for signatures."""

import json
import os
import subprocess
import time
from pathlib import Path

import pytest
from tests.functional.test_server import Server
from tests.receivers import Receiver, receiving

from peers import peer_program

SECRET = "planted-secret"
CLIENT = """
import json, sys
from mlflow import MlflowClient
from mlflow.entities.webhook import WebhookAction as Action, WebhookEntity as Entity, WebhookStatus
from mlflow.entities.webhook import WebhookEvent as Event
from mlflow.exceptions import MlflowException

url, secret = sys.argv[1:]
client = MlflowClient()
events = [
    Event(Entity.REGISTERED_MODEL, Action.CREATED),
    Event(Entity.MODEL_VERSION, Action.CREATED),
    Event(Entity.MODEL_VERSION_TAG, Action.SET),
    Event(Entity.MODEL_VERSION_TAG, Action.DELETED),
    Event(Entity.MODEL_VERSION_ALIAS, Action.CREATED),
    Event(Entity.MODEL_VERSION_ALIAS, Action.DELETED),
]
made = client.create_webhook(name="registry", url=url, events=events, secret=secret, description="tells CI")
assert made.secret is None and made.status == WebhookStatus.ACTIVE and made.url == url
assert client.get_webhook(made.webhook_id).events == events
result = client.test_webhook(made.webhook_id)
assert result.success and result.response_status == 204 and not result.response_body, result
tagged = client.test_webhook(made.webhook_id, Event(Entity.MODEL_VERSION_TAG, Action.SET))
assert tagged.success
for number in range(3):
    client.create_webhook(name=f"other{number}", url=url, events=events[:1], status="DISABLED")
page = client.list_webhooks(max_results=2)
rest = client.list_webhooks(max_results=2, page_token=page.token)
assert len({each.webhook_id for each in [*page, *rest]}) == 4 and not rest.token
changed = client.update_webhook(made.webhook_id, name="renamed", description="tells nobody else")
assert (changed.name, changed.events, changed.description) == ("renamed", events, "tells nobody else")
for each in [*page, *rest]:
    if each.webhook_id != made.webhook_id:
        client.delete_webhook(each.webhook_id)
said = {}
for what, call in {
    "missing": lambda: client.get_webhook("nonexistent"),
    "deleted": lambda: client.delete_webhook("nonexistent"),
    "blank": lambda: client.update_webhook(made.webhook_id, url="   "),
    "scheme": lambda: client.update_webhook(made.webhook_id, url="ftp://example.com"),
    "odd": lambda: client.update_webhook(made.webhook_id, url="http://[invalid"),
    "unlisted": lambda: client.create_webhook(name="far", url="https://example.com/", events=events),
    "name": lambda: client.create_webhook(name="-", url=url, events=events),
    "twice": lambda: client.create_webhook(name="renamed", url=url, events=events),
}.items():
    try:
        call()
        said[what] = "nothing"
    except MlflowException as error:
        said[what] = [error.error_code, error.message]
client.create_registered_model("delay", tags={"team": "flights"}, description="Late or not.")
version = client.create_model_version("delay", "runs:/x/model", description="First.")
client.set_model_version_tag("delay", version.version, "checked", "yes")
client.delete_model_version_tag("delay", version.version, "checked")
client.set_registered_model_alias("delay", "champion", version.version)
client.delete_registered_model_alias("delay", "champion")
print(json.dumps(said))
"""
VERIFY = """
import json, sys
from mlflow.webhooks.delivery import _generate_hmac_signature

came = json.load(open(sys.argv[1]))
for headers, body in came["requests"]:
    made = _generate_hmac_signature(
        came["secret"], headers["x-mlflow-delivery-id"], headers["x-mlflow-timestamp"], body
    )
    assert made == headers["x-mlflow-signature"], (made, headers)
"""


@pytest.mark.needs("peer:mlflow")
def test_the_client_makes_webhooks_and_a_receiver_for_mlflow_reads_them(tmp_path: Path) -> None:
    (tmp_path / "charkh.toml").write_text('[egress]\nprivate = ["127.0.0.1:*"]\n')
    with receiving() as receiver:
        server = Server(tmp_path, "up", "--every", "0s")
        try:
            said = json.loads(_client(server, CLIENT, f"{receiver.url}/hook", SECRET))
            told = _told(receiver, 8)
        finally:
            server.stop()
    assert said["missing"][1] == "RESOURCE_DOES_NOT_EXIST: Webhook with ID nonexistent not found."
    assert said["deleted"][0] == "RESOURCE_DOES_NOT_EXIST"
    assert "cannot be empty or just whitespace" in said["blank"][1]
    assert "Invalid webhook URL scheme" in said["scheme"][1]
    assert "Invalid webhook URL" in said["odd"][1]
    assert said["unlisted"][0] == "PERMISSION_DENIED"
    assert "[egress] hosts" in said["unlisted"][1]
    assert said["name"][0] == "INVALID_PARAMETER_VALUE"
    assert said["twice"][0] == "RESOURCE_ALREADY_EXISTS"
    happened = {f"{each['entity']}.{each['action']}": each["data"] for each in told[2:]}
    assert [f"{each['entity']}.{each['action']}" for each in told[:2]] == [
        "registered_model.created",
        "model_version_tag.set",
    ]
    assert happened == {
        "registered_model.created": {"name": "delay", "tags": {"team": "flights"}, "description": "Late or not."},
        "model_version.created": {
            "name": "delay",
            "version": "1",
            "source": "runs:/x/model",
            "run_id": "x",
            "tags": {},
            "description": "First.",
        },
        "model_version_tag.set": {"name": "delay", "version": "1", "key": "checked", "value": "yes"},
        "model_version_tag.deleted": {"name": "delay", "version": "1", "key": "checked"},
        "model_version_alias.created": {"name": "delay", "alias": "champion", "version": "1"},
        "model_version_alias.deleted": {"name": "delay", "alias": "champion"},
    }
    requests = [[dict(came.headers), came.body.decode()] for came in receiver.came]
    (tmp_path / "came.json").write_text(json.dumps({"secret": SECRET, "requests": requests}))
    verified = subprocess.run(
        [peer_program("mlflow", "python"), "-c", VERIFY, tmp_path / "came.json"],
        capture_output=True,
        text=True,
        check=False,
    )
    assert verified.returncode == 0, verified.stderr
    for path in (tmp_path / ".charkh" / "journal").rglob("*"):
        assert not path.is_file() or SECRET.encode() not in path.read_bytes()


def _client(server: Server, code: str, *arguments: str) -> str:
    environment = {
        **os.environ,
        "MLFLOW_TRACKING_URI": f"http://127.0.0.1:{server.port}",
        "MLFLOW_TRACKING_TOKEN": server.token,
        "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "0",
        "NO_PROXY": "127.0.0.1",
    }
    done = subprocess.run(
        [peer_program("mlflow", "python"), "-c", code, *arguments],
        capture_output=True,
        text=True,
        env=environment,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.splitlines()[-1]


def _told(receiver: Receiver, count: int) -> list[dict[str, object]]:
    """What came, once there is as much."""
    deadline = time.monotonic() + 20
    while len(receiver.came) < count:
        assert time.monotonic() < deadline, [came.body for came in receiver.came]
        time.sleep(0.05)
    return [json.loads(came.body) for came in receiver.came]
