"""Webhooks against advisories that other servers had: SSRF by address, redirection and rebinding; secrets told.

Each address is given over both surfaces, charkh's own and MLflow's, to a server that lists one host of this machine.
"""

import contextlib
import json
import socket
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from tests.functional.test_server import Server
from tests.receivers import Said, receiving

NOT_CALLED = (
    ("CVE-2025-52967 private", "https://10.0.0.1/"),
    ("CVE-2025-52967 loopback", "https://127.0.0.1:{port}/"),
    ("CVE-2025-52967 hexadecimal", "https://0x7f1:{port}/"),
    ("CVE-2025-52967 decimal", "https://2130706433:{port}/"),
    ("CVE-2025-52967 octal", "https://0177.0.0.1:{port}/"),
    ("CVE-2025-52967 short", "https://127.1:{port}/"),
    ("CVE-2025-52967 mapped", "https://[::ffff:127.0.0.1]:{port}/"),
    ("CVE-2025-52967 user", "https://example.com@127.0.0.1:{port}/"),
    ("CVE-2025-52967 metadata", "https://169.254.169.254/latest/meta-data/"),
    ("CVE-2026-2393 name", "https://localhost:{port}/"),
    ("CVE-2026-2393 listed elsewhere", "https://listed.test.evil.test:{port}/"),
    ("GHSA-vf52 ftp", "ftp://127.0.0.1:{port}/"),
    ("GHSA-vf52 file", "file:///etc/passwd"),
    ("GHSA-vf52 gopher", "gopher://127.0.0.1:{port}/_"),
    ("header injection", "https://listed.test/\r\nX-Evil: 1"),
)
LITERAL = ("$HOME-planted", "${PATH}-planted", "{{planted.secret}}", "file:/etc/hostname", "env:HOME-planted")


@pytest.fixture(scope="module")
def inner() -> Iterator[tuple[int, list[int]]]:
    """A port of this machine that nobody is to call, and an entry for every connection that it saw."""
    seen: list[int] = []
    stop = threading.Event()
    with socket.create_server(("127.0.0.1", 0)) as listener:
        listener.settimeout(0.05)

        def accept() -> None:
            while not stop.is_set():
                with contextlib.suppress(TimeoutError):
                    listener.accept()[0].close()
                    seen.append(1)

        thread = threading.Thread(target=accept)
        thread.start()
        yield listener.getsockname()[1], seen
        stop.set()
        thread.join()


@pytest.fixture(scope="module")
def outer() -> Iterator[int]:
    with receiving(lambda _came: Said(302, {"Location": "http://127.0.0.1:1/"}, b"planted inner words")) as receiver:
        yield receiver.port


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory, outer: int) -> Iterator[Server]:
    folder = tmp_path_factory.mktemp("workspace")
    (folder / "charkh.toml").write_text(f'[egress]\nhosts = ["listed.test"]\nprivate = ["127.0.0.1:{outer}"]\n')
    started = Server(folder, "up", "--every", "0s")
    yield started
    started.stop()


def both(server: Server, name: str, url: str, secret: str = "") -> list[tuple[int, Any]]:
    own = {"name": f"{name}-own", "url": url, "events": ["run.ended"], "secret": secret}
    event = {"entity": "MODEL_VERSION", "action": "CREATED"}
    theirs = {"name": f"{name}-mlflow", "url": url, "events": [event], "secret": secret}
    return [server.ask("/api/webhooks", own), server.ask("/api/2.0/mlflow/webhooks", theirs)]


@pytest.mark.parametrize(("why", "url"), NOT_CALLED, ids=[why for why, _ in NOT_CALLED])
def test_an_address_that_may_not_be_called_is_refused(
    server: Server, inner: tuple[int, list[int]], why: str, url: str
) -> None:
    port, seen = inner
    for status, problem in both(server, "x", url.format(port=port)):
        assert status in {400, 403}, problem
    assert seen == []


def test_a_redirection_leads_nowhere_and_nothing_is_read(server: Server, outer: int) -> None:
    own, theirs = both(server, "detour", f"http://127.0.0.1:{outer}/hook")
    assert (own[0], theirs[0]) == (201, 200)
    tested = server.ask("/api/webhooks/test", {"webhook": "detour-own"})
    assert tested[0] == 200
    assert (tested[1]["success"], tested[1]["status"]) == (False, 302)
    identifier = theirs[1]["webhook"]["webhook_id"]
    mlflow = server.ask(f"/api/2.0/mlflow/webhooks/{identifier}/test", {})
    assert mlflow[1]["result"] == {"success": False, "response_status": 302}
    assert "planted" not in json.dumps([tested, mlflow])


@pytest.mark.parametrize("secret", LITERAL)
def test_a_secret_is_never_expanded_and_never_told(server: Server, outer: int, secret: str) -> None:
    name = f"s{LITERAL.index(secret)}"
    for status, _ in both(server, name, f"http://127.0.0.1:{outer}/hook", secret):
        assert status in {200, 201}
    kept = json.loads((server.folder / ".charkh" / "webhooks.json").read_text())
    assert [each["secret"] for each in kept.values()].count(secret) == 2
    for path in ("/api/webhooks", f"/api/webhooks/webhook?name={name}-own", "/api/2.0/mlflow/webhooks"):
        assert secret not in json.dumps(server.ask(path)[1])


def test_no_secret_is_in_the_journal_or_readable_by_others(server: Server) -> None:
    both(server, "kept", "https://listed.test/hook?token=planted-in-query", "planted-secret-of-kept")
    folder: Path = server.folder / ".charkh"
    for path in (folder / "journal").rglob("*"):
        assert not path.is_file() or b"planted" not in path.read_bytes(), path
    assert (folder / "webhooks.json").stat().st_mode & 0o077 == 0
    assert "planted" not in json.dumps(server.ask("/api/webhooks/webhook?name=kept-own")[1])
