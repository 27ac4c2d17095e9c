"""The servers that tests talk to, started from installed programs on loopback: PostgreSQL and S3."""

import contextlib
import itertools
import os
import pwd
import secrets
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psycopg

START_SECONDS = 60.0


def postgres_binaries() -> Path | None:
    """The folder of the newest installed PostgreSQL server's programs."""
    debian = sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"), key=lambda path: float(path.parent.parent.name))
    if debian:
        return debian[-1].parent
    found = shutil.which("initdb")
    return Path(found).resolve().parent if found else None


def free_port() -> int:
    """A TCP port that was free on loopback a moment ago."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@dataclass
class PostgresServer:
    """A running server and how to reach it as its superuser."""

    port: int
    password: str
    _numbers: Iterator[int] = field(default_factory=lambda: itertools.count(1))

    def url(self, database: str) -> str:
        return f"postgresql://charkh:{self.password}@127.0.0.1:{self.port}/{database}"

    @contextlib.contextmanager
    def fresh_database(self) -> Iterator[str]:
        """The address of an empty database, dropped afterwards whoever is still connected."""
        name = f"test_{next(self._numbers)}"
        with psycopg.connect(self.url("postgres"), autocommit=True) as connection:
            connection.execute(f'CREATE DATABASE "{name}" TEMPLATE template0')
            try:
                yield self.url(name)
            finally:
                connection.execute(f'DROP DATABASE "{name}" WITH (FORCE)')


@contextlib.contextmanager
def start_postgres() -> Iterator[PostgresServer]:
    """A server in a folder of its own; run as root, it becomes the user `postgres` or `nobody`.

    It trades durability for speed (fsync off): the tests kill charkh's processes, never this one.
    """
    binaries = postgres_binaries()
    assert binaries is not None
    identity = _unprivileged()
    with tempfile.TemporaryDirectory(prefix="charkh-pg-", dir="/tmp", ignore_cleanup_errors=True) as name:
        folder = Path(name)
        secret = folder / "password"
        secret.write_text(secrets.token_hex(16))
        if identity:
            os.chown(folder, identity["user"], identity["group"])
            os.chown(secret, identity["user"], identity["group"])
        data = folder / "data"
        subprocess.run(
            [
                binaries / "initdb",
                *("--pgdata", data, "--username", "charkh", "--auth", "scram-sha-256", "--pwfile", secret),
                *("--encoding", "UTF8", "--locale", "C.UTF-8", "--no-sync"),
            ],
            check=True,
            stdout=subprocess.DEVNULL,
            cwd=folder,
            **identity,
        )
        server = PostgresServer(free_port(), secret.read_text())
        command = [
            *_die_with_parent("INT"),
            binaries / "postgres",
            *("-D", data, "-p", str(server.port), "-k", folder, "-c", "listen_addresses=127.0.0.1"),
            *("-c", "fsync=off", "-c", "synchronous_commit=off", "-c", "full_page_writes=off"),
            *("-c", "max_connections=60", "-c", "shared_buffers=32MB"),
        ]
        with (folder / "log").open("wb") as log:
            process = subprocess.Popen(command, stdout=log, stderr=log, cwd=folder, **identity)
        with _stopped(process, signal.SIGINT):
            _wait_for(process, lambda: _answers(server), folder / "log")
            yield server


def _answers(server: PostgresServer) -> bool:
    try:
        psycopg.connect(server.url("postgres"), connect_timeout=2).close()
    except psycopg.OperationalError:
        return False
    return True


def _unprivileged() -> dict[str, Any]:
    if os.geteuid() != 0:
        return {}
    for name in ("postgres", "nobody"):
        with contextlib.suppress(KeyError):
            entry = pwd.getpwnam(name)
            return {"user": entry.pw_uid, "group": entry.pw_gid, "extra_groups": []}
    raise RuntimeError("PostgreSQL does not run as root, and there is no user 'postgres' or 'nobody'")


@dataclass
class S3Server:
    """A running S3 server; buckets are made on it."""

    port: int
    _numbers: Iterator[int] = field(default_factory=lambda: itertools.count(1))

    @property
    def endpoint(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def fresh_bucket(self) -> str:
        name = f"test-{next(self._numbers)}"
        request = urllib.request.Request(f"{self.endpoint}/{name}", method="PUT")
        with urllib.request.urlopen(request, timeout=30) as answer:
            assert answer.status == 200
        return name

    def environment(self) -> dict[str, str]:
        """The variables by which an S3 client finds this server."""
        return {
            "AWS_ENDPOINT_URL": self.endpoint,
            "AWS_ACCESS_KEY_ID": "test-key",
            "AWS_SECRET_ACCESS_KEY": "test-secret",
            "AWS_REGION": "us-east-1",
            "AWS_ALLOW_HTTP": "true",
        }


@contextlib.contextmanager
def start_s3() -> Iterator[S3Server]:
    """moto's server in a process of its own (docs/adr/0008-local-s3-for-tests.md)."""
    server = S3Server(free_port())
    program = Path(sys.executable).parent / "moto_server"
    with tempfile.TemporaryDirectory(prefix="charkh-s3-") as name:
        log = Path(name) / "log"
        with log.open("wb") as output:
            process = subprocess.Popen(
                [*_die_with_parent("TERM"), program, "-H", "127.0.0.1", "-p", str(server.port)],
                stdout=output,
                stderr=output,
                env={**os.environ, "PYTHONWARNINGS": "ignore"},
            )
        with _stopped(process, signal.SIGTERM):
            _wait_for(process, lambda: _listens(server.port), log)
            yield server


