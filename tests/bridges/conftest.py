"""What every suite of a bridge may ask for."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.bridges.open_inference import Served
from tests.functional.conftest import Charkh


@pytest.fixture
def charkh(tmp_path: Path) -> Charkh:
    """The command line in a workspace of its own."""
    command = Charkh(tmp_path)
    command("init")
    return command


@pytest.fixture(scope="session")
def open_inference(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    """A running `charkh serve` that every client of the Open Inference Protocol asks."""
    served = Served(tmp_path_factory.mktemp("open-inference"))
    yield served
    code, said = served.server.stop()
    assert code == 0, said
