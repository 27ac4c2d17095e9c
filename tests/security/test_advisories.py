"""Every class of advisory that MLflow has had (2022 to 2026), replayed against this server: refused, or harmless.

`ROWS` says for each class where it is tried. The inputs are attacks that worked elsewhere; nothing leaves loopback.
"""

import ast
import io
import json
import tarfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest

import charkh
from security.team import OWNER, Team
from security.watching import reached_out, watched

SOURCE = Path(charkh.__file__).parent
MLFLOW = "/api/2.0/mlflow"
ARTIFACTS = "/api/2.0/mlflow-artifacts/artifacts"
PROBE = "<script>alert(document.domain)</script>{{7*7}}${7*7}!!python/object/apply:os.system ['id']"
CANARY = "the-canary-that-nobody-may-see"

ROWS: Mapping[int, tuple[str, str]] = {
    1: ("insecure temporary files", "test_what_the_server_keeps_is_its_owners_alone"),
    2: ("folders that others may write", "test_what_the_server_keeps_is_its_owners_alone"),
    3: ("a model's source names a file", "test_a_source_is_never_opened"),
    4: ("paths that climb", "test_paths_that_climb_reach_nothing"),
    5: ("Windows paths", "test_paths_that_climb_reach_nothing"),
    6: ("uploads outside of their place", "test_paths_that_climb_reach_nothing"),
    7: ("deletions outside of their place", "test_paths_that_climb_reach_nothing"),
    8: ("URIs that two parsers read differently", "test_a_source_is_never_opened"),
    9: ("a file name that a server tells", "test_an_archive_is_bytes"),
    10: ("archives that climb", "test_an_archive_is_bytes"),
    11: ("a tag that switches a check off", "test_a_tag_switches_no_check_off"),
    12: ("names that are taken for each other", "test_names_are_one_thing_each"),
    13: ("SSRF by redirection", "test_webhooks"),
    14: ("SSRF by a proxy", "test_no_address_of_a_client_is_called"),
    15: ("SSRF by webhooks", "test_webhooks"),
    16: ("SSRF by an artifact's host", "test_no_address_of_a_client_is_called"),
    17: ("secrets that are expanded", "test_what_is_stored_is_what_was_sent"),
    18: ("default and empty passwords", "test_there_is_no_secret_by_default"),
    19: ("accounts made without a token", "test_strangers_make_no_accounts"),
    20: ("requests that a form can send", "test_no_page_of_another_site_changes_anything"),
    21: ("DNS rebinding", "test_no_other_name_reaches_a_route"),
    22: ("a page that reaches loopback", "test_no_page_of_another_site_changes_anything"),
    23: ("routes beside the check", "test_routes"),
    24: ("authorisation that fails open", "test_ownership"),
    25: ("another's upload in parts", "test_ownership"),
    26: ("ids in a body", "test_ownership"),
    27: ("one verb taken for another", "test_routes"),
    28: ("scripts in what is stored", "test_what_is_stored_is_never_a_page"),
    29: ("templates and YAML that run", "test_what_is_stored_is_what_was_sent"),
    30: ("shells", "test_nothing_goes_through_a_shell"),
    31: ("model files that are code", "test_nothing_unpickles"),
    32: ("a switch that one loader forgets", "test_nothing_unpickles"),
    33: ("exhaustion", "test_what_is_too_much_is_refused"),
}

CLIMBING = (
    "../canary.txt",
    "../../canary.txt",
    "a/../../canary.txt",
    "..%2fcanary.txt",
    "%2e%2e/canary.txt",
    "%2e%2e%2f%2e%2e%2fcanary.txt",
    "%252e%252e%252fcanary.txt",
    "%25252e%25252e/canary.txt",
    "..%5ccanary.txt",
    "..\\canary.txt",
    "a\\..\\..\\canary.txt",
    "%c0%ae%c0%ae/canary.txt",
    "..%00/canary.txt",
    "canary.txt%00.png",
    "C:/canary.txt",
    "C:%5ccanary.txt",
    "%5c%5chost%5cshare%5ccanary.txt",
    "//canary.txt",
    "/{folder}/canary.txt",
    "%2f{folder}/canary.txt",
    "file:///{folder}/canary.txt",
    "file:{folder}/canary.txt",
    ".",
    "./.",
    "..",
    "../",
    "a/./../..",
    "a//..//..//canary.txt",
    "x::$DATA",
    "canary.txt;v=1/../..",
    "%e2%80%ae/../canary.txt",
    "\uff0e\uff0e/canary.txt",
    "..;/canary.txt",
    "%uff0e%uff0e/canary.txt",
    "~/canary.txt",
    "a%0d%0aSet-Cookie:x=1",
)

