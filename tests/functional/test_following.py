"""What another process decides about an endpoint, a server of two processes that runs follows: all of it, and soon."""

import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression

from charkh.models.alias import move_alias
from charkh.models.register import register
from charkh.workspace.workspace import open_workspace
from functional.conftest import Charkh
from functional.test_server import Server

SETTINGS = """\
[endpoint.delay]
model = "delay@champion"

[gate.champion]
require = ["approvals >= 1"]
"""
ROW = [{"hour": 9.0, "wind": 1.0}]
IN_A_ROW = 12
"""Answers over connections of their own, so that one process alone gives them as rarely as 2 to the -11."""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A workspace with three versions of a model, the first of which is the champion."""
    (tmp_path / "charkh.toml").write_text(SETTINGS)
    rows = np.array([[1.0, 5.0], [9.0, 3.0], [20.0, 4.0], [23.0, 5.0]])
    with open_workspace(tmp_path, create=True) as workspace:
        for strength in (1.0, 0.1, 0.01):
            estimator: Any = LogisticRegression(C=strength)
            model = estimator.fit(rows, [0, 0, 1, 1])
            example = {"hour": rows[:, 0], "wind": rows[:, 1]}
            register(workspace.store, "delay", model, runtimes=workspace.runtimes, example=example)
        move_alias(workspace.store, "delay@1", "champion")
    return tmp_path


@pytest.fixture
def server(folder: Path) -> Iterator[Server]:
    started = Server(folder, "serve", "delay", "--workers", "2")
    yield started
    if started.process.poll() is None:
        started.stop()


def answered(server: Server) -> str:
    """The version that answers, or why none does."""
    status, said = server.ask("/predict/delay", ROW)
    return said["model_version"] if status == 200 else f"{status} {said['code']}"


def follows(server: Server, expected: str, seconds: float = 60.0) -> bool:
    """Whether every process comes to answer so, and stays with it."""
    deadline, alike = time.monotonic() + seconds, 0
    while alike < IN_A_ROW and time.monotonic() < deadline:
        alike = alike + 1 if answered(server) == expected else 0
        time.sleep(0.05)
    return alike == IN_A_ROW


def test_promotions_deployments_stops_and_rollbacks_are_followed(folder: Path, server: Server) -> None:
    charkh = Charkh(folder)
    assert follows(server, "1")
    charkh("model", "approve", "delay@2", "--gate", "champion", "--reason", "it is better", LOGNAME="bob")
    charkh("model", "promote", "delay@2")
    assert follows(server, "2")
    charkh("endpoint", "rollback", "delay", "--reason", "worse")
    assert follows(server, "1")
    charkh("endpoint", "deploy", "delay", "delay@3", "--reason", "only for today")
    assert follows(server, "3")
    charkh("endpoint", "stop", "delay", "--reason", "complaints")
    assert follows(server, "503 endpoint.taken_down")
    charkh("endpoint", "deploy", "delay")
    assert follows(server, "1")
    charkh("model", "alias", "delay@2", "champion")
    assert follows(server, "2")
    charkh("model", "rollback", "delay")
    assert follows(server, "1")
    code, said = server.stop()
    assert code == 0, said
    versions = [each["version"] for each in charkh.json("endpoint", "predictions", "delay", "--limit", "0")]
    assert list(dict.fromkeys(versions)) == ["1", "2", "3"]
    deployments = charkh.json("endpoint", "show", "delay")
    assert [each["made"]["reason"] for each in deployments].count("only for today") == 1
    assert deployments[0]["current"]
