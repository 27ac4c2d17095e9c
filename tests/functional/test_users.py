"""A team's server as its people use it: users on the command line, tokens in unmodified clients, TLS, a provider."""

import json
import re
import ssl
import subprocess
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from functional.conftest import Charkh
from functional.test_server import Server, free_port
from peers import peer_program

CLIENT = """
import mlflow, sys
mlflow.set_experiment("flights/delay")
with mlflow.start_run(run_name="from a client") as run:
    mlflow.log_param("rate", 0.1)
    mlflow.log_metric("auc", 0.7)
    mlflow.log_text("hello", "note.txt")
print(run.info.run_id)
print(mlflow.artifacts.load_text(f"runs:/{run.info.run_id}/note.txt"))
try:
    mlflow.set_experiment("taxi")
except Exception as error:
    print("refused:", error)
"""


@pytest.fixture
def charkh(tmp_path: Path) -> Charkh:
    """A workspace of a team: ann writes in flights, rita reads everything, a service account is bound to a token."""
    command = Charkh(tmp_path)
    command("init")
    command("user", "add", "ann", "--role", "writer", "--scope", "flights/")
    command("user", "add", "rita", "--role", "reader")
    return command


@pytest.fixture
def server(charkh: Charkh) -> Iterator[Server]:
    started = Server(charkh.folder, "up", "--every", "0s")
    yield started
    if started.process.poll() is None:
        started.stop()


def token_of(charkh: Charkh, name: str, *more: str) -> str:
    return str(charkh.json("user", "token", "make", name, *more)["secret"])


def test_users_are_made_and_shut_out_on_the_command_line(charkh: Charkh) -> None:
    assert [user["name"] for user in charkh.json("user", "list")] == ["ann", "rita"]
    assert "made ci" in charkh("user", "add", "ci", "--service")
    charkh.fails(14, "user", "add", "CI")
    charkh.fails(13, "user", "grant", "nobody", "reader")
    charkh.fails(2, "user", "grant", "ci", "owner")
    charkh("user", "grant", "ci", "writer", "flights/")
    assert "reader over model:delay*" in charkh("user", "grant", "ci", "reader", "model:delay*")
    shown = charkh.json("user", "show", "ci")
    assert {(grant["role"], grant["scope"]) for grant in shown["grants"]} == {
        ("writer", "project:flights"),
        ("reader", "model:delay*"),
    }
    charkh("user", "revoke", "ci", "model:delay*")
    secret = token_of(charkh, "ci", "--label", "build", "--expires", "30d", "--limit", "reader:flights/")
    listed = charkh("user", "token", "list", "ci")
    assert "build" in listed
    assert "reader over flights" in listed
    assert secret not in listed
    assert "revoked" in charkh("user", "token", "revoke", secret)
    assert "shut out" in charkh("user", "disable", "ci", "--reason", "done")
    assert "may come in" in charkh("user", "enable", "ci")
    log = charkh("audit", "log", "--kind", "user.")
    assert "user.token_revoked/1" in log
    assert secret not in log
    whole = b"".join(path.read_bytes() for path in (charkh.folder / ".charkh").rglob("*") if path.is_file())
    assert secret.rpartition("_")[2].encode() not in whole, "the secret is nowhere in the store"


