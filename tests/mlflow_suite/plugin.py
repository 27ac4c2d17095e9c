"""What MLflow's own tests are told: their server is a charkh server, a new namespace of it for each of them.

Loaded by `pytest -p plugin` inside the environment of the peer, before any test module of MLflow's is imported;
nothing of MLflow's client is touched.
"""

import contextlib
import os
import urllib.request
from collections.abc import Iterator
from typing import Any

import pytest

ADDRESS = os.environ["CHARKH_SUITE_ADDRESS"]


def new_namespace() -> str:
    """The address of an empty namespace."""
    request = urllib.request.Request(f"{ADDRESS}/__new__", method="POST")
    with urllib.request.urlopen(request, timeout=60) as answer:
        return answer.read().decode()


class ForeignServer:
    """Stands where MLflow's tests start their own server on a thread."""

    def __init__(self, app: Any, port: int) -> None:
        self._of_mlflow = (app, port)

    def __enter__(self) -> str:
        return new_namespace()

    def __exit__(self, *_: object) -> None:
        return None


@contextlib.contextmanager
def foreign_server(
    backend_uri: str, root_artifact_uri: str, extra_env: Any = None, app: Any = None, **_: Any
) -> Iterator[str]:
    """Stands where MLflow's tests start their own server as a process."""
    if extra_env or app:
        pytest.skip("asks for settings of MLflow's own server")
    yield new_namespace()


def pytest_configure(config: pytest.Config) -> None:
    """Put the foreign server in the place of MLflow's, before the test modules take it from there."""
    from mlflow.server import handlers
    from tests.tracking import integration_test_utils

    integration_test_utils.ServerThread = ForeignServer
    integration_test_utils._init_server = foreign_server
    handlers.initialize_backend_stores = lambda *_, **__: None
    if os.environ.get("CHARKH_SUITE_FLUENT"):
        import tests.conftest

        tests.conftest.path_to_local_sqlite_uri = lambda _path: new_namespace()


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Each test once: which of its own stores MLflow would have used makes no difference here."""
    gone = [each for each in items if "[file" in each.nodeid]
    config.hook.pytest_deselected(items=gone)
    items[:] = [each for each in items if "[file" not in each.nodeid]
