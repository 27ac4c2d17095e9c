"""A real DVC repository and a workspace beside it."""

from pathlib import Path

import pytest
from tests.bridges.dvc.repository import Repository
from tests.functional.conftest import Charkh


@pytest.fixture(scope="session")
def empty_repository(tmp_path_factory: pytest.TempPathFactory) -> Repository:
    """An empty repository, to be copied."""
    return Repository.make(tmp_path_factory.mktemp("dvc"))


@pytest.fixture
def dvc(empty_repository: Repository, tmp_path: Path) -> Repository:
    """An empty repository with a remote in a folder."""
    return empty_repository.copy(tmp_path)


@pytest.fixture
def charkh(tmp_path: Path) -> Charkh:
    """The command line in a workspace beside the repository."""
    folder = tmp_path / "workspace"
    folder.mkdir()
    command = Charkh(folder)
    command("init")
    return command
