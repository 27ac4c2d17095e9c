"""Runs scripts of unmodified MLflow clients against a server."""

import json
import os
import subprocess
from pathlib import Path
from typing import Any

from tests.functional.test_server import Server

from peers import peer_program


def client_of(server: Server, peer: str, script: str, out: Path, *words: str, **variables: str) -> Any:
    """What a script of a real client wrote into `out`."""
    told = server.told["environment"]
    environment = {
        **{name: value for name, value in os.environ.items() if not name.startswith(("MLFLOW_", "CHARKH_"))},
        **{name: told[name] for name in ("MLFLOW_TRACKING_URI", "MLFLOW_TRACKING_TOKEN")},
        "MLFLOW_DISABLE_TELEMETRY": "true",
        "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "1",
        "GIT_PYTHON_REFRESH": "quiet",
        **variables,
    }
    python = str(peer_program(peer, "python"))
    command = [python, "-W", "ignore", "-c", script, *words, str(out)]
    done = subprocess.run(command, env=environment, cwd=out.parent, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr[-4000:]
    return json.loads(out.read_text())