def _listens(port: int) -> bool:
    try:
        socket.create_connection(("127.0.0.1", port), timeout=1).close()
    except OSError:
        return False
    return True


def _die_with_parent(name: str) -> list[str]:
    """A server must not outlive tests that were killed."""
    return ["setpriv", "--pdeathsig", name, "--"] if shutil.which("setpriv") else []


@contextlib.contextmanager
def _stopped(process: subprocess.Popen[bytes], stop: signal.Signals) -> Iterator[None]:
    try:
        yield
    finally:
        process.send_signal(stop)
        try:
            process.wait(20)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def _wait_for(process: subprocess.Popen[bytes], ready: Callable[[], bool], log: Path) -> None:
    deadline = time.monotonic() + START_SECONDS
    while not ready():
        if process.poll() is not None or time.monotonic() > deadline:
            raise RuntimeError(f"{process.args!r} did not start:\n{log.read_text(errors='replace')}")
        time.sleep(0.05)


@dataclass
class SshServer:
    """A running OpenSSH server that lets one key in as whoever runs the tests.

    Attributes:
        port: on loopback.
        config: an OpenSSH client configuration whose host `charkh-test` is this server.
        folder: that the server can write.
    """

    port: int
    config: Path
    folder: Path

    def restart(self) -> None:
        """Cut every connection; the next one is let in again."""
        self.stop()
        self.start()

    def start(self) -> None:
        """Listen."""
        self._process = subprocess.Popen(
            [_sshd(), "-D", "-e", "-f", self.folder.parent / "sshd_config"], stderr=subprocess.DEVNULL
        )
        deadline = time.monotonic() + START_SECONDS
        while time.monotonic() < deadline:
            with socket.socket() as probe:
                if probe.connect_ex(("127.0.0.1", self.port)) == 0:
                    return
            time.sleep(0.05)
        raise AssertionError("sshd does not listen")

    def stop(self) -> None:
        """Stop listening and end the processes of its connections."""
        children = subprocess.run(["pgrep", "-P", str(self._process.pid)], capture_output=True, text=True).stdout
        self._process.kill()
        self._process.wait()
        for child in children.split():
            with contextlib.suppress(ProcessLookupError):
                os.kill(int(child), signal.SIGKILL)


@contextlib.contextmanager
def start_ssh() -> Iterator[SshServer]:
    """An OpenSSH server with keys of its own."""
    with tempfile.TemporaryDirectory(prefix="charkh-ssh-", dir="/tmp", ignore_cleanup_errors=True) as name:
        place = Path(name)
        for key in ("host", "user"):
            subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", place / key], check=True)
        (place / "authorized").write_text((place / "user.pub").read_text())
        server = SshServer(free_port(), place / "config", place / "files")
        server.folder.mkdir()
        if os.geteuid() == 0:
            Path("/run/sshd").mkdir(mode=0o755, exist_ok=True)
        (place / "sshd_config").write_text(
            f"Port {server.port}\nListenAddress 127.0.0.1\nHostKey {place}/host\nPidFile none\nUsePAM no\n"
            f"AuthorizedKeysFile {place}/authorized\nPasswordAuthentication no\nStrictModes no\n"
            "PermitRootLogin yes\nSubsystem sftp internal-sftp\n"
        )
        host_key = (place / "host.pub").read_text().split()
        (place / "known").write_text(f"[127.0.0.1]:{server.port} {host_key[0]} {host_key[1]}\n")
        server.config.write_text(
            f"Host charkh-test\n  HostName 127.0.0.1\n  Port {server.port}\n  IdentityFile {place}/user\n"
            f"  UserKnownHostsFile {place}/known\n  User {pwd.getpwuid(os.geteuid()).pw_name}\n"
        )
        server.start()
        try:
            yield server
        finally:
            server.stop()


def _sshd() -> str:
    found = shutil.which("sshd", path=f"{os.environ.get('PATH', '')}:/usr/sbin")
    assert found is not None
    return found
