"""The real command line, run as a user runs it: a process of its own in a fresh workspace.

def test_something(charkh: Charkh) -> None:
    charkh.write("rows.csv", "a,b\\n1,2\\n")
    charkh("dataset", "add", "rows", "rows.csv")
    assert charkh.json("dataset", "list")[0]["name"] == "rows"
    charkh.fails(13, "dataset", "show", "nothing")
"""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from functional.warm import WarmProcess

WARM = WarmProcess()


class Charkh:
    """Runs `charkh` in `folder`.

    Attributes:
        folder: the workspace.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def run(self, *arguments: str | Path, **environment: str) -> subprocess.CompletedProcess[str]:
        """The finished process, whatever it came to."""
        return WARM.run([*map(str, arguments)], cwd=self.folder, environment={**os.environ, **environment}, timeout=300)

    def __call__(self, *arguments: str | Path, **environment: str) -> str:
        """What it printed to stdout; it must have succeeded."""
        result = self.run(*arguments, **environment)
        assert result.returncode == 0, f"{arguments}: exit {result.returncode}\n{result.stdout}\n{result.stderr}"
        return result.stdout

    def json(self, *arguments: str | Path) -> Any:
        """What it printed with `--json`."""
        return json.loads(self(*arguments, "--json"))

    def fails(self, code: int, *arguments: str | Path) -> str:
        """What it printed to stderr; it must have failed with this exit code and without a traceback."""
        result = self.run(*arguments)
        assert result.returncode == code, f"{arguments}: exit {result.returncode}\n{result.stdout}\n{result.stderr}"
        assert "Traceback" not in result.stderr
        return result.stderr

    def run_python(self, code: str, **environment: str) -> subprocess.CompletedProcess[str]:
        """The finished process of a script that ran in the workspace, whatever it came to."""
        return subprocess.run(
            [sys.executable, "-c", code],
            cwd=self.folder,
            capture_output=True,
            text=True,
            env={**os.environ, **environment},
            timeout=300,
        )

    def python(self, code: str, **environment: str) -> str:
        """What a script printed that ran in the workspace; it must have succeeded."""
        result = self.run_python(code, **environment)
        assert result.returncode == 0, result.stderr
        return result.stdout

    def write(self, name: str, content: str | bytes) -> Path:
        """A file of the workspace."""
        path = self.folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content.encode() if isinstance(content, str) else content)
        return path


@pytest.fixture
def charkh(tmp_path: Path) -> Charkh:
    """The command line in a fresh workspace."""
    command = Charkh(tmp_path)
    command("init")
    return command
