"""Artifacts over MLflow's protocol: files in and out, listings, parts, and paths that are none."""

import os
import time
from urllib.parse import quote

import pytest
from tests.unit.bridges.mlflow.conftest import Answer, Client

from charkh.bridges.mlflow import uploads
from charkh.runs.index import ArtifactsOf

ARTIFACTS = "/api/2.0/mlflow-artifacts/artifacts"
PARTS = "/api/2.0/mlflow-artifacts/mpu"


def put(client: Client, run: str, path: str, content: bytes) -> Answer:
    return client.ask("PUT", f"{ARTIFACTS}/0/{run}/artifacts/{path}", content)


def read(client: Client, run: str, path: str) -> Answer:
    return client.ask("GET", f"{ARTIFACTS}/0/{run}/artifacts/{path}")


def listed(client: Client, run: str, path: str = "") -> list[tuple[str, bool, int | None]]:
    root = f"0/{run}/artifacts"
    answer = client.ask("GET", ARTIFACTS, None, {"path": f"{root}/{path}" if path else root})
    return [(each["path"], each["is_dir"], each.get("file_size")) for each in answer.json()["files"]]


def test_a_file_goes_in_and_comes_out(shared: Client) -> None:
    run, content = shared.run(), os.urandom(3_000_000)
    assert put(shared, run, "models/net.bin", content).status == 200
    assert put(shared, run, "models/sub/note ü.txt", b"hello").json() == {}
    assert put(shared, run, "empty.json", b"").status == 200
    answer = read(shared, run, "models/net.bin")
    assert answer.body == content
    assert answer.headers["content-length"] == "3000000"
    assert answer.headers["x-content-type-options"] == "nosniff"
    assert answer.headers["content-disposition"].startswith("attachment")
    assert read(shared, run, "models/sub/note ü.txt").headers["content-type"] == "text/plain"
    assert read(shared, run, "empty.json").body == b""
    assert listed(shared, run) == [("empty.json", False, 0), ("models", True, None)]
    assert listed(shared, run, "models") == [("net.bin", False, 3_000_000), ("sub", True, None)]
    assert listed(shared, run, "models/net.bin") == []
    told = shared.get("artifacts/list", run_id=run, path="models")
    assert told["root_uri"] == f"mlflow-artifacts:/0/{run}/artifacts"
    assert [each["path"] for each in told["files"]] == ["models/net.bin", "models/sub"]
    assert list(shared.workspace.scratch.glob("upload-*")) == []


def test_of_two_files_under_one_path_the_later_shows_and_either_can_be_taken_away(shared: Client) -> None:
    run = shared.run()
    for content in (b"one", b"two"):
        put(shared, run, "a/file.txt", content)
    assert read(shared, run, "a/file.txt").body == b"two"
    put(shared, run, "a/other.txt", b"other")
    assert shared.ask("DELETE", f"{ARTIFACTS}/0/{run}/artifacts/a/file.txt").json() == {}
    assert read(shared, run, "a/file.txt").status == 404
    assert listed(shared, run, "a") == [("other.txt", False, 5)]
    assert shared.ask("DELETE", f"{ARTIFACTS}/0/{run}/artifacts").json() == {}
    assert shared.store.queries.ask(ArtifactsOf(run=run)) == ()
    put(shared, run, "a/file.txt", b"three")
    assert read(shared, run, "a/file.txt").body == b"three"


@pytest.mark.parametrize(
    "path",
    [
        "../../secret",
        "a/../../b",
        "/etc/passwd",
        "a//b",
        "./a",
        "a\\..\\b",
        "a\0b",
        "%2e%2e/b",
        "%252e%252e/b",
        "a/%2E%2E/b",
        "..%2f..%2fb",
        "%00",
        "",
    ],
)
def test_a_path_that_is_none_is_refused(shared: Client, path: str) -> None:
    run = shared.run()
    answers = [put(shared, run, path, b"x"), read(shared, run, path)]
    if path:
        answers.append(shared.ask("GET", ARTIFACTS, None, {"path": f"0/{run}/artifacts/{path}"}))
        answers.append(shared.ask("GET", "/api/2.0/mlflow/artifacts/list", None, {"run_id": run, "path": path}))
    assert [answer.status for answer in answers if answer.status not in {400, 404}] == []
    assert shared.store.queries.ask(ArtifactsOf(run=run)) == ()


