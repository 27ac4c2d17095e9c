"""The environment of a run: what differs from the one at hand, and the recorded one built by the real uv."""

import base64
import hashlib
import platform
import zipfile
from importlib.metadata import version
from pathlib import Path

import pytest
from tests.peers import peer_program

from charkh.core.errors import Unavailable
from charkh.workspace.replay_environment import (
    build_environment,
    child_environment,
    environment_changes,
    installed_in,
    requirements,
)

NOW = platform.python_version()


def test_what_differs_is_named_whatever_the_spelling() -> None:
    recorded, now = "Foo_Bar==1.0\nold==1\nsame==3\n", "foo-bar==1.1\nnew==2\nsame==3\n"
    found = [(each.name, each.recorded, each.now) for each in environment_changes(recorded, now, ("3.11.1", "3.12.0"))]
    assert found == [("python", "3.11.1", "3.12.0"), ("foo-bar", "1.0", "1.1"), ("new", "", "2"), ("old", "1", "")]
    assert environment_changes(recorded, recorded, (NOW, NOW)) == ()


def test_what_is_installed_is_what_charkh_records() -> None:
    assert requirements("charkh==1\nnumpy==2\n", own=False) == ["numpy==2"]
    assert requirements("charkh==1\nnumpy==2\n", own=True) == ["charkh==1", "numpy==2"]


def test_a_launcher_has_no_word_in_a_replay() -> None:
    ours = {"PATH": "/bin", "RANK": "3", "MASTER_PORT": "1", "OMP_NUM_THREADS": "8", "SLURM_JOB_ID": "1"}
    assert child_environment({"OMP_NUM_THREADS": "2", "RANK": "1"}, ours) == {"PATH": "/bin", "OMP_NUM_THREADS": "2"}


def wheel(folder: Path, name: str, number: str) -> None:
    """A wheel with one module, as the binary distribution format says (PEP 427)."""
    about = f"{name}-{number}.dist-info"
    files = {
        f"{name}.py": f"VERSION = {number!r}\n",
        f"{about}/METADATA": f"Metadata-Version: 2.1\nName: {name}\nVersion: {number}\n",
        f"{about}/WHEEL": "Wheel-Version: 1.0\nGenerator: test\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
    }
    rows = [f"{path},sha256={_hash(text)},{len(text)}" for path, text in files.items()]
    files[f"{about}/RECORD"] = "\n".join([*rows, f"{about}/RECORD,,"]) + "\n"
    with zipfile.ZipFile(folder / f"{name}-{number}-py3-none-any.whl", "w") as archive:
        for path, text in files.items():
            archive.writestr(path, text)


def _hash(text: str) -> str:
    return base64.urlsafe_b64encode(hashlib.sha256(text.encode()).digest()).rstrip(b"=").decode()


@pytest.mark.needs("peer:uv")
def test_uv_builds_what_is_on_record(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(peer_program("uv", "uv").parent), prepend=":")
    for name, value in (("UV_OFFLINE", "1"), ("UV_NO_INDEX", "1"), ("UV_FIND_LINKS", str(tmp_path))):
        monkeypatch.setenv(name, value)
    for number in ("1.0", "2.0"):
        wheel(tmp_path, "weather_tool", number)
    recorded = f"charkh=={version('charkh')}\nweather-tool==1.0\n"
    interpreter = build_environment(tmp_path / "env", recorded, NOW)
    assert environment_changes(recorded, *_swapped(interpreter)) == ()
    with pytest.raises(Unavailable) as caught:
        build_environment(tmp_path / "other", "nowhere-to-be-found==1.0\n", NOW)
    assert "nowhere-to-be-found" in caught.value.message


def _swapped(interpreter: Path) -> tuple[str, tuple[str, str]]:
    installed, number = installed_in(interpreter)
    return installed, (NOW, number)


def test_without_uv_the_way_out_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(Unavailable) as caught:
        build_environment(tmp_path / "env", "", NOW)
    assert "--env reuse" in caught.value.hint
