"""Whoever has a mailbox is told, by a real mail server."""

from pathlib import Path

import pytest

from functional.conftest import Charkh
from mailbox_server import mail_server

pytestmark = pytest.mark.needs("peer:smtp")


def test_a_mailbox_is_told_once_what_happened(charkh: Charkh, tmp_path_factory: pytest.TempPathFactory) -> None:
    box: Path = tmp_path_factory.mktemp("box")
    with mail_server(box) as server:
        charkh.write("charkh.toml", f'[egress]\nprivate = ["localhost:{server.port}"]\n')
        url = f"smtp://localhost:{server.port}/?from=charkh@example.com&to=ann@example.com"
        assert "no address for the form" in charkh.fails(2, "webhook", "add", "mail", url)
        charkh("webhook", "add", "mail", url, "--format", "email", "--on", "run.ended")
        assert "ann@example.com" not in charkh("webhook", "show", "mail")
        assert charkh.json("webhook", "test", "mail")["success"] is True
        charkh.python("import charkh\nwith charkh.run('night é'): charkh.log(auc=0.7)")
        assert charkh.json("webhook", "deliver") == {"mail": {"delivered": 1, "waiting": 0, "dead": 0}}
        assert charkh.json("webhook", "deliver") == {}
        test, told = server.messages()
    assert "a test of the webhook mail" in test["Subject"]
    assert told["Subject"] == "[run.ended] night é: finished"
    assert (told["To"], told["Auto-Submitted"]) == ("ann@example.com", "auto-generated")
    assert "status: finished" in told.get_content()