SOURCES = (
    "/etc/passwd",
    "file:///etc/passwd",
    "file:etc/passwd",
    "file://localhost/etc/passwd",
    "FILE:///etc/passwd",
    "../../../etc/passwd",
    "C:\\Windows\\win.ini",
    "\\\\host\\share",
    "http://127.0.0.1:9/../../etc/passwd",
    "http://169.254.169.254/latest/meta-data",
    "ftp://127.0.0.1/x",
    "sftp://127.0.0.1/x",
    "hdfs://127.0.0.1/x",
    "s3://bucket/../x",
    "dbfs:/x",
    "gs://x/y",
    "mlflow-artifacts:/../../etc/passwd",
    "mlflow-artifacts:/%2e%2e/%2e%2e/etc/passwd",
    "mlflow-artifacts://evil.test/0/x",
    "mlflow-artifacts:/0/x/artifacts/../../../../etc",
    "runs:/../../etc",
    "runs:/0123456789abcdef0123456789abcdef/../../..",
    "models:/../../etc/passwd",
    "models:/nothing/1#/../../etc",
    "file:///etc/passwd#runs:/x",
    "file:///etc/passwd?/../runs:/x",
    "http://evil.test/;/../etc",
    "http://[::1]/x",
    "http://user@127.0.0.1/x",
    "http://0x7f000001/x",
    "http://127.1/x",
    "http://[::ffff:127.0.0.1]/x",
    "jar:file:///etc/passwd!/x",
    "data:text/plain,x",
    "  file:///etc/passwd",
    "file:\t///etc/passwd",
)
HOSTS = (
    "evil.test",
    "127.0.0.1.evil.test",
    "localhost.",
    "localhost.evil.test",
    "0.0.0.0",
    "[::]",
    "[::]:7461",
    "",
    "127.0.0.1:7461@evil.test",
    "http://127.0.0.1:7461",
    "127.0.0.1:7461, evil.test",
    "127.0.0.1/",
    "127.0.0.1#",
    "127.0.0.1:7461:80",
    "2130706433",
    "127.1",
)


@pytest.fixture(scope="module")
def canary(team: Team) -> Path:
    """A file that lies where climbing paths would lead to."""
    folder = team.workspace.folder
    for place in (folder, folder / ".charkh", folder.parent):
        (place / "canary.txt").write_text(CANARY)
    return folder


def unharmed(folder: Path) -> bool:
    places = (folder, folder / ".charkh", folder.parent)
    return all((place / "canary.txt").read_text() == CANARY for place in places)


def files(folder: Path) -> set[Path]:
    """Every file beside the store and around it."""
    return {path for path in folder.parent.rglob("*") if path.is_file() and ".charkh" not in path.parts}


def test_every_class_is_tried_somewhere() -> None:
    assert set(ROWS) == set(range(1, 34))
    here = {name for name in globals() if name.startswith("test_")}
    others = {path.stem for path in Path(__file__).parent.glob("test_*.py")}
    assert {where for _, where in ROWS.values()} - here - others == set()