def test_a_user_is_let_in_and_shut_out_while_the_server_runs(charkh: Charkh, server: Server) -> None:
    ann, rita = token_of(charkh, "ann"), token_of(charkh, "rita")
    charkh.python("import charkh\nwith charkh.run(project='taxi', name='a secret'): charkh.log(x=1)")
    time.sleep(1.1)
    assert server.ask("/api/users/me", token=ann)[1]["name"] == "ann"
    assert server.ask("/api/runs", token=ann) == (200, [])
    assert len(server.ask("/api/runs", token=rita)[1]) == 1
    assert server.ask("/api/users", token=rita)[0] == 403
    made = server.ask("/api/users", {"name": "eve", "role": "admin"})
    assert made[0] == 201, made
    eve = server.ask("/api/users/token", {"name": "eve", "expires": "1d"})[1]["secret"]
    assert server.ask("/api/users", token=eve)[0] == 200
    assert server.ask("/api/users/disable", {"name": "ann"}, token=eve)[0] == 200
    assert server.ask("/api/runs", token=ann)[0] == 401, "at once"
    assert server.ask("/api/users/me", token=rita)[0] == 200
    charkh("user", "disable", "rita")
    time.sleep(1.1)
    assert server.ask("/api/users/me", token=rita)[0] == 401, "and after a second where somebody else did it"
    guesses = [server.ask("/api/runs", token=f"guess-{number}")[0] for number in range(25)]
    assert set(guesses) == {401, 429}
    assert server.ask("/api/users", token=eve)[0] == 200, "a known token does not wait for a neighbour's guesses"
    server.stop()
    log = charkh.json("audit", "log", "--user", "rita", "--since", "1h")
    assert {"user.denied/1"} <= {entry["kind"] for entry in log}
    assert [entry["actor"] for entry in charkh.json("audit", "log", "--user", "eve")][:1] == ["eve"]


@pytest.mark.needs("peer:mlflow")
@pytest.mark.parametrize("how", ["token", "password"])
def test_an_unmodified_client_comes_in_with_its_own_variables(how: str, charkh: Charkh, server: Server) -> None:
    secret = token_of(charkh, "ann")
    variables = {"MLFLOW_TRACKING_URI": server.told["address"], "HOME": str(charkh.folder)}
    if how == "token":
        variables["MLFLOW_TRACKING_TOKEN"] = secret
    else:
        variables |= {"MLFLOW_TRACKING_USERNAME": "ann", "MLFLOW_TRACKING_PASSWORD": secret}
    time.sleep(1.1)
    python = str(peer_program("mlflow", "python"))
    result = subprocess.run(
        [python, "-c", CLIENT], env=variables, capture_output=True, text=True, timeout=120, cwd=charkh.folder
    )
    assert result.returncode == 0, result.stderr
    run, text, refused = _said(result.stdout)
    assert text == "hello"
    assert refused.startswith("refused:")
    found = server.ask(f"/api/runs/run?ref={run}")[1]
    assert found["actor"] == "ann"


def _said(printed: str) -> list[str]:
    return [line for line in printed.splitlines() if re.fullmatch(r"[0-9a-f]{32}|hello|refused:.*", line)]


def test_beyond_this_machine_only_with_users_and_better_with_tls(tmp_path: Path) -> None:
    alone = Charkh(tmp_path)
    alone("init")
    assert "nobody is a user" in alone.fails(12, "up", "--host", "0.0.0.0", "--port", str(free_port()))
    alone("user", "add", "ann", "--role", "admin")
    key, chain = tmp_path / "key.pem", tmp_path / "chain.pem"
    _certificate(key, chain)
    assert "TLS needs a certificate and its key" in alone.fails(2, "up", "--certificate", str(chain))
    where = ["up", "--every", "0s", "--host", "0.0.0.0", "--hosts", "charkh.test", "--certificate", str(chain)]
    server = Server(tmp_path, *where, "--key", str(key))
    try:
        assert server.told["address"] == f"https://charkh.test:{server.port}"
        context = ssl.create_default_context(cafile=str(chain))
        with httpx.Client(verify=context, base_url=f"https://localhost:{server.port}") as client:
            assert client.get("/api/health").json() == {"status": "ok"}
            opened = client.get("/", params={"token": server.token})
            assert opened.status_code == 303
            cookie = opened.headers["set-cookie"]
            assert cookie.startswith("__Host-")
            assert {"Secure", "HttpOnly", "SameSite=strict"} <= set(cookie.split("; "))
            assert client.get("/").status_code == 200
            assert "max-age" in client.get("/").headers["strict-transport-security"]
            for host, status in (("charkh.test", 200), ("evil.test", 403), (f"charkh.test:{server.port}", 200)):
                assert client.get("/api/health", headers={"Host": host}).status_code == status
        with pytest.raises(httpx.TransportError), httpx.Client() as plain:
            plain.get(f"http://127.0.0.1:{server.port}/api/health")
    finally:
        _, said = server.stop()
    assert "in the clear" not in said


