"""What other tools say to a version: the OpenSSF model_signing program to its signature, CycloneDX to its bill."""

import json
import subprocess
from pathlib import Path

import pytest

from functional.conftest import Charkh
from functional.test_model import MODELS
from peers import peer_program

VALIDATE = """
import sys
from cyclonedx.schema import SchemaVersion
from cyclonedx.validation.json import JsonStrictValidator
error = JsonStrictValidator(SchemaVersion.V1_6).validate_str(open(sys.argv[1], encoding="utf-8").read())
print(repr(error))
sys.exit(error is not None)
"""


def keys(folder: Path, name: str) -> tuple[Path, Path]:
    """A private and a public key, as openssl makes them."""
    private, public = folder / f"{name}.pem", folder / f"{name}.pub"
    made = ["openssl", "ecparam", "-name", "prime256v1", "-genkey", "-noout", "-out", str(private)]
    subprocess.run(made, check=True, capture_output=True)
    subprocess.run(
        ["openssl", "ec", "-in", str(private), "-pubout", "-out", str(public)], check=True, capture_output=True
    )
    return private, public


def model_signing(*arguments: object) -> "subprocess.CompletedProcess[str]":
    command = [str(peer_program("modelsigning", "model_signing")), *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, timeout=120)


@pytest.mark.needs("peer:modelsigning")
def test_the_openssf_program_verifies_what_was_signed_here_and_refuses_what_was_changed(charkh: Charkh) -> None:
    charkh.python(MODELS)
    private, public = keys(charkh.folder, "ops")
    _, other = keys(charkh.folder, "other")
    charkh("model", "sign", "delay@1", "--key", private)
    assert charkh.json("model", "verify", "delay@1", "--public-key", public)["verified"] == "delay@1"
    assert "signed with the key" in charkh.fails(12, "model", "verify", "delay@1", "--public-key", other)
    folder = charkh.folder / "out"
    charkh("model", "files", "delay@1", "-o", folder)
    given = ("verify", "key", folder, "--signature", folder / "model.sig", "--public_key")
    verified = model_signing(*given, public)
    assert verified.returncode == 0, verified.stderr
    assert model_signing(*given, other).returncode != 0
    charkh("export", "model", "delay@1", "--format", "files", "-o", charkh.folder / "again")
    assert (charkh.folder / "again/model.sig").read_bytes() == (folder / "model.sig").read_bytes()
    path = folder / "model.skops"
    path.write_bytes(path.read_bytes()[:-1] + b"\1")
    refused = model_signing(*given, public)
    assert refused.returncode != 0
    assert "mismatch" in (refused.stdout + refused.stderr).lower()


@pytest.mark.needs("peer:cyclonedx")
def test_the_bill_of_materials_is_valid_and_the_same_each_time(charkh: Charkh) -> None:
    charkh.python(MODELS)
    charkh("model", "sbom", "delay@1", "-o", "one.json")
    charkh("model", "sbom", "delay@1", "-o", "two.json")
    bill = (charkh.folder / "one.json").read_bytes()
    assert bill == (charkh.folder / "two.json").read_bytes()
    document = json.loads(bill)
    assert document["metadata"]["component"]["type"] == "machine-learning-model"
    assert {"model.skops", "scikit-learn"} <= {part["name"] for part in document["components"]}
    command = [str(peer_program("cyclonedx", "python")), "-c", VALIDATE, str(charkh.folder / "one.json")]
    validated = subprocess.run(command, capture_output=True, text=True, timeout=120)
    assert validated.returncode == 0, validated.stdout
