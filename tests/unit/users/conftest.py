"""A store with users."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from charkh.ports.store import Store
from charkh.users.gatekeeper import Gatekeeper
from charkh.workspace.workspace import open_workspace

OWNER_TOKEN = "the-token-of-the-owner"


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    with open_workspace(tmp_path, create=True) as workspace:
        yield workspace.store


@pytest.fixture
def gatekeeper(store: Store) -> Gatekeeper:
    return Gatekeeper(store, OWNER_TOKEN)
