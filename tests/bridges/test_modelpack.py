"""A version as an OCI image layout: read by a reader written from the specifications, and by skopeo where it is."""

import hashlib
import json
import subprocess
from pathlib import Path
from typing import Any

import pytest

from functional.conftest import Charkh
from functional.test_model import MODELS

MANIFEST = "application/vnd.oci.image.manifest.v1+json"


def blob(layout: Path, descriptor: dict[str, Any]) -> bytes:
    """The bytes that a descriptor names, with the size and the digest that it says."""
    algorithm, digest = descriptor["digest"].split(":")
    data = (layout / "blobs" / algorithm / digest).read_bytes()
    assert (len(data), hashlib.sha256(data).hexdigest()) == (descriptor["size"], digest)
    return data


def export(charkh: Charkh, name: str) -> Path:
    folder = charkh.folder / name
    charkh("export", "model", "delay@1", "-o", folder)
    return folder


@pytest.fixture
def registered(charkh: Charkh) -> Charkh:
    charkh.python(MODELS)
    return charkh


def test_the_layout_says_where_everything_is_and_its_digests_are_right(registered: Charkh) -> None:
    layout = export(registered, "one")
    assert json.loads((layout / "oci-layout").read_bytes()) == {"imageLayoutVersion": "1.0.0"}
    (described,) = json.loads((layout / "index.json").read_bytes())["manifests"]
    assert described["mediaType"] == MANIFEST
    manifest = json.loads(blob(layout, described))
    assert manifest["schemaVersion"] == 2
    assert manifest["artifactType"] == described["artifactType"] == "application/vnd.cncf.model.manifest.v1+json"
    assert manifest["config"]["mediaType"] == "application/vnd.cncf.model.config.v1+json"
    config = json.loads(blob(layout, manifest["config"]))
    layers = {layer["annotations"]["org.cncf.model.filepath"]: blob(layout, layer) for layer in manifest["layers"]}
    assert set(layers) == {"model.skops", "sbom.cdx.json"}
    assert config["modelfs"] == {"type": "layers", "diffIds": [layer["digest"] for layer in manifest["layers"]]}
    assert config["descriptor"]["name"] == "delay"
    assert config["config"] == {"format": "sklearn"}
    assert manifest["layers"][0]["mediaType"] == "application/vnd.cncf.model.weight.v1.raw"
    named = {each["digest"].split(":")[1] for each in (described, manifest["config"], *manifest["layers"])}
    assert {path.name for path in (layout / "blobs/sha256").iterdir()} == named
    registered("export", "model", "delay@1", "--format", "files", "-o", registered.folder / "plain")
    assert (registered.folder / "plain/model.skops").read_bytes() == layers["model.skops"]


def test_the_same_version_gives_the_same_bytes(registered: Charkh) -> None:
    one, two = export(registered, "one"), export(registered, "two")
    paths = sorted(path.relative_to(one) for path in one.rglob("*") if path.is_file())
    assert paths == sorted(path.relative_to(two) for path in two.rglob("*") if path.is_file())
    assert all((one / path).read_bytes() == (two / path).read_bytes() for path in paths)


def test_nothing_is_written_over(registered: Charkh) -> None:
    export(registered, "one")
    assert "is there already" in registered.fails(14, "export", "model", "delay@1", "-o", registered.folder / "one")


@pytest.mark.needs("skopeo")
def test_skopeo_reads_it_and_copies_every_blob(registered: Charkh) -> None:
    layout = export(registered, "one")
    raw = skopeo("inspect", "--raw", f"oci:{layout}:v1")
    assert json.loads(raw)["artifactType"] == "application/vnd.cncf.model.manifest.v1+json"
    copied = registered.folder / "copied"
    skopeo("--insecure-policy", "copy", f"oci:{layout}:v1", f"oci:{copied}:v1")
    blobs = {path.name: path.read_bytes() for path in (layout / "blobs/sha256").iterdir()}
    assert {path.name: path.read_bytes() for path in (copied / "blobs/sha256").iterdir()} == blobs


def skopeo(*arguments: str) -> bytes:
    """What it printed; it must have succeeded."""
    done = subprocess.run(["skopeo", *arguments], capture_output=True, timeout=60)
    assert done.returncode == 0, done.stderr
    return done.stdout
