"""One planted secret through every surface where text comes in; then the whole store is searched for it.

What a user puts into a dataset or an artifact is theirs and kept as it is; everything that is typed beside it,
or gathered by charkh itself, passes the redaction.
"""

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from charkh.cli.main import command_line
from charkh.core.errors import CharkhError
from charkh.workspace.workspace import Workspace, open_workspace

SECRET = "hunter2Kx9mQ4vT8pL2zR7w"
MARK = "plainly-visible-mark"
"""No secret: found by the same search, which proves that the search finds what is there."""

FORMS = {
    "assignment": f"password={SECRET}",
    "url": f"https://ann:{SECRET}@example.org/x",
    "flag": f"--api-key {SECRET}",
    "header": f"Authorization: Bearer {SECRET}",
    "json": f'{{"token": "{SECRET}"}}',
    "github": f"ghp_{SECRET}{SECRET}",
}
SAID = " ".join([MARK, *FORMS.values()])

TRAIN = """
import sys
import numpy as np
import polars as pl
from sklearn.linear_model import LogisticRegression
import charkh

rows = pl.DataFrame({"x": np.linspace(-1, 1, 60)})
late = (np.linspace(-1, 1, 60) > 0).astype(int)
said, secret = sys.stdin.read().split("|")
with charkh.run(said, params={"password": secret, "nested": {"api_key": secret, "said": said}}, group=said,
                tags={"token": secret, "note": said}):
    charkh.log(loss=0.5)
    model = charkh.model(LogisticRegression().fit(rows, late), example=rows[:3], data=charkh.dataset("rows"))
    charkh.register("late", model, description=said)
try:
    with charkh.run("failing"):
        raise ValueError(said)
except ValueError:
    pass
"""

RECIPE = {
    "recipe": 1,
    "description": SAID,
    "steps": [{"op": "drop", "columns": ["b"], "note": SAID}],
}

SUITE = f"""
description = '''{SAID}'''

[[rule]]
check = "not_null"
columns = ["a"]
reason = '''{SAID}'''
"""

