"""Webhooks as a user has them: added, tested, delivered with and without a server, and read with others' libraries."""

import json
import subprocess
import time
from pathlib import Path

import pytest
from tests.functional.conftest import Charkh
from tests.functional.test_server import Server
from tests.receivers import Said, receiving

from peers import peer_program

ALLOWED = '[egress]\nprivate = ["127.0.0.1:*"]\n'
RUN = "import charkh\nwith charkh.run(name='night', tags={'team': 'flights'}):\n    charkh.log(loss=1.0)\n"
READ = """
import json, sys
from cloudevents.http import from_http
from standardwebhooks.webhooks import Webhook, WebhookVerificationError

came = json.load(open(sys.argv[1]))
told = []
for headers, body in came["requests"]:
    Webhook(came["secret"]).verify(body, headers)
    try:
        Webhook(came["secret"]).verify(body + " ", headers)
        raise SystemExit("a changed body passed")
    except WebhookVerificationError:
        pass
    event = from_http(headers, body)
    told.append([event["type"], event["source"], event["subject"], event.data.get("status")])
print(json.dumps(told))
"""


@pytest.fixture
def allowing(charkh: Charkh) -> Charkh:
    charkh.write("charkh.toml", ALLOWED)
    return charkh


def test_alertmanager_is_told_of_alerts_alone(allowing: Charkh) -> None:
    words = ("webhook", "add", "am", "http://127.0.0.1:9093/api/v2/alerts", "--format", "alertmanager", "--unsigned")
    assert "am is told of alert.raised, alert.resolved" in allowing(*words)


def test_a_life(allowing: Charkh) -> None:
    charkh = allowing
    with receiving() as receiver:
        added = charkh.json(
            "webhook", "add", "ci", receiver.url, "--on", "run.ended", "--of", "night", "--tag", "team=fl*"
        )
        secret = added["secret"]
        assert secret.startswith("whsec_")
        assert secret not in charkh("webhook", "show", "ci") + charkh("webhook", "list", "--json")
        assert charkh.json("webhook", "test", "ci")["success"] is True
        assert json.loads(receiver.came[-1].body)["data"] == {"test": True, "webhook": "ci"}
        charkh.python(RUN)
        charkh.python(RUN.replace("night", "day"))
        assert charkh.json("webhook", "deliver") == {"ci": {"delivered": 1, "waiting": 0, "dead": 0}}
        (sent,) = charkh.json("webhook", "log", "ci")
        assert (sent["state"], sent["kind"], sent["last"]["status"]) == ("delivered", "run.ended/1", 204)
        (tried,) = charkh.json("webhook", "log", "ci", "--message", sent["message"])
        assert [each["status"] for each in tried["tries"]] == [204]
        assert charkh.json("webhook", "resend", "ci", "--message", sent["message"])["waiting"] == 1
        charkh("webhook", "deliver")
        assert receiver.came[-1].headers["webhook-id"] == sent["message"]
        assert "disabled" in charkh("webhook", "change", "ci", "--disable", "--on", "run.*")
        charkh.python(RUN)
        assert charkh.json("webhook", "deliver") == {}
        charkh("webhook", "remove", "ci")
        assert b"whsec" not in (charkh.folder / ".charkh" / "webhooks.json").read_bytes()


def test_what_may_not_be_called_is_said(charkh: Charkh) -> None:
    said = charkh.fails(12, "webhook", "add", "ci", "https://example.com/hook", "--on", "run.ended")
    assert 'hosts = ["example.com"]' in said
    charkh.write("charkh.toml", '[egress]\nhosts = ["*"]\n')
    assert "not encrypted" in charkh.fails(12, "webhook", "add", "ci", "http://example.com/hook")
    charkh.fails(2, "webhook", "add", "ci", "https://user:planted@example.com/hook")
    charkh("webhook", "add", "ci", "https://127.0.0.1:9/", "--on", "run.ended")
    assert "may not be called" in charkh.fails(16, "webhook", "test", "ci")


