"""What every suite of a bridge may ask for."""

from pathlib import Path

import pytest
from tests.functional.conftest import Charkh


@pytest.fixture
def charkh(tmp_path: Path) -> Charkh:
    """The command line in a workspace of its own."""
    command = Charkh(tmp_path)
    command("init")
    return command
