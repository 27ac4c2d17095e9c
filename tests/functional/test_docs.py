"""What the documents show, runs."""

import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parent.parent.parent


def test_mini_charkh_shows_each_idea() -> None:
    program = ROOT / "docs" / "mini" / "mini_charkh.py"
    result = subprocess.run([sys.executable, "-I", program], capture_output=True, text=True)
    assert result.returncode == 0, result.stderr
    ideas = ("bytes are chunks", "trace of the champion", "the catalog is a view", "the journal is the truth")
    assert all(idea in result.stdout for idea in ideas)