@pytest.mark.parametrize("path", CLIMBING)
def test_paths_that_climb_reach_nothing(path: str, team: Team, canary: Path) -> None:
    hostile = path.format(folder=str(canary).lstrip("/"))
    root = f"{team.projects['mine']}/{team.runs['mine']}/artifacts"
    before, around = team.facts(), files(canary)
    targets = [
        ("GET", f"{ARTIFACTS}/{hostile}", None),
        ("GET", f"{ARTIFACTS}/{root}/{hostile}", None),
        ("GET", f"{ARTIFACTS}?path={quote(hostile)}", None),
        ("GET", f"{ARTIFACTS}?path={hostile}", None),
        ("GET", f"{MLFLOW}/artifacts/list?run_id={team.runs['mine']}&path={quote(hostile)}", None),
        ("DELETE", f"{ARTIFACTS}/{hostile}", None),
        ("DELETE", f"{ARTIFACTS}/{root}/{hostile}", None),
        ("PUT", f"{ARTIFACTS}/{hostile}", b"written"),
        ("POST", f"/api/2.0/mlflow-artifacts/mpu/create/{hostile}", b'{"path":"x","num_parts":1}'),
        ("GET", f"/api/exchange/object?key={quote(hostile)}", None),
        ("GET", f"/api/exchange/object?key=packs/{quote(hostile)}", None),
        ("GET", f"/api/exchange/list?prefix={quote(hostile)}", None),
        ("POST", f"/api/exchange/object?key={quote(hostile)}", b"written"),
        ("POST", f"/api/exchange/object?key=packs/{quote(hostile)}", b"written"),
        ("POST", f"/api/exchange/delete?key=leases/{quote(hostile)}", b""),
        ("GET", f"/api/runs/run?ref={quote(hostile)}", None),
        ("GET", f"/api/datasets/version?ref={quote(hostile)}", None),
        ("GET", f"/api/models/version?ref={quote(hostile)}", None),
        ("GET", f"/{hostile}", None),
    ]
    for method, target, raw in targets:
        answer = team.ask(method, target, who="owner", raw=raw)
        assert answer.status < 500 or answer.status == 501, f"{method} {target}: {answer.body!r}"
        assert CANARY.encode() not in answer.body
        assert "set-cookie" not in answer.headers
        # An upload that is only begun has written nothing: its path is looked at again when it is complete.
        if method in {"PUT", "POST"} and "exchange/delete" not in target and "mpu/create" not in target:
            assert answer.status >= 400, f"{method} {target}: {answer.body!r}"
    assert unharmed(canary)
    assert files(canary) == around, "nothing was written beside the store"
    assert team.facts() == before


@pytest.mark.parametrize("path", CLIMBING)
def test_an_upload_stays_in_its_place(path: str, team: Team, canary: Path) -> None:
    hostile = path.format(folder=str(canary).lstrip("/"))
    root = f"{team.projects['mine']}/{team.runs['mine']}/artifacts/here"
    around = files(canary)
    answer = team.ask("PUT", f"{ARTIFACTS}/{root}/{hostile}", who="owner", raw=b"written")
    assert answer.status in {200, 400, 404}
    assert unharmed(canary)
    assert files(canary) == around
    listed = team.ask("GET", f"{MLFLOW}/artifacts/list?run_id={team.runs['mine']}", who="owner").json()
    assert {entry["path"] for entry in listed.get("files", ())} <= {"note.txt", "here"}


@pytest.mark.parametrize("source", SOURCES)
def test_a_source_is_never_opened(source: str, team: Team) -> None:
    team.ask("POST", f"{MLFLOW}/registered-models/create", who="owner", body={"name": "victim"})
    with watched() as seen:
        made = team.ask(
            "POST", f"{MLFLOW}/model-versions/create", who="owner", body={"name": "victim", "source": source}
        )
        mine = {"name": "victim", "source": source, "run_id": team.runs["mine"]}
        again = team.ask("POST", f"{MLFLOW}/model-versions/create", who="owner", body=mine)
        for answer in (made, again):
            # What lies at another service is only a word about the version: kept, shown, and never followed.
            assert answer.status == 400 or (answer.status == 200 and is_elsewhere(source)), answer.body
            assert b"root:" not in answer.body
            if answer.status == 200:
                where = f"name=victim&version={answer.json()['model_version']['version']}"
                told = team.ask("GET", f"{MLFLOW}/model-versions/get-download-uri?{where}", who="owner")
                assert told.json() == {"artifact_uri": source}
    assert reached_out(seen) == []
    assert [each for each in seen if "passwd" in each[1] or "win.ini" in each[1]] == []


def is_elsewhere(source: str) -> bool:
    """Whether an address is another service's, with nothing of this machine or of this server in it."""
    others = ("http:", "ftp:", "sftp:", "hdfs:", "s3:", "gs:", "dbfs:", "jar:", "mlflow-artifacts://evil.test/")
    return source.startswith(others) and not any(each in source for each in ("..", "#", "?", ";"))


def test_a_tag_switches_no_check_off(team: Team) -> None:
    tags = ("mlflow.prompt.is_prompt", "mlflow.source.type", "mlflow.user", "mlflow.runName", "is_prompt")
    team.ask("POST", f"{MLFLOW}/registered-models/create", who="owner", body={"name": "tagged"})
    for source in SOURCES:
        body: dict[str, Any] = {"name": "tagged", "source": source}
        verdict = team.ask("POST", f"{MLFLOW}/model-versions/create", who="owner", body=body).status
        for tag in tags:
            tagged = {**body, "tags": [{"key": tag, "value": "true"}]}
            answer = team.ask("POST", f"{MLFLOW}/model-versions/create", who="owner", body=tagged)
            assert answer.status == verdict, answer.body


