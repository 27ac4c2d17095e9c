"""Files that run code when they are loaded: never before somebody trusts them, and then in a process of its own."""

import logging
import os
import pickle
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, cast

import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression

from charkh.core.endpoint_settings import EndpointSettings
from charkh.core.errors import Denied, Unavailable
from charkh.models.alias import move_alias
from charkh.models.load import load
from charkh.models.model import ModelVersion
from charkh.models.register import register
from charkh.models.trust import distrust, is_trusted, trust
from charkh.ports.runtimes import Signature, TensorSpec
from charkh.runtimes.apart import ApartPredictor
from charkh.workspace.promoting import roll_back_by_hand
from charkh.workspace.serving import Serving
from charkh.workspace.workspace import Workspace, open_workspace

SIGNATURE = Signature(
    inputs=(TensorSpec(name="a", datatype="FP64"), TensorSpec(name="b", datatype="FP64")),
    outputs=(TensorSpec(name="predict", datatype="INT64"),),
)
ROWS = {"a": np.array([1.0, -1.0]), "b": np.array([0.5, 0.5])}
RNG = np.random.default_rng(7)
X = RNG.normal(size=(60, 2))
MODEL: Any = cast(Any, LogisticRegression()).fit(X, (X[:, 0] > 0).astype(int))


class Marking:
    """Unpickling it says in a file which process did it, and leaves a model."""

    def __init__(self, marker: Path) -> None:
        self.marker = marker

    def __reduce__(self) -> Any:
        code = f"__import__('pathlib').Path({str(self.marker)!r}).write_text(str(__import__('os').getpid())) and MODEL"
        return eval, (code, {"MODEL": MODEL})


@pytest.fixture
def workspace(tmp_path: Path) -> Iterator[Workspace]:
    (tmp_path / "workspace").mkdir()
    with open_workspace(tmp_path / "workspace", create=True) as opened:
        yield opened


def registered(workspace: Workspace, files: dict[str, bytes], runtime: str = "pickle") -> ModelVersion:
    return register(workspace.store, "delay", files, runtimes=workspace.runtimes, runtime=runtime, signature=SIGNATURE)


def test_a_marker_is_touched_after_the_decision_alone_and_by_another_process(
    workspace: Workspace, tmp_path: Path
) -> None:
    marker = tmp_path / "executed"
    version = registered(workspace, {"model.pkl": pickle.dumps(Marking(marker))})
    assert version.made.safety.level == "code"
    with pytest.raises(Denied, match="it imports") as refusal:
        load(workspace.store, "delay@1", runtimes=workspace.runtimes)
    assert "charkh model trust delay@1" in str(refusal.value.hint)
    assert not marker.exists()
    trust(workspace.store, "delay@1", "trained by us on the third of May")
    assert not marker.exists()
    predictor = load(workspace.store, "delay@1", runtimes=workspace.runtimes).predictor
    assert isinstance(predictor, ApartPredictor)
    assert int(marker.read_text()) == predictor.process != os.getpid()
    assert predictor.predict(ROWS)["predict"].tolist() == [1, 0]
    predictor.close()


def test_trust_is_in_bytes_and_never_in_a_name(workspace: Workspace, tmp_path: Path) -> None:
    good = {"model.pkl": pickle.dumps(MODEL)}
    registered(workspace, good)
    trust(workspace.store, "delay@1", "ours")
    registered(workspace, {"model.pkl": pickle.dumps(Marking(tmp_path / "executed"))})
    move_alias(workspace.store, "delay@2", "champion")
    with pytest.raises(Denied):
        load(workspace.store, "delay@champion", runtimes=workspace.runtimes)
    with pytest.raises(Denied):
        load(workspace.store, "delay@latest", runtimes=workspace.runtimes)
    assert not (tmp_path / "executed").exists()


@pytest.mark.parametrize("end", ["distrusted", "expired", "by nobody who may"])
def test_the_next_load_is_refused_when_trust_ends(workspace: Workspace, end: str) -> None:
    digest = registered(workspace, {"model.pkl": pickle.dumps(MODEL)}).made.tree.root
    trust(workspace.store, "delay@1", "ours", expires=4e9 if end == "expired" else None)
    assert is_trusted(workspace.store, digest)
    if end == "distrusted":
        distrust(workspace.store, "delay@1", "it calls home")
        with pytest.raises(Denied, match="it calls home"):
            load(workspace.store, "delay@1", runtimes=workspace.runtimes)
    elif end == "expired":
        assert not is_trusted(workspace.store, digest, moment=4e9)
    else:
        assert not is_trusted(workspace.store, digest, trusters=("somebody else",))


