"""What every test may ask for: real servers, the programs it needs, and a machine without a network.

A missing program is a failure where CI=true and a skip with its reason elsewhere:

    @pytest.mark.needs("strace")
    def test_something(postgres_url: str, s3_url: str) -> None: ...
"""

import os
import shutil
import sys
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import hypothesis
import pytest

sys.path.insert(0, str(Path(__file__).parent))

from peers import PEERS, peer_installed
from servers import PostgresServer, S3Server, SshServer, postgres_binaries, start_postgres, start_s3, start_ssh

LOOPBACK = ("127.", "::1", "localhost", "0.0.0.0", "::ffff:127.")
NOWHERE = "http://127.0.0.1:9"
"""The discard port: where a subprocess or a compiled client lands that would leave this machine."""

hypothesis.settings.register_profile(
    "default",
    deadline=None,
    print_blob=True,
    suppress_health_check=[hypothesis.HealthCheck.too_slow, hypothesis.HealthCheck.function_scoped_fixture],
)
hypothesis.settings.register_profile("thorough", hypothesis.settings.get_profile("default"), max_examples=5000)
hypothesis.settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "default"))


def _first_program(*names: str) -> Callable[[], str | None]:
    return lambda: next((found for name in names if (found := shutil.which(name))), None)


COMPONENTS: dict[str, Callable[[], object]] = {
    "postgresql": postgres_binaries,
    "strace": _first_program("strace"),
    "chromium": _first_program("chromium", "chromium-browser", "google-chrome"),
    "restic": _first_program("restic"),
    "subversion": _first_program("svn"),
    "mercurial": _first_program("hg"),
    "git-lfs": _first_program("git-lfs"),
    "skopeo": _first_program("skopeo"),
    "prometheus": _first_program("prometheus"),
    "prometheus-alertmanager": _first_program("prometheus-alertmanager", "alertmanager"),
    "openssh-server": lambda: shutil.which("sshd", path=f"{os.environ.get('PATH', '')}:/usr/sbin"),
    **{f"peer:{name}": partial(peer_installed, name) for name in PEERS},
    "moto": lambda: (Path(sys.executable).parent / "moto_server").exists(),
}


def _require(component: str) -> None:
    if COMPONENTS[component]():
        return
    how = "python -m tests.peers" if component.startswith("peer:") else f"scripts/install-test-components {component}"
    reason = f"{component} is not installed; run {how}"
    if os.environ.get("CI", "").lower() in {"1", "true"}:
        pytest.fail(reason, pytrace=False)
    pytest.skip(reason)


def pytest_runtest_setup(item: pytest.Item) -> None:
    for marker in item.iter_markers("needs"):
        for component in marker.args:
            _require(component)


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    items.sort(key=lambda item: item.get_closest_marker("first") is None)


def pytest_configure(config: pytest.Config) -> None:
    """Close the network for this process, and for what it starts as far as proxies are obeyed."""
    for name in list(os.environ):
        if name.lower().endswith("_proxy") or name.startswith(("AWS_", "CHARKH_", "PG")):
            del os.environ[name]
    for name in ("RANK", "LOCAL_RANK", "WORLD_SIZE", "TORCHELASTIC_RUN_ID", "MLFLOW_TRACKING_URI"):
        os.environ.pop(name, None)
    for scheme in ("http", "https", "all"):
        os.environ[f"{scheme}_proxy"] = os.environ[f"{scheme.upper()}_PROXY"] = NOWHERE
    os.environ["no_proxy"] = os.environ["NO_PROXY"] = "127.0.0.1,localhost,::1"
    os.environ["AWS_EC2_METADATA_DISABLED"] = "true"
    os.environ["GRPC_ENABLE_FORK_SUPPORT"] = "0"  # its handlers bring down children of processes that had a server
    # Only a worker is told so; what its parent sets, it inherits.
    if workers := os.environ.get("PYTEST_XDIST_WORKER_COUNT"):
        _share_the_cores(int(workers))
    sys.addaudithook(_refuse_the_network)


def _share_the_cores(workers: int) -> None:
    """Give trainings the cores of one worker: more threads than cores wait for each other in circles."""
    os.environ.setdefault("OMP_NUM_THREADS", str(max(1, len(os.sched_getaffinity(0)) // workers)))


def _refuse_the_network(event: str, arguments: tuple[Any, ...]) -> None:
    if event == "socket.getaddrinfo":
        host = arguments[0]
    elif event == "socket.connect" and isinstance(arguments[1], tuple):
        host = arguments[1][0]
    else:
        return
    name = host.decode() if isinstance(host, bytes) else host
    if name and not str(name).startswith(LOOPBACK):
        raise ConnectionRefusedError(f"tests have no network: {name!r} is not on this machine")


@pytest.fixture(scope="session", autouse=True)
def private_home(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A home folder of its own, so that no test reads or leaves settings of the person who runs it."""
    home = tmp_path_factory.mktemp("home")
    (home / ".gitconfig").write_text(
        "[user]\n\tname = Ann Example\n\temail = ann@example.org\n[init]\n\tdefaultBranch = main\n"
    )
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("HOME", str(home))
        patch.setenv("GIT_CONFIG_GLOBAL", str(home / ".gitconfig"))
        patch.setenv("GIT_CONFIG_NOSYSTEM", "1")
        for name in ("XDG_CONFIG_HOME", "XDG_CACHE_HOME", "XDG_STATE_HOME", "XDG_DATA_HOME"):
            patch.setenv(name, str(home / name.lower()))
        yield home


@pytest.fixture
def require() -> Callable[[str], None]:
    """`require("strace")`: fail under CI, skip elsewhere, when a component is missing."""
    return _require


@pytest.fixture(scope="session")
def postgres_server() -> Iterator[PostgresServer]:
    """A PostgreSQL of this session, from the installed binaries."""
    _require("postgresql")
    with start_postgres() as server:
        yield server


@pytest.fixture
def postgres_url(postgres_server: PostgresServer) -> Iterator[str]:
    """`postgresql://…` of a fresh, empty database."""
    with postgres_server.fresh_database() as url:
        yield url


@pytest.fixture(scope="session")
def ssh_server() -> Iterator[SshServer]:
    """An OpenSSH server of this session on loopback."""
    _require("openssh-server")
    with start_ssh() as server:
        yield server


@pytest.fixture(scope="session")
def s3_server() -> Iterator[S3Server]:
    """An S3 server of this session, speaking HTTP on loopback."""
    _require("moto")
    with start_s3() as server:
        yield server


@pytest.fixture
def s3_config(s3_server: S3Server, monkeypatch: pytest.MonkeyPatch) -> dict[str, str]:
    """A fresh bucket, as the environment variables that name it; they are set during the test.

    Keys: `AWS_ENDPOINT_URL`, `AWS_ACCESS_KEY_ID`, `AWS_SECRET_ACCESS_KEY`, `AWS_REGION`,
    `AWS_ALLOW_HTTP`, and `bucket`.
    """
    bucket = s3_server.fresh_bucket()
    environment = s3_server.environment()
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    return {**environment, "bucket": bucket}


@pytest.fixture
def s3_url(s3_config: dict[str, str]) -> str:
    """`s3://bucket/prefix` of a fresh bucket; endpoint and keys are in the environment."""
    return f"s3://{s3_config['bucket']}/store"