def test_names_are_one_thing_each(team: Team) -> None:
    names = (
        "twin",
        "%74win",
        "Twin",
        "twi\u0301n",
        "twin ",
        " twin",
        "twin%20",
        "\uff54win",
        "twin\u200b",
        "twin/../twin",
    )
    made: dict[str, str] = {}
    for name in names:
        body = {"name": name, "description": name.encode().hex()}
        answer = team.ask("POST", f"{MLFLOW}/registered-models/create", who="owner", body=body)
        assert answer.status in {200, 400}, answer.body
        if answer.status == 200:
            made[answer.json()["registered_model"]["name"]] = name
    for name in made:
        found = team.ask("GET", f"{MLFLOW}/registered-models/get?name={quote(name)}", who="owner").json()
        model = found["registered_model"]
        assert model["name"] == name
        assert model["description"] == made[name].encode().hex(), "each name leads to its own"


def test_no_address_of_a_client_is_called(team: Team) -> None:
    with watched() as seen:
        for number, source in enumerate(SOURCES):
            body = {"name": f"mine/at {number}", "artifact_location": source}
            made = team.ask("POST", f"{MLFLOW}/experiments/create", who="owner", body=body)
            assert made.status < 500
            if made.status != 200:
                continue
            project = made.json()["experiment_id"]
            started = {"experiment_id": project, "start_time": 1}
            run = team.ask("POST", f"{MLFLOW}/runs/create", who="owner", body=started).json()["run"]["info"]["run_id"]
            team.ask("GET", f"{MLFLOW}/artifacts/list?run_id={run}", who="owner")
            answer = team.ask("GET", f"{ARTIFACTS}/{project}/{run}/artifacts/passwd", who="owner")
            assert answer.status in {400, 404}
            assert b"root:" not in answer.body
            dataset = {"name": "d", "digest": "1", "source_type": "http", "source": json.dumps({"uri": source})}
            inputs = {"run_id": run, "datasets": [{"dataset": dataset}]}
            assert team.ask("POST", f"{MLFLOW}/runs/log-inputs", who="owner", body=inputs).status < 500
    assert reached_out(seen) == []
    assert [each for each in seen if "/etc/passwd" in each[1]] == []


def test_an_archive_is_bytes(team: Team, canary: Path) -> None:
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w") as archive:
        for name in ("../canary.txt", "/tmp/canary.txt", "a/../../canary.txt"):
            archive.addfile(tarfile.TarInfo(name), io.BytesIO(b""))
        link = tarfile.TarInfo("link")
        link.type, link.linkname = tarfile.SYMTYPE, "/etc"
        archive.addfile(link)
    around = files(canary)
    target = f"{ARTIFACTS}/{team.projects['mine']}/{team.runs['mine']}/artifacts/here/model.tar"
    headers = {"content-disposition": 'attachment; filename="../../canary.txt"'}
    assert team.ask("PUT", target, who="owner", raw=packed.getvalue(), headers=headers).status == 200
    assert team.ask("GET", target, who="owner").body == packed.getvalue()
    assert files(canary) == around
    assert unharmed(canary)


def test_what_is_stored_is_never_a_page(team: Team) -> None:
    root = f"{ARTIFACTS}/{team.projects['mine']}/{team.runs['mine']}/artifacts/here"
    for name in ("page.html", "page.svg", "page.xhtml", "page.xml", "page.js", "page", "page.md", "page.pdf"):
        assert team.ask("PUT", f"{root}/{name}", who="owner", raw=PROBE.encode()).status == 200
        answer = team.ask("GET", f"{root}/{name}", who="owner")
        assert answer.body == PROBE.encode()
        assert answer.headers["content-disposition"].startswith("attachment")
        assert answer.headers["x-content-type-options"] == "nosniff"
        assert "default-src 'none'" in answer.headers["content-security-policy"]
    tag = {"run_id": team.runs["mine"], "key": "probe", "value": PROBE}
    assert team.ask("POST", f"{MLFLOW}/runs/set-tag", who="owner", body=tag).status == 200
    for target in (f"/api/runs/run?ref={team.runs['mine']}", f"/api/runs?where={quote(PROBE)}", f"/{quote(PROBE)}"):
        answer = team.ask("GET", target, who="owner")
        assert "json" in answer.headers["content-type"], target
    page = team.ask("GET", "/", who="owner")
    assert b"<script" not in page.body