def test_safe_files_that_are_distrusted_are_not_loaded_either(workspace: Workspace) -> None:
    example = {"a": X[:3, 0], "b": X[:3, 1]}
    register(workspace.store, "delay", MODEL, runtimes=workspace.runtimes, example=example)
    load(workspace.store, "delay@1", runtimes=workspace.runtimes)
    distrust(workspace.store, "delay@1", "trained on poisoned rows")
    with pytest.raises(Denied, match="poisoned"):
        load(workspace.store, "delay@1", runtimes=workspace.runtimes)


def test_the_worker_has_no_secrets_no_descriptors_and_its_limits(
    workspace: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "canary-of-the-environment")
    registered(workspace, {"model.pkl": pickle.dumps(MODEL)})
    trust(workspace.store, "delay@1", "ours")
    predictor = load(workspace.store, "delay@1", runtimes=workspace.runtimes).predictor
    assert isinstance(predictor, ApartPredictor)
    of = Path(f"/proc/{predictor.process}")
    assert b"canary" not in (of / "environ").read_bytes()
    assert (of / "cwd").readlink().name == "work"
    limits = (of / "limits").read_text()
    assert "Max core file size        0                    0" in limits
    assert "Max open files            256                  256" in limits
    assert "NoNewPrivs:\t1" in (of / "status").read_text()
    opened = [str(each.readlink()) for each in (of / "fd").iterdir()]
    assert not any(str(workspace.folder) in each for each in opened)
    predictor.close()
    assert not of.exists()


def test_an_endpoint_keeps_what_it_serves_when_its_alias_moves_to_code(
    workspace: Workspace, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    example = {"a": X[:3, 0], "b": X[:3, 1]}
    register(workspace.store, "delay", MODEL, runtimes=workspace.runtimes, example=example)
    registered(workspace, {"model.pkl": pickle.dumps(Marking(tmp_path / "executed"))})
    move_alias(workspace.store, "delay@1", "champion")
    workspace.settings.endpoint["late"] = EndpointSettings(model="delay@champion")
    serving = Serving(workspace)
    (before,) = serving()
    move_alias(workspace.store, "delay@2", "champion")
    with caplog.at_level(logging.WARNING, "charkh"):
        assert serving() == [before] == serving()
    assert len([each for each in caplog.records if "could run code" in each.getMessage()]) == 1, "it is said once"
    with pytest.raises(Denied, match="could run code"):
        Serving(workspace)()
    assert before.predict(example)
    assert not (tmp_path / "executed").exists()
    move_alias(workspace.store, "delay@1", "champion")
    assert serving() == [before]
    assert before.log is not None
    before.log.close()


def test_nothing_is_rolled_back_to_a_distrusted_version(workspace: Workspace) -> None:
    for number in (0, 1):
        example = {"a": X[: 3 + number, 0], "b": X[: 3 + number, 1]}
        register(workspace.store, "delay", MODEL, runtimes=workspace.runtimes, example=example, description=str(number))
        move_alias(workspace.store, f"delay@{number + 1}", "champion")
    registered(workspace, {"model.pkl": pickle.dumps(MODEL)})
    move_alias(workspace.store, "delay@3", "champion")
    distrust(workspace.store, "delay@2", "it leaks")
    with pytest.raises(Denied, match="it leaks"):
        roll_back_by_hand(workspace, "delay")


class Hostile:
    """Unpickling it evaluates a text."""

    def __init__(self, code: str) -> None:
        self.code = code

    def __reduce__(self) -> tuple[Callable[..., Any], tuple[str]]:
        return eval, (self.code,)


@pytest.mark.parametrize(
    "code",
    [
        "__import__('os')._exit(3)",
        "__import__('os').kill(__import__('os').getpid(), 9)",
        "bytearray(64 * 2**30)",
        "open('big', 'wb').write(b'x' * (65 * 2**20))",
        "__import__('os').write(1, b'\\xff' * 100) and 7",
        "__import__('sys').stdin.read() + 'not a model'",
        "[].pop()",
    ],
    ids=["exits", "kills itself", "memory", "disk", "writes to its output", "reads its input", "raises"],
)
def test_what_trusted_code_breaks_is_its_own_process(workspace: Workspace, code: str) -> None:
    registered(workspace, {"model.pkl": pickle.dumps(Hostile(code))})
    trust(workspace.store, "delay@1", "to see what happens")
    with pytest.raises(Unavailable, match="process"):
        load(workspace.store, "delay@1", runtimes=workspace.runtimes)


def test_a_worker_that_died_is_started_anew(workspace: Workspace) -> None:
    registered(workspace, {"model.pkl": pickle.dumps(MODEL)})
    trust(workspace.store, "delay@1", "ours")
    predictor = load(workspace.store, "delay@1", runtimes=workspace.runtimes).predictor
    assert isinstance(predictor, ApartPredictor)
    first = predictor.process
    os.kill(first, 9)
    with pytest.raises(Unavailable, match="ended"):
        predictor.predict(ROWS)
    assert predictor.predict(ROWS)["predict"].tolist() == [1, 0]
    assert predictor.process != first
    predictor.close()
