"""A fetch that dies or whose source fails: nothing is lost, nothing comes twice, and the next one goes on."""

import gc
import os
import signal
import subprocess
import sys
import threading
import time
import warnings
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy
from tests.web import Web, web_server

from charkh.core.errors import Unavailable
from charkh.workspace.fetching import fetch
from charkh.workspace.workspace import Workspace, open_workspace

CONTENT = b"a\n" + b"".join(b"%d\n" % number for number in range(200_000))


def workspace_with(folder: Path, settings: str) -> Workspace:
    (folder / "charkh.toml").write_text(settings)
    return open_workspace(folder, create=True)


def test_a_download_that_was_killed_goes_on_inside_the_file(tmp_path: Path) -> None:
    with web_server() as web:
        hold = threading.Event()
        web.files["/a.csv"] = CONTENT
        web.tricks["/a.csv"] = [half_then(hold)]
        with workspace_with(tmp_path, f'[source.rows]\nkind = "http"\nurl = "{web.address}/a.csv"\n'):
            pass
        child = subprocess.Popen([sys.executable, "-m", "charkh", "source", "fetch", "rows"], cwd=tmp_path)
        try:
            wait_for(lambda: staged(tmp_path) >= len(CONTENT) // 4)
        finally:
            os.kill(child.pid, signal.SIGKILL)
            child.wait()
            hold.set()
        with open_workspace(tmp_path) as workspace:
            made = fetch(workspace, "rows").version
        assert made is not None
        assert made.made.rows == 200_000
        begin = int(web.asked[-1][1]["range"].removeprefix("bytes=").removesuffix("-"))
        assert begin >= len(CONTENT) // 4
        assert staged(tmp_path) == 0, "what is in the dataset lies nowhere else"


def half_then(hold: threading.Event) -> Any:
    def trick(handler: Any, content: bytes) -> None:
        from tests.web import etag_of

        handler.send_response(200)
        handler.send_header("ETag", etag_of(content))
        handler.send_header("Content-Length", str(len(content)))
        handler.end_headers()
        handler.wfile.write(content[: len(content) // 2])
        handler.wfile.flush()
        hold.wait(60)
        handler.close_connection = True

    return trick


def staged(folder: Path) -> int:
    return sum(path.stat().st_size for path in (folder / ".charkh" / "sources").rglob("*.bytes"))


def wait_for(met: Any) -> None:
    deadline = time.monotonic() + 60
    while not met():
        assert time.monotonic() < deadline
        time.sleep(0.02)


@pytest.mark.needs("postgresql")
def test_a_database_that_goes_away_leaves_the_cursor_where_it_was(
    tmp_path: Path, postgres_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SHOP", postgres_url)
    engine = sqlalchemy.create_engine(
        sqlalchemy.make_url(postgres_url).set(drivername="postgresql+psycopg"), poolclass=sqlalchemy.NullPool
    )

    def execute(statement: str) -> None:
        with engine.begin() as connection:
            connection.execute(sqlalchemy.text(statement))

    execute("CREATE TABLE orders (id int)")
    execute("INSERT INTO orders SELECT generate_series(1, 30)")
    # The server itself ends the session in the middle of the answer.
    kill = "CASE WHEN id = 21 AND (SELECT on_off FROM trap) THEN pg_terminate_backend(pg_backend_pid()) END AS dead"
    execute("CREATE TABLE trap (on_off boolean)")
    execute("INSERT INTO trap VALUES (true)")
    settings = (
        f'[source.orders]\nkind = "sql"\nurl = "env:SHOP"\nbatch_rows = 10\n'
        f'query = "SELECT id, {kill} FROM orders"\ncursor = "id"\n'
    )
    with workspace_with(tmp_path, settings) as workspace:
        with pytest.raises(Unavailable) as raised:
            fetch(workspace, "orders")
        assert raised.value.code == "source.database"
        del raised
        with warnings.catch_warnings():
            # SQLAlchemy lets go of the driver's cursor unclosed where the session ended under it.
            warnings.simplefilter("ignore", ResourceWarning)
            gc.collect()
        execute("UPDATE trap SET on_off = false")
        outcome = fetch(workspace, "orders")
        assert outcome.version is not None
        assert (outcome.version.made.number, outcome.version.made.rows) == (1, 30)


def test_a_full_disk_while_it_downloads_is_said_and_mended(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with web_server() as web, workspace_with(tmp_path, _source(web)) as workspace:
        web.files["/a.csv"] = CONTENT
        place = Path.open

        def full(self: Path, mode: str = "r", *rest: Any, **named: Any) -> Any:
            if self.suffix == ".bytes" and "w" in mode:
                raise OSError(28, "No space left on device", str(self))
            return place(self, mode, *rest, **named)

        with monkeypatch.context() as patch:
            patch.setattr(Path, "open", full)
            with pytest.raises(Unavailable, match="No space left"):
                fetch(workspace, "rows")
        assert fetch(workspace, "rows").version is not None


def _source(web: Web) -> str:
    return f'[source.rows]\nkind = "http"\nurl = "{web.address}/a.csv"\n'
