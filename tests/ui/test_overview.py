"""The overview in a real browser: opened by the link that `charkh up` prints, with nothing from anywhere else."""

import os
import re
import shutil
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import pytest

from workspaces import HOSTILE, make_workspace

pytestmark = pytest.mark.needs("chromium")

SCREENSHOT = os.environ.get("SCREENSHOT", "")
"""A file that a person wants to look at."""


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@contextmanager
def up(folder: Path, *options: str) -> Iterator[str]:
    """`charkh up` in a process of its own; the link that it prints."""
    command = [sys.executable, "-m", "charkh", "-C", str(folder), "up", "--port", str(free_port()), *options]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
    try:
        assert process.stdout is not None
        first = process.stdout.readline()
        link = re.search(r"http://\S+", first)
        assert link, first
        yield link[0]
    finally:
        process.terminate()
        process.communicate(timeout=30)


class Outside:
    """A proxy that the browser is told to use for everything: it answers nothing and notes who asked for what."""

    def __init__(self) -> None:
        asked = self.asked = list[str]()

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                asked.append(self.path)
                self.send_error(502)

            def do_CONNECT(self) -> None:
                self.do_GET()

            def log_message(self, format: str, *arguments: object) -> None:
                return None

        self.server = HTTPServer(("127.0.0.1", 0), Handler)
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    @property
    def address(self) -> str:
        return f"http://127.0.0.1:{self.server.server_port}"

    def close(self) -> None:
        self.server.shutdown()
        self.server.server_close()


def browse(browser: str, link: str, profile: Path, *options: str) -> subprocess.CompletedProcess[str]:
    flags = [
        "--headless",
        "--no-sandbox",
        "--disable-gpu",
        "--disable-quic",
        "--no-first-run",
        "--disable-background-networking",
        "--disable-component-update",
        "--disable-sync",
        "--disable-dev-shm-usage",
        f"--user-data-dir={profile}",
        "--window-size=1200,1600",
        "--enable-logging=stderr",
    ]
    return subprocess.run([browser, *flags, *options, link], capture_output=True, text=True, timeout=120)


@pytest.fixture(scope="module")
def browser() -> str:
    names = ("chromium", "chromium-browser", "google-chrome")
    return next(path for name in names if (path := shutil.which(name)))


@pytest.fixture(scope="module")
def link(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    folder = tmp_path_factory.mktemp("flights")
    make_workspace(folder).close()
    with up(folder, "--every", "0s") as printed:
        yield printed


def test_the_link_opens_the_overview_and_hostile_text_is_inert(link: str, browser: str, tmp_path: Path) -> None:
    outside = Outside()
    try:
        seen = browse(browser, link, tmp_path, f"--proxy-server={outside.address}", "--dump-dom")
    finally:
        outside.close()
    assert seen.returncode == 0, seen.stderr
    for shown in ("flights@1", "delay@1", "psi &gt; 0.2", "champion is 1"):
        assert shown in seen.stdout, shown
    assert "&lt;script&gt;alert('pwned')" in seen.stdout
    assert "<script" not in seen.stdout
    assert HOSTILE not in seen.stdout
    assert "token=" not in seen.stdout
    assert [path for path in outside.asked if "evil" in path or "127.0.0.1" in path] == []
    assert "Content Security Policy" not in seen.stderr, "the page's own style is allowed, and nothing was refused"


def test_it_is_drawn(link: str, browser: str, tmp_path: Path) -> None:
    picture = Path(SCREENSHOT) if SCREENSHOT else tmp_path / "overview.png"
    seen = browse(browser, link, tmp_path / "profile", f"--screenshot={picture}")
    assert seen.returncode == 0, seen.stderr
    data = picture.read_bytes()
    assert data.startswith(b"\x89PNG")
    assert len(data) > 20_000, "a blank page is smaller"


def test_without_the_token_there_is_only_how_to_get_it(link: str, browser: str, tmp_path: Path) -> None:
    seen = browse(browser, link.partition("?")[0], tmp_path, "--dump-dom")
    assert "charkh up" in seen.stdout
    assert "delay" not in seen.stdout
