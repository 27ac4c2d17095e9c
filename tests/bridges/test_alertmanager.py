"""The real Alertmanager takes charkh's alerts and sends what charkh reads."""

import json
import socket
import subprocess
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from charkh.bridges.alertmanager import AlertmanagerForm, read_notification
from charkh.core.clock import Clock
from charkh.core.errors import Invalid
from charkh.core.events import Event
from charkh.core.ids import new_id
from charkh.webhooks.letter import Told
from charkh.webhooks.webhook import Terms, Webhook
from receivers import Receiver, receiving

CONFIG = """
route: {{receiver: charkh, group_by: [alertname, monitor], group_wait: 0s, group_interval: 1s, repeat_interval: 1h}}
receivers: [{{name: charkh, webhook_configs: [{{url: "{url}/api/alerts/webhook", send_resolved: true}}]}}]
"""
WEBHOOK = Webhook(
    id=new_id(),
    home="",
    terms=Terms(name="am", url="http://127.0.0.1", events=("alert.*",), format="alertmanager"),
    since=0,
    actor="ann",
    created=0.0,
    updated=0.0,
    stamp="",
)


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def told(kind: str, body: dict[str, Any]) -> Told:
    event = Event(id=new_id(), kind=kind, actor="ann", clock=Clock().now(), subject="alert:1", body=b"")  # pyright: ignore
    return Told(event=event, body=body, title=lambda: "delay", passes=lambda _webhook: True)


def push(url: str, kind: str, body: dict[str, Any]) -> int:
    form = AlertmanagerForm("charkh://x")
    (letter,) = form.letters(WEBHOOK, told(kind, body))
    headers = {"Content-Type": letter.content_type, **form.headers("", "", 0, b"")}
    request = urllib.request.Request(f"{url}/api/v2/alerts", letter.body, headers)
    return urllib.request.urlopen(request, timeout=10).status


@pytest.fixture
def alertmanager(tmp_path: Path) -> Iterator[tuple[str, Receiver]]:
    with receiving() as receiver:
        (tmp_path / "am.yml").write_text(CONFIG.format(url=receiver.url))
        port = free_port()
        command = [
            "prometheus-alertmanager",
            f"--config.file={tmp_path}/am.yml",
            f"--storage.path={tmp_path}/data",
            f"--web.listen-address=127.0.0.1:{port}",
            "--cluster.listen-address=",
        ]
        with subprocess.Popen(command, stderr=subprocess.PIPE) as process:
            url = f"http://127.0.0.1:{port}"
            try:
                until(lambda: urllib.request.urlopen(f"{url}/-/ready", timeout=1).status == 200)
                yield url, receiver
            finally:
                process.kill()
                process.communicate()


def until(holds: Any) -> None:
    deadline = time.monotonic() + 30
    while time.monotonic() < deadline:
        try:
            if holds():
                return
        except OSError:
            pass
        time.sleep(0.1)
    raise AssertionError("it did not come to that")


@pytest.mark.needs("prometheus-alertmanager")
def test_an_alert_goes_there_and_comes_back(alertmanager: tuple[str, Receiver]) -> None:
    url, receiver = alertmanager
    body = {"monitor": "delay", "endpoint": "delay", "condition": "psi > 0.2", "reason": "psi is 0.4", "owner": "ann"}
    assert push(url, "alert.raised/1", {**body, "severity": "page", "runbook": "https://example.com/r"}) == 200
    until(lambda: receiver.came)
    came = read_notification(receiver.came[0].body)
    (alert,) = came.alerts
    assert (came.status, alert.status, alert.name) == ("firing", "firing", "CharkhMonitor")
    assert alert.labels["condition"] == "psi > 0.2"
    assert alert.annotations == {
        "summary": "delay: psi > 0.2",
        "description": "psi is 0.4",
        "runbook_url": "https://example.com/r",
    }
    assert push(url, "alert.resolved/1", {**body, "severity": "page"}) == 200
    until(lambda: len(receiver.came) > 1)
    assert read_notification(receiver.came[-1].body).status == "resolved"


@pytest.mark.parametrize(
    ("body", "said"),
    [
        (b"", "no notification"),
        (b"[]", "no notification"),
        (b'{"version": "3"}', "version '3'"),
        (json.dumps({"version": "4", "alerts": [{"status": "firing", "labels": {}}] * 1001}).encode(), "1001 alerts"),
        (b'{"version": "4", "alerts": [{"status": "firing", "labels": {"a": 1}}]}', "no notification"),
    ],
)
def test_what_is_no_notification_is_refused(body: bytes, said: str) -> None:
    with pytest.raises(Invalid, match=said):
        read_notification(body)


def test_fields_of_later_versions_are_passed_over() -> None:
    found = read_notification(b'{"version": "4", "notificationReason": "x", "groupKey": "g", "alerts": []}')
    assert (found.group_key, found.alerts) == ("g", ())
