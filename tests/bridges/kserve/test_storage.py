"""Where `storageUri` may lead: a bucket, a folder that stands for an address, and what is refused with what to do."""

import io
from pathlib import Path
from typing import Any

import numpy as np
import obstore
import pytest
import skops.io
from obstore.store import from_url
from sklearn.linear_model import LogisticRegression

from functional.conftest import Charkh
from functional.test_server import Server

SERVICE = """\
apiVersion: serving.kserve.io/v1beta1
kind: InferenceService
metadata: {name: late}
spec:
  predictor:
    model: {modelFormat: {name: sklearn}, storageUri: "URI"}
"""
ROWS = [[0.5, -1.0], [-2.0, 1.0]]
FIELD = "late.yaml: spec.predictor.model.storageUri"


def fitted() -> Any:
    rows = np.random.default_rng(3).normal(size=(200, 2))
    estimator: Any = LogisticRegression()
    return estimator.fit(rows, (rows[:, 0] > 0).astype(int))


def model_bytes() -> bytes:
    buffer = io.BytesIO()
    skops.io.dump(fitted(), buffer)
    return buffer.getvalue()


@pytest.fixture
def charkh(tmp_path: Path) -> Charkh:
    made = Charkh(tmp_path)
    made("init")
    return made


def manifest(charkh: Charkh, uri: str) -> Path:
    path = charkh.folder / "late.yaml"
    path.write_text(SERVICE.replace("URI", uri))
    return path


def stored(folder: Path) -> dict[str, bytes]:
    """Every fact and every byte in the store; the catalog is computed from them, and locks hold nothing."""
    paths = [each for each in (folder / ".charkh").rglob("*") if each.is_file()]
    return {str(each): each.read_bytes() for each in paths if ".sqlite" not in each.name and each.name != "lock"}


def test_a_dry_run_says_what_would_be_registered_and_registers_nothing(charkh: Charkh) -> None:
    path = manifest(charkh, "here")
    (charkh.folder / "here").mkdir()
    (charkh.folder / "here" / "model.skops").write_bytes(model_bytes())
    words = ("serve", "-f", path, "--dry-run")
    before = stored(charkh.folder)
    for _ in range(2):
        assert 'model = "late@1"' in charkh(*words)
    assert stored(charkh.folder) == before
    assert charkh.json("model", "list") == []
    server = Server(charkh.folder, "serve", "-f", str(path), "--open-inference")
    server.stop()
    assert 'model = "late@1"' in charkh(*words), "equal files are there already"
    changed: Any = LogisticRegression(C=0.01).fit(ROWS, [0, 1])
    skops.io.dump(changed, charkh.folder / "here" / "model.skops")
    assert 'model = "late@2"' in charkh(*words)
    charkh("model", "show", "late@1")
    charkh.fails(13, "model", "show", "late@2")


@pytest.mark.needs("moto")
@pytest.mark.parametrize("uri", ["s3://BUCKET/models/late", "s3://BUCKET/models/late/model.skops"])
def test_a_bucket_is_read_as_a_folder_or_as_a_file(charkh: Charkh, s3_config: dict[str, str], uri: str) -> None:
    bucket = s3_config["bucket"]
    obstore.put(from_url(f"s3://{bucket}"), "models/late/model.skops", model_bytes())
    obstore.put(from_url(f"s3://{bucket}"), "models/late/README.md", b"# not of the model")
    path = manifest(charkh, uri.replace("BUCKET", bucket))
    server = Server(charkh.folder, "serve", "-f", str(path), "--open-inference")
    try:
        status, answer = server.ask("/v1/models/late:predict", {"instances": ROWS})
        assert (status, answer["predictions"]) == (200, [int(each) for each in fitted().predict(ROWS)])
    finally:
        server.stop()


@pytest.mark.needs("moto")
@pytest.mark.parametrize(
    ("uri", "code", "said"),
    [
        ("s3://BUCKET/nowhere", 13, "there is nothing at s3://"),
        ("s3://no-such-bucket-here/late", 16, "s3://no-such-bucket-here/late cannot be read: "),
    ],
)
def test_an_empty_address_is_said_with_its_field(
    charkh: Charkh, s3_config: dict[str, str], uri: str, code: int, said: str
) -> None:
    path = manifest(charkh, uri.replace("BUCKET", s3_config["bucket"]))
    environment = {name: value for name, value in s3_config.items() if name != "bucket"}
    done = charkh.run("serve", "-f", path, "--dry-run", **environment)
    assert done.returncode == code
    assert f"{FIELD}: {said}" in done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize(
    ("uri", "fetch"),
    [
        ("gs://bucket/late", "gcloud storage cp -r gs://bucket/late FOLDER"),
        ("hf://org/model", "hf download org/model --local-dir FOLDER"),
        ("https://models.example/late.skops", "curl -O https://models.example/late.skops"),
        ("http://models.example/late.skops", "curl -O http://models.example/late.skops"),
        ("abfs://container/late", "Copy the files to this machine"),
    ],
)
def test_what_is_not_read_is_refused_by_its_field_and_says_what_to_do(charkh: Charkh, uri: str, fetch: str) -> None:
    said = charkh.fails(2, "serve", "-f", manifest(charkh, uri), "--dry-run")
    assert f"{FIELD}: {uri.partition(':')[0]}:// is not read here ({uri})" in said
    assert fetch in said
    assert f"--map {uri}=FOLDER" in said


def test_a_folder_stands_for_an_address_and_for_what_lies_there(charkh: Charkh) -> None:
    (charkh.folder / "fetched" / "late").mkdir(parents=True)
    (charkh.folder / "fetched" / "late" / "model.skops").write_bytes(model_bytes())
    path = manifest(charkh, "gs://bucket/models/late")
    for claim, folder in (("gs://bucket/models/late", "fetched/late"), ("gs://bucket/models/", "fetched")):
        said = charkh("serve", "-f", path, "--map", f"{claim}={charkh.folder / folder}", "--dry-run")
        assert 'model = "late@1"' in said
    refused = charkh.fails(2, "serve", "-f", path, "--map", "gs://bucket/mod=fetched", "--dry-run")
    assert "gs:// is not read here" in refused
