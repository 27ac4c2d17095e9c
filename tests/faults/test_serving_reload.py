"""A champion whose file is damaged, gone or code: it is refused, said once, and what answered goes on."""

import asyncio
import pickle
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression

from charkh.endpoints.application import Application
from charkh.endpoints.door import Door
from charkh.models.alias import move_alias
from charkh.models.find import find
from charkh.models.register import register
from charkh.workspace import keeping
from charkh.workspace.compiling import compile_now
from charkh.workspace.serving import Serving
from charkh.workspace.workspace import Workspace, open_workspace

SETTINGS = '[endpoint.delay]\nmodel = "delay@champion"\n[endpoint.other]\nmodel = "delay@1"\n'
RECORD = b'[{"hour": 9, "wind": 1}]'
HOURS, WIND = np.array([1.0, 9.0, 17.0, 22.0]), np.array([3.5, 2.0, 1.0, 2.0])


class Server:
    """Serves what the workspace says, and looks again when it is told to."""

    def __init__(self, workspace: Workspace) -> None:
        serving = Serving(workspace)
        door = Door("127.0.0.1", open_inference=True)
        self.application = Application(serving.offer(), door, reload=serving.offer)

    def refresh(self) -> None:
        asyncio.run(self.application.refresh())

    def versions(self) -> list[str]:
        """What answers at the two endpoints."""
        return [self._version("delay"), self._version("other")]

    def platforms(self) -> list[str]:
        """What answers at them runs on."""
        return [each.platform for each in self.application.offered]

    def _version(self, name: str) -> str:
        async def read(_limit: int) -> bytes:
            return RECORD

        reply = asyncio.run(self.application.respond("POST", f"/predict/{name}", "127.0.0.1", {}, read))
        assert reply.status == 200, reply.body
        return msgspec.json.decode(reply.body)["model_version"]


def packs(folder: Path) -> set[Path]:
    return {each for each in (folder / ".charkh" / "packs").rglob("*") if each.is_file()}


def damage(files: set[Path], how: str) -> None:
    """Flip a bit of each file, cut it, or remove it."""
    for path in files:
        content = path.read_bytes()
        path.unlink()
        middle = len(content) // 2
        if how == "flipped":
            path.write_bytes(content[:middle] + bytes([content[middle] ^ 1]) + content[middle + 1 :])
        elif how == "cut":
            path.write_bytes(content[:middle])


class Damaged:
    """A workspace of three versions, and the files that hold the second's bytes."""

    def __init__(self, folder: Path, workspace: Workspace) -> None:
        self.workspace = workspace
        another(workspace, 1.0)
        before = packs(folder)
        another(workspace, 0.01)
        self.files = packs(folder) - before
        another(workspace, 0.3)
        move_alias(workspace.store, "delay@1", "champion")
        self.contents = {each: each.read_bytes() for each in self.files}

    def damage(self, how: str) -> None:
        assert self.files
        damage(self.files, how)

    def mend(self) -> None:
        """The bytes as they were."""
        for path, content in self.contents.items():
            path.unlink(missing_ok=True)
            path.write_bytes(content)


@pytest.fixture
def damaged(tmp_path: Path) -> Iterator[Damaged]:
    (tmp_path / "charkh.toml").write_text(SETTINGS)
    with open_workspace(tmp_path) as opened:
        yield Damaged(tmp_path, opened)


def another(workspace: Workspace, strength: float) -> None:
    estimator: Any = LogisticRegression(C=strength)
    model = estimator.fit(np.column_stack([HOURS, WIND]), [0, 1, 1, 0])
    example = {"hour": HOURS, "wind": WIND}
    register(workspace.store, "delay", model, runtimes=workspace.runtimes, example=example)


def goes_on(caplog: pytest.LogCaptureFixture) -> list[str]:
    said = [each.getMessage() for each in caplog.records]
    return [each for each in said if "goes on with version 1" in each]


@pytest.mark.parametrize("how", ["flipped", "cut", "gone"])
def test_damaged_bytes_never_take_the_place_of_what_answers(
    damaged: Damaged, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch, how: str
) -> None:
    store = damaged.workspace.store
    server = Server(damaged.workspace)
    damaged.damage(how)
    move_alias(store, "delay@2", "champion")
    for _ in range(3):
        server.refresh()
    assert server.versions() == ["1", "1"]
    assert len(goes_on(caplog)) == 1, caplog.text
    move_alias(store, "delay@3", "champion")
    server.refresh()
    assert server.versions() == ["3", "1"], "a sound one is served at once"
    damaged.mend()
    monkeypatch.setattr(keeping, "AGAIN_SECONDS", 0.0)
    move_alias(store, "delay@2", "champion")
    server.refresh()
    assert server.versions() == ["2", "1"], "the bytes are there again"


class Opens:
    """Unpickling it makes a file."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> Any:
        return Path.touch, (self.path,)


def test_a_champion_that_is_code_is_refused_unread(
    damaged: Damaged, caplog: pytest.LogCaptureFixture, tmp_path: Path
) -> None:
    workspace = damaged.workspace
    server = Server(workspace)
    made = find(workspace.store, "delay@1").made
    files = {"model.pkl": pickle.dumps(Opens(tmp_path / "touched"))}
    register(workspace.store, "delay", files, runtimes=workspace.runtimes, runtime="pickle", signature=made.signature)
    move_alias(workspace.store, "delay@4", "champion")
    for _ in range(3):
        server.refresh()
    assert server.versions() == ["1", "1"]
    assert len(goes_on(caplog)) == 1, caplog.text
    assert "could run code" in goes_on(caplog)[0]
    assert not (tmp_path / "touched").exists()


@pytest.mark.parametrize("how", ["flipped", "cut", "gone"])
def test_a_damaged_compiled_form_is_not_served_and_the_original_is(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, how: str
) -> None:
    strict = '[endpoint.other]\nmodel = "delay@champion"\ncompiled = "require"\n'
    (tmp_path / "charkh.toml").write_text(SETTINGS.partition("[endpoint.other]")[0] + strict)
    with open_workspace(tmp_path) as workspace:
        for number, strength in enumerate((1.0, 0.01), 1):
            another(workspace, strength)
            before = packs(tmp_path)
            assert compile_now(workspace, f"delay@{number}").parity
        form = packs(tmp_path) - before
        assert form
        move_alias(workspace.store, "delay@1", "champion")
        server = Server(workspace)
        assert server.platforms() == ["onnx (compiled from sklearn)"] * 2
        damage(form, how)
        move_alias(workspace.store, "delay@2", "champion")
        for _ in range(3):
            server.refresh()
        assert server.versions() == ["2", "1"], "one may be served as it was registered, the other may not"
        assert server.platforms() == ["sklearn", "onnx (compiled from sklearn)"]
        said = [each.getMessage() for each in caplog.records if each.levelname == "WARNING"]
        assert len([each for each in said if "served as it was registered, not compiled" in each]) == 1, caplog.text
        assert len(goes_on(caplog)) == 1, caplog.text
