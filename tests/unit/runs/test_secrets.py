"""A planted secret is found nowhere in the store: in no event, and in no blob of text."""

import subprocess
import sys
from pathlib import Path

import pytest

from charkh.core.errors import Invalid
from charkh.lineage.index import PROJECTION as LINEAGE
from charkh.runs.delete import delete_run
from charkh.runs.index import PROJECTION
from charkh.runs.start import start
from charkh.testing.projections import payloads_of
from charkh.testing.stores import memory_store
from charkh.testing.vaults import MemoryVault

SECRET = "hunter2-Zq9wK3vT7x"
FORMS = [f"password={SECRET}", f"https://ann:{SECRET}@example.org/x", f"--api-key {SECRET}", f"TOKEN={SECRET}"]


def test_a_planted_secret_is_found_nowhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for command in (["init", "-q"], ["remote", "add", "origin", FORMS[1]]):
        subprocess.run(["git", *command], cwd=tmp_path, check=True)
    (tmp_path / "train.py").write_text(f'import os\npassword = "{SECRET}"\nurl = "{FORMS[1]}"\n')
    (tmp_path / ".env").write_text(f"TOKEN={SECRET}\n")
    monkeypatch.setattr(sys, "orig_argv", ["python", "train.py", "--password", SECRET, *FORMS])
    monkeypatch.setenv("XLA_FLAGS", FORMS[2])
    monkeypatch.setenv("MY_TOKEN", SECRET)
    store = memory_store(PROJECTION, LINEAGE)
    params = {
        "password": SECRET,
        "nested": {"api_key": SECRET, "urls": FORMS},
        "long": " ".join([*FORMS, "filler " * 300]),
    }
    tags = {"secret": SECRET, "how": FORMS[0]}
    run = start(store, name=FORMS[0], group=FORMS[1], params=params, tags=tags, folder=tmp_path)
    with pytest.raises(ValueError, match="hunter2"), run:
        for form in FORMS:
            with pytest.raises(Invalid):
                run.log({form: 1.0}, step=0)
            with pytest.raises(Invalid):
                run.set_params({form: 1})
        run.log({"loss": 1.0}, context=FORMS[0])
        run.add_artifact(f"token={SECRET}/a.txt", b"a")
        run.set_tags({"again": FORMS[3]})
        raise ValueError(FORMS[0])
    unfinished = start(store, name="second")
    unfinished.end("failed", error=FORMS[2])
    delete_run(store, "second", reason=FORMS[0])
    events = b"".join(payloads_of(store))
    assert isinstance(store.vault, MemoryVault)
    chunks = b"".join(store.vault._chunks.values())  # pyright: ignore[reportPrivateUsage]
    assert b"run.provenance/1" in events
    assert b"+import os" in chunks
    assert SECRET.encode() not in events
    assert SECRET.encode() not in chunks