def test_mlflows_pages_send_and_show_files_by_run_and_path(shared: Client) -> None:
    run = shared.run()
    place = "/ajax-api/2.0/mlflow/upload-artifact"
    for query, said in (
        ({}, "Request must specify run_uuid."),
        ({"run_uuid": run, "path": ""}, "Request must specify path."),
        ({"run_uuid": run, "path": "../a"}, "Invalid path"),
        ({"run_uuid": run, "path": "a.txt"}, "Request must specify data."),
    ):
        assert shared.ask("POST", place, b"", query).json()["message"] == said
    name = " odd! name  of .txt"
    assert shared.ask("POST", place, b"hello", {"run_uuid": run, "path": name}).status == 200
    assert shared.ask("GET", "/get-artifact", None, {"run_uuid": run, "path": name}).body == b"hello"
    assert shared.ask("GET", "/get-artifact", None, {"run_id": run, "path": "../a"}).status == 400


def test_nothing_is_kept_outside_of_a_run(shared: Client) -> None:
    for place in ("0/file", "0/models/nothing/artifacts/x", f"0/{'f' * 32}/artifacts/x", f"0/{shared.run()}/x"):
        assert shared.ask("PUT", f"{ARTIFACTS}/{place}", b"x").status in {400, 404}
    deleted = shared.run()
    shared.post("runs/delete", run_id=deleted)
    assert put(shared, deleted, "x", b"x").status == 400


def test_a_large_file_comes_in_parts(shared: Client) -> None:
    run = shared.run()
    folder = f"0/{run}/artifacts/big"
    parts = [os.urandom(100_000), os.urandom(100_000), b"end"]
    made = shared.ask("POST", f"{PARTS}/create/{folder}", {"path": "/home/ann/w.bin", "num_parts": 3}, root="/below")
    told = made.json()
    begin = f"http://127.0.0.1/below{PARTS}/parts/{told['upload_id']}/"
    assert [each["url"] for each in told["credentials"]] == [f"{begin}{number}" for number in (1, 2, 3)]
    done: list[dict[str, object]] = []
    for number in (3, 1, 2, 2):
        path = f"{PARTS}/parts/{told['upload_id']}/{number}"
        answer = shared.ask("PUT", path, parts[number - 1], token="")
        assert answer.status == 200
        done.append({"part_number": number, "etag": answer.headers["etag"], "url": ""})
    fields = {"path": "/home/ann/w.bin", "upload_id": told["upload_id"], "parts": done[:3]}
    assert shared.ask("POST", f"{PARTS}/complete/0/{run}/artifacts/else", fields).status == 400
    assert shared.ask("POST", f"{PARTS}/complete/{folder}", {**fields, "parts": done[:2]}).status == 400
    assert shared.ask("POST", f"{PARTS}/complete/{folder}", fields).json() == {}
    assert read(shared, run, "big/w.bin").body == b"".join(parts)
    assert shared.ask("POST", f"{PARTS}/complete/{folder}", fields).status == 404


def test_an_upload_can_be_given_up_and_old_ones_go(shared: Client) -> None:
    run = shared.run()
    begun = {"path": "w.bin", "num_parts": 1}
    told = shared.ask("POST", f"{PARTS}/create/0/{run}/artifacts", begun).json()
    abort = {"path": "w.bin", "upload_id": told["upload_id"]}
    assert shared.ask("POST", f"{PARTS}/abort/0/{run}/artifacts", abort).json() == {}
    assert shared.ask("PUT", f"{PARTS}/parts/{told['upload_id']}/1", b"x", token="").status == 404
    old = shared.ask("POST", f"{PARTS}/create/0/{run}/artifacts", begun).json()["upload_id"]
    (folder,) = shared.workspace.scratch.glob("mlflow-parts/*")
    left = shared.workspace.scratch / "upload-left-behind"
    left.write_bytes(b"x")
    long_ago = time.time() - uploads.KEPT_SECONDS - 10
    for each in (folder, left):
        os.utime(each, (long_ago, long_ago))
    uploads.sweep(shared.workspace)
    assert not folder.exists()
    assert not left.exists()
    assert shared.ask("PUT", f"{PARTS}/parts/{old}/1", b"x", token="").status == 404


@pytest.mark.parametrize("count", [0, -1, 10_001, "many"])
def test_parts_are_counted(shared: Client, count: object) -> None:
    path = f"{PARTS}/create/0/{shared.run()}/artifacts"
    assert shared.ask("POST", path, {"path": "w.bin", "num_parts": count}).status == 400
    for upload in ("x", "f" * 64, "../../" + "f" * 58):
        assert shared.ask("PUT", f"{PARTS}/parts/{quote(upload, safe='')}/1", b"x", token="").status == 404