def test_what_is_stored_is_what_was_sent(team: Team, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CHARKH_PROBE", "what-the-environment-holds")
    for number, value in enumerate(
        ("$CHARKH_PROBE", "${CHARKH_PROBE}", "{{7*7}}", "%CHARKH_PROBE%", "!!python/none x")
    ):
        body = {"run_id": team.runs["mine"], "key": f"literal-{number}", "value": value}
        assert team.ask("POST", f"{MLFLOW}/runs/set-tag", who="owner", body=body).status == 200
        told = team.ask("GET", f"{MLFLOW}/runs/get?run_id={team.runs['mine']}", who="owner").json()
        tags = {tag["key"]: tag["value"] for tag in told["run"]["data"]["tags"]}
        assert tags[f"literal-{number}"] == value


def test_strangers_make_no_accounts(team: Team) -> None:
    before = team.facts()
    for path in (
        "/api/users",
        "/api/users/grant",
        "/api/users/token",
        "/api/users/disable",
        "/api/2.0/mlflow/users/create",
    ):
        for body in ({"name": "eve"}, {"username": "eve", "password": "eve"}, {"name": "reader", "role": "admin"}):
            assert team.ask("POST", path, body=body).status in {401, 404}
            assert team.ask("POST", path, body=body, who="writer").status in {403, 404}
    assert team.ask("POST", "/api/users/grant", who="looker", body={"name": "looker", "role": "admin"}).status == 403
    assert team.facts() == before


def test_no_page_of_another_site_changes_anything(team: Team) -> None:
    before, failures = team.facts(), list[str]()
    kinds = (
        "text/plain",
        "application/x-www-form-urlencoded",
        "multipart/form-data; boundary=x",
        "application/json",
        "",
    )
    places = (
        {"origin": "https://evil.test"},
        {"origin": "null"},
        {"sec-fetch-site": "cross-site"},
        {"sec-fetch-site": "same-site"},
    )
    for way in team.ways:
        if way.method in {"GET", "HEAD"}:
            continue
        for kind in kinds:
            for place in places:
                headers = {**place, **({"content-type": kind} if kind else {})}
                answer = team.ask(way.method, way.path, who="owner", raw=b"{}", headers=headers)
                if answer.status not in {403, 415}:
                    failures.append(f"{way.method} {way.path} {headers}: {answer.status}")
    assert failures == []
    assert team.facts() == before


def test_no_other_name_reaches_a_route(team: Team) -> None:
    failures: list[str] = []
    twice = [("host", "127.0.0.1:7461"), ("host", "evil.test")]
    for way in team.ways:
        if way.path.startswith("/ajax-api/"):
            continue  # the same routes under another name
        for headers in ([("host", host)] for host in HOSTS):
            if team.ask(way.method, way.path, who="owner", headers=headers).status != 403:
                failures.append(f"{way.method} {way.path} {headers}")
        if team.ask(way.method, way.path, who="owner", headers=twice).status != 403:
            failures.append(f"{way.method} {way.path} twice")
    assert failures == []


def test_there_is_no_secret_by_default(team: Team) -> None:
    for guess in ("", "admin", "password", "password1234", "mlflow", "charkh", "token", "Bearer", "null", "None", "0"):
        for header in (f"Bearer {guess}", f"Basic {guess}"):
            assert team.ask("GET", "/api/users", headers={"authorization": header}).status == 401
    assert len(OWNER) > 0
    assert not list(SOURCE.rglob("*.ini"))


def test_what_the_server_keeps_is_its_owners_alone(team: Team) -> None:
    store = team.workspace.folder / ".charkh"
    assert store.stat().st_mode & 0o077 == 0, "nobody else comes past this folder"
    outside = [path for path in team.workspace.folder.iterdir() if path.name != ".charkh" and path.name != "canary.txt"]
    assert outside == []


def trees() -> Iterator[tuple[Path, ast.AST]]:
    for path in SOURCE.rglob("*.py"):
        yield path, ast.parse(path.read_text())


def test_nothing_goes_through_a_shell() -> None:
    found: list[str] = []
    for path, tree in trees():
        for node in ast.walk(tree):
            if isinstance(node, ast.keyword) and node.arg == "shell" and ast.unparse(node.value) != "False":
                found.append(f"{path.relative_to(SOURCE)}: shell={ast.unparse(node.value)}")
            if isinstance(node, ast.Call) and ast.unparse(node.func) in {"os.system", "os.popen", "eval", "exec"}:
                found.append(f"{path.relative_to(SOURCE)}: {ast.unparse(node.func)}")
    # A DVC stage is a shell line of the user's own repository; the server runs none.
    assert [each for each in found if not each.startswith("bridges/dvc/")] == []


def test_nothing_unpickles() -> None:
    found: list[str] = []
    for path, tree in trees():
        for node in ast.walk(tree):
            names: list[str] = []
            if isinstance(node, ast.Import):
                names = [alias.name for alias in node.names]
            elif isinstance(node, ast.ImportFrom):
                names = [node.module or ""]
            for name in names:
                if name.split(".")[0] in {"pickle", "cloudpickle", "joblib", "dill", "shelve", "marshal"}:
                    found.append(f"{path.relative_to(SOURCE)} imports {name}")
    # What a worker loads apart, behind a trust decision, is in one module alone.
    allowed = ("runtimes/pickled.py", "executors/", "testing/")
    assert [each for each in found if not each.startswith(allowed)] == []


@pytest.mark.parametrize(
    ("path", "body"),
    [
        (f"{MLFLOW}/experiments/create", {"name": "x" * (1 << 20)}),
        (f"{MLFLOW}/registered-models/create", {"name": "x" * (1 << 20)}),
        (f"{MLFLOW}/runs/search", {"experiment_ids": ["0"], "filter": " and ".join(["params.a = 'b'"] * 20_000)}),
        (f"{MLFLOW}/runs/search", {"experiment_ids": ["0"], "filter": "(" * 50_000}),
        (f"{MLFLOW}/runs/search", {"experiment_ids": ["0"], "max_results": 10**9}),
        (
            f"{MLFLOW}/runs/log-batch",
            {"run_id": "{run}", "metrics": [{"key": "a", "value": 1, "timestamp": 1}] * 10_000},
        ),
        (
            f"{MLFLOW}/runs/log-batch",
            {"run_id": "{run}", "params": [{"key": f"{n}", "value": "1"} for n in range(5000)]},
        ),
        (f"{MLFLOW}/runs/log-metric", {"run_id": "{run}", "key": "x" * 100_000, "value": 1, "timestamp": 1}),
        (f"{MLFLOW}/runs/set-tag", {"run_id": "{run}", "key": "x" * 100_000, "value": "y"}),
        ("/api/users", {"name": "x" * 500_000}),
        ("/api/users/grant", {"name": "reader", "role": "reader", "scope": "x" * 500_000}),
        ("/api/models/alias", {"ref": "x" * 500_000, "alias": "y"}),
    ],
)
def test_what_is_too_much_is_refused(path: str, body: dict[str, Any], team: Team) -> None:
    filled = json.loads(json.dumps(body).replace("{run}", team.runs["mine"]))
    answer = team.ask("POST", path, who="owner", body=filled)
    assert 400 <= answer.status < 500, answer.body[:300]
    assert len(answer.body) < 20_000, "what was sent is not sent back"


def test_deep_and_broken_bodies_are_refused(team: Team) -> None:
    headers = {"content-type": "application/json"}
    bodies = (b"[" * 10_000, b'{"a":' * 10_000 + b"1" + b"}" * 10_000, b"\xff\xfe", b"{", b"nul", b'"' + b"\\" * 9999)
    no_frames = (*bodies, bytes(8), bytes(1000), b"\x04\x00\x00\x00abcd")
    for path, sent in (
        (f"{MLFLOW}/runs/search", bodies),
        (f"{MLFLOW}/runs/log-batch", bodies),
        ("/api/users", bodies),
        ("/api/models/alias", bodies),
        ("/api/exchange/facts", no_frames),
    ):
        for raw in sent:
            answer = team.ask("POST", path, who="owner", raw=raw, headers=headers)
            assert 400 <= answer.status < 500, f"{path} {raw[:20]!r}: {answer.body[:200]!r}"


def test_a_head_that_is_too_long_is_refused(team: Team) -> None:
    for target, headers in (
        ("/api/runs?where=" + "x" * 100_000, {}),
        ("/" + "a/" * 10_000, {}),
        ("/api/runs", {f"x-{number}": "y" for number in range(1000)}),
        ("/api/runs", {"x": "y" * 100_000}),
    ):
        assert team.ask("GET", target, who="owner", headers=headers).status in {414, 431}