def test_a_test_that_is_not_taken_says_the_status_alone(allowing: Charkh) -> None:
    with receiving(lambda _came: Said(500, {}, b"planted inner answer")) as receiver:
        allowing("webhook", "add", "ci", receiver.url)
        result = allowing.run("webhook", "test", "ci")
        assert result.returncode == 16
        assert "500" in result.stderr
        assert "planted" not in result.stdout + result.stderr


def test_secrets_come_from_files_and_variables(allowing: Charkh) -> None:
    charkh = allowing
    with receiving() as receiver:
        charkh("webhook", "add", "slack", "env:HOOK", "--format", "slack", HOOK=f"{receiver.url}/services/planted-path")
        charkh.write("secret", "planted-secret\n")
        assert "secret" not in charkh.json("webhook", "add", "ci", receiver.url, "--secret-file", "secret")
        assert "planted" not in charkh("webhook", "list", "--json") + charkh("webhook", "show", "slack", "--json")
        charkh.python(RUN)
        charkh("webhook", "deliver")
        (told,) = [came for came in receiver.came if came.path == "/services/planted-path"]
        assert json.loads(told.body)["text"].startswith("*run.ended*  night  status: finished")
        for path in (charkh.folder / ".charkh" / "journal").rglob("*"):
            assert not path.is_file() or b"planted" not in path.read_bytes()


@pytest.mark.needs("peer:webhooks")
def test_others_libraries_read_what_is_sent(allowing: Charkh) -> None:
    with receiving() as receiver:
        secret = allowing.json("webhook", "add", "ci", receiver.url, "--on", "run.*", "--on", "dataset.*")["secret"]
        allowing("dataset", "add", "rows", allowing.write("rows.csv", "a,b\n1,2\n"))
        allowing.python(RUN)
        allowing("webhook", "deliver")
        requests = [[dict(came.headers), came.body.decode()] for came in receiver.came]
    file = allowing.write("came.json", json.dumps({"secret": secret, "requests": requests}))
    done = subprocess.run(
        [peer_program("webhooks", "python"), "-c", READ, file], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    told = json.loads(done.stdout)
    assert {each[0] for each in told} >= {"io.charkh.run.ended.v1", "io.charkh.dataset.version.v1"}
    assert all(each[1].startswith("charkh://") for each in told)
    assert "finished" in {each[3] for each in told}


def test_a_server_delivers_by_itself_and_is_asked_over_http(allowing: Charkh, tmp_path: Path) -> None:
    with receiving() as receiver:
        server = Server(tmp_path, "up", "--every", "0s")
        try:
            terms = {"name": "api", "url": f"{receiver.url}/hook", "events": ["run.ended"], "secret": "planted-secret"}
            status, made = server.ask("/api/webhooks", terms)
            assert (status, made["terms"]["signed"]) == (201, True)
            assert "planted" not in json.dumps(server.ask("/api/webhooks"))
            assert server.ask("/api/webhooks", {**terms, "name": "far", "url": "https://far.test/"})[0] == 403
            assert server.ask("/api/webhooks", {**terms, "name": "odd", "url": "https://0x7f1/"})[0] == 400
            assert server.ask("/api/webhooks", token="")[0] == 401
            assert server.ask("/api/webhooks/test", {"webhook": "api"})[1]["status"] == 204
            allowing.python(RUN)
            deadline = time.monotonic() + 20
            while len(receiver.came) < 2:
                assert time.monotonic() < deadline
                time.sleep(0.05)
            allowing.fails(14, "webhook", "deliver")
            listed: list[dict[str, object]] = []
            while not listed or listed[0]["state"] != "delivered":
                assert time.monotonic() < deadline
                listed = server.ask("/api/webhooks/deliveries?name=api")[1]
            changed = {"webhook": "api", "status": "disabled", "description": "off"}
            assert server.ask("/api/webhooks/change", changed)[1]["terms"]["status"] == "disabled"
            assert server.ask("/api/webhooks/resend", {"webhook": "api"})[1] == {"waiting": 0}
            assert server.ask("/api/webhooks/remove", {"webhook": "api"})[1]["id"] == made["id"]
            assert server.ask("/api/webhooks/webhook?name=api")[0] == 404
        finally:
            code, said = server.stop()
        assert code == 0, said