def _certificate(key: Path, chain: Path) -> None:
    words = ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes"]
    names = ["-subj", "/CN=localhost", "-addext", "subjectAltName=DNS:localhost,DNS:charkh.test", "-days", "2"]
    subprocess.run([*words, "-keyout", str(key), "-out", str(chain), *names], check=True, capture_output=True)


@pytest.fixture
def provider(tmp_path: Path) -> Iterator[str]:
    """The address of a real OpenID provider that knows two people."""
    port = free_port()
    people = [
        {"sub": "ann", "email": "ann@example.org", "groups": ["data"]},
        {"sub": "eve", "email": "eve@example.org", "groups": ["others"]},
    ]
    words = [str(peer_program("oidc", "oidc-provider-mock")), "--port", str(port), "--host", "127.0.0.1"]
    for person in people:
        words += ["--user-claims", json.dumps(person)]
    process = subprocess.Popen(words, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    address = f"http://127.0.0.1:{port}"
    deadline = time.monotonic() + 30
    while time.monotonic() < deadline:
        try:
            with urllib.request.urlopen(f"{address}/.well-known/openid-configuration", timeout=1):
                break
        except (urllib.error.URLError, OSError):
            time.sleep(0.1)
    yield address
    process.terminate()
    process.wait(10)


@pytest.mark.needs("peer:oidc")
def test_a_browser_signs_in_at_a_provider(charkh: Charkh, provider: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CHARKH_OIDC_SECRET", "what the provider knows of this server")
    charkh.write(
        "charkh.toml",
        f'[oidc]\nissuer = "{provider}"\nclient = "charkh"\nsecret_env = "CHARKH_OIDC_SECRET"\n'
        '[oidc.grants]\ndata = ["admin"]\nothers = ["reader:public/"]\n',
    )
    server = Server(charkh.folder, "up", "--every", "0s")
    try:
        for subject, sees in (("ann", 200), ("eve", 403)):
            with httpx.Client(base_url=server.told["address"]) as browser:
                assert "/sign-in" in browser.get("/").text
                back = _sign_in(browser, subject)
                assert back.status_code == 200, back.text
                assert f"{subject}@example.org" in back.text
                me: Any = browser.get("/api/users/me").json()
                assert me["name"].startswith(subject)
                assert browser.get("/api/users").status_code == sees
                again = browser.get(back.request.url.raw_path.decode())
                assert again.status_code == 401, "a code counts once, and only for who began"
                out = browser.post("/api/sign-out", headers={"Sec-Fetch-Site": "same-origin"})
                assert out.status_code == 204
            assert server.ask("/api/users/me", token="x.y.z")[0] == 401
        with httpx.Client(base_url=server.told["address"]) as stranger:
            assert stranger.get("/sign-in/back?code=x&state=y").status_code == 401
    finally:
        server.stop()
    assert {entry["actor"] for entry in charkh.json("audit", "log", "--kind", "user.signed_in")} >= {"eve@example.org"}


def _sign_in(browser: httpx.Client, subject: str) -> httpx.Response:
    """What the browser comes back to."""
    away = browser.get("/sign-in")
    assert away.status_code == 303, away.text
    with httpx.Client() as at_provider:
        chosen = at_provider.post(away.headers["location"], data={"sub": subject})
        assert chosen.status_code in {302, 303}, chosen.text
        return browser.get(chosen.headers["location"])
