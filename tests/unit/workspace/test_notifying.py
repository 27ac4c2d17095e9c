"""Deliveries of a team: servers on several machines, one journal and outbox in PostgreSQL, secrets in variables."""

from pathlib import Path

import pytest
from tests.receivers import receiving

from charkh.core.events import Draft
from charkh.runs.run import ENDED_KIND, RunEnded
from charkh.webhooks.add import add
from charkh.webhooks.letter import CloudEvents
from charkh.webhooks.sign import signature
from charkh.webhooks.webhook import Terms
from charkh.workspace.notifying import Deliverer, deliver_once
from charkh.workspace.outgoing import outbox_of, sender_of
from charkh.workspace.workspace import Workspace, open_workspace

SETTINGS = """
[store]
journal = "{journal}"
[egress]
private = ["127.0.0.1:*"]
[webhook.team]
secret_env = "TEAM_SECRET"
"""


def machine(folder: Path, journal: str) -> Workspace:
    folder.mkdir()
    (folder / "charkh.toml").write_text(SETTINGS.format(journal=journal))
    return open_workspace(folder, create=True)


def told(workspace: Workspace) -> object:
    outbox = outbox_of(workspace)
    forms = {"cloudevents": CloudEvents("charkh://team")}
    try:
        return deliver_once(Deliverer(workspace, outbox, sender_of(workspace), forms), outbox)
    finally:
        outbox.close()


@pytest.mark.needs("postgresql")
def test_another_machine_goes_on_where_the_first_one_was(
    tmp_path: Path, postgres_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TEAM_SECRET", "secret-of-the-team")
    with (
        receiving() as receiver,
        machine(tmp_path / "a", postgres_url) as first,
        machine(tmp_path / "b", postgres_url) as second,
    ):
        add(first.store, sender_of(first), Terms(name="team", url=receiver.url, events=("run.ended",)))
        for number, workspace in enumerate((first, second)):
            body = RunEnded(run=f"r{number}", status="finished")
            workspace.store.record(Draft(kind=ENDED_KIND, subject=f"run:r{number}", body=body), durable=True)
            assert told(workspace) == {"team": (1, 0, 0)}
            assert told(workspace) == {}
    assert len(receiver.came) == 2
    for came in receiver.came:
        moment = int(came.headers["webhook-timestamp"])
        made = signature("secret-of-the-team", came.headers["webhook-id"], moment, came.body)
        assert made == came.headers["webhook-signature"]
