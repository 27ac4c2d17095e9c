"""Run a training script in a peer's environment and read what charkh recorded of it."""

import os
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from tests.functional.conftest import Charkh
from tests.peers import ROOT, peer_program

SCRIPTS = Path(__file__).parent / "scripts"
Recorded = dict[str, dict[str, Any]]


@pytest.fixture
def trained(charkh: Charkh, tmp_path: Path) -> Callable[..., Recorded]:
    """Runs a script of `scripts/` by the Python of an environment; the runs that came of it, by name."""

    def run(environment: str, script: str) -> Recorded:
        settings = {**os.environ, "PYTHONPATH": str(ROOT / "src"), "KERAS_BACKEND": "torch", "OMP_NUM_THREADS": "1"}
        settings |= {"HF_HUB_OFFLINE": "1", "TOKENIZERS_PARALLELISM": "false", "CUDA_VISIBLE_DEVICES": ""}
        command = [str(peer_program(environment, "python")), str(SCRIPTS / script)]
        done = subprocess.run(command, cwd=tmp_path, env=settings, capture_output=True, text=True, timeout=300)
        assert done.returncode == 0, done.stderr
        assert "is left out" not in done.stderr, done.stderr
        return {each["name"]: {**each["started"], **each} for each in charkh.json("run", "search")}

    return run