PLUMBING = """
[endpoint.late]
model = "late@champion"
"""


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A workspace through whose every surface the secret went."""
    made = tmp_path_factory.mktemp("project")
    (made / "charkh.toml").write_text(PLUMBING)
    (made / "rows.csv").write_text("a,b\n1,2\n3,4\n")
    _repository(made)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("CHARKH_WORKSPACE", str(made))
        patch.chdir(made)
        charkh("dataset", "add", "rows", "rows.csv", "--message", SAID, "--source", FORMS["url"], "--source", SAID)
        _train(made)
        charkh("model", "alias", "late@1", "champion", "--reason", SAID)
        charkh("model", "alias", "late@1", "shadow", "--reason", FORMS["url"])
        charkh("endpoint", "deploy", "late", "late@1", "--reason", SAID)
        charkh("endpoint", "stop", "late", "--reason", SAID)
        (made / "tidy.json").write_text(json.dumps(RECIPE))
        charkh("recipe", "apply", "tidy.json", "rows", "--as", "tidied", "--message", SAID)
        (made / "rules.toml").write_text(SUITE)
        charkh("check", "run", "rules.toml", "rows")
        charkh("card", "make", "late@1")
        card = _printed("card", "show", "late@1")
        (made / "card.md").write_text(card + f"\n## Notes\n\n{SAID}\n")
        charkh("card", "record", "late@1", "card.md")
        charkh("run", "tag", "failing", f"note={SAID}", f"token={SECRET}")
        charkh("dataset", "delete", "tidied@1")
        with open_workspace(made) as workspace:
            _library(workspace)
    return made


def charkh(*arguments: str) -> None:
    """A command in this process; the secret may make it fail, and what it says is not searched here."""
    try:
        command_line(arguments)(list(arguments), standalone_mode=False)
    except (CharkhError, SystemExit) as error:
        pytest.fail(f"{arguments[:3]}: {error}")


def _printed(*arguments: str) -> str:
    words = [sys.executable, "-m", "charkh", *arguments]
    return subprocess.run(words, capture_output=True, text=True, check=True, timeout=120).stdout


def _repository(folder: Path) -> None:
    def git(*arguments: str) -> None:
        subprocess.run(["git", *arguments], cwd=folder, check=True, capture_output=True)

    git("init", "-q")
    (folder / "settings.py").write_text("rate = 1\n")
    git("add", "settings.py")
    git("commit", "-q", "-m", "first")
    git("remote", "add", "origin", f"https://ann:{SECRET}@example.org/ann/flights.git")
    changed = f'rate = 2  # {MARK}\nDATABASE_PASSWORD = "{SECRET}"\nurl = "postgresql://ann:{SECRET}@db/x"\n'
    (folder / "settings.py").write_text(changed)
    (folder / "new.py").write_text(f'TOKEN = "{SECRET}"\n# {MARK}\n')
    (folder / ".env").write_text(f"API_KEY={SECRET}\n")
    (folder / "train.py").write_text(TRAIN)


def _train(folder: Path) -> None:
    command = [sys.executable, "train.py", "--api-key", SECRET, f"--url=https://ann:{SECRET}@example.org", MARK]
    environment = {
        **os.environ,
        "AWS_SECRET_ACCESS_KEY": SECRET,
        "MY_SERVICE_TOKEN": SECRET,
        "XLA_FLAGS": f"--token={SECRET}",
        "OMP_NUM_THREADS": "1",
    }
    given = f"{SAID}|{SECRET}"
    result = subprocess.run(
        command, cwd=folder, input=given, capture_output=True, text=True, env=environment, timeout=300
    )
    assert result.returncode == 0, result.stderr


def _library(workspace: Workspace) -> None:
    """What has no command of its own: an erasure, an aborted loop, a monitor over late truth."""
    from charkh.assets.erase import erase
    from charkh.core.config import GateSettings
    from charkh.core.errors import Invalid
    from charkh.core.loop_settings import LoopSettings
    from charkh.loops.loop import Trigger
    from charkh.loops.turn import turn

    store = workspace.store
    ref = store.vault.put_bytes(b"something that has to go")
    store.vault.flush()
    erase(store, ref, reason=SAID[:400])

    def fail(_trigger: Trigger) -> None:
        raise Invalid(SAID)

    turn(store, "late", LoopSettings(on="every:1d", run="x"), GateSettings(), fail)  # type: ignore[arg-type]


def contents(folder: Path) -> Iterator[tuple[str, bytes]]:
    """Every file of the store as it lies on the disk, and every chunk and node as it is read."""
    store = folder / ".charkh"
    for path in sorted(store.rglob("*")):
        if path.is_file() and path.name != "token":
            yield str(path.relative_to(store)), path.read_bytes()
    with open_workspace(folder) as workspace:
        shelf = workspace.vault.shelf
        shelf.refresh()
        for digest, place in shelf.index.rows():
            yield f"chunk {digest.hex()}", shelf.read(digest, place)


def places_of(folder: Path, text: str) -> list[str]:
    wanted = [text.encode(), text.encode("utf-16-le"), text[::-1].encode()]
    return [where for where, data in contents(folder) if any(each in data for each in wanted)]


def test_the_secret_is_nowhere(folder: Path) -> None:
    assert places_of(folder, SECRET) == []


def test_a_part_of_it_is_nowhere_either(folder: Path) -> None:
    assert places_of(folder, SECRET[2:18]) == []


def test_the_search_finds_what_is_there(folder: Path) -> None:
    found = places_of(folder, MARK)
    assert any(where.startswith("journal/") for where in found), found
    assert any(where.startswith("catalog.sqlite") for where in found), found
    assert len([where for where in found if where.startswith("chunk ")]) >= 3, "patch, command line, card"


def test_what_is_shown_does_not_have_it(folder: Path) -> None:
    for arguments in (
        ("run", "show", "failing"),
        ("run", "list"),
        ("dataset", "show", "rows"),
        ("model", "show", "late@1"),
        ("trace", "late@1"),
        ("lineage", "why", "late@1"),
        ("loop", "show", "late"),
        ("card", "show", "late@1"),
    ):
        words = [sys.executable, "-m", "charkh", "-C", str(folder), *arguments]
        result = subprocess.run(words, capture_output=True, text=True, timeout=120)
        assert result.returncode == 0, result.stderr
        assert SECRET not in result.stdout + result.stderr, arguments
