"""What is recorded beside a workspace is taken in once, and nothing is removed that somebody still writes to."""

import subprocess
import sys
from pathlib import Path

import pytest

from charkh.runs.search import search
from charkh.workspace.aside import aside_folders, has_aside, take_in
from charkh.workspace.workspace import open_workspace

RECORDER = """
import sys
from pathlib import Path
from charkh.runs.start import start
from charkh.workspace.aside import aside_workspace

store = aside_workspace(Path(sys.argv[1])).store
print("opened", flush=True)
sys.stdin.readline()
start(store, name="late").end()
print("recorded", flush=True)
sys.stdin.readline()
"""


def test_what_somebody_still_writes_to_stays(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    folder = tmp_path / "work"
    folder.mkdir()
    with (
        open_workspace(folder, create=True) as workspace,
        subprocess.Popen(
            [sys.executable, "-c", RECORDER, str(folder)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        ) as recorder,
    ):
        assert recorder.stdin is not None
        assert recorder.stdout is not None
        assert recorder.stdout.readline() == "opened\n"
        # Nothing is written yet, and the process has the folder open.
        assert take_in(workspace) == 0
        assert has_aside(folder)
        recorder.stdin.write("\n")
        recorder.stdin.flush()
        assert recorder.stdout.readline() == "recorded\n"
        assert take_in(workspace) > 0
        assert has_aside(folder)
        recorder.communicate("\n", timeout=60)
        assert take_in(workspace) == 0
        assert not any(each.exists() for each in aside_folders(folder)[:1])
        assert [run.name for run in search(workspace.store)] == ["late"]
