"""A team's registry: a gate with approvals guards production, what is there is signed, and code is trusted or not."""

import json
import pickle
import subprocess
from pathlib import Path

from sklearn.linear_model import LinearRegression

from functional.conftest import Charkh
from functional.test_model import MODELS
from functional.test_server import Server

SETTINGS = """
[gate.champion]
require = ["approvals >= 1 by reviewer", "signed"]
approvals = 2
approvers = ["role:reviewer", "cid"]

[registry]
require_signature = ["production"]
trusted_keys = ["ops.pub"]

[registry.roles]
reviewer = ["bob"]

[registry.alias.production]
gate = "champion"

[endpoint.late]
model = "delay@production"
"""
PICKLED = """
from pathlib import Path
from charkh.models.register import register
from charkh.ports.runtimes import Signature, TensorSpec
from charkh.workspace.workspace import open_workspace

inputs = tuple(TensorSpec(name=name, datatype="FP64") for name in ("hour", "wind"))
signature = Signature(inputs=inputs, outputs=(TensorSpec(name="predict", datatype="FP64"),))
with open_workspace() as workspace:
    files = {"model.pkl": Path("model.pkl").read_bytes()}
    register(workspace.store, "old", files, runtimes=workspace.runtimes, runtime="pickle", signature=signature)
"""
ASK = """
import polars as pl, charkh
rows = pl.DataFrame({"hour": [1.0], "wind": [2.0]})
print(charkh.load("old@1").predict(rows)["predict"].tolist())
"""


def keys(folder: Path) -> None:
    made = ["openssl", "ecparam", "-name", "prime256v1", "-genkey", "-noout", "-out", "ops.pem"]
    subprocess.run(made, check=True, capture_output=True, cwd=folder)
    public = ["openssl", "ec", "-in", "ops.pem", "-pubout", "-out", "ops.pub"]
    subprocess.run(public, check=True, capture_output=True, cwd=folder)


def test_a_gate_guards_production(charkh: Charkh) -> None:
    charkh.write("charkh.toml", SETTINGS)
    keys(charkh.folder)
    charkh.python(MODELS)
    assert "guarded by the gate 'champion'" in charkh.fails(12, "model", "alias", "delay@1", "production")
    refused = json.loads(charkh.run("model", "promote", "delay@1", "--to", "production", "--json").stdout)["decided"]
    assert refused["outcome"] == "refused"
    assert {verdict["condition"]: verdict["met"] for verdict in refused["verdicts"]} == {
        "approvals >= 1 by reviewer": False,
        "signed": False,
        "approvals >= 2 by role:reviewer, cid": False,
    }
    approve = ("model", "approve", "delay@1", "--gate", "champion", "--reason", "looked at the night flights")
    assert "cannot approve it" in charkh.fails(12, *approve)
    charkh(*approve, LOGNAME="bob")
    charkh(*approve, LOGNAME="cid")
    charkh("model", "sign", "delay@1", "--key", "ops.pem")
    assert "would be promoted" in charkh("model", "promote", "delay@1", "--to", "production", "--dry-run")
    assert "delay@production is delay@1" in charkh("model", "promote", "delay@1", "--to", "production")
    forced = charkh.fails(12, "model", "alias", "delay@2", "production", "--override", "the house burns")
    assert "nobody has signed it" in forced, "a signature is not overridden"
    charkh("model", "sign", "delay@2", "--key", "ops.pem")
    charkh("model", "alias", "delay@2", "production", "--override", "the house burns")
    history = charkh.json("model", "history", "delay")
    assert (history[0]["what"], history[0]["reason"]) == ("override", "the house burns")
    assert "delay@1 again" in charkh("model", "rollback", "delay", "--alias", "production")
    charkh("model", "distrust", "delay@2", "--reason", "it leaks")
    promoted = charkh.run("model", "promote", "delay@2", "--to", "production")
    assert promoted.returncode == 4
    assert "it leaks" in promoted.stdout
    decisions = [each["decided"]["outcome"] for each in charkh.json("model", "decisions", "delay")]
    assert decisions == ["refused", "promoted", "refused"]


def test_a_pickle_is_asked_only_after_somebody_looked_at_its_reasons(charkh: Charkh) -> None:
    model = LinearRegression().fit([[1.0, 2.0], [2.0, 1.0], [3.0, 3.0]], [1.0, 2.0, 3.0])
    charkh.write("model.pkl", pickle.dumps(model))
    charkh.python(PICKLED)
    assert "could run code" in charkh.run_python(ASK).stderr
    shown = charkh.json("model", "trust", "old@1")
    assert (shown["trusted"], shown["safety"]["level"]) == (False, "code")
    assert any("imports sklearn" in reason for reason in shown["safety"]["reasons"])
    said = charkh.fails(2, "model", "trust", "old@1", "--reason", "made by us")
    assert shown["digest"][:12] in said
    charkh.fails(2, "model", "trust", "old@1", "--reason", "made by us", "--yes", "0123456789ab")
    charkh("model", "trust", "old@1", "--reason", "made by us", "--yes", shown["digest"][:12], "--expires", "30d")
    assert json.loads(charkh.python(ASK))[0] == model.predict([[1.0, 2.0]])[0]
    charkh("model", "distrust", "old@1", "--reason", "found out more")
    assert "found out more" in charkh.run_python(ASK).stderr


def test_the_routes_say_the_same(charkh: Charkh) -> None:
    charkh.write("charkh.toml", SETTINGS)
    keys(charkh.folder)
    charkh.python(MODELS)
    server = Server(charkh.folder, "up", "--every", "0s")
    _, standing = server.ask("/api/models/standing?ref=delay@1")
    assert (standing["trusted"], standing["signatures"], standing["safety"]["level"]) == (False, [], "listed")
    status, decision = server.ask("/api/models/promote", {"ref": "delay@1", "alias": "production"})
    assert (status, decision["decided"]["outcome"]) == (200, "refused")
    approval = {"ref": "delay@1", "gate": "champion", "answer": "approved", "reason": "looked at it"}
    status, said = server.ask("/api/models/approvals", approval)
    assert (status, said["type"]) == (403, "urn:charkh:model.own_version")
    status, said = server.ask("/api/models/alias", {"ref": "delay@1", "alias": "production"})
    assert (status, said["type"]) == (403, "urn:charkh:model.gated")
    wrong = {"ref": "delay@1", "digest": "0" * 64, "trusted": True, "reason": "blindly"}
    status, said = server.ask("/api/models/trust", wrong)
    assert (status, said["type"]) == (409, "urn:charkh:model.not_confirmed")
    status, said = server.ask("/api/models/trust", {**wrong, "digest": standing["digest"], "trusted": False})
    assert (status, said[0]["reason"]) == (201, "blindly")
    _, bill = server.ask("/api/models/sbom?ref=delay@1")
    assert bill["bomFormat"] == "CycloneDX"
    assert server.stop()[0] == 0
